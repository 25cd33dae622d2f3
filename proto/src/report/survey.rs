//! What totals don't say and anomalies need: one pass over a bundle's leaves, in the order of their indexes.
//!
//! In memory: days and machines, what ran without a pause, and the first of what is told.

mod machine;

pub use machine::{EnergyDay, Hole, MachineObserved, MapChange, NonStop, Pause};

use std::collections::BTreeMap;

use super::anomaly::ANOMALIES_EACH_MAX;
use super::{BegunAnew, Span, Thresholds};
use crate::ledger::{Leaf, LeafBody};
use crate::{ClockStatus, Identifier, Time};

/// Machines of a gateway that are surveyed: more than a gateway has.
const MACHINES_MAX: usize = 4096;

/// The pass.
#[derive(Clone, Debug)]
pub struct Survey {
    from: Time,
    to: Time,
    thresholds: Thresholds,
    machines: BTreeMap<Identifier, MachineObserved>,
    clocks: Told<ClockChange>,
    corrections: Told<CorrectionSeen>,
    newest: Option<(String, u64)>,
    counted: Option<Span>,
    begun: Option<BegunAnew>,
}

/// What the pass found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// Each machine.
    pub machines: BTreeMap<Identifier, MachineObserved>,
    /// How the clock was set, or lost its trust.
    pub clocks: Told<ClockChange>,
    /// What somebody said was wrong.
    pub corrections: Told<CorrectionSeen>,
    /// From the first to the last moment of which hours are counted; none where none are.
    pub counted: Option<Span>,
    /// That the ledger was begun anew in the period; none where it was not.
    pub begun: Option<BegunAnew>,
}

/// The first of many, and their number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told<T> {
    /// The first ones.
    pub first: Vec<T>,
    /// How many there are in all.
    pub count: u64,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self {
            first: Vec::new(),
            count: 0,
        }
    }
}

impl<T> Told<T> {
    fn push(&mut self, value: T) {
        self.count += 1;
        if self.first.len() < ANOMALIES_EACH_MAX {
            self.first.push(value);
        }
    }
}

/// The clock was set, or can be trusted less than before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClockChange {
    /// The leaf.
    pub index: u64,
    /// When.
    pub at: Time,
    /// Its letter from then on.
    pub status: ClockStatus,
    /// Its letter before.
    pub before: ClockStatus,
    /// By how much it was set, forward positive.
    pub step_ms: Option<i64>,
}

/// A correction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorrectionSeen {
    /// The leaf.
    pub index: u64,
    /// When.
    pub at: Time,
    /// The leaf that was wrong.
    pub refers: u64,
    /// What is right, and why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

impl Survey {
    /// A pass for a period.
    pub fn new(from: Time, to: Time, thresholds: &Thresholds) -> Self {
        Self {
            from,
            to,
            thresholds: thresholds.clone(),
            machines: BTreeMap::new(),
            clocks: Told::default(),
            corrections: Told::default(),
            newest: None,
            counted: None,
            begun: None,
        }
    }

    /// Takes in the next leaf.
    pub fn take(&mut self, leaf: &Leaf) {
        let Leaf { head, body } = leaf;
        let is_in = (self.from..self.to).contains(&head.at);
        self.newest = Some((head.boot.clone(), head.mono_ms));
        if let LeafBody::Clock(said) = body {
            let limit = i64::from(self.thresholds.clock_step_seconds) * 1000;
            let is_set = said.step_ms.is_some_and(|step| step.abs() >= limit);
            let is_lost = said.before == ClockStatus::S && said.status != ClockStatus::S;
            if is_in && (is_set || is_lost) {
                self.clocks.push(ClockChange {
                    index: head.index,
                    at: head.at,
                    status: said.status,
                    before: said.before,
                    step_ms: said.step_ms,
                });
            }
        } else if let LeafBody::Correction(said) = body {
            if is_in {
                self.corrections.push(CorrectionSeen {
                    index: head.index,
                    at: head.at,
                    refers: said.refers,
                    reason: said.reason.clone(),
                    by: said.by.clone(),
                });
            }
        }
        if let (true, LeafBody::Genesis(said)) = (is_in, body) {
            self.begun = said.prior.as_ref().map(|prior| BegunAnew {
                at: head.at,
                reason: prior.reason.clone(),
                prior: prior.origin.clone(),
                size: prior.size,
            });
        }
        if let LeafBody::Usage(said) = body {
            if (self.from..self.to).contains(&said.from) {
                let counted = self.counted.unwrap_or(Span {
                    from: said.from,
                    to: said.to,
                });
                self.counted = Some(Span {
                    from: counted.from.min(said.from),
                    to: counted.to.max(said.to),
                });
            }
        }
        let Some(name) = body.machine() else { return };
        if self.machines.len() >= MACHINES_MAX && !self.machines.contains_key(name) {
            return;
        }
        let machine = self.machines.entry(name.clone()).or_default();
        machine.take(head, body, (self.from, self.to), &self.thresholds);
    }

    /// What was found up to here.
    pub fn finish(mut self) -> Observed {
        for machine in self.machines.values_mut() {
            machine.finish(self.newest.as_ref(), (self.from, self.to), &self.thresholds);
        }
        Observed {
            machines: self.machines,
            clocks: self.clocks,
            corrections: self.corrections,
            counted: self.counted,
            begun: self.begun,
        }
    }
}

#[cfg(test)]
mod tests;
