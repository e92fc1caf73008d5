//! Carrying a plan out: each file of the new log is written whole, synced, and never over anything.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::io::interrupt;
use crate::io::source::Source;
use crate::log::bytes::ReadAt;
use crate::repair::edits::{Edit, Rule, Sink, edits};
use crate::repair::plan::{FilePlan, Plan};
use crate::repair::rebuild;

/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

/// Writes the files that `wanted` names into `dir`, under their new names, and syncs them.
///
/// # Errors
/// What the system says, with the name of the file; an interruption.
pub fn files(
    log: &OpenLog,
    report: &Report,
    rule: &Rule,
    plan: &Plan,
    dir: &Path,
    wanted: &dyn Fn(&FilePlan) -> bool,
) -> Result<()> {
    let mut writer = Writer { log, plan, dir, wanted, file: 0, open: None };
    let edited = plan.files.iter().any(|f| wanted(f) && f.changed && !f.rebuilt && f.prefix.is_none());
    if edited {
        edits(log, report, rule, &mut writer)?;
    }
    writer.close()?;
    for (i, file) in plan.files.iter().enumerate().filter(|(_, f)| wanted(f)) {
        let Some(to) = &file.to else { continue };
        if dir.join(to).exists() {
            continue;
        }
        if file.rebuilt && file.changed {
            rebuild::write(log, report, rule, &dir.join(to))?;
            continue;
        }
        let len = file.prefix.filter(|_| file.changed).unwrap_or(file.bytes);
        writer.create(i, to)?;
        writer.copy(0..len)?;
        writer.close()?;
    }
    Ok(())
}

struct Writer<'a> {
    log: &'a OpenLog,
    plan: &'a Plan,
    dir: &'a Path,
    wanted: &'a dyn Fn(&FilePlan) -> bool,
    file: usize,
    open: Option<BufWriter<File>>,
}

impl Writer<'_> {
    fn create(&mut self, file: usize, to: &str) -> Result<()> {
        let path = self.dir.join(to);
        let failed = || format!("{}: cannot create", path.display());
        let created = File::create_new(&path).with_context(failed)?;
        // What was private stays so.
        if let Some(from) = self.log.path(file) {
            created.set_permissions(fs::metadata(from)?.permissions()).with_context(failed)?;
        }
        (self.file, self.open) = (file, Some(BufWriter::with_capacity(PIECE, created)));
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let name = &self.plan.files[self.file].name;
        let failed = || format!("{name}: cannot write its copy");
        let file = open.into_inner().map_err(|e| e.into_error()).with_context(failed)?;
        file.sync_all().with_context(failed)
    }

    fn copy(&mut self, span: Range<u64>) -> Result<()> {
        match &mut self.open {
            Some(open) => copy(self.log.source(self.file), &self.plan.files[self.file].name, span, open),
            None => Ok(()),
        }
    }
}

/// Copies bytes of a source, whose name is for messages.
///
/// # Errors
/// What the system says; an interruption.
pub fn copy(source: &Source, name: &str, span: Range<u64>, out: &mut dyn Write) -> Result<()> {
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
pub fn same(source: &Source, span: Range<u64>, whole: &Source) -> Result<bool> {
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
        let plan = &self.plan.files[file];
        match &plan.to {
            Some(to) if (self.wanted)(plan) && plan.changed => self.create(file, to),
            _ => Ok(()),
        }
    }

    fn edit(&mut self, edit: Edit<'_>) -> Result<()> {
        interrupt::check()?;
        match edit {
            Edit::Keep(span) => self.copy(span),
            Edit::Drop(..) => Ok(()),
            Edit::Patch(_, bytes) | Edit::Insert(bytes) => match &mut self.open {
                Some(open) => {
                    let name = &self.plan.files[self.file].name;
                    open.write_all(bytes).with_context(|| format!("{name}: cannot write its copy"))
                }
                None => Ok(()),
            },
        }
    }
}
