//! `btree.dat` as a file: its page size, its pages by number, and a decoder that makes each page a record.

use super::page::{self, META, Meta, Node, SIZES};
use crate::format::Opened;
use crate::format::chain::zeros_end;
use crate::log::bytes::{Bytes, ReadAt, Reader, Window};
use crate::log::decoder::{BATCH, Decoder, Recovery, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::numbering::Numbering;
use crate::log::record::{Mark, Record, Trust};
use crate::log::region::Kind;
use crate::log::survey::{Grouping, Rules};

/// Record kinds of the data file.
const KIND_META: u8 = 0;
const KIND_NODE: u8 = 1;
/// The engine's default, taken where nothing tells.
pub const DEFAULT_SIZE: u64 = 4096;
/// Pages that are remembered one by one; of a larger file the rest is judged by its bytes alone.
pub const MAX_PAGES: u64 = 1 << 26;
/// Leaves looked at to see whether a page size makes sense.
const LOOK: u32 = 8;

/// The word for the type of a page.
pub fn word(page: &[u8]) -> &'static str {
    match (page::node(page), page::meta(page)) {
        (Ok(node), _) if node.leaf => "LEAF",
        (Ok(node), _) if node.looks_free() => "FREE",
        (Ok(_), _) => "INTERNAL",
        (_, Ok(_)) => "META",
        _ => "UNKNOWN",
    }
}

/// The pages of a data file, by number.
pub struct Pages<'s> {
    reader: Reader<'s>,
    size: u64,
}

impl<'s> Pages<'s> {
    /// The pages of `src`, each `size` bytes.
    pub fn new(src: &'s dyn ReadAt, size: u64) -> Self {
        // A tree is descended in jumps: more than a few pages at a time are read for nothing.
        Pages { reader: Reader::with_chunk(src, (8 * size as usize).max(16 << 10)), size: size.max(1) }
    }

    /// Length of the file in bytes.
    pub fn end(&self) -> u64 {
        self.reader.end()
    }

    /// Pages that the file has at least a byte of.
    pub fn count(&self) -> u64 {
        self.reader.end().div_ceil(self.size)
    }

    /// The first page from `no` on that does not lie in a hole of a sparse file.
    pub fn beyond_hole(&self, no: u32) -> u32 {
        let at = self.reader.data_at(u64::from(no).saturating_mul(self.size));
        u32::try_from(at / self.size).unwrap_or(u32::MAX).max(no)
    }

    /// A page as the engine reads it, zeros behind the end of the file; `None` where the file has no byte of it.
    pub fn get(&mut self, no: u32) -> Option<Vec<u8>> {
        let at = u64::from(no).checked_mul(self.size)?;
        let to = (at + self.size).min(self.reader.end());
        let mut page = self.reader.piece(at..to.max(at)).ok().filter(|p| !p.is_empty())?.to_vec();
        page.resize(self.size as usize, 0);
        Some(page)
    }

    /// The metadata page.
    pub fn meta(&mut self) -> Option<Meta> {
        page::meta(&self.get(0)?).ok()
    }
}

/// The page size of a data file: the one for which its metadata, its root and its first leaves make sense, or else the
/// one for which most pages parse. `hint`: the length of the images in the WAL.
pub fn size_of(src: &dyn ReadAt, hint: Option<u64>) -> Option<u64> {
    let end = src.size();
    let mut first = [0; META];
    let meta = Reader::with_chunk(src, META).array::<META>(0).map(|bytes| first = bytes).ok();
    let meta = meta.and_then(|()| page::meta_fields(&first));
    // The field is usually zero, and a reopening with another size stamps a wrong one in.
    let field = meta.map(|m| u64::from(m.page_size));
    let even = meta.and_then(|m| end.checked_div(u64::from(m.next_free)));
    let powers = (6..=16).map(|bits| 1u64 << bits);
    let sizes: Vec<u64> =
        [hint, field, even].into_iter().flatten().chain(powers).filter(|s| SIZES.contains(s)).collect();
    if let Some(&size) = sizes.iter().find(|&&size| fits(&mut Pages::new(src, size))) {
        return Some(size);
    }
    let rated = sizes.iter().map(|&size| (rate(&mut Pages::new(src, size)), size));
    rated.filter(|r| r.0 > 0).max().map(|r| r.1)
}

/// Whether metadata, root, the way down to the first leaf and some leaves behind it parse.
fn fits(pages: &mut Pages<'_>) -> bool {
    let Some(meta) = pages.meta() else { return false };
    let mut no = meta.root;
    for _ in 1..meta.height {
        let Some(page) = pages.get(no) else { return false };
        match page::node(&page) {
            Ok(node) if !node.leaf => no = node.link,
            _ => return false,
        }
    }
    for _ in 0..LOOK {
        let Some(page) = pages.get(no) else { return false };
        match page::node(&page) {
            Ok(node) if node.leaf && node.link == page::NONE => return true,
            Ok(node) if node.leaf => no = node.link,
            _ => return false,
        }
    }
    true
}

/// Pages that parse and hold something, less those that do not, among the first ones.
fn rate(pages: &mut Pages<'_>) -> i32 {
    let some = pages.count().min(64) as u32;
    (1..some).filter_map(|no| pages.get(no)).fold(0, |sum, page| match page::node(&page) {
        Ok(Node { leaf: false, count: 0, .. }) => sum,
        Ok(_) => sum + 1,
        Err(_) => sum - 1,
    })
}

/// One bit per page, as far as pages are remembered.
#[derive(Clone, Debug, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Room for `pages`.
    pub fn new(pages: u64) -> Self {
        Bits(vec![0; pages.min(MAX_PAGES).div_ceil(64) as usize])
    }

    /// Whether the bit of a page is set.
    pub fn has(&self, no: u32) -> bool {
        self.0.get(no as usize / 64).is_some_and(|w| w >> (no % 64) & 1 == 1)
    }

    /// Sets it; `false` where it was set, or where there is no room for it.
    pub fn set(&mut self, no: u32) -> bool {
        let Some(word) = self.0.get_mut(no as usize / 64) else { return false };
        let fresh = *word >> (no % 64) & 1 == 0;
        *word |= 1 << (no % 64);
        fresh
    }

    /// The pages whose bits are set.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let bits = |(i, &word): (usize, &u64)| {
            (0..64).filter(move |b| word >> b & 1 == 1).map(move |b| i as u32 * 64 + b)
        };
        self.0.iter().enumerate().flat_map(bits)
    }

    /// The first page from `no` on whose bit is set, before `to`.
    fn next(&self, no: u32, to: u32) -> Option<u32> {
        let end = (self.0.len() as u64 * 64).min(u64::from(to)) as u32;
        (no..end).find(|&no| self.has(no))
    }
}

/// The pages that the tree or the free list points to: one of them that is all zeros has been wiped.
fn needed(pages: &mut Pages<'_>) -> Bits {
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

/// Opens the data file: its pages are records without number, told apart by the page number alone.
pub fn open(src: &dyn ReadAt, size: Option<u64>) -> Opened {
    let size = size.unwrap_or(DEFAULT_SIZE);
    let needed = needed(&mut Pages::new(src, size));
    let trust = Trust::STRUCTURE.and(Trust::POSITION);
    let rules = Rules { numbering: Numbering::None, grouping: Grouping::None, trust };
    Opened { decoder: Box::new(PageDecoder { size, needed, zeros: 0 }), rules }
}

/// Tiles the file page by page. A page of zeros that nothing in the tree points to was allocated and never written: the
/// engine writes page 0 before, and a crash in between leaves such pages behind.
struct PageDecoder {
    size: u64,
    needed: Bits,
    /// Up to here everything is zero, as a look behind damage has shown.
    zeros: u64,
}

impl PageDecoder {
    fn page(&self, at: u64) -> u32 {
        u32::try_from(at / self.size).unwrap_or(u32::MAX)
    }

    fn judge(&self, at: u64, bytes: &[u8]) -> Result<u8, Cause> {
        if page::is_zero(bytes) {
            return Err(Cause::Zeros);
        }
        if at == 0 {
            return page::meta(bytes).map(|_| KIND_META).map_err(Cause::Malformed);
        }
        page::node(bytes).map(|_| KIND_NODE).map_err(Cause::Malformed)
    }
}

impl Decoder for PageDecoder {
    fn fill(&mut self, window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        loop {
            if *at >= window.end {
                return Stop::End;
            }
            if out.len() >= BATCH {
                return Stop::Full;
            }
            let bytes = match window.slice(*at..at.saturating_add(self.size)) {
                Ok(bytes) => bytes,
                Err(short) => return Stop::Fault(short),
            };
            match self.judge(*at, bytes) {
                Ok(kind) => {
                    let txn = self.page(*at);
                    out.push(Record {
                        at: *at,
                        len: self.size,
                        seq: 0,
                        next: 0,
                        txn,
                        kind,
                        mark: Mark::Note,
                    });
                    *at += self.size;
                }
                Err(cause) => return Stop::Fault(Fault { at: *at, cause }),
            }
        }
    }

    fn long(&mut self, _: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        // A page never is longer than a window.
        Err(Fault { at, cause: Cause::Length { found: self.size, expected: *SIZES.end() } })
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let (from, end) = (fault.at, reader.end());
        let next = from.saturating_add(self.size);
        let (resume, kind) = match fault.cause {
            Cause::Zeros if self.needed.has(self.page(from)) => (next, Kind::Damage),
            Cause::Zeros => {
                if self.zeros <= from {
                    self.zeros = zeros_end(reader, from);
                }
                let pages = if self.zeros == end { end } else { self.zeros / self.size * self.size };
                let last = u32::try_from(pages.div_ceil(self.size)).unwrap_or(u32::MAX);
                let first = self.needed.next(self.page(from), last);
                (first.map_or(pages.max(next), |no| u64::from(no) * self.size), Kind::Preallocated)
            }
            Cause::Short { .. } => (end, Kind::Torn),
            _ => (next, Kind::Damage),
        };
        let trust = Trust::STRUCTURE.and(Trust::POSITION);
        let resume = resume.min(end);
        Recovery { from, record: None, resume, trust, cause: fault.cause, kind, embedded: None }
    }
}
