//! How fast is it, in ratios to `cat` of the same file in the same interleaved run, and in what memory?
//!
//! `cargo bench` makes the logs (about 13 GiB, in the target directory, once), runs the release binary as users do, and
//! prints a table. `cargo bench -- NAME…` runs the cases whose name contains one of the words. `WALMEDIC_BENCH_MIB` sets
//! the size of a log (1024), `WALMEDIC_BENCH_RUNS` the runs of each command (5), of which the median counts.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;
use walmedic::codec::{fibonacci, varint};
use walmedic::format::block_log::fragment::{self, BLOCK, HEADER};

/// A log to make and a command to time on it.
struct Case {
    name: &'static str,
    /// Folder of the log: cases may share one.
    log: &'static str,
    /// Files, each made by this function up to a size.
    files: &'static [&'static str],
    make: fn(&mut dyn Write, &mut Random, u64),
    args: &'static [&'static str],
    /// The floor of the project's goals, as a ratio to `cat`; 0 where none was set.
    floor: f64,
}

const VERIFY: &[&str] = &["verify", "-j1", "--format", "json"];
const TWO_THREADS: &[&str] = &["verify", "-j2", "--format", "json"];

const CASES: &[Case] = &[
    Case { name: "wal-4k", log: "wal-4k", files: &["000001.wal"], make: wal_4k, args: VERIFY, floor: 0.80 },
    Case {
        name: "wal-4k-j2",
        log: "wal-4k",
        files: &["000001.wal"],
        make: wal_4k,
        args: TWO_THREADS,
        floor: 0.80,
    },
    Case {
        name: "wal-120",
        log: "wal-120",
        files: &["000001.wal"],
        make: wal_120,
        args: VERIFY,
        floor: 0.45,
    },
    Case {
        name: "wal-mixed",
        log: "wal-mixed",
        files: &["000001.wal"],
        make: wal_mixed,
        args: VERIFY,
        floor: 0.27,
    },
    Case {
        name: "wal-4k-map",
        log: "wal-4k",
        files: &["000001.wal"],
        make: wal_4k,
        args: &["verify", "-j1", "--map", "--format", "json"],
        floor: 0.80,
    },
    Case { name: "lsm-log", log: "lsm", files: &["wal.log"], make: lsm_log, args: VERIFY, floor: 0.0 },
    Case {
        name: "btree-wal",
        log: "btree",
        files: &["btree.wal"],
        make: btree_wal,
        args: VERIFY,
        floor: 0.0,
    },
    Case {
        name: "sqlite-wal",
        log: "sqlite",
        files: &["app.db-wal"],
        make: sqlite_wal,
        args: VERIFY,
        floor: 0.50,
    },
    Case {
        name: "leveldb-100",
        log: "leveldb-100",
        files: &["000003.log"],
        make: |out, random, bytes| block_log(out, random, bytes, 100),
        args: VERIFY,
        floor: 0.35,
    },
    Case {
        name: "leveldb-4k",
        log: "leveldb-4k",
        files: &["000003.log"],
        make: |out, random, bytes| block_log(out, random, bytes, 4096),
        args: VERIFY,
        floor: 0.90,
    },
    Case {
        name: "leveldb-100-j2",
        log: "leveldb-100",
        files: &["000003.log"],
        make: |out, random, bytes| block_log(out, random, bytes, 100),
        args: TWO_THREADS,
        floor: 0.35,
    },
    Case {
        name: "leveldb-4k-j2",
        log: "leveldb-4k",
        files: &["000003.log"],
        make: |out, random, bytes| block_log(out, random, bytes, 4096),
        args: TWO_THREADS,
        floor: 0.90,
    },
    Case {
        name: "leveldb-dump-100",
        log: "leveldb-100",
        files: &["000003.log"],
        make: |out, random, bytes| block_log(out, random, bytes, 100),
        args: &["dump", "--format", "ndjson"],
        floor: 0.0,
    },
    Case {
        name: "leveldb-dump-4k",
        log: "leveldb-4k",
        files: &["000003.log"],
        make: |out, random, bytes| block_log(out, random, bytes, 4096),
        args: &["dump", "--format", "ndjson"],
        floor: 0.0,
    },
    Case {
        name: "sqlite-journal",
        log: "sqlite-journal",
        files: &["app.db-journal"],
        make: sqlite_journal,
        args: VERIFY,
        floor: 0.0,
    },
    Case {
        name: "damaged-1pc",
        log: "damaged",
        files: &["000001.wal"],
        make: wal_damaged,
        args: VERIFY,
        floor: 0.14,
    },
    Case {
        name: "zeros",
        log: "zeros",
        files: &["000001.wal"],
        make: wal_then_zeros,
        args: VERIFY,
        floor: 0.5,
    },
    Case {
        name: "random",
        log: "random",
        files: &["000001.wal"],
        make: wal_then_random,
        args: VERIFY,
        floor: 0.5,
    },
    Case {
        name: "lsm-random",
        log: "lsm-random",
        files: &["wal.log"],
        make: lsm_then_random,
        args: VERIFY,
        floor: 0.5,
    },
    Case {
        name: "two-files-1",
        log: "two",
        files: &["000001.wal", "000002.wal"],
        make: wal_120,
        args: VERIFY,
        floor: 0.45,
    },
    Case {
        name: "two-files-2",
        log: "two",
        files: &["000001.wal", "000002.wal"],
        make: wal_120,
        args: TWO_THREADS,
        floor: 0.72,
    },
    Case {
        name: "replay",
        log: "wal-120",
        files: &["000001.wal"],
        make: wal_120,
        args: &["replay", "-j1", "--policy", "committed", "--format", "json"],
        floor: 0.0,
    },
    Case {
        name: "dump-ndjson",
        log: "wal-120",
        files: &["000001.wal"],
        make: wal_120,
        args: &["dump", "--format", "ndjson"],
        floor: 0.0,
    },
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mib = setting("WALMEDIC_BENCH_MIB", 1024);
    let runs = setting("WALMEDIC_BENCH_RUNS", 5) as usize;
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{mib}"));
    let binary = Path::new(env!("CARGO_BIN_EXE_walmedic"));
    println!("{mib} MiB logs, medians of {runs} interleaved runs; ratio = time of cat / time of the command");
    println!(
        "{:<14} {:>7} {:>7} {:>9} {:>9} {:>9} {:>10}",
        "case", "ratio", "floor", "cat s", "wall s", "cpu s", "peak KiB"
    );
    for case in CASES.iter().filter(|c| words.is_empty() || words.iter().any(|w| c.name.contains(w.as_str())))
    {
        let paths = prepare(&home, case, mib << 20);
        let log = if paths.len() == 1 {
            paths[0].clone()
        } else {
            paths[0].parent().expect("in a folder").to_path_buf()
        };
        let cat = || run(Command::new("cat").args(&paths));
        cat();
        let turns = Turns::take(runs, cat, || run(Command::new(binary).args(case.args).arg(&log)));
        println!(
            "{:<14} {:>7.2} {:>7.2} {:>9.3} {:>9.3} {:>9.3} {:>10}",
            case.name,
            1.0 / turns.ratio,
            case.floor,
            turns.other,
            turns.wall,
            turns.cpu,
            turns.peak
        );
    }
    if words.is_empty() || words.iter().any(|w| "ldb".contains(w.as_str())) {
        beside_ldb(&home, binary, runs, mib << 20);
    }
    if words.is_empty() || words.iter().any(|w| "repair truncate".contains(w.as_str())) {
        recovery(&home, binary, runs, mib << 20);
    }
    for (name, case) in [("checkpoint", "sqlite-wal"), ("rollback", "sqlite-journal")] {
        if words.is_empty() || words.iter().any(|w| name.contains(w.as_str())) {
            into_database(&home, binary, runs, mib << 20, (name, case));
        }
    }
    if words.is_empty() || words.iter().any(|w| "start-up".contains(w.as_str())) {
        start_up(&home, binary);
    }
}

/// A checkpoint of a WAL, or the rollback of a journal, into a new database beside `cp` and `sync` of the log.
fn into_database(home: &Path, binary: &Path, runs: usize, bytes: u64, (name, case): (&str, &str)) {
    let case = CASES.iter().find(|c| c.name == case).expect("the case");
    let log = prepare(home, case, bytes).remove(0);
    let target = home.join("made.db");
    let own = || {
        fs::remove_file(&target).ok();
        let own = run(Command::new(binary).args(["replay", "--into"]).arg(&target).arg(&log));
        assert!(target.exists(), "no database was written");
        own
    };
    Turns::take(runs, || cp(&log, &target), own).print(name, "cp and sync");
    fs::remove_file(&target).ok();
}

/// `dump` with keys and values beside RocksDB's own tool, in processor time, if that is installed.
fn beside_ldb(home: &Path, binary: &Path, runs: usize, bytes: u64) {
    if Command::new("ldb").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("ldb           not installed (Debian: rocksdb-tools)");
        return;
    }
    for name in ["leveldb-dump-100", "leveldb-dump-4k"] {
        let case = CASES.iter().find(|c| c.name == name).expect("the case");
        let log = prepare(home, case, bytes).remove(0);
        let walfile = format!("--walfile={}", log.display());
        let ldb = || run(Command::new("ldb").args(["dump_wal", &walfile, "--header", "--print_value"]));
        let turns = Turns::take(runs, ldb, || run(Command::new(binary).args(case.args).arg(&log)));
        let (fold, own, ldb) = (1.0 / turns.cpu_ratio, turns.cpu, turns.other_cpu);
        println!("{name:<17} {fold:.1} x as fast as ldb dump_wal ({own:.3} s of processor time, {ldb:.3} s)");
    }
}

/// Copies a file and waits until it is on disk.
fn cp(from: &Path, to: &Path) -> Usage {
    fs::remove_file(to).ok();
    run(Command::new("sh").args(["-c", "cp \"$1\" \"$2\" && sync \"$2\"", "sh"]).arg(from).arg(to))
}

/// A repair into a copy beside `cp` and `sync` of the same log, and the cut of a torn end where the log lies.
fn recovery(home: &Path, binary: &Path, runs: usize, bytes: u64) {
    for (name, log, maker) in [
        ("repair-1pc", "damaged", wal_damaged as fn(&mut dyn Write, &mut Random, u64)),
        ("repair-torn", "torn", wal_torn),
    ] {
        let source = home.join(log).join("000001.wal");
        if fs::metadata(&source).map_or(0, |m| m.len()) < bytes / 2 {
            make(&source, maker, bytes);
        }
        let copy = home.join("copy.wal");
        let own = || {
            fs::remove_file(&copy).ok();
            let own =
                run(Command::new(binary).args(["repair", "--apply", "--output"]).arg(&copy).arg(&source));
            assert!(copy.exists(), "{name}: nothing was written");
            own
        };
        Turns::take(runs, || cp(&source, &copy), own).print(name, "cp and sync");
        fs::remove_file(&copy).ok();
    }
    let torn = home.join("torn/000001.wal");
    let (mut scans, mut cuts) = (vec![], vec![]);
    for _ in 0..runs {
        scans.push(run(Command::new(binary).args(VERIFY).arg(&torn)).wall.as_secs_f64());
        let cut =
            run(Command::new(binary).args(["truncate", "--at-damage", "--apply", "--in-place"]).arg(&torn));
        cuts.push(cut.wall.as_secs_f64());
        let backup = home.join("torn.walmedic-1");
        let undo = Command::new(binary).args(["undo", "-q"]).arg(&backup).status().expect("it starts");
        assert!(undo.success(), "the cut can be taken back");
        fs::remove_dir_all(&backup).expect("the backup is there");
    }
    let (scan, cut) = (median(&mut scans), median(&mut cuts));
    println!("truncate      {cut:.3} s in place, verify of the same log {scan:.3} s");
}

/// The whole life of a process on a log of a few records.
fn start_up(home: &Path, binary: &Path) {
    let path = home.join("tiny/000001.wal");
    make(&path, wal_120, 4096);
    let mut times: Vec<f64> =
        (0..41).map(|_| run(Command::new(binary).args(VERIFY).arg(&path)).wall.as_secs_f64()).collect();
    println!("start-up      {:.2} ms on a log of 4 KiB, process start included", median(&mut times) * 1e3);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of two commands that ran in turns.
struct Turns {
    /// Wall time of ours, divided by that of the other.
    ratio: f64,
    /// The same of processor time.
    cpu_ratio: f64,
    other: f64,
    other_cpu: f64,
    wall: f64,
    cpu: f64,
    /// Of ours, in KiB, the most.
    peak: u64,
}

impl Turns {
    fn take(runs: usize, mut other: impl FnMut() -> Usage, mut own: impl FnMut() -> Usage) -> Turns {
        let pairs: Vec<(Usage, Usage)> = (0..runs).map(|_| (other(), own())).collect();
        let of =
            |value: &dyn Fn(&(Usage, Usage)) -> f64| median(&mut pairs.iter().map(value).collect::<Vec<_>>());
        let (wall, cpu) = (|usage: &Usage| usage.wall.as_secs_f64(), |usage: &Usage| usage.cpu.as_secs_f64());
        Turns {
            ratio: of(&|(other, own)| wall(own) / wall(other)),
            cpu_ratio: of(&|(other, own)| cpu(own) / cpu(other)),
            other: of(&|(other, _)| wall(other)),
            other_cpu: of(&|(other, _)| cpu(other)),
            wall: of(&|(_, own)| wall(own)),
            cpu: of(&|(_, own)| cpu(own)),
            peak: pairs.iter().map(|(_, own)| own.peak_kib).max().unwrap_or(0),
        }
    }

    fn print(&self, name: &str, other: &str) {
        let Turns { ratio, other: beside, wall, peak, .. } = self;
        println!("{name:<13} {ratio:.2} x {other} ({beside:.3} s), {wall:.3} s, peak {peak} KiB");
    }
}

struct Usage {
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
}

fn run(command: &mut Command) -> Usage {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts");
    let usage = child.wait4().expect("the command ends").rusage;
    Usage { wall: start.elapsed(), cpu: usage.utime + usage.stime, peak_kib: usage.maxrss / 1024 }
}

/// Makes the files of a case once; a marker tells that they are whole.
fn prepare(home: &Path, case: &Case, bytes: u64) -> Vec<PathBuf> {
    let folder = home.join(case.log);
    let each = bytes / case.files.len() as u64;
    if case.log.starts_with("sqlite") {
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(folder.join("app.db"), first_page()).expect("the database can be written");
    }
    case.files
        .iter()
        .map(|name| {
            let path = folder.join(name);
            if fs::metadata(&path).map_or(0, |m| m.len()) < each / 2 {
                make(&path, case.make, each);
            }
            path
        })
        .collect()
}

fn make(path: &Path, maker: fn(&mut dyn Write, &mut Random, u64), bytes: u64) {
    fs::create_dir_all(path.parent().expect("in a folder")).expect("the folder can be made");
    let part = path.with_extension("part");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&part).expect("the log can be made"));
    // The number in the name decides the first sequence number, so that files follow each other.
    let seed = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok()).unwrap_or(1);
    maker(&mut out, &mut Random { state: seed, seq: (seed - 1) * (bytes / 120) }, bytes);
    out.flush().expect("the log can be written");
    fs::rename(&part, path).expect("the log can be renamed");
}

/// Splitmix64, and the number of the next record.
struct Random {
    state: u64,
    seq: u64,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn text(&mut self, out: &mut Vec<u8>, len: usize) {
        let to = out.len() + len;
        while out.len() < to {
            let word = self.next().to_le_bytes();
            out.extend(word.iter().take(to - out.len()).map(|b| b'a' + b % 26));
        }
    }
}

fn wal_record(out: &mut Vec<u8>, random: &mut Random, value: usize) {
    random.seq += 1;
    let start = out.len();
    let (key, val_len) = (format!("k{:07}", random.below(1_000_000)), value as u32);
    out.extend((21 + key.len() as u32 + val_len).to_le_bytes());
    out.extend([0; 4]);
    out.extend(random.seq.to_le_bytes());
    out.push(1);
    out.extend((key.len() as u32).to_le_bytes());
    out.extend(key.as_bytes());
    out.extend(val_len.to_le_bytes());
    random.text(out, value);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[1]);
    crc.update(key.as_bytes());
    crc.update(&out[out.len() - value..]);
    out[start + 4..start + 8].copy_from_slice(&crc.finalize().to_le_bytes());
}

fn records(out: &mut dyn Write, bytes: u64, mut each: impl FnMut(&mut Vec<u8>)) {
    let (mut written, mut record) = (0, Vec::new());
    while written < bytes {
        record.clear();
        each(&mut record);
        out.write_all(&record).expect("the log can be written");
        written += record.len() as u64;
    }
}

fn wal_120(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    let count = bytes / 120;
    records(out, count * 120, |r| wal_record(r, random, 120 - 25 - 8));
}

fn wal_mixed(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    records(out, bytes, |r| {
        let value = 60 - 33 + random.below(101) as usize;
        wal_record(r, random, value);
    });
}

fn wal_4k(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    records(out, bytes, |r| wal_record(r, random, 4096));
}

/// A log whose last record is cut off in its value.
fn wal_torn(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    wal_120(out, random, bytes);
    let mut last = Vec::new();
    wal_120(&mut last, random, 120);
    out.write_all(&last[..last.len() - 10]).expect("the log can be written");
}

/// One record in a hundred has a bit flipped somewhere.
fn wal_damaged(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    records(out, bytes, |r| {
        wal_record(r, random, 120 - 25 - 8);
        if random.below(100) == 0 {
            let at = random.below(r.len() as u64) as usize;
            r[at] ^= 1 << random.below(8);
        }
    });
}

fn wal_then_zeros(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    wal_120(out, random, 1 << 20);
    records(out, bytes - (1 << 20), |r| r.resize(1 << 16, 0));
}

fn wal_then_random(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    wal_120(out, random, 1 << 20);
    noise(out, random, bytes - (1 << 20));
}

fn noise(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    records(out, bytes, |r| r.extend((0..8192).flat_map(|_| random.next().to_le_bytes())));
}

fn lsm_record(out: &mut Vec<u8>, random: &mut Random) {
    let (start, value) = (out.len(), 40 + random.below(101) as usize);
    out.extend([0; 4]);
    out.extend(8u32.to_be_bytes());
    out.extend(format!("k{:07}", random.below(1_000_000)).as_bytes());
    out.extend((value as u32).to_be_bytes());
    random.text(out, value);
    let crc = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_be_bytes());
}

fn lsm_log(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    records(out, bytes, |r| lsm_record(r, random));
}

fn lsm_then_random(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    lsm_log(out, random, 1 << 20);
    noise(out, random, bytes - (1 << 20));
}

/// Page 1 of a database with pages of 4 KiB in WAL mode.
fn first_page() -> Vec<u8> {
    let mut page = b"SQLite format 3\0\x10\0\x02\x02".to_vec();
    page.resize(4096, 0);
    page
}

/// Frames of 4 KiB over 200,000 pages, four in a transaction.
fn sqlite_wal(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let mut header = words(&[0x377f_0682, 3_007_000, 4096, 0, 7, 11]);
    let mut sums = fibonacci::update((0, 0), &header, false);
    header.extend(words(&[sums.0, sums.1]));
    out.write_all(&header).expect("written");
    let mut page = Vec::new();
    for n in 1..=bytes / 4120 {
        page.clear();
        random.text(&mut page, 4096);
        let number = if n == 1 { 1 } else { 1 + random.below(200_000) as u32 };
        if number == 1 {
            page[..20].copy_from_slice(&first_page()[..20]);
        }
        let covered = words(&[number, if n % 4 == 0 { 200_000 } else { 0 }]);
        sums = fibonacci::update(fibonacci::update(sums, &covered, false), &page, false);
        let rest = words(&[7, 11, sums.0, sums.1]);
        [&covered, &rest, &page].iter().try_for_each(|part| out.write_all(part)).expect("written");
    }
}

/// The old images of all pages of a database, 4 KiB each, in any order: a stride that has no divisor with their number in
/// common leads to each of them once.
fn sqlite_journal(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    const STRIDE: u64 = 1_000_003;
    let (pages, nonce) = (bytes / 4104, 0x5eed_u32);
    let words = [pages as u32, nonce, pages as u32, 512, 4096];
    let mut header = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    header.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    header.resize(512, 0);
    out.write_all(&header).expect("written");
    let mut page = Vec::new();
    for n in 0..pages {
        let number = (n * STRIDE % pages + 1) as u32;
        page.clear();
        // The end of a chain of overflow pages can hold anything.
        page.extend([0; 4]);
        random.text(&mut page, 4092);
        if number == 1 {
            page = first_page();
        }
        let sampled = (1..).map(|n| 4096 - 200 * n).take_while(|at| *at > 0);
        let sum = sampled.fold(nonce, |sum, at: i32| sum.wrapping_add(u32::from(page[at as usize])));
        let parts: [&[u8]; 3] = [&number.to_be_bytes(), &page, &sum.to_be_bytes()];
        parts.iter().try_for_each(|part| out.write_all(part)).expect("written");
    }
}

/// Batches of one put each, with keys of 16 bytes, as `db_bench fillrandom` writes them.
fn block_log(out: &mut dyn Write, random: &mut Random, bytes: u64, value: usize) {
    let (mut at, mut batch, mut piece) = (0u64, Vec::new(), Vec::new());
    while at < bytes {
        random.seq += 1;
        batch.clear();
        batch.extend(random.seq.to_le_bytes());
        batch.extend(1u32.to_le_bytes());
        batch.extend([1, 16]);
        batch.extend(format!("{:016}", random.below(1_000_000)).as_bytes());
        varint::put(value as u32, &mut batch);
        random.text(&mut batch, value);
        let (mut rest, mut first) = (&batch[..], true);
        piece.clear();
        loop {
            let left = (BLOCK - (at + piece.len() as u64) % BLOCK) as usize;
            if left < HEADER as usize {
                piece.resize(piece.len() + left, 0);
                continue;
            }
            let (now, later) = rest.split_at(rest.len().min(left - HEADER as usize));
            let kind = match (first, later.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            fragment::put(kind, None, now, &mut piece);
            (rest, first) = (later, false);
            if rest.is_empty() {
                break;
            }
        }
        at += piece.len() as u64;
        out.write_all(&piece).expect("the log can be written");
    }
}

/// Leaves of 4 KiB, an operation of one page each, with commit entries (r3).
fn btree_wal(out: &mut dyn Write, random: &mut Random, bytes: u64) {
    records(out, bytes, |r| {
        let mut page = vec![1u8, 0, 8, 0xff, 0xff, 0xff, 0xff];
        for i in 0..8 {
            let key = format!("key{i:05}");
            page.extend((key.len() as u16).to_be_bytes());
            page.extend(key.as_bytes());
            page.extend(400u16.to_be_bytes());
            random.text(&mut page, 400);
        }
        page.resize(4096, 0);
        for (seq, number, data) in [(1u32, 1u32, &page[..]), (2, u32::MAX, &[])] {
            r.extend(seq.to_be_bytes());
            r.extend(number.to_be_bytes());
            r.extend((data.len() as u32).to_be_bytes());
            r.extend(data);
            r.extend(if data.is_empty() { 0 } else { crc32fast::hash(data) }.to_be_bytes());
        }
    });
}
