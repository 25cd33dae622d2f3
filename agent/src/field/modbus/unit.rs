//! The units behind a link: which of them answer, and how often one that doesn't is asked.
//!
//! A unit that fails to answer twice in a row counts as dead. While others on the link live, a dead
//! one is asked so seldom that it costs them less than a twentieth of their time; where nobody is
//! harmed, often. Pure: time comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::schedule::Moment;
use crate::sample::Bad;

/// Failures in a row from which a unit counts as dead: one lost answer is retried.
const FAILURES_MAX: u32 = 2;

/// A dead unit is asked at most once in so many times what asking it costs: 1/30 and the reconnect
/// stay below the twentieth that the others may lose.
const COST_SHARE: u32 = 30;

/// Dead units together take at most this part of the line from those that live, however many they are.
const COST_SHARE_TOGETHER: u32 = 4;

/// The longest wait where no other unit lives: asking costs nobody anything. It begins with what
/// asking costs and doubles.
const WAIT_ALONE_MAX: Duration = Duration::from_secs(5);

/// How much longer than its share a wait may be drawn, so that dead units don't come in step.
const JITTER: f64 = 0.25;

/// The units of one link. Bounded: unit ids have 8 bits.
#[derive(Debug, Default)]
pub(super) struct Units {
    units: BTreeMap<u8, Unit>,
}

#[derive(Debug)]
struct Unit {
    failures: u32,
    bad: Bad,
    /// When it was last asked in vain; none: it may be asked at once.
    asked: Option<Moment>,
    stretch: f64,
}

impl Unit {
    fn is_dead(&self) -> bool {
        self.failures >= FAILURES_MAX
    }
}

impl Units {
    /// Lets in the units that have jobs and forgets all others.
    pub(super) fn keep(&mut self, wanted: impl Fn(u8) -> bool) {
        self.units.retain(|unit, _| wanted(*unit));
    }

    /// Whether the unit may be asked now; if not, why it gave nothing when last asked.
    ///
    /// `cost` is what asking it in vain takes: the timeout and, on lines where a late answer can be
    /// mistaken, the quiet window.
    ///
    /// # Errors
    ///
    /// The reason for which its points are bad.
    pub(super) fn may_ask(&mut self, unit: u8, cost: Duration, now: Moment) -> Result<(), Bad> {
        let others_live = self.others_live(unit);
        let dead = self.units.values().filter(|unit| unit.is_dead()).count();
        let dead = u32::try_from(dead).unwrap_or(u32::MAX);
        match self.units.get_mut(&unit) {
            Some(known) if known.is_dead() => {
                let wait = if others_live {
                    let share = COST_SHARE.max(dead.saturating_mul(COST_SHARE_TOGETHER));
                    (cost * share).mul_f64(known.stretch)
                } else {
                    let doublings = known.failures.saturating_sub(FAILURES_MAX).min(8);
                    (cost * (1 << doublings)).min(WAIT_ALONE_MAX)
                };
                if known
                    .asked
                    .is_some_and(|asked| now < asked.saturating_add(wait))
                {
                    return Err(known.bad);
                }
                known.asked = Some(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The unit answered, be it by an exception; whether it had counted as dead.
    pub(super) fn answered(&mut self, unit: u8) -> bool {
        match self.units.get_mut(&unit) {
            None => {
                self.units.insert(unit, Unit::new());
                false
            }
            Some(known) => {
                let was_dead = known.is_dead();
                known.failures = 0;
                // The whole line seems to be back: the others are asked at once, too.
                if was_dead && !self.others_live(unit) {
                    for other in self.units.values_mut() {
                        other.asked = None;
                    }
                }
                was_dead
            }
        }
    }

    /// The unit gave no valid answer; whether it counts as dead by this.
    pub(super) fn failed(&mut self, unit: u8, bad: Bad, now: Moment) -> bool {
        let known = self.units.entry(unit).or_insert_with(Unit::new);
        known.failures = known.failures.saturating_add(1);
        known.bad = bad;
        known.asked = Some(now);
        known.stretch = 1.0 + JITTER * fastrand::f64();
        known.failures == FAILURES_MAX
    }

    fn others_live(&self, unit: u8) -> bool {
        let mut others = self.units.iter().filter(|(id, _)| **id != unit);
        others.any(|(_, other)| !other.is_dead())
    }
}

impl Unit {
    fn new() -> Self {
        Self {
            failures: 0,
            bad: Bad::Timeout,
            asked: None,
            stretch: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Units;
    use crate::sample::Bad;
    use std::time::Duration;

    const COST: Duration = Duration::from_secs(3);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_lost_answer_is_forgiven_and_two_are_death() {
        let mut units = Units::default();
        assert_eq!(units.may_ask(1, COST, s(0)), Ok(()));
        assert!(!units.failed(1, Bad::Timeout, s(1)));
        assert_eq!(units.may_ask(1, COST, s(1)), Ok(()));
        assert!(!units.answered(1));
        assert!(!units.failed(1, Bad::Timeout, s(2)));
        assert!(units.failed(1, Bad::Link, s(3)));
        assert!(!units.failed(1, Bad::Link, s(3)));
        assert_eq!(units.may_ask(1, COST, s(3)), Err(Bad::Link));
        assert!(units.answered(1));
        assert_eq!(units.may_ask(1, COST, s(3)), Ok(()));
    }

    fn dead(others: &[u8], failures: u32) -> Units {
        let mut units = Units::default();
        for other in others {
            units.answered(*other);
        }
        for _ in 0..failures {
            units.failed(9, Bad::Timeout, s(100));
        }
        units
    }

    #[test]
    fn a_dead_unit_is_asked_once_a_period_and_seldom_only_where_others_live() {
        let check = |others: &[u8], failures, cost: Duration, shut: u64, open: u64| {
            let mut units = dead(others, failures);
            let at = |millis| s(100) + Duration::from_millis(millis);
            assert_eq!(units.may_ask(9, cost, at(shut)), Err(Bad::Timeout));
            assert_eq!(units.may_ask(9, cost, at(open)), Ok(()));
            assert_eq!(units.may_ask(9, cost, at(open)), Err(Bad::Timeout));
        };
        check(&[1, 2], 2, COST, 89_999, 112_500);
        check(&[1, 2], 9, COST, 89_999, 112_500);
        check(&[], 2, COST, 2_999, 3_000);
        check(&[], 3, COST, 4_999, 5_000);
        check(&[], 99, COST, 4_999, 5_000);
        check(&[], 4, Duration::from_millis(60), 239, 240);
    }

    #[test]
    fn a_bus_full_of_dead_units_leaves_three_quarters_to_the_living() {
        let mut units = Units::default();
        units.answered(247);
        for unit in 1..=60 {
            units.failed(unit, Bad::Timeout, s(0));
            units.failed(unit, Bad::Timeout, s(0));
        }
        let (mut now, mut lost) = (s(0), s(0));
        while now < s(10_000) {
            let asked = (1..=60).find(|unit| units.may_ask(*unit, COST, now).is_ok());
            if let Some(unit) = asked {
                units.failed(unit, Bad::Timeout, now);
                lost += COST;
                now += COST;
            } else {
                now += s(10);
            }
        }
        assert!(lost <= now / 4, "{lost:?} of {now:?}");
    }

    #[test]
    fn when_a_dead_line_comes_back_all_its_units_are_asked_at_once() {
        let mut units = dead(&[], 2);
        units.failed(8, Bad::Timeout, s(100));
        units.failed(8, Bad::Timeout, s(100));
        assert_eq!(units.may_ask(8, COST, s(101)), Err(Bad::Timeout));
        assert!(units.answered(9));
        assert_eq!(units.may_ask(8, COST, s(101)), Ok(()));
        // A unit that comes and goes while another lives asks for nothing.
        let mut units = dead(&[1], 2);
        units.failed(8, Bad::Timeout, s(100));
        units.failed(8, Bad::Timeout, s(100));
        assert!(units.answered(9));
        assert_eq!(units.may_ask(8, COST, s(101)), Err(Bad::Timeout));
    }
}
