//! The reader of the engines: a block at a time, and where anything is wrong with a fragment what is left of its block is
//! dropped. It looks for nothing. Upstream: `db/log_reader.cc` of both.
//!
//! Its results have numbers behind those of the record types, so a fragment of such a type stands for a result: what RocksDB
//! 7.8.3 makes of type 10 is the end of the file.

use std::ops::Range;

use super::super::assemble::{Grid, filled};
use super::super::fragment::{BLOCK, HEADER, RECYCLABLE};
use super::super::inflate;
use super::stream::Stream;
use super::ways::Ways;
use super::{Mode, Refusal, Settings, Version};
use crate::codec::crc32c;
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::fault::Fault;

/// A record that is longer is not followed: the engine's own cannot be.
const LIMIT: u64 = 1 << 30;

/// What comes next in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record; its contents are in [`LogReader::record`].
    Record,
    /// The end, as far as the engine can see.
    End,
    /// The engine does not get that far.
    Stuck(Refusal),
}

/// What stands at a place, to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Fragment(u8),
    /// A fragment of a type that it does not know.
    Unknown(u8),
    Eof,
    Bad,
    BadHeader,
    Old,
    BadLength,
    BadSum,
    /// It is met again and again.
    Endless(&'static str),
}

/// The logs that a log says came before it, with their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its number.
    pub log: u64,
    /// Its bytes.
    pub size: u64,
    /// Number of its last batch.
    pub sequence: u64,
}

/// Whether and against what predecessors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// The log before, if one was read.
    pub before: Option<Predecessor>,
    /// Number of the oldest log that is read.
    pub oldest: u64,
}

/// Reads one log.
pub struct LogReader<'a> {
    ways: Ways,
    bytes: Reader<'a>,
    log: Option<u32>,
    tracking: Option<Tracking>,
    /// Where it is, and where the block in memory ends.
    at: u64,
    end: u64,
    eof: bool,
    recycled: bool,
    first_read: bool,
    /// A compression type was told; what decompresses, if it is zstd.
    told: bool,
    stream: Option<Stream>,
    timestamped: Vec<u32>,
    /// Payload of the fragment at hand, and where its header stands.
    payload: Range<u64>,
    header_at: u64,
    /// The record so far; of a compressed one where it begins in the stream, and the fragment at hand.
    scratch: Vec<u8>,
    begin: u64,
    piece: u64,
    /// Bytes that went into its checksum of the contents; parts of a record given up are among them.
    summed: u64,
    /// Contents of the record.
    pub record: Vec<u8>,
    /// Where it begins and, with the zeros that fill its block, ends.
    pub span: Range<u64>,
    /// Its contents were compressed.
    pub packed: bool,
    /// The checksum over its contents does not hold, as it is over more than that.
    pub spoiled: bool,
    /// The first damage met, and the log at fault where that is another one.
    pub reported: Option<(String, Option<u64>)>,
    /// A record inflates to more than is followed.
    pub inflates_too_much: bool,
    /// It ended at an older record, which a later log may go on from.
    pub met_old: bool,
    /// It met a fragment that only later versions write.
    pub unheard_of: bool,
}

impl<'a> LogReader<'a> {
    /// At the start of a log. `log`: its number, which headers have to agree with.
    pub fn new(ways: Ways, src: &'a dyn ReadAt, log: Option<u32>, tracking: Option<Tracking>) -> Self {
        LogReader {
            ways,
            bytes: Reader::new(src),
            log,
            tracking,
            at: 0,
            end: 0,
            eof: false,
            recycled: false,
            first_read: false,
            told: false,
            stream: None,
            timestamped: Vec::new(),
            payload: 0..0,
            header_at: 0,
            scratch: Vec::new(),
            begin: 0,
            piece: 0,
            summed: 0,
            record: Vec::new(),
            span: 0..0,
            packed: false,
            spoiled: false,
            reported: None,
            inflates_too_much: false,
            met_old: false,
            unheard_of: false,
        }
    }

    /// Notes damage, if anybody wants to know.
    pub fn report(&mut self, what: impl Into<String>) {
        if self.reported.is_none() && self.ways.ask(|settings| settings.listens) {
            self.reported = Some((what.into(), None));
        }
    }

    fn is(&self, version: Version) -> bool {
        self.ways.is(version)
    }

    fn skips_any(&self) -> bool {
        self.ways.ask(|settings| settings.mode == Mode::SkipAny)
    }

    /// The next record.
    pub fn next(&mut self) -> Next {
        if let Some(stream) = &mut self.stream {
            stream.reset();
        }
        self.clear();
        (self.summed, self.spoiled) = (0, false);
        let (mut begun, mut first) = (false, 0);
        loop {
            let piece = match self.physical() {
                Ok(piece) => piece,
                Err(_) => return Next::Stuck(Refusal::Io("bytes of the log cannot be read".into())),
            };
            if self.is_too_long() {
                return Next::Stuck(Refusal::Io("a record that is too long is not followed".into()));
            }
            match piece {
                Piece::Fragment(1 | 5) => {
                    self.abandon(begun, "partial record without end(1)");
                    return self.whole(self.header_at, true);
                }
                Piece::Fragment(2 | 6) => {
                    if self.abandon(begun, "partial record without end(2)") {
                        self.summed = 0;
                    }
                    (begun, first) = (true, self.header_at);
                    self.restart();
                    self.gather();
                }
                Piece::Fragment(kind @ (3 | 4 | 7 | 8)) if !begun => {
                    let nth = if matches!(kind, 3 | 7) { 1 } else { 2 };
                    self.report(format!("missing start of fragmented record({nth})"));
                }
                Piece::Fragment(kind @ (3 | 4 | 7 | 8)) => {
                    self.gather();
                    if matches!(kind, 4 | 8) {
                        return self.whole(first, false);
                    }
                }
                Piece::Fragment(9) => self.set_compression(),
                Piece::Fragment(10 | 11) => self.set_timestamps(begun),
                Piece::Fragment(130 | 131) => self.compare_predecessor(),
                Piece::Fragment(kind) | Piece::Unknown(kind) => {
                    self.unknown(kind);
                    begun = false;
                    self.clear();
                }
                Piece::Bad => begun = self.give_up(begun),
                Piece::Old if self.skips_any() => begun = self.give_up(begun),
                Piece::BadSum | Piece::BadLength => match self.damaged(piece) {
                    Some(next) => return next,
                    None => begun = self.give_up(begun),
                },
                Piece::Eof | Piece::BadHeader | Piece::Old => return self.ended(piece, begun),
                Piece::Endless(why) => return Next::Stuck(Refusal::Hangs(why)),
            }
        }
    }

    /// A record without an end is left behind; whether there was anything of one.
    fn abandon(&mut self, begun: bool, why: &str) -> bool {
        let left = begun && self.gathered() > 0;
        if left {
            self.report(why);
        }
        left
    }

    /// A record is given up in its middle.
    fn give_up(&mut self, begun: bool) -> bool {
        if begun {
            self.report("error in middle of record");
            self.clear();
        }
        false
    }

    /// Bytes of the record so far.
    fn gathered(&self) -> u64 {
        match &self.stream {
            Some(stream) => stream.len().saturating_sub(self.begin),
            None => self.scratch.len() as u64,
        }
    }

    /// What there is of a record is no part of the next one.
    fn clear(&mut self) {
        self.scratch.clear();
        self.begin = self.stream.as_ref().map_or(0, Stream::len);
    }

    /// A record begins with the fragment at hand.
    fn restart(&mut self) {
        self.scratch.clear();
        self.begin = self.piece;
    }

    fn gather(&mut self) {
        if let Some(stream) = &self.stream {
            self.summed += stream.len().saturating_sub(self.piece);
        } else if let Ok(piece) = self.bytes.piece(self.payload.clone()) {
            self.scratch.extend_from_slice(piece);
            self.summed += piece.len() as u64;
        }
    }

    fn is_too_long(&self) -> bool {
        self.scratch.len() as u64 > LIMIT
            || self.stream.as_ref().is_some_and(|stream| stream.len() > inflate::LIMIT)
    }

    /// The record that ends with the fragment at hand.
    fn whole(&mut self, first: u64, alone: bool) -> Next {
        if alone {
            self.restart();
            self.summed = 0;
            self.gather();
        }
        self.spoiled = self.summed != self.gathered();
        self.packed = self.stream.is_some();
        self.record.clear();
        match &mut self.stream {
            Some(stream) => self.record.extend_from_slice(stream.contents(self.begin)),
            None => std::mem::swap(&mut self.record, &mut self.scratch),
        }
        let (end, header) = (self.payload.end, self.payload.start - self.header_at);
        self.span = first..filled(&mut self.bytes, end, header, Some(Grid::at(0))).unwrap_or(end);
        self.first_read = true;
        Next::Record
    }

    /// Decompresses the fragment at hand; whether the stream can go on with it.
    fn unpack(&mut self) -> Result<bool, Fault> {
        let Some(stream) = &mut self.stream else { return Ok(true) };
        self.piece = stream.len();
        if self.payload.is_empty() {
            return Ok(true);
        }
        let source = self.payload.start % BLOCK;
        if stream.is_at(source) && !self.ways.is(Version::Rocks9) {
            return Ok(stream.starve().is_ok());
        }
        let fed = stream.feed(self.bytes.piece(self.payload.clone())?, source);
        self.inflates_too_much |= stream.is_full();
        Ok(fed.is_ok())
    }

    /// Whether a fragment of this type is as it stands, in compressed logs, too.
    fn is_never_packed(&self, kind: u8) -> bool {
        match kind {
            9 => true,
            10 | 11 => self.is(Version::Rocks9),
            130 | 131 => self.is(Version::Rocks10),
            _ => false,
        }
    }

    /// The checksum or the length is wrong; `None`: it goes on behind the block.
    fn damaged(&mut self, piece: Piece) -> Option<Next> {
        if piece == Piece::BadLength && self.eof {
            if self.ways.ask(Settings::wants_whole_tails) {
                self.report("truncated record body");
            }
            return Some(Next::End);
        }
        if self.recycled && self.ways.ask(|settings| settings.mode == Mode::TolerateTail) {
            return Some(Next::End);
        }
        let length = piece == Piece::BadLength;
        self.report(if length { "bad record length" } else { "checksum mismatch" });
        None
    }

    /// The end of the log.
    fn ended(&mut self, piece: Piece, begun: bool) -> Next {
        let cut = begun || piece == Piece::BadHeader;
        let strict = cut && self.ways.ask(Settings::wants_whole_tails);
        if piece == Piece::BadHeader && strict {
            self.report("truncated header");
        }
        if begun && strict {
            self.report(match (self.is(Version::Rocks9), piece) {
                (false, _) => "error reading trailing data",
                (true, Piece::Old) => "error reading trailing data due to encountering old record",
                (true, _) => "error reading trailing data due to encountering EOF",
            });
        }
        let tells =
            |settings: &Settings| settings.version >= Version::Rocks9 && settings.mode == Mode::PointInTime;
        self.met_old |= piece == Piece::Old && !begun && self.ways.ask(tells);
        Next::End
    }

    fn unknown(&mut self, kind: u8) {
        if kind & 0x80 != 0 && self.is(Version::Rocks10) {
            return;
        }
        // Older versions read the type as a signed number.
        let shown = if self.is(Version::Rocks10) { u32::from(kind) } else { kind as i8 as u32 };
        self.report(format!("unknown record type {shown}"));
    }

    fn set_compression(&mut self) {
        if self.told {
            self.report("read multiple SetCompressionType records");
        }
        if self.first_read {
            self.report("SetCompressionType not the first record");
        }
        let kind = self.bytes.piece(self.payload.clone()).ok().and_then(|p| p.first_chunk::<4>().copied());
        match kind.map(u32::from_le_bytes) {
            Some(kind @ (0 | inflate::ZSTD)) => {
                self.told = true;
                self.stream = (kind == inflate::ZSTD).then(|| Stream::new(self.bytes.end()));
            }
            _ => self.report("could not decode SetCompressionType record"),
        }
        self.clear();
    }

    fn set_timestamps(&mut self, begun: bool) {
        self.abandon(begun, "user-defined timestamp size record interspersed partial record");
        self.clear();
        let payload = self.bytes.piece(self.payload.clone()).map(<[u8]>::to_vec).unwrap_or_default();
        if !payload.len().is_multiple_of(6) {
            self.report("could not decode user-defined timestamp size record");
            return;
        }
        for pair in payload.chunks_exact(6) {
            let family = pair.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
            if pair.ends_with(&[0, 0]) {
                return self.report("User-defined timestamp size record contains zero timestamp size.");
            }
            if self.timestamped.contains(&family) {
                return self
                    .report("User-defined timestamp size record contains update to recorded column family.");
            }
            self.timestamped.push(family);
        }
    }

    fn compare_predecessor(&mut self) {
        self.clear();
        let payload = self.bytes.piece(self.payload.clone()).map(<[u8]>::to_vec).unwrap_or_default();
        let number = |nth: usize| Some(u64::from_le_bytes(*payload.get(nth * 8..)?.first_chunk()?));
        let (Some(log), Some(size), Some(sequence)) = (number(0), number(1), number(2)) else {
            return self.report("could not decode PredecessorWALInfoType record");
        };
        let Some(tracking) = self.tracking else { return };
        let what = match tracking.before {
            None if log < tracking.oldest => return,
            None => format!("Missing WAL of log number {log}"),
            Some(before) if before.log != log => format!("Missing WAL of log number {log}"),
            Some(before) if before.sequence != sequence => format!(
                "Mismatched last sequence number recorded in the WAL of log number {log}. Recorded {sequence}. \
                 Observed {}. (Last sequence number equal to 0 indicates no WAL records)",
                before.sequence
            ),
            Some(before) if before.size != size => format!(
                "Mismatched size of the WAL of log number {log}. Recorded {size} bytes. Observed {} bytes.",
                before.size
            ),
            Some(_) => return,
        };
        let new = self.reported.is_none();
        self.report(what);
        if let Some(reported) = self.reported.as_mut().filter(|_| new) {
            reported.1 = Some(log);
        }
    }

    /// Bytes left of the block in memory.
    fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The next block; `None`: there is one.
    fn more(&mut self) -> Option<Piece> {
        if !self.eof {
            self.at = self.end;
            let len = BLOCK.min(self.bytes.end() - self.end);
            self.end += len;
            self.eof = len < BLOCK;
            self.bytes.forward(self.at, 1);
            return None;
        }
        let left = self.left();
        self.at = self.end;
        Some(if left > 0 && self.is(Version::Rocks7) { Piece::BadHeader } else { Piece::Eof })
    }

    /// What stands here.
    fn physical(&mut self) -> Result<Piece, Fault> {
        loop {
            if self.left() < HEADER {
                match self.more() {
                    Some(end) => return Ok(end),
                    None => continue,
                }
            }
            let [_, _, _, _, low, high, kind] = self.bytes.array::<{ HEADER as usize }>(self.at)?;
            let len = u64::from(u16::from_le_bytes([low, high]));
            let recyclable = self.is_recyclable(kind);
            if recyclable {
                if self.first_read && !self.recycled && self.is(Version::Rocks9) {
                    return Ok(Piece::Endless(
                        "a record of a recycled log in one that is not; the reader never gets past it",
                    ));
                }
                self.recycled = self.recycled || self.at == 0 || self.is(Version::Rocks9);
                if self.left() < RECYCLABLE {
                    match self.more() {
                        Some(end) => return Ok(end),
                        None => continue,
                    }
                }
            }
            return self.fragment(kind, len, recyclable);
        }
    }

    fn is_recyclable(&self, kind: u8) -> bool {
        match kind {
            5..=8 => self.is(Version::Rocks7),
            11 => self.is(Version::Rocks9),
            131 => self.is(Version::Rocks10),
            _ => false,
        }
    }

    /// The fragment whose header stands here.
    fn fragment(&mut self, kind: u8, len: u64, recyclable: bool) -> Result<Piece, Fault> {
        let header = if recyclable { RECYCLABLE } else { HEADER };
        let old = recyclable && self.is_old()?;
        if old && !self.is(Version::Rocks9) {
            return Ok(match self.skips_any() {
                true => Piece::Endless("a record of an older log, or of none; the reader never gets past it"),
                false => Piece::Old,
            });
        }
        let (at, end) = (self.at, self.at + header + len);
        if end > self.end {
            self.at = self.end;
            return Ok(match self.is(Version::Rocks7) {
                true => Piece::BadLength,
                false if self.eof => Piece::Eof,
                false => {
                    self.report("bad record length");
                    Piece::Bad
                }
            });
        }
        if old {
            self.at = end;
            return Ok(Piece::Old);
        }
        if kind == 0 && len == 0 {
            self.at = self.end;
            return Ok(Piece::Bad);
        }
        let stored = u32::from_le_bytes(self.bytes.array(at)?);
        if crc32c::masked(self.bytes.piece(at + 6..end)?, &[]) != stored {
            self.at = self.end;
            if self.is(Version::Rocks7) {
                return Ok(Piece::BadSum);
            }
            self.report("checksum mismatch");
            return Ok(Piece::Bad);
        }
        self.at = end;
        (self.header_at, self.payload) = (at, at + header..end);
        self.unheard_of |= matches!(kind, 10 | 11);
        if self.stream.is_some() && !self.is_never_packed(kind) && !self.unpack()? {
            self.at = self.end;
            return Ok(Piece::Bad);
        }
        Ok(match kind {
            1..=4 => Piece::Fragment(kind),
            _ => self.ways.ask(|settings| result(settings.version, kind)),
        })
    }

    /// Whether the header here names another log.
    fn is_old(&mut self) -> Result<bool, Fault> {
        let named = u32::from_le_bytes(self.bytes.array(self.at + HEADER)?);
        Ok(self.log.is_some_and(|own| own != named))
    }
}

/// See the top of this file.
fn result(version: Version, kind: u8) -> Piece {
    let known = match version {
        Version::LevelDb => 4,
        Version::Rocks7 => 9,
        Version::Rocks9 => 11,
        Version::Rocks10 => 131,
    };
    match kind.saturating_sub(known) {
        0 if kind == 0 || matches!(kind, 12..130) => Piece::Unknown(kind),
        0 => Piece::Fragment(kind),
        1 => Piece::Eof,
        2 => Piece::Bad,
        3.. if version < Version::Rocks7 => Piece::Unknown(kind),
        3 => Piece::BadHeader,
        4 => Piece::Old,
        5 => Piece::BadLength,
        6 => Piece::BadSum,
        _ => Piece::Unknown(kind),
    }
}
