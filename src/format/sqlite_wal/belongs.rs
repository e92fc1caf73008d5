//! Whether a WAL is the database's. Nothing in it names one; but it began again only when all of the generation before was
//! in the database. So the newest images of that generation, where they are still there, are the database's pages, unless
//! the live generation has been written over them since.

use std::collections::BTreeSet;

use super::facts::Frames;
use super::frame::{HEAD, Head};
use crate::format::{LogFile, Remark};
use crate::log::bytes::{Bytes, Reader};
use crate::log::fault::{Behind, Cause};
use crate::log::finding::Code;
use crate::log::survey::Survey;

/// So many pages are compared; they are as good as all.
const PAGES: usize = 256;
/// So many frames are looked at for them.
const FRAMES: u64 = 1 << 16;

/// Compares the files with index `log` and `database`.
pub fn compare(
    files: &[LogFile<'_>],
    log: usize,
    database: usize,
    frames: &Frames,
    survey: &Survey,
) -> Option<Remark> {
    let region = survey.regions.as_slice().last()?;
    if region.cause != Some(Cause::Behind(Behind::Generation)) {
        return None;
    }
    let mut stale =
        Stale { frames: *frames, from: region.at, reader: Reader::with_chunk(files[log].src, 64) };
    let newest = stale.newest(region.end())?;
    let mut pages = Reader::new(files[database].src);
    let (mut same, mut other) = (0usize, Vec::new());
    for (page, at) in newest {
        let image = stale.reader.piece(at + HEAD..at + frames.shape.stride()).ok()?.to_vec();
        let place = u64::from(page - 1) * frames.shape.page_bytes;
        // A later commit may have cut the database.
        if place.saturating_add(frames.shape.page_bytes) > pages.end() {
            continue;
        }
        if pages.piece(place..place.saturating_add(frames.shape.page_bytes)) == Ok(&image[..]) {
            same += 1;
        } else {
            other.push((page, at));
        }
    }
    if !other.is_empty() {
        let live = stale.live();
        other.retain(|(page, _)| !live.contains(page));
    }
    let &(page, at) = other.first()?;
    let count = other.len();
    Some(match same {
        0 => Remark {
            code: Code::ForeignRecords,
            file: log,
            at,
            len: 0,
            message: format!(
                "none of {count} page images that must have been copied into the database is there: not this database's \
                 WAL, or the database is an older copy"
            ),
        },
        _ => Remark {
            code: Code::PageMismatch,
            file: log,
            at,
            len: frames.shape.stride(),
            message: format!(
                "page {page} was copied from here into the database, which holds something else there, as for {} more of \
                 {} pages compared",
                count - 1,
                count + same
            ),
        },
    })
}

/// The generation before the live one, behind its end.
struct Stale<'a> {
    frames: Frames,
    from: u64,
    reader: Reader<'a>,
}

impl Stale<'_> {
    /// The newest images of pages and their frames, the newest first.
    fn newest(&mut self, to: u64) -> Option<Vec<(u32, u64)>> {
        let stride = self.frames.shape.stride();
        let first = Head::at(&mut self.reader, self.from).ok()?;
        let salt = |salts: u64| (salts >> 32) as u32;
        // Of one before that, the newest images may have been in a shorter one that is gone.
        if salt(self.frames.salts).wrapping_sub(salt(first.salts)) != 1 {
            return None;
        }
        let mut end = self.end(first.salts, (to - self.from) / stride);
        let (mut found, mut seen, mut size) = (Vec::new(), BTreeSet::new(), None);
        for _ in 0..FRAMES {
            end = end.checked_sub(1)?;
            let at = self.from + end * stride;
            let head = Head::at(&mut self.reader, at).ok()?;
            // Behind a damaged frame nothing tells what is the newest; the first one has nothing to follow on.
            let before = Head::at(&mut self.reader, at.checked_sub(stride)?).ok()?;
            if end == 0 || !self.frames.shape.follows(&mut self.reader, at, before.sum) {
                return Some(found);
            }
            if head.commit != 0 {
                size = size.or(Some(head.commit));
            }
            // What no commit followed was never copied, nor what lies behind the end of the database.
            let copied = size.is_some_and(|size| (1..=size).contains(&head.page));
            if copied && seen.insert(head.page) {
                found.push((head.page, at));
            }
            if found.len() >= PAGES {
                return Some(found);
            }
        }
        Some(found)
    }

    /// The number of frames with these salts: older ones lie behind them.
    fn end(&mut self, salts: u64, slots: u64) -> u64 {
        let (mut low, mut high) = (1, slots);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let head = Head::at(&mut self.reader, self.from + (middle - 1) * self.frames.shape.stride());
            if head.is_ok_and(|head| head.salts == salts) { low = middle } else { high = middle - 1 }
        }
        low.min(slots)
    }

    /// The pages of the live generation.
    fn live(&mut self) -> BTreeSet<u32> {
        let stride = self.frames.shape.stride();
        let slots = self.from.saturating_sub(self.frames.start) / stride;
        let start = self.frames.start;
        let slot = |i| Head::at(&mut self.reader, start + i * stride).ok();
        (0..slots).filter_map(slot).map(|head| head.page).collect()
    }
}
