//! What the portal learns of sessions and bookings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ledger::{CloseReason, Leaf, LeafBody, SessionEvent};
use crate::{CheckIn, Class, Identifier, Outcome, Time};

/// Sent to `sessions/{machine}`: a session began or ended, a booking came to its end, or a session was found
/// to belong to a booking. Made from the ledger leaf that it names, and sent right after it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionDocument {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway beside the machine.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// What happened.
    pub event: SessionNews,
    /// The session; null for a booking that had none.
    pub session: Option<String>,
    /// The booking; null for a session that nobody booked.
    pub booking: Option<String>,
    /// The class of the session.
    pub class: Class,
    /// How it became known who uses the machine; null where the event does not say.
    pub check_in: Option<CheckIn>,
    /// What became of the booking; null for other events.
    pub outcome: Option<Outcome>,
    /// When the session or the booking's slot began; null where the event does not say.
    pub from: Option<Time>,
    /// When it ended; null as long as it runs.
    pub to: Option<Time>,
    /// Why the session ended; null for other events.
    pub reason: Option<CloseReason>,
    /// Activity that counts for the booking; null for other events.
    pub active_ms: Option<u64>,
    /// The leaf that says the same.
    pub index: u64,
    /// When it was established.
    pub at: Time,
}

/// What happened to a session or a booking.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionNews {
    /// A session began.
    Opened,
    /// A session ended.
    Closed,
    /// A booking came to its end.
    Outcome,
    /// A session was found to belong to a booking.
    Bound,
}

impl SessionDocument {
    /// The document that accompanies a leaf; none for leaves of other kinds.
    pub fn from_leaf(site: &Identifier, gateway: &Identifier, leaf: &Leaf) -> Option<Self> {
        let bare = |machine: &Identifier, event: SessionNews, class: Class| Self {
            v: 1,
            site: site.clone(),
            gateway: gateway.clone(),
            machine: machine.clone(),
            event,
            session: None,
            booking: None,
            class,
            check_in: None,
            outcome: None,
            from: None,
            to: None,
            reason: None,
            active_ms: None,
            index: leaf.head.index,
            at: leaf.head.at,
        };
        match &leaf.body {
            LeafBody::Session(said) => {
                let event = match said.event {
                    SessionEvent::Open => SessionNews::Opened,
                    SessionEvent::Close => SessionNews::Closed,
                };
                Some(Self {
                    session: Some(said.session.clone()),
                    booking: said.booking.clone(),
                    check_in: Some(said.check_in),
                    from: Some(said.from),
                    to: said.to,
                    reason: said.reason,
                    ..bare(&said.machine, event, said.class)
                })
            }
            LeafBody::Booking(said) => Some(Self {
                session: said.session.clone(),
                booking: Some(said.booking.clone()),
                check_in: Some(said.check_in),
                outcome: Some(said.outcome),
                from: Some(said.start),
                to: Some(said.end),
                active_ms: Some(said.active_ms),
                ..bare(&said.machine, SessionNews::Outcome, said.class)
            }),
            LeafBody::Bind(said) => Some(Self {
                session: Some(said.session.clone()),
                booking: Some(said.booking.clone()),
                ..bare(&said.machine, SessionNews::Bound, said.class)
            }),
            LeafBody::Genesis(_)
            | LeafBody::Boot(_)
            | LeafBody::Config(_)
            | LeafBody::Key(_)
            | LeafBody::Audit(_)
            | LeafBody::Clock(_)
            | LeafBody::State(_)
            | LeafBody::Usage(_)
            | LeafBody::Gap(_)
            | LeafBody::Anchor(_)
            | LeafBody::Correction(_)
            | LeafBody::Summary(_) => None,
        }
    }
}

/// Retained on `bookings-ack/{machine}`: what the gateway made of the newest bookings that it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingsAck {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// The revision that is in force; null before any was accepted.
    pub revision: Option<u64>,
    /// The bookings in force or done with, by id.
    pub accepted: Vec<String>,
    /// What was refused of the newest message, or of the whole of it.
    pub refused: Vec<RefusedBooking>,
    /// When the message was judged.
    pub at: Time,
}

/// A booking, or a whole message, that was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RefusedBooking {
    /// The booking's id; null where it can't be read, or where the whole message is refused.
    pub id: Option<String>,
    /// Why, as a word.
    pub code: RefusalCode,
    /// Why, in words.
    pub text: String,
}

/// Why a booking or a message of bookings was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// No token of the form that is asked for.
    Malformed,
    /// The header names another algorithm than EdDSA, or none.
    Algorithm,
    /// Signed by a key that is not configured.
    UnknownKey,
    /// The signature does not fit.
    BadSignature,
    /// Unsigned, though issuer keys are configured.
    Unsigned,
    /// For another site.
    WrongSite,
    /// For another gateway.
    WrongGateway,
    /// For another machine.
    WrongMachine,
    /// Its `exp` has passed.
    Expired,
    /// Issued in the future.
    NotYetValid,
    /// A revision older than the one in force.
    OldRevision,
    /// Its end is not after its start, or it is longer than a booking may be.
    BadTimes,
    /// Another booking has its id.
    Duplicate,
    /// It overlaps another booking of this machine.
    Overlap,
    /// More bookings than a machine may have.
    TooMany,
    /// A check-in for a booking that is not known, or not at this time.
    NoBooking,
    /// Its session is over: a token opens one session, once.
    Used,
}
