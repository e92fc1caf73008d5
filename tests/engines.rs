//! The engines as crash-test subjects: a random history runs over a disk that records every change, and after every one of
//! them each image that a crash could leave is opened. No acknowledged write may be missing, no part of a batch that was
//! never acknowledged may show where the format has batches, and the reader must find nothing but what a crash explains.
//!
//! The seed is fixed and printed; `WALMEDIC_SEED=n cargo test --test engines` tries another.

mod common;

use std::collections::BTreeMap;

use common::random::{Random, SEED, Watch, seed};
use common::read::format;
use walmedic::analysis::{OpenLog, Report};
use walmedic::engine::crash::{CrashDisk, Image};
use walmedic::engine::lsm::{self, LsmTree};
use walmedic::engine::wal::{self, WalStore};
use walmedic::engine::{Op, Result};
use walmedic::log::finding::{Class, Code};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A key and its new value; `None` deletes it.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// One engine, and what its format can hold.
trait Subject: Sized {
    const FORMAT: &'static str;
    /// A batch shows whole or not at all; else a crash may leave the first so many of its changes.
    const ATOMIC: bool;
    /// An empty value can be stored.
    const EMPTY: bool;

    fn open(disk: &CrashDisk) -> Result<Self>;
    fn state(&self) -> State;
    fn change(&mut self, ops: &[Op<'_>]) -> Result<()>;
    /// Checkpoint, flush or compaction.
    fn tidy(&mut self, random: &mut Random) -> Result<()>;
    fn close(self) -> Result<()>;
}

impl Subject for WalStore {
    const FORMAT: &'static str = "ddia-wal";
    const ATOMIC: bool = true;
    const EMPTY: bool = true;

    fn open(disk: &CrashDisk) -> Result<Self> {
        WalStore::open(disk.clone(), wal::Options { max_file_size: 2000 })
    }

    fn state(&self) -> State {
        self.scan(..).map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

    fn change(&mut self, ops: &[Op<'_>]) -> Result<()> {
        match ops {
            [Op::Put(key, value)] => self.put(key, value),
            [Op::Delete(key)] => self.delete(key),
            ops => self.batch(ops),
        }
    }

    fn tidy(&mut self, _: &mut Random) -> Result<()> {
        self.checkpoint()
    }

    fn close(self) -> Result<()> {
        WalStore::close(self)
    }
}

impl Subject for LsmTree {
    const FORMAT: &'static str = "ddia-lsm";
    const ATOMIC: bool = false;
    const EMPTY: bool = false;

    fn open(disk: &CrashDisk) -> Result<Self> {
        LsmTree::open(disk.clone(), lsm::Options { memtable_keys: 12, index_interval: 4, tables_max: 3 })
    }

    fn state(&self) -> State {
        let state: State = self.scan(..).expect("scanned").map(|pair| pair.expect("read")).collect();
        // Both ways to read agree.
        for (key, value) in &state {
            assert_eq!(self.get(key).expect("read").as_ref(), Some(value));
        }
        state
    }

    fn change(&mut self, ops: &[Op<'_>]) -> Result<()> {
        self.batch(ops)
    }

    fn tidy(&mut self, random: &mut Random) -> Result<()> {
        if random.once_in(2) { self.flush() } else { self.compact() }
    }

    fn close(self) -> Result<()> {
        LsmTree::close(self)
    }
}

fn some_changes(random: &mut Random, empty: bool) -> Vec<Change> {
    let count = match random.below(6) {
        0 => random.within(5, 20),
        1 | 2 => random.within(2, 5),
        _ => 1,
    };
    let change = |random: &mut Random| {
        let key = format!("key {}", random.below(25)).into_bytes();
        let len = match random.below(8) {
            0 => 0,
            1 => random.within(400, 1800),
            _ => random.within(1, 60),
        };
        let value = random.text(len);
        let deleted = random.once_in(4) || (value.is_empty() && !empty);
        (key, (!deleted).then_some(value))
    };
    (0..count).map(|_| change(random)).collect()
}

fn ops(changes: &[Change]) -> Vec<Op<'_>> {
    changes.iter().map(|(key, value)| value.as_ref().map_or(Op::Delete(key), |v| Op::Put(key, v))).collect()
}

fn apply(state: &mut State, (key, value): &Change) {
    match value {
        Some(value) => drop(state.insert(key.clone(), value.clone())),
        None => drop(state.remove(key)),
    }
}

/// A step of a history: what it changed, and how many events there were when it was acknowledged.
struct Step {
    changes: Vec<Change>,
    acknowledged: usize,
}

/// What the engine did on a disk that began empty.
struct History {
    disk: CrashDisk,
    steps: Vec<Step>,
}

impl History {
    fn of<S: Subject>(random: &mut Random, steps: usize) -> History {
        let disk = CrashDisk::new();
        let mut engine = S::open(&disk).expect("begun");
        let mut done = Vec::new();
        for _ in 0..steps {
            let mut changes = Vec::new();
            match random.below(24) {
                0 => engine.tidy(random).expect("tidied"),
                1 => {
                    engine.close().expect("closed");
                    engine = S::open(&disk).expect("opened");
                }
                _ => {
                    changes = some_changes(random, S::EMPTY);
                    engine.change(&ops(&changes)).expect("changed");
                }
            }
            done.push(Step { changes, acknowledged: disk.events() });
        }
        History { disk, steps: done }
    }

    /// The states that a crash after `n` events may leave.
    fn allowed(&self, n: usize, atomic: bool) -> Vec<State> {
        let acknowledged = self.steps.partition_point(|step| step.acknowledged <= n);
        let mut state = State::new();
        self.steps[..acknowledged].iter().flat_map(|step| &step.changes).for_each(|c| apply(&mut state, c));
        let mut allowed = vec![state.clone()];
        let under_way = self.steps.get(acknowledged).map_or(&[][..], |step| &step.changes);
        for change in under_way {
            apply(&mut state, change);
            if !atomic {
                allowed.push(state.clone());
            }
        }
        allowed.push(state);
        allowed
    }
}

fn report(format_name: &'static str, image: &Image) -> Report {
    let files = image.iter().filter(|(name, _)| !name.ends_with(".tmp"));
    let files = files.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    OpenLog::memory(format(format_name), files, None).analyse(1)
}

/// What the reader says of an image: a torn tail, an orphan, or nothing. Where sectors are missing in the middle of what was
/// not synced it names that damage, too, and it lies in no file before `synced` ends.
fn assert_named(format_name: &'static str, image: &Image, synced: &Image, all: &Image) {
    let report = report(format_name, image);
    for finding in report.findings().filter(|f| f.class != Class::Note) {
        if finding.code == Code::OrphanedBatch {
            // Its BEGIN may have been synced.
            continue;
        }
        let torn = finding.code == Code::TornTail;
        let file = finding.file.map(|file| &report.files[file].name[..]).unwrap_or_default();
        let at_tail = finding.at >= synced.get(file).map_or(0, |bytes| bytes.len() as u64);
        let whole = image.get(file).zip(all.get(file)).is_some_and(|(some, all)| all.starts_with(some));
        assert!(at_tail && (torn || !whole), "{finding:?} in {file}: at the tail {at_tail}, whole {whole}");
    }
}

fn assert_sound(format_name: &'static str, image: &Image) {
    let report = report(format_name, image);
    let findings: Vec<_> = report.findings().filter(|f| f.class != Class::Note).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Opens an image, and checks what it holds and that it can be written to.
fn assert_recovers<S: Subject>(image: &Image, allowed: &[State], twice: bool) {
    let disk = CrashDisk::of(image.clone());
    let engine = S::open(&disk).expect("opens after a crash");
    let state = engine.state();
    assert!(allowed.contains(&state), "{state:?} is none of {allowed:?}");
    assert_sound(S::FORMAT, &disk.files());
    if twice {
        // A crash while it was recovering.
        for n in 0..=disk.events() {
            for image in disk.images(n, 1) {
                let again = S::open(&CrashDisk::of(image)).expect("opens after a second crash");
                assert_eq!(again.state(), state);
            }
        }
    }
    let mut engine = engine;
    engine.change(&[Op::Put(b"after", b"the crash")]).expect("put");
    engine.close().expect("closed");
    let mut expected = state;
    expected.insert(b"after".to_vec(), b"the crash".to_vec());
    assert_eq!(S::open(&disk).expect("opened").state(), expected);
    assert_sound(S::FORMAT, &disk.files());
}

/// Takes an engine through the crashes of some histories.
fn crash<S: Subject>(what: &'static str, histories: usize, steps: usize, least: usize) {
    let watch = Watch::new(what, 600);
    let mut images = 0;
    for round in 0..histories {
        let mut random = watch.random(round);
        let history = History::of::<S>(&mut random, steps);
        for n in 0..=history.disk.events() {
            let allowed = history.allowed(n, S::ATOMIC);
            let left = history.disk.images(n, random.next());
            let (synced, all) = (&left[0], left.get(1).unwrap_or(&left[0]));
            for image in &left {
                assert_named(S::FORMAT, image, synced, all);
                assert_recovers::<S>(image, &allowed, random.once_in(10));
                images += 1;
            }
        }
    }
    println!("{what}: {images} images opened, {SEED}={}", seed());
    assert!(images >= least, "only {images} images");
}

#[test]
fn the_wal_store_survives_crashes() {
    crash::<WalStore>("crashes of the WAL store", 4, 120, 3000);
}

#[test]
fn the_lsm_tree_survives_crashes() {
    crash::<LsmTree>("crashes of the LSM tree", 4, 120, 3000);
}
