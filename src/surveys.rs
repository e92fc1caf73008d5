//! Files read for their surveys: each by one thread or, where there are threads to spare, a long one by two.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::format::{Format, LogFile, Opened};
use crate::log::ahead;
use crate::log::bytes::Reader;
use crate::log::decoder::Decoder;
use crate::log::fault::Cause;
use crate::log::region::Kind;
use crate::log::scan::scan;
use crate::log::survey::Survey;
use crate::log::surveyor::Surveyor;

/// From this size on, in bytes, a file is worth a second thread.
const LONG: u64 = 8 << 20;

/// Files to survey.
pub struct Surveys<'a> {
    /// Their format.
    pub format: &'static dyn Format,
    /// The files.
    pub files: &'a [LogFile<'a>],
    /// Revision to read them by.
    pub revision: Option<&'static str>,
    /// Regions that are told apart in a file.
    pub limit: usize,
}

/// What the system had to say while a file was read.
#[derive(Default, PartialEq)]
pub struct Read {
    /// Ranges that it refused to read.
    pub unreadable: Vec<Range<u64>>,
    /// The file became shorter.
    pub shrunk: bool,
}

impl Surveys<'_> {
    /// The survey of each file, and what there is to say about reading some of them, by their indices.
    pub fn on(&self, threads: usize) -> (Vec<Survey>, HashMap<usize, Read>) {
        let (next, reads) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
        let surveys: Vec<OnceLock<Survey>> = self.files.iter().map(|_| OnceLock::new()).collect();
        let spare = threads >= 2 * self.files.iter().filter(|file| is_long(file)).count();
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = self.files.get(i) else { break };
                let (survey, read) = match spare && is_long(file) {
                    true => ahead::with_reader(file.src, |reader| self.survey(i, reader)),
                    false => self.survey(i, &mut Reader::new(file.src)),
                };
                surveys[i].set(survey).expect("no other worker takes the same file");
                if read != Read::default() {
                    reads.lock().unwrap_or_else(PoisonError::into_inner).insert(i, read);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(self.files.len()) {
                // Where the system grants no more threads those that there are do all of it.
                std::thread::Builder::new().spawn_scoped(scope, work).ok();
            }
            work();
        });
        let surveys = surveys.into_iter().map(|s| s.into_inner().expect("a worker took every file"));
        (surveys.collect(), reads.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn survey(&self, file: usize, reader: &mut Reader<'_>) -> (Survey, Read) {
        let Opened { mut decoder, rules } = self.format.open(self.files, file, self.revision);
        let mut surveyor = Surveyor::up_to(self.limit, rules);
        scan(reader, &mut *decoder as &mut dyn Decoder, 0, &mut surveyor);
        let src = self.files[file].src;
        src.passed(src.size());
        let unreadable = std::mem::take(&mut reader.unreadable);
        (surveyor.finish(), Read { unreadable, shrunk: reader.shrunk })
    }
}

/// Whether a file is read from a disk, and for long.
fn is_long(file: &LogFile<'_>) -> bool {
    file.src.whole().is_none() && file.src.size() >= LONG
}

/// Damage that holds bytes the system could not read is named for that.
pub fn mark_unreadable(survey: &mut Survey, unreadable: &[Range<u64>]) {
    for range in unreadable {
        survey.regions.rename(range, Kind::Unreadable, Cause::Unreadable);
    }
}
