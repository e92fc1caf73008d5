//! Small logs of one kind of damage each, and what every mode makes of them.

use super::super::fragment::{BLOCK, put};
use super::super::known::tests::Counting;
use super::super::{LEVELDB, ROCKSDB};
use super::*;
use crate::codec::varint;
use crate::format::{Format, Memo};

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

/// What each engine makes of logs 4, 5, … in each mode, asked one after the other; with `memo` they may share readings.
fn all_told(
    flavour: Flavour,
    logs: &[Counting],
    memo: Option<&Memo>,
) -> Vec<(Option<&'static str>, Outcome)> {
    let names: Vec<String> = (4..).take(logs.len()).map(|n| format!("{n:06}.log")).collect();
    let named: Vec<(&str, &Counting)> = names.iter().map(|name| &name[..]).zip(logs).collect();
    all_of(flavour, &named, memo)
}

/// The same of any files.
fn all_of(
    flavour: Flavour,
    files: &[(&str, &Counting)],
    memo: Option<&Memo>,
) -> Vec<(Option<&'static str>, Outcome)> {
    let format = if flavour == Flavour::LevelDb { &LEVELDB } else { &ROCKSDB };
    let files: Vec<LogFile<'_>> = files
        .iter()
        .map(|&(name, src)| {
            let claim = format.claim(name).expect("a file of the store");
            LogFile { name, claim, src, memo, stream: false }
        })
        .collect();
    let (engines, modes): (Vec<Option<&str>>, _) = match flavour {
        Flavour::LevelDb => (vec![None], LEVELDB_MODES),
        Flavour::RocksDb => (VERSIONS.iter().copied().map(Some).collect(), ROCKSDB_MODES),
    };
    let jobs = modes.iter().flat_map(|&mode| engines.iter().map(move |&engine| (engine, mode)));
    let job = |engine, mode| Job {
        files: &files,
        surveys: &[],
        revision: None,
        engine,
        mode: Some(mode),
        until: None,
    };
    jobs.map(|(engine, mode)| (engine, format.engine(&job(engine, mode), None))).collect()
}

/// What comes of logs in each mode: batches that are kept, or why the engine does not open. `engine`: its version.
fn told(flavour: Flavour, logs: &[Vec<u8>], engine: Option<&str>) -> Vec<Result<u64, String>> {
    let logs: Vec<Counting> = logs.iter().cloned().map(Counting::of).collect();
    let alone = all_told(flavour, &logs, None);
    assert_eq!(
        alone,
        all_told(flavour, &logs, Some(&Memo::default())),
        "as if each had a reading of its own"
    );
    let of_engine = alone.into_iter().filter(|(version, _)| *version == engine);
    of_engine
        .map(|(_, outcome)| {
            assert_eq!(outcome.opens, outcome.error.is_none());
            outcome.error.map_or(Ok(outcome.records), Err)
        })
        .collect()
}

fn rocks(logs: &[Vec<u8>], engine: &str) -> [Result<u64, String>; 4] {
    told(Flavour::RocksDb, logs, Some(engine)).try_into().unwrap()
}

fn level(logs: &[Vec<u8>]) -> [Result<u64, String>; 2] {
    told(Flavour::LevelDb, logs, None).try_into().unwrap()
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

/// The older version adds without a look, and the number behind the highest is 0; the newer one looks first.
#[test]
fn the_highest_number_is_followed_by_none() {
    let told = rocks(&[log([1, u64::MAX])], "7.8.3");
    assert!(told.iter().all(|told| *told == Ok(2)), "{told:?}");
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

/// Random numbers, the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Fragments of every kind that make a difference to some version or mode, in any order, and random damage to them.
fn odd(random: &mut Random, first: u64) -> Vec<u8> {
    let (mut log, mut seq) = (Vec::new(), first);
    for _ in 0..random.below(30) {
        let header = (random.below(3) == 0).then_some(4 + random.below(2) as u32);
        let batch = batch_of(seq, random.below(40));
        seq += 1;
        match random.below(24) {
            0 => put(9, None, &7u32.to_le_bytes(), &mut log),
            1 => put(10, None, &[0, 0, 0, 0, 8, 0], &mut log),
            2 => put(130, None, &[4; 24], &mut log),
            3 => put(random.below(256) as u8, None, &batch, &mut log),
            4 => put(1, None, &batch[..random.below(batch.len())], &mut log),
            // A tag that not every version knows, prepared operations, a commit.
            5 => put(1, None, &[&batch[..12], b"\x18\x01k\x01v"].concat(), &mut log),
            6 => put(1, None, &[&batch[..8], b"\x00\0\0\0\x09\x0a\x01t"].concat(), &mut log),
            7 => put(1, None, &[&batch[..8], b"\x00\0\0\0\x0b\x01t"].concat(), &mut log),
            8 => put(1, None, &batch_of(1 << 56, 3), &mut log),
            9 => seq = first,
            10 => put(2, None, &batch[..9], &mut log),
            11 => put(4, None, &batch[9..], &mut log),
            12 => log.resize(log.len().next_multiple_of(BLOCK as usize), 0),
            _ if header.is_some() => put(5, header, &batch, &mut log),
            _ => put(1, None, &batch, &mut log),
        }
    }
    if !log.is_empty() {
        match random.below(4) {
            0 => log.truncate(random.below(log.len())),
            1 | 2 => {
                let at = random.below(log.len());
                log[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
    }
    log
}

#[test]
fn a_shared_reading_tells_each_what_its_own_would() {
    let mut random = Random(3);
    for _ in 0..400 {
        let logs: Vec<Vec<u8>> =
            (0..=random.below(2)).map(|nth| odd(&mut random, 20 * nth as u64 + 1)).collect();
        _ = level(&logs);
        _ = rocks(&logs, "9.8.4");
    }
}

#[test]
fn settings_that_go_the_same_way_share_a_reading() {
    let mut bytes = log(1..=5);
    let readings = |bytes: &[u8], memo: Option<&Memo>| {
        let logs = [Counting::of(bytes.to_vec())];
        all_told(Flavour::RocksDb, &logs, memo);
        logs[0].reads()
    };
    // The first look at a log is for its number.
    assert_eq!(readings(&bytes, Some(&Memo::default())), 1 + 1);
    bytes[100] ^= 1;
    // Those that do not open; point-in-time; skip-any.
    assert_eq!(readings(&bytes, Some(&Memo::default())), 1 + 3);
    assert_eq!(readings(&bytes, None), 12 + 12);
}

/// A frame of zstd with one block that is stored as it is, and no checksum.
fn frame(plain: &[u8]) -> Vec<u8> {
    let block = ((plain.len() as u32) << 3 | 1).to_le_bytes();
    [b"\x28\xb5\x2f\xfd\xa0", &(plain.len() as u32).to_le_bytes()[..], &block[..3], plain].concat()
}

/// The head of a compressed log.
fn packed_log() -> Vec<u8> {
    let mut log = Vec::new();
    put(9, None, &7u32.to_le_bytes(), &mut log);
    log
}

#[test]
fn a_frame_cut_off_by_damage_swallows_what_follows() {
    let mut bytes = packed_log();
    put(1, None, &frame(&batch_of(1, 100)), &mut bytes);
    let long = frame(&batch_of(2, 40_000));
    let room = BLOCK as usize - bytes.len() - 7;
    put(2, None, &long[..room], &mut bytes);
    let second = bytes.len();
    put(4, None, &long[room..], &mut bytes);
    bytes.resize(2 * BLOCK as usize, 0);
    put(1, None, &frame(&batch_of(32, 100)), &mut bytes);
    assert_eq!(rocks(std::slice::from_ref(&bytes), "9.8.4"), [3; 4].map(Ok));
    bytes[second + 100] ^= 1;
    let bad = || refuses("Corruption: checksum mismatch");
    // The third batch comes out as it is stored, and what stands in the place of a tag is its number.
    let skips = |why: &str| [bad(), bad(), Ok(1), refuses(why)];
    assert_eq!(rocks(std::slice::from_ref(&bytes), "7.8.3"), skips("Corruption: unknown WriteBatch tag"));
    assert_eq!(rocks(&[bytes], "9.8.4"), skips("Corruption: unknown WriteBatch tag: 32"));
}

#[test]
fn a_fragment_at_the_same_place_in_memory_is_none_to_the_older_version() {
    let mut bytes = packed_log();
    put(1, None, &frame(&batch_of(1, BLOCK as usize - 100)), &mut bytes);
    bytes.resize(BLOCK as usize, 0);
    let long = frame(&batch_of(2, 50_000));
    let room = BLOCK as usize - 7;
    put(2, None, &long[..room], &mut bytes);
    put(4, None, &long[room..], &mut bytes);
    assert_eq!(rocks(std::slice::from_ref(&bytes), "9.8.4"), [2; 4].map(Ok));
    assert_eq!(rocks(&[bytes], "7.8.3"), [0; 4].map(|_| refuses("Corruption: bad WriteBatch Put")));
}

/// A batch that prepares one operation, without a name of its own, and one that commits it.
fn two_phases(seq: u64, key: u8) -> [Vec<u8>; 2] {
    let (head, name) = ([seq.to_le_bytes(), seq.to_le_bytes()], [1, key]);
    let prepare = [&head[0][..], &1u32.to_le_bytes(), &[9, 1, 1, key, 1, b'v', 10], &name].concat();
    [prepare, [&head[1][..], &0u32.to_le_bytes(), &[11], &name].concat()]
}

/// What comes of logs 4 and 9 in a store whose only family has what is in logs before 9, in each mode: by the way that the
/// outcome is about, and by the other one. `minded`: what the options say of transactions in two phases.
fn in_store(logs: [Vec<u8>; 2], minded: Option<bool>, engine: &str) -> Vec<(Outcome, Option<Outcome>)> {
    let mut manifest = Vec::new();
    put(1, None, b"\x01\x01b\x02\x09\x03\x0a\x04\x00", &mut manifest);
    let [first, second] = logs;
    let mut files = vec![
        ("000004.log", first),
        ("000009.log", second),
        ("MANIFEST-000005", manifest),
        ("CURRENT", b"MANIFEST-000005\n".to_vec()),
    ];
    files.extend(minded.map(|minded| ("OPTIONS-000006", format!("  allow_2pc={minded}\n").into_bytes())));
    let files: Vec<(&str, Counting)> =
        files.into_iter().map(|(name, bytes)| (name, Counting::of(bytes))).collect();
    let named: Vec<(&str, &Counting)> = files.iter().map(|(name, src)| (*name, src)).collect();
    let alone = all_of(Flavour::RocksDb, &named, None);
    assert_eq!(alone, all_of(Flavour::RocksDb, &named, Some(&Memo::default())));
    let of_engine = alone.into_iter().filter(|(version, _)| *version == Some(engine));
    of_engine
        .map(|(_, mut outcome)| {
            let other = outcome.opening.take().map(|opening| *opening.otherwise);
            (outcome, other)
        })
        .collect()
}

fn brief(outcome: &Outcome) -> Result<u64, String> {
    outcome.error.clone().map_or(Ok(outcome.records), Err)
}

#[test]
fn transactions_in_two_phases_need_an_engine_that_minds_them() {
    let mut bytes = Vec::new();
    two_phases(1, b'a').iter().for_each(|batch| put(1, None, batch, &mut bytes));
    put(1, None, &batch_of(2, 10), &mut bytes);
    let prepared =
        || refuses("Not implemented: WAL contains prepared transactions. Open with TransactionDB::Open().");
    for engine in ["7.8.3", "9.8.4"] {
        for minded in [None, Some(true), Some(false)] {
            for (usual, other) in in_store([Vec::new(), bytes.clone()], minded, engine) {
                let told = [brief(&usual), brief(&other.expect("another way"))];
                let expected = [Ok(2), prepared()];
                let turned = minded == Some(false);
                assert_eq!(told, if turned { [prepared(), Ok(2)] } else { expected }, "{engine} {minded:?}");
            }
        }
        // Nothing is prepared.
        let plain = in_store([Vec::new(), log(1..=2)], None, engine);
        assert!(plain.iter().all(|(usual, other)| brief(usual) == Ok(2) && other.is_none()));
    }
}

#[test]
fn logs_whose_contents_are_in_tables_are_read_for_transactions() {
    let mut old = log(1..=2);
    two_phases(3, b'a').iter().take(1).for_each(|batch| put(1, None, batch, &mut old));
    let mut new = Vec::new();
    two_phases(3, b'a').iter().skip(1).for_each(|batch| put(1, None, batch, &mut new));
    put(1, None, &batch_of(4, 10), &mut new);
    for engine in ["7.8.3", "9.8.4"] {
        // What was prepared in the old log counts; without it there is nothing to commit.
        for (usual, other) in in_store([old.clone(), new.clone()], Some(true), engine) {
            assert_eq!([brief(&usual), brief(&other.expect("another way"))], [Ok(2), Ok(1)]);
        }
        let mut torn = old.clone();
        torn[30] ^= 1;
        let bad = || refuses("Corruption: checksum mismatch");
        let told = in_store([torn, new.clone()], Some(true), engine);
        let usual: Vec<_> = told.iter().map(|(usual, _)| brief(usual)).collect();
        assert_eq!(usual, [bad(), bad(), Ok(0), Ok(1)]);
        assert!(told.iter().all(|(_, other)| other.as_ref().is_some_and(|o| brief(o) == Ok(1))));
    }
}
