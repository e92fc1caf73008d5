//! Which logs lie at a path.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::format::{ALL, Claim, Format, Role};
use crate::io::source::Source;
use crate::log::bytes::{ReadAt, Reader};

/// How many bytes of a file of unknown name are looked at.
const HEAD: usize = 64 << 10;
/// The same of a file whose name may be of several formats, where only one record in many tells them apart.
const ALIKE: usize = 1 << 20;
/// How deep directories are searched for logs, where the directory itself holds none.
const DEPTH: usize = 8;

/// What the user said about the input.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `--as`: a format or a family.
    pub format: Option<String>,
    /// `--revision`.
    pub revision: Option<String>,
    /// `--stdin-name`.
    pub stdin_name: Option<String>,
    /// `--map`.
    pub map: bool,
}

/// A log: the files of one format that belong together.
#[derive(Debug)]
pub struct Log {
    /// The path as given, or the directory below it that holds the files; printable, if not in its very bytes.
    pub path: String,
    /// The same for the system.
    pub place: PathBuf,
    /// Its format.
    pub format: &'static dyn Format,
    /// How that was told.
    pub recognised_by: String,
    /// Its files in log order.
    pub files: Vec<LogPath>,
    /// Names in the directory that look like left-overs of the log and that the engine ignores.
    pub ignored: Vec<String>,
    /// Logs that the engine has put away, in directories below.
    pub away: Vec<LogPath>,
}

/// A file of a log, not yet open.
#[derive(Debug)]
pub struct LogPath {
    /// Relative to the log, made printable.
    pub name: Arc<str>,
    /// Where it is; `None`: standard input.
    pub path: Option<Arc<Path>>,
    /// See [`Claim`].
    pub claim: Claim,
}

/// The formats that `--as` names; all of them without it.
///
/// # Errors
/// When there is no such format.
pub fn formats(wanted: &Wanted) -> Result<Vec<&'static dyn Format>> {
    let Some(name) = wanted.format.as_deref() else {
        return Ok(ALL.to_vec());
    };
    let named: Vec<_> = ALL
        .iter()
        .copied()
        .filter(|f| f.profile().name == name || f.profile().family == Some(name))
        .collect();
    if named.is_empty() {
        let known: Vec<_> = ALL.iter().map(|f| f.profile().name).collect();
        bail!("--as {name}: no such format; known: {}", known.join(", "));
    }
    Ok(named)
}

/// The logs at `path`: a file, a directory, or `-` for standard input.
///
/// # Errors
/// When there is nothing, or nothing that any format recognises; the message names what was looked for.
pub fn find(path: &Path, wanted: &Wanted) -> Result<Vec<Log>> {
    let formats = formats(wanted)?;
    if path.as_os_str() == "-" {
        let name = wanted.stdin_name.clone().unwrap_or_else(|| "-".into());
        return Ok(vec![single(path, &name, None, &formats, wanted)?]);
    }
    let meta = std::fs::metadata(path).with_context(|| format!("{}: cannot open", path.display()))?;
    if !meta.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return file(path, &name, &formats, wanted);
    }
    let mut logs = Vec::new();
    let entries = search(path, &formats, DEPTH, &mut logs)?;
    if logs.is_empty() {
        if wanted.format.is_some() && entries == 0 {
            // With --as an empty directory is an empty log.
            let recognised_by = format!("--as {}, no files", wanted.format.as_deref().unwrap_or_default());
            return Ok(vec![Log {
                path: path.display().to_string(),
                place: path.to_path_buf(),
                format: formats[0],
                recognised_by,
                files: Vec::new(),
                ignored: Vec::new(),
                away: Vec::new(),
            }]);
        }
        if entries == 0 {
            bail!("{}: empty directory; use --as FORMAT to treat it as an empty log", path.display());
        }
        let looked = looked_for(&formats);
        bail!("{}: no known log in this directory; looked for {looked}", path.display());
    }
    Ok(logs)
}

/// Groups the files of a directory by format; searches the directories below where it has none of its own.
fn search(dir: &Path, formats: &[&'static dyn Format], depth: usize, logs: &mut Vec<Log>) -> Result<usize> {
    let listed = std::fs::read_dir(dir).with_context(|| format!("{}: cannot list", dir.display()))?;
    let (mut entries, mut dirs) = (Vec::new(), HashSet::new());
    for entry in listed {
        let entry = entry.with_context(|| format!("{}: cannot list", dir.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            dirs.insert(entry.path());
        }
        entries.push(entry.path());
    }
    entries.sort();
    let formats = &suiting(formats, dir, &mut entries.iter().filter(|path| !dirs.contains(*path)));
    let before = logs.len();
    let mut found: Vec<Log> = Vec::new();
    for path in &entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let claims = formats.iter().filter_map(|f| Some((*f, f.claim(&name)?)));
        // An exact name beats a pattern: btree.wal is a B-tree's, not one of *.wal.
        let Some((format, claim)) = claims.max_by_key(|(_, c)| c.exact) else {
            continue;
        };
        if path.is_dir() {
            continue;
        }
        if let Some(subject) = format.subject(&name) {
            let log = LogPath { name: name.into(), path: Some(path.as_path().into()), claim };
            found.push(about(dir, format, log, subject, &entries));
            continue;
        }
        let at = found.iter().position(|l| l.format.profile().name == format.profile().name).unwrap_or_else(
            || {
                let recognised_by = String::new();
                found.push(Log {
                    path: dir.display().to_string(),
                    place: dir.to_path_buf(),
                    format,
                    recognised_by,
                    files: Vec::new(),
                    ignored: Vec::new(),
                    away: Vec::new(),
                });
                found.len() - 1
            },
        );
        if claim.read {
            found[at].files.push(LogPath { name: name.into(), path: Some(path.as_path().into()), claim });
        } else {
            found[at].ignored.push(name);
        }
    }
    found.retain(|log| log.files.iter().any(|file| file.claim.role != Role::Hint));
    let several = found.len() > 1;
    for mut log in found {
        // Of several about one file each, the directory would name none.
        if let Some(first) =
            log.files.first().filter(|first| several && log.format.subject(&first.name).is_some())
        {
            log.place = first.path.as_deref().map_or(log.place, Path::to_path_buf);
        }
        log.files.sort_by(|a, b| (a.claim.order, &a.name).cmp(&(b.claim.order, &b.name)));
        let n = log.files.len();
        let few: Vec<_> = log.files.iter().take(2).map(|f| &*f.name).collect();
        let dots = if n > 2 { ", …" } else { "" };
        log.recognised_by = format!("file names: {}{dots}", few.join(", "));
        log.away = put_away(log.format, &entries);
        logs.push(log);
    }
    if logs.len() == before && depth > 0 {
        for path in entries.iter().filter(|path| dirs.contains(*path)) {
            // A directory that may not be listed does not hide the logs beside it.
            search(path, formats, depth - 1, logs).ok();
        }
    }
    // What version control leaves to keep a directory is nothing of a log's.
    let hidden = |p: &&PathBuf| p.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    Ok(entries.len() - entries.iter().filter(hidden).count())
}

/// The logs of a format in those directories among `entries` in which its engine puts them away.
fn put_away(format: &'static dyn Format, entries: &[PathBuf]) -> Vec<LogPath> {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let mut away = Vec::new();
    for dir in entries.iter().filter(|dir| name(dir).is_some_and(|name| format.puts_away(&name))) {
        // One that may not be listed does not hide the log.
        let mut listed: Vec<LogPath> = paths(dir)
            .into_iter()
            .filter_map(|path| {
                let name = format!("{}/{}", name(dir)?, name(&path)?);
                let claim = format.claim(&name).filter(|claim| claim.role == Role::Log && path.is_file())?;
                Some(LogPath { name: name.into(), path: Some(path.into()), claim })
            })
            .collect();
        listed.sort_by(|a, b| (a.claim.order, &a.name).cmp(&(b.claim.order, &b.name)));
        away.append(&mut listed);
    }
    away
}

/// What can be seen of a directory.
fn paths(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Those of several formats that a directory with these files may be of. A directory among them says nothing, whatever its name.
fn suiting(
    formats: &[&'static dyn Format],
    dir: &Path,
    files: &mut dyn Iterator<Item = &PathBuf>,
) -> Vec<&'static dyn Format> {
    let below = |name: &str| formats.iter().any(|format| format.puts_away(name));
    // Whose logs were put away here, the files above tell.
    let whole = dir.canonicalize().unwrap_or_default();
    let name = whole.file_name().and_then(|name| name.to_str());
    let above = whole.parent().filter(|_| name.is_some_and(below)).map(paths).unwrap_or_default();
    let mut names: Vec<&str> = files.filter_map(|path| path.file_name()?.to_str()).collect();
    names.extend(above.iter().filter(|path| !path.is_dir()).filter_map(|path| path.file_name()?.to_str()));
    // Each format that asks looks at the same files.
    let mut heads: HashMap<String, Vec<u8>> = HashMap::new();
    let mut head = |name: &str| {
        let read = || {
            let path: Arc<Path> = dir.join(name).into();
            Source::open(&path, false, true).map_or_else(|_| Vec::new(), |source| head(&source, ALIKE))
        };
        heads.entry(name.to_owned()).or_insert_with(read).clone()
    };
    fitting(formats, &names, &mut head)
}

/// Those that fit files of these names. `head`: the first bytes of one of them.
fn fitting(
    formats: &[&'static dyn Format],
    names: &[&str],
    head: &mut dyn FnMut(&str) -> Vec<u8>,
) -> Vec<&'static dyn Format> {
    // What the user has named is taken.
    let named = formats.len() == 1;
    formats.iter().copied().filter(|f| named || f.suits(names, head)).collect()
}

/// A file is a log, or leads to those that go with it.
fn file(path: &Path, name: &str, formats: &[&'static dyn Format], wanted: &Wanted) -> Result<Vec<Log>> {
    if formats.iter().any(|f| f.claim(name).is_some()) {
        return Ok(vec![single(path, name, Some(path), formats, wanted)?]);
    }
    let source = Source::open(&path.into(), wanted.map, true)?;
    let head = head(&source, HEAD);
    let mut looked = Vec::new();
    let mut what = None;
    let mut logs = Vec::new();
    if formats.iter().all(|f| f.recognise(&head) == 0) {
        for about in formats.iter().filter_map(|f| f.logs_about(name, &head)) {
            what = what.or(about.what);
            for log in about.logs {
                let beside = path.with_file_name(&log);
                if beside.is_file() && formats.iter().any(|f| f.claim(&log).is_some()) {
                    let found = single(&beside, &log, Some(&beside), formats, wanted)?;
                    logs.push(Log { recognised_by: format!("beside {name}: {log}"), ..found });
                }
                looked.push(log);
            }
        }
    }
    match what {
        _ if !logs.is_empty() => Ok(logs),
        Some(what) => bail!(
            "{}: {what}, and no log that goes with it lies beside it; looked for {}",
            path.display(),
            looked.join(", ")
        ),
        None => Ok(vec![single(path, name, Some(path), formats, wanted)?]),
    }
}

/// One file is one log; its name tells the format, or else its bytes.
fn single(
    path: &Path,
    name: &str,
    file: Option<&Path>,
    formats: &[&'static dyn Format],
    wanted: &Wanted,
) -> Result<Log> {
    let suiting = match file {
        Some(file) => {
            let dir = directory(file);
            suiting(formats, dir, &mut paths(dir).iter().filter(|path| !path.is_dir()))
        }
        // What its name leaves open, only its bytes tell.
        None => fitting(formats, &[name], &mut |_| Source::stdin_head(ALIKE).unwrap_or_default()),
    };
    let by_name = suiting.iter().filter_map(|f| Some((*f, f.claim(name)?))).max_by_key(|(_, c)| c.exact);
    let (format, claim, recognised_by) = match by_name {
        Some((format, claim)) => (format, claim, format!("file name {name}")),
        None => {
            let unnamed = Claim { role: Role::Log, order: 0, exact: false, read: true };
            let head = match file {
                Some(file) => head(&Source::open(&file.into(), wanted.map, true)?, HEAD),
                None if wanted.stdin_name.is_some() => Source::stdin_head(HEAD)?,
                // It has to be said what comes there: it may begin with anything.
                None => Vec::new(),
            };
            match (by_bytes(&head, formats, &suiting), &wanted.format) {
                (Some((format, why)), _) => (format, unnamed, why),
                (None, Some(format)) => (formats[0], unnamed, format!("--as {format}")),
                (None, None) => bail!("{}: {}", path.display(), unknown(formats, file.is_none())),
            }
        }
    };
    let claim = Claim { read: true, ..claim };
    let log = LogPath { name: name.into(), path: file.map(Arc::from), claim };
    let beside = file.and_then(|file| Some((directory(file), format.subject(name)?)));
    let files = match beside {
        Some((dir, subject)) => {
            // A directory that may not be listed does not hide the file.
            let mut entries = paths(dir);
            entries.sort();
            about(dir, format, log, subject, &entries).files
        }
        None => vec![log],
    };
    let (place, path) = (path.to_path_buf(), path.display().to_string());
    Ok(Log { path, place, format, recognised_by, files, ignored: Vec::new(), away: Vec::new() })
}

/// A log, the file beside it that it is about, and what else there has to do with it.
fn about(
    dir: &Path,
    format: &'static dyn Format,
    log: LogPath,
    (name, claim): (String, Claim),
    entries: &[PathBuf],
) -> Log {
    let at = |name: String, claim| {
        let path = dir.join(&name);
        path.is_file().then(|| LogPath { name: name.into(), path: Some(path.as_path().into()), claim })
    };
    let names = entries.iter().filter_map(|path| path.file_name()?.to_str());
    let others = names.filter_map(|other| at(other.to_owned(), format.beside(&log.name, other)?));
    let beside: Vec<LogPath> = at(name, claim).into_iter().chain(others).collect();
    Log {
        path: dir.display().to_string(),
        place: dir.to_path_buf(),
        format,
        recognised_by: String::new(),
        files: std::iter::once(log).chain(beside).collect(),
        ignored: Vec::new(),
        away: Vec::new(),
    }
}

/// The format of which most of these first bytes of a file are records; of several alike the one that suits what lies beside
/// it, or the first.
fn by_bytes(
    head: &[u8],
    formats: &[&'static dyn Format],
    suiting: &[&'static dyn Format],
) -> Option<(&'static dyn Format, String)> {
    let suits = |f: &dyn Format| suiting.iter().any(|other| other.profile().name == f.profile().name);
    let known = formats.iter().rev().map(|f| ((f.recognise(head), suits(*f)), *f));
    let ((proved, _), format) =
        known.filter(|((proved, _), _)| *proved > 0).max_by_key(|(claim, _)| *claim)?;
    Some((format, format!("bytes: {proved} of the first {} are its records", head.len())))
}

/// Why a file is not read.
fn unknown(formats: &[&'static dyn Format], stdin: bool) -> String {
    let hint = if stdin { "say --stdin-name NAME or --as FORMAT" } else { "say --as FORMAT" };
    format!("neither its name nor its bytes are a known log's; looked for {}; {hint}", looked_for(formats))
}

/// What the files of formats are called; some are called alike.
fn looked_for(formats: &[&'static dyn Format]) -> String {
    let mut names: Vec<&str> = formats.iter().map(|f| f.profile().files).collect();
    names.dedup();
    names.join(", ")
}

/// The directory in which a file lies.
fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn head(source: &Source, most: usize) -> Vec<u8> {
    let len = most.min(source.size() as usize);
    let mut reader = Reader::with_chunk(source, len.max(1));
    let window = reader.window(0, len);
    window.bytes[..window.bytes.len().min(len)].to_vec()
}
