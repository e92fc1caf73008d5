//! Transactions that are prepared and neither committed nor rolled back: a repair keeps them for their application to decide
//! upon, or leaves them out.

use serde_json::{Value, json};

use crate::analysis::Report;
use crate::log::conclude::Place;
use crate::log::survey::{BatchState, Ended};
use crate::repair::edits::Rule;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its name, if it has one.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// Where its record begins.
    pub at: u64,
    /// Whether it is kept.
    pub kept: bool,
}

impl Prepared {
    /// As data.
    pub fn json(&self) -> Value {
        json!({ "name": self.name, "file": self.file, "offset": self.at, "kept": self.kept })
    }
}

/// Those of a log, in its order, and what a rule makes of them. `waiting`: what is prepared and not ended among the records
/// that are kept, by place and name, where they were gone through: a cut may leave out an end.
pub fn list(report: &Report, rule: &Rule, waiting: Option<Vec<(Place, String)>>) -> Vec<Prepared> {
    let open = |state| matches!(state, BatchState::Orphan(Ended::Prepared));
    let all = report.conclusions.batches.iter().filter(|u| open(u.batch.state));
    let inside = |place: &Place| {
        rule.to.is_none_or(|to| *place < to) && rule.from.is_none_or(|from| *place >= from) && rule.prepared
    };
    let all = all
        .map(|u| (Place { file: u.file, at: u.batch.at }, report.name_of(u).unwrap_or_default().to_owned()));
    let (mut kept, left_out): (Vec<_>, Vec<_>) = all.partition(|(place, _)| inside(place));
    kept = waiting.unwrap_or(kept);
    let told = |kept: bool, all: Vec<(Place, String)>| {
        all.into_iter().map(move |(place, name)| {
            (place, Prepared { name, file: report.files[place.file].name.to_string(), at: place.at, kept })
        })
    };
    let mut all: Vec<_> = told(true, kept).chain(told(false, left_out)).collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, prepared)| prepared).collect()
}
