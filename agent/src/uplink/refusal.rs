//! What follows when the broker refuses a publish. Pure.
//!
//! A refusal that says something of the moment is waited out; one that says something of the message
//! itself sets the message aside, so that it can't hold up what comes behind it for ever.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The first wait after a refusal that may pass by itself.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// The first wait after a refusal that somebody has to mend: a permission, a quota.
const PARK_FIRST: Duration = Duration::from_secs(30);
/// The longest wait, so that history flows again soon after it was mended.
const HOLD_MAX: Duration = Duration::from_secs(300);
/// For how long a topic may be refused before its messages are set aside, if the broker takes other
/// topics meanwhile: one machine's missing permission must not hold up all others for ever. Where it
/// takes nothing at all, everything is kept.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a reason code of a PUBACK means for its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The broker has it.
    Delivered,
    /// The broker can't take it now.
    Retry,
    /// The broker will not take it until somebody changes something there.
    Park,
    /// The broker will never take this message.
    DeadLetter,
    /// The connection itself is out of step.
    Reconnect,
}

/// The verdict on a reason code of MQTT 5. A code that the standard does not know is a reason to try
/// again, since nothing is known of the message.
pub(super) fn verdict(code: u8) -> Verdict {
    match code {
        // 0x10: the broker has it, and nobody listens now.
        0x00..0x80 => Verdict::Delivered,
        0x87 | 0x97 => Verdict::Park,
        0x90 | 0x95 | 0x99 => Verdict::DeadLetter,
        0x91 => Verdict::Reconnect,
        _ => Verdict::Retry,
    }
}

/// A reason code in words.
pub(super) fn reason(code: u8) -> &'static str {
    match code {
        0x80 => "unspecified error",
        0x83 => "implementation specific error",
        0x87 => "not authorised",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x95 => "packet too large",
        0x97 => "quota exceeded",
        0x99 => "payload format invalid",
        _ => "unknown reason",
    }
}

/// What to do with a refused message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Consequence {
    /// Send it again, not before this moment; whether that is new, or was so already.
    Hold(Instant, bool),
    /// Set it aside.
    DeadLetter,
}

/// The topics that the broker refuses, for as long as it does. Lives longer than a connection. As many
/// entries at most as the gateway has topics, and one for a leaf that is larger than the broker takes.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    topics: HashMap<String, Refused>,
    /// When the broker last took a publish, while some topic was refused.
    taken: Option<Instant>,
}

#[derive(Debug)]
struct Refused {
    since: Instant,
    until: Instant,
    wait: Duration,
}

impl Refusals {
    /// Notes that the broker refused a publish to `topic` with a code whose verdict is `verdict`.
    pub(super) fn refused(&mut self, topic: &str, verdict: Verdict, now: Instant) -> Consequence {
        let taken = self.taken;
        let given_up = self.topics.get(topic).is_some_and(|known| {
            let takes_others = taken.is_some_and(|taken| taken > known.since);
            takes_others && now.duration_since(known.since) >= PATIENCE
        });
        if verdict == Verdict::DeadLetter || given_up {
            return Consequence::DeadLetter;
        }
        let (until, anew) = self.held(topic, verdict, now);
        Consequence::Hold(until, anew)
    }

    /// The same for what is never given up: the ledger. Until when it waits, and whether that is new.
    pub(super) fn held(&mut self, topic: &str, verdict: Verdict, now: Instant) -> (Instant, bool) {
        let first = match verdict {
            Verdict::Park | Verdict::DeadLetter => PARK_FIRST,
            Verdict::Retry | Verdict::Reconnect | Verdict::Delivered => RETRY_FIRST,
        };
        let Some(known) = self.topics.get_mut(topic) else {
            let until = now + first;
            let refused = Refused {
                since: now,
                until,
                wait: first,
            };
            self.topics.insert(topic.to_owned(), refused);
            return (until, true);
        };
        // What was on its way together was refused together: that is one refusal, not many.
        let anew = now >= known.until;
        if anew {
            known.wait = (known.wait * 2).clamp(first, HOLD_MAX);
            known.until = now + known.wait;
        }
        (known.until, anew)
    }

    /// Notes that the broker took a publish to `topic`. Returns for how long it had refused it, if it had.
    pub(super) fn accepted(&mut self, topic: &str, now: Instant) -> Option<Duration> {
        if self.topics.is_empty() {
            return None;
        }
        self.taken = Some(now);
        let refused = self.topics.remove(topic)?;
        Some(now.duration_since(refused.since))
    }

    /// How many topics are refused.
    pub(super) fn count(&self) -> usize {
        self.topics.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Consequence, Refusals, Verdict, verdict};
    use std::time::{Duration, Instant};

    #[test]
    fn codes_are_sorted_into_verdicts() {
        for (code, expected) in [
            (0x00, Verdict::Delivered),
            (0x10, Verdict::Delivered),
            (0x80, Verdict::Retry),
            (0x83, Verdict::Retry),
            (0x87, Verdict::Park),
            (0x90, Verdict::DeadLetter),
            (0x91, Verdict::Reconnect),
            (0x95, Verdict::DeadLetter),
            (0x97, Verdict::Park),
            (0x99, Verdict::DeadLetter),
            (0xfe, Verdict::Retry),
        ] {
            assert_eq!(verdict(code), expected, "{code:#04x}");
        }
    }

    #[test]
    fn a_parked_topic_is_tried_ever_more_seldom_and_then_given_up() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let mut now = start;
        let mut waits = Vec::new();
        let given_up = loop {
            assert_eq!(refusals.accepted("status", now), None);
            match refusals.refused("t", Verdict::Park, now) {
                Consequence::Hold(until, anew) => {
                    assert!(anew);
                    // Others that were on their way at the same time do not lengthen the wait.
                    let together = refusals.refused("t", Verdict::Park, now);
                    assert_eq!(together, Consequence::Hold(until, false));
                    waits.push((until - now).as_secs());
                    now = until;
                }
                Consequence::DeadLetter => break now - start,
            }
        };
        assert_eq!(waits, [30, 60, 120, 240, 300]);
        assert_eq!(given_up, Duration::from_secs(750));
        let again = refusals.refused("t", Verdict::Park, now);
        assert_eq!(again, Consequence::DeadLetter, "no new patience");
        let other = refusals.refused("u", Verdict::Retry, now);
        assert_eq!(other, Consequence::Hold(now + Duration::from_secs(2), true));
        assert_eq!(refusals.count(), 2);
        assert_eq!(refusals.accepted("t", now), Some(Duration::from_secs(750)));
        assert_eq!(refusals.accepted("t", now), None);
        assert_eq!(
            refusals.refused("t", Verdict::Park, now),
            Consequence::Hold(now + Duration::from_secs(30), true),
            "forgiven"
        );
        assert_eq!(
            refusals.refused("v", Verdict::DeadLetter, now),
            Consequence::DeadLetter
        );
    }

    #[test]
    fn the_ledger_is_held_at_a_bounded_pace_and_never_given_up() {
        for verdict in [Verdict::Park, Verdict::DeadLetter, Verdict::Retry] {
            let mut now = Instant::now();
            let mut refusals = Refusals::default();
            let mut waits = Vec::new();
            for _ in 0..100 {
                let (until, anew) = refusals.held("ledger/leaf", verdict, now);
                assert!(anew);
                refusals.refused("other", Verdict::Retry, now);
                refusals.accepted("other", now + Duration::from_millis(1));
                waits.push((until - now).as_secs());
                now = until;
            }
            assert_eq!(waits.last(), Some(&300), "{verdict:?}");
            assert!(waits.iter().all(|wait| (2..=300).contains(wait)));
        }
    }

    #[test]
    fn a_broker_that_takes_nothing_at_all_costs_nothing() {
        let mut now = Instant::now();
        let mut refusals = Refusals::default();
        assert_eq!(refusals.accepted("status", now), None);
        for _ in 0..100 {
            for topic in ["t", "status"] {
                let consequence = refusals.refused(topic, Verdict::Park, now);
                assert!(matches!(consequence, Consequence::Hold(until, _) if until > now));
            }
            now += Duration::from_secs(300);
        }
        // The broker takes the status again: it is the topic's own fault from here on.
        assert!(refusals.accepted("status", now).is_some());
        let consequence = refusals.refused("t", Verdict::Park, now);
        assert_eq!(consequence, Consequence::DeadLetter);
    }
}
