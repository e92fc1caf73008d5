//! The state that the engine holds, as the records of a new log. An engine that takes zeros for deletions, half a value for a
//! whole one or a hint for the truth holds what no choice among the intact records leaves; then its state is written down.

use std::cell::RefCell;

use anyhow::Result;

use crate::analysis::{Forecast, OpenLog, Report};
use crate::fate::Standing;
use crate::format::{Entry, Fresh, Memtable, Role};
use crate::refused::Refused;
use crate::repair::edits::{Edit, Rule, Sink, edits};
use crate::repair::rebuild::Rebuilt;
use crate::replay::diff::compare;
use crate::replay::into::Feed;
use crate::replay::measure::measure;
use crate::replay::state::{Sorted, State};
use crate::replay::walk::{Item, walk, walk_file, written_order};
use crate::replay::{Below, Policy, Replayed, Wish, effect, empty, replay};

/// Memory for each state; what is more goes to a temporary file.
const MEMORY: u64 = 1 << 30;

/// What the engine holds of the log as it is.
///
/// # Errors
/// [`Refused`] when it does not open; when the state cannot be kept.
pub fn engine<'l>(log: &'l OpenLog, report: &Report, mode: Option<&str>) -> Result<Replayed<'l>> {
    let mode = mode.map(str::to_owned);
    // Tables below the log stay as they are.
    let wish = Wish { mode, below: Below::Nothing, ..Wish::new(Policy::Engine, MEMORY) };
    let replayed = replay(log, report, &wish)?;
    if !replayed.opens {
        let why = replayed.error.as_deref().unwrap_or("it stops");
        let path = &report.path;
        let what = match replayed.unknown {
            true => "what the engine would keep is not known",
            false => "the engine does not open this log, so there is nothing that it would keep",
        };
        return Err(Refused(format!("{path}: {what}: {why}")).into());
    }
    Ok(replayed)
}

/// Whether the records that a rule keeps cannot stand for what the engine holds: they leave another state, or become
/// neighbours across what was between them and carry no numbers to show that they belong together.
///
/// # Errors
/// As [`engine`].
pub fn differs(log: &OpenLog, report: &Report, rule: &Rule, mode: Option<&str>) -> Result<bool> {
    let engine = engine(log, report, mode)?;
    // Records of pages hold no keys: a log of them is cut, or makes its pages anew as it is.
    if engine.image.is_some() {
        return Ok(false);
    }
    let state = empty(log, MEMORY);
    let files = log.files();
    let memtable = log.format().memtable(&files);
    let mut kept = Kept { log, report, state, memtable, dropped: false, joined: false };
    edits(log, report, rule, &mut kept)?;
    let joined = kept.joined && !log.format().profile().numbered;
    let counts = compare(log, &engine.state, &kept.state.finish()?, &mut |_| Ok(()))?;
    Ok(joined || counts.differing() > 0)
}

/// The file that takes the new records: the last in which the engine would read any.
pub fn target(report: &Report) -> Option<usize> {
    written_order(report).last().copied()
}

/// Makes the new records, and tells what comes of them.
///
/// # Errors
/// [`Refused`] where no record of this format can hold a key or its value; as [`engine`]; those of `out`.
pub fn records(log: &OpenLog, report: &Report, out: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Rebuilt> {
    let replayed = engine(log, report, None)?;
    let measure = measure(log, &replayed.state)?;
    let (entries, state_sha256) = (measure.keys, measure.main.hash);
    let bytes = write(log, report, &replayed.state, entries, out)?;
    let left_out = report.forecast.as_ref().map_or(0, Forecast::at_stake);
    let corrupt = report.files.iter().any(|f| f.role.counts() && f.end() == "corrupt");
    let lost = corrupt || left_out > 0;
    Ok(Rebuilt {
        entries,
        state_sha256,
        image_sha256: None,
        bytes,
        unfit: 0,
        records: entries,
        left_out,
        lost,
    })
}

fn write(
    log: &OpenLog,
    report: &Report,
    state: &Sorted<'_>,
    entries: u64,
    out: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let format = log.format();
    let role = target(report).map_or(Role::Log, |file| report.files[file].role);
    let (time, highest) = (latest(log, report)?, highest(report));
    let mut seal = format.seal(role);
    let mut seq = highest.saturating_sub(entries);
    let (mut record, mut at, note) = (Vec::new(), 0, RefCell::default());
    for (key, value) in Feed::new(log, state, entries, &note)? {
        seq = seq.saturating_add(1);
        record.clear();
        let fresh = Fresh { key: &key, value: &value, seq, time, alone: entries == 1 };
        format.put(role, log.revision, &fresh, &mut record).map_err(|why| unfit(&key, why))?;
        if let Some(seal) = &mut seal {
            seal.record(at, &Entry { key: Some(&key), ..Entry::default() });
        }
        at += record.len() as u64;
        out(&record)?;
    }
    note.into_inner().end()?;
    record.clear();
    match seal {
        Some(seal) => seal.finish(at, &mut record),
        // The counter is kept even where nothing else is.
        None if entries == 0 && highest > 0 => {
            record.extend(format.gap(highest, highest).unwrap_or_default());
        }
        None => {}
    }
    out(&record)?;
    Ok(at + record.len() as u64)
}

fn unfit(key: &[u8], why: &str) -> Refused {
    /// Of a long key the start is enough.
    const SHOWN: usize = 100;
    let key = key[..key.len().min(SHOWN)].escape_ascii();
    Refused(format!("key {key}: {why}; what the engine holds cannot be written as a log of this format"))
}

/// The number from which the engine counts on.
fn highest(report: &Report) -> u64 {
    let numbers = report.conclusions.numbers.filter(|_| report.format.profile().numbered);
    numbers.map_or(0, |(_, last)| last)
}

/// Bits of the latest time of an intact record; what is written from now on is later.
fn latest(log: &OpenLog, report: &Report) -> Result<u64> {
    let mut latest = None::<f64>;
    walk(log, report, None, &mut |item| {
        let believed = item.fix.is_none() && item.standing == Standing::Committed;
        let time = item.entry().time.filter(|_| believed).map(f64::from_bits);
        latest = latest.into_iter().chain(time).reduce(f64::max);
        Ok(())
    })?;
    // Where none is known, the first second that a clock can have shown.
    Ok(latest.unwrap_or(1.0).to_bits())
}

/// Applies the records that are kept.
struct Kept<'a> {
    log: &'a OpenLog,
    report: &'a Report,
    state: State<'a>,
    /// Turns records into changes, where they are none themselves.
    memtable: Option<Box<dyn Memtable + 'a>>,
    /// Something of the file at hand is left out.
    dropped: bool,
    /// Something behind that is kept, in any file.
    joined: bool,
}

impl Kept<'_> {
    fn apply(&mut self, item: &Item<'_>) -> Result<()> {
        let Kept { memtable, state, .. } = self;
        let Some(memtable) = memtable else { return item.apply(state).map(|_| ()) };
        let mut done = Ok(());
        memtable.insert(item.file, &item.record, item.contents(), &mut |taken| {
            if let (Ok(()), Some(given)) = (&done, &taken.given) {
                done = state.change(&given.key, &effect(&given.effect), taken.place);
            }
        });
        done
    }
}

impl Sink for Kept<'_> {
    fn file(&mut self, _: usize) -> Result<()> {
        self.dropped = false;
        Ok(())
    }

    fn edit(&mut self, edit: Edit<'_>) -> Result<()> {
        match edit {
            Edit::Drop(..) => self.dropped = true,
            Edit::Keep(_) | Edit::Patch(..) | Edit::Relink(..) | Edit::Reframe(..) => {
                self.joined |= self.dropped
            }
            Edit::Insert(_) | Edit::Seal(_) => {}
        }
        Ok(())
    }

    fn untouched(&mut self, file: usize) -> Result<()> {
        walk_file(self.log, self.report, file, u64::MAX, &mut |item| self.apply(item))
    }

    fn record(&mut self, item: &Item<'_>, kept: bool) -> Result<()> {
        if kept { self.apply(item) } else { Ok(()) }
    }
}
