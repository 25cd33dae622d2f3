//! What a link is to read of one machine: one poll group over one connection.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::board::Counters;
use crate::config::model::MachineMap;
use crate::sample::Slot;

/// What a link is to read: one poll group over one connection.
#[derive(Clone, Debug)]
pub(super) struct JobSpec {
    /// The machine.
    pub slot: Slot,
    /// Its map.
    pub map: Arc<MachineMap>,
    /// The connection, as its place in the map.
    pub connection: u16,
    /// The poll group, as its place in the map.
    pub group: u16,
    /// Where its exchanges are counted.
    pub counters: Arc<Counters>,
}

impl JobSpec {
    /// Whether both are the same job of the same map.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.slot, self.connection, self.group) == (other.slot, other.connection, other.group)
            && self.map.fingerprint == other.map.fingerprint
    }

    /// How often the group is read.
    pub(super) fn interval(&self) -> Duration {
        let group = self.map.groups.get(usize::from(self.group));
        group.map_or(Duration::from_secs(1), |group| group.interval)
    }

    /// Where in its interval it is read, in nanoseconds: spread by a hash of the names, so that jobs don't bunch and
    /// a changed map keeps its place.
    pub(super) fn phase_ns(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.map.machine.hash(&mut hasher);
        self.connection.hash(&mut hasher);
        self.group.hash(&mut hasher);
        let spread = u64::try_from(self.interval().as_nanos()).unwrap_or(u64::MAX);
        hasher.finish().checked_rem(spread).unwrap_or(0)
    }
}
