//! Bounded reads from front to back of a few bytes in memory: fixed and variable-length little-endian numbers, and
//! strings behind their length, as LevelDB and its descendants write them.

use super::varint;

/// A place in a slice. What does not fit gives `None` and moves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.rest().get(..len)?;
        self.at += len;
        Some(bytes)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Four bytes, the lowest first.
    pub fn le32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, the lowest first.
    pub fn le64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Groups of seven bits, the lowest first, up to ten of them.
    pub fn varint64(&mut self) -> Option<u64> {
        let mut ahead = *self;
        let value = varint::read::<10>(|| ahead.byte())?;
        *self = ahead;
        Some(value)
    }

    /// The same, up to five groups and for a number below 2^32.
    pub fn varint32(&mut self) -> Option<u32> {
        let mut ahead = *self;
        let value = u32::try_from(varint::read::<5>(|| ahead.byte())?).ok()?;
        *self = ahead;
        Some(value)
    }

    /// A string behind its length, a varint below 2^32.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = usize::try_from(ahead.varint32()?).ok()?;
        let bytes = ahead.take(len)?;
        *self = ahead;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let mut cursor = Cursor::new(&[0x87, 0x3b, 0x01, 2, b'a', b'b', 1, 0, 0, 0]);
        assert_eq!(cursor.varint64(), Some(7559));
        assert_eq!(cursor.varint32(), Some(1));
        assert_eq!(cursor.string(), Some(&b"ab"[..]));
        assert_eq!(cursor.le64(), None);
        assert_eq!(cursor.le32(), Some(1));
        assert!(cursor.is_empty() && cursor.byte().is_none());
    }

    #[test]
    fn what_is_no_number_moves_nothing() {
        let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Cursor::new(&max).varint64(), Some(u64::MAX));
        let more = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        for bytes in [&more[..], &[0x80], &[0xff; 12], &[]] {
            let mut cursor = Cursor::new(bytes);
            assert_eq!((cursor.varint64(), cursor.at()), (None, 0));
        }
        let mut short = Cursor::new(&[9, b'a']);
        assert_eq!((short.string(), short.at()), (None, 0));
        for no in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            let mut cursor = Cursor::new(no);
            assert_eq!((cursor.varint32(), cursor.at()), (None, 0));
        }
    }
}
