//! A log that its engine still writes is left alone.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::analysis::OpenLog;
use crate::io::holders;
use crate::refused::Refused;

/// No other process has the log open for writing. Gives back how many could not be looked at.
///
/// # Errors
/// [`Refused`] with its number and name.
pub fn unheld(log: &OpenLog) -> Result<usize> {
    let paths = (0..log.log.files.len()).filter_map(|i| log.path(i));
    let mut paths: Vec<PathBuf> = paths.map(Path::to_path_buf).collect();
    // An engine that writes no log at the moment holds its lock all the same.
    let lock = paths.first().zip(log.format().lock()).map(|(first, lock)| first.with_file_name(lock));
    paths.extend(lock);
    files_unheld(&paths)
}

/// The same for files.
///
/// # Errors
/// [`Refused`] with its number and name.
pub fn files_unheld(files: &[PathBuf]) -> Result<usize> {
    let seen = holders::writer(files);
    match seen.holder {
        Some(h) => Err(Refused(format!(
            "{}: process {} ({}) has it open for writing; stop it first",
            h.file.display(),
            h.pid,
            h.name
        ))
        .into()),
        None => Ok(seen.unseen),
    }
}

/// Every file is still the one that was read, and nobody wrote to it since.
///
/// # Errors
/// [`Refused`] with its name.
pub fn unchanged(log: &OpenLog) -> Result<()> {
    let still = |&i: &usize| log.path(i).is_none_or(|path| log.source(i).is_still(path));
    match (0..log.log.files.len()).find(|i| !still(i)) {
        Some(i) => {
            let name = &log.log.files[i].name;
            Err(Refused(format!("{name}: was written to or replaced meanwhile; nothing was changed")).into())
        }
        None => Ok(()),
    }
}
