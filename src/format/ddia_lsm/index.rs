//! Footer and index of a table: where its entries end, and the places that the index vouches for.

use std::cmp::Ordering;
use std::ops::Range;

use super::{FIXED, KEY, lengths, word};
use crate::format::{LogFile, Remark};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::fault::{Cause, Fault};
use crate::log::finding::Code;
use crate::log::survey::Survey;

/// Length of the footer.
pub const FOOTER: u64 = 12;
/// Keys are compared by this many bytes; longer ones that agree in them count as ascending.
pub const KEY_MAX: u64 = 1024;
/// Index entries kept for the search behind damage: 6 MiB, and tables of millions of entries.
const ANCHORS_MAX: usize = 1 << 18;

/// What the end of a table says about it.
pub struct Shape {
    /// Where the entries end, if that can be told.
    pub entries_end: Option<u64>,
    /// The footer is usable: index and footer behind `entries_end` are sound as far as they go.
    pub footer: bool,
    /// What the last 12 bytes say as a footer.
    pub claimed: Option<u64>,
    pub anchors: Vec<Anchor>,
}

/// A place where an entry stands, says the index.
#[derive(Clone, Copy)]
pub struct Anchor {
    pub at: u64,
    /// Length and CRC-32 of its key.
    pub key_len: u64,
    pub key: u32,
}

/// One entry of the index.
pub struct Pointer {
    pub at: u64,
    /// Its key with length.
    pub key: Range<u64>,
    pub offset: u64,
    pub end: u64,
}

impl Shape {
    /// Looks at footer and index.
    pub fn of(reader: &mut Reader<'_>) -> Shape {
        let none = Shape { entries_end: None, footer: false, claimed: None, anchors: Vec::new() };
        let Some((start, count, footer)) = footer(reader) else { return none };
        let none = Shape { claimed: Some(start), ..none };
        if footer.checked_sub(start).is_none_or(|room| count > room / (FIXED + 4)) {
            return none;
        }
        let (mut at, mut anchors) = (start, Vec::new());
        for _ in 0..count {
            let Some(p) = pointer(reader, at, footer) else { return none };
            at = p.end;
            let rises = anchors.last().is_none_or(|last: &Anchor| last.at < p.offset) && p.offset < start;
            if rises && anchors.len() < ANCHORS_MAX {
                anchors.extend(Anchor::of(reader, &p));
            }
        }
        if at != footer {
            return none;
        }
        Shape { entries_end: Some(start), footer: true, anchors, ..none }
    }
}

/// Keys of an index, and the offsets of the entries that have them.
pub type Entries = Vec<(Vec<u8>, u64)>;

/// Where the entries of a table end, and key and offset of each entry of its index; `None` where the index does not parse.
/// Nothing is said about the order of its keys and offsets, or about the entries themselves.
pub fn load(reader: &mut Reader<'_>) -> Option<(u64, Entries)> {
    let shape = Shape::of(reader);
    let start = shape.entries_end.filter(|_| shape.footer)?;
    let (mut at, mut index) = (start, Vec::new());
    while let Some(p) = pointer(reader, at, reader.end().saturating_sub(FOOTER)) {
        let mut key = Vec::new();
        reader.copy(p.key.start + KEY..p.key.end, &mut key).ok()?;
        index.push((key, p.offset));
        at = p.end;
    }
    Some((start, index))
}

/// The numbers in the last 12 bytes, and where these begin.
fn footer(reader: &mut Reader<'_>) -> Option<(u64, u64, u64)> {
    let at = reader.end().checked_sub(FOOTER)?;
    Some((u64::from_be_bytes(reader.array(at).ok()?), word(reader, at + 8).ok()?, at))
}

pub fn pointer<B: Bytes>(b: &mut B, at: u64, limit: u64) -> Option<Pointer> {
    let key = at..at + KEY + word(b, at).ok()?;
    let end = key.end + 8;
    if end > limit {
        return None;
    }
    let offset = u64::from_be_bytes(b.array(key.end).ok()?);
    Some(Pointer { at, key, offset, end })
}

impl Anchor {
    fn of<B: Bytes>(b: &mut B, p: &Pointer) -> Option<Anchor> {
        let key = p.key.start + KEY..p.key.end;
        Some(Anchor { at: p.offset, key_len: key.end - key.start, key: b.crc32(0, key).ok()? })
    }
}

/// Whether an entry with the key that the index names stands where it says.
pub fn anchored<B: Bytes>(b: &mut B, anchor: Anchor) -> Result<bool, Fault> {
    Ok(has_key(b, anchor)? && word(b, anchor.at)? == anchor.key_len)
}

/// Whether the key that the index names stands where it says, perhaps with a wrong length before it.
pub fn has_key<B: Bytes>(b: &mut B, anchor: Anchor) -> Result<bool, Fault> {
    let key = anchor.at + KEY;
    match b.crc32(0, key..key + anchor.key_len) {
        Ok(crc) => Ok(crc == anchor.key),
        Err(Fault { cause: Cause::Short { need }, .. }) if need > b.end() => Ok(false),
        Err(short) => Err(short),
    }
}

/// Whether key `b` may follow key `a`.
pub fn rises(a: &[u8], b: &[u8]) -> bool {
    a < b || (a == b && a.len() as u64 == KEY_MAX)
}

/// What an index at some place, taken without a footer, turns out to be.
pub enum Index {
    /// It ends 12 bytes before the file does, and its offsets ascend.
    Whole(Vec<Anchor>),
    /// The file ends inside it; what there is of it is right.
    Cut(Vec<Anchor>),
    /// Something in it is wrong, or it is no index at all.
    Broken,
}

pub fn index_at(reader: &mut Reader<'_>, start: u64) -> Index {
    let (end, mut at, mut anchors) = (reader.end(), start, Vec::new());
    let mut offset = None;
    loop {
        let rest = end - at;
        if rest < FOOTER {
            return Index::Cut(anchors);
        }
        if rest == FOOTER {
            // The footer, if it is right in one of its numbers; else this may be an entry of the index that was cut off.
            let right = footer(reader)
                .is_some_and(|(to, count, _)| to == start || (count > 0 && count == anchors.len() as u64));
            let cut = !right && reader.array(at) == Ok([0]) && word(reader, at) != Ok(0);
            return if cut { Index::Cut(anchors) } else { Index::Whole(anchors) };
        }
        let Some(p) = pointer(reader, at, end) else {
            // No key has 16 MiB.
            let cut = reader.array(at) == Ok([0]);
            return if cut { Index::Cut(anchors) } else { Index::Broken };
        };
        let due = offset.map_or(p.offset == 0, |before| before < p.offset);
        let Some(anchor) = Anchor::of(reader, &p) else { return Index::Broken };
        // An entry that it names may be damaged, but the order of the offsets is its own.
        if !due || p.offset >= start {
            return Index::Broken;
        }
        if anchors.len() < ANCHORS_MAX {
            anchors.push(anchor);
        }
        (at, offset) = (p.end, Some(p.offset));
    }
}

/// What the index must begin with: the first entry's key with length, and eight zero bytes.
pub fn needle(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let len = word(reader, 0).ok().filter(|&len| len <= KEY_MAX)?;
    let mut needle = Vec::new();
    reader.copy(0..KEY + len, &mut needle).ok()?;
    needle.extend([0; 8]);
    Some(needle)
}

/// Offset of the first occurrence of `needle` at or behind `from`.
pub fn position(reader: &mut Reader<'_>, needle: &[u8], mut from: u64) -> Option<u64> {
    while from + needle.len() as u64 <= reader.end() {
        let window = reader.forward(from, needle.len());
        let bytes = window.slice(from..window.base + window.bytes.len() as u64).ok()?;
        if let Some(i) = bytes.windows(needle.len()).position(|w| w == needle) {
            return Some(from + i as u64);
        }
        from += (bytes.len() + 1).checked_sub(needle.len()).filter(|&n| n > 0)? as u64;
    }
    None
}

/// What is wrong with footer or index. An index that cannot be right makes its region damage.
pub fn inspect(file: usize, log: &LogFile<'_>, survey: &mut Survey) -> Option<Remark> {
    let mut reader = Reader::new(log.src);
    let shape = Shape::of(&mut reader);
    let end = reader.end();
    let Some(start) = shape.entries_end else {
        let at = end.saturating_sub(FOOTER);
        let message = match footer(&mut reader) {
            None => format!("{end} bytes cannot hold the footer of a table: its writing was cut off"),
            Some((start, count, _)) => format!(
                "the last 12 bytes are no footer (entries up to {start}, {count} index entries); the entries are read without"
            ),
        };
        return Some(Remark { code: Code::TableWithoutFooter, file, at, len: end - at, message });
    };
    let (first, wrong) = contradictions(&mut reader, log.src, start, survey)?;
    let more = if wrong > 1 { format!(", and {} others do not either", wrong - 1) } else { String::new() };
    let message = format!("the index entry at {first} does not agree with the entries{more}");
    Some(Remark { code: Code::TableIndexMismatch, file, at: first, len: 0, message })
}

/// Offset of the first entry of the index that does not fit the table's entries, and how many do not.
fn contradictions(
    reader: &mut Reader<'_>,
    src: &dyn ReadAt,
    start: u64,
    survey: &mut Survey,
) -> Option<(u64, u64)> {
    let sound = survey.regions.as_slice().iter().all(|r| r.kind.sound());
    // A second reader, so that index and entries each have a window of their own.
    let mut entries = Reader::new(src);
    let limit = reader.end().saturating_sub(FOOTER);
    let (mut at, mut good, mut before) = (start, 0, None);
    let (mut first, mut wrong, mut impossible) = (None, 0, false);
    if start == limit && start > 0 {
        (first, wrong, impossible) = (Some(start), 1, true);
    }
    while let Some(p) = pointer(reader, at, limit) {
        at = p.end;
        let Some(anchor) = Anchor::of(reader, &p) else { break };
        let due = before.map_or(p.offset == 0, |before| before < p.offset) && p.offset < start;
        if due && anchored(&mut entries, anchor) == Ok(true) {
            good = p.offset;
        } else if !due || survey.regions.find(p.offset).is_none_or(|r| r.kind.sound()) {
            first = first.or(Some(p.at));
            wrong += 1;
            impossible |= !due || sound && !may_be(reader, &mut entries, good, &p, start);
        }
        before = if due { Some(p.offset) } else { before };
    }
    if impossible {
        survey.regions.condemn(start, Cause::Malformed("index"));
    }
    first.map(|first| (first, wrong))
}

/// Whether the index may be right and the entry it points to be the one with a wrong key: an entry does begin there, and
/// the index's key lies between those of its neighbours. `good`: an entry before it.
fn may_be(reader: &mut Reader<'_>, entries: &mut Reader<'_>, good: u64, p: &Pointer, limit: u64) -> bool {
    /// Entries walked over; an index entry stands for fewer.
    const STEPS: usize = 4096;
    let (mut key, mut other) = (Vec::new(), Vec::new());
    let key_end = p.key.end.min(p.key.start + KEY + KEY_MAX);
    if reader.copy(p.key.start + KEY..key_end, &mut key).is_err() {
        return true;
    }
    let (mut at, mut begins) = (good, false);
    for _ in 0..STEPS {
        if at >= limit {
            return begins;
        }
        let Ok(own) = lengths(entries, at) else { return true };
        let from = at + KEY;
        if entries.copy(from..from + own.key.min(KEY_MAX), &mut other).is_err() {
            return true;
        }
        match at.cmp(&p.offset) {
            Ordering::Less if !rises(&other, &key) => return false,
            Ordering::Less => {}
            Ordering::Equal => begins = true,
            Ordering::Greater => return begins && rises(&key, &other),
        }
        at += own.total();
    }
    true
}
