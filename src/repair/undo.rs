//! Taking an in-place change back, byte for byte, as long as the files are still the ones that it wrote.

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::io::interrupt::Writing;
use crate::io::source::Source;
use crate::io::{durable, holders};
use crate::log::bytes::{Prefix, ReadAt};
use crate::refused::Refused;
use crate::repair::plan::sha256;
use crate::repair::record::{Changed, How, ORIGINALS, Record, State};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The files are what they were before.
    Now,
    /// They were already.
    Already,
}

/// Takes the change back that the record at `path` tells.
///
/// # Errors
/// [`Refused`] where a file is not what the change left; what the system says.
pub fn undo(path: &Path) -> Result<(Record, Undone)> {
    let (record, folder) = Record::read(path)?;
    let dir = record.dir()?;
    let _writing = Writing::begin();
    if all(&record, |f| is(&dir.join(&f.name), Some(&f.before)))? && nothing_new(&record, &dir)? {
        return Ok((record, Undone::Already));
    }
    saved(&record, &folder)?;
    unheld(&record, &dir)?;
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
    for file in &record.files {
        if !is(&dir.join(&file.name), Some(&file.before))? {
            bail!("{}: is not what it was; the backup is still in {}", file.name, folder.display());
        }
    }
    Ok((record, Undone::Now))
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

/// Nobody writes to the files meanwhile.
fn unheld(record: &Record, dir: &Path) -> Result<()> {
    let files: Vec<_> = record.files.iter().filter_map(|f| Some(dir.join(f.to.as_ref()?))).collect();
    match holders::writer(&files) {
        Some(h) => {
            let (file, pid, name) = (h.file.display(), h.pid, h.name);
            Err(Refused(format!("{file}: process {pid} ({name}) has it open for writing; stop it first"))
                .into())
        }
        None => Ok(()),
    }
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

/// The end of a file is written back behind what is left of it. An undo that was killed half-way is gone on with.
fn put_back(dir: &Path, folder: &Path, file: &Changed) -> Result<()> {
    let path = dir.join(&file.name);
    let name = path.display();
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
        return Err(Refused(format!("{name}: is no longer what the change left; nothing was changed")).into());
    }
    let failed = || format!("{name}: cannot write it back; run undo again");
    let mut out = OpenOptions::new().write(true).open(&path).with_context(failed)?;
    std::io::Seek::seek(&mut out, std::io::SeekFrom::Start(there)).with_context(failed)?;
    // Once begun it is gone through with: half of it is neither the old log nor the new one.
    let mut rest = std::fs::File::open(folder.join(&file.backup)).with_context(failed)?;
    std::io::Seek::seek(&mut rest, std::io::SeekFrom::Start(there - kept)).with_context(failed)?;
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
    const BACK: &str = "back";
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
