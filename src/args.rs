//! The arguments that commands share.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::io::listing::Wanted;
use crate::judgement::Judgement;
pub use crate::ui::Format;
use crate::ui::shell::quote;
use crate::ui::{paint, progress};

/// Headings in the help of options that many commands share, so that a command's own come first.
const INPUT: &str = "Input";
const GENERAL: &str = "General";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Say no more than asked: no progress, no words about the run
    #[arg(short, long, global = true, help_heading = GENERAL)]
    pub quiet: bool,
    /// Say more: every file of a long list, every note
    #[arg(short, long, global = true, help_heading = GENERAL, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Colour
    #[arg(long, global = true, help_heading = GENERAL, value_name = "WHEN", default_value = "auto")]
    pub color: paint::When,
    /// Progress on standard error
    #[arg(long, global = true, help_heading = GENERAL, value_name = "WHEN", default_value = "auto")]
    pub progress: progress::When,
}

impl Global {
    /// When progress is drawn.
    pub fn progress(&self) -> progress::When {
        if self.quiet { progress::When::Never } else { self.progress }
    }
}

/// What to read.
#[derive(Debug, Args)]
pub struct Input {
    /// Files or directories; a directory is one log or several; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Read as this format instead of recognising it
    #[arg(long = "as", help_heading = INPUT, value_name = "FORMAT", value_parser = format_names())]
    pub as_format: Option<String>,
    /// Revision of the format, where the bytes do not tell it
    #[arg(long, help_heading = INPUT, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Name that standard input would have as a file
    #[arg(long, help_heading = INPUT, value_name = "NAME")]
    pub stdin_name: Option<String>,
    /// Map files instead of reading them: faster on large records, but nothing may truncate them meanwhile
    #[arg(long, help_heading = INPUT)]
    pub map: bool,
    /// Threads [default: one per core]; the output does not depend on it
    #[arg(short = 'j', long, help_heading = INPUT, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

fn format_names() -> clap::builder::PossibleValuesParser {
    let profiles = crate::format::ALL.iter().map(|f| f.profile());
    let mut names: Vec<&'static str> =
        profiles.flat_map(|p| std::iter::once(p.name).chain(p.family)).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    clap::builder::PossibleValuesParser::new(names)
}

impl Input {
    /// For the listing.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            format: self.as_format.clone(),
            revision: self.revision.clone(),
            stdin_name: self.stdin_name.clone(),
            map: self.map,
        }
    }

    /// The options that say how to read, as they are typed.
    pub fn typed(&self) -> Vec<String> {
        let mut typed = Vec::new();
        typed.extend(self.as_format.as_ref().map(|name| format!("--as {name}")));
        typed.extend(self.revision.as_ref().map(|name| format!("--revision {name}")));
        let stdin = self.paths.iter().any(|path| path.as_os_str() == "-");
        let named = self.stdin_name.as_ref().filter(|_| stdin);
        typed.extend(named.map(|name| format!("--stdin-name {}", quote(Path::new(name)))));
        typed
    }

    /// Threads to use.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }
}

/// How to read what is damaged.
#[derive(Debug, Args)]
pub struct Mending {
    /// Put a single damaged word right where the checksum tells which it is and what it was
    #[arg(long)]
    pub repair_words: bool,
}

/// What the commands that judge a log have in common.
#[derive(Debug, Args)]
pub struct Reporting {
    /// See [`Input`].
    #[command(flatten)]
    pub input: Input,
    /// See [`Judgement`].
    #[command(flatten)]
    pub judgement: Judgement,
    /// How to print the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}
