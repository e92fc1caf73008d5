//! The live keys that a replay leaves. Memory follows them, not the log: small values are kept, large ones stay where they
//! are and are read again when wanted, and past a limit the keys move to an embedded store in an unnamed temporary file.
//!
//! A deleted range touches no key when it comes: it is noted, and entries from then on carry a stamp that says how many came
//! before. What it hides, what operands amount to and what shows through from below the log is found when the state is gone
//! through ([`layers`]).

mod chain;
mod layers;
mod ranges;
mod row;
mod store;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;

use anyhow::{Context, Result};
use hashbrown::{DefaultHashBuilder, HashTable};
use redb::Database;

use crate::format::entity;
use crate::format::keys::Base;
use crate::format::merge::Merger;
use crate::format::{Effect, Family, Part};
use crate::log::conclude::Place;
use chain::{Chain, Operand};
use layers::Layers;
use ranges::Range;
use row::{BLOB, BYTES, CHAIN, DELETED, ENTITY, Entry, KIND, MERGE, OVERHEAD, PLACED, STAMPED, file_of};

/// Longer values stay in the log.
pub const INLINE: u64 = 64 << 10;

/// A value, at hand or to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Its bytes.
    Bytes(Cow<'a, [u8]>),
    /// Where it lies in the log.
    Placed(Part),
    /// Columns; the value is the one without a name.
    Entity(Cow<'a, [u8]>),
    /// It lies in a file of blobs, which is not read; this says where.
    Blob(Cow<'a, [u8]>),
    /// Nobody knows how it is merged.
    Unmerged(Box<Unmerged<'a>>),
}

/// What would have to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmerged<'a> {
    /// The value below; `None`: there is none.
    pub base: Option<Value<'a>>,
    /// What is to be merged into it, the oldest first.
    pub operands: Vec<Cow<'a, [u8]>>,
}

impl Value<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Value<'static> {
        let owned = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        match self {
            Value::Bytes(bytes) => Value::Bytes(owned(bytes)),
            Value::Placed(part) => Value::Placed(part),
            Value::Entity(columns) => Value::Entity(owned(columns)),
            Value::Blob(at) => Value::Blob(owned(at)),
            Value::Unmerged(unmerged) => Value::Unmerged(Box::new(Unmerged {
                base: unmerged.base.map(Value::into_owned),
                operands: unmerged.operands.into_iter().map(owned).collect(),
            })),
        }
    }

    /// Whether it can be told.
    pub fn is_known(&self) -> bool {
        match self {
            Value::Bytes(_) | Value::Placed(_) => true,
            Value::Entity(columns) => entity::plain(columns).is_some(),
            Value::Blob(_) | Value::Unmerged(_) => false,
        }
    }
}

/// A live key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// Its value.
    pub value: Value<'a>,
    /// The record that set it.
    pub place: Place,
}

/// How operands are merged, by family.
#[derive(Default)]
struct Mergers(Vec<Family>);

impl Mergers {
    /// That of the family which a key begins with.
    fn of(&self, key: &[u8]) -> &Merger {
        let number = key.first_chunk().map(|b| u32::from_be_bytes(*b));
        let family = self.0.iter().find(|family| Some(family.number) == number);
        family.map_or(&Merger::Unknown, |family| &family.merger)
    }
}

/// Changes that wait to be made together. Each meets the table in another corner of memory: side by side those waits overlap,
/// one after the other they are most of a replay's time.
#[derive(Default)]
struct Waiting {
    /// What the entries will hold, back to back.
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// A change that waits; its bytes end at `end`.
struct Change {
    hash: u64,
    end: usize,
    key_len: u32,
    what: u32,
    at: u64,
}

impl Waiting {
    /// So many wait at most.
    const CHANGES: usize = 64;
    /// And so many bytes, give or take one entry.
    const BYTES: usize = 1 << 20;

    fn full(&self) -> bool {
        self.changes.len() >= Waiting::CHANGES || self.bytes.len() >= Waiting::BYTES
    }
}

/// The keys while a replay goes on.
pub struct State<'l> {
    table: HashTable<Entry>,
    hash: DefaultHashBuilder,
    waiting: Waiting,
    /// Keys with operands; they are not in the table.
    chains: HashMap<Box<[u8]>, Chain>,
    ranges: Vec<Range>,
    /// What entries are stamped with.
    stamp: u32,
    /// There have been ranges or operands.
    layered: bool,
    weight: u64,
    limit: u64,
    disk: Option<Database>,
    mergers: Mergers,
    base: Option<Box<dyn Base + 'l>>,
}

impl<'l> State<'l> {
    /// Nothing yet; from `limit` bytes on it moves to disk. `families`: how their operands are merged.
    pub fn new(limit: u64, families: Vec<Family>) -> State<'l> {
        State {
            table: HashTable::new(),
            hash: DefaultHashBuilder::default(),
            waiting: Waiting::default(),
            chains: HashMap::new(),
            ranges: Vec::new(),
            stamp: 0,
            layered: false,
            weight: 0,
            limit,
            disk: None,
            mergers: Mergers(families),
            base: None,
        }
    }

    /// The same over older entries; it must still be empty.
    pub fn over(self, base: Box<dyn Base + 'l>) -> State<'l> {
        State { base: Some(base), layered: true, ..self }
    }

    /// Makes a change.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn change(&mut self, key: &[u8], effect: &Effect<Value<'_>>, place: Place) -> Result<()> {
        match effect {
            Effect::Put(value) => self.put(key, value, place),
            Effect::Delete => self.delete(key),
            Effect::Merge(operand) => {
                self.layered = true;
                self.enter(key, MERGE, [at_hand(operand), &[]], place)
            }
            Effect::DeleteRange(end) => {
                self.delete_range(key, at_hand(end));
                Ok(())
            }
            Effect::Entity(columns) => self.enter(key, ENTITY, [at_hand(columns), &[]], place),
            Effect::Blob(at) => self.enter(key, BLOB, [at_hand(at), &[]], place),
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn put(&mut self, key: &[u8], value: &Value<'_>, place: Place) -> Result<()> {
        match value {
            Value::Placed(part) => {
                let len = part.span.end.saturating_sub(part.span.start);
                let (start, len) = (part.span.start.to_le_bytes(), len.to_le_bytes());
                self.enter(key, PLACED, [&start, &len], place)
            }
            value => self.enter(key, BYTES, [at_hand(value), &[]], place),
        }
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.enter(key, DELETED, [&[], &[]], Place { file: 0, at: 0 })
    }

    /// Deletes the keys from `start` on, up to `end`, which stays.
    fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        if start < end {
            self.layered = true;
            self.stamp = self.stamp.saturating_add(1);
            self.weight += (start.len() + end.len()) as u64 + OVERHEAD;
            self.ranges.push(Range { start: start.to_vec(), stamp: self.stamp, end: end.to_vec() });
        }
    }

    fn enter(&mut self, key: &[u8], kind: u32, rest: [&[u8]; 2], place: Place) -> Result<()> {
        let bytes = &mut self.waiting.bytes;
        bytes.extend_from_slice(key);
        rest.iter().for_each(|part| bytes.extend_from_slice(part));
        let mut what = kind | file_of(place);
        if self.stamp > 0 {
            what |= STAMPED;
            bytes.extend_from_slice(&self.stamp.to_le_bytes());
        }
        let (hash, end) = (self.hash.hash_one(key), bytes.len());
        self.waiting.changes.push(Change { hash, end, key_len: key.len() as u32, what, at: place.at });
        if self.waiting.full() { self.settle() } else { Ok(()) }
    }

    /// Makes the changes that wait.
    fn settle(&mut self) -> Result<()> {
        let Waiting { mut bytes, mut changes } = std::mem::take(&mut self.waiting);
        // Only looked at, so that the memory is at hand when they are made.
        let near = changes.iter().filter_map(|c| self.table.find(c.hash, |_| true)?.bytes.first());
        std::hint::black_box(near.fold(0, |sum, byte| sum ^ byte));
        let mut from = 0;
        for change in &changes {
            self.make(change, &bytes[from..change.end]);
            from = change.end;
        }
        bytes.clear();
        bytes.shrink_to(2 * Waiting::BYTES);
        changes.clear();
        self.waiting = Waiting { bytes, changes };
        if self.weight > self.limit { self.spill() } else { Ok(()) }
    }

    fn make(&mut self, change: &Change, bytes: &[u8]) {
        let key = &bytes[..change.key_len as usize];
        let kind = change.what & KIND;
        if kind == MERGE {
            return self.merge(change, bytes);
        }
        if !self.chains.is_empty() {
            self.weight -= self.chains.remove(key).map_or(0, |chain| weight(key, &chain));
        }
        // Where nothing older shows through, what is deleted needs no entry.
        if kind == DELETED && self.disk.is_none() && self.base.is_none() {
            self.remove(change.hash, key);
        } else {
            self.set(change, bytes);
        }
    }

    fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let found = self.table.find_entry(hash, |e| e.key() == key).ok()?;
        let entry = found.remove().0;
        self.weight -= entry.weight();
        Some(entry)
    }

    fn set(&mut self, change: &Change, bytes: &[u8]) {
        let &Change { hash, key_len, what, at, .. } = change;
        let key = &bytes[..key_len as usize];
        match self.table.find_mut(hash, |e| e.key() == key) {
            Some(old) if old.bytes.len() == bytes.len() => {
                old.bytes.copy_from_slice(bytes);
                (old.what, old.at) = (what, at);
            }
            Some(old) => {
                self.weight -= old.weight();
                *old = Entry { bytes: bytes.into(), key_len, what, at };
                self.weight += old.weight();
            }
            None => {
                let entry = Entry { bytes: bytes.into(), key_len, what, at };
                self.weight += entry.weight();
                self.table.insert_unique(hash, entry, |e| self.hash.hash_one(e.key()));
            }
        }
    }

    /// Adds an operand to the chain of its key; where there is none yet, one begins over what the key holds.
    fn merge(&mut self, change: &Change, bytes: &[u8]) {
        let (key, rest) = bytes.split_at(change.key_len as usize);
        if !self.chains.contains_key(key) {
            let mut chain = Chain::default();
            if let Some(entry) = self.remove(change.hash, key) {
                entry.row().write(&mut chain.base);
            }
            self.weight += weight(key, &chain);
            self.chains.insert(key.into(), chain);
        }
        let Some(chain) = self.chains.get_mut(key) else { return };
        self.weight -= weight(key, chain);
        let row = row::Row { what: change.what, at: change.at, rest };
        let (stamp, operand) = row.split();
        chain.push(
            self.mergers.of(key),
            &Operand { stamp, place: row.place(), bytes: at_hand(&operand).into() },
        );
        self.weight += weight(key, chain);
    }

    fn sorted(&mut self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = std::mem::take(&mut self.table).into_iter().collect();
        entries.extend(std::mem::take(&mut self.chains).into_iter().map(|(key, chain)| Entry {
            bytes: key.iter().copied().chain(chain.bytes()).collect(),
            key_len: key.len() as u32,
            what: CHAIN,
            at: 0,
        }));
        entries.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        self.weight = 0;
        entries
    }

    /// Moves what is in memory to the store on disk.
    fn spill(&mut self) -> Result<()> {
        let (entries, ranges) = (self.sorted(), std::mem::take(&mut self.ranges));
        if self.disk.is_none() {
            self.disk = Some(store::create()?);
        }
        if let Some(disk) = &self.disk {
            let written = store::write(disk, &entries, &ranges, self.layered);
            written.context("cannot write the temporary store; is the disk full?")?;
        }
        if self.layered {
            self.stamp = self.stamp.saturating_add(1);
        }
        Ok(())
    }

    /// The live keys in order, once the replay is over.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn finish(mut self) -> Result<Sorted<'l>> {
        self.settle()?;
        if self.disk.is_some() {
            self.spill()?;
        }
        let entries = self.sorted();
        self.ranges.sort_unstable();
        let State { ranges, disk, layered, mergers, base, .. } = self;
        Ok(Sorted { entries, ranges, disk, layered, mergers, base, only: None })
    }
}

/// The bytes that a change comes with; long values alone are told by their place.
fn at_hand<'v>(value: &'v Value<'_>) -> &'v [u8] {
    match value {
        Value::Bytes(bytes) | Value::Entity(bytes) | Value::Blob(bytes) => bytes,
        Value::Placed(_) | Value::Unmerged(_) => &[],
    }
}

/// Bytes of memory that a key with operands takes.
fn weight(key: &[u8], chain: &Chain) -> u64 {
    key.len() as u64 + chain.weight() + 2 * OVERHEAD
}

/// The live keys in order of their bytes.
pub struct Sorted<'l> {
    entries: Vec<Entry>,
    ranges: Vec<Range>,
    disk: Option<Database>,
    layered: bool,
    mergers: Mergers,
    base: Option<Box<dyn Base + 'l>>,
    only: Option<u32>,
}

/// The live keys one after the other.
pub type Lives<'a> = Box<dyn Iterator<Item = Result<Live<'a>>> + 'a>;

impl<'l> Sorted<'l> {
    /// Only the keys of this column family.
    pub fn only(self, family: Option<u32>) -> Sorted<'l> {
        Sorted { only: family, ..self }
    }

    /// See [`Sorted::only`].
    pub fn family(&self) -> Option<u32> {
        self.only
    }

    /// Every key, in order.
    ///
    /// # Errors
    /// When the store on disk cannot be read.
    pub fn iter(&self) -> Result<Lives<'_>> {
        let lives: Lives<'_> = match &self.disk {
            _ if self.layered => Box::new(self.layers()?),
            Some(disk) => store::rows(disk)?,
            None => Box::new(self.entries.iter().map(|e| Ok(e.live()))),
        };
        let Some(family) = self.only else { return Ok(lives) };
        let start = family.to_be_bytes();
        let wanted = move |live: &Result<Live<'_>>| live.as_ref().map_or(true, |l| l.key.starts_with(&start));
        Ok(Box::new(lives.filter(wanted)))
    }

    fn layers(&self) -> Result<Layers<'_>> {
        let (helds, ranges) = match &self.disk {
            Some(disk) => (store::helds(disk)?, store::ranges(disk)?),
            None => {
                let helds: layers::Helds<'_> = Box::new(self.entries.iter().map(|e| Ok(e.held())));
                let ranges: ranges::Ranges<'_> = Box::new(self.ranges.iter().cloned().map(Ok));
                (helds, ranges)
            }
        };
        let olders =
            self.base.as_ref().map_or_else(|| Box::new(std::iter::empty()) as _, |base| base.olders());
        Layers::new(helds, olders, ranges, &self.mergers)
    }

    /// Whether the keys had to go to disk.
    pub fn spilled(&self) -> bool {
        self.disk.is_some()
    }
}

#[cfg(test)]
mod tests;
