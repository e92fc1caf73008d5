//! Where damage leaves a choice: every file that can be made of a log of pages, each graded by what the format says of its
//! structure, and by a real engine if asked; and which is the best of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::analysis::{OpenLog, Report};
use crate::format::{Grade, Image};
use crate::log::finding::Class;
use crate::replay::image::{self, File};
use crate::replay::{Policy, Wish, replay};

/// A file that can be made.
pub struct Candidate {
    /// By which policy.
    pub policy: Policy,
    /// With damaged words put right.
    pub words: bool,
    /// Records that it takes.
    pub records: u64,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// What is wrong with it.
    pub grade: Grade,
    /// What the real engine says.
    pub judged: Option<String>,
    /// None is better.
    pub best: bool,
}

/// Makes and grades all of them; empty where nothing is damaged, the format grades nothing, or its database
/// was not given.
///
/// # Errors
/// When one cannot be read any more, or the real engine cannot be run.
pub fn all(
    log: &mut OpenLog,
    report: &Report,
    threads: usize,
    judge: Option<&Path>,
) -> Result<Vec<Candidate>> {
    let damaged = report.findings().any(|f| f.class == Class::Corruption);
    if !damaged || !report.format.grades() || report.alone() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for policy in [Policy::Engine, Policy::Committed, Policy::Salvage] {
        found.extend(one(log, report, policy, false, judge)?);
    }
    if log.words().next().is_none() && log.put_words_right(report) > 0 {
        let anew = log.examine(threads);
        found.extend(one(log, &anew, Policy::Committed, true, judge)?);
        log.read_as_it_is();
    }
    let rank = |c: &Candidate| (std::cmp::Reverse(c.grade.problems), c.records);
    // Of equals the first, and of those that make the same file: what needs less to be believed.
    let best = (0..found.len()).rev().max_by_key(|&i| rank(&found[i]));
    let same = |best: usize| {
        found.iter().position(|c| c.sha256.is_some() && c.sha256 == found[best].sha256).unwrap_or(best)
    };
    if let Some(best) = best.map(same) {
        found[best].best = true;
    }
    Ok(found)
}

fn one(
    log: &OpenLog,
    report: &Report,
    policy: Policy,
    words: bool,
    judge: Option<&Path>,
) -> Result<Option<Candidate>> {
    let replayed = replay(log, report, &Wish::new(policy, u64::MAX))?;
    let Some(made) = replayed.image.filter(|_| replayed.opens) else { return Ok(None) };
    let Some(grade) = report.format.grade(&File::new(log, &made)) else { return Ok(None) };
    let judged = judge.map(|judge| ask(log, &made, judge)).transpose()?;
    let sha256 = image::sha256(log, &made)?;
    Ok(Some(Candidate { policy, words, records: replayed.applied, sha256, grade, judged, best: false }))
}

/// What the real engine says of a file: it is given a copy that it may do with what it wants.
fn ask(log: &OpenLog, made: &Image, judge: &Path) -> Result<String> {
    let name = judge.display();
    let dir = tempfile::tempdir().context("no temporary directory for the engine")?;
    let path = dir.path().join("candidate.db");
    let mut file = std::fs::File::create_new(&path)?;
    image::write(log, made, &mut file).context("cannot write a file for the engine")?;
    let output = Command::new(judge).arg(&path).arg("PRAGMA integrity_check;").output();
    let output = output.with_context(|| format!("{name}: cannot be run"))?;
    let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    Ok(String::from_utf8_lossy(said).lines().next().unwrap_or("nothing").to_owned())
}
