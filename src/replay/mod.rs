//! The state that a log leaves, by policy: what the engine would hold, what is intact and committed, all that is intact.
//!
//! `engine` is the engine's own reading, told by its format. The other two apply the records of the shared reader in log
//! order, each by its [`Standing`]; so batches, repeats and wrong numbers are judged in one place, where `verify` judges them.

pub mod candidates;
pub mod cut;
pub mod diff;
pub mod history;
pub mod image;
pub mod into;
pub mod measure;
pub mod stake;
pub mod state;
pub mod until;
pub mod walk;

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::analysis::{OpenLog, Report, opener};
use crate::fate::Standing;
use crate::format::entity;
use crate::format::keys::state_key;
use crate::format::{Base, Effect, Entry, Image, Job, Outcome, Part, Recovered, Role, Take, Taken};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::conclude::Place;
use crate::log::layout::Width;
use crate::log::region::Kind;
use crate::log::survey::Survey;
use crate::replay::state::{INLINE, Sorted, State, Value};
use crate::replay::until::Cut;
use crate::replay::walk::{Item, walk};

/// Which records make up the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// What the engine would hold after its next open, its mistakes included
    Engine,
    /// Every intact committed record, past damage too; a transaction that lost a member is left out whole
    Committed,
    /// Every intact data record, orphans and survivors of broken batches included
    Salvage,
}

impl Policy {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Policy::Engine => "engine",
            Policy::Committed => "committed",
            Policy::Salvage => "salvage",
        }
    }

    /// Whether a record of this standing counts. `undecided`: those that may belong to an unfinished batch do, too.
    pub fn takes(self, standing: Standing, undecided: bool) -> bool {
        match standing {
            Standing::Committed => true,
            Standing::Undecided => undecided || self == Policy::Salvage,
            Standing::Uncommitted | Standing::Incomplete => self == Policy::Salvage,
            Standing::Repeated
            | Standing::Foreign
            | Standing::Stale
            | Standing::Damaged
            | Standing::Unread => false,
        }
    }
}

/// What to replay.
#[derive(Clone, Debug)]
pub struct Wish {
    /// See [`Policy`].
    pub policy: Policy,
    /// The engine's version, where it is not the one that goes with the revision.
    pub engine: Option<String>,
    /// How it recovers, where that is not as the store was set up.
    pub mode: Option<String>,
    /// Records behind the last COMMIT count, where nothing tells whether they are a batch's.
    pub undecided: bool,
    /// Nothing from here on; the engine knows no such limit.
    pub until: Option<Cut>,
    /// Bytes of memory for the state; what is more goes to disk.
    pub memory: u64,
    /// Only the keys of this column family.
    pub family: Option<u32>,
    /// See [`Below`].
    pub below: Below,
}

impl Wish {
    /// All that a policy takes.
    pub fn new(policy: Policy, memory: u64) -> Wish {
        Wish {
            policy,
            engine: None,
            mode: None,
            undecided: false,
            until: None,
            memory,
            family: None,
            below: Below::default(),
        }
    }
}

/// What came of it.
pub struct Replayed<'l> {
    /// By which policy.
    pub policy: Policy,
    /// Whether the engine would open; the other policies need no engine.
    pub opens: bool,
    /// Whether nobody knows if it would.
    pub unknown: bool,
    /// What it would die of, or why it is not known.
    pub error: Option<String>,
    /// Records applied.
    pub applied: u64,
    /// Records that were not, by what counts against them; the engine gives no reasons.
    pub left_out: LeftOut,
    /// The live keys.
    pub state: Sorted<'l>,
    /// The database file that opening the engine leaves, in logs of pages over one.
    pub image: Option<Image>,
    /// How the format itself recovered it, where records are not changes of keys.
    pub recovered: Option<Recovered>,
    /// Whether the state goes on from tables; why not, if there are some that cannot be read.
    pub base: Result<bool, String>,
}

/// Records with data that a policy does not take, by their [`Standing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut([u64; Standing::ALL.len()]);

impl LeftOut {
    fn add(&mut self, standing: Standing) {
        self.add_all(standing, 1);
    }

    fn add_all(&mut self, standing: Standing, records: u64) {
        self.0[standing as usize] += records;
    }

    /// How many have this standing.
    pub fn count(&self, standing: Standing) -> u64 {
        self.0[standing as usize]
    }
}

/// What a log goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Below {
    /// Nothing: the state is the log's alone.
    Nothing,
    /// The tables beside it, where there are any and they can be read.
    #[default]
    Beside,
    /// Those in this directory.
    In(PathBuf),
}

/// A state of a log before its first record, without what lies below it.
pub fn empty(log: &OpenLog, memory: u64) -> State<'_> {
    let families = log.format().profile().families;
    State::new(memory, if families { log.format().families(&log.files()) } else { Vec::new() })
}

/// The tables that a log goes on from.
fn base(log: &OpenLog, below: &Below) -> Result<Option<Box<dyn Base>>, String> {
    let open = match below {
        Below::Nothing => return Ok(None),
        Below::Beside => log.opener(),
        Below::In(dir) => opener(dir.clone()),
    };
    log.format().base(&log.files(), &open)
}

/// Replays a log.
///
/// # Errors
/// When the state cannot be kept, or the version of the engine is not known.
pub fn replay<'l>(log: &'l OpenLog, report: &Report, wish: &Wish) -> Result<Replayed<'l>> {
    match wish.policy {
        Policy::Engine => by_engine(log, report, wish),
        _ => match by_format(log, report, wish)? {
            Some(replayed) => Ok(replayed),
            None => by_records(log, report, wish),
        },
    }
}

/// What the engine would hold; its changes go to `take`.
///
/// # Errors
/// When the version of the engine is not known.
fn ask_engine(
    log: &OpenLog,
    report: &Report,
    (engine, mode): (Option<&str>, Option<&str>),
    take: Take<'_>,
) -> Result<Outcome> {
    let (files, format) = (log.files(), log.format());
    let engine = engine.map(|name| version(log, name)).transpose()?;
    let mode = mode.map(|name| mode_of(log, name)).transpose()?;
    let surveys: Vec<&Survey> = report.files.iter().map(|f| &f.survey).collect();
    Ok(format.engine(
        &Job { files: &files, surveys: &surveys, revision: log.revision, engine, mode, until: None },
        Some(take),
    ))
}

fn by_engine<'l>(log: &'l OpenLog, report: &Report, wish: &Wish) -> Result<Replayed<'l>> {
    let (mut applier, base) = Applier::over(log, wish);
    let which = (wish.engine.as_deref(), wish.mode.as_deref());
    let mut outcome = ask_engine(log, report, which, &mut |taken| applier.take(&taken))?;
    if wish.below == Below::Beside {
        outcome = report.outcome(outcome);
    }
    applier.failure.map_or(Ok(()), Err)?;
    let state = if outcome.opens { applier.state } else { State::new(wish.memory, Vec::new()) };
    Ok(Replayed {
        policy: wish.policy,
        opens: outcome.opens,
        unknown: outcome.unknown,
        error: outcome.error,
        applied: outcome.records,
        left_out: LeftOut::default(),
        state: state.finish()?.only(wish.family),
        image: outcome.image,
        recovered: None,
        base,
    })
}

/// What the format itself recovers, where its records are not changes of keys.
fn by_format<'l>(log: &'l OpenLog, report: &Report, wish: &Wish) -> Result<Option<Replayed<'l>>> {
    let files = log.files();
    let surveys: Vec<&Survey> = report.files.iter().map(|f| &f.survey).collect();
    let until = wish.until.map(|cut| cut.place(wish.policy, wish.undecided));
    let job =
        Job { files: &files, surveys: &surveys, revision: log.revision, engine: None, mode: None, until };
    let mut applier = Applier::new(log, wish.memory);
    let salvage = wish.policy == Policy::Salvage;
    let Some(mut recovered) = log.format().recover(&job, salvage, &mut |taken| applier.take(&taken)) else {
        return Ok(None);
    };
    applier.failure.map_or(Ok(()), Err)?;
    let mut left_out = LeftOut::default();
    left_out.0[Standing::Uncommitted as usize] = recovered.uncommitted;
    left_out.0[Standing::Incomplete as usize] = recovered.incomplete;
    Ok(Some(Replayed {
        policy: wish.policy,
        opens: true,
        unknown: false,
        error: None,
        applied: recovered.records,
        left_out,
        state: applier.state.finish()?.only(wish.family),
        image: recovered.image.take(),
        recovered: Some(recovered),
        base: Ok(false),
    }))
}

/// The engine's way to recover with this name.
///
/// # Errors
/// When it has no such.
pub fn mode_of(log: &OpenLog, name: &str) -> Result<&'static str> {
    let profile = log.format().profile();
    match profile.modes.iter().find(|mode| **mode == name) {
        Some(&mode) => Ok(mode),
        None if profile.modes.is_empty() => {
            bail!("--mode {name}: the engine of the {} has one way to recover", profile.title)
        }
        None => bail!(
            "--mode {name}: the {} has no such mode; known: {}",
            profile.title,
            profile.modes.join(", ")
        ),
    }
}

/// The version of the engine with this name, or with a longer one.
fn version(log: &OpenLog, name: &str) -> Result<&'static str> {
    let profile = log.format().profile();
    let found = profile.engines.iter().find(|e| name.starts_with(**e));
    match found {
        Some(&engine) => Ok(engine),
        None => bail!(
            "--engine {name}: no such version of the {}; known: {}",
            profile.title,
            profile.engines.join(", ")
        ),
    }
}

/// Applies changes that are told by places.
struct Applier<'a> {
    /// What it applies are pages of a file.
    paged: bool,
    state: State<'a>,
    parts: Parts<'a>,
    failure: Option<anyhow::Error>,
}

impl<'a> Applier<'a> {
    fn new(log: &'a OpenLog, memory: u64) -> Self {
        let paged = log.format().profile().paged();
        Applier { paged, state: empty(log, memory), parts: Parts::new(log), failure: None }
    }

    /// The same over what lies below the log; and why that is left out, if it is.
    fn over(log: &'a OpenLog, wish: &Wish) -> (Self, Result<bool, String>) {
        let applier = Applier::new(log, wish.memory);
        match base(log, &wish.below) {
            Ok(Some(base)) => (Applier { state: applier.state.over(base), ..applier }, Ok(true)),
            Ok(None) => (applier, Ok(false)),
            Err(why) => (applier, Err(why)),
        }
    }

    fn take(&mut self, taken: &Taken) {
        if self.failure.is_none() {
            self.failure = self.apply(taken).err();
        }
    }

    fn apply(&mut self, taken: &Taken) -> Result<()> {
        if let Some(given) = &taken.given {
            return self.state.change(&given.key, &effect(&given.effect), taken.place);
        }
        let mut key = Vec::new();
        self.parts.key(taken, &mut key)?;
        let Some(part) = &taken.value else { return self.state.delete(&key) };
        // A page is read where it is wanted: most of a log's pages never are.
        if self.paged || part.span.end - part.span.start > INLINE {
            return self.state.put(&key, &Value::Placed(part.clone()), taken.place);
        }
        let mut value = Vec::new();
        self.parts.read(1, part, &mut value)?;
        self.state.put(&key, &Value::Bytes(value.into()), taken.place)
    }
}

/// An effect that came with its bytes.
pub fn effect(given: &Effect<Vec<u8>>) -> Effect<Value<'_>> {
    match given.as_ref() {
        Effect::Entity(columns) => Effect::Entity(Value::Entity(columns.into())),
        Effect::Blob(at) => Effect::Blob(Value::Blob(at.into())),
        other => other.map(|bytes| Value::Bytes(bytes.into())),
    }
}

/// Reads keys and values by their places: quick where each kind comes in order.
struct Parts<'a> {
    log: &'a OpenLog,
    /// The files that keys and values were last read from.
    open: [Option<(usize, Reader<'a>)>; 2],
}

impl<'a> Parts<'a> {
    fn new(log: &'a OpenLog) -> Self {
        Parts { log, open: [None, None] }
    }

    fn key(&mut self, taken: &Taken, out: &mut Vec<u8>) -> Result<()> {
        match &taken.given {
            Some(given) => out.clone_from(&given.key),
            None => self.read(0, &taken.key, out)?,
        }
        Ok(())
    }

    fn read(&mut self, slot: usize, part: &Part, out: &mut Vec<u8>) -> Result<()> {
        let open = &mut self.open[slot];
        if open.as_ref().is_none_or(|(file, _)| *file != part.file) {
            *open = Some((part.file, Reader::new(self.log.source(part.file))));
        }
        let Some((_, reader)) = open else { return Ok(()) };
        reader.forward(part.span.start, 1);
        let name = &self.log.log.files[part.file].name;
        let read = reader.copy(part.span.clone(), out);
        read.map_err(|fault| anyhow::anyhow!("{name}, offset {}: {}", fault.at, fault.cause))
    }
}

fn by_records<'l>(log: &'l OpenLog, report: &Report, wish: &Wish) -> Result<Replayed<'l>> {
    let files = log.files();
    let mut memtable = log.format().memtable(&files);
    let (mut applier, base) = Applier::over(log, wish);
    let (mut applied, mut left_out) = (0, LeftOut::default());
    let until = wish.until.map(|cut| cut.place(wish.policy, wish.undecided));
    walk(log, report, until, &mut |item: &Item<'_>| {
        if wish.policy.takes(item.standing, wish.undecided) {
            let changed = match &mut memtable {
                Some(memtable) => memtable.insert(item.file, &item.record, item.contents(), &mut |taken| {
                    applier.take(&taken);
                }),
                None => item.apply(&mut applier.state)?,
            };
            applied += u64::from(changed);
        } else if item.is_data()
            && memtable.as_ref().is_none_or(|memtable| memtable.concerns(item.file, item.contents()))
        {
            left_out.add(item.standing);
        }
        Ok(())
    })?;
    if let Some(memtable) = &memtable {
        left_out.add_all(Standing::Unread, memtable.unfollowed());
    }
    match (&mut memtable, wish.policy) {
        (Some(memtable), Policy::Salvage) => applied += memtable.finish(&mut |taken| applier.take(&taken)),
        // The record that commits them is none of this log's.
        (Some(memtable), Policy::Committed) => {
            left_out.add_all(Standing::Uncommitted, memtable.finish(&mut |_| ()))
        }
        _ => {}
    }
    applier.failure.map_or(Ok(()), Err)?;
    let state = applier.state.finish()?.only(wish.family);
    Ok(Replayed {
        policy: wish.policy,
        opens: true,
        unknown: false,
        error: None,
        applied,
        left_out,
        state,
        image: None,
        recovered: None,
        base,
    })
}

/// Hands the bytes of a value on, a large one in pieces; of columns the plain value, and none of one that cannot be told.
///
/// # Errors
/// When they cannot be read any more, or `each` fails.
pub fn value_bytes(
    log: &OpenLog,
    value: &Value<'_>,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    /// Divisible by three, as base64 wants it.
    const PIECE: u64 = 3 << 16;
    let part = match value {
        Value::Bytes(bytes) => return each(bytes),
        Value::Entity(columns) => return each(entity::plain(columns).unwrap_or_default()),
        Value::Blob(_) | Value::Unmerged(_) => return Ok(()),
        Value::Placed(part) => part,
    };
    let mut reader = Reader::new(log.source(part.file));
    let mut at = part.span.start;
    while at < part.span.end {
        let to = part.span.end.min(at + PIECE);
        let piece = reader.piece(at..to).ok();
        each(piece.with_context(|| format!("{}, offset {at}: gone", log.log.files[part.file].name))?)?;
        at = to;
    }
    Ok(())
}

/// The number of the record at a place; `None` where it has none or nobody knows it.
pub fn seq_at(log: &OpenLog, report: &Report, place: Place) -> Option<u64> {
    let format = report.format;
    let (file, layout) = (report.files.get(place.file)?, format.layout(Role::Log, report.revision));
    if !format.profile().numbered || file.role != Role::Log {
        return None;
    }
    let region = file.survey.regions.find(place.at);
    let fix = region.filter(|r| r.kind == Kind::Recovered && r.at == place.at).and_then(|r| r.fix);
    if let Some(fix) = fix.filter(|f| f.field == "seq") {
        return Some(fix.inferred).filter(|&n| n != u64::MAX);
    }
    let (mut at, mut head) = (place.at, Vec::new());
    for field in layout.fields {
        let len = match field.width {
            Width::Uint(len) | Width::Int(len) | Width::Mark(len) => len,
            Width::Time => 8,
            // A number behind a part of any length would have to be looked for.
            Width::Varint | Width::Bytes(_) => return None,
        };
        if field.name == "seq" {
            head.resize(len, 0);
            let read = log.source(place.file).read_at(at, &mut head).ok()?;
            return (read == len).then(|| layout.number(&head));
        }
        at = at.checked_add(len as u64)?;
    }
    None
}

/// A change that a record makes.
pub struct Change<'a> {
    /// The key, as the state has it.
    pub key: Cow<'a, [u8]>,
    /// What becomes of it.
    pub effect: Effect<Value<'a>>,
    /// Its own number, where a record holds several operations.
    pub seq: Option<u64>,
}

impl Item<'_> {
    /// Changes the state as the record says; `false` where it is only a mark.
    ///
    /// # Errors
    /// When the state cannot be kept.
    pub fn apply(&self, state: &mut State<'_>) -> Result<bool> {
        let mut changed = false;
        self.changes(&mut |change| {
            changed = true;
            state.change(&change.key, &change.effect, self.place())
        })?;
        Ok(changed)
    }

    /// What the record does to the state, change by change; none where it is only a mark.
    ///
    /// # Errors
    /// What `each` says.
    pub fn changes(&self, each: &mut dyn FnMut(Change<'_>) -> Result<()>) -> Result<()> {
        if !self.is_data() {
            return Ok(());
        }
        let mut result = Ok(());
        self.operations(&mut |entry| {
            if let Some(change) = self.change(entry) {
                result = each(change);
            }
            result.is_ok()
        });
        result
    }

    fn change<'e>(&self, entry: &Entry<'e>) -> Option<Change<'e>> {
        let family = self.in_families().then(|| entry.family.unwrap_or(0));
        let key = state_key(family, entry.key?);
        let effect = match Effect::of(entry) {
            Effect::Entity(columns) => Effect::Entity(Value::Entity(columns.into())),
            Effect::Blob(at) => Effect::Blob(Value::Blob(at.into())),
            Effect::DeleteRange(end) => {
                Effect::DeleteRange(Value::Bytes(Cow::Owned(state_key(family, end).into_owned())))
            }
            Effect::Put(_) if self.is_placed(entry.value) => {
                // The value is the last field of every record that has one, so a long one is placed from the end.
                let rest = self.record.len - self.bytes.len() as u64;
                let (len, end) = (entry.value.map_or(0, |v| v.len() as u64) + rest, self.record.end());
                Effect::Put(Value::Placed(Part { file: self.file, span: end - len..end }))
            }
            other => other.map(|bytes| Value::Bytes(Cow::Borrowed(bytes))),
        };
        Some(Change { key, effect, seq: entry.seq })
    }

    /// Whether a value is too long to be held, and lies in the log in one piece.
    fn is_placed(&self, value: Option<&[u8]>) -> bool {
        let rest = self.record.len - self.bytes.len() as u64;
        self.in_place() && value.map_or(0, |v| v.len() as u64) + rest > INLINE
    }
}
