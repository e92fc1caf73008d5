//! What `dump` prints, line by line: how a list begins, goes on and ends in each format, whatever its lines are about.

use std::io::Write;

use anyhow::Result;
use serde_json::json;

use crate::ui::Format;
use crate::ui::bytes::printable;
use crate::ui::json;
use crate::ui::out::Out;
use crate::ui::paint::Paint;

/// What lines are about.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What they are called.
    pub what: &'static str,
    /// The first line of a table of cells.
    pub csv: &'static str,
    /// What people read above the lines of a file.
    pub columns: &'static str,
}

/// How one line is to be written; of JSON it is a line of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An object of JSON.
    Json,
    /// Cells.
    Csv,
    /// For people.
    Text,
}

/// Prints lines.
pub struct Lines {
    out: Out,
    line: Vec<u8>,
    kind: Kind,
    format: Format,
    paint: Paint,
    limit: u64,
    printed: u64,
    /// The one whose lines were printed last.
    file: Option<String>,
}

impl Lines {
    /// Begins a list of at most `limit` lines.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn new(kind: Kind, format: Format, paint: Paint, limit: Option<u64>) -> Result<Lines> {
        let mut out = Out::default();
        match format {
            Format::Ndjson => {
                let version = env!("CARGO_PKG_VERSION");
                let meta = json!({ "type": "meta", "schema": "walmedic.dump/1", "version": version });
                json::line(&mut out, &meta)?;
            }
            Format::Json => write!(out, "{{\"schema\":\"walmedic.dump/1\",\"{}\":[", kind.what)?,
            Format::Csv => writeln!(out, "{}", kind.csv)?,
            Format::Text => {}
        }
        let (line, limit) = (Vec::with_capacity(1 << 16), limit.unwrap_or(u64::MAX));
        Ok(Lines { out, line, kind, format, paint, limit, printed: 0, file: None })
    }

    /// Ends it; how many lines there were.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn end(mut self) -> Result<u64> {
        match self.format {
            Format::Ndjson => {
                json::line(&mut self.out, &json!({ "type": "summary", self.kind.what: self.printed }))?;
            }
            Format::Json => self.out.write_all(b"]}\n")?,
            Format::Csv | Format::Text => {}
        }
        self.out.flush()?;
        Ok(self.printed)
    }

    /// Whether no more lines are wanted.
    pub fn full(&self) -> bool {
        self.printed >= self.limit || self.out.closed()
    }

    /// Prints a line about something in this file.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn print(&mut self, file: &str, write: impl FnOnce(&mut Vec<u8>, Form)) -> Result<()> {
        self.line.clear();
        match self.format {
            Format::Ndjson => write(&mut self.line, Form::Json),
            Format::Json => {
                if self.printed > 0 {
                    self.line.push(b',');
                }
                write(&mut self.line, Form::Json);
                self.line.pop();
            }
            Format::Csv => write(&mut self.line, Form::Csv),
            Format::Text => {
                if self.file.as_deref() != Some(file) {
                    self.file = Some(file.to_owned());
                    let head = format!("{}\n{}", printable(file), self.kind.columns);
                    writeln!(self.line, "{}", self.paint.strong(head))?;
                }
                write(&mut self.line, Form::Text);
            }
        }
        self.put()
    }

    /// Prints what is not in any of the formats.
    ///
    /// # Errors
    /// When standard output or `write` fails.
    pub fn plain(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        self.line.clear();
        write(&mut self.line)?;
        self.put()
    }

    fn put(&mut self) -> Result<()> {
        self.printed += 1;
        Ok(self.out.write_all(&self.line)?)
    }
}
