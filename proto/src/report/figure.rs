//! Figures: a number never stands without the coverage that it rests on, nor without what it was made of.

use crate::text::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of a time was watched. Every other figure is worth no more than this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Milliseconds of a state that is known.
    known_ms: u64,
    /// Milliseconds of the time that is reported.
    period_ms: u64,
    /// The one over the other, in thousandths, rounded down; 0 of no time.
    thousandths: u32,
}

impl Coverage {
    /// The coverage of a time, or of the machine-times of several machines together. More than all is all.
    pub fn new(known_ms: u64, period_ms: u64) -> Self {
        let known_ms = known_ms.min(period_ms);
        let share = u128::from(known_ms) * 1000;
        let thousandths = share.checked_div(u128::from(period_ms)).unwrap_or(0);
        Self {
            known_ms,
            period_ms,
            thousandths: u32::try_from(thousandths).unwrap_or(1000),
        }
    }

    /// Milliseconds of a state that is known.
    pub const fn known_ms(self) -> u64 {
        self.known_ms
    }

    /// Milliseconds of the time that is reported.
    pub const fn period_ms(self) -> u64 {
        self.period_ms
    }

    /// The one over the other, in thousandths, rounded down; 0 of no time.
    pub const fn thousandths(self) -> u32 {
        self.thousandths
    }
}

/// What a figure is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Hours.
    Hours,
    /// Hundredths of a whole.
    Percent,
    /// Watt hours for each hour.
    WattHoursPerHour,
}

/// A number, the coverage that it rests on, and what it was made of. There is no way to make or to write one without.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// Hundredths of the unit (1234 percent-hundredths are 12.34 %), rounded down; null where there is nothing to divide by.
    hundredths: Option<u64>,
    /// What it is counted in.
    unit: Unit,
    /// How much of the time that it speaks of was watched.
    coverage: Coverage,
    /// What it was made of.
    basis: Basis,
}

/// What a figure was made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// The formula; the report's list says it in words, with its source.
    pub formula: Formula,
    /// What stands above the line: milliseconds, mWh, a number of bookings or ten-thousandths of a yuan, as the formula
    /// says; null where nothing was measured.
    pub above: Option<u64>,
    /// What stands below the line: the same terms, but milliseconds below energy; null where nothing was measured.
    pub below: Option<u64>,
}

impl Figure {
    /// A figure by its formula. It has no value where one of its parts was not measured, or `below` is 0.
    pub fn new(
        formula: Formula,
        above: Option<u64>,
        below: Option<u64>,
        coverage: Coverage,
    ) -> Self {
        let value = above.zip(below).and_then(|(above, below)| {
            let scaled = u128::from(above) * u128::from(formula.scale());
            let value = scaled.checked_div(u128::from(below))?;
            Some(u64::try_from(value).unwrap_or(u64::MAX))
        });
        Self {
            hundredths: value,
            unit: formula.unit(),
            coverage,
            basis: Basis {
                formula,
                above,
                below,
            },
        }
    }

    /// Hundredths of the unit, rounded down; none where there is nothing to divide by.
    pub const fn hundredths(&self) -> Option<u64> {
        self.hundredths
    }

    /// What it is counted in.
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// How much of the time that it speaks of was watched.
    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// What it was made of.
    pub const fn basis(&self) -> &Basis {
        &self.basis
    }
}

/// By what a figure is made. Times are milliseconds on both sides of the line unless it is said otherwise.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Formula {
    /// H_e: activity in sessions of the classes that count.
    EffectiveHours,
    /// H_x: of it, in sessions of the classes that are external.
    ExternalHours,
    /// H_e / Q.
    Utilisation,
    /// H_x / H_e.
    Sharing,
    /// Bookings kept / (bookings − indeterminate − platform fault − cancelled).
    Fulfilment,
    /// H_e of grades A and B / H_e.
    VerifiedShare,
    /// Energy in sessions / activity in sessions.
    EnergyPerHour,
    /// Energy outside sessions / all energy.
    IdleEnergy,
    /// What the machine's hour counter counted / RUN over the same spans.
    HourCounter,
    /// (income inside + factor × income outside) / original value.
    Income,
    /// ΣH_e / N machines.
    MeanEffective,
    /// ΣH_x / N machines.
    MeanExternal,
    /// The union of the intervals of a line's counting sessions: in hours of the line, not of machines.
    LineHours,
}

/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;

impl Formula {
    /// All formulae.
    pub const ALL: [Self; 13] = [
        Self::EffectiveHours,
        Self::ExternalHours,
        Self::Utilisation,
        Self::Sharing,
        Self::Fulfilment,
        Self::VerifiedShare,
        Self::EnergyPerHour,
        Self::IdleEnergy,
        Self::HourCounter,
        Self::Income,
        Self::MeanEffective,
        Self::MeanExternal,
        Self::LineHours,
    ];

    /// What its figure is counted in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::EffectiveHours
            | Self::ExternalHours
            | Self::MeanEffective
            | Self::MeanExternal
            | Self::LineHours => Unit::Hours,
            Self::Utilisation
            | Self::Sharing
            | Self::Fulfilment
            | Self::VerifiedShare
            | Self::IdleEnergy
            | Self::HourCounter
            | Self::Income => Unit::Percent,
            Self::EnergyPerHour => Unit::WattHoursPerHour,
        }
    }

    /// By what the upper part is multiplied so that the quotient is in hundredths of the unit. Hours stand over the
    /// milliseconds of one hour (of N hours for means), so that they are quotients as well.
    const fn scale(self) -> u64 {
        match self.unit() {
            Unit::Hours => 100,
            Unit::Percent => 10_000,
            // mWh over ms: Wh/h = (mWh / 1000) / (ms / 3,600,000).
            Unit::WattHoursPerHour => 360_000,
        }
    }
}

/// A formula, for readers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FormulaSaid {
    /// Which.
    pub formula: Formula,
    /// What its figure is counted in.
    pub unit: Unit,
    /// What people call its figure.
    pub name: Text,
    /// How it is made.
    pub text: Text,
    /// Where it comes from.
    pub source: Text,
}
