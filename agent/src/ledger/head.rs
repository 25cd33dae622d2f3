//! What was signed last, remembered beside the key: the one thing that keeps a restored disk from being
//! signed as if nothing had happened.

use std::io;
use std::path::Path;

use lineside_proto::ledger::{Checkpoint, Hash, PriorHead};
use serde::{Deserialize, Serialize};

use super::elsewhere::Vouched;
use crate::slots::Slots;

/// A log's next epoch lies at most so far ahead of the one before, for the gateway and for whoever keeps its log: epochs are
/// begun by hand, and whoever may write to the broker could use up all numbers else.
pub(crate) const EPOCH_LEAP_MAX: u32 = 1_000;

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
    /// Whether the epoch was begun though nothing was heard of what the city has, and no witness has cosigned it since.
    #[serde(default)]
    pub(super) unheard: bool,
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
            unheard: false,
        }
    }

    /// Whether the epoch was begun in ignorance of such a cosigned head of an epoch before: it cites less, or something else.
    /// Once something of it is signed that can't be mended.
    pub(super) fn overlooks(&self, base: &str, vouched: &Vouched) -> bool {
        let is_open = self.unheard && self.size == 0 && vouched.epoch < self.epoch;
        if !is_open || vouched.witnesses.is_empty() {
            return false;
        }
        let Some(prior) = &self.prior else {
            return true;
        };
        let Some(epoch) = epoch_of(base, &prior.origin) else {
            return false;
        };
        let (cited, shown) = ((epoch, prior.size), (vouched.epoch, vouched.head.size));
        shown > cited || shown == cited && vouched.head.root.to_string() != prior.root
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
pub(crate) fn origin(base: &str, epoch: u32) -> String {
    if epoch <= 1 {
        base.to_owned()
    } else {
        format!("{base}/e{epoch}")
    }
}

/// The epoch of an origin; none if that is not one of this ledger.
pub(crate) fn epoch_of(base: &str, origin: &str) -> Option<u32> {
    match origin.strip_prefix(base)? {
        "" => Some(1),
        rest => {
            let epoch = rest.strip_prefix("/e")?.parse().ok()?;
            (self::origin(base, epoch) == origin).then_some(epoch)
        }
    }
}

/// The record on disk.
#[derive(Debug)]
pub(super) struct Memory {
    slots: Slots,
}

/// What the record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Remembered {
    /// There is none: nothing was ever signed, or it was lost.
    Nothing,
    /// What was signed last.
    Signed(Signed),
    /// Both copies are damaged: nobody knows.
    Damaged,
}

impl Remembered {
    /// What was signed last, as far as the record says it.
    pub(super) fn signed(&self) -> Option<&Signed> {
        match self {
            Self::Signed(signed) => Some(signed),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

impl Memory {
    /// Opens the record; also gives what it says.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Remembered)> {
        let slots = Slots::open(path)?;
        let remembered = match slots.read() {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_or(Remembered::Damaged, Remembered::Signed)
            }
            None if slots.is_damaged() => Remembered::Damaged,
            None => Remembered::Nothing,
        };
        Ok((Self { slots }, remembered))
    }

    /// Replaces the record; durable on return.
    pub(super) fn write(&mut self, signed: &Signed) -> io::Result<()> {
        self.slots.write(&serde_json::to_vec(signed)?)
    }
}
