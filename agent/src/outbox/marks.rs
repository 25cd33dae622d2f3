//! When which position was said, coarsely: enough to tell the age of the oldest undelivered message.

use lineside_proto::Time;
use std::collections::VecDeque;

/// Marks at most. When they are full every other one goes, and only every other one is made from then on: a
/// long outage costs precision, evenly, and not memory.
const MARKS_MAX: usize = 1024;

/// Positions and the oldest time said from there on, both rising.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<(u64, Time)>,
    /// Of so many calls one makes a mark.
    stride: u64,
    calls: u64,
}

impl Marks {
    /// Says that the records from `position` on begin at `from`.
    pub(super) fn push(&mut self, position: u64, from: Time) {
        if self.marks.len() == MARKS_MAX {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
        if self.marks.len() <= 1 {
            self.stride = 1;
        }
        if self.calls % self.stride == 0 {
            self.marks.push_back((position, from));
        }
        self.calls += 1;
    }

    /// Forgets what is only about positions below this one.
    pub(super) fn forget(&mut self, position: u64) {
        while self.marks.get(1).is_some_and(|(next, _)| *next <= position) {
            self.marks.pop_front();
        }
    }

    /// The time said at the first position that is kept.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.marks.front().map(|(_, from)| *from)
    }
}

#[cfg(test)]
mod tests {
    use super::{MARKS_MAX, Marks};
    use lineside_proto::Time;

    #[test]
    fn the_oldest_is_never_younger_than_it_is() {
        let mut marks = Marks::default();
        assert_eq!(marks.oldest(), None);
        let all = 5 * MARKS_MAX as u64;
        for position in 0..all {
            marks.push(
                position,
                Time::from_millis(i64::try_from(position).unwrap()),
            );
            assert!(marks.marks.len() <= MARKS_MAX);
        }
        for position in 0..all {
            marks.forget(position);
            let oldest = u64::try_from(marks.oldest().unwrap().as_millis()).unwrap();
            assert!(
                oldest <= position && position - oldest <= 8,
                "{position}: {oldest}"
            );
        }
    }
}
