//! A WAL as a history of pages: its transactions as the decoder tells them, and behind the live end what is left of older
//! generations.

use std::ops::Range;

use super::SqliteWal;
use super::facts::{Facts, Frames};
use super::frame::{HEAD, Head};
use super::{KIND_FRAME, decoder};
use crate::format::sqlite::history::{Change, History, Sources};
use crate::format::{Format, LogFile};
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Recovery;
use crate::log::record::{Mark, Record};
use crate::log::region::Kind;
use crate::log::scan::{Sink, scan};

/// See the top of this file.
pub struct WalHistory<'a> {
    sources: Sources<'a>,
    /// `None`: it holds none.
    frames: Option<Frames>,
}

impl<'a> WalHistory<'a> {
    /// Of the WAL with this index; `None` where nothing tells what its pages look like.
    pub fn of(files: &'a [LogFile<'a>], log: usize) -> Option<Self> {
        let frames = Facts::of(files, log).frames;
        let sources = Sources::of(files, log, frames.map(|frames| frames.shape.page_bytes))?;
        Some(WalHistory { sources, frames })
    }

    /// The record at this place, numbered by it.
    fn record(&self, at: u64, head: Option<Head>) -> Option<Record> {
        let (head, frames) = head.filter(|head| head.page != 0).zip(self.frames)?;
        let len = frames.shape.stride();
        let seq = at.checked_sub(frames.start)? / len + 1;
        let mark = if head.commit == 0 { Mark::Data } else { Mark::Last };
        Some(Record { at, len, seq, next: seq + 1, txn: head.page, kind: KIND_FRAME, mark })
    }
}

impl History for WalHistory<'_> {
    fn sources(&self) -> &Sources<'_> {
        &self.sources
    }

    fn head(&self) -> u64 {
        HEAD
    }

    fn play(&self, each: &mut dyn FnMut(Change) -> bool) {
        let mut sink =
            Player { history: self, each, change: Change::default(), whole: true, next: 1, full: false };
        let mut decoder = SqliteWal.open(self.sources.files, self.sources.log, None).decoder;
        scan(&mut Reader::new(self.log()), &mut *decoder, 0, &mut sink);
        sink.close(None, false);
    }

    fn behind(&self, span: Range<u64>, last: bool) -> Option<Record> {
        let stride = self.frames?.shape.stride();
        let slots = span.end.min(self.log().size()).saturating_sub(span.start) / stride;
        let mut reader = Reader::with_chunk(self.log(), HEAD as usize);
        (0..slots).find_map(|n| {
            let at = span.start + stride * if last { slots - 1 - n } else { n };
            let head = Head::at(&mut reader, at).ok();
            self.record(at, head)
        })
    }

    fn generation(&self, record: &[u8]) -> Option<i64> {
        let (head, frames) = record.first_chunk().map(Head::of).zip(self.frames)?;
        let salt = |salts: u64| (salts >> 32) as u32;
        let restarts = salt(frames.salts).wrapping_sub(salt(head.salts));
        let near = head.salts == frames.salts || decoder::is_older(&frames, &head);
        near.then_some(-i64::from(restarts))
    }
}

struct Player<'p, 'h> {
    history: &'p WalHistory<'h>,
    each: &'p mut dyn FnMut(Change) -> bool,
    change: Change,
    /// No frame is missing since the last commit.
    whole: bool,
    next: u64,
    full: bool,
}

impl Player<'_, '_> {
    fn push(&mut self, record: Record, generation: i64) {
        if self.change.generation != generation {
            self.close(None, false);
        }
        self.change.generation = generation;
        self.change.records.push(record);
    }

    /// The transaction ends here.
    fn close(&mut self, pages: Option<u32>, counts: bool) {
        let change = std::mem::take(&mut self.change);
        if !change.records.is_empty() && !self.full {
            self.full = !(self.each)(Change { pages, counts, ..change });
        }
    }

    fn live(&mut self, record: &Record, reader: &mut Reader<'_>) {
        self.whole &= record.seq == self.next;
        self.next = record.next;
        self.push(*record, 0);
        if record.mark == Mark::Last {
            let pages = Head::at(reader, record.at).ok().map(|head| head.commit);
            self.close(pages, self.whole);
            self.whole = true;
        }
    }

    /// Frames that the engine does not read any more.
    fn behind(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        self.close(None, false);
        let Some(len) = self.history.frames.map(|frames| frames.shape.stride()) else { return };
        let (mut at, mut salts) = (recovery.from, 0);
        while at.saturating_add(len) <= recovery.resume && !self.full {
            let bytes: Option<[u8; HEAD as usize]> = reader.array(at).ok();
            let head = bytes.as_ref().map(Head::of);
            if let Some((head, record)) = head.zip(self.history.record(at, head)) {
                if head.salts != salts {
                    self.close(None, false);
                    salts = head.salts;
                }
                // Of unknown generation are those whose salts were never written.
                self.push(record, bytes.and_then(|bytes| self.history.generation(&bytes)).unwrap_or(0));
                if head.commit != 0 {
                    self.close(Some(head.commit), false);
                }
            }
            at += len;
        }
        self.close(None, false);
    }
}

impl Sink for Player<'_, '_> {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        batch.iter().for_each(|record| self.live(record, reader));
    }

    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}

    fn damage(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        match recovery.record {
            Some((record, _)) => self.live(&record, reader),
            None if recovery.kind == Kind::Stale => self.behind(recovery, reader),
            None => {}
        }
    }

    fn done(&self) -> bool {
        self.full
    }
}
