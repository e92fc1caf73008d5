//! What the pages of a log are: by their own looks, by their number, and by the lists of the newest state.

use std::ops::Range;

use hashbrown::HashMap;

use super::header::Header;
use super::history::{History, Snapshot};
use super::page::PageType;
use super::{Pages, be32};
use crate::format::{Context, Entry};
use crate::log::record::Record;

/// Which pages of a database are none of a tree.
#[derive(Debug, Default)]
pub struct Kinds {
    header: Option<Header>,
    /// Pages on the list of free pages; those that list others are marked.
    free: HashMap<u32, bool>,
    /// The list was read to its end.
    whole: bool,
}

impl Kinds {
    /// Of this database; the list of free pages is read, and page 1.
    pub fn of(pages: &mut dyn Pages) -> Kinds {
        let header = pages.page(1).and_then(Header::of);
        let mut kinds = Kinds { header, ..Kinds::default() };
        let count = pages.count();
        let mut next = header.map_or(0, |header| header.free_trunk);
        while next != 0 && !kinds.free.contains_key(&next) {
            let Some(trunk) = pages.page(next) else { return kinds };
            kinds.free.insert(next, true);
            let leaves = be32(trunk, 4).unwrap_or(0) as usize;
            let leaf = |nth| be32(trunk, 8 + 4 * nth).filter(|page| (1..=count).contains(page));
            kinds.free.extend((0..leaves).map_while(leaf).map(|page| (page, false)));
            next = be32(trunk, 0).unwrap_or(0);
        }
        kinds.whole = header.is_some() && next == 0;
        kinds
    }

    /// What the page with this image is. `newest`: the image is the one of the database that was asked.
    pub fn kind(&self, page: u32, image: &[u8], newest: bool) -> PageType {
        let guess = |reserved| PageType::guess(page, image, reserved);
        let Some(header) = &self.header else { return guess(0) };
        if page == header.lock_page() {
            return PageType::Lock;
        }
        if header.maps() && header.map_of(page) == Some(page) {
            return PageType::PointerMap;
        }
        match self.free.get(&page).filter(|_| newest) {
            Some(true) => PageType::FreeTrunk,
            Some(false) => PageType::FreeLeaf,
            None => match guess(header.reserved) {
                // On no list and in no tree, that is all that is left.
                PageType::OverflowOrFree if newest && self.whole => PageType::Overflow,
                kind => kind,
            },
        }
    }
}

/// What `dump` wants to know of the records of such a log.
pub struct PageContext<H> {
    history: H,
    /// Of each page that is in the log: the record of the newest state.
    newest: HashMap<u32, u64>,
    kinds: Kinds,
}

impl<H: History> PageContext<H> {
    /// Goes over the log once.
    pub fn new(history: H) -> Self {
        let mut snapshot = Snapshot::newest(&history);
        let kinds = Kinds::of(&mut snapshot);
        let newest = snapshot.into_places();
        PageContext { history, newest, kinds }
    }
}

impl<H: History> Context for PageContext<H> {
    fn complete(&mut self, record: &Record, bytes: &[u8], entry: &mut Entry<'_>) {
        let newest = self.newest.get(&record.txn) == Some(&record.at);
        entry.page_type = entry.value.map(|image| self.kinds.kind(record.txn, image, newest).word());
        entry.generation = self.history.generation(bytes);
    }

    fn behind(&mut self, span: Range<u64>, last: bool) -> Option<Record> {
        self.history.behind(span, last)
    }
}
