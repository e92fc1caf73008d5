//! What is out of the ordinary in one file; its memory follows the damage, not the log.
//!
//! Joining the surveys of neighbouring files is putting one behind the other: each keeps its first and last run and the
//! batch that is open at its end, and [`super::conclude`] draws the conclusions. So the join is associative by
//! construction, and files can be surveyed on any thread in any order.

use super::fault::Cause;
use super::numbering::{Numbering, Run};
use super::record::{Fix, Record, Trust};
use super::region::{Kind, Regions};

/// How the records of a format form batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Each record stands alone.
    None,
    /// BEGIN, members, COMMIT, contiguous and inside one file; outside, each record stands alone.
    BeginCommit,
    /// Everything since the last COMMIT waits for the next one.
    CommitOnly,
    /// Transactions have names and interleave, across files, too: the format tells those that are not whole.
    Named,
    /// There are COMMITs and nothing tells where a batch begins: what follows the last one is undecided.
    Undecided,
}

/// What a format promises about the order of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// See [`Numbering`].
    pub numbering: Numbering,
    /// See [`Grouping`].
    pub grouping: Grouping,
    /// Grounds on which a record in the unbroken chain is believed.
    pub trust: Trust,
}

impl Rules {
    /// Whether checksums cover the numbers: one that does not fit is not wrong, its record stands where it does not belong.
    pub fn proves_numbers(&self) -> bool {
        self.grouping == Grouping::Named
    }
}

/// A batch that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What is wrong with it.
    pub state: BatchState,
    /// Offset of its first record.
    pub at: u64,
    /// Offset behind its last one.
    pub end: u64,
    /// First and last number.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Records, marks included.
    pub records: u64,
    /// Records that change something.
    pub data: u64,
}

/// See [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// It never committed.
    Orphan(Ended),
    /// BEGIN and COMMIT are there, a record between them is not.
    LostMember,
    /// A COMMIT with its members, but the BEGIN is missing. `hole`: numbers are missing before it.
    NoBegin {
        /// See above.
        hole: bool,
    },
}

/// What came before the COMMIT of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The end of the file.
    File,
    /// Another BEGIN.
    Begin,
    /// Missing numbers.
    Hole,
    /// A record of it that was torn.
    Torn,
    /// Nothing, though it is prepared.
    Prepared,
}

/// How a file ends whose last record is intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// With that record, or with what engines leave behind it.
    Whole,
    /// Something must follow: it was torn between two writes.
    BreaksOff,
    /// With zeros that no engine writes ahead: something that never reached the disk.
    Unwritten,
}

/// The survey of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// See [`Rules`].
    pub rules: Rules,
    /// Tiles the file.
    pub regions: Regions,
    /// How the last record stands to the end of the file.
    pub ends: Ends,
    /// Runs of consecutive numbers, in order of offset.
    pub runs: Vec<Run>,
    /// Breaks in the numbers beyond the bound, not in `runs`.
    pub runs_unlisted: u64,
    /// Batches that are not whole.
    pub batches: Vec<Batch>,
    /// Such batches beyond the bound.
    pub batches_unlisted: u64,
    /// The batch that is open at the end of the file.
    pub open: Option<Batch>,
    /// Whether any BEGIN was met, any COMMIT.
    pub begins: u64,
    /// See `begins`.
    pub commits: u64,
    /// Intact records that change something, and the last of them that a COMMIT follows in this file.
    pub data: u64,
    /// See `data`.
    pub data_to_last_commit: u64,
    /// Offset behind the last COMMIT, where commits leave open what follows them.
    pub last_commit: Option<u64>,
    /// Recovered records that change something.
    pub recovered_data: u64,
    /// Whole damage events met, before any merging.
    pub damages: u64,
    /// Perfect records inside damage.
    pub embedded: Vec<u64>,
    /// A record whose checksum holds contradicts itself: the file is not sound, and none of its bytes is called damage.
    pub marred: bool,
    /// Names of transactions, in order of the offset of their first record, where they have any.
    pub names: Vec<(u64, Box<str>)>,
    /// Its records are those of another file, or the first of them; index of that file.
    pub copy_of: Option<usize>,
    /// Records that hold more than is followed, by their places.
    pub unread: Vec<u64>,
    /// Gaps that a repair has stated: offset of the statement, first and last number.
    pub stated: Vec<(u64, u64, u64)>,
}

impl Survey {
    /// Whether transactions are prepared in it, which engines can be opened with or without a mind for.
    pub fn prepares(&self) -> bool {
        self.rules.grouping == Grouping::Named && self.begins > 0
    }

    /// The survey of nothing, with at most so many regions, and as many anomalies of each other kind.
    pub fn up_to(limit: usize, rules: Rules) -> Self {
        Survey {
            rules,
            ends: Ends::Whole,
            regions: Regions::up_to(limit),
            // As for the regions: most files have one.
            runs: Vec::with_capacity(1),
            runs_unlisted: 0,
            batches: Vec::new(),
            batches_unlisted: 0,
            open: None,
            begins: 0,
            commits: 0,
            data: 0,
            data_to_last_commit: 0,
            last_commit: None,
            recovered_data: 0,
            damages: 0,
            embedded: Vec::new(),
            marred: false,
            names: Vec::new(),
            copy_of: None,
            unread: Vec::new(),
            stated: Vec::new(),
        }
    }

    /// The record at `at`, whose number looked wrong, turned out to be intact.
    pub fn reinstate(&mut self, at: u64) {
        if self.regions.reinstate(at) {
            self.data += 1;
            self.recovered_data = self.recovered_data.saturating_sub(1);
            self.damages = self.damages.saturating_sub(1);
        }
    }

    /// Takes back a record that was accepted, as its contents or its neighbours contradict it. `before`: intact records
    /// in front of it in its region. With a `fix` it counts as recovered, without one as lost. `false`: it is not there.
    pub fn reject(&mut self, r: &Record, before: u64, cause: Cause, fix: Option<Fix>) -> bool {
        let kind = if fix.is_some() { Kind::Recovered } else { Kind::Damage };
        if !self.regions.single_out((r.at, r.end()), before, kind, cause, fix) {
            return false;
        }
        let data = u64::from(r.mark.changes());
        self.damages += 1;
        self.data = self.data.saturating_sub(data);
        let run = self.runs.iter().position(|run| run.at <= r.at && r.end() <= run.end);
        if fix.is_some() {
            self.recovered_data += data;
            if let Some(i) = run {
                self.runs[i].data = self.runs[i].data.saturating_sub(data);
            }
            return true;
        }
        // Its number is missing from now on.
        if let Some(i) = run {
            let run = self.runs[i];
            let front = r.seq.saturating_sub(run.first).min(run.records.saturating_sub(1));
            let back = run.records.saturating_sub(front + 1);
            let left = Run { next: r.seq, end: r.at, records: front, data: front.min(run.data), ..run };
            let data = run.data.saturating_sub(left.data + data);
            let right = Run { first: r.next, at: r.end(), records: back, data, ..run };
            self.runs.splice(i..=i, [left, right].into_iter().filter(|run| run.records > 0));
        }
        true
    }

    /// Intact records before the first bad byte and behind it, and recovered ones.
    pub fn counts(&self) -> (u64, u64, u64) {
        let first_bad = self.regions.first_bad().unwrap_or(u64::MAX);
        let (mut before, mut after, mut recovered) = (0, 0, 0);
        for r in self.regions.as_slice() {
            match r.kind {
                Kind::Records if r.at < first_bad => before += r.records,
                Kind::Records | Kind::Mixed => after += r.records,
                Kind::Recovered => recovered += r.records,
                _ => {}
            }
        }
        (before, after, recovered)
    }
}
