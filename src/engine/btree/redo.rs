//! The WAL as recovery reads it: which images its committed groups hold, and whether what follows them is nothing but the
//! torn end of a group that never committed.

use std::collections::HashMap;

use super::pager::read_all;
use super::{Result, WAL, damaged, io};
use crate::codec::crc32;
use crate::engine::storage::Storage;
use crate::format::ddia_btree::page::{self, SIZES};
use crate::format::ddia_btree::{COMMIT, FIXED, MAX_SEQ, encode};

/// Bytes in front of an image.
const HEAD: u64 = 12;
/// Bytes of a commit entry.
const MARK: usize = FIXED as usize;
/// Commit entries behind damage that are looked at; where none of so many proves anything, the WAL is not to be trusted.
const MAX_MARKS: u32 = 4096;
/// Piece in which the rest of a WAL is searched.
const PIECE: usize = 64 << 10;
/// Entries that are asked for the page size.
const ASKED: u32 = 1024;

/// What is to be written in place: the offset of the newest committed image of each page.
#[derive(Debug, Default)]
pub struct Redo {
    pub images: HashMap<u32, u64>,
}

enum Entry {
    Image(u32),
    Commit,
}

/// Reads a WAL of `len` bytes with images of `size` bytes.
///
/// # Errors
/// [`Error::Damaged`](super::Error) where an entry in front of a commit entry cannot be right; I/O.
pub fn read(storage: &dyn Storage, size: usize, len: u64) -> Result<Redo> {
    let mut redo = Redo::default();
    let mut group: Vec<(u32, u64)> = Vec::new();
    let (mut at, mut seq) = (0, 1u32);
    let mut buf = vec![0; size + MARK];
    while at < len {
        let here = usize::try_from(len - at).unwrap_or(usize::MAX).min(buf.len());
        let bytes = &mut buf[..here];
        if !read_all(storage, WAL, at, bytes)? {
            return damaged(WAL, at, "the file became shorter while it was read");
        }
        match entry(bytes, size, seq) {
            Ok(Entry::Image(page)) => {
                group.push((page, at + HEAD));
                (at, seq) = (at + (size + MARK) as u64, seq.saturating_add(1));
            }
            Ok(Entry::Commit) => {
                redo.images.extend(group.drain(..));
                (at, seq) = (at + FIXED, 1);
            }
            Err(_) if torn(bytes, size, seq) && !committed_behind(storage, Break { at, seq }, size, len)? => {
                break;
            }
            Err(what) => return damaged(WAL, at, what),
        }
    }
    Ok(redo)
}

/// Judges what should be entry number `seq` of its group.
fn entry(bytes: &[u8], size: usize, seq: u32) -> std::result::Result<Entry, &'static str> {
    let Some([found, page, len]) = words(bytes, 0) else { return Err("an entry that the file cuts off") };
    if page == COMMIT {
        return if is_commit(bytes, seq) { Ok(Entry::Commit) } else { Err("a commit entry that is none") };
    }
    if len as usize != size {
        return Err("an image that is not one page long");
    }
    let Some(image) = bytes.get(HEAD as usize..HEAD as usize + size) else {
        return Err("an entry that the file cuts off");
    };
    let stored =
        bytes.get(HEAD as usize + size..).and_then(|b| b.first_chunk().map(|b| u32::from_be_bytes(*b)));
    if stored != Some(crc32::update(0, image)) {
        return Err("an image that its checksum does not fit");
    }
    if found != seq {
        return Err("an entry with a number out of turn");
    }
    let content = if page == 0 { page::meta(image).map(|_| ()) } else { page::node(image).map(|_| ()) };
    content.map(|()| Entry::Image(page))
}

fn words<const N: usize>(bytes: &[u8], at: usize) -> Option<[u32; N]> {
    let bytes = bytes.get(at..)?;
    let mut words = [0; N];
    for (i, word) in words.iter_mut().enumerate() {
        *word = u32::from_be_bytes(*bytes.get(i * 4..)?.first_chunk()?);
    }
    Some(words)
}

fn is_commit(bytes: &[u8], seq: u32) -> bool {
    words(bytes, 0) == Some([seq, COMMIT, 0, 0])
}

/// Whether what ends a WAL can be the torn end of a group. Sixteen bytes that are neither the head of an entry nor a commit
/// entry of which a part was not written yet are a commit entry gone bad.
fn torn(bytes: &[u8], size: usize, seq: u32) -> bool {
    let mut commit = Vec::with_capacity(MARK);
    encode::commit(&mut commit, seq);
    let head = words(bytes, 0)
        .is_some_and(|[found, page, len]: [u32; 3]| found == seq && page != COMMIT && len as usize == size);
    bytes.len() != MARK
        || head
        || bytes.iter().zip(&commit).all(|(found, meant)| *found == 0 || found == meant)
}

/// Where a group broke off: the offset, and the number of the entry that should be there.
#[derive(Clone, Copy)]
struct Break {
    at: u64,
    seq: u32,
}

/// Whether the group that broke off was committed, or one behind it was. A commit entry is written only when all in front
/// of it is on disk: what is broken in front of one was broken later.
fn committed_behind(storage: &dyn Storage, from: Break, size: usize, len: u64) -> Result<bool> {
    if len - from.at > u64::from(MAX_SEQ) * (size + MARK) as u64 {
        // No group is that long, so no crash of one left this.
        return Ok(true);
    }
    let mut piece = vec![0; PIECE];
    let (mut at, mut marks) = (from.at, 0);
    while len.saturating_sub(at) >= FIXED {
        let here = usize::try_from(len - at).unwrap_or(usize::MAX).min(PIECE);
        let bytes = &mut piece[..here];
        if !read_all(storage, WAL, at, bytes)? {
            return damaged(WAL, at, "the file became shorter while it was read");
        }
        for (i, window) in bytes.windows(MARK).enumerate() {
            let Some([seq, COMMIT, 0, 0]) = words(window, 0) else { continue };
            marks += 1;
            if marks > MAX_MARKS || proves(storage, from, at + i as u64, seq, size)? {
                return Ok(true);
            }
        }
        at += (here - MARK + 1) as u64;
    }
    Ok(false)
}

/// Whether what looks like a commit entry, with this number, is one: it stands where that of the broken group would, or
/// behind an entry that is sound.
fn proves(storage: &dyn Storage, from: Break, at: u64, seq: u32, size: usize) -> Result<bool> {
    let stride = (size + MARK) as u64;
    let (entries, rest) = ((at - from.at) / stride, (at - from.at) % stride);
    if rest == 0 && entries > 0 && u64::from(seq) == u64::from(from.seq) + entries {
        return Ok(true);
    }
    let Some(start) = at.checked_sub(stride).filter(|&start| start > from.at) else { return Ok(false) };
    let mut before = vec![0; size + MARK];
    let there = read_all(storage, WAL, start, &mut before)?;
    Ok(there && matches!(entry(&before, size, seq.wrapping_sub(1)), Ok(Entry::Image(_))))
}

/// The length of the shortest image among the first entries: the page size, where not every page overflowed.
pub fn image_len(storage: &dyn Storage, len: u64) -> Result<Option<u64>> {
    let (mut at, mut shortest) = (0u64, None::<u64>);
    for _ in 0..ASKED {
        let mut head = [0; HEAD as usize];
        if !read_all(storage, WAL, at, &mut head)? {
            break;
        }
        let Some([_, page, data]) = words(&head, 0) else { break };
        let data = u64::from(data);
        if page == COMMIT && data == 0 {
            at += FIXED;
            continue;
        }
        if !SIZES.contains(&data) || at + data + FIXED > len {
            break;
        }
        let mut image = vec![0; data as usize + 4];
        if !read_all(storage, WAL, at + HEAD, &mut image)? {
            break;
        }
        let (image, sum) = image.split_at(data as usize);
        if sum != crc32::update(0, image).to_be_bytes() {
            break;
        }
        shortest = Some(shortest.map_or(data, |s| s.min(data)));
        at += data + FIXED;
    }
    Ok(shortest)
}

/// Length of the WAL; 0 where there is none.
pub fn len(storage: &dyn Storage) -> Result<u64> {
    Ok(io(WAL, storage.size(WAL))?.unwrap_or(0))
}
