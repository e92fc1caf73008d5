//! The commands worth running next, for a log of which not all is well, and the names of what they make.

use std::path::{Path, PathBuf};

use crate::analysis::Report;
use crate::log::finding::Class;
use crate::ui::shell::quote;
use crate::ui::text::Tally;

/// One command, with a word on why.
pub type Step = (String, String);

/// What something beside the log is to be called.
pub fn beside(place: &Path, suffix: &str) -> Option<PathBuf> {
    // `..` has no name to call it after, and neither has `.`.
    let plain = place.components().as_path();
    let named = if plain.file_name().is_some() { plain.to_owned() } else { place.canonicalize().ok()? };
    let mut name = named.file_name()?.to_owned();
    name.push(suffix);
    Some(named.with_file_name(name))
}

/// Where a repaired copy of the log is to go: beside it. Several files of a directory that holds others go beside that, each log
/// under a name of its own: a repair in place could not swap a directory with the copy in it any more.
pub fn copy_place(report: &Report) -> Option<PathBuf> {
    let place = &report.place;
    if report.files.len() < 2 || place.is_dir() {
        return beside(place, ".repaired");
    }
    let dir = place.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?;
    beside(dir, &format!(".{}.repaired", place.file_name()?.to_string_lossy()))
}

/// The commands worth running now, in order.
pub(super) fn next_steps(report: &Report, tally: &Tally) -> Vec<Step> {
    if tally.worst.is_none() && !tally.incomplete {
        return Vec::new();
    }
    let wanted = Wanted::of(report, tally);
    let mut steps = Vec::new();
    steps.extend(wanted.evidence());
    steps.extend(wanted.look(tally));
    steps.extend(wanted.grades());
    let state = wanted.state();
    let only = state.is_some() && !wanted.rebuilt;
    steps.extend(state);
    if only {
        return steps;
    }
    steps.extend(wanted.repair());
    if !report.conclusions.gaps.is_empty() {
        steps.push((format!("walmedic gaps {}", quote(&report.place)), "what is missing, and why".into()));
    }
    steps
}

/// What the commands depend on.
struct Wanted<'a> {
    report: &'a Report,
    stdin: bool,
    /// The option that says by which revision to read, where the user named one.
    revision: String,
    damaged: bool,
    /// Damaged lists of files that belong together.
    lists: Vec<&'a str>,
    /// Nothing but those is damaged.
    alone: bool,
    /// The lists can be written anew.
    rebuilt: bool,
}

impl<'a> Wanted<'a> {
    fn of(report: &'a Report, tally: &Tally) -> Wanted<'a> {
        let revision = report.revision.filter(|_| report.revision_named);
        let (lists, alone) = report.hurt_lists();
        Wanted {
            report,
            stdin: report.path == "-",
            revision: revision.map_or(String::new(), |r| format!(" --revision {r}")),
            damaged: tally.codes.keys().any(|code| code.class() == Class::Corruption),
            rebuilt: report.format.recatalogues() && !lists.is_empty(),
            lists,
            alone,
        }
    }

    fn evidence(&self) -> Option<Step> {
        let copy = beside(&self.report.place, ".evidence").filter(|_| !self.stdin)?;
        let stake = self.report.forecast.as_ref().is_some_and(|f| f.at_stake() > 0);
        let command = format!("cp -a {} {}", quote(&self.report.place), quote(&copy));
        stake.then(|| (command, "keep the evidence before any engine opens it".into()))
    }

    /// A look at the first damage or, without any, what the finding means.
    fn look(&self, tally: &Tally) -> Option<Step> {
        let report = self.report;
        let damage = |class| matches!(class, Class::Corruption | Class::TornTail | Class::Foreign);
        let damages = tally.codes.iter().filter(|(code, _)| damage(code.class()));
        let Some((code, (_, Some((file, at))))) = damages.min_by_key(|(_, (_, place))| *place) else {
            let code = tally.codes.keys().next()?;
            let command = format!("walmedic explain {}", code.text());
            return Some((command, format!("what this means: {}", code.title())));
        };
        let file = &report.files[*file];
        let path = match &file.odd {
            Some(path) => path.to_path_buf(),
            None if report.place.is_dir() => report.place.join(&*file.name),
            None => report.place.clone(),
        };
        Some((
            format!("walmedic dump {}{} --at {at} --hex", quote(&path), self.revision),
            format!("the first damaged bytes, field by field; then: walmedic explain {}", code.text()),
        ))
    }

    fn grades(&self) -> Option<Step> {
        let command = format!("walmedic replay {}{}", quote(&self.report.place), self.revision);
        let graded = self.report.format.grades() && self.damaged && !self.stdin;
        graded.then(|| (command, "what can be made of it, each file graded, and the best one".into()))
    }

    /// The state in a file, where nothing but lists is damaged.
    fn state(&self) -> Option<Step> {
        let state = beside(&self.report.place, ".ndjson").filter(|_| self.alone && !self.lists.is_empty())?;
        let but = match self.rebuilt {
            true => String::new(),
            false => format!("; repair writes logs, and not {}", self.lists.join(", ")),
        };
        Some((
            format!("walmedic replay {} --into {}", quote(&self.report.place), quote(&state)),
            format!("what the store holds, in a file{but}"),
        ))
    }

    fn repair(&self) -> Option<Step> {
        let report = self.report;
        let mends = !self.stdin && report.format.mends() && report.foreign().is_none();
        let copy = copy_place(report).filter(|_| mends)?;
        let sound = if report.format.grades() && self.damaged { "a copy" } else { "a sound copy" };
        Some((
            format!(
                "walmedic repair {}{}{}{} --apply --output {}",
                quote(&report.place),
                self.revision,
                if self.rebuilt { " --rebuild-manifest" } else { "" },
                if report.tracks { " --drop-wal-tracking" } else { "" },
                quote(&copy)
            ),
            format!("{sound} of what is intact and committed (without --apply: a plan)"),
        ))
    }
}
