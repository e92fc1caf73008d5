//! CRC-32C as LevelDB and its kin store it: masked, since a checksum over bytes that hold checksums is a weak one.

const DELTA: u32 = 0xa282_ead8;

/// The checksum of two pieces, one behind the other, as it is stored.
#[inline]
pub fn masked(first: &[u8], second: &[u8]) -> u32 {
    let crc = crc32c::crc32c(first);
    mask(if second.is_empty() { crc } else { crc32c::crc32c_append(crc, second) })
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

/// A checksum, not masked, continued over more bytes.
#[inline]
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

/// The same for one byte.
#[inline]
pub fn step(crc: u32, byte: u8) -> u32 {
    append(crc, std::slice::from_ref(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_value_and_its_mask() {
        // RFC 3720, appendix B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(unmask(masked(&[0; 16], &[0; 16])), 0x8a91_36aa);
        assert_eq!((0..32).fold(0, |crc, _| step(crc, 0)), 0x8a91_36aa);
    }
}
