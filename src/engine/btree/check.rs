//! One look at the whole tree: what recovery and the first use of a free list rely on.

use std::rc::Rc;

use super::{DATA, Result, damaged};
use crate::format::ddia_btree::Bits;
use crate::format::ddia_btree::page::{self, Meta, NONE, Node};

/// Gives a page, or `None` where there is none.
pub type Load<'a> = dyn Fn(u32) -> Result<Option<Vec<u8>>> + 'a;

/// A contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The page that shows it.
    pub page: u32,
    /// What is wrong.
    pub what: &'static str,
}

/// What was seen. Memory: one bit per page.
pub struct Look {
    /// Keys in the leaves that the tree leads to.
    pub keys: u64,
    /// The first contradiction between root, separators, leaves and their siblings.
    pub tree: Option<Trouble>,
    /// The first contradiction in the free list.
    pub free: Option<Trouble>,
    /// Pages that the tree leads to.
    pub reached: Bits,
    /// Pages of the free list.
    pub listed: Bits,
    /// The leaf before, and where it points to.
    before: Option<(u32, u32)>,
}

/// A page yet to be visited: `low <= key < high`.
struct Step {
    page: u32,
    level: u32,
    low: Option<Rc<[u8]>>,
    high: Option<Rc<[u8]>>,
}

/// Goes through the tree in order of key, then through the free list. `pages`: how many there can be.
///
/// # Errors
/// Those of `load`; contradictions are told in what is given back.
pub fn look(load: &Load<'_>, meta: &Meta, pages: u64) -> Result<Look> {
    let mut look = Look {
        keys: 0,
        tree: None,
        free: None,
        reached: Bits::new(pages.min(meta.next_free.into())),
        listed: Bits::new(pages.min(meta.next_free.into())),
        before: None,
    };
    look.descend(load, meta)?;
    if let Some((page, _)) = look.before.filter(|before| before.1 != NONE) {
        look.tell(page, "the last leaf names a next one");
    }
    look.free = look.free_list(load, meta)?;
    Ok(look)
}

impl Look {
    fn tell(&mut self, page: u32, what: &'static str) {
        self.tree.get_or_insert(Trouble { page, what });
    }

    fn descend(&mut self, load: &Load<'_>, meta: &Meta) -> Result<()> {
        let mut stack = vec![Step { page: meta.root, level: meta.height, low: None, high: None }];
        while let Some(step) = stack.pop() {
            // A page without a bit of its own lies behind the end of the file.
            if step.page == 0 || !self.reached.set(step.page) {
                self.tell(step.page, "a page that the tree leads to twice, or that does not exist");
                continue;
            }
            let Some(bytes) = load(step.page)? else {
                self.tell(step.page, "the tree leads to a page behind the end of the file");
                continue;
            };
            match page::node(&bytes) {
                Ok(node) if node.leaf == (step.level == 1) => self.visit(&step, &node, &mut stack),
                Ok(_) => self.tell(step.page, "a leaf where none can be, or none where one must be"),
                Err(what) => self.tell(step.page, what),
            }
        }
        Ok(())
    }

    fn visit(&mut self, step: &Step, node: &Node<'_>, stack: &mut Vec<Step>) {
        let low = step.low.as_deref().zip(node.first()).is_some_and(|(low, first)| first < low);
        let high = step.high.as_deref().zip(node.last()).is_some_and(|(high, last)| last >= high);
        if low || high {
            self.tell(step.page, "keys that the page above does not lead to");
        }
        if node.leaf {
            self.keys += u64::from(node.count);
            if self.before.is_some_and(|before| before.1 != step.page) {
                self.tell(step.page, "the leaf before names another next one");
            }
            self.before = Some((step.page, node.link));
            return;
        }
        let from = stack.len();
        let level = step.level - 1;
        let mut below = Step { page: node.link, level, low: step.low.clone(), high: None };
        for cell in node.cells() {
            let key: Rc<[u8]> = cell.key.into();
            let next = Step { page: cell.child(), level, low: Some(key.clone()), high: None };
            stack.push(Step { high: Some(key), ..std::mem::replace(&mut below, next) });
        }
        stack.push(Step { high: step.high.clone(), ..below });
        if let Some(children) = stack.get_mut(from..) {
            children.reverse();
        }
    }

    fn free_list(&mut self, load: &Load<'_>, meta: &Meta) -> Result<Option<Trouble>> {
        let mut no = meta.free_head;
        while no != NONE {
            let trouble = |what| Ok(Some(Trouble { page: no, what }));
            if no == 0 || self.reached.has(no) || !self.listed.set(no) {
                return trouble("a free page that is in use, free twice, or does not exist");
            }
            let Some(bytes) = load(no)? else { return trouble("a free page behind the end of the file") };
            match page::node(&bytes) {
                Ok(node) if node.looks_free() => no = node.link,
                _ => return trouble("a free page that does not look like one"),
            }
        }
        Ok(None)
    }
}

/// The first leaf, in order of key.
///
/// # Errors
/// [`Error::Damaged`](super::Error) where the way there is broken; those of `load`.
pub fn first_leaf(load: &Load<'_>, meta: &Meta, size: usize) -> Result<u32> {
    let mut no = meta.root;
    for level in (1..=meta.height).rev() {
        let at = u64::from(no) * size as u64;
        let Some(bytes) = load(no)? else {
            return damaged(DATA, at, "no such page: it lies behind the end of the file");
        };
        match page::node(&bytes) {
            Ok(node) if node.leaf && level == 1 => return Ok(no),
            Ok(node) if !node.leaf && level > 1 => no = node.link,
            Ok(_) => return damaged(DATA, at, "a leaf where none can be, or none where one must be"),
            Err(what) => return damaged(DATA, at, what),
        }
    }
    damaged(DATA, 4, "a tree without levels")
}
