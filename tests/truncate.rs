//! `truncate` from outside: every cut, whole transactions only unless asked, what is refused and where it would do instead;
//! a torn tail costs no more than the tail; whatever was cut off comes back.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::log::Log;
use common::run::{Answer, Case, Contents, contents, run_on};
use common::wal::{PUT, Revision, Writer, record};
use tempfile::TempDir;

/// Numbers 1 to 4, a batch of 5 to 8, 9 to 12; then a file with 13 to 16 and a batch of 17 to 20.
fn log() -> Log {
    let mut writer = Writer::new(Revision::V2, 1 << 20);
    let batch: [(u8, &[u8], &[u8]); 2] = [(PUT, b"a", b"1"), (PUT, b"b", b"2")];
    for _ in 0..2 {
        (0..4).for_each(|i| writer.put(&format!("key {i}"), &format!("value {i}")));
        writer.batch(&batch, true);
        if writer.files() == 1 {
            (0..4).for_each(|i| writer.put(&format!("key {i}"), &format!("later {i}")));
            writer.rotate();
        }
    }
    writer.finish()
}

/// Where the record with this number begins, in its file.
fn start(log: &Log, seq: usize) -> usize {
    let first = log.files[0].records.len();
    let (file, i) = if seq <= first { (0, seq - 1) } else { (1, seq - 1 - first) };
    log.files[file].records[i].span.start
}

struct Stored {
    _dir: TempDir,
    path: PathBuf,
}

fn stored(log: &Log) -> Stored {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("log");
    log.store(&path);
    Stored { _dir: dir, path }
}

fn truncate(path: &Path, how: &str) -> Answer {
    run_on("truncate --as ddia-wal", path, how)
}

/// Cuts in place, asserts what is left of each file (`None`: it is gone), and takes it back.
fn assert_cut(log: &Log, how: &str, left: [Option<std::ops::Range<usize>>; 2]) {
    let stored = stored(log);
    let before = contents(&stored.path);
    let plan = truncate(&stored.path, how).exits(4);
    assert!(plan.stdout.starts_with("PLAN truncate"), "{plan:?}");
    assert_eq!(contents(&stored.path), before);
    let expected: Contents = log
        .files
        .iter()
        .zip(left)
        .filter_map(|(file, left)| Some((file.name.clone().into(), file.bytes[left?].to_vec())))
        .collect();
    let out = stored.path.with_file_name("out");
    truncate(&stored.path, &format!("{how} --apply --output {}", out.display()));
    assert_eq!(contents(&out), expected, "{how}: the copy");
    assert_eq!(contents(&stored.path), before);
    let done = truncate(&stored.path, &format!("{how} --apply --in-place"));
    // On the way to a cut nobody counts records.
    assert!(done.stdout.starts_with("Done: ") && !done.stdout.contains("kept"), "{done:?}");
    assert!(done.stderr.contains("walmedic undo"), "{how}: {done:?}");
    assert_eq!(contents(&stored.path), expected, "{how}");
    run_on("undo", &stored.path.with_file_name("log.walmedic-1"), "").exits(0);
    assert_eq!(contents(&stored.path), before, "{how}: undone");
}

fn assert_refused(log: &Log, how: &str, because: &str) {
    let stored = stored(log);
    let before = contents(stored.path.parent().expect("a folder"));
    truncate(&stored.path, &format!("{how} --apply --in-place")).declines(4, because);
    truncate(&stored.path, how).declines(4, because);
    assert_eq!(contents(stored.path.parent().expect("a folder")), before, "{how}");
}

fn damaged(seq: usize) -> Log {
    let mut log = log();
    let (at, file) = (start(&log, seq), usize::from(seq > log.files[0].records.len()));
    // A byte of the checksum.
    log.files[file].bytes[at + 5] ^= 1;
    log
}

#[test]
fn at_the_damage() {
    assert_cut(&damaged(3), "--at-damage", [Some(0..start(&log(), 3)), None]);
    assert_cut(
        &damaged(15),
        "--at-damage",
        [Some(0..log().files[0].bytes.len()), Some(0..start(&log(), 15))],
    );
    // The transaction that lost a member goes whole.
    assert_cut(&damaged(7), "--at-damage", [Some(0..start(&log(), 5)), None]);
    assert_cut(&damaged(7), "--at-damage --force-partial", [Some(0..start(&log(), 7)), None]);
    let stored = stored(&log());
    let same = truncate(&stored.path, "--at-damage --apply --in-place").exits(0);
    assert_eq!(same.stderr, "");
}

#[test]
fn behind_the_last_commit() {
    assert_cut(&damaged(7), "--last-commit", [Some(0..start(&log(), 5)), None]);
    assert_cut(&damaged(10), "--last-commit", [Some(0..start(&log(), 10)), None]);
    let mut orphaned = log();
    let commit = start(&orphaned, 20);
    orphaned.files[1].bytes.truncate(commit);
    let whole = Some(0..orphaned.files[0].bytes.len());
    assert_cut(&orphaned, "--last-commit", [whole, Some(0..start(&log(), 17))]);
    assert_refused(&damaged(1), "--last-commit", "everything would be cut off");
}

#[test]
fn at_an_offset() {
    let log = log();
    let (first, third) = (log.files[0].bytes.len(), start(&log, 15));
    assert_cut(&log, &format!("--at {third}"), [Some(0..first), Some(0..third)]);
    assert_cut(&log, &format!("--at {third:#x}"), [Some(0..first), Some(0..third)]);
    let in_first = start(&log, 9);
    assert_cut(&log, &format!("--at {in_first} --file 000001.wal"), [Some(0..in_first), None]);
    let inside = third + 7;
    let before = format!("lies inside a record; cut at {third} or {}", start(&log, 16));
    assert_refused(&log, &format!("--at {inside}"), &before);
    assert_cut(&log, &format!("--at {inside} --force-partial"), [Some(0..first), Some(0..inside)]);
    let (begin, member) = (start(&log, 17), start(&log, 19));
    let open = format!("lies inside a transaction that begins at {begin}");
    assert_refused(&log, &format!("--at {member}"), &open);
    assert_cut(&log, &format!("--at {member} --force-partial"), [Some(0..first), Some(0..member)]);
    assert_cut(&log, &format!("--at {begin}"), [Some(0..first), Some(0..begin)]);
    let stored = stored(&log);
    let end = log.files[1].bytes.len();
    truncate(&stored.path, &format!("--at {end} --apply --in-place")).exits(0);
    truncate(&stored.path, &format!("--at {}", end + 1)).declines(2, &format!("has {end} bytes"));
    truncate(&stored.path, "--at 0 --file 9.wal").declines(2, "no such file in this log");
    truncate(&stored.path, "--at x").exits(2);
    truncate(&stored.path, "--at 1 --at-damage").exits(2);
    truncate(&stored.path, "").exits(2);
    truncate(&stored.path, "--file 000001.wal --at-damage").exits(2);
}

#[test]
fn behind_a_number() {
    let log = log();
    let first = log.files[0].bytes.len();
    assert_cut(&log, "--after-seq 10", [Some(0..start(&log, 11)), None]);
    assert_cut(&log, "--after-seq 14", [Some(0..first), Some(0..start(&log, 15))]);
    assert_cut(&log, "--after-seq 6", [Some(0..start(&log, 5)), None]);
    assert_cut(&log, "--after-seq 6 --force-partial", [Some(0..start(&log, 7)), None]);
    assert_cut(&log, "--after-seq 8", [Some(0..start(&log, 9)), None]);
    for all in ["20", "21", "18446744073709551615"] {
        truncate(&stored(&log).path, &format!("--after-seq {all} --apply --in-place")).exits(0);
    }
}

#[test]
fn before_a_number() {
    let log = log();
    let (first, second) = (log.files[0].bytes.len(), log.files[1].bytes.len());
    assert_cut(&log, "--before-seq 3", [Some(start(&log, 3)..first), Some(0..second)]);
    assert_cut(&log, "--before-seq 15", [None, Some(start(&log, 15)..second)]);
    // A transaction that reaches past it is kept whole.
    assert_cut(&log, "--before-seq 7", [Some(start(&log, 5)..first), Some(0..second)]);
    assert_cut(&log, "--before-seq 7 --force-partial", [Some(start(&log, 7)..first), Some(0..second)]);
    assert_refused(&log, "--before-seq 21", "everything would be cut off");
    for all in ["0", "1"] {
        truncate(&stored(&log).path, &format!("--before-seq {all} --apply --in-place")).exits(0);
    }
    // What lies behind damage stays, and so does the damage.
    assert_cut(&damaged(11), "--before-seq 9", [Some(start(&log, 9)..first), Some(0..second)]);
    assert_cut(&damaged(3), "--before-seq 9", [Some(start(&log, 9)..first), Some(0..second)]);
}

#[test]
fn only_numbered_records_are_cut_by_number() {
    let case = Case::named("bitcask-log/clean");
    let (_dir, log) = case.copied();
    for how in ["--after-seq 1", "--before-seq 1"] {
        case.run("truncate", &log, how).declines(2, "no sequence numbers");
    }
}

/// An orphan, ended by a hole in the numbers, then single writes that count, then a torn record.
fn orphan_that_ended() -> Log {
    let mut writer = Writer::new(Revision::V2, 1 << 20);
    (0..4).for_each(|i| writer.put(&format!("key {i}"), "before"));
    writer.batch(&[(PUT, b"a", b"1")], false);
    (0..9).for_each(|i| writer.put(&format!("key {i}"), "behind"));
    let mut log = writer.finish();
    // The record behind the orphan is gone: numbers are missing, and no COMMIT follows.
    let gone = log.files[0].records[6].span.clone();
    log.files[0].bytes.drain(gone);
    let cut = log.files[0].bytes.len() - 3;
    log.files[0].bytes.truncate(cut);
    log
}

#[test]
fn an_orphan_that_is_over_holds_nothing_up() {
    let log = orphan_that_ended();
    let torn = log.files[0].bytes.len() as u64;
    for how in ["--at-damage", "--last-commit"] {
        let stored = stored(&log);
        let plan = truncate(&stored.path, &format!("{how} --format json")).json();
        let kept = plan["files"][0]["new_bytes"].as_u64().expect("a number");
        assert!(kept > torn - 60, "{how}: {kept} of {torn} bytes are kept");
    }
}

#[test]
fn tables_are_no_place_to_cut_at() {
    let case = Case::named("ddia-lsm/closed");
    let (_dir, log) = case.copied();
    let plan = case.run("truncate", &log, "--last-commit --format json");
    assert_eq!((plan.code, plan.json()["changes"] == true), (0, false));
}

#[test]
fn what_lies_in_files_behind_the_cut_counts_as_cut_off() {
    let log = log();
    let stored = stored(&log);
    let end = log.files[0].bytes.len();
    let plan = truncate(&stored.path, &format!("--at {end} --file 000001.wal --format json")).json();
    let records = |what: &str| plan[what]["records"].as_u64().expect("a number") as usize;
    assert_eq!(records("kept"), log.files[0].records.len());
    assert_eq!(records("dropped"), log.files[1].records.len());
}

#[test]
fn a_torn_tail_costs_no_more_than_the_tail() {
    let mut log = log();
    let whole = log.files[1].bytes.len();
    let tail = record(21, PUT, b"key", b"never written to its end")[..40].to_vec();
    log.files[1].bytes.extend(&tail);
    let stored = stored(&log);
    let before = contents(&stored.path);
    let file = stored.path.join("000002.wal");
    let inode = fs::metadata(&file).expect("there").ino();
    for how in ["truncate --at-damage", "truncate --last-commit", "repair", "repair --strategy tail"] {
        run_on(how, &stored.path, "--as ddia-wal --in-place --apply").exits(0);
        assert_eq!(
            fs::metadata(&file).map(|m| (m.ino(), m.len())).expect("there"),
            (inode, whole as u64),
            "{how}"
        );
        let folder = stored.path.with_file_name("log.walmedic-1");
        let mut kept = contents(&folder);
        kept.remove(std::ffi::OsStr::new("undo.json")).expect("a record");
        kept.remove(std::ffi::OsStr::new("log")).expect("a folder");
        assert_eq!(kept.into_values().collect::<Vec<_>>(), std::slice::from_ref(&tail), "{how}");
        // An undo that was killed half-way is gone on with.
        fs::OpenOptions::new()
            .append(true)
            .open(&file)
            .and_then(|mut f| std::io::Write::write_all(&mut f, &tail[..7]))
            .expect("written");
        run_on("undo", &folder, "").exits(0);
        assert_eq!(contents(&stored.path), before, "{how}");
        fs::remove_dir_all(folder).expect("removed");
    }
}

#[test]
fn what_is_cut_at_its_damage_verifies_clean() {
    let mut cut = 0;
    for case in Case::all(&["ddia-wal", "ddia-lsm", "bitcask-hash", "bitcask-log"]) {
        let (dir, log) = case.copied();
        let out = dir.path().join("out");
        let told = case.run("verify", &log, "--format json").json();
        let files = told["logs"][0]["files"].as_array().expect("files");
        let in_a_log =
            |f: &&serde_json::Value| !f["path"].as_str().is_some_and(|name| name.ends_with(".sst"));
        if files.iter().filter(in_a_log).all(|f| f["first_bad_offset"].is_null()) {
            continue;
        }
        let done = case.run("truncate", &log, &format!("--at-damage --apply --output {}", out.display()));
        assert!(matches!(done.code, 0 | 1), "{}: {done:?}", case.name);
        case.run("verify", &out, "").exits(0);
        cut += 1;
    }
    assert!(cut > 25, "only {cut} cut");
}
