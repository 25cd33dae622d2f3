//! The availability document, made of what the core knows of a machine.

use lineside_proto::{Availability, AvailableNow, ClockStatus, Identifier, Reason, State, Time};
use std::time::Duration;

use super::account::Occupancy;
use super::state::Standing;
use crate::clock::Stamp;
use crate::config::model::MachineMap;

/// What the documents of one gateway have in common.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The kernel's boot id.
    pub boot: String,
    /// How often documents are said again; they may be believed for three times as long.
    pub heartbeat: Duration,
}

impl Origin {
    /// For how long after receipt a document may be believed.
    pub fn max_age(&self) -> Duration {
        self.heartbeat * 3
    }

    /// The same in seconds, rounded up.
    pub fn max_age_s(&self) -> u32 {
        u32::try_from(self.max_age().as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
    }
}

/// What of a document is fixed when the state is decided: wall times that a later step of the clock
/// must not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The onset.
    pub since: Time,
    /// The decision.
    pub decided_at: Time,
}

/// `RUN@2`: the state of the rule that held and its place in the file.
pub fn rule_label(map: &MachineMap, rule: Option<u16>) -> Option<String> {
    let rule = usize::from(rule?);
    map.rules
        .get(rule)
        .map(|entry| format!("{}@{}", entry.state, rule + 1))
}

/// Whether somebody could start now: nobody else may while a session is open or maintenance runs, whatever the
/// machine does; else its state says.
pub fn available_now(state: State, occupancy: &Occupancy) -> AvailableNow {
    if occupancy.is_taken {
        AvailableNow::No
    } else {
        state.available_now()
    }
}

/// What is known of a machine at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// What it is held to be doing.
    pub standing: &'a Standing,
    /// Since when, in wall time.
    pub decided: Decided,
    /// Its sessions and bookings.
    pub occupancy: &'a Occupancy,
    /// Now.
    pub at: Stamp,
    /// How far the clock can be trusted.
    pub clock: ClockStatus,
    /// The document's number.
    pub seq: u64,
}

impl Word<'_> {
    fn available_now(&self) -> AvailableNow {
        available_now(self.standing.state, self.occupancy)
    }
}

/// The document.
pub fn document(origin: &Origin, map: &MachineMap, word: &Word<'_>) -> Availability {
    let Word {
        standing,
        decided,
        occupancy,
        at,
        clock,
        seq,
    } = *word;
    let max_age_s = origin.max_age_s();
    Availability {
        v: 1,
        site: origin.site.clone(),
        gateway: origin.gateway.clone(),
        machine: map.machine.clone(),
        name: map.name.clone(),
        at: at.wall,
        state: standing.state,
        opc: standing.state.opc(),
        rule: rule_label(map, standing.rule),
        since: decided.since,
        decided_at: decided.decided_at,
        observed_at: standing.observed_ms.map(|observed| at.wall_at(observed)),
        reason: Reason {
            code: standing.reason,
            text: standing.reason_text.clone(),
        },
        available_now: word.available_now(),
        available_from: occupancy.until,
        warmup_s: u32::try_from(map.warm_up.as_secs()).unwrap_or(u32::MAX),
        max_age_s,
        fresh_until: at.wall.plus_millis(i64::from(max_age_s) * 1000),
        clock,
        session: occupancy.session.clone(),
        next_booking: occupancy.next_booking.clone(),
        maintenance: occupancy.maintenance.clone(),
        seq,
        boot: origin.boot.clone(),
        config: map.hash.clone(),
        ledger: None,
    }
}
