//! What the engines have to say about the contents of a batch.

use super::super::batch::{self, ENDINGS, HEAD};
use super::super::{Flavour, inflate};
use super::Version;
use super::ways::Ways;

/// Shorter records are no batches.
pub const SHORTEST: usize = HEAD;

/// Number of the first operation.
pub fn sequence(batch: &[u8]) -> u64 {
    batch.first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

/// Operations that it claims to hold.
pub fn count(batch: &[u8]) -> u32 {
    batch.get(8..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_le_bytes(*b))
}

/// What a batch costs to be followed, see [`inflate::OPERATION`]; `None`: it ends more transactions than are.
pub fn cost(flavour: Flavour, batch: &[u8]) -> Option<u64> {
    let (mut operations, mut endings) = (0, 0);
    for operation in batch::operations(batch, flavour) {
        operations += 1;
        endings += usize::from(operation.xid().is_some());
    }
    (endings <= ENDINGS).then(|| (batch.len() as u64).saturating_add(inflate::OPERATION * operations))
}

/// What the engine finds wrong with a batch, in its words.
pub fn fault(ways: &Ways, batch: &[u8]) -> Option<String> {
    let mut operations = batch::operations(batch, ways.flavour());
    let mut counted = 0u32;
    for operation in operations.by_ref() {
        if operation.word == "TIMED_PUT" && !ways.is(Version::Rocks9) {
            return Some("unknown WriteBatch tag".into());
        }
        counted = counted.wrapping_add(u32::from(operation.changes));
    }
    match operations.broken() {
        Some((tag, word)) => Some(broken(ways, tag, word)),
        None => (counted != count(batch)).then(|| "WriteBatch has wrong count".into()),
    }
}

fn broken(ways: &Ways, tag: u8, word: Option<&str>) -> String {
    let late = word == Some("TIMED_PUT") && !ways.is(Version::Rocks9);
    let what = match word.filter(|_| !late) {
        None if ways.is(Version::Rocks9) => {
            return format!("unknown WriteBatch tag: {}", tag as i8 as u32);
        }
        None => "unknown WriteBatch tag",
        Some("PUT") => "bad WriteBatch Put",
        Some("DELETE" | "SINGLE_DELETE") => "bad WriteBatch Delete",
        Some("DELETE_RANGE") => "bad WriteBatch DeleteRange",
        Some("MERGE") => "bad WriteBatch Merge",
        Some("BLOB_INDEX") => "bad WriteBatch BlobIndex",
        Some("LOG_DATA") => "bad WriteBatch Blob",
        Some("END_PREPARE") => "bad EndPrepare XID",
        Some("ROLLBACK") => "bad Rollback XID",
        Some("PUT_ENTITY") => "bad WriteBatch PutEntity",
        Some("TIMED_PUT") => "bad WriteBatch TimedPut",
        Some(_) => "bad Commit XID",
    };
    what.into()
}
