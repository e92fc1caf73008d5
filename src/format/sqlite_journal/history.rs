//! A journal as a history of pages: what it rolls back, or what is left of the transactions before.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;

use super::decoder::JournalDecoder;
use super::engine::{Hot, hot, is_hot};
use super::facts::Facts;
use super::pages::{Rollback, undo_last_commit};
use crate::format::LogFile;
use crate::format::sqlite::history::{Change, History, Sources};
use crate::log::bytes::Reader;
use crate::log::decoder::Recovery;
use crate::log::record::Record;
use crate::log::region::Kind;
use crate::log::scan::{Sink, scan};

/// See the top of this file.
pub struct JournalHistory<'a> {
    sources: Sources<'a>,
    /// All records that are not read any more, in order of offset, once somebody has asked for one.
    left: OnceCell<Vec<Record>>,
}

impl<'a> JournalHistory<'a> {
    /// Of the journal with this index; `None` where nothing tells what its pages look like.
    pub fn of(files: &'a [LogFile<'a>], log: usize) -> Option<Self> {
        let page_bytes = Facts::of(files, log).shape.map(|shape| shape.page_bytes);
        Some(JournalHistory { sources: Sources::of(files, log, page_bytes)?, left: OnceCell::new() })
    }

    /// The records between two offsets, or of the whole file as its engine reads it, and what that does not read.
    fn records(&self, mut decoder: JournalDecoder, from: u64, to: u64) -> Records {
        let mut records = Records { to, found: Vec::new(), stale: Vec::new() };
        scan(&mut Reader::new(self.log()), &mut decoder, from, &mut records);
        records
    }

    /// The records in what is not read any more.
    fn left_in(&self, stale: &Recovery) -> Vec<Record> {
        let facts = Facts::of(self.sources.files, self.sources.log);
        self.records(JournalDecoder::stale_at(facts, stale.from), stale.from, stale.resume).found
    }

    /// A transaction of those records that are taken for it, and another one, of which nothing is known, of the rest.
    fn split(records: Vec<Record>, taken: &BTreeSet<u64>, change: Change) -> [Change; 2] {
        let (own, others) = records.into_iter().partition(|record| taken.contains(&record.at));
        let rest = Change { records: others, generation: -2, pages: None, counts: false };
        [Change { records: own, ..change }, rest]
    }
}

impl History for JournalHistory<'_> {
    fn sources(&self) -> &Sources<'_> {
        &self.sources
    }

    fn head(&self) -> u64 {
        super::RECORD.fixed()
    }

    fn play(&self, each: &mut dyn FnMut(Change) -> bool) {
        let Sources { files, log, .. } = self.sources;
        let facts = Facts::of(files, log);
        let live = self.records(JournalDecoder::new(facts), 0, u64::MAX);
        let mut changes = Vec::new();
        if let Some(rollback) = Rollback::of(files, log, u64::MAX) {
            let taken = rollback.images.values().copied().collect();
            let counts = hot(files, log) != Hot::Committed;
            let change = Change { pages: Some(rollback.pages), counts, ..Change::default() };
            changes.extend(Self::split(live.found, &taken, change));
        }
        for range in live.stale {
            let left = self.left_in(&range);
            let undone = undo_last_commit(files).ok();
            let taken = undone.iter().flat_map(|undone| undone.places()).collect();
            let pages = undone.and_then(|undone| undone.old.pages);
            let change = Change { generation: -1, pages, ..Change::default() };
            changes.extend(Self::split(left, &taken, change));
        }
        changes.retain(|change| !change.records.is_empty());
        for change in changes {
            if !each(change) {
                return;
            }
        }
    }

    fn behind(&self, span: Range<u64>, last: bool) -> Option<Record> {
        let left = self.left.get_or_init(|| {
            let facts = Facts::of(self.sources.files, self.sources.log);
            let stale = self.records(JournalDecoder::new(facts), 0, u64::MAX).stale;
            stale.iter().flat_map(|stale| self.left_in(stale)).collect()
        });
        let from = left.partition_point(|record| record.at < span.start);
        let to = left.partition_point(|record| record.end() <= span.end);
        let inside = left.get(from..to)?;
        if last { inside.last() } else { inside.first() }.copied()
    }

    fn generation(&self, _: &[u8]) -> Option<i64> {
        None
    }

    fn undoes(&self) -> bool {
        is_hot(self.sources.files, self.sources.log)
    }
}

struct Records {
    /// Records from here on are not wanted.
    to: u64,
    found: Vec<Record>,
    /// What is not read any more.
    stale: Vec<Recovery>,
}

impl Sink for Records {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        self.found.extend(batch.iter().filter(|record| record.at < self.to));
    }

    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}

    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        self.found.extend(recovery.record.map(|(record, _)| record).filter(|record| record.at < self.to));
        if recovery.kind == Kind::Stale && recovery.record.is_none() {
            self.stale.push(*recovery);
        }
    }

    fn done(&self) -> bool {
        self.found.last().is_some_and(|record| record.end() >= self.to)
    }
}
