//! Parses, dispatches, and turns the result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use walmedic::{cli, cmd};

fn main() -> ExitCode {
    // Nothing is ever half-written while reading, so there is nothing to undo. Without the handler the signal ends us all the same.
    ctrlc::set_handler(|| std::process::exit(130)).ok();
    match cmd::run(&cli::Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            cmd::complain(&format!("{e:#}"));
            ExitCode::from(cmd::FAILED)
        }
    }
}
