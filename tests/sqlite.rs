//! SQLite against SQLite: what walmedic says of a log is compared with what the engine itself makes of it.

mod common;

use std::path::Path;

use common::damage::Damage;
use common::image::{at, image};
use common::random::{Random, Watch};
use common::read::{assert_tiles, open, report};
use common::sqlite;
use rusqlite::Connection;
use walmedic::io::listing::{self, Wanted};
use walmedic::log::finding::Code;
use walmedic::log::region::Kind;
use walmedic::replay::{Policy, candidates};

/// What the engine leaves of the files in `dir`: it works on a copy.
fn engine(dir: &Path) -> Option<Vec<u8>> {
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).expect("a copy");
    }
    let db = Connection::open(copy.path().join("app.db")).expect("a connection");
    let opened = db.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0));
    db.close().expect("closed");
    opened.ok().map(|_| std::fs::read(copy.path().join("app.db")).expect("a database"))
}

/// Rows of all tables, and what the integrity check says.
fn contents(bytes: &[u8]) -> (String, Vec<(i64, String)>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("made.db");
    std::fs::write(&path, bytes).expect("a database");
    let db = Connection::open(path).expect("a connection");
    let check = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    let mut rows = db.prepare("SELECT id, body FROM notes ORDER BY id").expect("a table");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    (check, rows.map(|row| row.expect("a row")).collect())
}

/// Runs a workload and copies the files away while the database is open, as a crash leaves them. `vacuum`: the automatic
/// mode; `restart`: a checkpoint on the way, so that an older generation lies behind the log.
fn crashed(random: &mut Random, page_bytes: u32, vacuum: &str, restart: bool) -> tempfile::TempDir {
    let work = tempfile::tempdir().expect("a directory");
    let db = Connection::open(work.path().join("app.db")).expect("a connection");
    db.execute_batch(&format!(
        "PRAGMA page_size={page_bytes}; PRAGMA auto_vacuum={vacuum}; PRAGMA journal_mode=WAL;
         PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=8; PRAGMA synchronous=OFF;
         CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
         CREATE TABLE other(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
         CREATE INDEX by_body ON notes(body);"
    ))
    .expect("a schema");
    let mut some = |rows: usize| {
        for _ in 0..rows {
            let long = if random.once_in(6) { 3 * page_bytes as usize } else { 40 };
            let (id, len) = (random.below(60) as i64, random.within(1, long));
            let body: String =
                (0..len).map(|i| char::from(b'a' + ((i as i64 * 7 + id) % 26) as u8)).collect();
            match random.below(4) {
                0 => db.execute("DELETE FROM notes WHERE id = ?1", [id]),
                1 => db.execute("INSERT OR REPLACE INTO other VALUES(?1, zeroblob(?2))", (&body, len as i64)),
                _ => db.execute("INSERT OR REPLACE INTO notes VALUES(?1, ?2)", (id, &body)),
            }
            .expect("a change");
        }
    };
    some(10);
    if restart {
        db.execute_batch("PRAGMA wal_checkpoint(FULL)").expect("a checkpoint");
    }
    some(8);
    db.execute_batch("BEGIN; SAVEPOINT a").expect("a transaction");
    some(12);
    db.execute_batch("ROLLBACK TO a; RELEASE a; COMMIT").expect("a transaction");
    some(4);
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(work.path().join(name), dir.path().join(name)).expect("a copy");
    }
    dir
}

#[test]
fn the_engine_policy_is_what_sqlite_does() {
    let watch = Watch::new("sqlite", 300);
    let mut kept = 0;
    for (i, page_bytes) in [512, 1024, 4096, 65536].into_iter().enumerate() {
        for (j, vacuum) in ["NONE", "FULL", "INCREMENTAL"].into_iter().enumerate() {
            let mut random = watch.random(i * 10 + j);
            let dir = crashed(&mut random, page_bytes, vacuum, j != 1);
            let wal = dir.path().join("app.db-wal");
            let sound = std::fs::read(&wal).expect("a log");
            for round in 0..14 {
                let mut file = common::log::File::new("app.db-wal", common::log::Promise::Tiled, &[]);
                file.bytes = sound.clone();
                for _ in 0..round % 3 {
                    Damage::any(&file, &mut random).apply(&mut file, &mut random);
                }
                std::fs::write(&wal, &file.bytes).expect("a damaged log");
                let log = at(dir.path());
                let ours = image(&log, Policy::Engine);
                let theirs = engine(dir.path());
                assert_eq!(ours.is_some(), theirs.is_some(), "{page_bytes} {vacuum} round {round}: opens");
                assert!(
                    ours == theirs,
                    "{page_bytes} {vacuum} round {round}: not the file that SQLite leaves"
                );
                kept += usize::from(ours.is_some());
            }
        }
    }
    assert!(kept > 100, "only {kept} databases were opened at all");
}

#[test]
fn an_undamaged_log_has_the_same_rows_by_every_policy() {
    let watch = Watch::new("sqlite rows", 60);
    for page_bytes in [512, 4096] {
        let dir = crashed(&mut watch.random(page_bytes as usize), page_bytes, "NONE", false);
        let log = at(dir.path());
        let made =
            [Policy::Engine, Policy::Committed, Policy::Salvage].map(|p| image(&log, p).expect("opens"));
        let (check, rows) = contents(&made[0]);
        assert_eq!(check, "ok");
        assert!(rows.len() > 3, "{} rows", rows.len());
        assert!(made[0] == made[1] && made[1] == made[2], "{page_bytes}: policies differ on a sound log");
    }
}

/// One flipped bit in a page: SQLite goes back to the commit before it; the salvaged file is whole wherever the page was
/// written again later.
#[test]
fn frames_behind_damage_are_brought_back() {
    let watch = Watch::new("sqlite salvage", 60);
    let dir = crashed(&mut watch.random(3), 1024, "NONE", false);
    let wal = dir.path().join("app.db-wal");
    let sound = std::fs::read(&wal).expect("a log");
    let whole = contents(&image(&at(dir.path()), Policy::Engine).expect("opens"));
    let stride = 24 + 1024;
    let frames = (sound.len() - 32) / stride;
    let number = |frame: usize| &sound[32 + frame * stride..][..4];
    let (mut healed, mut proved) = (0, 0);
    for frame in (2..frames - 1).filter(|f| (f + 1..frames).any(|later| number(later) == number(*f))) {
        for (offset, content) in [(24 + 500, true), (9, false), (17, false)] {
            let mut bytes = sound.clone();
            bytes[32 + frame * stride + offset] ^= 1;
            std::fs::write(&wal, &bytes).expect("a damaged log");
            let log = at(dir.path());
            let policy = if content { Policy::Salvage } else { Policy::Committed };
            let made = contents(&image(&log, policy).expect("opens"));
            assert_eq!(made, whole, "frame {} with byte {offset} changed", frame + 1);
            *(if content { &mut healed } else { &mut proved }) += 1;
        }
    }
    assert!(healed > 10 && proved > 20, "{healed} healed, {proved} proved");
}

/// Whatever single bit is wrong, every frame but the one it is in is still there, by place and by number.
#[test]
fn a_flipped_bit_costs_one_frame() {
    let watch = Watch::new("sqlite flips", 120);
    for big_endian in [false, true] {
        let log = sqlite::sample(&mut watch.random(1), 9, big_endian, false);
        let bytes = log.files[1].bytes.len();
        for at in 0..bytes {
            let mut hurt = log.clone();
            Damage::Flip { at, bit: (at % 8) as u8 }.apply(&mut hurt.files[1], &mut watch.random(2));
            let report = report(&hurt);
            assert_tiles(&report);
            let file = report.files.iter().find(|f| &*f.name == "app.db-wal").expect("the log");
            let (before, after, recovered) = file.survey.counts();
            let last = at >= log.files[1].records[8].span.start;
            let whole = if at < 32 { 9 } else { 8 };
            assert_eq!(before + after, whole, "byte {at}");
            let field = at >= 32 && matches!((at - 32) % 536, 8..24);
            let salts = at >= 32 && matches!((at - 32) % 536, 8..16);
            assert_eq!(recovered, u64::from(field && (!last || salts)), "byte {at}");
            let expected = if at < 32 { 0 } else { log.files[1].records[(at - 32) / 536].span.start as u64 };
            let uncommitted = file.survey.regions.as_slice().iter().any(|r| r.kind == Kind::Stale);
            assert!(uncommitted || file.survey.regions.first_bad() == Some(expected), "byte {at}");
            assert!(!uncommitted || last, "byte {at}: called an orphan, and commits lie behind it");
        }
    }
}

fn walmedic(args: &[&str], paths: &[&Path]) -> std::process::Output {
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    command.args(args).args(paths).output().expect("a run")
}

/// A repaired log is read to its end by SQLite, which then holds what is committed; a cut one, what it held anyway.
#[test]
fn sqlite_reads_all_of_what_was_written_anew() {
    let watch = Watch::new("sqlite repairs", 300);
    let mut repaired = 0;
    for (i, page_bytes) in [512, 4096].into_iter().enumerate() {
        let mut random = watch.random(i);
        let dir = crashed(&mut random, page_bytes, "NONE", i == 0);
        let wal = dir.path().join("app.db-wal");
        let sound = std::fs::read(&wal).expect("a log");
        for round in 0..20 {
            let mut file = common::log::File::new("app.db-wal", common::log::Promise::Tiled, &[]);
            file.bytes = sound.clone();
            for _ in 0..1 + round % 3 {
                Damage::any(&file, &mut random).apply(&mut file, &mut random);
            }
            std::fs::write(&wal, &file.bytes).expect("a damaged log");
            let committed = image(&at(dir.path()), Policy::Committed).expect("a database");
            let kept = image(&at(dir.path()), Policy::Engine);
            let targets = tempfile::tempdir().expect("a directory");
            let [anew, cut, database] = ["anew", "cut", "out.db"].map(|name| targets.path().join(name));
            let out = walmedic(&["repair", "--apply", "--output"], &[&anew, dir.path()]);
            let what = format!("{page_bytes}, round {round}: {}", String::from_utf8_lossy(&out.stderr));
            assert!(matches!(out.status.code(), Some(0 | 1)), "{what}");
            assert_eq!(walmedic(&["verify"], &[&anew]).status.code(), Some(0), "{what}");
            assert!(engine(&anew).is_some_and(|theirs| theirs == committed), "{what}");
            repaired += usize::from(kept.as_ref() != Some(&committed));
            let out = walmedic(&["truncate", "--last-commit", "--apply", "--output"], &[&cut, dir.path()]);
            // With nothing whole in front of the damage there is nothing to cut behind.
            if out.status.code() != Some(4) {
                assert_eq!(engine(&cut), kept, "{what}, cut");
            }
            let out = walmedic(&["replay", "--into"], &[&database, dir.path()]);
            assert_eq!(out.status.code(), Some(0), "{what}");
            assert!(std::fs::read(&database).expect("a database") == committed, "{what}, database");
        }
    }
    assert!(repaired > 15, "only {repaired} repairs brought anything back");
}

/// From a stream nobody can tell whether a database lies beside it.
#[test]
fn a_stream_is_not_told_to_miss_its_database() {
    let log = sqlite::sample(&mut Random::new(6), 5, false, false);
    let verdict = |args: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
        let output = command.args(args).write_stdin(log.files[1].bytes.clone()).output().expect("a run");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).contains("WM-302"))
    };
    assert_eq!(verdict(&["verify", "-", "--stdin-name", "app.db-wal"]), (Some(0), false));
    let dir = tempfile::tempdir().expect("a directory");
    let alone = dir.path().join("app.db-wal");
    std::fs::write(&alone, &log.files[1].bytes).expect("a file");
    assert_eq!(verdict(&["verify", alone.to_str().expect("a name")]), (Some(1), true));
}

/// The same log tells the same beside its database and as a stream, only that a stream's database was not given.
#[test]
fn a_stream_is_judged_as_if_it_lay_beside_its_database() {
    let watch = Watch::new("sqlite stream", 30);
    let dir = crashed(&mut watch.random(9), 1024, "NONE", false);
    let wal = dir.path().join("app.db-wal");
    let mut bytes = std::fs::read(&wal).expect("a log");
    let middle = 32 + (bytes.len() - 32) / 1048 / 2 * 1048;
    bytes[middle + 24..middle + 64].fill(0x55);
    std::fs::write(&wal, &bytes).expect("a damaged log");
    let beside = at(dir.path()).analyse(1).forecast.expect("a forecast");
    assert!(beside.engine.records > 0 && beside.at_stake() > 0);
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
        let named = ["-", "--stdin-name", "app.db-wal"];
        let out = command.args(args).args(named).write_stdin(bytes.clone()).output().expect("a run");
        (out.status.code(), String::from_utf8(out.stdout).expect("text"))
    };
    let (_, told) = run(&["verify", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let forecast = &told["logs"][0]["forecast"];
    assert_eq!(forecast["engine"]["records"], beside.engine.records);
    assert_eq!(forecast["at_stake"]["records"], beside.at_stake());
    assert_eq!(forecast["database"], "not given");
    assert!(forecast["engine"]["rows"].is_null(), "rows of a database that nobody has seen");
    assert!(run(&["verify"]).1.contains("The database was not given"));
    assert!(run(&["replay"]).1.contains("The database was not given"));
    // The log is mended as one: what it leads to lies elsewhere.
    let (code, told) = run(&["repair"]);
    assert!(code == Some(4) && told.contains("The database was not given"), "{told}");
    assert!(told.contains("rewrite") && !told.contains("rebuild"), "{told}");
}

/// A database of a byte is one that the engine made itself, and its log goes; any longer one keeps it.
#[test]
fn a_database_of_a_few_bytes_counts_as_it_does_for_sqlite() {
    let watch = Watch::new("short databases", 60);
    let dir = crashed(&mut watch.random(10), 1024, "NONE", false);
    let database = dir.path().join("app.db");
    let whole = std::fs::read(&database).expect("a database");
    let mut kept = 0;
    for len in [0, 1, 2, 10, 99, 100, 511, 512, 1023, 1024, 1500] {
        for zeros in [false, true] {
            let mut bytes = if zeros { Vec::new() } else { whole[..len.min(whole.len())].to_vec() };
            bytes.resize(len, 0);
            std::fs::write(&database, &bytes).expect("a short database");
            let log = at(dir.path());
            let (ours, theirs) = (image(&log, Policy::Engine), engine(dir.path()));
            assert!(ours == theirs, "{len} bytes, zeros: {zeros}: not the file that SQLite leaves");
            let missing = log.analyse(1).findings().any(|f| f.code == Code::MissingFile);
            assert_eq!(missing, theirs == Some(bytes), "{len} bytes, zeros: {zeros}");
            kept += usize::from(!missing);
        }
    }
    assert_eq!(kept, 18);
}

/// A commit that asks for a huge database does not fill the disk.
#[test]
fn a_database_is_written_only_where_there_is_room() {
    let log = sqlite::sample(&mut Random::new(6), 5, false, false);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("app.db"), &log.files[0].bytes).expect("a database");
    let (mut writer, mut wal) = sqlite::Writer::new(65536, false, [1, 2]);
    wal.extend(writer.frame(1, u32::MAX, &sqlite::page(1, 2, 65536)));
    std::fs::write(dir.path().join("app.db-wal"), wal).expect("a log");
    let target = tempfile::tempdir().expect("a directory");
    let out = walmedic(&["replay", "--into"], &[&target.path().join("out.db"), dir.path()]);
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(4) && told.contains("bytes are needed there"), "{told}");
    assert_eq!(std::fs::read_dir(target.path()).expect("a directory").count(), 0);
}

/// The database in place of its log, as proposed: first as a copy, then where the log lies.
#[test]
fn one_proposal_does_not_forbid_the_next() {
    let watch = Watch::new("sqlite proposals", 60);
    for named in ["app.db-wal", "app.db", ""] {
        let outer = tempfile::tempdir().expect("a directory");
        let home = outer.path().join("home");
        std::fs::create_dir(&home).expect("a directory");
        let dir = crashed(&mut watch.random(11), 1024, "NONE", false);
        let whole = image(&at(dir.path()), Policy::Engine).expect("opens");
        for name in ["app.db", "app.db-wal"] {
            std::fs::copy(dir.path().join(name), home.join(name)).expect("a copy");
        }
        let out = walmedic(&["repair", "--checkpoint"], &[&home.join(named)]);
        let told = String::from_utf8(out.stdout).expect("text");
        let typed: Vec<&str> =
            told.lines().filter_map(|line| line.trim().strip_prefix("walmedic ")).collect();
        assert_eq!(typed.len(), 2, "{told}");
        let copies: Vec<&str> =
            typed.iter().filter_map(|line| line.split_once(" --output ")).map(|x| x.1).collect();
        let own = if named.is_empty() { "/home.repaired" } else { "/home.app.db-" };
        assert!(copies.len() == 1 && copies[0].contains(own), "{told}");
        for line in typed {
            let out = walmedic(&line.split(' ').collect::<Vec<_>>(), &[]);
            assert_eq!(out.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&out.stderr));
        }
        for dir in ["home", copies[0]] {
            let made = std::fs::read(outer.path().join(dir).join("app.db")).expect("a database");
            assert!(made == whole, "{named}: {dir}");
        }
    }
}

/// Two databases in a directory are two logs, each with its own.
#[test]
fn each_wal_goes_with_its_own_database() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = sqlite::sample(&mut Random::new(5), 5, false, false);
    for (name, file) in [("a", 0), ("a-wal", 1), ("b", 0), ("b-wal", 1), ("unrelated.db", 0)] {
        std::fs::write(dir.path().join(name), &log.files[file].bytes).expect("a file");
    }
    let names = |logs: &[listing::Log]| -> Vec<Vec<String>> {
        logs.iter().map(|log| log.files.iter().map(|f| f.name.to_string()).collect()).collect()
    };
    let found = listing::find(dir.path(), &Wanted::default()).expect("logs");
    assert_eq!(names(&found), [["a-wal", "a"], ["b-wal", "b"]]);
    let found = listing::find(&dir.path().join("b-wal"), &Wanted::default()).expect("a log");
    assert_eq!(names(&found), [["b-wal", "b"]]);
    assert!(open(&log).analyse(1).findings().next().is_none());
}

/// A flipped bit is put right on request, in a replay and in a repair, which can be taken back; never unasked.
#[test]
fn one_wrong_word_is_put_right_on_request() {
    let watch = Watch::new("sqlite words", 120);
    let dir = crashed(&mut watch.random(8), 1024, "NONE", false);
    let wal = dir.path().join("app.db-wal");
    let sound = std::fs::read(&wal).expect("a log");
    let whole = image(&at(dir.path()), Policy::Engine).expect("opens");
    let stride = 24 + 1024;
    let frames = (sound.len() - 32) / stride;
    let mut missing = 0;
    for frame in [2, frames / 2, frames - 3, frames - 2] {
        let mut bytes = sound.clone();
        bytes[32 + frame * stride + 24 + 77 * frame % 1000] ^= 4;
        std::fs::write(&wal, &bytes).expect("a damaged log");
        let before = image(&at(dir.path()), Policy::Committed).expect("opens");
        missing += usize::from(before != whole);
        let replayed = |args: &[&str]| {
            let to = tempfile::tempdir().expect("a directory");
            let to = to.path().join("out.db");
            let out = walmedic(&[args, &["--into"]].concat(), &[&to, dir.path()]);
            assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
            (std::fs::read(to).expect("a database"), String::from_utf8_lossy(&out.stdout).into_owned())
        };
        assert_eq!(replayed(&["replay"]).0, before);
        let (made, told) = replayed(&["replay", "--repair-words"]);
        assert!(made == whole && told.contains("inferred from the checksum"), "frame {frame}: {told}");
        let out = walmedic(&["repair", "--repair-words", "--apply", "--in-place"], &[dir.path()]);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(std::fs::read(&wal).expect("a log") == sound, "frame {frame}");
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        let record = told.trim().rsplit(' ').next().expect("the record");
        assert_eq!(walmedic(&["undo"], &[Path::new(record)]).status.code(), Some(0), "{told}");
        assert!(std::fs::read(&wal).expect("a log") == bytes, "frame {frame}: not what it was");
        let folder = Path::new(record).parent().expect("the backup");
        std::fs::remove_dir_all(folder).expect("removed");
    }
    assert!(missing > 0, "every page is healed by a later frame");
}

/// A short generation in front of a long one that a checkpoint has copied; `seed` makes the rows.
fn restarted(page_bytes: u32, seed: u8) -> tempfile::TempDir {
    let work = tempfile::tempdir().expect("a directory");
    let db = Connection::open(work.path().join("app.db")).expect("a connection");
    db.execute_batch(&format!(
        "PRAGMA page_size={page_bytes}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
         PRAGMA synchronous=OFF; CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);"
    ))
    .expect("a schema");
    let add = |id: u8| {
        let body = char::from(b'a' + (seed + id) % 26).to_string().repeat(300);
        db.execute("INSERT INTO notes VALUES(?1, ?2)", (id, body)).expect("a row");
    };
    (0..60).for_each(add);
    db.execute_batch("PRAGMA wal_checkpoint(FULL)").expect("a checkpoint");
    add(60);
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["app.db", "app.db-wal"] {
        std::fs::copy(work.path().join(name), dir.path().join(name)).expect("a copy");
    }
    dir
}

/// What a checkpoint copied is in the database, or the log is not the database's.
#[test]
fn a_log_is_told_from_another_databases() {
    let [own, other] = [1, 2].map(|seed| restarted(1024, seed));
    let codes = |dir: &Path| {
        let report = at(dir).analyse(1);
        let mut codes: Vec<Code> = report.remarks.iter().map(|r| r.code).collect();
        codes.dedup();
        codes
    };
    assert_eq!((codes(own.path()), codes(other.path())), (Vec::new(), Vec::new()));
    let database = own.path().join("app.db");
    let sound = std::fs::read(&database).expect("a database");
    let mut mismatches = 0;
    for page in 0..sound.len() / 1024 {
        let mut bytes = sound.clone();
        bytes[page * 1024 + 700] ^= 0x10;
        std::fs::write(&database, bytes).expect("a damaged database");
        mismatches += usize::from(codes(own.path()) == [Code::PageMismatch]);
    }
    assert!(mismatches > 10, "only {mismatches} damaged pages of the database were noticed");
    std::fs::copy(other.path().join("app.db"), &database).expect("a copy");
    let foreign = codes(own.path());
    assert!(foreign == [Code::ForeignRecords] || foreign == [Code::PageMismatch], "{foreign:?}");
    assert_eq!(codes(other.path()), []);
    // Pages of another size leave no doubt.
    let wide = restarted(4096, 3);
    std::fs::copy(wide.path().join("app.db"), &database).expect("a copy");
    assert_eq!(codes(own.path()), [Code::ForeignRecords]);
    assert_eq!(walmedic(&["repair"], &[own.path()]).status.code(), Some(4));
    let anew = own.path().with_extension("anew");
    let forced = walmedic(&["repair", "--force", "--apply", "--output"], &[&anew, own.path()]);
    assert_eq!(forced.status.code(), Some(1), "{}", String::from_utf8_lossy(&forced.stderr));
    std::fs::remove_dir_all(anew).expect("removed");
}

/// The best of what can be made of a damaged log is what the engine's own check calls sound, and no worse than the others.
#[test]
fn the_best_candidate_passes_the_engines_check() {
    let watch = Watch::new("sqlite candidates", 200);
    let mut beaten = 0;
    for (seed, page_bytes) in [(21, 512), (22, 1024), (23, 1024)] {
        let mut random = watch.random(seed);
        let dir = crashed(&mut random, page_bytes, "FULL", false);
        let wal = dir.path().join("app.db-wal");
        let sound = std::fs::read(&wal).expect("a log");
        for round in 0..8 {
            let mut file = common::log::File::new("app.db-wal", common::log::Promise::Tiled, &[]);
            file.bytes = sound.clone();
            let stride = 24 + page_bytes as usize;
            let frame = random.within(2, (sound.len() - 32) / stride - 2);
            let at = 32 + frame * stride + 24 + random.below(page_bytes as usize - 40);
            // One word that the checksum locates, or more than it can.
            let damage = match round % 2 {
                0 => Damage::Flip { at, bit: 1 },
                _ => Damage::Zero(at..at + 30),
            };
            damage.apply(&mut file, &mut random);
            std::fs::write(&wal, &file.bytes).expect("a damaged log");
            let mut log = self::at(dir.path());
            let report = log.analyse(1);
            let found = candidates::all(&mut log, &report, 1, None).expect("candidates");
            // Damage in the last transaction is no damage, but the end of the log.
            let Some(best) = found.iter().find(|c| c.best) else {
                assert!(found.is_empty());
                continue;
            };
            assert!(found.iter().all(|c| c.grade.problems >= best.grade.problems), "round {round}");
            let by_engine = found.iter().find(|c| c.policy == Policy::Engine).expect("the engine's");
            assert_eq!(by_engine.grade.problems, 0, "round {round}: {:?}", by_engine.grade.first);
            beaten += usize::from(best.records > by_engine.records);
            if best.words {
                log.put_words_right(&report);
            }
            let made = image(&log, best.policy).expect("opens");
            assert_eq!(contents(&made).0, "ok", "round {round}: {}", best.policy.word());
        }
    }
    assert!(beaten > 10, "only {beaten} were better than what the engine keeps");
}

/// Up to each commit a replay holds what SQLite held then; frames of other transactions do not count.
#[test]
fn a_replay_stops_behind_a_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let app = dir.path().join("app.db");
    let db = Connection::open(&app).expect("a connection");
    db.execute_batch(
        "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=5;
         CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);",
    )
    .expect("a schema");
    let wal = dir.path().join("app.db-wal");
    let commits = |bytes: &[u8]| bytes[32..].chunks(536).filter(|frame| frame[4..8] != [0; 4]).count();
    let mut held = Vec::new();
    for round in 0..4 {
        let now = commits(&std::fs::read(&wal).expect("a log"));
        held.push((
            now,
            db.query_row("SELECT count(*) FROM notes", [], |row| row.get::<_, i64>(0)).expect("a count"),
        ));
        let body = "long ".repeat(300);
        db.execute_batch(&format!("BEGIN; INSERT INTO notes(body) VALUES('{round}'), ('{body}'); COMMIT"))
            .expect("rows");
    }
    for (ordinal, rows) in held {
        let to = tempfile::tempdir().expect("a directory");
        let to = to.path().join("out.db");
        let out = walmedic(&["replay", "--until", &format!("commit:{ordinal}"), "--into"], &[&to, &wal]);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        let told = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(told.contains(&format!("Up to commit {ordinal}: cut off are")), "{told}");
        let (check, found) = contents(&std::fs::read(&to).expect("a database"));
        assert_eq!((check.as_str(), found.len() as i64), ("ok", rows), "commit {ordinal}");
    }
    let out = walmedic(&["replay", "--until", "commit:1000", "--format", "json"], &[&wal]);
    let document: serde_json::Value = serde_json::from_slice(&out.stdout).expect("json");
    assert_eq!(document["until"]["commit"], "1000");
    assert!(document["until"]["seq"].is_null() && document["until"]["offset"].is_null());
}

/// A rollback journal holds one transaction, which has no commit.
#[test]
fn a_journal_has_no_commits_to_count() {
    let log = common::journal::sample(&mut Random::new(4), 5, 512, false);
    let dir = tempfile::tempdir().expect("a directory");
    log.store(dir.path());
    let out = walmedic(&["replay", "--until", "commit:1"], &[&dir.path().join("app.db-journal")]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("its records make no transactions"));
}
