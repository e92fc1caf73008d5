//! `bitcask-hash`: the hash-index store, a directory of `N.data`, after a compaction with `N.hint`.
//!
//! ```text
//! r2    crc u32 | timestamp f64 | key_size u32 | value_size u32 | key | value                  little-endian
//! r1              timestamp f64 | key_size u32 | value_size u32 | key | value
//! hint  file_id u32 | offset u64 | record_size u32 | timestamp f64 | key_size u32 | key
//! ```
//! What makes a record valid: see [`crate::format::bitcask`]. In r1 nothing is proved: a record is believed for its place
//! in the chain, its timestamp, and key and value being text; damage that leaves these alone cannot be seen. Timestamps carry no checksum
//! in either; one far from those around it is wrong, unless a compaction put it there ([`BitcaskHash::inspect`]).
//! Each record stands alone. An empty value deletes the key. The engine leaves a file at the first wrong checksum or
//! short read and goes on with the next; a hint keeps it from reading the data file at all; see [`engine`].

use std::ops::Range;

use crate::format::bitcask::hint::{Comparison, Entries, Hints, Target, records};
use crate::format::bitcask::{self, Data, Records, TIME_TOP};
use crate::format::chain::{Chain, Framing, Lane, proved_bytes};
use crate::format::{
    Claim, DDIA_COMMITS, Entry, Format, Fresh, Job, LogFile, Opened, Outcome, Profile, Put, Remark, Revision,
    Role, Take,
};
use crate::log::bytes::{Bytes, Reader, Window};
use crate::log::fault::Fault;
use crate::log::finding::Code;
use crate::log::layout::{Checksum, Field, Layout, Sum, Width, bytes, uint};
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, Trust};
use crate::log::region::Kind;
use crate::log::survey::{Grouping, Rules, Survey};

mod engine;

const TIMESTAMP: Field = Field { name: "timestamp", width: Width::Time };

/// The fields of a record of r2.
pub const LAYOUT_R2: Layout = Layout {
    big_endian: false,
    fields: &[
        uint("crc", 4),
        TIMESTAMP,
        uint("key_size", 4),
        uint("value_size", 4),
        bytes("key", "key_size"),
        bytes("value", "value_size"),
    ],
    checksum: Some(Checksum { field: "crc", over: &["key", "value"], sum: Sum::Crc32 }),
};

/// The fields of a record of r1.
pub const LAYOUT_R1: Layout = Layout {
    big_endian: false,
    fields: &[
        TIMESTAMP,
        uint("key_size", 4),
        uint("value_size", 4),
        bytes("key", "key_size"),
        bytes("value", "value_size"),
    ],
    checksum: None,
};

/// The fields of a hint entry.
pub const HINT: Layout = Layout {
    big_endian: false,
    fields: &[
        uint("file_id", 4),
        uint("offset", 8),
        uint("record_size", 4),
        TIMESTAMP,
        uint("key_size", 4),
        bytes("key", "key_size"),
    ],
    checksum: None,
};

const _: () = assert!(LAYOUT_R2.fixed() == 20 && LAYOUT_R1.fixed() == 16 && HINT.fixed() == 28);

/// The bytes of a record that cannot vary much: top of the timestamp, and the sizes of a key below 1 MiB and of a value
/// below 256 MiB.
const fn lanes(layout: &Layout) -> [Lane; 4] {
    let key_size = layout.offset("key_size") as usize;
    [
        Lane { offset: key_size + 3, min: 0, max: 0 },
        Lane { offset: key_size - 1, min: TIME_TOP.0, max: TIME_TOP.1 },
        Lane { offset: key_size + 2, min: 0, max: 0x0f },
        Lane { offset: key_size + 7, min: 0, max: 0x0f },
    ]
}

/// Records with a checksum.
pub struct R2;
/// Records without.
pub struct R1;

impl Data for R2 {
    const LAYOUT: Layout = LAYOUT_R2;
    const LANES: &'static [Lane] = &lanes(&LAYOUT_R2);
    const TIME: Option<u64> = Some(LAYOUT_R2.offset("timestamp"));
    /// They are, but the checksum has proved them already.
    const TEXT: bool = false;
    const STRINGS: bool = true;

    #[inline]
    fn deletes<B: Bytes>(_: &mut B, value: Range<u64>) -> Result<bool, Fault> {
        Ok(value.is_empty())
    }
}

impl Data for R1 {
    const LAYOUT: Layout = LAYOUT_R1;
    const LANES: &'static [Lane] = &lanes(&LAYOUT_R1);
    const TIME: Option<u64> = Some(LAYOUT_R1.offset("timestamp"));
    /// The store takes and gives text only, and nothing else tells a damaged value.
    const TEXT: bool = true;
    const STRINGS: bool = true;

    #[inline]
    fn deletes<B: Bytes>(_: &mut B, value: Range<u64>) -> Result<bool, Fault> {
        Ok(value.is_empty())
    }
}

/// Entries of `N.hint`.
pub struct HashHint;

impl Entries for HashHint {
    const LAYOUT: Layout = HINT;
    const LANES: &'static [Lane] = &[
        Lane { offset: HINT.offset("timestamp") as usize + 7, min: TIME_TOP.0, max: TIME_TOP.1 },
        Lane { offset: HINT.offset("key_size") as usize + 3, min: 0, max: 0 },
        Lane { offset: HINT.offset("offset") as usize + 7, min: 0, max: 0 },
        Lane { offset: HINT.offset("key_size") as usize + 2, min: 0, max: 0x0f },
    ];
    const ZEROS: bool = false;
    const COMPLETE: bool = true;
    const TORN: &'static str =
        "the engine takes it at its word, and where an entry is cut off cannot open the store";

    fn target<B: Bytes>(b: &mut B, at: u64) -> Result<Target, Fault> {
        let offset = u64::from_le_bytes(b.array(at + HINT.offset("offset"))?);
        let size = u32::from_le_bytes(b.array(at + HINT.offset("record_size"))?);
        let time = u64::from_le_bytes(b.array(at + HINT.offset("timestamp"))?);
        let file = u32::from_le_bytes(b.array(at + HINT.offset("file_id"))?);
        Ok(Target { offset, size: Some(u64::from(size)), time: Some(time), file: Some(u64::from(file)) })
    }
}

/// The format.
pub struct BitcaskHash;

static PROFILE: Profile = Profile {
    name: "bitcask-hash",
    title: "hash-index Bitcask store",
    family: Some("bitcask"),
    files: "N.data with N.hint",
    revisions: &["r1", "r2"],
    engines: DDIA_COMMITS,
    record: "record",
    entry: "live key",
    numbered: false,
    families: false,
    modes: &[],
};

const TIME_FIELD: &str = TIMESTAMP.name;

fn is_r1(revision: Option<&str>) -> bool {
    revision == Some("r1")
}

/// The number in the name of a data file or hint.
fn number(name: &str) -> Option<u64> {
    bitcask::number(name.strip_suffix(".data").or_else(|| name.strip_suffix(".hint"))?)
}

impl Format for BitcaskHash {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        let claim = |role, order| Some(Claim { role, order, exact: false, read: true });
        if let Some(stem) = name.strip_suffix(".hint") {
            return if bitcask::digits(stem) {
                claim(Role::Hint, bitcask::order(number(name), true))
            } else {
                None
            };
        }
        // The engine takes every such name for one of its own, and fails where it is no number.
        name.strip_suffix(".data").filter(|stem| !stem.is_empty())?;
        claim(Role::Log, bitcask::order(number(name), false))
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        proved_bytes(Records::<R2>::new(), head).max(plain_bytes(head))
    }

    fn revision(&self, files: &[LogFile<'_>]) -> Revision {
        told(files)
    }

    fn open(&self, files: &[LogFile<'_>], file: usize, revision: Option<&str>) -> Opened {
        let rules = |numbering, trust| Rules { numbering, grouping: Grouping::None, trust };
        if files.get(file).is_some_and(|f| f.claim.role == Role::Hint) {
            let rules = rules(Numbering::None, Trust::STRUCTURE.and(Trust::POSITION));
            return Opened { decoder: Box::new(Chain::new(Hints::<HashHint>::new())), rules };
        }
        if is_r1(revision) {
            let rules = rules(Numbering::Time, Trust::STRUCTURE.and(Trust::POSITION));
            return Opened { decoder: Box::new(Chain::new(Records::<R1>::new())), rules };
        }
        let rules = rules(Numbering::Time, Trust::CHECKSUM.and(Trust::POSITION));
        Opened { decoder: Box::new(Chain::new(Records::<R2>::new())), rules }
    }

    fn layout(&self, role: Role, revision: Option<&str>) -> &'static Layout {
        match role {
            Role::Hint => &HINT,
            _ if is_r1(revision) => &LAYOUT_R1,
            _ => &LAYOUT_R2,
        }
    }

    fn entry<'a>(&self, role: Role, revision: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a> {
        let layout = self.layout(role, revision);
        let fix = fix.map(|f| (f.field, f.inferred));
        let value = layout.get(record, "value", fix);
        let op = match (role, value) {
            (Role::Hint, _) => "HINT",
            (_, None | Some([])) => "DELETE",
            _ => "PUT",
        };
        let mut spans = layout.spans(record, fix);
        let time = spans.find(|(field, ..)| field.name == TIME_FIELD).and_then(|(_, _, bits)| bits);
        Entry {
            op,
            key: layout.get(record, "key", fix),
            value: value.filter(|_| op == "PUT"),
            time,
            ..Entry::default()
        }
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], revision: Option<&str>) -> Vec<Remark> {
        let mut remarks = names(files);
        remarks.extend(bitcask::missing_numbers(files, number));
        remarks.extend(mismatch(files, surveys, revision));
        let views: Vec<&Survey> = surveys.iter().collect();
        let comparison = if is_r1(revision) {
            Comparison::of::<R1, HashHint>(files, &views, number)
        } else {
            Comparison::of::<R2, HashHint>(files, &views, number)
        };
        let confirmed = comparison.confirmed;
        remarks.extend(comparison.remarks);
        let spans_years = |file, at| confirmed.contains(&(file, at));
        if is_r1(revision) {
            reinstate::<R1>(files, surveys, &spans_years);
        } else {
            reinstate::<R2>(files, surveys, &spans_years);
        }
        remarks
    }

    fn put(&self, _: Role, revision: Option<&str>, fresh: &Fresh<'_>, out: &mut Vec<u8>) -> Put {
        if is_r1(revision) { bitcask::put::<R1>(fresh, out) } else { bitcask::put::<R2>(fresh, out) }
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, take)
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}

/// Names that the engine reads and stumbles over.
fn names(files: &[LogFile<'_>]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (file, f) in files.iter().enumerate().filter(|(_, f)| f.claim.role == Role::Log) {
        let Some(stem) = f.name.strip_suffix(".data") else { continue };
        let message = match bitcask::engine::canonical(stem) {
            Err(_) => format!("{} has no number for a name: the engine cannot open the store", f.name),
            Ok(id) if id != stem => format!("for {} the engine looks for {id}.data", f.name),
            Ok(_) => continue,
        };
        remarks.push(Remark { code: Code::ForeignFile, file, at: 0, len: 0, message });
    }
    remarks
}

/// How many of the first bytes are records without checksum, if the file begins with one.
fn plain_bytes(head: &[u8]) -> u64 {
    let begins = head.first_chunk::<8>().is_some_and(|t| bitcask::plausible(u64::from_le_bytes(*t)));
    if begins { proved_bytes(Records::<R1>::new(), head) } else { 0 }
}

/// Whether two records without checksum stand at the front.
fn plain_pair(head: &[u8]) -> bool {
    let (framing, mut b) = (Records::<R1>::new(), Window::whole(head));
    let mut record = |at| {
        let r = framing.frame(&mut b, at).ok().filter(|r| bitcask::plausible(r.seq))?;
        framing.prove(&mut b, &r).ok().map(|()| r.end())
    };
    record(0).and_then(record).is_some()
}

/// Tells the revision: by checksums that hold, or, where none does, by a chain of records without.
fn told(files: &[LogFile<'_>]) -> Revision {
    /// The first look at each file, and the second, further one; in all files together.
    const LOOKS: [(usize, usize); 2] = [(64 << 10, 4 << 20), (2 << 20, 16 << 20)];
    for (each, mut all) in LOOKS {
        let (mut proved, mut plain) = (0, 0);
        for f in files.iter().filter(|f| f.claim.role == Role::Log && f.src.size() > 0) {
            let mut reader = Reader::with_chunk(f.src, each);
            let window = reader.window(0, each.min(all));
            let head = &window.bytes[..window.bytes.len().min(each.min(all))];
            all -= head.len();
            proved += proved_bytes(Records::<R2>::new(), head);
            plain += proved_bytes(Records::<R1>::new(), head);
        }
        if proved > 0 && proved >= plain {
            return Revision { name: Some("r2"), reason: "checksums hold".into() };
        }
        if plain > 0 {
            let reason = "no checksum holds, and the records without one follow each other".into();
            return Revision { name: Some("r1"), reason };
        }
    }
    Revision { name: None, reason: "no record of either revision".into() }
}

/// Records of the other revision where those of this one end: an engine of another revision wrote on, or `--revision`
/// says what the bytes do not.
fn mismatch(files: &[LogFile<'_>], surveys: &[Survey], revision: Option<&str>) -> Vec<Remark> {
    /// How many damaged places of a file are looked at, and how far.
    const PLACES: usize = 8;
    const LOOK: usize = 64 << 10;
    let (this, other) = if is_r1(revision) { ("r1", "r2") } else { ("r2", "r1") };
    let mut remarks = Vec::new();
    for (file, (f, survey)) in files.iter().zip(surveys).enumerate() {
        if f.claim.role != Role::Log {
            continue;
        }
        let damaged = survey.regions.as_slice().iter().filter(|r| r.kind == Kind::Damage);
        for r in damaged.take(PLACES) {
            let mut reader = Reader::new(f.src);
            let window = reader.window(r.at, LOOK);
            let len = r.len.min(LOOK as u64);
            let Ok(head) = window.slice(r.at..(r.at + len).min(f.src.size())) else { continue };
            // Proved ones fill the place; of those without checksum two in a row begin it.
            let found = if is_r1(revision) {
                proved_bytes(Records::<R2>::new(), head) > len / 2
            } else {
                plain_pair(head)
            };
            if found {
                let message =
                    format!("these bytes are records of revision {other}, in a store of revision {this}");
                remarks.push(Remark { code: Code::RevisionMismatch, file, at: r.at, len: r.len, message });
                break;
            }
        }
    }
    remarks
}

/// A compaction writes records in the order of its index, old ones beside new ones. A timestamp that stands alone in its
/// file is right all the same if the hint says it too, or if the store was written to before and after that time.
fn reinstate<D: Data>(files: &[LogFile<'_>], surveys: &mut [Survey], confirmed: &dyn Fn(usize, u64) -> bool) {
    let alone = |s: &Survey| {
        let regions = s.regions.as_slice().iter();
        regions.filter(|r| r.fix.is_some_and(|f| f.field == TIME_FIELD)).map(|r| r.at).collect::<Vec<_>>()
    };
    let suspects: Vec<Vec<u64>> = surveys.iter().map(alone).collect();
    if suspects.iter().all(Vec::is_empty) {
        return;
    }
    let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
    let views: Vec<&Survey> = surveys.iter().collect();
    for file in (0..files.len()).filter(|&i| files[i].claim.role == Role::Log) {
        records::<D>(files, &views, file, &mut |_, r, _, fix| {
            let time = f64::from_bits(r.seq);
            if fix.is_none() && bitcask::plausible(r.seq) {
                (first, last) = (first.min(time), last.max(time));
            }
        });
    }
    for (file, places) in suspects.into_iter().enumerate() {
        for at in places {
            let Some(region) = surveys[file].regions.find(at) else { continue };
            let time = region.fix.map_or(f64::NAN, |f| f64::from_bits(f.found));
            if confirmed(file, at) || (first..=last).contains(&time) {
                surveys[file].reinstate(at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
