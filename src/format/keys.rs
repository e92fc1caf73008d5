//! What records do to keys, and what may lie below a log that changes them.

use std::borrow::Cow;

use crate::format::merge::Merger;
use crate::format::{Entry, Part};
use crate::log::conclude::Place;

/// One change of the state, told by places, so that nothing is read that nobody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The record that decides.
    pub place: Place,
    /// The key.
    pub key: Part,
    /// Its value; `None`: the key is deleted, or cannot be had any more.
    pub value: Option<Part>,
    /// The change itself, where its bytes were at hand: of pages that are cut short or padded, or of records in fragments,
    /// they lie nowhere in one piece. It counts more than the places.
    pub given: Option<Given>,
}

/// A change with its own bytes; see [`Taken`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The key; of a range of keys the first.
    pub key: Vec<u8>,
    /// What becomes of it.
    pub effect: Effect<Vec<u8>>,
}

/// What a change does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<V> {
    /// It gets this value.
    Put(V),
    /// It is gone.
    Delete,
    /// This operand is merged into its value, by whatever rule the store was made with.
    Merge(V),
    /// It and all keys behind it are gone, up to this one, which is not.
    DeleteRange(V),
    /// It gets these columns; the one without a name is its value.
    Entity(V),
    /// It gets a value that lies in a file of its own; this says where.
    Blob(V),
}

impl<'e> Effect<&'e [u8]> {
    /// What an operation does to its key.
    pub fn of(entry: &Entry<'e>) -> Self {
        let value = entry.value.unwrap_or_default();
        match entry.op {
            "DELETE" | "SINGLE_DELETE" => Effect::Delete,
            "MERGE" => Effect::Merge(value),
            "DELETE_RANGE" => Effect::DeleteRange(entry.end.unwrap_or_default()),
            "PUT_ENTITY" => Effect::Entity(value),
            "BLOB_INDEX" => Effect::Blob(value),
            _ => Effect::Put(value),
        }
    }
}

impl<V> Effect<V> {
    /// The same over a borrowed value.
    pub fn as_ref(&self) -> Effect<&V> {
        match self {
            Effect::Put(value) => Effect::Put(value),
            Effect::Delete => Effect::Delete,
            Effect::Merge(operand) => Effect::Merge(operand),
            Effect::DeleteRange(end) => Effect::DeleteRange(end),
            Effect::Entity(columns) => Effect::Entity(columns),
            Effect::Blob(at) => Effect::Blob(at),
        }
    }

    /// What it comes with: a value, an operand, the end of a range, columns.
    pub fn value(&self) -> Option<&V> {
        match self {
            Effect::Delete => None,
            Effect::Put(with)
            | Effect::Merge(with)
            | Effect::DeleteRange(with)
            | Effect::Entity(with)
            | Effect::Blob(with) => Some(with),
        }
    }

    /// The word of reports.
    pub fn word(&self) -> &'static str {
        match self {
            Effect::Put(_) => "PUT",
            Effect::Delete => "DELETE",
            Effect::Merge(_) => "MERGE",
            Effect::DeleteRange(_) => "DELETE_RANGE",
            Effect::Entity(_) => "PUT_ENTITY",
            Effect::Blob(_) => "BLOB_INDEX",
        }
    }

    /// The same over what `f` makes of its value.
    pub fn map<W>(self, f: impl FnOnce(V) -> W) -> Effect<W> {
        match self {
            Effect::Put(value) => Effect::Put(f(value)),
            Effect::Delete => Effect::Delete,
            Effect::Merge(operand) => Effect::Merge(f(operand)),
            Effect::DeleteRange(end) => Effect::DeleteRange(f(end)),
            Effect::Entity(columns) => Effect::Entity(f(columns)),
            Effect::Blob(at) => Effect::Blob(f(at)),
        }
    }
}

/// A column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its number, by which records name it.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// How its operands become values.
    pub merger: Merger,
}

impl Family {
    /// The name of the one with this number; of one that is not named, its number.
    pub fn name_of(all: &[Family], number: u32) -> Cow<'_, str> {
        match all.iter().find(|family| family.number == number) {
            Some(family) => Cow::Borrowed(&family.name),
            None => Cow::Owned(format!("#{number}")),
        }
    }

    /// The number of the one with this name; a number may stand for a name that nobody has.
    pub fn number_of(all: &[Family], name: &str) -> Option<u32> {
        let named = all.iter().find(|family| family.name == name).map(|family| family.number);
        named.or_else(|| name.strip_prefix('#').unwrap_or(name).parse().ok())
    }
}

/// A key as the state has it: behind the number of its column family, where the format has those.
pub fn state_key(family: Option<u32>, key: &[u8]) -> Cow<'_, [u8]> {
    match family {
        Some(family) => Cow::Owned([&family.to_be_bytes(), key].concat()),
        None => Cow::Borrowed(key),
    }
}

/// The family of a key of the state, where it has one, and the key as its users know it.
pub fn user_key(families: bool, key: &[u8]) -> (Option<u32>, &[u8]) {
    match key.split_first_chunk().filter(|_| families) {
        Some((number, key)) => (Some(u32::from_be_bytes(*number)), key),
        None => (None, key),
    }
}

/// Entries that are older than all of a log: those of the tables that the log goes on from.
pub trait Base {
    /// They in rising order of their keys, each key once. What is deleted is not among them. Memory must not follow their
    /// number: it is gone through several times, and none of it is kept.
    fn olders(&self) -> Olders<'_>;
}

/// See [`Base::olders`]; or why the next one cannot be read.
pub type Olders<'a> = Box<dyn Iterator<Item = Result<Older, String>> + 'a>;

/// What a key holds below a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// The key, as a state has it: behind the number of its family, where the format has those.
    pub key: Vec<u8>,
    /// Where it lies.
    pub place: Place,
    /// `Put`, `Entity` or `Blob`; `None`: there are only operands.
    pub value: Option<Effect<Vec<u8>>>,
    /// Operands that are not merged yet, the oldest first.
    pub operands: Vec<Vec<u8>>,
}
