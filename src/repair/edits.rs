//! From records to bytes: what a repair keeps of each file, what it drops, puts right and adds. Told as a stream, so that a
//! badly damaged gigabyte needs no list of all its edits: the plan counts them, the writer carries them out.

use std::ops::Range;

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::fate::Standing;
use crate::format::{Framer, Link, LogFile, Part, Seal};
use crate::log::conclude::{Place, Start};
use crate::log::fault::{Behind, Cause};
use crate::log::finding::{Class, Code};
use crate::log::layout::Layout;
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, Mark, Record};
use crate::log::region::Kind;
use crate::repair::pages::Pages;
use crate::replay::walk::{Item, walk_file, written_order};

/// One step of writing a file anew, in order of the old one's bytes; only a header may come late, with the first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// These bytes are copied.
    Keep(Range<u64>),
    /// These are left out.
    Drop(Range<u64>, Why),
    /// These take the place of as many from this offset on.
    Patch(u64, &'a [u8]),
    /// The same, where the bytes were right until records in front of them were left out.
    Relink(u64, &'a [u8]),
    /// These are a record in the form that its new place asks for; the flag: something in it was wrong.
    Reframe(Range<u64>, &'a [u8], bool),
    /// These are added.
    Insert(&'a [u8]),
    /// These close the file: an index, a footer.
    Seal(&'a [u8]),
}

/// Why bytes are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They are damaged, as the code says.
    Damaged(Code),
    /// An intact record that does not count.
    Standing(Standing),
    /// An index or footer that is made anew.
    Remade,
    /// Behind the cut.
    Cut,
}

/// Receives the edits of all files, one file after the other.
pub trait Sink {
    /// The edits of this file follow.
    ///
    /// # Errors
    /// What keeps it from taking them.
    fn file(&mut self, file: usize) -> Result<()>;
    /// The next edit.
    ///
    /// # Errors
    /// What keeps it from taking it.
    fn edit(&mut self, edit: Edit<'_>) -> Result<()>;
    /// Nothing in this file has to be looked at: all its records are kept.
    ///
    /// # Errors
    /// What keeps it from looking for itself.
    fn untouched(&mut self, _file: usize) -> Result<()> {
        Ok(())
    }
    /// These numbers are stated as missing; `lost`: not just because their records were left out.
    fn missing(&mut self, _first: u64, _last: u64, _lost: bool) {}
    /// A record was looked at: what becomes of it.
    ///
    /// # Errors
    /// What keeps it from taking note.
    fn record(&mut self, _item: &Item<'_>, _kept: bool) -> Result<()> {
        Ok(())
    }
}

/// Which records are kept.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Those that may belong to an unfinished batch, too.
    pub undecided: bool,
    /// Of the records that change something only those at these offsets, by file; whatever their batch is.
    pub applied: Option<Vec<Vec<u64>>>,
    /// Nothing from the first place on that a file has; file and offset, by file.
    pub halts: Vec<Place>,
    /// No records that begin in one of these.
    pub skips: Vec<Part>,
    /// Nothing before this place.
    pub from: Option<Place>,
    /// Nothing from this place on.
    pub to: Option<Place>,
    /// Everything in between is kept as it is, damage and all: a cut, not a repair.
    pub verbatim: bool,
    /// Numbers that do not rise are made to.
    pub renumber: bool,
    /// What is made anew holds what the engine would.
    pub by_engine: bool,
    /// No choice among the records leaves that: they are made anew, too.
    pub afresh: bool,
    /// Intact records of transactions that lost another are kept.
    pub survivors: bool,
    /// So are transactions that are prepared and not ended.
    pub prepared: bool,
    /// The catalogue forgets what sizes the logs had.
    pub untracked: bool,
    /// The catalogue is written anew from what can be read of it.
    pub recatalogued: bool,
    /// Lower numbers are not missing in front of the log, as its catalogue written anew says.
    pub due: u64,
    /// What is in doubt is taken as it is.
    pub force: bool,
    /// The file that the log is about takes its place.
    pub pages: Option<Pages>,
}

impl Rule {
    /// Everything is kept as it is.
    pub fn verbatim() -> Rule {
        Rule {
            undecided: true,
            applied: None,
            halts: Vec::new(),
            skips: Vec::new(),
            from: None,
            to: None,
            verbatim: true,
            renumber: false,
            by_engine: false,
            afresh: false,
            survivors: false,
            prepared: true,
            untracked: false,
            recatalogued: false,
            due: 0,
            force: false,
            pages: None,
        }
    }

    /// Whether a record is kept, as far as its place allows it.
    fn counts(&self, item: &Item<'_>) -> bool {
        if self.skips.iter().any(|skip| skip.file == item.file && skip.span.contains(&item.record.at)) {
            return false;
        }
        let committed = match item.standing {
            // What it holds is copied as it is.
            Standing::Committed | Standing::Unread => true,
            // A gap that an earlier repair stated belongs to no batch.
            Standing::Undecided => self.undecided || item.record.mark == Mark::Gap,
            Standing::Incomplete => self.survivors,
            Standing::Uncommitted => self.prepared && item.record.mark == Mark::Prepare,
            _ => false,
        };
        match self.applied.as_ref().filter(|_| item.is_data()).and_then(|a| a.get(item.file)) {
            Some(applied) => {
                let batched = matches!(item.standing, Standing::Uncommitted | Standing::Incomplete);
                (committed || batched) && applied.binary_search(&item.record.at).is_ok()
            }
            None => committed,
        }
    }
}

/// Streams the edits of every file whose records count.
///
/// # Errors
/// What the sink says.
pub fn edits(log: &OpenLog, report: &Report, rule: &Rule, sink: &mut dyn Sink) -> Result<()> {
    let (order, files) = (written_order(report), log.files());
    // What the engine counts on from, even where the records of the last numbers are left out.
    let highest = report.conclusions.numbers.map(|n| n.1).filter(|_| rule.to.is_none());
    let highest = highest.filter(|_| !rule.verbatim);
    // A cut makes a hole in front where there was none.
    let front = report.conclusions.start.filter(|start| start.sure || rule.from.is_some());
    let mut numbers = Numbers {
        last: None,
        highest: 0,
        left_out: 0,
        time: None,
        renumber: rule.renumber,
        chosen: rule.by_engine,
        verbatim: rule.verbatim,
        front: front.map(|start| Start { due: start.due.max(rule.due), ..start }),
        cut: rule.from.is_some(),
    };
    for (nth, &file) in order.iter().enumerate() {
        sink.file(file)?;
        let bound = |place: Option<Place>, none: u64, before: u64, behind: u64| match place {
            None => none,
            Some(p) if p.file == file => p.at,
            Some(p) if order[..nth].contains(&p.file) => before,
            Some(_) => behind,
        };
        let size = report.files[file].bytes;
        let (from, to) = (bound(rule.from, 0, 0, size), bound(rule.to, size, 0, size));
        let halt = rule.halts.iter().filter(|h| h.file == file).map(|h| h.at).min().unwrap_or(u64::MAX);
        let span = from..to.min(halt).min(size);
        let mut editor = Editor::new(log, (&files, report), file, sink, &mut numbers, span);
        if rule.verbatim && !editor.moves() && !editor.states_front() || !editor.needs_a_look() {
            editor.whole()?;
            sink.untouched(file)?;
        } else {
            let counts = |item: &Item<'_>| rule.verbatim || rule.counts(item);
            walk_file(log, report, file, u64::MAX, &mut |item| editor.item(item, counts(item)))?;
            editor.finish(highest.filter(|_| nth + 1 == order.len()))?;
        }
    }
    Ok(())
}

/// What has to go on from file to file.
struct Numbers {
    /// The last number kept, and the highest.
    last: Option<u64>,
    /// See `last`.
    highest: u64,
    /// Numbers of records left out since, of transactions that never committed or by choice.
    left_out: u64,
    /// Bits of the last timestamp kept.
    time: Option<u64>,
    renumber: bool,
    /// Committed records are left out, too.
    chosen: bool,
    /// What is missing is not stated.
    verbatim: bool,
    /// Where what lacks in front is looked for, until a record is kept there.
    front: Option<Start>,
    /// It was cut off.
    cut: bool,
}

impl Numbers {
    /// A record is kept behind which `next` is due.
    fn keep(&mut self, next: u64) {
        if let Some(last) = next.checked_sub(1) {
            (self.last, self.highest, self.left_out) = (Some(last), self.highest.max(last), 0);
        }
    }
}

/// Makes the edits of one file.
struct Editor<'a, 's> {
    log: &'a OpenLog,
    report: &'a Report,
    file: usize,
    layout: &'static Layout,
    sink: &'s mut dyn Sink,
    numbers: &'s mut Numbers,
    /// Nothing outside is kept.
    span: Range<u64>,
    /// Bytes of the old file that are accounted for.
    at: u64,
    /// The end of these that is to be kept, not yet told.
    keep: Range<u64>,
    /// Bytes of the new file.
    written: u64,
    seal: Option<Box<dyn Seal>>,
    link: Option<Box<dyn Link>>,
    framer: Option<Box<dyn Framer + 'a>>,
    /// Of the link, while no record has followed.
    header: Option<(u64, Option<Vec<u8>>)>,
}

impl<'a, 's> Editor<'a, 's> {
    fn new(
        log: &'a OpenLog,
        (files, report): (&'a [LogFile<'a>], &'a Report),
        file: usize,
        sink: &'s mut dyn Sink,
        numbers: &'s mut Numbers,
        span: Range<u64>,
    ) -> Self {
        let role = report.files[file].role;
        let link = log.format().link(files, file);
        let header = link.as_ref().map(|link| link.header());
        let begins = header.as_ref().map_or(0, |header| header.0);
        // A header alone is no whole file.
        let span = if span.end <= begins { 0..0 } else { span };
        Editor {
            log,
            report,
            file,
            layout: log.format().layout(role, log.revision),
            sink,
            numbers,
            span,
            at: begins,
            keep: 0..0,
            written: 0,
            seal: log.format().seal(role),
            link,
            framer: log.format().framer(files, file),
            header,
        }
    }

    /// Whether anything in this file may have to change.
    fn needs_a_look(&self) -> bool {
        let file = &self.report.files[self.file];
        let found = |f: crate::findings::Finding| f.file == Some(self.file) && f.class != Class::Note;
        self.log.format().profile().numbered
            || self.span != (0..file.bytes)
            || file.survey.rules.grouping != crate::log::survey::Grouping::None
            || file.survey.regions.first_bad().is_some()
            || self.report.findings().any(found)
    }

    /// Whether records get another place, though all of them are kept, and are then written in another form.
    fn moves(&self) -> bool {
        self.framer.is_some() && self.span.start > 0 && !self.span.is_empty()
    }

    /// Whether the first record that is kept may stand in here, behind what a cut leaves out.
    fn states_front(&self) -> bool {
        self.framer.is_some() && self.numbers.cut && self.numbers.front.is_some()
    }

    /// Keeps what lies in the span, as it is.
    fn whole(&mut self) -> Result<()> {
        let size = self.report.files[self.file].bytes;
        self.drop(0..self.span.start, Why::Cut)?;
        self.keep(self.span.clone())?;
        self.drop(self.span.end.max(self.span.start)..size, Why::Cut)?;
        self.flush()
    }

    /// The header of records that are tied together, once there is one: without them it says nothing.
    fn begin(&mut self) -> Result<()> {
        match self.header.take() {
            None => Ok(()),
            Some((len, None)) => self.keep(0..len),
            Some((0, Some(bytes))) => self.insert(&bytes),
            Some((_, Some(bytes))) => {
                self.written += bytes.len() as u64;
                self.sink.edit(Edit::Patch(0, &bytes))
            }
        }
    }

    fn item(&mut self, item: &Item<'_>, counts: bool) -> Result<()> {
        let (at, end) = (item.record.at, item.record.end());
        self.between(at)?;
        let inside = self.span.start <= at && end <= self.span.end;
        if !self.numbers.verbatim {
            self.sink.record(item, counts && inside)?;
        }
        self.at = end;
        if !(inside && counts) && (self.numbers.chosen || item.standing == Standing::Uncommitted) {
            self.numbers.left_out += self.numbered(item).1;
        }
        if !inside {
            return self.drop(at..end, Why::Cut);
        }
        if !counts {
            let why = match item.standing {
                Standing::Committed | Standing::Unread => Why::Cut,
                standing => Why::Standing(standing),
            };
            return self.drop(at..end, why);
        }
        self.begin()?;
        let number = self.number(item)?;
        if let Some(seal) = &mut self.seal {
            seal.record(self.written, &item.entry());
        }
        if let Some(framer) = self.framer.take() {
            let framer = self.framed(framer, item, number);
            return framer.map(|framer| self.framer = Some(framer));
        }
        let [first, second] = self.link.as_mut().map_or([None; 2], |link| link.record(item.bytes));
        match (number, item.fix) {
            (None, None) if first.or(second).is_none() => self.keep(at..end),
            (number, fix) => self.patched(item, [first, second, number, fix]),
        }
    }

    /// The record in the form that its place asks for.
    fn framed(
        &mut self,
        mut framer: Box<dyn Framer + 'a>,
        item: &Item<'_>,
        number: Option<Fix>,
    ) -> Result<Box<dyn Framer + 'a>> {
        let span = item.record.at..item.record.end();
        let stays = item.fix.is_none() && number.is_none();
        if stays && framer.keeps(&item.record, item.bytes, self.written) {
            self.keep(span)?;
            return Ok(framer);
        }
        // The number is the first that the contents of such a record say.
        let renumbered = number.map(|number| {
            let mut contents = item.contents().to_vec();
            let bytes = number.inferred.to_le_bytes();
            contents.iter_mut().zip(bytes).for_each(|(old, new)| *old = new);
            contents
        });
        let mut bytes = Vec::new();
        framer.record(&item.record, renumbered.as_deref(), self.written, &mut bytes);
        self.flush()?;
        self.written += bytes.len() as u64;
        self.sink.edit(Edit::Reframe(span, &bytes, item.fix.is_some()))?;
        Ok(framer)
    }

    /// States a gap in front of the record; gives back what its number or time is to be, if that has to be chosen.
    fn number(&mut self, item: &Item<'_>) -> Result<Option<Fix>> {
        let chosen = |field, found, inferred| Some(Fix { field, found, inferred });
        let unknown = item.fix.filter(|f| f.known().is_none());
        let timed = self.report.files[self.file].survey.rules.numbering == Numbering::Time;
        let time = if timed { item.entry().time } else { None };
        if unknown.is_some_and(|f| f.field == "timestamp") {
            let found = item.record.seq;
            return Ok(chosen("timestamp", found, self.numbers.time.or(self.first_time()?).unwrap_or(0)));
        }
        self.numbers.time = time.or(self.numbers.time);
        if !self.log.format().profile().numbered {
            return Ok(None);
        }
        let front = self.numbers.front.take_if(|start| self.file >= start.file);
        let due = self.numbers.last.map(|last| last.saturating_add(1)).max(front.map(|start| start.due));
        let (Some(seq), width) = self.numbered(item) else {
            let seq = due.unwrap_or(1);
            self.numbers.keep(seq.saturating_add(1));
            return Ok(chosen("seq", item.record.seq, seq));
        };
        match due {
            Some(due) if seq > due && front.is_some() && (self.numbers.cut || !self.numbers.verbatim) => {
                // What is cut off is not lost.
                self.numbers.left_out = if self.numbers.cut { u64::MAX } else { self.numbers.left_out };
                self.state_gap(due, seq - 1, Some(&item.record))?
            }
            Some(due) if seq > due && self.is_missing(due, seq - 1) => {
                self.state_gap(due, seq - 1, Some(&item.record))?
            }
            Some(due) if seq < due && self.numbers.renumber => {
                self.numbers.keep(due.saturating_add(width));
                return Ok(chosen("seq", seq, due));
            }
            _ => {}
        }
        self.numbers.keep(seq.saturating_add(width));
        Ok(None)
    }

    /// The first number of a record, if it is known, and how many it takes. Where a number is a place among those of all
    /// operations, a record without any still stands at one, and one that states a gap stands behind it.
    fn numbered(&self, item: &Item<'_>) -> (Option<u64>, u64) {
        let (seq, next) = (item.record.seq, item.record.next);
        match &self.framer {
            Some(_) if item.record.mark == Mark::Gap => (Some(next), 0),
            Some(_) => (Some(seq), next.saturating_sub(seq)),
            None => (item.seq(), next.saturating_sub(seq).max(1)),
        }
    }

    /// The time of the first record of this file whose time is believed.
    fn first_time(&self) -> Result<Option<u64>> {
        let mut first = None;
        walk_file(self.log, self.report, self.file, u64::MAX, &mut |item| {
            if item.fix.is_none() && first.is_none() {
                first = item.entry().time;
            }
            Ok(())
        })?;
        Ok(first)
    }

    /// Whether numbers are missing, and not given out by a record of another file.
    fn is_missing(&self, first: u64, last: u64) -> bool {
        let gaps = &self.report.conclusions.gaps;
        if self.numbers.verbatim {
            return false;
        }
        self.framer.is_none()
            || self.numbers.left_out > 0
            || gaps.iter().any(|gap| gap.first <= last && first <= gap.last)
    }

    fn state_gap(&mut self, first: u64, last: u64, next: Option<&Record>) -> Result<()> {
        let stated = match &mut self.framer {
            Some(framer) => {
                let mut bytes = Vec::new();
                framer.gap(first, last, next, self.written, &mut bytes);
                Some(bytes)
            }
            None => self.log.format().gap(first, last),
        };
        let Some(bytes) = stated else { return Ok(()) };
        self.sink.missing(first, last, last - first >= self.numbers.left_out);
        self.insert(&bytes)
    }

    /// The record with fields put right; of two for the same field the first counts.
    fn patched(&mut self, item: &Item<'_>, fixes: [Option<Fix>; 4]) -> Result<()> {
        let (at, layout) = (item.record.at, self.layout);
        let length = item.fix.and_then(|f| Some((f.field, f.known()?)));
        let mut from = at;
        for (field, span, _) in layout.spans(item.bytes, length).filter(|(_, span, _)| span.len() <= 8) {
            let mut fitting = fixes.iter().flatten().filter(|f| f.field == field.name && f.known().is_some());
            let Some(fix) = fitting.next() else { continue };
            let bytes = match layout.big_endian {
                true => fix.inferred.to_be_bytes()[8 - span.len()..].to_vec(),
                false => fix.inferred.to_le_bytes()[..span.len()].to_vec(),
            };
            self.keep(from..at + span.start as u64)?;
            self.flush()?;
            self.written += bytes.len() as u64;
            let wrong = item.fix.is_some_and(|f| f.field == field.name) || self.link.is_none();
            let place = at + span.start as u64;
            self.sink.edit(if wrong { Edit::Patch(place, &bytes) } else { Edit::Relink(place, &bytes) })?;
            from = at + span.end as u64;
        }
        self.keep(from..item.record.end())
    }

    /// Deals with the bytes up to the next record: framing is kept, unless it is made anew, damage is not.
    fn between(&mut self, to: u64) -> Result<()> {
        if self.at == to {
            return Ok(());
        }
        let regions = self.report.files[self.file].survey.regions.as_slice();
        let first = regions.partition_point(|r| r.end() <= self.at);
        for region in regions[first..].iter().take_while(|r| r.at < to) {
            let span = region.at.max(self.at)..region.end().min(to);
            match (region.kind, region.cause) {
                (Kind::Framing, _) if self.seal.is_some() => self.drop(span, Why::Remade)?,
                // What is said of a whole file is said in front of what is left of it.
                (Kind::Framing, _)
                    if span.end <= self.span.end
                        && (self.span.start <= span.start || self.framer.is_some()) =>
                {
                    self.frame(span)?
                }
                (Kind::Framing, _) => self.drop(span, Why::Cut)?,
                // An older generation stays, where nothing in front of it was moved.
                (Kind::Stale, Some(Cause::Behind(Behind::Generation)))
                    if self.unmoved(span.start) && self.framer.is_none() =>
                {
                    self.begin()?;
                    self.keep(span)?;
                }
                (Kind::Stale, Some(Cause::Behind(behind))) => {
                    let uncommitted = behind == Behind::Uncommitted;
                    let standing = if uncommitted { Standing::Uncommitted } else { Standing::Stale };
                    self.drop(span, Why::Standing(standing))?;
                }
                (kind, cause) => {
                    let code = cause.map_or(Code::TooMuchDamage, |cause| Code::of_region(kind, cause));
                    self.drop(span, Why::Damaged(code))?;
                }
            }
        }
        self.at = to;
        Ok(())
    }

    /// What is no record and belongs to the format.
    fn frame(&mut self, span: Range<u64>) -> Result<()> {
        let Some(framer) = &mut self.framer else { return self.keep(span) };
        let mut bytes = Vec::new();
        framer.framing(span.clone(), self.written, &mut bytes);
        if self.unmoved(span.start) && bytes.len() as u64 == span.end - span.start {
            return self.keep(span);
        }
        self.drop(span, Why::Remade)?;
        if bytes.is_empty() { Ok(()) } else { self.insert(&bytes) }
    }

    /// Whether nothing in front of this offset has changed its place.
    fn unmoved(&self, at: u64) -> bool {
        self.written + self.header.as_ref().map_or(0, |header| header.0) == at
    }

    /// The rest of the file, and what stands at its end.
    fn finish(&mut self, highest: Option<u64>) -> Result<()> {
        self.between(self.report.files[self.file].bytes)?;
        if let Some((len, _)) = self.header.take() {
            self.drop(0..len, Why::Cut)?;
        }
        if let Some(highest) = highest.filter(|&highest| self.numbers.highest < highest) {
            self.state_gap(self.numbers.highest + 1, highest, None)?;
        }
        if let Some(seal) = self.seal.take() {
            self.flush()?;
            let mut bytes = Vec::new();
            seal.finish(self.written, &mut bytes);
            self.sink.edit(Edit::Seal(&bytes))?;
        }
        self.flush()
    }

    fn keep(&mut self, span: Range<u64>) -> Result<()> {
        if span.is_empty() {
            return Ok(());
        }
        if self.keep.end != span.start || self.keep.is_empty() {
            self.flush()?;
            self.keep = span.start..span.start;
        }
        self.written += span.end - span.start;
        self.keep.end = span.end;
        Ok(())
    }

    fn drop(&mut self, span: Range<u64>, why: Why) -> Result<()> {
        if span.is_empty() {
            return Ok(());
        }
        self.flush()?;
        self.sink.edit(Edit::Drop(span, why))
    }

    fn insert(&mut self, bytes: &[u8]) -> Result<()> {
        self.flush()?;
        self.written += bytes.len() as u64;
        self.sink.edit(Edit::Insert(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        let Range { start, end } = std::mem::replace(&mut self.keep, 0..0);
        let (words, mut from) = (self.log.source(self.file).words(), start);
        for word in words.iter().filter(|word| start <= word.at && word.at + 4 <= end) {
            if from < word.at {
                self.sink.edit(Edit::Keep(from..word.at))?;
            }
            self.sink.edit(Edit::Patch(word.at, &word.inferred))?;
            from = word.at + 4;
        }
        if from < end { self.sink.edit(Edit::Keep(from..end)) } else { Ok(()) }
    }
}
