//! What an engine asks of a file system: one directory of named files, with the guarantees spelled out that a crash takes
//! away where they were not asked for.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::io::source::pread;
use crate::log::bytes::ReadAt;

/// A crash keeps or loses so many bytes, aligned, at once: what lies in one sector is written whole or not at all.
pub const SECTOR: u64 = 512;

/// One directory. Names are plain file names.
///
/// What survives a crash: the contents of a file up to its last [`sync`](Storage::sync); a creation, rename or removal from
/// the next [`sync_dir`](Storage::sync_dir) on. What came later may be there, wholly or in part, in any order.
pub trait Storage: Send + Sync {
    /// Names of all files, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Length of a file in bytes; `None` where there is none.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self, name: &str) -> io::Result<Option<u64>>;

    /// Reads at an offset into `buf`; gives back how many bytes there were, fewer only at the end of the file.
    ///
    /// # Errors
    /// What the system says; `NotFound` where there is no such file.
    fn read(&self, name: &str, at: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at an offset; creates the file, and fills with zeros what lies between its end and the offset.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written.
    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file this long, cutting it or filling it with zeros; creates it.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Waits until the contents and length of a file are on stable storage.
    ///
    /// # Errors
    /// What the system says; what was written since the last sync may then be lost for good.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of one that has it already.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Waits until creations, renames and removals are on stable storage.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&mut self) -> io::Result<()>;
}

/// A directory of the file system.
///
/// Files stay open once they were used. Other processes are not kept out: two engines over one directory destroy it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    open: Mutex<HashMap<String, Handle>>,
}

#[derive(Debug)]
struct Handle {
    file: Arc<File>,
    /// Written to since it was synced: closing it would lose the error that a sync has to report.
    unsynced: bool,
}

/// Handles kept open, but for those with writes that were not synced.
const OPEN_MAX: usize = 64;

impl Directory {
    /// A directory that exists.
    ///
    /// # Errors
    /// When there is none at `path`.
    pub fn open(path: &Path) -> io::Result<Directory> {
        if !std::fs::metadata(path)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Directory { path: path.to_path_buf(), open: Mutex::default() })
    }

    /// A new directory, which survives a crash once this has returned.
    ///
    /// # Errors
    /// `AlreadyExists` where there is something at `path`, and what else the system says.
    pub fn create(path: &Path) -> io::Result<Directory> {
        std::fs::create_dir(path)?;
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_directory(parent)?;
        Directory::open(path)
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open file of this name. `write`: creates it, and takes note that it is about to be written.
    fn file(&self, name: &str, write: bool) -> io::Result<Arc<File>> {
        let mut open = self.handles();
        if let Some(handle) = open.get_mut(name) {
            handle.unsynced |= write;
            return Ok(handle.file.clone());
        }
        if open.len() >= OPEN_MAX {
            open.retain(|_, handle| handle.unsynced);
        }
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(write).truncate(false);
        let opened = match options.open(&path) {
            // A store on a read-only medium can be read all the same; this handle is good for nothing else.
            Err(e) if !write && e.kind() != io::ErrorKind::NotFound => {
                return File::open(&path).map(Arc::new);
            }
            opened => opened?,
        };
        let file = Arc::new(opened);
        open.insert(name.to_owned(), Handle { file: file.clone(), unsynced: write });
        Ok(file)
    }
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            // No engine gives a file a name that is not UTF-8.
            if let (true, Ok(name)) = (!entry.file_type()?.is_dir(), entry.file_name().into_string()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        match std::fs::metadata(self.path.join(name)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn read(&self, name: &str, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let file = self.file(name, false)?;
        let mut done = 0;
        while done < buf.len() {
            match pread(&file, &mut buf[done..], at + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(name, true)?;
        let mut done = 0;
        while done < bytes.len() {
            match pwrite(&file, &bytes[done..], at + done as u64) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn set_len(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name, true)?.set_len(len)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name, false)?.sync_all()?;
        if let Some(handle) = self.handles().get_mut(name) {
            handle.unsynced = false;
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut open = self.handles();
        // Some systems do not rename an open file, and a handle must not outlive its name.
        let (_, _) = (open.remove(from), open.remove(to));
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.handles().remove(name);
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_directory(&self.path)
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere the system has no such call; names are as safe as it makes them.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn pwrite(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, at)
}

#[cfg(windows)]
fn pwrite(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, at)
}

/// One file of a storage, as the formats' decoders read it.
pub struct View<'s> {
    storage: &'s dyn Storage,
    name: &'s str,
    size: u64,
    failure: Mutex<Option<io::Error>>,
}

impl<'s> View<'s> {
    /// The file as long as it is now.
    ///
    /// # Errors
    /// What the system says; `NotFound` where there is no such file.
    pub fn of(storage: &'s dyn Storage, name: &'s str) -> io::Result<View<'s>> {
        let size = storage.size(name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(View { storage, name, size, failure: Mutex::default() })
    }

    /// The first error that reading met. Decoders take what cannot be read for zeros, an engine must not.
    pub fn failure(self) -> Option<io::Error> {
        self.failure.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for View<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = match self.storage.read(self.name, at, buf) {
            Ok(0) if !buf.is_empty() && at < self.size => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        read.map_err(|e| {
            let kind = e.kind();
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
            kind.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What any storage must do.
    fn behaves(storage: &mut dyn Storage) -> io::Result<()> {
        storage.write("b", 3, b"abc")?;
        storage.write("a", 0, b"x")?;
        assert_eq!(storage.list()?, ["a", "b"]);
        assert_eq!((storage.size("b")?, storage.size("c")?), (Some(6), None));
        let mut buf = [9; 8];
        assert_eq!(storage.read("b", 2, &mut buf)?, 4);
        assert_eq!(&buf[..4], b"\0abc");
        assert_eq!(storage.read("b", 6, &mut buf)?, 0);
        assert_eq!(storage.read("c", 0, &mut buf).map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
        storage.set_len("b", 4)?;
        storage.set_len("b", 5)?;
        assert_eq!(storage.read("b", 0, &mut buf)?, 5);
        assert_eq!(&buf[..5], b"\0\0\0a\0");
        storage.sync("b")?;
        storage.rename("b", "a")?;
        storage.sync_dir()?;
        assert_eq!((storage.list()?, storage.size("a")?), (vec![String::from("a")], Some(5)));
        storage.remove("a")?;
        assert!(
            storage.remove("a").is_err() && storage.sync("a").is_err() && storage.rename("a", "b").is_err()
        );
        assert!(storage.list()?.is_empty());
        Ok(())
    }

    #[test]
    fn a_directory_and_a_disk_in_memory_behave_alike() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("store");
        let mut directory = Directory::create(&path).expect("created");
        assert!(Directory::create(&path).is_err(), "it exists");
        behaves(&mut directory).expect("no error");
        behaves(&mut crate::engine::crash::CrashDisk::new()).expect("no error");
    }

    #[test]
    fn many_files_do_not_stay_open() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut directory = Directory::open(dir.path()).expect("opened");
        for i in 0..3 * OPEN_MAX {
            let name = i.to_string();
            directory.write(&name, 0, name.as_bytes()).expect("written");
            directory.sync(&name).expect("synced");
        }
        assert!(directory.handles().len() <= OPEN_MAX);
        let mut buf = [0; 1];
        assert_eq!(directory.read("7", 0, &mut buf).expect("read"), 1);
        assert_eq!(&buf, b"7");
    }
}
