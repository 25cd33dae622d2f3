//! What goes to the broker next, and what its answers mean. Pure: one connection's whole judgement,
//! without the connection.
//!
//! Documents of the board overtake what is stored, of which part of the window is kept free, so that they
//! never wait for its acknowledgements. The ledger and history take turns while both have something to
//! say, so that neither backlog starves the other.

use std::time::Instant;

use lineside_proto::{Topics, content_type};

use super::board::{Board, Place};
use super::exchange::{Answer, DeadLetter, Next, Outgoing, TOO_LARGE, Terms, one_leaf};
use super::flight::{Breach, Flight};
use super::leaves::{Announcement, Audience, index};
use super::notes::Notes;
use super::queue::Queue;
use super::refusal::{Consequence, Refusals, Verdict, reason, verdict};
use super::shown::Shown;
use crate::outbox::{Record, RecordKind};

#[derive(Debug)]
struct Flying {
    topic: String,
    item: Item,
}

#[derive(Debug)]
enum Item {
    Board(Place),
    Leaf { position: u64, index: u64 },
    Note,
    Record { position: u64, gap: bool },
    Farewell,
}

impl Item {
    /// Whether it is never given up, whatever the broker says.
    fn is_kept(&self) -> bool {
        matches!(self, Self::Leaf { .. } | Self::Note)
    }
}

/// One connection's deliveries.
#[derive(Debug)]
pub(super) struct Delivery {
    topics: Topics,
    window: u64,
    /// The part of the window that what is stored may use.
    stored_window: u64,
    packet_bytes_max: usize,
    /// How large a packet of such a publish is.
    packet_bytes: fn(&Outgoing) -> usize,
    flight: Flight<Flying>,
    shown: Shown,
    ledger: Queue<Announcement>,
    notes: Notes,
    history: Queue<Record>,
    /// Whether the ledger is asked before history next.
    ledger_first: bool,
    dead_letters: Vec<DeadLetter>,
    farewell: Option<Vec<u8>>,
    stopping: bool,
}

impl Delivery {
    /// Begins at both stores' delivered marks; `packet_bytes` tells the size of a publish on the wire.
    pub(super) fn new(
        topics: Topics,
        terms: Terms,
        packet_bytes: fn(&Outgoing) -> usize,
        (ledger, mut notes): (Queue<Announcement>, Notes),
        history: Queue<Record>,
    ) -> Self {
        notes.renew();
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
            stored_window: window - reserve,
            packet_bytes_max,
            packet_bytes,
            flight: Flight::new(),
            shown: Shown::default(),
            ledger,
            notes,
            history,
            ledger_first: true,
            dead_letters: Vec::new(),
            farewell: None,
            stopping: false,
        }
    }

    /// The records' way.
    pub(super) fn history(&mut self) -> &mut Queue<Record> {
        &mut self.history
    }

    /// The leaves' way.
    pub(super) fn ledger(&mut self) -> &mut Queue<Announcement> {
        &mut self.ledger
    }

    /// The checkpoints' way.
    pub(super) fn notes(&mut self) -> &mut Notes {
        &mut self.notes
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
    pub(super) fn next(&mut self, refusals: &mut Refusals, now: Instant) -> Option<Next> {
        if self.flight.span() >= self.window {
            return None;
        }
        if self.stopping {
            return self.next_farewell(now);
        }
        if let Some(next) = self.next_document(now) {
            return Some(next);
        }
        if self.flight.span() >= self.stored_window {
            return None;
        }
        if let Some(next) = self.next_note(refusals, now) {
            return Some(next);
        }
        // By turns, not by shares: that is fair in a window of one, too.
        if self.ledger_first {
            let leaf = self.next_leaf(refusals, now);
            self.ledger_first = leaf.is_none();
            leaf.or_else(|| self.next_record(now))
        } else {
            let record = self.next_record(now);
            self.ledger_first = true;
            record.or_else(|| self.next_leaf(refusals, now))
        }
    }

    fn next_farewell(&mut self, now: Instant) -> Option<Next> {
        let outgoing = Outgoing {
            topic: self.topics.status(),
            payload: self.farewell.take()?,
            content_type: content_type::JSON,
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
            content_type: content_type::JSON,
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

    /// The newest checkpoint whose leaves the broker has all taken.
    fn next_note(&mut self, refusals: &mut Refusals, now: Instant) -> Option<Next> {
        let text = self.notes.take(index(self.ledger.mark()), now)?;
        let outgoing = Outgoing {
            topic: self.topics.checkpoint(),
            payload: text.as_bytes().to_vec(),
            content_type: content_type::TEXT,
            retained: true,
            expiry_s: None,
        };
        if self.too_large(&outgoing).is_some() {
            let (until, anew) = refusals.held(&outgoing.topic, verdict(TOO_LARGE), now);
            self.notes.refused(until);
            let what = outgoing.topic;
            return Some(Next::Held { what, until, anew });
        }
        self.fly(Item::Note, &outgoing, now);
        Some(Next::Publish(outgoing))
    }

    /// The next leaf, or the document that follows on one.
    fn next_leaf(&mut self, refusals: &mut Refusals, now: Instant) -> Option<Next> {
        let (position, said) = self.ledger.take(now)?;
        let outgoing = Outgoing {
            topic: match &said.to {
                Audience::Archive => self.topics.leaf(),
                Audience::Portal(machine) => self.topics.sessions(machine),
            },
            payload: said.payload,
            content_type: content_type::JSON,
            retained: false,
            expiry_s: None,
        };
        if self.too_large(&outgoing).is_some() {
            let what = one_leaf(&outgoing.topic, said.index);
            let (until, anew) = refusals.held(&what, verdict(TOO_LARGE), now);
            self.ledger.refused(position, until);
            return Some(Next::Held { what, until, anew });
        }
        let leaf = Item::Leaf {
            position,
            index: said.index,
        };
        self.fly(leaf, &outgoing, now);
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
            content_type: content_type::JSON,
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
    /// [`buried`](Queue::buried) in [`history`](Self::history).
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
            Verdict::Delivered => Ok(self.delivered(topic, &item)),
            Verdict::Reconnect => Ok(Answer::Reconnect),
            Verdict::Retry | Verdict::Park | Verdict::DeadLetter => {
                let consequence = if item.is_kept() {
                    let (until, anew) = refusals.held(&topic, verdict, now);
                    Consequence::Hold(until, anew)
                } else {
                    refusals.refused(&topic, verdict, now)
                };
                Ok(self.refused(topic, &item, code, consequence))
            }
        }
    }

    fn delivered(&mut self, topic: String, item: &Item) -> Answer {
        let mut leaf = None;
        match item {
            Item::Board(place) => self.shown.settled(place),
            Item::Leaf { position, index } => {
                self.ledger.delivered(*position);
                leaf = Some(*index);
            }
            Item::Note => self.notes.delivered(),
            Item::Record { position, .. } => self.history.delivered(*position),
            Item::Farewell => {}
        }
        Answer::Delivered { topic, leaf }
    }

    fn refused(
        &mut self,
        topic: String,
        item: &Item,
        code: u8,
        consequence: Consequence,
    ) -> Answer {
        match consequence {
            Consequence::Hold(until, anew) => {
                match item {
                    Item::Board(place) => self.shown.refused(place, until),
                    Item::Leaf { position, .. } => self.ledger.refused(*position, until),
                    Item::Note => self.notes.refused(until),
                    Item::Record { position, .. } => self.history.refused(*position, until),
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
                    Item::Board(place) => self.shown.settled(place),
                    Item::Record { position, gap } => {
                        self.set_aside(*position, *gap, reason(code));
                    }
                    // Never given up.
                    Item::Leaf { .. } | Item::Note | Item::Farewell => {}
                }
                Answer::SetAside { topic, code }
            }
        }
    }

    /// When the oldest outstanding publish was handed over.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.flight.oldest()
    }

    /// The next moment, later than `now`, at which something that waits may go.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        let held = [self.ledger.hold(), self.history.hold()];
        let shown = [self.shown.retry_at(now), self.notes.retry_at(now)];
        held.into_iter()
            .chain(shown)
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
