//! Taking an in-place change back, byte for byte, as long as the files are still the ones that it wrote.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::io::durable;
use crate::io::interrupt::{self, Writing};
use crate::io::listing::{self, Wanted};
use crate::io::source::Source;
use crate::log::bytes::{Prefix, ReadAt};
use crate::refused::Refused;
use crate::repair::plan::sha256;
use crate::repair::record::{self, Changed, How, ORIGINALS, Other, Record, State};
use crate::repair::{held, write};

/// What is put together beside the log to take its place.
const BACK: &str = "back";

/// What came of it.
pub struct Undone {
    /// The record that was gone by.
    pub record: Record,
    /// The directory of the log.
    pub dir: PathBuf,
    /// The files were already what they were before the change.
    pub already: bool,
    /// Processes that may have the log open and could not be looked at.
    pub unseen: usize,
}

/// Takes the change back that the record at `path` tells; `place`: where the directory of the log is now.
///
/// # Errors
/// [`Refused`] where a file is not what the change left, or others have come to be; what the system says.
pub fn undo(path: &Path, place: Option<&Path>) -> Result<Undone> {
    let (record, folder) = Record::read(path)?;
    let dir = home(&record, place)?;
    let writing = Writing::begin();
    if all(&record, |f| is(&dir.join(&f.name), Some(&f.before)))? && nothing_new(&record, &dir)? {
        return Ok(Undone { record, dir, already: true, unseen: 0 });
    }
    saved(&record, &folder)?;
    let files: Vec<_> = record.files.iter().filter_map(|f| Some(dir.join(f.to.as_ref()?))).collect();
    let unseen = held::files_unheld(&files)?;
    as_left_beside(&record, &dir, &folder)?;
    interrupt::check()?;
    match (record.how, record.files.as_slice()) {
        (How::Cut, [file]) => put_back(&dir, &folder, file)?,
        (How::File, [file]) => {
            as_left(&record, &dir)?;
            swap_back(&dir, &folder, file)?;
        }
        (How::Directory, _) => {
            as_left(&record, &dir)?;
            rebuild(&record, &dir, &folder)?;
        }
        _ => bail!("{}: the record contradicts itself", path.display()),
    }
    writing.done();
    for file in &record.files {
        if !is(&dir.join(&file.name), Some(&file.before))? {
            bail!("{}: is not what it was; the backup is still in {}", file.name, folder.display());
        }
    }
    Ok(Undone { record, dir, already: false, unseen })
}

/// The directory of the log: where the record says, unless it is elsewhere now.
fn home(record: &Record, place: Option<&Path>) -> Result<PathBuf> {
    let dir = place.map_or_else(|| record.dir(), |place| Ok(place.to_path_buf()))?;
    let name = dir.display();
    if !dir.is_dir() {
        bail!("{name}: is no directory; if the log has been moved, name its directory with --log");
    }
    dir.canonicalize().with_context(|| format!("{name}: cannot find it"))
}

fn all(record: &Record, mut holds: impl FnMut(&Changed) -> Result<bool>) -> Result<bool> {
    for file in &record.files {
        if !holds(file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is going to be put back is what was saved.
fn saved(record: &Record, folder: &Path) -> Result<()> {
    let moved = |file: &Changed| file.after.as_ref() == Some(&file.before);
    for file in record.files.iter().filter(|f| !moved(f)) {
        let path = folder.join(&file.backup);
        let good =
            path.is_file() && sha256(&Source::open(&path.as_path().into(), false, true)?, 0)? == file.saved;
        if !good {
            let path = path.display();
            return Err(Refused(format!("{path}: is not what was saved there; nothing was changed")).into());
        }
    }
    Ok(())
}

/// Whether the file at `path` has these contents; `None`: whether there is none.
fn is(path: &Path, state: Option<&State>) -> Result<bool> {
    let there = path.symlink_metadata().is_ok();
    let Some(state) = state.filter(|_| there) else { return Ok(state.is_none() && !there) };
    let file = Source::open(&path.into(), false, true)?;
    Ok(file.size() == state.bytes && sha256(&file, state.from.min(state.bytes))? == state.sha256)
}

/// No file has a name that only the change gave.
fn nothing_new(record: &Record, dir: &Path) -> Result<bool> {
    let named = |to: &str| record.files.iter().any(|f| f.name == to);
    all(record, |f| Ok(f.to.as_deref().is_none_or(|to| named(to) || !dir.join(to).exists())))
}

/// Every file is what the change left.
fn as_left(record: &Record, dir: &Path) -> Result<()> {
    for file in &record.files {
        let left = match (&file.to, &file.after) {
            (Some(to), Some(after)) => is(&dir.join(to), Some(after))?,
            _ => {
                is(&dir.join(&file.name), None)?
                    || record.files.iter().any(|f| f.to.as_ref() == Some(&file.name))
            }
        };
        if !left {
            let name = dir.join(file.to.as_ref().unwrap_or(&file.name));
            return Err(Refused(format!(
                "{}: is no longer what the {} left; nothing was changed",
                name.display(),
                record.command
            ))
            .into());
        }
    }
    Ok(())
}

/// No engine has gone on with the log in files that did not change: with theirs in front of them, the old ones would be
/// another log.
fn as_left_beside(record: &Record, dir: &Path, folder: &Path) -> Result<()> {
    let Some(name) = &record.format else { return Ok(()) };
    let wanted = Wanted { format: Some(name.clone()), ..Wanted::default() };
    let format = listing::formats(&wanted)?[0];
    let refuse = |name: &str, how: &str| {
        Err(Refused(format!(
            "{}: {how} since the {}, so the log was gone on with; nothing was changed. To give that up, put the file out of \
             the way or back as it was, and run undo again; the originals are in {}",
            dir.join(name).display(),
            record.command,
            folder.join(ORIGINALS).display()
        ))
        .into())
    };
    for other in record.others.iter().filter(|other| other.bytes.is_some()) {
        if !is_other(&dir.join(&other.name), other)? {
            return refuse(&other.name, "has changed");
        }
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).with_context(|| format!("{}: cannot list", dir.display()))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let known = |name: &str| {
        let changed = record.files.iter().any(|f| f.name == name || f.to.as_deref() == Some(name));
        changed || record.others.iter().any(|other| other.name == name)
    };
    match names.iter().find(|name| record::belongs(format, name) && !known(name)) {
        Some(new) => refuse(new, "has appeared"),
        None => Ok(()),
    }
}

fn is_other(path: &Path, other: &Other) -> Result<bool> {
    if path.metadata().map(|meta| meta.len()).ok() != other.bytes {
        return Ok(false);
    }
    let hash = || sha256(&Source::open(&path.into(), false, true)?, 0);
    other.sha256.as_ref().map_or(Ok(true), |before| Ok(hash()? == *before))
}

/// A cut file gets its end back. A few bytes are written behind it; for more, all of it is made anew beside the log and
/// takes its place in one step, where there is room for that. Where there is not, an undo that was killed leaves a beginning
/// of the end, and another one goes on from there.
fn put_back(dir: &Path, folder: &Path, file: &Changed) -> Result<()> {
    /// One call of the system writes so much, of one page or two.
    const FEW: u64 = 4096;
    let path = dir.join(&file.name);
    let now = Source::open(&path.as_path().into(), false, true)?;
    let tail = Source::open(&folder.join(&file.backup).as_path().into(), false, true)?;
    let left = file.after.as_ref().context("the record contradicts itself")?;
    let (kept, there) = (left.bytes, now.size());
    let prefix = Prefix { src: &now, len: kept };
    let begun = there >= kept && there <= kept + tail.size();
    let fits = begun
        && sha256(&prefix, left.from.min(kept))? == left.sha256
        && same_start(&now, kept..there, &tail)?;
    if !fits {
        let name = path.display();
        return Err(Refused(format!("{name}: is no longer what the change left; nothing was changed")).into());
    }
    let whole = kept + tail.size();
    if tail.size() > FEW && durable::same_file_system(dir, folder)? && durable::room(folder)? > whole {
        put_back_whole(&path, folder, file, &now, &tail)
    } else {
        put_back_behind(&path, there, &folder.join(&file.backup), there - kept)
    }
}

/// The file as it was is written beside the log, looked at, and takes the cut one's place.
fn put_back_whole(path: &Path, folder: &Path, file: &Changed, now: &Source, tail: &Source) -> Result<()> {
    let made = folder.join(BACK);
    let failed = || format!("{}: cannot put the old file together; nothing was changed", made.display());
    let kept = file.before.bytes.saturating_sub(tail.size());
    let put = || {
        // One may be there of an undo that was killed.
        let mut private = OpenOptions::new();
        private.write(true).create(true).truncate(true).mode(0o600);
        let mut out = private.open(&made).with_context(failed)?;
        durable::like(path, &made).with_context(failed)?;
        write::copy_much(now, &file.name, 0..kept, &mut out)?;
        write::copy_much(tail, &file.name, 0..tail.size(), &mut out)?;
        out.sync_all().with_context(failed)?;
        if !is(&made, Some(&file.before))? {
            bail!("{}: does not read back as it was; nothing was changed", made.display());
        }
        interrupt::check()?;
        fs::rename(&made, path).with_context(|| format!("{}: nothing was changed", path.display()))
    };
    put().inspect_err(|_| drop(fs::remove_file(&made)))?;
    let unsure = || format!("{}: is as it was, but may not last", path.display());
    durable::sync_dir(durable::parent(path)).with_context(unsure)?;
    durable::sync_dir(folder).with_context(unsure)
}

/// Writes what is still missing of the end. Once begun it is gone through with.
fn put_back_behind(path: &Path, at: u64, tail: &Path, done: u64) -> Result<()> {
    let failed = || format!("{}: cannot write it back; run undo again", path.display());
    let mut out = OpenOptions::new().write(true).open(path).with_context(failed)?;
    out.seek(SeekFrom::Start(at)).with_context(failed)?;
    let mut rest = File::open(tail).with_context(failed)?;
    rest.seek(SeekFrom::Start(done)).with_context(failed)?;
    std::io::copy(&mut rest, &mut out).with_context(failed)?;
    out.sync_all().with_context(failed)
}

/// Whether these bytes of a file are the first of the tail.
fn same_start(now: &Source, span: std::ops::Range<u64>, tail: &Source) -> Result<bool> {
    let (mut a, mut b) = ([0; 4096], [0; 4096]);
    let mut at = span.start;
    while at < span.end {
        let want = ((span.end - at) as usize).min(a.len());
        let n = now.read_at(at, &mut a[..want])?;
        let m = tail.read_at(at - span.start, &mut b[..n])?;
        if n == 0 || m < n || a[..n] != b[..n] {
            return Ok(false);
        }
        at += n as u64;
    }
    Ok(true)
}

/// One file changes places with its original again.
fn swap_back(dir: &Path, folder: &Path, file: &Changed) -> Result<()> {
    let (original, place) = (folder.join(&file.backup), dir.join(&file.name));
    let done = match &file.to {
        None => durable::rename_new(&original, &place),
        Some(to) if *to != file.name => durable::rename_new(&dir.join(to), &place),
        Some(_) => durable::exchange(&place, &original),
    };
    done.with_context(|| format!("{}: nothing was changed", place.display()))?;
    let unsure = || format!("{}: is as it was, but may not last", place.display());
    durable::sync_dir(dir).with_context(unsure)?;
    durable::sync_dir(durable::parent(&original)).with_context(unsure)
}

/// The directory as it was: the originals of what changed, and links to what did not.
fn rebuild(record: &Record, dir: &Path, folder: &Path) -> Result<()> {
    let back = folder.join(BACK);
    if back.exists() {
        // Of an undo that was killed.
        fs::remove_dir_all(&back).with_context(|| format!("{}: in the way", back.display()))?;
    }
    let failed = || format!("{}: cannot put the old directory together", back.display());
    fs::create_dir(&back).with_context(failed)?;
    durable::like(dir, &back).with_context(failed)?;
    let mut linked = Vec::new();
    for entry in fs::read_dir(dir).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name();
        let change = name.to_str().and_then(|n| record.files.iter().find(|f| f.to.as_deref() == Some(n)));
        let to = match change {
            Some(f) if f.after.as_ref() == Some(&f.before) => f.name.clone().into(),
            Some(_) => continue,
            None => name.clone(),
        };
        fs::hard_link(entry.path(), back.join(to)).with_context(failed)?;
        linked.push(name);
    }
    for file in record.files.iter().filter(|f| f.after.as_ref() != Some(&f.before)) {
        fs::hard_link(folder.join(&file.backup), back.join(&file.name)).with_context(failed)?;
    }
    durable::sync_dir(&back).with_context(failed)?;
    durable::exchange(dir, &back).with_context(|| format!("{}: nothing was changed", dir.display()))?;
    let unsure = || format!("{}: is as it was, but may not last", dir.display());
    durable::sync_dir(durable::parent(dir)).with_context(unsure)?;
    durable::sync_dir(folder).with_context(unsure)?;
    // What the change had made stays beside the record; what the log has, too, does not.
    let uncleared = || format!("{}: is as it was; the backup cannot be cleared up", dir.display());
    for name in linked {
        fs::remove_file(back.join(name)).with_context(uncleared)?;
    }
    let originals = folder.join(ORIGINALS);
    for file in record.files.iter().filter(|f| f.after.as_ref() != Some(&f.before)) {
        fs::remove_file(originals.join(&file.name)).ok();
    }
    durable::sync_dir(&originals).with_context(uncleared)
}
