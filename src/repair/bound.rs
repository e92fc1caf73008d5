//! A plan as a document: what `--format json` prints, and what `--plan` compares with the plan that would be made now.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::analysis::Report;
use crate::refused::Refused;
use crate::repair::plan::Plan;

/// What is to be done, in the user's words.
pub struct Deed {
    /// `repair` or `truncate`.
    pub command: &'static str,
    /// Its options, as data.
    pub options: Value,
    /// The same as they are typed.
    pub typed: String,
}

/// The document.
pub fn document(report: &Report, plan: &Plan, deed: &Deed) -> Value {
    let mut doc = json!({
        "schema": "walmedic.plan/1", "command": deed.command, "options": deed.options, "path": report.path,
        "format": report.format.profile().name, "revision": report.revision, "changes": plan.acts(),
        "engine": {
            "before": report.forecast.as_ref().map(|f| json!({ "opens": f.engine.opens, "records": f.engine.records })),
            "after": plan.after.map(|records| json!({ "opens": true, "records": records })),
        },
    });
    if let (Value::Object(doc), Value::Object(rest)) = (&mut doc, plan.json()) {
        doc.extend(rest);
    }
    doc
}

/// Compares a plan in a file with the one that would be made now.
///
/// # Errors
/// [`Refused`] with the first difference; when the file cannot be read.
pub fn compare(file: &Path, report: &Report, plan: &Plan, deed: &Deed) -> Result<()> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("{name}: cannot read"))?;
    let made: Value = serde_json::from_str(&text).with_context(|| format!("{name}: is no plan"))?;
    let now = document(report, plan, deed);
    let refuse = |why: String| Err(Refused(format!("{name}: the plan does not fit any more: {why}")).into());
    let files = |doc: &Value| doc["files"].as_array().cloned().unwrap_or_default();
    let (then, today) = (files(&made), files(&now));
    if then.len() != today.len() {
        return refuse(format!("it is about {} files, the log has {}", then.len(), today.len()));
    }
    for (a, b) in then.iter().zip(&today) {
        if a["path"] != b["path"] || a["bytes"] != b["bytes"] || a["sha256"] != b["sha256"] {
            return refuse(format!("{} is not what it was", b["path"].as_str().unwrap_or_default()));
        }
    }
    let differs = |key: &&str| made[*key] != now[*key];
    match ["schema", "command", "options", "format", "revision", "files"].iter().find(|key| differs(key)) {
        Some(key) => refuse(format!("its {key} would be another now")),
        None => Ok(()),
    }
}
