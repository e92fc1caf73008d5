//! A rollback journal and a WAL of the same database. SQLite rolls a hot journal back as soon as it looks at the database,
//! and applies the WAL to what that leaves (`sqlite3PagerSharedLock`). So do all policies here, each by its own rules,
//! whichever of the two logs is asked about.

use super::{SUFFIX, engine, pages};
use crate::format::sqlite::files::{as_it_is, database_of};
use crate::format::sqlite_journal::{self, SUFFIX as JOURNAL};
use crate::format::{Claim, Image, LogFile, Remark, Role};
use crate::log::finding::Code;

/// By which rules logs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Those of the engine.
    Engine,
    /// All that is intact; `salvage`: also what no commit proves.
    Intact {
        /// See the variant.
        salvage: bool,
    },
}

/// The part that a file of this name plays beside a log: by their names, they are the two about one database, or it is a
/// super-journal, on which it depends whether a journal is hot.
pub fn claim(log: &str, name: &str) -> Option<Claim> {
    let about = |wal, journal| database_of(wal, SUFFIX).filter(|&x| database_of(journal, JOURNAL) == Some(x));
    let (role, order) = match about(log, name).or(about(name, log)) {
        Some(_) => (Role::Companion, 3),
        None if sqlite_journal::is_super_journal(name.as_bytes()) => (Role::List, 2),
        None => return None,
    };
    Some(Claim { role, order, exact: false, read: true })
}

/// The database to which the WAL is applied: as it is, or with a hot journal beside it rolled back.
pub fn before(files: &[LogFile<'_>], rules: Rules) -> Image {
    let journal = companion(files);
    journal.and_then(|log| sqlite_journal::rolled_back(files, log, rules)).unwrap_or_else(|| as_it_is(files))
}

/// A database with a journal rolled back, once the WAL beside it has been applied, too.
pub fn after(files: &[LogFile<'_>], rules: Rules, before: Image) -> Image {
    match (companion(files), rules) {
        (None, _) => before,
        (Some(log), Rules::Engine) => engine::applied(files, log, before),
        (Some(log), Rules::Intact { salvage }) => pages::applied(files, log, salvage, before),
    }
}

/// Whether a journal beside the WAL changes what that is applied to.
pub fn rolls_back_first(files: &[LogFile<'_>]) -> bool {
    companion(files).is_some_and(|log| sqlite_journal::is_hot(files, log))
}

/// Whether a WAL beside the journal holds anything that SQLite applies.
pub fn follows(files: &[LogFile<'_>]) -> bool {
    companion(files).is_some_and(|log| engine::commits(files, log))
}

/// What the report on `log` says of the other one, where both count.
pub fn remark(files: &[LogFile<'_>], log: usize) -> Option<Remark> {
    let (own, other) = (files.get(log)?.name, files.get(companion(files)?)?.name);
    let message = if own.ends_with(SUFFIX) {
        rolls_back_first(files)
            .then(|| format!("{other} beside it is hot: SQLite rolls it back first, then applies this WAL"))
    } else {
        (sqlite_journal::is_hot(files, log) && follows(files))
            .then(|| format!("{other} beside it holds commits: SQLite applies them once this is rolled back"))
    };
    message.map(|message| Remark { code: Code::UnfinishedOperation, file: log, at: 0, len: 0, message })
}

fn companion(files: &[LogFile<'_>]) -> Option<usize> {
    files.iter().position(|file| file.claim.role == Role::Companion)
}
