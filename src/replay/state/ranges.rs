//! Ranges of keys that were deleted. Each hides what is older than it: entries carry the number of ranges before them, and
//! one sweep in order of the keys finds the newest range over each, whatever their number.

use std::collections::BinaryHeap;

use anyhow::Result;

/// Keys from `start` on, up to `end`, which is not among them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    /// The first key.
    pub start: Vec<u8>,
    /// What was written with a lower stamp is gone.
    pub stamp: u32,
    /// See above.
    pub end: Vec<u8>,
}

/// Ranges in order of their starts.
pub(super) type Ranges<'a> = Box<dyn Iterator<Item = Result<Range>> + 'a>;

/// Goes over ranges along with rising keys.
pub(super) struct Sweep<'a> {
    ranges: Ranges<'a>,
    next: Option<Range>,
    /// Those that have begun, the newest on top, by stamp and end.
    begun: BinaryHeap<(u32, Vec<u8>)>,
}

impl<'a> Sweep<'a> {
    pub fn new(mut ranges: Ranges<'a>) -> Result<Self> {
        let next = ranges.next().transpose()?;
        Ok(Sweep { ranges, next, begun: BinaryHeap::new() })
    }

    /// The stamp of the newest range over a key, 0: there is none. Keys must not fall.
    pub fn over(&mut self, key: &[u8]) -> Result<u32> {
        while let Some(range) = self.next.take_if(|range| range.start[..] <= *key) {
            if range.end[..] > *key {
                self.begun.push((range.stamp, range.end));
            }
            self.next = self.ranges.next().transpose()?;
        }
        while self.begun.peek().is_some_and(|(_, end)| end[..] <= *key) {
            self.begun.pop();
        }
        Ok(self.begun.peek().map_or(0, |(stamp, _)| *stamp))
    }
}
