//! The engine's decompressor of compressed logs. It is fed a fragment at a time and knows nothing of records: its state goes on
//! from fragment to fragment until the engine begins to read the next record. Where damage has cost it the rest of a frame, the
//! fragments behind it go on in that frame, and bytes that are stored as they are come out as they are. Upstream:
//! `ZSTDStreamingUncompress` and `ZSTD_decompressStream`.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use xxhash_rust::xxh64::xxh64;

use super::super::inflate::{LIMIT, MAGIC, allowance};
use crate::codec::cursor::Cursor;

/// The most that a block of a frame holds.
const BLOCK: u64 = 128 << 10;
/// A frame that asks for a larger window is refused.
const WINDOW: u64 = (128 << 20) + 1;
/// Frames of these numbers, and fifteen more, are skipped.
const SKIPPED: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// What the blocks of every frame follow for the decoder: it does not have to know where they end, nor what they add up to.
const FRAME: [u8; 6] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], 0, (17 - 10) << 3];
/// So often it may be asked for more without being given any.
const IDLE: u32 = 16;

/// What the stream cannot go on with.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// What comes next in the stream.
#[derive(Clone, Copy, Debug)]
enum Stage {
    FrameHeader,
    BlockHeader,
    /// Bytes left of a block that is stored as it is.
    Raw {
        left: u64,
        last: bool,
    },
    /// A block by its stored length and, if it repeats one byte, how often.
    Block {
        len: u64,
        repeats: Option<u64>,
        last: bool,
    },
    Checksum,
    /// Bytes left of a frame that is skipped.
    Skipped(u64),
}

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    content: Option<u64>,
    block: u64,
    checksum: bool,
}

/// See the top of this file.
pub struct Stream {
    stage: Stage,
    frame: Frame,
    /// Bytes that wait for the rest of what they belong to.
    held: Vec<u8>,
    decoder: FrameDecoder,
    /// What came of frames that are at their end, since the record began.
    out: Vec<u8>,
    /// Where in memory the engine had the last fragment, if that is known to it.
    source: Option<u64>,
    idle: u32,
    /// About so many bytes come out of it at the most.
    limit: u64,
}

impl Stream {
    /// At the beginning of a record, of a log with so many bytes.
    pub fn new(log: u64) -> Stream {
        Stream {
            limit: allowance(log).min(LIMIT),
            stage: Stage::FrameHeader,
            frame: Frame::default(),
            held: Vec::new(),
            decoder: FrameDecoder::new(),
            out: Vec::new(),
            source: None,
            idle: 0,
        }
    }

    /// A record begins, or the stream was broken.
    pub fn reset(&mut self) {
        self.stage = Stage::FrameHeader;
        self.held.clear();
        self.out.clear();
        (self.source, self.idle) = (None, 0);
    }

    /// Bytes that have come out since the last reset.
    pub fn len(&self) -> u64 {
        self.out.len() as u64 + self.of_frame()
    }

    /// Those of the frame that is not at its end.
    fn of_frame(&self) -> u64 {
        let within = !matches!(self.stage, Stage::FrameHeader | Stage::Skipped(_));
        if within { self.decoder.can_collect() as u64 } else { 0 }
    }

    /// Whether more comes out of it than it may.
    pub fn is_full(&self) -> bool {
        self.len() > self.limit
    }

    /// Whether the engine had its last fragment at the same place in memory. Before 9.8.4 that tells it that there is no new one.
    pub fn is_at(&self, source: u64) -> bool {
        self.source == Some(source)
    }

    /// It is asked for more, and given nothing.
    ///
    /// # Errors
    /// When that was once too often.
    pub fn starve(&mut self) -> Result<(), Broken> {
        self.idle += u32::from(!matches!(self.stage, Stage::FrameHeader));
        if self.idle >= IDLE { self.fail() } else { Ok(()) }
    }

    /// Takes in a fragment that stands at `source` in memory. What is beyond the limit does not come out.
    ///
    /// # Errors
    /// When it is nothing to go on with.
    pub fn feed(&mut self, fragment: &[u8], source: u64) -> Result<(), Broken> {
        (self.source, self.idle) = (Some(source), 0);
        match self.take(fragment) {
            Some(()) => Ok(()),
            None => self.fail(),
        }
    }

    fn fail(&mut self) -> Result<(), Broken> {
        self.reset();
        Err(Broken)
    }

    /// What has come out from there on; nothing can be fed before the next reset.
    pub fn contents(&mut self, from: u64) -> &[u8] {
        if self.of_frame() > 0 {
            self.collect();
        }
        usize::try_from(from).ok().and_then(|from| self.out.get(from..)).unwrap_or_default()
    }

    /// Puts what the decoder holds of a frame to the rest. Nothing that is behind can be decoded after that.
    fn collect(&mut self) {
        // A vector takes all.
        _ = self.decoder.collect_to_writer(&mut self.out);
    }

    fn take(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() && !self.is_full() {
            let (taken, rest) = bytes.split_at(bytes.len().min(self.wanted()));
            bytes = rest;
            match self.stage {
                Stage::Raw { left, last } => self.raw(taken, left, last)?,
                Stage::Skipped(left) => {
                    let left = left - taken.len() as u64;
                    self.stage = if left > 0 { Stage::Skipped(left) } else { Stage::FrameHeader };
                }
                stage => {
                    self.held.extend_from_slice(taken);
                    if self.wanted() == 0 {
                        self.step(stage)?;
                        self.held.clear();
                    } else if matches!(stage, Stage::FrameHeader) {
                        may_begin(&self.held)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Bytes that are still to come of what comes next.
    fn wanted(&self) -> usize {
        let whole = match self.stage {
            Stage::FrameHeader => header_len(&self.held),
            Stage::BlockHeader => 3,
            Stage::Block { len, .. } => len as usize,
            Stage::Checksum => 4,
            Stage::Raw { left, .. } | Stage::Skipped(left) => return left as usize,
        };
        whole.saturating_sub(self.held.len())
    }

    /// What comes next has come.
    fn step(&mut self, stage: Stage) -> Option<()> {
        match stage {
            Stage::FrameHeader => self.frame_header(),
            Stage::BlockHeader => self.block_header(),
            Stage::Block { repeats, last, .. } => self.block(repeats, last),
            Stage::Checksum => {
                let begin = self.out.len();
                self.collect();
                let sum = xxh64(self.out.get(begin..)?, 0) as u32;
                self.stage = Stage::FrameHeader;
                (Cursor::new(&self.held).le32()? == sum).then_some(())
            }
            Stage::Raw { .. } | Stage::Skipped(_) => Some(()),
        }
    }

    fn frame_header(&mut self) -> Option<()> {
        may_begin(&self.held)?;
        if is_skipped(&self.held) {
            let len = u64::from(Cursor::new(self.held.get(4..)?).le32()?);
            self.stage = if len > 0 { Stage::Skipped(len) } else { Stage::FrameHeader };
            return Some(());
        }
        self.frame = Frame::of(&self.held)?;
        self.decoder.reset(&FRAME[..]).ok()?;
        self.stage = Stage::BlockHeader;
        Some(())
    }

    fn block_header(&mut self) -> Option<()> {
        let &[low, middle, high] = self.held.first_chunk()?;
        let bits = u32::from_le_bytes([low, middle, high, 0]);
        let (last, kind, size) = (bits & 1 == 1, bits >> 1 & 3, u64::from(bits >> 3));
        let len = if kind == 1 { 1 } else { size };
        if kind == 3 || len > self.frame.block {
            return None;
        }
        self.stage = match kind {
            0 => Stage::Raw { left: len, last },
            1 => Stage::Block { len, repeats: Some(size), last },
            _ => Stage::Block { len, repeats: None, last },
        };
        if len == 0 { self.block_ends(last) } else { Some(()) }
    }

    /// Bytes of a block that is stored as it is come out as they come in.
    fn raw(&mut self, taken: &[u8], left: u64, last: bool) -> Option<()> {
        self.decode(0, taken.len() as u64, taken)?;
        let left = left - taken.len() as u64;
        self.stage = Stage::Raw { left, last };
        if left == 0 { self.block_ends(last) } else { Some(()) }
    }

    fn block(&mut self, repeats: Option<u64>, last: bool) -> Option<()> {
        let held = std::mem::take(&mut self.held);
        let before = self.of_frame();
        let decoded = match repeats {
            Some(size) => self.decode(1, size, &held),
            None => self.decode(2, held.len() as u64, &held),
        };
        self.held = held;
        decoded?;
        if self.of_frame() - before > self.frame.block {
            return None;
        }
        self.block_ends(last)
    }

    /// Has a block decoded. To the decoder each is the last one, for only then it tells how much has come out.
    fn decode(&mut self, kind: u32, size: u64, payload: &[u8]) -> Option<()> {
        let header = u32::try_from(size).ok().filter(|&size| u64::from(size) <= BLOCK)? << 3 | kind << 1 | 1;
        let header = header.to_le_bytes();
        let block = Read::chain(&header[..3], payload);
        self.decoder.decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1)).ok()?;
        // The engine has no room for more.
        self.frame.content.is_none_or(|content| self.of_frame() <= content).then_some(())
    }

    fn block_ends(&mut self, last: bool) -> Option<()> {
        if !last {
            self.stage = Stage::BlockHeader;
            return Some(());
        }
        if self.frame.content.is_some_and(|content| self.of_frame() != content) {
            return None;
        }
        if self.frame.checksum {
            self.stage = Stage::Checksum;
        } else {
            self.collect();
            self.stage = Stage::FrameHeader;
        }
        Some(())
    }
}

impl Frame {
    /// What a whole header says; `None` where it asks for what the engine does not have.
    fn of(header: &[u8]) -> Option<Frame> {
        let mut header = Cursor::new(header.get(4..)?);
        let flags = header.byte()?;
        let alone = flags & 0x20 != 0;
        let window = if alone { None } else { Some(window(header.byte()?)?) };
        let dictionary = header.take(dictionary_len(flags))?;
        let content = match flags >> 6 {
            0 if alone => Some(u64::from(header.byte()?)),
            0 => None,
            1 => Some(u64::from(header.array().map(u16::from_le_bytes)?) + 256),
            2 => Some(u64::from(header.le32()?)),
            _ => Some(header.le64()?),
        };
        let window = window.or(content)?;
        let known = flags & 8 == 0 && dictionary.iter().all(|&byte| byte == 0) && window <= WINDOW;
        known.then_some(Frame { content, block: window.min(BLOCK), checksum: flags & 4 != 0 })
    }
}

fn window(byte: u8) -> Option<u64> {
    let whole = 1u64 << (10 + (byte >> 3));
    (byte >> 3 <= 31 - 10).then(|| whole + whole / 8 * u64::from(byte & 7))
}

fn dictionary_len(flags: u8) -> usize {
    [0, 1, 2, 4][usize::from(flags & 3)]
}

/// Bytes of a frame's header, of which these are the first.
fn header_len(held: &[u8]) -> usize {
    let Some(&flags) = held.get(4) else { return 5 };
    if is_skipped(held) {
        return 8;
    }
    let alone = flags & 0x20 != 0;
    let size = match flags >> 6 {
        0 => usize::from(alone),
        kind => 1 << kind,
    };
    5 + usize::from(!alone) + dictionary_len(flags) + size
}

/// Whether these are the first bytes of a frame that is skipped, as far as there are any.
fn is_skipped(held: &[u8]) -> bool {
    let front = held.get(..4).unwrap_or(held);
    front.first().is_some_and(|low| low & 0xf0 == SKIPPED[0]) && SKIPPED[1..].starts_with(&front[1..])
}

/// Whether a frame, or one that is skipped, may begin with these bytes.
fn may_begin(held: &[u8]) -> Option<()> {
    let front = held.get(..4).unwrap_or(held);
    (MAGIC.starts_with(front) || is_skipped(front)).then_some(())
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        compress_to_vec(plain, CompressionLevel::Fastest)
    }

    /// A frame of one block that is stored as it is, and its checksum if there is to be one.
    fn stored(plain: &[u8], sum: Option<u32>) -> Vec<u8> {
        let flags = 0x60 | if sum.is_some() { 4 } else { 0 };
        let size = (plain.len() as u16 - 256).to_le_bytes();
        let block = ((plain.len() as u32) << 3 | 1).to_le_bytes();
        let sum = sum.map(|sum| sum.to_le_bytes().to_vec()).unwrap_or_default();
        [&MAGIC[..], &[flags], &size, &block[..3], plain, &sum].concat()
    }

    fn values(len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    /// What comes out of pieces, if they go through.
    fn fed(pieces: &[&[u8]]) -> Result<Vec<u8>, Broken> {
        let mut stream = Stream::new(LIMIT);
        for (at, piece) in pieces.iter().enumerate() {
            stream.feed(piece, at as u64)?;
        }
        Ok(stream.contents(0).to_vec())
    }

    #[test]
    fn a_frame_comes_through_in_pieces_of_any_length() {
        let plain: Vec<u8> = [values(3000), vec![7; 300_000], values(150_000)].concat();
        let frame = packed(&plain);
        for len in [1, 2, 5, 700, 32761, frame.len()] {
            let pieces: Vec<&[u8]> = frame.chunks(len).collect();
            assert!(fed(&pieces) == Ok(plain.clone()), "{len}");
        }
        assert_eq!(fed(&[&frame, &frame]).map(|out| out.len()), Ok(2 * plain.len()));
    }

    #[test]
    fn frames_that_are_not_what_they_say_are_broken() {
        let plain = values(1000);
        let sum = xxh64(&plain, 0) as u32;
        assert_eq!(fed(&[&stored(&plain, Some(sum))]), Ok(plain.clone()));
        assert_eq!(fed(&[&stored(&plain, Some(sum ^ 1))]), Err(Broken));
        let frame = stored(&plain, None);
        assert_eq!(fed(&[&frame]), Ok(plain.clone()));
        let longer = [&frame[..5], &[9], &frame[6..]].concat();
        assert_eq!(fed(&[&longer]), Err(Broken), "more was to come");
        assert_eq!(fed(&[b"no frame"]), Err(Broken));
        assert_eq!(fed(&[b"\x28\xb5", b"\x2e"]), Err(Broken), "as soon as it cannot be one");
        assert_eq!(
            fed(&[b"\x5a\x2a\x4d\x18\x03\0\0\0xx", b"x", &frame]),
            Ok(plain),
            "a frame that is skipped"
        );
    }

    #[test]
    fn what_is_stored_as_it_is_comes_out_as_it_comes_in() {
        let frame = stored(&values(1000), Some(1));
        let mut stream = Stream::new(LIMIT);
        assert_eq!(stream.feed(&frame[..110], 0), Ok(()));
        assert_eq!(stream.len(), 100);
        // The rest of it is lost, and the next record takes its place.
        assert_eq!(stream.feed(&stored(&values(300), None), 1), Ok(()));
        assert_eq!(stream.contents(100)[..4], MAGIC);
        stream.reset();
        assert_eq!(stream.len(), 0);
    }

    #[test]
    fn it_starves_after_a_while() {
        let mut stream = Stream::new(LIMIT);
        assert!((0..20).all(|_| stream.starve().is_ok()), "there is nothing to go on with");
        assert_eq!(stream.feed(&stored(&values(1000), None)[..110], 7), Ok(()));
        assert!(stream.is_at(7) && !stream.is_at(8));
        assert_eq!((0..).position(|_| stream.starve().is_err()), Some(15));
        assert!(!stream.is_at(7));
    }

    #[test]
    fn a_bomb_is_not_followed() {
        let mut bomb = [&MAGIC[..], &[0x00, 0x58]].concat();
        (0..8000).for_each(|_| bomb.extend_from_slice(&[0x02, 0x00, 0x10, 0x55]));
        let mut stream = Stream::new(LIMIT);
        assert_eq!(stream.feed(&bomb, 0), Ok(()));
        assert!(stream.len() > LIMIT && stream.len() <= LIMIT + BLOCK, "{}", stream.len());
    }
}
