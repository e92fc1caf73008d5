//! The generations before the live one. Each restart of the file adds one to the first salt and to the header's count, so a
//! step between salts of more than one tells generations of which no frame is left, and the count those before the oldest.

use std::collections::BTreeSet;

use super::decoder::is_older;
use super::facts::{Facts, Frames};
use super::frame::Head;
use crate::format::sqlite::files as beside;
use crate::format::{Generation, Left, LogFile};
use crate::log::bytes::{Bytes, Reader};
use crate::log::region::Kind;
use crate::log::survey::Survey;

/// See the top of this file; the newest first.
pub fn find(files: &[LogFile<'_>], surveys: &[&Survey]) -> Vec<Generation> {
    let Some(file) = beside::log(files) else { return Vec::new() };
    let facts = Facts::of(files, file);
    let (Some(frames), Some(survey)) = (facts.frames, surveys.get(file)) else { return Vec::new() };
    let mut reader = Reader::new(files[file].src);
    let mut left = Vec::new();
    for region in survey.regions.as_slice().iter().filter(|region| region.kind == Kind::Stale) {
        read(&mut reader, &frames, file, region.at..region.end(), &mut left);
    }
    let sound = facts.header.is_some_and(|header| header.fault.is_none());
    let count = reader.array(12).map(u32::from_be_bytes).ok().filter(|_| sound);
    list(left, count)
}

/// Runs of frames with the same salts, and how many generations back they are.
fn read(
    reader: &mut Reader<'_>,
    frames: &Frames,
    file: usize,
    span: std::ops::Range<u64>,
    out: &mut Vec<(u32, Left)>,
) {
    let stride = frames.shape.stride();
    let (mut at, mut run) = (span.start, None);
    while at.saturating_add(stride) <= span.end {
        let head = Head::at(reader, at).ok().filter(|head| is_older(frames, head));
        let seq = at.saturating_sub(frames.start) / stride + 1;
        if let Some(head) = head {
            let salt = |salts: u64| (salts >> 32) as u32;
            let fresh = Left { file, at, first: seq, last: seq, commits: 0 };
            if run.replace(head.salts) != Some(head.salts) {
                out.push((salt(frames.salts).wrapping_sub(salt(head.salts)), fresh));
            }
            if let Some((_, left)) = out.last_mut() {
                (left.last, left.commits) = (seq, left.commits + u64::from(head.commit != 0));
            }
        } else {
            run = None;
        }
        at += stride;
    }
}

/// All generations in order. `count`: how often the file was begun anew.
fn list(left: Vec<(u32, Left)>, count: Option<u32>) -> Vec<Generation> {
    let restarts = |back: u32| count.and_then(|count| count.checked_sub(back));
    let there: BTreeSet<u32> = left.iter().map(|(back, _)| *back).collect();
    let mut list: Vec<Generation> = left
        .iter()
        .map(|&(back, left)| {
            let generation = -i64::from(back);
            Generation { newest: generation, oldest: generation, restarts: restarts(back), left: Some(left) }
        })
        .collect();
    let ends = there.iter().copied().chain(count.map(|count| count.saturating_add(1)));
    let mut next = 1;
    for end in ends {
        if end > next {
            let (newest, oldest) = (-i64::from(next), 1 - i64::from(end));
            list.push(Generation { newest, oldest, restarts: restarts(next), left: None });
        }
        next = next.max(end.saturating_add(1));
    }
    list.sort_by_key(|generation| (-generation.newest, generation.left.map(|left| left.at)));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_between_salts_are_generations_without_a_frame() {
        let left = |at| Left { file: 0, at, first: 1, last: 2, commits: 1 };
        let said = |left: &[(u32, Left)], count| -> Vec<_> {
            let found = list(left.to_vec(), count);
            found.iter().map(|g| (g.newest, g.oldest, g.restarts, g.left.is_some())).collect()
        };
        assert_eq!(said(&[], None), []);
        assert_eq!(said(&[], Some(0)), []);
        assert_eq!(said(&[], Some(3)), [(-1, -3, Some(2), false)]);
        assert_eq!(said(&[(1, left(9))], Some(1)), [(-1, -1, Some(0), true)]);
        assert_eq!(
            said(&[(2, left(9)), (5, left(20))], Some(7)),
            [
                (-1, -1, Some(6), false),
                (-2, -2, Some(5), true),
                (-3, -4, Some(4), false),
                (-5, -5, Some(2), true),
                (-6, -7, Some(1), false),
            ]
        );
        // A count that does not go with the salts says nothing.
        assert_eq!(said(&[(2, left(9))], Some(1)), [(-1, -1, Some(0), false), (-2, -2, None, true)]);
    }
}
