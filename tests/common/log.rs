//! A log as it was written: files, and where each record lies.

use std::ops::Range;
use std::path::Path;

use super::random::Random;

/// A log in memory.
#[derive(Clone, Debug)]
pub struct Log {
    /// Name of its format.
    pub format: &'static str,
    /// Its revision, named where the bytes do not tell it.
    pub revision: Option<&'static str>,
    /// Its files, in the order written.
    pub files: Vec<File>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its records in order, damaged ones among them as long as anything of them is left.
    pub records: Vec<Written>,
    /// What each record was when it was written.
    pub originals: Vec<Vec<u8>>,
    /// Bytes were taken out of it or put into it, so that numbers no longer fit the places.
    pub shifted: bool,
    /// Bytes of it were copied: of two records with the same number either may be the stray one, and what lies between
    /// the two copies falls with the choice.
    pub copied: bool,
    /// A length or number of a record was changed.
    pub changed_field: bool,
    /// A length was changed and leads to the start of another record, or to the end of the file.
    pub leads_astray: bool,
    /// How many damages were done to it.
    pub damages: usize,
    /// What a reader can promise about it.
    pub promise: Promise,
    /// Where a record's length and number fields lie.
    pub fields: &'static [Field],
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it lies now.
    pub span: Range<usize>,
    /// Every byte is as it was written, and nothing was put between them.
    pub whole: bool,
}

/// What a reader can promise when records are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A checksum and the lengths prove each record: no other is lost, and nothing else is taken for one.
    Proved,
    /// The checksum leaves out so much that damage may look like a record; still none that it did not touch is lost.
    Lossless,
    /// Only structure speaks for a record: it is believed behind damage where so many are chained, and some beside the
    /// damage may be lost with it.
    Beside {
        /// Neighbours.
        lost: usize,
        /// Links.
        chain: usize,
    },
    /// Not a log: only tiled.
    Tiled,
}

impl Promise {
    /// That of logs without a checksum.
    pub const BESIDE: Promise = Promise::Beside { lost: 1, chain: 5 };
}

/// A numeric field outside the checksum.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a length, else a number.
    pub length: bool,
    /// Its offset in the record.
    pub offset: fn(&[u8]) -> usize,
    /// Its bytes.
    pub width: usize,
    /// Byte order.
    pub big_endian: bool,
}

impl Field {
    /// Whether the record has it; marks are shorter than records.
    pub fn in_record(&self, record: &[u8]) -> bool {
        record.len() > 8 && (self.offset)(record) + self.width <= record.len()
    }

    /// Reads it.
    pub fn get(&self, record: &[u8]) -> u64 {
        let at = (self.offset)(record);
        let bytes = &record[at..at + self.width];
        let add = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// Writes it, as many low bytes as it has.
    pub fn set(&self, record: &mut [u8], value: u64) {
        let at = (self.offset)(record);
        let bytes = value.to_le_bytes();
        for (i, slot) in record[at..at + self.width].iter_mut().enumerate() {
            *slot = bytes[if self.big_endian { self.width - 1 - i } else { i }];
        }
    }
}

impl File {
    /// An empty file.
    pub fn new(name: impl Into<String>, promise: Promise, fields: &'static [Field]) -> File {
        File {
            name: name.into(),
            bytes: Vec::new(),
            records: Vec::new(),
            originals: Vec::new(),
            shifted: false,
            copied: false,
            changed_field: false,
            leads_astray: false,
            damages: 0,
            promise,
            fields,
        }
    }

    /// Appends a record.
    pub fn push(&mut self, record: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.records.push(Written { span: from..self.bytes.len(), whole: true });
        self.originals.push(record.to_vec());
    }

    /// Appends bytes that are no record.
    pub fn push_framing(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

impl Log {
    /// A log without files.
    pub fn new(format: &'static str, revision: Option<&'static str>) -> Log {
        Log { format, revision, files: Vec::new() }
    }

    /// Records in all files.
    pub fn records(&self) -> usize {
        self.files.iter().map(|f| f.records.len()).sum()
    }

    /// The index of a file that has records, at random; prefers long ones.
    pub fn any_file(&self, random: &mut Random) -> usize {
        let total: usize = self.files.iter().map(|f| f.bytes.len()).sum();
        let mut at = random.below(total);
        for (i, f) in self.files.iter().enumerate() {
            if at < f.bytes.len() {
                return i;
            }
            at -= f.bytes.len();
        }
        0
    }

    /// Writes its files into a directory.
    pub fn store(&self, dir: &Path) {
        std::fs::create_dir_all(dir).expect("a directory for the log");
        for f in &self.files {
            std::fs::write(dir.join(&f.name), &f.bytes).expect("a file of the log");
        }
    }
}
