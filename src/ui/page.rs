//! How wide the page is that people read on, and text that keeps to it. What is to be copied, names and commands, is never
//! broken: it may run over.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use anyhow::Result;
use textwrap::{Options, WordSplitter};

/// Longer lines of text are hard to read.
const WIDEST: usize = 80;
/// Shorter ones are no text any more.
const NARROWEST: usize = 40;
/// What a change of colour begins with; it ends with an `m`.
const ESCAPE: u8 = 0x1b;

/// Columns of the page: what `COLUMNS` says, or else the terminal; `None`: nothing tells.
pub fn columns() -> Option<usize> {
    static COLUMNS: OnceLock<Option<usize>> = OnceLock::new();
    *COLUMNS.get_or_init(|| {
        let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|&n| n > 0);
        let terminal = || std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        said.or_else(|| terminal().map(|(columns, _)| usize::from(columns.0)))
    })
}

/// Columns of a line that is cut rather than broken; where nothing tells, it may be of any length.
pub fn line() -> usize {
    columns().map_or(usize::MAX, |columns| columns.max(NARROWEST))
}

/// Columns for text.
pub fn width() -> usize {
    columns().map_or(WIDEST, |columns| columns.clamp(NARROWEST, WIDEST))
}

/// Text in lines that leave so many columns of the page free: their indent, and a margin.
pub fn wrap(text: &str, less: usize) -> Vec<String> {
    wrap_in(width().saturating_sub(less), text)
}

/// Text in lines of at most so many columns.
pub fn wrap_in(columns: usize, text: &str) -> Vec<String> {
    let options = Options::new(columns).word_splitter(WordSplitter::NoHyphenation).break_words(false);
    textwrap::wrap(text, options).into_iter().map(|line| line.into_owned()).collect()
}

/// Prints text at an indent.
///
/// # Errors
/// When `out` fails.
pub fn indented(out: &mut dyn Write, text: &str, indent: usize) -> Result<()> {
    for line in wrap(text, indent) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

/// Prints a command that is worth running, and why.
///
/// # Errors
/// When `out` fails.
pub fn step(out: &mut dyn Write, command: &str, why: &str) -> Result<()> {
    writeln!(out, "    {command}")?;
    indented(out, why, 8)
}

/// Adds words to the last line, or puts them on one of their own where they do not fit. `painted`: the same with colour.
pub fn append(line: &mut Vec<u8>, indent: usize, words: &str, painted: &str) {
    append_in(width(), line, indent, words, painted);
}

/// The same on a page of so many columns.
pub fn append_in(page: usize, line: &mut Vec<u8>, indent: usize, words: &str, painted: &str) {
    let glue = if taken(last_line(line)) + 2 + words.chars().count() <= page {
        "  ".to_owned()
    } else {
        format!("\n{:indent$}", "")
    };
    line.extend_from_slice(glue.as_bytes());
    line.extend_from_slice(painted.as_bytes());
}

/// What stands behind the last end of a line.
pub fn last_line(text: &[u8]) -> &[u8] {
    text.rsplit(|&b| b == b'\n').next().unwrap_or_default()
}

/// Columns that text takes: the bytes that continue a character take none, and neither does colour.
pub fn taken(text: &[u8]) -> usize {
    let (mut columns, mut colour) = (0, false);
    for &b in text {
        colour |= b == ESCAPE;
        columns += usize::from(!colour && b & 0xc0 != 0x80);
        colour &= b != b'm';
    }
    columns
}
