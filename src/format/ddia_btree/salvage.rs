//! Recovery from `btree.dat` alone: every page that parses as a leaf, whether anything leads to it or not.
//!
//! Pairs come in order of trust, so that of several values of one key the first is to be kept: 1. leaves that the tree
//! leads to; 2. leaves that only their siblings lead to, as after a split that did not reach the parent; 3. leaves that some
//! page still names; 4. the others. A leaf of 3 and 4 can be a stale copy: then a better one has its keys, but one key or
//! other in it may have been deleted since. Pages of the free list are left out, unless the tree leads to them.

use super::page::{self, Meta, NONE, Node};
use super::pages::{Bits, MAX_PAGES, Pages};
use crate::log::bytes::ReadAt;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Keys that the metadata count, where they can be read.
    pub counted: Option<u32>,
    /// Pairs in leaves that the tree leads to.
    pub tree: u64,
    /// Pairs in leaves that only their siblings lead to.
    pub chain: u64,
    /// Pairs in the others, keys that were given before among them.
    pub others: u64,
}

/// Takes a key, its value, the number of the page that holds them, and whether tree or siblings lead there.
pub type Each<'e> = dyn FnMut(&[u8], &[u8], u32, bool) + 'e;

/// Gives every pair in the leaves of a data file to `each`, in the order told above. Memory: some bits per page, and
/// the numbers of pages yet to be visited.
pub fn leaves(src: &dyn ReadAt, page_size: u64, each: &mut Each<'_>) -> Salvaged {
    let mut pages = Pages::new(src, page_size);
    let count = pages.count().min(MAX_PAGES);
    let meta = pages.meta();
    let bits = || Bits::new(count);
    let mut salvage = Salvage {
        pages,
        count: count as u32,
        seen: bits(),
        named: bits(),
        found: Salvaged { counted: meta.map(|meta| meta.keys), ..Salvaged::default() },
        each,
    };
    if let Some(meta) = meta {
        let mut links = bits();
        salvage.found.tree = salvage.descend(&meta, &mut links);
        salvage.found.chain = salvage.follow(&links);
        salvage.leave_out_free(&meta);
    }
    salvage.name();
    salvage.found.others = salvage.rest(true) + salvage.rest(false);
    salvage.found
}

struct Salvage<'s, 'e, 'f> {
    pages: Pages<'s>,
    count: u32,
    /// Pages given already, or to be left out.
    seen: Bits,
    /// Pages that some page outside of the tree leads to.
    named: Bits,
    found: Salvaged,
    each: &'e mut Each<'f>,
}

impl Salvage<'_, '_, '_> {
    /// The pairs of a leaf.
    fn give(&mut self, no: u32, leaf: &Node<'_>, reached: bool) -> u64 {
        for cell in leaf.cells() {
            (self.each)(cell.key, cell.body, no, reached);
        }
        leaf.count.into()
    }

    /// The leaves that the tree leads to, in order of key; notes where their siblings are.
    fn descend(&mut self, meta: &Meta, links: &mut Bits) -> u64 {
        // Page 0 is no node, and a page behind the end has no bit to set.
        self.seen.set(0);
        let (mut given, mut stack) = (0, Vec::new());
        stack.extend(Some(meta.root).filter(|&root| self.seen.set(root)));
        while let Some(no) = stack.pop() {
            let Some(bytes) = self.pages.get(no) else { continue };
            match page::node(&bytes) {
                Ok(node) if node.leaf => {
                    given += self.give(no, &node, true);
                    links.set(node.link);
                }
                Ok(node) => {
                    let from = stack.len();
                    stack.extend(node.children().filter(|&child| self.seen.set(child)));
                    stack[from..].reverse();
                }
                Err(_) => {}
            }
        }
        given
    }

    /// The leaves to which the siblings lead, and the tree does not.
    fn follow(&mut self, links: &Bits) -> u64 {
        let mut given = 0;
        for link in (1..self.count).filter(|&no| links.has(no)) {
            let mut no = link;
            while no != NONE && no != 0 && !self.seen.has(no) {
                let Some(bytes) = self.pages.get(no) else { break };
                let Some(leaf) = page::node(&bytes).ok().filter(|node| node.leaf) else { break };
                if !self.seen.set(no) {
                    break;
                }
                given += self.give(no, &leaf, true);
                no = leaf.link;
            }
        }
        given
    }

    fn leave_out_free(&mut self, meta: &Meta) {
        let mut no = meta.free_head;
        while no != NONE && no != 0 && self.seen.set(no) {
            let Some(bytes) = self.pages.get(no) else { break };
            match page::node(&bytes) {
                Ok(node) if node.looks_free() => no = node.link,
                _ => break,
            }
        }
    }

    /// Notes which of the remaining pages others lead to.
    fn name(&mut self) {
        let mut next = 1;
        while let Some((no, bytes)) = self.unseen(&mut next) {
            let Ok(node) = page::node(&bytes) else { continue };
            if node.leaf && node.link != no {
                self.named.set(node.link);
            }
            for child in node.children() {
                self.named.set(child);
            }
        }
    }

    /// The remaining leaves: those that were named, or those that were not.
    fn rest(&mut self, named: bool) -> u64 {
        let (mut given, mut next) = (0, 1);
        while let Some((no, bytes)) = self.unseen(&mut next) {
            if self.named.has(no) != named {
                continue;
            }
            if let Some(leaf) = page::node(&bytes).ok().filter(|node| node.leaf) {
                given += self.give(no, &leaf, false);
            }
        }
        given
    }

    /// The first page from `next` on that was not given, holes left aside.
    fn unseen(&mut self, next: &mut u32) -> Option<(u32, Vec<u8>)> {
        while *next < self.count {
            let no = self.pages.beyond_hole(*next);
            *next = no.saturating_add(1);
            if no >= self.count || self.seen.has(no) {
                continue;
            }
            if let Some(bytes) = self.pages.get(no) {
                return Some((no, bytes));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::{internal, leaf, metadata};
    use super::*;

    const SIZE: usize = 128;

    /// Metadata, three leaves, the root; page 5 is the right half of page 2, whose parent does not know it yet.
    fn store() -> Vec<Vec<u8>> {
        vec![
            metadata(SIZE, [4, 2, 6, 6, NONE]),
            leaf(SIZE, 2, &[("a", b"1"), ("b", b"2")]),
            leaf(SIZE, 5, &[("d", b"3")]),
            leaf(SIZE, NONE, &[("m", b"7"), ("n", b"")]),
            internal(SIZE, 1, &[("d", 2), ("m", 3)]),
            leaf(SIZE, 3, &[("f", b"4")]),
        ]
    }

    fn given(pages: &[Vec<u8>]) -> (Vec<(String, u32, bool)>, Salvaged) {
        let bytes = pages.concat();
        let mut given = Vec::new();
        let found = leaves(&&bytes[..], SIZE as u64, &mut |key, _, page, reached| {
            given.push((String::from_utf8(key.to_vec()).unwrap(), page, reached));
        });
        (given, found)
    }

    fn row(key: &str, page: u32, reached: bool) -> (String, u32, bool) {
        (key.to_owned(), page, reached)
    }

    #[test]
    fn the_tree_comes_first_and_its_siblings_next() {
        let (given, found) = given(&store());
        let tree = [("a", 1), ("b", 1), ("d", 2), ("m", 3), ("n", 3), ("f", 5)];
        assert_eq!(given, tree.map(|(key, page)| row(key, page, true)));
        assert_eq!(found, Salvaged { counted: Some(6), tree: 5, chain: 1, others: 0 });
    }

    #[test]
    fn a_stale_leaf_comes_last() {
        let mut pages = store();
        pages[2] = leaf(SIZE, 3, &[("d", b"3"), ("f", b"new")]);
        let (given, found) = given(&pages);
        assert_eq!(given.last(), Some(&row("f", 5, false)));
        assert_eq!((found.tree, found.chain, found.others), (6, 0, 1));
    }

    #[test]
    fn without_metadata_what_others_name_comes_first() {
        let mut pages = store();
        pages[0].fill(0);
        pages.push(leaf(SIZE, 3, &[("b", b"stale")]));
        let (given, found) = given(&pages);
        let order: Vec<u32> = given.iter().map(|g| g.1).collect();
        assert_eq!(order, [1, 1, 2, 3, 3, 5, 6]);
        assert_eq!(found, Salvaged { counted: None, tree: 0, chain: 0, others: 7 });
    }

    #[test]
    fn free_pages_are_left_out_unless_the_tree_leads_there() {
        let mut pages = store();
        pages[0] = metadata(SIZE, [4, 2, 6, 7, 6]);
        pages.push(leaf(SIZE, 3, &[("z", b"freed")]));
        assert!(given(&pages).0.iter().all(|g| g.0 != "z"));
        pages[0] = metadata(SIZE, [4, 2, 6, 7, 1]);
        assert!(given(&pages).0.contains(&row("a", 1, true)));
    }

    #[test]
    fn circles_and_cuts_end() {
        let mut pages = store();
        pages[5] = leaf(SIZE, 2, &[("f", b"4")]);
        pages[4] = internal(SIZE, 1, &[("d", 2), ("m", 4), ("x", 0), ("y", 99), ("z", 1)]);
        assert_eq!(given(&pages).0.len(), 6);
        let bytes = pages.concat();
        for cut in 0..bytes.len() {
            let mut pairs = 0;
            let found = leaves(&&bytes[..cut], SIZE as u64, &mut |_, _, _, _| pairs += 1);
            assert_eq!(found.tree + found.chain + found.others, pairs);
        }
    }
}
