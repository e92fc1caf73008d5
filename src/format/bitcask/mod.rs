//! What the two Bitcask formats share: names, the frame of a record, the rule for zeros, hints, the engine's scan.
//!
//! ```text
//! [crc u32] | [timestamp f64] | key_size u32 | value_size u32 | key | value
//! ```
//! A record is valid when 1. it ends inside the file, 2. crc, where there is one, is the CRC-32 of key and value as one
//! string, 3. the key is UTF-8, 4. it is not a hole: CRC-32 of nothing is 0, so a header of zeros is a perfect record
//! (see [`Records::hole`]). Sizes and timestamp are outside the checksum. A wrong size is put right where the checksum
//! holds over another length; where the border between key and value lies no checksum tells.

use std::marker::PhantomData;
use std::ops::Range;

use crate::codec::crc32;
use crate::format::chain::{Budget, Framing, Lane};
use crate::format::{Fresh, LogFile, Put, Remark};
use crate::log::bytes::{Bytes, Window};
use crate::log::fault::{Cause, Fault};
use crate::log::finding::Code;
use crate::log::layout::Layout;
use crate::log::record::{Fix, Mark, Record};

pub mod engine;
pub mod hint;

/// Kind of a record that sets a key.
pub const PUT: u8 = 1;
/// Kind of a record that deletes a key.
pub const DELETE: u8 = 2;

/// Keys of this size and more are not looked for behind damage, nor believed in where the file ends too early.
pub const LONG_KEY: u64 = 16 << 20;
/// First byte, most significant first, of the timestamps between the microsecond and the year 4 million.
pub const TIME_TOP: (u8, u8) = (0x3f, 0x42);

/// How the records of one format and revision are laid out, and what deletes a key.
pub trait Data: Send + 'static {
    /// The fields; `crc` and `timestamp` are there or not.
    const LAYOUT: Layout;
    /// What the search behind damage looks at first.
    const LANES: &'static [Lane];
    /// Where the timestamp lies, if there is one.
    const TIME: Option<u64>;
    /// Values have to be UTF-8.
    const TEXT: bool;
    /// The engine decodes a value before it gives it back, and takes an empty one for none.
    const STRINGS: bool;

    /// Whether this value says that the key is deleted.
    ///
    /// # Errors
    /// [`Cause::Short`] when it is not at hand.
    fn deletes<B: Bytes>(b: &mut B, value: Range<u64>) -> Result<bool, Fault>;
}

/// Frames the records of a data file.
pub struct Records<D>(PhantomData<D>);

impl<D: Data> Records<D> {
    /// Length of a header, and so of the shortest record.
    pub const HEADER: u64 = D::LAYOUT.fixed();
    const SIZES: u64 = D::LAYOUT.offset("key_size");
    const CRC: u64 = if D::LAYOUT.checksum.is_some() { D::LAYOUT.offset("crc") } else { 0 };
    const ORDERED: () =
        assert!(Self::SIZES + 8 == Self::HEADER && D::LAYOUT.offset("value_size") == Self::SIZES + 4);

    /// A framing.
    pub fn new() -> Self {
        let () = Self::ORDERED;
        Records(PhantomData)
    }

    fn word(bytes: [u8; 4]) -> u32 {
        if D::LAYOUT.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Key size and value size as stored.
    ///
    /// # Errors
    /// [`Cause::Short`] when the header is not at hand.
    #[inline]
    pub fn sizes<B: Bytes>(b: &mut B, at: u64) -> Result<(u64, u64), Fault> {
        let [k0, k1, k2, k3, v0, v1, v2, v3] =
            b.array(at.saturating_add(Self::SIZES)).map_err(|f| Fault { at, ..f })?;
        Ok((u64::from(Self::word([k0, k1, k2, k3])), u64::from(Self::word([v0, v1, v2, v3]))))
    }

    /// The stored checksum.
    ///
    /// # Errors
    /// [`Cause::Short`] when it is not at hand.
    pub fn stored_crc<B: Bytes>(b: &mut B, at: u64) -> Result<u32, Fault> {
        Ok(Self::word(b.array(at.saturating_add(Self::CRC))?))
    }

    /// Where the key of a record lies, `fix` telling the true size of one that was recovered.
    pub fn key<B: Bytes>(b: &mut B, record: &Record, fix: Option<Fix>) -> Option<Range<u64>> {
        let (k, _) = Self::sizes(b, record.at).ok()?;
        let k = fix.filter(|f| f.field == "key_size").map_or(k, |f| f.inferred);
        let key = record.at + Self::HEADER;
        Some(key..key.saturating_add(k)).filter(|key| key.end <= record.end())
    }

    /// Bits of the timestamp; 0 where there is none.
    #[inline]
    fn time<B: Bytes>(b: &mut B, at: u64) -> Result<u64, Fault> {
        match D::TIME {
            Some(offset) => {
                Ok(u64::from_le_bytes(b.array(at.saturating_add(offset)).map_err(|f| Fault { at, ..f })?))
            }
            None => Ok(0),
        }
    }

    fn record<B: Bytes>(b: &mut B, at: u64, k: u64, v: u64) -> Result<Record, Fault> {
        let seq = Self::time(b, at)?;
        let value = at + Self::HEADER + k;
        let kind = if D::deletes(b, value..value + v).map_err(|f| Fault { at, ..f })? { DELETE } else { PUT };
        Ok(Record { at, len: Self::HEADER + k + v, seq, next: seq, txn: 0, kind, mark: Mark::Data })
    }

    fn all_zero<B: Bytes>(b: &mut B, at: u64) -> Result<bool, Fault> {
        for word in (0..Self::HEADER).step_by(4) {
            if b.array::<4>(at.saturating_add(word)).map_err(|f| Fault { at, ..f })? != [0; 4] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells a hole from an empty record. A timestamp of 0 is none, so with one zeros are always a hole; without one a
    /// single header of zeros is the record of an empty key and value if another record follows right behind it.
    fn hole<B: Bytes>(&self, b: &mut B, at: u64) -> Result<(), Fault> {
        if !Self::all_zero(b, at)? {
            return Ok(());
        }
        let zeros = Err(Fault { at, cause: Cause::Zeros });
        if D::TIME.is_some() {
            return zeros;
        }
        let next = at + Self::HEADER;
        let follows = match Self::all_zero(b, next) {
            Ok(true) => return zeros,
            Ok(false) => self.frame(b, next).and_then(|r| self.prove(b, &r)),
            Err(short) => Err(short),
        };
        match follows {
            Ok(()) => Ok(()),
            // Bytes that are there and only not at hand yet.
            Err(Fault { cause: Cause::Short { need }, .. }) if need <= b.end() => {
                Err(Fault { at, cause: Cause::Short { need } })
            }
            Err(_) => zeros,
        }
    }

    /// A record that the file cuts off is torn, unless what there is of it is already wrong.
    fn cut_off<B: Bytes>(b: &mut B, at: u64, k: u64, v: u64) -> Fault {
        let end = b.end();
        let key = at + Self::HEADER;
        let short = Fault { at, cause: Cause::Short { need: key + k + v } };
        if k >= LONG_KEY {
            return Fault { at, cause: Cause::Length { found: k, expected: u64::MAX } };
        }
        match Self::time(b, at) {
            Ok(time) if D::TIME.is_some() && !plausible(time) => {
                return Fault { at, cause: Cause::Number { found: time, expected: u64::MAX } };
            }
            _ => {}
        }
        // The cut may run through a character of the key.
        let there = (key + k).min(end);
        let spare = if there < key + k { 3 } else { 0 };
        for less in 0..=spare.min(there - key) {
            match b.utf8(key..there - less) {
                Ok(true) => return short,
                Ok(false) => {}
                Err(fault) => return Fault { at, ..fault },
            }
        }
        Fault { at, cause: Cause::Text }
    }

    /// Without a checksum a wild timestamp is all there is to tell garbage; one that was damaged leads on all the same.
    fn unproved_time<B: Bytes>(b: &mut B, r: &Record) -> Result<(), Fault> {
        let Some(offset) = D::TIME.filter(|_| !plausible(r.seq) && r.end() < b.end()) else {
            return Ok(());
        };
        let next = r.end() + offset;
        let led_on = next + 8 <= b.end() && {
            let bits = b.array(next).map_err(|f| Fault { at: r.at, ..f })?;
            plausible(u64::from_le_bytes(bits))
        };
        let cause = Cause::Number { found: r.seq, expected: u64::MAX };
        if led_on { Ok(()) } else { Err(Fault { at: r.at, cause }) }
    }

    /// The record whose key and value are `n` bytes: which of its sizes is wrong the checksum does not say, so the one
    /// with fewer wrong bits, and of two alike the value's.
    fn resized<B: Bytes>(b: &mut B, at: u64, n: u64) -> Option<(Record, Fix)> {
        let (k, v) = Self::sizes(b, at).ok()?;
        let key = at + Self::HEADER;
        let text = |b: &mut B, size: u64| size <= n && b.utf8(key..key + size) == Ok(true);
        let value = n.checked_sub(k).filter(|&size| size != v && text(b, k) && size <= u64::from(u32::MAX));
        let other =
            n.checked_sub(v).filter(|&size| size != k && text(b, size) && size <= u64::from(u32::MAX));
        let bits = |found: u64, inferred: u64| (found ^ inferred).count_ones();
        let (k, v, fix) = match (value, other) {
            (Some(size), other) if other.is_none_or(|o| bits(v, size) <= bits(k, o)) => {
                (k, size, Fix { field: "value_size", found: v, inferred: size })
            }
            (_, Some(size)) => (size, v, Fix { field: "key_size", found: k, inferred: size }),
            _ => return None,
        };
        Some((Self::record(b, at, k, v).ok()?, fix))
    }

    /// The length of key and value over which the checksum holds and behind which a record stands.
    fn proved_length<B: Bytes>(&self, b: &mut B, at: u64, budget: &mut Budget) -> Option<u64> {
        /// Longer ones are only tried where the next record is known.
        const LIMIT: u64 = 64 << 10;
        let (k, v) = Self::sizes(b, at).ok()?;
        let payload = at + Self::HEADER;
        let limit = b.end().checked_sub(payload)?.min(LIMIT);
        // One of the sizes must be right.
        if k.min(v) > limit || !budget.spend(limit) {
            return None;
        }
        let (stored, mut crc) = (Self::stored_crc(b, at).ok()?, 0);
        for n in 1..=limit {
            crc = crc32::update(crc, &b.array::<1>(payload + n - 1).ok()?);
            if crc == stored && self.stands(b, payload + n) {
                return Some(n);
            }
        }
        None
    }

    fn stands<B: Bytes>(&self, b: &mut B, at: u64) -> bool {
        at == b.end() || self.frame(b, at).is_ok_and(|r| self.prove(b, &r).is_ok())
    }
}

impl<D: Data> Default for Records<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Data> Framing for Records<D> {
    const LANES: &'static [Lane] = D::LANES;
    const MIN: u64 = Self::HEADER;
    const PROVED: bool = D::LAYOUT.checksum.is_some();
    /// Few bytes are a plausible timestamp, two sizes that fit, and text.
    const LINKS: u32 = 1;

    #[inline]
    fn frame<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault> {
        let (k, v) = Self::sizes(b, at)?;
        if k + v == 0 {
            self.hole(b, at)?;
        }
        if at + Self::HEADER + k + v > b.end() {
            return Err(Self::cut_off(b, at, k, v));
        }
        let record = Self::record(b, at, k, v)?;
        if !Self::PROVED {
            Self::unproved_time(b, &record)?;
        }
        Ok(record)
    }

    #[inline]
    fn prove<B: Bytes>(&self, b: &mut B, r: &Record) -> Result<(), Fault> {
        let fault = |cause| Err(Fault { at: r.at, cause });
        let (k, _) = Self::sizes(b, r.at)?;
        let key = r.at + Self::HEADER;
        if Self::PROVED {
            let computed = b.crc32(0, key..r.end())?;
            let stored = Self::stored_crc(b, r.at)?;
            if stored != computed {
                return fault(Cause::Checksum { stored, computed });
            }
        }
        let text =
            if D::TEXT { b.utf8(key..key + k)? && b.utf8(key + k..r.end())? } else { b.utf8(key..key + k)? };
        if text { Ok(()) } else { fault(Cause::Text) }
    }

    fn mend<B: Bytes>(
        &self,
        b: &mut B,
        at: u64,
        end: Option<u64>,
        budget: &mut Budget,
    ) -> Option<(Record, Fix)> {
        if !Self::PROVED {
            return None;
        }
        let payload = at + Self::HEADER;
        let (k, v) = Self::sizes(b, at).ok()?;
        let own_end = payload + k + v;
        let n = match end {
            // Where the sizes lead to a record, both are right.
            None if self.stands(b, own_end) => return None,
            None => self.proved_length(b, at, budget)?,
            Some(end) => {
                // The checksum of nothing proves nothing.
                let n = end.checked_sub(payload).filter(|&n| n > 0 && budget.spend(n))?;
                let stored = Self::stored_crc(b, at).ok()?;
                match b.crc32(0, payload..end) == Ok(stored) {
                    true => n,
                    // The record found may be part of the value, and the one that was swallowed lie behind it.
                    false if end < own_end => self.proved_length(b, at, budget)?,
                    false => return None,
                }
            }
        };
        Self::resized(b, at, n)
    }

    /// Nowhere, if the header is garbage, or what it spans is no text where it has to be: then a size may be wrong.
    fn leads_to<B: Bytes>(&self, b: &mut B, at: u64) -> [Option<u64>; 2] {
        let garbage = D::TIME.is_some() && !Self::time(b, at).is_ok_and(plausible);
        let sizes = Self::sizes(b, at).ok().filter(|(k, v)| k + v > 0 && *k < LONG_KEY && !garbage);
        let payload = at + Self::HEADER;
        let end = sizes.map(|(k, v)| payload + k + v);
        [end.filter(|&end| !D::TEXT || b.utf8(payload..end) != Ok(false)), None]
    }

    /// Behind damage a record of nothing is believed only in front of one that is proved by its contents.
    fn sought<B: Bytes>(&self, b: &mut B, r: &Record) -> bool {
        if r.len > Self::HEADER {
            return true;
        }
        D::TIME.is_some()
            && plausible(r.seq)
            && self
                .frame(b, r.end())
                .is_ok_and(|next| next.len > Self::HEADER && self.prove(b, &next).is_ok())
    }

    /// A value that holds a log holds nothing else, mostly; a wrong size reaches to the end of a record, and what lies
    /// before the one swallowed is the rest of a value.
    fn swallowed<B: Bytes>(&self, b: &mut B, at: u64, inner: u64, own_end: u64) -> bool {
        let value = Self::sizes(b, at).map_or(inner, |(k, _)| at + Self::HEADER + k);
        let mut next = inner;
        while next < own_end {
            match self.frame(b, next).and_then(|r| self.prove(b, &r).map(|()| r)) {
                Ok(r) => next = r.end(),
                Err(_) => return false,
            }
        }
        next == own_end && inner != value
    }

    /// One bit of a size is wrong, and what lies up to the next record goes on as the text that values are here.
    fn misled<B: Bytes>(&self, b: &mut B, at: u64, next: u64) -> bool {
        const LIMIT: u64 = 1 << 20;
        let Some((k, v)) = Self::sizes(b, at).ok().filter(|_| !Self::PROVED) else {
            return false;
        };
        let payload = at + Self::HEADER;
        let Some(n) = next.checked_sub(payload).filter(|&n| n <= LIMIT) else {
            return false;
        };
        let one_bit =
            |size: u64, other: u64| n.checked_sub(other).is_some_and(|t| (size ^ t).is_power_of_two());
        (one_bit(v, k) || one_bit(k, v)) && b.utf8(payload..next) == Ok(true)
    }
}

/// Appends the record that sets a key to `out`.
///
/// # Errors
/// Why no record can say that.
pub fn put<D: Data>(fresh: &Fresh<'_>, out: &mut Vec<u8>) -> Put {
    let Fresh { key, value, time, alone, .. } = *fresh;
    let (Ok(key_size), Ok(value_size)) = (u32::try_from(key.len()), u32::try_from(value.len())) else {
        return Err("it or its value is too long for one record");
    };
    if D::deletes(&mut Window::whole(value), 0..u64::from(value_size)) != Ok(false) {
        return Err("its value is the one that deletes it");
    }
    if D::TIME.is_none() && alone && key.is_empty() && value.is_empty() {
        return Err("with an empty value and no other key its record is no different from zeros");
    }
    let word = |n: u32| if D::LAYOUT.big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    if Records::<D>::PROVED {
        out.extend(word(crc32::update2(0, key, value)));
    }
    if D::TIME.is_some() {
        out.extend(time.to_le_bytes());
    }
    out.extend(word(key_size));
    out.extend(word(value_size));
    out.extend(key);
    out.extend(value);
    Ok(())
}

/// Whether a clock can have shown this time.
pub fn plausible(bits: u64) -> bool {
    let [top, ..] = bits.to_be_bytes();
    (TIME_TOP.0..=TIME_TOP.1).contains(&top)
}

/// The number that `stem` is; past 64 bits it counts as none.
pub fn number(stem: &str) -> Option<u64> {
    if digits(stem) { stem.parse().ok() } else { None }
}

/// Whether `stem` is a number of whatever length.
pub fn digits(stem: &str) -> bool {
    !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit())
}

/// Places the data file of this number, and right behind it its hint; numbers that are none come last.
pub fn order(number: Option<u64>, hint: bool) -> u64 {
    number.and_then(|n| n.checked_mul(2)?.checked_add(u64::from(hint))).unwrap_or(u64::MAX)
}

/// Numbers that are not there between files that are. A note, for compaction leaves numbers out too.
pub fn missing_numbers(files: &[LogFile<'_>], number: fn(&str) -> Option<u64>) -> Vec<Remark> {
    let data = files.iter().enumerate().filter(|(_, f)| f.claim.role.counts());
    let mut numbers: Vec<(u64, usize)> = data.filter_map(|(i, f)| Some((number(f.name)?, i))).collect();
    numbers.sort_unstable();
    let holes = numbers.windows(2).filter(|w| w[1].0 - w[0].0 > 1);
    let remark = |(from, to, file)| {
        let message = if from == to {
            format!("there is no file {from}")
        } else {
            format!("there are no files {from} to {to}")
        };
        Remark { code: Code::MissingNumber, file, at: 0, len: 0, message }
    };
    holes.map(|w| remark((w[0].0 + 1, w[1].0 - 1, w[1].1))).collect()
}
