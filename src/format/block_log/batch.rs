//! What a record of the log holds: a write batch.
//!
//! ```text
//! sequence u64 | count u32 | operations      little-endian; count: operations that are given a number
//! operation   tag u8 | family varint32, in the variants for column families | strings, each behind its varint32 length
//! ```
//! A batch counts whole or not at all. The parser asks for bytes one after the other ([`Feed`]), as a batch may be longer than
//! what is in memory; the same code then serves one in a slice.

use super::Flavour;
use crate::codec::varint;
use crate::format::Entry;

/// Bytes of the sequence number and the count.
pub const HEAD: usize = 12;
/// Sequence numbers have 56 bits; the other eight are taken by a type, elsewhere.
pub const SEQ_LIMIT: u64 = 1 << 56;

/// What an operation is, by its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The word of reports.
    pub word: &'static str,
    /// It names a column family.
    family: bool,
    /// Strings that it holds.
    strings: u8,
    /// It is given a number.
    counts: bool,
    /// Its part in a transaction of two phases.
    phase: Phase,
}

/// See [`Tag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// None.
    Plain,
    /// What follows waits for a commit.
    Begin,
    /// The same, in stores that give a number to each batch and not to each operation.
    BeginBatch,
    /// Ends what waits, and names the transaction.
    End,
    /// The transaction of this name counts.
    Commit,
    /// It does not.
    Rollback,
}

const fn tag(word: &'static str, family: bool, strings: u8, counts: bool, phase: Phase) -> Option<Tag> {
    Some(Tag { word, family, strings, counts, phase })
}

/// Tags by their number.
const TAGS: [Option<Tag>; 0x1a] = {
    use Phase::{Begin, BeginBatch, Commit, End, Plain, Rollback};
    [
        tag("DELETE", false, 1, true, Plain),
        tag("PUT", false, 2, true, Plain),
        tag("MERGE", false, 2, true, Plain),
        tag("LOG_DATA", false, 1, false, Plain),
        tag("DELETE", true, 1, true, Plain),
        tag("PUT", true, 2, true, Plain),
        tag("MERGE", true, 2, true, Plain),
        tag("SINGLE_DELETE", false, 1, true, Plain),
        tag("SINGLE_DELETE", true, 1, true, Plain),
        tag("BEGIN_PREPARE", false, 0, false, Begin),
        tag("END_PREPARE", false, 1, false, End),
        tag("COMMIT", false, 1, false, Commit),
        tag("ROLLBACK", false, 1, false, Rollback),
        tag("NOOP", false, 0, false, Plain),
        tag("DELETE_RANGE", true, 2, true, Plain),
        tag("DELETE_RANGE", false, 2, true, Plain),
        tag("BLOB_INDEX", true, 2, true, Plain),
        tag("BLOB_INDEX", false, 2, true, Plain),
        tag("BEGIN_PERSISTED_PREPARE", false, 0, false, BeginBatch),
        tag("BEGIN_UNPREPARE", false, 0, false, BeginBatch),
        None,
        // The timestamp comes first, then the name of the transaction.
        tag("COMMIT_TIMESTAMP", false, 2, false, Commit),
        tag("PUT_ENTITY", false, 2, true, Plain),
        tag("PUT_ENTITY", true, 2, true, Plain),
        tag("TIMED_PUT", false, 2, true, Plain),
        tag("TIMED_PUT", true, 2, true, Plain),
    ]
};

/// The operation with this tag.
#[inline]
fn tagged(flavour: Flavour, tag: u8) -> Option<Tag> {
    let known = match flavour {
        Flavour::LevelDb => 2,
        Flavour::RocksDb => TAGS.len(),
    };
    if usize::from(tag) < known { TAGS[usize::from(tag)] } else { None }
}

/// The tag of words of the application.
const LOG_DATA: u8 = 3;

/// Bytes one after the other.
pub trait Feed {
    /// The next one; `None` at the end.
    fn byte(&mut self) -> Option<u8>;
    /// Leaves out `n`; `None` where there are fewer.
    fn skip(&mut self, n: u64) -> Option<()>;
    /// Whether none are left.
    fn is_empty(&self) -> bool;
    /// An operation begins, which may cost more than its bytes.
    fn operation(&mut self) {}

    /// A number of up to 32 bits in groups of seven, the lowest first.
    #[inline]
    fn varint(&mut self) -> Option<u32> {
        // The engines leave out the bits past the last as well.
        varint::read::<5>(|| self.byte()).map(|n| n as u32)
    }

    /// A number of `n` bytes, the lowest first.
    #[inline]
    fn number(&mut self, n: u32) -> Option<u64> {
        let mut value = 0;
        for i in 0..n {
            value |= u64::from(self.byte()?) << (8 * i);
        }
        Some(value)
    }
}

/// Those of a slice.
impl Feed for &[u8] {
    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.split_first()?;
        *self = rest;
        Some(first)
    }
    #[inline]
    fn skip(&mut self, n: u64) -> Option<()> {
        *self = self.get(usize::try_from(n).ok()?..)?;
        Some(())
    }
    #[inline]
    fn is_empty(&self) -> bool {
        <[u8]>::is_empty(self)
    }
}

/// What a batch is, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of its first operation.
    pub seq: u64,
    /// Operations that are given a number.
    pub count: u32,
    /// Of these, those that wait for a commit: the numbers are given out only then.
    pub prepared: u32,
    /// It prepares in a store that gives a number to each batch.
    pub by_batch: bool,
    /// Operations of any kind.
    pub operations: u64,
    /// By itself or with the one behind it a repair states a gap with it, see [`gap`].
    pub opens_gap: bool,
    /// It holds more than is followed: what it does to transactions, or anything behind its head, is not known.
    pub unread: bool,
}

impl Shape {
    /// That of a batch with this number and so many operations, which are not looked at.
    pub fn unread((seq, count): (u64, u32)) -> Shape {
        Shape { seq, count, prepared: 0, by_batch: false, operations: 0, opens_gap: false, unread: true }
    }
}

/// What a repair writes for RocksDB's users where numbers are missing; the engine leaves it alone.
const GAP: &[u8] = b"walmedic: numbers are missing from here on";

/// The batches that together state that numbers are missing, from the first to the one in front of `next`. LevelDB writes every
/// operation into its log, so no two empty ones follow each other there with numbers between them; RocksDB may.
pub fn gap(flavour: Flavour, first: u64, next: u64) -> [Vec<u8>; 2] {
    let mut batches = [first, next].map(|seq| {
        let mut batch = seq.to_le_bytes().to_vec();
        batch.resize(HEAD, 0);
        batch
    });
    if flavour == Flavour::RocksDb {
        batches[0].extend_from_slice(&[LOG_DATA, GAP.len() as u8]);
        batches[0].extend_from_slice(GAP);
    }
    batches
}

/// The name of a transaction as far as it has to be told from others: a hash.
pub type Xid = u64;

/// The end of a prepared part, a commit or a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which of them.
    pub phase: Phase,
    /// The transaction.
    pub xid: Xid,
    /// Operations in the prepared part.
    pub prepared: u32,
}

/// Transactions that are followed in one batch: the engine puts one into a batch of its own, and joins those of threads that
/// write at the same moment.
pub const ENDINGS: usize = 4096;

/// Checks a batch to its last byte. `ends` is told what becomes of transactions, in order.
///
/// # Errors
/// What is wrong with it.
#[inline]
pub fn check<F: Feed>(
    mut feed: F,
    flavour: Flavour,
    ends: &mut dyn FnMut(Ending),
) -> Result<Shape, &'static str> {
    let head = head(&mut feed)?;
    check_behind(head, feed, flavour, ends)
}

/// Number and count of a batch.
///
/// # Errors
/// What is wrong with them.
#[inline]
pub fn head<F: Feed>(feed: &mut F) -> Result<(u64, u32), &'static str> {
    const SHORT: &str = "write batch: shorter than its header";
    let seq = feed.number(8).ok_or(SHORT)?;
    let count = feed.number(4).ok_or(SHORT)? as u32;
    if seq < SEQ_LIMIT { Ok((seq, count)) } else { Err("write batch: sequence number") }
}

/// Checks what follows the number and the count of a batch. What more than [`ENDINGS`] transactions in it come to is not told.
///
/// # Errors
/// What is wrong with it.
#[inline]
pub fn check_behind<F: Feed>(
    (seq, count): (u64, u32),
    mut feed: F,
    flavour: Flavour,
    ends: &mut dyn FnMut(Ending),
) -> Result<Shape, &'static str> {
    let opens_gap = flavour == Flavour::LevelDb;
    let mut shape = Shape { opens_gap, unread: false, ..Shape::unread((seq, count)) };
    let (mut counted, mut begun, mut endings) = (0u64, None::<u64>, 0);
    while !feed.is_empty() {
        let number = feed.byte().ok_or("write batch: kind of operation")?;
        let tag = tagged(flavour, number).ok_or("write batch: kind of operation")?;
        feed.operation();
        shape.operations += 1;
        shape.opens_gap = false;
        if number == LOG_DATA {
            let says = remark(&mut feed).ok_or("write batch: operation longer than the batch")?;
            shape.opens_gap = says && shape.operations == 1;
            continue;
        }
        if tag.phase == Phase::Plain {
            operation(&mut feed, tag).ok_or("write batch: operation longer than the batch")?;
            counted += u64::from(tag.counts);
            continue;
        }
        let xid = named(&mut feed, tag).ok_or("write batch: operation longer than the batch")?;
        let mut prepared = 0;
        match tag.phase {
            Phase::Begin | Phase::BeginBatch => {
                shape.by_batch |= tag.phase == Phase::BeginBatch;
                begun = Some(counted);
                continue;
            }
            Phase::End => {
                let from = begun.take().ok_or("write batch: end of a part that was not begun")?;
                prepared = u32::try_from(counted - from).unwrap_or(u32::MAX);
                shape.prepared = shape.prepared.saturating_add(prepared);
            }
            _ => {}
        }
        endings += 1;
        shape.unread = endings > ENDINGS;
        if !shape.unread {
            ends(Ending { phase: tag.phase, xid, prepared });
        }
    }
    match (begun, counted == u64::from(count)) {
        (Some(_), _) => Err("write batch: a part that is begun and not ended"),
        (None, false) => Err("write batch: other number of operations than its count"),
        (None, true) => Ok(shape),
    }
}

/// Number and count of a batch that holds operations, and none of a transaction; `None` says nothing about any other.
#[inline]
pub fn quick(batch: &[u8], flavour: Flavour) -> Option<(u64, u32)> {
    let (head, mut rest) = batch.split_first_chunk::<HEAD>()?;
    let seq = u64::from_le_bytes(*head.first_chunk()?);
    let count = u32::from_le_bytes(*head.last_chunk()?);
    let mut counted = 0u32;
    while let Some((&tag, behind)) = rest.split_first() {
        let tag = tagged(flavour, tag).filter(|tag| tag.counts)?;
        rest = behind;
        operation(&mut rest, tag)?;
        counted += 1;
    }
    (counted == count && count > 0 && seq < SEQ_LIMIT).then_some((seq, count))
}

#[inline(always)]
fn operation<F: Feed>(feed: &mut F, tag: Tag) -> Option<()> {
    if tag.family {
        feed.varint()?;
    }
    for _ in 0..tag.strings {
        let len = feed.varint()?;
        feed.skip(u64::from(len))?;
    }
    Some(())
}

/// Words of the application; whether they are those of a repair.
fn remark<F: Feed>(feed: &mut F) -> Option<bool> {
    let len = feed.varint()?;
    let mut says = len as usize == GAP.len();
    if !says {
        feed.skip(u64::from(len))?;
        return Some(false);
    }
    for &byte in GAP {
        says &= feed.byte()? == byte;
    }
    Some(says)
}

/// The same, where the last string is the name of a transaction.
fn named<F: Feed>(feed: &mut F, tag: Tag) -> Option<Xid> {
    let mut xid = 0xcbf2_9ce4_8422_2325;
    for i in 0..tag.strings {
        let len = feed.varint()?;
        if i + 1 < tag.strings {
            feed.skip(u64::from(len))?;
            continue;
        }
        for _ in 0..len {
            xid = hashed(xid, feed.byte()?);
        }
    }
    Some(xid)
}

/// FNV-1a: names of transactions are short.
fn hashed(hash: Xid, byte: u8) -> Xid {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// The hash by which a transaction of this name is known.
pub fn xid(name: &[u8]) -> Xid {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| hashed(hash, byte))
}

/// One operation of a batch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The word of reports.
    pub word: &'static str,
    /// Its part in a transaction.
    pub phase: Phase,
    /// Whether it changes a key.
    pub changes: bool,
    /// Number of the column family; 0 where the tag names none.
    pub family: u32,
    /// Its first string: the key, mostly.
    pub first: &'a [u8],
    /// Its second: the value.
    pub second: Option<&'a [u8]>,
    /// Its number, as if those of prepared operations were given out in the batch.
    pub seq: Option<u64>,
}

impl<'a> Operation<'a> {
    /// The name of the transaction that it ends.
    pub fn xid(&self) -> Option<&'a [u8]> {
        let named = !matches!(self.phase, Phase::Plain | Phase::Begin | Phase::BeginBatch);
        named.then(|| self.second.unwrap_or(self.first))
    }

    /// Whether it begins a part of a transaction that is not the last one.
    pub fn has_more(&self) -> bool {
        self.word == "BEGIN_UNPREPARE"
    }

    /// The same for people and machines.
    pub fn entry(&self, families: bool) -> Entry<'a> {
        let (key, value, end) = match self.word {
            "DELETE_RANGE" => (Some(self.first), None, self.second),
            // The time of the write follows its value.
            "TIMED_PUT" => {
                let value = self.second.map(|value| &value[..value.len().saturating_sub(8)]);
                (Some(self.first), value, None)
            }
            _ if self.changes => (Some(self.first), self.second, None),
            // The rest names a transaction, or holds what the application wanted to say.
            _ => (None, self.xid().or((self.word == "LOG_DATA").then_some(self.first)), None),
        };
        let family = (families && self.changes).then_some(self.family);
        Entry { op: self.word, key, value, end, family, seq: self.seq, ..Entry::default() }
    }
}

/// The operations of a batch in order, up to the first that is none.
pub fn operations(batch: &[u8], flavour: Flavour) -> Operations<'_> {
    let seq = batch.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    Operations { flavour, seq, rest: batch.get(HEAD..).unwrap_or_default(), broken: None }
}

/// The same from the operation at this offset on.
pub fn operations_at(batch: &[u8], at: usize, flavour: Flavour) -> Operations<'_> {
    Operations { rest: batch.get(at..).unwrap_or_default(), ..operations(batch, flavour) }
}

/// The same, each behind its offset in the batch.
pub fn placed(batch: &[u8], flavour: Flavour) -> impl Iterator<Item = (usize, Operation<'_>)> {
    let mut all = operations(batch, flavour);
    std::iter::from_fn(move || {
        let at = batch.len() - all.rest.len();
        Some((at, all.next()?))
    })
}

/// See [`operations`].
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    flavour: Flavour,
    /// Number of the next one.
    seq: u64,
    rest: &'a [u8],
    /// Tag of the one that is none, and what it claims to be.
    broken: Option<(u8, Option<&'static str>)>,
}

impl Operations<'_> {
    /// Bytes behind the operations so far.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// At the end: the tag of the operation that cannot be read, and the word for it, if it has one.
    pub fn broken(&self) -> Option<(u8, Option<&'static str>)> {
        self.broken
    }
}

impl<'a> Operations<'a> {
    fn body(&mut self, tag: Tag) -> Option<Operation<'a>> {
        let rest = &mut self.rest;
        let family = if tag.family { rest.varint()? } else { 0 };
        let first = if tag.strings > 0 { string(rest)? } else { &[] };
        let second = if tag.strings > 1 { Some(string(rest)?) } else { None };
        let seq = tag.counts.then_some(self.seq);
        let (word, phase, changes) = (tag.word, tag.phase, tag.counts);
        Some(Operation { word, phase, changes, family, first, second, seq })
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    fn next(&mut self) -> Option<Operation<'a>> {
        if self.broken.is_some() {
            return None;
        }
        let number = self.rest.byte()?;
        let tag = tagged(self.flavour, number);
        let operation = tag.and_then(|tag| self.body(tag));
        match &operation {
            Some(operation) => self.seq = self.seq.saturating_add(u64::from(operation.changes)),
            None => self.broken = Some((number, tag.map(|tag| tag.word))),
        }
        operation
    }
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = rest.varint()? as usize;
    let (string, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `operations` begins with the tag of each.
    fn batch(seq: u64, count: u32, operations: &[u8]) -> Vec<u8> {
        [&seq.to_le_bytes()[..], &count.to_le_bytes(), operations].concat()
    }

    fn shape(batch: &[u8]) -> Result<(Shape, Vec<Ending>), &'static str> {
        let mut ends = Vec::new();
        let shape = check(batch, Flavour::RocksDb, &mut |end| ends.push(end))?;
        Ok((shape, ends))
    }

    #[test]
    fn a_batch_is_checked_to_its_last_byte() {
        let good = batch(7, 2, b"\x01\x01k\x02vw\x00\x01k");
        let (shape_of, ends) = shape(&good).unwrap();
        assert_eq!((shape_of.seq, shape_of.count, shape_of.operations, ends.len()), (7, 2, 2, 0));
        for cut in 0..good.len() {
            assert!(shape(&good[..cut]).is_err(), "cut to {cut}");
        }
        assert!(shape(&[&good[..], b"\0"].concat()).is_err());
        assert!(shape(&batch(7, 3, b"\x00\x01k")).is_err(), "count");
        assert!(shape(&batch(1 << 56, 1, b"\x00\x01k")).is_err(), "sequence");
        assert!(shape(&batch(7, 1, b"\x14\x01k")).is_err(), "tag");
        assert!(check(&batch(7, 1, b"\x02\x01k\x01v")[..], Flavour::LevelDb, &mut |_| ()).is_err());
        assert_eq!(shape(&batch(7, 0, b"")).unwrap().0.operations, 0);
    }

    #[test]
    fn a_prepared_part_gives_out_no_numbers() {
        let prepare = batch(3, 2, b"\x09\x01\x01a\x01b\x00\x01c\x0a\x02t1");
        let (found, ends) = shape(&prepare).unwrap();
        assert_eq!((found.count, found.prepared), (2, 2));
        assert_eq!(ends, [Ending { phase: Phase::End, xid: xid(b"t1"), prepared: 2 }]);
        let (found, ends) = shape(&batch(3, 0, b"\x0b\x02t1")).unwrap();
        assert_eq!((found.count, ends[0].phase, ends[0].xid), (0, Phase::Commit, xid(b"t1")));
        assert!(shape(&batch(3, 1, b"\x09\x00\x01c")).is_err(), "not ended");
        assert!(shape(&batch(3, 0, b"\x0a\x02t1")).is_err(), "not begun");
    }

    #[test]
    fn a_batch_of_very_many_transactions_is_intact_and_not_followed() {
        let most = batch(3, 0, &b"\x09\x0a\x00".repeat(ENDINGS));
        let (found, ends) = shape(&most).unwrap();
        assert_eq!((found.unread, ends.len()), (false, ENDINGS));
        let (found, ends) = shape(&[&most[..], b"\x0b\x00"].concat()).unwrap();
        assert_eq!((found.unread, ends.len()), (true, ENDINGS));
        assert!(shape(&[&most[..], b"\x0b\x00\x0b"].concat()).is_err(), "looked at to its last byte");
    }

    #[test]
    fn operations_come_with_family_and_number() {
        let all = batch(9, 3, b"\x05\x07\x01k\x01v\x03\x02hi\x0e\x02\x01a\x01z\x08\x07\x01k");
        let got: Vec<_> = operations(&all, Flavour::RocksDb).map(|o| o.entry(true)).collect();
        let words: Vec<_> = got.iter().map(|e| (e.op, e.family, e.seq)).collect();
        let want = [
            ("PUT", Some(7), Some(9)),
            ("LOG_DATA", None, None),
            ("DELETE_RANGE", Some(2), Some(10)),
            ("SINGLE_DELETE", Some(7), Some(11)),
        ];
        assert_eq!(words, want);
        assert_eq!((got[0].key, got[0].value), (Some(&b"k"[..]), Some(&b"v"[..])));
        assert_eq!((got[2].key, got[2].end), (Some(&b"a"[..]), Some(&b"z"[..])));
        assert_eq!(got[1].value, Some(&b"hi"[..]));
    }

    #[test]
    fn varints_have_up_to_five_bytes() {
        let mut bytes = Vec::new();
        for n in [0, 127, 128, 300, u32::MAX] {
            bytes.clear();
            varint::put(n, &mut bytes);
            assert_eq!((&bytes[..]).varint(), Some(n));
        }
        assert_eq!((&[0xff, 0xff, 0xff, 0xff, 0x7f][..]).varint(), Some(u32::MAX));
        assert_eq!((&[0x80u8; 6][..]).varint(), None);
    }
}
