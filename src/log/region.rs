//! Regions tile a file: every byte belongs to exactly one, in order.

use super::fault::Cause;
use super::record::{Fix, Trust};

/// What a stretch of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Intact records, back to back.
    Records,
    /// Parts of the format that are not records: headers, indexes, footers, marks.
    Framing,
    /// One record with one wrong field whose true value is known.
    Recovered,
    /// Bytes that belong to no provable record.
    Damage,
    /// The file ends inside its last record.
    Torn,
    /// Records that pass every check and yet belong to another log.
    Foreign,
    /// Zeros that the engine wrote ahead.
    Preallocated,
    /// Records of an older generation.
    Stale,
    /// The system could not read them.
    Unreadable,
    /// Intact records and damage, no longer told apart: the bound on findings was reached.
    Mixed,
}

impl Kind {
    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Records => "records",
            Kind::Framing => "framing",
            Kind::Recovered => "recovered",
            Kind::Damage => "damage",
            Kind::Torn => "torn",
            Kind::Foreign => "foreign",
            Kind::Preallocated => "preallocated",
            Kind::Stale => "stale",
            Kind::Unreadable => "unreadable",
            Kind::Mixed => "mixed",
        }
    }

    /// Whether bytes of this kind are part of an unbroken chain of intact records.
    pub fn sound(self) -> bool {
        matches!(self, Kind::Records | Kind::Framing | Kind::Preallocated | Kind::Stale)
    }
}

/// A stretch of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Offset of its first byte.
    pub at: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// What it is.
    pub kind: Kind,
    /// Why it is damage, where it is.
    pub cause: Option<Cause>,
    /// The field put right, in a recovered record.
    pub fix: Option<Fix>,
    /// Records in it.
    pub records: u64,
    /// On which grounds its records are believed.
    pub trust: Trust,
}

impl Region {
    /// Offset behind its last byte.
    pub fn end(&self) -> u64 {
        self.at + self.len
    }
}

/// More regions than this per file are merged into one `Mixed` at the end: memory stays bounded on any input.
pub const MAX_REGIONS: usize = 1 << 15;

/// The bound of commands that go by every single region, as a repair does: some hundred MiB of memory at the worst.
pub const MANY_REGIONS: usize = 1 << 20;

/// The regions of one file, in order and without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    list: Vec<Region>,
    limit: usize,
}

impl Default for Regions {
    fn default() -> Self {
        Regions::up_to(MAX_REGIONS)
    }
}

impl Regions {
    /// None yet, and never many more than `limit`. Room for one, as most files need: for the usual four it would be most
    /// of the memory of a million files.
    pub fn up_to(limit: usize) -> Regions {
        Regions { list: Vec::with_capacity(1), limit }
    }

    /// Whether no more are told apart.
    pub fn full(&self) -> bool {
        self.list.len() >= self.limit
    }

    /// How many are told apart at the most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Region] {
        &self.list
    }

    /// Offset behind the last byte accounted for.
    pub fn end(&self) -> u64 {
        self.list.last().map_or(0, Region::end)
    }

    /// Adds the next stretch; joins it to the last one where nothing distinguishes them.
    ///
    /// # Panics
    /// When bytes would be counted twice or left out: the one invariant that finds most decoder mistakes.
    pub fn push(&mut self, next: Region) {
        assert_eq!(next.at, self.end(), "regions must tile the file");
        if next.len == 0 {
            return;
        }
        let full = self.full();
        match self.list.last_mut() {
            Some(last) if last.kind == next.kind && matches!(last.kind, Kind::Stale | Kind::Foreign) => {
                last.len += next.len;
                last.records += next.records;
            }
            Some(last) if last.kind == next.kind && next.kind == Kind::Framing => last.len += next.len,
            Some(last) if full => {
                last.kind = Kind::Mixed;
                last.len += next.len;
                last.records += if next.kind == Kind::Records { next.records } else { 0 };
                last.fix = None;
            }
            _ => self.list.push(next),
        }
    }

    /// Extends the last region by intact records: the hot path of a survey. `split` begins a new region, so that
    /// every run of consecutive numbers has regions of its own.
    #[inline]
    pub fn extend_records(&mut self, at: u64, end: u64, records: u64, trust: Trust, split: bool) {
        debug_assert_eq!(at, self.end(), "regions must tile the file");
        let full = self.full();
        match self.list.last_mut() {
            Some(last) if last.kind == Kind::Mixed || (last.kind == Kind::Records && (!split || full)) => {
                last.len += end - at;
                last.records += records;
            }
            Some(_) if full => {
                self.push(Region {
                    at,
                    len: end - at,
                    kind: Kind::Records,
                    cause: None,
                    fix: None,
                    records,
                    trust,
                });
            }
            _ if at < end => self.list.push(Region {
                at,
                len: end - at,
                kind: Kind::Records,
                cause: None,
                fix: None,
                records,
                trust,
            }),
            _ => {}
        }
    }

    /// The last region may end in a record that turned out not to be one: gives its bytes back.
    pub fn retract(&mut self, at: u64) {
        while let Some(last) = self.list.last_mut() {
            if last.at >= at {
                self.list.pop();
            } else {
                last.len = at - last.at;
                last.records = last.records.saturating_sub(1);
                break;
            }
        }
    }

    /// Turns every region of intact records inside `from..to` into `kind`: what neighbours reveal afterwards.
    pub fn reclass(&mut self, from: u64, to: u64, kind: Kind, cause: Cause, fix: Option<Fix>) {
        let first = self.list.partition_point(|r| r.at < from);
        for r in self.list[first..].iter_mut().take_while(|r| r.end() <= to) {
            if r.kind == Kind::Records {
                (r.kind, r.cause, r.fix) = (kind, Some(cause), fix);
            }
        }
    }

    /// Takes the record `at..end` out of its region of intact ones, of which `before` lie in front of it there, and
    /// makes it a region of `kind`. `false` where no such region holds it.
    pub fn single_out(
        &mut self,
        (at, end): (u64, u64),
        before: u64,
        kind: Kind,
        cause: Cause,
        fix: Option<Fix>,
    ) -> bool {
        let i = self.list.partition_point(|r| r.end() <= at);
        let Some(&whole) =
            self.list.get(i).filter(|r| r.kind == Kind::Records && r.at <= at && end <= r.end())
        else {
            return false;
        };
        if at >= end || before >= whole.records {
            return false;
        }
        let records = u64::from(fix.is_some());
        let parts = [
            Region { len: at - whole.at, records: before, ..whole },
            Region { at, len: end - at, kind, cause: Some(cause), fix, records, ..whole },
            Region { at: end, len: whole.end() - end, records: whole.records - before - 1, ..whole },
        ];
        self.list.splice(i..=i, parts.into_iter().filter(|r| r.len > 0));
        true
    }

    /// Turns the framing at `at` into damage: what a look at the whole file reveals afterwards.
    pub fn condemn(&mut self, at: u64, cause: Cause) {
        let first = self.list.partition_point(|r| r.end() <= at);
        if let Some(r) = self.list.get_mut(first).filter(|r| r.at <= at && r.kind == Kind::Framing) {
            (r.kind, r.cause) = (Kind::Damage, Some(cause));
        }
    }

    /// How many records lie in the stale region at `at`: nobody counts them while the file is read.
    pub fn count(&mut self, at: u64, records: u64) {
        if let Some(r) = self.list.iter_mut().find(|r| r.at == at && r.kind == Kind::Stale) {
            r.records = records;
        }
    }

    /// Gives every region that is not sound and overlaps `range` another kind and cause.
    pub fn rename(&mut self, range: &std::ops::Range<u64>, kind: Kind, cause: Cause) {
        let first = self.list.partition_point(|r| r.end() <= range.start);
        for r in self.list[first..].iter_mut().take_while(|r| r.at < range.end).filter(|r| !r.kind.sound()) {
            (r.kind, r.cause) = (kind, Some(cause));
        }
    }

    /// Makes the recovered record at `at` an intact one; whether there was one.
    pub fn reinstate(&mut self, at: u64) -> bool {
        let i = self.list.partition_point(|r| r.end() <= at);
        match self.list.get_mut(i).filter(|r| r.at == at && r.kind == Kind::Recovered) {
            Some(r) => {
                (r.kind, r.cause, r.fix) = (Kind::Records, None, None);
                true
            }
            None => false,
        }
    }

    /// The region that holds `at`.
    pub fn find(&self, at: u64) -> Option<&Region> {
        let i = self.list.partition_point(|r| r.end() <= at);
        self.list.get(i).filter(|r| r.at <= at)
    }

    /// The first byte that does not belong to the unbroken chain from the start of the file.
    pub fn first_bad(&self) -> Option<u64> {
        self.list.iter().find(|r| !r.kind.sound()).map(|r| r.at)
    }
}
