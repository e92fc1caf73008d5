//! Logs, tables and files of values that the catalogue counts on: what of them is not there, or not as it should be.

use super::directory::{Directory, number_of};
use super::{Flavour, start};
use crate::format::{Lack, LogFile, Remark};
use crate::log::finding::Code;

/// See [`crate::format::Format::lacks`].
pub fn lacks(directory: &Directory, files: &[LogFile<'_>], size: &dyn Fn(&str) -> Option<u64>) -> Vec<Lack> {
    let Some(manifest) = directory.manifest else { return Vec::new() };
    let mut lacks = Vec::new();
    let mut say = |code, message| {
        let remark = Remark { code, file: manifest, at: 0, len: 0, message };
        lacks.push(Lack { remark, error: None });
    };
    logs(directory, files, size, &mut say);
    lacks.extend(tables(directory, size));
    lacks
}

/// Logs that are not there: those that the catalogue proves, and one that is only suspected.
fn logs(
    directory: &Directory,
    files: &[LogFile<'_>],
    size: &dyn Fn(&str) -> Option<u64>,
    say: &mut dyn FnMut(Code, String),
) {
    let elsewhere = directory.option("wal_dir").filter(|dir| !dir.is_empty());
    let elsewhere = elsewhere.map_or(String::new(), |dir| format!("; OPTIONS names {dir} for logs"));
    let missing = start::missing(directory, files);
    let none = files.iter().filter_map(number_of).all(|log| !directory.has_news(log));
    let copied = is_copied(directory, size);
    for (log, synced) in &missing {
        let (code, message) = match synced {
            Some(synced) => {
                let what = format!(
                    "the catalogue lists {log:06}.log with {synced} bytes synced, which is not there"
                );
                (Code::MissingFile, what)
            }
            None if none && copied => {
                let what = format!(
                    "{log:06}.log is not there, nor is IDENTITY: RocksDB's checkpoints and backups have none, and leave out the \
                     last log while it is empty. If this is neither, what that held is missing"
                );
                (Code::MissingNumber, what)
            }
            None if none => {
                (Code::MissingFile, format!("the catalogue counts on {log:06}.log, which is not there"))
            }
            // Whether it held anything the numbers of the next one tell, and of the last log nothing does.
            None => {
                let what = format!(
                    "{log:06}.log was there by what the catalogue says, and is not: what it held is missing, if it held anything"
                );
                (Code::MissingNumber, what)
            }
        };
        say(code, message + &elsewhere);
    }
    // The log that is written was there before the catalogue said so.
    let newest = directory.newest();
    if newest > 0 && none && missing.is_empty() && !copied {
        let message = format!(
            "the catalogue counts on a log from {newest:06}.log on, and there is none: what was written last is not here{elsewhere}"
        );
        say(Code::MissingFile, message);
    } else if let Some(log) = start::suspected(directory, files).filter(|log| !missing.contains_key(log)) {
        let message = format!(
            "{log:06}.log is not there: RocksDB of today begins a session with the log numbered right before the MANIFEST, and \
             nothing says that its tables have taken that in. If this version did, what it held is missing{elsewhere}"
        );
        say(Code::MissingNumber, message);
    }
}

/// Whether a store that lacks its last log may be as a checkpoint or a backup of RocksDB leaves it (`CheckpointImpl` and
/// `BackupEngine`, by `GetLiveFilesStorageInfo`): tables that have taken in all logs but that one.
fn is_copied(directory: &Directory, size: &dyn Fn(&str) -> Option<u64>) -> bool {
    let flushed = directory.oldest() >= directory.newest()
        && directory.catalogue.families.values().any(|family| !family.tables.is_empty());
    directory.flavour == Flavour::RocksDb && flushed && size("IDENTITY").is_none()
}

/// Tables and files of values.
fn tables(directory: &Directory, size: &dyn Fn(&str) -> Option<u64>) -> Vec<Lack> {
    let Some(file) = directory.manifest.filter(|_| directory.broken.is_none()) else { return Vec::new() };
    let rocks = directory.flavour == Flavour::RocksDb;
    let (mut gone, mut changed, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for family in directory.catalogue.families.values().filter(|family| !family.dropped) {
        // Tables with another path lie in a directory that only the application knows.
        for table in family.tables.values().filter(|table| table.path_id == 0) {
            let names = directory.flavour.table_names(table.number);
            match names.iter().find_map(|name| Some((name, size(name)?))) {
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
        let message =
            format!("tables that the catalogue names are not there: {names}; the engine does not open");
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
