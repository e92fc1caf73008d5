//! The runs of numbers of a log, one after the other in the order of its files: each goes on from those before it, leaves a gap,
//! repeats them, or is no part of the log.

use std::collections::HashMap;

use super::conclude::{
    Conclusions, Filed, Gap, Member, Place, Repeat, RepeatKind, disown, due, push_bounded, room_between,
};
use super::numbering::{Numbering, Run};

/// Goes through the runs in order and sets apart gaps, repeats, resets and foreign records. `before`: what is recovered in front
/// of them.
pub(super) fn walk(
    files: &mut [Member<'_>],
    runs: &mut Vec<(usize, Run)>,
    before: Option<Filed>,
    out: &mut Conclusions,
) {
    let before = before.filter(|(_, a)| runs.first().is_some_and(|(_, run)| a.next <= run.first));
    let mut walk = Walk {
        kept: before.into_iter().collect(),
        expected: before.map(|(_, run)| run.next),
        lowest: before.map(|(_, run)| run.first),
        ends: HashMap::new(),
        resumed: None,
        limit: files.iter().map(|f| f.survey.regions.limit()).max().unwrap_or(0),
    };
    for i in 0..runs.len() {
        let (filed, next) = (runs[i], runs.get(i + 1).map(|(_, run)| run.first));
        walk.step(files, filed, next, out);
    }
    walk.kept.retain(|(_, run)| run.records > 0);
    *runs = walk.kept;
}

/// The runs so far, and what is due behind them.
struct Walk {
    kept: Vec<Filed>,
    /// The number of the next run.
    expected: Option<u64>,
    /// The first number: what ends right in front of it belongs before it.
    lowest: Option<u64>,
    /// Where runs end, by the number that would follow.
    ends: HashMap<u64, Place>,
    /// The number that is due where history went on with numbers that were given out before.
    resumed: Option<u64>,
    /// Repeats that are listed.
    limit: usize,
}

/// How a run stands to those before it.
enum Step {
    /// It goes on from them, or begins at 1 where counting may.
    Follows,
    /// Numbers from this one on are missing in front of it.
    Gap(u64),
    /// It is what a gap lacks, or what comes before all of them.
    OutOfOrder,
    /// Its numbers were given out again.
    Reused,
    /// Counting began again with this file.
    Reset,
    /// Its records are there twice, the last of them perhaps not.
    Twice,
    /// It is no part of this log.
    Foreign,
}

impl Walk {
    /// Takes the next run in. `next`: the first number of the one behind it.
    fn step(&mut self, files: &mut [Member<'_>], filed: Filed, next: Option<u64>, out: &mut Conclusions) {
        let ((file, run), before) = (filed, self.kept.last().copied());
        let due = due(out.start, before.map(|(file, _)| file).zip(self.expected), filed);
        if let (Some(due), Some(before)) = (due, before) {
            self.resumed = self.resumed.filter(|_| run.first < due);
            match self.judge(files, (before, due), filed, next, out) {
                Step::Foreign => return disown(files[file].survey, &run, due),
                step => self.note(&step, files, (before, due), filed, out),
            }
        } else {
            due.into_iter().for_each(|due| out.gap(files, None, filed, due));
            (self.expected, self.lowest) = (Some(run.next), Some(run.first));
        }
        self.ends.insert(run.next, Place { file, at: run.end });
        self.kept.push(filed);
    }

    fn judge(
        &self,
        files: &[Member<'_>],
        ((fa, a), due): (Filed, u64),
        (file, run): Filed,
        next: Option<u64>,
        out: &mut Conclusions,
    ) -> Step {
        let (starts_file, falls) = (fa != file, run.first < due);
        let explained = |n| n <= room_between(files, (fa, a.end), (file, run.at));
        // A run inside a file that the next one takes no notice of is not this log's.
        let passing =
            || !starts_file && next == Some(due) && !run.first.checked_sub(due).is_some_and(explained);
        let restarts = files[file].survey.rules.numbering == (Numbering::Contiguous { restarts: true });
        match () {
            () if run.first == due || restarts && run.first == 1 => Step::Follows,
            // Counting began again, and the records from 1 on are gone.
            () if restarts && (1..due).contains(&run.first) => Step::Gap(1),
            () if !falls && passing() => Step::Foreign,
            () if !falls => Step::Gap(due),
            () if reused(files, &self.ends, &run) => Step::Reused,
            () if resumes(files, self.resumed, (fa, a.end), (file, &run)) => Step::Reused,
            () if starts_file && (fill_gap(&mut out.gaps, &run) || self.lowest == Some(run.next)) => {
                Step::OutOfOrder
            }
            () if starts_file && run.first == 1 && run.next <= due => Step::Reset,
            // Inside a file it overlaps what lies in front of it and goes on from there.
            () if starts_file || run.next >= due && !passing() => Step::Twice,
            () => Step::Foreign,
        }
    }

    fn note(
        &mut self,
        step: &Step,
        files: &[Member<'_>],
        (before, due): (Filed, u64),
        (file, run): Filed,
        out: &mut Conclusions,
    ) {
        let mut last = run.next - 1;
        let kind = match step {
            Step::Follows | Step::Foreign => None,
            Step::Gap(due) => {
                out.gap(files, Some(before), (file, run), *due);
                None
            }
            Step::OutOfOrder => {
                self.lowest = Some(self.lowest.map_or(run.first, |lowest| lowest.min(run.first)));
                Some(RepeatKind::OutOfOrder)
            }
            Step::Reused => {
                if let Some(next) = self.resumed.filter(|&next| next < run.first) {
                    out.gap(files, Some(before), (file, run), next);
                }
                self.resumed = Some(run.next);
                Some(RepeatKind::Reused)
            }
            Step::Reset => Some(RepeatKind::Reset),
            Step::Twice => {
                // It may go on where they end.
                last = run.next.min(due).max(run.first + 1) - 1;
                Some(RepeatKind::Repeated)
            }
        };
        self.expected = match step {
            Step::OutOfOrder | Step::Foreign => self.expected,
            Step::Follows | Step::Gap(_) | Step::Reset => Some(run.next),
            Step::Reused | Step::Twice => Some(due.max(run.next)),
        };
        if let Some(kind) = kind {
            let place = Place { file, at: run.at };
            let repeat = Repeat { first: run.first, last, place, len: run.end - run.at, kind, of: None };
            push_bounded(&mut out.repeats, repeat, self.limit, &mut out.unlisted);
        }
    }
}

/// The engine reads up to damage and counts on from there, so the numbers behind the damage occur twice. `ends`: where the
/// runs before end, by the number that would have followed.
fn reused(files: &[Member<'_>], ends: &HashMap<u64, Place>, run: &Run) -> bool {
    ends.get(&run.first).is_some_and(|end| {
        let regions = &files[end.file].survey.regions;
        let region = match regions.end() == end.at {
            true => files[end.file + 1..]
                .iter()
                .find(|f| f.counts)
                .and_then(|f| f.survey.regions.as_slice().first()),
            false => regions.find(end.at).filter(|region| region.at == end.at),
        };
        region.is_some_and(|region| !region.kind.sound())
    })
}

/// Whether a run goes on where numbers are given out again: with the next number, or behind damage that explains what lacks.
fn resumes(
    files: &[Member<'_>],
    resumed: Option<u64>,
    from: (usize, u64),
    (file, run): (usize, &Run),
) -> bool {
    let missing = resumed.and_then(|next| run.first.checked_sub(next));
    missing.is_some_and(|n| n == 0 || n <= room_between(files, from, (file, run.at)))
}

/// Takes the run's numbers out of a gap found before; `false` when they fill none.
fn fill_gap(gaps: &mut Vec<Gap>, run: &Run) -> bool {
    let Some(i) = gaps.iter().position(|g| g.first <= run.first && run.next - 1 <= g.last) else {
        return false;
    };
    let gap = gaps.remove(i);
    let (left, right) = (Gap { last: run.first - 1, ..gap }, Gap { first: run.next, ..gap });
    let rest = [left, right].into_iter().filter(|g| g.first <= g.last && g.last != u64::MAX);
    gaps.splice(i..i, rest);
    true
}
