//! What the Python engine makes of a log when it opens it: `write-ahead-log/wal.py`, `_recover_seq_num` and `replay`.
//!
//! It trusts the inner lengths and never compares them with the outer one, slices like Python, and has three ways to
//! stop: a short read ends this file, a wrong checksum or text ends everything (but not the search for the highest
//! number), and a length that makes no sense ends the process.

use crate::codec::crc32;
use crate::format::{Halt, LogFile, Outcome};
use crate::log::bytes::{Bytes, Reader};
use crate::log::fault::Fault;
use crate::log::finding::Code;

/// How the engine's commits differ.
struct Behaviour {
    /// BEGIN is known (from 1de802d on).
    batches: bool,
    /// Reading stops where seq does not rise (from 104c886 on).
    rising: bool,
}

enum Step {
    Record {
        seq: u64,
        op: u8,
        end: u64,
    },
    /// Short read: the rest of this file is skipped.
    FileEnds,
    /// Wrong checksum or text.
    Bad,
    /// An exception that nothing catches.
    Dies(String),
}

/// What is left after open and replay.
pub fn outcome(files: &[LogFile<'_>], revision: Option<&str>) -> Outcome {
    let v1 = revision == Some("v1");
    let behaviour = Behaviour { batches: !v1, rising: !v1 };
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&i| files[i].name);
    for &file in &order {
        let mut reader = Reader::new(files[file].src);
        let mut at = 0;
        loop {
            match read(&mut reader, at) {
                Step::Record { end, .. } => at = end,
                Step::FileEnds | Step::Bad => break,
                Step::Dies(error) => {
                    let halts = vec![Halt { file, at: 0, for_good: true }];
                    return Outcome { opens: false, error: Some(error), records: 0, halts };
                }
            }
        }
    }
    replay(files, &order, &behaviour)
}

fn replay(files: &[LogFile<'_>], order: &[usize], behaviour: &Behaviour) -> Outcome {
    let (mut records, mut last_seq, mut in_batch, mut pending) = (0u64, 0u64, false, 0u64);
    let mut halts = Vec::new();
    'log: for &file in order {
        let mut reader = Reader::new(files[file].src);
        let mut at = 0;
        loop {
            match read(&mut reader, at) {
                Step::Record { seq, op, end } => {
                    if behaviour.rising && seq <= last_seq {
                        halts.push(Halt { file, at, for_good: true });
                        break 'log;
                    }
                    last_seq = seq;
                    match op {
                        5 if behaviour.batches => (in_batch, pending) = (true, 0),
                        3 => {
                            records += pending;
                            (in_batch, pending) = (false, 0);
                        }
                        1 | 2 if in_batch => pending += 1,
                        1 | 2 => records += 1,
                        _ => {}
                    }
                    at = end;
                }
                Step::FileEnds => {
                    if at < reader.end() {
                        halts.push(Halt { file, at, for_good: false });
                    }
                    break;
                }
                Step::Bad | Step::Dies(_) => {
                    halts.push(Halt { file, at, for_good: true });
                    break 'log;
                }
            }
        }
    }
    Outcome { opens: true, error: None, records, halts }
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
    if b.crc32(crc, value.clone())? != stored || !b.utf8(key)? || !b.utf8(value)? {
        return Ok(Step::Bad);
    }
    Ok(Step::Record { seq, op, end: data + len as u64 })
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
