//! The bookings of one machine, and how a message replaces them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

use super::token::{Presented, Refusal, Scene, seconds};
use super::{Booking, BookingsMessage, Claims, jws};
use crate::{BookingsAck, RefusalCode, RefusedBooking};

/// Bookings of a machine at most: half a year of three a day.
pub const BOOKINGS_MAX: usize = 512;

/// Tokens of a machine that are remembered, so that one that was accepted can't expire while messages still
/// bring it; those in force, and as many that were.
const KNOWN_MAX: usize = 2 * BOOKINGS_MAX;

/// A booking that began and that newer messages no longer name stays so long after its end, in milliseconds:
/// until its outcome was decided for sure.
const KEPT_MS: i64 = 86_400_000;

/// The bookings of one machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) revision: Option<u64>,
    pub(super) held: Vec<Held>,
    /// Marks of tokens that were accepted, the newest last.
    pub(super) known: Vec<String>,
    pub(super) ack: Option<BookingsAck>,
    /// Whose tokens count has changed since: the present revision is to be judged again.
    #[serde(default)]
    pub(super) again: bool,
}

/// A booking in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) booking: Booking,
    /// The key that signed it; none for an unsigned one.
    pub(super) kid: Option<String>,
    mark: String,
}

impl Page {
    /// The bookings, by their start.
    pub(super) fn bookings(&self) -> Vec<Booking> {
        self.held.iter().map(|held| held.booking.clone()).collect()
    }

    /// The page after a message, and what was refused of it.
    pub(super) fn replaced(
        &self,
        message: &BookingsMessage,
        scene: &Scene<'_>,
        signed: bool,
    ) -> (Self, Vec<RefusedBooking>) {
        let judged: Vec<_> = message
            .bookings
            .iter()
            .map(|item| self.judge(item, signed, scene))
            .collect();
        let said = |id: &str| judged.iter().flatten().any(|one| one.booking.id == id);
        // What began can't be called off by leaving it out: its session, or its outcome, is still to come.
        let now = scene.now;
        let mut held: Vec<Held> = self
            .held
            .iter()
            .filter(|held| held.booking.start <= now && !said(&held.booking.id))
            .filter(|held| held.booking.end.plus_millis(KEPT_MS) > now)
            .cloned()
            .collect();
        let mut refusals = Vec::new();
        let mut ids = BTreeSet::new();
        for one in judged {
            let placed = one.and_then(|one| {
                beside(&one, &held, &ids)
                    .map_err(|refusal| refused(Some(one.booking.id.clone()), refusal))?;
                Ok(one)
            });
            match placed {
                Ok(one) => {
                    ids.insert(one.booking.id.clone());
                    held.push(one);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        held.sort_by_key(|held| (held.booking.start, held.booking.end));
        // More than fit only if many that began were left out: those that ended first go.
        let over = held.len().saturating_sub(BOOKINGS_MAX);
        held.drain(..over);
        let next = Self {
            revision: Some(message.revision),
            known: self.known_with(&held),
            held,
            ack: None,
            again: false,
        };
        (next, refusals)
    }

    /// A booking as it would be held, if it counts by itself.
    fn judge(&self, item: &Value, signed: bool, scene: &Scene<'_>) -> Result<Held, RefusedBooking> {
        let presented =
            present(item, signed, scene).map_err(|refusal| refused(name_of(item), refusal))?;
        let is_known = self.known.contains(&presented.mark);
        let class = scene
            .booking(&presented, is_known)
            .map_err(|refusal| refused(named(&presented.claims.id), refusal))?;
        let claims = &presented.claims;
        let is_signed = presented.kid.is_some();
        let before = self.held.iter().find(|held| held.mark == presented.mark);
        let issued = match before {
            _ if is_signed => seconds(claims.iat),
            // An unsigned one says what it likes of its age: what counts is when it came first.
            Some(before) => before.booking.issued,
            None => scene.now,
        };
        Ok(Held {
            booking: Booking {
                id: claims.id.clone(),
                token: is_signed.then(|| presented.mark.clone()),
                class,
                start: claims.start,
                end: claims.end,
                issued,
                data: claims.data.clone(),
            },
            kid: presented.kid.clone(),
            mark: presented.mark.clone(),
        })
    }

    /// The marks to remember: those held now, and the newest of those that were.
    fn known_with(&self, held: &[Held]) -> Vec<String> {
        let now: Vec<String> = held.iter().map(|held| held.mark.clone()).collect();
        let before = self.known.iter().filter(|mark| !now.contains(mark));
        let mut known: Vec<String> = before.cloned().chain(now.iter().cloned()).collect();
        let over = known.len().saturating_sub(KNOWN_MAX);
        known.drain(..over);
        known
    }
}

fn present(item: &Value, signed: bool, scene: &Scene<'_>) -> Result<Presented<Claims>, Refusal> {
    match item {
        Value::String(token) => Presented::token(token, scene),
        Value::Object(_) if signed => {
            let text = "it is not signed; put a compact JWS in its place";
            Err(Refusal::new(RefusalCode::Unsigned, text))
        }
        Value::Object(_) => Presented::bare(item.to_string().as_bytes()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            let text = "neither a compact JWS nor claims";
            Err(Refusal::new(RefusalCode::Malformed, text))
        }
    }
}

/// Whether a booking can be held beside those that are held already, by its id and by its times.
fn beside(one: &Held, held: &[Held], ids: &BTreeSet<String>) -> Result<(), Refusal> {
    let one = &one.booking;
    if ids.contains(&one.id) {
        let text = "another booking before it has the same id";
        return Err(Refusal::new(RefusalCode::Duplicate, text));
    }
    let meets = |held: &&Held| held.booking.start < one.end && one.start < held.booking.end;
    match held.iter().find(meets) {
        Some(other) => {
            let text = format!("it overlaps {:?}", other.booking.id);
            Err(Refusal::new(RefusalCode::Overlap, text))
        }
        None => Ok(()),
    }
}

/// The id that something refused says of itself, so that its sender finds it.
fn name_of(item: &Value) -> Option<String> {
    let said: Value;
    let claims = if let Value::String(token) = item {
        said = serde_json::from_slice(&jws::unverified(token)?).ok()?;
        &said
    } else {
        item
    };
    named(claims.get("id")?.as_str()?)
}

/// An id, if it is one that can be repeated.
pub(super) fn named(id: &str) -> Option<String> {
    let chars = id.chars().count();
    let fits = (1..=super::TEXT_CHARS_MAX).contains(&chars) && !id.contains(char::is_control);
    fits.then(|| id.to_owned())
}

/// Something refused, as the portal reads it.
pub(super) fn refused(id: Option<String>, refusal: Refusal) -> RefusedBooking {
    RefusedBooking {
        id,
        code: refusal.code,
        text: refusal.text,
    }
}
