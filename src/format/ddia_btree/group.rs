//! The entries of one operation judged against each other and the tree: the page number is in no checksum, and the byte
//! sum of r1 sees no swapped bytes.
//!
//! A number is wrong when 1. no such page is in use, 2. it says metadata and the image is none, or the other way round,
//! 3. the tree gives that page another level or other keys, or it held too many keys to be empty now, 4. the left half of
//! the split, which is logged next, names another page for its right half, 5. nothing leads to that page, or another entry
//! of the operation has it, while the page that these keys lead to is missing or holds this image or an older state of it.
//! The true number is told by 2, by 4, or by following the keys from the root, the entry itself left aside. Where the
//! entry may be a new page that nothing leads to yet, that is not enough, and the number stays unknown.

use std::collections::{HashMap, HashSet};

use super::page::{self, Node};
use super::pages::Pages;
use super::view::{Image, View};
use super::{COMMIT, DATA, EntryFraming, FIXED, KIND_PAGE};
use crate::format::chain::Framing;
use crate::log::bytes::Reader;
use crate::log::fault::Cause;
use crate::log::layout::Sum;
use crate::log::record::{Fix, Mark, Record};
use crate::log::region::Kind;
use crate::log::survey::Survey;

/// Entries of larger WALs are judged by their own bytes alone: no engine leaves so many behind.
const MAX_ENTRIES: u64 = 1 << 20;
/// Wrong entries told; where so many seem wrong, it is the tree that is.
const MAX_WRONG: usize = 1024;

/// An entry that holds an image.
#[derive(Clone, Copy)]
struct Item {
    record: Record,
    /// Intact records in front of it in its region.
    before: u64,
    /// Another of its fields is wrong already.
    fixed: bool,
}

impl Item {
    fn image(&self, entry: usize) -> Image {
        Image { at: self.record.at + DATA, len: self.record.len.saturating_sub(FIXED), entry }
    }
}

/// What is wrong with an entry.
enum Verdict {
    /// Its number; this is the true one.
    Page(u32),
    /// It holds no page of this tree, or none that can be told.
    Lost(Cause),
}

/// A place in the tree where a page may stand.
struct Place {
    level: Option<u32>,
    low: Option<Vec<u8>>,
    high: Option<Vec<u8>>,
    /// An image of the same group leads here.
    logged: bool,
}

impl Place {
    fn keys_fit(&self, node: &Node<'_>) -> bool {
        let low = self.low.as_deref().zip(node.first()).is_none_or(|(low, first)| first >= low);
        let high = self.high.as_deref().zip(node.last()).is_none_or(|(high, last)| last < high);
        low && high
    }

    /// `level`: of the node, where it can be told.
    fn takes(&self, node: &Node<'_>, level: Option<u32>) -> bool {
        let on_level =
            self.level.is_none_or(|at| node.leaf == (at == 1) && level.is_none_or(|level| level == at));
        on_level && self.keys_fit(node)
    }
}

/// Goes through the WAL group by group.
pub struct Groups<'v, 's> {
    view: &'v mut View<'s>,
    framing: EntryFraming,
    /// Only what a commit entry closes is redone.
    commits: bool,
    /// Image entries, intact or recovered.
    pub entries: u64,
    overfull: Vec<(u64, u64, u32, u64)>,
    /// The group at hand: its entries, the pages that its internal images lead to, the siblings that its leaves name.
    items: Vec<Item>,
    parents: HashMap<u32, (u32, usize)>,
    siblings: HashSet<u32>,
    /// The page number of each entry as far as it is known; `None`: not to be used.
    numbers: Vec<Option<u32>>,
    /// How many entries have a number.
    uses: HashMap<u32, u32>,
    /// Entries that damage in the group may have held.
    lost: u64,
    bound: u64,
    closed: bool,
    verdicts: Vec<(Item, Verdict)>,
}

impl<'v, 's> Groups<'v, 's> {
    /// Nothing read yet.
    pub fn new(view: &'v mut View<'s>, framing: EntryFraming, commits: bool) -> Self {
        Groups {
            view,
            framing,
            commits,
            entries: 0,
            overfull: Vec::new(),
            items: Vec::new(),
            parents: HashMap::new(),
            siblings: HashSet::new(),
            numbers: Vec::new(),
            uses: HashMap::new(),
            lost: 0,
            bound: 0,
            closed: false,
            verdicts: Vec::new(),
        }
    }

    /// Entries whose image is longer than a page: offset, length, page, bytes of the image.
    pub fn overfull(&self) -> Vec<(u64, u64, u32, u64)> {
        self.overfull.clone()
    }

    /// Images that the data file does not hold at their page.
    pub fn not_in_place(&mut self) -> u64 {
        let images: Vec<(u32, Image)> = self.view.base.iter().map(|(&no, &image)| (no, image)).collect();
        let missing = images.into_iter().filter(|&(no, image)| {
            let logged = self.view.image(image);
            let there = self.view.pages.as_mut().and_then(|pages| pages.get(no));
            logged.zip(there).is_none_or(|(logged, there)| !logged.starts_with(&there))
        });
        missing.count() as u64
    }

    /// Judges every entry and takes back those that cannot stand.
    pub fn judge(&mut self, survey: &mut Survey) {
        let records: u64 = survey.regions.as_slice().iter().map(|r| r.records).sum();
        if records > MAX_ENTRIES || self.view.wal.is_none() {
            return;
        }
        for region in survey.regions.as_slice().to_vec() {
            match region.kind {
                Kind::Records => self.records(region.at, region.end()),
                Kind::Recovered => self.recovered(region.at, region.len, region.fix),
                _ => self.lost += region.len / (FIXED + self.framing.size.unwrap_or(FIXED)) + 1,
            }
        }
        self.close(false);
        self.view.file_meta = true;
        // From the back, so that the counts of records in front stay right.
        self.verdicts.sort_by_key(|(item, _)| std::cmp::Reverse(item.record.at));
        for (item, verdict) in self.verdicts.drain(..) {
            let found = u64::from(item.record.txn);
            let (cause, fix) = match verdict {
                Verdict::Lost(cause) => (cause, None),
                Verdict::Page(page) => {
                    let inferred = u64::from(page);
                    (
                        Cause::Number { found, expected: inferred },
                        Some(Fix { field: "page", found, inferred }),
                    )
                }
            };
            survey.reject(&item.record, item.before, cause, fix);
        }
    }

    fn records(&mut self, from: u64, to: u64) {
        let (mut at, mut before) = (from, 0);
        while at < to {
            let Some(wal) = self.view.wal.as_mut() else { return };
            at = match self.framing.frame(wal, at) {
                Ok(record) if record.end() <= to => {
                    self.take(Item { record, before, fixed: false });
                    record.end()
                }
                // Nothing but a commit mark of r1 stands here.
                _ => match self.framing.framing(wal, at) {
                    Some(end) => {
                        self.close(true);
                        end
                    }
                    None => return,
                },
            };
            before += 1;
        }
    }

    fn recovered(&mut self, at: u64, len: u64, fix: Option<Fix>) {
        let Some(wal) = self.view.wal.as_mut() else { return };
        let Ok(head) = super::head::<Reader<'_>>(wal, at) else { return };
        let mut record = super::record(at, head, len.saturating_sub(FIXED));
        match fix {
            Some(Fix { field: "page", inferred, .. }) if inferred == u64::from(COMMIT) => {
                record.mark = Mark::Commit;
            }
            Some(Fix { field: "seq", inferred, .. }) => record.seq = inferred,
            _ => {}
        }
        self.take(Item { record, before: 0, fixed: true });
    }

    fn take(&mut self, item: Item) {
        let r = &item.record;
        if r.mark == Mark::Commit {
            return self.close(true);
        }
        if r.seq == 1 && !self.items.is_empty() {
            self.close(false);
        }
        self.entries += 1;
        let data = r.len - FIXED;
        if r.kind == KIND_PAGE && self.framing.size.is_some_and(|size| data > size) {
            self.overfull.push((r.at, r.len, r.txn, data));
        }
        self.items.push(item);
    }

    /// The group ends here. `commit`: a commit says so.
    fn close(&mut self, commit: bool) {
        self.open_group(commit);
        if self.view.pages.is_some() || self.items.len() > 1 {
            self.judge_group();
        }
        if commit || !self.commits {
            let images: Vec<(u32, Image)> = self.view.group.drain().collect();
            self.view.base.extend(images);
        }
        self.view.group.clear();
        self.items.clear();
        self.lost = 0;
    }

    fn open_group(&mut self, commit: bool) {
        self.numbers = self.items.iter().map(|item| Some(item.record.txn)).collect();
        self.parents.clear();
        self.siblings.clear();
        self.uses.clear();
        self.closed = commit;
        let mut next_free = None;
        for i in 0..self.items.len() {
            let named = self.items[i].record.txn;
            *self.uses.entry(named).or_default() += 1;
            self.view.group.insert(named, self.items[i].image(i));
            let Some(bytes) = self.view.image(self.items[i].image(i)) else { continue };
            match (page::node(&bytes), page::meta(&bytes)) {
                (Ok(node), _) if node.leaf => drop(self.siblings.insert(node.link)),
                (Ok(node), _) => {
                    let page = self.items[i].record.txn;
                    self.parents.extend(node.children().map(|child| (child, (page, i))));
                }
                (_, Ok(meta)) => {
                    (next_free, self.closed) = (Some(meta.next_free), true);
                    // Metadata it is, whatever its number says.
                    self.view.group.insert(0, self.items[i].image(i));
                }
                _ => {}
            }
        }
        self.view.weigh_file_meta();
        let allocated = self.items.len() as u64 + self.lost;
        // A page of which the data file has bytes was allocated, whatever its metadata says.
        let written = self.view.pages.as_ref().map_or(0, Pages::count);
        self.bound = match (next_free, self.view.meta(None)) {
            (Some(next_free), _) => next_free.into(),
            (None, Some(meta)) => written.max(meta.next_free.into()) + allocated,
            (None, None) => COMMIT.into(),
        };
    }

    /// Pages above before pages below: a wrong parent must not speak against its children.
    fn judge_group(&mut self) {
        let (mut inner, mut leaves) = (Vec::new(), Vec::new());
        for i in 0..self.items.len() {
            let bytes = self.view.image(self.items[i].image(i)).unwrap_or_default();
            let leaf = page::node(&bytes).is_ok_and(|node| node.leaf);
            if leaf { leaves.push(i) } else { inner.push(i) }
        }
        for i in inner.into_iter().chain(leaves).filter(|&i| !self.items[i].fixed).collect::<Vec<_>>() {
            if self.verdicts.len() >= MAX_WRONG {
                return;
            }
            if let Some(verdict) = self.judge_entry(i) {
                self.renumber(i, &verdict);
                self.verdicts.push((self.items[i], verdict));
            }
        }
    }

    fn renumber(&mut self, i: usize, verdict: &Verdict) {
        let named = self.items[i].record.txn;
        let known = match verdict {
            Verdict::Page(page) => Some(*page),
            Verdict::Lost(_) => None,
        };
        self.numbers[i] = known;
        match self.uses.get_mut(&named) {
            Some(uses) if *uses > 1 => *uses -= 1,
            _ => drop(self.uses.remove(&named)),
        }
        if let Some(page) = known {
            *self.uses.entry(page).or_default() += 1;
        }
        if self.view.group.get(&named).is_some_and(|image| image.entry == i) {
            self.view.group.remove(&named);
            if let Some(other) = self.numbers.iter().position(|&no| no == Some(named)) {
                self.view.group.insert(named, self.items[other].image(other));
            }
        }
        self.parents.retain(|_, parent| parent.1 != i || known.is_some());
        if let Some(page) = known {
            self.view.group.insert(page, self.items[i].image(i));
            for parent in self.parents.values_mut().filter(|parent| parent.1 == i) {
                parent.0 = page;
            }
        }
    }

    fn judge_entry(&mut self, i: usize) -> Option<Verdict> {
        let bytes = self.view.image(self.items[i].image(i))?;
        let no = self.items[i].record.txn;
        let unknown = Verdict::Lost(Cause::Number { found: no.into(), expected: u64::MAX });
        let Ok(node) = page::node(&bytes) else {
            // Metadata, then: it parsed before.
            let taken = self.uses.contains_key(&0);
            return (no != 0).then_some(if taken { unknown } else { Verdict::Page(0) });
        };
        if no == 0 || u64::from(no) >= self.bound {
            return Some(self.candidate(i, &bytes, &node).map_or(unknown, Verdict::Page));
        }
        let Some(place) = self.place(no, i) else {
            let elsewhere = self.right_half(i, &node).is_some_and(|page| page != no);
            return (elsewhere || self.fills_hole(i, no, &bytes, &node))
                .then(|| self.candidate(i, &bytes, &node).map(Verdict::Page))
                .flatten();
        };
        let level = self.view.level(&node, Some(i));
        let fits = place.takes(&node, level) && !self.emptied(no, i, &node);
        if fits || !self.supported(no, i, &place) {
            return None;
        }
        Some(match self.candidate(i, &bytes, &node) {
            Some(page) => Verdict::Page(page),
            None if self.framing.checksum == Sum::Bytes && !place.keys_fit(&node) => Verdict::Lost(
                Cause::Malformed("page image: its keys are not those that the tree leads to this page for"),
            ),
            None => unknown,
        })
    }

    /// Where a page stands in the tree, entry `i` left aside.
    fn place(&mut self, no: u32, i: usize) -> Option<Place> {
        if let Some(&(parent, entry)) = self.parents.get(&no).filter(|parent| parent.1 != i) {
            let bytes = self.view.image(self.items[entry].image(entry))?;
            let node = page::node(&bytes).ok()?;
            let (low, high) = node.around(no)?;
            let mut place = Place {
                level: None,
                low: low.map(<[u8]>::to_vec),
                high: high.map(<[u8]>::to_vec),
                logged: true,
            };
            let above =
                node.first().and_then(|key| self.view.descend(key, Some(i), |page, _| page == parent));
            if let Some(above) = above {
                place.level = above.level.checked_sub(1);
                place.low = place.low.or(above.low);
                place.high = place.high.or(above.high);
            }
            return Some(place);
        }
        let old = self.view.load(no, Some(i))?;
        let old = page::node(&old).ok()?;
        let spot = self.view.descend(old.first()?, Some(i), |page, _| page == no)?;
        Some(Place { level: Some(spot.level), low: spot.low, high: spot.high, logged: false })
    }

    /// Whether an image without keys stands for a leaf that had more than the one key that an operation deletes. From r2
    /// on the data file is synced with each operation, so it cannot be older than that.
    fn emptied(&mut self, no: u32, i: usize, node: &Node<'_>) -> bool {
        let empty = node.leaf && node.count == 0 && self.framing.checksum == Sum::Crc32;
        empty
            && self
                .view
                .load(no, Some(i))
                .is_some_and(|old| page::node(&old).is_ok_and(|old| old.leaf && old.count > 1))
    }

    /// Whether a place is to be believed: what stood there fits it, or the same operation leads there.
    fn supported(&mut self, no: u32, i: usize, place: &Place) -> bool {
        place.logged
            || self
                .view
                .load(no, Some(i))
                .is_some_and(|old| page::node(&old).is_ok_and(|old| place.takes(&old, None)))
    }

    /// The number that the left half of a split, which is logged next, gives to its right half.
    fn right_half(&mut self, i: usize, node: &Node<'_>) -> Option<u32> {
        let first = node.first().filter(|_| node.leaf)?;
        let next = self.items.get(i + 1).filter(|next| next.record.at == self.items[i].record.end())?;
        let bytes = self.view.image(next.image(i + 1))?;
        let left = page::node(&bytes).ok().filter(|left| left.leaf)?;
        let page = left.link;
        let usable = page != 0 && u64::from(page) < self.bound && self.free_for(page, i);
        (left.last()? < first && usable).then_some(page)
    }

    /// No other entry of the group has that number.
    fn free_for(&self, page: u32, i: usize) -> bool {
        self.view.group.get(&page).is_none_or(|image| image.entry == i)
    }

    /// Nothing leads to page `no`, and the page that these keys lead to is missing or has this image for a later state.
    fn fills_hole(&mut self, i: usize, no: u32, bytes: &[u8], node: &Node<'_>) -> bool {
        let twice = self.uses.get(&no).is_some_and(|&uses| uses > 1);
        if !twice && (self.parents.contains_key(&no) || self.siblings.contains(&no)) {
            return false;
        }
        let Some((page, place)) = self.led_to(i, node) else { return false };
        let written = self.written_in_place(bytes).filter(|&written| written != page);
        if written.is_some_and(|page| page != no && self.free_for(page, i)) {
            return true;
        }
        let logged = self.parents.contains_key(&page);
        let hole = match self.view.load(page, Some(i)) {
            None => true,
            // The right half of a split may be all that the page held before the new key.
            Some(old) if old == bytes => !self.may_be_new(i, node),
            Some(old) if page::is_zero(&old) => true,
            // A torn page is a hole where this operation leads to it.
            Some(old) => page::node(&old).map_or(logged, |old| {
                !place.takes(&old, None) || ((twice || self.closed) && begin_alike(node, &old))
            }),
        };
        page != no && hole && place.keys_fit(node)
    }

    /// The page to which the tree leads for these keys.
    fn led_to(&mut self, i: usize, node: &Node<'_>) -> Option<(u32, Place)> {
        let level = self.view.level(node, Some(i))?;
        let spot = self.view.descend(node.first()?, Some(i), |_, at| at == level)?;
        let place = Place { level: Some(level), low: spot.low, high: spot.high, logged: false };
        Some((spot.page, place))
    }

    /// The one page that this image can be of.
    fn candidate(&mut self, i: usize, bytes: &[u8], node: &Node<'_>) -> Option<u32> {
        if let Some(page) = self.right_half(i, node) {
            return Some(page);
        }
        let led_to = self.led_to(i, node);
        let (page, place) = led_to.filter(|(page, place)| {
            u64::from(*page) < self.bound && self.free_for(*page, i) && place.keys_fit(node)
        })?;
        let old = self.view.load(page, Some(i));
        if old.as_deref() == Some(bytes) {
            return Some(page);
        }
        let old = old.as_deref().and_then(|old| page::node(old).ok());
        // The last entry of an operation that is not finished may be a page that nothing leads to yet.
        if old.is_some_and(|old| begin_alike(node, &old)) {
            return Some(page);
        }
        if self.may_be_new(i, node) {
            return self.written_in_place(bytes);
        }
        match old {
            Some(old) if place.takes(&old, None) && old.count > 0 => {
                let common = old.cells().any(|a| node.cells().any(|b| a.key == b.key));
                common.then_some(page)
            }
            _ => Some(page),
        }
    }

    /// Whether it is the last entry of an operation that is not finished, and no left half: that one names the page logged
    /// before it as its sibling, and is never a new page itself.
    fn may_be_new(&self, i: usize, node: &Node<'_>) -> bool {
        let before = i.checked_sub(1).and_then(|before| self.numbers[before]);
        let left_half = node.leaf && before == Some(node.link);
        !self.closed && i + 1 == self.items.len() && !left_half
    }

    /// The page allocated last, if the data file holds exactly this image there.
    fn written_in_place(&mut self, bytes: &[u8]) -> Option<u32> {
        let page = self.view.pages.as_mut()?.meta()?.next_free.checked_sub(1)?;
        (self.view.pages.as_mut()?.get(page)? == bytes).then_some(page)
    }
}

/// Whether an image is a later state of a page: a new page has neither the first key of an old one nor its first child.
fn begin_alike(node: &Node<'_>, old: &Node<'_>) -> bool {
    let same = if node.leaf { node.count > 0 && node.first() == old.first() } else { node.link == old.link };
    node.leaf == old.leaf && same
}
