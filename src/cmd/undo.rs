//! `undo`: put back what an in-place truncate or repair changed.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::args::Global;
use crate::cmd::{CLEAN, complain};
use crate::repair::undo::{Undone, undo};
use crate::ui::bytes::printable;

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct Opts {
    /// The undo record, or the folder of the backup that holds it
    #[arg(value_name = "RECORD")]
    record: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the files are no longer the ones that the change left, or cannot be written.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let (record, undone) = undo(&opts.record)?;
    if !global.quiet {
        let path = printable(&record.path);
        complain(&match undone {
            Undone::Now => format!("{path}: every byte is as it was before the {}", record.command),
            Undone::Already => format!("{path}: nothing to undo, the files are as they were"),
        });
    }
    Ok(CLEAN)
}
