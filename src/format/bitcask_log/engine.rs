//! What the Python engine makes of a store when it opens it: `log-structured-hash-table/bitcask.py`, `_recover`, in
//! revision 397ea2f; all of them read alike.
//!
//! A hint that is cut off is read as far as it goes, and its segment not at all. The engine makes the name of a hint by
//! replacing `.dat` in the whole path, so below a directory such as `my.data` it finds none; that is not followed here.

use crate::format::bitcask::engine::{
    Believed, Manners, Opening, canonical, get, open, outcome as count, scan, text,
};
use crate::format::bitcask::hint::Comparison;
use crate::format::bitcask_log::{HINT, Segment, SegmentHint, number};
use crate::format::{Job, LogFile, Outcome, Take};
use crate::log::bytes::{Bytes, Reader};
use crate::log::finding::Code;

/// What is left after open.
pub fn outcome(job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
    let opening = index(job.files, take);
    let comparison = Comparison::of::<Segment, SegmentHint>(job.files, job.surveys, number);
    let unseen = |file: usize| comparison.unseen.get(&file).map(|u| (u.records, u.known_to));
    count(opening, job.surveys, &unseen)
}

/// Opens the store; every change of the index goes to `take`.
pub fn index(files: &[LogFile<'_>], take: Option<Take<'_>>) -> Opening {
    let hint = |name: &str| name.replace(".dat", ".hint");
    open(files, &Manners { data, hint, load, scan: scan::<Segment>, get: get::<Segment> }, take)
}

/// The engine opens a segment by the name that it found.
///
/// # Errors
/// The exception of a name without number.
pub fn data(name: &str) -> Result<String, String> {
    let stem = name.strip_prefix("segment_").and_then(|rest| rest.strip_suffix(".dat")).unwrap_or(name);
    canonical(stem).map(|_| name.to_owned())
}

/// `_load_hint_file`.
fn load(b: &mut Reader<'_>, believe: &mut dyn FnMut(Believed)) -> Result<(), String> {
    let (end, mut at) = (b.end(), 0);
    loop {
        b.forward(at, 1);
        let size = b.array(at + HINT.offset("key_size")).map(u32::from_be_bytes);
        let offset = b.array(at + HINT.offset("offset")).map(u32::from_be_bytes);
        let (Ok(size), Ok(offset)) = (size, offset) else { return Ok(()) };
        let key = at + HINT.fixed();
        at = key + u64::from(size);
        if at > end {
            return Ok(());
        }
        text(b, key..at)?;
        believe(Believed { key: key..at, data: None, offset: u64::from(offset), size: None });
    }
}

/// What happens at a finding of this kind.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "Reads up to it, says nothing, and appends behind the torn bytes: what it writes from then on is lost at the \
             next open."
        }
        Code::WrittenBehindTornTail => {
            "The torn record swallows the first one behind it; the checksum does not hold, and the rest of the segment \
             is not read."
        }
        Code::ChecksumMismatch | Code::InconsistentLength => {
            "Leaves this segment at the first record that does not hold, without a word, and goes on with the next; the \
             next compaction drops the rest for good."
        }
        Code::NotUtf8 => {
            "Cannot open the store (UnicodeDecodeError): the checksum holds, the key does not decode."
        }
        Code::ZeroFilled => {
            "Reads zeros as records, for the checksum of nothing is 0: the empty key comes to life with an empty value."
        }
        Code::StaleHint => {
            "Believes the hint and does not read the segment: records without an entry do not exist, a wrong offset \
             fails at get() with CorruptionError or serves another record."
        }
        Code::ActiveHint => {
            "Appends to the newest segment although it has a hint, and at the next open believes the hint: what was \
             written in between is gone."
        }
        Code::MissingNumber => "Notices nothing: compaction leaves numbers out too.",
        Code::ForeignFile => "A segment_*.dat without a number in its name fails the open (ValueError).",
        _ => return None,
    })
}
