use super::*;
use crate::engine::crash::{CrashDisk, Image};

fn open(disk: &CrashDisk) -> Result<WalStore> {
    WalStore::open(disk.clone(), Options { max_file_size: 400 })
}

fn pairs(store: &WalStore) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    store.scan(..).map(|(k, v)| (text(k), text(v))).collect()
}

fn filled() -> CrashDisk {
    let disk = CrashDisk::new();
    let mut store = open(&disk).expect("begun");
    for i in 0..30u32 {
        store.put(format!("k{i:02}").as_bytes(), b"value").expect("put");
    }
    store.batch(&[Op::Put(b"a", b"1"), Op::Delete(b"k00"), Op::Put(b"b", b"")]).expect("batch");
    store.delete(b"k01").expect("delete");
    disk
}

/// The disk with the bytes of one file changed.
fn with(disk: &CrashDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> CrashDisk {
    let mut image = disk.files();
    change(image.get_mut(name).expect("such a file"));
    CrashDisk::of(image)
}

#[test]
fn what_was_written_is_there_after_a_reopen() {
    let disk = filled();
    let store = open(&disk).expect("opened");
    assert_eq!(store.sequence(), 30 + 5 + 1);
    assert_eq!(
        (store.get(b"a"), store.get(b"b"), store.get(b"k01")),
        (Some(&b"1"[..]), Some(&b""[..]), None)
    );
    assert_eq!(store.scan(&b"k05"[..]..&b"k08"[..]).count(), 3);
    assert_eq!(store.scan(&b"k08"[..]..&b"k05"[..]).count(), 0);
    assert_eq!(pairs(&store).len(), 30);
    assert!(disk.files().len() > 2, "files were rotated");
    store.close().expect("closed");
}

#[test]
fn a_checkpoint_keeps_state_and_counter_in_one_file() {
    let disk = filled();
    let mut store = open(&disk).expect("opened");
    let before = pairs(&store);
    store.checkpoint().expect("checkpoint");
    let seq = store.sequence();
    assert_eq!((disk.files().len(), seq), (1, 36 + 30 + 3));
    store.put(b"z", b"9").expect("put");
    let store = open(&disk).expect("opened");
    assert_eq!((store.sequence(), pairs(&store)[..30].to_vec()), (seq + 1, before));
}

#[test]
fn a_built_log_goes_on_with_the_number_asked_for() {
    for (next, count, last) in [(100, 5, 99), (1, 0, 1), (3, 5, 8), (50_000, 3000, 49_999)] {
        let disk = CrashDisk::new();
        let entries: Vec<_> = (0..count).map(|i: u32| (format!("{i}"), "v")).collect();
        WalStore::build(disk.clone(), next, entries.into_iter()).expect("built");
        let store = open(&disk).expect("opened");
        assert_eq!((store.sequence(), pairs(&store).len()), (last, count as usize));
    }
    let entries = [("k", &b"\xff"[..])];
    let disk = CrashDisk::new();
    assert!(matches!(WalStore::build(disk.clone(), 1, entries.into_iter()), Err(Error::Refused(_))));
    assert!(disk.files().is_empty(), "nothing is left behind");
    assert!(matches!(WalStore::build(filled(), 1, [("k", "v")].into_iter()), Err(Error::Refused(_))));
}

#[test]
fn only_the_last_write_may_be_torn() {
    let disk = filled();
    let files = disk.files();
    let (last, before) = (files.keys().next_back().expect("some"), files.keys().nth(1).expect("some"));
    let size = files[last].len();
    for cut in 1..29 {
        let torn = with(&disk, last, |bytes| bytes.truncate(size - cut));
        let store = open(&torn).expect("opened");
        assert_eq!((store.get(b"k01"), store.sequence()), (Some(&b"value"[..]), 35));
        assert_eq!(torn.files()[last].len(), size - 28, "the torn record is cut off");
    }
    let refused = |disk: &CrashDisk, file: &str| {
        let files = disk.files();
        let answer = open(disk).err();
        assert!(matches!(&answer, Some(Error::Damaged { file: f, .. }) if f == file), "{answer:?}");
        assert_eq!(disk.files(), files, "nothing was changed");
    };
    refused(&with(&disk, before, |bytes| bytes.truncate(100)), before);
    refused(&with(&disk, before, |bytes| bytes[60] ^= 1), before);
    refused(&with(&disk, last, |bytes| bytes[30] ^= 1), last);
    refused(&with(&disk, last, |bytes| bytes[size - 5] ^= 1), last);
    let mut lost = disk.files();
    lost.remove(before);
    refused(&CrashDisk::of(lost), files.keys().nth(2).expect("some"));
    let mut foreign = disk.files();
    foreign.insert("copy.wal".into(), Vec::new());
    refused(&CrashDisk::of(foreign), "copy.wal");
}

#[test]
fn every_flipped_bit_is_refused() {
    let disk = CrashDisk::new();
    let mut store = WalStore::open(disk.clone(), Options::default()).expect("begun");
    store.put(b"k", b"value").expect("put");
    store.batch(&[Op::Put(b"a", b"1"), Op::Delete(b"k")]).expect("batch");
    for last in ["put", "batch", "checkpoint"] {
        match last {
            "put" => store.put(b"last", b"value").expect("put"),
            "batch" => store.batch(&[Op::Put(b"b", b"last")]).expect("batch"),
            _ => store.checkpoint().expect("checkpoint"),
        }
        let name = disk.files().into_keys().next().expect("a file");
        for at in 0..disk.files()[&name].len() {
            for bit in 0..8 {
                let flipped = with(&disk, &name, |bytes| bytes[at] ^= 1 << bit);
                let files = flipped.files();
                let answer = open(&flipped).map(|store| pairs(&store));
                assert!(matches!(answer, Err(Error::Damaged { .. })), "{last}: {at}.{bit}: {answer:?}");
                assert_eq!(flipped.files(), files);
            }
        }
    }
}

#[test]
fn a_batch_without_commit_is_cut_off_with_its_begin() {
    let disk = CrashDisk::new();
    let mut store = open(&disk).expect("begun");
    store.put(b"k", b"old").expect("put");
    let kept = disk.files()["000001.wal"].len();
    store.batch(&[Op::Put(b"k", b"new"), Op::Put(b"l", b"new")]).expect("batch");
    let size = disk.files()["000001.wal"].len();
    for len in kept..size {
        let torn = with(&disk, "000001.wal", |bytes| bytes.truncate(len));
        let mut store = open(&torn).expect("opened");
        assert_eq!((store.get(b"k"), store.get(b"l"), store.sequence()), (Some(&b"old"[..]), None, 1));
        assert_eq!(torn.files()["000001.wal"].len(), kept);
        store.put(b"m", b"later").expect("put");
        assert_eq!(open(&torn).expect("opened").get(b"m"), Some(&b"later"[..]));
    }
}

#[test]
fn a_hole_at_the_tail_is_a_lost_write_and_elsewhere_damage() {
    let long = "v".repeat(3000);
    let disk = CrashDisk::new();
    let mut store = WalStore::open(disk.clone(), Options::default()).expect("begun");
    store.put(b"k", b"old").expect("put");
    store.batch(&[Op::Put(b"k", b"new"), Op::Put(b"l", long.as_bytes())]).expect("batch");
    let hole = |bytes: &mut Vec<u8>| bytes[1024..1536].fill(0);
    let open_batch = with(&disk, "000001.wal", |bytes| {
        hole(bytes);
        bytes.truncate(bytes.len() - 25);
    });
    let opened = open(&open_batch).expect("opened");
    assert_eq!((opened.get(b"k"), opened.sequence()), (Some(&b"old"[..]), 1));
    assert!(matches!(open(&with(&disk, "000001.wal", hole)), Err(Error::Damaged { .. })), "it committed");
}

#[test]
fn a_large_batch_gets_a_file_of_its_own() {
    let long = "v".repeat(10_000);
    let disk = CrashDisk::new();
    let mut store = WalStore::open(disk.clone(), Options::default()).expect("begun");
    store.put(b"k", b"old").expect("put");
    store.batch(&[Op::Put(b"k", b"new"), Op::Put(b"l", long.as_bytes())]).expect("batch");
    store.put(b"m", b"last").expect("put");
    assert_eq!(disk.files().into_keys().collect::<Vec<_>>(), ["000001.wal", "000002.wal"]);
    let store = open(&disk).expect("opened");
    assert_eq!((pairs(&store).len(), store.sequence()), (3, 6));
    assert_eq!(store.get(b"k"), Some(&b"new"[..]));
}

#[test]
fn a_failed_write_poisons_and_a_reopen_heals() {
    for fails in 0..6 {
        let disk = filled();
        let mut store = open(&disk).expect("opened");
        disk.fail_from(Some(disk.events() + fails));
        let mut acknowledged = 0;
        let failed = (0..9).any(|i| {
            let done = store.put(format!("n{i}").as_bytes(), b"new").is_ok();
            acknowledged += usize::from(done);
            !done
        });
        assert!(failed && matches!(store.put(b"x", b"y"), Err(Error::Poisoned)), "{fails}");
        disk.fail_from(None);
        let store = open(&disk).expect("opened");
        assert!(store.scan(&b"n"[..]..).count() >= acknowledged);
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let disk = CrashDisk::of(Image::new());
    let mut store = open(&disk).expect("begun");
    assert!(matches!(store.put(b"\xff", b""), Err(Error::Refused(_))));
    assert!(matches!(store.batch(&[Op::Put(b"k", b"v"), Op::Put(b"k", b"\xc3")]), Err(Error::Refused(_))));
    assert_eq!((pairs(&store).len(), store.sequence()), (0, 0));
    store.batch(&[]).expect("nothing to do");
    store.put("schlüssel".as_bytes(), b"").expect("put");
}
