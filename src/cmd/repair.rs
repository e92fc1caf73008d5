//! `repair`: a copy that verifies clean and from which the engine recovers everything intact and committed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::analysis::{OpenLog, Report};
use crate::args::{Format, Global, Input, Mending};
use crate::cmd::replay::Undecided;
use crate::cmd::{CLEAN, FINDINGS, INCOMPLETE, REFUSED, complain, examine, open_one, put_words_right};
use crate::findings::plural;
use crate::judgement::Judgement;
use crate::log::finding::Code;
use crate::refused::Refused;
use crate::repair::bound::{self, Deed};
use crate::repair::pages::Pages;
use crate::repair::plan::Plan;
use crate::repair::{Done, Found, Strategy, Task, held, place, target};
use crate::replay::mode_of;
use crate::ui::json::line;
use crate::ui::out::Out;
use crate::ui::paint::Paint;
use crate::ui::plan::{View, not_copied};
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
    /// Leave the sizes of logs out of the copy's MANIFEST, so that RocksDB does not miss what a shorter log lacks
    #[arg(long, conflicts_with = "in_place")]
    pub drop_wal_tracking: bool,
    /// Only if this plan, as printed with --format json, still fits
    #[arg(long, value_name = "FILE", requires = "apply")]
    pub plan: Option<PathBuf>,
    /// How to print the plan
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

impl Target {
    /// Whether a plan is shown, or compared with one that was.
    pub fn shows(&self) -> bool {
        !self.apply || self.plan.is_some()
    }
}

/// Arguments of `repair`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    mending: Mending,
    /// What to keep
    #[arg(long, value_name = "STRATEGY", default_value = "salvage")]
    strategy: Strategy,
    /// How the engine recovers with the strategy engine, where it has several ways; see replay --mode
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Records behind the last COMMIT, where nothing tells whether they belong to an unfinished batch
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    undecided: Undecided,
    /// Give records new numbers where the numbers fall back
    #[arg(long)]
    renumber: bool,
    /// Intact records of transactions that lost another, in logs of pages, where a later page heals what is missing
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    survivors: Undecided,
    /// Transactions that are prepared and neither committed nor rolled back
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    prepared: Undecided,
    /// Of a log of pages: write the database that it leads to, and an empty log
    #[arg(long)]
    checkpoint: bool,
    /// Write the database before its last commit, from a rollback journal that was kept
    #[arg(long, conflicts_with_all = ["checkpoint", "repair_words"])]
    undo_last_commit: bool,
    /// Write the copy's CURRENT and MANIFEST anew, from the edits that can be read and the tables that are there
    #[arg(long, conflicts_with = "in_place")]
    rebuild_manifest: bool,
    /// Go on although the log does not seem to be its database's, undoing its last commit makes no sound one, or it is in
    /// doubt which tables a lost edit added or deleted
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs it.
///
/// # Errors
/// When there is not exactly one log, or the result cannot be written.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    if opts.mending.repair_words && opts.strategy == Strategy::Engine {
        bail!("--repair-words goes with the strategies salvage and tail: no engine does that");
    }
    let mut log = open_one(&opts.input)?;
    may_change(&log)?;
    if opts.rebuild_manifest && !log.format().recatalogues() {
        let name = log.format().profile().name;
        bail!("--rebuild-manifest: {name} has no MANIFEST");
    }
    let ask = opts.target.shows() || opts.strategy == Strategy::Engine;
    let mut report = examine(&log, &opts.input, global, ask);
    if opts.mending.repair_words {
        report = put_words_right(&mut log, report, &opts.input, global)?;
    }
    own(&report, opts.force)?;
    let undecided = opts.undecided == Undecided::Keep;
    let mut rule = opts.strategy.rule_in(&log, &report, (undecided, opts.renumber), opts.mode(&log)?)?;
    rule.survivors = opts.survivors == Undecided::Keep;
    rule.prepared = opts.prepared == Undecided::Keep;
    rule.untracked = opts.target.drop_wal_tracking;
    (rule.recatalogued, rule.force) = (opts.rebuild_manifest, opts.force);
    rule.pages = opts.pages(&report)?.or(rule.pages);
    let mut typed = opts.input.typed();
    if opts.strategy != Strategy::Salvage {
        typed.push(format!("--strategy {}", opts.strategy.word()));
    }
    typed.extend(opts.mode.as_ref().map(|mode| format!("--mode {mode}")));
    typed.extend(opts.mending.repair_words.then(|| "--repair-words".to_owned()));
    typed.extend(undecided.then(|| "--undecided keep".to_owned()));
    typed.extend(rule.survivors.then(|| "--survivors keep".to_owned()));
    typed.extend((!rule.prepared).then(|| "--prepared drop".to_owned()));
    typed.extend(rule.untracked.then(|| "--drop-wal-tracking".to_owned()));
    typed.extend(opts.rebuild_manifest.then(|| "--rebuild-manifest".to_owned()));
    typed.extend(opts.checkpoint.then(|| "--checkpoint".to_owned()));
    typed.extend(opts.undo_last_commit.then(|| "--undo-last-commit".to_owned()));
    typed.extend(opts.force.then(|| "--force".to_owned()));
    typed.extend(opts.renumber.then(|| "--renumber".to_owned()));
    let deed = Deed {
        command: "repair",
        typed: typed.join(" "),
        options: serde_json::json!({
            "strategy": opts.strategy.word(), "undecided": undecided, "renumber": opts.renumber,
            "repair_words": opts.mending.repair_words, "survivors": rule.survivors,
            "prepared": rule.prepared, "drop_wal_tracking": rule.untracked, "mode": opts.mode,
            "rebuild_manifest": opts.rebuild_manifest,
            "checkpoint": opts.checkpoint, "undo_last_commit": opts.undo_last_commit,
        }),
    };
    let task = Task { log: &log, report: &report, rule: &rule, path: &opts.input.paths[0] };
    carry_out(&task, &opts.target, &deed, global)
}

impl Opts {
    /// The mode asked for, if the engine has such.
    fn mode(&self, log: &OpenLog) -> Result<Option<&'static str>> {
        let Some(mode) = &self.mode else { return Ok(None) };
        if self.strategy != Strategy::Engine {
            bail!("--mode {mode}: only the strategy engine recovers in a mode");
        }
        mode_of(log, mode).map(Some)
    }

    /// The file that is to take the place of its log.
    fn pages(&self, report: &Report) -> Result<Option<Pages>> {
        let format = report.format;
        let keep = self.survivors == Undecided::Keep;
        if !format.profile().paged() && (keep || self.checkpoint || self.undo_last_commit) {
            bail!(
                "--survivors, --checkpoint and --undo-last-commit go with logs of pages over a database file"
            );
        }
        if self.strategy == Strategy::Tail && (self.checkpoint || self.undo_last_commit) {
            bail!("--strategy tail cuts a log, and this writes a database file");
        }
        Ok(match self.undo_last_commit {
            true => Some(Pages::Undone { unsound: self.force }),
            false => self.checkpoint.then_some(Pages::Made),
        })
    }
}

/// Refuses a log that is another database's.
fn own(report: &Report, force: bool) -> Result<()> {
    // A journal alone, without its database or the file that it shares with others, leads anywhere.
    let back = report.format.rolls_back();
    let missing = report.remarks.iter().find(|r| r.code == Code::MissingFile && back);
    let why = match report.foreign().or(missing) {
        Some(remark) => remark.message.as_str(),
        None if back && report.alone() => {
            "the database was not given, and without it a journal leads nowhere; name the file beside its database"
        }
        None => return Ok(()),
    };
    if force { Ok(()) } else { Err(Refused(format!("{}: {why}; --force goes on", report.path)).into()) }
}

/// Refuses logs of a format that nothing writes anew yet.
///
/// # Errors
/// As said.
pub fn may_change(log: &OpenLog) -> Result<()> {
    let format = log.format();
    if format.mends() {
        return Ok(());
    }
    let name = format.profile().name;
    Err(Refused(format!("{}: repair and truncate cannot write {name}; nothing was changed", log.log.path))
        .into())
}

/// Shows the plan, or carries it out.
///
/// # Errors
/// See [`run`].
pub fn carry_out(task: &Task<'_>, wanted: &Target, deed: &Deed, global: &Global) -> Result<u8> {
    let Task { log, report, rule, .. } = *task;
    readable(report, wanted)?;
    let data = wanted.format != Format::Text;
    if wanted.shows() {
        let mut plan = Plan::of(log, report, rule)?;
        if data || wanted.plan.is_some() {
            plan.bind(log)?;
        }
        if let Some(file) = &wanted.plan {
            bound::compare(file, report, &plan, deed)?;
        } else {
            show(task, &plan, deed, data, global)?;
            return Ok(match plan.acts() {
                _ if report.incomplete() => INCOMPLETE,
                true => REFUSED,
                false => remaining(report),
            });
        }
    }
    let (plan, done) = match (&wanted.output, wanted.in_place) {
        (Some(output), _) => target::copy(task, output).map(|(plan, done)| (plan, Some(done)))?,
        (None, true) => in_place(task, wanted, deed, global)?,
        (None, false) => bail!("--apply needs --output DIR (a new copy) or --in-place (with a backup)"),
    };
    let found = match done {
        Some(done) => done.found,
        None => Found { left: remaining(report) != CLEAN, refused: None },
    };
    let bad = found.left || found.refused.is_some();
    let code = if bad || plan.lost || plan.problems() > 0 { FINDINGS } else { CLEAN };
    if !global.quiet {
        told(&plan, wanted, &found, &target::strangers(log))?;
    }
    Ok(if report.incomplete() { INCOMPLETE } else { code })
}

/// What cannot be read is not taken for lost: only ranges that the medium does not give back are left out, and only in a
/// copy.
fn readable(report: &Report, wanted: &Target) -> Result<()> {
    if let Some(failure) = report.files.iter().find_map(|f| f.failure.as_ref()) {
        return Err(Refused(format!("{failure}; without that file nothing can be planned")).into());
    }
    if report.incomplete() && wanted.apply && wanted.in_place {
        let why = "part of the log cannot be read, or is being written; only a copy can be made of the rest, with --output";
        return Err(Refused(why.into()).into());
    }
    Ok(())
}

/// The exit code where nothing is to be done: findings may be left that this cannot mend.
fn remaining(report: &Report) -> u8 {
    match Judgement::default().exit_code(std::slice::from_ref(report)) {
        CLEAN => CLEAN,
        _ => FINDINGS,
    }
}

/// What was done, in one line.
fn told(plan: &Plan, wanted: &Target, found: &Found, strangers: &[String]) -> Result<()> {
    let mut out = Out::default();
    let strangers = if wanted.output.is_some() { strangers } else { &[] };
    if wanted.format == Format::Text {
        let what = if plan.acts() { "Done" } else { "Nothing to do" };
        let broken = match plan.problems() {
            0 => String::new(),
            n => format!(
                ", but the database that it leads to has {}: walmedic replay shows what else can be made",
                plural(n, "problem")
            ),
        };
        let lost = if plan.lost { "; something is lost for good" } else { "" };
        let found = match &found.refused {
            Some(error) => format!("but the engine does not open the new log ({error})"),
            None if found.left => "findings are left, see walmedic verify".into(),
            None => "it reads back clean".into(),
        };
        let kept = plan.counted.then(|| format!("{} kept, ", plural(plan.kept.records, "record")));
        writeln!(out, "{what}: {}{found}{broken}{lost}.", kept.unwrap_or_default())?;
        if let Some(sentence) = not_copied(strangers) {
            writeln!(out, "{sentence}")?;
        }
    } else {
        let written = wanted.output.as_ref().map(|path| path.display().to_string());
        let mut done = serde_json::json!({
            "schema": "walmedic.done/1", "applied": plan.acts() || written.is_some(), "output": written,
            "records": plan.counted.then_some(plan.kept.records), "lost": plan.lost, "findings_left": found.left,
        });
        if let Some(error) = &found.refused {
            done["refused"] = error.as_str().into();
        }
        if let Some(grade) = &plan.grade {
            done["problems"] = grade.problems.into();
        }
        if !strangers.is_empty() {
            done["not_copied"] = strangers.into();
        }
        line(&mut out, &done)?;
    }
    Ok(out.flush()?)
}

fn show(task: &Task<'_>, plan: &Plan, deed: &Deed, data: bool, global: &Global) -> Result<()> {
    let mut out = Out::default();
    let strangers = target::strangers(task.log);
    if data {
        let mut document = bound::document(task.report, plan, deed);
        if !strangers.is_empty() {
            document["not_copied"] = strangers.into();
        }
        line(&mut out, &document)?;
    } else {
        let again = (deed.command, deed.typed.as_str());
        let paint = Paint::stdout(global.color);
        let view = View { paint, verbose: global.verbose, again, strangers: &strangers };
        view.print(&mut out, task.report, plan)?;
    }
    Ok(out.flush()?)
}

/// Gives back the plan, and what was done unless it was nothing.
fn in_place(task: &Task<'_>, wanted: &Target, deed: &Deed, global: &Global) -> Result<(Plan, Option<Done>)> {
    let plan = Plan::with(task.log, task.report, task.rule, false, None)?;
    if !plan.acts() {
        if let (Err(held), false) = (held::unheld(task.log), global.quiet) {
            complain(&format!("nothing to do as the log is now, but it may change: {held:#}"));
        }
        return Ok((plan, None));
    }
    let (record, done) = place::change(task, &plan, wanted.backup.as_deref(), deed.command)?;
    if !global.quiet {
        tell_unseen(done.unseen);
        complain(&format!("done; to take it back: walmedic undo {}", shell::quote(&record)));
    }
    Ok((plan, Some(done)))
}

/// Says that a writer may have been overlooked.
pub fn tell_unseen(processes: usize) {
    if processes > 0 {
        let processes = plural(processes as u64, "other process");
        complain(&format!(
            "{processes} may not be looked at: whether one of them writes the log is not known"
        ));
    }
}
