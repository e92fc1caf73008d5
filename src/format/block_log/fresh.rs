//! Logs that are written from a state, one batch a key, and the files that make one a database of LevelDB.

use super::batch::SEQ_LIMIT;
use super::fragment::BLOCK;
use super::framer::put_record;
use crate::codec::varint;

/// The name of the log of [`catalogue`].
pub const LOG: &str = "000003.log";
/// The name of [`catalogue`], and what names it.
pub const CATALOGUE: &str = "MANIFEST-000002";
/// See [`CATALOGUE`].
pub const CURRENT: [&str; 2] = ["CURRENT", "MANIFEST-000002\n"];

/// The catalogue of a new LevelDB database of which everything is in its one log.
pub fn catalogue() -> Vec<u8> {
    const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";
    let mut edit = vec![1, COMPARATOR.len() as u8];
    edit.extend_from_slice(COMPARATOR);
    // The number of the log, the next number of a file, the last sequence number of the tables.
    edit.extend_from_slice(&[2, 3, 3, 4, 4, 0]);
    let mut out = Vec::new();
    put_record(&edit, None, 0, &mut out);
    out
}

/// What a key is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set<'a> {
    /// Bytes.
    Value(&'a [u8]),
    /// Columns, in RocksDB's own form.
    Entity(&'a [u8]),
}

/// A log that is being written.
#[derive(Debug)]
pub struct Fresh {
    /// Bytes so far, as far as blocks go by them.
    at: u64,
    /// Number of the next batch.
    seq: u64,
    batch: Vec<u8>,
    out: Vec<u8>,
}

impl Fresh {
    /// An empty one whose first batch has this number.
    pub fn new(seq: u64) -> Fresh {
        Fresh { at: 0, seq: seq.max(1), batch: Vec::new(), out: Vec::new() }
    }

    /// The bytes to write for the next key; family 0 is the default one.
    ///
    /// # Errors
    /// Why no batch can say that.
    pub fn put(&mut self, family: u32, key: &[u8], set: Set<'_>) -> Result<&[u8], &'static str> {
        if self.seq >= SEQ_LIMIT {
            return Err("there are no sequence numbers left");
        }
        let (plain, named, value) = match set {
            Set::Value(value) => (0x01, 0x05, value),
            Set::Entity(columns) => (0x16, 0x17, columns),
        };
        self.batch.clear();
        self.batch.extend_from_slice(&self.seq.to_le_bytes());
        self.batch.extend_from_slice(&1u32.to_le_bytes());
        if family == 0 {
            self.batch.push(plain);
        } else {
            self.batch.push(named);
            varint::put(family, &mut self.batch);
        }
        for bytes in [key, value] {
            let len = u32::try_from(bytes.len()).map_err(|_| "it has more bytes than a batch can tell")?;
            varint::put(len, &mut self.batch);
            self.batch.extend_from_slice(bytes);
        }
        self.out.clear();
        put_record(&self.batch, None, self.at, &mut self.out);
        self.at = (self.at + self.out.len() as u64) % BLOCK;
        self.seq += 1;
        Ok(&self.out)
    }
}
