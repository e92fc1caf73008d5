//! Logs in directories below the store's: RocksDB puts those into `archive/` that its tables have taken in and something still
//! keeps, RepairDB of both engines those into `lost/` that it has made tables of. Neither is replayed, so they count for
//! nothing; but what is missing among the live logs may lie in one of them.

use std::fmt;

use super::directory::{Directory, number_of};
use super::{Flavour, start};
use crate::format::{Away, LogFile, Remark};
use crate::log::conclude::Gap;
use crate::log::finding::Code;
use crate::log::numbering::Run;
use crate::log::survey::Survey;

const ARCHIVE: &str = "archive";
const LOST: &str = "lost";

/// Whether the engine puts logs away into a directory of this name.
pub fn is_one(flavour: Flavour, dir: &str) -> bool {
    dir == LOST || dir == ARCHIVE && flavour == Flavour::RocksDb
}

/// See [`crate::format::Format::put_away`].
pub fn remarks(
    flavour: Flavour,
    files: &[LogFile<'_>],
    surveys: &[Survey],
    gaps: &[Gap],
    away: &[Away<'_>],
) -> Vec<Remark> {
    let live: Vec<usize> = (0..files.len()).filter(|&i| number_of(&files[i]).is_some()).collect();
    let file = live.first().copied().unwrap_or(0);
    let mut remarks = Vec::new();
    let mut say = |message| remarks.push(Remark { code: Code::PutAway, file, at: 0, len: 0, message });
    let all = live.iter().map(|&i| Held::of(&surveys[i])).fold(Held::default(), Held::and);
    for dir in [ARCHIVE, LOST] {
        let inside: Vec<&Away<'_>> = away.iter().filter(|away| dir_of(away.file) == dir).collect();
        if !inside.is_empty() {
            say(summary(dir, &inside, all));
        }
    }
    let directory = Directory::of(flavour, files);
    let missing = start::missing(&directory, files);
    for away in away {
        let Some(log) = number_of(away.file) else { continue };
        let (name, held) = (away.file.name, Held::of(away.survey));
        let listed = missing.contains_key(&log);
        let why = match hole(files, gaps, held) {
            _ if listed => String::from("it is a log that the catalogue counts on and that is not there"),
            Some(hole) => hole,
            None => continue,
        };
        let what_to_do = match dir_of(away.file) {
            LOST => {
                "RepairDB has made tables of what it could read of it; look there for what the store lacks, and write that \
                 anew: put back, the log would come before newer tables"
            }
            _ if directory.replays(log) => {
                "put it back beside the others, in a copy of the store, before that is opened"
            }
            _ => "the catalogue says that the tables have taken it in, so nothing is lost",
        };
        say(format!("{name} holds {held}; {why}: {what_to_do}"));
    }
    remarks
}

fn dir_of<'f>(file: &LogFile<'f>) -> &'f str {
    file.name.split_once('/').map_or("", |(dir, _)| dir)
}

/// What a directory holds, and how its numbers go with the live ones.
fn summary(dir: &str, inside: &[&Away<'_>], live: Held) -> String {
    let held = inside.iter().map(|away| Held::of(away.survey)).fold(Held::default(), Held::and);
    let names: Vec<&str> = inside.iter().map(|away| &away.file.name[dir.len() + 1..]).collect();
    let which = match names[..] {
        [] => String::new(),
        [one] => format!("one log, {one}"),
        [first, .., last] => format!("{} logs, {first} to {last}", names.len()),
    };
    let next = match (held.numbers, live.numbers) {
        (Some((_, end)), Some((first, _))) if end == first => "the live logs go on from there".into(),
        (Some((_, end)), Some((first, _))) if end < first => {
            format!("{} lie between them and the live logs", numbers(end, first))
        }
        (Some((from, end)), Some((first, next))) if from < next => {
            format!("live logs hold {} as well", numbers(first.max(from), end.min(next)))
        }
        (Some(_), Some(_)) => "they are newer than the live logs".into(),
        _ => "no live log holds any numbers".into(),
    };
    let why = match dir {
        LOST => "RepairDB put them there once it had made tables of what it could read of them",
        _ => "the engine put them there once its tables had taken them in",
    };
    format!("{dir}/ holds {which}: {held}; {next}. Not counted, as {why}")
}

/// Where numbers are missing of which these are some.
fn hole(files: &[LogFile<'_>], gaps: &[Gap], held: Held) -> Option<String> {
    let (first, next) = held.numbers?;
    let gap = gaps.iter().find(|gap| gap.first < next && first <= gap.last)?;
    let (from, to) = (first.max(gap.first), next.min(gap.last.saturating_add(1)));
    let file = files.get(gap.before.file)?;
    Some(format!("{} are missing in front of {}", numbers(from, to), file.name))
}

/// Numbers up to one that is no more among them.
fn numbers(first: u64, next: u64) -> String {
    match next.saturating_sub(1) {
        last if last <= first => format!("number {first}"),
        last => format!("numbers {first} to {last}"),
    }
}

/// What logs hold.
#[derive(Clone, Copy, Default)]
struct Held {
    batches: u64,
    damages: u64,
    /// The first number, and the one behind the last.
    numbers: Option<(u64, u64)>,
}

impl Held {
    fn of(survey: &Survey) -> Held {
        let (before, after, recovered) = survey.counts();
        let hurt = survey.regions.as_slice().iter().filter(|region| !region.kind.sound());
        let ends = |a: Option<(u64, u64)>, run: &Run| {
            Some(a.map_or((run.first, run.next), |(first, next)| (first.min(run.first), next.max(run.next))))
        };
        let numbers = survey.runs.iter().filter(|run| run.first < run.next).fold(None, ends);
        Held { batches: before + after + recovered, damages: hurt.count() as u64, numbers }
    }

    fn and(self, other: Held) -> Held {
        let numbers = match (self.numbers, other.numbers) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, none) => one.or(none),
        };
        Held { batches: self.batches + other.batches, damages: self.damages + other.damages, numbers }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural =
            |n: u64, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
        write!(f, "{}", plural(self.batches, "batch", "batches"))?;
        if let Some((first, next)) = self.numbers {
            write!(f, ", {}", numbers(first, next))?;
        }
        match self.damages {
            0 => Ok(()),
            n => write!(f, ", and {}", plural(n, "damaged place", "damaged places")),
        }
    }
}
