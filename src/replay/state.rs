//! The live keys that a replay leaves. Memory follows them, not the log: small values are kept, large ones stay where they
//! are and are read again when wanted, and past a limit the keys move to an embedded store in an unnamed temporary file.

use std::borrow::Cow;
use std::hash::BuildHasher;

use anyhow::{Context, Result};
use hashbrown::{DefaultHashBuilder, HashTable};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::format::{Effect, Part};
use crate::log::conclude::Place;

/// Longer values stay in the log.
pub const INLINE: u64 = 64 << 10;
/// What an entry takes beside its bytes: its slot in the table and the allocation's own share.
const OVERHEAD: u64 = 80;
/// Read cache of the store on disk.
const CACHE: usize = 64 << 20;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("live");

/// A value, at hand or to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Its bytes.
    Bytes(Cow<'a, [u8]>),
    /// Where it lies in the log.
    Placed(Part),
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

/// One key in memory: `key | value`, or `key | offset u64 | length u64` of a value that stays in the log.
struct Entry {
    bytes: Box<[u8]>,
    key_len: u32,
    /// Index of the file, and in the two highest bits what the bytes behind the key are.
    file: u32,
    at: u64,
}

const BYTES: u32 = 0;
const PLACED: u32 = 1 << 30;
/// The key is deleted, and the store on disk may still have it.
const DELETED: u32 = 2 << 30;
const FILE: u32 = PLACED - 1;

impl Entry {
    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    fn live(&self) -> Live<'_> {
        let (key, rest) = self.bytes.split_at(self.key_len as usize);
        live(key, self.file, self.at, rest)
    }

    fn weight(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD
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
    file: u32,
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

fn live<'a>(key: &'a [u8], what: u32, at: u64, rest: &'a [u8]) -> Live<'a> {
    let file = (what & FILE) as usize;
    let number = |from: usize| rest[from..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    let value = if what & PLACED == 0 {
        Value::Bytes(rest.into())
    } else {
        let start = number(0);
        Value::Placed(Part { file, span: start..start.saturating_add(number(8)) })
    };
    Live { key: key.into(), value, place: Place { file, at } }
}

/// The keys while a replay goes on.
pub struct State {
    table: HashTable<Entry>,
    hash: DefaultHashBuilder,
    waiting: Waiting,
    weight: u64,
    limit: u64,
    disk: Option<Database>,
}

impl State {
    /// Nothing yet; from `limit` bytes on it moves to disk.
    pub fn new(limit: u64) -> State {
        let (table, hash) = (HashTable::new(), DefaultHashBuilder::default());
        State { table, hash, waiting: Waiting::default(), weight: 0, limit, disk: None }
    }

    /// Makes a change.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn change(&mut self, key: &[u8], effect: &Effect<Value<'_>>, place: Place) -> Result<()> {
        match effect {
            Effect::Put(value) => self.put(key, value, place),
            Effect::Delete => self.delete(key),
            Effect::Merge(_) | Effect::DeleteRange(_) => Ok(()),
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn put(&mut self, key: &[u8], value: &Value<'_>, place: Place) -> Result<()> {
        let bytes = &mut self.waiting.bytes;
        bytes.extend_from_slice(key);
        let what = match value {
            Value::Bytes(value) => {
                bytes.extend_from_slice(value);
                BYTES
            }
            Value::Placed(part) => {
                bytes.extend_from_slice(&part.span.start.to_le_bytes());
                bytes.extend_from_slice(&(part.span.end - part.span.start).to_le_bytes());
                PLACED
            }
        };
        self.wait(key, what | place.file as u32, place.at)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.waiting.bytes.extend_from_slice(key);
        self.wait(key, DELETED, 0)
    }

    fn wait(&mut self, key: &[u8], file: u32, at: u64) -> Result<()> {
        let (hash, end) = (self.hash.hash_one(key), self.waiting.bytes.len());
        self.waiting.changes.push(Change { hash, end, key_len: key.len() as u32, file, at });
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
            let to = change.end;
            if change.file & DELETED != 0 && self.disk.is_none() {
                self.remove(change.hash, &bytes[from..to]);
            } else {
                self.set(change, &bytes[from..to]);
            }
            from = to;
        }
        bytes.clear();
        bytes.shrink_to(2 * Waiting::BYTES);
        changes.clear();
        self.waiting = Waiting { bytes, changes };
        if self.weight > self.limit { self.spill() } else { Ok(()) }
    }

    fn remove(&mut self, hash: u64, key: &[u8]) {
        if let Ok(found) = self.table.find_entry(hash, |e| e.key() == key) {
            self.weight -= found.remove().0.weight();
        }
    }

    fn set(&mut self, change: &Change, bytes: &[u8]) {
        let &Change { hash, key_len, file, at, .. } = change;
        let key = &bytes[..key_len as usize];
        match self.table.find_mut(hash, |e| e.key() == key) {
            Some(old) if old.bytes.len() == bytes.len() => {
                old.bytes.copy_from_slice(bytes);
                (old.file, old.at) = (file, at);
            }
            Some(old) => {
                self.weight -= old.weight();
                *old = Entry { bytes: bytes.into(), key_len, file, at };
                self.weight += old.weight();
            }
            None => {
                let entry = Entry { bytes: bytes.into(), key_len, file, at };
                self.weight += entry.weight();
                self.table.insert_unique(hash, entry, |e| self.hash.hash_one(e.key()));
            }
        }
    }

    fn sorted(&mut self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = std::mem::take(&mut self.table).into_iter().collect();
        entries.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        self.weight = 0;
        entries
    }

    /// Moves what is in memory to the store on disk.
    fn spill(&mut self) -> Result<()> {
        let entries = self.sorted();
        if self.disk.is_none() {
            let file = tempfile::tempfile().context("no temporary file for a state larger than --memory")?;
            let store = Database::builder().set_cache_size(CACHE).create_file(file);
            self.disk = Some(store.context("cannot set up the temporary store")?);
        }
        if let Some(disk) = &self.disk {
            write(disk, &entries).context("cannot write the temporary store; is the disk full?")?;
        }
        Ok(())
    }

    /// The live keys in order, once the replay is over.
    ///
    /// # Errors
    /// When the store on disk cannot be written.
    pub fn finish(mut self) -> Result<Sorted> {
        self.settle()?;
        if self.disk.is_some() {
            self.spill()?;
        }
        Ok(Sorted { entries: self.sorted(), disk: self.disk })
    }
}

fn write(disk: &Database, entries: &[Entry]) -> Result<()> {
    let mut writing = disk.begin_write()?;
    // A temporary store has nothing to survive.
    writing.set_durability(redb::Durability::None)?;
    {
        let mut table = writing.open_table(TABLE)?;
        let mut row = Vec::new();
        for entry in entries {
            if entry.file & DELETED != 0 {
                table.remove(entry.key())?;
                continue;
            }
            row.clear();
            row.extend_from_slice(&entry.file.to_le_bytes());
            row.extend_from_slice(&entry.at.to_le_bytes());
            row.extend_from_slice(&entry.bytes[entry.key_len as usize..]);
            table.insert(entry.key(), row.as_slice())?;
        }
    }
    writing.commit()?;
    Ok(())
}

/// The live keys in order of their bytes.
pub struct Sorted {
    entries: Vec<Entry>,
    disk: Option<Database>,
}

/// The live keys one after the other.
pub type Lives<'a> = Box<dyn Iterator<Item = Result<Live<'a>>> + 'a>;

impl Sorted {
    /// Every key, in order.
    ///
    /// # Errors
    /// When the store on disk cannot be read.
    pub fn iter(&self) -> Result<Lives<'_>> {
        let Some(disk) = &self.disk else {
            return Ok(Box::new(self.entries.iter().map(|e| Ok(e.live()))));
        };
        let table = disk.begin_read()?.open_table(TABLE)?;
        let rows = table.range::<&[u8]>(..)?;
        Ok(Box::new(rows.map(|row| {
            let (key, row) = row.context("cannot read the temporary store")?;
            Ok(stored(key.value(), row.value()))
        })))
    }

    /// Whether the keys had to go to disk.
    pub fn spilled(&self) -> bool {
        self.disk.is_some()
    }
}

/// A row of the store, taken out of it.
fn stored(key: &[u8], row: &[u8]) -> Live<'static> {
    let what = row.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    let at = row.get(4..).and_then(|r| r.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    let read = live(key, what, at, row.get(12..).unwrap_or_default());
    let value = match read.value {
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        Value::Placed(part) => Value::Placed(part),
    };
    Live { key: Cow::Owned(read.key.into_owned()), value, place: read.place }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn place(at: u64) -> Place {
        Place { file: 3, at }
    }

    /// The same changes with and without room in memory.
    #[test]
    fn a_state_on_disk_is_the_state_in_memory() {
        for limit in [u64::MAX, 2000, 0] {
            let mut state = State::new(limit);
            let mut model: BTreeMap<Vec<u8>, (Value<'static>, u64)> = BTreeMap::new();
            for i in 0..2000u64 {
                let key = format!("key{}", i * 7919 % 300).into_bytes();
                if i % 5 == 4 {
                    state.delete(&key).unwrap();
                    model.remove(&key);
                    continue;
                }
                let value = if i % 3 == 0 {
                    Value::Placed(Part { file: 3, span: i..i + 1_000_000 })
                } else {
                    Value::Bytes(Cow::Owned(vec![i as u8; (i % 50) as usize]))
                };
                state.put(&key, &value, place(i)).unwrap();
                model.insert(key, (value, i));
            }
            let sorted = state.finish().unwrap();
            assert_eq!(sorted.spilled(), limit < u64::MAX);
            let got: Vec<_> = sorted.iter().unwrap().map(Result::unwrap).collect();
            let want: Vec<_> = model
                .iter()
                .map(|(k, (v, at))| Live { key: k.into(), value: v.clone(), place: place(*at) })
                .collect();
            assert_eq!(got, want, "limit {limit}");
        }
    }
}
