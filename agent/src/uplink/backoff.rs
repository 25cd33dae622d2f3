//! How long to wait before the next attempt to connect. Pure, but for the dice.

use std::time::Duration;

use super::mqtt::Fault;

/// The first wait after a connection was lost.
const LOST_FIRST: Duration = Duration::from_millis(500);
/// The longest wait while the broker can't be reached.
const LOST_MAX: Duration = Duration::from_secs(30);
/// The first wait after the broker refused us: it will hardly think otherwise soon.
const REFUSED_FIRST: Duration = Duration::from_secs(5);
/// The longest wait while it refuses us, and so how long a mended password may take to show.
const REFUSED_MAX: Duration = Duration::from_secs(120);
/// Doublings after which the longest wait is reached in any case.
const DOUBLINGS_MAX: u32 = 8;

/// Full jitter: each wait is drawn from nothing up to a limit that doubles with each failure, so that many
/// gateways do not return to a restarted broker at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failure, and gives the limit of the wait before the next attempt.
    pub(super) fn failed(&mut self, fault: &Fault) -> Duration {
        let (first, max) = match fault {
            Fault::Lost(_) => (LOST_FIRST, LOST_MAX),
            Fault::Refused(_) => (REFUSED_FIRST, REFUSED_MAX),
        };
        let limit = first.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
        self.failures = self.failures.saturating_add(1);
        limit.min(max)
    }

    /// Notes that a connection was of use.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A wait of between nothing and `limit`.
pub(super) fn jitter(limit: Duration) -> Duration {
    limit.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Fault, jitter};
    use std::time::Duration;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_anew() {
        for (fault, expected) in [
            (
                Fault::lost("x"),
                [
                    500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000,
                ],
            ),
            (
                Fault::Refused("x".to_owned()),
                [
                    5000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000, 120_000, 120_000,
                    120_000,
                ],
            ),
        ] {
            let mut backoff = Backoff::default();
            for _ in 0..2 {
                let limits = expected.map(|_| backoff.failed(&fault).as_millis());
                assert_eq!(limits, expected);
                backoff.succeeded();
            }
        }
    }

    #[test]
    fn jitter_stays_below_its_limit() {
        let limit = Duration::from_millis(100);
        let waits: Vec<_> = (0..1000).map(|_| jitter(limit)).collect();
        assert!(waits.iter().all(|wait| *wait <= limit));
        assert!(waits.iter().any(|wait| *wait > limit / 2));
        assert!(waits.iter().any(|wait| *wait < limit / 2));
    }
}
