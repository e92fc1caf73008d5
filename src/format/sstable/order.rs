//! The order of keys, by the names that databases give it.

use std::cmp::Ordering;

use super::internal;

/// An order that is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Byte by byte.
    #[default]
    Bytewise,
    /// The other way round.
    Reverse,
}

impl Order {
    /// The order with this name; `None` for one that the user programmed, or that has timestamps behind the keys.
    pub fn named(comparator: &[u8]) -> Option<Order> {
        match comparator {
            b"leveldb.BytewiseComparator" => Some(Order::Bytewise),
            b"rocksdb.ReverseBytewiseComparator" => Some(Order::Reverse),
            _ => None,
        }
    }

    /// Why [`Order::named`] knows no order of this name.
    pub fn unknown(comparator: &[u8]) -> String {
        let name = comparator.escape_ascii();
        match comparator.ends_with(b".u64ts") {
            true => format!("keys with timestamps ({name}) are not understood"),
            false => format!("the order of keys is {name}, which is not understood"),
        }
    }

    /// Compares two of the user's keys.
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Order::Bytewise => a.cmp(b),
            Order::Reverse => b.cmp(a),
        }
    }

    /// Whether one internal key stands behind another; `None` where one of them is none.
    pub fn follows(self, key: &[u8], before: &[u8]) -> Option<bool> {
        Some(self.versions(internal(before)?, internal(key)?) == Ordering::Less)
    }

    /// Compares internal keys; what is none stands in front.
    pub fn internals(self, a: &[u8], b: &[u8]) -> Ordering {
        match (internal(a), internal(b)) {
            (Some(a), Some(b)) => self.versions(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// Compares versions: by key, the newest of a key first.
    pub fn versions(self, a: (&[u8], u64, u8), b: (&[u8], u64, u8)) -> Ordering {
        self.compare(a.0, b.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2))
    }
}
