//! walmedic: write-ahead-log forensics and recovery.
pub mod codec;
pub mod format;
pub mod io;
pub mod log;
