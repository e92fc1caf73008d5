//! All versions of all keys of one column family, out of its live tables: keys ascending, the newest version first.
//!
//! Tables of level 0 overlap, so each is a run of its own. Those of a deeper level follow each other and make one run
//! together, of which one table is open at a time.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;

use super::order::Order;
use super::ranges::RangeDeletion;
use super::table::{Expected, Position, Table};
use super::{Item, TableError};
use crate::format::block_log::manifest::{Family, LiveTable};
use crate::log::bytes::ReadAt;

/// A table that cannot be read, or not as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedError {
    /// Number in the table's name.
    pub table: u64,
    /// Why.
    pub error: TableError,
}

impl fmt::Display for MergedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}: {}", self.table, self.error)
    }
}

impl std::error::Error for MergedError {}

/// Opens the file of a table; the text says why that fails.
pub type Opener<'a> = dyn Fn(&LiveTable) -> Result<Box<dyn ReadAt>, String> + 'a;

/// One version, and whether a range deletion hides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The entry.
    pub item: Item<'a>,
    /// Sequence number of the newest range deletion over it.
    pub deleted_by: Option<u64>,
}

/// Walks through the tables of a family side by side.
pub struct Merged<'a> {
    heap: BinaryHeap<Run<'a>>,
    shared: Shared<'a>,
    /// The first run's entry has been given out.
    given: bool,
}

/// What all runs need and add to.
struct Shared<'a> {
    open: &'a Opener<'a>,
    order: Order,
    comparator: Option<Vec<u8>>,
    ranges: Vec<RangeDeletion>,
    errors: VecDeque<MergedError>,
}

impl<'a> Merged<'a> {
    /// The live tables of `family`.
    ///
    /// # Errors
    /// The order of keys is not understood.
    pub fn new(family: &Family, open: &'a Opener<'a>) -> Result<Merged<'a>, String> {
        let order = match &family.comparator {
            Some(name) => Order::named(name).ok_or_else(|| Order::unknown(name))?,
            None => Order::Bytewise,
        };
        let (ranges, errors) = (Vec::new(), VecDeque::new());
        let mut shared = Shared { open, order, comparator: family.comparator.clone(), ranges, errors };
        let mut heap = BinaryHeap::new();
        for tables in runs(family, order) {
            let mut run = Run { order, tables, table: None, position: None, last: Vec::new() };
            if run.advance(&mut shared) {
                heap.push(run);
            }
        }
        Ok(Merged { heap, shared, given: false })
    }

    /// The order of keys.
    pub fn order(&self) -> Order {
        self.shared.order
    }

    /// The next version. Errors come in between; what follows them is what could be read.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend what it holds")]
    pub fn next(&mut self) -> Option<Result<Version<'_>, MergedError>> {
        if self.given
            && let Some(mut first) = self.heap.peek_mut()
        {
            self.given = false;
            if !first.advance(&mut self.shared) {
                PeekMut::pop(first);
            }
        }
        if let Some(error) = self.shared.errors.pop_front() {
            return Some(Err(error));
        }
        let item = self.heap.peek()?.item()?;
        self.given = true;
        let order = self.shared.order;
        let ranges = &mut self.shared.ranges;
        ranges.retain(|range| !range.is_over(order, item.key));
        let over = ranges.iter().filter(|range| range.covers(order, item.key, item.sequence));
        Some(Ok(Version { item, deleted_by: over.map(|range| range.sequence).max() }))
    }
}

/// The tables of a family as runs, each in the order of its keys.
fn runs(family: &Family, order: Order) -> Vec<VecDeque<LiveTable>> {
    let mut levels: BTreeMap<u32, Vec<LiveTable>> = BTreeMap::new();
    for table in family.tables.values() {
        levels.entry(table.level).or_default().push(table.clone());
    }
    let mut runs = Vec::new();
    for (level, mut tables) in levels {
        if level == 0 {
            runs.extend(tables.into_iter().map(|table| VecDeque::from([table])));
            continue;
        }
        // One key may end a table and begin the next one, which holds older versions of it.
        tables.sort_by(|a, b| order.internals(&a.smallest, &b.smallest));
        runs.push(tables.into());
    }
    runs
}

/// Tables that follow each other.
struct Run<'a> {
    order: Order,
    tables: VecDeque<LiveTable>,
    table: Option<(LiveTable, Table<'a>)>,
    position: Option<Position>,
    /// The last internal key of the table before.
    last: Vec<u8>,
}

impl<'a> Run<'a> {
    /// The entry that it stands at.
    fn item(&self) -> Option<Item<'_>> {
        self.position.as_ref()?.item(&self.table.as_ref()?.1)
    }

    /// Goes to the next entry of the run; false behind the last.
    fn advance(&mut self, shared: &mut Shared<'a>) -> bool {
        loop {
            let (Some((live, table)), Some(position)) = (&self.table, &mut self.position) else {
                let Some(next) = self.tables.pop_front() else { return false };
                self.enter(next, shared);
                continue;
            };
            let fresh = position.last_key().is_empty();
            let more = position.advance(table);
            let own = position.last_key();
            if matches!(more, Ok(true)) && !(fresh && self.order.follows(own, &self.last) == Some(false)) {
                return true;
            }
            match more {
                Err(error) => {
                    shared.errors.push_back(MergedError { table: live.number, error });
                    continue;
                }
                Ok(true) => {
                    let error =
                        TableError::new(0, "it overlaps the table before it in its level; it is left out");
                    shared.errors.push_back(MergedError { table: live.number, error });
                }
                Ok(false) if own.is_empty() => {}
                Ok(false) => self.last = own.to_vec(),
            }
            self.table = None;
            self.position = None;
        }
    }

    /// Opens the next table of the run.
    fn enter(&mut self, next: LiveTable, shared: &mut Shared<'a>) {
        let fail = |what: String| TableError::new(0, what);
        let expected = Expected {
            comparator: shared.comparator.as_deref(),
            largest_sequence: next.sequences.map(|[_, largest]| largest),
        };
        let opened = (shared.open)(&next).map_err(fail).and_then(|src| {
            let table = Table::open_as(src, expected)?;
            if table.order() != self.order {
                return Err(fail("its keys are in another order than the family's".into()));
            }
            let position = Position::start(&table)?;
            Ok((table, position))
        });
        match opened {
            Ok((table, position)) => {
                for range in table.ranges() {
                    let mut range = range.clone();
                    range.clip(self.order, &next.smallest, &next.largest);
                    shared.ranges.push(range);
                }
                self.table = Some((next, table));
                self.position = Some(position);
            }
            Err(error) => shared.errors.push_back(MergedError { table: next.number, error }),
        }
    }
}

// The heap gives the greatest: that is the run with the first entry.
impl Ord for Run<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.item(), other.item()) {
            (Some(a), Some(b)) => {
                self.order.versions((b.key, b.sequence, b.kind), (a.key, a.sequence, a.kind))
            }
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}

impl PartialOrd for Run<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Run<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Run<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_share_a_key_follow_each_other_from_its_newest_version_on() {
        let table = |number: u64, sequence: u64| {
            let key = [&b"key"[..], &(sequence << 8 | 1).to_le_bytes()].concat();
            (
                number,
                LiveTable { level: 1, number, smallest: key.clone(), largest: key, ..LiveTable::default() },
            )
        };
        let tables = BTreeMap::from([table(13, 1), table(15, 3)]);
        let runs = runs(&Family { tables, ..Family::default() }, Order::Bytewise);
        let numbers: Vec<u64> = runs.iter().flatten().map(|table| table.number).collect();
        assert_eq!((runs.len(), numbers), (1, vec![15, 13]));
    }
}
