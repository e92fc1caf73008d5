//! The three engines: small, correct stores that write the newest on-disk form of the teaching engines and open what those
//! wrote. `replay --into` builds one of them from a recovered state, and crash tests take them through every disk image that
//! a crash could leave.
//!
//! Each stands over a [`storage::Storage`], one directory of named files, so that the same code runs on a real file system
//! and on one that loses what was not synced. What the originals do wrong and these do right is said at the top of each.
//! [`leveldb`] is none of them: it only writes a new database, for the engine of that name.

pub mod btree;
pub mod crash;
pub mod leveldb;
pub mod lsm;
pub mod storage;
pub mod wal;

use std::io;
use std::ops::{Bound, RangeBounds};

use crate::format::chain::zeros_end;
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Recovery;
use crate::log::region::Kind;
use storage::SECTOR;

/// Why an engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system failed; the engine refuses further writes until it is opened anew.
    #[error("{file}: {source}")]
    Io {
        /// The file in question.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The files hold something that no crash explains; nothing was changed. `walmedic repair` is for them.
    #[error("{file}, offset {at}: {what}; run walmedic repair on a copy")]
    Damaged {
        /// The file.
        file: String,
        /// Offset in it.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The engine cannot store such a key or value.
    #[error("{0}")]
    Refused(&'static str),
    /// An earlier write failed half-way: what is on disk is known only to a new open.
    #[error("an earlier write failed; open the store anew")]
    Poisoned,
}

/// What engines return.
pub type Result<T> = std::result::Result<T, Error>;

/// One change of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Sets a key.
    Put(&'a [u8], &'a [u8]),
    /// Deletes a key; one that is not there is no error.
    Delete(&'a [u8]),
}

impl<'a> Op<'a> {
    /// Key and value; of a deletion the value is empty.
    pub fn parts(&self) -> (&'a [u8], &'a [u8]) {
        match *self {
            Op::Put(key, value) => (key, value),
            Op::Delete(key) => (key, b""),
        }
    }
}

/// Refuses what the originals, which decode keys and values as UTF-8, could not read, and what is longer than `most` bytes.
fn text(key: &[u8], value: &[u8], most: usize) -> Result<()> {
    if key.len().saturating_add(value.len()) > most {
        return Err(Error::Refused("key and value are too long for one record"));
    }
    if std::str::from_utf8(key).is_err() || std::str::from_utf8(value).is_err() {
        return Err(Error::Refused("this engine holds only keys and values that are UTF-8"));
    }
    Ok(())
}

/// Turns what the system says of a file into an error that names it.
fn io_error(file: &str) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Io { file: file.to_owned(), source }
}

/// Whether a crash explains damage in a log that is only appended to: the file ends inside the record, or a whole sector of
/// what was being written never reached the disk and is zeros; that may be just the first bytes of a record, and all the rest
/// of it be there.
fn crash_explains(damage: &Recovery, reader: &mut Reader<'_>) -> bool {
    let (mut at, end) = (damage.from, damage.resume.min(reader.end()));
    while damage.kind != Kind::Torn && at < end {
        let next = (at / SECTOR + 1).saturating_mul(SECTOR).min(end);
        if zeros_end(reader, at) >= next {
            return true;
        }
        at = next;
    }
    damage.kind == Kind::Torn
}

/// Keys from one bound to another.
type KeyRange<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// The bounds of a range; `None` where nothing can lie between them.
fn bounds<'k>(range: &impl RangeBounds<&'k [u8]>) -> Option<KeyRange<'k>> {
    let (from, to) = (range.start_bound().cloned(), range.end_bound().cloned());
    let empty = match (from, to) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        _ => false,
    };
    (!empty).then_some((from, to))
}
