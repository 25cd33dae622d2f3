//! What an archive knows of one log, beside its files.

use lineside_proto::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;

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
    /// A head that nobody proves to continue what is held; none while all that was shown is here.
    #[serde(default)]
    pub unproved: Option<Unproved>,
    /// Why the newest head is not cosigned; none while it is, or where nobody cosigns.
    #[serde(default)]
    pub uncosigned: Option<Uncosigned>,
    /// The head under which leaves beyond the checkpoint were put into tiles, where a longer stretch is fetched.
    #[serde(default)]
    pub reaching: Option<String>,
    /// Keys that others have followed.
    #[serde(default)]
    pub followed: Vec<Followed>,
    /// The proof that what a new epoch cites continues what is held of the one before; none where nothing is wanted.
    #[serde(default)]
    pub prior: Option<PriorWanted>,
    /// Whether leaves came of it that go beyond what was known to be cited of it: these were asked for.
    #[serde(default)]
    pub beyond: bool,
    /// The head of a later epoch that has begun, and has its turn later; none where none has.
    #[serde(default)]
    pub next: Option<String>,
    /// Whether the city was told that it does not continue the epoch before, or that nobody shows it.
    #[serde(default)]
    pub disowned: bool,
    /// Whether what its first leaf cites was found to continue what is held of the epochs before, and was cosigned of them.
    /// It stays so.
    #[serde(default)]
    pub compared: bool,
    /// Alarms whose folder could not be written yet, and when they were raised.
    #[serde(default)]
    pub unwritten: Vec<(Time, Alarm)>,
}

/// A key that another has followed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Followed {
    /// The verifier key.
    pub key: String,
    /// The leaf that hands over, below which it signs; 0 where that was in an epoch before.
    pub at: u64,
}

/// A proof that is wanted of the epoch before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PriorWanted {
    /// That log's origin.
    pub origin: String,
    /// Leaves of it that are held.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// Leaves of the head that is cited.
    pub to: u64,
    /// The root over them, base64.
    pub to_root: String,
    /// The note of what is held.
    pub known: String,
    /// How often it was asked for.
    pub tries: u32,
}

/// A signed head that is neither taken nor cosigned, because its leaves, or the proof that they continue those that are
/// held, did not come when they were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unproved {
    /// Leaves of the newest such head.
    pub size: u64,
    /// How many heads wait; where there is no room for more, no newer one is taken.
    pub heads: u64,
    /// Since when.
    pub since: Time,
}

/// Why nothing is cosigned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Uncosigned {
    /// In words.
    pub why: String,
    /// Leaves of a head that was cosigned before, where the copy has fewer; null where it has not.
    #[serde(default)]
    pub beyond: Option<u64>,
    /// Since when.
    pub since: Time,
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
