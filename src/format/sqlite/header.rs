//! The first 100 bytes of page 1.
//!
//! ```text
//!  0 magic 16      24 change counter u32    44 schema format u32     68 application u32
//! 16 page size u16 28 pages u32             48 cache u32             72 zeros 20
//! 18 write u8      32 first free trunk u32  52 largest root u32      92 counter that `pages` goes with u32
//! 19 read u8       36 free pages u32        56 text encoding u32     96 version of SQLite u32
//! 20 reserved u8   40 schema cookie u32     60 user version u32
//! 21 64, 32, 32                             64 incremental vacuum u32
//! ```

use super::{be16, be32};

/// What a database begins with.
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Its length.
pub const HEADER: usize = 100;
/// The sizes that a page can have: powers of two.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 512..=65536;
/// The newest schema format; the engine opens no database of a later one.
pub const SCHEMA_FORMAT: u32 = 4;
/// Less than this of a page may not be left by what is reserved.
const USABLE_MIN: u32 = 480;
/// The engine locks this byte of the file; the page that holds it is never used.
const LOCK_BYTE: u32 = 1 << 30;

/// How text is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
}

/// See the top of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of a page.
    pub page_bytes: u32,
    /// Bytes at the end of each page that belong to extensions.
    pub reserved: u8,
    /// Raised with each transaction, or once a connection.
    pub counter: u32,
    /// Pages in the database; `None` where it was last written by an engine too old to say.
    pub pages: Option<u32>,
    /// First trunk page of the list of free pages, 0: there is none.
    pub free_trunk: u32,
    /// Pages on that list.
    pub free_pages: u32,
    /// Raised with each change of the schema.
    pub schema_cookie: u32,
    /// The largest root page, in databases with pointer maps; 0: it has none.
    pub largest_root: u32,
    /// Which features a schema can use; the engine takes the lowest byte.
    pub schema_format: u32,
    /// Free pages are taken out of the file on request only.
    pub incremental: bool,
    /// How text is stored.
    pub encoding: Encoding,
}

/// The page size that a database's first 18 bytes state, if they are a database's.
pub fn page_bytes(bytes: &[u8]) -> Option<u32> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let stated = u32::from(be16(bytes, 16)?);
    let page_bytes = if stated == 1 { 1 << 16 } else { stated };
    is_page_size(page_bytes.into()).then_some(page_bytes)
}

/// Whether pages can be so long.
pub fn is_page_size(page_bytes: u64) -> bool {
    page_bytes.is_power_of_two() && PAGE_SIZES.contains(&page_bytes)
}

impl Header {
    /// Reads it; `None` where the engine would not take the file for a database.
    pub fn of(page: &[u8]) -> Option<Header> {
        let page_bytes = page_bytes(page)?;
        let field = |at| be32(page, at);
        let reserved = *page.get(20)?;
        let read_version = *page.get(19)?;
        let fractions = page.get(21..24)? == [64, 32, 32];
        if read_version > 2 || !fractions || page_bytes - u32::from(reserved) < USABLE_MIN {
            return None;
        }
        let counter = field(24)?;
        Some(Header {
            page_bytes,
            reserved,
            counter,
            pages: Some(field(28)?).filter(|&pages| pages > 0 && field(92) == Some(counter)),
            free_trunk: field(32)?,
            free_pages: field(36)?,
            schema_cookie: field(40)?,
            schema_format: field(44)? & 0xff,
            largest_root: field(52)?,
            incremental: field(64)? != 0,
            encoding: match field(56)? & 3 {
                2 => Encoding::Utf16Le,
                3 => Encoding::Utf16Be,
                _ => Encoding::Utf8,
            },
        })
    }

    /// Bytes of a page that are SQLite's own.
    pub fn usable(&self) -> u32 {
        self.page_bytes - u32::from(self.reserved)
    }

    /// Whether indexes are ordered from the greatest value down where their statement says so.
    pub fn descending(&self) -> bool {
        self.schema_format >= SCHEMA_FORMAT
    }

    /// Whether the database has pointer maps.
    pub fn maps(&self) -> bool {
        self.largest_root != 0
    }

    /// The page that holds the byte that is locked; it is never used.
    pub fn lock_page(&self) -> u32 {
        LOCK_BYTE / self.page_bytes + 1
    }

    /// The page that maps this one, in databases with pointer maps; page 1 is in none.
    pub fn map_of(&self, page: u32) -> Option<u32> {
        let behind = page.checked_sub(2)?;
        // Of the page that holds the map, and the pages that it maps.
        let group = self.usable() / 5 + 1;
        let map = behind / group * group + 2;
        Some(if map == self.lock_page() { map + 1 } else { map })
    }
}
