//! The driver: keeps the decoder fed, resynchronises past damage, decides what the end is, and sees to it that every
//! byte is handed to the sink exactly once.

use super::bytes::{Bytes, Reader};
use super::decoder::{BATCH, Decoder, HELD, Recovery, Stop};
use super::fault::{Cause, Fault};
use super::record::Record;

/// Records longer than this are checked in pieces: memory must not follow what a damaged length claims.
pub const LONG: u64 = 4 << 20;

/// Receives what a scan finds, in order of offset and without holes.
pub trait Sink {
    /// Intact records, back to back. Their bytes can be had from `reader` at no cost while they are in its window.
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>);
    /// Bytes of the format that are no records.
    fn framing(&mut self, from: u64, to: u64, reader: &mut Reader<'_>);
    /// A damaged place, a recovered record, or the tail.
    fn damage(&mut self, recovery: &Recovery, reader: &mut Reader<'_>);
    /// Whether the sink has enough; the rest of the file is then left unread.
    fn done(&self) -> bool {
        false
    }
}

/// Reads one file from `start` to its end.
pub fn scan(reader: &mut Reader<'_>, decoder: &mut dyn Decoder, start: u64, sink: &mut dyn Sink) {
    let mut at = start;
    let mut want = 1usize;
    let mut batch: Vec<Record> = Vec::with_capacity(BATCH + 1);
    while !sink.done() {
        let began = at;
        let window = reader.forward(at, want);
        let stop = decoder.fill(window, &mut at, &mut batch);
        // The last records are held back: in a format without checksum the fault behind them may turn out to be theirs.
        let held = if stop == Stop::End { 0 } else { HELD.min(batch.len()) };
        let settled = batch.len() - held;
        sink.records(&batch[..settled], reader);
        batch.drain(..settled);
        let asked = if at == began { want as u64 } else { 0 };
        want = 1;
        match stop {
            Stop::Full => {}
            Stop::End => return,
            Stop::Framing(to) => {
                sink.records(&batch, reader);
                batch.clear();
                let to = to.clamp(at, reader.end());
                sink.framing(at, to, reader);
                at = to;
            }
            // `asked` guards against a decoder that wants what it already has.
            Stop::Fault(Fault { cause: Cause::Short { need }, .. })
                if need <= reader.end() && need - at > asked =>
            {
                if need - at <= LONG.max(reader.chunk() as u64) {
                    want = (need - at) as usize;
                } else {
                    match decoder.long(reader, at) {
                        Ok(record) => {
                            at = record.end();
                            batch.push(record);
                        }
                        Err(fault) => at = give_up(reader, decoder, at, fault, &mut batch, sink),
                    }
                }
            }
            Stop::Fault(fault) => at = give_up(reader, decoder, at, fault, &mut batch, sink),
        }
    }
}

/// Hands the damage at `at` to the sink and says where to go on.
fn give_up(
    reader: &mut Reader<'_>,
    decoder: &mut dyn Decoder,
    at: u64,
    fault: Fault,
    held: &mut Vec<Record>,
    sink: &mut dyn Sink,
) -> u64 {
    let mut recovery = decoder.recover(reader, Fault { at, ..fault });
    debug_assert!(recovery.from <= at && recovery.resume > recovery.from);
    match held.iter().rposition(|r| r.at == recovery.from) {
        Some(first) => held.truncate(first),
        None => recovery.from = at,
    }
    recovery.resume = recovery.resume.clamp(recovery.from + 1, reader.end().max(recovery.from + 1));
    sink.records(held, reader);
    held.clear();
    sink.damage(&recovery, reader);
    recovery.resume
}
