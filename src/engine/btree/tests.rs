//! The engine against a model, its files against the format's own check of a tree.

use std::collections::BTreeMap;

use super::*;
use crate::analysis::OpenLog;
use crate::engine::crash::{CrashDisk, Image};
use crate::format::ddia_btree::page::{Meta, tests as pages};
use crate::format::ddia_btree::{DdiaBtree, encode};
use crate::log::finding::Class;

static FORMAT: DdiaBtree = DdiaBtree;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options(page_size: u32, max_keys: u16) -> Options {
    Options { page_size: Some(page_size), max_keys: Some(max_keys) }
}

fn pairs(tree: &BTree) -> Model {
    let pairs: Vec<_> = tree.scan(..).and_then(Iterator::collect).expect("the tree can be scanned");
    assert!(pairs.is_sorted_by(|a: &(Vec<u8>, Vec<u8>), b| a.0 < b.0), "keys rise");
    pairs.into_iter().collect()
}

/// What `verify` has to say beyond notes: about the data file alone, or with its WAL.
fn findings(files: Image, with_wal: bool) -> Vec<String> {
    let files = files.into_iter().filter(|(name, _)| name == DATA || (with_wal && name == WAL)).collect();
    let report = OpenLog::memory(&FORMAT, files, Some("r3")).analyse(1);
    let told = report.findings().filter(|f| f.class != Class::Note);
    told.map(|f| format!("{:?} {}", f.code, f.message)).collect()
}

fn meta_of(disk: &CrashDisk) -> Meta {
    page::meta_fields(&disk.files()[DATA]).expect("metadata")
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }

    fn key(&mut self, keys: u64, long: bool) -> Vec<u8> {
        let n = self.below(keys);
        let pad = if long { (n * 7919) % 60 } else { 0 };
        format!("é{n:03}{}", "k".repeat(pad as usize)).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        let len = if self.below(6) == 0 { self.below(120) } else { self.below(12) };
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Random operations, the store looked at after each.
fn against_model(seed: u64, page_size: u32, max_keys: u16, keys: u64, long: bool) {
    let disk = CrashDisk::new();
    let mut random = Random(seed);
    let mut model = Model::new();
    let mut tree = BTree::open(disk.clone(), options(page_size, max_keys)).unwrap();
    for step in 0..350 {
        let shrinking = step / 70 % 2 == 1;
        let key = random.key(keys, long);
        let value = random.value();
        match random.below(12) {
            0 => {
                let more: Vec<_> = (0..5).map(|_| (random.key(keys, long), random.value())).collect();
                let ops: Vec<Op<'_>> = more
                    .iter()
                    .enumerate()
                    .map(|(i, (k, v))| if i % 2 == 0 { Op::Put(k, v) } else { Op::Delete(k) })
                    .collect();
                tree.batch(&ops).unwrap();
                for op in ops {
                    match op {
                        Op::Put(k, v) => drop(model.insert(k.to_vec(), v.to_vec())),
                        Op::Delete(k) => drop(model.remove(k)),
                    }
                }
            }
            1 => {
                tree.close().unwrap();
                assert_eq!(disk.files()[WAL], b"");
                tree = BTree::open(disk.clone(), Options { max_keys: Some(max_keys), ..Options::default() })
                    .unwrap();
            }
            n if (n < 9) != shrinking => {
                tree.put(&key, &value).unwrap();
                model.insert(key.clone(), value);
            }
            _ => assert_eq!(tree.delete(&key).unwrap(), model.remove(&key).is_some()),
        }
        assert_eq!(tree.get(&key).unwrap().as_ref(), model.get(&key));
        assert_eq!(tree.len(), model.len() as u64);
        let files = disk.files();
        assert_eq!(findings(files, false), [""; 0], "seed {seed}, step {step}");
        if step % 10 == 0 {
            assert_eq!(pairs(&tree), model, "seed {seed}, step {step}");
        }
    }
    assert!(meta_of(&disk).height > 2, "the tree was high enough to tell something");
}

#[test]
fn random_operations_do_what_a_map_does() {
    for seed in 0..6 {
        against_model(seed, 256, 4, 150, false);
        against_model(seed, 256, 200, 150, true);
    }
}

#[test]
fn a_page_splits_by_number_of_keys_as_in_the_original() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    for key in ["a", "b", "c", "d", "e"] {
        tree.put(key.as_bytes(), b"v").unwrap();
    }
    let dat = disk.files()[DATA].clone();
    let v = &b"v"[..];
    assert_eq!(dat[256..512], pages::leaf(256, 2, &[("a", v), ("b", v)]));
    assert_eq!(dat[512..768], pages::leaf(256, NONE, &[("c", v), ("d", v), ("e", v)]));
    assert_eq!(dat[768..1024], pages::internal(256, 1, &[("c", 2)]));
    let meta = Meta { root: 3, height: 2, keys: 5, next_free: 4, free_head: NONE, page_size: 256 };
    assert_eq!(dat[..256], encode::meta(256, &meta));
}

#[test]
fn a_page_splits_by_bytes_where_its_pairs_do_not_fit() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 40)).unwrap();
    for (key, len) in [("a", 100), ("c", 100), ("b", 240), ("a", 240), ("c", 240)] {
        tree.put(key.as_bytes(), &vec![7; len]).unwrap();
        assert_eq!(findings(disk.files(), false), [""; 0]);
    }
    assert_eq!((tree.len(), meta_of(&disk).next_free), (3, 5), "three leaves and a root");
    assert_eq!(tree.get(b"b").unwrap(), Some(vec![7; 240]));
}

#[test]
fn what_fits_no_page_changes_nothing() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    tree.put(b"k", &[1; 244]).unwrap();
    let before = (disk.files(), disk.events());
    let key = vec![b'k'; 243];
    let ops =
        [(&b"k"[..], vec![1; 245]), (&[0xff][..], vec![]), (&key, vec![1, 2, 3]), (&[b'k'; 244][..], vec![])];
    for (key, value) in ops {
        let batch = [Op::Delete(b"k"), Op::Put(b"x", b"y"), Op::Put(key, &value)];
        assert!(matches!(tree.batch(&batch), Err(Error::Refused(_))), "{} and {}", key.len(), value.len());
    }
    assert_eq!((disk.files(), disk.events()), before);
    tree.put(&key, b"").unwrap();
    assert_eq!(tree.len(), 2);
}

#[test]
fn keys_as_long_as_a_page_are_stored_or_refused() {
    for turn in [false, true] {
        let disk = CrashDisk::new();
        let mut tree = BTree::open(disk.clone(), options(64, 2)).unwrap();
        let mut stored = 0;
        for i in 0..300 {
            let n = if turn { 300 - i } else { i };
            let key = format!("{n:051}");
            match tree.put(key.as_bytes(), b"") {
                Ok(()) => stored += 1,
                Err(Error::Refused(_)) => break,
                Err(e) => panic!("{e}"),
            }
        }
        assert!(stored > 20, "{stored}");
        assert_eq!(pairs(&tree).len(), stored);
        assert_eq!(findings(disk.files(), false), [""; 0]);
    }
}

#[test]
fn an_emptied_leaf_goes_to_the_free_list_and_is_used_again() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    let fill = |tree: &mut BTree| {
        for i in 0..12 {
            tree.put(format!("{i:02}").as_bytes(), b"v").unwrap();
        }
    };
    fill(&mut tree);
    let full = meta_of(&disk);
    for i in (0..12).rev() {
        assert!(tree.delete(format!("{i:02}").as_bytes()).unwrap());
        assert_eq!(findings(disk.files(), false), [""; 0]);
    }
    assert!(!tree.delete(b"00").unwrap());
    let empty = meta_of(&disk);
    assert_eq!((empty.keys, empty.next_free), (0, full.next_free));
    assert_ne!(empty.free_head, NONE);
    tree.close().unwrap();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    fill(&mut tree);
    assert_eq!(meta_of(&disk).next_free, full.next_free, "no new pages");
    assert_eq!(findings(disk.files(), false), [""; 0]);
}

#[test]
fn a_free_list_that_names_a_page_in_use_is_let_go() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    for i in 0..12 {
        tree.put(format!("{i:02}").as_bytes(), b"v").unwrap();
    }
    let before = pairs(&tree);
    tree.close().unwrap();
    let mut files = disk.files();
    // The page of an emptied leaf, put back under its parent: what a crash leaves that the original then forgets.
    files.get_mut(DATA).unwrap()[16..20].copy_from_slice(&2u32.to_be_bytes());
    let disk = CrashDisk::of(files);
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    for i in 12..24 {
        tree.put(format!("{i:02}").as_bytes(), b"v").unwrap();
    }
    let after = pairs(&tree);
    assert!(before.iter().all(|(key, value)| after.get(key) == Some(value)) && after.len() == 24);
    assert_eq!(findings(disk.files(), false), [""; 0]);
}

#[test]
fn scans_keep_to_their_bounds() {
    let mut tree = BTree::open(CrashDisk::new(), options(256, 4)).unwrap();
    for i in 0..40 {
        tree.put(format!("{i:02}").as_bytes(), b"").unwrap();
    }
    let keys = |scan: Result<Scan<'_>>| -> Vec<String> {
        scan.unwrap().map(|pair| String::from_utf8(pair.unwrap().0).unwrap()).collect()
    };
    assert_eq!(keys(tree.scan(&b"05"[..]..&b"08"[..])), ["05", "06", "07"]);
    assert_eq!(keys(tree.scan(&b"05"[..]..=&b"06"[..])), ["05", "06"]);
    assert_eq!(keys(tree.scan(..&b"02"[..])), ["00", "01"]);
    assert_eq!(keys(tree.scan(&b"38x"[..]..)), ["39"]);
    let above = (std::ops::Bound::Excluded(&b"38"[..]), std::ops::Bound::Unbounded);
    assert_eq!(keys(tree.scan(above)), ["39"]);
    assert_eq!(keys(tree.scan(&b"9"[..]..&b"1"[..])), [""; 0]);
}

#[test]
fn a_bulk_load_is_balanced_and_goes_on_as_a_tree() {
    for (size, max) in [(256, 4), (256, 50), (4096, 40)] {
        for count in [0usize, 1, 4, 5, 6, 9, 21, 22, 500] {
            let disk = CrashDisk::new();
            let all: Model =
                (0..count).map(|i| (format!("k{i:04}").into_bytes(), vec![7; i * 31 % 90])).collect();
            let mut tree = BTree::build(disk.clone(), options(size, max), &all).unwrap();
            assert_eq!((pairs(&tree), tree.len()), (all.clone(), count as u64));
            assert_eq!(findings(disk.files(), true), [""; 0], "{count} pairs, pages of {size}");
            assert_eq!(disk.files().keys().collect::<Vec<_>>(), [DATA, WAL]);
            assert_eq!((meta_of(&disk).keys as usize, disk.files()[WAL].len()), (count, 0));
            let again = BTree::build(disk.clone(), options(size, max), &all);
            assert!(matches!(again, Err(Error::Refused(_))));
            let mut model = all;
            for i in (0..count + 9).step_by(3) {
                let key = format!("k{i:04}x").into_bytes();
                tree.put(&key, &[1; 50]).unwrap();
                model.insert(key, vec![1; 50]);
            }
            tree.close().unwrap();
            let tree = BTree::open(disk.clone(), Options::default()).unwrap();
            assert_eq!(pairs(&tree), model);
            assert_eq!(findings(disk.files(), true), [""; 0]);
        }
    }
}

#[test]
fn a_bulk_load_refused_leaves_nothing() {
    for keys in [["b", "a"], ["a", "a"]] {
        let disk = CrashDisk::new();
        let load = BTree::build(disk.clone(), Options::default(), keys.map(|k| (k, "v")));
        assert!(matches!(load, Err(Error::Refused(_))));
        assert_eq!(disk.files(), Image::new());
    }
}

#[test]
fn the_page_size_is_that_of_the_file() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(512, 4)).unwrap();
    for i in 0..30 {
        tree.put(format!("{i:02}").as_bytes(), &[7; 20]).unwrap();
    }
    let before = pairs(&tree);
    tree.close().unwrap();
    let with_field = |field: u32| {
        let mut files = disk.files();
        files.get_mut(DATA).unwrap()[20..24].copy_from_slice(&field.to_be_bytes());
        CrashDisk::of(files)
    };
    for field in [0, 512] {
        let tree = BTree::open(with_field(field), Options::default()).unwrap();
        assert_eq!(pairs(&tree), before);
        let other = BTree::open(with_field(field), options(4096, 40));
        assert!(matches!(other, Err(Error::Refused(_))));
    }
    for field in [256, 1024, 4096] {
        let disk = with_field(field);
        assert!(
            matches!(BTree::open(disk.clone(), Options::default()), Err(Error::Damaged { .. })),
            "{field}"
        );
        assert_eq!(disk.events(), 0);
    }
    for wrong in [options(32, 4), options(1 << 17, 4), options(256, 1)] {
        assert!(matches!(BTree::open(CrashDisk::new(), wrong), Err(Error::Refused(_))));
    }
}

#[test]
fn after_a_failed_write_nothing_is_read_or_written() {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    tree.put(b"a", b"1").unwrap();
    for more in 0..12 {
        let disk = CrashDisk::of(disk.files());
        let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
        let from = disk.events() + more;
        disk.fail_from(Some(from));
        match tree.put(b"b", b"2") {
            Ok(()) => assert!(more > 5, "{more}"),
            Err(Error::Io { .. }) => {
                disk.fail_from(None);
                assert!(matches!(tree.put(b"c", b"3"), Err(Error::Poisoned)));
                assert!(matches!(tree.get(b"a"), Err(Error::Poisoned)));
                let tree = BTree::open(disk.clone(), Options::default()).unwrap();
                assert_eq!(tree.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// A store with something committed in its WAL that is not in its data file.
fn committed() -> (Image, Model) {
    let disk = CrashDisk::new();
    let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
    for i in 0..20 {
        tree.put(format!("{i:02}").as_bytes(), &[7; 9]).unwrap();
    }
    tree.checkpoint().unwrap();
    let dat = disk.files()[DATA].clone();
    tree.batch(&[Op::Put(b"055", b"x"), Op::Put(b"056", b"y"), Op::Put(b"057", b"z"), Op::Delete(b"00")])
        .unwrap();
    let files = Image::from([(DATA.into(), dat), (WAL.into(), disk.files()[WAL].clone())]);
    (files, pairs(&tree))
}

#[test]
fn committed_groups_are_redone_and_the_torn_end_is_not() {
    let (files, after) = committed();
    let (_, before) = {
        let files = Image::from([(DATA.into(), files[DATA].clone()), (WAL.into(), Vec::new())]);
        let tree = BTree::open(CrashDisk::of(files.clone()), Options::default()).unwrap();
        (files, pairs(&tree))
    };
    let len = files[WAL].len();
    for cut in (0..=len).step_by(7).chain(len - 20..=len) {
        for fill in [None, Some(0)] {
            let mut files = files.clone();
            let wal = files.get_mut(WAL).unwrap();
            wal.truncate(cut);
            wal.resize(if fill.is_some() { len + 300 } else { cut }, 0);
            let disk = CrashDisk::of(files);
            let tree = BTree::open(disk.clone(), Options::default()).unwrap();
            // The last four bytes of a commit entry are zeros themselves, as are those before.
            let whole = cut == len || (fill.is_some() && cut + 8 >= len);
            assert_eq!(
                pairs(&tree),
                if whole { after.clone() } else { before.clone() },
                "cut at {cut} of {len}"
            );
            assert_eq!((disk.files()[WAL].len(), findings(disk.files(), true)), (0, vec![]));
        }
    }
}

#[test]
fn damage_in_a_committed_group_is_refused_and_nothing_changed() {
    let (files, after) = committed();
    let len = files[WAL].len();
    let (mut refused, mut redone) = (0, 0);
    for at in 0..len {
        for bit in [0, 7] {
            let mut files = files.clone();
            files.get_mut(WAL).unwrap()[at] ^= 1 << bit;
            let disk = CrashDisk::of(files.clone());
            match BTree::open(disk.clone(), Options::default()) {
                Err(Error::Damaged { .. }) => {
                    refused += 1;
                    assert_eq!((disk.events(), disk.files()), (0, files));
                }
                Ok(tree) => {
                    redone += 1;
                    assert_eq!(pairs(&tree), after, "flip of bit {bit} at {at}");
                }
                Err(e) => panic!("{e}"),
            }
        }
    }
    assert!(refused == 2 * len && redone == 0, "{refused} refused, {redone} redone");
    for hole in (0..len - 16).step_by(16) {
        let mut files = files.clone();
        files.get_mut(WAL).unwrap()[hole..hole + 16].fill(0);
        let unchanged = files == committed().0;
        let disk = CrashDisk::of(files);
        let opened = BTree::open(disk.clone(), Options::default());
        assert!(matches!(opened, Err(Error::Damaged { .. })) != unchanged, "a hole at {hole}");
        assert!(unchanged || disk.events() == 0);
    }
}

#[test]
fn a_log_without_its_data_file_is_refused() {
    let (files, _) = committed();
    let disk = CrashDisk::of(Image::from([(WAL.into(), files[WAL].clone())]));
    assert!(matches!(BTree::open(disk.clone(), Options::default()), Err(Error::Damaged { .. })));
    assert_eq!(disk.events(), 0);
}

#[test]
fn what_never_got_beyond_its_creation_is_begun_anew() {
    let fresh =
        encode::meta(256, &Meta { root: 1, height: 1, keys: 0, next_free: 2, free_head: NONE, page_size: 0 });
    for dat in [vec![], fresh.clone(), fresh[..24].to_vec(), [fresh, vec![0; 100]].concat()] {
        let disk = CrashDisk::of(Image::from([(DATA.into(), dat), (NEW.into(), vec![1; 9])]));
        let mut tree = BTree::open(disk.clone(), options(256, 4)).unwrap();
        tree.put(b"a", b"1").unwrap();
        tree.close().unwrap();
        assert_eq!(findings(disk.files(), true), [""; 0]);
        assert_eq!(pairs(&BTree::open(disk, Options::default()).unwrap()).len(), 1);
    }
}

#[test]
fn files_of_any_content_are_opened_or_refused() {
    let (files, _) = committed();
    let mut random = Random(7);
    let (mut opened, mut refused) = (0, 0);
    for round in 0..3000 {
        let mut files = files.clone();
        if round % 3 == 0 {
            files.get_mut(WAL).unwrap().clear();
        }
        for _ in 0..=random.below(4) {
            let bytes = files.get_mut(if random.below(2) == 0 { DATA } else { WAL }).unwrap();
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.iter_mut().skip(at).take(40).for_each(|b| *b = 0),
                2 => bytes.extend([0xff; 300]),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << random.below(8)),
            }
        }
        let disk = CrashDisk::of(files.clone());
        let Ok(mut tree) = BTree::open(disk.clone(), Options::default()) else {
            assert_eq!((disk.events(), disk.files() == files), (0, true), "refused, so nothing changed");
            refused += 1;
            continue;
        };
        opened += 1;
        // What is damaged shows as an error or as other pairs, never as a panic or a scan without end.
        if let Ok(scan) = tree.scan(..) {
            assert!(scan.count() < 10_000);
        }
        for n in 0..8u8 {
            tree.put(&[b'0', b'a' + n], &[n; 60]).ok();
            tree.delete(&[b'1', b'0' + n]).ok();
        }
    }
    assert!(opened > 100 && refused > 1000, "{opened} opened, {refused} refused");
}
