//! The part of a state that does not fit into memory: an embedded store in an unnamed temporary file. Nothing is read while
//! the replay goes on. A row replaces the one before it; operands lie apart, each under its stamp, and those with a lower
//! stamp than the row of their key are no longer wanted.

use std::borrow::Cow;

use anyhow::{Context, Result};
use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::chain::{self, Operand};
use super::layers::{Held, Helds};
use super::ranges::{Range, Ranges};
use super::row::{CHAIN, DELETED, Entry, KIND, Row, Under, file_of};
use super::{Live, Lives};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("live");
/// By key, stamp, and their order among those of one stamp.
const OPERANDS: TableDefinition<'_, (&[u8], u32, u32), &[u8]> = TableDefinition::new("operands");
/// The ends of ranges, by start and stamp.
const RANGES: TableDefinition<'_, (&[u8], u32), &[u8]> = TableDefinition::new("ranges");
/// Bytes of its read cache.
const CACHE: usize = 64 << 20;
const UNREADABLE: &str = "cannot read the temporary store";

/// Makes an empty one.
pub(super) fn create() -> Result<Database> {
    let file = tempfile::tempfile().context("no temporary file for a state larger than --memory")?;
    let store = Database::builder().set_cache_size(CACHE).create_file(file);
    store.context("cannot set up the temporary store")
}

/// Adds what memory held. `deletions`: deleted keys are kept as such, for there are operands or older entries below them.
pub(super) fn write(disk: &Database, entries: &[Entry], ranges: &[Range], deletions: bool) -> Result<()> {
    let mut writing = disk.begin_write()?;
    // A temporary store has nothing to survive.
    writing.set_durability(Durability::None)?;
    {
        let mut rows = writing.open_table(ROWS)?;
        let (mut operands, mut row) = (writing.open_table(OPERANDS)?, Vec::new());
        for entry in entries {
            let key = entry.key();
            match entry.what & KIND {
                DELETED if !deletions => {
                    rows.remove(key)?;
                }
                CHAIN => {
                    let (base, pieces) = chain::parts(entry.rest());
                    if let Some(base) = base {
                        row.clear();
                        base.write(&mut row);
                        rows.insert(key, row.as_slice())?;
                    }
                    for (i, piece) in (0..).zip(pieces) {
                        row.clear();
                        Row { what: file_of(piece.place), at: piece.place.at, rest: &piece.bytes }
                            .write(&mut row);
                        operands.insert((key, piece.stamp, i), row.as_slice())?;
                    }
                }
                _ => {
                    row.clear();
                    entry.row().write(&mut row);
                    rows.insert(key, row.as_slice())?;
                }
            }
        }
        let mut table = writing.open_table(RANGES)?;
        for range in ranges {
            table.insert((range.start.as_slice(), range.stamp), range.end.as_slice())?;
        }
    }
    writing.commit()?;
    Ok(())
}

/// The rows as they are, where nothing lies over or under them.
pub(super) fn rows(disk: &Database) -> Result<Lives<'_>> {
    let table = disk.begin_read()?.open_table(ROWS)?;
    let rows = table.range::<&[u8]>(..)?;
    Ok(Box::new(rows.map(|row| {
        let (key, row) = row.context(UNREADABLE)?;
        let row = Row::of(row.value());
        let (key, place) = (Cow::Owned(key.value().to_vec()), row.place());
        Ok(Live { key, value: row.split().1.into_owned(), place })
    })))
}

/// The ranges in order of their starts.
pub(super) fn ranges(disk: &Database) -> Result<Ranges<'_>> {
    let table = disk.begin_read()?.open_table(RANGES)?;
    let ranges = table.range::<(&[u8], u32)>(..)?;
    Ok(Box::new(ranges.map(|range| {
        let (key, end) = range.context(UNREADABLE)?;
        let (start, stamp) = key.value();
        Ok(Range { start: start.to_vec(), stamp, end: end.value().to_vec() })
    })))
}

/// Every key with its row and its operands.
pub(super) fn helds(disk: &Database) -> Result<Helds<'_>> {
    let reading = disk.begin_read()?;
    let rows = reading.open_table(ROWS)?.range::<&[u8]>(..)?;
    let rows = rows.map(|row| {
        let (key, row) = row.context(UNREADABLE)?;
        Ok((key.value().to_vec(), Row::of(row.value()).under().into_owned()))
    });
    let operands = reading.open_table(OPERANDS)?.range::<(&[u8], u32, u32)>(..)?;
    let operands = operands.map(|operand| {
        let (key, row) = operand.context(UNREADABLE)?;
        let ((key, stamp, _), row) = (key.value(), Row::of(row.value()));
        let bytes = Cow::Owned(row.rest.to_vec());
        Ok((key.to_vec(), Operand { stamp, place: row.place(), bytes }))
    });
    let mut join = Join::new(Box::new(rows), Box::new(operands))?;
    Ok(Box::new(std::iter::from_fn(move || join.step().transpose())))
}

type Stream<T> = Box<dyn Iterator<Item = Result<(Vec<u8>, T)>>>;

/// Two tables in order of their keys.
struct Join {
    rows: Stream<Under<'static>>,
    operands: Stream<Operand<'static>>,
    row: Option<(Vec<u8>, Under<'static>)>,
    operand: Option<(Vec<u8>, Operand<'static>)>,
}

impl Join {
    fn new(mut rows: Stream<Under<'static>>, mut operands: Stream<Operand<'static>>) -> Result<Join> {
        let (row, operand) = (rows.next().transpose()?, operands.next().transpose()?);
        Ok(Join { rows, operands, row, operand })
    }

    fn step(&mut self) -> Result<Option<Held<'static>>> {
        let keys = [self.row.as_ref().map(|r| &r.0), self.operand.as_ref().map(|o| &o.0)];
        let Some(key) = keys.into_iter().flatten().min().cloned() else { return Ok(None) };
        let mut held = Held { key: Cow::Owned(key), under: None, operands: Vec::new() };
        if let Some((_, under)) = self.row.take_if(|(key, _)| *key == *held.key) {
            held.under = Some(under);
            self.row = self.rows.next().transpose()?;
        }
        let since = held.under.as_ref().map_or(0, |under| under.stamp);
        while let Some((_, operand)) = self.operand.take_if(|(key, _)| *key == *held.key) {
            if operand.stamp >= since {
                held.operands.push(operand);
            }
            self.operand = self.operands.next().transpose()?;
        }
        Ok(Some(held))
    }
}
