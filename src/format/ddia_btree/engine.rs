//! What the Python engine makes of a WAL when it opens it: `b-tree-storage-engine/btree.py`, `WAL.recover`.
//!
//! It believes the page number and never looks at seq. r1 does nothing where the bytes `CMIT` occur, be it in a value;
//! r1 and r2 skip an entry with a wrong checksum and go on; r3 stops there and applies what a commit entry closed. An
//! entry that does not fit the file ends the reading in all three. Then the WAL is truncated, whatever happened.

use super::facts::Facts;
use super::{COMMIT, DATA, MARK, head, stored, sum_of};
use crate::format::chain::zeros_end;
use crate::format::{Halt, LogFile, Outcome, Role};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::finding::Code;
use crate::log::layout::Sum;
use crate::log::region::Kind;
use crate::log::survey::{Grouping, Survey};

/// What is left after open. Nothing that a WAL may hold keeps the engine from opening. `survey`: of the WAL.
pub fn outcome(
    files: &[LogFile<'_>],
    facts: &Facts,
    survey: Option<&Survey>,
    revision: Option<&str>,
) -> Outcome {
    let nothing = Outcome { opens: true, error: None, records: 0, halts: Vec::new() };
    let Some((file, wal)) = files.iter().enumerate().find(|(_, f)| f.claim.role == Role::Log) else {
        return nothing;
    };
    let revision = self::revision(facts, revision);
    if revision == "r1" && holds_mark(wal.src) {
        let halts = vec![Halt { file, at: 0, for_good: true }];
        return Outcome { halts, ..nothing };
    }
    let checksum = if revision == "r1" { Sum::Bytes } else { Sum::Crc32 };
    if let Some(records) = survey.filter(|_| facts.checksum == Some(checksum)).and_then(sound) {
        return Outcome { records, ..nothing };
    }
    let read = read(&mut Reader::new(wal.src), checksum, revision == "r3");
    let halts = read.halt.map(|at| Halt { file, at, for_good: true });
    Outcome { records: read.applied, halts: halts.into_iter().collect(), ..nothing }
}

/// The entries that are redone of a WAL in which nothing is wrong: it need not be read again for them.
fn sound(survey: &Survey) -> Option<u64> {
    let sound = survey.regions.as_slice().iter().all(|r| r.kind == Kind::Records);
    let commits = survey.rules.grouping == Grouping::CommitOnly;
    sound.then_some(if commits { survey.data_to_last_commit } else { survey.data })
}

/// The engine whose behaviour is told: the one named, or else the newest that reads such entries.
pub fn revision<'a>(facts: &Facts, named: Option<&'a str>) -> &'a str {
    named.unwrap_or(match facts.checksum {
        Some(Sum::Bytes) => "r1",
        _ => "r3",
    })
}

/// Bytes of an entry without data.
const EMPTY: u64 = DATA + 4;

struct Read {
    applied: u64,
    halt: Option<u64>,
}

/// `recover`; `commits`: entries wait for a commit entry, and a wrong checksum ends the reading.
fn read(b: &mut Reader<'_>, checksum: Sum, commits: bool) -> Read {
    let (mut at, mut applied, mut pending, mut committed) = (0, 0, 0, 0);
    while let Ok(head) = head(b, at) {
        let (len, data) = (u64::from(head.len), at + DATA);
        let end = data + len + 4;
        if end > b.end() {
            break;
        }
        let sound = sum_of(checksum, b, data..data + len).ok() == stored(b, at, len).ok();
        // A run of zeros is the same empty entry again and again: a hole of a terabyte is counted, not gone through.
        let again = if end - at == EMPTY { ((zeros_end(b, at) - at) / EMPTY).max(1) } else { 1 };
        let end = at + again * (end - at);
        if commits {
            if !sound {
                break;
            }
            if head.page == COMMIT {
                (applied, pending, committed) = (applied + pending, 0, end);
            } else {
                pending += again;
            }
        } else {
            applied += if sound { again } else { 0 };
        }
        at = end;
    }
    let stopped = at < b.end();
    Read { applied, halt: stopped.then_some(if commits { committed } else { at }) }
}

/// Whether the four bytes occur anywhere.
pub fn holds_mark(src: &dyn ReadAt) -> bool {
    let mut reader = Reader::new(src);
    let mut at = 0;
    while at < reader.end() {
        let window = reader.forward(at, MARK.len());
        let bytes = window.slice(at..window.base + window.bytes.len() as u64).unwrap_or(&[]);
        if bytes.windows(MARK.len()).any(|w| w == MARK) {
            return true;
        }
        // The last bytes may be the first of the mark.
        match bytes.len().checked_sub(MARK.len() - 1).filter(|&n| n > 0) {
            Some(n) => at += n as u64,
            None => return false,
        }
    }
    false
}

/// What happens at a finding of this kind.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "Ends its reading there and truncates the WAL. r1 and r2 redo the entries before it, so half an operation may \
             be applied; r3 redoes only what a commit entry closed."
        }
        Code::ChecksumMismatch => {
            "r1 and r2 skip the entry and redo the others: a tree that is neither before nor after. r3 stops there, redoes \
             what was committed before, and truncates the WAL with all that follows."
        }
        Code::InconsistentLength => {
            "Takes a length that reaches past the end of the file for a torn tail and drops everything behind it; a \
             smaller one makes it read nonsense until a checksum fails."
        }
        Code::ZeroFilled => {
            "Sixteen zero bytes are an entry to it: page 0, no data, checksum 0. Redoing it overwrites the metadata with \
             zeros and the tree is gone: at once in r1 and r2, in r3 when a commit entry follows."
        }
        Code::ImpossibleNumber => {
            "Never looks at seq. It believes the page number, which no checksum covers, and writes the image over whatever \
             page that is; a high bit makes a huge sparse file."
        }
        Code::Malformed => {
            "Does not look into an image: what the checksum passes is written. A page that does not parse kills the first \
             access that meets it, or ends up as keys and values that nobody wrote."
        }
        Code::OrphanedBatch => {
            "r3 discards entries without a commit entry and truncates the WAL; pages that were already changed in place \
             stay changed, as there is no undo. r2 redoes them."
        }
        Code::LostMember => {
            "r3 stops at the damaged entry, never sees the commit entry, redoes nothing of this operation and truncates \
             the WAL."
        }
        Code::UnfinishedOperation => {
            "Redoes the entries when it opens (r1 unless the bytes CMIT occur anywhere in the WAL, r2 always, r3 where a \
             commit entry follows) and truncates the WAL."
        }
        Code::PageDamaged => {
            "Checks nothing in btree.dat. Reads a page that is cut short as if zeros followed, clips values, or dies with \
             struct.error, UnicodeDecodeError or, from 104c886 on, ValueError."
        }
        Code::TreeInconsistent => {
            "Notices nothing: get() follows the children, iteration the siblings, and the two disagree. A cycle among \
             siblings makes iteration endless; range_scan raises ValueError from 104c886 on."
        }
        Code::PageOverflow => {
            "Logs the whole image but writes only its first bytes, one page, to btree.dat: values are cut or the page \
             becomes unreadable. Truncating the WAL destroys the only full copy."
        }
        Code::RevisionMismatch => {
            "Does not notice. With the wrong checksum rule every entry is damaged; r2 takes the commit entry of r3 for \
             page 4294967295 and makes a data file of that size."
        }
        _ => return None,
    })
}
