//! What has to be known before the first frame is read: page size, byte order and salts, by the header or, where that is
//! damaged, by the first two frames of which one follows on the other.

use super::frame::{HEAD, HEADER, Head, Header, Shape, Sum};
use crate::format::LogFile;
use crate::format::sqlite::files as beside;
use crate::log::bytes::{Bytes, Reader, Window};

/// So far into a file without a header a pair of frames is looked for.
const LOOK: usize = 512 << 10;
/// Bytes summed for it at the most.
const EFFORT: u64 = 64 << 20;

/// What frames are read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// See [`Shape`].
    pub shape: Shape,
    /// The salts of the live generation.
    pub salts: u64,
    /// Where the first frame stands.
    pub start: u64,
}

/// See the top of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `None`: the file is shorter than it.
    pub header: Option<Header>,
    /// `None`: nothing tells.
    pub frames: Option<Frames>,
}

impl Facts {
    /// The facts of one WAL of a log.
    pub fn of(files: &[LogFile<'_>], file: usize) -> Facts {
        let find = || Facts::read(&mut Reader::new(files[file].src), beside::page_bytes(files));
        beside::facts(files, file, find)
    }

    fn read(reader: &mut Reader<'_>, page_bytes: Option<u64>) -> Facts {
        let Ok(bytes) = reader.array(0) else { return Facts::default() };
        let header = Header::of(&bytes);
        let own = |shape| Frames { shape, salts: header.salts, start: HEADER };
        let frames = match (header.fault, header.shape) {
            (None, shape) => shape.map(own),
            (Some(_), shape) => {
                let hint = shape.map(|s| s.page_bytes).or(page_bytes);
                vote(reader.window(0, LOOK), hint)
                    .or_else(|| single(reader, &header, hint))
                    .or(shape.map(own))
            }
        };
        Facts { header: Some(header), frames }
    }
}

/// The first frame that another one follows, where salts repeat at the distance of a page.
fn vote(mut window: Window<'_>, hint: Option<u64>) -> Option<Frames> {
    let bytes = window.bytes;
    let mut effort = EFFORT;
    let sizes = || hint.into_iter().chain((9..=16).map(|bits| 1u64 << bits));
    for at in 0..bytes.len().saturating_sub(HEAD as usize) {
        for page_bytes in sizes() {
            let stride = (HEAD + page_bytes) as usize;
            let salts = bytes.get(at + 8..at + 16);
            let (Some(salts), Some(again)) = (salts, bytes.get(at + stride + 8..at + stride + 16)) else {
                continue;
            };
            if salts != again || salts == [0; 8] {
                continue;
            }
            let Ok(head) = Head::at(&mut window, at as u64) else { continue };
            let next = (at + stride) as u64;
            effort = effort.checked_sub(2 * page_bytes)?;
            let mut fits = |&big: &bool| Shape { page_bytes, big }.follows(&mut window, next, head.sum);
            if let Some(big) = [false, true].into_iter().find(|big| head.page != 0 && fits(big)) {
                let at = at as u64;
                let start =
                    if at >= HEADER && (at - HEADER).is_multiple_of(HEAD + page_bytes) { HEADER } else { at };
                return Some(Frames { shape: Shape { page_bytes, big }, salts: head.salts, start });
            }
        }
    }
    None
}

/// The one frame behind a damaged header, if it follows on either of the header's sums.
fn single(reader: &mut Reader<'_>, header: &Header, hint: Option<u64>) -> Option<Frames> {
    let head = Head::at(reader, HEADER).ok()?;
    let sums: [Sum; 2] = header.sums;
    let shapes = hint.into_iter().flat_map(|page_bytes| [false, true].map(|big| Shape { page_bytes, big }));
    let mut fits = |shape: &Shape| sums.iter().any(|&sum| shape.follows(reader, HEADER, sum));
    let shape = shapes.into_iter().find(|shape| fits(shape))?;
    Some(Frames { shape, salts: head.salts, start: HEADER })
}
