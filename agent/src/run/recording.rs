//! The recording thread: inputs into the recorder, its commits into the stores, its words onto the
//! board. The only place where what was read becomes durable.

use lineside_proto::ledger::{Audit, Correction, GapReason};
use lineside_proto::{
    Availability, Clock as ClockDocument, ClockStatus, GatewayStatus, Identifier, Link, Time,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

use super::ask::{Arrival, Departure, Refused, Reply, Rotated};
use super::progress::Progress;
use super::snapshot;
use crate::clock::{Clock, Stamp};
use crate::config::model::MachineMap;
use crate::field::Texts;
use crate::live::{LiveMachine, LiveSession};
use crate::logs::chain;
use crate::machine::availability::Origin;
use crate::machine::memory::Folded;
use crate::machine::recorder::{Change, Commit, Input, Recorder, Resume};
use crate::outbox::{Outbox, StoreError};
use crate::sample::{Observation, Slot};
use crate::uplink::board::{Board, Place, Retained};

/// Ticks are this far apart, so that holds and staleness fire without data.
const TICK: Duration = Duration::from_millis(250);

/// Observations taken in one go before anything else is looked at: as many as may wait, so that after
/// a slow disk what was read comes before the tick that says how late it is.
const OBSERVATIONS_AT_ONCE: usize = 64;

/// A store that keeps failing is said again after so long.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// Wall time before this was never set: 2026-01-01.
const WALL_PLAUSIBLE: i64 = 1_767_225_600_000;

/// What the thread is told besides observations.
#[derive(Debug)]
pub(super) enum Order {
    /// A machine comes.
    Join(Slot, Arc<MachineMap>),
    /// A machine goes: for good, or to come back with another map.
    Leave(Slot),
    /// The servers of a machine have told these texts of its enumerations, by point.
    Texts(Slot, Vec<(u16, Texts)>),
    /// A snapshot of the machines, without their links.
    Snapshot(oneshot::Sender<Vec<(Slot, LiveMachine)>>),
    /// Somebody at a machine begins to use it.
    CheckIn(Arrival, Audit, Reply<LiveSession>),
    /// Somebody at a machine is done.
    CheckOut(Departure, Audit, Reply<LiveSession>),
    /// A leaf is wrong. One that is not there is refused.
    Correct(Correction, Audit, Reply<u64>),
    /// A new signing key takes over; both sign from now on.
    RotateKey(Audit, Reply<Rotated>),
    /// Only the new signing key signs from now on.
    FinishKey(Audit, Reply<Rotated>),
    /// Somebody changed something here.
    Audit(Audit),
}

/// What the thread works with.
pub(super) struct Recording {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) origin: Origin,
    pub(super) started: Time,
    pub(super) recorder: Recorder,
    pub(super) outbox: Outbox,
    pub(super) progress: Progress,
    /// What the accounts of the machines remember from earlier runs.
    pub(super) folded: Folded,
    pub(super) seq_next: BTreeMap<Identifier, u64>,
    pub(super) commit_every: Duration,
    pub(super) board: watch::Sender<Board>,
    pub(super) observations: mpsc::Receiver<Observation>,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Machines that join at the start. Until they have, no status is said: a reader who is told ONLINE
    /// believes what an earlier run said of a machine.
    pub(super) awaited: usize,
}

enum Event {
    Seen(Observation),
    Order(Order),
    Tick,
    Closed,
}

/// The thread's own bookkeeping.
struct Pace {
    commit_due: Instant,
    status_due: Instant,
    status_said: Option<lineside_proto::MachineCount>,
    /// When it was last said that the store fails; none while it works.
    alarmed: Option<Instant>,
    version: u64,
    left: BTreeMap<Identifier, Resume>,
}

impl Recording {
    /// Runs until every source is gone; everything is durable on return.
    ///
    /// # Errors
    ///
    /// The last commit failed: what was read since the one before it is not kept.
    pub(super) fn run(mut self, runtime: &tokio::runtime::Handle) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut pace = Pace {
            commit_due: now + self.commit_every,
            status_due: now,
            status_said: None,
            alarmed: None,
            version: 0,
            left: BTreeMap::new(),
        };
        let mut tick_due = tokio::time::Instant::now();
        loop {
            match runtime.block_on(self.next(tick_due)) {
                Event::Seen(seen) => self.take(seen, &mut pace),
                Event::Order(order) => self.obey(order, &mut pace),
                Event::Tick => self.take_waiting(&mut pace),
                Event::Closed => break,
            }
            if tokio::time::Instant::now() >= tick_due {
                tick_due = tokio::time::Instant::now() + TICK;
                self.handle(&Input::Tick(self.clock.now()), &mut pace);
            }
            self.settle(&mut pace);
        }
        let rest = self.recorder.finish();
        self.keep(rest, &mut pace);
        self.commit(&mut pace);
        self.outbox.close(self.clock.now().wall)
    }

    async fn next(&mut self, tick_due: tokio::time::Instant) -> Event {
        tokio::select! {
            biased;
            Some(order) = self.orders.recv() => Event::Order(order),
            () = tokio::time::sleep_until(tick_due) => Event::Tick,
            seen = self.observations.recv() => seen.map_or(Event::Closed, Event::Seen),
        }
    }

    fn take(&mut self, seen: Observation, pace: &mut Pace) {
        self.handle(&Input::Seen(seen), pace);
        self.take_waiting(pace);
    }

    fn take_waiting(&mut self, pace: &mut Pace) {
        for _ in 0..OBSERVATIONS_AT_ONCE {
            let Ok(seen) = self.observations.try_recv() else {
                break;
            };
            self.handle(&Input::Seen(seen), pace);
        }
    }

    fn obey(&mut self, order: Order, pace: &mut Pace) {
        match order {
            Order::Join(slot, map) => self.join(slot, map, pace),
            Order::Leave(slot) => {
                let machine = self
                    .recorder
                    .machine(slot)
                    .map(|(map, ..)| map.machine.clone());
                let mut commit = Commit::default();
                let resume = self.recorder.leave(slot, &mut commit);
                self.keep(commit, pace);
                if let (Some(machine), Some(resume)) = (machine, resume) {
                    self.retire(&machine, pace);
                    pace.left.insert(machine, resume);
                }
            }
            Order::Texts(slot, texts) => {
                if let Some((map, ..)) = self.recorder.machine(slot) {
                    self.describe(map, &texts, pace);
                }
            }
            Order::Snapshot(reply) => {
                // A caller that gave up waiting needs no answer.
                drop(reply.send(snapshot::machines(&self.recorder, self.clock.now())));
            }
            Order::CheckIn(said, audit, reply) => refuse(&said, &audit, reply),
            Order::CheckOut(said, audit, reply) => refuse(&said, &audit, reply),
            Order::Correct(said, audit, reply) => refuse(&said, &audit, reply),
            Order::RotateKey(audit, reply) | Order::FinishKey(audit, reply) => {
                refuse(&"key", &audit, reply);
            }
            Order::Audit(Audit { who, action, what }) => {
                tracing::info!(who, action, what, "somebody changed something");
            }
        }
    }

    fn join(&mut self, slot: Slot, map: Arc<MachineMap>, pace: &mut Pace) {
        let now = self.clock.now();
        let machine = &map.machine;
        let resume = pace.left.remove(machine).unwrap_or_else(|| Resume {
            seq_next: self.seq_next.remove(machine).unwrap_or(0),
            evidence: self.progress.evidence(machine, now),
            absent: true,
            memory: self.folded.memory(machine).cloned().map(Box::new),
            reason: GapReason::Agent,
        });
        self.describe(&map, &[], pace);
        self.recorder.join(slot, map, resume, now);
        self.handle(&Input::Tick(now), pace);
    }

    /// Says what a machine is.
    fn describe(&self, map: &MachineMap, texts: &[(u16, Texts)], pace: &mut Pace) {
        let document = snapshot::map_document(map, texts);
        let place = Place::Map(map.machine.clone());
        self.post(place, serde_json::to_vec(&document), None, pace);
    }

    /// Clears what the broker keeps of a machine.
    fn retire(&self, machine: &Identifier, pace: &mut Pace) {
        for place in Place::all_of(machine) {
            self.post(place, Ok(Vec::new()), None, pace);
        }
    }

    fn handle(&mut self, input: &Input, pace: &mut Pace) {
        self.recorder
            .set_clock(clock_status(self.clock.now()), None);
        let commit = self.recorder.handle(input);
        self.keep(commit, pace);
    }

    /// Puts a commit where it belongs: messages into the outbox, words onto the board once what led
    /// to them is durable.
    fn keep(&mut self, commit: Commit, pace: &mut Pace) {
        for change in &commit.changes {
            log_change(change);
        }
        if let Err(error) = self.outbox.append(commit.records) {
            // Only a message that breaks the outbox's own rules: a fault of the program.
            tracing::error!(error = chain(&error), "telemetry was refused by the outbox");
        }
        if !commit.changes.is_empty() {
            self.commit(pace);
        }
        for document in commit.availability {
            self.say(&document, pace);
        }
    }

    fn say(&self, document: &Availability, pace: &mut Pace) {
        let place = Place::Availability(document.machine.clone());
        self.post(
            place,
            serde_json::to_vec(document),
            Some(self.origin.max_age()),
            pace,
        );
    }

    fn post(
        &self,
        place: Place,
        payload: serde_json::Result<Vec<u8>>,
        max_age: Option<Duration>,
        pace: &mut Pace,
    ) {
        let payload = match payload {
            Ok(payload) => payload.into(),
            Err(error) => return tracing::error!(%error, ?place, "a document can't be written"),
        };
        pace.version += 1;
        let document = Retained {
            payload,
            version: pace.version,
            made: Instant::now(),
            max_age,
        };
        self.board.send_modify(|board| {
            if matches!(place, Place::Availability(_)) {
                let opening = board.openings.entry(place.clone());
                opening.or_insert_with(|| document.clone());
            }
            board.documents.insert(place, document);
        });
    }

    /// Commits if it is time to, and says the status if it is due.
    fn settle(&mut self, pace: &mut Pace) {
        let now = Instant::now();
        if now >= pace.commit_due {
            self.commit(pace);
        }
        if self.recorder.slots().count() < self.awaited {
            return;
        }
        self.awaited = 0;
        let counts = self.recorder.counts();
        if now >= pace.status_due || pace.status_said != Some(counts) {
            pace.status_due = now + self.origin.heartbeat;
            pace.status_said = Some(counts);
            let status = self.status(counts);
            self.post(
                Place::Status,
                serde_json::to_vec(&status),
                Some(self.origin.max_age()),
                pace,
            );
        }
    }

    /// Makes durable what was kept: messages first, then how far knowledge reaches. A store that
    /// fails keeps what it can and names the rest in gap documents; machines are read and states
    /// said all the same, since a portal needs them most when something is wrong.
    fn commit(&mut self, pace: &mut Pace) {
        let now = Instant::now();
        pace.commit_due = now + self.commit_every;
        let wall = self.clock.now().wall;
        let done = self
            .outbox
            .commit(wall)
            .map_err(|error| chain(&error))
            .and_then(|_| {
                self.progress
                    .write(self.recorder.evidence(), self.recorder.memory(), 0)
                    .map_err(|error| error.to_string())
            });
        match done {
            Ok(()) if pace.alarmed.take().is_some() => tracing::info!("the store works again"),
            Ok(()) => {}
            Err(error) => {
                if pace
                    .alarmed
                    .is_none_or(|said| now.duration_since(said) >= ALARM_EVERY)
                {
                    pace.alarmed = Some(now);
                    tracing::error!(error, "the store fails");
                }
            }
        }
    }

    fn status(&self, machines: lineside_proto::MachineCount) -> GatewayStatus {
        GatewayStatus {
            v: 1,
            site: self.origin.site.clone(),
            gateway: self.origin.gateway.clone(),
            link: Link::Online,
            boot: Some(self.origin.boot.clone()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            started: Some(self.started),
            clock: Some(ClockDocument {
                status: clock_status(self.clock.now()),
                offset_ms: None,
            }),
            machines: Some(machines),
            outbox: Some(self.outbox.figures()),
            ledger: None,
            max_age_s: Some(self.origin.max_age_s()),
            at: Some(self.clock.now().wall),
        }
    }
}

/// How far the gateway's clock can be trusted.
pub(super) fn clock_status(now: Stamp) -> ClockStatus {
    if now.wall.as_millis() < WALL_PLAUSIBLE {
        ClockStatus::U
    } else {
        ClockStatus::I
    }
}

/// Says that nothing can be entered.
fn refuse<T>(said: &dyn std::fmt::Debug, audit: &Audit, reply: Reply<T>) {
    tracing::warn!(
        ?said,
        who = audit.who,
        action = audit.action,
        "nothing can be entered"
    );
    drop(reply.send(Err(Refused::not_here())));
}

fn log_change(change: &Change) {
    let Change {
        machine,
        transition,
        decided,
        reason,
    } = change;
    tracing::info!(
        %machine,
        from = %transition.from,
        to = %transition.to,
        since = %decided.since,
        reason,
        "state changed"
    );
}
