//! The formats: one file or folder each, and one line in [`ALL`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::log::bytes::ReadAt;
use crate::log::conclude::{Gap, Place, Start};
use crate::log::decoder::Decoder;
use crate::log::finding::Code;
use crate::log::layout::Layout;
use crate::log::record::{Fix, Record};
use crate::log::survey::{Rules, Survey};

pub mod bitcask;
pub mod bitcask_hash;
pub mod bitcask_log;
pub mod block_log;
pub mod chain;
pub mod ddia_btree;
pub mod ddia_lsm;
pub mod ddia_wal;
pub mod entity;
pub mod file;
mod generation;
mod image;
pub mod keys;
pub mod merge;
pub mod outcome;
pub mod python;
pub mod rewrite;
pub mod rows;
pub mod sqlite;
pub mod sqlite_journal;
pub mod sqlite_wal;
pub mod sstable;
mod told;

pub use self::file::{About, Claim, LogFile, Memo, Role};
pub use self::generation::{Generation, Left};
pub use self::keys::{Base, Effect, Family, Given, Olders, Taken};
pub use self::outcome::{Fill, Halt, Image, Opening, Outcome, Patch};
pub use self::rewrite::{Anew, Framer, Fresh, Link, Put, Seal, Store};
pub use self::told::{Aside, Away, Grade, Lack, Remark, Word};

/// Every format that is understood. A new one is a line here.
pub static ALL: &[&dyn Format] = &[
    &ddia_wal::DdiaWal,
    &ddia_btree::DdiaBtree,
    &ddia_lsm::DdiaLsm,
    &bitcask_hash::BitcaskHash,
    &bitcask_log::BitcaskLog,
    &sqlite_wal::SqliteWal,
    &sqlite_journal::SqliteJournal,
    &block_log::LEVELDB,
    &block_log::ROCKSDB,
];

/// A revision of a format, and how it was told.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Revision {
    /// `None`: the bytes do not tell, and it would make a difference.
    pub name: Option<&'static str>,
    /// Why, in a few words.
    pub reason: String,
}

/// What never changes about a format.
#[derive(Debug)]
pub struct Profile {
    /// The name in `--as` and JSON.
    pub name: &'static str,
    /// The name in sentences.
    pub title: &'static str,
    /// Family name that `--as` takes as well.
    pub family: Option<&'static str>,
    /// What its files are called, for error messages.
    pub files: &'static str,
    /// Revisions that `--revision` takes, oldest first; what reads differently is decided by the newest unless told.
    pub revisions: &'static [&'static str],
    /// Versions of the engine that `--engine` takes, oldest first.
    pub engines: &'static [&'static str],
    /// What one record is called.
    pub record: &'static str,
    /// What one entry of the state is called.
    pub entry: &'static str,
    /// Whether its records carry numbers that `gaps` can judge.
    pub numbered: bool,
    /// Whether keys belong to column families: a key of the state then begins with the number of its family, four bytes,
    /// the highest first.
    pub families: bool,
    /// Ways in which its engine can be told to recover, which `--mode` takes.
    pub modes: &'static [&'static str],
}

impl Profile {
    /// Whether what its records change are pages of a file, and nothing below them.
    pub fn paged(&self) -> bool {
        self.entry == "page"
    }
}

/// How to read one file of a log.
pub struct Opened {
    /// Decodes it.
    pub decoder: Box<dyn Decoder>,
    /// What its records promise.
    pub rules: Rules,
}

/// A record taken apart for people and machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The operation: `PUT`, `DELETE`, `COMMIT`, `page`.
    pub op: &'static str,
    /// Key, where the record has one.
    pub key: Option<&'a [u8]>,
    /// Value, where the record has one.
    pub value: Option<&'a [u8]>,
    /// Of an operation over a range of keys, which begins at `key`: the key that it ends in front of.
    pub end: Option<&'a [u8]>,
    /// Number of the column family, in formats that have them.
    pub family: Option<u32>,
    /// Its own number, where a record holds several operations; `None`: the record's.
    pub seq: Option<u64>,
    /// Page number, in logs of pages.
    pub page: Option<u64>,
    /// What the page is; told by a [`Context`].
    pub page_type: Option<&'static str>,
    /// Pages in the database from this record on, where it commits.
    pub pages: Option<u64>,
    /// Of which generation the log was when it was written, counted back from the live one, which is 0; told by a
    /// [`Context`].
    pub generation: Option<i64>,
    /// Bits of a timestamp in seconds since 1970, where the format stores one.
    pub time: Option<u64>,
}

/// Bytes of one file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Index of the file.
    pub file: usize,
    /// Offsets in it.
    pub span: Range<u64>,
}

/// Turns records into changes of the state, where what one does depends on those before it.
pub trait Memtable {
    /// Takes a record in; whether it changes anything by now. `contents`: see [`Unpack`].
    fn insert(&mut self, file: usize, record: &Record, contents: &[u8], take: Take<'_>) -> bool;

    /// Whether a record with these contents could change anything: the tables may hold all of it already.
    fn concerns(&self, file: usize, contents: &[u8]) -> bool;

    /// What waits for a commit, by place and name.
    fn waiting(&self) -> Vec<(Place, String)>;

    /// Parts of transactions that are not followed, for too many wait.
    fn unfollowed(&self) -> u64;

    /// Takes what still waits for a commit as if it had come; how many records it stood in.
    fn finish(&mut self, take: Take<'_>) -> u64;
}

/// What a catalogue says of the sizes of logs.
pub struct Tracked {
    /// Names, and the bytes that each has at least.
    pub sizes: Vec<(String, u64)>,
    /// What the engine does where one is shorter or missing, and what helps.
    pub how: &'static str,
}

/// How the files that say which files belong together are to be written anew.
pub struct Recatalogue<'a> {
    /// Without the sizes of logs.
    pub untracked: bool,
    /// From what can be read of them, and of the tables beside the log.
    pub rebuilt: bool,
    /// Also where it is in doubt what belongs to the store.
    pub force: bool,
    /// Names of the files that [belong](Format::belongs) to the log.
    pub beside: &'a [String],
    /// Opens those.
    pub open: &'a Open,
}

/// What comes of a [`Recatalogue`].
#[derive(Debug, Default)]
pub struct Recatalogued {
    /// Names and contents of the files that change, or are new.
    pub files: Vec<(String, Vec<u8>)>,
    /// What there is to say of it, in sentences.
    pub said: Vec<String>,
    /// By it, lower sequence numbers are not missing: tables hold them.
    pub due: u64,
}

/// Opens a file beside a log by its name; `None`: it cannot be opened.
pub type Open = Arc<dyn Fn(&str) -> Option<Box<dyn ReadAt>>>;

/// Puts the contents of records together that lie in pieces, or compressed.
pub trait Unpack {
    /// The contents of a record. `bytes`: the record, of a very long one only the first.
    fn contents<'b>(&'b mut self, record: &Record, bytes: &'b [u8]) -> &'b [u8];
}

/// What was recovered of a log whose records are no changes of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that are part of it.
    pub records: u64,
    /// Intact records that change something and are not: no commit closes them, or their batch lost another member.
    pub uncommitted: u64,
    /// See `uncommitted`.
    pub incomplete: u64,
    /// Something was there that cannot be had any more.
    pub lost: bool,
    /// Bytes of a page, and keys in the fullest one: how to make pages anew.
    pub page_bytes: u32,
    /// See `page_bytes`; 0: nothing tells.
    pub page_keys: u16,
    /// The file that the pages make, where they are all there is to recover.
    pub image: Option<Image>,
}

/// Receives the changes in order.
pub type Take<'t> = &'t mut dyn FnMut(Taken);

/// A log as its engine is asked about it.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Its files, in log order.
    pub files: &'a [LogFile<'a>],
    /// Their surveys.
    pub surveys: &'a [&'a Survey],
    /// The revision that it is read by.
    pub revision: Option<&'a str>,
    /// The engine's version, one of [`Profile::engines`]; `None`: the one that goes with the revision.
    pub engine: Option<&'a str>,
    /// How the engine recovers, one of [`Profile::modes`]; `None`: as the store was set up, as far as its files tell.
    pub mode: Option<&'a str>,
    /// Where a recovery stops; the engine knows no such place.
    pub until: Option<Place>,
}

impl Job<'_> {
    /// Whether the engine asked about is this version or a later one; `default` where none was named.
    pub fn engine_is(&self, profile: &Profile, from: &str, default: bool) -> bool {
        let place = |name: &str| profile.engines.iter().position(|e| *e == name);
        match (self.engine.and_then(place), place(from)) {
            (Some(asked), Some(from)) => asked >= from,
            _ => default,
        }
    }
}

/// What only the rest of a log tells of its records.
pub trait Context {
    /// Completes what is known of a record with these bytes.
    fn complete(&mut self, record: &Record, bytes: &[u8], entry: &mut Entry<'_>);

    /// The first record inside these bytes, or the last one, where the engine does not read any more.
    fn behind(&mut self, span: Range<u64>, last: bool) -> Option<Record>;
}

/// The commits of the teaching engines, oldest first: what `--engine` takes for their formats.
pub const DDIA_COMMITS: &[&str] =
    &["b9cf107", "31199dd", "1de802d", "104c886", "00044be", "134ac85", "3d072fa", "6770e82", "397ea2f"];

/// A log format: names, bytes, and what its engine does.
pub trait Format: Sync {
    /// See [`Profile`].
    fn profile(&self) -> &'static Profile;

    /// Whether a file of this name can belong to such a log.
    fn claim(&self, name: &str) -> Option<Claim>;

    /// Of formats whose files have the same names: whether a directory with files of these names is this one's. `head` gives
    /// the first bytes of one of them.
    fn suits(&self, _names: &[&str], _head: &mut dyn FnMut(&str) -> Vec<u8>) -> bool {
        true
    }

    /// Whether the first bytes of a file with an unknown name, at most 64 KiB, are such a log's; the higher the surer.
    fn recognise(&self, head: &[u8]) -> u64;

    /// What a log of this name is about, in logs that each are about a file of another name: that name, and its part.
    fn subject(&self, _log: &str) -> Option<(String, Claim)> {
        None
    }

    /// What a file with this name and these first bytes is to such logs, if it may be what one of them is about, or goes
    /// with: the names of those.
    fn logs_about(&self, _name: &str, _head: &[u8]) -> Option<About> {
        None
    }

    /// Whether a file of this name, beside a log of that name that is about a third file, has to do with it, too.
    fn beside(&self, _log: &str, _name: &str) -> Option<Claim> {
        None
    }

    /// Whether the log is part of a transaction over several logs, of which another one beside it is the first.
    fn follows(&self, _files: &[LogFile<'_>]) -> bool {
        false
    }

    /// Whether a repair can only be the file that its records are about: no log of them leads there.
    fn rolls_back(&self) -> bool {
        false
    }

    /// The file before the last commit, the records that make it, and whether something of it is lost, where the log holds
    /// what was there before.
    ///
    /// # Errors
    /// Why that cannot be had.
    fn undo_last_commit(&self, _files: &[LogFile<'_>]) -> Result<(Image, u64, bool), &'static str> {
        Err("its log does not hold what was there before")
    }

    /// Where the record begins of which these bytes, which are neither a record nor damaged, end with the first part.
    fn begun(&self, _files: &[LogFile<'_>], _file: usize, _span: Range<u64>) -> Option<u64> {
        None
    }

    /// Whether its files can be written anew, as repair and truncate do.
    fn mends(&self) -> bool {
        true
    }

    /// What lies below the log: the tables that it goes on from. `open` opens a file beside it by its name.
    ///
    /// # Errors
    /// Why it cannot be read, though it is there.
    fn base(&self, _files: &[LogFile<'_>], _open: &Open) -> Result<Option<Box<dyn Base>>, String> {
        Ok(None)
    }

    /// The column families by number, and how each merges; a number that is not among them is shown as it is.
    fn families(&self, _files: &[LogFile<'_>]) -> Vec<Family> {
        Vec::new()
    }

    /// Which revision wrote these files.
    fn revision(&self, files: &[LogFile<'_>]) -> Revision;

    /// A decoder for one of the files, and the promises of its records.
    fn open(&self, files: &[LogFile<'_>], file: usize, revision: Option<&str>) -> Opened;

    /// The fields of a record in a file of this role.
    fn layout(&self, role: Role, revision: Option<&str>) -> &'static Layout;

    /// The fields of this record, where they differ from one to the next.
    fn layout_of(&self, role: Role, revision: Option<&str>, _record: &[u8]) -> &'static Layout {
        self.layout(role, revision)
    }

    /// The fields of these bytes at this offset, which are no record: a header.
    fn heading(&self, _role: Role, _at: u64, _bytes: &[u8]) -> Option<&'static Layout> {
        None
    }

    /// What bytes of the framing begin with, where that says something of its own.
    fn aside(&self, _role: Role, _bytes: &[u8]) -> Option<Aside> {
        None
    }

    /// Further fields inside a record of this file, with the offset of the first of each: what its value is made of.
    fn inner(&self, _role: Role, _record: &[u8]) -> Vec<(usize, &'static Layout)> {
        Vec::new()
    }

    /// What the rest of the log tells of the records of this file; made once for a log that is gone through.
    fn context<'a>(&self, _files: &'a [LogFile<'a>], _file: usize) -> Option<Box<dyn Context + 'a>> {
        None
    }

    /// Whether its pages hold tables, whose rows [`Format::rows`] tells.
    fn tables(&self) -> bool {
        false
    }

    /// Tells the rows of tables in a file, page by page in order of offset and on a page by key, as long as `each` wants
    /// more.
    fn rows(
        &self,
        _files: &[LogFile<'_>],
        _file: usize,
        _wanted: &rows::Wanted<'_>,
        _each: &mut dyn FnMut(&rows::TableRow<'_>) -> bool,
    ) {
    }

    /// What puts the contents of the records of this file together; `None`: they are the records' own bytes.
    fn unpack<'a>(&self, _files: &'a [LogFile<'a>], _file: usize) -> Option<Box<dyn Unpack + 'a>> {
        None
    }

    /// What writes the records of this file anew; `None`: they can stand anywhere as they are.
    fn framer<'a>(&self, _files: &'a [LogFile<'a>], _file: usize) -> Option<Box<dyn Framer + 'a>> {
        None
    }

    /// Where transactions have names: the operations of a record with these contents that belong to one whose name is
    /// `wanted`, by their ordinals from 1.
    fn of_transaction(&self, _contents: &[u8], _wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Range<u64>> {
        Vec::new()
    }

    /// The file beside a log that its engine keeps open as long as it may write.
    fn lock(&self) -> Option<&'static str> {
        None
    }

    /// Whether a file of this name is no part of the log and yet has to go where the log goes: tables.
    fn belongs(&self, _name: &str) -> bool {
        false
    }

    /// Files that have to lie there and do not, so far as `gaps` do not tell. `size`: the bytes of one by its name, if it is
    /// there.
    fn lacks(
        &self,
        _files: &[LogFile<'_>],
        _surveys: &[Survey],
        _gaps: &[Gap],
        _size: &dyn Fn(&str) -> Option<u64>,
    ) -> Vec<Lack> {
        Vec::new()
    }

    /// The sizes of logs that its catalogue tracks, if it tracks any.
    fn tracked(&self, _files: &[LogFile<'_>]) -> Option<Tracked> {
        None
    }

    /// Whether [`Format::recatalogue`] can do anything.
    fn recatalogues(&self) -> bool {
        false
    }

    /// The files that say which files belong together, written anew.
    ///
    /// # Errors
    /// Why they cannot be.
    fn recatalogue(
        &self,
        _files: &[LogFile<'_>],
        _surveys: &[&Survey],
        _wish: &Recatalogue<'_>,
    ) -> Result<Recatalogued, String> {
        Err("such logs have none that could be written anew".into())
    }

    /// What turns the records of this log into changes; `None`: each says itself what it changes.
    fn memtable<'a>(&self, _files: &'a [LogFile<'a>]) -> Option<Box<dyn Memtable + 'a>> {
        None
    }

    /// The operations of a record, in order, as long as `each` wants more. `contents`: see [`Format::unpack`].
    fn operations(
        &self,
        role: Role,
        revision: Option<&str>,
        contents: &[u8],
        fix: Option<Fix>,
        each: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) {
        each(&self.entry(role, revision, contents, fix));
    }

    /// A record taken apart. `fix` names the field whose inferred value is to be used.
    fn entry<'a>(&self, role: Role, revision: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a>;

    /// Checks between files that the shared reader does not know: may reclassify regions, and adds remarks.
    fn inspect(
        &self,
        _files: &[LogFile<'_>],
        _surveys: &mut [Survey],
        _revision: Option<&str>,
    ) -> Vec<Remark> {
        Vec::new()
    }

    /// Where the files begin that the engine reads, and which number is due there, if something else than they tells.
    fn start(&self, _files: &[LogFile<'_>]) -> Option<Start> {
        None
    }

    /// Whether all numbers of a gap are proved to lie elsewhere, so that no log misses them.
    fn lie_elsewhere(&self, _files: &[LogFile<'_>], _gap: &Gap) -> bool {
        false
    }

    /// Whether a directory of this name, below a log's, holds logs that its engine has put away.
    fn puts_away(&self, _dir: &str) -> bool {
        false
    }

    /// What logs that were put away mean for this one, in which these numbers are missing.
    fn put_away(
        &self,
        _files: &[LogFile<'_>],
        _surveys: &[Survey],
        _gaps: &[Gap],
        _away: &[Away<'_>],
    ) -> Vec<Remark> {
        Vec::new()
    }

    /// The generations before the live one, the newest first, in logs that are begun anew in the same file.
    fn generations(&self, _files: &[LogFile<'_>], _surveys: &[&Survey]) -> Vec<Generation> {
        Vec::new()
    }

    /// What the engine would hold after opening these files: every change that it makes goes to `take`, if that is given.
    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome;

    /// Intact records in files that the engine does not read any more, as their changes are in its tables.
    fn settled(&self, _files: &[LogFile<'_>], _surveys: &[&Survey]) -> u64 {
        0
    }

    /// Whether files that it does read hold some of that, too: how much of it, only [`Format::engine`] tells.
    fn settled_in_part(&self, _files: &[LogFile<'_>]) -> bool {
        false
    }

    /// The way in which the engine would recover these files, where it has several; one of [`Profile::modes`].
    fn mode(&self, _files: &[LogFile<'_>]) -> Option<&'static str> {
        None
    }

    /// What is intact and committed, with `salvage` also what is not committed, in logs whose records are not changes of keys themselves; of
    /// several values of a key the last one told counts. `None`: the records tell it.
    fn recover(&self, _job: &Job<'_>, _salvage: bool, _take: Take<'_>) -> Option<Recovered> {
        None
    }

    /// Whether the engine reads the file with index and name `a` before `b`: in log order, unless it has its own idea.
    fn reads_before(&self, a: (usize, &str), b: (usize, &str)) -> bool {
        a.0 < b.0
    }

    /// The record that states that these numbers are missing, so that their gap is none any more; `None`: there is no such.
    fn gap(&self, _first: u64, _last: u64) -> Option<Vec<u8>> {
        None
    }

    /// Appends to `out` the record that sets a key in a file of this role.
    ///
    /// # Errors
    /// Why no record can say that.
    fn put(&self, _: Role, _revision: Option<&str>, _: &Fresh<'_>, _out: &mut Vec<u8>) -> Put {
        Err("records of this format set no keys")
    }

    /// What closes a file of this role when its records are written anew.
    fn seal(&self, _role: Role) -> Option<Box<dyn Seal>> {
        None
    }

    /// Whether it can tell good from bad in the files that are made of its logs.
    fn grades(&self) -> bool {
        false
    }

    /// How good such a file is; `None`: it is none at all.
    fn grade(&self, _file: &dyn ReadAt) -> Option<Grade> {
        None
    }

    /// For each damaged record of a file that one wrong word explains: the words that it can be.
    fn words(&self, _files: &[LogFile<'_>], _file: usize, _survey: &Survey) -> Vec<Vec<Word>> {
        Vec::new()
    }

    /// What ties the records of a file together, when they are written anew.
    fn link(&self, _files: &[LogFile<'_>], _file: usize) -> Option<Box<dyn Link>> {
        None
    }

    /// How a repair makes the files anew from the recovered state, as for pages, of which no record can be left out; `None`:
    /// the records are kept or left out one by one.
    fn anew(&self) -> Option<Anew> {
        None
    }

    /// The names under which the engine reads files of these names, given in log order, as it should.
    fn names(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Whether a file may get the name of another one that is read at its place, so that they are read in order.
    fn renames(&self) -> bool {
        false
    }

    /// What the engine does at a finding of this kind: a sentence or two for `explain`.
    fn engine_at(&self, code: Code) -> Option<&'static str>;
}

impl fmt::Debug for dyn Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.profile().name)
    }
}
