//! CRC-32C (Castagnoli), and as LevelDB and its kin store it: masked, since a checksum over bytes that hold checksums is a
//! weak one.

use super::fold::Fold;

/// The polynomial, reflected and without x^32.
const POLY: u32 = 0x82F6_3B78;

type Kernel = Fold<POLY>;

const DELTA: u32 = 0xa282_ead8;

/// Continues the CRC `crc` (0 to begin) over `bytes`.
#[inline]
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    Kernel::update(crc, bytes).unwrap_or_else(|| elsewhere(crc, bytes))
}

/// Not inlined: `update` is, and should stay small where it is called.
#[inline(never)]
fn elsewhere(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

/// The checksum of two pieces, one behind the other, as it is stored.
#[inline]
pub fn masked(first: &[u8], second: &[u8]) -> u32 {
    let crc = update(0, first);
    mask(if second.is_empty() { crc } else { update(crc, second) })
}

/// A checksum as it is stored.
#[inline]
pub fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(DELTA)
}

/// The checksum that is stored so.
#[inline]
pub fn unmask(stored: u32) -> u32 {
    stored.wrapping_sub(DELTA).rotate_left(15)
}

/// What one more byte does to the inverse of a CRC.
const BYTES: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < table.len() {
        let (mut rest, mut bit) = (i as u32, 0);
        while bit < 8 {
            rest = (rest >> 1) ^ if rest & 1 == 1 { POLY } else { 0 };
            bit += 1;
        }
        table[i] = rest;
        i += 1;
    }
    table
};

/// [`update`] for one byte, where each of many has to be looked at.
#[inline]
pub fn step(crc: u32, byte: u8) -> u32 {
    !(BYTES[usize::from(!crc as u8 ^ byte)] ^ !crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::crc32::tests::{compares, holds};

    #[test]
    fn the_known_value_and_its_mask() {
        // RFC 3720, appendix B.4: 32 bytes of zeros.
        assert_eq!(update(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(unmask(masked(&[0; 16], &[0; 16])), 0x8a91_36aa);
        assert_eq!((0..32).fold(0, |crc, _| step(crc, 0)), 0x8a91_36aa);
        assert_eq!((0..=255).fold(0, step), update(0, &std::array::from_fn::<u8, 256, _>(|i| i as u8)));
    }

    #[test]
    fn every_length_at_every_alignment() {
        if !compares(Kernel::update(0, b"")) {
            return;
        }
        holds(update, elsewhere);
    }
}
