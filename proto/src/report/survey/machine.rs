//! A machine in the survey.

use std::collections::BTreeMap;

use super::Told;
use crate::ledger::{Counter, GapLeaf, GapReason, LeafBody, LeafHead, StateLeaf, UsageLeaf};
use crate::report::{HOUR_MS, Thresholds, shanghai};
use crate::{State, Time};

/// Pauses that are remembered, to be held against bookings that a file brings: more than a year of hours has.
const PAUSES_MAX: usize = 10_000;

/// What a machine's leaves say beyond its totals.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MachineObserved {
    /// Of the period, the agent did not run.
    pub stopped_ms: u64,
    /// Of the period, the machine got another map.
    pub exchanged_ms: u64,
    /// UNKNOWN in spans in which nothing was read.
    pub unreachable_ms: u64,
    /// UNKNOWN in spans in which something was read.
    pub undecided_ms: u64,
    /// Energy of RUN by day in Asia/Shanghai.
    pub energy: BTreeMap<String, EnergyDay>,
    /// How its map changed.
    pub maps: Told<MapChange>,
    /// Booked slots of which much was not watched.
    pub holes: Told<Hole>,
    /// Times when nobody watched, for bookings that a file brings; the first ten thousand.
    pub pauses: Vec<Pause>,
    /// Times when it was active without a pause.
    pub nonstop: Told<NonStop>,
    map: Option<String>,
    active: Option<Active>,
}

/// Energy of a day's spans that were RUN only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnergyDay {
    /// Rises of the meter.
    pub mwh: u64,
    /// RUN.
    pub ms: u64,
    /// The first and the last leaf that says so.
    pub leaves: (u64, u64),
}

/// A machine got another map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapChange {
    /// The leaf.
    pub index: u64,
    /// When.
    pub at: Time,
    /// The map until then.
    pub from: String,
    /// The map from then on.
    pub to: String,
}

/// A booked slot of which much was not watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hole {
    /// The leaf that tells what became of the booking, or the pause.
    pub index: u64,
    /// The booking.
    pub booking: String,
    /// The slot's begin.
    pub start: Time,
    /// Its end.
    pub end: Time,
    /// Its length.
    pub slot_ms: u64,
    /// Of it, not watched.
    pub unknown_ms: u64,
}

/// A time when nobody watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// The leaf.
    pub index: u64,
    /// Its begin.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

/// A time without a pause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NonStop {
    /// The leaf with which it began.
    pub index: u64,
    /// Its begin.
    pub from: Time,
    /// Its length on the boot's clock.
    pub ms: u64,
}

/// A machine that is active since a leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Active {
    index: u64,
    boot: String,
    since: Time,
    since_ms: i64,
}

impl MachineObserved {
    pub(super) fn take(
        &mut self,
        head: &LeafHead,
        body: &LeafBody,
        period: (Time, Time),
        thresholds: &Thresholds,
    ) {
        let is_in = |at: Time| (period.0..period.1).contains(&at);
        if let LeafBody::Usage(said) = body {
            self.map = Some(said.config.clone());
            if is_in(said.from) {
                self.usage(head.index, said);
            }
        } else if let LeafBody::State(said) = body {
            self.state(head, said, period, thresholds);
        } else if let LeafBody::Gap(said) = body {
            let end = i64::try_from(said.mono_from_ms).unwrap_or(i64::MAX);
            self.rest(&said.from_boot, end, period, thresholds);
            self.gap(head.index, said, period);
        } else if let LeafBody::Config(said) = body {
            let before = self.map.replace(said.map.clone());
            let before = before.filter(|before| *before != said.map && is_in(head.at));
            if let Some(from) = before {
                self.maps.push(MapChange {
                    index: head.index,
                    at: head.at,
                    from,
                    to: said.map.clone(),
                });
            }
        } else if let LeafBody::Booking(said) = body {
            let limit = u64::from(thresholds.hole_minutes) * 60_000;
            if is_in(said.start) && said.unknown_ms >= limit {
                self.holes.push(Hole {
                    index: head.index,
                    booking: said.booking.clone(),
                    start: said.start,
                    end: said.end,
                    slot_ms: said.slot_ms,
                    unknown_ms: said.unknown_ms,
                });
            }
        }
    }

    fn usage(&mut self, index: u64, said: &UsageLeaf) {
        let unknown = said.ms.get(&State::Unknown).copied().unwrap_or(0);
        let place = if said.good == 0 {
            &mut self.unreachable_ms
        } else {
            &mut self.undecided_ms
        };
        *place = place.saturating_add(unknown);
        let all: u64 = said.ms.values().fold(0, |sum, ms| sum.saturating_add(*ms));
        if unknown > 0 && unknown == all {
            self.pause(index, said.from, said.to);
        }
        let run = said.ms.get(&State::Run).copied().unwrap_or(0);
        let rise = said.energy.as_ref().and_then(rise);
        if let Some(mwh) = rise.filter(|_| run > 0 && run == all) {
            let day = self.energy.entry(shanghai::day(said.from));
            let day = day.or_insert(EnergyDay {
                mwh: 0,
                ms: 0,
                leaves: (index, index),
            });
            day.mwh = day.mwh.saturating_add(mwh);
            day.ms = day.ms.saturating_add(run);
            day.leaves.1 = index;
        }
    }

    fn gap(&mut self, index: u64, said: &GapLeaf, period: (Time, Time)) {
        let (from, to) = (said.from.max(period.0), said.to.min(period.1));
        let ms = shanghai::millis(from, to);
        let place = match said.reason {
            GapReason::Agent => &mut self.stopped_ms,
            GapReason::Map => &mut self.exchanged_ms,
        };
        *place = place.saturating_add(ms);
        if ms > 0 {
            self.pause(index, from, to);
        }
    }

    fn pause(&mut self, index: u64, from: Time, to: Time) {
        if self.pauses.len() < PAUSES_MAX {
            self.pauses.push(Pause { index, from, to });
        }
    }

    fn state(
        &mut self,
        head: &LeafHead,
        said: &StateLeaf,
        period: (Time, Time),
        thresholds: &Thresholds,
    ) {
        self.map = Some(said.config.clone());
        if matches!(said.to, State::Setup | State::Run | State::Hold) {
            self.active.get_or_insert_with(|| Active {
                index: head.index,
                boot: head.boot.clone(),
                since: said.since,
                since_ms: said.since_ms,
            });
        } else {
            self.rest(&head.boot, said.since_ms, period, thresholds);
        }
    }

    /// It is no longer active: on this boot's clock, at this moment.
    fn rest(&mut self, boot: &str, end_ms: i64, period: (Time, Time), thresholds: &Thresholds) {
        let Some(active) = self.active.take() else {
            return;
        };
        let ms = u64::try_from(end_ms.saturating_sub(active.since_ms)).unwrap_or(0);
        let length = i64::try_from(ms).unwrap_or(i64::MAX);
        let is_in = active.since < period.1 && active.since.plus_millis(length) > period.0;
        if active.boot == boot && is_in && ms >= u64::from(thresholds.nonstop_hours) * HOUR_MS {
            self.nonstop.push(NonStop {
                index: active.index,
                from: active.since,
                ms,
            });
        }
    }

    pub(super) fn finish(
        &mut self,
        newest: Option<&(String, u64)>,
        period: (Time, Time),
        thresholds: &Thresholds,
    ) {
        if let Some((boot, mono_ms)) = newest {
            let end = i64::try_from(*mono_ms).unwrap_or(i64::MAX);
            self.rest(boot, end, period, thresholds);
        }
    }
}

/// What a meter in Wh counted, in mWh: decimals beyond the third place are cut off.
fn rise(counter: &Counter) -> Option<u64> {
    let (whole, part) = counter
        .delta
        .split_once('.')
        .unwrap_or((&counter.delta, ""));
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part.parse().ok()?)
}
