//! Goes from segment to segment and from record to record, past damage, and tells what lies behind the live end from damage.
//!
//! Records stand alone: one that is damaged hides no other, as long as its place is known. The count in a header is only a
//! hint; a segment ends where the next header stands, and goes on where another record has its nonce. Where bytes are
//! missing or too many, headers are found by their magic number and records by their nonce.

use super::KIND_RECORD;
use super::facts::{Facts, VOTERS};
use super::header::{HEAD, Header, Shape, Sort, TO_THE_END, big};
use crate::format::chain::zeros_end;
use crate::log::bytes::{Bytes, Reader, Window};
use crate::log::decoder::{BATCH, Decoder, Recovery, Stop};
use crate::log::fault::{Behind, Cause, Fault};
use crate::log::record::{Mark, Record, Trust};
use crate::log::region::Kind;

/// Bytes looked at behind damage beyond those that the scan has passed: a hostile file must not make the search
/// quadratic.
const BUDGET: u64 = 64 << 20;
/// So many slots are asked whether a segment goes on behind a damaged record.
const SLOTS: u64 = 64;
/// Offsets looked at from one load of bytes.
const STEP: u64 = 4096;

/// What proves a record at its place in a segment.
pub const TRUST: Trust = Trust::CHECKSUM.and(Trust::POSITION);

/// See the top of this file.
pub struct JournalDecoder {
    facts: Facts,
    /// Reads what is no live journal as if it were one.
    stale: bool,
    /// What stands next, and where.
    part: Part,
    due: u64,
    /// Of the segment; `None`: the next record tells it.
    nonce: Option<u32>,
    /// Records left in the segment, as far as its header tells.
    left: u64,
    seq: u64,
    budget: u64,
    /// Where the budget was last filled up.
    passed: u64,
}

/// See [`JournalDecoder::part`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Record,
}

/// What a look at one place gives.
enum Step {
    Record(Record),
    /// Bytes that are no record, up to this offset.
    Framing(u64),
    /// The same place is something else now.
    Again,
}

/// What a search finds.
enum Found {
    Header,
    /// A record with this nonce.
    Record(u32),
}

impl JournalDecoder {
    /// A decoder at the start of a file.
    pub fn new(facts: Facts) -> Self {
        JournalDecoder {
            facts,
            stale: false,
            part: Part::Header,
            due: 0,
            nonce: None,
            left: u64::MAX,
            seq: 1,
            budget: BUDGET,
            passed: 0,
        }
    }

    /// One that reads what is left of a journal that is over, or was never synced.
    pub fn stale(facts: Facts) -> Self {
        JournalDecoder { stale: true, ..JournalDecoder::new(facts) }
    }

    /// The same for what is left of one at `at`, behind a live end or at the start of the file.
    pub fn stale_at(facts: Facts, at: u64) -> Self {
        let aligned = facts.shape.is_some_and(|shape| at.is_multiple_of(shape.sector));
        JournalDecoder {
            due: at,
            part: if aligned { Part::Header } else { Part::Record },
            ..JournalDecoder::stale(facts)
        }
    }

    /// Records that the last header counts and that the file ends before, once all of it has been read.
    pub fn missing(&self) -> u64 {
        let counted = self.part == Part::Record && self.left != u64::MAX && self.facts.trailer.is_none();
        if counted { self.left } else { 0 }
    }

    /// Where records end: the name of a super-journal, or the end of the file.
    fn stop(&self, end: u64) -> u64 {
        self.facts.trailer.map_or(end, |trailer| trailer.at.min(end))
    }

    /// Whether a header at this place can be the next one of this journal.
    fn resembles(&self, header: &Header) -> bool {
        self.facts.model.or(self.facts.header).is_some_and(|model| header.resembles(&model))
    }

    fn goes_to(&mut self, due: u64, part: Part) {
        (self.due, self.part) = (due, part);
    }

    /// What is wrong with the header at `at`, if anything is.
    fn blame(&self, shape: Shape, header: &Header, at: u64) -> Option<Cause> {
        let length = |found: u32, expected| Cause::Length { found: u64::from(found), expected };
        match header.sort() {
            Sort::Live if at > 0 => None,
            Sort::Live if !header.sector_is_legal() => Some(length(header.sector, shape.sector)),
            // Very old engines did not store it.
            Sort::Live if header.page_bytes != 0 && header.shape().is_none() => {
                Some(length(header.page_bytes, shape.page_bytes))
            }
            Sort::Live => None,
            Sort::Finished => Some(Cause::Zeros),
            Sort::Unsynced | Sort::Cleared | Sort::Damaged => Some(Cause::Malformed("magic number")),
        }
    }

    fn header(&mut self, mut window: Window<'_>, shape: Shape, at: u64) -> Result<Step, Fault> {
        let header = Header::of(&window.array(at)?);
        if at > 0 && self.stale && matches!(header.sort(), Sort::Damaged | Sort::Finished) {
            self.goes_to(at, Part::Record);
            return Ok(Step::Again);
        }
        let first = at.saturating_add(shape.sector);
        window.within(at, first)?;
        // Every spill writes the next header at once; with nothing behind it there is nothing to say of it.
        let bare = at > 0 && header.sort() == Sort::Unsynced && first >= self.stop(window.end);
        if let Some(cause) = self.blame(shape, &header, at).filter(|_| !self.stale && !bare) {
            return Err(Fault { at, cause });
        }
        // Mostly one look at the first record is enough; the others are asked where that one does not agree.
        window.slice(at..first.saturating_add(shape.stride()).min(window.end))?;
        let fits = |slot: (u32, u32)| slot.1 == header.nonce && self.facts.plausible(shape, slot.0);
        let (mut nonce, mut begin) = (header.nonce, first);
        if !shape.slot_at(&mut window, first).is_some_and(fits) {
            window.slice(at..first.saturating_add(VOTERS * shape.stride()).min(window.end))?;
            match self.facts.agreed(&mut window, shape, first, Some(header.nonce)) {
                Some(agreed) => nonce = agreed,
                // Where bytes of the sector are missing they stand in front of its end.
                None => {
                    self.nonce = Some(nonce);
                    let mut early =
                        (at + HEAD..first).map(|place| (place, self.stands(&mut window, shape, place)));
                    let moved = early.find_map(|(place, found)| Some((place, found?)));
                    if let Some((place, Found::Record(own))) = moved {
                        (begin, nonce) = (place, own);
                    }
                }
            }
        }
        if nonce != header.nonce && begin == first && !self.stale {
            return Err(Fault { at, cause: Cause::Malformed("nonce") });
        }
        self.nonce = Some(nonce);
        let counted = !self.stale && header.count != TO_THE_END;
        self.left = if counted { u64::from(header.count) } else { u64::MAX };
        self.goes_to(begin, Part::Record);
        Ok(Step::Framing(begin))
    }

    /// The record at `at`, as the nonce of the segment proves it.
    fn take(&mut self, shape: Shape, at: u64, (page, nonce): (u32, u32)) -> Record {
        let (len, seq) = (shape.stride(), self.seq);
        self.goes_to(at + len, Part::Record);
        (self.nonce, self.seq) = (Some(nonce), seq.saturating_add(1));
        if self.left != u64::MAX {
            self.left = self.left.saturating_sub(1);
        }
        Record { at, len, seq, next: self.seq, txn: page, kind: KIND_RECORD, mark: Mark::Data }
    }

    fn fits(&self, shape: Shape, slot: (u32, u32)) -> bool {
        // What is stale may begin anywhere: there one record alone is not believed.
        let proved = self.nonce.map_or(!self.stale, |nonce| nonce == slot.1);
        proved && self.facts.plausible(shape, slot.0)
    }

    fn record(&mut self, mut window: Window<'_>, shape: Shape, at: u64) -> Result<Step, Fault> {
        let stop = self.stop(window.end);
        if stop - at < shape.stride() && stop < window.end {
            return Ok(Step::Framing(stop));
        }
        let bytes = window.slice(at..at.saturating_add(shape.stride()))?;
        let Some(slot) = shape.slot(bytes) else {
            return Err(Fault { at, cause: Cause::Malformed("record") });
        };
        if self.fits(shape, slot) {
            return Ok(Step::Record(self.take(shape, at, slot)));
        }
        // The count may be too high.
        let next = shape.boundary(at);
        if next.saturating_add(HEAD) <= stop {
            let header = Header::of(&window.array(next)?);
            let live = header.sort() == Sort::Live && self.resembles(&header);
            if live && !self.leads_to(&mut window, shape, at, next) {
                self.goes_to(next, Part::Header);
                return Ok(if next > at { Step::Framing(next) } else { Step::Again });
            }
        }
        if self.stale {
            window.slice(at..at.saturating_add(VOTERS * shape.stride()).min(window.end))?;
            if self.facts.agreed(&mut window, shape, at, None) == Some(slot.1) {
                return Ok(Step::Record(self.take(shape, at, slot)));
            }
        }
        let cause = if slot.0 == 0 && bytes.iter().all(|&b| b == 0) {
            Cause::Zeros
        } else if let Some(nonce) = self.nonce.filter(|nonce| *nonce != slot.1) {
            let stored = big(&bytes[bytes.len() - 4..]);
            Cause::Checksum { stored, computed: stored.wrapping_sub(slot.1).wrapping_add(nonce) }
        } else {
            Cause::Number { found: u64::from(slot.0), expected: u64::MAX }
        };
        Err(Fault { at, cause })
    }

    /// Whether a record at `at` is due before the header at `next`, by the count or by one that stands between the two.
    fn leads_to(&self, window: &mut Window<'_>, shape: Shape, at: u64, next: u64) -> bool {
        let end = self.left.checked_mul(shape.stride()).and_then(|bytes| at.checked_add(bytes));
        let mut between = (1..).map_while(|n: u64| at.checked_add(n.checked_mul(shape.stride())?));
        next - at >= shape.stride()
            && (end.is_some_and(|end| shape.boundary(end) == next)
                || between
                    .by_ref()
                    .take_while(|place| next.saturating_sub(*place) >= shape.stride())
                    .any(|place| shape.slot_at(window, place).is_some_and(|slot| self.fits(shape, slot))))
    }

    /// By its count the segment is over.
    fn over(&mut self, mut window: Window<'_>, shape: Shape, at: u64) -> Result<Step, Fault> {
        let stop = self.stop(window.end);
        if stop - at >= shape.stride() {
            let bytes = window.slice(at..at + shape.stride())?;
            if shape.slot(bytes).is_some_and(|slot| self.fits(shape, slot)) {
                self.left = u64::MAX;
                return Ok(Step::Again);
            }
        }
        let next = shape.boundary(at);
        // Less than a sector is left: no header, and records only where bytes in between are missing.
        if next >= stop && stop - at >= shape.stride() {
            window.slice(at..stop)?;
            if (at..stop).any(|place| self.stands(&mut window, shape, place).is_some()) {
                return Err(Fault { at, cause: Cause::Malformed("header") });
            }
        }
        if next >= stop || (next.saturating_add(HEAD) > stop && stop < window.end) {
            return Ok(Step::Framing(stop));
        }
        let header = Header::of(&window.array(next)?);
        if header.sort() != Sort::Live && !self.resembles(&header) {
            return Err(Fault { at, cause: Cause::Malformed("header") });
        }
        self.goes_to(next, Part::Header);
        Ok(if next > at { Step::Framing(next) } else { Step::Again })
    }

    fn spend(&mut self, bytes: u64) -> bool {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}

impl Decoder for JournalDecoder {
    fn fill(&mut self, window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        let Some(shape) = self.facts.shape else {
            let short = Cause::Short { need: HEAD.max(window.end + 1) };
            let cause = if window.end < HEAD { short } else { Cause::Malformed("header") };
            return if *at < window.end { Stop::Fault(Fault { at: *at, cause }) } else { Stop::End };
        };
        loop {
            if *at >= window.end {
                return Stop::End;
            }
            if out.len() >= BATCH {
                return Stop::Full;
            }
            if *at >= self.stop(window.end) {
                return Stop::Framing(window.end);
            }
            if *at != self.due {
                // Someone begins in the middle, where a record has been found before.
                (self.nonce, self.left) = (None, u64::MAX);
                self.goes_to(*at, Part::Record);
            }
            let step = match self.part {
                Part::Header => self.header(window, shape, *at),
                Part::Record if self.left == 0 => self.over(window, shape, *at),
                Part::Record => self.record(window, shape, *at),
            };
            match step {
                Ok(Step::Record(record)) => {
                    *at = record.end();
                    out.push(record);
                }
                Ok(Step::Framing(to)) => return Stop::Framing(to),
                Ok(Step::Again) => {}
                Err(fault) => return Stop::Fault(fault),
            }
        }
    }

    fn long(&mut self, _: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        // A record never is longer than a window.
        Err(Fault { at, cause: Cause::Malformed("record") })
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let (from, end) = (fault.at, reader.end());
        self.budget = BUDGET.min(self.budget.saturating_add(8 * from.saturating_sub(self.passed)));
        self.passed = from;
        let all = Recovery {
            from,
            record: None,
            resume: self.stop(end).max(from + 1),
            trust: TRUST,
            cause: fault.cause,
            kind: Kind::Damage,
            embedded: None,
        };
        let recovery = match (self.facts.shape, self.part) {
            (None, _) => self.unshaped(end, all),
            (Some(shape), Part::Header) => self.bad_header(reader, shape, all),
            (Some(shape), Part::Record) if self.left == 0 => self.behind(reader, shape, all),
            (Some(shape), Part::Record) => self.bad_record(reader, shape, all),
        };
        if self.due != recovery.resume {
            self.goes_to(recovery.resume, Part::Record);
        }
        recovery
    }
}

/// Whether a record at `place` is one of the first behind a header.
fn in_step(shape: Shape, first: u64, place: u64) -> bool {
    let bytes = place.checked_sub(first);
    bytes.is_some_and(|bytes| bytes / shape.stride() <= 2 && bytes % shape.stride() == 0)
}

fn stale(behind: Behind, all: Recovery) -> Recovery {
    Recovery { kind: Kind::Stale, cause: Cause::Behind(behind), ..all }
}

impl JournalDecoder {
    /// Nothing tells what records look like.
    fn unshaped(&self, end: u64, all: Recovery) -> Recovery {
        match self.facts.sort() {
            None => Recovery { kind: Kind::Torn, ..all },
            Some(Sort::Finished) if all.from == 0 => stale(Behind::Finished, Recovery { resume: end, ..all }),
            Some(_) => all,
        }
    }

    fn bad_header(&mut self, reader: &mut Reader<'_>, shape: Shape, all: Recovery) -> Recovery {
        let at = all.from;
        let Some(header) = Header::at(reader, at) else { return Recovery { kind: Kind::Torn, ..all } };
        match header.sort() {
            Sort::Unsynced => return stale(Behind::Unsynced, all),
            Sort::Finished if at == 0 => return stale(Behind::Finished, all),
            Sort::Cleared if at > 0 => return stale(Behind::Generation, all),
            _ => {}
        }
        let voted = self.facts.voted.filter(|_| at == 0);
        let first = voted.map_or(at.saturating_add(shape.sector), |(first, _)| first);
        let nonce = voted.map_or(header.nonce, |(_, nonce)| nonce);
        (self.nonce, self.left) = (Some(nonce), u64::MAX);
        match self.search(reader, shape, at.saturating_add(HEAD), all.resume) {
            Some((place, Found::Record(nonce))) if in_step(shape, first, place) => {
                self.nonce = Some(nonce);
                self.goes_to(first, Part::Record);
                Recovery { resume: first, ..all }
            }
            Some(found) => self.resumed(shape, found, all),
            None if first < all.resume => {
                self.goes_to(first, Part::Record);
                Recovery { resume: first, ..all }
            }
            None => {
                Recovery { kind: if all.resume < reader.end() { Kind::Damage } else { Kind::Torn }, ..all }
            }
        }
    }

    fn bad_record(&mut self, reader: &mut Reader<'_>, shape: Shape, all: Recovery) -> Recovery {
        let (at, stop) = (all.from, all.resume);
        if stop - at < shape.stride() {
            return Recovery { kind: Kind::Torn, ..all };
        }
        let step = self.goes_on(reader, shape, at, stop);
        // Bytes that are missing and others that are too many can make up for each other: what stands out of step counts.
        let off = step.and_then(|to| self.search(reader, shape, at + 1, to));
        if let Some(found) = off.filter(|(place, _)| (place - at) % shape.stride() != 0) {
            return self.resumed(shape, found, all);
        }
        if step.is_some() {
            if self.left != u64::MAX {
                self.left = self.left.saturating_sub(1);
            }
            self.seq = self.seq.saturating_add(1);
            let resume = at + shape.stride();
            self.goes_to(resume, Part::Record);
            return Recovery { resume, ..all };
        }
        if self.left == u64::MAX {
            return self.behind(reader, shape, all);
        }
        match self.search(reader, shape, at + 1, stop) {
            Some(found) => self.resumed(shape, found, all),
            None => all,
        }
    }

    /// Where something shows that the segment keeps its step behind the record at `at`.
    fn goes_on(&mut self, reader: &mut Reader<'_>, shape: Shape, at: u64, stop: u64) -> Option<u64> {
        let place = |n: u64| n.checked_mul(shape.stride()).and_then(|bytes| at.checked_add(bytes));
        let ends_at = |reader: &mut Reader<'_>, place: u64| {
            let header = Header::at(reader, shape.boundary(place));
            place == stop || header.is_some_and(|header| header.sort() == Sort::Live)
        };
        for place in (1..=SLOTS).map_while(place) {
            if stop.saturating_sub(place) < shape.stride() || !self.spend(shape.page_bytes / 64) {
                break;
            }
            if shape.slot_at(reader, place).is_some_and(|slot| self.fits(shape, slot)) {
                return Some(place);
            }
        }
        let counted = Some(self.left).filter(|left| *left != u64::MAX).and_then(place);
        let ends = [counted, place(1)].into_iter().flatten();
        ends.filter(|end| *end <= stop).find(|&end| ends_at(reader, end))
    }

    /// Behind the last record of a segment, where no header stands.
    fn behind(&mut self, reader: &mut Reader<'_>, shape: Shape, all: Recovery) -> Recovery {
        let (at, stop) = (all.from, all.resume);
        let next = shape.boundary(at);
        let Some(header) = Header::at(reader, next) else {
            return match self.search(reader, shape, at + 1, stop) {
                Some(found) => self.resumed(shape, found, all),
                None => Recovery { kind: Kind::Torn, ..all },
            };
        };
        if header.sort() == Sort::Cleared || self.facts.agreed(reader, shape, at, None).is_some() {
            return stale(Behind::Generation, all);
        }
        let zeros = header.sort() == Sort::Finished;
        if zeros && zeros_end(reader, at) >= stop {
            return Recovery { cause: Cause::Zeros, ..all };
        }
        let first = next.saturating_add(shape.sector);
        match self.search(reader, shape, at + 1, stop) {
            // Headers stand at the start of a sector; one that does not has been moved.
            Some((place, Found::Header)) if place % shape.sector != 0 => {
                self.resumed(shape, (place, Found::Header), all)
            }
            Some((place, Found::Record(nonce))) if self.nonce == Some(nonce) => {
                self.resumed(shape, (place, Found::Record(nonce)), all)
            }
            Some((place, Found::Record(nonce))) if in_step(shape, first, place) => {
                (self.nonce, self.left) = (Some(nonce), u64::MAX);
                self.goes_to(first, Part::Record);
                let cause = if zeros { Cause::Zeros } else { Cause::Malformed("header") };
                Recovery { resume: first, cause, ..all }
            }
            Some(_) => stale(Behind::Generation, all),
            None if self.is_row(reader, shape, at, stop) => stale(Behind::Generation, all),
            None => Recovery { cause: Cause::Malformed("header"), ..all },
        }
    }

    /// Whether `at..stop` is as long as some records, each about a page that there can be.
    fn is_row(&mut self, reader: &mut Reader<'_>, shape: Shape, at: u64, stop: u64) -> bool {
        let mut place = at;
        while place < stop {
            let page = reader.array(place).map(u32::from_be_bytes);
            if !page.is_ok_and(|page| self.facts.plausible(shape, page)) || !self.spend(shape.page_bytes / 64)
            {
                return false;
            }
            place = place.saturating_add(shape.stride());
        }
        place == stop
    }

    /// The next header by its magic number, record by its nonce, or pair of records that agree on one.
    fn search(
        &mut self,
        reader: &mut Reader<'_>,
        shape: Shape,
        from: u64,
        stop: u64,
    ) -> Option<(u64, Found)> {
        let ahead = 2 * shape.stride();
        let mut at = from;
        while stop.saturating_sub(at) >= shape.stride() {
            let to = at.saturating_add(STEP).min(stop);
            let wide = usize::try_from((to - at).saturating_add(ahead)).ok()?;
            let mut window = reader.forward(at, wide);
            if !self.spend((to - at).saturating_mul(8)) {
                return None;
            }
            for place in at..to {
                if let Some(found) = self.stands(&mut window, shape, place) {
                    return Some((place, found));
                }
            }
            at = to;
        }
        None
    }

    fn stands(&self, window: &mut Window<'_>, shape: Shape, at: u64) -> Option<Found> {
        let page = u32::from_be_bytes(window.array(at).ok()?);
        if page.to_be_bytes() == super::MAGIC[..4] {
            let header = Header::at(window, at)?;
            return (header.sort() == Sort::Live && self.resembles(&header)).then_some(Found::Header);
        }
        if !self.facts.plausible(shape, page) {
            return None;
        }
        let (_, nonce) = shape.slot_at(window, at)?;
        if self.nonce == Some(nonce) && nonce != 0 {
            return Some(Found::Record(nonce));
        }
        let next = at.checked_add(shape.stride())?;
        let follows = u32::from_be_bytes(window.array(next).ok()?);
        if follows == page || !self.facts.plausible(shape, follows) {
            return None;
        }
        (shape.slot_at(window, next)?.1 == nonce).then_some(Found::Record(nonce))
    }

    fn resumed(&mut self, shape: Shape, (resume, found): (u64, Found), all: Recovery) -> Recovery {
        let lost = (resume - all.from + shape.stride() / 2) / shape.stride();
        self.seq = self.seq.saturating_add(lost);
        self.left = u64::MAX;
        match found {
            Found::Header => self.goes_to(resume, Part::Header),
            Found::Record(nonce) => {
                self.nonce = Some(nonce);
                self.goes_to(resume, Part::Record);
            }
        }
        Recovery { resume, trust: Trust::CHECKSUM, ..all }
    }
}
