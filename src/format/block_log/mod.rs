//! The logs of LevelDB and RocksDB: records in blocks of 32 KiB.

pub mod manifest;
