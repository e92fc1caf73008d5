//! The fields of records for `dump --hex`: those of each fragment, and inside them those of the batch and its operations.

use super::batch::{HEAD, placed};
use super::fragment::{HEADER, LEGACY_LAYOUT, RECYCLABLE, RECYCLABLE_LAYOUT, header};
use super::{Flavour, inflate};
use crate::format::Role;
use crate::log::layout::{Field, Layout, bytes, uint, varint};

/// More fields of one record than these are not told apart.
const PARTS: usize = 4096;

/// The fields of a fragment of this type; `None`: none has it.
pub fn fragment(kind: u8) -> Option<&'static Layout> {
    match (kind, header(kind)) {
        (0, _) => None,
        (_, RECYCLABLE) => Some(&RECYCLABLE_LAYOUT),
        _ => Some(&LEGACY_LAYOUT),
    }
}

/// What stands inside a record behind the header of its first fragment, with the offset of each.
pub fn parts(flavour: Flavour, role: Role, record: &[u8]) -> Vec<(usize, &'static Layout)> {
    let payloads = payloads(record);
    let mut parts: Vec<_> = payloads.iter().skip(1).map(|p| (p.header, p.layout)).collect();
    let contents: Vec<u8> = payloads.iter().flat_map(|p| &record[p.at..p.end]).copied().collect();
    if role == Role::Log && !inflate::is_packed(&contents) && contents.len() >= HEAD {
        let operations = placed(&contents, flavour).take(PARTS).map(|(at, _)| (at, operation(contents[at])));
        let inside = std::iter::once((0, &BATCH)).chain(operations);
        parts.extend(inside.filter_map(|(at, layout)| Some((place(&payloads, at)?, layout))));
    }
    parts.sort_by_key(|(at, _)| *at);
    parts
}

/// A fragment in a record.
struct Payload {
    header: usize,
    layout: &'static Layout,
    /// Where its payload begins and ends.
    at: usize,
    end: usize,
}

fn payloads(record: &[u8]) -> Vec<Payload> {
    let (mut payloads, mut from) = (Vec::new(), 0);
    while let Some(&[_, _, _, _, low, high, kind]) =
        record.get(from..).and_then(|rest| rest.first_chunk::<{ HEADER as usize }>())
        && let Some(layout) = fragment(kind)
        && payloads.len() < PARTS
    {
        let at = from + header(kind) as usize;
        let end = at + usize::from(u16::from_le_bytes([low, high]));
        if end > record.len() {
            break;
        }
        payloads.push(Payload { header: from, layout, at, end });
        from = end;
    }
    payloads
}

/// Where in the record the byte at `at` of its contents stands.
fn place(payloads: &[Payload], mut at: usize) -> Option<usize> {
    for payload in payloads {
        let len = payload.end - payload.at;
        if at < len {
            return Some(payload.at + at);
        }
        at -= len;
    }
    None
}

static BATCH: Layout = fields(&[uint("sequence", 8), uint("count", 4)]);

const fn fields(fields: &'static [Field]) -> Layout {
    Layout { big_endian: false, fields, checksum: None }
}

const TAG: Field = uint("tag", 1);
const FAMILY: Field = varint("family");
const KEY: [Field; 2] = [varint("key length"), bytes("key", "key length")];
const VALUE: [Field; 2] = [varint("value length"), bytes("value", "value length")];
const END: [Field; 2] = [varint("end length"), bytes("end", "end length")];
const NAME: [Field; 2] = [varint("name length"), bytes("transaction", "name length")];
const TIME: [Field; 2] = [varint("time length"), bytes("timestamp", "time length")];

/// The fields of an operation with this tag.
fn operation(tag: u8) -> &'static Layout {
    static BARE: Layout = fields(&[TAG]);
    static OF_KEY: Layout = fields(&[TAG, KEY[0], KEY[1]]);
    static OF_FAMILY_KEY: Layout = fields(&[TAG, FAMILY, KEY[0], KEY[1]]);
    static OF_PAIR: Layout = fields(&[TAG, KEY[0], KEY[1], VALUE[0], VALUE[1]]);
    static OF_FAMILY_PAIR: Layout = fields(&[TAG, FAMILY, KEY[0], KEY[1], VALUE[0], VALUE[1]]);
    static OF_RANGE: Layout = fields(&[TAG, KEY[0], KEY[1], END[0], END[1]]);
    static OF_FAMILY_RANGE: Layout = fields(&[TAG, FAMILY, KEY[0], KEY[1], END[0], END[1]]);
    static OF_WORDS: Layout = fields(&[TAG, VALUE[0], VALUE[1]]);
    static OF_NAME: Layout = fields(&[TAG, NAME[0], NAME[1]]);
    static OF_TIME: Layout = fields(&[TAG, TIME[0], TIME[1], NAME[0], NAME[1]]);
    match tag {
        0x00 | 0x07 => &OF_KEY,
        0x04 | 0x08 => &OF_FAMILY_KEY,
        0x01 | 0x02 | 0x11 | 0x16 | 0x18 => &OF_PAIR,
        0x05 | 0x06 | 0x10 | 0x17 | 0x19 => &OF_FAMILY_PAIR,
        0x0f => &OF_RANGE,
        0x0e => &OF_FAMILY_RANGE,
        0x03 => &OF_WORDS,
        0x0a..=0x0c => &OF_NAME,
        0x15 => &OF_TIME,
        _ => &BARE,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fragment::put;
    use super::*;

    #[test]
    fn parts_lie_where_the_operations_do() {
        let batch = [&7u64.to_le_bytes()[..], &2u32.to_le_bytes(), b"\x01\x01k\x02vw\x00\x01k"].concat();
        let mut record = Vec::new();
        put(1, None, &batch, &mut record);
        let places: Vec<_> = parts(Flavour::LevelDb, Role::Log, &record).iter().map(|p| p.0).collect();
        assert_eq!(places, [7, 19, 25]);
        let mut cut = Vec::new();
        put(6, Some(9), &batch[..20], &mut cut);
        put(8, Some(9), &batch[20..], &mut cut);
        let places: Vec<_> = parts(Flavour::LevelDb, Role::Log, &cut).iter().map(|p| p.0).collect();
        assert_eq!(places, [11, 23, 29, 31]);
    }
}
