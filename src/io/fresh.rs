//! New files and directories: whole under the name that was asked for, or not there at all.

use std::fs::Permissions;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::io::durable::{parent, rename_new, room, sync_dir};
use crate::io::interrupt::{self, Writing};
use crate::refused::Refused;

/// The refusal of a path at which there is something already.
pub fn exists(path: &Path) -> anyhow::Error {
    Refused(format!("{}: exists already; nothing is ever written over", path.display())).into()
}

/// Refuses a path at which there is anything, a dangling link included.
///
/// # Errors
/// [`Refused`], and when nothing can be told.
pub fn must_be_new(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(exists(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e).with_context(|| format!("{}: cannot be written", path.display())),
    }
}

/// Refuses a path where so many bytes find no room.
///
/// # Errors
/// [`Refused`], and when the free space cannot be told.
pub fn must_have_room(path: &Path, need: u64) -> Result<()> {
    let name = path.display();
    let free = room(parent(path)).with_context(|| format!("{name}: cannot tell the free space"))?;
    if free < need {
        return Err(Refused(format!("{name}: {need} bytes are needed there and {free} are free")).into());
    }
    Ok(())
}

/// Writes a new file: it gets its name when all of it is on stable storage.
///
/// # Errors
/// [`Refused`], what `write` says, an interruption, and when the file cannot be written.
pub fn file(path: &Path, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
    must_be_new(path)?;
    let _writing = Writing::begin();
    let failed = || format!("{}: cannot be written", path.display());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".walmedic-").permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(parent(path)).with_context(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, Stoppable(file.as_file_mut()));
    write(&mut out).and_then(|()| Ok(out.flush()?)).map_err(|e| match interrupt::check() {
        Err(interrupted) => interrupted.into(),
        Ok(()) => e.context(failed()),
    })?;
    drop(out);
    file.as_file().sync_all().with_context(failed)?;
    interrupt::check()?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_dir(parent(path)).with_context(failed),
        Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        Err(e) => Err(e.error).with_context(failed),
    }
}

/// Fills a new directory: it gets its name when `fill`, which has to sync what it writes, is through.
///
/// # Errors
/// [`Refused`], what `fill` says, an interruption, and when the directory cannot be made.
pub fn directory(path: &Path, fill: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    must_be_new(path)?;
    let _writing = Writing::begin();
    let failed = || format!("{}: cannot be written", path.display());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".walmedic-").permissions(Permissions::from_mode(0o777));
    let dir = builder.tempdir_in(parent(path)).with_context(failed)?;
    fill(dir.path())?;
    sync_dir(dir.path()).with_context(failed)?;
    interrupt::check()?;
    match rename_new(dir.path(), path) {
        Ok(()) => {
            // It has its name now, and nothing is left to remove.
            let _: PathBuf = dir.keep();
            sync_dir(parent(path)).with_context(failed)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        Err(e) => Err(e).with_context(failed),
    }
}

/// Stops at the next piece once the user wants it to.
struct Stoppable<W>(W);

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        interrupt::check().map_err(std::io::Error::other)?;
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let listed = std::fs::read_dir(dir).unwrap();
        listed.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let failed = file(&path, &mut |out| {
            out.write_all(b"half")?;
            anyhow::bail!("the disk is full")
        });
        assert!(format!("{:#}", failed.unwrap_err()).ends_with(": cannot be written: the disk is full"));
        assert_eq!(names(dir.path()), [""; 0]);
        file(&path, &mut |out| Ok(out.write_all(b"all of it")?)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"all of it");
        assert_eq!(names(dir.path()), ["new"]);
    }

    #[test]
    fn nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old");
        std::fs::write(&path, "old").unwrap();
        let as_file = file(&path, &mut |_| panic!("asked to write"));
        let as_folder = directory(&path, &mut |_| panic!("asked to fill"));
        for refused in [as_file, as_folder] {
            assert!(refused.unwrap_err().is::<Refused>());
        }
        // Also when it comes into being meanwhile, be it an empty directory.
        let late = dir.path().join("late");
        let refused = directory(&late, &mut |_| Ok(std::fs::create_dir(&late)?));
        assert!(refused.unwrap_err().is::<Refused>());
        let later = dir.path().join("later");
        let refused = file(&later, &mut |_| Ok(std::fs::write(&later, "first")?));
        assert!(refused.unwrap_err().is::<Refused>());
        assert_eq!(std::fs::read(&later).unwrap(), b"first");
        assert_eq!(names(dir.path()).len(), 3);
    }

    #[test]
    fn a_directory_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let failed = directory(&path, &mut |dir| {
            std::fs::write(dir.join("a"), "1")?;
            anyhow::bail!("no")
        });
        assert!(failed.is_err());
        assert_eq!(names(dir.path()), [""; 0]);
        directory(&path, &mut |dir| Ok(std::fs::write(dir.join("a"), "1")?)).unwrap();
        assert_eq!(names(dir.path()), ["new"]);
        assert_eq!(names(&path), ["a"]);
    }
}
