//! What a page is, and b-tree pages cell by cell. Everything is checked against the page before it is used.

use super::header::HEADER;
use super::record::{Fields, varint};
use super::{be16, be32};

/// The kind of a b-tree page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys of an index, or rows of a table without rowid, between children.
    IndexInterior,
    /// Rowids between children.
    TableInterior,
    /// Keys of an index, or rows of a table without rowid.
    IndexLeaf,
    /// Rows of a table.
    TableLeaf,
}

impl Kind {
    /// By the first byte of the page's header.
    pub fn of(byte: u8) -> Option<Kind> {
        Some(match byte {
            2 => Kind::IndexInterior,
            5 => Kind::TableInterior,
            10 => Kind::IndexLeaf,
            13 => Kind::TableLeaf,
            _ => return None,
        })
    }

    /// Whether it has children.
    pub fn interior(self) -> bool {
        matches!(self, Kind::IndexInterior | Kind::TableInterior)
    }

    /// Whether its tree is one of rowids.
    pub fn table(self) -> bool {
        matches!(self, Kind::TableInterior | Kind::TableLeaf)
    }

    /// Length of the header.
    pub fn head(self) -> usize {
        if self.interior() { 12 } else { 8 }
    }
}

/// What a page is. The last few do not say so themselves: they are known by what leads to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageType {
    /// Of a b-tree.
    Tree(Kind),
    /// A payload goes on here.
    Overflow,
    /// Lists free pages.
    FreeTrunk,
    /// Listed as free.
    FreeLeaf,
    /// Tells the parents of the pages behind it.
    PointerMap,
    /// Holds the byte that is locked.
    Lock,
    /// Nothing leads to it here: one of the above.
    OverflowOrFree,
}

impl PageType {
    /// The words of reports.
    pub fn word(self) -> &'static str {
        match self {
            PageType::Tree(Kind::IndexInterior) => "index interior",
            PageType::Tree(Kind::TableInterior) => "table interior",
            PageType::Tree(Kind::IndexLeaf) => "index leaf",
            PageType::Tree(Kind::TableLeaf) => "table leaf",
            PageType::Overflow => "overflow",
            PageType::FreeTrunk => "freelist trunk",
            PageType::FreeLeaf => "freelist leaf",
            PageType::PointerMap => "pointer map",
            PageType::Lock => "lock",
            PageType::OverflowOrFree => "overflow or free",
        }
    }

    /// What the page says of itself: a b-tree page, or one that does not say. An old b-tree page that is free looks like a b-tree page.
    pub fn guess(number: u32, image: &[u8], reserved: u8) -> PageType {
        let usable = image.len().saturating_sub(usize::from(reserved));
        let page = BtreePage::of(number, image, usable).filter(BtreePage::plausible);
        page.map_or(PageType::OverflowOrFree, |page| PageType::Tree(page.kind))
    }
}

/// How much of a payload stays in its cell, by the usable size of a page.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    least: usize,
    most: usize,
    /// Bytes of a payload that an overflow page holds.
    pub piece: usize,
}

impl Local {
    /// Of pages of this kind.
    pub fn of(kind: Kind, usable: usize) -> Local {
        let share = |of: usize| (usable.saturating_sub(12) * of / 255).saturating_sub(23);
        let most = if kind.table() { usable.saturating_sub(35) } else { share(64) };
        Local { least: share(32), most, piece: usable.saturating_sub(4).max(1) }
    }

    /// Bytes in the cell, of a payload of `len`.
    fn share(self, len: usize) -> usize {
        if len <= self.most {
            return len;
        }
        let full = self.least + (len - self.least) % self.piece;
        if full <= self.most { full } else { self.least }
    }
}

/// A b-tree page whose header is possible.
#[derive(Clone, Copy, Debug)]
pub struct BtreePage<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Cells on it.
    pub cells: usize,
    /// Where the cells begin.
    pub content: usize,
    /// The image, as far as it is SQLite's own.
    bytes: &'a [u8],
    /// Offset of its header: page 1 has the database's in front.
    head: usize,
    local: Local,
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Offset in the page, and bytes.
    pub at: usize,
    /// See `at`.
    pub len: usize,
    /// Left child, on interior pages.
    pub child: u32,
    /// The rowid, in tables.
    pub rowid: i64,
    /// The record, but for interior pages of tables.
    pub payload: Option<Payload<'a>>,
}

/// A record, as far as it is in its cell.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// Its beginning.
    pub local: &'a [u8],
    /// Bytes of all of it.
    pub len: usize,
    /// Where it goes on; 0: nowhere.
    pub overflow: u32,
    /// Overflow pages that it fills.
    pub pages: u32,
    /// Bytes of it on each.
    pub piece: usize,
}

impl<'a> BtreePage<'a> {
    /// The page with this number; `usable`: bytes of it that are not reserved.
    pub fn of(number: u32, image: &'a [u8], usable: usize) -> Option<Self> {
        let bytes = image.get(..usable)?;
        let head = if number == 1 { HEADER } else { 0 };
        let kind = Kind::of(*bytes.get(head)?)?;
        let cells = usize::from(be16(bytes, head + 3)?);
        let content = match be16(bytes, head + 5)? {
            0 => 1 << 16,
            content => usize::from(content),
        };
        let end = head + kind.head() + 2 * cells;
        let local = Local::of(kind, usable);
        (end <= content && content <= usable).then_some(BtreePage {
            kind,
            cells,
            content,
            bytes,
            head,
            local,
        })
    }

    /// Child behind the last cell; 0 on leaves.
    pub fn right(&self) -> u32 {
        let right = be32(self.bytes, self.head + 8);
        right.filter(|_| self.kind.interior()).unwrap_or(0)
    }

    /// Offset of the first free block, 0: none; and the stated number of bytes too few for a block.
    pub fn free(&self) -> (usize, usize) {
        let fragments = self.bytes.get(self.head + 7).copied().unwrap_or(0);
        (usize::from(be16(self.bytes, self.head + 1).unwrap_or(0)), usize::from(fragments))
    }

    /// The bytes, without those that are reserved.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The cell with this index; `None` where it does not lie among the cells of the page.
    pub fn cell(&self, index: usize) -> Option<Cell<'a>> {
        if index >= self.cells {
            return None;
        }
        let at = usize::from(be16(self.bytes, self.head + self.kind.head() + 2 * index)?);
        let cell = self.bytes.get(at..).filter(|cell| at >= self.content && cell.len() >= 4)?;
        let child = if self.kind.interior() { be32(cell, 0)? } else { 0 };
        let mut skip = if self.kind.interior() { 4 } else { 0 };
        let mut number = || {
            let (number, len) = varint(cell.get(skip..)?)?;
            skip += len;
            Some(number)
        };
        if self.kind == Kind::TableInterior {
            let rowid = number()? as i64;
            return Some(Cell { at, len: skip, child, rowid, payload: None });
        }
        let len = number().filter(|&len| len <= i32::MAX as u64)? as usize;
        let rowid = if self.kind.table() { number()? as i64 } else { 0 };
        let share = self.local.share(len);
        let local = cell.get(skip..skip + share)?;
        let piece = self.local.piece;
        let (overflow, more) = if share < len { (be32(cell, skip + share)?, 4) } else { (0, 0) };
        let pages = (len - share).div_ceil(piece) as u32;
        let payload = Payload { local, len, overflow, pages, piece };
        // A cell can become a free block, which takes four bytes.
        Some(Cell { at, len: (skip + share + more).max(4), child, rowid, payload: Some(payload) })
            .filter(|c| c.at + c.len <= self.bytes.len())
    }

    /// All cells, one after the other; `None` for each that is not sound.
    pub fn each(self) -> impl Iterator<Item = Option<Cell<'a>>> {
        (0..self.cells).map(move |index| self.cell(index))
    }

    /// Whether its cells look like cells, which a page of another type with the same first byte hardly has.
    pub fn plausible(&self) -> bool {
        let record = |cell: Cell<'_>| {
            let whole = cell.payload.filter(|p| p.overflow == 0);
            whole.is_none_or(|p| {
                let fields = Fields::of(p.local).and_then(Fields::measure);
                fields.is_some_and(|(len, _)| len == p.len as u64)
            })
        };
        self.each().all(|cell| cell.is_some_and(record))
    }
}
