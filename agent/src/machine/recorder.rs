//! The recorder: every batch and every tick goes through here, and what comes out is all that the
//! agent says of its machines. An ordinary method without I/O and without a clock, so that tests and
//! simulations call it as production does.

use lineside_proto::{Availability, ClockStatus, Gap, GapKind, Identifier, State, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::availability::{Decided, Origin, document};
use super::frames::{Frames, gap_record};
use super::silence::Silences;
use super::state::{StateMachine, Transition};
use crate::clock::Stamp;
use crate::config::model::{MachineMap, Telemetry};
use crate::record::Record;
use crate::sample::{Batch, Slot};

/// A change of reason without a change of state (such as one more stale point) is said at most this often.
const REASON_EVERY_MS: i64 = 1_000;

/// What comes in.
#[derive(Clone, Debug)]
pub enum Input {
    /// A source read something.
    Batch(Batch),
    /// Time passed. At most 250 ms apart, so that holds and staleness fire without data.
    Tick(Stamp),
}

/// What must become durable, and what must be said.
#[derive(Debug, Default)]
pub struct Commit {
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
    evidence_wall: Option<Time>,
}

/// What the last availability document said.
#[derive(Debug)]
struct Said {
    state: State,
    rule: Option<u16>,
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
        let since = resume.evidence.map_or(now.wall, |evidence| evidence.wall);
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
            evidence_wall: resume.evidence.map(|evidence| evidence.wall),
            map,
        };
        self.machines.insert(slot, recorded);
    }

    /// Lets a machine go. What was gathered of its telemetry goes into `commit`.
    pub fn leave(&mut self, slot: Slot, commit: &mut Commit) -> Option<Resume> {
        let mut recorded = self.machines.remove(&slot)?;
        recorded.frames.finish(&mut commit.records);
        let evidence = recorded
            .states
            .standing()
            .observed_ms
            .zip(recorded.evidence_wall)
            .map(|(boot_ms, wall)| Evidence { boot_ms, wall });
        Some(Resume {
            seq_next: recorded.frames.seq_next(),
            evidence,
            absent: false,
        })
    }

    /// The machines with their newest good evidence in wall time, and on the boot clock.
    pub fn evidence(&self) -> impl Iterator<Item = (&Identifier, Option<Evidence>)> {
        self.machines.values().map(|recorded| {
            let observed = recorded.states.standing().observed_ms;
            let evidence = observed
                .zip(recorded.evidence_wall)
                .map(|(boot_ms, wall)| Evidence { boot_ms, wall });
            (&recorded.map.machine, evidence)
        })
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
            Input::Batch(batch) => {
                if let Some(recorded) = self.machines.get_mut(&batch.slot) {
                    recorded.take(batch, &self.stream, &mut commit);
                    recorded.say(&self.origin, self.clock, batch.at, &mut commit);
                }
            }
            Input::Tick(now) => {
                for recorded in self.machines.values_mut() {
                    recorded.tick(*now, &mut commit);
                    recorded.say(&self.origin, self.clock, *now, &mut commit);
                }
            }
        }
        commit
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
        let mut transitions = Vec::new();
        let observed = self.states.standing().observed_ms;
        self.states.apply(
            batch.at.millis(),
            batch.group,
            &batch.samples,
            &mut transitions,
        );
        self.note(&transitions, batch.at, commit);
        if self.states.standing().observed_ms != observed {
            self.evidence_wall = Some(batch.at.wall);
            if let Some(from) = self.absent.take() {
                self.gap(
                    stream,
                    GapKind::Agent,
                    from,
                    batch.at.wall,
                    "the agent did not run",
                    commit,
                );
            }
        }
        if let Some(silence) = self.silences.take(&self.map, batch) {
            self.gap(
                stream,
                GapKind::Field,
                silence.from,
                batch.at.wall,
                &silence.reason,
                commit,
            );
        }
        self.frames.take(batch, &mut commit.records);
        self.frames.tick(batch.at.millis(), &mut commit.records);
    }

    fn tick(&mut self, now: Stamp, commit: &mut Commit) {
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

    fn gap(
        &self,
        stream: &str,
        kind: GapKind,
        from: Time,
        to: Time,
        reason: &str,
        commit: &mut Commit,
    ) {
        commit.records.push(gap_record(&Gap {
            v: 1,
            machine: self.map.machine.clone(),
            stream: stream.to_owned(),
            kind,
            from: from.min(to),
            to,
            seq_from: None,
            seq_to: None,
            samples: None,
            reason: reason.to_owned(),
        }));
    }

    /// Says what the machine is doing, if that is new or the heartbeat is due.
    fn say(&mut self, origin: &Origin, clock: ClockStatus, now: Stamp, commit: &mut Commit) {
        let standing = self.states.standing();
        let heartbeat_ms = i64::try_from(origin.heartbeat.as_millis()).unwrap_or(i64::MAX);
        let due = self.said.as_ref().is_none_or(|said| {
            let age_ms = now.millis() - said.at_ms;
            let other_state = said.state != standing.state || said.rule != standing.rule;
            let other_reason = said.reason != standing.reason_text && age_ms >= REASON_EVERY_MS;
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
            reason: standing.reason_text.clone(),
            at_ms: now.millis(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Publish;
    use crate::machine::testing::{machine, point};
    use crate::sample::{Bad, Sample, Value};
    use lineside_proto::ReasonCode;
    use std::time::Duration;

    fn at(ms: u64) -> Stamp {
        Stamp {
            boot_ms: ms,
            wall: Time::from_millis(1_795_420_800_000).plus_millis(ms as i64),
        }
    }

    fn recorder(resume: Resume) -> Recorder {
        let origin = Origin {
            site: "site".parse().unwrap(),
            gateway: "gw".parse().unwrap(),
            boot: "boot".to_owned(),
            heartbeat: Duration::from_secs(30),
        };
        let telemetry = Telemetry {
            batch: Duration::from_secs(1),
            full_every: Duration::from_secs(600),
            publish: Publish::All,
        };
        let mut recorder = Recorder::new(origin, telemetry, "stream");
        let map = machine(
            vec![point("speed")],
            &[("RUN", "speed > 5"), ("IDLE", "true")],
        );
        recorder.join(Slot(3), map, resume, at(0));
        recorder
    }

    const FRESH: Resume = Resume {
        seq_next: 1,
        evidence: None,
        absent: false,
    };

    fn reading(ms: u64, reading: Result<Value, Bad>) -> Input {
        let samples = vec![Sample { point: 0, reading }];
        Input::Batch(Batch {
            slot: Slot(3),
            group: 0,
            at: at(ms),
            samples,
        })
    }

    fn gaps(commits: &[Commit]) -> Vec<Gap> {
        let records = commits.iter().flat_map(|commit| &commit.records);
        records
            .filter_map(|record| serde_json::from_slice(&record.payload).ok())
            .collect()
    }

    #[test]
    fn says_unknown_first_then_what_the_rules_give_then_heartbeats() {
        let mut recorder = recorder(FRESH);
        let first = recorder.handle(&Input::Tick(at(0)));
        assert_eq!(first.availability[0].state, State::Unknown);
        assert_eq!(first.availability[0].reason.code, ReasonCode::Starting);
        let run = recorder.handle(&reading(100, Ok(Value::Int(9))));
        assert_eq!(run.availability[0].state, State::Run);
        assert_eq!(run.availability[0].rule.as_deref(), Some("RUN@1"));
        assert_eq!(run.changes.len(), 1);
        let mut heartbeats = 0;
        for second in 1..=60 {
            let commit = recorder.handle(&reading(100 + second * 1_000, Ok(Value::Int(9))));
            assert!(commit.changes.is_empty());
            heartbeats += commit.availability.len();
        }
        assert_eq!(heartbeats, 2);
    }

    #[test]
    fn a_silence_makes_the_machine_unknown_and_leaves_a_gap_when_it_ends() {
        let mut recorder = recorder(FRESH);
        let mut commits = vec![recorder.handle(&reading(1_000, Ok(Value::Int(9))))];
        for second in 2..20 {
            commits.push(recorder.handle(&reading(second * 1_000, Err(Bad::Timeout))));
        }
        let states: Vec<_> = commits.iter().flat_map(|commit| &commit.changes).collect();
        assert_eq!(states.len(), 2, "{states:?}");
        assert_eq!(states[1].transition.to, State::Unknown);
        assert_eq!(states[1].transition.since_ms, 1_000);
        assert_eq!(states[1].transition.decided_ms, 11_000);
        assert!(gaps(&commits).is_empty());
        commits.push(recorder.handle(&reading(20_000, Ok(Value::Int(9)))));
        let gaps = gaps(&commits);
        assert_eq!(gaps.len(), 1);
        assert_eq!(
            (gaps[0].kind, gaps[0].from, gaps[0].to),
            (GapKind::Field, at(1_000).wall, at(20_000).wall)
        );
    }

    #[test]
    fn after_a_restart_unknown_begins_where_knowledge_ended_and_the_time_between_is_a_gap() {
        let evidence = Evidence {
            boot_ms: -5_000,
            wall: at(0).wall.plus_millis(-5_000),
        };
        let mut recorder = recorder(Resume {
            seq_next: 8,
            evidence: Some(evidence),
            absent: true,
        });
        let first = recorder.handle(&Input::Tick(at(0)));
        assert_eq!(first.availability[0].since, evidence.wall);
        let commits = [
            recorder.handle(&reading(700, Ok(Value::Int(1)))),
            recorder.finish(),
        ];
        let gaps = gaps(&commits);
        assert_eq!(gaps.len(), 1);
        assert_eq!(
            (gaps[0].kind, gaps[0].from, gaps[0].to),
            (GapKind::Agent, evidence.wall, at(700).wall)
        );
        let telemetry = &commits[1].records[0];
        assert!(matches!(
            telemetry.kind,
            crate::record::RecordKind::Telemetry { seq: 8, .. }
        ));
    }

    #[test]
    fn a_batch_of_a_machine_that_left_is_forgotten() {
        let mut recorder = recorder(FRESH);
        recorder.handle(&reading(100, Ok(Value::Int(9))));
        let mut commit = Commit::default();
        let resume = recorder.leave(Slot(3), &mut commit).unwrap();
        assert_eq!(commit.records.len(), 1);
        assert_eq!(resume.seq_next, 2);
        assert!(!resume.absent);
        assert!(
            recorder
                .handle(&reading(200, Ok(Value::Int(9))))
                .records
                .is_empty()
        );
        assert_eq!(recorder.evidence().count(), 0);
    }
}
