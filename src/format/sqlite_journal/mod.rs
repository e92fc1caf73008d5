//! `sqlite-journal`: SQLite's rollback journal, `X-journal` beside the database `X`: pages as they were before a transaction.
//!
//! ```text
//! header  magic u64 | count u32 | nonce u32 | pages u32 | sector u32 | page size u32 | up to the sector's end  big-endian
//! record  page u32 | old page image | checksum u32                                                               big-endian
//! trailer page u32 | name of the super-journal | length u32 | checksum u32 | magic u64                           big-endian
//! ```
//! A header stands at the start of a sector, and as many records as it counts behind it; the next header follows in the next
//! sector. Magic and count are zero until the records have been synced; a count of `ffffffff` means the rest of the file.
//! Sector, page size and pages (in the database before the transaction) count in the first header only.
//! A record is valid when 1. its page number is neither 0 nor that of the page at 1 GiB, 2. its checksum is the nonce plus
//! each 200th byte of the page, counted from its end, without the first ([`header::Shape::slot`]). The page number is
//! outside the checksum, and so are most bytes of the page.
//! Commit: the journal is deleted, cut to nothing, or its first 28 bytes are zeroed. Until then it is hot, unless it names a
//! super-journal, which several databases share, and that one is gone.
//! The engine rolls back up to the first record that is not valid (`pager_playback`), and deletes the journal.
//! Records are numbered by their place, from 1.

use self::facts::Facts;
use self::header::{big, file_name};
use self::history::JournalHistory;
use crate::format::rows::{TableRow, Wanted};
use crate::format::sqlite::kinds::PageContext;
use crate::format::sqlite::{files as beside, layout, rows};
use crate::format::sqlite_wal::companion;
use crate::format::{
    About, Claim, Context, Entry, Format, Grade, Image, Job, LogFile, Opened, Outcome, Profile, Recovered,
    Remark, Revision, Role, Take,
};
use crate::log::bytes::ReadAt;
use crate::log::finding::Code;
use crate::log::layout::{Layout, mark, uint};
use crate::log::numbering::Numbering;
use crate::log::record::Fix;
use crate::log::survey::{Grouping, Rules, Survey};

mod decoder;
mod engine;
mod facts;
mod header;
mod history;
mod inspect;
mod pages;
mod spoiled;

#[cfg(test)]
mod tests;

pub(crate) use engine::is_hot;
pub(crate) use header::is_super_journal;
pub(crate) use pages::rolled_back;
pub use pages::{Undone, undo_last_commit};

/// The fields that a segment begins with.
const HEADER: Layout = Layout {
    big_endian: true,
    fields: &[
        mark("magic", 8),
        uint("count", 4),
        uint("nonce", 4),
        uint("pages", 4),
        uint("sector", 4),
        uint("page size", 4),
    ],
    checksum: None,
};

/// The fields in front of a page.
const RECORD: Layout = Layout { big_endian: true, fields: &[uint("page", 4)], checksum: None };

/// What stands behind a page.
static CHECKSUM: Layout = Layout { big_endian: true, fields: &[uint("checksum", 4)], checksum: None };

/// The fields that a file without records begins with.
const OTHER: Layout = Layout { big_endian: true, fields: &[], checksum: None };

/// What a header begins with, and the name of a super-journal ends in.
const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// The one kind of record.
const KIND_RECORD: u8 = 0;
/// What the name of a journal ends in, behind the name of its database.
pub(crate) const SUFFIX: &str = "-journal";

/// The format.
pub struct SqliteJournal;

static PROFILE: Profile = Profile {
    name: "sqlite-journal",
    title: "SQLite rollback journal",
    family: Some("sqlite"),
    files: "*-journal",
    revisions: &[],
    engines: &[],
    record: "record",
    entry: "page",
    numbered: true,
    families: false,
    modes: &[],
};

impl Format for SqliteJournal {
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
        if is_super_journal(name.as_bytes()) {
            let named =
                head.split(|b| *b == 0).map(|path| String::from_utf8_lossy(file_name(path)).into_owned());
            let logs = named.filter(|name| self.claim(name).is_some()).collect();
            return Some(About { what: Some("a SQLite super-journal"), logs });
        }
        let index = beside::database_of(name, beside::INDEX).is_some();
        (!index).then(|| About { what: beside::called(head), logs: vec![format!("{name}{SUFFIX}")] })
    }

    fn beside(&self, log: &str, name: &str) -> Option<Claim> {
        companion::claim(log, name)
    }

    fn rolls_back(&self) -> bool {
        true
    }

    fn grades(&self) -> bool {
        true
    }

    fn grade(&self, file: &dyn ReadAt) -> Option<Grade> {
        Grade::of_sqlite(file)
    }

    fn undo_last_commit(&self, files: &[LogFile<'_>]) -> Result<(Image, u64, bool), &'static str> {
        let undone = pages::undo_last_commit(files)?;
        if companion::follows(files) {
            return Err("a write-ahead log beside it holds later commits");
        }
        if !undone.fits {
            return Err("the database has been changed again since");
        }
        Ok((undone.image, undone.records, undone.lost > 0 || undone.torn.is_some()))
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        engine::proved(&beside::unnamed(&head))
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
            grouping: Grouping::None,
            trust: decoder::TRUST,
        };
        Opened { decoder: Box::new(decoder::JournalDecoder::new(Facts::of(files, file))), rules }
    }

    fn follows(&self, files: &[LogFile<'_>]) -> bool {
        beside::log(files).is_some_and(|log| engine::follows(files, log))
    }

    fn layout(&self, role: Role, _: Option<&str>) -> &'static Layout {
        if role == Role::Log { &RECORD } else { &OTHER }
    }

    fn entry<'a>(&self, _: Role, _: Option<&str>, record: &'a [u8], _: Option<Fix>) -> Entry<'a> {
        let (Some(page), Some(rest)) = (record.get(..4), record.get(4..)) else { return Entry::default() };
        let value = rest.get(..rest.len().saturating_sub(4));
        Entry { op: "PAGE", page: Some(u64::from(big(page))), value, ..Entry::default() }
    }

    fn heading(&self, role: Role, at: u64, bytes: &[u8]) -> Option<&'static Layout> {
        (role == Role::Log && (at == 0 || bytes.starts_with(&MAGIC))).then_some(&HEADER)
    }

    fn inner(&self, role: Role, record: &[u8]) -> Vec<(usize, &'static Layout)> {
        let (from, to) = (RECORD.fixed() as usize, record.len().saturating_sub(4));
        let image = record.get(from..to).filter(|_| role == Role::Log);
        let parts = image.map_or(Vec::new(), |image| layout::of(u64::from(big(&record[..from])), image));
        let tail = image.map(|_| (to, &CHECKSUM));
        parts.into_iter().map(|(at, part)| (at + from, part)).chain(tail).collect()
    }

    fn context<'a>(&self, files: &'a [LogFile<'a>], file: usize) -> Option<Box<dyn Context + 'a>> {
        let history = JournalHistory::of(files, file)?;
        Some(Box::new(PageContext::new(history)))
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
        let Some(history) = beside::log(files).and_then(|log| JournalHistory::of(files, log)) else { return };
        rows::of_file(&history, files[file].claim.role, wanted, each);
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], _: Option<&str>) -> Vec<Remark> {
        inspect::inspect(files, surveys)
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, take)
    }

    fn recover(&self, job: &Job<'_>, salvage: bool, take: Take<'_>) -> Option<Recovered> {
        Some(pages::recover(job, salvage, take))
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}
