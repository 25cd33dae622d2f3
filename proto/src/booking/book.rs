//! The bookings in force on each machine, and what becomes of a message that brings others.
//!
//! Pure: time comes with each message. A message replaces all bookings of its machine at once; what it says
//! counts booking by booking, so that one that is refused takes no other with it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::page::{BOOKINGS_MAX, Page, named, refused};
use super::token::{Presented, Refusal, Scene, read, seconds, sha256};
use super::{
    Booking, BookingsMessage, CheckInClaims, MESSAGE_BYTES_MAX, PortalCheckIn, Trust,
    WINDOW_AFTER_MS, WINDOW_BEFORE_MS, jws,
};
use crate::{BookingsAck, ClockStatus, Identifier, RefusalCode, RefusedBooking, Time};

/// The bookings of one gateway.
#[derive(Clone, Debug)]
pub struct Book {
    site: Identifier,
    gateway: Identifier,
    trust: Trust,
    machines: BTreeMap<Identifier, Page>,
}

/// What is kept of a [`Book`]. At most [`BOOKINGS_MAX`] bookings and twice as many hashes a machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BookRecord {
    /// Version of the record's shape: 1.
    v: u8,
    /// The hash of whose tokens counted.
    trust: String,
    machines: BTreeMap<Identifier, Page>,
}

/// What became of a message.
#[derive(Clone, PartialEq, Debug)]
pub struct Received {
    /// What the portal is to be told.
    pub ack: BookingsAck,
    /// All bookings of the machine, by their start, if they are others than before.
    pub changed: Option<Vec<Booking>>,
    /// Somebody checked in.
    pub check_in: Option<PortalCheckIn>,
    /// Whether the record is another than before.
    pub record_changed: bool,
    /// The tokens of the message that are in force now, each with `sha256:` and its hash, by which leaves name it.
    pub tokens: Vec<(String, String)>,
}

/// What a message says, and whether somebody signed it.
struct Opened {
    payload: Vec<u8>,
    kid: Option<String>,
    /// `sha256:` and the hash of the message as it came, where it is signed.
    token: Option<String>,
}

/// What tells a check-in from a message of bookings.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    checkin: Value,
}

impl Book {
    /// An empty book.
    pub fn new(site: Identifier, gateway: Identifier, trust: Trust) -> Self {
        let machines = BTreeMap::new();
        Self {
            site,
            gateway,
            trust,
            machines,
        }
    }

    /// The book that was kept. Where other tokens count than then, only bookings of those who still may sign
    /// stay, and the newest message of each machine is judged again when it comes again. A record of another
    /// version counts as none.
    pub fn restore(mut self, record: BookRecord) -> Self {
        if record.v != 1 {
            return self;
        }
        let same = record.trust == self.trust_hash();
        self.machines = record.machines;
        if !same {
            for page in self.machines.values_mut() {
                let keys = &self.trust.keys;
                page.held.retain(|held| match &held.kid {
                    None => keys.is_empty(),
                    Some(kid) => keys.iter().any(|key| key.kid == *kid),
                });
                page.again = true;
            }
        }
        self
    }

    /// What is to be kept.
    pub fn record(&self) -> BookRecord {
        BookRecord {
            v: 1,
            trust: self.trust_hash(),
            machines: self.machines.clone(),
        }
    }

    /// Who may sign as what, as a hash.
    fn trust_hash(&self) -> String {
        // Texts and numbers only: writing them can't fail.
        sha256(&serde_json::to_vec(&self.trust).unwrap_or_default())
    }

    /// The bookings of a machine, by their start.
    pub fn in_force(&self, machine: &Identifier) -> Vec<Booking> {
        self.machines
            .get(machine)
            .map(Page::bookings)
            .unwrap_or_default()
    }

    /// Machines of which anything is kept.
    pub fn machines(&self) -> impl Iterator<Item = &Identifier> {
        self.machines.keys()
    }

    /// What the portal was told last of a machine's bookings; before any were accepted, that there are none,
    /// as of now.
    pub fn ack(&self, machine: &Identifier, now: Time) -> BookingsAck {
        let page = self.machines.get(machine);
        let said = page.and_then(|page| page.ack.clone());
        said.unwrap_or_else(|| self.blank(machine, now))
    }

    fn blank(&self, machine: &Identifier, now: Time) -> BookingsAck {
        BookingsAck {
            v: 1,
            site: self.site.clone(),
            gateway: self.gateway.clone(),
            machine: machine.clone(),
            revision: None,
            accepted: Vec::new(),
            refused: Vec::new(),
            at: now,
        }
    }

    /// Takes a message from `bookings/{machine}`. The machine must be one that is configured: each takes room.
    /// An empty message, as a broker sends it when a retained one is cleared, changes nothing. Of a message
    /// that is refused as a whole the book keeps nothing.
    pub fn receive(
        &mut self,
        machine: &Identifier,
        payload: &[u8],
        now: Time,
        clock: ClockStatus,
    ) -> Received {
        if payload.is_empty() {
            return self.unchanged(machine, Vec::new(), now);
        }
        match self.take(machine, payload, now, clock) {
            Ok(received) => received,
            Err(refused) => self.unchanged(machine, vec![refused], now),
        }
    }

    /// Says that a message was not taken, because the record would be larger than what keeps it.
    pub fn without_room(&self, machine: &Identifier, now: Time) -> Received {
        let text = "there is no room for more bookings on this gateway; send only those to come";
        let refusal = Refusal::new(RefusalCode::TooMany, text);
        self.unchanged(machine, vec![refused(None, refusal)], now)
    }

    fn unchanged(&self, machine: &Identifier, refused: Vec<RefusedBooking>, now: Time) -> Received {
        let mut ack = self.ack(machine, now);
        if !refused.is_empty() {
            ack = BookingsAck {
                refused,
                at: now,
                ..ack
            };
        }
        Received {
            ack,
            changed: None,
            check_in: None,
            record_changed: false,
            tokens: Vec::new(),
        }
    }

    fn take(
        &mut self,
        machine: &Identifier,
        payload: &[u8],
        now: Time,
        clock: ClockStatus,
    ) -> Result<Received, RefusedBooking> {
        let whole = |refusal| refused(None, refusal);
        let opened = self.open(payload).map_err(whole)?;
        let scene = Scene {
            site: &self.site,
            gateway: &self.gateway,
            machine,
            trust: &self.trust,
            now,
            clock,
        };
        let kind: Kind = read(&opened.payload).map_err(whole)?;
        if !kind.checkin.is_null() {
            let check_in = self.check_in(&scene, opened)?;
            return Ok(Received {
                check_in: Some(check_in),
                ..self.unchanged(machine, Vec::new(), now)
            });
        }
        let message: BookingsMessage = read(&opened.payload).map_err(whole)?;
        let page = self.machines.get(machine);
        if !is_news(&message, page, &scene).map_err(whole)? {
            return Ok(self.unchanged(machine, Vec::new(), now));
        }
        let blank = Page::default();
        let page = page.unwrap_or(&blank);
        let (next, refused) = page.replaced(&message, &scene, opened.kid.is_some());
        let accepted = next.held.iter();
        let ack = BookingsAck {
            revision: next.revision,
            accepted: accepted.map(|held| held.booking.id.clone()).collect(),
            refused,
            ..self.blank(machine, now)
        };
        let bookings = next.bookings();
        let tokens = presented(&message, &bookings);
        let changed = (bookings != page.bookings()).then_some(bookings);
        let next = Page {
            ack: Some(ack.clone()),
            ..next
        };
        self.machines.insert(machine.clone(), next);
        Ok(Received {
            ack,
            changed,
            check_in: None,
            record_changed: true,
            tokens,
        })
    }

    /// What a message says: signed where there are keys, and unsigned only where there are none.
    fn open(&self, payload: &[u8]) -> Result<Opened, Refusal> {
        let size = payload.len();
        if size > MESSAGE_BYTES_MAX {
            let text = format!("the message has {size} bytes, and {MESSAGE_BYTES_MAX} are allowed");
            return Err(Refusal::new(RefusalCode::Malformed, text));
        }
        let is_json = jws::is_object(payload);
        if self.trust.keys.is_empty() && is_json {
            return Ok(Opened {
                payload: payload.to_vec(),
                kid: None,
                token: None,
            });
        }
        if is_json {
            let text = "this gateway has issuer keys: send a compact JWS by one of them";
            return Err(Refusal::new(RefusalCode::Unsigned, text));
        }
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let verified = jws::verify(text, &self.trust.keys, MESSAGE_BYTES_MAX)
            .map_err(|error| Refusal::of("the message", &error))?;
        Ok(Opened {
            payload: verified.payload,
            kid: Some(verified.kid),
            token: Some(sha256(payload)),
        })
    }

    fn check_in(&self, scene: &Scene<'_>, opened: Opened) -> Result<PortalCheckIn, RefusedBooking> {
        let claims: CheckInClaims =
            read(&opened.payload).map_err(|refusal| refused(None, refusal))?;
        let presented = Presented {
            claims,
            kid: opened.kid,
            mark: String::new(),
        };
        let judged = scene.check_in(&presented);
        let claims = &presented.claims;
        let id = named(&claims.checkin);
        judged.map_err(|refusal| refused(id.clone(), refusal))?;
        let issued = if claims.iat > 0 {
            seconds(claims.iat)
        } else {
            scene.now
        };
        let none = |text: &str| {
            let refusal = Refusal::new(RefusalCode::NoBooking, text);
            Err(refused(id.clone(), refusal))
        };
        let page = self.machines.get(scene.machine);
        let held = page.into_iter().flat_map(|page| &page.held);
        let mut bookings = held.map(|held| &held.booking);
        let Some(booking) = bookings.find(|booking| booking.id == claims.checkin) else {
            return none("no such booking is in force on this machine");
        };
        // Judged by when it was issued: the network may have been away since.
        let from = booking.start.plus_millis(-WINDOW_BEFORE_MS);
        let to = booking.end.plus_millis(WINDOW_AFTER_MS);
        if issued < from || issued > to {
            return none(
                "a check-in counts from half an hour before its booking to five minutes after it",
            );
        }
        Ok(PortalCheckIn {
            booking: booking.clone(),
            issued,
            token: opened.token,
        })
    }
}

/// The tokens of a message by which bookings are in force, with their hashes.
fn presented(message: &BookingsMessage, bookings: &[Booking]) -> Vec<(String, String)> {
    let hashes: BTreeSet<&str> = bookings
        .iter()
        .filter_map(|booking| booking.token.as_deref())
        .collect();
    let tokens = message.bookings.iter().filter_map(Value::as_str);
    tokens
        .map(|token| (sha256(token.as_bytes()), token.to_owned()))
        .filter(|(hash, _)| hashes.contains(hash.as_str()))
        .collect()
}

/// Whether a message is for this machine and newer than what is in force.
fn is_news(
    message: &BookingsMessage,
    page: Option<&Page>,
    scene: &Scene<'_>,
) -> Result<bool, Refusal> {
    if message.v != 1 {
        let text = format!("version {} is not known here; send version 1", message.v);
        return Err(Refusal::new(RefusalCode::Malformed, text));
    }
    scene.place(&message.site, &message.gateway)?;
    if message.machine != *scene.machine {
        let text = format!(
            "it is for {}, and came for {}",
            message.machine, scene.machine
        );
        return Err(Refusal::new(RefusalCode::WrongMachine, text));
    }
    let said = message.revision;
    if let Some(revision) = page.and_then(|page| page.revision) {
        if said < revision {
            let text = format!("revision {said} is older than {revision}, which is in force");
            return Err(Refusal::new(RefusalCode::OldRevision, text));
        }
        if said == revision && page.is_some_and(|page| !page.again) {
            return Ok(false);
        }
    }
    if message.bookings.len() > BOOKINGS_MAX {
        let count = message.bookings.len();
        let text =
            format!("{count} bookings, of {BOOKINGS_MAX} at most; leave out those that are over");
        return Err(Refusal::new(RefusalCode::TooMany, text));
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
