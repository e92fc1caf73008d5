//! A SQLite database as its pages say it: what a page is, the rows on it, the tables they belong to, and whether all pages
//! together are sound. No log is known here and nothing is read: whoever asks gives the pages, of whatever moment
//! ([`Pages`]), so that the same code reads a database, a database under its log, and what an old log alone still holds.
//!
//! ```text
//! page 1      header of 100 bytes ([`header`]), then the root of the table of tables
//! b-tree page kind u8 | first free block u16 | cells u16 | content u16 | fragments u8 | right child u32 (interior only)
//!             | offset of each cell u16 | ... unused ... | cells                                            big-endian
//! cell        left child u32 (interior) | payload length varint (not in interior pages of tables) | rowid varint (tables)
//!             | payload, as much as fits | first overflow page u32 (if it does not fit)
//! payload     header length varint | type varint ... | values ...                                          ([`record`])
//! overflow    next page u32, 0: none | payload goes on
//! free trunk  next trunk u32 | leaves u32 | page number u32 ...
//! map page    of each page behind it: kind u8 | parent u32                                        (databases that vacuum)
//! ```
//! Tables with a rowid are b-trees of integers with all rows in the leaves; indexes and tables without rowid are b-trees
//! of records with rows on every page. A page of neither kind does not say what it is: the lists that lead to it do.

pub mod check;
pub mod files;
pub mod header;
pub mod history;
pub mod kinds;
pub mod layout;
pub mod order;
pub mod owners;
pub mod page;
pub mod record;
pub mod row;
pub mod rows;
pub mod schema;
pub mod sql;
pub mod tree;
pub mod twins;

#[cfg(test)]
mod tests;

use self::check::{Checked, check};
use crate::format::Grade;
use crate::log::bytes::ReadAt;

/// The pages of a database at one moment.
pub trait Pages {
    /// Bytes of a page.
    fn page_bytes(&self) -> u32;
    /// Pages that the database has; none beyond is ever asked for.
    fn count(&self) -> u32;
    /// The image of a page, numbered from 1, [`Pages::page_bytes`] long; `None`: it cannot be had.
    fn page(&mut self, number: u32) -> Option<&[u8]>;
}

/// A database file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    bytes: &'a [u8],
    page_bytes: u32,
}

impl<'a> Whole<'a> {
    /// `None` where the header names no page size.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        Some(Whole { bytes, page_bytes: header::page_bytes(bytes)? })
    }
}

impl Pages for Whole<'_> {
    fn page_bytes(&self) -> u32 {
        self.page_bytes
    }

    fn count(&self) -> u32 {
        u32::try_from(self.bytes.len() / self.page_bytes as usize).unwrap_or(u32::MAX)
    }

    fn page(&mut self, number: u32) -> Option<&[u8]> {
        let from = (number.checked_sub(1)? as usize).checked_mul(self.page_bytes as usize)?;
        self.bytes.get(from..)?.get(..self.page_bytes as usize)
    }
}

/// The pages of a file that is read where it is asked for.
pub struct PagesOf<'a> {
    file: &'a dyn ReadAt,
    page: Vec<u8>,
}

impl<'a> PagesOf<'a> {
    /// `None` where the header names no page size, or cannot be read.
    pub fn new(file: &'a dyn ReadAt) -> Option<Self> {
        let mut head = [0; 100];
        let n = file.read_at(0, &mut head).ok()?;
        Some(PagesOf { file, page: vec![0; header::page_bytes(&head[..n])? as usize] })
    }
}

impl Pages for PagesOf<'_> {
    fn page_bytes(&self) -> u32 {
        // No page is longer than 64 KiB.
        self.page.len() as u32
    }

    fn count(&self) -> u32 {
        u32::try_from(self.file.size() / self.page.len() as u64).unwrap_or(u32::MAX)
    }

    fn page(&mut self, number: u32) -> Option<&[u8]> {
        let at = u64::from(number.checked_sub(1)?) * self.page.len() as u64;
        let n = self.file.read_at(at, &mut self.page).ok()?;
        (n == self.page.len()).then_some(&self.page)
    }
}

impl Grade {
    /// Of a SQLite database; `None`: it is none.
    pub fn of_sqlite(file: &dyn ReadAt) -> Option<Grade> {
        let Checked { problems, first, rows, .. } = check(&mut PagesOf::new(file)?);
        Some(Grade { problems, first, rows })
    }
}

/// The number at `at`, big-endian.
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// The number at `at`, big-endian.
pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}
