//! What people and machines see.

pub mod bytes;
pub mod explain;
pub mod generations;
pub mod hex;
pub mod json;
pub mod lines;
pub mod modes;
pub mod out;
pub mod page;
pub mod paint;
pub mod plan;
pub mod progress;
pub mod replay;
pub mod row;
pub mod rows;
pub mod shell;
pub mod steps;
pub mod text;

/// `--format` of commands that report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One document.
    Json,
    /// One object a line: `meta` first, `summary` last.
    Ndjson,
    /// One line a row, with a header.
    Csv,
}
