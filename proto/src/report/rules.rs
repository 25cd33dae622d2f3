//! Rule files: quotas, what counts, thresholds, and a score where a city wants one.

use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

use super::{Formula, InputFaults, RulesUsed};
use crate::Class;

mod raw;

pub(super) use raw::decimal;

/// The rules that hold unless a file says otherwise.
const NATIONAL: &str = include_str!("../../../config/scoring/national.toml");

/// By what a report counts and measures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Their name.
    pub name: String,
    /// Their version.
    pub version: String,
    /// What they are, for people.
    pub title: Text,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// The file; none for those that are built in.
    pub file: Option<String>,
    /// Hours a year by category.
    pub quotas: BTreeMap<String, u32>,
    /// The category of machines that the asset list gives none; none: they have no quota.
    pub default_category: Option<String>,
    /// The classes whose hours are effective.
    pub effective: BTreeSet<Class>,
    /// The classes whose hours are external: some of the effective ones.
    pub external: BTreeSet<Class>,
    /// Below this coverage, in thousandths, figures are shown and not scored.
    pub minimum_coverage_pm: u32,
    /// As how many hundredths of a yuan one from outside counts.
    pub outside_factor_hundredths: u64,
    /// What is reported as an anomaly.
    pub thresholds: Thresholds,
    /// The parts of the score; none: no score.
    pub parts: Vec<Part>,
}

/// A part of a score: points = figure / target × points, at most the cap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// What people call it.
    pub name: Text,
    /// The figure.
    pub figure: Formula,
    /// The figure that gives the points, in hundredths of its unit.
    pub target_hundredths: u64,
    /// The points, in hundredths.
    pub points_hundredths: u64,
    /// More than these are not given, in hundredths.
    pub cap_hundredths: u64,
}

/// From where on something is an anomaly. The defaults are those of the national rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// Wh of a RUN hour on one day: so many percent from the machine's median of days.
    pub energy_percent: u32,
    /// Days with less RUN than this say nothing.
    pub energy_minutes: u32,
    /// The hour counter against RUN: so many percent apart.
    pub counter_percent: u32,
    /// Activity without a booking: more than so many percent.
    pub outside_percent: u32,
    /// A session shorter than this is short.
    pub short_minutes: u32,
    /// More than so many percent of the sessions are short.
    pub short_percent: u32,
    /// At least so many are.
    pub short_count: u32,
    /// Active without a pause for so long.
    pub nonstop_hours: u32,
    /// The clock was set by so much.
    pub clock_step_seconds: u32,
    /// Of a booked slot, not watched.
    pub hole_minutes: u32,
    /// One organisation at once on so many machines.
    pub organisation_machines: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            energy_percent: 50,
            energy_minutes: 30,
            counter_percent: 10,
            outside_percent: 10,
            short_minutes: 10,
            short_percent: 30,
            short_count: 10,
            nonstop_hours: 24,
            clock_step_seconds: 2,
            hole_minutes: 30,
            organisation_machines: 3,
        }
    }
}

impl Rules {
    /// The rules that are built in: `config/scoring/national.toml`.
    ///
    /// # Errors
    ///
    /// None, as a test of this crate sees to.
    pub fn national() -> Result<Self, InputFaults> {
        let rules = Self::read(NATIONAL.as_bytes(), "national.toml")?;
        Ok(Self {
            file: None,
            ..rules
        })
    }

    /// Reads a rule file.
    ///
    /// # Errors
    ///
    /// Every fault with its line: a key that is not known, missing or out of bounds.
    pub fn read(bytes: &[u8], file: &str) -> Result<Self, InputFaults> {
        raw::read(bytes, file)
    }

    /// What a report says of them.
    pub fn used(&self) -> RulesUsed {
        RulesUsed {
            name: self.name.clone(),
            version: self.version.clone(),
            sha256: self.sha256.clone(),
            file: self.file.clone(),
            title: self.title.clone(),
            effective: self.effective.clone(),
            external: self.external.clone(),
            minimum_coverage_pm: self.minimum_coverage_pm,
            quotas: self.quotas.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
