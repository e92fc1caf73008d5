//! CRC-32 (zlib polynomial).

use super::fold::Fold;

type Kernel = Fold<0xEDB8_8320>;

/// Continues the CRC `crc` (0 to begin) over `bytes`.
#[inline]
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    Kernel::update(crc, bytes).unwrap_or_else(|| elsewhere(crc, bytes))
}

/// The same as `update(update(crc, a), b)`, but cheaper for a short `a`, such as a key.
#[inline]
pub fn update2(crc: u32, a: &[u8], b: &[u8]) -> u32 {
    Kernel::update2(crc, a, b).unwrap_or_else(|| elsewhere(elsewhere(crc, a), b))
}

/// Not inlined: `update` is, and should stay small where it is called.
#[inline(never)]
fn elsewhere(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
pub(in crate::codec) mod tests {
    use std::io::Write;

    use super::*;

    fn random(seed: u64) -> impl FnMut() -> u32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 32) as u32
        }
    }

    #[test]
    fn known_vectors() {
        assert_eq!(update(0, b""), 0);
        assert_eq!(update(0, b"a"), 0xE8B7_BE43);
        assert_eq!(update(0, b"123456789"), 0xCBF4_3926);
        let fox = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(update(0, fox), 0x414F_A339);
        assert_eq!(update(0, &[0; 32]), 0x190A_55AD);
        assert_eq!(update(0, &[0xFF; 32]), 0xFF6C_AB0B);
    }

    /// Whether there is a kernel, which has given this; where there is none, a test says so, past the harness that would keep
    /// it to itself: it would compare the crate with itself.
    pub fn compares(given: Option<u32>) -> bool {
        if given.is_none() {
            let _ = writeln!(std::io::stderr(), "skipped, a CRC has no kernel of its own on this CPU");
        }
        given.is_some()
    }

    /// Whether the kernel agrees with another. Each slice is surrounded by other random bytes, so that a stray read changes
    /// the result.
    pub fn holds(kernel: fn(u32, &[u8]) -> u32, other: fn(u32, &[u8]) -> u32) {
        let mut random = random(1);
        let data: Vec<u8> = (0..40_000).map(|_| random() as u8).collect();
        let long = (2100..data.len() - 80).step_by(257);
        for len in (0..=2100).chain(long) {
            for at in 64..80 {
                let (crc, bytes) = (random(), &data[at..at + len]);
                assert_eq!(kernel(crc, bytes), other(crc, bytes), "{len} bytes at {at}");
            }
        }
    }

    #[test]
    fn every_length_at_every_alignment() {
        if !compares(Kernel::update(0, b"")) {
            return;
        }
        holds(update, elsewhere);
    }

    #[test]
    fn splits_anywhere() {
        if !compares(Kernel::update(0, b"")) {
            return;
        }
        let mut random = random(2);
        let data: Vec<u8> = (0..2200).map(|_| random() as u8).collect();
        for len in (0..300).chain((301..2200).step_by(97)) {
            for at in 0..=len {
                let (crc, (a, b)) = (random(), data[..len].split_at(at));
                let whole = elsewhere(crc, &data[..len]);
                assert_eq!(update(update(crc, a), b), whole, "{at} of {len}");
                assert_eq!(update2(crc, a, b), whole, "{at} of {len}");
            }
        }
    }

    /// Exact allocations: a read before the start or past the end is one outside of the object.
    #[test]
    fn whole_allocations() {
        if !compares(Kernel::update(0, b"")) {
            return;
        }
        let mut random = random(3);
        for len in 0..600 {
            let bytes: Box<[u8]> = (0..len).map(|_| random() as u8).collect();
            assert_eq!(update(0, &bytes), elsewhere(0, &bytes));
        }
    }
}
