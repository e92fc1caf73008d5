//! The table of a record's fields. Decoders take their offsets from it and `dump --hex` its names, so they cannot differ.

/// How many bytes a field has and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// An unsigned number of this many bytes.
    Uint(usize),
    /// A signed number of this many bytes.
    Int(usize),
    /// An IEEE 754 number of eight bytes, seconds since 1970.
    Time,
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
    /// Name of the checksum field, if there is one.
    pub checksum: Option<&'static str>,
}

/// A numeric field.
pub const fn uint(name: &'static str, bytes: usize) -> Field {
    Field { name, width: Width::Uint(bytes) }
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
                Width::Uint(n) | Width::Int(n) => n as u64,
                Width::Time => 8,
                Width::Bytes(_) => 0,
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
                Width::Uint(n) | Width::Int(n) => n as u64,
                Width::Time => 8,
                Width::Bytes(_) => 0,
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
                Width::Uint(n) | Width::Int(n) => n,
                Width::Time => 8,
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
                Width::Bytes(_) => None,
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

    fn number(&self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, b: &u8| sum << 8 | u64::from(*b);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// The contents of the named field of a record.
    pub fn get<'r>(&self, record: &'r [u8], name: &str, fix: Option<(&str, u64)>) -> Option<&'r [u8]> {
        self.spans(record, fix).find(|(field, ..)| field.name == name).map(|(_, span, _)| &record[span])
    }
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
    fn a_cut_record_gives_what_is_there() {
        let spans: Vec<_> = TOY.spans(&[0, 9, b'a'], None).map(|(f, s, _)| (f.name, s)).collect();
        assert_eq!(spans, [("len", 0..2), ("key", 2..3)]);
    }
}
