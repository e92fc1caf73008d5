//! Pages made anew: a repair of a tree does not mend pages, it fills new ones from the recovered state. The plan goes
//! through it without writing, so that it knows what comes of it.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::engine::Error;
use crate::engine::btree::{self, BTree, fits};
use crate::engine::storage::{Directory, Storage};
use crate::format::{Anew, Store};
use crate::repair::Task;
use crate::repair::afresh;
use crate::repair::edits::Rule;
use crate::replay::into::Feed;
use crate::replay::{Policy, Replayed, Wish, measure, replay};

/// Memory for the state; what is more goes to a temporary file.
const MEMORY: u64 = 2 << 30;

/// What comes of it.
#[derive(Debug)]
pub struct Rebuilt {
    /// Keys in the new tree.
    pub entries: u64,
    /// Hash of the recovered state, where it is one of keys.
    pub state_sha256: Option<String>,
    /// Hash of the new file, where it is known before it is written.
    pub image_sha256: Option<String>,
    /// Bytes of the new file.
    pub bytes: u64,
    /// Pairs that fit no page of this size and are left out.
    pub unfit: u64,
    /// Records that are part of it.
    pub records: u64,
    /// Intact records that no commit closes, or whose batch lost another member; of the engine's state those that it does
    /// not see.
    pub left_out: u64,
    /// Something was there that cannot be brought back.
    pub lost: bool,
}

/// Goes through it without writing.
///
/// # Errors
/// When the state cannot be read or kept, when the engine does not open and its state is wanted, or when keys are too
/// long for a tree of such pages.
pub fn plan(log: &OpenLog, report: &Report, rule: &Rule, anew: &Anew) -> Result<Rebuilt> {
    let replayed = state(log, report, rule)?;
    let held = measure::measure(log, &replayed.state)?;
    let measure = Measure::default();
    let bytes = measure.0.clone();
    let unfit = fill(log, &replayed, anew, measure)?;
    let recovered = replayed.recovered.clone().unwrap_or_default();
    let bytes = bytes.load(Ordering::Relaxed);
    Ok(Rebuilt {
        entries: held.keys.saturating_sub(unfit),
        state_sha256: held.main.hash,
        image_sha256: None,
        bytes,
        unfit,
        records: replayed.applied,
        left_out: recovered.uncommitted + recovered.incomplete,
        lost: recovered.lost || unfit > 0,
    })
}

/// Writes the new file of the pages to `path`, whole and synced, after `permit` has said who may read it.
///
/// # Errors
/// As [`plan`]; what the system says.
pub fn write(
    task: &Task<'_>,
    anew: &Anew,
    path: &Path,
    permit: &dyn Fn(&File) -> io::Result<()>,
) -> Result<()> {
    let failed = || format!("{}: cannot be written", path.display());
    // The engine makes a whole store: its empty log belongs to the plan of another file. What fails goes with the folder
    // around it.
    let dir = path.with_extension("new");
    DirBuilder::new().mode(0o700).create(&dir).with_context(failed)?;
    let storage = Directory::open(&dir).with_context(failed)?;
    fill(task.log, &state(task.log, task.report, task.rule)?, anew, storage)?;
    let made = dir.join(anew.file);
    File::open(&made).and_then(|made| permit(&made)).with_context(failed)?;
    fs::rename(made, path).and_then(|()| fs::remove_dir_all(dir)).with_context(failed)
}

fn state<'l>(log: &'l OpenLog, report: &Report, rule: &Rule) -> Result<Replayed<'l>> {
    if rule.by_engine {
        return afresh::engine(log, report, None);
    }
    let policy = Policy::Committed;
    let wish = Wish { undecided: rule.undecided, ..Wish::new(policy, MEMORY) };
    replay(log, report, &wish)
}

/// Fills a store; gives the number of pairs that it cannot hold.
fn fill(log: &OpenLog, replayed: &Replayed<'_>, anew: &Anew, storage: impl Storage + 'static) -> Result<u64> {
    match anew.store {
        Store::BTree => tree(log, replayed, anew.file, storage),
    }
}

fn tree(log: &OpenLog, replayed: &Replayed<'_>, file: &str, storage: impl Storage + 'static) -> Result<u64> {
    let by_engine = replayed.image.as_ref().map(|image| image.page_bytes);
    let page_bytes = replayed.recovered.as_ref().map(|recovered| recovered.page_bytes).or(by_engine);
    let keys = replayed.recovered.as_ref().map_or(0, |recovered| recovered.page_keys);
    let options = btree::Options { page_size: page_bytes, max_keys: Some(keys).filter(|&keys| keys >= 2) };
    let (unfit, note) = (RefCell::new(0), RefCell::default());
    let feed = Feed::new(log, &replayed.state, 0, &note)?;
    let size = page_bytes.unwrap_or(0) as usize;
    let pairs = feed.filter(|(key, value)| {
        let fits = fits(key, value, size).is_ok();
        *unfit.borrow_mut() += u64::from(!fits);
        fits
    });
    let built = BTree::build(storage, options, pairs).and_then(BTree::close);
    note.into_inner().end()?;
    match built {
        Err(Error::Refused(why)) => bail!("{file}: cannot be made anew: {why}"),
        built => built?,
    }
    Ok(unfit.into_inner())
}

/// A storage that keeps nothing but the length of the longest file.
#[derive(Default)]
struct Measure(Arc<AtomicU64>);

impl Storage for Measure {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn size(&self, _: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn read(&self, _: &str, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, _: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.fetch_max(at + bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn set_len(&mut self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }
}
