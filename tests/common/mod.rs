//! What the tests share: encoders written from the byte tables of the formats' documents and not from the decoders,
//! damage that knows which records it touches, and a random generator whose seed a failing test prints.
//!
//! A new format needs a line in [`samples`]; without one `properties.rs` fails.
#![allow(dead_code)]

pub mod bitcask;
pub mod block_log;
pub mod btree;
pub mod damage;
pub mod database;
pub mod image;
pub mod journal;
pub mod judge;
pub mod liar;
pub mod log;
pub mod lsm;
pub mod random;
pub mod read;
pub mod run;
pub mod sqlite;
pub mod tree;
pub mod wal;

use block_log::Variety;
use log::Log;
use random::Random;

/// One kind of log that a format can hold: a revision, or a revision with the side files that go with it.
pub struct Sample {
    /// Name of the format, as in its profile.
    pub format: &'static str,
    /// What distinguishes it from the other samples of the format.
    pub name: &'static str,
    /// Writes about this many records; the same random numbers give the same bytes.
    pub write: fn(&mut Random, usize) -> Log,
}

/// Every kind of log there is an encoder for.
pub fn samples() -> Vec<Sample> {
    let sample = |format, name, write| Sample { format, name, write };
    vec![
        sample("ddia-wal", "v1", |r, n| wal::sample(r, n, wal::Revision::V1)),
        sample("ddia-wal", "v2", |r, n| wal::sample(r, n, wal::Revision::V2)),
        sample("ddia-lsm", "r1", |r, n| lsm::sample(r, n, false)),
        sample("ddia-lsm", "r2", |r, n| lsm::sample(r, n, true)),
        sample("bitcask-hash", "r1", |r, n| bitcask::hash_sample(r, n, false)),
        sample("bitcask-hash", "r2", |r, n| bitcask::hash_sample(r, n, true)),
        sample("bitcask-log", "segments", bitcask::log_sample),
        sample("ddia-btree", "r1", |r, n| btree::sample(r, n, btree::Revision::R1)),
        sample("ddia-btree", "r2", |r, n| btree::sample(r, n, btree::Revision::R2)),
        sample("ddia-btree", "r3", |r, n| btree::sample(r, n, btree::Revision::R3)),
        sample("sqlite-wal", "little-endian", |r, n| sqlite::sample(r, n, false, false)),
        sample("sqlite-wal", "big-endian", |r, n| sqlite::sample(r, n, true, false)),
        sample("sqlite-wal", "restarted", |r, n| sqlite::sample(r, n, false, true)),
        sample("sqlite-journal", "hot", |r, n| journal::sample(r, n, 512, false)),
        sample("sqlite-journal", "hot, large sectors", |r, n| journal::sample(r, n, 4096, false)),
        sample("sqlite-journal", "hot, last segment not synced", |r, n| journal::sample(r, n, 512, true)),
        sample("sqlite-journal", "over", journal::finished),
        sample("leveldb", "several logs", |r, n| block_log::sample(r, n, Variety::Level)),
        sample("leveldb", "long values", |r, n| block_log::sample(r, n, Variety::LevelLong)),
        sample("rocksdb", "column families", |r, n| block_log::sample(r, n, Variety::Rocks)),
        sample("rocksdb", "recycled", |r, n| block_log::sample(r, n, Variety::Recycled)),
        sample("rocksdb", "recycled, long values", |r, n| block_log::sample(r, n, Variety::RecycledLong)),
        sample("rocksdb", "compressed", |r, n| block_log::sample(r, n, Variety::Packed)),
        sample("rocksdb", "transactions", |r, n| block_log::sample(r, n, Variety::Prepared)),
    ]
}

/// The samples of the formats that are registered; encoders may be ahead of the decoders.
pub fn known_samples() -> Vec<Sample> {
    let known = |s: &Sample| walmedic::format::ALL.iter().any(|f| f.profile().name == s.format);
    samples().into_iter().filter(known).collect()
}

/// Those of them that a repair writes.
pub fn mended_samples() -> Vec<Sample> {
    known_samples().into_iter().filter(|s| read::format(s.format).mends()).collect()
}
