//! What both files tell together: the entries of the WAL judged by the tree, and the tree as it is with them redone.

use std::collections::HashMap;

use super::engine;
use super::facts::Facts;
use super::group::Groups;
use super::pages::Pages;
use super::tree::Audit;
use super::view::View;
use crate::format::{Job, LogFile, Remark, Role};
use crate::log::bytes::Reader;
use crate::log::finding::Code;
use crate::log::layout::Sum;
use crate::log::survey::Survey;

/// Said where the WAL has entries and nothing to redo them in.
const NO_DATA_FILE: &str = "btree.dat, whose pages these are, is not among the files: without it the engine makes a new \
                            tree and redoes them in that; name the directory that has both, or put it back first";

/// Judges the entries of the WAL by the tree, and the tree as it is with them redone.
pub fn inspect(
    files: &[LogFile<'_>],
    surveys: &mut [Survey],
    facts: &Facts,
    revision: Option<&str>,
) -> Vec<Remark> {
    let find = |role| files.iter().position(|f| f.claim.role == role);
    let (wal, dat) = (find(Role::Log), find(Role::Pages));
    let framing = facts.framing(revision);
    let pages = dat.zip(framing.size).map(|(dat, size)| Pages::new(files[dat].src, size));
    let reader = wal.map(|wal| Reader::with_chunk(files[wal].src, 64 << 10));
    let mut view = View { pages, wal: reader, group: HashMap::new(), base: HashMap::new(), file_meta: true };
    let mut remarks = Vec::new();
    if let Some(wal) = wal {
        let commits = framing.checksum == Sum::Crc32 && revision != Some("r2");
        let mut groups = Groups::new(&mut view, framing, commits);
        groups.judge(&mut surveys[wal]);
        let mut say = |code, at, len, message| remarks.push(Remark { code, file: wal, at, len, message });
        if let Some(message) = mismatch(facts, revision) {
            say(Code::RevisionMismatch, 0, 0, message);
        }
        for (at, len, page, data) in groups.overfull() {
            let message = format!(
                "the image of page {page} has {data} bytes, more than a page: only the WAL holds all of it"
            );
            say(Code::PageOverflow, at, len, message);
        }
        let entries = groups.entries;
        if entries > 0 {
            let dropped = framing.checksum == Sum::Bytes && engine::holds_mark(files[wal].src);
            let surveys: Vec<&Survey> = surveys.iter().collect();
            let job = Job { files, surveys: &surveys, revision, engine: None, mode: None, until: None };
            let redone = engine::outcome(&job, facts, None).records;
            let message = format!(
                "the WAL holds {}; {} redoes {redone} when it opens and truncates the WAL",
                images(entries),
                engine::revision(facts, revision)
            );
            say(Code::UnfinishedOperation, 0, 0, message);
            let missing = if dropped { groups.not_in_place() } else { 0 };
            if missing > 0 {
                let message = format!(
                    "of these, {} differ from btree.dat, and as the WAL contains the bytes CMIT they are not redone",
                    images(missing)
                );
                say(Code::TreeInconsistent, 0, 0, message);
            }
        }
        match dat {
            None if entries > 0 => say(Code::UnfinishedOperation, 0, 0, NO_DATA_FILE.into()),
            Some(file) if entries > 0 && files[file].src.size() == 0 => {
                let message = "btree.dat is empty: of the tree only the images in the WAL are left".into();
                remarks.push(Remark { code: Code::PageDamaged, file, at: 0, len: 0, message });
                return remarks;
            }
            _ => {}
        }
    }
    if let (Some(dat), Some(size), true) = (dat, framing.size, view.pages.is_some()) {
        let mut audit = Audit::new(&mut view);
        audit.run();
        remarks.extend(audit.told(dat, size));
    }
    remarks
}

/// What the bytes prove against what the user says.
fn mismatch(facts: &Facts, revision: Option<&str>) -> Option<String> {
    let said = revision?;
    let told = match facts.checksum? {
        Sum::Bytes => "r1: its entries carry a byte sum",
        Sum::Crc32 if said == "r1" => "r2 or r3: its entries carry a CRC-32",
        Sum::Crc32 if facts.commit => "r3: it has a commit entry",
        _ => return None,
    };
    (!told.starts_with(said))
        .then(|| format!("the WAL was written by {told}; an engine of {said} misreads it"))
}

fn images(count: u64) -> String {
    if count == 1 { "1 page image".into() } else { format!("{count} page images") }
}
