//! Replay and repair of the B-tree: what each version of its engine would hold, what can be had, and copies that verify.
//!
//! The corpus lies beside the checkout in `../shared/corpus` or under `$WALMEDIC_SHARED`; its truth was told by the engines
//! themselves, of the revision that wrote the files and of others.

mod common;

use std::path::{Path, PathBuf};

use common::damage::Damage;
use common::log::Log;
use common::random::Watch;
use common::{read, samples};
use serde_json::Value;
use walmedic::analysis::{OpenLog, Report};
use walmedic::io::listing::{Wanted, find};
use walmedic::judgement::Judgement;
use walmedic::repair::plan::Plan;
use walmedic::repair::{Strategy, Task, target};
use walmedic::replay::measure::measure;
use walmedic::replay::{Policy, Replayed, Wish, image, replay};

/// Where the truth takes less than there is: case and reason.
const MORE_THAN_TOLD: &[(&str, &str)] = &[(
    "ddia-btree-r3/entry-length-flip",
    "the entry is recovered, so the committed operation is whole; the truth leaves it out",
)];

struct Opened {
    log: OpenLog,
    report: Report,
}

impl Opened {
    fn new(path: &Path, revision: &str) -> Opened {
        let wanted = Wanted {
            format: Some("ddia-btree".into()),
            revision: Some(revision.into()),
            ..Wanted::default()
        };
        let mut logs = find(path, &wanted).expect("a log");
        assert_eq!(logs.len(), 1, "{}", path.display());
        let log = OpenLog::new(logs.remove(0), &wanted).expect("opened");
        let report = log.analyse(1);
        Opened { log, report }
    }

    fn replay(&self, policy: Policy, engine: Option<&str>) -> Replayed<'_> {
        let engine = engine.map(str::to_owned);
        let wish = Wish { engine, ..Wish::new(policy, u64::MAX) };
        replay(&self.log, &self.report, &wish).expect("a state")
    }

    /// Number of keys, and the hash of the state.
    fn state(&self, policy: Policy) -> (u64, String) {
        let held = measure(&self.log, &self.replay(policy, None).state).expect("read");
        (held.keys, held.main.hash.expect("a hash of keys"))
    }

    fn findings(&self) -> bool {
        let report = self.log.analyse(1);
        Judgement::default().exit_code(&[report]) != 0
    }

    fn plan(&self, strategy: Strategy) -> Plan {
        let rule = strategy.rule(&self.log, &self.report, false, false).expect("a rule");
        Plan::of(&self.log, &self.report, &rule).expect("a plan")
    }

    /// Repairs a copy; whether findings are left in it.
    fn repair(&self, path: &Path, output: &Path) -> bool {
        let rule = Strategy::Salvage.rule(&self.log, &self.report, false, false).expect("a rule");
        let task = Task { log: &self.log, report: &self.report, rule: &rule, path };
        target::copy(&task, output).expect("repaired").1.found.left
    }
}

/// Every case of the corpus, with its truth: name, revision, folder of its files.
fn cases() -> Vec<(String, String, PathBuf, Value)> {
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let mut cases = Vec::new();
    for revision in ["r1", "r2", "r3"] {
        let system = format!("ddia-btree-{revision}");
        let Ok(folders) = std::fs::read_dir(shared.join("corpus").join(&system)) else {
            println!("not run: {system} is absent");
            continue;
        };
        for folder in folders.map(|entry| entry.expect("an entry").path()) {
            let truth = std::fs::read(folder.join("truth.json")).expect("a truth");
            let truth = serde_json::from_slice(&truth).expect("JSON");
            let name = format!("{system}/{}", folder.file_name().expect("a name").to_string_lossy());
            cases.push((name, revision.to_owned(), folder.join("input"), truth));
        }
    }
    cases
}

#[test]
fn each_version_of_the_engine_holds_what_it_held() {
    let mut asked = 0;
    for (name, revision, input, truth) in cases() {
        let opened = Opened::new(&input, &revision);
        let others = truth["engine_other_revs"].as_array().into_iter().flatten();
        for engine in std::iter::once(&truth["engine_recovers"]).chain(others) {
            let version = engine["rev"].as_str().expect("a commit");
            let replayed = opened.replay(Policy::Engine, Some(version));
            let held = measure(&opened.log, &replayed.state).expect("a hash");
            let (entries, state) = (held.keys, held.main.hash);
            assert_eq!(replayed.opens, engine["open"] == "ok", "{name} {version}: opens");
            assert_eq!(replayed.applied, engine["wal_pages_applied"], "{name} {version}: entries applied");
            assert_eq!(
                (entries, state.as_deref()),
                (told(engine).0, Some(told(engine).1)),
                "{name} {version}: state"
            );
            let iteration = engine["iteration"].as_str().expect("told");
            assert_eq!(replayed.error.is_none(), iteration == "ok", "{name} {version}: iteration");
            let image_of = replayed.image.expect("an image");
            assert_eq!(image_of.len, engine["data_file_bytes_after_open"], "{name} {version}: length");
            let hash = image::sha256(&opened.log, &image_of).expect("a hash");
            let known = engine["data_file_sha256_after_open"].as_str();
            assert_eq!(hash.as_deref(), known, "{name} {version}: data file");
            asked += 1;
        }
    }
    println!("{asked} openings compared");
}

fn told(reading: &Value) -> (u64, &str) {
    (reading["entries"].as_u64().expect("a number"), reading["state_sha256"].as_str().expect("a hash"))
}

#[test]
fn what_can_be_had_is_had_and_a_repaired_copy_holds_it() {
    let root = tempfile::tempdir().expect("a folder");
    for (n, (name, revision, input, truth)) in cases().into_iter().enumerate() {
        let opened = Opened::new(&input, &revision);
        let committed = opened.state(Policy::Committed);
        let more = MORE_THAN_TOLD.iter().any(|(case, _)| *case == name);
        let expected = told(&truth[if more { "state_after_op" } else { "best_recoverable" }]);
        assert_eq!((committed.0, &*committed.1), expected, "{name}: committed");
        assert!(opened.state(Policy::Salvage).0 >= committed.0, "{name}: salvage takes less");
        let output = root.path().join(n.to_string());
        assert!(!opened.repair(&input, &output), "{name}: findings are left");
        check_repaired(&output, &revision, &committed);
    }
}

/// A repaired copy holds the state, and repairing it once more changes nothing.
fn check_repaired(output: &Path, revision: &str, committed: &(u64, String)) {
    let again = Opened::new(output, revision);
    assert!(!again.findings(), "findings in a repaired copy");
    assert_eq!(&again.state(Policy::Engine), committed, "the engine holds another state");
    assert_eq!(&again.state(Policy::Committed), committed, "the copy lost something");
    assert!(!again.plan(Strategy::Salvage).acts(), "there is something to repair in a repaired copy");
}

#[test]
fn a_repaired_copy_of_any_damage_verifies_and_holds_what_was_committed() {
    let watch = Watch::new("repairs of trees", 300);
    for (i, sample) in samples().iter().enumerate().filter(|(_, s)| s.format == "ddia-btree") {
        for round in 0..60 {
            let mut random = watch.random(i * 1000 + round);
            let mut log = (sample.write)(&mut random, 30);
            for _ in 0..round % 5 {
                let file = log.any_file(&mut random);
                if !log.files[file].bytes.is_empty() {
                    Damage::any(&log.files[file], &mut random).apply(&mut log.files[file], &mut random);
                }
            }
            let folder = tempfile::tempdir().expect("a folder");
            let (input, output) = (folder.path().join("input"), folder.path().join("output"));
            store(&log, &input);
            let opened = Opened::new(&input, sample.name);
            assert!(!opened.repair(&input, &output), "{} round {round}: findings are left", sample.name);
            check_repaired(&output, sample.name, &opened.state(Policy::Committed));
            // A state that the engine does not have cannot be built.
            let rule = Strategy::Engine.rule(&opened.log, &opened.report, false, false);
            let planned = rule.and_then(|rule| Plan::of(&opened.log, &opened.report, &rule));
            let opens = opened.replay(Policy::Engine, None).opens;
            assert_eq!(planned.is_ok_and(|plan| plan.rebuilt.is_some() || !plan.acts()), opens);
        }
    }
}

fn store(log: &Log, folder: &Path) {
    std::fs::create_dir(folder).expect("a folder");
    log.store(folder);
}

#[test]
fn one_of_the_two_files_alone_is_repaired() {
    let log =
        common::btree::sample(&mut Watch::new("one file", 60).random(0), 20, common::btree::Revision::R3);
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("input");
    store(&log, &input);
    let both = Opened::new(&input, "r3").state(Policy::Committed);
    // The log alone: what its images hold, in a store that has both files.
    let (wal, output) = (input.join("btree.wal"), folder.path().join("from-wal"));
    let alone = Opened::new(&wal, "r3");
    let images = alone.state(Policy::Committed);
    assert!(images.0 > 0 && images.0 < both.0, "{images:?} of {both:?}");
    assert!(alone.plan(Strategy::Salvage).lost);
    assert!(!alone.repair(&wal, &output));
    assert_eq!(std::fs::metadata(output.join("btree.wal")).expect("a log").len(), 0);
    check_repaired(&output, "r3", &images);
    // The data file alone, one leaf wiped: the others.
    let mut pages = std::fs::read(input.join("btree.dat")).expect("read");
    pages[128..256].fill(0xee);
    let (dat, output) = (folder.path().join("btree.dat"), folder.path().join("from-dat"));
    std::fs::write(&dat, pages).expect("written");
    let alone = Opened::new(&dat, "r3");
    assert!(!alone.repair(&dat, &output));
    assert!(output.is_file());
    let wanted = Opened::new(&dat, "r3").state(Policy::Committed);
    let repaired = folder.path().join("repaired");
    std::fs::create_dir(&repaired).expect("a folder");
    std::fs::copy(&output, repaired.join("btree.dat")).expect("copied");
    check_repaired(&repaired, "r3", &wanted);
}

/// What an engine leaves that took the commit entry for page 4294967295.
#[test]
fn a_tebibyte_of_zeros_is_not_copied() {
    let mut log =
        common::btree::sample(&mut Watch::new("zeros", 60).random(0), 20, common::btree::Revision::R3);
    log.files.retain(|f| f.name == "btree.dat");
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("input"), folder.path().join("output"));
    store(&log, &input);
    let pages = std::fs::OpenOptions::new().write(true).open(input.join("btree.dat")).expect("opened");
    pages.set_len(1 << 40).expect("a sparse file");
    let opened = Opened::new(&input, "r3");
    assert!(!opened.repair(&input, &output));
    assert!(std::fs::metadata(output.join("btree.dat")).expect("written").len() < 1 << 16);
    check_repaired(&output, "r3", &opened.state(Policy::Committed));
    let image = opened.replay(Policy::Engine, None).image.expect("an image");
    assert_eq!(image::sha256(&opened.log, &image).expect("no hash"), None);
}

#[test]
fn samples_tell_committed_from_engine() {
    // Damage in the middle of a committed group: the engine of r3 drops it, committed keeps what stands.
    let mut log =
        common::btree::sample(&mut Watch::new("a hole", 60).random(1), 20, common::btree::Revision::R3);
    let open = read::open(&log);
    let report = open.analyse(1);
    let whole = Opened { log: open, report }.state(Policy::Committed);
    let wal = log.files.iter_mut().find(|f| f.name == "btree.wal").expect("a log");
    let at = wal.records[1].span.start + 40;
    wal.bytes[at] ^= 4;
    let open = read::open(&log);
    let report = open.analyse(1);
    let opened = Opened { log: open, report };
    assert_eq!(opened.state(Policy::Committed), whole);
    assert_eq!(opened.state(Policy::Engine).0 + 1, whole.0);
}
