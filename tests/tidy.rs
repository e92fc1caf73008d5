//! House rules, so that nobody has to argue about them.

use std::path::{Path, PathBuf};

use walmedic::log::finding::Code;

/// A finding code and where it is reached: a fixture whose answers hold it, a test, or why nothing can reach it yet.
enum Reached {
    Fixture(&'static str),
    /// File and name of a test.
    Test(&'static str, &'static str),
    #[allow(dead_code, reason = "none at the moment")]
    NotYet(&'static str),
}
use Reached::{Fixture, Test};

const REACHED: &[(Code, Reached)] = &[
    (Code::TornTail, Fixture("ddia-wal/torn-in-value")),
    (Code::WrittenBehindTornTail, Fixture("ddia-wal/written-behind-torn-tail")),
    (Code::ChecksumMismatch, Fixture("ddia-wal/crc-in-the-middle")),
    (Code::InconsistentLength, Fixture("ddia-wal/length-one-off")),
    (Code::IllegalKind, Fixture("ddia-wal/kind-unknown")),
    (Code::ImpossibleNumber, Fixture("ddia-wal/seq-high")),
    (Code::ZeroFilled, Fixture("ddia-wal/zero-tail")),
    (Code::NotUtf8, Fixture("ddia-wal/not-utf8")),
    (Code::Malformed, Fixture("ddia-lsm/table-index-wrong")),
    (Code::LocatedWord, Fixture("sqlite-wal/page-flipped")),
    (Code::MissingRange, Fixture("ddia-wal/record-removed")),
    (Code::MissingFile, Fixture("ddia-wal/middle-file-missing")),
    (Code::RepeatedRange, Fixture("ddia-wal/file-copied")),
    (Code::Reset, Fixture("ddia-wal/numbers-start-again")),
    (Code::MisorderedNames, Fixture("ddia-wal/names-overflow")),
    (Code::FirstFileMissing, Fixture("ddia-wal/two-first-files-gone")),
    (Code::MissingNumber, Fixture("bitcask-hash/middle-file-missing")),
    (Code::StatedGap, Fixture("ddia-wal/repaired")),
    (Code::OrphanedBatch, Fixture("ddia-wal/crc-in-the-middle")),
    (Code::LostMember, Fixture("ddia-wal/member-damaged")),
    (Code::CommitWithoutBegin, Fixture("ddia-wal/batch-cut-open")),
    (Code::UndecidedTail, Fixture("ddia-wal/undecided-tail-v1")),
    (Code::ForeignRecords, Fixture("ddia-wal/records-of-another-log")),
    (Code::EmbeddedRecord, Fixture("ddia-wal/record-in-a-value")),
    (Code::ForeignFile, Fixture("ddia-wal/foreign-names")),
    (Code::RevisionUndecided, Fixture("ddia-wal/no-batches")),
    (Code::StaleHint, Fixture("bitcask-hash/hint-offset-flipped")),
    (Code::ActiveHint, Fixture("bitcask-log/hint-on-the-active-segment")),
    (Code::RevisionMismatch, Fixture("bitcask-hash/revisions-mixed")),
    (Code::TableWithoutFooter, Fixture("ddia-lsm/table-half-written")),
    (Code::TableIndexMismatch, Fixture("ddia-lsm/table-index-wrong")),
    (Code::PageDamaged, Fixture("ddia-btree/page-wiped")),
    (Code::TreeInconsistent, Fixture("ddia-btree/tree-contradicts-itself")),
    (Code::PageOverflow, Fixture("ddia-btree/page-overflow-r3")),
    (Code::UnfinishedOperation, Fixture("ddia-btree/split-committed-r3")),
    (Code::UnreadableRange, Test("tests/findings.rs", "bytes_that_cannot_be_read_are_named")),
    (Code::TooMuchDamage, Test("tests/findings.rs", "endless_damage_is_bounded")),
    (Code::StillWritten, Test("tests/findings.rs", "a_log_that_grows_is_named")),
    (Code::ChangedWhileRead, Test("tests/findings.rs", "a_log_that_shrinks_is_named")),
    (Code::EngineRefuses, Test("tests/verdicts.rs", "an_engine_that_refuses_sound_records_is_a_finding")),
    (Code::Unopenable, Test("tests/cli.rs", "a_file_that_cannot_be_opened_does_not_hide_the_others")),
    (Code::Unfollowed, Test("tests/block_log_bounds.rs", "what_inflates_without_end_is_bounded_and_told")),
    (Code::StaleGeneration, Fixture("sqlite-wal/stale-generation")),
    (Code::PaddingCommits, Fixture("sqlite-wal/padded")),
    (Code::PageMismatch, Test("tests/sqlite.rs", "a_log_is_told_from_another_databases")),
    (Code::NeverSynced, Fixture("sqlite-journal/never-synced")),
    (Code::Preallocated, Fixture("leveldb/zero-tail")),
    (Code::FlushedLog, Fixture("rocksdb/obsolete-log")),
    (Code::UnknownType, Test("tests/block_log_reading.rs", "unknown_types_are_shown_and_counted")),
    (Code::RenamedLog, Test("tests/block_log_reading.rs", "a_renamed_log_is_read_by_its_headers")),
    (Code::PutAway, Test("tests/block_log_reading.rs", "logs_that_were_put_away_are_told_of")),
];

#[test]
fn every_finding_code_is_reached() {
    let root = root();
    for code in Code::ALL {
        let entry = REACHED.iter().find(|(listed, _)| listed == code);
        let Some((_, reached)) = entry else { panic!("{} {code:?}: nothing listed reaches it", code.text()) };
        match reached {
            Fixture(case) => {
                let dir = root.join("fixtures").join(case);
                let answers = list(&dir).into_iter().filter(|p| p.extension().is_some_and(|e| e == "stdout"));
                let said = answers.map(|p| read(&p)).any(|text| text.contains(code.text()));
                assert!(said, "{} {code:?}: not in the answers of {case}", code.text());
            }
            Test(file, name) => {
                let text = read(&root.join(file));
                let test =
                    text.split("#[test]").find(|part| part.trim_start().starts_with(&format!("fn {name}(")));
                assert!(test.is_some(), "{code:?}: no test {name} in {file}");
            }
            Reached::NotYet(why) => assert!(!why.is_empty()),
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    for path in sources("src/log").into_iter().chain(sources("src/format")) {
        for (line, text) in code_lines(&path) {
            for above in [
                "crate::io",
                "crate::ui",
                "crate::cmd",
                "crate::cli",
                "crate::args",
                "crate::analysis",
                "crate::findings",
                "crate::fate",
                "crate::replay",
                "crate::repair",
                "crate::engine",
                "std::fs",
                "std::env",
            ] {
                assert!(!text.contains(above), "{}:{line}: {above} is above it", path.display());
            }
        }
    }
    for path in sources("src/ui") {
        for (line, text) in code_lines(&path) {
            let up = ["crate::cmd", "crate::cli", "crate::args"].iter().any(|above| text.contains(above));
            assert!(!up, "{}:{line}: a command is above it", path.display());
        }
    }
    for path in sources("src/log").into_iter().chain(sources("src/codec")) {
        for (line, text) in code_lines(&path) {
            assert!(!text.contains("crate::format"), "{}:{line}: knows a format", path.display());
        }
    }
    for path in sources("src/codec") {
        for (line, text) in code_lines(&path) {
            assert!(!text.contains("crate::log"), "{}:{line}: crate::log is above it", path.display());
        }
    }
}

#[test]
fn nothing_panics_on_purpose() {
    for path in sources("src") {
        for (line, text) in code_lines(&path) {
            for banned in [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "dbg!("] {
                // A constant function panics while the compiler runs it.
                let constant = path.ends_with("log/layout.rs") && text.contains("no such field");
                assert!(constant || !text.contains(banned), "{}:{line}: {banned}", path.display());
            }
            assert!(!text.contains(".expect(\"\")"), "{}:{line}: expects without a reason", path.display());
        }
    }
}

#[test]
fn unsafe_stands_in_three_places() {
    let with: Vec<_> = sources("src")
        .into_iter()
        .filter(|p| {
            code_lines(p).iter().any(|(_, text)| text.contains("unsafe {") || text.contains("unsafe fn"))
        })
        .collect();
    let known = ["src/codec/fold.rs", "src/codec/fibonacci.rs", "src/io/source.rs"].map(|p| root().join(p));
    assert!(
        with.iter().all(|p| known.contains(p)),
        "only the checksums' instructions and the mapping are: {with:?}"
    );
}

#[test]
fn text_is_plain() {
    for path in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let text = read(&path);
        for (i, line) in text.lines().enumerate() {
            assert!(!line.contains('\t'), "{}:{}: a tab", path.display(), i + 1);
            assert!(line.trim_end() == line, "{}:{}: space at the end", path.display(), i + 1);
        }
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{}: ends in one newline", path.display());
        assert!(
            text.starts_with("//!") || path.ends_with("tests.rs"),
            "{}: opens with its reason",
            path.display()
        );
    }
    for path in sources("src") {
        let lines = read(&path).lines().count();
        assert!(lines <= 700, "{}: {lines} lines", path.display());
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = listed.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Every `.rs` file below a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(folder)];
    while let Some(dir) = waiting.pop().filter(|d| d.is_dir()) {
        for path in list(&dir) {
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines of a file that are code outside its tests, with their numbers; comments are cut off.
fn code_lines(path: &Path) -> Vec<(usize, String)> {
    let text = read(path);
    if path.ends_with("tests.rs") {
        return Vec::new();
    }
    let before_tests = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = before_tests
        .enumerate()
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default().to_owned()));
    code.collect()
}
