//! A state: the verdict for people, its measure as a document, its keys as rows.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::{Serialize, Serializer};

use super::candidates::CandidateDoc;
use super::{Doc, NAME, Teller, error};
use crate::analysis::OpenLog;
use crate::codec::hex;
use crate::fate::Standing;
use crate::findings::plural;
use crate::format::Word;
use crate::log::conclude::Place;
use crate::log::region::Kind;
use crate::replay::measure::{Extent, Measure};
use crate::replay::state::{Sorted, Value};
use crate::replay::until::Point;
use crate::replay::{Policy, Replayed, Wish};
use crate::ui::Format;
use crate::ui::bytes::printable;
use crate::ui::json;
use crate::ui::page::step;
use crate::ui::paint::Hue;
use crate::ui::row::put;
use crate::ui::shell::quote;
use crate::ui::text::{middle, size, unknown};

/// A state with its measure.
pub struct Told<'a> {
    /// As asked for.
    pub wish: &'a Wish,
    /// What came of it.
    pub replayed: &'a Replayed<'a>,
    /// How much it holds.
    pub measure: Measure,
    /// That of the database file that the engine leaves, in logs of pages over one.
    pub image: Option<String>,
    /// The point asked for by `--until`, whether or not anything lies behind it.
    pub until: Option<Point>,
    /// Where it was written to.
    pub written: Option<&'a Path>,
}

/// The fields of the contract first, in its order.
#[derive(Serialize)]
pub(super) struct StateDoc<'a> {
    policy: &'static str,
    opens: Option<bool>,
    engine_error: Option<&'a str>,
    entries: u64,
    records_applied: u64,
    state_sha256: Option<&'a str>,
    image_sha256: Option<&'a str>,
    engine: Option<&'a str>,
    left_out: Option<LeftOutDoc>,
    until: Option<UntilDoc<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inferred: Vec<Inferred<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<CandidateDoc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<BaseDoc<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column_families: Option<FamiliesDoc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unresolved: Option<u64>,
    spilled: bool,
    written: Option<String>,
}

/// What the log goes on from: its tables, or why they are left out.
#[derive(Serialize)]
struct BaseDoc<'a> {
    tables: bool,
    error: Option<&'a str>,
}

/// Column families by name, in order of their numbers.
struct FamiliesDoc(Vec<(String, FamilyDoc)>);

#[derive(Serialize)]
struct FamilyDoc {
    entries: u64,
    state_sha256: Option<String>,
    unresolved: u64,
}

impl Serialize for FamiliesDoc {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, family)| (name, family)))
    }
}

/// A word that was put right.
#[derive(Serialize)]
pub struct Inferred<'a> {
    file: &'a str,
    offset: u64,
    found: String,
    inferred: String,
}

/// The words of a log that were put right.
pub fn inferred(log: &OpenLog) -> Vec<Inferred<'_>> {
    let of = |(file, word): (usize, &Word)| Inferred {
        file: &log.log.files[file].name,
        offset: word.at,
        found: hex::text(&word.found),
        inferred: hex::text(&word.inferred),
    };
    log.words().map(of).collect()
}

/// Records with data that do not count, and bytes that are no records.
#[derive(Serialize)]
struct LeftOutDoc {
    uncommitted: u64,
    incomplete_batch: u64,
    undecided: u64,
    repeated: u64,
    foreign: u64,
    stale: u64,
    unproved: u64,
    not_followed: u64,
    damaged_ranges: u64,
    damaged_bytes: u64,
}

/// What `--until` cut off; without a place nothing was.
#[derive(Serialize)]
struct UntilDoc<'a> {
    seq: Option<String>,
    commit: Option<String>,
    file: Option<&'a str>,
    offset: Option<u64>,
    records: u64,
}

impl<'a> Teller<'a> {
    /// Damaged ranges and their bytes, up to the cut.
    fn damage(&self, wish: &Wish) -> (u64, u64) {
        let until = wish.until.map(|cut| cut.place(wish.policy, wish.undecided));
        let inside = |file, at| until.is_none_or(|until| Place { file, at } < until);
        let files = self.report.files.iter().enumerate().filter(|(_, f)| f.role.counts());
        let regions = files.flat_map(|(i, f)| f.survey.regions.as_slice().iter().map(move |r| (i, r)));
        let bad = |kind| matches!(kind, Kind::Damage | Kind::Torn | Kind::Unreadable | Kind::Mixed);
        let bad = regions.filter(|(file, r)| bad(r.kind) && inside(*file, r.at));
        bad.fold((0, 0), |(n, bytes), (_, r)| (n + 1, bytes + r.len))
    }

    pub(super) fn state_doc<'t>(&self, told: &'t Told<'_>) -> StateDoc<'t>
    where
        'a: 't,
    {
        let (wish, replayed) = (told.wish, told.replayed);
        let of = |standing| replayed.left_out.count(standing);
        let (damaged_ranges, damaged_bytes) = self.damage(wish);
        let left_out = LeftOutDoc {
            uncommitted: of(Standing::Uncommitted),
            incomplete_batch: of(Standing::Incomplete),
            undecided: of(Standing::Undecided),
            repeated: of(Standing::Repeated),
            foreign: of(Standing::Foreign),
            stale: of(Standing::Stale),
            unproved: of(Standing::Damaged),
            not_followed: of(Standing::Unread),
            damaged_ranges,
            damaged_bytes,
        };
        let by_engine = replayed.policy == Policy::Engine;
        let until = told.until.map(|point| {
            let place = wish.until.map(|cut| cut.place(wish.policy, wish.undecided));
            let (seq, commit) = match point {
                Point::Seq(seq) => (Some(seq.to_string()), None),
                Point::Commit(ordinal) => (None, Some(ordinal.to_string())),
            };
            UntilDoc {
                seq,
                commit,
                file: place.map(|place| self.file(place)),
                offset: place.map(|place| place.at),
                records: wish.until.map_or(0, |cut| cut.records),
            }
        });
        StateDoc {
            policy: replayed.policy.word(),
            opens: (!replayed.unknown).then_some(replayed.opens),
            engine_error: replayed.error.as_deref(),
            entries: told.measure.main.entries,
            records_applied: replayed.applied,
            state_sha256: told.measure.main.hash.as_deref(),
            image_sha256: told.image.as_deref(),
            engine: wish.engine.as_deref().filter(|_| by_engine),
            left_out: (!by_engine).then_some(left_out),
            until,
            inferred: inferred(self.log),
            candidates: self.candidate_docs(),
            base: match &replayed.base {
                Ok(false) => None,
                Ok(true) => Some(BaseDoc { tables: true, error: None }),
                Err(why) => Some(BaseDoc { tables: false, error: Some(why) }),
            },
            column_families: self.in_families().then(|| self.families_doc(&told.measure)),
            unresolved: self.in_families().then_some(told.measure.unresolved),
            spilled: replayed.state.spilled(),
            written: told.written.map(|path| path.display().to_string()),
        }
    }

    /// A state in the format asked for: the verdict, or every key.
    ///
    /// # Errors
    /// When a value cannot be read any more, or `out` fails.
    pub fn state(&self, out: &mut dyn Write, format: Format, told: &Told<'_>) -> Result<()> {
        match format {
            Format::Text => self.state_text(out, told),
            Format::Json => {
                let (schema, body) = (Some("walmedic.replay/1"), self.state_doc(told));
                json::line(out, &Doc { what: None, schema, body, head: Some(self.head()) })
            }
            Format::Ndjson => self.state_ndjson(out, told),
            Format::Csv => self.state_csv(out, &told.replayed.state),
        }
    }

    /// `meta`, a line for each live key, `summary`.
    ///
    /// # Errors
    /// When a value cannot be read any more, or `out` fails.
    pub fn state_ndjson(&self, out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
        self.meta(out, "walmedic.replay/1")?;
        let mut line = Vec::new();
        for live in told.replayed.state.iter()? {
            let live = live?;
            line.clear();
            line.extend_from_slice(b"{\"type\":\"entry\",");
            self.json_key(&mut line, &live.key);
            line.extend_from_slice(b",\"value\":");
            self.json_value(out, &mut line, Some(&live.value))?;
            self.json_place(&mut line, live.place, self.seq(live.place));
            line.extend_from_slice(b"}\n");
            out.write_all(&line)?;
        }
        let body = self.state_doc(told);
        json::line(out, &Doc { what: Some("summary"), schema: None, body, head: None })
    }

    /// A header, and a row for each live key.
    ///
    /// # Errors
    /// When a value cannot be read any more, or `out` fails.
    pub fn state_csv(&self, out: &mut dyn Write, state: &Sorted<'_>) -> Result<()> {
        let head = self.csv_key_head();
        writeln!(out, "{head},value,file,offset,seq{}", if self.in_families() { ",operands" } else { "" })?;
        let mut line = Vec::new();
        for live in state.iter()? {
            let live = live?;
            line.clear();
            self.csv_key(&mut line, &live.key);
            line.push(b',');
            self.csv_side(&mut line, Some(&live))?;
            match &live.value {
                _ if !self.in_families() => {}
                Value::Unmerged(unmerged) => put(&mut line, format_args!(",{}", unmerged.operands.len())),
                _ => line.push(b','),
            }
            line.push(b'\n');
            out.write_all(&line)?;
        }
        Ok(())
    }

    fn families_doc(&self, measure: &Measure) -> FamiliesDoc {
        let family = |(number, of): &(u32, Extent)| {
            let Extent { entries, unresolved, hash } = of.clone();
            (self.family(*number).into_owned(), FamilyDoc { entries, state_sha256: hash, unresolved })
        };
        FamiliesDoc(measure.families.iter().map(family).collect())
    }

    /// A line for each column family.
    fn families_text(&self, out: &mut dyn Write, measure: &Measure) -> Result<()> {
        for (number, of) in &measure.families {
            let name = middle(&printable(&self.family(*number)), NAME);
            let keys = plural(of.entries, "live key");
            match &of.hash {
                Some(hash) => writeln!(out, "  {name}: {keys}, sha256 {hash}")?,
                None => writeln!(out, "  {name}: {keys}, {} of them without a value", of.unresolved)?,
            }
        }
        Ok(())
    }

    fn state_text(&self, out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
        let replayed = told.replayed;
        let (word, hue) = match replayed.policy {
            _ if replayed.unknown => ("UNKNOWN", Hue::Bad),
            _ if !replayed.opens => ("REFUSED", Hue::Bad),
            Policy::Engine => ("ENGINE", Hue::Kept),
            Policy::Committed => ("COMMITTED", Hue::Good),
            Policy::Salvage => ("SALVAGE", Hue::Odd),
        };
        self.title(out, word, hue)?;
        self.paragraph(out, &self.sentences(told))?;
        match (&told.measure.main.hash, &told.image) {
            _ if self.in_families() => self.families_text(out, &told.measure)?,
            (Some(hash), _) => writeln!(out, "  state sha256 {hash}")?,
            (None, Some(hash)) => writeln!(out, "  image sha256 {hash}")?,
            (None, None) => {}
        }
        self.candidates(out)?;
        match told.written {
            Some(path) => Ok(writeln!(out, "  Written to {}", printable(&path.display().to_string()))?),
            None => self.next(out, told),
        }
    }

    /// The words that are not read as they stand.
    fn inferred(&self) -> Option<String> {
        let words = inferred(self.log);
        let few = if self.verbose { words.len() } else { words.len().min(3) };
        let told =
            words.iter().take(few).map(|w| format!("{}:{} {} as {}", w.file, w.offset, w.found, w.inferred));
        let told: Vec<String> = told.collect();
        let more = if few < words.len() { ", …" } else { "" };
        let count = plural(words.len() as u64, "word");
        (few > 0).then(|| {
            format!("Reads {count} as inferred from the checksum, not proved: {}{more}.", told.join(", "))
        })
    }

    fn sentences(&self, told: &Told<'_>) -> Vec<String> {
        let replayed = told.replayed;
        let noun = self.report.format.profile().entry;
        let paged = self.report.format.profile().paged();
        let mut kept =
            format!("{} applied, {}.", self.record(replayed.applied), plural(told.measure.keys, noun));
        match &replayed.base {
            Ok(false) => {}
            Ok(true) => kept += " It goes on from the tables beside the log.",
            Err(why) => {
                kept += &format!(
                    " The tables that the log goes on from are not in it, for they cannot be read: {why}."
                );
            }
        }
        if told.measure.unresolved > 0 {
            kept += &format!(
                " The values of {} cannot be told: they lie in blob files, or are to be merged by a rule that is not \
                 RocksDB's own; so those families have no hash.",
                told.measure.unresolved
            );
        }
        let intact = self.report.forecast.as_ref().map_or(0, |f| f.intact);
        let mut lines = match replayed.policy {
            Policy::Engine if replayed.unknown => vec![unknown(error(replayed))],
            Policy::Engine if !replayed.opens => vec![
                format!("The engine would refuse to open it: {}.", error(replayed)),
                format!("So it would hold nothing, and {} intact and committed.", are(&self.record(intact), intact)),
            ],
            Policy::Engine => vec!["What the engine would hold after its next open, its mistakes included.".into(), kept],
            Policy::Committed if replayed.recovered.is_some() && !paged => vec![
                "Every intact committed page image redone, past damage too, and every key that the pages then hold."
                    .into(),
                kept,
            ],
            Policy::Salvage if paged => vec![
                "Every intact frame. The file ends with the last commit; frames behind it are pages without a place in it."
                    .into(),
                kept,
            ],
            Policy::Salvage if replayed.recovered.is_some() => vec![
                "Every intact page image redone, and every key in any page, whether anything leads to it or not."
                    .into(),
                kept,
            ],
            Policy::Committed => vec![
                "Every intact committed record, past damage too; a transaction that lost a member is left out whole."
                    .into(),
                kept,
            ],
            Policy::Salvage => vec![
                "Every intact record, those of unfinished and broken transactions included.".into(),
                kept,
            ],
        };
        if replayed.policy == Policy::Engine {
            lines.extend(self.engine_against(replayed, intact));
            let early = replayed.error.as_ref().filter(|_| replayed.opens);
            lines.extend(early.map(|error| format!("Reading all of it ends before its end: {error}.")));
        } else {
            lines.extend(self.inferred());
            lines.extend(self.cut(told));
            lines.extend(self.left_out(told));
            lines.extend(self.engine_beside(told));
        }
        let by_engine = replayed.image.as_ref().map(|image| image.page_bytes);
        if let Some(bytes) = by_engine.or(replayed.recovered.as_ref().map(|recovered| recovered.page_bytes)) {
            lines.push(format!("Pages of {bytes} bytes, as far as the files tell."));
        }
        if self.report.alone() {
            lines.push("The database was not given: pages that the log does not hold are zeros.".into());
        }
        if self.verbose && replayed.state.spilled() {
            lines.push("The state was larger than --memory: it went to a temporary file.".into());
        }
        lines
    }

    fn engine_against(&self, replayed: &Replayed<'_>, intact: u64) -> Option<String> {
        let applied = replayed.applied;
        match (replayed.opens, applied.checked_sub(intact)) {
            (false, _) | (_, Some(0)) => None,
            (_, Some(more)) => Some(format!("That is {more} more than are intact and committed.")),
            (_, None) => Some(format!(
                "{} intact and committed: it would silently lose {}.",
                are(&self.record(intact), intact),
                intact - applied
            )),
        }
    }

    /// What the engine would do, beside a state that is not the engine's.
    fn engine_beside(&self, told: &Told<'_>) -> Option<String> {
        let engine = &self.report.forecast.as_ref()?.engine;
        if engine.unknown {
            return engine.error.as_deref().map(unknown);
        }
        let (intact, _) = self.at_stake(told).filter(|(_, lost)| *lost > 0)?;
        Some(match &engine.error {
            Some(error) if !engine.opens => {
                format!("The engine itself would refuse to open this log: {}.", super::sentence(error))
            }
            _ => format!(
                "The engine itself would apply {} of the {} intact and committed.",
                engine.records,
                self.record(intact)
            ),
        })
    }

    /// Records intact and committed, and how many of them opening the engine would lose. What lies there a second time
    /// counts once.
    fn at_stake(&self, told: &Told<'_>) -> Option<(u64, u64)> {
        let forecast = self.report.forecast.as_ref().filter(|f| !f.engine.unknown)?;
        let repeated = told.replayed.left_out.count(Standing::Repeated);
        let intact = forecast.intact.saturating_sub(repeated);
        let kept = if forecast.engine.opens { forecast.engine.records } else { 0 };
        Some((intact, intact.saturating_sub(kept)))
    }

    fn left_out(&self, told: &Told<'_>) -> Vec<String> {
        let (wish, left) = (told.wish, told.replayed.left_out);
        let undecided = left.count(Standing::Undecided);
        let groups = [
            (left.count(Standing::Uncommitted), "uncommitted"),
            (left.count(Standing::Incomplete), "of transactions that lost a member"),
            (undecided, "undecided"),
            (left.count(Standing::Repeated), "repeated"),
            (left.count(Standing::Foreign), "of another log"),
            (left.count(Standing::Stale), "of an older generation"),
            (left.count(Standing::Damaged), "not proved"),
            (left.count(Standing::Unread), "intact, but holding more than is followed"),
        ];
        let mut parts: Vec<String> =
            groups.iter().filter(|g| g.0 > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let (ranges, bytes) = self.damage(wish);
        if ranges > 0 {
            parts.push(format!("{} ({})", plural(ranges, "damaged range"), size(bytes)));
        }
        let mut lines = Vec::new();
        if !parts.is_empty() {
            lines.push(format!("Left out: {}.", parts.join(", ")));
        }
        if undecided > 0 {
            lines.push(
                "Undecided: they lie behind the last COMMIT, and nothing tells single writes from a batch that was \
                 never finished; --undecided keep takes them."
                    .into(),
            );
        }
        let all = self.report.conclusions.undecided;
        if all > 0 && wish.until.is_none() && (wish.undecided || wish.policy == Policy::Salvage) {
            lines.push(format!(
                "Among them {} behind the last COMMIT: nothing tells single writes from a batch that was never finished.",
                self.record(all)
            ));
        }
        lines
    }

    /// What `--until` did.
    pub(super) fn cut(&self, told: &Told<'_>) -> Vec<String> {
        let wish = told.wish;
        let (point, cut) = match (told.until, wish.until) {
            (None, _) => return Vec::new(),
            (Some(Point::Seq(seq)), None) => {
                return vec![format!("No record has a number above {seq}: nothing is cut off.")];
            }
            (Some(Point::Commit(ordinal)), None) => {
                return vec![format!("No record lies behind commit {ordinal}: nothing is cut off.")];
            }
            (Some(Point::Seq(seq)), Some(cut)) => (format!("seq {seq}"), cut),
            (Some(Point::Commit(ordinal)), Some(cut)) => (format!("commit {ordinal}"), cut),
        };
        let place = cut.place(wish.policy, wish.undecided);
        let mut lines = vec![format!(
            "Up to {point}: cut off are {} with data from {}, byte {} on{}.",
            self.record(cut.records),
            middle(self.file(place), NAME),
            place.at,
            if cut.transaction { ", where the transaction begins that reaches past it" } else { "" }
        )];
        if cut.undecided.is_some() {
            lines.push(if place == cut.at {
                "Nothing tells which transactions reach past it: one may be cut in two.".into()
            } else {
                "Nothing tells which transactions reach past it: what follows the last COMMIT before it is cut off, too \
                 (--undecided keep takes it)."
                    .into()
            });
        }
        lines
    }

    /// The options that make this state.
    fn same_again(&self, told: &Told<'_>) -> String {
        let wish = told.wish;
        let mut options = match wish.policy {
            Policy::Committed => String::new(),
            policy => format!(" --policy {}", policy.word()),
        };
        if let (Policy::Engine, Some(engine)) = (wish.policy, &wish.engine) {
            options += &format!(" --engine {}", printable(engine));
        }
        if let Some(point) = told.until {
            options += &format!(" --until {point}");
        }
        if wish.undecided {
            options += " --undecided keep";
        }
        if let Some(number) = wish.family {
            options += &format!(" --family {}", quote(Path::new(&*self.family(number))));
        }
        options
    }

    fn next(&self, out: &mut dyn Write, told: &Told<'_>) -> Result<()> {
        if self.quiet || self.report.path == "-" {
            return Ok(());
        }
        let log = format!("{}{}", quote(&self.report.place), self.options);
        let at_stake = self.at_stake(told).is_some_and(|(_, lost)| lost > 0);
        let mut steps: Vec<(String, &str)> = Vec::new();
        if at_stake {
            steps.push((
                format!("walmedic replay {log} --diff engine,committed"),
                "key by key what opening the engine would lose",
            ));
        }
        steps.extend(self.better(told.replayed.policy));
        let words = if self.log.words().next().is_some() { " --repair-words" } else { "" };
        if told.measure.keys > 0 && told.replayed.opens {
            let same = self.same_again(told);
            let (target, why) = match self.report.format.profile().paged() {
                true => ("recovered.db", "write the database file that this makes"),
                false => ("state.ndjson", "write the live keys to a new file"),
            };
            steps.push((format!("walmedic replay {log}{words}{same} --into {target}"), why));
        }
        if self.report.format.mends() && (at_stake || self.damage(told.wish).0 > 0 || !words.is_empty()) {
            let best = self.candidates.iter().find(|c| c.best);
            let words = if best.is_some_and(|c| c.words) { " --repair-words" } else { words };
            let salvage = best.is_some_and(|c| c.policy == Policy::Salvage);
            let survivors = if salvage { " --survivors keep" } else { "" };
            let why = "the plan of a copy that the engine opens";
            steps.push((format!("walmedic repair {log}{words}{survivors}"), why));
        }
        if !steps.is_empty() {
            writeln!(out, "\n  {}", self.paint.strong("Next:"))?;
        }
        for (command, why) in steps {
            step(out, &command, why)?;
        }
        Ok(())
    }
}

fn are(counted: &str, n: u64) -> String {
    format!("{counted} {}", if n == 1 { "is" } else { "are" })
}
