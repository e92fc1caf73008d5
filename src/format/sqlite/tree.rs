//! Walks over one b-tree, and payloads put together from their overflow pages. Hostile pages cost no more than there are:
//! a walk visits no more pages than its visitor lets it.

use super::header::Header;
use super::page::{BtreePage, Cell, Payload};
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
    out.extend_from_slice(payload.local.get(..want).unwrap_or(payload.local));
    let mut next = payload.overflow;
    while out.len() < want {
        // What has more pages than there are leads in circles.
        let there = payload.pages <= pages.count() && (1..=pages.count()).contains(&next);
        let Some(image) = there.then(|| pages.page(next)).flatten() else { return false };
        let piece = payload.piece.min(want - out.len());
        let (Some(link), Some(bytes)) = (be32(image, 0), image.get(4..4 + piece)) else { return false };
        out.extend_from_slice(bytes);
        next = link;
    }
    true
}
