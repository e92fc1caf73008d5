//! `dump --rows`: the rows of tables that pages hold, each with what has become of it.

use std::io::Write;

use crate::analysis::{OpenLog, Report};
use crate::args::{Format, Global};
use crate::cmd::dump::{Fates, Opts, close, open};
use crate::format::rows::{State, TableRow, Wanted};
use crate::ui::bytes::printable;
use crate::ui::out::Out;
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
    let mut printer = Printer {
        out: Out::default(),
        line: Vec::new(),
        opts,
        limit: if global.verbose { usize::MAX } else { 40 },
        paint: Paint::stdout(global.color),
        file: None,
        printed: 0,
        error: None,
    };
    open(&mut printer.out, opts.format, "rows", rows::CSV_HEADER)?;
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
    close(&mut printer.out, opts.format, "rows", printer.printed)?;
    Ok(printer.printed)
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
    out: Out,
    line: Vec<u8>,
    opts: &'o Opts,
    limit: usize,
    paint: Paint,
    file: Option<String>,
    printed: u64,
    error: Option<anyhow::Error>,
}

impl Printer<'_> {
    fn full(&self) -> bool {
        self.error.is_some()
            || self.out.closed()
            || self.opts.limit.is_some_and(|limit| self.printed >= limit)
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
        self.line.clear();
        let notation = self.opts.bytes.unwrap_or_default();
        match self.opts.format {
            Format::Ndjson => rows::ndjson(&mut self.line, line, notation),
            Format::Json => {
                if self.printed > 0 {
                    self.line.push(b',');
                }
                rows::ndjson(&mut self.line, line, notation);
                self.line.pop();
            }
            Format::Csv => rows::csv(&mut self.line, line, notation),
            Format::Text => {
                if self.file.as_deref() != Some(line.file) {
                    self.file = Some(line.file.to_owned());
                    let name = printable(line.file);
                    writeln!(
                        self.line,
                        "{}",
                        self.paint.strong(format!("{name}\n    offset      seq state       row"))
                    )?;
                }
                rows::text(&mut self.line, line, notation, self.limit, self.paint);
            }
        }
        self.printed += 1;
        self.out.write_all(&self.line)?;
        Ok(())
    }
}
