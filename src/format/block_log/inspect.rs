//! What only the whole directory tells of a log: which of its files the tables have taken in, which are missing, what became of
//! transactions that were prepared, and how a file ends.

use std::ops::Range;

use super::aside;
use super::batch::{self, ENDINGS, Phase};
use super::decoder::BlockDecoder;
use super::directory::{Directory, number_of};
use super::fragment::{BLOCK, Part, fragment};
use super::older::older;
use super::tracked::shorter;
use super::unpack::Unpacker;
use super::waiting::{self, Waiting};
use super::{Content, Facts, Flavour, copies, inflate, names};
use crate::format::{LogFile, Remark, Unpack};
use crate::log::bytes::Reader;
use crate::log::decoder::Recovery;
use crate::log::finding::Code;
use crate::log::record::{Mark, Record};
use crate::log::region::Kind;
use crate::log::scan::{Sink, scan};
use crate::log::survey::{Batch, BatchState, Ended, Ends, Survey};

/// See [`crate::format::Format::inspect`].
pub fn inspect(flavour: Flavour, files: &[LogFile<'_>], surveys: &mut [Survey]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    copies::mark(flavour, files, surveys);
    for (i, (file, survey)) in files.iter().zip(&mut *surveys).enumerate() {
        let facts = Facts::of(flavour, files, i);
        if facts.content == Content::Batches {
            remarks.extend(ending(&facts, i, file, survey));
            remarks.extend(unknown(i, file, survey));
            remarks.extend(unfollowed(i, survey));
        }
    }
    remarks.extend(names::remarks(flavour, files, surveys));
    directory(flavour, files, &mut remarks);
    if surveys.iter().any(|survey| survey.begins + survey.commits > 0) {
        transactions(flavour, files, surveys);
    }
    remarks
}

/// Fragments of types that nobody knows and that readers leave out.
fn unknown(nth: usize, file: &LogFile<'_>, survey: &Survey) -> Option<Remark> {
    let (found, at) = aside::unknown(file, survey);
    let each: Vec<_> = found.iter().map(|(kind, count)| format!("{count} of type {kind}")).collect();
    let message = format!("fragments of unknown types, left out as the format asks: {}", each.join(", "));
    (!each.is_empty()).then_some(Remark { code: Code::UnknownType, file: nth, at, len: 0, message })
}

/// Batches that hold more than is followed.
fn unfollowed(nth: usize, survey: &Survey) -> Option<Remark> {
    let at = *survey.unread.first()?;
    let message = format!(
        "batches that are not looked into ({}, the first of them here): what is compressed in this file inflates to more than {} \
         times its size, or one of them ends more than {ENDINGS} transactions. They are intact by their checksums, and replay \
         leaves them out",
        survey.unread.len(),
        inflate::allowance(survey.regions.end()) / survey.regions.end().max(1),
    );
    Some(Remark { code: Code::Unfollowed, file: nth, at, len: 0, message })
}

/// How a log ends, where its last region is not what it seems.
fn ending(facts: &Facts, nth: usize, file: &LogFile<'_>, survey: &mut Survey) -> Option<Remark> {
    let last = *survey.regions.as_slice().last()?;
    let remark = |code, message| Some(Remark { code, file: nth, at: last.at, len: last.len, message });
    match last.kind {
        Kind::Preallocated => {
            survey.ends = Ends::Unwritten;
            let message = format!(
                "{} zeros behind the last record: the engine writes none ahead, so the file grew and what was written never \
                 reached the disk, or an old engine's mapping was not cut back",
                last.len
            );
            remark(Code::TornTail, message)
        }
        Kind::Framing if begun(file, last.at..last.end()).is_some() => {
            survey.ends = Ends::BreaksOff;
            let message = "the file ends between two fragments of a record, of which only the first are left";
            remark(Code::TornTail, message.into())
        }
        Kind::Stale => {
            let (records, _) = older(facts, &mut Reader::new(file.src), last.at);
            survey.regions.count(last.at, records);
            None
        }
        _ => None,
    }
}

/// Where the record begins whose first fragments are the last ones in this span, if there is one: other framing may lie in
/// front of it.
pub fn begun(file: &LogFile<'_>, span: Range<u64>) -> Option<u64> {
    let mut reader = Reader::with_chunk(file.src, BLOCK as usize);
    let (mut at, mut begun) = (span.start, None);
    while at < span.end {
        let Ok(found) = fragment(&mut reader, at, BLOCK) else {
            at += BLOCK - at % BLOCK;
            continue;
        };
        begun = match found.part {
            Part::First => Some(at),
            Part::Middle => begun,
            _ => None,
        };
        at = found.payload.end;
    }
    begun
}

/// What the catalogue says of the logs.
fn directory(flavour: Flavour, files: &[LogFile<'_>], remarks: &mut Vec<Remark>) {
    let directory = Directory::of(flavour, files);
    let mut say = |code, file, at, message| remarks.push(Remark { code, file, at, len: 0, message });
    let current = files.iter().position(|file| file.name == "CURRENT").unwrap_or(0);
    if directory.current.as_deref().is_some_and(|named| !named.ends_with('\n')) {
        let message = "CURRENT does not end with a newline: the engine does not open";
        say(Code::Malformed, current, 0, message.into());
    }
    if let Some(name) = directory.missing.as_deref() {
        let message = format!("CURRENT names {name:?}, which is not there: the engine does not open");
        say(Code::MissingFile, current, 0, message);
    }
    let Some(manifest) = directory.manifest else { return };
    if directory.current.is_none() {
        let message = "CURRENT is not there: the engine does not open, or begins a new store over this one";
        say(Code::MissingFile, manifest, 0, message.into());
    }
    if let Some((at, what)) = directory.broken.filter(|(_, what)| *what != super::directory::DAMAGED) {
        say(Code::Malformed, manifest, at, format!("edit of the catalogue: {what}"));
    }
    for (i, size, synced) in shorter(&directory, files) {
        let message = format!(
            "the MANIFEST tracks {synced} synced bytes of this log, and it has {size}: the engine opens no store with such a \
             log; repair --drop-wal-tracking writes a copy whose MANIFEST forgets the sizes of logs"
        );
        say(Code::EngineRefuses, i, size, message);
    }
    for (i, file) in files.iter().enumerate() {
        if number_of(file).is_some_and(|log| !directory.replays(log)) {
            let message = format!(
                "its number is below {}, from which on logs count: the tables hold what it says, and the engine leaves it out",
                directory.oldest()
            );
            say(Code::FlushedLog, i, 0, message);
        }
    }
}

/// A transaction that is prepared.
struct Prepared {
    file: usize,
    record: Record,
    /// Operations that wait.
    count: u64,
    /// Such parts in its record, where that holds nothing else.
    parts: Option<usize>,
}

/// Follows transactions from log to log: those without an end are orphans, and the numbers of one that commits in another file
/// than it was prepared in are not missing.
fn transactions(flavour: Flavour, files: &[LogFile<'_>], surveys: &mut [Survey]) {
    let mut prepared = Waiting::up_to(waiting::MOST);
    for (nth, file) in files.iter().enumerate() {
        let facts = Facts::of(flavour, files, nth);
        if facts.content != Content::Batches || surveys[nth].copy_of.is_some() {
            continue;
        }
        let unpack = Unpacker::new(facts, file.src);
        let mut marks = Marks { flavour, file: nth, unpack, prepared: &mut prepared, surveys };
        scan(&mut Reader::new(file.src), &mut BlockDecoder::new(facts), 0, &mut marks);
    }
    let directory = Directory::of(flavour, files);
    let mut left = prepared.rest();
    // What waits in a log that is not replayed was decided on long ago.
    left.retain(|(_, part)| number_of(&files[part.file]).is_none_or(|log| directory.replays(log)));
    left.sort_by_key(|(_, part)| (part.file, part.record.at));
    for of_record in left.chunk_by(|(_, a), (_, b)| (a.file, a.record.at) == (b.file, b.record.at)) {
        let Some((xid, Prepared { file, record: r, parts, .. })) = of_record.first() else { continue };
        let count = of_record.iter().map(|(_, part)| part.count).fold(0, u64::saturating_add);
        // A record counts as long as anything else in it does.
        let whole = *parts == Some(of_record.len());
        let (end, data) = if whole { (r.end(), 1) } else { (r.at, 0) };
        let (first, last) = (r.seq, r.seq.saturating_add(count.max(1) - 1));
        let state = BatchState::Orphan(Ended::Prepared);
        let survey = &mut surveys[*file];
        survey.batches.push(Batch { state, at: r.at, end, first, last, records: 1, data });
        let more =
            if of_record.len() > 1 { format!(" and {} more", of_record.len() - 1) } else { String::new() };
        survey.names.push((r.at, format!("{}{more}", String::from_utf8_lossy(xid)).into()));
    }
    for survey in surveys {
        survey.batches.sort_by_key(|batch| batch.at);
    }
}

/// What one record does to the transactions.
fn follow(
    flavour: Flavour,
    contents: &[u8],
    (file, record): (usize, &Record),
    prepared: &mut Waiting<Prepared>,
    surveys: &mut [Survey],
) {
    let (mut count, mut more, mut by_batch) = (0, false, false);
    let parts = parts(flavour, contents);
    for operation in batch::operations(contents, flavour) {
        let xid = operation.xid().unwrap_or_default();
        match operation.phase {
            Phase::Begin | Phase::BeginBatch => {
                (count, more) = (0, operation.has_more());
                // Its commit gives out none for them.
                by_batch = operation.phase == Phase::BeginBatch;
            }
            Phase::Plain => count += u64::from(operation.changes && !by_batch),
            Phase::End => {
                if !prepared.prepare(xid, more, Prepared { file, record: *record, count, parts }) {
                    surveys[file].batches_unlisted += 1;
                }
            }
            Phase::Commit => {
                let elsewhere = prepared.end(xid).into_iter().filter(|p| p.file != file);
                let given = elsewhere.map(|p| p.count).sum();
                join_runs(&mut surveys[file], record, given);
            }
            Phase::Rollback => {
                for part in prepared.end(xid) {
                    // It changes nothing any more.
                    let survey = &mut surveys[part.file];
                    survey.data = survey.data.saturating_sub(1);
                }
            }
        }
    }
}

/// How many prepared parts a batch holds; `None`: anything besides.
fn parts(flavour: Flavour, contents: &[u8]) -> Option<usize> {
    let (mut parts, mut begun) = (0, false);
    for operation in batch::operations(contents, flavour) {
        match operation.phase {
            Phase::Begin | Phase::BeginBatch => begun = true,
            Phase::End => (parts, begun) = (parts + 1, false),
            Phase::Commit | Phase::Rollback => return None,
            Phase::Plain if operation.changes && !begun => return None,
            Phase::Plain => {}
        }
    }
    Some(parts)
}

/// A commit has given out numbers that its file does not tell of.
fn join_runs(survey: &mut Survey, commit: &Record, given: u64) {
    if given == 0 {
        return;
    }
    let i = survey.runs.partition_point(|run| run.end < commit.end());
    if survey.runs.get(i).is_none_or(|run| run.end != commit.end()) {
        return;
    }
    survey.runs[i].next = survey.runs[i].next.saturating_add(given);
    let run = survey.runs[i];
    if let Some(&next) = survey.runs.get(i + 1).filter(|next| next.first == run.next && next.at == run.end) {
        let joined = &mut survey.runs[i];
        (joined.next, joined.end) = (next.next, next.end);
        (joined.records, joined.data) = (run.records + next.records, run.data + next.data);
        survey.runs.remove(i + 1);
    }
}

/// Follows the records that are not plain batches. Memory follows the number of transactions that wait.
struct Marks<'m, 'f> {
    flavour: Flavour,
    file: usize,
    unpack: Unpacker<'f>,
    prepared: &'m mut Waiting<Prepared>,
    surveys: &'m mut [Survey],
}

impl Marks<'_, '_> {
    fn record(&mut self, record: &Record) {
        if record.mark != Mark::Data {
            let contents = self.unpack.contents(record, &[]);
            follow(self.flavour, contents, (self.file, record), self.prepared, self.surveys);
        }
    }
}

impl Sink for Marks<'_, '_> {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        batch.iter().for_each(|record| self.record(record));
    }
    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}
    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        if let Some((record, _)) = &recovery.record {
            self.record(record);
        }
    }
}
