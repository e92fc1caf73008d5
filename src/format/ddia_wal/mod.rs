//! `ddia-wal`: the standalone write-ahead log, a directory of `NNNNNN.wal`.
//!
//! ```text
//! record_length u32 | crc u32 | seq u64 | op u8 | key_len i32 | key | val_len i32 | value      little-endian
//! ```
//! A record is valid when 1. record_length = 21 + key_len + val_len, 2. op is 1 to 5, 3. crc is the CRC-32 of op, key and
//! value, 4. key and value are UTF-8, 5. seq is the one before plus 1. Lengths and seq are outside the checksum, so a wrong
//! one is told, and put right, by the others. Batches are BEGIN, members, COMMIT (v2) or members, COMMIT (v1), in one file.
//! The engine stops for good at a wrong checksum, and at the end of this file at a short read; see [`engine`].

use crate::codec::{ascii, crc32};
use crate::format::chain::{Budget, Chain, Framing, Lane, begins_as_text, proved_bytes};
use crate::format::{
    Claim, DDIA_COMMITS, Entry, Format, Fresh, Job, LogFile, Opened, Outcome, Profile, Put, Remark, Revision,
    Role, Take,
};
use crate::log::bytes::{Bytes, Prefix, Reader};
use crate::log::decoder::{Decoder, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::finding::Code;
use crate::log::layout::{Checksum, Field, Layout, Sum, Width, bytes, uint};
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, Mark, OP as OP_FIELD, Record, Trust};
use crate::log::survey::{Grouping, Rules, Survey};

pub mod encode;
mod engine;
pub mod gap;
#[cfg(test)]
mod tests;

/// The fields of a record.
pub const LAYOUT: Layout = Layout {
    big_endian: false,
    fields: &[
        uint("record_length", 4),
        uint("crc", 4),
        uint("seq", 8),
        uint("op", 1),
        Field { name: "key_len", width: Width::Int(4) },
        bytes("key", "key_len"),
        Field { name: "val_len", width: Width::Int(4) },
        bytes("value", "val_len"),
    ],
    checksum: Some(Checksum { field: "crc", over: &["op", "key", "value"], sum: Sum::Crc32 }),
};

const CRC: u64 = LAYOUT.offset("crc");
const SEQ: u64 = LAYOUT.offset("seq");
const OP: u64 = LAYOUT.offset("op");
const KEY_LEN: u64 = LAYOUT.offset("key_len");
const KEY: u64 = LAYOUT.offset("key");
/// Length of a record with empty key and value; `record_length` does not count itself.
const FIXED: u64 = LAYOUT.fixed();
const _: () = assert!(FIXED == 25 && KEY == 21);

/// Sets a key.
pub const PUT: u8 = 1;
/// Deletes a key.
pub const DELETE: u8 = 2;
/// Closes a batch and makes it count.
pub const COMMIT: u8 = 3;
/// Means nothing to a reader but that its number was given out.
pub const CHECKPOINT: u8 = 4;
/// Opens a batch (v2).
pub const BEGIN: u8 = 5;
/// Operations, by their byte.
pub const OPS: [(u8, &str); 5] =
    [(PUT, "PUT"), (DELETE, "DELETE"), (COMMIT, "COMMIT"), (CHECKPOINT, "CHECKPOINT"), (BEGIN, "BEGIN")];

/// CRC-32 of each op byte alone: where the checksum of its record begins. The engine's constants, see the format notes.
const OP_CRC: [u32; 6] = [0xD202_EF8D, 0xA505_DF1B, 0x3C0C_8EA1, 0x4B0B_BE37, 0xD56F_2B94, 0xA268_1B02];

/// Frames records of a `.wal` file.
pub struct WalFraming;

/// The numbers of a record header that place its parts.
struct Head {
    length: u64,
    op: u8,
    key_len: i32,
    seq: u64,
}

#[inline]
fn head<B: Bytes>(b: &mut B, at: u64) -> Result<Head, Fault> {
    let h: [u8; KEY as usize] = b.array(at)?;
    let word = |from: u64| u32::from_le_bytes(*h[from as usize..].first_chunk().expect("inside the header"));
    Ok(Head {
        length: u64::from(word(0)),
        op: h[OP as usize],
        key_len: word(KEY_LEN) as i32,
        seq: u64::from_le_bytes(*h[SEQ as usize..].first_chunk().expect("inside the header")),
    })
}

fn mark(op: u8) -> Mark {
    match op {
        PUT | DELETE => Mark::Data,
        COMMIT => Mark::Commit,
        BEGIN => Mark::Begin,
        _ => Mark::Note,
    }
}

fn record(at: u64, len: u64, head: &Head) -> Record {
    let (seq, next) = (head.seq, head.seq.saturating_add(1));
    Record { at, len, seq, next, txn: 0, kind: head.op, mark: mark(head.op) }
}

/// The two as [`LAYOUT`] has them, without going through it: replay asks this of every record.
fn key_and_value(record: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let number = |bytes: &[u8], from: usize| -> Option<u32> {
        Some(u32::from_le_bytes(*bytes.get(from..)?.first_chunk()?))
    };
    let parts = || {
        let (_, rest) = record.split_at_checked(KEY as usize)?;
        let (key, rest) = rest.split_at_checked(number(record, KEY_LEN as usize)? as usize)?;
        let (_, value) = rest.split_at_checked(4)?;
        Some((key, &value[..value.len().min(number(rest, 0)? as usize)]))
    };
    match parts() {
        Some((key, value)) => (Some(key), Some(value)),
        None => (LAYOUT.get(record, "key", None), LAYOUT.get(record, "value", None)),
    }
}

/// CRC-32 over op, key and value of a record with these lengths.
#[inline]
fn checksum<B: Bytes>(b: &mut B, at: u64, op: u8, key_len: u64, val_len: u64) -> Result<u32, Fault> {
    let crc = match OP_CRC.get(usize::from(op)) {
        Some(&crc) => crc,
        None => crc32::update(0, &[op]),
    };
    let key = at + KEY;
    let value = at + FIXED + key_len;
    b.crc32_two(crc, key..key + key_len, value..value + val_len)
}

fn stored_crc<B: Bytes>(b: &mut B, at: u64) -> Result<u32, Fault> {
    Ok(u32::from_le_bytes(b.array(at + CRC)?))
}

impl Framing for WalFraming {
    const LANES: &'static [Lane] = &[
        Lane { offset: OP as usize, min: 1, max: 5 },
        // Keys of 8 MiB and more are not looked for behind damage.
        Lane { offset: KEY_LEN as usize + 3, min: 0, max: 0 },
        Lane { offset: KEY_LEN as usize + 2, min: 0, max: 0x7f },
    ];
    const MIN: u64 = FIXED;
    const PROVED: bool = true;

    fn plausible(&self, bytes: &[u8]) -> bool {
        let len = bytes.get(KEY_LEN as usize..).and_then(|b| b.first_chunk());
        len.is_none_or(|len| begins_as_text(bytes, KEY as usize, u32::from_le_bytes(*len)))
    }

    #[inline]
    fn frame<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault> {
        let fault = |cause| Err(Fault { at, cause });
        let head = match head(b, at) {
            Ok(head) => head,
            Err(short) => return Err(partial(b, at, short)),
        };
        if !(1..=5).contains(&head.op) {
            return fault(Cause::Kind(head.op));
        }
        let room = head.length.wrapping_sub(FIXED - 4);
        if head.length < FIXED - 4 || head.key_len < 0 || head.key_len as u64 > room {
            return fault(Cause::Length { found: head.length, expected: u64::MAX });
        }
        let key_len = head.key_len as u64;
        let val_len = i64::from(i32::from_le_bytes(b.array(at + KEY + key_len)?));
        let len = 4 + head.length;
        if val_len != (room - key_len) as i64 {
            let expected = if val_len < 0 { u64::MAX } else { FIXED - 4 + key_len + val_len as u64 };
            return fault(Cause::Length { found: head.length, expected });
        }
        b.within(at, at + len)?;
        let record = record(at, len, &head);
        if head.op == CHECKPOINT { gap::read(b, record, key_len) } else { Ok(record) }
    }

    #[inline]
    fn prove<B: Bytes>(&self, b: &mut B, r: &Record) -> Result<(), Fault> {
        let fault = |cause| Err(Fault { at: r.at, cause });
        let key_len = u64::from(u32::from_le_bytes(b.array(r.at + KEY_LEN)?));
        let val_len = r.len - FIXED - key_len;
        let computed = checksum(b, r.at, r.kind, key_len, val_len)?;
        let stored = stored_crc(b, r.at)?;
        if stored != computed {
            return fault(Cause::Checksum { stored, computed });
        }
        let value = r.at + FIXED + key_len;
        if !b.utf8(r.at + KEY..r.at + KEY + key_len)? || !b.utf8(value..value + val_len)? {
            return fault(Cause::Text);
        }
        Ok(())
    }

    #[inline]
    fn quick(&self, bytes: &[u8], at: u64) -> Option<Record> {
        let (head, _) = bytes.split_first_chunk::<{ KEY as usize }>()?;
        let word =
            |from: u64| u32::from_le_bytes(*head[from as usize..].first_chunk().expect("inside the header"));
        let record = bytes.get(..(word(0) as usize).checked_add(4)?)?;
        let (key, rest) = record.get(KEY as usize..)?.split_at_checked(word(KEY_LEN) as usize)?;
        let (val_len, value) = rest.split_first_chunk()?;
        let op = head[OP as usize];
        if op == CHECKPOINT {
            // It may state a gap.
            return None;
        }
        let crc = crc32::update2(*OP_CRC.get(usize::from(op)).filter(|_| op > 0)?, key, value);
        let intact = u32::from_le_bytes(*val_len) as usize == value.len()
            && key.len().max(value.len()) <= i32::MAX as usize
            && crc == word(CRC)
            && ascii::is_ascii(key)
            && ascii::is_ascii(value);
        let seq = u64::from_le_bytes(*head[SEQ as usize..].first_chunk().expect("inside the header"));
        let len = record.len() as u64;
        intact.then(|| Record { at, len, seq, next: seq.saturating_add(1), txn: 0, kind: op, mark: mark(op) })
    }

    fn mend<B: Bytes>(
        &self,
        b: &mut B,
        at: u64,
        _end: Option<u64>,
        budget: &mut Budget,
    ) -> Option<(Record, Fix)> {
        let head = head(b, at).ok()?;
        let stored = stored_crc(b, at).ok()?;
        if let Some(mended) = mend_op(b, at, &head, stored, budget) {
            return Some(mended);
        }
        if !(1..=5).contains(&head.op) {
            return None;
        }
        let mut proves =
            |b: &mut _, k: u64, v: u64| budget.spend(k + v) && checksum(b, at, head.op, k, v) == Ok(stored);
        let fixed = |k: u64, v: u64, field, found, inferred| {
            Some((record(at, FIXED + k + v, &head), Fix { field, found, inferred }))
        };
        let room = head.length.checked_sub(FIXED - 4).filter(|room| at + FIXED + room <= b.end());
        let key_len = u64::try_from(head.key_len).ok().filter(|k| at + FIXED + k <= b.end());
        if let Some(k) = key_len {
            let val_len = i32::from_le_bytes(b.array(at + KEY + k).ok()?);
            if let Some(v) = u64::try_from(val_len).ok().filter(|v| at + FIXED + k + v <= b.end())
                && Some(k + v) != room
                && proves(b, k, v)
            {
                return fixed(k, v, "record_length", head.length, FIXED - 4 + k + v);
            }
            if let Some(v) = room.and_then(|room| room.checked_sub(k))
                && v != u64::from(val_len as u32)
                && proves(b, k, v)
            {
                return fixed(k, v, "val_len", u64::from(val_len as u32), v);
            }
        }
        // The key length that makes the value length fit is searched for; a longer record would cost too much.
        let room = room.filter(|&room| room <= 1 << 16)?;
        for k in 0..=room {
            let val_len = u32::from_le_bytes(b.array(at + KEY + k).ok()?);
            if u64::from(val_len) == room - k && Some(k) != key_len && proves(b, k, room - k) {
                return fixed(k, room - k, "key_len", u64::from(head.key_len as u32), k);
            }
        }
        None
    }

    fn leads_to<B: Bytes>(&self, b: &mut B, at: u64) -> [Option<u64>; 2] {
        let Ok(head) = head(b, at) else {
            return [None, None];
        };
        let inner = u64::try_from(head.key_len).ok().and_then(|k| {
            let val_len = i32::from_le_bytes(b.array(at + KEY + k).ok()?);
            Some(at + FIXED + k + u64::try_from(val_len).ok()?)
        });
        let outer = Some(at + 4 + head.length).filter(|_| head.length >= FIXED - 4);
        // A length that leads nowhere contradicts the other one.
        [inner.or(Some(at)), outer.or(Some(at))]
    }
}

/// The record whose lengths agree and whose checksum holds with exactly one other op: what it says is inferred, not proved.
fn mend_op<B: Bytes>(
    b: &mut B,
    at: u64,
    head: &Head,
    stored: u32,
    budget: &mut Budget,
) -> Option<(Record, Fix)> {
    let room = head.length.checked_sub(FIXED - 4).filter(|room| at + FIXED + room <= b.end())?;
    let k = u64::try_from(head.key_len).ok()?;
    let v = room.checked_sub(k)?;
    let value = at + FIXED + k;
    if u64::from(u32::from_le_bytes(b.array(at + KEY + k).ok()?)) != v || !budget.spend(4 * room) {
        return None;
    }
    let mut fits = Vec::new();
    for (op, _) in OPS.iter().filter(|(op, _)| *op != head.op) {
        if checksum(b, at, *op, k, v) == Ok(stored) {
            fits.push(*op);
        }
    }
    let &[op] = &fits[..] else { return None };
    if !b.utf8(at + KEY..at + KEY + k).ok()? || !b.utf8(value..value + v).ok()? {
        return None;
    }
    let fix = Fix { field: OP_FIELD, found: head.op.into(), inferred: op.into() };
    Some((record(at, FIXED + room, &Head { op, ..*head }), fix))
}

/// A header that the file cuts off: torn, unless what there is of it is already wrong.
fn partial<B: Bytes>(b: &mut B, at: u64, short: Fault) -> Fault {
    if at + KEY <= b.end() {
        return short;
    }
    // All there is must be at hand before it is judged.
    if let Err(short) = b.sum32(at..b.end()) {
        return short;
    }
    if let Ok(length) = b.array::<4>(at).map(u32::from_le_bytes) {
        let length = u64::from(length);
        if length < FIXED - 4 || at + 4 + length <= b.end() {
            return Fault { at, cause: Cause::Length { found: length, expected: u64::MAX } };
        }
    }
    if let Ok([op]) = b.array::<1>(at + OP)
        && !(1..=5).contains(&op)
    {
        return Fault { at, cause: Cause::Kind(op) };
    }
    Fault { at, cause: Cause::Short { need: at + FIXED } }
}

/// The format.
pub struct DdiaWal;

static PROFILE: Profile = Profile {
    name: "ddia-wal",
    title: "standalone write-ahead log",
    family: None,
    files: "NNNNNN.wal",
    revisions: &["v1", "v2"],
    engines: DDIA_COMMITS,
    record: "record",
    entry: "live key",
    numbered: true,
    families: false,
    modes: &[],
};

impl Format for DdiaWal {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        let log = |order, read| Some(Claim { role: Role::Log, order, exact: false, read });
        if let Some(stem) = name.strip_suffix(".wal.tmp") {
            // Left behind by an interrupted truncate; the engine does not look at it.
            return log(number(stem), false);
        }
        log(number(name.strip_suffix(".wal")?), true)
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        proved_bytes(WalFraming, head)
    }

    fn revision(&self, files: &[LogFile<'_>]) -> Revision {
        let (mut begins, mut commits) = (false, false);
        for file in files {
            // The first marks decide; a log without any is read alike by both.
            let (begin, commit) = first_marks(file);
            (begins, commits) = (begins | begin, commits | commit);
            if begins {
                let reason = format!("a BEGIN record in {}", file.name);
                return Revision { name: Some("v2"), reason };
            }
        }
        let reason = if commits {
            "COMMIT records, but no BEGIN: v1, or v2 whose BEGINs were truncated away"
        } else {
            "no BEGIN and no COMMIT: v1 and v2 look alike"
        };
        Revision { name: None, reason: reason.into() }
    }

    fn open(&self, _: &[LogFile<'_>], _: usize, revision: Option<&str>) -> Opened {
        let grouping = if revision == Some("v1") { Grouping::Undecided } else { Grouping::BeginCommit };
        let trust = Trust::CHECKSUM.and(Trust::LENGTHS).and(Trust::NUMBER).and(Trust::POSITION);
        let rules = Rules { numbering: Numbering::Contiguous { restarts: false }, grouping, trust };
        Opened { decoder: Box::new(Chain::new(WalFraming)), rules }
    }

    fn layout(&self, _: Role, _: Option<&str>) -> &'static Layout {
        &LAYOUT
    }

    fn entry<'a>(&self, _: Role, _: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a> {
        let found = record.get(OP as usize).map_or(0, |&op| u64::from(op));
        let op = fix.filter(|fix| fix.field == OP_FIELD).map_or(found, |fix| fix.inferred);
        let (key, value) = match fix {
            None => key_and_value(record),
            Some(Fix { field, inferred, .. }) => {
                let field = |name| LAYOUT.get(record, name, Some((field, inferred)));
                (field("key"), field("value"))
            }
        };
        Entry {
            op: OPS.iter().find(|(byte, _)| u64::from(*byte) == op).map_or("UNKNOWN", |(_, name)| name),
            key,
            value,
            ..Entry::default()
        }
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], revision: Option<&str>) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let remark = |code, file, message| Remark { code, file, at: 0, len: 0, message };
        if let Some(file) = surveys.iter().position(|s| s.begins > 0).filter(|_| revision == Some("v1")) {
            let message = String::from("read as v1, but it holds BEGIN records, which only v2 writes");
            remarks.push(remark(Code::RevisionMismatch, file, message));
        }
        for (i, file) in files.iter().enumerate() {
            if i > 0 && file.name < files[i - 1].name {
                let message = format!(
                    "the engine sorts names as text and reads {} before {}",
                    file.name,
                    files[i - 1].name
                );
                remarks.push(remark(Code::MisorderedNames, i, message));
            }
            if file.claim.order == u64::MAX
                || !file.name.trim_end_matches(".wal").bytes().all(|b| b.is_ascii_digit())
            {
                let message = format!("{} has no number for a name, and yet the engine reads it", file.name);
                remarks.push(remark(Code::ForeignFile, i, message));
            }
        }
        remarks
    }

    fn put(&self, _: Role, _: Option<&str>, fresh: &Fresh<'_>, out: &mut Vec<u8>) -> Put {
        encode::put(fresh, out)
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, take)
    }

    fn gap(&self, first: u64, last: u64) -> Option<Vec<u8>> {
        Some(gap::record(first, last))
    }

    fn names(&self, names: &[&str]) -> Vec<String> {
        // The engine sorts names as text: all numbers get the width of the longest.
        let stem = |name: &str| name.trim_end_matches(".wal").parse::<u64>().ok();
        let highest = names.iter().filter_map(|name| stem(name)).max().unwrap_or(0);
        let strangers = names.iter().filter(|name| stem(name).is_none()).count() as u64;
        let width = highest.saturating_add(strangers).to_string().len().max(6);
        let mut next = highest;
        let named = names.iter().map(|name| {
            let number = stem(name).unwrap_or_else(|| {
                next = next.saturating_add(1);
                next
            });
            format!("{number:0width$}.wal")
        });
        named.collect()
    }

    fn reads_before(&self, a: (usize, &str), b: (usize, &str)) -> bool {
        a.1 < b.1
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}

/// The number that a name begins with; names without one come last.
fn number(stem: &str) -> u64 {
    let digits = stem.len() - stem.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    stem[..digits].parse().unwrap_or(u64::MAX)
}

/// Whether a BEGIN, and a COMMIT, is among the records of a file; stops at the first BEGIN or at damage.
fn first_marks(file: &LogFile<'_>) -> (bool, bool) {
    /// Marks are looked for in this many bytes of each file; a log that has batches has them often.
    const LOOK: u64 = 4 << 20;
    let prefix = Prefix { src: file.src, len: LOOK };
    let mut reader = Reader::new(&prefix);
    let mut chain = Chain::new(WalFraming);
    let (mut at, mut commit, mut batch) = (0, false, Vec::new());
    while at < reader.end() {
        let stop = chain.fill(reader.forward(at, 1), &mut at, &mut batch);
        if batch.iter().any(|r| r.mark == Mark::Begin) {
            return (true, commit);
        }
        commit |= batch.iter().any(|r| r.mark == Mark::Commit);
        match stop {
            Stop::Full => {}
            Stop::Fault(Fault { cause: Cause::Short { need }, .. })
                if need <= reader.end() && !batch.is_empty() => {}
            Stop::Fault(fault) => at = chain.recover(&mut reader, Fault { at, ..fault }).resume,
            Stop::End | Stop::Framing(_) => break,
        }
        batch.clear();
    }
    (false, commit)
}
