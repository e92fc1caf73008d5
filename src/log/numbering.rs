//! Sequence numbers of one file: runs of consecutive ones, and the rule that tells a wrong number from a missing record.

use super::record::Record;

/// What a format's numbers promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// It has none.
    None,
    /// Each record takes up where the one before ended. `restarts`: counting begins at 1 again behind a commit.
    Contiguous {
        /// See above.
        restarts: bool,
    },
    /// `seq` holds the bits of a timestamp in seconds; neighbours lie close together in time.
    Time,
}

/// Records of consecutive numbers, as they lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first record.
    pub first: u64,
    /// The number that would follow.
    pub next: u64,
    /// Offset of the first record.
    pub at: u64,
    /// Offset behind the last one.
    pub end: u64,
    /// Records.
    pub records: u64,
    /// Records that change something.
    pub data: u64,
}

/// What a record's number is worth, seen with both neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Records are missing or repeated here; the number itself is right.
    Jump,
    /// The number is wrong; `None`: its true value cannot be told.
    Wrong(Option<u64>),
}

/// How many records `bytes` of damage can have held, at the very most: no format has shorter ones.
pub fn room(bytes: u64) -> u64 {
    const SHORTEST: u64 = 8;
    bytes / SHORTEST
}

/// Whether `found` looks like a damaged `truth` and not like the number of another record: 0, one bit off, or far off.
/// Where nothing else decides, a small step is a record that is missing or there twice.
pub fn looks_damaged(found: u64, truth: u64) -> bool {
    const FAR: u64 = 1 << 16;
    found == 0 || (found ^ truth).count_ones() == 1 || found.abs_diff(truth) > FAR
}

/// Judges a record that covers `seq..next` where `expected` was due and `following` came after it.
///
/// A number that jumps out and *back* is wrong; one that the record behind it follows is right. In between, what counts
/// is whether a hole of that size fits the damage at the spot: `before` and `behind` say how many records can be missing
/// on each side.
pub fn judge(expected: u64, seq: u64, next: u64, following: u64, before: u64, behind: u64) -> Judgement {
    // A record at the very top of the numbers covers one, although `next` cannot say so.
    let width = next.saturating_sub(seq).max(1);
    let fits = |from: u64, to: u64, room: u64| to.checked_sub(from).is_some_and(|missing| missing <= room);
    if expected.checked_add(width) == Some(following) {
        return Judgement::Wrong(Some(expected));
    }
    if following == next || (fits(expected, seq, before) && fits(next, following, behind)) {
        return Judgement::Jump;
    }
    // Without it the neighbours must fit each other, or else nobody knows who is right.
    if !fits(expected, following, before.saturating_add(behind).saturating_add(width)) {
        return Judgement::Jump;
    }
    Judgement::Wrong(match (before, behind) {
        (0, _) => Some(expected),
        (_, 0) => following.checked_sub(width),
        _ => None,
    })
}

/// The lone record right in front of `end`, the last one, and its true number, if the numbers of both look damaged: nothing
/// lies between them and the run before, and they do not follow each other.
pub fn two_at_the_end(runs: &[Run], end: &Record) -> Option<(Run, u64)> {
    let [.., before, last] = runs else { return None };
    let truth = before.next;
    let adjoining = (last.records, last.end) == (1, end.at) && before.records > 1 && before.end == last.at;
    let both = end.seq != last.next
        && looks_damaged(last.first, truth)
        && looks_damaged(end.seq, truth.saturating_add(1));
    (adjoining && both).then_some((*last, truth))
}

/// Whether a timestamp stands far from both of its neighbours, which stand close together. All in seconds since 1970.
pub fn time_is_wrong(a: f64, time: f64, b: f64) -> bool {
    const MONTH: f64 = 30.0 * 86_400.0;
    if !time.is_finite() || time < 0.0 {
        return true;
    }
    let off = (time - a).abs().min((time - b).abs());
    off > MONTH && off > 100.0 * (a - b).abs()
}

/// The same for the first or last record of a chain, of which only one side is known: `near` and `far` are the two next to
/// it. A store that nobody wrote to for months leaves a time that stands alone in the past at the start, and one in the
/// future at the end, so on that side only what no clock can have shown is wrong.
pub fn time_is_wrong_at_edge(time: f64, near: f64, far: f64, start: bool) -> bool {
    /// The years 2001 to 2099.
    const SANE: std::ops::Range<f64> = 978_307_200.0..4_102_444_800.0;
    let idle = if start { time < near } else { time > near };
    time_is_wrong(far, time, near)
        && (!idle || !(0.0..f64::MAX).contains(&time) || SANE.contains(&near) && !SANE.contains(&time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_and_back_is_a_wrong_number() {
        assert_eq!(judge(38, 1000, 1001, 39, 0, 0), Judgement::Wrong(Some(38)));
        assert_eq!(judge(38, 0, 1, 39, 0, 0), Judgement::Wrong(Some(38)));
        assert_eq!(judge(38, u64::MAX, u64::MAX, 38, 0, 0), Judgement::Wrong(Some(38)));
    }

    #[test]
    fn a_number_that_others_follow_is_right() {
        assert_eq!(judge(38, 50, 51, 51, 0, 0), Judgement::Jump);
        assert_eq!(judge(38, 1, 2, 2, 3, 0), Judgement::Jump);
    }

    #[test]
    fn single_survivors_between_damages_keep_their_number() {
        assert_eq!(judge(9, 11, 12, 13, 4, 4), Judgement::Jump);
    }

    #[test]
    fn a_wrong_number_beside_damage_is_inferred_from_the_sound_side() {
        assert_eq!(judge(9, 900, 901, 15, 0, 10), Judgement::Wrong(Some(9)));
        assert_eq!(judge(9, 3, 4, 15, 10, 0), Judgement::Wrong(Some(14)));
        assert_eq!(judge(9, 3, 4, 15, 10, 10), Judgement::Wrong(None));
    }

    #[test]
    fn where_the_neighbours_contradict_each_other_nothing_is_decided() {
        assert_eq!(judge(9, 5, 6, 1, 0, 0), Judgement::Jump);
    }

    #[test]
    fn times_that_stand_alone_are_wrong() {
        let now = 1.78e9;
        assert!(time_is_wrong(now, 1.24e9, now + 1.0));
        assert!(time_is_wrong(now, f64::NAN, now + 1.0));
        assert!(!time_is_wrong(now, now + 500.0, now + 1.0));
        assert!(!time_is_wrong(1.0, 1.24e9, now), "a store that was idle for years");
    }

    #[test]
    fn a_store_that_was_idle_ends_or_begins_with_a_lone_time() {
        let (now, months) = (1.78e9, 1e7);
        assert!(!time_is_wrong_at_edge(now + months, now, now - 1.0, false));
        assert!(!time_is_wrong_at_edge(now - months, now, now + 1.0, true));
        assert!(time_is_wrong_at_edge(now - months, now, now - 1.0, false));
        assert!(time_is_wrong_at_edge(now + months, now, now + 1.0, true));
        assert!(time_is_wrong_at_edge(5e9, now, now - 1.0, false));
        assert!(time_is_wrong_at_edge(f64::NAN, now, now - 1.0, false));
    }
}
