//! Whether a server is alive: its clock must go on, and its subscriptions must be heard.
//!
//! Pure: moments come in, a verdict comes out. A server that answers and whose clock stands still is
//! as dead as one that is silent.

use lineside_proto::Time;
use std::time::Duration;
use tokio::time::Instant;

use super::audit;

/// The slowest word that is waited for, whatever a server says: nothing stands for so long without one.
const PROMISED_MAX: Duration = Duration::from_secs(60);

/// How the watch over a server is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How often the server's clock is read.
    pub pace: Duration,
    /// For how long after its clock went on a server's word is believed.
    pub believed: Duration,
    /// After how long without its clock going on a server counts as frozen.
    pub frozen: Duration,
    /// After how long without a word a subscription counts as dead, beyond three times the interval at
    /// which the server promised to speak.
    pub silent: Duration,
    /// How long a gap waits for the first values after it.
    pub settled: Duration,
    /// How often some nodes are asked whether they are still there.
    pub audit: Duration,
}

impl Patience {
    /// A frozen server is noticed within fifteen seconds: ten, and what one answer may take.
    pub(super) const USUAL: Self = Self {
        pace: Duration::from_secs(2),
        believed: Duration::from_secs(6),
        frozen: Duration::from_secs(10),
        silent: Duration::from_secs(4),
        settled: Duration::from_secs(5),
        audit: audit::PACE,
    };

    /// How long a subscription may be silent that promised to speak at least so often.
    fn of_word(&self, promised: Duration) -> Duration {
        promised.min(PROMISED_MAX) * 3 + self.silent
    }
}

/// What a server's clock has shown.
#[derive(Debug)]
pub(super) struct Pulse {
    patience: Patience,
    shown: Option<Time>,
    /// The newest that it showed, since it was set back.
    newest: Option<Time>,
    was_set_back: bool,
    beat: Instant,
}

impl Pulse {
    /// A server that just opened a session is alive.
    pub(super) fn new(patience: Patience, now: Instant) -> Self {
        Self {
            patience,
            shown: None,
            newest: None,
            was_set_back: false,
            beat: now,
        }
    }

    /// The server's clock shows this. It goes on where it shows what it never showed; and it may be set
    /// back once, but not swing to and fro.
    pub(super) fn show(&mut self, time: Time, now: Instant) {
        let is_back = self.newest.is_some_and(|newest| time < newest);
        if self.newest < Some(time) || (is_back && !self.was_set_back) {
            self.was_set_back |= is_back;
            self.newest = Some(time);
            self.beat = now;
        }
        self.shown = Some(time);
    }

    /// What the clock showed last, if anything.
    pub(super) fn shown(&self) -> Option<Time> {
        self.shown
    }

    /// Whether what the server says now can be believed.
    pub(super) fn is_believed(&self, now: Instant) -> bool {
        now.duration_since(self.beat) < self.patience.believed
    }

    /// For so long nobody could listen.
    pub(super) fn forgive(&mut self, stalled: Duration) {
        self.beat += stalled;
    }

    /// When the server counts as frozen, unless its clock goes on before.
    pub(super) fn frozen_at(&self) -> Instant {
        self.beat + self.patience.frozen
    }
}

/// When a subscription was heard.
#[derive(Debug)]
pub(super) struct Voice {
    heard: Instant,
    patience: Duration,
}

impl Voice {
    /// A subscription that was just made, whose server promised to speak at least so often.
    pub(super) fn new(patience: Patience, promised: Duration, now: Instant) -> Self {
        Self {
            heard: now,
            patience: patience.of_word(promised),
        }
    }

    /// The server promises to speak at least so often.
    pub(super) fn promise(&mut self, patience: Patience, promised: Duration) {
        self.patience = patience.of_word(promised);
    }

    /// A message or a keep-alive came.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// For so long nobody could listen.
    pub(super) fn forgive(&mut self, stalled: Duration) {
        self.heard += stalled;
    }

    /// When the subscription counts as dead, unless it is heard before.
    pub(super) fn silent_at(&self) -> Instant {
        self.heard + self.patience
    }
}

/// The shortest time between two words that values stand.
const STANDING_PACE_MIN: Duration = Duration::from_millis(50);

/// The longest: a reader of the state sees a machine's newest evidence at most so old.
const STANDING_PACE_MAX: Duration = Duration::from_secs(1);

/// How often it is said that a group's values stand: thrice before they would be stale, and not more
/// often than anybody needs.
pub(super) fn standing_pace(stale_after: Duration) -> Duration {
    (stale_after / 3).clamp(STANDING_PACE_MIN, STANDING_PACE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_lives_while_its_clock_goes_on() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let time = |seconds: i64| Time::from_millis(seconds * 1000);
        // What the clock shows and when; then whether its server is believed, and when it is frozen.
        for (shown, now, believed, frozen) in [
            (vec![], 5, true, 10),
            (vec![], 6, false, 10),
            (vec![(100, 2), (102, 4)], 9, true, 14),
            (vec![(100, 2), (102, 4)], 10, false, 14),
            (vec![(100, 2), (100, 4), (100, 6)], 8, false, 12),
            (vec![(100, 2), (40, 4)], 9, true, 14),
            (vec![(100, 2), (40, 4), (42, 6)], 11, true, 16),
            (
                vec![(100, 2), (40, 4), (100, 6), (40, 8), (100, 10)],
                9,
                true,
                16,
            ),
            (
                vec![(40, 2), (100, 4), (40, 6), (40, 7), (30, 8)],
                9,
                true,
                16,
            ),
        ] {
            let mut pulse = Pulse::new(Patience::USUAL, start);
            for (clock, when) in &shown {
                pulse.show(time(*clock), at(*when));
            }
            assert_eq!(pulse.is_believed(at(now)), believed, "{shown:?} {now}");
            assert_eq!(pulse.frozen_at(), at(frozen), "{shown:?}");
        }
    }

    #[test]
    fn a_subscription_is_dead_after_three_words_that_did_not_come() {
        let start = Instant::now();
        let mut voice = Voice::new(Patience::USUAL, Duration::from_secs(2), start);
        assert_eq!(voice.silent_at(), start + Duration::from_secs(10));
        voice.hear(start + Duration::from_secs(5));
        assert_eq!(voice.silent_at(), start + Duration::from_secs(15));
        voice.promise(Patience::USUAL, Duration::from_secs(5));
        assert_eq!(voice.silent_at(), start + Duration::from_secs(24));
        voice.promise(Patience::USUAL, Duration::MAX);
        assert_eq!(voice.silent_at(), start + Duration::from_secs(189));
    }

    #[test]
    fn values_are_vouched_for_more_often_than_they_grow_stale() {
        for (stale_ms, pace_ms) in [
            (200, 66),
            (600, 200),
            (3_000, 1_000),
            (60_000, 1_000),
            (20, 50),
        ] {
            let pace = standing_pace(Duration::from_millis(stale_ms));
            assert_eq!(pace.as_millis(), pace_ms);
        }
    }
}
