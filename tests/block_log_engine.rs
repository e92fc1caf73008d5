//! What LevelDB and RocksDB make of damaged logs: walmedic's word is compared with theirs, mode by mode and version by version,
//! as a corpus beside the checkout has it (`../shared/corpus`, or under `$WALMEDIC_SHARED`), and as engines that are installed
//! have it on logs that they wrote themselves and that were damaged at random.
mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::random::{Random, Watch};

use serde_json::Value;
use sha2::{Digest, Sha256};
use walmedic::analysis::OpenLog;
use walmedic::format::{Effect, Job, Outcome};
use walmedic::io::listing::{Wanted, find};
use walmedic::log::survey::Survey;

/// Keys and values of a database, by column family.
type State = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

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
                let (outcome, state) = ours(&case.join("input"), system, engine, mode);
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

/// Writes databases and opens them by the real engines.
const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/judge.py");

/// Whether the engine is installed; says so where it is not.
fn has(engine: &str) -> bool {
    let mut asked = match engine {
        "7.8.3" => Command::new("ldb"),
        _ => Command::new("python3"),
    };
    match engine {
        "7.8.3" => asked.arg("--version"),
        _ => asked.args([JUDGE, "has", engine]),
    };
    let there =
        asked.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        println!("not run: no engine {engine} is installed");
    }
    there
}

/// A process that opens databases.
struct Judge {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    /// What the engine last said.
    said: String,
}

impl Judge {
    fn new() -> Judge {
        let mut asked = Command::new("python3");
        let asked = asked.args([JUDGE, "open"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = asked.stderr(Stdio::null()).spawn().expect("a judge");
        let answers = BufReader::new(child.stdout.take().expect("its answers"));
        Judge { child, answers, said: String::new() }
    }

    /// What the engine makes of a copy of `dir`: `hangs`, `refuses`, or the state.
    fn opens(&mut self, dir: &Path, mode: &str, engine: &str) -> Result<State, &'static str> {
        let questions = self.child.stdin.as_mut().expect("questions");
        writeln!(questions, "{} {mode} {engine}", dir.display()).expect("asked");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        self.said = told["error"].as_str().unwrap_or_default().to_owned();
        match (&told["hangs"], &told["opens"]) {
            (Value::Bool(true), _) => Err("hangs"),
            (_, Value::Bool(true)) => Ok(held(&told["state"])),
            _ => Err("refuses"),
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn held(state: &Value) -> State {
    let bytes = |hex: &str| -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let pairs = state.as_object().expect("a state").iter();
    let pairs = pairs.map(|(key, value)| {
        let (family, key) = key.split_once(':').map_or((0, &key[..]), |(_, key)| (1, key));
        ((family, bytes(key)), bytes(value.as_str().expect("hex")))
    });
    pairs.collect()
}

/// Damages the one log in `dir` in some way; tells how.
fn damage(dir: &Path, random: &mut Random) -> String {
    const BLOCK: usize = 32 << 10;
    let logs = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
    let log = logs.filter(|path| path.extension().is_some_and(|e| e == "log")).min().expect("a log");
    let mut bytes = std::fs::read(&log).expect("a log");
    let len = bytes.len();
    let (at, block) = (random.below(len), random.below(len / BLOCK + 1) * BLOCK);
    let told = match random.below(11) {
        0 | 1 => {
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        2 => {
            // Types and lengths are few among the bytes.
            let header = headers(&bytes)[..].to_vec();
            let header = header[random.below(header.len())];
            let (field, bit) = (random.within(4, 7), random.below(8));
            bytes[header + field] ^= 1 << bit;
            format!("bit {bit} of byte {field} of the header at {header}")
        }
        3 => {
            bytes.truncate(at);
            format!("cut to {at}")
        }
        4 => {
            let sector = [512, 4096][random.below(2)];
            let from = at / sector * sector;
            let to = (from + sector).min(len);
            bytes[from..to].fill(0);
            format!("zeros in {from}..{to}")
        }
        5 => {
            let more: Vec<u8> = (0..random.within(1, 40)).map(|_| random.below(256) as u8).collect();
            let told = format!("{} bytes put in at {at}", more.len());
            bytes.splice(at..at, more);
            told
        }
        6 => {
            let to = (at + random.within(1, 300)).min(len);
            bytes.drain(at..to);
            format!("{at}..{to} taken out")
        }
        7 => {
            let again = bytes[block.min(len)..(block + BLOCK).min(len)].to_vec();
            let to = random.below(len / BLOCK + 1) * BLOCK;
            bytes.splice(to..to, again);
            format!("the block at {block} once more at {to}")
        }
        8 => {
            bytes.resize(len + random.within(1, 2 * BLOCK), 0);
            format!("zeros up to {}", bytes.len())
        }
        9 => {
            let all = headers(&bytes);
            let (from, to) = (all[random.below(all.len())], all[random.below(all.len())]);
            let (from, to) = (from.min(to), from.max(to));
            bytes[from..to].fill(0);
            format!("zeros in {from}..{to}, from header to header")
        }
        _ => {
            let rest = bytes.split_off(block.min(len));
            let mut told = format!("in two logs at {}", bytes.len());
            let lost = random.below(3) * BLOCK;
            if lost < rest.len() {
                std::fs::write(dir.join("000050.log"), &rest[lost..]).expect("a second log");
                told += &format!(", {lost} bytes lost in between");
            }
            told
        }
    };
    std::fs::write(&log, bytes).expect("a damaged log");
    told
}

/// Offsets of the headers of an undamaged log.
fn headers(bytes: &[u8]) -> Vec<usize> {
    const BLOCK: usize = 32 << 10;
    let (mut at, mut all) = (0, Vec::new());
    while at + 7 <= bytes.len() {
        if BLOCK - at % BLOCK < 7 {
            at += BLOCK - at % BLOCK;
            continue;
        }
        all.push(at);
        at += 7 + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
    }
    all
}

/// Databases that each engine writes: `WALMEDIC_WORKLOADS` asks for more.
fn workloads() -> usize {
    std::env::var("WALMEDIC_WORKLOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// Compares walmedic with an engine on many damaged logs of its own making.
fn judged(format: &'static str, engine: &'static str, seed: u64) {
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
    for workload in 0..workloads() {
        let dir = tempfile::tempdir().expect("a folder");
        let sound = dir.path().join("sound");
        let mut random = watch.random(workload);
        let write = [JUDGE, "write", format, sound.to_str().expect("a path"), &workload.to_string()];
        assert!(Command::new("python3").args(write).status().expect("a writer").success());
        for round in 0..8 {
            let copy = dir.path().join(format!("{round}"));
            std::fs::create_dir(&copy).expect("a folder");
            for file in std::fs::read_dir(&sound).expect("a folder").map(|e| e.expect("an entry").path()) {
                std::fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
            }
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
    judged("leveldb", "leveldb", 500);
}

#[test]
fn the_older_rocksdb_recovers_what_is_told() {
    judged("rocksdb", "7.8.3", 501);
}

#[test]
fn the_newer_rocksdb_recovers_what_is_told() {
    judged("rocksdb", "9.8.4", 502);
}
