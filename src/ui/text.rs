//! Reports for people: the verdict in plain words first, then a table of files with a map of each, then findings, then
//! what to do next. Keeps to the page; long lists are cut and say so.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use owo_colors::Rgb;

use crate::analysis::{FileReport, Report};
use crate::findings::{Finding, lacking, plural, span};
use crate::format::Generation;
use crate::judgement::Judgement;
use crate::log::conclude::Place;
use crate::log::finding::{Class, Code};
use crate::log::region::Kind;
use crate::ui::bytes::{Notation, printable};
use crate::ui::generations::{self, Cost};
use crate::ui::modes;
use crate::ui::page::{indented, step, width, wrap};
use crate::ui::paint::{Hue, Paint, sign};
use crate::ui::row;
use crate::ui::steps::next_steps;

/// Files, findings and gaps shown without -v.
const FEW: usize = 12;
/// Cells of a map, and of one that still says something.
const MAP: usize = 20;
const SMALL_MAP: usize = 8;
/// Characters of a file name, and of one that can still be told from others.
const NAME: usize = 22;
const SHORT_NAME: usize = 12;
/// What is told of each file.
const HEAD: [&str; 7] = ["file", "bytes", "intact", "recov.", "first bad", "end", "map"];

/// How to print reports.
pub struct View<'a> {
    paint: Paint,
    verbose: bool,
    judgement: &'a Judgement,
}

impl<'a> View<'a> {
    /// `verbose`: every file and every finding.
    pub fn new(paint: Paint, verbose: bool, judgement: &'a Judgement) -> Self {
        View { paint, verbose, judgement }
    }

    /// The report of `verify`.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn verify(&self, out: &mut dyn Write, report: &Report) -> Result<()> {
        let tally = Tally::of(report, self.judgement);
        self.verdict(out, report, &tally)?;
        self.files(out, report)?;
        self.findings(out, report, &tally)?;
        self.next(out, report, &tally)?;
        writeln!(out)?;
        Ok(())
    }

    fn verdict(&self, out: &mut dyn Write, report: &Report, tally: &Tally) -> Result<()> {
        let (word, hue) = tally.verdict();
        let profile = report.format.profile();
        let revision = report.revision.map_or(String::new(), |r| format!(" {r}"));
        let path = printable(&report.path);
        writeln!(out, "{} {path}", self.paint.strong(self.paint.hue(hue, word)))?;
        writeln!(out, "  {}{revision}, {}", profile.title, tally.size())?;
        for line in tally.sentences(report) {
            indented(out, &line, 2)?;
        }
        if self.verbose {
            indented(out, &format!("Recognised by {}.", printable(&report.recognised_by)), 2)?;
        }
        writeln!(out)?;
        Ok(())
    }

    fn files(&self, out: &mut dyn Write, report: &Report) -> Result<()> {
        let (all, mut drawn) = (report.files.len(), false);
        let hurt: Vec<usize> = (0..all).filter(|&i| !is_plain(&report.files[i])).collect();
        let shown: Vec<usize> = if self.verbose || all <= FEW {
            (0..all).collect()
        } else {
            hurt.iter().copied().take(FEW).collect()
        };
        if !shown.is_empty() {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
            if self.paint.on() {
                table.enforce_styling()
            } else {
                table.force_no_tty()
            };
            let rows: Vec<_> = shown.iter().map(|&i| row_of(&report.files[i])).collect();
            let (name, map) = room(&rows);
            drawn = map > 0;
            let columns = if map > 0 { HEAD.len() } else { HEAD.len() - 1 };
            table.set_header(&HEAD[..columns]);
            for (&i, (cells, hue)) in shown.iter().zip(&rows) {
                let [file, bytes, intact, recovered, first_bad, end] = cells;
                let end = Cell::new(end).fg(color(*hue));
                let mut row = vec![Cell::new(middle(file, name))];
                row.extend([bytes, intact, recovered, first_bad].map(Cell::new));
                row.extend([end, Cell::new(self.map(&report.files[i], map))]);
                row.truncate(columns);
                table.add_row(row);
            }
            for (i, column) in table.column_iter_mut().enumerate() {
                column.set_padding((if i == 0 { 2 } else { 1 }, 0));
                if (1..=4).contains(&i) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            for line in table.lines() {
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        let left = all - shown.len();
        if left > 0 {
            let bad = hurt.len().saturating_sub(shown.len());
            let what = if bad > 0 { format!("{bad} of them damaged") } else { "all clean".into() };
            writeln!(out, "  {left} more files, {what} (-v lists every file)")?;
        }
        if drawn {
            self.legend(out, shown.iter().map(|&i| &report.files[i]))?;
        }
        Ok(())
    }

    /// The file in a line: each sign stands for the worst that lies in its share of the bytes.
    fn map(&self, f: &FileReport, cells: usize) -> String {
        let size = f.survey.regions.end();
        let cells = size.min(cells as u64);
        let regions = f.survey.regions.as_slice();
        let mut line = String::new();
        for cell in 0..cells {
            let share = |n: u64| (u128::from(size) * u128::from(n) / u128::from(cells)) as u64;
            let (from, to) = (share(cell), share(cell + 1).max(share(cell) + 1));
            let first = regions.partition_point(|r| r.end() <= from);
            let inside = regions[first..].iter().take_while(|r| r.at < to);
            let worst = inside.max_by_key(|r| severity(r.kind)).map_or(Kind::Records, |r| r.kind);
            let (glyph, hue) = sign(worst);
            line += &self.paint.hue(hue, glyph);
        }
        line
    }

    fn legend<'f>(&self, out: &mut dyn Write, files: impl Iterator<Item = &'f FileReport>) -> Result<()> {
        let mut kinds: Vec<Kind> = files.flat_map(|f| f.survey.regions.as_slice()).map(|r| r.kind).collect();
        kinds.sort_by_key(|k| severity(*k));
        kinds.dedup();
        let (mut line, mut taken) = (String::new(), 0);
        for kind in kinds {
            let (glyph, hue) = sign(kind);
            let word = if kind == Kind::Records { "intact" } else { kind.word() };
            if taken > 0 && taken + word.len() + 4 > width() {
                writeln!(out, "{line}")?;
                (line, taken) = (String::new(), 0);
            }
            line += &format!("  {} {word}", self.paint.hue(hue, glyph));
            taken += word.len() + 4;
        }
        if !line.is_empty() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn findings(&self, out: &mut dyn Write, report: &Report, tally: &Tally) -> Result<()> {
        if tally.findings + tally.notes == 0 {
            return Ok(());
        }
        writeln!(out)?;
        let (mut shown, mut hidden) = (0, 0);
        for f in report.findings() {
            let class = self.judgement.class(&f);
            // Notes wait until everything that counts has been said, unless all is said anyway.
            if !self.verbose && (shown >= FEW || (class == Class::Note && tally.findings > FEW)) {
                hidden += 1;
                continue;
            }
            shown += 1;
            self.finding(out, report, &f, class)?;
        }
        if hidden > 0 {
            writeln!(out, "  … and {hidden} more (-v lists all)")?;
        }
        Ok(())
    }

    fn finding(&self, out: &mut dyn Write, report: &Report, f: &Finding, class: Class) -> Result<()> {
        let hue = match class {
            Class::Note => Hue::Faint,
            Class::TornTail => Hue::Torn,
            Class::Orphan | Class::Foreign => Hue::Odd,
            _ => Hue::Bad,
        };
        let place = f.file.map_or(String::new(), |i| {
            format!(" {}:0x{:x}", middle(&printable(&report.files[i].name), NAME), f.at)
        });
        let note = if class == Class::Note { " (note)" } else { "" };
        let head = format!("{} {}{place}{note}", f.code.text(), f.code.title());
        let lines = if head.chars().count() + 2 <= width() { vec![head] } else { wrap(&head, 9) };
        for (i, line) in lines.iter().enumerate() {
            writeln!(out, "{:1$}{2}", "", if i == 0 { 2 } else { 9 }, self.paint.hue(hue, line))?;
        }
        for line in wrap(&printable(&f.message), 10) {
            writeln!(out, "         {line}")?;
        }
        Ok(())
    }

    fn next(&self, out: &mut dyn Write, report: &Report, tally: &Tally) -> Result<()> {
        let steps = next_steps(report, tally);
        if steps.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  {}", self.paint.strong("Next:"))?;
        for (command, why) in steps {
            step(out, &command, &why)?;
        }
        Ok(())
    }

    /// The log and what there is to say of it, behind its path where there is room.
    fn headline(&self, out: &mut dyn Write, report: &Report, said: &str) -> Result<()> {
        let path = printable(&report.path);
        let fits = path.chars().count() + 2 + said.chars().count() <= width();
        write!(out, "{}:", self.paint.strong(path))?;
        if fits {
            return Ok(writeln!(out, " {said}")?);
        }
        writeln!(out)?;
        indented(out, said, 2)
    }

    /// The report of `gaps`.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn gaps(&self, out: &mut dyn Write, report: &Report, generations: &[Generation]) -> Result<()> {
        let (c, profile) = (&report.conclusions, report.format.profile());
        if !profile.numbered {
            let title = profile.title;
            let why =
                format!("no sequence numbers are stored in this format, so none can be missing ({title})");
            return self.headline(out, report, &why);
        }
        let missing: u128 = c.gaps.iter().map(|g| u128::from(g.last - g.first) + 1).sum();
        let recovered: u64 = c.gaps.iter().map(|g| g.recovered).sum();
        match c.reach() {
            Some((first, last)) if c.gaps.is_empty() && c.repeats.is_empty() => {
                self.headline(out, report, &format!("seq {first}..{last}, without a gap"))?;
            }
            Some((first, last)) => {
                let gaps = plural(c.gaps.len() as u64, "gap");
                let missing = missing.saturating_sub(recovered.into());
                let sum = format!("seq {first}..{last}, {gaps}, {missing} missing, {recovered} recovered");
                self.headline(out, report, &sum)?;
            }
            None => self.headline(out, report, "no intact record, so no numbers")?,
        }
        let few = if self.verbose { usize::MAX } else { 4 * FEW };
        for g in c.gaps.iter().take(few) {
            let place = |at: Place| format!("{}:0x{:x}", printable(&report.files[at.file].name), at.at);
            let (before, cause) = (place(g.before), g.cause.word());
            for line in wrap(&lacking(g), 2) {
                writeln!(out, "  {}", self.paint.hue(Hue::Bad, line))?;
            }
            let place = match g.after.map(place) {
                Some(after) => format!("between {after} and {before}"),
                None => format!("in front of {before}"),
            };
            indented(out, &format!("{place}; likely cause: {cause}"), 6)?;
            if let Some(cost) = Cost::of(report, g) {
                indented(out, &cost.line(), 6)?;
            }
        }
        for r in c.repeats.iter().take(few) {
            let file = printable(&report.files[r.place.file].name);
            let what = self.paint.hue(Hue::Odd, format!("{} {}", span(r.first, r.last), r.kind.word()));
            writeln!(out, "  {what} at {file}:0x{:x}", r.place.at)?;
        }
        for generation in generations.iter().take(few) {
            indented(out, &generations::line(generation, profile.record), 2)?;
        }
        let hidden = [c.gaps.len(), c.repeats.len(), generations.len()].map(|n| n.saturating_sub(few));
        let hidden: usize = hidden.iter().sum();
        if hidden > 0 {
            writeln!(out, "  … and {hidden} more (-v lists all)")?;
        }
        Ok(())
    }
}

/// What is told of a file, in words, up to its map; and the hue of its end.
fn row_of(f: &FileReport) -> ([String; 6], Hue) {
    let (before, after, recovered) = f.survey.counts();
    let intact = if after > 0 { format!("{before}+{after}") } else { before.to_string() };
    let first_bad = f.first_bad().map_or("-".into(), |at| format!("0x{at:x}"));
    let end = if f.failure.is_some() { "unread" } else { f.end() };
    let hue = match end {
        "clean" | "preallocated" | "stale" => Hue::Good,
        "torn" => Hue::Torn,
        _ => Hue::Bad,
    };
    let recovered = if recovered > 0 { recovered.to_string() } else { "-".into() };
    ([printable(&f.name), f.bytes.to_string(), intact, recovered, first_bad, end.into()], hue)
}

/// Characters for the names of files and cells for their maps; no map is drawn where there is no room for a small one.
fn room(rows: &[([String; 6], Hue)]) -> (usize, usize) {
    let widest = |i: usize| rows.iter().map(|row| row.0[i].chars().count()).max().unwrap_or(0);
    let numbers: usize = (1..6).map(|i| widest(i).max(HEAD[i].len()) + 1).sum();
    // Two columns in front of a name, one in front of a map.
    let left = width().saturating_sub(numbers + 3);
    let name = widest(0).clamp(HEAD[0].len(), NAME);
    let map = left.saturating_sub(name).min(MAP);
    if map >= SMALL_MAP {
        return (name, map);
    }
    let short = name.min(SHORT_NAME);
    match left.checked_sub(short) {
        Some(over) if over >= SMALL_MAP => (left - SMALL_MAP, SMALL_MAP),
        _ => (name.min((left + 1).max(short)), 0),
    }
}

fn color(hue: Hue) -> Color {
    let Rgb(r, g, b) = hue.rgb();
    Color::Rgb { r, g, b }
}

/// A file with nothing to say about it.
fn is_plain(f: &FileReport) -> bool {
    f.first_bad().is_none() && f.failure.is_none() && !f.shrunk && f.unreadable.is_empty()
}

fn severity(kind: Kind) -> u8 {
    match kind {
        Kind::Records => 0,
        Kind::Framing => 1,
        Kind::Preallocated => 2,
        Kind::Stale => 3,
        Kind::Recovered => 4,
        Kind::Torn => 5,
        Kind::Foreign => 6,
        Kind::Mixed => 7,
        Kind::Damage => 8,
        Kind::Unreadable => 9,
    }
}

/// Counts over a report, made in one pass.
pub(super) struct Tally {
    intact: u64,
    behind: u64,
    recovered: u64,
    bytes: u64,
    files: usize,
    findings: usize,
    notes: usize,
    pub(super) incomplete: bool,
    /// There are findings, and `--allow` names all of them.
    allowed: bool,
    pub(super) codes: BTreeMap<Code, (u64, Option<(usize, u64)>)>,
    pub(super) worst: Option<Class>,
}

impl Tally {
    fn of(report: &Report, judgement: &Judgement) -> Tally {
        let mut t = Tally {
            intact: 0,
            behind: 0,
            recovered: 0,
            bytes: 0,
            files: report.files.len(),
            findings: 0,
            notes: 0,
            incomplete: false,
            allowed: false,
            codes: BTreeMap::new(),
            worst: None,
        };
        let mut hurt = false;
        for f in &report.files {
            t.bytes += f.bytes;
            if f.role.counts() {
                let (before, after, recovered) = f.survey.counts();
                t.behind += if hurt { before + after } else { after };
                t.intact += before + after;
                t.recovered += recovered;
                hurt |= f.first_bad().is_some();
            }
        }
        for f in report.findings() {
            match judgement.class(&f) {
                Class::Note => {
                    t.allowed |= f.class != Class::Note;
                    t.notes += 1;
                    continue;
                }
                Class::Incomplete => t.incomplete = true,
                class => t.worst = t.worst.max(Some(class)),
            }
            t.findings += 1;
            let entry = t.codes.entry(f.code).or_insert((0, f.file.map(|i| (i, f.at))));
            entry.0 += 1;
        }
        t
    }

    fn verdict(&self) -> (&'static str, Hue) {
        match self.worst {
            _ if self.incomplete => ("INCOMPLETE", Hue::Bad),
            None if self.allowed => ("ALLOWED", Hue::Torn),
            None => ("CLEAN", Hue::Good),
            Some(_) if self.codes.keys().all(|&c| c == Code::EngineRefuses) => ("REFUSED", Hue::Bad),
            Some(_) if self.codes.keys().all(|c| c.class() == Class::TornTail) => ("TORN TAIL", Hue::Torn),
            Some(_) if self.codes.keys().all(|c| c.class() == Class::Orphan) => ("UNCOMMITTED", Hue::Odd),
            Some(_)
                if self
                    .codes
                    .keys()
                    .all(|c| matches!(c.class(), Class::Gap | Class::Foreign | Class::Stale)) =>
            {
                ("SUSPECT", Hue::Odd)
            }
            Some(_) => ("DAMAGED", Hue::Bad),
        }
    }

    fn size(&self) -> String {
        format!("{}, {}", plural(self.files as u64, "file"), size(self.bytes))
    }

    /// The verdict in plain words.
    fn sentences(&self, report: &Report) -> Vec<String> {
        let mut lines = Vec::new();
        let record = report.format.profile().record;
        let mut codes: Vec<_> = self.codes.iter().collect();
        codes.sort_by_key(|(code, _)| (code.class() != Class::Incomplete, code.class() != Class::Corruption));
        for (code, (count, first)) in codes.iter().take(6) {
            let times = if *count == 1 { String::from("1") } else { count.to_string() };
            let place = first.map_or(String::new(), |(file, at)| {
                let name = printable(&report.files[file].name);
                let first = if *count == 1 { "in" } else { "first in" };
                format!(", {first} {name} at byte {at} (0x{at:x})")
            });
            lines.push(format!("{times} x {}{place}.", code.title()));
        }
        if codes.len() > 6 {
            lines.push(format!("{} other kinds of findings.", codes.len() - 6));
        }
        lines.push(match (self.worst.is_some(), self.intact) {
            (_, 0) if self.bytes == 0 => "There is nothing in it.".to_owned(),
            (_, 0) => format!("No intact {record} was found."),
            (false, n) if !self.allowed => format!("{} intact, nothing missing.", plural(n, record)),
            (_, n) => {
                let behind = match self.behind {
                    0 => String::new(),
                    behind => format!(", {behind} of them behind the damage"),
                };
                let recovered = match self.recovered {
                    0 => String::new(),
                    n => format!("; {n} more recovered from damaged fields"),
                };
                format!("{} intact{behind}{recovered}.", plural(n, record))
            }
        });
        lines.extend(self.forecast(report));
        if report.alone() {
            lines.push("The database was not given: this is said as if it lay beside the log.".into());
        }
        let forecast = report.forecast.as_ref();
        lines.extend(forecast.into_iter().flat_map(modes::lines));
        let transactions = forecast.and_then(|f| f.transactions).filter(|t| t.at_stake > 0);
        lines
            .extend(transactions.map(|t| {
                format!("In committed transactions: {} of {} would be lost.", t.at_stake, t.intact)
            }));
        let keys = forecast.and_then(|f| f.keys).filter(|keys| keys.at_stake > 0);
        lines.extend(keys.map(|keys| {
            let of = if keys.at_stake > keys.intact { String::new() } else { format!(" of {}", keys.intact) };
            let noun = report.format.profile().entry;
            format!("In {noun}s: {}{of} would be missing or not what they should be.", keys.at_stake)
        }));
        let rows = forecast.and_then(|f| f.rows).filter(|rows| rows.at_stake > 0);
        lines.extend(
            rows.map(|rows| format!("In rows of tables: {} would be left of {}.", rows.engine, rows.intact)),
        );
        lines
    }

    fn forecast(&self, report: &Report) -> Option<String> {
        let forecast = report.forecast.as_ref()?;
        let (keeps, intact, lost) = (forecast.engine.records, forecast.intact, forecast.at_stake());
        if self.bytes == 0 {
            return None;
        }
        Some(match &forecast.engine.error {
            Some(error) if forecast.engine.unknown => unknown(error),
            Some(error) if !forecast.engine.opens => {
                format!("The engine would refuse to open it ({error}): {} at stake.", plural(intact, "write"))
            }
            _ if lost > 0 => format!(
                "On its next open the engine would keep {keeps} of {} and silently lose {lost}.",
                plural(intact, "committed write")
            ),
            _ if keeps > intact => format!(
                "On its next open the engine would apply {}, though only {intact} {} intact and committed: at least {} of \
                 them should not count.",
                plural(keeps, "write"),
                if intact == 1 { "is" } else { "are" },
                keeps - intact
            ),
            _ if self.worst.is_none() && !self.allowed => return None,
            _ => format!(
                "On its next open the engine would apply {}, as many as are intact and committed.",
                plural(keeps, "write")
            ),
        })
    }
}

/// That nobody knows what the engine would do, and why.
pub fn unknown(why: &str) -> String {
    format!("What the engine would do is not known ({}).", why.trim_end_matches('.'))
}

/// Bytes in the unit that people say.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return plural(bytes, "byte");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A long name keeps its start and its end: numbers stand at the end.
pub fn middle(name: &str, width: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= width {
        return name.to_owned();
    }
    let (head, tail) = (width / 3, width - width / 3 - 1);
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

/// A cell of a CSV row as `dump` writes it: what a terminal would obey is escaped, and it is quoted where it must be.
pub fn csv_cell(text: &str) -> String {
    let mut out = Vec::new();
    row::cell(&mut out, text.as_bytes(), Notation::Escape);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(plural(2, "entry"), "2 entries");
        assert_eq!(plural(2, "live key"), "2 live keys");
        assert_eq!(plural(1, "write"), "1 write");
    }

    #[test]
    fn names_and_words_are_safe() {
        assert_eq!(middle("segment_0000000000000000000001.dat", 22).chars().count(), 22);
        assert_eq!(csv_cell("a\"b,c"), "\"a\"\"b,c\"");
        assert_eq!(csv_cell("a\x1b[31m\n\\"), "a\\x1b[31m\\x0a\\\\");
    }
}
