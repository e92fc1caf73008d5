//! The sizes of logs that RocksDB writes down in its MANIFEST (`track_and_verify_wals_in_manifest`), and a MANIFEST without them.

use super::directory::{Directory, Records, number_of};
use super::framer::put_record;
use super::manifest::{Field, fields};
use super::{Facts, Flavour};
use crate::format::{LogFile, Tracked};

/// A longer catalogue is not written anew: it would have to be held.
const LIMIT: u64 = 1 << 30;
const HOW: &str = "with track_and_verify_wals_in_manifest RocksDB opens no store with such a log. Open it once with that option \
                   set to false, or let --drop-wal-tracking leave the sizes out of a copy's MANIFEST";

/// What a store tracks, unless it was last opened without that.
pub fn sizes(directory: &Directory) -> Option<Tracked> {
    if directory.option("track_and_verify_wals_in_manifest") == Some("false") {
        return None;
    }
    let synced = directory.catalogue.logs.iter().filter_map(|(log, size)| Some((*log, (*size)?)));
    let sizes: Vec<_> = synced.map(|(log, size)| (format!("{log:06}.log"), size)).collect();
    (!sizes.is_empty()).then_some(Tracked { sizes, how: HOW })
}

/// Logs that are shorter than tracked, where a store was last opened with that: index, bytes it has, bytes that were synced.
pub fn shorter(directory: &Directory, files: &[LogFile<'_>]) -> Vec<(usize, u64, u64)> {
    if directory.option("track_and_verify_wals_in_manifest") != Some("true") {
        return Vec::new();
    }
    let logs = files.iter().enumerate().filter_map(|(i, file)| Some((i, file, number_of(file)?)));
    let sized = logs.filter_map(|(i, file, log)| {
        let synced = (*directory.catalogue.logs.get(&log)?)?;
        Some((i, file.src.size(), synced))
    });
    sized.filter(|(_, size, synced)| size < synced).collect()
}

/// The contents of a MANIFEST without the sizes of logs.
///
/// # Errors
/// Why it cannot be written anew.
pub fn forgotten(flavour: Flavour, manifest: &LogFile<'_>) -> Result<Vec<u8>, &'static str> {
    if manifest.src.size() > LIMIT {
        return Err("it is too long");
    }
    let (mut edits, mut out) = (Records::new(Facts::edits(flavour), manifest.src), Vec::new());
    while let Some(next) = edits.next() {
        let (_, edit) = next.map_err(|_| "it is damaged")?;
        let kept = without_sizes(edit)?;
        if !kept.is_empty() {
            let at = out.len() as u64;
            put_record(&kept, None, at, &mut out);
        }
    }
    Ok(out)
}

/// An edit without the fields that speak of logs' sizes.
fn without_sizes(edit: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut kept, mut all) = (Vec::new(), fields(edit));
    let mut from = 0;
    while let Some(field) = all.next() {
        let told = matches!(
            field.map_err(|_| "one of its edits cannot be read")?,
            Field::LogAdded { .. } | Field::LogsDeletedBefore(_)
        );
        let to = all.at();
        if !told {
            kept.extend_from_slice(edit.get(from..to).unwrap_or_default());
        }
        from = to;
    }
    Ok(kept)
}
