//! Transactions that are prepared and neither committed nor rolled back: a repair keeps them for their application to decide
//! upon, or leaves them out.

use serde_json::{Value, json};

use crate::analysis::Report;
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

/// Those of a log, in its order, and what a rule makes of them.
pub fn list(report: &Report, rule: &Rule) -> Vec<Prepared> {
    let open = |state| matches!(state, BatchState::Orphan(Ended::Prepared));
    let all = report.conclusions.batches.iter().filter(|u| open(u.batch.state));
    let inside = |file: usize, at: u64| {
        rule.to.is_none_or(|to| (file, at) < (to.file, to.at))
            && rule.from.is_none_or(|from| (file, at) >= (from.file, from.at))
    };
    let listed = all.map(|u| Prepared {
        name: report.name_of(u).unwrap_or_default().to_owned(),
        file: report.files[u.file].name.to_string(),
        at: u.batch.at,
        kept: rule.prepared && inside(u.file, u.batch.at),
    });
    listed.collect()
}
