//! Writes the files of the LSM tree: records of the log (r2), and tables with their index and footer.

use crate::codec::crc32;

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

/// Writes a table entry by entry; keeps nothing but its index.
#[derive(Debug)]
pub struct Table {
    /// Every so many entries one is in the index.
    interval: u64,
    entries: u64,
    /// Bytes of the entries so far.
    bytes: u64,
    index: Vec<u8>,
    indexed: u32,
}

impl Table {
    /// A table that puts every entry of number `interval` into its index; the original takes 16.
    pub fn new(interval: u64) -> Table {
        Table { interval: interval.max(1), entries: 0, bytes: 0, index: Vec::new(), indexed: 0 }
    }

    /// Appends an entry to `out`. Its key must be UTF-8 and greater than the one before; an empty value is the deletion.
    pub fn push(&mut self, out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
        if self.entries.is_multiple_of(self.interval) {
            string(&mut self.index, key);
            self.index.extend(self.bytes.to_be_bytes());
            self.indexed += 1;
        }
        let at = out.len();
        entry(out, key, value);
        self.bytes += (out.len() - at) as u64;
        self.entries += 1;
    }

    /// Entries so far. The original cannot scan a table without any: do not write one.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Appends index and footer to `out`.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend(&self.index);
        out.extend(self.bytes.to_be_bytes());
        out.extend(self.indexed.to_be_bytes());
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
