//! Bringing a log back: what to keep ([`edits`]), the plan of it ([`plan`]) as data ([`bound`]), and carrying it out ([`write`]): into a copy
//! ([`target`]) or where the log lies ([`place`]), with a record of it ([`record`]) that takes it back ([`undo`]).

pub mod bound;
pub mod edits;
pub mod place;
pub mod plan;
pub mod rebuild;
pub mod record;
pub mod target;
pub mod undo;
pub mod write;

use crate::analysis::Report;
use crate::log::conclude::Place;
use crate::log::region::Kind;
use crate::repair::edits::Rule;

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
    pub fn rule(self, report: &Report, undecided: bool, renumber: bool) -> Rule {
        let salvage = Rule { undecided, renumber, verbatim: false, ..Rule::verbatim() };
        match self {
            Strategy::Salvage => salvage,
            Strategy::Engine => Rule { undecided: true, halts: halts(report), by_engine: true, ..salvage },
            Strategy::Tail => Rule { to: torn(report), ..Rule::verbatim() },
        }
    }
}

/// From where on the engine takes nothing over, by file.
fn halts(report: &Report) -> Vec<Place> {
    let Some(engine) = report.forecast.as_ref().map(|f| &f.engine) else { return Vec::new() };
    let mut places: Vec<Place> = engine.halts.iter().map(|h| Place { file: h.file, at: h.at }).collect();
    for halt in engine.halts.iter().filter(|h| h.for_good) {
        let later = (0..report.files.len()).filter(|&file| report.reads_before(halt.file, file));
        places.extend(later.map(|file| Place { file, at: 0 }));
    }
    places
}

/// Where the torn end begins, if the log has one and nothing else is wrong in that file.
fn torn(report: &Report) -> Option<Place> {
    let (file, last) = report.files.iter().enumerate().rev().find(|(_, f)| f.role.counts() && f.bytes > 0)?;
    let region = last.survey.regions.as_slice().iter().find(|r| !r.kind.sound())?;
    (region.kind == Kind::Torn).then_some(Place { file, at: region.at })
}
