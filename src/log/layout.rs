//! The table of a record's fields. Decoders take their offsets from it and `dump --hex` its names, so they cannot differ.

use crate::codec::{crc32, crc32c};

/// How many bytes a field has and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// An unsigned number of this many bytes.
    Uint(usize),
    /// A signed number of this many bytes.
    Int(usize),
    /// So many bytes that are no number to read: a magic number, a salt.
    Mark(usize),
    /// An IEEE 754 number of eight bytes, seconds since 1970.
    Time,
    /// An unsigned number in groups of seven bits, the lowest first; all bytes but its last have the highest bit set.
    Varint,
    /// As many bytes as the named field says; text or data.
    Bytes(&'static str),
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, also in findings.
    pub name: &'static str,
    /// Its width.
    pub width: Width,
}

/// A record's fields in order.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Whether numbers are stored most significant byte first.
    pub big_endian: bool,
    /// The fields.
    pub fields: &'static [Field],
    /// Its checksum, if there is one.
    pub checksum: Option<Checksum>,
}

/// Where a checksum stands and what it covers.
#[derive(Clone, Copy, Debug)]
pub struct Checksum {
    /// Name of the field that holds it.
    pub field: &'static str,
    /// Names of the fields that it covers, in this order.
    pub over: &'static [&'static str],
    /// How it is made.
    pub sum: Sum,
}

/// A checksum's arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// CRC-32 with the polynomial of zlib.
    Crc32,
    /// Sum of the bytes modulo 2^32.
    Bytes,
    /// CRC-32 with Castagnoli's polynomial, masked as LevelDB does.
    Crc32cMasked,
}

/// A numeric field.
pub const fn uint(name: &'static str, bytes: usize) -> Field {
    Field { name, width: Width::Uint(bytes) }
}

/// A number in groups of seven bits.
pub const fn varint(name: &'static str) -> Field {
    Field { name, width: Width::Varint }
}

/// A field of which only its bytes are shown.
pub const fn mark(name: &'static str, bytes: usize) -> Field {
    Field { name, width: Width::Mark(bytes) }
}

/// A field of as many bytes as `length` says.
pub const fn bytes(name: &'static str, length: &'static str) -> Field {
    Field { name, width: Width::Bytes(length) }
}

impl Layout {
    /// Offset of a field from the start of the record, variable fields before it counted as empty.
    ///
    /// # Panics
    /// At compile time, when there is no such field.
    pub const fn offset(&self, name: &str) -> u64 {
        let (mut i, mut at) = (0, 0);
        while i < self.fields.len() {
            if same(self.fields[i].name, name) {
                return at;
            }
            at += match self.fields[i].width {
                Width::Uint(n) | Width::Int(n) | Width::Mark(n) => n as u64,
                Width::Time => 8,
                Width::Varint | Width::Bytes(_) => 0,
            };
            i += 1;
        }
        panic!("no such field")
    }

    /// Length of a record whose variable fields are empty.
    pub const fn fixed(&self) -> u64 {
        let (mut i, mut at) = (0, 0);
        while i < self.fields.len() {
            at += match self.fields[i].width {
                Width::Uint(n) | Width::Int(n) | Width::Mark(n) => n as u64,
                Width::Time => 8,
                Width::Varint | Width::Bytes(_) => 0,
            };
            i += 1;
        }
        at
    }

    /// The fields of one record with their places in it. `fix` overrides the value of a field known to be wrong.
    /// Stops at the end of `record`: a field cut short is given as far as it goes.
    pub fn spans<'a>(
        &'a self,
        record: &'a [u8],
        fix: Option<(&'a str, u64)>,
    ) -> impl Iterator<Item = (Field, std::ops::Range<usize>, Option<u64>)> + 'a {
        let mut at = 0usize;
        let mut lengths: [(&str, u64); 8] = [("", 0); 8];
        let mut known = 0;
        self.fields.iter().map_while(move |&field| {
            let len = match field.width {
                Width::Uint(n) | Width::Int(n) | Width::Mark(n) => n,
                Width::Time => 8,
                Width::Varint => varint_bytes(&record[at.min(record.len())..]),
                Width::Bytes(by) => {
                    let found = lengths[..known].iter().find(|(name, _)| *name == by).map_or(0, |l| l.1);
                    usize::try_from(found).unwrap_or(usize::MAX)
                }
            };
            if at >= record.len() && len > 0 {
                return None;
            }
            let to = at.saturating_add(len).min(record.len());
            let value = match field.width {
                Width::Uint(_) | Width::Int(_) | Width::Time => Some(self.number(&record[at..to])),
                Width::Varint => Some(groups(&record[at..to])),
                Width::Mark(_) | Width::Bytes(_) => None,
            };
            if let (Some(value), true) = (value, known < lengths.len()) {
                let true_value = fix.filter(|f| f.0 == field.name).map_or(value, |f| f.1);
                lengths[known] = (field.name, true_value);
                known += 1;
            }
            let span = at..to;
            at = to;
            Some((field, span, value))
        })
    }

    /// The checksum over a record as its fields stand, or stand with the `fix`; `None` where one of them is cut off.
    pub fn computed(&self, record: &[u8], fix: Option<(&str, u64)>) -> Option<u64> {
        let checksum = self.checksum?;
        let mut sum = 0u32;
        for name in checksum.over {
            let (field, span, _) = self.spans(record, fix).find(|(f, ..)| f.name == *name)?;
            let whole = match field.width {
                Width::Uint(n) | Width::Int(n) | Width::Mark(n) => span.len() == n,
                Width::Time => span.len() == 8,
                Width::Varint => record[span.clone()].last().is_some_and(|&last| last < 0x80),
                Width::Bytes(by) => {
                    let stored = self.spans(record, fix).find(|(f, ..)| f.name == by)?.2?;
                    span.len() as u64 == fix.filter(|f| f.0 == by).map_or(stored, |f| f.1)
                }
            };
            if !whole {
                return None;
            }
            // A length put right counts with its true bytes where the checksum covers it.
            let inferred = fix
                .filter(|f| f.0 == *name)
                .map(|f| if self.big_endian { f.1.to_be_bytes() } else { f.1.to_le_bytes() });
            let bytes = match &inferred {
                Some(all) if self.big_endian => &all[8 - span.len().min(8)..],
                Some(all) => &all[..span.len().min(8)],
                None => &record[span],
            };
            sum = match checksum.sum {
                Sum::Crc32 => crc32::update(sum, bytes),
                Sum::Bytes => bytes.iter().fold(sum, |s, &b| s.wrapping_add(u32::from(b))),
                Sum::Crc32cMasked => crc32c::update(sum, bytes),
            };
        }
        let masked = checksum.sum == Sum::Crc32cMasked;
        Some(u64::from(if masked { crc32c::mask(sum) } else { sum }))
    }

    /// The number that a field's bytes spell.
    pub fn number(&self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, b: &u8| sum << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// The contents of the named field of a record.
    pub fn get<'r>(&self, record: &'r [u8], name: &str, fix: Option<(&str, u64)>) -> Option<&'r [u8]> {
        self.spans(record, fix).find(|(field, ..)| field.name == name).map(|(_, span, _)| &record[span])
    }
}

/// Bytes of the number in groups of seven bits that these begin with, as far as it goes.
fn varint_bytes(bytes: &[u8]) -> usize {
    /// Of a number of 64 bits.
    const MOST: usize = 10;
    bytes.len().min(bytes.iter().take_while(|&&byte| byte >= 0x80).count() + 1).min(MOST)
}

/// The number that groups of seven bits spell.
fn groups(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &byte| n << 7 | u64::from(byte & 0x7f))
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOY: Layout = Layout {
        big_endian: true,
        fields: &[uint("len", 2), bytes("key", "len"), uint("vlen", 1), bytes("value", "vlen")],
        checksum: None,
    };

    #[test]
    fn offsets_and_spans_agree() {
        assert_eq!(TOY.offset("vlen"), 2);
        assert_eq!(TOY.fixed(), 3);
        let record = [0, 2, b'a', b'b', 1, b'x'];
        assert_eq!(TOY.get(&record, "key", None), Some(&b"ab"[..]));
        assert_eq!(TOY.get(&record, "value", None), Some(&b"x"[..]));
        assert_eq!(TOY.get(&record, "key", Some(("len", 1))), Some(&b"a"[..]));
    }

    #[test]
    fn varints_are_as_long_as_they_are() {
        const FIELDS: &[Field] = &[varint("len"), bytes("key", "len"), uint("end", 1)];
        let layout = Layout { big_endian: false, fields: FIELDS, checksum: None };
        let record = [&[0x82, 0x00, b'a', b'b', 9][..], &[0; 3]].concat();
        let spans: Vec<_> = layout.spans(&record, None).map(|(f, s, n)| (f.name, s, n)).collect();
        assert_eq!(spans, [("len", 0..2, Some(2)), ("key", 2..4, None), ("end", 4..5, Some(9))]);
        let spans: Vec<_> = layout.spans(&[0xff; 3], None).map(|(_, s, _)| (s.start, s.end)).collect();
        assert_eq!(spans, [(0, 3)]);
    }

    #[test]
    fn a_cut_record_gives_what_is_there() {
        let spans: Vec<_> = TOY.spans(&[0, 9, b'a'], None).map(|(f, s, _)| (f.name, s)).collect();
        assert_eq!(spans, [("len", 0..2), ("key", 2..3)]);
    }
}
