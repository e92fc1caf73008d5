//! A disk in memory that remembers every change in order and shows what a crash after any of them could leave behind.
//!
//! An engine runs over one handle, the test keeps another. After a crash what was synced is there. Of what was not, each
//! sector of a write, its effect on the length and each `set_len` is there or not on its own; a sector that a longer file
//! lacks is zeros. Creations, renames and removals since the last `sync_dir` happened up to some point in their order, as
//! on a file system that journals them. Syncing a file does not make its name last.
//!
//! ```
//! use walmedic::engine::crash::CrashDisk;
//! use walmedic::engine::storage::Storage;
//!
//! let disk = CrashDisk::new();
//! let mut storage = disk.clone();
//! storage.write("log", 0, b"one")?;
//! storage.sync("log")?;
//! storage.sync_dir()?;
//! let synced = disk.events();
//! storage.write("log", 3, b"two")?;
//! assert!(disk.images(synced, 1).iter().all(|image| image["log"] == b"one"));
//! assert!(disk.images(disk.events(), 1).iter().all(|image| image["log"].starts_with(b"one")));
//! # std::io::Result::Ok(())
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::{SECTOR, Storage};

/// Files and their contents.
pub type Image = BTreeMap<String, Vec<u8>>;

/// See the [module](self); clones are handles of the same disk.
#[derive(Clone, Debug, Default)]
pub struct CrashDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    /// What was on it before the first event.
    start: Image,
    events: Vec<Event>,
    /// As a running program sees it: the file behind each name, and each file's contents.
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    fails_from: Option<usize>,
}

/// One change. Files are numbered as they come into being, those that were there at the start first.
#[derive(Clone, Debug)]
enum Event {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
    SyncDir,
    Write(usize, u64, Vec<u8>),
    SetLen(usize, u64),
    Sync(usize),
}

impl CrashDisk {
    /// An empty disk.
    pub fn new() -> CrashDisk {
        CrashDisk::default()
    }

    /// A disk that holds these files, all of it synced.
    pub fn of(image: Image) -> CrashDisk {
        let names = image.keys().cloned().zip(0..).collect();
        let files = image.values().cloned().collect();
        CrashDisk(Arc::new(Mutex::new(Disk { start: image, names, files, ..Disk::default() })))
    }

    /// How many changes were recorded so far: a crash can come after each of them.
    pub fn events(&self) -> usize {
        self.disk().events.len()
    }

    /// What a running program sees.
    pub fn files(&self) -> Image {
        let disk = self.disk();
        disk.names.iter().map(|(name, &file)| (name.clone(), disk.files[file].clone())).collect()
    }

    /// Makes every change fail once there are `events` of them; `None`: heals the disk.
    pub fn fail_from(&self, events: Option<usize>) {
        self.disk().fails_from = events;
    }

    /// What a crash after the first `n` events could leave, without repetitions: first nothing of what was not synced, then
    /// all of it, all contents without the names and the names without the contents, each prefix (some of them, where there
    /// are many), and some random choices that `seed` decides.
    pub fn images(&self, n: usize, seed: u64) -> Vec<Image> {
        /// Prefixes and random choices at most.
        const SOME: usize = 8;
        let crash = Crash::after(&self.disk(), n);
        let count = crash.pending.len();
        let mut images = vec![
            crash.image(0, |_| false),
            crash.image(usize::MAX, |_| true),
            crash.image(0, |_| true),
            crash.image(usize::MAX, |_| false),
        ];
        let step = count.div_ceil(SOME).max(1);
        for prefix in (1..count).step_by(step) {
            let names = crash.pending[..prefix].iter().filter(|p| p.names()).count();
            images.push(crash.image(names, |i| i < prefix));
        }
        let mut random = Random(seed ^ (n as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        for round in 0..if count > 1 { SOME as u64 } else { 0 } {
            let names = random.below(count as u64 + 1) as usize;
            let kept: Vec<bool> = (0..count).map(|_| random.below(4) <= round % 3).collect();
            images.push(crash.image(names, |i| kept[i]));
        }
        let mut distinct: Vec<Image> = Vec::new();
        for image in images {
            if !distinct.contains(&image) {
                distinct.push(image);
            }
        }
        distinct
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn find_or_create(&mut self, name: &str) -> io::Result<usize> {
        match self.find(name) {
            Ok(file) => Ok(file),
            Err(_) => {
                let file = self.files.len();
                self.record(Event::Create(name.to_owned(), file))?;
                self.files.push(Vec::new());
                self.names.insert(name.to_owned(), file);
                Ok(file)
            }
        }
    }

    fn record(&mut self, event: Event) -> io::Result<()> {
        if self.fails_from.is_some_and(|n| self.events.len() >= n) {
            return Err(io::Error::other("the disk was told to fail"));
        }
        self.events.push(event);
        Ok(())
    }
}

impl Storage for CrashDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk().names.keys().cloned().collect())
    }

    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        let disk = self.disk();
        Ok(disk.find(name).ok().map(|file| disk.files[file].len() as u64))
    }

    fn read(&self, name: &str, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let disk = self.disk();
        let bytes = &disk.files[disk.find(name)?];
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        let file = disk.find_or_create(name)?;
        if bytes.is_empty() {
            return Ok(());
        }
        disk.record(Event::Write(file, at, bytes.to_owned()))?;
        overwrite(&mut disk.files[file], at, bytes);
        Ok(())
    }

    fn set_len(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        let file = disk.find_or_create(name)?;
        disk.record(Event::SetLen(file, len))?;
        disk.files[file].resize(len as usize, 0);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let file = disk.find(name)?;
        disk.record(Event::Sync(file))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let file = disk.find(from)?;
        disk.record(Event::Rename(from.to_owned(), to.to_owned()))?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.find(name)?;
        disk.record(Event::Remove(name.to_owned()))?;
        disk.names.remove(name);
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.disk().record(Event::SyncDir)
    }
}

/// What is certain after a crash, and what may have happened besides.
struct Crash {
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    pending: Vec<Change>,
}

/// A change that a crash keeps or loses at once.
#[derive(Clone)]
enum Change {
    /// Of the directory.
    Names(Event),
    Bytes(usize, u64, Vec<u8>),
    SetLen(usize, u64),
    /// The file is at least this long: a write's effect on its length, without the contents.
    Grow(usize, u64),
}

impl Change {
    fn names(&self) -> bool {
        matches!(self, Change::Names(_))
    }

    fn file(&self) -> Option<usize> {
        match self {
            Change::Names(_) => None,
            Change::Bytes(file, ..) | Change::SetLen(file, _) | Change::Grow(file, _) => Some(*file),
        }
    }
}

impl Crash {
    fn after(disk: &Disk, n: usize) -> Crash {
        let names = disk.start.keys().cloned().zip(0..).collect();
        let mut files: Vec<Vec<u8>> = disk.start.values().cloned().collect();
        files.resize(disk.files.len(), Vec::new());
        let mut crash = Crash { names, files, pending: Vec::new() };
        for event in disk.events.iter().take(n) {
            match event {
                Event::Write(file, at, bytes) => {
                    crash.pending.extend(sectors(*file, *at, bytes));
                    crash.pending.push(Change::Grow(*file, *at + bytes.len() as u64));
                }
                Event::SetLen(file, len) => crash.pending.push(Change::SetLen(*file, *len)),
                Event::Sync(file) => crash.settle(|change| change.file() == Some(*file)),
                Event::SyncDir => crash.settle(Change::names),
                names => crash.pending.push(Change::Names(names.clone())),
            }
        }
        crash
    }

    /// Makes pending changes certain.
    fn settle(&mut self, which: impl Fn(&Change) -> bool) {
        for change in std::mem::take(&mut self.pending) {
            if which(&change) {
                change.apply(&mut self.names, &mut self.files);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// The disk with the first `names` pending changes of the directory, and of the others those that `kept` takes.
    fn image(&self, names: usize, kept: impl Fn(usize) -> bool) -> Image {
        let (mut tree, mut files) = (self.names.clone(), self.files.clone());
        let mut left = names;
        for (i, change) in self.pending.iter().enumerate() {
            let happened = if change.names() { left > 0 } else { kept(i) };
            left -= usize::from(change.names() && left > 0);
            if happened {
                change.apply(&mut tree, &mut files);
            }
        }
        tree.into_iter().map(|(name, file)| (name, files[file].clone())).collect()
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>, files: &mut [Vec<u8>]) {
        match self {
            Change::Names(Event::Create(name, file)) => drop(names.insert(name.clone(), *file)),
            Change::Names(Event::Remove(name)) => drop(names.remove(name)),
            Change::Names(Event::Rename(from, to)) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Names(_) => {}
            Change::Bytes(file, at, bytes) => overwrite(&mut files[*file], *at, bytes),
            Change::SetLen(file, len) => files[*file].resize(*len as usize, 0),
            Change::Grow(file, len) => {
                let len = files[*file].len().max(*len as usize);
                files[*file].resize(len, 0);
            }
        }
    }
}

/// A write, cut where sectors begin.
fn sectors(file: usize, at: u64, bytes: &[u8]) -> impl Iterator<Item = Change> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = at + from as u64;
        let room = (SECTOR - start % SECTOR) as usize;
        let piece = &bytes[from..bytes.len().min(from + room)];
        from += piece.len();
        (!piece.is_empty()).then(|| Change::Bytes(file, start, piece.to_owned()))
    })
}

fn overwrite(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let from = at as usize;
    let end = from + bytes.len();
    file.resize(file.len().max(end), 0);
    file[from..end].copy_from_slice(bytes);
}

/// SplitMix64: the same images on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(script: impl FnOnce(&mut CrashDisk) -> io::Result<()>) -> CrashDisk {
        let disk = CrashDisk::new();
        script(&mut disk.clone()).expect("this disk does not fail");
        disk
    }

    /// Every image of a crash at the end, over many seeds.
    fn images(disk: &CrashDisk) -> Vec<Image> {
        (0..50).flat_map(|seed| disk.images(disk.events(), seed)).collect()
    }

    #[test]
    fn what_was_synced_is_there_and_the_rest_in_any_selection_of_sectors() {
        let disk = disk(|d| {
            d.write("f", 0, &[1; 600])?;
            d.sync("f")?;
            d.sync_dir()?;
            d.write("f", 500, &[2; 1100])
        });
        let mut met = std::collections::BTreeSet::new();
        for image in images(&disk) {
            let f = &image["f"];
            assert!(f.len() >= 600 && f[..500].iter().all(|&b| b == 1));
            let old =
                |from: usize, to: usize| if from < 600 && to > 512 { f[from] == 1 } else { f[from] <= 1 };
            let kept = |from: usize, to: usize| f.get(from..to).is_some_and(|s| s.iter().all(|&b| b == 2));
            for (from, to) in [(500, 512), (512, 1024), (1024, 1536), (1536, 1600)] {
                let whole = kept(from, to);
                assert!(whole || f.len() <= from || old(from, to), "a sector is whole or untouched");
            }
            met.insert((
                f.len(),
                [(500, 512), (512, 1024), (1024, 1536), (1536, 1600)].map(|(a, b)| kept(a, b)),
            ));
        }
        let lengths: Vec<usize> = met.iter().map(|m| m.0).collect();
        assert!(lengths.contains(&600) && lengths.contains(&1024) && lengths.contains(&1600));
        assert!(met.contains(&(1600, [false; 4])), "the length without the contents");
        assert!(met.iter().any(|m| !m.1[1] && m.1[2]), "the second sector without the first");
        assert!(met.len() > 12, "{}", met.len());
    }

    #[test]
    fn names_last_from_the_sync_of_the_directory_on_and_come_in_order() {
        let disk = disk(|d| {
            d.write("a", 0, b"old")?;
            d.sync("a")?;
            d.sync_dir()?;
            d.write("a.tmp", 0, b"new")?;
            d.sync("a.tmp")?;
            d.rename("a.tmp", "a")?;
            d.remove("a")?;
            d.write("b", 0, b"b")
        });
        let names =
            |i: &Image| i.iter().map(|(n, b)| format!("{n}={}", b.len())).collect::<Vec<_>>().join(" ");
        let mut met: Vec<String> = images(&disk).iter().map(names).collect();
        met.sort();
        met.dedup();
        assert_eq!(met, ["", "a=3", "a=3 a.tmp=3", "b=0", "b=1"]);
        let contents = images(&disk).into_iter().filter_map(|i| i.get("a").cloned());
        assert!(contents.clone().any(|c| c == b"new") && contents.clone().any(|c| c == b"old"));
    }

    #[test]
    fn a_length_that_was_not_synced_is_the_old_or_the_new_one() {
        let disk = disk(|d| {
            d.write("f", 0, b"abcdef")?;
            d.sync("f")?;
            d.sync_dir()?;
            d.set_len("f", 2)
        });
        let met: Vec<Vec<u8>> = disk.images(disk.events(), 0).into_iter().map(|i| i["f"].clone()).collect();
        assert_eq!(met, [b"abcdef".to_vec(), b"ab".to_vec()]);
        assert_eq!(disk.files()["f"], b"ab");
    }

    #[test]
    fn it_fails_when_told_to_and_goes_on_from_an_image() {
        let disk = CrashDisk::of(Image::from([(String::from("f"), b"abc".to_vec())]));
        let mut storage = disk.clone();
        disk.fail_from(Some(1));
        storage.write("f", 0, b"x").expect("the first event");
        assert!(storage.write("f", 1, b"y").is_err() && storage.sync("f").is_err());
        disk.fail_from(None);
        storage.sync("f").expect("healed");
        assert_eq!(disk.images(disk.events(), 3), [Image::from([(String::from("f"), b"xbc".to_vec())])]);
        assert_eq!(disk.images(0, 3), [Image::from([(String::from("f"), b"abc".to_vec())])]);
    }
}
