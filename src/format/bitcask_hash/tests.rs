//! What is special about this store: revisions, times, hints and names. Damage in general is the business of the
//! properties over all formats.

use std::collections::HashSet;

use super::*;
use crate::format::chain::Framing;
use crate::log::decoder::Decoder;
use crate::log::scan::scan;
use crate::log::surveyor::Surveyor;

const NOW: f64 = 1.78e9;

fn record(r1: bool, time: f64, key: &str, value: &str) -> Vec<u8> {
    let payload = [key.as_bytes(), value.as_bytes()].concat();
    let mut out = Vec::new();
    if !r1 {
        out.extend(crate::codec::crc32::update(0, &payload).to_le_bytes());
    }
    out.extend(time.to_le_bytes());
    out.extend((key.len() as u32).to_le_bytes());
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(payload);
    out
}

fn hint(file: u32, offset: u64, size: u32, time: f64, key: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(file.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(time.to_le_bytes());
    out.extend((key.len() as u32).to_le_bytes());
    out.extend(key.as_bytes());
    out
}

/// Ten records of 40 bytes and more, a second apart.
fn ten(r1: bool) -> Vec<Vec<u8>> {
    (0..10).map(|i| record(r1, NOW + f64::from(i), &format!("key{i}"), "sixteen bytes it")).collect()
}

struct Store {
    files: Vec<(String, Vec<u8>)>,
}

impl Store {
    fn new(files: &[(&str, Vec<u8>)]) -> Store {
        let mut files: Vec<_> = files.iter().map(|(n, b)| ((*n).to_owned(), b.clone())).collect();
        files.sort_by_key(|(name, _)| (BitcaskHash.claim(name).expect("claimed").order, name.clone()));
        Store { files }
    }

    /// Revision as told or named, surveys after inspection, remarks, outcome, keys in the engine's index.
    fn read(&self, named: Option<&'static str>) -> (Revision, Vec<Survey>, Vec<Remark>, Outcome, usize) {
        let slices: Vec<&[u8]> = self.files.iter().map(|(_, bytes)| &bytes[..]).collect();
        let files: Vec<LogFile<'_>> = self
            .files
            .iter()
            .zip(&slices)
            .map(|((name, _), src)| LogFile {
                name,
                claim: BitcaskHash.claim(name).expect("claimed"),
                src,
                memo: None,
                stream: false,
            })
            .collect();
        let told = BitcaskHash.revision(&files);
        let revision = named.or(told.name);
        let mut surveys: Vec<Survey> = (0..files.len())
            .map(|i| {
                let Opened { mut decoder, rules } = BitcaskHash.open(&files, i, revision);
                let mut surveyor = Surveyor::new(rules);
                scan(&mut Reader::new(files[i].src), &mut *decoder as &mut dyn Decoder, 0, &mut surveyor);
                surveyor.finish()
            })
            .collect();
        let remarks = BitcaskHash.inspect(&files, &mut surveys, revision);
        let views: Vec<&Survey> = surveys.iter().collect();
        let outcome = BitcaskHash.engine(
            &Job { files: &files, surveys: &views, revision, engine: None, mode: None, until: None },
            None,
        );
        let mut index = HashSet::new();
        engine::index(
            &files,
            is_r1(revision),
            Some(&mut |t| {
                let key =
                    self.files[t.key.file].1[t.key.span.start as usize..t.key.span.end as usize].to_vec();
                if t.value.is_some() {
                    index.insert(key);
                } else {
                    index.remove(&key);
                }
            }),
        );
        (told, surveys, remarks, outcome, index.len())
    }
}

fn codes(remarks: &[Remark]) -> Vec<Code> {
    remarks.iter().map(|r| r.code).collect()
}

#[test]
fn the_revision_is_told_by_checksums_or_the_lack_of_them() {
    for (r1, name) in [(true, "r1"), (false, "r2")] {
        let store = Store::new(&[("0.data", ten(r1).concat())]);
        let (told, surveys, remarks, outcome, keys) = store.read(None);
        assert_eq!(told.name, Some(name));
        assert_eq!(surveys[0].counts(), (10, 0, 0));
        assert_eq!((codes(&remarks), outcome.records, keys), (vec![], 10, 10));
        let hurt = [vec![0xee; 100_000], ten(r1).concat()].concat();
        assert_eq!(Store::new(&[("0.data", hurt)]).read(None).0.name, Some(name), "damage at the start");
    }
}

#[test]
fn the_other_revision_behind_this_one_is_named() {
    let mixed = [ten(true).concat(), ten(false).concat()].concat();
    let (told, _, remarks, ..) = Store::new(&[("0.data", [ten(true).concat(), mixed].concat())]).read(None);
    assert_eq!((told.name, codes(&remarks)), (Some("r1"), vec![Code::RevisionMismatch]));
    for (r1, wrong) in [(true, "r2"), (false, "r1")] {
        let (_, _, remarks, ..) = Store::new(&[("0.data", ten(r1).concat())]).read(Some(wrong));
        assert_eq!(codes(&remarks), [Code::RevisionMismatch], "named {wrong}");
    }
}

#[test]
fn a_size_that_swallows_the_next_record_is_put_right() {
    let size = LAYOUT_R2.offset("value_size") as usize;
    let mut bytes = ten(false).concat();
    let len = ten(false)[0].len();
    bytes[2 * len + size] += len as u8;
    let survey = &Store::new(&[("0.data", bytes)]).read(None).1[0];
    assert_eq!(survey.counts(), (2, 7, 1));
    let fix = survey.regions.find(2 * len as u64).and_then(|r| r.fix);
    assert_eq!(fix, Some(Fix { field: "value_size", found: 16 + len as u64, inferred: 16 }));
}

#[test]
fn a_wrong_key_size_is_told_from_a_wrong_value_size_by_fewer_bits() {
    let size = LAYOUT_R2.offset("key_size") as usize;
    let len = ten(false)[0].len();
    let mut bytes = ten(false).concat();
    bytes[2 * len + size + 1] = 0x10;
    let survey = &Store::new(&[("0.data", bytes)]).read(None).1[0];
    assert_eq!(survey.counts(), (2, 7, 1));
    let fix = survey.regions.find(2 * len as u64).and_then(|r| r.fix);
    assert_eq!(fix, Some(Fix { field: "key_size", found: 0x1004, inferred: 4 }));
}

#[test]
fn without_checksums_a_wrong_size_costs_its_record_only() {
    let size = LAYOUT_R1.offset("value_size") as usize;
    let len = ten(true)[0].len();
    for (byte, bit) in [(0, 4), (0, 5), (1, 0), (3, 7)] {
        let mut bytes = ten(true).concat();
        bytes[2 * len + size + byte] ^= 1 << bit;
        let survey = &Store::new(&[("0.data", bytes)]).read(None).1[0];
        assert_eq!(survey.counts(), (2, 7, 0), "byte {byte} bit {bit}: {:#?}", survey.regions);
        assert_eq!(survey.regions.first_bad(), Some(2 * len as u64));
    }
}

#[test]
fn zeros_are_no_deletions() {
    let len = ten(false)[0].len();
    for zeros in [1, 19, 20, 21, 40, 1000] {
        let bytes =
            [ten(false)[..3].concat(), vec![0; zeros], ten(false)[3..].concat(), vec![0; zeros]].concat();
        let survey = &Store::new(&[("0.data", bytes)]).read(None).1[0];
        assert_eq!(survey.counts(), (3, 7, 0), "{zeros}");
        assert_eq!(survey.regions.first_bad(), Some(3 * len as u64));
    }
}

#[test]
fn a_lone_time_is_wrong_unless_the_store_spans_it() {
    const YEAR: f64 = 365.25 * 86_400.0;
    let lone = |at: usize, time: f64| {
        let mut records = ten(false);
        records[at] = record(false, time, "odd", "value");
        records.concat()
    };
    for (at, time) in [(5, NOW - YEAR), (5, NOW + YEAR), (0, NOW + YEAR), (9, NOW - YEAR), (9, 1e18)] {
        let survey = &Store::new(&[("0.data", lone(at, time))]).read(None).1[0];
        assert_eq!(survey.counts().2, 1, "record {at} at {time}");
    }
    let later = record(false, NOW + 2.0 * YEAR, "k", "v");
    let spanned = Store::new(&[("0.data", lone(5, NOW + YEAR)), ("1.data", later)]);
    assert_eq!(spanned.read(None).1[0].counts(), (10, 0, 0), "a compaction may have put it there");
}

#[test]
fn hints_are_compared_entry_by_entry() {
    let records = ten(false);
    let len = records[0].len() as u32;
    let entry = |i: u32| hint(0, u64::from(i * len), len, NOW + f64::from(i), &format!("key{i}"));
    let good: Vec<Vec<u8>> = (0..10).map(entry).collect();
    let newer = ("1.data", record(false, NOW + 20.0, "other", "value"));
    let read = |hint: Vec<u8>| {
        let store = Store::new(&[("0.data", records.concat()), ("0.hint", hint), newer.clone()]);
        let (_, _, remarks, outcome, keys) = store.read(None);
        (remarks, outcome, keys)
    };
    let (remarks, outcome, keys) = read(good.concat());
    assert_eq!((codes(&remarks), outcome.records, keys), (vec![], 11, 11));

    let wrong = [
        (hint(0, 3, len, NOW + 2.0, "key2"), "where no record starts", 10),
        (hint(0, 1 << 40, len, NOW + 2.0, "key2"), "behind its end", 10),
        (hint(0, u64::from(3 * len), len, NOW + 2.0, "key2"), "another key", 10),
        (hint(0, u64::from(2 * len), 7, NOW + 2.0, "key2"), "another size", 11),
        (hint(0, u64::from(2 * len), len, NOW + 3.0, "key2"), "another timestamp", 11),
        (hint(7, u64::from(2 * len), len, NOW + 2.0, "key2"), "which does not exist", 10),
        (hint(1, u64::from(2 * len), len, NOW + 2.0, "key2"), "not its own", 10),
    ];
    for (bad, says, kept) in wrong {
        let mut entries = good.clone();
        entries[2] = bad;
        let (remarks, outcome, _) = read(entries.concat());
        assert!(remarks.iter().any(|r| r.message.contains(says)), "{says}: {remarks:#?}");
        assert!(remarks.iter().all(|r| r.code == Code::StaleHint));
        assert_eq!(outcome.records, kept, "{says}");
    }
}

#[test]
fn a_hint_hides_what_was_written_behind_it_unless_it_was_written_again() {
    let records = ten(false);
    let len = records[0].len() as u32;
    let hint: Vec<u8> = (0..8)
        .flat_map(|i: u32| hint(0, u64::from(i * len), len, NOW + f64::from(i), &format!("key{i}")))
        .collect();
    let files = [("0.data", records.concat()), ("0.hint", hint)];
    let (_, _, remarks, outcome, keys) = Store::new(&files).read(None);
    assert_eq!(codes(&remarks), [Code::StaleHint, Code::ActiveHint]);
    assert_eq!((remarks[0].at, outcome.records, keys), (u64::from(8 * len), 8, 8));
    assert_eq!(
        outcome.halts,
        [crate::format::Halt { file: 0, at: u64::from(8 * len), for_good: false, to: u64::MAX }]
    );

    let again = [record(false, NOW + 20.0, "key8", "new"), record(false, NOW + 21.0, "key9", "")].concat();
    let (_, _, remarks, ..) = Store::new(&[files[0].clone(), files[1].clone(), ("1.data", again)]).read(None);
    assert_eq!(codes(&remarks), []);
}

#[test]
fn a_hint_that_is_cut_off_keeps_the_store_shut() {
    let whole = hint(0, 0, ten(false)[0].len() as u32, NOW, "key0");
    for cut in 1..whole.len() {
        let store = Store::new(&[("0.data", ten(false).concat()), ("0.hint", whole[..cut].to_vec())]);
        let (_, _, remarks, outcome, _) = store.read(None);
        assert_eq!(outcome.opens, cut >= 28, "{cut} bytes: a cut key is believed");
        assert!(codes(&remarks).contains(&Code::StaleHint));
    }
    let (_, _, remarks, outcome, keys) =
        Store::new(&[("0.data", ten(false).concat()), ("0.hint", Vec::new())]).read(None);
    assert_eq!((outcome.opens, outcome.records, keys), (true, 0, 0));
    assert!(codes(&remarks).contains(&Code::StaleHint));
}

#[test]
fn names_that_the_engine_stumbles_over_are_noted() {
    let data = ten(false).concat();
    for (name, opens) in [("x.data", false), ("007.data", false), ("18446744073709551616.data", true)] {
        let (_, surveys, remarks, outcome, _) =
            Store::new(&[("0.data", data.clone()), (name, data.clone())]).read(None);
        assert_eq!(outcome.opens, opens, "{name}");
        assert_eq!(codes(&remarks).contains(&Code::ForeignFile), !opens, "{name}");
        assert_eq!(surveys[1].counts(), (10, 0, 0), "read all the same");
    }
    let gone =
        Store::new(&[("1.hint", hint(1, 0, 40, NOW, "k")), ("0.data", data.clone()), ("3.data", data)]);
    assert_eq!(codes(&gone.read(None).2), [Code::MissingNumber, Code::StaleHint]);
    assert_eq!(BitcaskHash.claim("x.hint"), None);
    assert_eq!(BitcaskHash.claim(".data"), None);
}

#[test]
fn lengths_of_gigabytes_are_not_believed() {
    let mut bytes = ten(false).concat();
    let size = LAYOUT_R2.offset("key_size") as usize;
    bytes[size..size + 8].fill(0xff);
    let survey = &Store::new(&[("0.data", bytes)]).read(None).1[0];
    assert_eq!(survey.counts(), (0, 9, 0));
    let mut b = crate::log::bytes::Window::whole(&[0xff; 20]);
    assert!(Records::<R2>::new().frame(&mut b, 0).is_err());
}

#[test]
fn entries_show_key_value_and_time() {
    let bytes = record(false, NOW, "k", "v");
    let entry = BitcaskHash.entry(Role::Log, None, &bytes, None);
    assert_eq!((entry.op, entry.key, entry.value), ("PUT", Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(entry.time, Some(NOW.to_bits()));
    let bytes = record(true, NOW, "k", "");
    let entry = BitcaskHash.entry(Role::Log, Some("r1"), &bytes, None);
    assert_eq!((entry.op, entry.key, entry.value), ("DELETE", Some(&b"k"[..]), None));
    let bytes = hint(0, 0, 40, NOW, "k");
    let entry = BitcaskHash.entry(Role::Hint, None, &bytes, None);
    assert_eq!((entry.op, entry.key, entry.time), ("HINT", Some(&b"k"[..]), Some(NOW.to_bits())));
}
