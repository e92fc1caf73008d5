//! Ties frames together again: where one was left out or put right, every later one takes up another sum.

use super::facts::Facts;
use super::frame::{HEADER, Head, Header, Shape, Sum};
use crate::format::{Link, LogFile};
use crate::log::bytes::{Bytes, Reader};
use crate::log::record::Fix;

/// See the top of this file.
pub struct Chain {
    shape: Shape,
    salts: u64,
    /// The sum that the next frame takes up.
    sum: Sum,
    header: (u64, Option<Vec<u8>>),
}

impl Chain {
    /// For one file of a log; `None` where nothing tells what its frames look like.
    pub fn of(files: &[LogFile<'_>], file: usize) -> Option<Chain> {
        let facts = Facts::of(files, file);
        let frames = facts.frames?;
        let chain = |sum, header| Chain { shape: frames.shape, salts: frames.salts, sum, header };
        if let Some(header) = facts.header.filter(|header| header.fault.is_none() && frames.start == HEADER) {
            return Some(chain(header.sums[0], (HEADER, None)));
        }
        let stands = frames.start == HEADER;
        let sequence = Reader::new(files[file].src).array(12).ok().filter(|_| stands);
        let (bytes, sum) = Header::bytes(frames.shape, sequence.unwrap_or_default(), frames.salts);
        Some(chain(sum, (if stands { HEADER } else { 0 }, Some(bytes.to_vec()))))
    }
}

impl Link for Chain {
    fn header(&self) -> (u64, Option<Vec<u8>>) {
        self.header.clone()
    }

    fn record(&mut self, record: &[u8]) -> [Option<Fix>; 2] {
        let Some(head) = record.first_chunk().map(Head::of) else { return [None; 2] };
        self.sum = self.shape.sum(self.sum, record);
        let fix = |field, found, inferred| (found != inferred).then_some(Fix { field, found, inferred });
        [fix("salts", head.salts, self.salts), fix("checksum", head.sum.number(), self.sum.number())]
    }
}
