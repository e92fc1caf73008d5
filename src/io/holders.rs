//! Which process has a file open for writing. A log that its engine still writes must not be changed underneath it.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// A process that has a file open for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The file.
    pub file: PathBuf,
}

/// The first process other than this one that has one of the files open for writing. Only processes that this user may look
/// at are seen; on systems without `/proc` none is.
#[cfg(target_os = "linux")]
pub fn writer(files: &[PathBuf]) -> Option<Holder> {
    let known: Vec<(PathBuf, (u64, u64))> =
        files.iter().filter_map(|p| Some((p.clone(), identity(&fs::metadata(p).ok()?)))).collect();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let Ok(open) = fs::read_dir(entry.path().join("fd")) else { continue };
        for fd in open.flatten() {
            let Some(id) = fs::metadata(fd.path()).ok().map(|m| identity(&m)) else { continue };
            let Some((file, _)) = known.iter().find(|(_, known)| *known == id) else { continue };
            if writes(&entry.path().join("fdinfo").join(fd.file_name())) {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                return Some(Holder { pid, name: name.trim().to_owned(), file: file.clone() });
            }
        }
    }
    None
}

/// The first process, this one included, whose working directory is `dir` or lies in it, as far as can be seen.
#[cfg(target_os = "linux")]
pub fn inside(dir: &Path) -> Option<Holder> {
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        if fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir)) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(Holder { pid, name: name.trim().to_owned(), file: dir.to_path_buf() });
        }
    }
    None
}

/// See the other one: there only this process is seen.
#[cfg(not(target_os = "linux"))]
pub fn inside(dir: &Path) -> Option<Holder> {
    let cwd = std::env::current_dir().and_then(|cwd| cwd.canonicalize()).ok()?;
    let this = || Holder { pid: std::process::id(), name: "walmedic".into(), file: dir.to_path_buf() };
    cwd.starts_with(dir).then(this)
}

/// See the other one.
#[cfg(not(target_os = "linux"))]
pub fn writer(_: &[PathBuf]) -> Option<Holder> {
    None
}

#[cfg(target_os = "linux")]
fn identity(meta: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (meta.dev(), meta.ino())
}

/// Whether the open file that `fdinfo` describes may be written to: its flags, in octal, end in the access mode.
#[cfg(target_os = "linux")]
fn writes(fdinfo: &Path) -> bool {
    const ACCESS: u64 = 0o3;
    let text = fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|f| u64::from_str_radix(f.trim(), 8).ok()).is_some_and(|flags| flags & ACCESS != 0)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {

    use std::process::{Command, Stdio};

    use super::*;

    /// A process that holds `path` open until it is dropped.
    struct Other(std::process::Child);

    impl Other {
        fn start(path: &Path, redirect: &str) -> Other {
            let script = format!("exec 9{redirect}\"$1\"; echo; read _");
            let child = Command::new("sh")
                .args(["-c", &script, "sh"])
                .arg(path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let mut child = child.unwrap();
            let mut line = [0];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
            Other(child)
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    #[test]
    fn a_writer_is_seen_and_a_reader_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, b"bytes").unwrap();
        let files = [path.clone()];
        assert_eq!(writer(&files), None);
        let reader = Other::start(&path, "<");
        assert_eq!(writer(&files), None);
        drop(reader);
        let other = Other::start(&path, ">>");
        assert_eq!(writer(&files).map(|h| (h.pid, h.file)), Some((other.0.id(), path)));
    }
}
