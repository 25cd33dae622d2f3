//! What is told of machines, logs and of how much is known.

use lineside_proto::{
    AvailableNow, Class, Doubt, Identifier, LocalText, NextBooking, Reason, State, Time, Window,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be believed of a machine now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineNow {
    /// The platform.
    pub site: Identifier,
    /// The gateway beside the machine.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// What people call it; empty where no document says it.
    pub name: LocalText,
    /// What it is doing; UNKNOWN where anything is in doubt.
    pub state: State,
    /// Whether somebody could start now. `unknown` must never be shown as free.
    pub available_now: AvailableNow,
    /// Why the state is UNKNOWN; null where it is known.
    pub doubt: Option<Doubt>,
    /// What the gateway says beside; null in doubt.
    pub said: Option<MachineSaid>,
    /// When its newest document was made, by the gateway's clock.
    pub at: Option<Time>,
}

/// What a gateway says of a machine, beside its state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MachineSaid {
    /// Since when it is in this state.
    pub since: Time,
    /// Why.
    pub reason: Reason,
    /// From when somebody could start, where that is known.
    pub available_from: Option<Time>,
    /// How long it needs from OFF until it can be used, in seconds.
    pub warmup_s: u32,
    /// The class of the session that runs.
    pub class: Option<Class>,
    /// When the booking of that session ends.
    pub expected_end: Option<Time>,
    /// The next booking.
    pub next_booking: Option<NextBooking>,
    /// The next or present maintenance window.
    pub maintenance: Option<Window>,
}

/// A log has grown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HeadNews {
    /// The platform.
    pub site: Identifier,
    /// Its gateway.
    pub gateway: Identifier,
    /// The epoch of its ledger.
    pub epoch: u32,
    /// Leaves that the head covers.
    pub size: u64,
    /// The root over them, base64.
    pub root: String,
    /// Whether this archive cosigned it.
    pub cosigned: bool,
}

/// How much is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LiveFigures {
    /// Gateways that have been heard of.
    pub gateways: u64,
    /// Of these, those that are there.
    pub online: u64,
    /// Machines that have been heard of.
    pub machines: u64,
    /// Messages that were not taken in: of gateways that are not enrolled, or beyond what one gateway, or all, may have.
    pub refused: u64,
}
