//! Every version of a key in the order written, also those that no policy takes, and which one is final under each policy.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::fate::Standing;
use crate::format::{Effect, Outcome, Taken};
use crate::log::conclude::Place;
use crate::replay::state::Value;
use crate::replay::walk::{Item, walk};
use crate::replay::{Change, Parts, Policy, ask_engine, effect};

/// One version of a key.
pub struct Version<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The record.
    pub place: Place,
    /// Its number.
    pub seq: Option<u64>,
    /// What becomes of it.
    pub effect: Effect<Value<'a>>,
    /// What counts against it; `None`: only the engine takes these bytes for a record.
    pub standing: Option<Standing>,
    /// The policies under which it is the last word on its key.
    pub last_of: Vec<Policy>,
}

/// What a history is about.
pub struct Wanted<'a> {
    /// Which keys.
    pub keys: &'a dyn Fn(&[u8]) -> bool,
    /// The engine's version, where it is not the one that goes with the revision.
    pub engine: Option<&'a str>,
    /// As in [`super::Wish`].
    pub mode: Option<&'a str>,
    /// As in [`super::Wish`].
    pub undecided: bool,
}

/// What decides on one key: the how-manieth of its versions, counted from 1.
#[derive(Default)]
struct Finals {
    versions: u64,
    committed: u64,
    salvage: u64,
    engine: u64,
    /// The last that the engine takes; with `engine` 0, bytes that only the engine takes for a record.
    taken: Option<(Place, Taken)>,
}

/// What a history begins with.
pub struct Found {
    /// Versions in the log.
    pub versions: u64,
    /// Whether the engine opens.
    pub opens: bool,
    /// Whether nobody knows if it does.
    pub unknown: bool,
    /// What it would die of, or why it is not known.
    pub error: Option<String>,
    finals: BTreeMap<Vec<u8>, Finals>,
}

impl Found {
    /// How many keys they are of.
    pub fn keys(&self) -> u64 {
        self.finals.len() as u64
    }
}

/// Looks for the versions and for what decides. Memory follows the keys asked for, not their versions.
///
/// # Errors
/// When the log cannot be read any more, or the version of the engine is not known.
pub fn find(log: &OpenLog, report: &Report, wanted: &Wanted<'_>) -> Result<Found> {
    let mut finals: BTreeMap<Vec<u8>, Finals> = BTreeMap::new();
    let engine = ask(log, report, wanted, &mut finals)?;
    let mut versions = 0;
    walk_versions(log, report, wanted.keys, &mut |version| {
        versions += 1;
        if !finals.contains_key(version.key) {
            finals.insert(version.key.to_vec(), Finals::default());
        }
        let Some(of) = finals.get_mut(version.key) else { return Ok(()) };
        of.versions += 1;
        if of.taken.as_ref().is_some_and(|(at, _)| *at == version.item.place()) {
            of.engine = of.versions;
        }
        for (policy, last) in [(Policy::Committed, &mut of.committed), (Policy::Salvage, &mut of.salvage)] {
            if policy.takes(version.item.standing, wanted.undecided) {
                *last = of.versions;
            }
        }
        Ok(())
    })?;
    let Outcome { opens, unknown, error, .. } = engine;
    Ok(Found { versions, opens, unknown, error, finals })
}

/// What the engine takes last of each key, and what comes of its opening.
fn ask(
    log: &OpenLog,
    report: &Report,
    wanted: &Wanted<'_>,
    finals: &mut BTreeMap<Vec<u8>, Finals>,
) -> Result<Outcome> {
    let (mut parts, mut key, mut failure) = (Parts::new(log), Vec::new(), None);
    let (mut touched, families) = (Touched::default(), log.format().profile().families);
    let outcome = ask_engine(log, report, (wanted.engine, wanted.mode), &mut |taken| {
        if failure.is_some() {
            return;
        }
        failure = parts.key(&taken, &mut key).err();
        let mut last = |key: Vec<u8>| {
            finals.entry(key).or_default().taken = Some((taken.place, taken.clone()));
        };
        match taken.given.as_ref().map(|given| &given.effect) {
            _ if failure.is_some() => {}
            Some(Effect::DeleteRange(end)) => touched.delete(&key, end, true).into_iter().for_each(last),
            _ if (wanted.keys)(&key) => {
                if families {
                    touched.add(&key);
                }
                last(key.clone());
            }
            _ => {}
        }
    })?;
    failure.map_or(Ok(()), Err)?;
    if !outcome.opens {
        finals.clear();
    }
    Ok(outcome)
}

/// Keys that a deleted range would change.
#[derive(Default)]
struct Touched(BTreeSet<Vec<u8>>);

impl Touched {
    fn add(&mut self, key: &[u8]) {
        if !self.0.contains(key) {
            self.0.insert(key.to_vec());
        }
    }

    /// Those in a range. `done`: there is nothing left of them that another range would change.
    fn delete(&mut self, start: &[u8], end: &[u8], done: bool) -> Vec<Vec<u8>> {
        let hit = if start < end {
            self.0.range::<[u8], _>((Included(start), Excluded(end)))
        } else {
            return Vec::new();
        };
        let hit: Vec<Vec<u8>> = hit.cloned().collect();
        for key in hit.iter().filter(|_| done) {
            self.0.remove(key);
        }
        hit
    }
}

/// One version, as it is met.
struct Met<'a, 'e> {
    item: &'a Item<'a>,
    key: &'a [u8],
    effect: &'a Effect<Value<'e>>,
    seq: Option<u64>,
}

/// Goes through the versions of the keys asked for; a deleted range is one of each key in it.
fn walk_versions(
    log: &OpenLog,
    report: &Report,
    keys: &dyn Fn(&[u8]) -> bool,
    each: &mut dyn FnMut(&Met<'_, '_>) -> Result<()>,
) -> Result<()> {
    let mut touched = Touched::default();
    walk(log, report, None, &mut |item: &Item<'_>| {
        item.changes(&mut |Change { key, effect, seq }| {
            let seq = seq.or(item.seq());
            if let Effect::DeleteRange(Value::Bytes(end)) = &effect {
                let hit = touched.delete(&key, end, item.standing == Standing::Committed);
                return hit.iter().try_for_each(|key| each(&Met { item, key, effect: &effect, seq }));
            }
            if !keys(&key) {
                return Ok(());
            }
            if item.in_families() {
                touched.add(&key);
            }
            each(&Met { item, key: &key, effect: &effect, seq })
        })
    })
}

/// Hands on the versions in the order written; what only the engine takes for a version comes last.
///
/// # Errors
/// When the log cannot be read any more, and what `each` says.
pub fn tell(
    log: &OpenLog,
    report: &Report,
    wanted: &Wanted<'_>,
    found: &Found,
    each: &mut dyn FnMut(&Version<'_>) -> Result<()>,
) -> Result<()> {
    let mut told: BTreeMap<&[u8], u64> = BTreeMap::new();
    let finals = &found.finals;
    walk_versions(log, report, wanted.keys, &mut |version| {
        let Some((key, of)) = finals.get_key_value(version.key) else { return Ok(()) };
        let nth = told.entry(key).or_default();
        *nth += 1;
        let of =
            [(Policy::Engine, of.engine), (Policy::Committed, of.committed), (Policy::Salvage, of.salvage)];
        let last_of = of.iter().filter(|(_, last)| last == nth).map(|(policy, _)| *policy).collect();
        let Met { item, seq, .. } = *version;
        let (effect, standing) = (version.effect.clone(), Some(item.standing));
        each(&Version { key, place: item.place(), seq, effect, standing, last_of })
    })?;
    let alone = finals.iter().filter(|(_, of)| of.engine == 0);
    let mut alone: Vec<(&Vec<u8>, &Place, &Taken)> =
        alone.filter_map(|(key, of)| of.taken.as_ref().map(|(place, taken)| (key, place, taken))).collect();
    alone.sort_by_key(|(key, place, _)| (**place, *key));
    for (key, place, taken) in alone {
        each(&Version {
            key,
            place: *place,
            seq: None,
            effect: match (&taken.given, &taken.value) {
                (Some(given), _) => effect(&given.effect),
                (None, Some(part)) => Effect::Put(Value::Placed(part.clone())),
                (None, None) => Effect::Delete,
            },
            standing: None,
            last_of: vec![Policy::Engine],
        })?;
    }
    Ok(())
}
