//! A disk whose syncs do nothing, for tests of the tests: they must miss what was acknowledged.

use std::io;

use walmedic::engine::crash::CrashDisk;
use walmedic::engine::storage::Storage;

/// A disk that says it synced and did not.
#[derive(Clone)]
pub struct Liar {
    pub disk: CrashDisk,
    /// Whether it lies about this file; `.` is the directory.
    pub about: fn(&str) -> bool,
}

impl Storage for Liar {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        self.disk.size(name)
    }
    fn read(&self, name: &str, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.disk.read(name, at, buf)
    }
    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(name, at, bytes)
    }
    fn set_len(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.disk.set_len(name, len)
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        if (self.about)(name) { Ok(()) } else { self.disk.sync(name) }
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        if (self.about)(".") { Ok(()) } else { self.disk.sync_dir() }
    }
}
