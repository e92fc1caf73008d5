//! What a RocksDB table says about itself; LevelDB's tables say nothing.

use super::TableError;
use super::block::{Entries, Layout};
use crate::codec::cursor::Cursor;

/// The properties that matter for reading, and those that people ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Name of the order of keys.
    pub comparator: Option<Vec<u8>>,
    /// Name of the merge operator.
    pub merge_operator: Option<Vec<u8>>,
    /// Column family that the table was made for.
    pub family_id: Option<u64>,
    /// Its name.
    pub family_name: Option<Vec<u8>>,
    /// Number of the index type: 0 binary, 1 hash, 2 partitioned, 3 with first keys.
    pub index_type: u32,
    /// Keys of the index lack sequence and type.
    pub index_key_is_user_key: bool,
    /// Handles of the index are told as differences.
    pub index_value_is_delta: bool,
    /// Entries, deletions included.
    pub entries: Option<u64>,
    /// Range deletions.
    pub range_deletions: Option<u64>,
    /// Names of compressions.
    pub compression: Option<Vec<u8>>,
    /// Version of the table's form for ingestion: made outside a database.
    pub external_version: Option<u32>,
    /// Sequence number that ingestion wrote into the table, and where in the block it stands.
    pub global_sequence: Option<(u64, usize)>,
}

impl Properties {
    /// Reads the block of properties.
    ///
    /// # Errors
    /// The block is damaged.
    pub fn read(bytes: Vec<u8>, origin: u64) -> Result<Properties, TableError> {
        let mut entries = Entries::new(bytes, origin, Layout::Plain)?;
        let mut all = Properties::default();
        while entries.advance()? {
            all.set(entries.key(), entries.value(), entries.value_at());
        }
        Ok(all)
    }

    /// Takes over one property; one with a value that it cannot have is left out.
    fn set(&mut self, key: &[u8], value: &[u8], at: usize) {
        let number = || Cursor::new(value).varint64();
        let text = || Some(value.to_vec());
        match key {
            b"rocksdb.comparator" => self.comparator = text(),
            b"rocksdb.merge.operator" => self.merge_operator = text(),
            b"rocksdb.column.family.id" => self.family_id = number(),
            b"rocksdb.column.family.name" => self.family_name = text(),
            b"rocksdb.block.based.table.index.type" => {
                self.index_type = Cursor::new(value).le32().unwrap_or(0)
            }
            b"rocksdb.index.key.is.user.key" => self.index_key_is_user_key = number().unwrap_or(0) != 0,
            b"rocksdb.index.value.is.delta.encoded" => self.index_value_is_delta = number().unwrap_or(0) != 0,
            b"rocksdb.num.entries" => self.entries = number(),
            b"rocksdb.num.range-deletions" => self.range_deletions = number(),
            b"rocksdb.compression" => self.compression = text(),
            b"rocksdb.external_sst_file.version" => self.external_version = Cursor::new(value).le32(),
            b"rocksdb.external_sst_file.global_seqno" => {
                self.global_sequence = Cursor::new(value).le64().map(|n| (n, at));
            }
            _ => {}
        }
    }
}
