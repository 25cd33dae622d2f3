//! Which of the ledger's checkpoints the broker is to keep: the newest whose leaves it has all taken. Pure.

use std::sync::Arc;
use std::time::Instant;

/// The checkpoints of one agent's life, and what one connection has of them.
///
/// Two may wait for their leaves: the one that is waited for, and the newest. Without the first, a
/// ledger that signs as fast as its leaves are taken would never show a checkpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    waiting: Option<Note>,
    newest: Option<Note>,
    /// Heads of at most so many leaves are of an earlier run, and are not said: see [`after`](Self::after).
    floor: Option<u64>,
    /// What the broker is to keep.
    shown: Option<Note>,
    /// Whether it must be told.
    due: bool,
    flying: bool,
    /// Refused: not again before this moment.
    not_before: Option<Instant>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Note {
    size: u64,
    text: Arc<str>,
}

impl Notes {
    /// The checkpoints after one that an earlier run signed. That comes again when a witness has cosigned it, and would
    /// replace the one that the broker keeps, which may be all that tells of a restored backup.
    pub(super) fn after(earlier: Option<&str>) -> Self {
        Self {
            floor: earlier.and_then(size),
            ..Self::default()
        }
    }

    /// A new connection: what is shown is said again.
    pub(super) fn renew(&mut self) {
        self.due = self.shown.is_some();
        self.flying = false;
        self.not_before = None;
    }

    /// Takes in the newest signed checkpoint. A text that is none is left out.
    pub(super) fn signed(&mut self, text: &Arc<str>) {
        let Some(size) = size(text) else {
            return;
        };
        let known = [&self.newest, &self.waiting, &self.shown]
            .into_iter()
            .flatten();
        let known = known.map(|note| note.size).max();
        if known.max(self.floor) >= Some(size) {
            return;
        }
        let note = Note {
            size,
            text: Arc::clone(text),
        };
        if self.waiting.is_none() {
            self.waiting = Some(note);
        } else {
            self.newest = Some(note);
        }
    }

    /// The checkpoint to publish, if one is due now that the broker has the leaves below `mark`. It is on
    /// its way from then on.
    pub(super) fn take(&mut self, mark: u64, now: Instant) -> Option<Arc<str>> {
        if self.flying || self.not_before.is_some_and(|until| now < until) {
            return None;
        }
        let covered = |note: &&mut Note| note.size <= mark;
        if self.newest.as_mut().filter(covered).is_some() {
            self.shown = self.newest.take();
            self.waiting = None;
            self.due = true;
        } else if self.waiting.as_mut().filter(covered).is_some() {
            self.shown = self.waiting.take();
            self.waiting = self.newest.take();
            self.due = true;
        }
        if !self.due {
            return None;
        }
        let text = Arc::clone(&self.shown.as_ref()?.text);
        self.due = false;
        self.flying = true;
        self.not_before = None;
        Some(text)
    }

    /// The broker has taken it.
    pub(super) fn delivered(&mut self) {
        self.flying = false;
    }

    /// The broker refused it: it, or a newer one, is sent after `until`.
    pub(super) fn refused(&mut self, until: Instant) {
        self.flying = false;
        self.due = true;
        self.not_before = Some(until);
    }

    /// The next moment, later than `now`, at which a refused one may be tried again.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|at| *at > now)
    }
}

/// The number of leaves that a checkpoint is about: its second line.
pub(super) fn size(text: &str) -> Option<u64> {
    text.lines().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Notes;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn note(size: u64) -> Arc<str> {
        format!("lineside/s/g\n{size}\nroot=\n\n— lineside/s/g sig=\n").into()
    }

    fn size(text: &str) -> u64 {
        super::size(text).unwrap()
    }

    #[test]
    fn the_newest_covered_one_is_shown_and_others_are_skipped() {
        let now = Instant::now();
        let mut notes = Notes::default();
        let taken = |notes: &mut Notes, mark| {
            let text = notes.take(mark, now);
            if text.is_some() {
                notes.delivered();
            }
            text.map(|text| size(&text))
        };
        assert_eq!(taken(&mut notes, 100), None);
        for signed in [5, 7, 9] {
            notes.signed(&note(signed));
        }
        assert_eq!(taken(&mut notes, 4), None);
        assert_eq!(taken(&mut notes, 5), Some(5), "the oldest that waits");
        assert_eq!(taken(&mut notes, 8), None, "7 was superseded");
        assert_eq!(taken(&mut notes, 9), Some(9));
        for signed in [11, 12, 13, 13, 2] {
            notes.signed(&note(signed));
        }
        assert_eq!(taken(&mut notes, 20), Some(13));
        assert_eq!(taken(&mut notes, 20), None);
        notes.signed(&note(30));
        notes.renew();
        assert_eq!(taken(&mut notes, 20), Some(13), "again after a reconnect");
        assert_eq!(taken(&mut notes, 29), None);
        assert_eq!(taken(&mut notes, 30), Some(30));
        notes.signed(&"no note".into());
        assert_eq!(taken(&mut notes, 1000), None);
    }

    #[test]
    fn a_refused_one_waits_and_a_newer_one_takes_its_place() {
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let mut notes = Notes::default();
        notes.signed(&note(3));
        assert!(notes.take(3, now).is_some());
        assert_eq!(notes.take(3, now), None, "on its way");
        notes.refused(until);
        notes.signed(&note(4));
        assert_eq!(notes.retry_at(now), Some(until));
        assert_eq!(notes.take(4, now), None);
        assert_eq!(notes.take(4, until).as_deref().map(size), Some(4));
        assert_eq!(notes.retry_at(now), None);
    }

    proptest! {
        /// Whatever comes when: never a checkpoint before its leaves, never an older after a newer one, and
        /// under a ledger that always signs ahead one is shown in the end.
        #[test]
        fn never_before_its_leaves_and_never_back(
            steps in prop::collection::vec((0_u64..4, 0_u64..4, any::<bool>()), 1..100),
        ) {
            let now = Instant::now();
            let mut notes = Notes::default();
            let (mut signed, mut mark, mut last) = (0, 0, 0);
            for (more, acknowledged, reconnect) in steps {
                signed += more;
                notes.signed(&note(signed));
                mark = (mark + acknowledged).min(signed);
                if let Some(text) = notes.take(mark, now) {
                    prop_assert!(size(&text) <= mark);
                    prop_assert!(size(&text) >= last);
                    last = size(&text);
                    if reconnect {
                        notes.renew();
                    } else {
                        notes.delivered();
                    }
                }
            }
            notes.renew();
            if let Some(text) = notes.take(signed, now) {
                prop_assert_eq!(size(&text), signed, "the newest in the end");
            }
        }

        /// A ledger that signs ahead of its leaves for ever still shows checkpoints.
        #[test]
        fn a_busy_ledger_starves_nobody(lag in 1_u64..50) {
            let now = Instant::now();
            let mut notes = Notes::default();
            let mut shown = 0;
            for signed in 1..1000 {
                notes.signed(&note(signed));
                if notes.take(signed.saturating_sub(lag), now).is_some() {
                    notes.delivered();
                    shown += 1;
                }
            }
            prop_assert!(shown >= 900 / (lag + 1));
        }
    }
}
