//! What an operator meets: lines that fit the terminal, the same log under any name, the words that help or mislead.

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use common::run::{Answer, Case, run, run_on, walmedic};

/// Every line of the reports keeps to the terminal. What is to be copied may run over.
#[test]
fn text_keeps_to_the_terminal() {
    let cases =
        ["rocksdb/sector-zeroed", "rocksdb/prepared", "leveldb/middle-log-missing", "sqlite-wal/orders"];
    let commands = [
        "verify -v",
        "gaps",
        "dump",
        "dump --hex --limit 40",
        "replay",
        "replay --diff engine,committed",
        "repair",
    ];
    for case in cases.map(Case::named) {
        for command in commands {
            for (columns, most) in [(Some(60), 60), (Some(80), 80), (Some(200), 200), (None, 80)] {
                let mut program = walmedic();
                match columns {
                    Some(columns) => program.env("COLUMNS", columns.to_string()),
                    None => program.env_remove("COLUMNS"),
                };
                let words = command.split_whitespace();
                let answer = Answer::of(program.args(words).arg(&case.input).output().expect("it runs"));
                assert_ne!(answer.stdout, "", "{command}: {answer:?}");
                // Where nothing tells how wide it is, a record is one line.
                if columns.is_none() && command.starts_with("dump") {
                    continue;
                }
                let copied = |line: &str| ["fixtures/", "sha256"].iter().any(|word| line.contains(word));
                let wide = |line: &&str| line.chars().count() > most && !copied(line);
                let line = answer.stdout.lines().find(wide);
                assert_eq!(line, None, "{} {command}, {columns:?} columns", case.name);
            }
        }
    }
}

#[test]
fn a_record_is_cut_to_the_terminal_and_whole_with_v() {
    let case = Case::named("rocksdb/sector-zeroed");
    let dump = |options: &str| {
        let mut program = walmedic();
        program.env("COLUMNS", "60").args(["dump", "--limit", "1"]).args(options.split_whitespace());
        Answer::of(program.arg(&case.input).output().expect("it runs")).stdout
    };
    let (cut, whole) = (dump(""), dump("-v"));
    assert!(cut.contains("… (") && cut.lines().count() == 3, "{cut}");
    assert!(!whole.contains('…') && whole.len() > 2 * cut.len(), "{whole}");
}

/// The format by the second line of `verify`.
fn told(answer: Answer) -> String {
    let line = answer.stdout.lines().nth(1).unwrap_or_else(|| panic!("{answer:?}"));
    line.trim().split(',').next().expect("a title").to_owned()
}

#[test]
fn a_log_by_itself_is_the_same_under_any_name_and_from_standard_input() {
    for (case, name, format) in [
        ("leveldb/sector-zeroed", "000004.log", "LevelDB log"),
        ("rocksdb/compressed", "000004.log", "RocksDB log"),
        ("rocksdb/recycled", "000012.log", "RocksDB log"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes = fs::read(Case::named(case).input.join(name)).expect("a log");
        for name in [name, "foo.log", "backup-000004.log", "evidence"] {
            let path = dir.path().join(name);
            fs::write(&path, &bytes).expect("a copy");
            let stdin = || Stdio::from(File::open(&path).expect("it is there"));
            let ask = |program: &mut Command| told(Answer::of(program.output().expect("it runs")));
            let absolute = ask(walmedic().arg("verify").arg(&path));
            let relative = ask(walmedic().args(["verify", name]).current_dir(dir.path()));
            let piped = ask(walmedic().args(["verify", "-", "--stdin-name", name]).stdin(stdin()));
            assert_eq!([absolute, relative, piped], [format; 3], "{case} as {name}");
            fs::remove_file(&path).expect("it goes");
        }
    }
}

#[test]
fn what_lies_beside_a_log_counts_from_within_its_directory_too() {
    // Nothing in this log tells the two systems apart; IDENTITY does.
    let (_dir, log) = Case::named("rocksdb/sector-zeroed").copied();
    let within = walmedic().args(["verify", "000004.log"]).current_dir(&log).output().expect("it runs");
    assert_eq!(told(Answer::of(within)), "RocksDB log");
    fs::rename(log.join("000004.log"), log.join("old.log")).expect("it is renamed");
    assert_eq!(told(run_on("verify", &log.join("old.log"), "")), "RocksDB log");
}

#[test]
fn a_log_that_replay_wrote_is_known_by_its_contents() {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("out.log");
    let input = Case::named("rocksdb/sector-zeroed").input;
    run_on("replay", &input, &format!("--into {}", out.display())).exits(0);
    let answer = run_on("verify", &out, "").exits(0);
    assert!(answer.stdout.starts_with("CLEAN"), "{answer:?}");
    let stdin = Stdio::from(File::open(&out).expect("it is there"));
    let piped = walmedic().args(["verify", "-", "--stdin-name", "out.log"]).stdin(stdin).output();
    let piped = piped.expect("it runs");
    assert_eq!(Answer::of(piped).code, 0);
}

#[test]
fn a_file_of_no_format_is_told_what_was_looked_for_once_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("letter.txt");
    fs::write(&path, "hello").expect("a file");
    for answer in [run_on("verify", &path, ""), run_on("verify", dir.path(), "")] {
        answer.declines(2, "looked for");
        assert_eq!(answer.stderr.matches("NNNNNN.log").count(), 1, "{answer:?}");
    }
    let nothing = walmedic().args(["verify", "-"]).output().expect("it runs");
    Answer::of(nothing).declines(2, "--stdin-name");
}

#[test]
fn transactions_are_chosen_by_name() {
    let log = Case::named("rocksdb/prepared").input;
    let dump = |name: &str, more: &str| {
        let answer = run_on(&format!("dump --format csv --tx {name} {more}"), &log, "").exits(0);
        let cells = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            [cells[4], cells[9], cells[10]].join(" ").trim().to_owned()
        };
        answer.stdout.lines().skip(1).map(cells).collect::<Vec<_>>()
    };
    let paid = ["BEGIN_PREPARE", "PUT paid 1", "PUT both 2", "END_PREPARE  paid", "COMMIT  paid"];
    assert_eq!(dump("paid", ""), paid);
    let backwards: Vec<&str> = paid.into_iter().rev().collect();
    assert_eq!(dump("paid", "--reverse"), backwards);
    assert_eq!(dump("pai*", "--op put"), paid[1..3]);
    assert_eq!(dump("70616964", "--bytes hex --op commit"), ["COMMIT  70616964"]);
    assert_eq!(dump("both", ""), [""; 0], "a key is no transaction");
    // Where they have numbers, those are meant.
    let pages = Case::named("sqlite-wal/clean").input;
    let by_number = run_on("dump --tx 1 --format csv", &pages, "").exits(0);
    assert!(by_number.stdout.lines().count() > 1 && !by_number.stdout.contains(",2,"), "{by_number:?}");
}

#[test]
fn a_batch_by_itself_is_a_commit() {
    let entries = |case: &str, point: u64| {
        let options = format!("--until commit:{point} --format json");
        let told = run_on("replay", &Case::named(case).input, &options).exits(0).json();
        (told["records_applied"].as_u64().expect("a number"), told["until"]["offset"].as_u64())
    };
    for case in ["leveldb/clean", "rocksdb/clean"] {
        assert_eq!(entries(case, 0), (0, Some(0)), "{case}");
        assert_eq!((entries(case, 1).0, entries(case, 7).0, entries(case, 21).0), (1, 7, 21), "{case}");
        assert_eq!(entries(case, 22), (22, None), "{case}");
    }
    // A prepared part is none: it counts with its commit, behind the batch that follows it.
    assert_eq!(entries("rocksdb/prepared", 1), (1, Some(263)));
    assert_eq!(entries("rocksdb/prepared", 2), (2, Some(568)));
    assert_eq!(entries("rocksdb/prepared", 3), (3, Some(593)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_writer_is_told_of_also_where_nothing_is_to_be_done() {
    for (case, code) in [("rocksdb/clean", 0), ("rocksdb/sector-zeroed", 4)] {
        let (_dir, log) = Case::named(case).copied();
        let lock = File::create(log.join("LOCK")).expect("a lock");
        // It holds the lock, and writes no log at the moment.
        let mut engine =
            Command::new("sleep").arg("600").stdout(lock).spawn().expect("a process that holds it");
        let answer = run_on("repair --apply --in-place", &log, "");
        let quiet = run_on("repair --apply --in-place -q", &log, "");
        engine.kill().and_then(|()| engine.wait()).expect("it ends");
        assert_eq!((answer.code, quiet.code), (code, code), "{answer:?} {quiet:?}");
        assert!(answer.stderr.contains("(sleep) has it open for writing"), "{answer:?}");
        assert_eq!(quiet.stderr.is_empty(), code == 0, "{quiet:?}");
        let after = run_on("repair --apply --in-place", &log, "").exits(if code == 0 { 0 } else { 1 });
        assert!(!after.stderr.contains("sleep"), "{after:?}");
    }
}

#[test]
fn findings_say_what_is_there_and_what_may_be_the_cause() {
    let verify = run_on("verify", &Case::named("leveldb/sector-zeroed").input, "").exits(1).stdout;
    assert!(verify.contains("bytes of zeros where records should be"), "{verify}");
    assert!(run(["explain", "WM-301"]).exits(0).stdout.contains("disableWAL"));
}

/// Two databases in one directory, each with a torn WAL.
fn two_databases(dir: &Path) {
    let input = Case::named("sqlite-wal/torn").input;
    for name in ["a.db", "b.db"] {
        fs::copy(input.join("app.db"), dir.join(name)).expect("a database");
        fs::copy(input.join("app.db-wal"), dir.join(format!("{name}-wal"))).expect("its log");
    }
}

#[test]
fn two_logs_of_one_directory_are_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("data");
    fs::create_dir(&place).expect("a directory");
    two_databases(&place);
    let verify = run_on("verify", &place, "").exits(1).stdout;
    let repairs: Vec<Vec<&str>> = verify
        .lines()
        .filter(|line| line.contains("walmedic repair"))
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(repairs.len(), 2, "{verify}");
    // Each command does what it says, one after the other.
    for words in repairs {
        let copy = Path::new(words.last().expect("where to")).to_owned();
        assert!(!copy.exists(), "{verify}");
        run(&words).exits(0);
        run_on("verify", &copy, "").exits(0);
    }
}

#[test]
fn rows_of_a_wal_beside_a_hot_journal_go_by_the_database_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let hot = Case::named("sqlite-journal/hot").input;
    for name in ["app.db", "app.db-journal"] {
        fs::copy(hot.join(name), dir.path().join(name)).expect("a file");
    }
    let wal = dir.path().join("app.db-wal");
    fs::copy(Case::named("sqlite-wal/tables").input.join("app.db-wal"), &wal).expect("a log");
    let answer = run_on("dump --rows", &wal, "");
    assert!(answer.stderr.contains("the rows here go by the database as it is"), "{answer:?}");
    fs::remove_file(dir.path().join("app.db-journal")).expect("it goes");
    let alone = run_on("dump --rows", &wal, "");
    assert!(!alone.stderr.contains("as it is"), "{alone:?}");
}
