//! From fragments to batches: puts the fragments of a record together and checks the batch that they hold, whichever way its
//! bytes can be had.

use std::ops::Range;

use ruzstd::decoding::FrameDecoder;

use super::batch::{self, Ending, Feed, Shape};
use super::fragment::{BLOCK, Fragment, Part, RECYCLABLE, fragment};
use super::{Content, Facts, inflate};
use crate::log::bytes::Bytes;
use crate::log::fault::{Cause, Fault};

/// Payloads longer than this are not put together in memory for a look at them: those that are compressed.
const GATHERED: u64 = 64 << 20;
/// A compressed record in more fragments is none: each of them is remembered, and may be empty.
const PIECES: usize = 1 << 16;
const NOT_LOOKED_AT: &str = "compressed record: not looked at, for those before it inflate to too much";

/// Bytes in a fragment of a compressed record, at the most, where the framer writes it: RocksDB 7 takes one that begins where the
/// one before began in its block for the same input once more.
pub const PACKED_MOST: u64 = BLOCK / 2;

/// Where what ends at `end` ends with the zeros that fill its block, if no header of so many bytes fits in there.
///
/// # Errors
/// [`Cause::Short`] when they are not there (yet).
pub fn filled<B: Bytes>(b: &mut B, end: u64, header: u64, grid: Option<Grid>) -> Result<u64, Fault> {
    let left = grid.map_or(BLOCK, |grid| grid.left(end));
    if left >= header || end >= b.end() {
        return Ok(end);
    }
    let to = b.end().min(end + left);
    let zeros = b.piece(end..to)?.iter().all(|&byte| byte == 0);
    Ok(if zeros { to } else { end })
}

/// Where what follows `end` stands if nobody knows where blocks begin: behind the zeros that no header fits into, if a fragment
/// stands there.
fn unaligned<B: Bytes>(b: &mut B, end: u64) -> Result<u64, Fault> {
    let mut at = end;
    while at < (end + RECYCLABLE - 1).min(b.end()) && b.array::<1>(at)? == [0] {
        at += 1;
    }
    // The header itself may begin with zeros.
    for to in (end + 1..=at).rev() {
        match fragment(b, to, BLOCK) {
            Ok(_) => return Ok(to),
            Err(fault @ Fault { cause: Cause::Short { need }, .. }) if need <= b.end() => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(end)
}

/// Where the blocks of a file begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid(u64);

impl Grid {
    /// A block begins here.
    pub fn at(offset: u64) -> Grid {
        Grid(offset % BLOCK)
    }

    /// Bytes to the end of the block that holds this offset.
    pub fn left(self, at: u64) -> u64 {
        BLOCK - at.wrapping_sub(self.0) % BLOCK
    }
}

/// A record put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Offset behind its last fragment.
    pub end: u64,
    /// Bytes of the header of each.
    pub header: u64,
    /// The low half of the log's number, where the headers have it.
    pub log: Option<u32>,
    /// Its batch; `None` where it is an edit of the catalogue.
    pub shape: Option<Shape>,
    /// Its contents are compressed.
    pub packed: bool,
    /// Where blocks begin, if it tells.
    pub grid: Option<Grid>,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record.
    Whole(Whole),
    /// A fragment that says something about the file.
    Aside(Fragment),
}

/// Puts records together; keeps the room for it.
pub struct Assembler {
    /// Payloads of the fragments at hand.
    pub spans: Vec<Range<u64>>,
    /// What becomes of transactions in the record at hand.
    pub ends: Vec<Ending>,
    packed: Vec<u8>,
    decoder: FrameDecoder,
    /// What guesses may be inflated to, whether one is at hand, and what the last record took.
    budget: Option<inflate::Budget>,
    guesses: bool,
    cost: u64,
    spent: Spent,
    /// What is compressed is not looked into.
    glances: bool,
}

/// What records in their place have cost, each of them once: it may be read again while its rest is fetched.
#[derive(Debug, Default)]
struct Spent {
    before: u64,
    at: u64,
    here: u64,
}

impl Spent {
    /// By the records in front of this offset.
    fn before(&self, at: u64) -> u64 {
        self.before.saturating_add(if at > self.at { self.here } else { 0 })
    }

    fn note(&mut self, at: u64, cost: u64) {
        *self = Spent { before: self.before(at), at, here: cost };
    }
}

/// Behind so many times the allowance not even heads are looked at.
const HEADS: u64 = 8;

/// A record that cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where, and why.
    pub fault: Fault,
    /// There is nothing wrong with the bytes there: they do not go with the fragments before.
    pub apart: bool,
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        Broken { fault, apart: false }
    }
}

impl Assembler {
    /// Ready for any record.
    pub fn new() -> Assembler {
        Assembler {
            spans: Vec::new(),
            ends: Vec::new(),
            packed: Vec::new(),
            decoder: inflate::decoder(),
            budget: None,
            guesses: false,
            cost: 0,
            spent: Spent::default(),
            glances: false,
        }
    }

    /// Ready to tell what records are there, without a look into those that are compressed.
    pub fn at_a_glance() -> Assembler {
        Assembler { glances: true, ..Assembler::new() }
    }

    /// The same as [`Assembler::at`] for a place where there may as well be none, of which many are tried: a compressed record
    /// is inflated only as long as the budget lasts.
    ///
    /// # Errors
    /// See [`Assembler::at`].
    pub fn guess<B: Bytes>(
        &mut self,
        b: &mut B,
        at: u64,
        grid: Option<Grid>,
        facts: &Facts,
    ) -> Result<Found, Broken> {
        (self.guesses, self.cost) = (true, 0);
        let found = self.at(b, at, grid, facts);
        self.guesses = false;
        found
    }

    /// The last guess was right, and is not made again.
    pub fn confirm(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.earn(self.cost);
        }
    }

    /// What stands at `at`, which must not be one of the fragments behind the first. Without `grid` blocks may begin anywhere.
    ///
    /// # Errors
    /// Where the fault lies: in the first fragment at `at`, in another one behind it. That of contents lies at `at`.
    #[inline]
    pub fn at<B: Bytes>(
        &mut self,
        b: &mut B,
        at: u64,
        grid: Option<Grid>,
        facts: &Facts,
    ) -> Result<Found, Broken> {
        self.spans.clear();
        let first = fragment(b, at, grid.map_or(BLOCK, |grid| grid.left(at)))?;
        let fault = |cause| Broken::from(Fault { at, cause });
        if let (Some(found), Some(own)) = (first.log, facts.number)
            && found != own
        {
            return Err(fault(Cause::Number { found: u64::from(found), expected: u64::from(own) }));
        }
        let mut end = first.payload.end;
        let mut told = None;
        match first.part {
            Part::Full => self.spans.push(first.payload.clone()),
            Part::First => {
                // A record is cut at the end of a block; a compressed one also where the compressor handed out a piece.
                let pieces = facts.may_pack() && inflate::is_packed(b.piece(first.payload.clone())?);
                if !pieces {
                    if grid.is_some_and(|grid| grid.left(end) != BLOCK) {
                        return Err(fault(Cause::Malformed("end of a fragment")));
                    }
                    told = Some(Grid::at(end));
                }
                self.spans.push(first.payload.clone());
                end = self.rest(b, &first, grid.filter(|_| pieces).or(told), pieces)?;
            }
            Part::Middle | Part::Last => return Err(fault(Cause::Malformed("fragment without a first one"))),
            Part::Aside | Part::Ignorable => return Ok(Found::Aside(first)),
            Part::Unknown => return Err(fault(Cause::Kind(first.kind))),
        }
        let (shape, packed) = match facts.content {
            Content::Edits | Content::Other => (None, false),
            Content::Batches => {
                let (shape, packed) = self.batch(b, facts).map_err(fault)?;
                (Some(shape), packed)
            }
        };
        let (header, log) = (first.header(), first.log);
        Ok(Found::Whole(Whole { end, header, log, shape, packed, grid: told }))
    }

    /// The fragments behind the first one, of which a compressed record may have several in a block; gives back where the last
    /// one ends.
    fn rest<B: Bytes>(
        &mut self,
        b: &mut B,
        first: &Fragment,
        grid: Option<Grid>,
        pieces: bool,
    ) -> Result<u64, Broken> {
        let mut end = first.payload.end;
        // Where a compressed record is cut does not tell where blocks begin; that is known, if at all, from elsewhere.
        let cut_at_blocks = !pieces;
        let mut cuts = Cuts::default();
        if pieces && !cuts.goes_on(first, grid) {
            let at = first.payload.start.saturating_sub(first.header());
            return Err(Fault { at, cause: Cause::Malformed("end of a fragment") }.into());
        }
        loop {
            let at = match grid {
                Some(_) => filled(b, end, first.header(), grid)?,
                None => unaligned(b, end)?,
            };
            let next = fragment(b, at, grid.map_or(BLOCK, |grid| grid.left(at)))?;
            let apart = |what| Broken { fault: Fault { at, cause: Cause::Malformed(what) }, apart: true };
            if !matches!(next.part, Part::Middle | Part::Last) || !next.goes_with(first) {
                return Err(apart("fragment in the place of the rest of a record"));
            }
            if pieces && self.spans.len() >= PIECES {
                return Err(Fault { at, cause: Cause::Malformed("record: too many fragments") }.into());
            }
            self.spans.push(next.payload.clone());
            end = next.payload.end;
            if next.part == Part::Last {
                return Ok(end);
            }
            let sound = if cut_at_blocks { grid == Some(Grid::at(end)) } else { cuts.goes_on(&next, grid) };
            if !sound {
                return Err(apart("end of a fragment"));
            }
        }
    }

    /// The batch that the fragments at hand hold, and whether it is compressed.
    #[inline]
    fn batch<B: Bytes>(&mut self, b: &mut B, facts: &Facts) -> Result<(Shape, bool), Cause> {
        let Assembler { spans, ends, .. } = self;
        ends.clear();
        let plain = match &spans[..] {
            [one] => {
                let payload = b.piece(one.clone()).map_err(|fault| fault.cause)?;
                batch::check(payload, facts.flavour, &mut |end| ends.push(end))
            }
            several => batch::check(Pieces::new(b, several), facts.flavour, &mut |end| ends.push(end)),
        };
        match plain {
            Ok(shape) => {
                if shape.unread {
                    ends.clear();
                }
                Ok((shape, false))
            }
            Err(what) if !facts.may_pack() => Err(Cause::Malformed(what)),
            Err(what) => self.inflated(b, facts)?.map(|shape| (shape, true)).ok_or(Cause::Malformed(what)),
        }
    }

    /// The same, where it is compressed; `None`: it is not.
    fn inflated<B: Bytes>(&mut self, b: &mut B, facts: &Facts) -> Result<Option<Shape>, Cause> {
        let mut packed = std::mem::take(&mut self.packed);
        self.gather(b, GATHERED, &mut packed).map_err(|fault| fault.cause)?;
        if !inflate::is_packed(&packed) {
            self.packed = packed;
            return Ok(None);
        }
        let shape = self.inflated_from(&packed, b.end(), facts);
        self.packed = packed;
        shape.map(Some).map_err(Cause::Malformed)
    }

    /// The same of a frame in a file that ends at `end`.
    fn inflated_from(&mut self, packed: &[u8], end: u64, facts: &Facts) -> Result<Shape, &'static str> {
        let at = self.spans.first().map_or(0, |span| span.start);
        let (before, allowance) = (self.spent.before(at), inflate::allowance(end));
        if self.glances {
            return Ok(Shape::unread((0, 0)));
        }
        if before > HEADS.saturating_mul(allowance) {
            return Err(NOT_LOOKED_AT);
        }
        let left = allowance.saturating_sub(before).clamp(inflate::BLOCK, inflate::LIMIT);
        let Assembler { ends, cost, decoder, spent, budget, guesses, .. } = self;
        let budget = budget.get_or_insert_with(|| inflate::Budget::of(end));
        let limit = if *guesses { budget.left().min(left) } else { left };
        let mut came_to = inflate::BLOCK;
        ends.clear();
        let shape = inflate::Inflating::with(decoder, limit, packed).and_then(|mut inflating| {
            let head = batch::head(&mut &mut inflating)?;
            let checked = batch::check_behind(head, &mut inflating, facts.flavour, &mut |end| ends.push(end));
            (came_to, *cost) = (inflating.came_to(), inflating.cost());
            match inflating.failed() {
                Some(_) if inflating.is_cut_short() && limit == left => Ok(Shape::unread(head)),
                failed => failed.map_or(checked, Err),
            }
        });
        let unread = shape.is_ok_and(|shape| shape.unread);
        if unread {
            ends.clear();
        }
        if *guesses {
            budget.spend(*cost);
            return shape;
        }
        spent.note(at, came_to);
        // Guesses are paid for by what was looked at.
        if shape.is_ok() && !unread {
            budget.earn(*cost);
        }
        shape
    }

    /// Replaces what is in `out` by the payloads of the fragments at hand, one behind the other.
    ///
    /// # Errors
    /// When there are more than `limit` bytes of them, or they are not there any more.
    pub fn gather<B: Bytes>(&self, b: &mut B, limit: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.clear();
        let all = self.spans.iter().map(|span| span.end - span.start).sum::<u64>();
        if all > limit {
            let at = self.spans.first().map_or(0, |span| span.start);
            return Err(Fault { at, cause: Cause::Malformed("record: too long to be looked at") });
        }
        for span in &self.spans {
            out.extend_from_slice(b.piece(span.clone())?);
        }
        Ok(())
    }
}

/// Follows where a compressed record is cut: at the ends of blocks and where the compressor has filled its buffer, which holds as
/// much as a block. No checksum says so, but fragments of another place, of the same record even, seldom go on from those before.
#[derive(Default)]
struct Cuts {
    /// Bytes since the buffer was handed out last.
    handed: u64,
}

impl Cuts {
    /// Whether the record may go on behind this fragment.
    fn goes_on(&mut self, fragment: &Fragment, grid: Option<Grid>) -> bool {
        let (len, buffer) = (fragment.payload.end - fragment.payload.start, BLOCK - fragment.header());
        self.handed += len;
        let left = grid.map_or(BLOCK, |grid| grid.left(fragment.payload.end));
        let full = self.handed == buffer;
        let inside = left < BLOCK && left >= fragment.header();
        if full || inside {
            self.handed = 0;
        }
        full || !inside || len == PACKED_MOST
    }
}

/// The payloads of fragments, read where a byte is wanted.
struct Pieces<'b, B> {
    b: &'b mut B,
    spans: &'b [Range<u64>],
    /// Which of them, and where in it.
    nth: usize,
    at: u64,
}

impl<'b, B: Bytes> Pieces<'b, B> {
    fn new(b: &'b mut B, spans: &'b [Range<u64>]) -> Self {
        let at = spans.first().map_or(0, |span| span.start);
        let mut pieces = Pieces { b, spans, nth: 0, at };
        pieces.settle();
        pieces
    }

    /// Goes on to the next span while this one is used up.
    fn settle(&mut self) {
        while self.spans.get(self.nth).is_some_and(|span| self.at >= span.end) {
            self.nth += 1;
            self.at = self.spans.get(self.nth).map_or(0, |span| span.start);
        }
    }
}

impl<B: Bytes> Feed for Pieces<'_, B> {
    fn byte(&mut self) -> Option<u8> {
        self.spans.get(self.nth)?;
        let [byte] = self.b.array::<1>(self.at).ok()?;
        self.at += 1;
        self.settle();
        Some(byte)
    }

    fn skip(&mut self, mut n: u64) -> Option<()> {
        while n > 0 {
            let left = self.spans.get(self.nth)?.end - self.at;
            let step = left.min(n);
            self.at += step;
            n -= step;
            self.settle();
        }
        Some(())
    }

    fn is_empty(&self) -> bool {
        self.nth >= self.spans.len()
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::super::Flavour;
    use super::super::fragment::put;
    use super::*;
    use crate::log::bytes::Window;

    #[test]
    fn a_record_in_its_place_is_read_whatever_guesses_have_taken() {
        let batch = [&7u64.to_le_bytes()[..], &1u32.to_le_bytes(), b"\x00\x01k"].concat();
        let mut bytes = Vec::new();
        put(1, None, &compress_to_vec(&batch[..], CompressionLevel::Fastest), &mut bytes);
        let (flavour, content) = (Flavour::RocksDb, Content::Batches);
        let facts = Facts { flavour, content, number: None, recycled: false };
        let (mut b, grid) = (Window::whole(&bytes), Some(Grid::at(0)));
        let mut assembler = Assembler::new();
        assert!(assembler.guess(&mut b, 0, grid, &facts).is_ok());
        assembler.budget.as_mut().unwrap().spend(u64::MAX);
        assert!(assembler.guess(&mut b, 0, grid, &facts).is_err());
        // It pays for some guesses.
        assert!(assembler.at(&mut b, 0, grid, &facts).is_ok());
        let right = (0..5).map(|_| assembler.guess(&mut b, 0, grid, &facts).is_ok());
        assert_eq!(right.collect::<Vec<_>>(), [true, true, true, true, false]);
    }
}
