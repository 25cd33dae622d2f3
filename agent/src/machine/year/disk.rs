//! What survives a crash: the ledger's leaves and the progress record.

use fastrand::Rng;
use lineside_proto::Identifier;
use lineside_proto::ledger::{Leaf, LeafHead};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::memory::{Folded, Recalled};
use crate::machine::recorder::Recorder;
use crate::record::Entry;

/// Leaves and record.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) leaves: Vec<Leaf>,
    record: BTreeMap<Identifier, Recalled>,
}

impl Disk {
    /// Leaves become durable, one after the other.
    pub(super) fn append(&mut self, boot: &str, entries: &[Entry]) {
        for entry in entries {
            let leaf = Leaf {
                head: LeafHead {
                    v: 1,
                    index: self.size(),
                    at: entry.at.wall,
                    boot: boot.to_owned(),
                    mono_ms: entry.at.boot_ms,
                },
                body: entry.body.clone(),
            };
            if self.leaves.len() % 16 == 0 {
                let bytes = leaf.to_bytes().unwrap();
                assert_eq!(Leaf::from_bytes(&bytes).unwrap(), leaf);
            }
            self.leaves.push(leaf);
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Writes the progress record; now and then as the bytes that it is made of.
    pub(super) fn write(&mut self, recorder: &Recorder, rng: &mut Rng) {
        let leaves = self.size();
        for (machine, mut memory) in recorder.memory() {
            let recalled = self.record.entry(machine.clone()).or_default();
            let known = &recalled.memory.lasting;
            if !Arc::ptr_eq(known, &memory.lasting) && *known != memory.lasting {
                recalled.lasting_leaves = leaves;
            }
            if rng.u8(..32) == 0 {
                let text = serde_json::to_string(&memory.running).unwrap();
                memory.running = serde_json::from_str(&text).unwrap();
                let text = serde_json::to_string(&*memory.lasting).unwrap();
                memory.lasting = Arc::new(serde_json::from_str(&text).unwrap());
            }
            recalled.memory = memory;
            recalled.running_leaves = leaves;
        }
    }

    /// Both files of the record are lost.
    pub(super) fn lose_record(&mut self) {
        self.record.clear();
    }

    /// What a start makes of it. Folding leaves that the record knows must change nothing.
    pub(super) fn recall(&self, rng: &mut Rng) -> Folded {
        let mut folded = Folded::new(self.record.clone());
        let marks = self.record.values();
        let least = marks.map(|recorded| recorded.running_leaves.min(recorded.lasting_leaves));
        let from = least.min().filter(|_| rng.u8(..) > 8).unwrap_or(0);
        for leaf in self.leaves.iter().skip(usize::try_from(from).unwrap()) {
            folded.fold(leaf);
        }
        folded
    }
}
