//! The error of a step that is not taken because it might do harm: exit code 4.

/// Something is not done because it might do harm.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);
