//! Logs that lie in a store under two numbers: the bytes of one are those of another, or the first of them. Such a copy would count
//! twice, and engines that see numbers fall back refuse the store or leave out what comes behind.

use super::directory::{Directory, number_of};
use super::{Flavour, kind_of, start};
use crate::format::LogFile;
use crate::log::bytes::ReadAt;
use crate::log::survey::Survey;

/// Bytes compared in one go.
const CHUNK: usize = 256 << 10;

/// Marks logs that are copies of others.
pub fn mark(flavour: Flavour, files: &[LogFile<'_>], surveys: &mut [Survey]) {
    // Both begin with the same number, which files of one log hardly ever do.
    let first = |i: usize| surveys[i].runs.first().map(|run| run.first);
    let mut logs: Vec<usize> = (0..files.len()).filter(|&i| number_of(&files[i]).is_some()).collect();
    logs.retain(|&i| files[i].src.size() > 0 && first(i).is_some());
    logs.sort_by_key(|&i| (first(i), i));
    let alike: Vec<Vec<usize>> =
        logs.chunk_by(|&a, &b| first(a) == first(b)).map(<[usize]>::to_vec).collect();
    for alike in alike.iter().filter(|alike| alike.len() > 1) {
        let directory = Directory::of(flavour, files);
        let worth = |&i: &usize| {
            let log = number_of(&files[i]).unwrap_or(0);
            let taken = files
                .iter()
                .any(|f| kind_of(f.name).is_some_and(|(_, n)| n == log && f.name != files[i].name));
            (files[i].src.size(), start::proved(&directory).contains_key(&log), !taken, std::cmp::Reverse(i))
        };
        let Some(original) = alike.iter().copied().max_by_key(worth) else { continue };
        for &copy in alike.iter().filter(|&&copy| copy != original) {
            if begins_with(files[original].src, files[copy].src) {
                surveys[copy].copy_of = Some(original);
            }
        }
    }
}

/// Whether the bytes of `part` are the first of `whole`.
fn begins_with(whole: &dyn ReadAt, part: &dyn ReadAt) -> bool {
    let (mut a, mut b, size) = (vec![0; CHUNK], vec![0; CHUNK], part.size());
    let mut at = 0;
    while at < size {
        let len = usize::try_from(size - at).map_or(CHUNK, |left| left.min(CHUNK));
        let read = |src: &dyn ReadAt, buf: &mut [u8]| src.read_at(at, buf).is_ok_and(|read| read == len);
        if !read(whole, &mut a[..len]) || !read(part, &mut b[..len]) || a[..len] != b[..len] {
            return false;
        }
        at += len as u64;
    }
    true
}
