//! Two states, key by key.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::state::{StateDoc, Told};
use super::{FEW, SHORT, Teller, error};
use crate::findings::plural;
use crate::replay::diff::{Counts, Difference, compare};
use crate::ui::Format;
use crate::ui::page::append;
use crate::ui::paint::Hue;
use crate::ui::row::put;

impl<'a> Teller<'a> {
    /// Two states key by key; the result tells whether they are the same.
    ///
    /// # Errors
    /// When a value cannot be read any more, or `out` fails.
    pub fn diff(&self, out: &mut dyn Write, format: Format, a: &Told<'_>, b: &Told<'_>) -> Result<bool> {
        let (first, second) = (&a.replayed.state, &b.replayed.state);
        let mut rows = 0;
        let mut line = Vec::new();
        let counts = match format {
            Format::Text => {
                let counts = compare(self.log, first, second, &mut |_| Ok(()))?;
                self.diff_head(out, a, b, counts)?;
                // Two lines each.
                let few = if self.verbose { u64::MAX } else { FEW / 2 };
                let words = [a.replayed.policy.word(), b.replayed.policy.word()];
                compare(self.log, first, second, &mut |difference| {
                    rows += 1;
                    if rows <= few { self.diff_text(out, &difference, words) } else { Ok(()) }
                })?;
                if rows > few {
                    writeln!(out, "  … and {} more (-v lists all)", rows - few)?;
                }
                counts
            }
            Format::Csv => {
                write!(out, "kind,{},", self.csv_key_head())?;
                out.write_all(b"left_value,left_file,left_offset,left_seq,")?;
                out.write_all(b"right_value,right_file,right_offset,right_seq\n")?;
                compare(self.log, first, second, &mut |difference| {
                    line.clear();
                    put(&mut line, format_args!("{},", difference.word()));
                    self.csv_key(&mut line, difference.key());
                    for side in <[_; 2]>::from(difference.sides()) {
                        line.push(b',');
                        self.csv_side(&mut line, side)?;
                    }
                    line.push(b'\n');
                    Ok(out.write_all(&line)?)
                })?
            }
            Format::Json | Format::Ndjson => {
                let single = format == Format::Json;
                if single {
                    let head = serde_json::to_string(&self.head())?;
                    let head = head.trim_start_matches('{').trim_end_matches('}');
                    write!(out, "{{\"schema\":\"walmedic.replay-diff/1\",{head},\"differences\":[")?;
                } else {
                    self.meta(out, "walmedic.replay-diff/1")?;
                }
                let counts = compare(self.log, first, second, &mut |difference| {
                    line.clear();
                    if single && rows > 0 {
                        line.push(b',');
                    }
                    rows += 1;
                    self.diff_json(out, &mut line, &difference)?;
                    if !single {
                        line.push(b'\n');
                    }
                    Ok(out.write_all(&line)?)
                })?;
                let tail = serde_json::to_string(&self.diff_summary(a, b, counts, single))?;
                match single {
                    true => writeln!(out, "],{}", tail.trim_start_matches('{'))?,
                    false => writeln!(out, "{tail}")?,
                }
                counts
            }
        };
        Ok(equal(a, b, counts))
    }

    fn diff_summary<'t>(
        &self,
        a: &'t Told<'_>,
        b: &'t Told<'_>,
        counts: Counts,
        single: bool,
    ) -> impl Serialize + use<'t, 'a>
    where
        'a: 't,
    {
        #[derive(Serialize)]
        struct Summary<'a> {
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            what: Option<&'static str>,
            equal: bool,
            added: u64,
            missing: u64,
            changed: u64,
            same: u64,
            left: StateDoc<'a>,
            right: StateDoc<'a>,
        }
        Summary {
            what: (!single).then_some("summary"),
            equal: equal(a, b, counts),
            added: counts.added,
            missing: counts.missing,
            changed: counts.changed,
            same: counts.same,
            left: self.state_doc(a),
            right: self.state_doc(b),
        }
    }

    fn diff_json(&self, out: &mut dyn Write, line: &mut Vec<u8>, difference: &Difference<'_>) -> Result<()> {
        put(line, format_args!("{{\"type\":\"difference\",\"kind\":\"{}\",", difference.word()));
        self.json_key(line, difference.key());
        let (left, right) = difference.sides();
        for (side, live) in [("left", left), ("right", right)] {
            put(line, format_args!(",\"{side}\":"));
            let Some(live) = live else {
                line.extend_from_slice(b"null");
                continue;
            };
            line.extend_from_slice(b"{\"value\":");
            self.json_value(out, line, Some(&live.value))?;
            self.json_place(line, live.place, self.seq(live.place));
            line.push(b'}');
        }
        line.push(b'}');
        Ok(())
    }

    fn diff_head(&self, out: &mut dyn Write, a: &Told<'_>, b: &Told<'_>, counts: Counts) -> Result<()> {
        let (word, hue) = if equal(a, b, counts) { ("SAME", Hue::Good) } else { ("DIFFERENT", Hue::Bad) };
        self.title(out, word, hue)?;
        let mut lines = Vec::new();
        for Told { replayed, measure, .. } in [a, b] {
            let state = match replayed.opens {
                true => {
                    format!("{} applied, {}", self.record(replayed.applied), plural(measure.keys, "live key"))
                }
                false if replayed.unknown => format!("not known: {}", error(replayed)),
                false => format!("would refuse to open: {}", error(replayed)),
            };
            lines.push(format!("{}: {state}.", replayed.policy.word()));
        }
        let Counts { added, missing, changed, same } = counts;
        let (p, q) = (a.replayed.policy.word(), b.replayed.policy.word());
        lines.push(format!(
            "{} only in {q}, {missing} only in {p}, {changed} with other values, {same} alike.",
            plural(added, "key")
        ));
        lines.extend(self.cut(a));
        self.paragraph(out, &lines)?;
        if counts.differing() > 0 {
            writeln!(out)?;
        }
        Ok(())
    }

    fn diff_text(&self, out: &mut dyn Write, difference: &Difference<'_>, words: [&str; 2]) -> Result<()> {
        let (sign, hue) = match difference {
            Difference::Added(_) => ('+', Hue::Good),
            Difference::Missing(_) => ('-', Hue::Bad),
            Difference::Changed(..) => ('~', Hue::Kept),
        };
        let limit = if self.verbose { usize::MAX } else { 2 * SHORT };
        let mut line = Vec::new();
        put(&mut line, format_args!("  {} ", self.paint.hue(hue, sign)));
        match self.split(difference.key()).1 {
            [] => line.extend_from_slice(b"(the empty key)"),
            _ => self.text_key(&mut line, difference.key(), limit),
        }
        line.push(b'\n');
        let (left, right) = difference.sides();
        for (live, word) in [left, right].into_iter().zip(words) {
            let Some(live) = live else { continue };
            put(&mut line, format_args!("      {word:<9} = "));
            self.text_value(&mut line, &live.value)?;
            let place = self.text_place(live.place, self.seq(live.place));
            append(&mut line, 18, &place, &place);
            line.push(b'\n');
        }
        Ok(out.write_all(&line)?)
    }
}

/// A state that an engine refuses to make is the same as none, not even an empty one.
fn equal(a: &Told<'_>, b: &Told<'_>, counts: Counts) -> bool {
    counts.differing() == 0 && a.replayed.opens && b.replayed.opens
}
