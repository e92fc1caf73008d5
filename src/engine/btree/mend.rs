//! What the original leaves after a crash in the middle of an operation: it writes in place before its commit entry, and
//! neither allocation nor freeing is logged. The chain of leaves is whole in all of these states, so the levels above are
//! built anew over it, in pages that nothing leads to yet; the keys are counted, a free list that cannot be right is let go,
//! and pages that nothing leads to are freed. Only where the WAL has no committed group: after one there is nothing half
//! done but the free list, and what looks so is damage.

use std::ops::Range;

use super::build::levels;
use super::check::{Load, Look, Trouble, first_leaf};
use super::node::Limits;
use super::redo::Redo;
use super::{DATA, Result, WAL, damaged};
use crate::format::ddia_btree::Bits;
use crate::format::ddia_btree::encode::internal_cell;
use crate::format::ddia_btree::page::{self, HEADER, Meta, NONE};

/// What makes the tree whole.
pub struct Mend {
    /// New metadata.
    pub meta: Meta,
    /// Pages that nothing leads to but the new metadata.
    pub images: Vec<(u32, Vec<u8>)>,
    /// Pages to be linked into the free list, in this order, in front of what is there; `meta` has the first of them.
    pub freed: Vec<u32>,
    /// The page of the free list behind them.
    pub behind: u32,
}

/// How to make a tree whole that looks like this; `None` where it is.
///
/// # Errors
/// [`Error::Damaged`](super::Error) where no crash leaves such a tree; I/O.
pub fn mend(load: &Load<'_>, meta: &Meta, look: &Look, redo: &Redo, size: usize) -> Result<Option<Mend>> {
    let damage = |t: Trouble| damaged(DATA, u64::from(t.page) * size as u64, t.what);
    let behind = if look.free.is_some() { NONE } else { meta.free_head };
    let mut mend = Mend { meta: *meta, images: Vec::new(), freed: Vec::new(), behind };
    let mut used = look.reached.clone();
    match (look.tree, redo.images.is_empty()) {
        (Some(trouble), false) => return damage(trouble),
        (None, false) if look.keys != u64::from(meta.keys) => {
            return damage(Trouble { page: 0, what: "the metadata counts other keys than the tree holds" });
        }
        (None, false) => led_to(load, look, redo)?,
        (Some(_), true) => used = rebuild(load, &mut mend, look, size)?,
        (None, true) => mend.meta.keys = look.keys as u32,
    }
    mend.freed = leaked(load, &mend, look, 1..meta.next_free, &used)?;
    mend.meta.free_head = mend.freed.first().copied().unwrap_or(behind);
    let whole = mend.meta == *meta && mend.freed.is_empty();
    Ok((!whole).then_some(mend))
}

/// Finds the pages that nothing leads to. One that holds more than one key that the tree has not is left alone: a crash
/// leaves at most the key that was being put, and what is more may be all that is left of something.
fn leaked(load: &Load<'_>, mend: &Mend, look: &Look, pages: Range<u32>, used: &Bits) -> Result<Vec<u32>> {
    let newest = |no: u32| match mend.images.iter().find(|image| image.0 == no) {
        Some(image) => Ok(Some(image.1.clone())),
        None => load(no),
    };
    let mut leaked = Vec::new();
    for no in pages.filter(|&no| !used.has(no) && (look.free.is_some() || !look.listed.has(no))) {
        let bytes = load(no)?.unwrap_or_default();
        let mut unknown = 0;
        if let Some(leaf) = page::node(&bytes).ok().filter(|node| node.leaf) {
            for cell in leaf.cells() {
                unknown += usize::from(!holds(&newest, &mend.meta, cell.key)?);
            }
        }
        if unknown <= 1 {
            leaked.push(no);
        }
    }
    Ok(leaked)
}

/// Whether the tree has a key.
fn holds(load: &Load<'_>, meta: &Meta, key: &[u8]) -> Result<bool> {
    let mut no = meta.root;
    for _ in 1..meta.height {
        let bytes = load(no)?.unwrap_or_default();
        let Ok(node) = page::node(&bytes) else { return Ok(false) };
        no = node.towards(key).0;
    }
    let bytes = load(no)?.unwrap_or_default();
    Ok(page::node(&bytes).is_ok_and(|leaf| leaf.cells().any(|cell| cell.key == key)))
}

/// A committed image with keys is part of the tree: else its page number, which no checksum covers, is wrong.
fn led_to(load: &Load<'_>, look: &Look, redo: &Redo) -> Result<()> {
    for (&no, &at) in redo.images.iter().filter(|(no, _)| **no != 0 && !look.reached.has(**no)) {
        let bytes = load(no)?.unwrap_or_default();
        if page::node(&bytes).map_or(true, |node| node.count > 0) {
            return damaged(WAL, at, "an image of a page that the tree does not lead to");
        }
    }
    Ok(())
}

/// Puts the chain of leaves under new levels; gives the pages of the chain.
fn rebuild(load: &Load<'_>, mend: &mut Mend, look: &Look, size: usize) -> Result<Bits> {
    let meta = mend.meta;
    let at = |no: u32| u64::from(no) * size as u64;
    let mut chained = Bits::new(meta.next_free.into());
    let mut children: Vec<(Vec<u8>, u32)> = Vec::new();
    let (mut keys, mut bound): (u64, Option<Vec<u8>>) = (0, None);
    let mut no = first_leaf(load, &meta, size)?;
    while no != NONE {
        if !chained.set(no) {
            return damaged(DATA, at(no), "the chain of siblings goes in a circle, or nowhere");
        }
        let bytes = load(no)?.unwrap_or_default();
        let Some(leaf) = page::node(&bytes).ok().filter(|node| node.leaf) else {
            return damaged(DATA, at(no), "the chain of siblings leads to a page that is no leaf");
        };
        // A leaf without keys stands for the smallest range behind what was before it.
        let behind = || [bound.as_deref().unwrap_or_default(), b"\0"].concat();
        let low = leaf.first().map_or_else(behind, <[u8]>::to_vec);
        let fits = HEADER + internal_cell(&low) <= size;
        if !children.is_empty() && (!fits || bound.as_ref().is_some_and(|bound| low <= *bound)) {
            return damaged(DATA, at(no), "the keys do not rise along the chain of siblings");
        }
        // The first leaf takes all keys from the lowest on, and needs no separator.
        bound = leaf.last().map(<[u8]>::to_vec).or((!children.is_empty()).then(|| low.clone()));
        keys += u64::from(leaf.count);
        children.push((low, no));
        no = leaf.link;
    }
    if let Some(lost) = lost(load, &meta, look, &chained)? {
        return damaged(DATA, at(lost), "a leaf with keys that the chain of siblings passes by");
    }
    let limits = Limits { size, keys: usize::from(u16::MAX) };
    let mut next_free = meta.next_free;
    let (root, height) = levels(children, limits, &mut next_free, &mut |no, image| {
        mend.images.push((no, image));
        Ok(())
    })?;
    let Ok(keys) = u32::try_from(keys) else { return damaged(DATA, 8, "more keys than can be counted") };
    mend.meta = Meta { root, height, keys, next_free, ..meta };
    Ok(chained)
}

/// A leaf with keys that the tree leads to and the siblings do not.
fn lost(load: &Load<'_>, meta: &Meta, look: &Look, chained: &Bits) -> Result<Option<u32>> {
    for no in (1..meta.next_free).filter(|&no| look.reached.has(no) && !chained.has(no)) {
        let bytes = load(no)?.unwrap_or_default();
        if page::node(&bytes).is_ok_and(|node| node.leaf && node.count > 0) {
            return Ok(Some(no));
        }
    }
    Ok(None)
}
