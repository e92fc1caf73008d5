//! Repair, truncate and replay over logs of LevelDB and RocksDB that the engines wrote and that are damaged at random. What
//! comes of it they judge themselves: it opens in every recovery mode, with the state that was told before. An engine that is
//! not installed is named, and not asked.
mod common;

use std::path::{Path, PathBuf};

use common::block_log::{self, Variety};
use common::judge::{Judge, State, copy_of, damage_to, family, has, logs, workloads, write};
use common::random::{Random, Watch};
use common::run::{contents, run_on, scratch};
use serde_json::Value;
use walmedic::format::block_log::{LEVELDB_MODES, ROCKSDB_MODES};

/// A kind of database: the format, what it is made of, and the versions that open such.
struct Kind {
    format: &'static str,
    features: &'static [&'static str],
    engines: &'static [&'static str],
}

const LEVEL: &[&str] = &["leveldb"];
const NEW: &[&str] = &["9.8.4"];
/// Tables of the newer version are beyond the older one.
const BOTH: &[&str] = &["9.8.4", "7.8.3"];

const KINDS: &[Kind] = &[
    Kind { format: "leveldb", features: &["log"], engines: LEVEL },
    Kind { format: "rocksdb", features: &["families"], engines: BOTH },
    Kind { format: "rocksdb", features: &["zstd"], engines: BOTH },
    Kind { format: "leveldb", features: &["tables"], engines: LEVEL },
    Kind { format: "rocksdb", features: &["recycled"], engines: NEW },
    Kind { format: "rocksdb", features: &["zstd", "families", "logs"], engines: NEW },
    Kind { format: "rocksdb", features: &["families", "logs"], engines: NEW },
];

impl Kind {
    fn modes(&self) -> &'static [&'static str] {
        if self.format == "leveldb" { LEVELDB_MODES } else { ROCKSDB_MODES }
    }

    fn installed(&self) -> Vec<&'static str> {
        self.engines.iter().copied().filter(|engine| has(engine)).collect()
    }

    /// Arguments that every command gets.
    fn run(&self, command: &str, log: &Path, more: &str) -> common::run::Answer {
        run_on(command, log, &format!("--as {} {more}", self.format))
    }

    /// What replay tells of a log.
    fn state(&self, log: &Path, more: &str) -> State {
        let answer = self.run("replay", log, &format!("--format ndjson --bytes hex {more}"));
        assert!(answer.code <= 1, "{answer:?}");
        let lines = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let live = lines.filter(|line| line["key"].is_string());
        live.map(|line| {
            let family = line["family"].as_str().map_or(0, number);
            ((family, bytes(&line["key"])), bytes(&line["value"]))
        })
        .collect()
    }

    /// Each batch: its file, its offset and the number of its first operation.
    fn batches(&self, log: &Path) -> Vec<(String, u64, u64)> {
        let answer = self.run("dump", log, "--format ndjson");
        let lines = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let told = lines.filter(|line| line["status"] == "intact").filter_map(|line| {
            let seq = line["seq"].as_str()?.parse().ok()?;
            Some((line["file"].as_str()?.to_owned(), line["offset"].as_u64()?, seq))
        });
        let mut all: Vec<(String, u64, u64)> = told.collect();
        all.dedup_by(|b, a| (&b.0, b.1) == (&a.0, a.1));
        all
    }

    /// The operations of all batches that are believed, in order of their numbers: a repair gives logs their own names back. What
    /// states gaps is none.
    fn operations(&self, log: &Path) -> Vec<String> {
        let answer = self.run("dump", log, "--format ndjson --bytes hex");
        let lines = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let believed = |line: &Value| {
            let here = !matches!(line["fate"].as_str(), Some("foreign" | "repeated" | "stale"));
            let states = line["kind"] == "LOG_DATA" && line["value"].as_str().is_some_and(says_gap);
            let batch = !matches!(line["kind"].as_str(), Some("EMPTY" | "COMPRESSION")) && !states;
            here && batch && matches!(line["status"].as_str(), Some("intact" | "recovered"))
        };
        let (mut last, mut file) = (0, Value::Null);
        let told = |line: Value| {
            let [seq, kind, family, key, value] =
                ["seq", "kind", "family", "key", "value"].map(|field| line[field].to_string());
            // What has no number goes with what is in front of it in its file, or behind all the others.
            if file != line["file"] {
                (last, file) = (u64::MAX, line["file"].clone());
            }
            last = line["seq"].as_str().and_then(|seq| seq.parse().ok()).unwrap_or(last);
            (last, format!("{seq} {kind} {family} {key} {value}"))
        };
        let mut operations: Vec<(u64, String)> = lines.filter(believed).map(told).collect();
        operations.sort_by_key(|(seq, _)| *seq);
        operations.into_iter().map(|(_, operation)| operation).collect()
    }
}

/// Whether words of the application, in hex, are a repair's.
fn says_gap(hex: &str) -> bool {
    hex.starts_with(&b"walmedic: ".map(|byte| format!("{byte:02x}")).concat())
}

/// The number of a family by its name, or by its number where nothing names it.
fn number(name: &str) -> u32 {
    name.strip_prefix('#').map_or_else(|| family(name), |number| number.parse().expect("a number"))
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().expect("a string").as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16);
    digits.chunks(2).map(|two| pair(two).expect("digits")).collect()
}

/// Does nothing to a store, or damages its logs; tells how.
fn harm(dir: &Path, random: &mut Random) -> Vec<String> {
    (0..random.below(3))
        .map(|_| {
            let all = logs(dir);
            let log = &all[random.below(all.len())];
            let told = match random.below(8) {
                0 if all.len() > 1 => {
                    std::fs::remove_file(log).expect("removed");
                    "removed".into()
                }
                1 => {
                    // What says how the log is compressed stands there, if it is.
                    let mut bytes = std::fs::read(log).expect("a log");
                    let at = random.below(bytes.len().min(11));
                    bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x10);
                    std::fs::write(log, bytes).expect("damaged");
                    format!("bit 4 of byte {at}")
                }
                _ => damage_to(log, random),
            };
            format!("{}: {told}", log.file_name().expect("a name").display())
        })
        .collect()
}

/// What is tried on a store of each kind.
type Each<'e> = &'e mut dyn FnMut(&Kind, &Path, &[String], &mut Random);

/// Calls `each` with damaged copies of databases that engines wrote: the kind, the directory, and what was done to it.
fn stores(test: &'static str, rounds: usize, harms: bool, each: Each<'_>) {
    let watch = Watch::new(test, 900);
    for workload in 0..workloads().max(KINDS.len()) {
        let kind = &KINDS[workload % KINDS.len()];
        let writer = if kind.format == "leveldb" { "leveldb" } else { "9.8.4" };
        if !has(writer) {
            continue;
        }
        let dir = scratch();
        let sound = dir.path().join("sound");
        write(kind.format, &sound, workload, kind.features);
        let mut random = watch.random(workload);
        for round in 0..rounds {
            let copy = dir.path().join(format!("{round}"));
            copy_of(&sound, &copy);
            let told = if harms { harm(&copy, &mut random) } else { Vec::new() };
            each(kind, &copy, &told, &mut random);
        }
    }
}

/// Whether a store opens in every mode of every engine with this state; says where not.
fn opens_everywhere(judge: &mut Judge, kind: &Kind, dir: &Path, wanted: &State) -> Result<(), String> {
    for engine in kind.installed() {
        for mode in kind.modes() {
            let got = judge.opens(dir, mode, engine);
            if got.as_ref() != Ok(wanted) {
                let told = got.map(|state| format!("{} keys, not {}", state.len(), wanted.len()));
                return Err(format!("{engine} {mode}: {told:?} {}", judge.said));
            }
        }
    }
    Ok(())
}

#[test]
fn a_repaired_store_opens_in_every_mode() {
    let mut judge = Judge::new();
    let (mut damaged, mut lost) = (0, 0);
    stores("block-log-repair", 4, true, &mut |kind, store, told, _| {
        let what = format!("{} {:?} {told:?}", kind.format, kind.features);
        let (wanted, operations) = (kind.state(store, ""), kind.operations(store));
        let out = store.with_extension("out");
        let answer = kind.run("repair", store, &format!("--apply --output {}", out.display()));
        assert!(answer.code <= 1, "{what}: {answer:?}");
        damaged += usize::from(!told.is_empty());
        lost += usize::from(answer.code == 1);
        let verified = kind.run("verify", &out, "");
        assert_eq!(verified.code, 0, "{what}: {verified:?}");
        assert!(kind.state(&out, "") == wanted, "{what}: another state");
        assert!(kind.operations(&out) == operations, "{what}: other batches");
        if let Err(why) = opens_everywhere(&mut judge, kind, &out, &wanted) {
            panic!("{what}: {why}");
        }
        in_place(kind, store, &out, ("repair", ""), &what);
    });
    println!("{damaged} stores damaged, {lost} of them for good");
}

/// A compressed log whose beginning is lost, in whole or but for the words that it is compressed: what states the gap stands in
/// front of the records that are left, and goes with them.
#[test]
fn a_compressed_log_is_repaired_at_its_beginning() {
    let kind = &KINDS[5];
    if !has("9.8.4") {
        return;
    }
    let (mut judge, dir) = (Judge::new(), scratch());
    let sound = dir.path().join("sound");
    write(kind.format, &sound, 5, kind.features);
    let mut gaps = 0;
    for nth in 0..logs(&sound).len() {
        for (from, to) in [(0, 11), (4, 400), (11, 3000)] {
            let (store, out) = (dir.path().join("store"), dir.path().join("out"));
            copy_of(&sound, &store);
            let log = &logs(&store)[nth];
            let mut bytes = std::fs::read(log).expect("a log");
            bytes.iter_mut().take(to).skip(from).for_each(|byte| *byte ^= 0x5a);
            std::fs::write(log, bytes).expect("damaged");
            let (what, wanted) = (format!("{from}..{to} of log {nth}"), kind.state(&store, ""));
            let answer = kind.run("repair", &store, &format!("--apply --output {}", out.display()));
            assert!(answer.code <= 1 && !answer.stdout.contains("does not open"), "{what}: {answer:?}");
            gaps += kind.run("verify", &out, "").exits(0).stdout.matches("stated by a repair").count();
            assert!(kind.state(&out, "") == wanted, "{what}: another state");
            if let Err(why) = opens_everywhere(&mut judge, kind, &out, &wanted) {
                panic!("{what}: {why}");
            }
            std::fs::remove_dir_all(store).expect("removed");
            std::fs::remove_dir_all(out).expect("removed");
        }
    }
    assert!(gaps > 0);
}

/// The same where the store lies, and back.
fn in_place(kind: &Kind, store: &Path, out: &Path, (command, how): (&str, &str), what: &str) {
    let (before, backup) = (contents(store), store.with_extension("backup"));
    let apply = format!("{how} --apply --in-place --backup {}", backup.display());
    let answer = kind.run(command, store, &apply);
    assert!(answer.code <= 1, "{what}: {answer:?}");
    let made = contents(out);
    for (name, bytes) in contents(store) {
        assert!(made.get(&name).is_none_or(|copy| *copy == bytes), "{what}: {}", name.display());
    }
    let record = backup.join("undo.json");
    if record.exists() {
        run_on("undo", &record, "").exits(0);
    }
    assert!(contents(store) == before, "{what}: undo leaves other bytes");
}

/// Cut anywhere, a store holds what it held then.
#[test]
fn a_cut_store_opens_in_every_mode() {
    let mut judge = Judge::new();
    stores("block-log-truncate", 3, false, &mut |kind, store, _, random| {
        let seqs: Vec<u64> = kind.operations(store).iter().filter_map(|o| seq_of(o)).collect();
        let at = seqs[random.below(seqs.len())];
        let what = format!("{} {:?} at {at}", kind.format, kind.features);
        let out = store.with_extension("out");
        let answer =
            kind.run("truncate", store, &format!("--after-seq {at} --apply --output {}", out.display()));
        assert!(answer.code <= 1, "{what}: {answer:?}");
        let wanted = kind.state(store, &format!("--until {at}"));
        assert!(kind.state(&out, "") == wanted, "{what}: another state");
        if let Err(why) = opens_everywhere(&mut judge, kind, &out, &wanted) {
            panic!("{what}: {why}");
        }
        let end = store.with_extension("end");
        let answer =
            kind.run("truncate", store, &format!("--before-seq {at} --apply --output {}", end.display()));
        assert!(answer.code <= 1, "{what}: {answer:?}");
        assert_eq!(kind.run("verify", &end, "").code, 0, "{what}");
        // The batch that holds the number is whole.
        let (all, rest) = (kind.operations(store), kind.operations(&end));
        let first = seq_of(&rest[0]).expect("a number");
        assert!(first <= at && at < first + 5 && all.ends_with(&rest), "{what}: from {first} on");
        // The older generation behind a recycled log stays, which strict modes take for damage as they did before.
        let wanted = kind.state(&end, "");
        for engine in kind.installed() {
            for mode in kind.modes() {
                if judge.opens(store, mode, engine).is_err() {
                    continue;
                }
                assert!(
                    judge.opens(&end, mode, engine).as_ref() == Ok(&wanted),
                    "{what}, its end: {engine} {mode} {}",
                    judge.said
                );
            }
        }
    });
}

/// Cut at an offset, in front of its first damage and behind its last commit, as a copy and where it lies.
#[test]
fn a_store_is_cut_where_it_is_asked_for() {
    let mut judge = Judge::new();
    stores("block-log-cuts", 1, false, &mut |kind, store, _, random| {
        let batches = kind.batches(store);
        let (file, at, seq) = &batches[random.within(1, batches.len())];
        let wanted = kind.state(store, &format!("--until {}", seq - 1));
        let inside = kind.run("truncate", store, &format!("--at {} --file {file}", at + 1));
        inside.declines(4, &format!("lies inside a record; cut at {at} or "));
        let mut cut = |how: &str| {
            let (out, backup) = (store.with_extension("out"), store.with_extension("backup"));
            let what = format!("{} {:?} {how}, {file} {at}", kind.format, kind.features);
            kind.run("truncate", store, &format!("{how} --apply --output {}", out.display())).exits(0);
            kind.run("verify", &out, "").exits(0);
            assert!(kind.state(&out, "") == wanted, "{what}: another state");
            if let Err(why) = opens_everywhere(&mut judge, kind, &out, &wanted) {
                panic!("{what}: {why}");
            }
            in_place(kind, store, &out, ("truncate", how), &what);
            for made in [out, backup] {
                std::fs::remove_dir_all(made).expect("removed");
            }
        };
        cut(&format!("--at {at} --file {file}"));
        // The same place, where what stood there is damaged.
        let (log, hurt) = (store.join(file), usize::try_from(*at).expect("an offset") + 12);
        let mut bytes = std::fs::read(&log).expect("a log");
        bytes[hurt] ^= 1;
        std::fs::write(&log, bytes).expect("damaged");
        cut("--at-damage");
        cut("--last-commit");
    });
}

fn seq_of(operation: &str) -> Option<u64> {
    operation.split(' ').next()?.trim_matches('"').parse().ok()
}

/// What the engine's strategy leaves is what the engine recovered, in whatever mode it was asked for; or nothing is written.
#[test]
fn the_engines_choice_stays_what_it_was() {
    let mut judge = Judge::new();
    let (mut written, mut refused) = (0, 0);
    stores("block-log-engine-strategy", 3, true, &mut |kind, store, told, random| {
        let mode = kind.modes()[random.below(kind.modes().len())];
        let what = format!("{} {:?} {mode} {told:?}", kind.format, kind.features);
        let out = store.with_extension("out");
        let how = format!("--strategy engine --mode {mode} --apply --output {}", out.display());
        // Without another word the forecast is the older version's.
        let engine = kind.installed().last().copied().unwrap_or(kind.engines[0]);
        let before = judge.opens(store, mode, engine);
        let answer = kind.run("repair", store, &how);
        match before {
            Ok(before) if answer.code <= 1 => {
                assert!(judge.opens(&out, mode, engine).as_ref() == Ok(&before), "{what}: {}", judge.said);
                assert_eq!(kind.run("verify", &out, "").code, 0, "{what}");
                written += 1;
            }
            _ => {
                answer.declines(4, "engine");
                assert!(!out.exists(), "{what}");
                refused += 1;
            }
        }
    });
    println!("{written} written, {refused} refused");
}

/// A state becomes a database of LevelDB, one column family at a time, and a log of RocksDB's with all of them.
#[test]
fn a_state_becomes_a_store() {
    let mut judge = Judge::new();
    stores("block-log-into", 1, true, &mut |kind, store, told, _| {
        let what = format!("{} {:?} {told:?}", kind.format, kind.features);
        let (wanted, dir, log) =
            (kind.state(store, ""), store.with_extension("db"), store.with_extension("log"));
        let families = wanted.keys().any(|(family, _)| *family > 0);
        let into = format!("--into {} --engine leveldb", dir.display());
        if families {
            kind.run("replay", store, &into).declines(2, "--family");
        }
        let into = format!("{into} {}", if families { "--family default" } else { "" });
        kind.run("replay", store, &into).exits(0);
        let own: State = wanted.clone().into_iter().filter(|((family, _), _)| *family == 0).collect();
        if has("leveldb") {
            for mode in LEVELDB_MODES {
                assert!(judge.opens(&dir, mode, "leveldb").as_ref() == Ok(&own), "{what}: {}", judge.said);
            }
        }
        kind.run("replay", store, &format!("--into {}", log.display())).exits(0);
        let rocks = Kind { format: "rocksdb", ..*kind };
        rocks.run("verify", &log, "").exits(0);
        assert!(rocks.state(&log, "") == wanted, "{what}: the log");
        if has("7.8.3") {
            let walfile = format!("--walfile={}", log.display());
            let told = std::process::Command::new("ldb").args(["dump_wal", &walfile]).output().expect("told");
            let puts = String::from_utf8_lossy(&told.stdout).matches("PUT(").count();
            assert_eq!(puts, wanted.len(), "{what}: ldb {told:?}");
        }
    });
}

/// Sizes of logs that a MANIFEST tracks are told before a shorter log is written, and forgotten where that is asked for.
#[test]
fn tracked_sizes_are_told_and_forgotten() {
    if !has("9.8.4") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (kind, store) = tracked_and_damaged(dir.path());
    let plan = kind.run("repair", &store, "").exits(4);
    assert!(plan.stdout.contains("--drop-wal-tracking"), "{plan:?}");
    let data = kind.run("repair", &store, "--format json").json();
    assert_eq!(data["tracked"]["files"].as_array().map(Vec::len), Some(1), "{data}");
    kind.run("repair", &store, "--drop-wal-tracking --apply --in-place").exits(2);
    let (kept, forgotten) = (dir.path().join("kept"), dir.path().join("forgotten"));
    let done = kind.run("repair", &store, &format!("--apply --output {}", kept.display())).exits(1);
    assert!(done.stdout.contains("the engine does not open the new log"), "{done:?}");
    let how = format!("--drop-wal-tracking --apply --output {}", forgotten.display());
    let done = kind.run("repair", &store, &how).exits(1);
    assert!(done.stdout.contains("reads back clean"), "{done:?}");
    let (mut judge, wanted) = (Judge::new(), kind.state(&store, ""));
    assert_eq!(judge.opens(&kept, "as-set-up", "9.8.4"), Err("refuses"), "{}", judge.said);
    assert!(judge.opens(&forgotten, "as-set-up", "9.8.4") == Ok(wanted), "{}", judge.said);
    let found = kind.run("verify", &kept, "").exits(1);
    assert!(found.stdout.starts_with("REFUSED") && found.stdout.contains("WM-707"), "{found:?}");
    kind.run("verify", &forgotten, "").exits(0);
}

/// What is suggested for a store with tracked logs makes one that opens; what does not open is told as that.
#[test]
fn a_store_that_tracks_its_logs_is_not_left_closed() {
    if !has("9.8.4") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (kind, store) = tracked_and_damaged(dir.path());
    for (command, how) in [("verify", ""), ("repair", ""), ("truncate", "--at-damage")] {
        let told = kind.run(command, &store, how);
        let next = told.stdout.lines().find(|line| line.contains("--apply --output"));
        assert!(next.is_some_and(|next| next.contains("--drop-wal-tracking")), "{command}: {told:?}");
    }
    let mut judge = Judge::new();
    for (command, how) in [("repair", ""), ("truncate", "--at-damage")] {
        let (kept, forgotten) = (dir.path().join(command), dir.path().join(format!("{command}.forgotten")));
        let told = kind.run(command, &store, &format!("{how} --apply --output {}", kept.display())).exits(1);
        assert!(told.stdout.contains("the engine does not open the new log"), "{told:?}");
        assert!(!told.stdout.contains("reads back clean"), "{told:?}");
        assert_eq!(judge.opens(&kept, "as-set-up", "9.8.4"), Err("refuses"), "{command}: {}", judge.said);
        let how = format!("{how} --drop-wal-tracking --apply --output {}", forgotten.display());
        let told = kind.run(command, &store, &how);
        assert!(told.stdout.contains("reads back clean"), "{told:?}");
        assert!(judge.opens(&forgotten, "as-set-up", "9.8.4").is_ok(), "{command}: {}", judge.said);
    }
}

/// A store whose catalogue tracks the sizes of its logs, the first of them damaged.
fn tracked_and_damaged(dir: &Path) -> (Kind, PathBuf) {
    let kind = Kind { format: "rocksdb", features: &["tracked", "families", "logs"], engines: NEW };
    let store = dir.join("store");
    write("rocksdb", &store, 3, kind.features);
    damage_in_the_middle(&logs(&store)[0]);
    (kind, store)
}

fn damage_in_the_middle(log: &Path) {
    let mut bytes = std::fs::read(log).expect("a log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(log, bytes).expect("damaged");
}

/// Sessions that went on where recovery had stopped give the numbers behind the damage out again: their writes are the newer
/// ones, in what is told and in every mode of what is repaired.
#[test]
fn sessions_after_damage_win_over_what_they_dropped() {
    if !has("9.8.4") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let kind = Kind { format: "rocksdb", features: &["resumed"], engines: BOTH };
    let (store, out) = (dir.path().join("store"), dir.path().join("repaired"));
    write("rocksdb", &store, 1, kind.features);
    assert_eq!(logs(&store).iter().filter(|log| log.metadata().is_ok_and(|m| m.len() > 0)).count(), 3);
    let mut judge = Judge::new();
    let engine = judge.opens(&store, "point-in-time", "9.8.4").expect("a store that opens");
    let (key, dropped) = ((0, b"key".to_vec()), (0, b"only 0".to_vec()));
    assert_eq!(engine[&key], b"session 2, write 1");
    assert!(!engine.contains_key(&dropped), "{}", judge.said);
    for policy in ["committed", "salvage"] {
        let state = kind.state(&store, &format!("--policy {policy}"));
        assert_eq!((&state[&key], state.contains_key(&dropped)), (&engine[&key], true), "{policy}");
        assert!(engine.keys().all(|key| state.contains_key(key)), "{policy}");
    }
    let wanted = kind.state(&store, "");
    kind.run("repair", &store, &format!("--apply --output {}", out.display())).exits(1);
    kind.run("verify", &out, "").exits(0);
    assert_eq!(opens_everywhere(&mut judge, &kind, &out, &wanted), Ok(()));
}

/// Transactions that are prepared and not ended are named, and kept or left out as is asked for; nothing else depends on it.
#[test]
fn prepared_transactions_are_kept_or_left_out() {
    let (watch, kind) =
        (Watch::new("block-log-prepared", 300), Kind { format: "rocksdb", features: &[], engines: &[] });
    let mut orphans = 0;
    for n in 0..8 {
        let dir = tempfile::tempdir().expect("a folder");
        let store = dir.path().join("store");
        std::fs::create_dir(&store).expect("a folder");
        for file in block_log::sample(&mut watch.random(n), 60, Variety::Prepared).files {
            std::fs::write(store.join(file.name), file.bytes).expect("a file");
        }
        let state = |log: &Path| kind.run("replay", log, "--format json").json()["column_families"].clone();
        let wanted = state(&store);
        let plan = kind.run("repair", &store, "--format json").json();
        let named: Vec<&str> =
            plan["prepared"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
        let told = kind.run("repair", &store, "").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        // A long list of them ends in dots.
        assert!(named.iter().take(8).all(|name| told.contains(name)), "{named:?}: {told}");
        for (choice, left) in [("keep", named.len()), ("drop", 0)] {
            let out = dir.path().join(choice);
            let how = format!("--prepared {choice} --apply --output {}", out.display());
            assert_eq!(kind.run("repair", &store, &how).code, i32::from(left > 0), "{choice}");
            kind.run("verify", &out, "--allow orphan").exits(0);
            let found = kind.run("verify", &out, "--format json").json();
            assert_eq!(found["logs"][0]["orphans"].as_array().map_or(0, Vec::len), left, "{choice}");
            assert_eq!(state(&out), wanted, "{choice}");
        }
        orphans += named.len();
    }
    assert!(orphans > 0);
}

/// Batches without numbers stand at one that others have; that makes them no copies.
#[test]
fn what_is_prepared_beside_damage_is_kept() {
    let kind = Kind { format: "rocksdb", features: &[], engines: &[] };
    let dir = tempfile::tempdir().expect("a folder");
    let put = |key: &str| vec![block_log::put(key.as_bytes(), b"value")];
    let mut first = block_log::Writer::new(4, false, 1);
    first.batch(&put("a"));
    let mut second = block_log::Writer::new(8, false, first.seq);
    let one = second.prepare(b"one", &put("b"));
    second.prepare(b"two", &put("c"));
    second.batch(&put("d"));
    second.batch(&put("e"));
    second.commit(b"one", one);
    let length = second.file.records[1].span.start + 4;
    second.file.bytes[length] ^= 0x40;
    let (store, out) = (dir.path().join("store"), dir.path().join("out"));
    std::fs::create_dir(&store).expect("a folder");
    for file in [first.file, second.file] {
        std::fs::write(store.join(file.name), file.bytes).expect("a file");
    }
    kind.run("repair", &store, &format!("--apply --output {}", out.display())).exits(1);
    kind.run("verify", &out, "--allow orphan").exits(0);
    let keys: Vec<Vec<u8>> = kind.state(&out, "").into_keys().map(|(_, key)| key).collect();
    assert_eq!(keys, ["a", "b", "d", "e"].map(|key| key.as_bytes().to_vec()));
}
