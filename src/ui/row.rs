//! One line a record, for people and machines, from the same values. Written into a reused buffer: printing is what
//! `dump` spends its time on.

use std::io::Write;

use crate::format::Entry;
use crate::log::fault::Cause;
use crate::log::finding::Code;
use crate::log::record::{Fix, Trust};
use crate::log::region::Kind;
use crate::ui::bytes::{Notation, printable, write};
use crate::ui::page::{self, append_in, last_line, taken, wrap_in};
use crate::ui::paint::{Hue, Paint};

/// A record or a damaged range with all that is known of it.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Offset in it.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
    /// Number, where the format has them and it is known.
    pub seq: Option<u64>,
    /// Its contents; `None` for a range that is no record.
    pub entry: Option<Entry<'a>>,
    /// Column family.
    pub family: Option<&'a str>,
    /// Which operation of its record it is, counted from 1, and how many there are, where there are several.
    pub operation: Option<(u64, u64)>,
    /// Transaction.
    pub tx: Option<u32>,
    /// `intact`, `recovered`, `damaged`, `foreign`, `stale`.
    pub status: &'static str,
    /// What becomes of it when the engine opens the log.
    pub fate: &'static str,
    /// On which grounds it is believed.
    pub trust: Option<Trust>,
    /// The field put right.
    pub fix: Option<Fix>,
    /// Why it is no intact record, and what kind of range it is.
    pub cause: Option<(Kind, Cause)>,
}

impl<'a> Row<'a> {
    /// A range of which nothing is known yet.
    pub fn range(file: &'a str, from: u64, to: u64) -> Row<'a> {
        let (at, len) = (from, to.saturating_sub(from));
        let (seq, entry, family, operation, tx) = (None, None, None, None, None);
        let (status, fate, trust, fix, cause) = ("", "", None, None, None);
        Row { file, at, len, seq, entry, family, operation, tx, status, fate, trust, fix, cause }
    }
}

/// A line of `dump --format ndjson`.
pub fn ndjson(out: &mut Vec<u8>, row: &Row<'_>, notation: Notation) {
    out.extend_from_slice(b"{\"type\":\"record\",\"file\":");
    string(out, row.file.as_bytes(), Notation::Escape);
    out.extend_from_slice(b",\"offset\":");
    digits(out, row.at);
    out.extend_from_slice(b",\"len\":");
    digits(out, row.len);
    let mut name = itoa::Buffer::new();
    word(out, "seq", row.seq.map(|seq| name.format(seq)));
    word(out, "kind", row.entry.map(|e| e.op));
    word(out, "tx", row.tx.map(|tx| name.format(tx)));
    word(out, "status", Some(row.status));
    word(out, "fate", Some(row.fate));
    match row.trust {
        Some(trust) => {
            out.extend_from_slice(b",\"trust\":\"");
            trust.words(&mut |piece| out.extend_from_slice(piece.as_bytes()));
            out.push(b'"');
        }
        None => out.extend_from_slice(b",\"trust\":null"),
    }
    let entry = row.entry.unwrap_or_default();
    bytes(out, "key", entry.key, notation);
    bytes(out, "value", entry.value, notation);
    if entry.end.is_some() {
        bytes(out, "end", entry.end, notation);
    }
    if let Some(family) = row.family {
        bytes(out, "family", Some(family.as_bytes()), Notation::Escape);
    }
    if let Some((nth, all)) = row.operation {
        out.extend_from_slice(b",\"operation\":");
        digits(out, nth);
        out.extend_from_slice(b",\"operations\":");
        digits(out, all);
    }
    if let Some(page) = entry.page {
        put(out, format_args!(",\"page\":{page}"));
    }
    if entry.page_type.is_some() {
        word(out, "page_type", entry.page_type);
        number(out, ",\"database_pages\":", entry.pages.map(|pages| pages as i64));
        number(out, ",\"generation\":", entry.generation);
    }
    if let Some(time) = entry.time.map(f64::from_bits).filter(|t| t.is_finite()) {
        put(out, format_args!(",\"time\":{time}"));
    }
    if let Some((kind, cause)) = row.cause {
        put(
            out,
            format_args!(
                ",\"cause\":\"{}\",\"code\":\"{}\"",
                cause.word(),
                Code::of_region(kind, cause).text()
            ),
        );
    }
    if let Some(fix) = row.fix {
        put(out, format_args!(",\"field\":\"{}\",\"found\":", fix.field));
        fixed(out, fix.field, fix.found);
        out.extend_from_slice(b",\"inferred\":");
        match fix.known() {
            None => out.extend_from_slice(b"null"),
            Some(inferred) => fixed(out, fix.field, inferred),
        }
    }
    out.extend_from_slice(b"}\n");
}

pub(super) fn number(out: &mut Vec<u8>, key: &str, value: Option<i64>) {
    out.extend_from_slice(key.as_bytes());
    match value {
        Some(value) => put(out, format_args!("{value}")),
        None => out.extend_from_slice(b"null"),
    }
}

/// Sequence numbers as strings, times in seconds, lengths as numbers.
fn fixed(out: &mut Vec<u8>, field: &str, value: u64) {
    match field {
        "seq" => put(out, format_args!("\"{value}\"")),
        "timestamp" => match f64::from_bits(value) {
            time if time.is_finite() => put(out, format_args!("{time:e}")),
            _ => out.extend_from_slice(b"null"),
        },
        _ => put(out, format_args!("{value}")),
    }
}

pub(super) fn put(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    // Writing into memory does not fail.
    out.write_fmt(args).ok();
}

/// A number that a row has every time: by the shortest way.
fn digits(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

pub(super) fn word(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    named(out, key);
    match value {
        Some(value) => {
            out.push(b'"');
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// The name of the next field.
fn named(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(super) fn string(out: &mut Vec<u8>, value: &[u8], notation: Notation) {
    out.push(b'"');
    write(out, value, notation, true);
    out.push(b'"');
}

fn bytes(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>, notation: Notation) {
    named(out, key);
    match value {
        Some(value) => string(out, value, notation),
        None => out.extend_from_slice(b"null"),
    }
}

/// The header of `dump --format csv`.
pub const CSV_HEADER: &str = "file,offset,len,seq,kind,tx,status,fate,trust,key,value,page,page_type,database_pages,generation,\
     family,end,operation,operations";

/// A line of `dump --format csv`.
pub fn csv(out: &mut Vec<u8>, row: &Row<'_>, notation: Notation) {
    cell(out, row.file.as_bytes(), Notation::Escape);
    put(out, format_args!(",{},{},", row.at, row.len));
    if let Some(seq) = row.seq {
        put(out, format_args!("{seq}"));
    }
    let entry = row.entry.unwrap_or_default();
    put(out, format_args!(",{},", entry.op));
    if let Some(tx) = row.tx {
        put(out, format_args!("{tx}"));
    }
    put(out, format_args!(",{},{},", row.status, row.fate));
    if let Some(trust) = row.trust {
        put(out, format_args!("{trust}"));
    }
    for value in [entry.key, entry.value] {
        out.push(b',');
        cell(out, value.unwrap_or_default(), notation);
    }
    out.push(b',');
    if let Some(page) = entry.page {
        put(out, format_args!("{page}"));
    }
    put(out, format_args!(",{},", entry.page_type.unwrap_or_default()));
    if let Some(pages) = entry.pages {
        put(out, format_args!("{pages}"));
    }
    out.push(b',');
    if let Some(generation) = entry.generation {
        put(out, format_args!("{generation}"));
    }
    out.push(b',');
    cell(out, row.family.unwrap_or_default().as_bytes(), Notation::Escape);
    out.push(b',');
    cell(out, entry.end.unwrap_or_default(), notation);
    match row.operation {
        Some((nth, all)) => put(out, format_args!(",{nth},{all}\n")),
        None => out.extend_from_slice(b",,\n"),
    }
}

/// A cell of a CSV row (RFC 4180).
pub fn cell(out: &mut Vec<u8>, value: &[u8], notation: Notation) {
    let mut text = Vec::with_capacity(value.len());
    write(&mut text, value, notation, false);
    quoted(out, &text);
}

/// A cell of text as it is.
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().any(|b| matches!(b, b'"' | b',' | b'\n' | b'\r')) {
        out.push(b'"');
        text.iter()
            .for_each(|&b| out.extend(if b == b'"' { &b"\"\""[..] } else { std::slice::from_ref(&b) }));
        out.push(b'"');
    } else {
        out.extend_from_slice(text);
    }
}

/// Columns in front of what is said of a range, and of the key of a record.
const RANGE: usize = 20;
const CONTENTS: usize = 31;
/// Columns of the words on how much there is.
const CUT: usize = 12;
/// Columns that are left for a key or value, or both.
const LEAST: usize = 24;

/// A line for people. `limit`: at most so many bytes of a key or value, and no more than fit on the page.
pub fn text(out: &mut Vec<u8>, row: &Row<'_>, notation: Notation, limit: usize, paint: Paint) {
    let hue = match row.status {
        "intact" if row.fate == "applied" || row.fate == "mark" => Hue::Good,
        "intact" => Hue::Odd,
        "recovered" => Hue::Kept,
        _ => Hue::Bad,
    };
    put(out, format_args!("{:>10} ", row.at));
    match row.seq {
        Some(seq) => put(out, format_args!("{seq:>8} ")),
        None => put(out, format_args!("{:>8} ", "-")),
    }
    let page = if limit == usize::MAX { usize::MAX } else { page::line() };
    let Some(entry) = row.entry else {
        let why = row.cause.map_or(String::new(), |(_, cause)| cause.to_string());
        let text = format!("{} {} bytes: {why}", row.status, row.len);
        for (i, line) in wrap_in(page.saturating_sub(RANGE), &text).iter().enumerate() {
            match line.strip_prefix(row.status).filter(|_| i == 0) {
                Some(rest) => put(out, format_args!("{}{rest}\n", paint.hue(hue, row.status))),
                None => put(out, format_args!("{:RANGE$}{line}\n", "")),
            }
        }
        return;
    };
    put(out, format_args!("{:<10} ", entry.op));
    let mut place = String::new();
    place += &entry.page.map_or(String::new(), |page| format!("page {page} "));
    place += &entry.pages.map_or(String::new(), |pages| format!("of {pages} "));
    place += &entry.page_type.map_or(String::new(), |kind| format!("({kind}) "));
    let generation = entry.generation.filter(|&generation| generation != 0);
    place += &generation.map_or(String::new(), |generation| format!("generation {generation} "));
    let family = row.family.filter(|_| entry.family != Some(0));
    place += &family.map_or(String::new(), |family| format!("{}: ", printable(family)));
    for (i, line) in wrap_in(page.saturating_sub(CONTENTS), &place).iter().enumerate() {
        let front = if i > 0 { format!("\n{:CONTENTS$}", "") } else { String::new() };
        put(out, format_args!("{front}{line}"));
    }
    if !place.is_empty() {
        out.push(b' ');
    }
    let state = match row.status {
        "intact" => row.fate.to_owned(),
        status if status == row.fate => status.to_owned(),
        status => format!("{status}, {}", row.fate),
    };
    let state = (state != "applied" && state != "mark").then(|| format!("[{state}]"));
    let fix = row.fix.map(|fix| format!("({} {} is wrong)", printable(fix.field), fix.found));
    let behind: Vec<String> = state.iter().chain(&fix).cloned().collect();
    let mut room = page.saturating_sub(taken(last_line(out)));
    if room < LEAST && page > CONTENTS {
        put(out, format_args!("\n{:CONTENTS$}", ""));
        room = page - CONTENTS;
    }
    let needed: usize = behind.iter().map(|words| words.chars().count() + 2).sum();
    // What is said of a record goes below it rather than to cut its key to nothing.
    contents(
        out,
        &entry,
        notation,
        limit,
        room.checked_sub(needed).filter(|&left| left >= LEAST).unwrap_or(room),
    );
    for words in &behind {
        let painted = if Some(words) == state.as_ref() { paint.hue(hue, words) } else { words.clone() };
        match page.saturating_sub(CONTENTS) {
            most if words.chars().count() <= most => append_in(page, out, CONTENTS, words, &painted),
            most => wrap_in(most, words).iter().for_each(|w| append_in(page, out, CONTENTS, w, w)),
        }
    }
    out.push(b'\n');
}

/// Key, end of its range, and value, in so many columns, but for the least of each.
fn contents(out: &mut Vec<u8>, entry: &Entry<'_>, notation: Notation, limit: usize, room: usize) {
    let value = entry.value.filter(|value| !value.is_empty());
    let start = out.len();
    if let Some(key) = entry.key {
        let others = value.map_or(0, |value| value.len() + 3) + entry.end.map_or(0, |end| end.len() + 2);
        fitting(out, (key, key.len()), notation, limit, room.saturating_sub(others.min(LEAST)));
    }
    let named = entry.key.is_some() || entry.page.is_some();
    for (sign, part) in [("..", entry.end), (" = ", value)] {
        if let Some(part) = part {
            // What a mark names is no value of anything.
            out.extend_from_slice(if named { sign.as_bytes() } else { b"" });
            let left = room.saturating_sub(taken(&out[start..]));
            fitting(out, (part, part.len()), notation, limit, left);
        }
    }
}

/// The first bytes of `all`, at most `limit` and so many that they fit, and how many there are where these are not all.
pub(super) fn fitting(
    out: &mut Vec<u8>,
    (value, all): (&[u8], usize),
    notation: Notation,
    limit: usize,
    room: usize,
) {
    let (start, mut most) = (out.len(), limit.min(value.len()));
    loop {
        write(out, &value[..most], notation, false);
        if most < all {
            put(out, format_args!("… ({all} bytes)"));
        }
        let over = taken(&out[start..]).saturating_sub(room);
        // What is as short as the words in its place is left.
        if over == 0 || most == 0 || most == all && taken(&out[start..]) <= CUT {
            return;
        }
        out.truncate(start);
        // No byte takes more than four columns.
        most = most.saturating_sub(over.div_ceil(4));
    }
}

pub(super) fn short(out: &mut Vec<u8>, value: &[u8], notation: Notation, limit: usize) {
    write(out, &value[..value.len().min(limit)], notation, false);
    if value.len() > limit {
        put(out, format_args!("… ({} bytes)", value.len()));
    }
}
