//! Choices about damaged WALs on the command line: a program that grades what can be made of them, words put right under
//! every strategy.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::Connection;

const STRIDE: usize = 24 + 512;

/// A WAL of several transactions, and the frame in which a bit is flipped: no later one heals its page.
fn damaged() -> (tempfile::TempDir, Vec<u8>) {
    let work = tempfile::tempdir().expect("a directory");
    let db = Connection::open(work.path().join("app.db")).expect("a connection");
    db.execute_batch(
        "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
         CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT); CREATE INDEX by_body ON notes(body);",
    )
    .expect("a schema");
    for id in 0..40 {
        let body = format!("{id} ").repeat(20);
        db.execute("INSERT INTO notes VALUES(?1, ?2)", (id, body)).expect("a row");
    }
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(work.path().join(name), dir.path().join(name)).expect("a copy");
    }
    let wal = dir.path().join("app.db-wal");
    let sound = std::fs::read(&wal).expect("a log");
    let frames = (sound.len() - 32) / STRIDE;
    let page = |frame: usize| &sound[32 + frame * STRIDE..][..4];
    let last = |frame: &usize| (frame + 1..frames).all(|later| page(later) != page(*frame));
    let frame = (frames / 2..frames - 2).find(last).expect("a page that is not written again");
    let mut bytes = sound.clone();
    bytes[32 + frame * STRIDE + 24 + 300] ^= 4;
    std::fs::write(&wal, bytes).expect("a damaged log");
    (dir, sound)
}

fn walmedic(args: &[&str], paths: &[&Path]) -> Output {
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    command.args(args).args(paths).output().expect("a run")
}

/// The file that SQLite leaves of a copy of these.
fn engine(dir: &Path) -> Vec<u8> {
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"].into_iter().filter(|name| dir.join(name).exists()) {
        std::fs::copy(dir.join(name), copy.path().join(name)).expect("a copy");
    }
    let db = Connection::open(copy.path().join("app.db")).expect("a connection");
    db.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0)).expect("a database");
    db.close().expect("closed");
    std::fs::read(copy.path().join("app.db")).expect("a database")
}

/// A program that notes what it is run with, and answers.
fn judge(dir: &Path, answer: &str) -> PathBuf {
    let path = dir.join("judge");
    let log = dir.join("asked");
    let script = format!("#!/bin/sh\necho \"$# $2 $(wc -c < \"$1\")\" >> '{}'\n{answer}\n", log.display());
    std::fs::write(&path, script).expect("a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
    path
}

fn judged(out: &Output) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_slice(&out.stdout).expect("json");
    let candidates = document["candidates"].as_array().expect("a list");
    candidates.iter().map(|c| c["engine_says"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn a_program_grades_every_file_that_can_be_made() {
    let (dir, _) = damaged();
    let files = |dir: &Path| -> Vec<_> {
        ["app.db", "app.db-wal"].map(|name| std::fs::read(dir.join(name)).expect("a file")).into()
    };
    let before = files(dir.path());
    let tools = tempfile::tempdir().expect("a directory");
    // It may do to the file what it wants.
    let program = judge(tools.path(), "echo 'row 7 missing'; echo more; : > \"$1\"; exit 1");
    let args = ["replay", "--format", "json", "--grade-with", program.to_str().expect("a name")];
    let out = walmedic(&args, &[dir.path()]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let answers = judged(&out);
    assert!(answers.len() >= 4 && answers.iter().all(|answer| answer == "row 7 missing"), "{answers:?}");
    let asked = std::fs::read_to_string(tools.path().join("asked")).expect("a list");
    assert_eq!(asked.lines().count(), answers.len());
    for line in asked.lines() {
        let bytes: usize = line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a length");
        assert!(
            line.starts_with("2 PRAGMA integrity_check; ") && bytes > 0 && bytes.is_multiple_of(512),
            "{line}"
        );
    }
    assert!(files(dir.path()) == before, "the input was touched");
    let text = walmedic(&["replay", "--grade-with", program.to_str().expect("a name")], &[dir.path()]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("row 7 missing"));
    // What it says on stderr alone counts, too; one that cannot be run is an error.
    let program = judge(tools.path(), "echo 'no such table' >&2");
    let args = ["replay", "--format", "json", "--grade-with", program.to_str().expect("a name")];
    assert!(judged(&walmedic(&args, &[dir.path()])).iter().all(|answer| answer == "no such table"));
    let out = walmedic(&["replay", "--grade-with", "/nonexistent/judge"], &[dir.path()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("/nonexistent/judge: cannot be run"));
}

#[test]
fn the_real_engine_grades_as_walmedic_does() {
    if Command::new("sqlite3").arg("-version").output().is_err() {
        eprintln!("skipped: there is no sqlite3 on this machine to grade with");
        return;
    }
    let (dir, _) = damaged();
    let out = walmedic(&["replay", "--format", "json", "--grade-with", "sqlite3"], &[dir.path()]);
    let document: serde_json::Value = serde_json::from_slice(&out.stdout).expect("json");
    let candidates = document["candidates"].as_array().expect("a list");
    for candidate in candidates {
        let (problems, judged) = (candidate["problems"].as_u64(), candidate["engine_says"].as_str());
        assert_eq!(problems == Some(0), judged == Some("ok"), "{candidate}");
    }
    let best = candidates.iter().find(|candidate| candidate["best"] == true).expect("a best one");
    assert_eq!(
        (best["engine_says"].as_str(), best["name"].as_str()),
        (Some("ok"), Some("committed --repair-words")),
        "{best}"
    );
    assert!(candidates.iter().any(|candidate| candidate["engine_says"] != "ok"), "{candidates:?}");
}

/// What the engine keeps does not depend on what a checksum would put right, and no engine puts it right.
#[test]
fn words_are_put_right_for_any_strategy_but_the_engines() {
    let (dir, sound) = damaged();
    let theirs = engine(dir.path());
    let all = tempfile::tempdir().expect("a directory");
    std::fs::copy(dir.path().join("app.db"), all.path().join("app.db")).expect("a copy");
    std::fs::write(all.path().join("app.db-wal"), &sound).expect("a log");
    let whole = engine(all.path());
    for more in [&[][..], &["--checkpoint"]] {
        let target = tempfile::tempdir().expect("a directory");
        let repair = |strategy: &[&str], name: &str| {
            let to = target.path().join(name);
            let args = [&["repair"], more, strategy, &["--apply", "--output"]].concat();
            let out = walmedic(&args, &[&to, dir.path()]);
            assert!(matches!(out.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&out.stderr));
            engine(&to)
        };
        assert!(repair(&["--strategy", "engine"], "engine") == theirs, "{more:?}: not what SQLite holds now");
        assert!(
            repair(&["--repair-words"], "words") == whole,
            "{more:?}: not what it held before the damage"
        );
        for words in ["repair", "replay"] {
            let engine = if words == "repair" { ["--strategy", "engine"] } else { ["--policy", "engine"] };
            let more = if words == "repair" { more } else { &[] };
            let args = [&[words], more, &engine, &["--repair-words"]].concat();
            let out = walmedic(&args, &[dir.path()]);
            assert_eq!(out.status.code(), Some(2), "{args:?}");
            assert!(String::from_utf8_lossy(&out.stderr).contains("no engine does that"), "{args:?}");
        }
    }
    assert!(whole != theirs);
}
