//! What the fuzzer runs, and `tests/fuzz.rs` over every fixture: any bytes as files of any format.
//!
//! Byte 0 picks the format, byte 1 its revision, the window and how many files there are, byte 2 their names and where the
//! rest of the input is split between them ([`files`]). Everything that the commands build on is run: survey, conclusions,
//! inspection, the engine, the findings, the rows of tables, the recovered state, the check of pages, the contents of records
//! and their operations; and the bytes are read as a sorted table. Nothing may panic, the regions must tile every file, and
//! neither the window nor the number of threads may change anything.

use std::io;

use walmedic::analysis::{OpenLog, Report};
use walmedic::format::rows::Wanted;
use walmedic::format::sstable::table::Table;
use walmedic::format::{ALL, Format, Job, LogFile};
use walmedic::log::bytes::{ReadAt, Reader};
use walmedic::log::decoder::Recovery;
use walmedic::log::record::Record;
use walmedic::log::scan::{Sink, scan};
use walmedic::log::survey::Survey;
use walmedic::log::surveyor::Surveyor;

/// Names of which every format claims some; a format without one here is not fuzzed, and `tests/fuzz.rs` says so.
pub const NAMES: [&str; 16] = [
    "000001.wal",
    "000002.wal",
    "wal.log",
    "sst_000000.sst",
    "0.data",
    "0.hint",
    "segment_000000.dat",
    "segment_000000.hint",
    "btree.wal",
    "btree.dat",
    "app.db-wal",
    "app.db-journal",
    "app.db-mj01234A956",
    "app.db",
    "000004.log",
    "MANIFEST-000005",
];

/// The names that a format claims.
pub fn names(format: &dyn Format) -> Vec<&'static str> {
    let subject = |log: &str, name: &str| format.subject(log).is_some_and(|(subject, _)| subject == name);
    let about = |name: &str| NAMES.iter().any(|log| subject(log, name));
    NAMES
        .into_iter()
        .filter(|name| {
            format.claim(name).is_some()
                || NAMES.iter().any(|log| format.claim(log).is_some() && format.beside(log, name).is_some())
                || about(name)
        })
        .collect()
}

/// The files of an input. The two upper bits of `how` tell which name follows on the first, or that there are three files,
/// of which the last two share what is left of the first.
pub fn files(names: &[&str], how: u8, split: u8, rest: &[u8]) -> Vec<(String, Vec<u8>)> {
    let first = usize::from(split & 7) % names.len();
    let at = rest.len() * usize::from(split >> 3) / 31;
    let (step, three) = if how >> 6 == 3 { (1, true) } else { (1 + usize::from(how >> 6), false) };
    let middle = if three { at + (rest.len() - at) / 2 } else { rest.len() };
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (n, part) in [&rest[..at], &rest[at..middle], &rest[middle..]].into_iter().enumerate() {
        let name = names[(first + n * step) % names.len()];
        if (n < 2 || three) && files.iter().all(|(other, _)| other != name) {
            files.push((name.to_owned(), part.to_vec()));
        }
    }
    files
}

/// Reads one input.
pub fn read(data: &[u8]) {
    let [pick, how, split, rest @ ..] = data else { return };
    let format = ALL[usize::from(*pick) % ALL.len()];
    let names = names(format);
    if names.is_empty() {
        return;
    }
    let revisions = format.profile().revisions;
    let revision = revisions.get(usize::from(how & 3).wrapping_sub(1)).copied();
    let open = OpenLog::memory(format, files(&names, *how, *split, rest), revision);
    let report = open.analyse(1);
    for file in &report.files {
        let mut at = 0;
        for region in file.survey.regions.as_slice() {
            assert_eq!(region.at, at, "{}: {region:?}", file.name);
            at = region.end();
        }
        assert_eq!(at, file.bytes, "{}", file.name);
    }
    // Wording them must not panic, either.
    report.findings().for_each(drop);
    recover(&open, &report);
    for file in 0..open.files().len() {
        let files = open.files();
        format.grade(open.source(file));
        if let Some(mut context) = format.context(&files, file) {
            let _ = [false, true].map(|last| context.behind(0..u64::MAX, last));
        }
        let wanted = Wanted { table: None, page: None, most: usize::MAX };
        format.rows(&files, file, &wanted, &mut |_| true);
    }
    for file in 0..open.files().len() {
        contents(&open, file);
    }
    table(rest);
    let chunk = 1usize << (how >> 2 & 15);
    for file in 0..open.files().len() {
        assert_eq!(survey(&open, file, Some(chunk)), survey(&open, file, None), "{chunk} bytes at a time");
    }
}

/// The same bytes as a sorted table, which lies below the logs of some formats.
fn table(bytes: &[u8]) {
    let Ok(table) = Table::open(Far(bytes)) else { return };
    let Ok(mut entries) = table.iter() else { return };
    // A few bytes may stand for many entries.
    for _ in 0..10_000 {
        if entries.next().is_none() {
            break;
        }
    }
}

/// What the engine and the format make of it, change by change; the patches of a file rise and lie in it.
fn recover(open: &OpenLog, report: &Report) {
    let (files, format) = (open.files(), open.format());
    let surveys: Vec<&Survey> = report.files.iter().map(|file| &file.survey).collect();
    let job = Job {
        files: &files,
        surveys: &surveys,
        revision: open.revision,
        engine: None,
        mode: None,
        until: None,
    };
    format.generations(&files, &surveys);
    format.undo_last_commit(&files).ok();
    let outcome = format.engine(&job, Some(&mut |_| {}));
    let images =
        [false, true].map(|salvage| format.recover(&job, salvage, &mut |_| {}).and_then(|r| r.image));
    for image in images.into_iter().chain([outcome.image]).flatten() {
        let mut end = 0;
        for patch in &image.patches {
            assert!(patch.at >= end, "{patch:?} begins before {end}");
            end = patch.at.saturating_add(patch.len);
        }
        assert!(end <= image.len, "a patch ends at {end} of {}", image.len);
    }
}

/// Takes the records of a file apart, as `dump` does.
fn contents(open: &OpenLog, file: usize) {
    /// Collects records.
    struct All(Vec<Record>);
    impl Sink for All {
        fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
            self.0.extend_from_slice(batch);
        }
        fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}
        fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
            self.0.extend(recovery.record.map(|(record, _)| record));
        }
    }
    let (format, files) = (open.format(), open.files());
    let (role, whole) = (files[file].claim.role, open.source(file).whole().unwrap_or_default());
    let mut all = All(Vec::new());
    let mut opened = format.open(&files, file, open.revision);
    scan(&mut Reader::new(files[file].src), &mut *opened.decoder, 0, &mut all);
    let mut unpack = format.unpack(&files, file);
    for record in &all.0 {
        let bytes = &whole[record.at as usize..record.end() as usize];
        for (at, _) in format.inner(role, bytes) {
            assert!(at <= bytes.len(), "a field behind its record");
        }
        let contents = unpack.as_mut().map_or(bytes, |unpack| unpack.contents(record, bytes));
        format.operations(role, open.revision, contents, None, &mut |_| true);
    }
}

/// The survey of one file alone, with a window of `chunk` bytes or the whole file at hand.
fn survey(open: &OpenLog, file: usize, chunk: Option<usize>) -> Survey {
    let files = open.files();
    let far = Far(open.source(file).whole().unwrap_or_default());
    let source: &dyn ReadAt = if chunk.is_some() { &far } else { files[file].src };
    let seen: Vec<LogFile<'_>> = files
        .iter()
        .enumerate()
        .map(|(i, f)| LogFile {
            name: f.name,
            claim: f.claim,
            src: if i == file { source } else { f.src },
            memo: None,
            stream: false,
        })
        .collect();
    let mut opened = open.format().open(&seen, file, open.revision);
    let mut surveyor = Surveyor::new(opened.rules);
    let mut reader = Reader::with_chunk(source, chunk.unwrap_or(1 << 16));
    scan(&mut reader, &mut *opened.decoder, 0, &mut surveyor);
    surveyor.finish()
}

/// Bytes that are never at hand as a whole.
struct Far<'a>(&'a [u8]);

impl ReadAt for Far<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(at, buf)
    }
}
