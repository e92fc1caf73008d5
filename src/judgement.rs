//! Which findings count, and the exit code that they add up to.

use clap::Args;

use crate::analysis::Report;
use crate::findings::Finding;
use crate::log::finding::Class;

/// Clean, or only allowed findings.
pub const CLEAN: u8 = 0;
/// Findings.
pub const FINDINGS: u8 = 1;
/// Part of the input could not be read.
pub const INCOMPLETE: u8 = 3;

/// Which findings count.
#[derive(Debug, Default, Args)]
pub struct Judgement {
    /// Classes of findings that are notes here, separated by commas
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',', value_parser = allowable())]
    pub allow: Vec<String>,
    /// Exit with 10 to 14 instead of 1, by the worst finding
    #[arg(long)]
    pub detailed_exitcode: bool,
}

fn allowable() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(Class::ALLOWABLE.map(Class::word))
}

impl Judgement {
    /// The class of a finding, a note where it is allowed.
    pub fn class(&self, finding: &Finding) -> Class {
        let allowed = self.allow.iter().any(|word| word == finding.class.word());
        if allowed { Class::Note } else { finding.class }
    }

    /// The exit code for these reports.
    pub fn exit_code(&self, reports: &[Report]) -> u8 {
        let (mut incomplete, mut worst) = (false, CLEAN);
        for report in reports {
            let last_intact = report.last_intact();
            for finding in report.findings() {
                let code = match self.class(&finding) {
                    Class::Note => continue,
                    Class::Incomplete => {
                        incomplete = true;
                        continue;
                    }
                    Class::TornTail => 10,
                    Class::Orphan => 11,
                    Class::Gap => 12,
                    Class::Foreign | Class::Stale => 13,
                    Class::Corruption if finding.file.is_none_or(|f| last_intact > Some((f, finding.at))) => {
                        13
                    }
                    Class::Corruption => 14,
                };
                worst = worst.max(code);
            }
        }
        match worst {
            _ if incomplete => INCOMPLETE,
            CLEAN => CLEAN,
            code if self.detailed_exitcode => code,
            _ => FINDINGS,
        }
    }
}
