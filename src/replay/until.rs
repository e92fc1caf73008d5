//! Points at which a log can be cut without tearing a transaction.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::fate::Standing;
use crate::log::conclude::Place;
use crate::log::record::Mark;
use crate::log::survey::{BatchState, Grouping};
use crate::replay::Policy;
use crate::replay::walk::{Item, walk};

/// Up to where a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The record with this number.
    Seq(u64),
    /// The commit with this ordinal: the intact ones are counted in the order of the log, from 1. Where transactions have
    /// names, a batch that is no part of one is a commit, too.
    Commit(u64),
}

/// What stands in front of the ordinal of a commit.
const COMMIT: &str = "commit:";

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Point, String> {
        let (number, point): (_, fn(u64) -> Point) = match text.strip_prefix(COMMIT) {
            Some(ordinal) => (ordinal, Point::Commit),
            None => (text, Point::Seq),
        };
        number.parse().map(point).map_err(|_| {
            format!("{text} is no point in a log; write a sequence number, or {COMMIT}N for the N-th commit")
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Seq(seq) => write!(f, "{seq}"),
            Point::Commit(ordinal) => write!(f, "{COMMIT}{ordinal}"),
        }
    }
}

/// What lies behind a [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first record above it, in the order of the log; where its transaction begins before it, that place.
    pub at: Place,
    /// A transaction reaches past the point and is cut off whole.
    pub transaction: bool,
    /// Where nothing tells the transactions: what lies behind the last COMMIT up to the point begins here.
    pub undecided: Option<Place>,
    /// Records with data from `at` on.
    pub records: u64,
}

impl Cut {
    /// Where a policy stops. `undecided`: records of which nothing tells whether their transaction is whole do count.
    pub fn place(&self, policy: Policy, undecided: bool) -> Place {
        if undecided || policy == Policy::Salvage { self.at } else { self.undecided.unwrap_or(self.at) }
    }
}

/// Where the records behind a point begin; a transaction that reaches past it is cut off whole. `None`: there are none.
/// Where numbers repeat, the first record above the one asked for in the order of the log decides.
///
/// # Errors
/// Where records carry no numbers, or make no transactions.
pub fn find(log: &OpenLog, report: &Report, point: Point) -> Result<Option<Cut>> {
    let profile = log.format().profile();
    let single = || report.files.iter().all(|f| f.survey.rules.grouping == Grouping::None);
    match point {
        Point::Seq(_) if !profile.numbered => {
            bail!("{}: its records carry no sequence numbers to cut at", profile.name)
        }
        Point::Commit(_) if single() => {
            bail!("{}: its records make no transactions, so there are no commits to count", profile.name)
        }
        _ => {}
    }
    let mut search = Search::new(report, point);
    walk(log, report, None, &mut |item: &Item<'_>| {
        search.record(item);
        Ok(())
    })?;
    Ok(search.cut)
}

/// Whether there are COMMITs and nothing tells where their transactions begin.
fn unmarked(report: &Report) -> bool {
    let surveys = || report.files.iter().map(|f| &f.survey);
    let untold = report.revision.is_none() && report.format.profile().revisions.len() > 1;
    surveys().any(|s| s.rules.grouping == Grouping::Undecided)
        || untold && surveys().any(|s| s.commits > 0) && surveys().all(|s| s.begins == 0)
}

struct Search {
    point: Point,
    /// Commits so far.
    commits: u64,
    /// Where batches begin whose BEGIN lies in a hole.
    headless: BTreeSet<Place>,
    /// COMMITs without BEGIN: all that lies between them and the one before was their batch.
    bare: BTreeSet<Place>,
    /// A record that is no part of a transaction commits itself.
    own: bool,
    /// Batches cannot be told from single writes.
    unmarked: bool,
    /// Where the transaction began that is under way, and its records with data so far.
    open: Option<(Place, u64)>,
    /// The same for all since the last COMMIT.
    tail: Option<(Place, u64)>,
    /// Where to cut instead, should the next mark be a bare COMMIT.
    instead: Option<(Place, u64)>,
    cut: Option<Cut>,
}

impl Search {
    fn new(report: &Report, point: Point) -> Search {
        let places = |wanted: BatchState| {
            let batches = report.conclusions.batches.iter().filter(move |u| u.batch.state == wanted);
            batches.map(|u| Place { file: u.file, at: u.batch.at }).collect()
        };
        Search {
            point,
            commits: 0,
            headless: places(BatchState::NoBegin { hole: true }),
            bare: places(BatchState::NoBegin { hole: false }),
            own: report.files.iter().any(|f| f.survey.rules.grouping == Grouping::Named),
            unmarked: unmarked(report),
            open: None,
            tail: None,
            instead: None,
            cut: None,
        }
    }

    fn record(&mut self, item: &Item<'_>) {
        if matches!(
            item.standing,
            Standing::Foreign | Standing::Stale | Standing::Damaged | Standing::Repeated
        ) {
            return;
        }
        self.begin(item);
        let place = item.place();
        self.tail = self.tail.or(Some((place, 0)));
        let behind = match self.point {
            Point::Seq(seq) => item.seq().is_some_and(|n| n > seq),
            Point::Commit(ordinal) => self.commits >= ordinal,
        };
        if self.cut.is_none() && behind {
            self.cut(place);
        }
        let mark = item.record.mark;
        let own = self.own && matches!(mark, Mark::Data | Mark::Unread);
        self.commits += u64::from(own || mark.commits());
        match item.record.mark {
            Mark::Commit => {
                let instead = self.instead.take().filter(|_| self.bare.contains(&place));
                if let (Some(cut), Some((at, before))) = (&mut self.cut, instead) {
                    (cut.at, cut.transaction) = (at, at != cut.at || cut.transaction);
                    cut.records += before;
                }
                (self.open, self.tail) = (None, None);
            }
            Mark::Last => {
                self.cut = self.cut.map(|cut| Cut { records: cut.records + 1, ..cut });
                (self.open, self.tail) = (None, None);
            }
            Mark::Data => {
                let one_more = |span: Option<(Place, u64)>| span.map(|(at, records)| (at, records + 1));
                (self.open, self.tail) = (one_more(self.open), one_more(self.tail));
                self.cut = self.cut.map(|cut| Cut { records: cut.records + 1, ..cut });
            }
            _ => {}
        }
    }

    /// Whether a transaction begins or ends before this record.
    fn begin(&mut self, item: &Item<'_>) {
        let place = item.place();
        if item.record.mark == Mark::Begin || self.headless.contains(&place) {
            (self.open, self.instead) = (Some((place, 0)), None);
        }
        // An orphan is no transaction: its records stand or fall one by one.
        if item.standing == Standing::Uncommitted {
            self.open = None;
        }
    }

    fn cut(&mut self, place: Place) {
        let (at, records) = self.open.unwrap_or((place, 0));
        let undecided = self.tail.filter(|_| self.unmarked).map(|(at, _)| at);
        self.instead = self.tail.filter(|_| self.open.is_none());
        self.cut = Some(Cut { at, transaction: at != place, undecided, records });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_as_they_are_written() {
        for point in [Point::Seq(0), Point::Seq(u64::MAX), Point::Commit(0), Point::Commit(12)] {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        for wrong in ["", "x", "-1", "commit", "commit:", "commit:-1", "commit 3", "Commit:3"] {
            assert!(wrong.parse::<Point>().is_err(), "{wrong}");
        }
    }
}
