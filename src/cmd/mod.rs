//! One file a command. No format is named here.

pub mod completions;
pub mod dump;
pub mod explain;
pub mod gaps;
pub mod man;
pub mod replay;
pub mod verify;

use std::process::ExitCode;

use anyhow::Result;

use crate::analysis::{Finding, OpenLog, Report};
use crate::cli::{Cli, Command, Global, Input, Judgement};
use crate::io::listing;
use crate::log::finding::Class;
use crate::ui::progress;

/// Clean, or only allowed findings.
pub const CLEAN: u8 = 0;
/// Findings.
pub const FINDINGS: u8 = 1;
/// Usage error, or the run failed.
pub const FAILED: u8 = 2;
/// Part of the input could not be read.
pub const INCOMPLETE: u8 = 3;

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
        Command::Explain(opts) => explain::run(opts, &cli.global)?,
        Command::Completions(opts) => completions::run(opts)?,
        Command::Man => man::run()?,
    };
    Ok(ExitCode::from(code))
}

/// One line on standard error, never mixed with data.
pub fn complain(message: &str) {
    // With nobody to read it there is nothing left to do.
    let line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    std::io::Write::write_all(&mut std::io::stderr(), format!("walmedic: {line}\n").as_bytes()).ok();
}

/// The logs at every path, opened. A path that fails does not stop the others; the flag tells that one did.
///
/// # Errors
/// When `--as` or `--revision` name nothing known, or the only path fails.
pub fn open_all(input: &Input) -> Result<(Vec<OpenLog>, bool)> {
    let wanted = input.wanted();
    listing::formats(&wanted)?;
    let mut logs = Vec::new();
    let mut failed = false;
    for path in &input.paths {
        let opened = listing::find(path, &wanted).and_then(|found| {
            found.into_iter().map(|log| OpenLog::new(log, &wanted)).collect::<Result<Vec<_>>>()
        });
        match opened {
            Ok(found) => logs.extend(found),
            Err(e) if input.paths.len() == 1 => return Err(e),
            Err(e) => {
                complain(&format!("{e:#}"));
                failed = true;
            }
        }
    }
    Ok((logs, failed))
}

/// The one log at the one path.
///
/// # Errors
/// When there is none, or more than one.
pub fn open_one(input: &Input) -> Result<OpenLog> {
    let (mut logs, _) = open_all(input)?;
    match (logs.pop(), logs.pop()) {
        (Some(log), None) => Ok(log),
        (Some(a), Some(b)) => anyhow::bail!(
            "more than one log ({} and {}): name one of them, or --as with its format",
            b.log.path,
            a.log.path
        ),
        _ => anyhow::bail!("no log to replay"),
    }
}

/// Analyses logs one after the other, their files in parallel, with progress.
pub fn analyse_all(logs: &[OpenLog], input: &Input, global: &Global) -> Vec<Report> {
    let total = logs.iter().map(OpenLog::bytes).sum();
    let done = || logs.iter().map(OpenLog::progress).sum();
    progress::watch(global.progress(), total, &done, || {
        logs.iter().map(|log| log.analyse(input.threads())).collect()
    })
}

impl Judgement {
    /// The class of a finding, a note where it is allowed.
    pub fn class(&self, finding: &Finding) -> Class {
        let allowed = self.allow.iter().any(|word| word == finding.class.word());
        if allowed { Class::Note } else { finding.class }
    }

    /// The exit code for these reports.
    pub fn exit_code(&self, reports: &[Report]) -> u8 {
        let (mut incomplete, mut worst) = (false, CLEAN);
        for report in reports {
            let last_intact = report.last_intact();
            for finding in report.findings() {
                let code = match self.class(&finding) {
                    Class::Note => continue,
                    Class::Incomplete => {
                        incomplete = true;
                        continue;
                    }
                    Class::TornTail => 10,
                    Class::Orphan => 11,
                    Class::Gap => 12,
                    Class::Foreign | Class::Stale => 13,
                    Class::Corruption if finding.file.is_none_or(|f| last_intact > Some((f, finding.at))) => {
                        13
                    }
                    Class::Corruption => 14,
                };
                worst = worst.max(code);
            }
        }
        match worst {
            _ if incomplete => INCOMPLETE,
            CLEAN => CLEAN,
            code if self.detailed_exitcode => code,
            _ => FINDINGS,
        }
    }
}
