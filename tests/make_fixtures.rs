//! Where the inputs of the fixtures come from: each is written by the encoders in `common` and then damaged here.
//!
//! `WALMEDIC_MAKE_FIXTURES=1 cargo test --test make_fixtures` writes them; without it the test asserts that the inputs
//! are exactly what is made here. What walmedic says of them is the business of `cases.rs`.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::log::Log;

mod fixtures;

/// One case.
pub struct Case {
    /// Its format.
    pub format: &'static str,
    /// Its folder.
    pub name: &'static str,
    /// How the input came to be, in one line.
    pub origin: &'static str,
    /// The input.
    pub log: Log,
}

fn cases() -> Vec<Case> {
    let all = [
        fixtures::ddia_wal::cases(),
        fixtures::lsm::cases(),
        fixtures::bitcask::cases(),
        fixtures::btree::cases(),
        fixtures::sqlite::cases(),
        fixtures::sqlite_journal::cases(),
        fixtures::block_log::cases(),
    ];
    all.into_iter().flatten().collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn files_in(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a file"))
        })
        .collect()
}

#[test]
fn inputs_are_what_the_encoders_write() {
    let write = std::env::var_os("WALMEDIC_MAKE_FIXTURES").is_some_and(|v| v == "1");
    let mut known = BTreeMap::new();
    for case in cases() {
        let dir = root().join(case.format).join(case.name);
        let input = dir.join("input");
        let origin = format!("{}\n", case.origin);
        assert!(known.insert(dir.clone(), ()).is_none(), "{}: made twice", dir.display());
        if write {
            std::fs::remove_dir_all(&input).ok();
            case.log.store(&input);
            std::fs::write(dir.join("origin"), &origin).expect("origin");
        }
        let made: BTreeMap<_, _> = case.log.files.iter().map(|f| (f.name.clone(), f.bytes.clone())).collect();
        assert!(files_in(&input) == made, "{}: not what is made here", input.display());
        assert_eq!(std::fs::read_to_string(dir.join("origin")).expect("origin"), origin, "{}", dir.display());
    }
    for format in files_or_dirs(&root()) {
        for case in files_or_dirs(&format) {
            assert!(known.contains_key(&case), "{}: no test makes it", case.display());
        }
    }
}

fn files_or_dirs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect()
}
