//! Questions that a portal or an evaluator asks the gateway, and the answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of an answer's part at most.
pub const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// Sent to `request` with a response topic below `{root}/response/` and correlation data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// Chosen by who asks; repeated in the answer. At most 128 bytes.
    pub id: String,
    /// What is asked.
    pub method: String,
    /// How it is asked more closely; an object, or nothing.
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
