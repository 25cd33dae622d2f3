//! What is logged of a broker that can't be reached: the first failure, a new kind of failure, and from
//! time to time that it goes on.

use std::time::{Duration, Instant};

use super::mqtt::Fault;

/// How often an outage that goes on is mentioned.
const REMINDER: Duration = Duration::from_secs(600);

/// The time without a connection.
#[derive(Debug)]
pub(super) struct Outage {
    since: Instant,
    failures: u32,
    said: Option<(Fault, Instant)>,
}

impl Outage {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            failures: 0,
            said: None,
        }
    }

    /// Notes a failure; gives what there is to log of it.
    pub(super) fn failed(&mut self, fault: &Fault, now: Instant) -> Option<String> {
        self.failures = self.failures.saturating_add(1);
        let line = match &self.said {
            Some((said, at)) if said == fault && now.duration_since(*at) < REMINDER => return None,
            Some((said, _)) if said == fault => format!(
                "still no connection to the broker: {fault} ({} attempts in {})",
                self.failures,
                self.lasted(now)
            ),
            Some(_) | None => format!("no connection to the broker: {fault}"),
        };
        self.said = Some((fault.clone(), now));
        Some(line)
    }

    /// Gives what to log of a connection, and how it came.
    pub(super) fn over(&self, now: Instant) -> String {
        if self.failures == 0 {
            return "connected to the broker".to_owned();
        }
        format!(
            "connected to the broker after {} and {} failed attempts",
            self.lasted(now),
            self.failures
        )
    }

    fn lasted(&self, now: Instant) -> humantime::FormattedDuration {
        humantime::format_duration(Duration::from_secs(
            now.duration_since(self.since).as_secs(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Outage;
    use crate::uplink::mqtt::Fault;
    use std::time::{Duration, Instant};

    #[test]
    fn repeats_are_summarised() {
        let start = Instant::now();
        let mut outage = Outage::new(start);
        assert_eq!(outage.over(start), "connected to the broker");
        let silent = Fault::lost("nothing listens there");
        let refused = Fault::Refused("not authorised".to_owned());
        for (after_s, fault, expected) in [
            (
                0,
                &silent,
                "no connection to the broker: nothing listens there",
            ),
            (30, &silent, ""),
            (
                60,
                &refused,
                "no connection to the broker: the broker refuses the connection: not authorised",
            ),
            (90, &refused, ""),
            (
                700,
                &refused,
                "still no connection to the broker: the broker refuses the connection: not \
                 authorised (5 attempts in 11m 40s)",
            ),
        ] {
            let line = outage.failed(fault, start + Duration::from_secs(after_s));
            assert_eq!(line.unwrap_or_default(), expected, "{after_s} s");
        }
        assert_eq!(
            outage.over(start + Duration::from_secs(720)),
            "connected to the broker after 12m and 5 failed attempts"
        );
    }
}
