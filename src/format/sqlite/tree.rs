//! Walks over one b-tree, and payloads put together from their overflow pages. Hostile pages cost no more than there are:
//! a walk visits no more pages than its visitor lets it.

use std::cmp::Ordering;

use super::header::Header;
use super::page::{BtreePage, Cell, Kind, Payload};
use super::{Pages, be32};

/// The engine goes no deeper either.
pub const DEPTH: usize = 20;

/// Where a walk is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Page number.
    pub number: u32,
    /// The page that it is a child of; 0: it is the root.
    pub parent: u32,
    /// Pages above it.
    pub depth: usize,
}

/// Is taken along.
pub trait Visit {
    /// A page, before all that is below it; `page`: nothing where there is no b-tree page. Whether to go into it.
    fn page(&mut self, pages: &mut dyn Pages, place: Place, page: Option<&BtreePage<'_>>) -> bool;

    /// A cell, in the order of the keys; whether to go on. On interior pages it comes between its child and the next.
    fn cell(&mut self, pages: &mut dyn Pages, place: Place, page: &BtreePage<'_>, cell: &Cell<'_>) -> bool;
}

/// A page on the way down, kept while its children are visited.
struct Level {
    place: Place,
    image: Vec<u8>,
    next: usize,
}

/// Goes through the tree with this root, cells that are none left out; whether it came to the end.
pub fn walk(pages: &mut dyn Pages, header: &Header, root: u32, visit: &mut dyn Visit) -> bool {
    let usable = header.usable() as usize;
    let mut levels: Vec<Level> = Vec::new();
    let (mut spare, mut next) = (Vec::new(), Some((root, 0)));
    loop {
        if let Some((number, parent)) = next.take() {
            let place = Place { number, parent, depth: levels.len() };
            let mut image: Vec<u8> = std::mem::take(&mut spare);
            image.clear();
            let there = (1..=pages.count()).contains(&number);
            image.extend_from_slice(there.then(|| pages.page(number)).flatten().unwrap_or_default());
            let page = BtreePage::of(number, &image, usable);
            if visit.page(pages, place, page.as_ref()) && page.is_some() && place.depth < DEPTH {
                levels.push(Level { place, image, next: 0 });
            } else {
                spare = image;
            }
        }
        let Some(level) = levels.last_mut() else { return true };
        let page = BtreePage::of(level.place.number, &level.image, usable);
        let Some(page) = page.filter(|page| level.next <= page.cells) else {
            spare = levels.pop().map_or(Vec::new(), |level| level.image);
            continue;
        };
        let index = level.next;
        level.next += 1;
        let due = if page.kind.interior() { index.checked_sub(1) } else { Some(index) };
        if let Some(cell) = due.and_then(|index| page.cell(index))
            && !visit.cell(pages, level.place, &page, &cell)
        {
            return false;
        }
        if page.kind.interior() {
            let child =
                if index == page.cells { Some(page.right()) } else { page.cell(index).map(|c| c.child) };
            next = child.map(|child| (child, level.place.number));
        }
    }
}

/// Visits the rows of a tree in the order of their keys: those of a table's leaves, those of all pages of an index. `each`
/// gets the number of the page, and the pages for what overflows; it returns whether to go on. Whether the tree is whole:
/// that no page or cell of it was missing.
pub fn rows(
    pages: &mut dyn Pages,
    header: &Header,
    root: u32,
    each: &mut dyn FnMut(&mut dyn Pages, u32, &Cell<'_>) -> bool,
) -> bool {
    let mut rows = Rows { left: pages.count(), whole: true, each };
    walk(pages, header, root, &mut rows);
    rows.whole
}

struct Rows<'e> {
    /// Pages that may still be visited: circles end there.
    left: u32,
    whole: bool,
    each: &'e mut dyn FnMut(&mut dyn Pages, u32, &Cell<'_>) -> bool,
}

impl Visit for Rows<'_> {
    fn page(&mut self, _: &mut dyn Pages, place: Place, page: Option<&BtreePage<'_>>) -> bool {
        let more = self.left > 0 && place.depth < DEPTH;
        self.left = self.left.saturating_sub(1);
        self.whole &= more && page.is_some_and(|page| page.each().all(|cell| cell.is_some()));
        more
    }

    fn cell(&mut self, pages: &mut dyn Pages, place: Place, _: &BtreePage<'_>, cell: &Cell<'_>) -> bool {
        cell.payload.is_none() || (self.each)(pages, place.number, cell)
    }
}

/// Puts the first `most` bytes of a payload into `out`, and tells whether all pages that they take were there.
pub fn gather(pages: &mut dyn Pages, payload: &Payload<'_>, most: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    let want = payload.len.min(most);
    pieces(pages, payload, want, &mut |at, bytes| out.extend_from_slice(&bytes[..bytes.len().min(want - at)]))
}

/// Where a row stands: page and cell.
pub type Spot = (u32, usize);

/// Looks a row up. `order` tells how the one that is sought is ordered against a cell.
///
/// # Errors
/// Where that cannot be told, or pages are missing.
pub fn find(
    pages: &mut dyn Pages,
    header: &Header,
    root: u32,
    order: &mut dyn FnMut(&mut dyn Pages, &Cell<'_>) -> Option<Ordering>,
) -> Result<Option<Spot>, Lost> {
    let mut image = Vec::new();
    let mut number = root;
    for _ in 0..DEPTH {
        copy(pages, number, &mut image).ok_or(Lost)?;
        let page = BtreePage::of(number, &image, header.usable() as usize).ok_or(Lost)?;
        let (mut low, mut high, mut here) = (0, page.cells, None);
        // The first cell that is not before it.
        while low < high {
            let middle = low + (high - low) / 2;
            match order(pages, &page.cell(middle).ok_or(Lost)?).ok_or(Lost)? {
                Ordering::Greater => low = middle + 1,
                Ordering::Less => high = middle,
                Ordering::Equal => (high, here) = (middle, Some(middle)),
            }
        }
        if let Some(cell) = here.filter(|_| page.kind != Kind::TableInterior) {
            return Ok(Some((number, cell)));
        }
        if !page.kind.interior() {
            return Ok(None);
        }
        number = if low == page.cells { page.right() } else { page.cell(low).ok_or(Lost)?.child };
    }
    Err(Lost)
}

/// Something that was looked for cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// Copies a page; `None`: it is not there.
pub fn copy(pages: &mut dyn Pages, number: u32, into: &mut Vec<u8>) -> Option<()> {
    let there = (1..=pages.count()).contains(&number);
    let image = there.then(|| pages.page(number)).flatten()?;
    into.clear();
    into.extend_from_slice(image);
    Some(())
}

/// Goes over the pieces of a payload with their offsets in it, up to offset `to`; whether all of them were there.
pub fn pieces(
    pages: &mut dyn Pages,
    payload: &Payload<'_>,
    to: usize,
    each: &mut dyn FnMut(usize, &[u8]),
) -> bool {
    let want = payload.len.min(to);
    each(0, payload.local);
    let (mut at, mut next) = (payload.local.len(), payload.overflow);
    while at < want {
        // What has more pages than there are leads in circles.
        let there = payload.pages <= pages.count() && (1..=pages.count()).contains(&next);
        let Some(image) = there.then(|| pages.page(next)).flatten() else { return false };
        let piece = payload.piece.min(payload.len - at);
        let (Some(link), Some(bytes)) = (be32(image, 0), image.get(4..4 + piece)) else { return false };
        each(at, bytes);
        (at, next) = (at + piece, link);
    }
    true
}

/// Whether two payloads are the same; `None`: pages are missing.
pub fn same(a: (&mut dyn Pages, &Payload<'_>), b: (&mut dyn Pages, &Payload<'_>)) -> Option<bool> {
    let ((left, a), (right, b)) = (a, b);
    if a.len != b.len || a.local != b.local {
        return Some(false);
    }
    let (mut x, mut y, mut image) = (a.overflow, b.overflow, Vec::new());
    let mut at = a.local.len();
    while at < a.len {
        let piece = a.piece.min(a.len - at);
        if a.pages > left.count().min(right.count()) {
            return None;
        }
        copy(left, x, &mut image)?;
        let other = if (1..=right.count()).contains(&y) { right.page(y)? } else { return None };
        if image.get(4..4 + piece)? != other.get(4..4 + piece)? {
            return Some(false);
        }
        (at, x, y) = (at + piece, be32(&image, 0)?, be32(other, 0)?);
    }
    Some(true)
}
