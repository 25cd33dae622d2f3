//! `[ledger]`: the ledger's key and name, and who in the city cosigns it.

use lineside_proto::ledger::note::VerifierKey;
use std::path::PathBuf;

/// `[ledger]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ledger {
    /// The signing key's file, outside the state directory.
    pub key: PathBuf,
    /// The ledger's name in its checkpoints.
    pub origin: String,
    /// Who cosigns it.
    pub witnesses: Witnesses,
}

/// The city's witnesses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witnesses {
    /// Their keys, each once, all for cosignatures; at most [`WITNESSES_MAX`]. None: nobody cosigns.
    pub keys: Vec<VerifierKey>,
    /// How many of them must have cosigned leaves before these count as delivered: 1 to as many as there are; without
    /// meaning where there are none.
    pub quorum: usize,
}

impl Default for Witnesses {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            quorum: 1,
        }
    }
}

/// Witnesses at most: each costs a signature in every note that is kept, and no city has more archives.
pub const WITNESSES_MAX: usize = 16;
