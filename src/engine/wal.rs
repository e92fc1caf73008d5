//! The standalone write-ahead log as a store of keys: the newest form of `write-ahead-log/wal.py` on disk, the live keys in
//! memory. The format is described in [`crate::format::ddia_wal`].
//!
//! What the original does wrong and this does right: a batch counts only with its COMMIT, and one that never got it is cut
//! off, so that it cannot swallow the writes behind it; a torn tail is cut off and not appended to; files are read in the
//! order of their numbers; a new file's name is synced before it is written to; damage that no crash explains stops the open
//! and leaves the files as they are.
//!
//! After a crash only the write that was under way can be incomplete, and nothing of it was acknowledged. A sector of it that
//! was lost reads as zeros, and the ones behind it may be there. So that nothing intact can follow what a crash tore, and
//! whatever has something intact behind it is damage, no write holds the start of a record in a second sector before the
//! first one is synced. A large batch, which would take many syncs that way, gets a file of its own that is renamed into
//! place when it is whole.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use super::storage::{SECTOR, Storage, View};
use super::{Error, Op, Result, bounds, crash_explains, io_error, text};
use crate::format::chain::Chain;
use crate::format::ddia_wal::encode::{self, PAYLOAD_MAX};
use crate::format::ddia_wal::{BEGIN, CHECKPOINT, COMMIT, DELETE, LAYOUT, PUT, WalFraming};
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Recovery;
use crate::log::record::{Mark, Record};
use crate::log::scan::{Sink, scan};

/// How a store writes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A file that has reached this many bytes is closed and the next one begun.
    pub max_file_size: u64,
}

impl Default for Options {
    /// As the original: 10 MiB.
    fn default() -> Options {
        Options { max_file_size: 10 << 20 }
    }
}

/// The store.
///
/// Every write is synced before its call returns. One that fails leaves the store [poisoned](Error::Poisoned): what of it is
/// on disk is known only to the next open.
pub struct WalStore {
    storage: Box<dyn Storage>,
    options: Options,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Number of the last record.
    seq: u64,
    /// Its files in order; the last one is written to.
    files: Vec<LogName>,
    /// Length of the last file.
    end: u64,
    poisoned: bool,
}

/// A batch of more bytes than this is not appended sector by sector.
const FILE_OF_ITS_OWN: u64 = 16 * SECTOR;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LogName {
    number: u64,
    name: String,
}

impl LogName {
    fn of(number: u64) -> LogName {
        LogName { number, name: format!("{number:06}.wal") }
    }

    /// A name that no engine reads.
    fn unfinished(&self) -> String {
        format!("{}.tmp", self.name)
    }
}

impl WalStore {
    /// Opens the log in `storage`, or begins one. A torn tail, and a batch at the end without COMMIT, are cut off.
    ///
    /// # Errors
    /// [`Error::Damaged`] where anything else is wrong, and nothing is changed then; [`Error::Io`].
    pub fn open(storage: impl Storage + 'static, options: Options) -> Result<WalStore> {
        let mut storage: Box<dyn Storage> = Box::new(storage);
        let files = log_names(&*storage)?;
        let mut replay = Replay::default();
        let mut cut = None;
        for (i, file) in files.iter().enumerate() {
            cut = replay.file(&*storage, &file.name, i + 1 == files.len())?;
        }
        let mut end = 0;
        if let Some(LogName { name, .. }) = files.last() {
            end = storage.size(name).map_err(io_error(name))?.unwrap_or(0);
            if let Some(at) = cut {
                storage.set_len(name, at).and_then(|()| storage.sync(name)).map_err(io_error(name))?;
                end = at;
            }
        }
        let seq = replay.seq.unwrap_or(0);
        let mut store = WalStore { storage, options, state: replay.state, seq, files, end, poisoned: false };
        if store.files.is_empty() {
            store.begin_file(LogName::of(1))?;
        }
        Ok(store)
    }

    /// Writes a fresh log with these keys and closes it: committed batches and a CHECKPOINT, numbered so that the next record
    /// gets the number `next_seq`, or a higher one where the log has more records than that. Of a key that comes twice the
    /// last value counts.
    ///
    /// # Errors
    /// [`Error::Refused`] where a log is already there or a key or value cannot be stored; the log then does not come into
    /// being. [`Error::Io`].
    pub fn build<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        storage: impl Storage + 'static,
        next_seq: u64,
        entries: impl ExactSizeIterator<Item = (K, V)>,
    ) -> Result<()> {
        let mut storage = storage;
        if !log_names(&storage)?.is_empty() {
            return Err(Error::Refused("there is a log already"));
        }
        let count = entries.len() as u64;
        let records = count + 2 * count.div_ceil(SNAPSHOT_BATCH) + 1;
        let first = next_seq.saturating_sub(records).max(1);
        let file = LogName::of(1);
        if let Err(error) = write_snapshot(&mut storage, &file, first, entries) {
            // It may not be there, or not go away: no engine reads it.
            storage.remove(&file.unfinished()).ok();
            return Err(error);
        }
        publish(&mut storage, &file)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.state.get(key).map(Vec::as_slice)
    }

    /// Keys and values in the order of the keys.
    pub fn scan<'k>(&self, range: impl RangeBounds<&'k [u8]>) -> impl Iterator<Item = (&[u8], &[u8])> {
        let found = bounds(&range).map(|range| self.state.range::<[u8], _>(range));
        found.into_iter().flatten().map(|(key, value)| (&key[..], &value[..]))
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Error::Refused`] where key or value is not UTF-8 or too long; [`Error::Io`]; [`Error::Poisoned`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(&[Op::Put(key, value)], false)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As for [`WalStore::put`].
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.write(&[Op::Delete(key)], false)
    }

    /// Does all of it or, after a crash, nothing. Of an empty batch nothing is written.
    ///
    /// # Errors
    /// As for [`WalStore::put`].
    pub fn batch(&mut self, ops: &[Op<'_>]) -> Result<()> {
        if ops.is_empty() { self.sound() } else { self.write(ops, true) }
    }

    /// Writes the live keys anew into one file and removes the older ones. The sequence counter goes on.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Poisoned`].
    pub fn checkpoint(&mut self) -> Result<()> {
        self.sound()?;
        let count = self.state.len() as u64;
        self.numbers(count + 2 * count.div_ceil(SNAPSHOT_BATCH) + 1)?;
        let file = LogName::of(self.next_file());
        let written = write_snapshot(&mut *self.storage, &file, self.seq + 1, self.state.iter())?;
        // Until it has its name the old log is the log, whatever happens to the new one.
        self.poisoned = true;
        publish(&mut *self.storage, &file)?;
        (self.seq, self.end) = (written.seq, written.bytes);
        let old = std::mem::replace(&mut self.files, vec![file]);
        // The oldest first: a deletion must not go before what it deletes.
        for LogName { name, .. } in &old {
            self.storage.remove(name).map_err(io_error(name))?;
        }
        self.storage.sync_dir().map_err(io_error("."))?;
        self.poisoned = false;
        Ok(())
    }

    /// Number of the last record; 0 where there never was one.
    pub fn sequence(&self) -> u64 {
        self.seq
    }

    /// Closes the store. Nothing is left to be written.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when an earlier write failed.
    pub fn close(self) -> Result<()> {
        self.sound()
    }

    fn sound(&self) -> Result<()> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Whether so many numbers are left.
    fn numbers(&self, count: u64) -> Result<()> {
        // The last number has none behind it.
        let enough = self.seq.checked_add(count).is_some_and(|last| last < u64::MAX);
        if enough { Ok(()) } else { Err(Error::Refused("the sequence numbers are used up")) }
    }

    fn next_file(&self) -> u64 {
        self.files.last().map_or(1, |last| last.number.saturating_add(1))
    }

    fn write(&mut self, ops: &[Op<'_>], batch: bool) -> Result<()> {
        self.sound()?;
        for op in ops {
            let (key, value) = op.parts();
            text(key, value, PAYLOAD_MAX)?;
        }
        let mark = |op| batch.then_some((op, (&b""[..], &b""[..])));
        let changes = ops.iter().map(|op| (if matches!(op, Op::Put(..)) { PUT } else { DELETE }, op.parts()));
        let records = mark(BEGIN).into_iter().chain(changes).chain(mark(COMMIT));
        self.numbers(records.clone().count() as u64)?;
        let (mut bytes, mut starts, mut seq) = (Vec::new(), Vec::new(), self.seq);
        for (op, (key, value)) in records {
            starts.push(bytes.len());
            seq += 1;
            encode::record(&mut bytes, seq, op, key, value);
        }
        if batch && bytes.len() as u64 > FILE_OF_ITS_OWN {
            self.write_file(&bytes)?;
        } else {
            self.append_records(&bytes, &starts)?;
        }
        self.seq = seq;
        for op in ops {
            apply(&mut self.state, op);
        }
        Ok(())
    }

    /// Appends the records that begin at `starts`. What begins in another sector waits for what is in front of it.
    fn append_records(&mut self, bytes: &[u8], starts: &[usize]) -> Result<()> {
        if self.end >= self.options.max_file_size {
            self.begin_file(LogName::of(self.next_file()))?;
        }
        let mut done = 0;
        for &start in starts {
            if (self.end + (start - done) as u64) / SECTOR != self.end / SECTOR {
                self.append(&bytes[done..start])?;
                done = start;
            }
        }
        self.append(&bytes[done..])
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(LogName { name, .. }) = self.files.last() else { return Ok(()) };
        self.poisoned = true;
        self.storage.write(name, self.end, bytes).map_err(io_error(name))?;
        self.storage.sync(name).map_err(io_error(name))?;
        self.poisoned = false;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes a file of these records, to be written to from now on.
    fn write_file(&mut self, bytes: &[u8]) -> Result<()> {
        let file = LogName::of(self.next_file());
        let name = file.unfinished();
        self.storage.set_len(&name, 0).map_err(io_error(&name))?;
        self.storage.write(&name, 0, bytes).map_err(io_error(&name))?;
        self.storage.sync(&name).map_err(io_error(&name))?;
        self.poisoned = true;
        publish(&mut *self.storage, &file)?;
        self.poisoned = false;
        self.files.push(file);
        self.end = bytes.len() as u64;
        Ok(())
    }

    /// Creates the file that is written to from now on.
    fn begin_file(&mut self, file: LogName) -> Result<()> {
        self.poisoned = true;
        let name = &file.name;
        self.storage.set_len(name, 0).and_then(|()| self.storage.sync(name)).map_err(io_error(name))?;
        self.storage.sync_dir().map_err(io_error("."))?;
        self.poisoned = false;
        self.files.push(file);
        self.end = 0;
        Ok(())
    }
}

fn apply(state: &mut BTreeMap<Vec<u8>, Vec<u8>>, op: &Op<'_>) {
    match *op {
        Op::Put(key, value) => drop(state.insert(key.to_owned(), value.to_owned())),
        Op::Delete(key) => drop(state.remove(key)),
    }
}

/// The files of the log, by number. The original reads every `.wal`, so one that has no number is not passed over in silence.
fn log_names(storage: &dyn Storage) -> Result<Vec<LogName>> {
    let mut files = Vec::new();
    for name in storage.list().map_err(io_error("."))? {
        let Some(stem) = name.strip_suffix(".wal") else { continue };
        let digits = stem.bytes().all(|b| b.is_ascii_digit());
        let Some(number) = stem.parse().ok().filter(|_| digits) else {
            return Err(Error::Damaged { file: name, at: 0, what: "its name has no number" });
        };
        files.push(LogName { number, name });
    }
    files.sort();
    if let Some(pair) = files.windows(2).find(|pair| pair[0].number == pair[1].number) {
        let file = pair[1].name.clone();
        return Err(Error::Damaged { file, at: 0, what: "another file has the same number" });
    }
    Ok(files)
}

/// Members of one batch of a snapshot: readers keep a batch in memory until its COMMIT.
const SNAPSHOT_BATCH: u64 = 1024;

/// Where a snapshot ends.
struct Written {
    seq: u64,
    bytes: u64,
}

/// Writes keys and values as committed batches and a CHECKPOINT, numbered from `first` on, under the unfinished name.
fn write_snapshot<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    storage: &mut dyn Storage,
    file: &LogName,
    first: u64,
    entries: impl Iterator<Item = (K, V)>,
) -> Result<Written> {
    /// Written at a time.
    const PIECE: usize = 256 << 10;
    let name = file.unfinished();
    storage.set_len(&name, 0).map_err(io_error(&name))?;
    let (mut out, mut at, mut seq, mut members) = (Vec::new(), 0, first, 0);
    let mut add = |out: &mut Vec<u8>, op, key: &[u8], value: &[u8]| {
        encode::record(out, seq, op, key, value);
        seq += 1;
        seq
    };
    for (key, value) in entries {
        let (key, value) = (key.as_ref(), value.as_ref());
        text(key, value, PAYLOAD_MAX)?;
        if members == 0 {
            add(&mut out, BEGIN, b"", b"");
        }
        add(&mut out, PUT, key, value);
        members += 1;
        if members == SNAPSHOT_BATCH {
            add(&mut out, COMMIT, b"", b"");
            members = 0;
        }
        if out.len() >= PIECE {
            storage.write(&name, at, &out).map_err(io_error(&name))?;
            at += out.len() as u64;
            out.clear();
        }
    }
    if members > 0 {
        add(&mut out, COMMIT, b"", b"");
    }
    let next = add(&mut out, CHECKPOINT, b"", b"");
    storage.write(&name, at, &out).and_then(|()| storage.sync(&name)).map_err(io_error(&name))?;
    Ok(Written { seq: next - 1, bytes: at + out.len() as u64 })
}

/// Gives a finished file the name under which it counts.
fn publish(storage: &mut dyn Storage, file: &LogName) -> Result<()> {
    let unfinished = file.unfinished();
    storage.rename(&unfinished, &file.name).map_err(io_error(&unfinished))?;
    storage.sync_dir().map_err(io_error("."))
}

/// The state as far as the log was read.
#[derive(Default)]
struct Replay {
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Number of the last record.
    seq: Option<u64>,
    /// The batch that is open.
    batch: Option<Batch>,
    /// In the last file a crash explains damage at the end.
    last_file: bool,
    /// Where the write begins that a crash cut short.
    torn: Option<u64>,
    /// What no crash explains.
    damaged: Option<(u64, &'static str)>,
}

struct Batch {
    at: u64,
    /// Number of the record before it.
    after: u64,
    members: Vec<(u8, Vec<u8>, Vec<u8>)>,
}

impl Replay {
    /// Reads one file; gives back where it has to be cut.
    fn file(&mut self, storage: &dyn Storage, name: &str, last: bool) -> Result<Option<u64>> {
        self.last_file = last;
        let view = View::of(storage, name).map_err(io_error(name))?;
        scan(&mut Reader::new(&view), &mut Chain::new(WalFraming), 0, self);
        if let Some(failure) = view.failure() {
            return Err(io_error(name)(failure));
        }
        if let Some((at, what)) = self.damaged {
            return Err(Error::Damaged { file: name.to_owned(), at, what });
        }
        // A batch never reaches into the next file.
        match self.batch.take().filter(|_| last) {
            Some(batch) => {
                self.seq = Some(batch.after);
                Ok(Some(batch.at))
            }
            None => Ok(self.torn),
        }
    }

    fn refuse(&mut self, at: u64, what: &'static str) {
        self.damaged.get_or_insert((at, what));
    }

    fn record(&mut self, r: &Record, reader: &mut Reader<'_>) {
        if self.torn.is_some() {
            return self.refuse(r.at, "a record behind damage");
        }
        if r.seq == 0 || self.seq.is_some_and(|last| last.checked_add(1) != Some(r.seq)) {
            return self.refuse(r.at, "a sequence number that does not follow the one before");
        }
        self.seq = Some(r.next.saturating_sub(1).max(r.seq));
        match r.mark {
            Mark::Begin => self.batch = Some(Batch { at: r.at, after: r.seq - 1, members: Vec::new() }),
            Mark::Commit => {
                let members = self.batch.take().map_or(Vec::new(), |batch| batch.members);
                members.into_iter().for_each(|(op, key, value)| self.set(op, key, value));
            }
            Mark::Data | Mark::Prepare => {
                let Ok(bytes) = reader.piece(r.at..r.end()) else {
                    return self.refuse(r.at, "a record that cannot be read");
                };
                let field = |name| LAYOUT.get(bytes, name, None).unwrap_or_default().to_owned();
                let (key, value) = (field("key"), field("value"));
                match &mut self.batch {
                    Some(batch) => batch.members.push((r.kind, key, value)),
                    None => self.set(r.kind, key, value),
                }
            }
            Mark::Last | Mark::Note | Mark::Gap | Mark::Unread => {}
        }
    }

    fn set(&mut self, op: u8, key: Vec<u8>, value: Vec<u8>) {
        if op == PUT {
            self.state.insert(key, value);
        } else {
            self.state.remove(&key);
        }
    }
}

impl Sink for Replay {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        for record in batch {
            if self.damaged.is_none() {
                self.record(record, reader);
            }
        }
    }

    fn framing(&mut self, from: u64, _: u64, _: &mut Reader<'_>) {
        self.refuse(from, "bytes that are no record");
    }

    fn damage(&mut self, damage: &Recovery, reader: &mut Reader<'_>) {
        if self.last_file && crash_explains(damage, reader) {
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
