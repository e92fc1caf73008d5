//! A range of keys, read leaf by leaf along the siblings.

use std::ops::{Bound, RangeBounds};

use super::node::Leaf;
use super::{BTree, Result};
use crate::format::ddia_btree::page::NONE;

/// Pairs in rising order of key; see [`BTree::scan`]. Ends after an error.
pub struct Scan<'t> {
    tree: &'t BTree,
    cells: std::vec::IntoIter<(Vec<u8>, Vec<u8>)>,
    next: u32,
    /// Leaves yet to be read, at most: a chain of siblings that is longer goes in a circle.
    left: u32,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
}

impl<'t> Scan<'t> {
    pub(super) fn new<'k>(tree: &'t BTree, range: impl RangeBounds<&'k [u8]>) -> Result<Self> {
        let (from, to) = (range.start_bound().map(|k| k.to_vec()), range.end_bound().map(|k| k.to_vec()));
        let first = match &from {
            Bound::Included(key) | Bound::Excluded(key) => Some(key.as_slice()),
            Bound::Unbounded => None,
        };
        let next = tree.leaf_of(first)?;
        let left = tree.pager.meta.next_free;
        Ok(Scan { tree, cells: Vec::new().into_iter(), next, left, from, to })
    }

    fn read(&mut self) -> Result<()> {
        let no = self.next;
        let Some(left) = self.left.checked_sub(1) else {
            return self.tree.pager.damaged(no, "the chain of siblings goes in a circle");
        };
        let bytes = self.tree.pager.page(no)?;
        let leaf = Leaf::of(&self.tree.leaf(no, &bytes)?);
        (self.next, self.left, self.cells) = (leaf.next, left, leaf.cells.into_iter());
        Ok(())
    }

    fn end(&mut self) {
        (self.next, self.cells) = (NONE, Vec::new().into_iter());
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some((key, value)) = self.cells.next() {
                match (&self.from, &self.to) {
                    (Bound::Included(from), _) if key < *from => continue,
                    (Bound::Excluded(from), _) if key <= *from => continue,
                    (_, Bound::Included(to)) if key > *to => self.end(),
                    (_, Bound::Excluded(to)) if key >= *to => self.end(),
                    _ => return Some(Ok((key, value))),
                }
            }
            if self.next == NONE {
                return None;
            }
            if let Err(e) = self.read() {
                self.end();
                return Some(Err(e));
            }
        }
    }
}
