//! What SQLite makes of a journal when it opens the database, and leaves of the database.
//!
//! 1. Database missing or empty: the journal is deleted (`hasHotJournal`). 2. Journal empty, or its first byte is 0: not
//!    hot, left alone. 3. It names a super-journal that is not there: the transaction was committed, the journal is deleted
//!    (`pager_playback`). 4. No sound header: the journal is deleted, and nothing is rolled back. 5. The database is cut to
//!    its original size or filled up to it; the records of each segment are written back, up to the first one with a wrong
//!    checksum, an impossible page number, or a header that is not where the count says. What follows is dropped, and
//!    the journal is deleted.

use std::collections::BTreeMap;

use super::facts::SECTOR;
use super::header::{HEAD, Header, Shape, Sort, TO_THE_END, Trailer, file_name};
use super::pages::{give, patches};
use crate::format::sqlite::files as beside;
use crate::format::sqlite_wal::companion::{Rules, after};
use crate::format::{Halt, Image, Job, LogFile, Outcome, Role, Take};
use crate::log::bytes::{Bytes, Reader};
use crate::log::finding::Code;

/// The page size of a database that does not say a legal one.
const DEFAULT_PAGE: u32 = 4096;

/// Whether SQLite would roll a journal back, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hot {
    /// It would.
    Yes,
    /// The journal is empty.
    Empty,
    /// It begins with a zero.
    Zeroed,
    /// There is no database, or it is empty.
    NoDatabase,
    /// The super-journal that it names is not there.
    Committed,
    /// Its first header is not sound.
    NoHeader,
}

/// What SQLite does with a journal.
#[derive(Debug, Default)]
pub struct Played {
    /// Records written back.
    pub records: u64,
    /// Where it stops reading.
    pub end: u64,
    /// Offset of the last record of each page, by page number.
    pub images: BTreeMap<u32, u64>,
    /// Pages of the database before the transaction, and what its records look like; `None`: nothing is rolled back.
    pub to: Option<(u32, Shape)>,
}

/// Whether the journal is hot, by what the files say; locks are not asked.
pub fn hot(files: &[LogFile<'_>], log: usize) -> Hot {
    let mut reader = Reader::new(files[log].src);
    match reader.array::<1>(0) {
        Err(_) => return Hot::Empty,
        Ok([first]) if beside::database_bytes(files) == 0 && !files[log].stream => {
            return if first == 0 { Hot::Zeroed } else { Hot::NoDatabase };
        }
        Ok([0]) => return Hot::Zeroed,
        Ok(_) => {}
    }
    let header = Header::at(&mut reader, 0).filter(|header| header.sort() == Sort::Live);
    if super_journal(files, log).is_some_and(|(_, there)| !there) {
        Hot::Committed
    } else if header.and_then(|header| shape(&header, files)).is_none() || reader.end() < SECTOR {
        Hot::NoHeader
    } else {
        Hot::Yes
    }
}

/// Whether SQLite rolls pages back.
pub fn is_hot(files: &[LogFile<'_>], log: usize) -> bool {
    hot(files, log) == Hot::Yes
}

/// The super-journal that a journal names, and whether it lies beside it.
pub fn super_journal(files: &[LogFile<'_>], log: usize) -> Option<(Vec<u8>, bool)> {
    let mut reader = Reader::new(files[log].src);
    let (from, to) = Trailer::of(&mut reader, None)?.name;
    let name = reader.piece(from..to).ok()?.to_vec();
    let lists = |f: &&LogFile<'_>| f.claim.role == Role::List && f.name.as_bytes() == file_name(&name);
    let there = files.iter().find(lists).is_some_and(|f| f.src.size() > 0);
    Some((name, there || files[log].stream))
}

/// Whether the super-journal that a journal names is called after another database, and lies beside it.
pub fn follows(files: &[LogFile<'_>], log: usize) -> bool {
    let own = files[log].name.strip_suffix(super::SUFFIX).unwrap_or(files[log].name).as_bytes();
    super_journal(files, log).is_some_and(|(path, there)| {
        let main = file_name(&path).split_last_chunk::<12>().map(|(main, _)| main);
        there && main.is_some_and(|main| main != own)
    })
}

/// What records look like by the first header, as the engine takes it.
fn shape(header: &Header, files: &[LogFile<'_>]) -> Option<Shape> {
    if header.page_bytes != 0 {
        return header.shape();
    }
    let database = beside::database(files).map(|file| files[file].src);
    let stated = database.and_then(|src| Reader::with_chunk(src, 64).array::<2>(16).ok());
    let stated = stated.map_or(0, |[a, b]| u32::from(a) << 8 | u32::from(b) << 16);
    header.with_pages_of(stated).shape().or_else(|| header.with_pages_of(DEFAULT_PAGE).shape())
}

/// Goes through the journal as SQLite does.
pub fn play(files: &[LogFile<'_>], log: usize) -> Played {
    let mut played = Played::default();
    let mut reader = Reader::new(files[log].src);
    let first = Header::at(&mut reader, 0).filter(|_| is_hot(files, log));
    let Some((first, shape)) = first.and_then(|header| Some((header, shape(&header, files)?))) else {
        return played;
    };
    played.to = Some((first.pages, shape));
    let (mut at, mut header) = (0, first);
    loop {
        at += shape.sector;
        let rest = reader.end().saturating_sub(at) / shape.stride();
        let count = if header.count == TO_THE_END { rest } else { u64::from(header.count) };
        for _ in 0..count {
            played.end = at;
            if !played.record(&mut reader, shape, header.nonce, at) {
                return played;
            }
            at += shape.stride();
        }
        played.end = at;
        at = shape.boundary(at);
        if at.saturating_add(shape.sector) > reader.end() {
            return played;
        }
        match Header::at(&mut reader, at).filter(|header| header.sort() == Sort::Live) {
            Some(next) => header = next,
            None => return played,
        }
    }
}

impl Played {
    /// Takes the record at `at`, or skips it; `false`: SQLite stops here.
    fn record(&mut self, reader: &mut Reader<'_>, shape: Shape, nonce: u32, at: u64) -> bool {
        let pages = self.to.map_or(0, |(pages, _)| pages);
        reader.forward(at, shape.stride() as usize);
        let page = reader.array(at).map(u32::from_be_bytes).unwrap_or(0);
        if page == 0 || page == shape.lock_page() || reader.within(at, at + shape.stride() - 4).is_err() {
            return false;
        }
        if page > pages {
            return true;
        }
        if shape.slot_at(reader, at).is_none_or(|slot| slot.1 != nonce) {
            return false;
        }
        self.records += 1;
        self.images.insert(page, at);
        true
    }

    /// The file that it leaves.
    pub fn image(&self, files: &[LogFile<'_>], log: usize) -> Image {
        let before = beside::as_it_is(files);
        let Some((pages, shape)) = self.to else { return before };
        let size = before.len;
        let whole = u64::from(pages).saturating_mul(shape.page_bytes);
        // Less than a page is not filled up (`pager_truncate`).
        let kept = if size < whole && whole - size < shape.page_bytes { size } else { whole };
        let last = self.images.last_key_value().map_or(0, |(page, _)| u64::from(*page));
        let len = kept.max(last.saturating_mul(shape.page_bytes));
        Image {
            len,
            page_bytes: shape.page_bytes as u32,
            patches: patches(&self.images, log, shape),
            ..before
        }
    }
}

/// See the top of this file.
pub fn outcome(job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
    let mut outcome = Outcome { opens: true, error: None, records: 0, transactions: 0, ..Outcome::default() };
    let Some(log) = beside::log(job.files) else { return outcome };
    let played = play(job.files, log);
    outcome.records = played.records;
    outcome.halts.push(Halt { file: log, at: played.end, for_good: true, to: u64::MAX });
    let Some(take) = take else { return outcome };
    if let Some((_, shape)) = played.to {
        give(&played.images, log, shape, take);
    }
    outcome.image = Some(after(job.files, Rules::Engine, played.image(job.files, log)));
    outcome
}

/// Bytes of a journal that are a sound header and records behind it.
pub fn proved(log: &LogFile<'_>) -> u64 {
    let mut reader = Reader::new(log.src);
    let header = Header::at(&mut reader, 0).filter(|header| header.sort() == Sort::Live);
    let Some((header, shape)) = header.and_then(|header| Some((header, header.shape()?))) else { return 0 };
    let places = (0..u64::from(header.count)).map_while(|n| n.checked_mul(shape.stride()));
    let fits = |at: &u64| shape.slot_at(&mut reader, *at).is_some_and(|slot| slot.1 == header.nonce);
    let records = places.map(|bytes| bytes.saturating_add(shape.sector)).take_while(fits).count() as u64;
    if records == 0 { HEAD } else { shape.sector + records * shape.stride() }
}

/// What SQLite does at a finding.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::ChecksumMismatch | Code::ZeroFilled | Code::InconsistentLength => {
            "Stops rolling back at the first record with a wrong checksum or page number 0, deletes the journal and says \
             nothing: pages whose records lie behind it stay as the interrupted transaction left them."
        }
        Code::Malformed => {
            "A header without its magic number, or not where the count before it leads to, is the end of the journal: \
             what lies behind is not rolled back. Where it is the first one, nothing is, and the journal is deleted."
        }
        Code::ImpossibleNumber => {
            "Skips a page number behind the old end of the database; page 0 is the end of the journal. A wrong number below \
             that makes it write the image over another page: the checksum does not cover the number."
        }
        Code::TornTail => {
            "Rolls back up to the record that is cut off, deletes the journal, and leaves the other pages as they are."
        }
        Code::PageDamaged => {
            "Looks at the checksum only, which covers one byte of 200, and writes the damaged page back into the database."
        }
        Code::TreeInconsistent => {
            "Looks at nothing but the checksums: it rolls back, deletes the journal, and says that the database is malformed \
             when it comes upon it."
        }
        Code::UnfinishedOperation => {
            "Rolls the transaction back as soon as it opens the database: cuts it to its old size, writes every page in the \
             journal back, and deletes the journal."
        }
        Code::StaleGeneration => {
            "Ignores it. In the mode PERSIST the next transaction is written over it; in others the journal is deleted then."
        }
        Code::NeverSynced => "Ignores it: the database has not been changed for these records.",
        Code::MissingFile => {
            "Without a database, or with an empty one, it deletes the journal. Where a super-journal that the journal names \
             is missing it takes the transaction for committed, deletes the journal and rolls nothing back."
        }
        Code::ForeignRecords => {
            "Nothing in a journal names its database: SQLite rolls back whatever lies under that name."
        }
        _ => return None,
    })
}
