//! Deletions of ranges of keys.

use std::cmp::Ordering;

use super::order::Order;
use super::{SEQUENCE_MAX, internal, kind};

/// A place between versions: before all versions of a key that are older than `sequence`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    key: Vec<u8>,
    /// The newest version behind the bound; `None`: all versions are behind it.
    sequence: Option<u64>,
}

impl Bound {
    /// Whether a version stands behind the bound, or right at it.
    fn is_before(&self, order: Order, key: &[u8], sequence: u64) -> bool {
        match order.compare(&self.key, key) {
            Ordering::Less => true,
            Ordering::Equal => self.sequence.is_none_or(|newest| sequence <= newest),
            Ordering::Greater => false,
        }
    }
}

/// All versions of the keys in a range that are older than the deletion are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeDeletion {
    from: Bound,
    to: Bound,
    /// Sequence number of the deletion.
    pub sequence: u64,
}

impl RangeDeletion {
    /// Deletes from `from` up to `to`, exclusive.
    pub fn new(from: &[u8], to: &[u8], sequence: u64) -> Self {
        let bound = |key: &[u8]| Bound { key: key.to_vec(), sequence: None };
        RangeDeletion { from: bound(from), to: bound(to), sequence }
    }

    /// First key of the range.
    pub fn from(&self) -> &[u8] {
        &self.from.key
    }

    /// The key behind the range; its older versions may still belong to it where a table was cut inside a key.
    pub fn to(&self) -> &[u8] {
        &self.to.key
    }

    /// Bytes that it takes in memory.
    pub fn weight(&self) -> usize {
        self.from.key.len() + self.to.key.len() + size_of::<Self>()
    }

    /// Whether it deletes this version.
    pub fn covers(&self, order: Order, key: &[u8], sequence: u64) -> bool {
        sequence < self.sequence
            && self.from.is_before(order, key, sequence)
            && !self.to.is_before(order, key, sequence)
    }

    /// Whether no version of `key` or of a key behind it is in the range.
    pub fn is_over(&self, order: Order, key: &[u8]) -> bool {
        order.compare(&self.to.key, key) == Ordering::Less
    }

    /// Cuts the range to the bounds of its table, as the MANIFEST tells them: older engines write one deletion into every
    /// table that it touches, and only those bounds say how much of it still holds there.
    pub fn clip(&mut self, order: Order, smallest: &[u8], largest: &[u8]) {
        if let Some((key, sequence, _)) = internal(smallest)
            && order.compare(&self.from.key, key) == Ordering::Less
        {
            self.from = Bound { key: key.to_vec(), sequence: Some(sequence) };
        }
        let Some((key, sequence, found)) = internal(largest) else { return };
        // The last key of a table is either its own, and then inside, or the end of a range deletion, and outside.
        let outside = found == kind::RANGE_DELETION && sequence == SEQUENCE_MAX;
        if order.compare(&self.to.key, key) == Ordering::Greater {
            let newest = if outside { None } else { Some(sequence.saturating_sub(1)) };
            self.to = Bound { key: key.to_vec(), sequence: newest };
        }
    }
}
