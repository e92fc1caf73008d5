//! What the Python engine makes of a store when it opens it: `hash-index-storage/bitcask.py`, `_rebuild_index`.
//!
//! Revision b9cf107 (r1) and 397ea2f (r2) differ in the record only. A hint that is cut off kills the open; cut off
//! inside a key, it is believed.

use crate::format::bitcask::engine::{
    Manners, Opening, Taken, canonical, open, outcome as count, scan, text,
};
use crate::format::bitcask::hint::Comparison;
use crate::format::bitcask_hash::{HINT, HashHint, R1, R2, is_r1, number};
use crate::format::{LogFile, Outcome};
use crate::log::bytes::{Bytes, Reader};
use crate::log::finding::Code;
use crate::log::survey::Survey;

/// What is left after open.
pub fn outcome(files: &[LogFile<'_>], surveys: &[&Survey], revision: Option<&str>) -> Outcome {
    let opening = index(files, revision, &mut |_| {});
    let comparison = if is_r1(revision) {
        Comparison::of::<R1, HashHint>(files, surveys, number)
    } else {
        Comparison::of::<R2, HashHint>(files, surveys, number)
    };
    let unseen = |file: usize| comparison.unseen.get(&file).map(|u| (u.records, u.known_to));
    count(opening, surveys, &unseen)
}

/// Opens the store; every change of the index goes to `take`.
pub fn index(files: &[LogFile<'_>], revision: Option<&str>, take: &mut dyn FnMut(Taken)) -> Opening {
    let scan = if is_r1(revision) { scan::<R1> } else { scan::<R2> };
    let data = |name: &str| Ok(format!("{}.data", canonical(name.strip_suffix(".data").unwrap_or(name))?));
    let hint = |name: &str| format!("{}.hint", name.strip_suffix(".data").unwrap_or(name));
    open(files, &Manners { data, hint, load, scan }, take)
}

/// `_load_hint_file`.
fn load(b: &mut Reader<'_>, file: usize, take: &mut dyn FnMut(Taken)) -> Result<(), String> {
    let short = |bytes: u64| format!("struct.error: unpack requires a buffer of {bytes} bytes");
    let (end, mut at) = (b.end(), 0);
    while at < end {
        b.forward(at, 1);
        if at + HINT.offset("key_size") > end {
            return Err(short(HINT.offset("key_size")));
        }
        let size = b.array(at + HINT.offset("key_size")).map_err(|_| short(4))?;
        let key = at + HINT.fixed();
        at = key + u64::from(u32::from_le_bytes(size));
        text(b, key..at.min(end))?;
        take(Taken { file, key: key..at.min(end), put: true });
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
