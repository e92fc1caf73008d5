//! What the original leaves after a crash in the middle of an operation: it writes in place before its commit entry, and
//! neither allocation nor freeing is logged. The chain of leaves is whole in all of these states, so the levels above are
//! built anew over it, in pages that nothing leads to yet; the keys are counted, and a free list that cannot be right is
//! let go. Only where the WAL has no committed group: after one there is nothing half done, and what looks so is damage.

use super::build::levels;
use super::check::{Load, Look, Trouble, first_leaf};
use super::node::Limits;
use super::redo::Redo;
use super::{DATA, Result, WAL, damaged};
use crate::format::ddia_btree::encode::internal_cell;
use crate::format::ddia_btree::page::{self, HEADER, Meta, NONE};
use crate::format::ddia_btree::Bits;

/// What makes the tree whole.
pub struct Mend {
    /// New metadata.
    pub meta: Meta,
    /// Pages that nothing leads to but the new metadata.
    pub images: Vec<(u32, Vec<u8>)>,
}

/// How to make a tree whole that looks like this; `None` where it is.
///
/// # Errors
/// [`Error::Damaged`](super::Error) where no crash leaves such a tree; I/O.
pub fn mend(load: &Load<'_>, meta: &Meta, look: &Look, redo: &Redo, size: usize) -> Result<Option<Mend>> {
    let damage = |t: Trouble| damaged(DATA, u64::from(t.page) * size as u64, t.what);
    let free_head = if look.free.is_some() { NONE } else { meta.free_head };
    if !redo.images.is_empty() {
        if let Some(trouble) = look.tree {
            return damage(trouble);
        }
        if look.keys != u64::from(meta.keys) {
            return damage(Trouble { page: 0, what: "the metadata counts other keys than the tree holds" });
        }
        led_to(load, look, redo)?;
        return Ok(look.free.map(|_| Mend { meta: Meta { free_head, ..*meta }, images: Vec::new() }));
    }
    if look.tree.is_some() {
        let mut mend = rebuilt(load, meta, look, size)?;
        mend.meta.free_head = free_head;
        return Ok(Some(mend));
    }
    let keys = look.keys as u32;
    let whole = keys == meta.keys && look.free.is_none();
    Ok((!whole).then(|| Mend { meta: Meta { keys, free_head, ..*meta }, images: Vec::new() }))
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

/// The chain of leaves under new levels.
fn rebuilt(load: &Load<'_>, meta: &Meta, look: &Look, size: usize) -> Result<Mend> {
    let at = |no: u32| u64::from(no) * size as u64;
    let mut chained = Bits::new(meta.next_free.into());
    let mut children: Vec<(Vec<u8>, u32)> = Vec::new();
    let (mut keys, mut bound): (u64, Option<Vec<u8>>) = (0, None);
    let mut no = first_leaf(load, meta, size)?;
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
    if let Some(lost) = lost(load, meta, look, &chained)? {
        return damaged(DATA, at(lost), "a leaf with keys that the chain of siblings passes by");
    }
    let mut images = Vec::new();
    let limits = Limits { size, keys: usize::from(u16::MAX) };
    let mut next_free = meta.next_free;
    let (root, height) = levels(children, limits, &mut next_free, &mut |no, image| {
        images.push((no, image));
        Ok(())
    })?;
    let Ok(keys) = u32::try_from(keys) else { return damaged(DATA, 8, "more keys than can be counted") };
    Ok(Mend { meta: Meta { root, height, keys, next_free, ..*meta }, images })
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
