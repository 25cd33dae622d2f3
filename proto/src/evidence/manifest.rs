//! What a bundle says of itself, and its proofs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Identifier, Time};

/// The `kind` of a bundle's manifest.
pub const MANIFEST_KIND: &str = "lineside-usage";

/// Leaves of a part at most: parts are read, checked and forgotten one by one.
pub const PART_LEAVES: u64 = 16_384;

/// `manifest.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Version of the bundle's shape: 1.
    pub v: u8,
    /// [`MANIFEST_KIND`].
    pub kind: String,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The ledger's origin.
    pub origin: String,
    /// The verifier key (C2SP vkey) that the source names as the ledger's. Proves nothing by itself.
    pub key: String,
    /// The period's begin, a full hour.
    #[serde(deserialize_with = "crate::time::exact")]
    pub from: Time,
    /// The period's end, a full hour; not in it.
    #[serde(deserialize_with = "crate::time::exact")]
    pub to: Time,
    /// The first leaf in the bundle.
    pub first: u64,
    /// The leaf after the last in the bundle.
    pub end: u64,
    /// The leaves that `checkpoint/end` commits to.
    pub size: u64,
    /// The leaves that `checkpoint/start` commits to; 0 without one.
    pub start_size: u64,
    /// When the bundle was made, by the clock of whoever made it.
    #[serde(deserialize_with = "crate::time::exact")]
    pub made: Time,
    /// By which program.
    pub by: String,
    /// Every other entry, in order of its path.
    pub files: Vec<FileEntry>,
}

/// An entry of a bundle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FileEntry {
    /// Its name.
    pub path: String,
    /// Its length, inflated.
    pub bytes: u64,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// `proof/consistency.json`: the older tree is the beginning of the newer one (RFC 6962).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConsistencyProof {
    /// Leaves of the older tree.
    pub from: u64,
    /// Leaves of the newer tree.
    pub to: u64,
    /// The proof, base64.
    pub hashes: Vec<String>,
}

/// `proof/range.json`: the bundle's leaves are all leaves between two places of the tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RangeProof {
    /// The first leaf in the bundle.
    pub from: u64,
    /// The leaves of the tree.
    pub to: u64,
    /// The roots of the perfect subtrees of the leaves before, the largest first, base64.
    pub left: Vec<String>,
    /// The consistency proof from the end of the bundle's leaves to the tree, base64.
    pub right: Vec<String>,
}

/// `proof/sessions.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionProofs {
    /// The leaves of the tree.
    pub size: u64,
    /// A proof a session, in order of `index`.
    pub proofs: Vec<SessionProof>,
}

/// That a session's leaf is in the tree (RFC 6962).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionProof {
    /// The session.
    pub session: String,
    /// Its closing leaf; the opening one while it is open.
    pub index: u64,
    /// The proof, base64.
    pub hashes: Vec<String>,
}
