//! The gateway's status: the document that says whether anything else from it may be believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Identifier, Time};

/// Retained on `status`, and, with the identifying fields and `OFFLINE` only, the will.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct GatewayStatus {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// Whether the agent is there.
    pub link: Link,
    /// The kernel's boot id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub boot: Option<String>,
    /// The agent's version.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// When the agent started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started: Option<Time>,
    /// The gateway's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock: Option<Clock>,
    /// How many machines answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub machines: Option<MachineCount>,
    /// The durable queue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outbox: Option<OutboxFigures>,
    /// The ledger, where one is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ledger: Option<LedgerFigures>,
    /// For how long after receipt this document may be believed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_age_s: Option<u32>,
    /// When the document was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Time>,
}

impl GatewayStatus {
    /// The will, and the last word of a clean stop: only who it is, and that it is gone.
    pub fn offline(site: Identifier, gateway: Identifier) -> Self {
        Self {
            v: 1,
            site,
            gateway,
            link: Link::Offline,
            boot: None,
            version: None,
            started: None,
            clock: None,
            machines: None,
            outbox: None,
            ledger: None,
            max_age_s: None,
            at: None,
        }
    }
}

/// Whether the agent on the gateway is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Link {
    /// It is.
    Online,
    /// It is not: nothing it said before may be believed.
    Offline,
}

/// The gateway's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// How far it can be trusted.
    pub status: ClockStatus,
    /// The kernel's estimate of its error; null where it has none.
    pub offset_ms: Option<i64>,
}

/// Clock status letters, as electricity metering uses them (OCMF).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum ClockStatus {
    /// Unknown: never set.
    U,
    /// Informative: set, but not known to be synchronised.
    I,
    /// Synchronised.
    S,
    /// Relative: durations are right, wall time is not.
    R,
}

impl ClockStatus {
    /// The worse of two: S is better than I, and I than R, since a wall time that was set once says more than none;
    /// U is the worst.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::S => 0,
            Self::I => 1,
            Self::R => 2,
            Self::U => 3,
        }
    }
}

/// How many machines answer, and how many don't.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct MachineCount {
    /// Machines whose state is known.
    pub up: u32,
    /// Machines whose state is UNKNOWN.
    pub down: u32,
}

/// The durable queue to the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct OutboxFigures {
    /// Messages not yet acknowledged.
    pub messages: u64,
    /// Bytes that they take on disk. The reserve, which holds nothing, is not among them.
    pub bytes: u64,
    /// The time of the oldest message not yet acknowledged.
    pub oldest: Option<Time>,
    /// Messages dropped since the agent started, each named in a gap document.
    pub dropped: u64,
}

/// The ledger's figures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LedgerFigures {
    /// Leaves.
    pub size: u64,
    /// Leaves that as many witnesses have cosigned as the gateway wants; null where it knows none.
    pub cosigned: Option<u64>,
    /// Why the ledger is neither signed nor published, until somebody looks after it; left out while it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suspended: Option<String>,
}
