//! explain
use crate::cli::Global;
use anyhow::Result;
use clap::Args;
/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Opts {
    /// Code
    code: Option<String>,
}
/// Runs it.
pub fn run(opts: &Opts, _: &Global) -> Result<u8> {
    let _ = &opts.code;
    Ok(0)
}
