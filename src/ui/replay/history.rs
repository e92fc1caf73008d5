//! The versions of a key.

use std::borrow::Cow;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::{Doc, FEW, SHORT, Teller};
use crate::fate::Standing;
use crate::findings::plural;
use crate::format::Effect;
use crate::replay::history::{self, Found, Version, Wanted};
use crate::replay::state::Value;
use crate::replay::{Policy, value_bytes};
use crate::ui::Format;
use crate::ui::bytes::{Notation, printable};
use crate::ui::page::append;
use crate::ui::paint::Hue;
use crate::ui::row::{cell, put};
use crate::ui::text::unknown;

impl Teller<'_> {
    /// Every version of the keys asked for; `asked` is what the user typed.
    ///
    /// # Errors
    /// When a value cannot be read any more, or `out` fails.
    pub fn history(
        &self,
        out: &mut dyn Write,
        format: Format,
        asked: &str,
        wanted: &Wanted<'_>,
        found: Found,
    ) -> Result<()> {
        let (all, keys) = (found.versions, found.keys());
        let (mut told, mut line, mut file) = (0, Vec::new(), None);
        self.history_open(out, format, asked, &found)?;
        history::tell(self.log, self.report, wanted, &found, &mut |version| {
            told += 1;
            line.clear();
            match format {
                Format::Text
                    if !self.verbose && told + FEW <= all && (keys > 1 || version.last_of.is_empty()) =>
                {
                    return Ok(());
                }
                Format::Text => {
                    if file != Some(version.place.file) {
                        file = Some(version.place.file);
                        let head =
                            format!("{}\n    offset      seq operation", printable(self.file(version.place)));
                        writeln!(line, "{}", self.paint.strong(head))?;
                    }
                    self.version_text(&mut line, version, keys > 1)?;
                }
                Format::Csv => self.version_csv(&mut line, version)?,
                Format::Json | Format::Ndjson => {
                    if format == Format::Json && told > 1 {
                        line.push(b',');
                    }
                    self.version_json(out, &mut line, version)?;
                    if format == Format::Ndjson {
                        line.push(b'\n');
                    }
                }
            }
            Ok(out.write_all(&line)?)
        })?;
        match format {
            Format::Json => writeln!(out, "],\"count\":{told}}}")?,
            Format::Ndjson => writeln!(out, "{{\"type\":\"summary\",\"count\":{told}}}")?,
            Format::Csv | Format::Text => {}
        }
        Ok(())
    }

    fn history_open(&self, out: &mut dyn Write, format: Format, asked: &str, found: &Found) -> Result<()> {
        match format {
            Format::Csv => {
                writeln!(out, "{},file,offset,seq,op,value,standing,last_of", self.csv_key_head())?;
            }
            Format::Ndjson => self.meta(out, "walmedic.replay-history/1")?,
            Format::Json => {
                #[derive(Serialize)]
                struct Open<'a> {
                    key: &'a str,
                    opens: Option<bool>,
                    engine_error: Option<&'a str>,
                }
                let opens = (!found.unknown).then_some(found.opens);
                let body = Open { key: asked, opens, engine_error: found.error.as_deref() };
                let schema = Some("walmedic.replay-history/1");
                let head = Doc { what: None, schema, body, head: Some(self.head()) };
                let head = serde_json::to_string(&head)?;
                write!(out, "{},\"versions\":[", head.trim_end_matches('}'))?;
            }
            Format::Text => {
                self.title(out, "HISTORY", Hue::Kept)?;
                let versions = plural(found.versions, "version");
                let keys = match found.keys() {
                    0 | 1 => String::new(),
                    keys => format!(" ({})", plural(keys, "key")),
                };
                let mut lines = vec![format!("{versions} of {asked}{keys}, in the order written.")];
                if found.versions > FEW && !self.verbose {
                    let decide = if found.keys() == 1 { " and those that decide" } else { "" };
                    lines.push(format!("Shown are the last {FEW}{decide} (-v lists all)."));
                }
                if !found.opens {
                    let why = super::sentence(found.error.as_deref().unwrap_or("it gives no reason"));
                    lines.push(match found.unknown {
                        true => unknown(why),
                        false => format!("The engine would refuse to open the log: {why}."),
                    });
                }
                self.paragraph(out, &lines)?;
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn version_text(&self, line: &mut Vec<u8>, version: &Version<'_>, several: bool) -> Result<()> {
        let hue = match version.standing {
            Some(Standing::Committed) => Hue::Good,
            Some(Standing::Damaged) | None => Hue::Bad,
            _ => Hue::Odd,
        };
        let seq = version.seq.map_or("-".into(), |n| n.to_string());
        put(line, format_args!("{:>10} {seq:>8} {:<10} ", version.place.at, version.effect.word()));
        if several {
            self.text_key(line, version.key, if self.verbose { usize::MAX } else { SHORT });
            line.push(b' ');
        }
        match &version.effect {
            Effect::DeleteRange(end) => {
                line.extend_from_slice(b"up to ");
                self.text_value(line, &self.end(end))?;
            }
            effect => {
                if let Some(value) = effect.value() {
                    line.extend_from_slice(b"= ");
                    self.text_value(line, value)?;
                }
            }
        }
        let words = format!("[{}]", standing(version));
        append(line, 31, &words, &self.paint.hue(hue, &words));
        if !version.last_of.is_empty() {
            let words = format!("last under {}", words_of(&version.last_of).join(", "));
            append(line, 31, &words, &self.paint.strong(&words));
        }
        line.push(b'\n');
        Ok(())
    }

    fn version_csv(&self, line: &mut Vec<u8>, version: &Version<'_>) -> Result<()> {
        self.csv_key(line, version.key);
        line.push(b',');
        cell(line, self.file(version.place).as_bytes(), Notation::Escape);
        put(line, format_args!(",{},", version.place.at));
        if let Some(seq) = version.seq {
            put(line, format_args!("{seq}"));
        }
        put(line, format_args!(",{},", version.effect.word()));
        let mut value = Vec::new();
        let with = match &version.effect {
            Effect::DeleteRange(end) => Some(Cow::Owned(self.end(end))),
            effect => effect.value().map(Cow::Borrowed),
        };
        if let Some(with) = with {
            value_bytes(self.log, &with, &mut |piece| {
                value.extend_from_slice(piece);
                Ok(())
            })?;
        }
        cell(line, &value, self.notation);
        put(line, format_args!(",{},{}\n", standing(version), words_of(&version.last_of).join(" ")));
        Ok(())
    }

    fn version_json(&self, out: &mut dyn Write, line: &mut Vec<u8>, version: &Version<'_>) -> Result<()> {
        line.extend_from_slice(b"{\"type\":\"version\",");
        self.json_key(line, version.key);
        put(line, format_args!(",\"op\":\"{}\",", version.effect.word()));
        if let Effect::DeleteRange(end) = &version.effect {
            line.extend_from_slice(b"\"value\":null,\"end\":");
            self.json_value(out, line, Some(&self.end(end)))?;
        } else {
            line.extend_from_slice(b"\"value\":");
            self.json_value(out, line, version.effect.value())?;
        }
        self.json_place(line, version.place, version.seq);
        put(line, format_args!(",\"standing\":\"{}\",\"last_of\":[", standing(version)));
        for (i, word) in words_of(&version.last_of).iter().enumerate() {
            put(line, format_args!("{}\"{word}\"", if i > 0 { "," } else { "" }));
        }
        line.extend_from_slice(b"]}");
        Ok(())
    }
}

impl Teller<'_> {
    /// The key that a range ends in front of.
    fn end<'v>(&self, end: &'v Value<'_>) -> Value<'v> {
        match end {
            Value::Bytes(end) => Value::Bytes(self.split(end).1.into()),
            other => other.clone(),
        }
    }
}

fn standing(version: &Version<'_>) -> &'static str {
    version.standing.map_or("engine-only", Standing::word)
}

fn words_of(policies: &[Policy]) -> Vec<&'static str> {
    policies.iter().map(|policy| policy.word()).collect()
}
