//! How far the gateway's clock could be trusted at moments on the boot clock. Memory: `MARKS_MAX` changes.

use lineside_proto::ClockStatus;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Changes that are remembered: more than come, one in fifteen seconds at most, while a state is undecided. Of older
/// moments only the worst letter is known.
const MARKS_MAX: usize = 32;

/// The letters of the clock, each from a moment on; the first holds for whatever came before it, too.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Letters {
    marks: VecDeque<(i64, ClockStatus)>,
}

impl Letters {
    /// One letter, at all times.
    pub fn always(letter: ClockStatus) -> Self {
        Self {
            marks: VecDeque::from([(i64::MIN, letter)]),
        }
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// This letter holds from a moment on.
    pub fn note(&mut self, at_ms: i64, letter: ClockStatus) {
        let Some((newest_ms, newest)) = self.marks.back().copied() else {
            *self = Self::always(letter);
            return;
        };
        if newest == letter {
            return;
        }
        self.marks.push_back((at_ms.max(newest_ms), letter));
        if self.marks.len() > MARKS_MAX {
            let oldest = self.marks.pop_front();
            if let (Some((from_ms, oldest)), Some(next)) = (oldest, self.marks.front_mut()) {
                *next = (from_ms, oldest.worse(next.1));
            }
        }
    }

    /// The worst letter between two moments, the second of them left out; none where none is known.
    pub fn worst(&self, from_ms: i64, to_ms: i64) -> Option<ClockStatus> {
        let since = self.since(from_ms);
        let within = since.filter(|(at_ms, _)| *at_ms <= from_ms || *at_ms < to_ms);
        within.map(|(_, letter)| letter).reduce(ClockStatus::worse)
    }

    /// Those that hold from a moment on, where there is more than the present one.
    pub fn changes(&self, from_ms: i64) -> Self {
        let marks: VecDeque<_> = self.since(from_ms).collect();
        if marks.len() > 1 {
            return Self { marks };
        }
        Self::default()
    }

    fn since(&self, from_ms: i64) -> impl Iterator<Item = (i64, ClockStatus)> {
        let later = self.marks.iter().skip(1);
        let before = later.take_while(|(at_ms, _)| *at_ms <= from_ms).count();
        self.marks.iter().skip(before).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{Letters, MARKS_MAX};
    use lineside_proto::ClockStatus::{self, I, R, S, U};
    use proptest::prelude::*;

    #[test]
    fn the_worst_letter_of_a_span() {
        assert_eq!(Letters::default().worst(0, 9), None);
        let mut letters = Letters::default();
        for (at_ms, letter) in [(100, U), (200, S), (300, S), (400, I), (500, R), (450, S)] {
            letters.note(at_ms, letter);
        }
        for (from_ms, to_ms, expected) in [
            (-50, 10, U),
            (0, 150, U),
            (0, 200, U),
            (199, 201, U),
            (200, 400, S),
            (200, 200, S),
            (250, 401, I),
            (400, 500, I),
            (400, 501, R),
            (500, 900, S),
        ] {
            assert_eq!(
                letters.worst(from_ms, to_ms),
                Some(expected),
                "{from_ms}..{to_ms}"
            );
        }
        let changes = letters.changes(420);
        assert_eq!(changes.worst(420, 430), Some(I));
        assert_eq!(changes.worst(600, 700), Some(S));
        assert!(letters.changes(500).is_empty());
        assert_eq!(Letters::always(I).worst(7, 8), Some(I));
    }

    proptest! {
        /// However often it changes: never better than it was, and exact while all changes are remembered.
        #[test]
        fn never_better_than_it_was(
            changes in prop::collection::vec((0_i64..50, prop::sample::select(vec![U, I, S, R])), 1..80),
            from_ms in 0_i64..2_000,
            length_ms in 1_i64..300,
        ) {
            let mut letters = Letters::default();
            let mut at_ms = 0;
            let mut known: Vec<(i64, ClockStatus)> = Vec::new();
            for (step_ms, letter) in changes {
                at_ms += step_ms;
                letters.note(at_ms, letter);
                known.push((if known.is_empty() { i64::MIN } else { at_ms }, letter));
            }
            let text = serde_json::to_string(&letters).unwrap();
            let letters: Letters = serde_json::from_str(&text).unwrap();
            let begun = known.iter().rposition(|(at_ms, _)| *at_ms <= from_ms).unwrap();
            let held = known[begun..].iter().filter(|(at_ms, _)| *at_ms < from_ms + length_ms);
            let expected = held.map(|(_, letter)| *letter).reduce(ClockStatus::worse);
            let found = letters.worst(from_ms, from_ms + length_ms);
            prop_assert_eq!(found.zip(expected).map(|(found, worst)| found.worse(worst)), found);
            if known.len() <= MARKS_MAX {
                prop_assert_eq!(found, expected);
            }
            prop_assert_eq!(&text, &serde_json::to_string(&letters).unwrap());
        }
    }
}
