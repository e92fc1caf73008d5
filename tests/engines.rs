//! The engines as crash-test subjects: a random history runs over a disk that records every change, and after every one of
//! them each image that a crash could leave is opened. No acknowledged write may be missing, no part of a batch that was
//! never acknowledged may show where the format has batches, and the reader must find nothing but what a crash explains.
//!
//! The seed is fixed and printed; `WALMEDIC_SEED=n cargo test --test engines` tries another.

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::liar::Liar;
use common::random::{Random, SEED, Watch, seed};
use common::read::format;
use walmedic::analysis::{OpenLog, Report};
use walmedic::engine::crash::{CrashDisk, Image};
use walmedic::engine::lsm::{self, LsmTree};
use walmedic::engine::storage::{Directory, Storage};
use walmedic::engine::wal::{self, WalStore};
use walmedic::engine::{Op, Result};
use walmedic::io::listing::{Wanted, find};
use walmedic::log::finding::{Class, Code};
use walmedic::repair::{Strategy, Task, target};

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

    fn open(storage: impl Storage + 'static) -> Result<Self>;
    fn state(&self) -> Result<State>;
    fn change(&mut self, ops: &[Op<'_>]) -> Result<()>;
    /// Checkpoint, flush or compaction.
    fn tidy(&mut self, random: &mut Random) -> Result<()>;
    fn close(self) -> Result<()>;
}

impl Subject for WalStore {
    const FORMAT: &'static str = "ddia-wal";
    const ATOMIC: bool = true;
    const EMPTY: bool = true;

    fn open(storage: impl Storage + 'static) -> Result<Self> {
        WalStore::open(storage, wal::Options { max_file_size: 2000 })
    }

    fn state(&self) -> Result<State> {
        Ok(self.scan(..).map(|(k, v)| (k.to_vec(), v.to_vec())).collect())
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

    fn open(storage: impl Storage + 'static) -> Result<Self> {
        LsmTree::open(storage, lsm::Options { memtable_keys: 12, index_interval: 4, tables_max: 3 })
    }

    fn state(&self) -> Result<State> {
        let state: State = self.scan(..)?.collect::<Result<_>>()?;
        // Both ways to read agree.
        for (key, value) in &state {
            assert_eq!(self.get(key)?.as_ref(), Some(value));
        }
        Ok(state)
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
    let large = random.once_in(20);
    let count = match random.below(6) {
        _ if large => 8,
        0 => random.within(5, 20),
        1 | 2 => random.within(2, 5),
        _ => 1,
    };
    let change = |random: &mut Random| {
        let key = format!("key {}", random.below(25)).into_bytes();
        let len = match random.below(8) {
            _ if large => random.within(1000, 2500),
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

/// What an engine did.
struct History {
    disk: CrashDisk,
    /// What it held once it was open, and how many events there were then.
    start: State,
    opened: usize,
    steps: Vec<Step>,
}

impl History {
    fn of<S: Subject>(random: &mut Random, image: Image, steps: usize) -> History {
        let disk = CrashDisk::of(image);
        History::over::<S>(disk.clone(), disk, random, steps)
    }

    /// `storage` stands over `disk`.
    fn over<S: Subject>(
        storage: impl Storage + Clone + 'static,
        disk: CrashDisk,
        random: &mut Random,
        steps: usize,
    ) -> History {
        let mut engine = S::open(storage.clone()).expect("opened");
        let (start, opened) = (engine.state().expect("read"), disk.events());
        let mut done = Vec::new();
        for _ in 0..steps {
            let mut changes = Vec::new();
            match random.below(24) {
                0 => engine.tidy(random).expect("tidied"),
                1 => {
                    engine.close().expect("closed");
                    engine = S::open(storage.clone()).expect("opened");
                }
                _ => {
                    changes = some_changes(random, S::EMPTY);
                    engine.change(&ops(&changes)).expect("changed");
                }
            }
            done.push(Step { changes, acknowledged: disk.events() });
        }
        History { disk, start, opened, steps: done }
    }

    /// The states that a crash after `n` events may leave.
    fn allowed(&self, n: usize, atomic: bool) -> Vec<State> {
        let acknowledged = self.steps.partition_point(|step| step.acknowledged <= n);
        let mut state = self.start.clone();
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
    let engine = S::open(disk.clone()).expect("opens after a crash");
    let state = engine.state().expect("read");
    assert!(allowed.contains(&state), "{state:?} is none of {allowed:?}");
    assert_sound(S::FORMAT, &disk.files());
    if twice {
        // A crash while it was recovering.
        for n in 0..=disk.events() {
            for image in disk.images(n, 1) {
                let again = S::open(CrashDisk::of(image)).expect("opens after a second crash");
                assert_eq!(again.state().expect("read"), state);
            }
        }
    }
    let mut engine = engine;
    engine.change(&[Op::Put(b"after", b"the crash")]).expect("put");
    engine.close().expect("closed");
    let mut expected = state;
    expected.insert(b"after".to_vec(), b"the crash".to_vec());
    assert_eq!(S::open(disk.clone()).expect("opened").state().expect("read"), expected);
    assert_sound(S::FORMAT, &disk.files());
}

/// Repairs a copy of an image: it must verify clean, and the engine must find in it what a crash may leave.
fn assert_repairs<S: Subject>(image: &Image, allowed: &[State]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, output) = (folder.path().join("log"), folder.path().join("repaired"));
    std::fs::create_dir(&log).expect("created");
    store(image, &log);
    let wanted = Wanted { format: Some(S::FORMAT.into()), ..Wanted::default() };
    let open = OpenLog::new(find(&log, &wanted).expect("a log").remove(0), &wanted).expect("opened");
    let report = open.analyse(1);
    let rule = Strategy::Salvage.rule(&open, &report, true, false).expect("a rule");

    let task = Task { log: &open, report: &report, rule: &rule, path: &log };
    let (_, done) = target::copy(&task, &output).expect("repaired");
    assert!(!done.found.left, "findings are left");
    let disk = CrashDisk::of(image_of(&output));
    let files = disk.files();
    let state = S::open(disk.clone()).and_then(|engine| engine.state()).expect("opens once repaired");
    assert!(allowed.contains(&state), "{state:?} is none of {allowed:?}");
    if image.len() == files.len() {
        assert_eq!(disk.files(), files, "nothing was left to be recovered");
    }
}

/// Opens every image of every crash of a history, and goes on from some of them to the next crash.
fn crashes<S: Subject>(history: &History, random: &mut Random, deeper: usize) -> usize {
    let mut images = 0;
    for n in 0..=history.disk.events() {
        let allowed = history.allowed(n, S::ATOMIC);
        let left = history.disk.images(n, random.next());
        let (synced, all) = (&left[0], left.get(1).unwrap_or(&left[0]));
        for image in &left {
            // Until it is open the traces of the crash before are there.
            if n >= history.opened {
                assert_named(S::FORMAT, image, synced, all);
            }
            assert_recovers::<S>(image, &allowed, random.once_in(10));
            images += 1;
            if images % 29 == 0 && image.keys().any(|name| !name.ends_with(".tmp")) {
                assert_repairs::<S>(image, &allowed);
            }
            if deeper > 0 && random.once_in(80) {
                let next = History::of::<S>(random, image.clone(), 8);
                images += crashes::<S>(&next, random, deeper - 1);
            }
        }
    }
    images
}

fn crash<S: Subject>(what: &'static str) {
    let watch = Watch::new(what, 600);
    let mut images = 0;
    for round in 0..2 {
        let mut random = watch.random(round);
        let history = History::of::<S>(&mut random, Image::new(), 100);
        images += crashes::<S>(&history, &mut random, 2);
    }
    println!("{what}: {images} images opened, {SEED}={}", seed());
    assert!(images >= 5000, "only {images} images");
}

#[test]
fn the_wal_store_survives_crashes() {
    crash::<WalStore>("crashes of the WAL store");
}

#[test]
fn the_lsm_tree_survives_crashes() {
    crash::<LsmTree>("crashes of the LSM tree");
}

/// A crash while a store is built leaves none or all of it, and none is lost once it is built.
fn built<S: Subject>(state: &State, build: impl FnOnce(CrashDisk) -> Result<()>) {
    let disk = CrashDisk::new();
    build(disk.clone()).expect("built");
    for n in 0..=disk.events() {
        for image in disk.images(n, 1) {
            let found = S::open(CrashDisk::of(image)).and_then(|engine| engine.state()).expect("opened");
            let whole = found == *state;
            assert!(whole || (found.is_empty() && n < disk.events()), "{} keys after event {n}", found.len());
        }
    }
}

#[test]
fn a_store_is_built_whole_or_not_at_all() {
    let mut random = Random::new(seed());
    let state: State = (0..300).map(|i| (format!("key {i}").into_bytes(), random.text(1 + i % 30))).collect();
    built::<WalStore>(&state, |disk| WalStore::build(disk, 1, state.iter()));
    built::<LsmTree>(&state, |disk| LsmTree::build(disk, lsm::Options::default(), state.iter()));
}

/// Images from which an engine over this liar does not come back as it should.
fn losses<S: Subject>(about: fn(&str) -> bool) -> usize {
    let watch = Watch::new("disks that lie", 300);
    let (mut random, disk) = (watch.random(0), CrashDisk::new());
    let history = History::over::<S>(Liar { disk: disk.clone(), about }, disk, &mut random, 60);
    let mut lost = 0;
    for n in 0..=history.disk.events() {
        let allowed = history.allowed(n, S::ATOMIC);
        let left = history.disk.images(n, random.next());
        let state = |image: &Image| S::open(CrashDisk::of(image.clone())).and_then(|engine| engine.state());
        lost += left.iter().filter(|image| !state(image).is_ok_and(|s| allowed.contains(&s))).count();
    }
    lost
}

/// Every sync is needed, and the crashes here are cruel enough to show it.
#[test]
fn a_disk_that_lies_loses_what_was_acknowledged() {
    let lies: [fn(&str) -> bool; 3] = [
        |name| name.ends_with(".wal") || name.ends_with(".log"),
        |name| name.ends_with(".tmp"),
        |name| name == ".",
    ];
    assert_eq!((losses::<WalStore>(|_| false), losses::<LsmTree>(|_| false)), (0, 0));
    for about in lies {
        let lost = (losses::<WalStore>(about), losses::<LsmTree>(about));
        assert!(lost.0 > 0 && lost.1 > 0, "{lost:?}");
    }
}

/// Names a directory that holds `write-ahead-log/wal.py` and `log-structured-merge-tree/lsm.py`, the originals.
const ORIGINALS: &str = "WALMEDIC_ORIGINALS";

/// Reads a line for each write, `+key=value` or `-key` in hex, several of them being a batch; then prints the state.
const WAL_PY: &str = "
import sys
sys.path.insert(0, sys.argv[1] + '/write-ahead-log')
from wal import WriteAheadLog
log = WriteAheadLog(sys.argv[2], max_file_size=2000)
def text(h): return bytes.fromhex(h).decode()
for line in sys.stdin:
    ops = []
    for word in line.split():
        key, _, value = word[1:].partition('=')
        ops.append(('PUT' if word[0] == '+' else 'DELETE', text(key), text(value)))
    log.append(*ops[0]) if len(ops) == 1 else log.append_batch(ops)
state = {}
for record in log.replay():
    if record.op_type == 'PUT': state[record.key] = record.value
    else: state.pop(record.key, None)
for key, value in state.items(): print(key.encode().hex() + '=' + value.encode().hex())
print('#', log.current_seq_num())
";

const LSM_PY: &str = "
import sys
sys.path.insert(0, sys.argv[1] + '/log-structured-merge-tree')
from lsm import LSMTree
tree = LSMTree(sys.argv[2], memtable_threshold=12, compaction_threshold=3)
def text(h): return bytes.fromhex(h).decode()
for line in sys.stdin:
    for word in line.split():
        key, _, value = word[1:].partition('=')
        tree.put(text(key), text(value)) if word[0] == '+' else tree.delete(text(key))
state = tree.range_scan('', chr(0x10ffff))
assert all(tree.get(key) == value for key, value in state)
for key, value in state: print(key.encode().hex() + '=' + value.encode().hex())
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Lets the original write to a directory; gives back the state that it then holds, and its sequence counter.
fn original(script: &str, dir: &Path, writes: &[Vec<Change>]) -> (State, Option<u64>) {
    let originals = std::env::var_os(ORIGINALS).expect("looked at before");
    let mut input = String::new();
    for changes in writes {
        for (key, value) in changes {
            input += &match value {
                Some(value) => format!("+{}={} ", hex(key), hex(value)),
                None => format!("-{} ", hex(key)),
            };
        }
        input += "\n";
    }
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(originals).arg(dir);
    let mut run = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
    run.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = run.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the original died");
    let (mut state, mut seq) = (State::new(), None);
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        match (line.strip_prefix("# "), line.split_once('=')) {
            (Some(number), _) => seq = number.parse().ok(),
            (_, Some((key, value))) => drop(state.insert(bytes(key), bytes(value))),
            _ => panic!("the original says {line}"),
        }
    }
    (state, seq)
}

/// Whether the originals are there.
fn originals() -> bool {
    let there = std::env::var_os(ORIGINALS).is_some();
    if !there {
        println!("not run: {ORIGINALS} names no directory with the original engines");
    }
    there
}

fn image_of(dir: &Path) -> Image {
    let entries = std::fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path());
    let file = |path: PathBuf| {
        let name = path.file_name().and_then(|n| n.to_str()).expect("a plain name").to_owned();
        (name, std::fs::read(&path).expect("read"))
    };
    entries.filter(|path| path.is_file()).map(file).collect()
}

fn store(image: &Image, dir: &Path) {
    for (name, bytes) in image {
        std::fs::write(dir.join(name), bytes).expect("written");
    }
}

/// Both engines write to the same files by turns, ours over a real directory; then the original opens what ours makes of
/// images that crashes left.
fn both_ways<S: Subject>(script: &str, open: impl Fn(Directory) -> S, sequence: impl Fn(&S) -> Option<u64>) {
    let watch = Watch::new("the originals", 300);
    let mut random = watch.random(0);
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let mut engine = open(Directory::create(&dir).expect("created"));
    let mut expected = State::new();
    for turn in 0..12 {
        let writes: Vec<Vec<Change>> = (0..20).map(|_| some_changes(&mut random, S::EMPTY)).collect();
        writes.iter().flatten().for_each(|change| apply(&mut expected, change));
        if turn % 2 == 0 {
            writes.iter().for_each(|changes| engine.change(&ops(changes)).expect("changed"));
            if turn % 4 == 0 {
                engine.tidy(&mut random).expect("tidied");
            }
            let ours = sequence(&engine);
            drop(engine);
            assert_eq!(original(script, &dir, &[]), (expected.clone(), ours), "turn {turn}");
        } else {
            let (theirs, seq) = original(script, &dir, &writes);
            assert_eq!(theirs, expected, "turn {turn}");
            assert_sound(S::FORMAT, &image_of(&dir));
            engine = open(Directory::open(&dir).expect("opened"));
            assert_eq!(
                (engine.state().expect("read"), sequence(&engine)),
                (expected.clone(), seq),
                "turn {turn}"
            );
            continue;
        }
        engine = open(Directory::open(&dir).expect("opened"));
        assert_eq!(engine.state().expect("read"), expected, "turn {turn}");
    }
    let history = History::of::<S>(&mut random, Image::new(), 60);
    for round in 0..15 {
        let n = random.below(history.disk.events() + 1);
        let left = history.disk.images(n, random.next());
        let disk = CrashDisk::of(left[random.below(left.len())].clone());
        let engine = S::open(disk.clone()).expect("opened");
        let dir = folder.path().join(format!("crash {round}"));
        std::fs::create_dir(&dir).expect("created");
        store(&disk.files(), &dir);
        assert_eq!(
            original(script, &dir, &[]),
            (engine.state().expect("read"), sequence(&engine)),
            "crash {round}"
        );
    }
}

#[test]
fn the_original_wal_and_ours_share_their_files() {
    if originals() {
        let open = |dir| WalStore::open(dir, wal::Options { max_file_size: 2000 }).expect("opened");
        both_ways::<WalStore>(WAL_PY, open, |store| Some(store.sequence()));
    }
}

#[test]
fn the_original_lsm_tree_and_ours_share_their_files() {
    if originals() {
        let options = lsm::Options { memtable_keys: 12, index_interval: 4, tables_max: 3 };
        both_ways::<LsmTree>(LSM_PY, |dir| LsmTree::open(dir, options).expect("opened"), |_| None);
    }
}

#[test]
fn the_originals_open_what_was_built() {
    if !originals() {
        return;
    }
    let mut random = Random::new(seed());
    let state: State =
        (0..3000).map(|i| (format!("key {i}").into_bytes(), random.text(1 + i % 30))).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let build = |name: &str| {
        let dir = folder.path().join(name);
        (Directory::create(&dir).expect("created"), dir)
    };
    let (storage, dir) = build("wal");
    WalStore::build(storage, 9000, state.iter()).expect("built");
    assert_eq!(original(WAL_PY, &dir, &[]), (state.clone(), Some(8999)));
    assert_sound("ddia-wal", &image_of(&dir));
    let (storage, dir) = build("lsm");
    LsmTree::build(storage, lsm::Options::default(), state.iter()).expect("built");
    assert_eq!(original(LSM_PY, &dir, &[]), (state, None));
    assert_sound("ddia-lsm", &image_of(&dir));
}
