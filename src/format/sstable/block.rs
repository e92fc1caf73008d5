//! The contents of one block: entries whose keys share their beginnings.

use super::TableError;
use super::footer::{Handle, TRAILER};
use crate::codec::cursor::Cursor;

/// How the entries of a block are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Key and value.
    Plain,
    /// Key and the place of a block.
    Index {
        /// Handles behind the first of a restart tell the difference of their sizes alone.
        delta: bool,
        /// Behind the handle stands the first key of the block.
        first_key: bool,
    },
}

/// Walks through the entries of a block that is held in memory.
#[derive(Clone, Debug)]
pub struct Entries {
    bytes: Vec<u8>,
    /// Offset of the block in the file, for messages.
    origin: u64,
    layout: Layout,
    at: usize,
    end: usize,
    key: Vec<u8>,
    value: std::ops::Range<usize>,
    handle: Handle,
}

const HASHED: u32 = 1 << 31;
const UNIFORM: u32 = 1 << 29;
const SEPARATED: u32 = 1 << 28;

impl Entries {
    /// Before the first entry of a block.
    ///
    /// # Errors
    /// The block's end does not say where its entries end, or says that they are in a form that is not understood.
    pub fn new(bytes: Vec<u8>, origin: u64, layout: Layout) -> Result<Entries, TableError> {
        let end = entries_end(&bytes).map_err(|what| TableError::new(origin, what))?;
        let (at, key, value, handle) = (0, Vec::new(), 0..0, Handle::default());
        Ok(Entries { bytes, origin, layout, at, end, key, value, handle })
    }

    /// Goes to the next entry; false behind the last one.
    ///
    /// # Errors
    /// The entry cannot be read; there is none behind it then.
    pub fn advance(&mut self) -> Result<bool, TableError> {
        if self.at >= self.end {
            return Ok(false);
        }
        let from = self.at;
        // Whatever is returned early leaves nothing behind.
        self.at = self.end;
        let area = self.bytes.get(..self.end).unwrap_or_default();
        let mut cursor = Cursor::new(area.get(from..).unwrap_or_default());
        let fault =
            || TableError::new(self.origin, format!("the entry at byte {from} of the block is damaged"));
        let shared = cursor.varint32().ok_or_else(fault)? as usize;
        let own = cursor.varint32().ok_or_else(fault)? as usize;
        let delta = matches!(self.layout, Layout::Index { delta: true, .. });
        let value_len = if delta { 0 } else { cursor.varint32().ok_or_else(fault)? as usize };
        let suffix = cursor.take(own).ok_or_else(fault)?;
        if shared > self.key.len() {
            return Err(fault());
        }
        let start = from + cursor.at();
        match self.layout {
            Layout::Plain => drop(cursor.take(value_len).ok_or_else(fault)?),
            Layout::Index { delta: false, .. } => {
                let mut value = Cursor::new(cursor.take(value_len).ok_or_else(fault)?);
                self.handle = Handle::read(&mut value).ok_or_else(fault)?;
            }
            Layout::Index { delta: true, first_key } => {
                let previous = (shared > 0).then_some(self.handle);
                self.handle = next_handle(&mut cursor, previous).ok_or_else(fault)?;
                if first_key {
                    cursor.string().ok_or_else(fault)?;
                }
            }
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        self.at = from + cursor.at();
        self.value = start..self.at;
        Ok(true)
    }

    /// Key of the entry.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Value of the entry.
    pub fn value(&self) -> &[u8] {
        self.bytes.get(self.value.clone()).unwrap_or_default()
    }

    /// Offset of the value in the block.
    pub fn value_at(&self) -> usize {
        self.value.start
    }

    /// The place that an entry of an index tells.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Offset of the block in the file.
    pub fn origin(&self) -> u64 {
        self.origin
    }
}

/// A whole handle, or what is different from the one before, whose block stands right before.
fn next_handle(cursor: &mut Cursor<'_>, previous: Option<Handle>) -> Option<Handle> {
    let Some(previous) = previous else { return Handle::read(cursor) };
    let zigzag = cursor.varint64()?;
    let delta = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
    let offset = previous.offset.checked_add(previous.size)?.checked_add(TRAILER)?;
    Some(Handle { offset, size: previous.size.checked_add_signed(delta)? })
}

/// Where the entries of a block end and its restarts begin.
fn entries_end(bytes: &[u8]) -> Result<usize, &'static str> {
    let short = "the block is too short for its restarts";
    let (rest, packed) = bytes.split_last_chunk::<4>().ok_or(short)?;
    let packed = u32::from_le_bytes(*packed);
    let restarts = packed & (SEPARATED - 1);
    let mut end = rest.len();
    if packed & SEPARATED != 0 {
        return Err("keys and values in separate sections are not understood");
    }
    if packed & !(HASHED | UNIFORM) != restarts {
        return Err("the block has features that are not understood, or is damaged");
    }
    if packed & HASHED != 0 {
        let (buckets, count) = rest.split_last_chunk::<2>().ok_or(short)?;
        end = buckets.len().checked_sub(usize::from(u16::from_le_bytes(*count))).ok_or(short)?;
    }
    let array = (restarts as usize).checked_mul(4).ok_or(short)?;
    end.checked_sub(array).ok_or(short)
}
