//! `gaps`: missing, repeated, overlapping and reset sequence ranges, inside and across files, each with its likely cause.

use std::io::Write;

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::args::{Format, Global, Reporting};
use crate::cmd::{CLEAN, FAILED, FINDINGS, INCOMPLETE, analyse_all, open_all};
use crate::format::Generation;
use crate::log::finding::Class;
use crate::log::survey::Survey;
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
    let generations: Vec<Vec<Generation>> = logs.iter().zip(&reports).map(|(l, r)| older(l, r)).collect();
    let both = || reports.iter().zip(&generations);
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
            for (report, generations) in both() {
                view.gaps(&mut out, report, generations)?;
            }
        }
        Format::Json => {
            let logs: Vec<_> = both().map(|(r, generations)| json::gaps(r, generations)).collect();
            line(&mut out, &serde_json::json!({ "schema": "walmedic.gaps/1", "logs": logs }))?;
        }
        Format::Ndjson => {
            line(
                &mut out,
                &serde_json::json!({ "type": "meta", "schema": "walmedic.gaps/1", "version": env!("CARGO_PKG_VERSION") }),
            )?;
            for (r, generations) in both() {
                for (kind, mut row) in json::gap_rows(r, generations) {
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
            for (report, generations) in both() {
                csv(&mut out, report, generations)?;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

/// The generations before the live one.
fn older(log: &OpenLog, report: &Report) -> Vec<Generation> {
    let surveys: Vec<&Survey> = report.files.iter().map(|file| &file.survey).collect();
    log.format().generations(&log.files(), &surveys)
}

fn csv(out: &mut dyn Write, r: &Report, generations: &[Generation]) -> Result<()> {
    let (path, name) = (text::csv_cell(&r.path), |i: usize| text::csv_cell(&r.files[i].name));
    for g in &r.conclusions.gaps {
        let (file, at, cause) = (name(g.before.file), g.before.at, g.cause.word());
        writeln!(out, "{path},gap,{},{},{file},{at},{cause},{}", g.first, g.last, g.recovered)?;
    }
    for p in &r.conclusions.repeats {
        let (file, at, kind) = (name(p.place.file), p.place.at, p.kind.word());
        writeln!(out, "{path},{kind},{},{},{file},{at},,0", p.first, p.last)?;
    }
    for g in generations {
        match g.left {
            Some(left) => {
                let (file, at) = (name(left.file), left.at);
                writeln!(out, "{path},generation,{},{},{file},{at},{},0", left.first, left.last, g.newest)?;
            }
            None => writeln!(out, "{path},generation,,,,,{}..{},0", g.oldest, g.newest)?,
        }
    }
    Ok(())
}
