//! Whether a journal is hot, and what comes of it; what its headers and records say against each other; left-overs, counted.

use super::decoder::JournalDecoder;
use super::engine::{Hot, Played, hot, is_hot, play, super_journal};
use super::facts::Facts;
use super::header::{Header, Shape, Sort, TO_THE_END, file_name};
use super::history::JournalHistory;
use super::pages::{First, Rollback, undo_last_commit};
use crate::format::sqlite::check::{Checked, check};
use crate::format::sqlite::header::Header as DatabaseHeader;
use crate::format::sqlite::history::Snapshot;
use crate::format::sqlite::{Pages, files as beside};
use crate::format::sqlite_wal::companion;
use crate::format::{Fill, LogFile, Remark};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::decoder::Recovery;
use crate::log::finding::Code;
use crate::log::record::Record;
use crate::log::region::{Kind, Region};
use crate::log::scan::{Sink, scan};
use crate::log::survey::{Ends, Survey};

/// So many findings of one kind are told one by one.
const LISTED: usize = 100;
/// A longer database is not gone through to see whether it is sound: a repair does that.
const GRADED: u64 = 64 << 20;

/// See the top of this file.
pub fn inspect(files: &[LogFile<'_>], surveys: &mut [Survey]) -> Vec<Remark> {
    let Some(log) = beside::log(files) else { return Vec::new() };
    let Some(survey) = surveys.get_mut(log) else { return Vec::new() };
    let facts = Facts::of(files, log);
    count_stale(files[log].src, facts, survey);
    let mut judge = Judge { files, log, facts, missing: 0, torn: torn(survey), remarks: Vec::new() };
    let live = matches!(facts.sort(), Some(Sort::Live | Sort::Damaged | Sort::Cleared));
    if let Some(shape) = facts.shape.filter(|_| live) {
        judge.headers(shape, survey.regions.as_slice());
        if judge.missing > 0 {
            survey.ends = Ends::BreaksOff;
        }
    }
    let rollback = Some(()).filter(|()| live).and_then(|()| Rollback::of(files, log, u64::MAX));
    if let Some(rollback) = &rollback {
        survey.marred = !rollback.spoiled.is_empty();
        judge.records(rollback);
        judge.result(rollback);
    }
    if live {
        judge.hot(rollback.as_ref().map_or(0, |rollback| rollback.images.len() as u64));
    } else if facts.sort() == Some(Sort::Finished) {
        judge.wiped();
    }
    judge.remarks.extend(companion::remark(files, log));
    judge.remarks
}

struct Judge<'a> {
    files: &'a [LogFile<'a>],
    log: usize,
    facts: Facts,
    /// Records that a header counts and that the file ends before.
    missing: u64,
    /// Where a record begins that the file ends in.
    torn: Option<u64>,
    remarks: Vec<Remark>,
}

impl Judge<'_> {
    fn say(&mut self, code: Code, at: u64, message: String) {
        self.remarks.push(Remark { code, file: self.log, at, len: 0, message });
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(self.files[self.log].src)
    }

    fn database(&self) -> Option<&LogFile<'_>> {
        beside::database(self.files).map(|file| &self.files[file])
    }

    /// Counts against records, and later headers against the first.
    fn headers(&mut self, shape: Shape, regions: &[Region]) {
        let mut open: Option<Segment> = None;
        let end = self.files[self.log].src.size();
        for region in regions {
            match region.kind {
                Kind::Framing => {
                    let at = region.end().saturating_sub(shape.sector);
                    let header = Header::at(&mut self.reader(), at).filter(|h| h.sort() == Sort::Live);
                    let Some(header) = header.filter(|_| at >= region.at) else { continue };
                    self.close(open.take(), false);
                    self.compare(&header, at);
                    open = Some(Segment { at, header, slots: 0 });
                }
                Kind::Stale => {}
                Kind::Torn => self.close(open.take(), true),
                // The next header is in it: what stands before that nobody can tell.
                Kind::Damage if !region.len.is_multiple_of(shape.stride()) => open = None,
                _ => {
                    let slots = (region.len + shape.stride() / 2) / shape.stride();
                    open.iter_mut().for_each(|open| open.slots = open.slots.saturating_add(slots));
                }
            }
        }
        let cut = regions.last().is_some_and(|r| r.end() == end && r.kind == Kind::Records);
        self.close(open, cut);
    }

    /// `cut`: the file ends with its last record.
    fn close(&mut self, segment: Option<Segment>, cut: bool) {
        let Some(Segment { at, header, slots }) = segment else { return };
        let counted = u64::from(header.count);
        if header.count == TO_THE_END || counted == slots {
            return;
        }
        if cut && counted > slots {
            self.missing = counted - slots;
            let message = format!(
                "the header at {at} counts {counted} records, and the file ends behind {slots} of them: {} of the old pages are missing",
                self.missing
            );
            self.say(Code::TornTail, self.files[self.log].src.size(), message);
        } else {
            let message = format!("the header counts {counted} records, and {slots} stand behind it");
            self.say(Code::Malformed, at + 8, message);
        }
    }

    fn compare(&mut self, header: &Header, at: u64) {
        let Some(first) = self.facts.header.filter(|first| first.sort() == Sort::Live && at > 0) else {
            return;
        };
        let fields = [
            ("pages", 16, header.pages, first.pages),
            ("sector", 20, header.sector, first.sector),
            ("page size", 24, header.page_bytes, first.page_bytes),
        ];
        for (name, offset, found, said) in fields {
            if found != said {
                let message = format!("{name} {found}, and {said} in the first header");
                self.say(Code::Malformed, at + offset, message);
            }
        }
    }

    fn records(&mut self, rollback: &Rollback) {
        for &(page, at) in rollback.twice.iter().take(LISTED) {
            let message = format!(
                "page {page} a second time: a transaction saves a page once, so one of the two numbers is wrong"
            );
            self.say(Code::ImpossibleNumber, at, message);
        }
        for &(page, at) in rollback.spoiled.iter().take(LISTED) {
            let message = format!(
                "page {page}: its checksum holds, which covers one byte of 200, and its cells contradict each other"
            );
            self.say(Code::PageDamaged, at, message);
        }
        if let Some(stated) = rollback.misstated {
            let message = format!("{stated} pages by the header, {} by the old page 1", rollback.pages);
            self.say(Code::Malformed, 16, message);
        }
        let nowhere = rollback.nowhere(self.database().map_or(0, |f| f.src.size()));
        if nowhere > 0 && self.database().is_some() {
            let message = format!(
                "{nowhere} of the {} pages from before the transaction are neither in the database nor in the journal",
                rollback.pages
            );
            self.say(Code::MissingRange, 0, message);
        }
        let old = rollback.images.get(&1).and_then(|at| First::at(&mut self.reader(), at + 4));
        let now = self.database().and_then(|f| First::at(&mut Reader::new(f.src), 0));
        if let (Some(old), Some(now)) = (old, now)
            && now.counter.wrapping_sub(old.counter) > 1
        {
            let message = format!(
                "the database has change counter {}, its old page 1 in the journal {}: not this database's journal",
                now.counter, old.counter
            );
            self.say(Code::ForeignRecords, 0, message);
        }
    }

    /// Whether records that all hold lead back to a sound database: no checksum covers their page numbers. Where something
    /// is missing that is said already, and what is no database of SQLite's, nobody here can judge.
    fn result(&mut self, rollback: &Rollback) {
        let whole = !rollback.lost && rollback.twice.is_empty();
        let small = rollback.bytes() <= GRADED;
        // What a WAL is applied to need not be sound by itself.
        let graded = whole && small && is_hot(self.files, self.log) && !companion::follows(self.files);
        let history = JournalHistory::of(self.files, self.log).filter(|_| graded);
        let Some((history, database)) = history.as_ref().zip(self.database()) else { return };
        let mut made = Snapshot::newest(history);
        let named = |pages: &mut dyn Pages| pages.page(1).and_then(DatabaseHeader::of).is_some();
        if rollback.nowhere(database.src.size()) > 0
            || !(named(&mut made) || named(&mut Snapshot::database(history)))
        {
            return;
        }
        let Checked { problems, first, .. } = check(&mut made);
        if let Some(first) = first.first() {
            let more = if problems > 1 { format!(", and {} more", problems - 1) } else { String::new() };
            let message = format!(
                "every record holds by its checksum, which covers neither its page number nor all of its page, and yet the \
                 database that they lead back to is not sound: {first}{more}"
            );
            self.say(Code::TreeInconsistent, 0, message);
        }
    }

    /// What SQLite does with a journal of which `pages` can be rolled back.
    fn hot(&mut self, pages: u64) {
        let Played { records, to, images, .. } = play(self.files, self.log);
        let named = super_journal(self.files, self.log);
        let name = named.map(|(path, _)| String::from_utf8_lossy(file_name(&path)).into_owned());
        let name = name.unwrap_or_default();
        match hot(self.files, self.log) {
            Hot::Yes => {
                let back = images.len() as u64;
                let missing = pages.saturating_sub(back);
                let rest = if missing > 0 {
                    format!(", but not {missing} more that are intact: the database is left half rolled back")
                } else {
                    String::new()
                };
                let with =
                    if name.is_empty() { String::new() } else { format!("; it is tied to others by {name}") };
                let size = to.map_or(0, |(pages, _)| pages);
                let apart = if self.files[self.log].stream {
                    " beside its database, which was not given"
                } else {
                    ""
                };
                let message = format!(
                    "hot{apart}: SQLite writes {back} old pages back into a database of {size} when it opens it{rest}{}{with}",
                    self.cut_off()
                );
                self.say(Code::UnfinishedOperation, 0, message);
                debug_assert!(records >= back);
            }
            Hot::NoHeader => {
                let message = format!(
                    "hot, but without a sound header: SQLite deletes it and rolls none of {pages} pages back"
                );
                self.say(Code::UnfinishedOperation, 0, message);
            }
            Hot::NoDatabase => {
                let message = "no database beside it, or an empty one: SQLite would delete this journal";
                self.say(Code::MissingFile, 0, message.into());
            }
            Hot::Committed => {
                let message = format!(
                    "not hot: the super-journal {name} is not beside it. Where it is gone the transaction was committed; \
                     where it was only left out of a copy, {pages} pages have to be rolled back"
                );
                self.say(Code::MissingFile, 0, message);
            }
            Hot::Empty | Hot::Zeroed => {}
        }
    }

    /// What comes of records that the file ends before.
    fn cut_off(&self) -> String {
        match (self.missing, self.torn) {
            (0, None) => String::new(),
            (0, Some(at)) => format!(
                "; it does not read what is cut off at {at}: whether a page had been changed for it nobody can tell"
            ),
            (missing, _) => format!(
                "; it stops where the file ends, before {missing} of the records that were synced: their pages stay as the \
                 transaction left them"
            ),
        }
    }

    /// A zeroed header means a commit or a rollback; the database tells if it was neither.
    fn wiped(&mut self) {
        let Ok(undone) = undo_last_commit(self.files) else { return };
        if let Some(at) = undone.torn {
            let message = "here the file breaks off in the midst of the records, torn or cut to a limit by SQLite itself: the \
                           last commit cannot be undone as a whole";
            self.say(Code::StaleGeneration, at, message.into());
        }
        let old = undone.old;
        let now = self.database().and_then(|f| First::at(&mut Reader::new(f.src), 0));
        if now.is_none_or(|now| now.counter != old.counter) {
            return;
        }
        let mut database = match self.database() {
            Some(file) => Reader::new(file.src),
            None => return,
        };
        let mut journal = self.reader();
        let differs = undone.image.patches.iter().any(|patch| {
            let Fill::Part(part) = &patch.fill else { return false };
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let read = journal
                .copy(part.span.clone(), &mut a)
                .and(database.copy(patch.at..patch.at + patch.len, &mut b));
            read.is_err() || a != b
        });
        if differs {
            let message = format!(
                "the header is zeroed as after a commit, and yet the database has the change counter from before, {}: \
                 a transaction that is half written, and SQLite will not roll it back",
                old.counter
            );
            self.say(Code::ZeroFilled, 0, message);
        }
    }
}

/// Where a record begins that the file ends in.
fn torn(survey: &Survey) -> Option<u64> {
    survey.regions.as_slice().last().filter(|region| region.kind == Kind::Torn).map(|region| region.at)
}

struct Segment {
    at: u64,
    header: Header,
    /// Records and places of records.
    slots: u64,
}

/// Counts the records in what is stale.
fn count_stale(src: &dyn ReadAt, facts: Facts, survey: &mut Survey) {
    let stale: Vec<Region> =
        survey.regions.as_slice().iter().filter(|r| r.kind == Kind::Stale).copied().collect();
    for region in stale {
        let mut count = Count { to: region.end(), records: 0, full: false };
        scan(&mut Reader::new(src), &mut JournalDecoder::stale_at(facts, region.at), region.at, &mut count);
        // Of a single record nothing proves that it is one but its length.
        let row = facts.shape.filter(|shape| region.len.is_multiple_of(shape.stride()));
        let records = if count.records == 0 {
            row.map_or(0, |shape| region.len / shape.stride())
        } else {
            count.records
        };
        survey.regions.count(region.at, records);
    }
}

struct Count {
    to: u64,
    records: u64,
    full: bool,
}

impl Sink for Count {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        self.records += batch.iter().filter(|r| r.end() <= self.to).count() as u64;
        self.full |= batch.last().is_some_and(|r| r.end() >= self.to);
    }

    fn framing(&mut self, _: u64, to: u64, _: &mut Reader<'_>) {
        self.full |= to >= self.to;
    }

    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        self.full |= recovery.resume >= self.to;
    }

    fn done(&self) -> bool {
        self.full
    }
}
