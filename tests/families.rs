//! Column families, deleted ranges and operands, from a record to what `replay` prints: over a log whose records each hold
//! lines of operations, so that it hangs on no format's bytes.

mod common;

use common::wal::{Revision, Writer};
use serde_json::{Value, json};
use walmedic::analysis::{OpenLog, Report};
use walmedic::format::ddia_wal::DdiaWal;
use walmedic::format::keys::{state_key, user_key};
use walmedic::format::merge::Merger;
use walmedic::format::{
    Claim, Entry, Family, Format, Given, Job, LogFile, Opened, Outcome, Part, Profile, Revision as Told,
    Role, Take, Taken,
};
use walmedic::log::finding::Code;
use walmedic::log::layout::Layout;
use walmedic::log::record::Fix;
use walmedic::replay::history::{self, Wanted};
use walmedic::replay::measure::measure;
use walmedic::replay::state::Value as Held;
use walmedic::replay::walk::walk;
use walmedic::replay::{Policy, Wish, into, replay};
use walmedic::ui::Format as Shown;
use walmedic::ui::bytes::Notation;
use walmedic::ui::paint::{Paint, When};
use walmedic::ui::replay::{Teller, Told as State};

/// A standalone log whose values are lines `FAMILY OPERATION KEY [VALUE]`.
struct Lines;

static PROFILE: Profile = Profile {
    name: "lines",
    title: "log of lines",
    family: None,
    files: "*.wal",
    revisions: &[],
    engines: &[],
    record: "batch",
    entry: "live key",
    numbered: true,
    families: true,
    modes: &[],
};

const OPS: [&str; 6] = ["PUT", "DELETE", "MERGE", "DELETE_RANGE", "PUT_ENTITY", "BLOB_INDEX"];

fn operation(line: &str) -> Entry<'_> {
    let words: Vec<&str> = line.split(' ').collect();
    let op = OPS.iter().find(|op| **op == words[1]).expect("an operation");
    let last = words.get(3).map(|word| word.as_bytes());
    let family = Some(words[0].parse().expect("a number"));
    let (value, end) = if *op == "DELETE_RANGE" { (None, last) } else { (last, None) };
    Entry { op, key: Some(words[2].as_bytes()), value, end, family, ..Entry::default() }
}

impl Format for Lines {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }
    fn claim(&self, name: &str) -> Option<Claim> {
        DdiaWal.claim(name)
    }
    fn recognise(&self, _: &[u8]) -> u64 {
        0
    }
    fn revision(&self, _: &[LogFile<'_>]) -> Told {
        Told::default()
    }
    fn open(&self, files: &[LogFile<'_>], file: usize, _: Option<&str>) -> Opened {
        DdiaWal.open(files, file, Some("v2"))
    }
    fn layout(&self, role: Role, revision: Option<&str>) -> &'static Layout {
        DdiaWal.layout(role, revision)
    }
    fn entry<'a>(&self, role: Role, revision: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a> {
        DdiaWal.entry(role, revision, record, fix)
    }
    fn operations(
        &self,
        role: Role,
        revision: Option<&str>,
        contents: &[u8],
        fix: Option<Fix>,
        each: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) {
        let whole = self.entry(role, revision, contents, fix);
        let text = std::str::from_utf8(whole.value.unwrap_or_default()).expect("text");
        for line in text.lines() {
            if !each(&operation(line)) {
                return;
            }
        }
    }
    fn families(&self, _: &[LogFile<'_>]) -> Vec<Family> {
        let family = |(number, name, merger)| Family { number, name: String::from(name), merger };
        let users = Merger::Append(b",".to_vec());
        [(0, "default", Merger::Add), (1, "users", users), (2, "own", Merger::Unknown)].map(family).into()
    }
    /// An engine that takes all there is.
    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        let mut outcome = Outcome { opens: true, ..Outcome::default() };
        let Some(take) = take else { return outcome };
        let log = OpenLog::memory(&Lines, vec![("000001.wal".into(), bytes(job))], None);
        let report = log.analyse(1);
        let told = walk(&log, &report, None, &mut |item| {
            outcome.records += 1;
            item.changes(&mut |change| {
                let effect = change.effect.map(|value| match value {
                    Held::Bytes(bytes) => bytes.into_owned(),
                    other => panic!("{other:?}"),
                });
                let given = Some(Given { key: change.key.into_owned(), effect });
                take(Taken { place: item.place(), key: Part { file: 0, span: 0..0 }, value: None, given });
                Ok(())
            })
        });
        told.expect("nothing fails");
        outcome
    }
    fn engine_at(&self, _: Code) -> Option<&'static str> {
        None
    }
}

fn bytes(job: &Job<'_>) -> Vec<u8> {
    let mut all = vec![0; job.files[0].src.size() as usize];
    let read = job.files[0].src.read_at(0, &mut all).expect("in memory");
    assert_eq!(read, all.len());
    all
}

fn open(batches: &[&str]) -> (OpenLog, Report) {
    let mut writer = Writer::new(Revision::V2, usize::MAX);
    batches.iter().for_each(|batch| writer.put("batch", batch));
    let file = writer.finish().files.remove(0);
    let log = OpenLog::memory(&Lines, vec![("000001.wal".into(), file.bytes)], None);
    let report = log.analyse(1);
    (log, report)
}

fn teller<'a>(log: &'a OpenLog, report: &'a Report) -> Teller<'a> {
    Teller {
        log,
        report,
        notation: Notation::Escape,
        paint: Paint::stdout(When::Never),
        verbose: true,
        quiet: true,
        options: String::new(),
        families: Lines.families(&[]),
        candidates: Vec::new(),
    }
}

fn shown(log: &OpenLog, report: &Report, wish: &Wish, format: Shown) -> String {
    let replayed = replay(log, report, wish).expect("a state");
    let measure = measure(log, &replayed.state).expect("a measure");
    let told = State { wish, replayed: &replayed, measure, image: None, until: None, written: None };
    let mut out = Vec::new();
    teller(log, report).state(&mut out, format, &told).expect("shown");
    String::from_utf8(out).expect("text")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const BATCHES: &[&str] = &[
    "0 PUT a one\n1 PUT a first\n1 PUT b second\n1 PUT c third",
    "1 MERGE a more\n1 DELETE_RANGE b c\n7 PUT x y",
    "0 DELETE a\n1 MERGE b anew\n2 MERGE k 1",
    "2 MERGE k 2\n0 PUT d four",
];

/// The state of each policy names families, and never shows their numbers inside keys.
#[test]
fn families_are_apart() {
    use sha2::{Digest, Sha256};
    let (log, report) = open(BATCHES);
    let hash = |lines: &str| {
        let hash = Sha256::digest(lines.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    for policy in [Policy::Engine, Policy::Committed, Policy::Salvage] {
        for memory in [u64::MAX, 0] {
            let wish = Wish::new(policy, memory);
            let doc = &lines(&shown(&log, &report, &wish, Shown::Json))[0];
            let default = hash("64 666f7572\n");
            assert_eq!(doc["entries"], 1);
            assert_eq!(doc["state_sha256"], default);
            assert_eq!(doc["unresolved"], 1);
            let families = json!({
                "default": { "entries": 1, "state_sha256": default, "unresolved": 0 },
                "users": {
                    "entries": 3,
                    "state_sha256": hash("61 66697273742c6d6f7265\n62 616e6577\n63 7468697264\n"),
                    "unresolved": 0,
                },
                "own": { "entries": 1, "state_sha256": null, "unresolved": 1 },
                "#7": { "entries": 1, "state_sha256": hash("78 79\n"), "unresolved": 0 },
            });
            assert_eq!(doc["column_families"], families);
            let order = ["default", "users", "own", "#7"].map(|name| format!("\"{name}\":{{"));
            let text = shown(&log, &report, &wish, Shown::Json);
            let order = order.iter().map(|name| text.find(name).expect("named"));
            assert!(order.is_sorted(), "{text}");
        }
    }
}

#[test]
fn rows_name_their_family() {
    let (log, report) = open(BATCHES);
    let wish = Wish::new(Policy::Committed, u64::MAX);
    let rows = lines(&shown(&log, &report, &wish, Shown::Ndjson));
    let row = |row: &Value| [&row["family"], &row["key"], &row["value"], &row["operands"]].map(Clone::clone);
    let rows: Vec<_> = rows[1..rows.len() - 1].iter().map(row).collect();
    let want = [
        [json!("default"), json!("d"), json!("four"), Value::Null],
        [json!("users"), json!("a"), json!("first,more"), Value::Null],
        [json!("users"), json!("b"), json!("anew"), Value::Null],
        [json!("users"), json!("c"), json!("third"), Value::Null],
        [json!("own"), json!("k"), Value::Null, json!(["1", "2"])],
        [json!("#7"), json!("x"), json!("y"), Value::Null],
    ];
    assert_eq!(rows, want);
    let csv = shown(&log, &report, &wish, Shown::Csv);
    let csv: Vec<&str> = csv.lines().collect();
    assert_eq!(csv[0], "family,key,value,file,offset,seq,operands");
    assert!(csv[1].starts_with("default,d,four,000001.wal,") && csv[1].ends_with(','), "{csv:?}");
    assert!(csv[5].starts_with("own,k,,000001.wal,") && csv[5].ends_with(",2"), "{csv:?}");
    let text = shown(&log, &report, &wish, Shown::Text);
    assert!(text.contains("  users: 3 live keys, sha256 "), "{text}");
    assert!(text.contains("  own: 1 live key, 1 of them without a value"), "{text}");
    let users = Wish { family: Some(1), ..wish };
    let doc = &lines(&shown(&log, &report, &users, Shown::Json))[0];
    assert_eq!(doc["entries"], 3);
    assert_eq!(doc["column_families"].as_object().expect("families").len(), 1);
    assert_eq!(doc["column_families"]["users"]["state_sha256"], doc["state_sha256"]);
}

/// A deleted range is a version of each key in it; of several changes in one batch the last one decides.
#[test]
fn histories_know_ranges_and_merges() {
    let batches =
        ["1 PUT b 1\n1 PUT b 2\n1 PUT z 9", "1 DELETE_RANGE a c\n1 DELETE_RANGE a c", "0 PUT b other"];
    let (log, report) = open(&batches);
    let told = |keys: &dyn Fn(&[u8]) -> bool| {
        let wanted = Wanted { keys, engine: None, mode: None, undecided: false };
        let found = history::find(&log, &report, &wanted).expect("found");
        let mut out = Vec::new();
        teller(&log, &report).history(&mut out, Shown::Ndjson, "b", &wanted, found).expect("told");
        let rows = lines(std::str::from_utf8(&out).expect("text"));
        let row = |row: &Value| {
            let mut text = format!("{} {} {}", row["family"], row["op"], row["value"]);
            text += &format!(" {} {}", row["end"], row["last_of"]);
            text.replace('"', "")
        };
        rows[1..rows.len() - 1].iter().map(row).collect::<Vec<_>>()
    };
    let every = "[engine,committed,salvage]";
    let b = told(&|key| user_key(true, key).1 == b"b");
    let want = [
        "users PUT 1 null []".to_owned(),
        "users PUT 2 null []".to_owned(),
        format!("users DELETE_RANGE null c {every}"),
        format!("default PUT other null {every}"),
    ];
    assert_eq!(b, want);
    let z = told(&|key| *key == *state_key(Some(1), b"z"));
    assert_eq!(z, [format!("users PUT 9 null {every}")]);
}

/// An engine without families takes one of them, and no value that nobody knows.
#[test]
fn engines_take_one_family() {
    let (log, report) = open(BATCHES);
    let build = |family| {
        let wish = Wish { family, ..Wish::new(Policy::Committed, u64::MAX) };
        let state = replay(&log, &report, &wish).expect("a state").state;
        let (held, dir) =
            (measure(&log, &state).expect("a measure"), tempfile::tempdir().expect("a directory"));
        let built = into::build(&log, &report, &state, &held, into::Engine::Wal, dir.path());
        built.map(|()| std::fs::read(dir.path().join("000001.wal")).expect("a log"))
    };
    assert!(build(None).expect_err("several").to_string().contains("column families"));
    assert!(build(Some(2)).expect_err("unknown").to_string().contains("key k: its value cannot be told"));
    let users = String::from_utf8_lossy(&build(Some(1)).expect("built")).into_owned();
    assert!(users.contains("a\n\0\0\0first,more") && !users.contains("four"), "{users:?}");
}
