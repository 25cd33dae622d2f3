//! Bookings: what the portal sends, how it is verified, and what the gateway keeps of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Class, Identifier, PointName, Time};

/// An Ed25519 public key whose holder may sign booking tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerKey {
    /// The key's id, as tokens name it in `kid`.
    pub kid: String,
    /// The public key.
    pub key: [u8; 32],
}

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
