use super::*;
use crate::engine::crash::{CrashDisk, Image};

const SMALL: Options = Options { memtable_keys: 10, index_interval: 4, tables_max: 3 };

fn open(disk: &CrashDisk) -> Result<LsmTree> {
    LsmTree::open(disk.clone(), SMALL)
}

fn pairs(tree: &LsmTree) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let pairs = tree.scan(..).expect("scanned").map(|pair| pair.expect("read"));
    pairs.map(|(k, v)| (text(k), text(v))).collect()
}

fn key(i: usize) -> String {
    format!("k{i:03}")
}

/// 60 keys, every third deleted, spread over tables, memtable and log.
fn filled() -> CrashDisk {
    let disk = CrashDisk::new();
    let mut tree = open(&disk).expect("begun");
    for i in 0..60 {
        tree.put(key(i * 7 % 60).as_bytes(), format!("old {i}").as_bytes()).expect("put");
    }
    for i in 0..60 {
        match i % 3 {
            0 => tree.delete(key(i).as_bytes()).expect("deleted"),
            _ => tree.put(key(i).as_bytes(), format!("new {i}").as_bytes()).expect("put"),
        }
    }
    disk
}

fn expected() -> Vec<(String, String)> {
    (0..60).filter(|i| i % 3 != 0).map(|i| (key(i), format!("new {i}"))).collect()
}

fn with(disk: &CrashDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> CrashDisk {
    let mut image = disk.files();
    change(image.get_mut(name).expect("such a file"));
    CrashDisk::of(image)
}

fn refused(disk: &CrashDisk, file: &str) {
    let files = disk.files();
    let answer = open(disk).err();
    assert!(matches!(&answer, Some(Error::Damaged { file: f, .. }) if f == file), "{answer:?}");
    assert_eq!(disk.files(), files, "nothing was changed");
}

#[test]
fn what_was_written_is_there_after_flushes_compactions_and_reopens() {
    let disk = filled();
    assert!(disk.files().len() > 1, "there are tables");
    let mut tree = open(&disk).expect("opened");
    assert_eq!(pairs(&tree), expected());
    tree.flush().expect("flushed");
    assert!(disk.files()[LOG].is_empty());
    assert_eq!(pairs(&tree), expected());
    tree.compact().expect("compacted");
    assert_eq!((disk.files().len(), pairs(&tree)), (2, expected()));
    tree.put(b"k999", b"last").expect("put");
    tree.close().expect("closed");
    let tree = open(&disk).expect("opened");
    for i in 0..60 {
        let value = (i % 3 != 0).then(|| format!("new {i}").into_bytes());
        assert_eq!(tree.get(key(i).as_bytes()).expect("read"), value, "{i}");
    }
    for absent in ["", "a", "k0", "k0005", "z"] {
        assert_eq!(tree.get(absent.as_bytes()).expect("read"), None);
    }
}

#[test]
fn a_scan_keeps_to_its_range() {
    let disk = filled();
    let tree = open(&disk).expect("opened");
    let keys = |range: (Bound<&[u8]>, Bound<&[u8]>)| -> Vec<String> {
        let found = tree.scan(range).expect("scanned").map(|pair| pair.expect("read").0);
        found.map(|k| String::from_utf8(k).expect("text")).collect()
    };
    let (a, b) = (&b"k010"[..], &b"k014"[..]);
    assert_eq!(keys((Bound::Included(a), Bound::Included(b))), ["k010", "k011", "k013", "k014"]);
    assert_eq!(keys((Bound::Excluded(a), Bound::Excluded(b))), ["k011", "k013"]);
    assert_eq!(keys((Bound::Included(b), Bound::Excluded(a))), [""; 0]);
    assert_eq!(keys((Bound::Included(b"k058"), Bound::Unbounded)), ["k058", "k059"]);
    assert_eq!(keys((Bound::Unbounded, Bound::Excluded(b"k002"))), ["k001"]);
}

#[test]
fn a_tree_of_deletions_compacts_to_no_table() {
    let disk = CrashDisk::new();
    let mut tree = open(&disk).expect("begun");
    tree.put(b"k", b"v").expect("put");
    tree.flush().expect("flushed");
    tree.delete(b"k").expect("deleted");
    tree.flush().expect("flushed");
    tree.compact().expect("compacted");
    assert_eq!(disk.files(), Image::from([(LOG.to_owned(), Vec::new())]));
    assert_eq!(pairs(&open(&disk).expect("opened")), []);
    // The original writes a table without entries.
    let mut files = disk.files();
    files.insert("sst_000007.sst".into(), vec![0; 12]);
    let mut tree = open(&CrashDisk::of(files)).expect("opened");
    tree.put(b"k", b"v").expect("put");
    tree.flush().expect("flushed");
    assert_eq!((pairs(&tree).len(), tree.tables.last().map(|t| t.number)), (1, Some(8)));
}

#[test]
fn a_built_tree_is_one_table_and_an_empty_log() {
    let disk = CrashDisk::new();
    let entries = (0..100).map(|i| (key(i), "v"));
    LsmTree::build(disk.clone(), Options::default(), entries).expect("built");
    let files = disk.files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["sst_000000.sst", LOG]);
    assert_eq!(pairs(&open(&disk).expect("opened")).len(), 100);
    let build = |disk: &CrashDisk, entries: &[(&str, &str)]| {
        let answer = LsmTree::build(disk.clone(), SMALL, entries.iter().copied());
        matches!(answer, Err(Error::Refused(_)))
    };
    assert!(build(&disk, &[]), "a tree is there");
    let fresh = CrashDisk::new();
    assert!(build(&fresh, &[("b", "v"), ("a", "v")]) && build(&fresh, &[("a", "v"), ("a", "v")]));
    assert!(build(&fresh, &[("a", "")]) && fresh.files().is_empty(), "nothing is left behind");
    LsmTree::build(fresh.clone(), SMALL, std::iter::empty::<(&str, &str)>()).expect("an empty tree");
    assert_eq!(fresh.files(), Image::from([(LOG.to_owned(), Vec::new())]));
}

#[test]
fn only_the_tail_of_the_log_may_be_torn() {
    let disk = CrashDisk::new();
    let mut tree = LsmTree::open(disk.clone(), Options::default()).expect("begun");
    for i in 0..40 {
        tree.put(key(i).as_bytes(), b"value").expect("put");
    }
    let (size, record) = (disk.files()[LOG].len(), 4 + 8 + 4 + 5);
    for cut in 1..record {
        let torn = with(&disk, LOG, |bytes| bytes.truncate(size - cut));
        assert_eq!(pairs(&open(&torn).expect("opened")).len(), 39, "{cut}");
        assert_eq!(torn.files()[LOG].len(), size - record);
    }
    refused(&with(&disk, LOG, |bytes| bytes[size - 1] ^= 1), LOG);
    refused(&with(&disk, LOG, |bytes| bytes[100] ^= 1), LOG);
    refused(&with(&disk, LOG, |bytes| bytes[..SECTOR as usize].fill(0)), LOG);
}

#[test]
fn every_flipped_bit_of_the_log_is_refused() {
    let disk = CrashDisk::new();
    let mut tree = open(&disk).expect("begun");
    for key in ["k", "l", "m"] {
        tree.put(key.as_bytes(), b"value").expect("put");
    }
    tree.delete(b"l").expect("deleted");
    for at in 0..disk.files()[LOG].len() {
        for bit in 0..8 {
            refused(&with(&disk, LOG, |bytes| bytes[at] ^= 1 << bit), LOG);
        }
    }
}

#[test]
fn a_log_of_the_older_revision_is_refused() {
    let plain = [&b"\0\0\0\x01k\0\0\0\x05value"[..]; 5].concat();
    refused(&CrashDisk::of(Image::from([(LOG.to_owned(), plain.clone())])), LOG);
    let mut log = Vec::new();
    encode::record(&mut log, b"k", b"value");
    log.extend(plain);
    refused(&CrashDisk::of(Image::from([(LOG.to_owned(), log)])), LOG);
}

#[test]
fn damaged_tables_are_refused_or_found_when_read() {
    let disk = filled();
    let mut tree = open(&disk).expect("opened");
    tree.flush().expect("flushed");
    tree.compact().expect("compacted");
    let files = disk.files();
    let name = files.keys().next().expect("a table").clone();
    let size = files[&name].len();
    for cut in 1..size {
        refused(&with(&disk, &name, |bytes| bytes.truncate(size - cut)), &name);
    }
    let mut foreign = files.clone();
    foreign.insert("copy.sst".into(), Vec::new());
    refused(&CrashDisk::of(foreign), "copy.sst");
    for at in 0..size {
        for bit in [0, 7] {
            // A flipped value is not to be told in a table; whatever happens, nothing panics and no length is believed.
            let Ok(mut tree) = open(&with(&disk, &name, |bytes| bytes[at] ^= 1 << bit)) else { continue };
            for pair in tree.scan(..).into_iter().flatten() {
                drop(pair);
            }
            for i in 0..60 {
                tree.get(key(i).as_bytes()).ok();
            }
            tree.compact().ok();
        }
    }
    let wrong = with(&disk, &name, |bytes| bytes[3] = 200);
    let tree = open(&wrong).expect("the index is sound");
    assert!(matches!(tree.get(b"k001"), Err(Error::Damaged { .. })));
    assert!(tree.scan(..).err().is_some());
}

#[test]
fn a_failed_write_poisons_and_a_reopen_heals() {
    for fails in 0..40 {
        let disk = filled();
        let mut tree = open(&disk).expect("opened");
        disk.fail_from(Some(disk.events() + fails));
        let keys: Vec<String> = (0..40).map(|i| format!("n{i:02}")).collect();
        let acknowledged = keys.iter().take_while(|k| tree.put(k.as_bytes(), b"new").is_ok()).count();
        assert!(acknowledged < 40, "{fails}");
        disk.fail_from(None);
        let tree = open(&disk).expect("opened");
        let found = tree.scan(&b"n"[..]..).expect("scanned").count();
        assert!((acknowledged..=acknowledged + 1).contains(&found), "{fails}: {acknowledged}, {found}");
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let mut tree = open(&CrashDisk::new()).expect("begun");
    assert!(matches!(tree.put(b"k", b""), Err(Error::Refused(_))));
    assert!(matches!(tree.delete(b"\xff"), Err(Error::Refused(_))));
    assert!(matches!(tree.batch(&[Op::Put(b"k", b"v"), Op::Put(b"k", b"\xff")]), Err(Error::Refused(_))));
    assert_eq!(pairs(&tree), []);
    tree.delete(b"").expect("the empty key is one");
}
