//! What of the tables beside the logs these still hold, by sequence numbers.

use std::collections::BTreeSet;

use super::super::directory::number_of;
use crate::format::LogFile;
use crate::log::survey::Survey;

/// What the logs hold.
pub struct Logged {
    /// Runs of sequence numbers in order: first, last, number of the log.
    runs: Vec<(u64, u64, u64)>,
    /// Numbers of all logs.
    logs: BTreeSet<u64>,
}

impl Logged {
    /// Of files and what was found in each.
    pub fn of(files: &[LogFile<'_>], surveys: &[&Survey]) -> Logged {
        let logs = files.iter().zip(surveys).filter_map(|(file, survey)| Some((number_of(file)?, survey)));
        let runs = logs.flat_map(|(log, survey)| survey.runs.iter().map(move |run| (run, log)));
        let numbered = runs.filter(|(run, _)| run.next > run.first);
        let mut runs: Vec<_> = numbered.map(|(run, log)| (run.first, run.next - 1, log)).collect();
        runs.sort_unstable();
        Logged { runs, logs: files.iter().filter_map(number_of).collect() }
    }

    /// How many of the numbers from `first` to `last` are in this log or newer ones.
    pub fn count(&self, oldest: u64, [first, last]: [u64; 2]) -> u64 {
        let (mut due, mut count) = (first, 0);
        for &(from, to, _) in self.runs.iter().filter(|&&(from, _, log)| log >= oldest && from <= last) {
            let behind = to.min(last).saturating_add(1);
            count += behind.saturating_sub(from.max(due));
            due = due.max(behind);
        }
        count
    }

    /// Whether a table with this number may hold what logs from this one on do: in front of a flush another log is begun.
    pub fn is_in(&self, table: u64, oldest: u64) -> bool {
        let begun = self.logs.range(..table).last();
        begun.is_some_and(|begun| self.runs.iter().any(|(.., log)| (oldest..*begun).contains(log)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_may_hold_what_is_in_logs_behind_which_others_were_begun_before_it() {
        let logged =
            Logged { runs: vec![(1, 4, 3), (3, 6, 5), (9, 9, 8)], logs: BTreeSet::from([3, 5, 8, 9]) };
        // Table, oldest log that counts.
        for (table, oldest, may) in [(7, 3, true), (7, 5, false), (10, 8, true), (4, 3, false), (2, 0, false)]
        {
            assert_eq!(logged.is_in(table, oldest), may, "{table} {oldest}");
        }
        let counted = [(0, [1, 9], 7), (4, [1, 9], 5), (6, [1, 8], 0), (0, [7, 8], 0), (0, [2, 3], 2)];
        for (oldest, numbers, count) in counted {
            assert_eq!(logged.count(oldest, numbers), count, "{oldest} {numbers:?}");
        }
    }
}
