//! Leaves: what the ledger says, one fact a leaf.
//!
//! A leaf's bytes are canonical JSON (RFC 8785) of integers, texts, null, lists and objects, at most
//! [`LEAF_BYTES_MAX`] long; whoever verifies hashes these very bytes. Times named `…_ms` are
//! milliseconds of CLOCK_BOOTTIME in the boot that the leaf names; durations come from these only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod named;
mod read;

use super::jcs;
use super::word::{CloseReason, GapReason, SessionEvent, Shutdown};
use crate::{CheckIn, Class, ClockStatus, Identifier, Outcome, State, Time};

/// Bytes of a leaf at most: far below what an entry bundle can hold (65,535), and a page of a disk.
pub const LEAF_BYTES_MAX: usize = 4096;

/// A leaf.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Leaf {
    /// What every leaf has.
    #[serde(flatten)]
    pub head: LeafHead,
    /// The fact.
    #[serde(flatten)]
    pub body: LeafBody,
}

/// A leaf's kind is a text: by a number, which would do for Rust, nobody else knows it.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    _kind: String,
}

/// What every leaf has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeafHead {
    /// Version of the leaf's shape: 1.
    pub v: u8,
    /// Its place in the ledger, from 0.
    pub index: u64,
    /// Wall time when the fact was established, as far as the gateway's clock can be trusted.
    #[serde(deserialize_with = "crate::time::exact")]
    pub at: Time,
    /// The kernel's boot id.
    pub boot: String,
    /// The same moment on that boot's clock.
    pub mono_ms: u64,
}

/// A fact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum LeafBody {
    /// The ledger, or a new epoch of it, begins.
    Genesis(Genesis),
    /// The agent started.
    Boot(Boot),
    /// A machine has this map from here on.
    Config(ConfigLeaf),
    /// What became of a booking.
    Booking(BookingLeaf),
    /// The signing key changes.
    Key(KeyLeaf),
    /// Somebody changed something here.
    Audit(Audit),
    /// The clock was set, or can be trusted otherwise than before.
    Clock(ClockLeaf),
    /// A machine's state changed.
    State(StateLeaf),
    /// A session began or ended.
    Session(SessionLeaf),
    /// What a machine did in a span of time.
    Usage(UsageLeaf),
    /// A span of time in which nobody watched a machine.
    Gap(GapLeaf),
    /// A witness has seen this ledger.
    Anchor(Anchor),
    /// A session belongs to a booking whose token came late.
    Bind(Bind),
    /// Something said before was wrong.
    Correction(Correction),
    /// A machine's day.
    Summary(Summary),
}

/// The first leaf.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Genesis {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The ledger's origin, as its checkpoints say it.
    pub origin: String,
    /// From 1; a new one begins where an older ledger can't be continued.
    pub epoch: u32,
    /// The verifier key (C2SP vkey).
    pub key: String,
    /// The last signed head of the epoch before.
    pub prior: Option<PriorHead>,
}

/// The last signed head of an epoch that was given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PriorHead {
    /// Its origin.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
    /// Why it was given up, as the person who did it said.
    pub reason: String,
}

/// A start of the agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// The agent's version.
    pub version: String,
    /// `sha256:` and the hash of the program's file.
    pub build: String,
    /// How the run before ended.
    pub previous: Shutdown,
    /// The clock's status letter.
    pub clock: ClockStatus,
    /// The kernel's estimate of its error; null where it has none.
    pub error_ms: Option<u64>,
}

/// The map of a machine from here on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConfigLeaf {
    /// The machine.
    pub machine: Identifier,
    /// `sha256:` and the hash of the resolved map's canonical text, connections left out.
    pub map: String,
    /// `sha256:` and the hash of the files' exact bytes, which stay on the gateway.
    pub files: String,
}

/// What became of a booking on one machine, and the numbers that it rests on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingLeaf {
    /// The machine.
    pub machine: Identifier,
    /// The booking.
    pub booking: String,
    /// `sha256:` and the hash of its token; null for an unsigned booking.
    pub token: Option<String>,
    /// The class that its session has or would have had.
    pub class: Class,
    /// What became of it.
    pub outcome: Outcome,
    /// How it became known that somebody came.
    pub check_in: CheckIn,
    /// Its session; null if there was none.
    pub session: Option<String>,
    /// When it began.
    #[serde(deserialize_with = "crate::time::exact")]
    pub start: Time,
    /// When it ended.
    #[serde(deserialize_with = "crate::time::exact")]
    pub end: Time,
    /// The slot's length.
    pub slot_ms: u64,
    /// Activity from half an hour before its start to five minutes after its end.
    pub active_ms: u64,
    /// Of the slot, UNKNOWN or not watched.
    pub unknown_ms: u64,
    /// Of the slot, DOWN or MAINT.
    pub down_ms: u64,
    /// The watched part of the time that the outcome rests on, in thousandths.
    pub coverage_pm: u32,
}

/// A change of the signing key, signed by both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyLeaf {
    /// The key until now (C2SP vkey).
    pub old: String,
    /// The key from now on (C2SP vkey).
    pub new: String,
    /// The old key's signature over the change, base64.
    pub old_signature: String,
    /// The new key's signature over the change, base64.
    pub new_signature: String,
}

/// Somebody changed something here. Entered by a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Who, as the gateway's system knows them.
    pub who: String,
    /// What was done, as a word (`apply`, `session-start`, …).
    pub action: String,
    /// To what.
    pub what: String,
}

/// The clock was set, or can be trusted otherwise than before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClockLeaf {
    /// Its status letter from now on.
    pub status: ClockStatus,
    /// Its status letter before.
    pub before: ClockStatus,
    /// By how much wall time was set, forward positive; null where it was not.
    pub step_ms: Option<i64>,
    /// The kernel's estimate of its error; null where it has none.
    pub error_ms: Option<u64>,
    /// Who says so (`kernel`).
    pub source: String,
}

/// A change of a machine's state. The leaf's own time is that of the decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StateLeaf {
    /// The machine.
    pub machine: Identifier,
    /// The state left.
    pub from: State,
    /// The state entered.
    pub to: State,
    /// The onset in wall time.
    #[serde(deserialize_with = "crate::time::exact")]
    pub since: Time,
    /// The onset on the boot's clock; negative: before this boot, estimated by wall time.
    pub since_ms: i64,
    /// The rule and its place in the map (`RUN@2`); null for UNKNOWN.
    pub rule: Option<String>,
    /// The map's hash.
    pub config: String,
}

/// A session began or ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionLeaf {
    /// The machine.
    pub machine: Identifier,
    /// The session.
    pub session: String,
    /// Which.
    pub event: SessionEvent,
    /// The booking; null where nobody booked.
    pub booking: Option<String>,
    /// `sha256:` and the hash of the booking's token; null for none and for an unsigned booking.
    pub token: Option<String>,
    /// Its class.
    pub class: Class,
    /// How it became known who uses the machine.
    pub check_in: CheckIn,
    /// Who entered it at the machine, as a pseudonym; null where nobody did.
    pub by: Option<String>,
    /// When the session began.
    #[serde(deserialize_with = "crate::time::exact")]
    pub from: Time,
    /// The same on the boot's clock; negative: before this boot, estimated by wall time.
    pub from_ms: i64,
    /// When it ended; null as long as it runs.
    #[serde(default, deserialize_with = "crate::time::exact_if")]
    pub to: Option<Time>,
    /// The same on the boot's clock; negative: before this boot, estimated by wall time.
    pub to_ms: Option<i64>,
    /// Why it ended; null as long as it runs.
    pub reason: Option<CloseReason>,
}

/// What a machine did in a span of time, at most to the full UTC hour. The milliseconds by state add up to
/// `mono_to_ms − mono_from_ms`; with the gaps, a machine's usage leaves follow one another without overlap or
/// hole on each boot's clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UsageLeaf {
    /// The machine.
    pub machine: Identifier,
    /// The session; null outside sessions.
    pub session: Option<String>,
    /// The session's class; null outside sessions.
    pub class: Option<Class>,
    /// The span's begin in wall time.
    #[serde(deserialize_with = "crate::time::exact")]
    pub from: Time,
    /// The span's end in wall time.
    #[serde(deserialize_with = "crate::time::exact")]
    pub to: Time,
    /// The boot whose clock `mono_from_ms` and `mono_to_ms` are read on, where the leaf was written in a later one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span_boot: Option<String>,
    /// The worst letter of the gateway's clock during the span; absent in leaves of older agents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock: Option<ClockStatus>,
    /// The span's begin on the boot's clock.
    pub mono_from_ms: u64,
    /// The span's end on the boot's clock.
    pub mono_to_ms: u64,
    /// Milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// Of these, HOLD beyond the time for which it counts as activity.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub hold_over_ms: u64,
    /// Samples with a good value.
    pub good: u64,
    /// Samples without.
    pub bad: u64,
    /// An independent meter, in Wh; null where the map names none, or it was not read.
    pub energy: Option<Counter>,
    /// The machine's own hour counter; null where the map names none, or it was not read.
    pub hours: Option<Counter>,
    /// The map's hash.
    pub config: String,
}

/// A counter at both ends of a span. Decimals are texts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Counter {
    /// The reading that stood when the span began.
    pub from: String,
    /// The reading that stood when it ended.
    pub to: String,
    /// What was counted: the rises, over resets and rollovers.
    pub delta: String,
    /// How often it fell: it was reset, or it rolled over.
    pub resets: u32,
}

/// A span of time in which nobody watched a machine: it counts as UNKNOWN.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GapLeaf {
    /// The machine.
    pub machine: Identifier,
    /// The last moment that is accounted for, in wall time.
    #[serde(deserialize_with = "crate::time::exact")]
    pub from: Time,
    /// The first moment that is accounted for again, in wall time.
    #[serde(deserialize_with = "crate::time::exact")]
    pub to: Time,
    /// The boot in which it began.
    pub from_boot: String,
    /// The begin on that boot's clock.
    pub mono_from_ms: u64,
    /// The end on the clock of the leaf's own boot.
    pub mono_to_ms: u64,
    /// Its length: exact within one boot; across boots as wall clocks tell it, null while the clock is U,
    /// until a clock leaf of the same boot tells the wall time of its end.
    pub ms: Option<u64>,
    /// The clock's status letter when it ended.
    pub clock: ClockStatus,
    /// Why.
    pub reason: GapReason,
}

/// A witness has seen this ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Anchor {
    /// The leaves that it has seen.
    pub size: u64,
    /// `sha256:` and the hash of its cosignature: of the signature line in the note, without the line break.
    pub cosignature: String,
}

/// A session belongs to a booking whose token came late, but was issued before the session began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Bind {
    /// The machine.
    pub machine: Identifier,
    /// The session.
    pub session: String,
    /// The booking.
    pub booking: String,
    /// `sha256:` and the hash of its token; empty for an unsigned booking, which counts as none.
    pub token: String,
    /// The session's class, for all of it.
    pub class: Class,
    /// The class under which its leaves were written.
    pub before: Class,
}

/// Something said before was wrong. What was written stays; entered by a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Correction {
    /// The leaf that was wrong.
    pub refers: u64,
    /// What is right, and why.
    pub reason: String,
    /// Who says so.
    pub by: String,
}

/// A machine's day in UTC, as far as it was watched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The machine.
    pub machine: Identifier,
    /// The day (`2026-11-29`).
    pub day: String,
    /// Milliseconds by state, of the usage leaves that began on this day.
    pub ms: BTreeMap<State, u64>,
    /// Activity by class of session.
    pub active_ms: BTreeMap<Class, u64>,
    /// Sessions that began.
    pub sessions: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Why bytes are no leaf, or a leaf has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// More than [`LEAF_BYTES_MAX`].
    #[error("a leaf of {0} bytes, of {LEAF_BYTES_MAX} at most")]
    TooLong(usize),
    /// Not canonical JSON of the kind that leaves are made of.
    #[error("not the canonical form of a leaf")]
    Form(#[from] jcs::JcsError),
    /// Canonical, but no leaf of a kind that is known.
    #[error("no leaf of a known kind")]
    Shape(#[from] serde_json::Error),
    /// A leaf of a later version.
    #[error("a leaf of version {0}; this program knows version 1")]
    Version(u8),
}

impl Leaf {
    /// The bytes that are hashed.
    ///
    /// # Errors
    ///
    /// [`LeafError::TooLong`]; a number or a text that canonical JSON does not have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        let bytes = jcs::canonical(&serde_json::to_value(self)?)?;
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLong(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads a leaf's exact bytes.
    ///
    /// # Errors
    ///
    /// What is too long, not canonical, or no leaf.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLong(bytes.len()));
        }
        let leaf = match read::fast(bytes) {
            Some(leaf) => leaf,
            None => {
                jcs::check(bytes)?;
                let Kind { .. } = serde_json::from_slice(bytes)?;
                serde_json::from_slice(bytes)?
            }
        };
        if leaf.head.v != 1 {
            return Err(LeafError::Version(leaf.head.v));
        }
        Ok(leaf)
    }
}

#[cfg(test)]
mod tests;
