use std::collections::BTreeMap;
use std::path::PathBuf;

use super::blob::Reference;
use super::block::{Entries, Layout};
use super::checksum::Checksum;
use super::compression::{Dialect, decompress};
use super::merged::{Merged, MergedError, Opener};
use super::order::Order;
use super::ranges::RangeDeletion;
use super::table::{Expected, Table};
use super::visible::{Content, Keys, Value, Visible};
use super::*;
use crate::format::block_log::manifest::{Family, LiveTable};
use crate::log::bytes::ReadAt;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/sstable").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn key(i: usize) -> Vec<u8> {
    format!("key{i:04}").into_bytes()
}

fn value(i: usize) -> Vec<u8> {
    format!("value {i} ").repeat(1 + i % 5).into_bytes()
}

/// An entry of which nothing is borrowed.
type Entry = (Vec<u8>, u64, u8, Vec<u8>);

fn entries(table: &Table<'_>, from: Option<&[u8]>) -> Result<Vec<Entry>, TableError> {
    let mut iter = match from {
        Some(key) => table.seek(key)?,
        None => table.iter()?,
    };
    let mut all = Vec::new();
    while let Some(item) = iter.next() {
        let item = item?;
        all.push((item.key.to_vec(), item.sequence, item.kind, item.value.to_vec()));
    }
    Ok(all)
}

/// The newest entry of each key.
fn newest(entries: Vec<Entry>) -> BTreeMap<Vec<u8>, (u8, Vec<u8>)> {
    let mut newest = BTreeMap::new();
    for (key, _, kind, value) in entries {
        newest.entry(key).or_insert((kind, value));
    }
    newest
}

/// Tables that hold what the README says of most: name, version, checksum.
const USUAL: &[(&str, u32, Checksum)] = &[
    ("leveldb-none.ldb", 0, Checksum::Crc32c),
    ("leveldb-snappy.ldb", 0, Checksum::Crc32c),
    ("v1-lz4.sst", 1, Checksum::Crc32c),
    ("v1-zlib.sst", 1, Checksum::Crc32c),
    ("v2-snappy-xxh32.sst", 2, Checksum::Xxh32),
    ("v3-zlib-xxh64-hash.sst", 3, Checksum::Xxh64),
    ("v4-lz4-xxh3.sst", 4, Checksum::Xxh3),
    ("v5-lz4hc-partitioned.sst", 5, Checksum::Crc32c),
    ("v6-zstd-partitioned.sst", 6, Checksum::Xxh3),
    ("v6-crc.sst", 6, Checksum::Crc32c),
    ("unchecked-none.sst", 5, Checksum::None),
    ("unchecked-snappy.sst", 5, Checksum::None),
    ("unchecked-zlib.sst", 5, Checksum::None),
    ("unchecked-lz4.sst", 5, Checksum::None),
    ("unchecked-zstd.sst", 5, Checksum::None),
    ("unchecked-v6-partitioned.sst", 6, Checksum::None),
    ("zlib-dictionary.sst", 5, Checksum::Crc32c),
    ("lz4-dictionary.sst", 5, Checksum::Crc32c),
    ("zstd-dictionary.sst", 5, Checksum::Crc32c),
    ("reverse.sst", 5, Checksum::Crc32c),
    ("ranges.sst", 5, Checksum::Crc32c),
];

#[test]
fn every_table_holds_what_was_written() {
    for &(name, version, checksum) in USUAL {
        let bytes = fixture(name);
        let table = Table::open(&bytes[..]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((table.footer().version, table.footer().checksum), (version, checksum), "{name}");
        assert_eq!(table.has_dictionary(), name.contains("dictionary"), "{name}");
        let all = entries(&table, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        if let Some(properties) = table.properties() {
            let ranges = table.ranges().len() as u64;
            assert_eq!(properties.entries, Some(all.len() as u64 + ranges), "{name}");
            assert_eq!(properties.range_deletions, Some(ranges), "{name}");
        }
        let held = newest(all);
        // What a range deletion covers is not written into its own table.
        let lacking = if table.ranges().is_empty() { 0 } else { 30 };
        assert_eq!(held.len(), 120 - lacking, "{name}");
        for (i, (kind, found)) in (0..120).filter_map(|i| Some((i, held.get(&key(i))?))) {
            let expected = if i % 10 == 3 { (kind::DELETION, Vec::new()) } else { (kind::VALUE, value(i)) };
            assert_eq!((*kind, found), (expected.0, &expected.1), "{name}: {i}");
        }
    }
}

#[test]
fn a_seek_finds_what_stands_behind_the_key() {
    for &(name, ..) in USUAL {
        let bytes = fixture(name);
        let table = Table::open(&bytes[..]).expect("as before");
        let all = entries(&table, None).expect("as before");
        for target in (0..121).map(key).chain([Vec::new(), b"key0005 and more".to_vec(), b"z".to_vec()]) {
            let behind = |entry: &&Entry| table.order().compare(&entry.0, &target).is_ge();
            let expected: Vec<_> = all.iter().filter(behind).cloned().collect();
            assert_eq!(entries(&table, Some(&target)).expect("as before"), expected, "{name}: {target:?}");
        }
    }
}

#[test]
fn what_is_not_understood_is_named() {
    for (name, what) in [
        ("other-order.sst", "the order of keys is someone.else"),
        ("plain.sst", "plain tables"),
        ("zstd-raw-dictionary.sst", "only trained dictionaries"),
        ("blobs.blob", "no footer of a table"),
        ("README", "no footer of a table"),
    ] {
        let bytes = fixture(name);
        let found = Table::open(&bytes[..]).and_then(|table| entries(&table, None));
        let error = found.expect_err(name).to_string();
        assert!(error.contains(what), "{name}: {error}");
    }
    let expected = Expected { comparator: Some(b"leveldb.BytewiseComparator.u64ts"), ..Expected::default() };
    let bytes = fixture("leveldb-none.ldb");
    let error = Table::open_as(Box::new(&bytes[..]), expected).err().expect("timestamps");
    assert!(error.to_string().contains("keys with timestamps"), "{error}");
    let error = Table::open(&b"short"[..]).err().expect("too short");
    assert!(error.to_string().contains("too few"), "{error}");
}

#[test]
fn an_ingested_table_has_one_sequence_number() {
    let bytes = fixture("external.sst");
    for largest in [None, Some(77)] {
        let expected = Expected { largest_sequence: largest, ..Expected::default() };
        let table = Table::open_as(Box::new(&bytes[..]), expected).unwrap();
        let all = entries(&table, None).unwrap();
        assert_eq!(all.len(), 120);
        assert!(all.iter().all(|(_, sequence, ..)| *sequence == largest.unwrap_or(0)));
    }
}

#[test]
fn columns_merges_and_blobs_come_as_what_they_are() {
    let bytes = fixture("columns.sst");
    let all = newest(entries(&Table::open(&bytes[..]).unwrap(), None).unwrap());
    assert_eq!(all[&key(0)].0, kind::WIDE_COLUMNS);

    let bytes = fixture("merges.sst");
    let table = Table::open(&bytes[..]).unwrap();
    assert_eq!(table.properties().unwrap().merge_operator.as_deref(), Some(&b"UInt64AddOperator"[..]));
    let kinds: Vec<_> =
        entries(&table, None).unwrap().into_iter().map(|(key, _, kind, _)| (key, kind)).collect();
    for (i, expected) in [(0, vec![2, 2, 2, 1]), (1, vec![2, 2, 2]), (2, vec![1]), (3, vec![7, 1])] {
        let own: Vec<u8> = kinds.iter().filter(|(k, _)| *k == key(i)).map(|(_, kind)| *kind).collect();
        assert_eq!(own, expected, "{i}");
    }

    let (bytes, file) = (fixture("blobs.sst"), fixture("blobs.blob"));
    for (i, (kind, found)) in
        newest(entries(&Table::open(&bytes[..]).unwrap(), None).unwrap()).values().enumerate()
    {
        if *kind != kind::BLOB_INDEX {
            assert!(value(i).len() < 30 || *kind == kind::DELETION);
            continue;
        }
        let Some(Reference::Blob { offset, size, compression, .. }) = Reference::read(found) else {
            panic!("{i}: no reference");
        };
        assert_eq!(blob::value(&&file[..], &key(i), offset, size, compression).unwrap(), value(i));
        for (key, offset, size) in
            [(key(i + 1), offset, size), (key(i), offset + 1, size), (key(i), offset, u64::MAX)]
        {
            blob::value(&&file[..], &key, offset, size, compression).unwrap_err();
        }
        let mut damaged = file.clone();
        damaged[offset as usize] ^= 1;
        let error = blob::value(&&damaged[..], &key(i), offset, size, compression).unwrap_err();
        assert!(error.what.contains("checksum"), "{error}");
    }
}

/// A family whose tables are fixtures, each at its level.
fn family(tables: &[(&str, u32)]) -> Family {
    let live = tables.iter().zip(1..).map(|((name, level), number)| {
        let bytes = fixture(name);
        let all = entries(&Table::open(&bytes[..]).expect("a table"), None).expect("entries");
        let bound = |entry: Option<&Entry>| {
            let (key, sequence, kind, _) = entry.expect("an entry");
            [&key[..], &((sequence << 8) | u64::from(*kind)).to_le_bytes()].concat()
        };
        let [smallest, largest] = [bound(all.first()), bound(all.last())];
        let (size, level) = (bytes.len() as u64, *level);
        let (path_id, sequences, timestamps_stripped) = (0, None, false);
        (
            number,
            LiveTable {
                level,
                number,
                path_id,
                size,
                smallest,
                largest,
                sequences,
                timestamps_stripped,
                field: Vec::new(),
            },
        )
    });
    Family { tables: live.collect(), ..Family::default() }
}

fn visible(tables: &[(&str, u32)]) -> Vec<Result<Visible, MergedError>> {
    let names: Vec<String> = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
    let open = move |live: &LiveTable| -> Result<Box<dyn ReadAt>, String> {
        let name = &names[live.number as usize - 1];
        if name.contains("merges") && live.level > 8 {
            Err("lost".into())
        } else {
            Ok(Box::new(Whole(fixture(name))))
        }
    };
    let open: &Opener<'_> = &open;
    Keys::new(Merged::new(&family(tables), open).expect("a known order")).collect()
}

struct Whole(Vec<u8>);

impl ReadAt for Whole {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.as_slice().read_at(at, buf)
    }
}

#[test]
fn tables_that_overlap_are_read_side_by_side() {
    let all = visible(&[("v6-crc.sst", 6), ("merges.sst", 0), ("v4-lz4-xxh3.sst", 0)]);
    let all: Vec<Visible> = all.into_iter().map(|found| found.expect("sound tables")).collect();
    assert_eq!(all.len(), 120);
    assert!(all.iter().enumerate().all(|(i, found)| found.key == key(i)));
    // The operands are older than some values of the other tables, and newer than others: by sequence number alone.
    let operand = |n: u64| n.to_le_bytes().to_vec();
    assert_eq!(
        all[0].content,
        Content::Merge { operands: [100, 10, 1].map(operand).to_vec(), base: Some(Value::Plain(operand(5))) }
    );
    let base = Some(Value::Plain(value(1)));
    assert_eq!(all[1].content, Content::Merge { operands: [100, 10, 1].map(operand).to_vec(), base });
    assert_eq!(all[3].content, Content::Deleted);
    assert_eq!(all[7].content, Content::Value(Value::Plain(value(7))));
    assert_eq!(all[13].content, Content::Deleted);
}

#[test]
fn range_deletions_hide_what_is_older_in_all_tables() {
    let all = visible(&[("v6-crc.sst", 6), ("ranges.sst", 0)]);
    assert_eq!(all.len(), 120);
    for (i, found) in all.into_iter().enumerate() {
        let gone = (40..70).contains(&i) || i % 10 == 3;
        assert_eq!(found.expect("sound").content == Content::Deleted, gone, "{i}");
    }
}

#[test]
fn a_table_that_cannot_be_read_is_named_and_the_others_count() {
    let all = visible(&[("v6-crc.sst", 6), ("merges.sst", 9), ("ranges.sst", 6)]);
    let errors: Vec<String> =
        all.iter().filter_map(|found| Some(found.as_ref().err()?.to_string())).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("table 2: ") && errors[0].contains("lost"), "{errors:?}");
    assert!(errors[1].contains("table 3: ") && errors[1].contains("overlaps"), "{errors:?}");
    assert_eq!(all.iter().filter(|found| found.is_ok()).count(), 120);
}

#[test]
fn a_range_is_cut_to_the_bounds_of_its_table() {
    let at = |key: &[u8], sequence: u64, kind: u8| {
        [key, &((sequence << 8) | u64::from(kind)).to_le_bytes()].concat()
    };
    let whole = RangeDeletion::new(b"b", b"y", 50);
    for (order, key, sequence, covered) in [
        (Order::Bytewise, b"b", 49, true),
        (Order::Bytewise, b"b", 50, false),
        (Order::Bytewise, b"a", 1, false),
        (Order::Bytewise, b"y", 1, false),
        (Order::Reverse, b"c", 1, false),
    ] {
        assert_eq!(whole.covers(order, key, sequence), covered, "{order:?} {key:?} {sequence}");
    }
    let mut cut = whole.clone();
    cut.clip(Order::Bytewise, &at(b"d", 40, 1), &at(b"m", 30, 1));
    for (key, sequence, covered) in [
        (b"c", 1, false),
        (b"d", 41, false),
        (b"d", 40, true),
        (b"m", 30, true),
        (b"m", 29, false),
        (b"n", 1, false),
    ] {
        assert_eq!(cut.covers(Order::Bytewise, key, sequence), covered, "{key:?} {sequence}");
    }
    let mut ended = whole;
    ended.clip(Order::Bytewise, &at(b"a", 40, 1), &at(b"m", SEQUENCE_MAX, kind::RANGE_DELETION));
    assert!(ended.covers(Order::Bytewise, b"b", 1) && !ended.covers(Order::Bytewise, b"m", 1));
}

#[test]
fn a_block_says_where_its_entries_end() {
    let entry = [0, 9, 1, b'k', 1, 1, 0, 0, 0, 0, 0, 0, b'v'];
    let end = |tail: &[u8]| {
        let mut entries = Entries::new([&entry[..], tail].concat(), 7, Layout::Plain)?;
        let found = entries.advance()?;
        assert!(!found || entries.key().len() == 9 && entries.value() == b"v");
        Ok::<bool, TableError>(found && !entries.advance()?)
    };
    let restart = [0, 0, 0, 0];
    assert_eq!(end(&[&restart[..], &[1, 0, 0, 0]].concat()), Ok(true));
    assert_eq!(end(&[&restart[..], &[0, 0xff, 2, 0, 1, 0, 0, 0x80]].concat()), Ok(true));
    assert_eq!(end(&[&restart[..], &[1, 0, 0, 0x20]].concat()), Ok(true));
    for tail in [&[1, 0, 0, 0x10][..], &[1, 0, 0, 0x40], &[99, 0, 0, 0], &[0xff, 0xff, 1, 0, 0, 0x80]] {
        assert_eq!(end(tail).unwrap_err().at, 7);
    }
    // A key that shares more than the one before has.
    let bad = [&[1, 1, 0, b'k'][..], &restart, &[1, 0, 0, 0]].concat();
    assert!(Entries::new(bad, 7, Layout::Plain).unwrap().advance().unwrap_err().what.contains("damaged"));
}

#[test]
fn nothing_grows_beyond_a_block() {
    use flate2::{Compress, Compression, FlushCompress};
    let zeros = vec![0; BLOCK_MAX + 1];
    let mut bomb = Vec::with_capacity(1 << 20);
    let status =
        Compress::new(Compression::best(), true).compress_vec(&zeros, &mut bomb, FlushCompress::Finish);
    assert_eq!(status.unwrap(), flate2::Status::StreamEnd);
    let error = decompress(bomb.clone(), 2, Dialect::LevelDb, &[]).unwrap_err();
    assert!(error.contains("more than"), "{error}");
    // Without its header and the sum behind it, it is RocksDB's.
    let raw = &bomb[2..bomb.len() - 4];
    for claimed in [&[0x80, 0x80, 0x80, 0x20][..], &[5]] {
        let error = decompress([claimed, raw].concat(), 2, Dialect::Prefixed, &[]).unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
    assert!(decompress(raw.to_vec(), 2, Dialect::Early, &[]).unwrap_err().contains("more than"));
    // A zstd frame: no length, a window of 128 KiB, then blocks that repeat one byte.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for _ in 0..600 {
        frame.extend([0x02, 0x00, 0x10, 0x55]);
    }
    frame.extend([0x03, 0x00, 0x10, 0x55]);
    assert!(decompress(frame.clone(), 2, Dialect::LevelDb, &[]).unwrap_err().contains("more than"));
    let error = decompress([&[5][..], &frame].concat(), 7, Dialect::Prefixed, &[]).unwrap_err();
    assert!(error.contains("more than the 5"), "{error}");
    // Lengths that only claim.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    for (kind, dialect) in
        [(1, Dialect::LevelDb), (1, Dialect::Prefixed), (4, Dialect::Prefixed), (7, Dialect::Early)]
    {
        decompress(huge.to_vec(), kind, dialect, &[]).unwrap_err();
    }
    for kind in [3, 6, 0x80, 0xff] {
        assert!(decompress(vec![1, 2], kind, Dialect::Prefixed, &[]).unwrap_err().contains("not understood"));
    }
}

#[test]
fn damage_of_any_kind_ends_in_an_error_or_in_entries() {
    // Multiplication and shifts: the same damage everywhere.
    let mut state = 88_172_645_463_325_252u64;
    let mut random = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % n.max(1)
    };
    for name in
        USUAL.iter().map(|(name, ..)| *name).chain(["merges.sst", "external.sst", "columns.sst", "blobs.sst"])
    {
        let sound = fixture(name);
        let rounds = if name.contains("unchecked") { 1500 } else { 150 };
        for _ in 0..rounds {
            let mut bytes = sound.clone();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                match random(6) {
                    0 => bytes.truncate(at.max(1)),
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, 0x80),
                    3 => bytes[at] ^= 1 << random(8),
                    4 => bytes[at] = 0xff,
                    _ => bytes[at] = random(256) as u8,
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let Ok(table) = Table::open(&bytes[..]) else { continue };
            let Ok(mut iter) = table.iter() else { continue };
            let mut steps = 0;
            while let Some(found) = iter.next() {
                drop(found.map(|item| item.key.len() + item.value.len()));
                steps += 1;
                assert!(steps < 1_000_000, "{name}: it does not end");
            }
        }
    }
}
