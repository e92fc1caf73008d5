//! A plan for people: what happens to each file, what is lost, what the engine makes of it before and afterwards.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::analysis::Report;
use crate::findings::{plural, span};
use crate::repair::plan::{FilePlan, Plan};
use crate::repair::prepared::Prepared;
use crate::repair::tracked::Unfit;
use crate::ui::bytes::printable;
use crate::ui::page::{indented, step, width};
use crate::ui::paint::{Hue, Paint};
use crate::ui::shell::quote;
use crate::ui::steps::{beside, copy_place};
use crate::ui::text::{middle, size};

/// Files that are listed without `-v`.
const FEW: usize = 12;
/// Gaps that are listed without `-v`.
const GAPS: usize = 4;

/// Said of logs that count from 1 again.
const FALLS_BACK: &str = "Numbers start again in this log and are left as they are, and an engine may stop there: \
                          --renumber gives those records new ones.";

const RENUMBERED: &str = "Numbers start again in this log: the records from there on get new ones, so that of two writes of \
                          a key the later one wins, and those that the engine had dropped stay behind it.";

/// Said where that is all there is to do.
const DROP: &str = "--prepared drop leaves them out.";

/// Prints plans.
pub struct View<'a> {
    /// Colours.
    pub paint: Paint,
    /// Everything is listed.
    pub verbose: bool,
    /// The command with its options, as it can be typed again; the log's path comes behind the first word.
    pub again: (&'a str, &'a str),
    /// What else lies in the directory of the log.
    pub strangers: &'a [String],
}

impl View<'_> {
    /// Prints a plan.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn print(&self, out: &mut dyn Write, report: &Report, plan: &Plan) -> Result<()> {
        let path = printable(&report.path);
        let head = if plan.acts() {
            self.paint.hue(Hue::Torn, "PLAN")
        } else {
            self.paint.hue(Hue::Good, "NOTHING TO DO")
        };
        writeln!(out, "{} {} {path}", self.paint.strong(head), self.again.0)?;
        if !plan.acts() {
            writeln!(out, "  The log is as this would leave it.")?;
            let falls_back = plan.falls_back.then(|| FALLS_BACK.to_owned());
            let kept = plan.prepared.iter().any(|prepared| prepared.kept);
            let choice = (kept && self.again.0 == "repair").then(|| DROP.to_owned());
            let said = falls_back.into_iter().chain(prepared(&plan.prepared)).chain(choice);
            for sentence in said.chain(lists(report)) {
                indented(out, &sentence, 2)?;
            }
            return Ok(());
        }
        writeln!(out, "  Nothing has been written yet.")?;
        for sentence in sentences(report, plan, self.again.0 == "truncate") {
            indented(out, &sentence, 2)?;
        }
        writeln!(out)?;
        self.files(out, plan)?;
        self.missing(out, plan)?;
        self.next(out, report, plan)
    }

    fn files(&self, out: &mut dyn Write, plan: &Plan) -> Result<()> {
        let acting: Vec<&FilePlan> = plan.files.iter().filter(|f| self.verbose || f.acts()).collect();
        let shown = if self.verbose { acting.len() } else { acting.len().min(FEW) };
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
        table.set_header(["file", "what", "bytes", "then", ""]);
        // Two names, and two numbers that are seldom longer than their heads.
        let most = (width() / 2).saturating_sub(14).clamp(12, 30);
        for f in &acting[..shown] {
            let to =
                f.to.as_deref()
                    .filter(|to| *to != f.name)
                    .map_or(String::new(), |to| format!("as {}", printable(to)));
            let then = if f.to.is_none() { "-".to_owned() } else { f.new_bytes.to_string() };
            let name = middle(&printable(&f.name), most);
            table.add_row([name, f.action().word().to_owned(), f.bytes.to_string(), then, middle(&to, most)]);
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if i == 0 { 2 } else { 1 }, 0));
            if (2..=3).contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        let left = plan.files.len() - shown;
        if left > 0 {
            let more = acting.len() - shown;
            let what =
                if more > 0 { format!("{more} of them change") } else { "they stay as they are".into() };
            writeln!(out, "  {left} more, {what} (-v lists every file)")?;
        }
        Ok(())
    }

    fn missing(&self, out: &mut dyn Write, plan: &Plan) -> Result<()> {
        let shown = if self.verbose { plan.missing.len() } else { plan.missing.len().min(GAPS) };
        for &(first, last) in &plan.missing[..shown] {
            writeln!(
                out,
                "  {}",
                self.paint.hue(Hue::Bad, format!("{} will be stated as missing", span(first, last)))
            )?;
        }
        let left = plan.missing.len() - shown;
        if left > 0 {
            writeln!(out, "  … and {left} more gaps (-v lists all)")?;
        }
        Ok(())
    }

    fn next(&self, out: &mut dyn Write, report: &Report, plan: &Plan) -> Result<()> {
        let (command, options) = self.again;
        let options = if options.is_empty() { String::new() } else { format!(" {options}") };
        if plan.problems() > 0 {
            writeln!(out, "\n  {}", self.paint.strong("First:"))?;
            let replay = format!("walmedic replay {}", quote(&report.place));
            step(out, &replay, "what else can be made of it, each file graded")?;
        }
        // Only a copy can have a catalogue that forgets.
        let unfit = plan.unfit.as_ref();
        let forget = unfit.filter(|unfit| !unfit.forgotten).map_or("", |_| " --drop-wal-tracking");
        let typed = format!("walmedic {command} {}{options}{forget} --apply", quote(&report.place));
        let stdin = report.path == "-";
        // What comes in by standard input may have a name.
        let named = report.files.first().map_or("-", |f| &f.name);
        let unnamed = Path::new(if named == "-" { "log" } else { named });
        let copy = if stdin { beside(unnamed, ".repaired") } else { copy_place(report) };
        writeln!(out, "\n  {}", self.paint.strong("Next:"))?;
        if let Some(copy) = copy {
            let why = "writes a copy and reads it again; the original is not touched";
            step(out, &format!("{typed} --output {}", quote(&copy)), why)?;
            if let Some(sentence) = not_copied(self.strangers) {
                indented(out, &sentence, 8)?;
            }
        }
        // In place no file is added.
        let copied =
            unfit.is_some() || !plan.recatalogued.is_empty() || plan.files.len() > report.files.len();
        if stdin || copied {
            return Ok(());
        }
        let why = "changes the log itself; the originals are kept, and undo restores them";
        step(out, &format!("{typed} --in-place"), why)
    }
}

/// A sentence on what a copy of the log does not have, if there is anything.
pub fn not_copied(strangers: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let names: Vec<String> = strangers.iter().take(SHOWN).map(|name| middle(&printable(name), 30)).collect();
    let dots = if strangers.len() > SHOWN { ", …" } else { "" };
    let others = plural(strangers.len() as u64, "other entry");
    (!names.is_empty()).then(|| {
        format!(
            "Only files of the log are copied, not the {others} in its directory: {}{dots}.",
            names.join(", ")
        )
    })
}

/// What becomes of transactions that are prepared and not ended.
fn prepared(all: &[Prepared]) -> Vec<String> {
    const SHOWN: usize = 8;
    let of = |kept: bool| all.iter().filter(move |prepared| prepared.kept == kept);
    let said = [(true, "Keeps"), (false, "Leaves out")].map(|(kept, what)| {
        let count = of(kept).count();
        let names: Vec<String> = of(kept).take(SHOWN).map(|p| middle(&printable(&p.name), 30)).collect();
        let dots = if count > SHOWN { ", …" } else { "" };
        let transactions = plural(count as u64, "prepared transaction");
        (count > 0).then(|| {
            let names = names.join(", ");
            format!("{what} {transactions}, neither committed nor rolled back: {names}{dots}.")
        })
    });
    said.into_iter().flatten().collect()
}

/// What is wrong with files that are left as they are.
fn lists(report: &Report) -> Option<String> {
    let (names, _) = report.hurt_lists();
    let how = match report.format.recatalogues() {
        true => "only with --rebuild-manifest it is written anew, on a copy",
        false => "only logs are written",
    };
    let names = names.join(", ");
    (!names.is_empty()).then(|| {
        format!("What is wrong with {names} stays: that says which files belong together, and {how}.")
    })
}

/// Logs that the engine's catalogue will not fit.
fn unfit(unfit: &Unfit) -> String {
    const SHOWN: usize = 4;
    let files: Vec<String> = unfit
        .files
        .iter()
        .take(SHOWN)
        .map(|(name, tracked, bytes)| match bytes {
            Some(bytes) => format!("{name} will have {bytes} bytes and was synced at {tracked}"),
            None => format!("{name} was synced at {tracked} bytes and will not be there"),
        })
        .collect();
    let dots = if unfit.files.len() > SHOWN { ", …" } else { "" };
    let (files, how) = (files.join(", "), unfit.how);
    if unfit.forgotten {
        return format!("The copy's MANIFEST forgets the sizes of logs: {files}{dots}.");
    }
    format!("The MANIFEST tracks the sizes of logs, and {files}{dots}: {how}.")
}

fn sentences(report: &Report, plan: &Plan, cut: bool) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(first) = plan.grade.as_ref().and_then(|grade| grade.first.first()) {
        let problems = plural(plan.problems(), "problem");
        said.push(format!("The database that it leads to is not sound: {problems}, the first: {first}."));
    }
    said.extend(kept(report, plan));
    said.extend(dropped(report, plan, cut));
    if plan.damaged > 0 {
        said.push(format!("Leaves out {} of damage.", size(plan.damaged)));
    }
    if plan.renumbered {
        said.push(RENUMBERED.into());
    }
    if plan.falls_back {
        said.push(FALLS_BACK.into());
    }
    said.extend(prepared(&plan.prepared));
    said.extend(plan.unfit.as_ref().map(unfit));
    match plan.recatalogued.is_empty() {
        true => said.extend(lists(report)),
        false => said.extend_from_slice(&plan.recatalogued),
    }
    if report.alone() {
        said.push("The database was not given, so nothing is said of what the two lead to.".into());
    }
    said.extend(before_and_after(report, plan));
    said
}

/// What the copy holds.
fn kept(report: &Report, plan: &Plan) -> Vec<String> {
    let record = report.format.profile().record;
    let Some(rebuilt) = &plan.rebuilt else {
        let kept = format!("Keeps {}, {} of them writes", plural(plan.kept.records, record), plan.kept.data);
        let fields = match plan.patched {
            0 => String::new(),
            n => format!(", and puts {} right", plural(n, "field")),
        };
        return vec![format!("{kept}{fields}.")];
    };
    let (keys, anew) = (plural(rebuilt.entries, "key"), report.format.anew().is_some());
    let mut said = vec![match anew {
        _ if report.format.profile().paged() => {
            let count = plural(rebuilt.entries, "page");
            format!("The database is written as the log has it: {count}. The log is emptied.")
        }
        true => format!("The tree is built anew from all that can be had: {keys}. Its log is emptied."),
        false => format!(
            "No choice among the records leaves what the engine holds, so that is written anew: {keys}, one record each."
        ),
    }];
    if rebuilt.left_out > 0 {
        let why = if anew { "do not count" } else { "the engine would not see" };
        said.push(format!("Leaves out {} that {why}.", plural(rebuilt.left_out, record)));
    }
    if rebuilt.unfit > 0 {
        let pairs = plural(rebuilt.unfit, "pair");
        said.push(format!("Leaves out {pairs} too large for a page: replay --policy committed has them."));
    }
    said
}

/// What is intact and yet not in the copy. `cut`: it is cut off.
fn dropped(report: &Report, plan: &Plan, cut: bool) -> Option<String> {
    let record = report.format.profile().record;
    let keys = plan.keys.map_or("more keys than are counted".into(), |n| plural(n, "key"));
    let (records, writes) = (plural(plan.dropped.records, record), plural(plan.dropped.data, "write"));
    let transactions = match plan.dropped.commits {
        0 => String::new(),
        n => format!(", {}", plural(n, "committed transaction")),
    };
    let what = match (cut, plan.dropped.records) {
        (_, 0) => return None,
        (true, _) => format!("Cuts off {records}"),
        (false, 1) => format!("Leaves out {records} that is intact but does not count"),
        (false, _) => format!("Leaves out {records} that are intact but do not count"),
    };
    Some(format!("{what}: {writes}{transactions}; the last write of {keys}."))
}

/// What the engine makes of the log now, and of the copy.
fn before_and_after(report: &Report, plan: &Plan) -> Option<String> {
    let (engine, after) = (&report.forecast.as_ref()?.engine, plan.after?);
    Some(match engine.opens {
        true => {
            let now = plural(engine.records, "write");
            format!("The engine would keep {now} as the log is now, and {after} afterwards.")
        }
        false if engine.unknown => format!(
            "What the engine would do with the log as it is now is not known; afterwards it would keep {}.",
            plural(after, "write")
        ),
        false => format!("The engine would not even open as the log is now, and {after} afterwards."),
    })
}
