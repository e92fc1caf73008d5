//! Compressed records: each is a zstd frame of its own. It is inflated a piece at a time, so that a few bytes which claim to be
//! a gigabyte do not take the memory. What stands in its place in a log is inflated as long as all of its records together stay
//! within an allowance that grows with the file ([`allowance`]); what is only guessed to be a record, as far as a budget lasts.

use std::borrow::BorrowMut;
use std::io::Read;

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::batch::Feed;

/// The compression type of zstd, the only one that a log can have, as a fragment in front of its records says it.
pub const ZSTD: u32 = 7;
/// What a zstd frame begins with.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No record is longer when it is inflated; the engine's own batches are a thousand times shorter.
pub const LIMIT: u64 = 256 << 20;
/// The decoder's memory: what compression level 22 would ask for is refused.
const WINDOW: u64 = 8 << 20;
/// The most that a block of a frame is inflated to.
pub const BLOCK: u64 = 128 << 10;
/// What an operation costs beside its bytes: millions of empty ones fit into a few bytes that are compressed.
pub const OPERATION: u64 = 32;

/// What the records of a file of so many bytes may cost, in bytes that they inflate to: far more than data comes to, and as little
/// as can be afforded of a few bytes that inflate without end.
pub fn allowance(file: u64) -> u64 {
    file.saturating_mul(256).saturating_add(16 << 20)
}

const NOT_TRIED: &str = "compressed record: not looked at, for too many before it were none";
/// Bytes inflated at a time.
const PIECE: usize = 32 << 10;

/// The budget for guesses, in bytes that they inflate to. Records in their place add to it, so that a log with damage all over
/// does not use it up; a hostile one would take hours without it.
#[derive(Debug)]
pub struct Budget(u64);

impl Default for Budget {
    fn default() -> Budget {
        Budget(1 << 30)
    }
}

impl Budget {
    /// Guesses that are paid for by a record in its place.
    const GUESSES: u64 = 4;

    /// That of a file of so many bytes.
    pub fn of(file: u64) -> Budget {
        Budget(Budget::default().0.min(allowance(file).saturating_mul(2)))
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.0
    }

    /// A guess has taken so much.
    pub fn spend(&mut self, cost: u64) {
        self.0 = self.0.saturating_sub(cost);
    }

    /// A record in its place has.
    pub fn earn(&mut self, cost: u64) {
        self.0 = self.0.saturating_add(Self::GUESSES.saturating_mul(cost));
    }
}

/// Whether these bytes look compressed.
pub fn is_packed(payload: &[u8]) -> bool {
    payload.starts_with(&MAGIC)
}

/// A record while it is inflated. `D`: the decoder, or one that serves for many records.
pub struct Inflating<'a, D: BorrowMut<FrameDecoder> = FrameDecoder> {
    from: StreamingDecoder<&'a [u8], D>,
    piece: Vec<u8>,
    at: usize,
    /// Bytes that it may have, and those of them that have not come yet.
    limit: u64,
    left: u64,
    /// What its operations cost.
    charged: u64,
    failed: Option<&'static str>,
}

/// A decoder for [`Inflating::with`].
pub fn decoder() -> FrameDecoder {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    decoder
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
    /// See [`Inflating::new`]; and when there are to be none at all.
    pub fn up_to(limit: u64, payload: &'a [u8]) -> Result<Self, &'static str> {
        Inflating::with(decoder(), limit, payload)
    }
}

impl<'a, D: BorrowMut<FrameDecoder>> Inflating<'a, D> {
    /// The same with this decoder.
    ///
    /// # Errors
    /// See [`Inflating::up_to`].
    pub fn with(decoder: D, limit: u64, payload: &'a [u8]) -> Result<Self, &'static str> {
        if limit == 0 {
            return Err(NOT_TRIED);
        }
        let from = StreamingDecoder::new_with_decoder(payload, decoder)
            .map_err(|_| "compressed record: header of its frame")?;
        let limit = limit.min(LIMIT);
        let (piece, left) = (Vec::new(), limit);
        let mut inflating = Inflating { from, piece, at: 0, limit, left, charged: 0, failed: None };
        inflating.settle();
        Ok(inflating)
    }

    /// What it took so far, in bytes inflated.
    pub fn came_to(&self) -> u64 {
        (self.limit - self.left).saturating_add(self.charged)
    }

    /// The same of a guess: at least a block of its frame, which the decoder inflates at a time.
    pub fn cost(&self) -> u64 {
        self.came_to().max(BLOCK)
    }

    /// Whether it was cut short by the limit.
    pub fn is_cut_short(&self) -> bool {
        self.left <= self.charged
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
            Ok(_) if self.is_cut_short() && self.limit < LIMIT => Some(NOT_TRIED),
            Ok(_) if self.is_cut_short() => Some("compressed record: more than 256 MiB when it is inflated"),
            Ok(0) if !self.from.get_ref().is_empty() => Some("compressed record: bytes behind its frame"),
            Ok(0) => self.wrong(),
            Ok(_) => None,
        };
        if self.failed.is_some() {
            self.piece.clear();
        }
    }

    /// Whether what came of the whole frame is not what it says, in a word.
    fn wrong(&self) -> Option<&'static str> {
        let decoder: &FrameDecoder = self.from.decoder.borrow();
        let told = decoder.get_checksum_from_data();
        let (size, came) = (decoder.content_size(), self.limit - self.left);
        if told.is_some() && told != decoder.get_calculated_checksum() {
            return Some("compressed record: checksum of its frame");
        }
        (size > 0 && size != came).then_some("compressed record: length of its frame")
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

impl<D: BorrowMut<FrameDecoder>> Feed for &mut Inflating<'_, D> {
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

    fn operation(&mut self) {
        self.charged = self.charged.saturating_add(OPERATION);
        if self.is_cut_short() && self.failed.is_none() {
            self.failed = Some(NOT_TRIED);
            self.piece.clear();
        }
    }
}

impl<D: BorrowMut<FrameDecoder>> Inflating<'_, D> {
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
        let other = [&packed[..packed.len() - 1], &[packed[packed.len() - 1] ^ 1]].concat();
        let told = Inflating::new(&other).unwrap().rest(&mut Vec::new());
        assert_eq!(told, Err("compressed record: checksum of its frame"));
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
    fn guesses_use_their_budget_up_however_short_they_are() {
        let packed = [&MAGIC[..], &[0x00, 0x58, 0x03, 0x00, 0x10, 0x55]].concat();
        let (mut budget, mut guesses) = (Budget::default(), 0);
        while let Ok(guess) = Inflating::up_to(budget.left(), &packed) {
            budget.spend(guess.cost());
            guesses += 1;
        }
        assert_eq!(guesses, 8192);
        budget.earn(1);
        assert_eq!(Inflating::up_to(budget.left(), &packed).unwrap().failed(), Some(NOT_TRIED));
    }

    #[test]
    fn a_bomb_is_defused() {
        let packed = bomb();
        let mut bomb = Inflating::new(&packed).unwrap();
        assert_eq!((&mut bomb).skip(LIMIT * 2), None);
        assert_eq!(bomb.failed(), Some("compressed record: more than 256 MiB when it is inflated"));
    }
}
