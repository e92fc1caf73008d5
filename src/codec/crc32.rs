//! CRC-32 (zlib polynomial) tuned for short inputs.
//!
//! Why not only `crc32fast`: its folds form a serial chain through the 16-byte blocks, and its
//! branches on the length are mispredicted when short lengths vary. Here every 64-byte block is
//! multiplied by its own power of x, independent of the others; a masked load cuts the first one
//! to size, and between 17 and 128 bytes no branch depends on the length. Measured on a Zen 4
//! against crc32fast 1.5.4: 2.3 times as fast at 91 bytes (6 ns), 2.2 times on lengths mixed from
//! 30 to 140, 1.5 times at 1 KiB; below 8 bytes of constant length up to 1.4 ns slower.
//! A 128-bit PCLMULQDQ kernel of the same kind was no faster than `crc32fast` there, so CPUs
//! without AVX-512 and VPCLMULQDQ, other architectures and long inputs are left to it.
//!
//! Method: Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
//! Instruction", Intel 2009: folding by x^n mod P and a Barrett reduction, bit-reflected.

/// Continues the CRC `crc` (0 to begin) over `bytes`.
#[inline]
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if *short::AVAILABLE {
        // SAFETY: AVAILABLE says that this CPU has every feature `update` is compiled for.
        return unsafe { short::update(crc, bytes) };
    }
    long(crc, bytes)
}

/// The same as `update(update(crc, a), b)`, but cheaper for a short `a`, such as a key: both parts
/// share one reduction.
#[inline]
pub fn update2(crc: u32, a: &[u8], b: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if *short::AVAILABLE {
        // SAFETY: AVAILABLE says that this CPU has every feature `update2` is compiled for.
        return unsafe { short::update2(crc, a, b) };
    }
    update(update(crc, a), b)
}

/// Not inlined: `update` is, and should stay small where it is called.
#[inline(never)]
fn long(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

// Notation: polynomials over GF(2), reflected as in zlib: the lowest bit is the highest power. A
// carry-less product of two 64-bit values then has its lowest bit at x^126, one less than the
// x^127 of a 128-bit value, hence the odd exponents below.
#[cfg(target_arch = "x86_64")]
mod short {
    use std::arch::x86_64::*;
    use std::sync::LazyLock;

    /// From this length on `crc32fast` folds with AVX-512 itself and is as fast.
    const CUTOFF: usize = 2048;
    /// The most that the tables cover; longer inputs are taken in pieces of this size.
    const MAX: usize = 1024;
    /// What fits into a 128-bit register.
    const XMM: usize = 16;

    /// Remembered in one place: std's own macro would test six bits on every call.
    pub static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
    });

    /// P without x^32, and with it (33 bits).
    const POLY: u32 = 0xEDB8_8320;
    const P33: u64 = (POLY as u64) << 1 | 1;

    /// Barrett's constant floor(x^96 / P) without its lowest power; reflected, that is the inverse
    /// of P as a power series.
    const MU: u64 = {
        let (mut quotient, mut rest, mut bit) = (0, 1, 0);
        while bit < 64 {
            if rest & 1 == 1 {
                quotient |= 1 << bit;
                rest ^= P33;
            }
            rest >>= 1;
            bit += 1;
        }
        quotient
    };

    /// `POWERS[k]` = x^(8k - 33) mod P. Multiplying a qword that is followed by n more bytes by
    /// `POWERS[n + 8]` lines it up for `finish`; the CRC so far, half a qword at the front of n
    /// bytes, takes `POWERS[n]`.
    static POWERS: [u32; MAX + XMM + 1] = {
        let mut table = [0; MAX + XMM + 1];
        let mut power = 1 << 31; // x^0
        let mut i = 0;
        while i < 33 {
            // Divide by x: P has the term 1, so P / x fills in where x does not divide.
            power = if power >> 31 == 1 { (power ^ POLY) << 1 | 1 } else { power << 1 };
            i += 1;
        }
        let mut k = 0;
        while k < table.len() {
            table[k] = power;
            i = 0;
            while i < 8 {
                power = (power >> 1) ^ if power & 1 == 1 { POLY } else { 0 };
                i += 1;
            }
            k += 1;
        }
        table
    };

    /// `FOLD[i]`: the powers for the eight qwords of the i-th 64-byte block from the end.
    static FOLD: [[u64; 8]; MAX / 64] = {
        let mut table = [[0; 8]; MAX / 64];
        let mut q = 0;
        while q < MAX / 8 {
            table[q / 8][7 - q % 8] = POWERS[8 * q + 8] as u64;
            q += 1;
        }
        table
    };

    #[target_feature(enable = "pclmulqdq,sse4.1,vpclmulqdq,avx512f,avx512bw,avx512vl")]
    pub fn update(crc: u32, bytes: &[u8]) -> u32 {
        if bytes.len() > MAX {
            return pieces(crc, bytes);
        }
        let front = start(crc, bytes.len());
        if bytes.len() <= XMM {
            return finish(_mm_xor_si128(front, sum_xmm(bytes, FOLD[0][6], FOLD[0][7])));
        }
        finish(_mm_xor_si128(front, sum(bytes)))
    }

    /// Apart, so that the short path needs no stack frame.
    #[cold]
    #[target_feature(enable = "pclmulqdq,sse4.1,vpclmulqdq,avx512f,avx512bw,avx512vl")]
    fn pieces(crc: u32, bytes: &[u8]) -> u32 {
        if bytes.len() >= CUTOFF {
            return super::long(crc, bytes);
        }
        bytes.chunks(MAX).fold(crc, |crc, piece| update(crc, piece))
    }

    #[target_feature(enable = "pclmulqdq,sse4.1,vpclmulqdq,avx512f,avx512bw,avx512vl")]
    pub fn update2(crc: u32, a: &[u8], b: &[u8]) -> u32 {
        if a.len() > XMM || b.len() > MAX {
            return update(update(crc, a), b);
        }
        let front = sum_xmm(a, POWERS[b.len() + 16] as u64, POWERS[b.len() + 8] as u64);
        let front = _mm_xor_si128(front, start(crc, a.len() + b.len()));
        finish(_mm_xor_si128(front, sum(b)))
    }

    /// What the CRC so far contributes at the front of `len` bytes.
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn start(crc: u32, len: usize) -> __m128i {
        let power = _mm_cvtsi32_si128(POWERS[len] as i32);
        _mm_clmulepi64_si128(_mm_cvtsi32_si128(!crc as i32), power, 0x00)
    }

    /// The bytes times x^32, congruent mod P and below x^96: the highest power is at bit 0.
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1,vpclmulqdq,avx512f,avx512bw,avx512vl")]
    fn sum(bytes: &[u8]) -> __m128i {
        // Two blocks always, the second possibly empty: cheaper than a mispredicted branch.
        let mut sum = _mm512_xor_si512(block(bytes, 0), block(bytes, 1));
        for i in 2..FOLD.len() {
            if bytes.len() <= 64 * i {
                break;
            }
            sum = _mm512_xor_si512(sum, block(bytes, i));
        }
        let high = _mm512_extracti64x4_epi64(sum, 1);
        let sum = _mm256_xor_si256(_mm512_castsi512_si256(sum), high);
        _mm_xor_si128(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1))
    }

    /// At most 16 bytes; with zeros in front of them, which do not change a polynomial.
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1,avx512f,avx512bw,avx512vl")]
    fn sum_xmm(bytes: &[u8], low: u64, high: u64) -> __m128i {
        let mask = (0xFFFF_u32 << (XMM - bytes.len())) as u16;
        let at = bytes.as_ptr().wrapping_add(bytes.len()).wrapping_sub(XMM);
        // SAFETY: the mask has a bit for the last bytes.len() of the 16 bytes only, which are the
        // slice; the others are neither read nor do they fault.
        let x = unsafe { _mm_maskz_loadu_epi8(mask, at.cast()) };
        let k = _mm_set_epi64x(high as i64, low as i64);
        _mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11))
    }

    /// The `i`-th 64 bytes from the end, with zeros in front if the slice does not reach so far.
    #[inline]
    #[target_feature(enable = "vpclmulqdq,avx512f,avx512bw")]
    fn block(bytes: &[u8], i: usize) -> __m512i {
        let len = bytes.len().saturating_sub(64 * i).min(64) as u32;
        let mask = u64::MAX.checked_shl(64 - len).unwrap_or(0);
        let at = bytes.as_ptr().wrapping_add(bytes.len()).wrapping_sub(64 * i + 64);
        // SAFETY: the mask has a bit for the last `len` of the 64 bytes only, which are in the
        // slice; the others are neither read nor do they fault (though the CPU takes 150 ns where
        // the page before the slice is not mapped).
        let x = unsafe { _mm512_maskz_loadu_epi8(mask, at.cast()) };
        let [a, b, c, d, e, f, g, h] = FOLD[i].map(|power| power as i64);
        let k = _mm512_setr_epi64(a, b, c, d, e, f, g, h);
        let low = _mm512_clmulepi64_epi128(x, k, 0x00);
        _mm512_xor_si512(low, _mm512_clmulepi64_epi128(x, k, 0x11))
    }

    /// Barrett: subtracts the multiple of P that clears x^32 to x^95; what is left is the CRC.
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn finish(sum: __m128i) -> u32 {
        let k = _mm_set_epi64x(P33 as i64, MU as i64);
        let quotient = _mm_clmulepi64_si128(sum, k, 0x00);
        let multiple = _mm_clmulepi64_si128(quotient, k, 0x10);
        !(_mm_extract_epi32(_mm_xor_si128(sum, multiple), 2) as u32)
    }
}

#[cfg(test)]
mod tests {
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

    /// Each slice is surrounded by other random bytes, so that a stray read changes the result.
    #[test]
    fn every_length_at_every_alignment() {
        let mut random = random(1);
        let data: Vec<u8> = (0..4096).map(|_| random() as u8).collect();
        for len in 0..=2100 {
            for at in 64..80 {
                let (crc, bytes) = (random(), &data[at..at + len]);
                assert_eq!(update(crc, bytes), long(crc, bytes), "{len} bytes at {at}");
            }
        }
    }

    #[test]
    fn splits_anywhere() {
        let mut random = random(2);
        let data: Vec<u8> = (0..2200).map(|_| random() as u8).collect();
        for len in (0..300).chain((301..2200).step_by(97)) {
            for at in 0..=len {
                let (crc, (a, b)) = (random(), data[..len].split_at(at));
                let whole = long(crc, &data[..len]);
                assert_eq!(update(update(crc, a), b), whole, "{at} of {len}");
                assert_eq!(update2(crc, a, b), whole, "{at} of {len}");
            }
        }
    }

    /// Exact allocations: a read before the start or past the end is one outside of the object.
    #[test]
    fn whole_allocations() {
        let mut random = random(3);
        for len in 0..600 {
            let bytes: Box<[u8]> = (0..len).map(|_| random() as u8).collect();
            assert_eq!(update(0, &bytes), long(0, &bytes));
        }
    }
}
