//! CURRENT and MANIFEST written anew, where they are damaged or gone: from the edits that can be read and, where some cannot
//! be, from the tables that lie there.
//!
//! A lost edit has added or deleted tables. Of tables that no edit speaks of, one is not needed if the logs or the other tables
//! hold all of it; one with numbers of its own was flushed, and goes to level 0; those that lie where tables are gone took their
//! place. Whatever is left open is a doubt, and with a doubt nothing is written unless that is asked for.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::directory::{Directory, number_of};
use super::manifest::{Catalogue, Family, LiveTable, snapshot, table_field, user_key};
use super::tracked::forgotten;
use super::{Flavour, Name, kind_of};
use crate::format::merge::families_of;
use crate::format::sstable::footer::Footer;
use crate::format::sstable::merged::Merged;
use crate::format::sstable::order::Order;
use crate::format::sstable::ranges::RangeDeletion;
use crate::format::sstable::table::{Expected, Table};
use crate::format::sstable::{SEQUENCE_MAX, kind};
use crate::format::{LogFile, Recatalogue, Recatalogued};
use crate::log::bytes::ReadAt;
use crate::log::survey::Survey;

/// Names that a sentence lists.
const LISTED: usize = 4;

/// The files that say which files belong together, written anew as `wish` says.
///
/// # Errors
/// Why they cannot be, or what is doubtful.
pub fn catalogue(
    flavour: Flavour,
    files: &[LogFile<'_>],
    surveys: &[&Survey],
    wish: &Recatalogue<'_>,
) -> Result<Recatalogued, String> {
    let mut made = Recatalogued::default();
    if !wish.rebuilt {
        let (manifest, contents) = forgotten(flavour, files)?;
        made.files.push((files[manifest].name.to_owned(), contents));
        return Ok(made);
    }
    let known = likeliest(flavour, files);
    let Some((manifest, directory)) = known.as_ref().and_then(|known| Some((known.manifest?, known))) else {
        return Err("there is no MANIFEST, and only the engine's own repair makes one from tables: try that on a copy".into());
    };
    let name = files[manifest].name;
    if directory.catalogue.edits == 0 {
        return Err(format!("no edit of {name} can be read"));
    }
    let lost = misses_edits(directory, wish);
    let mut catalogue = directory.catalogue.clone();
    let mut beside = Beside {
        flavour,
        wish,
        catalogue: &mut catalogue,
        readable: directory.broken.is_none(),
        doubts: Vec::new(),
        said: Vec::new(),
    };
    if lost {
        beside.settle(&|from| logged(from, files, surveys));
        beside.doubts.extend(families(directory));
    } else {
        beside.without_missing();
    }
    let (doubts, said) = (beside.doubts, beside.said);
    if !doubts.is_empty() && !wish.force {
        return Err(format!("{}; --force goes on", doubts.join("; ")));
    }
    if lost || !doubts.is_empty() {
        made.said
            .push(format!("{name} is written anew from the edits that can be read: {}.", catalogue.edits));
        made.said.extend(said);
        made.said.extend(doubts.into_iter().map(|doubt| format!("In doubt: {doubt}.")));
        complete(&mut catalogue, files, wish, directory);
        made.files.push((name.to_owned(), snapshot(flavour, &catalogue, wish.untracked)?));
    } else if wish.untracked {
        made.files.push((name.to_owned(), forgotten(flavour, files)?.1));
    }
    let line = format!("{name}\n");
    if Directory::of(flavour, files).current.as_ref() != Some(&line) {
        made.said.push(format!("CURRENT is written: it names {name}."));
        made.files.push(("CURRENT".into(), line.into_bytes()));
    }
    Ok(made)
}

/// What the MANIFEST says that CURRENT names or, where that is not there, the newest.
fn likeliest(flavour: Flavour, files: &[LogFile<'_>]) -> Option<Directory> {
    let known = Directory::read(flavour, files);
    if known.manifest.is_some() {
        return Some(known);
    }
    let manifests = files.iter().enumerate().filter_map(|(i, file)| Some((i, kind_of(file.name)?)));
    let newest =
        manifests.filter(|(_, (name, _))| *name == Name::Manifest).max_by_key(|(_, (_, number))| *number);
    let (manifest, _) = newest?;
    Some(Directory::read_by(flavour, files, Some(manifest)))
}

/// Whether edits are lost: some cannot be read, or what others say and what lies there does not go together without them, as
/// where the file ends between two records.
fn misses_edits(directory: &Directory, wish: &Recatalogue<'_>) -> bool {
    let catalogue = &directory.catalogue;
    let begun = [catalogue.log_number, catalogue.next_file, catalogue.last_sequence];
    let nameless = catalogue.families.iter().any(|(&id, family)| id > 0 && family.name.is_none());
    let mut unnamed = wish.beside.iter().filter_map(|name| table_number(name));
    directory.broken.is_some()
        || catalogue.waiting() > 0
        || begun.contains(&None)
        || nameless
        || !catalogue.unheard_of.is_empty()
        || catalogue.misplaced
        || unnamed.any(|number| !catalogue.added.contains(&number))
        || directory.options.is_some() && families(directory).is_some()
}

/// Column families whose edit may be lost.
fn families(directory: &Directory) -> Option<String> {
    let catalogue = &directory.catalogue;
    let Some(options) = &directory.options else {
        // Families that were dropped before the MANIFEST was begun are not in it.
        let known = catalogue.families.len() as u64;
        let given = catalogue.max_family.map_or(1, |id| u64::from(id) + 1);
        return (known < given).then(|| format!("of {given} column families {known} are known"));
    };
    let known = |name: &[u8]| catalogue.families.values().any(|family| family.name.as_deref() == Some(name));
    let lost: BTreeSet<String> = families_of(options)
        .filter(|name| !known(name))
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .collect();
    (!lost.is_empty()).then(|| format!("OPTIONS names column families that no edit adds ({})", listed(lost)))
}

/// Sequence numbers that logs from this one on hold: ranges in order, first and last.
fn logged(from: u64, files: &[LogFile<'_>], surveys: &[&Survey]) -> Vec<(u64, u64)> {
    let replayed = files.iter().zip(surveys).filter(|(file, _)| number_of(file) >= Some(from));
    let runs = replayed.flat_map(|(_, survey)| &survey.runs).filter(|run| run.next > run.first);
    let mut all: Vec<(u64, u64)> = runs.map(|run| (run.first, run.next - 1)).collect();
    all.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (first, last) in all {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// Numbers that the lost edits would have told.
fn complete(catalogue: &mut Catalogue, files: &[LogFile<'_>], wish: &Recatalogue<'_>, directory: &Directory) {
    let digits =
        |name: &str| name.split(|c: char| !c.is_ascii_digit()).find_map(|part| part.parse::<u64>().ok());
    let names = files.iter().map(|file| file.name).chain(wish.beside.iter().map(String::as_str));
    let highest = names.filter(|name| name.contains(['.', '-'])).filter_map(digits).max().unwrap_or(0);
    catalogue.next_file = catalogue.next_file.max(Some(highest.saturating_add(1)));
    let tables = catalogue.families.values().flat_map(|family| family.tables.values());
    let sequence = tables.filter_map(|table| table.sequences).map(|[_, last]| last).max().unwrap_or(0);
    catalogue.last_sequence = catalogue.last_sequence.max(Some(sequence));
    catalogue.log_number = catalogue.log_number.or(Some(0));
    let ids = catalogue.families.keys().max().copied();
    catalogue.max_family = catalogue.max_family.max(ids.filter(|&id| id > 0));
    let order = directory.option("comparator").map(|order| order.as_bytes().to_vec());
    for family in catalogue.families.values_mut().filter(|family| family.comparator.is_none()) {
        family.comparator = order.clone();
    }
}

/// The tables beside the logs, held against what is left of the catalogue.
struct Beside<'a> {
    flavour: Flavour,
    wish: &'a Recatalogue<'a>,
    catalogue: &'a mut Catalogue,
    /// Every edit that is there can be read.
    readable: bool,
    doubts: Vec<String>,
    said: Vec<String>,
}

impl Beside<'_> {
    fn settle(&mut self, logged: &dyn Fn(u64) -> Vec<(u64, u64)>) {
        // No family needs an older log, so what a lost edit said of one is known.
        let least = self.catalogue.min_log_to_keep.unwrap_or(0);
        let families = self.catalogue.families.values_mut();
        families.for_each(|family| family.log_number = family.log_number.max(least));
        let tables = self.wish.beside.iter().filter_map(|name| Some((table_number(name)?, name)));
        let unnamed: BTreeMap<u64, &String> =
            tables.filter(|(number, _)| !self.catalogue.added.contains(number)).collect();
        let mut pending = Vec::new();
        for (number, name) in unnamed {
            if self.is_unfinished(number) {
                self.said.push(format!("{name} is left out: it was not finished, so no edit adds it."));
                continue;
            }
            match Found::of(self, number, None).and_then(|found| self.place(found, name, logged)) {
                Ok(None) => {}
                Ok(Some(found)) => pending.push(found),
                Err(doubt) => self.doubts.push(format!("{name} is left out: {doubt}")),
            }
        }
        for id in self.ids() {
            let (own, others) = pending.into_iter().partition(|found: &Found| found.family == id);
            pending = others;
            self.replace(id, own);
            self.overlaps(id);
        }
        if !self.catalogue.unheard_of.is_empty() {
            let tables = self.catalogue.unheard_of.iter().map(|&n| self.name(n));
            let tables = listed(tables.collect());
            self.doubts.push(format!(
                "edits that can be read delete tables that none of them adds ({tables}), and what went with them is not known"
            ));
        }
    }

    /// Whether a table was being written when the engine died: it has no end, and an edit adds a table only when all of it is on
    /// the disk. Where an edit is damaged, it may have been another one, and is so surely only if it is the newest.
    fn is_unfinished(&self, number: u64) -> bool {
        let newest = self.catalogue.added.last().max(self.catalogue.unheard_of.last());
        (self.readable || newest.is_none_or(|&newest| number > newest))
            && self.open(number).is_some_and(|src| !Footer::is_there(&*src))
    }

    /// Leaves out the tables that are not there, where no edit is lost.
    fn without_missing(&mut self) {
        self.ids().into_iter().for_each(|id| self.replace(id, Vec::new()));
    }

    fn ids(&self) -> Vec<u32> {
        self.catalogue.families.keys().copied().collect()
    }

    /// Adds a table that was flushed; gives back one of which it is not told yet where it belongs.
    ///
    /// # Errors
    /// Why it belongs nowhere.
    fn place(
        &mut self,
        found: Found,
        name: &str,
        logged: &dyn Fn(u64) -> Vec<(u64, u64)>,
    ) -> Result<Option<Found>, String> {
        let [first, last] = found.sequences();
        if self.catalogue.unheard_of.contains(&found.table.number) {
            self.said.push(format!("{name} is left out: an edit deletes it."));
            return Ok(None);
        }
        let family = self.catalogue.families.get(&found.family).filter(|family| !family.dropped);
        let family = family.ok_or_else(|| format!("column family {} is not known", found.family))?;
        let logged = logged(match self.flavour {
            Flavour::RocksDb => family.log_number,
            Flavour::LevelDb => self.catalogue.log_number.unwrap_or(0),
        });
        if logged.iter().any(|&(from, to)| from <= first && last <= to) {
            self.said.push(format!("{name} is left out: the logs hold all of it."));
            return Ok(None);
        }
        if self.holds(family, &found, None)? {
            self.said.push(format!("{name} is left out: the tables that count hold all of it."));
            return Ok(None);
        }
        if logged.iter().any(|&(from, to)| from <= last && first <= to) {
            return Err("the logs hold a part of it".into());
        }
        // No flush leaves sequence numbers out.
        if first == 0 {
            return Ok(Some(found));
        }
        let Some(level) = self.level(family, &found)? else { return Ok(Some(found)) };
        self.said.push(format!("{name} was flushed and its edit is lost: it is added at level {level}."));
        self.add(found, level);
        Ok(None)
    }

    /// Where a table belongs that was flushed: below all that is newer, above all that is older; `None`: there is no such level.
    fn level(&self, family: &Family, found: &Found) -> Result<Option<u32>, String> {
        /// The last one of most stores.
        const DEEPEST: u32 = 6;
        let (order, [first, last]) = (family.order(), found.sequences());
        let Some(range) = range_of(order, std::slice::from_ref(&found.table)) else { return Ok(None) };
        let (mut level, mut older) = (0, u32::MAX);
        for table in family.tables.values().filter(|table| self.is_whole(table)) {
            if table.level > 0 && !meets(order, &range, table) {
                continue;
            }
            let [from, to] = self.sequences(family, table)?;
            match (from > last, to < first) {
                (true, _) if table.level > 0 => level = level.max(table.level + 1),
                (true, _) => {}
                (_, true) => older = older.min(table.level),
                _ => return Ok(None),
            }
        }
        Ok(Some(level).filter(|&level| level == 0 || level < older && level <= DEEPEST))
    }

    /// Whether the other tables have every version that is in this one, but for keys from the first to the second of `gone`.
    /// Where nobody can ask for an older one, versions lose their sequence numbers.
    fn holds(&self, family: &Family, found: &Found, gone: Option<&[Vec<u8>; 2]>) -> Result<bool, String> {
        let open = |table: &LiveTable| self.open(table.number).ok_or_else(|| "is not there".to_owned());
        let only = |tables: BTreeMap<u64, LiveTable>| Family {
            tables,
            comparator: family.comparator.clone(),
            ..Family::default()
        };
        let range = range_of(family.order(), std::slice::from_ref(&found.table));
        let beside =
            |table: &LiveTable| range.as_ref().is_some_and(|range| meets(family.order(), range, table));
        let there = family.tables.iter().filter(|(_, table)| beside(table) && self.is_whole(table));
        let there = only(there.map(|(&number, table)| (number, table.clone())).collect());
        let this = only(BTreeMap::from([(found.table.number, found.table.clone())]));
        let mut own = Merged::new(&this, &open)?;
        let order = own.order();
        let mut theirs =
            Versions { merged: Merged::new(&there, &open)?, key: Vec::new(), all: Vec::new(), ahead: None };
        while let Some(version) = own.next() {
            let item = version.map_err(|error| error.to_string())?.item;
            theirs.seek(order, item.key)?;
            // Beside what a compaction has made of operands they would count twice.
            if gone.is_some() && theirs.all.iter().any(|(_, kind)| *kind == kind::MERGE) {
                return Ok(false);
            }
            let lost = gone.is_some_and(|[least, most]| {
                order.compare(least, item.key) != Ordering::Greater
                    && order.compare(item.key, most) != Ordering::Greater
            });
            let same = |&(sequence, _): &(u64, u8)| sequence == item.sequence || item.sequence == 0;
            if !lost && !theirs.all.iter().any(same) {
                return Ok(false);
            }
        }
        Ok(!found.ranges)
    }

    /// Puts tables in the place of those that are gone: a compaction made them of those.
    fn replace(&mut self, id: u32, tables: Vec<Found>) {
        let Some(family) = self.catalogue.families.get(&id).filter(|family| !family.dropped) else { return };
        let gone: Vec<LiveTable> =
            family.tables.values().filter(|table| !self.is_whole(table)).cloned().collect();
        let names = |numbers: Vec<u64>| listed(numbers.into_iter().map(|number| self.name(number)).collect());
        let (lost, found) = (
            names(gone.iter().map(|table| table.number).collect()),
            names(tables.iter().map(|found| found.table.number).collect()),
        );
        let (order, all) =
            (family.order(), tables.iter().map(|found| found.table.clone()).collect::<Vec<_>>());
        let range = range_of(order, if gone.is_empty() { &all } else { &gone });
        let deep = |table: &LiveTable| {
            range.as_ref().is_some_and(|range| table.level > 0 && meets(order, range, table))
        };
        let proved = |found: &Found| self.holds(family, found, range.as_ref()) == Ok(true);
        let proved = !tables.is_empty() && tables.iter().all(proved);
        let (doubt, placed) = match (gone.is_empty(), tables.is_empty()) {
            (true, true) => return,
            // What it was made of no edit tells, so neither how deep it belongs.
            (true, false) if proved && !family.tables.values().any(deep) => (None, true),
            (true, false) => {
                (Some(format!("where {found} belongs is not known, so that is left out")), false)
            }
            (false, true) => (
                Some(format!("tables that count are not there as they were: {lost}; they are left out")),
                false,
            ),
            (false, false) if proved => (None, true),
            (false, false) => {
                (Some(format!("{found} may stand for {lost}, which are gone, and hold more")), true)
            }
        };
        match doubt {
            Some(doubt) => self.doubts.push(doubt),
            None if gone.is_empty() => {
                self.said.push(format!("{found} is added: a compaction whose edits are lost."));
            }
            None => {
                self.said.push(format!("{found} takes the place of {lost}: a compaction whose edit is lost."))
            }
        }
        if let Some(family) = self.catalogue.families.get_mut(&id) {
            gone.iter().for_each(|table| drop(family.tables.remove(&table.number)));
        }
        let level = gone.iter().map(|table| table.level).max().unwrap_or(0).max(1);
        if placed {
            tables.into_iter().for_each(|found| self.add(found, level));
        }
    }

    /// Tables of a level other than the first must not overlap.
    fn overlaps(&mut self, id: u32) {
        let Some(family) = self.catalogue.families.get(&id) else { return };
        let order = family.order();
        let mut tables: Vec<&LiveTable> = family.tables.values().filter(|table| table.level > 0).collect();
        tables.sort_by(|a, b| a.level.cmp(&b.level).then_with(|| order.internals(&a.smallest, &b.smallest)));
        let crossed = tables.windows(2).filter(|pair| {
            pair[0].level == pair[1].level && order.follows(&pair[1].smallest, &pair[0].largest) != Some(true)
        });
        let crossed: BTreeSet<String> = crossed.flatten().map(|table| self.name(table.number)).collect();
        if !crossed.is_empty() {
            self.doubts.push(format!("{} overlap in their level, which no engine opens", listed(crossed)));
        }
    }

    fn add(&mut self, found: Found, level: u32) {
        let Found { family, table, .. } = found;
        let sequences = table.sequences.filter(|_| self.flavour == Flavour::RocksDb);
        let field = table_field(level, &table, sequences);
        let last = table.sequences.map(|[_, last]| last);
        self.catalogue.last_sequence = self.catalogue.last_sequence.max(last);
        if let Some(family) = self.catalogue.families.get_mut(&family) {
            family.tables.insert(table.number, LiveTable { level, field, ..table });
        }
    }

    /// Lowest and highest sequence number; LevelDB's catalogue does not tell.
    fn sequences(&self, family: &Family, table: &LiveTable) -> Result<[u64; 2], String> {
        let told = table.sequences;
        told.map_or_else(|| Ok(Found::of(self, table.number, family.comparator.as_deref())?.sequences()), Ok)
    }

    /// Whether the table is there with all its bytes; what lies in another directory is believed to be.
    fn is_whole(&self, table: &LiveTable) -> bool {
        let size = self.open(table.number).map(|src| src.size());
        // LevelDB looks for the end where the catalogue says that it is.
        let longer = self.flavour == Flavour::LevelDb && size > Some(table.size);
        table.path_id > 0 || longer || size == Some(table.size)
    }

    fn open(&self, number: u64) -> Option<Box<dyn ReadAt>> {
        let name = self.wish.beside.iter().find(|name| table_number(name) == Some(number))?;
        (self.wish.open)(name)
    }

    fn name(&self, number: u64) -> String {
        let there = self.wish.beside.iter().find(|name| table_number(name) == Some(number));
        let ending = if self.flavour == Flavour::RocksDb { "sst" } else { "ldb" };
        there.cloned().unwrap_or_else(|| format!("{number:06}.{ending}"))
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

/// Whether a table has keys in a range.
fn meets(order: Order, [least, most]: &[Vec<u8>; 2], table: &LiveTable) -> bool {
    order.compare(least, user_key(&table.largest)) != Ordering::Greater
        && order.compare(user_key(&table.smallest), most) != Ordering::Greater
}

/// The first and the last key of tables.
fn range_of(order: Order, tables: &[LiveTable]) -> Option<[Vec<u8>; 2]> {
    let least = tables.iter().map(|table| user_key(&table.smallest)).min_by(|a, b| order.compare(a, b))?;
    let most = tables.iter().map(|table| user_key(&table.largest)).max_by(|a, b| order.compare(a, b))?;
    Some([least.to_vec(), most.to_vec()])
}

/// What a table says of itself, all of it read.
struct Found {
    family: u32,
    table: LiveTable,
    /// It has range deletions.
    ranges: bool,
}

impl Found {
    /// # Errors
    /// What of it cannot be read, or means more than its keys.
    fn of(beside: &Beside<'_>, number: u64, comparator: Option<&[u8]>) -> Result<Found, String> {
        let src = beside.open(number).ok_or("it cannot be opened")?;
        let size = src.size();
        let table = Table::open_as(src, Expected { comparator, largest_sequence: None });
        let table = table.map_err(|error| error.to_string())?;
        let properties = table.properties();
        if properties.is_some_and(|properties| properties.external_version.is_some()) {
            return Err("it was ingested, and which sequence number it has is lost".into());
        }
        let family = properties.and_then(|p| u32::try_from(p.family_id?).ok()).unwrap_or(0);
        let sequences = Some([SEQUENCE_MAX, 0]);
        let live = LiveTable { number, size, sequences, ..LiveTable::default() };
        let mut found = Found { family, table: live, ranges: !table.ranges().is_empty() };
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

    fn sequences(&self) -> [u64; 2] {
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

/// A key as tables have it; in place of what `out` holds.
fn internal_key(key: &[u8], sequence: u64, kind: u8, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(key);
    out.extend_from_slice(&((sequence << 8) | u64::from(kind)).to_le_bytes());
}

/// The number of a table by its name.
fn table_number(name: &str) -> Option<u64> {
    let stem = name.strip_suffix(".sst").or(name.strip_suffix(".ldb"))?;
    stem.parse().ok().filter(|_| stem.bytes().all(|b| b.is_ascii_digit()))
}

fn listed(names: BTreeSet<String>) -> String {
    let first: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}
