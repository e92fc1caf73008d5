//! Where a repaired log goes: a new copy beside the untouched original.

use std::path::Path;

use anyhow::{Context, Result};

use crate::analysis::{OpenLog, Report};
use crate::io::interrupt::{self, Writing};
use crate::io::listing::{self, Wanted};
use crate::io::{durable, fresh};
use crate::judgement::{CLEAN, Judgement};
use crate::refused::Refused;
use crate::repair::edits::Rule;
use crate::repair::plan::Plan;
use crate::repair::{held, write};

/// Writes the new log to `output`, which comes into being complete or not at all. Gives back what was done, and whether
/// anything is still to be found in it.
///
/// # Errors
/// [`Refused`] when the target exists; what the system says.
pub fn copy(log: &OpenLog, report: &Report, rule: &Rule, path: &Path, output: &Path) -> Result<(Plan, bool)> {
    outside(log, output)?;
    fresh::must_be_new(output)?;
    held::unheld(log)?;
    let _writing = Writing::begin();
    let parent = durable::parent(output);
    let failed = || format!("{}: cannot write there", parent.display());
    let work = tempfile::Builder::new().prefix(".walmedic-").tempdir_in(parent).with_context(failed)?;
    let dir = work.path().join("log");
    std::fs::create_dir(&dir).with_context(failed)?;
    let plan = write::all(log, report, rule, &dir)?;
    durable::sync_dir(&dir).with_context(failed)?;
    let single = (path.is_file() || path.as_os_str() == "-") && plan.files.len() == 1;
    let made = match plan.files.iter().find_map(|f| f.to.as_ref()) {
        Some(name) if single => dir.join(name),
        _ => dir.clone(),
    };
    let left = findings(log, &made)?;
    held::unchanged(log)?;
    if made == dir
        && let Some(old) = log.path(0)
    {
        durable::like(durable::parent(old), &made).with_context(failed)?;
    }
    interrupt::check()?;
    match durable::rename_new(&made, output) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(fresh::exists(output));
        }
        done => done.with_context(failed)?,
    }
    let unsure = || format!("{}: is written, but may not last", output.display());
    durable::sync_dir(parent).with_context(unsure)?;
    Ok((plan, left))
}

/// What is written lies outside of the log, or has at least no name that its engine would take for a part of it.
///
/// # Errors
/// [`Refused`] where it would become part of the log.
pub fn outside(log: &OpenLog, target: &Path) -> Result<()> {
    let (Some(first), Ok(parent)) = (log.path(0), durable::parent(target).canonicalize()) else {
        return Ok(());
    };
    let home = durable::parent(first).canonicalize().unwrap_or_default();
    let name = target.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let part = parent == home && log.format().claim(&name).is_some();
    if part || log.log.place.is_dir() && parent.starts_with(&home) {
        let place = target.display();
        return Err(Refused(format!("{place}: lies in the log itself; name a place outside of it")).into());
    }
    Ok(())
}

/// Whether the same reader finds anything in the log at `path`.
///
/// # Errors
/// When it cannot be read.
pub fn findings(log: &OpenLog, path: &Path) -> Result<bool> {
    let wanted = Wanted {
        format: Some(log.format().profile().name.into()),
        revision: log.revision.map(str::to_owned),
        ..Wanted::default()
    };
    let mut left = false;
    for found in listing::find(path, &wanted).context("the new log")? {
        let mut log = OpenLog::new(found, &wanted)?;
        log.follow();
        let report = log.analyse(2);
        left |= Judgement::default().exit_code(&[report]) != CLEAN;
    }
    Ok(left)
}
