//! What an engine makes of a log when it opens it.

use super::Part;

/// What the engine would hold after its next open, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it opens at all.
    pub opens: bool,
    /// The error it would die with, in its own words.
    pub error: Option<String>,
    /// It neither opens nor refuses, but reads the same bytes for ever.
    pub hangs: bool,
    /// Nobody knows whether it opens: finding out would take more than is followed. The error says why.
    pub unknown: bool,
    /// Records that change something and that it applies.
    pub records: u64,
    /// Records that it reads and has no need to apply: what they change is in its tables.
    pub settled: u64,
    /// Commits that it goes by, in formats with transactions.
    pub transactions: u64,
    /// Where it matters what opens it.
    pub opening: Option<Opening>,
    /// Places from which on it does not take over records any more, for the fates in `dump`.
    pub halts: Vec<Halt>,
    /// The database file that opening leaves, in logs of pages over one; told only with the changes.
    pub image: Option<Image>,
}

/// What an outcome is about, where an engine can be opened in two ways that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The way that the outcome is about, in the engine's words.
    pub by: &'static str,
    /// The other one.
    pub other: &'static str,
    /// What would come of that.
    pub otherwise: Box<Outcome>,
}

impl Outcome {
    /// The engine does not open, so nothing is taken over.
    pub fn refused(error: String) -> Outcome {
        let halts = vec![Halt { file: 0, at: 0, for_good: true, to: u64::MAX }];
        Outcome { error: Some(error), halts, ..Outcome::default() }
    }

    /// `told` of this outcome, if anything is known of what the engine does.
    pub fn known<T>(&self, told: T) -> Option<T> {
        (!self.unknown).then_some(told)
    }
}

/// A file as it would be: an old one, cut or filled with zeros to a length, with patches over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Index of the old file; `None`: there is none.
    pub base: Option<usize>,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes of a page, as far as the files tell.
    pub page_bytes: u32,
    /// Rising and apart from each other.
    pub patches: Vec<Patch>,
}

/// Bytes of an [`Image`] that are not the old file's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Offset, and number of bytes.
    pub at: u64,
    /// See `at`.
    pub len: u64,
    /// They begin with these; the rest are zeros.
    pub fill: Fill,
}

/// Where the bytes of a [`Patch`] come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// From a file of the log.
    Part(Part),
    /// They are these.
    Bytes(Vec<u8>),
}

/// Where an engine stops reading, or what it leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Index of the file.
    pub file: usize,
    /// Offset in it.
    pub at: u64,
    /// It reads no later file either.
    pub for_good: bool,
    /// Where it goes on; `u64::MAX`: nowhere in this file.
    pub to: u64,
}
