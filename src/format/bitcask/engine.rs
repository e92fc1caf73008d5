//! What the Python engines do alike when they open: files by number, a hint believed where there is one, else a scan that
//! leaves a file, without a word, at the first record that does not hold, and goes on with the next file.

use std::collections::HashMap;
use std::ops::Range;

use crate::format::bitcask::{Data, Records};
use crate::format::chain::{Framing, zeros_end};
use crate::format::python;
use crate::format::{Halt, LogFile, Outcome, Part, Take, Taken};
use crate::log::bytes::{Bytes, Reader};
use crate::log::conclude::Place;
use crate::log::fault::Fault;
use crate::log::survey::Survey;

/// How opening went.
#[derive(Debug, Default)]
pub struct Opening {
    /// Files scanned, and how many records of each were taken.
    pub scanned: Vec<(usize, u64)>,
    /// Data files whose hints were believed.
    pub hinted: Vec<usize>,
    /// Where a scan ended before its file.
    pub halts: Vec<Halt>,
    /// What the process died of.
    pub error: Option<String>,
}

/// What differs.
pub struct Manners {
    /// Name of the file that the engine opens for the data file of this name, or the error that its name causes.
    pub data: fn(&str) -> Result<String, String>,
    /// Name of the hint that it looks for beside that.
    pub hint: fn(&str) -> String,
    /// Reads a hint.
    pub load: Load,
    /// Scans a data file.
    pub scan: Scan,
    /// Reads one record, as `get` does for a key that a hint led to.
    pub get: Get,
}

/// An entry of a hint, as the engine believes it.
pub struct Believed {
    /// Where its key lies in the hint; cut off where the file ends.
    pub key: Range<u64>,
    /// Name of the data file, where the entry has a say in that.
    pub data: Option<String>,
    /// Offset of the record in it.
    pub offset: u64,
    /// Length of the record, where the entry tells.
    pub size: Option<u64>,
}

/// Reads a hint.
pub type Load = fn(&mut Reader<'_>, &mut dyn FnMut(Believed)) -> Result<(), String>;
/// Scans the data file at this index; gives back the number of records and the offset where it stopped.
pub type Scan = fn(&mut Reader<'_>, usize, Option<Take<'_>>) -> Result<(u64, u64), String>;
/// Key and value of the record at this offset and of this length; `None` where `get` raises.
pub type Get = fn(&mut Reader<'_>, u64, Option<u64>) -> Option<(Range<u64>, Range<u64>)>;

/// Opens the store; every change of the index goes to `take`, in the engine's order, with the value that `get` would give.
pub fn open(files: &[LogFile<'_>], manners: &Manners, take: Option<Take<'_>>) -> Opening {
    let mut opening = Opening::default();
    if let Err(error) = read_all(files, manners, &mut opening, take) {
        opening.error = Some(error);
    }
    opening
}

fn read_all(
    files: &[LogFile<'_>],
    manners: &Manners,
    opening: &mut Opening,
    mut take: Option<Take<'_>>,
) -> Result<(), String> {
    let names: HashMap<&str, usize> = files.iter().enumerate().map(|(i, f)| (f.name, i)).collect();
    let data = || files.iter().filter(|f| f.claim.role.counts());
    // Names come first: one that is no number ends the process before anything is read.
    for file in data() {
        (manners.data)(file.name)?;
    }
    for file in data() {
        let name = (manners.data)(file.name)?;
        let found = names.get(name.as_str()).copied();
        if let Some(&hint) = names.get((manners.hint)(&name).as_str()) {
            let mut lookup =
                Lookup { files, names: &names, get: manners.get, hint, beside: found, open: None };
            (manners.load)(&mut Reader::new(files[hint].src), &mut |entry| {
                if let Some(take) = &mut take {
                    take(lookup.resolve(entry));
                }
            })?;
            opening.hinted.extend(found);
            continue;
        }
        let Some(i) = found else {
            return Err(format!("FileNotFoundError: [Errno 2] No such file or directory: '{name}'"));
        };
        // Two spellings of one number: the file is scanned twice, to the same effect.
        if opening.scanned.iter().any(|s| s.0 == i) {
            continue;
        }
        let mut reader = Reader::new(files[i].src);
        let again = take.as_mut().map(|take| &mut **take as Take<'_>);
        let (records, at) = (manners.scan)(&mut reader, i, again)?;
        opening.scanned.push((i, records));
        if at < reader.end() {
            opening.halts.push(Halt { file: i, at, for_good: false, to: u64::MAX });
        }
    }
    Ok(())
}

/// Follows the entries of one hint to their records.
struct Lookup<'a> {
    files: &'a [LogFile<'a>],
    names: &'a HashMap<&'a str, usize>,
    get: Get,
    hint: usize,
    /// The data file that the hint lies beside.
    beside: Option<usize>,
    /// The data file read last.
    open: Option<(usize, Reader<'a>)>,
}

impl Lookup<'_> {
    fn resolve(&mut self, entry: Believed) -> Taken {
        let file = match &entry.data {
            Some(name) => self.names.get(name.as_str()).copied(),
            None => self.beside,
        };
        let place = Place { file: file.unwrap_or(self.hint), at: entry.offset };
        let value = file.and_then(|file| Some(Part { file, span: self.value(file, &entry)? }));
        Taken { place, key: Part { file: self.hint, span: entry.key }, value, given: None }
    }

    fn value(&mut self, file: usize, entry: &Believed) -> Option<Range<u64>> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            self.open = Some((file, Reader::new(self.files[file].src)));
        }
        let (_, data) = self.open.as_mut()?;
        let (key, value) = (self.get)(data, entry.offset, entry.size)?;
        // An entry that tells the size comes with a check of the key.
        let same = entry.size.is_none() || {
            let mut hint = Reader::new(self.files[self.hint].src);
            let mut wanted = Vec::new();
            hint.copy(entry.key.clone(), &mut wanted).ok()?;
            data.piece(key).is_ok_and(|key| key == wanted)
        };
        same.then_some(value)
    }
}

/// In numbers. A record counts when it was scanned, or lies in a file whose hint is believed and is not invisible for it:
/// `unseen` gives, by file, how many records a hint hides and where the last one ends that it knows.
pub fn outcome(
    opening: Opening,
    surveys: &[&Survey],
    unseen: &dyn Fn(usize) -> Option<(u64, u64)>,
) -> Outcome {
    if let Some(error) = opening.error {
        return Outcome::refused(error);
    }
    let records = opening.scanned.iter().map(|s| s.1).sum();
    let halts = opening.halts;
    let mut outcome =
        Outcome { opens: true, error: None, records, transactions: 0, halts, ..Outcome::default() };
    for file in opening.hinted {
        let all = surveys.get(file).map_or(0, |s| s.data + s.recovered_data);
        let (hidden, at) = unseen(file).unwrap_or((0, 0));
        outcome.records += all.saturating_sub(hidden);
        if hidden > 0 {
            outcome.halts.push(Halt { file, at, for_good: false, to: u64::MAX });
        }
    }
    outcome.halts.sort_by_key(|h| (h.file, h.at));
    outcome
}

/// A record as the engine's scan takes it: its key, its end, and its value, if it is none that deletes.
type Stepped = (Range<u64>, u64, Option<Range<u64>>);

/// `_scan_data_file`, `_scan_segment`. Where there is no checksum nothing is looked at but the key, and a record that
/// the file cuts off counts as whole.
///
/// # Errors
/// The exception that ends the process.
pub fn scan<D: Data>(
    b: &mut Reader<'_>,
    file: usize,
    mut take: Option<Take<'_>>,
) -> Result<(u64, u64), String> {
    let (mut records, mut at) = (0, 0);
    while let Some((key, to, value)) = step::<D>(b, at).unwrap_or(None) {
        text(b, key.clone())?;
        if let Some(take) = &mut take {
            let part = |span| Part { file, span };
            let value = value.filter(|v| served::<D>(b, v)).map(part);
            take(Taken { place: Place { file, at }, key: part(key), value, given: None });
        }
        // A run of zeros is the same empty record again and again: a hole of a terabyte is counted, not gone through.
        let again =
            if to - at == Records::<D>::HEADER { (zeros_end(b, at) - at) / Records::<D>::HEADER } else { 1 };
        (records, at) = (records + again.max(1), to.max(at + again * Records::<D>::HEADER));
    }
    Ok((records, at))
}

fn step<D: Data>(b: &mut Reader<'_>, at: u64) -> Result<Option<Stepped>, Fault> {
    // The scan goes forward, and the window with it.
    b.forward(at, 1);
    let (k, v) = Records::<D>::sizes(b, at)?;
    let key = at + Records::<D>::HEADER;
    let (value, to, end) = (key + k, key + k + v, b.end());
    if !Records::<D>::PROVED {
        let value = value.min(end)..to.min(end);
        return Ok(Some((key..value.start, value.end, (v > 0).then_some(value))));
    }
    if to > end || b.crc32(0, key..to)? != Records::<D>::stored_crc(b, at)? {
        return Ok(None);
    }
    let put = !D::deletes(b, value..to)?;
    Ok(Some((key..value, to, put.then_some(value..to))))
}

/// Whether `get` gives such a value back: where values are text it must decode, and an empty one counts as none.
fn served<D: Data>(b: &mut Reader<'_>, value: &Range<u64>) -> bool {
    !D::STRINGS || (!value.is_empty() && b.utf8(value.clone()) == Ok(true))
}

/// `_read_record`, `get`: key and value of the record at `at`, of which no more than `size` bytes are read, if told.
pub fn get<D: Data>(b: &mut Reader<'_>, at: u64, size: Option<u64>) -> Option<(Range<u64>, Range<u64>)> {
    let end = size.map_or(b.end(), |size| at.saturating_add(size).min(b.end()));
    let head = at.checked_add(Records::<D>::HEADER).filter(|&head| head <= end)?;
    let (k, v) = Records::<D>::sizes(b, at).ok()?;
    let (key, value) = (head..(head + k).min(end), (head + k).min(end)..(head + k + v).min(end));
    // Without a size the record is read by its own lengths and has to be whole.
    let whole = size.is_some() || head + k + v <= end;
    let proved = !Records::<D>::PROVED
        || b.crc32(0, key.start..value.end).ok() == Records::<D>::stored_crc(b, at).ok();
    (whole && proved && served::<D>(b, &value)).then_some((key, value))
}

/// Python's `decode("utf-8")` of these bytes of the file.
///
/// # Errors
/// Its exception, in its words.
pub fn text(b: &mut Reader<'_>, span: Range<u64>) -> Result<(), String> {
    /// The place in longer keys is not told.
    const TOLD: u64 = 64 << 10;
    if b.utf8(span.clone()).unwrap_or(true) {
        return Ok(());
    }
    let head = span.start..span.end.min(span.start + TOLD);
    let window = b.window(head.start, (head.end - head.start) as usize);
    let bytes = window.slice(head).unwrap_or(&[]);
    Err(match std::str::from_utf8(bytes) {
        Err(e) if span.end - span.start <= TOLD || e.error_len().is_some() => python::not_utf8(bytes, e),
        _ => "UnicodeDecodeError: 'utf-8' codec can't decode a key".into(),
    })
}

/// The number that Python's `int()` reads, as it is written back into a name.
///
/// # Errors
/// The exception.
pub fn canonical(stem: &str) -> Result<String, String> {
    let trimmed = stem.trim();
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let grouped = !digits.is_empty() && digits.split('_').all(|group| !group.is_empty());
    if !grouped || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return Err(format!("ValueError: invalid literal for int() with base 10: '{stem}'"));
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    match plain.trim_start_matches('0') {
        "" => Ok("0".into()),
        number => Ok(format!("{sign}{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_fails_in_pythons_words() {
        let say = |bytes: &[u8]| text(&mut Reader::new(&bytes), 0..bytes.len() as u64).unwrap_err();
        let rest =
            |bytes: &[u8]| say(bytes).trim_start_matches("UnicodeDecodeError: 'utf-8' codec ").to_owned();
        assert_eq!(rest(b"ab\x9ec"), "can't decode byte 0x9e in position 2: invalid start byte");
        assert_eq!(rest(b"\xf0ab"), "can't decode byte 0xf0 in position 0: invalid continuation byte");
        assert_eq!(rest(b"a\xe2\x82z"), "can't decode bytes in position 1-2: invalid continuation byte");
        assert_eq!(rest(b"a\xe2\x82"), "can't decode bytes in position 1-2: unexpected end of data");
        assert_eq!(rest(b"a\xe2"), "can't decode byte 0xe2 in position 1: unexpected end of data");
    }
}
