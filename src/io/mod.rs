//! Files: opening them for reading only, finding the logs among them.

pub mod listing;
pub mod source;
