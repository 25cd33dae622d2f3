//! What of an account only leaves change: what became of bookings, and what late words may still be about.

use lineside_proto::ledger::{LeafBody, SessionEvent, SessionLeaf};
use lineside_proto::{Class, Outcome, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

use crate::machine::session::Past;

/// Sessions without booking that a late token may still name.
const PAST_MAX: usize = 64;

/// Bookings that had their session or their outcome, remembered at most; the one that ended first goes.
const DONE_MAX: usize = 4_096;

/// For so long after its end a booking that is done with stays remembered.
const DONE_MS: i64 = 30 * 24 * 3_600_000;

/// A booking that ended longer ago is not taken up any more: it may have been done with and be forgotten.
pub const TAKEN_MS: i64 = DONE_MS - 24 * 3_600_000;

/// Other companies' times that are remembered, for what a source tells of them later.
const EXTERNAL_MAX: usize = 128;

/// What only leaves change.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lasting {
    /// Bookings that had their session or their outcome.
    #[serde(default)]
    pub done: BTreeMap<String, Done>,
    /// Sessions without booking that have ended.
    #[serde(default)]
    pub past: VecDeque<Past>,
    /// When other companies' sessions were, and the slots of their bookings.
    #[serde(default)]
    external: VecDeque<(Time, Time)>,
}

/// A booking that opens no session any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// When it ended, as far as the ledger tells.
    pub end: Time,
    /// Whether it is also known what became of it.
    pub is_decided: bool,
    /// Whether it had its session, or was called off.
    pub is_spent: bool,
}

/// What a leaf says of a booking.
#[derive(Clone, Copy)]
struct Word {
    end: Time,
    /// The leaf's own time.
    at: Time,
    is_decided: bool,
    is_spent: bool,
}

impl Lasting {
    /// Whether a booking may still open a session.
    pub fn is_done(&self, booking: &str) -> bool {
        self.done.contains_key(booking)
    }

    /// Whether it is known what became of a booking.
    pub fn is_decided(&self, booking: &str) -> bool {
        self.done.get(booking).is_some_and(|done| done.is_decided)
    }

    /// Whether a booking had its session, or was called off.
    pub fn is_spent(&self, booking: &str) -> bool {
        self.done.get(booking).is_some_and(|done| done.is_spent)
    }

    /// Whether another company's session or slot was at this time, as far as that is remembered.
    pub fn was_external(&self, time: Time) -> bool {
        let mut external = self.external.iter();
        external.any(|(from, to)| *from <= time && time <= *to)
    }

    fn note_external(&mut self, class: Class, from: Time, to: Time) {
        if class != Class::Ext {
            return;
        }
        if self.external.len() >= EXTERNAL_MAX {
            self.external.pop_front();
        }
        self.external.push_back((from, to));
    }

    fn finish(&mut self, booking: &str, word: Word) {
        let done = self.done.entry(booking.to_owned()).or_insert(Done {
            end: word.end,
            is_decided: false,
            is_spent: false,
        });
        done.end = done.end.max(word.end);
        done.is_decided |= word.is_decided;
        done.is_spent |= word.is_spent;
        // Neither a booking of next year nor a clock that runs ahead makes the others old.
        let forgotten = word.end.min(word.at).plus_millis(-DONE_MS);
        self.done.retain(|_, done| done.end >= forgotten);
        while self.done.len() > DONE_MAX {
            let oldest = self.done.iter().min_by_key(|(_, done)| done.end);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            self.done.remove(&oldest);
        }
    }

    /// Takes in a leaf of the machine; says whether that changes anything.
    pub fn takes(body: &LeafBody) -> bool {
        matches!(
            body,
            LeafBody::Session(_) | LeafBody::Booking(_) | LeafBody::Bind(_)
        )
    }

    /// Takes in a leaf of the machine, of this time.
    pub fn take(&mut self, body: &LeafBody, at: Time) {
        if let LeafBody::Session(leaf) = body {
            self.take_session(leaf, at);
        } else if let LeafBody::Booking(leaf) = body {
            let word = Word {
                end: leaf.end,
                at,
                is_decided: true,
                is_spent: leaf.session.is_some() || leaf.outcome == Outcome::Cancelled,
            };
            self.finish(&leaf.booking, word);
            if leaf.outcome != Outcome::Cancelled {
                self.note_external(leaf.class, leaf.start, leaf.end);
            }
        } else if let LeafBody::Bind(leaf) = body {
            let bound = self.past.iter().find(|past| past.id == leaf.session);
            let word = Word {
                end: bound.map_or(at, |past| past.to),
                at,
                is_decided: false,
                is_spent: true,
            };
            let times = bound.map(|past| (past.from, past.to));
            self.finish(&leaf.booking, word);
            if let Some((from, to)) = times {
                self.note_external(leaf.class, from, to);
            }
            self.past.retain(|past| past.id != leaf.session);
        }
    }

    fn take_session(&mut self, leaf: &SessionLeaf, at: Time) {
        if let (SessionEvent::Close, Some(to)) = (leaf.event, leaf.to) {
            self.note_external(leaf.class, leaf.from, to);
        }
        match (leaf.event, &leaf.booking) {
            (_, Some(booking)) => {
                let word = Word {
                    end: leaf.to.unwrap_or(leaf.from),
                    at,
                    is_decided: false,
                    is_spent: true,
                };
                self.finish(booking, word);
            }
            (SessionEvent::Close, None) if leaf.check_in == lineside_proto::CheckIn::None => {
                if self.past.iter().any(|past| past.id == leaf.session) {
                    return;
                }
                if self.past.len() >= PAST_MAX {
                    self.past.pop_front();
                }
                self.past.push_back(Past {
                    id: leaf.session.clone(),
                    from: leaf.from,
                    to: leaf.to.unwrap_or(leaf.from),
                });
            }
            (SessionEvent::Open | SessionEvent::Close, None) => {}
        }
    }
}
