//! Where a repaired log goes: a new copy beside the untouched original.

use std::path::Path;

use anyhow::{Context, Result};

use crate::analysis::OpenLog;
use crate::io::interrupt::{self, Writing};
use crate::io::listing::{self, Wanted};
use crate::io::{durable, fresh};
use crate::judgement::{CLEAN, Judgement};
use crate::refused::Refused;
use crate::repair::plan::Plan;
use crate::repair::{Done, Found, Task, framed, held, refusal, write};

/// Writes the new log to `output`, which comes into being complete or not at all. Gives back the plan of it, too.
///
/// # Errors
/// [`Refused`] when the target exists; what the system says.
pub fn copy(task: &Task<'_>, output: &Path) -> Result<(Plan, Done)> {
    let log = task.log;
    outside(log, output)?;
    fresh::must_be_new(output)?;
    let unseen = held::unheld(log)?;
    let writing = Writing::begin();
    let parent = durable::parent(output);
    let failed = || format!("{}: cannot write there", parent.display());
    let work = tempfile::Builder::new().prefix(".walmedic-").tempdir_in(parent).with_context(failed)?;
    let dir = work.path().join("log");
    std::fs::create_dir(&dir).with_context(failed)?;
    let plan = write::all(task, &dir)?;
    bring_along(log, &dir)?;
    durable::sync_dir(&dir).with_context(failed)?;
    let single = (task.path.is_file() || task.path.as_os_str() == "-") && plan.files.len() == 1;
    let made = match plan.files.iter().find_map(|f| f.to.as_ref()) {
        Some(name) if single => dir.join(name),
        _ => dir.clone(),
    };
    let found = findings(task, &made)?;
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
    writing.done();
    Ok((plan, Done { found, unseen }))
}

/// Copies what is no part of the log and yet has to go with it.
fn bring_along(log: &OpenLog, dir: &Path) -> Result<()> {
    let beside = log.belongings().with_context(|| format!("{}: cannot list", log.log.place.display()))?;
    for name in beside {
        interrupt::check()?;
        let (from, to) = (log.log.place.join(&name), dir.join(&name));
        let copied = std::fs::copy(&from, &to).and_then(|_| std::fs::File::open(&to)?.sync_all());
        copied.with_context(|| format!("{}: cannot copy it", from.display()))?;
    }
    Ok(())
}

/// What lies in the directory of the log and is no file of it, by name: a copy does not have it.
pub fn strangers(log: &OpenLog) -> Vec<String> {
    if !log.log.place.is_dir() {
        return Vec::new();
    }
    let names = std::fs::read_dir(&log.log.place).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut strangers: Vec<String> = names
        .filter(|name| log.log.files.iter().all(|file| *file.name != **name) && !log.format().belongs(name))
        .collect();
    strangers.sort_unstable();
    strangers
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

/// What the same reader finds in the new log at `path`.
///
/// # Errors
/// When it cannot be read.
pub fn findings(task: &Task<'_>, path: &Path) -> Result<Found> {
    let log = task.log;
    let wanted = Wanted {
        format: Some(log.format().profile().name.into()),
        revision: log.revision.map(str::to_owned),
        ..Wanted::default()
    };
    let mut made = Found::default();
    for found in listing::find(path, &wanted).context("the new log")? {
        let mut log = OpenLog::new(found, &wanted)?;
        log.follow();
        let report = log.analyse(2);
        // Records in another form read well here and yet may not to the engine.
        let refused = if framed(&log) { refusal(&log, &report) } else { None };
        let refused = refused.filter(|error| refusal(task.log, task.report).as_ref() != Some(error));
        made.refused = made.refused.or(refused);
        made.left |= Judgement::default().exit_code(&[report]) != CLEAN;
    }
    Ok(made)
}
