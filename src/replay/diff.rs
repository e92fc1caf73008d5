//! Two states side by side, key by key: what one has that the other has not, and where they hold other values.

use std::cmp::Ordering;

use anyhow::Result;

use crate::analysis::OpenLog;
use crate::log::bytes::{Bytes, Reader};
use crate::replay::state::{Live, Sorted, Value};

/// A key on which two states do not agree.
pub enum Difference<'a> {
    /// Only the second has it.
    Added(Live<'a>),
    /// Only the first has it.
    Missing(Live<'a>),
    /// They hold other values: the first's, the second's.
    Changed(Live<'a>, Live<'a>),
}

impl<'a> Difference<'a> {
    /// The word of reports.
    pub fn word(&self) -> &'static str {
        match self {
            Difference::Added(_) => "added",
            Difference::Missing(_) => "missing",
            Difference::Changed(..) => "changed",
        }
    }

    /// The key in question.
    pub fn key(&self) -> &[u8] {
        match self {
            Difference::Added(live) | Difference::Missing(live) | Difference::Changed(live, _) => &live.key,
        }
    }

    /// What the first and the second state hold.
    pub fn sides(&self) -> (Option<&Live<'a>>, Option<&Live<'a>>) {
        match self {
            Difference::Added(live) => (None, Some(live)),
            Difference::Missing(live) => (Some(live), None),
            Difference::Changed(a, b) => (Some(a), Some(b)),
        }
    }
}

/// How many keys are in which relation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Only in the second.
    pub added: u64,
    /// Only in the first.
    pub missing: u64,
    /// In both, with other values.
    pub changed: u64,
    /// In both, alike.
    pub same: u64,
}

impl Counts {
    /// Keys on which they do not agree.
    pub fn differing(&self) -> u64 {
        self.added + self.missing + self.changed
    }
}

/// Goes through both states at once, in order of the keys.
///
/// # Errors
/// When a state or a value cannot be read any more, and what `each` says.
pub fn compare(
    log: &OpenLog,
    first: &Sorted<'_>,
    second: &Sorted<'_>,
    each: &mut dyn FnMut(Difference<'_>) -> Result<()>,
) -> Result<Counts> {
    let (mut firsts, mut seconds) = (first.iter()?, second.iter()?);
    let (mut a, mut b) = (firsts.next().transpose()?, seconds.next().transpose()?);
    let mut counts = Counts::default();
    loop {
        let order = match (&a, &b) {
            (None, None) => return Ok(counts),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        let left = if order.is_le() { std::mem::replace(&mut a, firsts.next().transpose()?) } else { None };
        let right = if order.is_ge() { std::mem::replace(&mut b, seconds.next().transpose()?) } else { None };
        let difference = match (left, right) {
            (Some(left), Some(right)) if same(log, &left.value, &right.value)? => {
                counts.same += 1;
                continue;
            }
            (Some(left), Some(right)) => {
                counts.changed += 1;
                Difference::Changed(left, right)
            }
            (Some(left), None) => {
                counts.missing += 1;
                Difference::Missing(left)
            }
            (None, Some(right)) => {
                counts.added += 1;
                Difference::Added(right)
            }
            (None, None) => return Ok(counts),
        };
        each(difference)?;
    }
}

/// Whether two values are the same bytes; long ones are compared piece by piece.
fn same(log: &OpenLog, a: &Value<'_>, b: &Value<'_>) -> Result<bool> {
    /// Bytes compared at a time.
    const PIECE: u64 = 64 << 10;
    if a == b {
        return Ok(true);
    }
    let (Value::Placed(a), Value::Placed(b)) = (a, b) else {
        // By their length alone values stay in the log or do not.
        return Ok(false);
    };
    let len = a.span.end.saturating_sub(a.span.start);
    if len != b.span.end.saturating_sub(b.span.start) {
        return Ok(false);
    }
    let mut sides = [a, b].map(|part| (part, Reader::new(log.source(part.file)), Vec::new()));
    let mut done = 0;
    while done < len {
        let to = len.min(done + PIECE);
        for (part, reader, bytes) in &mut sides {
            let (from, to) = (part.span.start + done, part.span.start + to);
            let name = &log.log.files[part.file].name;
            let read = reader.copy(from..to, bytes);
            read.map_err(|fault| anyhow::anyhow!("{name}, offset {}: {}", fault.at, fault.cause))?;
        }
        if sides[0].2 != sides[1].2 {
            return Ok(false);
        }
        done = to;
    }
    Ok(true)
}
