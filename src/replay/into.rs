//! Where a state goes besides the screen: which targets there are, and the engines as targets.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::analysis::{OpenLog, Report};
use crate::engine::Error;
use crate::engine::btree::{self, BTree};
use crate::engine::leveldb;
use crate::engine::lsm::{self, LsmTree};
use crate::engine::storage::Directory;
use crate::engine::wal::WalStore;
use crate::findings::plural;
use crate::format::block_log::fresh::{Fresh, Set};
use crate::format::keys::user_key;
use crate::io::interrupt;
use crate::replay::measure::Measure;
use crate::replay::state::{Lives, Sorted, Value};
use crate::replay::value_bytes;

/// An engine that can be built from a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The standalone write-ahead log.
    Wal,
    /// The B-tree.
    Btree,
    /// The LSM tree.
    Lsm,
    /// LevelDB, as a database whose log was never closed.
    LevelDb,
}

impl Engine {
    /// Each with its word on the command line.
    pub const ALL: [(&str, Engine); 4] =
        [("wal", Engine::Wal), ("btree", Engine::Btree), ("lsm", Engine::Lsm), ("leveldb", Engine::LevelDb)];
}

/// Where to write a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Lines of JSON.
    Ndjson(PathBuf),
    /// Rows of cells.
    Csv(PathBuf),
    /// A log of RocksDB's.
    Log(PathBuf),
    /// The directory of an engine.
    Engine(Engine, PathBuf),
    /// The database file that a log of pages leaves.
    Database(PathBuf),
}

impl Target {
    /// Tells the kind of target by the engine asked for, or else by the ending.
    ///
    /// # Errors
    /// When the two contradict each other.
    pub fn new(path: &Path, engine: Option<Engine>) -> Result<Target> {
        let ending = path.extension().and_then(|e| e.to_str());
        let path = path.to_path_buf();
        Ok(match (ending, engine) {
            (Some(ending @ ("ndjson" | "csv" | "log")), Some(_)) => {
                bail!("--into a file that ends in .{ending} needs no --engine: that is for a directory")
            }
            (Some("ndjson"), None) => Target::Ndjson(path),
            (Some("csv"), None) => Target::Csv(path),
            (Some("log"), None) => Target::Log(path),
            (_, Some(engine)) => Target::Engine(engine, path),
            (_, None) => Target::Database(path),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Target::Ndjson(path)
            | Target::Csv(path)
            | Target::Log(path)
            | Target::Engine(_, path)
            | Target::Database(path) => path,
        }
    }
}

/// Fills an empty directory with an engine that holds a state of `entries` keys.
///
/// # Errors
/// When the engine cannot hold a key or a value: the first such key is named; when the directory cannot be written.
pub fn build(
    log: &OpenLog,
    report: &Report,
    state: &Sorted<'_>,
    measure: &Measure,
    engine: Engine,
    dir: &Path,
) -> Result<()> {
    let note = RefCell::new(Note::default());
    let families = measure.families.iter().filter(|(_, of)| of.entries > 0);
    if state.family().is_none() && families.clone().any(|(number, _)| *number != 0) {
        let families = plural(families.count() as u64, "family");
        bail!(
            "--engine: it has no column families, and keys are in {families}; --family NAME takes one of them"
        );
    }
    let feed =
        Feed { families: log.format().profile().families, ..Feed::new(log, state, measure.keys, &note)? };
    let storage = Directory::open(dir).with_context(|| dir.display().to_string())?;
    let built = match engine {
        Engine::Wal => WalStore::build(storage, next_seq(report), feed),
        Engine::Btree => BTree::build(storage, btree::Options::default(), feed).and_then(BTree::close),
        Engine::Lsm => LsmTree::build(storage, lsm::Options::default(), feed),
        Engine::LevelDb => leveldb::build(storage, next_seq(report), feed),
    };
    let key = note.into_inner().end()?;
    match built {
        Err(Error::Refused(why)) => Err(unfit(&key, why)),
        built => Ok(built?),
    }
}

/// Writes a state as a log of RocksDB's, each key in its column family.
///
/// # Errors
/// When a key or value cannot be told or written: the first such key is named; what `out` says.
pub fn log(log: &OpenLog, report: &Report, state: &Sorted<'_>, out: &mut dyn Write) -> Result<()> {
    let families = log.format().profile().families;
    let mut made = Fresh::new(next_seq(report));
    for live in state.iter()? {
        interrupt::check()?;
        let live = live?;
        let (family, key) = user_key(families, &live.key);
        let bytes = match &live.value {
            Value::Entity(columns) => made.put(family.unwrap_or(0), key, Set::Entity(columns)),
            value => made.put(family.unwrap_or(0), key, Set::Value(&known(log, key, value)?)),
        };
        out.write_all(bytes.map_err(|why| unfit(key, why))?)?;
    }
    Ok(())
}

fn unfit(key: &[u8], why: &str) -> anyhow::Error {
    anyhow!("key {}: {why}", shown(key))
}

/// Of a long key the start is enough.
fn shown(key: &[u8]) -> impl std::fmt::Display + '_ {
    key[..key.len().min(100)].escape_ascii()
}

/// The bytes of a value.
fn known(log: &OpenLog, key: &[u8], value: &Value<'_>) -> Result<Vec<u8>> {
    if !value.is_known() {
        bail!("key {}: its value cannot be told", shown(key));
    }
    let mut bytes = Vec::new();
    value_bytes(log, value, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// The number that the next record would get: an engine that goes on must not give one out twice.
fn next_seq(report: &Report) -> u64 {
    let numbers = report.conclusions.numbers.filter(|_| report.format.profile().numbered);
    numbers.map_or(1, |(_, last)| last.saturating_add(1))
}

/// What an engine that is being built does not tell.
#[derive(Default)]
pub struct Note {
    /// The key that it was given last.
    key: Vec<u8>,
    /// Why there were no more.
    failure: Option<anyhow::Error>,
}

impl Note {
    /// The key that came last.
    ///
    /// # Errors
    /// Why there were no more.
    pub fn end(self) -> Result<Vec<u8>> {
        self.failure.map_or(Ok(self.key), Err)
    }
}

/// Keys and values for an engine; a failure ends them and is noted.
pub struct Feed<'a> {
    log: &'a OpenLog,
    lives: Lives<'a>,
    left: usize,
    /// The engine gets keys without the numbers of their families.
    families: bool,
    note: &'a RefCell<Note>,
}

impl<'a> Feed<'a> {
    /// Of a state of `entries` keys.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn new(
        log: &'a OpenLog,
        state: &'a Sorted<'a>,
        entries: u64,
        note: &'a RefCell<Note>,
    ) -> Result<Feed<'a>> {
        let left = usize::try_from(entries).unwrap_or(usize::MAX);
        Ok(Feed { log, lives: state.iter()?, left, families: false, note })
    }
}

impl Feed<'_> {
    fn live(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        interrupt::check()?;
        let Some(live) = self.lives.next().transpose()? else { return Ok(None) };
        let key = user_key(self.families, &live.key).1.to_vec();
        let value = known(self.log, &key, &live.value)?;
        Ok(Some((key, value)))
    }
}

impl Iterator for Feed<'_> {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let live = self.live();
        let mut note = self.note.borrow_mut();
        match live {
            Ok(Some((key, value))) => {
                self.left = self.left.saturating_sub(1);
                note.key.clone_from(&key);
                Some((key, value))
            }
            Ok(None) => None,
            Err(failure) => {
                note.failure = Some(failure);
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Feed<'_> {}
