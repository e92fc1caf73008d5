//! The LSM tree: the newest form of `log-structured-merge-tree/lsm.py` on disk. New keys stand in a memtable and in
//! `wal.log`; a flush makes a sorted table of them, a compaction makes one table of all. Of several values of a key that in
//! the memtable counts, then that in the table with the highest number. The format is described in
//! [`crate::format::ddia_lsm`].
//!
//! What the original does wrong and this does right: the log is synced before a write is acknowledged; a torn tail is cut
//! off and not appended to; a table gets its name when it is whole and synced, and only then the log is emptied; the log is
//! never emptied behind damage, but the open refused.
//!
//! The format knows no batches: every record counts for itself. A batch is written in order, so that a crash leaves the first
//! so many of its changes: no write holds the start of a record in a second sector before the first one is synced. So nothing
//! intact can follow what a crash tore, and whatever has something intact behind it is damage.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use super::storage::{SECTOR, Storage, View};
use super::{Error, Op, Result, bounds, crash_explains, io_error, text};
use crate::format::chain::Chain;
use crate::format::ddia_lsm::encode::{self, PAYLOAD_MAX};
use crate::format::ddia_lsm::{LogFraming, SUMMED, older_revision_at};
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Recovery;
use crate::log::record::Record;
use crate::log::scan::{Sink, scan};
use table::{Merge, Source, Table, Writer};

mod table;

/// How a tree grows; the defaults are the original's.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// With so many keys in it the memtable is flushed before the next write.
    pub memtable_keys: usize,
    /// Every so many entries of a table one is in its index.
    pub index_interval: u64,
    /// So many tables are compacted after a flush.
    pub tables_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { memtable_keys: 1000, index_interval: 16, tables_max: 4 }
    }
}

/// A key and its value; an empty value is the deletion.
type Pair = (Vec<u8>, Vec<u8>);

const LOG: &str = "wal.log";

/// The tree.
///
/// Every write is synced before its call returns. One that fails leaves the tree [poisoned](Error::Poisoned): what of it is
/// on disk is known only to the next open.
pub struct LsmTree {
    storage: Box<dyn Storage>,
    options: Options,
    memtable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The oldest first.
    tables: Vec<Table>,
    /// Length of the log.
    end: u64,
    poisoned: bool,
}

impl LsmTree {
    /// Opens the tree in `storage`, or begins one. A torn tail of the log is cut off.
    ///
    /// # Errors
    /// [`Error::Damaged`] where anything else is wrong with the log or the index of a table, and nothing is changed then;
    /// [`Error::Io`]. Damage among the entries of a table shows when they are read.
    pub fn open(storage: impl Storage + 'static, options: Options) -> Result<LsmTree> {
        let mut storage: Box<dyn Storage> = Box::new(storage);
        let mut tables = Vec::new();
        for (number, name) in table_names(&*storage)? {
            tables.push(Table::open(&*storage, number, name)?);
        }
        let (memtable, end) = match storage.size(LOG).map_err(io_error(LOG))? {
            Some(size) => {
                let replay = Replay::of(&*storage)?;
                if let Some(at) = replay.torn {
                    storage.set_len(LOG, at).and_then(|()| storage.sync(LOG)).map_err(io_error(LOG))?;
                }
                (replay.memtable, replay.torn.unwrap_or(size))
            }
            None => {
                begin_log(&mut *storage)?;
                (BTreeMap::new(), 0)
            }
        };
        Ok(LsmTree { storage, options, memtable, tables, end, poisoned: false })
    }

    /// Writes a fresh tree with these keys, one table and an empty log, and closes it. Keys must rise.
    ///
    /// # Errors
    /// [`Error::Refused`] where a tree is already there, keys do not rise, or a key or value cannot be stored: an empty value
    /// cannot, see [`LsmTree::put`]. The tree then does not come into being. [`Error::Io`].
    pub fn build<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        storage: impl Storage + 'static,
        options: Options,
        entries: impl Iterator<Item = (K, V)>,
    ) -> Result<()> {
        let mut storage = storage;
        let log = storage.size(LOG).map_err(io_error(LOG))?;
        if log.is_some() || !table_names(&storage)?.is_empty() {
            return Err(Error::Refused("there is a tree already"));
        }
        let mut writer = Writer::new(&mut storage, 0, options.index_interval)?;
        if let Err(error) = fill(&mut writer, &mut storage, entries) {
            // It may not go away: no engine reads it.
            writer.discard(&mut storage).ok();
            return Err(error);
        }
        if let Some(table) = writer.finish(&mut storage)? {
            table.publish(&mut storage)?;
        }
        begin_log(&mut storage)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the table that may have it is; [`Error::Io`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = self.memtable.get(key).cloned();
        for table in self.tables.iter().rev() {
            if value.is_none() {
                value = table.get(&*self.storage, key)?;
            }
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// Keys and values in the order of the keys; tables are read as the iterator goes on, and it ends behind an error.
    ///
    /// # Errors
    /// As for [`LsmTree::get`], also of each item.
    pub fn scan<'k>(&self, range: impl RangeBounds<&'k [u8]>) -> Result<impl Iterator<Item = Result<Pair>>> {
        let storage = &*self.storage;
        let range = bounds(&range);
        let (from, to) = range.unwrap_or((Bound::Unbounded, Bound::Unbounded));
        let memory = Source::Memory(self.memtable.range::<[u8], _>((from, to)));
        let tables = self.tables.iter().rev().map(|table| Source::Table(table.cursor(from)));
        let sources = std::iter::once(memory).chain(tables).filter(|_| range.is_some());
        let mut merge = Some(Merge::new(storage, sources)?);
        let next = move || {
            let next = merge.as_mut()?.next(storage).transpose();
            let over = match &next {
                Some(Ok((key, _))) => !(Bound::Unbounded, to).contains(&&key[..]),
                _ => true,
            };
            if over {
                merge = None;
            }
            next.filter(|next| next.is_err() || !over)
        };
        Ok(std::iter::from_fn(next).filter(move |next| match next {
            Ok((key, value)) => !value.is_empty() && (from, Bound::Unbounded).contains(&&key[..]),
            Err(_) => true,
        }))
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Error::Refused`] where key or value is not UTF-8 or too long, or the value is empty, which would be a deletion;
    /// [`Error::Io`]; [`Error::Poisoned`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch(&[Op::Put(key, value)])
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As for [`LsmTree::put`].
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.batch(&[Op::Delete(key)])
    }

    /// Makes these changes in their order. A crash may leave only the first so many of them: the format has no batches.
    ///
    /// # Errors
    /// As for [`LsmTree::put`]; one change that is refused refuses all.
    pub fn batch(&mut self, ops: &[Op<'_>]) -> Result<()> {
        self.sound()?;
        for op in ops {
            match *op {
                Op::Put(key, value) => storable(key, value)?,
                Op::Delete(key) => text(key, b"", PAYLOAD_MAX)?,
            }
        }
        if self.memtable.len() >= self.options.memtable_keys {
            self.flush()?;
            if self.tables.len() >= self.options.tables_max {
                self.compact()?;
            }
        }
        let mut bytes = Vec::new();
        for op in ops {
            // What begins in another sector waits for what is in front of it.
            if (self.end + bytes.len() as u64) / SECTOR != self.end / SECTOR {
                self.append(&mut bytes)?;
            }
            let (key, value) = op.parts();
            encode::record(&mut bytes, key, value);
        }
        self.append(&mut bytes)?;
        for (key, value) in ops.iter().map(Op::parts) {
            self.memtable.insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }

    /// Makes a table of the memtable and empties the log.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Poisoned`].
    pub fn flush(&mut self) -> Result<()> {
        self.sound()?;
        if self.memtable.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer()?;
        for (key, value) in &self.memtable {
            writer.push(&mut *self.storage, key, value)?;
        }
        let finished = writer.finish(&mut *self.storage)?;
        self.poisoned = true;
        if let Some(finished) = finished {
            self.tables.push(finished.publish(&mut *self.storage)?);
        }
        // A crash in front of this leaves every record in both: harmless.
        self.storage.set_len(LOG, 0).and_then(|()| self.storage.sync(LOG)).map_err(io_error(LOG))?;
        self.memtable.clear();
        self.end = 0;
        self.poisoned = false;
        Ok(())
    }

    /// Makes one table of all tables. As all of them take part, deletions are dropped.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a table is; the tables then stay as they are. [`Error::Io`]; [`Error::Poisoned`].
    pub fn compact(&mut self) -> Result<()> {
        self.sound()?;
        if self.tables.len() < 2 {
            return Ok(());
        }
        let mut writer = self.writer()?;
        let newest_first =
            self.tables.iter().rev().map(|table| Source::Table(table.cursor(Bound::Unbounded)));
        let mut merge = Merge::new(&*self.storage, newest_first)?;
        while let Some((key, value)) = merge.next(&*self.storage)? {
            if !value.is_empty() {
                writer.push(&mut *self.storage, &key, &value)?;
            }
        }
        let finished = writer.finish(&mut *self.storage)?;
        self.poisoned = true;
        let merged = finished.map(|table| table.publish(&mut *self.storage)).transpose()?;
        // The oldest first: a deletion must not go before what it deletes.
        for table in std::mem::replace(&mut self.tables, merged.into_iter().collect()) {
            self.storage.remove(&table.name).map_err(io_error(&table.name))?;
        }
        self.storage.sync_dir().map_err(io_error("."))?;
        self.poisoned = false;
        Ok(())
    }

    /// Flushes and closes the tree.
    ///
    /// # Errors
    /// As for [`LsmTree::flush`]. What was acknowledged is on disk all the same.
    pub fn close(mut self) -> Result<()> {
        self.flush()
    }

    fn sound(&self) -> Result<()> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Begins the next table.
    fn writer(&mut self) -> Result<Writer> {
        let number = self.tables.last().map_or(Some(0), |last| last.number.checked_add(1));
        let number = number.ok_or(Error::Refused("the table numbers are used up"))?;
        Writer::new(&mut *self.storage, number, self.options.index_interval)
    }

    fn append(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.poisoned = true;
        self.storage.write(LOG, self.end, bytes).map_err(io_error(LOG))?;
        self.storage.sync(LOG).map_err(io_error(LOG))?;
        self.poisoned = false;
        self.end += bytes.len() as u64;
        bytes.clear();
        Ok(())
    }
}

fn storable(key: &[u8], value: &[u8]) -> Result<()> {
    if value.is_empty() {
        return Err(Error::Refused("an LSM tree takes an empty value for a deletion"));
    }
    text(key, value, PAYLOAD_MAX)
}

fn fill<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    writer: &mut Writer,
    storage: &mut dyn Storage,
    entries: impl Iterator<Item = (K, V)>,
) -> Result<()> {
    let mut last: Option<K> = None;
    for (key, value) in entries {
        storable(key.as_ref(), value.as_ref())?;
        if last.is_some_and(|last| last.as_ref() >= key.as_ref()) {
            return Err(Error::Refused("keys do not rise"));
        }
        writer.push(storage, key.as_ref(), value.as_ref())?;
        last = Some(key);
    }
    Ok(())
}

fn begin_log(storage: &mut dyn Storage) -> Result<()> {
    storage.set_len(LOG, 0).and_then(|()| storage.sync(LOG)).map_err(io_error(LOG))?;
    storage.sync_dir().map_err(io_error("."))
}

/// The tables by number. The original reads every `.sst`, so one that has no number is not passed over in silence.
fn table_names(storage: &dyn Storage) -> Result<Vec<(u64, String)>> {
    let mut tables = Vec::new();
    for name in storage.list().map_err(io_error("."))? {
        let Some(stem) = name.strip_suffix(".sst") else { continue };
        let digits = stem.strip_prefix("sst_").filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else {
            return Err(Error::Damaged { file: name, at: 0, what: "its name has no number" });
        };
        tables.push((number, name));
    }
    tables.sort();
    if let Some(pair) = tables.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::Damaged {
            file: pair[1].1.clone(),
            at: 0,
            what: "another table has the same number",
        });
    }
    Ok(tables)
}

/// What the log holds.
#[derive(Default)]
struct Replay {
    memtable: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where the write begins that a crash cut short.
    torn: Option<u64>,
    /// What no crash explains.
    damaged: Option<(u64, &'static str)>,
}

impl Replay {
    fn of(storage: &dyn Storage) -> Result<Replay> {
        let view = View::of(storage, LOG).map_err(io_error(LOG))?;
        let mut replay = Replay::default();
        scan(&mut Reader::new(&view), &mut Chain::new(LogFraming::<true>::new()), 0, &mut replay);
        if let Some(failure) = view.failure() {
            return Err(io_error(LOG)(failure));
        }
        match replay.damaged {
            Some((at, what)) => Err(Error::Damaged { file: LOG.to_owned(), at, what }),
            None => Ok(replay),
        }
    }

    fn refuse(&mut self, at: u64, what: &'static str) {
        self.damaged.get_or_insert((at, what));
    }
}

impl Sink for Replay {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        for r in batch {
            let Ok(bytes) = reader.piece(r.at..r.end()) else {
                return self.refuse(r.at, "a record that cannot be read");
            };
            if self.torn.is_some() {
                return self.refuse(r.at, "a record behind damage");
            }
            let field = |name| SUMMED.get(bytes, name, None).unwrap_or_default().to_owned();
            self.memtable.insert(field("key"), field("value"));
        }
    }

    fn framing(&mut self, from: u64, _: u64, _: &mut Reader<'_>) {
        self.refuse(from, "bytes that are no record");
    }

    fn damage(&mut self, damage: &Recovery, reader: &mut Reader<'_>) {
        if older_revision_at(reader, damage.from) {
            self.refuse(damage.from, "records of the older revision, without checksums");
        } else if crash_explains(damage, reader) {
            self.torn.get_or_insert(damage.from);
        } else {
            self.refuse(damage.from, "damage that no crash explains");
        }
    }

    fn done(&self) -> bool {
        self.damaged.is_some()
    }
}

#[cfg(test)]
mod tests;
