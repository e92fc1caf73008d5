//! The files that a log of pages goes with: what they are called, and the database that lies beside the log. Both kinds of
//! log say of those what is said here.

use std::any::Any;

use super::header::{self, MAGIC};
use crate::format::{Claim, Image, LogFile, Opened, Role};
use crate::log::bytes::{Bytes, ReadAt, Reader, Window};
use crate::log::decoder::{Decoder, Recovery, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::numbering::Numbering;
use crate::log::record::{Record, Trust};
use crate::log::region::Kind;
use crate::log::survey::{Grouping, Rules};

/// What the name of the index over a WAL ends in, behind the name of its database; it is never needed.
pub const INDEX: &str = "-shm";

/// What a log is to its files.
const LOG: Claim = Claim { role: Role::Log, order: 0, exact: true, read: true };
/// What the database is to them.
const DATABASE: Claim = Claim { role: Role::Pages, order: 1, exact: false, read: true };

/// The name of the database with this file, if the file's name ends like that.
pub fn database_of<'n>(name: &'n str, suffix: &str) -> Option<&'n str> {
    name.strip_suffix(suffix).filter(|database| !database.is_empty())
}

/// The claim to a log of this name.
pub fn claim(name: &str, suffix: &str) -> Option<Claim> {
    database_of(name, suffix).map(|_| LOG)
}

/// The database that a log of this name is about.
pub fn subject(log: &str, suffix: &str) -> Option<(String, Claim)> {
    database_of(log, suffix).map(|database| (database.to_owned(), DATABASE))
}

/// What to call a file with these first bytes where a log was looked for, if it is a database.
pub fn called(head: &[u8]) -> Option<&'static str> {
    head.starts_with(MAGIC).then_some("a SQLite database")
}

/// The first bytes of a file of unknown name as a log.
pub fn unnamed(head: &dyn ReadAt) -> LogFile<'_> {
    LogFile { name: "", claim: Claim { exact: false, ..LOG }, src: head, memo: None, stream: false }
}

/// Index of the log.
pub fn log(files: &[LogFile<'_>]) -> Option<usize> {
    files.iter().position(|f| f.claim.role == Role::Log)
}

/// Index of the database; `None`: there is none, or the engine takes it for empty.
pub fn database(files: &[LogFile<'_>]) -> Option<usize> {
    let file = files.iter().position(|f| f.claim.role == Role::Pages)?;
    (!empty(files[file].src.size())).then_some(file)
}

/// Whether the engine takes a database of so many bytes for empty.
pub fn empty(bytes: u64) -> bool {
    // A single one it may have written itself into an empty file (`unixFileSize`).
    bytes <= 1
}

/// Length of the database in bytes as the engine sees it; 0: there is none.
pub fn database_bytes(files: &[LogFile<'_>]) -> u64 {
    database(files).map_or(0, |file| files[file].src.size())
}

/// Bytes of a page as the database states them.
pub fn page_bytes(files: &[LogFile<'_>]) -> Option<u64> {
    stated(files[database(files)?].src).map(u64::from)
}

/// The page size that a database file states.
pub fn stated(database: &dyn ReadAt) -> Option<u32> {
    let mut head = [0; 18];
    let n = database.read_at(0, &mut head).ok()?;
    header::page_bytes(head.get(..n)?)
}

/// The database as it lies there.
pub fn as_it_is(files: &[LogFile<'_>]) -> Image {
    let base =
        files.iter().position(|f| f.claim.role == Role::Pages).filter(|&file| files[file].src.size() > 0);
    Image { base, len: base.map_or(0, |file| files[file].src.size()), page_bytes: 0, patches: Vec::new() }
}

/// What is known of the log with this index: found once, unless it is one of several or lies beside the log.
pub fn facts<T: Any + Send + Sync + Copy>(files: &[LogFile<'_>], log: usize, find: impl Fn() -> T) -> T {
    let alone = files.iter().filter(|f| f.claim.role == Role::Log).count() == 1;
    let own = files[log].claim.role == Role::Log;
    files[log].memo.filter(|_| alone && own).map_or_else(&find, |memo| memo.get(&find))
}

/// How a file is read that holds no records of the log.
pub fn opened() -> Opened {
    let rules = Rules { numbering: Numbering::None, grouping: Grouping::None, trust: Trust::POSITION };
    Opened { decoder: Box::new(Unjudged), rules }
}

/// Such a file is there to be looked up: none of its bytes are judged.
struct Unjudged;

impl Decoder for Unjudged {
    fn fill(&mut self, window: Window<'_>, at: &mut u64, _: &mut Vec<Record>) -> Stop {
        if *at < window.end { Stop::Framing(window.end) } else { Stop::End }
    }

    fn long(&mut self, _: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        Err(Fault { at, cause: Cause::Malformed("database") })
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let (from, resume, trust) = (fault.at, reader.end(), Trust::POSITION);
        let (cause, kind) = (fault.cause, Kind::Damage);
        Recovery { from, record: None, resume, trust, cause, kind, embedded: None }
    }
}
