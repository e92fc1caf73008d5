//! The JSON documents of the contract. Written as a stream: a damaged gigabyte has more findings than memory for them.

use std::io::Write;

use anyhow::Result;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::analysis::{FileReport, Forecast, ModeForecast, Report};
use crate::findings::Finding;
use crate::format::{Generation, Opening};
use crate::log::conclude::Place;
use crate::log::fault::Cause;
use crate::log::finding::{Class, Code};
use crate::log::numbering::Numbering;
use crate::log::region::{Kind, Region};
use crate::log::survey::BatchState;
use crate::ui::generations::{self, Cost};

/// A sequence that is made while it is written.
struct Seq<F>(F);

impl<F, I> Serialize for Seq<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq((self.0)())
    }
}

/// A number that may pass 2^53.
pub fn number(n: u64) -> String {
    n.to_string()
}

fn place(report: &Report, p: Place) -> serde_json::Value {
    json!({ "file": &*report.files[p.file].name, "offset": p.at })
}

/// The value of a field that was put right: sequence numbers as strings, times in seconds, lengths as numbers.
fn fixed(field: &str, value: u64) -> serde_json::Value {
    match field {
        "seq" => json!(number(value)),
        "timestamp" => json!(f64::from_bits(value)),
        _ => json!(value),
    }
}

/// A region as in `verify`.
fn region(r: &Region) -> serde_json::Value {
    let mut v = json!({ "offset": r.at, "len": r.len, "kind": r.kind.word() });
    if r.records > 0 {
        v["records"] = json!(r.records);
        v["trust"] = json!(r.trust.to_string());
    }
    if let Some(cause) = r.cause {
        v["cause"] = json!(cause.word());
        v["code"] = json!(Code::of_region(r.kind, cause).text());
        if let Cause::Checksum { stored, computed } = cause {
            v["stored"] = json!(format!("{stored:08x}"));
            v["computed"] = json!(format!("{computed:08x}"));
        }
    }
    if let Some(fix) = r.fix {
        v["field"] = json!(fix.field);
        v["found"] = fixed(fix.field, fix.found);
        v["inferred"] = fix.known().map_or(serde_json::Value::Null, |n| fixed(fix.field, n));
    }
    v
}

#[derive(Serialize)]
struct FileDoc<'a, R: Serialize> {
    path: &'a str,
    role: &'static str,
    bytes: u64,
    records: serde_json::Value,
    first_bad_offset: Option<u64>,
    end: &'static str,
    seq: Option<serde_json::Value>,
    error: Option<&'a str>,
    regions: R,
}

fn file<'a>(f: &'a FileReport) -> FileDoc<'a, impl Serialize + 'a> {
    let (before, after, recovered) = f.survey.counts();
    // Entries of an operation are counted from 1 on: no number of the log's own, but the one that `dump` gives them.
    let numbered = matches!(f.survey.rules.numbering, Numbering::Contiguous { .. });
    let sound =
        |at: u64| f.survey.regions.find(at).is_some_and(|r| matches!(r.kind, Kind::Records | Kind::Mixed));
    let runs = f.survey.runs.iter().filter(|r| r.records > 0 && sound(r.at));
    let seq = runs.map(|r| (r.first, r.next.saturating_sub(1))).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    FileDoc {
        path: &f.name,
        role: f.role.word(),
        bytes: f.bytes,
        records: json!({ "intact": before + after, "before_damage": before, "after_damage": after, "recovered": recovered }),
        first_bad_offset: f.first_bad(),
        end: f.end(),
        seq: seq
            .filter(|(a, b)| numbered && a <= b)
            .map(|(a, b)| json!({ "first": number(a), "last": number(b) })),
        error: f.failure.as_deref(),
        regions: Seq(move || f.survey.regions.as_slice().iter().map(region)),
    }
}

/// A gap as in `verify` and `gaps`.
pub fn gap(report: &Report, g: &crate::log::conclude::Gap) -> serde_json::Value {
    json!({
        "first_missing": number(g.first), "last_missing": number(g.last),
        "after": g.after.map(|after| place(report, after)), "before": place(report, g.before),
        "cause": g.cause.word(), "recovered": g.recovered,
    })
}

/// A repeated range as in `gaps`.
pub fn repeat(report: &Report, r: &crate::log::conclude::Repeat) -> serde_json::Value {
    json!({
        "first": number(r.first), "last": number(r.last), "file": &*report.files[r.place.file].name,
        "offset": r.place.at, "len": r.len, "kind": r.kind.word(),
    })
}

/// A finding; `class` may have become a note by `--allow`.
pub fn finding(report: &Report, f: &Finding, class: Class) -> serde_json::Value {
    json!({
        "code": f.code.text(), "class": class.word(), "title": f.code.title(),
        "file": f.file.map(|i| &*report.files[i].name), "offset": f.file.map(|_| f.at), "len": f.file.map(|_| f.len),
        "message": f.message,
    })
}

#[derive(Serialize)]
struct LogDoc<'a, F: Serialize, O: Serialize, G: Serialize, N: Serialize> {
    path: &'a str,
    format: &'static str,
    revision: Option<&'static str>,
    revision_by: &'a str,
    recognised_by: &'a str,
    files: F,
    gaps: G,
    orphans: O,
    findings: N,
    forecast: Option<serde_json::Value>,
}

/// One log of a `verify` document.
pub fn log<'a>(report: &'a Report, class: &'a dyn Fn(&Finding) -> Class) -> impl Serialize + 'a {
    let forecast = report.forecast.as_ref().map(|f| {
        let (transactions, keys) = (f.transactions, f.keys);
        let mut told = json!({
            "engine": {
                "opens": f.engine.known(f.engine.opens), "records": f.engine.known(f.engine.records),
                "error": f.engine.error, "transactions": transactions.map(|t| t.engine), "keys": keys.map(|k| k.engine),
            },
            "intact": {
                "records": f.intact, "transactions": transactions.map(|t| t.intact), "keys": keys.map(|k| k.intact),
            },
            "at_stake": {
                "records": f.engine.known(f.at_stake()), "transactions": transactions.map(|t| t.at_stake),
                "keys": keys.map(|k| k.at_stake),
            },
        });
        if let Some(rows) = f.rows {
            told["engine"]["rows"] = rows.engine.into();
            told["intact"]["rows"] = rows.intact.into();
            told["at_stake"]["rows"] = rows.at_stake.into();
        }
        if report.alone() {
            told["database"] = "not given".into();
        }
        if !f.modes.is_empty() {
            told["modes"] = f.modes.iter().map(|mode| mode_forecast(f, mode)).collect();
        }
        told
    });
    LogDoc {
        path: &report.path,
        format: report.format.profile().name,
        revision: report.revision,
        revision_by: &report.revision_reason,
        recognised_by: &report.recognised_by,
        files: Seq(|| report.files.iter().map(file)),
        gaps: Seq(|| report.conclusions.gaps.iter().map(|g| gap(report, g))),
        orphans: Seq(|| {
            let orphans =
                report.conclusions.batches.iter().filter(|u| matches!(u.batch.state, BatchState::Orphan(_)));
            orphans.map(|u| {
                json!({
                    "file": &*report.files[u.file].name, "offset": u.batch.at, "len": u.batch.end - u.batch.at,
                    "first_seq": number(u.batch.first), "last_seq": number(u.batch.last),
                    "records": u.batch.records, "reason": u.why,
                })
            })
        }),
        findings: Seq(move || report.findings().map(move |f| finding(report, &f, class(&f)))),
        forecast,
    }
}

/// What the engine makes of a log in one of its modes.
fn mode_forecast(forecast: &Forecast, mode: &ModeForecast) -> serde_json::Value {
    let ModeForecast { mode: name, engine, usual, outcome } = mode;
    let records = if outcome.opens { outcome.records } else { 0 };
    let lost = (!outcome.hangs && !outcome.unknown).then(|| forecast.intact.saturating_sub(records));
    let mut told = json!({
        "mode": name, "engine": engine, "default": usual, "opens": outcome.known(outcome.opens),
        "hangs": outcome.hangs, "error": outcome.error, "records": outcome.known(records), "at_stake": lost,
    });
    if let Some(Opening { by, other, otherwise }) = &outcome.opening {
        told["opened_with"] = (*by).into();
        told["otherwise"] = json!({
            "opened_with": other, "opens": otherwise.known(otherwise.opens), "hangs": otherwise.hangs,
            "error": otherwise.error, "records": otherwise.known(if otherwise.opens { otherwise.records } else { 0 }),
        });
    }
    told
}

/// Writes `value` in one line.
///
/// # Errors
/// When standard output fails.
pub fn line(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Writes the `verify` document.
///
/// # Errors
/// When standard output fails.
pub fn verify(
    out: &mut dyn Write,
    status: &str,
    reports: &[Report],
    class: &dyn Fn(&Finding) -> Class,
) -> Result<()> {
    #[derive(Serialize)]
    struct Doc<'a, L: Serialize> {
        schema: &'static str,
        status: &'a str,
        logs: L,
    }
    let doc =
        Doc { schema: "walmedic.verify/1", status, logs: Seq(|| reports.iter().map(|r| log(r, class))) };
    line(out, &doc)
}

/// One log of an ndjson `summary`.
pub fn summary(report: &Report) -> serde_json::Value {
    let (mut before, mut after, mut recovered, mut bytes) = (0, 0, 0, 0);
    for f in report.files.iter().filter(|f| f.role.counts()) {
        let counts = f.survey.counts();
        (before, after, recovered, bytes) =
            (before + counts.0, after + counts.1, recovered + counts.2, bytes + f.bytes);
    }
    json!({
        "path": report.path, "format": report.format.profile().name, "revision": report.revision,
        "files": report.files.len(), "bytes": bytes, "intact": before + after, "recovered": recovered,
        "at_stake": report.forecast.as_ref().and_then(|f| f.engine.known(f.at_stake())),
    })
}

/// One log of a `gaps` document.
pub fn gaps(report: &Report, generations: &[Generation]) -> serde_json::Value {
    let c = &report.conclusions;
    let seq = c.reach().filter(|_| report.format.profile().numbered);
    json!({
        "path": report.path, "format": report.format.profile().name, "numbered": report.format.profile().numbered,
        "seq": seq.map(|(a, b)| json!({ "first": number(a), "last": number(b) })),
        "gaps": c.gaps.iter().map(|g| costly(report, g)).collect::<Vec<_>>(),
        "repeats": c.repeats.iter().map(|r| repeat(report, r)).collect::<Vec<_>>(),
        "generations": generations.iter().map(|g| generations::row(report, g)).collect::<Vec<_>>(),
    })
}

/// A gap as in `gaps`, with what it cost transactions.
fn costly(report: &Report, g: &crate::log::conclude::Gap) -> serde_json::Value {
    let mut row = gap(report, g);
    row["transactions"] = Cost::of(report, g).map(|cost| cost.row()).into();
    row
}

/// Gaps, repeats and older generations as rows of their own.
pub fn gap_rows<'r>(
    report: &'r Report,
    older: &'r [Generation],
) -> impl Iterator<Item = (&'static str, serde_json::Value)> + 'r {
    let c = &report.conclusions;
    let gaps = c.gaps.iter().map(move |g| ("gap", costly(report, g)));
    let repeats = c.repeats.iter().map(move |r| ("repeat", repeat(report, r)));
    let older = older.iter().map(move |g| ("generation", generations::row(report, g)));
    gaps.chain(repeats).chain(older)
}
