//! The report: what machines did, by class and grade, with every number's coverage and formula.

use crate::text;
use crate::text::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::{Anomaly, Coverage, Explanation, Figure, Formula, FormulaSaid, Score, shanghai};
use crate::evidence::{Grade, SessionTotals, Verdict};
use crate::{Class, Identifier, Outcome, State, Time};

/// The `kind` of a report.
pub const REPORT_KIND: &str = "lineside-usage-report";

/// What evaluators read: made from verified bundles, by the rules of one file. Its times are UTC; people are shown
/// Asia/Shanghai.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// [`REPORT_KIND`].
    pub kind: String,
    /// By which program.
    pub by: String,
    /// When it was made, by the clock of whoever made it.
    pub made: Time,
    /// The earliest begin of a source's period.
    pub from: Time,
    /// The latest end of a source's period, not in it.
    pub to: Time,
    /// Whether every source verified. Where not, nothing here is worth more than a claim, and whoever shows it says so.
    pub is_verified: bool,
    /// By which rules.
    pub rules: RulesUsed,
    /// Lists that were brought, other than bundles.
    pub lists: Vec<ListUsed>,
    /// The formulae of the figures.
    pub formulas: Vec<FormulaSaid>,
    /// The bundles, by site, gateway and period.
    pub sources: Vec<Source>,
    /// What somebody should look at, the gravest first.
    pub anomalies: Vec<Anomaly>,
    /// All machines together.
    pub whole: GroupReport,
    /// Each site's machines together.
    pub sites: Vec<SiteReport>,
    /// Each line of the asset list.
    pub lines: Vec<LineReport>,
    /// The machines, by site, gateway and name.
    pub machines: Vec<MachineReport>,
}

/// A file that the report rests on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ListUsed {
    /// What it brought.
    pub kind: ListKind,
    /// Its name.
    pub file: String,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// Rows or entries in it.
    pub rows: u64,
    /// Lines of rows that fit no machine of the report; at most a hundred.
    pub unused_lines: Vec<u64>,
}

/// What a file brought.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListKind {
    /// Trusted keys and approved maps.
    Trust,
    /// Numbers, names, values and quotas of machines.
    Assets,
    /// Bookings that nobody signed.
    Bookings,
}

/// The rules that the report was made by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RulesUsed {
    /// Their name.
    pub name: String,
    /// Their version.
    pub version: String,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// The file; null for the rules that are built in.
    pub file: Option<String>,
    /// What they are, for people.
    pub title: Text,
    /// The classes whose hours are effective.
    pub effective: BTreeSet<Class>,
    /// The classes whose hours are external.
    pub external: BTreeSet<Class>,
    /// Below this coverage figures are shown and not scored, in thousandths.
    pub minimum_coverage_pm: u32,
    /// The quotas a year, in hours, by category.
    pub quotas: BTreeMap<String, u32>,
}

/// A bundle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Its file.
    pub file: String,
    /// What its verifier said.
    pub verdict: Verdict,
    /// What its verifier found wrong, or what somebody should know: the first findings.
    pub said: Vec<String>,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The ledger's origin.
    pub origin: String,
    /// The period's begin.
    pub from: Time,
    /// The period's end, not in it.
    pub to: Time,
    /// The first leaf in the bundle.
    pub first: u64,
    /// The leaf after its last.
    pub end: u64,
    /// The leaves that the older checkpoint commits to; 0 without one.
    pub start_size: u64,
    /// The leaves that the newer checkpoint commits to.
    pub size: u64,
    /// The root that it commits to, base64.
    pub root: String,
    /// When a trusted witness cosigned the newest head; null for none.
    pub cosigned: Option<Time>,
    /// That this ledger was begun anew in the period, after another of the gateway; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<BegunAnew>,
}

/// A ledger that was begun after another of its gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BegunAnew {
    /// When.
    pub at: Time,
    /// Why, as the person who did it said.
    pub reason: String,
    /// The origin of the ledger before.
    pub prior: String,
    /// The leaves of it that the first leaf of this one cites.
    pub size: u64,
}

impl BegunAnew {
    /// In words, without the reason.
    pub fn said(&self) -> Text {
        let at = shanghai::moment(self.at);
        text!(
            "the ledger was begun anew on {at}",
            "台账已于 {at} 重新建立"
        )
    }
}

/// A time without a hole.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema,
)]
pub struct Span {
    /// Its begin.
    pub from: Time,
    /// Its end, not in it.
    pub to: Time,
}

/// What the asset list says of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Asset {
    /// Its number with its unit.
    pub number: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// The unit that owns it.
    pub unit: Option<String>,
    /// The unit's unified social credit code.
    pub credit_code: Option<String>,
    /// Its original value, in hundredths of a yuan.
    pub original_value_fen: Option<u64>,
    /// The category whose quota it has.
    pub category: Option<String>,
    /// Its quota a year in hours, where it has one of its own.
    pub quota_h: Option<u32>,
    /// The day from which it is counted (`2026-11-29`, Asia/Shanghai).
    pub start_date: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The line that it is part of.
    pub line: Option<String>,
    /// Income from the unit's own use in the time reported, in hundredths of a yuan.
    pub income_inside_fen: Option<u64>,
    /// Income from others in the time reported, in hundredths of a yuan.
    pub income_outside_fen: Option<u64>,
}

/// The quota that a machine is measured by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// The category; null where the machine has a quota of its own.
    pub category: Option<String>,
    /// Hours a year.
    pub hours_a_year: u32,
    /// The part of it that falls into the time reported.
    pub ms: u64,
}

/// The figures of a machine, or of machines together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// H_e.
    pub effective: Figure,
    /// H_x.
    pub external: Figure,
    /// H_e / Q.
    pub utilisation: Figure,
    /// H_x / H_e.
    pub sharing: Figure,
    /// Kept bookings of those that could be kept.
    pub fulfilment: Figure,
    /// H_e of grades A and B / H_e.
    pub verified: Figure,
    /// Energy of an hour in sessions.
    pub energy_per_hour: Figure,
    /// The part of the energy that was used outside sessions.
    pub idle_energy: Figure,
    /// What hour counters counted of RUN.
    pub hour_counter: Figure,
    /// Income over original value, by the asset list.
    pub income: Figure,
}

impl Figures {
    /// The figure of a formula; none for those that only groups and lines have.
    pub const fn of(&self, formula: Formula) -> Option<&Figure> {
        Some(match formula {
            Formula::EffectiveHours => &self.effective,
            Formula::ExternalHours => &self.external,
            Formula::Utilisation => &self.utilisation,
            Formula::Sharing => &self.sharing,
            Formula::Fulfilment => &self.fulfilment,
            Formula::VerifiedShare => &self.verified,
            Formula::EnergyPerHour => &self.energy_per_hour,
            Formula::IdleEnergy => &self.idle_energy,
            Formula::HourCounter => &self.hour_counter,
            Formula::Income => &self.income,
            Formula::MeanEffective | Formula::MeanExternal | Formula::LineHours => return None,
        })
    }
}

/// What machines did, as numbers that add up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sums {
    /// Milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// Activity in sessions by class and grade, milliseconds; zeros are left out.
    pub hours: BTreeMap<Class, BTreeMap<Grade, u64>>,
    /// Activity.
    pub active_ms: u64,
    /// Of it, outside sessions.
    pub outside_ms: u64,
    /// Of `hours`, EXT that rests on the bookings file alone: grade D.
    pub listed_ms: u64,
    /// Sessions.
    pub sessions: u64,
    /// Bookings by what became of them.
    pub bookings: BTreeMap<Outcome, u64>,
    /// Distinct organisations of external sessions.
    pub organisations: u64,
    /// Energy in sessions, mWh; null without a meter.
    pub energy_session_mwh: Option<u64>,
    /// Energy outside sessions, mWh; null without a meter.
    pub energy_idle_mwh: Option<u64>,
}

/// Machines together, in machine-hours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GroupReport {
    /// Machines.
    pub machines: u64,
    /// Machines whose coverage is enough to be scored.
    pub scored_machines: u64,
    /// How much of their time was watched.
    pub coverage: Coverage,
    /// Their quotas together; null where no machine has one.
    pub quota_ms: Option<u64>,
    /// Their sums.
    pub sums: Sums,
    /// Their figures.
    pub figures: Figures,
    /// ΣH_e / N.
    pub mean_effective: Figure,
    /// ΣH_x / N.
    pub mean_external: Figure,
    /// The points; null where the rules give none.
    pub score: Option<Score>,
}

/// A site.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SiteReport {
    /// The site.
    pub site: Identifier,
    /// Its machines together.
    pub machines: GroupReport,
}

/// A line. Line-hours and machine-hours are different things, and nothing adds one to the other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LineReport {
    /// The site.
    pub site: Identifier,
    /// The line, as the asset list calls it.
    pub line: String,
    /// Its machines, as `gateway/machine`.
    pub members: Vec<String>,
    /// The time during which a counting session ran on at least one of them.
    pub line_hours: Figure,
    /// Of it, external sessions only.
    pub external_line_hours: Figure,
    /// The same machines, in machine-hours.
    pub machines: GroupReport,
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineReport {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// Its name there.
    pub machine: Identifier,
    /// What the asset list says; null where it does not name it.
    pub asset: Option<Asset>,
    /// The times that are reported; what adjoins is one.
    pub spans: Vec<Span>,
    /// How much of them was watched.
    pub coverage: Coverage,
    /// Whether that is enough to be scored.
    pub is_scored: bool,
    /// Its quota; null where the rules give it none.
    pub quota: Option<Quota>,
    /// Its sums.
    pub sums: Sums,
    /// Its figures.
    pub figures: Figures,
    /// Where the calendar's hours went.
    pub explanation: Explanation,
    /// The points; null where the rules give none.
    pub score: Option<Score>,
    /// Its maps, in order of appearance.
    pub maps: Vec<String>,
    /// Its sessions, in order of their begin.
    pub sessions: Vec<SessionReport>,
    /// Milliseconds by state of each day in Asia/Shanghai (`2026-11-29`).
    pub days: BTreeMap<String, BTreeMap<State, u64>>,
}

/// A session as it counts in the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionReport {
    /// What the ledger says; `class`, `grade` and `why` as they count here.
    #[serde(flatten)]
    pub totals: SessionTotals,
    /// The booking of the bookings file that its class rests on; null where it rests on the ledger.
    pub listed: Option<String>,
    /// The class that the ledger says, where the bookings file gave another; else null.
    pub recorded_class: Option<Class>,
}
