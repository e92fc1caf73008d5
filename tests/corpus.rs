//! Runs the library over a corpus of damaged logs with known truth, where one lies beside the checkout in
//! `../shared/corpus/<system>/<case>/{input/, truth.json}` (or under `$WALMEDIC_SHARED`).
//!
//! Compared are, file by file, where the damage begins, how many records are intact before and behind it and how the
//! file ends; the gaps; and what the engine itself made of a copy of the input: whether it opened, and how many records
//! it took over. Every byte must lie in one region and the input must be untouched.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use walmedic::analysis::{OpenLog, Report};
use walmedic::io::listing::{Wanted, find};
use walmedic::log::survey::{BatchState, Ended};
use walmedic::repair::{Strategy, Task, target};
use walmedic::replay::measure::measure;
use walmedic::replay::{Policy, Wish, image, replay};

/// Files of which the truth knows what was done to them and the bytes do not tell it: case, file, reason.
const UNTOLD: &[(&str, &str, &str)] = &[
    ("ddia-bitcask-hash-r1/file2of4-value-flip", "1.data", NO_CHECKSUM),
    ("ddia-bitcask-hash-r1/several-spots", "", NO_CHECKSUM),
    ("ddia-lsm-r1/flip-key", "wal.log", NO_CHECKSUM),
    ("ddia-lsm-r1/flip-value", "wal.log", NO_CHECKSUM),
    ("ddia-lsm-r1/several-spots", "wal.log", NO_CHECKSUM),
    ("ddia-lsm-r1/table-flip-value", "sst_000000.sst", NO_CHECKSUM),
    ("ddia-lsm-r2/table-flip-value", "sst_000000.sst", NO_CHECKSUM),
    ("ddia-bitcask-hash-r1/key-value-border-moved", "0.data", BORDER),
    ("ddia-bitcask-hash-r2/key-value-border-moved", "0.data", BORDER),
    ("ddia-bitcask-log/key-value-border-moved", "segment_000000.dat", BORDER),
    ("ddia-btree-r1/split-wal-full-committed-dat-after", "engine records", "the data file has them already"),
    (
        "ddia-wal-v2/orphan-begin-then-single-writes",
        "committed state",
        "an orphan's members look like single writes",
    ),
];
/// States that differ from the truth's, by policies other than the engine's.
const OTHER_STATE: &[(&str, &str)] = &[
    ("ddia-bitcask-hash-r1/file2of4-value-flip", NO_CHECKSUM),
    ("ddia-bitcask-hash-r1/key-value-border-moved", BORDER),
    ("ddia-bitcask-hash-r2/key-value-border-moved", BORDER),
    ("ddia-bitcask-log/key-value-border-moved", BORDER),
    ("ddia-lsm-r1/flip-key", NO_CHECKSUM),
    ("ddia-lsm-r1/flip-value", NO_CHECKSUM),
    ("ddia-lsm-r1/several-spots", NO_CHECKSUM),
    ("ddia-lsm-r1/table-flip-value", NO_CHECKSUM),
    ("ddia-bitcask-hash-r2/size-flip-mid-file", RECOVERED),
    ("ddia-bitcask-log/size-flip-mid-file", RECOVERED),
    ("ddia-lsm-r2/flip-key-len", RECOVERED),
    ("ddia-lsm-r2/flip-val-len", RECOVERED),
    ("leveldb/flip-length-mid", RECOVERED),
    ("leveldb/flip-type-full-to-middle", RECOVERED),
    ("rocksdb/flip-length-mid", RECOVERED),
    ("rocksdb/flip-type-full-to-recyclable", RECOVERED),
    ("rocksdb/txn-prepared-orphans", PREPARED),
];
const PREPARED: &str = "salvage takes what is prepared, and the truth leaves it out";
const RECOVERED: &str = "the record with one wrong field is recovered, and the truth counts intact ones only";
const NO_CHECKSUM: &str = "no checksum, and the result is as good a record as the one written";
const BORDER: &str = "the checksum is over key and value as one string";

#[test]
fn findings_are_the_truth() {
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let corpus = shared.join("corpus");
    if !corpus.is_dir() {
        println!("not run: {} is absent", corpus.display());
        return;
    }
    let mut tally: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for system in folders(&corpus) {
        let name = name_of(&system);
        let Some(format) = format_of(&name) else {
            println!("not run: {name}: no such format yet");
            continue;
        };
        for case in folders(&system) {
            let mut checks =
                Checks { case: format!("{name}/{}", name_of(&case)), compared: 0, wrong: Vec::new() };
            checks.run(&case, &name, format);
            let row = tally.entry(name.clone()).or_default();
            (row.0, row.1) = (row.0 + 1, row.1 + checks.compared);
            wrong.append(&mut checks.wrong);
        }
    }
    for (system, (cases, compared)) in &tally {
        println!("{system}: {cases} cases, {compared} values compared");
    }
    assert!(tally.values().any(|row| row.1 > 0), "{}: there, and yet nothing was compared", corpus.display());
    assert!(wrong.is_empty(), "{}\n{} differ", wrong.join("\n"), wrong.len());
}

/// `ddia-bitcask-hash-r1` holds logs of the format `bitcask-hash`.
fn format_of(system: &str) -> Option<&'static str> {
    let names = walmedic::format::ALL.iter().map(|f| f.profile().name);
    let bare = system.strip_prefix("ddia-").unwrap_or(system);
    names.filter(|n| system.starts_with(n) || (bare.starts_with(n) && bare != system)).max_by_key(|n| n.len())
}

struct Checks {
    case: String,
    compared: usize,
    wrong: Vec<String>,
}

impl Checks {
    fn run(&mut self, case: &Path, system: &str, format: &'static str) {
        let text = std::fs::read_to_string(case.join("truth.json")).expect("truth.json");
        let truth: Value = serde_json::from_str(&text).expect("JSON");
        let input = case.join("input");
        let before = contents(&input);
        let (log, report) = read(&input, &truth, system, format);
        self.same("untouched", &(before == contents(&input)), &true);
        common::read::assert_tiles(&report);
        self.files(&report, &truth);
        self.gaps(&report, &truth);
        self.engine(&report, &truth, system);
        self.states(&log, &report, &truth, system);
        self.repair_by_engine(&log, &report, &input);
    }

    /// The engine recovers from its own repair what it did before, and nothing is found in it.
    fn repair_by_engine(&mut self, log: &OpenLog, report: &Report, input: &Path) {
        if !log.format().mends() {
            return;
        }
        let before = state(log, report, Policy::Engine, None);
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let rule = Strategy::Engine.rule(log, report, false, false);
        let copied =
            rule.and_then(|rule| target::copy(&Task { log, report, rule: &rule, path: input }, &out));
        let Ok((_, done)) = copied else {
            return self.same("engine opens what is not repaired", &before.0, &false);
        };
        let format = Some(log.format().profile().name.to_owned());
        let wanted = Wanted { format, revision: log.revision.map(str::to_owned), ..Wanted::default() };
        let new = OpenLog::new(find(&out, &wanted).expect("a log").remove(0), &wanted).expect("opened");
        // Transactions that are prepared stay so, and are told again.
        let prepared =
            report.conclusions.batches.iter().any(|b| b.batch.state == BatchState::Orphan(Ended::Prepared));
        self.same("findings after a repair by the engine", &done.found.left, &prepared);
        let after = state(&new, &new.analyse(1), Policy::Engine, None);
        self.same("engine state after a repair by it", &after, &before);
    }

    /// The state by every policy, and what other versions of the engine made of the same bytes.
    fn states(&mut self, log: &OpenLog, report: &Report, truth: &Value, system: &str) {
        if system.starts_with("ddia-btree") {
            // Of pages, not of records.
            return;
        }
        let hash = |names: &[&str]| names.iter().find_map(|name| truth[name]["state_sha256"].as_str());
        let committed = match system {
            "ddia-wal-v1" => hash(&["up_to_last_commit"]),
            _ => hash(&["best_recoverable_atomic", "best_recoverable"]),
        };
        for (policy, expected) in
            [(Policy::Committed, committed), (Policy::Salvage, hash(&["salvage_all", "best_recoverable"]))]
        {
            if let Some(expected) = expected {
                let found = state(log, report, policy, None);
                self.same(&format!("{} state", policy.word()), &found.1.as_str(), &expected);
            }
        }
        let others = truth["engine_other_revs"].as_array().into_iter().flatten();
        for engine in std::iter::once(&truth["engine_recovers"]).chain(others) {
            let (Some(open), Some(version)) = (engine["open"].as_str(), engine["rev"].as_str()) else {
                continue;
            };
            let (opens, found) = state(log, report, Policy::Engine, Some(version));
            self.same(&format!("engine {version} opens"), &opens, &(open == "ok"));
            if let Some(expected) = engine["state_sha256"].as_str().filter(|_| open == "ok") {
                self.same(&format!("engine {version} state"), &found.as_str(), &expected);
            }
        }
    }

    fn files(&mut self, report: &Report, truth: &Value) {
        for file in truth["files"].as_array().into_iter().flatten() {
            let known = ["first_bad_offset", "records_intact_before_damage", "entries_as_framed"];
            let (Some(path), true) = (file["path"].as_str(), known.iter().any(|k| file.get(k).is_some()))
            else {
                continue;
            };
            if file["end"] == "deleted" || file["present"] == false {
                continue;
            }
            let Some(read) = report.files.iter().find(|f| *f.name == *path) else {
                self.wrong.push(format!("{}: {path} is not in the report", self.case));
                continue;
            };
            let (before, behind, _) = read.survey.counts();
            if let Some(first_bad) = file.get("first_bad_offset") {
                self.same(&format!("{path}: first bad"), &read.first_bad(), &first_bad.as_u64());
            }
            // Framed entries are not intact ones once something is damaged.
            let framed = file.get("entries_as_framed").filter(|_| file["first_bad_offset"].is_null());
            let intact = file.get("records_intact_before_damage").or(framed);
            if let Some(intact) = intact.and_then(Value::as_u64) {
                self.same(&format!("{path}: before damage"), &before, &intact);
            }
            if let Some(intact) = file["records_intact_after_damage"].as_u64() {
                self.same(&format!("{path}: behind damage"), &behind, &intact);
            }
            if let Some(end @ ("clean" | "torn" | "corrupt")) = file["end"].as_str() {
                let found = match read.end() {
                    "preallocated" | "stale" => "clean",
                    other => other,
                };
                self.same(&format!("{path}: end"), &found, &end);
            }
        }
    }

    fn gaps(&mut self, report: &Report, truth: &Value) {
        let Some(gaps) = truth["gaps"].as_array().filter(|_| report.format.profile().name == "ddia-wal")
        else {
            return;
        };
        let expected: Vec<_> =
            gaps.iter().map(|g| (g["first_missing"].as_u64(), g["last_missing"].as_u64())).collect();
        let found: Vec<_> = report.conclusions.gaps.iter().map(|g| (Some(g.first), Some(g.last))).collect();
        self.same("gaps", &found, &expected);
    }

    fn engine(&mut self, report: &Report, truth: &Value, system: &str) {
        let engine = &truth["engine_recovers"];
        let Some(open) = engine["open"].as_str() else { return };
        let forecast = report.forecast.as_ref().expect("a forecast");
        self.same("engine opens", &forecast.engine.opens, &(open == "ok"));
        let applied = match system {
            _ if system.starts_with("ddia-wal") => "replay_records",
            // Of tables the truth says nothing.
            _ if system.starts_with("ddia-lsm") && report.files.len() == 1 => "wal_entries_replayed",
            _ if system.starts_with("ddia-btree") => "wal_pages_applied",
            // The Bitcasks tell keys, not records.
            _ => return,
        };
        if let Some(records) = engine[applied].as_u64().filter(|_| forecast.engine.opens && open == "ok") {
            self.same("engine records", &forecast.engine.records, &records);
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        self.compared += 1;
        let other = what == "committed state" || what == "salvage state";
        let untold = UNTOLD.iter().any(|(case, start, _)| *case == self.case && what.starts_with(start))
            || other && OTHER_STATE.iter().any(|(case, _)| *case == self.case);
        if found != expected && !untold {
            self.wrong.push(format!("{}: {what}: {found:?}, expected {expected:?}", self.case));
        }
    }
}

/// Whether there is a state by a policy, and its hash.
fn state(log: &OpenLog, report: &Report, policy: Policy, engine: Option<&str>) -> (bool, String) {
    let engine = engine.map(str::to_owned);
    let wish = Wish { engine, ..Wish::new(policy, u64::MAX) };
    let replayed = replay(log, report, &wish).expect("a state");
    // Of pages the file that they make is compared.
    let file = || Some(image::sha256(log, replayed.image.as_ref()?).expect("a hash").expect("no giant"));
    let hash = measure(log, &replayed.state).expect("a hash").main.hash.or_else(file);
    (replayed.opens, hash.unwrap_or_default())
}

/// Reads the case as a user would who knows what the bytes do not tell.
fn read(input: &Path, truth: &Value, system: &str, format: &'static str) -> (OpenLog, Report) {
    let undecided = ["ddia-wal-v1", "ddia-btree-r2", "ddia-btree-r3"];
    let revision =
        undecided.contains(&system).then(|| system.rsplit('-').next().expect("a revision").to_owned());
    let no_files = truth["files"].as_array().is_none_or(Vec::is_empty) || truth["case"] == "empty-directory";
    let named = no_files.then(|| format.to_owned());
    let wanted = Wanted { format: named, revision, ..Wanted::default() };
    let mut logs = find(input, &wanted).expect("a log");
    assert_eq!(logs.len(), 1, "{}: not one log", input.display());
    let log = logs.remove(0);
    assert_eq!(log.format.profile().name, format, "{}: recognised by {}", input.display(), log.recognised_by);
    let open = OpenLog::new(log, &wanted).expect("a known revision");
    let report = open.analyse(2);
    (open, report)
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
    let mut folders: Vec<PathBuf> = listed.filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let listed = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
    listed.map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default())).collect()
}
