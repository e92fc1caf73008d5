//! From batches to changes of the state: what an engine's memtable would take. A part that is prepared waits for the commit of
//! its transaction, which may stand in a later log; what the tables have taken in already is left out.

use std::sync::Arc;

use super::batch::{self, Phase};
use super::directory::{Directory, number_of};
use super::unpack::Unpacker;
use super::waiting::{self, Waiting};
use super::{Facts, Flavour, inflate};
use crate::format::keys::state_key;
use crate::format::{Effect, Given, LogFile, Memtable, Part, Take, Taken, Unpack};
use crate::log::conclude::Place;
use crate::log::record::Record;

/// A part of a transaction that is prepared.
#[derive(Clone, Copy, Debug)]
struct Prepared {
    file: usize,
    record: Record,
    /// Where it begins in the contents of the record: there may be several.
    begin: usize,
}

/// See the top of this file.
pub struct Batches<'a> {
    flavour: Flavour,
    files: &'a [LogFile<'a>],
    directory: Arc<Directory>,
    /// Parts by the name of their transaction: read again when it commits.
    prepared: Waiting<Prepared>,
    /// Of several with one name RocksDB takes that with the lowest number, the last of these.
    by_engine: bool,
    /// The file that a prepared record was last read from.
    unpack: Option<(usize, Unpacker<'a>)>,
    /// Where in it that one stands, and its contents: more of its parts may be wanted.
    read: Option<(usize, u64)>,
    contents: Vec<u8>,
    /// Parts that are not followed, and bytes read again for those that are.
    unfollowed: u64,
    again: u64,
}

/// Records may be read again for their commits until that comes to so many times what their file may inflate to.
const AGAIN: u64 = 4;

impl<'a> Batches<'a> {
    /// Nothing taken yet.
    pub fn new(flavour: Flavour, files: &'a [LogFile<'a>]) -> Self {
        let directory = Directory::of(flavour, files);
        Batches {
            flavour,
            files,
            directory,
            prepared: Waiting::up_to(waiting::MOST),
            by_engine: false,
            unpack: None,
            read: None,
            contents: Vec::new(),
            unfollowed: 0,
            again: 0,
        }
    }

    /// The same as the engine takes them in.
    pub fn of_engine(flavour: Flavour, files: &'a [LogFile<'a>]) -> Self {
        Batches { by_engine: true, ..Batches::new(flavour, files) }
    }

    /// Whether this log is read at all; of those that an engine does not read it brings none.
    fn reads(&self, log: u64) -> bool {
        self.by_engine || self.directory.replays(log)
    }

    /// Whether an operation in this log changes anything that the tables do not hold.
    fn counts(&self, log: Option<u64>, operation: &batch::Operation<'_>) -> bool {
        let lost = || !self.by_engine && self.directory.is_lost(operation.family);
        let live = |log| self.reads(log) && (self.directory.takes(operation.family, log) || lost());
        operation.changes && log.is_none_or(live)
    }

    fn change(
        &self,
        place: Place,
        log: Option<u64>,
        operation: &batch::Operation<'_>,
        take: Take<'_>,
    ) -> bool {
        if !self.counts(log, operation) {
            return false;
        }
        let family = (self.flavour == Flavour::RocksDb).then_some(operation.family);
        let key = |key: &[u8]| state_key(family, key).into_owned();
        let effect = match Effect::of(&operation.entry(true)) {
            Effect::DeleteRange(end) => Effect::DeleteRange(key(end)),
            other => other.map(<[u8]>::to_vec),
        };
        let nowhere = Part { file: place.file, span: place.at..place.at };
        let given = Some(Given { key: key(operation.first), effect });
        take(Taken { place, key: nowhere, value: None, given });
        true
    }

    /// Takes the prepared parts of a transaction that commits in this log; how many records of them changed anything. The
    /// commit's log decides what the tables have already.
    fn commit(&mut self, xid: &[u8], log: Option<u64>, take: Take<'_>) -> u64 {
        let (parts, key) = (self.prepared.end(xid), waiting::key(xid));
        parts.into_iter().map(|part| u64::from(self.prepared_part(&key, part, log, take))).sum()
    }

    /// Takes one of them, of the transaction that is known by this key; without the commit's log the one counts that it
    /// stands in.
    fn prepared_part(
        &mut self,
        key: &[u8],
        Prepared { file, record, begin }: Prepared,
        log: Option<u64>,
        take: Take<'_>,
    ) -> bool {
        self.read(file, &record);
        let contents = std::mem::take(&mut self.contents);
        let (place, log) = (Place { file, at: record.at }, log.or(number_of(&self.files[file])));
        let mut any = false;
        for operation in part_of(&contents, begin, self.flavour, key) {
            any |= self.change(place, log, &operation, take);
        }
        self.contents = contents;
        any
    }

    /// Puts what a record holds into `contents`, if it is not there.
    fn read(&mut self, file: usize, record: &Record) {
        if self.read == Some((file, record.at)) {
            return;
        }
        let files = self.files;
        let kept = self.unpack.take().filter(|(of, _)| *of == file);
        let (_, mut unpack) = kept.unwrap_or_else(|| {
            let facts = Facts::of(self.flavour, files, file);
            (file, Unpacker::new(facts, files[file].src))
        });
        self.contents.clear();
        if self.again > AGAIN.saturating_mul(inflate::allowance(files[file].src.size())) {
            self.unfollowed += 1;
        } else {
            self.contents.extend_from_slice(unpack.contents(record, &[]));
            self.again = self.again.saturating_add(self.contents.len() as u64);
        }
        (self.unpack, self.read) = (Some((file, unpack)), Some((file, record.at)));
    }
}

/// The operations of a batch, from the one on that begins the part at `begin`, which wait for the commit of this transaction.
fn part_of<'c>(contents: &'c [u8], begin: usize, flavour: Flavour, key: &[u8]) -> Vec<batch::Operation<'c>> {
    let mut part = Vec::new();
    for operation in batch::operations_at(contents, begin, flavour) {
        match operation.phase {
            Phase::End if operation.xid().is_some_and(|name| waiting::key(name) == key) => return part,
            Phase::End => break,
            _ => part.push(operation),
        }
    }
    Vec::new()
}

impl Memtable for Batches<'_> {
    fn insert(&mut self, file: usize, record: &Record, contents: &[u8], take: Take<'_>) -> bool {
        let (place, log) = (Place { file, at: record.at }, self.files.get(file).and_then(number_of));
        let (mut changed, mut begun, mut more) = (false, None, false);
        for (at, operation) in batch::placed(contents, self.flavour) {
            match operation.phase {
                Phase::Begin | Phase::BeginBatch => (begun, more) = (Some(at), operation.has_more()),
                Phase::End => {
                    let begin = begun.take().unwrap_or(at);
                    // What waits in a log that is not replayed was decided on long ago.
                    let xid = operation.xid().unwrap_or_default();
                    let lower = self.prepared.first(xid).is_some_and(|first| first.record.seq < record.seq);
                    let counts = log.is_none_or(|log| self.reads(log));
                    if counts && !(self.by_engine && lower) {
                        let part = Prepared { file, record: *record, begin };
                        self.unfollowed += u64::from(!self.prepared.prepare(xid, more, part));
                    }
                }
                Phase::Commit => {
                    changed |= self.commit(operation.xid().unwrap_or_default(), log, take) > 0;
                }
                Phase::Rollback => {
                    self.prepared.end(operation.xid().unwrap_or_default());
                }
                Phase::Plain if begun.is_none() => changed |= self.change(place, log, &operation, take),
                Phase::Plain => {}
            }
        }
        changed
    }

    fn concerns(&self, file: usize, contents: &[u8]) -> bool {
        let log = self.files.get(file).and_then(number_of);
        contents.is_empty()
            || batch::operations(contents, self.flavour).any(|operation| self.counts(log, &operation))
    }

    fn unfollowed(&self) -> u64 {
        self.unfollowed
    }

    fn waiting(&self) -> Vec<(Place, String)> {
        let place = |part: &Prepared| Place { file: part.file, at: part.record.at };
        let told = |(name, part): (&[u8], &_)| (place(part), String::from_utf8_lossy(name).into_owned());
        let mut all: Vec<_> = self.prepared.iter().map(told).collect();
        all.sort_unstable();
        all
    }

    fn finish(&mut self, take: Take<'_>) -> u64 {
        let mut left = self.prepared.rest();
        left.sort_by_key(|(_, part)| (part.file, part.record.at));
        left.into_iter().map(|(key, part)| u64::from(self.prepared_part(&key, part, None, take))).sum()
    }
}
