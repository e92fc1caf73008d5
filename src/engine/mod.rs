//! The three engines: small, correct stores that write the newest on-disk form of the teaching engines and open what those
//! wrote. `replay --into` builds one of them from a recovered state, and crash tests take them through every disk image that
//! a crash could leave.
//!
//! Each stands over a [`storage::Storage`], one directory of named files, so that the same code runs on a real file system
//! and on one that loses what was not synced. What the originals do wrong and these do right is said at the top of each.

pub mod btree;
pub mod storage;

use std::io;

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
