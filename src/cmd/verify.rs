//! `verify`: is this log sound, what would the engine keep, what is at stake?

use std::io::Write;

use anyhow::Result;
use clap::Args;

use crate::analysis::Report;
use crate::args::{Format, Global, Reporting};
use crate::cmd::{CLEAN, FAILED, INCOMPLETE, analyse_all, open_all};
use crate::log::finding::Class;
use crate::replay::stake;
use crate::ui::json::{self, line};
use crate::ui::out::Out;
use crate::ui::paint::Paint;
use crate::ui::text;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    reporting: Reporting,
    /// Tell what is at stake in keys, too, however large the log: both states are built
    #[arg(long)]
    keys: bool,
}

/// Of logs up to this size the keys at stake are told unasked.
const SMALL: u64 = 4 << 20;

/// Runs it.
///
/// # Errors
/// When no log could be opened at all.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let (asked, opts) = (opts.keys, &opts.reporting);
    let (logs, failed) = open_all(&opts.input)?;
    let mut reports = analyse_all(&logs, &opts.input, global);
    for (log, report) in logs.iter().zip(&mut reports) {
        let known = report.forecast.as_ref().is_none_or(|f| !f.engine.unknown);
        if known && (asked || log.bytes() <= SMALL) && report.findings().any(|f| f.class != Class::Note) {
            // A log that cannot be read to its end gives a verdict all the same, without the keys.
            let (keys, rows) = stake::keys(log, report).ok().unzip();
            report.forecast.iter_mut().for_each(|f| (f.keys, f.rows) = (keys, rows.flatten()));
        }
    }
    let code = opts.judgement.exit_code(&reports);
    let status = status(code);
    let mut out = Out::default();
    let class = |f: &_| opts.judgement.class(f);
    match opts.format {
        Format::Text => {
            let view = text::View::new(Paint::stdout(global.color), global.verbose, &opts.judgement);
            for report in &reports {
                view.verify(&mut out, report)?;
            }
        }
        Format::Json => json::verify(&mut out, status, &reports, &class)?,
        Format::Ndjson => ndjson(&mut out, opts, status, &reports)?,
        Format::Csv => csv(&mut out, opts, &reports)?,
    }
    out.flush()?;
    Ok(if failed { FAILED } else { code })
}

/// The word for an exit code.
fn status(code: u8) -> &'static str {
    match code {
        CLEAN => "clean",
        INCOMPLETE => "incomplete",
        _ => "findings",
    }
}

fn ndjson(out: &mut Out, opts: &Reporting, status: &str, reports: &[Report]) -> Result<()> {
    line(
        out,
        &serde_json::json!({ "type": "meta", "schema": "walmedic.verify/1", "version": env!("CARGO_PKG_VERSION") }),
    )?;
    for report in reports {
        for finding in report.findings() {
            let mut row = json::finding(report, &finding, opts.judgement.class(&finding));
            row["type"] = "finding".into();
            row["log"] = report.path.as_str().into();
            line(out, &row)?;
        }
    }
    let logs: Vec<_> = reports.iter().map(json::summary).collect();
    line(out, &serde_json::json!({ "type": "summary", "status": status, "logs": logs }))
}

fn csv(out: &mut Out, opts: &Reporting, reports: &[Report]) -> Result<()> {
    writeln!(out, "code,class,log,file,offset,len,message")?;
    for report in reports {
        for f in report.findings() {
            let file = f.file.map_or("", |i| &report.files[i].name);
            let class = opts.judgement.class(&f).word();
            let cells = [f.code.text(), class, &report.path, file].map(text::csv_cell);
            writeln!(out, "{},{},{},{}", cells.join(","), f.at, f.len, text::csv_cell(&f.message))?;
        }
    }
    Ok(())
}
