//! The recording thread: inputs into the recorder, its commits into the stores, its words onto the
//! board. The only place where what was read becomes durable.

use lineside_proto::ledger::{Audit, ConfigLeaf, Correction, GapReason, LeafBody};
use lineside_proto::{Identifier, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

use super::StopError;
use super::ask::{Arrival, Departure, Reply, Rotated};
use super::opening::{self, Stores};
use super::snapshot;
use crate::clock::{Clock, Discipline, Stamp};
use crate::config::Config;
use crate::config::model::MachineMap;
use crate::field::Texts;
use crate::ledger::LedgerError;
use crate::live::{LiveMachine, LiveSession};
use crate::machine::account;
use crate::machine::availability::Origin;
use crate::machine::recorder::{Commit, Input, Recorder, Resume};
use crate::machine::session::Rules;
use crate::record::Entry;
use crate::sample::{Observation, Slot};
use crate::uplink::board::{Board, Place};
use crate::uplink::commands::BookingsMessage;

mod anchor;
mod entered;
mod said;
mod stored;

/// Ticks are this far apart, so that holds and staleness fire without data.
const TICK: Duration = Duration::from_millis(250);

/// Observations taken in one go before anything else is looked at: as many as may wait, so that after
/// a slow disk what was read comes before the tick that says how late it is.
const OBSERVATIONS_AT_ONCE: usize = 64;

/// How long the first signature waits for what the broker keeps. The record beside the key guards the
/// ledger meanwhile; a broker that is away must not keep it unsigned.
const COMPARE_PATIENCE: Duration = Duration::from_secs(60);

/// What the thread is told besides observations.
#[derive(Debug)]
pub(super) enum Order {
    /// A machine comes.
    Join(Slot, Arc<MachineMap>),
    /// A machine goes.
    Leave(Slot, Parting),
    /// The files of a machine's map say the same in other words.
    Files(Arc<MachineMap>),
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

/// How a machine goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parting {
    /// To come back at once with another map.
    Changed,
    /// It is no longer configured.
    Gone,
}

/// What comes in.
pub(super) struct Intake {
    pub(super) observations: mpsc::Receiver<Observation>,
    pub(super) orders: mpsc::Receiver<Order>,
    /// What portals sent.
    pub(super) mail: mpsc::Receiver<BookingsMessage>,
    /// The checkpoint of ours that the broker keeps, told once.
    pub(super) kept: Option<oneshot::Receiver<Option<String>>>,
}

/// Whom the thread tells at once.
pub(super) struct Outlet {
    pub(super) board: watch::Sender<Board>,
    /// The machines of the configuration, for whoever takes their mail.
    pub(super) machines: watch::Sender<Arc<BTreeSet<Identifier>>>,
}

/// What the thread works with.
pub(super) struct Recording {
    clock: Arc<dyn Clock>,
    origin: Origin,
    started: Time,
    recorder: Recorder,
    stores: Stores,
    intake: Intake,
    outlet: Outlet,
    state_dir: PathBuf,
    commit_every: Duration,
    /// Machines that join at the start. Until they have, no status is said: a reader who is told ONLINE
    /// believes what an earlier run said of a machine.
    awaited: usize,
}

enum Event {
    Seen(Observation),
    Order(Order),
    Mail(BookingsMessage),
    Kept(Option<String>),
    Tick,
    Closed,
}

/// The thread's own bookkeeping.
struct Pace {
    begun: Instant,
    commit_due: Instant,
    status_due: Instant,
    status_said: Option<lineside_proto::MachineCount>,
    /// When it was last said that the store fails; none while it works.
    alarmed: Option<Instant>,
    version: u64,
    left: BTreeMap<Identifier, Resume>,
    /// Since when there are leaves that no checkpoint covers.
    unsigned_since: Option<Instant>,
    /// A checkpoint is to be signed without waiting for others.
    sign_now: bool,
    /// Whether the ledger was compared with what the broker keeps, or is to be signed all the same.
    compared: bool,
    /// Whether the broker has told what it keeps.
    heard: bool,
    /// Why the thread must end.
    failed: Option<LedgerError>,
}

impl Recording {
    /// The thread of a gateway that was started at this moment.
    pub(super) fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        (boot, started): (String, Time),
        stores: Stores,
        intake: Intake,
        outlet: Outlet,
    ) -> Self {
        let gateway = &config.gateway;
        let origin = Origin {
            site: gateway.site.clone(),
            gateway: gateway.id.clone(),
            boot,
            heartbeat: gateway.heartbeat,
        };
        let rules = Rules {
            check_in: gateway.bookings.check_in,
            idle_close: gateway.sessions.idle_close,
        };
        let telemetry = gateway.telemetry.clone();
        Self {
            clock,
            recorder: Recorder::new(origin.clone(), telemetry, rules, &stores.stream),
            origin,
            started,
            stores,
            intake,
            outlet,
            state_dir: gateway.state_dir.clone(),
            commit_every: gateway.outbox.commit,
            awaited: config.machines.len(),
        }
    }

    /// Runs until every source is gone; everything is durable on return.
    ///
    /// # Errors
    ///
    /// The ledger could not be written, at any time; or the last commit failed: what was read since the one
    /// before it is not kept.
    pub(super) fn run(mut self, runtime: &tokio::runtime::Handle) -> Result<(), StopError> {
        let now = Instant::now();
        let mut pace = Pace {
            begun: now,
            commit_due: now + self.commit_every,
            status_due: now,
            status_said: None,
            alarmed: None,
            version: 0,
            left: BTreeMap::new(),
            unsigned_since: Some(now),
            sign_now: true,
            compared: false,
            heard: false,
            failed: None,
        };
        let mut tick_due = tokio::time::Instant::now();
        while pace.failed.is_none() {
            match runtime.block_on(self.next(tick_due)) {
                Event::Seen(seen) => self.take(seen, &mut pace),
                Event::Order(order) => self.obey(order, &mut pace),
                Event::Mail(message) => {
                    self.take_mail(&message, &mut pace);
                    // However much mail comes, what was read is looked at.
                    self.take_waiting(&mut pace);
                }
                Event::Kept(note) => self.compare(note.as_deref(), &mut pace),
                Event::Tick => self.take_waiting(&mut pace),
                Event::Closed => break,
            }
            if tokio::time::Instant::now() >= tick_due {
                tick_due = tokio::time::Instant::now() + TICK;
                self.handle(&Input::Tick(self.clock.now()), &mut pace);
            }
            self.settle(&mut pace);
        }
        self.end(pace)
    }

    /// Makes everything durable and leaves word that the run ended well; after a ledger that failed only what
    /// is not the ledger's.
    fn end(mut self, mut pace: Pace) -> Result<(), StopError> {
        if pace.failed.is_none() {
            let rest = self.recorder.finish();
            self.keep(rest, &mut pace);
            // Without a broker, too: the record beside the key guards, and the next start compares.
            (pace.compared, pace.sign_now) = (true, true);
            self.sign(&mut pace);
            self.commit(&mut pace);
        }
        let closed = self.stores.outbox.close(self.clock.now().wall);
        if let Some(error) = pace.failed {
            return Err(StopError::Ledger(error));
        }
        if let Err(error) = opening::say_stopped(&self.state_dir) {
            tracing::warn!(%error, "the next start will count this run as killed");
        }
        closed.map_err(StopError::Store)
    }

    async fn next(&mut self, tick_due: tokio::time::Instant) -> Event {
        tokio::select! {
            biased;
            Some(order) = self.intake.orders.recv() => Event::Order(order),
            note = told(&mut self.intake.kept) => Event::Kept(note),
            Some(message) = self.intake.mail.recv() => Event::Mail(message),
            () = tokio::time::sleep_until(tick_due) => Event::Tick,
            seen = self.intake.observations.recv() => seen.map_or(Event::Closed, Event::Seen),
        }
    }

    fn take(&mut self, seen: Observation, pace: &mut Pace) {
        self.handle(&Input::Seen(seen), pace);
        self.take_waiting(pace);
    }

    fn take_waiting(&mut self, pace: &mut Pace) {
        for _ in 0..OBSERVATIONS_AT_ONCE {
            let Ok(seen) = self.intake.observations.try_recv() else {
                break;
            };
            self.handle(&Input::Seen(seen), pace);
        }
    }

    fn obey(&mut self, order: Order, pace: &mut Pace) {
        match order {
            Order::Join(slot, map) => self.join(slot, map, pace),
            Order::Leave(slot, parting) => self.leave(slot, parting, pace),
            Order::Files(map) => self.write(vec![config_leaf(&map)], pace),
            Order::Texts(slot, texts) => {
                if let Some((map, ..)) = self.recorder.machine(slot) {
                    self.describe(map, &texts, pace);
                }
            }
            Order::Snapshot(reply) => {
                // A caller that gave up waiting needs no answer.
                drop(reply.send(snapshot::machines(&self.recorder, self.clock.now())));
            }
            Order::CheckIn(arrival, audit, reply) => self.check_in(arrival, audit, reply, pace),
            Order::CheckOut(departure, audit, reply) => {
                self.check_out(departure, audit, reply, pace);
            }
            Order::Correct(correction, audit, reply) => {
                self.correct(correction, audit, reply, pace);
            }
            Order::RotateKey(audit, reply) => self.rotate_key(audit, reply, pace),
            Order::FinishKey(audit, reply) => self.finish_key(audit, reply, pace),
            Order::Audit(audit) => self.write(vec![LeafBody::Audit(audit)], pace),
        }
    }

    fn join(&mut self, slot: Slot, map: Arc<MachineMap>, pace: &mut Pace) {
        let now = self.clock.now();
        let machine = &map.machine;
        let resume = pace.left.remove(machine).unwrap_or_else(|| Resume {
            seq_next: self.stores.seq_next.remove(machine).unwrap_or(0),
            evidence: self.stores.progress.evidence(machine, now),
            absent: true,
            memory: self.stores.folded.memory(machine).cloned().map(Box::new),
            reason: GapReason::Agent,
        });
        self.describe(&map, &[], pace);
        if let Err(error) = self.stores.maps.keep(&map) {
            tracing::error!(%error, machine = %map.machine, "the text of the map can't be kept");
        }
        self.write(vec![config_leaf(&map)], pace);
        let machine = map.machine.clone();
        self.recorder.join(slot, map, resume, now);
        self.handle(&Input::Tick(now), pace);
        let bookings = self.stores.bookings.in_force(&machine);
        let input = Input::Bookings {
            machine: machine.clone(),
            bookings,
            at: self.clock.now(),
        };
        self.handle(&input, pace);
        let ack = self.stores.bookings.ack(&machine);
        if ack.revision.is_some() {
            self.acknowledge(&ack, pace);
        }
        // At the start they are told together, when the last has joined.
        let awaited = self.awaited;
        self.outlet.machines.send_if_modified(|machines| {
            Arc::make_mut(machines).insert(machine);
            awaited == 0
        });
    }

    fn leave(&mut self, slot: Slot, parting: Parting, pace: &mut Pace) {
        let known = self.recorder.machine(slot);
        let Some(machine) = known.map(|(map, ..)| map.machine.clone()) else {
            return;
        };
        let mut commit = Commit::default();
        let Some(mut resume) = self.recorder.leave(slot, &mut commit) else {
            return;
        };
        if let (Parting::Gone, Some(memory)) = (parting, &mut resume.memory) {
            let now = self.clock.now();
            commit.leaves.extend(account::retire(&machine, memory, now));
        }
        self.keep(commit, pace);
        if parting == Parting::Gone {
            self.retire(&machine, pace);
            self.outlet.machines.send_modify(|machines| {
                Arc::make_mut(machines).remove(&machine);
            });
        }
        self.remember(&machine, &resume);
        pace.left.insert(machine, resume);
    }

    fn handle(&mut self, input: &Input, pace: &mut Pace) {
        let Discipline { status, error_ms } = *self.stores.discipline.borrow();
        self.recorder.set_clock(status, error_ms);
        let commit = self.recorder.handle(input);
        self.keep(commit, pace);
    }

    /// Commits if it is time to, signs if it is, and says the status if that is due.
    fn settle(&mut self, pace: &mut Pace) {
        let now = Instant::now();
        if now >= pace.commit_due {
            self.commit(pace);
        }
        self.anchor(pace);
        self.sign(pace);
        if self.recorder.slots().count() < self.awaited {
            return;
        }
        if pace.status_said.is_none() {
            self.awaited = 0;
            self.outlet.machines.send_modify(|_| ());
        }
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

    /// Facts of now, for the ledger.
    fn facts(&self, bodies: Vec<LeafBody>) -> Vec<Entry> {
        let at: Stamp = self.clock.now();
        bodies.into_iter().map(|body| Entry { at, body }).collect()
    }
}

fn config_leaf(map: &MachineMap) -> LeafBody {
    LeafBody::Config(ConfigLeaf {
        machine: map.machine.clone(),
        map: map.hash.clone(),
        files: map.files.clone(),
    })
}

/// What is told once; never, where it was told or will not be.
async fn told<T>(word: &mut Option<oneshot::Receiver<Option<T>>>) -> Option<T> {
    let Some(receiver) = word else {
        return std::future::pending().await;
    };
    let told = receiver.await;
    *word = None;
    match told {
        Ok(told) => told,
        Err(_) => std::future::pending().await,
    }
}
