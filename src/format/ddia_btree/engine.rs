//! What the Python engine makes of a WAL when it opens it: `b-tree-storage-engine/btree.py`, `WAL.recover`.
//!
//! It believes the page number and never looks at seq. r1 does nothing where the bytes `CMIT` occur, be it in a value;
//! r1 and r2 skip an entry with a wrong checksum and go on; r3 stops there and applies what a commit entry closed. An
//! entry that does not fit the file ends the reading in all three. Then the WAL is truncated, whatever happened.

use std::collections::HashMap;

use super::facts::Facts;
use super::opened::Opened;
use super::page::SIZES;
use super::view::Image;
use super::{COMMIT, DATA, MARK, PROFILE, head, pages, stored, sum_of};
use crate::format::chain::zeros_end;
use crate::format::{Halt, Job, Outcome, Role, Take};
use crate::log::bytes::{Bytes, ReadAt, Reader};
use crate::log::finding::Code;
use crate::log::layout::Sum;
use crate::log::region::Kind;
use crate::log::survey::{Grouping, Survey};

/// The usual file system, of 4 KiB blocks, has no longer files; what is written behind is refused.
const MAX_FILE: u64 = (1 << 44) - 4096;

/// How a version opens a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manners {
    /// Nothing is redone where the commit mark occurs, and the checksum is the byte sum.
    mark: bool,
    /// Entries wait for a commit entry, and a wrong checksum ends the reading.
    commits: bool,
    /// The page size is checked, and written into its field where that is zero.
    stamps: bool,
    /// The type of a page is checked.
    types: bool,
}

impl Manners {
    fn of(job: &Job<'_>, facts: &Facts) -> Manners {
        let revision = revision(facts, job.revision);
        let from = |version, default| job.engine_is(&PROFILE, version, default);
        Manners {
            mark: !from("31199dd", revision != "r1"),
            commits: from("3d072fa", revision == "r3"),
            stamps: from("1de802d", revision == "r3"),
            types: from("104c886", revision == "r3"),
        }
    }

    fn checksum(self) -> Sum {
        if self.mark { Sum::Bytes } else { Sum::Crc32 }
    }
}

/// The page size that the engine is taken to be opened with: nothing in the files need say so.
pub fn page_size(facts: &Facts, field: u32) -> u64 {
    let field = Some(u64::from(field)).filter(|size| SIZES.contains(size));
    facts.size().or(field).unwrap_or(pages::DEFAULT_SIZE)
}

/// What is left after open; with `take`, what a full iteration then yields, and the data file.
pub fn outcome(job: &Job<'_>, facts: &Facts, take: Option<Take<'_>>) -> Outcome {
    let manners = Manners::of(job, facts);
    let find = |role| job.files.iter().position(|f| f.claim.role == role);
    let (wal, dat) = (find(Role::Log), find(Role::Pages));
    // Zero is what is read where the file ends before the field.
    let field = dat.and_then(|dat| Reader::with_chunk(job.files[dat].src, 64).array(20).ok());
    let field = field.map_or(0, u32::from_be_bytes);
    let size = page_size(facts, field);
    if manners.stamps && field != 0 && u64::from(field) != size {
        return Outcome::refused(format!(
            "ValueError: Page size mismatch: file was created with {field}, but opened with {size}"
        ));
    }
    let mut read = Read::default();
    if let Some(wal) = wal {
        read = match sound(job, facts, manners, wal).filter(|_| take.is_none()) {
            Some((applied, transactions)) => Read { applied, transactions, ..read },
            None => recover(job.files[wal].src, manners),
        };
    }
    if read.pages.saturating_mul(size) > MAX_FILE {
        return Outcome::refused("OSError: [Errno 27] File too large".into());
    }
    let halts = read.halt.zip(wal).map(|(at, file)| Halt { file, at, for_good: true, to: u64::MAX });
    let (mut error, mut image) = (None, None);
    if let Some(take) = take {
        let mut opened = Opened::new(job.files, (wal, dat), size, read.images, read.pages, manners.stamps);
        error = opened.iterate(manners.types, take).err();
        image = Some(opened.image());
    }
    let (records, transactions) = (read.applied, read.transactions);
    Outcome {
        opens: true,
        error,
        records,
        transactions,
        halts: halts.into_iter().collect(),
        image,
        ..Outcome::default()
    }
}

/// The entries and commits that are redone of a WAL in which nothing is wrong: it need not be read again for them.
fn sound(job: &Job<'_>, facts: &Facts, manners: Manners, wal: usize) -> Option<(u64, u64)> {
    let survey: &Survey = job.surveys.get(wal).filter(|_| job.engine.is_none())?;
    let sound = survey.regions.as_slice().iter().all(|r| r.kind == Kind::Records);
    let commits = survey.rules.grouping == Grouping::CommitOnly;
    let may = sound && !manners.mark && facts.checksum == Some(Sum::Crc32);
    may.then_some(if commits { (survey.data_to_last_commit, survey.commits) } else { (survey.data, 0) })
}

/// The engine whose behaviour is told: the one named, or else the newest that reads such entries.
pub fn revision<'a>(facts: &Facts, named: Option<&'a str>) -> &'a str {
    named.unwrap_or(match facts.checksum {
        Some(Sum::Bytes) => "r1",
        _ => "r3",
    })
}

/// Bytes of an entry without data.
const EMPTY: u64 = DATA + 4;

/// What `recover` does.
#[derive(Default)]
struct Read {
    applied: u64,
    transactions: u64,
    halt: Option<u64>,
    /// The last image of each page.
    images: HashMap<u32, Image>,
    /// Pages that the file then has at least.
    pages: u64,
}

impl Read {
    fn apply(&mut self, page: u32, image: Image) {
        self.pages = self.pages.max(u64::from(page) + 1);
        self.images.insert(page, image);
    }
}

fn recover(wal: &dyn ReadAt, manners: Manners) -> Read {
    let mut read = Read::default();
    if manners.mark && holds_mark(wal) {
        read.halt = Some(0);
        return read;
    }
    let b = &mut Reader::new(wal);
    let (mut at, mut committed) = (0, 0);
    let mut pending: Vec<(u32, Image)> = Vec::new();
    let mut waiting = 0;
    while let Ok(head) = head(b, at) {
        let (len, data) = (u64::from(head.len), at + DATA);
        let end = data + len + 4;
        if end > b.end() {
            break;
        }
        let sound = sum_of(manners.checksum(), b, data..data + len).ok() == stored(b, at, len).ok();
        // A run of zeros is the same empty entry again and again: a hole of a terabyte is counted, not gone through.
        let again = if end - at == EMPTY { ((zeros_end(b, at) - at) / EMPTY).max(1) } else { 1 };
        let end = at + again * (end - at);
        let image = Image { at: data, len, entry: 0 };
        match (manners.commits, sound) {
            (true, false) => break,
            (true, true) if head.page == COMMIT => {
                (read.applied, waiting, committed) = (read.applied + waiting, 0, end);
                read.transactions += 1;
                pending.drain(..).for_each(|(page, image)| read.apply(page, image));
            }
            (true, true) => {
                pending.push((head.page, image));
                waiting += again;
            }
            (false, true) => {
                read.apply(head.page, image);
                read.applied += again;
            }
            (false, false) => {}
        }
        at = end;
    }
    let stopped = at < b.end();
    read.halt = stopped.then_some(if manners.commits { committed } else { at });
    read
}

/// Whether the four bytes occur anywhere.
pub fn holds_mark(src: &dyn ReadAt) -> bool {
    let mut reader = Reader::new(src);
    let mut at = 0;
    while at < reader.end() {
        let window = reader.forward(at, MARK.len());
        let bytes = window.slice(at..window.base + window.bytes.len() as u64).unwrap_or(&[]);
        if bytes.windows(MARK.len()).any(|w| w == MARK) {
            return true;
        }
        // The last bytes may be the first of the mark.
        match bytes.len().checked_sub(MARK.len() - 1).filter(|&n| n > 0) {
            Some(n) => at += n as u64,
            None => return false,
        }
    }
    false
}

/// What happens at a finding of this kind.
pub fn at(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::TornTail => {
            "Ends its reading there and truncates the WAL. r1 and r2 redo the entries before it, so half an operation may \
             be applied; r3 redoes only what a commit entry closed."
        }
        Code::ChecksumMismatch => {
            "r1 and r2 skip the entry and redo the others: a tree that is neither before nor after. r3 stops there, redoes \
             what was committed before, and truncates the WAL with all that follows."
        }
        Code::InconsistentLength => {
            "Takes a length that reaches past the end of the file for a torn tail and drops everything behind it; a \
             smaller one makes it read nonsense until a checksum fails."
        }
        Code::ZeroFilled => {
            "Sixteen zero bytes are an entry to it: page 0, no data, checksum 0. Redoing it overwrites the metadata with \
             zeros and the tree is gone: at once in r1 and r2, in r3 when a commit entry follows."
        }
        Code::ImpossibleNumber => {
            "Never looks at seq. It believes the page number, which no checksum covers, and writes the image over whatever \
             page that is; a high bit makes a huge sparse file."
        }
        Code::Malformed => {
            "Does not look into an image: what the checksum passes is written. A page that does not parse kills the first \
             access that meets it, or ends up as keys and values that nobody wrote."
        }
        Code::OrphanedBatch => {
            "r3 discards entries without a commit entry and truncates the WAL; pages that were already changed in place \
             stay changed, as there is no undo. r2 redoes them."
        }
        Code::LostMember => {
            "r3 stops at the damaged entry, never sees the commit entry, redoes nothing of this operation and truncates \
             the WAL."
        }
        Code::UnfinishedOperation => {
            "Redoes the entries when it opens (r1 unless the bytes CMIT occur anywhere in the WAL, r2 always, r3 where a \
             commit entry follows) and truncates the WAL."
        }
        Code::PageDamaged => {
            "Checks nothing in btree.dat. Reads a page that is cut short as if zeros followed, clips values, or dies with \
             struct.error, UnicodeDecodeError or, from 104c886 on, ValueError."
        }
        Code::TreeInconsistent => {
            "Notices nothing: get() follows the children, iteration the siblings, and the two disagree. A cycle among \
             siblings makes iteration endless; range_scan raises ValueError from 104c886 on."
        }
        Code::PageOverflow => {
            "Logs the whole image but writes only its first bytes, one page, to btree.dat: values are cut or the page \
             becomes unreadable. Truncating the WAL destroys the only full copy."
        }
        Code::RevisionMismatch => {
            "Does not notice. With the wrong checksum rule every entry is damaged; r2 takes the commit entry of r3 for \
             page 4294967295 and makes a data file of that size."
        }
        _ => return None,
    })
}
