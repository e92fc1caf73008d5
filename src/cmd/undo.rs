//! `undo`: put back what an in-place truncate or repair changed.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::args::Global;
use crate::cmd::repair::tell_unseen;
use crate::cmd::{CLEAN, complain};
use crate::repair::undo::undo;
use crate::ui::bytes::printable;

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct Opts {
    /// The undo record, or the folder of the backup that holds it
    #[arg(value_name = "RECORD")]
    record: PathBuf,
    /// The directory of the log, where it has been moved since
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the files are no longer the ones that the change left, when others have come to be, or they cannot be written.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let done = undo(&opts.record, opts.log.as_deref())?;
    if !global.quiet {
        let path = printable(&done.dir.display().to_string());
        tell_unseen(done.unseen);
        complain(&match done.already {
            false => format!("{path}: every byte is as it was before the {}", done.record.command),
            true => format!("{path}: nothing to undo, the files are as they were"),
        });
    }
    Ok(CLEAN)
}
