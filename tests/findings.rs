//! Findings that no fixture can hold, for they are about what happens while a log is read.

mod common;

use std::io;
use std::path::Path;

use common::log::Log;
use common::random::Random;
use common::wal::{self, BEGIN, COMMIT, PUT, Revision, Writer};
use walmedic::analysis::{OpenLog, Report};
use walmedic::io::listing::{Wanted, find};
use walmedic::log::bytes::{ReadAt, Reader};
use walmedic::log::finding::{Class, Code};
use walmedic::log::region::{Kind, MAX_REGIONS};
use walmedic::log::scan::scan;
use walmedic::log::surveyor::Surveyor;

fn codes(report: &Report) -> Vec<Code> {
    report.findings().map(|f| f.code).collect()
}

fn opened(dir: &Path) -> OpenLog {
    let wanted = Wanted::default();
    OpenLog::new(find(dir, &wanted).expect("a log").remove(0), &wanted).expect("opened")
}

fn some_log() -> Log {
    let mut writer = Writer::new(Revision::V2, 1 << 20);
    (0..50).for_each(|i| writer.put("key", &format!("value {i}")));
    writer.finish()
}

#[test]
fn a_log_that_grows_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = some_log();
    log.store(dir.path());
    let open = opened(dir.path());
    log.files[0].push(&wal::record(51, PUT, b"key", b"later"));
    log.files[0].push_framing(b"torn");
    log.store(dir.path());
    let report = open.analyse(1);
    assert!(codes(&report).contains(&Code::StillWritten), "{:?}", codes(&report));
    assert!(report.findings().all(|f| f.class == Class::Note), "being written is no damage");
    assert_eq!(report.files[0].survey.counts(), (50, 0, 0), "what was there when it was opened");
}

/// Its number is that of a record in its batch, so it is neither a copy of a commit nor another log's: it is wrong, and the
/// batch whole.
#[test]
fn a_last_commit_that_repeats_a_number_of_its_batch_commits() {
    let dir = tempfile::tempdir().expect("a folder");
    for found in 51..=53 {
        let mut log = some_log();
        for (seq, op) in [(51, BEGIN), (52, PUT), (53, PUT), (found, COMMIT)] {
            log.files[0].push(&wal::record(seq, op, b"", b""));
        }
        log.store(dir.path());
        let report = opened(dir.path()).analyse(1);
        assert_eq!(codes(&report), [Code::ImpossibleNumber], "{found}");
        let fixed: Vec<_> = report.files[0].survey.regions.as_slice().iter().filter_map(|r| r.fix).collect();
        assert_eq!(fixed.iter().map(|fix| (fix.found, fix.inferred)).collect::<Vec<_>>(), [(found, 54)]);
    }
}

#[test]
fn a_log_that_shrinks_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = some_log();
    log.store(dir.path());
    let open = opened(dir.path());
    let cut = log.files[0].records[30].span.start as u64 + 5;
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("000001.wal")).expect("open");
    file.set_len(cut).expect("cut");
    let report = open.analyse(1);
    assert!(codes(&report).contains(&Code::ChangedWhileRead), "{:?}", codes(&report));
    assert!(report.findings().any(|f| f.class == Class::Incomplete));
    assert_eq!(report.files[0].survey.counts().0, 30);
}

/// A disk that cannot read some sectors.
struct Failing {
    bytes: Vec<u8>,
    bad: std::ops::Range<u64>,
}

impl ReadAt for Failing {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        if at < self.bad.end && at + buf.len() as u64 > self.bad.start {
            return Err(io::Error::other("medium error"));
        }
        self.bytes.read_at(at, buf)
    }
}

#[test]
fn bytes_that_cannot_be_read_are_named() {
    let mut writer = Writer::new(Revision::V2, 1 << 20);
    (0..200).for_each(|i| writer.put("key", &format!("value {i}")));
    let log = writer.finish();
    let disk = Failing { bytes: log.files[0].bytes.clone(), bad: 1024..2048 };
    let memory = common::read::open(&log);
    let mut opened = memory.format().open(&memory.files(), 0, None);
    let mut surveyor = Surveyor::new(opened.rules);
    let mut reader = Reader::new(&disk);
    scan(&mut reader, &mut *opened.decoder, 0, &mut surveyor);
    assert_eq!(reader.unreadable, vec![1024..2048]);
    let mut survey = surveyor.finish();
    walmedic::surveys::mark_unreadable(&mut survey, &reader.unreadable);
    let regions = survey.regions.as_slice();
    let unreadable: Vec<_> = regions.iter().filter(|r| r.kind == Kind::Unreadable).collect();
    assert_eq!(unreadable.len(), 1, "{regions:?}");
    let cause = unreadable[0].cause.expect("a cause");
    assert_eq!(Code::of_region(Kind::Unreadable, cause), Code::UnreadableRange);
    // Every record that lies on readable sectors is there.
    let spans = log.files[0].records.iter().map(|r| r.span.clone());
    let readable = spans.filter(|s| s.end <= 1024 || s.start >= 2048).count() as u64;
    let (before, behind, _) = survey.counts();
    assert_eq!(before + behind, readable);
}

#[test]
fn endless_damage_is_bounded() {
    let mut log = Log::new("ddia-wal", None);
    let mut file = common::log::File::new("000001.wal", common::log::Promise::Proved, wal::FIELDS);
    let mut random = Random::new(5);
    for i in 0..2 * MAX_REGIONS as u64 {
        file.push(&wal::record(2 * i + 1, PUT, b"k", b"v"));
        let mut bad = wal::record(2 * i + 2, PUT, b"k", b"v");
        bad[26] ^= 1 + random.below(127) as u8;
        file.push_framing(&bad);
    }
    log.files.push(file);
    let report = common::read::report(&log);
    common::read::assert_tiles(&report);
    let survey = &report.files[0].survey;
    assert!(survey.regions.as_slice().len() <= MAX_REGIONS + 1);
    assert_eq!(survey.regions.as_slice().last().map(|r| r.kind), Some(Kind::Mixed));
    let (before, behind, _) = survey.counts();
    assert_eq!(before + behind, 2 * MAX_REGIONS as u64, "they are not listed, but counted");
    assert!(codes(&report).contains(&Code::TooMuchDamage));
}
