//! What the engines make of a log when they open it.

use super::Flavour;
use crate::format::{Job, Outcome, Take};
use crate::log::finding::Code;

/// Versions whose behaviour is known.
pub const VERSIONS: &[&str] = &["7.8.3", "10.4.2"];

/// See [`crate::format::Format::engine`].
pub fn outcome(_: Flavour, _: &Job<'_>, _: Option<Take<'_>>) -> Outcome {
    Outcome::refused("not asked".into())
}

/// See [`crate::format::Format::engine_at`].
pub fn at(_: Flavour, _: Code) -> Option<&'static str> {
    None
}
