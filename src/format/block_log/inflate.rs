//! Compressed records: each is a zstd frame of its own. It is inflated a piece at a time, so that a few bytes which claim to be
//! a gigabyte take neither the memory nor, past a limit, the time.

use std::io::Read;

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::batch::Feed;

/// What a zstd frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No record is longer when it is inflated; the engine's own batches are a thousand times shorter.
pub const LIMIT: u64 = 256 << 20;
/// The decoder's memory: what compression level 22 would ask for is refused.
const WINDOW: u64 = 8 << 20;
/// Bytes inflated at a time.
const PIECE: usize = 32 << 10;

/// What the compressed records of a file may be inflated to, one after the other: so much, and so much more for each byte
/// passed. A hostile file would take hours otherwise.
#[derive(Debug, Default)]
pub struct Allowance {
    spent: u64,
}

impl Allowance {
    const FREE: u64 = 1 << 30;
    const PER_BYTE: u64 = 1 << 10;

    /// What is left for a record at this offset.
    pub fn at(&self, at: u64) -> u64 {
        Self::FREE.saturating_add(at.saturating_mul(Self::PER_BYTE)).saturating_sub(self.spent)
    }

    /// A record has been inflated, as far as it was.
    pub fn spend(&mut self, inflating: &Inflating<'_>) {
        self.spent = self.spent.saturating_add(inflating.limit - inflating.left);
    }
}

/// Whether these bytes look compressed.
pub fn is_packed(payload: &[u8]) -> bool {
    payload.starts_with(&MAGIC)
}

/// A record while it is inflated.
pub struct Inflating<'a> {
    from: StreamingDecoder<&'a [u8], FrameDecoder>,
    piece: Vec<u8>,
    at: usize,
    /// Bytes that it may have, and those of them that have not come yet.
    limit: u64,
    left: u64,
    failed: Option<&'static str>,
}

impl<'a> Inflating<'a> {
    /// At the first byte of what `payload` holds.
    ///
    /// # Errors
    /// When it is not compressed, or in a way that takes too much memory.
    pub fn new(payload: &'a [u8]) -> Result<Self, &'static str> {
        Inflating::up_to(LIMIT, payload)
    }

    /// The same with no more than so many bytes.
    ///
    /// # Errors
    /// See [`Inflating::new`].
    pub fn up_to(limit: u64, payload: &'a [u8]) -> Result<Self, &'static str> {
        let from = StreamingDecoder::new_with_max_window_size(payload, WINDOW)
            .map_err(|_| "compressed record: header of its frame")?;
        let limit = limit.min(LIMIT);
        let mut inflating = Inflating { from, piece: Vec::new(), at: 0, limit, left: limit, failed: None };
        inflating.settle();
        Ok(inflating)
    }

    /// Why it came to an end before its end.
    pub fn failed(&self) -> Option<&'static str> {
        self.failed
    }

    /// Inflates more while the piece at hand is used up.
    fn settle(&mut self) {
        if self.at < self.piece.len() || self.failed.is_some() {
            return;
        }
        self.piece.resize(PIECE, 0);
        let read = self.from.read(&mut self.piece);
        let n = *read.as_ref().unwrap_or(&0);
        self.piece.truncate(n);
        self.at = 0;
        self.left = self.left.saturating_sub(n as u64);
        self.failed = match read {
            Err(_) => Some("compressed record: its frame"),
            Ok(_) if self.left == 0 && self.limit < LIMIT => Some(
                "compressed record: not read, for those before it inflate to more than 1 GiB and 1024 times the file",
            ),
            Ok(_) if self.left == 0 => Some("compressed record: more than 256 MiB when it is inflated"),
            Ok(0) if !self.from.get_ref().is_empty() => Some("compressed record: bytes behind its frame"),
            Ok(_) => None,
        };
        if self.failed.is_some() {
            self.piece.clear();
        }
    }

    /// Appends all that is left.
    ///
    /// # Errors
    /// Why there is no more.
    pub fn rest(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        while !self.is_empty() {
            out.extend_from_slice(&self.piece[self.at..]);
            self.at = self.piece.len();
            self.settle();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

impl Feed for &mut Inflating<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.piece.get(self.at)?;
        self.at += 1;
        self.settle();
        Some(byte)
    }

    fn skip(&mut self, mut n: u64) -> Option<()> {
        while n > 0 {
            let here = (self.piece.len() - self.at) as u64;
            if here == 0 {
                return None;
            }
            let step = here.min(n);
            self.at += step as usize;
            n -= step;
            self.settle();
        }
        Some(())
    }

    fn is_empty(&self) -> bool {
        Inflating::is_empty(self)
    }
}

impl Inflating<'_> {
    fn is_empty(&self) -> bool {
        self.at >= self.piece.len()
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let packed = compress_to_vec(&plain[..], CompressionLevel::Fastest);
        assert!(is_packed(&packed));
        let mut out = Vec::new();
        Inflating::new(&packed).unwrap().rest(&mut out).unwrap();
        assert!(out == plain);
        let cut = Inflating::new(&packed[..packed.len() - 9]).and_then(|mut i| i.rest(&mut Vec::new()));
        assert!(cut.is_err());
        let more = [&packed[..], b"x"].concat();
        assert!(Inflating::new(&more).unwrap().rest(&mut Vec::new()).is_err());
    }

    /// One block that repeats a byte 128 KiB long, over and over.
    fn bomb() -> Vec<u8> {
        let mut packed = [&MAGIC[..], &[0x00, 0x58]].concat();
        for _ in 0..4096 {
            packed.extend_from_slice(&[0x02, 0x00, 0x10, 0x55]);
        }
        packed.extend_from_slice(&[0x03, 0x00, 0x10, 0x55]);
        packed
    }

    #[test]
    fn many_bombs_are_no_worse_than_a_few() {
        let (packed, mut allowance, mut inflated) = (bomb(), Allowance::default(), 0);
        let mut last = None;
        for nth in 0..1000 {
            let left = allowance.at(nth * packed.len() as u64);
            let mut bomb = Inflating::up_to(left, &packed).unwrap();
            assert_eq!((&mut bomb).skip(LIMIT * 2), None);
            allowance.spend(&bomb);
            (inflated, last) = (inflated + left.min(LIMIT), bomb.failed());
            if left < LIMIT {
                break;
            }
        }
        assert!(inflated < 3 << 30, "{inflated} bytes");
        assert!(last.is_some_and(|why| why.contains("1024 times")), "{last:?}");
    }

    #[test]
    fn a_bomb_is_defused() {
        let packed = bomb();
        let mut bomb = Inflating::new(&packed).unwrap();
        assert_eq!((&mut bomb).skip(LIMIT * 2), None);
        assert_eq!(bomb.failed(), Some("compressed record: more than 256 MiB when it is inflated"));
    }
}
