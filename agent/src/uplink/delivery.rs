//! What goes to the broker next, and what its answers mean. Pure: one connection's whole judgement,
//! without the connection.
//!
//! Documents of the board overtake history. Part of the window is kept for them, so that they never
//! wait for history's acknowledgements.

use std::time::Instant;

use lineside_proto::Topics;

use super::board::{Board, Place};
use super::flight::{Breach, Flight};
use super::history::History;
use super::refusal::{Consequence, Refusals, Verdict, reason, verdict};
use super::shown::Shown;
use crate::outbox::RecordKind;

/// What a connection allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    /// Publishes on their way at once, at least 1.
    pub(super) window: u16,
    /// The largest packet that the broker takes; none: any.
    pub(super) packet_bytes_max: Option<u32>,
}

/// A publish to hand over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Outgoing {
    /// The topic.
    pub(super) topic: String,
    /// The document.
    pub(super) payload: Vec<u8>,
    /// Whether the broker keeps it.
    pub(super) retained: bool,
    /// The message expiry interval, in seconds.
    pub(super) expiry_s: Option<u32>,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Hand this over.
    Publish(Outgoing),
    /// Nothing to hand over: this would be more than the broker takes.
    TooLarge {
        /// The topic.
        topic: String,
        /// The packet's size.
        bytes: usize,
    },
}

/// What the broker's answer came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The broker has it.
    Delivered {
        /// Its topic.
        topic: String,
    },
    /// It was refused, and will be sent again.
    Held {
        /// Its topic.
        topic: String,
        /// The reason code.
        code: u8,
        /// Not before.
        until: Instant,
        /// Whether that is new, or was so already.
        anew: bool,
    },
    /// It was refused for good.
    SetAside {
        /// Its topic.
        topic: String,
        /// The reason code.
        code: u8,
    },
    /// The broker has answered the last word of a clean stop.
    Farewell {
        /// Whether it has it.
        delivered: bool,
    },
    /// The connection is out of step.
    Reconnect,
}

/// A record that the broker will never take, to be replaced by a gap document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DeadLetter {
    /// Its position in the outbox.
    pub(super) position: u64,
    /// Why.
    pub(super) reason: &'static str,
}

#[derive(Debug)]
struct Flying {
    topic: String,
    item: Item,
}

#[derive(Debug)]
enum Item {
    Board(Place),
    Record { position: u64, gap: bool },
    Farewell,
}

/// One connection's deliveries.
#[derive(Debug)]
pub(super) struct Delivery {
    topics: Topics,
    window: u64,
    /// The part of the window that history may use.
    history_window: u64,
    packet_bytes_max: usize,
    /// How large a packet of such a publish is.
    packet_bytes: fn(&Outgoing) -> usize,
    flight: Flight<Flying>,
    shown: Shown,
    history: History,
    dead_letters: Vec<DeadLetter>,
    farewell: Option<Vec<u8>>,
    stopping: bool,
}

impl Delivery {
    /// Begins at the outbox's delivered mark; `packet_bytes` tells the size of a publish on the wire.
    pub(super) fn new(
        topics: Topics,
        terms: Terms,
        packet_bytes: fn(&Outgoing) -> usize,
        history: History,
    ) -> Self {
        let window = u64::from(terms.window.max(1));
        // A tenth, but at least two, and never all of it.
        let reserve = (window / 10).max(2).min(window - 1);
        let packet_bytes_max = terms
            .packet_bytes_max
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(usize::MAX);
        Self {
            topics,
            window,
            history_window: window - reserve,
            packet_bytes_max,
            packet_bytes,
            flight: Flight::new(),
            shown: Shown::default(),
            history,
            dead_letters: Vec::new(),
            farewell: None,
            stopping: false,
        }
    }

    /// The records' way.
    pub(super) fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// This is the first connection since the start: what machines' places said first goes out, too.
    pub(super) fn introduce(&mut self) {
        self.shown.introduce();
    }

    /// Takes in the newest board.
    pub(super) fn show(&mut self, board: Board) {
        self.shown.update(board);
    }

    /// From now on only this last status goes out.
    pub(super) fn stop(&mut self, farewell: Vec<u8>) {
        if !self.stopping {
            self.stopping = true;
            self.farewell = Some(farewell);
        }
    }

    /// What to do next, if anything may be done now. Ask until there is nothing.
    pub(super) fn next(&mut self, now: Instant) -> Option<Next> {
        if self.flight.span() >= self.window {
            return None;
        }
        if self.stopping {
            return self.next_farewell(now);
        }
        if let Some(next) = self.next_document(now) {
            return Some(next);
        }
        if self.flight.span() >= self.history_window {
            return None;
        }
        self.next_record(now)
    }

    fn next_farewell(&mut self, now: Instant) -> Option<Next> {
        let outgoing = Outgoing {
            topic: self.topics.status(),
            payload: self.farewell.take()?,
            retained: true,
            expiry_s: None,
        };
        self.fly(Item::Farewell, &outgoing, now);
        Some(Next::Publish(outgoing))
    }

    fn next_document(&mut self, now: Instant) -> Option<Next> {
        let (place, document) = self.shown.take(now)?;
        let outgoing = Outgoing {
            topic: place.topic(&self.topics),
            payload: document.payload.to_vec(),
            retained: true,
            expiry_s: document.expiry_s(now),
        };
        if let Some(too_large) = self.too_large(&outgoing) {
            self.shown.settled(&place);
            return Some(too_large);
        }
        self.fly(Item::Board(place), &outgoing, now);
        Some(Next::Publish(outgoing))
    }

    fn next_record(&mut self, now: Instant) -> Option<Next> {
        let (position, record) = self.history.take(now)?;
        let (topic, gap) = match record.kind {
            RecordKind::Telemetry { .. } => (self.topics.telemetry(&record.machine), false),
            RecordKind::Gap => (self.topics.gaps(&record.machine), true),
        };
        let outgoing = Outgoing {
            topic,
            payload: record.payload,
            retained: false,
            expiry_s: None,
        };
        if let Some(too_large) = self.too_large(&outgoing) {
            self.set_aside(position, gap, "larger than the broker takes");
            return Some(too_large);
        }
        self.fly(Item::Record { position, gap }, &outgoing, now);
        Some(Next::Publish(outgoing))
    }

    fn too_large(&self, outgoing: &Outgoing) -> Option<Next> {
        let bytes = (self.packet_bytes)(outgoing);
        (bytes > self.packet_bytes_max).then(|| Next::TooLarge {
            topic: outgoing.topic.clone(),
            bytes,
        })
    }

    fn fly(&mut self, item: Item, outgoing: &Outgoing, now: Instant) {
        let topic = outgoing.topic.clone();
        self.flight.push(Flying { topic, item }, now);
    }

    /// A record that can't be delivered is replaced by a gap document; a gap document by nothing.
    fn set_aside(&mut self, position: u64, gap: bool, reason: &'static str) {
        if gap {
            self.history.delivered(position);
        } else {
            self.history.condemn(position);
            self.dead_letters.push(DeadLetter { position, reason });
        }
    }

    /// Takes the records that need a gap document. Each is done with after it was
    /// [`buried`](History::buried) in [`history`](Self::history).
    pub(super) fn dead_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead_letters)
    }

    /// The next publish in order left with this packet id.
    ///
    /// # Errors
    ///
    /// [`Breach`] if there is no such publish.
    pub(super) fn left(&mut self, id: u16) -> Result<(), Breach> {
        self.flight.number(id)
    }

    /// The broker answered the publish with this packet id.
    ///
    /// # Errors
    ///
    /// [`Breach`] if there is no such publish.
    pub(super) fn answered(
        &mut self,
        id: u16,
        code: u8,
        refusals: &mut Refusals,
        now: Instant,
    ) -> Result<Answer, Breach> {
        let Flying { topic, item } = self.flight.settle(id)?;
        let verdict = verdict(code);
        if matches!(item, Item::Farewell) {
            let delivered = verdict == Verdict::Delivered;
            return Ok(Answer::Farewell { delivered });
        }
        match verdict {
            Verdict::Delivered => {
                match item {
                    Item::Board(place) => self.shown.settled(&place),
                    Item::Record { position, .. } => self.history.delivered(position),
                    Item::Farewell => {}
                }
                Ok(Answer::Delivered { topic })
            }
            Verdict::Reconnect => Ok(Answer::Reconnect),
            Verdict::Retry | Verdict::Park | Verdict::DeadLetter => {
                Ok(match refusals.refused(&topic, verdict, now) {
                    Consequence::Hold(until, anew) => {
                        match item {
                            Item::Board(place) => self.shown.refused(&place, until),
                            Item::Record { position, .. } => self.history.refused(position, until),
                            Item::Farewell => {}
                        }
                        Answer::Held {
                            topic,
                            code,
                            until,
                            anew,
                        }
                    }
                    Consequence::DeadLetter => {
                        match item {
                            Item::Board(place) => self.shown.settled(&place),
                            Item::Record { position, gap } => {
                                self.set_aside(position, gap, reason(code));
                            }
                            Item::Farewell => {}
                        }
                        Answer::SetAside { topic, code }
                    }
                })
            }
        }
    }

    /// When the oldest outstanding publish was handed over.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.flight.oldest()
    }

    /// The next moment, later than `now`, at which something that waits may go.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        [self.shown.retry_at(now), self.history.hold()]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// Publishes on their way.
    pub(super) fn in_flight(&self) -> u32 {
        u32::try_from(self.flight.span()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
