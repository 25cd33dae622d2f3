//! What is known of one session.

use std::collections::{BTreeMap, BTreeSet};

use super::room::{Room, add, sum};
use crate::ledger::{CloseReason, UsageLeaf};
use crate::{CheckIn, Class, State, Time};

/// What a session takes beside its texts: itself, its place in the index, its states.
pub(super) const SESSION_BYTES: usize = 640;

/// What one more map of a session takes.
const MAP_BYTES: usize = 32;

/// Whose a session is: by its opening or closing leaf, or by a later bind leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) booking: Option<String>,
    pub(super) token: Option<String>,
    pub(super) class: Class,
}

/// How a session began, as its opening and its closing leaf say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Begin {
    pub(super) check_in: CheckIn,
    pub(super) from: Time,
    /// On which boot's clock, and when.
    pub(super) boot: Option<u32>,
    pub(super) from_ms: i64,
}

/// How a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct End {
    /// The closing leaf, and its time.
    pub(super) index: u64,
    pub(super) at: Time,
    pub(super) to: Option<Time>,
    pub(super) reason: Option<CloseReason>,
}

/// What is known of one session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) begin: Option<Begin>,
    /// The opening leaf.
    pub(super) open: Option<u64>,
    pub(super) end: Option<End>,
    /// As the leaves say it that were met so far.
    pub(super) owner: Option<Owner>,
    pub(super) is_bound: bool,
    /// The class that its usage says, while nothing else is known.
    pub(super) usage_class: Option<Class>,
    /// Up to when it was used, and on which boot's clock.
    pub(super) used: Option<(Option<u32>, u64)>,
    pub(super) is_corrected: bool,
    pub(super) counted: Counted,
}

/// What a session's counting leaves add up to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Counted {
    pub(super) leaves: u64,
    pub(super) ms: BTreeMap<State, u64>,
    pub(super) active_ms: u64,
    pub(super) energy_mwh: Option<u64>,
    /// A letter other than S was met.
    pub(super) is_unsynchronised: bool,
    /// Maps, by their number.
    pub(super) maps: BTreeSet<u32>,
    pub(super) meter: Meter,
}

/// What the meter says of a session's leaves with activity.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Meter {
    /// Such leaves.
    pub(super) leaves: u64,
    /// Of these, with a reading.
    pub(super) read: u64,
    pub(super) has_resets: bool,
    pub(super) rises_mwh: u64,
    /// How long those with a reading are.
    pub(super) ms: u64,
}

/// A counting usage leaf, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub(super) leaf: &'a UsageLeaf,
    pub(super) active_ms: u64,
    /// The meter's rises, and whether it fell.
    pub(super) energy: Option<(u64, bool)>,
    pub(super) is_synchronised: bool,
    /// Its map's number; none where there is no room for one more.
    pub(super) map: Option<u32>,
}

/// Activity of a usage leaf, in milliseconds: SETUP, RUN, and HOLD as far as it counts.
pub fn activity(leaf: &UsageLeaf) -> u64 {
    let of = |state: State| leaf.ms.get(&state).copied().unwrap_or(0);
    let all = sum([of(State::Setup), of(State::Run), of(State::Hold)]);
    all.saturating_sub(leaf.hold_over_ms)
}

/// All milliseconds of a leaf.
pub(super) fn length(leaf: &UsageLeaf) -> u64 {
    sum(leaf.ms.values().copied())
}

impl Session {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            begin: None,
            open: None,
            end: None,
            owner: None,
            is_bound: false,
            usage_class: None,
            used: None,
            is_corrected: false,
            counted: Counted::default(),
        }
    }

    /// The class, as far as the leaves met so far say it.
    pub(super) fn class(&self) -> Option<Class> {
        let said = self.owner.as_ref().map(|owner| owner.class);
        said.or(self.usage_class)
    }

    pub(super) fn booking(&self) -> Option<&String> {
        self.owner.as_ref()?.booking.as_ref()
    }

    pub(super) fn token(&self) -> Option<&String> {
        self.owner.as_ref()?.token.as_ref()
    }

    /// Whether it is one of the period's: used in it, or begun in it.
    pub(super) fn is_of(&self, from: Time, to: Time) -> bool {
        let begun = self.begin.as_ref().map(|begin| begin.from);
        self.counted.leaves > 0 || begun.is_some_and(|begun| from <= begun && begun < to)
    }

    /// Adds a counting usage leaf.
    pub(super) fn count(&mut self, span: &Span<'_>, room: &mut Room) {
        let counted = &mut self.counted;
        counted.leaves += 1;
        for (state, ms) in span.leaf.ms.iter().filter(|(_, ms)| **ms > 0) {
            add(counted.ms.entry(*state).or_default(), *ms);
        }
        add(&mut counted.active_ms, span.active_ms);
        if let Some((rises, _)) = span.energy {
            add(counted.energy_mwh.get_or_insert(0), rises);
        }
        counted.is_unsynchronised |= !span.is_synchronised;
        let map = span.map.filter(|map| !counted.maps.contains(map));
        if let Some(map) = map.filter(|_| room.take(MAP_BYTES)) {
            counted.maps.insert(map);
        }
        if span.active_ms == 0 {
            return;
        }
        let meter = &mut counted.meter;
        meter.leaves += 1;
        if let Some((rises, has_resets)) = span.energy {
            meter.read += 1;
            meter.has_resets |= has_resets;
            add(&mut meter.rises_mwh, rises);
            add(&mut meter.ms, length(span.leaf));
        }
    }
}
