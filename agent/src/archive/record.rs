//! What an archive knows of one log, beside its files.

use lineside_proto::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record of a log, as JSON in two slots (`kept/{site}/{gateway}/e{epoch}/record`). Written by whoever holds the
/// log; read by anybody.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The log's origin, its epoch included.
    pub origin: String,
    /// The verifier keys whose signature counts now.
    pub keys: Vec<String>,
    /// Leaves that are in tiles, each proved to be below a signed head.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// When the newest of them was established.
    pub newest: Option<Time>,
    /// Leaves whose maps and tokens were all fetched, or asked for in vain.
    #[serde(default)]
    pub texts: u64,
    /// When a head of this log was last taken in, by this host's clock.
    pub heard: Option<Time>,
    /// The newest head that this archive cosigned.
    pub cosigned: Option<Cosigned>,
    /// Why nothing of this log is taken or cosigned any more; none while all is well.
    pub stopped: Option<Stopped>,
    /// What was refused of it in all.
    pub alarms: u64,
}

/// A head that was cosigned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cosigned {
    /// Leaves.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// When.
    pub at: Time,
}

/// Why a log stands still.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stopped {
    /// As a word: `fork`, `two-heads`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// The folder with the proof, below `alarms/`.
    pub proof: String,
    /// When.
    pub at: Time,
}
