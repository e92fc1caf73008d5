//! Records back to back, each leading to the next by its length: decoding, and the search behind damage.
//!
//! A format of this family says how one record is framed and proved ([`Framing`]); everything else is here. Behind
//! damage, in this order: the record itself with one length inferred from the others; the place its own lengths lead
//! to, if a record stands there; then every offset, cheap checks first (a vectorised look at the bytes that cannot
//! vary), checksum last, and a candidate only counts if its number fits and, where that is not enough, if it leads to
//! another record. So a log stored inside a value is stepped over, and random bytes never turn into records.

use crate::log::bytes::{Bytes, CHUNK, Reader, Window};
use crate::log::decoder::{BATCH, Decoder, HELD, Recovery, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, OP, Record, Trust};
use crate::log::region::Kind;
use crate::log::scan::scan;
use crate::log::survey::{Grouping, Rules};
use crate::log::surveyor::Surveyor;

/// A byte of every record that can take few values: at this offset from its start, `min..=max`.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// Offset from the start of the record.
    pub offset: usize,
    /// Smallest value.
    pub min: u8,
    /// Largest value.
    pub max: u8,
}

/// How one record of a chained format is laid out.
pub trait Framing: Send {
    /// What the search looks at first.
    const LANES: &'static [Lane];
    /// Length of the shortest record.
    const MIN: u64;
    /// Whether a checksum proves a record. Without one, only a chain of several makes a candidate believable.
    const PROVED: bool;
    /// Numbers begin at 1 again behind a commit.
    const RESTARTS: bool = false;

    /// A record without checksum is believed behind damage when this many more follow it.
    const LINKS: u32 = 3;

    /// Whether a record may begin with these bytes: a cheap look for the search behind damage, which has compared the lanes.
    fn plausible(&self, _bytes: &[u8]) -> bool {
        true
    }

    /// Lengths, kind and number of the record at `at`, checked against each other and against the end of the file.
    ///
    /// # Errors
    /// The first rule broken; [`Cause::Short`] where the bytes run out before one is.
    fn frame<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault>;

    /// Checksum and text of a framed record.
    ///
    /// # Errors
    /// The first rule broken.
    fn prove<B: Bytes>(&self, b: &mut B, record: &Record) -> Result<(), Fault>;

    /// The intact record that `bytes`, which lie at `at`, begin with. A shortcut for the usual case: `None` says nothing,
    /// and [`Framing::frame`] and [`Framing::prove`] decide. Tests hold both to the same answers.
    #[inline]
    fn quick(&self, _bytes: &[u8], _at: u64) -> Option<Record> {
        None
    }

    /// The record at `at` under the assumption that one of its fields is wrong, proved by its checksum.
    /// `end`: where it must end, if the next record is known already. Every checksum tried is paid from `budget`.
    fn mend<B: Bytes>(
        &self,
        _b: &mut B,
        _at: u64,
        _end: Option<u64>,
        _budget: &mut Budget,
    ) -> Option<(Record, Fix)> {
        None
    }

    /// Where the lengths of the record at `at` lead, whatever else is wrong with it. Several readings may exist.
    fn leads_to<B: Bytes>(&self, b: &mut B, at: u64) -> [Option<u64>; 2];

    /// Bytes at `at` that belong to the format and are no record: up to where.
    fn framing<B: Bytes>(&self, _b: &mut B, _at: u64) -> Option<u64> {
        None
    }

    /// Whether a proved record may be taken up behind damage. One without contents proves nothing: the checksum of
    /// nothing is found in any stretch of zeros.
    fn sought<B: Bytes>(&self, _b: &mut B, _record: &Record) -> bool {
        true
    }

    /// A damaged record leads to `own_end`, and a perfect one lies inside it at `inner`: whether that one is the next of
    /// this log, swallowed by a wrong length, and not part of the contents. Asked where numbers do not tell.
    fn swallowed<B: Bytes>(&self, _b: &mut B, _at: u64, _inner: u64, _own_end: u64) -> bool {
        false
    }

    /// Where no checksum proves records: whether all signs are that the record at `at` reaches to the next one at `next`
    /// and only its length is wrong.
    fn misled<B: Bytes>(&self, _b: &mut B, _at: u64, _next: u64) -> bool {
        false
    }

    /// Where no checksum proves records: whether the record at `at` may in truth end at `next`, inside the bytes that its
    /// lengths claim.
    fn spans<B: Bytes>(&self, _b: &mut B, _at: u64, _next: u64) -> bool {
        true
    }

    /// Where no checksum proves records: whether the record at `at` is whole and ends at `next`, but for one length.
    fn resized<B: Bytes>(&self, b: &mut B, at: u64, next: u64) -> bool {
        self.spans(b, at, next)
    }

    /// What is checked in addition before a record is taken from the chain: rules that need the record before it.
    ///
    /// # Errors
    /// The rule broken.
    #[inline]
    fn follows<B: Bytes>(&mut self, _b: &mut B, _record: &Record) -> Result<(), Fault> {
        Ok(())
    }
}

/// A decoder for any [`Framing`].
pub struct Chain<F> {
    framing: F,
    last: Option<Record>,
    /// Without a checksum: the last records, which may still be taken back.
    recent: Vec<Record>,
    /// The number due behind `last`, should its own number be the wrong one.
    due_otherwise: Option<u64>,
    /// A search found no record whose number fits; from then on the chain alone decides.
    number_lost: bool,
    budget: Budget,
    /// Up to here the budget has been paid in.
    paid_to: u64,
}

/// Checksum bytes that may still be spent on guesses.
///
/// Damaged lengths claim megabytes; without a bound each of them would be checked, and a hostile file would cost the
/// square of its length. Every byte that the scan or a search gets past pays some bytes in.
#[derive(Debug)]
pub struct Budget(u64);

impl Budget {
    /// Spends `bytes`, or says that there are not as many left.
    pub fn spend(&mut self, bytes: u64) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    fn pay(&mut self, bytes: u64) {
        self.0 = BUDGET.min(self.0.saturating_add(bytes.saturating_mul(BUDGET_PER_BYTE)));
    }
}

/// A record without checksum is believed when so many more follow it, even if they do not lead past the damage.
const UNPROVED_MANY: u32 = 16;
/// Checksum bytes allowed per byte searched, so that hostile lengths cannot make the search quadratic.
const BUDGET_PER_BYTE: u64 = 1;
/// Allowed at once, so that behind ordinary damage records of any usual size are found.
const BUDGET: u64 = 64 << 20;

/// Records behind damage whose number is too high for the bytes between: where bytes were taken out it is right all the
/// same, as the record that then fits shows by a number behind theirs; in a log inside a value it is not.
struct Aside {
    at: u64,
    trust: Trust,
    end: u64,
    first: u64,
    next: u64,
    /// Not below the number expected.
    ahead: bool,
}

/// The first run whose numbers lie between the one expected and `number`.
fn earlier(aside: &[Aside], number: u64) -> Option<(u64, Trust)> {
    aside.iter().find(|a| a.ahead && a.next <= number).map(|a| (a.at, a.trust))
}

/// So many such runs are kept.
const ASIDE: usize = 16;

impl<F: Framing> Chain<F> {
    /// A decoder at the start of a file.
    pub fn new(framing: F) -> Self {
        Chain {
            framing,
            last: None,
            recent: Vec::new(),
            due_otherwise: None,
            number_lost: false,
            budget: Budget(BUDGET),
            paid_to: 0,
        }
    }

    fn decode<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault> {
        let record = self.framing.frame(b, at)?;
        self.framing.prove(b, &record)?;
        Ok(record)
    }

    fn pay_to(&mut self, at: u64) {
        self.budget.pay(at.saturating_sub(self.paid_to));
        self.paid_to = self.paid_to.max(at);
    }

    /// Whether a record, other bytes of the format, or the end of the file stands at `at`.
    fn stands(&self, reader: &mut Reader<'_>, at: u64) -> bool {
        at == reader.end() || self.decode(reader, at).is_ok() || self.framing.framing(reader, at).is_some()
    }

    /// Whether the number of `r` can follow the last one, `r.at - lost_from` bytes of records having been lost.
    fn number_fits(&self, r: &Record, lost_from: u64) -> Option<bool> {
        let last = self.last.filter(|l| l.next > l.seq && r.next > r.seq)?;
        let room = r.at.saturating_sub(lost_from) / F::MIN;
        let fits = |due: u64| r.seq.checked_sub(due).is_some_and(|missing| missing <= room);
        Some(fits(last.next) || self.due_otherwise.is_some_and(fits) || (F::RESTARTS && fits(1)))
    }

    /// Takes note of the record in front of a possible fault, and of the one before it.
    fn remember(&mut self, before: Option<Record>, last: Record) {
        self.due_otherwise =
            before.filter(|b| b.next != last.seq).map(|b| b.next.saturating_add(last.next - last.seq));
        self.last = Some(last);
    }

    /// The next place from `from` on, before `to`, where a record of this log stands, and the grounds for it.
    fn search(&mut self, reader: &mut Reader<'_>, damage: u64, from: u64, to: u64) -> Option<(u64, Trust)> {
        let span = F::LANES.iter().map(|l| l.offset + 1).max().unwrap_or(1) as u64;
        let mut aside: Vec<Aside> = Vec::new();
        let mut at = from;
        while at + F::MIN <= to {
            let window = reader.forward(at, span as usize + 64);
            let seen_to = (window.base + window.bytes.len() as u64).min(to.saturating_add(span - 1));
            let bytes = window.slice(at..seen_to).unwrap_or(&[]);
            let Some(skip) = next_candidate(F::LANES, bytes) else {
                let seen = (bytes.len() as u64).saturating_sub(span - 1).max(1);
                at += seen;
                self.pay_to(at);
                continue;
            };
            let zeros = bytes[skip..].iter().take(F::MIN as usize).all(|&b| b == 0);
            // Most candidates in random bytes fall here, before anything far away is read for them.
            let plausible = self.framing.plausible(&bytes[skip..]);
            at += skip as u64;
            if at + F::MIN > to {
                break;
            }
            if !plausible {
                at += 1;
                continue;
            }
            self.pay_to(at + 1);
            // The window may end here: the run is measured over its edge.
            let run = if zeros { zeros_end(reader, at) } else { at };
            if run - at >= F::MIN {
                // A record can begin with zeros, but not with more of them than its shortest form has bytes.
                at = (run + 1 - F::MIN).max(at + 1);
                continue;
            }
            match self.candidate(reader, at, damage) {
                Some((trust, true)) => {
                    let number = self.framing.frame(reader, at).map_or(0, |r| r.seq);
                    return earlier(&aside, number).or(Some((at, trust)));
                }
                Some((trust, false)) => {
                    let run = self.aside(reader, at, trust);
                    if run.ahead && run.end == reader.end() && trust.has(Trust::CHAIN) {
                        aside.push(run);
                        break;
                    }
                    at = run.end.max(at + 1);
                    if aside.len() < ASIDE {
                        aside.push(run);
                    }
                }
                None => at += 1,
            }
        }
        let mut chained = aside.iter().filter(|a| a.trust.has(Trust::CHAIN));
        // Without a neighbour nothing speaks against a record that stands alone, either.
        let alone = aside.first().filter(|_| self.last.is_none());
        let best = chained.clone().find(|a| a.ahead).or(chained.next()).or(alone)?;
        self.number_lost |= self.last.is_some();
        earlier(&aside, best.first).or(Some((best.at, best.trust)))
    }

    /// The run of consecutive numbers that begins at `at`, where a record stands whose number does not fit.
    fn aside(&self, reader: &mut Reader<'_>, at: u64, trust: Trust) -> Aside {
        let due = self.last.map(|last| self.due_otherwise.map_or(last.next, |other| other.min(last.next)));
        let mut run = Aside { at, trust, end: at, first: 0, next: 0, ahead: false };
        while let Ok(record) = self.decode(reader, run.end) {
            if run.end == at {
                run.first = record.seq;
                run.ahead = due.is_none_or(|due| record.seq >= due);
            } else if record.seq != run.next || !run.ahead {
                // Behind a repeated number the next one may be the one that fits.
                break;
            }
            (run.end, run.next) = (record.end(), record.next);
        }
        run
    }

    /// Judges the candidate at `at`; the flag says whether to take it at once or only if no better one follows.
    fn candidate(&mut self, reader: &mut Reader<'_>, at: u64, damage: u64) -> Option<(Trust, bool)> {
        let record = self.framing.frame(reader, at).ok()?;
        let cost = if record.len > CHUNK as u64 { 4 * record.len } else { record.len };
        if !self.budget.spend(cost) {
            return None;
        }
        self.framing.prove(reader, &record).ok()?;
        if F::PROVED && !self.framing.sought(reader, &record) {
            return None;
        }
        if !F::PROVED {
            let (far, to) = self.leads_far(reader, &record, damage);
            let believed = far && self.framing.sought(reader, &record);
            // What was walked over in vain is paid for, too.
            return (self.budget.spend(to - record.at) && believed)
                .then_some((Trust::STRUCTURE.and(Trust::CHAIN), true));
        }
        let trust = Trust::CHECKSUM.and(Trust::LENGTHS);
        let chained = self.stands(reader, record.end());
        let trust = if chained { trust.and(Trust::CHAIN) } else { trust };
        match self.number_fits(&record, damage) {
            Some(true) => Some((trust.and(Trust::NUMBER), true)),
            _ if self.number_lost => chained.then_some((trust, true)),
            Some(false) => Some((trust, false)),
            // Without numbers an isolated record is still proved by its checksum; at the start of a numbered log
            // there is no neighbour to compare with.
            None => Some((trust, chained || record.next == record.seq)),
        }
    }

    /// Whether the chain that starts at `record` goes on for some records, and beyond the damage; and how far it was
    /// followed.
    fn leads_far(&self, reader: &mut Reader<'_>, record: &Record, damage: u64) -> (bool, u64) {
        let (mut at, mut links) = (record.end(), 0);
        while at < reader.end() && (links < F::LINKS || at <= damage) {
            match self.decode(reader, at) {
                Ok(next) => (at, links) = (next.end(), links + 1),
                Err(_) if self.framing.framing(reader, at).is_some() => return (true, at),
                Err(fault) => {
                    // The last record of a file may be torn.
                    let torn = links > 0 && at > damage && matches!(fault.cause, Cause::Short { .. });
                    // A long chain that breaks before the damage met other damage; one that ends with it is a value's contents.
                    return (torn || links >= UNPROVED_MANY && at < damage, at);
                }
            }
        }
        (at > damage, at)
    }
}

impl<F: Framing> Decoder for Chain<F> {
    fn fill(&mut self, mut window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        let stop = loop {
            if *at >= window.end {
                break Stop::End;
            }
            if out.len() >= BATCH {
                break Stop::Full;
            }
            let rest =
                at.checked_sub(window.base).and_then(|from| window.bytes.get(usize::try_from(from).ok()?..));
            let quick = rest.and_then(|rest| self.framing.quick(rest, *at));
            let decoded = quick.map_or_else(|| self.decode(&mut window, *at), Ok).and_then(|record| {
                self.framing.follows(&mut window, &record)?;
                Ok(record)
            });
            match decoded {
                Ok(record) => {
                    *at = record.end();
                    out.push(record);
                }
                Err(Fault { cause: Cause::Short { need }, .. })
                    if need <= window.end && need > window.base + window.bytes.len() as u64 =>
                {
                    break Stop::Fault(Fault { at: *at, cause: Cause::Short { need } });
                }
                Err(fault) => break Stop::Fault(fault),
            }
        };
        if let Some(&last) = out.last().filter(|&&r| Some(r) != self.last) {
            let before = out.len().checked_sub(2).map(|i| out[i]).or(self.last);
            self.remember(before, last);
        }
        if !F::PROVED {
            self.recent.clear();
            self.recent.extend_from_slice(&out[out.len().saturating_sub(HELD)..]);
        }
        match stop {
            Stop::Fault(fault) => match self.framing.framing(&mut window, *at) {
                Some(to) => Stop::Framing(to),
                None => Stop::Fault(fault),
            },
            stop => stop,
        }
    }

    fn long(&mut self, reader: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        let record = self.decode(reader, at)?;
        self.framing.follows(reader, &record)?;
        self.remember(self.last, record);
        self.recent.push(record);
        let old = self.recent.len().saturating_sub(HELD);
        self.recent.drain(..old);
        Ok(record)
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let (at, end) = (fault.at, reader.end());
        self.pay_to(at);
        let proved = if F::PROVED { Trust::CHECKSUM } else { Trust::STRUCTURE }.and(Trust::POSITION);
        let zeros = zeros_end(reader, at);
        // So few may be the first bytes of a length.
        let few_zeros = end - at < 4;
        let mut recovery = Recovery {
            from: at,
            record: None,
            resume: end,
            trust: Trust::default(),
            cause: fault.cause,
            kind: Kind::Damage,
            embedded: None,
        };
        if zeros - at < F::MIN {
            let mended = self.framing.mend(reader, at, None, &mut self.budget);
            if let Some((record, fix)) = mended.filter(|(record, _)| !self.overlaps(reader, record)) {
                return self.mended(recovery, record, fix, proved);
            }
        }
        // Where no checksum proved the record before the fault, its length may be the one that is wrong.
        let suspect = self.last.filter(|l| !F::PROVED && l.end() == at);
        // A record inside the one before tells that its length is wrong, and the bytes here are part of another.
        let (suspect, early) = match suspect.and_then(|_| self.earlier(reader)) {
            Some((record, hit)) => (Some(record), Some(hit)),
            None => (suspect, suspect.and_then(|last| self.inside(reader, &last))),
        };
        self.recent.clear();
        let own_end = if early.is_none() { self.own_end(reader, at) } else { None };
        let hit = early.or_else(|| {
            let from = (at + 1).max(zeros.saturating_sub(F::MIN - 1));
            self.search(reader, at, from, own_end.unwrap_or(end))
        });
        // One length may have come to lead past records that stand behind the damage, and so on to the next.
        let own_end = own_end.filter(|&own| {
            self.lengths_agree(reader, at, own)
                || !hit.is_some_and(|(hit, _)| self.run_stands(reader, hit, own))
        });
        let next = hit.map_or(own_end.unwrap_or(end), |h| h.0);
        if zeros - at < F::MIN && next > at {
            let mended = self.framing.mend(reader, at, Some(next), &mut self.budget);
            if let Some((record, fix)) = mended.filter(|(record, _)| !self.overlaps(reader, record)) {
                return self.mended(recovery, record, fix, proved.and(Trust::CHAIN));
            }
        }
        let inner = hit.map(|h| h.0);
        let own_end =
            own_end.filter(|&own| !inner.is_some_and(|i| self.framing.swallowed(reader, at, i, own)));
        match (own_end, hit) {
            (Some(own), hit) => {
                (recovery.resume, recovery.trust) = (own, proved.and(Trust::LENGTHS).and(Trust::CHAIN));
                // Without a checksum there are no perfect records, only readings that happen to fit.
                recovery.embedded = hit.map(|h| h.0).filter(|_| F::PROVED);
            }
            (None, Some((next, trust))) => {
                (recovery.resume, recovery.trust) = (next, trust);
                if let Some(last) = suspect.filter(|l| next < at || self.framing.misled(reader, l.at, next)) {
                    recovery.from = last.at;
                    recovery.cause = Cause::Malformed("record: its length does not lead to the next one");
                }
                // Without a checksum a wrong length looks the same.
                if F::PROVED && next > at && self.was_torn(reader, at, next, fault) {
                    recovery.cause = Cause::TornThenAppended;
                }
            }
            (None, None) => {
                if let Some(last) = suspect.filter(|last| self.framing.misled(reader, last.at, end)) {
                    recovery.from = last.at;
                } else if matches!(fault.cause, Cause::Short { .. }) && (zeros < end || few_zeros) {
                    recovery.kind = Kind::Torn;
                }
            }
        }
        if (zeros == recovery.resume && !few_zeros) || zeros - at >= F::MIN {
            recovery.cause = Cause::Zeros;
        }
        recovery
    }
}

impl<F: Framing> Chain<F> {
    fn mended(&mut self, recovery: Recovery, record: Record, fix: Fix, trust: Trust) -> Recovery {
        self.remember(self.last, record);
        Recovery {
            record: Some((record, fix)),
            resume: record.end(),
            trust,
            cause: match recovery.cause {
                Cause::Number { .. } => Cause::Number { found: fix.found, expected: fix.inferred },
                cause if fix.field == OP => cause,
                _ => Cause::Length { found: fix.found, expected: fix.inferred },
            },
            kind: Kind::Recovered,
            ..recovery
        }
    }

    /// A wrong length that leads to something record-like makes the chain go on with nonsense for a while. The record that
    /// has it is the first of the last ones from inside which another chain leads exactly to the end of the file: one that
    /// is whole but for a length or, where there is none, one behind which all the others look wrong, too.
    fn earlier(&mut self, reader: &mut Reader<'_>) -> Option<(Record, (u64, Trust))> {
        let (mut found, mut whole, mut unbroken) = (None, false, true);
        for record in std::mem::take(&mut self.recent).iter().rev() {
            match self.inside(reader, record).filter(|hit| self.leads_to_end(reader, hit.0)) {
                Some(hit) if self.framing.resized(reader, record.at, hit.0) => {
                    (found, whole) = (Some((*record, hit)), true);
                }
                Some(hit) if unbroken && !whole => found = Some((*record, hit)),
                Some(_) => {}
                None => unbroken = false,
            }
        }
        found
    }

    fn leads_to_end(&mut self, reader: &mut Reader<'_>, from: u64) -> bool {
        let mut at = from;
        while at < reader.end() {
            match self.decode(reader, at) {
                Ok(record) if self.budget.spend(record.len) => at = record.end(),
                _ => return false,
            }
        }
        true
    }

    /// The first place inside `last` from which a chain steps over its end, where the chain breaks.
    fn inside(&mut self, reader: &mut Reader<'_>, last: &Record) -> Option<(u64, Trust)> {
        let to = last.end() + F::MIN - 1;
        let mut from = last.at + 1;
        while let Some(hit) = self.search(reader, last.end(), from, to) {
            if self.framing.spans(reader, last.at, hit.0) {
                return Some(hit);
            }
            from = hit.0 + 1;
        }
        None
    }

    /// Where the damaged record's own lengths lead, if a record that fits stands there, or exactly the end. Where they
    /// contradict each other and both lead to something, the nearer passes over less.
    fn own_end(&self, reader: &mut Reader<'_>, at: u64) -> Option<u64> {
        let places = self.framing.leads_to(reader, at).into_iter().flatten();
        places.filter(|&to| self.own_end_at(reader, at, to)).min()
    }

    fn own_end_at(&self, reader: &mut Reader<'_>, at: u64, to: u64) -> bool {
        let Some(span) = to.checked_sub(at) else {
            return false;
        };
        if span < F::MIN || to > reader.end() {
            return false;
        }
        match self.decode(reader, to) {
            Ok(next) if F::PROVED => self.number_fits(&next, at) != Some(false),
            Ok(next) => self.leads_far(reader, &next, at).0 && self.framing.sought(reader, &next),
            Err(_) => to == reader.end() || self.framing.framing(reader, to).is_some(),
        }
    }

    /// Whether a mended record ends inside an intact one: bytes of it are gone, and those it is given are its neighbour's.
    fn overlaps(&self, reader: &mut Reader<'_>, mended: &Record) -> bool {
        /// An overlap is looked for in so many bytes.
        const LOOK: u64 = 64;
        let from = mended.end().saturating_sub(LOOK).max(mended.at + 1);
        !self.stands(reader, mended.end())
            && (from..mended.end()).any(|at| self.decode(reader, at).is_ok_and(|r| r.end() > mended.end()))
    }

    /// Whether two records of consecutive numbers stand at `from`, or one that leads exactly to the record at `to`.
    fn run_stands(&self, reader: &mut Reader<'_>, from: u64, to: u64) -> bool {
        let Ok(record) = self.decode(reader, from) else { return false };
        match self.decode(reader, record.end()) {
            Ok(next) => next.seq == record.next,
            Err(_) => record.end() == to && to == reader.end(),
        }
    }

    /// Whether the lengths of the damaged record at `at` agree that it ends at `to`.
    fn lengths_agree(&self, reader: &mut Reader<'_>, at: u64, to: u64) -> bool {
        self.framing.leads_to(reader, at).into_iter().flatten().all(|place| place == to)
    }

    /// A record that claims more bytes than the damage has, with nothing missing behind it: torn, then written over.
    fn was_torn(&self, reader: &mut Reader<'_>, at: u64, next: u64, fault: Fault) -> bool {
        let longer = match fault.cause {
            Cause::Short { .. } => true,
            // A torn record of that size has its kind, and the right one.
            Cause::Kind(_) if next - at >= F::MIN => false,
            _ => self.framing.leads_to(reader, at).into_iter().flatten().any(|to| to > next),
        };
        let none_missing = match (self.last, self.decode(reader, next)) {
            (Some(last), Ok(r)) if r.next > r.seq => r.seq == last.next,
            _ => true,
        };
        let near = next.checked_sub(at).is_some_and(|n| n < CHUNK as u64);
        longer && none_missing && near && !self.framing.misled(reader, at, next)
    }
}

/// Whether the key of `len` bytes that begins at `from` may be text, by its first bytes.
pub fn begins_as_text(bytes: &[u8], from: usize, len: u32) -> bool {
    const LOOK: usize = 16;
    let key = bytes.get(from..).unwrap_or_default();
    let key = &key[..key.len().min(LOOK).min(len as usize)];
    std::str::from_utf8(key).map_or_else(|e| e.error_len().is_none(), |_| true)
}

/// How many of these first bytes of a file are records: for recognising files of unknown name.
pub fn proved_bytes<F: Framing>(framing: F, head: &[u8]) -> u64 {
    let rules = Rules { numbering: Numbering::None, grouping: Grouping::None, trust: Trust::default() };
    let mut surveyor = Surveyor::new(rules);
    scan(&mut Reader::new(&head), &mut Chain::new(framing), 0, &mut surveyor);
    let regions = surveyor.finish().regions;
    regions.as_slice().iter().filter(|r| r.kind == Kind::Records).map(|r| r.len).sum()
}

/// Offset in `bytes` of the next place where every lane holds.
///
/// Plain comparisons over blocks, which the compiler turns into vector instructions: several GB/s where a test at every
/// offset makes less than one.
fn next_candidate(lanes: &[Lane], bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let span = lanes.iter().map(|l| l.offset + 1).max().unwrap_or(1);
    let last = (bytes.len() + 1).checked_sub(span)?;
    let mut at = 0;
    while at + BLOCK <= last {
        let mut misses = [0u8; BLOCK];
        for lane in lanes {
            let block: &[u8; BLOCK] = bytes[at + lane.offset..].first_chunk().expect("inside the window");
            let width = lane.max - lane.min;
            for i in 0..BLOCK {
                // All ones where the byte is out of range: one comparison, and no narrowing afterwards.
                misses[i] |= if block[i].wrapping_sub(lane.min) > width { 0xff } else { 0 };
            }
        }
        // A block without a hit is all ones; eight bytes at a time, so that no byte has to be looked at alone.
        let (words, _) = misses.as_chunks::<8>();
        if words.iter().fold(u64::MAX, |all, w| all & u64::from_le_bytes(*w)) != u64::MAX {
            return misses.iter().position(|&m| m == 0).map(|i| at + i);
        }
        at += BLOCK;
    }
    (at..last).find(|&i| lanes.iter().all(|l| (l.min..=l.max).contains(&bytes[i + l.offset])))
}

/// Offset of the first byte at or behind `at` that is not zero; the end of the file when there is none.
pub fn zeros_end(reader: &mut Reader<'_>, mut at: u64) -> u64 {
    let end = reader.end();
    while at < end {
        // A hole in a sparse file is not read at all.
        let data = reader.data_at(at);
        if data > at {
            at = data;
            continue;
        }
        let window = reader.forward(at, 1);
        let bytes = window.slice(at..window.base + window.bytes.len() as u64).unwrap_or(&[]);
        if bytes.is_empty() {
            return end;
        }
        let chunks = bytes.chunks(64);
        let clear =
            chunks.take_while(|c| c.iter().fold(0, |any, b| any | b) == 0).map(<[u8]>::len).sum::<usize>();
        match bytes[clear..].iter().position(|&b| b != 0) {
            Some(i) => return at + (clear + i) as u64,
            None => at += bytes.len() as u64,
        }
    }
    end
}
