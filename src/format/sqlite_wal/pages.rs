//! The newest committed image of each page, and the database file that they make over the one there is.
//!
//! `committed` takes the transactions of which no frame is missing. `salvage` takes every intact frame; those that no
//! commit follows are pages of the state, but not of the file: nothing says how long a database they would belong to.

use std::collections::BTreeMap;

use super::companion::{Rules, before};
use super::decoder::FrameDecoder;
use super::facts::{Facts, Frames};
use super::frame::{HEAD, Head};
use crate::format::sqlite::files as beside;
use crate::format::{Fill, Image, Job, LogFile, Part, Patch, Recovered, Take, Taken};
use crate::log::bytes::Reader;
use crate::log::conclude::Place;
use crate::log::decoder::Recovery;
use crate::log::record::{Mark, Record};
use crate::log::scan::{Sink, scan};

/// The newest image of each page.
#[derive(Default)]
pub struct Newest {
    /// Offset of the frame, by page number.
    images: BTreeMap<u32, u64>,
    /// Frames that no commit has followed yet.
    open: Vec<(u32, u64)>,
    /// Pages in the database, by the last commit.
    pub pages: u32,
}

impl Newest {
    /// The next frame.
    pub fn frame(&mut self, page: u32, at: u64) {
        self.open.push((page, at));
    }

    /// The frames since the last commit count; the database has so many pages now.
    pub fn commit(&mut self, pages: u32) {
        self.images.extend(self.open.drain(..));
        self.pages = pages;
    }

    /// Pages that are neither among these nor in a database of so many.
    fn holes(&self, database: u64) -> u64 {
        let there = u32::try_from(database).unwrap_or(u32::MAX).min(self.pages);
        let behind = self.images.range(there.saturating_add(1)..).filter(|(page, _)| **page <= self.pages);
        u64::from(self.pages - there).saturating_sub(behind.count() as u64)
    }

    /// The pages as changes of a state: the number is the key.
    pub fn give(&self, log: usize, page_bytes: u64, take: Take<'_>) {
        for (_, &at) in self.images.iter().filter(|(page, _)| **page <= self.pages) {
            take(taken(log, page_bytes, at));
        }
    }

    /// The file that they make of the one `before`.
    pub fn image(&self, log: usize, before: Image, page_bytes: u64) -> Image {
        let nothing = Image { base: None, len: 0, page_bytes: 0, patches: Vec::new() };
        let before = if beside::empty(before.len) { nothing } else { before };
        let patch = |(&page, &at): (&u32, &u64)| Patch {
            at: u64::from(page.saturating_sub(1)).saturating_mul(page_bytes),
            len: page_bytes,
            fill: Fill::Part(Part { file: log, span: at + HEAD..at + HEAD + page_bytes }),
        };
        let patches = self.images.iter().filter(|(page, _)| **page <= self.pages).map(patch).collect();
        let len = u64::from(self.pages).saturating_mul(page_bytes);
        Image { base: None, len, page_bytes: size_of(page_bytes), patches }.over(before)
    }
}

fn taken(log: usize, page_bytes: u64, at: u64) -> Taken {
    let part = |from: u64, to: u64| Part { file: log, span: at + from..at + to };
    let value = Some(part(HEAD, HEAD + page_bytes));
    Taken { place: Place { file: log, at }, key: part(0, 4), value, given: None }
}

/// The file and offset of the newest image of a page before the frame at `at`: in the log, or else in the database.
pub fn newest_before(
    files: &[LogFile<'_>],
    log: usize,
    frames: &Frames,
    page: u32,
    at: u64,
) -> Option<(usize, u64)> {
    /// So many frames are gone back.
    const MOST: u64 = 1 << 16;
    let stride = frames.shape.stride();
    let mut reader = Reader::with_chunk(files[log].src, HEAD as usize);
    for back in 1..=MOST {
        let Some(before) = at.checked_sub(back * stride).filter(|&before| before >= frames.start) else {
            break;
        };
        if Head::at(&mut reader, before).is_ok_and(|head| head.page == page && head.salts == frames.salts) {
            return Some((log, before + HEAD));
        }
    }
    let database = beside::database(files)?;
    let image = u64::from(page.checked_sub(1)?).checked_mul(frames.shape.page_bytes)?;
    (image < files[database].src.size()).then_some((database, image))
}

/// No page is longer than 64 KiB.
pub fn size_of(page_bytes: u64) -> u32 {
    u32::try_from(page_bytes).unwrap_or(0)
}

/// See the top of this file.
pub fn recover(job: &Job<'_>, salvage: bool, take: Take<'_>) -> Recovered {
    let mut recovered = Recovered::default();
    let Some(log) = beside::log(job.files) else { return recovered };
    let page_bytes = page_bytes(job.files, log);
    let before = before(job.files, Rules::Intact { salvage });
    let to = job.until.filter(|until| until.file == log).map_or(u64::MAX, |until| until.at);
    let Taker { newest, incomplete, committed, .. } = Taker::of(job.files, log, salvage, to);
    recovered.page_bytes = size_of(page_bytes);
    let open = newest.open.len() as u64;
    newest.give(log, page_bytes, take);
    if salvage {
        recovered.records = committed + open;
        newest.open.iter().for_each(|&(_, at)| take(taken(log, page_bytes, at)));
    } else {
        (recovered.records, recovered.incomplete, recovered.uncommitted) = (committed, incomplete, open);
    }
    recovered.lost = incomplete > 0 || newest.holes(before.len.checked_div(page_bytes).unwrap_or(0)) > 0;
    recovered.image = Some(if committed == 0 {
        Image { page_bytes: recovered.page_bytes, ..before }
    } else {
        newest.image(log, before, page_bytes)
    });
    recovered
}

/// Bytes of a page of the WAL with this index; 0: nothing tells.
pub fn page_bytes(files: &[LogFile<'_>], log: usize) -> u64 {
    Facts::of(files, log).frames.map_or(0, |frames| frames.shape.page_bytes)
}

/// The database `before` once what is intact of the WAL with this index has been applied to it.
pub fn applied(files: &[LogFile<'_>], log: usize, salvage: bool, before: Image) -> Image {
    let taker = Taker::of(files, log, salvage, u64::MAX);
    if taker.committed == 0 { before } else { taker.newest.image(log, before, page_bytes(files, log)) }
}

/// Takes intact and recovered frames, transaction by transaction.
struct Taker {
    salvage: bool,
    newest: Newest,
    /// Frames from here on are not wanted.
    to: u64,
    /// Number of the next frame, if none is missing.
    next: u64,
    /// None is missing since the last commit.
    whole: bool,
    committed: u64,
    incomplete: u64,
    full: bool,
}

impl Taker {
    /// All that there is up to `to`.
    fn of(files: &[LogFile<'_>], log: usize, salvage: bool, to: u64) -> Taker {
        let mut sink = Taker {
            salvage,
            newest: Newest::default(),
            to,
            next: 1,
            whole: true,
            committed: 0,
            incomplete: 0,
            full: false,
        };
        let mut decoder = FrameDecoder::new(Facts::of(files, log));
        scan(&mut Reader::new(files[log].src), &mut decoder, 0, &mut sink);
        sink
    }

    fn record(&mut self, r: &Record, reader: &mut Reader<'_>) {
        self.full |= r.at >= self.to;
        if self.full {
            return;
        }
        self.whole &= r.seq == self.next;
        self.next = r.next;
        self.newest.frame(r.txn, r.at);
        if r.mark != Mark::Last {
            return;
        }
        let frames = self.newest.open.len() as u64;
        if self.whole || self.salvage {
            let pages = Head::at(reader, r.at).map_or(0, |head| head.commit);
            self.newest.commit(pages);
            self.committed += frames;
        } else {
            self.newest.open.clear();
            self.incomplete += frames;
        }
        self.whole = true;
    }
}

impl Sink for Taker {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        batch.iter().for_each(|r| self.record(r, reader));
    }

    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}

    fn damage(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        if let Some((record, _)) = &recovery.record {
            self.record(record, reader);
        }
    }

    fn done(&self) -> bool {
        self.full
    }
}
