//! What is known of one machine.

use std::collections::{BTreeMap, BTreeSet};

use super::room::Room;
use super::session::{SESSION_BYTES, Session};
use super::sums::Sums;

/// What the outcome of a booking takes beside its id.
const OUTCOME_BYTES: usize = 64;

/// What is known of one machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) sums: Sums,
    /// A gap, or anything that counts, lies in the period.
    pub(super) is_of_period: bool,
    /// In order of their first leaf.
    pub(super) sessions: Vec<Session>,
    ids: BTreeMap<String, usize>,
    /// Bookings whose outcome is known.
    decided: BTreeSet<String>,
    /// The session that runs.
    pub(super) running: Option<String>,
    /// Whether it is known what runs: in a bundle that begins later than the ledger, a session may run already.
    pub(super) is_known: bool,
}

impl Machine {
    pub(super) fn get(&self, id: &str) -> Option<&Session> {
        self.sessions.get(*self.ids.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Session> {
        self.sessions.get_mut(*self.ids.get(id)?)
    }

    /// The place of a session among those of the machine.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// The session with this id, a new one if it was not known; none where there is no room for it.
    pub(super) fn session(&mut self, id: &str, room: &mut Room) -> Option<&mut Session> {
        if !self.ids.contains_key(id) {
            if !room.take(SESSION_BYTES + 3 * id.len()) {
                return None;
            }
            self.ids.insert(id.to_owned(), self.sessions.len());
            self.sessions.push(Session::new(id));
        }
        self.get_mut(id)
    }

    /// Takes note that a booking's outcome is known; says whether it is the first one.
    pub(super) fn decide(&mut self, booking: &str, room: &mut Room) -> bool {
        if self.decided.contains(booking) {
            return false;
        }
        if room.take(OUTCOME_BYTES + booking.len()) {
            self.decided.insert(booking.to_owned());
        }
        true
    }
}
