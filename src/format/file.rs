//! The files of a log, as formats see them: the part each plays, and its bytes.

use std::any::Any;
use std::sync::OnceLock;

use crate::log::bytes::ReadAt;

/// The part a file plays in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Holds the records that count: a log, a segment, a data file that is appended to.
    Log,
    /// A sorted table, written at once.
    Table,
    /// Pages that the log is about.
    Pages,
    /// An index over a data file; never the truth.
    Hint,
    /// Names the files that belong together; holds no records.
    List,
    /// A log of another kind about the same pages, which the engine goes by as well.
    Companion,
}

impl Role {
    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Role::Log => "log",
            Role::Table => "table",
            Role::Pages => "pages",
            Role::Hint => "hint",
            Role::List => "list",
            Role::Companion => "companion",
        }
    }

    /// Whether its records are the log's own: an index or the pages behind it are not.
    pub fn counts(self) -> bool {
        matches!(self, Role::Log | Role::Table)
    }
}

/// What a format makes of a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The part it plays.
    pub role: Role,
    /// Its place among the files of the log; files of equal order follow by name.
    pub order: u64,
    /// The name is this format's alone, not just a pattern that others may use.
    pub exact: bool,
    /// The engine reads it. A left-over that it ignores is named in a note and otherwise left alone.
    pub read: bool,
}

/// One file of a log, open for reading.
pub struct LogFile<'a> {
    /// Name relative to the log.
    pub name: &'a str,
    /// See [`Claim`].
    pub claim: Claim,
    /// Its bytes.
    pub src: &'a dyn ReadAt,
    /// Of the whole log; `None` where nothing is kept.
    pub memo: Option<&'a Memo>,
    /// It came by standard input: what lies beside it was not given.
    pub stream: bool,
}

/// What a format found out about a log: a log is asked about several times, and its bytes need to be read for it once.
#[derive(Debug, Default)]
pub struct Memo(OnceLock<Box<dyn Any + Send + Sync>>);

impl Memo {
    /// What is kept; where nothing is yet, what `make` gives.
    pub fn get<T: Any + Send + Sync + Clone>(&self, make: impl Fn() -> T) -> T {
        let kept = self.0.get_or_init(|| Box::new(make()));
        kept.downcast_ref().cloned().unwrap_or_else(make)
    }
}

/// A file that is no log, and those that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it is; `None`: only its name speaks for it.
    pub what: Option<&'static str>,
    /// The names of the logs.
    pub logs: Vec<String>,
}
