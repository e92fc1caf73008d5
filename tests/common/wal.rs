//! Encoder of the standalone WAL.
//!
//! ```text
//! record_length u32 | crc u32 | seq u64 | op u8 | key_len i32 | key | val_len i32 | value      little-endian
//! ```

use super::log::{Field, File, Log, Promise};
use super::random::Random;

pub const PUT: u8 = 1;
pub const DELETE: u8 = 2;
pub const COMMIT: u8 = 3;
pub const CHECKPOINT: u8 = 4;
pub const BEGIN: u8 = 5;

pub const FIELDS: &[Field] = &[
    Field { name: "record_length", length: true, offset: |_| 0, width: 4, big_endian: false },
    Field { name: "seq", length: false, offset: |_| 8, width: 8, big_endian: false },
    Field { name: "key_len", length: true, offset: |_| 17, width: 4, big_endian: false },
    Field { name: "val_len", length: true, offset: val_len_at, width: 4, big_endian: false },
];

fn val_len_at(record: &[u8]) -> usize {
    21 + u32::from_le_bytes([record[17], record[18], record[19], record[20]]) as usize
}

/// One record.
pub fn record(seq: u64, op: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[op]);
    crc.update(key);
    crc.update(value);
    let mut out = Vec::with_capacity(25 + key.len() + value.len());
    out.extend(((21 + key.len() + value.len()) as u32).to_le_bytes());
    out.extend(crc.finalize().to_le_bytes());
    out.extend(seq.to_le_bytes());
    out.push(op);
    out.extend((key.len() as i32).to_le_bytes());
    out.extend(key);
    out.extend((value.len() as i32).to_le_bytes());
    out.extend(value);
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    V1,
    V2,
}

/// Writes as the engine does: numbers rise by one, and a file that has reached the limit is closed after the write.
pub struct Writer {
    revision: Revision,
    limit: usize,
    seq: u64,
    first_file: usize,
    log: Log,
}

fn name(file: usize) -> String {
    format!("{file:06}.wal")
}

impl Writer {
    pub fn new(revision: Revision, limit: usize) -> Writer {
        let named = (revision == Revision::V1).then_some("v1");
        let log = Log::new("ddia-wal", named);
        let mut writer = Writer { revision, limit, seq: 0, first_file: 1, log };
        writer.rotate();
        writer
    }

    /// Goes on with the next number, and with this one in the records.
    pub fn starting(mut self, file: usize, seq: u64) -> Writer {
        self.log.files[0].name = name(file);
        (self.first_file, self.seq) = (file, seq - 1);
        self
    }

    /// Closes the file and opens the next.
    pub fn rotate(&mut self) {
        let name = name(self.first_file + self.log.files.len());
        self.log.files.push(File::new(name, Promise::Proved, FIELDS));
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.log.files.len()
    }

    /// The number of the last record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    fn file(&mut self) -> &mut File {
        self.log.files.last_mut().expect("there is always one")
    }

    fn append(&mut self, op: u8, key: &[u8], value: &[u8]) {
        self.seq += 1;
        let bytes = record(self.seq, op, key, value);
        self.file().push(&bytes);
    }

    fn full(&mut self) {
        if self.file().bytes.len() >= self.limit {
            self.rotate();
        }
    }

    /// A record that stands alone.
    pub fn single(&mut self, op: u8, key: &[u8], value: &[u8]) {
        self.append(op, key, value);
        self.full();
    }

    pub fn put(&mut self, key: &str, value: &str) {
        self.single(PUT, key.as_bytes(), value.as_bytes());
    }

    /// A batch in one write. `committed`: else the machine stopped before the COMMIT reached the disk.
    pub fn batch(&mut self, members: &[(u8, &[u8], &[u8])], committed: bool) {
        if self.revision == Revision::V2 {
            self.append(BEGIN, b"", b"");
        }
        for (op, key, value) in members {
            self.append(*op, key, value);
        }
        if committed {
            self.append(COMMIT, b"", b"");
            self.full();
        }
    }

    /// The log as it lies on the disk.
    pub fn finish(self) -> Log {
        self.log
    }
}

/// Single writes, batches and checkpoints in a few files.
pub fn sample(random: &mut Random, records: usize, revision: Revision) -> Log {
    let mut writer = Writer::new(revision, records * 16 + 60);
    while (writer.seq as usize) < records {
        match random.below(8) {
            0 => writer.single(CHECKPOINT, b"", b""),
            1 => {
                let key = some_key(random);
                writer.single(DELETE, &key, b"");
            }
            2 => {
                let pairs: Vec<_> =
                    (0..random.within(1, 4)).map(|_| (some_key(random), some_value(random))).collect();
                let members: Vec<_> = pairs.iter().map(|(k, v)| (PUT, &k[..], &v[..])).collect();
                writer.batch(&members, true);
            }
            _ => {
                let (key, value) = (some_key(random), some_value(random));
                writer.single(PUT, &key, &value);
            }
        }
    }
    writer.finish()
}

fn some_key(random: &mut Random) -> Vec<u8> {
    let len = random.within(1, 9);
    random.text(len)
}

fn some_value(random: &mut Random) -> Vec<u8> {
    let len = random.below(20);
    random.text(len)
}

/// A log whose fifth record holds a whole log as its value, numbered from `inner_from`, as a client that stores logs
/// would write it.
pub fn embedded(random: &mut Random, inner_from: u64) -> Log {
    let inner: Vec<u8> = (0..4).flat_map(|i| text_record(random, inner_from + i)).collect();
    let mut writer = Writer::new(Revision::V2, 1 << 20);
    (0..4).for_each(|i| writer.put("before", &format!("value {i}")));
    writer.single(PUT, b"outer", &inner);
    (0..4).for_each(|i| writer.put("behind", &format!("value {i}")));
    writer.finish()
}

/// A record that is UTF-8 from end to end: values have to be, so an embedded log can have no other.
fn text_record(random: &mut Random, seq: u64) -> Vec<u8> {
    loop {
        let record = record(seq, PUT, b"inner", &some_value(random));
        if std::str::from_utf8(&record).is_ok() {
            return record;
        }
    }
}
