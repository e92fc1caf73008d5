//! How much a state holds, and its hash as the contract defines it: over a line `hex(key) + " " + hex(value)` for each live
//! key, in order. Column families are measured apart.

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::value_bytes;
use crate::analysis::OpenLog;
use crate::codec::hex;
use crate::format::Family;
use crate::format::keys::user_key;
use crate::replay::state::{Live, Sorted, Value};

/// Of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Live keys.
    pub entries: u64,
    /// Those of them whose value cannot be told.
    pub unresolved: u64,
    /// Their hash; `None`: they are pages, of which only the file that they make has one, or a value cannot be told.
    pub hash: Option<String>,
}

/// Of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Live keys, whatever their families.
    pub keys: u64,
    /// Those of them whose value cannot be told.
    pub unresolved: u64,
    /// What stands for the state: its keys, or those of the first column family asked for, which is the default one.
    pub main: Extent,
    /// The column families with their numbers, in order of those: all that are named, and those that have keys.
    pub families: Vec<(u32, Extent)>,
}

/// Measures a state.
///
/// # Errors
/// When a value cannot be read any more.
pub fn measure(log: &OpenLog, state: &Sorted<'_>) -> Result<Measure> {
    let profile = log.format().profile();
    if profile.paged() {
        let keys = state.iter()?.count() as u64;
        let main = Extent { entries: keys, ..Extent::default() };
        return Ok(Measure { keys, main, ..Measure::default() });
    }
    if !profile.families {
        let mut all = Tally::default();
        for live in state.iter()? {
            let live = live?;
            all.add(log, &live.key, &live.value)?;
        }
        let main = all.extent();
        return Ok(Measure { keys: main.entries, unresolved: main.unresolved, main, families: Vec::new() });
    }
    let mut tallies: Vec<(u32, Tally)> = Vec::new();
    for live in state.iter()? {
        let Live { key, value, .. } = live?;
        let (Some(number), key) = user_key(true, &key) else { continue };
        // Keys come family by family.
        if tallies.last().is_none_or(|(last, _)| *last != number) {
            tallies.push((number, Tally::default()));
        }
        if let Some((_, tally)) = tallies.last_mut() {
            tally.add(log, key, &value)?;
        }
    }
    Ok(apart(tallies, &log.format().families(&log.files()), state.family()))
}

/// Of a state in families.
fn apart(tallies: Vec<(u32, Tally)>, named: &[Family], only: Option<u32>) -> Measure {
    let mut families: Vec<(u32, Extent)> =
        tallies.into_iter().map(|(n, tally)| (n, tally.extent())).collect();
    let wanted = named.iter().map(|family| family.number).chain([only.unwrap_or(0)]);
    for number in wanted.filter(|number| only.is_none_or(|only| only == *number)) {
        if let Err(at) = families.binary_search_by_key(&number, |(n, _)| *n) {
            families.insert(at, (number, Tally::default().extent()));
        }
    }
    Measure {
        keys: families.iter().map(|(_, of)| of.entries).sum(),
        unresolved: families.iter().map(|(_, of)| of.unresolved).sum(),
        main: families.first().map(|(_, of)| of.clone()).unwrap_or_default(),
        families,
    }
}

/// An extent in the making.
#[derive(Default)]
struct Tally {
    entries: u64,
    unresolved: u64,
    hash: Sha256,
    line: Vec<u8>,
}

impl Tally {
    fn add(&mut self, log: &OpenLog, key: &[u8], value: &Value<'_>) -> Result<()> {
        let Tally { hash, line, .. } = self;
        self.entries += 1;
        self.unresolved += u64::from(!value.is_known());
        line.clear();
        hex::encode(line, key);
        line.push(b' ');
        value_bytes(log, value, &mut |piece| {
            hex::encode(line, piece);
            hash.update(&*line);
            line.clear();
            Ok(())
        })?;
        hash.update(&*line);
        hash.update(b"\n");
        Ok(())
    }

    fn extent(self) -> Extent {
        let hash = (self.unresolved == 0).then(|| hex::text(&self.hash.finalize()));
        Extent { entries: self.entries, unresolved: self.unresolved, hash }
    }
}
