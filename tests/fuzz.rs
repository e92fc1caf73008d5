//! What the fuzzer runs, over every input it once failed on (`fuzz/regressions/`), over every fixture, and over random
//! bytes and damaged logs. With `WALMEDIC_FUZZ_SEEDS=1` the fixtures become the fuzzer's first inputs.

mod common;
#[path = "../fuzz/read.rs"]
mod read;

use std::path::{Path, PathBuf};

use common::random::Watch;

#[test]
fn every_format_is_fuzzed() {
    for format in walmedic::format::ALL {
        assert!(!read::names(*format).is_empty(), "{}: no name in fuzz/read.rs", format.profile().name);
    }
}

#[test]
fn nothing_panics_on_what_failed_before() {
    for path in list(&root().join("fuzz/regressions")) {
        println!("{}", path.display());
        read::read(&std::fs::read(path).expect("an input"));
    }
}

#[test]
fn nothing_panics_on_the_fixtures() {
    let seeds = std::env::var_os("WALMEDIC_FUZZ_SEEDS").map(|_| root().join("fuzz/corpus/read"));
    seeds.iter().for_each(|dir| std::fs::create_dir_all(dir).expect("a folder"));
    let mut count = 0;
    for format in list(&root().join("fixtures")) {
        for input in list(&format).iter().flat_map(|case| list(&case.join("input"))) {
            let bytes = std::fs::read(&input).expect("an input");
            for pick in 0..walmedic::format::ALL.len() as u8 {
                for split in [0, 1, 31 << 3, (31 << 3) + 2, 15 << 3] {
                    let data = [&[pick, split + 3, split][..], &bytes].concat();
                    read::read(&data);
                    count += 1;
                    if let Some(dir) = seeds.as_ref().filter(|_| bytes.len() < 2000) {
                        std::fs::write(dir.join(format!("seed-{count}")), &data).expect("a seed");
                    }
                }
            }
        }
    }
    assert!(count > 100);
}

/// Tables lie below logs; as one of them their bytes are nothing.
#[test]
fn nothing_panics_on_tables() {
    let seeds = std::env::var_os("WALMEDIC_FUZZ_SEEDS").map(|_| root().join("fuzz/corpus/read"));
    seeds.iter().for_each(|dir| std::fs::create_dir_all(dir).expect("a folder"));
    let watch = Watch::new("tables", 300);
    for (n, path) in list(&root().join("fixtures/sstable")).iter().filter(|path| path.is_file()).enumerate() {
        let data = [&[0; 3][..], &std::fs::read(path).expect("a table")].concat();
        read::read(&data);
        if let Some(dir) = seeds.as_ref().filter(|_| data.len() < 12_000) {
            std::fs::write(dir.join(format!("table-{n}")), &data).expect("a seed");
        }
        for round in 0..100 {
            let mut random = watch.random(round);
            let mut data = data.clone();
            let at = 3 + random.below(data.len() - 3);
            data[at] ^= 1 << random.below(8);
            read::read(&data);
        }
    }
}

/// A log needs the file that it is about for much of what is done with it.
#[test]
fn nothing_panics_on_logs_and_what_they_are_about() {
    let seeds = std::env::var_os("WALMEDIC_FUZZ_SEEDS").map(|_| root().join("fuzz/corpus/read"));
    seeds.iter().for_each(|dir| std::fs::create_dir_all(dir).expect("a folder"));
    let mut pairs = [0; walmedic::format::ALL.len()];
    for case in list(&root().join("fixtures")).iter().flat_map(|format| list(format)) {
        for log in list(&case.join("input")) {
            let name = log.file_name().expect("a name").to_string_lossy().into_owned();
            for (pick, format) in walmedic::format::ALL.iter().enumerate() {
                let Some((about, _)) = format.subject(&name) else { continue };
                let [about, log] = [log.with_file_name(about), log.clone()].map(std::fs::read);
                let (Ok(about), Ok(log)) = (about, log) else { continue };
                let data = pair(*format, pick as u8, &about, &log).expect("a way to say it");
                read::read(&data);
                pairs[pick] += 1;
                if let Some(dir) = seeds.as_ref().filter(|_| data.len() < 12_000) {
                    std::fs::write(dir.join(format!("pair-{pick}-{}", pairs[pick])), &data).expect("a seed");
                }
            }
        }
    }
    let missing =
        |name: &str| walmedic::format::ALL.iter().position(|f| f.profile().name == name).map(|i| pairs[i]);
    assert!(missing("sqlite-wal") > Some(10) && missing("sqlite-journal") > Some(10), "{pairs:?}");
}

/// The input that is read as the file a log is about, zeros behind it where needed, and the log.
fn pair(format: &dyn walmedic::format::Format, pick: u8, about: &[u8], log: &[u8]) -> Option<Vec<u8>> {
    let names = read::names(format);
    let exact = |padding: &usize| {
        let front = about.len() + padding;
        (0..32).find(|part| (front + log.len()) * part / 31 == front)
    };
    let padding = (0..=about.len() + log.len()).find(|padding| exact(padding).is_some())?;
    let (part, rest) = (exact(&padding)? as u8, [about, &vec![0; padding], log].concat());
    let ways = (0..8u8).flat_map(|first| (0..3u8).map(move |step| (step << 6, part << 3 | first)));
    for (how, split) in ways {
        let files = read::files(&names, how, split, &rest);
        let [(subject, _), (name, bytes)] = &files[..] else { continue };
        if bytes == log && format.subject(name).is_some_and(|(about, _)| about == *subject) {
            return Some([&[pick, how | 7 << 2, split], &rest[..]].concat());
        }
    }
    None
}

#[test]
fn nothing_panics_on_noise() {
    let watch = Watch::new("noise", 300);
    let formats = walmedic::format::ALL.len();
    for round in 0..1500 * formats {
        let mut random = watch.random(round);
        let len = random.below(600);
        let mut data = random.bytes(3 + len);
        // Small numbers and zeros are what lengths and kinds are made of.
        let dull = random.below(4);
        data[3..].iter_mut().filter(|_| random.below(4) < dull).for_each(|b| *b &= 7);
        read::read(&data);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<PathBuf> = listed.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}
