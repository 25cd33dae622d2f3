//! The progress record: the newest evidence of every machine, so that after a crash UNKNOWN begins
//! where knowledge ended. A two-slot CRC file; not in the outbox, so that hours never depend on it.

use lineside_proto::{Identifier, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::clock::Stamp;
use crate::machine::recorder::Evidence;
use crate::slots::Slots;

/// Machines remembered at most: far more than a gateway ever serves, so that the record stays small
/// however often machines are renamed.
const MACHINES_MAX: usize = 4_096;

/// The record on disk.
#[derive(Debug)]
pub(super) struct Progress {
    slots: Slots,
    boot: String,
    remembered: BTreeMap<Identifier, Remembered>,
}

/// What is remembered of a machine. A machine stays remembered after it left the configuration, so
/// that its retained documents can be cleared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Remembered {
    evidence: Option<Remark>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Remark {
    boot: String,
    boot_ms: i64,
    wall: Time,
}

impl Progress {
    /// Opens the record; a new one is empty, and so is one that can't be read in both slots.
    pub(super) fn open(dir: &Path, boot: &str) -> io::Result<Self> {
        let slots = Slots::open(&dir.join("progress"))?;
        let remembered = slots.read().map_or_else(BTreeMap::new, |bytes| {
            serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "the progress record can't be read; what came before is unknown");
                BTreeMap::new()
            })
        });
        Ok(Self {
            slots,
            boot: boot.to_owned(),
            remembered,
        })
    }

    /// The newest evidence of a machine, on the boot clock of now.
    pub(super) fn evidence(&self, machine: &Identifier, now: Stamp) -> Option<Evidence> {
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
    pub(super) fn machines(&self) -> impl Iterator<Item = &Identifier> {
        self.remembered.keys()
    }

    /// Writes the newest evidence of the given machines; durable on return.
    pub(super) fn write<'a>(
        &mut self,
        evidence: impl Iterator<Item = (&'a Identifier, Option<Evidence>)>,
    ) -> io::Result<()> {
        let mut changed = false;
        for (machine, evidence) in evidence {
            if !self.remembered.contains_key(machine) && self.remembered.len() >= MACHINES_MAX {
                continue;
            }
            let remark = evidence.map(|evidence| Remark {
                boot: self.boot.clone(),
                boot_ms: evidence.boot_ms,
                wall: evidence.wall,
            });
            let entry = self.remembered.entry(machine.clone()).or_insert_with(|| {
                changed = true;
                Remembered { evidence: None }
            });
            if remark.is_some() && entry.evidence != remark {
                entry.evidence = remark;
                changed = true;
            }
        }
        if !changed {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&self.remembered).map_err(io::Error::other)?;
        self.slots.write(&bytes)
    }
}
