//! The conclusions that need neighbours, drawn once over the surveys of all files of a log: wrong numbers at the edges
//! of files, records of another log, gaps and their causes, repeats, resets, batches that are not whole.

use super::fault::Cause;
use super::numbering::{Judgement, Numbering, Run, judge, looks_damaged, room};
use super::record::Fix;
use super::region::{Kind, Region};
use super::rising::rising;
use super::survey::{Batch, BatchState, Ended, Grouping, Survey};
use super::walk::walk;

/// A place in a log: index of the file, offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the file.
    pub file: usize,
    /// Offset in bytes.
    pub at: u64,
}

/// Numbers missing between intact neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First and last number missing.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// End of the intact record before; `None`: the log begins with the record behind.
    pub after: Option<Place>,
    /// Start of the intact record behind.
    pub before: Place,
    /// The likely cause.
    pub cause: GapCause,
    /// How many of its records were recovered after all.
    pub recovered: u64,
}

/// Why numbers are missing, as far as the bytes around tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// Damaged bytes lie at this spot, enough of them for the records missing.
    Damage,
    /// The file before ends too early: it was cut, or its tail never reached the disk.
    TruncatedFile,
    /// A file number is missing exactly here.
    MissingFile,
    /// The file between is there, and empty.
    EmptyFile,
    /// Nothing at this spot explains it: whole records were removed, or never written.
    Unexplained,
}

impl GapCause {
    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            GapCause::Damage => "damage",
            GapCause::TruncatedFile => "truncated-file",
            GapCause::MissingFile => "missing-file",
            GapCause::EmptyFile => "empty-file",
            GapCause::Unexplained => "unexplained",
        }
    }
}

/// Numbers that occur again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// First and last number of the run.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Where the run lies.
    pub place: Place,
    /// Its length in bytes.
    pub len: u64,
    /// What kind of step back it is.
    pub kind: RepeatKind,
    /// Index of the file of which this one is a copy.
    pub of: Option<usize>,
}

/// See [`Repeat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatKind {
    /// The same numbers lie before already: a copied file, or one written twice.
    Repeated,
    /// The engine went on behind damage with the numbers it still knew.
    Reused,
    /// Counting began at 1 again.
    Reset,
    /// The run fills a hole that its neighbours have: files in the wrong order.
    OutOfOrder,
}

impl RepeatKind {
    /// The word of reports.
    pub fn word(self) -> &'static str {
        match self {
            RepeatKind::Repeated => "repeated",
            RepeatKind::Reused => "reused",
            RepeatKind::Reset => "reset",
            RepeatKind::OutOfOrder => "out-of-order",
        }
    }
}

/// A batch that is not whole, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwhole {
    /// Index of the file.
    pub file: usize,
    /// The batch.
    pub batch: Batch,
    /// Why it counts as an orphan.
    pub why: &'static str,
}

/// Where the files begin that the engine reads, in logs of which something else tells what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Index of the first of them.
    pub file: usize,
    /// The first number that is to be found nowhere else.
    pub due: u64,
    /// Numbers from there on that they lack in front are missing; or else they were given to what no log has to hold.
    pub sure: bool,
    /// Why numbers from there on are missing, where no damage explains it.
    pub cause: GapCause,
}

/// What neighbours reveal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conclusions {
    /// In order.
    pub gaps: Vec<Gap>,
    /// In order.
    pub repeats: Vec<Repeat>,
    /// In order of file and offset.
    pub batches: Vec<Unwhole>,
    /// First and last number of the log.
    pub numbers: Option<(u64, u64)>,
    /// Where the log begins, if that is known.
    pub start: Option<Start>,
    /// Intact and recovered records that change something and that are committed, damage or not.
    pub committed: u64,
    /// Of these, what lies behind the last commit where nothing tells whether it belongs to a batch.
    pub undecided: u64,
    /// Commits whose batch is whole.
    pub transactions: u64,
    /// Breaks in the numbers and batches not listed, for there are too many.
    pub unlisted: u64,
}

/// One file as `conclude` sees it.
pub struct Member<'a> {
    /// Its number, where names carry one.
    pub number: Option<u64>,
    /// Whether its records count: tables and hints do not take part in numbering.
    pub counts: bool,
    /// Its survey.
    pub survey: &'a mut Survey,
}

impl Member<'_> {
    /// Whether its numbers are its own.
    fn numbered(&self) -> bool {
        self.counts && self.survey.copy_of.is_none()
    }
}

/// Draws the conclusions. Regions of foreign records and of records with a wrong number are reclassified in place.
pub fn conclude(files: &mut [Member<'_>], start: Option<Start>) -> Conclusions {
    let mut out = Conclusions { start, ..Conclusions::default() };
    let mut runs: Vec<(usize, Run)> = files
        .iter()
        .enumerate()
        .filter(|(_, f)| f.numbered() && matches!(f.survey.rules.numbering, Numbering::Contiguous { .. }))
        .flat_map(|(i, f)| f.survey.runs.iter().filter(|r| r.records > 0).map(move |&r| (i, r)))
        .collect();
    demote_wrong_numbers(files, &mut runs);
    disown_copies(files, &mut runs);
    let (leading, trailing) = recovered_edges(files);
    let before = between_recovered(files, None, &leading, &mut out);
    walk(files, &mut runs, before, &mut out);
    between_recovered(files, runs.last().copied(), &trailing, &mut out);
    list_copies(files, &mut out);
    out.numbers = runs
        .iter()
        .filter_map(|(_, r)| Some((r.first, r.next.checked_sub(1)?)))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        // Records that take no numbers stand in front of one, which nothing has.
        .filter(|(first, last)| first <= last);
    list_batches(files, &mut out);
    for f in files.iter() {
        out.unlisted += f.survey.runs_unlisted + f.survey.batches_unlisted;
    }
    out
}

/// Runs of one record whose number both neighbours contradict, where the survey of one file could not see them.
fn demote_wrong_numbers(files: &mut [Member<'_>], runs: &mut Vec<(usize, Run)>) {
    let mut kept: Vec<(usize, Run)> = Vec::with_capacity(runs.len());
    for i in 0..runs.len() {
        let (file, run) = runs[i];
        let before = kept.last().copied();
        let alone = run.records == 1 && !files[file].survey.rules.proves_numbers();
        let verdict = if alone { lone_number(files, before, (file, run), &runs[i + 1..]) } else { None };
        match verdict {
            Some(truth) => {
                let inferred = truth.unwrap_or(Fix::UNKNOWN);
                let fix = Fix { field: "seq", found: run.first, inferred };
                let cause = Cause::Number { found: run.first, expected: inferred };
                files[file].survey.regions.reclass(run.at, run.end, Kind::Recovered, cause, Some(fix));
                if let Some(truth) = truth {
                    renumber_batches(files[file].survey, &run, truth);
                }
                let survey = &mut *files[file].survey;
                survey.data = survey.data.saturating_sub(run.data);
                survey.recovered_data += run.data;
            }
            None => kept.push((file, run)),
        }
    }
    *runs = kept;
}

/// A batch that begins or ends with a record whose number was wrong has not lost a member for that.
fn renumber_batches(survey: &mut Survey, run: &Run, truth: u64) {
    for batch in survey.batches.iter_mut().chain(&mut survey.open) {
        if batch.at == run.at {
            batch.first = truth;
        }
        if batch.end == run.end {
            batch.last = truth;
        }
    }
    let whole = |b: &Batch| b.last.saturating_sub(b.first).saturating_add(1) <= b.records;
    survey.batches.retain(|b| b.state != BatchState::LostMember || !whole(b));
}

/// `Some` when the number of a lone record is wrong, with its true value if it can be told.
fn lone_number(
    files: &[Member<'_>],
    before: Option<(usize, Run)>,
    (file, run): (usize, Run),
    behind: &[(usize, Run)],
) -> Option<Option<u64>> {
    /// The next run may have a wrong number itself: so many are asked.
    const WITNESSES: usize = 8;
    let Some((fa, a)) = before else {
        let &(fb, b) = behind.first()?;
        let lower = b.first < run.first && room_between(files, (file, run.end), (fb, b.at)) == 0;
        return lower.then(|| b.first.checked_sub(1).filter(|&n| n > 0));
    };
    let restarts = files[file].survey.rules.numbering == (Numbering::Contiguous { restarts: true });
    if run.first == a.next || (restarts && run.first == 1) {
        return None;
    }
    let left = room_between(files, (fa, a.end), (file, run.at));
    for (n, &(fb, b)) in behind.iter().take(WITNESSES).enumerate() {
        // Records with wrong numbers lie between: they take up room like damaged ones.
        let right = room_between(files, (file, run.end), (fb, b.at)).saturating_add(n as u64);
        if let Judgement::Wrong(truth) = judge(a.next, run.first, run.next, b.first, left, right) {
            return Some(truth);
        }
        let follows = b.first.checked_sub(run.next).is_some_and(|missing| missing <= right);
        if follows {
            return None;
        }
    }
    // At the end of the log: where nothing lies between, nothing explains a jump.
    let fits = run.first.checked_sub(a.next).is_some_and(|missing| missing <= left);
    let wrong = behind.is_empty() && !fits && fa == file && looks_damaged(run.first, a.next);
    wrong.then_some((left == 0).then_some(a.next))
}

/// How many records can be missing between two places: by the damage there; any number where a file is missing or ends
/// too early.
pub(super) fn room_between(files: &[Member<'_>], a: (usize, u64), b: (usize, u64)) -> u64 {
    if a.0 != b.0
        && (missing_numbers(files, a.0, b.0) || unsound(files, a, b).any(|(_, r)| r.kind == Kind::Torn))
    {
        return u64::MAX;
    }
    room(unsound(files, a, b).map(|(_, r)| r.len).sum())
}

fn unsound<'f>(
    files: &'f [Member<'_>],
    a: (usize, u64),
    b: (usize, u64),
) -> impl Iterator<Item = (usize, &'f Region)> + 'f {
    (a.0..=b.0).flat_map(move |i| {
        let regions = files[i].survey.regions.as_slice();
        let first = if i == a.0 { regions.partition_point(|r| r.at < a.1) } else { 0 };
        let to = if i == b.0 { b.1 } else { u64::MAX };
        regions[first..]
            .iter()
            .take_while(move |r| r.at < to)
            .filter(|r| !r.kind.sound())
            .map(move |r| (i, r))
    })
}

/// Whether file numbers between two files of the log are missing.
fn missing_numbers(files: &[Member<'_>], a: usize, b: usize) -> bool {
    let numbers = files[a..=b].iter().filter(|f| f.counts).filter_map(|f| f.number);
    numbers.clone().zip(numbers.skip(1)).any(|(x, y)| y > x + 1)
}

/// The index of a file, and a run in it.
pub(super) type Filed = (usize, Run);

/// Runs without an intact record: what is recovered in front of the first one, and behind the last, where checksums prove numbers.
fn recovered_edges(files: &[Member<'_>]) -> (Vec<Filed>, Vec<Filed>) {
    let proved = files.iter().enumerate().filter(|(_, f)| f.numbered() && f.survey.rules.proves_numbers());
    let runs = || proved.clone().flat_map(|(i, f)| f.survey.runs.iter().map(move |&run| (i, run)));
    let leading = runs().take_while(|(_, run)| run.records == 0).collect();
    let last = runs().enumerate().filter(|(_, (_, run))| run.records > 0).map(|(nth, _)| nth).last();
    let trailing = last.map_or(Vec::new(), |last| runs().skip(last + 1).collect());
    (leading, trailing)
}

/// Gaps in front of recovered records; the last of these records, or what lies before them.
fn between_recovered(
    files: &[Member<'_>],
    mut before: Option<Filed>,
    recovered: &[Filed],
    out: &mut Conclusions,
) -> Option<Filed> {
    for &(file, run) in recovered {
        if before.is_some_and(|(_, a)| run.first < a.next) {
            continue;
        }
        if let Some(due) = due(out.start, before.map(|(fa, a)| (fa, a.next)), (file, run)) {
            out.gap(files, before, (file, run), due);
        }
        before = Some((file, run));
    }
    before
}

/// Sets apart the runs of each file that break the order of the others, where numbers are proved: what was copied over another
/// place stands where its numbers do not belong, before or behind the records that it is a copy of. Those in order are the
/// ones that hold most records together.
fn disown_copies(files: &mut [Member<'_>], runs: &mut Vec<(usize, Run)>) {
    let mut kept = Vec::with_capacity(runs.len());
    for of_file in runs.chunk_by(|a, b| a.0 == b.0) {
        let proved = of_file.first().is_some_and(|(file, _)| files[*file].survey.rules.proves_numbers());
        // Those that take no numbers say nothing of where they belong.
        let counts = |run: &Run| run.next > run.first;
        let counted: Vec<_> = of_file.iter().copied().filter(|(_, run)| counts(run)).collect();
        let rises = counted.windows(2).all(|pair| pair[0].1.first < pair[1].1.first);
        if rises || !proved {
            kept.extend_from_slice(of_file);
            continue;
        }
        let (mut due, mut in_order) = (0, rising(&counted).into_iter());
        for &(file, run) in of_file {
            if !counts(&run) || in_order.next().unwrap_or(true) {
                due = run.next;
                kept.push((file, run));
            } else {
                disown(files[file].survey, &run, due);
            }
        }
    }
    *runs = kept;
}

/// These records are not this log's, or not here.
pub(super) fn disown(survey: &mut Survey, run: &Run, due: u64) {
    let cause = Cause::Number { found: run.first, expected: due };
    survey.regions.reclass(run.at, run.end, Kind::Foreign, cause, None);
    survey.data = survey.data.saturating_sub(run.data);
    survey.batches.retain(|b| b.at < run.at || b.at >= run.end);
    survey.open = survey.open.filter(|b| b.at < run.at || b.at >= run.end);
}

pub(super) fn push_bounded<T>(list: &mut Vec<T>, item: T, limit: usize, unlisted: &mut u64) {
    if list.len() < limit { list.push(item) } else { *unlisted += 1 }
}

/// The number that is due where a run begins: the one behind the run before, and where the files begin that the engine reads one
/// that nothing else holds.
pub(super) fn due(start: Option<Start>, before: Option<(usize, u64)>, (file, run): Filed) -> Option<u64> {
    let next = before.map(|(_, next)| next);
    let start = start.filter(|start| file >= start.file && before.is_none_or(|(fa, _)| fa < start.file));
    let Some(start) = start else { return next };
    // What it lacks in front of that lies elsewhere.
    let due = if start.sure { start.due.min(run.first) } else { run.first };
    Some(next.map_or(due, |next| next.max(due)))
}

impl Conclusions {
    /// First and last number, those of records included that lie beside a gap and are recovered.
    pub fn reach(&self) -> Option<(u64, u64)> {
        let around = |gap: &Gap| match gap.after {
            Some(_) => (gap.first.saturating_sub(1), gap.last.saturating_add(1)),
            None => (gap.last.saturating_add(1), gap.last.saturating_add(1)),
        };
        let ends = self.numbers.into_iter().chain(self.gaps.iter().map(around));
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Numbers from `due` on are missing in front of a run; `before`: the run before, if there is one.
    pub(super) fn gap(&mut self, files: &[Member<'_>], before: Option<Filed>, (fb, b): Filed, due: u64) {
        if b.first <= due {
            return;
        }
        let from = before.map_or((self.start.map_or(fb, |start| start.file), 0), |(fa, a)| (fa, a.end));
        let missing = b.first - due;
        let (mut damaged, mut recovered) = (0u64, 0u64);
        for (_, r) in unsound(files, from, (fb, b.at)) {
            damaged += r.len;
            recovered += if r.kind == Kind::Recovered { r.records } else { 0 };
        }
        // A record's usual size, from the intact ones beside the gap; a quarter of it is still plausible.
        let (_, beside) = before.unwrap_or((fb, b));
        let usual = ((beside.end - beside.at) / beside.records.max(1)).max(1);
        let fits = damaged > 0 && damaged.saturating_mul(4) >= missing.saturating_mul(usual);
        let cause = match before {
            // Damage in front of all records says itself what it cost.
            None if fits => return,
            None => self.start.map_or(GapCause::Unexplained, |start| start.cause),
            Some(_) if fits => GapCause::Damage,
            Some((fa, _)) => between(files, fa, fb).unwrap_or(match damaged {
                0 => GapCause::Unexplained,
                _ => GapCause::Damage,
            }),
        };
        let after = before.map(|(file, a)| Place { file, at: a.end });
        let before = Place { file: fb, at: b.at };
        let gap = Gap { first: due, last: b.first - 1, after, before, cause, recovered };
        push_bounded(&mut self.gaps, gap, files[fb].survey.regions.limit(), &mut self.unlisted);
    }
}

/// Why numbers are missing between two files.
fn between(files: &[Member<'_>], fa: usize, fb: usize) -> Option<GapCause> {
    let empty = || (fa + 1..fb).any(|i| files[i].counts && files[i].survey.regions.end() == 0);
    match () {
        () if fa == fb => None,
        () if missing_numbers(files, fa, fb) => Some(GapCause::MissingFile),
        () if empty() => Some(GapCause::EmptyFile),
        () => Some(GapCause::TruncatedFile),
    }
}

/// Whether counting begins at 1 behind every commit.
fn restarts(survey: &Survey) -> bool {
    survey.rules.numbering == Numbering::Contiguous { restarts: true }
}

/// What lies in copies of other files is there twice, and counts once.
fn list_copies(files: &[Member<'_>], out: &mut Conclusions) {
    for (file, f) in files.iter().enumerate().filter(|(_, f)| f.counts && f.survey.copy_of.is_some()) {
        for run in f.survey.runs.iter().filter(|run| run.next > run.first) {
            let (place, len) = (Place { file, at: run.at }, run.end - run.at);
            let (first, last, of) = (run.first, run.next - 1, f.survey.copy_of);
            let repeat = Repeat { first, last, place, len, kind: RepeatKind::Repeated, of };
            push_bounded(&mut out.repeats, repeat, f.survey.regions.limit(), &mut out.unlisted);
        }
    }
    out.repeats.sort_by_key(|repeat| repeat.place);
}

fn list_batches(files: &[Member<'_>], out: &mut Conclusions) {
    for (file, f) in files.iter().enumerate().filter(|(_, f)| f.numbered()) {
        let survey = &*f.survey;
        let (mut lost, mut unwhole) = (0, 0);
        let single = survey.rules.grouping == Grouping::BeginCommit;
        for &batch in survey.batches.iter().chain(&survey.open) {
            let why = match batch.state {
                BatchState::LostMember if survey.rules.grouping == Grouping::CommitOnly => {
                    "a record in front of its COMMIT is missing"
                }
                BatchState::LostMember => "a record between its BEGIN and its COMMIT is missing",
                BatchState::NoBegin { hole: true } => "its BEGIN lies in the missing range",
                BatchState::NoBegin { hole: false } => "its BEGIN was cut off, as a truncate does",
                // Nothing marks where members end and single writes, made after a reopen, begin.
                BatchState::Orphan(Ended::File) if single => {
                    "the file ends before its COMMIT; single writes after a reopen would look the same"
                }
                BatchState::Orphan(Ended::Begin) if single => {
                    "another BEGIN comes before its COMMIT; single writes after a reopen would look the same"
                }
                BatchState::Orphan(Ended::File) if !restarts(survey) => "nothing behind it commits it",
                BatchState::Orphan(Ended::File) => {
                    "the file ends before its COMMIT; single writes after a reopen would look the same"
                }
                BatchState::Orphan(Ended::Begin) => {
                    "another BEGIN comes before its COMMIT; single writes after a reopen would look the same"
                }
                BatchState::Orphan(Ended::Hole) => {
                    "numbers are missing where it goes on, and no COMMIT follows"
                }
                BatchState::Orphan(Ended::Torn) => "its write was torn before the COMMIT",
                BatchState::Orphan(Ended::Prepared) => {
                    "prepared, and neither committed nor rolled back: the engine keeps it for the application to decide"
                }
            };
            lost += if batch.state == (BatchState::NoBegin { hole: false }) { 0 } else { batch.data };
            let short = matches!(batch.state, BatchState::LostMember | BatchState::NoBegin { hole: true });
            unwhole += u64::from(short);
            out.batches.push(Unwhole { file, batch, why });
        }
        let all = survey.data + survey.recovered_data;
        out.committed += all.saturating_sub(lost);
        out.transactions += survey.commits.saturating_sub(unwhole);
        if survey.rules.grouping == Grouping::Undecided {
            out.undecided += all;
            if survey.commits > 0 {
                out.undecided = all - survey.data_to_last_commit.min(all);
            }
        }
    }
    out.batches.sort_by_key(|u| (u.file, u.batch.at));
}
