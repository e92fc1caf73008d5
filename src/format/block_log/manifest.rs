//! The catalogue of a LevelDB or RocksDB database: what the edits of its MANIFEST add up to.
//!
//! A MANIFEST is a log of the usual blocks; each logical record is one version edit, a sequence of fields:
//! ```text
//! field    tag varint32 | body                       strings: length varint32 | bytes; numbers: varint
//!   1 comparator string        2 log number          3 next file number       4 last sequence
//!   5 cursor: level | key      6 deleted: level | file                        9 previous log number
//!   7 file: level | file | size | smallest | largest                        (LevelDB)
//! 100 the same | smallest seq | largest seq     102 level | file | path | size | ... as 100
//! 103 as 100 | { custom tag varint32 | string }* | 1
//!  10 min log to keep       200 family id      201 family added: name    202 family dropped      203 max family
//! 300 member of an atomic group: members that follow
//! 400 blob file: file | count | bytes | method string | sum string | { custom tag | string }* | 0
//! 401 blob garbage: file | count | bytes | { custom tag | string }* | 0
//! 0x2000 and more: length varint32 | body; readers may skip what they do not know.      8194, 8195: bodies of 400, 401,
//!                                                8196, 8197: logs added and deleted in an older form, all without length
//! ```
//! Keys here are internal: the user's key and eight bytes with its sequence number and type. The family of an edit stands
//! anywhere among its fields and holds for all of them. Edits of an atomic group count once the group is whole. Within an
//! edit deletions come before additions. Upstream: `db/version_edit.cc`, `db/version_edit_handler.cc`, `db/wal_edit.cc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::codec::cursor::Cursor;
use crate::format::sstable::order::Order;

mod snapshot;

pub use self::snapshot::{snapshot, table_field};

/// Why an edit cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditFault {
    /// Offset of the field in the record.
    pub at: usize,
    /// Tag of the field, 0 where none could be read.
    pub tag: u32,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for EditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag {} at byte {} of the edit: {}", self.tag, self.at, self.what)
    }
}

/// One table file as an edit tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewTable<'a> {
    /// Level, 0 is the newest.
    pub level: u32,
    /// Number in the file's name.
    pub number: u64,
    /// Which of the configured directories holds it.
    pub path_id: u32,
    /// Bytes.
    pub size: u64,
    /// Internal keys of the first and the last entry.
    pub bounds: [&'a [u8]; 2],
    /// Lowest and highest sequence number; LevelDB does not say.
    pub sequences: Option<[u64; 2]>,
    /// Min log number to keep, which RocksDB before tag 10 hid here.
    pub min_log: Option<u64>,
    /// The user's timestamps were cut off the keys.
    pub timestamps_stripped: bool,
    /// The whole field, its tag included.
    pub field: &'a [u8],
}

/// One field of an edit, borrowed from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the drawing above says what each holds")]
pub enum Field<'a> {
    Comparator(&'a [u8]),
    LogNumber(u64),
    NextFile(u64),
    LastSequence(u64),
    Cursor { level: u32, key: &'a [u8] },
    Deleted { level: u32, number: u64 },
    New(NewTable<'a>),
    PreviousLog(u64),
    MinLog(u64),
    Family(u32),
    FamilyAdded(&'a [u8]),
    FamilyDropped,
    MaxFamily(u32),
    AtomicGroup { remaining: u32 },
    BlobAdded { number: u64, count: u64, bytes: u64, field: &'a [u8] },
    BlobGarbage { number: u64, count: u64, bytes: u64 },
    LogAdded { number: u64, synced: Option<u64> },
    LogsDeletedBefore(u64),
    DatabaseId(&'a [u8]),
    TimestampLow(&'a [u8]),
    PersistTimestamps(bool),
    Skipped { tag: u32, len: usize },
}

/// The fields of one edit, until the first that cannot be read.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

/// Goes through the fields of one logical record.
pub fn fields(record: &[u8]) -> Fields<'_> {
    Fields { cursor: Cursor::new(record), failed: false }
}

impl Fields<'_> {
    /// Offset of the next field in the record.
    pub fn at(&self) -> usize {
        self.cursor.at()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, EditFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_empty() {
            return None;
        }
        let (at, all) = (self.cursor.at(), self.cursor.rest());
        let tag = self.cursor.varint32();
        let mut field = match tag {
            Some(tag) => body(&mut self.cursor, tag),
            None => Err("no tag"),
        };
        if let Ok(Field::New(NewTable { field, .. }) | Field::BlobAdded { field, .. }) = &mut field {
            *field = all.get(..self.cursor.at() - at).unwrap_or_default();
        }
        self.failed = field.is_err();
        Some(field.map_err(|what| EditFault { at, tag: tag.unwrap_or(0), what }))
    }
}

/// Tags from here on may be skipped by whoever does not know them.
const IGNORABLE: u32 = 1 << 13;
/// The same inside a table's list of custom fields, the other way round.
const CUSTOM_BINDING: u32 = 1 << 6;
/// Highest number of a level; every known engine has seven or so.
const LEVEL_MAX: u32 = 1 << 16;

fn body<'a>(c: &mut Cursor<'a>, tag: u32) -> Result<Field<'a>, &'static str> {
    let number = |c: &mut Cursor<'a>| c.varint64().ok_or("a number does not fit the edit");
    let string = |c: &mut Cursor<'a>| c.string().ok_or("a string does not fit the edit");
    let small = |c: &mut Cursor<'a>| c.varint32().ok_or("a number does not fit the edit");
    Ok(match tag {
        1 => Field::Comparator(string(c)?),
        2 => Field::LogNumber(number(c)?),
        3 => Field::NextFile(number(c)?),
        4 => Field::LastSequence(number(c)?),
        5 => Field::Cursor { level: level(c)?, key: internal_key(c)? },
        6 => Field::Deleted { level: level(c)?, number: number(c)? },
        7 | 100 | 102 | 103 => Field::New(new_table(c, tag)?),
        9 => Field::PreviousLog(number(c)?),
        10 => Field::MinLog(number(c)?),
        200 => Field::Family(small(c)?),
        201 => Field::FamilyAdded(string(c)?),
        202 => Field::FamilyDropped,
        203 => Field::MaxFamily(small(c)?),
        300 => Field::AtomicGroup { remaining: small(c)? },
        400 | 8194 => blob_added(c)?,
        401 | 8195 => blob_garbage(c)?,
        8193 => Field::DatabaseId(string(c)?),
        8196 => log_added(c)?,
        8197 => Field::LogsDeletedBefore(number(c)?),
        8198 => Field::TimestampLow(string(c)?),
        8199 => log_added(&mut Cursor::new(string(c)?))?,
        8200 => Field::LogsDeletedBefore(number(&mut Cursor::new(string(c)?))?),
        8201 => match string(c)? {
            [flag] => Field::PersistTimestamps(*flag == 1),
            _ => return Err("the flag is not one byte"),
        },
        _ if tag & IGNORABLE != 0 => Field::Skipped { tag, len: string(c)?.len() },
        _ => return Err("unknown, and of the tags that must not be ignored"),
    })
}

fn level(c: &mut Cursor<'_>) -> Result<u32, &'static str> {
    c.varint32().filter(|&level| level <= LEVEL_MAX).ok_or("no level")
}

fn internal_key<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], &'static str> {
    c.string().filter(|key| key.len() >= 8).ok_or("no internal key")
}

fn new_table<'a>(c: &mut Cursor<'a>, tag: u32) -> Result<NewTable<'a>, &'static str> {
    let short = "a number does not fit the edit";
    let mut table = NewTable { level: level(c)?, number: c.varint64().ok_or(short)?, ..NewTable::default() };
    if tag == 102 {
        table.path_id = c.varint32().ok_or(short)?;
    }
    table.size = c.varint64().ok_or(short)?;
    table.bounds = [internal_key(c)?, internal_key(c)?];
    if tag != 7 {
        table.sequences = Some([c.varint64().ok_or(short)?, c.varint64().ok_or(short)?]);
    }
    if tag == 103 {
        custom_fields(c, 1, |custom, body| {
            let mut inner = Cursor::new(body);
            match (custom, body) {
                (3, _) => table.min_log = Some(inner.le64().ok_or("no log number in custom field 3")?),
                (16, [flag]) => table.timestamps_stripped = *flag == 0,
                (65, [path @ 0..=3]) => table.path_id = u32::from(*path),
                (16 | 65, _) => return Err("a custom field with a value that it cannot have"),
                _ if custom & CUSTOM_BINDING != 0 => return Err("a custom field that must not be ignored"),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(table)
}

/// Goes through pairs of a tag and a string up to the tag `end`.
fn custom_fields<'a>(
    c: &mut Cursor<'a>,
    end: u32,
    mut each: impl FnMut(u32, &'a [u8]) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    loop {
        let custom = c.varint32().ok_or("the custom fields have no end")?;
        if custom == end {
            return Ok(());
        }
        each(custom, c.string().ok_or("a custom field does not fit the edit")?)?;
    }
}

/// The custom fields of blob files, of which none is known.
fn blob_custom(c: &mut Cursor<'_>) -> Result<(), &'static str> {
    custom_fields(c, 0, |custom, _| match custom & CUSTOM_BINDING {
        0 => Ok(()),
        _ => Err("a custom field that must not be ignored"),
    })
}

fn blob_added<'a>(c: &mut Cursor<'a>) -> Result<Field<'a>, &'static str> {
    let [number, count, bytes] = three(c)?;
    for _ in ["method", "sum"] {
        c.string().ok_or("a string does not fit the edit")?;
    }
    blob_custom(c)?;
    Ok(Field::BlobAdded { number, count, bytes, field: &[] })
}

fn blob_garbage<'a>(c: &mut Cursor<'a>) -> Result<Field<'a>, &'static str> {
    let [number, count, bytes] = three(c)?;
    blob_custom(c)?;
    Ok(Field::BlobGarbage { number, count, bytes })
}

fn three(c: &mut Cursor<'_>) -> Result<[u64; 3], &'static str> {
    let mut next = || c.varint64().ok_or("a number does not fit the edit");
    Ok([next()?, next()?, next()?])
}

fn log_added<'a>(c: &mut Cursor<'_>) -> Result<Field<'a>, &'static str> {
    let number = c.varint64().ok_or("no log number")?;
    let mut synced = None;
    loop {
        match c.varint32().ok_or("the fields of a log have no end")? {
            1 => return Ok(Field::LogAdded { number, synced }),
            2 => synced = Some(c.varint64().ok_or("no size of a log")?),
            _ => return Err("an unknown field of a log"),
        }
    }
}

impl Field<'_> {
    /// Name and value for people, keys and names escaped.
    pub fn pair(&self) -> (&'static str, String) {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        match *self {
            Field::Comparator(name) => ("comparator", text(name)),
            Field::LogNumber(n) => ("log-number", n.to_string()),
            Field::NextFile(n) => ("next-file", n.to_string()),
            Field::LastSequence(n) => ("last-sequence", n.to_string()),
            Field::Cursor { level, key } => ("cursor", format!("level {level} at {}", text(key))),
            Field::Deleted { level, number } => ("table-deleted", format!("{number} of level {level}")),
            Field::New(t) => {
                let [first, last] = t.bounds.map(|key| text(user_key(key)));
                let NewTable { level, number, size, .. } = t;
                ("table-added", format!("{number} at level {level}, {size} bytes, {first} to {last}"))
            }
            Field::PreviousLog(n) => ("previous-log", n.to_string()),
            Field::MinLog(n) => ("min-log-to-keep", n.to_string()),
            Field::Family(id) => ("family", id.to_string()),
            Field::FamilyAdded(name) => ("family-added", text(name)),
            Field::FamilyDropped => ("family-dropped", "yes".into()),
            Field::MaxFamily(id) => ("max-family", id.to_string()),
            Field::AtomicGroup { remaining } => ("atomic-group", format!("{remaining} to follow")),
            Field::BlobAdded { number, count, bytes, .. } => {
                ("blob-file", format!("{number}, {count} values, {bytes} bytes"))
            }
            Field::BlobGarbage { number, count, bytes } => {
                ("blob-garbage", format!("{number}, {count} values, {bytes} bytes"))
            }
            Field::LogAdded { number, synced: None } => ("log-added", number.to_string()),
            Field::LogAdded { number, synced: Some(n) } => {
                ("log-added", format!("{number}, {n} bytes synced"))
            }
            Field::LogsDeletedBefore(n) => ("logs-deleted-before", n.to_string()),
            Field::DatabaseId(id) => ("database-id", text(id)),
            Field::TimestampLow(low) => ("timestamp-low", text(low)),
            Field::PersistTimestamps(yes) => ("persist-timestamps", yes.to_string()),
            Field::Skipped { tag, len } => ("skipped", format!("{}, {len} bytes", tag_name(tag))),
        }
    }
}

/// The first `max` fields of an edit as names and values; what cannot be read is the last of them.
pub fn pairs(record: &[u8], max: usize) -> Vec<(&'static str, String)> {
    let told = fields(record).take(max).map(|field| match field {
        Ok(field) => field.pair(),
        Err(fault) => ("fault", fault.to_string()),
    });
    told.collect()
}

/// A tag that may be ignored: its name where one is known.
pub fn tag_name(tag: u32) -> String {
    match tag {
        8202 => "subcompaction progress".into(),
        8203 => "size of the last compacted manifest".into(),
        _ => format!("tag {tag}"),
    }
}

/// The user's part of an internal key.
pub fn user_key(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(8)]
}

/// A table that belongs to the newest version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveTable {
    /// Level, 0 is the newest.
    pub level: u32,
    /// Number in the file's name.
    pub number: u64,
    /// Which of the configured directories holds it.
    pub path_id: u32,
    /// Bytes.
    pub size: u64,
    /// Internal key of the first entry.
    pub smallest: Vec<u8>,
    /// Internal key of the last entry.
    pub largest: Vec<u8>,
    /// Lowest and highest sequence number; LevelDB does not say.
    pub sequences: Option<[u64; 2]>,
    /// The user's timestamps were cut off the keys.
    pub timestamps_stripped: bool,
    /// The field that adds it, as it stands in its edit.
    pub field: Vec<u8>,
}

/// A column family; LevelDB has the default one alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// `None` where no edit adds it, though some speak of it.
    pub name: Option<Vec<u8>>,
    /// Logs with lower numbers hold nothing for it that its tables have not.
    pub log_number: u64,
    /// It was dropped; its tables are forgotten.
    pub dropped: bool,
    /// Name of the order of its keys.
    pub comparator: Option<Vec<u8>>,
    /// Live tables by file number.
    pub tables: BTreeMap<u64, LiveTable>,
    /// Live blob files by number, with what is garbage in them.
    pub blobs: BTreeMap<u64, BlobFile>,
    /// Keys carry the user's timestamps in the database, but not in its tables.
    pub timestamps_not_persisted: bool,
}

/// A file of values stored apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobFile {
    /// Values in it, and their bytes.
    pub total: [u64; 2],
    /// Those of them that no table refers to any more.
    pub garbage: [u64; 2],
    /// The field that adds it, as it stands in its edit.
    pub field: Vec<u8>,
}

/// What all edits so far add up to.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Column families by id.
    pub families: BTreeMap<u32, Family>,
    /// Log number of the last edit that has one.
    pub log_number: Option<u64>,
    /// Those of all edits.
    pub log_numbers: BTreeSet<u64>,
    /// A second log that LevelDB's recovery reads.
    pub previous_log: Option<u64>,
    /// Lower logs are not needed, not even for prepared transactions.
    pub min_log_to_keep: Option<u64>,
    /// The last sequence number that an edit tells.
    pub last_sequence: Option<u64>,
    /// The next free file number.
    pub next_file: Option<u64>,
    /// Highest id of a family that was ever given.
    pub max_family: Option<u32>,
    /// Logs that the engine tracks, with the size it last synced.
    pub logs: BTreeMap<u64, Option<u64>>,
    /// Tracked logs below it are gone.
    pub logs_deleted_before: u64,
    /// What stands in the file IDENTITY.
    pub database_id: Option<Vec<u8>>,
    /// Numbers of all tables that were ever added, and of those deleted that no edit had added.
    pub added: BTreeSet<u64>,
    /// See `added`.
    pub unheard_of: BTreeSet<u64>,
    /// Sequence numbers that were all of a table once: that of a file which was ingested, and which no log has.
    pub alone: BTreeSet<u64>,
    /// A table was deleted from another level than the one that it was added at.
    pub misplaced: bool,
    /// Edits applied.
    pub edits: u64,
    /// Tags that were skipped.
    pub skipped: BTreeSet<u32>,
    /// Members of an atomic group that is not whole yet.
    group: Vec<Vec<u8>>,
    /// Members that it still lacks.
    lacking: u32,
}

impl Default for Catalogue {
    fn default() -> Self {
        let default = Family { name: Some(b"default".to_vec()), ..Family::default() };
        Catalogue {
            families: BTreeMap::from([(0, default)]),
            log_number: None,
            log_numbers: BTreeSet::new(),
            previous_log: None,
            min_log_to_keep: None,
            last_sequence: None,
            next_file: None,
            max_family: None,
            logs: BTreeMap::new(),
            logs_deleted_before: 0,
            database_id: None,
            added: BTreeSet::new(),
            unheard_of: BTreeSet::new(),
            alone: BTreeSet::new(),
            misplaced: false,
            edits: 0,
            skipped: BTreeSet::new(),
            group: Vec::new(),
            lacking: 0,
        }
    }
}

impl Catalogue {
    /// Applies one logical record; a member of an atomic group waits for the last one.
    ///
    /// # Errors
    /// The first field that cannot be read or has no place here; nothing of the record is applied then.
    pub fn apply(&mut self, record: &[u8]) -> Result<(), EditFault> {
        let mut remaining = None;
        for field in fields(record) {
            if let Field::AtomicGroup { remaining: n } = field? {
                remaining = Some(n);
            }
        }
        let misplaced = |what| Err(EditFault { at: 0, tag: 300, what });
        match (remaining, self.group.is_empty()) {
            (None, true) => self.change(record),
            (None, false) => {
                return misplaced("an atomic group is not whole, and this edit is none of its members");
            }
            (Some(n), false) if n.checked_add(1) != Some(self.lacking) => {
                return misplaced("a member of an atomic group is missing");
            }
            (Some(0), _) => {
                for member in std::mem::take(&mut self.group) {
                    self.change(&member);
                }
                self.lacking = 0;
                self.change(record);
            }
            (Some(n), _) => {
                self.group.push(record.to_vec());
                self.lacking = n;
            }
        }
        Ok(())
    }

    /// Edits of an atomic group that wait for the rest of it; the engine drops them if the MANIFEST ends here.
    pub fn waiting(&self) -> usize {
        self.group.len()
    }

    /// Gives up an atomic group that will never be whole, so that the edits behind it count.
    pub fn forget_group(&mut self) {
        self.group.clear();
        self.lacking = 0;
    }

    /// Applies an edit that can be read as a whole.
    fn change(&mut self, record: &[u8]) {
        self.edits += 1;
        let all = || fields(record).map_while(Result::ok);
        let id = all().filter_map(|field| if let Field::Family(id) = field { Some(id) } else { None }).last();
        let family = self.families.entry(id.unwrap_or(0)).or_default();
        for field in all() {
            match field {
                Field::FamilyAdded(name) => {
                    *family = Family { name: Some(name.to_vec()), ..Family::default() }
                }
                Field::Deleted { level, number } => match family.tables.remove(&number) {
                    // The edit that took it there is lost; it is the same table all the same.
                    Some(table) => self.misplaced |= table.level != level,
                    None if self.added.contains(&number) => {}
                    None => _ = self.unheard_of.insert(number),
                },
                _ => {}
            }
        }
        for field in all() {
            family.change(field);
        }
        for field in all() {
            if let Field::New(table) = field {
                self.added.insert(table.number);
                self.alone
                    .extend(table.sequences.filter(|[first, last]| first == last).map(|[number, _]| number));
            }
            self.change_whole(field);
        }
    }

    /// What a field changes for all families.
    fn change_whole(&mut self, field: Field<'_>) {
        match field {
            Field::LogNumber(n) => {
                self.log_number = Some(n);
                self.log_numbers.insert(n);
            }
            Field::PreviousLog(n) => self.previous_log = Some(n),
            Field::MinLog(n) | Field::New(NewTable { min_log: Some(n), .. }) => {
                self.min_log_to_keep = self.min_log_to_keep.max(Some(n));
            }
            Field::LastSequence(n) => self.last_sequence = Some(n),
            Field::NextFile(n) => self.next_file = Some(n),
            Field::MaxFamily(id) => self.max_family = Some(id),
            Field::LogAdded { number, synced } if number >= self.logs_deleted_before => {
                let known = self.logs.entry(number).or_default();
                *known = (*known).max(synced);
            }
            Field::LogsDeletedBefore(n) if n > self.logs_deleted_before => {
                self.logs_deleted_before = n;
                self.logs = self.logs.split_off(&n);
            }
            Field::DatabaseId(id) => self.database_id = Some(id.to_vec()),
            Field::Skipped { tag, .. } => drop(self.skipped.insert(tag)),
            _ => {}
        }
    }
}

impl Family {
    /// The order of its keys; bytewise where it is not understood.
    pub fn order(&self) -> Order {
        self.comparator.as_deref().and_then(Order::named).unwrap_or_default()
    }

    /// What a field changes for its family; deletions are done before.
    fn change(&mut self, field: Field<'_>) {
        match field {
            Field::Comparator(name) => self.comparator = Some(name.to_vec()),
            // The engine ignores a step back.
            Field::LogNumber(n) => self.log_number = self.log_number.max(n),
            Field::FamilyDropped => {
                self.dropped = true;
                self.tables.clear();
                self.blobs.clear();
            }
            Field::New(table) => drop(self.tables.insert(table.number, LiveTable::from(table))),
            Field::BlobAdded { number, count, bytes, field } => {
                let (total, field) = ([count, bytes], field.to_vec());
                self.blobs.insert(number, BlobFile { total, garbage: [0; 2], field });
            }
            Field::BlobGarbage { number, count, bytes } => {
                let Some(blob) = self.blobs.get_mut(&number) else { return };
                let [counted, summed] = blob.garbage;
                blob.garbage = [counted.saturating_add(count), summed.saturating_add(bytes)];
                // A file without a living value is deleted, and no edit says so.
                if blob.garbage[0] >= blob.total[0] {
                    self.blobs.remove(&number);
                }
            }
            Field::PersistTimestamps(yes) => self.timestamps_not_persisted = !yes,
            _ => {}
        }
    }
}

impl From<NewTable<'_>> for LiveTable {
    fn from(t: NewTable<'_>) -> Self {
        let [smallest, largest] = t.bounds.map(<[u8]>::to_vec);
        let NewTable { level, number, path_id, size, sequences, timestamps_stripped, field, .. } = t;
        let field = field.to_vec();
        LiveTable { level, number, path_id, size, smallest, largest, sequences, timestamps_stripped, field }
    }
}

#[cfg(test)]
mod tests;
