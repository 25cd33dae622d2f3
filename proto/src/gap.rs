//! Gap documents: what is missing, said like data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Identifier, Time};

/// What is missing from a machine's telemetry, sent to `gaps/{machine}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The machine.
    pub machine: Identifier,
    /// The stream whose messages are missing.
    pub stream: String,
    /// Where it went missing.
    pub kind: GapKind,
    /// From when.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// The first missing message; null where no message had been made.
    pub seq_from: Option<u64>,
    /// The last missing message.
    pub seq_to: Option<u64>,
    /// How many samples, where that is known.
    pub samples: Option<u64>,
    /// Why, for people.
    pub reason: String,
}

/// Where data went missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapKind {
    /// It was never read from the machine.
    Field,
    /// It was dropped from the durable queue, or the store was damaged.
    Outbox,
    /// The agent did not run.
    Agent,
    /// It is kept back while another company's session runs.
    Withheld,
    /// The broker refused it.
    Refused,
}
