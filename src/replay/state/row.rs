//! What a key holds, packed: in memory `key | rest`, on disk `what u32 | offset u64 | rest`.

use std::borrow::Cow;

use super::{Live, Value};
use crate::format::Part;
use crate::log::conclude::Place;

/// What an entry takes beside its bytes: its slot in the table and the allocation's own share.
pub(super) const OVERHEAD: u64 = 80;

/// The rest is the value.
pub(super) const BYTES: u32 = 0;
/// The rest is `offset u64 | length u64` of a value that stays in the log.
pub(super) const PLACED: u32 = 1 << 29;
/// The key is deleted, and there may be something older.
pub(super) const DELETED: u32 = 2 << 29;
/// The rest are columns.
pub(super) const ENTITY: u32 = 3 << 29;
/// The rest is the place of the value in a file of blobs.
pub(super) const BLOB: u32 = 4 << 29;
/// The rest is a [`super::chain::Chain`].
pub(super) const CHAIN: u32 = 5 << 29;
/// A change that is to be merged.
pub(super) const MERGE: u32 = 6 << 29;
/// The bits of those.
pub(super) const KIND: u32 = 7 << 29;
/// Behind the rest stands a stamp, u32: how many ranges were deleted, and rows written to disk, before; without it, none.
pub(super) const STAMPED: u32 = 1 << 28;
const FILE: u32 = STAMPED - 1;

/// The number of a file, as rows have it.
pub(super) fn file_of(place: Place) -> u32 {
    place.file as u32 & FILE
}

/// One key in memory.
pub(super) struct Entry {
    pub bytes: Box<[u8]>,
    pub key_len: u32,
    /// Index of the file, and in the highest bits what the bytes behind the key are.
    pub what: u32,
    pub at: u64,
}

impl Entry {
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }

    pub fn row(&self) -> Row<'_> {
        Row { what: self.what, at: self.at, rest: self.rest() }
    }

    pub fn live(&self) -> Live<'_> {
        let row = self.row();
        Live { key: self.key().into(), value: row.split().1, place: row.place() }
    }

    pub fn weight(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD
    }
}

/// All of it but the key.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub what: u32,
    pub at: u64,
    pub rest: &'a [u8],
}

/// A value, or that there is none, in the order of changes.
pub(super) struct Under<'a> {
    /// See [`STAMPED`].
    pub stamp: u32,
    /// The record that says so.
    pub place: Place,
    /// `None`: the key is deleted.
    pub value: Option<Value<'a>>,
}

impl<'a> Row<'a> {
    /// As on disk.
    pub fn of(row: &'a [u8]) -> Row<'a> {
        let what = row.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        Row { what, at: number(row, 4), rest: row.get(12..).unwrap_or_default() }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.what.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(self.rest);
    }

    pub fn place(&self) -> Place {
        Place { file: (self.what & FILE) as usize, at: self.at }
    }

    /// The stamp, and the value where there is one.
    pub fn split(&self) -> (u32, Value<'a>) {
        let stamped = self.rest.split_last_chunk().filter(|_| self.what & STAMPED != 0);
        let (rest, stamp) =
            stamped.map_or((self.rest, 0), |(rest, stamp)| (rest, u32::from_le_bytes(*stamp)));
        let value = match self.what & KIND {
            PLACED => {
                let (start, len) = (number(rest, 0), number(rest, 8));
                Value::Placed(Part { file: self.place().file, span: start..start.saturating_add(len) })
            }
            ENTITY => Value::Entity(Cow::Borrowed(rest)),
            BLOB => Value::Blob(Cow::Borrowed(rest)),
            _ => Value::Bytes(Cow::Borrowed(rest)),
        };
        (stamp, value)
    }

    pub fn under(&self) -> Under<'a> {
        let (stamp, value) = self.split();
        Under { stamp, place: self.place(), value: (self.what & KIND != DELETED).then_some(value) }
    }
}

impl Under<'_> {
    pub fn into_owned(self) -> Under<'static> {
        Under { value: self.value.map(Value::into_owned), stamp: self.stamp, place: self.place }
    }
}

fn number(bytes: &[u8], from: usize) -> u64 {
    bytes.get(from..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}
