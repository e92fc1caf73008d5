//! SQLite against SQLite: what walmedic makes of a rollback journal is compared with what the engine itself makes of it.

mod common;

use std::path::{Path, PathBuf};

use common::damage::Damage;
use common::image::{at, image, make};
use common::journal::{self, MAGIC};
use common::log::{File, Promise};
use common::random::{Random, Watch};
use common::read::{assert_tiles, open, report};
use rusqlite::Connection;
use walmedic::analysis::OpenLog;
use walmedic::format::sqlite_journal::undo_last_commit;
use walmedic::io::listing::{self, Wanted};
use walmedic::log::finding::Code;
use walmedic::replay::{Policy, Wish, replay};

/// What a database is made like.
#[derive(Clone, Copy, Debug)]
struct Make {
    page_bytes: u32,
    vacuum: &'static str,
    mode: &'static str,
    sync: &'static str,
    /// Whether the disk may write a whole sector for a byte: then headers take up 4096 bytes.
    torn_sectors: bool,
}

impl Make {
    fn open(self, dir: &Path) -> Connection {
        let psow = u8::from(!self.torn_sectors);
        let uri = format!("file:{}?psow={psow}", dir.join("app.db").display());
        let db = Connection::open(uri).expect("a connection");
        db.execute_batch(&format!(
            "PRAGMA page_size={}; PRAGMA auto_vacuum={}; PRAGMA journal_mode={}; PRAGMA synchronous={};
             PRAGMA cache_size=6;
             CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
             CREATE TABLE other(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
             CREATE INDEX by_body ON notes(body);",
            self.page_bytes, self.vacuum, self.mode, self.sync
        ))
        .expect("a schema");
        db
    }

    /// Changes about so many rows.
    fn change(self, db: &Connection, random: &mut Random, rows: usize) {
        for _ in 0..rows {
            let long = if random.once_in(6) { 3 * self.page_bytes as usize } else { 120 };
            let (id, len) = (random.below(200) as i64, random.within(1, long));
            let body: String =
                (0..len).map(|i| char::from(b'a' + ((i as i64 * 7 + id) % 26) as u8)).collect();
            match random.below(4) {
                0 => db.execute("DELETE FROM notes WHERE id = ?1", [id]),
                1 => db.execute("INSERT OR REPLACE INTO other VALUES(?1, zeroblob(?2))", (&body, len as i64)),
                _ => db.execute("INSERT OR REPLACE INTO notes VALUES(?1, ?2)", (id, &body)),
            }
            .expect("a change");
        }
    }

    /// Stops in the middle of a transaction, as a crash does; gives the files, and the database from before.
    fn crashed(self, random: &mut Random) -> (tempfile::TempDir, Vec<u8>) {
        let work = tempfile::tempdir().expect("a directory");
        let db = self.open(work.path());
        let rows = (200_000 / self.page_bytes as usize).clamp(40, 200);
        db.execute_batch("BEGIN").expect("a transaction");
        self.change(&db, random, 2 * rows);
        db.execute_batch("COMMIT").expect("a commit");
        let before = std::fs::read(work.path().join("app.db")).expect("a database");
        db.execute_batch("BEGIN; SAVEPOINT a").expect("a transaction");
        self.change(&db, random, rows / 2);
        db.execute_batch(if random.once_in(2) { "ROLLBACK TO a" } else { "RELEASE a" }).expect("a savepoint");
        self.change(&db, random, rows);
        if self.vacuum == "INCREMENTAL" {
            db.execute_batch("DELETE FROM other WHERE length(key) > 20; PRAGMA incremental_vacuum(5)")
                .expect("fewer pages");
        }
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["app.db", "app.db-journal"] {
            std::fs::copy(work.path().join(name), dir.path().join(name)).expect("a copy");
        }
        (dir, before)
    }
}

fn makes() -> Vec<Make> {
    let mut all = Vec::new();
    for (i, page_bytes) in [512, 1024, 4096, 65536].into_iter().enumerate() {
        for (j, vacuum) in ["NONE", "FULL", "INCREMENTAL"].into_iter().enumerate() {
            let mode = ["DELETE", "PERSIST", "TRUNCATE"][(i + j) % 3];
            let sync = if (i + j) % 4 == 3 { "OFF" } else { "FULL" };
            all.push(Make { page_bytes, vacuum, mode, sync, torn_sectors: j == 1 });
        }
    }
    all
}

/// The file that the engine leaves of those in `dir`: it works on a copy, in which a super-journal may be named `mj`.
fn engine(dir: &Path, mj: Option<&str>) -> Vec<u8> {
    let copy = tempfile::tempdir().expect("a directory");
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("a copy");
    }
    if let Some(name) = mj {
        let path = copy.path().join("app.db-journal");
        let mut bytes = std::fs::read(&path).expect("a journal");
        bytes.extend(trailer(copy.path().join(name).to_str().expect("a name")));
        std::fs::write(path, bytes).expect("a journal");
    }
    let db = Connection::open(copy.path().join("app.db")).expect("a connection");
    // What cannot be read as a database any more has been rolled back all the same.
    db.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0)).ok();
    db.close().expect("closed");
    std::fs::read(copy.path().join("app.db")).expect("a database")
}

/// The same database: pages on the list of free ones hold nothing, and a transaction does not save them.
fn assert_same(made: &[u8], before: &[u8], what: &str) {
    let number = |at: usize| u32::from_be_bytes(before[at..at + 4].try_into().expect("four bytes")) as usize;
    let stated = usize::from(u16::from_be_bytes([before[16], before[17]]));
    let page_bytes = if stated == 1 { 65536 } else { stated };
    let (mut free, mut trunk) = (Vec::new(), number(32));
    while trunk != 0 {
        let at = (trunk - 1) * page_bytes;
        free.extend((0..number(at + 4)).map(|leaf| number(at + 8 + 4 * leaf)));
        trunk = number(at);
    }
    assert_eq!(made.len(), before.len(), "{what}");
    for (i, (a, b)) in made.chunks(page_bytes).zip(before.chunks(page_bytes)).enumerate() {
        assert!(a == b || free.contains(&(i + 1)), "{what}: page {} differs", i + 1);
    }
}

fn trailer(name: &str) -> Vec<u8> {
    journal::Shape { page_bytes: 1024, sector: 512, pages: 0 }.trailer(name)
}

#[test]
fn the_engine_policy_is_what_sqlite_does() {
    let watch = Watch::new("sqlite journals", 600);
    let (mut rolled, mut segments) = (0, 0);
    for (i, how) in makes().into_iter().enumerate() {
        let mut random = watch.random(i);
        let (dir, _) = how.crashed(&mut random);
        let path = dir.path().join("app.db-journal");
        let found = std::fs::read(dir.path().join("app.db")).expect("a database");
        let sound = std::fs::read(&path).expect("a journal");
        segments += usize::from(sound.chunks(512).skip(1).any(|sector| sector.starts_with(&MAGIC)));
        for round in 0..16 {
            let mut file = File::new("app.db-journal", Promise::Tiled, &[]);
            file.bytes = sound.clone();
            for _ in 0..round % 4 {
                Damage::any(&file, &mut random).apply(&mut file, &mut random);
            }
            std::fs::write(&path, &file.bytes).expect("a damaged journal");
            let ours = image(&at(dir.path()), Policy::Engine).expect("it opens");
            let theirs = engine(dir.path(), None);
            assert!(ours == theirs, "{how:?} round {round}: not the file that SQLite leaves");
            rolled += usize::from(ours != found);
        }
    }
    assert!(rolled > 100, "only {rolled} journals were rolled back");
    assert!(segments > 4, "only {segments} journals have several segments");
}

/// Cuts and single fields, of which random damage meets few.
#[test]
fn every_field_of_a_header_counts_as_for_sqlite() {
    let watch = Watch::new("sqlite journal headers", 300);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    let (dir, _) = how.crashed(&mut watch.random(1));
    let path = dir.path().join("app.db-journal");
    let sound = std::fs::read(&path).expect("a journal");
    let second = (1..sound.len() / 512)
        .map(|n| n * 512)
        .find(|at| sound[*at..].starts_with(&MAGIC))
        .expect("two segments");
    let mut hurt: Vec<Vec<u8>> = Vec::new();
    for header in [0, second] {
        // A size of terabytes would be made as one file here.
        for at in (0..28).filter(|at| !matches!(at, 16 | 17)) {
            for value in [0, 1, 0xff, sound[header + at] ^ 2, sound[header + at] ^ 0x40] {
                let mut bytes = sound.clone();
                bytes[header + at] = value;
                hurt.push(bytes);
            }
        }
    }
    for header in [0, second] {
        for len in [0, 1, 27, 28, 511, 512, 513, 516, 512 + 1028, 512 + 1031, 512 + 1032, 512 + 1036] {
            hurt.push(sound[..(header + len).min(sound.len())].to_vec());
        }
    }
    for (n, bytes) in hurt.into_iter().enumerate() {
        std::fs::write(&path, &bytes).expect("a damaged journal");
        let ours = image(&at(dir.path()), Policy::Engine).expect("it opens");
        assert!(ours == engine(dir.path(), None), "change {n}: not the file that SQLite leaves");
    }
    std::fs::write(&path, &sound).expect("the journal");
    for database in [0, 1, 2, 10, 99, 100, 1023, 1024, 5000] {
        let whole = std::fs::read(dir.path().join("app.db")).expect("a database");
        std::fs::write(dir.path().join("app.db"), &whole[..database]).expect("a cut database");
        let ours = image(&at(dir.path()), Policy::Engine).expect("it opens");
        assert!(
            ours == engine(dir.path(), None),
            "{database} bytes of database: not the file that SQLite leaves"
        );
        std::fs::write(dir.path().join("app.db"), &whole).expect("the database");
    }
}

#[test]
fn an_undamaged_journal_gives_the_database_from_before() {
    let watch = Watch::new("sqlite rollback", 300);
    let mut rolled = 0;
    for (i, how) in makes().into_iter().enumerate() {
        let (dir, before) = how.crashed(&mut watch.random(i));
        let log = at(dir.path());
        let found = std::fs::read(dir.path().join("app.db")).expect("a database");
        for policy in [Policy::Engine, Policy::Committed, Policy::Salvage] {
            let made = image(&log, policy).expect("opens");
            assert_same(&made, &before, &format!("{how:?}: {policy:?}"));
        }
        let findings: Vec<_> = log.analyse(1).findings().filter(|f| f.class.word() != "note").collect();
        assert!(findings.is_empty(), "{how:?}: {findings:?}");
        rolled += usize::from(found != before);
    }
    assert!(rolled > 8, "only {rolled} transactions had touched their database");
}

/// Records stand alone: with one of them destroyed all other pages are rolled back, where SQLite stops.
#[test]
fn a_damaged_record_costs_its_page_only() {
    let watch = Watch::new("sqlite journal records", 300);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    let (dir, _) = how.crashed(&mut watch.random(2));
    let path = dir.path().join("app.db-journal");
    let sound = std::fs::read(&path).expect("a journal");
    let number = |at: usize| u32::from_be_bytes(sound[at..at + 4].try_into().expect("four bytes")) as usize;
    let log = at(dir.path());
    let whole = image(&log, Policy::Committed).expect("an image");
    let records = log.analyse(1).files[0].survey.counts().0;
    let (mut nth, mut less) = (0, 0);
    for header in (0..sound.len()).step_by(512).filter(|at| sound[*at..].starts_with(&MAGIC)) {
        for n in 0..number(header + 8) {
            let record = header + 512 + n * 1032;
            let mut bytes = sound.clone();
            bytes[record + 4 + 824] ^= 0x10;
            std::fs::write(&path, &bytes).expect("a damaged journal");
            let log = at(dir.path());
            let (ahead, behind, _) = log.analyse(1).files[0].survey.counts();
            assert_eq!((ahead, ahead + behind), (nth, records - 1), "record at {record}");
            let made = image(&log, Policy::Committed).expect("an image");
            let span = (number(record) - 1) * 1024..number(record) * 1024;
            assert_eq!(made.len(), whole.len());
            assert!(made[..span.start] == whole[..span.start] && made[span.end..] == whole[span.end..]);
            less += usize::from(image(&log, Policy::Engine).expect("an image") != made);
            nth += 1;
        }
    }
    assert_eq!(nth, records);
    assert!(less > 10, "SQLite lost more in {less} cases only");
}

#[test]
fn a_super_journal_decides_whether_the_journal_is_hot() {
    let watch = Watch::new("super-journals", 60);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    let (dir, before) = how.crashed(&mut watch.random(1));
    let name = "app.db-mj0A1B2C9D3";
    let theirs = |there: bool| {
        let list = dir.path().join(name);
        if there {
            std::fs::write(list, b"/x/app.db-journal\0").expect("a list")
        } else {
            std::fs::remove_file(list).ok();
        }
        engine(dir.path(), Some(name))
    };
    let (committed, hot) = (theirs(false), theirs(true));
    assert_same(&hot, &before, "with the super-journal");
    assert!(committed != hot);
    let path = dir.path().join("app.db-journal");
    let mut bytes = std::fs::read(&path).expect("a journal");
    bytes.extend(trailer(&format!("/somewhere/else/{name}")));
    std::fs::write(&path, &bytes).expect("a journal");
    let codes = || at(dir.path()).analyse(1).findings().map(|f| f.code).collect::<Vec<_>>();
    assert!(image(&at(dir.path()), Policy::Engine) == Some(hot.clone()));
    assert!(image(&at(dir.path()), Policy::Committed) == Some(hot.clone()));
    assert!(!codes().contains(&Code::MissingFile));
    std::fs::remove_file(dir.path().join(name)).expect("a list");
    assert!(image(&at(dir.path()), Policy::Engine) == Some(committed.clone()));
    assert!(image(&at(dir.path()), Policy::Committed) == Some(committed));
    assert!(image(&at(dir.path()), Policy::Salvage) == Some(hot));
    assert!(codes().contains(&Code::MissingFile));
}

/// From a journal that was kept the last commit is undone, whatever older transactions have left behind it.
#[test]
fn the_last_commit_is_undone_from_a_journal_that_was_kept() {
    let watch = Watch::new("undone commits", 300);
    for (i, how) in makes().into_iter().enumerate() {
        let how = Make { mode: "PERSIST", ..how };
        let mut random = watch.random(i);
        let dir = tempfile::tempdir().expect("a directory");
        let db = how.open(dir.path());
        let database = dir.path().join("app.db");
        for (round, rows) in [60, 40, 3, 1, 0, 25].into_iter().enumerate() {
            let before = std::fs::read(&database).expect("a database");
            if rows == 0 {
                db.execute_batch("VACUUM").expect("a smaller database");
            } else {
                db.execute_batch("BEGIN").expect("a transaction");
                how.change(&db, &mut random, rows);
                db.execute_batch("COMMIT").expect("a commit");
            }
            if std::fs::read(&database).expect("a database") == before {
                continue;
            }
            let log = at(dir.path());
            let undone =
                undo_last_commit(&log.files()).unwrap_or_else(|why| panic!("{how:?} {round}: {why}"));
            assert!(undone.fits, "{how:?} {round}");
            let made = make(&log, &undone.image);
            // Pages that a commit cuts off are saved nowhere.
            let cut = made.len() - undone.lost as usize * how.page_bytes as usize;
            assert!(undone.lost == 0 || rows == 0 || how.vacuum != "NONE", "{how:?} {round}");
            let kept = [&made[..cut], &before[cut..]].concat();
            assert_same(&kept, &before, &format!("{how:?} round {round}"));
            assert!(log.analyse(1).findings().all(|f| f.class.word() == "note"), "{how:?} {round}");
        }
        // What was rolled back leaves the same journal, and nothing to undo.
        db.execute_batch("BEGIN").expect("a transaction");
        how.change(&db, &mut random, 20);
        let before = db.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
        db.execute_batch("ROLLBACK").expect("a rollback");
        assert!(before.is_ok());
        assert!(
            undo_last_commit(&at(dir.path()).files()).is_ok_and(|undone| !undone.fits)
                || undo_last_commit(&at(dir.path()).files()).is_err()
        );
        assert!(at(dir.path()).analyse(1).findings().all(|f| f.class.word() == "note"), "{how:?}");
    }
}

#[test]
fn a_zeroed_header_is_no_commit_where_the_database_says_so() {
    let watch = Watch::new("wiped headers", 60);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "PERSIST", sync: "FULL", torn_sectors: false };
    let dir = tempfile::tempdir().expect("a directory");
    let db = how.open(dir.path());
    how.change(&db, &mut watch.random(1), 80);
    let database = dir.path().join("app.db");
    let before = std::fs::read(&database).expect("a database");
    db.execute("INSERT INTO notes(body) VALUES('one more')", []).expect("a change");
    let codes = || at(dir.path()).analyse(1).findings().map(|f| f.code).collect::<Vec<_>>();
    assert!(!codes().contains(&Code::ZeroFilled));
    // The pages of the transaction without its page 1, as where the process stopped in between.
    let mut half = std::fs::read(&database).expect("a database");
    assert!(half[1024..] != before[1024..]);
    half[..1024].copy_from_slice(&before[..1024]);
    std::fs::write(&database, &half).expect("a half written database");
    assert!(codes().contains(&Code::ZeroFilled));
}

#[test]
fn a_flipped_bit_costs_one_record_at_most() {
    let watch = Watch::new("sqlite journal flips", 120);
    let mut log = journal::sample(&mut watch.random(1), 9, 512, false);
    // The nonce of a lone record nobody could tell from its checksum.
    log.files[1] = journal::journal();
    let shape = journal::Shape { page_bytes: 512, sector: 512, pages: 12 };
    for (nonce, pages) in [(77, &[4, 1, 12, 2][..]), (1 << 31 | 5, &[3, 5]), (900_000_001, &[10, 9, 8])] {
        shape.segment(&mut log.files[1], nonce, pages, journal::Sort::Synced);
    }
    let bytes = log.files[1].bytes.len();
    for at in 0..bytes {
        let mut hurt = log.clone();
        Damage::Flip { at, bit: (at % 8) as u8 }.apply(&mut hurt.files[1], &mut watch.random(2));
        let report = report(&hurt);
        assert_tiles(&report);
        let file = report.files.iter().find(|f| &*f.name == "app.db-journal").expect("the journal");
        let (ahead, behind, _) = file.survey.counts();
        assert!(ahead + behind >= 8, "byte {at}: {ahead} + {behind} records");
        let sampled = log.files[1].records.iter().find_map(|r| {
            let offset = at.checked_sub(r.span.start).filter(|_| r.span.contains(&at))?;
            Some(matches!(offset, 116 | 316 | 516..520))
        });
        match sampled {
            Some(true) => assert_eq!(ahead + behind, 8, "byte {at}"),
            // A page number can be wrong in ways that nothing shows.
            Some(false) => {}
            None => assert_eq!(ahead + behind, 9, "byte {at}"),
        }
    }
    assert!(open(&log).analyse(1).findings().all(|f| f.class.word() == "note"));
}

/// A page number that is another page's is covered by no checksum: what comes of it shows it, as it shows SQLite.
#[test]
fn a_wrong_page_number_shows_in_what_comes_of_it() {
    let watch = Watch::new("sqlite journal page numbers", 120);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    let (dir, before) = how.crashed(&mut watch.random(4));
    let path = dir.path().join("app.db-journal");
    let sound = std::fs::read(&path).expect("a journal");
    let number = |at: usize| u32::from_be_bytes(sound[at..at + 4].try_into().expect("four bytes"));
    let segments = (0..sound.len()).step_by(512).filter(|at| sound[*at..].starts_with(&MAGIC));
    let records = |at: usize| (0..number(at + 8) as usize).map(move |n| at + 512 + n * 1032);
    let saved: Vec<u32> = segments.flat_map(records).map(number).collect();
    let others: Vec<u32> = (1..=(before.len() / 1024) as u32).filter(|page| !saved.contains(page)).collect();
    assert!(!others.is_empty(), "every page is saved");
    let (mut told, mut harmless) = (0, 0);
    for (n, record) in records(0).enumerate() {
        let mut bytes = sound.clone();
        let wrong = others[n % others.len()];
        bytes[record..record + 4].copy_from_slice(&wrong.to_be_bytes());
        std::fs::write(&path, &bytes).expect("a damaged journal");
        let unsound = integrity(&engine(dir.path(), None)) != "ok";
        let report = at(dir.path()).analyse(1);
        let found = report.remarks.iter().any(|r| r.code == Code::TreeInconsistent);
        assert_eq!(found, unsound, "page {} called {wrong}", number(record));
        *(if unsound { &mut told } else { &mut harmless }) += 1;
        let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
        let verdict = command.arg("verify").arg(dir.path()).output().expect("a run").status.code();
        assert_eq!(verdict, Some(i32::from(unsound)));
    }
    assert!(told > 3, "{told} told, {harmless} harmless");
}

/// What the engine's own check says of a file.
fn integrity(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("made.db");
    std::fs::write(&path, bytes).expect("a database");
    let db = Connection::open(path).expect("a connection");
    let said = db.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    said.unwrap_or_else(|e| e.to_string())
}

fn walmedic(args: &[&str], path: &Path) -> (Option<i32>, String) {
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    let out = command.args(args).arg(path).output().expect("a run");
    (
        out.status.code(),
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
    )
}

/// Records that a synced header counts are lost where the file ends before them, wherever it was cut.
#[test]
fn a_journal_that_is_cut_is_told_to_be_torn() {
    let watch = Watch::new("sqlite journal cuts", 60);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    let (dir, _) = how.crashed(&mut watch.random(5));
    let path = dir.path().join("app.db-journal");
    let mut sound = std::fs::read(&path).expect("a journal");
    let number = |at: usize| u32::from_be_bytes(sound[at..at + 4].try_into().expect("four bytes"));
    // One segment, whose pages have been changed.
    let count = number(8) as usize;
    sound.truncate(512 + count * 1032);
    assert!(count >= 2, "{count} records");
    let lost = |log: &OpenLog| {
        let wish = Wish::new(Policy::Committed, u64::MAX);
        replay(log, &log.analyse(1), &wish).expect("a state").recovered.expect("pages").lost
    };
    for (cut, unread) in [(0, 0), (1, 1), (4, 1), (600, 1), (1031, 1), (1032, 1), (1033, 2)] {
        std::fs::write(&path, &sound[..sound.len() - cut]).expect("a cut journal");
        let log = at(dir.path());
        let report = log.analyse(1);
        let what = format!("{cut} bytes cut off");
        assert_eq!(lost(&log), cut > 0, "{what}");
        assert_eq!(report.files[0].end(), if cut > 0 { "torn" } else { "clean" }, "{what}");
        assert_eq!(report.findings().any(|f| f.code == Code::TornTail), cut > 0, "{what}");
        let hot = report.remarks.iter().find(|r| r.code == Code::UnfinishedOperation).expect("hot");
        let said = format!("before {unread} of the records");
        assert_eq!(hot.message.contains(&said), cut > 0, "{what}: {}", hot.message);
        assert!(image(&log, Policy::Engine) == Some(engine(dir.path(), None)), "{what}");
    }
    // Without a count nothing tells what has been changed.
    sound[8..12].fill(0xff);
    std::fs::write(&path, &sound[..sound.len() - 600]).expect("a cut journal");
    let log = at(dir.path());
    let report = log.analyse(1);
    let hot = report.remarks.iter().find(|r| r.code == Code::UnfinishedOperation).expect("hot");
    assert!(lost(&log) && hot.message.contains("nobody can tell"), "{}", hot.message);
    assert!(image(&log, Policy::Engine) == Some(engine(dir.path(), None)));
}

/// The database before the last commit is not written unasked where it is not sound, nor called whole where it is not.
#[test]
fn a_commit_is_not_undone_by_half() {
    let watch = Watch::new("sqlite half undone", 60);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "PERSIST", sync: "FULL", torn_sectors: false };
    // Of one segment, and of several, of which the later ones count their records.
    for (cache, counted) in [(500, false), (6, true)] {
        let dir = tempfile::tempdir().expect("a directory");
        let db = how.open(dir.path());
        how.change(&db, &mut watch.random(1), 80);
        db.execute_batch(&format!("PRAGMA cache_size={cache}; BEGIN; DELETE FROM notes; COMMIT"))
            .expect("a commit");
        db.close().expect("closed");
        let path = dir.path().join("app.db-journal");
        let sound = std::fs::read(&path).expect("a journal");
        let undo = |args: &[&str]| walmedic(&[&["repair", "--undo-last-commit"], args].concat(), dir.path());
        let target = tempfile::tempdir().expect("a directory");
        let out = |name: &str| target.path().join(name).to_str().expect("a name").to_owned();
        let (code, told) = undo(&["--apply", "--output", &out("whole")]);
        assert_eq!(code, Some(0), "{told}");
        let undone = undo_last_commit(&at(dir.path()).files()).expect("a commit");
        assert_eq!((undone.torn, undone.records >= 4), (None, true));
        // The last record cut off, by half or whole.
        let last = undone.places().max().expect("a record") as usize;
        for (to, torn) in [(last + 600, true), (last + 3, true), (last, counted)] {
            std::fs::write(&path, &sound[..to]).expect("a cut journal");
            let undone = undo_last_commit(&at(dir.path()).files()).expect("a commit");
            assert_eq!(undone.torn, torn.then_some(last as u64), "{to} of {last}");
            let (code, told) = walmedic(&["verify"], dir.path());
            assert_eq!((code, told.contains("breaks off")), (Some(0), torn), "{told}");
            let (code, told) = undo(&["--apply", "--output", &out("refused")]);
            assert!(code == Some(4) && told.contains("would not be sound"), "{told}");
            let (code, told) = undo(&["--force", "--apply", "--output", &out(&to.to_string())]);
            assert_eq!(code, Some(1), "{told}");
            assert_eq!(told.contains("lost for good"), torn, "{told}");
        }
    }
}

/// What is proposed first does not get in the way of what is proposed next.
#[test]
fn one_proposal_does_not_forbid_the_next() {
    let watch = Watch::new("sqlite proposals", 60);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    for named in ["app.db-journal", "app.db", ""] {
        let outer = tempfile::tempdir().expect("a directory");
        let home = outer.path().join("home");
        std::fs::create_dir(&home).expect("a directory");
        let (dir, before) = how.crashed(&mut watch.random(6));
        for name in ["app.db", "app.db-journal"] {
            std::fs::copy(dir.path().join(name), home.join(name)).expect("a copy");
        }
        let (_, told) = walmedic(&["repair"], &home.join(named));
        let typed: Vec<&str> =
            told.lines().filter_map(|line| line.trim().strip_prefix("walmedic ")).collect();
        assert_eq!(typed.len(), 2, "{told}");
        let copies: Vec<&str> =
            typed.iter().filter_map(|line| line.split_once(" --output ")).map(|x| x.1).collect();
        let own = if named.is_empty() { "/home.repaired" } else { "/home.app.db-" };
        assert!(copies.len() == 1 && copies[0].contains(own), "{told}");
        for line in typed {
            let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
            let out = command.args(line.split(' ')).output().expect("a run");
            assert_eq!(out.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        }
        for dir in ["home", copies[0]] {
            let made = std::fs::read(outer.path().join(dir).join("app.db")).expect("a database");
            assert_same(&made, &before, &format!("{named}: {dir}"));
        }
    }
}

/// Of a stream nobody knows what its database holds; it is not said to be missing.
#[test]
fn a_stream_is_told_as_if_it_lay_beside_its_database() {
    let watch = Watch::new("sqlite journal stream", 30);
    let how = Make { page_bytes: 1024, vacuum: "NONE", mode: "DELETE", sync: "FULL", torn_sectors: false };
    let (dir, _) = how.crashed(&mut watch.random(7));
    let mut bytes = std::fs::read(dir.path().join("app.db-journal")).expect("a journal");
    bytes[512 + 4 + 824] ^= 0x10;
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
        let named = ["-", "--stdin-name", "app.db-journal"];
        let out = command.args(args).args(named).write_stdin(bytes.clone()).output().expect("a run");
        let text = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    std::fs::write(dir.path().join("app.db-journal"), &bytes).expect("a damaged journal");
    let beside = at(dir.path()).analyse(1).forecast.expect("a forecast");
    let (code, told) = run(&["verify", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let forecast = &told["logs"][0]["forecast"];
    assert_eq!(code, Some(1));
    assert_eq!(forecast["engine"]["records"], beside.engine.records);
    assert_eq!(forecast["database"], "not given");
    let (_, told) = run(&["verify"]);
    assert!(told.contains("The database was not given"), "{told}");
    let (code, told) = run(&["repair"]);
    assert!(code == Some(4) && told.contains("the database was not given"), "{told}");
    let (code, told) = run(&["repair", "--undo-last-commit", "--force"]);
    assert!(code == Some(4) && told.contains("the database was not given"), "{told}");
}

/// What is over is listed record by record with what lies between, all of it, from either end.
#[test]
fn what_is_over_is_listed_without_a_hole() {
    let dir = tempfile::tempdir().expect("a directory");
    // Of a single record behind a zeroed header nothing proves that it is one.
    for (seed, records) in [(1, 3), (2, 5), (3, 19)] {
        let log = journal::finished(&mut Random::new(seed), records);
        for file in &log.files {
            std::fs::write(dir.path().join(&file.name), &file.bytes).expect("a file");
        }
        let listed = |args: &[&str]| {
            let (code, told) = walmedic(&[&["dump", "--format", "json"], args].concat(), dir.path());
            assert_eq!(code, Some(0), "{told}");
            let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
            told["records"].as_array().expect("records").clone()
        };
        let (forwards, mut backwards) = (listed(&[]), listed(&["--reverse"]));
        backwards.reverse();
        assert_eq!(forwards, backwards);
        let mut end = 0;
        for line in &forwards {
            assert_eq!((line["offset"].as_u64(), line["status"].as_str()), (Some(end), Some("stale")));
            end += line["len"].as_u64().expect("a length");
        }
        assert_eq!(end, log.files[1].bytes.len() as u64);
        assert_eq!(forwards.iter().filter(|line| line["page"].is_number()).count(), records);
    }
}

/// Whatever of the files that belong together is named, its logs are found.
#[test]
fn any_file_leads_to_its_logs() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = journal::sample(&mut Random::new(3), 5, 512, false);
    let path = |name: &str| dir.path().join(name);
    let list = b"/x/app.db-journal\0/x/other.db-journal\0/x/gone.db-journal\0";
    for (name, bytes) in [
        ("app.db", &log.files[0].bytes[..]),
        ("app.db-journal", &log.files[1].bytes),
        ("app.db-wal", b""),
        ("app.db-shm", &[0; 32768]),
        ("other.db-journal", &log.files[1].bytes),
        ("app.db-mj01234A956", list),
        ("lone.db", &log.files[0].bytes),
        ("lone.db-shm", &[0; 32768]),
    ] {
        std::fs::write(path(name), bytes).expect("a file");
    }
    let found = |name: &str, format: Option<&str>| {
        let wanted = Wanted { format: format.map(str::to_owned), ..Wanted::default() };
        let logs = listing::find(&path(name), &wanted).map_err(|e| format!("{e:#}"))?;
        Ok::<_, String>(logs.iter().map(|log| log.files[0].name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(found("app.db", None), Ok(vec!["app.db-wal".into(), "app.db-journal".into()]));
    assert_eq!(found("app.db", Some("sqlite-journal")), Ok(vec!["app.db-journal".into()]));
    assert_eq!(found("app.db-shm", None), Ok(vec!["app.db-wal".into()]));
    assert_eq!(
        found("app.db-mj01234A956", None),
        Ok(vec!["app.db-journal".into(), "other.db-journal".into()])
    );
    let message = found("lone.db", None).expect_err("no log");
    assert!(message.ends_with("a SQLite database, and no log that goes with it lies beside it; looked for lone.db-wal, lone.db-journal"), "{message}");
    let message = found("lone.db-shm", None).expect_err("no log");
    assert!(
        message.contains("the index of a SQLite write-ahead log")
            && message.ends_with("looked for lone.db-wal"),
        "{message}"
    );
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    let output = command.arg("verify").arg(path("lone.db")).output().expect("a run");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

/// The corpus: what the engine leaves, what can be had at best, and the database before the last commit.
#[test]
fn the_corpus_is_replayed_as_its_truth_says() {
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(cases) = std::fs::read_dir(shared.join("corpus/sqlite")) else {
        println!("not run: {} is absent", shared.display());
        return;
    };
    let mut compared = 0;
    for case in cases.map(|case| case.expect("a case").path()) {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        if !name.starts_with("journal-") {
            continue;
        }
        let truth = std::fs::read_to_string(case.join("truth.json")).expect("a truth");
        let truth: serde_json::Value = serde_json::from_str(&truth).expect("JSON");
        let logs = listing::find(&case.join("input/app.db-journal"), &Wanted::default()).expect("a log");
        let log = OpenLog::new(logs.into_iter().next().expect("a log"), &Wanted::default()).expect("a log");
        let report = log.analyse(1);
        let mut same = |what: &str, made: Option<String>| {
            let Some(expected) = truth[what]["image_sha256"].as_str() else { return };
            assert_eq!(made.as_deref(), Some(expected), "{name}: {what}");
            compared += 1;
        };
        for (policy, what) in [
            (Policy::Engine, "engine_recovers"),
            (Policy::Committed, "best_recoverable"),
            (Policy::Salvage, "best_recoverable"),
        ] {
            let wish = Wish::new(policy, u64::MAX);
            let replayed = replay(&log, &report, &wish).expect("a state");
            let image = replayed.image.expect("an image");
            same(what, walmedic::replay::image::sha256(&log, &image).expect("a hash"));
        }
        let undone = undo_last_commit(&log.files());
        assert_eq!(undone.is_ok(), truth["undo_last_commit"].is_object(), "{name}");
        if let Ok(undone) = undone {
            assert!(undone.fits && undone.lost == 0, "{name}");
            assert_eq!(Some(undone.records), truth["undo_last_commit"]["records"].as_u64(), "{name}");
            same("undo_last_commit", walmedic::replay::image::sha256(&log, &undone.image).expect("a hash"));
        }
    }
    assert!(compared > 20, "{compared} images compared");
}
