//! Reading ahead: another thread fetches what a scan comes to next, while this one checks what is there.
//!
//! Where records are large most of the time goes into copying them out of the page cache. What a scan finds does not depend on
//! it: what was not asked for in time, or could not be read, the reader reads itself.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::buffer::Buffer;
use super::bytes::{ReadAt, Reader};

/// Bytes fetched at a time: so many that the threads seldom wake each other.
pub const PIECE: usize = 1 << 20;
/// Pieces on their way.
const PIECES: usize = 2;

/// The other thread, as the reader sees it.
pub struct Ahead {
    ask: SyncSender<(Buffer, u64)>,
    given: Receiver<Buffer>,
    free: Vec<Buffer>,
    /// Where each of those asked for begins and ends.
    under_way: VecDeque<(u64, u64)>,
}

/// Does `work` with a reader of `src` for whose scan another thread reads ahead.
pub fn with_reader<T>(src: &dyn ReadAt, work: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    thread::scope(|scope| {
        let (ask, asked) = sync_channel::<(Buffer, u64)>(PIECES);
        let (give, given) = sync_channel(PIECES);
        // Ends when the reader is dropped.
        let fetch = move || {
            for (mut piece, to) in asked {
                // What cannot be read the reader finds out itself.
                piece.read(src, to).ok();
                if give.send(piece).is_err() {
                    break;
                }
            }
        };
        // Where the system grants no thread nobody hears what is asked.
        thread::Builder::new().spawn_scoped(scope, fetch).ok();
        let free = std::iter::repeat_with(Buffer::default).take(PIECES).collect();
        work(&mut Reader::new(src).with_ahead(Ahead { ask, given, free, under_way: VecDeque::new() }))
    })
}

impl Ahead {
    /// Puts the piece that follows `main` in its place, together with the bytes of `main` from `at` on; `false`: it was not
    /// asked for, or could not be read.
    pub fn advance(&mut self, main: &mut Buffer, at: u64) -> bool {
        while let Some((from, to)) = self.under_way.pop_front() {
            let Ok(mut piece) = self.given.recv() else { return false };
            let follows = from == main.end() && piece.end() == to && piece.put_in_front(main, at);
            if follows {
                std::mem::swap(main, &mut piece);
            }
            self.free.push(piece);
            if follows {
                return true;
            }
        }
        false
    }

    /// Asks for the pieces from an offset to another, as many as may be on their way; goes on where it has begun already.
    pub fn ask(&mut self, from: u64, end: u64) {
        let mut from = self.under_way.back().map_or(from, |&(_, to)| to);
        while from < end
            && let Some(mut piece) = self.free.pop()
        {
            let to = end.min(from + PIECE as u64);
            piece.begin(from, PIECE);
            if self.ask.send((piece, to)).is_err() {
                return;
            }
            self.under_way.push_back((from, to));
            from = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::log::bytes::{Bytes, CHUNK};

    /// Bytes that tell where they lie, and cannot be read in some places.
    struct Far {
        size: u64,
        bad: std::ops::Range<u64>,
    }

    fn byte(at: u64) -> u8 {
        (at ^ (at >> 8) ^ (at >> 16)) as u8
    }

    impl ReadAt for Far {
        fn size(&self) -> u64 {
            self.size
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
            let to = self.size.min(at + buf.len() as u64);
            if at < self.bad.end && to > self.bad.start {
                return Err(io::Error::other("medium error"));
            }
            (at..to).zip(buf.iter_mut()).for_each(|(at, place)| *place = byte(at));
            Ok(to.saturating_sub(at) as usize)
        }
    }

    /// Goes through a file in steps of many sizes, looking back and far ahead in between.
    fn walk(src: &Far) -> Vec<std::ops::Range<u64>> {
        with_reader(src, |reader| {
            let (mut at, mut step) = (0, 1);
            while at < src.size {
                let window = reader.forward(at, step as usize);
                let to = src.size.min(at + step);
                let fine = (at..to).zip(window.slice(at..to).expect("what was asked for"));
                for (at, &found) in fine {
                    assert!(found == byte(at) || src.bad.start / 512 * 512 <= at && at < src.bad.end + 512);
                }
                assert_eq!(reader.array::<1>(src.size - 1), Ok([byte(src.size - 1)]));
                at += step;
                step = (step * 7 + 1) % (PIECE as u64 * 5 / 2);
            }
            reader.unreadable.clone()
        })
    }

    #[test]
    fn what_is_read_ahead_is_what_is_there() {
        for size in [1, CHUNK as u64, PIECE as u64 + 1, 19 * PIECE as u64 + 77] {
            assert_eq!(walk(&Far { size, bad: 0..0 }), []);
        }
    }

    #[test]
    fn a_medium_error_costs_only_its_sector() {
        let bad = 5 << 20..(5 << 20) + 512;
        assert_eq!(walk(&Far { size: 12 << 20, bad: bad.clone() }), [bad]);
    }

    /// A jump backwards or far ahead is not answered with what was under way.
    #[test]
    fn jumps_are_followed() {
        let src = Far { size: 40 << 20, bad: 0..0 };
        with_reader(&src, |reader| {
            for at in [0, 30 << 20, 1 << 20, (1 << 20) + 5, 39 << 20, 3] {
                for at in [at, at + CHUNK as u64 - 1, at + CHUNK as u64 + 4] {
                    let window = reader.forward(at, 4);
                    let found = window.slice(at..(at + 4).min(src.size)).expect("what was asked for");
                    assert_eq!(found, (at..at + 4).map(byte).collect::<Vec<_>>());
                }
            }
        });
    }
}
