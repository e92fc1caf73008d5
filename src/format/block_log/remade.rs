//! CURRENT and MANIFEST written anew, where they are damaged or gone: from the edits that can be read and, where some cannot
//! be, from the tables that lie there.
//!
//! A lost edit has added or deleted tables. Of tables that no edit speaks of, one is not needed if the logs or the other tables
//! hold all of it; one with numbers of its own was flushed, and goes below all that is newer and above all that is older; those
//! that lie where tables are gone took their place. Whatever is left open is a doubt, and with a doubt nothing is written unless
//! that is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use self::found::{Beside, Found, KeyRange};
use self::logged::Logged;
use super::directory::{Directory, newest, number_of};
use super::manifest::{Catalogue, Family, LiveTable, snapshot, table_field};
use super::needed::listed;
use super::tracked::forgotten;
use super::{Flavour, Name};
use crate::format::merge::families_of;
use crate::format::{LogFile, Recatalogue, Recatalogued};
use crate::log::survey::Survey;

mod found;
mod logged;

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
        let manifest = &files[Directory::of(flavour, files).manifest.ok_or("there is none")?];
        made.files.push((manifest.name.to_owned(), forgotten(flavour, manifest)?));
        return Ok(made);
    }
    let directory = likeliest(flavour, files);
    let none =
        "there is no MANIFEST, and only the engine's own repair makes one from tables: try that on a copy";
    let manifest = &files[directory.manifest.ok_or(none)?];
    let name = manifest.name;
    if directory.catalogue.edits == 0 {
        return Err(format!("no edit of {name} can be read"));
    }
    let beside = Beside::of(flavour, wish);
    let mut rebuild = Rebuild::new(&directory, &beside, Logged::of(files, surveys));
    let lost = misses_edits(&directory, &beside);
    if lost {
        rebuild.settle();
        if let Some((doubt, unknown)) = families(&directory) {
            rebuild.lost |= unknown;
            rebuild.doubts.push(doubt);
        }
    } else {
        rebuild.without_missing();
    }
    (made.due, made.lost) = (rebuild.due(), rebuild.lost);
    let Rebuild { mut catalogue, doubts, said, .. } = rebuild;
    if !doubts.is_empty() && !wish.force {
        return Err(format!("{}; --force goes on", doubts.join("; ")));
    }
    if lost || !doubts.is_empty() {
        let edits = catalogue.edits;
        made.said.push(format!("{name} is written anew from the edits that can be read: {edits}."));
        made.said.extend(said);
        made.said.extend(doubts.into_iter().map(|doubt| format!("In doubt: {doubt}.")));
        complete(&mut catalogue, files, wish, &directory);
        made.said.extend(let_go(flavour, &mut catalogue, files));
        made.files.push((name.to_owned(), snapshot(flavour, &catalogue, wish.untracked)?));
    } else if wish.untracked {
        made.files.push((name.to_owned(), forgotten(flavour, manifest)?));
    }
    let line = format!("{name}\n");
    if directory.current.as_ref() != Some(&line) {
        made.said.push(format!("CURRENT is written: it names {name}."));
        made.files.push(("CURRENT".into(), line.into_bytes()));
    }
    Ok(made)
}

/// What the MANIFEST says that CURRENT names or, where that is not there, the newest.
fn likeliest(flavour: Flavour, files: &[LogFile<'_>]) -> Arc<Directory> {
    let known = Directory::of(flavour, files);
    let other = newest(Name::Manifest, files).filter(|_| known.manifest.is_none());
    other.map_or(known, |other| Arc::new(Directory::read_by(flavour, files, Some(other))))
}

/// Whether edits are lost: some cannot be read, or what others say and what lies there does not go together without them, as
/// where the file ends between two records.
fn misses_edits(directory: &Directory, beside: &Beside<'_>) -> bool {
    let catalogue = &directory.catalogue;
    let begun = [catalogue.log_number, catalogue.next_file, catalogue.last_sequence];
    let nameless = catalogue.families.iter().any(|(&id, family)| id > 0 && family.name.is_none());
    directory.broken.is_some()
        || catalogue.waiting() > 0
        || begun.contains(&None)
        || nameless
        || !catalogue.unheard_of.is_empty()
        || catalogue.misplaced
        || beside.numbers().any(|number| !catalogue.added.contains(&number))
        || directory.options.is_some() && families(directory).is_some()
}

/// Column families whose edit may be lost, and whether there are some that are not known for that.
fn families(directory: &Directory) -> Option<(String, bool)> {
    let catalogue = &directory.catalogue;
    let Some(options) = &directory.options else {
        // Families that were dropped before the MANIFEST was begun are not in it.
        let known = catalogue.families.len() as u64;
        let given = catalogue.max_family.map_or(1, |id| u64::from(id) + 1);
        return (known < given).then(|| (format!("of {given} column families {known} are known"), true));
    };
    let named: BTreeSet<Vec<u8>> = families_of(options).collect();
    let families = || catalogue.families.values();
    let added: BTreeSet<Vec<u8>> = families().filter_map(|family| family.name.clone()).collect();
    let living = families().filter(|family| !family.dropped);
    let living: BTreeSet<Vec<u8>> = living.filter_map(|family| family.name.clone()).collect();
    let but = |some: &BTreeSet<Vec<u8>>, others| {
        let names = some.difference(others).map(|name| String::from_utf8_lossy(name).into_owned());
        listed(&names.collect::<Vec<_>>())
    };
    let begun = but(&named, &added)
        .map(|names| (format!("OPTIONS names column families that no edit adds ({names})"), true));
    let ended = || {
        but(&living, &named)
            .map(|names| (format!("no edit drops column families that OPTIONS lacks ({names})"), false))
    };
    begun.or_else(ended)
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

/// A lost edit may have let go logs that are not there: those that are there are all that is still counted on.
fn let_go(flavour: Flavour, catalogue: &mut Catalogue, files: &[LogFile<'_>]) -> Option<String> {
    let oldest = match flavour {
        Flavour::LevelDb => &mut catalogue.log_number,
        Flavour::RocksDb => &mut catalogue.min_log_to_keep,
    };
    let before = oldest.filter(|&log| log > 0)?;
    let first = files.iter().filter_map(number_of).filter(|&log| log >= before).min()?;
    *oldest = Some(first);
    (before < first).then(|| {
        format!("{before:06}.log is not there, and counted on no more: the logs begin with {first:06}.log.")
    })
}

/// Where a table belongs that no edit speaks of.
enum Place {
    /// It is not needed, and why.
    Nowhere(&'static str),
    /// It was flushed.
    Level(Found, u32),
    /// Only what else there is can tell.
    Open(Found),
}

/// What is left of the catalogue, held against the tables beside the logs.
struct Rebuild<'a> {
    directory: &'a Directory,
    beside: &'a Beside<'a>,
    logged: Logged,
    catalogue: Catalogue,
    /// First and last sequence numbers of tables that were flushed.
    flushed: BTreeSet<[u64; 2]>,
    /// Tables are gone for which no other stands for sure, or are left out though they may be needed; or a column family is not
    /// known.
    lost: bool,
    doubts: Vec<String>,
    said: Vec<String>,
}

impl<'a> Rebuild<'a> {
    fn new(directory: &'a Directory, beside: &'a Beside<'a>, logged: Logged) -> Rebuild<'a> {
        Rebuild {
            directory,
            beside,
            logged,
            catalogue: directory.catalogue.clone(),
            flushed: BTreeSet::new(),
            lost: false,
            doubts: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Leaves out the tables that are not there, where no edit is lost.
    fn without_missing(&mut self) {
        self.ids().into_iter().for_each(|id| self.replace(id, Vec::new()));
    }

    fn settle(&mut self) {
        // No family needs an older log, so what a lost edit said of one is known.
        let least = self.catalogue.min_log_to_keep.unwrap_or(0);
        let families = self.catalogue.families.values_mut();
        families.for_each(|family| family.log_number = family.log_number.max(least));
        let mut pending = Vec::new();
        for number in self.beside.numbers() {
            if self.catalogue.added.contains(&number) {
                continue;
            }
            let name = self.beside.name(number);
            match self.place(number) {
                Ok(Place::Nowhere(why)) => self.said.push(format!("{name} is left out: {why}.")),
                Ok(Place::Level(found, level)) => {
                    let how = "was flushed and its edit is lost: it is added at level";
                    self.said.push(format!("{name} {how} {level}."));
                    self.flushed.insert(found.sequences());
                    self.add(found, level);
                }
                Ok(Place::Open(found)) => pending.push(found),
                Err(doubt) => {
                    self.lost = true;
                    self.doubts.push(format!("{name} is left out: {doubt}"));
                }
            }
        }
        for id in self.ids() {
            let (own, others) = pending.into_iter().partition(|found: &Found| found.family == id);
            pending = others;
            self.replace(id, own);
            self.overlaps(id);
        }
        if !self.catalogue.unheard_of.is_empty() {
            let tables = self.beside.listed(self.catalogue.unheard_of.iter().copied());
            self.doubts.push(format!(
                "edits that can be read delete tables that none of them adds ({tables}), and what went with them is not known"
            ));
        }
    }

    /// The number behind those that the catalogue tells and those that go on behind them in tables. What was written over in
    /// memory RocksDB does not flush.
    fn due(&self) -> u64 {
        let holes = self.directory.flavour == Flavour::RocksDb;
        let mut due = self.directory.catalogue.last_sequence.map_or(0, |last| last.saturating_add(1));
        for &[first, last] in &self.flushed {
            due = if holes || first <= due { due.max(last.saturating_add(1)) } else { due };
        }
        due
    }

    fn ids(&self) -> Vec<u32> {
        self.catalogue.families.keys().copied().collect()
    }

    /// # Errors
    /// Why a table belongs nowhere, though what it holds may be needed.
    fn place(&self, number: u64) -> Result<Place, String> {
        if self.is_unfinished(number) {
            return Ok(Place::Nowhere("it was not finished, so no edit adds it"));
        }
        if self.catalogue.unheard_of.contains(&number) {
            return Ok(Place::Nowhere("an edit deletes it"));
        }
        let found = Found::of(self.beside, number, None)?;
        let family = self.catalogue.families.get(&found.family).filter(|family| !family.dropped);
        let family = family.ok_or_else(|| format!("column family {} is not known", found.family))?;
        let [first, last] = found.sequences();
        let logged = self.logged.count(self.oldest_log(family), [first, last]);
        if logged > last - first {
            return Ok(Place::Nowhere("the logs hold all of it"));
        }
        if self.beside.holds(family, &found, None)? {
            return Ok(Place::Nowhere("the tables that count hold all of it"));
        }
        if logged > 0 {
            return Err("the logs hold a part of it".into());
        }
        Ok(match self.level(family, &found)? {
            Some(level) => Place::Level(found, level),
            None => Place::Open(found),
        })
    }

    /// The number of the oldest log that counts for a family.
    fn oldest_log(&self, family: &Family) -> u64 {
        match self.directory.flavour {
            Flavour::RocksDb => family.log_number,
            Flavour::LevelDb => self.catalogue.log_number.unwrap_or(0),
        }
    }

    /// Whether a table was being written when the engine died: it has no end, and an edit adds a table only when all of it is on
    /// the disk. Where an edit is damaged, it may have been another one, and is so surely only if it is the newest.
    fn is_unfinished(&self, number: u64) -> bool {
        let newest = self.catalogue.added.last().max(self.catalogue.unheard_of.last());
        let readable = self.directory.broken.is_none();
        (readable || newest.is_none_or(|&newest| number > newest)) && self.beside.lacks_its_end(number)
    }

    /// Where a table belongs that was flushed: below all that is newer, above all that is older; `None`: there is no such level,
    /// or it was not flushed.
    fn level(&self, family: &Family, found: &Found) -> Result<Option<u32>, String> {
        /// The last one of most stores.
        const DEEPEST: u32 = 6;
        let [first, last] = found.sequences();
        // No flush leaves sequence numbers out.
        if first == 0 {
            return Ok(None);
        }
        let range = KeyRange::over(family.order(), [&found.table]);
        let (mut level, mut older) = (0, u32::MAX);
        for table in family.tables.values().filter(|table| self.beside.is_whole(table)) {
            if table.level > 0 && !range.meets(table) {
                continue;
            }
            let [from, to] = self.beside.sequences(family, table)?;
            match (from > last, to < first) {
                (true, _) if table.level > 0 => level = level.max(table.level + 1),
                (true, _) => {}
                (_, true) => older = older.min(table.level),
                _ => return Ok(None),
            }
        }
        Ok(Some(level).filter(|&level| level == 0 || level < older && level <= DEEPEST))
    }

    /// Puts tables in the place of those that are gone: a compaction made them of those.
    fn replace(&mut self, id: u32, tables: Vec<Found>) {
        let Some(family) = self.catalogue.families.get(&id).filter(|family| !family.dropped) else { return };
        let (order, beside) = (family.order(), self.beside);
        let gone: Vec<LiveTable> =
            family.tables.values().filter(|table| !beside.is_whole(table)).cloned().collect();
        if gone.is_empty() && tables.is_empty() {
            return;
        }
        let lost = beside.listed(gone.iter().map(|table| table.number));
        let found = beside.listed(tables.iter().map(|found| found.table.number));
        let range = match gone.is_empty() {
            true => KeyRange::over(order, tables.iter().map(|found| &found.table)),
            false => KeyRange::over(order, &gone),
        };
        // What it has merged counts twice if a log says it again, and without its sequence number nothing tells.
        let oldest = self.oldest_log(family);
        let twice = |found: &Found| found.merges && self.logged.is_in(found.table.number, oldest);
        let holds = |found: &Found| beside.holds(family, found, Some(&range)) == Ok(true);
        let proved = tables.iter().all(|found| !twice(found) && holds(found));
        // What tables that no edit names were made of is not told, so neither how deep they belong.
        let free = !family.tables.values().any(|table| table.level > 0 && range.meets(table));
        let level = gone.iter().map(|table| table.level).max().unwrap_or(0).max(1);
        let ranges: Vec<_> = tables.iter().map(|found| KeyRange::over(order, [&found.table])).collect();
        let crosses =
            |table: &LiveTable| table.level == level && ranges.iter().any(|range| range.meets(table));
        let crossed = family.tables.values().any(|table| beside.is_whole(table) && crosses(table));
        let (placed, said) = match (gone.is_empty(), proved) {
            (false, _) if tables.is_empty() => (
                false,
                Err(format!("tables that count are not there as they were: {lost}; they are left out")),
            ),
            (false, _) if crossed => (
                false,
                Err(format!(
                    "{found} may have taken the place of {lost}, but overlaps tables that count: left out"
                )),
            ),
            (false, true) => {
                (true, Ok(format!("{found} takes the place of {lost}: a compaction whose edit is lost.")))
            }
            (false, false) => {
                (true, Err(format!("{found} may have taken the place of {lost}, and may hold more")))
            }
            (true, true) if free => {
                (true, Ok(format!("{found} is added: a compaction whose edits are lost.")))
            }
            (true, _) => (false, Err(format!("where {found} belongs is not known, so that is left out"))),
        };
        self.lost |= said.is_err();
        match said {
            Ok(said) => self.said.push(said),
            Err(doubt) => self.doubts.push(doubt),
        }
        if let Some(family) = self.catalogue.families.get_mut(&id) {
            gone.iter().for_each(|table| drop(family.tables.remove(&table.number)));
        }
        tables.into_iter().filter(|_| placed).for_each(|found| self.add(found, level));
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
        let crossed: BTreeSet<u64> = crossed.flatten().map(|table| table.number).collect();
        if !crossed.is_empty() {
            let tables = self.beside.listed(crossed.into_iter());
            self.doubts.push(format!("{tables} overlap in their level, which no engine opens"));
        }
    }

    fn add(&mut self, found: Found, level: u32) {
        let Found { family, table, .. } = found;
        let sequences = table.sequences.filter(|_| self.directory.flavour == Flavour::RocksDb);
        let field = table_field(level, &table, sequences);
        let last = table.sequences.map(|[_, last]| last);
        self.catalogue.last_sequence = self.catalogue.last_sequence.max(last);
        if let Some(family) = self.catalogue.families.get_mut(&family) {
            family.tables.insert(table.number, LiveTable { level, field, ..table });
        }
    }
}
