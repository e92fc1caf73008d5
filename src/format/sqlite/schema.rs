//! The table of tables, whose root is page 1: what there is, and where.

use std::collections::BTreeMap;

use super::header::{Encoding, Header};
use super::record::{Fields, Value};
use super::sql::{self, Column, Index, Table};
use super::tree::{gather, rows};
use super::{Pages, order::Collation};

/// A longer row is cut; the engine takes no longer statement either.
const LONGEST: usize = 1 << 20;
/// Rows and bytes of statements kept at the most: what a hostile file makes of shared pages is bounded.
const ROWS: usize = 1 << 18;
const BYTES: usize = 256 << 20;

/// What an object is stored as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A table; `None`: its statement was not understood.
    Table(Option<Table>),
    /// An index.
    Index(Index),
}

/// A table or index with pages of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// The table that it belongs to: itself, or the one it indexes.
    pub table: String,
    /// The root of its tree.
    pub root: u32,
    /// What is stored there.
    pub shape: Shape,
}

/// Tables and indexes, in the order of the table of tables; that one comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// See there.
    pub objects: Vec<Object>,
    /// Places of the tables by their names.
    tables: BTreeMap<String, usize>,
}

impl Schema {
    /// Reads it, and tells whether its tree was whole.
    pub fn read(pages: &mut dyn Pages, header: &Header) -> (Schema, bool) {
        let (mut entries, mut bytes, mut record) = (Vec::new(), 0usize, Vec::new());
        let whole = rows(pages, header, 1, &mut |pages, _, cell| {
            if let Some(payload) = cell.payload {
                gather(pages, &payload, LONGEST, &mut record);
                bytes = bytes.saturating_add(record.len());
                entries.extend(Entry::of(&record, header.encoding));
            }
            entries.len() < ROWS && bytes < BYTES
        });
        (Schema::of(entries), whole)
    }

    fn of(entries: Vec<Entry>) -> Schema {
        let mut objects = vec![master()];
        for entry in entries.iter().filter(|entry| entry.root > 0 && entry.is("TABLE")) {
            objects.push(entry.object(Shape::Table(sql::table(&entry.sql))));
        }
        let tables: BTreeMap<String, usize> =
            objects.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect();
        for entry in entries.iter().filter(|entry| entry.root > 0 && entry.is("INDEX")) {
            let table = tables.get(&entry.table).and_then(|&at| objects[at].table_shape());
            let index = table.and_then(|table| {
                // An index that a constraint made has no statement, but a number.
                let number = || entry.name.rsplit('_').next()?.parse::<usize>().ok()?.checked_sub(1);
                let made = || table.indexes.get(number()?).cloned();
                if entry.sql.is_empty() { made() } else { sql::index(&entry.sql, &table.columns) }
            });
            // Of an index that nothing says anything of, nothing is expected.
            let unknown = Index { partial: true, ..Index::default() };
            objects.push(entry.object(Shape::Index(index.unwrap_or(unknown))));
        }
        Schema { objects, tables }
    }

    /// The table with this name.
    pub fn table(&self, name: &str) -> Option<&Object> {
        self.objects.get(self.place(name)?)
    }

    /// Where among the objects it stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.tables.get(name).copied()
    }

    /// The object with this root.
    pub fn at(&self, root: u32) -> Option<&Object> {
        self.objects.iter().find(|object| object.root == root)
    }
}

impl Object {
    /// The columns of a table, as far as its statement was understood.
    pub fn columns(&self) -> Option<&[Column]> {
        self.table_shape().map(|table| table.columns.as_slice())
    }

    /// What its statement says, of a table.
    pub fn table_shape(&self) -> Option<&Table> {
        match &self.shape {
            Shape::Table(table) => table.as_ref(),
            Shape::Index(_) => None,
        }
    }

    /// Whether it holds rows, not an index over them.
    pub fn is_table(&self) -> bool {
        matches!(self.shape, Shape::Table(_))
    }
}

/// The table of tables itself.
fn master() -> Object {
    let name = "sqlite_schema".to_owned();
    let column = |name: &&str| Column { name: (*name).to_owned(), real: false, collation: Collation::Binary };
    let columns = ["type", "name", "tbl_name", "rootpage", "sql"].iter().map(column).collect();
    let table = Table { columns, ..Table::default() };
    Object { table: name.clone(), name, root: 1, shape: Shape::Table(Some(table)) }
}

/// One row.
struct Entry {
    kind: String,
    name: String,
    table: String,
    root: u32,
    sql: String,
}

impl Entry {
    fn of(record: &[u8], encoding: Encoding) -> Option<Entry> {
        let mut fields = Fields::of(record)?;
        let mut next = || fields.next()?.value(record);
        let text = |value| match value {
            Some(Value::Text(text)) => String::from_utf8_lossy(&encoding.text(text)).into_owned(),
            _ => String::new(),
        };
        let (kind, name, table) = (text(next()), text(next()), text(next()));
        let root = match next() {
            Some(Value::Int(root)) => u32::try_from(root).unwrap_or(0),
            _ => 0,
        };
        Some(Entry { kind, name, table, root, sql: text(next()) })
    }

    /// Of this kind: by its statement, as the engine goes, or by what it is called. Only indexes have none.
    fn is(&self, kind: &str) -> bool {
        if self.sql.is_empty() {
            return kind == "INDEX";
        }
        sql::creates(&self.sql, kind).unwrap_or_else(|| self.kind.eq_ignore_ascii_case(kind))
    }

    fn object(&self, shape: Shape) -> Object {
        Object { name: self.name.clone(), table: self.table.clone(), root: self.root, shape }
    }
}
