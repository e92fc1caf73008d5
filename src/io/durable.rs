//! Steps on a file system that never replace anything unasked, and what makes them hold after a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Syncs a directory, so that names made or removed in it are on stable storage.
///
/// # Errors
/// What the system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// The directory that holds `path`.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a file or directory a name that nothing has yet. It holds once both directories are synced.
///
/// # Errors
/// `AlreadyExists` where something has it; what the system says.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot; nothing but another program in the same moment can then come in between.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(from, to)
        }
        done => Ok(done?),
    }
}

/// Swaps two names in one step: whatever happens, both are there and each is one of the two. It holds once both directories
/// are synced.
///
/// # Errors
/// `Unsupported` where the file system cannot; what the system says.
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        done => Ok(done?),
    }
}

/// Gives a file or directory the owner and the mode of another one.
///
/// # Errors
/// What the system says; only its owner and root may.
pub fn like(old: &Path, new: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let (meta, own) = (std::fs::metadata(old)?, std::fs::metadata(new)?);
    if (meta.uid(), meta.gid()) != (own.uid(), own.gid()) {
        chown(new, Some(meta.uid()), Some(meta.gid()))?;
    }
    std::fs::set_permissions(new, meta.permissions())
}

/// Whether a name can be moved from one place to the other.
///
/// # Errors
/// What the system says.
pub fn same_file_system(a: &Path, b: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(a)?.dev() == std::fs::metadata(b)?.dev())
}

/// Bytes that a user may still write where `path` lies.
///
/// # Errors
/// What the system says.
pub fn room(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
