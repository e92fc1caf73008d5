//! Which operation on a key counts. That is the one with the highest number, wherever it stands, so the order of a log settles
//! it as long as numbers rise. Where they fall back (a block that is there twice, batches of a time before an earlier
//! recovery) operations are remembered, and RocksDB refuses one that is the same as one before.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::batch::Operation;

/// Operations that are remembered; past that the order of the log has to do.
const REMEMBERED: usize = 1 << 24;

/// Operations from some number on.
#[derive(Default)]
pub struct Order {
    from: u64,
    held: HashSet<u64>,
    newest: HashMap<u64, u64>,
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What the key of an operation is known by.
pub fn key(operation: &Operation<'_>) -> u64 {
    hash(&(operation.family, operation.first))
}

impl Order {
    /// Remembers those from this number on.
    pub fn from(from: u64) -> Order {
        Order { from, ..Order::default() }
    }

    /// Whether there is the very same operation already; from now on there is.
    pub fn repeats(&mut self, operation: &Operation<'_>, seq: u64) -> bool {
        let minded = seq >= self.from && self.held.len() < REMEMBERED && operation.word != "DELETE_RANGE";
        minded && !self.held.insert(hash(&(operation.family, operation.first, seq, operation.word)))
    }

    /// The keys, as [`key`] has them, whose newest operation has a number above this one.
    pub fn above(&self, number: u64) -> HashSet<u64> {
        let above = self.newest.iter().filter(|(_, newest)| **newest > number);
        above.map(|(key, _)| *key).collect()
    }

    /// Whether a newer operation on its key came before.
    pub fn is_outdated(&mut self, operation: &Operation<'_>, seq: u64) -> bool {
        if seq < self.from && self.newest.is_empty() || operation.word == "DELETE_RANGE" {
            return false;
        }
        let key = key(operation);
        let room = seq >= self.from && self.newest.len() < REMEMBERED;
        match self.newest.get_mut(&key) {
            Some(newest) if *newest > seq => return true,
            Some(newest) => *newest = seq,
            None if room => {
                self.newest.insert(key, seq);
            }
            None => {}
        }
        false
    }
}
