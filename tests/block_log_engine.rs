//! What LevelDB and RocksDB make of damaged logs: walmedic's word is compared with theirs, mode by mode and version by version,
//! as a corpus beside the checkout has it (`../shared/corpus`, or under `$WALMEDIC_SHARED`), and as engines that are installed
//! have it on logs that they wrote themselves and that were damaged at random.
mod common;

use std::path::{Path, PathBuf};

use common::block_log;
use common::judge::{Judge, State, copy_of, damage, has, logs, workloads, write};
use common::random::Watch;

use serde_json::Value;
use sha2::{Digest, Sha256};
use walmedic::analysis::OpenLog;
use walmedic::format::{Effect, Job, Outcome};
use walmedic::io::listing::{Wanted, find};
use walmedic::log::survey::Survey;

/// What walmedic says that an engine makes of a directory.
fn ours(dir: &Path, format: &str, engine: Option<&str>, mode: &str) -> (Outcome, State) {
    let wanted = Wanted { format: Some(format.into()), ..Wanted::default() };
    let log = OpenLog::new(find(dir, &wanted).expect("a log").remove(0), &wanted).expect("opened");
    let report = log.examine(1);
    let (files, surveys): (_, Vec<&Survey>) = (log.files(), report.files.iter().map(|f| &f.survey).collect());
    let job = Job { files: &files, surveys: &surveys, revision: None, engine, mode: Some(mode), until: None };
    let mut state = State::new();
    let mut take = |taken: walmedic::format::Taken| {
        let given = taken.given.expect("changes come with their bytes");
        let (family, key) = split(format, &given.key);
        match given.effect {
            Effect::Put(value) | Effect::Merge(value) | Effect::Entity(value) | Effect::Blob(value) => {
                drop(state.insert((family, key), value))
            }
            Effect::Delete => drop(state.remove(&(family, key))),
            Effect::DeleteRange(end) => {
                let (_, end) = split(format, &end);
                state.retain(|(of, held), _| *of != family || *held < key || *held >= end);
            }
        }
    };
    let outcome = log.format().engine(&job, Some(&mut take));
    (outcome, state)
}

/// The family of a key of the state, and the key.
fn split(format: &str, key: &[u8]) -> (u32, Vec<u8>) {
    match key.split_first_chunk().filter(|_| format == "rocksdb") {
        Some((family, key)) => (u32::from_be_bytes(*family), key.to_vec()),
        None => (0, key.to_vec()),
    }
}

/// Number of keys of a family, and the hash of its state.
fn told(state: &State, family: u32) -> (u64, String) {
    let (mut hash, mut entries) = (Sha256::new(), 0);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for ((_, key), value) in state.iter().filter(|((of, _), _)| *of == family) {
        hash.update(format!("{} {}\n", hex(key), hex(value)));
        entries += 1;
    }
    (entries, hex(&hash.finalize()))
}

/// States that are not in the logs alone.
const ELSEWHERE: &[(&str, &str)] = &[
    ("reopened-obsolete-log-kept", "a log is in a table already"),
    ("recycled-old-generation-tail", "what the older logs held is in tables"),
    ("clean-batches-cf-ops", "values are merged by an operator"),
];

#[test]
fn every_mode_is_as_the_corpus_has_it() {
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for system in ["leveldb", "rocksdb"] {
        let Ok(cases) = std::fs::read_dir(shared.join("corpus").join(system)) else {
            println!("not run: no corpus of {system}");
            continue;
        };
        for case in cases.map(|case| case.expect("a folder").path()) {
            let text = std::fs::read_to_string(case.join("truth.json")).expect("truth.json");
            let truth: Value = serde_json::from_str(&text).expect("JSON");
            for (mode, engine, expected) in verdicts(&truth) {
                let (mut outcome, state) = ours(&case.join("input"), system, engine, mode);
                // The newer version was not asked to mind transactions in two phases.
                let plain = outcome.opening.take_if(|o| engine == Some("9.8.4") && o.other == "DB::Open");
                outcome = plain.map_or(outcome, |opening| *opening.otherwise);
                let name = truth["case"].as_str().unwrap_or_default();
                let found = verdict(&outcome, &state, name);
                compared += 1;
                let expected = expectation(&expected, name);
                if found != expected {
                    wrong.push(format!("{system}/{name} {mode} {engine:?}: {found}, expected {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}\n{}", wrong.len(), wrong.join("\n"));
}

/// Modes, versions and verdicts of a truth file. What it calls 10.4.2 is the version that the Python binding says it is.
fn verdicts(truth: &Value) -> Vec<(&'static str, Option<&'static str>, Value)> {
    let modes = &truth["engine_recovers"]["modes"];
    let mut all = Vec::new();
    for (theirs, mode) in
        [("lenient (paranoid_checks=false, default)", "lenient"), ("paranoid_checks=true", "paranoid")]
    {
        all.extend(modes.get(theirs).map(|verdict| (mode, None, verdict.clone())));
    }
    for (theirs, mode) in [
        ("tolerate_corrupted_tail", "tolerate-corrupted-tail"),
        ("absolute_consistency", "absolute-consistency"),
        ("point_in_time", "point-in-time"),
        ("skip_any_corrupted", "skip-any"),
    ] {
        for (measured, version) in [("7.8.3", "7.8.3"), ("10.4.2", "9.8.4")] {
            let verdict = modes.get(theirs).and_then(|mode| mode.get(measured));
            all.extend(verdict.map(|verdict| (mode, Some(version), verdict.clone())));
        }
    }
    all
}

fn expectation(verdict: &Value, case: &str) -> String {
    let status = verdict["status"].as_str().unwrap_or_default();
    match status {
        "OK" if ELSEWHERE.iter().any(|(name, _)| *name == case) => "opens".into(),
        "OK" => format!("{} {}", verdict["entries"], verdict["state_sha256"].as_str().unwrap_or_default()),
        _ if status.starts_with("HANG") => "hangs".into(),
        error => error.into(),
    }
}

fn verdict(outcome: &Outcome, state: &State, case: &str) -> String {
    match &outcome.error {
        _ if outcome.hangs => "hangs".into(),
        Some(error) => error.clone(),
        None if ELSEWHERE.iter().any(|(name, _)| *name == case) => "opens".into(),
        None => {
            let (entries, hash) = told(state, 0);
            format!("{entries} {hash}")
        }
    }
}

/// Compares walmedic with an engine on many damaged logs of its own making, which have these features.
fn judged(format: &'static str, engine: &'static str, features: &[&str], seed: u64) {
    let (writer, modes) = match format {
        "leveldb" => ("leveldb", walmedic::format::block_log::LEVELDB_MODES),
        _ => ("9.8.4", walmedic::format::block_log::ROCKSDB_MODES),
    };
    if !has(engine) || !has(writer) {
        return;
    }
    let watch = Watch::new("block-log-engine", seed);
    let mut judge = Judge::new();
    let (mut compared, mut refused, mut wrong) = (0, 0, Vec::new());
    for workload in 0..workloads() / if features.is_empty() { 1 } else { 2 } {
        let dir = tempfile::tempdir().expect("a folder");
        let sound = dir.path().join("sound");
        let mut random = watch.random(workload);
        write(format, &sound, workload, features);
        for round in 0..8 {
            let copy = dir.path().join(format!("{round}"));
            copy_of(&sound, &copy);
            let told: Vec<String> = (0..random.within(1, 3)).map(|_| damage(&copy, &mut random)).collect();
            for &mode in modes {
                let version = (format == "rocksdb").then_some(engine);
                let (outcome, state) = ours(&copy, format, version, mode);
                let found = match outcome.opens {
                    true => Ok(state),
                    false if outcome.hangs => Err("hangs"),
                    false => Err("refuses"),
                };
                let expected = judge.opens(&copy, mode, engine);
                if judge.said.contains("Assertion") {
                    // Builds with assertions end where others go on.
                    continue;
                }
                (compared, refused) = (compared + 1, refused + usize::from(expected.is_err()));
                if found != expected {
                    let brief = |told: &Result<State, &str>| match told {
                        Ok(state) => format!("{} keys", state.len()),
                        Err(why) => (*why).to_owned(),
                    };
                    let (found, expected) = (brief(&found), brief(&expected));
                    let error = outcome.error.unwrap_or_default();
                    wrong.push(format!(
                        "workload {workload} round {round} {mode}: {found} {error}, the engine {expected} {}: {told:?}",
                        judge.said
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}\n{}", wrong.len(), wrong.join("\n"));
    println!("{format} {engine}: {compared} compared, of which it opens {}", compared - refused);
    assert!(refused > 0 && refused < compared, "{refused} of {compared} refused");
}

#[test]
fn leveldb_recovers_what_is_told() {
    judged("leveldb", "leveldb", &[], 500);
}

#[test]
fn the_older_rocksdb_recovers_what_is_told() {
    judged("rocksdb", "7.8.3", &[], 501);
}

#[test]
fn the_newer_rocksdb_recovers_what_is_told() {
    judged("rocksdb", "9.8.4", &[], 502);
}

#[test]
fn the_newer_rocksdb_recovers_what_is_told_of_compressed_logs() {
    judged("rocksdb", "9.8.4", &["zstd"], 503);
}

/// Compressed records of several blocks, in which damage leaves the engine's decompressor in the midst of a frame.
#[test]
fn a_frame_that_is_cut_off_is_told_as_both_versions_have_it() {
    if !has("7.8.3") || !has("9.8.4") {
        return;
    }
    let mut random = Watch::new("block-log-frames", 504).random(0);
    let dir = tempfile::tempdir().expect("a folder");
    let (sound, mut judge, mut swallowed) = (dir.path().join("sound"), Judge::new(), 0);
    write("rocksdb", &sound, 0, &["zstd"]);
    let log = logs(&sound).pop().expect("a log");
    let mut writer = block_log::Writer::new(4, false, 1);
    writer.pack();
    let long: Vec<u8> = (0..70_000).map(|_| random.below(256) as u8).collect();
    for seq in 1..=12 {
        let value = &long[..if seq % 3 == 0 { 70_000 - 1000 * seq as usize } else { 40 }];
        let put = block_log::operation(1, None, &[&[seq as u8], value]);
        writer.record(&block_log::batch(seq, 1, &put));
    }
    for round in 0..8 {
        let copy = dir.path().join(format!("{round}"));
        copy_of(&sound, &copy);
        let mut damaged = writer.file.bytes.clone();
        let at = random.below(damaged.len());
        damaged[at] ^= 1;
        std::fs::write(copy.join(log.file_name().expect("a name")), damaged).expect("written");
        for engine in ["7.8.3", "9.8.4"] {
            let (outcome, state) = ours(&copy, "rocksdb", Some(engine), "skip-any");
            let expected = judge.opens(&copy, "skip-any", engine);
            swallowed += usize::from(judge.said.contains("WriteBatch"));
            let found = if outcome.opens { Ok(state) } else { Err("refuses") };
            let same = found == expected && outcome.error.is_none_or(|error| judge.said.contains(&error));
            assert!(same, "round {round}, byte {at}, {engine}: {}", judge.said);
        }
    }
    assert!(swallowed > 0, "no record was swallowed");
}

/// Transactions in two phases, behind what an engine wrote: it opens with a mind for them, and refuses without.
#[test]
fn two_ways_to_open_are_told_as_the_engine_has_them() {
    if !has("9.8.4") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut judge) = (dir.path().join("store"), Judge::new());
    write("rocksdb", &store, 1, &[]);
    let log = logs(&store).pop().expect("a log");
    let mut bytes = std::fs::read(&log).expect("the log");
    let put = block_log::operation(1, None, &[b"prepared", b"and committed"]);
    let name = block_log::operation(10, None, &[b"name"]);
    let commit = block_log::operation(11, None, &[b"name"]);
    let prepare = block_log::batch(1 << 20, 1, &[&[9], &put[..], &name].concat());
    bytes.resize(bytes.len().next_multiple_of(block_log::BLOCK), 0);
    bytes.extend(block_log::fragment(1, None, &prepare));
    bytes.extend(block_log::fragment(1, None, &block_log::batch(1 << 20, 0, &commit)));
    std::fs::write(&log, bytes).expect("written");
    for minded in [true, false] {
        let options = std::fs::read_dir(&store).expect("a folder").map(|e| e.expect("an entry").path());
        for file in options.filter(|path| path.to_string_lossy().contains("OPTIONS-")) {
            let text = std::fs::read_to_string(&file).expect("options");
            let text = text.replace(&format!("allow_2pc={}", !minded), &format!("allow_2pc={minded}"));
            std::fs::write(&file, text).expect("written");
        }
        let (outcome, state) = ours(&store, "rocksdb", Some("9.8.4"), "point-in-time");
        let expected = judge.opens(&store, "as-set-up", "9.8.4");
        let other = outcome.opening.expect("two ways").otherwise;
        assert_eq!((outcome.opens, other.opens), (minded, !minded));
        match expected {
            Ok(expected) => {
                assert!(minded && state == expected && state.contains_key(&(0, b"prepared".to_vec())))
            }
            Err(_) => assert_eq!((minded, outcome.error), (false, Some(judge.said.clone()))),
        }
    }
}
