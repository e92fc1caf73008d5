//! The checksums of blocks and footers.

use xxhash_rust::{xxh3, xxh32, xxh64};

use crate::codec::crc32c;

/// How a table checks its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Not at all.
    None,
    /// CRC-32C, masked.
    Crc32c,
    /// XXH32.
    Xxh32,
    /// The lower half of XXH64.
    Xxh64,
    /// The lower half of XXH3 over all bytes but the last, which is mixed in by itself.
    Xxh3,
}

impl Checksum {
    /// The one with this number in the footer.
    pub fn numbered(number: u8) -> Option<Checksum> {
        [Checksum::None, Checksum::Crc32c, Checksum::Xxh32, Checksum::Xxh64, Checksum::Xxh3]
            .get(usize::from(number))
            .copied()
    }

    /// The checksum of `bytes`; the compression type behind a block belongs to it.
    pub fn of(self, bytes: &[u8]) -> u32 {
        match self {
            Checksum::None => 0,
            Checksum::Crc32c => crc32c::masked(bytes, &[]),
            Checksum::Xxh32 => xxh32::xxh32(bytes, 0),
            Checksum::Xxh64 => xxh64::xxh64(bytes, 0) as u32,
            Checksum::Xxh3 => match bytes.split_last() {
                Some((last, rest)) => xxh3::xxh3_64(rest) as u32 ^ u32::from(*last).wrapping_mul(0x6b90_83d9),
                None => 0,
            },
        }
    }
}

/// What is added to a checksum for its place: `base` is the file's own number, 0 where nothing is added.
pub fn context(base: u32, offset: u64) -> u32 {
    match base {
        0 => 0,
        _ => base ^ (offset as u32).wrapping_add((offset >> 32) as u32),
    }
}
