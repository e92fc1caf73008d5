//! The tree over pages and WAL images, and the ways down in it.

use std::collections::HashMap;

use super::page::{self, Meta, Node};
use super::pages::{MAX_PAGES, Pages};
use crate::log::bytes::{Bytes, Reader};

/// Where the image of a page lies in the WAL.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Offset of its first byte, and its length.
    pub at: u64,
    /// See `at`.
    pub len: u64,
    /// The entry that holds it, by its place in the group.
    pub entry: usize,
}

/// The pages as a redo leaves them: newest images first, then the data file.
#[derive(Default)]
pub struct View<'s> {
    /// The data file.
    pub pages: Option<Pages<'s>>,
    /// The WAL.
    pub wal: Option<Reader<'s>>,
    /// Images of the group that is looked at.
    pub group: HashMap<u32, Image>,
    /// Images of the groups before it.
    pub base: HashMap<u32, Image>,
    /// Whether the metadata of the data file, which no checksum covers, may speak where the WAL holds none.
    pub file_meta: bool,
}

/// A place in the tree: `low <= key < high`.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The page.
    pub page: u32,
    /// 1 for leaves.
    pub level: u32,
    /// See above.
    pub low: Option<Vec<u8>>,
    /// See above.
    pub high: Option<Vec<u8>>,
}

impl<'s> View<'s> {
    /// A data file alone.
    pub fn of_file(pages: Pages<'s>) -> View<'s> {
        View { pages: Some(pages), wal: None, group: HashMap::new(), base: HashMap::new(), file_meta: true }
    }

    /// Pages that there can be. No more than file and WAL have, so that a wild number costs no memory.
    pub fn room(&mut self) -> u64 {
        let images = self.base.keys().chain(self.group.keys());
        let newest = images.max().map_or(0, |&no| u64::from(no) + 1);
        let file = self.pages.as_ref().map_or(0, Pages::count);
        let next_free = self.meta(None).map_or(0, |meta| u64::from(meta.next_free));
        let logged = (self.base.len() + self.group.len()) as u64;
        file.max(newest.min(next_free.saturating_add(logged))).min(MAX_PAGES)
    }

    /// The pages of which there are images, in order.
    pub fn logged(&self) -> Vec<u32> {
        let mut pages: Vec<u32> = self.base.keys().chain(self.group.keys()).copied().collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// Where the image of a page is, if there is one.
    pub fn image_of(&self, no: u32) -> Option<Image> {
        self.group.get(&no).or(self.base.get(&no)).copied()
    }

    /// The bytes of an image.
    pub fn image(&mut self, image: Image) -> Option<Vec<u8>> {
        let span = image.at..image.at.checked_add(image.len)?;
        self.wal.as_mut()?.piece(span).ok().map(<[u8]>::to_vec)
    }

    /// A page, entry `skip` of the group left aside.
    pub fn load(&mut self, no: u32, skip: Option<usize>) -> Option<Vec<u8>> {
        let image = self.group.get(&no).filter(|i| Some(i.entry) != skip).or(self.base.get(&no)).copied();
        match image {
            Some(image) => self.image(image),
            None => self.pages.as_mut()?.get(no),
        }
    }

    /// The newest metadata, entry `skip` of the group left aside: of the group, of the groups before it, of the data file.
    pub fn meta(&mut self, skip: Option<usize>) -> Option<Meta> {
        let group = self.group.get(&0).filter(|i| Some(i.entry) != skip).copied();
        for image in group.into_iter().chain(self.base.get(&0).copied()) {
            if let Some(meta) = self.image(image).and_then(|bytes| page::meta(&bytes).ok()) {
                return Some(meta);
            }
        }
        self.pages.as_mut().filter(|_| self.file_meta)?.meta()
    }

    /// Believes the metadata of the data file unless the way down from its root has another height, both as the data file
    /// has it and with the images of the group: one flipped bit there must not speak against intact entries.
    pub fn weigh_file_meta(&mut self) {
        let meta = self.pages.as_mut().and_then(Pages::meta);
        self.file_meta = meta.is_some_and(|meta| {
            let in_file = |view: &mut Self, no| view.pages.as_mut().and_then(|pages| pages.get(no));
            self.has_height(meta, in_file) || self.has_height(meta, |view, no| view.load(no, None))
        });
    }

    /// Whether nothing on the way down from the root speaks against the height. A page that is lost says nothing.
    fn has_height(&mut self, meta: Meta, load: impl Fn(&mut Self, u32) -> Option<Vec<u8>>) -> bool {
        let mut no = meta.root;
        for level in (1..=meta.height).rev() {
            let Some(bytes) = load(self, no) else { return true };
            match page::node(&bytes) {
                Ok(node) if node.leaf != (level == 1) || node.looks_free() => return false,
                Ok(node) => no = node.link,
                Err(_) => return true,
            }
        }
        true
    }

    /// Follows `key` from the root to the first page for which `until` holds.
    pub fn descend(
        &mut self,
        key: &[u8],
        skip: Option<usize>,
        until: impl Fn(u32, u32) -> bool,
    ) -> Option<Spot> {
        let meta = self.meta(skip)?;
        let mut spot = Spot { page: meta.root, level: meta.height, low: None, high: None };
        while !until(spot.page, spot.level) {
            if spot.level <= 1 {
                return None;
            }
            let bytes = self.load(spot.page, skip)?;
            let node = page::node(&bytes).ok().filter(|node| !node.leaf)?;
            let (child, low, high) = node.towards(key);
            spot.low = low.map(<[u8]>::to_vec).or(spot.low);
            spot.high = high.map(<[u8]>::to_vec).or(spot.high);
            (spot.page, spot.level) = (child, spot.level - 1);
        }
        Some(spot)
    }

    /// The level of an internal page, told by the way down from it.
    pub fn level(&mut self, node: &Node<'_>, skip: Option<usize>) -> Option<u32> {
        let (mut level, mut child) = (1, node.link);
        if node.leaf {
            return Some(level);
        }
        while level < 64 {
            level += 1;
            let bytes = self.load(child, skip)?;
            let node = page::node(&bytes).ok()?;
            if node.leaf {
                return Some(level);
            }
            child = node.link;
        }
        None
    }
}
