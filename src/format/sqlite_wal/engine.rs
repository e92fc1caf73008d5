//! What SQLite makes of a WAL when it opens the database, and leaves of it when it closes it again.
//!
//! 1. Database missing or empty: the WAL is deleted. 2. Header not sound: the WAL is ignored. 3. Another version: the
//!    database cannot be opened. 4. Frames count up to the last commit before the first one that is not valid
//!    (`walIndexRecover`, `walDecodeFrame`). 5. The newest image of each page is written into the database, which is cut or
//!    filled up to the size of that commit (`walCheckpoint`); not where it would grow by more than the WAL explains.

use super::companion::{Rules, before};
use super::facts::{Facts, Frames};
use super::frame::{HEADER, Head, Sum};
use super::pages::{Newest, page_bytes, size_of};
use crate::format::sqlite::files as beside;
use crate::format::{Halt, Image, Job, LogFile, Outcome, Take};
use crate::log::bytes::{Bytes, Reader};
use crate::log::finding::Code;

/// So much more than database and WAL hold may a commit ask for (`walCheckpoint`).
const SLACK: u64 = 65536;

/// See the top of this file.
pub fn outcome(job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
    let (records, transactions) = (0, 0);
    let mut outcome = Outcome { opens: true, error: None, records, transactions, ..Outcome::default() };
    let Some(log) = beside::log(job.files) else { return outcome };
    let before = before(job.files, Rules::Engine);
    let there = is_there(job.files, log, &before);
    let header = Facts::of(job.files, log).header.filter(|header| header.fault.is_none() && there);
    if header.is_some_and(|header| !header.known()) {
        outcome.opens = false;
        outcome.error = Some("unable to open database file".into());
        return outcome;
    }
    let kept = Kept::of(job.files, log, there, take.is_some());
    (outcome.records, outcome.transactions) = (kept.records, kept.commits);
    outcome.halts.push(Halt { file: log, at: kept.end.max(HEADER), for_good: true, to: u64::MAX });
    let Some(take) = take else { return outcome };
    kept.newest.give(log, page_bytes(job.files, log), take);
    outcome.image = Some(kept.image(job.files, log, before));
    outcome
}

/// The database `before` once the WAL with this index has been applied to it.
pub fn applied(files: &[LogFile<'_>], log: usize, before: Image) -> Image {
    Kept::of(files, log, is_there(files, log, &before), true).image(files, log, before)
}

/// Whether there is a database to the engine. Of a stream it is told what comes of it beside its database.
fn is_there(files: &[LogFile<'_>], log: usize, before: &Image) -> bool {
    files[log].stream || !beside::empty(before.len)
}

/// Whether SQLite takes anything over from a WAL.
pub fn commits(files: &[LogFile<'_>], log: usize) -> bool {
    Kept::of(files, log, true, false).commits > 0
}

/// Bytes of a WAL that are a sound header and frames that follow on it.
pub fn proved(log: &LogFile<'_>) -> u64 {
    let facts = Facts::of(&[LogFile { memo: None, ..*log }], 0);
    let (Some(header), Some(frames)) = (facts.header, facts.frames) else { return 0 };
    let mut kept = Kept::default();
    kept.read(&mut Reader::new(log.src), &frames, header.sums[0], false);
    HEADER + kept.seen * frames.shape.stride()
}

/// What the engine keeps of a WAL.
#[derive(Default)]
struct Kept {
    /// Frames that it reads, and those of them up to the last commit.
    seen: u64,
    records: u64,
    commits: u64,
    /// Offset behind the last commit.
    end: u64,
    newest: Newest,
}

impl Kept {
    /// Of the WAL with this index. `database`: there is one; `pages`: they are wanted, too.
    fn of(files: &[LogFile<'_>], log: usize, database: bool, pages: bool) -> Kept {
        let (mut kept, facts) = (Kept::default(), Facts::of(files, log));
        let header = facts.header.filter(|header| database && header.known());
        if let (Some(header), Some(frames)) = (header, facts.frames) {
            kept.read(&mut Reader::new(files[log].src), &frames, header.sums[0], pages);
        }
        kept
    }

    /// The file that they make of the database.
    fn image(&self, files: &[LogFile<'_>], log: usize, before: Image) -> Image {
        let page_bytes = page_bytes(files, log);
        let wanted = u64::from(self.newest.pages).saturating_mul(page_bytes);
        let room = before.len.saturating_add(SLACK).saturating_add(self.records.saturating_mul(page_bytes));
        if self.records == 0 || wanted > room && !files[log].stream {
            return Image { page_bytes: size_of(page_bytes), ..before };
        }
        self.newest.image(log, before, page_bytes)
    }

    fn read(&mut self, reader: &mut Reader<'_>, frames: &Frames, mut seed: Sum, pages: bool) {
        let stride = frames.shape.stride();
        let mut at = HEADER;
        while at.saturating_add(stride) <= reader.end() {
            let window = reader.forward(at, stride as usize);
            let Ok(bytes) = window.slice(at..at + stride) else { break };
            let Some(head) = bytes.first_chunk().map(Head::of) else { break };
            if head.salts != frames.salts || head.page == 0 || frames.shape.sum(seed, bytes) != head.sum {
                break;
            }
            seed = head.sum;
            self.seen += 1;
            if pages {
                self.newest.frame(head.page, at);
            }
            at += stride;
            if head.commit != 0 {
                (self.records, self.end) = (self.seen, at);
                self.commits += 1;
                self.newest.commit(head.commit);
            }
        }
    }
}

/// What SQLite does at a finding.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::ChecksumMismatch | Code::ZeroFilled | Code::ImpossibleNumber | Code::Malformed => {
            "Takes the first frame that does not fit for the end of the log and goes back to the last commit before it, without \
             a word. Intact frames behind it are deleted with the WAL when the last connection closes. A damaged header \
             makes it ignore the whole WAL."
        }
        Code::TornTail => {
            "Ignores a frame that the file cuts off, and the transaction it belongs to. What was committed before counts."
        }
        Code::OrphanedBatch => {
            "Ignores frames behind the last commit; the next transaction is written over them."
        }
        Code::LostMember => {
            "Goes back to the commit before the damaged transaction; neither its other frames nor any later ones are read."
        }
        Code::StaleGeneration => {
            "Never reads behind the live end. What lies there is written over bit by bit as the log grows again."
        }
        Code::UnfinishedOperation => {
            "Rolls a hot journal back as soon as it looks at the database, deletes it, and then applies the WAL to what that \
             left. It does not ask whether the two are of the same moment."
        }
        Code::EngineRefuses => "Says \"unable to open database file\", and changes nothing.",
        Code::PageMismatch => "Never compares the two: the page in the database counts.",
        Code::MissingFile => {
            "With no database, or an empty one, it deletes the WAL when it opens, and begins an empty database."
        }
        Code::ForeignRecords => {
            "Nothing in a WAL names its database: SQLite applies one of another database, even with pages of another size."
        }
        _ => return None,
    })
}
