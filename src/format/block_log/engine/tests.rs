//! Small logs of one kind of damage each, and what every mode makes of them.

use super::super::fragment::{BLOCK, put};
use super::super::{LEVELDB, ROCKSDB};
use super::*;
use crate::codec::varint;
use crate::format::Format;

/// A batch that puts a value of `len` bytes under the key that is its number.
fn batch_of(seq: u64, len: usize) -> Vec<u8> {
    let mut batch = [&seq.to_le_bytes()[..], &1u32.to_le_bytes(), &[1]].concat();
    let key = seq.to_string();
    for string in [key.as_bytes(), &vec![b'v'; len]] {
        varint::put(string.len() as u32, &mut batch);
        batch.extend_from_slice(string);
    }
    batch
}

/// A log of these batches, in one fragment each.
fn log(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut log = Vec::new();
    numbers.into_iter().for_each(|seq| put(1, None, &batch_of(seq, 100), &mut log));
    log
}

/// What comes of logs 4, 5, … : batches that are kept, or why the engine does not open.
fn told(flavour: Flavour, logs: &[Vec<u8>], engine: &str, mode: &str) -> Result<u64, String> {
    let names: Vec<String> = (4..).take(logs.len()).map(|n| format!("{n:06}.log")).collect();
    let format = if flavour == Flavour::LevelDb { &LEVELDB } else { &ROCKSDB };
    let sources: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    let files: Vec<LogFile<'_>> = names
        .iter()
        .zip(&sources)
        .map(|(name, bytes)| LogFile {
            name,
            claim: format.claim(name).expect("a log"),
            src: bytes,
            memo: None,
            stream: false,
        })
        .collect();
    let job = Job {
        files: &files,
        surveys: &[],
        revision: None,
        engine: Some(engine),
        mode: Some(mode),
        until: None,
    };
    let outcome = format.engine(&job, None);
    assert_eq!(outcome.opens, outcome.error.is_none());
    outcome.error.map_or(Ok(outcome.records), Err)
}

fn rocks(logs: &[Vec<u8>], engine: &str) -> [Result<u64, String>; 4] {
    ROCKSDB_MODES
        .iter()
        .map(|mode| told(Flavour::RocksDb, logs, engine, mode))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

fn level(logs: &[Vec<u8>]) -> [Result<u64, String>; 2] {
    [0, 1].map(|nth| told(Flavour::LevelDb, logs, "", LEVELDB_MODES[nth]))
}

fn refuses<T>(why: &str) -> Result<T, String> {
    Err(why.into())
}

#[test]
fn damage_costs_the_rest_of_its_block() {
    let mut bytes = Vec::new();
    for seq in 1..=5 {
        put(1, None, &batch_of(seq, 100), &mut bytes);
    }
    let second = bytes.len() / 5;
    let fill = BLOCK as usize - bytes.len() - 7 - batch_of(6, 0).len() - 2;
    put(1, None, &batch_of(6, fill), &mut bytes);
    assert_eq!(bytes.len(), BLOCK as usize);
    bytes.extend(log(7..=8));
    bytes[second + 30] ^= 1;
    let bad = || refuses("Corruption: checksum mismatch");
    assert_eq!(level(std::slice::from_ref(&bytes)), [Ok(3), bad()]);
    for engine in VERSIONS {
        assert_eq!(rocks(std::slice::from_ref(&bytes), engine), [bad(), bad(), Ok(1), Ok(3)]);
    }
}

#[test]
fn zeros_on_a_border_are_not_noticed() {
    let mut bytes = log(1..=5);
    let len = bytes.len() / 5;
    bytes[len..2 * len].fill(0);
    assert_eq!(level(std::slice::from_ref(&bytes)), [Ok(1), Ok(1)]);
    assert_eq!(rocks(&[bytes], "9.8.4"), [Ok(1), Ok(1), Ok(1), Ok(1)]);
}

#[test]
fn a_torn_tail_is_damage_to_two_modes() {
    let bytes = log(1..=5);
    for (cut, why) in [(40, "truncated record body"), (bytes.len() / 5 - 3, "truncated header")] {
        let torn = bytes[..bytes.len() - cut].to_vec();
        let bad = || refuses(&format!("Corruption: {why}"));
        assert_eq!(rocks(&[torn.clone(), log(6..=7)], "7.8.3"), [Ok(6), bad(), Ok(4), Ok(6)]);
        // The next log goes on where this one ends.
        assert_eq!(rocks(&[torn.clone(), log(5..=7)], "7.8.3"), [Ok(7), bad(), Ok(7), Ok(7)]);
        assert_eq!(level(&[torn, log(6..=7)]), [Ok(6), Ok(6)]);
    }
}

#[test]
fn a_type_of_recycled_logs_makes_some_run_for_ever() {
    let mut bytes = log(1..=5);
    let len = bytes.len() / 5;
    bytes[2 * len + 6] = 5;
    let hangs = |told: &Result<u64, String>| told.as_ref().is_err_and(|why| why.starts_with("never returns"));
    let older = rocks(std::slice::from_ref(&bytes), "7.8.3");
    assert_eq!(older[..3], [Ok(2), Ok(2), Ok(2)]);
    assert!(hangs(&older[3]));
    assert!(rocks(&[bytes], "9.8.4").iter().all(hangs));
}

#[test]
fn bad_contents_keep_rocksdb_from_opening() {
    let mut bad = batch_of(2, 10);
    bad[8] = 2;
    let mut bytes = log([1]);
    put(1, None, &bad, &mut bytes);
    bytes.extend(log([3]));
    let why = "Corruption: WriteBatch has wrong count";
    assert_eq!(rocks(std::slice::from_ref(&bytes), "7.8.3"), [0; 4].map(|_| refuses(why)));
    assert_eq!(level(&[bytes]), [Ok(3), refuses(why)]);
    let mut bytes = log([1]);
    put(1, None, b"short", &mut bytes);
    bytes.extend(log([2]));
    let why = || refuses("Corruption: log record too small");
    assert_eq!(rocks(&[bytes], "9.8.4"), [why(), why(), Ok(1), Ok(2)]);
}

#[test]
fn a_record_given_up_spoils_the_next_in_fragments() {
    let mut bytes = log([1]);
    let (first, second) = (batch_of(2, 100), batch_of(3, 100));
    put(2, None, &first[..50], &mut bytes);
    bytes.resize(BLOCK as usize, 0);
    put(2, None, &second[..50], &mut bytes);
    put(4, None, &second[50..], &mut bytes);
    let given_up = || refuses("Corruption: error in middle of record");
    let spoiled = refuses("Corruption: Write batch content corrupted.");
    assert_eq!(rocks(std::slice::from_ref(&bytes), "9.8.4"), [given_up(), given_up(), Ok(1), spoiled]);
    assert_eq!(level(&[bytes]), [Ok(2), given_up()]);
}

#[test]
fn batches_that_are_there_twice() {
    let bytes = log([1, 2, 3, 2, 4]);
    let twice = || {
        refuses(
            "Corruption: two consecutive TryAgain in WriteBatch handler; this is either a software bug or data corruption.",
        )
    };
    assert_eq!(rocks(std::slice::from_ref(&bytes), "9.8.4"), [twice(), twice(), Ok(3), Ok(3)]);
    // Without a key and number that are there already, numbers may fall back; what is above them cannot be seen any more.
    assert_eq!(rocks(&[log([3, 4, 1])], "9.8.4"), [Ok(3), Ok(3), Ok(3), Ok(3)]);
    let back = "Corruption: Sequence number is being set backwards during recovery";
    let newest = rocks(std::slice::from_ref(&bytes), "10.4.2");
    assert!(newest[3].as_ref().is_err_and(|why| why.starts_with(back)), "{newest:?}");
    assert_eq!(level(&[bytes]), [Ok(5), Ok(5)]);
}

#[test]
fn types_that_an_older_version_does_not_know() {
    let mut bytes = log([1]);
    put(10, None, &[0, 0, 0, 0, 8, 0], &mut bytes);
    bytes.extend(log([2]));
    // The number of its result for the end of the file.
    assert_eq!(rocks(std::slice::from_ref(&bytes), "7.8.3")[2], Ok(1));
    assert_eq!(rocks(std::slice::from_ref(&bytes), "9.8.4")[2], Ok(2));
    let mut bytes = log([1]);
    put(0x90, None, b"x", &mut bytes);
    bytes.extend(log([2]));
    assert_eq!(
        rocks(std::slice::from_ref(&bytes), "9.8.4")[1],
        refuses("Corruption: unknown record type 4294967184")
    );
    assert_eq!(rocks(&[bytes], "10.4.2")[1], Ok(2));
}
