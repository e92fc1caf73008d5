//! SQLite against SQLite over everything that an application does to a database: vacuums, readers that hold checkpoints
//! back, transactions larger than the cache, savepoints, long values; and a rollback journal beside a WAL.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::damage::Damage;
use common::database::{self, Shape};
use common::image::{image, make};
use common::log::{File, Promise};
use common::random::{Random, Watch};
use rusqlite::Connection;
use walmedic::analysis::OpenLog;
use walmedic::io::listing::{self, Wanted};
use walmedic::log::finding::Code;
use walmedic::replay::Policy;

const NAMES: [&str; 3] = ["app.db", "app.db-wal", "app.db-journal"];

/// The log of this name in a directory.
fn log(dir: &Path, name: &str) -> OpenLog {
    let wanted = Wanted::default();
    let mut logs = listing::find(&dir.join(name), &wanted).expect("a log");
    assert_eq!(logs.len(), 1);
    OpenLog::new(logs.remove(0), &wanted).expect("an open log")
}

/// Copies what there is of a database's files.
fn copy(from: &Path, to: &Path) {
    for name in NAMES.into_iter().filter(|name| from.join(name).exists()) {
        std::fs::copy(from.join(name), to.join(name)).expect("a copy");
    }
}

/// What SQLite makes of the files in a directory.
struct Theirs {
    /// Whether a database can be read.
    opens: bool,
    /// The file that it leaves.
    bytes: Vec<u8>,
    /// Frames of the WAL that it goes by; `None`: it does not say.
    frames: Option<u64>,
}

/// Lets SQLite open a copy of the files in `dir`.
fn engine(dir: &Path) -> Theirs {
    let work = tempfile::tempdir().expect("a directory");
    copy(dir, work.path());
    let db = Connection::open(work.path().join("app.db")).expect("a connection");
    let opened = db.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0));
    // Busy or not, frames in the log, frames copied; -1 where no log was opened.
    let frames = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
    db.close().expect("closed");
    let bytes = std::fs::read(work.path().join("app.db")).expect("a database");
    let frames = frames.ok().map(|frames| u64::try_from(frames).unwrap_or(0));
    Theirs { opens: opened.is_ok(), bytes, frames }
}

fn integrity(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("made.db");
    std::fs::write(&path, bytes).expect("a database");
    let db = Connection::open(path).expect("a connection");
    db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap_or_else(|e| e.to_string())
}

/// What an application may do.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Vacuum,
    /// Gives free pages back, as far as the mode of the database allows it.
    IncrementalVacuum,
    /// A reader holds a checkpoint back while others write on.
    Reader,
    /// A transaction that does not fit into the cache; kept or taken back.
    Spill {
        kept: bool,
    },
    Savepoints,
    /// Values of many pages, changed in place.
    Blobs,
    Checkpoint,
}

const DEEDS: [Deed; 8] = [
    Deed::Vacuum,
    Deed::IncrementalVacuum,
    Deed::Reader,
    Deed::Spill { kept: true },
    Deed::Spill { kept: false },
    Deed::Savepoints,
    Deed::Blobs,
    Deed::Checkpoint,
];

/// A database at work.
struct Work {
    dir: tempfile::TempDir,
    db: Connection,
    page_bytes: u32,
}

impl Work {
    fn new(shape: Shape, mode: &str) -> Work {
        let dir = tempfile::tempdir().expect("a directory");
        let db = database::create(&dir.path().join("app.db"), shape);
        let settings =
            format!("PRAGMA journal_mode={mode}; PRAGMA cache_size=5; PRAGMA wal_autocheckpoint=0");
        db.execute_batch(&settings).expect("settings");
        Work { dir, db, page_bytes: shape.page_bytes }
    }

    fn run(&self, sql: &str) {
        self.db.execute_batch(sql).expect(sql);
    }

    fn change(&self, random: &mut Random, changes: usize) {
        database::change(&self.db, random, changes, self.page_bytes);
    }

    fn perform(&self, deed: Deed, random: &mut Random) {
        match deed {
            Deed::Vacuum => self.run("DELETE FROM notes WHERE id % 3 = 0; VACUUM"),
            Deed::IncrementalVacuum => {
                self.run("DELETE FROM notes WHERE id % 2 = 0; PRAGMA incremental_vacuum(3)");
            }
            Deed::Reader => self.read_and_write(random),
            Deed::Spill { kept } => {
                self.run("BEGIN");
                self.change(random, 60);
                self.run(if kept { "COMMIT" } else { "ROLLBACK" });
            }
            Deed::Savepoints => self.nest(random),
            Deed::Blobs => {
                let bytes = 9 * self.page_bytes;
                self.run(&format!(
                    "INSERT OR REPLACE INTO notes(id, extra) VALUES(900, zeroblob({bytes}));
                     UPDATE notes SET extra = randomblob({bytes} / 2) WHERE id = 900;
                     UPDATE notes SET body = 'short' WHERE id = 900"
                ));
            }
            Deed::Checkpoint => self.run("PRAGMA wal_checkpoint(FULL)"),
        }
        self.change(random, 4);
    }

    fn read_and_write(&self, random: &mut Random) {
        let reader = Connection::open(self.dir.path().join("app.db")).expect("a connection");
        reader.execute_batch("BEGIN").expect("a transaction");
        let count =
            |db: &Connection| db.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0));
        count(&reader).expect("a count");
        self.change(random, 8);
        // What the reader does not see yet stays in the log, which is written on behind it.
        self.run("PRAGMA wal_checkpoint(PASSIVE)");
        self.change(random, 8);
        reader.execute_batch("COMMIT").expect("an end");
        count(&reader).expect("a count");
    }

    fn nest(&self, random: &mut Random) {
        self.run("BEGIN; SAVEPOINT a");
        self.change(random, 10);
        self.run("SAVEPOINT b");
        self.change(random, 20);
        self.run("ROLLBACK TO b; RELEASE b");
        self.change(random, 5);
        self.run("RELEASE a; COMMIT");
    }

    /// The files as a crash would leave them now.
    fn crash(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        copy(self.dir.path(), dir.path());
        dir
    }
}

fn shapes() -> Vec<Shape> {
    let all = database::shapes().into_iter().enumerate();
    all.filter(|(i, shape)| shape.page_bytes == 512 || i % 4 == 1).map(|(_, shape)| shape).collect()
}

/// What walmedic says SQLite makes of the WAL in `dir` is what it makes of it: the file, and how far it reads.
fn assert_same(dir: &Path, what: &str) -> bool {
    let log = log(dir, "app.db-wal");
    let (ours, theirs) = (image(&log, Policy::Engine), engine(dir));
    // Pages of two moments may be no database any more: then SQLite reads nothing, and writes the pages all the same.
    let Some(ours) = ours else {
        assert!(!theirs.opens, "{what}: opens");
        return false;
    };
    assert!(ours == theirs.bytes, "{what}: not the file that SQLite leaves");
    let report = log.analyse(1);
    let forecast = report.forecast.as_ref().map_or(0, |forecast| forecast.engine.records);
    assert_eq!(forecast, theirs.frames.unwrap_or(forecast), "{what}: frames taken over");
    true
}

#[test]
fn a_wal_of_any_workload_leads_where_sqlite_goes() {
    let watch = Watch::new("sqlite workloads", 600);
    let (mut opened, mut stale) = (0, 0);
    for (i, shape) in shapes().into_iter().enumerate() {
        let mut random = watch.random(i);
        let work = Work::new(shape, "WAL");
        let mut deeds = DEEDS;
        for n in (1..deeds.len()).rev() {
            deeds.swap(n, random.below(n + 1));
        }
        for (n, deed) in deeds.into_iter().enumerate() {
            work.perform(deed, &mut random);
            let dir = work.crash();
            let what = format!("{shape:?}, {:?}", &deeds[..=n]);
            assert!(assert_same(dir.path(), &what), "{what}: opens");
            let log = log(dir.path(), "app.db-wal");
            let made = [Policy::Engine, Policy::Committed].map(|policy| image(&log, policy).expect("opens"));
            assert!(made[0] == made[1], "{what}: nothing is damaged, and the policies differ");
            assert_eq!(integrity(&made[0]), "ok", "{what}");
            stale += usize::from(log.analyse(1).findings().any(|f| f.code.text() == "WM-801"));
        }
        let dir = work.crash();
        let wal = dir.path().join("app.db-wal");
        let sound = std::fs::read(&wal).expect("a log");
        for round in 0..8 {
            let mut file = File::new("app.db-wal", Promise::Tiled, &[]);
            file.bytes = sound.clone();
            for _ in 0..=round % 3 {
                Damage::any(&file, &mut random).apply(&mut file, &mut random);
            }
            std::fs::write(&wal, &file.bytes).expect("a damaged log");
            opened += usize::from(assert_same(dir.path(), &format!("{shape:?}, {deeds:?}, round {round}")));
        }
    }
    assert!(opened > 20 && stale > 5, "{opened} damaged logs opened, {stale} with older generations");
}

/// A crash in the middle of a vacuum, or of any other transaction larger than the cache: the log ends in it.
#[test]
fn a_wal_that_ends_in_a_vacuum_leads_back_before_it() {
    let watch = Watch::new("sqlite cut vacuums", 300);
    for (i, shape) in shapes().into_iter().enumerate() {
        let mut random = watch.random(i);
        let work = Work::new(shape, "WAL");
        work.change(&mut random, 60);
        let before = std::fs::metadata(work.dir.path().join("app.db-wal")).expect("a log").len();
        let whole = engine(work.crash().path()).bytes;
        work.run("DELETE FROM notes WHERE id % 2 = 0");
        let deleted = std::fs::metadata(work.dir.path().join("app.db-wal")).expect("a log").len();
        work.run("VACUUM");
        let dir = work.crash();
        let wal = dir.path().join("app.db-wal");
        let sound = std::fs::read(&wal).expect("a log");
        assert!(before < deleted && deleted < sound.len() as u64, "{shape:?}");
        for _ in 0..3 {
            let cut = random.within(deleted as usize, sound.len());
            std::fs::write(&wal, &sound[..cut]).expect("a cut log");
            assert!(assert_same(dir.path(), &format!("{shape:?} cut at {cut}")));
            let log = log(dir.path(), "app.db-wal");
            let made = image(&log, Policy::Committed).expect("opens");
            assert!(made != whole && integrity(&made) == "ok", "{shape:?} cut at {cut}");
        }
    }
}

/// The hot journal of a transaction whose pages are all in the database already, from one that was kept: without syncs its
/// header counts to the end of the file.
fn reheated(journal: &[u8], page_bytes: u32, pages: u32) -> Vec<u8> {
    let record = &journal[512..][..page_bytes as usize + 8];
    let (image, sum) = (&record[4..record.len() - 4], &record[record.len() - 4..]);
    let sampled = (1..).map(|n| page_bytes as i64 - 200 * n).take_while(|at| *at > 0);
    let sampled = sampled.fold(0u32, |sum, at| sum.wrapping_add(u32::from(image[at as usize])));
    let nonce = u32::from_be_bytes(sum.try_into().expect("four bytes")).wrapping_sub(sampled);
    let mut hot = common::journal::MAGIC.to_vec();
    hot.extend([u32::MAX, nonce, pages, 512, page_bytes].iter().flat_map(|field| field.to_be_bytes()));
    hot.extend(&journal[hot.len()..]);
    hot
}

/// A crash when a vacuum has written some of its pages, or all: SQLite brings the old database back.
#[test]
fn a_vacuum_that_was_interrupted_is_rolled_back() {
    let watch = Watch::new("sqlite interrupted vacuums", 300);
    let mut shrunk = 0;
    for (i, shape) in shapes().into_iter().enumerate() {
        let mut random = watch.random(i);
        let work = Work::new(shape, "PERSIST");
        work.change(&mut random, 60);
        work.run("DELETE FROM notes WHERE id % 2 = 0");
        let before = std::fs::read(work.dir.path().join("app.db")).expect("a database");
        work.run("VACUUM");
        let dir = work.crash();
        let [app, wal, journal] = NAMES.map(|name| dir.path().join(name));
        assert!(!wal.exists());
        let after = std::fs::read(&app).expect("a database");
        let page_bytes = shape.page_bytes as usize;
        shrunk += usize::from(after.len() < before.len());
        let kept = std::fs::read(&journal).expect("a journal");
        let hot = reheated(&kept, shape.page_bytes, (before.len() / page_bytes) as u32);
        std::fs::write(&journal, hot).expect("a journal");
        for round in 0..4 {
            // Any of its pages may have been written, or all; the file is cut when the transaction is over.
            let mut mixed = before.clone();
            for (n, page) in after.chunks(page_bytes).enumerate().filter(|_| round == 0 || random.once_in(2))
            {
                if mixed.len() >= (n + 1) * page_bytes {
                    mixed[n * page_bytes..][..page_bytes].copy_from_slice(page);
                }
            }
            std::fs::write(&app, &mixed).expect("a database");
            let log = log(dir.path(), "app.db-journal");
            let theirs = engine(dir.path()).bytes;
            let what = format!("{shape:?}, round {round}");
            assert!(image(&log, Policy::Engine).as_ref() == Some(&theirs), "{what}: not what SQLite leaves");
            assert_eq!(integrity(&theirs), "ok", "{what}");
            assert_eq!(theirs.len(), before.len(), "{what}");
            let ours = image(&log, Policy::Committed).expect("opens");
            assert_eq!((integrity(&ours).as_str(), ours.len()), ("ok", before.len()), "{what}");
        }
    }
    assert!(shrunk > 3, "only {shrunk} databases became shorter");
}

/// Stops in the middle of a transaction in a database, and beside it lays a WAL of what it was before: the files of two
/// moments that a copy of a running system may bring together.
fn both(random: &mut Random, shape: Shape) -> tempfile::TempDir {
    let work = Work::new(shape, "DELETE");
    work.change(random, 60);
    let before = std::fs::read(work.dir.path().join("app.db")).expect("a database");
    work.run("BEGIN");
    work.change(random, 120);
    let dir = work.crash();
    let other = tempfile::tempdir().expect("a directory");
    let app = other.path().join("app.db");
    std::fs::write(&app, before).expect("a database");
    let db = Connection::open(&app).expect("a connection");
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0").expect("settings");
    database::change(&db, random, 10, shape.page_bytes);
    std::fs::copy(other.path().join(NAMES[1]), dir.path().join(NAMES[1])).expect("a copy");
    dir
}

fn walmedic(args: &[&str], paths: &[&Path]) -> std::process::Output {
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    command.args(args).args(paths).output().expect("a run")
}

#[test]
fn a_hot_journal_beside_a_wal_is_rolled_back_first() {
    let watch = Watch::new("sqlite both logs", 300);
    for (i, shape) in shapes().into_iter().enumerate() {
        let mut random = watch.random(i);
        let dir = both(&mut random, shape);
        let [app, wal, journal] = NAMES.map(|name| dir.path().join(name));
        let Theirs { opens, bytes: theirs, frames } = engine(dir.path());
        assert!(opens && frames > Some(0) && theirs != std::fs::read(&app).expect("a database"), "{shape:?}");
        assert_eq!(integrity(&theirs), "ok", "{shape:?}");
        for name in ["app.db-wal", "app.db-journal"] {
            for policy in [Policy::Engine, Policy::Committed] {
                let made = image(&log(dir.path(), name), policy).expect("opens");
                assert!(made == theirs, "{shape:?}: {name} by {policy:?} is not what SQLite leaves");
            }
        }
        assert!(assert_same(dir.path(), &format!("{shape:?}")));
        let target = tempfile::tempdir().expect("a directory");
        let [database, repaired] = ["out.db", "repaired"].map(|name| target.path().join(name));
        let out = walmedic(&["replay", "--into"], &[&database, &wal]);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(std::fs::read(&database).expect("a database") == theirs, "{shape:?}");
        let told = walmedic(&["verify"], &[&wal, &journal]);
        let told = String::from_utf8_lossy(&told.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        let ours = [
            "app.db-journal beside it is hot: SQLite rolls it back first, then applies this WAL",
            "app.db-wal beside it holds commits: SQLite applies them once this is rolled back",
        ];
        assert!(ours.iter().all(|words| told.contains(words)), "{told}");
        // What is repaired leads there, too.
        let out = walmedic(&["repair", "--apply", "--output"], &[&repaired, &journal]);
        assert!(matches!(out.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(engine(&repaired).bytes == theirs, "{shape:?}: repaired");
        for round in 0..8 {
            let hurt = if round % 2 == 0 { &wal } else { &journal };
            let sound = std::fs::read(hurt).expect("a log");
            let mut file = File::new("log", Promise::Tiled, &[]);
            file.bytes = sound.clone();
            Damage::any(&file, &mut random).apply(&mut file, &mut random);
            std::fs::write(hurt, &file.bytes).expect("a damaged log");
            let theirs = engine(dir.path());
            for name in ["app.db-wal", "app.db-journal"] {
                let made = image(&log(dir.path(), name), Policy::Engine);
                assert!(made.is_some() || !theirs.opens, "{shape:?}, round {round}: {name}: opens");
                assert!(made.is_none_or(|made| made == theirs.bytes), "{shape:?}, round {round}: {name}");
            }
            std::fs::write(hurt, sound).expect("a log");
        }
    }
}

/// Two old pages under each other's numbers: the checksums of a journal do not tell, the database does. Where the WAL holds
/// both pages nothing comes of it.
#[test]
fn what_a_wal_is_applied_to_need_not_be_sound() {
    let watch = Watch::new("sqlite unsound base", 300);
    let mut told = 0;
    for (i, shape) in shapes().into_iter().enumerate() {
        let dir = both(&mut watch.random(100 + i), shape);
        let [_, wal, journal] = NAMES.map(|name| dir.path().join(name));
        let (mut bytes, page_bytes) =
            (std::fs::read(&journal).expect("a journal"), shape.page_bytes as usize);
        let number = |bytes: &[u8]| bytes.first_chunk().copied().map_or(0, u32::from_be_bytes);
        let frames = std::fs::read(&wal).expect("a log");
        let applied: BTreeSet<u32> = frames[32..].chunks_exact(24 + page_bytes).map(number).collect();
        let places = (0..number(&bytes[8..]) as usize).map(|n| 512 + n * (page_bytes + 8));
        let mut places =
            places.filter(|&at| number(&bytes[at..]) > 1 && applied.contains(&number(&bytes[at..])));
        let (Some(a), Some(b)) = (places.next(), places.next()) else { continue };
        let [first, second] = [a, b].map(|at| number(&bytes[at..]).to_be_bytes());
        bytes[a..a + 4].copy_from_slice(&second);
        bytes[b..b + 4].copy_from_slice(&first);
        std::fs::write(&journal, bytes).expect("a damaged journal");
        let unsound = || {
            let report = log(dir.path(), "app.db-journal").analyse(1);
            report.findings().any(|finding| finding.code == Code::TreeInconsistent)
        };
        assert_eq!(integrity(&engine(dir.path()).bytes), "ok", "{shape:?}");
        assert!(!unsound(), "{shape:?}: beside the WAL");
        std::fs::remove_file(&wal).expect("the log goes");
        told += usize::from(unsound());
    }
    assert!(told > 2, "only {told} rollbacks were found to be wrong");
}

/// The commit before last is in the journal, the last one in the WAL.
#[test]
fn no_commit_is_undone_underneath_a_wal() {
    let mut random = Random::new(9);
    let shape = shapes()[0];
    let work = Work::new(shape, "PERSIST");
    work.change(&mut random, 20);
    let dir = work.crash();
    let undo = |dir: &Path| {
        let target = tempfile::tempdir().expect("a directory");
        let args = ["repair", "--undo-last-commit", "--apply", "--output"];
        walmedic(&args, &[&target.path().join("undone"), &dir.join("app.db-journal")])
    };
    assert_eq!(undo(dir.path()).status.code(), Some(0));
    work.run("PRAGMA journal_mode=WAL");
    work.change(&mut random, 5);
    std::fs::copy(work.dir.path().join(NAMES[1]), dir.path().join(NAMES[1])).expect("a copy");
    let out = undo(dir.path());
    assert_eq!(out.status.code(), Some(4));
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(told.contains("a write-ahead log beside it holds later commits"), "{told}");
    let log = log(dir.path(), "app.db-journal");
    let undone =
        walmedic::format::sqlite_journal::undo_last_commit(&log.files()).expect("the pages are there");
    assert!(!make(&log, &undone.image).is_empty());
}
