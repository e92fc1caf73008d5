//! A segment's header, one record and the name of a super-journal, as bytes say them; what they mean is told elsewhere.

use super::{HEADER, MAGIC};
use crate::format::sqlite::header::is_page_size;
use crate::log::bytes::Bytes;

/// Length of a header without the rest of its sector.
pub const HEAD: u64 = HEADER.fixed();
const _: () = assert!(HEAD == 28 && HEADER.offset("pages") == 16);

/// A count that says: the records go on to the end of the file.
pub const TO_THE_END: u32 = u32::MAX;
/// Where the page lies that SQLite locks; it holds no data, and no record is about it.
const LOCKED: u64 = 1 << 30;
/// Each byte so far from the end of a page, and each multiple of it, goes into the checksum.
const SAMPLED: usize = 200;
/// So many wrong bits do not make a header look like another kind.
const FEW: u32 = 3;
/// What stands behind the name of a super-journal: length, checksum, magic number.
const TRAILER: u64 = 16;
/// No name of a super-journal is longer (the engine's `mxPathname`).
const LONGEST: u64 = 512;

/// What a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It has been synced: its records are to be rolled back.
    Live,
    /// Written and not synced yet: the database has not been touched for its records.
    Unsynced,
    /// Zeros: the transaction is over, and the file was kept.
    Finished,
    /// Of an older journal; its first byte has been cleared so that nobody takes it for this one's.
    Cleared,
    /// Anything else.
    Damaged,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    magic: [u8; 8],
    /// Records behind it; see [`TO_THE_END`].
    pub count: u32,
    /// Where the checksums of its records begin.
    pub nonce: u32,
    /// Pages in the database before the transaction.
    pub pages: u32,
    /// Bytes of a sector.
    pub sector: u32,
    /// Bytes of a page; 0 in journals of very old engines.
    pub page_bytes: u32,
}

impl Header {
    /// Reads it.
    pub fn of(bytes: &[u8; HEAD as usize]) -> Header {
        let field = |at: usize| big(&bytes[at..at + 4]);
        let magic = *bytes.first_chunk().expect("a header is longer than its magic number");
        let [count, nonce, pages, sector, page_bytes] = [8, 12, 16, 20, 24].map(field);
        Header { magic, count, nonce, pages, sector, page_bytes }
    }

    /// Reads the one at `at`.
    pub fn at<B: Bytes>(b: &mut B, at: u64) -> Option<Header> {
        b.array(at).ok().map(|bytes| Header::of(&bytes))
    }

    /// See [`Sort`].
    pub fn sort(&self) -> Sort {
        let rest = [self.nonce, self.pages, self.sector, self.page_bytes];
        let wrong = u64::from_be_bytes(self.magic).count_ones() + self.count.count_ones();
        if self.magic == MAGIC {
            Sort::Live
        } else if self.magic[0] == 0 && self.magic[1..] == MAGIC[1..] {
            Sort::Cleared
        } else if wrong + rest.iter().map(|field| field.count_ones()).sum::<u32>() <= FEW {
            Sort::Finished
        } else if wrong <= FEW && self.shape().is_some() {
            Sort::Unsynced
        } else {
            Sort::Damaged
        }
    }

    /// What it says records look like, unless that is impossible.
    pub fn shape(&self) -> Option<Shape> {
        let (page_bytes, sector) = (u64::from(self.page_bytes), u64::from(self.sector));
        (is_page_size(page_bytes) && self.sector_is_legal()).then_some(Shape { page_bytes, sector })
    }

    /// The same with another page size.
    pub fn with_pages_of(self, page_bytes: u32) -> Header {
        Header { page_bytes, ..self }
    }

    /// Whether it gives a size of sectors that the engine takes.
    pub fn sector_is_legal(&self) -> bool {
        self.sector.is_power_of_two() && (32..=1 << 16).contains(&self.sector)
    }

    /// Whether it can be another header of the same journal: all of them say the same of the database.
    pub fn resembles(&self, other: &Header) -> bool {
        let same = [
            self.pages == other.pages,
            self.sector == other.sector,
            self.page_bytes == other.page_bytes,
            self.magic == MAGIC,
        ];
        let told = self.sector != 0 || self.page_bytes != 0;
        told && same.iter().filter(|same| **same).count() >= 2
    }
}

/// What records have in common, and how headers are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// A header stands at a multiple of this, and is padded to it.
    pub sector: u64,
}

impl Shape {
    /// Length of a record.
    pub fn stride(self) -> u64 {
        self.page_bytes + 8
    }

    /// Where the next header can stand.
    pub fn boundary(self, at: u64) -> u64 {
        at.checked_next_multiple_of(self.sector).unwrap_or(u64::MAX)
    }

    /// The page that no record is about.
    pub fn lock_page(self) -> u32 {
        (LOCKED / self.page_bytes) as u32 + 1
    }

    /// The number of the page that a record is about, and the nonce with which its checksum holds.
    pub fn slot(self, record: &[u8]) -> Option<(u32, u32)> {
        let page_bytes = self.page_bytes as usize;
        let page = record.get(4..4 + page_bytes)?;
        let stored = big(record.get(4 + page_bytes..8 + page_bytes)?);
        let sampled = (1..).map_while(|n| page_bytes.checked_sub(n * SAMPLED)).take_while(|at| *at > 0);
        let sum = sampled.fold(0u32, |sum, at| sum.wrapping_add(u32::from(page[at])));
        Some((big(&record[..4]), stored.wrapping_sub(sum)))
    }

    /// The same for the record at `at`.
    pub fn slot_at<B: Bytes>(self, b: &mut B, at: u64) -> Option<(u32, u32)> {
        b.piece(at..at.checked_add(self.stride())?).ok().and_then(|record| self.slot(record))
    }
}

/// The name of a super-journal at the end of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Where it begins.
    pub at: u64,
    /// Where the name stands.
    pub name: (u64, u64),
}

impl Trailer {
    /// The one that a file ends in, if it is sound.
    pub fn of<B: Bytes>(b: &mut B, page_bytes: Option<u64>) -> Option<Trailer> {
        let tail = b.end().checked_sub(TRAILER)?;
        let bytes: [u8; TRAILER as usize] = b.array(tail).ok()?;
        let (len, sum) = (u64::from(big(&bytes[..4])), big(&bytes[4..8]));
        if bytes[8..] != MAGIC || len == 0 || len > LONGEST {
            return None;
        }
        let from = tail.checked_sub(len)?;
        // The engine sums bytes with a sign.
        let signed = |sum: u32, b: &u8| sum.wrapping_add_signed(i32::from(*b as i8));
        if b.piece(from..tail).ok()?.iter().fold(0, signed) != sum {
            return None;
        }
        let lock_page = page_bytes.map(|page_bytes| Shape { page_bytes, sector: 1 }.lock_page());
        let marked = from.checked_sub(4).filter(|&at| b.array(at).map(u32::from_be_bytes).ok() == lock_page);
        Some(Trailer { at: marked.unwrap_or(from), name: (from, tail) })
    }
}

/// The file name at the end of a path, as a super-journal or another journal is named.
pub fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/' || *b == b'\\').next().unwrap_or(path)
}

/// Whether a file of this name is a super-journal: `X-mj`, six digits, `9`, two digits, all hexadecimal.
pub fn is_super_journal(name: &[u8]) -> bool {
    let Some((database, tail)) = name.split_last_chunk::<12>() else { return false };
    let digits = tail[3..].iter().all(u8::is_ascii_hexdigit);
    !database.is_empty() && tail.starts_with(b"-mj") && tail[9] == b'9' && digits
}

/// The number that four bytes spell.
pub fn big(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, &b| n << 8 | u32::from(b))
}
