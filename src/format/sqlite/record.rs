//! Values: variable-length integers, and the records that rows and index entries are stored as.
//!
//! A record begins with its header: the header's own length, then one type a value, all varints. The values follow in the
//! same order. Types: 0 NULL, 1 to 6 integers of 1, 2, 3, 4, 6, 8 bytes, 7 a double, 8 and 9 the integers 0 and 1, 10 and
//! 11 unused, from 12 on even ones blobs of (n - 12) / 2 bytes and odd ones texts of (n - 13) / 2.

use std::borrow::Cow;

use super::header::Encoding;
/// One value; here text is as stored: see [`Encoding::text`].
pub use crate::format::rows::Value;

/// A number of 1 to 9 bytes, most significant first: 7 bits each, and all 8 of a ninth. With its length.
pub fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for (i, &byte) in bytes.iter().take(8).enumerate() {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((number, i + 1));
        }
    }
    bytes.get(8).map(|&byte| (number << 8 | u64::from(byte), 9))
}

/// Where a value stands in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// See the top of this file.
    pub serial: u64,
    /// Offset in the record, and bytes.
    pub at: u64,
    /// See `at`.
    pub len: u64,
}

impl Field {
    /// The value, as far as the record is there: text and blobs may be cut short, anything else is whole or `None`.
    pub fn value<'a>(&self, record: &'a [u8]) -> Option<Value<'a>> {
        let len = record.len() as u64;
        let span = self.at.min(len) as usize..self.at.saturating_add(self.len).min(len) as usize;
        let bytes = record.get(span)?;
        Some(match self.serial {
            0 => Value::Null,
            8 => Value::Int(0),
            9 => Value::Int(1),
            12.. if self.serial.is_multiple_of(2) => Value::Blob(bytes),
            12.. => Value::Text(bytes),
            _ if (bytes.len() as u64) < self.len => return None,
            7 => Value::Real(f64::from_be_bytes(*bytes.first_chunk()?)),
            _ => Value::Int(integer(bytes)),
        })
    }

    /// Whether all of it is in the first `len` bytes of the record.
    pub fn within(&self, len: usize) -> bool {
        self.at.saturating_add(self.len) <= len as u64
    }
}

/// A signed number of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|&b| b >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |n, &b| n << 8 | i64::from(b))
}

/// The values of a record by their places.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    types: &'a [u8],
    at: u64,
}

impl<'a> Fields<'a> {
    /// Reads the header's length; `None` where the header is impossible or not all there.
    pub fn of(record: &'a [u8]) -> Option<Self> {
        let (header, skip) = varint(record)?;
        let types = record.get(skip..usize::try_from(header).ok()?)?;
        Some(Fields { types, at: header })
    }

    /// Bytes of the whole record by its header, and how many values it has; `None` where a type is none.
    pub fn measure(self) -> Option<(u64, usize)> {
        let (mut end, mut count, mut fields) = (self.at, 0, self);
        for field in fields.by_ref() {
            end = field.at.checked_add(field.len)?;
            count += 1;
        }
        fields.types.is_empty().then_some((end, count))
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    /// The next field; `None` at the end and where the header is not a header.
    fn next(&mut self) -> Option<Field> {
        let (serial, skip) = varint(self.types)?;
        let len = match serial {
            0 | 8 | 9 => 0,
            1..=4 => serial,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (serial - 12) / 2,
        };
        self.types = self.types.get(skip..)?;
        let at = self.at;
        self.at = at.checked_add(len)?;
        Some(Field { serial, at, len })
    }
}

impl Encoding {
    /// Text as UTF-8. What is no UTF-16 in a database of UTF-16 becomes replacement characters; UTF-8 is not looked at.
    pub fn text(self, stored: &[u8]) -> Cow<'_, [u8]> {
        let word = match self {
            Encoding::Utf8 => return Cow::Borrowed(stored),
            Encoding::Utf16Le => u16::from_le_bytes,
            Encoding::Utf16Be => u16::from_be_bytes,
        };
        let (pairs, _) = stored.as_chunks::<2>();
        let words = pairs.iter().map(|&pair| word(pair));
        let text: String =
            char::decode_utf16(words).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    }
}
