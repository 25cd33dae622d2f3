//! What the world knows of one machine: what it does now, what its meters have counted, and how much activity
//! the agent could see. An account of its own, made from the script alone.

use lineside_proto::{Class, State};
use std::collections::BTreeMap;

use super::machines::Counted;
use super::script::{Phase, Script};

/// What was read is good for so long, as the maps say.
const STALE_MS: i64 = 180_000;

/// HOLD is activity for so long, as the maps say.
const HOLD_COUNTS_MS: i64 = 900_000;

/// A machine in the world.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) script: Script,
    /// The next phase.
    next: usize,
    pub(super) phase: Phase,
    pub(super) counted: Counted,
    counted_at: i64,
    /// The newest good reading since the agent started.
    seen: Option<i64>,
    /// When the present HOLD began.
    hold: Option<i64>,
    pub(super) active_ms: BTreeMap<Class, u64>,
}

impl Watch {
    pub(super) fn new(script: Script) -> Self {
        let phase = script.phases.first().copied().unwrap_or(Phase {
            at: 0,
            state: State::Off,
            class: None,
            watts: 0,
            value: 0.0,
            counts_pm: 1_000,
        });
        Self {
            next: 1,
            counted_at: phase.at,
            phase,
            script,
            counted: Counted::default(),
            seen: None,
            hold: None,
            active_ms: BTreeMap::new(),
        }
    }

    /// When something changes before a moment.
    pub(super) fn phases_before(&self, end: i64) -> impl Iterator<Item = i64> + '_ {
        let phases = self.script.phases.iter().skip(self.next);
        phases.map(|phase| phase.at).take_while(move |at| *at < end)
    }

    /// Time passes: the meters count.
    pub(super) fn pass(&mut self, at: i64) {
        let ms = (at - self.counted_at).max(0);
        self.counted.energy += self.phase.watts * ms;
        if self.phase.state == State::Run {
            self.counted.run += ms * self.phase.counts_pm / 1_000;
        }
        self.counted_at = at;
    }

    /// The next phase begins.
    pub(super) fn change(&mut self) {
        if let Some(next) = self.script.phases.get(self.next).copied() {
            self.next += 1;
            let held = self.hold.filter(|_| self.phase.state == State::Hold);
            self.hold = (next.state == State::Hold).then(|| held.unwrap_or(next.at));
            self.phase = next;
        }
    }

    /// Whether it can be read.
    pub(super) fn is_linked(&self, at: i64) -> bool {
        let broken = self.script.unlinked.iter();
        !broken.clone().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// The agent reads it, before what changes at this moment: what it was until now is known.
    pub(super) fn see(&mut self, at: i64) {
        if let Some(seen) = self.seen.replace(at) {
            if let Some(class) = self.phase.class.filter(|_| at - seen < STALE_MS) {
                let end = match self.hold {
                    Some(hold) => at.min(hold + HOLD_COUNTS_MS),
                    None => at,
                };
                let ms = u64::try_from(end - seen).unwrap_or(0);
                *self.active_ms.entry(class).or_default() += ms;
            }
        }
    }

    /// The agent does not run any more.
    pub(super) fn lose(&mut self) {
        self.seen = None;
    }
}
