//! Verdicts on logs that something happened to which is neither a flipped bit nor a cut: records there twice, engines
//! that went on behind damage, numbers at the edges of files, logs side by side.

use std::process::Command;

use walmedic::analysis::{OpenLog, Report};
use walmedic::fate::{Standing, Standings};
use walmedic::format::ALL;
use walmedic::log::conclude::RepeatKind;
use walmedic::log::finding::Code;
use walmedic::log::record::{Mark, Record};

fn record(seq: u64) -> Vec<u8> {
    let (key, value) = (format!("key{seq:03}"), format!("value of {seq}"));
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[1]);
    crc.update(key.as_bytes());
    crc.update(value.as_bytes());
    let mut out = (21 + key.len() as u32 + value.len() as u32).to_le_bytes().to_vec();
    out.extend(crc.finalize().to_le_bytes());
    out.extend(seq.to_le_bytes());
    out.push(1);
    out.extend((key.len() as u32).to_le_bytes());
    out.extend(key.as_bytes());
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(value.as_bytes());
    out
}

fn records(seqs: impl IntoIterator<Item = u64>) -> Vec<u8> {
    seqs.into_iter().flat_map(record).collect()
}

fn verify(files: &[Vec<u8>]) -> Report {
    let format = *ALL.iter().find(|f| f.profile().name == "ddia-wal").expect("the format");
    let named = files.iter().enumerate().map(|(i, bytes)| (format!("{:06}.wal", i + 1), bytes.clone()));
    OpenLog::memory(format, named.collect(), Some("v2")).analyse(1)
}

fn intact(report: &Report) -> u64 {
    report.files.iter().map(|f| f.survey.counts()).map(|(before, after, _)| before + after).sum()
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings().map(|f| f.code).collect()
}

#[test]
fn a_record_there_twice_is_a_repeat_and_no_other_log() {
    let report = verify(&[records((1..21).chain([20]).chain(21..41))]);
    assert_eq!(intact(&report), 41);
    assert_eq!(codes(&report), [Code::RepeatedRange]);
    let repeat = report.conclusions.repeats[0];
    assert_eq!((repeat.first, repeat.last, repeat.kind), (20, 20, RepeatKind::Repeated));
}

/// What the records are worth, in order.
fn standings(report: &Report, file: usize, seqs: impl IntoIterator<Item = u64>) -> Vec<Standing> {
    let (mut standings, mut at) = (Standings::new(report, file), 0);
    let of = |seq| {
        let len = record(seq).len() as u64;
        let found = Record { at, len, seq, next: seq + 1, txn: 0, kind: 1, mark: Mark::Data };
        at += len;
        standings.of(&found).0
    };
    seqs.into_iter().map(of).collect()
}

#[test]
fn records_behind_those_there_twice_count() {
    let twice = |standings: Vec<Standing>| standings.iter().filter(|s| **s == Standing::Repeated).count();
    let report = verify(&[records((1..21).chain(11..41))]);
    assert_eq!(twice(standings(&report, 0, (1..21).chain(11..41))), 10);
    let report = verify(&[records(1..21), records(11..41)]);
    assert_eq!(twice(standings(&report, 1, 11..41)), 10);
    let repeat = report.conclusions.repeats[0];
    assert_eq!((repeat.first, repeat.last), (11, 20));
}

#[test]
fn an_engine_that_went_on_behind_damage_reused_its_numbers() {
    let mut log = records(1..31);
    let at = records(1..20).len() + 30;
    log[at] ^= 1;
    log.extend(records(20..41));
    let report = verify(&[log]);
    assert_eq!(intact(&report), 29 + 21);
    assert!(!codes(&report).contains(&Code::ForeignRecords), "{:?}", codes(&report));
    assert_eq!(report.conclusions.repeats[0].kind, RepeatKind::Reused);
}

#[test]
fn records_of_another_log_are_not_counted() {
    for other in [1..19, 5000..5010] {
        let report = verify(&[records(1..51), records((51..81).chain(other)), records(81..90)]);
        assert_eq!(intact(&report), 89);
        assert_eq!(codes(&report), [Code::ForeignRecords]);
    }
}

#[test]
fn a_record_that_is_missing_at_the_edge_of_a_file_is_a_gap_and_no_wrong_number() {
    for (seqs, gap) in [((1..2).chain(3..21), 2), ((1..19).chain(20..21), 19)] {
        let report = verify(&[records(seqs)]);
        assert_eq!(codes(&report), [Code::MissingRange]);
        assert_eq!((report.conclusions.gaps[0].first, report.conclusions.gaps[0].last), (gap, gap));
    }
}

#[test]
fn the_highest_number_there_is_is_put_right() {
    let mut log = records(1..41);
    let at = records(1..21).len() + 8;
    log[at..at + 8].fill(0xff);
    let report = verify(&[log]);
    let fix = report.files[0].survey.regions.as_slice().iter().find_map(|r| r.fix).expect("recovered");
    assert_eq!((fix.found, fix.inferred), (u64::MAX, 21));
}

#[test]
fn every_log_of_a_directory_is_read_as_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (from, to) in [
        ("ddia-wal/clean/input/000001.wal", "000001.wal"),
        ("ddia-lsm/closed/input/wal.log", "wal.log"),
        ("bitcask-hash/clean/input/0.data", "0.data"),
    ] {
        std::fs::copy(fixtures.join(from), dir.path().join(to)).expect("copied");
    }
    let run = |args: &[&str]| {
        let out =
            Command::new(env!("CARGO_BIN_EXE_walmedic")).args(args).arg(dir.path()).output().expect("runs");
        (
            out.status.code(),
            String::from_utf8(out.stdout).expect("text"),
            String::from_utf8(out.stderr).expect("text"),
        )
    };
    let (code, out, _) = run(&["verify", "--format", "json"]);
    assert_eq!(code, Some(0), "{out}");
    let doc: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let mut formats: Vec<_> = doc["logs"]
        .as_array()
        .expect("logs")
        .iter()
        .map(|l| l["format"].as_str().expect("a name").to_owned())
        .collect();
    formats.sort();
    assert_eq!(formats, ["bitcask-hash", "ddia-lsm", "ddia-wal"]);
    // A format none of whose files is there is no empty log.
    let (code, _, err) = run(&["verify", "--as", "bitcask-log"]);
    assert_eq!(code, Some(2));
    assert!(err.starts_with("walmedic: ") && err.contains("looked for"), "{err}");
}

#[test]
fn a_revision_that_the_bytes_contradict_is_said() {
    let input = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ddia-wal/clean/input");
    let out = Command::new(env!("CARGO_BIN_EXE_walmedic"))
        .args(["verify", "--revision", "v1", "--format", "json", input])
        .output()
        .expect("runs");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stdout).contains("WM-602"));
}

#[test]
fn last_first_is_first_last_the_other_way_round() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut compared = 0;
    for format in std::fs::read_dir(fixtures).expect("fixtures") {
        for case in std::fs::read_dir(format.expect("a format").path()).expect("cases") {
            let input = case.expect("a case").path().join("input");
            let rows = |reverse: &[&str]| {
                let mut dump = Command::new(env!("CARGO_BIN_EXE_walmedic"));
                let out = dump
                    .args(["dump", "-q", "--format", "csv"])
                    .args(reverse)
                    .arg(&input)
                    .output()
                    .expect("runs");
                String::from_utf8(out.stdout)
                    .expect("text")
                    .lines()
                    .skip(1)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let mut backwards = rows(&["--reverse"]);
            backwards.reverse();
            assert_eq!(rows(&[]), backwards, "{}", input.display());
            compared += backwards.len();
        }
    }
    assert!(compared > 1000, "only {compared} rows");
}

#[test]
fn an_engine_that_refuses_sound_records_is_a_finding() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bitcask-hash/clean/input/0.data");
    for name in ["0.data", "x.data"] {
        std::fs::copy(data, dir.path().join(name)).expect("copied");
    }
    let out =
        Command::new(env!("CARGO_BIN_EXE_walmedic")).arg("verify").arg(dir.path()).output().expect("runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.starts_with("REFUSED") && text.contains("WM-707") && text.contains("'x'"), "{text}");
}
