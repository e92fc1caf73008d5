//! Properties of repairs and cuts, over generated logs with several damages each: the result verifies clean and holds what
//! was committed, in the eyes of the reader, of the engine's model and of our own engines; a second repair finds nothing to
//! do; what was changed in place comes back byte for byte.
//!
//! The seed is fixed and printed; `WALMEDIC_SEED=n cargo test --test recovery` tries another.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::damage::Damage;
use common::log::{File, Log};
use common::random::Watch;
use common::read::format;
use common::run::{Contents, contents, scratch};
use common::{Sample, mended_samples};
use walmedic::analysis::{OpenLog, Report};
use walmedic::engine::lsm::{self, LsmTree};
use walmedic::engine::storage::Directory;
use walmedic::engine::wal::{self, WalStore};
use walmedic::findings::Finding;
use walmedic::format::Role;
use walmedic::io::listing::{Wanted, find};
use walmedic::log::finding::{Class, Code};
use walmedic::refused::Refused;
use walmedic::repair::edits::Rule;
use walmedic::repair::plan::{Listed, Plan, Verb};
use walmedic::repair::prepared;
use walmedic::repair::undo::undo;
use walmedic::repair::{Strategy, Task, place, target};
use walmedic::replay::{Policy, Wish, cut, image, replay, value_bytes};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A log in a directory, read.
struct Read {
    open: OpenLog,
    report: Report,
}

impl Read {
    fn at(path: &Path, log: &Log) -> Read {
        let wanted = Wanted {
            format: Some(log.format.into()),
            revision: log.revision.map(str::to_owned),
            ..Wanted::default()
        };
        let found = find(path, &wanted).expect("a log").remove(0);
        let open = OpenLog::new(found, &wanted).expect("opened");
        let report = open.analyse(1);
        Read { open, report }
    }

    fn findings(&self) -> Vec<Finding> {
        self.report.findings().filter(|f| f.class != Class::Note).collect()
    }

    /// What a policy makes of it; `None`: the engine would not open.
    fn state(&self, policy: Policy, undecided: bool) -> Option<State> {
        let wish = Wish { undecided, ..Wish::new(policy, 1 << 30) };
        let replayed = replay(&self.open, &self.report, &wish).expect("replayed");
        let mut state = State::new();
        for live in replayed.state.iter().expect("read") {
            let live = live.expect("read");
            let mut value = Vec::new();
            let take = &mut |piece: &[u8]| {
                value.extend(piece);
                Ok(())
            };
            value_bytes(&self.open, &live.value, take).expect("a value");
            state.insert(live.key.into(), value);
        }
        replayed.opens.then_some(state)
    }

    fn engine_records(&self) -> u64 {
        self.report.forecast.as_ref().expect("a forecast").engine.records
    }

    /// The hash of the file of pages that a policy makes.
    fn image(&self, policy: Policy) -> Option<String> {
        let wish = Wish::new(policy, 1 << 30);
        let replayed = replay(&self.open, &self.report, &wish).expect("replayed");
        image::sha256(&self.open, &replayed.image?).expect("read")
    }

    fn salvage(&self, undecided: bool) -> Rule {
        Strategy::Salvage.rule(&self.open, &self.report, undecided, true).expect("a rule")
    }

    /// Transactions that wait for their application to decide upon them, as the engine keeps them.
    fn waiting(&self) -> Vec<String> {
        prepared::list(&self.report, &Rule::verbatim(), None).into_iter().map(|p| p.name).collect()
    }

    /// Repairs it into `out`, and reads that; tells whether findings are said to be left.
    fn mended(&self, log: &Log, path: &Path, out: &Path) -> (Read, bool) {
        self.mended_by(&self.salvage(false), log, path, out)
    }

    fn mended_by(&self, rule: &Rule, log: &Log, path: &Path, out: &Path) -> (Read, bool) {
        let task = Task { log: &self.open, report: &self.report, rule, path };
        let (plan, done) = target::copy(&task, out).expect("written");
        let planned = self.plan(rule);
        let told = |plan: &Plan| (format!("{:?}", plan.files), plan.kept, plan.dropped);
        assert_eq!(told(&plan), told(&planned), "not what was planned");
        let mended = Read::at(out, log);
        if let Some(after) = planned.after.filter(|_| mended.findings().iter().all(waits)) {
            assert_eq!(mended.engine_records(), after, "writes that the engine keeps afterwards");
        }
        let kept = planned.prepared.iter().filter(|p| p.kept).map(|p| p.name.clone());
        assert_eq!(mended.waiting(), kept.collect::<Vec<_>>(), "prepared transactions");
        (mended, done.found.left)
    }

    fn plan(&self, rule: &Rule) -> Plan {
        Plan::of(&self.open, &self.report, rule).expect("a plan")
    }
}

/// What is prepared is not the log's to end.
fn waits(finding: &Finding) -> bool {
    finding.code == Code::OrphanedBatch && finding.message.contains(": prepared, ")
}

/// What says which logs a store has is no log: no repair writes it.
fn lists(log: &Log, file: usize) -> bool {
    let claim = format(log.format).claim(&log.files[file].name);
    claim.is_some_and(|claim| claim.role == Role::List)
}

/// A damaged log, and what was done to it.
fn damaged(sample: &Sample, watch: &Watch, n: usize) -> (Log, String) {
    let mut random = watch.random(n);
    let records = random.within(1, 40);
    let mut log = (sample.write)(&mut random, records);
    let mut done = Vec::new();
    for _ in 0..random.within(1, 4) {
        let file = log.any_file(&mut random);
        if log.files[file].bytes.is_empty() || lists(&log, file) {
            continue;
        }
        let damage = Damage::any(&log.files[file], &mut random);
        damage.apply(&mut log.files[file], &mut random);
        done.push((log.files[file].name.clone(), damage));
    }
    (log, format!("{} {} {n}: {done:?}", sample.format, sample.name))
}

/// Runs `check` on damaged logs of every kind, each stored as `log` in a directory of its own; tells all that fail.
fn on_damaged(what: &'static str, rounds: usize, check: impl Fn(&Log, &Path) + std::panic::RefUnwindSafe) {
    let watch = Watch::new(what, 300);
    let mut failed = Vec::new();
    for (i, sample) in mended_samples().iter().enumerate() {
        for round in 0..rounds {
            let (log, told) = damaged(sample, &watch, i * 10_000 + round);
            let folder = scratch();
            let path = folder.path().join("log");
            log.store(&path);
            let run = || check(&log, &path);
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                eprintln!("while repairing {told}");
                failed.push(told);
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

fn assert_same(found: Option<&State>, expected: &State, what: &str) {
    let Some(found) = found else { panic!("{what}: does not open") };
    let text = |state: &State, key: &[u8]| state.get(key).map(|v| String::from_utf8_lossy(v).into_owned());
    let keys = found.keys().chain(expected.keys()).filter(|key| found.get(*key) != expected.get(*key));
    let differs: Vec<_> = keys
        .map(|key| (String::from_utf8_lossy(key).into_owned(), text(found, key), text(expected, key)))
        .collect();
    assert!(differs.is_empty(), "{what}: {differs:?}");
}

/// The state that our own engine finds, where there is one for the format's newest revision.
fn own_engine(log: &Log, path: &Path) -> Option<State> {
    let storage = Directory::open(path).expect("opened");
    match (log.format, log.revision) {
        ("ddia-wal", None) => {
            let store = WalStore::open(storage, wal::Options::default()).expect("opened");
            Some(store.scan(..).map(|(k, v)| (k.to_vec(), v.to_vec())).collect())
        }
        ("ddia-lsm", Some("r2")) => {
            let tree = LsmTree::open(storage, lsm::Options::default()).expect("opened");
            Some(tree.scan(..).expect("read").collect::<Result<_, _>>().expect("read"))
        }
        _ => None,
    }
}

/// A record has room for one wrong field in the reader's eyes, and keys are compared with those right beside them: what else
/// is wrong with a record beside damage shows once the damage is gone. Then another repair is needed, and said to be.
fn shows_later(log: &Log, finding: &Finding) -> bool {
    match (log.format, finding.code) {
        ("bitcask-hash", Code::ImpossibleNumber) => true,
        ("ddia-lsm", Code::Malformed) => log.files.iter().any(|f| f.shifted && f.name.ends_with(".sst")),
        _ => false,
    }
}

/// The database under a log is not the log's to repair.
fn beneath(log: &Log, finding: &Finding) -> bool {
    let damaged = log.files.iter().any(|f| f.name == "app.db" && f.damages > 0);
    damaged && matches!(finding.code, Code::PageMismatch | Code::ForeignRecords)
}

/// A wrong number beside other damage may make the rest of a log look like another log's; without that part, another one.
fn misleading(log: &Log) -> bool {
    log.format == "ddia-wal" && log.files.iter().any(|f| f.changed_field && f.damages > 1)
}

#[test]
fn a_repaired_copy_is_clean_and_holds_what_was_committed() {
    const ROUNDS: usize = 60;
    let twice = AtomicUsize::new(0);
    on_damaged("repairs", ROUNDS, |log, path| {
        let before = contents(path);
        let read = Read::at(path, log);
        // Another database's log is refused before anything is made of it.
        if read.report.foreign().is_some() {
            return;
        }
        let committed = read.state(Policy::Committed, false).expect("no engine is asked");
        let out = path.with_file_name("out");
        let (mut mended, left) = read.mended(log, path, &out);
        assert_eq!(contents(path), before, "the input was changed");
        let findings = mended.findings();
        assert_eq!(left, !findings.is_empty(), "{findings:?}");
        let clean = |read: &Read| read.findings().iter().all(|f| beneath(log, f) || waits(f));
        let settled = |read: &Read| clean(read) && !read.plan(&read.salvage(false)).acts();
        let once = settled(&mended);
        twice.fetch_add(usize::from(!once), Ordering::Relaxed);
        for _ in 0..20 {
            if settled(&mended) {
                break;
            }
            let findings: Vec<_> = mended.findings().into_iter().filter(|f| !waits(f)).collect();
            let later = !findings.is_empty() && findings.iter().all(|f| shows_later(log, f));
            assert!(
                later || misleading(log),
                "{findings:?}, {:?}",
                mended.plan(&mended.salvage(false)).files
            );
            let again = path.with_file_name("again");
            mended.mended(log, &out, &again);
            std::fs::remove_dir_all(&out).and_then(|()| std::fs::rename(again, &out)).expect("renamed");
            mended = Read::at(&out, log);
        }
        assert!(settled(&mended), "{:?}", mended.findings());
        if !mended.waiting().is_empty() {
            let rule = Rule { prepared: false, ..mended.salvage(false) };
            let (ended, left) = mended.mended_by(&rule, log, &out, &path.with_file_name("ended"));
            assert!(!left && ended.findings().is_empty(), "{:?}", ended.findings());
        }
        if once && read.open.format().profile().paged() {
            assert_eq!(mended.image(Policy::Engine), read.image(Policy::Committed), "the file of pages");
        } else if once {
            assert_same(mended.state(Policy::Engine, false).as_ref(), &committed, "the engine");
            assert_same(mended.state(Policy::Committed, true).as_ref(), &committed, "the reader");
            if let Some(own) = own_engine(log, &out) {
                assert_same(Some(&own), &committed, "our engine");
            }
        }
    });
    let (twice, all) = (twice.into_inner(), ROUNDS * mended_samples().len());
    assert!(twice * 50 < all, "{twice} of {all} took more than one repair");
}

#[test]
fn the_engine_recovers_from_its_own_repair_what_it_did_before() {
    const ROUNDS: usize = 60;
    let [written, afresh] = [0; 2].map(AtomicUsize::new);
    on_damaged("repairs by the engine", ROUNDS, |log, path| {
        let read = Read::at(path, log);
        // Another database's log is refused before a rule is asked for.
        if read.report.foreign().is_some() {
            return;
        }
        let (before, out) = (read.state(Policy::Engine, false), path.with_file_name("out"));
        let done = Strategy::Engine.rule(&read.open, &read.report, false, false).and_then(|rule| {
            let task = Task { log: &read.open, report: &read.report, rule: &rule, path };
            let (plan, done) = target::copy(&task, &out)?;
            Ok((rule, plan, done.found.left))
        });
        if let Some(refused) = done.as_ref().err().and_then(|e| e.downcast_ref::<Refused>()) {
            // A hint may lead the engine to a tombstone, which it serves for a value, and no record can hold that.
            let unwritten = refused.0.contains("its value is the one that deletes it");
            return assert!(!out.exists() && before.is_some() == unwritten, "{refused}");
        }
        let (rule, plan, left) = done.expect("written");
        let before = before.expect("an engine that opens");
        let after = Read::at(&out, log);
        if read.open.format().profile().paged() {
            assert_eq!(after.image(Policy::Engine), read.image(Policy::Engine), "the file of pages");
        } else {
            assert_same(after.state(Policy::Engine, false).as_ref(), &before, "the engine");
        }
        let clean = after.findings().iter().all(|f| beneath(log, f) || waits(f));
        assert!(clean && left != after.findings().is_empty(), "{:?}", after.findings());
        if let Some(records) = plan.after {
            assert_eq!(after.engine_records(), records, "writes that the engine keeps afterwards");
        }
        let again = Strategy::Engine.rule(&after.open, &after.report, false, false).expect("a rule");
        assert!(!after.plan(&again).acts(), "{:?}", after.plan(&again).files);
        if let Some(changed) = there_and_back(&read, &rule, path, "repair") {
            assert_eq!(changed, contents(&out), "in place and as a copy");
        }
        written.fetch_add(1, Ordering::Relaxed);
        afresh.fetch_add(usize::from(rule.afresh), Ordering::Relaxed);
    });
    let (written, afresh) = (written.into_inner(), afresh.into_inner());
    assert!(written * 2 > ROUNDS * mended_samples().len(), "only {written} written");
    assert!(afresh > 20, "only {afresh} written afresh");
}

#[test]
fn a_sound_log_is_left_alone() {
    let watch = Watch::new("sound logs", 120);
    let mut sound = 0;
    for (i, sample) in mended_samples().iter().enumerate() {
        for round in 0..30 {
            let mut log = (sample.write)(&mut watch.random(i * 100 + round), 3 + 7 * round);
            log.files.retain(|f| round % 2 == 0 || !f.name.ends_with(".hint"));
            let folder = scratch();
            log.store(folder.path());
            let read = Read::at(folder.path(), &log);
            let what = format!("{} {} round {round}", sample.format, sample.name);
            // A generated hint may name a deleted key, and a tree may wait for its log.
            let waits = log.format == "ddia-btree" && read.report.findings().any(|f| !f.code.harmless());
            // A hot journal is sound, and to be rolled back.
            if waits || log.format == "sqlite-journal" || !read.findings().is_empty() {
                continue;
            }
            sound += 1;
            for strategy in [Strategy::Salvage, Strategy::Engine, Strategy::Tail] {
                let rule = strategy.rule(&read.open, &read.report, true, false).expect("a rule");
                let plan = read.plan(&rule);
                // What is left of an older log keeps some ways to recover from opening, and only that is left out.
                let older = read.report.format.profile().modes.len() > 1 && strategy != Strategy::Tail;
                let spared = |e: &Listed| e.what == Verb::Keep || e.why.as_deref() == Some("stale");
                let spared = older && plan.files.iter().flat_map(|f| &f.edits).all(spared);
                assert!(!plan.acts() || spared, "{what}, {}: {:?}", strategy.word(), plan.files);
            }
            assert_eq!(cut::at_damage(&read.open, &read.report, false).expect("read"), None, "{what}");
        }
    }
    assert!(sound > 150, "only {sound} sound logs");
}

/// What says which logs there are is left as it is, whatever is wrong with it, and the logs are mended by what can be read of it.
#[test]
fn a_damaged_catalogue_is_told_and_left_alone() {
    let watch = Watch::new("catalogues", 120);
    let mut told = 0;
    for (i, sample) in mended_samples().iter().enumerate() {
        for round in 0..20 {
            let mut random = watch.random(i * 100 + round);
            let mut log = (sample.write)(&mut random, 10);
            let Some(list) = (0..log.files.len()).filter(|&f| lists(&log, f)).nth(round % 2) else {
                continue;
            };
            let file = &mut log.files[list];
            let damage = Damage::any(file, &mut random);
            damage.apply(file, &mut random);
            let name = file.name.clone();
            let what = format!("{} {} round {round}: {name} {damage:?}", sample.format, sample.name);
            let folder = scratch();
            let (path, out) = (folder.path().join("log"), folder.path().join("out"));
            log.store(&path);
            let read = Read::at(&path, &log);
            let in_list =
                |f: &&Finding| f.file.is_some_and(|file| read.report.files[file].role == Role::List);
            let found = read.findings();
            told += usize::from(found.iter().any(|f| in_list(&f)));
            let (mended, _) = read.mended(&log, &path, &out);
            let (before, after) = (contents(&path), contents(&out));
            for list in ["CURRENT", "MANIFEST-000005"].map(std::ffi::OsStr::new) {
                assert_eq!(before.get(list), after.get(list), "{what}");
            }
            let same = |read: &Read| read.findings().iter().filter(|f| !waits(f)).count();
            assert_eq!(
                same(&mended),
                found.iter().filter(in_list).count(),
                "{what}: {:?}",
                mended.findings()
            );
            let opens = |read: &Read| read.report.forecast.as_ref().expect("a forecast").engine.opens;
            assert_eq!(opens(&mended), opens(&read), "{what}");
            if !opens(&read) {
                assert!(
                    found.iter().any(|f| in_list(&f)),
                    "{what}: the engine does not open, and nothing is told"
                );
            }
        }
    }
    assert!(told > 20, "only {told} told");
}

/// Changes the log in place by a rule; the contents before are back afterwards.
fn there_and_back(read: &Read, rule: &Rule, path: &Path, command: &str) -> Option<Contents> {
    let before = contents(path);
    let mut plan = read.plan(rule);
    if !plan.acts() {
        return None;
    }
    plan.bind(&read.open).expect("hashed");
    let task = Task { log: &read.open, report: &read.report, rule, path };
    let (record, _) = place::change(&task, &plan, None, command).expect("changed");
    let after = contents(path);
    assert_ne!(after, before, "nothing changed");
    let undone = undo(&record, None).expect("undone");
    assert_eq!((undone.record.command.as_str(), undone.already), (command, false));
    assert_eq!(contents(path), before, "not what it was");
    assert!(undo(&record, None).expect("undone").already);
    assert_eq!(contents(path), before, "not what it was, the second time");
    Some(after)
}

#[test]
fn what_is_changed_in_place_comes_back() {
    on_damaged("undo", 30, |log, path| {
        let read = Read::at(path, log);
        let rule = read.salvage(false);
        let out = path.with_file_name("out");
        read.mended(log, path, &out);
        if let Some(after) = there_and_back(&read, &rule, path, "repair") {
            assert_eq!(after, contents(&out), "in place and as a copy");
        }
    });
}

/// Whether a file was cut right behind a record: where others follow it, numbers are missing and nothing is damaged.
fn lost_whole(file: &File) -> bool {
    let fewer = file.records.len() < file.originals.len();
    fewer && file.records.last().is_none_or(|last| last.whole && last.span.end == file.bytes.len())
}

#[test]
fn what_is_cut_at_its_damage_is_whole_and_comes_back() {
    on_damaged("cuts", 60, |log, path| {
        let read = Read::at(path, log);
        if read.open.format().rolls_back() {
            return;
        }
        let to = cut::at_damage(&read.open, &read.report, false).expect("read");
        let rule = Rule { to, ..Rule::verbatim() };
        let out = path.with_file_name("out");
        let task = Task { log: &read.open, report: &read.report, rule: &rule, path };
        target::copy(&task, &out).expect("written");
        let left = Read::at(&out, log);
        if let Some(after) = read.plan(&rule).after {
            assert_eq!(left.engine_records(), after, "writes that the engine keeps afterwards");
        }
        let logs = || left.report.files.iter().filter(|f| f.role == Role::Log);
        assert!(logs().all(|f| f.survey.regions.first_bad().is_none()), "{:?}", left.findings());
        // Records moved, lost or copied whole are no damage, and no table is ever cut.
        let in_place =
            log.files.iter().all(|f| !f.shifted && !f.copied && !f.changed_field && !lost_whole(f));
        let tables = log.files.iter().any(|f| f.damages > 0 && f.name.ends_with(".sst"));
        // Pages and their log are sound together or not at all.
        if in_place && !tables && to.is_some() && log.format != "ddia-btree" {
            assert!(left.findings().iter().all(waits), "{:?}", left.findings());
        }
        let kept = read.plan(&rule).prepared.into_iter().filter(|p| p.kept).map(|p| p.name);
        assert_eq!(left.waiting(), kept.collect::<Vec<_>>(), "prepared transactions");
        there_and_back(&read, &rule, path, "truncate");
    });
}
