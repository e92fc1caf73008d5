//! Encoder of the logs and the MANIFEST of LevelDB and RocksDB.
//!
//! ```text
//! fragment    crc u32 | length u16 | type u8 | [log number u32] | payload      none crosses the end of a block of 32 KiB
//! batch       sequence u64 | count u32 | operations                           little-endian
//! operation   tag u8 | [family varint] | strings, each behind its length as a varint
//! ```

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::log::{Field, File, Log, Promise};
use super::random::Random;

pub const BLOCK: usize = 32 << 10;

pub const FIELDS: &[Field] =
    &[Field { name: "length", length: true, offset: |_| 4, width: 2, big_endian: false }];

/// The type of the first fragment that says how records are compressed.
pub const COMPRESSION: u8 = 9;
/// That of widths of timestamps by column family.
pub const TIMESTAMP_SIZES: u8 = 10;
/// That of the log before.
pub const PREDECESSOR: u8 = 130;

pub fn name(number: u64) -> String {
    format!("{number:06}.log")
}

fn crc(kind_and_rest: &[u8]) -> [u8; 4] {
    crc32c::crc32c(kind_and_rest).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// One fragment. `log`: its number, in a recyclable header.
pub fn fragment(kind: u8, log: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let mut covered = vec![kind];
    covered.extend(log.iter().flat_map(|log| log.to_le_bytes()));
    covered.extend(payload);
    let len = (payload.len() as u16).to_le_bytes();
    [&crc(&covered)[..], &len, &covered].concat()
}

pub fn varint(mut n: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// An operation: its tag and, in the variants for column families, the number of one; then its strings.
pub fn operation(tag: u8, family: Option<u32>, strings: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(family.iter().flat_map(|&family| varint(family)));
    for string in strings {
        out.extend(varint(string.len() as u32));
        out.extend_from_slice(string);
    }
    out
}

pub fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    operation(1, None, &[key, value])
}

pub fn batch(seq: u64, count: u32, operations: &[u8]) -> Vec<u8> {
    [&seq.to_le_bytes()[..], &count.to_le_bytes(), operations].concat()
}

/// Writes one file as the engines do.
pub struct Writer {
    pub file: File,
    /// The number of the next operation.
    pub seq: u64,
    log: Option<u32>,
    packed: bool,
}

impl Writer {
    /// A log with this number; its first operation has the number `seq`. `recyclable`: its headers carry its own number.
    pub fn new(number: u64, recyclable: bool, seq: u64) -> Writer {
        let file = File::new(name(number), Promise::Proved, FIELDS);
        Writer { file, seq, log: recyclable.then_some(number as u32), packed: false }
    }

    /// The catalogue with this number.
    pub fn manifest(number: u64) -> Writer {
        let file = File::new(format!("MANIFEST-{number:06}"), Promise::Proved, FIELDS);
        Writer { file, seq: 0, log: None, packed: false }
    }

    fn header(&self) -> usize {
        if self.log.is_some() { 11 } else { 7 }
    }

    /// Bytes up to the end of the block.
    pub fn left(&self) -> usize {
        BLOCK - self.file.bytes.len() % BLOCK
    }

    /// Fills the block with zeros if fewer than `need` bytes are left in it.
    fn pad(&mut self, need: usize) {
        let left = self.left();
        if left < need {
            self.file.push_framing(&vec![0; left]);
        }
    }

    /// Where no header fits in behind a record, the zeros that fill its block belong to it: as many as a cut leaves, or as by
    /// chance stood there before.
    fn push(&mut self, record: &[u8]) {
        self.file.push(record);
        let left = self.left();
        if left < self.header() {
            let padded = (1..=left).rev().map(|zeros| [record, &vec![0; zeros]].concat());
            self.file.originals.splice(0..0, padded);
        }
    }

    /// What is never cut, and says something about the file.
    pub fn aside(&mut self, kind: u8, payload: &[u8]) {
        let aside = fragment(kind, None, payload);
        self.pad(aside.len());
        self.file.push_framing(&aside);
    }

    /// All records from here on are compressed.
    pub fn pack(&mut self) {
        self.aside(COMPRESSION, &7u32.to_le_bytes());
        self.packed = true;
    }

    /// A record, in as many fragments as it takes.
    pub fn record(&mut self, contents: &[u8]) {
        let packed = self.packed.then(|| compress_to_vec(contents, CompressionLevel::Fastest));
        let mut rest = packed.as_deref().unwrap_or(contents);
        self.pad(self.header());
        let (mut record, mut left, mut first) = (Vec::new(), self.left(), true);
        loop {
            if left < self.header() {
                record.extend(vec![0; left]);
                left = BLOCK;
            }
            let (piece, behind) = rest.split_at(rest.len().min(left - self.header()));
            let kind = match (first, behind.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let recyclable = if self.log.is_some() { 4 } else { 0 };
            record.extend(fragment(kind + recyclable, self.log, piece));
            left -= self.header() + piece.len();
            (rest, first) = (behind, false);
            if rest.is_empty() {
                return self.push(&record);
            }
        }
    }

    /// A batch that is given the next numbers.
    pub fn batch(&mut self, operations: &[Vec<u8>]) {
        self.batch_of(operations, operations.len() as u32, operations.len() as u64);
    }

    /// The same where `count` operations are counted and `numbers` given out.
    pub fn batch_of(&mut self, operations: &[Vec<u8>], count: u32, numbers: u64) {
        let batch = batch(self.seq, count, &operations.concat());
        self.record(&batch);
        self.seq += numbers;
    }

    pub fn put(&mut self, key: &str, value: &str) {
        self.batch(&[put(key.as_bytes(), value.as_bytes())]);
    }

    /// A transaction that is prepared: what its commit has to be told.
    pub fn prepare(&mut self, xid: &[u8], operations: &[Vec<u8>]) -> u64 {
        let mut all = vec![operation(0x09, None, &[])];
        all.extend(operations.iter().cloned());
        all.push(operation(0x0a, None, &[xid]));
        self.batch_of(&all, operations.len() as u32, 0);
        operations.len() as u64
    }

    pub fn commit(&mut self, xid: &[u8], prepared: u64) {
        self.batch_of(&[operation(0x0b, None, &[xid])], 0, prepared);
    }

    pub fn roll_back(&mut self, xid: &[u8]) {
        self.batch_of(&[operation(0x0c, None, &[xid])], 0, 0);
    }

    /// Puts so long a value that `left` bytes are left in the block.
    pub fn put_up_to(&mut self, key: &str, left: usize) {
        let around = self.header() + batch(0, 0, &put(key.as_bytes(), &[b'v'; 300])).len() - 300;
        let room = self.left().saturating_sub(left);
        if room > around + 300 {
            self.batch(&[put(
                key.as_bytes(),
                &vec![b'v'; room - around - usize::from(room - around > 0x3fff)],
            )]);
        }
    }
}

/// What kind of log a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variety {
    /// Puts and deletes in several logs, with their MANIFEST.
    Level,
    /// The same with long values: records in fragments, and ends of blocks of every length.
    LevelLong,
    /// Column families and every kind of operation in several logs, with their MANIFEST.
    Rocks,
    /// Written over an older log, part of which is left.
    Recycled,
    /// The same with long values.
    RecycledLong,
    /// Compressed.
    Packed,
    /// Transactions of two phases.
    Prepared,
}

impl Variety {
    fn rocks(self) -> bool {
        !matches!(self, Variety::Level | Variety::LevelLong)
    }

    fn long(self) -> bool {
        matches!(self, Variety::LevelLong | Variety::RecycledLong)
    }
}

/// A log of about so many records.
pub fn sample(random: &mut Random, records: usize, variety: Variety) -> Log {
    use Variety::*;
    let mut log = Log::new(if variety.rocks() { "rocksdb" } else { "leveldb" }, None);
    let first = 1 + random.next() % 1000;
    match variety {
        Level | Rocks | Prepared => several(random, records, variety, first, &mut log),
        LevelLong | Packed => {
            let mut writer = Writer::new(4, false, first);
            if variety == Packed {
                writer.pack();
            }
            fill(random, records, variety, &mut writer);
            log.files.push(writer.file);
        }
        Recycled | RecycledLong => log.files.push(recycled(random, records, variety, first)),
    }
    log
}

/// Three logs and what says that they are live.
fn several(random: &mut Random, records: usize, variety: Variety, first: u64, log: &mut Log) {
    let mut seq = first;
    for number in [4, 8, 12] {
        let mut writer = Writer::new(number, false, seq);
        if variety == Variety::Rocks {
            // Of a family that has been dropped.
            writer.aside(TIMESTAMP_SIZES, &[9, 0, 0, 0, 8, 0]);
        }
        fill(random, records.div_ceil(3), variety, &mut writer);
        seq = writer.seq;
        log.files.push(writer.file);
    }
    let mut manifest = Writer::manifest(5);
    manifest.record(&[&[1, 26][..], b"leveldb.BytewiseComparator"].concat());
    let last = varint(first as u32 - 1);
    manifest.record(&[&[2, 4, 9, 0, 3, 13, 4][..], &last].concat());
    for family in 1..=2 {
        let named = [&[200, 1, family, 201, 1, 3][..], b"cf", &[b'0' + family]].concat();
        if variety.rocks() {
            manifest.record(&named);
            manifest.record(&[200, 1, family, 2, 4]);
        }
    }
    log.files.extend([manifest.file, current(5)]);
}

/// What names the catalogue.
pub fn current(manifest: u64) -> File {
    let mut file = File::new("CURRENT", Promise::Tiled, &[]);
    file.push_framing(format!("MANIFEST-{manifest:06}\n").as_bytes());
    file
}

/// A log over an older one that was longer.
fn recycled(random: &mut Random, records: usize, variety: Variety, first: u64) -> File {
    let mut old = Writer::new(7, true, first);
    let mut new = Writer::new(12, true, first + 5000);
    fill(random, records, variety, &mut new);
    while old.file.records.len() < 4
        || old.file.records.iter().nth_back(2).is_some_and(|r| r.span.start < new.file.bytes.len())
    {
        fill(random, 2, Variety::Recycled, &mut old);
    }
    let older = &old.file.bytes[new.file.bytes.len()..];
    new.file.push_framing(older);
    new.file
}

fn fill(random: &mut Random, records: usize, variety: Variety, writer: &mut Writer) {
    let mut open: Vec<(Vec<u8>, u64)> = Vec::new();
    for i in 0..records {
        let prepares = variety == Variety::Prepared;
        match random.below(10) {
            0..=2 if prepares => {
                // No two of a store that are open have the same name.
                let xid = format!("{} {i}", writer.file.name).into_bytes();
                let operations = operations(random, variety);
                let numbers = writer.prepare(&xid, &operations);
                open.push((xid, numbers));
            }
            3 | 4 if prepares && !open.is_empty() => {
                let (xid, numbers) = open.remove(random.below(open.len()));
                writer.commit(&xid, numbers);
            }
            5 if prepares && !open.is_empty() => {
                let (xid, _) = open.remove(random.below(open.len()));
                writer.roll_back(&xid);
            }
            6 if variety.long() => long(random, writer),
            7 if variety.long() => writer.put_up_to("fills its block", random.below(13)),
            8 if random.once_in(2) => writer.batch(&[]),
            _ => {
                let operations = operations(random, variety);
                writer.batch(&operations);
            }
        }
        if variety.long() && i == 1 {
            long(random, writer);
        }
    }
}

/// A value of 4 KiB to 100 KiB, the shorter the likelier.
fn long(random: &mut Random, writer: &mut Writer) {
    let most = 4096 << random.below(5);
    let value = random.bytes(random.clone().within(4096, most.min(100 << 10) + 1));
    writer.batch(&[put(b"long", &value)]);
}

fn operations(random: &mut Random, variety: Variety) -> Vec<Vec<u8>> {
    (0..random.within(1, 4)).map(|_| any_operation(random, variety)).collect()
}

fn any_operation(random: &mut Random, variety: Variety) -> Vec<u8> {
    let key = random.text(random.clone().within(1, 9));
    let value = random.text(random.clone().below(24));
    let family = Some(random.below(3) as u32);
    if !variety.rocks() {
        return if random.once_in(4) { operation(0, None, &[&key]) } else { put(&key, &value) };
    }
    match random.below(14) {
        0 => operation(0x00, None, &[&key]),
        1 => operation(0x04, family, &[&key]),
        2 => operation(0x02, None, &[&key, &value]),
        3 => operation(0x06, family, &[&key, &value]),
        4 => operation(0x07, None, &[&key]),
        5 => operation(0x08, family, &[&key]),
        6 => operation(0x0f, None, &[&key, &[&key[..], b"z"].concat()]),
        7 => operation(0x0e, family, &[&key, &[&key[..], b"z"].concat()]),
        8 | 9 => operation(0x05, family, &[&key, &value]),
        _ => put(&key, &value),
    }
}
