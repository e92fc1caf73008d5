//! Values that RocksDB stores apart from the tables, in blob files.
//!
//! ```text
//! file       magic u32 | version u32 | family u32 | flags u8 | compression u8 | expiration u64, u64 | records | footer
//! record     key length u64 | value length u64 | expiration u64 | CRC of these u32 | CRC of key and value u32 | key | value
//! reference  0 | expiration varint | value             1 | file varint | offset of the value varint | length varint
//!            | compression u8                          2 | expiration varint | as 1
//! ```

use super::compression::{Dialect, decompress};
use super::footer::read;
use super::{BLOCK_MAX, TableError};
use crate::codec::crc32c::masked;
use crate::codec::cursor::Cursor;
use crate::log::bytes::ReadAt;

const MAGIC: u32 = 0x0024_8f37;
const HEADER: u64 = 30;
const RECORD: usize = 32;

/// What stands in a table instead of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'a> {
    /// The value itself, with an expiration.
    Inline(&'a [u8]),
    /// A value in a blob file.
    Blob {
        /// Number in the file's name.
        file: u64,
        /// Offset of the value.
        offset: u64,
        /// Its length, compressed.
        size: u64,
        /// How it is compressed.
        compression: u8,
    },
}

impl<'a> Reference<'a> {
    /// Reads the value of an entry of the kind blob index; `None` if it is none.
    pub fn read(value: &'a [u8]) -> Option<Reference<'a>> {
        let mut cursor = Cursor::new(value);
        let form = cursor.byte()?;
        if form == 0 || form == 2 {
            cursor.varint64()?;
        }
        match form {
            0 => Some(Reference::Inline(cursor.rest())),
            1 | 2 => {
                let (file, offset, size) = (cursor.varint64()?, cursor.varint64()?, cursor.varint64()?);
                Some(Reference::Blob { file, offset, size, compression: cursor.byte()? })
            }
            _ => None,
        }
    }
}

/// The value of `key` at `offset` in a blob file.
///
/// # Errors
/// The record is not what the reference says, damaged, or too long.
pub fn value(
    src: &dyn ReadAt,
    key: &[u8],
    offset: u64,
    size: u64,
    compression: u8,
) -> Result<Vec<u8>, TableError> {
    let fault = |what: String| Err(TableError::new(offset, what));
    let magic = read(src, 0, 4)?;
    if Cursor::new(&magic).le32() != Some(MAGIC) {
        return Err(TableError::new(0, "no blob file"));
    }
    let before = RECORD as u64 + key.len() as u64;
    let Some(start) = offset.checked_sub(before).filter(|&start| start >= HEADER) else {
        return fault("no place for the record of a blob".into());
    };
    let Some(len) = usize::try_from(size).ok().filter(|&len| len <= BLOCK_MAX && key.len() <= BLOCK_MAX)
    else {
        return fault(format!("a value of {size} bytes, more than {BLOCK_MAX} are not taken"));
    };
    let mut record = read(src, start, RECORD + key.len() + len)?;
    let mut header = Cursor::new(&record);
    let lengths = (header.le64(), header.le64(), header.le64());
    let sums = (header.le32(), header.le32());
    if (lengths.0, lengths.1) != (Some(key.len() as u64), Some(size)) {
        return fault("the record of a blob has other lengths".into());
    }
    let (head, body) = record.split_at(RECORD);
    let computed = (masked(&head[..24], &[]), masked(body, &[]));
    if sums != (Some(computed.0), Some(computed.1)) || !body.starts_with(key) {
        return fault("the record of a blob fails its checksum".into());
    }
    record.drain(..RECORD + key.len());
    decompress(record, compression, Dialect::Prefixed, &[]).or_else(fault)
}
