//! Bringing a log back: what to keep ([`edits`]), the plan of it ([`plan`]) as data ([`bound`]), and carrying it out ([`mod@write`]): into a copy
//! ([`target`]) or where the log lies ([`place`]), with a record of it ([`record`]) that takes it back ([`undo`]).

pub mod afresh;
pub mod bound;
pub mod edits;
pub mod held;
pub mod pages;
pub mod place;
pub mod plan;
pub mod rebuild;
pub mod record;
pub mod target;
pub mod undo;
pub mod write;

use std::path::Path;

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::format::Role;
use crate::format::{Job, Taken};
use crate::log::conclude::Place;
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
    /// Something is still to be found in the log.
    pub left: bool,
    /// Processes that may have the log open and could not be looked at.
    pub unseen: usize,
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

    /// The rule by which edits are made.
    ///
    /// # Errors
    /// Those of reading; [`Refused`] where the engine does not open the log that it is to decide on.
    pub fn rule(self, log: &OpenLog, report: &Report, undecided: bool, renumber: bool) -> Result<Rule> {
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
            Strategy::Salvage => salvage,
            Strategy::Engine => {
                let (halts, applied) = (halts(log, report)?, applied(log, report));
                let kept = Rule { undecided: true, halts, applied, by_engine: true, ..salvage };
                Rule { afresh: afresh::differs(log, report, &kept)?, ..kept }
            }
            Strategy::Tail => Rule { to: torn(report), ..Rule::verbatim() },
        })
    }
}

/// From where on the engine takes nothing over, by file; where a transaction is open there, from its begin.
fn halts(log: &OpenLog, report: &Report) -> Result<Vec<Place>> {
    let Some(engine) = report.forecast.as_ref().map(|f| &f.engine) else { return Ok(Vec::new()) };
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

/// Offsets of the records that the engine applies, by file: a batch that an earlier one swallowed is not among them. `None`
/// where it may read a record's effect from elsewhere, as from a hint.
fn applied(log: &OpenLog, report: &Report) -> Option<Vec<Vec<u64>>> {
    let files = log.files();
    // Of pages only the newest images are told, and those before them are no less applied.
    if log.linked() || !log.format().profile().numbered {
        return None;
    }
    let surveys: Vec<&Survey> = report.files.iter().map(|f| &f.survey).collect();
    let job = Job {
        files: &files,
        surveys: &surveys,
        revision: log.revision,
        engine: None,
        mode: None,
        until: None,
    };
    let mut applied = vec![Vec::new(); files.len()];
    let mut take = |taken: Taken| applied[taken.place.file].push(taken.place.at);
    let opens = log.format().engine(&job, Some(&mut take)).opens;
    applied.iter_mut().for_each(|places| places.sort_unstable());
    opens.then_some(applied)
}

/// Where the torn end begins, if the log has one.
fn torn(report: &Report) -> Option<Place> {
    let (file, last) =
        report.files.iter().enumerate().rev().find(|(_, f)| f.role == Role::Log && f.bytes > 0)?;
    let region = last.survey.regions.as_slice().iter().rev().find(|r| !r.kind.sound())?;
    (region.kind == Kind::Torn).then_some(Place { file, at: region.at })
}
