//! The standalone write-ahead log as a store of keys: the newest form of `write-ahead-log/wal.py` on disk, the live keys in
//! memory. The format is described in [`crate::format::ddia_wal`].
//!
//! What the original does wrong and this does right: a batch counts only with its COMMIT, and one that never got it is cut
//! off, so that it cannot swallow the writes behind it; a torn tail is cut off and not appended to; files are read in the
//! order of their numbers; a new file's name is synced before it is written to; damage that no crash explains stops the open
//! and leaves the files as they are.
//!
//! After a crash only the write that was under way can be incomplete, and nothing of it was acknowledged. A sector of it that
//! was lost reads as zeros, and others behind it may be there. So that such a hole is not mistaken for damage, nor damage for
//! it, a batch that lies in more than one sector is written in three steps, each synced: BEGIN, members, COMMIT. Records
//! behind a hole can then only be members of the batch that is open, and where there is a COMMIT its members are there.
//! Where the medium itself loses the sector that holds the last COMMIT, and only single writes follow, the two still look
//! alike, and those are cut off with the batch.

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
        let marks = if batch { 2 } else { 0 };
        self.numbers(ops.len() as u64 + marks)?;
        if self.end >= self.options.max_file_size {
            self.begin_file(LogName::of(self.next_file()))?;
        }
        let (mut bytes, mut seq) = (Vec::new(), self.seq);
        let mut add = |op: u8, (key, value): (&[u8], &[u8])| {
            seq += 1;
            encode::record(&mut bytes, seq, op, key, value);
            bytes.len()
        };
        let begin = if batch { add(BEGIN, (b"", b"")) } else { 0 };
        let mut members = begin;
        for op in ops {
            members = add(if matches!(op, Op::Put(..)) { PUT } else { DELETE }, op.parts());
        }
        let len = if batch { add(COMMIT, (b"", b"")) } else { members };
        if !batch || self.end / SECTOR == (self.end + len as u64 - 1) / SECTOR {
            self.append(&bytes)?;
        } else {
            for step in [0..begin, begin..members, members..len] {
                self.append(&bytes[step])?;
            }
        }
        self.seq = seq;
        for op in ops {
            apply(&mut self.state, op);
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(LogName { name, .. }) = self.files.last().filter(|_| !bytes.is_empty()) else {
            return Ok(());
        };
        self.poisoned = true;
        self.storage.write(name, self.end, bytes).map_err(io_error(name))?;
        self.storage.sync(name).map_err(io_error(name))?;
        self.poisoned = false;
        self.end += bytes.len() as u64;
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
            // Of the members that were being written, sectors behind a lost one may be there.
            if self.batch.is_none() || r.mark != Mark::Data {
                self.refuse(r.at, "a record behind damage");
            }
            return;
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
            Mark::Data => {
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
            Mark::Note | Mark::Gap => {}
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
mod tests {
    use super::*;
    use crate::engine::crash::{CrashDisk, Image};

    fn open(disk: &CrashDisk) -> Result<WalStore> {
        WalStore::open(disk.clone(), Options { max_file_size: 400 })
    }

    fn pairs(store: &WalStore) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        store.scan(..).map(|(k, v)| (text(k), text(v))).collect()
    }

    fn filled() -> CrashDisk {
        let disk = CrashDisk::new();
        let mut store = open(&disk).expect("begun");
        for i in 0..30u32 {
            store.put(format!("k{i:02}").as_bytes(), b"value").expect("put");
        }
        store.batch(&[Op::Put(b"a", b"1"), Op::Delete(b"k00"), Op::Put(b"b", b"")]).expect("batch");
        store.delete(b"k01").expect("delete");
        disk
    }

    /// The disk with the bytes of one file changed.
    fn with(disk: &CrashDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> CrashDisk {
        let mut image = disk.files();
        change(image.get_mut(name).expect("such a file"));
        CrashDisk::of(image)
    }

    #[test]
    fn what_was_written_is_there_after_a_reopen() {
        let disk = filled();
        let store = open(&disk).expect("opened");
        assert_eq!(store.sequence(), 30 + 5 + 1);
        assert_eq!(
            (store.get(b"a"), store.get(b"b"), store.get(b"k01")),
            (Some(&b"1"[..]), Some(&b""[..]), None)
        );
        assert_eq!(store.scan(&b"k05"[..]..&b"k08"[..]).count(), 3);
        assert_eq!(store.scan(&b"k08"[..]..&b"k05"[..]).count(), 0);
        assert_eq!(pairs(&store).len(), 30);
        assert!(disk.files().len() > 2, "files were rotated");
        store.close().expect("closed");
    }

    #[test]
    fn a_checkpoint_keeps_state_and_counter_in_one_file() {
        let disk = filled();
        let mut store = open(&disk).expect("opened");
        let before = pairs(&store);
        store.checkpoint().expect("checkpoint");
        let seq = store.sequence();
        assert_eq!((disk.files().len(), seq), (1, 36 + 30 + 3));
        store.put(b"z", b"9").expect("put");
        let store = open(&disk).expect("opened");
        assert_eq!((store.sequence(), pairs(&store)[..30].to_vec()), (seq + 1, before));
    }

    #[test]
    fn a_built_log_goes_on_with_the_number_asked_for() {
        for (next, count, last) in [(100, 5, 99), (1, 0, 1), (3, 5, 8), (50_000, 3000, 49_999)] {
            let disk = CrashDisk::new();
            let entries: Vec<_> = (0..count).map(|i: u32| (format!("{i}"), "v")).collect();
            WalStore::build(disk.clone(), next, entries.into_iter()).expect("built");
            let store = open(&disk).expect("opened");
            assert_eq!((store.sequence(), pairs(&store).len()), (last, count as usize));
        }
        let entries = [("k", &b"\xff"[..])];
        let disk = CrashDisk::new();
        assert!(matches!(WalStore::build(disk.clone(), 1, entries.into_iter()), Err(Error::Refused(_))));
        assert!(disk.files().is_empty(), "nothing is left behind");
        assert!(matches!(WalStore::build(filled(), 1, [("k", "v")].into_iter()), Err(Error::Refused(_))));
    }

    #[test]
    fn only_the_last_write_may_be_torn() {
        let disk = filled();
        let files = disk.files();
        let (last, before) = (files.keys().next_back().expect("some"), files.keys().nth(1).expect("some"));
        let size = files[last].len();
        for cut in 1..29 {
            let torn = with(&disk, last, |bytes| bytes.truncate(size - cut));
            let store = open(&torn).expect("opened");
            assert_eq!((store.get(b"k01"), store.sequence()), (Some(&b"value"[..]), 35));
            assert_eq!(torn.files()[last].len(), size - 28, "the torn record is cut off");
        }
        let refused = |disk: &CrashDisk, file: &str| {
            let files = disk.files();
            let answer = open(disk).err();
            assert!(matches!(&answer, Some(Error::Damaged { file: f, .. }) if f == file), "{answer:?}");
            assert_eq!(disk.files(), files, "nothing was changed");
        };
        refused(&with(&disk, before, |bytes| bytes.truncate(100)), before);
        refused(&with(&disk, before, |bytes| bytes[60] ^= 1), before);
        refused(&with(&disk, last, |bytes| bytes[30] ^= 1), last);
        refused(&with(&disk, last, |bytes| bytes[size - 5] ^= 1), last);
        let mut lost = disk.files();
        lost.remove(before);
        refused(&CrashDisk::of(lost), files.keys().nth(2).expect("some"));
        let mut foreign = disk.files();
        foreign.insert("copy.wal".into(), Vec::new());
        refused(&CrashDisk::of(foreign), "copy.wal");
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let disk = CrashDisk::new();
        let mut store = WalStore::open(disk.clone(), Options::default()).expect("begun");
        store.put(b"k", b"value").expect("put");
        store.batch(&[Op::Put(b"a", b"1"), Op::Delete(b"k")]).expect("batch");
        for last in ["put", "batch", "checkpoint"] {
            match last {
                "put" => store.put(b"last", b"value").expect("put"),
                "batch" => store.batch(&[Op::Put(b"b", b"last")]).expect("batch"),
                _ => store.checkpoint().expect("checkpoint"),
            }
            let name = disk.files().into_keys().next().expect("a file");
            for at in 0..disk.files()[&name].len() {
                for bit in 0..8 {
                    let flipped = with(&disk, &name, |bytes| bytes[at] ^= 1 << bit);
                    let files = flipped.files();
                    let answer = open(&flipped).map(|store| pairs(&store));
                    assert!(matches!(answer, Err(Error::Damaged { .. })), "{last}: {at}.{bit}: {answer:?}");
                    assert_eq!(flipped.files(), files);
                }
            }
        }
    }

    #[test]
    fn a_batch_without_commit_is_cut_off_with_its_begin() {
        let disk = CrashDisk::new();
        let mut store = open(&disk).expect("begun");
        store.put(b"k", b"old").expect("put");
        let kept = disk.files()["000001.wal"].len();
        store.batch(&[Op::Put(b"k", b"new"), Op::Put(b"l", b"new")]).expect("batch");
        let size = disk.files()["000001.wal"].len();
        for len in kept..size {
            let torn = with(&disk, "000001.wal", |bytes| bytes.truncate(len));
            let mut store = open(&torn).expect("opened");
            assert_eq!((store.get(b"k"), store.get(b"l"), store.sequence()), (Some(&b"old"[..]), None, 1));
            assert_eq!(torn.files()["000001.wal"].len(), kept);
            store.put(b"m", b"later").expect("put");
            assert_eq!(open(&torn).expect("opened").get(b"m"), Some(&b"later"[..]));
        }
    }

    #[test]
    fn holes_in_an_open_batch_are_no_damage_but_elsewhere_they_are() {
        let disk = CrashDisk::new();
        let mut store = WalStore::open(disk.clone(), Options::default()).expect("begun");
        store.put(b"k", b"old").expect("put");
        let value = "v".repeat(100);
        let keys: Vec<String> = (0..40).map(|i| format!("k{i:02}")).collect();
        let ops: Vec<Op<'_>> = keys.iter().map(|k| Op::Put(k.as_bytes(), value.as_bytes())).collect();
        store.batch(&ops).expect("batch");
        let hole = |bytes: &mut Vec<u8>| bytes[1024..1536].fill(0);
        let open_batch = with(&disk, "000001.wal", |bytes| {
            hole(bytes);
            bytes.truncate(bytes.len() - 25);
        });
        let opened = open(&open_batch).expect("opened");
        assert_eq!((pairs(&opened).len(), opened.sequence()), (1, 1));
        assert!(matches!(open(&with(&disk, "000001.wal", hole)), Err(Error::Damaged { .. })), "it committed");
        let singles = CrashDisk::new();
        let mut store = WalStore::open(singles.clone(), Options::default()).expect("begun");
        keys.iter().for_each(|k| store.put(k.as_bytes(), value.as_bytes()).expect("put"));
        assert!(matches!(open(&with(&singles, "000001.wal", hole)), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_failed_write_poisons_and_a_reopen_heals() {
        for fails in 0..6 {
            let disk = filled();
            let mut store = open(&disk).expect("opened");
            disk.fail_from(Some(disk.events() + fails));
            let mut acknowledged = 0;
            let failed = (0..9).any(|i| {
                let done = store.put(format!("n{i}").as_bytes(), b"new").is_ok();
                acknowledged += usize::from(done);
                !done
            });
            assert!(failed && matches!(store.put(b"x", b"y"), Err(Error::Poisoned)), "{fails}");
            disk.fail_from(None);
            let store = open(&disk).expect("opened");
            assert!(store.scan(&b"n"[..]..).count() >= acknowledged);
        }
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let disk = CrashDisk::of(Image::new());
        let mut store = open(&disk).expect("begun");
        assert!(matches!(store.put(b"\xff", b""), Err(Error::Refused(_))));
        assert!(matches!(
            store.batch(&[Op::Put(b"k", b"v"), Op::Put(b"k", b"\xc3")]),
            Err(Error::Refused(_))
        ));
        assert_eq!((pairs(&store).len(), store.sequence()), (0, 0));
        store.batch(&[]).expect("nothing to do");
        store.put("schlüssel".as_bytes(), b"").expect("put");
    }
}
