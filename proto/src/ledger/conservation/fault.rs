//! What can be wrong with the time that a ledger accounts for.

use crate::{Identifier, State};

/// Something that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("leaf {index}, machine {machine}: {fault}")]
pub struct Violation {
    /// The leaf.
    pub index: u64,
    /// Its machine.
    pub machine: Identifier,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Time that no leaf accounts for.
    #[error("nobody accounts for the time from {from_ms} to {to_ms} ms of the boot")]
    Hole {
        /// From when.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// Time that two leaves account for.
    #[error("the time from {from_ms} to {to_ms} ms of the boot is accounted for twice")]
    Overlap {
        /// From when.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// A span that ends before it begins.
    #[error("a span from {from_ms} to {to_ms} ms")]
    Backwards {
        /// From when.
        from_ms: u64,
        /// Until when.
        to_ms: u64,
    },
    /// A usage leaf on the clock of a boot that no gap leaf leads to.
    #[error("time of boot {said}, while {known} is accounted for")]
    Boot {
        /// The boot that it names.
        said: String,
        /// The boot that the leaves before it are of.
        known: String,
    },
    /// The milliseconds by state are not the span's length.
    #[error("the states add up to {sum_ms} ms, of {length_ms} ms")]
    Sum {
        /// What they add up to.
        sum_ms: u64,
        /// The span's length.
        length_ms: u64,
    },
    /// A state's milliseconds are not what the state leaves say.
    #[error("{said_ms} ms of {state}, where the state leaves say {known_ms} ms")]
    States {
        /// The state.
        state: State,
        /// What the usage leaf says.
        said_ms: u64,
        /// What the state leaves say.
        known_ms: u64,
    },
    /// A span that goes on beyond the full hour.
    #[error("a span beyond the full UTC hour")]
    Hour,
    /// More HOLD beyond its cap than HOLD.
    #[error("more time beyond the cap of HOLD than HOLD")]
    Hold,
    /// A change from a state that the machine was not in.
    #[error("a change from {said}, while the state was {known}")]
    Chain {
        /// The state that it says was left.
        said: State,
        /// The state before.
        known: State,
    },
    /// A change from before what is accounted for, or before the change before it.
    #[error("a change at {since_ms} ms, after what was decided up to {known_ms} ms")]
    Late {
        /// Its onset.
        since_ms: i64,
        /// Up to when all was decided.
        known_ms: i64,
    },
    /// More changes than a check can keep that no usage leaf covers.
    #[error("more than {0} changes of state that no usage leaf covers")]
    Changes(usize),
    /// More machines than a gateway has.
    #[error("more than {0} machines")]
    Machines(usize),
    /// A session that begins again.
    #[error("session {0} begins a second time")]
    Again(String),
    /// A session that begins while another runs.
    #[error("session {next} begins while {running} runs")]
    Twofold {
        /// The one that runs.
        running: String,
        /// The one that begins.
        next: String,
    },
    /// A session that ends without having begun, or twice.
    #[error("session {0} ends and does not run")]
    Ends(String),
    /// Usage of a session that does not run.
    #[error("usage of session {0}, which does not run")]
    Stray(String),
    /// Usage outside the session that it is said to be of.
    #[error("usage of session {session} at {at_ms} ms, outside it")]
    Outside {
        /// The session.
        session: String,
        /// Where, on the boot's clock.
        at_ms: u64,
    },
    /// A gap on one boot's clock that says another length than its ends do.
    #[error("a gap of {said_ms:?} ms, where the boot's clock says {length_ms} ms")]
    Gap {
        /// What it says.
        said_ms: Option<u64>,
        /// What its ends say.
        length_ms: u64,
    },
    /// A gap without a length though the clock could be trusted at both ends.
    #[error("a gap without a length, though the clock could be trusted")]
    Untold,
    /// A booking whose outcome was said already.
    #[error("the outcome of booking {0} is said a second time")]
    Outcome(String),
}

impl Fault {
    /// The same for a Chinese reader.
    pub fn zh_cn(&self) -> String {
        match self {
            Self::Hole { from_ms, to_ms } => {
                format!("本次启动的 {from_ms} 到 {to_ms} 毫秒没有记录")
            }
            Self::Overlap { from_ms, to_ms } => {
                format!("本次启动的 {from_ms} 到 {to_ms} 毫秒被记了两次")
            }
            Self::Backwards { from_ms, to_ms } => {
                format!("时段从 {from_ms} 到 {to_ms} 毫秒,方向反了")
            }
            Self::Boot { said, known } => format!("记的是启动 {said} 的时间,而已记到启动 {known}"),
            Self::Sum { sum_ms, length_ms } => {
                format!("各状态合计 {sum_ms} 毫秒,时段长 {length_ms} 毫秒")
            }
            Self::States {
                state,
                said_ms,
                known_ms,
            } => format!(
                "{} 记了 {said_ms} 毫秒,按状态记录是 {known_ms} 毫秒",
                state.zh_cn()
            ),
            Self::Hour => "时段越过了 UTC 整点".to_owned(),
            Self::Hold => "超限的暂停比暂停本身还长".to_owned(),
            Self::Chain { said, known } => format!(
                "自称从 {} 变化,而之前的状态是 {}",
                said.zh_cn(),
                known.zh_cn()
            ),
            Self::Late { since_ms, known_ms } => {
                format!("变化始于 {since_ms} 毫秒,而 {known_ms} 毫秒之前已有定论")
            }
            Self::Changes(max) => format!("没有用时记录覆盖的状态变化超过 {max} 次"),
            Self::Machines(max) => format!("设备超过 {max} 台"),
            Self::Again(session) => format!("上机记录 {session} 又开始了一次"),
            Self::Twofold { running, next } => {
                format!("上机记录 {next} 开始时 {running} 还没有结束")
            }
            Self::Ends(session) => format!("上机记录 {session} 结束,但并未进行"),
            Self::Stray(session) => format!("记到上机记录 {session} 的用时,但它并未进行"),
            Self::Outside { session, at_ms } => {
                format!("{at_ms} 毫秒处的用时记到上机记录 {session},却在它之外")
            }
            Self::Gap { said_ms, length_ms } => {
                let said = said_ms.map_or_else(|| "空".to_owned(), |ms| ms.to_string());
                format!("缺口记为 {said} 毫秒,按启动时钟是 {length_ms} 毫秒")
            }
            Self::Untold => "两端时钟都可信,缺口却没有长度".to_owned(),
            Self::Outcome(booking) => format!("预约 {booking} 的结果又说了一次"),
        }
    }
}
