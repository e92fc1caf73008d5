//! From files to a report: surveys in parallel, conclusions once, the engine's own outcome beside them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use crate::format::{Claim, Format, Job, LogFile, Memo, Opened, Outcome, Remark, Role};
use crate::io::listing::{Log, LogPath, Wanted};
use crate::io::source::Source;
use crate::log::bytes::{ReadAt, Reader};
use crate::log::conclude::{Conclusions, Gap, Member, RepeatKind, Unwhole, conclude};
use crate::log::decoder::Decoder;
use crate::log::fault::Cause;
use crate::log::finding::{Class, Code};
use crate::log::region::{Kind, Region};
use crate::log::scan::scan;
use crate::log::survey::{BatchState, Survey, Surveyor};

/// A log opened for reading: what every command starts from.
pub struct OpenLog {
    /// What was found, and how.
    pub log: Log,
    sources: Vec<Source>,
    failures: Vec<Option<String>>,
    memo: Memo,
    /// Revision to read it by: named by the user, or told by the bytes.
    pub revision: Option<&'static str>,
    /// How the revision was told.
    pub revision_reason: String,
    /// The user named it.
    pub revision_named: bool,
}

impl OpenLog {
    /// Opens the files of a log. One that cannot be opened does not stop the others.
    ///
    /// # Errors
    /// When `--revision` names none of the format's.
    pub fn new(log: Log, wanted: &Wanted) -> anyhow::Result<OpenLog> {
        let profile = log.format.profile();
        let named = match wanted.revision.as_deref() {
            Some(name) => match profile.revisions.iter().find(|r| **r == name) {
                Some(&name) => Some(name),
                None if profile.revisions.is_empty() => {
                    anyhow::bail!("--revision {name}: {} has only one revision", profile.name)
                }
                None => anyhow::bail!(
                    "--revision {name}: {} has no such revision; known: {}",
                    profile.name,
                    profile.revisions.join(", ")
                ),
            },
            None => None,
        };
        // A process may hold about a thousand files open; many segments are opened anew for each read.
        let keep_open = log.files.len() <= 256;
        let (mut sources, mut failures) = (Vec::new(), Vec::new());
        for file in &log.files {
            let opened = match &file.path {
                Some(path) => Source::open(path, wanted.map, keep_open),
                None => Source::stdin(),
            };
            let (source, failure) = match opened {
                Ok(source) => (source, None),
                Err(e) => (Source::memory(Vec::new()), Some(format!("{e:#}"))),
            };
            sources.push(source);
            failures.push(failure);
        }
        // Where nothing at all could be read there is nothing to report on.
        if let Some(Some(failure)) = failures.first().filter(|_| failures.iter().all(Option::is_some)) {
            anyhow::bail!("{failure}");
        }
        let mut open = OpenLog {
            log,
            sources,
            failures,
            memo: Memo::default(),
            revision: named,
            revision_reason: String::from("named by --revision"),
            revision_named: named.is_some(),
        };
        open.tell_revision();
        Ok(open)
    }

    /// A log in memory, its files named as they would be in a directory: for tests, fuzzing and other programs.
    /// Files whose names the format does not know are taken for logs.
    pub fn memory(
        format: &'static dyn Format,
        files: Vec<(String, Vec<u8>)>,
        revision: Option<&'static str>,
    ) -> OpenLog {
        let unnamed = Claim { role: Role::Log, order: u64::MAX, exact: false, read: true };
        let mut named: Vec<(LogPath, Source)> = files
            .into_iter()
            .map(|(name, bytes)| {
                let claim = format.claim(&name).unwrap_or(unnamed);
                (LogPath { name: name.into(), path: None, claim }, Source::memory(bytes))
            })
            .collect();
        named.sort_by(|(a, _), (b, _)| (a.claim.order, &a.name).cmp(&(b.claim.order, &b.name)));
        let (files, sources): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let path = String::from("memory");
        let recognised_by = String::from("named by the caller");
        let failures = files.iter().map(|_| None).collect();
        let log =
            Log { place: PathBuf::from(&path), path, format, recognised_by, files, ignored: Vec::new() };
        let mut open = OpenLog {
            log,
            sources,
            failures,
            memo: Memo::default(),
            revision,
            revision_reason: String::from("named by the caller"),
            revision_named: revision.is_some(),
        };
        open.tell_revision();
        open
    }

    /// Asks the bytes for the revision, unless the user named it.
    fn tell_revision(&mut self) {
        if !self.revision_named {
            let told = self.log.format.revision(&self.files());
            (self.revision, self.revision_reason) = (told.name, told.reason);
        }
    }

    /// The format.
    pub fn format(&self) -> &'static dyn Format {
        self.log.format
    }

    /// Its files, as formats see them.
    pub fn files(&self) -> Vec<LogFile<'_>> {
        let pairs = self.log.files.iter().zip(&self.sources);
        pairs.map(|(f, src)| LogFile { name: &f.name, claim: f.claim, src, memo: Some(&self.memo) }).collect()
    }

    /// The bytes of one file.
    pub fn source(&self, file: usize) -> &Source {
        &self.sources[file]
    }

    /// Where a file lies; `None`: standard input.
    pub fn path(&self, file: usize) -> Option<&Path> {
        self.log.files[file].path.as_deref()
    }

    /// Bytes in all files.
    pub fn bytes(&self) -> u64 {
        self.sources.iter().map(ReadAt::size).sum()
    }

    /// Bytes read so far by the surveys that are under way.
    pub fn progress(&self) -> u64 {
        self.sources.iter().map(Source::progress).sum()
    }

    /// Surveys every file on `threads` threads and draws the conclusions.
    pub fn analyse(&self, threads: usize) -> Report {
        let files = self.files();
        let (mut surveys, mut reads) = self.survey(&files, threads);
        // What only the format can see comes first: a record it takes back is missing from the numbers.
        let remarks = self.format().inspect(&files, &mut surveys, self.revision);
        let mut members: Vec<Member<'_>> = files
            .iter()
            .zip(&mut surveys)
            .map(|(f, survey)| Member {
                number: Some(f.claim.order).filter(|&n| n != u64::MAX),
                counts: f.claim.role.counts(),
                survey,
            })
            .collect();
        let conclusions = conclude(&mut members);
        // Of a million files no list is kept that can be made again.
        drop((members, files));
        // From the back, so that the room of the surveys shrinks while that of the reports grows.
        let mut reports = Vec::with_capacity(surveys.len());
        while let Some(mut survey) = surveys.pop() {
            let i = surveys.len();
            if i.is_multiple_of(1 << 12) {
                surveys.shrink_to_fit();
            }
            let read = reads.remove(&i).unwrap_or_default();
            mark_unreadable(&mut survey, &read.unreadable);
            reports.push(self.file_report(i, survey, read));
        }
        reports.reverse();
        let mut report = Report {
            path: self.log.path.clone(),
            place: self.log.place.clone(),
            format: self.format(),
            revision: self.revision,
            revision_reason: self.revision_reason.clone(),
            revision_named: self.revision_named,
            recognised_by: self.log.recognised_by.clone(),
            files: reports,
            ignored: self.log.ignored.clone(),
            conclusions,
            remarks,
            forecast: None,
        };
        report.settle_revision();
        let intact = report.conclusions.committed;
        // Asking the engine means reading everything once more: not where it cannot but agree.
        let sound = report.conclusions.undecided == 0
            && report.conclusions.numbers.is_none_or(|n| n.0 > 0)
            && report.findings().all(|f| f.class == Class::Note && f.code.harmless());
        let engine = if sound {
            Outcome { opens: true, error: None, records: intact, halts: Vec::new() }
        } else {
            let surveys: Vec<&Survey> = report.files.iter().map(|f| &f.survey).collect();
            let files = self.files();
            let job = Job { files: &files, surveys: &surveys, revision: self.revision, engine: None };
            self.format().engine(&job, None)
        };
        report.forecast = Some(Forecast { engine, intact });
        report
    }

    fn file_report(&self, file: usize, survey: Survey, read: Read) -> FileReport {
        let f = &self.log.files[file];
        let odd = f.path.as_ref().filter(|path| path.file_name().is_some_and(|n| n.to_str().is_none()));
        FileReport {
            name: f.name.clone(),
            odd: odd.map(|path| Box::from(&**path)),
            role: f.claim.role,
            bytes: self.sources[file].size(),
            survey,
            unreadable: read.unreadable,
            failure: self.failures[file].clone(),
            shrunk: read.shrunk,
            changed: self.sources[file].changed(),
        }
    }

    /// The survey of each file, and what there is to say about reading some of them.
    fn survey(&self, files: &[LogFile<'_>], threads: usize) -> (Vec<Survey>, HashMap<usize, Read>) {
        let (next, reads) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
        let surveys: Vec<OnceLock<Survey>> = files.iter().map(|_| OnceLock::new()).collect();
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= files.len() {
                    break;
                }
                let (survey, read) = survey_file(self.format(), files, i, self.revision);
                surveys[i].set(survey).expect("no other worker takes the same file");
                if read != Read::default() {
                    reads.lock().unwrap_or_else(|e| e.into_inner()).insert(i, read);
                }
            }
        };
        let threads = threads.clamp(1, files.len().max(1));
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let surveys = surveys.into_iter().map(|s| s.into_inner().expect("a worker took every file"));
        (surveys.collect(), reads.into_inner().unwrap_or_else(|e| e.into_inner()))
    }
}

/// What the system had to say while a file was read.
#[derive(Default, PartialEq)]
struct Read {
    unreadable: Vec<Range<u64>>,
    shrunk: bool,
}

fn survey_file(
    format: &dyn Format,
    files: &[LogFile<'_>],
    file: usize,
    revision: Option<&str>,
) -> (Survey, Read) {
    let Opened { mut decoder, rules } = format.open(files, file, revision);
    let mut surveyor = Surveyor::new(rules);
    let mut reader = Reader::new(files[file].src);
    scan(&mut reader, &mut *decoder as &mut dyn Decoder, 0, &mut surveyor);
    files[file].src.passed(files[file].src.size());
    (surveyor.finish(), Read { unreadable: reader.unreadable, shrunk: reader.shrunk })
}

/// Damage that holds bytes the system could not read is named for that.
pub fn mark_unreadable(survey: &mut Survey, unreadable: &[Range<u64>]) {
    for range in unreadable {
        survey.regions.rename(range, Kind::Unreadable, Cause::Unreadable);
    }
}

/// One file of a report.
#[derive(Debug)]
pub struct FileReport {
    /// Relative to the log.
    pub name: Arc<str>,
    /// Its whole path, where `name` is not the very name because that is no text.
    pub odd: Option<Box<Path>>,
    /// The part it plays.
    pub role: Role,
    /// Length in bytes when it was opened.
    pub bytes: u64,
    /// Its survey.
    pub survey: Survey,
    /// Ranges that the system refused to read.
    pub unreadable: Vec<Range<u64>>,
    /// Why it could not be opened.
    pub failure: Option<String>,
    /// It became shorter while it was read.
    pub shrunk: bool,
    /// It was written to while it was read.
    pub changed: bool,
}

impl FileReport {
    /// The end verdict: `clean`, `torn`, `corrupt`, `preallocated` or `stale`.
    pub fn end(&self) -> &'static str {
        let regions = self.survey.regions.as_slice();
        let hurt = |r: &&Region| !r.kind.sound();
        match regions.last() {
            Some(last) if last.kind == Kind::Torn && regions.iter().filter(hurt).count() == 1 => "torn",
            _ if regions.iter().any(|r| hurt(&r)) => "corrupt",
            Some(last) if last.kind == Kind::Preallocated => "preallocated",
            Some(last) if last.kind == Kind::Stale => "stale",
            _ => "clean",
        }
    }
}

/// What the engine keeps against what is intact, in records that change something.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// What it would hold.
    pub engine: Outcome,
    /// Intact and committed, past damage too.
    pub intact: u64,
}

impl Forecast {
    /// Records that opening the engine would lose.
    pub fn at_stake(&self) -> u64 {
        if self.engine.opens { self.intact.saturating_sub(self.engine.records) } else { self.intact }
    }
}

/// All that is known of one log.
#[derive(Debug)]
pub struct Report {
    /// As given.
    pub path: String,
    /// The same for the system.
    pub place: PathBuf,
    /// Its format.
    pub format: &'static dyn Format,
    /// Its revision, where known.
    pub revision: Option<&'static str>,
    /// How the revision was told.
    pub revision_reason: String,
    /// The user named the revision.
    pub revision_named: bool,
    /// How the format was told.
    pub recognised_by: String,
    /// Its files, in log order.
    pub files: Vec<FileReport>,
    /// Left-overs that the engine ignores.
    pub ignored: Vec<String>,
    /// What neighbours revealed.
    pub conclusions: Conclusions,
    /// What only the format could see.
    pub remarks: Vec<Remark>,
    /// Engine against intact.
    pub forecast: Option<Forecast>,
}

/// One thing to say about a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its code.
    pub code: Code,
    /// Its class; a note never changes the exit code.
    pub class: Class,
    /// Index of the file.
    pub file: Option<usize>,
    /// Offset in it.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
    /// One sentence.
    pub message: String,
}

impl Report {
    /// COMMITs without any BEGIN: an older revision, or the newer one after a truncate. One note instead of one a batch.
    fn settle_revision(&mut self) {
        let (begins, commits) =
            self.files.iter().fold((0, 0), |(b, c), f| (b + f.survey.begins, c + f.survey.commits));
        if self.revision.is_none() && self.format.profile().revisions.len() > 1 && begins == 0 && commits > 0
        {
            self.conclusions.batches.retain(|u| !matches!(u.batch.state, BatchState::NoBegin { .. }));
        }
    }

    /// Whether the engine reads file `a` before file `b`.
    pub fn reads_before(&self, a: usize, b: usize) -> bool {
        self.format.reads_before((a, &self.files[a].name), (b, &self.files[b].name))
    }

    /// The last place that holds intact records: file and offset. Damage behind it has nothing intact after it.
    pub fn last_intact(&self) -> Option<(usize, u64)> {
        self.files.iter().enumerate().rev().filter(|(_, f)| f.role.counts()).find_map(|(i, f)| {
            let regions = f.survey.regions.as_slice().iter().rev();
            regions.clone().find(|r| r.kind == Kind::Records && r.records > 0).map(|r| (i, r.at))
        })
    }

    /// Every finding and note, by file and then by offset; what concerns no file comes last.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        let mut rest: Vec<Finding> = Vec::new();
        self.find_log(&mut rest);
        self.find_files(&mut rest);
        self.find_numbers(&mut rest);
        rest.extend(self.conclusions.batches.iter().map(|u| self.unwhole(u)));
        rest.extend(self.remarks.iter().map(|r| Finding {
            code: r.code,
            class: r.code.class(),
            file: Some(r.file),
            at: r.at,
            len: r.len,
            message: r.message.clone(),
        }));
        rest.sort_by_key(|f| (f.file.unwrap_or(usize::MAX), f.at));
        let mut rest = rest.into_iter().peekable();
        let mut regions = self.region_findings().peekable();
        // Both are in order: merge them, so that a damaged gigabyte needs no list of all its findings.
        std::iter::from_fn(move || {
            let key = |f: &Finding| (f.file.unwrap_or(usize::MAX), f.at);
            match (rest.peek(), regions.peek()) {
                (Some(a), Some(b)) if key(a) < key(b) => rest.next(),
                (_, Some(_)) => regions.next(),
                _ => rest.next(),
            }
        })
    }

    fn region_findings(&self) -> impl Iterator<Item = Finding> + '_ {
        self.files.iter().enumerate().flat_map(move |(i, f)| {
            f.survey.regions.as_slice().iter().filter_map(move |r| region_finding(i, f, r))
        })
    }

    fn find_log(&self, out: &mut Vec<Finding>) {
        let note =
            |code: Code, message| Finding { code, class: code.class(), file: None, at: 0, len: 0, message };
        let profile = self.format.profile();
        let holds_anything = self.files.iter().any(|f| f.bytes > 0 && f.role.counts());
        let undecided = self.conclusions.undecided;
        if self.revision.is_none() && profile.revisions.len() > 1 && holds_anything {
            let message = format!("{}; say --revision if you know", self.revision_reason);
            out.push(note(Code::RevisionUndecided, message));
        }
        if undecided > 0 {
            let message = format!(
                "{} behind the last COMMIT may be single writes or an unfinished batch; nothing in the bytes tells",
                plural(undecided, profile.record)
            );
            out.push(note(Code::UndecidedTail, message));
        }
        for name in &self.ignored {
            let message = format!(
                "{name} looks like a left-over of this log; the engine ignores it, and so does this report"
            );
            out.push(note(Code::ForeignFile, message).into_note());
        }
    }

    fn find_files(&self, out: &mut Vec<Finding>) {
        for (i, f) in self.files.iter().enumerate() {
            let mut say = |code: Code, at, len, message| {
                out.push(Finding { code, class: code.class(), file: Some(i), at, len, message });
            };
            if let Some(failure) = &f.failure {
                say(Code::Unopenable, 0, 0, failure.clone());
            }
            if f.shrunk {
                say(
                    Code::ChangedWhileRead,
                    f.survey.regions.end(),
                    0,
                    "the file became shorter while it was read; run again".into(),
                );
            } else if f.changed {
                say(
                    Code::StillWritten,
                    f.bytes,
                    0,
                    "written to while it was read; only its first bytes, as opened, are judged".into(),
                );
            }
            for range in &f.unreadable {
                let message = format!("the system could not read {} bytes here", range.end - range.start);
                say(Code::UnreadableRange, range.start, range.end - range.start, message);
            }
            for &(at, first, last) in &f.survey.stated {
                let message = format!(
                    "{} missing since a repair, which left this record in their place",
                    span(first, last)
                );
                say(Code::StatedGap, at, 0, message);
            }
            for &at in &f.survey.embedded {
                let message = "a perfect record lies inside the damaged one; it is part of its contents and not taken for real";
                say(Code::EmbeddedRecord, at, 0, message.into());
            }
        }
    }

    fn find_numbers(&self, out: &mut Vec<Finding>) {
        for g in &self.conclusions.gaps {
            let code = if g.cause.word() == "missing-file" { Code::MissingFile } else { Code::MissingRange };
            let same = g.after.file == g.before.file;
            let (at, len) = if same { (g.after.at, g.before.at - g.after.at) } else { (g.before.at, 0) };
            let message = format!("{}; likely cause: {}", lacking(g), g.cause.word());
            out.push(Finding { code, class: code.class(), file: Some(g.before.file), at, len, message });
        }
        for r in &self.conclusions.repeats {
            let numbers = span(r.first, r.last);
            let (code, message) = match r.kind {
                RepeatKind::Repeated => (Code::RepeatedRange, format!("{numbers} occur a second time")),
                RepeatKind::Reused => (
                    Code::RepeatedRange,
                    format!("{numbers} were given out again by an engine that could not see past the damage"),
                ),
                RepeatKind::Reset => (Code::Reset, format!("counting starts again: {numbers}")),
                RepeatKind::OutOfOrder => (
                    Code::MisorderedNames,
                    format!("{numbers} belong before the file in front: the files are in the wrong order"),
                ),
            };
            out.push(Finding {
                code,
                class: code.class(),
                file: Some(r.place.file),
                at: r.place.at,
                len: r.len,
                message,
            });
        }
        if let Some((first, _)) =
            self.conclusions.numbers.filter(|n| n.0 > 1 && self.format.profile().numbered)
        {
            let bad_start = self
                .files
                .iter()
                .find(|f| f.bytes > 0)
                .is_some_and(|f| f.survey.regions.first_bad() == Some(0));
            if !bad_start {
                let code = Code::FirstFileMissing;
                let message = format!(
                    "the log starts at seq {first}: earlier records were truncated, or their files are missing"
                );
                out.push(Finding { code, class: code.class(), file: None, at: 0, len: 0, message });
            }
        }
        // Said on its own only where no damage says it already.
        let engine = self.forecast.as_ref().map(|f| &f.engine).filter(|engine| !engine.opens);
        let damaged = self.files.iter().any(|f| f.survey.regions.first_bad().is_some());
        let counted = self.remarks.iter().any(|r| r.code.class() != Class::Note);
        if let (Some(engine), false) = (engine, damaged || counted) {
            let code = Code::EngineRefuses;
            let message = engine.error.clone().unwrap_or_else(|| "it gives no reason".into());
            out.push(Finding { code, class: code.class(), file: None, at: 0, len: 0, message });
        }
        if self.conclusions.unlisted > 0 {
            let code = Code::TooMuchDamage;
            let message = format!(
                "{} more breaks in numbers and batches are not listed one by one",
                self.conclusions.unlisted
            );
            out.push(Finding { code, class: code.class(), file: None, at: 0, len: 0, message });
        }
    }

    fn unwhole(&self, u: &Unwhole) -> Finding {
        let b = &u.batch;
        let code = match b.state {
            BatchState::Orphan(_) => Code::OrphanedBatch,
            BatchState::LostMember | BatchState::NoBegin { hole: true } => Code::LostMember,
            BatchState::NoBegin { hole: false } => Code::CommitWithoutBegin,
        };
        let numbers = span(b.first, b.last);
        let record = self.format.profile().record;
        let message = match b.state {
            BatchState::NoBegin { hole: false } => format!("COMMIT {numbers} without BEGIN: {}", u.why),
            _ => format!("batch of {}, {numbers}: {}", plural(b.records, record), u.why),
        };
        Finding { code, class: code.class(), file: Some(u.file), at: b.at, len: b.end - b.at, message }
    }
}

impl Finding {
    fn into_note(self) -> Finding {
        Finding { class: Class::Note, ..self }
    }
}

/// A count and its noun.
pub fn plural(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y').filter(|stem| !stem.ends_with('e'))) {
        (1, _) => format!("1 {noun}"),
        (n, Some(stem)) => format!("{n} {stem}ies"),
        (n, None) => format!("{n} {noun}s"),
    }
}

/// Sequence numbers, ends included.
pub fn span(first: u64, last: u64) -> String {
    if first == last { format!("seq {first}") } else { format!("seq {first}..{last}") }
}

/// Which numbers no intact record has, and which of them are not lost for all that.
pub fn lacking(gap: &Gap) -> String {
    let (numbers, count) = (span(gap.first, gap.last), (gap.last - gap.first).saturating_add(1));
    let records = if gap.recovered == 1 { "a record that is" } else { "records that are" };
    match (gap.recovered, count.saturating_sub(gap.recovered)) {
        (0, missing) => format!("{numbers} missing ({missing})"),
        (_, 0) => format!("{numbers} recovered from {records} not intact"),
        (found, missing) => {
            format!("{numbers}: {missing} missing, {found} recovered from {records} not intact")
        }
    }
}

fn region_finding(file: usize, f: &FileReport, r: &Region) -> Option<Finding> {
    if matches!(r.kind, Kind::Records | Kind::Framing) {
        return None;
    }
    let cause = r.cause.unwrap_or(Cause::Malformed("record"));
    let code = Code::of_region(r.kind, cause);
    let message = match (r.kind, r.fix) {
        (Kind::Recovered, Some(fix)) if fix.inferred == u64::MAX => {
            format!(
                "recovered: {} {} is wrong, the rest of the record holds",
                fix.field,
                number(fix.field, fix.found)
            )
        }
        (Kind::Recovered, Some(fix)) => {
            let witness =
                if matches!(cause, Cause::Number { .. }) { "its neighbours" } else { "the other fields" };
            format!("recovered: {} {} is wrong, {witness} say {}", fix.field, fix.found, fix.inferred)
        }
        (Kind::Torn, _) => format!("the file ends inside a record, {} bytes of it are left", r.len),
        (Kind::Foreign, _) => {
            format!("{} records of another log: their numbers do not belong here", r.records)
        }
        (Kind::Mixed, _) => format!(
            "damage without end: from here on damage is not listed one by one ({} records intact)",
            r.records
        ),
        (Kind::Stale, _) => format!("{} records of an older generation", r.records),
        (Kind::Preallocated, _) => "zeros that the engine wrote ahead".into(),
        _ => cause.to_string(),
    };
    // While a log is being written its tail is not torn, just not finished.
    let class = if r.kind == Kind::Torn && f.changed { Class::Note } else { code.class() };
    Some(Finding { code, class, file: Some(file), at: r.at, len: r.len, message })
}

/// Seconds as people write them; what no clock can have shown, in powers of ten.
fn time(seconds: f64) -> String {
    if seconds.abs() < 1e15 { format!("{seconds}") } else { format!("{seconds:e}") }
}

fn number(field: &str, found: u64) -> String {
    if field == "timestamp" { time(f64::from_bits(found)) } else { found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::conclude::{GapCause, Place};

    #[test]
    fn what_was_recovered_is_not_called_missing() {
        let place = Place { file: 0, at: 0 };
        let said = |last, recovered| {
            lacking(&Gap { first: 5, last, after: place, before: place, cause: GapCause::Damage, recovered })
        };
        assert_eq!(said(5, 0), "seq 5 missing (1)");
        assert_eq!(said(5, 1), "seq 5 recovered from a record that is not intact");
        assert_eq!(said(8, 1), "seq 5..8: 3 missing, 1 recovered from a record that is not intact");
        assert_eq!(said(8, 4), "seq 5..8 recovered from records that are not intact");
    }
}
