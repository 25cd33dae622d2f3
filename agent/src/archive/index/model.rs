//! What the index is asked and what it answers: plain types, for the archive's HTTP API and its OpenAPI document.

use lineside_proto::ledger::{CloseReason, GapReason};
use lineside_proto::{
    CheckIn, Class, ClockStatus, Identifier, LocalText, Outcome, Period, State, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::IndexError;
use crate::text;

/// Rows of a page at most: an answer of some hundred kilobytes.
pub const LIMIT_MAX: u32 = 1_000;

/// Rows of a page where nobody says how many.
pub const LIMIT_USUAL: u32 = 100;

/// Days of a period at most: a year, and what is around it.
pub const PERIOD_DAYS_MAX: i64 = 400;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Which rows are wanted. What is not said does not narrow them; each question says what it knows of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Select {
    /// Of this pilot platform.
    pub site: Option<Identifier>,
    /// Of this gateway.
    pub gateway: Option<Identifier>,
    /// Of this machine.
    pub machine: Option<Identifier>,
    /// Of this class.
    pub class: Option<Class>,
    /// Of this booking.
    pub booking: Option<String>,
    /// The period's begin.
    pub from: Option<Time>,
    /// The period's end, not in it.
    pub to: Option<Time>,
    /// Rows at most, 1 to 1,000; 100 unless it is said.
    pub limit: Option<u32>,
    /// Where to go on: the `next` of the page before.
    pub after: Option<String>,
}

impl Select {
    /// Rows of the page.
    ///
    /// # Errors
    ///
    /// [`IndexError::Asked`]: none, or too many.
    pub fn limit(&self) -> Result<u32, IndexError> {
        match self.limit.unwrap_or(LIMIT_USUAL) {
            limit if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            _ => Err(IndexError::Asked(text!(
                "`limit` is a number from 1 to 1000",
                "`limit` 应为 1 至 1000 的整数"
            ))),
        }
    }

    /// The period; all times where none is said.
    ///
    /// # Errors
    ///
    /// [`IndexError::Asked`]: it ends before it begins.
    pub fn period(&self) -> Result<Period, IndexError> {
        let (from, to) = (self.from.unwrap_or(Time::MIN), self.to.unwrap_or(Time::MAX));
        if from >= to {
            return Err(IndexError::Asked(text!(
                "the period ends before it begins: `to` is later than `from`",
                "时段的结束早于开始：`to` 应晚于 `from`"
            )));
        }
        Ok(Period { from, to })
    }

    /// The period, which must be said, be of full UTC hours as usage leaves are, and not be too long.
    ///
    /// # Errors
    ///
    /// [`IndexError::Asked`].
    pub fn period_said(&self) -> Result<Period, IndexError> {
        if self.from.is_none() || self.to.is_none() {
            return Err(IndexError::Asked(text!(
                "`from` and `to` are needed",
                "必须给出 `from` 和 `to`"
            )));
        }
        let period = self.period()?;
        let length_ms = period.to.as_millis() - period.from.as_millis();
        if [period.from, period.to]
            .iter()
            .any(|end| end.as_millis() % HOUR_MS != 0)
        {
            return Err(IndexError::Asked(text!(
                "`from` and `to` are full UTC hours here, such as 2026-11-23T08:00:00Z: hours are counted whole",
                "此处的 `from` 和 `to` 应为 UTC 整点，如 2026-11-23T08:00:00Z：用时按整小时统计"
            )));
        }
        if length_ms > PERIOD_DAYS_MAX * DAY_MS {
            return Err(IndexError::Asked(text!(
                "a period of 400 days at most: bring `from` and `to` closer",
                "时段至多 400 天：请缩小 `from` 与 `to` 的间隔"
            )));
        }
        Ok(period)
    }
}

/// A page of rows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where to go on, as `after`; null where there are no more.
    pub next: Option<String>,
}

/// A pilot platform.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SiteRow {
    /// The pilot platform.
    pub site: Identifier,
    /// Its gateways.
    pub gateways: u64,
    /// Its machines.
    pub machines: u64,
    /// Leaves in the index.
    pub leaves: u64,
    /// When the newest leaf was established.
    pub newest: Option<Time>,
}

/// A gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GatewayRow {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// Its machines.
    pub machines: u64,
    /// When the newest leaf was established.
    pub newest: Option<Time>,
    /// The epochs of its ledger, oldest first.
    pub epochs: Vec<EpochRow>,
}

/// An epoch of a gateway's ledger: a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EpochRow {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The log's origin.
    pub origin: String,
    /// Leaves in the index.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// When the first of them was established.
    pub first: Option<Time>,
    /// When the newest of them was established.
    pub newest: Option<Time>,
    /// Leaves of a kind that the program did not know.
    pub unknown: u64,
    /// Leaves with a number beyond all bounds.
    pub odd: u64,
}

/// A machine, over all epochs of its gateway's ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineRow {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// Its name, if the text of its map is known.
    pub name: Option<LocalText>,
    /// The hash of its newest map.
    pub map: Option<String>,
    /// The earliest moment that a leaf about it tells of.
    pub first: Time,
    /// When the newest leaf about it was established.
    pub newest: Time,
    /// Its state as the newest state leaf says it; what it does now only its availability tells.
    pub state: Option<StateSaid>,
}

/// What a state leaf says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StateSaid {
    /// The state.
    pub state: State,
    /// Its onset.
    pub since: Time,
    /// When it was decided.
    pub decided: Time,
    /// The rule and its place in the map; null for UNKNOWN.
    pub rule: Option<String>,
    /// The epoch of the ledger.
    pub epoch: u32,
    /// The leaf.
    pub leaf: u64,
}

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionRow {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger.
    pub epoch: u32,
    /// The machine.
    pub machine: Identifier,
    /// The session.
    pub session: String,
    /// Its booking; null where nobody booked.
    pub booking: Option<String>,
    /// The hash of the booking's token; null for none.
    pub token: Option<String>,
    /// Its class, as it counts.
    pub class: Class,
    /// The class under which its leaves were written before it was bound to a booking; null where it was not.
    pub class_before: Option<Class>,
    /// How it became known who uses the machine; null where neither begin nor end is known.
    pub check_in: Option<CheckIn>,
    /// Who entered it at the machine, as a pseudonym.
    pub by: Option<String>,
    /// When it began.
    pub from: Option<Time>,
    /// When it ended; null as long as it runs.
    pub to: Option<Time>,
    /// Why it ended; null as long as it runs.
    pub reason: Option<CloseReason>,
    /// What became of its booking; null as long as that is not known.
    pub outcome: Option<Outcome>,
    /// Whether a correction refers to one of its leaves.
    pub is_corrected: bool,
    /// Usage leaves of it that count nowhere: they overlap others on their boot's clock, or hold more time than they are
    /// long. No honest ledger has any.
    pub overlaps: u64,
    /// Milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// Activity: SETUP, RUN, and HOLD as far as it counts.
    pub active_ms: u64,
    /// What an independent meter counted, mWh; null without one.
    pub energy_mwh: Option<u64>,
    /// The leaf of its begin.
    pub open: Option<u64>,
    /// The leaf of its end.
    pub close: Option<u64>,
    /// The leaf that bound it to a booking late.
    pub bind: Option<u64>,
}

/// What became of a booking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeRow {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger.
    pub epoch: u32,
    /// The leaf.
    pub leaf: u64,
    /// When it was decided.
    pub at: Time,
    /// The machine.
    pub machine: Identifier,
    /// The booking.
    pub booking: String,
    /// The hash of its token; null for an unsigned booking.
    pub token: Option<String>,
    /// The class that its session has or would have had.
    pub class: Class,
    /// What became of it.
    pub outcome: Outcome,
    /// How it became known that somebody came.
    pub check_in: CheckIn,
    /// Its session; null if there was none.
    pub session: Option<String>,
    /// When the slot began.
    pub start: Time,
    /// When the slot ended.
    pub end: Time,
    /// The slot's length.
    pub slot_ms: u64,
    /// Activity from half an hour before its start to five minutes after its end.
    pub active_ms: u64,
    /// Of the slot, UNKNOWN or not watched.
    pub unknown_ms: u64,
    /// Of the slot, DOWN or MAINT.
    pub down_ms: u64,
    /// The watched part of the time that the outcome rests on, in thousandths.
    pub coverage_pm: u32,
}

/// What a machine did in a period: the usage leaves that begin in it. They end at the full UTC hour, so that a period
/// of full hours is told to the millisecond.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// The period's length.
    pub period_ms: u64,
    /// Watched milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// Milliseconds of a state that is known, at most the period's length.
    pub known_ms: u64,
    /// The known part of the period, in thousandths: no number here is worth more than that.
    pub coverage_pm: u32,
    /// Activity: SETUP, RUN, and HOLD as far as it counts.
    pub active_ms: u64,
    /// Of it, outside sessions.
    pub outside_ms: u64,
    /// Of the period, told by gap leaves as not watched, by the wall clock.
    pub gap_ms: u64,
    /// Samples with a good value.
    pub good: u64,
    /// Samples without.
    pub bad: u64,
    /// Usage leaves that begin in the period and count nowhere: they overlap others on their boot's clock, or hold more
    /// time than they are long. No honest ledger has any.
    pub overlaps: u64,
    /// Of the watched time, told by more than one leaf, by the wall clock: of two boots or epochs, since within a boot none
    /// counts twice. Where a clock was set, these are seconds; of hours only one can be true, and all are in the sums.
    pub repeated_ms: u64,
    /// The same by class; zeros are left out.
    pub classes: Vec<ClassUsage>,
}

/// A machine's time in sessions of one class, or outside sessions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ClassUsage {
    /// The class that the sessions have now; null: outside sessions.
    pub class: Option<Class>,
    /// Sessions that have such time.
    pub sessions: u64,
    /// Milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// Activity: SETUP, RUN, and HOLD as far as it counts.
    pub active_ms: u64,
    /// HOLD beyond the time for which it counts.
    pub hold_over_ms: u64,
}

/// A usage leaf.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SpanRow {
    /// The epoch of its ledger.
    pub epoch: u32,
    /// The leaf.
    pub leaf: u64,
    /// The machine.
    pub machine: Identifier,
    /// The session; null outside sessions.
    pub session: Option<String>,
    /// The class that the session has now; null outside sessions.
    pub class: Option<Class>,
    /// The span's begin.
    pub from: Time,
    /// The span's end.
    pub to: Time,
    /// Milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// HOLD beyond the time for which it counts.
    pub hold_over_ms: u64,
    /// Activity: SETUP, RUN, and HOLD as far as it counts.
    pub active_ms: u64,
    /// Samples with a good value.
    pub good: u64,
    /// Samples without.
    pub bad: u64,
    /// The worst letter of the gateway's clock during the span.
    pub clock: ClockStatus,
    /// What an independent meter counted, mWh; null where it says nothing.
    pub energy_mwh: Option<u64>,
    /// The map's hash.
    pub map: String,
    /// Whether it counts nowhere: it overlaps another on its boot's clock, or holds more time than it is long.
    pub overlaps: bool,
}

/// A span of time in which nobody watched a machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GapRow {
    /// The epoch of its ledger.
    pub epoch: u32,
    /// The leaf.
    pub leaf: u64,
    /// The machine.
    pub machine: Identifier,
    /// The last moment that is accounted for.
    pub from: Time,
    /// The first moment that is accounted for again.
    pub to: Time,
    /// Its length; null while nobody knows.
    pub length_ms: Option<u64>,
    /// The clock's letter when it ended.
    pub clock: ClockStatus,
    /// Why.
    pub reason: GapReason,
}

/// What somebody said was wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CorrectionRow {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger.
    pub epoch: u32,
    /// The leaf.
    pub leaf: u64,
    /// When it was said.
    pub at: Time,
    /// The leaf that was wrong.
    pub refers: u64,
    /// The machine of that leaf; null where it is of no session.
    pub machine: Option<Identifier>,
    /// The session of that leaf; null where it is of none.
    pub session: Option<String>,
    /// What is right, and why.
    pub reason: String,
    /// Who says so.
    pub by: String,
}
