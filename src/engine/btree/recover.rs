//! Opening: the page size, the WAL, a look at the tree as it will be, and only then the first write.

use super::check::{self, Look};
use super::mend::{self, Mend};
use super::pager::{empty_wal, read_all, read_page};
use super::redo::{self, Redo};
use super::{DATA, Error, Options, Result, WAL, damaged, io as told};
use crate::engine::storage::{Storage, View};
use crate::format::ddia_btree::page::{self, META, Meta, NONE, SIZES};
use crate::format::ddia_btree::{encode, page_size};

/// Whether no store is there: no data file, or one that never got beyond its creation.
///
/// # Errors
/// [`Error::Damaged`] where the WAL has something and the data file nothing; I/O.
pub fn nothing_there(storage: &dyn Storage) -> Result<bool> {
    let len = told(DATA, storage.size(DATA))?.unwrap_or(0);
    let wal = redo::len(storage)?;
    if len == 0 && wal > 0 {
        return damaged(WAL, 0, "entries, but no data file that they belong to");
    }
    if wal > 0 || len > *SIZES.end() {
        return Ok(false);
    }
    let mut bytes = vec![0; len as usize];
    read_all(storage, DATA, 0, &mut bytes)?;
    // The original writes its first metadata, then an empty leaf: without the leaf nothing was ever stored.
    let fresh = |m: Meta| (m.root, m.height, m.keys, m.next_free, m.free_head) == (1, 1, 0, 2, NONE);
    let rest = bytes.get(META..).unwrap_or(&[]);
    Ok(len == 0 || (page::meta_fields(&bytes).is_some_and(fresh) && page::is_zero(rest)))
}

/// Recovers a store and empties its WAL; gives its page size and metadata.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Refused`] with nothing changed; [`Error::Io`].
pub fn recover(storage: &mut dyn Storage, options: &Options) -> Result<(usize, Meta)> {
    let wal = redo::len(storage)?;
    let plan = plan(storage, options, wal)?;
    if wal > 0 {
        apply(storage, &plan)?;
    } else if told(WAL, storage.size(WAL))?.is_none() {
        told(WAL, storage.set_len(WAL, 0))?;
        told(WAL, storage.sync(WAL))?;
        told(WAL, storage.sync_dir())?;
    }
    let meta = plan.mend.map_or(plan.meta, |mend| mend.meta);
    Ok((plan.size, Meta { page_size: plan.size as u32, ..meta }))
}

/// What recovery will write.
struct Plan {
    size: usize,
    meta: Meta,
    redo: Redo,
    mend: Option<Mend>,
}

/// The page size for which the store makes sense, and what is to be done then.
fn plan(storage: &dyn Storage, options: &Options, wal: u64) -> Result<Plan> {
    let field = field(storage)?;
    let logged = redo::image_len(storage, wal)?;
    let view = told(DATA, View::of(storage, DATA))?;
    let inferred = page_size(&view, logged);
    if let Some(source) = view.failure() {
        return told(DATA, Err(source));
    }
    let asked = options.page_size.map(u64::from);
    let sizes = [field, logged, inferred, asked].into_iter().flatten().filter(|size| SIZES.contains(size));
    let mut first = None;
    let mut tried = Vec::new();
    for size in sizes {
        if tried.contains(&size) {
            continue;
        }
        tried.push(size);
        match examine(storage, size as usize, wal) {
            Ok(_) if field.is_some_and(|field| field != size) => {
                return damaged(DATA, 20, "the page-size field contradicts the pages");
            }
            Ok(_) if asked.is_some_and(|asked| asked != size) => {
                return Err(Error::Refused("the store has another page size"));
            }
            Ok(plan) => return Ok(plan),
            Err(Error::Damaged { file, at, what }) => {
                first.get_or_insert(Error::Damaged { file, at, what });
            }
            Err(other) => return Err(other),
        }
    }
    match first {
        Some(error) => Err(error),
        None => damaged(DATA, 0, "no page size for which its pages make sense"),
    }
}

/// The page-size field, where it is not zero.
fn field(storage: &dyn Storage) -> Result<Option<u64>> {
    let mut head = [0; META];
    read_all(storage, DATA, 0, &mut head)?;
    Ok(page::meta_fields(&head).map(|meta| u64::from(meta.page_size)).filter(|&size| size > 0))
}

/// What the store is with pages of this size.
fn examine(storage: &dyn Storage, size: usize, wal: u64) -> Result<Plan> {
    let redo = redo::read(storage, size, wal)?;
    let load = |no: u32| match redo.images.get(&no) {
        Some(&at) => {
            let mut image = vec![0; size];
            Ok(read_all(storage, WAL, at, &mut image)?.then_some(image))
        }
        None => read_page(storage, no, size),
    };
    let Some(page0) = load(0)? else { return damaged(DATA, 0, "shorter than a page") };
    let meta = page::meta(&page0).or_else(|what| damaged(DATA, 0, what))?;
    let len = told(DATA, storage.size(DATA))?.unwrap_or(0);
    if let Some(at) = redo.images.iter().find(|(no, _)| **no >= meta.next_free).map(|(_, at)| *at) {
        return damaged(WAL, at, "an image of a page that is not in use");
    }
    let mut mend = None;
    if wal == 0 {
        // Without a WAL there was no crash; so much is enough to tell the page size.
        if len.div_ceil(size as u64) > meta.next_free.into() {
            return damaged(DATA, 12, "the metadata counts fewer pages than the file has");
        }
        check::first_leaf(&load, &meta, size)?;
    } else {
        let newest = redo.images.keys().max().map_or(0, |&no| u64::from(no) + 1);
        let pages = newest.max(len / size as u64);
        let look: Look = check::look(&load, &meta, pages)?;
        mend = mend::mend(&load, &meta, &look, &redo, size)?;
    }
    Ok(Plan { size, meta, redo, mend })
}

/// Writes what was planned; may be cut short anywhere and begun anew, as the WAL goes last.
fn apply(storage: &mut dyn Storage, plan: &Plan) -> Result<()> {
    let mut image = vec![0; plan.size];
    for (&no, &at) in &plan.redo.images {
        if !read_all(storage, WAL, at, &mut image)? {
            return damaged(WAL, at, "the file became shorter while it was read");
        }
        told(DATA, storage.write(DATA, u64::from(no) * plan.size as u64, &image))?;
    }
    if let Some(mend) = &plan.mend {
        // New pages first, to which nothing leads; then the metadata, which lie in one sector, lead there.
        for (no, image) in &mend.images {
            told(DATA, storage.write(DATA, u64::from(*no) * plan.size as u64, image))?;
        }
        told(DATA, storage.sync(DATA))?;
        let page0 = encode::meta(plan.size, &mend.meta);
        told(DATA, storage.write(DATA, 0, page0.get(..META).unwrap_or(&page0)))?;
        told(DATA, storage.sync(DATA))?;
        // Nothing but the free list leads to these any more, and a list cut short is let go at the next attempt.
        for (i, no) in mend.freed.iter().enumerate() {
            let next = mend.freed.get(i + 1).copied().unwrap_or(mend.behind);
            let image = encode::free(plan.size, next);
            told(DATA, storage.write(DATA, u64::from(*no) * plan.size as u64, &image))?;
        }
    }
    empty_wal(storage)
}
