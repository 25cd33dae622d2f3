//! What of the board the broker has, and what is due. Pure.
//!
//! Of each document only the newest version counts: one that was replaced before its turn is never sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::board::{Board, Place, Retained};

/// One connection's view of the board. As many entries as the board has documents.
#[derive(Debug, Default)]
pub(super) struct Shown {
    board: Board,
    due: BTreeSet<Place>,
    sent: BTreeMap<Place, Sent>,
    /// Whether each place's opening comes before its newest document.
    introduces: bool,
}

#[derive(Debug)]
struct Sent {
    version: u64,
    flying: bool,
    /// Refused: not again before this moment.
    not_before: Option<Instant>,
}

impl Shown {
    /// This is the first connection since the start: what places said first goes out, too.
    pub(super) fn introduce(&mut self) {
        self.introduces = true;
    }

    /// Takes in the newest board.
    pub(super) fn update(&mut self, board: Board) {
        let Self { due, sent, .. } = self;
        due.retain(|place| board.documents.contains_key(place));
        sent.retain(|place, sent| sent.flying || board.documents.contains_key(place));
        for (place, document) in &board.documents {
            let known = sent.get(place).map(|sent| sent.version);
            if known != Some(document.version) {
                due.insert(place.clone());
            }
        }
        self.board = board;
    }

    /// The next document to send, in the board's order. It is on its way from then on. One that is too
    /// old to be believed is left out: a newer one will come.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Place, Retained)> {
        loop {
            let place = self.due.iter().find(|place| self.may_go(place, now))?;
            let place = place.clone();
            let Some(newest) = self.board.documents.get(&place) else {
                self.due.remove(&place);
                continue;
            };
            let document = self.opening(&place, now).unwrap_or(newest).clone();
            if document.version == newest.version {
                self.due.remove(&place);
            }
            let fresh = document.expiry_s(now) != Some(0);
            let sent = Sent {
                version: document.version,
                flying: fresh,
                not_before: None,
            };
            self.sent.insert(place.clone(), sent);
            if fresh {
                return Some((place, document));
            }
        }
    }

    /// What the place said first since the start, if that has not been sent and may still be believed.
    fn opening(&self, place: &Place, now: Instant) -> Option<&Retained> {
        let is_first = self.introduces && !self.sent.contains_key(place);
        let opening = self.board.openings.get(place).filter(|_| is_first)?;
        (opening.expiry_s(now) != Some(0)).then_some(opening)
    }

    fn may_go(&self, place: &Place, now: Instant) -> bool {
        self.sent
            .get(place)
            .is_none_or(|sent| !sent.flying && sent.not_before.is_none_or(|until| now >= until))
    }

    /// The broker has answered: it took the document, or will never take this version.
    pub(super) fn settled(&mut self, place: &Place) {
        if let Some(sent) = self.sent.get_mut(place) {
            sent.flying = false;
        }
    }

    /// The broker refused the document: it, or a newer version, is sent after `until`.
    pub(super) fn refused(&mut self, place: &Place, until: Instant) {
        if let Some(sent) = self.sent.get_mut(place) {
            sent.flying = false;
            sent.not_before = Some(until);
        }
        if self.board.documents.contains_key(place) {
            self.due.insert(place.clone());
        }
    }

    /// The next moment, later than `now`, at which a refused document may be tried again.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        let due = self.due.iter().filter_map(|place| self.sent.get(place));
        due.filter_map(|sent| sent.not_before)
            .filter(|at| *at > now)
            .min()
    }
}

impl Retained {
    /// The message expiry to set now: what is left of `max_age` in whole seconds, 0 when nothing is. None
    /// for what never expires, and for the empty payload that clears.
    pub(super) fn expiry_s(&self, now: Instant) -> Option<u32> {
        if self.payload.is_empty() {
            return None;
        }
        let left = self
            .max_age?
            .saturating_sub(now.saturating_duration_since(self.made));
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::{Board, Place, Retained};
    use super::Shown;
    use std::time::{Duration, Instant};

    fn board(made: Instant, documents: &[(Place, u64)]) -> Board {
        let documents = documents.iter().map(|(place, version)| {
            let document = Retained {
                payload: version.to_be_bytes().as_slice().into(),
                version: *version,
                made,
                max_age: Some(Duration::from_secs(90)),
            };
            (place.clone(), document)
        });
        Board {
            documents: documents.collect(),
            ..Board::default()
        }
    }

    fn availability(machine: &str) -> Place {
        Place::Availability(machine.parse().unwrap())
    }

    fn taken(shown: &mut Shown, now: Instant) -> Vec<(Place, u64)> {
        std::iter::from_fn(|| shown.take(now))
            .map(|(place, document)| (place, document.version))
            .collect()
    }

    #[test]
    fn the_newest_version_goes_once_and_again_when_it_changed_on_the_way() {
        let now = Instant::now();
        let (status, press) = (Place::Status, availability("press"));
        let map = Place::Map("press".parse().unwrap());
        let mut shown = Shown::default();
        shown.update(board(now, &[(map.clone(), 1), (press.clone(), 1)]));
        shown.update(board(
            now,
            &[(map.clone(), 1), (press.clone(), 2), (status.clone(), 1)],
        ));
        let all = taken(&mut shown, now);
        assert_eq!(
            all,
            [(press.clone(), 2), (status.clone(), 1), (map.clone(), 1)]
        );
        shown.update(board(now, &[(status.clone(), 1), (press.clone(), 3)]));
        assert_eq!(taken(&mut shown, now), [], "version 2 is still on its way");
        shown.settled(&press);
        assert_eq!(taken(&mut shown, now), [(press.clone(), 3)]);
        shown.settled(&press);
        shown.settled(&status);
        shown.settled(&map);
        assert_eq!(taken(&mut shown, now), []);
    }

    #[test]
    fn a_start_is_told_before_what_was_read_since() {
        let now = Instant::now();
        let (status, press) = (Place::Status, availability("press"));
        let mut said = board(now, &[(press.clone(), 3), (status.clone(), 1)]);
        said.openings = board(now, &[(press.clone(), 2)]).documents;
        let mut shown = Shown::default();
        shown.introduce();
        shown.update(said.clone());
        let first = taken(&mut shown, now);
        assert_eq!(first, [(press.clone(), 2), (status.clone(), 1)]);
        shown.settled(&press);
        assert_eq!(taken(&mut shown, now), [(press.clone(), 3)]);
        shown.settled(&press);
        assert_eq!(taken(&mut shown, now), []);
        // Once told, or when it is too old, only the newest counts.
        let mut later = Shown::default();
        later.update(said.clone());
        assert_eq!(taken(&mut later, now), [(press.clone(), 3), (status, 1)]);
        let late = now + Duration::from_millis(89_001);
        let mut after_an_outage = Shown::default();
        after_an_outage.introduce();
        said.documents = board(late, &[(press.clone(), 9)]).documents;
        after_an_outage.update(said);
        assert_eq!(taken(&mut after_an_outage, late), [(press, 9)]);
    }

    #[test]
    fn what_is_too_old_is_left_out() {
        let now = Instant::now();
        let press = availability("press");
        let mut shown = Shown::default();
        shown.update(board(now, &[(press.clone(), 1)]));
        let late = now + Duration::from_millis(89_001);
        assert_eq!(taken(&mut shown, late), []);
        shown.update(board(late, &[(press.clone(), 2)]));
        let document = shown.take(late + Duration::from_millis(500)).unwrap().1;
        assert_eq!(
            document.expiry_s(late + Duration::from_millis(500)),
            Some(89)
        );
    }

    #[test]
    fn a_refused_document_waits_whatever_its_version() {
        let now = Instant::now();
        let until = now + Duration::from_secs(30);
        let press = availability("press");
        let mut shown = Shown::default();
        shown.update(board(now, &[(press.clone(), 1)]));
        assert_eq!(taken(&mut shown, now), [(press.clone(), 1)]);
        shown.refused(&press, until);
        assert_eq!(shown.retry_at(now), Some(until));
        shown.update(board(now, &[(press.clone(), 2)]));
        assert_eq!(taken(&mut shown, now), []);
        assert_eq!(taken(&mut shown, until), [(press, 2)]);
        assert_eq!(shown.retry_at(until), None);
    }
}
