//! The contents of records: in their fragments, or compressed.

use ruzstd::decoding::FrameDecoder;

use super::assemble::{Assembler, Found, Grid, Whole};
use super::fragment::{BLOCK, HEADER, Mended, Part, Patched, RECYCLABLE, header, mend};
use super::{Content, Facts, KIND_PACKED, inflate};
use crate::format::Unpack;
use crate::log::bytes::{ReadAt, Reader};
use crate::log::record::{Mark, Record};

/// Longer contents are left out: no engine writes them, and they would have to be held.
const LIMIT: u64 = 1 << 30;

/// See [`Unpack`].
pub struct Unpacker<'a> {
    facts: Facts,
    reader: Reader<'a>,
    assembler: Assembler,
    decoder: FrameDecoder,
    gathered: Vec<u8>,
    inflated: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    /// For the records of a file.
    pub fn new(facts: Facts, src: &'a dyn ReadAt) -> Self {
        let (gathered, inflated) = (Vec::new(), Vec::new());
        let (reader, assembler, decoder) = (Reader::new(src), Assembler::new(), inflate::decoder());
        Unpacker { facts, reader, assembler, decoder, gathered, inflated }
    }

    /// Puts the payloads of a record together; whether that could be done.
    fn gather(&mut self, record: &Record) -> bool {
        let Unpacker { facts, reader, assembler, gathered, .. } = self;
        reader.forward(record.at, 1);
        // What it holds was looked at when it was found.
        let facts = &Facts { content: Content::Other, ..*facts };
        // Behind damage blocks may begin elsewhere.
        let grids = [Some(Grid::at(0)), None];
        let mut places = [record.at; 2];
        for (grid, place) in grids.into_iter().zip(&mut places) {
            match assembler.at(reader, record.at, grid, facts) {
                Ok(Found::Whole(whole)) if is_that_of(&whole, record) => {
                    return assembler.gather(reader, LIMIT, gathered).is_ok();
                }
                Ok(Found::Whole(_)) => {}
                Ok(Found::Aside(_)) => return false,
                Err(broken) => *place = broken.fault.at,
            }
        }
        // Behind the end lies what carries an older number.
        let older = Facts { number: None, ..*facts };
        if matches!(assembler.at(reader, record.at, grids[0], &older), Ok(Found::Whole(whole)) if is_that_of(&whole, record))
        {
            return assembler.gather(reader, LIMIT, gathered).is_ok();
        }
        for (grid, place) in grids.into_iter().zip(places) {
            let Some(mended) = mended(reader, record, (place, grid), facts) else { continue };
            let mut patched = Patched::new(reader, place, &mended);
            let found = assembler.at(&mut patched, record.at, grid, facts);
            if matches!(found, Ok(Found::Whole(whole)) if whole.end <= record.end()) {
                return assembler.gather(&mut patched, LIMIT, gathered).is_ok();
            }
        }
        false
    }
}

/// Whether this is the record, whose end may count the zeros behind it.
fn is_that_of(whole: &Whole, record: &Record) -> bool {
    record.end().checked_sub(whole.end).is_some_and(|zeros| zeros < RECYCLABLE)
}

/// The header at `place` put right again, as it was when the record was found. Without a grid blocks may begin anywhere.
fn mended(
    reader: &mut Reader<'_>,
    record: &Record,
    (place, grid): (u64, Option<Grid>),
    facts: &Facts,
) -> Option<Mended> {
    let left = grid.filter(|_| place == record.at).map_or(BLOCK, |grid| grid.left(place));
    let wanted = |part, left| match (part, place == record.at) {
        (Part::Full, true) | (Part::Last, false) => true,
        (Part::First, true) | (Part::Middle, false) => left == 0 || grid.is_none(),
        _ => false,
    };
    mend(reader, place, left, facts.number, &wanted)
}

impl Unpacker<'_> {
    /// What the fragments of a record hold, compressed if it is.
    pub fn payload(&mut self, record: &Record) -> &[u8] {
        if self.gather(record) { &self.gathered } else { &[] }
    }
}

impl Unpack for Unpacker<'_> {
    fn contents<'b>(&'b mut self, record: &Record, bytes: &'b [u8]) -> &'b [u8] {
        if record.mark == Mark::Unread {
            return &[];
        }
        if let Some(payload) = plain(record, bytes) {
            return payload;
        }
        if !self.gather(record) {
            return &[];
        }
        if record.kind != KIND_PACKED {
            return &self.gathered;
        }
        self.inflated.clear();
        let Unpacker { decoder, gathered, inflated, .. } = self;
        let inflating = inflate::Inflating::with(decoder, inflate::LIMIT, gathered);
        let inflated = inflating.and_then(|mut inflating| inflating.rest(inflated));
        if inflated.is_ok() { &self.inflated } else { &[] }
    }
}

/// The payload of a record that is one fragment and not compressed, the usual case.
fn plain<'b>(record: &Record, bytes: &'b [u8]) -> Option<&'b [u8]> {
    let &[_, _, _, _, low, high, kind] = bytes.first_chunk::<{ HEADER as usize }>()?;
    let header = matches!(kind, 1 | 5).then(|| header(kind))?;
    let len = header + u64::from(u16::from_le_bytes([low, high]));
    // Zeros that fill a block may follow; but it may as well be the length that is wrong.
    let whole = len == record.len && record.kind != KIND_PACKED;
    bytes.get(header as usize..len as usize).filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::super::Flavour;
    use super::super::fragment::put;
    use super::*;

    /// Blocks begin elsewhere than in the file it was written to, and one ends inside the record.
    #[test]
    fn a_compressed_record_off_the_grid_has_its_contents() {
        let value: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(167) ^ i >> 2).collect();
        let batch = [&7u64.to_le_bytes()[..], &1u32.to_le_bytes(), b"\x01\x01k\x64", &value].concat();
        let packed = compress_to_vec(&batch[..], CompressionLevel::Fastest);
        let facts =
            Facts { flavour: Flavour::RocksDb, content: Content::Batches, number: None, recycled: false };
        for zeros in 0..HEADER as usize {
            let mut bytes = vec![0xaa; BLOCK as usize - 35];
            let at = bytes.len() as u64;
            put(2, None, &packed[..20], &mut bytes);
            bytes.resize(bytes.len() + zeros, 0);
            put(4, None, &packed[20..], &mut bytes);
            let (len, kind) = (bytes.len() as u64 - at, KIND_PACKED);
            let record = Record { at, len, seq: 7, next: 8, txn: 0, kind, mark: Mark::Data };
            let src = &bytes[..];
            assert_eq!(Unpacker::new(facts, &src).contents(&record, &[]), batch, "{zeros} zeros");
        }
    }

    #[test]
    fn a_length_put_right_gives_all_of_the_contents() {
        let batch = [&7u64.to_le_bytes()[..], &1u32.to_le_bytes(), b"\x00\x01k"].concat();
        let mut bytes = Vec::new();
        put(1, None, &batch, &mut bytes);
        bytes[4] -= 1;
        let (number, recycled) = (None, false);
        let facts = Facts { flavour: Flavour::LevelDb, content: Content::Batches, number, recycled };
        let len = bytes.len() as u64;
        let record = Record { at: 0, len, seq: 7, next: 8, txn: 0, kind: 0, mark: Mark::Data };
        let src = &bytes[..];
        assert_eq!(Unpacker::new(facts, &src).contents(&record, &bytes), batch);
    }
}
