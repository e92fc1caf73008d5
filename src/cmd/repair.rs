//! `repair`: a copy that verifies clean and from which the engine recovers everything intact and committed.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::analysis::{OpenLog, Report};
use crate::cli::{Format, Global, Input};
use crate::cmd::replay::Undecided;
use crate::cmd::{CLEAN, FINDINGS, REFUSED, analyse_all, complain, open_one};
use crate::repair::Strategy;
use crate::repair::bound::{self, Deed};
use crate::repair::edits::Rule;
use crate::repair::plan::Plan;
use crate::repair::{place, target};
use crate::ui::json::line;
use crate::ui::out::Out;
use crate::ui::paint::Paint;
use crate::ui::plan::View;
use crate::ui::shell;

/// Where the result goes; the same for `repair` and `truncate`.
#[derive(Debug, Args)]
pub struct Target {
    /// Do it; without this only the plan is shown
    #[arg(long)]
    pub apply: bool,
    /// Write a new copy; it must not exist yet
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,
    /// Change the log itself, after a verified backup
    #[arg(long)]
    pub in_place: bool,
    /// Where --in-place puts the originals and the undo record [default: beside the log]
    #[arg(long, value_name = "DIR", requires = "in_place")]
    pub backup: Option<PathBuf>,
    /// Only if this plan, as printed with --format json, still fits
    #[arg(long, value_name = "FILE", requires = "apply")]
    pub plan: Option<PathBuf>,
    /// How to print the plan
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// Arguments of `repair`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    input: Input,
    /// What to keep
    #[arg(long, value_name = "STRATEGY", default_value = "salvage")]
    strategy: Strategy,
    /// Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    undecided: Undecided,
    /// Give records new numbers where the numbers fall back
    #[arg(long)]
    renumber: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs it.
///
/// # Errors
/// When there is not exactly one log, or the result cannot be written.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let log = open_one(&opts.input)?;
    let report = analyse_all(std::slice::from_ref(&log), &opts.input, global).remove(0);
    let undecided = opts.undecided == Undecided::Keep;
    let rule = opts.strategy.rule(&log, &report, undecided, opts.renumber)?;
    let mut typed = opts.input.typed();
    if opts.strategy != Strategy::Salvage {
        typed.push(format!("--strategy {}", opts.strategy.word()));
    }
    typed.extend(undecided.then(|| "--undecided keep".to_owned()));
    typed.extend(opts.renumber.then(|| "--renumber".to_owned()));
    let deed = Deed {
        command: "repair",
        typed: typed.join(" "),
        options: serde_json::json!({
            "strategy": opts.strategy.word(), "undecided": undecided, "renumber": opts.renumber,
        }),
    };
    carry_out(&log, &report, &rule, &opts.target, &deed, &opts.input.paths[0], global)
}

/// Shows the plan, or carries it out.
///
/// # Errors
/// See [`run`].
pub fn carry_out(
    log: &OpenLog,
    report: &Report,
    rule: &Rule,
    wanted: &Target,
    deed: &Deed,
    path: &Path,
    global: &Global,
) -> Result<u8> {
    let mut plan = Plan::of(log, report, rule)?;
    let data = wanted.format != Format::Text;
    if data || wanted.plan.is_some() || wanted.in_place && wanted.apply {
        plan.bind(log)?;
    }
    let mut out = Out::default();
    if !wanted.apply {
        if data {
            line(&mut out, &bound::document(report, &plan, deed))?;
        } else {
            let again = (deed.command, deed.typed.as_str());
            let view = View { paint: Paint::stdout(global.color), verbose: global.verbose, again };
            view.print(&mut out, report, &plan)?;
        }
        out.flush()?;
        return Ok(if plan.acts() { REFUSED } else { CLEAN });
    }
    if let Some(file) = &wanted.plan {
        bound::compare(file, report, &plan, deed)?;
    }
    let lost = match (&wanted.output, wanted.in_place) {
        (Some(output), _) => target::copy(log, report, rule, &plan, path, output)?,
        (None, true) if !plan.acts() => false,
        (None, true) => {
            let backup = wanted.backup.as_deref();
            let done = place::change(log, report, rule, &plan, path, backup, deed.command)?;
            if !global.quiet {
                complain(&format!("done; to take it back: walmedic undo {}", shell::quote(&done.record)));
            }
            done.left
        }
        (None, false) => bail!("--apply needs --output DIR (a new copy) or --in-place (with a backup)"),
    };
    Ok(if lost || plan.loses() { FINDINGS } else { CLEAN })
}
