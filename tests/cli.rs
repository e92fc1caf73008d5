//! The command line from outside: what it says and which code it exits with on every input that a user may get wrong or
//! a system may refuse. Whatever happens, nothing panics, and a failure is one line that begins with `walmedic: `.

mod common;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::log::Log;
use common::random::Random;
use common::wal::{Revision, Writer};
use serde_json::Value;
use tempfile::TempDir;

/// The program, with an environment of its own.
fn walmedic() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("walmedic"));
    command.env_clear().env("COLUMNS", "100").stdin(Stdio::null());
    command
}

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: Output) -> Answer {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let code = output.status.code().unwrap_or_else(|| panic!("killed: {:?}, {stderr}", output.status));
        Answer { code, stdout: String::from_utf8_lossy(&output.stdout).into_owned(), stderr }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
}

fn run<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Answer {
    Answer::of(walmedic().args(args).output().expect("it runs"))
}

/// A run that cannot do its work: code 2, nothing on stdout, one line of its own on stderr that says `because`.
fn fails<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>, because: &str) {
    let answer = run(args);
    assert_eq!(answer.code, 2, "{}{}", answer.stdout, answer.stderr);
    assert_eq!(answer.stdout, "");
    assert!(answer.stderr.starts_with("walmedic: "), "{}", answer.stderr);
    assert_eq!(answer.stderr.matches('\n').count(), 1, "{}", answer.stderr);
    assert!(answer.stderr.contains(because), "{because}: {}", answer.stderr);
}

/// A usage error that the argument parser words.
fn misused<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>, because: &str) {
    let answer = run(args);
    assert_eq!(answer.code, 2, "{}", answer.stderr);
    assert!(answer.stderr.contains(because), "{because}: {}", answer.stderr);
}

fn temp() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn small_log() -> Log {
    let mut writer = Writer::new(Revision::V2, 200);
    (0..12).for_each(|i| writer.put(&format!("key {i}"), &format!("value {i}")));
    writer.batch(&[(1, b"a", b"1"), (1, b"b", b"2")], true);
    writer.finish()
}

fn stored(log: &Log) -> (TempDir, PathBuf) {
    let dir = temp();
    let path = dir.path().join("log");
    log.store(&path);
    (dir, path)
}

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ddia-wal").join(case).join("input")
}

fn arg(path: &Path) -> &std::ffi::OsStr {
    path.as_os_str()
}

const READERS: [&str; 3] = ["verify", "dump", "gaps"];

// ---- what is not a log --------------------------------------------------------------------------------------------

#[test]
fn no_such_path() {
    for command in READERS {
        fails([command, "/no/such/path"], "/no/such/path: cannot open");
    }
}

#[test]
fn an_empty_directory_is_an_error_unless_it_is_said_to_be_a_log() {
    let dir = temp();
    for command in READERS {
        fails([command.as_ref(), arg(dir.path())], "empty directory");
    }
    for format in walmedic::format::ALL {
        let answer =
            run(["verify".as_ref(), "--as".as_ref(), format.profile().name.as_ref(), arg(dir.path())]);
        assert_eq!(answer.code, 0, "{}: {}", format.profile().name, answer.stderr);
    }
}

#[test]
fn one_of_several_logs_has_to_be_named() {
    let (dir, path) = stored(&small_log());
    std::fs::write(path.join("wal.log"), b"").expect("written");
    for command in ["repair", "replay"] {
        let answer = run([command.as_ref(), path.as_os_str()]);
        let (wal, lsm) = (path.join("000001.wal"), path.join("wal.log"));
        let both = format!("(ddia-wal {} and ddia-lsm {})", wal.display(), lsm.display());
        assert!(answer.code == 2 && answer.stderr.contains(&both), "{}", answer.stderr);
    }
    drop(dir);
}

#[test]
fn a_directory_without_a_log_is_told_what_was_looked_for() {
    let dir = temp();
    std::fs::write(dir.path().join("README"), "no log").expect("a file");
    std::fs::create_dir(dir.path().join("below")).expect("a folder");
    let answer = run(["verify".as_ref(), arg(dir.path())]);
    assert_eq!(answer.code, 2);
    for format in walmedic::format::ALL {
        assert!(answer.stderr.contains(format.profile().files), "{}", answer.stderr);
    }
    fails(["verify".as_ref(), arg(dir.path())], "no known log");
    fails(["verify".as_ref(), arg(&dir.path().join("README"))], "looked for");
}

#[test]
fn an_empty_file_is_an_empty_log_if_its_name_says_so() {
    let dir = temp();
    let (named, unnamed) = (dir.path().join("000001.wal"), dir.path().join("something"));
    std::fs::write(&named, "").expect("a file");
    std::fs::write(&unnamed, "").expect("a file");
    assert_eq!(run(["verify".as_ref(), arg(&named)]).code, 0);
    fails(["verify".as_ref(), arg(&unnamed)], "neither its name nor its bytes");
    assert_eq!(run(["verify".as_ref(), "--as".as_ref(), "ddia-wal".as_ref(), arg(&unnamed)]).code, 0);
}

#[test]
fn what_cannot_be_read_twice_is_refused() {
    fails(["verify", "/dev/null"], "character device");
    fails(["verify", "/dev/zero"], "character device");
    let dir = temp();
    let fifo = dir.path().join("000002.wal");
    let made = Command::new("mkfifo").arg(&fifo).status().is_ok_and(|s| s.success());
    if !made {
        println!("FIFO not tried: there is no mkfifo");
        return;
    }
    fails(["verify".as_ref(), arg(&fifo)], "FIFO");
    // Among the files of a log it is one that could not be read.
    small_log().files.iter().take(1).for_each(|f| {
        std::fs::write(dir.path().join("000001.wal"), &f.bytes).expect("a file");
    });
    let answer = run(["verify".as_ref(), "--format".as_ref(), "json".as_ref(), arg(dir.path())]);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    assert_eq!(answer.json()["status"], "incomplete");
}

// ---- files that refuse --------------------------------------------------------------------------------------------

#[test]
fn a_file_that_cannot_be_opened_does_not_hide_the_others() {
    let (_dir, log) = stored(&small_log());
    // A link to nowhere: refused to everybody, root included.
    std::fs::remove_file(log.join("000002.wal")).expect("removed");
    std::os::unix::fs::symlink("nowhere", log.join("000002.wal")).expect("a link");
    unopenable(&log);
}

#[test]
fn a_file_without_permission_does_not_hide_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, log) = stored(&small_log());
    let file = log.join("000002.wal");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).expect("mode");
    if std::fs::read(&file).is_ok() {
        println!("not tried: this user may read everything");
        return;
    }
    unopenable(&log);
}

fn unopenable(log: &Path) {
    let answer = run(["verify".as_ref(), "--format".as_ref(), "json".as_ref(), arg(log)]);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    let doc = answer.json();
    let files = doc["logs"][0]["files"].as_array().expect("files");
    assert!(files.len() > 2);
    for file in files {
        let failed = file["path"] == "000002.wal";
        assert_eq!(file["error"].is_string(), failed, "{file}");
        assert_eq!(file["records"]["intact"] == 0, failed, "{file}");
    }
    assert!(answer.stdout.contains("WM-903"));
    assert_eq!(run(["gaps".as_ref(), arg(log)]).code, 3);
    assert_eq!(run(["dump".as_ref(), arg(log)]).code, 3);
}

#[test]
fn one_bad_path_does_not_stop_the_others() {
    let (_dir, log) = stored(&small_log());
    let answer =
        run(["verify".as_ref(), "--format".as_ref(), "json".as_ref(), "/no/such".as_ref(), arg(&log)]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.starts_with("walmedic: /no/such"), "{}", answer.stderr);
    assert_eq!(answer.json()["logs"].as_array().expect("logs").len(), 1);
}

#[test]
fn links_are_followed() {
    let (dir, log) = stored(&small_log());
    let (to_dir, to_file) = (dir.path().join("there"), dir.path().join("000009.wal"));
    std::os::unix::fs::symlink(&log, &to_dir).expect("a link");
    std::os::unix::fs::symlink(log.join("000001.wal"), &to_file).expect("a link");
    for path in [&to_dir, &to_file] {
        assert_eq!(run(["verify".as_ref(), arg(path)]).code, 0);
    }
    // A link that leads back up is not followed for ever.
    let nest = dir.path().join("nest");
    std::fs::create_dir(&nest).expect("a folder");
    std::os::unix::fs::symlink(&nest, nest.join("again")).expect("a link");
    fails(["verify".as_ref(), arg(&nest)], "no known log");
}

#[test]
fn names_need_not_be_text() {
    let dir = temp();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"l\xffg"));
    if std::fs::create_dir(&odd).is_err() {
        println!("not tried: the file system wants text for names");
        return;
    }
    let log = small_log();
    std::fs::write(odd.join(std::ffi::OsStr::from_bytes(b"\xff\n\x1b[31m.wal")), &log.files[0].bytes)
        .expect("a file");
    for command in READERS {
        for format in ["text", "json", "ndjson", "csv"] {
            let answer = run([command.as_ref(), "--format".as_ref(), format.as_ref(), arg(&odd)]);
            assert!(answer.code < 2, "{command} {format}: {}", answer.stderr);
            let raw = answer.stdout.contains('\x1b');
            assert!(!raw, "{command} {format}: a name must not drive the terminal");
        }
    }
    fails(["verify".as_ref(), arg(&odd.join("no such file"))], "cannot open");
}

#[test]
fn the_next_commands_can_be_pasted() {
    let dir = temp();
    let mut log = small_log();
    let middle = log.files[0].bytes.len() / 2;
    log.files[0].bytes[middle] ^= 1;
    for name in [&b"l\xff'g\n"[..], b"$(exit 9); it's \\ *", b"-n", "\u{202e}".as_bytes()] {
        let odd = dir.path().join(std::ffi::OsStr::from_bytes(name));
        if std::fs::create_dir(&odd).is_err() {
            println!("not tried: the file system does not want such a name");
            continue;
        }
        let file = [name, b".wal"].concat();
        std::fs::write(odd.join(std::ffi::OsStr::from_bytes(&file)), &log.files[0].bytes).expect("a file");
        let said = Answer::of(
            walmedic()
                .current_dir(dir.path())
                .arg("verify")
                .arg("--")
                .arg(odd.file_name().expect("named"))
                .output()
                .expect("it runs"),
        );
        assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
        let commands = said.stdout.split("Next:").nth(1).expect("something to do next").lines();
        let commands =
            commands.map(str::trim).filter(|l| l.starts_with("walmedic dump") || l.starts_with("cp "));
        for command in commands {
            let line = format!("set -e; walmedic() {{ \"$BIN\" \"$@\"; }}; {command}");
            let ran = Command::new("bash")
                .args(["-c", &line])
                .env("BIN", assert_cmd::cargo::cargo_bin("walmedic"))
                .current_dir(dir.path())
                .output();
            let Ok(ran) = ran else {
                println!("not tried: there is no bash");
                return;
            };
            assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        }
        let copy = dir.path().join(std::ffi::OsStr::from_bytes(&[name, b".evidence"].concat()));
        assert!(copy.is_dir(), "{}", said.stdout);
    }
}

// ---- sizes --------------------------------------------------------------------------------------------------------

#[test]
fn a_hole_of_a_terabyte_is_stepped_over() {
    let (_dir, log) = stored(&small_log());
    let file = std::fs::OpenOptions::new().append(true).open(log.join("000001.wal")).expect("open");
    if file.set_len(1 << 40).is_err() {
        println!("not tried: the file system has no files of a terabyte");
        return;
    }
    let start = Instant::now();
    for command in ["verify", "gaps"] {
        let answer = run([command.as_ref(), "--format".as_ref(), "json".as_ref(), arg(&log)]);
        assert!(answer.code <= 1, "{}", answer.stderr);
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn lengths_of_four_gigabytes_need_no_memory() {
    for field in [0, 2, 3] {
        for value in [u32::MAX, i32::MAX as u32, 0x8000_0000, 0xffff_fff0] {
            let mut log = small_log();
            let damage = common::damage::Damage::Field { record: 1, field, value: u64::from(value) };
            damage.apply(&mut log.files[0], &mut Random::new(1));
            let (_dir, path) = stored(&log);
            for command in READERS {
                let answer = limited("ulimit -v 400000", &[command.as_ref(), arg(&path)]);
                assert!(answer.code <= 1, "{command}, field {field} {value:#x}: {}", answer.stderr);
            }
        }
    }
}

#[test]
fn five_thousand_files_need_few_open_at_once() {
    let mut writer = Writer::new(Revision::V2, 1);
    (0..5000).for_each(|i| writer.put("key", &i.to_string()));
    let (_dir, path) = stored(&writer.finish());
    for command in READERS {
        let answer = limited("ulimit -n 400", &[command.as_ref(), arg(&path)]);
        assert_eq!(answer.code, 0, "{command}: {}", answer.stderr);
    }
}

/// Runs it with less of something than usual.
fn limited(limit: &str, args: &[&std::ffi::OsStr]) -> Answer {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
        .arg(assert_cmd::cargo::cargo_bin("walmedic"));
    Answer::of(command.args(args).env_clear().stdin(Stdio::null()).output().expect("a shell"))
}

#[test]
fn a_log_that_is_written_meanwhile_is_read_as_far_as_it_goes() {
    let mut writer = Writer::new(Revision::V2, 1 << 30);
    (0..20_000).for_each(|i| writer.put("key", &format!("value {i}")));
    let log = writer.finish();
    let (_dir, path) = stored(&log);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = std::fs::OpenOptions::new().write(true).open(path.join("000001.wal")).expect("open");
            let whole = log.files[0].bytes.len() as u64;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for part in [whole / 3, whole, whole + 7] {
                    file.set_len(part).expect("resized");
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        });
        for round in 0..30 {
            let answer = run([READERS[round % 3].as_ref(), arg(&path)]);
            assert!([0, 1, 3].contains(&answer.code), "{} {}", answer.code, answer.stderr);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

// ---- arguments ----------------------------------------------------------------------------------------------------

#[test]
fn contradicting_and_unknown_arguments() {
    let (_dir, log) = stored(&small_log());
    let log = log.to_str().expect("text");
    misused(["verify"], "required");
    misused(["verify", "-q", "-v", log], "cannot be used with");
    misused(["verify", "--as", "no-such-format", log], "ddia-wal");
    misused(["verify", "--format", "xml", log], "possible values");
    misused(["verify", "-j", "0", log], "0");
    misused(["verify", "--allow", "everything", log], "torn-tail");
    misused(["dump", "--hex", "--format", "json", log], "cannot be used with");
    misused(["dump", "--seq", "9..x", log], "9..x");
    misused(["no-such-command"], "no-such-command");
    misused(["completions", "cmd.exe"], "possible values");
    fails(["verify", "--revision", "v9", log], "v1, v2");
}

#[test]
fn help_is_there_for_every_command() {
    let answer = run(["--help"]);
    assert_eq!(answer.code, 0);
    let listed = answer.stdout.lines().skip_while(|l| *l != "Commands:").skip(1);
    let commands: Vec<_> =
        listed.take_while(|l| !l.is_empty()).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands.into_iter().filter(|c| *c != "help") {
        for help in ["-h", "--help"] {
            let answer = run([command, help]);
            assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{command}");
            assert!(answer.stdout.contains("Usage: walmedic"), "{command}");
        }
    }
    assert_eq!(run(["--version"]).stdout, format!("walmedic {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_and_the_manual_page_are_the_ones_stored() {
    let bless = std::env::var_os("BLESS").is_some_and(|v| v == "1");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let stored = [
        (&["completions", "bash"][..], "walmedic.bash"),
        (&["completions", "zsh"], "_walmedic"),
        (&["completions", "fish"], "walmedic.fish"),
        (&["completions", "powershell"], "_walmedic.ps1"),
        (&["man"], "walmedic.1"),
    ];
    for (args, name) in stored {
        let answer = run(args);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let path = folder.join(name);
        if bless {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, &answer.stdout).expect("a file");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == answer.stdout,
            "completions/{name} is not what `walmedic {}` prints; BLESS=1 writes it",
            args.join(" ")
        );
    }
    assert_eq!(run(["completions", "elvish"]).code, 0);
}

#[test]
fn threads_do_not_change_a_byte() {
    for case in ["crc-in-the-middle", "several-spots", "file-copied"] {
        let path = fixture(case);
        for command in READERS {
            for format in ["text", "json", "ndjson", "csv"] {
                let with = |threads: &str| {
                    let args = [command.as_ref(), "-j".as_ref(), threads.as_ref(), "--format".as_ref()];
                    run(args.into_iter().chain([format.as_ref(), arg(&path)])).stdout
                };
                assert_eq!(with("1"), with("8"), "{case} {command} {format}");
            }
        }
    }
}

/// The same of one long file, which two threads read: one log behind the other, each with the damage of the fixture.
#[test]
fn nor_does_reading_ahead() {
    let logs =
        [("ddia-wal/several-spots", "000001.wal", 1), ("leveldb/bytes-inserted", "000004.log", 1 << 15)];
    for (case, name, block) in logs {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(case).join("input").join(name);
        let mut part = std::fs::read(path).expect("a log");
        part.resize(part.len().next_multiple_of(block), 0);
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(name);
        std::fs::write(&path, part.repeat((9 << 20) / part.len() + 1)).expect("a long log");
        let with =
            |threads: &str| run(["verify", "-j", threads, "--format", "json", path.to_str().expect("text")]);
        let (one, two) = (with("1"), with("2"));
        assert!(one.code == 1 && one.stdout.contains("\"WM-"), "{case}: {}", one.stderr);
        assert_eq!((one.code, one.stdout), (two.code, two.stdout), "{case}");
    }
}

// ---- standard input and output ------------------------------------------------------------------------------------

fn fed(args: &[&str], input: &[u8]) -> Answer {
    let mut child = walmedic();
    child.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(input).ok();
    Answer::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn standard_input_is_one_file() {
    let log = small_log();
    let bytes = &log.files[0].bytes;
    for command in READERS {
        assert_eq!(fed(&[command, "-", "--stdin-name", "000001.wal"], bytes).code, 0);
        assert_eq!(fed(&[command, "-", "--as", "ddia-wal"], bytes).code, 0);
    }
    let nameless = fed(&["verify", "-"], bytes);
    assert_eq!(nameless.code, 2);
    assert!(nameless.stderr.contains("--stdin-name"), "{}", nameless.stderr);
    let cut = fed(&["verify", "-", "--stdin-name", "000001.wal"], &bytes[..bytes.len() - 3]);
    assert_eq!(cut.code, 1);
    // More than is kept in memory.
    let mut writer = Writer::new(Revision::V2, 1 << 30);
    let value = "x".repeat(100_000);
    (0..100).for_each(|_| writer.put("key", &value));
    let long = writer.finish();
    let answer =
        fed(&["verify", "-", "--stdin-name", "000001.wal", "--format", "json"], &long.files[0].bytes);
    assert_eq!(
        (answer.code, answer.json()["logs"][0]["files"][0]["records"]["intact"].as_u64()),
        (0, Some(100))
    );
}

#[test]
fn a_reader_that_has_seen_enough_changes_no_verdict() {
    let mut writer = Writer::new(Revision::V2, 1 << 30);
    (0..30_000).for_each(|i| writer.put("key", &format!("value {i}")));
    let (_dir, clean) = stored(&writer.finish());
    for (path, code) in [(clean, 0), (fixture("crc-in-the-middle"), 1)] {
        for args in [
            &["dump"][..],
            &["dump", "--format", "ndjson"],
            &["verify"],
            &["verify", "--format", "json"],
            &["gaps"],
            &["replay"],
            &["replay", "--format", "ndjson"],
            &["replay", "--history", "*"],
        ] {
            let mut child = walmedic();
            child.args(args).arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = child.spawn().expect("it runs");
            drop(child.stdout.take());
            let answer = Answer::of(child.wait_with_output().expect("it ends"));
            let gaps_or_dump = args[0] != "verify";
            assert!(
                answer.code == code || (gaps_or_dump && answer.code == 0),
                "{args:?}: {} {}",
                answer.code,
                answer.stderr
            );
            assert_eq!(answer.stderr, "", "{args:?}");
        }
    }
}

#[test]
fn colour_is_never_forced_on_a_pipe_unless_it_is_asked_for() {
    let path = fixture("crc-in-the-middle");
    let coloured = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = walmedic();
        command.arg("verify").args(args).arg(&path).envs(env.iter().copied());
        let answer = Answer::of(command.output().expect("it runs"));
        assert_eq!(answer.code, 1);
        answer.stdout.contains('\x1b')
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&["--color", "always"], &[]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]), "the flag wins");
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
    for format in ["json", "ndjson", "csv"] {
        assert!(!coloured(&["--color", "always", "--format", format], &[]), "{format} is for machines");
    }
}

#[test]
fn progress_stays_off_a_pipe() {
    let answer = run(["verify".as_ref(), arg(&fixture("clean"))]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}

// ---- verdicts -----------------------------------------------------------------------------------------------------

#[test]
fn detailed_exit_codes_name_the_worst() {
    let cases = [
        ("clean", 0),
        ("torn-in-value", 10),
        ("orphan-then-single-writes", 11),
        ("middle-file-missing", 12),
        ("record-removed", 12),
        ("crc-in-the-middle", 13),
        ("only-garbage-behind", 14),
    ];
    for (case, detailed) in cases {
        let path = fixture(case);
        assert_eq!(run(["verify".as_ref(), arg(&path)]).code, i32::from(detailed > 0), "{case}");
        assert_eq!(
            run(["verify".as_ref(), "--detailed-exitcode".as_ref(), arg(&path)]).code,
            detailed,
            "{case}"
        );
    }
    let (torn, bad) = (fixture("torn-in-value"), fixture("crc-in-the-middle"));
    assert_eq!(run(["verify".as_ref(), "--detailed-exitcode".as_ref(), arg(&torn), arg(&bad)]).code, 13);
}

#[test]
fn allowed_classes_are_notes() {
    let code = |case: &str, allow: &str| {
        run(["verify".as_ref(), "--allow".as_ref(), allow.as_ref(), arg(&fixture(case))]).code
    };
    assert_eq!(code("torn-in-value", "torn-tail"), 0);
    assert_eq!(code("torn-in-value", "orphan"), 1);
    assert_eq!(code("torn-batch", "torn-tail"), 1);
    assert_eq!(code("torn-batch", "torn-tail,orphan"), 0);
    assert_eq!(code("middle-file-missing", "gap"), 0);
    assert_eq!(code("crc-in-the-middle", "corruption"), 1);
    assert_eq!(code("crc-in-the-middle", "corruption,gap,orphan"), 0);
    let answer = run([
        "verify".as_ref(),
        "--allow".as_ref(),
        "torn-tail".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        arg(&fixture("torn-in-value")),
    ]);
    assert_eq!(answer.json()["status"], "clean");
    assert!(answer.stdout.contains("WM-101"), "it is still said");
}

#[test]
fn every_code_is_explained() {
    for code in walmedic::log::finding::Code::ALL {
        let answer = run(["explain", code.text()]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{}", code.text());
        assert!(answer.stdout.contains(code.text()), "{}", code.text());
    }
    fails(["explain", "WM-000"], "WM-000");
}

// ---- evidence -----------------------------------------------------------------------------------------------------

/// Name, size, time and bytes of everything in a directory.
fn snapshot(dir: &Path) -> Vec<(PathBuf, std::time::SystemTime, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let meta = std::fs::metadata(&path).expect("there");
            let bytes = std::fs::read(&path).unwrap_or_default();
            (path, meta.modified().expect("a time"), bytes)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_input_is_left_as_it_was_with_nothing_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for format in walmedic::format::ALL {
        for case in std::fs::read_dir(root.join(format.profile().name)).expect("fixtures") {
            let dir = temp();
            let log = dir.path().join("log");
            std::fs::create_dir(&log).expect("a folder");
            for (path, _, bytes) in snapshot(&case.expect("a case").path().join("input")) {
                std::fs::write(log.join(path.file_name().expect("a name")), bytes).expect("a copy");
            }
            std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o555)).expect("mode");
            let (before, beside) = (snapshot(&log), snapshot(dir.path()).len());
            for command in READERS {
                for map in [false, true] {
                    let mut args = vec![command.as_ref(), arg(&log)];
                    args.extend(map.then_some(std::ffi::OsStr::new("--map")));
                    let answer = run(args);
                    assert!(answer.code <= 1, "{command} {}: {}", log.display(), answer.stderr);
                }
            }
            assert!(snapshot(&log) == before, "{}: changed", log.display());
            assert_eq!(snapshot(dir.path()).len(), beside, "something appeared beside the log");
            std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o755)).expect("mode");
        }
    }
}
