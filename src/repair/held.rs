//! A log that its engine still writes is left alone.

use std::path::PathBuf;

use anyhow::Result;

use crate::analysis::OpenLog;
use crate::io::holders;
use crate::refused::Refused;

/// No other process has the log open for writing.
///
/// # Errors
/// [`Refused`] with its number and name.
pub fn unheld(log: &OpenLog) -> Result<()> {
    let files: Vec<PathBuf> =
        (0..log.log.files.len()).filter_map(|i| Some(log.path(i)?.to_path_buf())).collect();
    match holders::writer(&files) {
        Some(h) => Err(Refused(format!(
            "{}: process {} ({}) has it open for writing; stop it first",
            h.file.display(),
            h.pid,
            h.name
        ))
        .into()),
        None => Ok(()),
    }
}
