//! The original engines open repaired logs and hold exactly what was committed. `WALMEDIC_ORIGINALS` names the directory that
//! they lie in; without it the test says that it was not run. They read the newest revision of each format.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::run::{Case, contents};

const ORIGINALS: &str = "WALMEDIC_ORIGINALS";
/// Where the numbers start again, repair changes them only when asked to.
const RENUMBERED: [&str; 2] = ["ddia-wal/numbers-start-again", "ddia-wal-v2/seq-reset"];

/// For every line `format directory` the hash of the state that the engine finds there.
const STATES: &str = "
import hashlib, importlib.util, sys
def engine(folder, file, name):
    path = sys.argv[1] + '/' + folder + '/' + file + '.py'
    spec = importlib.util.spec_from_file_location(folder.replace('-', '_') + '_' + file, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)
def wal(path):
    state = {}
    for record in engine('write-ahead-log', 'wal', 'WriteAheadLog')(path).replay():
        if record.op_type == 'PUT': state[record.key] = record.value
        else: state.pop(record.key, None)
    return state
def lsm(path):
    # Its range_scan fails on a table without entries, and on values that are not text.
    tree = engine('log-structured-merge-tree', 'lsm', 'LSMTree')(path)
    pairs = {}
    for table in tree._sstables: pairs.update(table.scan_all())
    pairs.update(tree._memtable)
    return {key: value for key, value in pairs.items() if value}
def hash_index(path):
    store = engine('hash-index-storage', 'bitcask', 'BitcaskStore')(path)
    return {key: store.get(key) for key in store.keys()}
def segments(path):
    return dict(engine('log-structured-hash-table', 'bitcask', 'BitcaskStore')(path).items())
OPEN = {'ddia-wal': wal, 'ddia-lsm': lsm, 'bitcask-hash': hash_index, 'bitcask-log': segments}
def raw(text): return text if isinstance(text, bytes) else text.encode()
for line in sys.stdin:
    name, path = line.rstrip().split(' ', 1)
    try:
        state = sorted((raw(key), raw(value)) for key, value in OPEN[name](path).items())
        lines = ''.join(key.hex() + ' ' + value.hex() + chr(10) for key, value in state)
        print(hashlib.sha256(lines.encode()).hexdigest())
    except Exception as error:
        print(repr(error).replace(chr(10), ' '))
";

/// The cases of the corpus, where it lies beside the project.
fn corpus() -> Vec<Case> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let root = std::env::var_os("WALMEDIC_SHARED").map_or(beside, PathBuf::from).join("corpus");
    let mut cases = Vec::new();
    for (folder, format) in [
        ("ddia-wal-v2", "ddia-wal"),
        ("ddia-lsm-r2", "ddia-lsm"),
        ("ddia-bitcask-hash-r2", "bitcask-hash"),
        ("ddia-bitcask-log", "bitcask-log"),
    ] {
        let Ok(listed) = std::fs::read_dir(root.join(folder)) else { continue };
        let mut names: Vec<_> = listed.map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        cases.extend(names.iter().map(|name| Case {
            name: format!("{folder}/{}", name.display()),
            format: format.into(),
            input: root.join(folder).join(name).join("input"),
            options: String::new(),
        }));
    }
    cases.retain(|case| case.input.is_dir());
    cases
}

/// Whether the engines read a log of this revision.
fn newest(case: &Case) -> bool {
    let told = case.run("verify", &case.input, "--format json").json();
    !matches!(told["logs"][0]["revision"].as_str(), Some("v1" | "r1"))
}

#[test]
fn the_originals_hold_what_was_committed() {
    let Some(originals) = std::env::var_os(ORIGINALS) else {
        println!("not run: {ORIGINALS} names no directory with the original engines");
        return;
    };
    let mut cases = Case::all(&["ddia-wal", "ddia-lsm", "bitcask-hash", "bitcask-log"]);
    cases.extend(corpus());
    cases.retain(newest);
    let mut python = Command::new("python3");
    python.args(["-c", STATES]).arg(originals).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut run = python.spawn().expect("python3 runs");
    let folder = tempfile::tempdir().expect("a folder");
    let mut input = String::new();
    let mut expected = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let out: PathBuf = folder.path().join(i.to_string());
        let before = contents(&case.input);
        let renumber = if RENUMBERED.contains(&case.name.as_str()) { "--renumber" } else { "" };
        let done = case.run("repair", &case.input, &format!("{renumber} --apply --output {}", out.display()));
        assert!(matches!(done.code, 0 | 1), "{}: {done:?}", case.name);
        assert_eq!(contents(&case.input), before, "{}", case.name);
        input += &format!("{} {}\n", case.format, out.display());
        expected.push(case.state(&case.input, "committed").expect("no engine is asked").replace('"', ""));
    }
    run.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = run.wait_with_output().expect("it ends");
    let found: Vec<&str> = std::str::from_utf8(&output.stdout).expect("text").lines().collect();
    assert_eq!(found.len(), cases.len(), "the originals died");
    let wrong: Vec<String> = (0..cases.len())
        .filter(|&i| found[i] != expected[i])
        .map(|i| format!("{}: {} for {}", cases[i].name, found[i], expected[i]))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
