//! Changing a log where it lies. What is new is written beside it and synced, then one step of the file system makes it the
//! log: a file is cut, two files change names, or two directories do. Killed at any instant, the log is the old one or the
//! new one; the originals stay in the backup, and the undo record was there before them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::analysis::OpenLog;
use crate::format::Role;
use crate::io::interrupt::{self, Writing};
use crate::io::source::Source;
use crate::io::{durable, fresh, holders};
use crate::log::bytes::{Prefix, ReadAt};
use crate::refused::Refused;
use crate::repair::plan::{Action, FilePlan, Plan, sha256};
use crate::repair::record::{self, Changed, How, ORIGINALS, Other, Record, State};
use crate::repair::{Done, Found, Task, held, target, write};

/// Bytes before a cut by which the file is known again.
const WITNESS: u64 = 1 << 20;

/// Carries the plan out on the log itself. Gives back the undo record, too.
///
/// # Errors
/// [`Refused`] where it might do harm; what the system says, and then nothing has changed, unless the message says so.
pub fn change(task: &Task<'_>, plan: &Plan, backup: Option<&Path>, command: &str) -> Result<(PathBuf, Done)> {
    let log = task.log;
    let dir = directory(log)?;
    if let Some(new) = plan.files.get(log.log.files.len()) {
        return Err(Refused(format!(
            "{}: is missing, and a repair in place adds no file; write a copy with --output",
            new.name
        ))
        .into());
    }
    if dir.with_file_name(record::NAME).exists() {
        let why = "are the originals that an undo puts back; copy them elsewhere first";
        return Err(Refused(format!("{}: {why}", dir.display())).into());
    }
    if let Some(backup) = backup {
        target::outside(log, backup)?;
    }
    held::unheld(log)?;
    let writing = Writing::begin();
    let folder = Folder::create(&dir, backup)?;
    let step = prepare(task, plan, &dir, &folder, command)?;
    interrupt::check()?;
    let unseen = held::unheld(log)?;
    held::unchanged(log)?;
    step.take(&dir, folder.path()).with_context(|| format!("{}: nothing was changed", dir.display()))?;
    // From here on the log is the new one, and the folder holds what it was.
    let folder = folder.keep();
    let record = folder.join(record::NAME);
    writing.done();
    let found = step.hold(&dir, &folder).and_then(|()| settle(task, plan, &step, &dir, &folder));
    let found = found.with_context(|| format!("the change was made; {} takes it back", record.display()))?;
    Ok((record, Done { found, unseen }))
}

/// The directory in which all files of the log lie, as an absolute path without links.
fn directory(log: &OpenLog) -> Result<PathBuf> {
    let mut dir: Option<PathBuf> = None;
    for i in 0..log.log.files.len() {
        let Some(path) = log.path(i) else { bail!("standard input cannot be changed in place") };
        let name = path.display();
        if path.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
            return Err(Refused(format!("{name}: is a link; name the log that it leads to")).into());
        }
        if path.file_name() != Some(OsStr::new(&*log.log.files[i].name)) {
            return Err(Refused(format!("{name}: its name is not UTF-8; use --output")).into());
        }
        let parent =
            durable::parent(path).canonicalize().with_context(|| format!("{name}: cannot find it"))?;
        if dir.as_ref().is_some_and(|d| *d != parent) {
            bail!("the files of this log lie in several directories");
        }
        dir = Some(parent);
    }
    dir.context("the log has no files")
}

/// The folder of the backup; it goes again if nothing comes of the change.
struct Folder {
    path: Option<PathBuf>,
}

impl Folder {
    fn create(dir: &Path, wanted: Option<&Path>) -> Result<Folder> {
        let path = match wanted {
            Some(path) => match fs::create_dir(path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(Refused(format!("{}: exists already", path.display())).into());
                }
                made => {
                    made.with_context(|| format!("{}: cannot create the backup", path.display()))?;
                    path.canonicalize()?
                }
            },
            None => Folder::beside(dir)?,
        };
        let folder = Folder { path: Some(path.clone()) };
        fs::create_dir(path.join(ORIGINALS))
            .with_context(|| format!("{}: cannot create the backup", path.display()))?;
        Ok(folder)
    }

    /// The first free name beside the log, with the log's mode: what was private stays so.
    fn beside(dir: &Path) -> Result<PathBuf> {
        let name = dir.file_name().context("a log in the root directory cannot be changed in place")?;
        for n in 1..=9999 {
            let mut name = name.to_owned();
            name.push(format!(".walmedic-{n}"));
            let path = dir.with_file_name(name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    let folder = Folder { path: Some(path) };
                    like(dir, folder.path())?;
                    return Ok(folder.keep());
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(e).with_context(|| {
                        format!(
                            "{}: cannot create the backup; name another place with --backup",
                            path.display()
                        )
                    });
                }
            }
        }
        bail!("{}: too many backups beside it", dir.display())
    }

    fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("."))
    }

    fn originals(&self) -> PathBuf {
        self.path().join(ORIGINALS)
    }

    fn keep(mut self) -> PathBuf {
        self.path.take().unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            fs::remove_dir_all(path).ok();
        }
    }
}

/// The one step that makes what is new the log.
enum Step {
    /// The file of this name is cut to so many bytes.
    Cut(String, u64),
    /// It changes places with its successor in the backup.
    Swap(String),
    /// It goes into the backup.
    Remove(String),
    /// It gets the other name.
    Rename(String, String),
    /// The directory changes places with the one in the backup, which shares these files with it.
    Directory(Vec<OsString>),
}

impl Step {
    /// The smallest that does all of it at once.
    fn of(acting: &[(usize, &FilePlan)], dir: &Path) -> Result<Step> {
        let [(_, file)] = acting else { return Ok(Step::Directory(Vec::new())) };
        let name = file.name.clone();
        let stays = file.to.as_ref() == Some(&name);
        Ok(match (file.action(), &file.to) {
            (Action::Cut, _) if stays && sole(&dir.join(&name))? => Step::Cut(name, file.new_bytes),
            (Action::Remove, _) => Step::Remove(name),
            (Action::Rename, Some(to)) => Step::Rename(name, to.clone()),
            _ if stays => Step::Swap(name),
            _ => Step::Directory(Vec::new()),
        })
    }

    fn how(&self) -> How {
        match self {
            Step::Cut(..) => How::Cut,
            Step::Swap(_) | Step::Remove(_) | Step::Rename(..) => How::File,
            Step::Directory(_) => How::Directory,
        }
    }

    fn take(&self, dir: &Path, folder: &Path) -> Result<()> {
        let originals = folder.join(ORIGINALS);
        match self {
            Step::Cut(name, to) => Ok(OpenOptions::new().write(true).open(dir.join(name))?.set_len(*to)?),
            Step::Swap(name) => swap(&dir.join(name), &originals.join(name)),
            Step::Remove(name) => Ok(durable::rename_new(&dir.join(name), &originals.join(name))?),
            Step::Rename(name, to) => Ok(durable::rename_new(&dir.join(name), &dir.join(to))?),
            Step::Directory(_) => swap(dir, &originals),
        }
    }

    /// Makes it last.
    fn hold(&self, dir: &Path, folder: &Path) -> Result<()> {
        match self {
            Step::Cut(name, _) => File::open(dir.join(name))?.sync_all()?,
            Step::Swap(_) | Step::Remove(_) | Step::Rename(..) => {
                durable::sync_dir(dir)?;
                durable::sync_dir(&folder.join(ORIGINALS))?;
            }
            Step::Directory(_) => {
                durable::sync_dir(durable::parent(dir))?;
                durable::sync_dir(folder)?;
            }
        }
        Ok(())
    }
}

/// Writes everything that is new into the folder, and the record.
fn prepare(task: &Task<'_>, plan: &Plan, dir: &Path, folder: &Folder, command: &str) -> Result<Step> {
    let log = task.log;
    same_file_system(dir, folder.path())?;
    let acting: Vec<(usize, &FilePlan)> = plan.files.iter().enumerate().filter(|(_, f)| f.acts()).collect();
    let mut step = Step::of(&acting, dir)?;
    let how = step.how();
    enough_room(&acting, how, folder.path())?;
    let originals = folder.originals();
    match &mut step {
        Step::Cut(..) => save_tail(log, acting[0], &originals)?,
        Step::Swap(_) | Step::Remove(_) | Step::Rename(..) => write_changed(task, plan, &originals)?,
        Step::Directory(linked) => {
            nobody_inside(dir)?;
            write_changed(task, plan, &originals)?;
            *linked = link_rest(dir, &originals, plan)?;
            like(dir, &originals)?;
            // All of the new log is there: it is judged before it takes the old one's place.
            target::findings(task, &originals)?;
        }
    }
    durable::sync_dir(&originals).with_context(|| format!("{}: cannot sync", originals.display()))?;
    let files =
        acting.iter().map(|&(i, f)| changed(log, i, f, how, &originals)).collect::<Result<Vec<_>>>()?;
    let others = others(log, plan, dir).with_context(|| format!("{}: cannot be listed", dir.display()))?;
    let format = log.format().profile().name;
    Record::new(command, dir, how, files, format, others).write(folder.path())?;
    Ok(step)
}

/// What lies beside the files that change and belongs to this log, or to one of the same format.
fn others(log: &OpenLog, plan: &Plan, dir: &Path) -> Result<Vec<Other>> {
    let mut others = Vec::new();
    for (i, file) in log.log.files.iter().enumerate().filter(|(i, _)| !plan.files[*i].acts()) {
        let source = log.source(i).original();
        let sha256 = (file.claim.role == Role::Pages).then(|| sha256(&source, 0)).transpose()?;
        others.push(Other { name: file.name.to_string(), bytes: Some(source.size()), sha256 });
    }
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if record::belongs(log.format(), &name) && log.log.files.iter().all(|file| *file.name != *name) {
            others.push(Other { name, bytes: None, sha256: None });
        }
    }
    others.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(others)
}

fn write_changed(task: &Task<'_>, plan: &Plan, originals: &Path) -> Result<()> {
    write::files(task, plan, originals, &|f| f.acts() && f.changed)?;
    for (i, file) in plan.files.iter().enumerate().filter(|(_, f)| f.acts() && f.changed) {
        if let (Some(to), Some(old)) = (&file.to, task.log.path(i)) {
            like(old, &originals.join(to))?;
        }
    }
    Ok(())
}

/// Whether the file has no other name: a cut would shorten it under that one, too, and it may be someone's snapshot.
fn sole(path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(path)?.nlink() == 1)
}

/// Nobody stands in a directory that is to be swapped: its name would lead to the new one, and he would be in the backup.
fn nobody_inside(dir: &Path) -> Result<()> {
    match holders::inside(dir) {
        Some(h) => Err(Refused(format!(
            "{}: several files change, which takes a swap of this directory, and process {} ({}) stands in it; \
             leave it first, or use --output",
            dir.display(),
            h.pid,
            h.name
        ))
        .into()),
        None => Ok(()),
    }
}

fn same_file_system(dir: &Path, folder: &Path) -> Result<()> {
    if !durable::same_file_system(dir, folder)? {
        let folder = folder.display();
        return Err(Refused(format!(
            "{folder}: lies on another file system than the log, so nothing can be swapped"
        ))
        .into());
    }
    Ok(())
}

fn enough_room(acting: &[(usize, &FilePlan)], how: How, folder: &Path) -> Result<()> {
    let need: u64 = match how {
        How::Cut => acting.iter().map(|(_, f)| f.bytes - f.new_bytes.min(f.bytes)).sum(),
        _ => acting.iter().filter(|(_, f)| f.changed && f.to.is_some()).map(|(_, f)| f.new_bytes).sum(),
    };
    fresh::must_have_room(folder, need)
}

/// Copies what is going to be cut off, and reads it back.
fn save_tail(log: &OpenLog, (file, plan): (usize, &FilePlan), originals: &Path) -> Result<()> {
    let path = originals.join(tail_name(&plan.name));
    let failed = || format!("{}: cannot write the backup", path.display());
    let from = plan.prefix.unwrap_or(0);
    let mut out = File::create_new(&path).with_context(failed)?;
    write::copy(&log.source(file).original(), &plan.name, from..plan.bytes, &mut out)?;
    if let Some(old) = log.path(file) {
        durable::like(old, &path).with_context(failed)?;
    }
    out.sync_all().with_context(failed)?;
    let copy = Source::open(&path.as_path().into(), false, true)?;
    if !write::same(&log.source(file).original(), from..plan.bytes, &copy)? {
        bail!("{}: the backup does not read back as it was written", path.display());
    }
    Ok(())
}

fn tail_name(name: &str) -> String {
    format!("{name}.tail")
}

/// Puts links to all files that do not change into the new directory.
fn link_rest(dir: &Path, new: &Path, plan: &Plan) -> Result<Vec<OsString>> {
    let mut linked = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("{}: cannot list", dir.display()))? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let planned = name.to_str().and_then(|n| plan.files.iter().find(|f| f.name == n));
        if planned.is_some_and(|f| f.changed || f.to.is_none()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            return Err(Refused(format!(
                "{}: several files change, which takes a swap of their directory, and this one holds a directory; use --output",
                path.display()
            ))
            .into());
        }
        let to = planned.and_then(|f| f.to.as_ref()).map_or(name.clone(), Into::into);
        fs::hard_link(&path, new.join(&to))
            .with_context(|| format!("{}: cannot link; use --output", path.display()))?;
        linked.push(name);
    }
    Ok(linked)
}

/// What is new belongs to whom the old one belongs to.
fn like(old: &Path, new: &Path) -> Result<()> {
    durable::like(old, new)
        .with_context(|| format!("{}: cannot give it the owner and mode of {}", new.display(), old.display()))
}

fn changed(log: &OpenLog, file: usize, plan: &FilePlan, how: How, originals: &Path) -> Result<Changed> {
    // What a cut leaves is not touched: its last bytes are enough to know it again, whatever its size.
    let from = if how == How::Cut { plan.new_bytes.saturating_sub(WITNESS) } else { 0 };
    let before = State { bytes: plan.bytes, from, sha256: sha256(&log.source(file).original(), from)? };
    let after = match (&plan.to, how) {
        (None, _) => None,
        (Some(_), How::Cut) => {
            let prefix = Prefix { src: log.source(file), len: plan.new_bytes };
            Some(State { bytes: plan.new_bytes, from, sha256: sha256(&prefix, from)? })
        }
        (Some(to), _) if plan.changed => {
            let new = Source::open(&originals.join(to).as_path().into(), false, true)?;
            Some(State { bytes: new.size(), from, sha256: sha256(&new, from)? })
        }
        (Some(_), _) => Some(before.clone()),
    };
    let backup = if how == How::Cut { tail_name(&plan.name) } else { plan.name.clone() };
    let saved = match how {
        How::Cut => sha256(&Source::open(&originals.join(&backup).as_path().into(), false, true)?, 0)?,
        _ => before.sha256.clone(),
    };
    let (name, to, backup) = (plan.name.clone(), plan.to.clone(), format!("{ORIGINALS}/{backup}"));
    Ok(Changed { name, to, before, after, backup, saved })
}

/// Two names change places.
fn swap(a: &Path, b: &Path) -> Result<()> {
    match durable::exchange(a, b) {
        Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {
            Err(Refused("this file system cannot swap two names in one step; use --output".into()).into())
        }
        done => Ok(done?),
    }
}

/// Leaves in the backup only what is not in the log any more, and reads the log again: what is still to be
/// found. Of a file that was only cut everything left has been read already.
fn settle(task: &Task<'_>, plan: &Plan, step: &Step, dir: &Path, folder: &Path) -> Result<Found> {
    match step {
        Step::Cut(name, to) => {
            let now = fs::metadata(dir.join(name))?.len();
            if now != *to {
                bail!("{name}: has {now} bytes and should have {to}");
            }
            let unfit = plan.unfit.as_ref().filter(|unfit| !unfit.forgotten);
            Ok(Found { left: !plan.sound, refused: unfit.map(|unfit| unfit.how.to_owned()) })
        }
        Step::Swap(_) | Step::Remove(_) | Step::Rename(..) => target::findings(task, task.path),
        Step::Directory(linked) => {
            for name in linked {
                fs::remove_file(folder.join(ORIGINALS).join(name))?;
            }
            durable::sync_dir(&folder.join(ORIGINALS))?;
            target::findings(task, dir)
        }
    }
}
