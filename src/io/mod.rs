//! Files: opening them for reading only, finding the logs among them.

pub mod durable;
pub mod holders;
pub mod interrupt;
pub mod listing;
pub mod source;
