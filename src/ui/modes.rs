//! What an engine would make of a log in each of its recovery modes: a line for those that agree.

use crate::analysis::{Forecast, ModeForecast};
use crate::findings::plural;
use crate::format::Outcome;

/// A verdict, and the modes and versions of which it is.
struct Verdict {
    told: String,
    /// Versions by mode.
    of: Vec<(&'static str, Vec<&'static str>)>,
}

/// The verdicts; modes and versions that agree are told together, and apart what each of two ways to open it comes to.
pub fn lines(forecast: &Forecast) -> Vec<String> {
    let ways = forecast.modes.iter().find_map(|row| row.outcome.opening.as_ref());
    let Some(ways) = ways else { return told(forecast, "", |outcome| outcome) };
    let with = |way: &'static str| {
        let suffix = format!(", opened with {way}");
        told(forecast, &suffix, |outcome| match &outcome.opening {
            Some(opening) if opening.other == way => &opening.otherwise,
            _ => outcome,
        })
    };
    [with(ways.by), with(ways.other)].concat()
}

/// Those of one way.
fn told(forecast: &Forecast, way: &str, of: impl Fn(&Outcome) -> &Outcome) -> Vec<String> {
    let all = groups(&forecast.modes);
    let mut verdicts: Vec<Verdict> = Vec::new();
    for row in &forecast.modes {
        let told = verdict(forecast, of(&row.outcome));
        let nth = verdicts.iter().position(|v| v.told == told).unwrap_or_else(|| {
            verdicts.push(Verdict { told, of: Vec::new() });
            verdicts.len() - 1
        });
        let of = &mut verdicts[nth].of;
        match of.iter_mut().find(|(mode, _)| *mode == row.mode) {
            Some((_, engines)) => engines.extend(row.engine),
            None => of.push((row.mode, row.engine.into_iter().collect())),
        }
    }
    verdicts.iter().map(|verdict| format!("{}{way}: {}.", whose(verdict, &all), verdict.told)).collect()
}

/// Modes with their versions, in order.
fn groups(modes: &[ModeForecast]) -> Vec<(&'static str, Vec<&'static str>)> {
    let group = |rows: &[ModeForecast]| rows.iter().filter_map(|row| row.engine).collect();
    modes.chunk_by(|a, b| a.mode == b.mode).map(|rows| (rows[0].mode, group(rows))).collect()
}

/// Of which modes, in words; versions only where another one of the same mode says something else.
fn whose(verdict: &Verdict, all: &[(&'static str, Vec<&'static str>)]) -> String {
    if verdict.of == all {
        return "In every recovery mode".into();
    }
    let same = verdict.of.iter().all(|(_, engines)| *engines == verdict.of[0].1);
    let versions = |engines: &[&str]| engines.join(" and ");
    let whole = |(mode, engines): &(&'static str, Vec<&'static str>)| all.contains(&(*mode, engines.clone()));
    let every = verdict.of.len() == all.len();
    let modes = || in_modes(verdict.of.iter().map(|(mode, _)| (*mode).to_owned()).collect());
    match (same, verdict.of.iter().all(whole)) {
        (_, true) => modes(),
        (true, false) if every => format!("In every mode, version {}", versions(&verdict.of[0].1)),
        (true, false) => format!("{}, version {}", modes(), versions(&verdict.of[0].1)),
        (false, false) => {
            let each = verdict.of.iter().map(|of| match whole(of) {
                true => of.0.to_owned(),
                false => format!("{} ({})", of.0, versions(&of.1)),
            });
            in_modes(each.collect())
        }
    }
}

fn in_modes(mut names: Vec<String>) -> String {
    match (names.pop(), names.join(", ")) {
        (last, names) if names.is_empty() => format!("In mode {}", last.unwrap_or_default()),
        (last, names) => format!("In modes {names} and {}", last.unwrap_or_default()),
    }
}

fn verdict(forecast: &Forecast, outcome: &Outcome) -> String {
    let kept = outcome.records;
    match &outcome.error {
        Some(error) if outcome.hangs => format!("it {error}"),
        Some(error) if outcome.unknown => format!("what it would do is not known ({error})"),
        Some(error) if !outcome.opens => {
            format!("it refuses to open ({})", error.trim_end_matches('.'))
        }
        _ if kept < forecast.intact => {
            let lost = forecast.intact - kept;
            format!("it keeps {kept} of {} and loses {lost}", plural(forecast.intact, "committed write"))
        }
        _ => format!("it keeps {}", plural(kept, "write")),
    }
}
