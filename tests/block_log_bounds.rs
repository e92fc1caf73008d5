//! Logs that are made to keep a reader busy: what is not followed is told, and nothing intact is called damage.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::block_log::{BLOCK, COMPRESSION, Writer, batch, current, fragment, put as set};
use common::log::File;
use common::run::{run_on, scratch};
use serde_json::Value;

fn put(dir: &Path, files: &[File]) {
    for file in files {
        std::fs::write(dir.join(&file.name), &file.bytes).expect("a file");
    }
}

/// What verify says of a store: intact batches, the first bad byte, and the codes of its findings.
fn told(store: &Path) -> (u64, Value, Vec<String>) {
    let report = run_on("verify", store, "--as rocksdb --format json").json();
    let log = &report["logs"][0];
    let code = |finding: &Value| finding["code"].as_str().expect("a code").to_owned();
    let files = log["files"].as_array().expect("files");
    let intact = files.iter().map(|f| f["records"]["intact"].as_u64().expect("a number")).sum();
    let codes = log["findings"].as_array().expect("findings").iter().map(code).collect();
    let bad = files.iter().map(|f| &f["first_bad_offset"]).find(|at| !at.is_null());
    (intact, bad.cloned().unwrap_or_default(), codes)
}

/// A zstd frame of `head` and of so many blocks of 128 KiB with one byte.
fn frame(head: &[u8], byte: u8, blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    frame.extend_from_slice(&((head.len() as u32) << 3).to_le_bytes()[..3]);
    frame.extend_from_slice(head);
    for nth in 1..=blocks {
        frame.extend_from_slice(&[2 | u8::from(nth == blocks), 0, 0x10, byte]);
    }
    frame
}

fn replayed(store: &Path, policy: &str) -> Value {
    run_on("replay", store, &format!("--as rocksdb --policy {policy} --format json")).json()
}

#[test]
fn what_inflates_without_end_is_bounded_and_told() {
    let dir = scratch();
    let mut log = fragment(COMPRESSION, None, &7u32.to_le_bytes());
    // 256 MiB of operations that do nothing, in 8 KiB.
    log.extend(fragment(1, None, &frame(&batch(1, 0, &[]), 13, 2048)));
    assert!(log.len() < BLOCK);
    std::fs::write(dir.path().join("000004.log"), log).expect("a file");
    let began = Instant::now();
    assert_eq!(told(dir.path()), (1, Value::Null, vec!["WM-904".into()]));
    run_on("gaps", dir.path(), "--as rocksdb").exits(3);
    for policy in ["committed", "salvage"] {
        assert_eq!(replayed(dir.path(), policy)["left_out"]["not_followed"], 1, "{policy}");
    }
    // One that is followed, and of which what the engine does is not known for that.
    let mut sound = Writer::new(8, false, 2);
    sound.put("key", "value");
    put(dir.path(), &[sound.file]);
    let rows = run_on("dump", dir.path(), "--as rocksdb --format ndjson").stdout;
    let fates: Vec<Value> =
        rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row")["fate"].clone()).collect();
    let fates: Vec<&str> = fates.iter().filter_map(Value::as_str).collect();
    assert_eq!(fates, ["mark", "not-followed", "unknown"]);
    std::fs::remove_file(dir.path().join("000008.log")).expect("it is there");
    let engine = replayed(dir.path(), "engine");
    let error = engine["engine_error"].as_str().unwrap_or_default();
    assert!(error.starts_with("not followed by walmedic"), "{engine}");
    assert_eq!(engine["opens"], Value::Null, "{engine}");
    let verified = run_on("verify", dir.path(), "--as rocksdb --format json").json();
    let forecast = &verified["logs"][0]["forecast"];
    let untold =
        [&forecast["engine"]["opens"], &forecast["engine"]["records"], &forecast["at_stake"]["records"]];
    assert_eq!(untold, [&Value::Null; 3], "{forecast}");
    for (command, options) in [("verify", ""), ("replay", "--policy engine"), ("replay", "--history k")] {
        let text = run_on(command, dir.path(), &format!("--as rocksdb {options}")).stdout;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("What the engine would do is not known (not followed by walmedic"), "{text}");
        assert!(!text.contains("refuse"), "{text}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_batch_that_ends_very_many_transactions_is_intact() {
    let dir = scratch();
    let mut log = Writer::new(4, false, 1);
    log.record(&batch(1, 0, &b"\x09\x0a\x00".repeat(5000)));
    log.put("key", "value");
    put(dir.path(), &[log.file]);
    assert_eq!(told(dir.path()), (2, Value::Null, vec!["WM-904".into()]));
    assert_eq!(replayed(dir.path(), "committed")["entries"], 1);
}

#[test]
fn more_transactions_than_are_followed_are_told_in_replay() {
    let dir = scratch();
    let mut log = Writer::new(4, false, 1);
    for nth in 0..20u32 {
        let part = |i: u32| [&b"\x09\x0a\x04"[..], &(nth * 4000 + i).to_le_bytes()].concat();
        log.record(&batch(1, 0, &(0..4000).flat_map(part).collect::<Vec<u8>>()));
    }
    put(dir.path(), &[log.file]);
    let waiting = 20 * 4000 - (1 << 16);
    assert_eq!(replayed(dir.path(), "salvage")["left_out"]["not_followed"], waiting);
}

#[test]
fn what_waits_in_a_log_that_is_flushed_is_no_orphan() {
    let dir = scratch();
    let mut old = Writer::new(4, false, 1);
    old.put("key", "value");
    old.prepare(b"x", &[set(b"first", b"1")]);
    let mut live = Writer::new(8, false, 2);
    live.put("other", "value");
    let mut manifest = Writer::manifest(5);
    manifest.record(&[2, 8, 3, 20, 4, 0]);
    put(dir.path(), &[old.file, live.file, manifest.file, current(5)]);
    let (_, _, codes) = told(dir.path());
    assert_eq!(codes, ["WM-805"]);
    let forecast = &run_on("verify", dir.path(), "--format json").json()["logs"][0]["forecast"];
    assert_eq!(forecast["intact"]["records"], 1, "{forecast}");
}

/// RocksDB keeps the later of two parts with one name and number.
#[test]
fn of_two_parts_with_one_name_in_a_batch_the_later_is_committed() {
    let dir = scratch();
    let mut log = Writer::new(4, false, 1);
    let part = |key: &[u8]| [&b"\x09"[..], &set(key, b"v"), b"\x0a\x01x"].concat();
    log.record(&batch(1, 2, &[part(b"one"), part(b"two")].concat()));
    log.commit(b"x", 1);
    put(dir.path(), &[log.file]);
    let keys = run_on("replay", dir.path(), "--as rocksdb --policy committed --format ndjson").stdout;
    assert!(keys.contains("\"two\"") && !keys.contains("\"one\""), "{keys}");
}

/// The header of the first fragment may fill its block.
#[test]
fn a_compressed_record_may_begin_with_an_empty_fragment() {
    let dir = scratch();
    let mut log = fragment(COMPRESSION, None, &7u32.to_le_bytes());
    let alone = |len| fragment(1, None, &last(frame(&batch(1, 1, &set(b"key", &vec![b'v'; len])), 0, 0)));
    let room = BLOCK - 7 - log.len() - alone(20_000).len();
    log.extend(alone(20_000 + room));
    log.extend(fragment(2, None, &[]));
    log.extend(fragment(4, None, &last(frame(&batch(2, 1, &set(b"other", b"value")), 0, 0))));
    std::fs::write(dir.path().join("000004.log"), log).expect("a file");
    assert_eq!(replayed(dir.path(), "engine")["records_applied"], 2);
}

/// Marks the only block of a frame as its last one.
fn last(mut frame: Vec<u8>) -> Vec<u8> {
    frame[6] |= 1;
    frame
}
