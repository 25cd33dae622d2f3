//! Where the hours of a calendar went: each step with what it lost and why. Adds up exactly.

use crate::text::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Class;

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
    /// Before the day on which, by the asset list, the machine was started.
    NotStarted,
    /// The agent did not run.
    AgentStopped,
    /// The machine got another map.
    MapExchanged,
    /// The agent ran and read nothing from the machine in the whole span of a leaf, an hour at most: the link was down, or
    /// the machine did not answer.
    Unreachable,
    /// Something was read in the span of the leaf, but for a part of it the link was down, or what the state follows from
    /// was stale, bad or undecided.
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

impl LossReason {
    /// What people call it.
    pub fn name(self) -> Text {
        let (en, zh) = match self {
            Self::NotStarted => ("before the start date", "启用日期之前"),
            Self::AgentStopped => ("the agent did not run", "程序未运行"),
            Self::MapExchanged => ("the map was exchanged", "更换点表"),
            Self::Unreachable => ("the machine did not answer", "设备无应答"),
            Self::Undecided => ("read, and its state undecided", "已读取，但状态无法判定"),
            Self::Unrecorded => ("nothing recorded", "无记录"),
            Self::Off => ("powered off", "关机"),
            Self::Down => ("fault or emergency stop", "故障或急停"),
            Self::Maintenance => ("maintenance", "维护"),
            Self::Idle => ("idle", "空闲"),
            Self::HoldOver => ("paused for longer than counts", "暂停超过上限"),
            Self::OutsideSessions => ("active outside sessions", "上机记录以外的活动"),
            Self::ClassExternal => (
                "external sessions, not counted by the rules",
                "对外，规则不计",
            ),
            Self::ClassOwn => ("own sessions, not counted by the rules", "自用，规则不计"),
            Self::ClassAffiliated => (
                "affiliates' sessions, not counted by the rules",
                "关联，规则不计",
            ),
            Self::ClassTraining => ("training, not counted by the rules", "培训，规则不计"),
            Self::ClassMaintenance => (
                "maintenance sessions, not counted by the rules",
                "维护上机，规则不计",
            ),
            Self::ClassUnbooked => (
                "unbooked sessions, not counted by the rules",
                "无预约，规则不计",
            ),
        };
        Text::new(en, zh)
    }

    /// The reason of a class that the rules don't count.
    pub(super) const fn of_class(class: Class) -> Self {
        match class {
            Class::Ext => Self::ClassExternal,
            Class::Own => Self::ClassOwn,
            Class::Aff => Self::ClassAffiliated,
            Class::Trn => Self::ClassTraining,
            Class::Mnt => Self::ClassMaintenance,
            Class::Unb => Self::ClassUnbooked,
        }
    }
}

impl Step {
    /// A step from what was before it, what is recorded beyond that, what it lost, and what is after it. What remains has
    /// the reason `rest`; so the step adds up whatever the numbers are.
    pub(super) fn new(
        before_ms: u64,
        gained_ms: u64,
        losses: &[(LossReason, u64)],
        rest: LossReason,
        after_ms: u64,
    ) -> Self {
        let above = u128::from(before_ms) + u128::from(gained_ms);
        let mut room = above.saturating_sub(u128::from(after_ms));
        let beyond = u128::from(after_ms).saturating_sub(above);
        let mut kept: Vec<Loss> = Vec::new();
        let all = [(rest, u64::MAX)];
        for (reason, ms) in losses.iter().chain(&all) {
            let part = room.min(u128::from(*ms));
            room -= part;
            let ms = u64::try_from(part).unwrap_or(u64::MAX);
            if ms == 0 {
                continue;
            }
            match kept.iter_mut().find(|loss| loss.reason == *reason) {
                Some(loss) => loss.ms = loss.ms.saturating_add(ms),
                None => kept.push(Loss {
                    reason: *reason,
                    ms,
                }),
            }
        }
        Self {
            before_ms,
            gained_ms: gained_ms.saturating_add(u64::try_from(beyond).unwrap_or(u64::MAX)),
            losses: kept,
            after_ms,
        }
    }

    /// Whether it adds up.
    pub fn adds_up(&self) -> bool {
        let losses = self.losses.iter().map(|loss| u128::from(loss.ms));
        let above = u128::from(self.before_ms) + u128::from(self.gained_ms);
        above == u128::from(self.after_ms) + losses.sum::<u128>()
    }
}

#[cfg(test)]
mod tests {
    use super::{LossReason, Step};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_step_adds_up_whatever_the_numbers(
            before in 0_u64..1 << 53,
            gained in 0_u64..1 << 20,
            losses in prop::collection::vec(0_u64..1 << 53, 0..4),
            after in 0_u64..1 << 53,
        ) {
            let reasons = [LossReason::Off, LossReason::Idle, LossReason::Off, LossReason::Down];
            let losses: Vec<_> = reasons.into_iter().zip(losses).collect();
            let step = Step::new(before, gained, &losses, LossReason::HoldOver, after);
            prop_assert!(step.adds_up(), "{step:?}");
            prop_assert!(step.losses.iter().all(|loss| loss.ms > 0));
        }
    }
}
