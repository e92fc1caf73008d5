//! What is done with the records of the logs, and with what is wrong with them. Upstream: `DBImpl::RecoverLogFiles` of RocksDB
//! and `DBImpl::RecoverLogFile` of LevelDB.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::batch::{self, ENDINGS, Operation, Phase, SEQ_LIMIT};
use super::super::directory::{Directory, number_of};
use super::super::manifest::Catalogue;
use super::super::memtable::Batches;
use super::super::{Flavour, KIND_PACKED, KIND_PLAIN, Name, inflate, kind_of, start};
use super::contents::{self, SHORTEST};
use super::order::{self, Order};
use super::reader::{LogReader, Next, Predecessor, Tracking};
use super::ways::Ways;
use super::{Mode, Refusal, Version};
use crate::format::{Halt, LogFile, Memtable, Outcome, Take};
use crate::log::record::{Mark, Record};

/// Spans left out that are told one by one.
const SPANS: usize = 1 << 12;
/// What RocksDB believes the next number to be as long as no batch has told one.
const UNKNOWN: u64 = SEQ_LIMIT - 1;
const TOO_MUCH: &str = "what is compressed in the log inflates to too much";
const TWICE: &str =
    "two consecutive TryAgain in WriteBatch handler; this is either a software bug or data corruption.";
const PREPARED: &str = "WAL contains prepared transactions. Open with TransactionDB::Open().";
const BY_BATCH: &str = "WritePrepared/WriteUnprepared txn tag when write_after_commit_ is enabled (in default WriteCommitted mode). \
     If it is not due to corruption, the WAL must be emptied before changing the WritePolicy.";

/// What is known from going over the logs before.
#[derive(Clone, Copy, Default)]
pub struct Pass<'a> {
    /// Numbers fall back to this one.
    pub late: Option<u64>,
    /// What came of it.
    pub before: Option<&'a Recovered>,
}

/// What came of a recovery.
#[derive(Default)]
pub struct Recovered {
    records: u64,
    settled: u64,
    halts: Vec<Halt>,
    /// The lowest number to which numbers fall back.
    pub late: Option<u64>,
    /// The highest number that can be seen.
    pub last_sequence: u64,
    /// Keys of which no operation is seen: the newest has a higher number, and only that one gets into a table.
    hidden: HashSet<u64>,
    /// The engine does not open.
    pub refusal: Option<Refusal>,
    /// It met what only later versions write.
    pub unheard_of: bool,
    /// It met a prepared transaction that it does not know what to do with.
    pub prepared: bool,
}

impl Recovered {
    /// The engine does not even read the logs.
    pub fn refused(refusal: Refusal) -> Recovered {
        Recovered { refusal: Some(refusal), ..Recovered::default() }
    }

    /// The same in reports.
    pub fn outcome(&self) -> Outcome {
        let Recovered { records, settled, .. } = *self;
        let halts = self.halts.clone();
        match &self.refusal {
            Some(refusal) => refusal.outcome(halts),
            None => Outcome { opens: true, records, settled, halts, ..Outcome::default() },
        }
    }
}

/// A recovery under way.
pub struct Recovery<'a> {
    ways: Ways,
    directory: &'a Directory,
    files: &'a [LogFile<'a>],
    logs: &'a [(usize, Option<u64>)],
    /// Where anybody wants the changes.
    memtable: Option<Batches<'a>>,
    order: Option<Order>,
    /// Operations that are prepared, by transaction: their numbers are given out when it commits.
    prepared: HashMap<Vec<u8>, Prepared>,
    /// What came of going over the logs before.
    seen: Option<&'a Recovered>,
    /// Number of the next operation.
    next: u64,
    /// Behind the highest number of all.
    highest: u64,
    /// Nothing is taken until a batch has the very number that is due.
    stopped: bool,
    /// The log at which that began.
    corrupted: u64,
    before: Option<Predecessor>,
    kept: Vec<u8>,
    /// The batch at hand holds operations that are inserted; any at all, the same for those that the tables have already.
    applies: bool,
    changes: bool,
    found: Recovered,
}

/// A transaction that waits: the number of its batch, and its operations by family.
struct Prepared {
    seq: u64,
    operations: BTreeMap<u32, u64>,
}

/// Why a log is not read on.
enum Stop {
    /// Damage, which the mode decides upon: what it is, and the log at fault.
    Status(Refusal, Option<u64>),
    /// The engine does not open, in whatever mode.
    Refused(Refusal),
}

type Step = Result<(), Stop>;

/// Whether the engine can read its catalogue.
///
/// # Errors
/// When it cannot.
pub fn catalogue(ways: &Ways, directory: &Directory, files: &[LogFile<'_>]) -> Result<(), Refusal> {
    let rocks = ways.flavour() == Flavour::RocksDb;
    let corrupt = |why: &str| Err(Refusal::Corruption(why.into()));
    if directory.current.as_deref().is_some_and(|named| !named.ends_with('\n')) {
        return corrupt("CURRENT file does not end with newline");
    }
    if let Some(missing) = &directory.missing {
        return Err(match rocks {
            true if !matches!(kind_of(missing), Some((Name::Manifest, _))) => {
                Refusal::Corruption("CURRENT file corrupted".into())
            }
            true => {
                Refusal::Io(format!("No such file or directory: While opening a file for reading: {missing}"))
            }
            false => Refusal::Corruption("CURRENT points to a non-existent file".into()),
        });
    }
    let Some(manifest) = directory.manifest.and_then(|i| files.get(i)) else { return Ok(()) };
    if directory.current.is_none() {
        return Err(Refusal::InvalidArgument("does not exist (create_if_missing is false)"));
    }
    let mut reader = LogReader::new(ways.of_catalogue(), manifest.src, None, None);
    let mut edits = Catalogue::default();
    loop {
        let next = reader.next();
        if let Some((why, _)) = reader.reported.take() {
            return Err(Refusal::Corruption(why));
        }
        match next {
            Next::Record => {
                edits.apply(&reader.record).map_err(|f| Refusal::Corruption(format!("VersionEdit: {f}")))?;
            }
            Next::End => break,
            Next::Stuck(refusal) => return Err(refusal),
        }
    }
    lacking(&edits, rocks)?;
    if rocks { tracked(directory, files) } else { Ok(()) }
}

/// Whether a catalogue says what no engine opens without.
fn lacking(edits: &Catalogue, rocks: bool) -> Result<(), Refusal> {
    let numbers = [edits.log_number, edits.next_file, edits.last_sequence];
    // In the order in which each asks for them, in its words.
    let (order, words) = match rocks {
        true => ([0, 1, 2], ["log_file_number", "next_file_number", "last_sequence"]),
        false => ([1, 0, 2], ["meta-lognumber", "meta-nextfile", "last-sequence-number"]),
    };
    let absent: Vec<&str> = order.into_iter().filter(|&n| numbers[n].is_none()).map(|n| words[n]).collect();
    match absent[..] {
        [] => Ok(()),
        [first, ..] if !rocks => Err(Refusal::Corruption(format!("no {first} entry in descriptor"))),
        _ => Err(Refusal::Corruption(format!("no {} entry in MANIFEST", absent.join(", ")))),
    }
}

/// Whether the logs are there that the catalogue tracks.
fn tracked(directory: &Directory, files: &[LogFile<'_>]) -> Result<(), Refusal> {
    let verified = directory.option("track_and_verify_wals_in_manifest") == Some("true");
    if !verified || start::elsewhere(directory).is_some() {
        return Ok(());
    }
    for (&log, &synced) in &directory.catalogue.logs {
        let Some(synced) = synced else { continue };
        let Some(file) = files.iter().find(|file| number_of(file) == Some(log)) else {
            return Err(Refusal::Corruption(format!("Missing WAL with log number: {log}.")));
        };
        let size = file.src.size();
        if size < synced {
            return Err(Refusal::Corruption(format!(
                "Size mismatch: WAL (log number: {log}) in MANIFEST is {synced} bytes , but actually is {size} bytes \
                 on disk."
            )));
        }
    }
    Ok(())
}

impl<'a> Recovery<'a> {
    /// Nothing read yet.
    pub fn new(
        ways: Ways,
        directory: &'a Directory,
        files: &'a [LogFile<'a>],
        logs: &'a [(usize, Option<u64>)],
        pass: Pass<'a>,
    ) -> Self {
        let last_sequence = directory.catalogue.last_sequence.unwrap_or(0);
        let found = Recovered { last_sequence, ..Recovered::default() };
        Recovery {
            ways,
            directory,
            files,
            logs,
            memtable: None,
            order: pass.late.map(Order::from),
            prepared: HashMap::new(),
            seen: pass.before,
            next: UNKNOWN,
            highest: 0,
            stopped: false,
            corrupted: u64::MAX,
            before: None,
            kept: Vec::new(),
            applies: false,
            changes: false,
            found,
        }
    }

    /// Reads the logs; changes go to `take`.
    pub fn run(mut self, take: Option<Take<'_>>) -> Recovered {
        self.memtable = take.is_some().then(|| Batches::of_engine(self.ways.flavour(), self.files));
        let mut nobody = |_| ();
        let take = take.unwrap_or(&mut nobody);
        for &(file, log) in self.logs {
            if let Err(refusal) = self.log(file, log, take) {
                self.found.refusal = Some(refusal);
                return self.found;
            }
        }
        self.found.refusal = self.inconsistent();
        if let Some(order) = self.order.filter(|_| self.ways.flavour() == Flavour::RocksDb) {
            self.found.hidden = order.above(self.found.last_sequence);
        }
        self.found
    }

    fn rocks(&self) -> bool {
        self.ways.flavour() == Flavour::RocksDb
    }

    fn log(&mut self, file: usize, log: Option<u64>, take: Take<'_>) -> Result<(), Refusal> {
        let tracks = self.directory.option("track_and_verify_wals") == Some("true");
        let checks = tracks && !self.stopped && self.ways.ask(|settings| settings.mode != Mode::SkipAny);
        let tracking = checks.then(|| Tracking {
            before: self.before,
            oldest: self.directory.catalogue.min_log_to_keep.unwrap_or(0),
        });
        let src = self.files[file].src;
        let mut reader = LogReader::new(self.ways.clone(), src, log.map(|log| log as u32), tracking);
        let (mut end, due) = (0, self.next);
        let step = self.records(&mut reader, file, log, &mut end, take);
        self.found.unheard_of |= reader.unheard_of;
        if end < src.size() {
            let at_once = matches!(step, Err(Stop::Refused(_)));
            self.halt(Halt { file, at: end, for_good: at_once, to: u64::MAX });
        }
        let (status, culprit) = match step {
            Err(Stop::Refused(refusal)) => return Err(refusal),
            Err(Stop::Status(status, culprit)) => (Some(status), culprit),
            Ok(()) => (None, None),
        };
        if !self.rocks() {
            return status.map_or(Ok(()), Err);
        }
        if status.is_some() || reader.met_old {
            self.decide(status, culprit.or(log).unwrap_or(u64::MAX - 1))?;
        }
        if self.next != UNKNOWN && self.next > self.found.last_sequence {
            self.found.last_sequence = self.next - 1;
        }
        self.falls_back(due)
    }

    /// A log ended in an error: what that means.
    fn decide(&mut self, status: Option<Refusal>, log: u64) -> Result<(), Refusal> {
        if let Some(refusal @ Refusal::NotSupported(_)) = status {
            return Err(refusal);
        }
        let (skips, stops) =
            self.ways.ask(|settings| (settings.mode == Mode::SkipAny, settings.mode == Mode::PointInTime));
        if stops {
            (self.stopped, self.corrupted) = (true, log);
        }
        status.filter(|_| !skips && !stops).map_or(Ok(()), Err)
    }

    /// The records of a log; `end`: behind the last one that was taken.
    fn records(
        &mut self,
        reader: &mut LogReader<'_>,
        file: usize,
        log: Option<u64>,
        end: &mut u64,
        take: Take<'_>,
    ) -> Step {
        let (mut failed, mut last_seen, mut spent) = (None, 0, 0);
        loop {
            let next = reader.next();
            if let Next::Stuck(refusal) = next {
                return Err(Stop::Refused(refusal));
            }
            if reader.inflates_too_much {
                return Err(Stop::Refused(Refusal::Unfollowed(TOO_MUCH)));
            }
            if let Some(stop) = failed.take() {
                return Err(stop);
            }
            if let Some((why, log)) = reader.reported.take() {
                return Err(Stop::Status(Refusal::Corruption(why), log));
            }
            if next == Next::End {
                break;
            }
            if reader.record.len() < SHORTEST {
                reader.report("log record too small");
                continue;
            }
            self.follows(reader, file, &mut spent)?;
            let whole = if self.rocks() { self.judge(reader, &mut last_seen)? } else { true };
            if !whole {
                continue;
            }
            if self.stopped {
                return Ok(());
            }
            if reader.span.start > *end {
                self.halt(Halt { file, at: *end, for_good: false, to: reader.span.start });
            }
            *end = reader.span.end;
            let due = self.next;
            if let Err(why) = self.insert(reader, file, log, take) {
                failed = self.ignores(reader, why)?;
            }
            self.falls_back(due).map_err(Stop::Refused)?;
        }
        let size = self.files[file].src.size();
        self.before = log.map(|log| Predecessor { log, size, sequence: last_seen });
        Ok(())
    }

    /// Holds a batch to the bounds on what is followed. `spent`: what the log has cost so far.
    fn follows(&self, reader: &LogReader<'_>, file: usize, spent: &mut u64) -> Result<(), Stop> {
        let refused = |why| Err(Stop::Refused(Refusal::Unfollowed(why)));
        if !reader.packed && reader.record.len() < 2 * ENDINGS {
            return Ok(());
        }
        let Some(cost) = contents::cost(self.ways.flavour(), &reader.record) else {
            return refused("a batch ends more transactions than are followed");
        };
        *spent = spent.saturating_add(if reader.packed { cost } else { 0 });
        if *spent > inflate::allowance(self.files[file].src.size()) {
            return refused(TOO_MUCH);
        }
        Ok(())
    }

    /// What stands in front of a batch's being inserted; whether it is.
    fn judge(&mut self, reader: &mut LogReader<'_>, last_seen: &mut u64) -> Result<bool, Stop> {
        let refused = |why: String| Err(Stop::Refused(Refusal::Corruption(why)));
        if let Some(fault) = contents::fault(&self.ways, &reader.record) {
            return refused(fault);
        }
        if reader.spoiled {
            return refused("Write batch content corrupted.".into());
        }
        let sequence = contents::sequence(&reader.record);
        *last_seen = sequence;
        if sequence >= SEQ_LIMIT && self.ways.is(Version::Rocks9) {
            reader.report(format!("sequence {sequence} is too large"));
            return Ok(false);
        }
        // Written after an earlier recovery, which had to stop at the same place.
        self.stopped &= sequence != self.next;
        Ok(true)
    }

    /// A batch could not be inserted. Most versions give up the log then; later ones take it for damage like any other.
    fn ignores(&self, reader: &mut LogReader<'_>, why: Refusal) -> Result<Option<Stop>, Stop> {
        let careless = self.ways.ask(|settings| match settings.version {
            Version::LevelDb => settings.mode == Mode::Lenient,
            Version::Rocks10 => !settings.listens,
            _ => !settings.listens && settings.mode != Mode::SkipAny,
        });
        if careless {
            return Ok(None);
        }
        if !self.rocks() {
            return Err(Stop::Refused(why));
        }
        // One more record is read before it is noticed, which may be the one at which the reader hangs.
        let reported = reader.reported.take();
        let stop = match reported {
            Some((first, log)) => Stop::Status(Refusal::Corruption(first), log),
            None => Stop::Status(why, None),
        };
        Ok(Some(stop))
    }

    /// Inserts the batch at hand, as far as that goes.
    fn insert(
        &mut self,
        reader: &LogReader<'_>,
        file: usize,
        log: Option<u64>,
        take: Take<'_>,
    ) -> Result<(), Refusal> {
        let record = &reader.record;
        let first = contents::sequence(record);
        let mut seq = first;
        let result = self.operations(record, log, &mut seq);
        let span = &reader.span;
        let kind = if reader.packed { KIND_PACKED } else { KIND_PLAIN };
        let (at, len) = (span.start, span.end - span.start);
        let record = Record { at, len, seq: first, next: seq, txn: 0, kind, mark: Mark::Data };
        if let Some(memtable) = &mut self.memtable {
            memtable.insert(file, &record, &self.kept, take);
        }
        self.found.records += u64::from(self.applies);
        // Of a log without news nothing counts as at stake from the first.
        let news = log.is_none_or(|log| self.directory.has_news(log));
        self.found.settled += u64::from(news && self.changes && !self.applies);
        if seq > first {
            if first < self.highest {
                self.found.late = Some(self.found.late.map_or(first, |late| late.min(first)));
            }
            self.highest = self.highest.max(seq);
        }
        if self.rocks() {
            self.next = seq;
        } else {
            // The count is added as a signed number, and not what was found.
            let counted = i64::from(contents::count(&reader.record) as i32) as u64;
            let last = first.wrapping_add(counted).wrapping_sub(1);
            self.found.last_sequence = self.found.last_sequence.max(last);
        }
        result
    }

    /// Puts those operations of a batch into `kept` that are inserted and count; `seq`: the number of the next one.
    fn operations(&mut self, record: &[u8], log: Option<u64>, seq: &mut u64) -> Result<(), Refusal> {
        (self.applies, self.changes) = (false, false);
        self.kept.clear();
        self.kept.extend_from_slice(record.get(..SHORTEST).unwrap_or_default());
        let mut operations = batch::operations(record, self.ways.flavour());
        let (mut at, mut waiting) = (record.len() - operations.left(), None);
        while let Some(operation) = operations.next() {
            let bytes = record.get(at..record.len() - operations.left()).unwrap_or_default();
            at += bytes.len();
            match operation.phase {
                Phase::BeginBatch => return Err(Refusal::NotSupported(BY_BATCH)),
                Phase::Begin if !self.ways.ask(|settings| settings.two_phases) => {
                    self.found.prepared = true;
                    return Err(Refusal::NotSupported(PREPARED));
                }
                Phase::Begin => waiting = Some(BTreeMap::new()),
                Phase::End => {
                    let xid = operation.xid().unwrap_or_default().to_vec();
                    let (seq, operations) = (contents::sequence(record), waiting.take().unwrap_or_default());
                    // Of several with one name it takes that with the lowest number, the last of these.
                    if self.prepared.get(&xid).is_none_or(|first| seq <= first.seq) {
                        self.prepared.insert(xid, Prepared { seq, operations });
                    }
                }
                Phase::Commit => {
                    for (family, operations) in self.ended(&operation) {
                        self.changes = true;
                        self.applies |= log.is_none_or(|log| self.directory.takes(family, log));
                        *seq = seq.wrapping_add(operations);
                    }
                }
                Phase::Rollback => _ = self.ended(&operation),
                Phase::Plain if operation.changes && waiting.is_some() => {
                    if let Some(waiting) = waiting.as_mut().filter(|_| !is_empty_range(&operation)) {
                        *waiting.entry(operation.family).or_insert(0u64) += 1;
                    }
                }
                Phase::Plain if operation.changes => {
                    let counts = self.counts(&operation, log, *seq)?;
                    *seq = seq.wrapping_add(u64::from(!is_empty_range(&operation)));
                    if !counts {
                        continue;
                    }
                }
                _ => {}
            }
            self.kept.extend_from_slice(bytes);
        }
        // RocksDB has judged them before.
        let fault = if self.rocks() { None } else { contents::fault(&self.ways, record) };
        fault.map_or(Ok(()), |fault| Err(Refusal::Corruption(fault)))
    }

    /// A transaction ends; its operations by family.
    fn ended(&mut self, operation: &Operation<'_>) -> BTreeMap<u32, u64> {
        let prepared = self.prepared.remove(operation.xid().unwrap_or_default());
        prepared.map(|prepared| prepared.operations).unwrap_or_default()
    }

    /// Whether an operation is seen in the end.
    ///
    /// # Errors
    /// When the engine does not take it.
    fn counts(&mut self, operation: &Operation<'_>, log: Option<u64>, seq: u64) -> Result<bool, Refusal> {
        let taken = log.is_none_or(|log| self.directory.takes(operation.family, log));
        self.changes = true;
        let range = (operation.word == "DELETE_RANGE").then_some(operation.second).flatten();
        if taken && range.is_some_and(|end| operation.first > end) {
            return Err(Refusal::InvalidArgument("end key comes before start key"));
        }
        let twice = taken && self.order.as_mut().is_some_and(|order| order.repeats(operation, seq));
        if twice && self.rocks() {
            return Err(Refusal::Corruption(TWICE.into()));
        }
        self.applies |= taken;
        let outdated = taken && self.order.as_mut().is_some_and(|order| order.is_outdated(operation, seq));
        let seen = self
            .seen
            .is_none_or(|found| seq <= found.last_sequence && !found.hidden.contains(&order::key(operation)));
        Ok(seen && !outdated)
    }

    /// The newest version does not open where numbers fall back.
    fn falls_back(&self, due: u64) -> Result<(), Refusal> {
        if due == UNKNOWN || due <= self.next || !self.ways.is(Version::Rocks10) {
            return Ok(());
        }
        Err(Refusal::Corruption(format!(
            "Sequence number is being set backwards during recovery, this is likely a software bug or a data \
             corruption. Prev next seqno: {due} , current next seqno: {}",
            self.next
        )))
    }

    /// Whether a family's tables hold what came after the place at which replay stopped.
    fn inconsistent(&self) -> Option<Refusal> {
        if !self.stopped {
            return None;
        }
        let mut families = self.directory.catalogue.families.values().filter(|family| !family.dropped);
        let ahead =
            families.find(|f| f.log_number > self.corrupted && f.tables.values().any(|t| t.size > 0))?;
        let name = ahead.name.as_deref().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        Some(Refusal::Corruption(format!("SST file is ahead of WALs in CF {name}")))
    }

    fn halt(&mut self, halt: Halt) {
        let room = self.found.halts.len() < SPANS || halt.to == u64::MAX;
        // Too few zeros for a header are no batch that is left out.
        if room && halt.to - halt.at > 11 {
            self.found.halts.push(halt);
        }
    }
}

/// RocksDB gives such an operation no number.
fn is_empty_range(operation: &Operation<'_>) -> bool {
    operation.word == "DELETE_RANGE" && operation.second == Some(operation.first)
}
