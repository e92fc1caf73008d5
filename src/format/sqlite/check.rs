//! Whether all pages of a database together are sound, as the engine's own `integrity_check` has it for structure: every page in
//! exactly one place, cells inside their pages without gaps, keys in order, lists as long as they say, pointer maps that
//! agree. Beyond that, indexes are compared with their tables: as many entries, and for the same rows.
//! Each page is gone through once, with one bit in memory for it.

use std::fmt;

use super::header::{Encoding, Header, SCHEMA_FORMAT};
use super::order::{Part, compare};
use super::page::{BtreePage, Cell, Kind, Payload};
use super::record::Fields;
use super::schema::{Object, Schema, Shape};
use super::tree::{DEPTH, Place, Visit, gather, walk};
use super::twins::{Side, Twins};
use super::{Pages, be16, be32};

/// Problems that are told in words.
const TOLD: usize = 20;
/// Fields of pointer maps.
const ROOT: (u8, &str) = (1, "root");
const FREE: (u8, &str) = (2, "free");
const OVERFLOW_FIRST: (u8, &str) = (3, "first overflow page");
const OVERFLOW_NEXT: (u8, &str) = (4, "overflow page");
const CHILD: (u8, &str) = (5, "child");

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many things are wrong; 0: the database is sound.
    pub problems: u64,
    /// The first of them in words.
    pub first: Vec<String>,
    /// Pages of the database.
    pub pages: u32,
    /// Rows of all tables but the table of tables.
    pub rows: u64,
    /// Tables and indexes in the order of the schema; the table of tables comes first.
    pub trees: Vec<Tree>,
}

/// One table or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Its name.
    pub name: String,
    /// A table, not an index.
    pub table: bool,
    /// Its root page.
    pub root: u32,
    /// Rows, or entries, that could be reached.
    pub rows: u64,
    /// Things wrong with it.
    pub problems: u64,
}

/// Checks a database.
pub fn check(pages: &mut dyn Pages) -> Checked {
    let count = pages.count();
    let header = if count == 0 { None } else { pages.page(1).and_then(Header::of) };
    let mut told = Told::default();
    let Some(header) = header.filter(|header| header.page_bytes == pages.page_bytes()) else {
        told.say(|| "page 1 is not the first page of a database".into());
        return Checked { problems: told.problems, first: told.first, ..Checked::default() };
    };
    if header.schema_format > SCHEMA_FORMAT {
        told.say(|| format!("schema format {}, which the engine refuses", header.schema_format));
    }
    let stated = header.pages.unwrap_or(count);
    if stated > count {
        told.say(|| format!("the header states {stated} pages, and there are {count}"));
    }
    let (schema, _) = Schema::read(pages, &header);
    let mut checker = Checker {
        header,
        count: stated.min(count),
        used: vec![0; (stated.min(count) / 64) as usize + 1],
        map: (0, Vec::new()),
        spans: Vec::new(),
        told,
    };
    // There is no page 0, and nothing ever leads to the one with the lock.
    checker.mark(0);
    checker.mark(header.lock_page());
    checker.free(pages);
    checker.roots(&schema);
    let mut twins = Twins::new(&schema);
    let mut trees: Vec<Tree> =
        (0..schema.objects.len()).map(|i| checker.tree(pages, &schema, i, &mut twins)).collect();
    checker.unused();
    checker.compare(&twins, &mut trees);
    let rows = trees.iter().skip(1).filter(|tree| tree.table).map(|tree| tree.rows).sum();
    let Told { problems, first } = checker.told;
    Checked { problems, first, pages: checker.count, rows, trees }
}

/// Counts problems and keeps the first.
#[derive(Default)]
struct Told {
    problems: u64,
    first: Vec<String>,
}

impl Told {
    fn say(&mut self, what: impl FnOnce() -> String) {
        self.problems += 1;
        if self.first.len() < TOLD {
            self.first.push(what());
        }
    }
}

struct Checker {
    header: Header,
    count: u32,
    /// A bit for each page that something leads to.
    used: Vec<u64>,
    /// The pointer map looked into last.
    map: (u32, Vec<u8>),
    /// Of the cells and free blocks of one page; kept for its memory.
    spans: Vec<(usize, usize)>,
    told: Told,
}

impl Checker {
    /// Notes a page; whether it is there and was not noted before.
    fn mark(&mut self, page: u32) -> bool {
        let bit = 1u64 << (page % 64);
        match self.used.get_mut((page / 64) as usize).filter(|_| page <= self.count) {
            Some(word) => {
                let new = *word & bit == 0;
                *word |= bit;
                new
            }
            None => false,
        }
    }

    /// The same for a page that `from` leads to; tells what is wrong.
    fn claim(&mut self, page: u32, from: impl fmt::Display) -> bool {
        let there = (1..=self.count).contains(&page);
        let new = there && self.mark(page);
        if !new {
            let what = if there { "is used twice" } else { "does not exist" };
            self.told.say(|| format!("{from} leads to page {page}, which {what}"));
        }
        new
    }

    /// The pointer map has to say this of a page.
    fn mapped(&mut self, pages: &mut dyn Pages, page: u32, (kind, word): (u8, &str), parent: u32) {
        if !self.header.maps() {
            return;
        }
        let Some(map) = self.header.map_of(page).filter(|&map| map <= self.count) else { return };
        if self.map.0 != map {
            self.map.0 = map;
            self.map.1.clear();
            self.map.1.extend_from_slice(pages.page(map).unwrap_or_default());
        }
        let entry = page.checked_sub(map + 1).and_then(|nth| {
            let at = nth as usize * 5;
            Some((*self.map.1.get(at)?, be32(&self.map.1, at + 1)?))
        });
        if entry != Some((kind, parent)) {
            self.told.say(|| format!("page {page}: the pointer map does not say {word} of page {parent}"));
        }
    }

    /// The list of free pages.
    fn free(&mut self, pages: &mut dyn Pages) {
        let (mut next, mut listed) = (self.header.free_trunk, 0u32);
        let before = self.told.problems;
        let most = self.header.usable() / 4 - 2;
        let mut leaves = Vec::new();
        while next != 0 {
            let trunk = next;
            if !self.claim(trunk, "the list of free pages") {
                break;
            }
            listed += 1;
            self.mapped(pages, trunk, FREE, 0);
            let Some(image) = pages.page(trunk) else {
                self.told.say(|| format!("page {trunk}, on the list of free pages, is missing"));
                break;
            };
            next = be32(image, 0).unwrap_or(0);
            let count = be32(image, 4).unwrap_or(0);
            if count > most {
                self.told.say(|| format!("page {trunk} lists {count} free pages, more than it has room for"));
                continue;
            }
            leaves.clear();
            leaves.extend((0..count as usize).filter_map(|i| be32(image, 8 + 4 * i)));
            for &leaf in &leaves {
                self.mapped(pages, leaf, FREE, 0);
                self.claim(leaf, format_args!("page {trunk}, of the list of free pages,"));
            }
            listed = listed.saturating_add(count);
        }
        let stated = self.header.free_pages;
        if listed != stated && before == self.told.problems {
            self.told.say(|| format!("{listed} free pages are listed, the header states {stated}"));
        }
    }

    fn roots(&mut self, schema: &Schema) {
        let largest = schema.objects.iter().map(|object| object.root).max().unwrap_or(1);
        let stated = self.header.largest_root;
        if self.header.maps() && stated != largest {
            self.told.say(|| format!("the largest root is page {largest}, the header states {stated}"));
        }
        if !self.header.maps() && self.header.incremental {
            self.told.say(|| "set to be vacuumed by and by, and has no pointer maps".into());
        }
    }

    fn tree(&mut self, pages: &mut dyn Pages, schema: &Schema, place: usize, twins: &mut Twins) -> Tree {
        let before = self.told.problems;
        let object = &schema.objects[place];
        if object.root > 1 {
            self.mapped(pages, object.root, ROOT, 0);
        }
        let header = self.header;
        let side = twins.side(schema, place, header.encoding);
        let mut visitor = Visitor::new(self, schema, object, (twins, side));
        walk(pages, &header, object.root, &mut visitor);
        let rows = visitor.rows;
        let (name, root, table) = (object.name.clone(), object.root, object.is_table());
        Tree { name, table, root, rows, problems: self.told.problems - before }
    }

    /// Pages that nothing leads to.
    fn unused(&mut self) {
        let mut map = if self.header.maps() { self.header.map_of(2) } else { None };
        while let Some(page) = map.filter(|&page| page <= self.count) {
            if !self.mark(page) {
                self.told.say(|| format!("page {page} is a pointer map, and something else leads to it"));
            }
            let next = page.checked_add(self.header.usable() / 5 + 1);
            map = next.and_then(|next| self.header.map_of(next));
        }
        for (at, &word) in self.used.iter().enumerate() {
            if word == u64::MAX {
                continue;
            }
            let first = at as u64 * 64;
            let unused = (0..64).filter(|bit| word >> bit & 1 == 0).map(|bit| first + bit);
            for page in unused.filter(|&page| page <= u64::from(self.count)) {
                self.told.say(|| format!("nothing leads to page {page}"));
            }
        }
    }

    /// Indexes against their tables.
    fn compare(&mut self, twins: &Twins, trees: &mut [Tree]) {
        for (table, index, differ) in twins.differing() {
            let (has, ought, name) = (trees[index].rows, trees[table].rows, &trees[index].name);
            if has != ought {
                self.told.say(|| format!("index {name} has {has} entries, its table {ought} rows"));
            } else if differ {
                self.told.say(|| format!("index {name} has other values than its table"));
            } else {
                continue;
            }
            trees[index].problems += 1;
        }
    }
}

/// Goes through one tree.
struct Visitor<'c, 's> {
    checker: &'c mut Checker,
    name: &'s str,
    /// Of what kind its pages must be: of rowids, or of records.
    table: Option<bool>,
    /// What its records are ordered by, and whether no two may be equal in it.
    key: Vec<Part>,
    strict: bool,
    encoding: Encoding,
    /// Depth of the leaves.
    leaves: Option<usize>,
    /// The key before.
    rowid: Option<i64>,
    record: Vec<u8>,
    rows: u64,
    /// What its records are compared with those of other trees by.
    twins: (&'c mut Twins, Side),
    /// A payload put together.
    whole: Vec<u8>,
}

impl<'c, 's> Visitor<'c, 's> {
    fn new(
        checker: &'c mut Checker,
        schema: &Schema,
        object: &'s Object,
        twins: (&'c mut Twins, Side),
    ) -> Self {
        let encoding = checker.header.encoding;
        let (table, mut key, strict) = match &object.shape {
            Shape::Table(None) => (None, Vec::new(), false),
            Shape::Table(Some(table)) => (Some(!table.without_rowid), table.key.clone(), true),
            Shape::Index(index) => {
                let of = schema.table(&object.table).and_then(Object::table_shape);
                // Behind the columns stands the rowid.
                let unique = index.plain && of.is_some_and(|table| !table.without_rowid);
                let mut key = index.key.clone();
                key.extend(unique.then(Part::default));
                (Some(false), key, unique)
            }
        };
        key.iter_mut().for_each(|part| part.desc &= checker.header.descending());
        Visitor {
            checker,
            name: &object.name,
            table,
            strict,
            key,
            encoding,
            leaves: None,
            rowid: None,
            record: Vec::new(),
            rows: 0,
            twins,
            whole: Vec::new(),
        }
    }

    fn say(&mut self, page: u32, what: impl fmt::Display) {
        let name = self.name;
        self.checker.told.say(|| format!("{name}, page {page}: {what}"));
    }

    /// The cells and free blocks of a page have to cover it up to the bytes that are stated as too few for a block.
    fn coverage(&mut self, place: Place, page: &BtreePage<'_>) {
        let bytes = page.bytes();
        let (mut block, fragments) = page.free();
        if block != 0 && block < page.content {
            return self.say(place.number, "a free block lies before the cells");
        }
        while block != 0 {
            let (next, len) = (be16(bytes, block).map(usize::from), be16(bytes, block + 2).map(usize::from));
            let (Some(next), Some(len)) = (next, len) else {
                return self.say(place.number, "a free block lies outside of the page");
            };
            if len < 4 || block + len > bytes.len() || next != 0 && next < block + len + 4 {
                return self.say(place.number, "a free block is too short, too long or out of order");
            }
            self.checker.spans.push((block, block + len));
            block = next;
        }
        self.checker.spans.sort_unstable();
        let (mut end, mut gaps) = (page.content, 0);
        for &(from, to) in &self.checker.spans {
            if from < end {
                return self.say(place.number, format_args!("byte {from} is used twice"));
            }
            (gaps, end) = (gaps + from - end, to);
        }
        gaps += bytes.len().saturating_sub(end);
        if gaps != fragments {
            self.say(place.number, format_args!("{gaps} bytes are unused, the page states {fragments}"));
        }
    }

    /// The record of a cell, and where it goes on.
    fn payload(&mut self, pages: &mut dyn Pages, place: Place, nth: usize, cell: &Cell<'_>) {
        let Some(payload) = &cell.payload else { return };
        let measured = Fields::of(payload.local).map(Fields::measure);
        let whole = measured.is_none_or(|m| m.is_some_and(|(len, _)| len == payload.len as u64));
        let started = payload.len == 0 || payload.local.first().is_some_and(|&first| first >= 2);
        if !whole || !started {
            self.say(place.number, format_args!("cell {nth} is not the record that its length says"));
        }
        let chained = payload.pages == 0 || self.chain(pages, place, nth, payload);
        let (twins, side) = &mut self.twins;
        let record = if payload.pages == 0 || !side.wants_more(payload.local) {
            Some(payload.local)
        } else {
            // Pages that nothing else leads to: all of them together are read only once like this.
            let gathered = chained && gather(pages, payload, usize::MAX, &mut self.whole);
            gathered.then_some(self.whole.as_slice())
        };
        twins.add(side, cell.rowid, record);
    }

    /// Whether the overflow pages of a payload are as they should be.
    fn chain(&mut self, pages: &mut dyn Pages, place: Place, nth: usize, payload: &Payload<'_>) -> bool {
        let (mut next, mut count, ought) = (payload.overflow, 0, payload.pages);
        self.checker.mapped(pages, next, OVERFLOW_FIRST, place.number);
        let name = self.name;
        while next != 0 {
            let page = next;
            if !self.checker.claim(page, format_args!("{name}, page {}, cell {nth}", place.number)) {
                return false;
            }
            count += 1;
            let Some(link) = pages.page(page).and_then(|image| be32(image, 0)) else {
                self.say(page, "the overflow page is missing");
                return false;
            };
            next = link;
            if count < ought {
                self.checker.mapped(pages, next, OVERFLOW_NEXT, page);
            }
        }
        if count != ought {
            self.say(place.number, format_args!("cell {nth} goes on over {count} pages instead of {ought}"));
        }
        count == ought
    }
}

impl Visit for Visitor<'_, '_> {
    fn page(&mut self, pages: &mut dyn Pages, place: Place, page: Option<&BtreePage<'_>>) -> bool {
        let name = self.name;
        if place.parent != 0 {
            self.checker.mapped(pages, place.number, CHILD, place.parent);
        }
        if !self.checker.claim(place.number, format_args!("{name}, page {}", place.parent)) {
            return false;
        }
        let Some(page) = page else {
            self.say(place.number, "no page of a tree");
            return false;
        };
        if *self.table.get_or_insert(page.kind.table()) != page.kind.table() {
            self.say(place.number, "of another kind of tree");
            return false;
        }
        if place.depth >= DEPTH
            || !page.kind.interior() && *self.leaves.get_or_insert(place.depth) != place.depth
        {
            self.say(place.number, format_args!("{} pages below the root, unlike other leaves", place.depth));
        }
        self.checker.spans.clear();
        let mut sound = true;
        for (nth, cell) in page.each().enumerate() {
            let Some(cell) = cell else {
                self.say(place.number, format_args!("cell {nth} does not lie in the page"));
                sound = false;
                continue;
            };
            self.checker.spans.push((cell.at, cell.at + cell.len));
            self.payload(pages, place, nth, &cell);
        }
        if sound {
            self.coverage(place, page);
        }
        true
    }

    fn cell(&mut self, _: &mut dyn Pages, place: Place, page: &BtreePage<'_>, cell: &Cell<'_>) -> bool {
        let Some(payload) = &cell.payload else {
            // The children on the left go up to this rowid, those on the right begin behind it.
            if self.rowid.is_some_and(|before| before > cell.rowid) {
                self.say(place.number, format_args!("rowid {} is out of order", cell.rowid));
            }
            self.rowid = Some(cell.rowid);
            return true;
        };
        self.rows += 1;
        if page.kind == Kind::TableLeaf {
            if self.rowid.is_some_and(|before| before >= cell.rowid) {
                self.say(place.number, format_args!("rowid {} is out of order", cell.rowid));
            }
            self.rowid = Some(cell.rowid);
        } else if !self.key.is_empty() {
            let order = compare(&self.record, payload.local, &self.key, self.encoding);
            if order.is_some_and(|order| order.is_gt() || self.strict && order.is_eq()) {
                self.say(place.number, "keys are out of order");
            }
            self.record.clear();
            self.record.extend_from_slice(payload.local);
        }
        true
    }
}
