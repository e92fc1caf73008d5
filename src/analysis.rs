//! From files to a report: surveys in parallel, conclusions once, the engine's own outcome beside them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::format::{Away, Claim, Format, Job, Lack, LogFile, Memo, Open, Outcome, Remark, Role, Word};
use crate::io::listing::{Log, LogPath, Wanted};
use crate::io::source::Source;
use crate::log::bytes::ReadAt;
use crate::log::conclude::{Conclusions, Gap, Member, conclude};
use crate::log::finding::{Class, Code};
use crate::log::region::{Kind, MANY_REGIONS, MAX_REGIONS, Region};
use crate::log::survey::{BatchState, Ends, Grouping, Survey};
use crate::surveys::{Read, Surveys, mark_unreadable};

/// The path that stands for standard input.
const STREAM: &str = "-";

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
    /// Regions that are told apart in a file; see [`OpenLog::follow`].
    limit: usize,
}

/// Opens files of a directory by their names.
pub fn opener(dir: PathBuf) -> Open {
    Arc::new(move |name: &str| {
        let source = Source::open(&dir.join(name).into(), false, true).ok()?;
        Some(Box::new(source) as Box<dyn ReadAt>)
    })
}

impl OpenLog {
    /// Tells many more regions apart than a report lists: for what goes by each of them.
    pub fn follow(&mut self) {
        self.limit = MANY_REGIONS;
    }

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
            limit: MAX_REGIONS,
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
        let subjects: Vec<(String, Claim)> =
            files.iter().filter_map(|(name, _)| format.subject(name)).collect();
        let subject = |name: &str| subjects.iter().find(|s| s.0 == name).map(|s| s.1);
        let logs = files.iter().map(|(name, _)| name.clone()).filter(|name| format.claim(name).is_some());
        let logs: Vec<String> = logs.collect();
        let mut named: Vec<(LogPath, Source)> = files
            .into_iter()
            .map(|(name, bytes)| {
                let beside = || logs.iter().find_map(|log| format.beside(log, &name));
                let claim = format.claim(&name).or_else(|| subject(&name)).or_else(beside);
                let claim = claim.unwrap_or(unnamed);
                (LogPath { name: name.into(), path: None, claim }, Source::memory(bytes))
            })
            .collect();
        named.sort_by(|(a, _), (b, _)| (a.claim.order, &a.name).cmp(&(b.claim.order, &b.name)));
        let (files, sources): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        let path = String::from("memory");
        let recognised_by = String::from("named by the caller");
        let failures = files.iter().map(|_| None).collect();
        let log = Log {
            place: PathBuf::from(&path),
            path,
            format,
            recognised_by,
            files,
            ignored: Vec::new(),
            away: Vec::new(),
        };
        let mut open = OpenLog {
            log,
            sources,
            failures,
            memo: Memo::default(),
            revision,
            revision_reason: String::from("named by the caller"),
            revision_named: revision.is_some(),
            limit: MAX_REGIONS,
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

    /// From now on reads damaged words as their checksums tell them, where these leave no choice; gives back how many.
    pub fn put_words_right(&mut self, report: &Report) -> usize {
        let files = self.files();
        let located = |(i, f): (usize, &FileReport)| {
            let words = self.format().words(&files, i, &f.survey);
            words.into_iter().filter(|w| w.len() == 1).flatten().collect::<Vec<Word>>()
        };
        let words: Vec<Vec<Word>> = report.files.iter().enumerate().map(located).collect();
        let all = words.iter().map(Vec::len).sum();
        for (source, words) in self.sources.iter_mut().zip(words) {
            source.put_right(words);
        }
        // What was found out about the log may have been read from a word that is another one now.
        self.memo = Memo::default();
        all
    }

    /// Puts no word right any more.
    pub fn read_as_it_is(&mut self) {
        self.sources.iter_mut().for_each(|source| source.put_right(Vec::new()));
        self.memo = Memo::default();
    }

    /// The words that are put right, each with the index of its file.
    pub fn words(&self) -> impl Iterator<Item = (usize, &Word)> {
        self.sources
            .iter()
            .enumerate()
            .flat_map(|(file, source)| source.words().iter().map(move |w| (file, w)))
    }

    /// Whether records carry sums over those before them: what is cut off in front takes the rest with it.
    pub fn linked(&self) -> bool {
        let files = self.files();
        (0..files.len()).any(|file| self.format().link(&files, file).is_some())
    }

    /// Its files, as formats see them.
    pub fn files(&self) -> Vec<LogFile<'_>> {
        let pairs = self.log.files.iter().zip(&self.sources);
        let (memo, stream) = (Some(&self.memo), self.log.path == STREAM);
        pairs.map(|(f, src)| LogFile { name: &f.name, claim: f.claim, src, memo, stream }).collect()
    }

    /// The bytes of one file.
    pub fn source(&self, file: usize) -> &Source {
        &self.sources[file]
    }

    /// Where a file lies; `None`: standard input.
    pub fn path(&self, file: usize) -> Option<&Path> {
        self.log.files.get(file)?.path.as_deref()
    }

    /// Names of the files in its directory that are no part of it and yet go where it goes, in order.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn belongings(&self) -> std::io::Result<Vec<String>> {
        if !self.log.place.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.log.place)? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().filter(|name| self.format().belongs(name));
            names.extend(name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens files of its directory.
    pub fn opener(&self) -> Open {
        opener(self.log.place.clone())
    }

    /// Bytes in all files.
    pub fn bytes(&self) -> u64 {
        self.sources.iter().map(ReadAt::size).sum()
    }

    /// Bytes read so far by the surveys that are under way.
    pub fn progress(&self) -> u64 {
        self.sources.iter().map(Source::progress).sum()
    }

    /// Surveys every file on `threads` threads, draws the conclusions, and asks what the engine would make of it.
    pub fn analyse(&self, threads: usize) -> Report {
        let mut report = self.examine(threads);
        report.forecast = Some(self.forecast(&report));
        report
    }

    /// The same without the engine.
    pub fn examine(&self, threads: usize) -> Report {
        let files = self.files();
        let (mut surveys, mut reads) = self.to_survey(&files).on(threads);
        // What only the format can see comes first: a record it takes back is missing from the numbers.
        let mut remarks = self.format().inspect(&files, &mut surveys, self.revision);
        remarks.extend(self.words().map(|(file, word)| inferred(file, word)));
        let mut members: Vec<Member<'_>> = files
            .iter()
            .zip(&mut surveys)
            .map(|(f, survey)| Member {
                number: Some(f.claim.order).filter(|&n| n != u64::MAX),
                counts: f.claim.role.counts(),
                survey,
            })
            .collect();
        let mut conclusions = conclude(&mut members, self.format().start(&files));
        drop(members);
        conclusions.gaps.retain(|gap| !self.format().lie_elsewhere(&files, gap));
        let lacks = self.lacks(&files, &surveys, &conclusions.gaps);
        let closed = lacks.iter().find_map(|lack| lack.error.clone());
        remarks.extend(lacks.into_iter().map(|lack| lack.remark));
        // Of a stream nobody knows what lies beside it.
        remarks.retain(|r| self.log.path != STREAM || r.code != Code::MissingFile);
        remarks.extend(self.put_away(&files, &surveys, &conclusions.gaps, threads));
        let tracked = self.format().tracked(&files);
        // Of a million files no list is kept that can be made again.
        drop(files);
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
            tracks: false,
            closed,
            forecast: None,
        };
        report.settle_revision();
        report.tracks = tracked.is_some_and(|tracked| tracked.sizes.iter().any(|log| report.unlike(log)));
        report
    }

    /// Files that have to lie in the directory of this log, and do not.
    fn lacks(&self, files: &[LogFile<'_>], surveys: &[Survey], gaps: &[Gap]) -> Vec<Lack> {
        let dir = &self.log.place;
        let meta = |name: &str| std::fs::metadata(dir.join(name)).ok().filter(std::fs::Metadata::is_file);
        let size = |name: &str| meta(name).map(|meta| meta.len());
        if dir.is_dir() { self.format().lacks(files, surveys, gaps, &size) } else { Vec::new() }
    }

    /// What logs that were put away mean for this one. One that cannot be opened has nothing to say.
    fn put_away(
        &self,
        files: &[LogFile<'_>],
        surveys: &[Survey],
        gaps: &[Gap],
        threads: usize,
    ) -> Vec<Remark> {
        let open = |f: &LogPath| Source::open(f.path.as_ref()?, false, false).ok();
        let opened: Vec<(&LogPath, Source)> =
            self.log.away.iter().filter_map(|f| Some((f, open(f)?))).collect();
        if opened.is_empty() {
            return Vec::new();
        }
        let away: Vec<LogFile<'_>> = opened
            .iter()
            .map(|(f, src)| LogFile { name: &f.name, claim: f.claim, src, memo: None, stream: false })
            .collect();
        let (read, _) = self.to_survey(&away).on(threads);
        let away: Vec<_> = away.iter().zip(&read).map(|(file, survey)| Away { file, survey }).collect();
        self.format().put_away(files, surveys, gaps, &away)
    }

    fn forecast(&self, report: &Report) -> Forecast {
        let (files, surveys): (_, Vec<&Survey>) =
            (self.files(), report.files.iter().map(|f| &f.survey).collect());
        let settled = self.format().settled(&files, &surveys);
        let intact = report.conclusions.committed.saturating_sub(settled);
        // Asking the engine means reading everything once more: not where it cannot but agree.
        let prepares = report.files.iter().any(|f| f.survey.prepares());
        let sound = report.conclusions.undecided == 0
            && !prepares
            && !self.format().settled_in_part(&files)
            && report.conclusions.numbers.is_none_or(|n| n.0 > 0)
            && report.findings().all(|f| f.class == Class::Note && f.code.harmless());
        let engine = if sound {
            let transactions = report.conclusions.transactions;
            let halts = Vec::new();
            Outcome { opens: true, error: None, records: intact, transactions, halts, ..Outcome::default() }
        } else {
            let job = Job {
                files: &files,
                surveys: &surveys,
                revision: self.revision,
                engine: None,
                mode: None,
                until: None,
            };
            report.outcome(self.format().engine(&job, None))
        };
        // Of what is there twice nobody knows which of the two the engine takes for settled.
        let twice = surveys.iter().any(|survey| survey.copy_of.is_some());
        let intact = intact.saturating_sub(if twice { 0 } else { engine.settled });
        let mut counted = report.files.iter().filter(|f| f.role.counts());
        let grouped = counted.any(|f| !matches!(f.survey.rules.grouping, Grouping::None | Grouping::Named));
        let transactions = grouped.then(|| {
            let intact = report.conclusions.transactions;
            let kept = if engine.opens { engine.transactions } else { 0 };
            Shares { engine: kept, intact, at_stake: intact.saturating_sub(kept) }
        });
        // Where there is nothing to trip over all of them do the same.
        let smooth = !prepares
            && report
                .findings()
                .all(|f| matches!(f.code, Code::FirstFileMissing | Code::FlushedLog | Code::PutAway));
        let modes = if smooth { Vec::new() } else { self.modes(report, &files, &surveys) };
        // Where it was not asked above and refuses in all of them, that counts.
        let refused = sound && modes.iter().all(|row| !row.outcome.opens);
        let refusal = modes.iter().find(|row| row.usual && refused);
        let engine = refusal.map_or(engine, |row| row.outcome.clone());
        Forecast { engine, intact, transactions, keys: None, rows: None, modes }
    }

    /// What each version of the engine would make of it in each of its ways to recover.
    fn modes(&self, report: &Report, files: &[LogFile<'_>], surveys: &[&Survey]) -> Vec<ModeForecast> {
        let profile = self.format().profile();
        let engines: Vec<Option<&'static str>> = match profile.engines {
            [] => vec![None],
            engines => engines.iter().copied().map(Some).collect(),
        };
        let usual = self.format().mode(files);
        let pairs = profile.modes.iter().flat_map(|&mode| engines.iter().map(move |&engine| (mode, engine)));
        let told = pairs.map(|(mode, engine)| {
            let revision = self.revision;
            let job = Job { files, surveys, revision, engine, mode: Some(mode), until: None };
            let outcome = report.outcome(self.format().engine(&job, None));
            ModeForecast { mode, engine, usual: usual == Some(mode), outcome }
        });
        told.collect()
    }

    fn to_survey<'a>(&self, files: &'a [LogFile<'a>]) -> Surveys<'a> {
        Surveys { format: self.format(), files, revision: self.revision, limit: self.limit }
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
    /// First byte that does not belong to the unbroken chain of intact records; the end, where something must follow there.
    pub fn first_bad(&self) -> Option<u64> {
        self.survey.regions.first_bad().or((self.survey.ends == Ends::BreaksOff).then_some(self.bytes))
    }

    /// The end verdict: `clean`, `torn`, `corrupt`, `preallocated` or `stale`.
    pub fn end(&self) -> &'static str {
        let regions = self.survey.regions.as_slice();
        let hurt = |r: &&Region| !r.kind.sound();
        match regions.last() {
            Some(last) if last.kind == Kind::Torn && regions.iter().filter(hurt).count() == 1 => "torn",
            _ if self.survey.marred || regions.iter().any(|r| hurt(&r)) => "corrupt",
            _ if self.survey.ends != Ends::Whole => "torn",
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
    /// The same in committed transactions, where the format has any.
    pub transactions: Option<Shares>,
    /// The same in live keys, where somebody has asked for it: both states have to be built.
    pub keys: Option<Shares>,
    /// The same in rows of tables, of a log of pages whose format can find them; of those at stake no more is known than
    /// their number.
    pub rows: Option<Shares>,
    /// The same for each way in which the engine recovers and each of its versions, where it has several and there is
    /// anything to say of the log.
    pub modes: Vec<ModeForecast>,
}

/// What one version of an engine would make of a log in one of its ways to recover.
#[derive(Clone, Debug)]
pub struct ModeForecast {
    /// One of [`crate::format::Profile::modes`].
    pub mode: &'static str,
    /// The version, where several are known.
    pub engine: Option<&'static str>,
    /// The store was last opened in this way.
    pub usual: bool,
    /// What it would hold.
    pub outcome: Outcome,
}

/// Tells that a word is not read as it stands.
fn inferred(file: usize, word: &Word) -> Remark {
    let hex = |bytes: [u8; 4]| u32::from_be_bytes(bytes);
    let (found, right) = (hex(word.found), hex(word.inferred));
    let message =
        format!("read as {right:08x} instead of {found:08x}: inferred from the checksum, not proved");
    Remark { code: Code::LocatedWord, file, at: word.at, len: 4, message }
}

/// What the engine would hold, what is intact, and how far they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// That the engine would hold.
    pub engine: u64,
    /// By all that is intact and committed.
    pub intact: u64,
    /// Missing after the engine has opened the log; of keys also those that are stale or come back from the dead.
    pub at_stake: u64,
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
    /// A log whose size its catalogue tracks is damaged, or shorter already: a repair changes what the catalogue says of it.
    pub tracks: bool,
    /// The error with which no engine opens for what lies beside the log, however it reads that.
    pub closed: Option<String>,
    /// Engine against intact.
    pub forecast: Option<Forecast>,
}

impl Report {
    /// What an engine makes of the log, by what it would if nothing were wrong beside it.
    pub fn outcome(&self, alone: Outcome) -> Outcome {
        match &self.closed {
            Some(error) if alone.opens || alone.unknown => Outcome::refused(error.clone()),
            _ => alone,
        }
    }

    /// Whether a log is damaged, shorter than its catalogue tracks, or not there.
    fn unlike(&self, (name, synced): &(String, u64)) -> bool {
        let sound = |file: &&FileReport| file.bytes >= *synced && file.survey.regions.first_bad().is_none();
        !self.files.iter().find(|file| *file.name == **name).as_ref().is_some_and(sound)
    }

    /// COMMITs without any BEGIN: an older revision, or the newer one after a truncate. One note instead of one a batch.
    fn settle_revision(&mut self) {
        let (begins, commits) =
            self.files.iter().fold((0, 0), |(b, c), f| (b + f.survey.begins, c + f.survey.commits));
        if self.revision.is_none() && self.format.profile().revisions.len() > 1 && begins == 0 && commits > 0
        {
            self.conclusions.batches.retain(|u| !matches!(u.batch.state, BatchState::NoBegin { .. }));
        }
    }

    /// Whether it came without the file that its records are pages of, by standard input: of that nothing is known.
    pub fn alone(&self) -> bool {
        self.path == STREAM && self.format.profile().paged()
    }

    /// Why the log does not seem to be the one of the files it is about.
    pub fn foreign(&self) -> Option<&Remark> {
        self.remarks.iter().find(|r| r.code == Code::ForeignRecords)
    }

    /// Whether part of the log could not be read, or changed while it was.
    pub fn incomplete(&self) -> bool {
        self.files.iter().any(|f| f.failure.is_some() || f.shrunk || !f.unreadable.is_empty())
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
}
