//! In-place changes of every format, and taking them back, killed at system calls that change the disk, and failing or
//! interrupted at them. A kill at any other call leaves what a kill at the next of these does. Afterwards the log is the old
//! one or the new one, byte for byte, `verify` says which, and `undo` brings the old one back.
//!
//! The kernel is made to do it by `strace`; where that is missing or may not trace, the tests say that they were not run. Of
//! calls that are made many times some are tried; `WALMEDIC_KILL=all` tries every one.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::run::{Answer, Case, Contents, contents, run_on, walmedic};
use common::wal::{PUT, Revision, Writer};
use tempfile::TempDir;

/// A log, and what is done to it in place.
struct Scene {
    /// The log is that of this fixture,
    fixture: &'static str,
    /// with this done to it.
    damage: fn(&Path),
    deed: &'static str,
}

/// Each way to change a log in one step, in each format, and cuts of much.
const SCENES: [Scene; 10] = [
    // One file is cut, one is swapped, several are with their directory.
    Scene { fixture: "ddia-wal/torn-in-value", damage: none, deed: "repair" },
    Scene { fixture: "ddia-wal/garbage-inserted", damage: none, deed: "repair" },
    Scene { fixture: "ddia-wal/several-spots", damage: none, deed: "repair" },
    // The tree is built anew, and its log emptied.
    Scene { fixture: "ddia-btree/image-flipped-r3", damage: none, deed: "repair" },
    // A table and the log.
    Scene { fixture: "ddia-lsm/table-half-written", damage: in_the_lsm_log, deed: "repair" },
    // A hint goes alone, and with two data files.
    Scene { fixture: "bitcask-hash/hint-offset-flipped", damage: none, deed: "repair" },
    Scene { fixture: "bitcask-hash/clean", damage: in_two_data_files, deed: "repair" },
    Scene { fixture: "sqlite-wal/page-flipped", damage: none, deed: "repair" },
    // More than a mebibyte is cut from the last file, and from two files.
    Scene { fixture: "ddia-wal/torn-in-value", damage: large, deed: "truncate --after-seq 42" },
    Scene { fixture: "ddia-wal/torn-in-value", damage: large, deed: "truncate --after-seq 20" },
];

fn none(_: &Path) {}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("a file of the log");
    bytes[at] ^= 0x10;
    fs::write(file, bytes).expect("written");
}

fn in_the_lsm_log(log: &Path) {
    flip(&log.join("wal.log"), 30);
}

fn in_two_data_files(log: &Path) {
    for name in ["0.data", "1.data"] {
        flip(&log.join(name), 24);
    }
}

/// Two files of 40 records, 1.3 MiB each.
fn large(log: &Path) {
    fs::remove_dir_all(log).expect("removed");
    let mut writer = Writer::new(Revision::V2, 40 << 15);
    (0..80).for_each(|i| writer.single(PUT, format!("key {i}").as_bytes(), &vec![b'v'; 32_760]));
    writer.finish().store(log);
}

/// Calls that change what is on the disk, as far as the machine has them, and the one that ends the process.
const CALLS: &str = "openat,?open,?creat,?mkdir,?mkdirat,write,?writev,?pwrite64,?sendfile,?copy_file_range,?fallocate,\
                     fsync,fdatasync,?sync_file_range,ftruncate,?truncate,?rename,?renameat,?renameat2,?link,?linkat,\
                     ?symlink,?symlinkat,?unlink,unlinkat,?rmdir,?chmod,fchmod,?fchmodat,?chown,fchown,?lchown,?fchownat,\
                     ?utimensat,exit_group";

/// Those that read a log.
const READS: &str = "pread64,";

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// What the scene says.
    Change,
    /// The same, into a copy.
    Copy,
    Undo,
}

/// A scene with the two states that its log may have, and what `verify` answers to them.
struct Known {
    scene: &'static Scene,
    case: Case,
    old: (Contents, i32),
    new: (Contents, i32),
}

impl Known {
    fn of(scene: &'static Scene) -> Known {
        let case = Case::named(scene.fixture);
        let (_dir, log) = scene.set(&case);
        let judged = || (contents(&log), case.run("verify", &log, "").code);
        let old = judged();
        let done = case.run(scene.deed, &log, "--in-place --apply");
        assert!(done.stderr.contains("walmedic undo"), "{}: {done:?}", scene.fixture);
        let new = judged();
        assert!(old.0 != new.0 && new.1 == 0, "{}: {done:?}", scene.fixture);
        Known { scene, case, old, new }
    }

    fn all() -> Vec<Known> {
        SCENES.iter().map(Known::of).collect()
    }

    /// The log is the old one or the new one, the reader says so, and everything can still be done with it.
    fn assert_whole(&self, subject: &Subject<'_>, what: &str) {
        let (case, log) = (&self.case, subject.log());
        let what = format!("{} {:?} {what}", self.scene.fixture, subject.deed);
        let now = contents(&log);
        assert!(
            now == self.old.0 || now == self.new.0,
            "{what}: neither the old nor the new: {}",
            names(&now)
        );
        let code = if now == self.old.0 { self.old.1 } else { self.new.1 };
        assert_eq!(case.run("verify", &log, "").code, code, "{what}");
        let complete = fs::read(subject.record()).is_ok_and(|text| text.ends_with(b"}\n"));
        assert!(complete || now == self.old.0, "{what}: changed, and no record");
        if complete {
            run_on("undo", &subject.record(), "").exits(0);
            assert_eq!(names(&contents(&log)), names(&self.old.0), "{what}: undo");
            assert!(contents(&log) == self.old.0, "{what}: undo");
        }
        assert!(matches!(case.run(self.scene.deed, &log, "--in-place --apply").code, 0 | 1), "{what}: again");
        assert!(contents(&log) == self.new.0, "{what}: again");
    }
}

/// What there is, in few words.
fn names(contents: &Contents) -> String {
    let told = contents.iter().map(|(name, bytes)| format!("{} {}", name.display(), bytes.len()));
    told.collect::<Vec<_>>().join(", ")
}

impl Scene {
    fn set(&self, case: &Case) -> (TempDir, PathBuf) {
        let (dir, log) = case.copied();
        (self.damage)(&log);
        (dir, log)
    }
}

/// A log to which a deed is going to be done.
struct Subject<'k> {
    dir: TempDir,
    known: &'k Known,
    deed: Deed,
}

impl<'k> Subject<'k> {
    fn new(known: &'k Known, deed: Deed) -> Subject<'k> {
        let (dir, log) = known.scene.set(&known.case);
        if deed == Deed::Undo {
            let done = known.case.run(known.scene.deed, &log, "--in-place --apply");
            assert!(done.stderr.contains("walmedic undo"), "{done:?}");
        }
        Subject { dir, known, deed }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn copy(&self) -> PathBuf {
        self.dir.path().join("copy")
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("log.walmedic-1")
    }

    fn record(&self) -> PathBuf {
        self.backup().join("undo.json")
    }

    /// What lies beside the log.
    fn beside(&self) -> Vec<String> {
        let listed = fs::read_dir(self.dir.path()).expect("listed");
        let names = listed.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "log").collect()
    }

    fn traced(&self, args: &[&str], out: &Path) -> Command {
        let (mut command, case) = (strace(), &self.known.case);
        command.args(args).arg("-o").arg(out).arg(walmedic().get_program());
        if self.deed == Deed::Undo {
            command.arg("undo").arg(self.backup());
            return command;
        }
        let options = format!("{} --as {} {} -j 1 --apply", self.known.scene.deed, case.format, case.options);
        command.args(options.split_whitespace()).arg(self.log());
        match self.deed {
            Deed::Copy => command.arg("--output").arg(self.copy()),
            _ => command.arg("--in-place"),
        };
        command
    }

    /// The calls of a run to its end.
    fn calls(&self, wanted: &str) -> Vec<Call> {
        let out = self.dir.path().join("trace");
        let run = self.traced(&["-e", &format!("trace={wanted}")], &out).output().expect("strace runs");
        assert!(matches!(run.status.code(), Some(0 | 1)), "{run:?}");
        let text = fs::read_to_string(&out).expect("a trace");
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
    fn run_with(&self, call: &Call, what: &str) -> Output {
        let inject = format!("inject={}:{what}:when={}", call.name, call.nth);
        let mut args = vec!["-e".to_owned(), format!("trace={}", call.name), "-e".to_owned(), inject];
        if let Some(path) = &call.path {
            args.extend(["-P".to_owned(), self.dir.path().join(path).display().to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.traced(&args, Path::new("/dev/null")).output().expect("strace runs")
    }
}

/// Calls of a deed on a log, with all ways in which each is to end.
struct Trial<'a> {
    known: &'a Known,
    deed: Deed,
    call: Call,
    what: &'static str,
}

/// Of the calls of each name so many, from the first to the last.
fn sampled(calls: Vec<Call>, most: usize) -> Vec<Call> {
    if std::env::var_os("WALMEDIC_KILL").is_some_and(|which| which == "all") {
        return calls;
    }
    let mut by_name: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    calls.into_iter().for_each(|call| by_name.entry(call.name.clone()).or_default().push(call));
    let spread = |calls: Vec<Call>| {
        let (n, last) = (calls.len().min(most), calls.len() - 1);
        (0..n).map(|i| calls[if n > 1 { i * last / (n - 1) } else { last }].clone()).collect::<Vec<_>>()
    };
    by_name.into_values().flat_map(spread).collect()
}

fn trials<'a>(
    known: &'a [Known],
    deeds: &[Deed],
    (wanted, most): (&str, usize),
    ends: impl Fn(&Call) -> &'static [&'static str],
) -> Vec<Trial<'a>> {
    let mut trials = Vec::new();
    for known in known {
        for &deed in deeds {
            for call in sampled(Subject::new(known, deed).calls(wanted), most) {
                let ends = ends(&call).iter();
                trials.extend(ends.map(|what| Trial { known, deed, call: call.clone(), what }));
            }
        }
    }
    trials
}

/// Runs all trials on a few threads.
fn try_all(trials: &[Trial<'_>], check: impl Fn(&Trial<'_>) + Sync) {
    println!("{} trials", trials.len());
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(trial))).is_err() {
                let Scene { fixture, deed, .. } = trial.known.scene;
                let told = format!("{fixture}, {deed}, {:?}, {:?}, {}", trial.deed, trial.call, trial.what);
                failed.lock().expect("no panic").push(told);
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), trials.len(), failed.join("\n"));
}

#[test]
fn a_kill_leaves_the_old_log_or_the_new_one() {
    if !can_trace() {
        return;
    }
    let known = Known::all();
    let trials = trials(&known, &[Deed::Change, Deed::Undo], (CALLS, 2), |_| &["signal=KILL"]);
    assert!(trials.len() > 150, "only {} calls", trials.len());
    let changed = AtomicUsize::new(0);
    try_all(&trials, |trial| {
        let subject = Subject::new(trial.known, trial.deed);
        let before = contents(&subject.log());
        let killed = subject.run_with(&trial.call, trial.what);
        assert_eq!(killed.status.signal(), Some(9), "not killed: {killed:?}");
        changed.fetch_add(usize::from(contents(&subject.log()) != before), Ordering::Relaxed);
        trial.known.assert_whole(&subject, &format!("{:?}", trial.call));
    });
    let changed = changed.into_inner();
    assert!(changed > 30 && trials.len() - changed > 80, "{changed} of {} came to be", trials.len());
}

/// What a call can fail of.
fn errors(call: &Call) -> &'static [&'static str] {
    match call.name.as_str() {
        "exit_group" => &[],
        // What is told to the user may get lost.
        "write" if call.to.is_some_and(|to| to <= 2) => &[],
        "fsync" | "fdatasync" | "ftruncate" | "copy_file_range" => &["error=EIO"],
        "write" => &["error=ENOSPC", "error=EIO"],
        name if name.starts_with("mkdir") || name.starts_with("link") => &["error=ENOSPC"],
        _ => &["error=EACCES"],
    }
}

#[test]
fn a_failure_loses_nothing_and_names_the_file() {
    if !can_trace() {
        return;
    }
    let known = Known::all();
    let trials = trials(&known, &[Deed::Change, Deed::Undo], (CALLS, 1), errors);
    assert!(trials.len() > 80, "only {} calls", trials.len());
    try_all(&trials, |trial| {
        let known = trial.known;
        let subject = Subject::new(known, trial.deed);
        let before = contents(&subject.log());
        let answer = Answer::of(subject.run_with(&trial.call, trial.what));
        let told = format!("{:?} {}: {answer:?}", trial.call, trial.what);
        let now = contents(&subject.log());
        if matches!(answer.code, 0 | 1) {
            // It did not depend on that call.
            assert!(now != before, "{told}");
            assert!(trial.deed == Deed::Undo || known.case.is_clean(&subject.log()), "{told}");
        } else {
            answer.declines(2, "");
            let log = &known.old.0;
            let named = log.keys().any(|name| answer.stderr.contains(&*name.to_string_lossy()));
            assert!(named || answer.stderr.contains("/log"), "{told}: names no file");
            let os = if trial.what.ends_with("ENOSPC") { "No space" } else { "" };
            assert!(answer.stderr.contains(os) && answer.stderr.contains("os error"), "{told}");
            let claims = answer.stderr.contains("nothing was changed");
            assert!(!claims || now == before, "{told}: it was");
            let backup = subject.backup();
            let gone = trial.deed == Deed::Undo || now != before || !backup.exists();
            assert!(gone || !answer.stderr.contains("cannot"), "{told}: left {}", names(&contents(&backup)));
        }
        known.assert_whole(&subject, &told);
    });
}

/// Scenes that are interrupted: a directory that is swapped, a tree that is built, a cut of much.
const INTERRUPTED: [usize; 3] = [2, 3, 8];

/// Ctrl-C, the end of the session, and what a service manager sends; also while a copy is being verified, and in an undo.
#[test]
fn an_interruption_leaves_nothing_half_written() {
    const SIGNALS: [&str; 3] = ["signal=INT", "signal=TERM", "signal=HUP"];
    if !can_trace() {
        return;
    }
    let known: Vec<Known> = INTERRUPTED.iter().map(|&i| Known::of(&SCENES[i])).collect();
    let calls = format!("{READS}{CALLS}");
    let next = AtomicUsize::new(0);
    let ends = |call: &Call| {
        let nth = next.fetch_add(1, Ordering::Relaxed) % SIGNALS.len();
        if call.name == "exit_group" { &SIGNALS[..0] } else { &SIGNALS[nth..=nth] }
    };
    let trials = trials(&known, &[Deed::Change, Deed::Copy, Deed::Undo], (&calls, 2), ends);
    let ended = [0; 3].map(AtomicUsize::new);
    try_all(&trials, |trial| {
        let (known, subject) = (trial.known, Subject::new(trial.known, trial.deed));
        let (before, beside) = (contents(&subject.log()), subject.beside());
        let run = subject.run_with(&trial.call, trial.what);
        if run.status.signal().is_some() {
            // The loader reads before the program does.
            assert!(trial.call.name == "pread64" && contents(&subject.log()) == before, "{run:?}");
            return;
        }
        let answer = Answer::of(run);
        let (now, told) = (contents(&subject.log()), format!("{:?} {}: {answer:?}", trial.call, trial.what));
        if answer.code == 130 {
            ended[trial.deed as usize].fetch_add(1, Ordering::Relaxed);
            assert!(now == before && subject.beside() == beside, "{told}: {:?}", subject.beside());
            assert!(answer.stdout.is_empty(), "{told}");
        } else {
            assert!(matches!(answer.code, 0 | 1), "{told}");
            let done = if trial.deed == Deed::Change { &known.new.0 } else { &known.old.0 };
            assert!(now == *done, "{told}");
            assert!(trial.deed != Deed::Copy || contents(&subject.copy()) == known.new.0, "{told}");
        }
        known.assert_whole(&subject, &told);
    });
    let ended = ended.map(AtomicUsize::into_inner);
    assert!(ended[0] > 10 && ended[1] > 10 && ended[2] > 2, "interrupted: {ended:?} of {}", trials.len());
}

/// The copy is read again to its end: whoever waits for that may stop it.
#[test]
fn the_verifying_of_a_copy_can_be_interrupted() {
    if !can_trace() {
        return;
    }
    let known = Known::of(&SCENES[9]);
    let calls = Subject::new(&known, Deed::Copy).calls(&format!("{READS}{CALLS}"));
    // Behind the sync of the directory that was written everything is read once more.
    let synced = calls.iter().rposition(|call| call.name == "pread64").expect("reads");
    let written = calls[..synced].iter().rposition(|call| call.name == "fsync").expect("syncs");
    let reads: Vec<&Call> = calls[written..].iter().filter(|call| call.name == "pread64").collect();
    assert!(!reads.is_empty());
    let subject = Subject::new(&known, Deed::Copy);
    // The handler runs beside the reading: what follows that, giving the copy its mode, is held up until it has.
    let what = format!("inject=pread64:signal=INT:when={}", reads[0].nth);
    let later = "inject=?chmod,?fchmodat:delay_enter=1000000";
    let args = ["-e", "trace=pread64,?chmod,?fchmodat", "-e", &what, "-e", later];
    let answer = Answer::of(subject.traced(&args, Path::new("/dev/null")).output().expect("strace runs"));
    answer.declines(130, "interrupted; nothing was changed");
    assert_eq!(subject.beside(), [""; 0]);
    known.assert_whole(&subject, "interrupted");
}

/// Waits until something lies beside the log.
fn begun(subject: &Subject<'_>) {
    let start = Instant::now();
    while !subject.beside().iter().any(|name| name.contains(".walmedic-")) {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing is being written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Between the plan and the change somebody puts another file in the place of one of the log's.
#[test]
fn a_log_that_is_replaced_meanwhile_is_left_alone() {
    if !can_trace() {
        return;
    }
    for scene in &SCENES[..3] {
        let known = Known::of(scene);
        for deed in [Deed::Change, Deed::Copy] {
            let subject = Subject::new(&known, deed);
            // The first thing that is made is the folder for what is new.
            let args =
                ["-e", "trace=?mkdir,?mkdirat", "-e", "inject=?mkdir,?mkdirat:delay_exit=1000000:when=1"];
            let mut command = subject.traced(&args, Path::new("/dev/null"));
            let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("strace runs");
            begun(&subject);
            let (file, new) = (subject.log().join("000001.wal"), subject.dir.path().join("new"));
            fs::copy(&file, &new).and_then(|_| fs::rename(&new, &file)).expect("replaced");
            let answer = Answer::of(run.wait_with_output().expect("it ends"));
            answer.declines(4, "000001.wal: was written to or replaced meanwhile; nothing was changed");
            assert_eq!(subject.beside(), [""; 0], "{deed:?}");
            known.assert_whole(&subject, "replaced");
        }
    }
}

/// What the medium does not give back is not taken for lost: only a copy can be made of the rest.
#[test]
fn what_cannot_be_read_is_not_cut_off() {
    if !can_trace() {
        return;
    }
    let known = Known::of(&SCENES[2]);
    for deed in [Deed::Change, Deed::Copy] {
        let subject = Subject::new(&known, deed);
        let file = subject.log().join("000002.wal").display().to_string();
        let args = ["-P", &file, "-e", "trace=pread64", "-e", "inject=pread64:error=EIO"];
        let answer = Answer::of(subject.traced(&args, Path::new("/dev/null")).output().expect("strace runs"));
        assert!(contents(&subject.log()) == known.old.0, "{answer:?}");
        match deed {
            Deed::Change => answer.declines(4, "only a copy can be made of the rest, with --output"),
            _ => drop(answer.exits(3)),
        }
        assert_eq!(subject.copy().exists(), deed == Deed::Copy);
        assert!(!subject.backup().exists());
    }
}

/// Where there is no room for all of a file that was cut, its end is written behind it: an undo that was killed at that is
/// gone on with by the next one.
#[test]
fn an_undo_is_gone_on_with() {
    let known = Known::of(&SCENES[8]);
    let subject = Subject::new(&known, Deed::Undo);
    let tail = fs::read(subject.backup().join("log/000002.wal.tail")).expect("the end");
    assert!(tail.len() > 1 << 20);
    let file = subject.log().join("000002.wal");
    let mut half = fs::read(&file).expect("read");
    half.extend(&tail[..tail.len() / 2]);
    fs::write(&file, half).expect("written");
    run_on("undo", &subject.record(), "").exits(0);
    assert!(contents(&subject.log()) == known.old.0);
    assert_eq!(subject.beside(), ["log.walmedic-1"]);
    let left = contents(&subject.backup());
    assert_eq!(left.len(), 3, "{}", names(&left));
}
