//! text
use crate::analysis::Report;
use crate::cli::Judgement;
use crate::ui::paint::Paint;
use anyhow::Result;
use std::io::Write;
/// v
pub struct View<'a> {
    _p: Paint,
    _v: bool,
    _j: &'a Judgement,
}
impl<'a> View<'a> {
    /// n
    pub fn new(p: Paint, v: bool, j: &'a Judgement) -> Self {
        View { _p: p, _v: v, _j: j }
    }
    /// v
    pub fn verify(&self, out: &mut dyn Write, r: &Report) -> Result<()> {
        for f in r.findings() {
            writeln!(out, "{f:?}")?;
        }
        writeln!(out, "{:?}", r.forecast)?;
        Ok(())
    }
    /// g
    pub fn gaps(&self, _: &mut dyn Write, _: &Report) -> Result<()> {
        Ok(())
    }
}
/// A cell of a CSV row, quoted where it must be (RFC 4180).
pub fn csv_cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
