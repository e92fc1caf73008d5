//! What is special about this store: tombstones, the empty record that looks like a hole, and hints that leave out what
//! was overwritten. Damage in general is the business of the properties over all formats.

use std::collections::HashSet;

use super::*;
use crate::log::bytes::Reader;
use crate::log::decoder::Decoder;
use crate::log::scan::scan;
use crate::log::surveyor::Surveyor;

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let payload = [key, value].concat();
    let crc = crate::codec::crc32::update(0, &payload);
    let sizes = [crc, key.len() as u32, value.len() as u32].map(u32::to_be_bytes).concat();
    [sizes, payload].concat()
}

fn hint(offset: u32, key: &[u8]) -> Vec<u8> {
    [&(key.len() as u32).to_be_bytes()[..], &offset.to_be_bytes(), key].concat()
}

fn ten() -> Vec<Vec<u8>> {
    (0..10).map(|i| record(format!("key{i}").as_bytes(), b"value")).collect()
}

struct Read {
    surveys: Vec<Survey>,
    codes: Vec<Code>,
    outcome: Outcome,
    keys: usize,
}

/// `named` are in the order of the log.
fn read(named: &[(&str, Vec<u8>)]) -> Read {
    let slices: Vec<&[u8]> = named.iter().map(|(_, bytes)| &bytes[..]).collect();
    let files: Vec<LogFile<'_>> = named
        .iter()
        .zip(&slices)
        .map(|((name, _), src)| LogFile {
            name,
            claim: BitcaskLog.claim(name).expect("claimed"),
            src,
            memo: None,
            stream: false,
        })
        .collect();
    let mut surveys: Vec<Survey> = (0..files.len())
        .map(|i| {
            let Opened { mut decoder, rules } = BitcaskLog.open(&files, i, None);
            let mut surveyor = Surveyor::new(rules);
            scan(&mut Reader::new(files[i].src), &mut *decoder as &mut dyn Decoder, 0, &mut surveyor);
            surveyor.finish()
        })
        .collect();
    let codes = BitcaskLog.inspect(&files, &mut surveys, None).iter().map(|r| r.code).collect();
    let views: Vec<&Survey> = surveys.iter().collect();
    let outcome = BitcaskLog.engine(
        &Job { files: &files, surveys: &views, revision: None, engine: None, mode: None, until: None },
        None,
    );
    let mut index = HashSet::new();
    engine::index(
        &files,
        Some(&mut |t| {
            let key = named[t.key.file].1[t.key.span.start as usize..t.key.span.end as usize].to_vec();
            if t.value.is_some() {
                index.insert(key);
            } else {
                index.remove(&key);
            }
        }),
    );
    Read { surveys, codes, outcome, keys: index.len() }
}

#[test]
fn an_empty_value_is_a_value_and_a_tombstone_is_none() {
    let bytes = record(b"k", b"");
    let entry = BitcaskLog.entry(Role::Log, None, &bytes, None);
    assert_eq!((entry.op, entry.key, entry.value), ("PUT", Some(&b"k"[..]), Some(&b""[..])));
    let bytes = record(b"k", TOMBSTONE);
    assert_eq!(BitcaskLog.entry(Role::Log, None, &bytes, None).op, "DELETE");
    let all = read(&[("segment_000000.dat", [ten().concat(), bytes, record(b"key3", TOMBSTONE)].concat())]);
    assert_eq!((all.surveys[0].counts(), all.outcome.records, all.keys), ((12, 0, 0), 12, 9));
}

#[test]
fn one_header_of_zeros_between_records_is_a_record_and_more_are_a_hole() {
    let empty = record(b"", b"");
    assert_eq!(empty, [0; 12]);
    let around = |zeros: usize| [ten().concat(), vec![0; zeros], ten().concat()].concat();
    let counts = |bytes: Vec<u8>| read(&[("segment_000000.dat", bytes)]).surveys[0].counts();
    assert_eq!(counts(around(12)), (21, 0, 0));
    for zeros in [1, 11, 13, 24, 36, 100, 4096] {
        assert_eq!(counts(around(zeros)), (10, 10, 0), "{zeros}");
    }
    assert_eq!(counts([ten().concat(), empty].concat()), (10, 0, 0));
}

#[test]
fn a_border_moved_between_key_and_value_cannot_be_seen() {
    let mut bytes = ten().concat();
    bytes[7] -= 1;
    bytes[11] += 1;
    assert_eq!(read(&[("segment_000000.dat", bytes)]).surveys[0].counts(), (10, 0, 0));
}

#[test]
fn a_swallowed_neighbour_is_found_behind_an_embedded_record() {
    let inner = [&b"pre"[..], &record(b"inner", b"value"), b"post"].concat();
    let (outer, next) = (record(b"outer", &inner), record(b"next", b"value"));
    let mut bytes = [outer.clone(), next.clone(), ten().concat()].concat();
    assert_eq!(read(&[("segment_000000.dat", bytes.clone())]).surveys[0].counts(), (12, 0, 0));
    bytes[11] += next.len() as u8;
    let survey = &read(&[("segment_000000.dat", bytes.clone())]).surveys[0];
    assert_eq!(survey.counts(), (0, 11, 1), "{:#?}", survey.regions);
    // A wrong byte in the contents instead: the record inside stays contents.
    bytes[11] -= next.len() as u8;
    bytes[outer.len() - 1] ^= 1;
    let survey = &read(&[("segment_000000.dat", bytes)]).surveys[0];
    assert_eq!((survey.counts(), &survey.embedded[..]), ((0, 11, 0), &[20][..]));
}

#[test]
fn a_hint_may_leave_out_what_was_overwritten_and_nothing_else() {
    let records = ten();
    let len = records[0].len() as u32;
    let entries =
        |n: u32| (0..n).flat_map(|i| hint(i * len, format!("key{i}").as_bytes())).collect::<Vec<u8>>();
    let segment = |n: usize| (["segment_000000.dat", "segment_000001.dat"][n], records.concat());
    let hint_of_0 = |bytes| ("segment_000000.hint", bytes);

    let whole = read(&[segment(0), hint_of_0(entries(10)), segment(1)]);
    assert_eq!((whole.codes, whole.outcome.records, whole.keys), (vec![], 20, 10));
    let overwritten = read(&[segment(0), hint_of_0(entries(4)), segment(1)]);
    assert_eq!((overwritten.codes, overwritten.outcome.records), (vec![], 20));

    let other = ("segment_000001.dat", record(b"other", b"value"));
    let lost = read(&[segment(0), hint_of_0(entries(4)), other.clone()]);
    assert_eq!((lost.codes, lost.outcome.records, lost.keys), (vec![Code::StaleHint], 5, 5));
    let mut torn = entries(4);
    torn.truncate(torn.len() - 1);
    let torn = read(&[segment(0), hint_of_0(torn), other]);
    assert_eq!((torn.codes, torn.outcome.opens, torn.keys), (vec![Code::StaleHint; 2], true, 4));

    let active = read(&[segment(0), hint_of_0(entries(8))]);
    assert_eq!((active.codes, active.keys), (vec![Code::StaleHint, Code::ActiveHint], 8));
}

#[test]
fn a_segment_without_number_keeps_the_store_shut() {
    let stray = read(&[("segment_000000.dat", ten().concat()), ("segment_x.dat", ten().concat())]);
    assert_eq!((stray.codes, stray.outcome.opens), (vec![Code::ForeignFile], false));
    assert!(stray.outcome.error.is_some_and(|e| e.starts_with("ValueError: invalid literal for int()")));
    assert_eq!(BitcaskLog.claim("segment_1.log"), None);
    assert!(BitcaskLog.claim("segment_000007.hint").is_some_and(|c| c.role == Role::Hint && c.exact));
}
