//! The B-tree engine through crashes, and beside the original.
//!
//! Crashes: a random script of changes runs over a disk that records them, and every image that a crash after any of them
//! can leave is opened. Nothing acknowledged is missing, no batch is there in part, the tree is whole, and the store goes on.
//! The original: where `WALMEDIC_ORIGINALS` names a folder that holds `b-tree-storage-engine/btree.py`, it opens what the
//! engine wrote, and the engine opens what it wrote, closed or killed at any write. A corpus with known truth is used where one lies beside the checkout.

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::liar::Liar;
use common::random::{Random, Watch};
use sha2::{Digest, Sha256};
use walmedic::analysis::OpenLog;
use walmedic::engine::Op;
use walmedic::engine::btree::{BTree, DATA, Options, WAL};
use walmedic::engine::crash::{CrashDisk, Image};
use walmedic::engine::storage::{Directory, Storage};
use walmedic::format::ddia_btree::salvage;
use walmedic::io::listing::{Wanted, find};
use walmedic::log::finding::{Class, Code};
use walmedic::repair::{Strategy, Task, target};
use walmedic::replay::measure::measure;
use walmedic::replay::{Policy, Wish, replay};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(page_size: u32, max_keys: u16) -> Options {
    Options { page_size: Some(page_size), max_keys: Some(max_keys) }
}

fn pairs(tree: &BTree) -> Model {
    let pairs =
        tree.scan(..).and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the tree can be scanned");
    let model: Model = pairs.iter().cloned().collect();
    assert_eq!(
        (model.len(), tree.len()),
        (pairs.len(), pairs.len() as u64),
        "as many as counted, none twice"
    );
    for (key, value) in &model {
        assert_eq!(tree.get(key).expect("found").as_ref(), Some(value), "siblings and descent agree");
    }
    model
}

/// What `verify` finds in these files.
fn findings(files: &Image) -> Vec<(Code, String)> {
    let format =
        *walmedic::format::ALL.iter().find(|f| f.profile().name == "ddia-btree").expect("registered");
    let known = [DATA, WAL].iter().filter_map(|name| Some((name.to_string(), files.get(*name)?.clone())));
    let report = OpenLog::memory(format, known.collect(), Some("r3")).analyse(1);
    let told = report.findings().filter(|f| f.class != Class::Note);
    told.map(|f| (f.code, f.message.clone())).collect()
}

fn key(random: &mut Random) -> Vec<u8> {
    format!("k{:02}", random.below(60)).into_bytes()
}

fn value(random: &mut Random) -> Vec<u8> {
    let len = if random.once_in(5) { random.below(150) } else { random.below(20) };
    random.bytes(len)
}

/// What the store held after an acknowledged change.
struct State {
    /// How many events the disk had recorded by then.
    by: usize,
    model: Model,
    /// The change was of several keys at once.
    batch: bool,
}

/// A store that lives on `disk`, under `storage`, through `steps` random changes.
fn script(
    storage: impl Storage + Clone + 'static,
    disk: &CrashDisk,
    random: &mut Random,
    options: Options,
    steps: usize,
) -> Vec<State> {
    let mut model = Model::new();
    let mut tree = BTree::open(storage.clone(), options).expect("opens");
    let mut states = vec![State { by: disk.events(), model: model.clone(), batch: false }];
    for _ in 0..steps {
        let choice = random.below(10);
        match choice {
            0 => tree.checkpoint().expect("a checkpoint"),
            1 => {
                tree.close().expect("closes");
                tree = BTree::open(storage.clone(), options).expect("opens");
            }
            2 | 3 => {
                let more: Vec<_> = (0..random.within(2, 12)).map(|_| (key(random), value(random))).collect();
                let ops: Vec<Op<'_>> = more
                    .iter()
                    .map(|(k, v)| if v.len() % 3 == 0 { Op::Delete(k) } else { Op::Put(k, v) })
                    .collect();
                tree.batch(&ops).expect("a batch");
                for op in ops {
                    match op {
                        Op::Put(k, v) => drop(model.insert(k.to_vec(), v.to_vec())),
                        Op::Delete(k) => drop(model.remove(k)),
                    }
                }
            }
            4..=6 => {
                let key = key(random);
                tree.delete(&key).expect("a deletion");
                model.remove(&key);
            }
            _ => {
                let (key, value) = (key(random), value(random));
                tree.put(&key, &value).expect("a change");
                model.insert(key, value);
            }
        }
        states.push(State { by: disk.events(), model: model.clone(), batch: matches!(choice, 2 | 3) });
    }
    states
}

/// Opens every image of every crash; gives their number.
fn survives(disk: &CrashDisk, states: &[State], options: Options, random: &mut Random) -> usize {
    let mut images = 0;
    for event in 0..=disk.events() {
        let acknowledged = states.iter().rposition(|state| state.by <= event);
        let before = acknowledged.map(|i| &states[i]);
        let after = acknowledged.map_or(states.first(), |i| states.get(i + 1));
        // A batch can empty a leaf at a stroke, which the reader of logs takes for a wrong page number so far.
        let judged = [before, after].iter().flatten().all(|state| !state.batch);
        for image in disk.images(event, random.next()) {
            images += 1;
            named(&image, judged);
            let crashed = CrashDisk::of(image);
            let tree = BTree::open(crashed.clone(), options)
                .unwrap_or_else(|e| panic!("event {event}: does not open: {e}"));
            let found = pairs(&tree);
            let holds = |state: Option<&State>| state.is_some_and(|state| state.model == found);
            let sound = holds(before) || holds(after) || (before.is_none() && found.is_empty());
            assert!(sound, "event {event}: neither the state before nor the one after");
            assert_eq!(findings(&crashed.files()), [], "event {event}: opened");
            if images % 11 == 0 {
                again(&crashed, &found, options, random);
            }
            if images % 7 == 0 {
                goes_on(tree, &crashed, found, options);
            }
        }
    }
    images
}

/// A crash while the store is recovered changes nothing.
fn again(disk: &CrashDisk, model: &Model, options: Options, random: &mut Random) {
    for event in 0..=disk.events() {
        for image in disk.images(event, random.next()) {
            let crashed = CrashDisk::of(image);
            let tree = BTree::open(crashed.clone(), options)
                .unwrap_or_else(|e| panic!("event {event} of recovery: does not open: {e}"));
            assert_eq!(&pairs(&tree), model, "event {event} of recovery");
            assert_eq!(findings(&crashed.files()), [], "event {event} of recovery");
        }
    }
}

/// `verify` names what a crash has torn, and takes nothing else for damage.
fn named(image: &Image, judged: bool) {
    let told = findings(image);
    match wal(image.get(WAL).map_or(&[], Vec::as_slice)) {
        // The pages in place may be torn; with the group redone the tree is whole.
        Wal::Committed if judged => {
            let wrong = told.iter().find(|(code, _)| !matches!(code, Code::TornTail | Code::ZeroFilled));
            assert_eq!(wrong, None, "a committed group over pages of a crash");
        }
        Wal::Torn => assert_ne!(told, [], "a group that a crash has torn"),
        _ => {}
    }
}

enum Wal {
    Empty,
    Committed,
    Torn,
}

/// What a WAL is, read by its lengths and checksums alone.
fn wal(mut bytes: &[u8]) -> Wal {
    if bytes.is_empty() {
        return Wal::Empty;
    }
    loop {
        let Some(head) = bytes.first_chunk::<12>() else { return Wal::Torn };
        let len = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let (Some(data), Some(sum)) = (bytes.get(12..12 + len), bytes.get(12 + len..16 + len)) else {
            return Wal::Torn;
        };
        let commit = head[4..8] == [0xff; 4];
        if crc32fast::hash(data).to_be_bytes() != sum || commit != (len == 0) {
            return Wal::Torn;
        }
        bytes = &bytes[16 + len..];
        if bytes.is_empty() {
            return if commit { Wal::Committed } else { Wal::Torn };
        }
    }
}

fn goes_on(mut tree: BTree, disk: &CrashDisk, mut model: Model, options: Options) {
    for i in 0..6 {
        let key = format!("new{i}").into_bytes();
        tree.put(&key, &[i; 30]).expect("goes on");
        model.insert(key, vec![i; 30]);
    }
    tree.close().expect("closes");
    assert_eq!(findings(&disk.files()), []);
    let tree = BTree::open(disk.clone(), options).expect("opens again");
    assert_eq!(pairs(&tree), model);
}

#[test]
fn every_crash_leaves_the_last_acknowledged_state_or_the_next() {
    let watch = Watch::new("crashes of the B-tree", 600);
    let mut images = 0;
    for (n, options) in [options(256, 4), options(256, 60), options(1024, 5)].into_iter().enumerate() {
        let mut random = watch.random(n);
        let disk = CrashDisk::new();
        let states = script(disk.clone(), &disk, &mut random, options, 90);
        images += survives(&disk, &states, options, &mut random);
    }
    println!("{images} images");
    assert!(images > 3000, "{images}");
}

/// Images that do not open as the state before or after, on a disk whose syncs of some files do nothing.
fn losses(about: fn(&str) -> bool) -> usize {
    let watch = Watch::new("disks that lie", 300);
    let (mut random, disk) = (watch.random(0), CrashDisk::new());
    let states = script(Liar { disk: disk.clone(), about }, &disk, &mut random, options(256, 4), 40);
    let mut lost = 0;
    for event in states[0].by..=disk.events() {
        let at = states.iter().rposition(|state| state.by <= event).expect("the first at least");
        for image in disk.images(event, random.next()) {
            let opened = BTree::open(CrashDisk::of(image), Options::default());
            let found = opened.and_then(|tree| tree.scan(..)?.collect::<Result<Model, _>>());
            let allowed = [at, at + 1].map(|i| states.get(i).map(|state| &state.model));
            lost += usize::from(!found.is_ok_and(|found| allowed.contains(&Some(&found))));
        }
    }
    lost
}

/// Every sync is needed, and the crashes here are cruel enough to show it.
#[test]
fn a_disk_that_lies_loses_what_was_acknowledged() {
    assert_eq!(losses(|_| false), 0);
    let lies: [fn(&str) -> bool; 4] =
        [|name| name == WAL, |name| name == DATA, |name| name.ends_with(".tmp"), |name| name == "."];
    for (n, about) in lies.into_iter().enumerate() {
        assert!(losses(about) > 0, "lie {n}");
    }
}

#[test]
fn a_bulk_load_is_there_wholly_or_not_at_all() {
    let watch = Watch::new("crashes of a bulk load", 300);
    let mut random = watch.random(0);
    let all: Model = (0..300).map(|_| (random.text(12), random.bytes(20))).collect();
    let disk = CrashDisk::new();
    BTree::build(disk.clone(), options(256, 6), &all).expect("built").close().expect("closed");
    let built = disk.events();
    for event in 0..=built {
        for image in disk.images(event, random.next()) {
            let tree = BTree::open(CrashDisk::of(image), options(256, 6)).expect("opens");
            let found = pairs(&tree);
            assert!(found == all || (found.is_empty() && event < built), "event {event}");
        }
    }
}

/// The original engine, where it can be run.
struct Original {
    folder: PathBuf,
    script: tempfile::TempPath,
}

/// Lets the original do things: `dump DIR..` prints what each store holds, `run` and `kill` take a store through changes,
/// `kill` copying its files each time one was written to, with the number of the change.
const DRIVER: &str = r#"
import json, os, shutil, sys
sys.path.insert(0, sys.argv[1])
import btree

def held(tree):
    pairs = [(k, bytes(v)) for k, v in tree]
    assert len(pairs) == len(tree), (len(pairs), len(tree))
    for k, v in pairs:
        assert tree.get(k) == v, k
    return [[k.encode().hex(), v.hex()] for k, v in pairs]

def change(tree, op):
    key = bytes.fromhex(op[0]).decode()
    if op[1] is None:
        tree.delete(key)
    else:
        tree.put(key, bytes.fromhex(op[1]))

command, size, keys = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if command == "dump":
    for folder in sys.argv[5:]:
        tree = btree.BTree(folder, page_size=size, max_keys_per_page=keys)
        print(json.dumps(held(tree)))
        tree.close()
else:
    folder, out = sys.argv[5], sys.argv[6]
    count, at = 0, 0

    def copied(method):
        def call(self, *args):
            global count
            result = method(self, *args)
            target = os.path.join(out, str(count))
            os.mkdir(target)
            for name in ("btree.dat", "btree.wal"):
                if os.path.exists(os.path.join(folder, name)):
                    shutil.copy(os.path.join(folder, name), target)
            print(at)
            count += 1
            return result
        return call

    tree = btree.BTree(folder, page_size=size, max_keys_per_page=keys)
    if command == "kill":
        for owner, name in ((btree.PageManager, "write_page"), (btree.PageManager, "_write_meta"),
                            (btree.PageManager, "sync"), (btree.WAL, "log_write"), (btree.WAL, "commit")):
            setattr(owner, name, copied(getattr(owner, name)))
    for op in json.load(sys.stdin):
        at += 1
        change(tree, op)
    tree.close()
"#;

impl Original {
    fn find() -> Option<Original> {
        let Some(root) = std::env::var_os("WALMEDIC_ORIGINALS") else {
            println!("not run: WALMEDIC_ORIGINALS names no folder with the original engines");
            return None;
        };
        let folder = Path::new(&root).join("b-tree-storage-engine");
        assert!(folder.join("btree.py").is_file(), "{}: no btree.py", folder.display());
        let mut script = tempfile::NamedTempFile::new().expect("a file for the driver");
        script.write_all(DRIVER.as_bytes()).expect("the driver is written");
        Some(Original { folder, script: script.into_temp_path() })
    }

    fn call(&self, command: &str, options: Options, args: &[&Path], ops: &[Change]) -> String {
        let size = options.page_size.expect("named").to_string();
        let keys = options.max_keys.expect("named").to_string();
        let mut python = Command::new("python3")
            .arg("-B")
            .arg(&self.script)
            .arg(&self.folder)
            .args([command, &size, &keys])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let ops: Vec<_> = ops.iter().map(|(key, value)| (hex(key), value.as_deref().map(hex))).collect();
        let text = serde_json::to_vec(&ops).expect("plain strings");
        // `dump` does not read it, and may be gone.
        python.stdin.take().expect("piped").write_all(&text).ok();
        let output = python.wait_with_output().expect("python3 ends");
        assert!(output.status.success(), "{command} {args:?}: the original fails");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What the stores in these folders hold for the original, which opens and closes them.
    fn dump(&self, options: Options, folders: &[PathBuf]) -> Vec<Model> {
        let mut models = Vec::new();
        for some in folders.chunks(200) {
            let args: Vec<&Path> = some.iter().map(PathBuf::as_path).collect();
            let text = self.call("dump", options, &args, &[]);
            models.extend(text.lines().map(|line| {
                let pairs: Vec<(String, String)> = serde_json::from_str(line).expect("a list of pairs");
                pairs.iter().map(|(key, value)| (unhex(key), unhex(value))).collect::<Model>()
            }));
        }
        assert_eq!(models.len(), folders.len());
        models
    }
}

/// A key and its new value; `None` deletes it.
type Change = (Vec<u8>, Option<Vec<u8>>);

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

/// Values small enough that no page of the original overflows: four keys of at most 56 bytes in 256.
fn changes(random: &mut Random, count: usize) -> Vec<Change> {
    let mut phase = |i: usize| {
        let key = if random.once_in(9) { format!("é{}", random.below(9)).into_bytes() } else { key(random) };
        let delete = random.below(10) < [2, 7][i / 40 % 2];
        let len = random.below(30);
        (key, (!delete).then(|| random.bytes(len)))
    };
    (0..count).map(&mut phase).collect()
}

fn apply(model: &mut Model, change: &Change) {
    match change {
        (key, Some(value)) => drop(model.insert(key.clone(), value.clone())),
        (key, None) => drop(model.remove(key)),
    }
}

fn run(folder: &Path, options: Options, changes: &[Change]) {
    let mut tree = BTree::open(Directory::open(folder).expect("a folder"), options).expect("opens");
    for change in changes {
        match change {
            (key, Some(value)) => tree.put(key, value).expect("put"),
            (key, None) => drop(tree.delete(key).expect("deleted")),
        }
    }
    tree.close().expect("closes");
}

fn held(folder: &Path) -> Model {
    let tree = BTree::open(Directory::open(folder).expect("a folder"), Options::default()).expect("opens");
    let model = pairs(&tree);
    tree.close().expect("closes");
    model
}

#[test]
fn the_original_and_the_engine_go_on_with_each_others_files() {
    let Some(original) = Original::find() else { return };
    let watch = Watch::new("the original and the engine in turn", 300);
    let options = options(256, 4);
    for round in 0..2 {
        let mut random = watch.random(round);
        let [ours, theirs, both, out] = [(); 4].map(|()| tempfile::tempdir().expect("a folder"));
        let mut model = Model::new();
        for part in 0..4 {
            let changes = changes(&mut random, 40);
            changes.iter().for_each(|change| apply(&mut model, change));
            let originals = |folder: &Path| original.call("run", options, &[folder, out.path()], &changes);
            run(ours.path(), options, &changes);
            originals(theirs.path());
            if part == 1 {
                run(both.path(), options, &changes)
            } else {
                drop(originals(both.path()))
            }
            // Page for page: only the page-size field, which the original wipes, may differ.
            let [a, b, c] = [&ours, &theirs, &both].map(|dir| {
                let mut bytes = std::fs::read(dir.path().join(DATA)).expect("a data file");
                bytes[20..24].fill(0);
                bytes
            });
            assert!(a == b && a == c, "round {round}, part {part}: the files differ");
            let folders = [&ours, &theirs, &both].map(|dir| dir.path().to_path_buf());
            assert_eq!(original.dump(options, &folders), [&model, &model, &model].map(Model::clone));
            assert_eq!(folders.map(|folder| held(&folder)), [&model, &model, &model].map(Model::clone));
        }
    }
}

#[test]
fn the_original_opens_what_is_loaded_or_split_by_bytes() {
    let Some(original) = Original::find() else { return };
    let watch = Watch::new("the original over loaded stores", 300);
    let mut random = watch.random(0);
    let options = options(512, 40);
    let model: Model = (0..700).map(|i| (format!("k{i:04}").into_bytes(), value(&mut random))).collect();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let loaded = BTree::build(Directory::open(folders[0].path()).expect("a folder"), options, &model);
    loaded.and_then(BTree::close).expect("built");
    let changes: Vec<Change> = model.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    run(folders[1].path(), options, &changes);
    let paths = folders.each_ref().map(|dir| dir.path().to_path_buf());
    assert_eq!(original.dump(options, &paths), [model.clone(), model]);
}

#[test]
fn what_the_original_leaves_when_killed_opens_as_before_or_after() {
    let Some(original) = Original::find() else { return };
    let watch = Watch::new("the original, killed", 300);
    let options = options(256, 4);
    let mut copies = 0;
    for round in 0..3 {
        let mut random = watch.random(round);
        let changes = changes(&mut random, 160);
        let [store, out] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let text = original.call("kill", options, &[store.path(), out.path()], &changes);
        let mut states = vec![Model::new()];
        for change in &changes {
            let mut next = states.last().cloned().unwrap_or_default();
            apply(&mut next, change);
            states.push(next);
        }
        for (n, line) in text.lines().enumerate() {
            let at: usize = line.parse().expect("the number of a change");
            let folder = out.path().join(n.to_string());
            let copy = || {
                [DATA, WAL]
                    .map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap_or_default()))
            };
            let disk = CrashDisk::of(copy().into());
            let tree = BTree::open(disk.clone(), Options::default()).expect("opens");
            let found = pairs(&tree);
            let before = at.checked_sub(1).and_then(|i| states.get(i));
            let ok = before == Some(&found) || states.get(at) == Some(&found);
            assert!(ok, "round {round}, copy {n} in change {at}: neither before nor after");
            assert_eq!(findings(&disk.files()), [], "round {round}, copy {n}: mended");
            if n % 5 == 0 {
                again(&disk, &found, options, &mut random);
            }
            copies += 1;
        }
    }
    println!("{copies} copies");
    assert!(copies > 1000, "{copies}");
}

#[test]
fn the_original_opens_what_a_crash_leaves_of_the_engine() {
    let Some(original) = Original::find() else { return };
    let watch = Watch::new("the original over crashes of the engine", 300);
    let mut random = watch.random(0);
    let options = options(256, 4);
    let disk = CrashDisk::new();
    let states = script(disk.clone(), &disk, &mut random, options, 25);
    let root = tempfile::tempdir().expect("a folder");
    let (mut folders, mut expected) = (Vec::new(), Vec::new());
    // From the first acknowledged state on: the original knows nothing of a store that is being made.
    for event in states[0].by..=disk.events() {
        let at = states.iter().rposition(|state| state.by <= event).expect("the first at least");
        for image in disk.images(event, random.next()) {
            let folder = root.path().join(folders.len().to_string());
            std::fs::create_dir(&folder).expect("a folder");
            for (name, bytes) in image {
                std::fs::write(folder.join(name), bytes).expect("written");
            }
            folders.push(folder);
            expected.push(at);
        }
    }
    for (n, found) in original.dump(options, &folders).into_iter().enumerate() {
        let at = expected[n];
        let sound = [at, at + 1].iter().any(|&i| states.get(i).is_some_and(|state| state.model == found));
        assert!(sound, "image {n} behind change {at}: neither before nor after");
    }
    println!("{} images", folders.len());
}

/// The original finds in a repaired copy of each case of the corpus what walmedic says can be had.
#[test]
fn the_original_opens_what_was_repaired() {
    let Some(original) = Original::find() else { return };
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let root = tempfile::tempdir().expect("a folder");
    let (mut folders, mut expected) = (Vec::new(), Vec::new());
    for revision in ["r1", "r2", "r3"] {
        let folder = shared.join("corpus").join(format!("ddia-btree-{revision}"));
        let Ok(cases) = std::fs::read_dir(&folder) else {
            println!("not run: {} is absent", folder.display());
            continue;
        };
        for case in cases.map(|case| case.expect("a case").path().join("input")) {
            let wanted = Wanted { revision: Some(revision.into()), ..Wanted::default() };
            let log = OpenLog::new(find(&case, &wanted).expect("a log").remove(0), &wanted).expect("opened");
            let report = log.analyse(1);
            let rule = Strategy::Salvage.rule(&log, &report, false, false).expect("a rule");
            let output = root.path().join(folders.len().to_string());
            let task = Task { log: &log, report: &report, rule: &rule, path: &case };
            target::copy(&task, &output).expect("repaired");
            let policy = Policy::Committed;
            let wish = Wish::new(policy, u64::MAX);
            let replayed = replay(&log, &report, &wish).expect("a state");
            expected.push(measure(&log, &replayed.state).expect("a hash").main.hash);
            folders.push(output);
        }
    }
    for (n, held) in original.dump(options(256, 4), &folders).iter().enumerate() {
        assert_eq!(Some(digest(held)), expected[n], "{}", folders[n].display());
    }
    println!("{} copies", folders.len());
}

/// Compared are the pairs that [`salvage::leaves`] finds in the data file alone, and what the engine opens: a crash as the
/// state before or after the operation, damage not at all.
#[test]
fn the_corpus_is_salvaged_and_opened() {
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let (mut salvaged, mut opened, mut refused) = (0, 0, 0);
    for revision in ["r1", "r2", "r3"] {
        let folder = shared.join("corpus").join(format!("ddia-btree-{revision}"));
        let Ok(cases) = std::fs::read_dir(&folder) else {
            println!("not run: {} is absent", folder.display());
            continue;
        };
        for case in cases.map(|case| case.expect("a case").path()) {
            let read = |name: &str| std::fs::read(case.join("input").join(name)).unwrap_or_default();
            let truth = std::fs::read(case.join("truth.json")).expect("a truth");
            let truth: serde_json::Value = serde_json::from_slice(&truth).expect("JSON");
            let ways = truth["ways"].as_array().cloned().unwrap_or_default();
            let by_leaves = |way: &&serde_json::Value| {
                way["how"].as_str().is_some_and(|how| how.starts_with("every page of"))
            };
            if let Some(way) = ways.iter().find(by_leaves) {
                let mut found = Model::new();
                salvage::leaves(&&read(DATA)[..], 256, &mut |pair| {
                    found.insert(pair.key.to_vec(), pair.value.to_vec());
                });
                assert_eq!(way["state_sha256"], digest(&found), "{}: salvaged", case.display());
                salvaged += 1;
            }
            if revision == "r3" {
                let files = [DATA, WAL].map(|name| (name.to_owned(), read(name)));
                let disk = CrashDisk::of(files.into());
                match BTree::open(disk.clone(), Options::default()) {
                    Ok(tree) => {
                        let found = digest(&pairs(&tree));
                        let known = ["state_before_op", "state_after_op"]
                            .map(|state| truth[state]["state_sha256"] == found);
                        assert!(known.contains(&true), "{}: neither before nor after", case.display());
                        opened += 1;
                    }
                    Err(e) => {
                        assert_eq!(disk.events(), 0, "{}: {e}", case.display());
                        refused += 1;
                    }
                }
            }
        }
    }
    println!("{salvaged} salvaged, {opened} opened, {refused} refused");
}

fn digest(model: &Model) -> String {
    let lines = model.iter().map(|(key, value)| format!("{} {}\n", hex(key), hex(value)));
    hex(Sha256::digest(lines.collect::<String>()))
}
