//! Encoder of SQLite's rollback journal. All fields big-endian.
//!
//! ```text
//! header  magic 8 bytes | count u32 | nonce u32 | pages u32 | sector u32 | page size u32 | zeros up to the sector's end
//! record  page u32 | old page image | sum u32
//! ```
//! The sum is the nonce and, of the image, each 200th byte from its end, without the first one.

use super::log::{Field, File, Log, Promise};
use super::random::Random;
use super::sqlite::{database, page};

pub const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

const FIELDS: &[Field] = &[Field { name: "page", length: false, offset: |_| 0, width: 4, big_endian: true }];

/// A record is proved by the nonce of its segment, which two of them prove where the header does not.
const PROMISE: Promise = Promise::Beside { lost: 0, chain: 2 };

/// What a journal looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub page_bytes: usize,
    pub sector: usize,
    /// Pages in the database before the transaction.
    pub pages: u32,
}

impl Shape {
    /// A header with as many records behind it; `synced`: it has its magic number and its count.
    pub fn header(self, count: u32, nonce: u32, synced: bool) -> Vec<u8> {
        let mut out = if synced { MAGIC.to_vec() } else { vec![0; 8] };
        let fields =
            [if synced { count } else { 0 }, nonce, self.pages, self.sector as u32, self.page_bytes as u32];
        out.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
        out.resize(self.sector, 0);
        out
    }

    /// A record.
    pub fn record(self, number: u32, nonce: u32, image: &[u8]) -> Vec<u8> {
        assert_eq!(image.len(), self.page_bytes);
        let sampled = (1..).map(|n| self.page_bytes as i64 - 200 * n).take_while(|at| *at > 0);
        let sum = sampled.fold(nonce, |sum, at| sum.wrapping_add(u32::from(image[at as usize])));
        [&number.to_be_bytes()[..], image, &sum.to_be_bytes()].concat()
    }

    /// Appends a segment about these pages, in the sector behind what is there.
    pub fn segment(self, file: &mut File, nonce: u32, numbers: &[u32], sort: Sort) {
        let padding = file.bytes.len().next_multiple_of(self.sector) - file.bytes.len();
        file.push_framing(&vec![0; padding]);
        file.push_framing(&self.header(numbers.len() as u32, nonce, sort == Sort::Synced));
        for &number in numbers {
            let record = self.record(number, nonce, &old(number, self));
            if sort == Sort::Synced { file.push(&record) } else { file.push_framing(&record) }
        }
    }

    /// What ends a journal that is tied to others.
    pub fn trailer(self, name: &str) -> Vec<u8> {
        let sum = name.bytes().fold(0u32, |sum, b| sum.wrapping_add_signed(i32::from(b as i8)));
        let lock_page = (1u32 << 30) / self.page_bytes as u32 + 1;
        let len = name.len() as u32;
        [&lock_page.to_be_bytes()[..], name.as_bytes(), &len.to_be_bytes(), &sum.to_be_bytes(), &MAGIC]
            .concat()
    }
}

/// Whether a segment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Synced,
    Unsynced,
}

/// A page as it was before the transaction.
pub fn old(number: u32, shape: Shape) -> Vec<u8> {
    let mut page = page(number, 1, shape.page_bytes);
    if number == 1 {
        page[28..32].copy_from_slice(&shape.pages.to_be_bytes());
        page[92..96].copy_from_slice(&1u32.to_be_bytes());
    }
    page
}

/// A journal without records.
pub fn journal() -> File {
    File::new("app.db-journal", PROMISE, FIELDS)
}

/// A database and a hot journal of about so many records. `sector`: of the journal; `tail`: a last segment was never
/// synced.
pub fn sample(random: &mut Random, records: usize, sector: usize, tail: bool) -> Log {
    let shape = Shape { page_bytes: 512, sector, pages: records.max(1) as u32 + 3 };
    let mut numbers: Vec<u32> = (1..=shape.pages).collect();
    for i in (1..numbers.len()).rev() {
        numbers.swap(i, random.below(i + 1));
    }
    numbers.truncate(records.max(1));
    let mut file = journal();
    let mut rest = &numbers[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.within(2, 6).min(rest.len()));
        shape.segment(&mut file, random.next() as u32 | 1, now, Sort::Synced);
        rest = later;
    }
    if tail {
        shape.segment(&mut file, random.next() as u32 | 1, &[1, 2], Sort::Unsynced);
    }
    let mut log = Log::new("sqlite-journal", None);
    log.files.push(database(shape.pages, shape.page_bytes));
    log.files.push(file);
    log
}

/// The same of a transaction that is over: the header is zeroed.
pub fn finished(random: &mut Random, records: usize) -> Log {
    let mut log = sample(random, records, 512, false);
    let file = &mut log.files[1];
    file.bytes[..28].fill(0);
    file.records.clear();
    file.originals.clear();
    log
}
