//! What is put right in single records, and what is not.

use super::*;
use crate::log::region::Kind;
use crate::log::scan::scan;
use crate::log::survey::Surveyor;

/// A record as the engine writes it.
fn written(seq: u64, op: u8, key: &str, value: &str) -> Vec<u8> {
    let crc = crc32::update(crc32::update(crc32::update(0, &[op]), key.as_bytes()), value.as_bytes());
    let length = (FIXED as usize - 4 + key.len() + value.len()) as u32;
    let mut out = Vec::new();
    out.extend(length.to_le_bytes());
    out.extend(crc.to_le_bytes());
    out.extend(seq.to_le_bytes());
    out.push(op);
    out.extend((key.len() as u32).to_le_bytes());
    out.extend(key.as_bytes());
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(value.as_bytes());
    out
}

fn surveyed(bytes: &[u8]) -> Survey {
    let Opened { mut decoder, rules } = DdiaWal.open(&[], 0, Some("v2"));
    let mut surveyor = Surveyor::new(rules);
    scan(&mut Reader::new(&bytes), &mut *decoder, 0, &mut surveyor);
    surveyor.finish()
}

/// Two single writes, a batch of two, and a single write; the offsets of all records.
fn batch() -> (Vec<u8>, Vec<usize>) {
    let (mut log, mut at) = (Vec::new(), Vec::new());
    let ops =
        [(1, "a", "1"), (2, "b", ""), (5, "", ""), (1, "c", "2"), (1, "d", "3"), (3, "", ""), (1, "e", "4")];
    for (i, (op, key, value)) in ops.into_iter().enumerate() {
        at.push(log.len());
        log.extend(written(i as u64 + 1, op, key, value));
    }
    (log, at)
}

#[test]
fn the_constants_are_the_checksums_of_the_ops() {
    for (op, &crc) in OP_CRC.iter().enumerate() {
        assert_eq!(crc, crc32::update(0, &[op as u8]));
    }
}

#[test]
fn a_wrong_op_is_inferred_from_the_checksum() {
    let (log, at) = batch();
    for (i, &from) in at.iter().enumerate() {
        let truth = log[from + OP as usize];
        for op in (0..=255).filter(|&op| op != truth) {
            let mut log = log.clone();
            log[from + OP as usize] = op;
            let survey = surveyed(&log);
            let region = survey.regions.find(from as u64).expect("tiled");
            let fix = Fix { field: "op", found: op.into(), inferred: truth.into() };
            assert_eq!((region.kind, region.fix), (Kind::Recovered, Some(fix)), "record {i}, op {op}");
            assert_eq!(survey.counts(), (i as u64, 6 - i as u64, 1));
            assert_eq!((survey.begins, survey.commits), (1, 1));
            assert!(survey.batches.is_empty() && survey.open.is_none(), "the batch is whole: {survey:?}");
            let end = at.get(i + 1).map_or(log.len(), |&end| end);
            let name = DdiaWal.entry(Role::Log, None, &log[from..end], region.fix).op;
            assert_eq!(Some(name), OPS.iter().find(|o| o.0 == truth).map(|o| o.1));
        }
    }
}

#[test]
fn an_op_is_not_inferred_where_anything_else_is_wrong() {
    let (log, at) = batch();
    for field in [CRC, KEY] {
        let mut log = log.clone();
        log[at[3] + OP as usize] = 2;
        log[at[3] + field as usize] ^= 1;
        let survey = surveyed(&log);
        assert_eq!(survey.regions.find(at[3] as u64).map(|r| r.kind), Some(Kind::Damage));
    }
}

#[test]
fn two_wrong_numbers_at_the_end_are_put_right() {
    let numbers = |last: [u64; 2]| {
        let log: Vec<u8> = (1..=5).chain(last).flat_map(|seq| written(seq, 1, "key", "value")).collect();
        surveyed(&log)
    };
    for last in [[0, 5_000_000], [1 << 40, 0]] {
        let survey = numbers(last);
        let inferred: Vec<_> =
            survey.regions.as_slice().iter().filter_map(|r| r.fix.map(|f| f.inferred)).collect();
        assert_eq!((inferred, survey.counts()), (vec![6, 7], (5, 0, 2)), "{last:?}");
        assert_eq!((survey.data, survey.recovered_data), (5, 2));
    }
    // Numbers that follow each other show records that are missing.
    assert_eq!(numbers([1 << 40, (1 << 40) + 1]).counts(), (7, 0, 0));
}
