//! What a report has to say: every finding and note, as one list in order.

use crate::analysis::{FileReport, Report};
use crate::format::Role;
use crate::log::conclude::{Gap, RepeatKind, Unwhole};
use crate::log::fault::{Behind, Cause};
use crate::log::finding::{Class, Code};
use crate::log::record::OP;
use crate::log::region::{Kind, Region};
use crate::log::survey::{BatchState, Ended};

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

    /// Names of the files that say which files belong together and that something is wrong with: only logs are written anew. And
    /// whether nothing else is wrong.
    pub fn hurt_lists(&self) -> (Vec<&str>, bool) {
        let list = |f: &Finding| f.file.map(|i| &self.files[i]).filter(|file| file.role == Role::List);
        let wrong = || self.findings().filter(|f| f.class != Class::Note);
        let mut names: Vec<&str> = wrong().filter_map(|f| list(&f)).map(|file| &*file.name).collect();
        names.dedup();
        (names, wrong().all(|f| list(&f).is_some()))
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
            let after = g.after.filter(|after| after.file == g.before.file);
            let (at, len) = after.map_or((g.before.at, 0), |after| (after.at, g.before.at - after.at));
            let message = format!("{}; likely cause: {}", lacking(g), g.cause.word());
            out.push(Finding { code, class: code.class(), file: Some(g.before.file), at, len, message });
        }
        for r in &self.conclusions.repeats {
            let numbers = span(r.first, r.last);
            let (code, message) = match r.kind {
                RepeatKind::Repeated => {
                    let copy = r.of.map(|of| format!(": this file is a copy of {}", self.files[of].name));
                    let copy = copy.unwrap_or_default();
                    (Code::RepeatedRange, format!("{numbers} occur a second time{copy}"))
                }
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
        let unknown = self.format.profile().numbered && self.conclusions.start.is_none();
        if let Some((first, _)) = self.conclusions.numbers.filter(|n| n.0 > 1 && unknown) {
            // Damage in front of the first record explains it.
            let bad_start = self.files.iter().find(|f| f.bytes > 0).is_some_and(|f| {
                let first = f.survey.runs.iter().find(|run| run.records > 0).map_or(u64::MAX, |run| run.at);
                f.survey.regions.first_bad().is_some_and(|bad| bad < first)
            });
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
            let code = if engine.unknown { Code::Unfollowed } else { Code::EngineRefuses };
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

    /// The name of a transaction that is not whole.
    pub fn name_of(&self, u: &Unwhole) -> Option<&str> {
        let names = &self.files[u.file].survey.names;
        let nth = names.binary_search_by_key(&u.batch.at, |(at, _)| *at).ok()?;
        names.get(nth).map(|(_, name)| &**name)
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
            BatchState::Orphan(Ended::Prepared) => {
                let name = self.name_of(u).map_or(String::new(), |name| format!(" {name}"));
                format!("transaction{name}, {numbers}: {}", u.why)
            }
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
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (n, None) if noun.ends_with(['s', 'h']) => format!("{n} {noun}es"),
        (n, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{n} {stem}ies"),
        (n, _) => format!("{n} {noun}s"),
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
    let cause = r.cause.unwrap_or(Cause::Malformed("record"));
    // An orphan is told as such.
    let told = cause == Cause::Behind(Behind::Uncommitted);
    if told || matches!(r.kind, Kind::Records | Kind::Framing) {
        return None;
    }
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
        (Kind::Damage, Some(fix)) if fix.field == OP => {
            format!(
                "{cause}; with {OP} {} in place of {} the checksum holds: most likely that record",
                fix.inferred, fix.found
            )
        }
        (Kind::Torn, _) => format!("the file ends inside a record, {} bytes of it are left", r.len),
        (Kind::Foreign, _) => {
            format!("{} records of another log: their numbers do not belong here", r.records)
        }
        (Kind::Mixed, _) => format!(
            "damage without end: from here on damage is not listed one by one ({} records intact)",
            r.records
        ),
        (Kind::Stale, _) => format!("{} {cause}", plural(r.records, "record")),
        (Kind::Preallocated, _) => "zeros that the engine wrote ahead".into(),
        _ if cause == Cause::Zeros => format!("{} of zeros where records should be", plural(r.len, "byte")),
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
            lacking(&Gap { first: 5, last, after: None, before: place, cause: GapCause::Damage, recovered })
        };
        assert_eq!(said(5, 0), "seq 5 missing (1)");
        assert_eq!(said(5, 1), "seq 5 recovered from a record that is not intact");
        assert_eq!(said(8, 1), "seq 5..8: 3 missing, 1 recovered from a record that is not intact");
        assert_eq!(said(8, 4), "seq 5..8 recovered from records that are not intact");
    }
}
