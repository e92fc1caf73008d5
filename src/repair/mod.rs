//! Bringing a log back: what to keep ([`edits`]), the plan of it ([`plan`]) as data ([`bound`]), and carrying it out ([`mod@write`]): into a copy
//! ([`target`]) or where the log lies ([`place`]), with a record of it ([`record`]) that takes it back ([`undo`]).

pub mod afresh;
pub mod bound;
pub mod catalogue;
pub mod edits;
pub mod file;
pub mod held;
pub mod names;
pub mod pages;
pub mod place;
pub mod plan;
pub mod prepared;
pub mod rebuild;
pub mod record;
pub mod target;
pub mod tracked;
pub mod undo;
pub mod write;

use std::path::Path;

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::format::Role;
use crate::format::{Job, Outcome, Part, Taken};
use crate::log::conclude::{Place, RepeatKind};
use crate::log::finding::Code;
use crate::log::region::Kind;
use crate::log::survey::Survey;
use crate::refused::Refused;
use crate::repair::edits::Rule;
use crate::repair::pages::Pages;
use crate::replay::cut;

/// What is to be done to which log, and all that is known of it.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The log.
    pub log: &'a OpenLog,
    /// What was found in it.
    pub report: &'a Report,
    /// What is kept of it.
    pub rule: &'a Rule,
    /// Where it lies, in the user's words.
    pub path: &'a Path,
}

/// What was done.
pub struct Done {
    /// What is found in the new log.
    pub found: Found,
    /// Processes that may have the log open and could not be looked at.
    pub unseen: usize,
}

/// What is found in a new log.
#[derive(Default)]
pub struct Found {
    /// Something is still to be found.
    pub left: bool,
    /// The engine does not open it, with this error, though it opened the old one or gave another reason.
    pub refused: Option<String>,
}

/// What a repair keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Strategy {
    /// Every intact committed record, past damage too
    Salvage,
    /// What the engine would keep by itself
    Engine,
    /// Everything; only a torn end is cut off
    Tail,
}

impl Strategy {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Strategy::Salvage => "salvage",
            Strategy::Engine => "engine",
            Strategy::Tail => "tail",
        }
    }

    /// The rule by which edits are made; the engine recovers as the log was set up.
    ///
    /// # Errors
    /// See [`Strategy::rule_in`].
    pub fn rule(self, log: &OpenLog, report: &Report, undecided: bool, renumber: bool) -> Result<Rule> {
        self.rule_in(log, report, (undecided, renumber), None)
    }

    /// The same where the engine recovers in one of its [modes](crate::format::Profile::modes).
    ///
    /// # Errors
    /// Those of reading; [`Refused`] where the engine does not open the log that it is to decide on, or what it holds cannot be
    /// written.
    pub fn rule_in(
        self,
        log: &OpenLog,
        report: &Report,
        (undecided, renumber): (bool, bool),
        mode: Option<&str>,
    ) -> Result<Rule> {
        // Without its file a log of pages leads nowhere, and a journal leads back to one.
        let missing = report.remarks.iter().any(|r| r.code == Code::MissingFile);
        let format = log.format();
        let pages = (format.rolls_back() || format.profile().paged() && missing).then_some(Pages::Made);
        let salvage = Rule { undecided, renumber, verbatim: false, pages, ..Rule::verbatim() };
        Ok(match self {
            Strategy::Engine if pages.is_some() => Rule { by_engine: true, ..salvage },
            Strategy::Tail if format.rolls_back() => {
                let why = "a rollback journal is no log that can be cut; --strategy salvage rolls it back";
                return Err(Refused(format!("{}: {why}", report.path)).into());
            }
            // An engine takes the write with the highest number for the last one, wherever it lies.
            Strategy::Salvage => Rule { renumber: renumber || framed(log) && reuses(report), ..salvage },
            Strategy::Engine => {
                let (engine, mut applied) = asked(log, report, mode);
                let (halts, mut skips) = (halts(log, report, &engine)?, Vec::new());
                if framed(log) {
                    // An engine that reads a batch may have no need to apply it.
                    (skips, applied) = (skipped(&engine), None);
                }
                let kept = Rule { undecided: true, halts, skips, applied, by_engine: true, ..salvage };
                let afresh = afresh::differs(log, report, &kept, mode)?;
                if afresh && framed(log) {
                    return Err(Refused(format!("{}: {NO_CHOICE}", report.path)).into());
                }
                Rule { afresh, ..kept }
            }
            Strategy::Tail => Rule { to: torn(log, report), ..Rule::verbatim() },
        })
    }
}

const NO_CHOICE: &str = "no choice among its batches leaves what the engine holds: it applies part of a batch, or what it \
                         holds depends on more than the batches; replay --policy engine --into has that state";

/// Whether the records of a log are written anew where they get another place, which ties it to its catalogue and tables.
fn framed(log: &OpenLog) -> bool {
    let files = log.files();
    (0..files.len()).any(|file| log.format().framer(&files, file).is_some())
}

/// Whether numbers were given out again, so that later writes have lower ones than those that they follow.
fn reuses(report: &Report) -> bool {
    report.conclusions.repeats.iter().any(|repeat| repeat.kind == RepeatKind::Reused)
}

/// From where on the engine takes nothing over, by file; where a transaction is open there, from its begin.
fn halts(log: &OpenLog, report: &Report, engine: &Outcome) -> Result<Vec<Place>> {
    // What it leaves out in between tells itself by what it applies.
    let ends = engine.halts.iter().filter(|h| h.to == u64::MAX);
    let own = ends.map(|h| cut::whole(log, report, Place { file: h.file, at: h.at }));
    let mut places = own.collect::<Result<Vec<_>>>()?;
    for halt in engine.halts.iter().filter(|h| h.for_good) {
        let later = (0..report.files.len()).filter(|&file| report.reads_before(halt.file, file));
        places.extend(later.map(|file| Place { file, at: 0 }));
    }
    Ok(places)
}

/// What the engine leaves out before it goes on.
fn skipped(engine: &Outcome) -> Vec<Part> {
    let spans = engine.halts.iter().filter(|h| h.to < u64::MAX);
    spans.map(|h| Part { file: h.file, span: h.at..h.to }).collect()
}

/// The error with which the engine does not open a log as it is set up.
fn refusal(log: &OpenLog, report: &Report) -> Option<String> {
    let (files, surveys) = (log.files(), report.files.iter().map(|f| &f.survey).collect::<Vec<&Survey>>());
    let (surveys, revision) = (&surveys, log.revision);
    let job = Job { files: &files, surveys, revision, engine: None, mode: None, until: None };
    let outcome = log.format().engine(&job, None);
    (!outcome.opens && !outcome.unknown)
        .then(|| outcome.error.unwrap_or_else(|| "it reads the same bytes for ever".into()))
}

/// What the engine makes of the log, and offsets of the records that it applies, by file: a batch that an earlier one
/// swallowed is not among them. `None` where it may read a record's effect from elsewhere, as from a hint.
fn asked(log: &OpenLog, report: &Report, mode: Option<&str>) -> (Outcome, Option<Vec<Vec<u64>>>) {
    let files = log.files();
    let surveys: Vec<&Survey> = report.files.iter().map(|f| &f.survey).collect();
    let revision = log.revision;
    let job = Job { files: &files, surveys: &surveys, revision, engine: None, mode, until: None };
    let mut applied = vec![Vec::new(); files.len()];
    let mut take = |taken: Taken| applied[taken.place.file].push(taken.place.at);
    let outcome = log.format().engine(&job, Some(&mut take));
    applied.iter_mut().for_each(|places| places.sort_unstable());
    // Of pages only the newest images are told, and those before them are no less applied.
    let told = outcome.opens && !log.linked() && log.format().profile().numbered;
    (outcome, told.then_some(applied))
}

/// Where the torn end begins, if the log has one.
fn torn(log: &OpenLog, report: &Report) -> Option<Place> {
    let (file, last) =
        report.files.iter().enumerate().rev().find(|(_, f)| f.role == Role::Log && f.bytes > 0)?;
    if let Some(at) = cut::unwritten(log, report, file) {
        return Some(Place { file, at });
    }
    let region = last.survey.regions.as_slice().iter().rev().find(|r| !r.kind.sound())?;
    (region.kind == Kind::Torn).then_some(Place { file, at: region.at })
}
