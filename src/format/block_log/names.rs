//! Logs that lie under a name that is not theirs, as when two were swapped: which name each of them belongs to.

use super::directory::{Directory, number_of};
use super::{Content, Facts, Flavour, first_log, has_log};
use crate::format::{LogFile, Remark};
use crate::log::finding::Code;
use crate::log::survey::Survey;

/// What names say, and what lies under them.
pub fn remarks(flavour: Flavour, files: &[LogFile<'_>], surveys: &[Survey]) -> Vec<Remark> {
    let own = (0..files.len()).filter_map(|i| alone(flavour, files, i));
    let stolen = (0..files.len()).filter_map(|i| live_under_another(flavour, files, i));
    own.chain(stolen).chain(swapped(flavour, files, surveys)).collect()
}

/// The headers of a log that came by itself say another number than its name.
fn alone(flavour: Flavour, files: &[LogFile<'_>], file: usize) -> Option<Remark> {
    let facts = Facts::of(flavour, files, file);
    let (own, named) =
        (facts.number.filter(|_| facts.content == Content::Batches)?, number_of(&files[file])?);
    let message = format!(
        "no header carries its number, {named}; read as log {own}, which they do carry, and as RocksDB would read it under that \
         one. Under this name it would take all of it for what is left of an older log"
    );
    (own != named as u32).then_some(Remark { code: Code::RenamedLog, file, at: 0, len: 0, message })
}

/// The headers of a log in a store carry the number of one that is needed: such a log is not written over, so this is its file.
fn live_under_another(flavour: Flavour, files: &[LogFile<'_>], file: usize) -> Option<Remark> {
    let facts = Facts::of(flavour, files, file);
    let named = number_of(&files[file]).filter(|_| facts.recycled && facts.content == Content::Batches)?;
    let directory = Directory::of(flavour, files);
    let (found, damaged) = first_log(&files[file])?;
    let kept = directory.catalogue.min_log_to_keep.filter(|&log| log > 0 && directory.is_known());
    let live = kept.is_some_and(|kept| u64::from(found) >= kept);
    if damaged || !live || facts.number == Some(found) || has_log(&files[file], named as u32) {
        return None;
    }
    let message = format!(
        "no header carries its number, {named}; they carry {found}, which the tables do not hold yet: this is {found:06}.log. \
         Under this name RocksDB takes all of it for what is left of an older log; rename it on a copy of the store"
    );
    Some(Remark { code: Code::MisorderedNames, file, at: 0, len: 0, message })
}

/// Which name each log belongs to, where the order of their numbers in the store is not that of the numbers in them, and none of
/// them holds what another does.
fn swapped(flavour: Flavour, files: &[LogFile<'_>], surveys: &[Survey]) -> Vec<Remark> {
    let directory = Directory::of(flavour, files);
    let mut logs = Vec::new();
    for (i, file) in files.iter().enumerate() {
        let runs = || surveys[i].runs.iter().filter(|run| run.next > run.first);
        let ends = runs().map(|run| run.first).min().zip(runs().map(|run| run.next).max());
        let counts =
            number_of(file).is_some_and(|log| directory.replays(log)) && surveys[i].copy_of.is_none();
        logs.extend(ends.filter(|_| counts).map(|(first, next)| (first, next, i)));
    }
    let named: Vec<usize> = logs.iter().map(|&(.., i)| i).collect();
    logs.sort_unstable();
    if logs.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Vec::new();
    }
    let pairs = logs.iter().zip(named).filter(|((.., i), name)| i != name);
    let remark = |(&(first, next, file), name): (&(u64, u64, usize), usize)| {
        let message = format!(
            "it holds numbers {first} to {}: by their order its name is {}. Rename it on a copy of the store",
            next - 1,
            files[name].name
        );
        Remark { code: Code::RenamedLog, file, at: 0, len: 0, message }
    };
    pairs.map(remark).collect()
}
