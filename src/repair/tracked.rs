//! Logs whose sizes the engine's catalogue tracks: a shorter one is taken for damaged, however sound it is, unless the catalogue
//! is told to forget it.

use serde_json::{Value, json};

use crate::analysis::OpenLog;
use crate::repair::edits::Rule;
use crate::repair::plan::Plan;

/// What the engine will not take the new log for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Name, bytes that the catalogue asks for, bytes that there will be; `None`: it will not be there.
    pub files: Vec<(String, u64, Option<u64>)>,
    /// What the engine does then, and what helps.
    pub how: &'static str,
    /// The copy's catalogue forgets them.
    pub forgotten: bool,
}

impl Unfit {
    /// As data.
    pub fn json(&self) -> Value {
        let files = self.files.iter();
        let files: Vec<Value> = files
            .map(|(name, tracked, bytes)| json!({ "path": name, "tracked_bytes": tracked, "new_bytes": bytes }))
            .collect();
        json!({ "files": files, "forgotten": self.forgotten })
    }
}

/// Notes what will not fit the catalogue.
pub fn settle(log: &OpenLog, rule: &Rule, plan: &mut Plan) {
    let Some(tracked) = log.format().tracked(&log.files()) else { return };
    let named = |name: &str| plan.files.iter().find(|file| file.name == *name && file.to.is_some());
    let unfit: Vec<_> = tracked
        .sizes
        .into_iter()
        .map(|(name, size)| {
            let bytes = named(&name).map(|file| file.new_bytes);
            (name, size, bytes)
        })
        .filter(|(_, size, bytes)| bytes.is_none_or(|bytes| bytes < *size))
        .collect();
    if !unfit.is_empty() {
        // As it is, the engine would keep nothing.
        plan.after = plan.after.filter(|_| rule.untracked);
        plan.unfit = Some(Unfit { files: unfit, how: tracked.how, forgotten: rule.untracked });
    }
}
