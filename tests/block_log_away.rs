//! Logs in `archive/` and `lost/` below a store: told of, never counted, and named where they hold what the store lacks.

mod common;

use std::path::Path;

use common::block_log::{Writer, current};
use common::log::File;
use common::run::run_on;

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
        "archive/000008.log holds 20 batches, numbers 11 to 30; it is the log that the catalogue lists";
    assert!(away[1].starts_with(listed) && away[1].contains("put it back"), "{away:?}");
    // Without a word of the catalogue the numbers tell.
    std::fs::rename(store.join("archive"), store.join("lost")).expect("it is renamed");
    std::fs::rename(store.join("lost/000008.log"), store.join("lost/000009.log")).expect("it is renamed");
    let (_, away) = told(&store);
    let missing = "lost/000009.log holds 20 batches, numbers 11 to 30; numbers 11 to 30 are missing in front of 000012.log";
    assert!(away[1].starts_with(missing) && !away[1].contains("put it back"), "{away:?}");
}
