//! `bitcask-log`: the log-structured hash table, a directory of `segment_NNNNNN.dat`, some with a `.hint`.
//!
//! ```text
//! data  crc u32 | key_size u32 | value_size u32 | key | value                                     big-endian
//! hint  key_size u32 | offset u32 | key
//! ```
//! What makes a record valid: see [`crate::format::bitcask`]. Records carry no number and no time, and each stands alone.
//! A value of exactly `__BITCASK_TOMBSTONE__` deletes the key, whoever wrote it; an empty value is a value. The engine
//! leaves a segment at the first wrong checksum or short read and goes on with the next; where there is a hint it does
//! not read the segment at all; see [`engine`].

use std::ops::Range;

use crate::format::bitcask::hint::{Comparison, Entries, Hints, Target};
use crate::format::bitcask::{self, Data, Records};
use crate::format::chain::{Chain, Lane, proved_bytes};
use crate::format::{
    Claim, DDIA_COMMITS, Entry, Format, Fresh, Job, LogFile, Opened, Outcome, Profile, Put, Remark, Revision,
    Role, Take,
};
use crate::log::bytes::Bytes;
use crate::log::fault::Fault;
use crate::log::finding::Code;
use crate::log::layout::{Checksum, Layout, Sum, bytes, uint};
use crate::log::numbering::Numbering;
use crate::log::record::{Fix, Trust};
use crate::log::survey::{Grouping, Rules, Survey};

mod engine;

/// The fields of a record.
pub const LAYOUT: Layout = Layout {
    big_endian: true,
    fields: &[
        uint("crc", 4),
        uint("key_size", 4),
        uint("value_size", 4),
        bytes("key", "key_size"),
        bytes("value", "value_size"),
    ],
    checksum: Some(Checksum { field: "crc", over: &["key", "value"], sum: Sum::Crc32 }),
};

/// The fields of a hint entry.
pub const HINT: Layout = Layout {
    big_endian: true,
    fields: &[uint("key_size", 4), uint("offset", 4), bytes("key", "key_size")],
    checksum: None,
};

const _: () = assert!(LAYOUT.fixed() == 12 && HINT.fixed() == 8);

/// The value that deletes a key.
pub const TOMBSTONE: &[u8; 21] = b"__BITCASK_TOMBSTONE__";

/// Records of a segment.
pub struct Segment;

impl Data for Segment {
    const LAYOUT: Layout = LAYOUT;
    const LANES: &'static [Lane] = &[
        // Keys of 1 MiB and values of 256 MiB and more are not looked for behind damage.
        Lane { offset: LAYOUT.offset("key_size") as usize, min: 0, max: 0 },
        Lane { offset: LAYOUT.offset("key_size") as usize + 1, min: 0, max: 0x0f },
        Lane { offset: LAYOUT.offset("value_size") as usize, min: 0, max: 0x0f },
    ];
    const TIME: Option<u64> = None;
    const TEXT: bool = false;
    const STRINGS: bool = false;

    #[inline]
    fn deletes<B: Bytes>(b: &mut B, value: Range<u64>) -> Result<bool, Fault> {
        Ok(value.end - value.start == TOMBSTONE.len() as u64 && b.array(value.start)? == *TOMBSTONE)
    }
}

/// Entries of a `.hint`.
pub struct SegmentHint;

impl Entries for SegmentHint {
    const LAYOUT: Layout = HINT;
    const LANES: &'static [Lane] = &[
        Lane { offset: HINT.offset("key_size") as usize, min: 0, max: 0 },
        Lane { offset: HINT.offset("key_size") as usize + 1, min: 0, max: 0x0f },
    ];
    const ZEROS: bool = true;
    const COMPLETE: bool = false;
    const TORN: &'static str = "the engine reads up to here and does not look at the segment";

    fn target<B: Bytes>(b: &mut B, at: u64) -> Result<Target, Fault> {
        let offset = u32::from_be_bytes(b.array(at + HINT.offset("offset"))?);
        Ok(Target { offset: u64::from(offset), size: None, time: None, file: None })
    }
}

/// The format.
pub struct BitcaskLog;

static PROFILE: Profile = Profile {
    name: "bitcask-log",
    title: "log-structured Bitcask store",
    family: Some("bitcask"),
    files: "segment_NNNNNN.dat",
    revisions: &[],
    engines: DDIA_COMMITS,
    record: "record",
    entry: "live key",
    numbered: false,
    families: false,
    modes: &[],
};

/// The number in the name of a segment or hint.
fn number(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("segment_")?;
    bitcask::number(rest.strip_suffix(".dat").or_else(|| rest.strip_suffix(".hint"))?)
}

impl Format for BitcaskLog {
    fn profile(&self) -> &'static Profile {
        &PROFILE
    }

    fn claim(&self, name: &str) -> Option<Claim> {
        let claim = |role, order| Some(Claim { role, order, exact: true, read: true });
        let rest = name.strip_prefix("segment_")?;
        if let Some(stem) = rest.strip_suffix(".hint") {
            return if bitcask::digits(stem) {
                claim(Role::Hint, bitcask::order(number(name), true))
            } else {
                None
            };
        }
        // The engine takes every such name for one of its own, and fails where it is no number.
        rest.strip_suffix(".dat")?;
        claim(Role::Log, bitcask::order(number(name), false))
    }

    fn recognise(&self, head: &[u8]) -> u64 {
        proved_bytes(Records::<Segment>::new(), head)
    }

    fn revision(&self, _: &[LogFile<'_>]) -> Revision {
        Revision { name: None, reason: "there is only one".into() }
    }

    fn open(&self, files: &[LogFile<'_>], file: usize, _: Option<&str>) -> Opened {
        let rules = |trust| Rules { numbering: Numbering::None, grouping: Grouping::None, trust };
        if files.get(file).is_some_and(|f| f.claim.role == Role::Hint) {
            let rules = rules(Trust::STRUCTURE.and(Trust::POSITION));
            return Opened { decoder: Box::new(Chain::new(Hints::<SegmentHint>::new())), rules };
        }
        let rules = rules(Trust::CHECKSUM.and(Trust::POSITION));
        Opened { decoder: Box::new(Chain::new(Records::<Segment>::new())), rules }
    }

    fn layout(&self, role: Role, _: Option<&str>) -> &'static Layout {
        if role == Role::Hint { &HINT } else { &LAYOUT }
    }

    fn entry<'a>(&self, role: Role, revision: Option<&str>, record: &'a [u8], fix: Option<Fix>) -> Entry<'a> {
        let layout = self.layout(role, revision);
        let fix = fix.map(|f| (f.field, f.inferred));
        let value = layout.get(record, "value", fix);
        let op = match value {
            _ if role == Role::Hint => "HINT",
            Some(value) if value == TOMBSTONE => "DELETE",
            _ => "PUT",
        };
        // The layout ends where the bytes do, so an empty value at the end of its record is not told from none.
        let value = if op == "PUT" { value.or(Some(&[])) } else { None };
        Entry { op, key: layout.get(record, "key", fix), value, ..Entry::default() }
    }

    fn inspect(&self, files: &[LogFile<'_>], surveys: &mut [Survey], _: Option<&str>) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for (file, f) in files.iter().enumerate().filter(|(_, f)| f.claim.role == Role::Log) {
            if engine::data(f.name).is_err() {
                let message =
                    format!("{} has no number in its name: the engine cannot open the store", f.name);
                remarks.push(Remark { code: Code::ForeignFile, file, at: 0, len: 0, message });
            }
        }
        remarks.extend(bitcask::missing_numbers(files, number));
        let views: Vec<&Survey> = surveys.iter().collect();
        remarks.extend(Comparison::of::<Segment, SegmentHint>(files, &views, number).remarks);
        remarks
    }

    fn put(&self, _: Role, _: Option<&str>, fresh: &Fresh<'_>, out: &mut Vec<u8>) -> Put {
        bitcask::put::<Segment>(fresh, out)
    }

    fn engine(&self, job: &Job<'_>, take: Option<Take<'_>>) -> Outcome {
        engine::outcome(job, take)
    }

    fn engine_at(&self, code: Code) -> Option<&'static str> {
        engine::at(code)
    }
}

#[cfg(test)]
mod tests;
