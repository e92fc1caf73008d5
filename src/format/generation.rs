//! Generations of a log that is begun anew in the same file: what is left of those before the live one.

/// One of them, or several in a row of which nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counted back from the live one, which is 0: the newest that is meant, and the oldest.
    pub newest: i64,
    /// See `newest`.
    pub oldest: i64,
    /// How often the log had been begun anew by the newest, where its header tells.
    pub restarts: Option<u32>,
    /// Records of it; `None`: all are written over.
    pub left: Option<Left>,
}

/// Records of an older generation, or of a branch of the live one, that lie behind the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Index of the file.
    pub file: usize,
    /// Where the first one stands.
    pub at: u64,
    /// The numbers of the first and the last, by their places.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Commits among them.
    pub commits: u64,
}
