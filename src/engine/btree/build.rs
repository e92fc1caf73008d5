//! Bulk load: leaves filled one behind the other, the levels above them, page 0 last; then the whole file gets its name.

use std::ops::Range;

use super::change::fits;
use super::node::{Inner, Leaf, Limits};
use super::{DATA, Error, NEW, Result, WAL, io};
use crate::engine::storage::Storage;
use crate::format::ddia_btree::encode::{self, internal_cell, leaf_cell};
use crate::format::ddia_btree::page::{HEADER, MAX_HEIGHT, Meta, NONE};

/// What is gathered before it is written.
const BUFFER: usize = 1 << 20;

/// A page and the lowest key below it.
type Child = (Vec<u8>, u32);

/// Writes a store of these pairs and an empty WAL. Memory: two leaves, and the lowest key of each leaf.
///
/// # Errors
/// [`Error::Refused`] where keys do not rise or a pair fits no page, [`Error::Io`]; then no store is there.
pub fn build<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    storage: &mut dyn Storage,
    limits: Limits,
    pairs: impl Iterator<Item = (K, V)>,
) -> Result<Meta> {
    let built = fill(storage, limits, pairs);
    if built.is_err() {
        // Nothing reads a file of this name; the next attempt begins by emptying it.
        storage.remove(NEW).ok();
    }
    let meta = built?;
    io(WAL, storage.set_len(WAL, 0))?;
    io(WAL, storage.sync(WAL))?;
    io(DATA, storage.sync_dir())?;
    io(DATA, storage.rename(NEW, DATA))?;
    io(DATA, storage.sync_dir())?;
    Ok(meta)
}

fn fill<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    storage: &mut dyn Storage,
    limits: Limits,
    pairs: impl Iterator<Item = (K, V)>,
) -> Result<Meta> {
    io(NEW, storage.set_len(NEW, 0))?;
    let mut out = Pages { storage, size: limits.size, next: 1, buffer: Vec::new() };
    let mut leaves = Leaves::default();
    let mut keys = 0u32;
    for (key, value) in pairs {
        let (key, value) = (key.as_ref(), value.as_ref());
        fits(key, value, limits.size)?;
        let last = leaves.open.last().or(leaves.full.last());
        if last.is_some_and(|last| last.0.as_slice() >= key) {
            return Err(Error::Refused("the pairs to load must rise by key"));
        }
        keys = keys.checked_add(1).ok_or(Error::Refused("the tree counts no more keys than 2^32 - 1"))?;
        leaves.push(key, value, limits, &mut out)?;
    }
    let children = leaves.finish(limits, &mut out)?;
    let mut next_free = out.next;
    let (root, height) = levels(children, limits, &mut next_free, &mut |_, image| out.write(&image))?;
    out.flush()?;
    let size = limits.size;
    let meta = Meta { root, height, keys, next_free, free_head: NONE, page_size: size as u32 };
    io(NEW, storage.write(NEW, 0, &encode::meta(size, &meta)))?;
    io(NEW, storage.sync(NEW))?;
    Ok(meta)
}

/// Pages from number 1 on, written one behind the other.
struct Pages<'s> {
    storage: &'s mut dyn Storage,
    size: usize,
    next: u32,
    buffer: Vec<u8>,
}

impl Pages<'_> {
    fn write(&mut self, image: &[u8]) -> Result<()> {
        self.buffer.extend(image);
        self.next = self
            .next
            .checked_add(1)
            .filter(|&no| no < NONE - 1)
            .ok_or(Error::Refused("no page numbers are left"))?;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let end = u64::from(self.next) * self.size as u64;
        let at = end - self.buffer.len() as u64;
        if !self.buffer.is_empty() {
            io(NEW, self.storage.write(NEW, at, &self.buffer))?;
        }
        self.buffer.clear();
        Ok(())
    }
}

/// The last full leaf is held back, so that it can share with a last one that has only few keys.
#[derive(Default)]
struct Leaves {
    full: Vec<(Vec<u8>, Vec<u8>)>,
    open: Vec<(Vec<u8>, Vec<u8>)>,
    used: usize,
    children: Vec<Child>,
}

impl Leaves {
    fn push(&mut self, key: &[u8], value: &[u8], limits: Limits, out: &mut Pages<'_>) -> Result<()> {
        let cell = leaf_cell(key, value);
        if self.open.len() >= limits.keys || HEADER + self.used + cell > limits.size {
            let full = std::mem::replace(&mut self.full, std::mem::take(&mut self.open));
            if !full.is_empty() {
                self.write(Leaf { next: NONE, cells: full }, false, limits, out)?;
            }
            self.used = 0;
        }
        self.used += cell;
        self.open.push((key.to_vec(), value.to_vec()));
        Ok(())
    }

    /// Writes a leaf, or several where it must be split; the last of all has no sibling.
    fn write(&mut self, leaf: Leaf, last: bool, limits: Limits, out: &mut Pages<'_>) -> Result<()> {
        let parts = leaf.parts(limits);
        let end = parts.last().map_or(0, |part| part.end);
        for part in parts {
            let low = leaf.cells.get(part.start).map(|cell| cell.0.clone()).unwrap_or_default();
            self.children.push((low, out.next));
            let next = if last && part.end == end { NONE } else { out.next + 1 };
            let image = leaf.image(part, next, limits.size);
            out.write(&image.ok_or(Error::Refused("the pair does not fit a page"))?)?;
        }
        Ok(())
    }

    fn finish(mut self, limits: Limits, out: &mut Pages<'_>) -> Result<Vec<Child>> {
        let (full, open) = (std::mem::take(&mut self.full), std::mem::take(&mut self.open));
        if open.len() * 2 >= full.len() && !full.is_empty() {
            self.write(Leaf { next: NONE, cells: full }, false, limits, out)?;
            self.write(Leaf { next: NONE, cells: open }, true, limits, out)?;
        } else {
            self.write(Leaf { next: NONE, cells: [full, open].concat() }, true, limits, out)?;
        }
        Ok(self.children)
    }
}

/// Builds the levels over these pages, numbered from `next` on; gives the root and the height of the tree.
///
/// # Errors
/// [`Error::Refused`] where the keys are too long for that; those of `write`.
pub fn levels(
    mut children: Vec<Child>,
    limits: Limits,
    next: &mut u32,
    write: &mut dyn FnMut(u32, Vec<u8>) -> Result<()>,
) -> Result<(u32, u32)> {
    let mut height = 1;
    while children.len() > 1 {
        height += 1;
        if height > MAX_HEIGHT {
            return Err(Error::Refused("keys so long would make the tree too high"));
        }
        let mut above = Vec::new();
        for group in groups(&children, limits) {
            let Some(((low, first), cells)) = children.get(group).and_then(|group| group.split_first())
            else {
                continue;
            };
            let image = Inner { first: *first, cells: cells.to_vec() }.image(limits.size);
            write(*next, image.ok_or(Error::Refused("its keys are too long for pages of this size"))?)?;
            above.push((low.clone(), *next));
            *next = next.checked_add(1).ok_or(Error::Refused("no page numbers are left"))?;
        }
        children = above;
    }
    Ok((children.first().map_or(1, |child| child.1), height))
}

/// Which children go under one page: as many as fit; the last page takes some of those before it, so that it is not left
/// with one alone.
fn groups(children: &[Child], limits: Limits) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut start, mut used) = (0, HEADER);
    for (i, child) in children.iter().enumerate().skip(1) {
        let cell = internal_cell(&child.0);
        if i - start > limits.keys || used + cell > limits.size {
            groups.push(start..i);
            (start, used) = (i, HEADER);
        } else {
            used += cell;
        }
    }
    let mut last = start..children.len();
    if let Some(before) = groups.last_mut().filter(|before| last.len() == 1 && before.len() > 2) {
        // The separator of the one that was alone fits any page; that of the one that joins it goes up.
        before.end -= 1;
        last.start -= 1;
    }
    groups.push(last);
    groups
}
