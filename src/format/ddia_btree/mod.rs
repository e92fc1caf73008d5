//! `ddia-btree`: the B-tree, `btree.dat` of fixed pages ([`page`]) and `btree.wal` with the images of one operation.
//!
//! ```text
//! seq u32 | page u32 | data_len u32 | data | checksum u32                                          big-endian
//! ```
//! An entry is valid when 1. data_len is the page size, or more where the page is overfull and needs all of it, 2. the
//! checksum is the byte sum (r1) or the CRC-32 (r2, r3) of data, 3. data parses as a page, 4. seq runs 1, 2, 3, .. from
//! the last commit on, 5. page is the number that the tree gives to such contents ([`group`]). seq, page and data_len are
//! outside the checksum. Sixteen zero bytes fit the checksum rule of every revision and are a hole all the same.
//! Commit: r1 the four bytes `CMIT`, r2 nothing, r3 an entry of page 0xFFFFFFFF without data. The engine truncates the
//! WAL when it opens, whatever it made of it; see [`engine`].

use self::facts::{Facts, Sample};
use crate::format::chain::{Budget, Chain, Framing, Lane};
use crate::format::{
    Anew, Claim, DDIA_COMMITS, Entry, Format, Job, LogFile, Opened, Outcome, Profile, Recovered, Remark,
    Revision, Role, Store, Take,
};
use crate::log::bytes::{Bytes, Reader, Window};
use crate::log::decoder::{Decoder, Recovery, Stop};
use crate::log::fault::{Cause, Fault};
use crate::log::finding::Code;
use crate::log::layout::{Checksum, Layout, Sum, bytes, uint};
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, Mark, Record, Trust};
use crate::log::survey::{Grouping, Rules, Survey};

pub mod encode;
mod engine;
mod facts;
mod group;
mod inspect;
mod opened;
pub mod page;
mod pages;
mod recover;
pub mod salvage;
mod tree;
mod view;

pub(crate) use pages::{Bits, size_of as page_size};

#[cfg(test)]
mod tests;

/// The fields of a WAL entry of r2 and r3.
pub const LAYOUT: Layout = Layout {
    big_endian: true,
    fields: &[
        uint("seq", 4),
        uint("page", 4),
        uint("data_len", 4),
        bytes("data", "data_len"),
        uint("checksum", 4),
    ],
    checksum: Some(Checksum { field: "checksum", over: &["data"], sum: Sum::Crc32 }),
};

/// The same in r1.
pub const LAYOUT_R1: Layout =
    Layout { checksum: Some(Checksum { field: "checksum", over: &["data"], sum: Sum::Bytes }), ..LAYOUT };

/// The fields at the start of a leaf, an internal and a free page; the metadata page has others.
pub const PAGE_LAYOUT: Layout =
    Layout { big_endian: true, fields: &[uint("type", 1), uint("keys", 2), uint("link", 4)], checksum: None };

const PAGE: u64 = LAYOUT.offset("page");
const DATA_LEN: u64 = LAYOUT.offset("data_len");
/// The file of the pages.
pub const PAGES: &str = "btree.dat";
const DATA: u64 = LAYOUT.offset("data");
/// Length of an entry without data.
pub(crate) const FIXED: u64 = LAYOUT.fixed();
const _: () = assert!(FIXED == 16 && DATA == 12);

/// Page number of a commit entry (r3).
pub(crate) const COMMIT: u32 = u32::MAX;
/// Commit mark of r1.
const MARK: &[u8; 4] = b"CMIT";
/// Record kinds of the WAL.
const KIND_PAGE: u8 = 0;
const KIND_COMMIT: u8 = 1;
/// No image is longer: the page size times the most keys that a page of it has by default stays below.
const MAX_IMAGE: u64 = 64 << 20;
/// No operation logs so many pages, and behind each seq begins at 1 again: the search behind damage, and torn heads, are
/// measured by it.
pub(crate) const MAX_SEQ: u32 = 1 << 16;

/// The checksum of an image: the byte sum of r1, blind to swapped bytes, or the CRC-32 of r2 and r3.
fn sum_of<B: Bytes>(sum: Sum, b: &mut B, span: std::ops::Range<u64>) -> Result<u32, Fault> {
    match sum {
        Sum::Bytes => b.sum32(span),
        _ => b.crc32(0, span),
    }
}

/// Frames entries of a `.wal` file.
#[derive(Clone, Copy)]
struct EntryFraming {
    size: Option<u64>,
    checksum: Sum,
}

/// The numbers of an entry's head.
#[derive(Clone, Copy)]
struct Head {
    seq: u32,
    page: u32,
    len: u32,
}

fn head<B: Bytes>(b: &mut B, at: u64) -> Result<Head, Fault> {
    let h: [u8; DATA as usize] = b.array(at)?;
    let word = |from: u64| u32::from_be_bytes(*h[from as usize..].first_chunk().expect("inside the head"));
    Ok(Head { seq: word(0), page: word(PAGE), len: word(DATA_LEN) })
}

fn stored<B: Bytes>(b: &mut B, at: u64, len: u64) -> Result<u32, Fault> {
    Ok(u32::from_be_bytes(b.array(at + DATA + len)?))
}

fn record(at: u64, head: Head, len: u64) -> Record {
    let (kind, mark) =
        if head.page == COMMIT { (KIND_COMMIT, Mark::Commit) } else { (KIND_PAGE, Mark::Data) };
    let seq = u64::from(head.seq);
    Record { at, len: FIXED + len, seq, next: seq + 1, txn: head.page, kind, mark }
}

/// Whether this page number was meant to be the commit's: one of its four bytes differs.
fn nearly_commit(page: u32) -> bool {
    page != COMMIT && page.to_be_bytes().iter().filter(|&&b| b == 0xff).count() == 3
}

impl EntryFraming {
    /// Whether an image of `len` bytes at `at` is what was logged: checksum, then structure.
    fn image<B: Bytes>(&self, b: &mut B, at: u64, len: u64) -> Result<(), Fault> {
        let fault = |cause| Err(Fault { at, cause });
        let span = at + DATA..at + DATA + len;
        let computed = sum_of(self.checksum, b, span.clone())?;
        let stored = stored(b, at, len)?;
        if stored != computed {
            return fault(Cause::Checksum { stored, computed });
        }
        match page::image(b.piece(span)?, self.size) {
            Ok(()) => Ok(()),
            Err(what) => fault(Cause::Malformed(what)),
        }
    }

    fn head_fits(&self, head: Head) -> Result<(), Cause> {
        let (found, any) = (u64::from(head.len), u64::MAX);
        let expected = self.size.unwrap_or(any);
        match (head.page, found) {
            (COMMIT, 0) if self.checksum == Sum::Crc32 => Ok(()),
            (COMMIT, 0) => Err(Cause::Number { found: COMMIT.into(), expected: any }),
            (COMMIT, _) => Err(Cause::Length { found, expected: 0 }),
            (page, 0) if nearly_commit(page) && self.checksum == Sum::Crc32 => {
                Err(Cause::Number { found: page.into(), expected: COMMIT.into() })
            }
            _ if found < self.size.unwrap_or(*page::SIZES.start()) || found > MAX_IMAGE => {
                Err(Cause::Length { found, expected })
            }
            _ => Ok(()),
        }
    }
}

impl Framing for EntryFraming {
    const LANES: &'static [Lane] = &[
        // The bytes of seq that are zero below MAX_SEQ: the more of them, the less a hostile file costs.
        Lane { offset: 0, min: 0, max: 0 },
        Lane { offset: 1, min: 0, max: 0 },
        Lane { offset: DATA_LEN as usize, min: 0, max: 3 },
    ];
    const MIN: u64 = FIXED;
    const PROVED: bool = true;
    const RESTARTS: bool = true;

    fn frame<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault> {
        let head = match head(b, at) {
            Ok(head) => head,
            Err(short) => return Err(self.partial(b, at, short)),
        };
        self.head_fits(head).map_err(|cause| Fault { at, cause })?;
        let record = record(at, head, u64::from(head.len));
        b.within(at, record.end())?;
        Ok(record)
    }

    fn prove<B: Bytes>(&self, b: &mut B, r: &Record) -> Result<(), Fault> {
        let len = r.len - FIXED;
        if r.kind == KIND_PAGE {
            return self.image(b, r.at, len);
        }
        match stored(b, r.at, 0)? {
            0 => Ok(()),
            stored => Err(Fault { at: r.at, cause: Cause::Checksum { stored, computed: 0 } }),
        }
    }

    fn mend<B: Bytes>(
        &self,
        b: &mut B,
        at: u64,
        end: Option<u64>,
        budget: &mut Budget,
    ) -> Option<(Record, Fix)> {
        let head = head(b, at).ok()?;
        let found = u64::from(head.len);
        let nothing = stored(b, at, 0).ok()? == 0;
        if nothing && self.checksum == Sum::Crc32 {
            if head.page == COMMIT && found != 0 {
                return Some((record(at, head, 0), Fix { field: "data_len", found, inferred: 0 }));
            }
            if nearly_commit(head.page) && found == 0 && (1..MAX_SEQ).contains(&head.seq) {
                let fix = Fix { field: "page", found: head.page.into(), inferred: COMMIT.into() };
                return Some((record(at, Head { page: COMMIT, ..head }, 0), fix));
            }
        }
        let by_end = end.and_then(|end| end.checked_sub(at + FIXED));
        [self.size, by_end].into_iter().flatten().find_map(|len| {
            let possible = len != found && head.page != COMMIT && len >= page::HEADER as u64;
            if !possible || len > MAX_IMAGE || b.within(at, at + FIXED + len).is_err() {
                return None;
            }
            if !budget.spend(len) {
                return None;
            }
            self.image(b, at, len).ok()?;
            Some((record(at, head, len), Fix { field: "data_len", found, inferred: len }))
        })
    }

    fn leads_to<B: Bytes>(&self, b: &mut B, at: u64) -> [Option<u64>; 2] {
        let Ok(head) = head(b, at) else { return [None, None] };
        if head.page == COMMIT {
            return [Some(at + FIXED), None];
        }
        let own = u64::from(head.len);
        let own = (1..=MAX_IMAGE).contains(&own).then_some(at + FIXED + own);
        [self.size.map(|size| at + FIXED + size), own]
    }

    fn framing<B: Bytes>(&self, b: &mut B, at: u64) -> Option<u64> {
        let mark = self.checksum == Sum::Bytes && b.array(at).ok()? == *MARK;
        mark.then_some(at + MARK.len() as u64)
    }
}

impl EntryFraming {
    /// A head that the file cuts off: torn, unless what there is of it is already wrong.
    fn partial<B: Bytes>(&self, b: &mut B, at: u64, short: Fault) -> Fault {
        if at + DATA <= b.end() {
            return short;
        }
        // All there is must be at hand before it is judged.
        if let Err(short) = b.sum32(at..b.end()) {
            return short;
        }
        let seq = b.array(at).map_or(1, u32::from_be_bytes);
        if !(1..MAX_SEQ).contains(&seq) && seq != u32::from_be_bytes(*MARK) {
            return Fault { at, cause: Cause::Number { found: seq.into(), expected: u64::MAX } };
        }
        Fault { at, cause: Cause::Short { need: at + FIXED } }
    }
}

/// Decodes a WAL: its entries, and the commit marks of r1, which are records without a number of their own.
struct WalDecoder {
    chain: Chain<EntryFraming>,
    /// The number that comes next, and the one that the last record's own number leads to.
    due: u64,
    next: u64,
    broken: bool,
}

impl WalDecoder {
    fn new(framing: EntryFraming) -> Self {
        WalDecoder { chain: Chain::new(framing), due: 1, next: 1, broken: false }
    }

    /// Keeps count; a number that stands alone is not believed, so that a mark behind it has the right one.
    fn count(&mut self, r: &Record) {
        let follows = r.seq == self.due || r.seq == self.next || self.broken;
        self.due = if follows { r.next } else { self.due.saturating_add(1) };
        self.next = r.next;
        self.broken = false;
        if r.mark == Mark::Commit {
            (self.due, self.next) = (1, 1);
        }
    }
}

impl Decoder for WalDecoder {
    fn fill(&mut self, window: Window<'_>, at: &mut u64, out: &mut Vec<Record>) -> Stop {
        let from = out.len();
        let stop = self.chain.fill(window, at, out);
        out.iter().skip(from).for_each(|r| self.count(r));
        let Stop::Framing(to) = stop else { return stop };
        let (seq, len) = (self.due, to - *at);
        let mark =
            Record { at: *at, len, seq, next: seq, txn: COMMIT, kind: KIND_COMMIT, mark: Mark::Commit };
        self.count(&mark);
        out.push(mark);
        *at = to;
        Stop::Full
    }

    fn long(&mut self, reader: &mut Reader<'_>, at: u64) -> Result<Record, Fault> {
        let record = self.chain.long(reader, at)?;
        self.count(&record);
        Ok(record)
    }

    fn recover(&mut self, reader: &mut Reader<'_>, fault: Fault) -> Recovery {
        let recovery = self.chain.recover(reader, fault);
        match &recovery.record {
            Some((record, _)) => self.count(record),
            None => self.broken = true,
        }
        recovery
    }
}

/// The format.
pub struct DdiaBtree;

static PROFILE: Profile = Profile {
    name: "ddia-btree",
    title: "B-tree storage engine",
    family: None,
    files: "btree.wal, btree.dat",
    revisions: &["r1", "r2", "r3"],
    engines: DDIA_COMMITS,
    record: "entry",
    entry: "live key",
    numbered: false,
    families: false,
    modes: &[],
};

impl Format for DdiaBtree {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        let claim = |role, order| Some(Claim { role, order, exact: true, read: true });
        match name {
            "btree.wal" => claim(Role::Log, 0),
            PAGES => claim(Role::Pages, 1),
            _ => None,
        }
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        let claim = Claim { role: Role::Log, order: 0, exact: false, read: true };
        let file = LogFile { name: "", claim, src: &head, memo: None, stream: false };
        Sample::of(&file, Sum::Crc32).bytes.max(Sample::of(&file, Sum::Bytes).bytes)
    }

    fn revision(&self, files: &[LogFile<'_>]) -> Revision {
        let facts = Facts::of(files);
        let (name, reason) = match facts.checksum {
            Some(Sum::Bytes) => (Some("r1"), "entries with a byte sum for checksum"),
            Some(Sum::Crc32) if facts.commit => (Some("r3"), "entries with CRC-32, and a commit entry"),
            Some(_) => (None, "entries with CRC-32, but no commit entry: r2 redoes them, r3 does not"),
            None if facts.commit => (Some("r3"), "a commit entry"),
            None => (None, "no entry in the WAL that could tell"),
        };
        Revision { name, reason: reason.into() }
    }

    fn open(&self, files: &[LogFile<'_>], file: usize, revision: Option<&str>) -> Opened {
        let facts = Facts::of(files);
        if files[file].claim.role == Role::Pages {
            return pages::open(files[file].src, facts.dat_size.or(facts.wal_size));
        }
        let framing = facts.framing(revision);
        // Without a commit entry r2 cannot be told from r3: the newest decides, unless the user says otherwise. In r1 and
        // r2 every entry counts, mark or not: r1 writes `CMIT` when nothing is left to do.
        let r3 = framing.checksum == Sum::Crc32 && revision != Some("r2");
        let grouping = if r3 { Grouping::CommitOnly } else { Grouping::None };
        let trust =
            Trust::CHECKSUM.and(Trust::LENGTHS).and(Trust::NUMBER).and(Trust::POSITION).and(Trust::STRUCTURE);
        let rules = Rules { numbering: Numbering::Contiguous { restarts: true }, grouping, trust };
        Opened { decoder: Box::new(WalDecoder::new(framing)), rules }
    }

    fn layout(&self, role: Role, revision: Option<&str>) -> &'static Layout {
        match (role, revision) {
            (Role::Pages, _) => &PAGE_LAYOUT,
            (_, Some("r1")) => &LAYOUT_R1,
            _ => &LAYOUT,
        }
    }

    fn entry<'a>(&self, role: Role, _: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a> {
        if role == Role::Pages {
            return Entry { op: pages::word(record), value: Some(record), ..Entry::default() };
        }
        let inferred = |name| fix.filter(|f| f.field == name).map(|f| f.inferred);
        let page = record.get(PAGE as usize..).and_then(|b| b.first_chunk().map(|b| u32::from_be_bytes(*b)));
        let page = inferred("page").or(page.map(u64::from)).filter(|&page| page != u64::from(COMMIT));
        if record == MARK || page.is_none() {
            return Entry { op: "COMMIT", ..Entry::default() };
        }
        let len = fix.map(|f| (f.field, f.inferred));
        Entry { op: "PAGE", value: LAYOUT.get(record, "data", len), page, ..Entry::default() }
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], revision: Option<&str>) -> Vec<Remark> {
        inspect::inspect(files, surveys, &Facts::of(files), revision)
    }

    fn anew(&self) -> Option<Anew> {
        Some(Anew { file: PAGES, store: Store::BTree })
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, &Facts::of(job.files), take)
    }

    fn recover(&self, job: &Job<'_>, salvage: bool, take: Take<'_>) -> Option<Recovered> {
        Some(recover::recover(job, &Facts::of(job.files), salvage, take))
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}
