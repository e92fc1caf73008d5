//! `completions`: generated from the same definition that parses the command line.

use std::io::Write;

use anyhow::Result;
use clap::{Args, Command};

use crate::cmd::CLEAN;
use crate::ui::out::Out;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Opts {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs it.
///
/// # Errors
/// When standard output fails.
pub fn run(opts: &Opts, mut command: Command) -> Result<u8> {
    let mut bytes = Vec::new();
    clap_complete::generate(opts.shell, &mut command, "walmedic", &mut bytes);
    let mut out = Out::default();
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(CLEAN)
}
