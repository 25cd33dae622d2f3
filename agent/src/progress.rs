//! The progress record: the newest evidence of every machine and what its account must remember, so that after
//! a crash UNKNOWN begins where knowledge ended and no hour is lost or counted twice. Two-slot CRC files; not in
//! the outbox, so that hours never depend on it.
//!
//! What time changes is written with every commit and stays small; what only leaves of the ledger change
//! (bookings that are done with) has a file of its own, written when it changed.

use lineside_proto::{Identifier, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::clock::Stamp;
use crate::machine::memory::{Lasting, Memory, Recalled, Running};
use crate::machine::recorder::Evidence;
use crate::slots::Slots;

/// Up to which leaf of which ledger something is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent<'a> {
    /// The ledger's origin, its epoch included.
    pub(crate) origin: &'a str,
    /// Leaves.
    pub(crate) leaves: u64,
}

/// Machines remembered at most: far more than a gateway ever serves, so that the record stays small
/// however often machines are renamed.
const MACHINES_MAX: usize = 4_096;

/// The record on disk.
#[derive(Debug)]
pub(crate) struct Progress {
    slots: Slots,
    lasting: Slots,
    boot: String,
    remembered: BTreeMap<Identifier, Remembered>,
    kept: BTreeMap<Identifier, Kept>,
}

/// What is remembered of a machine. A machine stays remembered after it left the configuration, so
/// that its retained documents can be cleared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Remembered {
    evidence: Option<Remark>,
    /// What of its account time changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    running: Option<Running>,
    /// Leaves that this knows.
    #[serde(default)]
    leaves: u64,
    /// The origin of the ledger that they are of.
    #[serde(default)]
    origin: String,
}

/// What only leaves change.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Kept {
    lasting: Lasting,
    /// The same, as it was last handed over.
    #[serde(skip)]
    known: Option<Arc<Lasting>>,
    /// Leaves that this knows.
    leaves: u64,
    /// The origin of the ledger that they are of.
    #[serde(default)]
    origin: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Remark {
    boot: String,
    boot_ms: i64,
    wall: Time,
}

fn read<T: Default + for<'de> Deserialize<'de>>(slots: &Slots) -> T {
    slots.read().map_or_else(T::default, |bytes| {
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the progress record can't be read; what came before is unknown");
            T::default()
        })
    })
}

impl Progress {
    /// Opens the record; a new one is empty, and so is one that can't be read in both slots.
    pub(crate) fn open(dir: &Path, boot: &str) -> io::Result<Self> {
        let slots = Slots::open(&dir.join("progress"))?;
        let lasting = Slots::open(&dir.join("progress-lasting"))?;
        Ok(Self {
            remembered: read(&slots),
            kept: read(&lasting),
            slots,
            lasting,
            boot: boot.to_owned(),
        })
    }

    /// What the accounts of all machines must remember. A record that is one of another ledger, or counts more
    /// leaves than the ledger has, is not used, and gaps say so; only the bookings that are done with stay so, since
    /// their tokens are still around.
    pub(crate) fn recalled(&self, ledger: Extent<'_>) -> BTreeMap<Identifier, Recalled> {
        let is_of = |origin: &str, leaves: u64| origin == ledger.origin && leaves <= ledger.leaves;
        let mut found: BTreeMap<Identifier, Recalled> = BTreeMap::new();
        for (machine, remembered) in &self.remembered {
            if is_of(&remembered.origin, remembered.leaves) && remembered.running.is_some() {
                let recalled = found.entry(machine.clone()).or_default();
                recalled.memory.running.clone_from(&remembered.running);
                recalled.running_leaves = remembered.leaves;
            }
        }
        for (machine, kept) in &self.kept {
            let recalled = found.entry(machine.clone()).or_default();
            let mut lasting = kept.lasting.clone();
            if is_of(&kept.origin, kept.leaves) {
                recalled.lasting_leaves = kept.leaves;
            } else {
                lasting.past.clear();
            }
            recalled.memory.lasting = Arc::new(lasting);
        }
        found
    }

    /// The newest evidence of a machine, on the boot clock of now.
    pub(crate) fn evidence(&self, machine: &Identifier, now: Stamp) -> Option<Evidence> {
        let remark = self.remembered.get(machine)?.evidence.as_ref()?;
        let boot_ms = if remark.boot == self.boot {
            remark.boot_ms
        } else {
            now.millis() - (now.wall.as_millis() - remark.wall.as_millis()).max(0)
        };
        Some(Evidence {
            boot_ms: boot_ms.min(now.millis()),
            wall: remark.wall,
        })
    }

    /// Machines that are remembered.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &Identifier> {
        self.remembered.keys()
    }

    /// Writes the newest evidence and the memories of the given machines, which know so much of the ledger;
    /// durable on return.
    pub(crate) fn write<'a>(
        &mut self,
        evidence: impl Iterator<Item = (&'a Identifier, Option<Evidence>)>,
        memories: impl Iterator<Item = (&'a Identifier, Memory)>,
        ledger: Extent<'_>,
    ) -> io::Result<()> {
        let Extent { origin, leaves } = ledger;
        let mut changed = false;
        let boot = self.boot.clone();
        for (machine, evidence) in evidence {
            let Some(entry) = self.entry(machine, &mut changed) else {
                continue;
            };
            let remark = evidence.map(|evidence| Remark {
                boot: boot.clone(),
                boot_ms: evidence.boot_ms,
                wall: evidence.wall,
            });
            if remark.is_some() && entry.evidence != remark {
                entry.evidence = remark;
                changed = true;
            }
        }
        let mut lasting_changed = false;
        for (machine, memory) in memories {
            let Some(entry) = self.entry(machine, &mut changed) else {
                continue;
            };
            let is_known = entry.leaves == leaves && entry.origin == origin;
            if !is_known || entry.running != memory.running {
                entry.running = memory.running;
                entry.leaves = leaves;
                origin.clone_into(&mut entry.origin);
                changed = true;
            }
            let kept = self.kept.entry(machine.clone()).or_default();
            let known = kept.known.as_ref();
            if known.is_none_or(|known| !Arc::ptr_eq(known, &memory.lasting)) {
                lasting_changed |= kept.lasting != *memory.lasting || kept.origin != origin;
                kept.lasting.clone_from(&memory.lasting);
                kept.known = Some(memory.lasting);
            }
            kept.leaves = leaves;
            origin.clone_into(&mut kept.origin);
        }
        if lasting_changed {
            let bytes = serde_json::to_vec(&self.kept).map_err(io::Error::other)?;
            self.lasting.write(&bytes)?;
        }
        if changed {
            let bytes = serde_json::to_vec(&self.remembered).map_err(io::Error::other)?;
            self.slots.write(&bytes)?;
        }
        Ok(())
    }

    fn entry(&mut self, machine: &Identifier, changed: &mut bool) -> Option<&mut Remembered> {
        if !self.remembered.contains_key(machine) {
            if self.remembered.len() >= MACHINES_MAX {
                return None;
            }
            *changed = true;
        }
        Some(self.remembered.entry(machine.clone()).or_default())
    }
}

#[cfg(test)]
mod tests;
