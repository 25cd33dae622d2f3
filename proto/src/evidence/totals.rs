//! What a bundle's leaves add up to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Grade, Why};
use crate::ledger::CloseReason;
use crate::{CheckIn, Class, Identifier, Outcome, State, Time};

/// The `kind` of totals.
pub const TOTALS_KIND: &str = "lineside-totals";

/// `report.json` of a bundle: what its leaves add up to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// [`TOTALS_KIND`].
    pub kind: String,
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
    /// The leaves that the checkpoint commits to.
    pub size: u64,
    /// The root that the checkpoint commits to, base64.
    pub root: String,
    /// Each machine, by name.
    pub machines: Vec<MachineTotals>,
}

/// A machine's period.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineTotals {
    /// The machine.
    pub machine: Identifier,
    /// The period's length.
    pub period_ms: u64,
    /// Watched milliseconds by state; states of no time are left out.
    pub ms: BTreeMap<State, u64>,
    /// Milliseconds of a state that is known.
    pub known_ms: u64,
    /// The known part of the period, in thousandths.
    pub coverage_pm: u32,
    /// Activity: SETUP, RUN, and HOLD as far as it counts.
    pub active_ms: u64,
    /// Of it, outside sessions.
    pub outside_ms: u64,
    /// Activity in sessions by class and grade; zeros are left out.
    pub hours: BTreeMap<Class, BTreeMap<Grade, u64>>,
    /// Energy in sessions, mWh; null without a meter.
    pub energy_session_mwh: Option<u64>,
    /// Energy outside sessions, mWh; null without a meter.
    pub energy_idle_mwh: Option<u64>,
    /// Energy of spans that were RUN only, mWh; null without a meter.
    pub energy_run_mwh: Option<u64>,
    /// The length of these spans; null without a meter.
    pub energy_run_ms: Option<u64>,
    /// What the machine's own hour counter counted, thousandths of its unit; null without one.
    pub counter_milli: Option<u64>,
    /// RUN in the spans over which that counter was read.
    pub counter_run_ms: u64,
    /// Samples with a good value.
    pub good: u64,
    /// Samples without.
    pub bad: u64,
    /// What became of bookings that began in the period.
    pub bookings: BTreeMap<Outcome, u64>,
    /// The maps in force, in order of appearance.
    pub maps: Vec<String>,
    /// Its sessions, in order of their first leaf.
    pub sessions: Vec<SessionTotals>,
    /// Milliseconds by state of each day in Asia/Shanghai (`2026-11-29`).
    pub days: BTreeMap<String, BTreeMap<State, u64>>,
}

/// A session's part of the period.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionTotals {
    /// The session.
    pub session: String,
    /// Its booking; null where nobody booked.
    pub booking: Option<String>,
    /// `sha256:` and the hash of its booking's token; null for none.
    pub token: Option<String>,
    /// Its class.
    pub class: Class,
    /// The class that its leaves say, where the trust file's organisations make it another; never in `report.json`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub leaf_class: Option<Class>,
    /// How it became known who used the machine; null while only its usage is in the bundle.
    pub check_in: Option<CheckIn>,
    /// The organisation, as the token's pseudonym; null without.
    pub org: Option<String>,
    /// What kind of organisation it is; null without.
    pub org_kind: Option<String>,
    /// When it began; null while only its usage is in the bundle.
    pub from: Option<Time>,
    /// When it ended; null as far as the bundle knows.
    pub to: Option<Time>,
    /// Why it ended.
    pub reason: Option<CloseReason>,
    /// Its opening leaf, if it is in the bundle.
    pub open: Option<u64>,
    /// Its closing leaf, if it is in the bundle.
    pub close: Option<u64>,
    /// Milliseconds by state.
    pub ms: BTreeMap<State, u64>,
    /// Its activity.
    pub active_ms: u64,
    /// Its energy, mWh; null without a meter.
    pub energy_mwh: Option<u64>,
    /// What its hours are worth as evidence.
    pub grade: Grade,
    /// Why they are not worth more, the worst first.
    pub why: Vec<Why>,
}
