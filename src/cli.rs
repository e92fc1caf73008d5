//! The command line: one table of commands, and who carries them out.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::args::{Global, Reporting};
use crate::cmd::{completions, dump, explain, gaps, man, repair, replay, truncate, undo, verify};

const EXAMPLES: &str = "\
Examples:
  walmedic verify /var/lib/app/wal            is this log sound, and what would the engine lose?
  walmedic dump wal/000002.wal --at 1176 --hex    the damaged bytes, field by field
  walmedic gaps wal --format json             missing and repeated sequence numbers
  walmedic replay wal --diff engine,committed  key by key, what the engine would lose
  walmedic explain WM-201                     what a finding means and what to do
  walmedic verify wal --allow torn-tail       in CI: a torn tail is expected after kill -9

Exit codes: 0 clean, 1 findings, 2 usage or failure, 3 incomplete, 4 refused, 130 interrupted;
with --detailed-exitcode 10 torn tail, 11 orphan, 12 gap, 13 and 14 corruption with and without
intact data behind it.";

/// Write-ahead-log forensics and recovery: what is damaged, what is intact, what the engine would drop.
#[derive(Debug, Parser)]
#[command(name = "walmedic", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to say it.
    #[command(flatten)]
    pub global: Global,
}

/// The commands, one file each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Is this log sound? Every damaged range, gap and orphan; what the engine would keep
    Verify(verify::Opts),
    /// The records, filtered, each with its fate; or annotated hex
    Dump(dump::Opts),
    /// Missing, repeated and overlapping sequence ranges, each with its likely cause
    Gaps(Reporting),
    /// The state after recovery, by policy, and where policies differ
    Replay(replay::Opts),
    /// Cut the log at a chosen point, whole transactions only
    Truncate(truncate::Opts),
    /// A copy that verifies clean and holds everything intact and committed
    Repair(repair::Opts),
    /// Put back, byte for byte, what an in-place truncate or repair changed
    Undo(undo::Opts),
    /// What a finding code means, and what to do about it
    Explain(explain::Opts),
    /// Completions for a shell
    Completions(completions::Opts),
    /// The manual page
    Man,
}

/// Runs a command; the result is its exit code.
///
/// # Errors
/// When it could not do its work at all.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    let code = match &cli.command {
        Command::Verify(opts) => verify::run(opts, &cli.global)?,
        Command::Dump(opts) => dump::run(opts, &cli.global)?,
        Command::Gaps(opts) => gaps::run(opts, &cli.global)?,
        Command::Replay(opts) => replay::run(opts, &cli.global)?,
        Command::Truncate(opts) => truncate::run(opts, &cli.global)?,
        Command::Repair(opts) => repair::run(opts, &cli.global)?,
        Command::Undo(opts) => undo::run(opts, &cli.global)?,
        Command::Explain(opts) => explain::run(opts, &cli.global)?,
        Command::Completions(opts) => completions::run(opts, Cli::command())?,
        Command::Man => man::run(Cli::command())?,
    };
    Ok(ExitCode::from(code))
}
