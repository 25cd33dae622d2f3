//! One machine of the recorder: its state, its frames, its silences and its account.

use lineside_proto::booking::Booking;
use lineside_proto::ledger::GapReason;
use lineside_proto::{AvailableNow, Gap, GapKind, ReasonCode, State, Time};
use std::sync::Arc;

use super::{Change, Commit, Evidence, House, Resume};
use crate::clock::Stamp;
use crate::config::model::{External, MachineMap, Telemetry};
use crate::machine::account::{Account, Context, Occupancy};
use crate::machine::availability::{Decided, Word, available_now, document};
use crate::machine::frames::Frames;
use crate::machine::silence::Silences;
use crate::machine::state::{StateMachine, Transition};
use crate::record::{Entry, Record};
use crate::sample::{Batch, Missed, Standing};

/// A change of reason without a change of state (such as one more stale point) is said at most this often.
const REASON_EVERY_MS: i64 = 1_000;

/// A batch that comes so long after what the machine's state was worked out for is history: it is told, and
/// no state rests on it, since a state counts its evidence from when it is taken in.
const LATE_MS_MAX: i64 = 1_000;

/// What a machine of the recorder is made with.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) telemetry: &'a Telemetry,
    pub(super) stream: &'a Arc<str>,
    pub(super) context: Context<'a>,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) map: Arc<MachineMap>,
    pub(super) states: StateMachine,
    pub(super) frames: Frames,
    pub(super) silences: Silences,
    pub(super) decided: Decided,
    /// Since when the agent did not run, as long as that is not yet said.
    pub(super) absent: Option<Time>,
    pub(super) account: Account,
    withholds: bool,
    /// When the machine was taken in: of what was withheld before only the account knows.
    joined: Time,
    said: Option<Said>,
    seq: u64,
    pub(super) evidence: Option<Evidence>,
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
    occupancy: Occupancy,
    at_ms: i64,
}

impl Recorded {
    /// Takes a machine in, now.
    pub(super) fn join(
        map: Arc<MachineMap>,
        resume: Resume,
        now: Stamp,
        made: Made<'_>,
        out: &mut Vec<Entry>,
    ) -> Self {
        let known = resume.evidence;
        let (account, resumed) = Account::join(
            Arc::clone(&map),
            resume.memory.map(|memory| *memory),
            resume.reason,
            made.context,
            out,
        );
        // The ledger's word on where knowledge ended is the better one.
        let ended = resumed.or(known.map(|evidence| (evidence.boot_ms, evidence.wall)));
        let unknown_since = ended.map_or(now.millis(), |(ms, _)| ms.min(now.millis()));
        // The clock may have lost the time meanwhile.
        let since = ended.map_or(now.wall, |(_, wall)| wall.min(now.wall));
        Self {
            states: StateMachine::new(Arc::clone(&map), now.millis(), unknown_since),
            frames: Frames::new(
                Arc::clone(&map),
                made.telemetry,
                Arc::clone(made.stream),
                resume.seq_next,
            ),
            silences: Silences::new(now),
            decided: Decided {
                since,
                decided_at: now.wall,
            },
            absent: known.filter(|_| resume.absent).map(|known| known.wall),
            account,
            withholds: made.telemetry.external == External::Withhold,
            joined: now.wall,
            said: None,
            seq: 0,
            evidence: known,
            now_ms: now.millis(),
            map,
        }
    }

    /// Lets the machine go.
    pub(super) fn leave(mut self, context: Context<'_>, commit: &mut Commit) -> Resume {
        self.finish(context, commit);
        Resume {
            seq_next: self.frames.seq_next(),
            evidence: self.evidence,
            absent: self.absent.is_some(),
            memory: Some(Box::new(self.account.into_memory())),
            reason: GapReason::Map,
        }
    }

    /// Closes the open message and the open spans of usage.
    pub(super) fn finish(&mut self, context: Context<'_>, commit: &mut Commit) {
        self.frames.name_withheld(context.now, &mut commit.records);
        self.frames.finish(&mut commit.records);
        self.account.finish(context, &mut commit.leaves);
    }

    /// These bookings, all of them, are in force.
    pub(super) fn take_bookings(
        &mut self,
        bookings: &[Booking],
        house: &House,
        commit: &mut Commit,
    ) {
        let context = house.context();
        let leaves = &mut commit.leaves;
        self.account.take_bookings(bookings, context, leaves);
        self.withhold(context.now, commit);
    }

    /// Keeps process values back, or no longer, as sessions and bookings ask.
    fn withhold(&mut self, now: Stamp, commit: &mut Commit) {
        if self.withholds {
            let allowed = self.account.withheld(now.wall);
            self.frames.withhold(allowed, now, &mut commit.records);
        }
    }

    pub(super) fn take(&mut self, batch: &Batch, stream: &str, house: &House, commit: &mut Commit) {
        let is_good = batch.samples.iter().any(|sample| sample.reading.is_ok());
        if self.now_ms.saturating_sub(batch.at.millis()) <= LATE_MS_MAX {
            self.decide(batch, house, commit);
        }
        self.account.note(batch);
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
        self.withhold(batch.at, commit);
        self.frames.take(batch, &mut commit.records);
        self.frames.tick(batch.at.millis(), &mut commit.records);
    }

    pub(super) fn stand(
        &mut self,
        standing: &Standing,
        stream: &str,
        house: &House,
        commit: &mut Commit,
    ) {
        let at_ms = standing.at.millis();
        if self.now_ms.saturating_sub(at_ms) <= LATE_MS_MAX {
            self.now_ms = self.now_ms.max(at_ms);
            let mut transitions = Vec::new();
            let observed = self.states.standing().observed_ms;
            self.states
                .stand(at_ms, standing.group, &standing.points, &mut transitions);
            self.note(&transitions, standing.at, house, commit);
            // A word about points that were denied or never told is evidence of nothing.
            if self.states.standing().observed_ms != observed {
                self.witness(standing.at, stream, commit);
            }
        }
        self.withhold(standing.at, commit);
        self.frames
            .stand(standing, &self.states, &mut commit.records);
        self.frames.tick(at_ms, &mut commit.records);
    }

    /// Takes in what a source remembers. Nothing of it is sent that was another company's.
    pub(super) fn recall(&mut self, batch: &Batch, commit: &mut Commit) {
        let (withholds, joined, account) = (self.withholds, self.joined, &self.account);
        let is_external = |time| withholds && time <= joined && account.was_external(time);
        self.frames
            .remember(batch, is_external, &mut commit.records);
    }

    pub(super) fn miss(&self, missed: &Missed, stream: &str, commit: &mut Commit) {
        let gap = self.gap(stream, GapKind::Field, missed.from, missed.to);
        commit.records.push(Record::from(&Gap {
            samples: missed.samples,
            reason: missed.reason.clone(),
            ..gap
        }));
    }

    /// Works the state out anew.
    fn decide(&mut self, batch: &Batch, house: &House, commit: &mut Commit) {
        self.now_ms = self.now_ms.max(batch.at.millis());
        let mut transitions = Vec::new();
        self.states.apply(
            batch.at.millis(),
            batch.group,
            &batch.samples,
            &mut transitions,
        );
        self.note(&transitions, batch.at, house, commit);
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

    pub(super) fn tick(&mut self, now: Stamp, house: &House, commit: &mut Commit) {
        self.now_ms = self.now_ms.max(now.millis());
        let mut transitions = Vec::new();
        self.states.advance(now.millis(), &mut transitions);
        self.note(&transitions, now, house, commit);
        self.withhold(now, commit);
        self.frames.tick(now.millis(), &mut commit.records);
    }

    /// Takes note of what is decided anew, and lets the account follow.
    fn note(&mut self, transitions: &[Transition], now: Stamp, house: &House, commit: &mut Commit) {
        for transition in transitions {
            self.decided = Decided {
                since: now.wall_at(transition.since_ms),
                decided_at: now.wall_at(transition.decided_ms),
            };
            commit.changes.push(Change {
                machine: self.map.machine.clone(),
                transition: *transition,
                decided: self.decided,
                reason: self.reason(transition),
            });
        }
        let horizon_ms = self.states.horizon_ms();
        let leaves = &mut commit.leaves;
        self.account
            .decide(transitions, horizon_ms, house.context(), leaves);
    }

    /// Why a transition came, in words. Of several that are decided at once only the last has the standing reason.
    fn reason(&self, transition: &Transition) -> String {
        let place = transition.rule.map(usize::from);
        let rule = place.and_then(|place| self.map.rules.get(place));
        let standing = self.states.standing();
        match rule {
            Some(rule) => rule.when.clone(),
            None if standing.state == transition.to => standing.reason_text.clone(),
            None => String::new(),
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

    /// Whether somebody could start now.
    pub(super) fn available_now(&self, now: Time) -> AvailableNow {
        available_now(self.states.standing().state, &self.account.occupancy(now))
    }

    /// Says what the machine is doing, if that is new or the heartbeat is due.
    pub(super) fn say(&mut self, house: &House, now: Stamp, commit: &mut Commit) {
        let standing = self.states.standing();
        let heartbeat_ms = i64::try_from(house.origin.heartbeat.as_millis()).unwrap_or(i64::MAX);
        let occupancy = self.account.occupancy(now.wall);
        let due = self.said.as_ref().is_none_or(|said| {
            let age_ms = now.millis() - said.at_ms;
            let other_state = said.state != standing.state
                || said.rule != standing.rule
                || said.decided != self.decided
                || said.occupancy != occupancy;
            let other_reason = (said.code, &said.reason)
                != (standing.reason, &standing.reason_text)
                && age_ms >= REASON_EVERY_MS;
            other_state || other_reason || age_ms >= heartbeat_ms
        });
        if !due {
            return;
        }
        self.seq += 1;
        let word = Word {
            standing,
            decided: self.decided,
            occupancy: &occupancy,
            at: now,
            clock: house.clock(),
            seq: self.seq,
        };
        let said = document(&house.origin, &self.map, &word);
        commit.availability.push(said);
        self.said = Some(Said {
            state: standing.state,
            rule: standing.rule,
            decided: self.decided,
            code: standing.reason,
            reason: standing.reason_text.clone(),
            occupancy,
            at_ms: now.millis(),
        });
    }
}
