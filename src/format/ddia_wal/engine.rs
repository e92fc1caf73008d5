//! What the Python engine makes of a log when it opens it: `write-ahead-log/wal.py`, `_recover_seq_num` and `replay`.
//!
//! It trusts the inner lengths and never compares them with the outer one, slices like Python, and has three ways to
//! stop: a short read ends this file, a wrong checksum or text ends everything (but not the search for the highest
//! number), and a length that makes no sense ends the process.

use std::ops::Range;

use super::PROFILE;
use crate::codec::crc32;
use crate::format::{Halt, Job, LogFile, Outcome, Part, Take, Taken};
use crate::log::bytes::{Bytes, Reader};
use crate::log::conclude::Place;
use crate::log::fault::Fault;
use crate::log::finding::Code;

/// How the engine's commits differ.
struct Behaviour {
    /// BEGIN is known (from 1de802d on).
    batches: bool,
    /// Reading stops where seq does not rise (from 104c886 on).
    rising: bool,
}

impl Behaviour {
    fn of(job: &Job<'_>) -> Behaviour {
        let newest = job.revision != Some("v1");
        let from = |commit| job.engine_is(&PROFILE, commit, newest);
        Behaviour { batches: from("1de802d"), rising: from("104c886") }
    }
}

enum Step {
    Record(Found),
    /// Short read: the rest of this file is skipped.
    FileEnds,
    /// Wrong checksum or text.
    Bad,
    /// An exception that nothing catches.
    Dies(String),
}

/// A record as the engine takes it.
struct Found {
    seq: u64,
    op: u8,
    key: Range<u64>,
    value: Range<u64>,
    end: u64,
}

/// What is left after open and replay.
pub fn outcome(job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
    let files = job.files;
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&i| files[i].name);
    for &file in &order {
        let mut reader = Reader::new(files[file].src);
        let mut at = 0;
        loop {
            match read(&mut reader, at) {
                Step::Record(Found { end, .. }) => at = end,
                Step::FileEnds | Step::Bad => break,
                Step::Dies(error) => return Outcome::refused(error),
            }
        }
    }
    let replay = Replay { files, order: &order, behaviour: Behaviour::of(job), take };
    replay.run()
}

struct Replay<'a, 't> {
    files: &'a [LogFile<'a>],
    order: &'a [usize],
    behaviour: Behaviour,
    take: Option<Take<'t>>,
}

/// Data records that wait for a COMMIT: how many, and where the first of them lies, as place in the order and offset.
#[derive(Default)]
struct Pending {
    records: u64,
    from: Option<(usize, u64)>,
}

impl Replay<'_, '_> {
    fn run(mut self) -> Outcome {
        let (mut records, mut transactions, mut last_seq) = (0u64, 0u64, 0u64);
        let mut pending: Option<Pending> = None;
        let mut halts = Vec::new();
        'log: for (nth, &file) in self.order.iter().enumerate() {
            let mut reader = Reader::new(self.files[file].src);
            let mut at = 0;
            loop {
                match read(&mut reader, at) {
                    Step::Record(found) => {
                        if self.behaviour.rising && found.seq <= last_seq {
                            halts.push(Halt { file, at, for_good: true, to: u64::MAX });
                            break 'log;
                        }
                        last_seq = found.seq;
                        if found.seq == 0 {
                            // Replay begins behind number 0, whatever carries it.
                            at = found.end;
                            continue;
                        }
                        match (found.op, &mut pending) {
                            (5, _) if self.behaviour.batches => pending = Some(Pending::default()),
                            (3, _) => {
                                let waiting = pending.take().unwrap_or_default();
                                (records, transactions) = (records + waiting.records, transactions + 1);
                                self.commit(&waiting, (nth, at));
                            }
                            (1 | 2, Some(waiting)) => {
                                waiting.records += 1;
                                waiting.from.get_or_insert((nth, at));
                            }
                            (1 | 2, None) => {
                                records += 1;
                                self.apply(file, at, &found);
                            }
                            _ => {}
                        }
                        at = found.end;
                    }
                    Step::FileEnds => {
                        if at < reader.end() {
                            halts.push(Halt { file, at, for_good: false, to: u64::MAX });
                        }
                        break;
                    }
                    Step::Bad | Step::Dies(_) => {
                        halts.push(Halt { file, at, for_good: true, to: u64::MAX });
                        break 'log;
                    }
                }
            }
        }
        Outcome { opens: true, error: None, records, transactions, halts, ..Outcome::default() }
    }

    fn apply(&mut self, file: usize, at: u64, found: &Found) {
        let part = |span: &Range<u64>| Part { file, span: span.clone() };
        if let Some(take) = &mut self.take {
            let value = (found.op == 1).then(|| part(&found.value));
            take(Taken { place: Place { file, at }, key: part(&found.key), value, given: None });
        }
    }

    /// A batch is read once more when it commits, so that one that never does takes no memory.
    fn commit(&mut self, waiting: &Pending, to: (usize, u64)) {
        let Some((first, mut at)) = waiting.from.filter(|_| self.take.is_some()) else { return };
        for nth in first..=to.0 {
            let file = self.order[nth];
            let mut reader = Reader::new(self.files[file].src);
            while (nth, at) < to {
                let Step::Record(found) = read(&mut reader, at) else { break };
                if matches!(found.op, 1 | 2) && found.seq > 0 {
                    self.apply(file, at, &found);
                }
                at = found.end;
            }
            at = 0;
        }
    }
}

/// `_read_record`: the fields as Python slices them.
fn read(b: &mut Reader<'_>, at: u64) -> Step {
    let Ok(length) = b.array::<4>(at).map(u32::from_le_bytes) else {
        return Step::FileEnds;
    };
    let (data, len) = (at + 4, i64::from(length));
    if data + u64::from(length) > b.end() {
        return Step::FileEnds;
    }
    parse(b, data, len).unwrap_or(Step::FileEnds)
}

fn parse(b: &mut Reader<'_>, data: u64, len: i64) -> Result<Step, Fault> {
    const HEAD: i64 = 17;
    if len < HEAD {
        return Ok(Step::Dies(format!(
            "struct.error: unpack_from requires a buffer of at least 17 bytes, got {len}"
        )));
    }
    let [a, c, d, e] = b.array::<4>(data)?;
    let stored = u32::from_le_bytes([a, c, d, e]);
    let seq = u64::from_le_bytes(b.array(data + 4)?);
    let [op] = b.array::<1>(data + 12)?;
    let key_len = i64::from(i32::from_le_bytes(b.array(data + 13)?));
    let offset = HEAD + key_len;
    // A negative offset counts from the end of the buffer.
    let from = if offset < 0 { offset + len } else { offset };
    if from < 0 || from + 4 > len {
        return Ok(Step::Dies(format!("struct.error: offset {offset} out of range for {len}-byte buffer")));
    }
    let val_len = i64::from(i32::from_le_bytes(b.array(data + from as u64)?));
    let key = slice(data, len, HEAD, offset);
    let value = slice(data, len, offset + 4, offset + 4 + val_len);
    let crc = crc32::update(0, &[op]);
    let crc = b.crc32(crc, key.clone())?;
    let holds = b.crc32(crc, value.clone())? == stored;
    if !holds || !b.utf8(key.clone())? || !b.utf8(value.clone())? {
        return Ok(Step::Bad);
    }
    Ok(Step::Record(Found { seq, op, key, value, end: data + len as u64 }))
}

/// Python's `buffer[from:to]`.
fn slice(data: u64, len: i64, from: i64, to: i64) -> std::ops::Range<u64> {
    let clip = |i: i64| if i < 0 { (i + len).max(0) } else { i.min(len) };
    let (from, to) = (clip(from), clip(to));
    data + from as u64..data + to.max(from) as u64
}

/// What happens at a finding of this kind.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "Reads up to it, says nothing, leaves the torn bytes in place and appends behind them: what it writes from \
             then on is swallowed by the torn record at the next open, or makes the open fail."
        }
        Code::ChecksumMismatch | Code::NotUtf8 | Code::IllegalKind => {
            "Stops here for good: nothing behind this record is replayed, in this file or any later one, yet the \
             sequence counter still goes on from the highest number it can see."
        }
        Code::InconsistentLength => {
            "Takes the lengths at their word. One that reaches past the end of the file ends this file silently; one \
             below 21 or a negative key length kills the open with struct.error; one that is too large but fits \
             swallows the records behind it without a word."
        }
        Code::ZeroFilled => {
            "Four zero bytes where a record should start read as length 0: the log cannot be opened (struct.error)."
        }
        Code::ImpossibleNumber | Code::RepeatedRange | Code::Reset => {
            "From commit 104c886 on it stops for good at the first number that does not rise; earlier ones apply \
             everything. A number that is too high poisons the counter."
        }
        Code::MissingFile | Code::MissingRange => "Notices nothing.",
        Code::MisorderedNames => {
            "Sorts names as text, so 1000000.wal comes before 999999.wal, and stops where the numbers fall back."
        }
        Code::OrphanedBatch => {
            "Discards the members, and with them every later single write up to the next BEGIN, as it still believes \
             itself inside the batch. v1 knows no BEGIN and applies the members."
        }
        Code::LostMember => {
            "Stops for good at the damaged member, so the whole batch and all that follows is lost."
        }
        Code::WrittenBehindTornTail => {
            "The torn record's length swallows what was written behind it: lost at the next open."
        }
        Code::ForeignFile => {
            "Every name that ends in .wal counts, and a last one without a number breaks the next rotation."
        }
        _ => return None,
    })
}
