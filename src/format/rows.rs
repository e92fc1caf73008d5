//! Rows of tables that the pages of a log hold, as any format tells them.

use crate::log::record::Record;

/// What has become of a row since, by the newest committed state that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there with these values.
    Live,
    /// It is there with other values.
    Superseded,
    /// It is not there any more.
    Deleted,
    /// It was written and never committed.
    Uncommitted,
}

impl State {
    /// Every one of them.
    pub const ALL: [State; 4] = [State::Live, State::Superseded, State::Deleted, State::Uncommitted];

    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Superseded => "superseded",
            State::Deleted => "deleted",
            State::Uncommitted => "uncommitted",
        }
    }
}

/// A value. Of rows as they are told, text is UTF-8 as far as it is text at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A double.
    Real(f64),
    /// Text.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell<'a> {
    /// The column; `None`: nothing names it.
    pub column: Option<&'a str>,
    /// The value, or its beginning.
    pub value: Value<'a>,
    /// Bytes of all of it as it is stored, where it was cut.
    pub cut: Option<u64>,
}

/// One row, as it stands on one page.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<'a> {
    /// Offset of its cell in the file.
    pub at: u64,
    /// Bytes of the cell.
    pub len: u64,
    /// The record that the page is in; `None`: the page is the database's own.
    pub record: Option<&'a Record>,
    /// Of which generation the log was then.
    pub generation: Option<i64>,
    /// Page number.
    pub page: u32,
    /// The table; `None`: nothing tells.
    pub table: Option<&'a str>,
    /// The rowid, in tables that have one.
    pub rowid: Option<i64>,
    /// The values that could be had.
    pub cells: &'a [Cell<'a>],
    /// All bytes of the row were there.
    pub whole: bool,
    /// Pages that may be of another moment tell which table it is of, or hold a part of it.
    pub assumed: bool,
    /// `None`: that cannot be told.
    pub state: Option<State>,
}

/// Which rows are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Only this table.
    pub table: Option<&'a str>,
    /// Only this page.
    pub page: Option<u64>,
    /// Bytes of a text or blob that are wanted at the most.
    pub most: usize,
}
