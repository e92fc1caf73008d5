//! `truncate`: cut the log at a chosen point, never through a transaction unless asked to.

use std::path::Path;

use anyhow::Result;
use clap::{ArgGroup, Args};

use crate::args::{Global, Input};
use crate::cmd::dump::offset;
use crate::cmd::repair::{Target, carry_out, may_change};
use crate::cmd::{examine, open_one};
use crate::refused::Refused;
use crate::repair::Task;
use crate::repair::bound::Deed;
use crate::repair::edits::Rule;
use crate::replay::cut;
use crate::ui::shell::quote;

/// Arguments of `truncate`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("cut").required(true)))]
pub struct Opts {
    #[command(flatten)]
    input: Input,
    /// Cut where the first damage begins
    #[arg(long, group = "cut")]
    at_damage: bool,
    /// Cut behind the last committed record in front of any damage
    #[arg(long, group = "cut")]
    last_commit: bool,
    /// Cut at this offset (decimal or 0x…), of the last file or the one that --file names
    #[arg(long, value_name = "OFFSET", group = "cut", value_parser = offset)]
    at: Option<u64>,
    /// Keep this sequence number and those before it
    #[arg(long, value_name = "SEQ", group = "cut")]
    after_seq: Option<u64>,
    /// Drop the records before this sequence number: the start of the log, not its end
    #[arg(long, value_name = "SEQ", group = "cut")]
    before_seq: Option<u64>,
    /// The file that --at is about
    #[arg(long, value_name = "NAME", conflicts_with_all = ["at_damage", "last_commit", "after_seq", "before_seq"])]
    file: Option<String>,
    /// Cut through a transaction or record, too
    #[arg(long)]
    force_partial: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs it.
///
/// # Errors
/// When there is not exactly one log, the cut would tear something apart, or the result cannot be written.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let log = open_one(&opts.input)?;
    may_change(&log)?;
    if log.format().rolls_back() {
        let why = "a rollback journal is no log that can be cut; repair rolls it back";
        return Err(Refused(format!("{}: {why}", log.log.path)).into());
    }
    let report = examine(&log, &opts.input, global, opts.target.shows());
    let partial = opts.force_partial;
    let mut rule = Rule::verbatim();
    let (name, value) = match opts {
        Opts { at: Some(at), .. } => {
            rule.to = Some(cut::at_offset(&log, &report, opts.file.as_deref(), *at, partial)?);
            ("at", at.to_string())
        }
        Opts { after_seq: Some(seq), .. } => {
            rule.to = cut::behind_seq(&log, &report, *seq, partial)?;
            ("after_seq", seq.to_string())
        }
        Opts { before_seq: Some(seq), .. } => {
            rule.from = cut::from_seq(&log, &report, *seq, partial)?;
            ("before_seq", seq.to_string())
        }
        Opts { at_damage: true, .. } => {
            rule.to = cut::at_damage(&log, &report, partial)?;
            ("at_damage", String::new())
        }
        _ => {
            rule.to = cut::last_commit(&log, &report)?;
            ("last_commit", String::new())
        }
    };
    rule.untracked = opts.target.drop_wal_tracking;
    let options = serde_json::json!({
        "cut": name, "value": value, "file": opts.file, "force_partial": partial,
        "drop_wal_tracking": rule.untracked,
    });
    let mut typed = opts.input.typed();
    let word = name.replace('_', "-");
    typed.push(if value.is_empty() { format!("--{word}") } else { format!("--{word} {value}") });
    typed.extend(opts.file.as_ref().map(|name| format!("--file {}", quote(Path::new(name)))));
    typed.extend(partial.then(|| "--force-partial".to_owned()));
    typed.extend(rule.untracked.then(|| "--drop-wal-tracking".to_owned()));
    let deed = Deed { command: "truncate", options, typed: typed.join(" ") };
    let task = Task { log: &log, report: &report, rule: &rule, path: &opts.input.paths[0] };
    carry_out(&task, &opts.target, &deed, global)
}
