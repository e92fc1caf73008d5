//! The rows on the pages of a log and of its database, each told what has become of it.
//!
//! A row is what stands in a cell of a table's page. Which table that is, and what its columns are called, is told by the
//! schema of the moment at which the page was written, or by the newest one where that cannot be read. What has become of
//! it is told by looking its key up in the newest state. Kept in memory are, of each page, the tree it belongs to and where
//! its newest image lies, the schema, one transaction's list of frames, and one row.
//!
//! What the log does not hold of a moment is taken from the database, which may have gone on since. Where that is possible,
//! a row is told as assumed.

use std::borrow::Cow;
use std::cmp::Ordering;

use hashbrown::HashMap;

use super::header::{Encoding, Header};
use super::history::{Change, History, Snapshot};
use super::order::{Part, compare};
use super::owners::Owners;
use super::page::{BtreePage, Cell, Kind, PageType, Payload};
use super::record::{Field, Fields};
use super::schema::{Object, Schema};
use super::tree::{copy, find, gather, pieces, same};
use super::{Pages, row};
use crate::format::Role;
use crate::format::rows::{self, State, TableRow, Value, Wanted};
use crate::log::record::Record;

/// Longer keys are not looked up.
const KEY: usize = 1 << 20;
/// The types of more columns than an engine takes have no more bytes than this.
const TYPES: usize = 9 * 32_767 + 9;

/// Receives rows, and returns whether it wants more.
pub type Each<'e> = &'e mut dyn FnMut(&TableRow<'_>) -> bool;

/// Tells the rows in the file of this part: the log, or the database.
pub fn of_file(history: &dyn History, role: Role, wanted: &Wanted<'_>, each: Each<'_>) {
    match role {
        Role::Log => of_log(history, wanted, each),
        Role::Pages => of_database(history, wanted, each),
        _ => {}
    }
}

/// Tells the rows in the log, in the order of the file.
fn of_log(history: &dyn History, wanted: &Wanted<'_>, each: Each<'_>) {
    let mut newest = Newest::of(history);
    let (mut moment, mut more) = (None, true);
    history.play(&mut |change| {
        let fresh = moment.take().filter(|moment: &Moment<'_>| moment.generation == change.generation);
        let mut now = fresh.unwrap_or_else(|| Moment::of(Snapshot::of(history), &newest, change.generation));
        now.follow(&change, &newest);
        for record in &change.records {
            let at = record.at.saturating_add(history.head());
            let source = Source { record: Some((record, &change)), at, page: record.txn };
            more = more && now.rows(source, &mut newest, wanted, each);
        }
        moment = Some(now);
        more
    });
}

/// Tells the rows in the database as it lies there, in the order of the file.
fn of_database(history: &dyn History, wanted: &Wanted<'_>, each: Each<'_>) {
    let mut newest = Newest::of(history);
    let mut moment = Moment::of(Snapshot::database(history), &newest, 1);
    let page_bytes = u64::from(history.page_bytes());
    for page in 1..=moment.pages.count() {
        let source = Source { record: None, at: u64::from(page - 1) * page_bytes, page };
        if !moment.rows(source, &mut newest, wanted, each) {
            return;
        }
    }
}

/// The newest state, which rows are compared with.
struct Newest<'h> {
    pages: Snapshot<'h>,
    header: Option<Header>,
    schema: Schema,
    owners: Owners,
    base: Base,
}

impl<'h> Newest<'h> {
    fn of(history: &'h dyn History) -> Self {
        let mut pages = Snapshot::newest(history);
        let header = pages.page(1).and_then(Header::of);
        let schema = header.map_or_else(Schema::default, |header| Schema::read(&mut pages, &header).0);
        let owners =
            header.map_or_else(Owners::default, |header| Owners::of(&mut pages, &header, &schema, &|_| true));
        Newest { pages, header, schema, owners, base: Base::of(history) }
    }

    /// Whether a page that the log does not hold up to this offset was then as it is in the database now.
    fn sure(&self, page: u32, generation: i64, at: u64) -> bool {
        let still = self.base.untouched || self.pages.place(page).is_none();
        match generation {
            _ if !self.base.there => false,
            // The database itself.
            1 => true,
            0 => still,
            -1 => still && self.base.last.get(&page).is_none_or(|&last| last <= at),
            // What came in between is written over.
            _ => false,
        }
    }
}

/// What is known of the database under the log.
#[derive(Default)]
struct Base {
    there: bool,
    /// It holds changes that were never committed.
    undone: bool,
    /// Nothing of the live generation has been copied into it.
    untouched: bool,
    /// Where each page stands last in the generation before the live one.
    last: HashMap<u32, u64>,
}

impl Base {
    fn of(history: &dyn History) -> Base {
        /// So many pages tell.
        const LOOK: usize = 8;
        let there = history.database().is_some();
        let mut base = Base { there, undone: history.undoes(), ..Base::default() };
        let mut database = Snapshot::database(history);
        // A checkpoint copies all pages of the first transaction, each from there or from a later one.
        let mut first: Option<HashMap<u32, bool>> = None;
        let mut image = Vec::new();
        history.play(&mut |change| {
            if change.generation == -1 {
                base.last.extend(change.records.iter().map(|record| (record.txn, record.at)));
            } else if change.counts {
                let pages = change.records.iter().take(LOOK).map(|record| (record.txn, false));
                let first = first.get_or_insert_with(|| pages.collect());
                for record in &change.records {
                    let Some(copied) = first.get_mut(&record.txn).filter(|copied| !**copied) else {
                        continue;
                    };
                    let read = database.read(record.at.saturating_add(history.head()), &mut image);
                    *copied = read.is_some() && database.page(record.txn) == Some(image.as_slice());
                }
            }
            true
        });
        base.untouched = first.is_none_or(|pages| pages.values().any(|copied| !copied));
        base
    }
}

/// The database after some transaction.
struct Moment<'h> {
    pages: Snapshot<'h>,
    /// 1: the database itself.
    generation: i64,
    /// Offset of the last record that it has.
    at: u64,
    header: Option<Header>,
    schema: Schema,
    owners: Owners,
}

/// A page that rows are read from.
#[derive(Clone, Copy)]
struct Source<'r> {
    /// The record it is in, and the transaction that this belongs to.
    record: Option<(&'r Record, &'r Change)>,
    /// Offset of the page in its file.
    at: u64,
    page: u32,
}

impl<'h> Moment<'h> {
    fn of(mut pages: Snapshot<'h>, newest: &Newest<'_>, generation: i64) -> Self {
        let header = pages.page(1).and_then(Header::of).or(newest.header);
        let (mut schema, mut owners) = (Schema::default(), Owners::default());
        if let Some(header) = &header {
            schema = schema_of(&mut pages, header, newest);
            owners = Owners::of(&mut pages, header, &schema, &|page| newest.sure(page, generation, 0));
        }
        Moment { pages, generation, at: 0, header, schema, owners }
    }

    /// The moment after one more transaction.
    fn follow(&mut self, change: &Change, newest: &Newest<'_>) {
        let written: Vec<u32> = change.records.iter().map(|record| record.txn).collect();
        if let Some(header) = &self.header {
            self.owners.forget(&mut self.pages, header, &written);
        }
        self.pages.apply(change);
        self.at = change.records.last().map_or(self.at, |record| record.at);
        if written.contains(&1) {
            self.header = self.pages.page(1).and_then(Header::of).or(self.header);
        }
        let Some(header) = &self.header else { return };
        let before = self.schema.clone();
        if written.iter().any(|&page| page == 1 || self.owners.get(page).is_some_and(|owner| owner.root == 1))
        {
            self.schema = schema_of(&mut self.pages, header, newest);
        }
        self.owners.follow(&mut self.pages, header, (&self.schema, &before), &written);
    }

    /// The rows on one page; whether more are wanted.
    fn rows(
        &mut self,
        source: Source<'_>,
        newest: &mut Newest<'_>,
        wanted: &Wanted<'_>,
        each: Each<'_>,
    ) -> bool {
        let Some(header) = self.header.or(newest.header) else { return true };
        let Some(image) = source
            .image(&mut self.pages)
            .filter(|_| wanted.page.is_none_or(|page| page == u64::from(source.page)))
        else {
            return true;
        };
        let owner = self.owners.get(source.page);
        let object = owner.and_then(|owner| self.schema.at(owner.root)).filter(|object| object.is_table());
        let named = |name| object.is_some_and(|object| object.name.eq_ignore_ascii_case(name));
        let Some(page) = BtreePage::of(source.page, &image, header.usable() as usize) else { return true };
        let ours = match object.and_then(Object::table_shape) {
            Some(table) => page.kind.table() != table.without_rowid,
            // A page that nothing leads to has to look like one.
            None => PageType::guess(source.page, &image, header.reserved) == PageType::Tree(Kind::TableLeaf),
        };
        if !ours || wanted.table.is_some_and(|name| !named(name)) {
            return true;
        }
        let sure = owner.is_some_and(|owner| owner.sure);
        let when = (self.generation, self.at);
        let reading = Reading { source, encoding: header.encoding, object, sure, when, most: wanted.most };
        page.each().flatten().all(|cell| reading.row(&mut self.pages, newest, &cell, each))
    }
}

impl Source<'_> {
    fn image(&self, pages: &mut Snapshot<'_>) -> Option<Vec<u8>> {
        let mut image = Vec::new();
        match self.record {
            Some(_) => pages.read(self.at, &mut image)?,
            None => copy(pages, self.page, &mut image)?,
        }
        Some(image)
    }
}

/// The schema of a moment, or the newest one where that cannot be read.
fn schema_of(pages: &mut dyn Pages, header: &Header, newest: &Newest<'_>) -> Schema {
    let (schema, whole) = Schema::read(pages, header);
    if whole { schema } else { newest.schema.clone() }
}

/// A page whose rows are told.
struct Reading<'r> {
    source: Source<'r>,
    encoding: Encoding,
    object: Option<&'r Object>,
    /// That it is the object's is sure.
    sure: bool,
    /// Generation, and offset of the last record, of the moment.
    when: (i64, u64),
    most: usize,
}

impl Reading<'_> {
    fn row(
        &self,
        pages: &mut Snapshot<'_>,
        newest: &mut Newest<'_>,
        cell: &Cell<'_>,
        each: Each<'_>,
    ) -> bool {
        let Some(payload) = &cell.payload else { return true };
        let state = self.state(pages, newest, cell, payload);
        pages.watch();
        let kept = Kept::of(pages, payload, self.most);
        let (generation, at) = self.when;
        let sure = self.sure && pages.lent().into_iter().all(|page| newest.sure(page, generation, at));
        let table = self.object.and_then(Object::table_shape);
        let texts = kept.texts(self.encoding);
        let value = |(index, field): (usize, &Field)| {
            let value = match row::value(table, cell.rowid, (index, *field), &kept.bytes)? {
                Value::Text(_) => Value::Text(&texts[index]),
                other => other,
            };
            let column = table.and_then(|table| table.columns.get(index)).map(|c| c.name.as_str());
            Some(rows::Cell { column, value, cut: kept.cut(index) })
        };
        let cells: Vec<rows::Cell<'_>> = kept.fields.iter().enumerate().filter_map(value).collect();
        let rowid = table.is_none_or(|table| !table.without_rowid).then_some(cell.rowid);
        each(&TableRow {
            at: self.source.at + cell.at as u64,
            len: cell.len as u64,
            record: self.source.record.map(|(record, _)| record),
            generation: self.source.record.map(|(_, change)| change.generation),
            page: self.source.page,
            table: self.object.map(|object| object.name.as_str()),
            rowid,
            cells: &cells,
            whole: kept.whole,
            assumed: !sure,
            state,
        })
    }

    /// What has become of a row.
    fn state(
        &self,
        pages: &mut Snapshot<'_>,
        newest: &mut Newest<'_>,
        cell: &Cell<'_>,
        payload: &Payload<'_>,
    ) -> Option<State> {
        let now = self.now(self.object?, pages, newest, cell, payload)?;
        match self.source.record {
            _ if now == State::Live => Some(now),
            None if newest.base.undone => Some(State::Uncommitted),
            Some((_, change)) if change.pages.is_none() && change.generation == 0 => Some(State::Uncommitted),
            // Committed, and yet not a part of the newest state: that says nothing about it.
            Some((_, change)) if !change.counts && change.generation == 0 => None,
            _ => Some(now),
        }
    }

    /// How it stands in the newest state.
    fn now(
        &self,
        object: &Object,
        pages: &mut Snapshot<'_>,
        newest: &mut Newest<'_>,
        cell: &Cell<'_>,
        payload: &Payload<'_>,
    ) -> Option<State> {
        let header = newest.header?;
        let Some(table) = newest.schema.table(&object.name) else { return Some(State::Deleted) };
        let current = newest.pages.place(self.source.page) == self.source.record.map(|(record, _)| record.at);
        if current && newest.owners.get(self.source.page).is_some_and(|owner| owner.root == table.root) {
            return Some(State::Live);
        }
        let keyed = table.table_shape().filter(|shape| shape.without_rowid);
        let spot = match keyed {
            Some(shape) => {
                let mut by = ByKey { key: shape.key.clone(), encoding: header.encoding, ..ByKey::default() };
                by.key.iter_mut().for_each(|part| part.desc &= header.descending());
                gather(pages, payload, KEY, &mut by.sought);
                find(&mut newest.pages, &header, table.root, &mut |pages, cell| by.order(pages, cell))
            }
            None => find(&mut newest.pages, &header, table.root, &mut |_, other| {
                Some(cell.rowid.cmp(&other.rowid))
            }),
        };
        let Some((page, index)) = spot.ok()? else { return Some(State::Deleted) };
        let mut image = Vec::new();
        copy(&mut newest.pages, page, &mut image)?;
        let other = BtreePage::of(page, &image, header.usable() as usize)?.cell(index)?.payload?;
        let same = same((pages, payload), (&mut newest.pages, &other))?;
        Some(if same { State::Live } else { State::Superseded })
    }
}

/// Compares records by the key that a table is ordered by.
#[derive(Default)]
struct ByKey {
    sought: Vec<u8>,
    key: Vec<Part>,
    encoding: Encoding,
    other: Vec<u8>,
}

impl ByKey {
    fn order(&mut self, pages: &mut dyn Pages, cell: &Cell<'_>) -> Option<Ordering> {
        let payload = cell.payload?;
        if let Some(order) = compare(&self.sought, payload.local, &self.key, self.encoding) {
            return Some(order);
        }
        gather(pages, &payload, KEY, &mut self.other);
        compare(&self.sought, &self.other, &self.key, self.encoding)
    }
}

/// The values of a record, the long ones cut.
struct Kept {
    /// Where each stands in `bytes`.
    fields: Vec<Field>,
    /// How long all of it is.
    full: Vec<u64>,
    bytes: Vec<u8>,
    /// All pages of the record were there.
    whole: bool,
}

impl Kept {
    fn of(pages: &mut dyn Pages, payload: &Payload<'_>, most: usize) -> Kept {
        let mut types = Vec::new();
        let all: Vec<Field> = match Fields::of(payload.local) {
            Some(fields) => fields.collect(),
            None => {
                gather(pages, payload, TYPES, &mut types);
                Fields::of(&types).into_iter().flatten().collect()
            }
        };
        let mut at = 0;
        let cut = |field: &Field| {
            // Only text and blobs are cut; a character of UTF-16 has an even number of bytes.
            let len = if field.serial < 12 { field.len } else { field.len.min(most as u64 & !1) };
            at += len;
            Field { serial: field.serial, at: at - len, len }
        };
        let fields: Vec<Field> = all.iter().map(cut).collect();
        let (mut bytes, mut next) = (Vec::new(), 0);
        let whole = pieces(pages, payload, usize::MAX, &mut |from, piece| {
            let (from, to) = (from as u64, (from + piece.len()) as u64);
            while let Some((field, cut)) = all.get(next).zip(fields.get(next)) {
                let end = field.at.saturating_add(cut.len);
                if field.at < to && end > from {
                    let (first, last) = (field.at.max(from) - from, end.min(to) - from);
                    bytes.extend_from_slice(&piece[first as usize..last as usize]);
                }
                if end > to {
                    break;
                }
                next += 1;
            }
        });
        Kept { fields, full: all.iter().map(|field| field.len).collect(), bytes, whole }
    }

    /// Bytes of all of a value, where not all of them are here.
    fn cut(&self, index: usize) -> Option<u64> {
        let (field, full) = (self.fields.get(index)?, *self.full.get(index)?);
        let here = (self.bytes.len() as u64).saturating_sub(field.at).min(field.len);
        (here < full).then_some(full)
    }

    /// In UTF-8 the values that are text; of a character that is cut nothing.
    fn texts(&self, encoding: Encoding) -> Vec<Cow<'_, [u8]>> {
        let text = |(index, field): (usize, &Field)| {
            let Some(Value::Text(stored)) = field.value(&self.bytes) else { return Cow::default() };
            let broken = std::str::from_utf8(stored).err().filter(|e| e.error_len().is_none());
            match (encoding, broken) {
                (Encoding::Utf8, Some(e)) if self.cut(index).is_some() => {
                    Cow::Borrowed(&stored[..e.valid_up_to()])
                }
                _ => encoding.text(stored),
            }
        };
        self.fields.iter().enumerate().map(text).collect()
    }
}
