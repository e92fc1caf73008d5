//! `ddia-lsm`: the LSM tree, a directory of one `wal.log` and sorted tables `sst_NNNNNN.sst` (see [`table`]).
//!
//! ```text
//! r1               key_len u32 | key | val_len u32 | value                                     big-endian
//! r2     crc u32 | key_len u32 | key | val_len u32 | value
//! ```
//! A record of the log is valid when 1. both lengths fit the file, 2. key is UTF-8, 3. (r2) crc is the CRC-32 of everything
//! behind it, lengths included, 4. (r1) it is not eight zero bytes, unless one such record, a deletion of the empty key,
//! stands directly before one that is not. There are no numbers, operations or batches: an empty value is the deletion, and
//! each record counts by itself. In r1 nothing but the chain of lengths shows damage, so a wrong byte in a key or value
//! stays unseen, and a wrong length is met only behind its record. A log is nothing but strings with their lengths there,
//! so a chain that begins at a value reads as well as one that begins at a key; see [`LogFraming::walk`].
//! The engine decodes the key before it looks at the checksum; see [`engine`].

use std::cell::Cell;

use crate::codec::crc32;
use crate::format::chain::{Budget, Chain, Framing, Lane, begins_as_text, proved_bytes};
use crate::format::{
    Claim, DDIA_COMMITS, Entry, Format, Fresh, Job, LogFile, Opened, Outcome, Profile, Put, Remark, Revision,
    Role, Seal, Take,
};
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Decoder;
use crate::log::fault::{Cause, Fault};
use crate::log::finding::Code;
use crate::log::layout::{Checksum, Layout, Sum, bytes, uint};
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, Mark, Record, Trust};
use crate::log::region::Kind;
use crate::log::scan::scan;
use crate::log::survey::{Grouping, Rules, Survey};
use crate::log::surveyor::Surveyor;

pub mod encode;
mod engine;
pub(crate) mod index;
mod table;
#[cfg(test)]
mod tests;

/// The fields of a record of r1, and of a table's entry in both revisions.
pub const PLAIN: Layout = Layout {
    big_endian: true,
    fields: &[uint("key_len", 4), bytes("key", "key_len"), uint("val_len", 4), bytes("value", "val_len")],
    checksum: None,
};

/// The fields of a record of r2.
pub const SUMMED: Layout = Layout {
    big_endian: true,
    fields: &[
        uint("crc", 4),
        uint("key_len", 4),
        bytes("key", "key_len"),
        uint("val_len", 4),
        bytes("value", "val_len"),
    ],
    checksum: Some(Checksum { field: "crc", over: &["key_len", "key", "val_len", "value"], sum: Sum::Crc32 }),
};

/// What r2 puts before the fields of r1.
const CRC: u64 = SUMMED.offset("key_len");
/// Where the key begins, from the start of `key_len`.
const KEY: u64 = PLAIN.offset("key");
/// Length of an entry without checksum whose key and value are empty.
const FIXED: u64 = PLAIN.fixed();
const _: () = assert!(CRC == 4 && KEY == 4 && FIXED == 8 && SUMMED.fixed() == CRC + FIXED);

/// The lengths of one entry, of a log or a table, once both fit the file.
#[derive(Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) key: u64,
    pub(crate) value: u64,
}

impl Lengths {
    pub(crate) fn total(self) -> u64 {
        FIXED + self.key + self.value
    }
}

/// The lengths of the entry whose `key_len` is at `at`.
#[inline]
pub(crate) fn lengths<B: Bytes>(b: &mut B, at: u64) -> Result<Lengths, Fault> {
    let key = word(b, at)?;
    let value = word(b, at + KEY + key)?;
    let lengths = Lengths { key, value };
    b.within(at, at + lengths.total())?;
    Ok(lengths)
}

#[inline]
fn word<B: Bytes>(b: &mut B, at: u64) -> Result<u64, Fault> {
    Ok(u64::from(u32::from_be_bytes(b.array(at)?)))
}

/// Whether eight zero bytes stand at `at`: both lengths zero and nothing else.
#[inline]
fn blank<B: Bytes>(b: &mut B, at: u64) -> bool {
    b.array::<{ FIXED as usize }>(at) == Ok([0; FIXED as usize])
}

fn record(at: u64, len: u64) -> Record {
    Record { at, len, seq: 0, next: 0, txn: 0, kind: 0, mark: Mark::Data }
}

/// Frames records of `wal.log`, with checksum (r2) or without (r1).
pub struct LogFraming<const SUM: bool> {
    keys: KeyModel,
    /// Strings that may still be walked over: many damaged places must not cost a walk to the end each.
    walk: Cell<u64>,
}

/// A row of strings, walked over.
struct Walk {
    strings: u64,
    /// Where it ends: at the end of the file, or where no string stands.
    to: u64,
    /// Of the first strings: how many look like keys, among those where keys should be and where values should be.
    fits: [u32; 2],
    /// Of the first [`NEAR`] of them.
    near: [u32; 2],
    /// The bytes at hand end there; bytes up to here are wanted.
    wanted: Option<u64>,
}

impl Walk {
    fn values_fit(&self) -> bool {
        self.fits[1] > self.fits[0]
    }

    /// Of the very next strings only those look like keys that should be values: the shift lies here, not further on.
    fn only_values_fit(&self) -> bool {
        self.near[1] >= 3 && self.near[0] == 0
    }
}

impl<const SUM: bool> LogFraming<SUM> {
    fn walk<B: Bytes>(&self, b: &mut B, from: u64) -> Walk {
        let most = self.walk.get().max(SAMPLE);
        let mut walk = Walk { strings: 0, to: from, fits: [0; 2], near: [0; 2], wanted: None };
        while walk.strings < most {
            match self.string(b, walk.to, walk.strings < SAMPLE) {
                Ok((to, _)) if to > b.end() => break,
                Ok((to, fits)) => {
                    walk.fits[(walk.strings % 2) as usize] += u32::from(fits);
                    walk.near[(walk.strings % 2) as usize] += u32::from(fits && walk.strings < NEAR);
                    (walk.to, walk.strings) = (to, walk.strings + 1);
                }
                Err(Fault { cause: Cause::Short { need }, .. }) => {
                    walk.wanted = Some(need).filter(|&need| need <= b.end());
                    break;
                }
                Err(_) => break,
            }
        }
        self.walk.set(self.walk.get().saturating_sub(walk.strings));
        walk
    }

    /// Where the string at `at` ends, and whether it looks like a key; zero-filled space is no string.
    fn string<B: Bytes>(&self, b: &mut B, at: u64, look: bool) -> Result<(u64, bool), Fault> {
        if b.within(at, at + FIXED).is_ok() && b.array(at)? == [0; FIXED as usize] {
            return Err(Fault { at, cause: Cause::Zeros });
        }
        let to = at + KEY + word(b, at)?;
        Ok((to, look && to <= b.end() && self.keys.fits(b, at)?))
    }

    /// Whether the chain goes on with values for keys: they look like it, and the file ends behind a key.
    #[inline(never)]
    fn shifted<B: Bytes>(&self, b: &mut B, record: &Record) -> Result<bool, Fault> {
        let walk = self.walk(b, record.at);
        match walk.wanted {
            Some(need) if walk.strings < SAMPLE => Err(Fault { at: record.at, cause: Cause::Short { need } }),
            // Only the end of the file is proof.
            Some(_) if walk.only_values_fit() => {
                Err(Fault { at: record.at, cause: Cause::Short { need: b.end() } })
            }
            _ => Ok(walk.only_values_fit() && walk.to == b.end() && walk.strings % 2 == 1),
        }
    }
}

/// From so many keys on the model is good enough to doubt a key.
const KEYS: u64 = 4;

/// Strings that tell where a shift begins.
const NEAR: u64 = 8;

/// Strings by which it is judged what looks like a key.
const SAMPLE: u64 = 256;

/// What the keys in the unbroken part of a log look like.
#[derive(Clone, Copy, Default)]
struct KeyModel {
    known: u64,
    lens: Option<(u64, u64)>,
    /// First bytes, one bit each.
    heads: [u64; 4],
}

impl<const SUM: bool> LogFraming<SUM> {
    const START: u64 = if SUM { CRC } else { 0 };
    const LEAST: u64 = Self::START + FIXED;

    pub(crate) fn new() -> Self {
        LogFraming { keys: KeyModel::default(), walk: Cell::new(1 << 24) }
    }
}

impl<const SUM: bool> Framing for LogFraming<SUM> {
    // Keys of 1 MiB and more are not looked for behind damage.
    const LANES: &'static [Lane] = &[
        Lane { offset: if SUM { CRC as usize } else { 0 }, min: 0, max: 0 },
        Lane { offset: if SUM { CRC as usize + 1 } else { 1 }, min: 0, max: 0x0f },
    ];
    const MIN: u64 = Self::LEAST;
    const PROVED: bool = SUM;

    fn plausible(&self, bytes: &[u8]) -> bool {
        let len = bytes.get(Self::START as usize..).and_then(|b| b.first_chunk());
        len.is_none_or(|len| begins_as_text(bytes, (Self::START + KEY) as usize, u32::from_be_bytes(*len)))
    }

    #[inline]
    fn frame<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault> {
        let lengths = lengths(b, at + Self::START)?;
        let found = record(at, Self::START + lengths.total());
        if !SUM && found.len == FIXED && lone_blank(b, at)? {
            return Err(Fault { at, cause: Cause::Zeros });
        }
        Ok(found)
    }

    #[inline]
    fn prove<B: Bytes>(&self, b: &mut B, r: &Record) -> Result<(), Fault> {
        let key = r.at + Self::START + KEY;
        if SUM {
            let computed = b.crc32(0, r.at + CRC..r.end())?;
            let stored = u32::from_be_bytes(b.array(r.at)?);
            if stored != computed {
                return Err(Fault { at: r.at, cause: Cause::Checksum { stored, computed } });
            }
        }
        let key_len = word(b, key - KEY)?;
        if !b.utf8(key..key + key_len)? {
            return Err(Fault { at: r.at, cause: Cause::Text });
        }
        Ok(())
    }

    fn mend<B: Bytes>(
        &self,
        b: &mut B,
        at: u64,
        end: Option<u64>,
        budget: &mut Budget,
    ) -> Option<(Record, Fix)> {
        /// What stands behind may be a log inside the value: its records are tried as parts of this one, too.
        const ENDS: usize = 32;
        let mut end = end.filter(|_| SUM)?;
        for _ in 0..ENDS {
            let mended = mend_to(b, at, end, budget);
            if mended.is_some() {
                return mended;
            }
            end = self.frame(b, end).ok()?.end();
        }
        None
    }

    fn leads_to<B: Bytes>(&self, b: &mut B, at: u64) -> [Option<u64>; 2] {
        let own = lengths(b, at + Self::START).ok().map(|l| at + Self::START + l.total());
        [own.filter(|_| !blank(b, at)), None]
    }

    /// A log may be stored as a value, and begins where the value does; hardly as a key. Records that begin in the key, or
    /// behind the start of the value and follow each other up to the place where the damaged one's lengths lead, were
    /// swallowed by a wrong length. Without a checksum the value may hold anything that looks like records.
    fn swallowed<B: Bytes>(&self, b: &mut B, at: u64, inner: u64, own_end: u64) -> bool {
        let value = lengths(b, at + Self::START).map_or(inner, |own| at + Self::START + FIXED + own.key);
        if inner + KEY < value {
            return true;
        }
        let mut next = inner;
        while SUM && next < own_end {
            match self.frame(b, next).and_then(|r| self.prove(b, &r).map(|()| r)) {
                Ok(r) => next = r.end(),
                Err(_) => return false,
            }
        }
        next == own_end && inner != value
    }

    /// A length that is wrong by just a key makes the chain go on with a value in place of it, and nothing breaks until
    /// the end of the file.
    #[inline]
    fn follows<B: Bytes>(&mut self, b: &mut B, record: &Record) -> Result<(), Fault> {
        if SUM {
            return Ok(());
        }
        if self.keys.known >= KEYS && !self.keys.fits(b, record.at)? && self.shifted(b, record)? {
            return Err(Fault {
                at: record.at,
                cause: Cause::Malformed("record: its key looks like a value"),
            });
        }
        let len = word(b, record.at)?;
        let head = if len > 0 { b.array::<1>(record.at + KEY)?[0] } else { 0 };
        self.keys.learn(len, head);
        Ok(())
    }

    /// A log of r1 is a row of strings, keys and values by turns, and a chain that begins with a value finds no fault
    /// with that. What tells is the end of the file, which comes behind a value; where damage hides it, what keys look
    /// like in the part of the log that is known.
    fn sought<B: Bytes>(&self, b: &mut B, record: &Record) -> bool {
        if SUM {
            return true;
        }
        let walk = self.walk(b, record.at);
        if walk.to == b.end() { walk.strings.is_multiple_of(2) } else { !walk.values_fit() }
    }

    fn misled<B: Bytes>(&self, b: &mut B, at: u64, next: u64) -> bool {
        !SUM && misled(b, at, next)
    }

    fn spans<B: Bytes>(&self, b: &mut B, at: u64, next: u64) -> bool {
        self.resized(b, at, next) || (!SUM && self.keys.known > 1 && self.keys.resembles(b, next) == Ok(true))
    }

    fn resized<B: Bytes>(&self, b: &mut B, at: u64, next: u64) -> bool {
        spans(b, at, next) || one_length_wrong(b, at, next)
    }
}

/// Whether the blank record at `at` is zero-filled space. It is a deletion only if a record that is not blank follows.
fn lone_blank<B: Bytes>(b: &mut B, at: u64) -> Result<bool, Fault> {
    let next = at + FIXED;
    let followed = match lengths(b, next) {
        Ok(l) if l.total() > FIXED => b.utf8(next + KEY..next + KEY + l.key),
        Ok(_) => Ok(false),
        Err(fault) => Err(fault),
    };
    match followed {
        Ok(followed) => Ok(!followed),
        // Behind the window, not behind the file.
        Err(Fault { cause: Cause::Short { need }, .. }) if need <= b.end() => {
            Err(Fault { at, cause: Cause::Short { need } })
        }
        Err(_) => Ok(true),
    }
}

impl KeyModel {
    #[inline]
    fn learn(&mut self, len: u64, head: u8) {
        self.known += 1;
        self.lens = Some(self.lens.map_or((len, len), |(min, max)| (min.min(len), max.max(len))));
        self.heads[usize::from(head >> 6)] |= 1 << (head & 63);
    }

    /// Whether the string at `at` begins like a key and is not far from their lengths: few keys do not show all lengths.
    fn resembles<B: Bytes>(&self, b: &mut B, at: u64) -> Result<bool, Fault> {
        let lens = self.lens.map(|(min, max)| (min / 2, max.saturating_mul(2)));
        KeyModel { lens, ..*self }.fits(b, at)
    }

    /// Whether the string at `at` looks like a key.
    fn fits<B: Bytes>(&self, b: &mut B, at: u64) -> Result<bool, Fault> {
        const LONG: u64 = 4096;
        let len = word(b, at)?;
        let key = at + KEY;
        let Some((min, max)) = self.lens else {
            // Nothing is known: a key is text, and hardly ever empty.
            return Ok((1..=LONG).contains(&len) && b.utf8(key..key + len)?);
        };
        let head = if len > 0 { b.array::<1>(key)?[0] } else { 0 };
        Ok((min..=max).contains(&len) && self.heads[usize::from(head >> 6)] >> (head & 63) & 1 == 1)
    }
}

/// The record of r2 at `at` under the assumption that it ends at `end` and one of its lengths is wrong.
fn mend_to<B: Bytes>(b: &mut B, at: u64, end: u64, budget: &mut Budget) -> Option<(Record, Fix)> {
    /// The key length that fits is searched for; in a longer record that would cost too much.
    const LOOK: u64 = 1 << 16;
    let room = end.min(b.end()).checked_sub(at + CRC + FIXED)?;
    let key = at + CRC + KEY;
    let key_len = word(b, at + CRC).ok()?;
    let fixed = |field, found, inferred| Some((record(at, end - at), Fix { field, found, inferred }));
    if let Some(val_len) = room.checked_sub(key_len) {
        let found = word(b, key + key_len).ok()?;
        if found != val_len && budget.spend(room) && proves(b, at, key_len, val_len) {
            return fixed("val_len", found, val_len);
        }
    }
    for k in 0..=room.min(LOOK) {
        let fits = k != key_len && word(b, key + k).ok()? == room - k;
        if fits && budget.spend(room) && proves(b, at, k, room - k) {
            return fixed("key_len", key_len, k);
        }
    }
    None
}

/// Whether the record of r2 at `at` is proved with these lengths in place of its own, which the checksum covers.
fn proves<B: Bytes>(b: &mut B, at: u64, key_len: u64, val_len: u64) -> bool {
    let (key, value) = (at + CRC + KEY, at + CRC + FIXED + key_len);
    let (Ok(k), Ok(v)) = (u32::try_from(key_len), u32::try_from(val_len)) else { return false };
    let stored = b.array(at).map(u32::from_be_bytes);
    let computed = b.crc32(crc32::update(0, &k.to_be_bytes()), key..key + key_len).and_then(|crc| {
        let crc = crc32::update(crc, &v.to_be_bytes());
        b.crc32(crc, value..value + val_len)
    });
    computed.is_ok() && stored == computed && b.utf8(key..key + key_len) == Ok(true)
}

/// Whether the entry at `at`, rather than the bytes behind it, is what is wrong when the next entry stands at `next`: zeros
/// that begin in its value, or one flipped bit that made its value too short.
fn misled<B: Bytes>(b: &mut B, at: u64, next: u64) -> bool {
    let Ok(own) = lengths(b, at) else { return false };
    let end = at + own.total();
    if next < end {
        return spans(b, at, next);
    }
    if own.value > 0 && b.array(end - 1) == Ok([0]) && blank(b, end) {
        return true;
    }
    // Entries begin with a zero byte, as no key has 16 MiB, and text hardly ever does.
    if b.array(end) == Ok([0]) || one_length_off(b, end, next) {
        return false;
    }
    let value = end - own.value;
    ((next - value) ^ own.value).count_ones() == 1 && b.utf8(value..next) == Ok(true)
}

/// Whether the entry at `at` may end at `next`, inside the bytes that its lengths claim: its value ends there, or its key
/// length is wrong.
fn spans<B: Bytes>(b: &mut B, at: u64, next: u64) -> bool {
    let in_value = lengths(b, at).is_ok_and(|own| next >= at + FIXED + own.key);
    in_value || one_length_off(b, at, next)
}

/// Whether `at..next` is one entry in which at most one bit of one length is wrong.
fn one_length_off<B: Bytes>(b: &mut B, at: u64, next: u64) -> bool {
    let Some(room) = next.checked_sub(at + FIXED) else { return false };
    let Ok(found) = word(b, at) else { return false };
    let mut off = |key_len: u64| {
        let val_len = if key_len <= room { word(b, at + KEY + key_len).ok() } else { None };
        val_len.map(|v| (v ^ (room - key_len)).count_ones())
    };
    off(found).is_some_and(|bits| bits <= 1) || (0..32).any(|bit| off(found ^ 1 << bit) == Some(0))
}

/// Whether `at..next` is one entry in which one length is wrong. The key length that makes the value length fit is searched
/// for; in a longer entry that would cost too much.
fn one_length_wrong<B: Bytes>(b: &mut B, at: u64, next: u64) -> bool {
    const LOOK: u64 = 1 << 12;
    let Some(room) = next.checked_sub(at + FIXED) else { return false };
    (0..=room.min(LOOK)).any(|k| word(b, at + KEY + k) == Ok(room - k))
}

/// The format.
pub struct DdiaLsm;

static PROFILE: Profile = Profile {
    name: "ddia-lsm",
    title: "LSM tree",
    family: None,
    files: "wal.log and sst_NNNNNN.sst",
    revisions: &["r1", "r2"],
    engines: DDIA_COMMITS,
    record: "record",
    entry: "live key",
    numbered: false,
    families: false,
    modes: &[],
};

impl Format for DdiaLsm {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        if name == "wal.log" {
            return Some(Claim { role: Role::Log, order: u64::MAX, exact: true, read: true });
        }
        let stem = name.strip_prefix("sst_")?.strip_suffix(".sst")?;
        let exact = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit());
        // The engine goes by what stands before the next underscore or dot, and dies if that is no number.
        let number = stem.split(['_', '.']).next().and_then(|n| n.parse().ok()).unwrap_or(u64::MAX - 1);
        Some(Claim { role: Role::Table, order: number, exact, read: true })
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        // Without a checksum a chain from the first byte on is needed, and counts for less.
        let plain = Reading::of(LogFraming::<false>::new(), head);
        let sure = if plain.first >= 3 { plain.bytes / 2 } else { 0 };
        proved_bytes(LogFraming::<true>::new(), head).max(sure)
    }

    fn revision(&self, files: &[LogFile<'_>]) -> Revision {
        match files.iter().find(|f| f.claim.role == Role::Log && f.src.size() > 0) {
            Some(log) => revision_of(log),
            None => Revision {
                name: None,
                reason: "the log is empty, and tables are the same in r1 and r2".into(),
            },
        }
    }

    fn open(&self, files: &[LogFile<'_>], file: usize, revision: Option<&str>) -> Opened {
        let position = Trust::POSITION;
        let (decoder, trust): (Box<dyn Decoder>, Trust) = match (files[file].claim.role, revision) {
            (Role::Table, _) => {
                let decoder = table::TableDecoder::new(files[file].src);
                (Box::new(decoder), Trust::STRUCTURE.and(Trust::CHAIN))
            }
            (_, Some("r1")) => {
                (Box::new(Chain::new(LogFraming::<false>::new())), Trust::STRUCTURE.and(Trust::CHAIN))
            }
            _ => (Box::new(Chain::new(LogFraming::<true>::new())), Trust::CHECKSUM.and(Trust::LENGTHS)),
        };
        let trust = trust.and(position);
        Opened { decoder, rules: Rules { numbering: Numbering::None, grouping: Grouping::None, trust } }
    }

    fn layout(&self, role: Role, revision: Option<&str>) -> &'static Layout {
        if role == Role::Table || revision == Some("r1") { &PLAIN } else { &SUMMED }
    }

    fn entry<'a>(&self, role: Role, revision: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a> {
        let layout = self.layout(role, revision);
        let fix = fix.map(|f| (f.field, f.inferred));
        let value = layout.get(record, "value", fix);
        Entry {
            op: if value.is_some_and(<[u8]>::is_empty) { "DELETE" } else { "PUT" },
            key: layout.get(record, "key", fix),
            value,
            ..Entry::default()
        }
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], revision: Option<&str>) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for (i, (file, survey)) in files.iter().zip(surveys).enumerate() {
            match file.claim.role {
                Role::Table => {
                    remarks.extend(index::inspect(i, file, survey));
                    if !file.claim.exact {
                        let message =
                            format!("{} does not end in a number, and yet the engine reads it", file.name);
                        remarks.push(Remark { code: Code::ForeignFile, file: i, at: 0, len: 0, message });
                    }
                }
                _ => remarks.extend(other_revision(i, file, survey, revision)),
            }
        }
        remarks
    }

    fn put(&self, role: Role, revision: Option<&str>, fresh: &Fresh<'_>, out: &mut Vec<u8>) -> Put {
        encode::put(fresh, role == Role::Log && revision != Some("r1"), out)
    }

    fn seal(&self, role: Role) -> Option<Box<dyn Seal>> {
        (role == Role::Table).then(|| Box::new(encode::Index::default()) as Box<dyn Seal>)
    }

    fn names(&self, names: &[&str]) -> Vec<String> {
        let stem = |name: &str| name.strip_prefix("sst_")?.strip_suffix(".sst")?.parse::<u64>().ok();
        let mut next = names.iter().filter_map(|name| stem(name)).max().map_or(0, |n| n.saturating_add(1));
        let named = names.iter().map(|&name| {
            if name == "wal.log" || stem(name).is_some() {
                return name.to_owned();
            }
            next += 1;
            format!("sst_{:06}.sst", next - 1)
        });
        named.collect()
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, take)
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}

/// How much of a log is looked at for its revision.
const LOOK: u64 = 4 << 20;

fn revision_of(log: &LogFile<'_>) -> Revision {
    let told = |name, reason: &str| Revision { name, reason: format!("{reason} in {}", log.name) };
    let mut reader = Reader::new(log.src);
    let (plain, summed) = (LogFraming::<false>::new(), LogFraming::<true>::new());
    let first = summed.frame(&mut reader, 0).ok().filter(|r| r.len <= 16 * LOOK);
    if first.is_some_and(|r| summed.prove(&mut reader, &r).is_ok()) {
        return told(Some("r2"), "the checksum of the first record holds");
    }
    let window = reader.window(0, LOOK as usize);
    let head = &window.bytes[..window.bytes.len().min(LOOK as usize)];
    let (as_plain, as_summed) = (Reading::of(plain, head), Reading::of(summed, head));
    if as_summed.bytes > 0 && as_summed.bytes >= as_plain.bytes {
        return told(Some("r2"), "checksums hold behind a damaged start");
    }
    // A record of r2 whose checksum is wrong, at the end of the file, reads as one of r1 behind four bytes.
    if as_plain.first > 0 || as_plain.records > 2 || standing::<false>(&mut reader, 0) > 0 {
        return told(Some("r1"), "lengths lead from record to record without checksums");
    }
    told(None, "no intact record of either revision")
}

/// What a revision makes of the first bytes of a log.
struct Reading {
    /// Records from the first byte on, unbroken.
    first: u64,
    /// All records.
    records: u64,
    /// Their bytes.
    bytes: u64,
}

impl Reading {
    fn of<F: Framing>(framing: F, head: &[u8]) -> Reading {
        let rules = Rules { numbering: Numbering::None, grouping: Grouping::None, trust: Trust::default() };
        let mut surveyor = Surveyor::new(rules);
        scan(&mut Reader::new(&head), &mut Chain::new(framing), 0, &mut surveyor);
        let regions = surveyor.finish().regions;
        let intact = regions.as_slice().iter().filter(|r| r.kind == Kind::Records);
        intact.fold(Reading { first: 0, records: 0, bytes: 0 }, |sum, r| Reading {
            first: if r.at == 0 { r.records } else { sum.first },
            records: sum.records + r.records,
            bytes: sum.bytes + r.len,
        })
    }
}

/// How many records of a revision follow each other from `at`, up to three; fewer count only where they end with the file.
fn standing<const SUM: bool>(reader: &mut Reader<'_>, at: u64) -> u64 {
    let framing = LogFraming::<SUM>::new();
    let (mut to, mut records) = (at, 0);
    while records < 3 && to < reader.end() {
        let record = framing.frame(reader, to).ok().filter(|r| r.len <= 16 * LOOK);
        match record.filter(|r| framing.prove(reader, r).is_ok()) {
            Some(r) => (to, records) = (r.end(), records + 1),
            None => return if SUM { records } else { 0 },
        }
    }
    records
}

/// Whether records of the first revision, without checksums, begin at `at` in a log of the second.
pub(crate) fn older_revision_at(reader: &mut Reader<'_>, at: u64) -> bool {
    standing::<false>(reader, at) > 0
}

/// The bytes contradict the revision that was named, or both revisions wrote to this log.
fn other_revision(file: usize, log: &LogFile<'_>, survey: &Survey, revision: Option<&str>) -> Option<Remark> {
    /// Damaged places looked at.
    const PLACES: usize = 64;
    let remark = |at, message| Some(Remark { code: Code::RevisionMismatch, file, at, len: 0, message });
    let read_as = revision.unwrap_or("r2");
    let told = if log.src.size() > 0 { revision_of(log) } else { Revision::default() };
    if let Some(name) = told.name.filter(|&name| name != read_as) {
        return remark(0, format!("read as {read_as}, but written by {name}: {}", told.reason));
    }
    let mut reader = Reader::new(log.src);
    let damaged = survey.regions.as_slice().iter().filter(|r| matches!(r.kind, Kind::Damage | Kind::Torn));
    for at in damaged.take(PLACES).map(|r| r.at) {
        let (other, standing) = match read_as {
            "r1" => ("r2", standing::<true>(&mut reader, at)),
            _ => ("r1", standing::<false>(&mut reader, at).saturating_sub(2)),
        };
        if standing > 0 {
            return remark(
                at,
                format!("records of {other} begin here in a log of {read_as}: both revisions wrote to it"),
            );
        }
    }
    None
}
