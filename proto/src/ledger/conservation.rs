//! Whether a ledger's leaves account for all time once: anyone can check it who has the leaves.
//!
//! For each machine, on each boot's own clock, usage and gap leaves follow one another without hole or overlap;
//! what each usage leaf says by state is what the state leaves say, to the millisecond; every session begins
//! once, ends once, and contains its usage. Leaves come in the order of their indexes and are not kept: memory
//! follows the machines, the sessions that run, and the state changes that no usage leaf covers yet.
//!
//! A check that begins in the middle of a ledger does not know what came before: a machine's time begins with its
//! first usage or gap leaf then, and what usage leaves say by state is held against the state leaves from the
//! onset of the first of these on.

mod fault;
mod machine;

pub use fault::{Fault, Violation};
pub use machine::Totals;

use std::collections::{BTreeMap, VecDeque};

use super::{Leaf, LeafBody};
use crate::{ClockStatus, Identifier};
use machine::Machine;

/// Violations that are told; of the others only the number is.
const TOLD_MAX: usize = 100;

/// Boots whose clock's last letter is remembered.
const BOOTS_MAX: usize = 64;

/// Machines of a ledger at most: as many as a gateway can be configured with.
const MACHINES_MAX: usize = 10_000;

/// What is checked, and from where on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Part {
    /// Everything, from the ledger's first leaf on.
    #[default]
    Whole,
    /// Time alone, from the ledger's first leaf on: sessions and bookings are somebody else's to check.
    Time,
    /// Time alone, from a later leaf on.
    TimeSince,
}

/// The check, leaf by leaf.
#[derive(Clone, Debug, Default)]
pub struct Conservation {
    part: Part,
    machines: BTreeMap<Identifier, Machine>,
    boots: VecDeque<(String, ClockStatus)>,
    report: Report,
}

/// What the check found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// What is wrong, the first hundred.
    pub violations: Vec<Violation>,
    /// How many there are in all.
    pub violations_count: u64,
    /// What each machine's time adds up to.
    pub machines: BTreeMap<Identifier, Totals>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.violations_count == 0
    }

    fn tell(&mut self, violation: Violation) {
        self.violations_count += 1;
        if self.violations.len() < TOLD_MAX {
            self.violations.push(violation);
        }
    }
}

impl Conservation {
    /// A check of time alone, from this leaf on. Sessions and bookings are not looked at.
    pub fn of_time(first: u64) -> Self {
        Self {
            part: if first == 0 {
                Part::Time
            } else {
                Part::TimeSince
            },
            ..Self::default()
        }
    }

    /// Takes in the next leaf.
    pub fn take(&mut self, leaf: &Leaf) {
        let Leaf { head, body } = leaf;
        if let LeafBody::Boot(said) = body {
            self.letter(&head.boot, said.clock);
        } else if let LeafBody::Clock(said) = body {
            if said.before == ClockStatus::U && said.status != ClockStatus::U {
                for machine in self.machines.values_mut() {
                    machine.complete(head);
                }
            }
            self.letter(&head.boot, said.status);
        }
        let Some(name) = body.machine() else { return };
        if !self.machines.contains_key(name) {
            if self.machines.len() >= MACHINES_MAX {
                let (index, machine) = (head.index, name.clone());
                let fault = Fault::Machines(MACHINES_MAX);
                return self.report.tell(Violation {
                    index,
                    machine,
                    fault,
                });
            }
            self.machines.insert(name.clone(), Machine::new(self.part));
        }
        let Some(machine) = self.machines.get_mut(name) else {
            return;
        };
        let boots = &self.boots;
        let clock_of = |boot: &str| {
            let mut known = boots.iter().rev();
            known.find(|(id, _)| id == boot).map(|(_, clock)| *clock)
        };
        let mut faults = Vec::new();
        machine.take(head, body, &clock_of, &mut faults);
        for fault in faults {
            self.report.tell(Violation {
                index: head.index,
                machine: name.clone(),
                fault,
            });
        }
    }

    /// What was found up to here. Sessions that still run, and gaps whose length a later clock leaf will tell,
    /// are no violations.
    pub fn report(mut self) -> Report {
        let machines = self.machines.into_iter();
        self.report.machines = machines
            .map(|(name, machine)| (name, machine.totals()))
            .collect();
        self.report
    }

    fn letter(&mut self, boot: &str, clock: ClockStatus) {
        if let Some((id, known)) = self.boots.back_mut() {
            if id == boot {
                *known = clock;
                return;
            }
        }
        if self.boots.len() >= BOOTS_MAX {
            self.boots.pop_front();
        }
        self.boots.push_back((boot.to_owned(), clock));
    }
}

#[cfg(test)]
mod tests;
