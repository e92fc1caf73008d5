//! Files: opening them for reading only, finding the logs among them, writing new ones.

pub mod durable;
pub mod fresh;
pub mod holders;
pub mod interrupt;
pub mod listing;
pub mod source;
