//! The last bytes of a table: where its index is, and how its blocks are checked.
//!
//! ```text
//! LevelDB, RocksDB version 0   metaindex handle | index handle | zeros up to 40 bytes | magic u64            48 bytes
//! versions 1 to 5              checksum u8 | as above | version u32 | magic u64                              53 bytes
//! versions 6 and 7             checksum u8 | 3e 00 7a 00 | sum u32 | context u32 | metaindex length u32 | zeros
//!                              | version u32 | magic u64           metaindex right before, index named in it
//! ```

use super::TableError;
use super::checksum::{Checksum, context};
use crate::codec::cursor::Cursor;
use crate::log::bytes::ReadAt;

/// LevelDB's, which RocksDB used in its version 0.
const MAGIC_OLD: u64 = 0xdb47_7524_8b80_fb57;
const MAGIC_NEW: u64 = 0x88e2_41b7_85f4_cff7;
const MAGIC_PLAIN: [u64; 2] = [0x8242_2296_63bf_9564, 0x4f34_18eb_7a8f_13b8];
const MAGIC_CUCKOO: u64 = 0x926789d0c5f17873;
/// The newest version of the format that is known.
const VERSION_MAX: u32 = 7;
const OLD: usize = 48;
const NEW: usize = 53;
/// Bytes behind a block: compression and checksum.
pub const TRAILER: u64 = 5;

/// Where a block is, without its trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handle {
    /// Offset of its first byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Handle {
    /// Two varints.
    pub fn read(cursor: &mut Cursor<'_>) -> Option<Handle> {
        Some(Handle { offset: cursor.varint64()?, size: cursor.varint64()? })
    }

    /// Offset behind the trailer.
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.size).saturating_add(TRAILER)
    }
}

/// What the footer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Offset of the footer itself.
    pub at: u64,
    /// Version of the format, 0 for LevelDB.
    pub version: u32,
    /// How blocks are checked.
    pub checksum: Checksum,
    /// The file's own number in checksums; 0: none.
    pub context: u32,
    /// The index of meta blocks.
    pub metaindex: Handle,
    /// The index; `None` where the metaindex names it.
    pub index: Option<Handle>,
}

impl Footer {
    /// Whether the file ends like a table of any kind. One that is being written does not.
    pub fn is_there(src: &dyn ReadAt) -> bool {
        let magic = src.size().checked_sub(8).and_then(|at| read(src, at, 8).ok());
        let magic = magic.and_then(|bytes| bytes.first_chunk().map(|magic| u64::from_le_bytes(*magic)));
        magic.is_some_and(|magic| {
            [MAGIC_OLD, MAGIC_NEW, MAGIC_CUCKOO].contains(&magic) || MAGIC_PLAIN.contains(&magic)
        })
    }

    /// Reads the footer of a whole table.
    ///
    /// # Errors
    /// What is no footer, and kinds and versions of tables that are not understood.
    pub fn read(src: &dyn ReadAt) -> Result<Footer, TableError> {
        let size = src.size();
        let len = (NEW as u64).min(size) as usize;
        let base = size - len as u64;
        let bytes = read(src, base, len)?;
        let fault = |what: String| Err(TableError::new(base, what));
        let Some((_, magic)) = bytes.split_last_chunk::<8>() else {
            return fault(format!("{size} bytes are too few for a table"));
        };
        match u64::from_le_bytes(*magic) {
            MAGIC_OLD if len >= OLD => Footer::old(size - OLD as u64, &bytes[len - OLD..]),
            MAGIC_NEW if len >= NEW => Footer::new(base, &bytes),
            magic if MAGIC_PLAIN.contains(&magic) => fault("plain tables are not understood".into()),
            MAGIC_CUCKOO => fault("cuckoo tables are not understood".into()),
            magic => fault(format!("no footer of a table: it ends in {magic:016x}")),
        }
    }

    fn old(at: u64, bytes: &[u8]) -> Result<Footer, TableError> {
        let [metaindex, index] = handles(at, bytes)?;
        let (version, checksum, context) = (0, Checksum::Crc32c, 0);
        Ok(Footer { at, version, checksum, context, metaindex, index: Some(index) })
    }

    fn new(at: u64, bytes: &[u8]) -> Result<Footer, TableError> {
        let mut tail = Cursor::new(bytes.get(41..).unwrap_or_default());
        let version = tail.le32().unwrap_or(0);
        let number = bytes.first().copied().unwrap_or(0);
        let Some(checksum) = Checksum::numbered(number) else {
            return Err(TableError::new(at, format!("checksums of kind {number} are not understood")));
        };
        let known = Footer { at, version, checksum, context: 0, metaindex: Handle::default(), index: None };
        match version {
            0..=5 => {
                let [metaindex, index] = handles(at, &bytes[1..])?;
                Ok(Footer { metaindex, index: Some(index), ..known })
            }
            6..=VERSION_MAX => known.with_context(bytes),
            _ => Err(TableError::new(at, format!("version {version} of the format is not understood"))),
        }
    }

    /// Fills in what versions from 6 on tell.
    fn with_context(self, bytes: &[u8]) -> Result<Footer, TableError> {
        let fault = |what| Err(TableError::new(self.at, what));
        let mut cursor = Cursor::new(bytes.get(1..).unwrap_or_default());
        let fields = [cursor.le32(), cursor.le32(), cursor.le32(), cursor.le32()];
        let [Some(0x007a_003e), Some(stored), Some(base), Some(length)] = fields else {
            return fault("the footer lacks its second magic number");
        };
        let mut blank = bytes.to_vec();
        blank[5..9].fill(0);
        let computed = self.checksum.of(&blank).wrapping_add(context(base, self.at));
        if self.checksum != Checksum::None && stored != computed {
            return fault("the footer fails its checksum");
        }
        let reserved = Cursor::new(bytes.get(33..).unwrap_or_default()).le64();
        if reserved != Some(0) {
            return fault("the footer uses a feature that is not understood");
        }
        let (size, end) = (u64::from(length), self.at.saturating_sub(TRAILER));
        match end.checked_sub(size) {
            Some(offset) => Ok(Footer { context: base, metaindex: Handle { offset, size }, ..self }),
            None => fault("the metaindex does not fit the file"),
        }
    }
}

fn handles(at: u64, bytes: &[u8]) -> Result<[Handle; 2], TableError> {
    let mut cursor = Cursor::new(bytes.get(..40).unwrap_or_default());
    match (Handle::read(&mut cursor), Handle::read(&mut cursor)) {
        (Some(metaindex), Some(index)) => Ok([metaindex, index]),
        _ => Err(TableError::new(at, "the footer has no place of the index")),
    }
}

/// Reads exactly `len` bytes, which the caller bounds.
///
/// # Errors
/// The file ends before, or cannot be read.
pub fn read(src: &dyn ReadAt, at: u64, len: usize) -> Result<Vec<u8>, TableError> {
    if at.checked_add(len as u64).is_none_or(|end| end > src.size()) {
        return Err(TableError::new(at, format!("{len} bytes do not fit the file")));
    }
    let mut bytes = vec![0; len];
    let mut have = 0;
    while have < len {
        match src.read_at(at + have as u64, &mut bytes[have..]) {
            Ok(0) => return Err(TableError::new(at, "the file became shorter")),
            Ok(n) => have += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(TableError::new(at, format!("cannot be read: {e}"))),
        }
    }
    Ok(bytes)
}
