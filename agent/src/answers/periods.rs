//! Where in the ledger the leaves of a period stand. Pure.
//!
//! Wall time may be set back, so that leaves do not stand in its order. For each run of leaves the earliest
//! and the latest time are kept, which takes 16 bytes for 256 leaves and leaves few runs to be read.

use lineside_proto::{Period, Time};
use std::ops::Range;

/// Leaves of one run.
pub(super) const RUN: u64 = 256;

/// The times of a ledger's leaves, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Periods {
    runs: Vec<(Time, Time)>,
    next: u64,
}

impl Periods {
    /// The leaf to be added next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Adds the time of the next leaf.
    pub(super) fn add(&mut self, at: Time) {
        if self.next % RUN == 0 {
            self.runs.push((at, at));
        } else if let Some((earliest, latest)) = self.runs.last_mut() {
            *earliest = at.min(*earliest);
            *latest = at.max(*latest);
        }
        self.next += 1;
    }

    /// The runs that may hold leaves of a period, in order, as ranges of leaves.
    pub(super) fn candidates(
        &self,
        period: Period,
    ) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        let end = self.next;
        let runs = self.runs.iter().enumerate();
        runs.filter(move |(_, (earliest, latest))| *earliest < period.to && *latest >= period.from)
            .filter_map(move |(run, _)| {
                let first = u64::try_from(run).ok()?.checked_mul(RUN)?;
                Some(first..first.saturating_add(RUN).min(end))
            })
    }
}

/// Whether a moment belongs to a period.
pub(super) fn is_in(at: Time, period: Period) -> bool {
    period.from <= at && at < period.to
}

#[cfg(test)]
mod tests {
    use super::{Periods, RUN, is_in};
    use lineside_proto::{Period, Time};
    use proptest::prelude::*;

    proptest! {
        /// However the clock was set: no leaf of the period stands outside the runs that are named.
        #[test]
        fn no_leaf_is_missed(
            steps in prop::collection::vec(-50_i64..100, 0..1500),
            from in -5000_i64..50_000,
            length in 1_i64..20_000,
        ) {
            let mut periods = Periods::default();
            let mut at = 0;
            let times: Vec<Time> = steps.iter().map(|step| {
                at += step;
                Time::from_millis(at)
            }).collect();
            for time in &times {
                periods.add(*time);
            }
            let period = Period {
                from: Time::from_millis(from),
                to: Time::from_millis(from + length),
            };
            let runs: Vec<_> = periods.candidates(period).collect();
            for (index, time) in (0..).zip(&times) {
                let named = runs.iter().any(|run| run.contains(&index));
                prop_assert!(named || !is_in(*time, period), "{index}");
            }
            prop_assert!(runs.iter().all(|run| run.end <= periods.next() && run.start % RUN == 0));
        }
    }
}
