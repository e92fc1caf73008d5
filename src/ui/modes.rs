//! What an engine would make of a log in each of its recovery modes: a line a mode.

use crate::analysis::{Forecast, ModeForecast};
use crate::findings::plural;

/// One line for each mode; versions that agree are told together.
pub fn lines(forecast: &Forecast) -> Vec<String> {
    let mut lines = Vec::new();
    for rows in forecast.modes.chunk_by(|a, b| a.mode == b.mode) {
        let mut verdicts: Vec<(String, Vec<&str>)> = Vec::new();
        for row in rows {
            let told = verdict(forecast, row);
            match verdicts.iter_mut().find(|(verdict, _)| *verdict == told) {
                Some((_, engines)) => engines.extend(row.engine),
                None => verdicts.push((told, row.engine.into_iter().collect())),
            }
        }
        let one = verdicts.len() == 1;
        let told = verdicts.iter().map(|(verdict, engines)| match one {
            true => format!("it {verdict}"),
            false => format!("in {} it {verdict}", engines.join(" and ")),
        });
        let told = told.collect::<Vec<_>>().join("; ");
        let usual = if rows.iter().any(|row| row.usual) { ", as it is set up" } else { "" };
        lines.push(format!("In mode {}{usual}: {told}.", rows.first().map_or("", |row| row.mode)));
    }
    lines
}

fn verdict(forecast: &Forecast, row: &ModeForecast) -> String {
    let outcome = &row.outcome;
    let kept = outcome.records;
    match &outcome.error {
        Some(error) if outcome.hangs => error.clone(),
        Some(error) if !outcome.opens => format!("refuses to open ({error})"),
        _ if kept < forecast.intact => {
            let lost = forecast.intact - kept;
            format!("keeps {kept} of {}, loses {lost}", plural(forecast.intact, "committed write"))
        }
        _ => format!("keeps {}", plural(kept, "write")),
    }
}
