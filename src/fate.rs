//! What the report says of each record, told while moving along a file: committed, part of a batch that is not whole, or
//! none of this log's. `dump` prints it, `replay` and `repair` go by it.

use crate::analysis::Report;
use crate::log::conclude::RepeatKind;
use crate::log::record::{Fix, Mark, Record};
use crate::log::region::{Kind, Region};
use crate::log::survey::{BatchState, Grouping};

/// What becomes of a record by what lies around it, whatever the engine makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Committed,
    /// Of a batch without COMMIT.
    Uncommitted,
    /// Of a committed batch that lost another member.
    Incomplete,
    /// Nothing tells whether its batch was ever finished.
    Undecided,
    /// The same numbers lie in front of it already.
    Repeated,
    /// Of another log.
    Foreign,
    /// Of an older generation.
    Stale,
    /// No intact record.
    Damaged,
    /// Intact, and it holds more than is followed.
    Unread,
}

impl Standing {
    /// Every standing, in the order of their declaration.
    pub const ALL: [Standing; 9] = [
        Standing::Committed,
        Standing::Uncommitted,
        Standing::Incomplete,
        Standing::Undecided,
        Standing::Repeated,
        Standing::Foreign,
        Standing::Stale,
        Standing::Damaged,
        Standing::Unread,
    ];

    /// The word of reports, as in `dump`'s fates.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Committed => "committed",
            Standing::Uncommitted => "uncommitted",
            Standing::Incomplete => "incomplete-batch",
            Standing::Undecided => "undecided",
            Standing::Repeated => "repeated",
            Standing::Foreign => "foreign",
            Standing::Stale => "stale",
            Standing::Damaged => "damaged",
            Standing::Unread => "not-followed",
        }
    }
}

/// Tells the standing of the records of one file; quick when asked in order of offset, forwards or backwards.
pub struct Standings<'r> {
    report: &'r Report,
    file: usize,
    region: usize,
    /// Spans of records that share a standing, in order; only records up to a number have it.
    spans: Vec<(u64, u64, Standing, u64)>,
    span: usize,
    undecided_from: u64,
}

impl<'r> Standings<'r> {
    /// Of a file of the report.
    pub fn new(report: &'r Report, file: usize) -> Self {
        let conclusions = &report.conclusions;
        let unwhole = conclusions.batches.iter().filter(|u| u.file == file);
        let mut spans: Vec<_> = unwhole
            .filter_map(|u| {
                let standing = match u.batch.state {
                    BatchState::Orphan(_) => Standing::Uncommitted,
                    BatchState::LostMember | BatchState::NoBegin { hole: true } => Standing::Incomplete,
                    BatchState::NoBegin { hole: false } => return None,
                };
                Some((u.batch.at, u.batch.end, standing, u64::MAX))
            })
            .collect();
        let repeats = conclusions.repeats.iter().filter(|r| r.place.file == file);
        let twice = repeats.filter(|r| r.kind == RepeatKind::Repeated);
        // A run that is there twice may go on with numbers that are not.
        spans.extend(twice.map(|r| (r.place.at, r.place.at + r.len, Standing::Repeated, r.last)));
        spans.sort_by_key(|s| (s.0, s.1));
        Standings { report, file, region: 0, spans, span: 0, undecided_from: undecided_from(report, file) }
    }

    /// The report that it goes by.
    pub fn report(&self) -> &'r Report {
        self.report
    }

    /// The index of its file.
    pub fn file(&self) -> usize {
        self.file
    }

    /// The region that holds an offset.
    pub fn region(&mut self, at: u64) -> Option<&'r Region> {
        let regions = self.report.files[self.file].survey.regions.as_slice();
        while self.region > 0 && regions.get(self.region).is_none_or(|r| r.at > at) {
            self.region -= 1;
        }
        while regions.get(self.region).is_some_and(|r| r.end() <= at) {
            self.region += 1;
        }
        regions.get(self.region)
    }

    /// The standing of a record, and the field that was put right, where the decoder or its neighbours found one wrong.
    pub fn of(&mut self, record: &Record) -> (Standing, Option<Fix>) {
        let region = self.region(record.at);
        let standing = match region.map(|r| r.kind) {
            Some(Kind::Foreign) => Standing::Foreign,
            Some(Kind::Stale) => Standing::Stale,
            Some(Kind::Damage | Kind::Torn | Kind::Unreadable | Kind::Preallocated) => Standing::Damaged,
            _ => self.spanned(record),
        };
        (standing, region.filter(|r| r.kind == Kind::Recovered).and_then(|r| r.fix))
    }

    fn spanned(&mut self, record: &Record) -> Standing {
        let at = record.at;
        while self.span > 0 && self.spans.get(self.span).is_none_or(|s| s.0 > at) {
            self.span -= 1;
        }
        while self.spans.get(self.span).is_some_and(|s| s.1 <= at) {
            self.span += 1;
        }
        match self.spans.get(self.span).filter(|s| s.0 <= at && record.seq <= s.3) {
            Some(span) => span.2,
            None if record.mark == Mark::Unread => Standing::Unread,
            None if at >= self.undecided_from => Standing::Undecided,
            None => Standing::Committed,
        }
    }
}

/// From where on nothing tells whether a record belongs to an unfinished batch.
fn undecided_from(report: &Report, file: usize) -> u64 {
    let survey = &report.files[file].survey;
    let later = report.files[file + 1..].iter().any(|f| f.survey.last_commit.is_some());
    if survey.rules.grouping != Grouping::Undecided || later {
        u64::MAX
    } else {
        survey.last_commit.unwrap_or(0)
    }
}
