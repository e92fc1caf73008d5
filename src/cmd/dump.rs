//! `dump`: the records, filtered, each with its fate; or annotated hex of a record or a damaged range.

use std::io::Write;
use std::ops::Range;

use anyhow::{Result, bail};
use clap::Args;

use crate::analysis::{OpenLog, Report};
use crate::args::{Format, Global, Input};
use crate::cmd::fates::Fates;
use crate::cmd::key_range::KeyRange;
use crate::cmd::rows;
use crate::cmd::{CLEAN, FAILED, INCOMPLETE, analyse_all, column_family, complain, open_all};
use crate::format::rows::State;
use crate::format::{Entry, Family};
use crate::log::bytes::{Bytes, Reader};
use crate::log::decoder::Recovery;
use crate::log::layout::Layout;
use crate::log::record::{Fix, Record};
use crate::log::region::Kind;
use crate::log::scan::{Sink, scan};
use crate::ui::bytes::{Notation, matches, printable};
use crate::ui::hex;
use crate::ui::lines::{Form, Kind as LineKind, Lines};
use crate::ui::page::{self, wrap_in};
use crate::ui::paint::Paint;
use crate::ui::row::{self, Row};

/// Arguments of `dump`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    input: Input,
    /// The rows of tables on the pages, with what has become of each, instead of the records
    #[arg(long, conflicts_with_all = ["op", "key", "key_range", "family", "tx", "reverse", "hex"])]
    rows: bool,
    /// Only rows of this table
    #[arg(long, value_name = "TABLE", requires = "rows")]
    pub(super) table: Option<String>,
    /// Only rows in these states: live, superseded, deleted, uncommitted
    #[arg(long, value_name = "STATE", requires = "rows", value_delimiter = ',', value_parser = rows::state)]
    pub(super) state: Vec<State>,
    /// Only these sequence numbers: A..B, A.. or ..B, ends included, or one number
    #[arg(long, value_name = "A..B", value_parser = range)]
    pub(super) seq: Option<(u64, u64)>,
    /// Only this operation, such as PUT or COMMIT
    #[arg(long, value_name = "OP")]
    op: Option<String>,
    /// Only this key, as `dump` prints it; a trailing * means any ending
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only keys from A on and in front of B, A.. or ..B, as `dump` prints them; what deletes a range counts if it touches it
    #[arg(long, value_name = "A..B")]
    key_range: Option<String>,
    /// Only keys of this column family, by name or number
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Only this transaction: its name, as `dump` prints it (a trailing * means any ending), or its number; in logs of pages
    /// the number of a page
    #[arg(long, value_name = "TX")]
    tx: Option<String>,
    /// Only images of this page, in logs of pages: its history, older generations behind the live end included
    #[arg(long, value_name = "N")]
    pub(super) page: Option<u64>,
    /// Only the record or damaged range that holds this offset (decimal or 0x…)
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    pub(super) at: Option<u64>,
    /// Only this file of the log
    #[arg(long, value_name = "NAME")]
    pub(super) file: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// Last first
    #[arg(long)]
    reverse: bool,
    /// Annotated hex: every field named, stored and computed checksum side by side
    #[arg(long, conflicts_with = "format")]
    hex: bool,
    /// How to write keys and values [default: escape]; with --rows also: long values whole, not just their first 4 KiB
    #[arg(long, value_name = "NOTATION", hide_default_value = true)]
    pub(super) bytes: Option<Notation>,
    /// How to print records
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
}

impl Opts {
    fn filtered(&self) -> bool {
        self.seq.is_some()
            || self.op.is_some()
            || self.key.is_some()
            || self.key_range.is_some()
            || self.family.is_some()
            || self.tx.is_some()
            || self.page.is_some()
            || self.table.is_some()
            || !self.state.is_empty()
            || self.at.is_some()
    }
}

/// An offset, decimal or hexadecimal.
///
/// # Errors
/// When it is none.
pub fn offset(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no offset"))
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |t: &str, default| if t.is_empty() { Ok(default) } else { t.parse::<u64>() };
    let ends = match text.split_once("..") {
        Some((a, b)) => number(a, 0).and_then(|a| Ok((a, number(b, u64::MAX)?))),
        None => text.parse().map(|n| (n, n)),
    };
    match ends {
        Ok((a, b)) if a <= b => Ok((a, b)),
        Ok(_) => Err(format!("{text} is empty: its end lies before its start")),
        Err(_) => Err(format!("{text} is no range of numbers")),
    }
}

/// Runs it.
///
/// # Errors
/// When no log could be opened at all, or standard output fails.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let (logs, failed) = open_all(&opts.input)?;
    if let Some(name) = &opts.file
        && !logs.iter().any(|l| l.log.files.iter().any(|f| *f.name == **name))
    {
        bail!("--file {name}: no such file in this log");
    }
    let reports = analyse_all(&logs, &opts.input, global);
    let printed = if opts.rows {
        rows::run(&logs, &reports, opts, global)?
    } else {
        records(&logs, &reports, opts, global)?
    };
    if printed == 0 && opts.filtered() && !global.quiet {
        complain(if opts.rows {
            "no row matches what was asked for"
        } else {
            "no record or damaged range matches what was asked for"
        });
    }
    let incomplete = reports
        .iter()
        .flat_map(|r| &r.files)
        .any(|f| f.failure.is_some() || f.shrunk || !f.unreadable.is_empty());
    Ok(if failed {
        FAILED
    } else if incomplete {
        INCOMPLETE
    } else {
        CLEAN
    })
}

/// The records of these logs; how many there were.
fn records(logs: &[OpenLog], reports: &[Report], opts: &Opts, global: &Global) -> Result<u64> {
    let kind = LineKind { what: "records", csv: row::CSV_HEADER, columns: "    offset      seq operation" };
    let paint = Paint::stdout(global.color);
    let lines = Lines::new(kind, opts.format, paint, opts.limit)?;
    let notation = opts.bytes.unwrap_or_default();
    let keys = opts.key_range.as_deref().map(|text| KeyRange::of(text, notation)).transpose()?;
    let mut printer = Printer { lines, opts, keys, family: None, verbose: global.verbose, paint };
    for (log, report) in logs.iter().zip(reports) {
        dump_log(log, report, &mut printer)?;
    }
    printer.lines.end()
}

fn dump_log(log: &OpenLog, report: &Report, printer: &mut Printer<'_>) -> Result<()> {
    let (count, files) = (report.files.len(), log.files());
    let families = log.format().families(&files);
    let wanted = printer.opts.family.as_deref().map(|name| column_family(log, &families, name));
    printer.family = wanted.transpose()?;
    let order: Vec<usize> =
        if printer.opts.reverse { (0..count).rev().collect() } else { (0..count).collect() };
    for file in order {
        if printer.opts.file.as_ref().is_some_and(|name| **name != *report.files[file].name) {
            continue;
        }
        let mut fates = Fates::new(report, file);
        (fates.context, fates.unpack) =
            (log.format().context(&files, file), log.format().unpack(&files, file));
        fates.families = &families;
        if printer.opts.reverse {
            backwards(log, file, &mut fates, printer)?;
        } else {
            let mut sink = Forward { fates: &mut fates, printer, to: u64::MAX, rows: None, error: None };
            read(log, file, 0, &mut sink);
            sink.error.map_or(Ok(()), Err)?;
        }
    }
    Ok(())
}

fn read(log: &OpenLog, file: usize, from: u64, sink: &mut dyn Sink) {
    let mut opened = log.format().open(&log.files(), file, log.revision);
    scan(&mut Reader::new(log.source(file)), &mut *opened.decoder, from, sink);
}

/// Last record first: the file is noted in blocks on the way forward, and each block read again on the way back.
fn backwards(log: &OpenLog, file: usize, fates: &mut Fates<'_>, printer: &mut Printer<'_>) -> Result<()> {
    let mut blocks = Blocks(Vec::new());
    read(log, file, 0, &mut blocks);
    for block in blocks.0.into_iter().rev() {
        if printer.full() {
            break;
        }
        let rows = matches!(block, Block::Records { .. }).then(Vec::new);
        let mut sink = Forward { fates: &mut *fates, printer: &mut *printer, to: 0, rows, error: None };
        match block {
            Block::Records { from, to, seq } => {
                sink.to = to;
                read(log, file, from, &mut sink);
                let mut records = sink.rows.take().unwrap_or_default();
                // A decoder that begins in the middle may not know how many records lie before.
                let off = records.first().map_or(0, |first| seq.wrapping_sub(first.seq));
                for record in &mut records {
                    (record.seq, record.next) = (record.seq.wrapping_add(off), record.next.wrapping_add(off));
                }
                let mut reader = Reader::new(log.source(file));
                for record in records.iter().rev() {
                    sink.record(record, None, &mut reader);
                }
            }
            Block::Damage(recovery) => sink.damage(&recovery, &mut Reader::new(log.source(file))),
            Block::Framing(span) => sink.framing(span.start, span.end, &mut Reader::new(log.source(file))),
        }
        sink.error.map_or(Ok(()), Err)?;
    }
    Ok(())
}

enum Block {
    /// `seq`: the number of the first of them.
    Records {
        from: u64,
        to: u64,
        seq: u64,
    },
    Damage(Recovery),
    Framing(Range<u64>),
}

struct Blocks(Vec<Block>);

impl Sink for Blocks {
    fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
        if let (Some(first), Some(last)) = (batch.first(), batch.last()) {
            self.0.push(Block::Records { from: first.at, to: last.end(), seq: first.seq });
        }
    }
    fn framing(&mut self, from: u64, to: u64, _: &mut Reader<'_>) {
        self.0.push(Block::Framing(from..to));
    }
    fn damage(&mut self, recovery: &Recovery, _: &mut Reader<'_>) {
        self.0.push(Block::Damage(*recovery));
    }
}

struct Forward<'a, 'r, 'p> {
    fates: &'a mut Fates<'r>,
    printer: &'a mut Printer<'p>,
    /// Records from here on are not wanted.
    to: u64,
    /// Collects instead of printing.
    rows: Option<Vec<Record>>,
    error: Option<anyhow::Error>,
}

impl Sink for Forward<'_, '_, '_> {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        let to = self.to;
        if let Some(rows) = &mut self.rows {
            rows.extend(batch.iter().filter(|r| r.at < to));
            return;
        }
        for record in batch.iter().filter(|r| r.at < to) {
            self.record(record, None, reader);
        }
    }

    fn framing(&mut self, from: u64, to: u64, reader: &mut Reader<'_>) {
        match self.printer.opts.hex {
            _ if self.rows.is_some() => {}
            true => self.heading(from, to, reader),
            false => self.aside(from, to, reader),
        }
    }

    fn damage(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        if self.rows.is_some() {
            // A block of records is being collected; damage has blocks of its own.
            return;
        }
        match recovery.record {
            Some((record, fix)) => self.record(&record, Some(fix), reader),
            None if recovery.kind == Kind::Stale => self.behind(recovery, reader),
            None => self.range(recovery, reader),
        }
    }

    fn done(&self) -> bool {
        let past = self.rows.as_ref().and_then(|rows| rows.last()).is_some_and(|r| r.end() >= self.to);
        past || self.error.is_some() || self.printer.full() && self.rows.is_none()
    }
}

/// Shows a record's operations with their places in it, counted from 1, the last one first if `reverse`, until one is enough.
fn in_turn(
    operations: impl FnOnce(&mut dyn FnMut(&Entry<'_>) -> bool),
    reverse: bool,
    told: &mut dyn FnMut(&Entry<'_>, u64) -> bool,
) {
    let (mut nth, mut kept) = (0, Vec::new());
    operations(&mut |entry| {
        nth += 1;
        if reverse {
            kept.push(Kept::of(entry));
        }
        reverse || told(entry, nth)
    });
    for operation in kept.iter().rev() {
        if !told(&operation.entry(), nth) {
            break;
        }
        nth -= 1;
    }
}

impl Forward<'_, '_, '_> {
    fn record(&mut self, record: &Record, mended: Option<Fix>, reader: &mut Reader<'_>) {
        if self.printer.full() || !self.printer.wants(record, self.fates.unpack.is_some()) {
            return;
        }
        let report = self.fates.report();
        let len = usize::try_from(record.len).unwrap_or(usize::MAX);
        let Ok(bytes) = reader.window(record.at, len).slice(record.at..record.end()) else { return };
        let whole = self.fates.row(record, mended);
        let (role, fix, seq) = (self.fates.file().role, whole.fix, whole.seq);
        let Fates { context, unpack, families, .. } = &mut *self.fates;
        let (printer, error, several) = (&mut *self.printer, &mut self.error, unpack.is_some());
        let contents = unpack.as_mut().map_or(bytes, |unpack| unpack.contents(record, bytes));
        let operations = |each: &mut dyn FnMut(&Entry<'_>) -> bool| {
            report.format.operations(role, report.revision, contents, fix, each);
        };
        let named = printer.opts.tx.as_deref().filter(|_| several).map(|name| {
            let notation = printer.opts.bytes.unwrap_or_default();
            report.format.of_transaction(contents, &|found| matches(found, name, notation))
        });
        let (mut all, reverse) = (0, printer.opts.reverse);
        if several {
            operations(&mut |_| {
                all += 1;
                true
            });
        }
        let mut told = |entry: &Entry<'_>, nth: u64| {
            if named.as_ref().is_some_and(|named| !named.iter().any(|span| span.contains(&nth))) {
                return true;
            }
            let mut row = Row { entry: Some(*entry), seq: entry.seq.or(seq), ..whole };
            if let (Some(entry), Some(context)) = (&mut row.entry, &mut *context) {
                context.complete(record, bytes, entry);
            }
            if !printer.wants_number(row.seq) || !row.entry.as_ref().is_some_and(|e| printer.wants_entry(e)) {
                return true;
            }
            let family = entry.family.map(|number| Family::name_of(families, number));
            (row.family, row.operation) = (family.as_deref(), (all > 1).then_some((nth, all)));
            let mut parts = Vec::new();
            if printer.opts.hex {
                parts.push((0, report.format.layout_of(role, report.revision, bytes)));
                parts.extend(report.format.inner(role, bytes));
            }
            *error = printer.print(&row, bytes, &parts).err();
            // The bytes are those of all its operations.
            error.is_none() && !printer.full() && !printer.opts.hex
        };
        in_turn(operations, reverse && all > 1, &mut told);
    }

    /// What the engine does not read any more: record by record, where the format tells them, and what lies between.
    fn behind(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        let (mut from, mut to) = (recovery.from, recovery.resume.min(reader.end()));
        let reverse = self.printer.opts.reverse;
        while from < to && !self.done() {
            let context = self.fates.context.as_mut();
            let record = context.and_then(|context| context.behind(from..to, reverse));
            let record = record.filter(|r| from <= r.at && r.at < r.end() && r.end() <= to);
            let rest = match &record {
                Some(record) if reverse => record.end()..to,
                Some(record) => from..record.at,
                None => from..to,
            };
            if !rest.is_empty() {
                self.range(&Recovery { from: rest.start, resume: rest.end, ..*recovery }, reader);
            }
            let Some(record) = record else { return };
            self.record(&record, None, reader);
            (from, to) = if reverse { (from, record.at) } else { (record.end(), to) };
        }
    }

    /// Bytes that are no record and have fields: a header.
    fn heading(&mut self, from: u64, to: u64, reader: &mut Reader<'_>) {
        let report = self.fates.report();
        let file = self.fates.file();
        let Ok(bytes) = reader.window(from, (to - from) as usize).slice(from..to) else { return };
        let wanted = !self.printer.full() && self.printer.wants_range(from, to);
        let heading = report.format.heading(file.role, from, bytes).filter(|_| wanted);
        let Some(layout) = heading else { return };
        let row = Row { status: "intact", ..Row::range(&file.name, from, to) };
        self.error = self.printer.print(&row, bytes, &[(0, layout)]).err();
    }

    /// Bytes that are no record and say something.
    fn aside(&mut self, from: u64, to: u64, reader: &mut Reader<'_>) {
        let report = self.fates.report();
        let file = self.fates.file();
        let Ok(bytes) = reader.window(from, (to - from) as usize).slice(from..to) else { return };
        let Some(aside) = report.format.aside(file.role, bytes) else { return };
        let key = aside.key.as_deref().map(str::as_bytes);
        let entry = Entry { op: aside.op, key, value: Some(&aside.value), ..Entry::default() };
        let opts = self.printer.opts;
        let here =
            opts.at.is_none_or(|at| (from..to).contains(&at)) && opts.tx.is_none() && opts.seq.is_none();
        if here && !self.printer.full() && self.printer.wants_entry(&entry) {
            let (status, fate) = ("intact", "mark");
            let row = Row { entry: Some(entry), status, fate, ..Row::range(&file.name, from, to) };
            self.error = self.printer.print(&row, bytes, &[]).err();
        }
    }

    /// A range that is no record: shown whenever no filter asks for what only records have.
    fn range(&mut self, recovery: &Recovery, reader: &mut Reader<'_>) {
        let (from, to) = (recovery.from, recovery.resume.min(reader.end()));
        if self.printer.full() || !self.printer.wants_range(from, to) {
            return;
        }
        let report = self.fates.report();
        let region = self.fates.region(from);
        let file = self.fates.file();
        let cause = region.and_then(|r| Some((r.kind, r.cause?))).unwrap_or((recovery.kind, recovery.cause));
        let status = match cause.0 {
            Kind::Preallocated => "preallocated",
            Kind::Stale => "stale",
            _ => "damaged",
        };
        let row = Row { status, fate: status, cause: Some(cause), ..Row::range(&file.name, from, to) };
        // As much of a range as is ever shown; the rest of a damaged gigabyte is not loaded.
        let shown = (to - from).min(if self.printer.verbose { 1 << 20 } else { 4 << 10 });
        let window = reader.window(from, shown as usize);
        let bytes =
            window.slice(from..(from + shown).min(window.base + window.bytes.len() as u64)).unwrap_or(&[]);
        let heading = report.format.heading(file.role, from, bytes);
        let layout = heading.unwrap_or_else(|| report.format.layout(file.role, report.revision));
        let result = self.printer.print(&row, bytes, &[(0, layout)]);
        self.error = result.err();
    }
}

/// An operation of a batch, to be printed behind those that follow it.
struct Kept {
    op: &'static str,
    parts: [Option<Vec<u8>>; 3],
    family: Option<u32>,
    seq: Option<u64>,
}

impl Kept {
    fn of(entry: &Entry<'_>) -> Kept {
        let parts = [entry.key, entry.value, entry.end].map(|part| part.map(<[u8]>::to_vec));
        Kept { op: entry.op, parts, family: entry.family, seq: entry.seq }
    }

    fn entry(&self) -> Entry<'_> {
        let [key, value, end] = self.parts.each_ref().map(Option::as_deref);
        Entry { op: self.op, key, value, end, family: self.family, seq: self.seq, ..Entry::default() }
    }
}

/// Fields and the offset of the first of them in a record.
type Part = (usize, &'static Layout);

struct Printer<'o> {
    lines: Lines,
    opts: &'o Opts,
    keys: Option<KeyRange>,
    /// The number of the only column family that is wanted of this log.
    family: Option<u32>,
    verbose: bool,
    paint: Paint,
}

impl Printer<'_> {
    fn full(&self) -> bool {
        self.lines.full()
    }

    /// `named`: its operations tell their transactions, which have names.
    fn wants(&self, r: &Record, named: bool) -> bool {
        let o = self.opts;
        o.at.is_none_or(|at| (r.at..r.end()).contains(&at))
            && o.tx.as_ref().is_none_or(|tx| named || tx.parse() == Ok(r.txn))
    }

    /// The number as put right, where it had to be.
    fn wants_number(&self, seq: Option<u64>) -> bool {
        self.opts.seq.is_none_or(|(a, b)| seq.is_some_and(|seq| (a..=b).contains(&seq)))
    }

    fn wants_entry(&self, entry: &Entry<'_>) -> bool {
        self.opts.op.as_ref().is_none_or(|op| entry.op.eq_ignore_ascii_case(op))
            && self.opts.page.is_none_or(|page| entry.page == Some(page))
            && self.family.is_none_or(|family| entry.family == Some(family))
            && self.keys.as_ref().is_none_or(|keys| keys.touched_by(entry))
            && self.opts.key.as_ref().is_none_or(|key| {
                entry.key.is_some_and(|k| matches(k, key, self.opts.bytes.unwrap_or_default()))
            })
    }

    fn wants_range(&self, from: u64, to: u64) -> bool {
        let o = self.opts;
        o.seq.is_none()
            && o.op.is_none()
            && o.key.is_none()
            && o.key_range.is_none()
            && o.family.is_none()
            && o.tx.is_none()
            && o.page.is_none()
            && o.at.is_none_or(|at| (from..to).contains(&at))
    }

    fn print(&mut self, row: &Row<'_>, bytes: &[u8], parts: &[Part]) -> Result<()> {
        let (verbose, paint) = (self.verbose, self.paint);
        if self.opts.hex {
            return self.lines.plain(|out| annotated(out, row, (bytes, parts), verbose, paint));
        }
        let notation = self.opts.bytes.unwrap_or_default();
        let limit = if verbose { usize::MAX } else { 40 };
        self.lines.print(row.file, |out, form| match form {
            Form::Json => row::ndjson(out, row, notation),
            Form::Csv => row::csv(out, row, notation),
            Form::Text => row::text(out, row, notation, limit, paint),
        })
    }
}

/// The bytes of a record or a range, field by field.
fn annotated(
    out: &mut Vec<u8>,
    row: &Row<'_>,
    (bytes, parts): (&[u8], &[Part]),
    verbose: bool,
    paint: Paint,
) -> Result<()> {
    let why = row.cause.map_or(String::new(), |(_, cause)| format!(": {cause}"));
    let place = format!("{}:0x{:x}", printable(row.file), row.at);
    let head = format!("{place} ({}), {} bytes, {}{why}", row.at, row.len, row.status);
    for line in wrap_in(page::line(), &head) {
        writeln!(out, "{}", paint.strong(line))?;
    }
    let limit = if verbose { usize::MAX } else { 128 };
    let ends = parts.iter().skip(1).map(|part| part.0).chain([bytes.len()]);
    for ((from, layout), to) in parts.iter().zip(ends) {
        let (Some(part), Some(shown)) = (bytes.get(*from..), to.checked_sub(*from)) else { continue };
        let (at, fix) = (row.at + *from as u64, row.fix.filter(|_| *from == 0));
        let rest = if *from > 0 { "contents" } else { "bytes that belong to no field" };
        hex::annotated(out, (layout, rest), (part, shown.min(part.len())), at, fix, limit, paint)?;
    }
    if (bytes.len() as u64) < row.len {
        writeln!(out, "            … {} more bytes", row.len - bytes.len() as u64)?;
    }
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_offsets_are_read_as_people_write_them() {
        assert_eq!(range("3..5"), Ok((3, 5)));
        assert_eq!(range("7"), Ok((7, 7)));
        assert_eq!(range("7.."), Ok((7, u64::MAX)));
        assert_eq!(range("..7"), Ok((0, 7)));
        assert!(range("5..3").is_err() && range("x").is_err());
        assert_eq!(offset("0x10"), Ok(16));
        assert!(offset("-1").is_err());
    }
}
