//! One table: what it is, and all of its entries in order.

use std::cmp::Ordering;

use super::block::{Entries, Layout};
use super::checksum::{Checksum, context};
use super::compression::{Dialect, decompress};
use super::footer::{Footer, Handle, read};
use super::order::Order;
use super::properties::Properties;
use super::ranges::RangeDeletion;
use super::{BLOCK_MAX, Item, SEQUENCE_MAX, TableError, internal, kind};
use crate::codec::cursor::Cursor;
use crate::log::bytes::ReadAt;

const PARTITIONED: u32 = 2;
const FIRST_KEYS: u32 = 3;

/// What the MANIFEST knows of a table before it is opened; all of it may be unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    /// Name of the order of keys; tables of LevelDB do not tell it.
    pub comparator: Option<&'a [u8]>,
    /// Highest sequence number: for tables that were ingested, the one of all their entries.
    pub largest_sequence: Option<u64>,
}

/// An open table. It holds what the meta blocks say, and no data.
pub struct Table<'a> {
    src: Box<dyn ReadAt + 'a>,
    footer: Footer,
    properties: Option<Properties>,
    order: Order,
    index: Handle,
    dictionary: Vec<u8>,
    ranges: Vec<RangeDeletion>,
    /// Sequence number of all entries of an ingested table.
    global: Option<u64>,
}

impl<'a> Table<'a> {
    /// Opens a table of which nothing else is known.
    ///
    /// # Errors
    /// It is none, is damaged in a place that all of it depends on, or is of a form that is not understood.
    pub fn open(src: impl ReadAt + 'a) -> Result<Table<'a>, TableError> {
        Table::open_as(Box::new(src), Expected::default())
    }

    /// Opens a table of which a MANIFEST tells.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn open_as(src: Box<dyn ReadAt + 'a>, expected: Expected<'_>) -> Result<Table<'a>, TableError> {
        let footer = Footer::read(&*src)?;
        let index = footer.index.unwrap_or_default();
        let mut table = Table {
            src,
            footer,
            properties: None,
            order: Order::Bytewise,
            index,
            dictionary: Vec::new(),
            ranges: Vec::new(),
            global: None,
        };
        let blocks = table.meta_blocks()?;
        if let Some(handle) = blocks.properties {
            table.properties = Some(table.read_properties(handle)?);
        }
        table.order = table.read_order(expected.comparator)?;
        table.global = table.global_sequence(expected.largest_sequence)?;
        if footer.index.is_none() {
            let at = footer.metaindex.offset;
            table.index = blocks.index.ok_or_else(|| TableError::new(at, "no index is named"))?;
        }
        if let Some(handle) = blocks.dictionary {
            table.dictionary = table.block(handle)?;
        }
        if let Some(handle) = blocks.ranges {
            table.ranges = table.read_ranges(handle)?;
        }
        Ok(table)
    }

    /// What the table says about itself.
    pub fn properties(&self) -> Option<&Properties> {
        self.properties.as_ref()
    }

    /// What its last bytes say.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The order of its keys.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Its range deletions, not cut to the bounds that the MANIFEST tells.
    pub fn ranges(&self) -> &[RangeDeletion] {
        &self.ranges
    }

    /// Whether its data blocks are compressed with a dictionary.
    pub fn has_dictionary(&self) -> bool {
        !self.dictionary.is_empty()
    }

    /// All entries in order.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn iter(&self) -> Result<Iter<'_, 'a>, TableError> {
        Ok(Iter { table: self, position: Position::start(self)? })
    }

    /// The entries of `key` and of all keys behind it.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn seek(&self, key: &[u8]) -> Result<Iter<'_, 'a>, TableError> {
        let mut iter = self.iter()?;
        iter.position.from = Some(key.to_vec());
        Ok(iter)
    }

    fn dialect(&self) -> Dialect {
        match (self.footer.version, &self.properties) {
            (0, None) => Dialect::LevelDb,
            (0 | 1, _) => Dialect::Early,
            _ => Dialect::Prefixed,
        }
    }

    /// A block as it lies in the file: its contents, its compression, and whether its checksum is right.
    fn raw_block(&self, handle: Handle) -> Result<(Vec<u8>, u8, Sound), TableError> {
        let fault = |what: String| TableError::new(handle.offset, what);
        let size = usize::try_from(handle.size).ok().filter(|&size| size <= BLOCK_MAX);
        let size = size.ok_or_else(|| {
            fault(format!("a block of {} bytes, more than {BLOCK_MAX} are not taken", handle.size))
        })?;
        let mut bytes = read(&*self.src, handle.offset, size + 5)?;
        let stored = bytes.split_off(size + 1);
        let stored = Cursor::new(&stored).le32().unwrap_or(0);
        let sound = Sound { stored, context: context(self.footer.context, handle.offset) };
        // The checksum is over the compression, too.
        let compression = bytes.last().copied().unwrap_or(0);
        Ok((bytes, compression, sound))
    }

    /// A block, checked and decompressed with the dictionary, if there is one by now.
    fn block_with(&self, handle: Handle, dictionary: &[u8]) -> Result<Vec<u8>, TableError> {
        let (mut bytes, compression, sound) = self.raw_block(handle)?;
        let fault = |what: String| TableError::new(handle.offset, what);
        if !sound.fits(self.footer.checksum, &bytes) {
            return Err(fault("the block fails its checksum".into()));
        }
        bytes.pop();
        decompress(bytes, compression, self.dialect(), dictionary).map_err(fault)
    }

    fn block(&self, handle: Handle) -> Result<Vec<u8>, TableError> {
        self.block_with(handle, &[])
    }

    fn meta_blocks(&self) -> Result<MetaBlocks, TableError> {
        let handle = self.footer.metaindex;
        let mut entries = Entries::new(self.block(handle)?, handle.offset, Layout::Plain)?;
        let mut found = MetaBlocks::default();
        while entries.advance()? {
            let place = match entries.key() {
                b"rocksdb.properties" | b"rocksdb.stats" => &mut found.properties,
                b"rocksdb.index" => &mut found.index,
                b"rocksdb.compression_dict" => &mut found.dictionary,
                b"rocksdb.range_del" => &mut found.ranges,
                _ => continue,
            };
            *place = Handle::read(&mut Cursor::new(entries.value()));
            if place.is_none() {
                return Err(TableError::new(handle.offset, "the metaindex is damaged"));
            }
        }
        Ok(found)
    }

    fn read_properties(&self, handle: Handle) -> Result<Properties, TableError> {
        let (mut bytes, compression, sound) = self.raw_block(handle)?;
        let fault = |what: String| TableError::new(handle.offset, what);
        let contents = || bytes[..bytes.len().saturating_sub(1)].to_vec();
        let dialect = if self.footer.version < 2 { Dialect::Early } else { Dialect::Prefixed };
        let contents = decompress(contents(), compression, dialect, &[]).map_err(fault)?;
        let properties = Properties::read(contents, handle.offset);
        let mut fits = sound.fits(self.footer.checksum, &bytes);
        // Ingestion once wrote a number into the finished table without another checksum.
        if let Ok(Properties { global_sequence: Some((_, at)), .. }) = properties
            && !fits
            && let Some(number) = bytes.get_mut(at..at.saturating_add(8))
        {
            number.fill(0);
            fits = sound.fits(self.footer.checksum, &bytes);
        }
        if !fits {
            return Err(fault("the properties fail their checksum".into()));
        }
        properties
    }

    fn read_order(&self, expected: Option<&[u8]>) -> Result<Order, TableError> {
        let own = self.properties.as_ref().and_then(|p| p.comparator.as_deref());
        let Some(name) = own.or(expected) else { return Ok(Order::Bytewise) };
        Order::named(name).ok_or_else(|| TableError::new(self.footer.at, Order::unknown(name)))
    }

    /// The sequence number of all entries, if the table was made outside and ingested.
    fn global_sequence(&self, largest: Option<u64>) -> Result<Option<u64>, TableError> {
        let Some(properties) = &self.properties else { return Ok(None) };
        let written = properties.global_sequence.map(|(number, _)| number);
        if properties.external_version.is_none_or(|version| version < 2) {
            return Ok(None);
        }
        match (written.unwrap_or(0), largest.filter(|&n| n < SEQUENCE_MAX)) {
            (0, largest) => Ok(Some(largest.unwrap_or(0))),
            (written, Some(largest)) if written != largest => {
                let what = format!("ingested with sequence {written}, but the catalogue says {largest}");
                Err(TableError::new(self.footer.at, what))
            }
            (written, _) => Ok(Some(written)),
        }
    }

    fn read_ranges(&self, handle: Handle) -> Result<Vec<RangeDeletion>, TableError> {
        let fault = |what| TableError::new(handle.offset, what);
        let mut entries = Entries::new(self.block(handle)?, handle.offset, Layout::Plain)?;
        let (mut ranges, mut weight) = (Vec::new(), 0usize);
        while entries.advance()? {
            let Some((from, sequence, kind::RANGE_DELETION)) = internal(entries.key()) else {
                return Err(fault("among the range deletions is something else"));
            };
            let range = RangeDeletion::new(from, entries.value(), self.global.unwrap_or(sequence));
            // A few bytes on disk may stand for long keys.
            weight = weight.saturating_add(range.weight());
            if weight > BLOCK_MAX {
                return Err(fault("too many range deletions"));
            }
            ranges.push(range);
        }
        Ok(ranges)
    }

    fn index_layout(&self) -> Layout {
        let Some(properties) = &self.properties else {
            return Layout::Index { delta: false, first_key: false };
        };
        let first_key = properties.index_type == FIRST_KEYS;
        Layout::Index { delta: properties.index_value_is_delta, first_key }
    }

    fn index_block(&self, handle: Handle) -> Result<Entries, TableError> {
        Entries::new(self.block(handle)?, handle.offset, self.index_layout())
    }

    fn is_partitioned(&self) -> bool {
        self.properties.as_ref().is_some_and(|p| p.index_type == PARTITIONED)
    }

    /// Whether a block whose key in the index is this one ends before `from`.
    fn ends_before(&self, index_key: &[u8], from: &[u8]) -> bool {
        let bare = self.properties.as_ref().is_some_and(|p| p.index_key_is_user_key);
        let key = if bare { Some(index_key) } else { internal(index_key).map(|(key, ..)| key) };
        key.is_some_and(|key| self.order.compare(key, from) == Ordering::Less)
    }
}

/// What is needed to check a block.
struct Sound {
    stored: u32,
    context: u32,
}

impl Sound {
    fn fits(&self, checksum: Checksum, bytes: &[u8]) -> bool {
        checksum == Checksum::None || self.stored == checksum.of(bytes).wrapping_add(self.context)
    }
}

#[derive(Default)]
struct MetaBlocks {
    properties: Option<Handle>,
    index: Option<Handle>,
    dictionary: Option<Handle>,
    ranges: Option<Handle>,
}

/// A place in a table; holds one data block and one or two blocks of the index.
pub struct Position {
    index: Entries,
    partition: Option<Entries>,
    data: Option<Entries>,
    /// Data blocks follow each other: the next one starts here or later.
    behind: u64,
    /// Entries before this key are passed over.
    from: Option<Vec<u8>>,
    /// Internal key of the last entry.
    last: Vec<u8>,
}

impl Position {
    /// Before the first entry.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn start(table: &Table<'_>) -> Result<Position, TableError> {
        let index = table.index_block(table.index)?;
        Ok(Position { index, partition: None, data: None, behind: 0, from: None, last: Vec::new() })
    }

    /// Goes to the next entry; false behind the last one.
    ///
    /// # Errors
    /// What cannot be read is passed over: the rest of a block, or as much as a part of the index leads to.
    pub fn advance(&mut self, table: &Table<'_>) -> Result<bool, TableError> {
        loop {
            if let Some(data) = &mut self.data {
                let found = data.advance().and_then(|more| match more {
                    true => in_order(table, data, &self.last).map(|()| true),
                    false => Ok(false),
                });
                match found {
                    Ok(true) => {
                        self.last.clear();
                        self.last.extend_from_slice(data.key());
                        if !self.passes_over(table) {
                            return Ok(true);
                        }
                        continue;
                    }
                    Ok(false) => self.data = None,
                    Err(error) => {
                        self.data = None;
                        return Err(error);
                    }
                }
            }
            let Some(handle) = self.next_block(table)? else { return Ok(false) };
            if handle.offset < self.behind {
                return Err(TableError::new(handle.offset, "the index goes back to an earlier block"));
            }
            self.behind = handle.end();
            let contents = table.block_with(handle, &table.dictionary)?;
            self.data = Some(Entries::new(contents, handle.offset, Layout::Plain)?);
        }
    }

    /// The entry, if [`Position::advance`] has led to one.
    pub fn item(&self, table: &Table<'_>) -> Option<Item<'_>> {
        let data = self.data.as_ref()?;
        let (key, sequence, kind) = internal(data.key())?;
        Some(Item { key, sequence: table.global.unwrap_or(sequence), kind, value: data.value() })
    }

    /// Internal key of the last entry, also of one that was passed over; empty before the first.
    pub fn last_key(&self) -> &[u8] {
        &self.last
    }

    fn passes_over(&mut self, table: &Table<'_>) -> bool {
        let Some(from) = &self.from else { return false };
        let before =
            internal(&self.last).is_some_and(|(key, ..)| table.order.compare(key, from) == Ordering::Less);
        if !before {
            self.from = None;
        }
        before
    }

    /// The place of the next data block.
    fn next_block(&mut self, table: &Table<'_>) -> Result<Option<Handle>, TableError> {
        loop {
            let index = match &mut self.partition {
                Some(partition) => partition,
                None => &mut self.index,
            };
            let more = index.advance();
            if !matches!(more, Ok(true)) {
                // Behind a partition, or behind what can be read of it, comes the next one.
                match (self.partition.take(), more) {
                    (_, Err(error)) => return Err(error),
                    (Some(_), _) => continue,
                    (None, _) => return Ok(None),
                }
            }
            if self.from.as_ref().is_some_and(|from| table.ends_before(index.key(), from)) {
                continue;
            }
            let handle = index.handle();
            if self.partition.is_some() || !table.is_partitioned() {
                return Ok(Some(handle));
            }
            self.partition = Some(table.index_block(handle)?);
        }
    }
}

/// Whether an entry may follow the one with the key `last`, and is of a kind that is known.
fn in_order(table: &Table<'_>, data: &Entries, last: &[u8]) -> Result<(), TableError> {
    let fault = |what: String| Err(TableError::new(data.origin(), what));
    let Some(own) = internal(data.key()) else { return fault("a key without sequence and type".into()) };
    if !kind::is_known(own.2) {
        return fault(format!("an entry of type {:#x}, which is not understood", own.2));
    }
    match table.order.follows(data.key(), last) {
        Some(false) => fault("keys out of order".into()),
        _ => Ok(()),
    }
}

/// Walks through a table.
pub struct Iter<'t, 'a> {
    table: &'t Table<'a>,
    position: Position,
}

impl Iter<'_, '_> {
    /// The next entry; behind an error it goes on with the next block that can be read.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend what it holds")]
    pub fn next(&mut self) -> Option<Result<Item<'_>, TableError>> {
        match self.position.advance(self.table) {
            Ok(true) => self.position.item(self.table).map(Ok),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
