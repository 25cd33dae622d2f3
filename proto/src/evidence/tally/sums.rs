//! What a machine's counting leaves add up to.

use std::collections::BTreeMap;

use super::milli::reading;
use super::room::{Room, add, sum};
use super::session::{Span, length};
use crate::ledger::UsageLeaf;
use crate::{Outcome, State, Time};

/// Maps of a machine that are listed at most.
const MAPS_MAX: usize = 1_000;

/// What a day takes.
const DAY_BYTES: usize = 256;

/// Asia/Shanghai is so far ahead of UTC, without summer time.
const SHANGHAI_MS: i64 = 8 * 3_600_000;

const DAY_MS: i64 = 86_400_000;

/// What a machine's counting leaves add up to.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) ms: BTreeMap<State, u64>,
    pub(super) active_ms: u64,
    pub(super) outside_ms: u64,
    pub(super) energy: Option<Energy>,
    pub(super) counter_milli: Option<u64>,
    pub(super) counter_run_ms: u64,
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) bookings: BTreeMap<Outcome, u64>,
    pub(super) maps: Vec<u32>,
    /// By the day's number since 1970 in Asia/Shanghai.
    pub(super) days: BTreeMap<i64, BTreeMap<State, u64>>,
    /// Without activity and with a reading of the meter.
    pub(super) base: Base,
}

/// What the meter counted, mWh.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Energy {
    pub(super) session: u64,
    pub(super) idle: u64,
    pub(super) run: u64,
    pub(super) run_ms: u64,
}

/// What the machine takes while nobody uses it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Base {
    pub(super) rises_mwh: u64,
    pub(super) ms: u64,
}

impl Sums {
    /// Adds a counting usage leaf.
    pub(super) fn count(&mut self, span: &Span<'_>, room: &mut Room) {
        let leaf = span.leaf;
        for (state, ms) in leaf.ms.iter().filter(|(_, ms)| **ms > 0) {
            add(self.ms.entry(*state).or_default(), *ms);
        }
        add(&mut self.active_ms, span.active_ms);
        if leaf.session.is_none() {
            add(&mut self.outside_ms, span.active_ms);
        }
        add(&mut self.good, leaf.good);
        add(&mut self.bad, leaf.bad);
        let run_ms = leaf.ms.get(&State::Run).copied().unwrap_or(0);
        if let Some((rises, _)) = reading(leaf.hours.as_ref()) {
            add(self.counter_milli.get_or_insert(0), rises);
            add(&mut self.counter_run_ms, run_ms);
        }
        if let Some((rises, _)) = span.energy {
            self.count_energy(span, rises, run_ms);
        }
        let is_new = |map: &u32| self.maps.len() < MAPS_MAX && !self.maps.contains(map);
        let map = span.map.filter(is_new);
        if let Some(map) = map.filter(|_| room.take(size_of::<u32>())) {
            self.maps.push(map);
        }
        self.count_day(leaf, room);
    }

    fn count_energy(&mut self, span: &Span<'_>, rises: u64, run_ms: u64) {
        let energy = self.energy.get_or_insert_default();
        let of = match span.leaf.session {
            Some(_) => &mut energy.session,
            None => &mut energy.idle,
        };
        add(of, rises);
        let mut others = span.leaf.ms.iter();
        let is_run = others.all(|(state, ms)| *state == State::Run || *ms == 0);
        if is_run && run_ms > 0 {
            add(&mut energy.run, rises);
            add(&mut energy.run_ms, run_ms);
        }
        if span.active_ms == 0 {
            add(&mut self.base.rises_mwh, rises);
            add(&mut self.base.ms, length(span.leaf));
        }
    }

    fn count_day(&mut self, leaf: &UsageLeaf, room: &mut Room) {
        let day = leaf.from.plus_millis(SHANGHAI_MS).as_millis();
        let day = day.div_euclid(DAY_MS);
        if !self.days.contains_key(&day) && !room.take(DAY_BYTES) {
            return;
        }
        let states = self.days.entry(day).or_default();
        for (state, ms) in leaf.ms.iter().filter(|(_, ms)| **ms > 0) {
            add(states.entry(*state).or_default(), *ms);
        }
    }

    /// Milliseconds of a state that is known, of a period of so many.
    pub(super) fn known_ms(&self, period_ms: u64) -> u64 {
        let known = self
            .ms
            .iter()
            .filter(|(state, _)| **state != State::Unknown);
        sum(known.map(|(_, ms)| *ms)).min(period_ms)
    }

    /// The days by their dates (`2026-11-29`). A day without any time is left out.
    pub(super) fn days_by_date(&self) -> BTreeMap<String, BTreeMap<State, u64>> {
        let dated = |(day, states): (&i64, &BTreeMap<State, u64>)| {
            let begin = Time::from_millis(day.saturating_mul(DAY_MS));
            let date = begin.to_string();
            let date = date.split('T').next().unwrap_or_default().to_owned();
            (date, states.clone())
        };
        let days = self.days.iter().filter(|(_, states)| !states.is_empty());
        days.map(dated).collect()
    }
}
