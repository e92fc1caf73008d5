//! `dump --rows`: the rows of tables that pages hold, each with what has become of it.

use crate::analysis::{OpenLog, Report};
use crate::args::Global;
use crate::cmd::complain;
use crate::cmd::dump::Opts;
use crate::cmd::fates::Fates;
use crate::format::rows::{State, TableRow, Wanted};
use crate::log::finding::Code;
use crate::ui::lines::{Form, Kind, Lines};
use crate::ui::paint::Paint;
use crate::ui::rows::{self, Line};
use anyhow::{Result, bail};

/// Of longer values only so much is shown, unless `--bytes` says how to write them.
const MOST: usize = 4 << 10;

/// A state by its word.
///
/// # Errors
/// When it is none.
pub fn state(text: &str) -> Result<State, String> {
    let words = State::ALL.map(State::word);
    let found = State::ALL.into_iter().find(|state| state.word() == text);
    found.ok_or_else(|| format!("{text} is no state of a row: {}", words.join(", ")))
}

/// Runs it over these logs.
///
/// # Errors
/// When one of them has no tables, or standard output fails.
pub fn run(logs: &[OpenLog], reports: &[Report], opts: &Opts, global: &Global) -> Result<u64> {
    if let Some(log) = logs.iter().find(|log| !log.format().tables()) {
        let profile = log.format().profile();
        bail!("--rows: {} is a {}, whose records are no pages of tables", log.log.path, profile.title);
    }
    let unended = reports.iter().flat_map(|report| report.remarks.iter().map(move |remark| (report, remark)));
    for (report, remark) in unended.filter(|(_, remark)| remark.code == Code::UnfinishedOperation) {
        if !global.quiet {
            complain(&format!(
                "{}: {}; the rows here go by the database as it is",
                report.path, remark.message
            ));
        }
    }
    let kind = Kind { what: "rows", csv: rows::CSV_HEADER, columns: "    offset      seq state       row" };
    let paint = Paint::stdout(global.color);
    let lines = Lines::new(kind, opts.format, paint, opts.limit)?;
    let limit = if global.verbose { usize::MAX } else { 40 };
    let mut printer = Printer { lines, opts, limit, paint, error: None };
    for (log, report) in logs.iter().zip(reports) {
        for file in 0..report.files.len() {
            if opts.file.as_ref().is_none_or(|name| **name == *report.files[file].name) {
                of_file(log, report, file, &mut printer);
            }
            if let Some(error) = printer.error.take() {
                return Err(error);
            }
        }
    }
    printer.lines.end()
}

fn of_file(log: &OpenLog, report: &Report, file: usize, printer: &mut Printer<'_>) {
    let opts = printer.opts;
    let most = if opts.bytes.is_some() { usize::MAX } else { MOST };
    let wanted = Wanted { table: opts.table.as_deref(), page: opts.page, most };
    let mut fates = Fates::new(report, file);
    log.format().rows(&log.files(), file, &wanted, &mut |row| {
        if printer.wants(row) {
            let of_record = row.record.map(|record| fates.of(record));
            let name = &report.files[file].name;
            let line = Line {
                file: name,
                row,
                status: of_record.map(|(status, _)| status),
                fate: of_record.map(|(_, fate)| fate),
            };
            printer.error = printer.print(&line).err();
        }
        !printer.full()
    });
}

struct Printer<'o> {
    lines: Lines,
    opts: &'o Opts,
    limit: usize,
    paint: Paint,
    error: Option<anyhow::Error>,
}

impl Printer<'_> {
    fn full(&self) -> bool {
        self.error.is_some() || self.lines.full()
    }

    fn wants(&self, row: &TableRow<'_>) -> bool {
        let o = self.opts;
        let seq = row.record.map(|record| record.seq);
        o.seq.is_none_or(|(a, b)| seq.is_some_and(|seq| (a..=b).contains(&seq)))
            && o.at.is_none_or(|at| (row.at..row.at + row.len).contains(&at))
            && (o.state.is_empty() || row.state.is_some_and(|state| o.state.contains(&state)))
            && !self.full()
    }

    fn print(&mut self, line: &Line<'_>) -> Result<()> {
        let (notation, limit, paint) = (self.opts.bytes.unwrap_or_default(), self.limit, self.paint);
        self.lines.print(line.file, |out, form| match form {
            Form::Json => rows::ndjson(out, line, notation),
            Form::Csv => rows::csv(out, line, notation),
            Form::Text => rows::text(out, line, notation, limit, paint),
        })
    }
}
