//! Which runs of numbers are in order, where some stand in a place that is not theirs.

use super::numbering::Run;

/// Which of these runs make up the rising sequence with the most records; of several the one that ends first.
pub fn rising(runs: &[(usize, Run)]) -> Vec<bool> {
    let mut firsts: Vec<u64> = runs.iter().map(|(_, run)| run.first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    // By rank of the first number, in the manner of Fenwick: records of the best sequence that ends there, and its last run.
    let mut best: Vec<(u64, Option<usize>)> = vec![(0, None); firsts.len() + 1];
    let mut before: Vec<Option<usize>> = Vec::with_capacity(runs.len());
    let mut longest = (0, None);
    for (i, (_, run)) in runs.iter().enumerate() {
        let rank = firsts.partition_point(|&first| first < run.first);
        let (mut at, mut found) = (rank, (0, None));
        while at > 0 {
            found = if best[at].0 > found.0 { best[at] } else { found };
            at &= at - 1;
        }
        before.push(found.1);
        let whole = (found.0.saturating_add(run.records), Some(i));
        longest = if whole.0 > longest.0 { whole } else { longest };
        at = rank + 1;
        while at < best.len() {
            best[at] = if whole.0 > best[at].0 { whole } else { best[at] };
            at += at & at.wrapping_neg();
        }
    }
    let (mut rises, mut next) = (vec![false; runs.len()], longest.1);
    while let Some(i) = next {
        rises[i] = true;
        next = before[i];
    }
    rises
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of runs given by their first numbers and their records: those that stay.
    fn staying(runs: &[(u64, u64)]) -> Vec<u64> {
        let run = |&(first, records): &(u64, u64)| {
            (0, Run { first, next: first + records, at: 0, end: 0, records, data: records })
        };
        let runs: Vec<_> = runs.iter().map(run).collect();
        let kept = runs.iter().zip(rising(&runs)).filter(|(_, rises)| *rises);
        kept.map(|((_, run), _)| run.first).collect()
    }

    #[test]
    fn what_breaks_the_order_is_set_apart_wherever_its_original_lies() {
        assert_eq!(staying(&[(1, 200), (801, 90), (301, 700)]), [1, 301]);
        // Behind its original it does not break the order by itself: that is seen where the numbers are gone through.
        assert_eq!(staying(&[(1, 600), (301, 90), (701, 300)]), [1, 301, 701]);
        // The original is cut to the same size, or to less, or gone.
        assert_eq!(staying(&[(1, 200), (801, 90), (301, 450), (801, 90), (950, 50)]), [1, 301, 801, 950]);
        assert_eq!(staying(&[(1, 200), (801, 90), (301, 450), (820, 30), (950, 50)]), [1, 301, 820, 950]);
        assert_eq!(staying(&[(1, 200), (801, 90), (301, 450), (950, 50)]), [1, 301, 950]);
        // The same, where it comes behind its original.
        assert_eq!(staying(&[(1, 99), (101, 30), (200, 600), (101, 90), (900, 50)]), [1, 101, 200, 900]);
        assert!(staying(&[]).is_empty());
    }
}
