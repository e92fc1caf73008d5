//! All records of a log in the order in which they were written, each with its standing: what replay and repair go by.

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::fate::{Standing, Standings};
use crate::format::{Entry, Format, Role, Unpack};
use crate::log::bytes::Reader;
use crate::log::conclude::{Place, RepeatKind};
use crate::log::decoder::Recovery;
use crate::log::record::{Fix, Record};
use crate::log::scan::{Sink, scan};

/// One record.
pub struct Item<'a> {
    /// Index of its file.
    pub file: usize,
    /// The record, as its bytes say.
    pub record: Record,
    /// The field that was put right.
    pub fix: Option<Fix>,
    /// What counts against it.
    pub standing: Standing,
    /// Its bytes; of a very long one only the first.
    pub bytes: &'a [u8],
    /// What it says: the same, unless the format keeps it in pieces, or compressed.
    contents: &'a [u8],
    /// These are the record's own bytes.
    in_place: bool,
    format: &'static dyn Format,
    revision: Option<&'static str>,
    role: Role,
}

impl<'a> Item<'a> {
    /// Where it lies.
    pub fn place(&self) -> Place {
        Place { file: self.file, at: self.record.at }
    }

    /// Its parts.
    pub fn entry(&self) -> Entry<'a> {
        self.format.entry(self.role, self.revision, self.contents, self.fix)
    }

    /// Its operations, in order, as long as `each` wants more.
    pub fn operations(&self, each: &mut dyn FnMut(&Entry<'_>) -> bool) {
        self.format.operations(self.role, self.revision, self.contents, self.fix, each);
    }

    /// What it says; see [`crate::format::Unpack`].
    pub fn contents(&self) -> &'a [u8] {
        self.contents
    }

    /// Whether what it says lies in the file as it is.
    pub fn in_place(&self) -> bool {
        self.in_place
    }

    /// Whether keys belong to column families.
    pub fn in_families(&self) -> bool {
        self.format.profile().families
    }

    /// Its number, put right where it was wrong; `None` where it has none or nobody knows it.
    pub fn seq(&self) -> Option<u64> {
        let fixed = self.fix.filter(|f| f.field == "seq").map(|f| f.inferred);
        let numbered = self.record.next > self.record.seq;
        numbered.then_some(fixed.unwrap_or(self.record.seq)).filter(|&n| n != Fix::UNKNOWN)
    }
}

/// Goes through the records that count, up to `until`. Marks are among them.
///
/// # Errors
/// What `each` says.
pub fn walk(
    log: &OpenLog,
    report: &Report,
    until: Option<Place>,
    each: &mut dyn FnMut(&Item<'_>) -> Result<()>,
) -> Result<()> {
    let order = written_order(report);
    let last = until.and_then(|until| order.iter().position(|&file| file == until.file));
    for (nth, &file) in order.iter().enumerate() {
        let to = match (until, last) {
            (Some(_), Some(last)) if nth > last => break,
            (Some(until), Some(last)) if nth == last => until.at,
            _ => u64::MAX,
        };
        walk_file(log, report, file, to, each)?;
    }
    Ok(())
}

/// The same for one file.
///
/// # Errors
/// What `each` says.
pub fn walk_file(
    log: &OpenLog,
    report: &Report,
    file: usize,
    to: u64,
    each: &mut dyn FnMut(&Item<'_>) -> Result<()>,
) -> Result<()> {
    let mut opened = log.format().open(&log.files(), file, log.revision);
    let standings = Standings::new(report, file);
    let files = log.files();
    let unpack = log.format().unpack(&files, file);
    let mut sink = Walker { report, standings, unpack, to, each, result: Ok(()), full: false };
    scan(&mut Reader::new(log.source(file)), &mut *opened.decoder, 0, &mut sink);
    sink.result
}

/// Files whose records count, in the order in which they were written: tables before the log that goes on from them, and
/// a file whose numbers fill a hole before it at that hole.
pub fn written_order(report: &Report) -> Vec<usize> {
    let counts = |i: &usize| report.files[*i].role.counts();
    let mut order: Vec<usize> = (0..report.files.len()).filter(counts).collect();
    let first = |file: usize| report.files[file].survey.runs.iter().find(|r| r.records > 0).map(|r| r.first);
    let misplaced = report.conclusions.repeats.iter().filter(|r| r.kind == RepeatKind::OutOfOrder);
    for repeat in misplaced {
        let Some(from) = order.iter().position(|&f| f == repeat.place.file) else { continue };
        let behind = |&f: &usize| first(f).is_some_and(|n| n > repeat.first);
        if let Some(to) = order[..from].iter().position(behind) {
            order[to..=from].rotate_right(1);
        }
    }
    order
}

struct Walker<'r, 'e> {
    report: &'r Report,
    standings: Standings<'r>,
    unpack: Option<Box<dyn Unpack + 'e>>,
    to: u64,
    each: &'e mut dyn FnMut(&Item<'_>) -> Result<()>,
    result: Result<()>,
    full: bool,
}

impl Walker<'_, '_> {
    fn record(&mut self, record: &Record, mended: Option<Fix>, reader: &mut Reader<'_>) {
        /// Of a longer record only so much is loaded: its lengths, its key and the start of its value.
        const HEAD: u64 = 16 << 20;
        if self.full || self.result.is_err() {
            return;
        }
        if record.at >= self.to {
            self.full = true;
            return;
        }
        let (standing, known) = self.standings.of(record);
        let head = record.at..record.end().min(record.at + HEAD);
        let window = reader.window(head.start, (head.end - head.start) as usize);
        let Ok(bytes) = window.slice(head) else { return };
        let file = self.standings.file();
        let (format, revision) = (self.report.format, self.report.revision);
        let role = self.report.files[file].role;
        let fix = mended.or(known);
        let in_place = self.unpack.is_none();
        let contents = match &mut self.unpack {
            Some(unpack) => unpack.contents(record, bytes),
            None => bytes,
        };
        let item =
            Item { file, record: *record, fix, standing, bytes, contents, in_place, format, revision, role };
        self.result = (self.each)(&item);
    }
}

impl Sink for Walker<'_, '_> {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        for record in batch {
            self.record(record, None, reader);
        }
    }

    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}

    fn damage(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        if let Some((record, fix)) = recovery.record {
            self.record(&record, Some(fix), reader);
        }
    }

    fn done(&self) -> bool {
        self.full || self.result.is_err()
    }
}

impl Item<'_> {
    /// Whether it changes something.
    pub fn is_data(&self) -> bool {
        self.record.mark.changes()
    }
}
