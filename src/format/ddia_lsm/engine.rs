//! What the Python engine makes of a store when it opens it: `log-structured-merge-tree/lsm.py`, `load_index` of every
//! table in the order of names as text, then `WAL.replay`.
//!
//! A footer is believed, whatever it says; only reading past the end of the file or into text that is not UTF-8 shows that
//! it is wrong, and ends the process. The log ends silently at a short field or a wrong checksum (r2), but the key is
//! decoded before the checksum is looked at, so a wrong byte in a key can end the process, too.

use std::ops::Range;

use super::index::Shape;
use super::{PROFILE, word};
use crate::format::python;
use crate::format::{Halt, Job, Outcome, Part, Role, Take, Taken};
use crate::log::bytes::{Bytes, Reader};
use crate::log::conclude::Place;
use crate::log::finding::Code;

/// What is left after open. `records` counts log records replayed and, of every table, the entries that `scan_all` yields:
/// all up to the footer's idea of their end, or to the first that is cut short or has a key that is not text.
pub fn outcome(job: &Job<'_>, mut take: Option<Take<'_>>) -> Outcome {
    let files = job.files;
    let mut tables: Vec<usize> = (0..files.len()).filter(|&i| files[i].claim.role == Role::Table).collect();
    tables.sort_by_key(|&i| files[i].name);
    let mut loaded = Vec::new();
    for &file in &tables {
        let opened = number_of(files[file].name)
            .and_then(|number| Ok((number, file, load_index(&mut Reader::new(files[file].src))?)));
        match opened {
            Ok(table) => loaded.push(table),
            Err(error) => return Outcome::refused(error),
        }
    }
    // Only then are they put in the order of their numbers.
    loaded.sort_by_key(|&(number, ..)| number);
    let (mut records, mut halts) = (0, Vec::new());
    for (_, file, footer) in loaded {
        let mut reader = Reader::new(files[file].src);
        let mut each = sink(&mut take, file);
        let (entries, at) = scan_all(&mut reader, footer, &mut each);
        records += entries;
        if at != footer || Shape::of(&mut reader).entries_end != Some(footer) {
            halts.push(Halt { file, at, for_good: false, to: u64::MAX });
        }
    }
    let sum = job.engine_is(&PROFILE, "397ea2f", job.revision != Some("r1"));
    for file in (0..files.len()).filter(|&i| files[i].claim.role == Role::Log) {
        let mut reader = Reader::new(files[file].src);
        let mut each = sink(&mut take, file);
        let replay = replay(&mut reader, sum, &mut each);
        if let Some(error) = replay.error {
            return Outcome::refused(error);
        }
        records += replay.records;
        if replay.at < reader.end() {
            halts.push(Halt { file, at: replay.at, for_good: false, to: u64::MAX });
        }
    }
    Outcome { opens: true, error: None, records, transactions: 0, halts, ..Outcome::default() }
}

/// Hands an entry's place, key and value on; an empty value deletes.
fn sink<'a>(take: &'a mut Option<Take<'_>>, file: usize) -> impl FnMut(u64, Range<u64>, Range<u64>) + 'a {
    move |at, key, value| {
        if let Some(take) = take {
            let part = |span| Part { file, span };
            let value = Some(value).filter(|v| !v.is_empty()).map(part);
            take(Taken { place: Place { file, at }, key: part(key), value, given: None });
        }
    }
}

/// How far the log is replayed.
struct Replay {
    /// Records put into the memtable.
    records: u64,
    /// Where it stopped.
    at: u64,
    /// What it died of.
    error: Option<String>,
}

/// `WAL.replay`; `sum`: records begin with a checksum (r2).
fn replay(b: &mut Reader<'_>, sum: bool, each: &mut dyn FnMut(u64, Range<u64>, Range<u64>)) -> Replay {
    let (mut at, mut records) = (0, 0);
    let error = loop {
        match step(b, at, sum) {
            Ok(Some((key, value))) => {
                let end = value.end;
                each(at, key, value);
                (at, records) = (end, records + 1);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    Replay { records, at, error }
}

/// Where a key and its value lie.
type Pair = (Range<u64>, Range<u64>);

/// One round of its loop: key and value of the record at `at`, `None` where it stops.
fn step(b: &mut Reader<'_>, at: u64, sum: bool) -> Result<Option<Pair>, String> {
    let start = if sum { at + 4 } else { at };
    let Ok(key_len) = word(b, start) else { return Ok(None) };
    let key = start + 4..start + 4 + key_len;
    if key.end > b.end() {
        return Ok(None);
    }
    decode(b, key.clone())?;
    let Ok(val_len) = word(b, key.end) else { return Ok(None) };
    let end = key.end + 4 + val_len;
    if end > b.end() {
        return Ok(None);
    }
    let sound = !sum || (b.array(at).map(u32::from_be_bytes) == b.crc32(0, start..end));
    let value = key.end + 4..end;
    Ok(sound.then_some((key, value)))
}

/// The number in a table's name, as `_load_existing_sstables` takes it.
fn number_of(name: &str) -> Result<u64, String> {
    let text = name.split('_').nth(1).unwrap_or_default().split('.').next().unwrap_or_default();
    match text.parse::<u64>() {
        Ok(number) => Ok(number),
        Err(e) if *e.kind() == std::num::IntErrorKind::PosOverflow => Ok(u64::MAX),
        Err(_) => Err(format!("ValueError: invalid literal for int() with base 10: '{text}'")),
    }
}

/// `SSTable.load_index`: where the footer says that the entries end.
fn load_index(b: &mut Reader<'_>) -> Result<u64, String> {
    /// Seeking further is refused by the usual file system with 4 KiB blocks; others take it, and the read that follows fails.
    const SEEK_MAX: u64 = (1 << 44) - 4096;
    let cut = |bytes| format!("struct.error: unpack requires a buffer of {bytes} bytes");
    let invalid = || String::from("OSError: [Errno 22] Invalid argument");
    let footer = b.end().checked_sub(12).ok_or_else(invalid)?;
    let start = b.array(footer).map(u64::from_be_bytes).map_err(|_| invalid())?;
    let count = word(b, footer + 8).map_err(|_| invalid())?;
    if i64::try_from(start).is_err() {
        return Err("ValueError: cannot fit 'int' into an offset-sized integer".into());
    }
    if start > SEEK_MAX {
        return Err(invalid());
    }
    let mut at = start;
    for _ in 0..count {
        let key_len = word(b, at).map_err(|_| cut(4))?;
        let key = at + 4..(at + 4 + key_len).min(b.end());
        at = key.end;
        decode(b, key)?;
        b.array::<8>(at).map_err(|_| cut(8))?;
        at += 8;
    }
    Ok(start)
}

/// `SSTable.scan_all`: how many entries it yields, and where it stops.
fn scan_all(
    b: &mut Reader<'_>,
    footer: u64,
    each: &mut dyn FnMut(u64, Range<u64>, Range<u64>),
) -> (u64, u64) {
    let (mut at, mut entries) = (0, 0);
    while at < footer {
        let Ok(own) = super::lengths(b, at) else { break };
        let key = at + 4..at + 4 + own.key;
        if b.utf8(key.clone()) != Ok(true) {
            break;
        }
        let value = key.end + 4..key.end + 4 + own.value;
        each(at, key, value);
        (at, entries) = (at + own.total(), entries + 1);
    }
    (entries, at)
}

/// `bytes.decode("utf-8")`: the error in Python's words.
fn decode(b: &mut Reader<'_>, key: Range<u64>) -> Result<(), String> {
    /// The place of the error is told in keys up to this length.
    const TOLD: u64 = 1 << 20;
    if b.utf8(key.clone()) != Ok(false) {
        return Ok(());
    }
    let mut text = Vec::new();
    if key.end - key.start > TOLD || b.copy(key, &mut text).is_err() {
        return Err("UnicodeDecodeError: 'utf-8' codec can't decode the key".into());
    }
    std::str::from_utf8(&text).map(|_| ()).map_err(|e| python::not_utf8(&text, e))
}

/// What happens at a finding of this kind.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "Log: reads up to it, says nothing, and appends behind it: what it writes from then on is lost at the next open. \
             Its next flush or close truncates the log, torn bytes and all. Table: see WM-701."
        }
        Code::WrittenBehindTornTail => {
            "Stops at the torn record, or (r1) takes what was written behind it for its contents; the next flush or close \
             truncates the log and destroys the rest."
        }
        Code::ChecksumMismatch => {
            "r2 stops here without a word; nothing behind this record is replayed, and the next flush or close truncates the \
             log, which destroys it for good. If the key is not UTF-8 either, the store cannot be opened."
        }
        Code::InconsistentLength | Code::Malformed => {
            "Believes every length. One that reaches past the end of the file ends the log silently; one that does not makes r1 \
             go on with nonsense, r2 stop at the checksum. In a table, get() and scans go astray from there on."
        }
        Code::NotUtf8 => {
            "Decodes the key before it looks at the checksum: the store cannot be opened (UnicodeDecodeError). In a table, get() \
             and scans that come across it die of the same error."
        }
        Code::ZeroFilled => {
            "r1 takes every eight zero bytes for a deletion of the empty key and goes on; r2 stops here without a word."
        }
        Code::EmbeddedRecord => "Takes it for what it is, a part of the value.",
        Code::RevisionMismatch => {
            "Notices nothing: r2 sees a log of r1 as empty, and r1 one of r2. The next flush or close truncates the log, and \
             everything in it is gone."
        }
        Code::TableWithoutFooter => {
            "Takes the last 12 bytes for the footer, whatever they are: the store cannot be opened (OSError, struct.error, \
             ValueError or UnicodeDecodeError), although the log and the entries of the table may be intact."
        }
        Code::TableIndexMismatch => {
            "Believes the index: get() starts from the wrong place and does not find keys that are there."
        }
        Code::ForeignFile => {
            "Every name that ends in .sst counts as a table; one without a number behind its first underscore kills the open \
             (ValueError or IndexError)."
        }
        _ => return None,
    })
}
