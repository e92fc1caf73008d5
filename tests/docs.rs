//! Every example in the README and in docs/ is run: a block marked `console` holds commands behind `$ ` and, below each,
//! exactly what it prints on standard output. `BLESS=1 cargo test --test docs` writes the outputs anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let docs = std::fs::read_dir(root.join("docs")).expect("docs/ is there");
    pages
        .extend(docs.map(|e| e.expect("listed").path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    pages.sort();
    pages
}

/// Runs a command line as the reader would type it, with the built binary in place of `walmedic` or `cargo run`.
fn output(line: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_walmedic");
    let typed = line.replacen("cargo run --release --", "walmedic", 1);
    let words = typed.replace("walmedic ", &format!("'{binary}' "));
    let out = Command::new("sh")
        .args(["-c", &words])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CLICOLOR_FORCE")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.is_empty() && !out.stdout.is_empty(), "{line} prints nothing, or complains: {said}");
    String::from_utf8(out.stdout).expect("text")
}

#[test]
fn every_example_prints_what_the_page_says() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut run = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("the page");
        let mut fresh = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            writeln!(fresh, "{line}").expect("memory");
            if line != "```console" {
                continue;
            }
            for line in lines.by_ref() {
                if let Some(command) = line.strip_prefix("$ ") {
                    run += 1;
                    writeln!(fresh, "{line}").expect("memory");
                    fresh += output(command).trim_end();
                    fresh.push('\n');
                } else if line == "```" {
                    writeln!(fresh, "{line}").expect("memory");
                    break;
                }
            }
        }
        if bless {
            std::fs::write(&page, &fresh).expect("the page can be written");
        } else {
            assert_eq!(text, fresh, "{} is out of date; BLESS=1 cargo test --test docs", page.display());
        }
    }
    assert!(run >= 5, "only {run} examples were found: is the marking still the same?");
}

#[test]
fn no_example_names_a_file_that_is_not_shipped() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("the page");
        for path in text
            .split([' ', '`', '(', ')', '\n', '"'])
            .filter(|w| w.starts_with("fixtures/") && !w.contains(['<', '…', '*']))
        {
            let place =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(path.trim_end_matches(['.', ',', ';', ':']));
            // What the commands that are told to come next would make.
            let made = [".evidence", ".repaired"].iter().any(|suffix| path.contains(suffix));
            assert!(made || place.exists(), "{} names {path}", page.display());
        }
    }
}
