//! The program from outside, on logs in temporary directories, and what lies in a directory before and afterwards.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program, with an environment of its own.
pub fn walmedic() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("walmedic"));
    command.env_clear().env("COLUMNS", "100").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Of a run that ended by itself and did not panic.
    pub fn of(output: Output) -> Answer {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let code = output.status.code().unwrap_or_else(|| panic!("killed: {:?}, {stderr}", output.status));
        Answer { code, stdout: String::from_utf8_lossy(&output.stdout).into_owned(), stderr }
    }

    /// Its standard output, as a document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }

    /// Asserts that it did not do its work: the code, nothing on standard output, one line that says why.
    pub fn declines(&self, code: i32, because: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("walmedic: ") && self.stderr.matches('\n').count() == 1, "{self:?}");
        assert!(self.stderr.contains(because), "{because}: {self:?}");
    }

    /// Asserts the code.
    pub fn exits(self, code: i32) -> Answer {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// Runs the program.
pub fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Answer {
    Answer::of(walmedic().args(args).output().expect("it runs"))
}

/// Runs the program with words, then a path, then more words.
pub fn run_on(before: &str, path: &Path, behind: &str) -> Answer {
    let mut command = walmedic();
    command.args(before.split_whitespace()).arg(path).args(behind.split_whitespace());
    Answer::of(command.output().expect("it runs"))
}

/// A folder for logs that are written over and over: in memory, where there is such a place, for each copy is synced.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Everything below a directory: names, and what the files hold.
pub type Contents = BTreeMap<OsString, Vec<u8>>;

/// See [`Contents`]; directories have names only.
pub fn contents(dir: &Path) -> Contents {
    let mut found = Contents::new();
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("below it").as_os_str().to_owned();
            if path.is_dir() && !path.is_symlink() {
                found.insert(name, Vec::new());
                waiting.push(path);
            } else {
                found.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// A case of the fixtures.
#[derive(Clone, Debug)]
pub struct Case {
    /// `format/case`.
    pub name: String,
    /// Its format.
    pub format: String,
    /// Where its log lies.
    pub input: PathBuf,
    /// `--revision`, where it has to be said.
    pub options: String,
}

impl Case {
    /// All cases of the formats, in order.
    pub fn all(formats: &[&str]) -> Vec<Case> {
        let mut cases = Vec::new();
        for format in formats {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format);
            let listed = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
            let mut names: Vec<_> = listed.map(|e| e.expect("an entry").file_name()).collect();
            names.sort();
            cases.extend(names.iter().map(|name| Case::named(&format!("{format}/{}", name.display()))));
        }
        cases
    }

    /// One case.
    pub fn named(name: &str) -> Case {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        let line = std::fs::read_to_string(folder.join("verify-json.cmd")).unwrap_or_default();
        let mut words = line.split_whitespace().skip_while(|w| *w != "--revision").skip(1);
        let options = words.next().map_or(String::new(), |revision| format!("--revision {revision}"));
        let format = name.split('/').next().expect("a format").to_owned();
        let input = folder.join("input");
        assert!(input.is_dir(), "{name}: no such case");
        Case { name: name.to_owned(), format, input, options }
    }

    /// A copy of its log, named `log`, in a directory of its own.
    pub fn copied(&self) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("log");
        std::fs::create_dir(&log).expect("a directory for the log");
        for (name, bytes) in contents(&self.input) {
            std::fs::write(log.join(name), bytes).expect("a file of the log");
        }
        (dir, log)
    }

    /// Runs a command on a log of this kind.
    pub fn run(&self, command: &str, log: &Path, more: &str) -> Answer {
        run_on(command, log, &format!("--as {} {} {more}", self.format, self.options))
    }

    /// Whether the log at `path` verifies clean.
    pub fn is_clean(&self, log: &Path) -> bool {
        self.run("verify", log, "").code == 0
    }

    /// The hash of the state of a log by a policy, which an engine that does not open has none of.
    pub fn state(&self, log: &Path, policy: &str) -> Option<String> {
        let answer = self.run("replay", log, &format!("--policy {policy} --format json")).json();
        (answer["opens"] == true).then(|| answer["state_sha256"].to_string())
    }
}
