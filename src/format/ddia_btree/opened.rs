//! The data file as the Python engine leaves it when it opens, and what a full iteration then yields: `PageManager`,
//! `_deserialize_leaf`, `_deserialize_internal` and `__iter__` of `b-tree-storage-engine/btree.py`.
//!
//! A page is read as the file has it, zeros behind its end, and lengths are believed: a slice that runs past the page is
//! clipped, a number that does is a struct.error. Iteration goes down by the first children and on along the siblings, and
//! does not notice a circle. Nothing is written here: redone images are looked up in the WAL.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::DATA;
use super::encode;
use super::page::{self, HEADER, META, Meta, NONE};
use super::pages::Pages;
use super::view::Image;
use crate::format::python;
use crate::format::{Effect, Fill, Given, LogFile, Part, Patch, Take, Taken};
use crate::log::bytes::{Bytes, Reader};
use crate::log::conclude::Place;

/// Internal pages gone through on the way to the first leaf, before it counts as endless; a real tree has a few.
const MAX_STEPS: u32 = 20_000;
/// Offset of the page-size field in page 0.
const SIZE_FIELD: usize = META - 4;

/// The store after open.
pub struct Opened<'a> {
    wal: Option<(usize, Reader<'a>)>,
    dat: Option<(usize, Pages<'a>)>,
    size: u64,
    /// Redone images, by page.
    images: HashMap<u32, Image>,
    /// The page size was written into its field.
    stamped: bool,
    /// Length of the data file.
    len: u64,
}

/// A page as the engine reads it.
struct Loaded {
    bytes: Vec<u8>,
    place: Place,
    /// Where its first byte lies in that file, and where the last one of its own does.
    span: Range<u64>,
}

/// The cells of a leaf that could be read: key and value.
type Cells = Vec<(Range<usize>, Range<usize>)>;

impl<'a> Opened<'a> {
    /// `wal` and `dat`: indexes of the files that there are. `stamps`: the version writes the page size.
    pub fn new(
        files: &'a [LogFile<'a>],
        (wal, dat): (Option<usize>, Option<usize>),
        size: u64,
        images: HashMap<u32, Image>,
        pages: u64,
        stamps: bool,
    ) -> Opened<'a> {
        let dat = dat.map(|dat| (dat, Pages::new(files[dat].src, size)));
        let field = dat.as_ref().and_then(|&(file, _)| {
            Reader::with_chunk(files[file].src, 64).array::<4>(SIZE_FIELD as u64).ok()
        });
        let stamped = stamps && field.is_none_or(|field| field == [0; 4]);
        // A new file has its metadata and an empty root.
        let own = dat.as_ref().map_or(2 * size, |&(file, _)| files[file].src.size());
        let own = if stamped { own.max(META as u64) } else { own };
        let wal = wal.map(|wal| (wal, Reader::with_chunk(files[wal].src, 64 << 10)));
        Opened { wal, dat, size, images, stamped, len: own.max(pages.saturating_mul(size)) }
    }

    /// The data file.
    pub fn image(&self) -> crate::format::Image {
        let patch = |(no, image): (&u32, &Image)| {
            let span = image.at..image.at + image.len.min(self.size);
            let file = self.wal.as_ref().map_or(0, |wal| wal.0);
            let fill = Fill::Part(Part { file, span });
            Patch { at: u64::from(*no) * self.size, len: self.size, fill }
        };
        let mut patches: Vec<Patch> = self.images.iter().map(patch).collect();
        let literal = |no: u32| (no, self.created(no).filter(|_| !self.images.contains_key(&no)));
        for (no, bytes) in [literal(0), literal(1)] {
            let at = u64::from(no) * self.size;
            patches.extend(bytes.map(|bytes| Patch { at, len: self.size, fill: Fill::Bytes(bytes) }));
        }
        if self.stamped && self.dat.is_some() && !self.images.contains_key(&0) {
            let fill = Fill::Bytes((self.size as u32).to_be_bytes().to_vec());
            patches.push(Patch { at: SIZE_FIELD as u64, len: 4, fill });
        }
        patches.sort_by_key(|patch| patch.at);
        let (base, page_bytes) = (self.dat.as_ref().map(|dat| dat.0), self.size as u32);
        crate::format::Image { base, len: self.len, page_bytes, patches }
    }

    /// A page of a file that was just created; `None` where it was there before.
    fn created(&self, no: u32) -> Option<Vec<u8>> {
        let size = self.size as usize;
        let page_size = if self.stamped { self.size as u32 } else { 0 };
        let meta = Meta { root: 1, height: 1, keys: 0, next_free: 2, free_head: NONE, page_size };
        match no {
            0 if self.dat.is_none() => Some(encode::meta(size, &meta)),
            1 if self.dat.is_none() => encode::leaf(size, NONE, std::iter::empty()),
            _ => None,
        }
    }

    /// `read_page`.
    fn page(&mut self, no: u32) -> Loaded {
        let mut loaded = self.find(no);
        loaded.bytes.resize(self.size as usize, 0);
        let stamped = no == 0 && self.stamped && !self.images.contains_key(&0);
        if let Some(field) = loaded.bytes.get_mut(SIZE_FIELD..META).filter(|_| stamped) {
            field.copy_from_slice(&(self.size as u32).to_be_bytes());
        }
        loaded
    }

    fn find(&mut self, no: u32) -> Loaded {
        if let (Some(image), Some((file, wal))) = (self.images.get(&no), &mut self.wal) {
            let span = image.at..image.at + image.len.min(self.size);
            let bytes = wal.piece(span.clone()).map(<[u8]>::to_vec).unwrap_or_default();
            return Loaded { bytes, place: Place { file: *file, at: image.at - DATA }, span };
        }
        let at = u64::from(no) * self.size;
        if let Some((file, pages)) = &mut self.dat {
            let span = at..(at + self.size).min(pages.end()).max(at);
            let bytes = pages.get(no).unwrap_or_default();
            return Loaded { bytes, place: Place { file: *file, at }, span };
        }
        let bytes = self.created(no).unwrap_or_default();
        Loaded { bytes, place: Place { file: 0, at: 0 }, span: 0..0 }
    }

    /// `__iter__`, to its end, its exception or the first page that it meets twice.
    ///
    /// # Errors
    /// The exception; `types`: pages of the wrong type raise one.
    pub fn iterate(&mut self, types: bool, take: Take<'_>) -> Result<(), String> {
        if self.len < SIZE_FIELD as u64 {
            return Err(short(SIZE_FIELD));
        }
        let meta = page::meta_fields(&self.page(0).bytes).ok_or_else(|| short(SIZE_FIELD))?;
        let mut no = meta.root;
        for step in 1..meta.height {
            if step > MAX_STEPS {
                return Err(format!("iteration goes down {} pages and more", meta.height));
            }
            no = internal(&self.page(no).bytes, types)?;
        }
        let mut seen = HashSet::new();
        while no != NONE {
            if !seen.insert(no) {
                return Err(format!("iteration never ends: the siblings lead back to page {no}"));
            }
            let page = self.page(no);
            let (cells, next) = leaf(&page.bytes, types)?;
            for (key, value) in cells {
                take(page.taken(key, value));
            }
            no = next;
        }
        Ok(())
    }
}

impl Loaded {
    fn taken(&self, key: Range<usize>, value: Range<usize>) -> Taken {
        let at = |offset: usize| (self.span.start + offset as u64).min(self.span.end);
        let part = |r: &Range<usize>| Part { file: self.place.file, span: at(r.start)..at(r.end) };
        let bytes = |r: &Range<usize>| self.bytes.get(r.clone()).unwrap_or_default().to_vec();
        Taken {
            place: self.place,
            key: part(&key),
            value: Some(part(&value)),
            given: Some(Given { key: bytes(&key), effect: Effect::Put(bytes(&value)) }),
        }
    }
}

fn short(bytes: usize) -> String {
    format!("struct.error: unpack requires a buffer of {bytes} bytes")
}

/// `_deserialize_leaf`: its cells and the next sibling.
fn leaf(page: &[u8], types: bool) -> Result<(Cells, u32), String> {
    let (count, next) = header(page, 1, types)?;
    let (mut cells, mut at) = (Vec::new(), HEADER);
    for _ in 0..count {
        let key = key(page, &mut at)?;
        let len = usize::from(half(page, at)?);
        at += 2;
        cells.push((key, clip(page, at, len)));
        at += len;
    }
    Ok((cells, next))
}

/// `_deserialize_internal`: its first child.
fn internal(page: &[u8], types: bool) -> Result<u32, String> {
    let (count, first) = header(page, 0, types)?;
    let mut at = HEADER;
    for _ in 0..count {
        key(page, &mut at)?;
        if page.get(at..at + 4).is_none() {
            return Err(short(4));
        }
        at += 4;
    }
    Ok(first)
}

/// Number of keys, and the number behind it.
fn header(page: &[u8], kind: u8, types: bool) -> Result<(u16, u32), String> {
    let found = page.first().copied().unwrap_or_default();
    if types && found != kind {
        let name = if kind == 1 { "LEAF" } else { "INTERNAL" };
        return Err(format!("ValueError: Expected {name} page (type {kind}), got type {found}"));
    }
    let link = page.get(3..).and_then(|b| b.first_chunk()).map_or(NONE, |b| u32::from_be_bytes(*b));
    Ok((half(page, 1)?, link))
}

fn half(page: &[u8], at: usize) -> Result<u16, String> {
    page.get(at..).and_then(|b| b.first_chunk()).map(|b| u16::from_be_bytes(*b)).ok_or_else(|| short(2))
}

/// What a slice of Python gives.
fn clip(page: &[u8], at: usize, len: usize) -> Range<usize> {
    at.min(page.len())..(at + len).min(page.len())
}

fn key(page: &[u8], at: &mut usize) -> Result<Range<usize>, String> {
    let len = usize::from(half(page, *at)?);
    let key = clip(page, *at + 2, len);
    *at += 2 + len;
    let bytes = page.get(key.clone()).unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(key),
        Err(e) => Err(python::not_utf8(bytes, e)),
    }
}
