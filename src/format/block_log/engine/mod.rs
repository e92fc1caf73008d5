//! What the engines make of their logs when they open a database: which batches they take, and whether they open at all.
//!
//! It is the engines' own way of reading, block by block and without looking for anything ([`reader`]), under their own rules
//! for what to do at damage ([`mod@recover`]). RocksDB's depend on the version and on `wal_recovery_mode`, LevelDB's on
//! `paranoid_checks`. Versions 7.8.3 and 9.8.4 were measured, 10.4.2 is known by its source.

use std::fmt;
use std::sync::Arc;

use self::recover::{Pass, Recovered, Recovery};
use self::ways::Ways;
use super::directory::{Directory, number_of};
use super::known::Known;
use super::{Facts, Flavour, Name, kind_of};
use crate::format::{Halt, Job, LogFile, Opening, Outcome, Role, Take};
use crate::log::survey::Survey;

mod contents;
mod order;
mod reader;
mod recover;
mod stream;
#[cfg(test)]
mod tests;
mod ways;
mod words;

pub use ways::Answers;
pub use words::at;

/// Versions of RocksDB whose behaviour is known.
pub const VERSIONS: &[&str] = &["7.8.3", "9.8.4", "10.4.2"];
/// RocksDB's recovery modes.
pub const ROCKSDB_MODES: &[&str] =
    &["tolerate-corrupted-tail", "absolute-consistency", "point-in-time", "skip-any"];
/// LevelDB's: without and with `paranoid_checks`.
pub const LEVELDB_MODES: &[&str] = &["lenient", "paranoid"];

/// An engine, as far as its behaviour depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    LevelDb,
    Rocks7,
    Rocks9,
    Rocks10,
}

/// See [`ROCKSDB_MODES`] and [`LEVELDB_MODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    TolerateTail,
    Absolute,
    PointInTime,
    SkipAny,
    Lenient,
    Paranoid,
}

/// How a recovery is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    version: Version,
    mode: Mode,
    /// Damage is something to act on, and not only to note in a log.
    listens: bool,
    /// It is opened as a store of transactions in two phases.
    two_phases: bool,
}

impl Settings {
    /// Those of a version and a mode by their words; without them of the oldest version, and as the store was opened last.
    fn of(flavour: Flavour, directory: &Directory, engine: Option<&str>, mode: Option<&str>) -> Settings {
        let version = match (flavour, engine) {
            (Flavour::LevelDb, _) => Version::LevelDb,
            (Flavour::RocksDb, Some("10.4.2")) => Version::Rocks10,
            (Flavour::RocksDb, Some("9.8.4")) => Version::Rocks9,
            (Flavour::RocksDb, _) => Version::Rocks7,
        };
        let mode = match mode.unwrap_or_else(|| stored_mode(flavour, directory)) {
            "tolerate-corrupted-tail" => Mode::TolerateTail,
            "absolute-consistency" => Mode::Absolute,
            "skip-any" => Mode::SkipAny,
            "lenient" => Mode::Lenient,
            "paranoid" => Mode::Paranoid,
            _ => Mode::PointInTime,
        };
        let careless = flavour == Flavour::RocksDb && directory.option("paranoid_checks") == Some("false");
        let listens = !matches!(mode, Mode::SkipAny | Mode::Lenient) && !careless;
        let two_phases = flavour == Flavour::RocksDb && directory.two_phases() == Some(true);
        Settings { version, mode, listens, two_phases }
    }

    /// All that there are of a system.
    fn all(flavour: Flavour, directory: &Directory) -> Vec<Settings> {
        let (modes, versions) = match flavour {
            Flavour::LevelDb => (LEVELDB_MODES, &[""][..]),
            Flavour::RocksDb => (ROCKSDB_MODES, VERSIONS),
        };
        let pairs = modes.iter().flat_map(|&mode| versions.iter().map(move |&version| (version, mode)));
        let usual = pairs.map(|(version, mode)| Settings::of(flavour, directory, Some(version), Some(mode)));
        let both = |settings: Settings| [settings, settings.otherwise()];
        match flavour {
            Flavour::LevelDb => usual.collect(),
            Flavour::RocksDb => usual.flat_map(both).collect(),
        }
    }

    /// The same where the store is opened in the other way.
    fn otherwise(self) -> Settings {
        Settings { two_phases: !self.two_phases, ..self }
    }

    /// What the store is opened with.
    fn by(&self) -> &'static str {
        if self.two_phases { "TransactionDB::Open" } else { "DB::Open" }
    }

    /// Whether what is cut off at the end of a log is damage.
    fn wants_whole_tails(&self) -> bool {
        matches!(self.mode, Mode::Absolute | Mode::PointInTime)
    }
}

/// The mode that the store was opened with last; LevelDB does not write that down.
fn stored_mode(flavour: Flavour, directory: &Directory) -> &'static str {
    match (flavour, directory.option("wal_recovery_mode")) {
        (Flavour::LevelDb, _) => "lenient",
        (_, Some("kTolerateCorruptedTailRecords")) => "tolerate-corrupted-tail",
        (_, Some("kAbsoluteConsistency")) => "absolute-consistency",
        (_, Some("kSkipAnyCorruptedRecords")) => "skip-any",
        _ => "point-in-time",
    }
}

/// See [`crate::format::Format::mode`].
pub fn default_mode(flavour: Flavour, files: &[LogFile<'_>]) -> &'static str {
    stored_mode(flavour, &Directory::of(flavour, files))
}

/// See [`crate::format::Format::settled`].
pub fn settled(flavour: Flavour, files: &[LogFile<'_>], surveys: &[&Survey]) -> u64 {
    let directory = Directory::of(flavour, files);
    let obsolete = |file: &LogFile<'_>| number_of(file).is_some_and(|log| !directory.has_news(log));
    let of = files.iter().zip(surveys).filter(|(file, _)| obsolete(file));
    of.map(|(_, survey)| survey.data + survey.recovered_data).sum()
}

/// Why an engine does not open, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Corruption(String),
    NotSupported(&'static str),
    InvalidArgument(&'static str),
    Io(String),
    /// It never answers.
    Hangs(&'static str),
    /// Nobody knows, as it would take too much to tell.
    Unfollowed(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Corruption(why) => write!(f, "Corruption: {why}"),
            Refusal::NotSupported(why) => write!(f, "Not implemented: {why}"),
            Refusal::InvalidArgument(why) => write!(f, "Invalid argument: {why}"),
            Refusal::Io(why) => write!(f, "IO error: {why}"),
            Refusal::Hangs(why) => write!(f, "never returns: {why}"),
            Refusal::Unfollowed(why) => write!(f, "not followed by walmedic: {why}"),
        }
    }
}

impl Refusal {
    fn outcome(&self, halts: Vec<Halt>) -> Outcome {
        let (hangs, unknown) = (matches!(self, Refusal::Hangs(_)), matches!(self, Refusal::Unfollowed(_)));
        let refused = Outcome::refused(self.to_string());
        Outcome {
            hangs,
            unknown,
            halts: if halts.is_empty() { refused.halts.clone() } else { halts },
            ..refused
        }
    }
}

/// See [`crate::format::Format::engine`].
pub fn outcome(flavour: Flavour, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
    let directory = Directory::of(flavour, job.files);
    let mut settings = Settings::of(flavour, &directory, job.engine, job.mode);
    let mut found = recovered(settings, flavour, &directory, job.files);
    if found.unheard_of && settings.version == Version::Rocks7 && job.engine.is_none() {
        // The version that wrote these logs is no older.
        settings.version = Version::Rocks9;
        found = recovered(settings, flavour, &directory, job.files);
    }
    if found.prepared && directory.two_phases().is_none() {
        // Nothing tells how the store is opened, but only one way could have written this.
        settings.two_phases = true;
        found = recovered(settings, flavour, &directory, job.files);
    }
    let opening = (settings.two_phases || found.prepared).then(|| {
        let other = settings.otherwise();
        let otherwise = recovered(other, flavour, &directory, job.files).outcome();
        Opening { by: settings.by(), other: other.by(), otherwise: Box::new(otherwise) }
    });
    let outcome = match take {
        Some(take) if found.refusal.is_none() => {
            let pass = Pass { late: found.late, before: Some(&found) };
            run(&Ways::new(settings, Vec::new()), &directory, job.files, pass, Some(take)).outcome()
        }
        _ => found.outcome(),
    };
    Outcome { opening, ..outcome }
}

/// What comes of a recovery with these settings; nothing is read for it that was read for others which go the same way.
fn recovered(
    settings: Settings,
    flavour: Flavour,
    directory: &Directory,
    files: &[LogFile<'_>],
) -> Arc<Recovered> {
    let recover = |ways: &Ways| recover(ways, directory, files);
    match Known::of(files) {
        Some(known) => known.answers.get(settings, Settings::all(flavour, directory), recover),
        None => Arc::new(recover(&Ways::new(settings, Vec::new()))),
    }
}

fn recover(ways: &Ways, directory: &Directory, files: &[LogFile<'_>]) -> Recovered {
    if let Err(refusal) = recover::catalogue(ways, directory, files) {
        return Recovered::refused(refusal);
    }
    let found = run(ways, directory, files, Pass::default(), None);
    // Only numbers that fall back make it matter what a key's newest one is; so that is looked at only then.
    let Some(late) = found.late else { return found };
    let mut again = run(ways, directory, files, Pass { late: Some(late), ..Pass::default() }, None);
    again.late = Some(late);
    again
}

fn run(
    ways: &Ways,
    directory: &Directory,
    files: &[LogFile<'_>],
    pass: Pass<'_>,
    take: Option<Take<'_>>,
) -> Recovered {
    let logs = logs(ways, directory, files);
    Recovery::new(ways.clone(), directory, files, &logs, pass).run(take)
}

/// The logs that are read, by number: index of the file, number.
fn logs(ways: &Ways, directory: &Directory, files: &[LogFile<'_>]) -> Vec<(usize, Option<u64>)> {
    let is_log = |file: &LogFile<'_>| {
        file.claim.role == Role::Log && matches!(kind_of(file.name), None | Some((Name::Log, _)))
    };
    let named = files.iter().enumerate().filter(|(_, file)| is_log(file));
    let mut logs: Vec<_> = named.map(|(i, _)| (i, Facts::log_number(ways.flavour(), files, i))).collect();
    let oldest = ways.ask(|settings| match settings.version {
        Version::LevelDb => 0,
        _ if directory.is_known() => directory.oldest_read(settings.two_phases),
        _ => 0,
    });
    let reads = |log| log >= oldest && (ways.flavour() == Flavour::RocksDb || directory.replays(log));
    logs.retain(|(_, number)| number.is_none_or(reads));
    logs.sort_by_key(|&(_, number)| number.unwrap_or(u64::MAX));
    logs
}
