//! What walmedic reads from database pages is compared with what the engine itself says of them.

mod common;

use std::collections::BTreeMap;

use common::database::{self, Shape};
use common::random::{Random, Watch};
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use walmedic::format::sqlite::check::{Checked, check};
use walmedic::format::sqlite::header::Header;
use walmedic::format::sqlite::schema::{Object, Schema};
use walmedic::format::sqlite::{Pages, Whole, record, row, tree};

/// A database of the engine's over a copy of these bytes.
fn opened(bytes: &[u8]) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("copy.db");
    std::fs::write(&path, bytes).expect("a database");
    let db = Connection::open(path).expect("a connection");
    (dir, db)
}

/// Rows of a table: the rowid, if it has one, and the columns by name.
type Rows = Vec<(Option<i64>, BTreeMap<String, Value>)>;

fn theirs(db: &Connection, object: &Object) -> Rows {
    let table = object.table_shape().expect("a table");
    let columns: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let rowid = if table.without_rowid { "NULL" } else { "_rowid_" };
    let sql = format!("SELECT {rowid}, {} FROM \"{}\" NOT INDEXED", columns.join(", "), object.name);
    let mut statement = db.prepare(&sql).expect("a statement");
    let rows = statement.query_map([], |row| {
        let named = |(i, c): (usize, &walmedic::format::sqlite::sql::Column)| {
            row.get::<_, Value>(i + 1).map(|value| (c.name.clone(), value))
        };
        Ok((row.get(0)?, table.columns.iter().enumerate().map(named).collect::<Result<_, _>>()?))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn ours(pages: &mut dyn Pages, header: &Header, object: &Object) -> Rows {
    let table = object.table_shape().expect("a table");
    let (mut rows, mut bytes) = (Rows::new(), Vec::new());
    let whole = tree::rows(pages, header, object.root, &mut |pages, _, cell| {
        let payload = cell.payload.expect("a row");
        assert!(tree::gather(pages, &payload, usize::MAX, &mut bytes));
        let values = row::values(Some(table), cell.rowid, &bytes).map(|(index, field, value)| {
            assert!(field.within(bytes.len()));
            let value = match value {
                record::Value::Null => Value::Null,
                record::Value::Int(n) => Value::Integer(n),
                record::Value::Real(x) => Value::Real(x),
                record::Value::Blob(b) => Value::Blob(b.to_vec()),
                record::Value::Text(t) => {
                    Value::Text(String::from_utf8(header.encoding.text(t).into_owned()).expect("text"))
                }
            };
            (table.columns[index].name.clone(), value)
        });
        rows.push(((!table.without_rowid).then_some(cell.rowid), values.collect()));
        true
    });
    assert!(whole, "{}", object.name);
    rows
}

/// In the same order, but where the engine reads an index rather than the table.
fn same(mut a: Rows, mut b: Rows, object: &Object) -> bool {
    if object.table_shape().is_some_and(|table| table.without_rowid) {
        [&mut a, &mut b].into_iter().for_each(|rows| rows.sort_by_key(|row| format!("{row:?}")));
    }
    a == b
}

#[test]
fn rows_are_what_the_engine_selects() {
    let watch = Watch::new("sqlite rows", 300);
    let mut seen = 0;
    for (i, shape) in database::shapes().into_iter().enumerate() {
        let bytes = database::sample(&mut watch.random(i), shape, 150);
        let mut pages = Whole::new(&bytes).expect("pages");
        let header = Header::of(&bytes).expect("a header");
        assert_eq!(header.reserved, shape.reserved);
        let (schema, whole) = Schema::read(&mut pages, &header);
        assert!(whole);
        let (_dir, db) = opened(&bytes);
        for object in schema.objects.iter().filter(|object| object.is_table()) {
            let (ours, mut theirs) = (ours(&mut pages, &header, object), theirs(&db, object));
            for (mine, row) in ours.iter().zip(&mut theirs) {
                // A row older than a column does not have it; the engine fills in the default.
                row.1.retain(|name, value| mine.1.contains_key(name) || *value != Value::Integer(7));
            }
            seen += ours.len();
            assert!(same(ours, theirs, object), "{shape:?} {}", object.name);
        }
    }
    assert!(seen > 1000, "only {seen} rows");
}

/// What the engine says about structure: `None` where it cannot even look.
fn verdict(bytes: &[u8]) -> Option<Vec<String>> {
    let (_dir, db) = opened(bytes);
    let mut statement = db.prepare("PRAGMA integrity_check(20)").ok()?;
    let lines = statement.query_map([], |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        })
    });
    lines.ok()?.collect::<Result<_, _>>().ok()
}

fn checked(bytes: &[u8]) -> Checked {
    Whole::new(bytes)
        .map_or_else(|| Checked { problems: 1, ..Checked::default() }, |mut pages| check(&mut pages))
}

#[test]
fn sound_databases_have_no_problems() {
    let watch = Watch::new("sqlite sound", 300);
    for (i, shape) in database::shapes().into_iter().enumerate() {
        let bytes = database::sample(&mut watch.random(i), shape, 200);
        assert_eq!(verdict(&bytes), Some(vec!["ok".to_owned()]), "{shape:?}");
        let found = checked(&bytes);
        assert_eq!(found.first, Vec::<String>::new(), "{shape:?}");
        let (_dir, db) = opened(&bytes);
        let mut rows = 0;
        for tree in found.trees.iter().filter(|tree| tree.table) {
            let sql = format!("SELECT count(*) FROM \"{}\"", tree.name);
            let count: i64 = db.query_row(&sql, [], |row| row.get(0)).expect("a count");
            let count = count as u64;
            assert_eq!(count, tree.rows, "{shape:?} {}", tree.name);
            rows += if tree.root == 1 { 0 } else { count };
        }
        assert_eq!((found.problems, found.rows), (0, rows), "{shape:?}");
    }
}

/// One thing wrong: a bit, a byte, a few zeros, a page in the place of another, a file too short.
fn hurt(bytes: &mut Vec<u8>, random: &mut Random, page_bytes: usize) {
    let pages = bytes.len() / page_bytes;
    let (page, other) = (random.below(pages), random.below(pages));
    // The first bytes of a page count most.
    let at = page * page_bytes + if random.once_in(2) { random.below(40) } else { random.below(page_bytes) };
    match random.below(8) {
        0 => bytes.copy_within(other * page_bytes..(other + 1) * page_bytes, page * page_bytes),
        1 => bytes[at..].iter_mut().take(16).for_each(|b| *b = 0),
        2 => bytes[page * page_bytes..][..page_bytes].fill(0),
        3 if random.once_in(3) => bytes.truncate((pages - 1) * page_bytes),
        4 => bytes[at] = random.next() as u8,
        5 => bytes[random.below(100)] ^= 1 << random.below(8),
        _ => bytes[at] ^= 1 << random.below(8),
    }
}

/// Messages of the engine that are about structure.
fn structural(line: &str) -> bool {
    line.contains("*** in database") || line.contains("Tree ") || line.contains("Freelist: ")
}

/// Whether the engine's complaint is none of this check's: indexes whose terms or condition would have to be evaluated, and
/// values that have no place in their column.
fn beyond(line: &str) -> bool {
    line.ends_with("by_any") || line.ends_with("by_length") || line.contains(" value in ")
}

/// Where the engine is content, so is the check. Where it complains of structure, so does the check; of an unreadable
/// statement in the schema, for which the engine opens nothing, the check says nothing.
#[test]
fn damaged_databases_are_judged_as_the_engine_does() {
    let watch = Watch::new("sqlite damaged", 600);
    let (mut sound, mut broken, mut missed) = (0, 0, 0);
    for (i, shape) in database::shapes().into_iter().enumerate().filter(|(i, _)| i % 2 == 0 || *i < 12) {
        let mut random = watch.random(i);
        let whole = database::sample(&mut random, shape, 60);
        for round in 0..60 {
            let mut bytes = whole.clone();
            hurt(&mut bytes, &mut random, shape.page_bytes as usize);
            let (Some(theirs), ours) = (verdict(&bytes), checked(&bytes)) else { continue };
            let label = format!("{shape:?} round {round}\nengine: {theirs:?}\nours: {:?}", ours.first);
            if theirs == ["ok"] {
                // The engine looks no further into a record than up to the last column that it needs.
                let more = ours.first.iter().filter(|problem| !problem.contains("is not the record"));
                assert_eq!(more.count(), 0, "{label}");
                sound += 1;
            } else if theirs.iter().any(|line| structural(line)) {
                assert!(ours.problems > 0, "{label}");
                broken += 1;
            } else if !theirs.iter().all(|line| beyond(line)) {
                missed += usize::from(ours.problems == 0);
            }
        }
    }
    assert!(sound > 100 && broken > 100, "{sound} sound, {broken} broken");
    // A statement of the schema that reads differently now, say.
    assert!(missed < 5, "{missed} indexes that do not agree with their tables");
}

#[test]
fn hostile_pages_are_survived() {
    let watch = Watch::new("sqlite hostile", 300);
    let mut random = watch.random(0);
    let shape = |page_bytes| Shape { page_bytes, vacuum: "FULL", encoding: "UTF-8", reserved: 0 };
    for page_bytes in [512, 4096, 65536] {
        let whole = database::sample(&mut random, shape(page_bytes), 80);
        for round in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..random.within(1, 40) {
                hurt(&mut bytes, &mut random, page_bytes as usize);
            }
            if round % 3 == 0 {
                let at = random.within(100, bytes.len());
                let noise = random.bytes((bytes.len() - at).min(5000));
                bytes[at..at + noise.len()].copy_from_slice(&noise);
            }
            bytes[..24].copy_from_slice(&whole[..24]);
            let found = checked(&bytes);
            assert!(found.first.len() as u64 <= found.problems.max(20));
        }
    }
}
