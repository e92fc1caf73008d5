//! Rows told from a WAL and its database are compared with what the engine held after each transaction.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::database::{self, Shape};
use common::random::{Random, Watch};
use common::sqlite::Writer;
use rusqlite::Connection;
use walmedic::analysis::OpenLog;
use walmedic::format::rows::{State, Value, Wanted};
use walmedic::io::listing;

const TABLES: [&str; 3] = ["notes", "pairs", "plain"];
const EVERYTHING: Wanted<'_> = Wanted { table: None, page: None, most: usize::MAX };

/// A row in words: table, rowid or key, values by column.
type Row = (String, String, BTreeMap<String, String>);

/// All rows that the engine holds.
fn contents(db: &Connection) -> BTreeSet<Row> {
    let mut rows = BTreeSet::new();
    for (table, columns) in TABLES.into_iter().zip(["*", "*", "\"first name\", n, id"]) {
        let rowid = if table == "pairs" { "0" } else { "_rowid_" };
        let mut statement =
            db.prepare(&format!("SELECT {rowid}, {columns} FROM {table}")).expect("a statement");
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let read = statement.query_map([], |row| {
            let cell = |i: usize| row.get::<_, rusqlite::types::Value>(i).map(|value| format!("{value:?}"));
            let values = (1..names.len()).map(|i| Ok((names[i].clone(), cell(i)?)));
            let key = row.get::<_, i64>(0)?.to_string();
            Ok((table.to_owned(), key, values.collect::<Result<BTreeMap<_, _>, rusqlite::Error>>()?))
        });
        rows.extend(read.expect("rows").map(|row| row.expect("a row")));
    }
    rows
}

/// A row that was told.
struct Told {
    row: Row,
    state: Option<State>,
    generation: Option<i64>,
    whole: bool,
    assumed: bool,
}

fn told(log: &OpenLog) -> Vec<Told> {
    let mut rows = Vec::new();
    for file in 0..log.files().len() {
        log.format().rows(&log.files(), file, &EVERYTHING, &mut |row| {
            let value = |value: &Value<'_>| match value {
                Value::Null => "Null".to_owned(),
                Value::Int(n) => format!("Integer({n})"),
                Value::Real(x) => format!("Real({x:?})"),
                Value::Text(text) => format!("Text({:?})", String::from_utf8_lossy(text)),
                Value::Blob(blob) => format!("Blob({blob:?})"),
            };
            let values: BTreeMap<String, String> = (row.cells.iter())
                .map(|cell| (cell.column.unwrap_or("?").to_owned(), value(&cell.value)))
                .collect();
            let table = row.table.unwrap_or("?").to_owned();
            let key = row.rowid.map_or(String::new(), |rowid| rowid.to_string());
            let (state, generation, whole, assumed) = (row.state, row.generation, row.whole, row.assumed);
            if TABLES.contains(&&*table) {
                rows.push(Told { row: (table, key, values), state, generation, whole, assumed });
            }
            true
        });
    }
    rows
}

fn at(dir: &Path) -> OpenLog {
    let mut logs = listing::find(dir, &listing::Wanted::default()).expect("a log");
    OpenLog::new(logs.remove(0), &listing::Wanted::default()).expect("an open log")
}

/// Transactions over a database in WAL mode, the contents after each, and the files as a crash leaves them. `restart`: a
/// checkpoint on the way, after which the log begins anew.
fn crashed(random: &mut Random, shape: Shape, restart: bool) -> (tempfile::TempDir, Vec<BTreeSet<Row>>) {
    let work = tempfile::tempdir().expect("a directory");
    let db = database::create(&work.path().join("app.db"), shape);
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0").expect("settings");
    let mut moments = vec![contents(&db)];
    for round in 0..12 {
        if restart && round == 7 {
            db.execute_batch("PRAGMA wal_checkpoint(FULL)").expect("a checkpoint");
        }
        db.execute_batch("BEGIN").expect("a transaction");
        database::change(&db, random, if round == 8 { 2 } else { 12 }, shape.page_bytes);
        db.execute_batch("COMMIT").expect("a transaction");
        moments.push(contents(&db));
    }
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(work.path().join(name), dir.path().join(name)).expect("a copy");
    }
    (dir, moments)
}

/// By table and rowid, or by the stored key.
fn keys(rows: &BTreeSet<Row>) -> BTreeSet<(String, String)> {
    rows.iter().map(key).collect()
}

fn key((table, key, values): &Row) -> (String, String) {
    let stored = || format!("{} {}", values["b"], values["a"].to_lowercase());
    (table.clone(), if table == "pairs" { stored() } else { key.clone() })
}

#[test]
fn rows_are_told_with_what_became_of_them() {
    let watch = Watch::new("sqlite rows of logs", 600);
    let (mut seen, mut assumed, mut deleted, mut superseded, mut stale) = (0, 0, 0, 0, 0);
    for (i, shape) in database::shapes().into_iter().enumerate() {
        let (dir, moments) = crashed(&mut watch.random(i), shape, i % 2 == 0);
        let rows = told(&at(dir.path()));
        let last = moments.last().expect("a moment");
        let (all, now) = (moments.iter().flatten().collect::<BTreeSet<_>>(), keys(last));
        let values: BTreeSet<_> = all.iter().map(|row| (&row.0, &row.2)).collect();
        let newest: BTreeSet<_> = last.iter().map(|row| (&row.0, &row.2)).collect();
        let mut live = BTreeSet::new();
        for told in &rows {
            let label = format!("{shape:?}: {:?} {:?} of {:?}", told.row, told.state, told.generation);
            let content = (&told.row.0, &told.row.2);
            if told.assumed {
                assumed += 1;
                continue;
            }
            assert!(told.whole, "not whole: {label}");
            assert!(values.contains(&content), "never was there: {label}");
            let there = now.contains(&key(&told.row));
            match told.state {
                Some(State::Live) => {
                    assert!(newest.contains(&content), "not there now: {label}");
                    live.insert(content);
                }
                Some(State::Superseded) => {
                    assert!(there, "not superseded: {label}");
                    superseded += 1;
                }
                Some(State::Deleted) => {
                    assert!(!there, "not deleted: {label}");
                    deleted += 1;
                    stale += usize::from(told.generation.is_some_and(|generation| generation < 0));
                }
                state => panic!("{state:?}: {label}"),
            }
            seen += 1;
        }
        assert_eq!(live, newest, "{shape:?}: all that is there, and nothing else");
    }
    assert!(
        seen > 4000 && deleted > 150 && superseded > 300 && stale > 15,
        "{seen} {assumed} {deleted} {superseded} {stale}"
    );
}

/// Runs the program; its exit code, and the lines that it printed.
fn dump(args: &[&str], dir: &Path) -> (Option<i32>, Vec<serde_json::Value>) {
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    let output =
        command.arg("dump").args(args).arg(dir).args(["--format", "ndjson"]).output().expect("a run");
    let text = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

/// What the engine says of each page: its name for the kind.
fn page_types(dir: &Path) -> BTreeMap<i64, String> {
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).expect("a copy");
    }
    let db = Connection::open(copy.path().join("app.db")).expect("a connection");
    let mut statement = db.prepare("SELECT pageno, pagetype FROM dbstat").expect("a statement");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

#[test]
fn pages_are_of_the_types_that_the_engine_knows() {
    let watch = Watch::new("sqlite page types", 300);
    let mut seen = BTreeMap::new();
    for (i, shape) in database::shapes().into_iter().enumerate() {
        let (dir, _) = crashed(&mut watch.random(i), shape, i % 3 == 0);
        let theirs = page_types(dir.path());
        let (_, lines) = dump(&[], dir.path());
        let mut newest = BTreeMap::new();
        let applied = lines.iter().rev().filter(|line| line["fate"] == "applied");
        let size = applied.filter_map(|line| line["database_pages"].as_i64()).next().expect("a commit");
        for line in lines.iter().filter(|line| line["type"] == "record" && line["fate"] == "applied") {
            let page = line["page"].as_i64().expect("a page");
            newest.insert(page, line["page_type"].as_str().expect("a type").to_owned());
        }
        for (page, kind) in newest.into_iter().filter(|(page, _)| *page <= size) {
            let expected = theirs.get(&page).map(String::as_str);
            let label = format!("{shape:?} page {page}: {kind}, the engine says {expected:?}");
            let fits = match kind.as_str() {
                "table leaf" | "index leaf" => expected == Some("leaf"),
                "table interior" | "index interior" => expected == Some("internal"),
                "overflow" => expected == Some("overflow"),
                "freelist trunk" | "freelist leaf" | "pointer map" => expected.is_none(),
                _ => false,
            };
            assert!(fits, "{label}");
            *seen.entry(kind).or_insert(0) += 1;
        }
    }
    assert!(seen.len() >= 7 && seen.values().all(|&count| count > 2), "{seen:?}");
}

/// `dump --page` goes back behind the live end, frame by frame.
#[test]
fn the_history_of_a_page_goes_over_generations() {
    let shape = Shape { page_bytes: 1024, vacuum: "NONE", encoding: "UTF-8", reserved: 0 };
    let watch = Watch::new("sqlite page history", 120);
    let page_of = |line: &serde_json::Value, generation: i64| {
        (line["generation"] == generation).then(|| line["page"].as_i64()).flatten()
    };
    // A log of which both generations have written the same page.
    let (dir, code, all, number) = (0..100)
        .find_map(|n| {
            let (dir, _) = crashed(&mut watch.random(n), shape, true);
            let (code, all) = dump(&[], dir.path());
            let pages = |of| -> BTreeSet<i64> { all.iter().filter_map(|line| page_of(line, of)).collect() };
            let number = *pages(0).intersection(&pages(-1)).next()?;
            Some((dir, code, all, number))
        })
        .expect("a page of both generations");
    assert_eq!(code, Some(0));
    let records: Vec<_> = all.iter().filter(|line| line["type"] == "record").collect();
    let frames = (std::fs::metadata(dir.path().join("app.db-wal")).expect("a log").len() - 32) / 1048;
    assert_eq!(records.len() as u64, frames, "a line a frame");
    let generation = |line: &serde_json::Value| line["generation"].as_i64();
    let (_, page) = dump(&["--page", &number.to_string()], dir.path());
    let page: Vec<_> = page.iter().filter(|line| line["type"] == "record").collect();
    let expected: Vec<_> = records.iter().filter(|line| line["page"] == number).copied().collect();
    assert_eq!(page, expected);
    let generations: BTreeSet<_> = page.iter().map(|line| generation(line)).collect();
    assert_eq!(generations, [Some(-1), Some(0)].into());
    for line in page {
        let stale = line["generation"] == -1;
        assert_eq!((line["status"] == "stale", line["fate"] == "stale"), (stale, stale), "{line}");
        assert_eq!(line["kind"] == "COMMIT", line["database_pages"].is_number(), "{line}");
    }
    let (_, mut backwards) = dump(&["--reverse"], dir.path());
    backwards.retain(|line| line["type"] == "record");
    backwards.reverse();
    assert_eq!(backwards.iter().collect::<Vec<_>>(), records);
}

/// Frames whose checksums hold and whose pages are anything.
#[test]
fn hostile_pages_are_survived() {
    let watch = Watch::new("sqlite hostile frames", 300);
    for (i, page_bytes) in [512, 1024, 4096, 65536].into_iter().enumerate() {
        let mut random = watch.random(i);
        let shape = Shape { page_bytes, vacuum: ["NONE", "FULL"][i % 2], encoding: "UTF-8", reserved: 0 };
        let (dir, _) = crashed(&mut random, shape, false);
        let database = std::fs::read(dir.path().join("app.db")).expect("a database");
        let size = page_bytes as usize;
        for _ in 0..30 {
            let (mut writer, mut wal) = Writer::new(size, false, [7, 9]);
            let pages = (database.len() / size) as u32;
            for nth in 0..random.within(1, 30) {
                let page = 1 + random.below(pages as usize + 2) as u32;
                let from = database.len().min(random.below(pages as usize) * size);
                let mut image = database[from..from + size].to_vec();
                let noise = random.within(1, size.min(300));
                let at = random.below(size - noise);
                image[at..at + noise].copy_from_slice(&random.bytes(noise));
                if random.once_in(3) {
                    image = random.bytes(size);
                    image[0] = [2, 5, 10, 13][random.below(4)];
                }
                if page == 1 && random.once_in(2) {
                    image[..100].copy_from_slice(&database[..100]);
                }
                let commit = if nth % 3 == 0 { random.next() as u32 % (pages + 3) } else { 0 };
                wal.extend(writer.frame(page, commit, &image));
            }
            std::fs::write(dir.path().join("app.db-wal"), &wal).expect("a log");
            let log = at(dir.path());
            told(&log);
            log.analyse(1);
        }
    }
}

#[test]
fn only_what_is_asked_for_is_told() {
    let shape = Shape { page_bytes: 4096, vacuum: "NONE", encoding: "UTF-8", reserved: 0 };
    let (dir, moments) = crashed(&mut Watch::new("sqlite asked", 60).random(2), shape, true);
    let rows = |args: &[&str]| -> Vec<serde_json::Value> {
        let (code, mut lines) = dump(&[&["--rows"], args].concat(), dir.path());
        assert_eq!(code, Some(0), "{args:?}");
        let count = lines.last().expect("a summary")["rows"].as_u64();
        lines.retain(|line| line["type"] == "row");
        assert_eq!(count, Some(lines.len() as u64));
        lines
    };
    let all = rows(&[]);
    let having = |key: &str, value: serde_json::Value| -> Vec<serde_json::Value> {
        all.iter().filter(|row| row[key] == value).cloned().collect()
    };
    assert_eq!(rows(&["--table", "NOTES"]), having("table", "notes".into()));
    assert_eq!(rows(&["--state", "deleted"]), having("state", "deleted".into()));
    assert_eq!(rows(&["--page", "3"]), having("page", 3.into()));
    assert_eq!(rows(&["--file", "app.db"]), having("file", "app.db".into()));
    assert_eq!(rows(&["--seq", "2"]), having("seq", "2".into()));
    assert_eq!(rows(&["--limit", "5"]), all[..5]);
    // All that is there now is told of the newest images.
    let live: BTreeSet<_> = having("state", "live".into())
        .iter()
        .map(|row| format!("{}{}", row["table"], row["values"]))
        .collect();
    let last = moments.last().expect("a moment");
    assert!(live.len() >= last.len(), "{} of {}", live.len(), last.len());
    // Long values are cut, and whole on request.
    let long = |rows: &[serde_json::Value]| {
        let values = rows.iter().flat_map(|row| row["values"].as_object().expect("values").values().cloned());
        values.filter(|value| value["bytes"].is_number()).count()
    };
    assert!(long(&all) > 0);
    assert_eq!(long(&rows(&["--bytes", "hex"])), 0);
}

#[test]
fn logs_without_tables_have_no_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    (common::samples()[0].write)(&mut Random::new(1), 5).store(dir.path());
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
        let output = command.arg("dump").args(args).arg(dir.path()).output().expect("a run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout.len())
    };
    let (code, said, printed) = run(&["--rows"]);
    assert_eq!((code, printed), (Some(2), 0));
    assert!(said.contains("--rows") && said.lines().count() == 1, "{said}");
    assert_eq!(run(&["--table", "x"]).0, Some(2));
    assert_eq!(run(&["--rows", "--state", "dead"]).0, Some(2));
    assert_eq!(run(&["--rows", "--key", "x"]).0, Some(2));
}

/// A transaction in a rollback mode; the contents before and after it. `hot`: it is cut off in the middle, when some of it
/// is in the database already.
fn rolled(
    random: &mut Random,
    shape: Shape,
    mode: &str,
    hot: bool,
) -> (tempfile::TempDir, [BTreeSet<Row>; 2]) {
    let work = tempfile::tempdir().expect("a directory");
    let db = database::create(&work.path().join("app.db"), shape);
    database::change(&db, random, 80, shape.page_bytes);
    db.execute_batch(&format!("PRAGMA journal_mode={mode}; PRAGMA cache_size=4; PRAGMA cache_spill=4"))
        .expect("settings");
    let before = contents(&db);
    db.execute_batch("BEGIN").expect("a transaction");
    database::change(&db, random, 60, shape.page_bytes);
    if !hot {
        db.execute_batch("COMMIT").expect("a commit");
    }
    let after = contents(&db);
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-journal"] {
        std::fs::copy(work.path().join(name), dir.path().join(name)).expect("a copy");
    }
    (dir, [before, after])
}

#[test]
fn rows_of_a_journal_are_those_before_the_transaction() {
    let watch = Watch::new("sqlite rows of journals", 300);
    let (mut uncommitted, mut old) = (0, 0);
    for (i, shape) in database::shapes().into_iter().enumerate() {
        let hot = i % 2 == 0;
        let mode = if hot { "DELETE" } else { "PERSIST" };
        let (dir, [before, after]) = rolled(&mut watch.random(i), shape, mode, hot);
        let rows = told(&at(dir.path()));
        let now = if hot { &before } else { &after };
        let contents = |rows: &BTreeSet<Row>| -> BTreeSet<(String, BTreeMap<String, String>)> {
            rows.iter().map(|row| (row.0.clone(), row.2.clone())).collect()
        };
        let (newest, older, keys) = (contents(now), contents(&before), keys(now));
        let mut live = BTreeSet::new();
        for told in rows.iter().filter(|told| !told.assumed) {
            let label = format!("{shape:?} {mode}: {:?} {:?} of {:?}", told.row, told.state, told.generation);
            let content = (told.row.0.clone(), told.row.2.clone());
            match told.state {
                Some(State::Live) => {
                    assert!(newest.contains(&content), "not there now: {label}");
                    live.insert(content);
                }
                Some(State::Uncommitted) => {
                    assert!(hot && told.generation.is_none(), "{label}");
                    uncommitted += 1;
                }
                Some(state) => {
                    assert!(!hot && (!told.whole || older.contains(&content)), "never was there: {label}");
                    assert_eq!(state == State::Superseded, keys.contains(&key(&told.row)), "{label}");
                    old += 1;
                }
                // Overflow pages that the interrupted transaction has not come to write, or that the commit cut off.
                None => assert!(!told.whole, "{label}"),
            }
        }
        assert_eq!(live, newest, "{shape:?} {mode}");
    }
    assert!(uncommitted > 50 && old > 50, "{uncommitted} {old}");
}

/// Cells lie on a page as they were written, from its end; its pointers bring them into the order of the key.
#[test]
fn rows_of_a_page_come_by_key() {
    let work = tempfile::tempdir().expect("a directory");
    let db = Connection::open(work.path().join("app.db")).expect("a connection");
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE notes(id INTEGER PRIMARY KEY, body);
         CREATE TABLE pairs(a, b, PRIMARY KEY(a)) WITHOUT ROWID; BEGIN;",
    )
    .expect("a schema");
    for id in [50, 7, 900, 30, 31, 8, 1, 65, 64] {
        db.execute("INSERT INTO notes VALUES(?1, 'x')", [id]).expect("a row");
        db.execute("INSERT INTO pairs VALUES(?1, 'x')", [id]).expect("a row");
    }
    db.execute_batch("COMMIT").expect("a transaction");
    let log = at(work.path());
    let mut rows: Vec<(String, i64, u64)> = Vec::new();
    log.format().rows(&log.files(), 0, &EVERYTHING, &mut |row| {
        let key = row.rowid.or(match row.cells.first().map(|cell| cell.value) {
            Some(Value::Int(key)) => Some(key),
            _ => None,
        });
        rows.extend(row.table.zip(key).map(|(table, key)| (table.to_owned(), key, row.at)));
        true
    });
    for table in ["notes", "pairs"] {
        let rows: Vec<_> = rows.iter().filter(|row| row.0 == table).collect();
        assert_eq!(rows.len(), 9, "{table}");
        assert!(rows.is_sorted_by_key(|row| row.1), "{table}: {rows:?}");
        assert!(!rows.is_sorted_by_key(|row| row.2) && !rows.is_sorted_by_key(|row| u64::MAX - row.2));
    }
}
