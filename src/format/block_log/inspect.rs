//! What only the whole directory tells of a log.

use super::Flavour;
use crate::format::{LogFile, Remark};
use crate::log::survey::Survey;

/// See [`crate::format::Format::inspect`].
pub fn inspect(_: Flavour, _: &[LogFile<'_>], _: &mut [Survey]) -> Vec<Remark> {
    Vec::new()
}
