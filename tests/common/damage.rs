//! Damage to a file, and which records it touches: a record is touched when its bytes differ afterwards, or when
//! something was put between them.

use std::ops::Range;

use super::log::{Field, File, Written};
use super::random::Random;

/// One damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit of one byte.
    Flip {
        at: usize,
        bit: u8,
    },
    Zero(Range<usize>),
    /// Random bytes over what was there.
    Garbage(Range<usize>),
    /// The file ends here.
    Cut(usize),
    /// Random bytes put in.
    Insert {
        at: usize,
        len: usize,
    },
    /// Bytes taken out.
    Remove(Range<usize>),
    /// A copy of bytes put in somewhere.
    Duplicate {
        from: Range<usize>,
        at: usize,
    },
    /// One numeric field of one record.
    Field {
        record: usize,
        field: usize,
        value: u64,
    },
}

impl Damage {
    /// Any damage that fits the file.
    pub fn any(file: &File, random: &mut Random) -> Damage {
        let len = file.bytes.len();
        match random.below(10) {
            0..=2 => Damage::Flip { at: random.below(len), bit: random.below(8) as u8 },
            3 => Damage::Zero(some_range(len, random)),
            4 => Damage::Garbage(some_range(len, random)),
            5 => Damage::Cut(random.below(len + 1)),
            6 => Damage::Insert { at: random.below(len + 1), len: random.within(1, 80) },
            7 => Damage::Remove(some_range(len, random)),
            8 => Damage::Duplicate { from: some_range(len, random), at: random.below(len + 1) },
            _ if file.fields.is_empty() || file.records.is_empty() => {
                Damage::Flip { at: random.below(len), bit: random.below(8) as u8 }
            }
            _ => any_field(file, random),
        }
    }

    /// Does it, and keeps account of the records.
    pub fn apply(&self, file: &mut File, random: &mut Random) {
        if file.bytes.is_empty() {
            return;
        }
        file.damages += 1;
        match self {
            Damage::Flip { at, bit } => {
                let byte = file.bytes[*at] ^ (1 << bit);
                overwrite(file, *at, &[byte]);
            }
            Damage::Zero(range) => overwrite(file, range.start, &vec![0; range.len()]),
            Damage::Garbage(range) => overwrite(file, range.start, &random.bytes(range.len())),
            Damage::Cut(at) => remove(file, *at..file.bytes.len()),
            Damage::Insert { at, len } => insert(file, *at, &random.bytes(*len)),
            Damage::Remove(range) => remove(file, range.clone()),
            Damage::Duplicate { from, at } => {
                let copy = file.bytes[from.clone()].to_vec();
                insert(file, *at, &copy);
                file.copied = true;
            }
            Damage::Field { record, field, value } => {
                let span = file.records[*record].span.clone();
                let mut bytes = file.bytes[span.clone()].to_vec();
                file.fields[*field].set(&mut bytes, *value);
                overwrite(file, span.start, &bytes);
            }
        }
    }
}

/// A length or number changed a little, to something large, to 0, or to the length of two records.
fn any_field(file: &File, random: &mut Random) -> Damage {
    let record = random.below(file.records.len());
    let field = random.below(file.fields.len());
    let written = &file.records[record];
    if !written.whole || !file.fields[field].in_record(&file.bytes[written.span.clone()]) {
        return Damage::Flip { at: random.below(file.bytes.len()), bit: random.below(8) as u8 };
    }
    let was = file.fields[field].get(&file.bytes[written.span.clone()]);
    let next = file.records.get(record + 1).map_or(0, |r| r.span.len() as u64);
    let value = match random.below(6) {
        0 => was.wrapping_add(1),
        1 => was.wrapping_sub(1),
        2 => was.wrapping_add(next),
        3 => 0,
        4 => u64::MAX,
        _ => random.next() >> random.below(64),
    };
    Damage::Field { record, field, value }
}

/// A short range mostly, a long one now and then.
fn some_range(len: usize, random: &mut Random) -> Range<usize> {
    let from = random.below(len);
    let most = if random.once_in(4) { len - from } else { (len - from).min(60) };
    from..from + 1 + random.below(most)
}

fn overwrite(file: &mut File, at: usize, bytes: &[u8]) {
    let before = file.clone();
    file.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    for (r, was) in file.records.iter_mut().zip(&before.records) {
        let (old, new) = (&before.bytes[was.span.clone()], &file.bytes[r.span.clone()]);
        if old == new {
            continue;
        }
        for field in file.fields.iter().filter(|f| was.whole && f.in_record(old)) {
            let (from, to) = (field.get(old), field.get(&with_same_lengths(new, old, field)));
            file.changed_field |= from != to;
            // A wrong length may by chance lead to where another record starts.
            let lead = (was.span.end as u64).wrapping_add(to).wrapping_sub(from);
            let stands = |other: &Written| {
                let bytes = &before.bytes[other.span.clone()];
                let fields = before.fields.iter().filter(|f| f.length && other.whole && f.in_record(bytes));
                // Without a checksum what follows a length there may be read as a record, too.
                let mut places = fields.map(|f| other.span.start + (f.offset)(bytes));
                other.span.start as u64 == lead || places.any(|place| place as u64 == lead)
            };
            let astray = lead == before.bytes.len() as u64 || before.records.iter().any(stands);
            file.leads_astray |= field.length && from != to && astray;
        }
        r.whole = false;
    }
}

/// The record with nothing changed but the field, so that a field behind a wrong length is found.
fn with_same_lengths(new: &[u8], old: &[u8], field: &Field) -> Vec<u8> {
    let at = (field.offset)(old);
    let mut record = old.to_vec();
    record[at..at + field.width].copy_from_slice(&new[at..at + field.width]);
    record
}

fn insert(file: &mut File, at: usize, bytes: &[u8]) {
    for r in &mut file.records {
        if r.span.start >= at {
            r.span = r.span.start + bytes.len()..r.span.end + bytes.len();
        } else if r.span.end > at {
            r.span.end += bytes.len();
            r.whole = false;
        }
    }
    file.bytes.splice(at..at, bytes.iter().copied());
    file.shifted = true;
}

fn remove(file: &mut File, gone: Range<usize>) {
    let place = |at: usize| if at >= gone.end { at - gone.len() } else { at.min(gone.start) };
    file.records = file
        .records
        .iter()
        .map(|r| {
            let span = place(r.span.start)..place(r.span.end);
            Written { whole: r.whole && span.len() == r.span.len(), span }
        })
        .filter(|r| !r.span.is_empty())
        .collect();
    file.shifted |= gone.end < file.bytes.len();
    file.bytes.drain(gone);
}
