//! Reads a log block by block and record by record, past damage; and tells what lies behind the live end from damage.

use std::collections::HashMap;

use super::assemble::{Assembler, Broken, Found, Grid, Whole, filled};
use super::batch::{self, Phase, Xid};
use super::fragment::{BLOCK, Fragment, HEADER, Part, RECYCLABLE, fragment};
use super::search::Search;
use super::{Content, Facts, KIND_PACKED, KIND_PLAIN};
use crate::codec::crc32c;
use crate::log::bytes::{Bytes, Reader, Window};
use crate::log::decoder::{BATCH, Decoder, Recovery, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::record::{Mark, Record, Trust};

/// What proves a record.
pub const PROOF: Trust = Trust::CHECKSUM.and(Trust::LENGTHS).and(Trust::STRUCTURE);
/// The same in the unbroken chain.
pub const TRUST: Trust = PROOF.and(Trust::POSITION);

/// Prepared transactions that are remembered for their commits.
const PREPARED: usize = 1 << 16;
/// Ends of cut records that are remembered: of the last megabytes.
const ENDS: usize = 128;

/// See the top of this file.
pub struct BlockDecoder {
    pub(super) facts: Facts,
    pub(super) assembler: Assembler,
    /// Where blocks begin; unknown behind damage that may have moved them.
    pub(super) grid: Option<Grid>,
    /// Where they began before.
    pub(super) old_grid: Grid,
    /// The number of the next operation.
    pub(super) due: Option<u64>,
    /// The number that was due where the last damage began.
    pub(super) due_before: Option<u64>,
    /// Numbers that the commit of a transaction gives out.
    prepared: HashMap<Xid, u64>,
    /// The same of those committed: where a copy of the commit stands in front of it, both give out the numbers.
    committed: HashMap<Xid, u64>,
    /// A transaction has shown that the store gives a number to each batch, not to each operation.
    pub(super) by_batch: bool,
    /// End and number of the record before, where a stated gap may begin with it.
    gap: Option<(u64, u64)>,
    /// Last fragments of records that are cut, by their header and where their payload begins; and how many there were.
    ends: [([u8; HEADER as usize], u64); ENDS],
    nth_end: usize,
    /// What lies in front of this offset was read to no avail: fragments of a record too long for a window.
    pub(super) searched: u64,
    pub(super) search: Search,
    begun: bool,
}

/// What stands at a place, and where it ends with the zeros that fill its block.
pub(super) enum Next {
    Record(Record),
    Framing(u64),
}

impl BlockDecoder {
    /// A decoder at the start of a file.
    pub fn new(facts: Facts) -> BlockDecoder {
        BlockDecoder {
            facts,
            assembler: Assembler::new(),
            grid: Some(Grid::at(0)),
            old_grid: Grid::at(0),
            due: None,
            due_before: None,
            prepared: HashMap::new(),
            committed: HashMap::new(),
            by_batch: false,
            gap: None,
            ends: [([0; HEADER as usize], 0); ENDS],
            nth_end: 0,
            searched: 0,
            search: Search::default(),
            begun: false,
        }
    }

    /// The record at `at` in the usual case: it is one fragment that is not compressed, takes no part in a transaction, and does
    /// not end its block. A shortcut: `None` says nothing. Tests hold both to the same answers.
    #[inline]
    fn quick(&mut self, window: &Window<'_>, at: u64) -> Option<Record> {
        if self.facts.content != Content::Batches || self.by_batch {
            return None;
        }
        let bytes = window.bytes.get(usize::try_from(at.checked_sub(window.base)?).ok()?..)?;
        let &[a, b, c, d, low, high, kind] = bytes.first_chunk()?;
        let header = match (kind, self.facts.number) {
            (1, _) => HEADER as usize,
            (5, Some(own)) if bytes.get(7..11)? == own.to_le_bytes() => RECYCLABLE as usize,
            _ => return None,
        };
        let len = header + usize::from(u16::from_le_bytes([low, high]));
        if self.grid?.left(at) < len as u64 + RECYCLABLE {
            return None;
        }
        let covered = bytes.get(6..len)?;
        if crc32c::masked(covered, &[]) != u32::from_le_bytes([a, b, c, d]) {
            return None;
        }
        let (seq, count) = batch::quick(covered.get(header - 6..)?, self.facts.flavour)?;
        let next = seq.checked_add(u64::from(count))?;
        (self.due, self.gap) = (Some(next), None);
        Some(Record { at, len: len as u64, seq, next, txn: 0, kind: KIND_PLAIN, mark: Mark::Data })
    }

    /// What stands at `at`.
    fn next<B: Bytes>(&mut self, b: &mut B, at: u64) -> Result<Next, Fault> {
        let found = match self.assembler.at(b, at, self.grid, &self.facts) {
            Ok(found) => found,
            Err(broken) => return self.broken(b, at, broken),
        };
        match found {
            Found::Whole(whole) => {
                if whole.grid.is_some() && self.joins_two(b, &whole)? {
                    return Err(Fault { at, cause: Cause::Malformed("fragments of two records") });
                }
                self.grid = whole.grid.or(self.grid);
                let end = filled(b, whole.end, whole.header, self.grid)?;
                Ok(Next::Record(self.take(at, end, &whole)))
            }
            Found::Aside(aside) => {
                Ok(Next::Framing(filled(b, aside.payload.end, aside.header(), self.grid)?))
            }
        }
    }

    /// Whether a record is the beginning of one and the end of another, as where a block is there twice: the same end has been
    /// read before, and behind it the numbers go back.
    fn joins_two<B: Bytes>(&mut self, b: &mut B, whole: &Whole) -> Result<bool, Fault> {
        let (Some(last), Some(shape)) = (self.assembler.spans.last(), whole.shape) else { return Ok(false) };
        let end = (b.array(last.start - whole.header)?, last.start);
        if !self.ends.iter().any(|(header, at)| *header == end.0 && *at != end.1) {
            if !self.ends.contains(&end) {
                self.ends[self.nth_end % ENDS] = end;
                self.nth_end += 1;
            }
            return Ok(false);
        }
        let behind = filled(b, whole.end, whole.header, whole.grid)?;
        match fragment(b, behind, whole.grid.map_or(BLOCK, |grid| grid.left(behind))) {
            Ok(Fragment { part: Part::Full | Part::First, payload, .. })
                if payload.end - payload.start >= 8 =>
            {
                Ok(u64::from_le_bytes(b.array(payload.start)?) < shape.seq)
            }
            Err(fault @ Fault { cause: Cause::Short { need }, .. }) if need <= b.end() => Err(fault),
            _ => Ok(false),
        }
    }

    /// The record, and what the next one is judged by.
    pub(super) fn take(&mut self, at: u64, end: u64, whole: &Whole) -> Record {
        let len = end - at;
        let kind = if whole.packed { KIND_PACKED } else { KIND_PLAIN };
        let Some(shape) = whole.shape else {
            return Record { at, len, seq: 0, next: 0, txn: 0, kind, mark: Mark::Note };
        };
        let mut numbers = u64::from(shape.count - shape.prepared.min(shape.count));
        let mut mark = if numbers > 0 { Mark::Data } else { Mark::Note };
        for end in &self.assembler.ends {
            match end.phase {
                Phase::End => {
                    self.committed.remove(&end.xid);
                    if self.prepared.len() < PREPARED {
                        self.prepared.insert(end.xid, u64::from(end.prepared));
                    }
                    mark = Mark::Prepare;
                }
                Phase::Commit => {
                    numbers =
                        numbers.saturating_add(commit(&mut self.prepared, &mut self.committed, end.xid));
                    mark = if mark == Mark::Note { Mark::Commit } else { Mark::Last };
                }
                _ => {
                    self.prepared.remove(&end.xid);
                }
            }
        }
        self.by_batch |= shape.by_batch;
        if self.by_batch {
            numbers = 1;
        }
        if shape.unread {
            mark = Mark::Unread;
        }
        let (seq, next) = (shape.seq, shape.seq.saturating_add(numbers));
        let stated = self.gap.filter(|&(end, before)| end == at && before < seq);
        self.gap = shape.opens_gap.then_some((end, seq));
        if let (Some((_, first)), 0) = (stated, shape.operations) {
            self.due = Some(seq);
            return Record { at, len, seq: first, next: seq, txn: 0, kind, mark: Mark::Gap };
        }
        self.due = Some(next);
        Record { at, len, seq, next, txn: 0, kind, mark }
    }

    /// No record can be put together at `at`.
    fn broken<B: Bytes>(&mut self, b: &mut B, at: u64, broken: Broken) -> Result<Next, Fault> {
        let Fault { at: place, cause } = broken.fault;
        if place == at {
            return match cause {
                Cause::Zeros | Cause::Malformed("end of a block") => {
                    self.padding(b, at)?.map(Next::Framing).ok_or(broken.fault)
                }
                _ => Err(broken.fault),
            };
        }
        match cause {
            Cause::Short { need } if need <= b.end() => {
                // The rest is longer than the window: twice as much at a time, or each block would be read over and over.
                let need = need.max(at + 2 * (place - at)).min(b.end());
                Err(Fault { at, cause: Cause::Short { need } })
            }
            // Whole fragments of a record whose rest is gone are in place themselves.
            _ if !broken.apart && !self.may_mend(b, place).map_err(|fault| Fault { at, ..fault })? => {
                // They end where a block does.
                self.grid = Some(Grid::at(place));
                Ok(Next::Framing(place))
            }
            _ => Err(Fault { at, cause }),
        }
    }

    /// Where the zeros at `at` end that the engine leaves out: too few for a header, or a fragment which is never cut follows.
    fn padding<B: Bytes>(&mut self, b: &mut B, at: u64) -> Result<Option<u64>, Fault> {
        let Some(grid) = self.grid else { return self.unaligned(b, at) };
        let left = grid.left(at);
        let to = (at + left).min(b.end());
        if to < at + left && left >= RECYCLABLE || b.piece(at..to)?.iter().any(|&byte| byte != 0) {
            return Ok(None);
        }
        if left < RECYCLABLE {
            return Ok(Some(to));
        }
        match fragment(b, to, BLOCK) {
            Err(Fault { cause: cause @ Cause::Short { need }, .. }) if need <= b.end() => {
                Err(Fault { at, cause })
            }
            behind => Ok(behind.is_ok_and(|f| f.part == Part::Aside).then_some(to)),
        }
    }

    /// The same where nobody knows where blocks begin: they do behind so few zeros that a whole fragment follows.
    fn unaligned<B: Bytes>(&mut self, b: &mut B, at: u64) -> Result<Option<u64>, Fault> {
        for to in at + 1..(at + RECYCLABLE).min(b.end()) {
            if b.array::<1>(to - 1)? != [0] {
                return Ok(None);
            }
            match fragment(b, to, BLOCK) {
                Ok(_) => {
                    self.grid = Some(Grid::at(to));
                    return Ok(Some(to));
                }
                Err(Fault { cause: cause @ Cause::Short { need }, .. }) if need <= b.end() => {
                    return Err(Fault { at, cause });
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Looks where blocks begin, for a reading that begins in the middle of a file, perhaps behind bytes that moved them.
    fn begin(&mut self, window: &mut Window<'_>, at: u64) {
        let mut at = at;
        loop {
            let found = match fragment(window, at, BLOCK) {
                Ok(f) if f.part == Part::First => f.payload.end,
                Ok(f) => {
                    at = f.payload.end;
                    continue;
                }
                Err(_) => {
                    let zeros = |to: &u64| {
                        let fill = window.slice(at..*to).is_ok_and(|fill| fill.iter().all(|&b| b == 0));
                        fill && fragment(&mut { *window }, *to, BLOCK).is_ok()
                    };
                    let Some(to) = (at + 1..at + RECYCLABLE).find(zeros) else { return };
                    to
                }
            };
            self.grid = Some(Grid::at(found));
            self.old_grid = Grid::at(found);
            return;
        }
    }

    /// Whether a fragment belongs to the log, as far as its number tells.
    pub(super) fn own(&self, fragment: &Fragment) -> bool {
        match (fragment.log, self.facts.number) {
            (Some(found), Some(own)) => found == own,
            _ => true,
        }
    }
}

/// A transaction is committed: the numbers that this gives out.
fn commit(prepared: &mut HashMap<Xid, u64>, committed: &mut HashMap<Xid, u64>, xid: Xid) -> u64 {
    let Some(numbers) = prepared.remove(&xid) else {
        return committed.get(&xid).copied().unwrap_or(0);
    };
    if committed.len() >= PREPARED {
        committed.clear();
    }
    committed.insert(xid, numbers);
    numbers
}

impl Decoder for BlockDecoder {
    fn fill(&mut self, mut window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        if self.facts.content == Content::Other {
            return if *at < window.end { Stop::Framing(window.end) } else { Stop::End };
        }
        if !std::mem::replace(&mut self.begun, true) && *at > 0 {
            self.begin(&mut window, *at);
        }
        while out.len() < BATCH {
            if let Some(record) = self.quick(&window, *at) {
                *at = record.end();
                out.push(record);
                continue;
            }
            if *at >= window.end {
                return Stop::End;
            }
            match self.next(&mut window, *at) {
                Ok(Next::Record(record)) => {
                    *at = record.end();
                    out.push(record);
                }
                Ok(Next::Framing(to)) => return Stop::Framing(to),
                Err(fault) => return Stop::Fault(Fault { at: *at, ..fault }),
            }
        }
        Stop::Full
    }

    fn long(&mut self, reader: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        match self.next(reader, at)? {
            Next::Record(record) => Ok(record),
            // Fragments of a record whose rest is gone; there is nothing to be looked for among them.
            Next::Framing(to) => {
                self.searched = to;
                Err(Fault { at, cause: Cause::Short { need: reader.end() + HEADER } })
            }
        }
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        self.resynchronise(reader, fault)
    }
}

#[cfg(test)]
mod tests;
