//! What is known of each point of a machine: its last good value, when that came, whether it still
//! stands, and since when it has not changed.
//!
//! A reading that the device itself calls bad takes the last good value away at once; silence leaves
//! it standing until the group's `stale_after` has passed. Where a source vouches that nothing changed,
//! the last good value is as fresh as that word. Nothing is allocated for a sample but a text that
//! differs from the one before, and nothing for a word. Memory: one record a point.

use std::time::Duration;

use super::rule::{PointView, Window};
use crate::config::model::MachineMap;
use crate::sample::{Bad, Sample, Value};

/// What is known of one point, for people.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PointStanding<'a> {
    /// The last good value.
    pub value: Option<&'a Value>,
    /// When it was received, on the boot clock.
    pub good_ms: Option<i64>,
    /// The newest reading, if it was bad.
    pub bad: Option<Bad>,
    /// When that was received, on the boot clock.
    pub bad_ms: Option<i64>,
}

/// What is known of every point.
#[derive(Debug)]
pub(super) struct Points {
    points: Vec<Point>,
    groups: Vec<Group>,
    /// The newest good reading of any point.
    observed_ms: Option<i64>,
}

#[derive(Debug)]
struct Point {
    good: Option<Good>,
    /// The newest reading, if it was bad.
    bad: Option<(Bad, i64)>,
    /// Why there is no good value, as the device itself has said since the last one.
    denied: Option<Bad>,
    group: u16,
    stale_after_ms: i64,
}

#[derive(Debug)]
struct Good {
    value: Value,
    at_ms: i64,
    /// Since when the value has been watched without a change.
    steady_ms: i64,
    /// It began to be steady by a change, not by being seen for the first time.
    has_changed: bool,
}

#[derive(Debug)]
struct Group {
    /// The newest good value that still stands.
    newest_ms: Option<i64>,
    stale_after_ms: i64,
}

/// A duration in the milliseconds of the boot clock.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Points {
    /// Points of which nothing is known yet.
    pub(super) fn new(map: &MachineMap) -> Self {
        let groups: Vec<Group> = map
            .groups
            .iter()
            .map(|group| Group {
                newest_ms: None,
                stale_after_ms: millis(group.stale_after),
            })
            .collect();
        let points = map.points.iter().map(|point| {
            let group = groups.get(usize::from(point.group));
            Point {
                good: None,
                bad: None,
                denied: None,
                group: point.group,
                stale_after_ms: group.map_or(0, |group| group.stale_after_ms),
            }
        });
        Self {
            points: points.collect(),
            groups,
            observed_ms: None,
        }
    }

    /// Takes in what one reading of a group gave.
    pub(super) fn take(&mut self, at_ms: i64, group: u16, samples: &[Sample]) {
        let Some(state) = self.groups.get_mut(usize::from(group)) else {
            return;
        };
        let (mut is_good, mut lost_newest) = (false, false);
        for sample in samples {
            let Some(point) = self.points.get_mut(usize::from(sample.point)) else {
                continue;
            };
            match &sample.reading {
                Ok(value) => {
                    point.take_good(at_ms, value);
                    is_good = true;
                }
                Err(bad) => {
                    lost_newest |= bad.is_spoken()
                        && point.denied.is_none()
                        && point
                            .good_ms()
                            .is_some_and(|good| Some(good) == state.newest_ms);
                    point.bad = Some((*bad, at_ms));
                    if bad.is_spoken() {
                        point.denied = Some(*bad);
                    }
                }
            }
        }
        if is_good {
            state.newest_ms = Some(at_ms);
            self.observed_ms = Some(at_ms);
        } else if lost_newest {
            let standing = self.points.iter().filter(|point| point.group == group);
            state.newest_ms = standing
                .filter(|point| point.denied.is_none())
                .filter_map(Point::good_ms)
                .max();
        }
    }

    /// Takes in a source's word that these points of a group are still as they were last told: a good
    /// value is as fresh as the word, and goes on being steady; what the device denied stays denied.
    /// A point that was never told stays unknown.
    pub(super) fn stand(&mut self, at_ms: i64, group: u16, points: &[u16]) {
        let Some(state) = self.groups.get_mut(usize::from(group)) else {
            return;
        };
        for place in points {
            let point = self.points.get_mut(usize::from(*place));
            let Some(point) = point.filter(|point| point.group == group) else {
                continue;
            };
            if let Some(bad) = point.denied {
                point.bad = Some((bad, at_ms));
            } else if let Some(good) = &mut point.good {
                good.at_ms = at_ms;
                point.bad = None;
                state.newest_ms = Some(at_ms);
                self.observed_ms = Some(at_ms);
            }
        }
    }

    fn get(&self, point: u16) -> Option<&Point> {
        self.points.get(usize::from(point))
    }

    /// What is known of a point; of a point outside the map, nothing.
    pub(super) fn standing(&self, point: u16) -> PointStanding<'_> {
        let point = self.get(point);
        let good = point.and_then(|point| point.good.as_ref());
        let bad = point.and_then(|point| point.bad);
        PointStanding {
            value: good.map(|good| &good.value),
            good_ms: good.map(|good| good.at_ms),
            bad: bad.map(|(bad, _)| bad),
            bad_ms: bad.map(|(_, at_ms)| at_ms),
        }
    }

    /// How many points there are.
    pub(super) fn count(&self) -> usize {
        self.points.len()
    }

    /// The newest good reading of any point.
    pub(super) fn observed_ms(&self) -> Option<i64> {
        self.observed_ms
    }

    /// Whether any point is fresh and good.
    pub(super) fn is_any_fresh(&self, now_ms: i64) -> bool {
        self.group_deadlines().any(|deadline| deadline > now_ms)
    }

    /// When each group will have no fresh point left.
    pub(super) fn group_deadlines(&self) -> impl Iterator<Item = i64> {
        self.groups
            .iter()
            .filter_map(|group| Some(group.newest_ms?.saturating_add(group.stale_after_ms)))
    }

    /// When each group will have been silent for too long, had it never been read since the start.
    pub(super) fn start_deadlines(&self, started_ms: i64) -> impl Iterator<Item = i64> {
        self.groups
            .iter()
            .map(move |group| started_ms.saturating_add(group.stale_after_ms))
    }

    /// When the point was last read well; none if that value no longer stands for other reasons
    /// than its age.
    pub(super) fn standing_since_ms(&self, point: u16) -> Option<i64> {
        let point = self.get(point).filter(|point| point.denied.is_none())?;
        point.good_ms()
    }

    /// When the point's good value will be stale, or was.
    pub(super) fn stale_ms(&self, point: u16) -> Option<i64> {
        let point = self.get(point).filter(|point| point.denied.is_none())?;
        Some(point.good_ms()?.saturating_add(point.stale_after_ms))
    }

    /// When `changed` over this window will say something else if nothing is read, or did.
    pub(super) fn window_deadline(&self, window: Window) -> Option<i64> {
        let good = self.get(window.point)?.good.as_ref()?;
        Some(good.steady_ms.saturating_add(window.length_ms))
    }

    /// Whether the device itself has said that the point has no good value.
    pub(super) fn is_denied(&self, point: u16) -> bool {
        self.get(point).is_some_and(|point| point.denied.is_some())
    }

    /// How long the point's good value stands in silence.
    pub(super) fn stale_after_ms(&self, point: u16) -> i64 {
        self.get(point).map_or(0, |point| point.stale_after_ms)
    }

    /// The points as rules see them at a moment.
    pub(super) fn at(&self, now_ms: i64) -> PointsAt<'_> {
        PointsAt {
            points: self,
            now_ms,
        }
    }
}

impl Point {
    fn good_ms(&self) -> Option<i64> {
        self.good.as_ref().map(|good| good.at_ms)
    }

    fn take_good(&mut self, at_ms: i64, value: &Value) {
        self.bad = None;
        self.denied = None;
        let Some(good) = &mut self.good else {
            self.good = Some(Good {
                value: value.clone(),
                at_ms,
                steady_ms: at_ms,
                has_changed: false,
            });
            return;
        };
        let differs = good.value != *value;
        if differs {
            good.value.clone_from(value);
        }
        // Across a silence that made it stale, nobody can say when or how often it changed.
        let was_stale = at_ms.saturating_sub(good.at_ms) >= self.stale_after_ms;
        if was_stale || differs {
            good.steady_ms = at_ms;
            good.has_changed = !was_stale;
        }
        good.at_ms = at_ms;
    }

    fn fresh(&self, now_ms: i64) -> Option<&Good> {
        let good = self.good.as_ref().filter(|_| self.denied.is_none())?;
        (now_ms.saturating_sub(good.at_ms) < self.stale_after_ms).then_some(good)
    }
}

/// The points as rules see them at a moment.
#[derive(Clone, Copy)]
pub(super) struct PointsAt<'a> {
    points: &'a Points,
    now_ms: i64,
}

impl PointView for PointsAt<'_> {
    fn value(&self, point: u16) -> Option<&Value> {
        let good = self.points.get(point)?.fresh(self.now_ms)?;
        Some(&good.value)
    }

    fn changed(&self, window: Window) -> Option<bool> {
        let good = self.points.get(window.point)?.fresh(self.now_ms)?;
        let is_within = self.now_ms.saturating_sub(good.steady_ms) < window.length_ms;
        match (is_within, good.has_changed) {
            (true, true) => Some(true),
            (true, false) => None,
            (false, _) => Some(false),
        }
    }
}
