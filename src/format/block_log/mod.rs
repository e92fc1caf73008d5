//! `leveldb` and `rocksdb`: the write-ahead logs of LevelDB and of its descendants, one layer of blocks and fragments
//! ([`fragment`]) under one kind of contents, write batches ([`batch`]). RocksDB adds files that are written over older ones,
//! compressed records, column families, further operations, and transactions in two phases.
//!
//! A log is a file `NNNNNN.log`; the `MANIFEST`, in the same blocks, says which of them the tables have already taken in
//! ([`manifest`], [`directory`]). Every batch carries the number of its first operation, and the next batch goes on behind its
//! last one. An operation that is prepared is given its number only when its transaction commits.
//!
//! One record is one batch, however many fragments it has, with the zeros behind it that fill its block.

use std::ops::Range;

use self::directory::Directory;
use self::fragment::{BLOCK, HEADER, LEGACY_LAYOUT};
use crate::format::{
    Aside, Away, Base, Claim, Context, Entry, Family, Format, Framer, Job, Lack, LogFile, Memtable, Open,
    Opened, Outcome, Profile, Recatalogue, Recatalogued, Remark, Revision, Role, Take, Tracked, Unpack,
};
use crate::log::bytes::{Bytes, Reader};
use crate::log::conclude::{Gap, Start};
use crate::log::finding::Code;
use crate::log::layout::Layout;
use crate::log::numbering::Numbering;
use crate::log::record::Fix;
use crate::log::survey::{Grouping, Rules, Survey};

pub use self::engine::{LEVELDB_MODES, ROCKSDB_MODES};

mod aside;
mod assemble;
mod away;
mod base;
pub mod batch;
mod copies;
mod decoder;
mod directory;
mod engine;
pub mod fragment;
mod framer;
pub mod fresh;
mod inflate;
mod inspect;
mod known;
mod layout;
pub mod manifest;
mod memtable;
mod named;
mod names;
mod needed;
mod older;
mod remade;
mod search;
mod start;
mod table_file;
mod tracked;
mod unpack;
mod waiting;

/// Which of the two systems wrote a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Google's LevelDB.
    LevelDb,
    /// RocksDB, and what else took over its format: Pebble, as far as its headers go.
    RocksDb,
}

/// What the records of a file hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Write batches.
    Batches,
    /// Edits of the catalogue.
    Edits,
    /// It has no records.
    Other,
}

/// What is known of a file before its records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// See [`Flavour`].
    pub flavour: Flavour,
    /// See [`Content`].
    pub content: Content,
    /// The low half of the log's number; unknown where no header has it and the name is none of a log's.
    pub number: Option<u32>,
    /// Its headers carry that number: it may be written over an older log.
    pub recycled: bool,
}

impl Facts {
    /// Of a catalogue.
    fn edits(flavour: Flavour) -> Facts {
        Facts { flavour, content: Content::Edits, number: None, recycled: false }
    }

    /// What the name and the first records tell; [`Facts::of`] reads them once.
    fn read(flavour: Flavour, files: &[LogFile<'_>], nth: usize) -> Facts {
        let file = &files[nth];
        let content = match kind_of(file.name) {
            Some((Name::Log, _)) | None => Content::Batches,
            Some((Name::Manifest, _)) => Content::Edits,
            Some(_) => Content::Other,
        };
        let unread = Facts { flavour, content, number: None, recycled: false };
        if content != Content::Batches || flavour == Flavour::LevelDb {
            return unread;
        }
        let first = first_log(file);
        let named = kind_of(file.name).map(|(_, number)| number as u32);
        let (Some((found, damaged)), Some(named)) = (first, named) else {
            return Facts { number: first.map(|(log, _)| log), recycled: first.is_some(), ..unread };
        };
        // In a store a log that was just taken for writing has nothing but older records. By itself it was renamed,
        // unless its own records are damaged and the older ones are the first to be found.
        let alone = || files.iter().filter(|file| kind_of(file.name).is_some()).take(2).count() == 1;
        let renamed = found != named && !damaged && alone() && !has_log(file, named);
        Facts { number: Some(if renamed { found } else { named }), recycled: true, ..unread }
    }

    /// The number of the log in this file: by its headers, where these are believed rather than its name.
    fn log_number(flavour: Flavour, files: &[LogFile<'_>], file: usize) -> Option<u64> {
        let named = directory::number_of(&files[file]);
        match (Facts::of(flavour, files, file).number, named) {
            (Some(own), Some(named)) if own != named as u32 => Some(u64::from(own)),
            _ => named,
        }
    }

    /// Whether its records may be compressed.
    fn may_pack(&self) -> bool {
        self.flavour == Flavour::RocksDb
    }
}

/// The number in the first fragment that may carry one, near the start of a file; where damage stands there, behind it, which
/// the flag says.
fn first_log(file: &LogFile<'_>) -> Option<(u32, bool)> {
    /// Blocks looked at.
    const BLOCKS: u64 = 4;
    /// Bytes summed for nothing: hostile ones may look like a header at every other offset.
    const SUMMED: u64 = 256 << 20;
    let mut reader = Reader::with_chunk(file.src, BLOCK as usize);
    let (mut at, mut damaged, mut summed) = (0, false, 0);
    while at < BLOCKS * BLOCK && summed < SUMMED {
        let [.., low, high, kind] = reader.array::<{ HEADER as usize }>(at).ok()?;
        let likely = !damaged || matches!(kind, 1..=8);
        at = match likely.then(|| fragment::fragment(&mut reader, at, BLOCK - at % BLOCK)) {
            Some(Ok(fragment)) => match fragment.part {
                // What is said of a file may stand in a header of the other kind.
                fragment::Part::Aside | fragment::Part::Ignorable => fragment.payload.end,
                _ => return Some((fragment.log?, damaged)),
            },
            tried => {
                let len = u64::from(u16::from_le_bytes([low, high]));
                summed += if tried.is_some() && len < BLOCK - at % BLOCK { len } else { 0 };
                damaged = true;
                at + 1
            }
        };
    }
    None
}

/// Whether any header of a file carries this number, as far as whole fragments follow each other from the start of a block.
fn has_log(file: &LogFile<'_>, log: u32) -> bool {
    let mut reader = Reader::with_chunk(file.src, BLOCK as usize);
    let mut at = 0;
    while at < reader.end() {
        reader.forward(at, 1);
        at = match fragment::fragment(&mut reader, at, BLOCK - at % BLOCK) {
            Ok(found) if found.log == Some(log) => return true,
            Ok(found) => found.payload.end,
            Err(_) => at + BLOCK - at % BLOCK,
        };
    }
    false
}

/// What a file of such a store is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Log,
    Manifest,
    Current,
    Options,
}

/// See [`Name`]; and its number.
fn kind_of(name: &str) -> Option<(Name, u64)> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let digits = |text: &str| {
        let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        all.then(|| text.parse().ok()).flatten()
    };
    if name == "CURRENT" {
        return Some((Name::Current, 0));
    }
    if let Some(number) = name.strip_prefix("MANIFEST-").and_then(digits) {
        return Some((Name::Manifest, number));
    }
    if let Some(number) = name.strip_prefix("OPTIONS-").and_then(digits) {
        return Some((Name::Options, number));
    }
    let log = name.strip_suffix(".log").filter(|stem| stem.len() >= 6).and_then(digits);
    log.map(|number| (Name::Log, number))
}

/// A record's [`kind`](crate::log::record::Record::kind): its contents as they are, or compressed.
const KIND_PLAIN: u8 = 0;
const KIND_PACKED: u8 = 1;

/// Logs looked at for what tells the two systems apart, where no other file does.
const LOGS: usize = 16;

/// Fields of an edit of the catalogue that are told.
const PAIRS: usize = 4096;

/// One of the two formats.
pub struct BlockLog {
    flavour: Flavour,
    profile: Profile,
}

/// LevelDB's.
pub static LEVELDB: BlockLog = BlockLog { flavour: Flavour::LevelDb, profile: LEVELDB_PROFILE };

/// RocksDB's.
pub static ROCKSDB: BlockLog = BlockLog {
    flavour: Flavour::RocksDb,
    profile: Profile {
        name: "rocksdb",
        title: "RocksDB log",
        engines: engine::VERSIONS,
        families: true,
        modes: engine::ROCKSDB_MODES,
        ..LEVELDB_PROFILE
    },
};

const LEVELDB_PROFILE: Profile = Profile {
    name: "leveldb",
    title: "LevelDB log",
    family: None,
    files: "NNNNNN.log",
    revisions: &[],
    engines: &[],
    record: "batch",
    entry: "key",
    numbered: true,
    families: false,
    modes: engine::LEVELDB_MODES,
};

impl Format for BlockLog {
    fn profile(&self) -> &'static Profile {
        match self.flavour {
            Flavour::LevelDb => &LEVELDB.profile,
            Flavour::RocksDb => &ROCKSDB.profile,
        }
    }

    fn suits(&self, names: &[&str], head: &mut dyn FnMut(&str) -> Vec<u8>) -> bool {
        let of =
            |wanted| names.iter().filter(move |name| kind_of(name).is_some_and(|(kind, _)| kind == wanted));
        let ends = |ending: &str| names.iter().any(|name| name.ends_with(ending));
        let rocks = of(Name::Options).next().is_some() || names.contains(&"IDENTITY") || ends(".blob");
        let of_rocks = |log: &&str| directory::flavour_of(&head(log)) == Flavour::RocksDb;
        // Without these files only what is in a log tells them apart, and RocksDB's last one may be like LevelDB's.
        let flavour = match rocks || !ends(".ldb") && of(Name::Log).take(LOGS).any(of_rocks) {
            true => Flavour::RocksDb,
            false => Flavour::LevelDb,
        };
        flavour == self.flavour
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        let (kind, number) = kind_of(name)?;
        let (role, order) = match kind {
            Name::Log => (Role::Log, number),
            Name::Current => (Role::List, u64::MAX - 3),
            Name::Manifest => (Role::List, u64::MAX - 2),
            Name::Options => (Role::List, u64::MAX - 1),
        };
        Some(Claim { role, order, exact: true, read: true })
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        // What both would write counts for both.
        directory::proved(self.flavour, head)
    }

    fn base(&self, files: &[LogFile<'_>], open: &Open) -> Result<Option<Box<dyn Base>>, String> {
        let directory = Directory::of(self.flavour, files);
        let prefixed = self.flavour == Flavour::RocksDb;
        let tables = base::Tables::of(&directory, prefixed, open)?;
        Ok(tables.map(|tables| Box::new(tables) as Box<dyn Base>))
    }

    fn families(&self, files: &[LogFile<'_>]) -> Vec<Family> {
        Directory::of(self.flavour, files).families()
    }

    fn revision(&self, _: &[LogFile<'_>]) -> Revision {
        Revision::default()
    }

    fn open(&self, files: &[LogFile<'_>], file: usize, _: Option<&str>) -> Opened {
        let facts = Facts::of(self.flavour, files, file);
        let (numbering, grouping) = match facts.content {
            Content::Batches => (Numbering::Contiguous { restarts: false }, Grouping::Named),
            Content::Edits | Content::Other => (Numbering::None, Grouping::None),
        };
        let rules = Rules { numbering, grouping, trust: decoder::TRUST };
        Opened { decoder: Box::new(decoder::BlockDecoder::new(facts)), rules }
    }

    fn layout(&self, _: Role, _: Option<&str>) -> &'static Layout {
        &LEGACY_LAYOUT
    }

    fn layout_of(&self, _: Role, _: Option<&str>, record: &[u8]) -> &'static Layout {
        record.get(HEADER as usize - 1).and_then(|&kind| layout::fragment(kind)).unwrap_or(&LEGACY_LAYOUT)
    }

    fn heading(&self, _: Role, _: u64, bytes: &[u8]) -> Option<&'static Layout> {
        layout::fragment(*bytes.get(HEADER as usize - 1)?)
    }

    fn aside(&self, _: Role, bytes: &[u8]) -> Option<Aside> {
        aside::told(bytes)
    }

    fn inner(&self, role: Role, record: &[u8]) -> Vec<(usize, &'static Layout)> {
        layout::parts(self.flavour, role, record)
    }

    fn context<'a>(&self, files: &'a [LogFile<'a>], file: usize) -> Option<Box<dyn Context + 'a>> {
        let facts = Facts::of(self.flavour, files, file);
        let over = facts.content == Content::Batches && facts.recycled;
        over.then(|| Box::new(older::Leftovers::new(facts, files[file].src)) as Box<dyn Context + 'a>)
    }

    fn unpack<'a>(&self, files: &'a [LogFile<'a>], file: usize) -> Option<Box<dyn Unpack + 'a>> {
        let facts = Facts::of(self.flavour, files, file);
        Some(Box::new(unpack::Unpacker::new(facts, files[file].src)))
    }

    fn of_transaction(&self, contents: &[u8], wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Range<u64>> {
        named::operations(contents, self.flavour, wanted)
    }

    fn lock(&self) -> Option<&'static str> {
        Some("LOCK")
    }

    fn operations(
        &self,
        role: Role,
        _: Option<&str>,
        contents: &[u8],
        _: Option<Fix>,
        each: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) {
        if role != Role::Log {
            let pairs = manifest::pairs(contents, PAIRS);
            let told: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            each(&Entry { op: "EDIT", value: Some(told.join("; ").as_bytes()), ..Entry::default() });
            return;
        }
        let families = self.flavour == Flavour::RocksDb;
        let mut operations = batch::operations(contents, self.flavour).peekable();
        if contents.is_empty() {
            each(&Entry { op: "NOT_FOLLOWED", ..Entry::default() });
            return;
        }
        if operations.peek().is_none() {
            each(&Entry { op: "EMPTY", ..Entry::default() });
        }
        for operation in operations {
            if !each(&operation.entry(families)) {
                break;
            }
        }
    }

    fn entry<'a>(&self, role: Role, _: Option<&str>, contents: &'a [u8], _: Option<Fix>) -> Entry<'a> {
        let op = if role == Role::Log { "BATCH" } else { "EDIT" };
        Entry { op, value: Some(contents), ..Entry::default() }
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], _: Option<&str>) -> Vec<Remark> {
        inspect::inspect(self.flavour, files, surveys)
    }

    fn start(&self, files: &[LogFile<'_>]) -> Option<Start> {
        start::start(self.flavour, files)
    }

    fn lie_elsewhere(&self, files: &[LogFile<'_>], gap: &Gap) -> bool {
        start::lie_elsewhere(&Directory::of(self.flavour, files), files, gap)
    }

    fn puts_away(&self, dir: &str) -> bool {
        away::is_one(self.flavour, dir)
    }

    fn put_away(
        &self,
        files: &[LogFile<'_>],
        surveys: &[Survey],
        gaps: &[Gap],
        away: &[Away<'_>],
    ) -> Vec<Remark> {
        away::remarks(self.flavour, files, surveys, gaps, away)
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(self.flavour, job, take)
    }

    fn framer<'a>(&self, files: &'a [LogFile<'a>], file: usize) -> Option<Box<dyn Framer + 'a>> {
        let facts = Facts::of(self.flavour, files, file);
        let frames = (facts.content == Content::Batches).then(|| framer::Frames::new(facts, &files[file]));
        frames.map(|frames| Box::new(frames) as Box<dyn Framer + 'a>)
    }

    fn begun(&self, files: &[LogFile<'_>], file: usize, span: std::ops::Range<u64>) -> Option<u64> {
        inspect::begun(&files[file], span)
    }

    fn belongs(&self, name: &str) -> bool {
        let ends = |ending: &&str| name.ends_with(*ending);
        name == "IDENTITY" || [".sst", ".ldb", ".blob"].iter().any(ends)
    }

    fn lacks(
        &self,
        files: &[LogFile<'_>],
        surveys: &[Survey],
        gaps: &[Gap],
        size: &dyn Fn(&str) -> Option<u64>,
    ) -> Vec<Lack> {
        needed::lacks(&Directory::of(self.flavour, files), files, surveys, gaps, size)
    }

    fn tracked(&self, files: &[LogFile<'_>]) -> Option<Tracked> {
        tracked::sizes(&Directory::of(self.flavour, files))
    }

    fn recatalogues(&self) -> bool {
        true
    }

    fn recatalogue(
        &self,
        files: &[LogFile<'_>],
        surveys: &[&Survey],
        wish: &Recatalogue<'_>,
    ) -> Result<Recatalogued, String> {
        remade::catalogue(self.flavour, files, surveys, wish)
    }

    fn settled(&self, files: &[LogFile<'_>], surveys: &[&Survey]) -> u64 {
        engine::settled(self.flavour, files, surveys)
    }

    fn settled_in_part(&self, files: &[LogFile<'_>]) -> bool {
        let directory = directory::Directory::of(self.flavour, files);
        files.iter().filter_map(directory::number_of).any(|log| directory.is_in_part(log))
    }

    fn mode(&self, files: &[LogFile<'_>]) -> Option<&'static str> {
        Some(engine::default_mode(self.flavour, files))
    }

    fn memtable<'a>(&self, files: &'a [LogFile<'a>]) -> Option<Box<dyn Memtable + 'a>> {
        Some(Box::new(memtable::Batches::new(self.flavour, files)))
    }

    fn renames(&self) -> bool {
        // RocksDB ties what counts for a family, sizes and headers to numbers.
        self.flavour == Flavour::LevelDb
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(self.flavour, code)
    }
}
