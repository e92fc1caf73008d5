//! The fixed fields of pages, for `dump --hex`.

use super::header::HEADER;
use super::page::Kind;
use crate::log::layout::{Layout, mark, uint};

/// Of page 1.
static DATABASE: Layout = Layout {
    big_endian: true,
    fields: &[
        mark("magic", 16),
        uint("page size", 2),
        uint("write ver.", 1),
        uint("read ver.", 1),
        uint("reserved", 1),
        mark("fractions", 3),
        uint("changes", 4),
        uint("pages", 4),
        uint("free trunk", 4),
        uint("free pages", 4),
        uint("schema", 4),
        uint("schema ver.", 4),
        uint("cache", 4),
        uint("largest root", 4),
        uint("encoding", 4),
        uint("user version", 4),
        uint("incremental", 4),
        uint("application", 4),
        mark("unused", 20),
        uint("valid for", 4),
        uint("SQLite", 4),
    ],
    checksum: None,
};
const _: () = assert!(DATABASE.fixed() == HEADER as u64);

static LEAF: Layout = Layout {
    big_endian: true,
    fields: &[
        uint("page kind", 1),
        uint("free block", 2),
        uint("cells", 2),
        uint("content at", 2),
        uint("fragments", 1),
    ],
    checksum: None,
};

static INTERIOR: Layout = Layout {
    big_endian: true,
    fields: &[
        uint("page kind", 1),
        uint("free block", 2),
        uint("cells", 2),
        uint("content at", 2),
        uint("fragments", 1),
        uint("right child", 4),
    ],
    checksum: None,
};

/// A page that says nothing of itself.
static OTHER: Layout = Layout { big_endian: true, fields: &[], checksum: None };

/// The fields at the beginning of a page, with the offset of the first of each part.
pub fn of(page: u64, image: &[u8]) -> Vec<(usize, &'static Layout)> {
    let head = if page == 1 { HEADER } else { 0 };
    let kind = image.get(head).copied().and_then(Kind::of);
    let tree: &Layout = match kind {
        Some(kind) if kind.interior() => &INTERIOR,
        Some(_) => &LEAF,
        None => &OTHER,
    };
    let database = (page == 1).then_some((0, &DATABASE));
    database.into_iter().chain([(head, tree)]).collect()
}
