//! `replay`: the state after recovery by policy, two of them compared, the history of a key; to the screen or into a new
//! file or engine.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::analysis::OpenLog;
use crate::args::{Format, Global, Input, Mending};
use crate::cmd::{
    CLEAN, FINDINGS, INCOMPLETE, analyse_all, column_family, complain, open_one, put_words_right,
};
use crate::format::keys::user_key;
use crate::io::fresh;
use crate::repair::target::outside;
use crate::replay::candidates;
use crate::replay::history::{self, Wanted};
use crate::replay::into::{self, Engine, Target};
use crate::replay::measure::measure;
use crate::replay::until::{self, Cut, Point};
use crate::replay::{Below, Policy, Replayed, Wish, image, replay};
use crate::ui::bytes::{Notation, matches};
use crate::ui::out::Out;
use crate::ui::paint::Paint;
use crate::ui::replay::{Teller, Told, options};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    mending: Mending,
    /// Which records make up the state [default: committed]
    #[arg(long, value_name = "POLICY", conflicts_with_all = ["diff", "history"])]
    policy: Option<Policy>,
    /// Two policies, whose states are compared key by key; exit code 1 when they differ
    #[arg(long, value_name = "P,Q", value_delimiter = ',', conflicts_with = "into")]
    diff: Option<Vec<Policy>>,
    /// Every version of a key, as `dump` prints it; a trailing * means any ending
    #[arg(long, value_name = "KEY", conflicts_with_all = ["diff", "into", "until"])]
    history: Option<String>,
    #[arg(long, value_name = "COMMIT|ENGINE", help = engine_help())]
    engine: Vec<String>,
    /// Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    undecided: Undecided,
    /// Only the keys of this column family
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// The tables that the log goes on from: beside (in its own directory, where there are any), none (the state is the
    /// log's alone), or their directory
    #[arg(long, value_name = "WHERE", default_value = "beside", value_parser = below)]
    base: Below,
    #[arg(long, value_name = "MODE", help = mode_help())]
    mode: Option<String>,
    /// Only up to this sequence number, or behind the N-th commit that is intact (in logs of batches each that is no part of a
    /// transaction in two phases is one, too); whole transactions only
    #[arg(long, value_name = "SEQ|commit:N")]
    until: Option<Point>,
    /// Write the state here: a new file that ends in .ndjson or .csv, or in .log (a log of RocksDB's), with --engine a new
    /// directory, or of a log of pages the database file
    #[arg(long, value_name = "TARGET")]
    into: Option<PathBuf>,
    /// Let this program check the files that can be made of a damaged log, too: it is run as PROGRAM FILE "PRAGMA
    /// integrity_check;" on copies
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["diff", "history", "until"])]
    grade_with: Option<PathBuf>,
    /// Memory for a state; what is more goes to a temporary file
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = size)]
    memory: u64,
    /// How to write keys and values
    #[arg(long, value_name = "NOTATION", default_value = "escape")]
    bytes: Notation,
    /// How to print the answer; ndjson and csv print every live key
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

fn engine_help() -> String {
    format!(
        "Version of the engine to follow with the policy engine, by its commit; or the engine to build with --into: {}. \
         May be given twice",
        buildable()
    )
}

fn mode_help() -> String {
    let profiles = crate::format::ALL.iter().map(|f| f.profile()).filter(|p| !p.modes.is_empty());
    let modes: Vec<_> = profiles.map(|p| format!("for {} {}", p.name, either(p.modes))).collect();
    format!(
        "How the engine recovers with the policy engine, where it has several ways: {}; without it, as the store's OPTIONS \
         file says",
        modes.join(", ")
    )
}

/// The engines that can be built.
fn buildable() -> String {
    either(&Engine::ALL.map(|(name, _)| name))
}

/// Words of which one is to be chosen.
fn either(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
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

/// `--base`.
fn below(text: &str) -> Result<Below, std::convert::Infallible> {
    Ok(match text {
        "none" => Below::Nothing,
        "beside" => Below::Beside,
        dir => Below::In(dir.into()),
    })
}

/// What the arguments ask for together.
struct Asked {
    /// One policy, or two to compare; none for a history.
    policies: Vec<Policy>,
    /// The version of the engine to follow.
    commit: Option<String>,
    target: Option<Target>,
    /// The number of the column family.
    family: Option<u32>,
}

impl Opts {
    /// Puts the arguments together.
    fn asked(&self) -> Result<Asked> {
        let policies = match (&self.diff, &self.history) {
            (Some(two), _) if two.len() != 2 => bail!("--diff takes two policies, such as engine,committed"),
            (Some(two), _) => two.clone(),
            (None, Some(_)) => Vec::new(),
            (None, None) => vec![self.policy.unwrap_or(Policy::Committed)],
        };
        let (mut engine, mut commit) = (None, None);
        for word in &self.engine {
            let named = Engine::ALL.iter().find(|(name, _)| name == word).map(|(_, engine)| *engine);
            let twice = match named {
                Some(_) => engine.replace(named).is_some(),
                None => commit.replace(word.clone()).is_some(),
            };
            if twice {
                bail!("--engine {word}: one version to follow and one engine to build, not two of a kind");
            }
        }
        let asks_engine = self.history.is_some() || policies.contains(&Policy::Engine);
        if let (Some(word), false) = (&commit, asks_engine) {
            bail!("--engine {word}: only the policy engine follows an engine; to build one: {}", buildable());
        }
        if let (Some(mode), false) = (&self.mode, asks_engine) {
            bail!("--mode {mode}: only the policy engine recovers in a mode");
        }
        if self.until.is_some() && asks_engine {
            bail!("--until goes with the policies committed and salvage: no engine stops on the way");
        }
        if self.mending.repair_words && asks_engine {
            bail!("--repair-words goes with the policies committed and salvage: no engine does that");
        }
        let target = match (&self.into, engine.flatten()) {
            (Some(path), engine) => Some(Target::new(path, engine)?),
            (None, Some(_)) => {
                bail!("--engine {} goes with --into: it is built there", buildable())
            }
            (None, None) => None,
        };
        if target.is_some() && matches!(self.format, Format::Ndjson | Format::Csv) {
            bail!("--into writes the keys already: --format text or json tells about it");
        }
        Ok(Asked { policies, commit, target, family: None })
    }
}

/// Runs it.
///
/// # Errors
/// When arguments contradict each other, when there is not exactly one log, or the state cannot be kept or written.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let asked = opts.asked()?;
    let mut log = open_one(&opts.input)?;
    if let Some(target) = &asked.target {
        may_write(target.path(), &log)?;
    }
    let mut report = analyse_all(std::slice::from_ref(&log), &opts.input, global).remove(0);
    if opts.mending.repair_words {
        report = put_words_right(&mut log, report, &opts.input, global)?;
    }
    let choice = opts.diff.is_none() && opts.history.is_none() && opts.until.is_none();
    let candidates = match choice && matches!(opts.format, Format::Text | Format::Json) {
        true => candidates::all(&mut log, &report, opts.input.threads(), opts.grade_with.as_deref())?,
        false => Vec::new(),
    };
    let teller = Teller {
        log: &log,
        report: &report,
        notation: opts.bytes,
        paint: Paint::stdout(global.color),
        verbose: global.verbose,
        quiet: global.quiet,
        options: options(opts.input.as_format.as_deref(), &report),
        families: log.format().families(&log.files()),
        candidates,
    };
    let family =
        opts.family.as_deref().map(|name| column_family(&log, &teller.families, name)).transpose()?;
    let code = answer(opts, &Asked { family, ..asked }, &teller)?;
    let incomplete = report.files.iter().any(|f| f.failure.is_some() || f.shrunk || !f.unreadable.is_empty());
    Ok(if incomplete { INCOMPLETE } else { code })
}

fn answer(opts: &Opts, asked: &Asked, teller: &Teller<'_>) -> Result<u8> {
    if let Some(key) = &opts.history {
        return tell_history(opts, asked, teller, key);
    }
    let until = match opts.until {
        Some(point) => until::find(teller.log, teller.report, point)?,
        None => None,
    };
    let wishes: Vec<Wish> = asked.policies.iter().map(|&policy| wish(opts, asked, policy, until)).collect();
    let states: Vec<Replayed<'_>> =
        wishes.iter().map(|wish| replay(teller.log, teller.report, wish)).collect::<Result<_>>()?;
    let mut told: Vec<Told<'_>> = wishes
        .iter()
        .zip(&states)
        .map(|(wish, replayed)| {
            let measure = measure(teller.log, &replayed.state)?;
            // What is written as a file is hashed on the way.
            let image =
                replayed.image.as_ref().filter(|_| !matches!(asked.target, Some(Target::Database(_))));
            let image = image.map(|image| image::sha256(teller.log, image)).transpose()?.flatten();
            Ok(Told { wish, replayed, measure, image, until: opts.until, written: None })
        })
        .collect::<Result<_>>()?;
    let mut out = Out::default();
    let code = match &mut told[..] {
        [first, second] => match teller.diff(&mut out, opts.format, first, second)? {
            true => CLEAN,
            false => FINDINGS,
        },
        [told] => {
            let opens = told.replayed.opens;
            match &asked.target {
                Some(target) if opens => {
                    write(target, teller, told)?;
                    told.written = Some(target.path());
                }
                Some(_) => complain("nothing written: an engine that does not open leaves no state"),
                None => {}
            }
            teller.state(&mut out, opts.format, told)?;
            if opens { CLEAN } else { FINDINGS }
        }
        _ => CLEAN,
    };
    out.flush()?;
    Ok(code)
}

fn wish(opts: &Opts, asked: &Asked, policy: Policy, until: Option<Cut>) -> Wish {
    Wish {
        policy,
        engine: asked.commit.clone(),
        mode: opts.mode.clone(),
        undecided: opts.undecided == Undecided::Keep,
        until,
        memory: opts.memory,
        family: asked.family,
        below: opts.base.clone(),
    }
}

fn tell_history(opts: &Opts, asked: &Asked, teller: &Teller<'_>, key: &str) -> Result<u8> {
    let families = teller.log.format().profile().families;
    let wanted = Wanted {
        keys: &|found| {
            let (family, found) = user_key(families, found);
            (asked.family.is_none() || asked.family == family) && matches(found, key, opts.bytes)
        },
        engine: asked.commit.as_deref(),
        mode: opts.mode.as_deref(),
        undecided: opts.undecided == Undecided::Keep,
    };
    let found = history::find(teller.log, teller.report, &wanted)?;
    if found.versions == 0 && !teller.quiet {
        complain("no intact record holds a version of that key");
    }
    let mut out = Out::default();
    teller.history(&mut out, opts.format, key, &wanted, found)?;
    out.flush()?;
    Ok(CLEAN)
}

/// A new path, and not among the files of the log.
fn may_write(target: &Path, log: &OpenLog) -> Result<()> {
    fresh::must_be_new(target)?;
    outside(log, target)
}

fn write(target: &Target, teller: &Teller<'_>, told: &mut Told<'_>) -> Result<()> {
    let (log, report, state) = (teller.log, teller.report, &told.replayed.state);
    match target {
        Target::Ndjson(path) => fresh::file(path, &mut |out| teller.state_ndjson(out, told)),
        Target::Csv(path) => fresh::file(path, &mut |out| teller.state_csv(out, state)),
        Target::Log(path) => fresh::file(path, &mut |out| into::log(log, report, state, out)),
        Target::Engine(engine, path) => {
            fresh::directory(path, &mut |dir| into::build(log, report, state, &told.measure, *engine, dir))
        }
        Target::Database(path) => {
            let Some(image) = &told.replayed.image else {
                bail!(
                    "--into {}: only a log of pages makes a database file; a state goes into a file that ends in .ndjson, \
                     .csv or .log, or with --engine {} into a directory",
                    path.display(),
                    buildable()
                );
            };
            fresh::must_have_room(path, image.len)?;
            fresh::file(path, &mut |out| {
                told.image = Some(image::write(log, image, out)?);
                Ok(())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("2k"), Ok(2048));
        assert_eq!(size("3G"), Ok(3 << 30));
        for wrong in ["", "k", "-1", "1T", "99999999999G", "\u{fc}"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
