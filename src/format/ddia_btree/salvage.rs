//! Every pair that the pages of a store hold, reachable or not: descent from the root, the siblings beside it, and the
//! leaves that neither leads to.
//!
//! Pairs are given in rising order of trust, so that of several values of one key the last is to be kept: 1. leaves that
//! nothing leads to, those first that no page names; 2. leaves logged in the WAL that nothing leads to; 3. leaves that only
//! their siblings lead to, as after a split that did not reach the parent; 4. leaves that the tree leads to, keys outside of
//! the separators around them first. Leaves of 1 may be stale copies: unless all is asked for, they count only for ranges
//! of keys whose pages are lost. Pages of the free list are left out.

use std::rc::Rc;

use super::page::{self, HEADER, NONE, Node};
use super::pages::{Bits, Pages};
use super::view::View;
use crate::log::bytes::ReadAt;

/// Lost ranges told apart; where there are more, all is lost.
const MAX_LOST: usize = 256;

/// A pair and the page that holds it.
pub struct Pair<'a> {
    /// The page.
    pub page: u32,
    /// Key and value.
    pub key: &'a [u8],
    /// See `key`.
    pub value: &'a [u8],
    /// Offset of the key in the page; that of the value lies two bytes behind its end.
    pub at: usize,
}

/// Takes pairs.
pub type Each<'e> = dyn FnMut(Pair<'_>) + 'e;

/// A page yet to be visited: `low <= key < high`.
#[derive(Clone)]
struct Step {
    page: u32,
    level: u32,
    low: Option<Rc<[u8]>>,
    high: Option<Rc<[u8]>>,
}

impl Step {
    fn holds(&self, key: &[u8]) -> bool {
        self.low.as_deref().is_none_or(|low| low <= key) && self.high.as_deref().is_none_or(|high| key < high)
    }
}

/// What leads where in the pages of a view. Memory: some bits per page, and the pages yet to be visited.
pub struct Reach {
    /// The root, and the height that it really has.
    root: Option<Step>,
    /// Leaves that the tree leads to, or only their siblings do; internal pages and the free list.
    tree: Bits,
    chain: Bits,
    other: Bits,
    /// Ranges of keys whose pages cannot be had.
    lost: Vec<Step>,
    /// A leaf of the tree has keys that do not belong there.
    strays: bool,
    /// Pairs in leaves that tree or siblings lead to, some perhaps twice.
    pub keys: u64,
    /// Links that lead to no such page as they should.
    pub broken: u64,
    /// Keys in the fullest page of a tree that has more than one; else 0.
    pub page_keys: u16,
}

impl Reach {
    /// Looks at all that the metadata lead to; where that is less than they count, also at what another root would.
    pub fn of(view: &mut View<'_>) -> Reach {
        let meta = view.meta(None);
        let by_meta = meta.map(|meta| {
            let level = level_of(view, meta.root).unwrap_or(meta.height);
            Reach::from(view, Some((meta.root, level)), meta.free_head)
        });
        let counted = meta.map_or(u64::MAX, |meta| meta.keys.into());
        let mut reach = match by_meta {
            Some(reach) if reach.keys >= counted => return reach,
            Some(reach) => reach,
            None => Reach::from(view, None, NONE),
        };
        let root = find_root(view).filter(|&(no, _)| meta.is_none_or(|meta| meta.root != no));
        if let Some(root) = root {
            let other = Reach::from(view, Some(root), meta.map_or(NONE, |meta| meta.free_head));
            if other.keys > reach.keys {
                reach = other;
            }
        }
        if meta.is_none() {
            // Nothing tells whether that was all.
            reach.lose(Step { page: 0, level: 0, low: None, high: None });
        }
        reach
    }

    fn from(view: &mut View<'_>, root: Option<(u32, u32)>, free_head: u32) -> Reach {
        let room = view.room();
        let bits = || Bits::new(room);
        let root = root.map(|(page, level)| Step { page, level, low: None, high: None });
        let (tree, chain, other) = (bits(), bits(), bits());
        let mut reach = Reach {
            root,
            tree,
            chain,
            other,
            lost: Vec::new(),
            strays: false,
            keys: 0,
            broken: 0,
            page_keys: 0,
        };
        let mut links = Vec::new();
        reach.descend(view, &mut links);
        reach.follow(view, &links);
        reach.free_list(view, free_head);
        reach
    }

    fn lose(&mut self, step: Step) {
        self.broken += 1;
        if self.lost.len() >= MAX_LOST {
            self.lost = vec![Step { low: None, high: None, ..step }];
        } else {
            self.lost.push(step);
        }
    }

    /// Whether keys are lost for all that tree and siblings tell.
    pub fn lost(&self) -> bool {
        !self.lost.is_empty()
    }

    fn known(&self, no: u32) -> bool {
        self.tree.has(no) || self.chain.has(no) || self.other.has(no)
    }

    fn descend(&mut self, view: &mut View<'_>, links: &mut Vec<u32>) {
        self.other.set(0);
        let mut stack: Vec<Step> = self.root.clone().into_iter().collect();
        let high = stack.first().is_some_and(|root| root.level > 1);
        while let Some(step) = stack.pop() {
            if self.known(step.page) && step.page != 0 {
                self.broken += 1;
                continue;
            }
            let bytes = view.load(step.page, None).unwrap_or_default();
            match page::node(&bytes) {
                Ok(node) if node.leaf && step.level == 1 && self.tree.set(step.page) => {
                    self.strays |= !node.cells().all(|cell| step.holds(cell.key));
                    self.keys += u64::from(node.count);
                    self.page_keys = if high { self.page_keys.max(node.count) } else { 0 };
                    links.extend(Some(node.link).filter(|&link| link != NONE));
                }
                // A leaf that was emptied and freed before its parent knew of it.
                Ok(node) if step.level == 1 && node.looks_free() && node.link != 0 => self.broken += 1,
                Ok(node) if !node.leaf && step.level > 1 && self.other.set(step.page) => {
                    self.page_keys = self.page_keys.max(node.count);
                    below(&step, &node, &mut stack);
                }
                _ => self.lose(step),
            }
        }
    }

    /// The leaves to which siblings lead, and the tree does not.
    fn follow(&mut self, view: &mut View<'_>, links: &[u32]) {
        for &link in links {
            let mut no = link;
            while no != NONE && !self.tree.has(no) && !self.chain.has(no) {
                let bytes = view.load(no, None).unwrap_or_default();
                let Some(leaf) = page::node(&bytes).ok().filter(|node| node.leaf) else {
                    self.broken += 1;
                    break;
                };
                if !self.chain.set(no) {
                    break;
                }
                self.keys += u64::from(leaf.count);
                no = leaf.link;
            }
        }
    }

    fn free_list(&mut self, view: &mut View<'_>, head: u32) {
        let mut no = head;
        while no != NONE && no != 0 && !self.known(no) && self.other.set(no) {
            let Some(bytes) = view.load(no, None) else { break };
            match page::node(&bytes) {
                Ok(node) if node.looks_free() => no = node.link,
                _ => break,
            }
        }
    }

    /// Gives the leaves that nothing leads to; unless `all`, only keys that are lost otherwise.
    pub fn give_unreached(&self, view: &mut View<'_>, all: bool, each: &mut Each<'_>) {
        if !all && self.lost.is_empty() {
            return;
        }
        let mut named = Bits::new(view.room());
        every(view, &mut |no, node| {
            if !self.tree.has(no) {
                name(no, node, &mut named);
            }
        });
        for wanted in [false, true] {
            every(view, &mut |no, node| {
                if node.leaf && !self.known(no) && named.has(no) == wanted {
                    let lost = |key: &[u8]| all || self.lost.iter().any(|range| range.holds(key));
                    give(no, node, &lost, each);
                }
            });
        }
    }

    /// Gives the other leaves.
    pub fn give(&self, view: &mut View<'_>, each: &mut Each<'_>) {
        for no in view.logged() {
            if !self.known(no) {
                give_page(view, no, &|_| true, each);
            }
        }
        for no in self.chain.iter() {
            give_page(view, no, &|_| true, each);
        }
        for astray in [true, false] {
            if self.strays || !astray {
                self.give_tree(view, astray, each);
            }
        }
    }

    fn give_tree(&self, view: &mut View<'_>, astray: bool, each: &mut Each<'_>) {
        let mut visited = Bits::new(view.room());
        let mut stack: Vec<Step> = self.root.clone().into_iter().collect();
        while let Some(step) = stack.pop() {
            if !visited.set(step.page) {
                continue;
            }
            let bytes = view.load(step.page, None).unwrap_or_default();
            let Ok(node) = page::node(&bytes) else { continue };
            if self.tree.has(step.page) {
                give(step.page, &node, &|key| step.holds(key) != astray, each);
            } else if self.other.has(step.page) && step.level > 1 && !node.leaf {
                below(&step, &node, &mut stack);
            }
        }
    }
}

/// The children of an internal page, the first of them on top.
fn below(step: &Step, node: &Node<'_>, stack: &mut Vec<Step>) {
    let from = stack.len();
    let mut next = Step { page: node.link, level: step.level - 1, low: step.low.clone(), high: None };
    for cell in node.cells() {
        let key: Rc<[u8]> = cell.key.into();
        let right = Step { page: cell.child(), level: next.level, low: Some(key.clone()), high: None };
        stack.push(Step { high: Some(key), ..std::mem::replace(&mut next, right) });
    }
    stack.push(Step { high: step.high.clone(), ..next });
    if let Some(children) = stack.get_mut(from..) {
        children.reverse();
    }
}

fn level_of(view: &mut View<'_>, no: u32) -> Option<u32> {
    let bytes = view.load(no, None)?;
    let node = page::node(&bytes).ok()?;
    view.level(&node, None)
}

/// The highest page that no other page leads to.
fn find_root(view: &mut View<'_>) -> Option<(u32, u32)> {
    let mut named = Bits::new(view.room());
    every(view, &mut |no, node| name(no, node, &mut named));
    let mut roots = Vec::new();
    every(view, &mut |no, node| {
        if !named.has(no) && !node.looks_free() {
            roots.push((node.count, no));
        }
    });
    let levels = roots.into_iter().filter_map(|(count, no)| Some((level_of(view, no)?, count, no)));
    levels
        .max_by_key(|&(level, count, no)| (level, count, std::cmp::Reverse(no)))
        .map(|best| (best.2, best.0))
}

/// Notes the pages that a page leads to.
fn name(no: u32, node: &Node<'_>, named: &mut Bits) {
    if node.leaf && node.link != no {
        named.set(node.link);
    }
    for child in node.children() {
        named.set(child);
    }
}

/// Goes through all pages that parse, holes of the file left aside.
fn every(view: &mut View<'_>, each: &mut dyn FnMut(u32, &Node<'_>)) {
    let count = view.pages.as_ref().map_or(0, Pages::count).min(view.room()) as u32;
    let mut next = 1;
    let logged = view.logged();
    while next < count {
        let no = view.pages.as_ref().map_or(next, |pages| pages.beyond_hole(next));
        next = no.saturating_add(1);
        if no < count && logged.binary_search(&no).is_err() {
            visit(view, no, each);
        }
    }
    for no in logged {
        visit(view, no, each);
    }
}

fn visit(view: &mut View<'_>, no: u32, each: &mut dyn FnMut(u32, &Node<'_>)) {
    let bytes = view.load(no, None).unwrap_or_default();
    if let Some(node) = page::node(&bytes).ok().filter(|_| no != 0 && !page::is_zero(&bytes)) {
        each(no, &node);
    }
}

fn give_page(view: &mut View<'_>, no: u32, wanted: &dyn Fn(&[u8]) -> bool, each: &mut Each<'_>) {
    visit(view, no, &mut |no, node| give(no, node, wanted, each));
}

fn give(no: u32, node: &Node<'_>, wanted: &dyn Fn(&[u8]) -> bool, each: &mut Each<'_>) {
    let mut at = HEADER;
    for cell in node.cells().filter(|_| node.leaf) {
        if wanted(cell.key) {
            each(Pair { page: no, key: cell.key, value: cell.body, at: at + 2 });
        }
        at += 4 + cell.key.len() + cell.body.len();
    }
}

/// Gives every pair in the leaves of a data file alone.
pub fn leaves(src: &dyn ReadAt, page_size: u64, each: &mut Each<'_>) {
    let mut view = View::of_file(Pages::new(src, page_size));
    let reach = Reach::of(&mut view);
    reach.give_unreached(&mut view, true, each);
    reach.give(&mut view, each);
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

    /// Key and page of each pair, in order: what counts, and what is given only if all is asked for.
    fn given(pages: &[Vec<u8>], all: bool) -> Vec<(String, u32)> {
        let bytes = pages.concat();
        let mut given = Vec::new();
        let source = &bytes[..];
        let mut view = View::of_file(Pages::new(&source, SIZE as u64));
        let reach = Reach::of(&mut view);
        let mut each = |pair: Pair<'_>| {
            let from = pair.page as usize * SIZE + pair.at;
            assert_eq!(bytes[from..from + pair.key.len()], *pair.key);
            given.push((String::from_utf8(pair.key.to_vec()).unwrap(), pair.page));
        };
        reach.give_unreached(&mut view, all, &mut each);
        reach.give(&mut view, &mut each);
        given
    }

    fn rows(rows: &[(&str, u32)]) -> Vec<(String, u32)> {
        rows.iter().map(|(key, page)| ((*key).to_owned(), *page)).collect()
    }

    #[test]
    fn the_tree_comes_last_and_its_siblings_before() {
        let all = [("f", 5), ("a", 1), ("b", 1), ("d", 2), ("m", 3), ("n", 3)];
        assert_eq!(given(&store(), false), rows(&all));
    }

    #[test]
    fn a_stale_leaf_counts_only_if_all_is_asked_for() {
        let mut pages = store();
        pages[2] = leaf(SIZE, 3, &[("d", b"3"), ("f", b"new")]);
        assert!(given(&pages, false).iter().all(|row| row.1 != 5));
        assert_eq!(given(&pages, true)[0], ("f".to_owned(), 5));
    }

    #[test]
    fn a_leaf_that_nothing_leads_to_fills_the_range_that_is_lost() {
        let mut pages = store();
        pages[2].fill(0xee);
        pages[5] = leaf(SIZE, 3, &[("c", b"stale"), ("f", b"4"), ("m", b"stale")]);
        let all = [("f", 5), ("a", 1), ("b", 1), ("m", 3), ("n", 3)];
        assert_eq!(given(&pages, false), rows(&all));
    }

    #[test]
    fn keys_outside_of_their_separators_come_before_those_inside() {
        let mut pages = store();
        pages[1] = leaf(SIZE, 2, &[("a", b"1"), ("d", b"old")]);
        let all = [("f", 5), ("d", 1), ("a", 1), ("d", 2), ("m", 3), ("n", 3)];
        assert_eq!(given(&pages, false), rows(&all));
    }

    #[test]
    fn without_metadata_all_leaves_count_and_the_tree_most() {
        let mut pages = store();
        pages[0].fill(0);
        pages.push(leaf(SIZE, 3, &[("b", b"stale")]));
        let all = [("b", 6), ("f", 5), ("a", 1), ("b", 1), ("d", 2), ("m", 3), ("n", 3)];
        assert_eq!(given(&pages, false), rows(&all));
    }

    #[test]
    fn a_wrong_root_or_height_does_not_hide_the_tree() {
        let mut pages = store();
        let whole = given(&pages, false);
        pages[0] = metadata(SIZE, [2, 1, 6, 6, NONE]);
        assert_eq!(given(&pages, false), whole);
        pages[0] = metadata(SIZE, [4, 3, 6, 6, NONE]);
        assert_eq!(given(&pages, false), whole);
    }

    #[test]
    fn free_pages_are_left_out_unless_the_tree_leads_there() {
        let mut pages = store();
        pages[0] = metadata(SIZE, [4, 2, 6, 7, 6]);
        pages.push(leaf(SIZE, 3, &[("z", b"freed")]));
        assert!(given(&pages, true).iter().all(|row| row.0 != "z"));
        pages[0] = metadata(SIZE, [4, 2, 6, 7, 1]);
        assert!(given(&pages, true).iter().any(|row| row.0 == "a"));
    }

    #[test]
    fn circles_and_cuts_end() {
        let mut pages = store();
        pages[5] = leaf(SIZE, 2, &[("f", b"4")]);
        pages[4] = internal(SIZE, 1, &[("d", 2), ("m", 4), ("x", 0), ("y", 99), ("z", 1)]);
        assert!(!given(&pages, true).is_empty());
        let bytes = pages.concat();
        for cut in 0..bytes.len() {
            let mut pairs = 0;
            leaves(&&bytes[..cut], SIZE as u64, &mut |_| pairs += 1);
            assert!(pairs <= 12);
        }
    }
}
