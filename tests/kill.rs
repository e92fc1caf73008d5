//! In-place changes, and taking them back, killed at every system call that changes the disk, and failing at every one. A
//! kill at any other call leaves what a kill at the next of these does. Afterwards the log is the old one or the new one,
//! byte for byte, `verify` says which, and `undo` brings the old one back.
//!
//! The kernel is made to do it by `strace`; where that is missing or may not trace, the tests say that they were not run.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::run::{Answer, Case, Contents, contents, run_on, walmedic};
use tempfile::TempDir;

/// A log of which one file is cut, one of which one file is rewritten, one of which several change at once.
const CASES: [&str; 3] = ["ddia-wal/torn-in-value", "ddia-wal/garbage-inserted", "ddia-wal/several-spots"];

/// Calls that change what is on the disk, as far as the machine has them, and the one that ends the process.
const CALLS: &str = "openat,?open,?creat,?mkdir,?mkdirat,write,?writev,?pwrite64,?sendfile,?copy_file_range,?fallocate,\
                     fsync,fdatasync,?sync_file_range,ftruncate,?truncate,?rename,?renameat,?renameat2,?link,?linkat,\
                     ?symlink,?symlinkat,?unlink,unlinkat,?rmdir,?chmod,fchmod,?fchmodat,?chown,fchown,?lchown,?fchownat,\
                     ?utimensat,exit_group";

/// One call of a run, so that it is found again in the next one.
#[derive(Clone, Debug)]
struct Call {
    name: String,
    /// The file that it makes; only calls on this path are counted.
    path: Option<PathBuf>,
    /// Which of the calls of this name.
    nth: usize,
    /// Where it writes to.
    to: Option<u32>,
}

fn strace() -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "--signal=none"]).stdin(Stdio::null());
    command
}

fn can_trace() -> bool {
    let trial = strace().args(["-e", "trace=none", "true"]).stderr(Stdio::null()).status();
    let can = trial.is_ok_and(|status| status.success());
    if !can {
        println!("not run: strace is missing or may not trace");
    }
    can
}

/// What is done to a log: a command line whose last word is a path below the log's parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Repair,
    Undo,
}

impl Deed {
    fn words(self, dir: &Path) -> Vec<PathBuf> {
        let words: &[&str] = match self {
            Deed::Repair => &["repair", "--as", "ddia-wal", "-j", "1", "--in-place", "--apply"],
            Deed::Undo => &["undo"],
        };
        let mut words: Vec<PathBuf> = words.iter().map(PathBuf::from).collect();
        words.push(dir.join(if self == Deed::Repair { "log" } else { "log.walmedic-1" }));
        words
    }
}

/// A log to which a deed is going to be done.
struct Subject {
    dir: TempDir,
    deed: Deed,
}

impl Subject {
    fn new(case: &Case, deed: Deed) -> Subject {
        let (dir, log) = case.copied();
        if deed == Deed::Undo {
            assert!(case.run("repair", &log, "--in-place --apply").stderr.contains("walmedic undo"));
        }
        Subject { dir, deed }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn record(&self) -> PathBuf {
        self.dir.path().join("log.walmedic-1/undo.json")
    }

    fn traced(&self, args: &[&str], out: &Path) -> Command {
        let mut command = strace();
        command
            .args(args)
            .arg("-o")
            .arg(out)
            .arg(walmedic().get_program())
            .args(self.deed.words(self.dir.path()));
        command
    }

    /// The calls of a run to its end.
    fn calls(&self) -> Vec<Call> {
        let out = self.dir.path().join("trace");
        let run = self.traced(&["-e", &format!("trace={CALLS}")], &out).output().expect("strace runs");
        assert!(matches!(run.status.code(), Some(0 | 1)), "{run:?}");
        let text = fs::read_to_string(&out).expect("a trace");
        fs::remove_file(out).expect("removed");
        let mut counts = BTreeMap::new();
        let calls = text.lines().filter_map(|line| self.call(line, &mut counts));
        calls.collect()
    }

    fn call(&self, line: &str, counts: &mut BTreeMap<(String, Option<PathBuf>), usize>) -> Option<Call> {
        let call = line.split_once(' ')?.1.trim_start();
        let (name, rest) = call.split_once('(')?;
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        let opens = name == "openat" || name == "open";
        let quoted = rest.split('"').nth(1).map(PathBuf::from).filter(|_| opens);
        let nth = counts.entry((name.to_owned(), quoted.clone())).or_insert(0);
        *nth += 1;
        let makes = rest.contains("O_CREAT") || rest.contains("O_TRUNC");
        let call = Call {
            name: name.to_owned(),
            path: quoted
                .map(|path| path.strip_prefix(self.dir.path()).map(Path::to_path_buf).unwrap_or(path)),
            nth: *nth,
            to: rest.split([',', ')']).next().and_then(|fd| fd.parse().ok()),
        };
        (!opens || makes).then_some(call)
    }

    /// Runs the deed, and lets one call end as `what` says.
    fn run_with(&self, call: &Call, what: &str) -> std::process::Output {
        let inject = format!("inject={}:{what}:when={}", call.name, call.nth);
        let mut args = vec!["-e".to_owned(), format!("trace={}", call.name), "-e".to_owned(), inject];
        if let Some(path) = &call.path {
            args.extend(["-P".to_owned(), self.dir.path().join(path).display().to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.traced(&args, Path::new("/dev/null")).output().expect("strace runs")
    }
}

/// A case with the two states that its log may have.
struct Known {
    case: Case,
    old: Contents,
    new: Contents,
}

impl Known {
    fn of(name: &str) -> Known {
        let case = Case::named(name);
        let (_dir, log) = case.copied();
        let old = contents(&log);
        case.run("repair", &log, "--in-place --apply");
        let new = contents(&log);
        assert!(old != new && case.is_clean(&log) && !case.is_clean(&case.input), "{name}");
        Known { case, old, new }
    }

    /// The log is the old one or the new one, the reader says so, and everything can still be done with it.
    fn assert_whole(&self, subject: &Subject, what: &str) {
        let (case, log) = (&self.case, subject.log());
        let what = format!("{}, {:?}, {what}", case.name, subject.deed);
        let now = contents(&log);
        assert!(now == self.old || now == self.new, "{what}: neither the old nor the new: {now:?}");
        assert_eq!(case.is_clean(&log), now == self.new, "{what}");
        let complete = fs::read(subject.record()).is_ok_and(|text| text.ends_with(b"}\n"));
        assert!(complete || now == self.old, "{what}: changed, and no record");
        if complete {
            run_on("undo", &subject.record(), "").exits(0);
            assert_eq!(contents(&log), self.old, "{what}: undo");
        }
        assert!(matches!(case.run("repair", &log, "--in-place --apply").code, 0 | 1), "{what}: again");
        assert_eq!(contents(&log), self.new, "{what}: again");
    }
}

/// Calls of a deed on a case, with all ways in which each is to end.
struct Trial<'a> {
    known: &'a Known,
    deed: Deed,
    call: Call,
    what: &'static str,
}

/// Runs all trials on a few threads.
fn try_all(trials: &[Trial<'_>], check: impl Fn(&Trial<'_>) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(trial))).is_err() {
                let name = &trial.known.case.name;
                let told = format!("{name}, {:?}, {:?}, {}", trial.deed, trial.call, trial.what);
                failed.lock().expect("no panic").push(told);
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), trials.len(), failed.join("\n"));
}

fn trials<'a>(known: &'a [Known], ends: impl Fn(&Call) -> &'static [&'static str]) -> Vec<Trial<'a>> {
    let mut trials = Vec::new();
    for known in known {
        for deed in [Deed::Repair, Deed::Undo] {
            for call in Subject::new(&known.case, deed).calls() {
                let ends = ends(&call).iter();
                trials.extend(ends.map(|what| Trial { known, deed, call: call.clone(), what }));
            }
        }
    }
    trials
}

#[test]
fn a_kill_leaves_the_old_log_or_the_new_one() {
    if !can_trace() {
        return;
    }
    let known = CASES.map(Known::of);
    let trials = trials(&known, |_| &["signal=KILL"]);
    assert!(trials.len() > 80, "only {} calls", trials.len());
    let changed = AtomicUsize::new(0);
    try_all(&trials, |trial| {
        let subject = Subject::new(&trial.known.case, trial.deed);
        let before = contents(&subject.log());
        let killed = subject.run_with(&trial.call, trial.what);
        let signal = std::os::unix::process::ExitStatusExt::signal(&killed.status);
        assert_eq!(signal, Some(9), "not killed: {killed:?}");
        changed.fetch_add(usize::from(contents(&subject.log()) != before), Ordering::Relaxed);
        trial.known.assert_whole(&subject, &format!("{:?}", trial.call));
    });
    let changed = changed.into_inner();
    assert!(changed > 10 && trials.len() - changed > 50, "{changed} of {} came to be", trials.len());
}

/// What a call can fail of.
fn errors(call: &Call) -> &'static [&'static str] {
    match call.name.as_str() {
        "exit_group" => &[],
        // What is told to the user may get lost.
        "write" if call.to.is_some_and(|to| to <= 2) => &[],
        "write" | "fsync" | "fdatasync" | "ftruncate" | "copy_file_range" => &["error=ENOSPC", "error=EIO"],
        _ => &["error=EACCES", "error=ENOSPC"],
    }
}

#[test]
fn a_failure_loses_nothing_and_names_the_file() {
    if !can_trace() {
        return;
    }
    let known = CASES.map(Known::of);
    let trials = trials(&known, errors);
    assert!(trials.len() > 120, "only {} calls", trials.len());
    try_all(&trials, |trial| {
        let known = trial.known;
        let subject = Subject::new(&known.case, trial.deed);
        let before = contents(&subject.log());
        let answer = Answer::of(subject.run_with(&trial.call, trial.what));
        let told = format!("{:?} {}: {answer:?}", trial.call, trial.what);
        let now = contents(&subject.log());
        if matches!(answer.code, 0 | 1) {
            // It did not depend on that call.
            assert_ne!(now, before, "{told}");
            assert!(trial.deed == Deed::Undo || known.case.is_clean(&subject.log()), "{told}");
        } else {
            answer.declines(2, "");
            let named = answer.stderr.contains(".wal") || answer.stderr.contains("/log");
            assert!(named, "{told}: names no file");
            let os = if trial.what.ends_with("ENOSPC") { "No space" } else { "" };
            assert!(answer.stderr.contains(os) && answer.stderr.contains("os error"), "{told}");
            let claims = answer.stderr.contains("nothing was changed");
            assert!(!claims || now == before, "{told}: it was");
            let backup = subject.dir.path().join("log.walmedic-1");
            let gone = trial.deed == Deed::Undo || now != before || !backup.exists();
            assert!(gone || !answer.stderr.contains("cannot"), "{told}: left {:?}", contents(&backup).keys());
        }
        known.assert_whole(&subject, &told);
    });
}
