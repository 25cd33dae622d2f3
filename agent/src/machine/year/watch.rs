//! What the world knows of the time in which a machine was watched, to be compared with what the ledger says.

#![expect(
    clippy::cast_sign_loss,
    reason = "times of the simulated world, and the leaves that matter"
)]

use lineside_proto::ledger::LeafBody;
use lineside_proto::{ClockStatus, Identifier, State};
use std::collections::BTreeMap;

use super::Plan;
use super::world::World;

/// A value is good for so long.
pub(super) const STALE_MS: i64 = 1_200_000;

/// A stretch of time in which the agent watched a machine without a break.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) boot: String,
    pub(super) join_ms: i64,
    /// Good readings: when, and the state that they show.
    pub(super) readings: Vec<(i64, State)>,
    /// The newest moment that was remembered as accounted for.
    pub(super) remembered_ms: i64,
}

/// From when on, on a boot's clock, the agent was told how far the wall clock can be trusted.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    boot: String,
    at_ms: i64,
    letter: ClockStatus,
}

impl World {
    /// The agent hears how far the clock can be trusted.
    pub(super) fn trust(&mut self) {
        self.recorder.set_clock(self.letter, None);
        self.trusts.push(Trust {
            boot: self.boot_name(),
            at_ms: self.at_ms(),
            letter: self.letter,
        });
    }

    /// Each usage leaf tells the worst letter of its span.
    pub(super) fn check_letters(&self, plan: Plan) {
        let mut boots: BTreeMap<&str, Vec<(i64, ClockStatus)>> = BTreeMap::new();
        for Trust {
            boot,
            at_ms,
            letter,
        } in &self.trusts
        {
            boots.entry(boot).or_default().push((*at_ms, *letter));
        }
        let mut told: BTreeMap<String, u32> = BTreeMap::new();
        for leaf in &self.disk.leaves {
            let LeafBody::Usage(said) = &leaf.body else {
                continue;
            };
            let boot = said.span_boot.as_ref().unwrap_or(&leaf.head.boot);
            let words = &boots[&**boot];
            let (from_ms, to_ms) = (said.mono_from_ms as i64, said.mono_to_ms as i64);
            let begun = words.partition_point(|(at_ms, _)| *at_ms <= from_ms);
            let words = words[begun.saturating_sub(1)..].iter().enumerate();
            let within = words.take_while(|(place, (at_ms, _))| *place == 0 || *at_ms < to_ms);
            let letters = within.map(|(_, (_, letter))| *letter);
            let expected = letters.reduce(ClockStatus::worse);
            assert_eq!(said.clock, expected, "{plan:?}: {leaf:?}");
            *told.entry(format!("{:?}", said.clock)).or_default() += 1;
        }
        if plan.days >= 300 {
            assert_eq!(told.len(), 3, "{plan:?}: {told:?}");
        }
    }

    /// The time that the agent watched is told as it was.
    pub(super) fn check_watched(&self, plan: Plan) {
        for machine in &self.machines {
            let told = self.told(&machine.map.machine);
            for watch in &machine.watches {
                let spans = told
                    .iter()
                    .filter(|span| span.0 == watch.boot && span.1 >= watch.join_ms);
                let mut ends_ms = watch.join_ms;
                let mut sums: BTreeMap<State, u64> = BTreeMap::new();
                for (_, from_ms, to_ms, ms) in spans {
                    if *from_ms != ends_ms {
                        break;
                    }
                    ends_ms = *to_ms;
                    for (state, ms) in *ms {
                        *sums.entry(*state).or_default() += ms;
                    }
                }
                assert!(
                    ends_ms >= watch.remembered_ms,
                    "{plan:?}: {} lost {} ms after {ends_ms} ms of {}",
                    machine.map.machine,
                    watch.remembered_ms - ends_ms,
                    watch.boot
                );
                let expected = watch.sums(ends_ms);
                assert_eq!(
                    sums, expected,
                    "{plan:?}: {} {watch:?} {ends_ms}",
                    machine.map.machine
                );
            }
        }
    }

    /// The usage leaves of a machine: boot, begin, end, milliseconds by state.
    fn told(&self, machine: &Identifier) -> Vec<(String, i64, i64, &BTreeMap<State, u64>)> {
        let leaves = self.disk.leaves.iter();
        leaves
            .filter_map(|leaf| match &leaf.body {
                LeafBody::Usage(said) if said.machine == *machine => Some((
                    said.span_boot
                        .clone()
                        .unwrap_or_else(|| leaf.head.boot.clone()),
                    said.mono_from_ms as i64,
                    said.mono_to_ms as i64,
                    &said.ms,
                )),
                _ => None,
            })
            .collect()
    }
}

impl Watch {
    /// What the world did while it was watched, up to a moment: the state of the newest good reading, and UNKNOWN
    /// from it on where the next came too late.
    fn sums(&self, end_ms: i64) -> BTreeMap<State, u64> {
        let mut sums = BTreeMap::new();
        let mut add = |state: State, from_ms: i64, to_ms: i64| {
            if to_ms > from_ms {
                *sums.entry(state).or_default() += (to_ms - from_ms) as u64;
            }
        };
        let (mut at_ms, mut state) = (self.join_ms, State::Unknown);
        let ends = [(i64::MAX, State::Unknown)];
        for (next_ms, next) in self.readings.iter().chain(&ends) {
            let is_stale = next_ms - at_ms >= STALE_MS;
            let held = if is_stale { State::Unknown } else { state };
            if end_ms < *next_ms {
                // Beyond the last reading nothing is decided but UNKNOWN.
                let is_last = *next_ms == i64::MAX;
                let held = if is_last { State::Unknown } else { held };
                add(held, at_ms, end_ms);
                break;
            }
            add(held, at_ms, *next_ms);
            (at_ms, state) = (*next_ms, *next);
        }
        sums
    }
}
