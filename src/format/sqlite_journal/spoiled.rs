//! Pages whose image in the journal contradicts itself. The checksum takes in one byte of 200; the structure of a b-tree page
//! takes in many more. Nothing is said of a page that is no b-tree page in the database, either.

use std::collections::BTreeMap;

use super::header::Shape;
use crate::format::LogFile;
use crate::format::sqlite::header::Header;
use crate::format::sqlite::page::BtreePage;
use crate::format::sqlite::{Pages, PagesOf, files as beside};
use crate::log::bytes::{Bytes, Reader};

/// Page number and offset of each such image.
pub fn find(files: &[LogFile<'_>], log: usize, images: &BTreeMap<u32, u64>, shape: Shape) -> Vec<(u32, u64)> {
    let pages = beside::database(files).and_then(|file| PagesOf::new(files[file].src));
    let Some(mut pages) = pages.filter(|pages| u64::from(pages.page_bytes()) == shape.page_bytes) else {
        return Vec::new();
    };
    let Some(header) = pages.page(1).and_then(Header::of) else { return Vec::new() };
    let usable = header.usable() as usize;
    let mut reader = Reader::new(files[log].src);
    let mut image = Vec::new();
    let mut found = Vec::new();
    for (&page, &at) in images {
        if reader.copy(at + 4..at + 4 + shape.page_bytes, &mut image).is_err() {
            continue;
        }
        let Some(old) = BtreePage::of(page, &image, usable).filter(|old| !old.plausible()) else { continue };
        let same = |now: &BtreePage<'_>| now.kind == old.kind && now.plausible();
        let now = pages.page(page).and_then(|now| BtreePage::of(page, now, usable));
        if now.as_ref().is_some_and(same) {
            found.push((page, at));
        }
    }
    found
}
