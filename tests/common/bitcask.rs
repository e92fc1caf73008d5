//! Encoders of both Bitcasks.
//!
//! ```text
//! hash r1   timestamp f64 | key_size u32 | value_size u32 | key | value                        little-endian
//! hash r2   crc u32 | r1 record; the checksum covers key and value only
//! hash hint file_id u32 | offset u64 | record_size u32 | timestamp f64 | key_size u32 | key    little-endian
//! log       crc u32 | key_size u32 | value_size u32 | key | value; checksum as above           big-endian
//! log hint  key_size u32 | offset u32 | key                                                    big-endian
//! ```

use super::log::{Field, File, Log, Promise};
use super::random::Random;

const HASH_R1: &[Field] = &[
    Field { name: "timestamp", length: false, offset: |_| 0, width: 8, big_endian: false },
    Field { name: "key_size", length: true, offset: |_| 8, width: 4, big_endian: false },
    Field { name: "value_size", length: true, offset: |_| 12, width: 4, big_endian: false },
];
const HASH_R2: &[Field] = &[
    Field { name: "timestamp", length: false, offset: |_| 4, width: 8, big_endian: false },
    Field { name: "key_size", length: true, offset: |_| 12, width: 4, big_endian: false },
    Field { name: "value_size", length: true, offset: |_| 16, width: 4, big_endian: false },
];
const LOG: &[Field] = &[
    Field { name: "key_size", length: true, offset: |_| 4, width: 4, big_endian: true },
    Field { name: "value_size", length: true, offset: |_| 8, width: 4, big_endian: true },
];

/// What a deletion stores as its value in the log Bitcask.
pub const TOMBSTONE: &[u8] = b"__BITCASK_TOMBSTONE__";

/// When the first record is written, in seconds since 1970.
pub const START: f64 = 1_780_000_000.25;

fn crc(key: &[u8], value: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize()
}

/// A record of the hash Bitcask.
pub fn hash_record(time: f64, key: &[u8], value: &[u8], with_crc: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if with_crc {
        out.extend(crc(key, value).to_le_bytes());
    }
    out.extend(time.to_le_bytes());
    out.extend((key.len() as u32).to_le_bytes());
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(key);
    out.extend(value);
    out
}

/// A record of the log Bitcask.
pub fn log_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(crc(key, value).to_be_bytes());
    out.extend((key.len() as u32).to_be_bytes());
    out.extend((value.len() as u32).to_be_bytes());
    out.extend(key);
    out.extend(value);
    out
}

/// Key, value and time of a record.
pub type Entry = (Vec<u8>, Vec<u8>, f64);

/// `N.data`.
pub fn hash_file(number: usize, entries: &[Entry], with_crc: bool) -> File {
    let (promise, fields) = if with_crc { (Promise::Lossless, HASH_R2) } else { (Promise::BESIDE, HASH_R1) };
    let mut file = File::new(format!("{number}.data"), promise, fields);
    for (k, v, t) in entries {
        file.push(&hash_record(*t, k, v, with_crc));
    }
    file
}

/// `N.hint` over the records of `data`; the last record of each key.
pub fn hash_hint(number: usize, data: &File, entries: &[Entry]) -> File {
    let mut file = File::new(format!("{number}.hint"), Promise::Tiled, &[]);
    for (i, (key, _, time)) in entries.iter().enumerate() {
        if entries[i + 1..].iter().any(|(later, ..)| later == key) {
            continue;
        }
        let span = &data.records[i].span;
        let mut out = Vec::new();
        out.extend((number as u32).to_le_bytes());
        out.extend((span.start as u64).to_le_bytes());
        out.extend((span.len() as u32).to_le_bytes());
        out.extend(time.to_le_bytes());
        out.extend((key.len() as u32).to_le_bytes());
        out.extend(key);
        file.push(&out);
    }
    file
}

/// `segment_NNNNNN.dat`.
pub fn log_file(number: usize, entries: &[Entry]) -> File {
    let mut file = File::new(format!("segment_{number:06}.dat"), Promise::Lossless, LOG);
    entries.iter().for_each(|(k, v, _)| file.push(&log_record(k, v)));
    file
}

/// `segment_NNNNNN.hint`.
pub fn log_hint(number: usize, data: &File, entries: &[Entry]) -> File {
    let mut file = File::new(format!("segment_{number:06}.hint"), Promise::Tiled, &[]);
    for (i, (key, ..)) in entries.iter().enumerate() {
        if entries[i + 1..].iter().any(|(later, ..)| later == key) {
            continue;
        }
        let mut out = Vec::new();
        out.extend((key.len() as u32).to_be_bytes());
        out.extend((data.records[i].span.start as u32).to_be_bytes());
        out.extend(key);
        file.push(&out);
    }
    file
}

/// Entries as a client writes them, a fraction of a second apart.
pub fn entries(random: &mut Random, n: usize, from: usize, tombstone: &[u8]) -> Vec<Entry> {
    let mut one = |i: usize| {
        let key = format!("key{:02}", random.below(40)).into_bytes();
        let len = random.within(1, 24);
        let value = if random.once_in(8) { tombstone.to_vec() } else { random.text(len) };
        (key, value, START + (from + i) as f64 * 0.25)
    };
    (0..n).map(&mut one).collect()
}

/// A merged file with its hint, an older file and the active one.
pub fn hash_sample(random: &mut Random, records: usize, with_crc: bool) -> Log {
    let mut log = Log::new("bitcask-hash", Some(if with_crc { "r2" } else { "r1" }));
    let each = records / 3 + 1;
    for number in 0..3 {
        let written = entries(random, each, number * each, b"");
        let data = hash_file(number, &written, with_crc);
        if number == 0 {
            log.files.push(hash_hint(number, &data, &written));
        }
        log.files.push(data);
    }
    log
}

/// The same for the log Bitcask.
pub fn log_sample(random: &mut Random, records: usize) -> Log {
    let mut log = Log::new("bitcask-log", None);
    let each = records / 3 + 1;
    for number in 0..3 {
        let written = entries(random, each, number * each, TOMBSTONE);
        let data = log_file(number, &written);
        if number == 0 {
            log.files.push(log_hint(number, &data, &written));
        }
        log.files.push(data);
    }
    log
}
