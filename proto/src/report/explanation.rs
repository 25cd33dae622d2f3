//! Where the hours of a calendar went: each step with what it lost and why. Adds up exactly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calendar → observed → active → counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The time that is reported.
    pub calendar_ms: u64,
    /// Of a state that is known.
    pub observed: Step,
    /// SETUP, RUN, and HOLD as far as it counts.
    pub active: Step,
    /// In sessions of the classes that count: H_e.
    pub counted: Step,
}

/// A step: what was before it, and what is gained, less what it lost, is what is after it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Before it.
    pub before_ms: u64,
    /// What is recorded beyond what can be: a clock was set back, and time was counted that no calendar has. Else 0.
    pub gained_ms: u64,
    /// What it lost, by reason; reasons of no time are left out.
    pub losses: Vec<Loss>,
    /// After it.
    pub after_ms: u64,
}

/// A time that does not go on to the next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// How long.
    pub ms: u64,
}

/// Why time does not count.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LossReason {
    /// The agent did not run.
    AgentStopped,
    /// The machine got another map.
    MapExchanged,
    /// The agent ran and read nothing from the machine: the link was down, or the machine did not answer.
    Unreachable,
    /// The machine was read, but what its state follows from was stale, bad or undecided.
    Undecided,
    /// Nothing is recorded: before the machine was configured, after the last leaf, or a pause of unknown length.
    Unrecorded,
    /// Powered off.
    Off,
    /// Fault or emergency stop.
    Down,
    /// Maintenance key or lock-out.
    Maintenance,
    /// Ready, and doing nothing.
    Idle,
    /// Paused for longer than counts.
    HoldOver,
    /// Active while no session ran.
    OutsideSessions,
    /// In external sessions, which these rules don't count.
    ClassExternal,
    /// In the platform's own sessions, which these rules don't count.
    ClassOwn,
    /// In sessions of affiliates, which these rules don't count.
    ClassAffiliated,
    /// In training, which these rules don't count.
    ClassTraining,
    /// In maintenance sessions, which these rules don't count.
    ClassMaintenance,
    /// In sessions that nobody booked, which these rules don't count.
    ClassUnbooked,
}
