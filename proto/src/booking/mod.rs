//! Bookings: what the portal sends, how it is verified, and what the gateway keeps of it.

mod book;
mod jwk;
mod jws;
mod organisations;
mod page;
mod token;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub use book::{Book, BookRecord, Received};
pub use jwk::{IssuerKey, IssuerSecret, JwkError, KID_CHARS_MAX, thumbprint};
pub use jws::{JwsError, MESSAGE_BYTES_MAX, TOKEN_BYTES_MAX, Verified, sign, verify};
pub(crate) use jws::{is_object, said};
pub use organisations::{ORGANISATIONS_MAX, Organisations, OrganisationsError};
pub use page::BOOKINGS_MAX;
pub use token::{AHEAD_MS_MAX, DURATION_MS_MAX, TEXT_CHARS_MAX};

use crate::{Class, Identifier, PointName, Time};

/// What a booking token claims. `exp` and `iat` are seconds since the Unix epoch, as JSON Web Tokens have them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The booking.
    pub id: String,
    /// The machines that it is for.
    pub machines: Vec<Identifier>,
    /// When it begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
    /// The class that is asked for; the gateway grants what the organisation allows.
    pub class: Class,
    /// The organisation, as a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// What kind of organisation it is, in the portal's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_kind: Option<String>,
    /// Where it is, in the portal's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_region: Option<String>,
    /// The person, as a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the renter allows to be published of process values.
    #[serde(default)]
    pub data: Allowed,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// When it was issued.
    #[serde(default)]
    pub iat: i64,
    /// Until when it may be presented.
    #[serde(default)]
    pub exp: i64,
}

/// What a portal's check-in token claims. `exp` and `iat` are seconds since the Unix epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckInClaims {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The machines at which somebody checks in: of one booking.
    pub machines: Vec<Identifier>,
    /// The booking.
    pub checkin: String,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// When it was issued: the time of the check-in, which must lie in the booking's window.
    #[serde(default)]
    pub iat: i64,
    /// Until when it may be presented.
    #[serde(default)]
    pub exp: i64,
}

/// Retained on `bookings/{machine}`: every booking of a machine that is still to come or runs. Sent as the
/// payload of a compact JWS; as it is only where the gateway has no issuer keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingsMessage {
    /// Version of this message's shape: 1.
    pub v: u8,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// Rises with every change: an equal one has no effect, an older one is refused.
    pub revision: u64,
    /// The bookings: compact JWS over claims; the claims as they are where the message is unsigned. At most
    /// [`BOOKINGS_MAX`].
    #[schemars(with = "Vec<BookingsItem>")]
    pub bookings: Vec<serde_json::Value>,
}

/// A booking in a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BookingsItem {
    /// A compact JWS over claims.
    Token(String),
    /// Claims in an unsigned message.
    Claims(Box<Claims>),
}

/// A check-in by the portal, verified. It may come again, since MQTT delivers at least once: whoever takes it
/// opens a session for its booking once, and makes nothing of it afterwards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortalCheckIn {
    /// The booking; one in force on this machine.
    pub booking: Booking,
    /// When somebody checked in: its `iat`, within the booking's window.
    pub issued: Time,
    /// `sha256:` and the hash of the check-in token; none for an unsigned one.
    pub token: Option<String>,
}

/// Whose tokens count, and which organisations are not other companies.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Trust {
    /// Keys that may sign; none: bookings come unsigned, and none of them is of another company.
    pub keys: Vec<IssuerKey>,
    /// The platform's own organisation, in the tokens' pseudonyms.
    pub own: BTreeSet<String>,
    /// Its affiliates, likewise.
    pub affiliates: BTreeSet<String>,
}

/// A booking's window begins so long before it.
pub const WINDOW_BEFORE_MS: i64 = 30 * 60 * 1000;
/// A booking's window ends so long after it.
pub const WINDOW_AFTER_MS: i64 = 5 * 60 * 1000;

/// What a renter allows to be published of process values while their session runs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Allowed {
    /// Nothing.
    #[default]
    None,
    /// Everything.
    All,
    /// These points.
    Points(Vec<PointName>),
}

/// A booking that was accepted, as one machine sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Booking {
    /// Its id.
    pub id: String,
    /// `sha256:` and the hash of its token; none for an unsigned booking.
    pub token: Option<String>,
    /// The class that is granted.
    pub class: Class,
    /// When it begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
    /// When it was issued; an unsigned one: when it came.
    pub issued: Time,
    /// What of process values may be published while its session runs.
    pub data: Allowed,
}
