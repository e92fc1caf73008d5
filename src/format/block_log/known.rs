//! What is known of a log apart from its records: a log is asked about over and over, and its files need to be read for it once.

use std::sync::{Arc, OnceLock};

use super::directory::Directory;
use super::engine::Answers;
use super::{Facts, Flavour};
use crate::format::LogFile;

/// Each part is found when it is first asked for.
pub struct Known {
    directory: OnceLock<Arc<Directory>>,
    /// By index of the file.
    facts: Vec<OnceLock<Facts>>,
    /// What engines make of it.
    pub answers: Answers,
}

impl Known {
    /// What is kept with these files; `None`: nothing is kept.
    pub fn of(files: &[LogFile<'_>]) -> Option<Arc<Known>> {
        let memo = files.first()?.memo?;
        Some(memo.get(|| {
            let facts = files.iter().map(|_| OnceLock::new()).collect();
            Arc::new(Known { directory: OnceLock::new(), facts, answers: Answers::default() })
        }))
    }
}

impl Directory {
    /// What these files say of the logs among them.
    pub fn of(flavour: Flavour, files: &[LogFile<'_>]) -> Arc<Directory> {
        let read = || Arc::new(Directory::read(flavour, files));
        Known::of(files).map_or_else(read, |known| known.directory.get_or_init(read).clone())
    }
}

impl Facts {
    /// What the name and the first records of a file tell.
    pub fn of(flavour: Flavour, files: &[LogFile<'_>], file: usize) -> Facts {
        let read = || Facts::read(flavour, files, file);
        let known = Known::of(files);
        let kept = known.as_ref().and_then(|known| known.facts.get(file));
        kept.map_or_else(read, |kept| *kept.get_or_init(read))
    }
}

#[cfg(test)]
pub mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::ROCKSDB;
    use super::super::fragment::put;
    use super::*;
    use crate::codec::varint;
    use crate::format::{Format, Memo, Open};
    use crate::log::bytes::ReadAt;

    /// Counts how often its first byte is read.
    pub struct Counting {
        bytes: Vec<u8>,
        reads: AtomicU64,
    }

    impl Counting {
        pub fn of(bytes: Vec<u8>) -> Counting {
            Counting { bytes, reads: AtomicU64::new(0) }
        }

        pub fn reads(&self) -> u64 {
            self.reads.load(Ordering::Relaxed)
        }
    }

    impl ReadAt for Counting {
        fn size(&self) -> u64 {
            self.bytes.len() as u64
        }
        fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.reads.fetch_add(u64::from(at == 0), Ordering::Relaxed);
            self.bytes.as_slice().read_at(at, buf)
        }
    }

    /// A store of one family: its catalogue and a log in recyclable fragments with one batch.
    fn store() -> Vec<(&'static str, Counting)> {
        let (mut manifest, mut log) = (Vec::new(), Vec::new());
        // Comparator, log number, next file, last sequence.
        put(1, None, b"\x01\x01b\x02\x04\x03\x05\x04\x00", &mut manifest);
        let mut put_one = [&1u64.to_le_bytes()[..], &1u32.to_le_bytes(), &[1]].concat();
        for string in [b"key", b"val"] {
            varint::put(3u64, &mut put_one);
            put_one.extend_from_slice(string);
        }
        put(5, Some(4), &put_one, &mut log);
        let files = [
            ("000004.log", log),
            ("OPTIONS-000006", b"wal_recovery_mode=kAbsoluteConsistency\n".to_vec()),
            ("MANIFEST-000005", manifest),
            ("CURRENT", b"MANIFEST-000005\n".to_vec()),
        ];
        files.map(|(name, bytes)| (name, Counting::of(bytes))).into()
    }

    /// Asks all there is to ask before records are read.
    fn ask(format: &dyn Format, files: &[LogFile<'_>]) {
        let open: Open = Arc::new(|_| None);
        assert!(matches!(format.base(files, &open), Ok(None)));
        assert_eq!(format.families(files).len(), 1);
        assert_eq!(format.mode(files), Some("absolute-consistency"));
        assert!(format.tracked(files).is_none());
        assert_eq!(format.settled(files, &[]), 0);
        assert!(format.memtable(files).is_some());
        assert!(format.context(files, 0).is_some() && format.unpack(files, 0).is_some());
        assert!(format.framer(files, 0).is_some());
        format.open(files, 0, None);
    }

    fn reads_of(asked: u64, memo: Option<&Memo>) -> Vec<(&'static str, u64)> {
        let sources = store();
        let files: Vec<LogFile<'_>> = sources
            .iter()
            .map(|(name, src)| {
                let claim = ROCKSDB.claim(name).expect("a file of the store");
                LogFile { name, claim, src, memo, stream: false }
            })
            .collect();
        (0..asked).for_each(|_| ask(&ROCKSDB, &files));
        sources.iter().map(|(name, src)| (*name, src.reads())).collect()
    }

    #[test]
    fn each_file_is_read_once_however_often_it_is_asked_about() {
        let once = reads_of(3, Some(&Memo::default()));
        assert!(once.iter().all(|(_, reads)| *reads == 1), "{once:?}");
        let anew = reads_of(3, None);
        assert!(anew.iter().all(|(_, reads)| *reads >= 9), "without a place to keep it: {anew:?}");
    }
}
