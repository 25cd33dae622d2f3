//! How long to wait before the next try, with full jitter, so that gateways which lost the same
//! network don't come back in step.

use std::time::Duration;

/// The widest first wait that is drawn from; it doubles with each failure.
const WAIT_FIRST: Duration = Duration::from_secs(1);

/// The widest wait at all: a machine that comes back is seen within half a minute.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The shortest wait: a link that fails at once must not spin.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// Failures of a link since it last gave a good answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and gives how long to wait: nothing after the first, since a device that
    /// merely closed an idle connection is there again at once.
    pub(super) fn fail(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            return Duration::ZERO;
        }
        self.widest().mul_f64(fastrand::f64()).max(WAIT_MIN)
    }

    /// Whether the link has failed more than once in a row.
    pub(super) fn is_down(self) -> bool {
        self.failures > 1
    }

    /// Forgets the failures: a good answer came.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }

    fn widest(self) -> Duration {
        let doublings = self.failures.saturating_sub(2).min(16);
        (WAIT_FIRST * (1 << doublings)).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, WAIT_FIRST, WAIT_MAX, WAIT_MIN};
    use std::time::Duration;

    #[test]
    fn the_first_retry_is_at_once_and_later_ones_spread_over_more_and_more_time() {
        let mut longest = [Duration::ZERO; 8];
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            assert_eq!(backoff.fail(), Duration::ZERO);
            assert!(!backoff.is_down());
            for longest in &mut longest {
                let wait = backoff.fail();
                assert!(backoff.is_down());
                assert!((WAIT_MIN..=WAIT_MAX).contains(&wait));
                *longest = wait.max(*longest);
            }
            backoff.succeed();
            assert_eq!(backoff.fail(), Duration::ZERO);
        }
        for (doublings, longest) in longest.iter().enumerate() {
            let widest = (WAIT_FIRST * (1 << doublings)).min(WAIT_MAX);
            assert!(
                *longest <= widest && *longest > widest / 2,
                "{longest:?} of {widest:?}"
            );
        }
    }
}
