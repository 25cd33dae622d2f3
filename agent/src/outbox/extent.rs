//! How much of which machine a run of records says: seqs, samples and times.

use lineside_proto::{Identifier, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Messages of one machine and kind, as the smallest ranges that hold them all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Extent {
    pub messages: u64,
    pub samples: u64,
    /// First and last: of the messages themselves, or those that gap documents name.
    pub seqs: Option<(u64, u64)>,
    pub from: Time,
    pub to: Time,
}

impl Extent {
    /// Widens this to hold the other, too.
    fn merge(&mut self, other: &Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.samples = self.samples.saturating_add(other.samples);
        self.seqs = match (self.seqs, other.seqs) {
            (Some(ours), Some(theirs)) => Some((ours.0.min(theirs.0), ours.1.max(theirs.1))),
            (ours, theirs) => ours.or(theirs),
        };
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
    }
}

/// What a run of records says of one machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Share {
    pub telemetry: Option<Extent>,
    pub gaps: Option<Extent>,
}

/// What a run of records says, by machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Shares(pub BTreeMap<Identifier, Share>);

impl Shares {
    /// Counts telemetry in.
    pub(super) fn add_telemetry(&mut self, machine: &Identifier, extent: &Extent) {
        widen(&mut self.share(machine).telemetry, extent);
    }

    /// Counts gap documents in.
    pub(super) fn add_gaps(&mut self, machine: &Identifier, extent: &Extent) {
        widen(&mut self.share(machine).gaps, extent);
    }

    /// Counts everything of the other in.
    pub(super) fn merge(&mut self, other: &Self) {
        for (machine, share) in &other.0 {
            if let Some(extent) = &share.telemetry {
                self.add_telemetry(machine, extent);
            }
            if let Some(extent) = &share.gaps {
                self.add_gaps(machine, extent);
            }
        }
    }

    /// Moves the next seq of each machine past what is here: a seq that was given is never given again.
    pub(super) fn pass(&self, next_seq: &mut BTreeMap<Identifier, u64>) {
        for (machine, extent) in self.telemetry() {
            if let Some((_, last)) = extent.seqs {
                let next = next_seq.entry(machine.clone()).or_default();
                *next = (*next).max(last.saturating_add(1));
            }
        }
    }

    /// Machines with telemetry here, and how much.
    pub(super) fn telemetry(&self) -> impl Iterator<Item = (&Identifier, &Extent)> {
        self.0
            .iter()
            .filter_map(|(machine, share)| Some((machine, share.telemetry.as_ref()?)))
    }

    /// Machines with gap documents here, and how much those name.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (&Identifier, &Extent)> {
        self.0
            .iter()
            .filter_map(|(machine, share)| Some((machine, share.gaps.as_ref()?)))
    }

    /// The time of the oldest thing said.
    pub(super) fn from(&self) -> Option<Time> {
        let telemetry = self.telemetry().map(|(_, extent)| extent.from);
        telemetry
            .chain(self.gaps().map(|(_, extent)| extent.from))
            .min()
    }

    fn share(&mut self, machine: &Identifier) -> &mut Share {
        self.0.entry(machine.clone()).or_default()
    }
}

fn widen(place: &mut Option<Extent>, extent: &Extent) {
    match place {
        Some(present) => present.merge(extent),
        None => *place = Some(extent.clone()),
    }
}
