//! The checks of the data file as the redone WAL leaves it: descent, siblings, free list, and what none of them reaches.

use std::rc::Rc;

use super::page::{self, Meta, Node};
use super::pages::{Bits, MAX_PAGES, Pages};
use super::view::View;
use crate::format::Remark;
use crate::log::finding::Code;

/// Contradictions told one by one; of more only the number is given.
const MAX_TOLD: usize = 24;
/// Pages named in one sentence.
const MAX_NAMED: usize = 8;

/// A contradiction in the tree.
struct Trouble {
    code: Code,
    page: u32,
    message: String,
}

/// Goes through the whole tree once, in order of key, and then through the pages that it does not reach.
pub struct Audit<'v, 's> {
    view: &'v mut View<'s>,
    troubles: Vec<Trouble>,
    untold: u64,
    /// Pages met on the way down, by the sibling chain, in the free list.
    reached: Bits,
    reached_pages: u64,
    chained: Bits,
    free: Bits,
    free_pages: u64,
    keys: u64,
    /// The leaf before, and where it points to.
    before: Option<(u32, u32)>,
    first_leaf: Option<u32>,
    chain_broken: bool,
}

/// A page yet to be visited.
struct Step {
    page: u32,
    parent: u32,
    level: u32,
    low: Option<Rc<[u8]>>,
    high: Option<Rc<[u8]>>,
}

impl<'v, 's> Audit<'v, 's> {
    /// Nothing visited yet.
    pub fn new(view: &'v mut View<'s>) -> Self {
        let room = view.room();
        let bits = || Bits::new(room);
        Audit {
            view,
            troubles: Vec::new(),
            untold: 0,
            reached: bits(),
            reached_pages: 0,
            chained: bits(),
            free: bits(),
            free_pages: 0,
            keys: 0,
            before: None,
            first_leaf: None,
            chain_broken: false,
        }
    }

    fn say(&mut self, code: Code, page: u32, message: String) {
        if self.troubles.len() < MAX_TOLD {
            self.troubles.push(Trouble { code, page, message });
        } else {
            self.untold += 1;
        }
    }

    fn tree(&mut self, page: u32, message: String) {
        self.say(Code::TreeInconsistent, page, message);
    }

    /// Visits everything.
    pub fn run(&mut self) {
        let empty = self.view.pages.as_ref().is_none_or(|p| p.count() == 0);
        if empty && self.view.base.is_empty() {
            return;
        }
        let meta = self.view.meta(None);
        if let Some(meta) = meta {
            self.descend(meta);
            self.siblings();
            self.free_list(meta);
            if self.keys != u64::from(meta.keys) {
                let message = format!("the metadata counts {} keys, the tree holds {}", meta.keys, self.keys);
                self.tree(0, message);
            }
        }
        self.rest(meta);
    }

    fn descend(&mut self, meta: Meta) {
        let root = Step { page: meta.root, parent: 0, level: meta.height, low: None, high: None };
        let mut stack = vec![root];
        while let Some(step) = stack.pop() {
            let (no, parent) = (step.page, step.parent);
            if no >= meta.next_free {
                self.tree(
                    parent,
                    format!("page {parent} points to page {no}, which to the metadata is not in use"),
                );
            }
            let logged = self.view.base.contains_key(&no);
            if no == 0 || (no >= meta.next_free && !logged) {
                continue;
            }
            if self.reached.has(no) {
                self.tree(no, format!("page {no} is reached a second time, from page {parent}"));
            } else if let Some(bytes) = self.view.load(no, None) {
                self.reached_pages += u64::from(self.reached.set(no));
                match page::node(&bytes) {
                    Ok(node) => self.visit(&step, &node, &mut stack),
                    Err(what) => {
                        let message =
                            format!("page {no}, below page {parent}, does not parse: malformed {what}");
                        self.say(Code::PageDamaged, no, message);
                        (self.before, self.chain_broken) = (None, true);
                    }
                }
            } else {
                let message = format!("page {no}, below page {parent}, lies behind the end of the file");
                self.say(Code::PageDamaged, parent, message);
                (self.before, self.chain_broken) = (None, true);
            }
        }
    }

    fn visit(&mut self, step: &Step, node: &Node<'_>, stack: &mut Vec<Step>) {
        let (no, parent) = (step.page, step.parent);
        if node.leaf != (step.level == 1) {
            let is = if node.leaf { "a leaf" } else { "no leaf" };
            self.tree(no, format!("page {no}, below page {parent}, is {is} on level {}", step.level));
            return;
        }
        let low = step.low.as_deref().zip(node.first()).is_some_and(|(low, first)| first < low);
        let high = step.high.as_deref().zip(node.last()).is_some_and(|(high, last)| last >= high);
        if low || high {
            self.tree(no, format!("page {no} has keys that page {parent} does not lead to"));
        }
        if node.leaf {
            self.leaf(no, node);
            return;
        }
        let from = stack.len();
        let mut below =
            Step { page: node.link, parent: no, level: step.level - 1, low: step.low.clone(), high: None };
        for cell in node.cells() {
            let key: Rc<[u8]> = cell.key.into();
            let next = Step { page: cell.child(), low: Some(key.clone()), high: None, ..below };
            stack.push(Step { high: Some(key), ..std::mem::replace(&mut below, next) });
        }
        stack.push(Step { high: step.high.clone(), ..below });
        stack[from..].reverse();
    }

    fn leaf(&mut self, no: u32, node: &Node<'_>) {
        self.keys += u64::from(node.count);
        self.first_leaf.get_or_insert(no);
        if let Some((before, link)) = self.before.filter(|b| b.1 != no) {
            self.chain_broken = true;
            let to = if link == page::NONE { "nothing".to_owned() } else { format!("page {link}") };
            self.tree(before, format!("leaf {before} is followed by {to}, in the tree by page {no}"));
        }
        self.before = Some((no, node.link));
    }

    /// Follows the siblings, where they are not the leaves of the tree in order.
    fn siblings(&mut self) {
        if let Some((last, link)) = self.before.filter(|b| b.1 != page::NONE) {
            self.chain_broken = true;
            self.tree(last, format!("leaf {last} is the last of the tree and points to page {link}"));
        }
        let Some(mut no) = self.first_leaf.filter(|_| self.chain_broken) else { return };
        while no != page::NONE {
            if self.chained.has(no) {
                self.tree(no, format!("the chain of siblings comes back to page {no}: iteration never ends"));
                return;
            }
            let Some(bytes) = self.view.load(no, None).filter(|_| self.chained.set(no)) else { return };
            match page::node(&bytes) {
                Ok(node) if node.leaf => no = node.link,
                _ => return,
            }
        }
    }

    fn free_list(&mut self, meta: Meta) {
        let mut no = meta.free_head;
        while no != page::NONE {
            if no == 0 || no >= meta.next_free {
                self.tree(0, format!("the free list names page {no}, which was never in use"));
                return;
            }
            if self.reached.has(no) {
                self.tree(no, format!("page {no} is in the free list and in the tree"));
            }
            if !self.free.set(no) {
                self.tree(no, format!("the free list comes back to page {no}"));
                return;
            }
            self.free_pages += u64::from(!self.reached.has(no));
            let Some(bytes) = self.view.load(no, None) else { return };
            match page::node(&bytes) {
                Ok(node) if node.looks_free() => no = node.link,
                _ => {
                    self.tree(
                        no,
                        format!("page {no} is in the free list and does not look like a free page"),
                    );
                    return;
                }
            }
        }
    }

    /// The pages that neither descent, siblings nor free list lead to.
    fn rest(&mut self, meta: Option<Meta>) {
        let count = self.view.pages.as_ref().map_or(0, Pages::count).min(MAX_PAGES) as u32;
        let (mut named, mut leaves, mut keys, mut others) = (Vec::new(), 0u64, 0u64, 0u64);
        let mut next = 1;
        while next < count {
            let no = self.view.pages.as_ref().map_or(next, |pages| pages.beyond_hole(next));
            next = no.saturating_add(1);
            if no >= count || self.reached.has(no) || self.free.has(no) {
                continue;
            }
            let Some(bytes) = self.view.load(no, None).filter(|bytes| !page::is_zero(bytes)) else {
                continue;
            };
            others += 1;
            match page::node(&bytes) {
                Ok(node) if node.leaf && node.count > 0 && !self.chained.has(no) => {
                    (leaves, keys) = (leaves + 1, keys + u64::from(node.count));
                    if named.len() < MAX_NAMED {
                        named.push(no);
                    }
                }
                _ => {}
            }
        }
        if leaves > 0 {
            let names: Vec<_> = named.iter().map(u32::to_string).collect();
            let dots = if leaves > named.len() as u64 { ", …" } else { "" };
            let why = if meta.is_some() {
                "neither the tree nor a sibling leads"
            } else {
                "without metadata nothing leads"
            };
            let (leaf, page) = if leaves == 1 { ("leaf", "page") } else { ("leaves", "pages") };
            let message =
                format!("{why} to {leaves} {leaf} with {keys} keys: {page} {}{dots}", names.join(", "));
            self.tree(if meta.is_some() { named[0] } else { 0 }, message);
        }
        let used = 1 + self.reached_pages + self.free_pages + others;
        let unused = meta.map_or(0, |m| u64::from(m.next_free).saturating_sub(used));
        if unused > 0 && self.troubles.is_empty() {
            let pages = if unused == 1 { "page is" } else { "pages are" };
            let message = format!(
                "{unused} {pages} allocated and hold nothing: an operation was cut short behind the allocation; harmless"
            );
            self.say(Code::UnfinishedOperation, 0, message);
        }
    }

    /// What was found.
    pub fn told(self, file: usize, size: u64) -> impl Iterator<Item = Remark> {
        let more = (self.untold > 0).then(|| Trouble {
            code: Code::TreeInconsistent,
            page: 0,
            message: format!("{} more contradictions in the tree", self.untold),
        });
        self.troubles.into_iter().chain(more).map(move |t| {
            let (at, len) = (u64::from(t.page).saturating_mul(size), size);
            Remark { code: t.code, file, at, len, message: t.message }
        })
    }
}
