//! What has to be known before the first record is read: page size, sector size, and where records begin. The first header
//! says it; where that one is damaged or zeroed, a later header, the database, or the records themselves: two of them that
//! agree on a nonce are no chance.

use super::header::{HEAD, Header, Shape, Sort, Trailer};
use crate::format::LogFile;
use crate::format::sqlite::{files as beside, header::MAGIC};
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
        beside::facts(files, file, || Facts::read(&mut Reader::new(files[file].src), files))
    }

    /// What the first header is; `None`: there is none.
    pub fn sort(&self) -> Option<Sort> {
        self.header.map(|header| header.sort())
    }

    /// Whether a page can have this number.
    pub fn plausible(&self, shape: Shape, page: u32) -> bool {
        page != 0 && page <= self.limit && page != shape.lock_page()
    }

    fn read(reader: &mut Reader<'_>, files: &[LogFile<'_>]) -> Facts {
        let Some(header) = Header::at(reader, 0) else { return Facts::default() };
        let stated = beside::page_bytes(files);
        let sound = matches!(header.sort(), Sort::Live | Sort::Unsynced).then_some(header);
        let sound = sound.filter(|header| header.shape().is_some());
        let model = sound.or_else(|| behind(reader));
        let held = stated.map_or(0, |page_bytes| beside::database_bytes(files).div_ceil(page_bytes));
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
        let told = header.shape().or(self.model.and_then(|model| model.shape()));
        let sector = Some(u64::from(header.sector)).filter(|_| header.sector_is_legal());
        let sectors: Vec<u64> =
            sector.into_iter().chain([SECTOR, 4096]).chain((5..=16).map(|bits| 1 << bits)).collect();
        let sizes: Vec<u64> = stated.into_iter().chain((9..=16).map(|bits| 1 << bits)).collect();
        let any = sizes
            .iter()
            .flat_map(|&page_bytes| sectors.iter().map(move |&sector| Shape { page_bytes, sector }));
        let shapes: Vec<Shape> = told.map_or_else(|| any.collect(), |told| vec![told]);
        let found = shapes.iter().find_map(|&shape| {
            let nonce = self.alone(reader, shape);
            let nonce = nonce.or_else(|| self.agreed(reader, shape, shape.sector, Some(header.nonce)))?;
            Some((shape, nonce))
        });
        self.voted = found.map(|(shape, nonce)| (shape.sector, nonce));
        self.shape = found.map(|(shape, _)| shape).or(told);
        self.shape = self.shape.or(stated.map(|page_bytes| Shape { page_bytes, sector: SECTOR }));
    }

    /// A single record where the first one stands, if what it holds or what follows on it proves it.
    fn alone(&self, reader: &mut Reader<'_>, shape: Shape) -> Option<u32> {
        let (page, nonce) = shape.slot_at(reader, shape.sector)?;
        let named: [u8; 16] = reader.array(shape.sector + 4).ok()?;
        let next = Header::at(reader, shape.boundary(shape.sector + shape.stride()));
        let follows = next.is_some_and(|next| next.sort() == Sort::Live && next.shape() == Some(shape));
        let stated = u64::from(u16::from_be_bytes(reader.array(shape.sector + 20).ok()?));
        let own = stated == if shape.page_bytes == 1 << 16 { 1 } else { shape.page_bytes };
        let proved = (page == 1 && named == *MAGIC && own) || follows;
        (proved && self.plausible(shape, page)).then_some(nonce)
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
