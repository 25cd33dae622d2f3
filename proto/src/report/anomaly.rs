//! What an evaluator should look at before the figures.

use crate::text::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Identifier, Time};

/// Something that does not look as it should. No judgement: a person looks at it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// What it is.
    pub kind: AnomalyKind,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway; null where it concerns several.
    pub gateway: Option<Identifier>,
    /// The machine; null where it concerns a gateway or several machines.
    pub machine: Option<Identifier>,
    /// From when; null where it has no time of its own.
    pub from: Option<Time>,
    /// Until when; null likewise.
    pub to: Option<Time>,
    /// The numbers that it rests on, by name; a name ends in its unit (`_ms`, `_mwh`, `_pm` for thousandths).
    pub numbers: BTreeMap<String, i64>,
    /// The leaves that show it, by index; at most [`EVIDENCE_MAX`].
    pub leaves: Vec<u64>,
    /// The sessions that show it; at most [`EVIDENCE_MAX`].
    pub sessions: Vec<String>,
    /// In words.
    pub text: Text,
    /// Lines of the difference of two maps, each with `+`, `-` or a blank before it; at most [`DIFF_LINES_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub diff: Vec<String>,
}

/// Leaves or sessions named by one anomaly at most: enough to look at.
pub const EVIDENCE_MAX: usize = 20;

/// Lines of a difference of two maps at most: what a person reads.
pub const DIFF_LINES_MAX: usize = 200;

/// Anomalies of one kind and machine that are told at most; of the others their number is.
pub const ANOMALIES_EACH_MAX: usize = 50;

/// A kind of anomaly, in the order in which they are told.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyKind {
    /// A source did not verify, and is in the report because somebody insisted.
    Unverified,
    /// Two periods of one gateway leave a hole between them, or a ledger has fewer leaves than the one after it cites.
    MissingPeriod,
    /// External hours of an organisation that the trust file calls the platform's own or affiliated.
    AffiliateExternal,
    /// External sessions of one organisation at the same time on many machines.
    SameOrganisation,
    /// Watt hours of a RUN hour far from the machine's own median.
    Energy,
    /// The machine's hour counter does not agree with RUN.
    HourCounter,
    /// Much activity outside of bookings.
    OutsideBookings,
    /// Many short sessions.
    ShortSessions,
    /// Running day and night without a pause.
    NonStop,
    /// The clock was set, or could not be trusted.
    Clock,
    /// Nobody watched while somebody had booked.
    HoleInBooking,
    /// The machine's map changed.
    MapChange,
    /// Somebody said that a leaf was wrong.
    Correction,
    /// Activity before the day on which the asset list says the machine was started.
    BeforeStart,
    /// More of one kind on one machine than are told.
    More,
}

impl AnomalyKind {
    /// All kinds, in the order in which they are told.
    pub const ALL: [Self; 15] = [
        Self::Unverified,
        Self::MissingPeriod,
        Self::AffiliateExternal,
        Self::SameOrganisation,
        Self::Energy,
        Self::HourCounter,
        Self::OutsideBookings,
        Self::ShortSessions,
        Self::NonStop,
        Self::Clock,
        Self::HoleInBooking,
        Self::MapChange,
        Self::Correction,
        Self::BeforeStart,
        Self::More,
    ];

    /// What people call it.
    pub fn name(self) -> Text {
        let (en, zh) = match self {
            Self::Unverified => ("not verified", "未通过核验"),
            Self::MissingPeriod => ("missing period", "缺少时段"),
            Self::AffiliateExternal => ("external hours of an affiliate", "关联单位计为对外"),
            Self::SameOrganisation => ("one organisation on many machines", "同一单位同时使用多台"),
            Self::Energy => ("energy of a RUN hour", "运行小时能耗异常"),
            Self::HourCounter => ("hour counter", "计时器不符"),
            Self::OutsideBookings => ("outside of bookings", "预约外使用"),
            Self::ShortSessions => ("many short sessions", "短时上机过多"),
            Self::NonStop => ("running without a pause", "连续运行"),
            Self::Clock => ("clock", "时钟异常"),
            Self::HoleInBooking => ("not watched while booked", "预约期间数据缺失"),
            Self::MapChange => ("map changed", "点表变更"),
            Self::Correction => ("correction", "更正"),
            Self::BeforeStart => ("before its start date", "早于启用日期"),
            Self::More => ("more of the same", "更多同类"),
        };
        Text::new(en, zh)
    }
}
