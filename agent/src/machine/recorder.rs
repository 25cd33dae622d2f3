//! The recorder: every batch and every tick goes through here, and what comes out is all that the
//! agent says of its machines. An ordinary method without I/O and without a clock, so that tests and
//! simulations call it as production does.

use lineside_proto::booking::Booking;
use lineside_proto::ledger::{ClockLeaf, GapReason, LeafBody};
use lineside_proto::{
    Availability, AvailableNow, CheckIn, Class, ClockStatus, Identifier, State, Time,
};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::{Arrival, Context, Word};
use super::availability::{Decided, Origin};
use super::memory::Memory;
use super::session::{Rules, Session, SessionRefusal};
use super::state::{StateMachine, Transition};
use super::wall::Wall;
use crate::clock::Stamp;
use crate::config::model::{MachineMap, Telemetry};
use crate::record::{Entry, Record};
use crate::sample::{Observation, Slot};

mod recorded;

use recorded::Recorded;

/// Who says how far the clock can be trusted, and that it was set.
const CLOCK_SOURCE: &str = "kernel";

/// What comes in.
#[derive(Clone, Debug)]
pub enum Input {
    /// A source has something to tell.
    Seen(Observation),
    /// Time passed. At most 250 ms apart, so that holds and staleness fire without data.
    Tick(Stamp),
    /// These bookings of a machine, all of them, are in force.
    Bookings {
        /// The machine.
        machine: Identifier,
        /// The bookings.
        bookings: Arc<[Booking]>,
        /// Now.
        at: Stamp,
    },
    /// Somebody checks in; answered in [`Commit::answers`].
    CheckIn {
        /// The machine.
        machine: Identifier,
        /// By this booking.
        booking: Option<String>,
        /// Without one, at the machine: as OWN, TRN or MNT.
        class: Option<Class>,
        /// How.
        check_in: CheckIn,
        /// What the portal says of it, which may come late; none of one at the machine.
        word: Option<Box<Word>>,
        /// Who entered it at the machine, as a pseudonym.
        by: Option<String>,
        /// Now.
        at: Stamp,
    },
    /// Somebody checks out; answered in [`Commit::answers`].
    CheckOut {
        /// The machine.
        machine: Identifier,
        /// Who entered it at the machine, as a pseudonym.
        by: Option<String>,
        /// Now.
        at: Stamp,
    },
}

impl Input {
    /// When it came.
    pub fn at(&self) -> Option<Stamp> {
        match self {
            Self::Seen(Observation::Batch(batch) | Observation::History(batch)) => Some(batch.at),
            Self::Seen(Observation::Standing(standing)) => Some(standing.at),
            Self::Seen(Observation::Missed(_)) => None,
            Self::Tick(at)
            | Self::Bookings { at, .. }
            | Self::CheckIn { at, .. }
            | Self::CheckOut { at, .. } => Some(*at),
        }
    }
}

/// What must become durable, and what must be said.
#[derive(Debug, Default)]
pub struct Commit {
    /// Facts for the ledger; durable before anything else of the commit.
    pub leaves: Vec<Entry>,
    /// Messages for the outbox.
    pub records: Vec<Record>,
    /// Availability documents that are new.
    pub availability: Vec<Availability>,
    /// Changes of state; if there are any, the commit is made at once.
    pub changes: Vec<Change>,
    /// For each check-in or check-out the session that begins or ends, or why none does. If there are any, the
    /// progress record is written at once: what was answered must survive.
    pub answers: Vec<Result<String, SessionRefusal>>,
}

/// A change of a machine's state.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The machine.
    pub machine: Identifier,
    /// From what to what, and when.
    pub transition: Transition,
    /// Wall times of the same.
    pub decided: Decided,
    /// Why, in words.
    pub reason: String,
}

/// The machines of one gateway.
#[derive(Debug)]
pub struct Recorder {
    house: House,
    telemetry: Telemetry,
    stream: Arc<str>,
    machines: BTreeMap<Slot, Recorded>,
    /// Leaves of the next commit.
    pending: Vec<Entry>,
    /// The clock's letter before, where that changed and no leaf says so yet.
    letter_before: Option<ClockStatus>,
}

/// What the machines of one gateway have in common.
#[derive(Debug)]
struct House {
    origin: Origin,
    rules: Rules,
    wall: Wall,
    /// None before it is known for the first time.
    clock: Option<ClockStatus>,
    error_ms: Option<u64>,
}

impl House {
    fn clock(&self) -> ClockStatus {
        self.clock.unwrap_or(ClockStatus::U)
    }

    /// What an account is told, at the latest moment that is known.
    fn context(&self) -> Context<'_> {
        let epoch = Stamp {
            boot_ms: 0,
            wall: Time::default(),
        };
        Context {
            wall: &self.wall,
            now: self.wall.latest().unwrap_or(epoch),
            clock: self.clock(),
            origin: &self.origin,
            rules: &self.rules,
        }
    }
}

/// What is known of a machine before its first batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The number that its next telemetry message gets.
    pub seq_next: u64,
    /// The newest evidence that is remembered, if any: UNKNOWN starts there.
    pub evidence: Option<Evidence>,
    /// Whether the agent itself was away since then, so that the time until the first new evidence
    /// is a gap.
    pub absent: bool,
    /// What is accounted for, its sessions and bookings; none for a machine that was never taken in.
    pub memory: Option<Box<Memory>>,
    /// Why nobody watched the machine meanwhile.
    pub reason: GapReason,
}

/// The newest good evidence of a machine, as it is remembered across restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// On the boot clock of now; negative: before this boot, estimated by wall time.
    pub boot_ms: i64,
    /// In wall time.
    pub wall: Time,
}

impl Recorder {
    /// A recorder without machines.
    pub fn new(origin: Origin, telemetry: Telemetry, rules: Rules, stream: &str) -> Self {
        Self {
            house: House {
                origin,
                rules,
                wall: Wall::default(),
                clock: None,
                error_ms: None,
            },
            telemetry,
            stream: stream.into(),
            machines: BTreeMap::new(),
            pending: Vec::new(),
            letter_before: None,
        }
    }

    /// Sets how far the gateway's clock can be trusted from now on, and the kernel's estimate of its error. A
    /// change becomes a leaf of the next commit; the first letter is what the boot leaf says.
    pub fn set_clock(&mut self, status: ClockStatus, error_ms: Option<u64>) {
        let before = self.house.clock.replace(status);
        self.house.error_ms = error_ms;
        if let Some(before) = before.filter(|before| *before != status) {
            self.letter_before.get_or_insert(before);
        }
    }

    /// Sets how sessions begin and end from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.house.rules = rules;
    }

    /// The stream that messages are numbered in.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Takes a machine in: it is UNKNOWN until it has been read, and said so in the next commit, with the leaves
    /// that end what was accounted for before.
    pub fn join(&mut self, slot: Slot, map: Arc<MachineMap>, resume: Resume, now: Stamp) {
        self.observe(now);
        let made = recorded::Made {
            telemetry: &self.telemetry,
            stream: &self.stream,
            context: self.house.context(),
        };
        let recorded = Recorded::join(map, resume, now, made, &mut self.pending);
        self.machines.insert(slot, recorded);
    }

    /// Lets a machine go. What was gathered of its telemetry and its hours goes into `commit`.
    pub fn leave(&mut self, slot: Slot, commit: &mut Commit) -> Option<Resume> {
        let recorded = self.machines.remove(&slot)?;
        commit.leaves.append(&mut self.pending);
        Some(recorded.leave(self.house.context(), commit))
    }

    /// What must survive a restart, besides the evidence: the machines with their memories. Goes into the
    /// progress record together with the number of leaves that the ledger has then.
    pub fn memory(&self) -> impl Iterator<Item = (&Identifier, Memory)> {
        self.machines.values().map(|recorded| {
            (
                &recorded.map.machine,
                recorded.account.memory(&self.house.wall),
            )
        })
    }

    /// The machines with their newest good evidence in wall time, and on the boot clock.
    pub fn evidence(&self) -> impl Iterator<Item = (&Identifier, Option<Evidence>)> {
        self.machines
            .values()
            .map(|recorded| (&recorded.map.machine, recorded.evidence))
    }

    /// Machines whose state is known, and machines whose state is UNKNOWN.
    pub fn counts(&self) -> lineside_proto::MachineCount {
        let mut counts = lineside_proto::MachineCount::default();
        for recorded in self.machines.values() {
            match recorded.states.standing().state {
                State::Unknown => counts.down += 1,
                State::Off
                | State::Down
                | State::Maint
                | State::Idle
                | State::Setup
                | State::Run
                | State::Hold => counts.up += 1,
            }
        }
        counts
    }

    /// The machines' slots.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.machines.keys().copied()
    }

    /// A machine's map, state and wall times, for a snapshot.
    pub fn machine(&self, slot: Slot) -> Option<(&MachineMap, &StateMachine, Decided)> {
        self.machines
            .get(&slot)
            .map(|recorded| (&*recorded.map, &recorded.states, recorded.decided))
    }

    /// The session of a machine that runs, or will once its moment is decided time.
    pub fn session(&self, machine: &Identifier) -> Option<&Session> {
        let mut machines = self.machines.values();
        let recorded = machines.find(|recorded| recorded.map.machine == *machine)?;
        recorded.account.expected()
    }

    /// Whether somebody could start on a machine now, as its availability document would say; none of a machine
    /// that is not here.
    pub fn available_now(&self, slot: Slot, now: Time) -> Option<AvailableNow> {
        let recorded = self.machines.get(&slot)?;
        Some(recorded.available_now(now))
    }

    /// Takes in one input. A batch of a machine that has left is forgotten.
    pub fn handle(&mut self, input: &Input) -> Commit {
        if let Some(at) = input.at() {
            self.observe(at);
        }
        let mut commit = Commit {
            leaves: std::mem::take(&mut self.pending),
            ..Commit::default()
        };
        match input {
            Input::Seen(seen) => self.see(seen, &mut commit),
            Input::Tick(now) => {
                for recorded in self.machines.values_mut() {
                    recorded.tick(*now, &self.house, &mut commit);
                    recorded.say(&self.house, *now, &mut commit);
                }
            }
            Input::Bookings {
                machine,
                bookings,
                at,
            } => {
                let found = self.machines.values_mut();
                for recorded in found.filter(|recorded| recorded.map.machine == *machine) {
                    recorded.take_bookings(bookings, &self.house, &mut commit);
                    recorded.say(&self.house, *at, &mut commit);
                }
            }
            Input::CheckIn { .. } | Input::CheckOut { .. } => self.answer(input, &mut commit),
        }
        commit
    }

    fn answer(&mut self, input: &Input, commit: &mut Commit) {
        let (Input::CheckIn { machine, at, .. } | Input::CheckOut { machine, at, .. }) = input
        else {
            return;
        };
        let mut found = self.machines.values_mut();
        let Some(recorded) = found.find(|recorded| recorded.map.machine == *machine) else {
            let refusal = SessionRefusal::NoMachine(machine.clone());
            return commit.answers.push(Err(refusal));
        };
        let context = self.house.context();
        let answer = match input {
            Input::CheckIn {
                booking,
                class,
                check_in,
                word,
                by,
                ..
            } => {
                let arrival = Arrival {
                    booking: booking.as_deref(),
                    class: *class,
                    check_in: *check_in,
                    word: word.as_deref(),
                    by: by.as_deref(),
                };
                recorded
                    .account
                    .check_in(&arrival, context, &mut commit.leaves)
            }
            Input::CheckOut { by, .. } => recorded.account.check_out(by.as_deref(), context),
            Input::Seen(_) | Input::Tick(_) | Input::Bookings { .. } => return,
        };
        commit.answers.push(answer);
        recorded.tick(*at, &self.house, commit);
        recorded.say(&self.house, *at, commit);
    }

    /// Takes note of both clocks; a step or another letter becomes a leaf.
    fn observe(&mut self, at: Stamp) {
        let step_ms = self.house.wall.observe(at);
        if let Some(letter) = self.house.clock {
            self.house.wall.trust(at.millis(), letter);
        }
        if step_ms.is_none() && self.letter_before.is_none() {
            return;
        }
        let status = self.house.clock();
        let body = LeafBody::Clock(ClockLeaf {
            status,
            before: self.letter_before.take().unwrap_or(status),
            step_ms,
            error_ms: self.house.error_ms,
            source: CLOCK_SOURCE.to_owned(),
        });
        self.pending.push(Entry { at, body });
    }

    fn see(&mut self, seen: &Observation, commit: &mut Commit) {
        let Some(recorded) = self.machines.get_mut(&seen.slot()) else {
            return;
        };
        let house = &self.house;
        match seen {
            Observation::Batch(batch) => {
                recorded.take(batch, &self.stream, house, commit);
                recorded.say(house, batch.at, commit);
            }
            Observation::Standing(standing) => {
                recorded.stand(standing, &self.stream, house, commit);
                recorded.say(house, standing.at, commit);
            }
            Observation::History(batch) => recorded.recall(batch, commit),
            Observation::Missed(missed) => recorded.miss(missed, &self.stream, commit),
        }
    }

    /// Closes every open message and every open span of usage, before the agent stops.
    pub fn finish(&mut self) -> Commit {
        let mut commit = Commit {
            leaves: std::mem::take(&mut self.pending),
            ..Commit::default()
        };
        for recorded in self.machines.values_mut() {
            recorded.finish(self.house.context(), &mut commit);
        }
        commit
    }
}

#[cfg(test)]
mod tests;
