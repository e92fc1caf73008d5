//! `explain`: what a finding code means, its likely causes, what is done with it, and what to do next.

use std::io::Write;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::args::Global;
use crate::cmd::CLEAN;
use crate::explain;
use crate::log::finding::Code;
use crate::ui::explain as view;
use crate::ui::out::Out;
use crate::ui::page;
use crate::ui::paint::Paint;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Opts {
    /// Codes, or a word of their titles or their class; without any, all codes are listed
    #[arg(value_name = "CODE")]
    words: Vec<String>,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One document.
    Json,
    /// For a page of documentation.
    Markdown,
}

/// What was asked for.
enum Answer {
    /// These codes, in full.
    Full(Vec<Code>),
    /// A list to choose from.
    List(Vec<Code>),
}

/// Runs it.
///
/// # Errors
/// When a code or word is unknown, or standard output fails.
pub fn run(opts: &Opts, global: &Global) -> Result<u8> {
    let answer = find(&opts.words)?;
    let mut out = Out::default();
    match (opts.format, &answer) {
        (Format::Text, Answer::Full(codes)) => {
            view::text(&mut out, codes, Paint::stdout(global.color), page::width())?;
        }
        (Format::Text, Answer::List(codes)) => view::list(&mut out, codes, Paint::stdout(global.color))?,
        (Format::Json, Answer::Full(codes)) if codes.len() == 1 => view::json_one(&mut out, codes[0])?,
        (Format::Json, Answer::Full(codes) | Answer::List(codes)) => view::json(&mut out, codes)?,
        (Format::Markdown, Answer::Full(codes) | Answer::List(codes)) => view::markdown(&mut out, codes)?,
    }
    out.flush()?;
    Ok(CLEAN)
}

/// Codes, one or several, or else words to look for.
fn find(words: &[String]) -> Result<Answer> {
    if words.is_empty() {
        return Ok(Answer::List(Code::ALL.to_vec()));
    }
    if let Some(codes) = words.iter().map(|w| explain::parse(w)).collect() {
        return Ok(Answer::Full(codes));
    }
    let text = words.join(" ");
    let codes = explain::matching(&text);
    if codes.is_empty() {
        let closest: Vec<_> =
            explain::closest(&text).iter().map(|c| format!("{} ({})", c.text(), c.title())).collect();
        bail!(
            "explain {text}: no such code, and no such word in a title or class; closest: {}",
            closest.join(", ")
        );
    }
    Ok(Answer::List(codes))
}
