//! What a whole directory of LevelDB or RocksDB proves of its logs: where they must begin, which of them and of the tables must be
//! there, which lie there twice or under another's name. And what is no proof: numbers given out for writes without a log.

mod common;

use std::path::Path;

use common::block_log::{BLOCK, Writer, batch, current, fragment, operation, put as set};
use common::log::File;
use common::run::{Answer, run_on};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;

/// A log with so many batches of one operation each.
fn log(number: u64, first: u64, batches: u64) -> File {
    let mut writer = Writer::new(number, false, first);
    (0..batches).for_each(|i| writer.put(&format!("key {}", first + i), "value"));
    writer.file
}

/// A catalogue with this number and these fields of an edit.
fn catalogue(number: u64, fields: &[u8]) -> Vec<File> {
    let mut manifest = Writer::manifest(number);
    manifest.record(fields);
    vec![manifest.file, current(number)]
}

/// Writes a store anew. Without OPTIONS it is LevelDB's.
fn store(dir: &Path, files: &[&[File]], options: Option<&str>) {
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).expect("a directory");
    for file in files.iter().copied().flatten() {
        std::fs::write(dir.join(&file.name), &file.bytes).expect("a file");
    }
    if let Some(options) = options {
        std::fs::write(dir.join("OPTIONS-000099"), options).expect("a file");
    }
}

const OPTIONS: Option<&str> = Some("[Version]\n  rocksdb_version=7.8.3\n[DBOptions]\n");
const KEEPS_LOGS: Option<&str> =
    Some("  rocksdb_version=7.8.3\n[DBOptions]\n  avoid_flush_during_recovery=true\n");
/// Of a version that nobody measured.
const OLDER: Option<&str> = Some("  rocksdb_version=5.18.3\n[DBOptions]\n");

fn verified(dir: &Path) -> Value {
    run_on("verify", dir, "--format json").json()["logs"][0].clone()
}

/// Codes of the findings that are no notes.
fn wrong(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let codes = findings.filter(|f| f["class"] != "note").map(|f| f["code"].as_str().expect("a code").into());
    codes.collect()
}

/// The messages of the findings with this code.
fn messages(report: &Value, code: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings").iter().filter(|f| f["code"] == code);
    findings.map(|f| f["message"].as_str().expect("a message").to_owned()).collect()
}

fn repair(dir: &Path, out: &Path) -> Answer {
    run_on("repair", dir, &format!("--apply --output {}", out.display()))
}

#[test]
fn leveldb_misses_its_oldest_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    // Log number 4, next file 20, last sequence 0.
    let lists = catalogue(2, &[2, 4, 3, 20, 4, 0]);
    store(&at, &[&lists, &[log(4, 1, 30), log(8, 31, 5)]], None);
    assert_eq!(wrong(&verified(&at)), [""; 0]);
    std::fs::remove_file(at.join("000004.log")).expect("it is there");
    let told = verified(&at);
    let gap = &told["gaps"][0];
    assert_eq!((&gap["first_missing"], &gap["last_missing"]), (&"1".into(), &"30".into()), "{told}");
    assert_eq!((&gap["after"], &gap["cause"]), (&Value::Null, &"missing-file".into()), "{told}");
    assert_eq!(wrong(&told), ["WM-302"], "{told}");
    assert!(messages(&told, "WM-307")[0].contains("000004.log"), "{told}");
    let gaps = run_on("gaps", &at, "");
    assert!(gaps.code == 1 && gaps.stdout.contains("in front of 000008.log:0x0"), "{gaps:?}");
    // A repair states it, and then it is told by a note.
    let out = dir.path().join("repaired");
    let answer = repair(&at, &out);
    assert_eq!(answer.code, 1, "{answer:?}");
    let repaired = verified(&out);
    assert_eq!(wrong(&repaired), [""; 0], "{repaired}");
    assert!(messages(&repaired, "WM-308")[0].starts_with("seq 1..30 missing"), "{repaired}");
    assert_eq!(repaired["forecast"]["engine"]["records"], 5, "{repaired}");
    // The catalogue's last number may be one that the lost log held.
    store(&at, &[&catalogue(2, &[2, 4, 3, 20, 4, 30]), &[log(8, 31, 5)]], None);
    assert!(messages(&verified(&at), "WM-307")[0].contains("000004.log, which is not there"));
    // What the tables hold is not missing, and nothing is said of where the log begins.
    store(&at, &[&catalogue(2, &[2, 8, 3, 20, 4, 30]), &[log(8, 31, 5)]], None);
    let flushed = verified(&at);
    assert_eq!(flushed["findings"].as_array().map(Vec::len), Some(0), "{flushed}");
    // Nor is it told again where damage in front tells it.
    store(&at, &[&catalogue(2, &[2, 8, 3, 20, 4, 0]), &[log(8, 1, 40)]], None);
    let mut bytes = std::fs::read(at.join("000008.log")).expect("it is there");
    bytes[20] ^= 1;
    std::fs::write(at.join("000008.log"), &bytes).expect("it is written");
    let hurt = verified(&at);
    assert_eq!(wrong(&hurt), ["WM-201"], "{hurt}");
    // Records that were taken out of it without damage are missing.
    bytes[20] ^= 1;
    let len = bytes.len() / 40;
    std::fs::write(at.join("000008.log"), &bytes[10 * len..]).expect("it is written");
    assert!(wrong(&verified(&at)).contains(&"WM-301".to_owned()), "{}", verified(&at));
}

#[test]
fn rocksdb_misses_logs_only_where_numbers_and_names_prove_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let findings = |manifest: u64, fields: &[u8], logs: &[File], options| {
        store(&at, &[&catalogue(manifest, fields), logs], options);
        let told = verified(&at);
        (wrong(&told), messages(&told, "WM-307").len())
    };
    let fresh = &[2, 0, 3, 6, 4, 0][..];
    let one = |findings: &[&str], notes: usize| {
        (findings.iter().map(|&code| code.to_owned()).collect::<Vec<_>>(), notes)
    };
    // The first log of all: what it lacks was written without one.
    assert_eq!(findings(5, fresh, &[log(4, 9, 5)], OPTIONS), one(&[], 0));
    // The log that the session began with, behind a recovery that left none.
    let recovered = &[2, 5, 3, 14, 4, 20, 10, 5][..];
    assert_eq!(findings(13, recovered, &[log(12, 31, 5)], OPTIONS), one(&[], 0));
    assert_eq!(findings(13, recovered, &[log(12, 31, 5)], KEEPS_LOGS), one(&["WM-302"], 0));
    assert_eq!(findings(13, recovered, &[log(12, 21, 5)], KEEPS_LOGS), one(&[], 0));
    // A log of a session before is there, and that one is not.
    let kept = &[log(4, 1, 5)];
    assert_eq!(findings(13, &[2, 0, 3, 14, 4, 0], kept, OPTIONS), one(&[], 1));
    assert_eq!(findings(13, &[2, 0, 3, 14, 4, 0], kept, OLDER), one(&[], 1));
    // Logs that a flush has told of: 12 holds what a family still needs, 14 is written.
    let flushed = &[200, 1, 1, 201, 1, 3, b'o', b'n', b'e', 2, 14, 3, 20, 4, 20, 10, 12][..];
    assert_eq!(findings(5, flushed, &[log(12, 25, 5), log(14, 30, 5)], OPTIONS).0.len(), 0);
    assert_eq!(findings(5, flushed, &[log(14, 30, 5)], OPTIONS), one(&["WM-302"], 1));
    assert_eq!(findings(5, flushed, &[log(12, 21, 5)], OPTIONS), one(&[], 1));
    assert!(messages(&verified(&at), "WM-307")[0].contains("000014.log is not there, nor is IDENTITY"));
    // In a store of its own it is missing, empty or not.
    std::fs::write(at.join("IDENTITY"), "an id").expect("a file");
    assert!(messages(&verified(&at), "WM-307")[0].contains("counts on 000014.log"));
    // Where no log is left at all, what was written last is missing for sure.
    assert_eq!(findings(5, flushed, &[], OPTIONS), one(&["WM-302"], 1));
    std::fs::write(at.join("IDENTITY"), "an id").expect("a file");
    assert_eq!(wrong(&verified(&at)), ["WM-302", "WM-302"]);
    // They all lie elsewhere.
    let apart = Some("  rocksdb_version=7.8.3\n[DBOptions]\n  wal_dir=/of/logs\n");
    assert_eq!(findings(5, flushed, &[], apart), one(&[], 2));
    assert!(messages(&verified(&at), "WM-307")[0].ends_with("OPTIONS names /of/logs for logs"));
}

#[test]
fn a_log_that_one_family_still_needs_is_missed_where_no_number_tells() {
    let dir = tempfile::tempdir().expect("a directory");
    let (at, out) = (dir.path().join("store"), dir.path().join("repaired"));
    // The default family was flushed when log 12 began; family one needs log 4 as well.
    let one = &[200, 1, 1, 201, 1, 3, b'o', b'n', b'e', 2, 4, 10, 4][..];
    let mut manifest = Writer::manifest(5);
    manifest.record(one);
    manifest.record(&[2, 12, 3, 20, 4, 20]);
    let lists = [manifest.file, current(5)];
    let notes = |logs: &[File], options| {
        store(&at, &[&lists, logs], options);
        messages(&verified(&at), "WM-307").concat()
    };
    assert_eq!(notes(&[log(4, 1, 20), log(12, 21, 5)], OPTIONS), "");
    assert!(notes(&[log(12, 21, 5)], OPTIONS).contains("000004.log, which is not there: it held something"));
    // Nothing stands in its place that a repair could state.
    assert_eq!(repair(&at, &out).code, 0);
    assert_eq!(wrong(&verified(&out)), [""; 0]);
    // Where edits are lost, one of them may say that it is not needed any more.
    let mut bytes = std::fs::read(at.join("MANIFEST-000005")).expect("it is there");
    bytes.extend(fragment(1, None, &[2]));
    std::fs::write(at.join("MANIFEST-000005"), bytes).expect("it is written");
    let hurt = verified(&at);
    assert!(messages(&hurt, "WM-307")[0].contains("an edit that is lost"), "{hurt}");
    std::fs::remove_dir_all(&out).expect("the copy");
    let plan = run_on("repair", &at, "--rebuild-manifest --force").stdout;
    let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plan.contains("000004.log is not there, and counted on no more"), "{plan}");
    let made = format!("--rebuild-manifest --force --apply --output {}", out.display());
    let made = run_on("repair", &at, &made);
    assert_eq!((made.code, wrong(&verified(&out)).len()), (0, 0), "{made:?}");
    // A log that was kept from the session before makes the next one begin though this one is empty.
    assert!(notes(&[log(12, 21, 5)], KEEPS_LOGS).contains("nor is IDENTITY"));
    // Between them log 8 was begun, and the last one is empty.
    let mut manifest = Writer::manifest(5);
    [one, &[2, 8, 3, 20, 4, 20], &[2, 12, 3, 20, 4, 20]].iter().for_each(|edit| manifest.record(edit));
    let (four, empty) = (log(4, 1, 20), Writer::new(12, false, 21).file);
    store(&at, &[&[manifest.file, current(5)], &[four, empty]], OPTIONS);
    assert!(
        messages(&verified(&at), "WM-307")[0].contains("000008.log, which is not there: it held something")
    );
}

#[test]
fn between_logs_that_the_tables_hold_nothing_is_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let mut flushed = Writer::new(8, false, 9);
    flushed.put("a", "before");
    // A file that was ingested.
    flushed.seq += 1;
    flushed.put("b", "behind");
    let findings = |oldest: u8| {
        let lists = catalogue(5, &[2, oldest, 3, 20, 4, 20, 10, oldest]);
        let logs = [log(6, 1, 5), flushed.file.clone(), log(14, 21, 5)];
        store(&at, &[&lists, &logs], OPTIONS);
        wrong(&verified(&at))
    };
    assert_eq!(findings(14), [""; 0]);
    assert_eq!(findings(6), ["WM-302", "WM-301", "WM-302"]);
}

#[test]
fn a_directory_is_none_of_the_files_of_a_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    store(&at, &[&catalogue(2, &[2, 4, 3, 20, 4, 0]), &[log(4, 1, 30)]], None);
    assert_eq!(verified(&at)["format"], "leveldb");
    std::fs::create_dir(at.join("IDENTITY")).expect("a directory");
    assert_eq!(verified(&at)["format"], "leveldb");
}

#[test]
fn a_checkpoint_leaves_out_the_last_log_while_it_is_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let key = [&[9, b'k'][..], &[1; 8]].concat();
    let table = &[&[7, 0, 6, 100][..], &key, &key].concat()[..];
    let with = |table: &[u8], fields: &[u8], identity: bool| {
        store(&at, &[&catalogue(5, &[fields, table].concat())], OPTIONS);
        std::fs::write(at.join("000006.sst"), [0; 100]).expect("a file");
        if identity {
            std::fs::write(at.join("IDENTITY"), "an id").expect("a file");
        }
        let told = verified(&at);
        (wrong(&told), messages(&told, "WM-307").len())
    };
    let findings = |fields: &[u8], identity: bool| with(table, fields, identity);
    // The table was flushed; logs count from 14 on, and nothing was written since.
    let flushed = &[2, 14, 3, 20, 4, 20, 10, 14][..];
    assert_eq!(findings(flushed, false), (vec![], 1));
    // The store itself has one.
    assert_eq!(findings(flushed, true), (vec!["WM-302".into()], 0));
    // Nothing was ever written.
    let fresh = &[2, 0, 3, 6, 4, 0][..];
    assert_eq!(with(&[], fresh, false), (vec![], 1));
    assert_eq!(with(&[], fresh, true), (vec!["WM-302".into()], 0));
    // One that still holds what a family needs is never left out.
    let needed = &[2, 14, 3, 20, 4, 20, 10, 12][..];
    assert!(!findings(needed, false).0.is_empty());
}

#[test]
fn numbers_of_files_that_were_ingested_are_not_missing() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let mut writer = Writer::new(4, false, 1);
    writer.put("a", "before");
    writer.seq += 1;
    writer.put("b", "behind");
    let key = [&[9, b'k'][..], &[1; 8]].concat();
    let gaps = |first: u8, last: u8| {
        // Level 6, number 8, 100 bytes, and the sequence numbers that it holds.
        let table = [&[100, 6, 8, 100][..], &key, &key, &[first, last]].concat();
        let lists = catalogue(5, &[&[2, 0, 3, 9, 4, 2][..], &table].concat());
        store(&at, &[&lists, std::slice::from_ref(&writer.file)], OPTIONS);
        std::fs::write(at.join("000008.sst"), [0; 100]).expect("a file");
        wrong(&verified(&at))
    };
    assert_eq!(gaps(2, 2), [""; 0]);
    // This one says nothing of the number in between.
    assert_eq!(gaps(1, 3), ["WM-301"]);
}

#[test]
fn families_that_were_dropped_do_not_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let mut writer = Writer::new(4, false, 1);
    writer.batch(&[
        set(b"a", b"v"),
        operation(5, Some(1), &[b"b", b"v"]),
        operation(5, Some(2), &[b"c", b"v"]),
    ]);
    let families = |fields: &[u8], policy: &str| {
        store(&at, &[&catalogue(5, fields), std::slice::from_ref(&writer.file)], OPTIONS);
        let replay = run_on("replay", &at, &format!("--format json --policy {policy}")).json();
        let families = replay["column_families"].as_object().map(|all| all.keys().cloned().collect());
        families.unwrap_or_else(|| vec![format!("default: {}", replay["entries"])])
    };
    for policy in ["engine", "committed"] {
        // The MANIFEST was begun when numbers up to 2 were given out: both are gone.
        let gone = families(&[2, 4, 3, 6, 4, 0, 203, 1, 2], policy);
        assert!(!gone.iter().any(|name| name.starts_with('#')), "{policy}: {gone:?}");
        // An edit that adds one is lost: the engine goes on without it.
        let lost = families(&[2, 4, 3, 6, 4, 0, 203, 1, 1], policy);
        assert_eq!(lost.contains(&"#2".to_owned()), policy == "committed", "{policy}: {lost:?}");
        assert!(!lost.contains(&"#1".to_owned()), "{policy}: {lost:?}");
    }
}

#[test]
fn tables_are_missed() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let key = [&[9, b'k'][..], &[1; 8]].concat();
    // A table: level 0, number 6, 100 bytes, its first and its last key.
    let edit = [&[2, 8, 3, 20, 4, 30, 7, 0, 6, 100][..], &key, &key].concat();
    let lists = catalogue(2, &edit);
    store(&at, &[&lists, &[log(8, 31, 5)]], None);
    let told = verified(&at);
    assert_eq!(wrong(&told), ["WM-302"], "{told}");
    assert!(messages(&told, "WM-302")[0].contains("000006.ldb"), "{told}");
    assert_eq!(told["forecast"]["engine"]["opens"], false, "{told}");
    let modes = told["forecast"]["modes"].as_array().expect("modes");
    assert!(!modes.is_empty() && modes.iter().all(|mode| mode["opens"] == false), "{told}");
    let replay = run_on("replay", &at, "--policy engine --format json").json();
    assert_eq!(replay["opens"], false, "{replay}");
    std::fs::write(at.join("000006.sst"), [0; 100]).expect("a file");
    assert_eq!(wrong(&verified(&at)), [""; 0]);
    std::fs::write(at.join("000006.sst"), [0; 99]).expect("a file");
    let told = verified(&at);
    assert_eq!((wrong(&told), &told["forecast"]["engine"]["opens"]), (vec!["WM-701".into()], &true.into()));
}

#[test]
fn a_log_under_two_numbers_counts_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (at, out) = (dir.path().join("store"), dir.path().join("repaired"));
    let lists = catalogue(5, &[2, 0, 3, 12, 4, 0]);
    let (four, eight) = (log(4, 1, 30), log(8, 31, 20));
    // Under a lower number, under one that another file has, under a higher one; and the first part of it.
    let parts = [(3, "000003.log", 4), (5, "000005.log", 8), (50, "000050.log", 8), (7, "000007.log", 4)];
    for (number, copy, of) in parts {
        let mut twin = if of == 4 { log(4, 1, 30) } else { log(8, 31, 20) };
        twin.name = copy.into();
        if number == 7 {
            let half = twin.bytes.len() / 2;
            twin.bytes.truncate(half);
        }
        store(&at, &[&lists, &[twin], std::slice::from_ref(&four), std::slice::from_ref(&eight)], OPTIONS);
        let told = verified(&at);
        let found = messages(&told, "WM-303").join("; ");
        assert!(found.ends_with(&format!("this file is a copy of {of:06}.log")), "{copy}: {told}");
        assert_eq!(told["forecast"]["intact"]["records"], 50, "{copy}: {told}");
        for policy in ["committed", "salvage"] {
            let replay = run_on("replay", &at, &format!("--policy {policy} --format json")).json();
            assert_eq!(replay["records_applied"], 50, "{copy} {policy}: {replay}");
        }
        let _ = std::fs::remove_dir_all(&out);
        let answer = repair(&at, &out);
        assert!(answer.code <= 1, "{copy}: {answer:?}");
        let repaired = verified(&out);
        assert_eq!(wrong(&repaired), [""; 0], "{copy}: {repaired}");
        assert_eq!(repaired["forecast"]["engine"]["records"], 50, "{copy}: {repaired}");
        assert_eq!(std::fs::read(out.join(copy)).map(|bytes| bytes.len()).ok(), Some(0), "{copy}");
    }
}

#[test]
fn names_that_were_swapped_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("store");
    let lists = catalogue(2, &[2, 4, 3, 20, 4, 0]);
    let (mut four, mut eight) = (log(4, 1, 30), log(8, 31, 20));
    std::mem::swap(&mut four.name, &mut eight.name);
    store(&at, &[&lists, &[four, eight, log(12, 51, 5)]], None);
    let told = verified(&at);
    assert_eq!(wrong(&told), ["WM-305"], "{told}");
    let hints = messages(&told, "WM-808");
    assert!(hints.len() == 2 && hints[0].contains("numbers 31 to 50: by their order its name is 000008.log"));
    assert!(hints[1].contains("numbers 1 to 30: by their order its name is 000004.log"), "{hints:?}");
    // A repair of LevelDB's gives them back.
    let out = dir.path().join("repaired");
    let answer = repair(&at, &out);
    assert!(answer.code <= 1, "{answer:?}");
    assert_eq!(verified(&out)["findings"].as_array().map(Vec::len), Some(0), "{}", verified(&out));
    assert_eq!(std::fs::read(out.join("000004.log")).ok(), Some(log(4, 1, 30).bytes));
    assert_eq!(std::fs::read(out.join("000008.log")).ok(), Some(log(8, 31, 20).bytes));
    // Headers that carry a number tell it themselves: what the tables do not hold is not written over.
    let recycled = |number: u64, first: u64| {
        let mut writer = Writer::new(number, true, first);
        (0..20).for_each(|i| writer.put(&format!("key {i}"), "value"));
        writer.file
    };
    let mut live = recycled(12, 31);
    live.name = "000008.log".into();
    let lists = catalogue(5, &[2, 12, 3, 20, 4, 30, 10, 12]);
    store(&at, &[&lists, &[live]], OPTIONS);
    let told = verified(&at);
    assert!(messages(&told, "WM-305")[0].contains("this is 000012.log"), "{told}");
    assert_eq!(told["forecast"]["engine"]["records"], 0, "as the real one: {told}");
    let mut older = recycled(8, 11);
    older.name = "000012.log".into();
    store(&at, &[&lists, &[older]], OPTIONS);
    assert_eq!(wrong(&verified(&at)), [""; 0], "a log that was just taken for writing");
}

/// A compressed record as RocksDB cuts it: where blocks end, and where its buffer of nearly a block is full.
fn packed(contents: &[u8], out: &mut Vec<u8>) {
    let payload = compress_to_vec(contents, CompressionLevel::Fastest);
    let pieces: Vec<&[u8]> = payload.chunks(BLOCK - 7).collect();
    let mut first = true;
    for (nth, piece) in pieces.iter().enumerate() {
        let mut rest = *piece;
        while !rest.is_empty() {
            let left = BLOCK - out.len() % BLOCK;
            if left < 7 {
                out.resize(out.len() + left, 0);
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(left - 7));
            let last = later.is_empty() && nth + 1 == pieces.len();
            let kind = [[3, 4], [2, 1]][usize::from(first)][usize::from(last)];
            out.extend(fragment(kind, None, now));
            (rest, first) = (later, false);
        }
    }
}

#[test]
fn blocks_swapped_inside_compressed_values_are_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut bytes = fragment(9, None, &7u32.to_le_bytes());
    let mut random = common::random::Random::new(7);
    for seq in 1..=6 {
        let value: Vec<u8> = (0..120_000 + seq * 977).map(|_| random.below(256) as u8).collect();
        packed(&batch(seq, 1, &set(format!("key {seq}").as_bytes(), &value)), &mut bytes);
    }
    let at = dir.path().join("000004.log");
    let report = |bytes: &[u8]| {
        std::fs::write(&at, bytes).expect("a file");
        run_on("verify", &at, "--as rocksdb --format json").json()["logs"][0].clone()
    };
    let sound = report(&bytes);
    assert_eq!((wrong(&sound).len(), &sound["files"][0]["records"]["intact"]), (0, &6.into()), "{sound}");
    // Both lie inside values that compression leaves as they are, and every checksum holds.
    let (head, tail) = bytes.split_at_mut(13 * BLOCK);
    head[BLOCK..2 * BLOCK].swap_with_slice(&mut tail[..BLOCK]);
    let swapped = report(&bytes);
    assert_eq!(swapped["files"][0]["records"]["intact"], 4, "{swapped}");
    assert!(messages(&swapped, "WM-207").iter().all(|what| what.contains("end of a fragment")), "{swapped}");
}

#[test]
fn gaps_lie_within_the_numbers_that_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let File { mut bytes, name, .. } = log(4, 1, 9);
    let len = bytes.len() / 9;
    // The first and the last record are recovered, and what they stood beside is gone.
    (bytes[6], bytes[8 * len + 6]) = (3, 2);
    bytes.drain(7 * len..8 * len);
    bytes.drain(len..2 * len);
    let at = dir.path().join(&name);
    std::fs::write(&at, bytes).expect("a file");
    let gaps = run_on("gaps", &at, "--as leveldb").stdout;
    assert!(gaps.contains("seq 1..9, 2 gaps, 2 missing, 0 recovered"), "{gaps}");
}
