//! The explanation of codes as text, JSON and Markdown, from the same values.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use textwrap::{Options, WordSplitter};

use crate::explain::{Explanation, engines, exit, of};
use crate::log::finding::Code;
use crate::ui::json::line;
use crate::ui::paint::Paint;

/// A table of codes.
///
/// # Errors
/// When standard output fails.
pub fn list(out: &mut dyn Write, codes: &[Code], paint: Paint) -> Result<()> {
    writeln!(out, "{}", paint.strong(format!("{:6}  {:10}  {}", "CODE", "CLASS", "TITLE")))?;
    for code in codes {
        writeln!(out, "{:6}  {:10}  {}", code.text(), code.class().word(), code.title())?;
    }
    if let Some(code) = codes.first() {
        writeln!(out, "\nMore about one of them: walmedic explain {}", code.text())?;
    }
    Ok(())
}

/// Codes in full, wrapped at `width`.
///
/// # Errors
/// When standard output fails.
pub fn text(out: &mut dyn Write, codes: &[Code], paint: Paint, width: usize) -> Result<()> {
    for (i, &code) in codes.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        let mut page = Page { out, paint, width };
        page.write(of(code))?;
    }
    Ok(())
}

struct Page<'a> {
    out: &'a mut dyn Write,
    paint: Paint,
    width: usize,
}

impl Page<'_> {
    fn write(&mut self, e: &Explanation) -> Result<()> {
        let title = format!("{} {}", e.code.text(), e.code.title());
        writeln!(self.out, "{}", self.paint.strong(title))?;
        self.wrapped("", "class: ", "       ", e.code.class().word())?;
        self.wrapped("", "exit code: ", "           ", &exit(e.code.class()))?;
        self.heading("Meaning")?;
        self.wrapped("  ", "", "", e.meaning)?;
        self.heading("Likely causes, the most likely first")?;
        self.numbered(e.causes.iter().map(|&cause| (cause, None)))?;
        self.heading("What walmedic does with it")?;
        self.wrapped("  ", "", "", e.walmedic)?;
        let engines: Vec<_> = engines(e.code).collect();
        if !engines.is_empty() {
            self.heading("What engines do there")?;
        }
        for (profile, text) in engines {
            self.wrapped("  ", "", "", &format!("{} ({}):", profile.title, profile.name))?;
            self.wrapped("    ", "", "", text)?;
        }
        self.heading("Risk")?;
        self.wrapped("  ", "", "", e.risk)?;
        self.heading("Next")?;
        self.numbered(e.next.iter().map(|step| (step.say, step.run)))
    }

    fn heading(&mut self, title: &str) -> Result<()> {
        Ok(writeln!(self.out, "\n{}", self.paint.strong(title))?)
    }

    fn numbered(&mut self, items: impl Iterator<Item = (&'static str, Option<&'static str>)>) -> Result<()> {
        for (i, (say, run)) in items.enumerate() {
            self.wrapped("  ", &format!("{}. ", i + 1), "   ", say)?;
            // A command is to be copied, so it is never broken.
            if let Some(run) = run {
                writeln!(self.out, "       {run}")?;
            }
        }
        Ok(())
    }

    fn wrapped(&mut self, indent: &str, first: &str, rest: &str, text: &str) -> Result<()> {
        let (first, rest) = (format!("{indent}{first}"), format!("{indent}{rest}"));
        let options = Options::new(self.width)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .word_splitter(WordSplitter::NoHyphenation)
            .break_words(false);
        for line in textwrap::wrap(text, options) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Doc {
    code: &'static str,
    class: &'static str,
    title: &'static str,
    meaning: &'static str,
    causes: &'static [&'static str],
    walmedic: &'static str,
    engines: BTreeMap<&'static str, &'static str>,
    risk: &'static str,
    next: Vec<Value>,
}

fn doc(code: Code) -> Doc {
    let e = of(code);
    Doc {
        code: code.text(),
        class: code.class().word(),
        title: code.title(),
        meaning: e.meaning,
        causes: e.causes,
        walmedic: e.walmedic,
        engines: engines(code).map(|(profile, text)| (profile.name, text)).collect(),
        risk: e.risk,
        next: e.next.iter().map(|s| json!({ "text": s.say, "command": s.run })).collect(),
    }
}

const SCHEMA: &str = "walmedic.explain/1";

/// One code as a document.
///
/// # Errors
/// When standard output fails.
pub fn json_one(out: &mut dyn Write, code: Code) -> Result<()> {
    #[derive(Serialize)]
    struct One {
        schema: &'static str,
        #[serde(flatten)]
        doc: Doc,
    }
    line(out, &One { schema: SCHEMA, doc: doc(code) })
}

/// Several codes as a document.
///
/// # Errors
/// When standard output fails.
pub fn json(out: &mut dyn Write, codes: &[Code]) -> Result<()> {
    #[derive(Serialize)]
    struct Many {
        schema: &'static str,
        codes: Vec<Doc>,
    }
    line(out, &Many { schema: SCHEMA, codes: codes.iter().map(|&code| doc(code)).collect() })
}

const PREFACE: &str = "\
# Findings

Every finding of walmedic has a code. Codes are stable: they are never renumbered or reused. This page is
made by `walmedic explain --format markdown`; `walmedic explain CODE` prints one section of it.

In the commands below PATH is the log, FILE and OFFSET stand in the finding. All of them only read: no
command shown here changes a file.
";

/// Codes as a page of documentation.
///
/// # Errors
/// When standard output fails.
pub fn markdown(out: &mut dyn Write, codes: &[Code]) -> Result<()> {
    writeln!(out, "{PREFACE}\n| code | class | title |\n| --- | --- | --- |")?;
    for c in codes {
        writeln!(out, "| [{}](#{}) | {} | {} |", c.text(), anchor(*c), c.class().word(), c.title())?;
    }
    codes.iter().try_for_each(|&code| section(out, of(code)))
}

fn heading(code: Code) -> String {
    format!("{} {}", code.text(), code.title())
}

/// As the usual renderers make it from the heading.
fn anchor(code: Code) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | ' ');
    heading(code).to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Text as it is: what Markdown would take for its own signs is escaped.
fn literal(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut all, c| {
        if matches!(c, '*' | '_' | '`' | '<' | '\\') {
            all.push('\\');
        }
        all.push(c);
        all
    })
}

fn section(out: &mut dyn Write, e: &Explanation) -> Result<()> {
    let class = e.code.class();
    writeln!(out, "\n## {}\n", heading(e.code))?;
    writeln!(out, "Class: {}. Exit code: {}.\n\n{}", class.word(), exit(class), literal(e.meaning))?;
    writeln!(out, "\n**Likely causes**, the most likely first:\n")?;
    for (i, cause) in e.causes.iter().enumerate() {
        writeln!(out, "{}. {}", i + 1, literal(cause))?;
    }
    writeln!(out, "\n**What walmedic does with it.** {}", literal(e.walmedic))?;
    let engines: Vec<_> = engines(e.code).collect();
    if !engines.is_empty() {
        writeln!(out, "\n**What engines do there:**\n")?;
    }
    for (profile, text) in engines {
        writeln!(out, "- {} (`{}`): {}", literal(profile.title), profile.name, literal(text))?;
    }
    writeln!(out, "\n**Risk.** {}\n\n**Next:**\n", literal(e.risk))?;
    for (i, step) in e.next.iter().enumerate() {
        let run = step.run.map(|run| format!(" `{run}`")).unwrap_or_default();
        writeln!(out, "{}. {}{run}", i + 1, literal(step.say))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::paint::When;

    fn printed(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("memory does not fail");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_list_fits_80_columns() {
        let list = printed(|out| list(out, Code::ALL, Paint::stdout(When::Never)));
        assert!(list.lines().all(|l| l.len() <= 80), "{list}");
        assert!(Code::ALL.iter().all(|c| list.contains(c.text()) && list.contains(c.title())));
    }

    #[test]
    fn text_is_wrapped_at_any_width() {
        let paint = Paint::stdout(When::Never);
        let text = |width| printed(|out| text(out, Code::ALL, paint, width));
        for width in [80, 100] {
            let text = text(width);
            let long = text.lines().find(|l| l.chars().count() > width);
            assert_eq!(long, None);
            assert!(text.lines().all(|l| l.trim_end() == l));
        }
        for width in [0, 1, 7, 40] {
            assert!(text(width).contains("WM-903"));
        }
    }

    #[test]
    fn json_has_every_key() {
        let doc = printed(|out| json_one(out, Code::TornTail));
        let doc: Value = serde_json::from_str(&doc).expect("json");
        for key in
            ["schema", "code", "class", "title", "meaning", "causes", "walmedic", "engines", "risk", "next"]
        {
            assert!(!doc[key].is_null(), "{key}");
        }
        let all: Value = serde_json::from_str(&printed(|out| json(out, Code::ALL))).expect("json");
        assert_eq!(all["codes"].as_array().map(Vec::len), Some(Code::ALL.len()));
    }

    /// `BLESS=1` rewrites the page.
    #[test]
    fn the_documentation_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/findings.md");
        let page = printed(|out| markdown(out, Code::ALL));
        if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
            std::fs::write(path, &page).expect("docs/findings.md can be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
        assert!(found == page, "docs/findings.md is not up to date; run the tests with BLESS=1");
    }
}
