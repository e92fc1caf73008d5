//! walmedic: write-ahead-log forensics and recovery.
//!
//! Dependencies point one way: `main -> {cmd, cli} -> {explain, ui} -> judgement -> analysis -> {format, io} -> log
//! -> codec`. Below `io` nothing opens a file; below `format` nothing knows one. The engines stand beside `analysis`.

pub mod analysis;
pub mod args;
pub mod cli;
pub mod cmd;
pub mod codec;
pub mod engine;
pub mod explain;
pub mod fate;
pub mod findings;
pub mod format;
pub mod io;
pub mod judgement;
pub mod log;
pub mod refused;
pub mod repair;
pub mod replay;
pub mod surveys;
pub mod ui;
