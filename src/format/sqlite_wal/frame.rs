//! The checksum, the file's header and one frame, as bytes say them; what they mean is told elsewhere.

use super::{FRAME, VERSION};
use crate::codec::fibonacci;
use crate::format::sqlite::header::is_page_size;
use crate::log::bytes::Bytes;
use crate::log::fault::{Cause, Fault};

/// Length of the file's header.
pub const HEADER: u64 = 32;
/// Length of a frame without its page.
pub const HEAD: u64 = FRAME.fixed();
const _: () = assert!(HEAD == 24 && FRAME.offset("salts") == 8 && FRAME.offset("checksum") == 16);

/// The running checksum: two sums that feed each other, over pairs of words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(pub u32, pub u32);

impl Sum {
    /// Continues it over `bytes`; every field of the format is a multiple of eight long.
    pub fn over(self, bytes: &[u8], big: bool) -> Sum {
        let (a, b) = fibonacci::update((self.0, self.1), bytes, big);
        Sum(a, b)
    }

    /// As the file stores it, in either byte order.
    pub fn of(stored: u64) -> Sum {
        Sum((stored >> 32) as u32, stored as u32)
    }

    /// As one number.
    pub fn number(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.1)
    }

    /// What to say where it should have been `computed`: the first half that differs.
    pub fn mismatch(self, computed: Sum) -> Cause {
        let (stored, computed) =
            if self.0 == computed.0 { (self.1, computed.1) } else { (self.0, computed.0) };
        Cause::Checksum { stored, computed }
    }
}

/// What stands in front of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Page number, from 1.
    pub page: u32,
    /// Pages in the database after this commit; 0: no commit.
    pub commit: u32,
    /// Both salts.
    pub salts: u64,
    /// The stored checksum.
    pub sum: Sum,
}

impl Head {
    /// Reads it.
    pub fn of(bytes: &[u8; HEAD as usize]) -> Head {
        let [page, commit, salts, sum] = [0..4, 4..8, 8..16, 16..24].map(|span| big(&bytes[span]));
        Head { page: page as u32, commit: commit as u32, salts, sum: Sum::of(sum) }
    }

    /// Reads the one at `at`.
    ///
    /// # Errors
    /// Short, when it is not there (yet).
    pub fn at<B: Bytes>(b: &mut B, at: u64) -> Result<Head, Fault> {
        Ok(Head::of(&b.array(at)?))
    }

    /// While a transaction that was spilled is changed again, its frames carry neither salts nor checksum.
    pub fn blank(&self) -> bool {
        self.page != 0 && self.salts == 0 && self.sum == Sum::default()
    }
}

/// The number that up to eight bytes spell.
pub fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b))
}

/// What frames have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// The checksum takes its words most significant byte first.
    pub big: bool,
}

impl Shape {
    /// Length of a frame.
    pub fn stride(self) -> u64 {
        HEAD + self.page_bytes
    }

    /// The checksum of a whole frame's bytes behind one that ended with `seed`. The salts are not covered.
    pub fn sum(self, seed: Sum, frame: &[u8]) -> Sum {
        let covered = frame.get(..8).zip(frame.get(HEAD as usize..));
        covered.map_or(seed, |(head, page)| seed.over(head, self.big).over(page, self.big))
    }

    /// The same for the frame at `at`.
    ///
    /// # Errors
    /// Short, when it is not there (yet).
    pub fn sum_at<B: Bytes>(self, b: &mut B, at: u64, seed: Sum) -> Result<Sum, Fault> {
        Ok(self.sum(seed, b.piece(at..at.saturating_add(self.stride()))?))
    }

    /// Whether the frame at `at` follows on `seed`.
    pub fn follows<B: Bytes>(self, b: &mut B, at: u64, seed: Sum) -> bool {
        let head = Head::at(b, at);
        head.is_ok_and(|head| head.page != 0 && self.sum_at(b, at, seed) == Ok(head.sum))
    }
}

/// The header of the file, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it says frames look like, unless that is impossible.
    pub shape: Option<Shape>,
    /// Format version.
    pub version: u32,
    /// Both salts.
    pub salts: u64,
    /// The stored and the computed checksum, either of which the first frame may follow.
    pub sums: [Sum; 2],
    /// What is wrong with it.
    pub fault: Option<Cause>,
}

impl Header {
    /// Reads it.
    pub fn of(bytes: &[u8; HEADER as usize]) -> Header {
        let field = |at: usize| big(&bytes[at..at + 4]) as u32;
        let (magic, version, page_bytes) = (field(0), field(4), u64::from(field(8)));
        let words = magic & 1 == 1;
        let sums = [Sum::of(big(&bytes[24..32])), Sum::default().over(&bytes[..24], words)];
        let legal = is_page_size(page_bytes);
        let named = magic & !1 == super::MAGIC;
        let fault = if !named {
            Some(if bytes.iter().all(|&b| b == 0) { Cause::Zeros } else { Cause::Malformed("magic number") })
        } else if !legal {
            Some(Cause::Length { found: page_bytes, expected: u64::MAX })
        } else {
            (sums[0] != sums[1]).then(|| sums[0].mismatch(sums[1]))
        };
        let shape = (named && legal).then_some(Shape { page_bytes, big: words });
        Header { shape, version, salts: big(&bytes[16..24]), sums, fault }
    }

    /// A sound header of such frames, and its sum.
    pub fn bytes(shape: Shape, sequence: [u8; 4], salts: u64) -> ([u8; HEADER as usize], Sum) {
        let mut bytes = [0; HEADER as usize];
        bytes[..4].copy_from_slice(&(super::MAGIC | u32::from(shape.big)).to_be_bytes());
        bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
        // No page is longer than 64 KiB.
        bytes[8..12].copy_from_slice(&(shape.page_bytes as u32).to_be_bytes());
        bytes[12..16].copy_from_slice(&sequence);
        bytes[16..24].copy_from_slice(&salts.to_be_bytes());
        let sum = Sum::default().over(&bytes[..24], shape.big);
        bytes[24..].copy_from_slice(&sum.number().to_be_bytes());
        (bytes, sum)
    }

    /// Whether the engine reads on behind it: no fault, and the version it knows.
    pub fn known(&self) -> bool {
        self.fault.is_none() && self.version == VERSION
    }
}
