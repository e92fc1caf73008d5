//! The undo record: what an in-place change found, what it left, and where the originals are.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::codec::hex;
use crate::format::Format;
use crate::io::durable;

/// Its name in the folder of the backup.
pub const NAME: &str = "undo.json";
/// The folder, inside that of the backup, that holds the originals.
pub const ORIGINALS: &str = "log";
const SCHEMA: &str = "walmedic.undo/1";

/// The record of one in-place change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema: String,
    /// `repair` or `truncate`.
    pub command: String,
    /// The directory of the log, for people.
    pub path: String,
    /// The same, byte for byte.
    path_hex: String,
    /// How it was changed.
    pub how: How,
    /// The files that changed.
    pub files: Vec<Changed>,
    /// The format that tells which files belong to the log; `None`: of an older version, which did not ask.
    #[serde(default)]
    pub format: Option<String>,
    /// The files beside them that belong to this log, or to one of the same format.
    #[serde(default)]
    pub others: Vec<Other>,
}

/// A file that did not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Its name in the directory.
    pub name: String,
    /// Its length; `None`: it belongs to another log.
    pub bytes: Option<u64>,
    /// SHA-256 of pages, which an engine writes over without making their file longer.
    pub sha256: Option<String>,
}

/// Whether a file of this name belongs to a log of this format, as far as a name tells. Of logs that each are about a file
/// of another name, none belongs to the others.
pub fn belongs(format: &dyn Format, name: &str) -> bool {
    format.claim(name).is_some_and(|claim| claim.read) && format.subject(name).is_none()
}

/// How a log is changed in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// One file is cut: its end lies in the backup.
    Cut,
    /// One file is swapped with its successor, moved away or renamed.
    File,
    /// The whole directory is swapped: several files change at once.
    Directory,
}

/// A file that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its name in the directory.
    pub name: String,
    /// Its name afterwards; `None`: it is gone.
    pub to: Option<String>,
    /// What it was.
    pub before: State,
    /// What it became.
    pub after: Option<State>,
    /// Where the original, or its end, lies, from the folder of the record.
    pub backup: String,
    /// SHA-256 of what lies there.
    pub saved: String,
}

/// The contents of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Length in bytes.
    pub bytes: u64,
    /// The hash is of the bytes from here on: of all, unless the file was only cut.
    pub from: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Record {
    /// A record for the log in `dir`, an absolute path.
    pub fn new(
        command: &str,
        dir: &Path,
        how: How,
        files: Vec<Changed>,
        format: &str,
        others: Vec<Other>,
    ) -> Record {
        Record {
            schema: SCHEMA.into(),
            command: command.into(),
            path: dir.display().to_string(),
            path_hex: hex::text(dir.as_os_str().as_bytes()),
            how,
            files,
            format: Some(format.into()),
            others,
        }
    }

    /// The directory of the log.
    ///
    /// # Errors
    /// When the record does not name one.
    pub fn dir(&self) -> Result<PathBuf> {
        match hex::decode(&self.path_hex) {
            Some(bytes) if !bytes.is_empty() => Ok(OsString::from_vec(bytes).into()),
            _ => bail!("the record names no directory"),
        }
    }

    /// Writes it into `folder`, durably.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(NAME);
        let failed = || format!("{}: cannot write", path.display());
        let mut file = File::create_new(&path).with_context(failed)?;
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        file.write_all(&text).with_context(failed)?;
        file.sync_all().with_context(failed)?;
        durable::sync_dir(folder).with_context(failed)?;
        durable::sync_dir(durable::parent(folder)).with_context(failed)?;
        Ok(path)
    }

    /// Reads one; `path` is the record, or the folder that holds it. Gives back that folder, too.
    ///
    /// # Errors
    /// When there is none, or it is of another kind.
    pub fn read(path: &Path) -> Result<(Record, PathBuf)> {
        let file = if path.is_dir() { path.join(NAME) } else { path.to_path_buf() };
        let name = file.display();
        let text = std::fs::read(&file).with_context(|| format!("{name}: cannot read"))?;
        let record: Record =
            serde_json::from_slice(&text).with_context(|| format!("{name}: is no undo record"))?;
        if record.schema != SCHEMA {
            bail!("{name}: is a record of another kind ({})", record.schema);
        }
        if record.how != How::Directory && record.files.len() != 1 {
            bail!("{name}: the record contradicts itself");
        }
        let plain = |name: &str| Path::new(name).file_name().is_some_and(|n| n == name);
        let inside = |backup: &str| {
            backup.strip_prefix(ORIGINALS).and_then(|b| b.strip_prefix('/')).is_some_and(plain)
        };
        if !record
            .files
            .iter()
            .all(|f| plain(&f.name) && f.to.as_deref().is_none_or(plain) && inside(&f.backup))
        {
            bail!("{name}: names files outside of the log and the backup");
        }
        Ok((record, durable::parent(&file).to_path_buf()))
    }
}
