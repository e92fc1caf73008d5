//! What an engine asks of a file system: one directory of named files, with the guarantees spelled out that a crash takes
//! away where they were not asked for.

use std::io;

/// One directory. Names are plain file names.
///
/// What survives a crash: the contents of a file up to its last [`sync`](Storage::sync); a creation, rename or removal from
/// the next [`sync_dir`](Storage::sync_dir) on. What came later may be there, wholly or in part, in any order.
pub trait Storage: Send {
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

    /// Writes all of `bytes` at an offset; creates the file.
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
