//! The real engines: databases that they write, damage to those, and what they make of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::random::Random;

/// Keys and values of a database, by column family.
pub type State = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// Writes databases and opens them by the real engines.
const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/judge.py");

/// Whether the engine is installed; says so where it is not.
pub fn has(engine: &str) -> bool {
    let mut asked = match engine {
        "7.8.3" => Command::new("ldb"),
        _ => Command::new("python3"),
    };
    match engine {
        "7.8.3" => asked.arg("--version"),
        _ => asked.args([JUDGE, "has", engine]),
    };
    let there =
        asked.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        println!("not run: no engine {engine} is installed");
    }
    there
}

/// A process that opens databases.
pub struct Judge {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    /// What the engine last said.
    pub said: String,
}

impl Judge {
    pub fn new() -> Judge {
        let mut asked = Command::new("python3");
        // Its copies are opened in memory, where there is such a place.
        let asked = asked
            .args([JUDGE, "open"])
            .env("TMPDIR", "/dev/shm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = asked.stderr(Stdio::null()).spawn().expect("a judge");
        let answers = BufReader::new(child.stdout.take().expect("its answers"));
        Judge { child, answers, said: String::new() }
    }

    /// What the engine makes of a copy of `dir`: `hangs`, `refuses`, or the state.
    pub fn opens(&mut self, dir: &Path, mode: &str, engine: &str) -> Result<State, &'static str> {
        let questions = self.child.stdin.as_mut().expect("questions");
        writeln!(questions, "{} {mode} {engine}", dir.display()).expect("asked");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let told: Value = serde_json::from_str(&line).expect("JSON");
        self.said = told["error"].as_str().unwrap_or_default().to_owned();
        match (&told["hangs"], &told["opens"]) {
            (Value::Bool(true), _) => Err("hangs"),
            (_, Value::Bool(true)) => Ok(held(&told["state"])),
            _ => Err("refuses"),
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn held(state: &Value) -> State {
    let bytes = |hex: &str| -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let pairs = state.as_object().expect("a state").iter();
    let pairs = pairs.map(|(key, value)| {
        let (family, key) = key.split_once(':').map_or((0, &key[..]), |(name, key)| (family(name), key));
        ((family, bytes(key)), bytes(value.as_str().expect("hex")))
    });
    pairs.collect()
}

/// Damages the oldest log in `dir` in some way; tells how.
pub fn damage(dir: &Path, random: &mut Random) -> String {
    damage_to(&logs(dir)[0], random)
}

/// The logs in a directory, in order.
pub fn logs(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path());
    let mut logs: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    logs.sort_unstable();
    logs
}

/// The same to one log.
pub fn damage_to(log: &Path, random: &mut Random) -> String {
    const BLOCK: usize = 32 << 10;
    let mut bytes = std::fs::read(log).expect("a log");
    if bytes.is_empty() {
        return "nothing to damage".into();
    }
    let len = bytes.len();
    let (at, block) = (random.below(len), random.below(len / BLOCK + 1) * BLOCK);
    let told = match random.below(11) {
        0 | 1 => {
            let bit = random.below(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        2 => {
            // Types and lengths are few among the bytes.
            let header = headers(&bytes)[..].to_vec();
            let header = header[random.below(header.len())];
            let (field, bit) = (random.within(4, 7), random.below(8));
            bytes[header + field] ^= 1 << bit;
            format!("bit {bit} of byte {field} of the header at {header}")
        }
        3 => {
            bytes.truncate(at);
            format!("cut to {at}")
        }
        4 => {
            let sector = [512, 4096][random.below(2)];
            let from = at / sector * sector;
            let to = (from + sector).min(len);
            bytes[from..to].fill(0);
            format!("zeros in {from}..{to}")
        }
        5 => {
            let more: Vec<u8> = (0..random.within(1, 40)).map(|_| random.below(256) as u8).collect();
            let told = format!("{} bytes put in at {at}", more.len());
            bytes.splice(at..at, more);
            told
        }
        6 => {
            let to = (at + random.within(1, 300)).min(len);
            bytes.drain(at..to);
            format!("{at}..{to} taken out")
        }
        7 => {
            let again = bytes[block.min(len)..(block + BLOCK).min(len)].to_vec();
            let to = random.below(len / BLOCK + 1) * BLOCK;
            bytes.splice(to..to, again);
            format!("the block at {block} once more at {to}")
        }
        8 => {
            bytes.resize(len + random.within(1, 2 * BLOCK), 0);
            format!("zeros up to {}", bytes.len())
        }
        9 => {
            let all = headers(&bytes);
            let (from, to) = (all[random.below(all.len())], all[random.below(all.len())]);
            let (from, to) = (from.min(to), from.max(to));
            bytes[from..to].fill(0);
            format!("zeros in {from}..{to}, from header to header")
        }
        _ => {
            let rest = bytes.split_off(block.min(len));
            let mut told = format!("in two logs at {}", bytes.len());
            let lost = random.below(3) * BLOCK;
            if lost < rest.len() {
                std::fs::write(log.with_file_name("000050.log"), &rest[lost..]).expect("a second log");
                told += &format!(", {lost} bytes lost in between");
            }
            told
        }
    };
    std::fs::write(log, bytes).expect("a damaged log");
    told
}

/// Offsets of the headers of an undamaged log.
fn headers(bytes: &[u8]) -> Vec<usize> {
    const BLOCK: usize = 32 << 10;
    let (mut at, mut all) = (0, Vec::new());
    while at + 7 <= bytes.len() {
        if BLOCK - at % BLOCK < 7 {
            at += BLOCK - at % BLOCK;
            continue;
        }
        all.push(at);
        at += 7 + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
    }
    all
}

/// Databases that each engine writes: `WALMEDIC_WORKLOADS` asks for more.
pub fn workloads() -> usize {
    std::env::var("WALMEDIC_WORKLOADS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// The number of a column family of a database that [`write`] made.
pub fn family(name: &str) -> u32 {
    ["default", "other", "third"].iter().position(|known| *known == name).expect("a known family") as u32
}

/// Has the engine write a database to `dir`.
pub fn write(engine: &str, dir: &Path, seed: usize, features: &[&str]) {
    let mut writer = Command::new("python3");
    writer.args([JUDGE, "write", engine, dir.to_str().expect("a path"), &seed.to_string()]).args(features);
    assert!(writer.status().expect("a writer").success());
}

/// Copies the files of a directory to a new one.
pub fn copy_of(dir: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for file in std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry").path()) {
        std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
    }
}
