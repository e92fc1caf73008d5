//! `repair --strategy engine` from outside, on copies of the fixtures: the engine recovers from the result what it recovers
//! from the damaged log, the result verifies clean, and what cannot be had that way is refused.

mod common;

use common::run::Case;

/// Formats that can be repaired.
const FORMATS: [&str; 5] = ["ddia-wal", "ddia-lsm", "bitcask-hash", "bitcask-log", "ddia-btree"];
/// Its hint leads the engine to tombstones, which it serves for values: no record can hold those.
const UNWRITTEN: &str = "bitcask-log/hint-on-the-active-segment";

/// What the engine recovers is the same before and after; what it does not open, it decides nothing on.
#[test]
fn the_engine_strategy_keeps_what_the_engine_would() {
    let (mut kept, mut afresh) = (0, 0);
    for case in Case::all(&FORMATS) {
        let name = &case.name;
        let (dir, log) = case.copied();
        let out = dir.path().join("out");
        let answer =
            case.run("repair", &log, &format!("--strategy engine --apply --output {}", out.display()));
        let Some(before) = case.state(&log, "engine") else {
            answer.declines(4, "the engine does not open this log");
            assert!(!out.exists(), "{name}");
            continue;
        };
        if *name == UNWRITTEN {
            answer.declines(4, "its value is the one that deletes it");
            assert!(!out.exists(), "{name}");
            continue;
        }
        assert!(matches!(answer.code, 0 | 1), "{name}: {answer:?}");
        case.run("verify", &out, "").exits(0);
        assert_eq!(case.state(&out, "engine"), Some(before), "{name}");
        let plan = case.run("repair", &log, "--strategy engine --format json").json();
        (kept, afresh) = (kept + 1, afresh + u64::from(plan["rebuild"]["state_sha256"].is_string()));
    }
    assert!(kept > 50 && afresh > 10, "{kept} kept, {afresh} of them written anew");
}

/// A state that only zeros, a hint or a cut value explain is written as new records of the same format.
#[test]
fn what_no_record_leaves_is_written_anew() {
    for name in ["bitcask-log/zero-tail", "bitcask-hash/torn-in-value-r1"] {
        let case = Case::named(name);
        let (_dir, log) = case.copied();
        let plan = case.run("repair", &log, "--strategy engine --format json").exits(4).json();
        let replayed = case.run("replay", &log, "--policy engine --format json").json();
        assert_eq!(plan["rebuild"]["state_sha256"], replayed["state_sha256"], "{name}");
        assert_eq!(plan["engine"]["after"]["records"], replayed["entries"], "{name}");
        let text = case.run("repair", &log, "--strategy engine").stdout;
        assert!(text.contains("No choice among the records leaves what the engine holds"), "{name}: {text}");
    }
}
