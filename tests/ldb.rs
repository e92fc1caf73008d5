//! RocksDB's own `ldb dump_wal` against `dump`: on undamaged logs both tell the same operations, one by one. Logs of the two
//! engines themselves are read where their Python bindings (rocksdict, plyvel) are installed, and logs of the encoder where
//! these do not offer what is to be written: merges, compressed records, prepared transactions.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::block_log::{Variety, Writer, sample};
use common::random::Watch;

/// An operation: its word, the number of the column family, and its strings in hex.
type Operation = (String, String, Vec<String>);

/// What `ldb` says of a log; `None` where there is no such tool.
fn theirs(log: &Path) -> Option<Vec<(u64, Vec<Operation>)>> {
    let mut ldb = Command::new("timeout");
    let limit = Duration::from_secs(60).as_secs().to_string();
    let walfile = format!("--walfile={}", log.display());
    let ran = ldb.args([&limit, "ldb", "dump_wal", &walfile, "--header", "--print_value"]).output();
    let Some(output) = ran.ok().filter(|output| output.status.code() != Some(127)) else {
        println!("not run: ldb (rocksdb-tools) or timeout is missing");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    Some(text.lines().skip(1).map(batch_of).collect())
}

/// `sequence,count,bytes,offset,` and then operations: `PUT(0) : 0x6B : 0x76`.
fn batch_of(line: &str) -> (u64, Vec<Operation>) {
    let mut cells = line.splitn(5, ',');
    let seq = cells.next().and_then(|seq| seq.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    let mut operations: Vec<Operation> = Vec::new();
    for word in cells.last().unwrap_or_default().split(' ').filter(|word| !matches!(*word, "" | ":")) {
        match (word.strip_prefix("0x"), word.strip_suffix(')').and_then(|word| word.split_once('('))) {
            (Some(string), _) => {
                operations.last_mut().expect("behind a word").2.push(string.to_ascii_lowercase());
            }
            (None, Some((word, family))) if family.parse::<u32>().is_ok() => {
                operations.push((word.into(), family.into(), Vec::new()));
            }
            // The marks of transactions.
            _ => {}
        }
    }
    (seq, operations)
}

/// What `dump` says of it, batch by batch.
fn ours(log: &Path) -> Vec<(u64, Vec<Operation>)> {
    let mut dump = Command::new(env!("CARGO_BIN_EXE_walmedic"));
    dump.args(["dump", "--as", "rocksdb", "--format", "ndjson", "--bytes", "hex"]).arg(log);
    let output = dump.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut batches: Vec<(u64, Vec<Operation>)> = Vec::new();
    let mut at = None;
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let Some(family) = row["family"].as_str() else { continue };
        let word = |name: &str| row[name].as_str().map(str::to_owned);
        let strings = ["key", "value", "end"].iter().filter_map(|name| word(name));
        let number = family.replace("default", "0").trim_start_matches('#').to_owned();
        let operation = (word("kind").expect("a kind"), number, strings.collect());
        let seq = word("seq").and_then(|seq| seq.parse().ok()).expect("a number");
        assert_eq!(row["status"], "intact", "{line}");
        match batches.last_mut().filter(|_| at == row["offset"].as_u64()) {
            Some((_, operations)) => operations.push(operation),
            None => batches.push((seq, vec![operation])),
        }
        at = row["offset"].as_u64();
    }
    batches
}

/// Both tools on one log, which `what` describes; whether the judge was there.
fn agree(bytes: &[u8], what: &str) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("000004.log");
    std::fs::write(&log, bytes).expect("a log");
    let Some(theirs) = theirs(&log) else { return false };
    let ours = ours(&log);
    let theirs: Vec<_> = theirs.into_iter().filter(|(_, operations)| !operations.is_empty()).collect();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{what}");
    }
    assert_eq!(ours.len(), theirs.len(), "{what}: batches");
    assert!(!ours.is_empty(), "{what}: nothing was compared");
    true
}

#[test]
fn ldb_and_dump_tell_the_same_of_encoded_logs() {
    let watch = Watch::new("ldb", 300);
    for (i, variety) in
        [Variety::Level, Variety::LevelLong, Variety::Packed, Variety::Prepared].into_iter().enumerate()
    {
        for round in 0..4 {
            let log = sample(&mut watch.random(i * 10 + round), 60, variety);
            if !agree(&log.files[0].bytes, &format!("{variety:?} round {round}")) {
                return;
            }
        }
    }
}

#[test]
fn ldb_and_dump_tell_the_same_at_the_ends_of_blocks() {
    for left in 0..=13 {
        let mut writer = Writer::new(4, false, 7);
        writer.put_up_to("fills the block", left);
        (0..20).for_each(|i| writer.put(&format!("key {i}"), "value"));
        if !agree(&writer.file.bytes, &format!("{left} bytes left")) {
            return;
        }
    }
}

const ROCKSDB: &str = r#"
try:
    from rocksdict import Options, Rdict, WriteBatch
except ImportError:
    print('missing'); sys.exit()
options = Options(raw_mode=True)
db = Rdict(path, options=options)
families = [db.create_column_family(name, Options(raw_mode=True)) for name in ('one', 'two')]
handles = [None] + [db.get_column_family_handle(name) for name in ('one', 'two')]
for i in range(300):
    batch = WriteBatch(raw_mode=True)
    for _ in range(random.randrange(1, 6)):
        family, key = random.choice(handles), b'key %03d' % random.randrange(100)
        kind = random.randrange(8)
        if kind == 0:
            batch.delete(key, family)
        elif kind == 1:
            batch.delete_range(key, key + b'z', family)
        else:
            value = random.randbytes(random.choice([0, 1, 60, 300, 5000, 40000 if i % 50 == 0 else 9]))
            batch.put(key, value, family)
    db.write(batch)
"#;

const LEVELDB: &str = r#"
try:
    import plyvel
except ImportError:
    print('missing'); sys.exit()
db = plyvel.DB(path, create_if_missing=True, write_buffer_size=64 << 20)
for i in range(300):
    with db.write_batch() as batch:
        for _ in range(random.randrange(1, 6)):
            key = b'key %03d' % random.randrange(100)
            if random.randrange(6) == 0:
                batch.delete(key)
            else:
                batch.put(key, random.randbytes(random.choice([0, 1, 60, 300, 5000, 40000 if i % 50 == 0 else 9])))
"#;

#[test]
fn ldb_and_dump_tell_the_same_of_the_engines_logs() {
    for (name, script) in [("rocksdict", ROCKSDB), ("plyvel", LEVELDB)] {
        for seed in 0..3 {
            let dir = tempfile::tempdir().expect("a directory");
            // Ended without a word to the engine, so that the log stays.
            let code = format!(
                "import os, random, sys\npath = sys.argv[1]\nrandom.seed({seed})\n{script}\nos._exit(0)\n"
            );
            let ran = Command::new("python3").args(["-B", "-c", &code]).arg(dir.path().join("db")).output();
            let Ok(output) = ran else {
                println!("not run: python3 is missing");
                return;
            };
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            if output.stdout.starts_with(b"missing") {
                println!("not run: {name} is missing");
                break;
            }
            let mut compared = 0;
            for entry in std::fs::read_dir(dir.path().join("db")).expect("listed") {
                let path = entry.expect("an entry").path();
                let bytes = std::fs::read(&path).unwrap_or_default();
                if path.extension().is_some_and(|e| e == "log") && !bytes.is_empty() {
                    compared +=
                        usize::from(agree(&bytes, &format!("{name} seed {seed}, {}", path.display())));
                }
            }
            println!("{name} seed {seed}: {compared} logs compared");
        }
    }
}

#[test]
fn what_ldb_prints_is_taken_apart() {
    let (seq, operations) = batch_of("7,2,9,0,PUT(0) : 0x6B : 0x DELETE_RANGE(3) : 0x61 0x62 ");
    let words: Vec<_> =
        operations.iter().map(|(word, family, of)| (&word[..], &family[..], of.len())).collect();
    assert_eq!((seq, &words[..]), (7, &[("PUT", "0", 2), ("DELETE_RANGE", "3", 2)][..]));
}
