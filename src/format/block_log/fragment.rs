//! The physical layer: records cut in fragments, none of which crosses the end of a block.
//!
//! ```text
//! legacy      crc u32 | length u16 | type u8 | payload                           little-endian
//! recyclable  crc u32 | length u16 | type u8 | log number u32 | payload
//! ```
//! The checksum (CRC-32C, masked) covers everything from the type on, so not the length. Where fewer bytes than a header are
//! left in a block they are zeros. Types 1 to 4 are FULL, FIRST, MIDDLE and LAST, 5 to 8 the same in a file that is written over
//! an older log; the rest say something about the file. Pebble's 9 to 12 are FULL to LAST once more, with eight bytes of a
//! sync offset behind the log number.

use std::ops::Range;

use crate::codec::crc32c;
use crate::log::bytes::Bytes;
use crate::log::fault::{Cause, Fault};
use crate::log::layout::{Checksum, Layout, Sum, bytes, uint};
use crate::log::record::Fix;

/// Bytes of a block, counted from the start of the file.
pub const BLOCK: u64 = 32 << 10;
/// The shortest header.
pub const HEADER: u64 = 7;
/// That of a fragment in a recyclable log.
pub const RECYCLABLE: u64 = 11;
/// That of Pebble's.
const PEBBLE: u64 = 19;

/// The fields of a legacy fragment.
pub const LEGACY_LAYOUT: Layout = Layout {
    big_endian: false,
    fields: &[uint("crc", 4), uint("length", 2), uint("type", 1), bytes("payload", "length")],
    checksum: Some(Checksum { field: "crc", over: &["type", "payload"], sum: Sum::Crc32cMasked }),
};

/// The fields of a recyclable one.
pub const RECYCLABLE_LAYOUT: Layout = Layout {
    big_endian: false,
    fields: &[
        uint("crc", 4),
        uint("length", 2),
        uint("type", 1),
        uint("log number", 4),
        bytes("payload", "length"),
    ],
    checksum: Some(Checksum {
        field: "crc",
        over: &["type", "log number", "payload"],
        sum: Sum::Crc32cMasked,
    }),
};

/// The part of a record that a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Full,
    /// Its beginning.
    First,
    /// Neither its beginning nor its end.
    Middle,
    /// Its end.
    Last,
    /// None: it says something about the file.
    Aside,
    /// Nobody knows, and readers may go on behind it.
    Ignorable,
    /// Nobody knows.
    Unknown,
}

/// See [`Part`], by type. The same number means different things in RocksDB and in Pebble, which its header tells.
fn part(kind: u8, header: u64) -> Part {
    match (kind, header) {
        (1 | 5, _) | (9, PEBBLE) => Part::Full,
        (2 | 6, _) | (10, PEBBLE) => Part::First,
        (3 | 7, _) | (11, PEBBLE) => Part::Middle,
        (4 | 8, _) | (12, PEBBLE) => Part::Last,
        (9 | 10 | 11 | 130 | 131, _) => Part::Aside,
        (128.., _) => Part::Ignorable,
        _ => Part::Unknown,
    }
}

/// Bytes of the header of a fragment of this type.
pub fn header(kind: u8) -> u64 {
    if matches!(kind, 5..=8 | 11 | 131) { RECYCLABLE } else { HEADER }
}

/// A fragment whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset of its header.
    pub at: u64,
    /// Its type.
    pub kind: u8,
    /// See [`Part`].
    pub part: Part,
    /// The low half of the log's number, where the header has it.
    pub log: Option<u32>,
    /// Offsets of its payload.
    pub payload: Range<u64>,
}

impl Fragment {
    /// Bytes of its header.
    pub fn header(&self) -> u64 {
        self.payload.start - self.at
    }

    /// Whether both belong to one log.
    pub fn goes_with(&self, other: &Fragment) -> bool {
        self.log == other.log && self.header() == other.header()
    }
}

/// The fragment at `at`. `left`: bytes to the end of its block.
///
/// # Errors
/// What is wrong with it; [`Cause::Short`] where the bytes run out before anything is.
#[inline]
pub fn fragment<B: Bytes>(b: &mut B, at: u64, left: u64) -> Result<Fragment, Fault> {
    let fault = |cause| Err(Fault { at, cause });
    if left < HEADER {
        return fault(Cause::Malformed("end of a block"));
    }
    let head = b.array::<{ HEADER as usize }>(at)?;
    let [stored @ .., low, high, kind] = head;
    let (stored, len) = (u32::from_le_bytes(stored), u64::from(u16::from_le_bytes([low, high])));
    if head == [0; HEADER as usize] {
        return fault(Cause::Zeros);
    }
    let size = header(kind);
    if size + len > left {
        return match pebble(b, at, left, kind, len, stored)? {
            Some(fragment) => Ok(fragment),
            None => fault(Cause::Length { found: len, expected: u64::MAX }),
        };
    }
    let end = at + size + len;
    b.within(at, end)?;
    let covered = b.piece(at + 6..end)?;
    let computed = crc32c::masked(covered, &[]);
    if computed != stored {
        return match pebble(b, at, left, kind, len, stored)? {
            Some(fragment) => Ok(fragment),
            None if kind == 0 => fault(Cause::Kind(0)),
            None => fault(Cause::Checksum { stored, computed }),
        };
    }
    let log = (size == RECYCLABLE).then(|| covered[1..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b)));
    Ok(Fragment { at, kind, part: part(kind, size), log, payload: at + size..end })
}

/// The same, if it is one of Pebble's.
fn pebble<B: Bytes>(
    b: &mut B,
    at: u64,
    left: u64,
    kind: u8,
    len: u64,
    stored: u32,
) -> Result<Option<Fragment>, Fault> {
    let end = at + PEBBLE + len;
    if !matches!(kind, 9..=12) || PEBBLE + len > left || end > b.end() {
        return Ok(None);
    }
    let covered = b.piece(at + 6..end)?;
    let log = covered.get(1..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
    let whole = crc32c::masked(covered, &[]) == stored;
    Ok(whole.then(|| Fragment { at, kind, part: part(kind, PEBBLE), log, payload: at + PEBBLE..end }))
}

/// A header with one field put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mended {
    /// Its first bytes, as they should be.
    pub head: [u8; RECYCLABLE as usize],
    /// How many of them.
    pub len: usize,
    /// The field.
    pub fix: Fix,
}

/// The header at `at` with the one field put right that makes its checksum hold: the type, the log number, or the length.
/// `wanted`: whether a fragment of this type may stand here, with this many bytes up to the end of the block behind it.
pub fn mend<B: Bytes>(
    b: &mut B,
    at: u64,
    left: u64,
    log: Option<u32>,
    wanted: &dyn Fn(Part, u64) -> bool,
) -> Option<Mended> {
    let head = b.array::<{ HEADER as usize }>(at).ok()?;
    let [stored @ .., low, high, kind] = head;
    let (stored, len) = (u32::from_le_bytes(stored), u64::from(u16::from_le_bytes([low, high])));
    let to = b.end().min(at + left);
    let body = b.piece(at + HEADER - 1..to).ok()?;
    let behind = |size: u64, len: u64| left.checked_sub(size + len);
    let fix = |field, found, inferred| Fix { field, found, inferred };
    let covered = |size: u64, len: u64| body.get(1..(size + len) as usize - 6);
    for right in 1..=8u8 {
        let size = header(right);
        let fits = behind(size, len).is_some_and(|rest| wanted(part(right, size), rest));
        let rest = covered(size, len).filter(|_| fits && right != kind);
        if rest.is_some_and(|rest| crc32c::masked(&[right], rest) == stored) {
            let mut mended = Mended::of(&head, fix("type", u64::from(kind), u64::from(right)));
            mended.head[6] = right;
            return Some(mended);
        }
    }
    let size = header(kind);
    if let (Some(log), RECYCLABLE, Some(rest)) = (log, size, covered(RECYCLABLE, len)) {
        let fits = behind(size, len).is_some_and(|rest| wanted(part(kind, size), rest));
        let found = rest.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        let head_of = [&[kind][..], &log.to_le_bytes()].concat();
        let payload = rest.get(4..).unwrap_or_default();
        if fits && found != log && crc32c::masked(&head_of, payload) == stored {
            let mut mended = Mended::of(&head, fix("log number", u64::from(found), u64::from(log)));
            mended.head[7..].copy_from_slice(&log.to_le_bytes());
            mended.len = RECYCLABLE as usize;
            return Some(mended);
        }
    }
    let right = resized(body, stored, size - HEADER)?;
    let fits = behind(size, right).is_some_and(|rest| wanted(part(kind, size), rest));
    let mut mended = Mended::of(&head, fix("length", len, right));
    mended.head[4..6].copy_from_slice(&u16::try_from(right).ok()?.to_le_bytes());
    (fits && right != len).then_some(mended)
}

/// The length with which the checksum over `body`, which begins with the type, holds. `more`: bytes of the header behind that.
fn resized(body: &[u8], stored: u32, more: u64) -> Option<u64> {
    let (mut crc, right) = (0, crc32c::unmask(stored));
    for (n, &byte) in body.iter().enumerate() {
        crc = crc32c::step(crc, byte);
        if crc == right && n as u64 >= more {
            return Some(n as u64 - more);
        }
    }
    None
}

impl Mended {
    fn of(head: &[u8; HEADER as usize], fix: Fix) -> Mended {
        let mut all = [0; RECYCLABLE as usize];
        all[..HEADER as usize].copy_from_slice(head);
        Mended { head: all, len: HEADER as usize, fix }
    }
}

/// The bytes of a file with one header as it should be.
pub struct Patched<'b, B> {
    inner: &'b mut B,
    at: u64,
    head: &'b [u8],
    piece: Vec<u8>,
}

impl<'b, B: Bytes> Patched<'b, B> {
    /// Those of `inner` with `mended` at `at`.
    pub fn new(inner: &'b mut B, at: u64, mended: &'b Mended) -> Self {
        Patched { inner, at, head: &mended.head[..mended.len], piece: Vec::new() }
    }

    fn patch(&self, from: u64, bytes: &mut [u8]) {
        for (i, &byte) in self.head.iter().enumerate() {
            let at = (self.at + i as u64).checked_sub(from).and_then(|at| usize::try_from(at).ok());
            if let Some(old) = at.and_then(|at| bytes.get_mut(at)) {
                *old = byte;
            }
        }
    }
}

impl<B: Bytes> Bytes for Patched<'_, B> {
    fn end(&self) -> u64 {
        self.inner.end()
    }
    fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Fault> {
        let mut bytes = self.inner.array::<N>(at)?;
        self.patch(at, &mut bytes);
        Ok(bytes)
    }
    fn crc32(&mut self, crc: u32, span: Range<u64>) -> Result<u32, Fault> {
        Ok(crate::codec::crc32::update(crc, self.piece(span)?))
    }
    fn sum32(&mut self, span: Range<u64>) -> Result<u32, Fault> {
        Ok(self.piece(span)?.iter().fold(0, |sum: u32, &b| sum.wrapping_add(u32::from(b))))
    }
    fn utf8(&mut self, span: Range<u64>) -> Result<bool, Fault> {
        Ok(std::str::from_utf8(self.piece(span)?).is_ok())
    }
    fn piece(&mut self, span: Range<u64>) -> Result<&[u8], Fault> {
        let touches = span.start < self.at + self.head.len() as u64 && self.at < span.end;
        if !touches {
            return self.inner.piece(span);
        }
        let mut piece = std::mem::take(&mut self.piece);
        self.inner.copy(span.clone(), &mut piece)?;
        self.patch(span.start, &mut piece);
        self.piece = piece;
        Ok(&self.piece)
    }
}

/// Appends a fragment.
pub fn put(kind: u8, log: Option<u32>, payload: &[u8], out: &mut Vec<u8>) {
    let log = log.map(u32::to_le_bytes);
    let named = [&[kind][..], log.as_ref().map_or(&[][..], |log| log)].concat();
    out.extend_from_slice(&crc32c::masked(&named, payload).to_le_bytes());
    out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    out.extend_from_slice(&named);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::bytes::Window;

    fn made(kind: u8, log: Option<u32>, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put(kind, log, payload, &mut out);
        out
    }

    fn read(bytes: &[u8]) -> Result<Fragment, Cause> {
        fragment(&mut Window::whole(bytes), 0, BLOCK).map_err(|fault| fault.cause)
    }

    #[test]
    fn what_is_put_is_read() {
        for (kind, log, part) in [
            (1, None, Part::Full),
            (2, None, Part::First),
            (7, Some(9), Part::Middle),
            (8, Some(0), Part::Last),
        ] {
            let got = read(&made(kind, log, b"hello")).unwrap();
            let header = if log.is_some() { RECYCLABLE } else { HEADER };
            assert_eq!((got.kind, got.part, got.log), (kind, part, log));
            assert_eq!(got.payload, header..header + 5);
        }
        assert!(matches!(read(&[0; 40]), Err(Cause::Zeros)));
        assert!(matches!(read(&made(1, None, b"hello")[..9]), Err(Cause::Short { need: 12 })));
    }

    #[test]
    fn one_wrong_field_is_put_right() {
        let any = |_: Part, _: u64| true;
        let good = [made(1, None, b"hello"), made(1, None, b"other")].concat();
        for (at, bit, field) in [(4, 3, "length"), (5, 1, "length"), (6, 2, "type"), (6, 1, "type")] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let mended = mend(&mut Window::whole(&bad), 0, BLOCK, None, &any).expect(field);
            assert_eq!((mended.fix.field, &mended.head[..7]), (field, &good[..7]));
            let mut window = Window::whole(&bad);
            let read = fragment(&mut Patched::new(&mut window, 0, &mended), 0, BLOCK);
            assert_eq!(read.unwrap().payload, 7..12);
        }
        let mut bad = made(5, Some(77), b"hello");
        bad[9] ^= 4;
        let mended = mend(&mut Window::whole(&bad), 0, BLOCK, Some(77), &any).unwrap();
        assert_eq!((mended.fix.field, mended.fix.inferred), ("log number", 77));
        let mut lost = good;
        lost[8] ^= 1;
        assert_eq!(mend(&mut Window::whole(&lost), 0, BLOCK, None, &any), None);
    }
}
