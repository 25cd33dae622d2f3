//! The recorder: every batch and every tick goes through here, and what comes out is all that the
//! agent says of its machines. An ordinary method without I/O and without a clock, so that tests and
//! simulations call it as production does.

use lineside_proto::{
    Availability, ClockStatus, Gap, GapKind, Identifier, ReasonCode, State, Time,
};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::availability::{Decided, Origin, document};
use super::frames::Frames;
use super::silence::Silences;
use super::state::{StateMachine, Transition};
use crate::clock::Stamp;
use crate::config::model::{MachineMap, Telemetry};
use crate::record::{Entry, Record};
use crate::sample::{Batch, Missed, Observation, Slot, Standing};

/// A change of reason without a change of state (such as one more stale point) is said at most this often.
const REASON_EVERY_MS: i64 = 1_000;

/// A batch that comes so long after what the machine's state was worked out for is history: it is told, and
/// no state rests on it, since a state counts its evidence from when it is taken in.
const LATE_MS_MAX: i64 = 1_000;

/// What comes in.
#[derive(Clone, Debug)]
pub enum Input {
    /// A source has something to tell.
    Seen(Observation),
    /// Time passed. At most 250 ms apart, so that holds and staleness fire without data.
    Tick(Stamp),
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
    origin: Origin,
    telemetry: Telemetry,
    stream: Arc<str>,
    clock: ClockStatus,
    machines: BTreeMap<Slot, Recorded>,
}

/// What is known of a machine before its first batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The number that its next telemetry message gets.
    pub seq_next: u64,
    /// The newest evidence that is remembered, if any: UNKNOWN starts there.
    pub evidence: Option<Evidence>,
    /// Whether the agent itself was away since then, so that the time until the first new evidence
    /// is a gap.
    pub absent: bool,
}

/// The newest good evidence of a machine, as it is remembered across restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// On the boot clock of now; negative: before this boot, estimated by wall time.
    pub boot_ms: i64,
    /// In wall time.
    pub wall: Time,
}

/// One machine.
#[derive(Debug)]
struct Recorded {
    map: Arc<MachineMap>,
    states: StateMachine,
    frames: Frames,
    silences: Silences,
    decided: Decided,
    /// Since when the agent did not run, as long as that is not yet said.
    absent: Option<Time>,
    said: Option<Said>,
    seq: u64,
    evidence: Option<Evidence>,
    /// Up to when the state is worked out.
    now_ms: i64,
}

/// What the last availability document said.
#[derive(Debug)]
struct Said {
    state: State,
    rule: Option<u16>,
    decided: Decided,
    code: ReasonCode,
    reason: String,
    at_ms: i64,
}

impl Recorder {
    /// A recorder without machines.
    pub fn new(origin: Origin, telemetry: Telemetry, stream: &str) -> Self {
        Self {
            origin,
            telemetry,
            stream: stream.into(),
            clock: ClockStatus::U,
            machines: BTreeMap::new(),
        }
    }

    /// Sets how far the gateway's clock can be trusted from now on.
    pub fn set_clock(&mut self, status: ClockStatus) {
        self.clock = status;
    }

    /// The stream that messages are numbered in.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Takes a machine in: it is UNKNOWN until it has been read, and said so in the first commit.
    pub fn join(&mut self, slot: Slot, map: Arc<MachineMap>, resume: Resume, now: Stamp) {
        let unknown_since = resume
            .evidence
            .map_or(now.millis(), |evidence| evidence.boot_ms.min(now.millis()));
        // The clock may have lost the time meanwhile.
        let since = resume
            .evidence
            .map_or(now.wall, |evidence| evidence.wall.min(now.wall));
        let recorded = Recorded {
            states: StateMachine::new(Arc::clone(&map), now.millis(), unknown_since),
            frames: Frames::new(
                Arc::clone(&map),
                &self.telemetry,
                Arc::clone(&self.stream),
                resume.seq_next,
            ),
            silences: Silences::new(now),
            decided: Decided {
                since,
                decided_at: now.wall,
            },
            absent: resume
                .evidence
                .filter(|_| resume.absent)
                .map(|evidence| evidence.wall),
            said: None,
            seq: 0,
            evidence: resume.evidence,
            now_ms: now.millis(),
            map,
        };
        self.machines.insert(slot, recorded);
    }

    /// Lets a machine go. What was gathered of its telemetry goes into `commit`.
    pub fn leave(&mut self, slot: Slot, commit: &mut Commit) -> Option<Resume> {
        let mut recorded = self.machines.remove(&slot)?;
        recorded.frames.finish(&mut commit.records);
        Some(Resume {
            seq_next: recorded.frames.seq_next(),
            evidence: recorded.evidence,
            absent: recorded.absent.is_some(),
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

    /// Takes in one input. A batch of a machine that has left is forgotten.
    pub fn handle(&mut self, input: &Input) -> Commit {
        let mut commit = Commit::default();
        match input {
            Input::Seen(seen) => self.see(seen, &mut commit),
            Input::Tick(now) => {
                for recorded in self.machines.values_mut() {
                    recorded.tick(*now, &mut commit);
                    recorded.say(&self.origin, self.clock, *now, &mut commit);
                }
            }
        }
        commit
    }

    fn see(&mut self, seen: &Observation, commit: &mut Commit) {
        let Some(recorded) = self.machines.get_mut(&seen.slot()) else {
            return;
        };
        match seen {
            Observation::Batch(batch) => {
                recorded.take(batch, &self.stream, commit);
                recorded.say(&self.origin, self.clock, batch.at, commit);
            }
            Observation::Standing(standing) => {
                recorded.stand(standing, &self.stream, commit);
                recorded.say(&self.origin, self.clock, standing.at, commit);
            }
            Observation::History(batch) => recorded.frames.remember(batch, &mut commit.records),
            Observation::Missed(missed) => recorded.miss(missed, &self.stream, commit),
        }
    }

    /// Closes every open message, before the agent stops.
    pub fn finish(&mut self) -> Commit {
        let mut commit = Commit::default();
        for recorded in self.machines.values_mut() {
            recorded.frames.finish(&mut commit.records);
        }
        commit
    }
}

impl Recorded {
    fn take(&mut self, batch: &Batch, stream: &str, commit: &mut Commit) {
        let is_good = batch.samples.iter().any(|sample| sample.reading.is_ok());
        if self.now_ms.saturating_sub(batch.at.millis()) <= LATE_MS_MAX {
            self.decide(batch, commit);
        }
        if is_good {
            self.witness(batch.at, stream, commit);
        }
        if let Some(silence) = self.silences.take(&self.map, batch) {
            let gap = self.gap(stream, GapKind::Field, silence.from, batch.at.wall);
            commit.records.push(Record::from(&Gap {
                reason: silence.reason,
                ..gap
            }));
        }
        self.frames.take(batch, &mut commit.records);
        self.frames.tick(batch.at.millis(), &mut commit.records);
    }

    fn stand(&mut self, standing: &Standing, stream: &str, commit: &mut Commit) {
        let at_ms = standing.at.millis();
        if self.now_ms.saturating_sub(at_ms) <= LATE_MS_MAX {
            self.now_ms = self.now_ms.max(at_ms);
            let mut transitions = Vec::new();
            let observed = self.states.standing().observed_ms;
            self.states
                .stand(at_ms, standing.group, &standing.points, &mut transitions);
            self.note(&transitions, standing.at, commit);
            // A word about points that were denied or never told is evidence of nothing.
            if self.states.standing().observed_ms != observed {
                self.witness(standing.at, stream, commit);
            }
        }
        self.frames
            .stand(standing, &self.states, &mut commit.records);
        self.frames.tick(at_ms, &mut commit.records);
    }

    fn miss(&self, missed: &Missed, stream: &str, commit: &mut Commit) {
        let gap = self.gap(stream, GapKind::Field, missed.from, missed.to);
        commit.records.push(Record::from(&Gap {
            samples: missed.samples,
            reason: missed.reason.clone(),
            ..gap
        }));
    }

    /// Works the state out anew.
    fn decide(&mut self, batch: &Batch, commit: &mut Commit) {
        self.now_ms = self.now_ms.max(batch.at.millis());
        let mut transitions = Vec::new();
        self.states.apply(
            batch.at.millis(),
            batch.group,
            &batch.samples,
            &mut transitions,
        );
        self.note(&transitions, batch.at, commit);
    }

    /// Takes note of good evidence; the first after a start ends the agent's own absence.
    fn witness(&mut self, at: Stamp, stream: &str, commit: &mut Commit) {
        self.remember(at);
        if let Some(from) = self.absent.take() {
            let gap = self.gap(stream, GapKind::Agent, from, at.wall);
            commit.records.push(Record::from(&Gap {
                reason: "the agent did not run".to_owned(),
                ..gap
            }));
        }
    }

    /// Takes note of good evidence, unless newer is known.
    fn remember(&mut self, at: Stamp) {
        let boot_ms = at.millis();
        if self.evidence.is_none_or(|known| known.boot_ms < boot_ms) {
            let wall = at.wall;
            self.evidence = Some(Evidence { boot_ms, wall });
        }
    }

    fn tick(&mut self, now: Stamp, commit: &mut Commit) {
        self.now_ms = self.now_ms.max(now.millis());
        let mut transitions = Vec::new();
        self.states.advance(now.millis(), &mut transitions);
        self.note(&transitions, now, commit);
        self.frames.tick(now.millis(), &mut commit.records);
    }

    fn note(&mut self, transitions: &[Transition], now: Stamp, commit: &mut Commit) {
        for transition in transitions {
            self.decided = Decided {
                since: now.wall_at(transition.since_ms),
                decided_at: now.wall_at(transition.decided_ms),
            };
            commit.changes.push(Change {
                machine: self.map.machine.clone(),
                transition: *transition,
                decided: self.decided,
                reason: self.states.standing().reason_text.clone(),
            });
        }
    }

    /// A gap of this machine in which no message had been made, its reason to be said.
    fn gap(&self, stream: &str, kind: GapKind, from: Time, to: Time) -> Gap {
        Gap {
            v: 1,
            machine: self.map.machine.clone(),
            stream: stream.to_owned(),
            kind,
            from: from.min(to),
            to,
            seq_from: None,
            seq_to: None,
            samples: None,
            reason: String::new(),
        }
    }

    /// Says what the machine is doing, if that is new or the heartbeat is due.
    fn say(&mut self, origin: &Origin, clock: ClockStatus, now: Stamp, commit: &mut Commit) {
        let standing = self.states.standing();
        let heartbeat_ms = i64::try_from(origin.heartbeat.as_millis()).unwrap_or(i64::MAX);
        let due = self.said.as_ref().is_none_or(|said| {
            let age_ms = now.millis() - said.at_ms;
            let other_state = said.state != standing.state
                || said.rule != standing.rule
                || said.decided != self.decided;
            let other_reason = (said.code, &said.reason)
                != (standing.reason, &standing.reason_text)
                && age_ms >= REASON_EVERY_MS;
            other_state || other_reason || age_ms >= heartbeat_ms
        });
        if !due {
            return;
        }
        self.seq += 1;
        commit.availability.push(document(
            origin,
            &self.map,
            standing,
            self.decided,
            now,
            clock,
            self.seq,
        ));
        self.said = Some(Said {
            state: standing.state,
            rule: standing.rule,
            decided: self.decided,
            code: standing.reason,
            reason: standing.reason_text.clone(),
            at_ms: now.millis(),
        });
    }
}

#[cfg(test)]
mod tests;
