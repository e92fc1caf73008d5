//! What a format adds to the writing of logs: records at other places, records that are new, what closes a file or ties its
//! records together.

use std::ops::Range;

use super::Entry;
use crate::log::record::{Fix, Record};

/// Writes records anew, where their form depends on the place at which they stand.
pub trait Framer {
    /// Whether a record can stand as it is at the offset `to` of the new file, which then is the place it is copied to. `bytes`:
    /// of a very long one only the first.
    fn keeps(&mut self, record: &Record, bytes: &[u8], to: u64) -> bool;

    /// Appends a record as it is to be at the offset `at`; with these contents, if any are given.
    fn record(&mut self, record: &Record, contents: Option<&[u8]>, at: u64, out: &mut Vec<u8>);

    /// Appends what of the framing in this span of the old file is still needed.
    fn framing(&mut self, span: Range<u64>, at: u64, out: &mut Vec<u8>);

    /// Appends what states that these numbers are missing in front of a record, or at the end of the file.
    fn gap(&mut self, first: u64, last: u64, next: Option<&Record>, at: u64, out: &mut Vec<u8>);
}

/// A key and its value that are to be written as a new record.
#[derive(Clone, Copy, Debug)]
pub struct Fresh<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The record's number, in formats that have one.
    pub seq: u64,
    /// Bits of its timestamp, in formats that have one.
    pub time: u64,
    /// No other record is written.
    pub alone: bool,
}

/// That a record was written, or why none can say that.
pub type Put = Result<(), &'static str>;

/// Files that a repair makes anew: the pages from the recovered state, and an empty log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anew {
    /// The file of the pages.
    pub file: &'static str,
    /// What they make up.
    pub store: Store,
}

/// What pages make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The tree of the teaching engine, which `engine::btree` fills.
    BTree,
}

/// Makes what stands behind the records of a file: an index, a footer.
pub trait Seal {
    /// The next record stands at this offset of the new file.
    fn record(&mut self, at: u64, entry: &Entry<'_>);

    /// The records end at `end`; appends what follows them.
    fn finish(self: Box<Self>, end: u64, out: &mut Vec<u8>);
}

/// Ties records together again, where each carries a sum over all those before it.
pub trait Link {
    /// Length of the old file's header, and what the new one begins with, unless that is the same.
    fn header(&self) -> (u64, Option<Vec<u8>>);

    /// The fields of the next record that depend on the ones before it.
    fn record(&mut self, record: &[u8]) -> [Option<Fix>; 2];
}
