//! The eight machine states and their OPC 40001-1 pairs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::AvailableNow;

/// What a machine is doing. The meaning of each, and its place in PackML, SEMI E10, MTConnect and
/// ISO 22400, follows OPC 40001-1 annex C.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// No fresh good evidence. Never folded into OFF.
    Unknown,
    /// Powered off, with evidence of it.
    Off,
    /// Fault or emergency stop.
    Down,
    /// Maintenance key or lock-out.
    Maint,
    /// Ready.
    Idle,
    /// Set-up, manual, warm-up or cool-down.
    Setup,
    /// Executing.
    Run,
    /// Paused in a job.
    Hold,
}

impl State {
    /// All states, in the order of the contract's table.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Off,
        Self::Down,
        Self::Maint,
        Self::Idle,
        Self::Setup,
        Self::Run,
        Self::Hold,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Off => "OFF",
            Self::Down => "DOWN",
            Self::Maint => "MAINT",
            Self::Idle => "IDLE",
            Self::Setup => "SETUP",
            Self::Run => "RUN",
            Self::Hold => "HOLD",
        }
    }

    /// The word for a Chinese reader.
    pub const fn zh_cn(self) -> &'static str {
        match self {
            Self::Unknown => "状态不明",
            Self::Off => "关机",
            Self::Down => "故障",
            Self::Maint => "维护",
            Self::Idle => "空闲",
            Self::Setup => "准备",
            Self::Run => "运行",
            Self::Hold => "暂停",
        }
    }

    /// The OPC 40001-1 pair; none for UNKNOWN, which that standard expresses by a status code.
    pub const fn opc(self) -> Option<OpcState> {
        let (item, mode) = match self {
            Self::Unknown => return None,
            Self::Off => (OpcItem::NotAvailable, OpcMode::None),
            Self::Down => (OpcItem::OutOfService, OpcMode::Processing),
            Self::Maint => (OpcItem::OutOfService, OpcMode::Maintenance),
            Self::Idle | Self::Hold => (OpcItem::NotExecuting, OpcMode::Processing),
            Self::Setup => (OpcItem::NotExecuting, OpcMode::Setup),
            Self::Run => (OpcItem::Executing, OpcMode::Processing),
        };
        Some(OpcState { item, mode })
    }

    /// Whether somebody could start on the machine now, going by its state alone.
    pub const fn available_now(self) -> AvailableNow {
        match self {
            Self::Unknown => AvailableNow::Unknown,
            Self::Off | Self::Idle => AvailableNow::Yes,
            Self::Down | Self::Maint | Self::Setup | Self::Run | Self::Hold => AvailableNow::No,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such state")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

/// The pair of OPC 40001-1 that a state stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OpcState {
    /// MachineryItemState.
    pub item: OpcItem,
    /// OperationMode.
    pub mode: OpcMode,
}

/// MachineryItemState of OPC 40001-1, section 12.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum OpcItem {
    /// Not available, such as powered off.
    NotAvailable,
    /// Available but out of service.
    OutOfService,
    /// In service, doing nothing.
    NotExecuting,
    /// In service and executing.
    Executing,
}

/// OperationMode of OPC 40001-1, section 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum OpcMode {
    /// No mode.
    None,
    /// Being maintained.
    Maintenance,
    /// Being set up.
    Setup,
    /// Processing.
    Processing,
}
