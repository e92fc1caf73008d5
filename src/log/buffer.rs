//! Bytes of a file in memory, as a scan needs them: what is left of the last piece, and the next one behind it.

use std::io;

use super::bytes::{ReadAt, Window};

/// Of memory and of the page cache, on most systems.
const PAGE: usize = 4 << 10;

/// Bytes of the file from `base` on: `len` of them in `memory`, from `start` on.
#[derive(Default)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
    base: u64,
}

impl Buffer {
    /// Offset of its first byte.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Offset behind its last byte.
    pub fn end(&self) -> u64 {
        self.base + self.len as u64
    }

    /// Whether it has all bytes from one offset to the other.
    #[inline]
    pub fn holds(&self, from: u64, to: u64) -> bool {
        from >= self.base && to <= self.end()
    }

    /// What it has of a file that is `end` bytes long.
    pub fn window(&self, end: u64) -> Window<'_> {
        Window { bytes: &self.memory[self.start..self.start + self.len], base: self.base, end }
    }

    /// Drops what lies before `at`, and makes room up to `to` or, where a piece of pages is asked for, to the end of a page, so
    /// that the next read begins with one; gives back where the room ends. What is read goes to the start of a page of memory,
    /// too: to some places the system copies at two thirds of the speed.
    pub fn make_room(&mut self, at: u64, to: u64, end: u64) -> u64 {
        let to = if to.saturating_sub(at) < PAGE as u64 { to } else { to.next_multiple_of(PAGE as u64) };
        let to = to.min(end).max(at);
        let (mut old, kept) = match at.checked_sub(self.base).filter(|&skip| skip < self.len as u64) {
            Some(skip) => (self.start + skip as usize, self.len - skip as usize),
            None => (0, 0),
        };
        let (front, more) = (kept.next_multiple_of(PAGE), ((to - at) as usize).saturating_sub(kept));
        let need = PAGE + front + more;
        // One long record must not keep its memory for the rest of the file.
        if need > self.memory.len() || self.memory.len() / 8 > need {
            let mut fresh = vec![0; need];
            fresh[..kept].copy_from_slice(&self.memory[old..old + kept]);
            (self.memory, old) = (fresh, 0);
        }
        let start = self.page() + front - kept;
        self.memory.copy_within(old..old + kept, start);
        (self.base, self.start, self.len) = (at, start, kept);
        to
    }

    /// Empties it: room for `len` bytes from `at` on, and in front of them for as many others.
    pub fn begin(&mut self, at: u64, len: usize) {
        if self.memory.len() < PAGE + 2 * len {
            self.memory = vec![0; PAGE + 2 * len];
        }
        (self.base, self.start, self.len) = (at, self.page() + len, 0);
    }

    /// Puts in front of its bytes those of `before` from `at` on; `false`: it does not go on where that ends, or has no room.
    pub fn put_in_front(&mut self, before: &Buffer, at: u64) -> bool {
        if before.end() != self.base || !(before.base..=self.base).contains(&at) {
            return false;
        }
        let kept = (before.end() - at) as usize;
        let Some(start) = self.start.checked_sub(kept) else { return false };
        let from = before.start + before.len - kept;
        self.memory[start..self.start].copy_from_slice(&before.memory[from..from + kept]);
        (self.base, self.start, self.len) = (at, start, self.len + kept);
        true
    }

    /// Where the first page of its memory begins; anywhere, where an address cannot be told.
    fn page(&self) -> usize {
        Some(self.memory.as_ptr().align_offset(PAGE)).filter(|&place| place < PAGE).unwrap_or(0)
    }

    /// The room up to an offset that there is room for.
    pub fn room(&mut self, to: u64) -> &mut [u8] {
        let len = to.saturating_sub(self.end()) as usize;
        &mut self.memory[self.start + self.len..][..len]
    }

    /// So many bytes of the room are filled.
    pub fn filled(&mut self, bytes: usize) {
        self.len += bytes;
    }

    /// Reads what is there up to an offset that there is room for.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` where the file has become shorter. What came before counts.
    pub fn read(&mut self, src: &dyn ReadAt, to: u64) -> io::Result<()> {
        while self.end() < to {
            let place = self.end();
            match src.read_at(place, self.room(to)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.filled(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
