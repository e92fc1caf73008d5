//! `gaps`: missing, repeated, overlapping and reset sequence ranges, inside and across files, each with its likely cause.

use std::io::Write;

use anyhow::Result;

use crate::args::{Format, Global, Reporting};
use crate::cmd::{CLEAN, FAILED, FINDINGS, INCOMPLETE, analyse_all, open_all};
use crate::log::finding::Class;
use crate::ui::json::{self, line};
use crate::ui::out::Out;
use crate::ui::paint::Paint;
use crate::ui::text;

/// Runs it.
///
/// # Errors
/// When no log could be opened at all.
pub fn run(opts: &Reporting, global: &Global) -> Result<u8> {
    let (logs, failed) = open_all(&opts.input)?;
    let reports = analyse_all(&logs, &opts.input, global);
    let found = |class| reports.iter().any(|r| r.findings().any(|f| opts.judgement.class(&f) == class));
    let code = match () {
        () if failed => FAILED,
        () if found(Class::Incomplete) => INCOMPLETE,
        () if !found(Class::Gap) => CLEAN,
        () if opts.judgement.detailed_exitcode => 12,
        () => FINDINGS,
    };
    let mut out = Out::default();
    match opts.format {
        Format::Text => {
            let view = text::View::new(Paint::stdout(global.color), global.verbose, &opts.judgement);
            for report in &reports {
                view.gaps(&mut out, report)?;
            }
        }
        Format::Json => {
            let logs: Vec<_> = reports.iter().map(json::gaps).collect();
            line(&mut out, &serde_json::json!({ "schema": "walmedic.gaps/1", "logs": logs }))?;
        }
        Format::Ndjson => {
            line(
                &mut out,
                &serde_json::json!({ "type": "meta", "schema": "walmedic.gaps/1", "version": env!("CARGO_PKG_VERSION") }),
            )?;
            for r in &reports {
                for (kind, mut row) in json::gap_rows(r) {
                    row["type"] = kind.into();
                    row["log"] = r.path.as_str().into();
                    line(&mut out, &row)?;
                }
            }
            let (gaps, repeats) = reports
                .iter()
                .fold((0, 0), |(g, p), r| (g + r.conclusions.gaps.len(), p + r.conclusions.repeats.len()));
            line(&mut out, &serde_json::json!({ "type": "summary", "gaps": gaps, "repeats": repeats }))?;
        }
        Format::Csv => {
            writeln!(out, "log,kind,first,last,file,offset,cause,recovered")?;
            for r in &reports {
                let name = |i: usize| text::csv_cell(&r.files[i].name);
                for g in &r.conclusions.gaps {
                    let (path, file) = (text::csv_cell(&r.path), name(g.before.file));
                    writeln!(
                        out,
                        "{path},gap,{},{},{file},{},{},{}",
                        g.first,
                        g.last,
                        g.before.at,
                        g.cause.word(),
                        g.recovered
                    )?;
                }
                for p in &r.conclusions.repeats {
                    let (path, file) = (text::csv_cell(&r.path), name(p.place.file));
                    writeln!(
                        out,
                        "{path},{},{},{},{file},{},,0",
                        p.kind.word(),
                        p.first,
                        p.last,
                        p.place.at
                    )?;
                }
            }
        }
    }
    out.flush()?;
    Ok(code)
}
