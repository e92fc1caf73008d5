//! What a family's tables hold for each key: its newest value, or the merge operands down to one.

use super::merged::{Merged, MergedError};
use super::{Item, TableError, kind};

/// Operands of one key that are held; more of them are an error.
const OPERANDS_MAX: usize = 256 << 20;

/// A value as a table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The value itself.
    Plain(Vec<u8>),
    /// Where it is: see [`super::blob`].
    Blob(Vec<u8>),
    /// Named columns.
    Columns(Vec<u8>),
}

/// What holds for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value.
    Value(Value),
    /// The key was deleted, by itself or in a range.
    Deleted,
    /// Only the merge operator knows what these add up to.
    Merge {
        /// Operands, the newest first.
        operands: Vec<Vec<u8>>,
        /// What they are to be applied to.
        base: Option<Value>,
    },
}

/// A key that has at least one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The user's key.
    pub key: Vec<u8>,
    /// Sequence number of what decided: the newest version, or the range deletion over it.
    pub sequence: u64,
    /// What holds.
    pub content: Content,
}

/// Walks through the keys of a family.
pub struct Keys<'a> {
    merged: Merged<'a>,
    group: Option<Group>,
}

/// A key whose older versions are still to come.
struct Group {
    key: Vec<u8>,
    sequence: u64,
    content: Content,
    /// Older versions change nothing any more.
    settled: bool,
    held: usize,
}

impl<'a> Keys<'a> {
    /// The keys in the order of `merged`, which stands before its first version.
    pub fn new(merged: Merged<'a>) -> Keys<'a> {
        Keys { merged, group: None }
    }
}

impl Iterator for Keys<'_> {
    type Item = Result<Visible, MergedError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let version = match self.merged.next() {
                None => return self.group.take().map(|group| Ok(group.done())),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(version)) => version,
            };
            let item = version.item;
            let done = match &mut self.group {
                Some(group) if group.key == item.key => {
                    let fits = group.add(item, version.deleted_by);
                    if !fits {
                        let what = format!("the merge operands of one key pass {OPERANDS_MAX} bytes");
                        return Some(Err(MergedError { table: 0, error: TableError::new(0, what) }));
                    }
                    continue;
                }
                group => group.replace(Group::new(item, version.deleted_by)),
            };
            if let Some(done) = done {
                return Some(Ok(done.done()));
            }
        }
    }
}

impl Group {
    fn new(item: Item<'_>, deleted_by: Option<u64>) -> Group {
        let content = Content::Merge { operands: Vec::new(), base: None };
        let sequence = deleted_by.unwrap_or(0).max(item.sequence);
        let mut group = Group { key: item.key.to_vec(), sequence, content, settled: false, held: 0 };
        group.add(item, deleted_by);
        group
    }

    /// Adds an older version; false if that is more than is held.
    fn add(&mut self, item: Item<'_>, deleted_by: Option<u64>) -> bool {
        let Content::Merge { operands, base } = &mut self.content else { return true };
        if self.settled {
            return true;
        }
        let bytes = || item.value.to_vec();
        if item.kind == kind::MERGE && deleted_by.is_none() {
            self.held = self.held.saturating_add(item.value.len() + size_of::<Vec<u8>>());
            if self.held > OPERANDS_MAX {
                self.settled = true;
                return false;
            }
            operands.push(bytes());
            return true;
        }
        self.settled = true;
        let value = match item.kind {
            _ if deleted_by.is_some() => None,
            kind::BLOB_INDEX => Some(Value::Blob(bytes())),
            kind::WIDE_COLUMNS => Some(Value::Columns(bytes())),
            kind::TIMED_VALUE => {
                let len = item.value.len().saturating_sub(8);
                Some(Value::Plain(item.value[..len].to_vec()))
            }
            kind::VALUE => Some(Value::Plain(bytes())),
            _ => None,
        };
        match value {
            value if !operands.is_empty() => *base = value,
            Some(value) => self.content = Content::Value(value),
            None => self.content = Content::Deleted,
        }
        true
    }

    fn done(self) -> Visible {
        Visible { key: self.key, sequence: self.sequence, content: self.content }
    }
}
