//! What the bytes say when they are not a record: small, `Copy`, always with an offset. Wording lives here, once.

use std::fmt;

/// Something is wrong at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Absolute offset of the record or field at fault.
    pub at: u64,
    /// What is wrong.
    pub cause: Cause,
}

/// Why bytes are not an intact record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Bytes up to offset `need` are wanted; the driver reads on or, at the end of the file, calls it a torn tail.
    Short {
        /// Absolute offset that has to be reached.
        need: u64,
    },
    /// The stored checksum is not the computed one.
    Checksum {
        /// As found in the record.
        stored: u32,
        /// Over the bytes as they are.
        computed: u32,
    },
    /// A length contradicts the other lengths, the limits of the format or the end of the file.
    Length {
        /// As found.
        found: u64,
        /// What the other fields say it should be; `u64::MAX` when they say nothing.
        expected: u64,
    },
    /// A record kind the format does not have.
    Kind(u8),
    /// A sequence number, timestamp or page number that cannot be right here.
    Number {
        /// As found.
        found: u64,
        /// What the neighbours say it should be; `u64::MAX` when they say nothing.
        expected: u64,
    },
    /// Zeros where a record should be.
    Zeros,
    /// A field that must be text is not UTF-8.
    Text,
    /// The named part breaks a rule of the format.
    Malformed(&'static str),
    /// A torn record was left in place and the engine wrote on behind it.
    TornThenAppended,
    /// The system could not read the bytes.
    Unreadable,
    /// No damage: what the engine leaves behind the end of the log and does not read.
    Behind(Behind),
}

/// What lies behind the end of a log that is written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Records of an older generation.
    Generation,
    /// Records of a transaction that never committed, their start written over or changed since.
    Uncommitted,
    /// Committed records that the log once went on with, before an engine that could not read them took another way.
    Branch,
    /// Records of a transaction that is over.
    Finished,
    /// Records on which nothing depends yet: they were written and never synced.
    Unsynced,
}

impl Cause {
    /// The class word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Short { .. } => "short",
            Cause::Checksum { .. } => "checksum",
            Cause::Length { .. } => "length",
            Cause::Kind(_) => "kind",
            Cause::Number { .. } => "number",
            Cause::Zeros => "zeros",
            Cause::Text => "text",
            Cause::Malformed(_) => "malformed",
            Cause::TornThenAppended => "torn-then-appended",
            Cause::Unreadable => "unreadable",
            Cause::Behind(Behind::Generation) => "older-generation",
            Cause::Behind(Behind::Uncommitted) => "uncommitted",
            Cause::Behind(Behind::Branch) => "lost-branch",
            Cause::Behind(Behind::Finished) => "finished",
            Cause::Behind(Behind::Unsynced) => "unsynced",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cause::Short { need } => {
                write!(f, "the record would reach to {need}, behind the end of the file")
            }
            Cause::Checksum { stored, computed } => {
                write!(f, "checksum {stored:08x} stored, {computed:08x} computed")
            }
            Cause::Length { found, expected: u64::MAX } => write!(f, "impossible length {found}"),
            Cause::Length { found, expected } => {
                write!(f, "length {found}, the other fields say {expected}")
            }
            Cause::Kind(kind) => write!(f, "no record kind {kind}"),
            Cause::Number { found, expected: u64::MAX } => write!(f, "impossible number {found}"),
            Cause::Number { found, expected } => {
                write!(f, "number {found}, the neighbours say {expected}")
            }
            Cause::Zeros => write!(f, "zero-filled"),
            Cause::Text => write!(f, "text that is not UTF-8"),
            Cause::Malformed(what) => write!(f, "malformed {what}"),
            Cause::TornThenAppended => write!(f, "a torn record, and records written behind it"),
            Cause::Unreadable => write!(f, "the system could not read these bytes"),
            Cause::Behind(Behind::Generation) => write!(f, "of an older generation"),
            Cause::Behind(Behind::Uncommitted) => write!(f, "of a transaction that never committed"),
            Cause::Behind(Behind::Branch) => {
                write!(f, "of a lost branch: the log has gone on from an earlier commit since")
            }
            Cause::Behind(Behind::Finished) => write!(f, "of a transaction that is over"),
            Cause::Behind(Behind::Unsynced) => {
                write!(f, "never synced: the change it was written for had not begun")
            }
        }
    }
}
