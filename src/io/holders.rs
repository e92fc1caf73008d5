//! Which process has a file open for writing. A log that its engine still writes must not be changed underneath it.

#[cfg(target_os = "linux")]
use std::fs::{self, Metadata};
#[cfg(target_os = "linux")]
use std::io::{self, ErrorKind};
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

/// What came of looking for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first one found.
    pub holder: Option<Holder>,
    /// Processes that could not be looked at: they belong to other users.
    pub unseen: usize,
}

/// Looks for a process other than this one that has one of the files open for writing, or mapped so. On systems without
/// `/proc` nothing is seen.
#[cfg(target_os = "linux")]
pub fn writer(files: &[PathBuf]) -> Seen {
    let known = |path: &PathBuf| Some((path.clone(), identity(&fs::metadata(path).ok()?)));
    let known: Vec<(PathBuf, Identity)> = files.iter().filter_map(known).collect();
    let mut seen = Seen::default();
    for (pid, process) in processes().filter(|(pid, _)| *pid != std::process::id()) {
        match opened(&process, &known).and_then(|file| Ok(file.or(mapped(&process, &known)?))) {
            Ok(None) => {}
            Ok(Some(file)) => {
                seen.holder = Some(Holder { pid, name: name(&process), file });
                return seen;
            }
            Err(e) => seen.unseen += usize::from(e.kind() == ErrorKind::PermissionDenied && runs(&process)),
        }
    }
    seen
}

/// The folders of all processes in `/proc`, with their numbers.
#[cfg(target_os = "linux")]
fn processes() -> impl Iterator<Item = (u32, PathBuf)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
}

#[cfg(target_os = "linux")]
fn name(process: &Path) -> String {
    fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned()
}

/// Whether it is a program: the threads of the kernel have no command line, and open no files.
#[cfg(target_os = "linux")]
fn runs(process: &Path) -> bool {
    fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The first of the files that the process has open for writing.
#[cfg(target_os = "linux")]
fn opened(process: &Path, known: &[(PathBuf, Identity)]) -> io::Result<Option<PathBuf>> {
    for fd in fs::read_dir(process.join("fd"))?.flatten() {
        let Some(id) = fs::metadata(fd.path()).ok().map(|m| identity(&m)) else { continue };
        let Some((file, _)) = known.iter().find(|(_, known)| *known == id) else { continue };
        if writes(&process.join("fdinfo").join(fd.file_name())) {
            return Ok(Some(file.clone()));
        }
    }
    Ok(None)
}

/// The first of the files that the process has mapped so that what it writes into memory gets into the file.
#[cfg(target_os = "linux")]
fn mapped(process: &Path, known: &[(PathBuf, Identity)]) -> io::Result<Option<PathBuf>> {
    let maps = fs::read(process.join("maps"))?;
    let found = String::from_utf8_lossy(&maps).lines().filter_map(mapping).find_map(|(id, path)| {
        // Where a file system shows another device here than elsewhere, the path tells.
        let here = fs::metadata(path).ok().map(|m| identity(&m));
        known.iter().find(|(_, known)| *known == id || Some(*known) == here).map(|(file, _)| file.clone())
    });
    Ok(found)
}

/// The file of a line of `/proc/PID/maps`, if it is mapped shared and writable.
#[cfg(target_os = "linux")]
fn mapping(line: &str) -> Option<(Identity, &str)> {
    let mut words = line.splitn(6, ' ');
    let (_, access, _, device, inode) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let path = words.next().unwrap_or_default().trim_start();
    let (major, minor) = device.split_once(':')?;
    let number = |word| u32::from_str_radix(word, 16).ok();
    let device = rustix::fs::makedev(number(major)?, number(minor)?);
    let shared = access.contains('w') && access.contains('s');
    shared.then_some(((device, inode.parse().ok()?), path))
}

/// The first process, this one included, whose working directory is `dir` or lies in it, as far as can be seen.
#[cfg(target_os = "linux")]
pub fn inside(dir: &Path) -> Option<Holder> {
    let stands = |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    let (pid, process) = processes().find(|(_, process)| stands(process))?;
    Some(Holder { pid, name: name(&process), file: dir.to_path_buf() })
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
pub fn writer(_: &[PathBuf]) -> Seen {
    Seen::default()
}

/// Device and number of a file.
#[cfg(target_os = "linux")]
type Identity = (u64, u64);

#[cfg(target_os = "linux")]
fn identity(meta: &Metadata) -> Identity {
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
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that holds a file until it is dropped.
    struct Other(Child);

    impl Other {
        /// Of a command that says something once it has it.
        fn start(command: &mut Command) -> Other {
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let mut child = child.unwrap();
            let mut line = [0];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
            Other(child)
        }

        fn opens(path: &Path, redirect: &str) -> Other {
            let script = format!("exec 9{redirect}\"$1\"; echo; read _");
            Other::start(Command::new("sh").args(["-c", &script, "sh"]).arg(path))
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    fn log() -> (tempfile::TempDir, [PathBuf; 1]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a log");
        fs::write(&path, b"bytes").unwrap();
        (dir, [path])
    }

    #[test]
    fn a_writer_is_seen_and_a_reader_is_none() {
        let (_dir, files) = log();
        assert_eq!(writer(&files).holder, None);
        let reader = Other::opens(&files[0], "<");
        assert_eq!(writer(&files).holder, None);
        drop(reader);
        let other = Other::opens(&files[0], ">>");
        let found = writer(&files).holder.map(|h| (h.pid, h.file));
        assert_eq!(found, Some((other.0.id(), files[0].clone())));
    }

    /// Where the process that [`a_mapping_is_seen`] starts finds the file.
    const MAPPED: &str = "WALMEDIC_TEST_MAPPED";

    #[test]
    fn a_mapping_is_seen() {
        if let Some(path) = std::env::var_os(MAPPED) {
            return hold_mapped(Path::new(&path));
        }
        let (_dir, files) = log();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "io::holders::tests::a_mapping_is_seen", "--nocapture"]);
        let other = Other::start(again.env(MAPPED, &files[0]));
        let found = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            writer(&files).holder
        });
        assert_eq!(found.map(|h| (h.pid, h.file)), Some((other.0.id(), files[0].clone())));
    }

    /// Maps the file, closes it, and waits for the end of its input.
    #[allow(unsafe_code)]
    fn hold_mapped(path: &Path) {
        let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        // SAFETY: nothing reads or writes through the mapping, and nobody cuts the file of this test.
        let map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
        drop(file);
        std::io::stdin().read_line(&mut String::new()).unwrap();
        drop(map);
    }

    #[test]
    fn only_what_is_shared_and_writable_counts() {
        let line = |access: &str| format!("7f00-7f01 {access} 00000000 fe:01 1234     /var/lib/a log/1.wal");
        let id = (rustix::fs::makedev(0xfe, 1), 1234);
        assert_eq!(mapping(&line("rw-s")), Some((id, "/var/lib/a log/1.wal")));
        for other in ["r--s", "rw-p", "r-xp", "---p"] {
            assert_eq!(mapping(&line(other)), None, "{other}");
        }
        assert_eq!(mapping("7f00-7f01 rw-s 00000000 00:01 77"), Some(((rustix::fs::makedev(0, 1), 77), "")));
        for broken in ["", "x", "7f00 rw-s 0 fe 1 /x", "7f00 rw-s 0 fe:zz 1 /x", "7f00 rw-s 0 fe:01 -1 /x"] {
            assert_eq!(mapping(broken), None, "{broken}");
        }
    }
}
