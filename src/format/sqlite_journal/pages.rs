//! The old pages that a journal holds, and the database file that they make: rolled back as completely as the bytes allow,
//! or, from a journal that was kept after its commit, the database before that commit.

use std::collections::BTreeMap;

use super::decoder::JournalDecoder;
use super::engine::{Hot, hot, is_hot, play};
use super::facts::Facts;
use super::header::{Header, Shape, Sort, TO_THE_END};
use super::{RECORD, spoiled};
use crate::format::sqlite::{files as beside, header::MAGIC};
use crate::format::sqlite_wal::companion::{Rules, after};
use crate::format::{Fill, Image, Job, LogFile, Part, Patch, Recovered, Take, Taken};
use crate::log::bytes::{Bytes, Reader};
use crate::log::conclude::Place;
use crate::log::decoder::Recovery;
use crate::log::record::Record;
use crate::log::region::Kind;
use crate::log::scan::{Sink, scan};

/// Where page 1 has its change counter, the size of the database, and the counter for which that size is right.
const COUNTER: u64 = 24;
const SIZE: u64 = 28;
const VALID_FOR: u64 = 92;

/// The images as patches of a database file, in order.
pub fn patches(images: &BTreeMap<u32, u64>, log: usize, shape: Shape) -> Vec<Patch> {
    let patch = |(&page, &at): (&u32, &u64)| Patch {
        at: u64::from(page.saturating_sub(1)).saturating_mul(shape.page_bytes),
        len: shape.page_bytes,
        fill: Fill::Part(image_of(log, shape, at)),
    };
    images.iter().map(patch).collect()
}

fn image_of(log: usize, shape: Shape, at: u64) -> Part {
    Part { file: log, span: at + 4..at + 4 + shape.page_bytes }
}

/// The images as changes of a state: the page number is the key.
pub fn give(images: &BTreeMap<u32, u64>, log: usize, shape: Shape, take: Take<'_>) {
    for &at in images.values() {
        let key = Part { file: log, span: at..at + 4 };
        take(Taken {
            place: Place { file: log, at },
            key,
            value: Some(image_of(log, shape, at)),
            given: None,
        });
    }
}

/// The numbers in page 1 that say how old it is and how long its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Goes up by one with each transaction.
    pub counter: u32,
    /// Pages in the database; `None`: an old engine wrote it, which did not keep the number.
    pub pages: Option<u32>,
}

impl First {
    /// Reads them from the image of page 1 at `at`.
    pub fn at(reader: &mut Reader<'_>, at: u64) -> Option<First> {
        let named: [u8; 16] = reader.array(at).ok()?;
        let mut field = |offset: u64| reader.array(at.checked_add(offset)?).ok().map(u32::from_be_bytes);
        let (counter, pages, valid_for) = (field(COUNTER)?, field(SIZE)?, field(VALID_FOR)?);
        let kept = valid_for == counter && pages != 0;
        (named == *MAGIC).then_some(First { counter, pages: kept.then_some(pages) })
    }
}

/// What a journal that is to be rolled back holds.
#[derive(Debug)]
pub struct Rollback {
    /// What its records look like.
    pub shape: Shape,
    /// Pages in the database before the transaction.
    pub pages: u32,
    /// The first header says another number, which page 1 contradicts.
    pub misstated: Option<u32>,
    /// Offset of the record of each page, by page number.
    pub images: BTreeMap<u32, u64>,
    /// Intact records, and those of them that are about a page that another one is about, too.
    pub records: u64,
    /// Page number and offsets of those records.
    pub twice: Vec<(u32, u64)>,
    /// The same of those whose image contradicts itself, though the checksum holds: they are not taken.
    pub spoiled: Vec<(u32, u64)>,
    /// Some record is missing or cut off.
    pub lost: bool,
}

impl Rollback {
    /// Reads it, up to `to`; `None`: nothing tells what records look like.
    pub fn of(files: &[LogFile<'_>], log: usize, to: u64) -> Option<Rollback> {
        let facts = Facts::of(files, log);
        let shape = facts.shape?;
        let mut reader = Reader::new(files[log].src);
        let mut sink = Records { to, slots: Vec::new(), lost: false, full: false };
        let mut decoder = JournalDecoder::new(facts);
        scan(&mut reader, &mut decoder, 0, &mut sink);
        let cut = !sink.full && decoder.missing() > 0;
        let mut images = BTreeMap::new();
        let mut twice = Vec::new();
        let mut database = beside::database(files).map(|file| Reader::new(files[file].src));
        for &(page, at) in &sink.slots {
            let Some(before) = images.insert(page, at) else { continue };
            twice.push((page, at));
            // Only one of the two is about this page: most likely the one that its present contents resemble more.
            let mut same = |at| database.as_mut().map_or(0, |db| alike(&mut reader, at, db, page, shape));
            if same(before) > same(at) {
                images.insert(page, before);
            }
        }
        let first =
            images.get(&1).and_then(|at| First::at(&mut reader, at + 4)).and_then(|first| first.pages);
        let size = u32::try_from(beside::database_bytes(files) / shape.page_bytes).unwrap_or(u32::MAX);
        let stated = facts.header.filter(|header| header.shape().is_some()).or(facts.model);
        let stated = stated.map(|header| header.pages);
        let pages = first.or(stated).unwrap_or(size);
        let misstated = stated.filter(|stated| *stated != pages);
        let spoiled = spoiled::find(files, log, &images, shape);
        images.retain(|page, _| *page <= pages);
        for (page, _) in &spoiled {
            images.remove(page);
        }
        let records = sink.slots.len().saturating_sub(spoiled.len()) as u64;
        let lost = sink.lost || cut || !spoiled.is_empty();
        Some(Rollback { shape, pages, misstated, images, records, twice, spoiled, lost })
    }

    /// Bytes of the database before the transaction.
    pub fn bytes(&self) -> u64 {
        u64::from(self.pages).saturating_mul(self.shape.page_bytes)
    }

    /// Pages that are in no record, and behind the end of a database of `bytes`.
    pub fn nowhere(&self, bytes: u64) -> u64 {
        let from = u32::try_from(bytes / self.shape.page_bytes).unwrap_or(u32::MAX).saturating_add(1);
        let all = u64::from(self.pages.saturating_add(1).saturating_sub(from));
        all.saturating_sub(self.images.range(from..).count() as u64)
    }

    /// The file that it makes of a database.
    fn image(&self, log: usize, base: Option<usize>) -> Image {
        let len = self.bytes();
        let patches = patches(&self.images, log, self.shape);
        Image { base, len, page_bytes: self.shape.page_bytes as u32, patches }
    }
}

/// How many bytes a record's image and the page in the database have in common.
fn alike(reader: &mut Reader<'_>, at: u64, database: &mut Reader<'_>, page: u32, shape: Shape) -> usize {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let from = u64::from(page.saturating_sub(1)).saturating_mul(shape.page_bytes);
    let there = database.copy(from..from.saturating_add(shape.page_bytes), &mut b).is_ok();
    match reader.copy(at + 4..at + 4 + shape.page_bytes, &mut a) {
        Ok(()) if there => a.iter().zip(&b).filter(|(a, b)| a == b).count(),
        _ => 0,
    }
}

struct Records {
    /// Records from here on are not wanted.
    to: u64,
    /// Page number and offset of each.
    slots: Vec<(u32, u64)>,
    lost: bool,
    full: bool,
}

impl Sink for Records {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        self.full |= batch.last().is_some_and(|r| r.at >= self.to);
        self.slots.extend(batch.iter().filter(|r| r.at < self.to).map(|r| (r.txn, r.at)));
    }

    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}

    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        self.lost |= recovery.kind != Kind::Stale;
    }

    fn done(&self) -> bool {
        self.full
    }
}

/// What is intact of a journal, rolled back. A journal whose super-journal is missing is one of a committed transaction,
/// unless that file was forgotten when this one was copied: `salvage` takes it for that.
pub fn recover(job: &Job<'_>, salvage: bool, take: Take<'_>) -> Recovered {
    let mut recovered = Recovered::default();
    let Some(log) = beside::log(job.files) else { return recovered };
    let to = job.until.filter(|until| until.file == log).map_or(u64::MAX, |until| until.at);
    let mut before = beside::as_it_is(job.files);
    if let Some(rollback) = live(job.files, log, to) {
        let lost = rollback.lost || rollback.nowhere(beside::database_bytes(job.files)) > 0;
        (recovered.page_bytes, recovered.lost) = (rollback.shape.page_bytes as u32, lost);
        if counts(job.files, log, salvage) {
            give(&rollback.images, log, rollback.shape, take);
            recovered.records = rollback.records;
            before = rollback.image(log, beside::database(job.files));
        } else {
            recovered.uncommitted = rollback.records;
        }
    }
    recovered.image = Some(after(job.files, Rules::Intact { salvage }, before));
    recovered
}

/// The database once the journal with this index has been rolled back; `None`: there is nothing to roll back.
pub fn rolled_back(files: &[LogFile<'_>], log: usize, rules: Rules) -> Option<Image> {
    match rules {
        Rules::Engine => is_hot(files, log).then(|| play(files, log).image(files, log)),
        Rules::Intact { salvage } => {
            let rollback = live(files, log, u64::MAX).filter(|_| counts(files, log, salvage))?;
            Some(rollback.image(log, beside::database(files)))
        }
    }
}

/// What a journal holds up to `to` of a transaction that is not over, even if that has changed no page that was there before.
fn live(files: &[LogFile<'_>], log: usize, to: u64) -> Option<Rollback> {
    let begun = |header: Header| header.sort() == Sort::Live && header.shape().is_some();
    let header = Facts::of(files, log).header;
    Rollback::of(files, log, to).filter(|rollback| rollback.records > 0 || header.is_some_and(begun))
}

/// Whether it is rolled back: a transaction whose super-journal is missing is over, but not to `salvage`.
fn counts(files: &[LogFile<'_>], log: usize, salvage: bool) -> bool {
    salvage || hot(files, log) != Hot::Committed
}

/// The database before its last commit.
#[derive(Debug)]
pub struct Undone {
    /// The file that it was.
    pub image: Image,
    /// Records that make it.
    pub records: u64,
    /// What the old page 1 says.
    pub old: First,
    /// Pages that the commit cut off the end of the database, and that no record holds: they are lost.
    pub lost: u64,
    /// Where the file ends inside a record, or before one that a header counts: what it holds is lost.
    pub torn: Option<u64>,
    /// Whether the change counter of the database is the next one after that of the old page 1: no transaction lies
    /// between the two.
    pub fits: bool,
}

impl Undone {
    /// Offsets of the records that make it.
    pub fn places(&self) -> impl Iterator<Item = u64> {
        self.image.patches.iter().filter_map(|patch| match &patch.fill {
            Fill::Part(part) => part.span.start.checked_sub(RECORD.fixed()),
            Fill::Bytes(_) => None,
        })
    }
}

/// Undoes the last commit from a journal that was kept after it, as in the mode PERSIST.
///
/// # Errors
/// Why it cannot be done.
pub fn undo_last_commit(files: &[LogFile<'_>]) -> Result<Undone, &'static str> {
    let log = beside::log(files).ok_or("there is no journal")?;
    let missing = if files[log].stream { "the database was not given" } else { "there is no database" };
    let base = beside::database(files).ok_or(missing)?;
    let facts = Facts::of(files, log);
    if facts.sort() != Some(Sort::Finished) {
        return Err("the journal is not one of a transaction that is over");
    }
    let (shape, (start, nonce)) =
        facts.shape.zip(facts.voted).ok_or("nothing in the journal can be proved to be a record")?;
    let mut reader = Reader::new(files[log].src);
    let (images, torn) = last_transaction(&mut reader, &facts, shape, start, nonce);
    let first = images.get(&1).and_then(|at| First::at(&mut reader, at + 4));
    let first = first.ok_or("page 1 is not among the records: the transaction did not commit")?;
    let pages = first.pages.ok_or("page 1 does not tell the size of the database")?;
    let now = First::at(&mut Reader::new(files[base].src), 0);
    let fits = now.is_some_and(|now| now.counter == first.counter.wrapping_add(1));
    let rollback = Rollback {
        shape,
        pages,
        misstated: None,
        records: images.len() as u64,
        images,
        twice: Vec::new(),
        spoiled: Vec::new(),
        lost: false,
    };
    let lost = rollback.nowhere(files[base].src.size());
    let (image, records) = (rollback.image(log, Some(base)), rollback.records);
    Ok(Undone { image, records, old: first, lost, torn, fits })
}

/// The records of the transaction that was written last, by page number. Behind them may lie records of longer ones
/// before it: they have another nonce, or are about a page that this one has changed already. And where the file ends in
/// the midst of them.
fn last_transaction(
    reader: &mut Reader<'_>,
    facts: &Facts,
    shape: Shape,
    start: u64,
    nonce: u32,
) -> (BTreeMap<u32, u64>, Option<u64>) {
    let mut images = BTreeMap::new();
    // What the header counts: the first one is zeroed.
    let mut left: Option<u32> = None;
    let (mut at, mut nonce) = (start, nonce);
    loop {
        reader.forward(at, shape.stride() as usize);
        let slot = shape.slot_at(reader, at).filter(|slot| left != Some(0) && slot.1 == nonce);
        if let Some((page, _)) = slot.filter(|slot| facts.plausible(shape, slot.0)) {
            if images.contains_key(&page) {
                return (images, None);
            }
            images.insert(page, at);
            (at, left) = (at + shape.stride(), left.map(|left| left.saturating_sub(1)));
            continue;
        }
        let next = shape.boundary(at);
        let first = next.saturating_add(shape.sector);
        let header = Header::at(reader, next).filter(|header| header.sort() == Sort::Live);
        let same = |header: &Header| header.shape() == Some(shape) && next > start;
        let fresh = shape.slot_at(reader, first).is_none_or(|slot| !images.contains_key(&slot.0));
        match header.filter(same).filter(|_| fresh) {
            Some(header) => {
                let counted = header.count != TO_THE_END && header.count != 0;
                (at, nonce) = (first, header.nonce);
                left = counted.then_some(header.count);
            }
            None => {
                let torn = breaks_off(reader, facts, shape, (at, left), &images).then_some(at);
                return (images, torn);
            }
        }
    }
}

/// Whether the file ends inside a record at `at` that no one has seen yet, or before one of those `left` by the header's
/// count. The engine itself may cut a journal that it keeps (`journal_size_limit`).
fn breaks_off(
    reader: &mut Reader<'_>,
    facts: &Facts,
    shape: Shape,
    (at, left): (u64, Option<u32>),
    images: &BTreeMap<u32, u64>,
) -> bool {
    let rest = reader.end().saturating_sub(at);
    if rest >= shape.stride() || facts.trailer.is_some_and(|trailer| trailer.at <= at) {
        return false;
    }
    if let Some(left) = left {
        return left > 0;
    }
    // It may also be the end of an older record: that begins with anything.
    let page = reader.array(at).map(u32::from_be_bytes);
    rest > 0 && page.map_or(true, |page| facts.plausible(shape, page) && !images.contains_key(&page))
}
