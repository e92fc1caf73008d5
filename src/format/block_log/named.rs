//! The operations of a transaction in two phases, by its name, which stands only behind them.

use std::ops::Range;

use super::Flavour;
use super::batch::{self, Phase};

/// The operations of a batch that belong to a transaction whose name is `wanted`, its marks included, by their ordinals from 1.
pub fn operations(contents: &[u8], flavour: Flavour, wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Range<u64>> {
    let (mut found, mut begun) = (Vec::new(), None);
    for (nth, operation) in (1..).zip(batch::operations(contents, flavour)) {
        let named = operation.xid().is_some_and(wanted);
        match operation.phase {
            Phase::Begin | Phase::BeginBatch => begun = Some(nth),
            Phase::End => {
                let first = begun.take().unwrap_or(nth);
                found.extend(named.then_some(first..nth + 1));
            }
            Phase::Commit | Phase::Rollback => found.extend(named.then_some(nth..nth + 1)),
            Phase::Plain => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_for_what_lies_in_front_of_it() {
        // PUT, BEGIN_PREPARE, PUT, END_PREPARE, then the commit of another one.
        let batch = b"\0\0\0\0\0\0\0\0\x02\0\0\0\x01\x01a\x01b\x09\x01\x01c\x01d\x0a\x01x\x0b\x01y";
        let of = |name: &'static [u8]| operations(batch, Flavour::RocksDb, &|found| found == name);
        assert_eq!([of(b"x"), of(b"y"), of(b"z")].concat(), [2..5, 5..6]);
        assert!(of(b"z").is_empty());
        assert!(operations(&[], Flavour::RocksDb, &|_| true).is_empty());
    }
}
