//! What LevelDB and RocksDB share.

pub mod entity;
pub mod merge;
