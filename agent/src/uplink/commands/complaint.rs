//! What is wrong from outside is counted, and told at most once a minute, however often it comes. Pure.

use std::time::{Duration, Instant};

/// The least time between two lines in the log.
const PAUSE: Duration = Duration::from_secs(60);

/// One kind of thing that goes wrong.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    told: Option<Instant>,
    /// Since it was told last.
    untold: u64,
}

impl Complaint {
    /// It went wrong again. Gives how often since it was told last, if it is to be told now.
    pub(super) fn again(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let quiet = self.told.is_some_and(|told| now < told + PAUSE);
        if quiet {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::Complaint;
    use std::time::{Duration, Instant};

    #[test]
    fn once_a_minute_with_a_count() {
        let start = Instant::now();
        let mut complaint = Complaint::default();
        for (after_s, expected) in [
            (0, Some(1)),
            (1, None),
            (59, None),
            (60, Some(3)),
            (61, None),
        ] {
            let now = start + Duration::from_secs(after_s);
            assert_eq!(complaint.again(now), expected, "{after_s} s");
        }
    }
}
