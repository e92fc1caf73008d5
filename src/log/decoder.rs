//! The narrow interface behind which a format decodes.

use super::bytes::{Reader, Window};
use super::fault::{Cause, Fault};
use super::record::{Fix, Record, Trust};
use super::region::Kind;

/// A batch is handed on at this many records: 40 KiB, so it stays in the first-level cache with the code around it.
pub const BATCH: usize = 1024;

/// So many records in front of a fault may be taken back by [`Decoder::recover`]; few enough to stay in that cache.
pub const HELD: usize = 64;

/// Why a decoder stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The batch is full.
    Full,
    /// The file ends exactly here.
    End,
    /// What stands here is not a record; with [`Cause::Short`] perhaps only because the window ends.
    Fault(Fault),
    /// From here to the given offset lie bytes of the format that are no records (an index, a footer, a commit mark).
    Framing(u64),
}

/// Turns the bytes of one file into records. One value decodes one file from front to back.
pub trait Decoder: Send {
    /// Decodes from `at` until the batch is full, the window is used up, or something is wrong; moves `at` along.
    fn fill(&mut self, window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop;

    /// Decodes the one record at `at`, which is longer than a window and may be read in pieces.
    ///
    /// # Errors
    /// The fault, when it is no record.
    fn long(&mut self, reader: &mut Reader<'_>, at: u64) -> Result<Record, Fault>;

    /// After `fault`: what can be said of the bytes from there to the next record that provably stands in this log.
    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery;
}

/// What a decoder makes of a damaged place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the damage begins: at the fault or, in formats without checksum, at one of the last [`HELD`] records.
    pub from: u64,
    /// A record whose only fault is one field; it spans `from..resume`.
    pub record: Option<(Record, Fix)>,
    /// Offset of the next provable record; the end of the file when none follows.
    pub resume: u64,
    /// Why the record at `resume` is believed.
    pub trust: Trust,
    /// The cause, perhaps better known now than when the fault was met.
    pub cause: Cause,
    /// What the bytes `from..resume` are: `Damage`, `Torn`, `Preallocated`, `Stale`, `Recovered`.
    pub kind: Kind,
    /// A perfect record inside the damage that does not belong to this log's chain: most likely a value's contents.
    pub embedded: Option<u64>,
}
