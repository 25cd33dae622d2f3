//! Telemetry: what the points of a machine read, frame by frame.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::Identifier;

/// Frames of one machine, sent to `telemetry/{machine}`.
///
/// The agent writes these documents straight from its samples, without this type; the tests read
/// what it wrote back through it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The machine.
    pub machine: Identifier,
    /// Changes only when the gateway's store was created anew.
    pub stream: String,
    /// Rises by one with each message of a machine and stream, without holes, except where a gap
    /// document names the missing range.
    pub seq: u64,
    /// The frames, in the order in which the gateway received them.
    pub frames: Vec<Frame>,
}

/// What one reading of a poll group gave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// The gateway's receipt, in milliseconds since the Unix epoch.
    pub t_ms: i64,
    /// The source's own time, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub src_ms: Option<i64>,
    /// The poll group.
    pub group: Identifier,
    /// Read from the source's own history after it was out of reach: `src_ms` says when it was true.
    /// Never the basis of a state.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub history: bool,
    /// Good samples: numbers, booleans or texts; integers beyond 2⁵³ are texts.
    pub values: BTreeMap<String, Value>,
    /// Points that failed, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub bad: BTreeMap<String, String>,
}
