//! The shortcut for the usual record against the way that every record can go: both have to tell the same of any bytes.

use super::super::Flavour;
use super::super::framer::put_record;
use super::*;
use crate::codec::varint;
use crate::log::bytes::ReadAt;
use crate::log::scan::{Sink, scan};

/// A decoder that knows no shortcut.
struct Slow(BlockDecoder);

impl Decoder for Slow {
    fn fill(&mut self, mut window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        if *at >= window.end {
            return Stop::End;
        }
        match self.0.next(&mut window, *at) {
            Ok(Next::Record(record)) => {
                *at = record.end();
                out.push(record);
                Stop::Full
            }
            Ok(Next::Framing(to)) => Stop::Framing(to),
            Err(fault) => Stop::Fault(Fault { at: *at, ..fault }),
        }
    }

    fn long(&mut self, reader: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        self.0.long(reader, at)
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        self.0.recover(reader, fault)
    }
}

/// All that a scan tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    records: Vec<Record>,
    framing: Vec<(u64, u64)>,
    damage: Vec<Recovery>,
}

impl Sink for Told {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        self.records.extend_from_slice(batch);
    }
    fn framing(&mut self, from: u64, to: u64, _: &mut Reader<'_>) {
        self.framing.push((from, to));
    }
    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        self.damage.push(*recovery);
    }
}

fn told(decoder: &mut dyn Decoder, bytes: &[u8], chunk: usize) -> Told {
    let (src, mut told): (&dyn ReadAt, Told) = (&bytes, Told::default());
    scan(&mut Reader::with_chunk(src, chunk), decoder, 0, &mut told);
    told
}

/// Reads a log both ways; how many records there are.
fn alike(facts: Facts, bytes: &[u8], what: &str) -> usize {
    let quick = told(&mut BlockDecoder::new(facts), bytes, 4096);
    let slow = told(&mut Slow(BlockDecoder::new(facts)), bytes, 4096);
    assert_eq!(quick, slow, "{what}");
    slow.records.len()
}

/// Takes the shortcut at every offset, and the other way wherever it leads anywhere; how often it does.
fn shortcuts(facts: Facts, bytes: &[u8], what: &str) -> usize {
    let mut window = Window::whole(bytes);
    let leads = |at: &u64| {
        let mut quick = BlockDecoder::new(facts);
        let Some(record) = quick.quick(&window, *at) else { return false };
        let mut slow = BlockDecoder::new(facts);
        let next = slow.next(&mut window, *at);
        assert!(matches!(next, Ok(Next::Record(slow)) if slow == record), "{what}: {record:?}");
        assert_eq!((quick.due, quick.gap, quick.grid), (slow.due, slow.gap, slow.grid), "{what}");
        assert_eq!((quick.prepared, quick.ends), (slow.prepared, slow.ends), "{what}");
        true
    };
    (0..bytes.len() as u64).filter(leads).count()
}

/// Random numbers, the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Tags of operations and of none, the usual ones more often; whether each is given a number, names a family, and its strings.
const TAGS: &[(u8, bool, bool, u8)] = &[
    (1, true, false, 2),
    (1, true, false, 2),
    (0, true, false, 1),
    (5, true, true, 2),
    (4, true, true, 1),
    (2, true, false, 2),
    (14, true, true, 2),
    (3, false, false, 1),
    (13, false, false, 0),
    (9, false, false, 0),
    (10, false, false, 1),
    (11, false, false, 1),
    (12, false, false, 1),
    (20, true, false, 1),
];

/// A batch that is sound more often than not.
fn batch(random: &mut Random, seq: u64) -> Vec<u8> {
    let (mut operations, mut count) = (Vec::new(), 0);
    let plain = !random.one_in(4);
    for _ in 0..random.below(4) {
        let usual = if plain { 3 } else { TAGS.len() as u64 };
        let (tag, counts, family, strings) = TAGS[random.below(usual) as usize];
        operations.push(tag);
        count += u32::from(counts);
        if family {
            varint::put(random.below(300) as u32, &mut operations);
        }
        for _ in 0..strings {
            let len = if random.one_in(8) { 200 } else { random.below(12) };
            varint::put(len as u32, &mut operations);
            operations.resize(operations.len() + len as usize, b'v');
        }
    }
    let seq = if random.one_in(20) { (1 << 56) - random.below(2) } else { seq };
    count += u32::from(random.one_in(20));
    let mut batch = [&seq.to_le_bytes()[..], &count.to_le_bytes(), &operations].concat();
    if random.one_in(6) {
        // Under a checksum that holds.
        match random.below(3) {
            0 => drop(batch.pop()),
            1 => batch.push(random.below(256) as u8),
            _ => {
                let at = random.below(batch.len() as u64) as usize;
                batch[at] = random.below(256) as u8;
            }
        }
    }
    batch
}

/// A log of such batches, in part with headers of the other kind, or of another log.
fn log(random: &mut Random, own: Option<u32>, records: u64) -> Vec<u8> {
    let mut log = Vec::new();
    for i in 0..records {
        let header = match random.below(20) {
            0 => None,
            1 => Some(random.below(3) as u32),
            _ => own,
        };
        put_record(&batch(random, 2 * i + 1), header, log.len() as u64, &mut log);
    }
    log
}

const FACTS: [Facts; 3] = [
    Facts { flavour: Flavour::LevelDb, content: Content::Batches, number: None, recycled: false },
    Facts { flavour: Flavour::RocksDb, content: Content::Batches, number: None, recycled: false },
    Facts { flavour: Flavour::RocksDb, content: Content::Batches, number: Some(2), recycled: true },
];

#[test]
fn the_shortcut_tells_what_every_record_tells() {
    for facts in FACTS {
        let (mut random, mut records, mut short) = (Random(7), 0, 0);
        for nth in 0..200 {
            let bytes = log(&mut random, facts.number, 20);
            let what = format!("{facts:?}, log {nth}");
            records += alike(facts, &bytes, &what);
            short += shortcuts(facts, &bytes, &what);
        }
        assert!(records > 2000 && short > records / 3, "{short} shortcuts, {records} records");
    }
}

#[test]
fn nor_does_the_shortcut_hide_damage() {
    for facts in FACTS {
        let mut random = Random(8);
        let bytes = log(&mut random, facts.number, 30);
        for at in 0..bytes.len() {
            alike(facts, &bytes[..at], &format!("{facts:?} cut to {at}"));
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << random.below(8);
            alike(facts, &flipped, &format!("{facts:?}, flip at {at}"));
            shortcuts(facts, &flipped[at.saturating_sub(300)..], &format!("{facts:?}, flip at {at}"));
        }
    }
}

/// A record that ends in front of a block's end, where zeros or nothing at all may follow.
#[test]
fn ends_of_blocks_are_left_to_the_long_way() {
    let one = [&9u64.to_le_bytes()[..], &[1, 0, 0, 0, 0, 1, b'k']].concat();
    for facts in FACTS {
        for left in 0..40 {
            let (mut bytes, mut first) =
                (Vec::new(), [&1u64.to_le_bytes()[..], &[1, 0, 0, 0, 1, 1, b'k']].concat());
            let header = if facts.number.is_some() { RECYCLABLE } else { HEADER };
            let value = BLOCK - left - 2 * header - 15 - first.len() as u64 - 3;
            varint::put(value as u32, &mut first);
            first.resize(first.len() + value as usize, b'v');
            put_record(&first, facts.number, 0, &mut bytes);
            for _ in 0..3 {
                put_record(&one, facts.number, bytes.len() as u64, &mut bytes);
            }
            let records = alike(facts, &bytes, &format!("{facts:?}, {left} bytes left of the block"));
            assert_eq!(records, 4, "{facts:?}, {left}");
        }
    }
}

/// A copy of a commit in front of it takes no numbers away from it; the same name prepared once more has its own.
#[test]
fn a_commit_that_is_there_twice_gives_out_its_numbers_twice() {
    let facts = Facts { flavour: Flavour::RocksDb, content: Content::Batches, number: None, recycled: false };
    let prepare = |seq: u64, puts: usize| {
        let puts = b"\x01\x01k\x01v".repeat(puts);
        [&seq.to_le_bytes()[..], &(puts.len() as u32 / 5).to_le_bytes(), b"\x09", &puts, b"\x0a\x01x"]
            .concat()
    };
    let commit = |seq: u64| [&seq.to_le_bytes()[..], &[0; 4], b"\x0b\x01x"].concat();
    let mut bytes = Vec::new();
    for batch in [prepare(1, 5), commit(1), commit(1), prepare(6, 2), commit(6)] {
        let at = bytes.len() as u64;
        put_record(&batch, None, at, &mut bytes);
    }
    let records = told(&mut BlockDecoder::new(facts), &bytes, 4096).records;
    let spans: Vec<_> = records.iter().map(|record| (record.seq, record.next)).collect();
    assert_eq!(spans, [(1, 1), (1, 6), (1, 6), (6, 6), (6, 8)]);
}
