//! A plan as a document: what `--format json` prints, and what `--plan` compares with the plan that would be made now.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::analysis::{Forecast, Report};
use crate::codec::hex;
use crate::refused::Refused;
use crate::repair::plan::{Listed, Plan, Tally};
use crate::repair::prepared::Prepared;

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
            "before": report.forecast.as_ref().map(|Forecast { engine, .. }| {
                json!({ "opens": engine.known(engine.opens), "records": engine.known(engine.records) })
            }),
            "after": plan.after.map(|records| json!({ "opens": true, "records": records })),
        },
    });
    if let (Value::Object(doc), Value::Object(rest)) = (&mut doc, planned(plan)) {
        doc.extend(rest);
    }
    doc
}

/// The plan itplan.
fn planned(plan: &Plan) -> Value {
    let edit = |e: &Listed| {
        let mut v =
            json!({ "what": e.what.word(), "offset": e.span.start, "len": e.span.end - e.span.start });
        if let Some(why) = &e.why {
            v["why"] = why.as_str().into();
        }
        if e.added > 0 {
            v["added"] = e.added.into();
        }
        if !e.bytes.is_empty() {
            v["bytes"] = hex::text(&e.bytes).into();
        }
        v
    };
    let files = plan.files.iter().map(|f| {
        json!({
            "path": f.name, "to": f.to, "action": f.action().word(), "bytes": f.bytes, "new_bytes": f.new_bytes,
            "sha256": f.sha256, "edits": f.edits.iter().map(edit).collect::<Vec<_>>(), "edits_unlisted": f.unlisted,
        })
    });
    let tally = |t: &Tally| json!({ "records": t.records, "data": t.data, "commits": t.commits });
    let rebuilt = plan.rebuilt.as_ref().map(|r| {
        let mut told = json!({ "entries": r.entries, "pairs_too_large": r.unfit });
        for (name, hash) in [("state_sha256", &r.state_sha256), ("image_sha256", &r.image_sha256)] {
            hash.iter().for_each(|hash| told[name] = hash.as_str().into());
        }
        told
    });
    let mut data = json!({
        "files": files.collect::<Vec<_>>(), "kept": tally(&plan.kept), "dropped": tally(&plan.dropped),
        "missing": plan.missing.iter().map(|(a, b)| json!({ "first": a.to_string(), "last": b.to_string() })).collect::<Vec<_>>(),
        "keys_left_out": plan.keys, "damaged_bytes": plan.damaged, "fields_put_right": plan.patched, "gaps_stated": plan.inserted,
    });
    if let Some(rebuilt) = rebuilt {
        data["rebuild"] = rebuilt;
    }
    if let Some(grade) = &plan.grade {
        data["grade"] = json!({ "problems": grade.problems, "first": grade.first, "rows": grade.rows });
    }
    if !plan.prepared.is_empty() {
        data["prepared"] = plan.prepared.iter().map(Prepared::json).collect();
    }
    if let Some(unfit) = &plan.unfit {
        data["tracked"] = unfit.json();
    }
    data
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
