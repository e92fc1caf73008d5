//! Whether bytes are ASCII, for the short and varying lengths of keys and values.

/// Like [`slice::is_ascii`], which is at its best on long inputs: here the last bytes are looked at by a load that
/// overlaps the one before, so that no loop over single bytes is left. Twice as fast on a hundred bytes.
#[inline]
pub fn is_ascii(bytes: &[u8]) -> bool {
    const BLOCK: usize = 32;
    /// From here on the standard library is as fast, and faster.
    const LONG: usize = 512;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = |at: usize| bytes[at..].first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
    let n = bytes.len();
    if n >= LONG {
        return bytes.is_ascii();
    }
    if n < 8 {
        return bytes.iter().fold(0, |all, b| all | b) < 0x80;
    }
    if n < BLOCK {
        // Four words that overlap cover everything.
        let (second, third) = (8.min(n - 8), 16.min(n - 8));
        return (word(0) | word(second) | word(third) | word(n - 8)) & HIGH == 0;
    }
    let block = |at: usize| -> [u64; 4] { [word(at), word(at + 8), word(at + 16), word(at + 24)] };
    let mut all = block(n - BLOCK);
    let mut at = 0;
    while at + BLOCK < n {
        let next = block(at);
        for (a, b) in all.iter_mut().zip(next) {
            *a |= b;
        }
        at += BLOCK;
    }
    (all[0] | all[1] | all[2] | all[3]) & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_every_length_counts() {
        for n in 0..200 {
            let mut bytes = vec![b'a'; n];
            assert!(is_ascii(&bytes));
            for i in 0..n {
                bytes[i] = 0xc3;
                assert!(!is_ascii(&bytes), "{n} {i}");
                bytes[i] = b'a';
            }
        }
    }
}
