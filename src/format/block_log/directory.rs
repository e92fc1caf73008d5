//! What the files of a store say about its logs: which the tables have taken in already, which column families there are.

use super::assemble::{Assembler, Found, Grid};
use super::fragment::{BLOCK, HEADER, fragment};
use super::manifest::{self, Catalogue};
use super::{Content, Facts, Flavour, Name, kind_of};
use crate::format::merge::Merger;
use crate::format::{Family, LogFile};
use crate::log::bytes::{Bytes, ReadAt, Reader, Window};
use crate::log::fault::Cause;

/// Why a catalogue cannot be read on where its bytes are damaged, which its own findings tell.
pub const DAMAGED: &str = "damaged";
/// Text files that are longer are none of this engine's.
const TEXT: u64 = 1 << 20;

/// The catalogue of a store, and what it means for the logs.
pub struct Directory {
    /// Whose store it is.
    pub flavour: Flavour,
    /// The newest version, as far as it can be read.
    pub catalogue: Catalogue,
    /// Index of the file that it was read from.
    pub manifest: Option<usize>,
    /// The number in that one's name; 0 without one.
    pub number: u64,
    /// Where that cannot be read on, and why.
    pub broken: Option<(u64, &'static str)>,
    /// What CURRENT says.
    pub current: Option<String>,
    /// What it names, if that is not there.
    pub missing: Option<String>,
    /// The newest OPTIONS file.
    pub options: Option<String>,
}

impl Directory {
    /// What these files say; [`Directory::of`] reads them once.
    pub(super) fn read(flavour: Flavour, files: &[LogFile<'_>]) -> Directory {
        Directory::read_by(flavour, files, None)
    }

    /// The same, by this MANIFEST whatever CURRENT says.
    pub(super) fn read_by(flavour: Flavour, files: &[LogFile<'_>], manifest: Option<usize>) -> Directory {
        let mut directory = Directory {
            flavour,
            catalogue: Catalogue::default(),
            manifest: None,
            number: 0,
            broken: None,
            current: None,
            missing: None,
            options: None,
        };
        directory.options = newest(Name::Options, files).and_then(|i| text(files[i].src));
        let current = newest(Name::Current, files).and_then(|i| text(files[i].src));
        let named = current.as_deref().map(|named| named.strip_suffix('\n').unwrap_or(named));
        directory.manifest = match named {
            _ if manifest.is_some() => manifest,
            Some(name) => files.iter().position(|f| f.name == name),
            // Without CURRENT the newest is the likeliest.
            None => newest(Name::Manifest, files),
        };
        match directory.manifest {
            Some(i) => {
                directory.number = kind_of(files[i].name).map_or(0, |(_, number)| number);
                directory.edits(&files[i]);
            }
            None => directory.missing = named.map(str::to_owned),
        }
        directory.current = current;
        directory
    }

    /// Applies every edit of the MANIFEST, also those behind one that cannot be read.
    fn edits(&mut self, file: &LogFile<'_>) {
        let mut edits = Records::new(Facts::edits(self.flavour), file.src);
        while let Some(next) = edits.next() {
            let fault = match next {
                Ok((at, edit)) => self.catalogue.apply(edit).err().map(|fault| (at, fault.what)),
                Err((at, what)) => Some((at, what)),
            };
            if let Some(fault) = fault {
                self.catalogue.forget_group();
                self.broken = self.broken.or(Some(fault));
            }
        }
    }

    /// Whether there is a catalogue that says which logs count.
    pub fn is_known(&self) -> bool {
        self.manifest.is_some() && self.catalogue.edits > 0
    }

    /// Whether the store was opened last in a way that knows transactions in two phases; `None` where nothing tells.
    pub fn two_phases(&self) -> Option<bool> {
        self.option("allow_2pc").map(|allowed| allowed == "true")
    }

    /// The number of the oldest log that is replayed.
    pub fn oldest(&self) -> u64 {
        let news = self.oldest_news();
        match (self.flavour, self.two_phases()) {
            (Flavour::LevelDb, _) => news,
            (Flavour::RocksDb, Some(two_phases)) => self.oldest_read(two_phases),
            (Flavour::RocksDb, None) => {
                self.catalogue.min_log_to_keep.filter(|&keep| keep > 0).map_or(news, |keep| keep.min(news))
            }
        }
    }

    /// The number of the oldest log that RocksDB reads. Transactions in two phases may have been prepared in logs whose other
    /// contents the tables have.
    pub fn oldest_read(&self, two_phases: bool) -> u64 {
        let keep = self.catalogue.min_log_to_keep.unwrap_or(0);
        if two_phases { keep } else { keep.max(self.oldest_news()) }
    }

    /// The number of the oldest log that can hold what no table has.
    fn oldest_news(&self) -> u64 {
        let live = self.catalogue.families.values().filter(|family| !family.dropped);
        match self.flavour {
            Flavour::LevelDb => self.catalogue.log_number.unwrap_or(0),
            Flavour::RocksDb => live.map(|family| family.log_number).min().unwrap_or(0),
        }
    }

    /// Whether the log with this number can hold what no table has.
    pub fn has_news(&self, log: u64) -> bool {
        self.replays(log)
            && (self.flavour == Flavour::LevelDb || !self.is_known() || log >= self.oldest_news())
    }

    /// Whether the tables of some families have what the log with this number says of them, and those of others have not.
    pub fn is_in_part(&self, log: u64) -> bool {
        let mut live = self.catalogue.families.values().filter(|family| !family.dropped);
        self.flavour == Flavour::RocksDb && self.has_news(log) && live.any(|family| family.log_number > log)
    }

    /// A log with this number, or a higher one, was being written; 0 if that is not known.
    pub fn newest(&self) -> u64 {
        let live = self.catalogue.families.values().filter(|family| !family.dropped);
        let rocks = live.map(|family| family.log_number).max().unwrap_or(0);
        rocks.max(self.catalogue.log_number.filter(|_| self.flavour == Flavour::LevelDb).unwrap_or(0))
    }

    /// Whether the engine replays the log with this number.
    pub fn replays(&self, log: u64) -> bool {
        if !self.is_known() {
            return true;
        }
        let previous = self.catalogue.previous_log.filter(|&log| log > 0 && self.flavour == Flavour::LevelDb);
        log >= self.oldest() || previous == Some(log)
    }

    /// Whether operations on this family count, when they stand in the log with this number.
    pub fn takes(&self, family: u32, log: u64) -> bool {
        if !self.is_known() || self.flavour == Flavour::LevelDb {
            return true;
        }
        match self.catalogue.families.get(&family) {
            Some(family) => !family.dropped && log >= family.log_number,
            // It was dropped before the MANIFEST was begun; recovery leaves out what is not there in any case.
            None => false,
        }
    }

    /// Whether the edit that adds this family is lost, or may be: its number is higher than those that the MANIFEST was begun
    /// with and that it has given out since.
    pub fn is_lost(&self, family: u32) -> bool {
        let catalogue = &self.catalogue;
        let highest = catalogue.families.keys().max().copied().max(catalogue.max_family);
        let known = catalogue.families.contains_key(&family);
        !known && (self.broken.is_some() || highest.is_none_or(|highest| family > highest))
    }

    /// The column families that live.
    pub fn families(&self) -> Vec<Family> {
        let options = self.options.as_deref().unwrap_or_default();
        let living = self.catalogue.families.iter().filter(|(_, family)| !family.dropped);
        let family = |(&number, family): (&u32, &manifest::Family)| {
            let name = String::from_utf8_lossy(family.name.as_deref()?).into_owned();
            let merger = Merger::of(options, &name);
            Some(Family { number, name, merger })
        };
        living.filter_map(family).collect()
    }

    /// The value of an option of the database.
    pub fn option(&self, name: &str) -> Option<&str> {
        let lines = self.options.as_deref()?.lines();
        lines
            .filter_map(|line| line.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// Index of the file of this kind with the highest number.
pub fn newest(wanted: Name, files: &[LogFile<'_>]) -> Option<usize> {
    let named = files.iter().enumerate().filter_map(|(i, file)| Some((kind_of(file.name)?, i)));
    let numbered = named.filter(|((name, _), _)| *name == wanted).map(|((_, number), i)| (number, i));
    numbered.max().map(|(_, i)| i)
}

/// A small file of text.
fn text(src: &dyn ReadAt) -> Option<String> {
    let mut bytes = vec![0; usize::try_from(src.size().min(TEXT)).ok()?];
    let read = src.read_at(0, &mut bytes).ok()?;
    bytes.truncate(read);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// An edit and its offset, or where there is none and why.
pub type Edit<'e> = Result<(u64, &'e [u8]), (u64, &'static str)>;

/// The records of a file that can be put together, in order.
pub struct Records<'a> {
    facts: Facts,
    reader: Reader<'a>,
    assembler: Assembler,
    at: u64,
    contents: Vec<u8>,
    /// Bytes summed behind damage.
    summed: u64,
}

impl<'a> Records<'a> {
    /// Those of a file.
    pub fn new(facts: Facts, src: &'a dyn ReadAt) -> Self {
        /// A catalogue is longer than that only after years.
        const CHUNK: usize = 64 << 10;
        let reader = Reader::with_chunk(src, CHUNK);
        Records { facts, reader, assembler: Assembler::new(), at: 0, contents: Vec::new(), summed: 0 }
    }

    /// The next one, or where there is none and why.
    pub fn next(&mut self) -> Option<Edit<'_>> {
        /// An edit is longer only where somebody has made it so.
        const EDIT: u64 = 64 << 20;
        loop {
            let at = self.at;
            if at >= self.reader.end() {
                return None;
            }
            self.reader.forward(at, 1);
            let grid = Grid::at(0);
            match self.assembler.at(&mut self.reader, at, Some(grid), &self.facts) {
                Ok(Found::Whole(whole)) => {
                    self.at = whole.end;
                    let gathered = self.assembler.gather(&mut self.reader, EDIT, &mut self.contents);
                    return Some(match gathered {
                        Ok(()) => Ok((at, &self.contents)),
                        Err(_) => Err((at, "an edit that is too long")),
                    });
                }
                Ok(Found::Aside(aside)) => self.at = aside.payload.end,
                Err(broken) => {
                    let next = at + grid.left(at);
                    if let Some(again) = self.again(at, next) {
                        self.at = again;
                        return Some(Err((at, DAMAGED)));
                    }
                    self.at = next;
                    let filled = broken.fault.cause == Cause::Malformed("end of a block")
                        || broken.fault.cause == Cause::Zeros;
                    if !filled {
                        // The rest of a damaged record is not worth a word of its own.
                        self.skip_rest(at);
                        return Some(Err((at, DAMAGED)));
                    }
                }
            }
        }
    }

    /// Where in the block behind damage the next record begins.
    fn again(&mut self, damaged: u64, end: u64) -> Option<u64> {
        /// Bytes looked at again: hostile ones may look like a header at every other offset.
        const SUMMED: u64 = 256 << 20;
        for at in damaged + 1..end.min(self.reader.end()).saturating_sub(HEADER) {
            let [.., low, high, kind] = self.reader.array::<{ HEADER as usize }>(at).ok()?;
            let len = u64::from(u16::from_le_bytes([low, high]));
            if !matches!(kind, 1 | 2) || len == 0 || at + HEADER + len > end {
                continue;
            }
            self.summed += len;
            if self.summed > SUMMED {
                return None;
            }
            if fragment(&mut self.reader, at, end - at).is_ok() {
                return Some(at);
            }
        }
        None
    }

    /// Behind damage: past the fragments without a first one.
    fn skip_rest(&mut self, damaged: u64) {
        if let Ok(next) = fragment(&mut self.reader, damaged, BLOCK - damaged % BLOCK) {
            self.at = next.payload.end;
        }
    }
}

/// Whose log begins with these bytes: LevelDB's, unless there is something in it that LevelDB does not write.
pub fn flavour_of(head: &[u8]) -> Flavour {
    let all = proved(Flavour::RocksDb, head);
    if all > proved(Flavour::LevelDb, head) { Flavour::RocksDb } else { Flavour::LevelDb }
}

/// How many of these bytes, the first of a file, are whole records.
pub fn proved(flavour: Flavour, head: &[u8]) -> u64 {
    let facts = Facts { flavour, content: Content::Batches, number: None, recycled: false };
    let (mut assembler, mut window) = (Assembler::at_a_glance(), Window::whole(head));
    let (mut at, mut proved, end) = (0, 0, head.len() as u64);
    let grid = Grid::at(0);
    while at < end {
        match assembler.at(&mut window, at, Some(grid), &facts) {
            Ok(Found::Whole(whole)) => {
                let legacy = whole.log.is_none();
                proved += if legacy || flavour == Flavour::RocksDb { whole.end - at } else { 0 };
                at = whole.end;
            }
            Ok(Found::Aside(aside)) => {
                proved += if flavour == Flavour::RocksDb { aside.payload.end - at } else { 0 };
                at = aside.payload.end;
            }
            Err(_) => at += grid.left(at),
        }
    }
    proved
}

/// The number of a log by its name.
pub fn number_of(file: &LogFile<'_>) -> Option<u64> {
    kind_of(file.name).filter(|(name, _)| *name == Name::Log).map(|(_, number)| number)
}
