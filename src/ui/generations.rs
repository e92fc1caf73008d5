//! Generations of a log, and what damage cost its transactions: what `gaps` says beside missing numbers.

use serde_json::json;

use crate::analysis::Report;
use crate::findings::{plural, span};
use crate::format::Generation;
use crate::log::conclude::Gap;
use crate::log::survey::{BatchState, Grouping};
use crate::ui::json::number;

/// What is left of a generation, in a line.
pub fn line(generation: &Generation, record: &str) -> String {
    let Generation { newest, oldest, restarts, left } = generation;
    let name = if newest == oldest {
        let count = restarts.map_or(String::new(), |count| format!(" (checkpoint {count})"));
        format!("generation {newest}{count}")
    } else {
        format!("generations {oldest}..{newest}")
    };
    let Some(left) = left else { return format!("{name}: nothing left") };
    let frames = plural((left.last - left.first).saturating_add(1), record);
    let commits = plural(left.commits, "commit");
    let before = left.first.saturating_sub(1);
    let lost = if before > 0 { format!("; {} written over", span(1, before)) } else { String::new() };
    format!("{name}: {} left, {frames} with {commits}{lost}", span(left.first, left.last))
}

/// The same for machines.
pub fn row(report: &Report, generation: &Generation) -> serde_json::Value {
    let left = generation.left.map(|left| {
        json!({
            "file": &*report.files[left.file].name, "offset": left.at,
            "first": number(left.first), "last": number(left.last), "commits": left.commits,
        })
    });
    json!({
        "newest": generation.newest, "oldest": generation.oldest,
        "checkpoint": generation.restarts, "left": left,
    })
}

/// What a gap cost transactions, where each record belongs to one that its last record commits; the committed ones that
/// count as incomplete for it, by their first and last numbers.
pub struct Cost {
    /// So many transactions at the most lost a record, and one at the least: nothing tells which lost records committed.
    pub most: u64,
    /// Their COMMIT is still there.
    pub incomplete: Vec<(u64, u64)>,
}

impl Cost {
    /// Of this gap; `None`: the format has no such transactions, or nothing is missing after all.
    pub fn of(report: &Report, gap: &Gap) -> Option<Cost> {
        let rules = report.files.get(gap.before.file)?.survey.rules;
        let most = (gap.last - gap.first).saturating_add(1).saturating_sub(gap.recovered);
        if rules.grouping != Grouping::CommitOnly || most == 0 {
            return None;
        }
        let batches = report.conclusions.batches.iter().map(|unwhole| &unwhole.batch);
        let lost = batches.filter(|batch| batch.state == BatchState::LostMember);
        let near = lost.filter(|batch| batch.first <= gap.last.saturating_add(1) && batch.last > gap.last);
        Some(Cost { most, incomplete: near.map(|batch| (batch.first, batch.last)).collect() })
    }

    /// In a line.
    pub fn line(&self) -> String {
        let lost = match self.most {
            1 => "one transaction lost a record".to_owned(),
            most => format!("1 to {most} transactions lost records"),
        };
        let batches: Vec<String> = self.incomplete.iter().map(|&(first, last)| span(first, last)).collect();
        match batches.is_empty() {
            true => lost,
            false => format!("{lost}; incomplete, though committed: {}", batches.join(", ")),
        }
    }

    /// The same for machines.
    pub fn row(&self) -> serde_json::Value {
        let incomplete = self.incomplete.iter();
        let incomplete = incomplete.map(|&(a, b)| json!({ "first": number(a), "last": number(b) }));
        json!({ "least": 1, "most": self.most, "incomplete": incomplete.collect::<Vec<_>>() })
    }
}
