//! The order of records in an index: value by value, by type first, text by its collation.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::header::Encoding;
use super::record::{Field, Fields, Value};

/// How text is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collation {
    /// As stored.
    #[default]
    Binary,
    /// Without regard to the case of ASCII letters.
    NoCase,
    /// Without regard to spaces at the end.
    RTrim,
    /// By an application's own rule.
    Other,
}

impl Collation {
    /// By its name.
    pub fn of(name: &str) -> Collation {
        match name.to_ascii_uppercase().as_str() {
            "BINARY" => Collation::Binary,
            "NOCASE" => Collation::NoCase,
            "RTRIM" => Collation::RTrim,
            _ => Collation::Other,
        }
    }

    /// What of a text is compared, byte by byte.
    pub fn key(self, text: &[u8], encoding: Encoding) -> Cow<'_, [u8]> {
        match self {
            Collation::Binary => Cow::Borrowed(text),
            Collation::NoCase => {
                let text = encoding.text(text);
                // The engine looks no further than up to a zero byte here.
                let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
                Cow::Owned(text[..end].to_ascii_lowercase())
            }
            Collation::RTrim => {
                let text = encoding.text(text);
                let end = text.iter().rposition(|&b| b != b' ').map_or(0, |last| last + 1);
                Cow::Owned(text[..end].to_vec())
            }
            Collation::Other => Cow::Borrowed(&[]),
        }
    }

    /// The order of texts whose keys are the same.
    fn rest(self, a: &[u8], b: &[u8]) -> Ordering {
        if self == Collation::NoCase { a.len().cmp(&b.len()) } else { Ordering::Equal }
    }
}

/// One term of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// How its text is ordered.
    pub collation: Collation,
    /// Greatest first.
    pub desc: bool,
}

/// How the records `a` and `b` are ordered by these terms; `None`: that cannot be told, for a value is not all there, the
/// record is none, or only an application knows.
pub fn compare(a: &[u8], b: &[u8], key: &[Part], encoding: Encoding) -> Option<Ordering> {
    let (mut left, mut right) = (Fields::of(a)?, Fields::of(b)?);
    for part in key {
        let (x, y) = (left.next()?, right.next()?);
        let order = values((x, a), (y, b), part.collation, encoding)?;
        if order != Ordering::Equal {
            return Some(if part.desc { order.reverse() } else { order });
        }
    }
    Some(Ordering::Equal)
}

fn values(
    a: (Field, &[u8]),
    b: (Field, &[u8]),
    collation: Collation,
    encoding: Encoding,
) -> Option<Ordering> {
    let whole = a.0.within(a.1.len()) && b.0.within(b.1.len());
    Some(match (a.0.value(a.1)?, b.0.value(b.1)?) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Int(x), Value::Int(y)) => x.cmp(&y),
        (Value::Real(x), Value::Real(y)) => x.partial_cmp(&y)?,
        (Value::Int(x), Value::Real(y)) => mixed(x, y)?,
        (Value::Real(x), Value::Int(y)) => mixed(y, x)?.reverse(),
        (Value::Text(_), Value::Text(_)) if collation == Collation::Other => return None,
        (Value::Text(x), Value::Text(y)) if whole => {
            collation.key(x, encoding).cmp(&collation.key(y, encoding)).then(collation.rest(x, y))
        }
        (Value::Blob(x), Value::Blob(y)) if whole => x.cmp(y),
        (Value::Text(_), Value::Text(_)) | (Value::Blob(_), Value::Blob(_)) => return None,
        (x, y) => rank(x).cmp(&rank(y)),
    })
}

fn rank(value: Value<'_>) -> u8 {
    match value {
        Value::Null => 0,
        Value::Int(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    }
}

/// An integer and a double, exactly.
fn mixed(x: i64, y: f64) -> Option<Ordering> {
    /// 2^63, the first double that no integer reaches.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if y.is_nan() {
        return None;
    }
    if y >= BEYOND {
        return Some(Ordering::Less);
    }
    if y < -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = y.trunc();
    Some(x.cmp(&(whole as i64)).then(whole.partial_cmp(&y)?))
}
