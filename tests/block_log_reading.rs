//! Logs of LevelDB and RocksDB as they are found and not as their engines left them: put away in `archive/` and `lost/`, copied
//! under other names, with parts that nobody knows, blocks in wrong places, transactions whose end is gone.

mod common;

use std::path::Path;

use common::block_log::{BLOCK, Writer, current, operation, put as set};
use common::log::File;
use common::run::run_on;
use serde_json::Value;

/// A log with so many batches of one operation each.
fn log(number: u64, first: u64, batches: u64) -> File {
    let mut writer = Writer::new(number, false, first);
    (0..batches).for_each(|i| writer.put(&format!("key {i}"), "value"));
    writer.file
}

/// A catalogue by which logs count from number `oldest` on; log 8 is tracked.
fn catalogue(oldest: u8) -> File {
    let mut manifest = Writer::manifest(5);
    manifest.record(&[2, oldest, 3, 20, 4, 0]);
    // A log is added: number 8, of which 40 bytes were synced.
    manifest.record(&[0x87, 0x40, 4, 8, 2, 40, 1]);
    manifest.file
}

fn put(dir: &Path, files: &[File]) {
    std::fs::create_dir_all(dir).expect("a directory");
    for file in files {
        std::fs::write(dir.join(&file.name), &file.bytes).expect("a file");
    }
    if files.iter().any(|file| file.name == "CURRENT") {
        std::fs::write(dir.join("OPTIONS-000007"), "[DBOptions]\n").expect("a file");
    }
}

/// What verify says of a store: how many records it counts, and the messages about logs that were put away.
fn told(store: &Path) -> (u64, Vec<String>) {
    let report = run_on("verify", store, "--format json").json();
    let log = &report["logs"][0];
    assert_eq!(report["logs"].as_array().map(Vec::len), Some(1), "{report}");
    let findings = log["findings"].as_array().expect("findings");
    let away = findings.iter().filter(|f| f["code"] == "WM-806");
    let messages = away.map(|f| f["message"].as_str().expect("a message").to_owned()).collect();
    let files = log["files"].as_array().expect("files").iter().filter(|f| f["role"] == "log");
    (files.map(|f| f["records"]["intact"].as_u64().expect("a number")).sum(), messages)
}

#[test]
fn logs_that_were_put_away_are_told_of() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    put(&store, &[log(12, 31, 5), catalogue(12), current(5)]);
    put(&store.join("archive"), &[log(4, 1, 10), log(8, 11, 20)]);
    let mut hurt = log(3, 1, 4);
    hurt.bytes[20] ^= 1;
    put(&store.join("lost"), &[hurt]);
    let (intact, away) = told(&store);
    assert_eq!((intact, away.len()), (5, 2), "{away:?}");
    let (archive, lost) = (&away[0], &away[1]);
    assert!(archive.starts_with("archive/ holds 2 logs, 000004.log to 000008.log: 30 batches"), "{archive}");
    assert!(archive.contains("numbers 1 to 30; the live logs go on from there"), "{archive}");
    assert!(lost.starts_with("lost/ holds one log, 000003.log: 3 batches, numbers 2 to 4, and 1 damaged"));
    assert!(lost.contains("numbers 5 to 30 lie between"), "{lost}");
    // What lies there changes no verdict, and has one of its own.
    assert_eq!(run_on("verify", &store, "").code, 0);
    assert_eq!(run_on("verify", &store.join("lost"), "").code, 1);
    let report = run_on("verify", &store.join("archive"), "--format json").json();
    let found =
        ["format", "path"].map(|name| report["logs"][0][name].as_str().unwrap_or_default().to_owned());
    assert!(found[0] == "rocksdb" && found[1].ends_with("archive"), "{found:?}");
}

#[test]
fn what_is_missing_is_looked_for_among_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    put(&store, &[log(4, 1, 10), log(12, 31, 5), catalogue(4), current(5)]);
    assert_eq!(run_on("verify", &store, "").code, 1);
    put(&store.join("archive"), &[log(8, 11, 20)]);
    let (_, away) = told(&store);
    let listed =
        "archive/000008.log holds 20 batches, numbers 11 to 30; it is a log that the catalogue counts on";
    assert!(away[1].starts_with(listed) && away[1].contains("put it back"), "{away:?}");
    // Without a word of the catalogue the numbers tell.
    std::fs::rename(store.join("archive"), store.join("lost")).expect("it is renamed");
    std::fs::rename(store.join("lost/000008.log"), store.join("lost/000009.log")).expect("it is renamed");
    let (_, away) = told(&store);
    let missing = "lost/000009.log holds 20 batches, numbers 11 to 30; numbers 11 to 30 are missing in front of 000012.log";
    assert!(away[1].starts_with(missing) && !away[1].contains("put it back"), "{away:?}");
}

/// The lines of dump over a file with these bytes.
fn rows(dir: &Path, file: &str, bytes: &[u8], more: &str) -> Vec<Value> {
    let path = dir.join(file);
    std::fs::write(&path, bytes).expect("a file");
    let answer = run_on("dump", &path, &format!("--as rocksdb --format ndjson {more}"));
    assert_eq!(answer.code, 0, "{answer:?}");
    let rows = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.filter(|row| row["type"] == "record").collect()
}

/// Verify on the same file: the log's part of the report.
fn report(dir: &Path, file: &str) -> Value {
    run_on("verify", &dir.join(file), "--as rocksdb --format json").json()["logs"][0].clone()
}

/// Verify on what repair makes of it.
fn repaired(dir: &Path, file: &str) -> Value {
    let copies = dir.join("copies");
    std::fs::create_dir(&copies).expect("a directory");
    let more = format!("--as rocksdb --output {} --apply", copies.join(file).display());
    let answer = run_on("repair", &dir.join(file), &more);
    assert!(answer.code <= 1, "{answer:?}");
    report(&copies, file)
}

/// The messages of the findings with this code.
fn messages(report: &Value, code: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings").iter().filter(|f| f["code"] == code);
    findings.map(|f| f["message"].as_str().expect("a message").to_owned()).collect()
}

#[test]
fn unknown_types_are_shown_and_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = Writer::new(4, false, 1);
    log.aside(130, &[7; 24]);
    log.put("a", "1");
    log.aside(200, b"what for?");
    log.aside(200, b"");
    log.aside(255, &[0; 3]);
    log.put("b", "2");
    let kinds = |more: &str| -> Vec<String> {
        let rows = rows(dir.path(), "000004.log", &log.file.bytes, more);
        let told = rows.iter().map(|row| format!("{} {}", row["kind"], row["key"]).replace('"', ""));
        told.collect()
    };
    let all =
        ["PREDECESSOR null", "PUT a", "UNKNOWN type 200", "UNKNOWN type 200", "UNKNOWN type 255", "PUT b"];
    assert_eq!(kinds(""), all);
    assert_eq!(kinds("--reverse"), all.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(kinds("--op unknown --limit 1"), ["UNKNOWN type 200"]);
    let report = report(dir.path(), "000004.log");
    assert_eq!(report["files"][0]["records"]["intact"], 2);
    assert!(messages(&report, "WM-807")[0].ends_with(": 2 of type 200, 1 of type 255"), "{report}");
}

#[test]
fn a_renamed_log_is_read_by_its_headers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut old = Writer::new(7, true, 1);
    (0..60).for_each(|i| old.put(&format!("old {i}"), "value"));
    let mut new = Writer::new(12, true, 500);
    (0..20).for_each(|i| new.put(&format!("new {i}"), "value"));
    let live = new.file.bytes.len();
    let tail = old.file.bytes.split_off(live);
    let bytes = [new.file.bytes, tail].concat();
    let status = |name: &str| -> Vec<String> {
        let rows = rows(dir.path(), name, &bytes, "--op put");
        rows.iter().map(|row| row["status"].as_str().expect("a word").to_owned()).collect()
    };
    let own = status("000012.log");
    assert_eq!(own.iter().filter(|status| *status == "intact").count(), 20, "{own:?}");
    assert!(own.iter().filter(|status| *status == "stale").count() > 30, "{own:?}");
    for name in ["000099.log", "copy.log", "12"] {
        assert_eq!(status(name), own, "{name}");
    }
    assert!(messages(&report(dir.path(), "000012.log"), "WM-808").is_empty());
    let renamed = report(dir.path(), "000099.log");
    assert!(messages(&renamed, "WM-808")[0].contains("read as log 12"), "{renamed}");
    assert_eq!(renamed["forecast"]["engine"]["records"], 20, "{renamed}");
    // A repair writes what goes with the name.
    let repaired = repaired(dir.path(), "000099.log");
    assert!(messages(&repaired, "WM-808").is_empty(), "{repaired}");
    assert_eq!(repaired["files"][0]["records"]["intact"], 20, "{repaired}");
    // Nor are the headers behind damage believed: those may be the older ones.
    let mut hurt = bytes.clone();
    hurt[..live].fill(0x55);
    std::fs::write(dir.path().join("000012.log"), &hurt).expect("a file");
    assert_eq!(report(dir.path(), "000012.log")["files"][0]["records"]["intact"], 0);
    // In a store a log that was just taken for writing has only older records.
    let store = dir.path().join("store");
    put(&store, &[catalogue(4), current(5)]);
    std::fs::write(store.join("000099.log"), &bytes).expect("a file");
    let taken = run_on("verify", &store, "--format json").json()["logs"][0].clone();
    assert_eq!(taken["files"][0]["records"]["intact"], 0, "{taken}");
}

#[test]
fn a_name_prepared_again_leaves_the_older_one_an_orphan() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = Writer::new(4, false, 1);
    log.prepare(b"x", &[set(b"first", b"1")]);
    // The commit is gone.
    log.put("plain", "");
    let numbers = log.prepare(b"x", &[set(b"second", b"2")]);
    log.commit(b"x", numbers);
    std::fs::write(dir.path().join("000004.log"), &log.file.bytes).expect("a file");
    let told = report(dir.path(), "000004.log");
    assert_eq!(told["orphans"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["orphans"][0]["offset"], 0, "{told}");
    let keys = |policy: &str| -> Vec<String> {
        let path = dir.path().join("000004.log");
        let more = format!("--as rocksdb --policy {policy} --mode tolerate-corrupted-tail --format ndjson");
        let more =
            if policy == "engine" { more } else { more.replace("--mode tolerate-corrupted-tail ", "") };
        let answer = run_on("replay", &path, &more);
        let lines = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter_map(|line| line["key"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(keys("committed"), ["plain", "second"]);
    assert_eq!(keys("salvage"), ["first", "plain", "second"]);
    // RocksDB takes the first of that name.
    assert_eq!(keys("engine"), ["first", "plain"]);
}

/// A block over an earlier place, where the original is damaged itself: what stands in between is in its place.
#[test]
fn a_later_block_over_an_earlier_one_hides_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = Writer::new(4, false, 1);
    while log.file.bytes.len() < 10 * BLOCK {
        log.put(&format!("key {}", log.seq), &"v".repeat(200));
    }
    let mut bytes = log.file.bytes;
    bytes.copy_within(7 * BLOCK..8 * BLOCK, 2 * BLOCK);
    // The original breaks in two.
    bytes[7 * BLOCK + BLOCK / 2] ^= 1;
    std::fs::write(dir.path().join("000004.log"), &bytes).expect("a file");
    let told = report(dir.path(), "000004.log");
    let regions = told["files"][0]["regions"].as_array().expect("regions").clone();
    let foreign: Vec<_> = regions.iter().filter(|region| region["kind"] == "foreign").collect();
    let at = |region: &Value| region["offset"].as_u64().expect("a number") as usize / BLOCK;
    assert!(foreign.len() == 1 && at(foreign[0]) == 2, "{regions:?}");
}

/// Stores whose transactions are written before they commit give each batch one number, whatever it holds.
#[test]
fn numbers_go_by_batches_once_a_transaction_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = Writer::new(4, false, 1);
    let two = [set(b"a", b"1"), set(b"b", b"2")];
    let part = |begin: u8| [operation(begin, None, &[]), two.concat(), operation(10, None, &[b"x"])];
    log.batch_of(&part(0x13), 2, 1);
    log.batch_of(&part(0x12), 2, 1);
    log.batch_of(&two, 2, 1);
    log.batch_of(&[operation(11, None, &[b"x"])], 0, 1);
    log.batch_of(&two, 2, 1);
    log.put("c", "3");
    std::fs::write(dir.path().join("000004.log"), &log.file.bytes).expect("a file");
    let told = report(dir.path(), "000004.log");
    for list in ["gaps", "orphans"] {
        assert!(told[list].as_array().is_some_and(Vec::is_empty), "{told}");
    }
    assert_eq!(told["files"][0]["records"]["intact"], 6, "{told}");
    assert_eq!(told["files"][0]["seq"]["last"], "6", "{told}");
}

/// Empty batches are natural, and so are numbers given to writes that went past the log.
#[test]
fn only_a_repairs_own_words_state_a_gap() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = Writer::new(4, false, 1);
    log.put("a", "1");
    log.batch(&[]);
    log.seq += 5;
    log.batch(&[]);
    log.put("b", "2");
    std::fs::write(dir.path().join("000004.log"), &log.file.bytes).expect("a file");
    let told = report(dir.path(), "000004.log");
    assert_eq!(told["gaps"].as_array().map(Vec::len), Some(1), "{told}");
    assert!(messages(&told, "WM-308").is_empty(), "{told}");
    let repaired = repaired(dir.path(), "000004.log");
    assert!(repaired["gaps"].as_array().is_some_and(Vec::is_empty), "{repaired}");
    assert!(messages(&repaired, "WM-308")[0].starts_with("seq 2..6 missing"), "{repaired}");
}
