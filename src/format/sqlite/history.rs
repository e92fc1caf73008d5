//! Page images that a log holds, transaction by transaction, whatever kind of log it is; and the database at any of their
//! moments.

use std::ops::Range;

use hashbrown::HashMap;

use super::{Pages, files};
use crate::format::{LogFile, Role};
use crate::log::bytes::ReadAt;
use crate::log::record::Record;

/// The images of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Records in order of offset; each has its page number as transaction.
    pub records: Vec<Record>,
    /// 0: the live generation, -1: the one before it.
    pub generation: i64,
    /// Pages in the database from then on; `None`: it never committed, or that is not known.
    pub pages: Option<u32>,
    /// It is part of the newest state that can be had.
    pub counts: bool,
}

/// Where a history is read from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The files of the log.
    pub files: &'a [LogFile<'a>],
    /// Index of the log among them.
    pub log: usize,
    /// Bytes of a page.
    pub page_bytes: u32,
}

impl<'a> Sources<'a> {
    /// Of the log with this index, and its own pages where it tells how long they are; `None` where nothing does.
    pub fn of(files: &'a [LogFile<'a>], log: usize, page_bytes: Option<u64>) -> Option<Self> {
        files.get(log).filter(|file| file.claim.role == Role::Log)?;
        let page_bytes = page_bytes.or_else(|| files::page_bytes(files))?;
        Some(Sources { files, log, page_bytes: u32::try_from(page_bytes).ok()? })
    }
}

/// A log of page images.
pub trait History {
    /// See [`Sources`].
    fn sources(&self) -> &Sources<'_>;
    /// Bytes of a page.
    fn page_bytes(&self) -> u32 {
        self.sources().page_bytes
    }
    /// The log.
    fn log(&self) -> &dyn ReadAt {
        self.sources().files[self.sources().log].src
    }
    /// The database beside it, if that is not empty.
    fn database(&self) -> Option<&dyn ReadAt> {
        let files = self.sources().files;
        files::database(files).map(|file| files[file].src)
    }
    /// Offset of the image in a record.
    fn head(&self) -> u64;
    /// Tells all transactions in the order of the file, as long as `each` wants more.
    fn play(&self, each: &mut dyn FnMut(Change) -> bool);
    /// The first record inside these bytes, or the last one, where the engine does not read any more.
    fn behind(&self, span: Range<u64>, last: bool) -> Option<Record>;
    /// Whether the database holds changes that were never committed, which the log undoes.
    fn undoes(&self) -> bool {
        false
    }
    /// The generation of a record; `None`: there are no generations, or it is of none.
    fn generation(&self, record: &[u8]) -> Option<i64>;
}

/// Pages that are kept at hand.
const SLOTS: usize = 64;

/// The database at one moment: images of the log over the file there is.
pub struct Snapshot<'h> {
    history: &'h dyn History,
    page_bytes: u32,
    count: u32,
    /// Offset of its record, of each page that is in the log.
    images: HashMap<u32, u64>,
    /// Number and image of pages read before, each in the one place that it can be in.
    slots: Vec<(u32, Vec<u8>)>,
    unread: Vec<u8>,
    /// Pages that were asked for and are not in the log, while someone wants to know.
    lent: Option<Vec<u32>>,
}

impl<'h> Snapshot<'h> {
    /// The database before the log, or what older generations still hold of it where it is missing.
    pub fn of(history: &'h dyn History) -> Snapshot<'h> {
        let mut snapshot = Snapshot::database(history);
        if snapshot.count > 0 {
            return snapshot;
        }
        let (mut newest, mut size) = (HashMap::<u32, (i64, u64)>::new(), (i64::MIN, 0));
        history.play(&mut |change| {
            for record in change.records.iter().filter(|_| change.generation < 0) {
                let own = (change.generation, record.at);
                let kept = newest.entry(record.txn).or_insert(own);
                *kept = own.max(*kept);
            }
            let pages = change.pages.filter(|_| change.generation < 0 && change.generation >= size.0);
            size = pages.map_or(size, |pages| (change.generation, pages));
            true
        });
        snapshot.images.extend(newest.into_iter().map(|(page, (_, at))| (page, at)));
        snapshot.count = size.1;
        snapshot
    }

    /// The database as it lies there.
    pub fn database(history: &'h dyn History) -> Snapshot<'h> {
        let page_bytes = history.page_bytes();
        let pages = history.database().map_or(0, |database| database.size() / u64::from(page_bytes.max(1)));
        let slots = vec![(0, Vec::new()); SLOTS];
        let count = u32::try_from(pages).unwrap_or(u32::MAX);
        Snapshot { history, page_bytes, count, images: HashMap::new(), slots, unread: Vec::new(), lent: None }
    }

    /// The newest state that can be had.
    pub fn newest(history: &'h dyn History) -> Snapshot<'h> {
        let mut snapshot = Snapshot::of(history);
        history.play(&mut |change| {
            if change.counts {
                snapshot.apply(&change);
            }
            true
        });
        snapshot
    }

    /// The moment after one more transaction.
    pub fn apply(&mut self, change: &Change) {
        for record in &change.records {
            self.images.insert(record.txn, record.at);
            self.slot(record.txn).0 = 0;
        }
        // Before it commits a transaction can be longer than the database.
        let longest = change.records.iter().map(|record| record.txn).max().unwrap_or(0);
        self.count = change.pages.unwrap_or(self.count.max(longest));
    }

    /// The page image at this offset of the log.
    pub fn read(&self, at: u64, into: &mut Vec<u8>) -> Option<()> {
        into.resize(self.page_bytes as usize, 0);
        let read = self.history.log().read_at(at, into).ok()?;
        (read == into.len()).then_some(())
    }

    /// From now on notes which pages are asked for that are not in the log.
    pub fn watch(&mut self) {
        self.lent = Some(Vec::new());
    }

    /// Those, and no more notes.
    pub fn lent(&mut self) -> Vec<u32> {
        self.lent.take().unwrap_or_default()
    }

    /// Offset of the record that holds the page, where it is in the log.
    pub fn place(&self, page: u32) -> Option<u64> {
        self.images.get(&page).copied()
    }

    /// The same of all pages that the database has.
    pub fn into_places(mut self) -> HashMap<u32, u64> {
        self.images.retain(|&page, _| page <= self.count);
        self.images
    }

    fn slot(&mut self, page: u32) -> &mut (u32, Vec<u8>) {
        &mut self.slots[page as usize % SLOTS]
    }
}

impl Pages for Snapshot<'_> {
    fn page_bytes(&self) -> u32 {
        self.page_bytes
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn page(&mut self, number: u32) -> Option<&[u8]> {
        if number == 0 || number > self.count {
            return None;
        }
        let slot = number as usize % SLOTS;
        if let Some(lent) = self.lent.as_mut().filter(|_| !self.images.contains_key(&number)) {
            lent.push(number);
        }
        if self.slots[slot].0 != number {
            let mut image = std::mem::take(&mut self.unread);
            image.resize(self.page_bytes as usize, 0);
            let history = self.history;
            let (src, at) = match self.place(number) {
                Some(record) => (Some(history.log()), record.saturating_add(history.head())),
                None => (history.database(), u64::from(number - 1) * u64::from(self.page_bytes)),
            };
            let read = src.is_some_and(|src| src.read_at(at, &mut image).is_ok_and(|n| n == image.len()));
            if !read {
                self.unread = image;
                return None;
            }
            let (_, old) = std::mem::replace(&mut self.slots[slot], (number, image));
            self.unread = old;
        }
        Some(&self.slots[slot].1)
    }
}
