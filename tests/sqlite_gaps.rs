//! What `gaps` says of a WAL that SQLite wrote: generations of which nothing is left, and what damage cost transactions.

use std::path::Path;

use rusqlite::Connection;

/// What is told, its lines joined: where they break depends on the terminal.
fn gaps(args: &[&str], path: &Path) -> String {
    let mut command = assert_cmd::Command::cargo_bin("walmedic").expect("the program");
    let output = command.arg("gaps").args(args).arg(path).output().expect("a run");
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn database(dir: &Path) -> Connection {
    let db = Connection::open(dir.join("app.db")).expect("a connection");
    db.execute_batch(
        "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
         CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)",
    )
    .expect("a schema");
    db
}

/// One more transaction of at least `pages` pages.
fn write(db: &Connection, pages: usize) {
    db.execute("INSERT INTO notes(body) VALUES(zeroblob(?1))", [(pages * 512) as i64]).expect("a row");
}

/// The frames of the live generation; all of them are in the database afterwards.
fn checkpoint(db: &Connection) -> u64 {
    db.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get::<_, i64>(1)).expect("a checkpoint") as u64
}

#[test]
fn generations_without_a_frame_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = database(dir.path());
    let wal = dir.path().join("app.db-wal");
    // The sizes of generations; of the second nothing is left under the third, which is longer.
    let mut frames = Vec::new();
    for pages in [40, 5, 15] {
        write(&db, pages);
        write(&db, 1);
        frames.push(checkpoint(&db));
    }
    write(&db, 1);
    let live = (std::fs::read(&wal).expect("a log").len() - 32) as u64 / 536;
    assert_eq!(live, frames[0], "the file keeps its length");
    let told = gaps(&[], &wal);
    assert!(!told.contains("missing"), "{told}");
    let line = |name: &str, from: u64, to: u64, commits: u64| {
        let count = to - from + 1;
        let commits = if commits == 1 { "1 commit".into() } else { format!("{commits} commits") };
        format!(
            "{name}: seq {from}..{to} left, {count} frames with {commits}; seq 1..{} written over",
            from - 1
        )
    };
    let now: u64 =
        told.split("seq 1..").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok()).expect("numbers");
    assert!(now < frames[2] && frames[1] < frames[2] && frames[2] < frames[0], "{frames:?} {now}");
    let expected = [
        line("generation -1 (checkpoint 2)", now + 1, frames[2], 2),
        "generation -2 (checkpoint 1): nothing left".into(),
        line("generation -3 (checkpoint 0)", frames[2] + 1, frames[0], 2),
    ];
    for line in &expected {
        assert!(told.contains(line.as_str()), "{line}\n{told}");
    }
    // The same by the salts alone, where the header says nothing.
    let mut bytes = std::fs::read(&wal).expect("a log");
    bytes[12] ^= 1;
    let other = tempfile::tempdir().expect("a directory");
    let hurt = other.path().join("app.db-wal");
    std::fs::write(&hurt, bytes).expect("a damaged log");
    let told = gaps(&[], &hurt);
    assert!(told.contains(" generation -2: nothing left"), "{told}");
    let document: serde_json::Value = serde_json::from_str(&gaps(&["--format", "json"], &wal)).expect("json");
    let generations = document["logs"][0]["generations"].as_array().expect("a list");
    let names: Vec<_> = generations.iter().map(|g| (g["newest"].as_i64(), g["left"].is_null())).collect();
    assert_eq!(names, [(Some(-1), false), (Some(-2), true), (Some(-3), false)]);
    assert_eq!(gaps(&["--format", "csv"], &wal).matches(",generation,").count(), 3);
    assert_eq!(gaps(&["--format", "ndjson"], &wal).matches("\"type\":\"generation\"").count(), 3);
}

#[test]
fn transactions_that_damage_cut_are_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = database(dir.path());
    write(&db, 6);
    write(&db, 1);
    let wal = dir.path().join("app.db-wal");
    let sound = std::fs::read(&wal).expect("a log");
    let commits: Vec<usize> =
        (0..(sound.len() - 32) / 536).filter(|frame| sound[32 + frame * 536 + 4..][..4] != [0; 4]).collect();
    // The transaction of many pages, from 1 as frames are counted.
    let last =
        *commits.windows(2).find(|pair| pair[1] - pair[0] > 5).map(|pair| &pair[1]).expect("a long one");
    let first = commits[commits.iter().position(|at| *at == last).expect("it is there") - 1] + 1;
    let told = |hurt: &[usize]| {
        let mut bytes = sound.clone();
        for frame in hurt {
            // Two words, so that nothing can be restored.
            (bytes[32 + frame * 536 + 100], bytes[32 + frame * 536 + 300]) = (0xa5, 0x5a);
        }
        std::fs::write(&wal, bytes).expect("a damaged log");
        gaps(&[], &wal)
    };
    let whole = format!("seq {}..{}", first + 1, last + 1);
    let text = told(&[first + 1]);
    assert!(
        text.contains(&format!("one transaction lost a record; incomplete, though committed: {whole}")),
        "{text}"
    );
    // Behind the lost commit a transaction begins anew.
    let text = told(&[last]);
    assert!(text.contains("one transaction lost a record; incomplete, though committed: seq"), "{text}");
    let text = told(&[first + 1, first + 2, first + 3]);
    assert!(
        text.contains(&format!("1 to 3 transactions lost records; incomplete, though committed: {whole}")),
        "{text}"
    );
    assert!(!told(&[]).contains("transaction"));
}
