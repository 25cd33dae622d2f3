//! When which position was said, coarsely: enough to tell the age of the oldest undelivered message.

use lineside_proto::Time;
use std::collections::VecDeque;

/// Marks at most. When they are full every other one goes, so that a long outage costs precision and
/// not memory.
const MARKS_MAX: usize = 1024;

/// Positions and the oldest time said from there on, both rising.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<(u64, Time)>);

impl Marks {
    /// Says that the records from `position` on begin at `from`.
    pub(super) fn push(&mut self, position: u64, from: Time) {
        if self.0.len() == MARKS_MAX {
            let mut keep = false;
            self.0.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.0.push_back((position, from));
    }

    /// Forgets what is only about positions below this one.
    pub(super) fn forget(&mut self, position: u64) {
        while self.0.get(1).is_some_and(|(next, _)| *next <= position) {
            self.0.pop_front();
        }
    }

    /// The time said at the first position that is kept.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.0.front().map(|(_, from)| *from)
    }
}
