//! `man`: the manual page, generated from the same definition that parses the command line.

use std::io::Write;

use anyhow::Result;
use clap::Command;

use crate::cmd::CLEAN;
use crate::ui::out::Out;

/// Runs it.
///
/// # Errors
/// When standard output fails.
pub fn run(command: Command) -> Result<u8> {
    let mut bytes = Vec::new();
    let command = command.disable_help_subcommand(true);
    clap_mangen::Man::new(command.clone()).render(&mut bytes)?;
    for sub in command.get_subcommands() {
        writeln!(bytes, ".SH WALMEDIC {}", sub.get_name().to_uppercase())?;
        let man = clap_mangen::Man::new(sub.clone());
        man.render_synopsis_section(&mut bytes)?;
        man.render_description_section(&mut bytes)?;
        man.render_options_section(&mut bytes)?;
    }
    let mut out = Out::default();
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(CLEAN)
}
