//! What formats have to say beside records: findings of their own, what lies between records, logs that were put away.

use super::LogFile;
use crate::log::finding::Code;
use crate::log::survey::Survey;

/// A finding that only this format can make: hints, tables, trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The code.
    pub code: Code,
    /// Index of the file.
    pub file: usize,
    /// Where, and how many bytes.
    pub at: u64,
    /// See `at`.
    pub len: u64,
    /// One sentence.
    pub message: String,
}

/// A file that has to lie beside a log, and does not, or not as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What there is to say of it.
    pub remark: Remark,
    /// The error with which no engine opens for that; `None`: they open.
    pub error: Option<String>,
}

/// What is no record, and yet says something: of the file, or of what only later versions know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// What it is, in the word of reports.
    pub op: &'static str,
    /// Which of those it is, where that is not known by a word.
    pub key: Option<String>,
    /// What it says.
    pub value: Vec<u8>,
}

/// A log in a directory below, where its engine puts what it does not read any more.
pub struct Away<'a> {
    /// It, by its name relative to the log.
    pub file: &'a LogFile<'a>,
    /// What is in it.
    pub survey: &'a Survey,
}

/// What a format says of a file that a recovery made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grade {
    /// Things wrong with its structure; 0: it is sound.
    pub problems: u64,
    /// The first of them.
    pub first: Vec<String>,
    /// Rows of all tables that can be reached.
    pub rows: u64,
}

/// A damaged 32-bit word that a checksum locates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its offset in the file.
    pub at: u64,
    /// Its bytes.
    pub found: [u8; 4],
    /// What they would have to be.
    pub inferred: [u8; 4],
    /// Of so many pieces of damage to several words, in the same bits as here, about one looks like this word's.
    pub odds: u64,
}
