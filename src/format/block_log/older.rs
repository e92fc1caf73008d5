//! What is left of an older log behind the end of one that was written over it: whole records that carry the older number.

use std::ops::Range;

use super::assemble::{Assembler, Found, Grid, Whole};
use super::fragment::RECYCLABLE;
use super::{Facts, KIND_PACKED, KIND_PLAIN};
use crate::format::{Context, Entry};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::record::{Mark, Record};

/// Bytes summed for nothing before the search gives up, and how many more for each byte passed: a hostile file must not make
/// it quadratic, and random bytes look like the header of a fragment often enough.
const BUDGET: u64 = 64 << 20;
const PER_BYTE: u64 = 64;

/// Goes through the records of older logs, in order.
struct Walk {
    facts: Facts,
    assembler: Assembler,
    from: u64,
    at: u64,
    spent: u64,
}

impl Walk {
    fn new(facts: &Facts, at: u64) -> Walk {
        Walk { facts: *facts, assembler: Assembler::new(), from: at, at, spent: 0 }
    }

    /// The next one that begins in front of `to`, and where.
    fn next(&mut self, reader: &mut Reader<'_>, to: u64) -> Option<(u64, Whole)> {
        let (any, grid) = (Facts { number: None, ..self.facts }, Grid::at(0));
        while self.at < to.min(reader.end()) && self.spent <= BUDGET + PER_BYTE * (self.at - self.from) {
            let at = self.at;
            let window = reader.forward(at, RECYCLABLE as usize);
            let head = window.slice(at..(at + RECYCLABLE).min(to)).unwrap_or_default();
            self.at += 1;
            let Some(&[_, _, _, _, low, high, kind, log @ ..]) =
                head.first_chunk::<{ RECYCLABLE as usize }>()
            else {
                continue;
            };
            if !matches!(kind, 5..=8) || Some(u32::from_le_bytes(log)) == self.facts.number {
                continue;
            }
            match self.assembler.guess(reader, at, Some(grid), &any) {
                Ok(Found::Whole(whole)) => {
                    self.assembler.confirm();
                    self.at = whole.end;
                    return Some((at, whole));
                }
                Ok(Found::Aside(fragment)) => self.at = fragment.payload.end,
                Err(_) => {
                    let len = RECYCLABLE + u64::from(u16::from_le_bytes([low, high]));
                    let alone = if len <= grid.left(at) { len } else { RECYCLABLE };
                    self.spent += self.assembler.spans.last().map_or(alone, |span| span.end - at);
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
    /// What goes through them from the start: one for all, or its budget would hold for each of them.
    walk: Option<Walk>,
    /// Where they begin in the span that is gone through from its end.
    starts: Option<Vec<u64>>,
}

impl<'a> Leftovers<'a> {
    /// Those in this file.
    pub fn new(facts: Facts, src: &'a dyn ReadAt) -> Self {
        Leftovers { facts, reader: Reader::new(src), walk: None, starts: None }
    }

    fn first(&mut self, span: Range<u64>) -> Option<Record> {
        let kept = self.walk.take().filter(|walk| walk.at <= span.start);
        let mut walk = kept.unwrap_or_else(|| Walk::new(&self.facts, span.start));
        walk.at = span.start;
        let found = walk.next(&mut self.reader, span.end);
        self.walk = Some(walk);
        let (at, whole) = found?;
        let shape = whole.shape?;
        let (seq, next) = (shape.seq, shape.seq.saturating_add(u64::from(shape.count)));
        let kind = if whole.packed { KIND_PACKED } else { KIND_PLAIN };
        let mark = if shape.unread { Mark::Unread } else { Mark::Data };
        Some(Record { at, len: whole.end - at, seq, next, txn: 0, kind, mark })
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

#[cfg(test)]
mod tests {
    use super::super::fragment::put;
    use super::super::{Content, Flavour};
    use super::*;

    #[test]
    fn one_budget_holds_for_all_of_a_span() {
        let mut bytes = Vec::new();
        for seq in 7..10u64 {
            let batch = [&seq.to_le_bytes()[..], &1u32.to_le_bytes(), b"\x00\x01k"].concat();
            put(5, Some(4), &batch, &mut bytes);
        }
        let (flavour, content) = (Flavour::RocksDb, Content::Batches);
        let facts = Facts { flavour, content, number: Some(9), recycled: true };
        let (src, end) = (&bytes[..], bytes.len() as u64);
        let mut leftovers = Leftovers::new(facts, &src);
        let first = leftovers.behind(0..end, false).unwrap();
        let second = leftovers.behind(first.end()..end, false).unwrap();
        assert_eq!((first.seq, second.seq), (7, 8));
        leftovers.walk.as_mut().unwrap().spent = u64::MAX;
        assert_eq!(leftovers.behind(second.end()..end, false), None);
        // From the end each is found anew.
        let last = Leftovers::new(facts, &src).behind(0..end, true);
        assert_eq!(last.map(|record| record.seq), Some(9));
    }

    /// Random bytes look like headers at every sixtieth offset.
    #[test]
    fn random_bytes_in_front_do_not_hide_older_records() {
        let (mut state, mut bytes) = (1u64, Vec::new());
        while bytes.len() < 3 << 20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&state.to_be_bytes()[..3]);
        }
        let batch = [&7u64.to_le_bytes()[..], &1u32.to_le_bytes(), b"\x00\x01k"].concat();
        put(5, Some(4), &batch, &mut bytes);
        let (flavour, content) = (Flavour::RocksDb, Content::Batches);
        let facts = Facts { flavour, content, number: Some(9), recycled: true };
        let src = &bytes[..];
        assert_eq!(older(&facts, &mut Reader::new(&src), 0), (1, Some(4)));
    }
}
