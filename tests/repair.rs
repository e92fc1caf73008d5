//! `repair`, `truncate` and `undo` from outside, on copies of the fixtures: what a plan says is what is done and nothing
//! else, the copy verifies clean and holds the committed state, the original is untouched or comes back byte for byte, and
//! whatever is refused leaves nothing behind.

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::run::{Answer, Case, contents, run, run_on, walmedic};
use serde_json::Value;

/// Formats that can be repaired.
const FORMATS: [&str; 5] = ["ddia-wal", "ddia-lsm", "bitcask-hash", "bitcask-log", "ddia-btree"];
/// Several files of it change.
const SEVERAL: &str = "ddia-wal/several-spots";
/// One file of it is rewritten.
const ONE: &str = "ddia-wal/garbage-inserted";
/// One file of it is cut.
const TORN: &str = "ddia-wal/torn-in-value";
/// First-revision logs whose writes behind the last COMMIT nothing decides.
const UNDECIDED: [&str; 2] = ["ddia-wal/clean-v1", "ddia-wal/undecided-tail-v1"];
/// Numbers start again, and only `--renumber` makes the engine read what follows.
const RESET: &str = "ddia-wal/numbers-start-again";
/// Its names are put into an order that the engine reads, sound as its records are.
const MISNAMED: &str = "ddia-wal/foreign-names";

fn all() -> Vec<Case> {
    let cases = Case::all(&FORMATS);
    assert!(cases.len() > 60, "only {} cases", cases.len());
    cases
}

/// The record that an in-place change names.
fn record(answer: &Answer) -> PathBuf {
    let told = answer.stderr.split("walmedic undo ").nth(1);
    PathBuf::from(told.unwrap_or_else(|| panic!("no record in {answer:?}")).trim())
}

fn left_overs(dir: &Path) -> Vec<String> {
    let names = contents(dir).into_keys().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.contains(".walmedic-")).collect()
}

#[test]
fn a_plan_writes_nothing() {
    for case in all() {
        let (dir, log) = case.copied();
        let before = contents(dir.path());
        let plan = case.run("repair", &log, "--format json");
        let changes = plan.json()["changes"] == true;
        // Where nothing can be done without --renumber, findings stay.
        let reset = case.name == RESET && plan.json()["options"]["renumber"] == false;
        let stays = if reset { 1 } else { 0 };
        assert_eq!(plan.code, if changes { 4 } else { stays }, "{}", case.name);
        assert_eq!(case.run("repair", &log, "").code, plan.code, "{}", case.name);
        assert!(changes || reset || case.is_clean(&log), "{}: findings, and nothing to change", case.name);
        case.run("truncate", &log, "--at-damage");
        assert_eq!(contents(dir.path()), before, "{}", case.name);
    }
}

#[test]
fn copies_verify_clean_and_hold_what_was_committed() {
    for case in all() {
        let name = &case.name;
        let (dir, log) = case.copied();
        let (before, out) = (contents(&log), dir.path().join("out"));
        let more = format!("--apply --output {}", out.display());
        let more = if *name == RESET { format!("--renumber {more}") } else { more };
        let answer = case.run("repair", &log, &more);
        assert!(matches!(answer.code, 0 | 1) && answer.stderr.is_empty(), "{name}: {answer:?}");
        assert_eq!(contents(&log), before, "{name}: the input was changed");
        assert_eq!(left_overs(dir.path()), [""; 0], "{name}");
        case.run("verify", &out, "").exits(0);
        assert_eq!(case.state(&out, "engine"), case.state(&log, "committed"), "{name}");
        let again = case.run("repair", &out, "--format json").exits(0);
        assert_eq!(again.json()["changes"], false, "{name}: not repaired for good");
        case.run("repair", &log, &more).declines(4, "exists already");
        assert_eq!(contents(&log), before, "{name}: the input was changed");
    }
}

#[test]
fn sound_logs_are_left_alone() {
    let mut sound = 0;
    for case in all() {
        let (dir, log) = case.copied();
        if !case.is_clean(&log) || case.name == MISNAMED {
            continue;
        }
        // A tree that waits for its log is brought up to it, though the engine would do so, too.
        let told = case.run("verify", &log, "--format json").json();
        if case.format == "ddia-btree"
            && told["logs"][0]["findings"].as_array().is_some_and(|f| !f.is_empty())
        {
            continue;
        }
        sound += 1;
        let before = contents(dir.path());
        let plan = case.run("repair", &log, "--undecided keep --format json").exits(0).json();
        assert_eq!(plan["changes"], false, "{}: {plan}", case.name);
        case.run("repair", &log, "--undecided keep --in-place --apply").exits(0);
        case.run("repair", &log, "--strategy tail --in-place --apply").exits(0);
        case.run("truncate", &log, "--at-damage --in-place --apply").exits(0);
        assert_eq!(contents(dir.path()), before, "{}", case.name);
        let code = case.run("repair", &log, "").code;
        assert_eq!(code == 4, UNDECIDED.contains(&case.name.as_str()), "{}", case.name);
    }
    assert!(sound >= 7, "only {sound} sound logs");
}

#[test]
fn undecided_writes_are_the_users_choice() {
    let differs = UNDECIDED.map(Case::named).map(|case| {
        let (dir, log) = case.copied();
        for undecided in ["keep", "drop"] {
            let out = dir.path().join(undecided);
            let how = format!("--undecided {undecided} --apply --output {}", out.display());
            assert!(matches!(case.run("repair", &log, &how).code, 0 | 1));
            let replayed = case.run("replay", &log, &format!("--undecided {undecided} --format json")).json();
            assert_eq!(case.state(&out, "engine"), Some(replayed["state_sha256"].to_string()), "{undecided}");
        }
        let states = ["keep", "drop"].map(|undecided| case.state(&dir.path().join(undecided), "engine"));
        states[0] != states[1]
    });
    assert!(differs.contains(&true), "the choice makes no difference");
}

#[test]
fn numbers_that_start_again_go_on_once_renumbered() {
    let case = Case::named(RESET);
    let (dir, log) = case.copied();
    let (same, renumbered) = (dir.path().join("same"), dir.path().join("renumbered"));
    case.run("repair", &log, &format!("--apply --output {}", same.display())).exits(1);
    let how = format!("--renumber --apply --output {}", renumbered.display());
    case.run("repair", &log, &how).exits(0);
    assert_ne!(case.state(&same, "engine"), case.state(&log, "committed"));
    assert_eq!(case.state(&renumbered, "engine"), case.state(&log, "committed"));
    assert!(case.is_clean(&renumbered));
}

#[test]
fn the_tail_strategy_only_cuts_a_torn_end() {
    for case in all() {
        let (dir, log) = case.copied();
        let before = contents(&log);
        let plan = case.run("repair", &log, "--strategy tail --format json").json();
        let files = plan["files"].as_array().expect("files");
        let cut: Vec<&Value> = files.iter().filter(|f| f["action"] == "cut").collect();
        assert!(files.iter().all(|f| matches!(f["action"].as_str(), Some("keep" | "cut" | "remove"))));
        assert!(cut.len() <= 1, "{}: {plan}", case.name);
        let out = dir.path().join("out");
        case.run("repair", &log, &format!("--strategy tail --apply --output {}", out.display()));
        for (name, bytes) in contents(&out) {
            assert!(before[&name].starts_with(&bytes), "{}: {}", case.name, name.display());
        }
        if case.name.contains("torn-in-") {
            assert_eq!(cut.len(), 1, "{}: {plan}", case.name);
            assert!(case.is_clean(&out), "{}", case.name);
        }
    }
}

#[test]
fn a_plan_in_a_file_is_carried_out_only_while_it_fits() {
    let case = Case::named(ONE);
    let (dir, log) = case.copied();
    let plan = dir.path().join("plan.json");
    fs::write(&plan, case.run("repair", &log, "--format json").exits(4).stdout).expect("a plan");
    let planned = |more: &str, out: &str| {
        let to = dir.path().join(out);
        case.run(
            "repair",
            &log,
            &format!("{more} --apply --plan {} --output {}", plan.display(), to.display()),
        )
    };
    planned("--strategy engine", "a").declines(4, "does not fit any more");
    planned("--undecided keep", "a").declines(4, "its options would be another now");
    let cut = format!("--at-damage --apply --plan {} --in-place", plan.display());
    case.run("truncate", &log, &cut).declines(4, "its command would be another now");
    let file = log.join("000001.wal");
    let whole = fs::read(&file).expect("a file of the log");
    let mut changed = whole.clone();
    changed[60] ^= 1;
    fs::write(&file, &changed).expect("written");
    planned("", "a").declines(4, "000001.wal is not what it was");
    fs::write(&file, &whole).expect("written");
    let before = contents(&log);
    planned("", "good").exits(1);
    assert!(case.is_clean(&dir.path().join("good")));
    for garbage in
        ["", "garbage", "{}", "[]", "null", "{\"schema\":\"walmedic.plan/1\",\"files\":7}", "\u{0}"]
    {
        fs::write(&plan, garbage).expect("written");
        let answer = planned("", "a");
        assert!(matches!(answer.code, 2 | 4), "{garbage}: {answer:?}");
        assert!(answer.stderr.matches('\n').count() == 1 && answer.stdout.is_empty(), "{answer:?}");
        assert!(answer.code == 2 || serde_json::from_str::<Value>(garbage).is_ok(), "{garbage}: {answer:?}");
    }
    fs::write(&plan, [0xff, 0xfe]).expect("written");
    assert_eq!(planned("", "a").code, 2);
    fs::remove_file(&plan).expect("removed");
    planned("", "a").declines(2, "plan.json");
    assert!(!dir.path().join("a").exists());
    assert_eq!(contents(&log), before);
}

#[test]
fn in_place_changes_come_back_byte_for_byte() {
    let mut undone = 0;
    for case in all() {
        for deed in ["repair", "truncate"] {
            let name = &case.name;
            let (dir, log) = case.copied();
            let (before, committed) = (contents(&log), case.state(&log, "committed"));
            let how = match deed {
                "repair" if *name == RESET => "--renumber --in-place --apply",
                "repair" => "--in-place --apply",
                _ => "--at-damage --in-place --apply",
            };
            let answer = case.run(deed, &log, how);
            assert!(matches!(answer.code, 0 | 1 | 4), "{name}: {answer:?}");
            if !answer.stderr.contains("walmedic undo") {
                assert_eq!(contents(&log), before, "{name}: {answer:?}");
                assert_eq!(contents(dir.path()).len(), before.len() + 1, "{name}: something was left behind");
                continue;
            }
            let changed = contents(&log);
            assert_ne!(changed, before, "{name}");
            if deed == "repair" {
                assert!(case.is_clean(&log), "{name}");
                assert_eq!(case.state(&log, "engine"), committed, "{name}");
                assert_eq!(case.run("repair", &log, "").code, 0, "{name}");
            }
            let record = record(&answer);
            let elsewhere = contents(&log).keys().filter(|n| n.to_string_lossy().contains("undo")).count();
            assert!(elsewhere == 0 && !record.starts_with(&log), "{name}: the backup lies in the log");
            run_on("undo", &record, "").exits(0);
            assert_eq!(contents(&log), before, "{name} {deed}: not what it was");
            let kept = contents(dir.path());
            let again = run_on("undo", &record, "").exits(0);
            assert!(again.stderr.contains("nothing to undo"), "{name}: {again:?}");
            run_on("undo", record.parent().expect("a folder"), "").exits(0);
            assert_eq!(contents(dir.path()), kept, "{name} {deed}: a second undo changed something");
            undone += 1;
        }
    }
    assert!(undone > 60, "only {undone} changes undone");
}

/// The three ways to change a log in place, each with the file that another program then changes.
fn changed_in_place() -> Vec<(Case, tempfile::TempDir, PathBuf, PathBuf)> {
    let changed = [TORN, ONE, SEVERAL].map(Case::named).map(|case| {
        let (dir, log) = case.copied();
        let record = record(&case.run("repair", &log, "--in-place --apply"));
        (case, dir, log, record)
    });
    changed.into()
}

#[test]
fn undo_never_goes_over_what_somebody_wrote() {
    for (case, dir, log, record) in changed_in_place() {
        let left = contents(&log);
        for (name, bytes) in &left {
            let told: Value = serde_json::from_slice(&fs::read(&record).expect("read")).expect("a record");
            let files = told["files"].as_array().expect("files");
            if !files.iter().any(|f| f["to"].as_str().is_some_and(|to| name == to)) {
                continue;
            }
            let path = log.join(name);
            let mut longer = bytes.clone();
            longer.extend(b"more");
            let mut other = bytes.clone();
            if let Some(byte) = other.first_mut() {
                *byte ^= 1;
            }
            for somebodys in [longer, other] {
                if somebodys == *bytes {
                    continue;
                }
                fs::write(&path, &somebodys).expect("written");
                let before = contents(dir.path());
                run_on("undo", &record, "").declines(4, "no longer what");
                assert_eq!(contents(dir.path()), before, "{}: {}", case.name, name.display());
            }
            fs::remove_file(&path).expect("removed");
            let before = contents(dir.path());
            let answer = run_on("undo", &record, "");
            assert!(matches!(answer.code, 2 | 4), "{}: {answer:?}", case.name);
            assert_eq!(contents(dir.path()), before, "{}: {}", case.name, name.display());
            fs::write(&path, bytes).expect("written");
        }
        run_on("undo", &record, "").exits(0);
        assert_eq!(contents(&log), contents(&case.input), "{}", case.name);
    }
}

#[test]
fn undo_records_that_reach_outside_are_refused() {
    for (case, dir, _, record) in changed_in_place() {
        let good: Value = serde_json::from_slice(&fs::read(&record).expect("read")).expect("a record");
        let before = contents(dir.path());
        let wrong = ["../x", "/etc/x", "a/b", "..", ".", "", "log/../../x"];
        let fields = ["name", "to", "backup"].iter().flat_map(|f| wrong.iter().map(move |w| (*f, *w)));
        for (field, path) in fields {
            let mut bad = good.clone();
            bad["files"][0][field] = path.into();
            fs::write(&record, bad.to_string()).expect("written");
            let answer = run_on("undo", &record, "");
            answer.declines(2, "names files outside of the log and the backup");
        }
        for (field, value) in
            [("schema", "walmedic.undo/9"), ("path_hex", "zz"), ("path_hex", ""), ("how", "x")]
        {
            let mut bad = good.clone();
            bad[field] = value.into();
            fs::write(&record, bad.to_string()).expect("written");
            assert_eq!(run_on("undo", &record, "").code, 2, "{}: {field} {value}", case.name);
        }
        let mut twice = good.clone();
        let file = twice["files"][0].clone();
        twice["files"] = vec![file; 2].into();
        twice["how"] = "cut".into();
        fs::write(&record, twice.to_string()).expect("written");
        assert_eq!(run_on("undo", &record, "").code, 2, "{}", case.name);
        for garbage in ["", "{}", "[1]", "\u{7}"] {
            fs::write(&record, garbage).expect("written");
            assert_eq!(run_on("undo", &record, "").code, 2, "{}: {garbage}", case.name);
        }
        fs::write(&record, good.to_string()).expect("written");
        assert_eq!(contents(dir.path()).len(), before.len());
        run_on("undo", &record, "").exits(0);
    }
    run(["undo", "/nowhere/at/all"]).declines(2, "/nowhere/at/all");
}

#[test]
fn links_are_not_followed_in_place() {
    let case = Case::named(ONE);
    let (dir, log) = case.copied();
    let linked = dir.path().join("linked");
    fs::create_dir(&linked).expect("a directory");
    std::os::unix::fs::symlink(log.join("000001.wal"), linked.join("000001.wal")).expect("a link");
    let before = contents(dir.path());
    case.run("repair", &linked, "--in-place --apply").declines(4, "is a link");
    case.run("repair", &linked.join("000001.wal"), "--in-place --apply").declines(4, "is a link");
    assert_eq!(contents(dir.path()), before);
    // A link to the directory is one to a log: what it leads to is changed, and the link stays.
    let way = dir.path().join("way");
    std::os::unix::fs::symlink(&log, &way).expect("a link");
    let record = record(&case.run("repair", &way, "--in-place --apply"));
    assert!(way.is_symlink() && case.is_clean(&log));
    run_on("undo", &record, "").exits(0);
    assert_eq!(contents(&log), contents(&case.input));
}

#[test]
fn a_directory_that_holds_another_is_not_swapped() {
    let case = Case::named(SEVERAL);
    let (dir, log) = case.copied();
    fs::create_dir(log.join("archive")).expect("a directory");
    let before = contents(dir.path());
    case.run("repair", &log, "--in-place --apply").declines(4, "use --output");
    assert_eq!(contents(dir.path()), before);
    // One file is swapped without its directory.
    let case = Case::named(ONE);
    let (_dir, log) = case.copied();
    fs::create_dir(log.join("archive")).expect("a directory");
    let record = record(&case.run("repair", &log, "--in-place --apply").exits(1));
    run_on("undo", &record, "").exits(0);
}

/// Another program's files in the directory of the log stay what they are, and what they are linked with.
#[test]
fn strange_files_beside_the_log_stay() {
    for name in [TORN, ONE, SEVERAL] {
        let case = Case::named(name);
        let (dir, log) = case.copied();
        fs::write(log.join("LOCK"), b"7").expect("written");
        fs::write(dir.path().join("log/\u{e9} notes"), b"text").expect("written");
        fs::write(log.join(std::ffi::OsStr::from_bytes(b"caf\xe9.txt")), b"latin").expect("written");
        let before = contents(&log);
        let record = record(&case.run("repair", &log, "--in-place --apply"));
        for strange in ["LOCK".as_ref(), std::ffi::OsStr::from_bytes(b"caf\xe9.txt")] {
            assert_eq!(contents(&log).get(strange), before.get(strange), "{name}");
        }
        run_on("undo", &record, "").exits(0);
        assert_eq!(contents(&log), before, "{name}");
        assert_eq!(
            contents(dir.path()).keys().filter(|n| n.as_bytes().ends_with(b"LOCK")).count(),
            1,
            "{name}"
        );
    }
}

#[test]
fn a_writer_is_named_and_refused() {
    for name in [TORN, ONE, SEVERAL] {
        let case = Case::named(name);
        let (dir, log) = case.copied();
        let before = contents(dir.path());
        let mut writer = Command::new("sh");
        writer.args(["-c", "exec 9>>\"$1\"; echo; read _", "sh"]).arg(log.join("000001.wal"));
        let mut writer = writer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        std::io::Read::read_exact(writer.stdout.as_mut().expect("piped"), &mut [0]).expect("a line");
        let answer = case.run("repair", &log, "--in-place --apply");
        let cut = case.run("truncate", &log, "--last-commit --in-place --apply");
        writer.kill().expect("killed");
        let pid = writer.id();
        writer.wait().expect("ended");
        answer.declines(4, &format!("process {pid} (sh) has it open for writing"));
        assert!(cut.code == 4 && cut.stderr.contains(&format!("process {pid}")), "{cut:?}");
        assert_eq!(contents(dir.path()), before);
        case.run("repair", &log, "--in-place --apply").stderr.find("walmedic undo").expect("done");
    }
}

#[test]
fn targets_that_cannot_be_are_named() {
    let case = Case::named(ONE);
    let (dir, log) = case.copied();
    let before = contents(dir.path());
    case.run("repair", &log, "--apply").declines(2, "--output DIR");
    case.run("repair", &log, "--apply --output /nowhere/at/all").declines(2, "/nowhere/at");
    case.run("repair", &log, "--apply --output /proc/copy").declines(2, "/proc");
    let inside = log.join("000001.wal/copy");
    case.run("repair", &log, &format!("--apply --output {}", inside.display())).declines(4, "in the log");
    for more in ["--apply --output", "--apply --in-place --backup"] {
        let inside = log.join("copy");
        case.run("repair", &log, &format!("{more} {}", inside.display())).declines(4, "in the log");
    }
    case.run("repair", &log, &format!("--apply --output {}", log.display())).declines(4, "exists already");
    let dangling = dir.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).expect("a link");
    let over = format!("--apply --output {}", dangling.display());
    case.run("repair", &log, &over).declines(4, "exists already");
    fs::remove_file(&dangling).expect("removed");
    case.run("repair", &log, "--apply --in-place --backup /proc/backup").declines(2, "/proc/backup");
    let exists = format!("--apply --in-place --backup {}", log.display());
    case.run("repair", &log, &exists).declines(4, "exists already");
    case.run("repair", &log, "--apply --in-place --output x").exits(2);
    case.run("repair", &log, "--backup x").exits(2);
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn an_undo_puts_back_only_what_was_saved() {
    for name in [TORN, ONE, SEVERAL] {
        let case = Case::named(name);
        let (dir, log) = case.copied();
        let record = record(&case.run("repair", &log, "--apply --in-place"));
        let changed = contents(&log);
        let originals = record.with_file_name("log");
        let saved = contents(&originals).into_keys().next().expect("an original");
        let mut bytes = fs::read(originals.join(&saved)).expect("read");
        bytes[0] ^= 1;
        fs::write(originals.join(&saved), &bytes).expect("written");
        for _ in 0..2 {
            run_on("undo", &record, "").declines(4, "not what was saved");
            assert_eq!(contents(&log), changed, "{name}");
        }
        bytes[0] ^= 1;
        fs::write(originals.join(&saved), &bytes).expect("written");
        run_on("undo", &record, "").exits(0);
        assert_eq!(contents(&log), contents(&case.input), "{name}");
        drop(dir);
    }
}

#[test]
fn an_empty_log_is_copied_as_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (log, out) = (dir.path().join("log"), dir.path().join("out"));
    fs::create_dir(&log).expect("made");
    for format in ["ddia-wal", "ddia-lsm", "bitcask-hash", "bitcask-log"] {
        fs::remove_dir(&out).ok();
        let more = format!("--as {format} --apply --output {}", out.display());
        run_on("repair", &log, &more).exits(0);
        assert!(out.is_dir() && contents(&out).is_empty());
        run_on("repair", &log, &format!("--as {format} --apply --in-place")).exits(0);
        run_on("truncate", &log, &format!("--as {format} --at-damage --apply --in-place")).exits(0);
    }
}

#[test]
fn nobody_is_left_standing_in_a_backup() {
    let case = Case::named(SEVERAL);
    let (dir, log) = case.copied();
    let before = contents(dir.path());
    let mut command = walmedic();
    command.args(["repair", "--in-place", "--apply", "."]).current_dir(&log);
    Answer::of(command.output().expect("it runs")).declines(4, "stands in it");
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_cut_does_not_shorten_a_file_under_its_other_name() {
    let case = Case::named(TORN);
    let (dir, log) = case.copied();
    let name = contents(&log).into_keys().next().expect("a file");
    let snapshot = dir.path().join("snapshot");
    fs::hard_link(log.join(&name), &snapshot).expect("a link");
    let whole = fs::read(&snapshot).expect("read");
    case.run("repair", &log, "--apply --in-place").exits(0);
    assert_eq!(fs::read(&snapshot).expect("read"), whole);
    assert!(fs::read(log.join(&name)).expect("read").len() < whole.len());
}

#[test]
fn a_backup_lies_where_it_is_wanted() {
    for name in [TORN, ONE, SEVERAL] {
        let case = Case::named(name);
        let (dir, log) = case.copied();
        let backup = dir.path().join("kept here");
        let mut command = walmedic();
        command
            .args(["repair", "--in-place", "--apply", "--as", "ddia-wal", "--backup"])
            .arg(&backup)
            .arg(&log);
        let answer = Answer::of(command.output().expect("it runs"));
        assert!(backup.join("undo.json").is_file(), "{name}: {answer:?}");
        assert_eq!(left_overs(dir.path()), [""; 0], "{name}");
        run_on("undo", &backup, "").exits(0);
        assert_eq!(contents(&log), contents(&case.input), "{name}");
    }
}

/// Runs a shell script as the owner of a small file system of its own at `$1`; `None` where that cannot be had.
fn on_small_disk(mount: &str, script: &str, log: &Path) -> Option<Answer> {
    let dir = tempfile::tempdir().expect("a mount point");
    let may = |command: &mut Command| command.stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    let space = ["--user", "--map-root-user", "--mount"];
    let trial = format!("mount -t tmpfs -o {mount} tmpfs \"$1\"");
    if !may(Command::new("unshare").args(space).args(["sh", "-c", &trial, "sh"]).arg(dir.path())) {
        println!("not run: no small file system can be mounted");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(space).args(["sh", "-c", &format!("{trial} && {script}"), "sh"]);
    command.arg(dir.path()).arg(log).arg(assert_cmd::cargo::cargo_bin("walmedic"));
    Some(Answer::of(command.output().expect("unshare")))
}

/// The engine may run as somebody else, and the log may be private.
#[test]
fn owner_and_mode_stay() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    for name in [TORN, ONE, SEVERAL] {
        let case = Case::named(name);
        let (dir, log) = case.copied();
        let file = log.join("000001.wal");
        for (path, mode) in [(&file, 0o600), (&log, 0o700)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
            // Only root may; else it stays with its owner anyway.
            chown(path, Some(1234), Some(4321)).ok();
        }
        let of = |path: &Path| fs::metadata(path).map(|m| (m.uid(), m.gid(), m.mode())).expect("there");
        let before = (of(&log), of(&file));
        let out = dir.path().join("out");
        case.run("repair", &log, &format!("--apply --output {}", out.display()));
        assert_eq!(of(&out.join("000001.wal")).2, before.1.2, "{name}: the copy");
        let record = record(&case.run("repair", &log, "--in-place --apply"));
        assert_eq!((of(&log), of(&file)), before, "{name}");
        assert_eq!(of(record.parent().expect("a folder")), before.0, "{name}: the backup");
        run_on("undo", &record, "").exits(0);
        assert_eq!((of(&log), of(&file)), before, "{name}: undone");
    }
}

#[test]
fn a_full_disk_gets_nothing() {
    let case = Case::named(SEVERAL);
    let (_dir, log) = case.copied();
    // A megabyte of value behind the damage, so that the repaired file is as large.
    let mut file = fs::OpenOptions::new().append(true).open(log.join("000003.wal")).expect("opened");
    file.write_all(&common::wal::record(37, 1, b"large", &vec![b'v'; 1 << 20])).expect("written");
    let copy = "\"$3\" repair --as ddia-wal \"$2\" --apply --output \"$1/out\"; c=$?; ls -A \"$1\"; exit $c";
    if let Some(answer) = on_small_disk("size=256k", copy, &log) {
        assert!(matches!(answer.code, 2 | 4), "{answer:?}");
        assert_eq!(answer.stdout, "", "left behind");
        assert!(
            answer.stderr.starts_with("walmedic: ") && answer.stderr.matches('\n').count() == 1,
            "{answer:?}"
        );
    }
    let place = "cp -r \"$2\" \"$1/log\"; \"$3\" repair --as ddia-wal \"$1/log\" --apply --in-place; c=$?; \
                 ls -A \"$1\"; diff -r \"$2\" \"$1/log\"; exit $c";
    if let Some(answer) = on_small_disk("size=2m", place, &log) {
        assert!(matches!(answer.code, 2 | 4), "{answer:?}");
        assert_eq!(answer.stdout, "log\n", "left behind, or changed");
        assert!(answer.stderr.contains("bytes are needed there"), "{answer:?}");
    }
}

#[test]
fn a_read_only_disk_gets_nothing() {
    let case = Case::named(SEVERAL);
    let (_dir, log) = case.copied();
    let copy = "mount -o remount,ro \"$1\" && \"$3\" repair --as ddia-wal \"$2\" --apply --output \"$1/out\"";
    if let Some(answer) = on_small_disk("size=1m", copy, &log) {
        answer.declines(2, "cannot write there");
    }
    let place = "cp -r \"$2\" \"$1/log\"; mount -o remount,ro \"$1\" && \
                 \"$3\" repair --as ddia-wal \"$1/log\" --apply --in-place";
    if let Some(answer) = on_small_disk("size=1m", place, &log) {
        answer.declines(2, "cannot create the backup");
    }
    // A backup on another file system could not be swapped with the log.
    let other = "\"$3\" repair --as ddia-wal \"$2\" --apply --in-place --backup \"$1/kept\"; c=$?; ls -A \"$1\"; exit $c";
    if let Some(answer) = on_small_disk("size=1m", other, &log) {
        answer.declines(4, "another file system");
    }
    assert_eq!(contents(&log), contents(&case.input));
}

#[test]
fn names_that_are_not_utf8() {
    let odd = std::ffi::OsStr::from_bytes(b"l\xf6g");
    for name in [TORN, ONE, SEVERAL] {
        let case = Case::named(name);
        let (dir, log) = case.copied();
        let path = dir.path().join(odd);
        fs::rename(&log, &path).expect("renamed");
        let mut command = walmedic();
        command
            .args(["repair", "--apply", "--as", "ddia-wal", "--output"])
            .arg(dir.path().join(b"c\xf6py".odd()));
        let answer = Answer::of(command.arg(&path).output().expect("it runs"));
        assert!(matches!(answer.code, 0 | 1), "{answer:?}");
        assert!(case.is_clean(&dir.path().join(b"c\xf6py".odd())));
        case.run("repair", &path, "--in-place --apply");
        assert!(case.is_clean(&path), "{name}");
        let record = dir.path().join(b"l\xf6g.walmedic-1".odd());
        run_on("undo", &record, "").exits(0);
        assert_eq!(contents(&path), contents(&case.input), "{name}");
    }
    // A file of the log itself: its name could not be written into the record.
    let case = Case::named(SEVERAL);
    let (dir, log) = case.copied();
    fs::rename(log.join("000004.wal"), log.join(b"0\xf64.wal".odd())).expect("renamed");
    let before = contents(dir.path());
    case.run("repair", &log, "--in-place --apply").declines(4, "not UTF-8");
    assert_eq!(contents(dir.path()), before);
}

/// Bytes as a name.
trait Odd {
    fn odd(&self) -> &std::ffi::OsStr;
}

impl<const N: usize> Odd for [u8; N] {
    fn odd(&self) -> &std::ffi::OsStr {
        std::ffi::OsStr::from_bytes(self)
    }
}

#[test]
fn one_file_is_repaired_to_one_file() {
    let case = Case::named(ONE);
    let (dir, log) = case.copied();
    let (file, out) = (log.join("000001.wal"), dir.path().join("out.wal"));
    case.run("repair", &file, &format!("--apply --output {}", out.display())).exits(1);
    assert!(out.is_file() && case.is_clean(&out));
    let before = contents(&log);
    let named = record(&case.run("repair", &file, "--in-place --apply").exits(1));
    assert!(case.is_clean(&file));
    run_on("undo", &named, "").exits(0);
    assert_eq!(contents(&log), before);
    // A name that the engine does not read at all.
    let other = log.join("rescued.bin");
    fs::rename(&file, &other).expect("renamed");
    let answer = case.run("repair", &other, "--in-place --apply");
    assert!(matches!(answer.code, 0 | 1), "{answer:?}");
    run_on("undo", &record(&answer), "").exits(0);
    assert_eq!(contents(&log).into_values().collect::<Vec<_>>(), before.into_values().collect::<Vec<_>>());
    assert!(other.is_file());
}

#[test]
fn standard_input_is_repaired_to_a_file() {
    let case = Case::named(ONE);
    let (dir, log) = case.copied();
    let piped = |args: &[&str]| {
        let input = fs::File::open(log.join("000001.wal")).expect("opened");
        let mut command = walmedic();
        command.args(["repair", "-", "--stdin-name", "000001.wal"]).args(args).stdin(input);
        Answer::of(command.output().expect("it runs"))
    };
    let plan = piped(&[]).exits(4).stdout;
    let next = "    walmedic repair - --stdin-name 000001.wal --apply --output 000001.wal.repaired\n";
    assert!(plan.contains(next) && !plan.contains("--in-place"), "{plan}");
    let out = dir.path().join("out.wal");
    piped(&["--apply", "--output", out.to_str().expect("text")]).exits(1);
    assert!(out.is_file() && case.is_clean(&out));
    piped(&["--apply", "--in-place"]).declines(2, "standard input cannot be changed in place");
}

/// A file that cannot be opened is not taken for one that is not there.
#[test]
fn nothing_is_planned_around_a_file_that_cannot_be_opened() {
    let case = Case::named(SEVERAL);
    let (dir, log) = case.copied();
    let file = log.join("000002.wal");
    fs::remove_file(&file).expect("removed");
    std::os::unix::fs::symlink("nowhere", &file).expect("a link");
    let before = contents(dir.path());
    let out = format!("--apply --output {}", dir.path().join("out").display());
    for how in ["", "--format json", "--in-place --apply", &out] {
        let why = "without that file nothing can be planned";
        case.run("repair", &log, how).declines(4, why);
        case.run("truncate", &log, &format!("--at-damage {how}")).declines(4, why);
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_copy_says_what_else_lies_in_the_directory() {
    let case = Case::named(ONE);
    let (dir, log) = case.copied();
    let out = dir.path().join("out");
    let copy = |more: &str| {
        fs::remove_dir_all(&out).ok();
        case.run("repair", &log, &format!("--apply --output {} {more}", out.display())).exits(1)
    };
    assert!(!copy("").stdout.contains("not the") && copy("--format json").json()["not_copied"].is_null());
    for name in ["LOCK", "a.txt", "b.txt", "c.txt"] {
        fs::write(log.join(name), name).expect("written");
    }
    fs::create_dir(log.join("archive")).expect("made");
    let told = "not the 5 other entries in its directory: LOCK, a.txt, archive, …";
    assert!(copy("").stdout.contains(told));
    let plan = case.run("repair", &log, "").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plan.contains(told), "{plan}");
    let all = serde_json::json!(["LOCK", "a.txt", "archive", "b.txt", "c.txt"]);
    assert_eq!(copy("--format json").json()["not_copied"], all);
    assert_eq!(case.run("repair", &log, "--format json").json()["not_copied"], all);
    let changed = case.run("repair", &log, "--in-place --apply").stdout;
    assert!(!changed.contains("not the"), "{changed}");
}

/// Pages that are made anew are no less private than those before them, nor than the log where there were none.
#[test]
fn a_tree_made_anew_is_as_private_as_the_old_one() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::named("ddia-btree/image-flipped-r3");
    for missing in [false, true] {
        let (dir, log) = case.copied();
        for (name, _) in contents(&log) {
            fs::set_permissions(log.join(name), fs::Permissions::from_mode(0o600)).expect("a mode");
        }
        if missing {
            fs::remove_file(log.join("btree.dat")).expect("removed");
        }
        let out = dir.path().join("out");
        let answer = case.run("repair", &log, &format!("--apply --output {}", out.display()));
        let made = fs::metadata(out.join("btree.dat")).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        assert_eq!(made.permissions().mode() & 0o777, 0o600, "missing: {missing}");
        assert_eq!(contents(&out).len(), 2);
    }
}
