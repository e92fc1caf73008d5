//! Pages as the engine changes them: owned cells, and where a page that became too full is split.

use std::ops::Range;

use crate::format::ddia_btree::encode::{self, internal_cell, leaf_cell};
use crate::format::ddia_btree::page::{HEADER, Node};

/// What a page may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a page.
    pub size: usize,
    /// Keys in a page.
    pub keys: usize,
}

/// A leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// The next leaf, in order of key.
    pub next: u32,
    /// Keys and values.
    pub cells: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An internal page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The page of the keys below the first separator.
    pub first: u32,
    /// Separators, each with the page of the keys from it on.
    pub cells: Vec<(Vec<u8>, u32)>,
}

impl Leaf {
    /// The cells of a leaf page.
    pub fn of(node: &Node<'_>) -> Leaf {
        let cells = node.cells().map(|c| (c.key.to_vec(), c.body.to_vec())).collect();
        Leaf { next: node.link, cells }
    }

    /// Where a key stands, or where it would.
    pub fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.cells.binary_search_by(|cell| cell.0.as_slice().cmp(key))
    }

    /// The parts that fit a page each; one where nothing has to be split.
    pub fn parts(&self, limits: Limits) -> Vec<Range<usize>> {
        let sizes: Vec<usize> = self.cells.iter().map(|(k, v)| leaf_cell(k, v)).collect();
        let mut parts = Vec::new();
        divide(&sizes, 0..sizes.len(), limits, &mut parts);
        parts
    }

    /// The page image of some of its cells; `None` where they do not fit.
    pub fn image(&self, part: Range<usize>, next: u32, size: usize) -> Option<Vec<u8>> {
        let cells = self.cells.get(part)?;
        encode::leaf(size, next, cells.iter().map(|(k, v)| (k.as_slice(), v.as_slice())))
    }
}

impl Inner {
    /// The cells of an internal page.
    pub fn of(node: &Node<'_>) -> Inner {
        Inner { first: node.link, cells: node.cells().map(|c| (c.key.to_vec(), c.child())).collect() }
    }

    /// The place among its children of the one that leads to a key: a key equal to a separator is on the right of it.
    pub fn place(&self, key: &[u8]) -> usize {
        self.cells.partition_point(|cell| cell.0.as_slice() <= key)
    }

    /// The child at a place.
    pub fn child(&self, place: usize) -> u32 {
        match place.checked_sub(1) {
            Some(cell) => self.cells.get(cell).map_or(self.first, |cell| cell.1),
            None => self.first,
        }
    }

    /// Whether it fits a page.
    pub fn fits(&self, limits: Limits) -> bool {
        let used: usize = self.cells.iter().map(|cell| internal_cell(&cell.0)).sum();
        self.cells.len() <= limits.keys && HEADER + used <= limits.size
    }

    /// Splits off the right half; the separator between the halves belongs to the page above. `None` without separators.
    pub fn halve(&mut self) -> Option<(Vec<u8>, Inner)> {
        let sizes: Vec<usize> = self.cells.iter().map(|cell| internal_cell(&cell.0)).collect();
        let total: usize = sizes.iter().sum();
        let (half, middle) = (sizes.len() / 2, |from: usize| total - from <= total / 2);
        // By number as the original does, unless that leaves one half with three quarters of the bytes.
        let left: usize = sizes.iter().take(half).sum();
        let at = if left * 4 <= total * 3 && (total - left) * 4 <= total * 3 {
            half
        } else {
            let mut sum = 0;
            sizes.iter().position(|size| {
                sum += size;
                middle(sum)
            })?
        };
        let mut right = self.cells.split_off(at.min(self.cells.len().checked_sub(1)?));
        let (key, first) = right.remove(0);
        Some((key, Inner { first, cells: right }))
    }

    /// Its page image; `None` where it does not fit.
    pub fn image(&self, size: usize) -> Option<Vec<u8>> {
        encode::internal(size, self.first, self.cells.iter().map(|(k, c)| (k.as_slice(), *c)))
    }
}

/// Cuts `range` until every part fits: in two by number of keys, as the original does, where both halves then fit; else
/// where the halves come out most equal in bytes.
fn divide(sizes: &[usize], range: Range<usize>, limits: Limits, parts: &mut Vec<Range<usize>>) {
    let room = limits.size.saturating_sub(HEADER);
    let sum = |range: Range<usize>| sizes.get(range).map_or(0, |s| s.iter().sum::<usize>());
    if range.len() <= 1 || (range.len() <= limits.keys && sum(range.clone()) <= room) {
        parts.push(range);
        return;
    }
    let middle = range.start + range.len() / 2;
    let halves = |at: usize| (sum(range.start..at), sum(at..range.end));
    let (left, right) = halves(middle);
    let at = if left <= room && right <= room {
        middle
    } else {
        let worse = |at: &usize| {
            let (left, right) = halves(*at);
            left.max(right)
        };
        (range.start + 1..range.end).min_by_key(worse).unwrap_or(middle)
    };
    divide(sizes, range.start..at, limits, parts);
    divide(sizes, at..range.end, limits, parts);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sizes: &[usize], keys: usize) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        divide(sizes, 0..sizes.len(), Limits { size: HEADER + 100, keys }, &mut parts);
        parts
    }

    #[test]
    fn pages_split_by_number_and_where_that_is_not_enough_by_bytes() {
        assert_eq!(parts(&[10; 5], 5).len(), 1);
        assert_eq!(parts(&[10; 5], 4), [0..2, 2..5]);
        assert_eq!(parts(&[90, 15, 5, 5], 9), [0..1, 1..4]);
        assert_eq!(parts(&[40, 90, 40], 9), [0..1, 1..2, 2..3]);
        assert_eq!(parts(&[], 9).len(), 1);
    }

    #[test]
    fn halves_of_an_internal_page_share_no_separator() {
        let cells = (0..5u32).map(|i| (vec![b'a' + i as u8], i + 1)).collect();
        let mut left = Inner { first: 0, cells };
        let (key, right) = left.halve().unwrap();
        assert_eq!((left.cells.len(), key.as_slice(), right.first, right.cells.len()), (2, &b"c"[..], 3, 2));
        assert_eq!((left.child(left.place(b"b")), left.place(b"a")), (2, 1));
        let mut uneven =
            Inner { first: 0, cells: vec![(vec![b'a'; 90], 1), (vec![b'b'; 3], 2), (vec![b'c'; 3], 3)] };
        let (key, right) = uneven.halve().unwrap();
        assert_eq!((uneven.cells.len(), key.len(), right.cells.len()), (0, 90, 2));
    }
}
