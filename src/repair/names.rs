//! The names that the files of a log get.

use crate::analysis::{OpenLog, Report};
use crate::repair::edits::Rule;
use crate::replay::walk::written_order;

/// By file: those under which the engine reads them in the order in which they were written; as they are where nothing is mended.
pub fn of(log: &OpenLog, report: &Report, rule: &Rule) -> Vec<String> {
    let names: Vec<&str> = report.files.iter().map(|f| &*f.name).collect();
    if rule.verbatim {
        return names.into_iter().map(str::to_owned).collect();
    }
    let mut names = log.format().names(&names);
    let order = written_order(report);
    if log.format().renames() && !order.is_sorted() {
        let (mut places, old) = (order.clone(), names.clone());
        places.sort_unstable();
        for (file, place) in order.into_iter().zip(places) {
            names[file].clone_from(&old[place]);
        }
    }
    names
}
