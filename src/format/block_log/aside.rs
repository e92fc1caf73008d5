//! Fragments that are no part of a record: they say something of the file, or are of types that only later versions know.

use std::collections::BTreeMap;

use super::fragment::{BLOCK, Fragment, Part, fragment};
use super::inflate;
use crate::format::{Aside, LogFile};
use crate::log::bytes::{Reader, Window};
use crate::log::region::Kind;
use crate::log::survey::Survey;

/// What these bytes begin with, if it is such a fragment. See [`crate::format::Format::aside`].
pub fn told(bytes: &[u8]) -> Option<Aside> {
    let Fragment { kind, part, payload, .. } = fragment(&mut Window::whole(bytes), 0, BLOCK).ok()?;
    let payload = bytes.get(payload.start as usize..payload.end as usize)?;
    let aside = |op, value: Vec<u8>| Some(Aside { op, key: None, value });
    match (part, kind) {
        (Part::Aside, 9) if payload == inflate::ZSTD.to_le_bytes() => aside("COMPRESSION", b"zstd".into()),
        (Part::Aside, 9) => aside("COMPRESSION", payload.into()),
        (Part::Aside, 10 | 11) => aside("TIMESTAMP_SIZES", sizes(payload).into()),
        (Part::Aside, _) => {
            let text = predecessor(payload).map_or_else(|| payload.into(), String::into_bytes);
            aside("PREDECESSOR", text)
        }
        (Part::Ignorable, _) => {
            Some(Aside { op: "UNKNOWN", key: Some(format!("type {kind}")), value: payload.into() })
        }
        _ => None,
    }
}

/// Pairs of a column family and the bytes of its timestamps.
fn sizes(payload: &[u8]) -> String {
    let pairs = payload.chunks_exact(6).filter_map(|pair| pair.first_chunk::<6>());
    let told = pairs.map(|&[a, b, c, d, low, high]| {
        let (family, size) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([low, high]));
        format!("family={family}; bytes={size}")
    });
    told.collect::<Vec<_>>().join("; ")
}

/// The log before: its number, its bytes, its last number.
fn predecessor(payload: &[u8]) -> Option<String> {
    let number = |at: usize| Some(u64::from_le_bytes(*payload.get(at..)?.first_chunk()?));
    Some(format!("log={}; bytes={}; last-sequence={}", number(0)?, number(8)?, number(16)?))
}

/// Fragments of unknown types in the framing of a file: how many of each, and where the first one stands.
pub fn unknown(file: &LogFile<'_>, survey: &Survey) -> (BTreeMap<u8, u64>, u64) {
    let mut reader = Reader::with_chunk(file.src, BLOCK as usize);
    let (mut found, mut first) = (BTreeMap::new(), None);
    for region in survey.regions.as_slice().iter().filter(|region| region.kind == Kind::Framing) {
        let mut at = region.at;
        while at < region.end() {
            match fragment(&mut reader, at, BLOCK) {
                Ok(fragment) => {
                    if fragment.part == Part::Ignorable {
                        *found.entry(fragment.kind).or_default() += 1;
                        first = first.or(Some(at));
                    }
                    at = fragment.payload.end;
                }
                // Zeros in front of the next block.
                Err(_) => at += BLOCK - at % BLOCK,
            }
        }
    }
    (found, first.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::fragment::put;
    use super::*;

    fn of(kind: u8, log: Option<u32>, payload: &[u8]) -> Option<(&'static str, Option<String>, Vec<u8>)> {
        let mut bytes = Vec::new();
        put(kind, log, payload, &mut bytes);
        bytes.extend_from_slice(b"what follows");
        told(&bytes).map(|aside| (aside.op, aside.key, aside.value))
    }

    #[test]
    fn each_kind_is_told() {
        assert_eq!(of(9, None, &inflate::ZSTD.to_le_bytes()), Some(("COMPRESSION", None, b"zstd".into())));
        let sizes = b"family=1; bytes=8; family=258; bytes=16";
        let pairs = [1, 0, 0, 0, 8, 0, 2, 1, 0, 0, 16, 0];
        assert_eq!(of(11, Some(7), &pairs), Some(("TIMESTAMP_SIZES", None, sizes.into())));
        let before: Vec<u8> = [4u64, 900, 77].iter().flat_map(|n| n.to_le_bytes()).collect();
        let words = b"log=4; bytes=900; last-sequence=77";
        assert_eq!(of(130, None, &before), Some(("PREDECESSOR", None, words.into())));
        assert_eq!(of(130, None, b"short"), Some(("PREDECESSOR", None, b"short".into())));
        assert_eq!(of(200, None, b"?"), Some(("UNKNOWN", Some("type 200".into()), b"?".into())));
        assert_eq!(of(2, None, b"the head of a record"), None);
        assert_eq!(told(&[0; 40]), None);
    }
}
