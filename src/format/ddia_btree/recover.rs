//! What can be had of a store, whatever its engine makes of it: the entries of the WAL redone over the data file, in
//! memory, and then every pair that its pages hold ([`salvage`](super::salvage)).
//!
//! A group of entries is redone when a commit closes it; r1 and r2 write none that would tell, so all of theirs are. Only
//! entries that are intact or put right are taken, as `verify` judges them. A group that lost a member is redone if the
//! tree holds together with the rest of it, and left out whole otherwise: an image replaces a page, so the others stand
//! for themselves as long as nothing they lead to is missing. Images longer than a page count in full.
//!
//! `salvage` adds the entries that no commit closes, those of groups left out, and leaves that nothing leads to.

use super::engine::page_size;
use super::facts::Facts;
use super::pages::Pages;
use super::salvage::{Pair, Reach};
use super::view::{Image, View};
use super::{COMMIT, DATA, EntryFraming, FIXED, KIND_PAGE};
use crate::format::chain::Framing;
use crate::format::{Effect, Given, Job, Part, Recovered, Role, Take, Taken};
use crate::log::bytes::Reader;
use crate::log::conclude::Place;
use crate::log::fault::Cause;
use crate::log::layout::Sum;
use crate::log::record::{Fix, Mark, Record};
use crate::log::region::{Kind, Region};
use crate::log::survey::Survey;

/// Entries beyond these are left out: no engine leaves so many behind.
const MAX_ENTRIES: u64 = 1 << 20;
/// Groups that lost a member and are tried; the others are left out.
const MAX_TRIED: u32 = 16;

/// The entries of one operation.
#[derive(Default)]
struct Group {
    images: Vec<(u32, Image)>,
    closed: bool,
    /// Damage lies among them that may have held another.
    hurt: bool,
    /// It was more than a torn end or zeros.
    lost: bool,
}

/// See the top of this file.
pub fn recover(job: &Job<'_>, facts: &Facts, salvage: bool, take: Take<'_>) -> Recovered {
    let find = |role| job.files.iter().position(|f| f.claim.role == role);
    let (wal, dat) = (find(Role::Log), find(Role::Pages));
    let framing = facts.framing(job.revision);
    let size = page_size(facts, 0);
    let commits = framing.checksum == Sum::Crc32 && job.revision != Some("r2");
    let mut view = View {
        pages: dat.map(|dat| Pages::new(job.files[dat].src, size)),
        wal: wal.map(|wal| Reader::with_chunk(job.files[wal].src, 64 << 10)),
        file_meta: true,
        ..View::default()
    };
    let mut recovered = Recovered { page_bytes: size as u32, ..Recovered::default() };
    let survey = wal.and_then(|wal| job.surveys.get(wal));
    let groups = match (survey, &mut view.wal) {
        (Some(survey), Some(reader)) => Groups::read(survey, framing, reader),
        _ => Groups::default(),
    };
    recovered.uncommitted = groups.beyond;
    recovered.lost = groups.beyond > 0;
    let (mut rest, mut tried) = (Vec::new(), 0);
    for group in groups.groups {
        let (entries, counts) = (group.images.len() as u64, !commits || group.closed);
        recovered.lost |= counts && group.lost;
        if counts && (!group.hurt || stands(&mut view, &group, &mut tried)) {
            recovered.records += entries;
            view.base.extend(group.images);
        } else {
            let left_out = if counts { &mut recovered.incomplete } else { &mut recovered.uncommitted };
            *left_out += entries;
            recovered.lost |= counts;
            rest.extend(group.images);
        }
    }
    let reach = Reach::of(&mut view);
    recovered.lost |= reach.lost() || view.pages.is_none() && wal.is_some();
    recovered.page_keys = reach.page_keys;
    let places = Places { wal, dat, size };
    let mut wide = None;
    if salvage {
        recovered.records += std::mem::take(&mut recovered.uncommitted);
        recovered.records += std::mem::take(&mut recovered.incomplete);
        view.group = rest.iter().copied().collect();
        let wide = wide.insert(Reach::of(&mut view));
        places.give(&mut view, take, |view, each| wide.give_unreached(view, true, each));
        view.group.clear();
    } else {
        places.give(&mut view, take, |view, each| reach.give_unreached(view, false, each));
    }
    places.give(&mut view, take, |view, each| reach.give(view, each));
    if let Some(wide) = wide.filter(|_| !rest.is_empty()) {
        view.group = rest.into_iter().collect();
        places.give(&mut view, take, |view, each| wide.give(view, each));
    }
    recovered
}

/// Whether the tree holds together with a group that lost a member: no more links lead nowhere than without it, and no
/// more than the one key is gone that an operation deletes.
fn stands(view: &mut View<'_>, group: &Group, tried: &mut u32) -> bool {
    *tried += 1;
    if view.pages.is_none() || group.images.is_empty() {
        return true;
    }
    if *tried > MAX_TRIED {
        return false;
    }
    let before = Reach::of(view);
    view.group = group.images.iter().copied().collect();
    let after = Reach::of(view);
    view.group.clear();
    after.broken <= before.broken && after.keys + 1 >= before.keys
}

/// Where the pages of a view lie.
struct Places {
    wal: Option<usize>,
    dat: Option<usize>,
    size: u64,
}

impl Places {
    fn give(
        &self,
        view: &mut View<'_>,
        take: Take<'_>,
        run: impl FnOnce(&mut View<'_>, &mut dyn FnMut(Pair<'_>)),
    ) {
        let images: std::collections::HashMap<u32, Image> =
            view.logged().into_iter().filter_map(|no| Some((no, view.image_of(no)?))).collect();
        run(view, &mut |pair| {
            let (file, at, from) = match images.get(&pair.page) {
                Some(image) => (self.wal.unwrap_or(0), image.at - DATA, image.at),
                None => {
                    let at = u64::from(pair.page) * self.size;
                    (self.dat.unwrap_or(0), at, at)
                }
            };
            let part = |at: u64, bytes: &[u8]| Part { file, span: at..at + bytes.len() as u64 };
            let key = part(from + pair.at as u64, pair.key);
            let value = part(key.span.end + 2, pair.value);
            let given = Some(Given { key: pair.key.to_vec(), effect: Effect::Put(pair.value.to_vec()) });
            take(Taken { place: Place { file, at }, key, value: Some(value), given });
        });
    }
}

/// The groups of a WAL, as its survey tells them.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    open: Group,
    entries: u64,
    /// Entries that are too many.
    beyond: u64,
}

impl Groups {
    fn read(survey: &Survey, framing: EntryFraming, wal: &mut Reader<'_>) -> Groups {
        let mut groups = Groups::default();
        for region in survey.regions.as_slice() {
            match region.kind {
                Kind::Records => groups.records(region, framing, wal),
                Kind::Recovered => groups.recovered(region, wal),
                kind => {
                    groups.open.hurt = true;
                    groups.open.lost |= kind != Kind::Torn && region.cause != Some(Cause::Zeros);
                }
            }
        }
        groups.close(false);
        groups
    }

    fn records(&mut self, region: &Region, framing: EntryFraming, wal: &mut Reader<'_>) {
        let (mut at, to) = (region.at, region.end());
        while at < to {
            match framing.frame(wal, at) {
                Ok(record) if record.end() <= to => {
                    self.take(&record);
                    at = record.end();
                }
                // Nothing but a commit mark of r1 stands here.
                _ => match framing.framing(wal, at) {
                    Some(end) => {
                        self.close(true);
                        at = end;
                    }
                    None => return,
                },
            }
        }
    }

    /// An entry with one field put right.
    fn recovered(&mut self, region: &Region, wal: &mut Reader<'_>) {
        let Ok(head) = super::head(wal, region.at) else { return };
        let mut record = super::record(region.at, head, region.len.saturating_sub(FIXED));
        match region.fix {
            Some(Fix { field: "page", inferred, .. }) => {
                record.txn = u32::try_from(inferred).unwrap_or(COMMIT);
                record.mark = if record.txn == COMMIT { Mark::Commit } else { Mark::Data };
            }
            Some(Fix { field: "seq", inferred, .. }) => record.seq = inferred,
            _ => {}
        }
        self.take(&record);
    }

    fn take(&mut self, record: &Record) {
        if record.mark == Mark::Commit {
            return self.close(true);
        }
        if record.seq == 1 && !self.open.images.is_empty() {
            self.close(false);
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            self.beyond += 1;
            self.open.hurt = true;
        } else if record.kind == KIND_PAGE {
            let image = Image { at: record.at + DATA, len: record.len - FIXED, entry: 0 };
            self.open.images.push((record.txn, image));
        }
    }

    fn close(&mut self, closed: bool) {
        let group = std::mem::take(&mut self.open);
        if !group.images.is_empty() || group.hurt {
            self.groups.push(Group { closed, ..group });
        }
    }
}
