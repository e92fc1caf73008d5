//! Logs, tables and files of values that the catalogue counts on: what of them is not there, or not as it should be.

use super::directory::{Directory, number_of};
use super::{Flavour, start};
use crate::format::{Lack, LogFile, Remark};
use crate::log::conclude::{Gap, GapCause};
use crate::log::finding::Code;
use crate::log::survey::Survey;

/// See [`crate::format::Format::lacks`].
pub fn lacks(
    directory: &Directory,
    files: &[LogFile<'_>],
    surveys: &[Survey],
    gaps: &[Gap],
    size: &dyn Fn(&str) -> Option<u64>,
) -> Vec<Lack> {
    if directory.manifest.is_none() {
        return Vec::new();
    }
    let logs = Logs { directory, files, surveys, gaps, copied: is_copied(directory, size) };
    let remarks = logs.told().into_iter();
    let mut lacks: Vec<Lack> = remarks.map(|remark| Lack { remark, error: None }).collect();
    lacks.extend(tables(directory, size));
    lacks
}

/// What is known of the logs that a store needs.
struct Logs<'a> {
    directory: &'a Directory,
    files: &'a [LogFile<'a>],
    surveys: &'a [Survey],
    gaps: &'a [Gap],
    copied: bool,
}

impl Logs<'_> {
    /// Logs that are not there: those that the catalogue proves, and one that is only suspected.
    fn told(&self) -> Vec<Remark> {
        let missing = start::missing(self.directory, self.files);
        let mut told: Vec<Remark> = missing.iter().map(|(&log, &synced)| self.missing(log, synced)).collect();
        // The log that is written was there before the catalogue said so.
        let newest = self.directory.newest();
        let suspected = start::suspected(self.directory, self.files).filter(|log| !missing.contains_key(log));
        if newest > 0 && self.none() && missing.is_empty() && !self.copied {
            let what = format!(
                "the catalogue counts on a log from {newest:06}.log on, and there is none: what was written last is not here"
            );
            told.push(self.remark(true, what));
        } else if let Some(log) = suspected {
            let what = format!(
                "{log:06}.log is not there: RocksDB of today begins a session with a log and then a MANIFEST with the next \
                 number, and nothing says that the tables have taken that log in. If this MANIFEST was begun so, what the log \
                 held is missing"
            );
            told.push(self.remark(false, what));
        }
        told
    }

    /// A log that the catalogue proves and that is not there.
    fn missing(&self, log: u64, synced: Option<u64>) -> Remark {
        let filled = start::is_filled(self.directory, log);
        let (sure, what) = match synced {
            Some(synced) => (
                true,
                format!("the catalogue lists {log:06}.log with {synced} bytes synced, which is not there"),
            ),
            None if self.numbers_tell(log) => {
                let what = "was there by what the catalogue says, and is not: the numbers of the next log tell what it held";
                (false, format!("{log:06}.log {what}"))
            }
            None if self.directory.broken.is_some() => {
                let what = "which is not there; an edit that is lost may say that tables hold all of it";
                (false, format!("the catalogue counts on {log:06}.log, {what}"))
            }
            // A copy that a repair has made lacks it as well, so where other logs are there it is only noted.
            None if filled => {
                let what = "which is not there: it held something, for a later one was begun, and not all of it is in tables";
                (self.none(), format!("the catalogue counts on {log:06}.log, {what}"))
            }
            None if self.copied => {
                let what = "RocksDB's checkpoints and backups have none, and leave out the last log while it is empty. If this \
                            is neither, what that held is missing";
                (false, format!("{log:06}.log is not there, nor is IDENTITY: {what}"))
            }
            None => (self.none(), format!("the catalogue counts on {log:06}.log, which is not there")),
        };
        self.remark(sure, what)
    }

    /// Whether no log is there that holds what no table has.
    fn none(&self) -> bool {
        self.files.iter().filter_map(number_of).all(|log| !self.directory.has_news(log))
    }

    /// Whether numbers that are missing in front of the next log, or a repair that left a record of them, tell of this one.
    fn numbers_tell(&self, log: u64) -> bool {
        let Some((next, survey)) = self.next(log).and_then(|next| Some((next, self.surveys.get(next)?)))
        else {
            return false;
        };
        let stated = survey.stated.first().zip(survey.runs.first()).is_some_and(|(s, run)| s.1 <= run.first);
        let gap = |gap: &Gap| gap.before.file == next && gap.cause == GapCause::MissingFile;
        stated || self.gaps.iter().any(gap)
    }

    /// Index of the first log behind this one.
    fn next(&self, log: u64) -> Option<usize> {
        let numbered = self.files.iter().enumerate().filter_map(|(i, file)| Some((number_of(file)?, i)));
        numbered.filter(|(number, _)| *number > log).min().map(|(_, i)| i)
    }

    /// `sure`: it is missing.
    fn remark(&self, sure: bool, what: String) -> Remark {
        let (code, message) = match start::elsewhere(self.directory) {
            Some(dir) => (Code::MissingNumber, format!("{what}; OPTIONS names {dir} for logs")),
            None if sure => (Code::MissingFile, what),
            None => (Code::MissingNumber, what),
        };
        let file = self.directory.manifest.unwrap_or(0);
        Remark { code, file, at: 0, len: 0, message }
    }
}

/// Whether a store that lacks its last log may be as a checkpoint or a backup of RocksDB leaves it (`CheckpointImpl` and
/// `BackupEngine`, by `GetLiveFilesStorageInfo`): without empty logs.
fn is_copied(directory: &Directory, size: &dyn Fn(&str) -> Option<u64>) -> bool {
    directory.flavour == Flavour::RocksDb && size("IDENTITY").is_none()
}

/// Tables and files of values.
fn tables(directory: &Directory, size: &dyn Fn(&str) -> Option<u64>) -> Vec<Lack> {
    let Some(file) = directory.manifest.filter(|_| directory.broken.is_none()) else { return Vec::new() };
    let rocks = directory.flavour == Flavour::RocksDb;
    let (mut gone, mut changed, mut values, mut there) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for family in directory.catalogue.families.values().filter(|family| !family.dropped) {
        // Tables with another path lie in a directory that only the application knows.
        for table in family.tables.values().filter(|table| table.path_id == 0) {
            let names = directory.flavour.table_names(table.number);
            let found = names.iter().find_map(|name| Some((name, size(name)?)));
            there += usize::from(found.is_some());
            match found {
                None => gone.push(names[0].clone()),
                Some((_, bytes)) if table.fits(directory.flavour, bytes) => {}
                Some((name, bytes)) => changed.push(format!("{name} ({bytes} bytes, not {})", table.size)),
            }
        }
        let blobs = family.blobs.keys().map(|number| format!("{number:06}.blob"));
        values.extend(blobs.filter(|name| size(name).is_none()));
    }
    let lack = |code, message, error: Option<String>| {
        let remark = Remark { code, file, at: 0, len: 0, message };
        Lack { remark, error }
    };
    let mut lacks = Vec::new();
    if let Some(names) = listed(&gone) {
        // What an application says when it opens a store is in no file of it.
        let hint = if rocks && there == 0 { "; none lies here: db_paths may name another place" } else { "" };
        let message =
            format!("tables that the catalogue names are not there: {names}; the engine does not open{hint}");
        let error = format!("Corruption: missing files: {names}");
        lacks.push(lack(Code::MissingFile, message, Some(error)));
    }
    if let Some(names) = listed(&changed) {
        let (code, what) = match rocks {
            true => (Code::EngineRefuses, "the engine does not open"),
            false => (Code::TableWithoutFooter, "the engine opens, and fails where it reads them"),
        };
        let message = format!("tables are of another size than the catalogue says: {names}; {what}");
        let error = rocks.then(|| format!("Corruption: Sst file size mismatch: {names}"));
        lacks.push(lack(code, message, error));
    }
    if let Some(names) = listed(&values) {
        let message = format!(
            "files of values that the catalogue names are not there: {names}; the engine opens, and fails where it reads such a \
             value"
        );
        lacks.push(lack(Code::MissingFile, message, None));
    }
    lacks
}

/// The first of some names, and how many more there are; `None`: there are none.
pub fn listed(names: &[String]) -> Option<String> {
    /// Names that are told.
    const TOLD: usize = 4;
    let more = names.len().saturating_sub(TOLD);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| names[..names.len() - more].join(", ") + &rest)
}
