//! Damage that the shared properties do not make: lengths that still lead to a record, logs inside values, footers.

use super::DdiaLsm;
use crate::codec::crc32;
use crate::format::{Format, Job, LogFile, Remark, Role};
use crate::log::bytes::Reader;
use crate::log::finding::Code;
use crate::log::region::Kind;
use crate::log::scan::scan;
use crate::log::survey::Survey;
use crate::log::surveyor::Surveyor;

fn plain(key: &str, value: &[u8]) -> Vec<u8> {
    let lens = [key.len(), value.len()].map(|len| u32::try_from(len).unwrap_or(0).to_be_bytes());
    [&lens[0][..], key.as_bytes(), &lens[1], value].concat()
}

fn summed(key: &str, value: &[u8]) -> Vec<u8> {
    let plain = plain(key, value);
    [&crc32::update(0, &plain).to_be_bytes()[..], &plain].concat()
}

fn table(entries: &[(&str, &str)]) -> Vec<u8> {
    let (mut out, mut index) = (Vec::new(), Vec::new());
    for (i, (key, value)) in entries.iter().enumerate() {
        if i % 2 == 0 {
            index.extend(u32::try_from(key.len()).unwrap_or(0).to_be_bytes());
            index.extend(key.as_bytes());
            index.extend((out.len() as u64).to_be_bytes());
        }
        out.extend(plain(key, value.as_bytes()));
    }
    let footer = (out.len() as u64).to_be_bytes();
    [out, index, footer.to_vec(), (entries.len() as u32).div_ceil(2).to_be_bytes().to_vec()].concat()
}

fn read(name: &str, bytes: &[u8], revision: &str) -> (Survey, Vec<Remark>) {
    let claim = DdiaLsm.claim(name).expect("a name of the format");
    let files = [LogFile { name, claim, src: &bytes, memo: None, stream: false }];
    let mut opened = DdiaLsm.open(&files, 0, Some(revision));
    let mut surveyor = Surveyor::new(opened.rules);
    scan(&mut Reader::new(&bytes), &mut *opened.decoder, 0, &mut surveyor);
    let mut surveys = [surveyor.finish()];
    let remarks = DdiaLsm.inspect(&files, &mut surveys, Some(revision));
    let [survey] = surveys;
    assert_eq!(survey.regions.end(), bytes.len() as u64);
    (survey, remarks)
}

fn log(revision: &str, records: &[Vec<u8>]) -> Survey {
    read("wal.log", &records.concat(), revision).0
}

fn codes(remarks: &[Remark]) -> Vec<Code> {
    remarks.iter().map(|r| r.code).collect()
}

const ENTRIES: [(&str, &str); 6] =
    [("a1", "one"), ("b2", "two"), ("c3", ""), ("d4", "four"), ("e5", "five"), ("f6", "six")];

#[test]
fn a_length_that_swallows_the_next_record_is_put_right() {
    let next = summed("next", b"value");
    let mut long = summed("key", b"text");
    let grown = 4 + u8::try_from(next.len()).expect("short");
    long[14] = grown;
    let survey = log("r2", &[summed("a", b"1"), long, next, summed("b", b"2")]);
    assert_eq!(survey.counts(), (1, 2, 1));
    let fix = survey.regions.as_slice()[1].fix.expect("a length put right");
    assert_eq!((fix.field, fix.found, fix.inferred), ("val_len", u64::from(grown), 4));
}

#[test]
fn a_log_inside_a_value_is_part_of_it() {
    let inner = [summed("x", b"1"), summed("y", b"2")].concat();
    let mut outer = summed("outer", &inner);
    let value = outer.len() - inner.len();
    outer[value - 1] ^= 0x40;
    let survey = log("r2", &[summed("a", b"1"), outer.clone(), summed("b", b"2")]);
    assert_eq!(survey.counts(), (1, 1, 1), "a wrong length");
    outer[value - 1] ^= 0x40;
    outer[8] ^= 1;
    let survey = log("r2", &[summed("a", b"1"), outer, summed("b", b"2")]);
    assert_eq!((survey.counts(), survey.embedded.len()), ((1, 1, 0), 1), "a wrong key");
}

#[test]
fn without_checksum_the_chain_does_not_go_on_with_values_for_keys() {
    let records: Vec<_> = (0..20).map(|i| plain(&format!("k{i:03}"), b"some text")).collect();
    for bit in 0..8 {
        let mut damaged = records.clone();
        damaged[9][11] ^= 1 << bit;
        assert_eq!(log("r1", &damaged).counts(), (9, 10, 0), "bit {bit}");
    }
}

#[test]
fn one_blank_record_is_a_deletion_and_more_are_a_hole() {
    let (a, b, blank) = (plain("a", b"1"), plain("b", b"2"), plain("", b""));
    assert_eq!(log("r1", &[a.clone(), blank.clone(), b.clone()]).counts(), (3, 0, 0));
    let survey = log("r1", &[a.clone(), blank.clone(), blank.clone(), b]);
    assert_eq!((survey.counts(), survey.regions.first_bad()), ((1, 1, 0), Some(10)));
    assert_eq!(log("r1", &[a, blank]).regions.first_bad(), Some(10));
    assert_eq!(log("r2", &[summed("a", b"1"), vec![0; 12]]).regions.first_bad(), Some(14));
}

#[test]
fn a_revision_that_the_bytes_contradict_is_named() {
    let bytes = [summed("a", b"1"), summed("b", b"2")].concat();
    assert_eq!(codes(&read("wal.log", &bytes, "r1").1), [Code::RevisionMismatch]);
    assert!(read("wal.log", &bytes, "r2").1.is_empty());
    let both = [plain("a", b"1"), plain("b", b"2"), plain("c", b"3"), summed("d", b"4")].concat();
    assert_eq!(codes(&read("wal.log", &both, "r1").1), [Code::RevisionMismatch]);
}

#[test]
fn tables_too_short_for_a_footer_are_told() {
    for len in [0, 5, 11] {
        let (survey, remarks) = read("sst_000001.sst", &vec![0; len], "r2");
        assert_eq!((survey.counts(), codes(&remarks)), ((0, 0, 0), vec![Code::TableWithoutFooter]));
    }
    let (survey, remarks) = read("sst_000001.sst", &table(&[]), "r2");
    assert_eq!((survey.regions.first_bad(), remarks.len()), (None, 0));
}

#[test]
fn a_table_without_footer_is_read_by_its_order() {
    let bytes = table(&ENTRIES);
    let index = ENTRIES.iter().map(|(k, v)| 8 + k.len() + v.len()).sum::<usize>();
    for cut in index + 1..bytes.len() {
        let (survey, remarks) = read("sst_000001.sst", &bytes[..cut], "r2");
        assert_eq!(survey.counts(), (6, 0, 0), "cut at {cut}");
        assert_eq!(survey.regions.first_bad(), Some(index as u64));
        assert_eq!(survey.regions.as_slice()[1].kind, Kind::Torn, "cut at {cut}");
        assert_eq!(codes(&remarks), [Code::TableWithoutFooter]);
    }
    let mut zeroed = bytes;
    let footer = zeroed.len() - 12;
    zeroed[footer..].fill(0);
    let (survey, _) = read("sst_000001.sst", &zeroed, "r2");
    assert_eq!((survey.counts(), survey.regions.first_bad()), ((6, 0, 0), Some(index as u64)));
    assert_eq!(survey.regions.as_slice()[1].kind, Kind::Damage);
}

#[test]
fn the_index_tells_where_entries_stand() {
    let mut bytes = table(&ENTRIES);
    // The second entry comes to reach exactly over the third.
    bytes[13 + 9] += 10;
    let (survey, _) = read("sst_000001.sst", &bytes, "r2");
    assert_eq!(survey.counts(), (1, 4, 0));
    let mut bytes = table(&ENTRIES);
    let offset = bytes.len() - 12 - 1;
    bytes[offset] ^= 1;
    let (survey, remarks) = read("sst_000001.sst", &bytes, "r2");
    assert_eq!((survey.counts(), codes(&remarks)), ((6, 0, 0), vec![Code::TableIndexMismatch]));
    assert!(survey.regions.first_bad().is_some());
}

#[test]
fn the_engine_decodes_keys_before_it_looks_at_the_checksum() {
    let replay = |bytes: &[u8], sum: bool| {
        let claim = DdiaLsm.claim("wal.log").expect("the log");
        let files = [LogFile { name: "wal.log", claim, src: &bytes, memo: None, stream: false }];
        let revision = Some(if sum { "r2" } else { "r1" });
        DdiaLsm.engine(
            &Job { files: &files, surveys: &[], revision, engine: None, mode: None, until: None },
            None,
        )
    };
    let mut bad = summed("key", b"text");
    bad[9] = 0xff;
    let bytes = [summed("a", b"1"), bad].concat();
    let error = "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte";
    assert_eq!(replay(&bytes, true).error.as_deref(), Some(error));
    assert_eq!(replay(&[0; 64], false).records, 8);
    assert_eq!(replay(&[0; 64], true).records, 0);
}

#[test]
fn the_engine_believes_every_footer() {
    let outcome = |bytes: &[u8]| {
        let claim = DdiaLsm.claim("sst_000000.sst").expect("a table");
        assert_eq!(claim.role, Role::Table);
        let files = [LogFile { name: "sst_000000.sst", claim, src: &bytes, memo: None, stream: false }];
        DdiaLsm.engine(
            &Job { files: &files, surveys: &[], revision: Some("r2"), engine: None, mode: None, until: None },
            None,
        )
    };
    let bytes = table(&ENTRIES);
    assert_eq!(outcome(&bytes).records, 6);
    assert_eq!(outcome(&bytes[..11]).error.as_deref(), Some("OSError: [Errno 22] Invalid argument"));
    let mut past = bytes.clone();
    let footer = past.len() - 12;
    past[footer + 5] = 1;
    let error = "struct.error: unpack requires a buffer of 4 bytes";
    assert_eq!(outcome(&past).error.as_deref(), Some(error));
    let mut early = bytes;
    early[footer..].fill(0);
    assert_eq!((outcome(&early).opens, outcome(&early).records), (true, 0));
}

/// Two records, one whose empty value was swallowed by its key, and some behind it: from there on values are read as keys,
/// and the file seems to end behind a key.
#[test]
fn a_shift_is_traced_to_the_length_that_made_it() {
    let mut long = plain("k2-abcd", b"");
    long[3] += 4;
    let pairs = [("k3-e", "some"), ("k4-fghijklm", "x"), ("k5-nopq", "value")];
    let behind: Vec<_> = pairs.iter().map(|(k, v)| plain(k, v.as_bytes())).collect();
    for records in 1..=behind.len() {
        let parts =
            [&[plain("k0-aaaa", b"val"), plain("k1-bbbb", b"v"), long.clone()], &behind[..records]].concat();
        let survey = log("r1", &parts);
        assert_eq!(survey.counts(), (2, records as u64, 0), "{records} behind: {:#?}", survey.regions);
    }
}

#[test]
fn a_log_cut_behind_a_key_is_torn_and_not_shifted() {
    let whole: Vec<_> = (0..6).map(|i| plain(&format!("k{i}-key"), b"value")).collect();
    let mut bytes = whole.concat();
    bytes.extend(&plain("k6-key", b"value")[..10]);
    let (survey, _) = read("wal.log", &bytes, "r1");
    assert_eq!(survey.counts(), (6, 0, 0));
    assert_eq!(survey.regions.as_slice().last().map(|r| r.kind), Some(Kind::Torn));
}

/// A damaged key length that leads into the value of a later record: what lies inside such a key is no contents.
#[test]
fn records_inside_a_key_were_swallowed() {
    let behind: Vec<_> = (0..5).map(|i| plain(&format!("k{i}-key"), b"value")).collect();
    let mut broken = plain("b", b"\xff\xff\xff");
    broken[4] = 0xff;
    // The key now reaches to the length of the value of the second record behind.
    broken[3] = u8::try_from(broken.len() + behind[0].len() + 10 - 4).expect("short");
    let survey = log("r1", &[&[plain("a", b"1"), broken][..], &behind].concat());
    assert_eq!(survey.counts(), (1, 5, 0), "{:#?}", survey.regions);
}

/// Zeros over an entry that the index names end in the key of the next one, whose bytes then lead to the next anchor, but
/// with a key that is greater than its own.
#[test]
fn entries_whose_keys_exceed_the_next_anchor_are_none() {
    let value = format!("{}\0\0\0\u{2}ok", "y".repeat(38));
    let mut entries = ["a", "b", "c", "d-xxx", "e", "f", "g", "h"].map(|key| (key, "zzzz"));
    entries[3].1 = &value;
    let mut bytes = table(&entries);
    let dash = bytes.iter().position(|&b| b == b'-').expect("in a key");
    bytes[2 * plain("a", b"zzzz").len() + 4..dash].fill(0);
    let (survey, _) = read("sst_000001.sst", &bytes, "r2");
    let (before, after, _) = survey.counts();
    assert_eq!((before, after), (2, 4), "{:#?}", survey.regions);
}

/// A wrong length over a value that holds a log: the checksum tells which of its records is the last one inside.
#[test]
fn a_length_before_an_embedded_log_is_put_right() {
    for inner in [1, 2, 31] {
        let value: Vec<u8> = (0..inner).flat_map(|i| summed(&format!("in{i}"), b"side")).collect();
        let outer = summed("outer", &value);
        for (byte, bit) in [(7, 1), (7, 4), (15, 0), (16, 5), (16, 1)] {
            let mut wrong = outer.clone();
            wrong[byte] ^= 1 << bit;
            let survey = log("r2", &[summed("a", b"1"), wrong, summed("b", b"2"), summed("c", b"3")]);
            assert_eq!(survey.counts(), (1, 2, 1), "{inner} inside, byte {byte}: {:#?}", survey.regions);
        }
    }
}
