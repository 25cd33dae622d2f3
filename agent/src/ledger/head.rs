//! What was signed last, remembered beside the key: the one thing that keeps a restored disk from being
//! signed as if nothing had happened.

use std::io;
use std::path::Path;

use lineside_proto::ledger::{Checkpoint, Hash, PriorHead};
use serde::{Deserialize, Serialize};

use crate::slots::Slots;

/// The record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Signed {
    /// The epoch, from 1.
    pub(super) epoch: u32,
    /// The ledger's origin, its epoch included.
    pub(super) origin: String,
    /// Leaves of the newest signed head; 0 before the first.
    pub(super) size: u64,
    /// Its root, base64.
    pub(super) root: String,
    /// The last signed head of the epoch before.
    pub(super) prior: Option<PriorHead>,
}

impl Signed {
    /// Nothing was signed yet in this epoch.
    pub(super) fn nothing(base: &str, epoch: u32, prior: Option<PriorHead>) -> Self {
        Self {
            epoch,
            origin: origin(base, epoch),
            size: 0,
            root: Hash::of_nothing().to_string(),
            prior,
        }
    }

    /// The head as a checkpoint; none if its root is no hash.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            origin: self.origin.clone(),
            size: self.size,
            root: Hash::from_base64(&self.root)?,
        })
    }
}

/// The origin of an epoch: the first has the ledger's own name.
pub(super) fn origin(base: &str, epoch: u32) -> String {
    if epoch <= 1 {
        base.to_owned()
    } else {
        format!("{base}/e{epoch}")
    }
}

/// The record on disk.
#[derive(Debug)]
pub(super) struct Memory {
    slots: Slots,
}

impl Memory {
    /// Opens the record; also gives what it says, if anything.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Signed>)> {
        let slots = Slots::open(path)?;
        let signed = slots.read().map(|bytes| serde_json::from_slice(&bytes));
        let signed = signed.transpose().map_err(io::Error::from)?;
        if signed.is_none() && slots.is_damaged() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the record of what was signed last is damaged in both copies",
            ));
        }
        Ok((Self { slots }, signed))
    }

    /// Replaces the record; durable on return.
    pub(super) fn write(&mut self, signed: &Signed) -> io::Result<()> {
        self.slots.write(&serde_json::to_vec(signed)?)
    }
}
