//! What a state amounts to where there is more to it than the last value of each key: older entries below the log, deleted
//! ranges over them, operands to merge. All of it is gone through side by side in order of the keys, so that memory stays
//! small however much lies below.

use std::borrow::Cow;
use std::cmp::Ordering;

use anyhow::{Result, anyhow};

use super::chain::{self, Operand};
use super::ranges::{Ranges, Sweep};
use super::row::{CHAIN, Entry, KIND, Under};
use super::{Live, Mergers, Unmerged, Value};
use crate::format::Effect;
use crate::format::entity;
use crate::format::keys::{Older, Olders};

/// What the log holds of a key.
pub(super) struct Held<'a> {
    pub key: Cow<'a, [u8]>,
    /// The last value; `None`: what is older still counts.
    pub under: Option<Under<'a>>,
    /// What was to be merged since, the oldest first.
    pub operands: Vec<Operand<'a>>,
}

/// Those in order of their keys.
pub(super) type Helds<'a> = Box<dyn Iterator<Item = Result<Held<'a>>> + 'a>;

impl Entry {
    pub fn held(&self) -> Held<'_> {
        let key = Cow::Borrowed(self.key());
        if self.what & KIND != CHAIN {
            return Held { key, under: Some(self.row().under()), operands: Vec::new() };
        }
        let (base, operands) = chain::parts(self.rest());
        Held { key, under: base.map(|row| row.under()), operands: operands.collect() }
    }
}

/// The layers, and the next of each.
pub(super) struct Layers<'a> {
    helds: Helds<'a>,
    held: Option<Held<'a>>,
    olders: Olders<'a>,
    older: Option<Older>,
    sweep: Sweep<'a>,
    mergers: &'a Mergers,
}

impl<'a> Layers<'a> {
    pub fn new(
        helds: Helds<'a>,
        olders: Olders<'a>,
        ranges: Ranges<'a>,
        mergers: &'a Mergers,
    ) -> Result<Self> {
        let sweep = Sweep::new(ranges)?;
        let mut layers = Layers { helds, held: None, olders, older: None, sweep, mergers };
        (layers.held, layers.older) = (layers.next_held()?, layers.next_older()?);
        Ok(layers)
    }

    fn next_held(&mut self) -> Result<Option<Held<'a>>> {
        self.helds.next().transpose()
    }

    fn next_older(&mut self) -> Result<Option<Older>> {
        self.olders.next().transpose().map_err(|why| anyhow!("{why}"))
    }

    /// The next live key.
    fn live(&mut self) -> Result<Option<Live<'a>>> {
        loop {
            let order = match (&self.held, &self.older) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(held), Some(older)) => (*held.key).cmp(&older.key),
            };
            let (mut held, mut older) = (None, None);
            if order.is_le() {
                let next = self.next_held()?;
                held = std::mem::replace(&mut self.held, next);
            }
            if order.is_ge() {
                let next = self.next_older()?;
                older = std::mem::replace(&mut self.older, next);
            }
            let keys = (held.as_ref().map(|h| &*h.key), older.as_ref().map(|o| &o.key[..]));
            let since = self.sweep.over(keys.0.or(keys.1).unwrap_or_default())?;
            if let Some(live) = live(held, older.filter(|_| since == 0), since, self.mergers) {
                return Ok(Some(live));
            }
        }
    }
}

impl<'a> Iterator for Layers<'a> {
    type Item = Result<Live<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.live().transpose()
    }
}

/// What is left of a key. `since`: the stamp of the newest range over it.
fn live<'a>(held: Option<Held<'a>>, older: Option<Older>, since: u32, mergers: &Mergers) -> Option<Live<'a>> {
    let (mut key, mut value, mut operands, mut place) = (Cow::Borrowed(&[][..]), None, Vec::new(), None);
    if let Some(older) = older {
        (key, place, value) = (older.key.into(), Some(older.place), older.value.and_then(below));
        operands.extend(older.operands.into_iter().map(Cow::Owned));
    }
    if let Some(held) = held {
        key = held.key;
        if let Some(under) = held.under {
            (place, value) = (Some(under.place), under.value.filter(|_| under.stamp >= since));
            operands.clear();
        }
        for operand in held.operands.into_iter().filter(|operand| operand.stamp >= since) {
            place = Some(operand.place);
            operands.push(operand.bytes);
        }
    }
    let value = match operands.is_empty() {
        true => value?,
        false => merged(mergers, &key, value, operands),
    };
    Some(Live { key, value, place: place? })
}

/// A value from below the log.
fn below(value: Effect<Vec<u8>>) -> Option<Value<'static>> {
    match value {
        Effect::Put(bytes) => Some(Value::Bytes(bytes.into())),
        Effect::Entity(columns) => Some(Value::Entity(columns.into())),
        Effect::Blob(at) => Some(Value::Blob(at.into())),
        Effect::Delete | Effect::Merge(_) | Effect::DeleteRange(_) => None,
    }
}

fn merged<'a>(
    mergers: &Mergers,
    key: &[u8],
    value: Option<Value<'a>>,
    operands: Vec<Cow<'a, [u8]>>,
) -> Value<'a> {
    let merge = |base| mergers.of(key).merge(base, operands.iter().map(|operand| &**operand));
    let merged = match &value {
        None => merge(None).map(|bytes| Value::Bytes(bytes.into())),
        Some(Value::Bytes(bytes)) => merge(Some(bytes)).map(|bytes| Value::Bytes(bytes.into())),
        // The other columns stay.
        Some(Value::Entity(columns)) => entity::plain(columns)
            .and_then(|plain| entity::with_plain(columns, &merge(Some(plain))?))
            .map(|columns| Value::Entity(columns.into())),
        Some(_) => None,
    };
    merged.unwrap_or_else(|| Value::Unmerged(Box::new(Unmerged { base: value, operands })))
}
