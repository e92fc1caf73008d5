//! What a repair or truncate is going to do, as data: file by file, range by range, bound to the hashes of the input.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::analysis::{FileReport, OpenLog, Report};
use crate::codec::hex;
use crate::fate::Standing;
use crate::findings::Finding;
use crate::format::{Anew, Grade, Image, Memtable, Role};
use crate::log::bytes::{ReadAt, Reader};
use crate::log::conclude::RepeatKind;
use crate::log::finding::{Class, Code};
use crate::log::record::Mark;
use crate::log::region::{Kind, MAX_REGIONS};
use crate::repair::edits::{Edit, Rule, Sink, Why, edits};
pub use crate::repair::file::{Action, FilePlan, Listed, Verb};
use crate::repair::names;
use crate::repair::pages::{self, Made, Pages};
use crate::repair::prepared::{self, Prepared};
use crate::repair::rebuild::{self, Rebuilt};
use crate::repair::tracked::{self, Unfit};
use crate::repair::{afresh, catalogue};
use crate::replay::image::File;
use crate::replay::walk::{Item, walk, walk_file, written_order};

/// Edits of one file that the plan lists one by one; the others are counted.
const LISTED: usize = 4096;
/// Keys that are counted.
const KEYS: u64 = 1 << 20;
/// New bytes that the plan spells out.
const SHOWN: usize = 256;

/// A plan.
#[derive(Debug)]
pub struct Plan {
    /// The files of the log, in its order.
    pub files: Vec<FilePlan>,
    /// Records that are kept, and that are left out.
    pub kept: Tally,
    /// See `kept`.
    pub dropped: Tally,
    /// Damaged bytes that are left out.
    pub damaged: u64,
    /// Fields put right.
    pub patched: u64,
    /// Gaps stated in place of lost records.
    pub inserted: u64,
    /// Something was there that cannot be brought back.
    pub lost: bool,
    /// Numbers stated as missing.
    pub missing: Vec<(u64, u64)>,
    /// Numbers fall back somewhere, which an engine may not go beyond, and are left as they are.
    pub falls_back: bool,
    /// Numbers fall back, and are made to rise.
    pub renumbered: bool,
    /// Keys of which the last write is left out, whatever it changed; `None`: more than are counted.
    pub keys: Option<u64>,
    /// What comes of pages that are made anew.
    pub rebuilt: Option<Rebuilt>,
    /// How good the file is that the log will lead to, where its format can tell.
    pub grade: Option<Grade>,
    /// Nothing is wrong in what is left.
    pub sound: bool,
    /// Writes that the engine will keep; `None`: nobody knows without writing.
    pub after: Option<u64>,
    /// Whether the records were counted; the way to a cut does without.
    pub counted: bool,
    /// Transactions that are prepared and not ended.
    pub prepared: Vec<Prepared>,
    /// What the engine will not take the new log for, where its catalogue says so.
    pub unfit: Option<Unfit>,
    /// What is said of a catalogue that is written anew.
    pub recatalogued: Vec<String>,
}

/// A number of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them, marks included.
    pub records: u64,
    /// Those that change something.
    pub data: u64,
    /// Commits among them.
    pub commits: u64,
}

impl Tally {
    /// Counts a record; `changes`: it changes something.
    fn count(&mut self, item: &Item<'_>, changes: bool) {
        self.records += 1;
        self.data += u64::from(changes);
        self.commits += u64::from(item.record.mark.commits());
    }
}

/// The word for why bytes are left out.
pub fn why(why: Why) -> String {
    match why {
        Why::Damaged(code) => code.text().into(),
        Why::Remade => "remade".into(),
        Why::Cut => "cut".into(),
        Why::Standing(standing) => standing.word().into(),
    }
}

impl Plan {
    /// The plan for a rule, to be shown: with all that it counts.
    ///
    /// # Errors
    /// None of its own; those of reading.
    pub fn of(log: &OpenLog, report: &Report, rule: &Rule) -> Result<Plan> {
        Plan::with(log, report, rule, true, None)
    }

    /// The same on the way to something else. `count`: a cut counts what it leaves out, which takes a look at every
    /// record. `also`: gets the edits, too, which saves going through the log once more to write them.
    ///
    /// # Errors
    /// None of its own; those of reading, and of `also`.
    pub fn with<'s>(
        log: &OpenLog,
        report: &Report,
        rule: &Rule,
        count: bool,
        also: Option<&'s mut (dyn Sink + 's)>,
    ) -> Result<Plan> {
        let mut plan = Plan::untouched(log, report, rule, count);
        let format = log.format();
        if let Some(pages) = rule.pages.filter(|_| !rule.afresh) {
            let made = plan.pages(log, report, rule, pages)?;
            if plan.acts() && format.grades() {
                plan.grade = format.grade(&File::new(log, &made));
                pages::must_be_sound(report, pages, plan.grade.as_ref())?;
            }
            return Ok(plan);
        }
        let made = catalogue::made(log, report, rule)?;
        let mut rule = Cow::Borrowed(rule);
        if made.due > 0 {
            rule.to_mut().due = made.due;
        }
        let rule = &*rule;
        match format.anew().filter(|_| !rule.verbatim) {
            _ if rule.afresh => plan.afresh(log, report)?,
            Some(anew) => plan.rebuild(log, report, rule, &anew)?,
            None => plan.by_edits(log, report, rule, count, also)?,
        }
        tracked::settle(log, rule, &mut plan);
        catalogue::settle(log, report, rule, made, &mut plan);
        Ok(plan)
    }

    /// Every file as it is, under the name that it is to have.
    fn untouched(log: &OpenLog, report: &Report, rule: &Rule, count: bool) -> Plan {
        let files = report.files.iter().zip(names::of(log, report, rule)).map(|(f, to)| FilePlan {
            name: f.name.to_string(),
            to: Some(to),
            bytes: f.bytes,
            new_bytes: f.bytes,
            ..FilePlan::default()
        });
        Plan {
            files: files.collect(),
            kept: Tally::default(),
            dropped: Tally::default(),
            damaged: 0,
            patched: 0,
            inserted: 0,
            lost: false,
            missing: Vec::new(),
            falls_back: false,
            renumbered: false,
            keys: Some(0),
            rebuilt: None,
            grade: None,
            sound: true,
            after: None,
            counted: count || !rule.verbatim,
            prepared: prepared::list(report, rule, None),
            unfit: None,
            recatalogued: Vec::new(),
        }
    }

    /// Records are kept, dropped, patched and inserted one by one.
    fn by_edits<'s>(
        &mut self,
        log: &OpenLog,
        report: &Report,
        rule: &Rule,
        count: bool,
        also: Option<&'s mut (dyn Sink + 's)>,
    ) -> Result<()> {
        let (verbatim, keys, note) = (rule.verbatim, HashSet::new(), None);
        let (counts, files) = (Some(log).filter(|_| count), log.files());
        let memtable = log.format().memtable(&files);
        let mut planner =
            Planner { plan: self, log: counts, report, verbatim, file: 0, keys, note, memtable, also };
        edits(log, report, rule, &mut planner)?;
        if rule.verbatim && count {
            planner.count(log, report, rule)?;
        }
        let waiting = planner.memtable.as_ref().filter(|_| !verbatim || count).map(|m| m.waiting());
        drop(planner);
        self.prepared = prepared::list(report, rule, waiting);
        let falls_back = !rule.verbatim && falls_back(report);
        (self.falls_back, self.renumbered) = (falls_back && !rule.renumber, falls_back && rule.renumber);
        self.sound = if rule.verbatim { cut_is_sound(report, rule) } else { !self.falls_back };
        // A log of pages is judged beside its pages, and those are not what they were when it was written.
        self.after = (self.sound && log.format().anew().is_none()).then_some(self.kept.data);
        self.leave_out(report, rule);
        self.hints(report);
        self.grade(log, report, rule)
    }

    /// Pages are made anew from the state, and their log is emptied; a sound store without a log stays as it is.
    fn rebuild(&mut self, log: &OpenLog, report: &Report, rule: &Rule, anew: &Anew) -> Result<()> {
        let sound = report.findings().all(|f| f.class == Class::Note && f.code.harmless());
        let logs = || report.files.iter().filter(|f| f.role.counts());
        if sound && logs().all(|f| f.bytes == 0) && !report.files.iter().any(hollow) {
            return Ok(());
        }
        self.remake(report, rebuild::plan(log, report, rule, anew)?, anew.file);
        Ok(())
    }

    /// The file of the pages takes the place of its log; where nothing would change it stays.
    fn pages(&mut self, log: &OpenLog, report: &Report, rule: &Rule, pages: Pages) -> Result<Image> {
        let Made { image, rebuilt } = pages::plan(log, report, rule, pages)?;
        let Some(name) = pages::name(log) else { return Ok(image) };
        let old = report.files.iter().find(|f| *f.name == *name).map(|f| f.bytes);
        let same = image.patches.is_empty() && old == Some(image.len);
        // Of nothing no database is made.
        if rebuilt.records == 0 && old.unwrap_or(0) == 0 {
            return Ok(image);
        }
        let sound = report.findings().all(|f| f.class == Class::Note && f.code.harmless());
        if !(same && sound) {
            self.remake(report, rebuilt, &name);
        }
        Ok(image)
    }

    /// The named file is made anew, and the logs are emptied.
    fn remake(&mut self, report: &Report, rebuilt: Rebuilt, name: &str) {
        self.kept = Tally { records: rebuilt.records, data: rebuilt.records, commits: 0 };
        self.damaged = damaged(report);
        self.lost = rebuilt.lost;
        for (plan, file) in self.files.iter_mut().zip(&report.files) {
            if file.role.counts() {
                (plan.prefix, plan.new_bytes, plan.changed) = (Some(0), 0, plan.bytes > 0);
            } else if plan.name == name {
                (plan.rebuilt, plan.changed, plan.new_bytes) = (true, true, rebuilt.bytes);
            }
        }
        if !self.files.iter().any(|plan| plan.rebuilt) {
            let (name, to) = (name.to_owned(), Some(name.to_owned()));
            let new_bytes = rebuilt.bytes;
            self.files.push(FilePlan {
                name,
                to,
                new_bytes,
                rebuilt: true,
                changed: true,
                ..FilePlan::default()
            });
        }
        self.rebuilt = Some(rebuilt);
    }

    /// One file takes the records of the state that the engine holds, and nothing else is left.
    fn afresh(&mut self, log: &OpenLog, report: &Report) -> Result<()> {
        let made = afresh::records(log, report, &mut |_| Ok(()))?;
        self.kept = Tally { records: made.records, data: made.records, commits: 0 };
        self.after = Some(made.records);
        self.damaged = damaged(report);
        self.lost = made.lost;
        // A table without entries is one that its engine cannot scan.
        let taken = |file: usize| made.entries > 0 || report.files[file].role == Role::Log;
        let target = afresh::target(report).filter(|&file| taken(file));
        for (i, plan) in self.files.iter_mut().enumerate() {
            if Some(i) == target {
                (plan.rebuilt, plan.changed, plan.new_bytes) = (true, true, made.bytes);
            } else {
                plan.to = None;
            }
        }
        self.rebuilt = Some(made);
        Ok(())
    }

    /// Files of which nothing is left and that would only be in the way.
    fn leave_out(&mut self, report: &Report, rule: &Rule) {
        let order = written_order(report);
        let nth = |file: usize| order.iter().position(|&f| f == file);
        // An empty file behind the cut is what a rotation leaves, unless others go with it.
        let rest = |from: Option<usize>| {
            let to = rule.to.and_then(|to| nth(to.file));
            order
                .iter()
                .enumerate()
                .any(|(n, &f)| Some(n) > to && Some(n) < from && report.files[f].bytes > 0)
        };
        for (i, plan) in self.files.iter_mut().enumerate().filter(|(i, _)| report.files[*i].role.counts()) {
            let none_kept =
                plan.changed && plan.edits.iter().all(|e| e.what == Verb::Drop) && plan.unlisted == 0;
            let renamed = plan.to.as_ref() != Some(&plan.name);
            let remade =
                report.files[i].role == Role::Table && plan.edits.iter().all(|e| e.what != Verb::Keep);
            let behind = rule.to.is_some_and(|to| nth(i) > nth(to.file) && (plan.bytes > 0 || rest(nth(i))));
            let before = rule.from.is_some_and(|from| nth(i) < nth(from.file));
            if behind || before || plan.changed && remade || renamed && (none_kept || plan.bytes == 0) {
                plan.to = None;
            }
        }
    }

    /// An index beside a data file that changes is wrong afterwards, and one that was wrong before is no better.
    fn hints(&mut self, report: &Report) {
        let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
        // A note speaks against the hint itself only.
        let hints = |f: &Finding| f.file.is_some_and(|i| report.files[i].role == Role::Hint);
        let found = report.findings().filter(|f| f.class != Class::Note || hints(f) && !f.code.harmless());
        let found = found.filter_map(|f| f.file).map(|file| stem(&report.files[file].name));
        let touched: HashSet<String> =
            self.files.iter().filter(|f| f.acts()).map(|f| stem(&f.name)).chain(found).collect();
        for (i, file) in report.files.iter().enumerate().filter(|(_, f)| f.role == Role::Hint) {
            if touched.contains(&stem(&file.name)) {
                self.files[i].to = None;
            }
        }
    }

    /// Grades the file that the log will lead to, where its format can.
    fn grade(&mut self, log: &OpenLog, report: &Report, rule: &Rule) -> Result<()> {
        let damaged = report.findings().any(|f| f.class == Class::Corruption);
        // Without its database a log of pages leads nowhere that could be judged.
        if damaged && !rule.verbatim && log.format().grades() && self.acts() && !report.alone() {
            let made = pages::file(log, report, rule, Pages::Made)?;
            self.grade = log.format().grade(&File::new(log, &made));
        }
        Ok(())
    }

    /// Things wrong with the structure of the file that the log will lead to.
    pub fn problems(&self) -> u64 {
        self.grade.as_ref().map_or(0, |grade| grade.problems)
    }

    /// Whether it would change anything.
    pub fn acts(&self) -> bool {
        self.files.iter().any(FilePlan::acts)
    }

    /// Takes down the hashes of all files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn bind(&mut self, log: &OpenLog) -> Result<()> {
        // A file that is only about to come into being has none.
        for (i, file) in self.files.iter_mut().enumerate().take(log.log.files.len()) {
            let hash = sha256(&log.source(i).original(), 0)
                .with_context(|| format!("{}: cannot read", file.name))?;
            file.sha256 = Some(hash);
        }
        Ok(())
    }
}

/// Damaged bytes of which nothing was recovered.
fn damaged(report: &Report) -> u64 {
    let logs = report.files.iter().filter(|f| f.role.counts());
    let regions = logs.flat_map(|f| f.survey.regions.as_slice());
    regions.filter(|r| !r.kind.sound() && r.kind != Kind::Recovered).map(|r| r.len).sum()
}

/// Whether a file is mostly zeros that one wrong page number left, up to a tebibyte: no copy is made of those.
fn hollow(file: &FileReport) -> bool {
    const MUCH: u64 = 16 << 20;
    let zeros = file.survey.regions.as_slice().iter().filter(|r| r.kind == Kind::Preallocated);
    let zeros: u64 = zeros.map(|r| r.len).sum();
    zeros > MUCH && zeros > file.bytes / 2
}

/// Whether records that count carry numbers that others in front of them have already.
fn falls_back(report: &Report) -> bool {
    let repeats = report.conclusions.repeats.iter();
    repeats.into_iter().any(|r| matches!(r.kind, RepeatKind::Reset | RepeatKind::Reused))
}

/// Whether nothing is wrong in what a cut leaves.
fn cut_is_sound(report: &Report, rule: &Rule) -> bool {
    let to = rule.to.map_or((usize::MAX, 0), |to| (to.file, to.at));
    let from = rule.from.map_or((0, 0), |from| (from.file, from.at));
    report.findings().all(|f| {
        let place = (f.file.unwrap_or(0), f.at);
        f.class == Class::Note || f.file.is_some() && (place >= to || place < from)
    })
}

/// SHA-256 of a file from an offset to its end, in hexadecimal.
///
/// # Errors
/// When it cannot be read to the end that it had when it was opened.
pub fn sha256(src: &dyn ReadAt, from: u64) -> Result<String> {
    let mut reader = Reader::new(src);
    let (mut hash, mut at) = (Sha256::new(), from);
    while at < src.size() {
        let window = reader.forward(at, 1);
        let bytes = window.bytes.get((at - window.base) as usize..).unwrap_or_default();
        if bytes.is_empty() {
            bail!("it became shorter");
        }
        hash.update(bytes);
        at += bytes.len() as u64;
    }
    if !reader.unreadable.is_empty() {
        bail!("bytes {}.. cannot be read", reader.unreadable[0].start);
    }
    Ok(hex::text(&hash.finalize()))
}

/// Counts edits, and lists as many as the bound allows.
struct Planner<'p, 's> {
    plan: &'p mut Plan,
    /// What to go through for the keys; `None`: they are not counted.
    log: Option<&'p OpenLog>,
    report: &'p Report,
    verbatim: bool,
    file: usize,
    /// Hashes of the keys of which the last write so far is left out.
    keys: HashSet<u64>,
    /// End and number of the record before, where it changes nothing.
    note: Option<(u64, u64)>,
    /// Follows what is prepared, where formats have that.
    memtable: Option<Box<dyn Memtable + 'p>>,
    /// Gets the edits, too.
    also: Option<&'s mut (dyn Sink + 's)>,
}

impl Planner<'_, '_> {
    /// A cut looks at no record; they are counted by where they lie.
    fn count(&mut self, log: &OpenLog, report: &Report, rule: &Rule) -> Result<()> {
        let order = written_order(report);
        let nth = |file: usize| order.iter().position(|&f| f == file);
        let from = rule.from.map(|place| (nth(place.file), place.at));
        let to = rule.to.map(|place| (nth(place.file), place.at));
        walk(log, report, None, &mut |item: &Item<'_>| {
            let (begins, ends) = ((nth(item.file), item.record.at), (nth(item.file), item.record.end()));
            let kept = from.is_none_or(|from| begins >= from) && to.is_none_or(|to| ends <= to);
            self.record(item, kept)
        })
    }

    /// The next write of a key: one that is kept makes up for what was left out before.
    fn written(&mut self, item: &Item<'_>, kept: bool) {
        if self.plan.keys.is_none() || !item.is_data() || kept && self.keys.is_empty() {
            return;
        }
        item.operations(&mut |entry| {
            let Some(key) = entry.key else { return true };
            let mut hash = DefaultHasher::new();
            (entry.family, key).hash(&mut hash);
            let hash = hash.finish();
            if kept {
                self.keys.remove(&hash);
            } else {
                self.keys.insert(hash);
            }
            true
        });
        self.plan.keys = Some(self.keys.len() as u64).filter(|&n| n < KEYS);
    }
}

impl Sink for Planner<'_, '_> {
    fn file(&mut self, file: usize) -> Result<()> {
        self.file = file;
        if let Some(also) = &mut self.also {
            also.file(file)?;
        }
        let plan = &mut self.plan.files[file];
        (plan.new_bytes, plan.prefix) = (0, Some(0));
        Ok(())
    }

    fn edit(&mut self, edit: Edit<'_>) -> Result<()> {
        if let Some(also) = &mut self.also {
            also.edit(edit.clone())?;
        }
        let file = &mut self.plan.files[self.file];
        let room = file.edits.len() < LISTED;
        let listed = |what, span, bytes: &[u8], why| {
            let added = bytes.len() as u64;
            let bytes = if room && bytes.len() <= SHOWN { bytes.to_vec() } else { Vec::new() };
            Listed { what, span, bytes, added, why }
        };
        let at = file.edits.last().map_or(0, |e| e.span.end);
        let gap = matches!(edit, Edit::Insert(_));
        let relinked = matches!(edit, Edit::Relink(..));
        let told = match edit {
            Edit::Keep(span) => {
                file.new_bytes += span.end - span.start;
                if file.prefix == Some(span.start) {
                    file.prefix = Some(span.end);
                } else {
                    (file.prefix, file.changed) = (None, true);
                }
                listed(Verb::Keep, span, &[], None)
            }
            Edit::Drop(span, reason) => {
                file.changed = true;
                if let Why::Damaged(code) = reason {
                    self.plan.damaged += span.end - span.start;
                    self.plan.lost |= !matches!(code, Code::TornTail | Code::ZeroFilled | Code::Preallocated);
                }
                self.plan.lost |= reason == Why::Standing(Standing::Incomplete);
                listed(Verb::Drop, span, &[], room.then(|| why(reason)))
            }
            Edit::Patch(at, bytes) | Edit::Relink(at, bytes) => {
                let len = bytes.len() as u64;
                file.new_bytes += len;
                (file.prefix, file.changed) = (None, true);
                self.plan.patched += u64::from(!relinked);
                listed(Verb::Patch, at..at + len, bytes, None)
            }
            Edit::Reframe(span, bytes, mended) => {
                file.new_bytes += bytes.len() as u64;
                (file.prefix, file.changed) = (None, true);
                self.plan.patched += u64::from(mended);
                listed(Verb::Patch, span, bytes, None)
            }
            Edit::Insert(bytes) | Edit::Seal(bytes) => {
                file.new_bytes += bytes.len() as u64;
                (file.prefix, file.changed) = (None, true);
                self.plan.inserted += u64::from(gap);
                listed(Verb::Insert, at..at, bytes, None)
            }
        };
        if file.edits.len() < LISTED {
            let nth = file.edits.partition_point(|e| e.span.start <= told.span.start);
            file.edits.insert(nth, told)
        } else {
            file.unlisted += 1
        }
        Ok(())
    }

    fn untouched(&mut self, file: usize) -> Result<()> {
        // A cut counts by itself, record by record.
        if self.verbatim {
            return Ok(());
        }
        let survey = &self.report.files[file].survey;
        let (before, after, recovered) = survey.counts();
        self.plan.kept.records += before + after + recovered;
        self.plan.kept.data += survey.data + survey.recovered_data;
        self.plan.kept.commits += survey.commits;
        match self.log.filter(|_| !self.keys.is_empty()) {
            Some(log) => walk_file(log, self.report, file, u64::MAX, &mut |item| {
                self.written(item, true);
                Ok(())
            }),
            None => Ok(()),
        }
    }

    fn missing(&mut self, first: u64, last: u64, lost: bool) {
        self.plan.lost |= lost;
        if self.plan.missing.len() < MAX_REGIONS {
            self.plan.missing.push((first, last));
        }
    }

    fn record(&mut self, item: &Item<'_>, kept: bool) -> Result<()> {
        let changes = item.record.mark.changes();
        if !kept {
            self.plan.dropped.count(item, changes);
        } else {
            // What is prepared changes something where it is committed, and if it is.
            let marked = self.memtable.as_mut().filter(|_| item.record.mark != Mark::Data);
            let changes = marked.map_or(changes, |memtable| {
                memtable.insert(item.file, &item.record, item.contents(), &mut |_| ())
            });
            self.plan.kept.count(item, changes);
        }
        let (at, end, seq) = (item.record.at, item.record.end(), item.record.seq);
        if item.record.mark == Mark::Gap && self.note == Some((at, seq)) {
            // A gap that two records state: neither is the log's own.
            let tally = if kept { &mut self.plan.kept } else { &mut self.plan.dropped };
            tally.records = tally.records.saturating_sub(2);
        }
        self.note = Some((end, seq)).filter(|_| item.record.mark == Mark::Note);
        self.written(item, kept);
        Ok(())
    }
}
