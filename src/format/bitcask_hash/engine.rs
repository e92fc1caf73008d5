//! What the Python engine makes of a store when it opens it: `hash-index-storage/bitcask.py`, `_rebuild_index`.
//!
//! Revision b9cf107 (r1) and 397ea2f (r2) differ in the record only. A hint that is cut off kills the open; cut off
//! inside a key, it is believed.

use super::PROFILE;
use crate::format::bitcask::engine::{
    Believed, Manners, Opening, canonical, get, open, outcome as count, scan, text,
};
use crate::format::bitcask::hint::Comparison;
use crate::format::bitcask_hash::{HINT, HashHint, R1, R2, is_r1, number};
use crate::format::{Job, LogFile, Outcome, Take};
use crate::log::bytes::{Bytes, Reader};
use crate::log::finding::Code;

/// What is left after open.
pub fn outcome(job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
    let r1 = !job.engine_is(&PROFILE, "397ea2f", !is_r1(job.revision));
    let opening = index(job.files, r1, take);
    let comparison = if r1 {
        Comparison::of::<R1, HashHint>(job.files, job.surveys, number)
    } else {
        Comparison::of::<R2, HashHint>(job.files, job.surveys, number)
    };
    let unseen = |file: usize| comparison.unseen.get(&file).map(|u| (u.records, u.known_to));
    count(opening, job.surveys, &unseen)
}

/// Opens the store; every change of the index goes to `take`.
pub fn index(files: &[LogFile<'_>], r1: bool, take: Option<Take<'_>>) -> Opening {
    let (scan, get) = if r1 { (scan::<R1> as _, get::<R1> as _) } else { (scan::<R2> as _, get::<R2> as _) };
    let data = |name: &str| Ok(format!("{}.data", canonical(name.strip_suffix(".data").unwrap_or(name))?));
    let hint = |name: &str| format!("{}.hint", name.strip_suffix(".data").unwrap_or(name));
    open(files, &Manners { data, hint, load, scan, get }, take)
}

/// `_load_hint_file`.
fn load(b: &mut Reader<'_>, believe: &mut dyn FnMut(Believed)) -> Result<(), String> {
    let short = |bytes: u64| format!("struct.error: unpack requires a buffer of {bytes} bytes");
    let (end, mut at) = (b.end(), 0);
    while at < end {
        b.forward(at, 1);
        if at + HINT.offset("key_size") > end {
            return Err(short(HINT.offset("key_size")));
        }
        let size = b.array(at + HINT.offset("key_size")).map_err(|_| short(4))?;
        let key = at + HINT.fixed();
        let next = key + u64::from(u32::from_le_bytes(size));
        let key = key.min(end)..next.min(end);
        text(b, key.clone())?;
        let file = b.array(at + HINT.offset("file_id")).map(u32::from_le_bytes);
        let offset = b.array(at + HINT.offset("offset")).map(u64::from_le_bytes);
        let size = b.array(at + HINT.offset("record_size")).map(u32::from_le_bytes);
        if let (Ok(file), Ok(offset), Ok(size)) = (file, offset, size) {
            let data = Some(format!("{file}.data"));
            believe(Believed { key, data, offset, size: Some(u64::from(size)) });
        }
        at = next;
    }
    Ok(())
}

/// What happens at a finding of this kind.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "From r2 on it stops there, says nothing, and appends behind the torn bytes: what it writes from then on is \
             lost at the next open. r1 indexes a record whose value is cut off and serves what is left of it; a cut key \
             can fail the open (UnicodeDecodeError)."
        }
        Code::WrittenBehindTornTail => {
            "The torn record swallows the first one behind it. r2 sees the wrong checksum and leaves the file; r1 takes \
             the mixture for a value and then reads garbage, which mostly ends in UnicodeDecodeError at open."
        }
        Code::ChecksumMismatch => {
            "Leaves this file at the first wrong checksum, without a word, and goes on with the next file; the next \
             compaction drops the rest for good."
        }
        Code::NotUtf8 => {
            "Cannot open the store (UnicodeDecodeError) where the checksum holds, in r1 at any such key."
        }
        Code::InconsistentLength => {
            "Takes the sizes at their word: r2 leaves the file at the wrong checksum or short read that follows, r1 reads \
             on at a wrong place and indexes garbage."
        }
        Code::ZeroFilled => {
            "Reads zeros as deletions of the empty key, for the checksum of nothing is 0, and leaves the file where they \
             stop being that."
        }
        Code::ImpossibleNumber => {
            "Notices nothing; but compaction keeps the record with the latest timestamp, so a wrong one can bring an old \
             value back."
        }
        Code::StaleHint => {
            "Believes the hint and does not read the data file: records without an entry do not exist, a wrong offset \
             fails at get(), and a hint that ends inside an entry fails the open (struct.error)."
        }
        Code::ActiveHint => {
            "Appends to the newest file although it has a hint, and at the next open believes the hint: what was written \
             in between is gone."
        }
        Code::RevisionMismatch => {
            "Does not notice. r2 opens a store of r1 as empty and appends records that no revision sees again; r1 fails \
             on one of r2 with UnicodeDecodeError."
        }
        Code::MissingNumber => "Notices nothing: compaction leaves numbers out too.",
        Code::ForeignFile => {
            "Every name that ends in .data must be a number, or the open fails (ValueError); for 007.data it looks for \
             7.data."
        }
        _ => return None,
    })
}
