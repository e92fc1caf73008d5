//! One damaged word of a frame, located by the checksum. The sum is linear modulo 2^32: an error `e` in a word with `r` pairs
//! behind its own adds `M^r (e, e)` to it, or `M^r (0, e)` where the word is the second of its pair, with `M` = (1 1, 1 2),
//! whose powers are Fibonacci numbers. So every place asks for one error, and at most places the two halves of the sum
//! contradict each other. Whether the sums at both ends hold is for the frames beside it to prove.

use super::facts::{Facts, Frames};
use super::frame::{HEAD, HEADER, Head, Sum};
use super::pages::newest_before;
use crate::format::{LogFile, Word};
use crate::log::bytes::{Bytes, Reader};
use crate::log::region::{Kind, Region};
use crate::log::survey::Survey;

/// So many damaged frames are looked into.
const FRAMES: usize = 1024;

/// The words of damaged frames that would explain the damage, frame by frame.
pub fn locate(files: &[LogFile<'_>], file: usize, survey: &Survey) -> Vec<Vec<Word>> {
    let Some(frames) = Facts::of(files, file).frames else { return Vec::new() };
    let stride = frames.shape.stride();
    let frame = |r: &&Region| r.kind == Kind::Damage && r.len == stride;
    let regions = survey.regions.as_slice().iter().filter(frame).take(FRAMES);
    let words = regions.map(|r| of_frame(files, file, &frames, r.at));
    words.filter(|words| !words.is_empty()).collect()
}

/// The words of the frame at `at` one of which is the damaged one; of several, only the one that an older image of the page
/// has as well, if there is one. Empty: no single word explains it.
fn of_frame(files: &[LogFile<'_>], file: usize, frames: &Frames, at: u64) -> Vec<Word> {
    let mut reader = Reader::new(files[file].src);
    let words = candidates(&mut reader, files, file, frames, at).unwrap_or_default();
    let older = || {
        let head = Head::at(&mut reader, at).ok()?;
        newest_before(files, file, frames, head.page, at)
    };
    let Some((older, image)) = (words.len() > 1).then(older).flatten() else { return words };
    let mut old = Reader::new(files[older].src);
    let mut agrees = |word: &&Word| {
        let offset = word.at.checked_sub(at + HEAD);
        offset.is_some_and(|offset| old.array(image + offset) == Ok(word.inferred))
    };
    let agreed: Vec<Word> = words.iter().filter(&mut agrees).copied().collect();
    if agreed.len() == 1 { agreed } else { words }
}

fn candidates(
    reader: &mut Reader<'_>,
    files: &[LogFile<'_>],
    file: usize,
    frames: &Frames,
    at: u64,
) -> Option<Vec<Word>> {
    let (shape, stride) = (frames.shape, frames.shape.stride());
    let seed = match at.checked_sub(stride).filter(|&before| before >= frames.start) {
        Some(before) => Head::at(reader, before).ok()?.sum,
        None if at == HEADER => Facts::of(files, file).header.filter(|h| h.fault.is_none())?.sums[0],
        None => return None,
    };
    let stored = Head::at(reader, at).ok()?.sum;
    if !shape.follows(reader, at.checked_add(stride)?, stored) {
        return None;
    }
    let bytes = reader.piece(at..at + stride).ok()?;
    let computed = shape.sum(seed, bytes);
    let (found, odds) = (places(computed, stored, stride - HEAD), odds(computed, stored, stride));
    let word = |(offset, error): (u64, u32)| {
        let here: [u8; 4] = *bytes.get(offset as usize..)?.first_chunk()?;
        let right = match shape.big {
            true => u32::from_be_bytes(here).wrapping_add(error).to_be_bytes(),
            false => u32::from_le_bytes(here).wrapping_add(error).to_le_bytes(),
        };
        // No frame is of page 0.
        let possible = offset != 0 || right != [0; 4];
        possible.then_some(Word { at: at + offset, found: here, inferred: right, odds })
    };
    Some(found.into_iter().filter_map(word).collect())
}

/// See [`Word::odds`]. Of errors in the upper bits alone, the sums keep no more than those bits.
fn odds(computed: Sum, stored: Sum, stride: u64) -> u64 {
    let off = computed.0.wrapping_sub(stored.0) | computed.1.wrapping_sub(stored.1);
    let words = (stride - HEAD + 8) / 4;
    (1u64 << (32 - off.trailing_zeros().min(32))) / words
}

/// Offsets in a frame with pages of so many bytes, and what has to be added to the word there, for the sum to become
/// `stored` where it is `computed`.
fn places(computed: Sum, stored: Sum, page_bytes: u64) -> Vec<(u64, u32)> {
    let off = (stored.0.wrapping_sub(computed.0), stored.1.wrapping_sub(computed.1));
    let mut found = Vec::new();
    // F(2r) and F(2r + 1), for r pairs behind the word's own.
    let (mut even, mut odd) = (0u32, 1u32);
    for pair in (0..=page_bytes / 8).rev() {
        let at = if pair == 0 { 0 } else { HEAD + (pair - 1) * 8 };
        let next = even.wrapping_add(odd);
        for (offset, weights) in [(at, (odd, next)), (at + 4, (even, odd))] {
            if let Some(error) = error(off, weights) {
                found.push((offset, error));
            }
        }
        (even, odd) = (next, odd.wrapping_add(next));
    }
    found.reverse();
    found
}

/// The one error that these weights turn into the difference of both halves. One of two neighbours among the Fibonacci numbers
/// is odd, and so has an inverse.
fn error(off: (u32, u32), weights: (u32, u32)) -> Option<u32> {
    let error = match weights.0 & 1 {
        1 => off.0.wrapping_mul(inverse(weights.0)),
        _ => off.1.wrapping_mul(inverse(weights.1)),
    };
    let fits = weights.0.wrapping_mul(error) == off.0 && weights.1.wrapping_mul(error) == off.1;
    (fits && error != 0).then_some(error)
}

/// Of an odd number, modulo 2^32; each step doubles the bits that are right.
fn inverse(odd: u32) -> u32 {
    (0..4).fold(odd, |x, _| x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sqlite_wal::frame::Shape;

    fn frame(page_bytes: u64) -> Vec<u8> {
        (0..HEAD + page_bytes).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
    }

    #[test]
    fn every_word_is_located_among_the_places_that_would_do() {
        for (page_bytes, big) in [(512, false), (1024, true), (4096, false)] {
            let (shape, right) = (Shape { page_bytes, big }, frame(page_bytes));
            let (seed, covered) =
                (Sum(77, 0xdead_beef), (0..8).step_by(4).chain((24..right.len()).step_by(4)));
            let (mut unique, mut all) = (0, 0);
            for at in covered {
                for bit in [0, 11, 22, 31] {
                    let mut wrong = right.clone();
                    wrong[at + bit / 8] ^= 1 << (bit % 8);
                    let sums = [&wrong, &right].map(|bytes| shape.sum(seed, bytes));
                    let found = places(sums[0], sums[1], page_bytes);
                    assert!(
                        found.iter().any(|&(offset, _)| offset == at as u64),
                        "{page_bytes}, word at {at}"
                    );
                    (unique, all) = (unique + usize::from(found.len() == 1), all + 1);
                }
            }
            assert!(unique * 10 > all * 5, "{unique} of {all} are located alone");
        }
    }

    #[test]
    fn two_wrong_words_are_not_taken_for_one() {
        let (shape, right) = (Shape { page_bytes: 4096, big: false }, frame(4096));
        for i in 0..200 {
            let mut wrong = right.clone();
            let (a, b) = (24 + i * 8, 2000 + i * 4 + i % 4);
            (wrong[a], wrong[b]) = (wrong[a] ^ 0x35, wrong[b] ^ 0x53);
            let sums = [&wrong, &right].map(|bytes| shape.sum(Sum(1, 2), bytes));
            assert_eq!(places(sums[0], sums[1], 4096), [], "round {i}");
            assert!(odds(sums[0], sums[1], 4120) > 1 << 16, "round {i}");
        }
    }

    #[test]
    fn inverses() {
        for odd in [1, 3, 5, 0xffff_ffff, 0x8000_0001, 1_836_311_903] {
            assert_eq!(inverse(odd).wrapping_mul(odd), 1);
        }
    }
}
