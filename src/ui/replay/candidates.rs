//! The files that can be made of a damaged log of pages, side by side, and the best of them.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::Teller;
use crate::findings::plural;
use crate::replay::Policy;
use crate::replay::candidates::Candidate;
use crate::ui::page::{indented, taken as columns, width};
use crate::ui::paint::Hue;
use crate::ui::shell::quote;

/// One of them as data.
#[derive(Serialize)]
pub(super) struct CandidateDoc {
    name: String,
    records_applied: u64,
    problems: u64,
    first_problems: Vec<String>,
    rows: u64,
    image_sha256: Option<String>,
    engine_says: Option<String>,
    best: bool,
}

/// What is to be typed for it.
fn name(candidate: &Candidate) -> String {
    let words = if candidate.words { " --repair-words" } else { "" };
    format!("{}{words}", candidate.policy.word())
}

impl Teller<'_> {
    pub(super) fn candidate_docs(&self) -> Vec<CandidateDoc> {
        let doc = |c: &Candidate| CandidateDoc {
            name: name(c),
            records_applied: c.records,
            problems: c.grade.problems,
            first_problems: c.grade.first.clone(),
            rows: c.grade.rows,
            image_sha256: c.sha256.clone(),
            engine_says: c.judged.clone(),
            best: c.best,
        };
        self.candidates.iter().map(doc).collect()
    }

    /// The table, and why the best is the best.
    pub(super) fn candidates(&self, out: &mut dyn Write) -> Result<()> {
        if self.candidates.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  {}", self.paint.strong("What can be made of it:"))?;
        for c in &self.candidates {
            let mark = if c.best { self.paint.hue(Hue::Good, "best") } else { "    ".into() };
            let sound = match c.grade.problems {
                0 => "sound in structure".to_owned(),
                n => plural(n, "problem"),
            };
            let painted = if c.grade.problems > 0 { self.paint.hue(Hue::Bad, &sound) } else { sound.clone() };
            let (taken, rows) = (self.record(c.records), plural(c.grade.rows, "row"));
            let line = format!("  {mark} {:<25} {taken}, {rows},", name(c));
            let fits = columns(line.as_bytes()) + 1 + sound.chars().count() <= width();
            let gap = if fits { " ".to_owned() } else { format!("\n{:12}", "") };
            writeln!(out, "{line}{gap}{painted}")?;
            for problem in c.grade.first.iter().take(if self.verbose { usize::MAX } else { 1 }) {
                indented(out, problem, 12)?;
            }
            if let Some(says) = &c.judged {
                indented(out, &format!("the engine's own check: {says}"), 12)?;
            }
        }
        Ok(())
    }

    /// How the best one is made, where it is not the one on the screen.
    pub(super) fn better(&self, policy: Policy) -> Option<(String, &'static str)> {
        let best = self.candidates.iter().find(|c| c.best)?;
        let same = best.policy == policy && best.words == self.log.words().next().is_some();
        let words = if best.words { " --repair-words" } else { "" };
        let log = quote(&self.report.place);
        (!same).then(|| {
            (
                format!(
                    "walmedic replay {log}{}{words} --policy {} --into recovered.db",
                    self.options,
                    best.policy.word()
                ),
                "the best of what can be made: of those with the fewest problems, the one with the most records",
            )
        })
    }
}
