//! Behind damage: what can be said of the bytes up to the next record that provably stands in this log.
//!
//! In this order: the record itself with one field of its header put right, if its checksum then holds; the place that its own
//! length leads to; then every offset, up to the next block, which begins with a fragment whatever happened to the one before. A
//! record found by trying offsets has to carry a number that fits, for a log may lie inside a value; one that whole fragments
//! lead to need not. Bytes that went missing or came in between move the blocks: the first fragment at the start of a record
//! that is cut says where they begin now.

use super::assemble::{Found, Grid, Whole, filled};
use super::batch::{Phase, Shape};
use super::decoder::{BlockDecoder, PROOF, TRUST};
use super::fragment::{BLOCK, HEADER, Mended, Part, Patched, RECYCLABLE, fragment, header, mend};
use super::older::older;
use super::{Content, inflate};
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Recovery;
use crate::log::fault::{Behind, Cause, Fault};
use crate::log::record::{Fix, Record, Trust};
use crate::log::region::Kind;

/// Bytes summed behind damage beyond those that the scan has passed: a hostile file must not make the search quadratic.
const BUDGET: u64 = 64 << 20;
/// How far a number may lie beyond those that the damaged bytes can have held.
const JUMP: u64 = 1 << 16;
/// Where no number fits, the first record that others follow is believed after so many bytes more.
const PATIENCE: u64 = 4 * BLOCK;
/// Bytes looked at in one go.
const STRIDE: u64 = 64 << 10;

/// What it takes to try the lengths and types of a header, in bytes that are summed.
const MENDING: u64 = BLOCK / 4;

/// What a search may spend.
#[derive(Debug)]
pub struct Search {
    budget: u64,
    passed: u64,
}

impl Default for Search {
    fn default() -> Search {
        Search { budget: BUDGET, passed: 0 }
    }
}

impl Search {
    /// The scan has come to `at` of so many bytes. The first time all of them may be gone through: a record may be as long.
    fn reach(&mut self, at: u64, end: u64) {
        let whole = if self.passed == 0 { end } else { 0 };
        let more = whole.saturating_add(4 * at.saturating_sub(self.passed));
        self.budget = self.budget.saturating_add(more).min(end.saturating_add(16 * BUDGET));
        self.passed = self.passed.max(at).max(1);
    }

    /// Spends on what may be left out, as long as that leaves enough for what may not: to find the next record.
    fn spare(&mut self, bytes: u64) -> bool {
        let spare = self.budget > BUDGET / 2;
        if spare {
            self.spend(bytes);
        }
        spare
    }

    fn spend(&mut self, bytes: u64) -> bool {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}

impl BlockDecoder {
    /// See the top of this file.
    pub(super) fn resynchronise(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let (at, end) = (fault.at, reader.end());
        self.search.reach(at, end);
        let recovery = |kind, resume, trust, cause| Recovery {
            from: at,
            record: None,
            resume,
            trust,
            cause,
            kind,
            embedded: None,
        };
        if nonzero(reader, at) == end {
            return recovery(Kind::Preallocated, end, PROOF, Cause::Zeros);
        }
        if let Some((record, fix)) = self.mended(reader, at) {
            let cause = match fix.field {
                "length" => Cause::Length { found: fix.found, expected: fix.inferred },
                _ => Cause::Malformed("header of a fragment"),
            };
            let found = recovery(Kind::Recovered, record.end(), TRUST, cause);
            return Recovery { record: Some((record, fix)), ..found };
        }
        let known = self.grid.take();
        self.old_grid = known.unwrap_or(self.old_grid);
        let found = self.next_record(reader, at.max(self.searched), known);
        self.due_before = self.due;
        match found {
            Some((resume, trust)) => recovery(Kind::Damage, resume, trust, fault.cause),
            None if self.older_behind(reader, at) => {
                recovery(Kind::Stale, end, PROOF, Cause::Behind(Behind::Generation))
            }
            None if matches!(fault.cause, Cause::Short { .. }) => {
                recovery(Kind::Torn, end, PROOF, fault.cause)
            }
            // The first bytes are zeros, but not all.
            None if fault.cause == Cause::Zeros => {
                let cause = Cause::Malformed("bytes: no record of this log is found among them");
                recovery(Kind::Damage, end, PROOF, cause)
            }
            None => recovery(Kind::Damage, end, PROOF, fault.cause),
        }
    }

    /// Whether the fragment at `at` can be put right as one in the middle of a record or at its end.
    ///
    /// # Errors
    /// [`Cause::Short`] when its block is not there (yet).
    pub(super) fn may_mend<B: Bytes>(&mut self, b: &mut B, at: u64) -> Result<bool, Fault> {
        b.piece(at..b.end().min(at + BLOCK).max(at))?;
        Ok(self.search.spare(MENDING) && self.mend_rest(b, at).is_some())
    }

    fn mend_rest<B: Bytes>(&self, b: &mut B, at: u64) -> Option<Mended> {
        let rest = |part, left| match part {
            Part::Middle => left == 0,
            part => part == Part::Last,
        };
        mend(b, at, BLOCK, self.facts.number, &rest)
    }

    /// The record at `at` with one field of one of its headers put right.
    fn mended(&mut self, reader: &mut Reader<'_>, at: u64) -> Option<(Record, Fix)> {
        let grid = self.grid?;
        let BlockDecoder { assembler, facts, search, .. } = self;
        if !search.spare(MENDING) {
            return None;
        }
        let place = assembler.guess(reader, at, Some(grid), facts).err()?.fault.at;
        search.spend(place - at);
        let mended = if place == at {
            let whole = |part, left| match part {
                Part::First => left == 0,
                part => part == Part::Full,
            };
            mend(reader, at, grid.left(at), self.facts.number, &whole)?
        } else {
            self.mend_rest(reader, place)?
        };
        let mut patched = Patched::new(reader, place, &mended);
        let found = self.assembler.guess(&mut patched, at, Some(grid), &self.facts).ok()?;
        let Found::Whole(whole) = found else { return None };
        let fits = whole.shape.is_none_or(|shape| self.due.is_none_or(|due| fits(shape.seq, due, JUMP)));
        if !fits {
            return None;
        }
        let end = filled(reader, whole.end, whole.header, Some(grid)).unwrap_or(whole.end);
        Some((self.take(at, end, &whole), mended.fix))
    }

    /// The next place that provably holds a record of this log, and why it is believed.
    /// `known`: where blocks began up to here, if that is more than a guess; behind an intact fragment they still do.
    fn next_record(&mut self, reader: &mut Reader<'_>, at: u64, known: Option<Grid>) -> Option<(u64, Trust)> {
        // Its own length may still lead on.
        let grid = self.old_grid;
        if let Some(next) = self.own_length(reader, at, grid)
            && let Some((found, fits)) = self.chain(reader, next, grid)
        {
            if let Some(nearer) = self.between(reader, at, next) {
                return Some((nearer, PROOF));
            }
            self.grid = known.filter(|_| fits);
            return Some((found, TRUST));
        }
        let (mut from, end) = (at + 1, reader.end());
        let mut other = None;
        while from < end {
            if grid.left(from) == BLOCK
                && let Some((found, fits)) = self.chain(reader, from, grid)
            {
                self.grid = known.filter(|_| fits);
                return Some((found, TRUST));
            }
            let to = (from + STRIDE.min(grid.left(from))).min(end);
            self.search.spend(to - from);
            if let Some(found) = self.scan(reader, at, from..to, &mut other) {
                return Some((found, PROOF));
            }
            // Zeros are left out, but not over and over.
            from = if other.is_none() { to.max(nonzero_in(reader, to)) } else { to };
            if other.is_some_and(|other| from > other + PATIENCE) || self.search.budget == 0 {
                break;
            }
        }
        other.map(|other| (other, PROOF))
    }

    /// Where the damaged fragment at `at` ends by its own length, if another whole one stands there.
    fn own_length(&self, reader: &mut Reader<'_>, at: u64, grid: Grid) -> Option<u64> {
        let [.., low, high, kind] = reader.array::<{ HEADER as usize }>(at).ok()?;
        let header = header(kind);
        let len = u64::from(u16::from_le_bytes([low, high]));
        let end = at + header + len;
        let inside = len > 0 && header + len <= grid.left(at) && end < reader.end();
        inside.then(|| filled(reader, end, header, Some(grid)).unwrap_or(end))
    }

    /// Bytes that are missing make a length lead too far: the first record inside the damaged one at `at` from which others go on to `to`
    /// without a gap, all of them with numbers that lie between. A log inside a value has none of those.
    fn between(&mut self, reader: &mut Reader<'_>, at: u64, to: u64) -> Option<u64> {
        let mut from = at + 1;
        while let Some((found, _)) = self.candidate(reader, from..to) {
            if self.leads(reader, found, to) {
                return Some(found);
            }
            from = found + 1;
        }
        None
    }

    /// Whether records follow each other from `at` to `to` in place and in number; without a gap, where nothing tells which number is
    /// due, unless a commit gives out as many as were prepared before.
    fn leads(&mut self, reader: &mut Reader<'_>, mut at: u64, to: u64) -> bool {
        let (mut due, mut room) = (self.due, if self.due.is_some() { JUMP } else { 0 });
        loop {
            let Some(whole) = self.probe(reader, at, None) else { return at == to && room > 0 };
            let (first, next) = self.numbers(&whole);
            if whole.shape.is_some() && due.is_some_and(|due| !fits(first, due, room)) {
                return false;
            }
            if at >= to {
                return at == to;
            }
            if self.assembler.ends.iter().any(|end| end.phase == Phase::Commit) {
                room = JUMP;
            }
            (due, at) = (Some(next), whole.end);
        }
    }

    /// Follows whole fragments from `at` on to the first record that can be put together; where that is, and whether blocks begin where
    /// `grid` says.
    fn chain(&mut self, reader: &mut Reader<'_>, mut at: u64, grid: Grid) -> Option<(u64, bool)> {
        loop {
            let fragment = fragment(reader, at, grid.left(at)).ok().filter(|f| self.own(f))?;
            let end = fragment.payload.end;
            if !self.search.spend(end - at) {
                return None;
            }
            match fragment.part {
                Part::Full | Part::First if self.probe(reader, at, Some(grid)).is_some() => {
                    return Some((at, true));
                }
                Part::First if grid.left(end) != BLOCK => {
                    return self.probe(reader, at, None).map(|_| (at, false));
                }
                Part::Aside => return Some((at, true)),
                _ => at = filled(reader, end, fragment.header(), Some(grid)).unwrap_or(end),
            }
        }
    }

    /// The record at `at`, looked at only.
    fn probe(&mut self, reader: &mut Reader<'_>, at: u64, grid: Option<Grid>) -> Option<Whole> {
        let found = self.assembler.guess(reader, at, grid, &self.facts);
        let summed = match self.assembler.spans.last() {
            Some(span) => span.end.saturating_sub(at),
            None => {
                reader.array::<6>(at).map_or(0, |[.., low, high]| u64::from(u16::from_le_bytes([low, high])))
            }
        };
        let spent = self.search.spend(summed);
        match found {
            Ok(Found::Whole(whole)) if spent => Some(whole),
            _ => None,
        }
    }

    /// Tries every offset of `span`. `other`: the first record whose number does not fit, and which another one follows.
    fn scan(
        &mut self,
        reader: &mut Reader<'_>,
        damaged: u64,
        span: std::ops::Range<u64>,
        other: &mut Option<u64>,
    ) -> Option<u64> {
        let mut from = span.start;
        while let Some((at, seq)) = self.candidate(reader, from..span.end) {
            from = at + 1;
            let room = JUMP.saturating_add(at - damaged);
            let fitting = match (seq, self.due) {
                (Some(seq), Some(due)) => fits(seq, due, room),
                _ => true,
            };
            if !fitting && other.is_some() {
                continue;
            }
            let Some(whole) = self.probe(reader, at, None) else { continue };
            let (first, next) = self.numbers(&whole);
            if self.due.is_none_or(|due| fits(first, due, room)) {
                return Some(at);
            }
            // Of what lies far off the next record has to be witness.
            let follows =
                self.probe(reader, whole.end, None).is_some_and(|behind| self.numbers(&behind).0 == next);
            if follows && self.was_passed_over(first) {
                return Some(at);
            }
            if follows && self.due.is_some_and(|due| first > due) {
                *other = other.or(Some(at));
            }
        }
        None
    }

    /// Whether a number is one that the records behind the last damage left out: these may be a copy of others, which belong
    /// further behind.
    fn was_passed_over(&self, first: u64) -> bool {
        matches!((self.due_before, self.due), (Some(from), Some(to)) if (from..to).contains(&first))
    }

    /// The first place in `span` where a record may begin, and its number, if that can be read.
    fn candidate(&self, reader: &mut Reader<'_>, span: std::ops::Range<u64>) -> Option<(u64, Option<u64>)> {
        /// Bytes of a header, and of the number behind it.
        const LOOK: u64 = RECYCLABLE + 8;
        let to = span.end.saturating_add(LOOK).min(reader.end());
        let window = reader.window(span.start, (to - span.start) as usize);
        let bytes = window.slice(span.start..to).ok()?;
        let offsets = 0..(span.end - span.start) as usize;
        offsets.into_iter().find_map(|i| {
            let seq = self.plausible(bytes.get(i..bytes.len().min(i + LOOK as usize))?)?;
            Some((span.start + i as u64, seq))
        })
    }

    /// Whether a record may begin with these bytes; its number, if that can be read.
    fn plausible(&self, head: &[u8]) -> Option<Option<u64>> {
        let &[_, _, _, _, low, high, kind] = head.first_chunk()?;
        let (header, log) = match kind {
            1 | 2 => (HEADER, None),
            5 | 6 => (RECYCLABLE, head.get(7..)?.first_chunk()),
            _ => return None,
        };
        if let (Some(log), Some(own)) = (log, self.facts.number)
            && u32::from_le_bytes(*log) != own
        {
            return None;
        }
        let payload = head.get(header as usize..)?;
        // A first fragment at the end of a block may be too short for the number.
        let short = matches!(kind, 2 | 6) && u16::from_le_bytes([low, high]) < 8;
        if short
            || self.facts.content == Content::Edits
            || self.facts.may_pack() && inflate::is_packed(payload)
        {
            return Some(None);
        }
        let seq = u64::from_le_bytes(*payload.first_chunk()?);
        (seq < super::batch::SEQ_LIMIT).then_some(Some(seq))
    }

    /// The number of a record, and the next one as far as it tells.
    fn numbers(&self, whole: &Whole) -> (u64, u64) {
        let given = |shape: &Shape| if self.by_batch { 1 } else { u64::from(shape.count - shape.prepared) };
        whole.shape.map_or((0, 0), |shape| (shape.seq, shape.seq + given(&shape)))
    }

    /// Whether fragments of an older log follow: the file was written over, and this is what is left of it.
    fn older_behind(&self, reader: &mut Reader<'_>, at: u64) -> bool {
        self.facts.recycled && older(&self.facts, reader, at).0 > 0
    }
}

/// Whether a number can follow where `due` was to come, with room for so many records in between.
fn fits(seq: u64, due: u64, room: u64) -> bool {
    seq.checked_sub(due).is_some_and(|missing| missing <= room)
}

/// The first byte at or behind `at` that is not zero; the end where there is none.
fn nonzero(reader: &mut Reader<'_>, mut at: u64) -> u64 {
    let end = reader.end();
    while at < end {
        at = reader.data_at(at);
        let window = reader.window(at, STRIDE as usize);
        let Ok(bytes) = window.slice(at..end.min(at + STRIDE)) else { return end };
        if let Some(i) = bytes.iter().position(|&byte| byte != 0) {
            return at + i as u64;
        }
        at += bytes.len() as u64;
    }
    end
}

/// The same, at most the start of the block that holds it.
fn nonzero_in(reader: &mut Reader<'_>, at: u64) -> u64 {
    let found = nonzero(reader, at);
    if found == reader.end() { found } else { found - (found - at) % BLOCK }
}

#[cfg(test)]
mod tests {
    use super::super::framer::put_record;
    use super::super::unpack::Unpacker;
    use super::super::{Facts, Flavour};
    use super::*;
    use crate::format::Unpack;
    use crate::log::bytes::ReadAt;
    use crate::log::scan::{Sink, scan};

    /// A batch that sets one key to a value of so many bytes.
    fn put(seq: u64, len: usize, out: &mut Vec<u8>) {
        let mut batch = [&seq.to_le_bytes()[..], &[1, 0, 0, 0, 1, 1, b'k']].concat();
        crate::codec::varint::put(len as u32, &mut batch);
        batch.resize(batch.len() + len, b'v');
        put_record(&batch, None, out.len() as u64, out);
    }

    #[derive(Default)]
    struct Found {
        records: Vec<Record>,
        recovered: Vec<Record>,
        framing: u64,
        damaged: u64,
    }

    impl Sink for Found {
        fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
            self.records.extend_from_slice(batch);
        }
        fn framing(&mut self, from: u64, to: u64, _: &mut Reader<'_>) {
            self.framing += to - from;
        }
        fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
            match recovery.record {
                Some((record, _)) => self.recovered.push(record),
                None => self.damaged += recovery.resume - recovery.from,
            }
        }
    }

    fn facts(flavour: Flavour) -> Facts {
        Facts { flavour, content: Content::Batches, number: None, recycled: false }
    }

    fn found(flavour: Flavour, src: &dyn ReadAt, chunk: usize) -> Found {
        let (mut found, mut decoder) = (Found::default(), BlockDecoder::new(facts(flavour)));
        scan(&mut Reader::with_chunk(src, chunk), &mut decoder, 0, &mut found);
        found
    }

    /// A source that is read in windows.
    struct Far(Vec<u8>);

    impl ReadAt for Far {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
            self.0.read_at(at, buf)
        }
    }

    #[test]
    fn thousands_of_damaged_records_do_not_end_the_search() {
        let mut log = Vec::new();
        let mut hurt = Vec::new();
        for seq in 1..=40_000 {
            let at = log.len();
            put(seq, 40, &mut log);
            if seq % 3 == 0 {
                hurt.push(at + 30);
            }
        }
        hurt.iter().for_each(|&at| log[at] ^= 1);
        let found = found(Flavour::LevelDb, &&log[..], 256 << 10);
        let intact = found.records.iter().filter(|r| r.seq % 3 != 0).count();
        assert!(intact > 26_600, "{intact} found");
    }

    #[test]
    fn what_follows_a_long_record_that_is_broken_is_found() {
        let mut log = Vec::new();
        put(1, 10, &mut log);
        put(2, 12 << 20, &mut log);
        for seq in 3..=50 {
            put(seq, 10, &mut log);
        }
        log[11 << 20] ^= 1;
        let found = found(Flavour::LevelDb, &&log[..], 256 << 10);
        assert_eq!(found.records.len(), 49);
        let far = Far(log);
        assert_eq!(self::found(Flavour::LevelDb, &far, 256 << 10).records, found.records);
    }

    #[test]
    fn windows_do_not_show() {
        // Pebble's fragments, and zeros in front of one that is never cut.
        let mut log = Vec::new();
        for seq in 1..=40u64 {
            let batch = [&seq.to_le_bytes()[..], &[1, 0, 0, 0, 1, 1, b'k', 1, b'v']].concat();
            let covered = [&[9][..], &7u32.to_le_bytes(), &seq.to_le_bytes(), &batch].concat();
            log.extend_from_slice(&crate::codec::crc32c::masked(&covered, &[]).to_le_bytes());
            log.extend_from_slice(&(batch.len() as u16).to_le_bytes());
            log.extend_from_slice(&covered);
        }
        log.resize(BLOCK as usize, 0);
        super::super::fragment::put(10, None, &[1, 0, 0, 0, 8, 0], &mut log);
        put(41, 5, &mut log);
        let far = Far(log);
        for chunk in [1, 50, 4096, 32 << 10, 40 << 10] {
            let found = found(Flavour::RocksDb, &far, chunk);
            assert_eq!((found.records.len(), found.damaged), (41, 0), "window of {chunk}");
        }
    }

    #[test]
    fn a_record_put_right_off_the_grid_has_its_contents() {
        let mut log = Vec::new();
        (1..=2).for_each(|seq| put(seq, 40_000, &mut log));
        let at = log.len();
        (3..=60).for_each(|seq| put(seq, 2000, &mut log));
        // Bytes are missing in front, and a length in each of the records behind the next block is wrong.
        let mut hurt = Vec::new();
        let all = self::found(Flavour::LevelDb, &&log[..], 256 << 10).records;
        for record in all.iter().filter(|r| r.at > at as u64 + BLOCK && r.seq % 4 == 0) {
            hurt.push(record.at as usize + 4);
        }
        hurt.iter().for_each(|&at| log[at] ^= 1);
        log.drain(100..119);
        let found = found(Flavour::LevelDb, &&log[..], 256 << 10);
        assert!(found.recovered.len() > 5, "{}", found.recovered.len());
        let src = &log[..];
        let mut unpack = Unpacker::new(facts(Flavour::LevelDb), &src);
        for record in &found.recovered {
            assert_eq!(unpack.contents(record, &[]).first(), Some(&(record.seq as u8)), "at {}", record.at);
        }
    }

    #[test]
    fn what_lies_behind_a_sector_of_later_records_is_found() {
        let mut log = Vec::new();
        (1..=100).for_each(|seq| put(seq, 60, &mut log));
        log.copy_within(6144..6656, 1024);
        let found = found(Flavour::LevelDb, &&log[..], 256 << 10);
        let len = log.len() as u64 / 100;
        let in_place = |r: &&Record| r.at == (r.seq - 1) * len;
        let overwritten = 1535 / len + 1 - 1024 / len;
        assert_eq!(found.records.iter().filter(in_place).count() as u64, 100 - overwritten);
        assert_eq!(found.records.iter().filter(|r| !in_place(r)).count(), 5);
    }

    /// Where a block is there twice, the first part of a record goes with the last part of another of the same size.
    #[test]
    fn two_records_are_not_joined_to_one() {
        let mut log = Vec::new();
        put(1, 70, &mut log);
        // 181 times 181 bytes and one more header fill a block.
        (2..=1449).for_each(|seq| put(seq, 157, &mut log));
        let block = BLOCK as usize;
        let twice = [&log[..4 * block], &log[3 * block..]].concat();
        let found = found(Flavour::LevelDb, &&twice[..], 256 << 10);
        assert_eq!(self::found(Flavour::LevelDb, &Far(twice), 4096).records, found.records);
        let cut = found.damaged;
        assert_eq!((found.records.len(), cut), (1449 + 180, 188));
        let joint = found.records.iter().filter(|r| r.at < 4 * BLOCK && r.end() > 4 * BLOCK).count();
        assert_eq!(joint, 0);
    }
}
