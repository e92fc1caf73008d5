//! The pages of `btree.dat`, which are also the images in `btree.wal`. Pure: bytes in, structure out.
//!
//! ```text
//! page 0    root u32 | height u32 | total_keys u32 | next_free u32 | free_head u32 | page_size u32 | zeros    big-endian
//! leaf      1 u8 | n u16 | next u32 | n times: key_len u16, key, val_len u16, value | zeros
//! internal  0 u8 | n u16 | child u32 | n times: key_len u16, key, child u32 | zeros
//! free      0 u8 | 0 u16 | next u32 | zeros
//! ```
//! No page has a checksum. A node is valid when 1. its cells fit the page, 2. its keys are UTF-8 and rise, 3. the rest is
//! zeros. A free page and an internal one without keys look the same; only the free list tells.

/// No sibling, no free page.
pub const NONE: u32 = u32::MAX;
/// Bytes before the cells of a node: type, number of keys, next sibling or first child.
pub const HEADER: usize = 7;
/// Bytes of the metadata, the page-size field included.
pub const META: usize = 24;
/// Sizes that a page may have; the engine takes any number, people take powers of two.
pub const SIZES: std::ops::RangeInclusive<u64> = 64..=65_536;
/// A tree of this height would hold more keys than a page number can count.
pub(crate) const MAX_HEIGHT: u32 = 32;

/// The metadata page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Page of the root.
    pub root: u32,
    /// 1 when the root is a leaf.
    pub height: u32,
    /// Keys in the tree, as the engine counts them.
    pub keys: u32,
    /// The first page that was never used.
    pub next_free: u32,
    /// The first page of the free list.
    pub free_head: u32,
    /// Page size; 0 after most writes.
    pub page_size: u32,
}

/// A leaf or an internal page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// A leaf.
    pub leaf: bool,
    /// Next sibling of a leaf, first child of an internal page.
    pub link: u32,
    /// Number of keys.
    pub count: u16,
    /// Bytes up to the end of the last cell.
    pub used: usize,
    cells: &'a [u8],
}

/// `low <= key < high`, where there are such bounds.
pub type Bounds<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// One key with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value, or the number of the page that holds the keys from here on.
    pub body: &'a [u8],
}

impl Cell<'_> {
    /// The page of an internal cell.
    pub fn child(&self) -> u32 {
        self.body.first_chunk().map_or(NONE, |b| u32::from_be_bytes(*b))
    }
}

fn word(page: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*page.get(at..)?.first_chunk()?))
}

fn half(page: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*page.get(at..)?.first_chunk()?))
}

/// Whether all of it is zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|c| c.iter().fold(0, |any, b| any | b) == 0)
}

/// Reads the metadata without judging it: the engine's view.
pub fn meta_fields(page: &[u8]) -> Option<Meta> {
    Some(Meta {
        root: word(page, 0)?,
        height: word(page, 4)?,
        keys: word(page, 8)?,
        next_free: word(page, 12)?,
        free_head: word(page, 16)?,
        page_size: word(page, 20).unwrap_or(0),
    })
}

/// Reads a metadata page.
///
/// # Errors
/// The part that cannot be right.
pub fn meta(page: &[u8]) -> Result<Meta, &'static str> {
    let meta = meta_fields(page).ok_or("metadata: shorter than its fields")?;
    if meta.next_free < 2 || !(1..meta.next_free).contains(&meta.root) {
        return Err("metadata: its root is no page in use");
    }
    if !(1..=MAX_HEIGHT).contains(&meta.height) {
        return Err("metadata: impossible height");
    }
    if meta.free_head != NONE && !(1..meta.next_free).contains(&meta.free_head) {
        return Err("metadata: its free list starts at no page in use");
    }
    if !is_zero(page.get(META..).unwrap_or(&[])) {
        return Err("metadata: bytes behind its fields are not zero");
    }
    Ok(meta)
}

/// Reads a leaf or an internal page.
///
/// # Errors
/// The part that cannot be right.
pub fn node(page: &[u8]) -> Result<Node<'_>, &'static str> {
    let (Some(&kind), Some(count), Some(link)) = (page.first(), half(page, 1), word(page, 3)) else {
        return Err("page: shorter than its header");
    };
    if kind > 1 {
        return Err("page: unknown type");
    }
    let leaf = kind == 1;
    let (mut at, mut last): (usize, Option<&[u8]>) = (HEADER, None);
    for _ in 0..count {
        let (cell, to) = cell(page, at, leaf).ok_or("page: its cells do not fit")?;
        if last.is_some_and(|last| last >= cell.key) {
            return Err("page: its keys do not rise");
        }
        if std::str::from_utf8(cell.key).is_err() {
            return Err("page: a key is not UTF-8");
        }
        (last, at) = (Some(cell.key), to);
    }
    if !is_zero(page.get(at..).unwrap_or(&[])) {
        return Err("page: bytes behind its cells are not zero");
    }
    Ok(Node { leaf, link, count, used: at, cells: &page[HEADER..at] })
}

/// The cell at `at`, and where the next one starts.
fn cell(page: &[u8], at: usize, leaf: bool) -> Option<(Cell<'_>, usize)> {
    let key_end = at + 2 + usize::from(half(page, at)?);
    let key = page.get(at + 2..key_end)?;
    let from = key_end + if leaf { 2 } else { 0 };
    let to = from + if leaf { usize::from(half(page, key_end)?) } else { 4 };
    Some((Cell { key, body: page.get(from..to)? }, to))
}

impl<'a> Node<'a> {
    /// Its cells, in order of key.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let (bytes, leaf) = (self.cells, self.leaf);
        let mut at = 0;
        std::iter::from_fn(move || {
            let (cell, to) = cell(bytes, at, leaf)?;
            at = to;
            Some(cell)
        })
    }

    /// Its lowest key.
    pub fn first(&self) -> Option<&'a [u8]> {
        self.cells().next().map(|c| c.key)
    }

    /// Its highest key.
    pub fn last(&self) -> Option<&'a [u8]> {
        self.cells().last().map(|c| c.key)
    }

    /// The pages below an internal page, in order of key; none below a leaf.
    pub fn children(&self) -> impl Iterator<Item = u32> + use<'a> {
        let below = !self.leaf;
        std::iter::once(self.link).chain(self.cells().map(|c| c.child())).filter(move |_| below)
    }

    /// The child that leads to `key`, and the keys around it: it holds `low <= key < high`.
    pub fn towards(&self, key: &[u8]) -> (u32, Option<&'a [u8]>, Option<&'a [u8]>) {
        let (mut child, mut low) = (self.link, None);
        for cell in self.cells() {
            if cell.key > key {
                return (child, low, Some(cell.key));
            }
            (child, low) = (cell.child(), Some(cell.key));
        }
        (child, low, None)
    }

    /// The keys around a child.
    pub fn around(&self, page: u32) -> Option<Bounds<'a>> {
        let mut low = None;
        let mut at = self.link;
        for cell in self.cells() {
            if at == page {
                return Some((low, Some(cell.key)));
            }
            (at, low) = (cell.child(), Some(cell.key));
        }
        (at == page && !self.leaf).then_some((low, None))
    }

    /// Looks like a page of the free list.
    pub fn looks_free(&self) -> bool {
        !self.leaf && self.count == 0
    }
}

/// Whether an image of a page can be what the engine logged. `size`: the page size, where it is known. An overfull image
/// is longer than a page and, as nothing pads it, ends with its last cell.
///
/// # Errors
/// The part that cannot be right.
pub fn image(image: &[u8], size: Option<u64>) -> Result<(), &'static str> {
    let over = size.is_some_and(|size| image.len() as u64 > size);
    match node(image) {
        Ok(node) if over && node.used != image.len() => Err("page image: longer than a page without need"),
        Ok(_) => Ok(()),
        Err(_) if !over && meta(image).is_ok() => Ok(()),
        Err(what) => Err(what),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A leaf page.
    pub fn leaf(size: usize, next: u32, cells: &[(&str, &[u8])]) -> Vec<u8> {
        let mut page = vec![1];
        page.extend((cells.len() as u16).to_be_bytes());
        page.extend(next.to_be_bytes());
        for (key, value) in cells {
            page.extend((key.len() as u16).to_be_bytes());
            page.extend(key.as_bytes());
            page.extend((value.len() as u16).to_be_bytes());
            page.extend(*value);
        }
        page.resize(page.len().max(size), 0);
        page
    }

    /// An internal page.
    pub fn internal(size: usize, first: u32, cells: &[(&str, u32)]) -> Vec<u8> {
        let mut page = vec![0];
        page.extend((cells.len() as u16).to_be_bytes());
        page.extend(first.to_be_bytes());
        for (key, child) in cells {
            page.extend((key.len() as u16).to_be_bytes());
            page.extend(key.as_bytes());
            page.extend(child.to_be_bytes());
        }
        page.resize(page.len().max(size), 0);
        page
    }

    /// A metadata page.
    pub fn metadata(size: usize, fields: [u32; 5]) -> Vec<u8> {
        let mut page: Vec<u8> = fields.iter().flat_map(|f| f.to_be_bytes()).collect();
        page.resize(size, 0);
        page
    }

    #[test]
    fn pages_read_back() {
        let page = leaf(64, 7, &[("a", b"1"), ("b", b"")]);
        let read = node(&page).unwrap();
        assert_eq!((read.leaf, read.count, read.link), (true, 2, 7));
        assert_eq!((read.first(), read.last()), (Some(&b"a"[..]), Some(&b"b"[..])));
        let page = internal(64, 1, &[("m", 2), ("t", 3)]);
        let read = node(&page).unwrap();
        assert_eq!(read.children().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(read.towards(b"m"), (2, Some(&b"m"[..]), Some(&b"t"[..])));
        assert_eq!(read.around(3), Some((Some(&b"t"[..]), None)));
        assert!(meta(&metadata(64, [9, 3, 24, 12, NONE])).is_ok());
    }

    #[test]
    fn impossible_pages_are_refused() {
        assert!(node(&leaf(64, 7, &[("b", b""), ("a", b"")])).is_err());
        assert!(node(&leaf(64, 7, &[("a", b"1")])[..9]).is_err());
        assert!(node(&[2; 64]).is_err());
        assert!(node(&metadata(64, [9, 3, 24, 12, NONE])).is_err());
        assert!(meta(&[0; 64]).is_err());
        assert!(meta(&leaf(64, 7, &[("a", b"1")])).is_err());
    }

    #[test]
    fn an_overfull_image_ends_with_its_last_cell() {
        let page = leaf(0, NONE, &[("a", &[7; 90])]);
        assert!(image(&page, Some(64)).is_ok());
        let mut padded = page.clone();
        padded.push(0);
        assert!(image(&padded, Some(64)).is_err());
        assert!(image(&padded, Some(padded.len() as u64)).is_ok());
    }

    #[test]
    fn every_cut_is_read_without_panic() {
        let page = internal(0, 1, &[("mm", 2), ("tt", 3)]);
        for to in 0..page.len() {
            assert!(node(&page[..to]).is_err() || to == 0);
        }
    }
}
