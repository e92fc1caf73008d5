//! Runs the library over a log in memory, and checks what it says of it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use walmedic::analysis::{OpenLog, Report};
use walmedic::format::{Format, LogFile, Opened};
use walmedic::log::bytes::{ReadAt, Reader};
use walmedic::log::region::{Kind, Region};
use walmedic::log::scan::scan;
use walmedic::log::survey::Survey;
use walmedic::log::surveyor::Surveyor;

use super::log::{File, Log, Promise};

/// The format of this name.
pub fn format(name: &str) -> &'static dyn Format {
    *walmedic::format::ALL.iter().find(|f| f.profile().name == name).expect("a registered format")
}

/// The log, opened.
pub fn open(log: &Log) -> OpenLog {
    let files = log.files.iter().map(|f| (f.name.clone(), f.bytes.clone())).collect();
    OpenLog::memory(format(log.format), files, log.revision)
}

/// The report on a log.
pub fn report(log: &Log) -> Report {
    open(log).analyse(1)
}

/// The survey of one file of an opened log, read `chunk` bytes at a time from a source that is never there as a whole.
/// Panics when far more is read than the file has: the bound that a hang would break.
pub fn survey_in_pieces(open: &OpenLog, file: usize, chunk: usize) -> Survey {
    let files = open.files();
    let far = Far { bytes: open.source(file).whole().expect("in memory"), read: AtomicU64::new(0) };
    let pieces: Vec<LogFile<'_>> = files
        .iter()
        .enumerate()
        .map(|(i, f)| LogFile {
            name: f.name,
            claim: f.claim,
            src: if i == file { &far } else { f.src },
            memo: None,
            stream: false,
        })
        .collect();
    let Opened { mut decoder, rules } = open.format().open(&pieces, file, open.revision);
    let mut surveyor = Surveyor::new(rules);
    let mut reader = Reader::with_chunk(&far, chunk);
    scan(&mut reader, &mut *decoder, 0, &mut surveyor);
    surveyor.finish()
}

/// The survey of one file of an opened log, read as a whole.
pub fn survey(open: &OpenLog, file: usize) -> Survey {
    let files = open.files();
    let Opened { mut decoder, rules } = open.format().open(&files, file, open.revision);
    let mut surveyor = Surveyor::new(rules);
    scan(&mut Reader::new(files[file].src), &mut *decoder, 0, &mut surveyor);
    surveyor.finish()
}

struct Far<'a> {
    bytes: &'a [u8],
    read: AtomicU64,
}

impl ReadAt for Far<'_> {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read_at(at, buf)?;
        let total = self.read.fetch_add(n as u64, Ordering::Relaxed);
        assert!(total < 20_000 * (self.size() + 100), "{total} bytes read of a file of {}", self.size());
        Ok(n)
    }
}

/// Every byte of every file lies in exactly one region, in order.
pub fn assert_tiles(report: &Report) {
    for f in &report.files {
        let mut at = 0;
        for r in f.survey.regions.as_slice() {
            assert_eq!(r.at, at, "{}: a hole or an overlap before {r:?}", f.name);
            assert!(r.len > 0, "{}: an empty region {r:?}", f.name);
            at = r.end();
        }
        assert_eq!(at, f.bytes, "{}: regions end before the file does", f.name);
    }
}

/// No record is lost that the damage did not touch, and none made up, as far as the format can promise it.
pub fn assert_keeps(log: &Log, report: &Report) {
    // A log of pages is judged by the pages, which have no checksum: where they are wrong it may seem to be.
    if log.files.iter().any(|f| f.name == "btree.dat" && f.damages > 0) {
        return;
    }
    for file in &log.files {
        let Some(read) = report.files.iter().find(|f| *f.name == *file.name) else {
            continue;
        };
        let regions = read.survey.regions.as_slice();
        // A wrong number or length beside other damage may fit better than the right ones behind it,
        // and without a checksum nothing speaks against a wrong length that leads to a record.
        let unproved = matches!(file.promise, Promise::Beside { .. });
        // A table's index says where entries stand: shifted, they and it contradict each other.
        let indexed = file.shifted && file.name.ends_with(".sst");
        let misleading = file.copied
            || indexed
            || (file.changed_field && file.damages > 1)
            || (unproved && file.leads_astray);
        if misleading {
            continue;
        }
        // Where bytes are missing the lengths of a broken record may by chance lead past a whole one.
        let by_chance = usize::from(file.shifted && file.promise == Promise::Lossless);
        let missed = lost(file, regions);
        assert!(missed.len() <= by_chance, "{}: lost {missed:?} of{}", file.name, layout(file, regions));
        if file.promise == Promise::Proved {
            let made_up = made_up(file, Beside::of(log, file), regions);
            assert!(made_up.is_empty(), "{}: made up {made_up:?} of{}", file.name, layout(file, regions));
        }
    }
}

/// Untouched records that lie in no region of records.
fn lost(file: &File, regions: &[Region]) -> Vec<usize> {
    let promised = |i: usize| match file.promise {
        Promise::Proved | Promise::Lossless => file.records[i].whole,
        Promise::Beside { lost, chain } => {
            unproved_but_promised(file, i, lost, chain) && !begins_with_a_value(file)
        }
        Promise::Tiled => false,
    };
    // Numbered records that stand alone, and whose number does not fit the place, could as well be a value's contents.
    let alone = |i: usize| {
        let numbered = file.shifted && file.fields.iter().any(|f| !f.length);
        numbered && !(i > 0 && file.records[i - 1].whole) && !file.records.get(i + 1).is_some_and(|r| r.whole)
    };
    (0..file.records.len()).filter(|&i| promised(i) && !alone(i) && !kept(file, regions, i)).collect()
}

/// Whether the log is a row of strings from its first byte to its last in which the first string is what damage left of a
/// record, and a value: then keys and values have changed places all through, and the bytes are those of a sound log that
/// was cut off behind a key.
fn begins_with_a_value(file: &File) -> bool {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(len) = file.bytes.get(at..at + 4) {
        at += 4 + len.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        ends.push(at);
    }
    let shifted = ends.len() % 2 == 1 && at == file.bytes.len();
    shifted && file.records.iter().find(|r| r.whole).is_some_and(|r| r.span.start == ends[0])
}

/// Without a checksum a record is believed where the chain from the start of the file leads to it, or in a chain of
/// several behind damage; `lost` records next to the damage may be taken for part of it.
fn unproved_but_promised(file: &File, i: usize, lost: usize, chain: usize) -> bool {
    let linked =
        |a: usize| file.records[a].whole && file.records[a].span.end == file.records[a + 1].span.start;
    let before = (0..i).rev().take_while(|&a| linked(a)).count();
    let behind =
        1 + (i..file.records.len() - 1).take_while(|&a| linked(a) && file.records[a + 1].whole).count();
    let from_start = before == i && file.records[0].span.start == 0;
    let to_end =
        i + behind == file.records.len() && file.records.last().map(|r| r.span.end) == Some(file.bytes.len());
    file.records[i].whole
        && (from_start || before >= lost && before + behind >= chain)
        && (to_end || behind > lost)
}

/// Whether the record, or an exact copy of it, counts. Where damage copied a record, one of the two is the stray.
fn kept(file: &File, regions: &[Region], i: usize) -> bool {
    let span = &file.records[i].span;
    // Where damage took the commit they waited for, whole frames are told apart as never committed: stale.
    let counts = |r: &Region| {
        matches!(r.kind, Kind::Records | Kind::Recovered | Kind::Mixed | Kind::Foreign | Kind::Stale)
    };
    let at = regions.partition_point(|r| r.end() <= span.start as u64);
    let here =
        regions.get(at).is_some_and(|r| counts(r) && r.at <= span.start as u64 && span.end as u64 <= r.end());
    here || regions.iter().filter(|r| counts(r)).any(|r| {
        let bytes = &file.bytes[r.at as usize..r.end() as usize];
        bytes.windows(span.len()).any(|copy| copy == &file.bytes[span.clone()])
    })
}

/// Records as they lie and regions as they were read, for a failing test.
fn layout(file: &File, regions: &[Region]) -> String {
    let mut out = String::from("\n");
    for (i, r) in file.records.iter().enumerate() {
        out += &format!("  record {i} {:?}{}\n", r.span, if r.whole { "" } else { " damaged" });
    }
    for r in regions {
        out += &format!("  {} {}..{} ({} records) {:?}\n", r.kind.word(), r.at, r.end(), r.records, r.cause);
    }
    out
}

/// Regions of intact records that hold anything else than records as they were written. Nothing proves the number of a
/// record without intact neighbours: there a wrong one may stand.
fn made_up(file: &File, beside: Beside, regions: &[Region]) -> Vec<Region> {
    let written = |r: &&Region| {
        let mut at = r.at as usize;
        while at < r.end() as usize {
            let rest = &file.bytes[at..r.end() as usize];
            let exact = file.originals.iter().find(|o| rest.starts_with(o));
            let Some(record) = exact.or_else(|| wrong_number(file, beside, at, rest)) else { return false };
            at += record.len();
        }
        true
    };
    regions.iter().filter(|r| r.kind == Kind::Records && !written(r)).copied().collect()
}

/// Whether the last record in the files before, and the first in those behind, is whole; `None` where there is none.
#[derive(Clone, Copy)]
struct Beside {
    before: Option<bool>,
    behind: Option<bool>,
}

impl Beside {
    fn of(log: &Log, file: &File) -> Beside {
        let here = log.files.iter().position(|f| f.name == file.name).expect("a file of this log");
        let before = log.files[..here].iter().rev().find_map(|f| f.records.last());
        let behind = log.files[here + 1..].iter().find_map(|f| f.records.first());
        Beside { before: before.map(|r| r.whole), behind: behind.map(|r| r.whole) }
    }
}

/// The record whose bytes stand at `at` but for its number, which no neighbour contradicts.
fn wrong_number<'a>(file: &'a File, beside: Beside, at: usize, rest: &[u8]) -> Option<&'a Vec<u8>> {
    let i = file.records.iter().position(|r| r.span.start == at)?;
    let whole =
        |by: isize| i.checked_add_signed(by).and_then(|i| file.records.get(i)).is_some_and(|r| r.whole);
    // Of two records alone either may be the wrong one; it takes two others to tell.
    let told = whole(1) && whole(2) || whole(-1) && whole(-2) || whole(-1) && whole(1);
    let last = if i + 1 < file.records.len() { !whole(1) } else { beside.behind != Some(true) };
    let edge = last || (i == 0 && beside.before == Some(false));
    file.originals.iter().find(|original| {
        let Some(found) = rest.get(..original.len()) else { return false };
        let mut found = found.to_vec();
        file.fields
            .iter()
            .filter(|f| !f.length && f.in_record(original))
            .for_each(|f| f.set(&mut found, f.get(original)));
        found == **original && (!told || edge && step(file, original, rest))
    })
}

/// Whether the number found in front of `rest` is some small step off that of `original`. Where no record follows, or
/// records were lost right before, such a number shows records that are missing or there twice just as well as damage;
/// what damage alone explains is 0, one wrong bit, or a number far off.
fn step(file: &File, original: &[u8], rest: &[u8]) -> bool {
    const FAR: u64 = 1 << 16;
    file.fields.iter().filter(|f| !f.length && f.in_record(original)).all(|f| {
        let (found, truth) = (f.get(rest), f.get(original));
        found != 0 && (found ^ truth).count_ones() > 1 && found.abs_diff(truth) <= FAR
    })
}
