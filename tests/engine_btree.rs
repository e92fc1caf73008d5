//! The B-tree engine through crashes, and beside the original.
//!
//! Crashes: a random script of changes runs over a disk that records them, and every image that a crash after any of them
//! can leave is opened. Nothing acknowledged is missing, no batch is there in part, the tree is whole, and the store goes on.
//! The original: where `WALMEDIC_ORIGINALS` names a folder that holds `b-tree-storage-engine/btree.py`, it opens what the
//! engine wrote, and the engine opens what it wrote, closed or killed at any write.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::random::{Random, Watch};
use walmedic::analysis::OpenLog;
use walmedic::engine::btree::{BTree, DATA, Options, WAL};
use walmedic::engine::crash::{CrashDisk, Image};
use walmedic::engine::storage::Directory;
use walmedic::engine::{Error, Op};
use walmedic::log::finding::{Class, Code};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(page_size: u32, max_keys: u16) -> Options {
    Options { page_size: Some(page_size), max_keys: Some(max_keys) }
}

fn pairs(tree: &BTree) -> Model {
    let pairs = tree.scan(..).and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the tree can be scanned");
    let model: Model = pairs.iter().cloned().collect();
    assert_eq!((model.len(), tree.len()), (pairs.len(), pairs.len() as u64), "as many as counted, none twice");
    for (key, value) in &model {
        assert_eq!(tree.get(key).expect("found").as_ref(), Some(value), "siblings and descent agree");
    }
    model
}

/// What `verify` finds in these files.
fn findings(files: &Image) -> Vec<(Code, String)> {
    let format = *walmedic::format::ALL.iter().find(|f| f.profile().name == "ddia-btree").expect("registered");
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

/// The states after each acknowledged change, and how many events the disk had recorded by then.
type States = Vec<(usize, Model)>;

/// A store that lives on `disk` through `steps` random changes.
fn script(disk: &CrashDisk, random: &mut Random, options: Options, steps: usize, mut model: Model) -> States {
    let mut tree = BTree::open(disk.clone(), options).expect("opens");
    let mut states = vec![(disk.events(), model.clone())];
    for _ in 0..steps {
        match random.below(10) {
            0 => tree.checkpoint().expect("a checkpoint"),
            1 => {
                tree.close().expect("closes");
                tree = BTree::open(disk.clone(), options).expect("opens");
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
        states.push((disk.events(), model.clone()));
    }
    states
}

/// Opens every image of every crash; gives their number.
fn survives(disk: &CrashDisk, states: &States, options: Options, random: &mut Random) -> usize {
    let mut images = 0;
    for event in 0..=disk.events() {
        let acknowledged = states.iter().rposition(|(by, _)| *by <= event);
        let before = acknowledged.map(|i| &states[i].1);
        let after = acknowledged.map_or(states.first(), |i| states.get(i + 1)).map(|s| &s.1);
        for image in disk.images(event, random.next()) {
            images += 1;
            let told = findings(&image);
            for (code, m) in told { eprintln!("HIST {code:?} {event} {m}"); }
            let crashed = CrashDisk::of(image);
            let tree = BTree::open(crashed.clone(), options)
                .unwrap_or_else(|e| panic!("event {event}: does not open: {e}"));
            let found = pairs(&tree);
            let sound = before == Some(&found) || after == Some(&found) || (before.is_none() && found.is_empty());
            assert!(sound, "event {event}: neither the state before nor the one after");
            assert_eq!(findings(&crashed.files()), [], "event {event}: opened");
            if images % 7 == 0 {
                goes_on(tree, &crashed, found, options);
            }
        }
    }
    images
}

/// What a crash may leave for `verify` to tell.
const HARMLESS: &[Code] = &[];

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
        let states = script(&disk, &mut random, options, 90, Model::new());
        images += survives(&disk, &states, options, &mut random);
    }
    println!("{images} images");
    assert!(images > 3000, "{images}");
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
