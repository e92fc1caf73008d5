//! One file a command. No format is named here.

pub mod completions;
pub mod dump;
pub mod explain;
mod fates;
pub mod gaps;
mod key_range;
pub mod man;
pub mod repair;
pub mod replay;
pub mod rows;
pub mod truncate;
pub mod undo;
pub mod verify;

use anyhow::{Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::args::{Global, Input};
use crate::format::Family;
use crate::io::{interrupt, listing};
pub use crate::judgement::{CLEAN, FINDINGS, INCOMPLETE};
use crate::refused::Refused;
use crate::ui::progress;

/// Usage error, or the run failed.
pub const FAILED: u8 = 2;

/// Refused for safety.
pub const REFUSED: u8 = 4;

/// The exit code of an error.
pub fn code_of(error: &anyhow::Error) -> u8 {
    const INTERRUPTED: u8 = 130;
    match () {
        () if error.is::<Refused>() => REFUSED,
        () if error.is::<interrupt::Interrupted>() => INTERRUPTED,
        () => FAILED,
    }
}

/// One line on standard error, never mixed with data.
pub fn complain(message: &str) {
    // With nobody to read it there is nothing left to do.
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    std::io::Write::write_all(&mut std::io::stderr(), format!("walmedic: {line}\n").as_bytes()).ok();
}

/// The logs at every path, opened. A path that fails does not stop the others; the flag tells that one did.
///
/// # Errors
/// When `--as` or `--revision` name nothing known, or the only path fails.
pub fn open_all(input: &Input) -> Result<(Vec<OpenLog>, bool)> {
    let wanted = input.wanted();
    listing::formats(&wanted)?;
    let mut logs = Vec::new();
    let mut failed = false;
    for path in &input.paths {
        let opened = listing::find(path, &wanted).and_then(|found| {
            found.into_iter().map(|log| OpenLog::new(log, &wanted)).collect::<Result<Vec<_>>>()
        });
        match opened {
            Ok(found) => logs.extend(found),
            Err(e) if input.paths.len() == 1 => return Err(e),
            Err(e) => {
                complain(&format!("{e:#}"));
                failed = true;
            }
        }
    }
    Ok((logs, failed))
}

/// The one log at the one path.
///
/// # Errors
/// When there is none, or more than one.
pub fn open_one(input: &Input) -> Result<OpenLog> {
    let (mut logs, _) = open_all(input)?;
    let follows = |log: &OpenLog| log.format().follows(&log.files());
    if logs.iter().filter(|log| !follows(log)).count() == 1 {
        for log in logs.iter().filter(|log| follows(log)) {
            complain(&format!(
                "{}: of the same transaction, a log of its own: name it to have it, too",
                in_short(log)
            ));
        }
        logs.retain(|log| !follows(log));
    }
    match (logs.pop(), logs.pop()) {
        (Some(mut log), None) => {
            // Whoever asks for one log goes by every record of it.
            log.follow();
            Ok(log)
        }
        (Some(a), Some(b)) => anyhow::bail!(
            "more than one log ({} and {}): name one of them, or --as with its format",
            in_short(&b),
            in_short(&a)
        ),
        _ => anyhow::bail!("no log to replay"),
    }
}

/// The number of the column family that the user named.
///
/// # Errors
/// When the log has none of that name.
pub fn column_family(log: &OpenLog, families: &[Family], name: &str) -> Result<u32> {
    match Family::number_of(families, name).filter(|_| log.format().profile().families) {
        Some(number) => Ok(number),
        None if families.is_empty() => bail!("--family {name}: this log has no column families"),
        None => {
            let known: Vec<&str> = families.iter().map(|family| family.name.as_str()).collect();
            bail!("--family {name}: there is no such column family; there are: {}", known.join(", "))
        }
    }
}

/// A log by its format and its first file: several may lie in one directory.
fn in_short(log: &OpenLog) -> String {
    let name = log.format().profile().name;
    match log.path(0) {
        Some(first) => format!("{name} {}", first.display()),
        None => format!("{name} {}", log.log.path),
    }
}

/// The log of a command that changes it, examined; the engine is asked only where the answer is shown or gone by.
pub fn examine(log: &OpenLog, input: &Input, global: &Global, ask: bool) -> Report {
    if ask {
        return analyse_all(std::slice::from_ref(log), input, global).remove(0);
    }
    progress::watch(global.progress(), log.bytes(), &|| log.progress(), || log.examine(input.threads()))
}

/// Reads the log as its checksums say that it was. What the engine would do is told of the log as it is.
///
/// # Errors
/// When no word can be put right.
pub fn put_words_right(log: &mut OpenLog, report: Report, input: &Input, global: &Global) -> Result<Report> {
    if log.put_words_right(&report) == 0 {
        complain("--repair-words: no checksum tells a single damaged word; the log is read as it is");
        return Ok(report);
    }
    let mut anew = examine(log, input, global, report.forecast.is_some());
    if let (Some(anew), Some(before)) = (&mut anew.forecast, report.forecast) {
        anew.engine = before.engine;
    }
    Ok(anew)
}

/// Analyses logs one after the other, their files in parallel, with progress.
pub fn analyse_all(logs: &[OpenLog], input: &Input, global: &Global) -> Vec<Report> {
    let total = logs.iter().map(OpenLog::bytes).sum();
    let done = || logs.iter().map(OpenLog::progress).sum();
    progress::watch(global.progress(), total, &done, || {
        logs.iter().map(|log| log.analyse(input.threads())).collect()
    })
}
