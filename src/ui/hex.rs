//! Annotated hex: every field of a record named from the table that its decoder uses.

use std::io::Write;

use anyhow::Result;

use crate::log::layout::{Layout, Width};
use crate::log::record::Fix;
use crate::ui::bytes::{Notation, write};
use crate::ui::page::{self, wrap_in};
use crate::ui::paint::{Hue, Paint};

/// Bytes in a line, and in one of a narrow page.
const LINE: usize = 16;
const SHORT_LINE: usize = 8;
/// Columns of a page that is not narrow.
const WIDE: usize = 80;
/// Columns in front of the bytes.
const INDENT: usize = 12;
/// Columns in front of a field as text, where it stands below its bytes: indent, name and length.
const BESIDE: usize = INDENT + 28;
/// Bytes of a field that are shown as text.
const TEXT: usize = 48;

/// Prints the fields in the first `shown` bytes of `record`, which lies at `at`. Bytes behind the last field are shown as they are, under
/// the name `rest`. `limit`: at most so many bytes of each field.
///
/// # Errors
/// When `out` fails.
pub fn annotated(
    out: &mut dyn Write,
    (layout, rest): (&Layout, &str),
    (record, shown): (&[u8], usize),
    at: u64,
    fix: Option<Fix>,
    limit: usize,
    paint: Paint,
) -> Result<()> {
    let fixed = fix.and_then(|f| Some((f.field, f.known()?)));
    let mut end = 0;
    for (field, mut span, value) in layout.spans(record, fixed) {
        if span.end > shown && span.start >= shown {
            break;
        }
        span.end = span.end.min(shown);
        let mut note = match (field.width, value) {
            (Width::Bytes(_), _) => String::new(),
            (Width::Int(n), Some(v)) => signed(v, n).to_string(),
            (Width::Time, Some(v)) => f64::from_bits(v).to_string(),
            (_, Some(v)) => v.to_string(),
            (_, None) => String::new(),
        };
        if layout.checksum.is_some_and(|c| c.field == field.name) {
            note = checksum(layout, record, fixed, value.unwrap_or(0), paint);
        }
        if let Some(fix) = fix.filter(|f| f.field == field.name) {
            let truth = fix.known().map_or("unknown".into(), |truth| truth.to_string());
            note = paint.hue(Hue::Bad, format!("{note}  WRONG, inferred {truth}"));
        }
        if matches!(field.width, Width::Bytes(_)) {
            let text = start(&record[span.clone()], page::line().saturating_sub(BESIDE));
            note = format!("{} bytes  {text}", span.len());
        }
        end = span.end;
        lines(out, &record[span.clone()], at + span.start as u64, field.name, &note, limit)?;
    }
    if end < shown {
        lines(out, &record[end..shown], at + end as u64, "", rest, limit)?;
    }
    Ok(())
}

/// The first bytes of a field as text, in so many columns.
fn start(field: &[u8], room: usize) -> String {
    let mut most = field.len().min(TEXT);
    loop {
        let mut text = vec![b'"'];
        write(&mut text, &field[..most], Notation::Escape, false);
        text.extend(if field.len() > most { &b"\"\xe2\x80\xa6"[..] } else { b"\"" });
        match page::taken(&text).saturating_sub(room) {
            over if over > 0 && most > 0 => most = most.saturating_sub(over.div_ceil(4)),
            _ => return String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

fn checksum(layout: &Layout, record: &[u8], fix: Option<(&str, u64)>, stored: u64, paint: Paint) -> String {
    match layout.computed(record, fix) {
        Some(computed) if computed == stored => format!("{stored:08x}  {}", paint.hue(Hue::Good, "matches")),
        Some(computed) => {
            format!(
                "{stored:08x} stored, {}",
                paint.hue(Hue::Bad, format!("{computed:08x} computed: MISMATCH"))
            )
        }
        None => format!("{stored:08x} stored, not computable: fields are cut off"),
    }
}

fn signed(value: u64, bytes: usize) -> i64 {
    let shift = 64 - 8 * bytes.clamp(1, 8);
    ((value << shift) as i64) >> shift
}

/// Plain hex with offsets, the name and note of the field on the first line.
fn lines(out: &mut dyn Write, bytes: &[u8], at: u64, name: &str, note: &str, limit: usize) -> Result<()> {
    let shown = &bytes[..bytes.len().min(limit)];
    let page = page::line();
    let most = if page < WIDE { SHORT_LINE } else { LINE };
    let width = 3 * if shown.len() > SHORT_LINE { most } else { SHORT_LINE } - 1;
    let words = format!("{name:<13} {note}");
    let beside = INDENT + width + 2 + page::taken(words.trim_end().as_bytes()) <= page;
    for (i, line) in shown.chunks(most).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let offset = at + (i * most) as u64;
        let text = if i == 0 && beside { &words } else { "" };
        writeln!(out, "  {}", format!("{offset:08x}  {:width$}  {text}", hex.join(" ")).trim_end())?;
        if i == 0 && !beside {
            for line in wrap_in(page - INDENT, &words) {
                writeln!(out, "{:INDENT$}{line}", "")?;
            }
        }
    }
    if shown.is_empty() {
        let empty = if page < WIDE { 0 } else { 23 };
        writeln!(out, "  {at:08x}  {:empty$}  {words}", "")?;
    }
    if shown.len() < bytes.len() {
        writeln!(out, "            … {} more bytes (-v shows all)", bytes.len() - shown.len())?;
    }
    Ok(())
}
