//! Tables that lie beside the logs: what each says of itself, all of it read, and whether others have all that it has.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::Flavour;
use super::super::manifest::{Family, LiveTable, user_key};
use super::super::needed::listed;
use super::super::table_file::table_number;
use crate::format::sstable::footer::Footer;
use crate::format::sstable::merged::Merged;
use crate::format::sstable::order::Order;
use crate::format::sstable::ranges::RangeDeletion;
use crate::format::sstable::table::{Expected, Table};
use crate::format::sstable::{SEQUENCE_MAX, internal_key, kind};
use crate::format::{Open, Recatalogue};
use crate::log::bytes::ReadAt;

/// The files of tables, by number.
pub struct Beside<'a> {
    flavour: Flavour,
    files: BTreeMap<u64, File<'a>>,
    open: &'a Open,
}

struct File<'a> {
    name: &'a str,
    /// `None`: it cannot be opened.
    bytes: Option<u64>,
    /// Lowest and highest sequence number, once they were read out of it.
    sequences: OnceCell<Result<[u64; 2], String>>,
}

impl<'a> Beside<'a> {
    /// Those among the files of a store.
    pub fn of(flavour: Flavour, wish: &Recatalogue<'a>) -> Beside<'a> {
        let mut files = BTreeMap::new();
        for (name, number) in wish.beside.iter().filter_map(|name| Some((name, table_number(name)?))) {
            if !files.contains_key(&number) || flavour.table_names(number)[0] == *name {
                let bytes = (wish.open)(name).map(|src| src.size());
                files.insert(number, File { name, bytes, sequences: OnceCell::new() });
            }
        }
        Beside { flavour, files, open: wish.open }
    }

    /// Their numbers.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.files.keys().copied()
    }

    /// The name of a table, there or not.
    pub fn name(&self, number: u64) -> String {
        let there = self.files.get(&number).map(|file| file.name.to_owned());
        there.unwrap_or_else(|| {
            let [usual, _] = self.flavour.table_names(number);
            usual
        })
    }

    /// The names of tables for a sentence.
    pub fn listed(&self, numbers: impl Iterator<Item = u64>) -> String {
        listed(&numbers.map(|number| self.name(number)).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Whether the table is there with all its bytes; what lies in another directory is believed to be.
    pub fn is_whole(&self, table: &LiveTable) -> bool {
        let bytes = self.files.get(&table.number).and_then(|file| file.bytes);
        table.path_id > 0 || bytes.is_some_and(|bytes| table.fits(self.flavour, bytes))
    }

    /// Whether the file is there and does not end like a table.
    pub fn lacks_its_end(&self, number: u64) -> bool {
        self.open(number).is_ok_and(|src| !Footer::is_there(&*src))
    }

    /// Lowest and highest sequence number of a live table; LevelDB's catalogue does not tell.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn sequences(&self, family: &Family, table: &LiveTable) -> Result<[u64; 2], String> {
        let read = || Ok(Found::of(self, table.number, family.comparator.as_deref())?.sequences());
        match (table.sequences, self.files.get(&table.number)) {
            (Some(told), _) => Ok(told),
            (None, Some(file)) => file.sequences.get_or_init(read).clone(),
            (None, None) => read(),
        }
    }

    /// Whether the tables of a family have every version that is in this one, but for the keys that are `gone`. Where nobody can
    /// ask for an older one, versions lose their sequence numbers.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn holds(&self, family: &Family, found: &Found, gone: Option<&KeyRange>) -> Result<bool, String> {
        let range = KeyRange::over(family.order(), [&found.table]);
        let theirs = family.tables.values().filter(|table| range.meets(table) && self.is_whole(table));
        let only = |tables: Vec<&LiveTable>| Family {
            tables: tables.into_iter().map(|table| (table.number, table.clone())).collect(),
            comparator: family.comparator.clone(),
            ..Family::default()
        };
        let (own, theirs) = (only(vec![&found.table]), only(theirs.collect()));
        let open = |table: &LiveTable| self.open(table.number);
        let mut own = Merged::new(&own, &open)?;
        let order = own.order();
        let mut theirs =
            Versions { merged: Merged::new(&theirs, &open)?, key: Vec::new(), all: Vec::new(), ahead: None };
        while let Some(version) = own.next() {
            let item = version.map_err(|error| error.to_string())?.item;
            theirs.seek(order, item.key)?;
            // Beside what a compaction has made of operands they would count twice.
            if gone.is_some() && theirs.all.iter().any(|(_, kind)| *kind == kind::MERGE) {
                return Ok(false);
            }
            let lost = gone.is_some_and(|gone| gone.crosses(item.key, item.key));
            let same = |&(sequence, _): &(u64, u8)| sequence == item.sequence || item.sequence == 0;
            if !lost && !theirs.all.iter().any(same) {
                return Ok(false);
            }
        }
        Ok(!found.ranges)
    }

    fn open(&self, number: u64) -> Result<Box<dyn ReadAt>, String> {
        let file = self.files.get(&number).ok_or("it is not there")?;
        (self.open)(file.name).ok_or_else(|| "it cannot be opened".into())
    }
}

/// The versions of one key after the other.
struct Versions<'a> {
    merged: Merged<'a>,
    key: Vec<u8>,
    /// Sequence numbers and kinds of that key.
    all: Vec<(u64, u8)>,
    /// The first of the next key.
    ahead: Option<(Vec<u8>, u64, u8)>,
}

impl Versions<'_> {
    /// Goes on to a key that is not before the last one; of one that is not there nothing is in `all`.
    fn seek(&mut self, order: Order, key: &[u8]) -> Result<(), String> {
        if self.key == key && !self.all.is_empty() {
            return Ok(());
        }
        self.all.clear();
        self.key.clear();
        self.key.extend_from_slice(key);
        loop {
            if self.ahead.is_none() {
                let Some(next) = self.merged.next() else { return Ok(()) };
                let item = next.map_err(|error| error.to_string())?.item;
                self.ahead = Some((item.key.to_vec(), item.sequence, item.kind));
            }
            let Some((next, sequence, kind)) = &self.ahead else { return Ok(()) };
            match order.compare(next, key) {
                Ordering::Greater => return Ok(()),
                Ordering::Equal => self.all.push((*sequence, *kind)),
                Ordering::Less => {}
            }
            self.ahead = None;
        }
    }
}

/// The user's keys from the first of some tables to the last, both included; of no tables there are none.
pub struct KeyRange {
    order: Order,
    ends: Option<[Vec<u8>; 2]>,
}

impl KeyRange {
    /// All between the first key of these tables and the last.
    pub fn over<'t>(order: Order, tables: impl IntoIterator<Item = &'t LiveTable>) -> KeyRange {
        let (least, most): (Vec<_>, Vec<_>) =
            tables.into_iter().map(|table| (user_key(&table.smallest), user_key(&table.largest))).unzip();
        let least = least.into_iter().min_by(|a, b| order.compare(a, b));
        let most = most.into_iter().max_by(|a, b| order.compare(a, b));
        KeyRange { order, ends: least.zip(most).map(|(least, most)| [least.to_vec(), most.to_vec()]) }
    }

    /// Whether a table has keys in it.
    pub fn meets(&self, table: &LiveTable) -> bool {
        self.crosses(user_key(&table.smallest), user_key(&table.largest))
    }

    fn crosses(&self, from: &[u8], to: &[u8]) -> bool {
        let behind = |key: &[u8], other: &[u8]| self.order.compare(key, other) == Ordering::Greater;
        self.ends.as_ref().is_some_and(|[least, most]| !behind(least, to) && !behind(from, most))
    }
}

/// What a table says of itself, all of it read.
pub struct Found {
    /// Number of the column family.
    pub family: u32,
    /// As a catalogue would tell it, but for its level.
    pub table: LiveTable,
    /// Operands in it may have been merged.
    pub merges: bool,
    /// It has range deletions.
    ranges: bool,
}

impl Found {
    /// Reads the table with this number.
    ///
    /// # Errors
    /// What of it cannot be read, or means more than its keys.
    pub fn of(beside: &Beside<'_>, number: u64, comparator: Option<&[u8]>) -> Result<Found, String> {
        let src = beside.open(number)?;
        let size = src.size();
        let table = Table::open_as(src, Expected { comparator, largest_sequence: None });
        let table = table.map_err(|error| error.to_string())?;
        let properties = table.properties();
        if properties.is_some_and(|properties| properties.external_version.is_some()) {
            return Err("it was ingested, and which sequence number it has is lost".into());
        }
        let family = properties.and_then(|p| u32::try_from(p.family_id?).ok()).unwrap_or(0);
        let operator = properties.and_then(|properties| properties.merge_operator.as_deref());
        let merges = operator.is_some_and(|name| name != b"nullptr");
        let sequences = Some([SEQUENCE_MAX, 0]);
        let live = LiveTable { number, size, sequences, ..LiveTable::default() };
        let mut found = Found { family, table: live, merges, ranges: !table.ranges().is_empty() };
        let mut entries = table.iter().map_err(|error| error.to_string())?;
        while let Some(item) = entries.next() {
            let item = item.map_err(|error| error.to_string())?;
            if item.kind == kind::BLOB_INDEX {
                return Err("it refers to blob files".into());
            }
            found.number(item.sequence);
            // They come in order.
            let LiveTable { smallest, largest, .. } = &mut found.table;
            internal_key(item.key, item.sequence, item.kind, largest);
            if smallest.is_empty() {
                smallest.clone_from(largest);
            }
        }
        table.ranges().iter().for_each(|range| found.widen(table.order(), range));
        if found.table.largest.is_empty() { Err("it holds nothing".into()) } else { Ok(found) }
    }

    /// Lowest and highest sequence number.
    pub fn sequences(&self) -> [u64; 2] {
        self.table.sequences.unwrap_or_default()
    }

    fn number(&mut self, sequence: u64) {
        let [first, last] = self.sequences();
        self.table.sequences = Some([first.min(sequence), last.max(sequence)]);
    }

    fn widen(&mut self, order: Order, range: &RangeDeletion) {
        self.number(range.sequence);
        let [mut from, mut to] = <[Vec<u8>; 2]>::default();
        internal_key(range.from(), range.sequence, kind::RANGE_DELETION, &mut from);
        // No version of the key behind the range belongs to it.
        internal_key(range.to(), SEQUENCE_MAX, kind::RANGE_DELETION, &mut to);
        let LiveTable { smallest, largest, .. } = &mut self.table;
        if smallest.is_empty() || order.follows(smallest, &from) == Some(true) {
            *smallest = from;
        }
        if largest.is_empty() || order.follows(&to, largest) == Some(true) {
            *largest = to;
        }
    }
}
