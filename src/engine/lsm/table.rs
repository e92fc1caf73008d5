//! One sorted table: written under a name that no engine reads and renamed when it is whole, read through its index, one
//! block of entries at a time. The format is described in `crate::format::ddia_lsm`.

use std::collections::btree_map;
use std::ops::Bound;

use super::Pair;
use crate::engine::storage::{Storage, View};
use crate::engine::{Error, Result, io_error};
use crate::format::ddia_lsm::{encode, index, lengths};
use crate::log::bytes::{Reader, Window};

/// A table, its index in memory.
pub struct Table {
    pub number: u64,
    pub name: String,
    /// First key of each block, and where the block begins.
    index: Vec<(Vec<u8>, u64)>,
    /// Where the entries end.
    end: u64,
}

impl Table {
    /// Reads footer and index.
    pub fn open(storage: &dyn Storage, number: u64, name: String) -> Result<Table> {
        let view = View::of(storage, &name).map_err(io_error(&name))?;
        let loaded = index::load(&mut Reader::new(&view));
        if let Some(failure) = view.failure() {
            return Err(io_error(&name)(failure));
        }
        let sound = |index: &[(Vec<u8>, u64)], end: u64| {
            let begins = index.first().map_or(end == 0, |(_, at)| *at == 0);
            let rises = index.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
            begins && rises && index.last().is_none_or(|(_, at)| *at < end)
        };
        match loaded.filter(|(end, index)| sound(index, *end)) {
            Some((end, index)) => Ok(Table { number, name, index, end }),
            None => Err(Error::Damaged { file: name, at: 0, what: "a table without a sound index" }),
        }
    }

    /// The value of a key; an empty one says that it was deleted.
    pub fn get(&self, storage: &dyn Storage, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(block) = self.block_of(key) else { return Ok(None) };
        let entries = self.block(storage, block)?;
        Ok(entries.into_iter().find(|(k, _)| k == key).map(|(_, value)| value))
    }

    /// The block in which a key would be.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.index.partition_point(|(first, _)| &first[..] <= key).checked_sub(1)
    }

    /// The entries of one block.
    fn block(&self, storage: &dyn Storage, block: usize) -> Result<Vec<Pair>> {
        let damaged = |at, what| Error::Damaged { file: self.name.clone(), at, what };
        let Some((first, from)) = self.index.get(block) else { return Ok(Vec::new()) };
        let behind = self.index.get(block + 1);
        let to = behind.map_or(self.end, |(_, at)| *at);
        // Both lie in the file, see `open`; the block of a sound table is a few entries.
        let mut bytes = vec![0; usize::try_from(to - from).map_err(|_| damaged(*from, "a block too large"))?];
        let read = storage.read(&self.name, *from, &mut bytes).map_err(io_error(&self.name))?;
        bytes.truncate(read);
        let mut window = Window { bytes: &bytes, base: *from, end: to };
        let (mut at, mut entries) = (*from, Vec::<Pair>::new());
        while at < to {
            let wrong = damaged(at, "an entry that does not fit its table");
            let Ok(own) = lengths(&mut window, at) else { return Err(wrong) };
            let value = at + own.total() - own.value;
            let key = at + 4..at + 4 + own.key;
            let (Ok(key), Ok(value)) = (window.slice(key), window.slice(value..value + own.value)) else {
                return Err(wrong);
            };
            let rises = entries.last().map_or(key == first, |(last, _)| &last[..] < key);
            if !rises || behind.is_some_and(|(next, _)| key >= &next[..]) || std::str::from_utf8(key).is_err()
            {
                return Err(damaged(at, "a key that is not in order"));
            }
            entries.push((key.to_owned(), value.to_owned()));
            at += own.total();
        }
        Ok(entries)
    }

    /// Entries in order, deletions included.
    pub fn cursor(&self, from: Bound<&[u8]>) -> Cursor<'_> {
        let block = match from {
            Bound::Included(key) | Bound::Excluded(key) => self.block_of(key).unwrap_or(0),
            Bound::Unbounded => 0,
        };
        Cursor { table: self, block, entries: Vec::new().into_iter() }
    }
}

/// Walks a table. It begins with the block that holds the first key, not with that key.
pub struct Cursor<'a> {
    table: &'a Table,
    /// The next block to read.
    block: usize,
    entries: std::vec::IntoIter<Pair>,
}

impl Cursor<'_> {
    fn next(&mut self, storage: &dyn Storage) -> Result<Option<Pair>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            if self.block >= self.table.index.len() {
                return Ok(None);
            }
            self.entries = self.table.block(storage, self.block)?.into_iter();
            self.block += 1;
        }
    }
}

/// What is merged: tables and the memtable.
pub enum Source<'a> {
    /// A table.
    Table(Cursor<'a>),
    /// The memtable.
    Memory(btree_map::Range<'a, Vec<u8>, Vec<u8>>),
}

impl Source<'_> {
    fn next(&mut self, storage: &dyn Storage) -> Result<Option<Pair>> {
        match self {
            Source::Table(cursor) => cursor.next(storage),
            Source::Memory(range) => Ok(range.next().map(|(key, value)| (key.clone(), value.clone()))),
        }
    }
}

/// Several sources in one order, the newest first: of a key that several have, its value counts.
pub struct Merge<'a> {
    sources: Vec<(Option<Pair>, Source<'a>)>,
}

impl<'a> Merge<'a> {
    pub fn new(storage: &dyn Storage, newest_first: impl Iterator<Item = Source<'a>>) -> Result<Merge<'a>> {
        let mut sources = Vec::new();
        for mut source in newest_first {
            sources.push((source.next(storage)?, source));
        }
        Ok(Merge { sources })
    }

    /// The next key, deleted or not.
    pub fn next(&mut self, storage: &dyn Storage) -> Result<Option<Pair>> {
        let heads = self.sources.iter().filter_map(|(head, _)| head.as_ref());
        let Some(key) = heads.map(|(key, _)| key).min().cloned() else { return Ok(None) };
        let mut newest = None;
        for (head, source) in &mut self.sources {
            if head.as_ref().is_some_and(|(k, _)| *k == key) {
                let entry = std::mem::replace(head, source.next(storage)?);
                newest = newest.or(entry);
            }
        }
        Ok(newest)
    }
}

/// Writes a table.
pub struct Writer {
    number: u64,
    encoder: encode::Table,
    out: Vec<u8>,
    /// Bytes written so far.
    at: u64,
}

/// Name of a table.
fn name(number: u64) -> String {
    format!("sst_{number:06}.sst")
}

/// Name under which it is written: no engine reads it.
fn unfinished(number: u64) -> String {
    format!("{}.tmp", name(number))
}

impl Writer {
    /// A table that is not there yet.
    pub fn new(storage: &mut dyn Storage, number: u64, interval: u64) -> Result<Writer> {
        let file = unfinished(number);
        storage.set_len(&file, 0).map_err(io_error(&file))?;
        Ok(Writer { number, encoder: encode::Table::new(interval), out: Vec::new(), at: 0 })
    }

    /// Appends an entry; keys must rise.
    pub fn push(&mut self, storage: &mut dyn Storage, key: &[u8], value: &[u8]) -> Result<()> {
        /// Written at a time.
        const PIECE: usize = 256 << 10;
        self.encoder.push(&mut self.out, key, value);
        if self.out.len() >= PIECE { self.spill(storage) } else { Ok(()) }
    }

    fn spill(&mut self, storage: &mut dyn Storage) -> Result<()> {
        let file = unfinished(self.number);
        storage.write(&file, self.at, &self.out).map_err(io_error(&file))?;
        self.at += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }

    /// Completes and syncs the file. `None`: there was no entry, and nothing is left of it.
    pub fn finish(mut self, storage: &mut dyn Storage) -> Result<Option<Finished>> {
        if self.encoder.entries() == 0 {
            self.discard(storage)?;
            return Ok(None);
        }
        let encoder = std::mem::replace(&mut self.encoder, encode::Table::new(1));
        encoder.finish(&mut self.out);
        self.spill(storage)?;
        let file = unfinished(self.number);
        storage.sync(&file).map_err(io_error(&file))?;
        Ok(Some(Finished { number: self.number }))
    }

    /// Removes what was written.
    pub fn discard(self, storage: &mut dyn Storage) -> Result<()> {
        let file = unfinished(self.number);
        storage.remove(&file).map_err(io_error(&file))
    }
}

/// A table that is whole and synced but does not count yet.
pub struct Finished {
    number: u64,
}

impl Finished {
    /// Gives the table its name.
    pub fn publish(self, storage: &mut dyn Storage) -> Result<Table> {
        let (from, to) = (unfinished(self.number), name(self.number));
        storage.rename(&from, &to).map_err(io_error(&from))?;
        storage.sync_dir().map_err(io_error("."))?;
        Table::open(storage, self.number, to)
    }
}
