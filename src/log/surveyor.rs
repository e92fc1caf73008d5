//! Builds the [`Survey`] of a file while it is scanned: numbers and batches are followed here, once for all formats.

use super::bytes::Reader;
use super::decoder::Recovery;
use super::fault::Cause;
use super::numbering::{
    Judgement, Numbering, Run, judge, looks_damaged, room, time_is_wrong, time_is_wrong_at_edge,
    two_at_the_end,
};
use super::record::{Fix, Mark, OP, Record, Trust};
use super::region::{Kind, MAX_REGIONS, Region};
use super::scan::Sink;

use super::survey::{Batch, BatchState, Ended, Grouping, Rules, Survey};

/// Where numbers are missing.
#[derive(Clone, Copy)]
struct Hole {
    /// Offset and number of the first record behind it.
    at: u64,
    first: u64,
    /// Records that change something, up to there.
    changes: u64,
}

/// Builds a [`Survey`] from a scan.
pub struct Surveyor {
    survey: Survey,
    limit: usize,
    expected: Option<u64>,
    held: Option<Record>,
    /// The record at the start of the file, where timestamps are judged and two more have to be seen first.
    first: Option<Record>,
    times: [f64; 2],
    trust: Trust,
    /// Bytes of damage between the last accepted record and the next one.
    broken: u64,
    split: bool,
    /// A hole in the numbers inside the open batch: the batch as it was before the hole.
    cut: Option<Batch>,
    lost_before: bool,
    last_mark: Mark,
    /// The number behind the last COMMIT.
    closed: u64,
    /// The last hole in the numbers behind the last mark.
    hole: Option<Hole>,
    watch: bool,
}

impl Surveyor {
    /// Ready for the first record of a file.
    pub fn new(rules: Rules) -> Self {
        Surveyor::up_to(MAX_REGIONS, rules)
    }

    /// The same with a bound of its own on what is listed; past it anomalies are only counted.
    pub fn up_to(limit: usize, rules: Rules) -> Self {
        Surveyor {
            trust: rules.trust,
            watch: rules.grouping != Grouping::None || restarts(&rules),
            survey: Survey::up_to(limit, rules),
            limit,
            expected: restarts(&rules).then_some(1),
            held: None,
            first: None,
            times: [f64::NAN; 2],
            broken: 0,
            split: false,
            cut: None,
            lost_before: false,
            last_mark: Mark::Note,
            closed: 1,
            hole: None,
        }
    }

    /// The survey, once the scan is over.
    pub fn finish(mut self) -> Survey {
        self.settle();
        if let Some(open) = self.survey.open {
            // Numbers that are missing inside it, with no COMMIT behind them, end the orphan there.
            let cut = self.cut.map(|cut| Batch { state: BatchState::Orphan(Ended::Hole), ..cut });
            self.survey.open = Some(cut.unwrap_or(open));
        }
        self.survey
    }

    /// Takes the contiguous front part of `batch` on the hot path; gives back how many records that were.
    fn in_order(&mut self, batch: &[Record]) -> usize {
        let (Some(mut expected), None) = (self.expected, self.held) else {
            return 0;
        };
        if self.split || self.fresh() || self.cut.is_some() {
            return 0;
        }
        let mut n = 0;
        let mut data = 0;
        for r in batch {
            // Marks are rare; while a batch is open its members are counted at its end, by their numbers.
            if r.seq != expected || (self.watch && r.mark != Mark::Data) {
                break;
            }
            expected = r.next;
            data += u64::from(r.mark.changes());
            n += 1;
        }
        if n > 0 {
            let (first, last) = (batch[0], batch[n - 1]);
            self.expected = Some(expected);
            self.last_mark = last.mark;
            self.survey.regions.extend_records(first.at, last.end(), n as u64, self.trust, false);
            let frozen = self.frozen();
            if let Some(run) = self.survey.runs.last_mut().filter(|_| !frozen) {
                (run.next, run.end) = (expected, last.end());
                run.records += n as u64;
                run.data += data;
            }
            self.survey.data += data;
            self.broken = 0;
            if let Some(open) = &mut self.survey.open {
                (open.end, open.last) = (last.end(), last.seq);
                open.records += n as u64;
                open.data += data;
            } else if self.survey.rules.grouping == Grouping::CommitOnly {
                let mut open = opened(&first);
                (open.end, open.last, open.records, open.data) = (last.end(), last.seq, n as u64, data);
                self.survey.open = Some(open);
            }
        }
        n
    }

    fn numbered(&mut self, r: Record) {
        if let Some(held) = self.held.take() {
            let expected = self.expected.unwrap_or(held.seq);
            // Damage behind a held record settles it before the next one comes.
            match judge(expected, held.seq, held.next, r.seq, room(self.broken), 0) {
                Judgement::Jump => self.jump(held, held.next == r.seq),
                Judgement::Wrong(_) if self.survey.rules.proves_numbers() => self.jump(held, false),
                // One of the two is wrong, and the next record will show that it is the other one.
                Judgement::Wrong(Some(truth)) if self.likelier(expected, held.seq, truth) => {
                    self.jump(held, false)
                }
                Judgement::Wrong(truth) => self.wrong_number(held, truth),
            }
        }
        match self.expected {
            Some(expected) if r.seq != expected => self.held = Some(r),
            Some(_) if !self.fresh() || self.frozen() => self.accept(r),
            _ => {
                if r.at > 0 && self.survey.regions.end() > 0 && self.survey.runs.is_empty() {
                    self.note_hole(&r);
                }
                self.start_run(&r);
                self.accept(r);
            }
        }
    }

    /// Whether the damage in front of a record, by the usual size of records, rather held those up to the number `found` than
    /// those up to `other`.
    fn likelier(&self, expected: u64, found: u64, other: u64) -> bool {
        let Some(run) = self.survey.runs.last().filter(|run| run.records > 0) else { return false };
        let usual = ((run.end - run.at) / run.records).max(1);
        let held = (self.broken + usual / 2) / usual;
        let off = |seq: u64| seq.checked_sub(expected).map(|missing| missing.abs_diff(held));
        self.broken > 0 && matches!((off(found), off(other)), (Some(a), Some(b)) if a < b)
    }

    /// There are more breaks than are listed: from here on numbers are not followed any more.
    fn frozen(&self) -> bool {
        self.survey.runs.len() >= self.limit || self.survey.regions.full()
    }

    /// No record precedes, or a commit behind which counting begins anew.
    fn fresh(&self) -> bool {
        self.survey.runs.is_empty() || (restarts(&self.survey.rules) && self.last_mark.commits())
    }

    /// A hole or a step back in the numbers lies before `r`; `confirmed`: the record behind it takes up where it ends.
    fn jump(&mut self, r: Record, confirmed: bool) {
        if confirmed && !self.survey.rules.proves_numbers() && self.lone_were_wrong(&r) {
            self.accept(r);
            return;
        }
        self.lost_before = self.expected.is_some_and(|e| r.seq > e);
        let begun = self.survey.rules.grouping == Grouping::BeginCommit;
        if self.lost_before && begun && self.survey.open.is_some() && self.cut.is_none() {
            self.cut = self.survey.open;
        }
        if self.lost_before {
            self.note_hole(&r);
        }
        self.start_run(&r);
        self.accept(r);
    }

    /// Whether the records alone before `r`, each with a number that fits neither neighbour, are the ones whose numbers are
    /// wrong: right behind them, with nothing damaged between, the numbers follow each other. They are then put right.
    fn lone_were_wrong(&mut self, r: &Record) -> bool {
        if self.broken > 0 || self.survey.runs_unlisted > 0 {
            return false;
        }
        let (mut at, mut seq, mut kept) = (r.at, r.seq, self.survey.runs.len());
        let mut lone = Vec::new();
        while let Some(run) = kept.checked_sub(1).map(|i| self.survey.runs[i]) {
            if run.records > 0 {
                let truth = seq.checked_sub(run.next.saturating_sub(run.first).max(1)).filter(|&n| n > 0);
                let Some(truth) = truth.filter(|_| run.records == 1 && run.end == at) else { break };
                let rises = run.first < truth
                    && self.survey.runs[..kept - 1].last().is_none_or(|b| b.next <= run.first);
                if rises && !looks_damaged(run.first, truth) {
                    break;
                }
                (at, seq) = (run.at, truth);
                lone.push((run, truth));
            }
            kept -= 1;
        }
        if lone.is_empty() || self.survey.runs[..kept].last().is_some_and(|before| seq < before.next) {
            return false;
        }
        self.survey.runs.truncate(kept);
        for (run, truth) in lone {
            self.renumber(&run, truth);
        }
        self.resume_run(r.seq);
        self.split = true;
        true
    }

    /// Puts the number of a record right that was accepted with a wrong one.
    fn renumber(&mut self, run: &Run, truth: u64) {
        let fix = Fix { field: "seq", found: run.first, inferred: truth };
        let cause = Cause::Number { found: run.first, expected: truth };
        self.survey.regions.reclass(run.at, run.end, Kind::Recovered, cause, Some(fix));
        self.survey.damages += 1;
        self.survey.data -= run.data;
        self.survey.recovered_data += run.data;
        if let Some(open) = self.survey.open.as_mut().filter(|open| open.at == run.at) {
            (open.first, open.last) = (truth, truth.max(open.last));
        }
    }

    fn start_run(&mut self, r: &Record) {
        if self.frozen() {
            self.survey.runs_unlisted += 1;
            return;
        }
        self.split = true;
        self.survey.runs.push(Run { first: r.seq, next: r.seq, at: r.at, end: r.at, records: 0, data: 0 });
    }

    fn wrong_number(&mut self, r: Record, truth: Option<u64>) {
        let fix = Fix { field: "seq", found: r.seq, inferred: truth.unwrap_or(Fix::UNKNOWN) };
        let cause = Cause::Number { found: r.seq, expected: fix.inferred };
        self.recovered(&r, cause, fix, self.trust);
        // Its batch has not lost it.
        let width = r.next.saturating_sub(r.seq);
        let seq = truth.unwrap_or_else(|| self.expected.unwrap_or(r.seq));
        self.group(&Record { seq, next: seq.saturating_add(width), ..r });
        if truth.is_some() {
            self.expected = Some(if self.ends_count(&r) { 1 } else { seq.saturating_add(width) });
        }
        self.split = true;
        self.resume_run(seq.saturating_add(width));
        self.last_mark = r.mark;
    }

    /// Behind a recovered record the numbers go on, in a run of their own: the recovered one is not among the intact.
    fn resume_run(&mut self, next: u64) {
        let at = self.survey.regions.end();
        if !self.frozen() {
            self.survey.runs.push(Run { first: next, next, at, end: at, records: 0, data: 0 });
        }
    }

    fn recovered(&mut self, r: &Record, cause: Cause, fix: Fix, trust: Trust) {
        self.survey.damages += 1;
        self.survey.recovered_data += u64::from(r.mark.changes());
        self.note_unread(r);
        self.survey.regions.push(Region {
            at: r.at,
            len: r.len,
            kind: Kind::Recovered,
            cause: Some(cause),
            fix: Some(fix),
            records: 1,
            trust,
        });
    }

    fn accept(&mut self, r: Record) {
        self.survey.regions.extend_records(r.at, r.end(), 1, self.trust, self.split);
        self.split = false;
        self.expected = Some(if self.ends_count(&r) { 1 } else { r.next });
        let data = u64::from(r.mark.changes());
        self.survey.data += data;
        let frozen = self.frozen();
        if let Some(run) = self.survey.runs.last_mut().filter(|_| !frozen) {
            if run.records == 0 {
                (run.first, run.at) = (r.seq, r.at);
            }
            (run.next, run.end) = (r.next, r.end());
            run.records += 1;
            run.data += data;
        }
        if r.mark == Mark::Gap && self.survey.stated.len() < self.limit {
            self.survey.stated.push((r.at, r.seq, r.next.saturating_sub(1)));
        }
        self.note_unread(&r);
        self.group(&r);
        self.broken = 0;
        self.lost_before = false;
        self.last_mark = r.mark;
    }

    fn note_unread(&mut self, r: &Record) {
        if r.mark == Mark::Unread && self.survey.unread.len() < self.limit {
            self.survey.unread.push(r.at);
        }
    }

    /// Behind it counting begins at 1 again.
    fn ends_count(&self, r: &Record) -> bool {
        r.mark.commits() && restarts(&self.survey.rules)
    }

    fn group(&mut self, r: &Record) {
        let grouping = self.survey.rules.grouping;
        let mark = if r.mark.commits() { Mark::Commit } else { r.mark };
        match (grouping, mark) {
            (Grouping::None, _) => {}
            (Grouping::Named, Mark::Prepare) => self.survey.begins += 1,
            (Grouping::Named, Mark::Commit) => self.survey.commits += 1,
            (Grouping::Named, _) => {}
            (Grouping::Undecided, Mark::Commit) => {
                self.survey.commits += 1;
                self.survey.last_commit = Some(r.end());
                self.survey.data_to_last_commit = self.survey.data + self.survey.recovered_data;
            }
            (Grouping::Undecided, Mark::Begin) => self.survey.begins += 1,
            (Grouping::Undecided, _) => {}
            (_, Mark::Begin) => {
                self.survey.begins += 1;
                self.hole = None;
                if let Some(open) = self.survey.open.take() {
                    self.list_orphan(open, Ended::Begin);
                }
                self.cut = None;
                self.survey.open = Some(opened(r));
            }
            (_, Mark::Commit) => {
                self.survey.commits += 1;
                self.survey.data_to_last_commit = self.survey.data + self.survey.recovered_data;
                self.close(r);
                self.hole = None;
            }
            (Grouping::BeginCommit, _) => {
                if let Some(open) = &mut self.survey.open {
                    join(open, r);
                }
            }
            (Grouping::CommitOnly, _) => match &mut self.survey.open {
                Some(open) => join(open, r),
                None => self.survey.open = Some(opened(r)),
            },
        }
    }

    fn close(&mut self, r: &Record) {
        self.cut = None;
        let only = self.survey.rules.grouping == Grouping::CommitOnly;
        // Where counting goes on, a batch takes up where the last one was closed.
        let due = std::mem::replace(&mut self.closed, r.next);
        let open = match self.survey.open.take() {
            Some(mut open) => {
                join(&mut open, r);
                open
            }
            None if only && !restarts(&self.survey.rules) => opened(r),
            None => {
                if self.survey.rules.grouping == Grouping::BeginCommit {
                    let batch = self.without_begin(r);
                    self.list(batch);
                }
                return;
            }
        };
        let numbered = matches!(self.survey.rules.numbering, Numbering::Contiguous { .. });
        let first = match restarts(&self.survey.rules) {
            true => 1,
            false if only => due.min(open.first),
            false => open.first,
        };
        // A mark without a number of its own covers none.
        let unnumbered = u64::from(r.next == r.seq);
        let span = r.seq.saturating_sub(first).saturating_add(1);
        if numbered && self.survey.rules.grouping != Grouping::Undecided && span > open.records + unnumbered {
            self.list(Batch { state: BatchState::LostMember, ..open });
        }
    }

    /// Where numbers are missing between the last complete batch and this COMMIT, its BEGIN lay in the hole, and all that
    /// stands behind the hole are its members.
    fn without_begin(&self, commit: &Record) -> Batch {
        let hole = self.hole.filter(|hole| hole.first <= commit.seq);
        let state = BatchState::NoBegin { hole: hole.is_some() };
        let Some(hole) = hole else { return Batch { state, ..opened(commit) } };
        let data = self.changes() - hole.changes;
        let records = commit.seq - hole.first + 1;
        Batch { state, at: hole.at, first: hole.first, records, data, ..opened(commit) }
    }

    /// Records so far that change something.
    fn changes(&self) -> u64 {
        self.survey.data + self.survey.recovered_data
    }

    /// Numbers are missing in front of `r`, or nobody knows what stood there.
    fn note_hole(&mut self, r: &Record) {
        self.hole = Some(Hole { at: r.at, first: r.seq, changes: self.changes() });
    }

    /// Numbers that are missing inside it end the orphan there.
    fn list_orphan(&mut self, open: Batch, ended: Ended) {
        let (batch, ended) = self.cut.take().map_or((open, ended), |cut| (cut, Ended::Hole));
        self.list(Batch { state: BatchState::Orphan(ended), ..batch });
    }

    fn list(&mut self, batch: Batch) {
        if self.survey.batches.len() < self.limit {
            self.survey.batches.push(batch);
        } else {
            self.survey.batches_unlisted += 1;
        }
    }

    /// Each record waits for the one behind it: only between two neighbours does a time look wrong.
    fn timed(&mut self, r: Record) {
        let Some(held) = self.held.replace(r) else { return };
        let following = f64::from_bits(r.seq);
        if let Some(first) = self.first.take() {
            self.judge_first(first, f64::from_bits(held.seq), following);
        } else if self.survey.regions.end() == 0 {
            // The first record has neighbours on one side only, and waits for two of them.
            self.first = Some(held);
            return;
        }
        let (time, old) = (f64::from_bits(held.seq), self.times[1]);
        self.judged(held, time_is_wrong(if old.is_nan() { time } else { old }, time, following));
    }

    fn judge_first(&mut self, r: Record, near: f64, far: f64) {
        self.judged(r, time_is_wrong_at_edge(f64::from_bits(r.seq), near, far, true));
    }

    fn judged(&mut self, r: Record, wrong: bool) {
        if wrong {
            let fix = Fix { field: "timestamp", found: r.seq, inferred: Fix::UNKNOWN };
            self.recovered(&r, Cause::Number { found: r.seq, expected: fix.inferred }, fix, self.trust);
        } else {
            self.times = [self.times[1], f64::from_bits(r.seq)];
            self.accept(r);
        }
    }

    /// Damage or the end follows: what is waiting is judged by what lies before it.
    fn settle_times(&mut self, last: Record) {
        if let Some(first) = self.first.take() {
            self.judge_first(first, f64::NAN, f64::NAN);
        }
        let [far, near] = self.times;
        self.judged(last, time_is_wrong_at_edge(f64::from_bits(last.seq), near, far, false));
    }
}

/// Whether counting begins at 1 in every file and behind every commit.
fn restarts(rules: &Rules) -> bool {
    rules.numbering == Numbering::Contiguous { restarts: true }
}

fn opened(r: &Record) -> Batch {
    Batch {
        state: BatchState::Orphan(Ended::File),
        at: r.at,
        end: r.end(),
        first: r.seq,
        last: r.seq,
        records: 1,
        data: u64::from(r.mark.changes()),
    }
}

fn join(open: &mut Batch, r: &Record) {
    (open.end, open.last) = (r.end(), r.seq);
    open.records += 1;
    open.data += u64::from(r.mark.changes());
}

impl Sink for Surveyor {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        let mut i = 0;
        match self.survey.rules.numbering {
            Numbering::Time => batch.iter().for_each(|&r| self.timed(r)),
            _ => {
                while i < batch.len() {
                    i += self.in_order(&batch[i..]);
                    if let Some(&r) = batch.get(i) {
                        self.numbered(r);
                        i += 1;
                    }
                }
            }
        }
    }

    fn framing(&mut self, from: u64, to: u64, _: &mut Reader<'_>) {
        self.settle();
        let trust = self.trust;
        self.survey.regions.push(Region {
            at: from,
            len: to - from,
            kind: Kind::Framing,
            cause: None,
            fix: None,
            records: 0,
            trust,
        });
    }

    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        self.settle();
        if let Some(at) = recovery.embedded
            && self.survey.embedded.len() < self.limit
        {
            self.survey.embedded.push(at);
        }
        // An operation found by trying is inferred, not proved: told in the finding, counted nowhere.
        if let Some((record, fix)) = recovery.record.filter(|(_, fix)| fix.field != OP) {
            self.recovered(&record, recovery.cause, fix, recovery.trust);
            let follows = record.next > record.seq && self.expected.is_none_or(|e| e == record.seq);
            let proved = self.survey.rules.proves_numbers() && self.expected.is_none_or(|e| e <= record.seq);
            if follows || proved {
                self.group(&record);
                self.expected = Some(if self.ends_count(&record) { 1 } else { record.next });
                self.split = true;
                self.resume_run(record.next);
                self.last_mark = record.mark;
                // It may be the last one, or in front of a gap.
                if let Some(run) = self.survey.runs.last_mut().filter(|run| proved && run.records == 0) {
                    (run.first, run.at) = (record.seq, record.at);
                }
            } else if record.next == record.seq {
                self.group(&record);
            }
        } else {
            self.survey.damages += u64::from(!matches!(recovery.kind, Kind::Preallocated | Kind::Stale));
            if recovery.cause == Cause::TornThenAppended {
                // A batch is one write: the crash that tore this record ended it, and what follows stands alone.
                if let Some(open) = self.survey.open.take() {
                    self.list_orphan(open, Ended::Torn);
                }
                self.cut = None;
            }
            self.survey.regions.push(Region {
                at: recovery.from,
                len: recovery.resume - recovery.from,
                // One whose operation was tried out is left out like any other damage.
                kind: if recovery.record.is_some() { Kind::Damage } else { recovery.kind },
                cause: Some(recovery.cause),
                fix: recovery.record.map(|(_, fix)| fix),
                records: 0,
                trust: recovery.trust,
            });
            self.broken += recovery.resume - recovery.from;
        }
        self.trust = recovery.trust;
    }
}

impl Surveyor {
    /// A held record is judged by what follows it; damage or the end follows, so what lies before has to do.
    fn settle(&mut self) {
        let Some(held) = self.held.take() else { return };
        if self.survey.rules.numbering == Numbering::Time {
            self.settle_times(held);
        } else if self.survey.rules.proves_numbers() {
            self.jump(held, false);
        } else if restarts(&self.survey.rules) && self.expected == Some(1) && self.broken == 0 {
            // Where counting begins only 1 can stand.
            self.wrong_number(held, Some(1));
        } else if let (0, Some((run, truth))) = (self.broken, two_at_the_end(&self.survey.runs, &held)) {
            self.survey.runs.pop();
            self.renumber(&run, truth);
            self.wrong_number(held, truth.checked_add(1));
        } else {
            // Nothing lies between it and the records before, so its number should have been the next. Of two records
            // alone in a file only the other files tell which is wrong.
            let counted =
                self.survey.runs.len() > 1 || self.survey.runs.last().is_some_and(|run| run.records > 1);
            // A commit never has the number of a record that it commits.
            let members = |open: &Batch| open.end == held.at && (open.first..=open.last).contains(&held.seq);
            let taken =
                held.mark.commits() && self.cut.is_none() && self.survey.open.as_ref().is_some_and(members);
            let damaged = |due| looks_damaged(held.seq, due) || taken;
            let slipped = |&due: &u64| self.broken == 0 && counted && damaged(due);
            match self.expected.filter(slipped) {
                Some(expected) => self.wrong_number(held, Some(expected)),
                None => self.jump(held, false),
            }
        }
    }
}
