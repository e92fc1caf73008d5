//! What has to be known before the first record is read: page size, sector size, and where records begin. The first header
//! says it; where that one is damaged or zeroed, a later header, the database, or the records themselves: two of them that
//! agree on a nonce are no chance.

use super::header::{HEAD, Header, Shape, Sort, Trailer};
use crate::format::sqlite_wal::{PAGE_SIZES, facts::database_page_bytes};
use crate::format::{LogFile, Role};
use crate::log::bytes::{Bytes, Reader};

/// So far into a file another header is looked for.
const LOOK: u64 = 1 << 20;
/// Without a header or a database that says so no page number above this is believed: text would be taken for numbers.
const PAGES: u32 = 1 << 24;
/// The smallest sector that a header is padded to on today's systems.
pub const SECTOR: u64 = 512;
/// So many records vote.
pub const VOTERS: u64 = 8;

/// See the top of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The first header; `None`: the file is shorter than it.
    pub header: Option<Header>,
    /// A sound header: the first one, or one found behind it.
    pub model: Option<Header>,
    /// `None`: nothing tells.
    pub shape: Option<Shape>,
    /// Where the first record stands, and its nonce, where the header does not tell.
    pub voted: Option<(u64, u32)>,
    /// No page has a higher number.
    pub limit: u32,
    /// The name of the super-journal.
    pub trailer: Option<Trailer>,
}

impl Facts {
    /// The facts of one journal of a log.
    pub fn of(files: &[LogFile<'_>], file: usize) -> Facts {
        let find = || {
            let database = files.iter().find(|f| f.claim.role == Role::Pages);
            Facts::read(&mut Reader::new(files[file].src), database)
        };
        let alone = files.iter().filter(|f| f.claim.role == Role::Log).count() == 1;
        files[file].memo.filter(|_| alone).map_or_else(find, |memo| memo.get(find))
    }

    /// What the first header is; `None`: there is none.
    pub fn sort(&self) -> Option<Sort> {
        self.header.map(|header| header.sort())
    }

    /// Whether a page can have this number.
    pub fn plausible(&self, shape: Shape, page: u32) -> bool {
        page != 0 && page <= self.limit && page != shape.lock_page()
    }

    fn read(reader: &mut Reader<'_>, database: Option<&LogFile<'_>>) -> Facts {
        let Some(header) = Header::at(reader, 0) else { return Facts::default() };
        let stated = database.and_then(database_page_bytes);
        let sound = matches!(header.sort(), Sort::Live | Sort::Unsynced).then_some(header);
        let sound = sound.filter(|header| header.shape().is_some());
        let model = sound.or_else(|| behind(reader));
        let held = stated.zip(database).map_or(0, |(page_bytes, file)| file.src.size().div_ceil(page_bytes));
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        // One header alone may say too little.
        let next = if sound.is_some() { behind(reader) } else { None };
        let pages = [model, next].into_iter().flatten().map(|header| header.pages).max();
        let mut facts = Facts {
            header: Some(header),
            model,
            shape: sound.and_then(|header| header.shape()),
            voted: None,
            limit: pages.unwrap_or(PAGES).max(held),
            trailer: None,
        };
        if sound.is_none() {
            facts.vote(reader, &header, stated);
        }
        facts.trailer = Trailer::of(reader, facts.shape.map(|shape| shape.page_bytes));
        facts
    }

    /// Finds out where records begin and how long they are.
    fn vote(&mut self, reader: &mut Reader<'_>, header: &Header, stated: Option<u64>) {
        let own = header.shape();
        let model = self.model.and_then(|model| model.shape());
        let sectors = own.or(model).map(|shape| shape.sector).into_iter();
        let sector = Some(u64::from(header.sector)).filter(|_| header.sector_is_legal());
        let sectors: Vec<u64> =
            sectors.chain(sector).chain([SECTOR, 4096]).chain((5..=16).map(|bits| 1 << bits)).collect();
        let sizes = own.or(model).map(|shape| shape.page_bytes).or(stated).into_iter();
        for page_bytes in sizes.chain((9..=16).map(|bits| 1 << bits)) {
            debug_assert!(PAGE_SIZES.contains(&page_bytes));
            for &sector in &sectors {
                let shape = Shape { page_bytes, sector };
                if let Some(nonce) = self.agreed(reader, shape, sector, Some(header.nonce)) {
                    (self.shape, self.voted) = (Some(shape), Some((sector, nonce)));
                    return;
                }
            }
        }
        self.shape = own.or(model).or(stated.map(|page_bytes| Shape { page_bytes, sector: SECTOR }));
    }

    /// The nonce of the records from `at` on: `stated`, if one of the first of them has it, or else one that two of them
    /// agree on.
    pub fn agreed<B: Bytes>(&self, b: &mut B, shape: Shape, at: u64, stated: Option<u32>) -> Option<u32> {
        let mut seen: Vec<(u32, u32)> = Vec::new();
        let places = (0..VOTERS).map_while(|n| at.checked_add(n.checked_mul(shape.stride())?));
        for place in places {
            let Some((page, nonce)) = shape.slot_at(b, place) else { break };
            if !self.plausible(shape, page) {
                continue;
            }
            // A journal of a nonce of 0 would be a rare chance; zeros are none.
            if stated == Some(nonce) && nonce != 0 {
                return stated;
            }
            if seen.iter().any(|&(other, same)| other != page && same == nonce) {
                return Some(nonce);
            }
            seen.push((page, nonce));
        }
        None
    }
}

/// The first sound header behind the start of a file.
fn behind(reader: &mut Reader<'_>) -> Option<Header> {
    let end = reader.end().min(LOOK);
    let mut at = SECTOR;
    while at.saturating_add(HEAD) <= end {
        let found = Header::at(reader, at).filter(|header| header.sort() == Sort::Live);
        if let Some(header) = found.filter(|header| header.shape().is_some()) {
            return Some(header);
        }
        at += SECTOR;
    }
    None
}

/// Length of the database in bytes; 0: there is none.
pub fn database_bytes(files: &[LogFile<'_>]) -> u64 {
    files.iter().find(|f| f.claim.role == Role::Pages).map_or(0, |f| f.src.size())
}
