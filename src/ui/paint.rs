//! Colour: flag before `NO_COLOR` before `CLICOLOR_FORCE` before terminal, and never the only sign.

use std::fmt::Display;
use std::io::IsTerminal;

use owo_colors::{OwoColorize, Rgb};

use crate::log::region::Kind;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The hues of reports, chosen to be told apart without telling red from green (Okabe and Ito).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    /// Intact.
    Good,
    /// Torn.
    Torn,
    /// Damaged.
    Bad,
    /// Recovered, or of an older generation.
    Kept,
    /// Of another log, or orphaned.
    Odd,
    /// Beside the point.
    Faint,
}

impl Hue {
    /// As red, green and blue.
    pub fn rgb(self) -> Rgb {
        match self {
            Hue::Good => Rgb(0, 158, 115),
            Hue::Torn => Rgb(230, 159, 0),
            Hue::Bad => Rgb(213, 94, 0),
            Hue::Kept => Rgb(86, 180, 233),
            Hue::Odd => Rgb(204, 121, 167),
            Hue::Faint => Rgb(128, 128, 128),
        }
    }
}

/// Applies colour or leaves it out.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// Decides for standard output.
    pub fn stdout(when: When) -> Paint {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0");
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb")
            || std::env::var_os("CLICOLOR").is_some_and(|v| v == "0");
        Paint(match when {
            When::Always => true,
            When::Never => false,
            When::Auto if set("NO_COLOR") => false,
            When::Auto if forced => true,
            When::Auto => !dumb && std::io::stdout().is_terminal(),
        })
    }

    /// Whether anything is coloured.
    pub fn on(self) -> bool {
        self.0
    }

    /// `text` in a hue.
    pub fn hue(self, hue: Hue, text: impl Display) -> String {
        if !self.0 {
            return text.to_string();
        }
        let Rgb(r, g, b) = hue.rgb();
        text.truecolor(r, g, b).to_string()
    }

    /// `text` in bold.
    pub fn strong(self, text: impl Display) -> String {
        if self.0 { text.bold().to_string() } else { text.to_string() }
    }
}

/// The sign and the hue of a kind of region in the map.
pub fn sign(kind: Kind) -> (char, Hue) {
    match kind {
        Kind::Records => ('#', Hue::Good),
        Kind::Framing => ('=', Hue::Good),
        Kind::Recovered => ('r', Hue::Kept),
        Kind::Damage => ('X', Hue::Bad),
        Kind::Mixed => ('%', Hue::Bad),
        Kind::Torn => ('~', Hue::Torn),
        Kind::Foreign => ('f', Hue::Odd),
        Kind::Stale => ('o', Hue::Kept),
        Kind::Preallocated => ('.', Hue::Faint),
        Kind::Unreadable => ('?', Hue::Bad),
    }
}
