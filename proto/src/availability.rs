//! The availability document: what a booking portal shows of one machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Class, ClockStatus, Identifier, LocalText, OpcState, State, Time};

/// Retained on `availability/{machine}`, with a message expiry of `max_age_s`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Availability {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway beside the machine.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// What people call it.
    pub name: LocalText,
    /// When the document was made.
    pub at: Time,
    /// What the machine is doing.
    pub state: State,
    /// The same as an OPC 40001-1 pair; null for UNKNOWN.
    pub opc: Option<OpcState>,
    /// The rule that gave the state and its place in the file, from 1 (`RUN@2`); null for UNKNOWN.
    pub rule: Option<String>,
    /// Since when: the onset of the condition, not the time of the decision.
    pub since: Time,
    /// When the agent decided so.
    pub decided_at: Time,
    /// The newest good evidence; null before any was seen.
    pub observed_at: Option<Time>,
    /// Why.
    pub reason: Reason,
    /// Whether somebody could start now.
    pub available_now: AvailableNow,
    /// From when, where that is known.
    pub available_from: Option<Time>,
    /// How long the machine needs from OFF until it can be used.
    pub warmup_s: u32,
    /// For how long after receipt this document may be believed.
    pub max_age_s: u32,
    /// `at` + `max_age_s`; advisory, since a reader's clock may differ.
    pub fresh_until: Time,
    /// How far the gateway's clock can be trusted.
    pub clock: ClockStatus,
    /// The session that runs.
    pub session: Option<SessionSummary>,
    /// The next booking.
    pub next_booking: Option<NextBooking>,
    /// The next or present maintenance window.
    pub maintenance: Option<Window>,
    /// Rises by one with each document of this machine and boot of the agent.
    pub seq: u64,
    /// The kernel's boot id of the gateway.
    pub boot: String,
    /// `sha256:` and the hash of the resolved machine map.
    pub config: String,
    /// The ledger's head when the document was made; null where no ledger is kept.
    pub ledger: Option<LedgerHead>,
}

/// Whether somebody could start on the machine now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AvailableNow {
    /// Yes, after `warmup_s` where the machine is OFF.
    Yes,
    /// No.
    No,
    /// Nobody knows: never to be shown as free.
    Unknown,
}

impl AvailableNow {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a state is what it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// The rule's text, or the points that decided nothing.
    pub text: String,
}

/// The kind of reason behind a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReasonCode {
    /// A rule held.
    Rule,
    /// UNKNOWN: the agent has just started and has seen nothing yet.
    Starting,
    /// UNKNOWN: nothing fresh any more.
    Stale,
    /// UNKNOWN: the link to the machine is down.
    Link,
    /// UNKNOWN: a rule needs points that are not fresh and good, or no rule held.
    Undecided,
}

/// The session of a machine, as far as a portal may see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionSummary {
    /// The session.
    pub id: String,
    /// The booking it belongs to.
    pub booking: Option<String>,
    /// Its class.
    pub class: Class,
    /// When it began.
    pub started: Time,
    /// When its booking ends.
    pub expected_end: Option<Time>,
}

/// The next booking, as far as a portal may see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NextBooking {
    /// The booking.
    pub id: String,
    /// When it begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
}

/// A span of wall time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// When it begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
}

/// The head of the gateway's ledger.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LedgerHead {
    /// Leaves.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
}
