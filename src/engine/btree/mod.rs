//! `BTree`: the B-tree over `btree.dat` and `btree.wal`, on disk as the newest revision of the original has it (WAL r3).
//!
//! ```text
//! open    WAL --> groups with a commit entry --> look at the whole tree --> in place, sync --> empty WAL
//! change  pages in memory --> WAL, sync --> commit entry, sync --> in place        checkpoint: sync, empty the WAL
//! ```
//! Put right against the original: metadata and free-list pages go through the WAL with all others; no page is written in
//! place before its commit entry is on disk; a page splits by bytes as well as by number of keys, and a pair that fits no
//! page is refused before anything changes; recovery redoes committed groups only, refuses what cannot be right instead of
//! believing it, and empties the WAL only after what it redid is synced; a store comes into being whole, by rename. The
//! trees are the same page for page as long as no page overflows.
//!
//! Beyond that, recovery finishes what the original left half done by writing in place before its commit ([`mend`]).

mod build;
mod change;
mod check;
mod mend;
mod node;
mod pager;
mod recover;
mod redo;
mod scan;

#[cfg(test)]
mod tests;

use std::ops::RangeBounds;

use change::Change;
pub(crate) use change::fits;
use pager::Pager;
pub use scan::Scan;

use super::storage::Storage;
use super::{Error, Op, Result, io_error};
use crate::format::ddia_btree;
use crate::format::ddia_btree::page::{self, NONE, SIZES};

/// The data file.
pub const DATA: &str = ddia_btree::PAGES;
/// The log.
pub const WAL: &str = "btree.wal";
/// A data file that is not complete yet.
const NEW: &str = "btree.dat.tmp";
/// Page size of a new store, unless another is asked for.
const DEFAULT_SIZE: u32 = 4096;

/// How to open a store. The default suits any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Bytes of a page, 64 to 65536; by default that of the file, 4096 for a new one. One that contradicts the file is
    /// refused.
    pub page_size: Option<u32>,
    /// Keys in a page, 2 or more; by default as the original has it: one per hundred bytes, four at least.
    pub max_keys: Option<u16>,
}

impl Options {
    fn check(&self) -> Result<()> {
        if self.page_size.is_some_and(|size| !SIZES.contains(&size.into())) {
            return Err(Error::Refused("a page has 64 to 65536 bytes"));
        }
        if self.max_keys.is_some_and(|keys| keys < 2) {
            return Err(Error::Refused("a page holds two keys or more"));
        }
        Ok(())
    }

    fn max_keys(&self, size: usize) -> usize {
        self.max_keys.map_or((size.saturating_sub(page::HEADER) / 100).max(4), usize::from)
    }
}

/// A store.
pub struct BTree {
    pager: Pager,
    max_keys: usize,
    /// The free list of the file is believed only after a look at the tree: a page of it that is in use would be lost.
    free_list_known: bool,
}

impl BTree {
    /// Opens a store, or begins one where there is none; redoes what the WAL has.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the files hold something that no crash explains, with nothing changed; [`Error::Refused`]
    /// where the options contradict each other or the file; [`Error::Io`].
    pub fn open(storage: impl Storage + 'static, options: Options) -> Result<Self> {
        options.check()?;
        if recover::nothing_there(&storage)? {
            return Self::build(storage, options, std::iter::empty::<(&[u8], &[u8])>());
        }
        let mut storage = Box::new(storage);
        let (size, meta) = recover::recover(&mut *storage, &options)?;
        let max_keys = options.max_keys(size);
        Ok(BTree { pager: Pager::new(storage, size, meta), max_keys, free_list_known: false })
    }

    /// Begins a store with these pairs, in rising order of key: full pages, balanced, the WAL empty.
    ///
    /// # Errors
    /// [`Error::Refused`] where a store is there already, where keys do not rise, where a pair fits no page; [`Error::Io`].
    pub fn build<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        storage: impl Storage + 'static,
        options: Options,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self> {
        options.check()?;
        if !recover::nothing_there(&storage)? {
            return Err(Error::Refused("there is a store already"));
        }
        let mut storage = Box::new(storage);
        let size = options.page_size.unwrap_or(DEFAULT_SIZE) as usize;
        let max_keys = options.max_keys(size);
        let meta = build::build(&mut *storage, node::Limits { size, keys: max_keys }, pairs.into_iter())?;
        Ok(BTree { pager: Pager::new(storage, size, meta), max_keys, free_list_known: true })
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the way to it is broken, [`Error::Io`], [`Error::Poisoned`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let no = self.leaf_of(Some(key))?;
        let bytes = self.pager.page(no)?;
        let leaf = self.leaf(no, &bytes)?;
        Ok(leaf.cells().find(|cell| cell.key == key).map(|cell| cell.body.to_vec()))
    }

    /// Sets a key; durable when it returns.
    ///
    /// # Errors
    /// [`Error::Refused`] where the pair fits no page or its key is not UTF-8, with nothing changed; others as in
    /// [`batch`](Self::batch).
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.batch(&[Op::Put(key, value)])
    }

    /// Deletes a key; whether it was there.
    ///
    /// # Errors
    /// As in [`batch`](Self::batch).
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        self.pager.usable()?;
        let before = self.len();
        self.batch(&[Op::Delete(key)])?;
        Ok(self.len() < before)
    }

    /// All of these changes or none, durable when it returns.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Damaged`] with nothing changed; [`Error::Io`], after which only a new open tells
    /// whether the batch is there; [`Error::Poisoned`] after that.
    pub fn batch(&mut self, ops: &[Op<'_>]) -> Result<()> {
        self.pager.usable()?;
        self.know_free_list()?;
        let mut change = Change::new(&self.pager, self.max_keys, self.pager.meta);
        for op in ops {
            match op {
                Op::Put(key, value) => change.put(key, value)?,
                Op::Delete(key) => drop(change.delete(key)?),
            }
        }
        let (meta, images) = change.finish();
        if images.is_empty() { Ok(()) } else { self.pager.commit(meta, &images) }
    }

    /// The pairs of a range of keys, in order.
    ///
    /// # Errors
    /// As [`get`](Self::get), here and from the iterator.
    pub fn scan<'k>(&self, range: impl RangeBounds<&'k [u8]>) -> Result<Scan<'_>> {
        Scan::new(self, range)
    }

    /// Number of keys.
    pub fn len(&self) -> u64 {
        self.pager.meta.keys.into()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Syncs the data file and empties the WAL.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Poisoned`].
    pub fn checkpoint(&mut self) -> Result<()> {
        self.pager.checkpoint()
    }

    /// Leaves an empty WAL.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn close(mut self) -> Result<()> {
        self.checkpoint()
    }

    /// The leaf that a key belongs to; without one, the first.
    fn leaf_of(&self, key: Option<&[u8]>) -> Result<u32> {
        let mut no = self.pager.meta.root;
        for _ in 1..self.pager.meta.height {
            let bytes = self.pager.page(no)?;
            no = match page::node(&bytes) {
                Ok(node) if !node.leaf => key.map_or(node.link, |key| node.towards(key).0),
                Ok(_) => return self.pager.damaged(no, "a leaf where none can be"),
                Err(what) => return self.pager.damaged(no, what),
            };
        }
        Ok(no)
    }

    fn leaf<'b>(&self, no: u32, bytes: &'b [u8]) -> Result<page::Node<'b>> {
        match page::node(bytes) {
            Ok(node) if node.leaf => Ok(node),
            Ok(_) => self.pager.damaged(no, "no leaf where one must be"),
            Err(what) => self.pager.damaged(no, what),
        }
    }

    /// Looks at the free list before its first use; one that cannot be right is left alone, at the price of its pages.
    fn know_free_list(&mut self) -> Result<()> {
        if self.free_list_known {
            return Ok(());
        }
        if self.pager.meta.free_head != NONE {
            let load = |no| pager::read_page(&*self.pager.storage, no, self.pager.size);
            let look = check::look(&load, &self.pager.meta, u64::MAX)?;
            if look.free.is_some() {
                self.pager.meta.free_head = NONE;
            }
        }
        self.free_list_known = true;
        Ok(())
    }
}

fn io<T>(file: &str, result: std::io::Result<T>) -> Result<T> {
    result.map_err(io_error(file))
}

fn damaged<T>(file: &str, at: u64, what: &'static str) -> Result<T> {
    Err(Error::Damaged { file: file.into(), at, what })
}
