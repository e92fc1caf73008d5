//! What `replay` makes of logs: where `--until` cuts, what a key went through, states beside each other, states written
//! into files and engines.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use common::log::Log;
use common::read::open;
use common::wal::{Revision, Writer, record};
use serde_json::Value;
use walmedic::analysis::{OpenLog, Report};
use walmedic::engine::btree::{self, BTree};
use walmedic::engine::lsm::{self, LsmTree};
use walmedic::engine::storage::Directory;
use walmedic::engine::wal::{self, WalStore};
use walmedic::format::ALL;
use walmedic::replay::into::{Engine, build};
use walmedic::replay::measure::measure;
use walmedic::replay::until::{self, Point};
use walmedic::replay::{Policy, Wish, replay, value_bytes};

type Pairs = BTreeMap<String, String>;

fn wish(policy: Policy) -> Wish {
    Wish::new(policy, u64::MAX)
}

fn pairs(log: &OpenLog, report: &Report, wish: &Wish) -> Pairs {
    let replayed = replay(log, report, wish).expect("a state");
    let mut pairs = Pairs::new();
    for live in replayed.state.iter().expect("in memory") {
        let live = live.expect("in memory");
        let mut value = Vec::new();
        let whole = value_bytes(log, &live.value, &mut |piece| {
            value.extend_from_slice(piece);
            Ok(())
        });
        whole.expect("in memory");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        pairs.insert(text(&live.key), text(&value));
    }
    pairs
}

/// `key=value` of what a log holds up to a number.
fn until(log: &Log, policy: Policy, undecided: bool, seq: u64) -> String {
    up_to(log, policy, undecided, Point::Seq(seq))
}

fn up_to(log: &Log, policy: Policy, undecided: bool, point: Point) -> String {
    let open = open(log);
    let report = open.analyse(1);
    let until = until::find(&open, &report, point).expect("a log that can be cut");
    let held = pairs(&open, &report, &Wish { until, undecided, ..wish(policy) });
    held.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

// ---- until --------------------------------------------------------------------------------------------------------

/// 1 a, 2 BEGIN, 3 b, 4 c, 5 COMMIT, 6 a
fn batch_between(revision: Revision) -> Log {
    let mut writer = Writer::new(revision, 10_000);
    writer.put("a", "1");
    writer.batch(&[(1, b"b", b"1"), (1, b"c", b"1")], true);
    writer.put("a", "2");
    writer.finish()
}

#[test]
fn a_cut_leaves_whole_transactions() {
    let log = batch_between(Revision::V2);
    for policy in [Policy::Committed, Policy::Salvage] {
        let held: Vec<String> = (0..8).map(|seq| until(&log, policy, false, seq)).collect();
        let whole = "a=1 b=1 c=1";
        assert_eq!(held, ["", "a=1", "a=1", "a=1", "a=1", whole, "a=2 b=1 c=1", "a=2 b=1 c=1"]);
    }
}

#[test]
fn a_log_is_cut_behind_a_commit() {
    let mut writer = Writer::new(Revision::V2, 10_000);
    writer.put("a", "1");
    writer.batch(&[(1, b"b", b"1"), (1, b"c", b"1")], true);
    writer.put("a", "2");
    writer.batch(&[(1, b"b", b"2")], true);
    writer.put("a", "3");
    let log = writer.finish();
    for policy in [Policy::Committed, Policy::Salvage] {
        let held: Vec<String> = (0..4).map(|n| up_to(&log, policy, false, Point::Commit(n))).collect();
        assert_eq!(held, ["", "a=1 b=1 c=1", "a=2 b=2 c=1", "a=3 b=2 c=1"]);
    }
}

#[test]
fn a_transaction_whose_begin_was_cut_off_is_cut_as_a_whole() {
    let mut log = batch_between(Revision::V2);
    // As an engine's truncate leaves it: the first record left is a member.
    let begin = log.files[0].records[2].span.start;
    log.files[0].bytes.drain(..begin);
    log.files[0].records.clear();
    let mut log = Log { revision: Some("v2"), ..log };
    assert_eq!(until(&log, Policy::Salvage, false, 4), "");
    assert_eq!(until(&log, Policy::Salvage, false, 5), "b=1 c=1");
    // Where nothing tells the revision, nothing tells where the batch begins either.
    log.revision = None;
    assert_eq!(until(&log, Policy::Committed, false, 4), "");
    assert_eq!(until(&log, Policy::Committed, true, 4), "b=1 c=1");
}

#[test]
fn orphans_are_cut_one_by_one() {
    let mut writer = Writer::new(Revision::V2, 10_000);
    writer.put("a", "1");
    writer.batch(&[(1, b"b", b"1"), (1, b"c", b"1")], false);
    let mut log = writer.finish();
    let held = |seq| until(&log, Policy::Salvage, false, seq);
    assert_eq!([held(2), held(3), held(4)], ["a=1", "a=1 b=1", "a=1 b=1 c=1"]);
    assert_eq!(until(&log, Policy::Committed, false, 4), "a=1");
    // A later batch is cut off as a whole, for all that an orphan lies before it.
    for (seq, op, key) in [(5, 5, &b""[..]), (6, 1, b"d"), (7, 3, b"")] {
        log.files[0].push(&record(seq, op, key, if key.is_empty() { b"" } else { b"1" }));
    }
    assert_eq!(until(&log, Policy::Salvage, false, 6), "a=1 b=1 c=1");
    assert_eq!(until(&log, Policy::Committed, false, 7), "a=1 d=1");
}

#[test]
fn without_begin_only_what_a_commit_closes_is_sure_to_be_whole() {
    // 1 a, 2 b, 3 c, 4 COMMIT, 5 a
    let log = batch_between(Revision::V1);
    let held = |undecided, seq| until(&log, Policy::Committed, undecided, seq);
    assert_eq!([held(false, 2), held(false, 3), held(false, 4)], ["", "", "a=1 b=1 c=1"]);
    assert_eq!([held(true, 1), held(true, 2), held(true, 5)], ["a=1", "a=1 b=1", "a=2 b=1 c=1"]);
    assert_eq!(until(&log, Policy::Salvage, false, 2), "a=1 b=1");
}

#[test]
fn numbers_that_start_again_are_cut_at_the_first_above() {
    let mut first = Writer::new(Revision::V2, 10_000);
    (1..=6).for_each(|i| first.put(&format!("k{i}"), "old"));
    let mut second = Writer::new(Revision::V2, 10_000).starting(2, 1);
    (1..=3).for_each(|i| second.put(&format!("k{i}"), "new"));
    let mut log = first.finish();
    log.files.extend(second.finish().files);
    assert_eq!(until(&log, Policy::Committed, false, 2), "k1=old k2=old");
    assert!(until(&log, Policy::Committed, false, 6).starts_with("k1=new k2=new k3=new k4=old"));
}

// ---- memory -------------------------------------------------------------------------------------------------------

/// A log whose values are short, long, and longer than what is kept in memory.
fn long_values() -> Log {
    let mut writer = Writer::new(Revision::V2, 300_000);
    for i in 0..400u32 {
        let len = [3, 900, 70_000][(i % 3) as usize] + i as usize % 7;
        writer.put(&format!("key{:03}", i * 31 % 170), &"x".repeat(len));
        if i % 5 == 0 {
            writer.single(2, format!("key{:03}", i % 170).as_bytes(), b"");
        }
    }
    writer.finish()
}

#[test]
fn memory_changes_nothing() {
    let log = open(&long_values());
    let report = log.analyse(1);
    let told = |policy, memory| {
        let replayed = replay(&log, &report, &Wish { memory, ..wish(policy) }).expect("a state");
        (replayed.state.spilled(), replayed.applied, measure(&log, &replayed.state).expect("a hash"))
    };
    for policy in [Policy::Engine, Policy::Committed, Policy::Salvage] {
        let (spilled, applied, held) = told(policy, u64::MAX);
        assert!(!spilled && held.keys > 100 && held.main.hash.is_some());
        for memory in [0, 1, 5000] {
            assert_eq!(told(policy, memory), (true, applied, held.clone()), "{policy:?} in {memory} bytes");
        }
    }
}

#[test]
fn a_small_memory_prints_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    long_values().store(&path);
    for format in ["ndjson", "csv"] {
        let all = walmedic(&["replay", "--format", format], &path);
        let some = walmedic(&["replay", "--memory", "4k", "--format", format], &path);
        let text = |output: &Output| {
            String::from_utf8_lossy(&output.stdout).replace("\"spilled\":true", "\"spilled\":false")
        };
        assert!(all.stdout.len() > 1_000_000);
        assert_eq!(text(&all), text(&some), "{format}");
    }
}

// ---- values that stay in the log ----------------------------------------------------------------------------------

#[test]
fn long_values_are_compared_and_printed_whole() {
    let mut writer = Writer::new(Revision::V2, 10_000_000);
    // Characters of three bytes: the pieces in which a value is read end inside one.
    let long = "€".repeat(100_000);
    writer.put("same", &long);
    writer.put("other", &long);
    writer.batch(
        &[(1, b"same", long.as_bytes()), (1, b"other", (long[3..].to_owned() + "xxx").as_bytes())],
        false,
    );
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    writer.finish().store(&path);
    let output = walmedic(&["replay", "--diff", "committed,salvage", "--format", "json"], &path);
    assert_eq!(output.status.code(), Some(1));
    let doc: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let differences = doc["differences"].as_array().expect("an array");
    assert_eq!(differences.len(), 1);
    assert_eq!((&differences[0]["key"], &doc["same"]), (&Value::from("other"), &Value::from(1)));
    assert_eq!(differences[0]["left"]["value"], Value::from(long));
}

// ---- targets ------------------------------------------------------------------------------------------------------

fn walmedic(args: &[&str], path: &Path) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("walmedic"));
    command.env_clear().env("NO_COLOR", "1").args(args).arg(path);
    command.output().expect("it runs")
}

fn fixture(case: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case).join("input")
}

/// Damaged logs of three formats, each into each engine: the result has nothing to find and holds the same keys.
#[test]
fn a_damaged_log_becomes_any_engine() {
    for case in ["ddia-wal/several-spots", "ddia-lsm/several-spots", "bitcask-log/value-flipped"] {
        for engine in ["wal", "btree", "lsm"] {
            let dir = tempfile::tempdir().expect("a directory");
            let target = dir.path().join("new");
            let place = target.to_str().expect("text");
            let made = walmedic(&["replay", "--into", place, "--engine", engine], &fixture(case));
            assert_eq!(made.status.code(), Some(0), "{case}: {}", String::from_utf8_lossy(&made.stderr));
            let verified = walmedic(&["verify"], &target);
            let said = String::from_utf8_lossy(&verified.stdout);
            assert_eq!(verified.status.code(), Some(0), "{case} as {engine}: {said}");
            assert_eq!(held(engine, &target), expected(case), "{case} as {engine}");
            assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1, "left-overs");
        }
    }
}

fn expected(case: &str) -> Pairs {
    let wanted = walmedic::io::listing::Wanted::default();
    let mut found = walmedic::io::listing::find(&fixture(case), &wanted).expect("a log");
    let log = OpenLog::new(found.remove(0), &wanted).expect("a log");
    let report = log.analyse(1);
    let pairs = pairs(&log, &report, &wish(Policy::Committed));
    assert!(pairs.len() > 5, "{case} holds only {} keys", pairs.len());
    pairs
}

/// What the engine itself reads.
fn held(engine: &str, dir: &Path) -> Pairs {
    let storage = Directory::open(dir).expect("the engine's directory");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let all = || (std::ops::Bound::<&[u8]>::Unbounded, std::ops::Bound::<&[u8]>::Unbounded);
    match engine {
        "wal" => {
            let store = WalStore::open(storage, wal::Options::default()).expect("it opens");
            store.scan(all()).map(|(key, value)| (text(key), text(value))).collect()
        }
        "btree" => {
            let tree = BTree::open(storage, btree::Options::default()).expect("it opens");
            let pairs = tree.scan(all()).expect("it reads").map(|pair| pair.expect("it reads"));
            pairs.map(|(key, value)| (text(&key), text(&value))).collect()
        }
        _ => {
            let tree = LsmTree::open(storage, lsm::Options::default()).expect("it opens");
            let pairs = tree.scan(all()).expect("it reads").map(|pair| pair.expect("it reads"));
            pairs.map(|(key, value)| (text(&key), text(&value))).collect()
        }
    }
}

/// The rebuilt log goes on counting where the damaged one stopped.
#[test]
fn numbers_are_never_given_out_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = dir.path().join("new");
    let place = target.to_str().expect("text");
    let log = fixture("ddia-wal/crc-in-the-middle");
    assert!(walmedic(&["replay", "--into", place, "--engine", "wal"], &log).status.success());
    let store = WalStore::open(Directory::open(&target).expect("there"), wal::Options::default());
    assert_eq!(store.expect("it opens").sequence(), 200);
}

#[test]
fn what_an_engine_cannot_hold_is_named_and_nothing_is_written() {
    let mut writer = Writer::new(Revision::V2, 10_000);
    writer.put("fine", "1");
    writer.put("large", &"x".repeat(5000));
    writer.put("none", "");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("log");
    writer.finish().store(&path);
    let target = dir.path().join("new");
    for (engine, key) in [("btree", "key large: the pair does not fit a page"), ("lsm", "key none: ")] {
        let output =
            walmedic(&["replay", "--into", target.to_str().expect("text"), "--engine", engine], &path);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(key) && output.stdout.is_empty(), "{said}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1, "left-overs");
    }
    // Neither can one that wants text hold other bytes.
    let format = *ALL.iter().find(|f| f.profile().name == "ddia-lsm").expect("a format");
    let files = vec![("wal.log".into(), common::lsm::checked(b"odd", b"\xff"))];
    let bytes = OpenLog::memory(format, files, Some("r2"));
    let report = bytes.analyse(1);
    let state = replay(&bytes, &report, &wish(Policy::Salvage)).expect("a state").state;
    let into = tempfile::tempdir().expect("a directory");
    let held = measure(&bytes, &state).expect("a hash");
    let refused = build(&bytes, &report, &state, &held, Engine::Wal, into.path()).expect_err("no text");
    assert!(refused.to_string().starts_with("key odd: "), "{refused}");
}

#[test]
fn files_are_new_whole_and_complete() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = fixture("ddia-wal/crc-in-the-middle");
    for ending in ["ndjson", "csv"] {
        let target = dir.path().join(format!("state.{ending}"));
        let place = target.to_str().expect("text");
        let output = walmedic(&["replay", "--into", place], &log);
        assert_eq!(output.status.code(), Some(0));
        let printed = walmedic(&["replay", "--format", ending], &log);
        assert_eq!(std::fs::read(&target).expect("the file"), printed.stdout);
        std::fs::write(&target, "mine").expect("the file");
        let again = walmedic(&["replay", "--into", place], &log);
        let said = String::from_utf8_lossy(&again.stderr);
        assert_eq!(
            (again.status.code(), said.lines().count(), again.stdout.len()),
            (Some(4), 1, 0),
            "{said}"
        );
        assert_eq!(std::fs::read(&target).expect("the file"), b"mine");
    }
    let dangling = dir.path().join("link.csv");
    std::os::unix::fs::symlink("nowhere", &dangling).expect("a link");
    let output = walmedic(&["replay", "--into", dangling.to_str().expect("text")], &log);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 3, "left-overs");
    // Inside the log nothing new may appear.
    let inside = tempfile::tempdir().expect("a directory");
    batch_between(Revision::V2).store(inside.path());
    let output =
        walmedic(&["replay", "--into", inside.path().join("x.csv").to_str().expect("text")], inside.path());
    assert_eq!((output.status.code(), inside.path().join("x.csv").exists()), (Some(4), false));
}

#[test]
fn an_engine_that_does_not_open_leaves_nothing_to_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = dir.path().join("x.csv");
    let args = ["replay", "--policy", "engine", "--into", target.to_str().expect("text")];
    let output = walmedic(&args, &fixture("ddia-wal/zero-tail"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && said.starts_with("REFUSED"), "{said}");
    assert!(!target.exists());
}

#[test]
fn arguments_that_contradict_each_other_are_usage_errors() {
    let log = fixture("ddia-wal/clean");
    for args in [
        &["--engine", "lsm"][..],
        &["--engine", "397ea2f"],
        &["--engine", "lsm", "--engine", "wal", "--into", "x"],
        &["--engine", "397ea2f", "--engine", "b9cf107", "--policy", "engine"],
        &["--engine", "wal", "--into", "x.csv"],
        &["--engine", "nonsense", "--policy", "engine"],
        &["--into", "x"],
        &["--into", "x.csv", "--format", "csv"],
        &["--diff", "engine"],
        &["--diff", "engine,committed,salvage"],
        &["--diff", "engine,committed", "--into", "x.csv"],
        &["--diff", "engine,committed", "--policy", "engine"],
        &["--diff", "engine,committed", "--until", "7"],
        &["--diff", "engine,committed", "--until", "commit:1"],
        &["--until", "commit:x"],
        &["--history", "a", "--until", "7"],
        &["--policy", "engine", "--until", "7"],
        &["--memory", "lots"],
    ] {
        let output = walmedic(&[&["replay"], args].concat(), &log);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            output.stdout.is_empty() && !said.is_empty() && !said.contains("panicked"),
            "{args:?}: {said}"
        );
    }
    assert!(!Path::new("x").exists() && !Path::new("x.csv").exists());
}
