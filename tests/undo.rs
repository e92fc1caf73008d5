//! `undo` from outside, where the world went on after the change: the engine wrote to other files, the log was moved, other
//! users' processes cannot be seen. What an undo cannot be sure of it leaves alone.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use common::run::{Answer, Case, contents, run_on, walmedic};
use serde_json::Value;
use tempfile::TempDir;

/// Logs that change in each of the ways, with a file that does not change, and a name that their engine would use next.
const LOGS: [(&str, Option<&str>, &str); 6] = [
    ("ddia-wal/torn-in-value", None, "000009.wal"),
    ("ddia-wal/garbage-inserted", None, "000009.wal"),
    ("ddia-wal/crc-in-the-middle", Some("000001.wal"), "000009.wal"),
    ("ddia-lsm/table-half-written", Some("wal.log"), "sst_000009.sst"),
    ("bitcask-hash/value-flipped", Some("0.hint"), "9.data"),
    ("bitcask-log/value-flipped", Some("segment_000002.dat"), "segment_000002.hint"),
];

fn changed(case: &Case) -> (TempDir, PathBuf, PathBuf) {
    let (dir, log) = case.copied();
    let done = case.run("repair", &log, "--in-place --apply");
    assert!(done.stderr.contains("walmedic undo"), "{}: {done:?}", case.name);
    let record = dir.path().join("log.walmedic-1/undo.json");
    (dir, log, record)
}

fn assert_refused(dir: &TempDir, record: &Path, file: &str, because: &str) {
    let before = contents(dir.path());
    let answer = run_on("undo", record, "");
    answer.declines(4, &format!("log/{file}: {because} since the repair, so the log was gone on with"));
    assert!(answer.stderr.contains("log.walmedic-1/log"), "{answer:?}");
    assert!(contents(dir.path()) == before, "{answer:?}");
}

#[test]
fn a_log_that_was_gone_on_with_is_left_alone() {
    for (name, other, next) in LOGS {
        let case = Case::named(name);
        let (dir, log, record) = changed(&case);
        fs::write(log.join(next), b"later").expect("written");
        assert_refused(&dir, &record, next, "has appeared");
        fs::remove_file(log.join(next)).expect("removed");
        if let Some(other) = other {
            let (path, bytes) = (log.join(other), fs::read(log.join(other)).expect("read"));
            let longer = [&bytes[..], b"later"].concat();
            fs::write(&path, longer).expect("written");
            assert_refused(&dir, &record, other, "has changed");
            fs::remove_file(&path).expect("removed");
            assert_refused(&dir, &record, other, "has changed");
            fs::write(&path, bytes).expect("written");
        }
        // What no engine reads is nobody's concern.
        fs::write(log.join("notes.txt"), b"mine").expect("written");
        run_on("undo", &record, "").exits(0);
        fs::remove_file(log.join("notes.txt")).expect("still there");
        assert!(contents(&log) == contents(&case.input), "{name}");
    }
}

/// An engine of pages goes on without making any file longer, and empties its log behind it.
#[test]
fn pages_that_were_written_over_are_noticed() {
    let case = Case::named("ddia-btree/torn-r3");
    let (dir, log) = case.copied();
    case.run("truncate", &log, "--at-damage --in-place --apply").exits(0);
    let record = dir.path().join("log.walmedic-1/undo.json");
    let pages = log.join("btree.dat");
    let before = fs::read(&pages).expect("read");
    let mut after = before.clone();
    *after.last_mut().expect("a page") ^= 1;
    fs::write(&pages, after).expect("written");
    let answer = run_on("undo", &record, "");
    answer.declines(4, "btree.dat: has changed since the truncate");
    fs::write(&pages, before).expect("written");
    run_on("undo", &record, "").exits(0);
    assert!(contents(&log) == contents(&case.input));
}

/// Of one file that was named by itself, the others beside it are another log; but none may come to be.
#[test]
fn files_beside_a_single_one_may_change() {
    let case = Case::named("ddia-wal/crc-in-the-middle");
    let (dir, log) = case.copied();
    case.run("repair", &log.join("000002.wal"), "--in-place --apply").exits(1);
    let record = dir.path().join("log.walmedic-1/undo.json");
    fs::write(log.join("000004.wal"), b"another log").expect("written");
    fs::write(log.join("000005.wal"), b"later").expect("written");
    assert_refused(&dir, &record, "000005.wal", "has appeared");
    fs::remove_file(log.join("000005.wal")).expect("removed");
    run_on("undo", &record, "").exits(0);
    assert!(fs::read(log.join("000002.wal")).ok() == fs::read(case.input.join("000002.wal")).ok());
}

#[test]
fn records_of_older_versions_are_gone_by() {
    let case = Case::named("ddia-wal/several-spots");
    let (_dir, log, record) = changed(&case);
    let mut told: Value = serde_json::from_slice(&fs::read(&record).expect("read")).expect("a record");
    let fields = told.as_object_mut().expect("fields");
    assert!(fields.remove("format").is_some() && fields.remove("others").is_some());
    fs::write(&record, told.to_string()).expect("written");
    run_on("undo", &record, "").exits(0);
    assert!(contents(&log) == contents(&case.input));
}

#[test]
fn a_log_that_was_moved_is_named_anew() {
    for (name, ..) in LOGS {
        let case = Case::named(name);
        let (dir, log, record) = changed(&case);
        let moved = dir.path().join("moved here");
        fs::rename(&log, &moved).expect("renamed");
        run_on("undo", &record, "").declines(2, "if the log has been moved, name its directory with --log");
        let undo = |place: &Path| {
            let mut command = walmedic();
            command.arg("undo").arg(&record).arg("--log").arg(place);
            Answer::of(command.output().expect("it runs"))
        };
        undo(&dir.path().join("nowhere")).declines(2, "nowhere: is no directory");
        // Another log of the same names is not that one.
        fs::create_dir(&log).expect("made");
        for (name, bytes) in contents(&moved) {
            fs::write(log.join(name), [&bytes[..], b"x"].concat()).expect("written");
        }
        let before = contents(dir.path());
        assert_eq!(undo(&log).code, 4, "{name}");
        assert!(contents(dir.path()) == before, "{name}");
        let done = undo(&moved).exits(0);
        assert!(done.stderr.contains("moved here: every byte is as it was"), "{done:?}");
        assert!(contents(&moved) == contents(&case.input), "{name}");
        assert!(undo(&moved).exits(0).stderr.contains("nothing to undo"), "{name}");
    }
}

/// Processes of other users may write the log, too. It is said that they cannot be looked at.
#[test]
fn what_cannot_be_seen_is_said() {
    let case = Case::named("ddia-wal/garbage-inserted");
    let (dir, log) = case.copied();
    // Root sees everything: somebody else does it, who has to be able to reach the program.
    let program = dir.path().join("walmedic");
    fs::copy(walmedic().get_program(), &program).expect("copied");
    let nobody = 65_534;
    if !Path::new("/proc/1").is_dir()
        || fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) && fs::read_dir("/proc/1/fd").is_ok()
    {
        println!("not run: there are no other users here");
        return;
    }
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    if root {
        for path in [dir.path(), &log, &log.join("000001.wal")] {
            chown(path, Some(nobody), Some(nobody)).expect("given away");
        }
    }
    let run = |args: &[&str], path: &Path| {
        let mut command = std::process::Command::new(&program);
        command.args(args).arg(path).current_dir("/");
        if root {
            command.uid(nobody).gid(nobody);
        }
        Answer::of(command.output().expect("it runs"))
    };
    let unseen = "may not be looked at: whether one of them writes the log is not known";
    let repair = ["repair", "--as", "ddia-wal", "--in-place", "--apply"];
    let done = run(&repair, &log).exits(1);
    assert!(done.stderr.contains(unseen) && done.stderr.matches('\n').count() == 2, "{done:?}");
    let record = dir.path().join("log.walmedic-1");
    let undone = run(&["undo"], &record).exits(0);
    assert!(undone.stderr.contains(unseen), "{undone:?}");
    let quiet = run(&["repair", "--as", "ddia-wal", "--in-place", "--apply", "--quiet"], &log).exits(1);
    assert_eq!(quiet.stderr, "");
}
