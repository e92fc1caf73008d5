//! Annotated hex: every field of a record named from the table that its decoder uses.

use std::io::Write;

use anyhow::Result;

use crate::log::layout::{Layout, Width};
use crate::log::record::Fix;
use crate::ui::bytes::{Notation, write};
use crate::ui::paint::{Hue, Paint};

/// Bytes in a line.
const LINE: usize = 16;

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
            let mut text = vec![b'"'];
            write(&mut text, &record[span.clone()][..span.len().min(48)], Notation::Escape, false);
            text.extend(if span.len() > 48 { &b"\"\xe2\x80\xa6"[..] } else { b"\"" });
            note = format!("{} bytes  {}", span.len(), String::from_utf8_lossy(&text));
        }
        end = span.end;
        lines(out, &record[span.clone()], at + span.start as u64, field.name, &note, limit)?;
    }
    if end < shown {
        lines(out, &record[end..shown], at + end as u64, "", rest, limit)?;
    }
    Ok(())
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
    let mut first = true;
    for (i, line) in shown.chunks(LINE).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        let offset = at + (i * LINE) as u64;
        let width = if shown.len() > LINE / 2 { 3 * LINE - 1 } else { 3 * LINE / 2 - 1 };
        let text = if first { format!("{name:<13} {note}") } else { String::new() };
        writeln!(out, "  {}", format!("{offset:08x}  {:width$}  {text}", hex.join(" ")).trim_end())?;
        first = false;
    }
    if shown.is_empty() {
        writeln!(out, "  {at:08x}  {:23}  {name:<13} {note}", "")?;
    }
    if shown.len() < bytes.len() {
        writeln!(out, "            … {} more bytes (-v shows all)", bytes.len() - shown.len())?;
    }
    Ok(())
}
