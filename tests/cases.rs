//! Runs every case of `fixtures/<format>/<case>/` as a user would, in the case's own folder.
//!
//! `input/` holds the log and `origin` says how it came to be. Each `<variant>.cmd` is one command line of walmedic;
//! `<variant>.stdout`, `.stderr` and `.code` are what it must answer: no file means nothing, or 0. `BLESS=1 cargo test
//! --test cases` rewrites them. A new case is a folder, a new variant a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use assert_cmd::Command;

#[test]
fn answers_are_what_the_fixtures_expect() {
    let bless = std::env::var_os("BLESS").is_some_and(|v| v == "1");
    let all: Vec<PathBuf> = cases().iter().flat_map(|case| variants(case)).collect();
    assert!(all.len() > 50, "only {} variants: are the fixtures there?", all.len());
    let wrong = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(cmd) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(difference) = run(cmd, bless) {
                wrong.lock().expect("no panic").push(difference);
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let mut wrong = wrong.into_inner().expect("no panic");
    wrong.sort();
    assert!(wrong.is_empty(), "{}\n{} differ; BLESS=1 accepts them", wrong.join("\n"), wrong.len());
}

#[test]
fn every_format_has_cases_and_every_case_is_whole() {
    let root = root();
    for format in walmedic::format::ALL {
        let name = format.profile().name;
        assert!(root.join(name).is_dir(), "fixtures/{name}: missing");
    }
    for case in cases() {
        assert!(case.join("origin").is_file(), "{}: no origin", case.display());
        assert!(case.join("input").is_dir(), "{}: no input", case.display());
        let known = variants(&case);
        assert!(!known.is_empty(), "{}: no .cmd", case.display());
        for path in entries(&case) {
            let answer = path.extension().is_some_and(|e| e == "stdout" || e == "stderr" || e == "code");
            assert!(
                !answer || known.contains(&path.with_extension("cmd")),
                "{}: no .cmd for it",
                path.display()
            );
        }
    }
}

fn run(cmd: &Path, bless: bool) -> Option<String> {
    let case = cmd.parent().expect("a case");
    let line = std::fs::read_to_string(cmd).expect("a command line");
    let before = contents(&case.join("input"));
    let mut command = Command::cargo_bin("walmedic").expect("the binary");
    command.current_dir(case).args(line.split_whitespace());
    command.env_clear().env("COLUMNS", "100").env("NO_COLOR", "1");
    let output = command.output().expect("it runs");
    assert!(before == contents(&case.join("input")), "{}: the input was changed", cmd.display());
    let code = output.status.code().map_or_else(|| "killed".into(), |c| c.to_string());
    let answers = [
        ("stdout", output.stdout),
        ("stderr", output.stderr),
        ("code", if code == "0" { Vec::new() } else { format!("{code}\n").into_bytes() }),
    ];
    let mut difference = None;
    for (kind, answer) in answers {
        let path = cmd.with_extension(kind);
        let expected = std::fs::read(&path).unwrap_or_default();
        if answer == expected {
            continue;
        }
        if bless && answer.is_empty() {
            std::fs::remove_file(&path).expect("a file that is no longer wanted");
        } else if bless {
            std::fs::write(&path, &answer).expect("the new answer");
        } else {
            let (a, b) = (String::from_utf8_lossy(&expected), String::from_utf8_lossy(&answer));
            difference =
                Some(format!("{}: walmedic {}\n{}", path.display(), line.trim(), first_difference(&a, &b)));
        }
    }
    difference
}

/// The first line that differs, both ways; of a long line the part around the place.
fn first_difference(expected: &str, found: &str) -> String {
    let place = expected.bytes().zip(found.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| -> String {
        let bytes = &text.as_bytes()[place.saturating_sub(60)..text.len().min(place + 120)];
        String::from_utf8_lossy(bytes).replace('\n', "⏎")
    };
    format!("  expected …{}…\n  found    …{}…", around(expected), around(found))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn cases() -> Vec<PathBuf> {
    let formats = entries(&root()).into_iter().filter(|p| p.is_dir());
    formats.flat_map(|format| entries(&format)).filter(|p| p.is_dir()).collect()
}

fn variants(case: &Path) -> Vec<PathBuf> {
    entries(case).into_iter().filter(|p| p.extension().is_some_and(|e| e == "cmd")).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut entries: Vec<PathBuf> = listed.map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    entries
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    entries(dir).into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default())).collect()
}
