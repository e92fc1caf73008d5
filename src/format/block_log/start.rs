//! Which logs must lie in a store by what its catalogue says, and with which number the oldest of them begins.
//!
//! LevelDB gives out no number that it does not log, and the catalogue's last sequence number is never behind what tables hold,
//! though often before it. Its log number is the name of a file, which stays until another edit tells the next one. RocksDB is
//! harder: writes can go without a log, a flush can leave nothing of what it was given (a put and its single deletion), and a
//! recovery sets the log number to one above the last log, which no file has. There it is proof that
//! 1. a number above the MANIFEST's own was given to a log since that was begun (`DBImpl::SwitchMemtable`), and logs from the
//!    lowest one to keep on are not deleted before an edit says so;
//! 2. the log that a session begins with is created right before its MANIFEST, and with the usual options no older one is left
//!    then (`DBImpl::Open`), nor is another MANIFEST begun before the session ends;
//! 3. no log is begun while the one before is empty (`DBImpl::SwitchMemtable`).

use std::collections::BTreeMap;

use super::Flavour;
use super::directory::{Directory, number_of};
use crate::format::LogFile;
use crate::log::conclude::{Gap, GapCause, Start};

/// No store's first log has a higher number.
const FIRST_LOG: u64 = 4;
/// Bytes of a MANIFEST after which RocksDB begins another one, as usual: hardly any session writes so many.
const MANIFEST: u64 = 1 << 30;

/// See [`crate::format::Format::start`].
pub fn start(flavour: Flavour, files: &[LogFile<'_>]) -> Option<Start> {
    let directory = Directory::of(flavour, files);
    let known = directory.is_known() && directory.broken.is_none();
    let due = directory.catalogue.last_sequence.filter(|_| known)?.checked_add(1)?;
    let mut logs = files.iter().enumerate().filter_map(|(i, file)| Some((i, number_of(file)?)));
    let (file, oldest) = logs.find(|(_, log)| directory.replays(*log))?;
    let (sure, missing) = match flavour {
        Flavour::LevelDb => (true, oldest > directory.oldest()),
        Flavour::RocksDb => (!is_oldest(&directory, oldest), true),
    };
    let cause = if missing { GapCause::MissingFile } else { GapCause::Unexplained };
    Some(Start { file, due, sure, cause })
}

/// Whether RocksDB needs no log before this one, which is there.
fn is_oldest(directory: &Directory, log: u64) -> bool {
    let flushed = directory.option("avoid_flush_during_recovery") != Some("true");
    log <= kept(directory).max(FIRST_LOG) || flushed && log + 1 == directory.number
}

/// The lowest number of the logs that the engine has not deleted.
fn kept(directory: &Directory) -> u64 {
    directory.catalogue.min_log_to_keep.filter(|&log| log > 0).unwrap_or_else(|| directory.oldest())
}

/// Logs that the catalogue proves and that are not there, with the bytes that were synced of each, where it says so.
pub fn missing(directory: &Directory, files: &[LogFile<'_>]) -> BTreeMap<u64, Option<u64>> {
    let there: Vec<u64> = files.iter().filter_map(number_of).collect();
    let mut missing = proved(directory);
    missing.retain(|log, _| !there.contains(log));
    missing
}

/// The same, there or not.
pub fn proved(directory: &Directory) -> BTreeMap<u64, Option<u64>> {
    let mut proved: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    if !directory.is_known() {
        return proved;
    }
    let (catalogue, kept) = (&directory.catalogue, kept(directory));
    if directory.flavour == Flavour::LevelDb {
        proved.extend(catalogue.log_number.filter(|&log| log > 0).map(|log| (log, None)));
    } else if catalogue.min_log_to_keep.is_some() {
        let of_files = told(directory).filter(|&log| log > directory.number && log >= kept);
        proved.extend(of_files.map(|log| (log, None)));
    }
    proved.extend(session_log(directory).filter(|&log| is_a_log(directory, log)).map(|log| (log, None)));
    proved.extend(catalogue.logs.iter().filter(|(log, _)| directory.replays(**log)));
    proved
}

/// Whether it is proved, too, that RocksDB wrote something into this log: a later one was begun in the same session.
pub fn is_filled(directory: &Directory, log: u64) -> bool {
    // One that goes on with older logs takes its own for filled at once (`DBImpl::RestoreAliveLogFiles`).
    let goes_on = log < directory.number && directory.option("avoid_flush_during_recovery") == Some("true");
    directory.flavour == Flavour::RocksDb && log < directory.newest() && !goes_on
}

/// The directory in which the logs of the store lie, if it is another one: versions that were not measured name their own, too.
pub fn elsewhere(directory: &Directory) -> Option<&str> {
    directory.option("wal_dir").filter(|dir| !dir.is_empty() && numbers_sessions(directory))
}

/// See [`crate::format::Format::lie_elsewhere`].
pub fn lie_elsewhere(directory: &Directory, files: &[LogFile<'_>], gap: &Gap) -> bool {
    // However far the numbers reach, no more are gone through than there are tables.
    let alone =
        directory.catalogue.alone.range(gap.first..).take_while(|&&number| number <= gap.last).count();
    let ingested = gap.last.checked_sub(gap.first).is_some_and(|more| more < alone as u64);
    // Logs that the tables have taken in are deleted one by one; the tables hold what is missing between those that are left.
    let flushed = files.get(gap.before.file).and_then(number_of).is_some_and(|log| !directory.has_news(log));
    let unsaid = gap.cause == GapCause::Unexplained && directory.flavour == Flavour::RocksDb;
    ingested || flushed && (unsaid || gap.cause == GapCause::MissingFile)
}

/// The log that RocksDB may have begun the last session with, if it is still needed and not there.
pub fn suspected(directory: &Directory, files: &[LogFile<'_>]) -> Option<u64> {
    let may_be = |log| begins_session(directory) != Some(false) && !is_a_log(directory, log);
    let log = session_log(directory).filter(|&log| may_be(log))?;
    let table = directory.catalogue.families.values().any(|family| family.tables.contains_key(&log));
    let there = files.iter().filter_map(number_of).any(|number| number == log);
    (!table && !there).then_some(log)
}

/// The same, whether it is there or not, and whatever begins with it.
fn session_log(directory: &Directory) -> Option<u64> {
    let log = directory.number.checked_sub(1).filter(|_| directory.flavour == Flavour::RocksDb)?;
    (directory.is_known() && log >= kept(directory).max(FIRST_LOG)).then_some(log)
}

/// Numbers that the catalogue tells as those of logs.
fn told(directory: &Directory) -> impl Iterator<Item = u64> {
    directory.catalogue.log_numbers.iter().copied().chain([kept(directory)])
}

/// Whether the MANIFEST was begun with the session, by the size from which on the engine begins another one; `None`: that is
/// not known.
fn begins_session(directory: &Directory) -> Option<bool> {
    let limit: u64 = directory.option("max_manifest_file_size")?.parse().ok()?;
    Some(limit >= MANIFEST)
}

/// Whether the number in front of the MANIFEST's was a log's for sure.
fn is_a_log(directory: &Directory, log: u64) -> bool {
    let (added, unheard_of) = (&directory.catalogue.added, &directory.catalogue.unheard_of);
    let first =
        begins_session(directory) == Some(true) && !added.contains(&log) && !unheard_of.contains(&log);
    numbers_sessions(directory) && (first || log == FIRST_LOG || told(directory).any(|told| told == log))
}

/// Whether the version that the store was last opened with is one that gives out numbers as rule 2 says: others were not measured.
fn numbers_sessions(directory: &Directory) -> bool {
    let mut parts = directory.option("rocksdb_version").unwrap_or_default().split('.').map(str::parse::<u32>);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (7, 8))
}
