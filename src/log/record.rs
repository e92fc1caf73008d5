//! One record: where it lies and how it takes part in numbering and grouping. No pointers, `Copy`.

/// A record that passed every check its format allows, unless it comes with a [`Fix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Offset of its first byte.
    pub at: u64,
    /// Its length in bytes, framing included.
    pub len: u64,
    /// It covers the sequence numbers `seq..next`; equal when the format has none.
    pub seq: u64,
    /// See `seq`.
    pub next: u64,
    /// Transaction that it belongs to, where transactions interleave; page number in logs of pages; else 0.
    pub txn: u32,
    /// The format's own record type.
    pub kind: u8,
    /// Its part in a batch.
    pub mark: Mark,
}

impl Record {
    /// Offset behind its last byte.
    #[inline]
    pub fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }
}

/// The part a record plays in a batch or transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Changes something.
    Data,
    /// Opens a batch.
    Begin,
    /// Changes something, once its transaction commits.
    Prepare,
    /// Closes a batch and makes it count.
    Commit,
    /// Changes something, and closes its batch and makes it count.
    Last,
    /// Neither changes anything nor takes part in a batch.
    Note,
    /// States that the numbers it covers are missing: a repair left it where it could not bring them back.
    Gap,
    /// Changes something, as far as is known: it is intact, and holds more than is followed.
    Unread,
}

impl Mark {
    /// Whether the record changes something.
    #[inline]
    pub fn changes(self) -> bool {
        matches!(self, Mark::Data | Mark::Prepare | Mark::Last | Mark::Unread)
    }

    /// Whether it makes its batch count.
    #[inline]
    pub fn commits(self) -> bool {
        matches!(self, Mark::Commit | Mark::Last)
    }
}

/// The field that says what a record does, wherever it can be wrong alone and inferred. See [`Fix::field`].
pub const OP: &str = "op";

/// One field of a record is wrong, and the others tell its true value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Name of the field, as in the format's layout.
    pub field: &'static str,
    /// The value in the bytes.
    pub found: u64,
    /// The value inferred; [`Fix::UNKNOWN`] where the others do not tell it.
    pub inferred: u64,
}

impl Fix {
    /// Stands for a value that nothing tells: nothing could follow a number so high. An `Option` would make every region
    /// larger.
    pub const UNKNOWN: u64 = u64::MAX;

    /// The value inferred, if the others tell it.
    #[inline]
    pub fn known(&self) -> Option<u64> {
        (self.inferred != Fix::UNKNOWN).then_some(self.inferred)
    }
}

/// The grounds on which a record is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Trust(u8);

impl Trust {
    /// Its checksum holds.
    pub const CHECKSUM: Trust = Trust(1);
    /// Its lengths agree with each other.
    pub const LENGTHS: Trust = Trust(2);
    /// Its number fits its neighbours.
    pub const NUMBER: Trust = Trust(4);
    /// Another provable record, or the end of the file, follows at its end.
    pub const CHAIN: Trust = Trust(8);
    /// It stands where the record before it ends (or at the start of the file).
    pub const POSITION: Trust = Trust(16);
    /// Its contents have the structure that the format asks for.
    pub const STRUCTURE: Trust = Trust(32);

    const WORDS: [(Trust, &'static str); 6] = [
        (Trust::CHECKSUM, "checksum"),
        (Trust::LENGTHS, "lengths"),
        (Trust::NUMBER, "number"),
        (Trust::CHAIN, "chain"),
        (Trust::POSITION, "position"),
        (Trust::STRUCTURE, "structure"),
    ];

    /// Both grounds.
    #[must_use]
    pub const fn and(self, other: Trust) -> Trust {
        Trust(self.0 | other.0)
    }

    /// Whether all of `other` is among them.
    pub const fn has(self, other: Trust) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Trust {
    /// Its words, piece by piece: quicker than formatting, where every record is printed with them.
    pub fn words(self, each: &mut dyn FnMut(&'static str)) {
        let mut first = true;
        for (ground, word) in Trust::WORDS {
            if self.has(ground) {
                if !std::mem::take(&mut first) {
                    each("+");
                }
                each(word);
            }
        }
        if first {
            each("none");
        }
    }
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut told = Ok(());
        self.words(&mut |piece| told = told.and_then(|()| f.write_str(piece)));
        told
    }
}
