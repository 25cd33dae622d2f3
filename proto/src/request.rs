//! Questions that a portal or an evaluator asks the gateway, and the answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Time;

/// Bytes of an answer's part at most.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// Sent to `request` with a response topic below `{root}/response/` and correlation data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Chosen by who asks; repeated in the answer. At most 128 bytes.
    pub id: String,
    /// What is asked: `ledger.checkpoint`, `ledger.checkpoints`, `ledger.entries`, `ledger.consistency`,
    /// `ledger.inclusion`, `ledger.tile`, `config.get`, `token.get`, `usage.bundle`, `status`.
    pub method: String,
    /// How it is asked more closely; an object, or nothing: `{"from":n,"to":n}` of leaves or sizes for
    /// `ledger.entries`, `ledger.consistency` and `ledger.checkpoints` (there also `"limit":n` and `"newest":true`),
    /// `{"index":n,"size":n}` for `ledger.inclusion`, `{"level":n,"index":n,"width":n}` for `ledger.tile`,
    /// `{"hash":"sha256:…"}` for `config.get` and `token.get`, `{"from":time,"to":time}` for `usage.bundle`.
    /// `ledger.*` and `usage.bundle` also take `"origin":text`, the origin of the log that is meant, its epoch included:
    /// who has another log answers `not-found`. Without it the answer is about the newest epoch.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// Sent to the response topic with the request's correlation data: one part of an answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The request's id.
    pub id: String,
    /// Which part, from 1.
    pub part: u32,
    /// How many there are.
    pub parts: u32,
    /// What was asked for; absent if it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<Value>,
    /// Why there is none; absent if there is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<AnswerError>,
}

/// Why a request has no answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AnswerError {
    /// Why, as a word (`unknown-method`, `bad-params`, `not-found`, `too-much`, `busy`, `unavailable`).
    pub code: String,
    /// Why, and what to do, in words.
    pub text: String,
}

/// Sent to `ledger/leaf`, in the order of the index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeafMessage {
    /// The leaf's place in the ledger.
    pub index: u64,
    /// Its exact bytes.
    pub leaf: String,
}

/// What `ledger.entries` and `usage.bundle` and the proofs are asked for: leaves from `from` on, below `to`.
/// For `ledger.consistency` the sizes of an older and a newer tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeafRange {
    /// The first leaf; the older size.
    pub from: u64,
    /// The leaf after the last; the newer size.
    pub to: u64,
}

/// What `ledger.inclusion` is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LeafPlace {
    /// The leaf.
    pub index: u64,
    /// The size of the tree that it is in.
    pub size: u64,
}

/// What `config.get` is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapWanted {
    /// `sha256:` and the hash of the resolved map, as leaves name it.
    pub hash: String,
}

/// What `ledger.checkpoints` is asked for: kept notes over trees of at least `from` leaves and fewer than `to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointsWanted {
    /// The smallest size.
    pub from: u64,
    /// The first size that is not wanted any more.
    pub to: u64,
    /// How many notes at most, from 1; none: as many as there is room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Whether `limit` means the newest of them rather than the oldest. They come oldest first in any case.
    #[serde(default, skip_serializing_if = "is_false")]
    pub newest: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What `ledger.tile` is asked for: a hash tile of the log (C2SP tlog-tiles).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TileWanted {
    /// Its level, 0 to 7: it holds hashes of the tree's level 8 × `level`.
    pub level: u8,
    /// Its place in its level.
    pub index: u64,
    /// How many hashes, from the left, 1 to 256. As many as the ledger has, whether or not it was ever signed at
    /// just that size.
    pub width: u16,
}

/// What `token.get` is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenWanted {
    /// `sha256:` and the hash of the booking's token, as leaves name it.
    pub hash: String,
}

/// What `usage.bundle` is asked for: a period, its end not in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// Its begin.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

/// The result of `ledger.checkpoint`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointResult {
    /// The newest signed note.
    pub checkpoint: String,
    /// The verifier keys (C2SP vkey) that the log signs with now: a help for whoever lacks them, and proof of nothing.
    /// Absent in answers of older gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// The result of `ledger.checkpoints`, in each of its parts. Whoever asked goes on with the last part's `next`
/// as `from` until that is the `to` that they asked for, or they have as many as they wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointsResult {
    /// The kept notes, oldest first. The gateway keeps one for each hour (UTC), the first whose newest
    /// leaf is of that hour; and one for each witness that has cosigned any of that hour.
    pub checkpoints: Vec<KeptCheckpoint>,
    /// The size to go on with; `to` where there are no more.
    pub next: u64,
}

/// A signed note that the gateway has kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeptCheckpoint {
    /// When the newest leaf that it speaks for was established: a help for choosing, and part of no signature.
    pub at: Time,
    /// Leaves that it speaks for.
    pub size: u64,
    /// The note, with the cosignatures that the gateway has of it.
    pub checkpoint: String,
}

/// The result of `ledger.tile`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TileResult {
    /// Its hashes of 32 bytes each, one after the other, in base64.
    pub bytes: String,
}

/// The result of `token.get`, in each of its parts: the text is what these together are, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TokenResult {
    /// The hash that was asked for, which is the whole text's.
    pub hash: String,
    /// A piece of the token as it was presented.
    pub text: String,
}

/// The result of `ledger.entries`, in each of its parts. Whoever asked goes on with the last part's `next`
/// until that is what they asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EntriesResult {
    /// The index of the part's first leaf.
    pub first: u64,
    /// The index after its last.
    pub next: u64,
    /// The exact bytes of the leaves.
    pub leaves: Vec<String>,
}

/// The result of `ledger.inclusion` and `ledger.consistency`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProofResult {
    /// The proof's hashes in the order of RFC 6962, base64.
    pub hashes: Vec<String>,
}

/// The result of `config.get`, in each of its parts: the text is what these together are, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MapResult {
    /// The hash that was asked for, which is the whole text's.
    pub hash: String,
    /// A piece of the resolved map.
    pub text: String,
}

/// The result of `usage.bundle`: which leaves to ask `ledger.entries` for, and the checkpoint that speaks
/// for them. Leaves belong to a period by their `at`, so that what was decided later, as the last usage of a
/// period is, stands behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BundleResult {
    /// The first leaf of the period.
    pub first: u64,
    /// The last. Where the clock was set back, leaves between them may lie outside the period.
    pub last: u64,
    /// The leaves that the checkpoint speaks for.
    pub size: u64,
    /// The newest signed note.
    pub checkpoint: String,
}
