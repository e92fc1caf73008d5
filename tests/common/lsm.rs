//! Encoder of the LSM tree: `wal.log` and `sst_NNNNNN.sst`, all big-endian.
//!
//! ```text
//! log r1   key_len u32 | key | val_len u32 | value
//! log r2   crc u32 | r1 record; the checksum covers all of it
//! table    r1 records, keys ascending | index: key_len u32 | key | offset u64, of every 16th | index_at u64 | count u32
//! ```

use std::collections::BTreeMap;

use super::log::{Field, File, Log, Promise};
use super::random::Random;

const R1: &[Field] = &[
    Field { name: "key_len", length: true, offset: |_| 0, width: 4, big_endian: true },
    Field { name: "val_len", length: true, offset: |r| 4 + be32(r, 0), width: 4, big_endian: true },
];
const R2: &[Field] = &[
    Field { name: "key_len", length: true, offset: |_| 4, width: 4, big_endian: true },
    Field { name: "val_len", length: true, offset: |r| 8 + be32(r, 4), width: 4, big_endian: true },
];

fn be32(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

/// A record of a table, or of a log of the first revision.
pub fn plain(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((key.len() as u32).to_be_bytes());
    out.extend(key);
    out.extend((value.len() as u32).to_be_bytes());
    out.extend(value);
    out
}

/// A record of a log of the second revision.
pub fn checked(key: &[u8], value: &[u8]) -> Vec<u8> {
    let plain = plain(key, value);
    [&crc32fast::hash(&plain).to_be_bytes()[..], &plain].concat()
}

/// A log with these pairs; an empty value deletes.
pub fn log_file(pairs: &[(Vec<u8>, Vec<u8>)], crc: bool) -> File {
    let (promise, fields) = if crc { (Promise::Proved, R2) } else { (Promise::BESIDE, R1) };
    let mut file = File::new("wal.log", promise, fields);
    for (k, v) in pairs {
        file.push(&if crc { checked(k, v) } else { plain(k, v) });
    }
    file
}

/// Values and short keys of a table may be what damage made of others: it takes a longer chain to be believed.
const TABLE: Promise = Promise::Beside { lost: 1, chain: 8 };

/// A table with these pairs.
pub fn table_file(number: usize, pairs: &BTreeMap<Vec<u8>, Vec<u8>>, interval: usize) -> File {
    let mut file = File::new(format!("sst_{number:06}.sst"), TABLE, R1);
    let mut index = Vec::new();
    let mut count = 0u32;
    for (i, (k, v)) in pairs.iter().enumerate() {
        if i % interval == 0 {
            index.extend((k.len() as u32).to_be_bytes());
            index.extend(k);
            index.extend((file.bytes.len() as u64).to_be_bytes());
            count += 1;
        }
        file.push(&plain(k, v));
    }
    let footer_start = file.bytes.len() as u64;
    file.push_framing(&index);
    file.push_framing(&footer_start.to_be_bytes());
    file.push_framing(&count.to_be_bytes());
    file
}

/// Two tables and a log.
pub fn sample(random: &mut Random, records: usize, crc: bool) -> Log {
    let mut log = Log::new("ddia-lsm", Some(if crc { "r2" } else { "r1" }));
    for number in 0..2 {
        let pairs = (0..records / 2 + 1).map(|i| (key(random, i), value(random))).collect();
        log.files.push(table_file(number, &pairs, 4));
    }
    let pairs: Vec<_> = (0..records).map(|i| (key(random, i), value(random))).collect();
    log.files.push(log_file(&pairs, crc));
    log
}

fn key(random: &mut Random, i: usize) -> Vec<u8> {
    let len = random.within(1, 8);
    [format!("k{i:03}-").into_bytes(), random.text(len)].concat()
}

fn value(random: &mut Random) -> Vec<u8> {
    let len = if random.once_in(6) { 0 } else { random.within(1, 20) };
    random.text(len)
}
