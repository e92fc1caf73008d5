//! The sorted tables of the LSM tree, the same in both revisions, without any checksum.
//!
//! ```text
//! entry    key_len u32 | key | val_len u32 | value          keys strictly ascending           big-endian
//! index    key_len u32 | key | offset u64                   one for every 16th entry or so
//! footer   footer_start u64 = end of the entries | count u32 = index entries                   the last 12 bytes
//! ```
//! A table is valid when 1. the index parses exactly `count` times from `footer_start` to the footer, 2. the entries lead
//! exactly to `footer_start`, 3. keys are UTF-8 and each is greater than the one before, 4. every offset in the index is
//! that of an entry with the index's key. A table is written in place under its final name, so a crash leaves one without
//! footer; its entries are then read as far as they go. The index is what makes up for the missing checksum: behind damage
//! it says where entries stand, and a length that leads past such a place is wrong.

use super::index::{
    Anchor, FOOTER, Index, KEY_MAX, Shape, anchored, has_key, index_at, needle, pointer, position, rises,
};
use super::{FIXED, KEY, blank, lengths, lone_blank, misled, record, spans, word};
use crate::log::bytes::{Bytes, ReadAt, Reader, Window};
use crate::log::decoder::{BATCH, Decoder, Recovery, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::record::{Record, Trust};
use crate::log::region::Kind;

/// Anchors inside an entry that are looked at; one that is right shows that the entry is too long.
const PROBES: usize = 8;
const ORDER: Cause = Cause::Malformed("key order");
const LINKED: Trust = Trust::STRUCTURE.and(Trust::CHAIN);

/// Decodes one table.
pub struct TableDecoder {
    shape: Shape,
    /// The first anchor not passed yet.
    anchor: usize,
    last: Option<Record>,
    /// Keys of the last entry and of the one before; `known` says how many of them there are.
    keys: [Vec<u8>; 2],
    known: usize,
    scratch: Vec<u8>,
    /// The index was looked for behind the fault, as no footer says where it is.
    looked: bool,
    /// Entries that the search may still try.
    steps: u64,
}

impl TableDecoder {
    /// A decoder at the start of a table.
    pub fn new(src: &dyn ReadAt) -> Self {
        let mut reader = Reader::new(src);
        TableDecoder {
            shape: Shape::of(&mut reader),
            anchor: 0,
            last: None,
            keys: [Vec::new(), Vec::new()],
            known: 0,
            scratch: Vec::new(),
            looked: false,
            steps: (1 << 22) + reader.end().saturating_mul(4),
        }
    }

    /// The entry at `at`, checked against the entries before it and against the index.
    fn accept<B: Bytes>(&mut self, b: &mut B, at: u64) -> Result<Record, Fault> {
        let fault = |cause| Err(Fault { at, cause });
        let own = lengths(b, at)?;
        let entry = record(at, own.total());
        let too_long = Cause::Length { found: own.value, expected: u64::MAX };
        if entry.end() > self.limit(b) {
            return fault(too_long);
        }
        if !self.shape.footer && own.total() == FIXED && lone_blank(b, at)? {
            return fault(Cause::Zeros);
        }
        let key = at + KEY..at + KEY + own.key;
        if !b.utf8(key.clone())? {
            return fault(Cause::Text);
        }
        b.copy(key.start..key.end.min(key.start + KEY_MAX), &mut self.scratch)?;
        if self.known > 0 && !rises(&self.keys[0], &self.scratch) {
            return fault(ORDER);
        }
        while let Some(&anchor) = self.shape.anchors.get(self.anchor).filter(|a| a.at <= at) {
            if anchor.at == at && anchor.key_len > 0 && anchor.key_len != own.key && has_key(b, anchor)? {
                return fault(Cause::Length { found: own.key, expected: anchor.key_len });
            }
            self.anchor += 1;
        }
        // Damage may have hit the first of them, too.
        let inside = self.shape.anchors.get(self.anchor..).unwrap_or_default();
        for &anchor in inside.iter().take(PROBES).take_while(|a| a.at < entry.end()) {
            if anchored(b, anchor)? {
                return fault(too_long);
            }
        }
        self.keys.swap(0, 1);
        std::mem::swap(&mut self.keys[0], &mut self.scratch);
        self.known = (self.known + 1).min(2);
        self.last = Some(entry);
        Ok(entry)
    }

    fn limit<B: Bytes>(&self, b: &B) -> u64 {
        self.shape.entries_end.unwrap_or(b.end())
    }

    /// The last entry turned out not to be one.
    fn forget_last(&mut self) {
        self.keys.swap(0, 1);
        self.known = self.known.saturating_sub(1).min(1);
        self.last = None;
    }
}

impl Decoder for TableDecoder {
    fn fill(&mut self, mut window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        loop {
            if self.shape.entries_end == Some(*at) && *at < window.end {
                return match self.shape.footer {
                    true => Stop::Framing(window.end),
                    false => Stop::Fault(Fault { at: *at, cause: Cause::Malformed("footer") }),
                };
            }
            if *at >= window.end {
                return Stop::End;
            }
            if out.len() >= BATCH {
                return Stop::Full;
            }
            match self.accept(&mut window, *at) {
                Ok(entry) => {
                    *at = entry.end();
                    out.push(entry);
                }
                Err(fault) => return Stop::Fault(Fault { at: *at, ..fault }),
            }
        }
    }

    fn long(&mut self, reader: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        self.accept(reader, at)
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let at = fault.at;
        self.locate_index(reader, at);
        let mut recovery = Recovery {
            from: at,
            record: None,
            resume: reader.end(),
            trust: Trust::default(),
            cause: fault.cause,
            kind: Kind::Damage,
            embedded: None,
        };
        if self.shape.entries_end == Some(at) {
            return tail(reader, &self.shape, recovery);
        }
        if let (Cause::Short { need }, Some(_)) = (fault.cause, self.shape.entries_end) {
            recovery.cause = Cause::Length { found: need - at, expected: u64::MAX };
        }
        if blank(reader, at) {
            recovery.cause = Cause::Zeros;
        }
        let last = self.last.filter(|last| last.end() == at);
        let target = self.next_anchor(reader, at).or(self.shape.entries_end);
        if let Some(last) = last.filter(|last| fault.cause == ORDER && self.order_blames(reader, last)) {
            self.forget_last();
            // Most likely it has a wrong key only; but it may never have been an entry.
            let right = target.is_none() || self.leads(reader, at, last.at, target) != Lead::No;
            let next = if right { None } else { self.search(reader, last.at, target) };
            let next = next.filter(|_| next != target);
            return Recovery { from: last.at, resume: next.unwrap_or(at), trust: LINKED, ..recovery };
        }
        // A length that leads past an anchor is this entry's; any other fault may be that of the length before.
        let suspect =
            last.filter(|_| !matches!(fault.cause, Cause::Length { .. }) || fault_of_limit(self, reader, at));
        let refuted = self.refutes_last(reader, target);
        if refuted {
            let next = self
                .search_to(reader, last.map_or(at, |last| last.at) + 1, reader.end(), at, target)
                .or(target);
            let from = last.map_or(at, |last| last.at);
            return Recovery { from, resume: next.unwrap_or(reader.end()), trust: LINKED, ..recovery };
        }
        let early = suspect.and_then(|last| self.inside(reader, &last, target));
        let own = if early.is_none() { self.own_end(reader, at, target) } else { None };
        // Entries inside it that lead to the target tell that it has come to reach over them.
        let over = own.and_then(|own| self.search_to(reader, at + 1, own, at, target));
        let over = over.filter(|&over| self.leads(reader, over, at, target) == Lead::Target);
        if let (None, Some(own)) = (over, own) {
            return Recovery { resume: own, trust: LINKED.and(Trust::LENGTHS), ..recovery };
        }
        match early.or_else(|| self.search(reader, at, target)) {
            Some(next) => {
                (recovery.resume, recovery.trust) = (next, LINKED);
                let refuted = self.refutes_last(reader, Some(next));
                if let Some(last) =
                    suspect.filter(|last| refuted || next < at || misled(reader, last.at, next))
                {
                    recovery.from = last.at;
                    recovery.cause =
                        Cause::Malformed("entry: the next one does not stand where its length leads");
                    if !refuted {
                        self.forget_last();
                    }
                }
            }
            None if matches!(fault.cause, Cause::Short { .. }) && !blank(reader, at) => {
                recovery.kind = Kind::Torn
            }
            None => {}
        }
        recovery
    }
}

/// Whether the entry at `at` reaches past the end of all entries, and not just past an anchor.
fn fault_of_limit(decoder: &TableDecoder, reader: &mut Reader<'_>, at: u64) -> bool {
    lengths(reader, at).is_ok_and(|own| at + own.total() > decoder.limit(reader))
}

/// Index and footer of a table whose footer is not usable: cut off, or damaged.
fn tail(reader: &mut Reader<'_>, shape: &Shape, recovery: Recovery) -> Recovery {
    let at = recovery.from;
    let (kind, what) = match index_at(reader, at) {
        Index::Whole(_) => (Kind::Damage, "footer"),
        Index::Cut(_) if shape.claimed != Some(at) => (Kind::Torn, "index, cut off"),
        Index::Cut(_) | Index::Broken => (Kind::Damage, "index"),
    };
    Recovery { kind, cause: Cause::Malformed(what), ..recovery }
}

impl TableDecoder {
    /// Without a usable footer: the index may begin at the fault, or be found behind it by what it begins with, the key of
    /// the table's first entry and the offset 0.
    fn locate_index(&mut self, reader: &mut Reader<'_>, at: u64) {
        if self.shape.entries_end.is_some() {
            return;
        }
        if self.shape.claimed == Some(at) {
            self.shape.entries_end = Some(at);
            return;
        }
        let Some(needle) = needle(reader) else { return };
        let mut found = Vec::new();
        let to = reader.end().min(at + needle.len() as u64);
        if reader.copy(at..to, &mut found).is_ok() && found.len() as u64 > KEY && needle.starts_with(&found) {
            self.shape.entries_end = Some(at);
            return;
        }
        if std::mem::replace(&mut self.looked, true) {
            return;
        }
        let mut from = at + 1;
        while let Some(start) = position(reader, &needle, from) {
            if let Index::Whole(anchors) | Index::Cut(anchors) = index_at(reader, start) {
                (self.shape.entries_end, self.shape.anchors) = (Some(start), anchors);
                return;
            }
            // A table inside a value has an index, too.
            from = start + 1;
        }
        // Bytes put in or taken out before it: it stands near the place where the footer says.
        const NEAR: u64 = 1 << 16;
        let Some(claimed) = self.shape.claimed else { return };
        for start in claimed.saturating_sub(NEAR).max(at)..claimed.saturating_add(NEAR).min(reader.end()) {
            let first = pointer(reader, start, reader.end())
                .is_some_and(|p| p.offset == 0 && p.key.end > start + KEY);
            if let (true, Index::Whole(anchors)) = (first, index_at(reader, start)) {
                (self.shape.entries_end, self.shape.anchors) = (Some(start), anchors);
                return;
            }
        }
    }

    /// Keys do not rise from `last` to the entry behind it: whether `last` has the wrong one.
    fn order_blames(&mut self, reader: &mut Reader<'_>, last: &Record) -> bool {
        let at = last.end();
        if let Some(right) = self.is_anchor(reader, at) {
            return right;
        }
        if let Some(right) = self.is_anchor(reader, last.at) {
            return !right;
        }
        let Ok(own) = lengths(reader, at) else { return false };
        let mut key = Vec::new();
        let key_end = at + KEY + own.key.min(KEY_MAX);
        if reader.copy(at + KEY..key_end, &mut key).is_err()
            || (self.known > 1 && !rises(&self.keys[1], &key))
        {
            return false;
        }
        // Without the entry at `at` the next one would follow `last` well: then that one is as likely.
        let next = at + own.total();
        next < self.limit(reader) && self.entry(reader, next, &self.keys[0], &mut key).is_none()
    }

    /// Whether the anchor at `target` has a key that the last entry's already exceeds, so that one is no entry; its key is
    /// then forgotten.
    fn refutes_last(&mut self, reader: &mut Reader<'_>, target: Option<u64>) -> bool {
        let mut key = Vec::new();
        let copied = target.filter(|_| target != self.shape.entries_end).and_then(|at| {
            let from = at + KEY;
            let len = word(reader, at).ok()?.min(KEY_MAX);
            reader.copy(from..from + len, &mut key).ok()
        });
        let mut refuted = false;
        while copied.is_some() && self.known > 0 && !rises(&self.keys[0], &key) {
            self.forget_last();
            refuted = true;
        }
        refuted
    }

    /// Whether the index names the entry at `at`, and with its key.
    fn is_anchor(&self, reader: &mut Reader<'_>, at: u64) -> Option<bool> {
        self.anchor_at(at).map(|anchor| anchored(reader, anchor) == Ok(true))
    }

    fn anchor_at(&self, at: u64) -> Option<Anchor> {
        let i = self.shape.anchors.binary_search_by_key(&at, |a| a.at).ok()?;
        self.shape.anchors.get(i).copied()
    }

    /// Where the entry at `at` ends if it is one with a key greater than `floor`; its key is left in `key`.
    fn entry(&self, reader: &mut Reader<'_>, at: u64, floor: &[u8], key: &mut Vec<u8>) -> Option<u64> {
        let own = lengths(reader, at).ok()?;
        let end = at + own.total();
        let from = at + KEY;
        if end > self.limit(reader) || reader.utf8(from..from + own.key) != Ok(true) {
            return None;
        }
        reader.copy(from..from + own.key.min(KEY_MAX), key).ok()?;
        rises(floor, key).then_some(end)
    }

    /// Whether the key of the entry at `at` is greater than `floor`, whatever its value.
    fn key_rises(&self, reader: &mut Reader<'_>, at: u64, floor: &[u8]) -> bool {
        let (from, mut key) = (at + KEY, Vec::new());
        let len = word(reader, at).map_or(0, |len| len.min(KEY_MAX));
        reader.copy(from..from + len, &mut key).is_ok() && rises(floor, &key)
    }

    /// The key that those behind damage must exceed. `from`: the search begins inside the last entry, which is in doubt.
    fn floor(&self, doubt: bool) -> &[u8] {
        match (doubt, self.known) {
            (false, 1..) => &self.keys[0],
            (true, 2..) => &self.keys[1],
            _ => &[],
        }
    }

    /// Where the lengths of the entry at `at` lead, if the entries from there on are right.
    fn own_end(&mut self, reader: &mut Reader<'_>, at: u64, target: Option<u64>) -> Option<u64> {
        if blank(reader, at) {
            return None;
        }
        let to = match self.anchor_at(at).filter(|&a| a.key_len > 0 && has_key(reader, a) == Ok(true)) {
            // The index knows how long the key is.
            Some(anchor) => at + FIXED + anchor.key_len + word(reader, at + KEY + anchor.key_len).ok()?,
            None => at + lengths(reader, at).ok()?.total(),
        };
        let right = target.is_none_or(|target| to <= target)
            && (Some(to) == target || to == reader.end() || self.leads(reader, to, at, target) != Lead::No);
        right.then_some(to)
    }

    /// The first place behind `at` where the index names an entry that does stand there.
    fn next_anchor(&self, reader: &mut Reader<'_>, at: u64) -> Option<u64> {
        let first = self.shape.anchors.partition_point(|a| a.at <= at);
        let behind = self.shape.anchors.get(first..)?;
        behind.iter().find(|&&a| anchored(reader, a) == Ok(true)).map(|a| a.at)
    }

    /// The next entry behind `at`. With an anchor or the end of the entries behind it, one from which entries lead exactly
    /// there, or else that place itself; without, one that several others follow.
    fn search(&mut self, reader: &mut Reader<'_>, at: u64, target: Option<u64>) -> Option<u64> {
        let end = reader.end();
        let claimed =
            self.shape.claimed.filter(|&claimed| claimed > at && claimed <= end.saturating_sub(FOOTER));
        if let (None, Some(claimed)) = (target, claimed) {
            let next = self.search_to(reader, at + 1, end, at, Some(claimed));
            let leads = next.is_some_and(|next| self.leads(reader, next, at, Some(claimed)) == Lead::Target);
            // Where bytes were put in or taken out, entries go on there.
            if leads && !matches!(index_at(reader, claimed), Index::Broken) {
                self.shape.entries_end = Some(claimed);
                return next;
            }
        }
        if self.next_anchor(reader, at).is_some() {
            return self.search_to(reader, at + 1, end, at, target).or(target);
        }
        // Nothing vouches for the key of the last entry, and it may be all that stands against what follows.
        let known = std::mem::take(&mut self.known);
        let free = self.search_to(reader, at + 1, end, at, target);
        if free.is_some_and(|free| self.leads(reader, free, at, target) == Lead::Target) {
            return free;
        }
        self.known = known;
        let next = self.search_to(reader, at + 1, end, at, target);
        self.known = if next.is_some() { known } else { 0 };
        next.or(free).or(target)
    }

    /// The first place inside `last` from which entries step over its end, where they break, and lead to `target`. One
    /// where its value may end is preferred.
    fn inside(&mut self, reader: &mut Reader<'_>, last: &Record, target: Option<u64>) -> Option<u64> {
        let (at, mut from, mut other) = (last.end(), last.at + 1, None);
        while let Some(place) = self.search_to(reader, from, at + FIXED - 1, at, target) {
            if spans(reader, last.at, place) {
                return Some(place);
            }
            if other.is_none() && self.leads(reader, place, at, target) == Lead::Target {
                other = Some(place);
            }
            from = place + 1;
        }
        other
    }

    /// The first place in `from..to` from which entries lead to `target`, or so many follow each other before other damage
    /// that they are no accident; `at`: the fault.
    fn search_to(
        &mut self,
        reader: &mut Reader<'_>,
        from: u64,
        to: u64,
        at: u64,
        target: Option<u64>,
    ) -> Option<u64> {
        let limit = target.unwrap_or(reader.end());
        let to = limit.min(to);
        let mut place = from;
        let mut run: Option<Run> = None;
        while place + FIXED <= to && self.steps > 0 {
            self.steps -= 1;
            // Entries begin with a zero byte, as no key has 16 MiB.
            let window = reader.forward(place, FIXED as usize);
            let bytes = window.slice(place..to.min(window.base + window.bytes.len() as u64)).unwrap_or(&[]);
            let Some(skip) = bytes.iter().position(|&b| b == 0) else {
                place += bytes.len().max(1) as u64;
                continue;
            };
            place += skip as u64;
            // A run that begins with a value in place of a key soon breaks; the right one begins inside its first entry.
            if let Some(run) = run.filter(|run| place > run.first_end) {
                return Some(run.begin);
            }
            let own = lengths(reader, place).ok().filter(|own| place + own.total() <= limit);
            match own.map(|own| (self.leads(reader, place, at, target), place + own.total())) {
                Some((Lead::Target, _)) => return Some(place),
                Some((Lead::Run(end), first_end)) if run.is_none_or(|run| run.end < end) => {
                    let first_end = run.map_or(first_end, |run| run.first_end);
                    run = Some(Run { begin: place, first_end, end });
                }
                _ => {}
            }
            place += 1;
        }
        run.map(|run| run.begin)
    }

    /// Where the entries from `place` on lead.
    fn leads(&mut self, reader: &mut Reader<'_>, place: u64, at: u64, target: Option<u64>) -> Lead {
        /// More ascending entries than this are believed.
        const RUN: u32 = 3;
        /// So many are followed; an anchor is hardly further away.
        const FAR: u32 = 4096;
        // Without an anchor nothing vouches for the key of the last entry.
        let mut floor = self.floor(place < at || target.is_none()).to_vec();
        let (mut to, mut links, mut key) = (place, 0, Vec::new());
        while target.is_none_or(|target| to < target) && links < FAR {
            if target.is_none() && links > 1 && to == reader.end() {
                return Lead::Target;
            }
            // An early place counts only if the entries from it on step over the fault.
            let next = if to == at { None } else { self.entry(reader, to, &floor, &mut key) };
            let Some(end) = next else { break };
            self.steps = self.steps.saturating_sub(1 + key.len() as u64 / 64);
            std::mem::swap(&mut floor, &mut key);
            (to, links) = (end, links + 1);
        }
        if target == Some(to) {
            // Entries that lead to an anchor and have greater keys than its own are none.
            let right = links == 0 || self.anchor_at(to).is_none() || self.key_rises(reader, to, &floor);
            if right { Lead::Target } else { Lead::No }
        } else if links > RUN && (place >= at || to > at) {
            Lead::Run(to)
        } else {
            Lead::No
        }
    }
}

/// Entries that follow each other and then break off.
#[derive(Clone, Copy)]
struct Run {
    begin: u64,
    first_end: u64,
    end: u64,
}

/// See [`TableDecoder::leads`].
#[derive(PartialEq, Eq)]
enum Lead {
    /// Exactly to the target.
    Target,
    /// Over several entries, up to here.
    Run(u64),
    /// Nowhere.
    No,
}
