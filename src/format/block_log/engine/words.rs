//! What the engines do at each finding, for `explain`.

use super::super::Flavour;
use crate::log::finding::Code;

/// See [`crate::format::Format::engine_at`].
pub fn at(flavour: Flavour, code: Code) -> Option<&'static str> {
    match flavour {
        Flavour::LevelDb => leveldb(code),
        Flavour::RocksDb => rocksdb(code),
    }
}

fn leveldb(_: Code) -> Option<&'static str> {
    None
}

fn rocksdb(_: Code) -> Option<&'static str> {
    None
}
