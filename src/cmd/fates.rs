//! What has become of each record, for the commands that show records.

use std::ops::Range;

use crate::analysis::{FileReport, Report};
use crate::fate::{Standing, Standings};
use crate::format::{Context, Family, Unpack};
use crate::log::record::{Fix, Record, Trust};
use crate::log::region::{Kind, Region};
use crate::ui::row::Row;

/// Tells the fate of records: their standing, and where the engine stops.
pub struct Fates<'r> {
    standings: Standings<'r>,
    /// `None`: nobody knows what it does.
    halt: Option<u64>,
    /// What it leaves out in front of that, in order.
    left_out: Vec<Range<u64>>,
    /// What only the rest of the log tells of its records.
    pub context: Option<Box<dyn Context + 'r>>,
    /// Puts their contents together, where they lie in pieces or hold several operations.
    pub unpack: Option<Box<dyn Unpack + 'r>>,
    /// Names of column families.
    pub families: &'r [Family],
}

impl<'r> Fates<'r> {
    /// For the records of one file, in any order.
    pub fn new(report: &'r Report, file: usize) -> Self {
        let engine = report.forecast.as_ref().map(|f| &f.engine);
        let halt = match engine {
            Some(engine) if engine.unknown => None,
            Some(engine) if !engine.opens => Some(0),
            Some(engine) => {
                let own = engine.halts.iter().filter(|h| h.file == file && h.to == u64::MAX).map(|h| h.at);
                let earlier = engine
                    .halts
                    .iter()
                    .filter(|h| h.for_good && report.reads_before(h.file, file))
                    .map(|_| 0);
                own.chain(earlier).min().or(Some(u64::MAX))
            }
            None => Some(u64::MAX),
        };
        let spans = engine.iter().flat_map(|e| &e.halts).filter(|h| h.file == file && h.to != u64::MAX);
        let left_out = spans.map(|h| h.at..h.to).collect();
        let standings = Standings::new(report, file);
        Fates { standings, halt, left_out, context: None, unpack: None, families: &[] }
    }

    /// Status and fate of a record.
    pub fn of(&mut self, record: &Record) -> (&'static str, &'static str) {
        let status = match self.standings.region(record.at).map(|region| region.kind) {
            Some(Kind::Recovered) => "recovered",
            Some(Kind::Foreign) => "foreign",
            Some(Kind::Stale) => "stale",
            Some(Kind::Damage | Kind::Torn | Kind::Unreadable) => "damaged",
            _ => "intact",
        };
        let (standing, _) = self.standings.of(record);
        (status, self.fate(record, standing))
    }

    /// The report that it goes by.
    pub fn report(&self) -> &'r Report {
        self.standings.report()
    }

    /// The file whose records these are.
    pub fn file(&self) -> &'r FileReport {
        &self.report().files[self.standings.file()]
    }

    /// The region that holds an offset.
    pub fn region(&mut self, at: u64) -> Option<&'r Region> {
        self.standings.region(at)
    }

    /// What is the same for all operations of a record, in one of whose fields `mended` was put right.
    pub fn row(&mut self, record: &Record, mended: Option<Fix>) -> Row<'r> {
        let (status, fate) = self.of(record);
        let (_, known) = self.standings.of(record);
        let region = self.region(record.at);
        let fix = mended.or(known);
        let number = fix.filter(|f| f.field == "seq").and_then(|f| f.known()).unwrap_or(record.seq);
        Row {
            file: &self.file().name,
            at: record.at,
            len: record.len,
            seq: (record.next > record.seq).then_some(number),
            entry: None,
            family: None,
            operation: None,
            tx: (record.txn != 0).then_some(record.txn),
            status,
            fate,
            // Behind the live end only the place of a record was looked at.
            trust: (status != "stale").then(|| region.map_or(Trust::default(), |r| r.trust)),
            fix,
            cause: region.filter(|r| !r.kind.sound()).and_then(|r| Some((r.kind, r.cause?))),
        }
    }

    fn is_left_out(&self, at: u64) -> bool {
        let nth = self.left_out.partition_point(|span| span.end <= at);
        self.left_out.get(nth).is_some_and(|span| span.start <= at)
    }

    fn fate(&self, record: &Record, standing: Standing) -> &'static str {
        match standing {
            Standing::Foreign => "foreign",
            Standing::Stale => "stale",
            Standing::Damaged => "damaged",
            Standing::Uncommitted => "uncommitted",
            Standing::Incomplete => "incomplete-batch",
            Standing::Unread => "not-followed",
            _ if self.halt.is_none() => "unknown",
            _ if self.halt.is_some_and(|halt| record.at >= halt) => "beyond-halt",
            _ if self.is_left_out(record.at) => "dropped",
            Standing::Repeated => "repeated",
            _ if !record.mark.changes() => "mark",
            Standing::Undecided => "undecided",
            Standing::Committed => "applied",
        }
    }
}
