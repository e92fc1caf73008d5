//! Writes the files of the LSM tree: records of the log (r2), and tables with their index and footer.

use crate::codec::crc32;
use crate::format::{Entry, Fresh, Put, Seal};

/// Key and value have at most so many bytes together: far more than any reader keeps in memory, and all lengths fit.
pub const PAYLOAD_MAX: usize = i32::MAX as usize;

/// Appends one record of the log to `out`. An empty value is the deletion; the key must be UTF-8.
pub fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let at = out.len();
    out.extend([0; 4]);
    entry(out, key, value);
    let crc = crc32::update(0, &out[at + 4..]);
    out[at..at + 4].copy_from_slice(&crc.to_be_bytes());
}

/// Appends the record that sets a key to `out`, `summed`: with a checksum, as in the log of r2 and nowhere else.
///
/// # Errors
/// Why no record can say that.
pub fn put(fresh: &Fresh<'_>, summed: bool, out: &mut Vec<u8>) -> Put {
    let Fresh { key, value, .. } = *fresh;
    if value.is_empty() {
        return Err("an empty value deletes it");
    }
    if key.len().saturating_add(value.len()) > PAYLOAD_MAX {
        return Err("it and its value are too long for one record");
    }
    if std::str::from_utf8(key).is_err() {
        return Err("it has to be UTF-8");
    }
    if summed {
        record(out, key, value);
    } else {
        entry(out, key, value);
    }
    Ok(())
}

/// Appends one entry of a table to `out`.
fn entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    debug_assert!(key.len() + value.len() <= PAYLOAD_MAX);
    string(out, key);
    string(out, value);
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// Every so many entries the original puts one into its index.
pub const INTERVAL: u64 = 16;

/// What stands behind the entries of a table: a sparse index, and where it begins.
#[derive(Debug)]
pub struct Index {
    interval: u64,
    entries: u64,
    bytes: Vec<u8>,
    indexed: u32,
}

impl Default for Index {
    fn default() -> Self {
        Index::new(INTERVAL)
    }
}

impl Index {
    /// An index with every entry of number `interval`.
    pub fn new(interval: u64) -> Index {
        Index { interval: interval.max(1), entries: 0, bytes: Vec::new(), indexed: 0 }
    }

    /// The next entry stands at `at`.
    pub fn note(&mut self, at: u64, key: &[u8]) {
        if self.entries.is_multiple_of(self.interval) {
            string(&mut self.bytes, key);
            self.bytes.extend(at.to_be_bytes());
            self.indexed += 1;
        }
        self.entries += 1;
    }

    /// Appends index and footer to `out`; the entries end at `end`.
    pub fn close(&self, end: u64, out: &mut Vec<u8>) {
        out.extend(&self.bytes);
        out.extend(end.to_be_bytes());
        out.extend(self.indexed.to_be_bytes());
    }
}

impl Seal for Index {
    fn record(&mut self, at: u64, entry: &Entry<'_>) {
        self.note(at, entry.key.unwrap_or_default());
    }

    fn finish(self: Box<Self>, end: u64, out: &mut Vec<u8>) {
        self.close(end, out);
    }
}

/// Writes a table entry by entry; keeps nothing but its index.
#[derive(Debug)]
pub struct Table {
    index: Index,
    /// Bytes of the entries so far.
    bytes: u64,
}

impl Table {
    /// A table that puts every entry of number `interval` into its index.
    pub fn new(interval: u64) -> Table {
        Table { index: Index::new(interval), bytes: 0 }
    }

    /// Appends an entry to `out`. Its key must be UTF-8 and greater than the one before; an empty value is the deletion.
    pub fn push(&mut self, out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
        self.index.note(self.bytes, key);
        let at = out.len();
        entry(out, key, value);
        self.bytes += (out.len() - at) as u64;
    }

    /// Entries so far. The original cannot scan a table without any: do not write one.
    pub fn entries(&self) -> u64 {
        self.index.entries
    }

    /// Appends index and footer to `out`.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.index.close(self.bytes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ddia_lsm::index;
    use crate::log::bytes::Reader;

    #[test]
    fn a_record_is_proved_by_its_checksum() {
        let mut out = Vec::new();
        record(&mut out, b"key", b"value");
        assert_eq!(out[4..], *b"\0\0\0\x03key\0\0\0\x05value");
        assert_eq!(out[..4], crc32::update(0, &out[4..]).to_be_bytes());
    }

    #[test]
    fn the_index_of_a_table_leads_to_its_entries() {
        let (mut out, mut table) = (Vec::new(), Table::new(2));
        for key in ["a", "b", "c", "d", "e"] {
            table.push(&mut out, key.as_bytes(), b"v");
        }
        assert_eq!(table.entries(), 5);
        table.finish(&mut out);
        let (end, index) = index::load(&mut Reader::new(&&out[..])).expect("a sound index");
        assert_eq!(end, 50);
        assert_eq!(index, [(b"a".to_vec(), 0), (b"c".to_vec(), 20), (b"e".to_vec(), 40)]);
    }
}
