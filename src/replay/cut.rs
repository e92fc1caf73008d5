//! Points at which a log can be cut without tearing a transaction.

use anyhow::{Result, bail};

use crate::analysis::{OpenLog, Report};
use crate::fate::Standing;
use crate::log::conclude::Place;
use crate::log::record::Mark;
use crate::replay::walk::{Item, walk};

/// Where the records with numbers above `seq` begin; a transaction that reaches past it is cut off whole. `None`: there
/// are none.
///
/// # Errors
/// Where records carry no numbers.
pub fn behind_seq(log: &OpenLog, report: &Report, seq: u64) -> Result<Option<Place>> {
    if !log.format().profile().numbered {
        bail!("{}: its records carry no sequence numbers to cut at", log.format().profile().name);
    }
    let (mut begin, mut cut) = (None, None);
    walk(log, report, None, &mut |item: &Item<'_>| {
        let real = !matches!(item.standing, Standing::Foreign | Standing::Stale | Standing::Damaged);
        if cut.is_none() && real && item.seq().is_some_and(|n| n > seq) {
            cut = Some(begin.unwrap_or(item.place()));
        }
        match item.record.mark {
            Mark::Begin => begin = Some(item.place()),
            Mark::Commit => begin = None,
            _ => {}
        }
        Ok(())
    })?;
    Ok(cut)
}
