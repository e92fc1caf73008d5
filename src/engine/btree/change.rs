//! One atomic change: pages are changed in memory, over those of the file, and reach the disk together or not at all.

use std::collections::HashMap;

use super::node::{Inner, Leaf, Limits};
use super::pager::Pager;
use super::{Error, Result};
use crate::format::ddia_btree::encode::{self, internal_cell, leaf_cell};
use crate::format::ddia_btree::page::{self, HEADER, MAX_HEIGHT, Meta, NONE};

/// The pages that a batch has changed so far.
pub struct Change<'p> {
    pager: &'p Pager,
    limits: Limits,
    meta: Meta,
    /// In the order in which they were first changed, which is that of the original: right halves before left ones.
    images: Vec<(u32, Vec<u8>)>,
    places: HashMap<u32, usize>,
}

/// The way from the root to a leaf: internal pages, with the place of the child that was taken.
type Way = Vec<(u32, Inner, usize)>;
/// Pages that came to stand to the right of one that was split, each with its lowest key.
type Rise = Vec<(Vec<u8>, u32)>;

impl<'p> Change<'p> {
    /// Nothing changed yet. `meta` may differ from that of the file in its free list.
    pub fn new(pager: &'p Pager, max_keys: usize, meta: Meta) -> Self {
        let limits = Limits { size: pager.size, keys: max_keys };
        Change { pager, limits, meta, images: Vec::new(), places: HashMap::new() }
    }

    /// The metadata and the pages to write.
    pub fn finish(self) -> (Meta, Vec<(u32, Vec<u8>)>) {
        (self.meta, self.images)
    }

    /// Sets a key.
    ///
    /// # Errors
    /// [`Error::Refused`] where the pair fits no page; [`Error::Damaged`] where the way to it is broken.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        fits(key, value, self.limits.size)?;
        let (mut way, no, mut leaf) = self.descend(key)?;
        match leaf.find(key) {
            Ok(at) => leaf.cells[at].1 = value.to_vec(),
            Err(at) => {
                leaf.cells.insert(at, (key.to_vec(), value.to_vec()));
                let keys = self.meta.keys.checked_add(1);
                self.meta.keys = keys.ok_or(Error::Refused("the tree counts no more keys than 2^32 - 1"))?;
            }
        }
        let mut rise = self.write_leaf(no, leaf)?;
        while !rise.is_empty() {
            rise = match way.pop() {
                Some((no, mut inner, place)) => {
                    inner.cells.splice(place..place, rise);
                    self.write_inner(no, inner)?
                }
                None => self.new_root(rise)?,
            };
        }
        Ok(())
    }

    /// Deletes a key; whether it was there. A leaf that is left empty is freed as in the original: unless it is the first
    /// below its parent, where its left neighbour is not at hand.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the way to it is broken.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        let (mut way, no, mut leaf) = self.descend(key)?;
        let Ok(at) = leaf.find(key) else { return Ok(false) };
        leaf.cells.remove(at);
        let Some(keys) = self.meta.keys.checked_sub(1) else {
            return self.pager.damaged(0, "the metadata counts fewer keys than there are");
        };
        self.meta.keys = keys;
        match way.pop() {
            Some((above, mut inner, place)) if leaf.cells.is_empty() && place > 0 => {
                let left = inner.child(place - 1);
                let mut before = self.leaf(left)?;
                before.next = leaf.next;
                self.write_leaf(left, before)?;
                inner.cells.remove(place - 1);
                self.free(no);
                self.write_inner(above, inner)?;
            }
            _ => drop(self.write_leaf(no, leaf)?),
        }
        Ok(true)
    }

    fn descend(&self, key: &[u8]) -> Result<(Way, u32, Leaf)> {
        let (mut way, mut no) = (Vec::new(), self.meta.root);
        for _ in 1..self.meta.height {
            let inner = self.inner(no)?;
            let place = inner.place(key);
            let child = inner.child(place);
            way.push((no, inner, place));
            no = child;
        }
        Ok((way, no, self.leaf(no)?))
    }

    fn bytes(&self, no: u32) -> Result<Vec<u8>> {
        match self.places.get(&no).and_then(|&i| self.images.get(i)) {
            Some((_, image)) => Ok(image.clone()),
            None => self.pager.page(no),
        }
    }

    fn leaf(&self, no: u32) -> Result<Leaf> {
        match page::node(&self.bytes(no)?) {
            Ok(node) if node.leaf => Ok(Leaf::of(&node)),
            Ok(_) => self.pager.damaged(no, "no leaf where one must be"),
            Err(what) => self.pager.damaged(no, what),
        }
    }

    fn inner(&self, no: u32) -> Result<Inner> {
        match page::node(&self.bytes(no)?) {
            Ok(node) if !node.leaf => Ok(Inner::of(&node)),
            Ok(_) => self.pager.damaged(no, "a leaf where none can be"),
            Err(what) => self.pager.damaged(no, what),
        }
    }

    fn write(&mut self, no: u32, image: Option<Vec<u8>>) -> Result<()> {
        let Some(image) = image else {
            return Err(Error::Refused("its keys are too long for pages of this size"));
        };
        let place = *self.places.entry(no).or_insert(self.images.len());
        match self.images.get_mut(place) {
            Some(old) => old.1 = image,
            None => self.images.push((no, image)),
        }
        Ok(())
    }

    /// Writes a leaf, in several pages where it must be split.
    fn write_leaf(&mut self, no: u32, leaf: Leaf) -> Result<Rise> {
        let parts = leaf.parts(self.limits);
        let mut pages = vec![no];
        for _ in 1..parts.len() {
            pages.push(self.allocate()?);
        }
        let (mut next, mut rise) = (leaf.next, Vec::new());
        for (part, no) in parts.into_iter().zip(pages).rev() {
            let first = leaf.cells.get(part.start).map(|cell| cell.0.clone());
            self.write(no, leaf.image(part, next, self.limits.size))?;
            rise.extend(first.map(|key| (key, no)));
            next = no;
        }
        // The leftmost part stays where the leaf was.
        rise.pop();
        rise.reverse();
        Ok(rise)
    }

    fn write_inner(&mut self, no: u32, mut inner: Inner) -> Result<Rise> {
        let mut rise = Vec::new();
        if !inner.fits(self.limits) {
            let Some((key, right)) = inner.halve() else {
                return Err(Error::Refused("its keys are too long for pages of this size"));
            };
            let page = self.allocate()?;
            let further = self.write_inner(page, right)?;
            rise = self.write_inner(no, inner)?;
            rise.push((key, page));
            rise.extend(further);
        } else {
            self.write(no, inner.image(self.limits.size))?;
        }
        Ok(rise)
    }

    /// A level more: the root is split, and over its parts stands a new one.
    fn new_root(&mut self, rise: Rise) -> Result<Rise> {
        if self.meta.height >= MAX_HEIGHT {
            return Err(Error::Refused("keys so long would make the tree too high"));
        }
        let inner = Inner { first: self.meta.root, cells: rise };
        (self.meta.root, self.meta.height) = (self.allocate()?, self.meta.height + 1);
        self.write_inner(self.meta.root, inner)
    }

    fn allocate(&mut self) -> Result<u32> {
        let no = self.meta.free_head;
        if no != NONE {
            self.meta.free_head = match page::node(&self.bytes(no)?) {
                Ok(node) if node.looks_free() => node.link,
                _ => return self.pager.damaged(no, "a free page that does not look like one"),
            };
            return Ok(no);
        }
        let no = self.meta.next_free;
        // The last number but one is never given out: the original adds one to it.
        if no >= NONE - 1 {
            return Err(Error::Refused("no page numbers are left"));
        }
        self.meta.next_free = no + 1;
        Ok(no)
    }

    fn free(&mut self, no: u32) {
        let image = encode::free(self.limits.size, self.meta.free_head);
        self.meta.free_head = no;
        // A free page fits every page size, so this cannot be refused.
        self.write(no, Some(image)).ok();
    }
}

/// Whether a pair can be stored: in a leaf, and its key in the page above, should it come to divide two leaves.
///
/// # Errors
/// [`Error::Refused`] says why not.
pub fn fits(key: &[u8], value: &[u8], size: usize) -> Result<()> {
    let room = size.saturating_sub(HEADER);
    let refused = |why| Err(Error::Refused(why));
    if std::str::from_utf8(key).is_err() {
        return refused("the key is not UTF-8, which this engine stores alone");
    }
    if key.len() > u16::MAX.into() || value.len() > u16::MAX.into() || leaf_cell(key, value) > room {
        return refused("the pair does not fit a page");
    }
    if internal_cell(key) > room {
        return refused("the key does not fit an internal page");
    }
    Ok(())
}
