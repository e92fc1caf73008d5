//! Every version of a key in the order written, also those that no policy takes, and which one is final under each policy.

use std::collections::HashMap;

use anyhow::Result;

use crate::analysis::{OpenLog, Report};
use crate::fate::Standing;
use crate::format::{Effect, Taken};
use crate::log::conclude::Place;
use crate::replay::state::Value;
use crate::replay::walk::{Item, walk};
use crate::replay::{Parts, Policy, ask_engine};

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

/// What decides on one key.
#[derive(Default)]
struct Finals {
    committed: Option<Place>,
    salvage: Option<Place>,
    engine: Option<(Place, Taken)>,
    /// A record was met where the engine has its last one.
    engine_met: bool,
}

/// What a history begins with.
pub struct Found {
    /// Versions in the log.
    pub versions: u64,
    /// Whether the engine opens.
    pub opens: bool,
    /// What it would die of.
    pub error: Option<String>,
    finals: HashMap<Vec<u8>, Finals>,
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
    let mut finals: HashMap<Vec<u8>, Finals> = HashMap::new();
    let mut versions = 0;
    walk(log, report, None, &mut |item: &Item<'_>| {
        item.changes(&mut |change| {
            if !(wanted.keys)(&change.key) {
                return Ok(());
            }
            versions += 1;
            if !finals.contains_key(&*change.key) {
                finals.insert(change.key.to_vec(), Finals::default());
            }
            let Some(of) = finals.get_mut(&*change.key) else { return Ok(()) };
            for (policy, last) in [(Policy::Committed, &mut of.committed), (Policy::Salvage, &mut of.salvage)]
            {
                if policy.takes(item.standing, wanted.undecided) {
                    *last = Some(item.place());
                }
            }
            Ok(())
        })
    })?;
    let (mut parts, mut key, mut failure) = (Parts::new(log), Vec::new(), None);
    let outcome = ask_engine(log, report, (wanted.engine, wanted.mode), &mut |taken| {
        if failure.is_some() {
            return;
        }
        failure = parts.key(&taken, &mut key).err();
        if failure.is_none() && (wanted.keys)(&key) {
            finals.entry(key.clone()).or_default().engine = Some((taken.place, taken));
        }
    })?;
    failure.map_or(Ok(()), Err)?;
    if !outcome.opens {
        finals.values_mut().for_each(|of| of.engine = None);
    }
    Ok(Found { versions, opens: outcome.opens, error: outcome.error, finals })
}

/// Hands on the versions in the order written; what only the engine takes for a version comes last.
///
/// # Errors
/// When the log cannot be read any more, and what `each` says.
pub fn tell(
    log: &OpenLog,
    report: &Report,
    wanted: &Wanted<'_>,
    found: &mut Found,
    each: &mut dyn FnMut(&Version<'_>) -> Result<()>,
) -> Result<()> {
    let finals = &mut found.finals;
    walk(log, report, None, &mut |item: &Item<'_>| {
        let place = item.place();
        item.changes(&mut |change| {
            if !(wanted.keys)(&change.key) {
                return Ok(());
            }
            let mut last_of = Vec::new();
            if let Some(of) = finals.get_mut(&*change.key) {
                if of.engine.as_ref().is_some_and(|(at, _)| *at == place) {
                    of.engine_met = true;
                    last_of.push(Policy::Engine);
                }
                let of = [(Policy::Committed, of.committed), (Policy::Salvage, of.salvage)];
                last_of.extend(of.iter().filter(|(_, at)| *at == Some(place)).map(|(policy, _)| *policy));
            }
            let (seq, standing) = (item.seq(), Some(item.standing));
            each(&Version { key: &change.key, place, seq, effect: change.effect, standing, last_of })
        })
    })?;
    let mut alone: Vec<(&Vec<u8>, &Place, &Taken)> = finals
        .iter()
        .filter(|(_, of)| !of.engine_met)
        .filter_map(|(key, of)| of.engine.as_ref().map(|(place, taken)| (key, place, taken)))
        .collect();
    alone.sort_by_key(|(key, place, _)| (**place, *key));
    for (key, place, taken) in alone {
        each(&Version {
            key,
            place: *place,
            seq: None,
            effect: match (&taken.given, &taken.value) {
                (Some(given), _) => given.effect.as_ref().map(|bytes| Value::Bytes(bytes.into())),
                (None, Some(part)) => Effect::Put(Value::Placed(part.clone())),
                (None, None) => Effect::Delete,
            },
            standing: None,
            last_of: vec![Policy::Engine],
        })?;
    }
    Ok(())
}
