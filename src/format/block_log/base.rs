//! The live tables of a store as what lies below its logs.

use super::directory::Directory;
use super::manifest::{self, LiveTable};
use crate::format::keys::{Base, Older, Olders, state_key};
use crate::format::sstable::blob::{self, Reference};
use crate::format::sstable::merged::{Merged, MergedError, Opener};
use crate::format::sstable::order::Order;
use crate::format::sstable::visible::{Content, Keys, Value, Visible};
use crate::format::{Effect, Open};
use crate::log::conclude::Place;

/// Tables of a store by its catalogue.
pub struct Tables {
    /// Families with tables, in order of their numbers.
    families: Vec<(u32, manifest::Family)>,
    /// Keys begin with the number of their family.
    prefixed: bool,
    open: Box<Opener<'static>>,
    blobs: Open,
}

impl Tables {
    /// The tables that the catalogue names; `None`: it names none.
    ///
    /// # Errors
    /// What of them is not understood, or not there.
    pub fn of(directory: &Directory, prefixed: bool, open: &Open) -> Result<Option<Tables>, String> {
        let live = directory.catalogue.families.iter().filter(|(_, f)| !f.dropped && !f.tables.is_empty());
        let families: Vec<(u32, manifest::Family)> = live.map(|(&number, f)| (number, f.clone())).collect();
        if families.is_empty() {
            return Ok(None);
        }
        let file = open.clone();
        let flavour = directory.flavour;
        let open_table = move |table: &LiveTable| {
            let names = flavour.table_names(table.number);
            names.iter().find_map(|name| file(name)).ok_or_else(|| format!("{} is not there", names[0]))
        };
        let tables = Tables { families, prefixed, open: Box::new(open_table), blobs: open.clone() };
        for (_, family) in &tables.families {
            let merged = Merged::new(family, &*tables.open)?;
            if merged.order() != Order::Bytewise {
                return Err("tables in reverse order of their keys".into());
            }
            // What cannot be opened at all shows at once.
            if let Some(Err(error)) = Keys::new(merged).next() {
                return Err(error.to_string());
            }
        }
        Ok(Some(tables))
    }

    fn older(&self, family: u32, found: Result<Visible, MergedError>) -> Option<Result<Older, String>> {
        let Visible { key, content, .. } = match found {
            Ok(found) => found,
            Err(error) => return Some(Err(error.to_string())),
        };
        let (value, mut operands) = match content {
            Content::Deleted => return None,
            Content::Value(value) => (Some(value), Vec::new()),
            Content::Merge { operands, base } => (base, operands),
        };
        operands.reverse();
        let value = match value.map(|value| self.value(&key, value)).transpose() {
            Ok(value) => value,
            Err(why) => return Some(Err(why)),
        };
        let key = state_key(self.prefixed.then_some(family), &key).into_owned();
        // A table is no file of the log.
        let place = Place { file: usize::MAX, at: 0 };
        Some(Ok(Older { key, place, value, operands }))
    }

    fn value(&self, key: &[u8], value: Value) -> Result<Effect<Vec<u8>>, String> {
        let reference = match value {
            Value::Plain(value) => return Ok(Effect::Put(value)),
            Value::Columns(columns) => return Ok(Effect::Entity(columns)),
            Value::Blob(reference) => reference,
        };
        match Reference::read(&reference) {
            Some(Reference::Inline(value)) => Ok(Effect::Put(value.to_vec())),
            Some(Reference::Blob { file, offset, size, compression }) => {
                let name = format!("{file:06}.blob");
                let src = (self.blobs)(&name).ok_or_else(|| format!("{name} is not there"))?;
                let value = blob::value(&*src, key, offset, size, compression);
                value.map(Effect::Put).map_err(|error| format!("{name}: {error}"))
            }
            None => Ok(Effect::Blob(reference)),
        }
    }
}

impl Base for Tables {
    fn olders(&self) -> Olders<'_> {
        Box::new(self.families.iter().flat_map(move |(number, family)| {
            let keys = match Merged::new(family, &*self.open) {
                Ok(merged) => Keys::new(merged),
                Err(why) => return Box::new(std::iter::once(Err(why))) as Olders<'_>,
            };
            Box::new(keys.filter_map(move |found| self.older(*number, found)))
        }))
    }
}
