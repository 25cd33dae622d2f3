//! What survives a crash: the ledger's leaves and the progress record.

use fastrand::Rng;
use lineside_proto::Identifier;
use lineside_proto::ledger::{Leaf, LeafHead};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::memory::{Folded, Lasting, Memory, Recalled};
use crate::machine::recorder::Recorder;
use crate::record::Entry;

/// Leaves and record.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) leaves: Vec<Leaf>,
    /// By machine: the running part, the lasting part and how many leaves each knows.
    record: BTreeMap<Identifier, Recorded>,
}

#[derive(Debug)]
struct Recorded {
    running: String,
    running_leaves: u64,
    lasting: String,
    lasting_leaves: u64,
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

    /// Writes the progress record.
    pub(super) fn write(&mut self, recorder: &Recorder) {
        let leaves = self.size();
        for (machine, memory) in recorder.memory() {
            let running = serde_json::to_string(&memory.running.unwrap()).unwrap();
            let lasting = serde_json::to_string(&*memory.lasting).unwrap();
            let known = self.record.get(machine);
            let known = known.filter(|known| known.lasting == lasting);
            let lasting_leaves = known.map_or(leaves, |known| known.lasting_leaves);
            let recorded = Recorded {
                running,
                running_leaves: leaves,
                lasting,
                lasting_leaves,
            };
            self.record.insert(machine.clone(), recorded);
        }
    }

    /// Both files of the record are lost.
    pub(super) fn lose_record(&mut self) {
        self.record.clear();
    }

    /// What a start makes of it. Folding leaves that the record knows must change nothing.
    pub(super) fn recall(&self, rng: &mut Rng) -> Folded {
        let recalled = self.record.iter().map(|(machine, recorded)| {
            let lasting: Lasting = serde_json::from_str(&recorded.lasting).unwrap();
            let recalled = Recalled {
                memory: Memory {
                    running: Some(serde_json::from_str(&recorded.running).unwrap()),
                    lasting: Arc::new(lasting),
                },
                running_leaves: recorded.running_leaves,
                lasting_leaves: recorded.lasting_leaves,
            };
            (machine.clone(), recalled)
        });
        let mut folded = Folded::new(recalled.collect());
        let marks = self.record.values();
        let least = marks.map(|recorded| recorded.running_leaves.min(recorded.lasting_leaves));
        let from = least.min().filter(|_| rng.u8(..) > 8).unwrap_or(0);
        for leaf in self.leaves.iter().skip(from as usize) {
            folded.fold(leaf);
        }
        folded
    }
}
