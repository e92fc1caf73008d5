//! What a plan does to each file of a log.

use std::ops::Range;

/// What becomes of one file.
#[derive(Debug, Default)]
pub struct FilePlan {
    /// Its name as it is, and as it will be; `None`: it is left out.
    pub name: String,
    /// See `name`.
    pub to: Option<String>,
    /// Bytes it has, and will have.
    pub bytes: u64,
    /// See `bytes`.
    pub new_bytes: u64,
    /// What the file is made of, by the old one's bytes; empty where it stays as it is.
    pub edits: Vec<Listed>,
    /// Edits past the bound.
    pub unlisted: u64,
    /// Its contents are made anew from the recovered state.
    pub rebuilt: bool,
    /// Nothing is kept but so many bytes from its start.
    pub prefix: Option<u64>,
    /// Its contents change.
    pub changed: bool,
    /// All of its new contents, where they are made without its old ones.
    pub contents: Option<Vec<u8>>,
    /// SHA-256 of the file as it is; filled in by [`crate::repair::plan::Plan::bind`].
    pub sha256: Option<String>,
}

impl FilePlan {
    /// What happens to it.
    pub fn action(&self) -> Action {
        match (&self.to, self.changed) {
            (None, _) => Action::Remove,
            (Some(_), true) if self.rebuilt => Action::Rebuild,
            (Some(_), true) if self.prefix.is_some() => Action::Cut,
            (Some(_), true) => Action::Rewrite,
            (Some(to), false) if *to != self.name => Action::Rename,
            (Some(_), false) => Action::Keep,
        }
    }

    /// Whether anything happens to it.
    pub fn acts(&self) -> bool {
        self.action() != Action::Keep
    }
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Keep,
    /// Only its beginning is left.
    Cut,
    /// Its contents are changed by edits.
    Rewrite,
    /// Its contents are made anew.
    Rebuild,
    /// Only its name changes.
    Rename,
    /// It is left out.
    Remove,
}

impl Action {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Action::Keep => "keep",
            Action::Cut => "cut",
            Action::Rewrite => "rewrite",
            Action::Rebuild => "rebuild",
            Action::Rename => "rename",
            Action::Remove => "remove",
        }
    }
}

/// An edit as the plan tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What becomes of the bytes.
    pub what: Verb,
    /// Bytes of the old file.
    pub span: Range<u64>,
    /// Bytes of the new file that are not in the old one; left out where they are many.
    pub bytes: Vec<u8>,
    /// Their number.
    pub added: u64,
    /// Why they are left out.
    pub why: Option<String>,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// They are copied.
    Keep,
    /// They are left out.
    Drop,
    /// Others take their place.
    Patch,
    /// They are new.
    Insert,
}

impl Verb {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Keep => "keep",
            Verb::Drop => "drop",
            Verb::Patch => "patch",
            Verb::Insert => "insert",
        }
    }
}
