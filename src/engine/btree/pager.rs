//! Pages and their log: reads by page number, and the one way in which pages change on disk.
//!
//! A group goes to the WAL page by page and is synced; then its commit entry, synced as well, so that a commit entry on
//! disk means that all in front of it is there; then the pages are written in place. They are synced before the WAL is
//! emptied, and the empty WAL before the next group. So whatever a crash leaves, redoing what is committed gives the state
//! after the last group. There is one at most: behind a second one the data file would hold pages newer than the first,
//! against which nobody could judge it.

use super::{DATA, Result, WAL, damaged, io};
use crate::engine::Error;
use crate::engine::storage::Storage;
use crate::format::ddia_btree::MAX_SEQ;
use crate::format::ddia_btree::encode;
use crate::format::ddia_btree::page::Meta;

/// What is gathered before it is written to the WAL.
const BUFFER: usize = 1 << 20;

/// The files of one store.
pub struct Pager {
    pub storage: Box<dyn Storage>,
    /// Bytes of a page.
    pub size: usize,
    /// The metadata, as after the last commit.
    pub meta: Meta,
    /// The WAL holds a group, which is committed and in place.
    logged: bool,
    /// A write failed: what is on disk is not known.
    poisoned: bool,
}

impl Pager {
    /// Over a data file without a WAL to redo.
    pub fn new(storage: Box<dyn Storage>, size: usize, meta: Meta) -> Self {
        Pager { storage, size, meta, logged: false, poisoned: false }
    }

    /// Offset of a page.
    pub fn at(&self, no: u32) -> u64 {
        u64::from(no) * self.size as u64
    }

    /// That a page is not what it must be.
    pub fn damaged<T>(&self, no: u32, what: &'static str) -> Result<T> {
        damaged(DATA, self.at(no), what)
    }

    /// A page.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file has no such page, [`Error::Io`], [`Error::Poisoned`].
    pub fn page(&self, no: u32) -> Result<Vec<u8>> {
        self.usable()?;
        match read_page(&*self.storage, no, self.size)? {
            Some(page) => Ok(page),
            None => self.damaged(no, "no such page: it lies behind the end of the file"),
        }
    }

    /// Whether nothing has failed so far.
    ///
    /// # Errors
    /// [`Error::Poisoned`] otherwise.
    pub fn usable(&self) -> Result<()> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Makes a group of page images, and the metadata with them, durable, and writes them in place.
    ///
    /// # Errors
    /// [`Error::Refused`] for a group that no WAL can number, with nothing changed; [`Error::Io`], after which only a new
    /// open tells whether the group is there; [`Error::Poisoned`].
    pub fn commit(&mut self, meta: Meta, images: &[(u32, Vec<u8>)]) -> Result<()> {
        self.usable()?;
        if images.len() as u64 + 2 >= u64::from(MAX_SEQ) {
            return Err(Error::Refused(
                "a batch that changes so many pages is too large for one group of the WAL",
            ));
        }
        self.checkpoint()?;
        let page0 = encode::meta(self.size, &meta);
        (self.logged, self.poisoned) = (true, true);
        self.log(images, &page0)?;
        for (no, image) in images {
            io(DATA, self.storage.write(DATA, self.at(*no), image))?;
        }
        io(DATA, self.storage.write(DATA, 0, &page0))?;
        (self.meta, self.poisoned) = (meta, false);
        Ok(())
    }

    fn log(&mut self, images: &[(u32, Vec<u8>)], page0: &[u8]) -> Result<()> {
        let (mut at, mut seq, mut buffer) = (0, 0, Vec::new());
        let entries = images.iter().map(|(no, image)| (*no, image.as_slice()));
        for (no, image) in entries.chain([(0, page0)]) {
            seq += 1;
            encode::entry(&mut buffer, seq, no, image);
            if buffer.len() >= BUFFER {
                io(WAL, self.storage.write(WAL, at, &buffer))?;
                at += buffer.len() as u64;
                buffer.clear();
            }
        }
        io(WAL, self.storage.write(WAL, at, &buffer))?;
        at += buffer.len() as u64;
        io(WAL, self.storage.sync(WAL))?;
        buffer.clear();
        encode::commit(&mut buffer, seq + 1);
        io(WAL, self.storage.write(WAL, at, &buffer))?;
        io(WAL, self.storage.sync(WAL))
    }

    /// Syncs the pages, then empties the WAL.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Poisoned`].
    pub fn checkpoint(&mut self) -> Result<()> {
        self.usable()?;
        if !self.logged {
            return Ok(());
        }
        self.poisoned = true;
        empty_wal(&mut *self.storage)?;
        (self.logged, self.poisoned) = (false, false);
        Ok(())
    }
}

/// The data file is synced before the WAL is emptied, and that before anything is written to it again.
pub fn empty_wal(storage: &mut dyn Storage) -> Result<()> {
    io(DATA, storage.sync(DATA))?;
    io(WAL, storage.set_len(WAL, 0))?;
    io(WAL, storage.sync(WAL))
}

/// A page as it lies in the file; `None` where the file has not all of it.
pub fn read_page(storage: &dyn Storage, no: u32, size: usize) -> Result<Option<Vec<u8>>> {
    let mut page = vec![0; size];
    let whole = read_all(storage, DATA, u64::from(no) * size as u64, &mut page)?;
    Ok(whole.then_some(page))
}

/// Fills `buf`; `false` where the file ends before.
pub fn read_all(storage: &dyn Storage, name: &str, at: u64, buf: &mut [u8]) -> Result<bool> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match io(name, storage.read(name, at + done as u64, rest))? {
            0 => return Ok(false),
            n => done += n,
        }
    }
    Ok(true)
}
