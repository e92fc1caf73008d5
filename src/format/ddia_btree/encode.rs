//! The bytes of pages and WAL entries, as the newest revision writes them. Pure: the counterpart of [`page`](super::page),
//! for the engine and for repair. A page that would overflow is never made.

use super::page::{HEADER, META, Meta};
use super::{COMMIT, FIXED};
use crate::codec::crc32;

/// Bytes that a pair takes in a leaf.
pub fn leaf_cell(key: &[u8], value: &[u8]) -> usize {
    4 + key.len() + value.len()
}

/// Bytes that a separator takes in an internal page.
pub fn internal_cell(key: &[u8]) -> usize {
    6 + key.len()
}

/// The metadata page, with the page size in its field.
pub fn meta(size: usize, meta: &Meta) -> Vec<u8> {
    let fields = [meta.root, meta.height, meta.keys, meta.next_free, meta.free_head, meta.page_size];
    let mut page: Vec<u8> = fields.iter().flat_map(|f| f.to_be_bytes()).collect();
    page.resize(size.max(META), 0);
    page
}

/// A leaf; `None` where the pairs do not fit a page of this size.
pub fn leaf<'a>(
    size: usize,
    next: u32,
    cells: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Vec<u8>> {
    let mut page = header(size, 1, cells.len(), next)?;
    for (key, value) in cells {
        part(&mut page, key)?;
        part(&mut page, value)?;
        // Told at once, so that no more than a page is ever copied.
        if page.len() > size {
            return None;
        }
    }
    page.resize(size, 0);
    Some(page)
}

/// An internal page; `None` where the separators do not fit a page of this size.
pub fn internal<'a>(
    size: usize,
    first: u32,
    cells: impl ExactSizeIterator<Item = (&'a [u8], u32)>,
) -> Option<Vec<u8>> {
    let mut page = header(size, 0, cells.len(), first)?;
    for (key, child) in cells {
        part(&mut page, key)?;
        page.extend(child.to_be_bytes());
        if page.len() > size {
            return None;
        }
    }
    page.resize(size, 0);
    Some(page)
}

/// A page of the free list.
pub fn free(size: usize, next: u32) -> Vec<u8> {
    let mut page = vec![0; HEADER - 4];
    page.extend(next.to_be_bytes());
    page.resize(size.max(HEADER), 0);
    page
}

/// Appends the WAL entry of a page image.
pub fn entry(out: &mut Vec<u8>, seq: u32, page: u32, image: &[u8]) {
    let len = u32::try_from(image.len()).expect("an image is a page, far below 4 GiB");
    out.reserve(image.len() + FIXED as usize);
    for word in [seq, page, len] {
        out.extend(word.to_be_bytes());
    }
    out.extend(image);
    out.extend(crc32::update(0, image).to_be_bytes());
}

/// Appends the commit entry that closes a group; the CRC-32 of nothing is 0.
pub fn commit(out: &mut Vec<u8>, seq: u32) {
    for word in [seq, COMMIT, 0, 0] {
        out.extend(word.to_be_bytes());
    }
}

fn header(size: usize, kind: u8, count: usize, link: u32) -> Option<Vec<u8>> {
    let mut page = Vec::with_capacity(size);
    page.push(kind);
    page.extend(u16::try_from(count).ok()?.to_be_bytes());
    page.extend(link.to_be_bytes());
    (page.len() <= size).then_some(page)
}

fn part(page: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    page.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
    page.extend(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ddia_btree::page::{self, NONE};

    #[test]
    fn what_is_encoded_reads_back() {
        let pairs = [(&b"a"[..], &b"1"[..]), (b"b", b"")];
        let image = leaf(64, 9, pairs.into_iter()).unwrap();
        assert_eq!(image, page::tests::leaf(64, 9, &[("a", b"1"), ("b", b"")]));
        let image = internal(64, 3, [(&b"m"[..], 4)].into_iter()).unwrap();
        assert_eq!(image, page::tests::internal(64, 3, &[("m", 4)]));
        let fields = Meta { root: 1, height: 1, keys: 2, next_free: 2, free_head: NONE, page_size: 64 };
        assert_eq!(page::meta(&meta(64, &fields)), Ok(fields));
        assert!(page::node(&free(64, 7)).is_ok_and(|node| node.looks_free() && node.link == 7));
    }

    #[test]
    fn a_page_is_filled_to_its_last_byte_and_no_further() {
        let value = [7; 64];
        let room = 64 - HEADER - leaf_cell(b"k", b"");
        assert!(leaf(64, NONE, [(&b"k"[..], &value[..room])].into_iter()).is_some());
        assert!(leaf(64, NONE, [(&b"k"[..], &value[..room + 1])].into_iter()).is_none());
        let key = [b'k'; 64];
        let room = 64 - HEADER - internal_cell(b"");
        assert!(internal(64, 1, [(&key[..room], 2)].into_iter()).is_some());
        assert!(internal(64, 1, [(&key[..room + 1], 2)].into_iter()).is_none());
    }

    #[test]
    fn entries_have_the_checksum_of_their_image() {
        let mut wal = Vec::new();
        entry(&mut wal, 1, 5, b"image");
        commit(&mut wal, 2);
        let crc = crc32fast::hash(b"image").to_be_bytes();
        let expected = [&[0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 5][..], b"image", &crc].concat();
        assert_eq!(wal[..21], expected);
        assert_eq!(wal[21..], [0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
