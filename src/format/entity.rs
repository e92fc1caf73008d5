//! Wide columns, as RocksDB writes them (db/wide/wide_column_serialization.h).
//!
//! Version 1: `version varint | n varint | n × (name len varint, name, value len varint) | values`.
//! Version 2: `version varint | n varint | bytes of name lengths, of value lengths, of names: varints | n × type u8 |
//! n × name len varint | n × value len varint | names | values`; type 1 is a value, 17 the place of one in a blob file.
//!
//! Columns rise by name. The one without a name is what a plain read of the key gives.

use crate::codec::cursor::Cursor;
use crate::codec::varint;

/// A column: its name and its value.
pub type Column<'a> = (&'a [u8], &'a [u8]);

/// The columns of an entity; `None`: it is none, or some of its values lie in blob files.
pub fn columns(entity: &[u8]) -> Option<Vec<Column<'_>>> {
    let mut rest = Cursor::new(entity);
    let (version, n) = (rest.varint32()?, rest.varint32()?);
    // Each column takes two bytes at least.
    let mut lens = Vec::with_capacity((n as usize).min(entity.len() / 2));
    let mut names = Vec::with_capacity(lens.capacity());
    match version {
        1 => {
            for _ in 0..n {
                names.push(rest.string()?);
                lens.push(rest.varint32()?);
            }
        }
        2 => {
            /// The type of a column that has its value with it.
            const INLINE: u8 = 1;
            for _ in 0..3 {
                rest.varint32()?;
            }
            if rest.take(n as usize)?.iter().any(|&kind| kind != INLINE) {
                return None;
            }
            let mut named = Vec::with_capacity(lens.capacity());
            for lens in [&mut named, &mut lens] {
                for _ in 0..n {
                    lens.push(rest.varint32()?);
                }
            }
            for len in named {
                names.push(rest.take(len as usize)?);
            }
        }
        _ => return None,
    }
    let mut columns = Vec::with_capacity(names.len());
    for (name, len) in names.into_iter().zip(lens) {
        columns.push((name, rest.take(len as usize)?));
    }
    rest.is_empty().then_some(columns)
}

/// What a plain read of the key gives: the value of the column without a name, nothing where there is none.
pub fn plain(entity: &[u8]) -> Option<&[u8]> {
    let first = columns(entity)?.first().copied();
    Some(first.filter(|(name, _)| name.is_empty()).map_or(&[], |(_, value)| value))
}

/// The entity with another plain value, as a merge leaves it.
pub fn with_plain(entity: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut columns = columns(entity)?;
    columns.retain(|(name, _)| !name.is_empty());
    columns.insert(0, (&[], value));
    Some(encode(&columns))
}

/// An entity of these columns, in version 1; they rise by name.
pub fn encode(columns: &[Column<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(1u64, &mut out);
    varint::put(columns.len() as u64, &mut out);
    for (name, value) in columns {
        varint::put(name.len() as u64, &mut out);
        out.extend_from_slice(name);
        varint::put(value.len() as u64, &mut out);
    }
    columns.iter().for_each(|(_, value)| out.extend_from_slice(value));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back() {
        let long = vec![7; 300];
        let all: [Column<'_>; 3] = [(b"", b"plain"), (b"a", b""), (b"b", &long)];
        for n in 0..=3 {
            let entity = encode(&all[..n]);
            assert_eq!(columns(&entity).unwrap(), all[..n]);
            for cut in 0..entity.len() {
                assert!(columns(&entity[..cut]).is_none(), "{n} columns, {cut} bytes");
            }
        }
        assert_eq!(plain(&encode(&all)), Some(&b"plain"[..]));
        assert_eq!(plain(&encode(&all[1..])), Some(&b""[..]));
        let merged = with_plain(&encode(&all[1..]), b"new").unwrap();
        assert_eq!(columns(&merged).unwrap(), [(&b""[..], &b"new"[..]), all[1], all[2]]);
    }

    #[test]
    fn version_2_groups_its_parts() {
        let entity = |kind| [&[2, 2, 2, 2, 1, 1, kind, 0, 1, 2, 3][..], b"a", b"xy", b"abc"].concat();
        assert_eq!(columns(&entity(1)).unwrap(), [(&b""[..], &b"xy"[..]), (b"a", b"abc")]);
        assert_eq!(columns(&entity(17)), None);
    }

    #[test]
    fn numbers_that_lie_are_refused() {
        assert_eq!(columns(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
        assert_eq!(columns(&[2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1]), None);
        assert_eq!(columns(&[3, 0]), None);
        assert_eq!(columns(&[1, 0, 0]), None);
    }
}
