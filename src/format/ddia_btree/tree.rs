//! The tree over pages and WAL images: descent, and the checks of the data file as the redone WAL leaves it.

use std::collections::HashMap;
use std::rc::Rc;

use super::group::Groups;
use super::page::{self, Meta, Node};
use super::pages::{Bits, MAX_PAGES, Pages};
use super::{Facts, engine};
use crate::format::{LogFile, Remark, Role};
use crate::log::bytes::{Bytes, Reader};
use crate::log::finding::Code;
use crate::log::layout::Sum;
use crate::log::survey::Survey;

/// Contradictions told one by one; of more only the number is given.
const MAX_TOLD: usize = 24;
/// Pages named in one sentence.
const MAX_NAMED: usize = 8;

/// Where the image of a page lies in the WAL.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Offset of its first byte, and its length.
    pub at: u64,
    /// See `at`.
    pub len: u64,
    /// The entry that holds it, by its place in the group.
    pub entry: usize,
}

/// The pages as a redo leaves them: newest images first, then the data file.
pub struct View<'s> {
    /// The data file.
    pub pages: Option<Pages<'s>>,
    /// The WAL.
    pub wal: Option<Reader<'s>>,
    /// Images of the group that is looked at.
    pub group: HashMap<u32, Image>,
    /// Images of the groups before it.
    pub base: HashMap<u32, Image>,
}

/// A place in the tree: `low <= key < high`.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The page.
    pub page: u32,
    /// 1 for leaves.
    pub level: u32,
    /// See above.
    pub low: Option<Vec<u8>>,
    /// See above.
    pub high: Option<Vec<u8>>,
}

impl View<'_> {
    /// The bytes of an image.
    pub fn image(&mut self, image: Image) -> Option<Vec<u8>> {
        let span = image.at..image.at.checked_add(image.len)?;
        self.wal.as_mut()?.piece(span).ok().map(<[u8]>::to_vec)
    }

    /// A page, entry `skip` of the group left aside.
    pub fn load(&mut self, no: u32, skip: Option<usize>) -> Option<Vec<u8>> {
        let image = self.group.get(&no).filter(|i| Some(i.entry) != skip).or(self.base.get(&no)).copied();
        match image {
            Some(image) => self.image(image),
            None => self.pages.as_mut()?.get(no),
        }
    }

    /// The metadata, entry `skip` of the group left aside.
    pub fn meta(&mut self, skip: Option<usize>) -> Option<Meta> {
        page::meta(&self.load(0, skip)?).ok()
    }

    /// Follows `key` from the root to the first page for which `until` holds.
    pub fn descend(
        &mut self,
        key: &[u8],
        skip: Option<usize>,
        until: impl Fn(u32, u32) -> bool,
    ) -> Option<Spot> {
        let meta = self.meta(skip)?;
        let mut spot = Spot { page: meta.root, level: meta.height, low: None, high: None };
        while !until(spot.page, spot.level) {
            if spot.level <= 1 {
                return None;
            }
            let bytes = self.load(spot.page, skip)?;
            let node = page::node(&bytes).ok().filter(|node| !node.leaf)?;
            let (child, low, high) = node.towards(key);
            spot.low = low.map(<[u8]>::to_vec).or(spot.low);
            spot.high = high.map(<[u8]>::to_vec).or(spot.high);
            (spot.page, spot.level) = (child, spot.level - 1);
        }
        Some(spot)
    }

    /// The level of an internal page, told by the way down from it.
    pub fn level(&mut self, node: &Node<'_>, skip: Option<usize>) -> Option<u32> {
        let (mut level, mut child) = (1, node.link);
        if node.leaf {
            return Some(level);
        }
        while level < 64 {
            level += 1;
            let bytes = self.load(child, skip)?;
            let node = page::node(&bytes).ok()?;
            if node.leaf {
                return Some(level);
            }
            child = node.link;
        }
        None
    }
}

/// The pages that the tree or the free list points to: one of them that is all zeros has been wiped.
pub fn needed(pages: &mut Pages<'_>) -> Bits {
    let mut needed = Bits::new(pages.count());
    needed.set(0);
    let Some(meta) = pages.meta() else { return needed };
    let mut stack = vec![(meta.root, meta.height)];
    while let Some((no, level)) = stack.pop() {
        if !needed.set(no) || level <= 1 {
            continue;
        }
        let Some(bytes) = pages.get(no) else { continue };
        if let Ok(node) = page::node(&bytes) {
            stack.extend(node.children().map(|child| (child, level - 1)));
        }
    }
    let mut free = meta.free_head;
    while free != page::NONE && needed.set(free) {
        let Some(bytes) = pages.get(free) else { break };
        match page::node(&bytes) {
            Ok(node) if node.looks_free() => free = node.link,
            _ => break,
        }
    }
    needed
}

/// Judges the entries of the WAL by the tree, and the tree as it is with them redone.
pub fn inspect(
    files: &[LogFile<'_>],
    surveys: &mut [Survey],
    facts: &Facts,
    revision: Option<&str>,
) -> Vec<Remark> {
    let find = |role| files.iter().position(|f| f.claim.role == role);
    let (wal, dat) = (find(Role::Log), find(Role::Pages));
    let framing = facts.framing(revision);
    let pages = dat.zip(framing.size).map(|(dat, size)| Pages::new(files[dat].src, size));
    let reader = wal.map(|wal| Reader::with_chunk(files[wal].src, 64 << 10));
    let mut view = View { pages, wal: reader, group: HashMap::new(), base: HashMap::new() };
    let mut remarks = Vec::new();
    if let Some(wal) = wal {
        let commits = framing.checksum == Sum::Crc32 && revision != Some("r2");
        let mut groups = Groups::new(&mut view, framing, commits);
        groups.judge(&mut surveys[wal]);
        let mut say = |code, at, len, message| remarks.push(Remark { code, file: wal, at, len, message });
        if let Some(message) = mismatch(facts, revision) {
            say(Code::RevisionMismatch, 0, 0, message);
        }
        for (at, len, page, data) in groups.overfull() {
            let message = format!(
                "the image of page {page} has {data} bytes, more than a page: only the WAL holds all of it"
            );
            say(Code::PageOverflow, at, len, message);
        }
        if groups.entries > 0 {
            let dropped = framing.checksum == Sum::Bytes && engine::holds_mark(files[wal].src);
            let redone = engine::outcome(files, facts, revision).records;
            let message = format!(
                "the WAL holds {}; {} redoes {redone} when it opens and truncates the WAL",
                images(groups.entries),
                engine::revision(facts, revision)
            );
            say(Code::UnfinishedOperation, 0, 0, message);
            let missing = if dropped { groups.not_in_place() } else { 0 };
            if missing > 0 {
                let message = format!(
                    "of these, {} differ from btree.dat, and as the WAL contains the bytes CMIT they are not redone",
                    images(missing)
                );
                say(Code::TreeInconsistent, 0, 0, message);
            }
        }
    }
    if let (Some(dat), Some(size), true) = (dat, framing.size, view.pages.is_some()) {
        let mut audit = Audit::new(&mut view);
        audit.run();
        remarks.extend(audit.told(dat, size));
    }
    remarks
}

/// What the bytes prove against what the user says.
fn mismatch(facts: &Facts, revision: Option<&str>) -> Option<String> {
    let said = revision?;
    let told = match facts.checksum? {
        Sum::Bytes => "r1: its entries carry a byte sum",
        Sum::Crc32 if said == "r1" => "r2 or r3: its entries carry a CRC-32",
        Sum::Crc32 if facts.commit => "r3: it has a commit entry",
        Sum::Crc32 => return None,
    };
    (!told.starts_with(said))
        .then(|| format!("the WAL was written by {told}; an engine of {said} misreads it"))
}

fn images(count: u64) -> String {
    if count == 1 { "1 page image".into() } else { format!("{count} page images") }
}

/// A contradiction in the tree.
struct Trouble {
    code: Code,
    page: u32,
    message: String,
}

/// Goes through the whole tree once, in order of key, and then through the pages that it does not reach.
struct Audit<'v, 's> {
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
    fn new(view: &'v mut View<'s>) -> Self {
        let newest = view.base.keys().max().map_or(0, |&no| u64::from(no) + 1);
        let file = view.pages.as_ref().map_or(0, Pages::count);
        let next_free = view.meta(None).map_or(0, |meta| u64::from(meta.next_free));
        // No more than the file and the WAL have pages, so that a wild number costs no memory.
        let room = file.max(newest.min(next_free.saturating_add(view.base.len() as u64))).min(MAX_PAGES);
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

    fn run(&mut self) {
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

    fn told(self, file: usize, size: u64) -> impl Iterator<Item = Remark> {
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
