//! Hints: an index over one data file, written at once, without a checksum; the engine believes it and then never looks
//! at the data. Here it is only compared with them.
//!
//! An entry is a header that ends in, or begins with, the size of the key, then the key. What counts is not every entry
//! but what opening would miss: a record is *unseen* when no entry leads to it and no later record of the log sets or
//! deletes its key again. So a hint that leaves out what was overwritten since is sound, and one whose data file was
//! written on is not.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Range;

use crate::format::bitcask::{DELETE, Data, Records};
use crate::format::chain::{Framing, Lane};
use crate::format::{LogFile, Remark, Role};
use crate::log::bytes::{Bytes, Reader};
use crate::log::fault::{Cause, Fault};
use crate::log::finding::Code;
use crate::log::layout::Layout;
use crate::log::record::{Fix, Mark, Record};
use crate::log::region::Kind;
use crate::log::survey::Survey;

/// How the hints of one format are laid out, and what its engine does with a bad one.
pub trait Entries: Send + 'static {
    /// The fields.
    const LAYOUT: Layout;
    /// What the search behind damage looks at first.
    const LANES: &'static [Lane];
    /// An entry of zeros says something: the empty key, first in its file.
    const ZEROS: bool;
    /// Whether every record of the data file has an entry; else overwritten ones and deletions have none.
    const COMPLETE: bool;
    /// What the engine does where a hint ends inside an entry.
    const TORN: &'static str;

    /// Where an entry leads.
    ///
    /// # Errors
    /// [`Cause::Short`] when it is not at hand.
    fn target<B: Bytes>(b: &mut B, at: u64) -> Result<Target, Fault>;
}

/// What an entry says of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Offset in the data file.
    pub offset: u64,
    /// Length of the record.
    pub size: Option<u64>,
    /// Bits of its timestamp.
    pub time: Option<u64>,
    /// Number of the data file.
    pub file: Option<u64>,
}

/// Frames the entries of a hint.
pub struct Hints<H>(PhantomData<H>);

impl<H: Entries> Hints<H> {
    const FIXED: u64 = H::LAYOUT.fixed();
    const KEY_SIZE: u64 = H::LAYOUT.offset("key_size");

    /// A framing.
    pub fn new() -> Self {
        Hints(PhantomData)
    }

    fn key_size<B: Bytes>(b: &mut B, at: u64) -> Result<u64, Fault> {
        let bytes = b.array(at.saturating_add(Self::KEY_SIZE)).map_err(|f| Fault { at, ..f })?;
        Ok(u64::from(if H::LAYOUT.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }))
    }

    fn all_zero<B: Bytes>(b: &mut B, at: u64) -> Result<bool, Fault> {
        for word in (0..Self::FIXED).step_by(4) {
            if b.array::<4>(at.saturating_add(word)).map_err(|f| Fault { at, ..f })? != [0; 4] {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<H: Entries> Default for Hints<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Entries> Framing for Hints<H> {
    const LANES: &'static [Lane] = H::LANES;
    const MIN: u64 = Self::FIXED;
    const PROVED: bool = false;

    fn frame<B: Bytes>(&self, b: &mut B, at: u64) -> Result<Record, Fault> {
        if at + Self::FIXED > b.end() {
            return Err(Fault { at, cause: Cause::Short { need: at + Self::FIXED } });
        }
        let k = Self::key_size(b, at)?;
        if Self::all_zero(b, at)? && !(H::ZEROS && at == 0) {
            return Err(Fault { at, cause: Cause::Zeros });
        }
        let len = Self::FIXED + k;
        b.within(at, at + len)?;
        Ok(Record { at, len, seq: 0, next: 0, txn: 0, kind: 0, mark: Mark::Note })
    }

    fn prove<B: Bytes>(&self, b: &mut B, r: &Record) -> Result<(), Fault> {
        let fault = Err(Fault { at: r.at, cause: Cause::Text });
        if b.utf8(r.at + Self::FIXED..r.end())? { Ok(()) } else { fault }
    }

    fn leads_to<B: Bytes>(&self, b: &mut B, at: u64) -> [Option<u64>; 2] {
        [Self::key_size(b, at).ok().map(|k| at + Self::FIXED + k), None]
    }
}

/// What comparing a hint with its data file gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Records that the engine will not see.
    pub records: u64,
    /// Offset of the first of them.
    pub first: u64,
    /// Those whose key the hint has, at an older record.
    pub stale: u64,
    /// End of the last record that the hint knows.
    pub known_to: u64,
}

/// Remarks of one file are counted, not listed, past this.
const LISTED: u64 = 1000;
/// Entries of one hint, and unseen keys of a log, that are kept track of.
const KEPT: usize = 1 << 20;

/// Every hint against its data file.
pub struct Comparison<'a> {
    files: &'a [LogFile<'a>],
    surveys: &'a [&'a Survey],
    number: fn(&str) -> Option<u64>,
    /// By index of the data file.
    pub unseen: HashMap<usize, Unseen>,
    /// What does not fit.
    pub remarks: Vec<Remark>,
    /// Records whose timestamp a hint confirms, as file and offset.
    pub confirmed: HashSet<(usize, u64)>,
    listed: HashMap<usize, u64>,
    /// Keys written without an entry and not written again since: how often, and in which file.
    pending: HashMap<u64, Pending>,
}

struct Pending {
    file: usize,
    first: u64,
    records: u64,
    stale: bool,
}

/// One entry, as far as it is kept.
struct Pointer {
    offset: u64,
    at: u64,
}

impl<'a> Comparison<'a> {
    /// Compares. `number` is the number in the name of a data file.
    pub fn of<D: Data, H: Entries>(
        files: &'a [LogFile<'a>],
        surveys: &'a [&'a Survey],
        number: fn(&str) -> Option<u64>,
    ) -> Self {
        let mut comparison = Comparison {
            files,
            surveys,
            number,
            unseen: HashMap::new(),
            remarks: Vec::new(),
            confirmed: HashSet::new(),
            listed: HashMap::new(),
            pending: HashMap::new(),
        };
        let numbers: HashMap<u64, usize> = files
            .iter()
            .enumerate()
            .filter(|(_, f)| f.claim.role.counts())
            .filter_map(|(i, f)| Some((number(f.name)?, i)))
            .collect();
        let stem = |f: &LogFile<'a>| f.name.rsplit_once('.').map_or(f.name, |(stem, _)| stem);
        let data: HashMap<&str, usize> = files
            .iter()
            .enumerate()
            .filter(|(_, f)| f.claim.role.counts())
            .map(|(i, f)| (stem(f), i))
            .collect();
        let hints: HashMap<usize, usize> = files
            .iter()
            .enumerate()
            .filter(|(_, f)| f.claim.role == Role::Hint)
            .filter_map(|(i, f)| Some((*data.get(stem(f))?, i)))
            .collect();
        if files.len() == surveys.len() && files.iter().any(|f| f.claim.role == Role::Hint) {
            comparison.orphans(&hints);
            comparison.walk::<D, H>(&hints, &numbers);
            comparison.conclude(&hints);
        }
        comparison
    }

    fn say(&mut self, file: usize, at: u64, len: u64, message: String) {
        let listed = self.listed.entry(file).or_default();
        *listed += 1;
        if *listed <= LISTED {
            self.remarks.push(Remark { code: Code::StaleHint, file, at, len, message });
        }
    }

    fn orphans(&mut self, hints: &HashMap<usize, usize>) {
        let paired: HashSet<usize> = hints.values().copied().collect();
        for (i, f) in self.files.iter().enumerate() {
            if f.claim.role == Role::Hint && !paired.contains(&i) {
                self.say(i, 0, 0, format!("{} is the hint of a data file that is not there", f.name));
            }
        }
    }

    fn walk<D: Data, H: Entries>(&mut self, hints: &HashMap<usize, usize>, numbers: &HashMap<u64, usize>) {
        let data = |f: &LogFile<'_>| f.claim.role.counts();
        let last = self.files.iter().rposition(data);
        for file in 0..self.files.len() {
            if !data(&self.files[file]) {
                continue;
            }
            match hints.get(&file) {
                Some(&hint) => {
                    self.broken::<H>(hint);
                    let pointers = self.pointers::<H>(file, hint, numbers);
                    self.against::<D, H>(file, hint, pointers, H::COMPLETE || Some(file) == last);
                }
                // What is written again here, was not lost.
                None if !self.pending.is_empty() => {
                    let pending = &mut self.pending;
                    records::<D>(self.files, self.surveys, file, &mut |reader, _, key, _| {
                        pending.remove(&hash(reader, key));
                    });
                }
                None => {}
            }
        }
        if let Some((file, &hint)) = last.and_then(|file| Some((file, hints.get(&file)?))) {
            let (name, code) = (self.files[file].name, Code::ActiveHint);
            let message = format!(
                "{name} is the file written to, and has a hint: what is written now will not be seen later"
            );
            self.remarks.push(Remark { code, file: hint, at: 0, len: 0, message });
        }
    }

    /// Places where the hint itself is no chain of entries.
    fn broken<H: Entries>(&mut self, hint: usize) {
        let surveys = self.surveys;
        for r in surveys[hint].regions.as_slice().iter().filter(|r| !r.kind.sound()) {
            let what = if r.kind == Kind::Torn {
                "the hint ends inside an entry"
            } else {
                "these bytes are no entry"
            };
            self.say(hint, r.at, r.len, format!("{what}: {}", H::TORN));
        }
    }

    /// The entries that lead into this data file, by offset.
    fn pointers<H: Entries>(
        &mut self,
        file: usize,
        hint: usize,
        numbers: &HashMap<u64, usize>,
    ) -> Vec<Pointer> {
        let (files, surveys) = (self.files, self.surveys);
        let mut reader = Reader::new(files[hint].src);
        let mut pointers: Vec<Pointer> = Vec::new();
        let mut left_out = 0u64;
        let own = (self.number)(files[file].name);
        for region in surveys[hint].regions.as_slice().iter().filter(|r| r.kind == Kind::Records) {
            let mut at = region.at;
            while at < region.end() {
                reader.forward(at, 1);
                let (Ok(entry), Ok(target)) =
                    (Hints::<H>::new().frame(&mut reader, at), H::target(&mut reader, at))
                else {
                    break;
                };
                match target.file.filter(|&n| Some(n) != own) {
                    Some(n) => {
                        let there =
                            if numbers.contains_key(&n) { "not its own" } else { "which does not exist" };
                        self.say(hint, at, entry.len, format!("the entry leads to data file {n}, {there}"));
                    }
                    None if pointers.len() < KEPT => pointers.push(Pointer { offset: target.offset, at }),
                    None => left_out += 1,
                }
                at = entry.end();
            }
        }
        if left_out > 0 {
            self.say(hint, 0, 0, format!("{left_out} more entries than are compared"));
        }
        pointers.sort_by_key(|p| (p.offset, p.at));
        pointers
    }

    /// Goes through the data file and its entries side by side.
    fn against<D: Data, H: Entries>(
        &mut self,
        file: usize,
        hint: usize,
        pointers: Vec<Pointer>,
        strict: bool,
    ) {
        let mut entries = Reader::with_chunk(self.files[hint].src, 16 << 10);
        let mut next = pointers.iter().peekable();
        let mut known: HashSet<u64> = HashSet::new();
        let mut unseen = Unseen::default();
        let (files, surveys) = (self.files, self.surveys);
        records::<D>(files, surveys, file, &mut |reader, record, key, fix| {
            while let Some(p) = next.next_if(|p| p.offset < record.at) {
                self.nowhere(file, hint, p);
            }
            let hashed = hash(reader, key);
            let mut hit = false;
            while let Some(p) = next.next_if(|p| p.offset == record.at) {
                hit |= self.meets::<H>(hint, &mut entries, p, record, hashed, fix);
                let time = H::target(&mut entries, p.at).ok().and_then(|t| t.time);
                if hit && time == Some(record.seq) && fix.is_some_and(|f| f.field == "timestamp") {
                    self.confirmed.insert((file, record.at));
                }
            }
            if hit {
                self.pending.remove(&hashed);
                known.insert(hashed);
                unseen.known_to = record.end();
            } else if record.kind == DELETE && !strict && !known.contains(&hashed) {
                // The engine leaves deletions out; they hide what was set before.
                self.pending.remove(&hashed);
            } else {
                self.postpone(file, record, hashed, known.contains(&hashed), &mut unseen);
            }
        });
        for p in next {
            self.nowhere(file, hint, p);
        }
        self.unseen.insert(file, unseen);
    }

    fn postpone(&mut self, file: usize, r: &Record, key: u64, stale: bool, unseen: &mut Unseen) {
        let full = self.pending.len() >= KEPT;
        match self.pending.get_mut(&key) {
            Some(p) if p.file == file => {
                (p.records, p.stale) = (p.records + 1, p.stale || stale);
            }
            None if full => {
                if unseen.records == 0 {
                    unseen.first = r.at;
                }
                (unseen.records, unseen.stale) = (unseen.records + 1, unseen.stale + u64::from(stale));
            }
            _ => {
                self.pending.insert(key, Pending { file, first: r.at, records: 1, stale });
            }
        }
    }

    /// An entry that leads to no record. That the data are damaged there is reported with the data.
    fn nowhere(&mut self, file: usize, hint: usize, p: &Pointer) {
        let surveys = self.surveys;
        let region = surveys[file].regions.find(p.offset);
        if region.is_some_and(|r| !matches!(r.kind, Kind::Records | Kind::Recovered)) {
            return;
        }
        let name = self.files[file].name;
        let where_to = if region.is_some() { "where no record starts" } else { "behind its end" };
        self.say(hint, p.at, 0, format!("the entry leads to offset {} of {name}, {where_to}", p.offset));
    }

    /// Whether the entry and the record it leads to are of the same key; says where the two differ.
    fn meets<H: Entries>(
        &mut self,
        hint: usize,
        entries: &mut Reader<'_>,
        p: &Pointer,
        record: &Record,
        key: u64,
        fix: Option<Fix>,
    ) -> bool {
        let (Ok(entry), Ok(target)) = (Hints::<H>::new().frame(entries, p.at), H::target(entries, p.at))
        else {
            return false;
        };
        if hash(entries, entry.at + Hints::<H>::FIXED..entry.end()) != key {
            self.say(hint, entry.at, entry.len, format!("the record at offset {} has another key", p.offset));
            return false;
        }
        let say = |what: &str| format!("the record at offset {} has another {what} than its entry", p.offset);
        if record.kind == DELETE {
            let message = format!("the record at offset {} deletes the key that the entry sets", p.offset);
            self.say(hint, entry.at, entry.len, message);
        }
        if target.size.is_some_and(|size| size != record.len) {
            self.say(hint, entry.at, entry.len, say("size"));
        }
        if fix.is_none() && target.time.is_some_and(|time| time != record.seq) {
            self.say(hint, entry.at, entry.len, say("timestamp"));
        }
        true
    }

    /// What is pending at the end of the log is unseen for good.
    fn conclude(&mut self, hints: &HashMap<usize, usize>) {
        for p in std::mem::take(&mut self.pending).into_values() {
            let unseen = self.unseen.entry(p.file).or_default();
            unseen.first = if unseen.records == 0 { p.first } else { unseen.first.min(p.first) };
            unseen.records += p.records;
            unseen.stale += u64::from(p.stale);
        }
        for (&file, &hint) in hints {
            let Some(&u) = self.unseen.get(&file).filter(|u| u.records > 0) else {
                continue;
            };
            let name = self.files[hint].name;
            let older = match u.stale {
                0 => String::new(),
                n => format!(", and takes an older value for {n} of the keys"),
            };
            let message = match u.records {
                1 => format!("{name} leaves out this record: the engine does not see it{older}"),
                n => {
                    format!("{name} leaves out {n} records from here on: the engine does not see them{older}")
                }
            };
            self.remarks.push(Remark { code: Code::StaleHint, file, at: u.first, len: 0, message });
        }
        for (&file, &listed) in self.listed.iter().filter(|l| *l.1 > LISTED) {
            let message = format!("{} more entries of this hint contradict the data", listed - LISTED);
            self.remarks.push(Remark { code: Code::StaleHint, file, at: 0, len: 0, message });
        }
        self.remarks.sort_by(|a, b| (a.file, a.at, &a.message).cmp(&(b.file, b.at, &b.message)));
    }
}

/// Receives the records of a data file: each with the place of its key, and what was put right in it.
pub type Visit<'v> = dyn FnMut(&mut Reader<'_>, &Record, Range<u64>, Option<Fix>) + 'v;

/// Goes through the records that a survey found, from header to header.
pub fn records<D: Data>(files: &[LogFile<'_>], surveys: &[&Survey], file: usize, visit: &mut Visit<'_>) {
    let mut reader = Reader::new(files[file].src);
    let framing = Records::<D>::new();
    for region in surveys[file].regions.as_slice() {
        match (region.kind, region.fix) {
            (Kind::Records, _) => {
                let mut at = region.at;
                while at < region.end() {
                    reader.forward(at, 1);
                    let Ok(record) = framing.frame(&mut reader, at) else {
                        break;
                    };
                    if let Some(key) = Records::<D>::key(&mut reader, &record, None) {
                        visit(&mut reader, &record, key, None);
                    }
                    at = record.end();
                }
            }
            (Kind::Recovered, Some(fix)) => {
                let sizes = Records::<D>::sizes(&mut reader, region.at).unwrap_or((0, 0));
                let k = if fix.field == "key_size" { fix.inferred } else { sizes.0 };
                let v = region.len.saturating_sub(Records::<D>::HEADER).saturating_sub(k);
                let Ok(record) = Records::<D>::record(&mut reader, region.at, k, v) else {
                    continue;
                };
                if let Some(key) = Records::<D>::key(&mut reader, &record, Some(fix)) {
                    visit(&mut reader, &record, key, Some(fix));
                }
            }
            _ => {}
        }
    }
}

/// Stands for a key. Of very long ones the first part, the length and the checksum.
fn hash(reader: &mut Reader<'_>, key: Range<u64>) -> u64 {
    const WHOLE: u64 = 1 << 20;
    let mut hasher = DefaultHasher::new();
    let len = key.end - key.start;
    len.hash(&mut hasher);
    let head = key.start..key.end.min(key.start + WHOLE);
    let window = reader.window(head.start, (head.end - head.start) as usize);
    window.slice(head).unwrap_or(&[]).hash(&mut hasher);
    if len > WHOLE {
        reader.crc32(0, key).unwrap_or(0).hash(&mut hasher);
    }
    hasher.finish()
}
