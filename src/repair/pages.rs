//! A database file in place of its log: the file that a log of pages leads to, or led from, and the log emptied. Nothing else
//! can be made of a rollback journal.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::findings::plural;
use crate::format::{Grade, Image, Role};
use crate::io::{fresh, interrupt};
use crate::refused::Refused;
use crate::repair::Task;
use crate::repair::edits::Rule;
use crate::repair::rebuild::Rebuilt;
use crate::replay::{Policy, Wish, image, replay};

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// The one that all records that count make.
    Made,
    /// The one before the last commit; `unsound`: also where that is not sound.
    Undone {
        /// See [`Pages::Undone`].
        unsound: bool,
    },
}

/// What comes of it.
pub struct Made {
    /// The file.
    pub image: Image,
    /// For the plan.
    pub rebuilt: Rebuilt,
}

/// Works it out without writing.
///
/// # Errors
/// [`Refused`] where there is no such file to be had; those of reading.
pub fn plan(log: &OpenLog, report: &Report, rule: &Rule, pages: Pages) -> Result<Made> {
    let (image, records, left_out, lost) = counted(log, report, rule, pages)?;
    let image_sha256 = image::sha256(log, &image)?;
    let entries = image.len.checked_div(u64::from(image.page_bytes)).unwrap_or(0);
    let rebuilt = Rebuilt {
        entries,
        state_sha256: None,
        image_sha256,
        bytes: image.len,
        unfit: 0,
        records,
        left_out,
        lost,
    };
    Ok(Made { image, rebuilt })
}

/// The file alone, without a look at its bytes.
///
/// # Errors
/// As [`plan`].
pub fn file(log: &OpenLog, report: &Report, rule: &Rule, pages: Pages) -> Result<Image> {
    Ok(counted(log, report, rule, pages)?.0)
}

/// The file, the records that make it, those left out, and whether something is lost.
fn counted(log: &OpenLog, report: &Report, rule: &Rule, pages: Pages) -> Result<(Image, u64, u64, bool)> {
    match pages {
        Pages::Made => made(log, report, rule),
        Pages::Undone { .. } => {
            let undone = log.format().undo_last_commit(&log.files());
            let (image, records, lost) =
                undone.map_err(|why| Refused(format!("{}: no commit can be undone: {why}", report.path)))?;
            Ok((image, records, 0, lost))
        }
    }
}

fn made(log: &OpenLog, report: &Report, rule: &Rule) -> Result<(Image, u64, u64, bool)> {
    let policy = match rule {
        Rule { by_engine: true, .. } => Policy::Engine,
        Rule { survivors: true, .. } => Policy::Salvage,
        _ => Policy::Committed,
    };
    let wish = Wish { undecided: rule.undecided, ..Wish::new(policy, u64::MAX) };
    let replayed = replay(log, report, &wish)?;
    if !replayed.opens {
        let why = replayed.error.as_deref().unwrap_or("it stops");
        return Err(Refused(format!("{}: the engine does not open this log: {why}", report.path)).into());
    }
    let Some(image) = replayed.image else { bail!("{}: makes no file of pages", report.path) };
    let applied = replayed.applied;
    Ok(match replayed.recovered {
        Some(recovered) => (image, applied, recovered.uncommitted + recovered.incomplete, recovered.lost),
        None => {
            let unseen = report.forecast.as_ref().map_or(0, |f| f.intact.saturating_sub(applied));
            (image, applied, unseen, unseen > 0)
        }
    })
}

/// Refuses the file before the last commit where that is not sound: then the log does not hold all of it.
///
/// # Errors
/// [`Refused`] with the first thing that is wrong with it.
pub fn must_be_sound(report: &Report, pages: Pages, grade: Option<&Grade>) -> Result<()> {
    let Some(grade) = grade.filter(|grade| grade.problems > 0) else { return Ok(()) };
    if pages != (Pages::Undone { unsound: false }) {
        return Ok(());
    }
    let (problems, first) = (plural(grade.problems, "problem"), grade.first.first());
    Err(Refused(format!(
        "{}: the database before the last commit would not be sound: {problems}, the first: {}; --force goes on",
        report.path,
        first.map_or("not told", String::as_str)
    ))
    .into())
}

/// The name of the file: that of the one that is there, or the one that the log is about.
pub fn name(log: &OpenLog) -> Option<String> {
    let there = log.log.files.iter().find(|f| f.claim.role == Role::Pages).map(|f| f.name.to_string());
    let about = || log.log.files.iter().find_map(|f| log.format().subject(&f.name)).map(|subject| subject.0);
    there.or_else(about)
}

/// Writes the file to `path`, whole and synced, after `permit` has said who may read it.
///
/// # Errors
/// As [`plan`]; what the system says.
pub fn write(
    task: &Task<'_>,
    pages: Pages,
    path: &Path,
    permit: &dyn Fn(&File) -> io::Result<()>,
) -> Result<()> {
    let failed = || format!("{}: cannot be written", path.display());
    let made = self::file(task.log, task.report, task.rule, pages)?;
    let file = File::create_new(path).with_context(failed)?;
    permit(&file).with_context(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    fresh::must_have_room(path, made.len)?;
    image::pieces(task.log, &made, &mut |piece| Ok(out.write_all(piece)?)).with_context(failed)?;
    interrupt::check()?;
    out.into_inner().map_err(|e| e.into_error()).and_then(|file| file.sync_all()).with_context(failed)
}
