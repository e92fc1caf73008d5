//! The database file that a recovery leaves: its bytes, and its hash without making the file.

use std::io::{self, Write};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use crate::analysis::OpenLog;
use crate::codec::hex;
use crate::format::{Fill, Image};
use crate::io::interrupt;
use crate::log::bytes::ReadAt;

/// Longer files are not hashed: one wrong page number makes a sparse file of a tebibyte.
const MAX_BYTES: u64 = 16 << 30;
/// Neither are files with more zeros than this that nobody wrote, of however small a log.
const MAX_HOLES: u64 = 1 << 30;
/// Bytes handed on at a time.
const PIECE: usize = 256 << 10;

/// SHA-256 of a file as it would be, in hexadecimal; `None` where it is too long to be worth it.
///
/// # Errors
/// When a file of the log cannot be read, or became shorter.
pub fn sha256(log: &OpenLog, image: &Image) -> Result<Option<String>> {
    let base = image.base.map_or(0, |file| log.source(file).size());
    let written = image.patches.iter().fold(base, |sum, patch| sum.saturating_add(patch.len));
    if image.len > MAX_BYTES || image.len.saturating_sub(written) > MAX_HOLES {
        return Ok(None);
    }
    write(log, image, &mut io::sink()).map(Some)
}

/// Writes the file; gives back its SHA-256.
///
/// # Errors
/// As [`pieces`]; when `out` fails.
pub fn write(log: &OpenLog, image: &Image, out: &mut dyn Write) -> Result<String> {
    let mut hash = Sha256::new();
    pieces(log, image, &mut |piece| {
        hash.update(piece);
        Ok(out.write_all(piece)?)
    })?;
    Ok(hex::text(&hash.finalize()))
}

/// Hands on the bytes of a file as it would be, from its start to its end.
///
/// # Errors
/// When a file of the log cannot be read, or became shorter; an interruption; what `each` says.
pub fn pieces(log: &OpenLog, image: &Image, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut maker = Maker { log, each, piece: vec![0; PIECE], at: 0 };
    for patch in &image.patches {
        maker.base(image, patch.at)?;
        let end = patch.at.saturating_add(patch.len).min(image.len);
        match &patch.fill {
            Fill::Part(part) => maker.file(part.file, part.span.start, part.span.end, end)?,
            Fill::Bytes(bytes) => {
                let room = usize::try_from(end.saturating_sub(maker.at)).unwrap_or(usize::MAX);
                maker.give(&bytes[..bytes.len().min(room)])?;
            }
        }
        maker.zeros(end)?;
    }
    maker.base(image, image.len)
}

/// The file, to be read anywhere in it.
pub struct File<'a> {
    log: &'a OpenLog,
    image: &'a Image,
}

impl<'a> File<'a> {
    /// Of this log.
    pub fn new(log: &'a OpenLog, image: &'a Image) -> Self {
        File { log, image }
    }

    /// Reads bytes of one origin at `at`, as many as there are up to the length of `buf`; nothing behind the end.
    fn some(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let room = self.image.len.saturating_sub(at).min(buf.len() as u64);
        let next = self.image.patches.partition_point(|patch| patch.at <= at);
        let patch = next.checked_sub(1).and_then(|i| self.image.patches.get(i));
        let (source, from, end, to) = match patch.filter(|patch| at - patch.at < patch.len) {
            Some(patch) => {
                let to = patch.at.saturating_add(patch.len);
                match &patch.fill {
                    Fill::Part(part) => {
                        (Some(part.file), part.span.start.saturating_add(at - patch.at), part.span.end, to)
                    }
                    Fill::Bytes(bytes) => {
                        let rest = bytes.get((at - patch.at) as usize..).unwrap_or_default();
                        let n = rest.len().min(room.min(to - at) as usize);
                        buf[..n].copy_from_slice(&rest[..n]);
                        if n > 0 || room == 0 {
                            return Ok(n);
                        }
                        (None, 0, 0, to)
                    }
                }
            }
            None => {
                let to = self.image.patches.get(next).map_or(u64::MAX, |patch| patch.at);
                (self.image.base, at, self.image.base.map_or(0, |file| self.log.source(file).size()), to)
            }
        };
        let room = room.min(to - at) as usize;
        match source.filter(|_| from < end) {
            Some(file) => {
                let n = room.min(usize::try_from(end - from).unwrap_or(usize::MAX));
                self.log.source(file).read_at(from, &mut buf[..n])
            }
            None => {
                buf[..room].fill(0);
                Ok(room)
            }
        }
    }
}

impl ReadAt for File<'_> {
    fn size(&self) -> u64 {
        self.image.len
    }

    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.some(at.saturating_add(done as u64), &mut buf[done..])? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }
}

struct Maker<'a> {
    log: &'a OpenLog,
    each: &'a mut dyn FnMut(&[u8]) -> Result<()>,
    piece: Vec<u8>,
    /// Bytes handed on.
    at: u64,
}

impl Maker<'_> {
    /// Goes on with the old file up to offset `to`.
    fn base(&mut self, image: &Image, to: u64) -> Result<()> {
        if let Some(file) = image.base {
            let size = self.log.source(file).size();
            self.file(file, self.at, size, to)?;
        }
        self.zeros(to)
    }

    /// Goes on with the bytes `from..end` of a file, but not past offset `to` of the image.
    fn file(&mut self, file: usize, from: u64, end: u64, to: u64) -> Result<()> {
        let mut from = from;
        while from < end && self.at < to {
            interrupt::check()?;
            let want = (end - from).min(to - self.at).min(PIECE as u64) as usize;
            let n = self.log.source(file).read_at(from, &mut self.piece[..want])?;
            if n == 0 {
                bail!("{}: it became shorter", self.log.log.files[file].name);
            }
            (self.each)(&self.piece[..n])?;
            (from, self.at) = (from + n as u64, self.at + n as u64);
        }
        Ok(())
    }

    fn zeros(&mut self, to: u64) -> Result<()> {
        if self.at < to {
            self.piece.fill(0);
        }
        while self.at < to {
            interrupt::check()?;
            let n = (to - self.at).min(PIECE as u64);
            (self.each)(&self.piece[..n as usize])?;
            self.at += n;
        }
        Ok(())
    }

    fn give(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        (self.each)(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{ALL, Part, Patch};

    #[test]
    fn patches_zeros_and_the_old_file_make_the_image() {
        let files = vec![("btree.wal".into(), b"0123456789".to_vec()), ("btree.dat".into(), vec![b'd'; 20])];
        let format = *ALL.iter().find(|f| f.profile().name == "ddia-btree").unwrap();
        let log = OpenLog::memory(format, files, None);
        // Read in pieces of any size it is the same file.
        let sum = |image: &Image| {
            for piece in [1, 3, 64] {
                let (mut whole, mut read, file) = (Vec::new(), Vec::<u8>::new(), File::new(&log, image));
                write(&log, image, &mut whole).unwrap();
                while (read.len() as u64) < image.len.min(1 << 10) {
                    let mut buf = vec![0; piece];
                    let n = file.read_at(read.len() as u64, &mut buf).unwrap();
                    assert!(n > 0, "ends at {}", read.len());
                    read.extend(&buf[..n]);
                }
                assert_eq!(read, whole[..read.len()]);
            }
            sha256(&log, image).unwrap()
        };
        let hash = |bytes: &[u8]| Some(hex::text(&Sha256::digest(bytes)));
        let part = Fill::Part(Part { file: 0, span: 2..5 });
        let patches = vec![
            Patch { at: 2, len: 2, fill: Fill::Bytes(b"xyz".to_vec()) },
            Patch { at: 10, len: 6, fill: part.clone() },
            Patch { at: 24, len: 4, fill: part },
        ];
        let mut image = Image { base: Some(1), len: 26, page_bytes: 2, patches };
        assert_eq!(sum(&image), hash(b"ddxydddddd234\0\0\0dddd\0\0\0\x0023"));
        image.base = None;
        assert_eq!(sum(&image), hash(b"\0\0xy\0\0\0\0\0\x00234\0\0\0\0\0\0\0\0\0\0\x0023"));
        image.len = MAX_HOLES + 100;
        assert_eq!(sha256(&log, &image).unwrap(), None);
        image.len = MAX_BYTES + 1;
        assert_eq!(sha256(&log, &image).unwrap(), None);
    }
}
