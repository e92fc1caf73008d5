//! The sorted tables of LevelDB and RocksDB (block-based), read only: every version of every key in order.
//!
//! ```text
//! file     data block ... | meta blocks | metaindex block | index block | footer            (index and metaindex: any order)
//! block    contents | compression u8 | checksum u32 over both
//! contents entries | restart u32 ... | [hash: bucket u8 ... | buckets u16] | restarts u32, flags in its upper bits
//! entry    shared varint | own varint | value length varint | own bytes of the key | value
//! key      user key | (sequence << 8 | type) u64
//! index    key >= all of the block | handle; from format version 4 the key may lack its last eight bytes, and handles
//!          behind the first of a restart tell only the difference of their sizes, without a value length
//! handle   offset varint | length varint                 without the five bytes behind the block
//! ```
//! Data and index blocks follow in key order; a partitioned index is an index of indexes. What a table says about itself is
//! in the meta block of properties, its range deletions in another. All of it is checked before it is believed, a block has
//! [`BLOCK_MAX`] bytes at the most, and no more than a few blocks are held. Upstream: `table/format.cc`, `table/block_based`.
//!
//! Not understood, and named as such: order by comparators other than the two bytewise ones, hence also timestamps of the
//! user's in keys; keys and values in separate sections; bzip2, xpress and custom compressions; plain and cuckoo tables.

use std::fmt;

pub mod blob;
pub mod block;
pub mod checksum;
pub mod compression;
pub mod footer;
pub mod merged;
pub mod order;
pub mod properties;
pub mod ranges;
pub mod table;
pub mod visible;

#[cfg(test)]
mod tests;

/// A block has no more bytes than this, neither in the file nor decompressed.
pub const BLOCK_MAX: usize = 64 << 20;

/// Why a table, or a part of it, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// Offset in the file.
    pub at: u64,
    /// What is wrong there.
    pub what: String,
}

impl TableError {
    /// `what` is wrong at `at`.
    pub fn new(at: u64, what: impl Into<String>) -> Self {
        TableError { at, what: what.into() }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.at, self.what)
    }
}

impl std::error::Error for TableError {}

/// What an entry does to its key; the numbers are those on disk.
pub mod kind {
    /// The key is deleted.
    pub const DELETION: u8 = 0;
    /// A value.
    pub const VALUE: u8 = 1;
    /// An operand for the merge operator.
    pub const MERGE: u8 = 2;
    /// Deletes the one value below it.
    pub const SINGLE_DELETION: u8 = 7;
    /// Only in the meta block of range deletions: from the key up to the value, exclusive.
    pub const RANGE_DELETION: u8 = 0xf;
    /// The value is in a blob file.
    pub const BLOB_INDEX: u8 = 0x11;
    /// Named columns.
    pub const WIDE_COLUMNS: u8 = 0x16;
    /// A value with eight bytes behind it for its write time.
    pub const TIMED_VALUE: u8 = 0x18;

    /// Whether tables may hold an entry of this kind among their keys.
    pub fn is_known(kind: u8) -> bool {
        matches!(kind, DELETION | VALUE | MERGE | SINGLE_DELETION | BLOB_INDEX | WIDE_COLUMNS | TIMED_VALUE)
    }
}

/// The highest sequence number that keys have room for.
pub const SEQUENCE_MAX: u64 = (1 << 56) - 1;

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The user's key.
    pub key: &'a [u8],
    /// Sequence number.
    pub sequence: u64,
    /// One of [`kind`].
    pub kind: u8,
    /// Value, operand or reference; empty for deletions.
    pub value: &'a [u8],
}

/// Takes an internal key apart: the user's key, sequence number, kind. `None` if it is too short.
pub fn internal(key: &[u8]) -> Option<(&[u8], u64, u8)> {
    let (user, trailer) = key.split_last_chunk::<8>()?;
    let trailer = u64::from_le_bytes(*trailer);
    Some((user, trailer >> 8, trailer as u8))
}

/// Puts an internal key together, in place of what `out` holds: the reverse of [`internal`].
pub fn internal_key(key: &[u8], sequence: u64, kind: u8, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(key);
    out.extend_from_slice(&((sequence << 8) | u64::from(kind)).to_le_bytes());
}
