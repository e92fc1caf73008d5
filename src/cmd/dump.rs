//! dump
use crate::cli::{Global, Input};
use anyhow::Result;
use clap::Args;
/// Arguments of `dump`.
#[derive(Debug, Args)]
pub struct Opts {
    #[command(flatten)]
    input: Input,
}
/// Runs it.
pub fn run(opts: &Opts, _: &Global) -> Result<u8> {
    let _ = &opts.input;
    Ok(0)
}
