//! Carrying a plan out: each file of the new log is written whole, synced, and never over anything.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::analysis::OpenLog;
use crate::io::interrupt;
use crate::io::source::Source;
use crate::log::bytes::ReadAt;
use crate::repair::afresh;
use crate::repair::edits::{Edit, Sink, edits};
use crate::repair::plan::{FilePlan, Plan};
use crate::repair::{Task, pages, rebuild};

/// What a file is called in messages that the log did not have.
const NEW: &str = "a new file";
/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

/// Writes the files that `wanted` names into `dir`, under their new names, and syncs them.
///
/// # Errors
/// What the system says, with the name of the file; an interruption.
pub fn files(task: &Task<'_>, plan: &Plan, dir: &Path, wanted: &dyn Fn(&FilePlan) -> bool) -> Result<()> {
    let name = |file: usize| plan.files[file].to.clone().filter(|_| wanted(&plan.files[file]));
    let edited = |file: &FilePlan| file.changed && !file.rebuilt && file.prefix.is_none();
    if plan.files.iter().any(|f| wanted(f) && edited(f)) {
        let streamed = |file: usize| name(file).filter(|_| plan.files[file].changed);
        let mut writer = Writer { log: task.log, dir, name: &streamed, file: 0, open: None };
        edits(task.log, task.report, task.rule, &mut writer)?;
        writer.close()?;
    }
    rest(task, plan, dir, &name)
}

/// Makes the plan and writes the whole new log into `dir` in one go.
///
/// # Errors
/// What the system says, with the name of the file; an interruption.
pub fn all(task: &Task<'_>, dir: &Path) -> Result<Plan> {
    // What a file is to be called, and whether it is wanted, is known only when all have been gone through.
    let number = |file: usize| Some(format!("{file}.new"));
    let mut writer = Writer { log: task.log, dir, name: &number, file: 0, open: None };
    let plan = Plan::with(task.log, task.report, task.rule, false, Some(&mut writer))?;
    writer.close()?;
    for (i, file) in plan.files.iter().enumerate() {
        let Some(written) = number(i).map(|name| dir.join(name)).filter(|path| path.exists()) else {
            continue;
        };
        match &file.to {
            Some(to) => fs::rename(&written, dir.join(to)),
            None => fs::remove_file(&written),
        }
        .with_context(|| format!("{}: cannot put its copy in place", file.name))?;
    }
    rest(task, &plan, dir, &|file| plan.files[file].to.clone())?;
    Ok(plan)
}

/// The files that no edit made: those that stay as they are, those cut, those made anew.
fn rest(task: &Task<'_>, plan: &Plan, dir: &Path, name: &dyn Fn(usize) -> Option<String>) -> Result<()> {
    let log = task.log;
    for (i, file) in plan.files.iter().enumerate() {
        let Some(to) = name(i).filter(|to| !dir.join(to).exists()) else { continue };
        let made = file.rebuilt && file.changed;
        if let Some(pages) = task.rule.pages.filter(|_| made) {
            pages::write(task, pages, &dir.join(to), &|made| permit(log, i, made))?;
            continue;
        }
        if let Some(anew) = log.format().anew().filter(|_| made && !task.rule.afresh) {
            rebuild::write(task, &anew, &dir.join(to), &|made| permit(log, i, made))?;
            continue;
        }
        let mut writer = Writer { log, dir, name, file: i, open: None };
        writer.create(i, &to)?;
        if let Some(contents) = &file.contents {
            writer.add(contents)?;
        } else if made {
            afresh::records(log, task.report, &mut |bytes| writer.add(bytes))?;
        } else {
            writer.copy(0..file.prefix.filter(|_| file.changed).unwrap_or(file.bytes))?;
        }
        writer.close()?;
    }
    Ok(())
}

/// What was private stays so; an engine may write to the copy even of a log that was put out of harm's way. A file that was
/// not there is what the first one is.
fn permit(log: &OpenLog, file: usize, made: &File) -> std::io::Result<()> {
    let Some(from) = log.path(file).or(log.path(0)) else { return Ok(()) };
    let mode = fs::metadata(from)?.permissions().mode();
    made.set_permissions(Permissions::from_mode(mode | 0o200))
}

/// Writes files as their edits come in.
struct Writer<'a> {
    log: &'a OpenLog,
    dir: &'a Path,
    /// What the file of this index is called in `dir`; `None`: it is not written.
    name: &'a dyn Fn(usize) -> Option<String>,
    file: usize,
    open: Option<BufWriter<File>>,
}

impl Writer<'_> {
    fn create(&mut self, file: usize, to: &str) -> Result<()> {
        let path = self.dir.join(to);
        let failed = || format!("{}: cannot create", path.display());
        let created = File::create_new(&path).with_context(failed)?;
        permit(self.log, file, &created).with_context(failed)?;
        (self.file, self.open) = (file, Some(BufWriter::with_capacity(PIECE, created)));
        Ok(())
    }

    fn old_name(&self) -> &str {
        self.log.log.files.get(self.file).map_or(NEW, |file| &file.name)
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let name = self.old_name();
        let failed = || format!("{name}: cannot write its copy");
        let file = open.into_inner().map_err(|e| e.into_error()).with_context(failed)?;
        file.sync_all().with_context(failed)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let written = open.write_all(bytes);
        written.with_context(|| format!("{}: cannot write its copy", self.old_name()))
    }

    fn copy(&mut self, span: Range<u64>) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (source, name) = (self.log.source(self.file), &self.log.log.files[self.file].name);
        if span.end - span.start < PIECE as u64 {
            return copy(source, name, span, open);
        }
        open.flush().with_context(|| format!("{name}: cannot write its copy"))?;
        copy_much(source, name, span, open.get_mut())
    }
}

/// Copies bytes of a source to where a file is being written, by the system as far as it can.
///
/// # Errors
/// What the system says; an interruption.
pub fn copy_much(source: &Source, name: &str, span: Range<u64>, to: &mut File) -> Result<()> {
    let done = source.file().map_or(Ok(0), |file| by_kernel(file, span.clone(), to))?;
    copy(source, name, span.start + done..span.end, to)
}

/// Lets the system copy bytes from file to file, which may share them; gives back how many it did before it gave up.
fn by_kernel(from: &File, span: Range<u64>, to: &File) -> Result<u64> {
    /// So many at a time, to notice an interruption.
    const MOST: u64 = 64 << 20;
    let mut at = span.start;
    while at < span.end {
        interrupt::check()?;
        let want = (span.end - at).min(MOST) as usize;
        match rustix::fs::copy_file_range(from, Some(&mut at), to, None, want) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(at - span.start)
}

/// Copies bytes of a source, whose name is for messages.
///
/// # Errors
/// What the system says; an interruption.
pub fn copy(source: &dyn ReadAt, name: &str, span: Range<u64>, out: &mut dyn Write) -> Result<()> {
    let mut piece = vec![0; PIECE.min((span.end - span.start) as usize)];
    let mut at = span.start;
    while at < span.end {
        interrupt::check()?;
        let want = PIECE.min((span.end - at) as usize);
        let read = source.read_at(at, &mut piece[..want]);
        let n = read.with_context(|| format!("{name}, offset {at}: cannot read"))?;
        if n == 0 {
            bail!("{name}, offset {at}: the file became shorter");
        }
        out.write_all(&piece[..n]).with_context(|| format!("{name}: cannot write its copy"))?;
        at += n as u64;
    }
    Ok(())
}

/// Whether these bytes of a source are all of another one.
///
/// # Errors
/// When one of them cannot be read.
pub fn same(source: &dyn ReadAt, span: Range<u64>, whole: &Source) -> Result<bool> {
    if span.end - span.start != whole.size() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = span.start;
    while at < span.end {
        let want = PIECE.min((span.end - at) as usize);
        let n = source.read_at(at, &mut a[..want])?;
        let mut got = 0;
        while got < n {
            match whole.read_at(at - span.start + got as u64, &mut b[got..n])? {
                0 => return Ok(false),
                more => got += more,
            }
        }
        if n == 0 || a[..n] != b[..n] {
            return Ok(false);
        }
        at += n as u64;
    }
    Ok(true)
}

impl Sink for Writer<'_> {
    fn file(&mut self, file: usize) -> Result<()> {
        self.close()?;
        match (self.name)(file) {
            Some(to) => self.create(file, &to),
            None => Ok(()),
        }
    }

    fn edit(&mut self, edit: Edit<'_>) -> Result<()> {
        interrupt::check()?;
        match edit {
            Edit::Keep(span) => self.copy(span),
            Edit::Drop(..) => Ok(()),
            Edit::Patch(_, bytes)
            | Edit::Relink(_, bytes)
            | Edit::Reframe(_, bytes, _)
            | Edit::Insert(bytes)
            | Edit::Seal(bytes) => self.add(bytes),
        }
    }
}
