//! A gap that is being filled from a server's history: what is known of it so far, and what has to be
//! named in the end.
//!
//! Pure. What a server answers of a time in which it did not run proves nothing: well and empty means that
//! nothing was recorded, not that nothing happened. Bounded by the points of one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lineside_proto::Time;

use super::gap::Edges;
use super::item::point;
use crate::config::model::MachineMap;
use crate::sample::Slot;

/// Ticks of a server's clock in a millisecond.
pub(super) const TICKS_A_MILLI: i64 = 10_000;

/// A gap that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    /// The machine.
    pub slot: Slot,
    /// Its map.
    pub map: Arc<MachineMap>,
    /// The server's time of the last word before the gap, in its ticks.
    pub begun: i64,
    /// The server's times of both ends of what is still to be read; what lies before was handed on.
    pub span: (i64, i64),
    /// The points to be filled.
    pub points: BTreeMap<u16, Edges>,
    /// Points that have no history at all.
    pub without: BTreeSet<u16>,
    /// Points of which something is missing.
    pub missing: BTreeSet<u16>,
    /// Since when the server runs; none: it did not say.
    pub started: Option<Started>,
    /// The newest value of each point from before the server was started.
    newest: BTreeMap<u16, i64>,
    /// Values that were found.
    pub found: usize,
    /// How often it was tried.
    pub tries: u32,
    /// There is nothing left to be read.
    pub is_done: bool,
}

/// When a server was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Started {
    /// By its clock, in ticks.
    pub ticks: i64,
    /// By the gateway's.
    pub wall: Time,
}

impl Filling {
    /// A gap of which nothing was read yet.
    pub(super) fn new(
        slot: Slot,
        map: Arc<MachineMap>,
        (begun, span): (i64, (i64, i64)),
        points: BTreeMap<u16, Edges>,
        without: BTreeSet<u16>,
    ) -> Self {
        let torn = points.iter().filter(|(_, edges)| edges.is_torn);
        Self {
            slot,
            map,
            begun,
            span,
            missing: torn.map(|(place, _)| *place).collect(),
            points,
            without,
            started: None,
            newest: BTreeMap::new(),
            found: 0,
            tries: 0,
            is_done: false,
        }
    }

    /// The history of a point has a value with this source time.
    pub(super) fn find(&mut self, place: u16, ticks: i64) {
        self.found += 1;
        if self.started.is_some_and(|started| ticks <= started.ticks) {
            let newest = self.newest.entry(place).or_insert(ticks);
            *newest = ticks.max(*newest);
        }
    }

    /// It is given up: what was not read is missing.
    pub(super) fn give_up(&mut self) {
        let left = self.points.keys();
        self.missing
            .extend(left.filter(|place| !self.without.contains(place)));
    }

    /// The points whose values are missing, as far as anybody can tell.
    pub(super) fn lost(&self) -> BTreeSet<u16> {
        &self.missing | &self.without
    }

    /// Of the others, those that nobody watched until the server was started: their history ends more than
    /// an interval before that. A value that merely does not change has none there either, and is not
    /// known.
    pub(super) fn unwatched(&self) -> BTreeSet<u16> {
        let others = self.points.iter();
        let others = others
            .filter(|(place, _)| !self.missing.contains(place) && !self.without.contains(place));
        let unwatched = others.filter(|(place, edges)| {
            let Some(started) = self.started.map(|started| started.ticks) else {
                return true;
            };
            let until = edges.first.map_or(started, |first| first.min(started));
            // A value of a source whose clock is ahead proves nothing.
            let before = edges.before.filter(|before| *before <= self.begun);
            let newest = self.newest.get(place).copied().max(before);
            let watched = newest.map(|newest| newest.saturating_add(self.interval(**place)));
            started > self.begun && watched < Some(until)
        });
        unwatched.map(|(place, _)| *place).collect()
    }

    /// How often a point is sampled, in ticks.
    fn interval(&self, place: u16) -> i64 {
        let group =
            point(&self.map, place).and_then(|point| self.map.groups.get(usize::from(point.group)));
        let interval = group.map_or(Duration::ZERO, |group| group.interval);
        i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_mul(TICKS_A_MILLI)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::opcua::sample_map;

    /// One tenth of a second, the interval of the group, in ticks.
    const STEP: i64 = 100 * TICKS_A_MILLI;

    fn filling(before: Option<i64>, first: Option<i64>) -> Filling {
        let server = Arc::new(sample_map::server("opc.tcp://there"));
        let mut map = sample_map::map("press", &server);
        sample_map::add(&mut map, &["a"]);
        let mut edges = Edges::default();
        (edges.before, edges.first) = (before, first);
        let span = (100 * STEP, (80 * STEP, 220 * STEP));
        let points = BTreeMap::from([(0, edges)]);
        Filling::new(Slot(0), Arc::new(map), span, points, BTreeSet::new())
    }

    fn started(at: i64) -> Option<Started> {
        Some(Started {
            ticks: at * STEP,
            wall: Time::from_millis(at * 100),
        })
    }

    #[test]
    fn what_was_before_the_servers_start_is_known_only_from_values() {
        // When the server was started, the values in its history, and whether the point was watched. The
        // last word before the gap came at 100, the first value after it is of 200.
        for (start, found, expected) in [
            // It ran all the time: nothing changed.
            (started(50), vec![], true),
            (started(100), vec![], true),
            // It did not.
            (started(150), vec![], false),
            (started(150), vec![110, 120], false),
            (started(150), vec![160, 170], false),
            // A historian went on without it.
            (started(150), vec![110, 120, 149, 160], true),
            // It was started again after the gap, and may have forgotten.
            (started(210), vec![150], false),
            (started(210), vec![150, 199], true),
            // It does not say.
            (None, vec![110, 120, 199], false),
        ] {
            let mut filling = filling(Some(99 * STEP), Some(200 * STEP));
            filling.started = start;
            for at in &found {
                filling.find(0, at * STEP);
            }
            let unwatched = filling.unwatched();
            assert_eq!(unwatched.is_empty(), expected, "{start:?} {found:?}");
            assert!(filling.lost().is_empty());
        }
    }

    #[test]
    fn a_source_whose_clock_is_ahead_proves_nothing() {
        for (before, expected) in [(99, true), (100, false), (101, true), (900, true)] {
            let mut filling = filling(Some(before * STEP), None);
            filling.started = started(101);
            let is_unwatched = !filling.unwatched().is_empty();
            assert_eq!(is_unwatched, expected, "{before}");
        }
    }

    #[test]
    fn what_is_missing_anyway_is_not_told_twice() {
        let mut filling = filling(None, None);
        filling.started = started(150);
        assert_eq!(filling.unwatched(), BTreeSet::from([0]));
        filling.give_up();
        assert_eq!(filling.lost(), BTreeSet::from([0]));
        assert_eq!(filling.unwatched(), BTreeSet::new());
    }
}
