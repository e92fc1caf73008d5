//! What lies behind the live end, counted; and whether WAL and database can belong together.

use super::facts::{Facts, Frames};
use super::frame::{HEAD, HEADER, Head};
use super::{belongs, companion, word};
use crate::format::sqlite::files as beside;
use crate::format::{LogFile, Remark, Word};
use crate::log::bytes::{Bytes, Reader};
use crate::log::fault::{Behind, Cause};
use crate::log::finding::Code;
use crate::log::region::Kind;
use crate::log::survey::{Batch, BatchState, Ended, Ends, Survey};

/// See the top of this file.
pub fn inspect(files: &[LogFile<'_>], surveys: &mut [Survey]) -> Vec<Remark> {
    let Some(log) = beside::log(files) else { return Vec::new() };
    let facts = Facts::of(files, log);
    if let (Some(frames), Some(survey)) = (facts.frames, surveys.get_mut(log)) {
        count_behind(&files[log], &frames, survey);
    }
    let mut remarks: Vec<Remark> = surveys.get(log).map_or(Vec::new(), |survey| {
        word::locate(files, log, survey).iter().map(|words| located(log, words)).collect()
    });
    let size = files[log].src.size();
    if let Some((at, copies)) = facts.frames.and_then(|frames| padding(&files[log], &frames)) {
        let message = format!("{copies} of the first frames repeat the commit before them, to fill a sector");
        remarks.push(Remark { code: Code::PaddingCommits, file: log, at, len: 0, message });
    }
    let mut say = |code, at, message: String| {
        remarks.push(Remark { code, file: log, at, len: 0, message });
    };
    if let Some(header) = facts.header.filter(|header| header.fault.is_none()) {
        if !header.known() {
            say(
                Code::EngineRefuses,
                4,
                format!("format version {}: SQLite refuses to open the database", header.version),
            );
        }
        if size == HEADER {
            if let Some(survey) = surveys.get_mut(log) {
                survey.ends = Ends::BreaksOff;
            }
            say(Code::TornTail, size, "a header and no frame: a crash, or a cut, right behind it".into());
        }
    }
    if facts.frames.is_some_and(|frames| frames.start == 0) {
        say(Code::Malformed, 0, "the header is missing: the file begins with a frame".into());
    }
    match beside::database(files) {
        None if size > 0 && !files[log].stream => say(
            Code::MissingFile,
            0,
            "no database beside it, or an empty one: SQLite would delete this WAL and begin an empty database".into(),
        ),
        Some(database) => {
            let sizes = facts.frames.map(|f| f.shape.page_bytes).zip(beside::page_bytes(files));
            if let Some((own, other)) = sizes.filter(|(own, other)| own != other) {
                let message =
                    format!("pages of {own} bytes, in the database {other}: not this database's WAL");
                say(Code::ForeignRecords, 0, message);
            } else if let (Some(frames), Some(survey)) = (facts.frames, surveys.get(log))
                // Otherwise the pages are those of a transaction that is rolled back first.
                && !companion::rolls_back_first(files)
            {
                remarks.extend(belongs::compare(files, log, database, &frames, survey));
            }
        }
        None => {}
    }
    remarks.extend(companion::remark(files, log));
    remarks
}

/// The first frame that repeats the one before it, commit mark and image, and how many do: engines that do it do it always, so
/// a few frames tell.
fn padding(log: &LogFile<'_>, frames: &Frames) -> Option<(u64, u64)> {
    const FRAMES: u64 = 256;
    let stride = frames.shape.stride();
    let mut reader = Reader::new(log.src);
    let (mut first, mut copies) = (None, 0);
    for n in 1..FRAMES {
        let (at, before) = (frames.start + n * stride, frames.start + (n - 1) * stride);
        let Ok(heads) = Head::at(&mut reader, at).and_then(|h| Ok([Head::at(&mut reader, before)?, h]))
        else {
            break;
        };
        let [old, new] = heads;
        let same = old.commit != 0 && (old.page, old.commit, old.salts) == (new.page, new.commit, new.salts);
        if !same || new.salts != frames.salts {
            continue;
        }
        let image = |reader: &mut Reader<'_>, at| reader.piece(at + HEAD..at + stride).map(<[u8]>::to_vec);
        if image(&mut reader, before).ok()? == image(&mut reader, at).ok()? {
            (first, copies) = (first.or(Some(at)), copies + 1);
        }
    }
    first.map(|at| (at, copies))
}

/// Offers to put a word right.
fn located(file: usize, words: &[Word]) -> Remark {
    /// Under these, chance explains it as well.
    const WEAK: u64 = 1000;
    let Word { at, found, inferred, odds } = words[0];
    let hex = |bytes: [u8; 4]| u32::from_be_bytes(bytes);
    let message = match words.len() {
        1 => {
            let odds = match odds {
                WEAK.. => format!("of damage to several words, 1 piece in {odds} looks like this"),
                _ => "damage to the upper bits of several words can look like this, too".into(),
            };
            format!(
                "one word explains the damage: {:08x} at offset {at} should be {:08x}; {odds}; replay and repair put it \
                 right with --repair-words",
                hex(found),
                hex(inferred),
            )
        }
        n => format!("one word explains the damage, but {n} would do, the first of them at offset {at}"),
    };
    Remark { code: Code::LocatedWord, file, at, len: 4, message }
}

/// Counts the frames behind the live end; those of a transaction that never committed are an orphan.
fn count_behind(log: &LogFile<'_>, frames: &Frames, survey: &mut Survey) {
    let last = survey.regions.as_slice().last().copied();
    let Some(region) = last.filter(|region| region.kind == Kind::Stale) else { return };
    let uncommitted = region.cause == Some(Cause::Behind(Behind::Uncommitted));
    let stride = frames.shape.stride();
    let mut reader = Reader::new(log.src);
    let mut records = 0;
    let mut end = region.at;
    while end.saturating_add(stride) <= region.end() {
        // Only of a spilled transaction can frames of a generation before it lie behind.
        let head = Head::at(&mut reader, end).ok();
        let own = |head: &Head| head.salts == frames.salts || head.blank();
        if uncommitted && !head.is_some_and(|head| own(&head)) {
            break;
        }
        (records, end) = (records + 1, end + stride);
    }
    survey.regions.count(region.at, (region.len / stride).max(records));
    if !uncommitted || records == 0 {
        return;
    }
    let first = region.at.saturating_sub(frames.start) / stride + 1;
    let fresh = Batch {
        state: BatchState::Orphan(Ended::File),
        at: region.at,
        end,
        first,
        last: first,
        records: 0,
        data: 0,
    };
    let open = survey.open.get_or_insert(fresh);
    (open.end, open.last) = (end, first + records - 1);
    open.records += records;
}
