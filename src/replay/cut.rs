//! Points at which a log can be cut without tearing a transaction.

use anyhow::{Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::fate::Standing;
use crate::format::Role;
use crate::log::conclude::Place;
use crate::log::record::Mark;
use crate::log::region::{Kind, Region};
use crate::log::survey::{Ends, Grouping};
use crate::refused::Refused;
use crate::replay::until::{self, Point};
use crate::replay::walk::{Item, walk, written_order};

/// Follows the transactions of the log while records go by; what tables hold is none of it.
struct Transactions<'r> {
    report: &'r Report,
    /// What is open since its begin, and whether it ever committed.
    open: Option<(Place, Standing)>,
    /// Everything up to here is whole.
    whole: Option<Place>,
}

impl<'r> Transactions<'r> {
    fn of(report: &'r Report) -> Self {
        Transactions { report, open: None, whole: None }
    }

    fn begin(&self) -> Option<Place> {
        self.open.map(|open| open.0)
    }

    fn pass(&mut self, item: &Item<'_>) {
        let file = &self.report.files[item.file];
        if file.role != Role::Log || !real(item) || item.standing == Standing::Repeated {
            return;
        }
        let end = Place { file: item.file, at: item.record.end() };
        let broken = matches!(item.standing, Standing::Uncommitted | Standing::Incomplete);
        match (item.record.mark, file.survey.rules.grouping) {
            (Mark::Begin, Grouping::BeginCommit) => self.open = Some((item.place(), item.standing)),
            (Mark::Commit | Mark::Last, _) => (self.open, self.whole) = (None, Some(end)),
            (_, Grouping::CommitOnly) => _ = self.open.get_or_insert((item.place(), item.standing)),
            // What no COMMIT follows is undecided here: it may be cut anywhere, but counts as committed nowhere.
            (_, Grouping::Undecided) => {}
            _ => {
                // A record that counts behind an orphan tells that the orphan is over; so does another file.
                let over = |(place, standing): &(Place, Standing)| {
                    place.file != item.file || *standing == Standing::Uncommitted && !broken
                };
                self.open = self.open.filter(|open| !over(open));
                if self.open.is_none() && !broken {
                    self.whole = Some(end);
                }
            }
        }
    }
}

fn real(item: &Item<'_>) -> bool {
    !matches!(item.standing, Standing::Foreign | Standing::Stale | Standing::Damaged)
}

fn numbered(log: &OpenLog) -> Result<()> {
    let profile = log.format().profile();
    if !profile.numbered {
        bail!("{}: its records carry no sequence numbers to cut at", profile.name);
    }
    Ok(())
}

/// Where the records with numbers above `seq` begin; a transaction that reaches past it is cut off whole, unless
/// `partial`. `None`: there are none.
///
/// # Errors
/// Where records carry no numbers.
pub fn behind_seq(log: &OpenLog, report: &Report, seq: u64, partial: bool) -> Result<Option<Place>> {
    if !partial {
        return Ok(until::find(log, report, Point::Seq(seq))?.map(|cut| cut.at));
    }
    numbered(log)?;
    let mut cut = None;
    walk(log, report, None, &mut |item: &Item<'_>| {
        if cut.is_none() && real(item) && item.seq().is_some_and(|n| n > seq) {
            cut = Some(item.place());
        }
        Ok(())
    })?;
    Ok(cut)
}

/// Where the records from number `seq` on begin; a transaction that begins before it and reaches past it is kept whole,
/// unless `partial`. `None`: at the very start.
///
/// # Errors
/// Where records carry no numbers, or none has so high a number; [`Refused`] where the rest is nothing without its start.
pub fn from_seq(log: &OpenLog, report: &Report, seq: u64, partial: bool) -> Result<Option<Place>> {
    numbered(log)?;
    if log.linked() {
        let why = "its database lacks what the first records say; write them into one with replay --until N --into FILE";
        return Err(Refused(format!("{}: {why}", log.log.path)).into());
    }
    let (mut transactions, mut cut, mut first) = (Transactions::of(report), None, true);
    walk(log, report, None, &mut |item: &Item<'_>| {
        if cut.is_none() && real(item) && item.seq().is_some_and(|n| last(item, n) >= seq) {
            let begin = transactions.begin().filter(|_| !partial && item.record.mark != Mark::Begin);
            cut = Some((!first).then_some(begin.unwrap_or(item.place())));
        }
        first = false;
        transactions.pass(item);
        Ok(())
    })?;
    match cut {
        Some(cut) => {
            if let Some(place) = cut {
                movable(log, report, place)?;
            }
            Ok(cut)
        }
        None => {
            Err(Refused(format!("no record has number {seq} or a higher one: everything would be cut off"))
                .into())
        }
    }
}

/// The last of the numbers of a record, of which `first` is the first.
fn last(item: &Item<'_>, first: u64) -> u64 {
    let numbers = item.record.next.saturating_sub(item.record.seq).max(1);
    first.saturating_add(numbers - 1)
}

/// Refuses a cut that would give damaged bytes another place, where records depend on it.
fn movable(log: &OpenLog, report: &Report, from: Place) -> Result<()> {
    let (files, file) = (log.files(), &report.files[from.file]);
    let behind =
        |region: &&Region| region.end() > from.at && !region.kind.sound() && region.kind != Kind::Stale;
    let damage = file.survey.regions.as_slice().iter().find(behind);
    match damage.filter(|_| from.at > 0 && log.format().framer(&files, from.file).is_some()) {
        Some(region) => Err(Refused(format!(
            "{}: what lies behind the cut has to be written anew, and it is damaged at offset {}; repair it first",
            file.name, region.at
        ))
        .into()),
        None => Ok(()),
    }
}

/// Where the first damage of the log begins, in the order in which it was written; a transaction that is open there is cut
/// off whole, unless `partial`. `None`: nothing is damaged.
///
/// # Errors
/// Those of reading.
pub fn at_damage(log: &OpenLog, report: &Report, partial: bool) -> Result<Option<Place>> {
    let Some(damage) = first_damage(log, report) else { return Ok(None) };
    Ok(Some(if partial { damage } else { whole(log, report, damage)? }))
}

/// The place, or the begin of the transaction that is open there.
///
/// # Errors
/// Those of reading.
pub fn whole(log: &OpenLog, report: &Report, place: Place) -> Result<Place> {
    let mut transactions = Transactions::of(report);
    walk(log, report, Some(place), &mut |item: &Item<'_>| {
        transactions.pass(item);
        Ok(())
    })?;
    Ok(transactions.begin().unwrap_or(place))
}

/// Where the first damage begins; a record of which only the first part is left in front of it is part of it.
fn first_damage(log: &OpenLog, report: &Report) -> Option<Place> {
    let logs = written_order(report).into_iter().filter(|&i| report.files[i].role == Role::Log);
    logs.into_iter().find_map(|file| {
        let at = match report.files[file].survey.regions.first_bad() {
            Some(bad) => begun(log, report, Place { file, at: bad }).unwrap_or(bad),
            None => unwritten(log, report, file)?,
        };
        Some(Place { file, at })
    })
}

/// Where what was never written whole begins at the end of a file, though nothing in it is damaged.
pub fn unwritten(log: &OpenLog, report: &Report, file: usize) -> Option<u64> {
    let survey = &report.files[file].survey;
    match survey.ends {
        Ends::Whole => None,
        Ends::Unwritten => survey.regions.as_slice().last().map(|last| last.at),
        Ends::BreaksOff => begun(log, report, Place { file, at: report.files[file].bytes }),
    }
}

/// Where the record begins of which only the first part stands in front of a place.
fn begun(log: &OpenLog, report: &Report, place: Place) -> Option<u64> {
    let before = report.files[place.file].survey.regions.find(place.at.checked_sub(1)?)?;
    let framing = before.kind == Kind::Framing;
    let span = before.at..place.at;
    framing.then(|| log.format().begun(&log.files(), place.file, span)).flatten()
}

/// Behind the last committed record in front of any damage. `None`: the log ends there.
///
/// # Errors
/// Where nothing in front of the damage is committed.
pub fn last_commit(log: &OpenLog, report: &Report) -> Result<Option<Place>> {
    let damage = first_damage(log, report);
    let mut transactions = Transactions::of(report);
    walk(log, report, damage, &mut |item: &Item<'_>| {
        transactions.pass(item);
        Ok(())
    })?;
    if report.files.iter().filter(|f| f.role == Role::Log).all(|f| f.bytes == 0) {
        return Ok(None);
    }
    let Some(whole) = transactions.whole else {
        return Err(Refused(
            "nothing in front of the first damage is committed: everything would be cut off".into(),
        )
        .into());
    };
    let order: Vec<usize> =
        written_order(report).into_iter().filter(|&i| report.files[i].role == Role::Log).collect();
    let rest = order.iter().skip_while(|&&f| f != whole.file);
    let ends = rest.enumerate().all(|(n, &f)| report.files[f].bytes == if n == 0 { whole.at } else { 0 });
    Ok((!ends).then_some(whole))
}

/// At an offset of the named file, or of the last one; refused inside a record or transaction, unless `partial`.
///
/// # Errors
/// [`Refused`] with the nearest places that would do; where there is no such file or offset.
pub fn at_offset(
    log: &OpenLog,
    report: &Report,
    name: Option<&str>,
    at: u64,
    partial: bool,
) -> Result<Place> {
    let logs: Vec<usize> =
        written_order(report).into_iter().filter(|&i| report.files[i].role == Role::Log).collect();
    let file = match name {
        Some(name) => logs.iter().copied().find(|&i| *report.files[i].name == *name),
        None => logs.last().copied(),
    };
    let Some(file) = file else { bail!("--file {}: no such file in this log", name.unwrap_or("")) };
    let (name, bytes) = (&report.files[file].name, report.files[file].bytes);
    if at > bytes {
        bail!("--at {at}: {name} has {bytes} bytes");
    }
    let cut = Place { file, at };
    if partial {
        return Ok(cut);
    }
    let (mut transactions, mut inside) = (Transactions::of(report), None);
    walk(log, report, Some(cut), &mut |item: &Item<'_>| {
        if item.file == file && item.record.end() > at {
            inside = Some((item.record.at, item.record.end()));
        }
        transactions.pass(item);
        Ok(())
    })?;
    let refuse = |why: String| Err(Refused(format!("{name}, offset {at}: {why}")).into());
    match (inside, transactions.begin()) {
        (Some((from, to)), _) => {
            refuse(format!("lies inside a record; cut at {from} or {to}, or --force-partial"))
        }
        (None, Some(begin)) if begin.file == file => refuse(format!(
            "lies inside a transaction that begins at {}; cut there, or --force-partial",
            begin.at
        )),
        _ => Ok(cut),
    }
}
