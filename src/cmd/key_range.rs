//! `--key-range` of `dump`.

use anyhow::{Result, bail};

use crate::format::Entry;
use crate::ui::bytes::{Notation, read};

/// Keys from one on and in front of another.
pub struct KeyRange {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
}

impl KeyRange {
    /// What the user typed, each end in the notation that `dump` prints.
    ///
    /// # Errors
    /// When it is no range, or holds none.
    pub fn of(text: &str, notation: Notation) -> Result<KeyRange> {
        let bytes = |end| match read(end, notation) {
            Some(bytes) => Ok(bytes),
            None => bail!("--key-range {text}: {end} is no key in this notation"),
        };
        let Some((from, to)) = text.split_once("..") else {
            bail!("--key-range {text}: no range; it is written A..B");
        };
        let to = if to.is_empty() { None } else { Some(bytes(to)?) };
        let range = KeyRange { from: bytes(from)?, to };
        if range.to.as_ref().is_some_and(|to| *to <= range.from) {
            bail!("--key-range {text} is empty: its end does not lie behind its start");
        }
        Ok(range)
    }

    /// Whether an operation is about one of them.
    pub fn touched_by(&self, entry: &Entry<'_>) -> bool {
        let Some(key) = entry.key else { return false };
        let ends_behind = entry.end.map_or(key >= &self.from[..], |end| end > &self.from[..]);
        ends_behind && self.to.as_ref().is_none_or(|to| key < &to[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_keys_are_half_open() {
        let range = KeyRange::of("b..d", Notation::Escape).unwrap();
        let touched = |key: &str, end: Option<&'static str>| {
            let (key, end) = (Some(key.as_bytes()), end.map(str::as_bytes));
            range.touched_by(&Entry { key, end, ..Entry::default() })
        };
        assert!(touched("b", None) && touched("c\x00", None) && !touched("d", None) && !touched("a", None));
        assert!(touched("a", Some("c")) && !touched("a", Some("b")) && !touched("d", Some("e")));
        assert!(!range.touched_by(&Entry::default()));
        let from = KeyRange::of("62..", Notation::Hex).unwrap();
        assert_eq!((&from.from[..], from.to), (&b"b"[..], None));
        assert!(
            KeyRange::of("b..b", Notation::Escape).is_err() && KeyRange::of("b", Notation::Escape).is_err()
        );
        assert!(KeyRange::of("6..7", Notation::Hex).is_err());
    }
}
