//! Parses, dispatches, and turns the result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use walmedic::io::interrupt;
use walmedic::{cli, cmd};

fn main() -> ExitCode {
    // Without the handler the signal ends us all the same.
    let end = || {
        if interrupt::interrupt() {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(end).ok();
    match cli::run(&cli::Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            cmd::complain(&format!("{e:#}"));
            ExitCode::from(cmd::code_of(&e))
        }
    }
}
