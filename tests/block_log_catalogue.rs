//! CURRENT and MANIFEST of LevelDB and RocksDB written anew on a copy. Without doubt the copy has the state of the store before it
//! was damaged, as the engines tell it themselves; with doubt there is none.
mod common;

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use common::judge::{Judge, copy_of, has, write};
use common::random::Random;
use common::run::{Answer, Case, contents, run_on};

/// Engine, format, a mode of it, what the store is made of.
const KINDS: &[(&str, &str, &str, &[&str])] = &[
    ("leveldb", "leveldb", "lenient", &["tables"]),
    ("9.8.4", "rocksdb", "as-set-up", &["logs", "families"]),
];

fn rebuilt(store: &Path, to: &Path, more: &str) -> Answer {
    run_on("repair", store, &format!("--rebuild-manifest {more} --apply --output {}", to.display()))
}

fn manifest(store: &Path) -> PathBuf {
    let files = std::fs::read_dir(store).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut named =
        files.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("MANIFEST-")));
    named.next().expect("a MANIFEST")
}

/// Where the records of a MANIFEST lie that is shorter than a block.
fn records(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(len) = bytes.get(at + 4..at + 6) {
        let end = at + 7 + usize::from(u16::from_le_bytes([len[0], len[1]]));
        records.push(at..end);
        at = end;
    }
    records
}

/// One of these, and not the first.
fn of(mut records: Vec<Range<usize>>, random: &mut Random) -> Range<usize> {
    records.swap_remove(1 + random.below(records.len() - 1))
}

fn damaged(store: &Path, random: &mut Random) -> &'static str {
    let manifest = manifest(store);
    let mut bytes = std::fs::read(&manifest).expect("a MANIFEST");
    let at = random.below(bytes.len());
    let what = match random.below(7) {
        0 => {
            std::fs::remove_file(store.join("CURRENT")).expect("a CURRENT");
            "no CURRENT"
        }
        1 => {
            std::fs::write(store.join("CURRENT"), b"MANIFEST-0").expect("a CURRENT");
            "half a CURRENT"
        }
        2 => {
            bytes.truncate(at);
            "cut"
        }
        // Nothing is damaged: it ends a record earlier, or one in the middle is not there.
        3 => {
            let record = of(records(&bytes), random);
            bytes.truncate(record.start);
            "cut between records"
        }
        4 => {
            let record = of(records(&bytes), random);
            bytes.drain(record);
            "without a record"
        }
        5 => {
            bytes[at..].iter_mut().take(64).for_each(|byte| *byte = 0);
            "zeros"
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            "a bit"
        }
    };
    std::fs::write(&manifest, bytes).expect("written");
    what
}

#[test]
fn a_store_whose_catalogue_is_damaged_opens_again_as_it_was_or_nothing_is_written() {
    for &(engine, format, mode, features) in KINDS.iter().filter(|kind| has(kind.0)) {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, mut judge, mut random) = (dir.path().join("store"), Judge::new(), Random::new(5));
        write(format, &store, 5, features);
        let wanted = judge.opens(&store, mode, engine).expect("a store that opens");
        for turn in 0..40 {
            let (hurt, made) = (dir.path().join(format!("{turn}")), dir.path().join(format!("{turn}.made")));
            copy_of(&store, &hurt);
            let what = damaged(&hurt, &mut random);
            let before = contents(&hurt);
            let answer = rebuilt(&hurt, &made, "");
            assert!(contents(&hurt) == before, "{format} {turn} {what}: the evidence");
            if answer.code == 4 {
                assert!(!made.exists() && !answer.stderr.trim().contains('\n'), "{answer:?}");
                // A sound MANIFEST leaves no doubt.
                assert!(!what.ends_with("CURRENT"), "{format} {turn} {what}: {answer:?}");
                continue;
            }
            assert_eq!(answer.code, 0, "{format} {turn} {what}: {answer:?}");
            assert!(
                judge.opens(&made, mode, engine).as_ref() == Ok(&wanted),
                "{format} {turn} {what}: {}",
                judge.said
            );
        }
    }
}

#[test]
fn what_verify_suggests_for_a_damaged_catalogue_makes_a_clean_copy() {
    for name in ["leveldb/clean", "rocksdb/families"] {
        let (dir, log) = Case::named(name).copied();
        std::fs::remove_file(log.join("CURRENT")).expect("a CURRENT");
        let found = run_on("verify", &log, "").exits(1);
        let next = found.stdout.lines().find(|line| line.contains("walmedic repair"));
        assert!(next.is_some_and(|next| next.contains("--rebuild-manifest")), "{found:?}");
        let plan = run_on("repair", &log, "").exits(1);
        assert!(plan.stdout.contains("--rebuild-manifest"), "{plan:?}");
        let made = dir.path().join("made");
        rebuilt(&log, &made, "").exits(0);
        run_on("verify", &made, "").exits(0);
        let whole = Case::named(name);
        assert_eq!(contents(&made), contents(&whole.copied().1), "{name}");
        // The engine died right before it wrote the next one.
        let next = log.join("MANIFEST-000099");
        std::fs::write(&next, b"").expect("written");
        rebuilt(&log, &dir.path().join("next"), "").exits(0);
        std::fs::remove_file(&next).expect("a MANIFEST");
        run_on("repair", &log, "--rebuild-manifest --apply --in-place").exits(2);
        std::fs::remove_file(manifest(&log)).expect("a MANIFEST");
        let refused = rebuilt(&log, &dir.path().join("none"), "").exits(4);
        assert!(refused.stderr.contains("MANIFEST"), "{refused:?}");
    }
}

#[test]
fn a_family_that_options_do_not_name_may_have_been_dropped() {
    for (named, code) in [("one two", 0), ("one", 4)] {
        let (dir, log) = Case::named("rocksdb/families").copied();
        std::fs::remove_file(log.join("CURRENT")).expect("a CURRENT");
        let sections = named.split(' ').map(|name| format!("[CFOptions \"{name}\"]\n"));
        let options = format!("[CFOptions \"default\"]\n{}", sections.collect::<String>());
        std::fs::write(log.join("OPTIONS-000007"), &options).expect("written");
        let answer = rebuilt(&log, &dir.path().join("made"), "").exits(code);
        assert_eq!(answer.stderr.contains("(two)"), code == 4, "{answer:?}");
        // What is kept of one that may be gone is not lost, what no edit adds is.
        rebuilt(&log, &dir.path().join("forced"), "--force").exits(0);
        let more = format!("{options}[CFOptions \"three\"]\n");
        std::fs::write(log.join("OPTIONS-000007"), more).expect("written");
        rebuilt(&log, &dir.path().join("lost"), "--force").exits(1);
    }
}

#[test]
fn what_a_table_held_that_is_gone_is_lost_where_a_copy_is_forced() {
    for &(_, format, _, features) in KINDS.iter().filter(|kind| has(kind.0)) {
        let dir = tempfile::tempdir().expect("a folder");
        let store = dir.path().join("store");
        write(format, &store, 5, features);
        let is_table =
            |name: &&OsString| Path::new(name).extension().is_some_and(|e| e == "sst" || e == "ldb");
        let mut refused = 0;
        for (turn, table) in contents(&store).keys().filter(is_table).take(4).enumerate() {
            let (hurt, made) = (dir.path().join(format!("{turn}")), dir.path().join(format!("{turn}.made")));
            copy_of(&store, &hurt);
            std::fs::remove_file(hurt.join(table)).expect("a table");
            if rebuilt(&hurt, &made, "").code == 4 {
                refused += 1;
                rebuilt(&hurt, &made, "--force").exits(1);
            }
        }
        assert!(refused > 0, "{format}: none of its tables counts");
        // No edit speaks of this one, and it cannot be read.
        let table = contents(&store).into_keys().find(|name| is_table(&name)).expect("a table");
        let mut bytes = std::fs::read(store.join(&table)).expect("a table");
        bytes[..16].fill(0);
        let stray = store.join("000900").with_extension(Path::new(&table).extension().unwrap_or_default());
        std::fs::write(&stray, bytes).expect("written");
        let made = dir.path().join("stray.made");
        let refused = rebuilt(&store, &made, "").exits(4);
        assert!(refused.stderr.contains("000900"), "{refused:?}");
        rebuilt(&store, &made, "--force").exits(1);
    }
}

#[test]
fn only_stores_with_a_manifest_get_another() {
    let (_dir, log) = Case::named("ddia-wal/clean").copied();
    run_on("repair", &log, "--rebuild-manifest").declines(2, "no MANIFEST");
}
