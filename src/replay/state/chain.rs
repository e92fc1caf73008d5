//! Operands that wait for a value to be merged into. Those that can be joined at once are, so that a counter with a million
//! additions stays one number; of the others all are kept.

use std::borrow::Cow;

use super::row::{Row, file_of};
use crate::format::merge::Merger;
use crate::log::conclude::Place;

/// What a key has been given since its last value: in pieces of `stamp u32 | file u32 | offset u64 | length u64 | bytes`.
#[derive(Default)]
pub(super) struct Chain {
    /// The row of the value below; empty: it is older than all that is in memory.
    pub base: Vec<u8>,
    operands: Vec<u8>,
    /// Where the last piece begins.
    last: usize,
}

/// One of its operands.
#[derive(Clone, Debug)]
pub(super) struct Operand<'a> {
    /// How many ranges were deleted, and rows written to disk, before it.
    pub stamp: u32,
    /// The record that it comes from; where several are joined, the last.
    pub place: Place,
    /// What is to be merged.
    pub bytes: Cow<'a, [u8]>,
}

/// Bytes of a piece before its operand.
const HEAD: usize = 24;

impl Chain {
    /// Takes an operand in.
    pub fn push(&mut self, merger: &Merger, operand: &Operand<'_>) {
        let Operand { stamp, place, bytes } = operand;
        let head = |len: usize| {
            let mut head = [0; HEAD];
            head[..4].copy_from_slice(&stamp.to_le_bytes());
            head[4..8].copy_from_slice(&file_of(*place).to_le_bytes());
            head[8..16].copy_from_slice(&place.at.to_le_bytes());
            head[16..].copy_from_slice(&(len as u64).to_le_bytes());
            head
        };
        let from = self.last + HEAD;
        let joins = pieces(&self.operands[self.last..]).next().is_some_and(|last| last.stamp == *stamp);
        if !joins || !merger.join(&mut self.operands, from, bytes) {
            self.last = self.operands.len();
            self.operands.extend_from_slice(&head(bytes.len()));
            self.operands.extend_from_slice(bytes);
            return;
        }
        let joined = head(self.operands.len() - from);
        self.operands[self.last..from].copy_from_slice(&joined);
    }

    /// Bytes of memory.
    pub fn weight(&self) -> u64 {
        (self.base.capacity() + self.operands.capacity()) as u64
    }

    /// As one string of bytes: `length of the row u64 | row | pieces`.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let len = (self.base.len() as u64).to_le_bytes();
        len.into_iter().chain(self.base.iter().copied()).chain(self.operands.iter().copied())
    }
}

/// The row below a chain, if it is known, and its operands.
pub(super) fn parts(chain: &[u8]) -> (Option<Row<'_>>, impl Iterator<Item = Operand<'_>>) {
    let (len, rest) =
        chain.split_first_chunk().map_or((0, chain), |(len, rest)| (u64::from_le_bytes(*len), rest));
    let (row, operands) = rest.split_at((len as usize).min(rest.len()));
    ((!row.is_empty()).then(|| Row::of(row)), pieces(operands))
}

fn pieces(mut rest: &[u8]) -> impl Iterator<Item = Operand<'_>> {
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_first_chunk::<HEAD>()?;
        let number = |from: usize| head[from..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        let word = |from: usize| head[from..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        let (bytes, behind) = behind.split_at((number(16) as usize).min(behind.len()));
        rest = behind;
        Some(Operand {
            stamp: word(0),
            place: Place { file: word(4) as usize, at: number(8) },
            bytes: bytes.into(),
        })
    })
}
