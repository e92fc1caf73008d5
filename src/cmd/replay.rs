//! `replay`: the state after recovery, by policy.

use std::io::Write;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::analysis::{OpenLog, Report};
use crate::cli::{Format, Global, Input};
use crate::cmd::{CLEAN, FINDINGS, INCOMPLETE, analyse_all, open_one};
use crate::findings::plural;
use crate::replay::{Policy, Replayed, Wish, cut, digest, replay};
use crate::ui::json::line;
use crate::ui::out::Out;

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    input: Input,
    /// Which records make up the state
    #[arg(long, value_name = "POLICY", default_value = "committed")]
    policy: Policy,
    /// Version of the engine to follow with --policy engine, by its commit
    #[arg(long, value_name = "COMMIT")]
    engine: Option<String>,
    /// Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    undecided: Undecided,
    /// Only up to this sequence number, whole transactions only
    #[arg(long, value_name = "SEQ")]
    until: Option<u64>,
    /// Memory for the state; what is more goes to a temporary file
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = size)]
    memory: u64,
    /// How to print the answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// `--undecided`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Undecided {
    /// They count
    Keep,
    /// They do not
    Drop,
}

/// A number of bytes such as `512M`.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|n| n.checked_mul(1 << shift))
        .ok_or_else(|| format!("{text} is no size; write a number of bytes, or 512M, or 2G"))
}

/// Runs it.
///
/// # Errors
/// When there is not exactly one log, or the state cannot be kept.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let log = open_one(&opts.input)?;
    let report = analyse_all(std::slice::from_ref(&log), &opts.input, global).remove(0);
    let until = match opts.until {
        Some(_) if opts.policy == Policy::Engine => bail!("--until goes with --policy committed or salvage"),
        Some(seq) => cut::behind_seq(&log, &report, seq, false)?,
        None => None,
    };
    let wish = Wish {
        policy: opts.policy,
        engine: opts.engine.clone(),
        undecided: opts.undecided == Undecided::Keep,
        until,
        memory: opts.memory,
    };
    let replayed = replay(&log, &report, &wish)?;
    let mut out = Out::default();
    print(&mut out, opts, &log, &report, &replayed)?;
    out.flush()?;
    let incomplete = report.files.iter().any(|f| f.failure.is_some() || f.shrunk || !f.unreadable.is_empty());
    Ok(match replayed.opens {
        _ if incomplete => INCOMPLETE,
        true => CLEAN,
        false => FINDINGS,
    })
}

fn print(out: &mut Out, opts: &Opts, log: &OpenLog, report: &Report, replayed: &Replayed) -> Result<()> {
    let (entries, hash) = digest(log, &replayed.state)?;
    match opts.format {
        Format::Json | Format::Ndjson => line(
            out,
            &serde_json::json!({
                "schema": "walmedic.replay/1",
                "path": report.path,
                "format": report.format.profile().name,
                "revision": report.revision,
                "policy": replayed.policy.word(),
                "opens": replayed.opens,
                "engine_error": replayed.error,
                "entries": entries,
                "records_applied": replayed.applied,
                "state_sha256": hash,
                "image_sha256": null,
            }),
        ),
        Format::Csv | Format::Text => {
            let record = report.format.profile().record;
            writeln!(out, "{} applied, {}", plural(replayed.applied, record), plural(entries, "live key"))?;
            Ok(writeln!(out, "state sha256 {hash}")?)
        }
    }
}
