//! What is at stake in keys and rows: the state that the engine would hold beside the one that is intact and committed.

use anyhow::Result;

use crate::analysis::{OpenLog, Report, Shares};
use crate::replay::diff::compare;
use crate::replay::image::File;
use crate::replay::{Policy, Replayed, Wish, replay};

/// Memory for each of the two states; what is more goes to a temporary file.
const MEMORY: u64 = 64 << 20;

/// Counts the keys; of a log of pages also the rows in them, where its format can find them.
///
/// # Errors
/// When a state cannot be kept.
pub fn keys(log: &OpenLog, report: &Report) -> Result<(Shares, Option<Shares>)> {
    let state = |policy| replay(log, report, &Wish::new(policy, MEMORY));
    let (engine, intact) = (state(Policy::Engine)?, state(Policy::Committed)?);
    let counts = compare(log, &engine.state, &intact.state, &mut |_| Ok(()))?;
    let shared = counts.changed + counts.same;
    let keys = Shares {
        engine: counts.missing + shared,
        intact: counts.added + shared,
        at_stake: counts.differing(),
    };
    let rows = |replayed: &Replayed<'_>| {
        let image = replayed.image.as_ref().filter(|_| !report.alone())?;
        Some(report.format.grade(&File::new(log, image))?.rows)
    };
    let rows = rows(&engine).zip(rows(&intact)).map(|(engine, intact)| Shares {
        engine,
        intact,
        at_stake: intact.saturating_sub(engine),
    });
    Ok((keys, rows))
}
