//! Databases written by the engine, with everything that rows can be stored as.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::random::Random;

/// How a database is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub page_bytes: u32,
    pub vacuum: &'static str,
    pub encoding: &'static str,
    /// Bytes at the end of each page that are left alone.
    pub reserved: u8,
}

/// Some of every shape there is.
pub fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (i, page_bytes) in [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536].into_iter().enumerate() {
        for (j, vacuum) in ["NONE", "FULL", "INCREMENTAL"].into_iter().enumerate() {
            let encoding = ["UTF-8", "UTF-16le", "UTF-16be"][(i + j) % 3];
            let reserved = [0, 0, 32, 0, 8][(2 * i + j) % 5];
            shapes.push(Shape { page_bytes, vacuum, encoding, reserved });
        }
    }
    shapes
}

const SCHEMA: &str = "
    CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, extra BLOB, size REAL, any);
    CREATE INDEX by_body ON notes(body COLLATE NOCASE, size DESC);
    CREATE INDEX by_any ON notes(any) WHERE any IS NOT NULL;
    CREATE INDEX by_length ON notes(id, length(extra));
    CREATE TABLE pairs(value, a TEXT COLLATE NOCASE, b, PRIMARY KEY(b DESC, a)) WITHOUT ROWID;
    CREATE INDEX by_value ON pairs(value);
    CREATE TABLE plain(\"first name\" TEXT UNIQUE, twice AS (\"first name\" || 'x'), [n] INT AS (id + 1) STORED, id DOUBLE);
    CREATE TRIGGER t AFTER DELETE ON plain BEGIN DELETE FROM pairs WHERE b = old.id; END;
    CREATE TABLE gone(a);
    INSERT INTO gone SELECT randomblob(2000) FROM pragma_function_list LIMIT 8;";

/// A value of any type and, now and then, of several pages.
pub fn value(random: &mut Random, longest: usize) -> Value {
    let len = if random.once_in(8) { random.below(longest) } else { random.below(30) };
    match random.below(6) {
        0 => Value::Null,
        1 => Value::Integer(random.next() as i64 >> random.below(64)),
        2 => Value::Real(random.next() as i64 as f64 / 1024.0),
        3 => Value::Blob(random.bytes(len)),
        4 => Value::Integer(random.below(3) as i64),
        _ => Value::Text(String::from_utf8(random.text(len)).expect("text")),
    }
}

/// An empty database of this shape in a file.
pub fn create(path: &std::path::Path, shape: Shape) -> Connection {
    let Shape { page_bytes, vacuum, encoding, reserved } = shape;
    let settings =
        format!("PRAGMA page_size={page_bytes}; PRAGMA encoding='{encoding}'; PRAGMA auto_vacuum={vacuum};");
    if reserved > 0 {
        // Nothing in SQL asks for it: an empty database is given its reserve by hand.
        let db = Connection::open(path).expect("a connection");
        db.execute_batch(&format!("{settings} PRAGMA user_version=1;")).expect("an empty database");
        db.close().expect("closed");
        let mut bytes = std::fs::read(path).expect("a database");
        bytes[20] = reserved;
        let content = (page_bytes - u32::from(reserved)) as u16;
        bytes[105..107].copy_from_slice(&content.to_be_bytes());
        std::fs::write(path, bytes).expect("a database");
    }
    let db = Connection::open(path).expect("a connection");
    db.execute_batch(&format!("{settings} PRAGMA synchronous=OFF;")).expect("settings");
    db.execute_batch(SCHEMA).expect("a schema");
    db
}

/// Some random changes.
pub fn change(db: &Connection, random: &mut Random, changes: usize, page_bytes: u32) {
    let longest = 4 * page_bytes as usize;
    for _ in 0..changes {
        let id = random.below(80) as i64;
        let mut any = || value(random, longest);
        let (a, b, c, d) = (any(), any(), any(), any());
        match random.below(7) {
            0 => db.execute("DELETE FROM notes WHERE id = ?1", [id]),
            1 => db.execute(
                "INSERT OR REPLACE INTO pairs(a, b, value) VALUES(coalesce(?1, 1), coalesce(?2, ?3), ?4)",
                (a, b, id, c),
            ),
            2 => db.execute("INSERT OR IGNORE INTO plain(\"first name\", id) VALUES(?1, ?2)", (a, id)),
            3 => db.execute("UPDATE notes SET body = ?2, any = ?3 WHERE id = ?1", (id, a, b)),
            4 => db.execute("DELETE FROM plain WHERE rowid = ?1", [id]),
            _ => db.execute("INSERT OR REPLACE INTO notes VALUES(?1, ?2, ?3, ?4, ?5)", (id, a, b, c, d)),
        }
        .expect("a change");
    }
}

/// A database file of this shape.
pub fn sample(random: &mut Random, shape: Shape, changes: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("app.db");
    let db = create(&path, shape);
    change(&db, random, changes, shape.page_bytes);
    if random.once_in(2) {
        db.execute_batch("DROP TABLE gone").expect("a change");
    }
    if random.once_in(3) {
        db.execute_batch(
            "ALTER TABLE notes ADD COLUMN late DEFAULT 7; UPDATE notes SET late = 8 WHERE id < 20",
        )
        .expect("a change");
    }
    db.close().expect("closed");
    std::fs::read(path).expect("a database")
}
