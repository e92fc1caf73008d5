//! What each finding code means, for people: one source for `explain` and for `docs/findings.md`.

use std::cmp::Ordering;

use crate::format;
use crate::log::finding::{Class, Code};

mod steps;
mod texts;

/// All that is known of a code in general. What engines do there, each format says itself: [`engines`].
#[derive(Debug)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// What the bytes show.
    pub meaning: &'static str,
    /// Likely causes, the most likely first.
    pub causes: &'static [&'static str],
    /// What walmedic does with it, and how it is counted.
    pub walmedic: &'static str,
    /// What can go wrong.
    pub risk: &'static str,
    /// What to do, in this order.
    pub next: &'static [Step],
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// In words.
    pub say: &'static str,
    /// The command that does it.
    pub run: Option<&'static str>,
}

// The texts are found by the number of their code.
const _: () = {
    let mut i = 0;
    while i < Code::ALL.len() {
        assert!(Code::ALL[i] as usize == i);
        i += 1;
    }
};

/// The explanation of a code.
pub fn of(code: Code) -> &'static Explanation {
    texts::of(code)
}

/// What engines do at a finding of this kind, by format; formats that say nothing are left out.
pub fn engines(code: Code) -> impl Iterator<Item = (&'static format::Profile, &'static str)> {
    format::ALL.iter().filter_map(move |f| Some((f.profile(), f.engine_at(code)?)))
}

/// What a class does to the exit code of `verify`.
pub fn exit(class: Class) -> String {
    let detailed = match class {
        Class::Note => return "none: a note never changes the exit code".into(),
        Class::Incomplete => return "3, and it cannot be allowed".into(),
        Class::TornTail => "10",
        Class::Orphan => "11",
        Class::Gap => "12",
        Class::Foreign | Class::Stale => "13",
        Class::Corruption => "13 with intact records behind it, 14 without",
    };
    format!("1, or 0 with --allow {}; with --detailed-exitcode {detailed}", class.word())
}

/// The code that `text` names: `WM-201`, in any case, or only its number.
pub fn parse(text: &str) -> Option<Code> {
    Code::parse(text).or_else(|| Code::parse(&format!("WM-{text}")))
}

/// The codes whose class is `text`, or whose title contains it.
pub fn matching(text: &str) -> Vec<Code> {
    let wanted = plain(text);
    let fits = |c: &Code| plain(c.class().word()) == wanted || plain(c.title()).contains(&wanted);
    Code::ALL.iter().copied().filter(|c| !wanted.is_empty() && fits(c)).collect()
}

/// The codes most like `text`, which is none and matches none: at most three, the most similar first.
pub fn closest(text: &str) -> Vec<Code> {
    const SHOWN: usize = 3;
    /// Less like it than the best by more than this is just noise.
    const NEAR: f64 = 0.1;
    let wanted = plain(text);
    let likeness = |c: Code| {
        let (code, title, class) = (plain(c.text()), plain(c.title()), plain(c.class().word()));
        let names = [code.as_str(), &title, &class].into_iter().chain(title.split(' '));
        names.map(|name| strsim::jaro_winkler(name, &wanted)).fold(0.0, f64::max)
    };
    let mut all: Vec<(f64, Code)> = Code::ALL.iter().map(|&c| (likeness(c), c)).collect();
    all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));
    let best = all.first().map_or(0.0, |(likeness, _)| *likeness);
    all.into_iter()
        .take_while(|(likeness, _)| best - likeness < NEAR)
        .take(SHOWN)
        .map(|(_, code)| code)
        .collect()
}

/// Lower case, with one blank between words, however they were joined.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn lines(e: &Explanation) -> impl Iterator<Item = &'static str> {
        let own = [e.meaning, e.walmedic, e.risk].into_iter().chain(e.causes.iter().copied());
        own.chain(e.next.iter().map(|s| s.say)).chain(engines(e.code).map(|(_, text)| text))
    }

    #[test]
    fn every_code_has_its_own_texts() {
        for &code in Code::ALL {
            let e = of(code);
            assert_eq!(e.code, code, "texts out of order");
            assert!(!e.causes.is_empty() && !e.next.is_empty(), "{}", code.text());
            for line in lines(e) {
                assert!(line.ends_with('.') && line.trim() == line, "{}: {line:?}", code.text());
                assert!(!line.contains("TODO") && !line.contains("  "), "{}: {line:?}", code.text());
                assert!(line.starts_with(char::is_alphabetic), "{}: {line:?}", code.text());
            }
        }
    }

    #[test]
    fn notes_and_incomplete_runs_are_said_to_be_such() {
        for &code in Code::ALL {
            let text = of(code).walmedic;
            let note = text.starts_with("Only a note.");
            assert_eq!(note, code.class() == Class::Note, "{}", code.text());
            assert_eq!(text.contains("exit code 3"), code.class() == Class::Incomplete, "{}", code.text());
        }
    }

    #[test]
    fn advised_commands_exist() {
        for step in Code::ALL.iter().flat_map(|&c| of(c).next) {
            let Some(run) = step.run else { continue };
            let mut words = run.split(' ');
            assert_eq!(words.next(), Some("walmedic"), "{run}");
            let known = words.next().is_some_and(|name| Cli::command().find_subcommand(name).is_some());
            assert!(known, "{run}");
        }
    }

    #[test]
    fn codes_named_in_texts_exist() {
        for (code, line) in Code::ALL.iter().flat_map(|&c| lines(of(c)).map(move |l| (c, l))) {
            for at in line.match_indices("WM-").map(|(at, _)| at) {
                let named = line.get(at..at + 6).and_then(Code::parse);
                assert!(named.is_some_and(|n| n != code), "{}: {line}", code.text());
            }
        }
    }

    #[test]
    fn a_class_that_can_be_allowed_says_so() {
        for &code in Code::ALL {
            let class = code.class();
            assert_eq!(
                exit(class).contains("--allow"),
                Class::ALLOWABLE.contains(&class),
                "{}",
                class.word()
            );
        }
    }

    #[test]
    fn codes_are_found_by_number_word_and_likeness() {
        assert_eq!(parse("wm-201"), Some(Code::ChecksumMismatch));
        assert_eq!(parse("201"), Some(Code::ChecksumMismatch));
        assert_eq!(parse("checksum"), None);
        assert_eq!(matching("CHECKSUM"), [Code::ChecksumMismatch]);
        assert_eq!(matching("torn-tail"), [Code::TornTail, Code::WrittenBehindTornTail]);
        assert!(matching("gap").contains(&Code::MissingFile));
        assert_eq!(matching("-"), []);
        assert_eq!(closest("cheksum")[0], Code::ChecksumMismatch);
        assert_eq!(closest("WM-909").len(), 3);
        assert!(closest("WM-909").contains(&Code::StillWritten));
    }
}
