//! What the bytes of both files tell before anything is judged: which checksum, which page size, any commit.

use super::{DATA, EntryFraming, FIXED, KIND_COMMIT, KIND_PAGE, WalDecoder, page, pages};
use crate::format::{LogFile, Role};
use crate::log::bytes::{Bytes, Prefix, Reader};
use crate::log::decoder::Recovery;
use crate::log::layout::Sum;
use crate::log::record::Record;
use crate::log::scan::{Sink, scan};

/// What the bytes tell before anything is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Checksum of the entries, if any is proved.
    pub checksum: Option<Sum>,
    /// The smallest image among the first entries.
    pub wal_size: Option<u64>,
    /// The size for which the pages of `btree.dat` make sense.
    pub dat_size: Option<u64>,
    /// A commit entry, a commit mark.
    pub commit: bool,
    /// See `commit`.
    pub mark: bool,
}

impl Facts {
    /// The facts of a log; its bytes are looked at once.
    pub fn of(files: &[LogFile<'_>]) -> Facts {
        let memo = files.first().and_then(|f| f.memo);
        memo.map_or_else(|| Facts::read(files), |memo| memo.get(|| Facts::read(files)))
    }

    fn read(files: &[LogFile<'_>]) -> Facts {
        let mut facts = Facts::default();
        if let Some(wal) = files.iter().find(|f| f.claim.role == Role::Log) {
            // A byte sum fits by chance, over zeros above all; a CRC-32 does not.
            let crc = Sample::of(wal, Sum::Crc32);
            let (sample, checksum) =
                if crc.bytes > 0 { (crc, Sum::Crc32) } else { (Sample::of(wal, Sum::Bytes), Sum::Bytes) };
            facts.checksum = (sample.bytes > 0).then_some(checksum);
            facts.wal_size = sample.shortest;
            facts.commit = sample.commit && checksum == Sum::Crc32;
            facts.mark = sample.commit && checksum == Sum::Bytes;
        }
        if let Some(dat) = files.iter().find(|f| f.claim.role == Role::Pages) {
            facts.dat_size = pages::size_of(dat.src, facts.wal_size);
        }
        facts
    }

    /// The page size that the WAL was written with.
    pub fn size(&self) -> Option<u64> {
        // All images of a WAL may be overfull; the data file then knows better.
        let longer = |dat: u64| self.wal_size.is_none_or(|wal| wal > dat && !wal.is_power_of_two());
        self.dat_size.filter(|&dat| longer(dat)).or(self.wal_size)
    }

    /// How the entries of the WAL are framed.
    pub fn framing(&self, revision: Option<&str>) -> EntryFraming {
        let by_name = if revision == Some("r1") { Sum::Bytes } else { Sum::Crc32 };
        EntryFraming { size: self.size(), checksum: self.checksum.unwrap_or(by_name) }
    }
}

/// Looks at the first entries of a WAL with one checksum and no page size.
#[derive(Default)]
pub struct Sample {
    records: usize,
    /// Bytes of the entries that hold an image.
    pub bytes: u64,
    shortest: Option<u64>,
    commit: bool,
}

impl Sample {
    /// A WAL holds one operation; what a thousand entries do not tell, more will not.
    const ENOUGH: usize = 1024;
    /// And where there are none in so many bytes, none are looked for in the rest.
    const LOOK: u64 = 1 << 20;

    /// The first entries of a WAL.
    pub fn of(wal: &LogFile<'_>, checksum: Sum) -> Sample {
        let mut sample = Sample::default();
        let mut decoder = WalDecoder::new(EntryFraming { size: None, checksum });
        let prefix = Prefix { src: wal.src, len: Sample::LOOK };
        scan(&mut Reader::new(&prefix), &mut decoder, 0, &mut sample);
        sample
    }
}

impl Sink for Sample {
    fn records(&mut self, batch: &[Record], reader: &mut Reader<'_>) {
        self.records += batch.len();
        for r in batch {
            self.commit |= r.kind == KIND_COMMIT;
            // The byte sum of lost sectors fits itself: zeros prove nothing.
            let mut blank = || reader.piece(r.at + DATA..r.end()).is_ok_and(page::is_zero);
            if r.kind == KIND_PAGE && !blank() {
                self.bytes += r.len;
                let len = r.len - FIXED;
                self.shortest = Some(self.shortest.map_or(len, |shortest| shortest.min(len)));
            }
        }
    }

    fn framing(&mut self, _: u64, _: u64, _: &mut Reader<'_>) {}

    fn damage(&mut self, _: &Recovery, _: &mut Reader<'_>) {}

    fn done(&self) -> bool {
        self.records >= Sample::ENOUGH
    }
}
