//! A file opened for reading only: by `pread`, or mapped on request.
//!
//! `pread` is the way for evidence: a mapped file that its owner truncates kills the reader, and a medium error does too,
//! where `pread` gives an error at a known offset. A mapping is faster on large records, so it is there for the asking.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::format::Word;
use crate::log::bytes::ReadAt;

/// Standard input up to this size is kept in memory, more in an unnamed temporary file.
const SPOOL_IN_MEMORY: u64 = 8 << 20;

/// What was read of standard input to tell what it is. It comes only once.
static AHEAD: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// By which a file is known again: its length, its time, and which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    time: SystemTime,
    id: (u64, u64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Option<Stamp> {
        #[cfg(unix)]
        let id = (std::os::unix::fs::MetadataExt::dev(meta), std::os::unix::fs::MetadataExt::ino(meta));
        #[cfg(not(unix))]
        let id = (0, 0);
        Some(Stamp { len: meta.len(), time: meta.modified().ok()?, id })
    }
}

/// One file, open for reading.
#[derive(Debug)]
pub struct Source {
    kind: Kind,
    size: u64,
    sparse: bool,
    stamp: Option<Stamp>,
    passed: AtomicU64,
    /// What is read in place of the file's own bytes.
    words: Vec<Word>,
}

#[derive(Debug)]
enum Kind {
    File(File),
    /// Opened anew for each read.
    Path(Arc<Path>),
    Mapped(memmap2::Mmap),
    Memory(Vec<u8>),
}

impl Source {
    /// Opens a regular file or block device. `keep_open`: hold it open; else it is opened anew for each read.
    ///
    /// # Errors
    /// When it cannot be opened, or is something that cannot be read twice (a FIFO, a character device, a directory).
    pub fn open(path: &Arc<Path>, map: bool, keep_open: bool) -> Result<Source> {
        let name = path.display();
        // Looked at before it is opened: opening a FIFO would wait for a writer.
        let meta = std::fs::metadata(path).with_context(|| format!("{name}: cannot open"))?;
        if let Some(what) = unreadable_kind(&meta) {
            bail!("{name}: is {what}, not a file; to read what comes out of it use `-` and --stdin-name");
        }
        let file = File::open(path).with_context(|| format!("{name}: cannot open"))?;
        let meta = file.metadata().with_context(|| format!("{name}: cannot stat"))?;
        let size = size_of(&file, &meta).with_context(|| format!("{name}: cannot tell its size"))?;
        let stamp = Stamp::of(&meta);
        let (sparse, passed) = (is_sparse(&meta), AtomicU64::new(0));
        let kind = if map && size > 0 {
            Kind::Mapped(map_file(&file, path)?)
        } else if keep_open {
            Kind::File(file)
        } else {
            Kind::Path(path.clone())
        };
        Ok(Source { kind, size, sparse, stamp, passed, words: Vec::new() })
    }

    /// The first bytes of standard input, which stay to be read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stdin_head(most: usize) -> Result<Vec<u8>> {
        let mut ahead = AHEAD.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = most.saturating_sub(ahead.len()) as u64;
        io::stdin().lock().take(wanted).read_to_end(&mut ahead).context("standard input: cannot read")?;
        Ok(ahead[..ahead.len().min(most)].to_vec())
    }

    /// Reads standard input to its end; every command may have to read it twice.
    ///
    /// # Errors
    /// When it cannot be read, or the temporary directory has no room for it.
    pub fn stdin() -> Result<Source> {
        let ahead = std::mem::take(&mut *AHEAD.lock().unwrap_or_else(PoisonError::into_inner));
        let mut input = io::Cursor::new(ahead).chain(io::stdin().lock());
        let mut bytes = Vec::new();
        input
            .by_ref()
            .take(SPOOL_IN_MEMORY)
            .read_to_end(&mut bytes)
            .context("standard input: cannot read")?;
        let mut source = Source {
            kind: Kind::Memory(Vec::new()),
            size: 0,
            sparse: false,
            stamp: None,
            passed: AtomicU64::new(0),
            words: Vec::new(),
        };
        if (bytes.len() as u64) < SPOOL_IN_MEMORY {
            source.size = bytes.len() as u64;
            source.kind = Kind::Memory(bytes);
            return Ok(source);
        }
        let mut spool = tempfile::tempfile().context("cannot create a temporary file for standard input")?;
        spool.write_all(&bytes).context("cannot write standard input to a temporary file")?;
        io::copy(&mut input, &mut spool).context("cannot write standard input to a temporary file")?;
        source.size = spool.metadata()?.len();
        source.kind = Kind::File(spool);
        Ok(source)
    }

    /// Bytes in memory, for tests and small inputs.
    pub fn memory(bytes: Vec<u8>) -> Source {
        let size = bytes.len() as u64;
        let passed = AtomicU64::new(0);
        Source { kind: Kind::Memory(bytes), size, sparse: false, stamp: None, passed, words: Vec::new() }
    }

    /// The file itself, where it is held open and read as it is.
    pub fn file(&self) -> Option<&File> {
        match &self.kind {
            Kind::File(file) if self.words.is_empty() => Some(file),
            _ => None,
        }
    }

    /// From now on these words, in order of their offsets, are read as they are inferred to have been.
    pub fn put_right(&mut self, words: Vec<Word>) {
        self.words = words;
    }

    /// The words that are put right when they are read.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Its bytes as they are.
    pub fn original(&self) -> Original<'_> {
        Original(self)
    }

    fn read_original(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        match &self.kind {
            Kind::File(file) => pread(file, buf, at),
            Kind::Path(path) => pread(&File::open(path)?, buf, at),
            Kind::Mapped(map) => map[..].read_at(at, buf),
            Kind::Memory(bytes) => bytes[..].read_at(at, buf),
        }
    }

    /// Whether the file has another length or time than when it was opened: someone is writing it.
    pub fn changed(&self) -> bool {
        let meta = match &self.kind {
            Kind::File(file) => file.metadata(),
            Kind::Path(path) => std::fs::metadata(path),
            Kind::Mapped(_) | Kind::Memory(_) => return false,
        };
        let now = meta.ok().and_then(|meta| Stamp::of(&meta));
        self.stamp.is_some() && now.is_some_and(|now| Some(now) != self.stamp)
    }

    /// Whether `path` still leads to the file that was opened, as it was then.
    pub fn is_still(&self, path: &Path) -> bool {
        let now = std::fs::metadata(path).ok().and_then(|meta| Stamp::of(&meta));
        self.stamp.is_none() || now == self.stamp
    }

    /// How far the scan has come, in bytes.
    pub fn progress(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.read_original(at, buf)?;
        let end = at.saturating_add(n as u64);
        let first = self.words.partition_point(|word| word.at + 4 <= at);
        for word in self.words[first..].iter().take_while(|word| word.at < end) {
            for (place, byte) in (word.at..).zip(word.inferred) {
                if let Some(here) = place.checked_sub(at).and_then(|i| buf[..n].get_mut(i as usize)) {
                    *here = byte;
                }
            }
        }
        Ok(n)
    }

    fn data_at(&self, from: u64) -> u64 {
        match &self.kind {
            Kind::File(file) if self.sparse => next_data(file, from, self.size),
            _ => from,
        }
    }

    fn whole(&self) -> Option<&[u8]> {
        match &self.kind {
            _ if !self.words.is_empty() => None,
            Kind::File(_) | Kind::Path(_) => None,
            Kind::Mapped(map) => Some(map),
            Kind::Memory(bytes) => Some(bytes),
        }
    }

    fn passed(&self, at: u64) {
        self.passed.store(at, Ordering::Relaxed);
    }
}

/// A file without what is put right when it is read.
pub struct Original<'a>(&'a Source);

impl ReadAt for Original<'_> {
    fn size(&self) -> u64 {
        self.0.size
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_original(at, buf)
    }
}

#[allow(unsafe_code)]
fn map_file(file: &File, path: &Path) -> Result<memmap2::Mmap> {
    // SAFETY: the map is read-only and private to this process; the user asked for it with --map, whose help says that
    // nothing may truncate the file meanwhile.
    let map =
        unsafe { memmap2::Mmap::map(file) }.with_context(|| format!("{}: cannot map", path.display()))?;
    #[cfg(unix)]
    map.advise(memmap2::Advice::Sequential).ok();
    Ok(map)
}

#[cfg(unix)]
fn unreadable_kind(meta: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = meta.file_type();
    if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_char_device() {
        Some("a character device")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_dir() {
        Some("a directory")
    } else {
        None
    }
}

#[cfg(not(unix))]
fn unreadable_kind(meta: &Metadata) -> Option<&'static str> {
    meta.is_dir().then_some("a directory")
}

/// Block devices have no length of their own: their end tells.
fn size_of(mut file: &File, meta: &Metadata) -> io::Result<u64> {
    if meta.is_file() { Ok(meta.len()) } else { io::Seek::seek(&mut file, io::SeekFrom::End(0)) }
}

#[cfg(unix)]
fn is_sparse(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    meta.is_file() && meta.blocks().saturating_mul(512) < meta.len()
}

#[cfg(not(unix))]
fn is_sparse(_: &Metadata) -> bool {
    false
}

/// Reads at an offset, without moving any cursor.
#[cfg(unix)]
pub(crate) fn pread(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

#[cfg(windows)]
pub(crate) fn pread(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, at)
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
fn next_data(file: &File, from: u64, size: u64) -> u64 {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(data) => data,
        // No data behind `from`: the hole reaches to the end.
        Err(rustix::io::Errno::NXIO) => size,
        Err(_) => from,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
fn next_data(_: &File, from: u64, _: u64) -> u64 {
    from
}
