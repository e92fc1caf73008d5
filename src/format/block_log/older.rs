//! What is left of an older log behind the end of one that was written over it: whole records that carry the older number.

use std::ops::Range;

use super::assemble::{Assembler, Found, Grid, Whole};
use super::fragment::{BLOCK, HEADER, RECYCLABLE};
use super::{Facts, KIND_PACKED, KIND_PLAIN};
use crate::format::{Context, Entry};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::record::{Mark, Record};

/// Bytes summed for nothing before the search gives up: a hostile file must not make it quadratic.
const BUDGET: u64 = 64 << 20;

/// Goes through the records of older logs, in order.
struct Walk {
    facts: Facts,
    assembler: Assembler,
    at: u64,
    budget: u64,
}

impl Walk {
    fn new(facts: &Facts, at: u64) -> Walk {
        Walk { facts: *facts, assembler: Assembler::new(), at, budget: BUDGET }
    }

    /// The next one that begins in front of `to`, and where.
    fn next(&mut self, reader: &mut Reader<'_>, to: u64) -> Option<(u64, Whole)> {
        let any = Facts { number: None, ..self.facts };
        while self.at < to.min(reader.end()) && self.budget > 0 {
            let at = self.at;
            let window = reader.forward(at, RECYCLABLE as usize);
            let head = window.slice(at..(at + RECYCLABLE).min(to)).unwrap_or_default();
            let kind = head.get(HEADER as usize - 1).copied().unwrap_or(0);
            let log = head.get(HEADER as usize..).and_then(|log| log.first_chunk());
            if !matches!(kind, 5..=8) || log.map(|log| u32::from_le_bytes(*log)) == self.facts.number {
                self.at += 1;
                continue;
            }
            match self.assembler.at(reader, at, Some(Grid::at(0)), &any) {
                Ok(Found::Whole(whole)) => {
                    self.at = whole.end;
                    return Some((at, whole));
                }
                Ok(Found::Aside(fragment)) => self.at = fragment.payload.end,
                Err(_) => {
                    self.budget = self.budget.saturating_sub(BLOCK / 4);
                    self.at += 1;
                }
            }
        }
        None
    }
}

/// Whole records of older logs from `at` on: how many, and the number of the last one's log.
pub fn older(facts: &Facts, reader: &mut Reader<'_>, at: u64) -> (u64, Option<u32>) {
    let (mut records, mut log, end) = (0, None, reader.end());
    let mut walk = Walk::new(facts, at);
    while let Some((_, whole)) = walk.next(reader, end) {
        (records, log) = (records + 1, whole.log);
    }
    (records, log)
}

/// Tells them one by one, from either end.
pub struct Leftovers<'a> {
    facts: Facts,
    reader: Reader<'a>,
    /// Where they begin in the span that is gone through from its end.
    starts: Option<Vec<u64>>,
}

impl<'a> Leftovers<'a> {
    /// Those in this file.
    pub fn new(facts: Facts, src: &'a dyn ReadAt) -> Self {
        Leftovers { facts, reader: Reader::new(src), starts: None }
    }

    fn first(&mut self, span: Range<u64>) -> Option<Record> {
        let (at, whole) = Walk::new(&self.facts, span.start).next(&mut self.reader, span.end)?;
        let shape = whole.shape?;
        let (seq, next) = (shape.seq, shape.seq.saturating_add(u64::from(shape.count)));
        let kind = if whole.packed { KIND_PACKED } else { KIND_PLAIN };
        Some(Record { at, len: whole.end - at, seq, next, txn: 0, kind, mark: Mark::Data })
    }

    fn last(&mut self, span: Range<u64>) -> Option<Record> {
        let mut starts = self.starts.take().unwrap_or_else(|| {
            let mut walk = Walk::new(&self.facts, span.start);
            std::iter::from_fn(|| walk.next(&mut self.reader, span.end).map(|(at, _)| at)).collect()
        });
        let last = starts.pop();
        self.starts = Some(starts);
        self.first(last?..span.end)
    }
}

impl Context for Leftovers<'_> {
    fn complete(&mut self, _: &Record, _: &[u8], _: &mut Entry<'_>) {}

    fn behind(&mut self, span: Range<u64>, last: bool) -> Option<Record> {
        if last { self.last(span) } else { self.first(span) }
    }
}
