//! The files that say which files belong together, written anew on a copy: without what the new logs will not fit, or from what
//! is left of them.

use anyhow::{Context, Result};

use crate::analysis::{OpenLog, Report};
use crate::format::{Recatalogue, Recatalogued};
use crate::log::survey::Survey;
use crate::refused::Refused;
use crate::repair::edits::Rule;
use crate::repair::plan::{FilePlan, Plan};

/// What the rule says of them; nothing, where it says nothing.
///
/// # Errors
/// [`Refused`] where they cannot be written anew, or it is in doubt what belongs to the store.
pub fn made(log: &OpenLog, report: &Report, rule: &Rule) -> Result<Recatalogued> {
    if !rule.untracked && !rule.recatalogued {
        return Ok(Recatalogued::default());
    }
    let surveys: Vec<&Survey> = report.files.iter().map(|file| &file.survey).collect();
    let beside = log.belongings().with_context(|| format!("{}: cannot list", log.log.place.display()))?;
    let wish = Recatalogue {
        untracked: rule.untracked,
        rebuilt: rule.recatalogued,
        force: rule.force,
        beside: &beside,
        open: &log.opener(),
    };
    let made = log.format().recatalogue(&log.files(), &surveys, &wish);
    Ok(made.map_err(|why| Refused(format!("{}: its catalogue: {why}", report.path)))?)
}

/// Adds them to the plan.
pub fn settle(log: &OpenLog, report: &Report, rule: &Rule, made: Recatalogued, plan: &mut Plan) {
    if !rule.recatalogued && log.format().recatalogues() && !report.hurt_lists().0.is_empty() {
        // As it is, it stands in the way of any log.
        plan.after = None;
    }
    for (name, contents) in made.files {
        let planned = plan.files.iter().position(|file| file.name == name);
        let file = planned.unwrap_or_else(|| {
            plan.files.push(FilePlan { name: name.clone(), to: Some(name), ..FilePlan::default() });
            plan.files.len() - 1
        });
        let file = &mut plan.files[file];
        (file.changed, file.prefix, file.new_bytes) = (true, None, contents.len() as u64);
        file.contents = Some(contents);
    }
    plan.recatalogued = made.said;
}
