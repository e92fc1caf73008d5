//! `sqlite-wal`: SQLite's write-ahead log, `X-wal` beside the database `X`: page images, each behind a frame header.
//!
//! ```text
//! header  magic u32 | version u32 | page size u32 | sequence u32 | salts u64 | checksum u64          big-endian
//! frame   page u32 | commit u32 | salts u64 | checksum u64 | page image                              big-endian
//! ```
//! A frame is valid when 1. its salts are the header's, 2. its page number is not 0, 3. its checksum is the running one
//! over the header's first 24 bytes and, of every frame up to this one, the first 8 bytes and the page ([`frame::Sum`];
//! the magic's lowest bit says in which byte order its words are taken). The salts are outside the checksum.
//! Commit: a frame whose commit field is not 0; it states the pages of the database from then on. A transaction is what
//! ends in such a frame.
//! The engine reads up to the first frame that is not valid and then back to the last commit (`walIndexRecover`). It begins
//! at frame 1 again once everything is in the database, with new salts, and leaves the old frames behind the new ones.
//! Frames are numbered by their place, from 1.

use self::facts::Facts;
use self::frame::{HEAD, Head};
use self::history::WalHistory;
use crate::format::rows::{TableRow, Wanted};
use crate::format::sqlite::kinds::PageContext;
use crate::format::sqlite::{files as beside, layout, rows};
use crate::format::{
    About, Claim, Context, Entry, Format, Generation, Grade, Job, Link, LogFile, Opened, Outcome, Profile,
    Recovered, Remark, Revision, Role, Take, Word,
};
use crate::log::bytes::ReadAt;
use crate::log::finding::Code;
use crate::log::layout::{Layout, mark, uint};
use crate::log::numbering::Numbering;
use crate::log::record::Fix;
use crate::log::survey::{Grouping, Rules, Survey};

mod belongs;
pub(crate) mod companion;
mod decoder;
mod engine;
pub(crate) mod facts;
mod frame;
mod generations;
mod history;
mod inspect;
mod link;
mod pages;
mod word;

#[cfg(test)]
mod tests;

/// The fields in front of a page.
pub const FRAME: Layout = Layout {
    big_endian: true,
    fields: &[uint("page", 4), uint("commit", 4), uint("salts", 8), uint("checksum", 8)],
    checksum: None,
};

/// The fields that a WAL begins with.
pub const HEADING: Layout = Layout {
    big_endian: true,
    fields: &[
        mark("magic", 4),
        uint("version", 4),
        uint("page size", 4),
        uint("checkpoints", 4),
        mark("salts", 8),
        mark("checksum", 8),
    ],
    checksum: None,
};

/// The fields that a database begins with, and other files.
const DATABASE_LAYOUT: Layout = Layout { big_endian: true, fields: &[], checksum: None };

/// The magic number without its lowest bit, and the version that the engine knows.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
/// The one kind of record.
const KIND_FRAME: u8 = 0;
/// What the name of a WAL ends in, behind the name of its database.
const SUFFIX: &str = "-wal";

/// The format.
pub struct SqliteWal;

static PROFILE: Profile = Profile {
    name: "sqlite-wal",
    title: "SQLite write-ahead log",
    family: Some("sqlite"),
    files: "*-wal",
    revisions: &[],
    engines: &[],
    record: "frame",
    entry: "page",
    numbered: true,
    families: false,
    modes: &[],
};

impl Format for SqliteWal {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        beside::claim(name, SUFFIX)
    }

    fn subject(&self, log: &str) -> Option<(String, Claim)> {
        beside::subject(log, SUFFIX)
    }

    fn logs_about(&self, name: &str, head: &[u8]) -> Option<About> {
        let log = |database: &str| vec![format!("{database}{SUFFIX}")];
        match beside::database_of(name, beside::INDEX) {
            Some(database) => {
                Some(About { what: Some("the index of a SQLite write-ahead log"), logs: log(database) })
            }
            None => Some(About { what: beside::called(head), logs: log(name) }),
        }
    }

    fn beside(&self, log: &str, name: &str) -> Option<Claim> {
        companion::claim(log, name)
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        let files = [beside::unnamed(&head)];
        // Without a sound header only chance would tell: a name is needed then.
        match Facts::of(&files, 0).header {
            Some(header) if header.fault.is_none() => engine::proved(&files[0]),
            _ => 0,
        }
    }

    fn revision(&self, _: &[LogFile<'_>]) -> Revision {
        Revision::default()
    }

    fn open(&self, files: &[LogFile<'_>], file: usize, _: Option<&str>) -> Opened {
        if files[file].claim.role != Role::Log {
            return beside::opened();
        }
        let rules = Rules {
            numbering: Numbering::Contiguous { restarts: false },
            grouping: Grouping::CommitOnly,
            trust: decoder::TRUST,
        };
        Opened { decoder: Box::new(decoder::FrameDecoder::new(Facts::of(files, file))), rules }
    }

    fn layout(&self, role: Role, _: Option<&str>) -> &'static Layout {
        if role == Role::Log { &FRAME } else { &DATABASE_LAYOUT }
    }

    fn entry<'a>(&self, _: Role, _: Option<&str>, record: &'a [u8], _: Option<Fix>) -> Entry<'a> {
        let Some(head) = record.first_chunk().map(Head::of) else { return Entry::default() };
        let op = if head.commit == 0 { "PAGE" } else { "COMMIT" };
        let (page, value) = (Some(u64::from(head.page)), record.get(HEAD as usize..));
        let pages = (head.commit != 0).then_some(u64::from(head.commit));
        Entry { op, page, pages, value, ..Entry::default() }
    }

    fn heading(&self, role: Role, at: u64, _: &[u8]) -> Option<&'static Layout> {
        (role == Role::Log && at == 0).then_some(&HEADING)
    }

    fn inner(&self, role: Role, record: &[u8]) -> Vec<(usize, &'static Layout)> {
        let head = record.first_chunk().map(Head::of).filter(|_| role == Role::Log);
        let image = record.get(HEAD as usize..).unwrap_or_default();
        let parts = head.map_or(Vec::new(), |head| layout::of(u64::from(head.page), image));
        parts.into_iter().map(|(at, part)| (at + HEAD as usize, part)).collect()
    }

    fn tables(&self) -> bool {
        true
    }

    fn rows(
        &self,
        files: &[LogFile<'_>],
        file: usize,
        wanted: &Wanted<'_>,
        each: &mut dyn FnMut(&TableRow<'_>) -> bool,
    ) {
        let Some(history) = beside::log(files).and_then(|log| WalHistory::of(files, log)) else { return };
        rows::of_file(&history, files[file].claim.role, wanted, each);
    }

    fn context<'a>(&self, files: &'a [LogFile<'a>], file: usize) -> Option<Box<dyn Context + 'a>> {
        let history = WalHistory::of(files, file)?;
        Some(Box::new(PageContext::new(history)))
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], _: Option<&str>) -> Vec<Remark> {
        inspect::inspect(files, surveys)
    }

    fn generations(&self, files: &[LogFile<'_>], surveys: &[&Survey]) -> Vec<Generation> {
        generations::find(files, surveys)
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, take)
    }

    fn recover(&self, job: &Job<'_>, salvage: bool, take: Take<'_>) -> Option<Recovered> {
        Some(pages::recover(job, salvage, take))
    }

    fn grades(&self) -> bool {
        true
    }

    fn grade(&self, file: &dyn ReadAt) -> Option<Grade> {
        Grade::of_sqlite(file)
    }

    fn words(&self, files: &[LogFile<'_>], file: usize, survey: &Survey) -> Vec<Vec<Word>> {
        word::locate(files, file, survey)
    }

    fn link(&self, files: &[LogFile<'_>], file: usize) -> Option<Box<dyn Link>> {
        let log = files.get(file).is_some_and(|f| f.claim.role == Role::Log);
        log.then(|| link::Chain::of(files, file)).flatten().map(|chain| Box::new(chain) as Box<dyn Link>)
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}
