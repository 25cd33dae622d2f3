//! Wall time of moments on the boot clock: follows the wall clock as it is slewed, and keeps apart what
//! was before and what is after a step of it; and how far it could be trusted when. Memory: `MARKS_MAX` steps.

use lineside_proto::{ClockStatus, Time};
use std::collections::VecDeque;

use super::letters::Letters;
use crate::clock::Stamp;

/// A difference between the two clocks that moves by more than this between two looks is a step; less is
/// slewing, a leap second, or the time between reading the two.
pub const STEP_MS_MIN: i64 = 1_000;

/// Steps that are remembered: more than happen while a state is undecided. Older moments are told by the
/// oldest that is left.
const MARKS_MAX: usize = 32;

/// The wall clock, as the boot clock sees it.
#[derive(Clone, Debug, Default)]
pub struct Wall {
    marks: VecDeque<Mark>,
    letters: Letters,
    latest: Option<Stamp>,
}

/// From when on which difference holds.
#[derive(Clone, Copy, Debug)]
struct Mark {
    from_ms: i64,
    /// Wall time less boot time.
    offset_ms: i64,
}

impl Wall {
    /// The wall clock as it was at one moment.
    pub fn of(stamp: Stamp) -> Self {
        let mut wall = Self::default();
        wall.observe(stamp);
        wall
    }

    /// Takes note of both clocks; gives by how much the wall clock was set since the look before, if it was.
    /// A look from before the latest one tells nothing.
    pub fn observe(&mut self, at: Stamp) -> Option<i64> {
        if self
            .latest
            .is_some_and(|latest| latest.boot_ms > at.boot_ms)
        {
            return None;
        }
        self.latest = Some(at);
        let offset_ms = at.wall.as_millis().saturating_sub(at.millis());
        let Some(mark) = self.marks.back_mut() else {
            self.marks.push_back(Mark {
                from_ms: i64::MIN,
                offset_ms,
            });
            return None;
        };
        let step_ms = offset_ms.saturating_sub(mark.offset_ms);
        if step_ms.saturating_abs() <= STEP_MS_MIN {
            mark.offset_ms = offset_ms;
            return None;
        }
        if self.marks.len() >= MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark {
            from_ms: at.millis(),
            offset_ms,
        });
        Some(step_ms)
    }

    /// The wall clock can be trusted so far from a moment on; the first word counts for what was before it, too.
    pub fn trust(&mut self, from_ms: i64, letter: ClockStatus) {
        self.letters.note(from_ms, letter);
    }

    /// The same with all that is known of it.
    #[must_use]
    pub(super) fn trusted(self, letters: Letters) -> Self {
        Self { letters, ..self }
    }

    /// How far it could be trusted.
    pub(super) fn letters(&self) -> &Letters {
        &self.letters
    }

    /// The latest look; none before the first.
    pub fn latest(&self) -> Option<Stamp> {
        self.latest
    }

    /// The wall time of a moment on the boot clock, as the wall clock was then.
    pub fn at(&self, ms: i64) -> Time {
        let mark = self.marks.iter().rev().find(|mark| mark.from_ms <= ms);
        let mark = mark.or(self.marks.front());
        Time::from_millis(ms.saturating_add(mark.map_or(0, |mark| mark.offset_ms)))
    }

    /// The wall time of a moment that ends something: just before a step at that moment.
    pub fn until(&self, ms: i64) -> Time {
        self.at(ms.saturating_sub(1)).plus_millis(1)
    }

    /// When the present wall clock shows, or showed, this time.
    pub fn when(&self, time: Time) -> i64 {
        let offset_ms = self.marks.back().map_or(0, |mark| mark.offset_ms);
        time.as_millis().saturating_sub(offset_ms)
    }

    /// Whether the wall clock was set at this moment.
    pub fn is_step(&self, at_ms: i64) -> bool {
        self.marks.iter().any(|mark| mark.from_ms == at_ms)
    }

    /// The first step after a moment.
    pub fn next_step(&self, after_ms: i64) -> Option<i64> {
        self.marks
            .iter()
            .map(|mark| mark.from_ms)
            .find(|from_ms| *from_ms > after_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot_ms: u64, wall_ms: i64) -> Stamp {
        Stamp {
            boot_ms,
            wall: Time::from_millis(wall_ms),
        }
    }

    #[test]
    fn follows_slewing_and_keeps_steps_apart() {
        let mut wall = Wall::of(stamp(1_000, 10_000));
        assert_eq!(wall.observe(stamp(2_000, 11_400)), None, "slewed");
        assert_eq!(wall.observe(stamp(3_000, 11_400)), None, "a leap second");
        assert_eq!(wall.observe(stamp(4_000, 3_612_400)), Some(3_600_000));
        assert_eq!(wall.observe(stamp(3_500, 11_900)), None, "an older look");
        assert_eq!(wall.observe(stamp(5_000, 12_000)), Some(-3_601_400));
        assert_eq!(wall.at(3_999).as_millis(), 12_399);
        assert_eq!(wall.at(4_000).as_millis(), 3_612_400);
        assert_eq!(wall.until(4_000).as_millis(), 12_400);
        assert_eq!(wall.at(6_000).as_millis(), 13_000);
        assert_eq!(wall.when(Time::from_millis(13_000)), 6_000);
        assert_eq!(wall.next_step(3_999), Some(4_000));
        assert_eq!(wall.next_step(4_000), Some(5_000));
        assert_eq!(wall.next_step(5_000), None);
    }

    #[test]
    fn remembers_a_bounded_number_of_steps() {
        let mut wall = Wall::default();
        for step in 0..100_u32 {
            let offset = i64::from(step % 2) * 5_000;
            wall.observe(stamp(u64::from(step) * 250, i64::from(step) * 250 + offset));
        }
        assert_eq!(wall.marks.len(), MARKS_MAX);
        assert_eq!(wall.at(0).as_millis(), wall.marks[0].offset_ms);
    }
}
