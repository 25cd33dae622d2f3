//! A machine's day in UTC: what its usage leaves of that day say, added up. A day whose clock was set back
//! over midnight may have several summaries, which add up.

use lineside_proto::ledger::{LeafBody, SessionEvent, Summary, UsageLeaf};
use lineside_proto::{Class, Identifier, State, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Characters of `2026-11-29`.
const DAY_CHARS: usize = 10;

/// A day that is not over.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Day {
    /// None before anything was written of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ms: BTreeMap<State, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    active_ms: BTreeMap<Class, u64>,
    #[serde(default)]
    sessions: u32,
}

fn day_of(time: Time) -> String {
    time.to_string().chars().take(DAY_CHARS).collect()
}

/// The activity that a usage leaf tells.
fn active_ms(leaf: &UsageLeaf) -> u64 {
    let of = |state: State| leaf.ms.get(&state).copied().unwrap_or(0);
    (of(State::Setup) + of(State::Run) + of(State::Hold)).saturating_sub(leaf.hold_over_ms)
}

impl Day {
    /// Takes in a leaf of the machine that is being written; gives the summary that belongs before it, where the
    /// leaf begins another day.
    pub fn take(&mut self, machine: &Identifier, body: &LeafBody) -> Option<Summary> {
        let from = match body {
            LeafBody::Usage(leaf) => leaf.from,
            LeafBody::Session(leaf) if leaf.event == SessionEvent::Open => leaf.from,
            LeafBody::Summary(_) => {
                *self = Self::default();
                return None;
            }
            LeafBody::Genesis(_)
            | LeafBody::Boot(_)
            | LeafBody::Config(_)
            | LeafBody::Booking(_)
            | LeafBody::Key(_)
            | LeafBody::Audit(_)
            | LeafBody::Clock(_)
            | LeafBody::State(_)
            | LeafBody::Session(_)
            | LeafBody::Gap(_)
            | LeafBody::Anchor(_)
            | LeafBody::Bind(_)
            | LeafBody::Correction(_) => return None,
        };
        let day = day_of(from);
        let ended = self.day.as_ref().is_some_and(|present| *present != day);
        let summary = ended.then(|| std::mem::take(self).summary(machine));
        self.day = Some(day);
        if let LeafBody::Usage(leaf) = body {
            for (state, ms) in &leaf.ms {
                *self.ms.entry(*state).or_default() += ms;
            }
            if let Some(class) = leaf.class {
                *self.active_ms.entry(class).or_default() += active_ms(leaf);
            }
        } else {
            self.sessions += 1;
        }
        summary
    }

    fn summary(self, machine: &Identifier) -> Summary {
        Summary {
            machine: machine.clone(),
            day: self.day.unwrap_or_default(),
            ms: self.ms,
            active_ms: self.active_ms,
            sessions: self.sessions,
        }
    }
}
