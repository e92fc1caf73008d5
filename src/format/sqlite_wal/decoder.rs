//! Follows the chain of checksums from frame to frame, past damage, and tells what lies behind the live end from damage.
//!
//! A frame takes up the *stored* sum of the one before it, so one that is damaged does not hide the next. A frame without
//! a predecessor to follow, because that one's header is destroyed, is believed if the next frame follows on it.

use super::KIND_FRAME;
use super::facts::{Facts, Frames};
use super::frame::{HEAD, HEADER, Head, Sum, big};
use crate::log::bytes::{Bytes, Reader, Window};
use crate::log::decoder::{BATCH, Decoder, Recovery, Stop};
use crate::log::fault::{Behind, Cause, Fault};
use crate::log::record::{Fix, Mark, Record, Trust};
use crate::log::region::Kind;

/// Bytes summed and looked at behind damage beyond those that the scan has passed: a hostile file must not make the
/// search quadratic.
const BUDGET: u64 = 64 << 20;
/// Generations behind the live one that a salt can be off; each restart of the file adds one to it.
const GENERATIONS: u32 = 1 << 20;

/// What proves a frame in the unbroken chain.
pub const TRUST: Trust = Trust::CHECKSUM.and(Trust::POSITION).and(Trust::CHAIN);

/// See the top of this file.
pub struct FrameDecoder {
    facts: Facts,
    /// The sums that the next frame may follow on; mostly the same one twice.
    seeds: [Sum; 2],
    /// The frame here is believed without a sum to follow on.
    given: Option<u64>,
    /// Where the next frame stands, and its number.
    due: u64,
    seq: u64,
    /// The last frame closed a transaction.
    closed: bool,
    /// Change counter in the newest image of page 1.
    counter: Option<u32>,
    budget: u64,
    /// Where the budget was last filled up.
    passed: u64,
}

/// What stands from a broken link to the end of the file.
#[derive(Default)]
struct Rest {
    /// Frames of the live generation, one of them with a commit mark, and the change counter in the first image of page 1.
    live: bool,
    commit: bool,
    counter: Option<u32>,
    /// What is neither of this nor an older generation, or in the wrong order.
    odd: bool,
}

impl FrameDecoder {
    /// A decoder at the start of a file.
    pub fn new(facts: Facts) -> Self {
        FrameDecoder {
            facts,
            seeds: facts.header.map_or([Sum::default(); 2], |header| header.sums),
            given: None,
            // Nowhere, until the header has been passed.
            due: facts.frames.filter(|frames| frames.start == 0).map_or(u64::MAX, |frames| frames.start),
            seq: 1,
            closed: true,
            counter: None,
            budget: BUDGET,
            passed: 0,
        }
    }

    fn header(&mut self, end: u64) -> Stop {
        let cause = match self.facts.header {
            None => Cause::Short { need: HEADER.max(end + 1) },
            Some(header) => match header.fault {
                None => {
                    self.due = HEADER;
                    return Stop::Framing(HEADER);
                }
                Some(cause) => cause,
            },
        };
        Stop::Fault(Fault { at: 0, cause })
    }

    /// The frame at `at`, if it is one.
    fn frame(&self, frames: &Frames, at: u64, bytes: &[u8]) -> Result<Head, Cause> {
        let head = bytes.first_chunk().map(Head::of).ok_or(Cause::Malformed("frame"))?;
        if head.page == 0 {
            let zeros = bytes.iter().all(|&b| b == 0);
            return Err(if zeros { Cause::Zeros } else { Cause::Number { found: 0, expected: u64::MAX } });
        }
        if self.given != Some(at) && self.computed(frames, bytes, head.sum).is_none() {
            return Err(head.sum.mismatch(frames.shape.sum(self.seeds[0], bytes)));
        }
        if head.salts != frames.salts { Err(Cause::Malformed("salts")) } else { Ok(head) }
    }

    /// The seed on which a frame with this stored sum follows.
    fn computed(&self, frames: &Frames, bytes: &[u8], stored: Sum) -> Option<Sum> {
        let [a, b] = self.seeds;
        let fits = |seed: &Sum| frames.shape.sum(*seed, bytes) == stored;
        Some(a).filter(fits).or_else(|| Some(b).filter(|b| *b != a && fits(b)))
    }

    /// The record, and what the next one is judged by. `sum`: its true checksum.
    fn take(&mut self, frames: &Frames, at: u64, head: Head, sum: Sum, counter: Option<u32>) -> Record {
        let len = frames.shape.stride();
        let mark = if head.commit == 0 { Mark::Data } else { Mark::Last };
        let seq = self.seq;
        (self.seeds, self.given, self.due, self.seq) = ([sum; 2], None, at + len, seq.saturating_add(1));
        self.closed = head.commit != 0;
        if head.page == 1 {
            self.counter = counter.or(self.counter);
        }
        Record { at, len, seq, next: self.seq, txn: head.page, kind: KIND_FRAME, mark }
    }

    /// Number of the frame at `at` by its place.
    fn slot(frames: &Frames, at: u64) -> u64 {
        let stride = frames.shape.stride();
        (at.saturating_sub(frames.start) + stride / 2) / stride + 1
    }

    fn spend(&mut self, bytes: u64) -> bool {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.unwrap_or(0);
        left.is_some()
    }
}

/// The change counter in an image of page 1.
fn counter(frame: &[u8]) -> Option<u32> {
    let at = HEAD as usize + 24;
    frame.get(at..at + 4).map(|bytes| big(bytes) as u32)
}

impl Decoder for FrameDecoder {
    fn fill(&mut self, window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        if *at == 0 && window.end > 0 && self.facts.frames.is_none_or(|frames| frames.start > 0) {
            return self.header(window.end);
        }
        loop {
            if *at >= window.end {
                return Stop::End;
            }
            if out.len() >= BATCH {
                return Stop::Full;
            }
            let Some(frames) = self.facts.frames else {
                return Stop::Fault(Fault { at: *at, cause: Cause::Malformed("header") });
            };
            if *at != self.due {
                // Someone begins in the middle, where a frame has been found before.
                (self.due, self.given, self.seq) = (*at, Some(*at), Self::slot(&frames, *at));
            }
            let bytes = match window.slice(*at..at.saturating_add(frames.shape.stride())) {
                Ok(bytes) => bytes,
                Err(short) => return Stop::Fault(short),
            };
            match self.frame(&frames, *at, bytes) {
                Ok(head) => {
                    out.push(self.take(&frames, *at, head, head.sum, counter(bytes)));
                    *at = self.due;
                }
                Err(cause) => return Stop::Fault(Fault { at: *at, cause }),
            }
        }
    }

    fn long(&mut self, _: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        // A frame never is longer than a window.
        Err(Fault { at, cause: Cause::Malformed("frame") })
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let (at, end) = (fault.at, reader.end());
        self.budget = BUDGET.min(self.budget.saturating_add(8 * at.saturating_sub(self.passed)));
        self.passed = at;
        let all = Recovery {
            from: at,
            record: None,
            resume: end,
            trust: TRUST,
            cause: fault.cause,
            kind: Kind::Damage,
            embedded: None,
        };
        let Some(frames) = self.facts.frames else {
            let torn = at == 0 && end < HEADER;
            return Recovery { kind: if torn { Kind::Torn } else { Kind::Damage }, ..all };
        };
        if at == 0 && frames.start > 0 {
            self.enter(reader, &frames);
            return Recovery { resume: frames.start.min(end), ..all };
        }
        if let Some((record, fix)) = self.mend(reader, &frames, at) {
            return Recovery {
                record: Some((record, fix)),
                resume: record.end(),
                kind: Kind::Recovered,
                ..all
            };
        }
        let rest = self.rest(reader, &frames, at);
        if let Some(behind) = self.behind(reader, &frames, at, &rest) {
            return Recovery { kind: Kind::Stale, cause: Cause::Behind(behind), ..all };
        }
        if end - at < frames.shape.stride() {
            return Recovery {
                kind: Kind::Torn,
                cause: Cause::Short { need: at + frames.shape.stride() },
                ..all
            };
        }
        let (resume, trust) = self.search(reader, &frames, at);
        Recovery { resume, trust, ..all }
    }
}

impl FrameDecoder {
    /// Behind a damaged header: the first frame may follow on neither of its sums.
    fn enter(&mut self, reader: &mut Reader<'_>, frames: &Frames) {
        let (shape, at) = (frames.shape, frames.start);
        self.due = at;
        if !self.seeds.iter().any(|&seed| shape.follows(reader, at, seed))
            && self.confirmed(reader, frames, at)
        {
            self.given = Some(at);
        }
    }

    /// Whether a frame of the live generation stands at `at` and the next one follows on it.
    fn confirmed(&self, reader: &mut Reader<'_>, frames: &Frames, at: u64) -> bool {
        let live = |reader: &mut Reader<'_>, at| {
            Head::at(reader, at).ok().filter(|head| head.page != 0 && head.salts == frames.salts)
        };
        let next = at.saturating_add(frames.shape.stride());
        let head = live(reader, at).filter(|_| live(reader, next).is_some());
        head.is_some_and(|head| frames.shape.follows(reader, next, head.sum))
    }

    /// A frame whose salts or stored sum alone are wrong: the chain proves the rest of it.
    fn mend(&mut self, reader: &mut Reader<'_>, frames: &Frames, at: u64) -> Option<(Record, Fix)> {
        let (shape, stride) = (frames.shape, frames.shape.stride());
        let head = Head::at(reader, at).ok().filter(|head| head.page != 0)?;
        let bytes = reader.piece(at..at + stride).ok()?;
        let counter = counter(bytes);
        if self.computed(frames, bytes, head.sum).is_some() {
            let fix = Fix { field: "salts", found: head.salts, inferred: frames.salts };
            return Some((self.take(frames, at, head, head.sum, counter), fix));
        }
        let sums = self.seeds.map(|seed| shape.sum(seed, bytes));
        if head.salts != frames.salts || !self.spend(2 * stride) {
            return None;
        }
        let next = at + stride;
        let live = Head::at(reader, next).is_ok_and(|next| next.salts == frames.salts);
        let sum = sums.into_iter().find(|&sum| live && shape.follows(reader, next, sum))?;
        let fix = Fix { field: "checksum", found: head.sum.number(), inferred: sum.number() };
        Some((self.take(frames, at, head, sum, counter), fix))
    }

    /// Looks at the headers of all frames from `at` on, until a commit shows that the log goes on.
    fn rest(&mut self, reader: &mut Reader<'_>, frames: &Frames, at: u64) -> Rest {
        let (mut rest, mut older) = (Rest::default(), false);
        let mut slot = at;
        while slot.saturating_add(HEAD) <= reader.end() {
            let Some(head) = Head::at(reader, slot).ok().filter(|_| self.spend(HEAD)) else {
                // What nobody looked at may be anything.
                rest.odd = true;
                break;
            };
            let live = head.page != 0 && head.salts == frames.salts;
            let old = is_older(frames, &head);
            // An older generation may itself end in a transaction that was spilled.
            rest.odd |= !(live || old || head.blank()) || (older && live);
            older |= old;
            rest.live |= live;
            rest.commit |= live && head.commit != 0;
            if live && head.page == 1 {
                let image = reader.array::<4>(slot + HEAD + 24).map(u32::from_be_bytes);
                rest.counter = rest.counter.or(image.ok());
            }
            if rest.commit && (rest.counter.is_some() || self.counter.is_none() || !self.closed) {
                break;
            }
            slot = slot.saturating_add(frames.shape.stride());
        }
        rest
    }

    /// What lies from `at` to the end of the file, if that is no damage.
    fn behind(&self, reader: &mut Reader<'_>, frames: &Frames, at: u64, rest: &Rest) -> Option<Behind> {
        let head = Head::at(reader, at).ok()?;
        if !rest.live && head.page != 0 && head.salts != frames.salts && !head.blank() {
            let next = at.saturating_add(frames.shape.stride());
            let pair = Head::at(reader, next).is_ok_and(|next| next.salts == head.salts);
            let chained = pair && frames.shape.follows(reader, next, head.sum);
            return (chained || is_older(frames, &head)).then_some(Behind::Generation);
        }
        let whole = reader.end() - at >= frames.shape.stride();
        if !rest.commit && !rest.odd && whole && !is_older(frames, &head) {
            return Some(Behind::Uncommitted);
        }
        let fell = self.counter.zip(rest.counter).is_some_and(|(before, behind)| behind < before);
        (rest.commit && self.closed && fell).then_some(Behind::Branch)
    }

    /// Where the next frame stands and why it is believed.
    fn search(&mut self, reader: &mut Reader<'_>, frames: &Frames, at: u64) -> (u64, Trust) {
        let (stride, end) = (frames.shape.stride(), reader.end());
        let head = Head::at(reader, at).ok();
        let stored = head.map_or(self.seeds[0], |head| head.sum);
        let computed = frames.shape.sum_at(reader, at, self.seeds[0]).unwrap_or(stored);
        let seeds = [stored, computed, self.seeds[0], self.seeds[1]];
        let mut next = Some(at + stride).filter(|&next| next + stride <= end);
        let mut from = at + 1;
        while let Some(place) = next {
            if !self.spend(4 * stride) {
                // Frames are where they should be, or else they are lost.
                self.expect(at + stride, stored, self.seq.saturating_add(1));
                return ((at + stride).min(end), TRUST);
            }
            if let Some(found) = self.resume_at(reader, frames, at, place, seeds) {
                return found;
            }
            next = find(reader, frames.salts, from.saturating_add(8)).map(|salts| salts - 8);
            from = next.map_or(from, |place| place + 1);
        }
        let follower = Head::at(reader, at + stride).ok();
        let stale = follower.is_some_and(|head| head.page != 0 && is_older(frames, &head));
        let resume = if stale { at + stride } else { end };
        self.expect(resume, stored, self.seq.saturating_add(1));
        (resume, TRUST)
    }

    fn expect(&mut self, at: u64, seed: Sum, seq: u64) {
        (self.due, self.seeds, self.given, self.seq, self.closed) = (at, [seed; 2], None, seq, false);
    }

    /// Whether a frame at `place` is to be believed; `seeds`: the stored and the computed sum of the damaged frame at `at`,
    /// and those before it.
    fn resume_at(
        &mut self,
        reader: &mut Reader<'_>,
        frames: &Frames,
        at: u64,
        place: u64,
        seeds: [Sum; 4],
    ) -> Option<(u64, Trust)> {
        let (shape, stride) = (frames.shape, frames.shape.stride());
        let head =
            Head::at(reader, place).ok().filter(|head| head.page != 0 && head.salts == frames.salts)?;
        let sums = seeds.map(|seed| shape.sum_at(reader, place, seed));
        if let Some(nth) = sums.iter().position(|sum| *sum == Ok(head.sum)) {
            let lost = u64::from(nth < 2);
            self.expect(place, seeds[nth], self.seq.saturating_add(lost));
            return Some((place, TRUST));
        }
        if !self.confirmed(reader, frames, place) {
            return None;
        }
        let seq = Self::slot(frames, place).max(self.seq.saturating_add(1));
        let before = place.checked_sub(stride).filter(|&before| before >= at);
        let named = before.and_then(|before| Head::at(reader, before).ok());
        if named.is_some_and(|before| before.page != 0 && before.salts == frames.salts) {
            // The frame before has a sum, and it is not this frame's: this one is damaged, but not the next.
            self.expect(place + stride, head.sum, seq.saturating_add(1));
            return Some((place + stride, TRUST));
        }
        self.expect(place, head.sum, seq);
        self.given = Some(place);
        Some((place, Trust::CHAIN))
    }
}

/// Whether the frame is of one of the generations before the live one.
pub fn is_older(frames: &Frames, head: &Head) -> bool {
    let salt = |salts: u64| (salts >> 32) as u32;
    let restarts = salt(frames.salts).wrapping_sub(salt(head.salts));
    head.page != 0 && !head.blank() && (1..GENERATIONS).contains(&restarts)
}

/// Where these salts stand next, from `at` on.
fn find(reader: &mut Reader<'_>, salts: u64, mut at: u64) -> Option<u64> {
    let salts = salts.to_be_bytes();
    while at.saturating_add(8) <= reader.end() {
        let window = reader.forward(at, 8);
        let bytes = window.slice(at..window.base + window.bytes.len() as u64).ok()?;
        if let Some(i) = bytes.windows(8).position(|w| *w == salts) {
            return Some(at + i as u64);
        }
        at += (bytes.len() as u64).checked_sub(7)?;
    }
    None
}
