//! What figures are made of, of a machine or of machines together: numbers that may be added.

use std::collections::{BTreeMap, BTreeSet};

use super::{Coverage, Figure, Figures, Formula, HOUR_MS, Rules, Sums};
use crate::Outcome;
use crate::evidence::Grade;

/// Numbers of machines that may be added. Sums saturate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Account {
    pub(super) machines: u64,
    pub(super) sums: Sums,
    pub(super) known_ms: u64,
    pub(super) period_ms: u64,
    /// Quotas, and the effective hours of the machines that have one.
    pub(super) quota: Option<Part>,
    /// Energy of counting sessions that have a meter, and their activity.
    pub(super) energy: Option<Part>,
    /// What hour counters counted, and RUN of the same spans.
    pub(super) counter: Option<Part>,
    /// Income with its factor, and original value, in ten-thousandths of a yuan.
    pub(super) income: Option<Part>,
    /// Organisations of external sessions.
    pub(super) organisations: BTreeSet<String>,
}

/// What stands above and below the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) above: u64,
    pub(super) below: u64,
}

pub(super) fn plus(place: &mut u64, more: u64) {
    *place = place.saturating_add(more);
}

pub(super) fn plus_known(place: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *place = Some(place.unwrap_or(0).saturating_add(more));
    }
}

pub(super) fn plus_map<K: Ord + Copy>(place: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, more) in more {
        plus(place.entry(*key).or_default(), *more);
    }
}

fn plus_part(place: &mut Option<Part>, more: Option<Part>) {
    let Some(more) = more else { return };
    let sum = place.get_or_insert(Part { above: 0, below: 0 });
    plus(&mut sum.above, more.above);
    plus(&mut sum.below, more.below);
}

impl Account {
    /// The sum of several.
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.add(part);
        }
        sum
    }

    fn add(&mut self, more: &Self) {
        plus(&mut self.machines, more.machines);
        plus(&mut self.known_ms, more.known_ms);
        plus(&mut self.period_ms, more.period_ms);
        plus_part(&mut self.quota, more.quota);
        plus_part(&mut self.energy, more.energy);
        plus_part(&mut self.counter, more.counter);
        plus_part(&mut self.income, more.income);
        self.organisations
            .extend(more.organisations.iter().cloned());
        let (sums, more) = (&mut self.sums, &more.sums);
        plus_map(&mut sums.ms, &more.ms);
        plus_map(&mut sums.bookings, &more.bookings);
        for (class, grades) in &more.hours {
            plus_map(sums.hours.entry(*class).or_default(), grades);
        }
        plus(&mut sums.active_ms, more.active_ms);
        plus(&mut sums.outside_ms, more.outside_ms);
        plus(&mut sums.listed_ms, more.listed_ms);
        plus(&mut sums.sessions, more.sessions);
        plus_known(&mut sums.energy_session_mwh, more.energy_session_mwh);
        plus_known(&mut sums.energy_idle_mwh, more.energy_idle_mwh);
        sums.organisations = u64::try_from(self.organisations.len()).unwrap_or(u64::MAX);
    }

    pub(super) fn coverage(&self) -> Coverage {
        Coverage::new(self.known_ms, self.period_ms)
    }

    /// H_e.
    pub(super) fn effective_ms(&self, rules: &Rules) -> u64 {
        self.hours(rules, |_| true)
    }

    /// H_x.
    pub(super) fn external_ms(&self, rules: &Rules) -> u64 {
        let hours = self.sums.hours.iter();
        let external = hours.filter(|(class, _)| rules.external.contains(class));
        sum(external.flat_map(|(_, grades)| grades.values()))
    }

    fn hours(&self, rules: &Rules, counts: impl Fn(Grade) -> bool) -> u64 {
        let hours = self.sums.hours.iter();
        let effective = hours.filter(|(class, _)| rules.effective.contains(class));
        let grades = effective.flat_map(|(_, grades)| grades);
        sum(grades
            .filter(|(grade, _)| counts(**grade))
            .map(|(_, ms)| ms))
    }

    pub(super) fn figures(&self, rules: &Rules) -> Figures {
        let coverage = self.coverage();
        let (effective, external) = (self.effective_ms(rules), self.external_ms(rules));
        let verified = self.hours(rules, |grade| grade <= Grade::B);
        let figure =
            |formula, above, below| Figure::new(formula, Some(above), Some(below), coverage);
        let part = |formula, part: Option<Part>| {
            let (above, below) = (part.map(|part| part.above), part.map(|part| part.below));
            Figure::new(formula, above, below, coverage)
        };
        let kept = self.bookings(is_kept);
        let asked = self.bookings(is_asked);
        let idle = self.sums.energy_idle_mwh;
        let session = self.sums.energy_session_mwh;
        let all = idle
            .zip(session)
            .map(|(idle, session)| idle.saturating_add(session));
        Figures {
            effective: figure(Formula::EffectiveHours, effective, HOUR_MS),
            external: figure(Formula::ExternalHours, external, HOUR_MS),
            utilisation: part(Formula::Utilisation, self.quota),
            sharing: figure(Formula::Sharing, external, effective),
            fulfilment: figure(Formula::Fulfilment, kept, asked),
            verified: figure(Formula::VerifiedShare, verified, effective),
            energy_per_hour: part(Formula::EnergyPerHour, self.energy),
            idle_energy: Figure::new(Formula::IdleEnergy, idle, all, coverage),
            hour_counter: part(Formula::HourCounter, self.counter),
            income: part(Formula::Income, self.income),
        }
    }

    /// An average over the machines.
    pub(super) fn mean(&self, formula: Formula, ms: u64) -> Figure {
        let hours = self.machines.saturating_mul(HOUR_MS);
        Figure::new(formula, Some(ms), Some(hours), self.coverage())
    }

    fn bookings(&self, counts: impl Fn(Outcome) -> bool) -> u64 {
        let bookings = self.sums.bookings.iter();
        sum(bookings
            .filter(|(outcome, _)| counts(**outcome))
            .map(|(_, count)| count))
    }
}

fn sum<'a>(values: impl Iterator<Item = &'a u64>) -> u64 {
    values.fold(0, |sum, value| sum.saturating_add(*value))
}

/// Whether a booking was kept: somebody came and used the machine in its slot, be it for longer or shorter than booked.
pub(super) const fn is_kept(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Fulfilled | Outcome::Overrun | Outcome::EarlyLeave => true,
        Outcome::NoShow | Outcome::Indeterminate | Outcome::PlatformFault | Outcome::Cancelled => {
            false
        }
    }
}

/// Whether a booking could have been kept, as far as one can know.
pub(super) const fn is_asked(outcome: Outcome) -> bool {
    is_kept(outcome) || matches!(outcome, Outcome::NoShow)
}
