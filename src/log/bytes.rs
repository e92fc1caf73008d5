//! Bounded access to the bytes of one file.
//!
//! Decoders are written against [`Bytes`], "give me what lies at this offset", and never see files. The same
//! decoding function runs over a [`Window`] (a slice in memory: the hot path) and over a [`Reader`] (anything, a
//! piece at a time: records longer than a window, and the search behind damage). "Not enough bytes" has one name,
//! [`Cause::Short`]; the driver alone turns it into "read more" or, at the end of the file, into a verdict.

use std::io;
use std::ops::Range;

use super::ahead::{self, Ahead};
use super::buffer::Buffer;
use super::fault::{Cause, Fault};
use crate::codec::{ascii, crc32};

/// Random access to a file that is never written; implemented in [`crate::io`] and by tests.
pub trait ReadAt: Sync {
    /// Length in bytes, fixed when the file was opened.
    fn size(&self) -> u64;
    /// Reads at `at`; fewer bytes than asked for mean the file has become shorter.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// The first offset at or behind `from` that is not in a hole of a sparse file.
    fn data_at(&self, from: u64) -> u64 {
        from
    }
    /// The whole file, where it lies in memory.
    fn whole(&self) -> Option<&[u8]> {
        None
    }
    /// Told how far the scan has come: progress, and release of mapped pages.
    fn passed(&self, _at: u64) {}
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(at, buf)
    }
    fn data_at(&self, from: u64) -> u64 {
        (**self).data_at(from)
    }
    fn whole(&self) -> Option<&[u8]> {
        (**self).whole()
    }
    fn passed(&self, at: u64) {
        (**self).passed(at);
    }
}

/// The first bytes of a file, for looks that must not go further: what it takes to tell a revision, say.
pub struct Prefix<'a> {
    /// The whole file.
    pub src: &'a dyn ReadAt,
    /// How many of its bytes are seen.
    pub len: u64,
}

impl ReadAt for Prefix<'_> {
    fn size(&self) -> u64 {
        self.len.min(self.src.size())
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
        let n = buf.len().min(left);
        self.src.read_at(at, &mut buf[..n])
    }
    fn data_at(&self, from: u64) -> u64 {
        self.src.data_at(from)
    }
    fn whole(&self) -> Option<&[u8]> {
        let len = usize::try_from(self.size()).unwrap_or(usize::MAX);
        self.src.whole().and_then(|bytes| bytes.get(..len))
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - from);
        buf[..n].copy_from_slice(&self[from..from + n]);
        Ok(n)
    }
    fn whole(&self) -> Option<&[u8]> {
        Some(self)
    }
}

/// What a decoder may ask of the bytes. Offsets are absolute in the file.
pub trait Bytes {
    /// Length of the file in bytes.
    fn end(&self) -> u64;
    /// `N` bytes at `at`.
    ///
    /// # Errors
    /// [`Cause::Short`] when they are not there (yet).
    fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Fault>;
    /// Continues the CRC-32 `crc` over `span`.
    ///
    /// # Errors
    /// [`Cause::Short`] when the span is not there (yet).
    fn crc32(&mut self, crc: u32, span: Range<u64>) -> Result<u32, Fault>;
    /// Continues the CRC-32 `crc` over two spans, one behind the other: a key and its value.
    ///
    /// # Errors
    /// [`Cause::Short`] when a span is not there (yet).
    #[inline]
    fn crc32_two(&mut self, crc: u32, a: Range<u64>, b: Range<u64>) -> Result<u32, Fault> {
        let crc = self.crc32(crc, a)?;
        self.crc32(crc, b)
    }
    /// Sum of the bytes of `span` modulo 2^32.
    ///
    /// # Errors
    /// [`Cause::Short`] when the span is not there (yet).
    fn sum32(&mut self, span: Range<u64>) -> Result<u32, Fault>;
    /// Whether `span` is UTF-8.
    ///
    /// # Errors
    /// [`Cause::Short`] when the span is not there (yet).
    fn utf8(&mut self, span: Range<u64>) -> Result<bool, Fault>;
    /// The bytes of `span` in one piece; the caller bounds its length.
    ///
    /// # Errors
    /// [`Cause::Short`] when the span is not there (yet).
    fn piece(&mut self, span: Range<u64>) -> Result<&[u8], Fault>;
    /// Replaces what is in `into` by the bytes of `span`; the caller bounds its length.
    ///
    /// # Errors
    /// [`Cause::Short`] when the span is not there (yet).
    fn copy(&mut self, span: Range<u64>, into: &mut Vec<u8>) -> Result<(), Fault> {
        into.clear();
        into.extend_from_slice(self.piece(span)?);
        Ok(())
    }
    /// [`Cause::Short`] unless the file, not just what is at hand, reaches up to `to`.
    ///
    /// # Errors
    /// As said.
    #[inline]
    fn within(&self, at: u64, to: u64) -> Result<(), Fault> {
        if to > self.end() { Err(Fault { at, cause: Cause::Short { need: to } }) } else { Ok(()) }
    }
}

/// A piece of a file in memory. `Copy`, so that the optimiser keeps it in registers.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    /// The bytes at hand.
    pub bytes: &'a [u8],
    /// Offset of the first of them in the file.
    pub base: u64,
    /// Length of the file.
    pub end: u64,
}

impl<'a> Window<'a> {
    /// A window over a whole file.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Window { bytes, base: 0, end: bytes.len() as u64 }
    }

    /// The bytes of `span`.
    ///
    /// # Errors
    /// [`Cause::Short`] when the window does not hold all of it.
    #[inline]
    pub fn slice(&self, span: Range<u64>) -> Result<&'a [u8], Fault> {
        let short = Fault { at: span.start, cause: Cause::Short { need: span.end } };
        let from = span.start.checked_sub(self.base).ok_or(short)?;
        let to = span.end.checked_sub(self.base).ok_or(short)?;
        if to > self.bytes.len() as u64 || from > to {
            return Err(short);
        }
        Ok(&self.bytes[from as usize..to as usize])
    }
}

impl Bytes for Window<'_> {
    #[inline]
    fn end(&self) -> u64 {
        self.end
    }
    #[inline]
    fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Fault> {
        let bytes = self.slice(at..at.saturating_add(N as u64))?;
        Ok(*bytes.first_chunk::<N>().expect("the slice has N bytes"))
    }
    #[inline]
    fn crc32(&mut self, crc: u32, span: Range<u64>) -> Result<u32, Fault> {
        Ok(crc32::update(crc, self.slice(span)?))
    }
    #[inline]
    fn crc32_two(&mut self, crc: u32, a: Range<u64>, b: Range<u64>) -> Result<u32, Fault> {
        Ok(crc32::update2(crc, self.slice(a)?, self.slice(b)?))
    }
    #[inline]
    fn sum32(&mut self, span: Range<u64>) -> Result<u32, Fault> {
        Ok(byte_sum(self.slice(span)?))
    }
    #[inline]
    fn utf8(&mut self, span: Range<u64>) -> Result<bool, Fault> {
        // Most text is ASCII, which is quicker to tell than UTF-8.
        let bytes = self.slice(span)?;
        Ok(ascii::is_ascii(bytes) || std::str::from_utf8(bytes).is_ok())
    }
    #[inline]
    fn piece(&mut self, span: Range<u64>) -> Result<&[u8], Fault> {
        self.slice(span)
    }
}

fn byte_sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0u32, |sum, &b| sum.wrapping_add(u32::from(b)))
}

/// How many bytes a reader fetches at a time: large enough for full speed, small enough for the second-level cache.
pub const CHUNK: usize = 256 << 10;

/// Moves a window over a file of any size.
///
/// Bytes that cannot be read count as zeros and are remembered in `unreadable`, so decoders need no I/O errors.
pub struct Reader<'s> {
    src: &'s dyn ReadAt,
    /// Where the scan is.
    main: Buffer,
    /// Reads what follows `main` meanwhile.
    ahead: Option<Ahead>,
    /// For looks at distant places: what a damaged length claims must not cost the main window.
    side: Buffer,
    end: u64,
    chunk: usize,
    /// Ranges that the system refused to read, in the order met.
    pub unreadable: Vec<Range<u64>>,
    /// The file ended before its length: someone truncated it meanwhile.
    pub shrunk: bool,
}

/// A distant look fetches at least this much.
const LOOK: usize = 512;
/// Distant spans are gone through in pieces of this size.
const PIECE: usize = 64 << 10;

impl<'s> Reader<'s> {
    /// A reader with the usual window.
    pub fn new(src: &'s dyn ReadAt) -> Self {
        Self::with_chunk(src, CHUNK)
    }

    /// A reader that fetches `chunk` bytes at a time; results never depend on it.
    pub fn with_chunk(src: &'s dyn ReadAt, chunk: usize) -> Self {
        let (main, side, end) = (Buffer::default(), Buffer::default(), src.size());
        let unreadable = Vec::new();
        Reader { src, main, side, ahead: None, end, chunk: chunk.max(1), unreadable, shrunk: false }
    }

    /// The same reader, for whose scan another thread reads ahead.
    pub(super) fn with_ahead(self, ahead: Ahead) -> Self {
        Reader { ahead: Some(ahead), ..self }
    }

    /// Bytes fetched at a time.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// A window that holds at least `min` bytes from `at` on, fewer only where the file ends.
    #[inline]
    pub fn window(&mut self, at: u64, min: usize) -> Window<'_> {
        self.look(at, min, LOOK.min(self.chunk))
    }

    #[inline]
    fn look(&mut self, at: u64, min: usize, fetch: usize) -> Window<'_> {
        if let Some(bytes) = self.src.whole() {
            return Window { bytes, base: 0, end: self.end };
        }
        let at = at.min(self.end);
        let to = at.saturating_add(min.max(1) as u64).min(self.end);
        if self.main.holds(at, to) {
            return self.main.window(self.end);
        }
        if !self.side.holds(at, to) {
            let mut side = std::mem::take(&mut self.side);
            self.load(&mut side, at, ((to - at) as usize).max(fetch));
            self.side = side;
        }
        self.side.window(self.end)
    }

    /// Like [`Reader::window`], for a scan that goes forward: moves the main window along.
    pub fn forward(&mut self, at: u64, min: usize) -> Window<'_> {
        self.src.passed(at);
        let wanted = at.saturating_add(min.max(1) as u64).min(self.end);
        if self.src.whole().is_none() && at < self.end && !self.main.holds(at, wanted) {
            self.move_on(at, min, wanted);
        }
        self.window(at, min)
    }

    /// Moves the main window to `at`.
    fn move_on(&mut self, at: u64, min: usize, wanted: u64) {
        let mut main = std::mem::take(&mut self.main);
        let goes_on = main.holds(at, at);
        let advanced = self.ahead.as_mut().is_some_and(|ahead| ahead.advance(&mut main, at));
        if !(advanced && main.holds(at, wanted)) {
            self.load(&mut main, at, min.max(self.chunk));
        }
        // Where the scan jumps, and of records that are longer than a piece, it would have to read too much in vain.
        if let Some(ahead) = self.ahead.as_mut().filter(|_| goes_on && min <= ahead::PIECE) {
            ahead.ask(main.end(), self.end);
        }
        self.main = main;
    }

    /// The first offset at or behind `at` that is not in a hole of a sparse file.
    pub fn data_at(&self, at: u64) -> u64 {
        self.src.data_at(at).min(self.end)
    }

    /// Fills `buffer` with `want` bytes from `at` on or a few more, and keeps those that it has already.
    fn load(&mut self, buffer: &mut Buffer, at: u64, want: usize) {
        let to = buffer.make_room(at, at.saturating_add(want as u64), self.end);
        while let Err(error) = buffer.read(self.src, to) {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                self.shrunk = true;
                self.end = buffer.end();
                break;
            }
            self.load_sector(buffer, to);
        }
    }

    /// Reads around a medium error in pieces of a sector, so that only what cannot be read is lost.
    fn load_sector(&mut self, buffer: &mut Buffer, to: u64) {
        const SECTOR: u64 = 512;
        let place = buffer.end();
        let sector = place..to.min(place - place % SECTOR + SECTOR);
        let piece = buffer.room(sector.end);
        let read = self.src.read_at(place, piece).unwrap_or(0);
        if read == 0 {
            piece.fill(0);
            match self.unreadable.last_mut() {
                Some(last) if last.end == sector.start => last.end = sector.end,
                Some(last) if last.start <= sector.start && sector.end <= last.end => {}
                _ => self.unreadable.push(sector.clone()),
            }
        }
        buffer.filled(if read == 0 { (sector.end - sector.start) as usize } else { read });
    }

    fn pieces(&mut self, span: Range<u64>, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Fault> {
        self.within(span.start, span.end)?;
        let mut at = span.start;
        while at < span.end {
            let window = self.look(at, 1, PIECE.min(self.chunk));
            let to = span.end.min(window.base + window.bytes.len() as u64);
            if to <= at {
                return Err(Fault { at: span.start, cause: Cause::Short { need: span.end } });
            }
            if !each(window.slice(at..to)?) {
                break;
            }
            at = to;
        }
        Ok(())
    }
}

impl Bytes for Reader<'_> {
    fn end(&self) -> u64 {
        self.end
    }
    fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Fault> {
        self.window(at, N).array(at)
    }
    fn crc32(&mut self, mut crc: u32, span: Range<u64>) -> Result<u32, Fault> {
        self.pieces(span, |piece| {
            crc = crc32::update(crc, piece);
            true
        })?;
        Ok(crc)
    }
    fn sum32(&mut self, span: Range<u64>) -> Result<u32, Fault> {
        let mut sum = 0u32;
        self.pieces(span, |piece| {
            sum = sum.wrapping_add(byte_sum(piece));
            true
        })?;
        Ok(sum)
    }
    fn utf8(&mut self, span: Range<u64>) -> Result<bool, Fault> {
        // A character may be cut by the edge of a piece: its first bytes wait for the next one.
        let mut carry = Vec::new();
        let mut fine = true;
        self.pieces(span, |piece| {
            carry.extend_from_slice(piece);
            match std::str::from_utf8(&carry) {
                Ok(_) => carry.clear(),
                Err(e) if e.error_len().is_none() => drop(carry.drain(..e.valid_up_to())),
                Err(_) => fine = false,
            }
            fine
        })?;
        Ok(fine && carry.is_empty())
    }
    fn piece(&mut self, span: Range<u64>) -> Result<&[u8], Fault> {
        self.within(span.start, span.end)?;
        let len = span.end.saturating_sub(span.start);
        self.window(span.start, usize::try_from(len).unwrap_or(usize::MAX)).slice(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that cannot be borrowed whole, so that windows are exercised.
    struct Far<'a>(&'a [u8]);
    impl ReadAt for Far<'_> {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read_at(at, buf)
        }
    }

    #[test]
    fn every_window_size_gives_the_same_answers() {
        let text = "aé€😀".repeat(40);
        let bytes = text.as_bytes();
        let far = Far(bytes);
        for chunk in 1..40 {
            let mut reader = Reader::with_chunk(&far, chunk);
            for (from, to) in [(0, bytes.len() as u64), (1, 3), (5, 50), (7, 7)] {
                let mut whole = Window::whole(bytes);
                assert_eq!(reader.crc32(0, from..to), whole.crc32(0, from..to));
                assert_eq!(reader.utf8(from..to), whole.utf8(from..to), "{chunk} {from}..{to}");
                assert_eq!(reader.sum32(from..to), whole.sum32(from..to));
            }
            assert_eq!(reader.array::<4>(3), Window::whole(bytes).array::<4>(3));
        }
    }

    #[test]
    fn asking_past_the_end_is_short_and_never_reads() {
        let far = Far(b"abc");
        let mut reader = Reader::with_chunk(&far, 2);
        let fault = reader.crc32(0, 1..9).unwrap_err();
        assert_eq!(fault.cause, Cause::Short { need: 9 });
        assert!(reader.array::<8>(u64::MAX - 2).is_err());
    }

    #[test]
    fn a_medium_error_costs_only_its_sector() {
        struct Bad(Vec<u8>);
        impl ReadAt for Bad {
            fn size(&self) -> u64 {
                self.0.len() as u64
            }
            fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
                let to = at + buf.len() as u64;
                if at < 1536 && to > 1024 {
                    return Err(io::Error::other("medium error"));
                }
                self.0.read_at(at, buf)
            }
        }
        let src = Bad(vec![7; 4096]);
        let mut reader = Reader::with_chunk(&src, 4096);
        let window = reader.window(0, 4096);
        assert_eq!(window.bytes.iter().filter(|&&b| b == 0).count(), 512);
        assert_eq!(reader.unreadable, vec![1024..1536]);
    }
}
