//! The words that leaves use beside those of the documents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run of the agent ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shutdown {
    /// There was none.
    None,
    /// It was told to stop.
    Clean,
    /// It was killed, or lost its power.
    Crash,
}

/// Whether a session began or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionEvent {
    /// It began.
    Open,
    /// It ended.
    Close,
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// Somebody checked out.
    CheckOut,
    /// Its booking ended, and the grace after it passed without activity.
    Ended,
    /// Nobody did anything for too long.
    Idle,
    /// The next booking began, or somebody else checked in.
    Next,
    /// The machine is no longer configured.
    Removed,
}

/// Why nobody watched a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// The agent did not run.
    Agent,
    /// The machine got another map.
    Map,
}
