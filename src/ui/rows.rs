//! One line a row of a table, for people and machines, from the same values.

use crate::format::rows::{Cell, TableRow, Value};
use crate::ui::bytes::{Notation, printable};
use crate::ui::page::{self, append_in, taken};
use crate::ui::paint::{Hue, Paint};
use crate::ui::row::{cell, number, put, short, string, word};

/// Larger integers are no numbers to many readers of JSON.
const EXACT: u64 = 1 << 53;

/// A row and what the report says of the record that it is in.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// The row.
    pub row: &'a TableRow<'a>,
    /// Of its record; `None`: it is in none.
    pub status: Option<&'static str>,
    /// See `status`.
    pub fate: Option<&'static str>,
}

impl Line<'_> {
    fn seq(&self) -> Option<u64> {
        self.row.record.filter(|record| record.next > record.seq).map(|record| record.seq)
    }
}

/// A line of `dump --rows --format ndjson`.
pub fn ndjson(out: &mut Vec<u8>, line: &Line<'_>, notation: Notation) {
    let row = line.row;
    out.extend_from_slice(b"{\"type\":\"row\",\"file\":");
    string(out, line.file.as_bytes(), Notation::Escape);
    put(out, format_args!(",\"offset\":{},\"len\":{}", row.at, row.len));
    match line.seq() {
        Some(seq) => put(out, format_args!(",\"seq\":\"{seq}\"")),
        None => out.extend_from_slice(b",\"seq\":null"),
    }
    put(out, format_args!(",\"page\":{}", row.page));
    number(out, ",\"generation\":", row.generation);
    out.extend_from_slice(b",\"table\":");
    name(out, row.table);
    number(out, ",\"rowid\":", row.rowid);
    word(out, "state", row.state.map(|state| state.word()));
    word(out, "status", line.status);
    word(out, "fate", line.fate);
    put(out, format_args!(",\"whole\":{},\"assumed\":{},\"values\":", row.whole, row.assumed));
    values(out, row.cells, notation);
    out.extend_from_slice(b"}\n");
}

fn name(out: &mut Vec<u8>, name: Option<&str>) {
    match name {
        Some(name) => string(out, name.as_bytes(), Notation::Escape),
        None => out.extend_from_slice(b"null"),
    }
}

/// An object of the values by the names of their columns, or by their numbers, from 1, where they have none.
fn values(out: &mut Vec<u8>, cells: &[Cell<'_>], notation: Notation) {
    out.push(b'{');
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match cell.column {
            Some(column) => string(out, column.as_bytes(), Notation::Escape),
            None => put(out, format_args!("\"{}\"", i + 1)),
        }
        out.push(b':');
        value(out, cell, notation);
    }
    out.push(b'}');
}

fn value(out: &mut Vec<u8>, cell: &Cell<'_>, notation: Notation) {
    let tagged = |out: &mut Vec<u8>, tag: &str, bytes: &[u8]| {
        put(out, format_args!("{{\"{tag}\":"));
        string(out, bytes, notation);
        number(out, ",\"bytes\":", cell.cut.and_then(|cut| i64::try_from(cut).ok()));
        out.push(b'}');
    };
    match cell.value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Int(n) if n.unsigned_abs() <= EXACT => put(out, format_args!("{n}")),
        Value::Int(n) => put(out, format_args!("{{\"int\":\"{n}\"}}")),
        Value::Real(x) if x.is_finite() => put(out, format_args!("{x:?}")),
        Value::Real(x) => put(out, format_args!("{{\"real\":\"{x}\"}}")),
        Value::Text(text) if cell.cut.is_none() => string(out, text, notation),
        Value::Text(text) => tagged(out, "text", text),
        Value::Blob(blob) => tagged(out, "blob", blob),
    }
}

/// The header of `dump --rows --format csv`.
pub const CSV_HEADER: &str =
    "file,offset,len,seq,page,generation,table,rowid,state,status,fate,whole,assumed,values";

/// A line of `dump --rows --format csv`; the values are one cell of JSON.
pub fn csv(out: &mut Vec<u8>, line: &Line<'_>, notation: Notation) {
    let row = line.row;
    cell(out, line.file.as_bytes(), Notation::Escape);
    put(out, format_args!(",{},{},", row.at, row.len));
    let mut optional = |text: Option<String>| put(out, format_args!("{},", text.unwrap_or_default()));
    optional(line.seq().map(|seq| seq.to_string()));
    optional(Some(row.page.to_string()));
    optional(row.generation.map(|generation| generation.to_string()));
    cell(out, row.table.unwrap_or_default().as_bytes(), Notation::Escape);
    out.push(b',');
    let mut optional = |text: Option<String>| put(out, format_args!("{},", text.unwrap_or_default()));
    optional(row.rowid.map(|rowid| rowid.to_string()));
    optional(row.state.map(|state| state.word().to_owned()));
    optional(line.status.map(str::to_owned));
    optional(line.fate.map(str::to_owned));
    optional(Some(row.whole.to_string()));
    optional(Some(row.assumed.to_string()));
    let mut json = Vec::new();
    values(&mut json, row.cells, notation);
    crate::ui::row::quoted(out, &json);
    out.push(b'\n');
}

/// Columns in front of the values that no line has room for behind the others.
const VALUES: usize = 32;

/// A line for people. `limit`: at most so many bytes of a value.
pub fn text(out: &mut Vec<u8>, line: &Line<'_>, notation: Notation, limit: usize, paint: Paint) {
    let row = line.row;
    put(out, format_args!("{:>10} ", row.at));
    match line.seq() {
        Some(seq) => put(out, format_args!("{seq:>8} ")),
        None => put(out, format_args!("{:>8} ", "-")),
    }
    let state = row.state.map_or("unknown", |state| state.word());
    let hue = match state {
        "live" => Hue::Good,
        "superseded" => Hue::Kept,
        "unknown" => Hue::Odd,
        _ => Hue::Bad,
    };
    put(out, format_args!("{} ", paint.hue(hue, format!("{state:<11}"))));
    put(out, format_args!("{}", row.table.map_or("page".to_owned(), |name| printable(name).to_string())));
    match row.rowid.filter(|_| row.table.is_some()) {
        Some(rowid) => put(out, format_args!(" {rowid}:")),
        None if row.table.is_none() => put(out, format_args!(" {}:", row.page)),
        None => out.push(b':'),
    }
    let page = if limit == usize::MAX { usize::MAX } else { page::line() };
    let limit = limit.min(page.saturating_sub(VALUES));
    let mut start = out.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let mut told = Vec::new();
    for (i, cell) in row.cells.iter().enumerate() {
        told.clear();
        if let Some(column) = cell.column {
            put(&mut told, format_args!("{}=", printable(column)));
        }
        plain(&mut told, cell, notation, limit);
        out.extend_from_slice(if i == 0 { b"" } else { b"," });
        if taken(&out[start..]) + taken(&told) + 2 > page {
            put(out, format_args!("\n{:VALUES$}", ""));
            start = out.len() - VALUES;
        } else {
            out.push(b' ');
        }
        out.extend_from_slice(&told);
    }
    let fate = line.fate.filter(|fate| !matches!(*fate, "applied" | "stale"));
    let generation = row.generation.filter(|&generation| generation != 0);
    let notes = [
        fate.map(str::to_owned),
        generation.map(|generation| format!("generation {generation}")),
        row.assumed.then(|| "assumed".to_owned()),
        (!row.whole).then(|| "pages of it are missing".to_owned()),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    if !notes.is_empty() {
        let notes = format!("[{}]", notes.join(", "));
        append_in(page, out, VALUES, &notes, &notes);
    }
    out.push(b'\n');
}

fn plain(out: &mut Vec<u8>, cell: &Cell<'_>, notation: Notation, limit: usize) {
    let (quote, bytes) = match cell.value {
        Value::Null => return out.extend_from_slice(b"NULL"),
        Value::Int(n) => return put(out, format_args!("{n}")),
        Value::Real(x) => return put(out, format_args!("{x:?}")),
        Value::Text(text) => ("\"", text),
        Value::Blob(blob) => ("x\"", blob),
    };
    out.extend_from_slice(quote.as_bytes());
    let shown = bytes.len().min(limit);
    short(out, &bytes[..shown], notation, shown);
    out.push(b'"');
    if let Some(all) = cell.cut.or((shown < bytes.len()).then_some(bytes.len() as u64)) {
        put(out, format_args!("… ({all} bytes)"));
    }
}
