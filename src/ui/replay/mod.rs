//! What `replay` says: the verdict on a state first, its keys as rows; two states compared; the history of a key. Rows are
//! written as they come, so that no answer is ever held as a whole.

mod candidates;
mod diff;
mod history;
mod keys;
mod state;

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use crate::analysis::{OpenLog, Report};
use crate::findings::plural;
use crate::format::{Family, Part};
use crate::log::conclude::Place;
use crate::replay::candidates::Candidate;
use crate::replay::state::{Live, Value};
use crate::replay::{Replayed, seq_at, value_bytes};
use crate::ui::bytes::{Notation, printable, write};
use crate::ui::json;
use crate::ui::page::{indented, last_line, taken, width};
use crate::ui::paint::{Hue, Paint};
use crate::ui::row::{cell, fitting, put, string};
use crate::ui::text::{middle, size};

pub use state::Told;

/// Lines shown to people without -v.
const FEW: u64 = 40;
/// Bytes of a value shown to people without -v; of a key twice as many.
const SHORT: usize = 24;
/// Characters of a file name.
const NAME: usize = 24;

#[derive(Serialize)]
struct Head<'a> {
    path: &'a str,
    format: &'static str,
    revision: Option<&'static str>,
}

/// One JSON document or the first line of many.
#[derive(Serialize)]
struct Doc<'a, T: Serialize> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    what: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'static str>,
    #[serde(flatten)]
    body: T,
    #[serde(flatten)]
    head: Option<Head<'a>>,
}

/// Writes answers about one log.
pub struct Teller<'a> {
    /// The log.
    pub log: &'a OpenLog,
    /// What is known of it.
    pub report: &'a Report,
    /// How keys and values are written.
    pub notation: Notation,
    /// Colour.
    pub paint: Paint,
    /// Everything, at full length.
    pub verbose: bool,
    /// No words on what to do next.
    pub quiet: bool,
    /// The options that the log was named with, for the commands to run next.
    pub options: String,
    /// The column families of the log.
    pub families: Vec<Family>,
    /// What can be made of a damaged log of pages.
    pub candidates: Vec<Candidate>,
}

impl<'a> Teller<'a> {
    fn head(&self) -> Head<'a> {
        Head {
            path: &self.report.path,
            format: self.report.format.profile().name,
            revision: self.report.revision,
        }
    }

    fn file(&self, place: Place) -> &'a str {
        self.report.files.get(place.file).map_or("", |f| &f.name)
    }

    fn seq(&self, place: Place) -> Option<u64> {
        seq_at(self.log, self.report, place)
    }

    fn record(&self, n: u64) -> String {
        plural(n, self.report.format.profile().record)
    }

    fn meta(&self, out: &mut dyn Write, schema: &'static str) -> Result<()> {
        #[derive(Serialize)]
        struct Meta {
            version: &'static str,
        }
        let body = Meta { version: env!("CARGO_PKG_VERSION") };
        json::line(out, &Doc { what: Some("meta"), schema: Some(schema), body, head: Some(self.head()) })
    }

    fn title(&self, out: &mut dyn Write, word: &str, hue: Hue) -> Result<()> {
        let profile = self.report.format.profile();
        let revision = self.report.revision.map_or(String::new(), |r| format!(" {r}"));
        let path = printable(&self.report.path);
        writeln!(out, "{} {path}", self.paint.strong(self.paint.hue(hue, word)))?;
        let files = plural(self.report.files.len() as u64, "file");
        writeln!(out, "  {}{revision}, {files}, {}", profile.title, size(self.log.bytes()))?;
        Ok(())
    }

    /// Sentences below a title.
    fn paragraph(&self, out: &mut dyn Write, sentences: &[String]) -> Result<()> {
        sentences.iter().try_for_each(|sentence| indented(out, &printable(sentence), 2))
    }

    /// `,"file":…,"offset":…,"seq":…`
    fn json_place(&self, line: &mut Vec<u8>, place: Place, seq: Option<u64>) {
        line.extend_from_slice(b",\"file\":");
        string(line, self.file(place).as_bytes(), Notation::Escape);
        put(line, format_args!(",\"offset\":{},\"seq\":", place.at));
        match seq {
            Some(seq) => put(line, format_args!("\"{seq}\"")),
            None => line.extend_from_slice(b"null"),
        }
    }

    /// A JSON string, and the fields that complete it; of a long value what is ready goes to `out` on the way.
    fn json_value(&self, out: &mut dyn Write, line: &mut Vec<u8>, value: Option<&Value<'_>>) -> Result<()> {
        let Some(value) = value else {
            line.extend_from_slice(b"null");
            return Ok(());
        };
        if let Value::Bytes(bytes) = value {
            string(line, bytes, self.notation);
            return Ok(());
        }
        if !value.is_known() {
            line.extend_from_slice(b"null");
            self.json_beside(line, value);
            return Ok(());
        }
        line.push(b'"');
        let mut piece = Vec::new();
        value_bytes(self.log, value, &mut |bytes| {
            piece.extend_from_slice(bytes);
            let ready = piece.len() - cut_character(&piece, self.notation);
            write(line, &piece[..ready], self.notation, true);
            piece.drain(..ready);
            out.write_all(line)?;
            line.clear();
            Ok(())
        })?;
        write(line, &piece, self.notation, true);
        line.push(b'"');
        self.json_beside(line, value);
        Ok(())
    }

    /// `value,file,offset,seq`, or nothing between the commas.
    fn csv_side(&self, line: &mut Vec<u8>, live: Option<&Live<'_>>) -> Result<()> {
        let Some(live) = live else {
            line.extend_from_slice(b",,,");
            return Ok(());
        };
        let mut value = Vec::new();
        value_bytes(self.log, &live.value, &mut |piece| {
            value.extend_from_slice(piece);
            Ok(())
        })?;
        cell(line, &value, self.notation);
        line.push(b',');
        cell(line, self.file(live.place).as_bytes(), Notation::Escape);
        put(line, format_args!(",{},", live.place.at));
        if let Some(seq) = self.seq(live.place) {
            put(line, format_args!("{seq}"));
        }
        Ok(())
    }

    /// As much of a value as people want to see.
    fn text_value(&self, line: &mut Vec<u8>, value: &Value<'_>) -> Result<()> {
        let limit = if self.verbose { usize::MAX } else { SHORT };
        let left = width().saturating_sub(taken(last_line(line)));
        let room = if self.verbose { usize::MAX } else { left };
        match value {
            Value::Bytes(bytes) => fitting(line, (bytes, bytes.len()), self.notation, limit, room),
            Value::Entity(_) | Value::Blob(_) | Value::Unmerged(_) => {
                self.text_beside(line, value, limit);
            }
            Value::Placed(part) => {
                let len = part.span.end.saturating_sub(part.span.start);
                let end = part.span.end.min(part.span.start.saturating_add(SHORT as u64));
                let place = Part { file: part.file, span: part.span.start..end };
                let mut start = Vec::new();
                value_bytes(self.log, &Value::Placed(place), &mut |piece| {
                    start.extend_from_slice(piece);
                    Ok(())
                })?;
                let all = usize::try_from(len).unwrap_or(usize::MAX);
                fitting(line, (&start, all), self.notation, start.len(), room);
            }
        }
        Ok(())
    }

    fn text_place(&self, place: Place, seq: Option<u64>) -> String {
        let seq = seq.map_or(String::new(), |seq| format!(", seq {seq}"));
        format!("{}:0x{:x}{seq}", middle(&printable(self.file(place)), NAME), place.at)
    }
}

/// Bytes at the end of a piece that are only the start of a character.
fn cut_character(bytes: &[u8], notation: Notation) -> usize {
    let lead = |b: u8| match b {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    let back = bytes.iter().rev().take(3).position(|&b| b >= 0xc0).map(|back| back + 1);
    match (notation, back) {
        (Notation::Escape, Some(back)) if lead(bytes[bytes.len() - back]) > back => back,
        _ => 0,
    }
}

fn error<'r>(replayed: &'r Replayed<'_>) -> &'r str {
    sentence(replayed.error.as_deref().unwrap_or("it gives no reason"))
}

/// An engine's words inside a sentence, which has a full stop of its own.
fn sentence(error: &str) -> &str {
    error.trim_end_matches('.')
}

/// The options that name a log besides its path.
pub fn options(as_format: Option<&str>, report: &Report) -> String {
    let mut options = as_format.map_or(String::new(), |name| format!(" --as {name}"));
    if let Some(revision) = report.revision.filter(|_| report.revision_named) {
        options += &format!(" --revision {revision}");
    }
    options
}
