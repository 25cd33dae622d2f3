//! What was checked, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Manifest, Totals};
use crate::Time;

/// A check, in the order in which they are told.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The file and its manifest.
    Bundle,
    /// Who signed.
    Signature,
    /// The leaves are in the signed tree.
    Tree,
    /// Older heads are the beginning of this one.
    Consistency,
    /// The tiles are those of the leaves.
    Tiles,
    /// Each leaf, and that none is missing.
    Leaves,
    /// The leaves cover the period.
    Period,
    /// Time adds up.
    Time,
    /// Sessions follow their rules.
    Sessions,
    /// External sessions have a token of the portal.
    Tokens,
    /// The maps are there, and approved.
    Maps,
    /// Somebody else saw it in time.
    Witness,
    /// The totals are those of the leaves.
    Totals,
}

impl Check {
    /// All checks, in order.
    pub const ALL: [Self; 13] = [
        Self::Bundle,
        Self::Signature,
        Self::Tree,
        Self::Consistency,
        Self::Tiles,
        Self::Leaves,
        Self::Period,
        Self::Time,
        Self::Sessions,
        Self::Tokens,
        Self::Maps,
        Self::Witness,
        Self::Totals,
    ];
}

/// What came of a check.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Ok,
    /// It holds, and there is something to know.
    Note,
    /// It does not hold.
    Failed,
}

/// A check and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// Which.
    pub check: Check,
    /// What came of it.
    pub status: Status,
    /// In words: what was checked, or what is wrong and where. The first hundred findings.
    pub said: Vec<String>,
    /// Findings in all, where there are more than were said; else the number of `said`.
    pub found: u64,
}

/// What to make of a bundle.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything holds, and a trusted key signed it.
    Verified,
    /// Everything holds together; who signed it is not known.
    SelfConsistent,
    /// Something does not hold.
    Failed,
}

/// What a verifier says of a bundle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// What to make of it.
    pub verdict: Verdict,
    /// The checks, in order.
    pub checks: Vec<CheckResult>,
    /// What the bundle says of itself, without its files; null where that can't be read.
    pub manifest: Option<Manifest>,
    /// When a trusted witness cosigned the newest head in the bundle; null for none.
    pub cosigned: Option<Time>,
    /// The totals that the leaves give; null where the leaves can't be read. Worth nothing when the verdict is `failed`.
    pub totals: Option<Totals>,
}
