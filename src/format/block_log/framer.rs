//! Writes records of a log anew, at other places: in fragments that end where blocks do, with their headers of the same kind,
//! compressed if they were.

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::assemble::{Grid, PACKED_MOST};
use super::batch::gap;
use super::directory::number_of;
use super::fragment::{BLOCK, Fragment, HEADER, Part, RECYCLABLE, fragment, put};
use super::inflate;
use super::unpack::Unpacker;
use super::{Facts, KIND_PACKED};
use crate::format::{Framer, LogFile, Unpack};
use crate::log::bytes::{Reader, Window};
use crate::log::record::Record;

/// Type and contents of the fragment that says that records are compressed by zstd.
const COMPRESSION: u8 = 9;
const ZSTD: [u8; 4] = inflate::ZSTD.to_le_bytes();
/// Types of the fragments that tell the size of the log before, which may be another one now.
const PREDECESSOR: std::ops::RangeInclusive<u8> = 130..=131;

/// See [`Framer`].
pub struct Frames<'a> {
    facts: Facts,
    unpack: Unpacker<'a>,
    reader: Reader<'a>,
    /// Whether the records of the new file are compressed, all or none: it is said in front of the first.
    packed: Option<bool>,
}

impl<'a> Frames<'a> {
    /// For the records of a file.
    pub fn new(facts: Facts, file: &LogFile<'a>) -> Self {
        let (unpack, reader) = (Unpacker::new(facts, file.src), Reader::new(file.src));
        // What is written is to go with the name.
        let named = number_of(file).map(|log| log as u32).filter(|_| facts.number.is_some());
        let facts = Facts { number: named.or(facts.number), ..facts };
        Frames { facts, unpack, reader, packed: None }
    }

    fn header(&self) -> u64 {
        if self.log().is_some() { RECYCLABLE } else { HEADER }
    }

    /// The number in each header.
    fn log(&self) -> Option<u32> {
        self.facts.number.filter(|_| self.facts.recycled)
    }

    /// Appends a record in fragments, compressed where those of the new file are, which is `at` bytes long before.
    fn fragments(&self, contents: &[u8], at: u64, out: &mut Vec<u8>) {
        match self.packed {
            Some(true) => self.packed_fragments(&packed(contents), at, out),
            _ => put_fragments(contents, self.log(), u64::MAX, at, out),
        }
    }

    /// The same for what is compressed already.
    fn packed_fragments(&self, payload: &[u8], at: u64, out: &mut Vec<u8>) {
        put_fragments(payload, self.log(), PACKED_MOST, at, out);
    }

    /// Whether records are compressed, decided by the first, if nothing said it before; and appends the fragment that says so.
    fn announce(&mut self, first: bool, at: u64, out: &mut Vec<u8>) -> bool {
        if first && self.packed.is_none() {
            put_whole(COMPRESSION, None, &ZSTD, at, out);
        }
        *self.packed.get_or_insert(first)
    }
}

/// Contents as a compressed log holds them.
fn packed(contents: &[u8]) -> Vec<u8> {
    compress_to_vec(contents, CompressionLevel::Fastest)
}

/// Appends a fragment of a kind that is never cut to a file that is `at` bytes long.
fn put_whole(kind: u8, log: Option<u32>, payload: &[u8], at: u64, out: &mut Vec<u8>) {
    let header = if log.is_some() { RECYCLABLE } else { HEADER };
    let left = Grid::at(0).left(at);
    if left < header + payload.len() as u64 {
        out.resize(out.len() + left as usize, 0);
    }
    put(kind, log, payload, out);
}

/// Appends a record in fragments to a file that is `at` bytes long before. `log`: the number in their headers, if they are to be
/// recyclable.
pub fn put_record(payload: &[u8], log: Option<u32>, at: u64, out: &mut Vec<u8>) {
    put_fragments(payload, log, u64::MAX, at, out);
}

/// The same in fragments with no more than `most` bytes.
fn put_fragments(payload: &[u8], log: Option<u32>, most: u64, at: u64, out: &mut Vec<u8>) {
    let (header, base) = if log.is_some() { (RECYCLABLE, 4) } else { (HEADER, 0) };
    let (mut rest, mut begun, start) = (payload, false, out.len() as u64);
    loop {
        let left = Grid::at(0).left(at + out.len() as u64 - start);
        if left < header {
            out.resize(out.len() + left as usize, 0);
            continue;
        }
        let (now, later) = rest.split_at(rest.len().min((left - header).min(most) as usize));
        let kind = match (begun, later.is_empty()) {
            (false, true) => 1,
            (false, false) => 2,
            (true, false) => 3,
            (true, true) => 4,
        };
        put(base + kind, log, now, out);
        (rest, begun) = (later, true);
        if rest.is_empty() {
            return;
        }
    }
}

impl Framer for Frames<'_> {
    fn keeps(&mut self, record: &Record, bytes: &[u8], to: u64) -> bool {
        let packed = record.kind == KIND_PACKED;
        let keeps = self.packed.unwrap_or(false) == packed && self.fits(record, bytes, to);
        if keeps {
            self.packed = Some(packed);
        }
        keeps
    }

    fn record(&mut self, record: &Record, contents: Option<&[u8]>, at: u64, out: &mut Vec<u8>) {
        let stored = record.kind == KIND_PACKED;
        let start = out.len() as u64;
        let packed = self.announce(stored, at, out);
        let at = at + out.len() as u64 - start;
        match contents {
            Some(contents) => self.fragments(contents, at, out),
            None if packed && stored => {
                let payload = self.unpack.payload(record).to_vec();
                self.packed_fragments(&payload, at, out);
            }
            None => {
                let contents = self.unpack.contents(record, &[]).to_vec();
                self.fragments(&contents, at, out);
            }
        }
    }

    fn framing(&mut self, span: std::ops::Range<u64>, at: u64, out: &mut Vec<u8>) {
        let (mut from, grid, start) = (span.start, Grid::at(0), out.len() as u64);
        while from < span.end {
            let Ok(found) = fragment(&mut self.reader, from, grid.left(from)) else {
                from += grid.left(from);
                continue;
            };
            from = found.payload.end;
            let told =
                matches!(found.part, Part::Aside | Part::Ignorable) && !PREDECESSOR.contains(&found.kind);
            if told
                && let Ok(payload) = self.payload_of(&found)
                && (found.kind != COMPRESSION || self.takes_compression(&payload))
            {
                put_whole(found.kind, found.log, &payload, at + out.len() as u64 - start, out);
            }
        }
    }

    fn gap(&mut self, first: u64, last: u64, next: Option<&Record>, at: u64, out: &mut Vec<u8>) {
        let start = out.len() as u64;
        self.announce(next.is_some_and(|next| next.kind == KIND_PACKED), at, out);
        for batch in gap(self.facts.flavour, first, last.saturating_add(1)) {
            self.fragments(&batch, at + out.len() as u64 - start, out);
        }
    }
}

impl Frames<'_> {
    /// Whether the bytes of a record can be copied, as far as its fragments go.
    fn fits(&self, record: &Record, bytes: &[u8], to: u64) -> bool {
        let header = self.header();
        if (bytes.len() as u64) < record.len {
            return (to % BLOCK) == (record.at % BLOCK);
        }
        let mut window = Window { bytes, base: to, end: to + bytes.len() as u64 };
        let (mut at, grid) = (to, Grid::at(0));
        // Where a compressed record is cut goes with its place.
        let moved = record.kind == KIND_PACKED && to % BLOCK != record.at % BLOCK;
        while at < window.end {
            let left = grid.left(at);
            if left < header {
                // Only the zeros that fill the block may be left.
                let fill = &bytes[(at - to) as usize..];
                return fill.len() as u64 <= left && fill.iter().all(|&byte| byte == 0);
            }
            let Ok(found) = fragment(&mut window, at, left) else { return false };
            let cut = matches!(found.part, Part::First | Part::Middle);
            at = found.payload.end;
            let misplaced = if record.kind == KIND_PACKED { moved } else { grid.left(at) != BLOCK };
            if found.log != self.log() || cut && misplaced {
                return false;
            }
        }
        true
    }

    /// Whether what a file says of the compression of its records still holds for the new one; once, in front of all.
    fn takes_compression(&mut self, payload: &[u8]) -> bool {
        if self.packed.is_some() || payload != ZSTD {
            return false;
        }
        self.packed = Some(true);
        true
    }

    fn payload_of(&mut self, fragment: &Fragment) -> Result<Vec<u8>, crate::log::fault::Fault> {
        let mut payload = Vec::new();
        crate::log::bytes::Bytes::copy(&mut self.reader, fragment.payload.clone(), &mut payload)?;
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::block_log::{Content, Flavour, KIND_PLAIN};
    use crate::format::{Claim, Role};
    use crate::log::record::Mark;
    use crate::log::scan::scan;

    static NOTHING: &[u8] = b"";

    fn frames(log: Option<u32>) -> Frames<'static> {
        let claim = Claim { role: Role::Log, order: 1, exact: true, read: true };
        let file = LogFile { name: "000001.log", claim, src: &NOTHING, memo: None, stream: false };
        let facts = Facts {
            flavour: Flavour::RocksDb,
            content: Content::Batches,
            number: log,
            recycled: log.is_some(),
        };
        Frames::new(facts, &file)
    }

    /// Batches of every size around the ends of blocks come back whole.
    #[test]
    fn what_is_framed_is_read() {
        for log in [None, Some(7)] {
            let (frames, mut out, mut lens) = (frames(log), Vec::new(), Vec::new());
            for i in 0..200u64 {
                let len = (i * 7919 % 70_000) as u32;
                let mut batch = (i + 1).to_le_bytes().to_vec();
                batch.extend_from_slice(&1u32.to_le_bytes());
                batch.extend_from_slice(&[1, 1, b'k']);
                crate::codec::varint::put(len, &mut batch);
                batch.resize(batch.len() + len as usize, b'v');
                lens.push(batch.len());
                let at = out.len() as u64;
                frames.fragments(&batch, at, &mut out);
            }
            let mut found = Found(Vec::new());
            let mut decoder = super::super::decoder::BlockDecoder::new(frames.facts);
            let src = &out[..];
            scan(&mut Reader::new(&src), &mut decoder, 0, &mut found);
            let seqs: Vec<u64> = found.0.iter().map(|r| r.seq).collect();
            assert_eq!(seqs, (1..=200).collect::<Vec<u64>>());
        }
    }

    /// Kinds of the fragments in a block, and whether what they hold is compressed.
    fn told(bytes: &[u8]) -> Vec<(u8, bool)> {
        let (mut window, mut at, mut told) =
            (Window { bytes, base: 0, end: bytes.len() as u64 }, 0, Vec::new());
        while at < window.end {
            let found = fragment(&mut window, at, BLOCK - at).expect("a fragment");
            let payload = &bytes[found.payload.start as usize..found.payload.end as usize];
            told.push((found.kind, payload.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])));
            at = found.payload.end;
        }
        told
    }

    /// That records are compressed is said once, in front of the first, whatever it stands behind; all are then, or none.
    #[test]
    fn records_are_compressed_all_or_none() {
        const BATCH: [u8; 15] = [9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, b'k'];
        let record = |kind| Record { at: 0, len: 0, seq: 9, next: 10, txn: 0, kind, mark: Mark::Data };
        let (plain, zstd) = (record(KIND_PLAIN), record(KIND_PACKED));
        let add = |frames: &mut Frames<'_>, next: &Record, out: &mut Vec<u8>| {
            frames.record(next, Some(&BATCH), out.len() as u64, out);
        };
        // A gap is stated in front.
        let (mut frames_of, mut out) = (frames(None), Vec::new());
        frames_of.gap(1, 8, Some(&zstd), 0, &mut out);
        add(&mut frames_of, &zstd, &mut out);
        add(&mut frames_of, &plain, &mut out);
        assert_eq!(told(&out), [(9, false), (1, true), (1, true), (1, true), (1, true)]);
        // Another fragment stands in front.
        let (mut frames_of, mut out) = (frames(None), Vec::new());
        put_whole(10, None, &[0; 6], 0, &mut out);
        add(&mut frames_of, &zstd, &mut out);
        add(&mut frames_of, &zstd, &mut out);
        assert_eq!(told(&out), [(10, false), (9, false), (1, true), (1, true)]);
        // Too late to say so.
        let (mut frames_of, mut out) = (frames(None), Vec::new());
        frames_of.gap(1, 8, Some(&plain), 0, &mut out);
        add(&mut frames_of, &plain, &mut out);
        add(&mut frames_of, &zstd, &mut out);
        assert_eq!(told(&out), [(1, false); 4]);
        assert!(!frames_of.takes_compression(&ZSTD));
    }

    struct Found(Vec<Record>);

    impl crate::log::scan::Sink for Found {
        fn records(&mut self, batch: &[Record], _: &mut Reader<'_>) {
            self.0.extend_from_slice(batch);
        }
        fn framing(&mut self, from: u64, to: u64, _: &mut Reader<'_>) {
            panic!("framing {from}..{to}");
        }
        fn damage(&mut self, recovery: &crate::log::decoder::Recovery, _: &mut Reader<'_>) {
            panic!("damage {recovery:?}");
        }
    }
}
