//! One session from its opening to its end: what is asked, what comes back, and when it is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use opcua::client::Session;
use opcua::types::StatusCode;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::info;

use super::visit::{Done, Pause, Visit};
use super::{Down, Link};
use crate::field::opcua::about::{beat, namespaces};
use crate::field::opcua::audit::{NODES_MAX, audit};
use crate::field::opcua::drive::{Driven, Turn};
use crate::field::opcua::fault::OpcFault;
use crate::field::opcua::freshness::Pulse;
use crate::field::opcua::note::Ear;
use crate::field::opcua::probe::probe;
use crate::field::opcua::session::{Opened, SESSION_TIMEOUT};
use crate::field::opcua::subscription::Subscription;
use crate::field::opcua::texts::{Learned, texts};
use crate::field::opcua::wanted::{Key, Worked};
use crate::field::opcua::work::Bench;
use crate::live::LinkPhase;
use crate::sample::Slot;

/// How long a session may take to close at the end; after that the server forgets it by itself.
const CLOSE_MAX: Duration = Duration::from_millis(1_500);

/// The least time between two rebuilds of lost subscriptions: a server or a gateway that can't keep
/// up must not be kept busy with that.
const REBUILDS_APART: Duration = Duration::from_secs(2);

impl Link {
    /// Works with a session until it is over.
    pub(super) async fn serve(&mut self, opened: Opened) -> Down {
        let driven = Driven::new(opened);
        let session = Arc::clone(&driven.session);
        let bench = match self.begin(&session).await {
            Ok(bench) => bench,
            Err(down) => {
                self.close(&session, &down).await;
                return down;
            }
        };
        let mut visit = self.visit(bench, driven);
        let down = self.stay(&mut visit).await;
        visit.tasks.abort_all();
        if let Down::Lost(fault) = &down {
            if let OpcFault::Frozen = fault {
                self.stopped = Some(visit.pulse.shown());
            }
            self.open_gaps(&visit, None);
        }
        // Where there is no connection nothing can be closed, and what waits so long is gone.
        if visit.cut.is_none() {
            self.close(&session, &down).await;
        }
        down
    }

    async fn close(&mut self, session: &Session, down: &Down) {
        let closed = timeout(CLOSE_MAX, session.disconnect()).await;
        if !matches!((closed, down), (Ok(Ok(())), _) | (_, Down::Ended)) {
            self.leave();
        }
    }

    /// Learns what must be known before anything is asked.
    async fn begin(&mut self, session: &Arc<Session>) -> Result<Bench, Down> {
        let mut bench = Bench {
            session: Arc::clone(session),
            namespaces: Arc::default(),
            timeout: self.server.timeout,
        };
        let reading = namespaces(bench.clone());
        let namespaces = self.meanwhile(reading).await.ok_or(Down::Ended)?;
        bench.namespaces =
            Arc::new(namespaces.map_err(|status| Down::Lost(OpcFault::of_status(status)))?);
        if let Some(stopped) = self.stopped {
            // What it would tell at first is no newer than its clock.
            let shown = self.meanwhile(beat(bench.clone())).await;
            let shown = shown.ok_or(Down::Ended)?.map(|(time, _)| time);
            if shown.is_none() || shown == stopped {
                return Err(Down::Lost(OpcFault::Frozen));
            }
            self.stopped = None;
        }
        Ok(bench)
    }

    fn visit(&mut self, bench: Bench, driven: Driven) -> Visit {
        let now = Instant::now();
        let is_open = !self.gaps.is_empty() || !self.unfilled.is_empty();
        self.wanted.begin();
        self.parts.board.set_phase(LinkPhase::Up);
        Visit {
            bench,
            driven,
            notes: mpsc::channel(self.notes_max),
            tasks: JoinSet::new(),
            subscriptions: BTreeMap::new(),
            pulse: Pulse::new(self.patience, now),
            beat_at: Some(now),
            cut: None,
            pause: None,
            plan_at: Some(now),
            rebuilt: None,
            gaps_until: is_open.then(|| now + self.patience.settled),
            texts_at: Some(now + self.patience.settled),
            audit_at: Some(now + self.patience.audit),
            audited: None,
            ticks: None,
            heard: self.parts.clock.now().wall,
            fault: None,
        }
    }

    async fn stay(&mut self, visit: &mut Visit) -> Down {
        loop {
            if self.parts.cancel.is_cancelled() {
                return Down::Ended;
            }
            if let Some(fault) = visit.fault.take() {
                return Down::Lost(fault);
            }
            let wake = self.wake(visit);
            let parts = &mut self.parts;
            tokio::select! {
                biased;
                () = parts.cancel.cancelled() => return Down::Ended,
                turn = visit.driven.turns.recv() => self.turn(visit, turn.unwrap_or(Turn::Over)).await,
                Some(done) = visit.tasks.join_next() => match done {
                    Ok(done) => self.done(visit, done).await,
                    // The crate panics on some answers: what was asked would stay open for ever.
                    Err(_) => visit.fault = Some(OpcFault::Nonsense(StatusCode::BadUnexpectedError)),
                },
                Some(filled) = self.fillings.join_next_with_id() => match filled {
                    Ok((id, filling)) => self.filled(visit, id, filling).await,
                    Err(panicked) => {
                        self.unfillable(panicked.id()).await;
                        visit.fault = Some(OpcFault::Nonsense(StatusCode::BadUnexpectedError));
                    }
                },
                () = sleep_until(wake) => self.tick(visit).await,
                changed = parts.jobs.changed() => match changed {
                    Ok(()) => self.change(visit),
                    Err(_ended) => return Down::Ended,
                },
                order = parts.probes.recv() => match order {
                    Some(order) if visit.cut.is_some() => order.refuse(self.fault.clone()),
                    Some(order) => {
                        let probing = probe(visit.bench.clone(), order);
                        visit.tasks.spawn(async { probing.await; Done::Nothing });
                    }
                    None => return Down::Ended,
                },
                Some(note) = visit.notes.1.recv() => self.hear(visit, note).await,
            }
        }
    }

    /// When something must be done though nothing came.
    fn wake(&self, visit: &Visit) -> Instant {
        let dead = match visit.cut {
            Some(cut) => cut + SESSION_TIMEOUT,
            None => visit
                .subscriptions
                .values()
                .fold(visit.pulse.frozen_at(), |wake, one| {
                    wake.min(one.voice.silent_at())
                }),
        };
        let others = [
            visit.beat_at,
            visit.plan_at,
            self.wanted.retry_at(),
            visit.gaps_until,
            visit.texts_at,
            visit.audit_at,
        ];
        let others = others.into_iter().flatten().filter(|_| visit.cut.is_none());
        others.fold(dead, Instant::min)
    }

    async fn tick(&mut self, visit: &mut Visit) {
        let now = Instant::now();
        if let Some(cut) = visit.cut {
            if now >= cut + SESSION_TIMEOUT {
                visit.fault = Some(OpcFault::Closed);
            }
            return;
        }
        let silent = |one: &Subscription| one.voice.silent_at() <= now;
        if visit.pulse.frozen_at() <= now {
            visit.fault = Some(OpcFault::Frozen);
        } else if visit.subscriptions.values().any(silent) {
            visit.fault = Some(OpcFault::Silent);
        }
        if visit.beat_at.is_some_and(|at| at <= now) {
            visit.beat_at = None;
            let bench = visit.bench.clone();
            visit.tasks.spawn(async { Done::Beat(beat(bench).await) });
        }
        if self.wanted.retry_at().is_some_and(|at| at <= now) {
            // A namespace may have come since.
            self.wanted.retry(now);
            let bench = visit.bench.clone();
            visit
                .tasks
                .spawn(async { Done::Namespaces(namespaces(bench).await.ok()) });
        }
        if visit.plan_at.is_some_and(|at| at <= now) {
            visit.plan_at = None;
            self.tell_strange(visit);
            self.plan(visit);
        }
        if visit.texts_at.is_some_and(|at| at <= now) {
            visit.texts_at = None;
            let (bench, items) = (visit.bench.clone(), self.wanted.items().cloned().collect());
            let learning = texts(bench, items);
            visit.tasks.spawn(async { Done::Texts(learning.await) });
        }
        if visit.audit_at.is_some_and(|at| at <= now) {
            self.audit(visit, now);
        }
        if visit.gaps_until.is_some_and(|at| at <= now) {
            visit.gaps_until = None;
            self.close_gaps(visit).await;
        }
    }

    /// Asks whether the next nodes are still there.
    fn audit(&mut self, visit: &mut Visit, now: Instant) {
        let items = self.wanted.made(visit.audited, NODES_MAX);
        visit.audited = items.last().map(|(_, item)| item.spot);
        if items.is_empty() {
            visit.audit_at = Some(now + self.patience.audit);
            return;
        }
        visit.audit_at = None;
        let auditing = audit(visit.bench.clone(), items);
        visit.tasks.spawn(async { Done::Audited(auditing.await) });
    }

    async fn turn(&mut self, visit: &mut Visit, turn: Turn) {
        match turn {
            Turn::Cut(status) => {
                let now = Instant::now();
                visit.cut = Some(now);
                visit.pause = Some(Pause {
                    until: now,
                    heard: visit.heard,
                    ticks: visit.ticks,
                });
                self.show(visit.driven.why(status));
                self.parts.board.set_phase(LinkPhase::Backoff);
                let stalled = self.tell_loss().await;
                visit.forgive(stalled);
            }
            Turn::Failed(status) => self.show(OpcFault::of_status(status)),
            Turn::Resumed => {
                visit.cut = None;
                self.parts.board.set_phase(LinkPhase::Up);
                let now = Instant::now();
                visit.revive(now, self.patience);
                visit.plan_at = Some(now);
                if let Some(pause) = &mut visit.pause {
                    pause.until = now + self.patience.settled;
                }
            }
            // What the new session must know is learned where one is opened.
            Turn::Replaced => {
                // There is a connection: the session must not be left at the server.
                visit.cut = None;
                visit.fault = Some(OpcFault::Closed);
            }
            Turn::Over => visit.fault = Some(OpcFault::Closed),
            Turn::Forgotten => {
                let made = visit
                    .subscriptions
                    .iter()
                    .filter(|(_, one)| one.id.is_some());
                let made: Vec<Key> = made.map(|(key, _)| *key).collect();
                for key in made {
                    self.rebuild(visit, key);
                }
            }
        }
    }

    async fn done(&mut self, visit: &mut Visit, done: Done) {
        let now = Instant::now();
        match done {
            Done::Nothing => {}
            Done::Beat(shown) => {
                visit.beat_at = Some(now + self.patience.pace);
                if let Some((time, ticks)) = shown {
                    visit.pulse.show(time, now);
                    visit.ticks = Some(ticks);
                    if visit.subscriptions.is_empty() {
                        // Nothing else will tell that it speaks.
                        self.well();
                    }
                }
            }
            Done::Namespaces(namespaces) => {
                if let Some(namespaces) = namespaces {
                    visit.bench.namespaces = Arc::new(namespaces);
                }
                self.tell_strange(visit);
                self.plan(visit);
            }
            Done::Worked(worked) => self.worked(visit, worked).await,
            Done::Again(key, number, note) => {
                if note.is_some() {
                    self.republished(key);
                }
                if let Some(one) = visit.subscriptions.get_mut(&key) {
                    one.sequence.answer(number, note.map(|note| *note));
                }
                self.pass(visit, key).await;
            }
            Done::Audited(audited) => {
                visit.audit_at = Some(now + self.patience.audit);
                self.audited(visit, audited.gone).await;
                self.compare(visit, &audited.held);
            }
            Done::Texts(learned) => {
                if learned.is_cut {
                    visit.learn_texts(self.patience);
                }
                self.name_integers(learned);
            }
        }
    }

    /// Takes over what integers are called.
    fn name_integers(&self, learned: Learned) {
        let Learned {
            mut texts, unknown, ..
        } = learned;
        let machines: BTreeSet<Slot> = unknown.iter().map(|(slot, _)| *slot).collect();
        for slot in machines {
            let known = self.parts.board.texts(slot).into_iter();
            let known = known.map(|(point, known)| ((slot, point), known));
            texts.extend(known.filter(|(place, _)| unknown.contains(place)));
        }
        self.parts.board.set_texts(texts);
    }

    fn change(&mut self, visit: &mut Visit) {
        self.take_jobs();
        for one in visit.subscriptions.values_mut() {
            one.is_changed = true;
        }
        let now = Instant::now();
        visit.plan_at = Some(visit.plan_at.unwrap_or(now));
        visit.texts_at = Some(now + self.patience.settled);
    }

    /// Asks for what is missing, and that what is too much be deleted.
    fn plan(&mut self, visit: &mut Visit) {
        if visit.cut.is_some() {
            return;
        }
        let now = Instant::now();
        for work in self.wanted.plan() {
            if work.is_over {
                visit.subscriptions.remove(&work.key);
            } else if work.id.is_none() {
                let one = Subscription::new(work.rhythm, self.patience, now);
                visit.subscriptions.insert(work.key, one);
            }
            let ear = Ear {
                key: work.key,
                clock: Arc::clone(&self.parts.clock),
                notes: visit.notes.0.clone(),
                spilled: Arc::clone(&self.spilled),
            };
            let bench = visit.bench.clone();
            let working = bench.work(work, ear);
            visit.tasks.spawn(async { Done::Worked(working.await) });
        }
        self.gauge();
    }

    async fn worked(&mut self, visit: &mut Visit, worked: Worked) {
        let now = Instant::now();
        match (visit.subscriptions.get_mut(&worked.key), worked.id) {
            (Some(one), Some(id)) => {
                one.id = Some(id);
                one.is_changed = true;
                one.voice.hear(now);
                if let Some((_, speaks)) = visit.bench.revised(id) {
                    one.voice.promise(self.patience, speaks);
                }
            }
            // It was given up while it was made.
            (None, Some(id)) => visit.forget(id),
            (one, None) => {
                if one.is_some_and(|one| one.id.is_some()) {
                    self.open_gaps(visit, Some(worked.key));
                    visit.wait_for_gaps(self.patience);
                }
                visit.subscriptions.remove(&worked.key);
            }
        }
        if worked.items.iter().any(|(_, made)| made.is_ok()) {
            // A node that appears may be an enumeration.
            visit.learn_texts(self.patience);
        }
        let refused = self.wanted.worked(&worked, now);
        self.refuse(visit, refused).await;
        self.plan(visit);
    }

    /// A subscription is lost or can't be trusted: what it held is subscribed anew.
    pub(super) fn rebuild(&mut self, visit: &mut Visit, key: Key) {
        // Until it is made anew nobody tells of a change.
        self.open_gaps(visit, Some(key));
        visit.subscriptions.remove(&key);
        if let Some(id) = self.wanted.lose(key) {
            visit.forget(id);
        }
        let now = Instant::now();
        // Those that are lost together are made anew together.
        let earliest = visit.plan_at.unwrap_or_else(|| {
            let rebuilt = visit.rebuilt;
            rebuilt.map_or(now, |rebuilt| now.max(rebuilt + REBUILDS_APART))
        });
        visit.rebuilt = Some(earliest);
        visit.plan_at = Some(earliest);
        visit.gaps_until = Some(earliest + self.patience.settled);
        info!(link = %self.name, "a subscription is made anew");
    }
}
