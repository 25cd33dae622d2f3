//! What a link does while it is up: choose a request, ask it, take the outcome in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::{Down, Link, until};
use crate::config::model::ModbusSettings;
use crate::field::board::{Counters, Event};
use crate::field::fault::LinkFault;
use crate::field::modbus::decode::Raw;
use crate::field::modbus::exchange::{Connection, Failure, Question, Reply};
use crate::field::modbus::job::{Job, Refused};
use crate::field::modbus::plan::Request;
use crate::field::modbus::probe::Probe;
use crate::field::modbus::strikes::FRAME_BYTES_MIN;
use crate::field::modbus::transport;
use crate::field::modbus::wire::{Stray, Wire};
use crate::live::LinkPhase;
use crate::sample::Bad;

/// The exceptions by which a gateway says that it does not reach the unit: its path is not
/// available; the unit does not answer.
const GATEWAY_PATH: u8 = 0x0A;
const GATEWAY_TARGET: u8 = 0x0B;

/// How long a few stray bytes may be the beginning of more: what an adapter buffers at most.
const NOISE_SETTLE: Duration = Duration::from_millis(20);

/// Bytes of a request on a serial line, and of its answer beside the data.
const FRAME_BYTES: u32 = 8 + 5;

/// One exchange to come.
struct Turn {
    target: Target,
    question: Question,
    timeout: Duration,
    quiet: Duration,
    counters: Option<Arc<Counters>>,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The foremost job.
    Poll,
    /// The probe.
    Probe,
}

impl Link {
    /// Works over a connection until it is over.
    pub(super) async fn serve(&mut self, mut connection: Connection) -> Down {
        self.parts.board.set_phase(LinkPhase::Up);
        if std::mem::take(&mut self.gave_up_polls) {
            let now = self.now();
            self.schedule.hasten(now, Job::missed);
        }
        loop {
            if self.parts.cancel.is_cancelled() {
                return Down::Ended;
            }
            match self.parts.jobs.has_changed() {
                Ok(false) => {}
                Ok(true) => self.take_jobs(),
                Err(_ended) => return Down::Ended,
            }
            match self.choose().await {
                None => self.idle().await,
                Some(turn) => match self.exchange(connection, turn).await {
                    Ok(still) => connection = still,
                    Err(down) => return down,
                },
            }
        }
    }

    /// Waits until there is something to do.
    async fn idle(&mut self) {
        let tick = self.schedule.next_tick().map(|tick| self.epoch + tick);
        let parts = &mut self.parts;
        tokio::select! {
            biased;
            () = parts.cancel.cancelled() => {}
            changed = parts.jobs.changed() => match changed {
                Ok(()) => self.take_jobs(),
                Err(_ended) => parts.cancel.cancel(),
            },
            order = parts.probes.recv() => match order {
                Some(order) => self.probe = Some(Probe::new(order, self.epoch.elapsed())),
                None => parts.cancel.cancel(),
            },
            () = until(tick) => {}
        }
    }

    /// The next exchange; a probe takes turns with the polls. None: nothing is due.
    async fn choose(&mut self) -> Option<Turn> {
        self.release();
        if self.probe.is_none() {
            let order = self.parts.probes.try_recv().ok();
            self.probe = order.map(|order| Probe::new(order, self.now()));
        }
        loop {
            let none_at_work = self.schedule.foremost().is_none();
            if self.probe.is_some() && (self.probe_is_next || none_at_work) {
                let turn = self.choose_probe();
                if turn.is_some() {
                    return turn;
                }
                self.probe.take().into_iter().for_each(Probe::end);
            } else if none_at_work {
                return None;
            } else {
                let turn = self.choose_poll();
                if turn.is_some() {
                    return turn;
                }
                self.finish().await;
            }
        }
    }

    /// The next request of the probe; none: it is done.
    fn choose_probe(&mut self) -> Option<Turn> {
        let now = self.now();
        let (request, settings) = self.probe.as_mut()?.ask(now)?;
        let (question, settings) = (request.into(), settings.clone());
        Some(self.turn(Target::Probe, question, &settings, None))
    }

    /// The next request of the foremost job; none: its poll is done. What a dead unit holds is
    /// passed over.
    fn choose_poll(&mut self) -> Option<Turn> {
        let (now, tcp) = (self.now(), self.is_tcp());
        let job = self.schedule.foremost()?;
        loop {
            let request = job.ask()?;
            let settings = job.settings();
            let quiet = if tcp { Duration::ZERO } else { settings.quiet };
            let cost = settings.timeout + quiet;
            match self.units.may_ask(request.unit_id, cost, now) {
                Err(bad) => job.miss(bad),
                Ok(()) => break,
            }
        }
        let question = job.ask()?.into();
        let (settings, counters) = (job.settings().clone(), job.spec().counters.clone());
        Some(self.turn(Target::Poll, question, &settings, Some(counters)))
    }

    fn turn(
        &self,
        target: Target,
        question: Question,
        settings: &ModbusSettings,
        counters: Option<Arc<Counters>>,
    ) -> Turn {
        let mut timeout = settings.timeout;
        if let Some(serial) = self.serial() {
            let data = 2 * u32::from(question.count);
            timeout += transport::on_the_line(serial, FRAME_BYTES + data);
        }
        Turn {
            target,
            question,
            timeout,
            // On TCP a late answer goes with its connection.
            quiet: if self.is_tcp() {
                Duration::ZERO
            } else {
                settings.quiet
            },
            counters,
        }
    }

    /// Asks one request and takes the outcome in.
    async fn exchange(&mut self, connection: Connection, turn: Turn) -> Result<Connection, Down> {
        self.await_silence(connection.wire().clone(), &turn).await?;
        turn.count(Event::Request);
        let call = connection.read(turn.question, turn.timeout);
        tokio::pin!(call);
        let outcome = loop {
            let at_work = self.schedule.at_work();
            let flush_at = at_work.filter_map(|job| job.flush_at()).min();
            let flush_at = flush_at.map(|moment| self.epoch + moment);
            tokio::select! {
                biased;
                outcome = &mut call => break outcome,
                () = until(flush_at) => self.flush_due().await,
            }
        };
        self.last_frame = Instant::now();
        self.flush_due().await;
        self.probe_is_next = turn.target == Target::Poll;
        match outcome {
            Ok((connection, Reply::Answer(raw))) => {
                self.answered(&turn, &raw);
                Ok(connection)
            }
            Ok((connection, Reply::Exception(code))) => {
                turn.count(Event::Exception);
                self.excepted(&turn, code);
                Ok(connection)
            }
            Err(failure) => Err(self.failed(&turn, failure)),
        }
    }

    /// Waits for the silence between frames and makes sure that nobody else talks.
    async fn await_silence(&mut self, wire: Wire, turn: &Turn) -> Result<(), Down> {
        let silence = self.serial().map(transport::silence);
        if let Some(silence) = silence {
            sleep_until(self.last_frame + silence).await;
        }
        let mut stray = wire.stray();
        if let (Some(silence), Stray::Bytes(1..FRAME_BYTES_MIN)) = (silence, &stray) {
            turn.count(Event::Rejected);
            sleep(silence + NOISE_SETTLE).await;
            stray = wire.stray();
            if matches!(stray, Stray::Bytes(1..FRAME_BYTES_MIN)) {
                stray = wire.clear().map_or_else(Stray::Lost, |()| Stray::None);
            }
        }
        // Only where bytes came can more come late; where nothing had been asked, nothing can.
        let (fault, quiet) = match stray {
            Stray::None => return Ok(()),
            Stray::Closed => (LinkFault::Closed, Duration::ZERO),
            Stray::Lost(error) => (LinkFault::Lost(Arc::new(error)), Duration::ZERO),
            Stray::Bytes(_) => {
                turn.count(Event::Rejected);
                let now = self.now();
                if silence.is_some() && self.strikes.add(now) {
                    return Err(Down::Refused);
                }
                (LinkFault::Unsolicited, turn.quiet)
            }
        };
        Err(Down::Broken { fault, quiet })
    }

    /// Sends what waits too long for the rest of its poll.
    async fn flush_due(&mut self) {
        let now = self.now();
        let mut due = Vec::new();
        for job in self.schedule.at_work() {
            if job.flush_at().is_some_and(|at| at <= now) {
                due.extend(job.flush(|| self.parts.clock.now()));
            }
        }
        for batch in due {
            self.send(Some(batch)).await;
        }
    }

    fn answered(&mut self, turn: &Turn, raw: &Raw) {
        self.alive(turn.question.unit);
        let (now, at) = (self.now(), self.parts.clock.now());
        match turn.target {
            Target::Probe => self.probe.iter_mut().for_each(|probe| probe.answer(raw)),
            Target::Poll => {
                if let Some(job) = self.schedule.foremost() {
                    job.answer(raw, now, at);
                }
            }
        }
    }

    fn excepted(&mut self, turn: &Turn, code: u8) {
        let unit = turn.question.unit;
        // The gateway spoke, not the device: to the points it is silence.
        let silence = match code {
            GATEWAY_PATH => Some(Bad::Link),
            GATEWAY_TARGET => Some(Bad::Timeout),
            _ => None,
        };
        if let Some(bad) = silence {
            self.well();
            self.show(LinkFault::Gateway { unit });
            self.silent(turn, bad);
            return;
        }
        self.alive(unit);
        let now = self.now();
        if turn.target == Target::Probe {
            self.probe.iter_mut().for_each(|probe| probe.except(code));
        } else if let Some(job) = self.schedule.foremost() {
            if let Refused::Found(points) = job.except(code, now) {
                let map = &job.spec().map;
                let points = points
                    .iter()
                    .filter_map(|at| map.points.get(usize::from(*at)));
                let names: Vec<&str> = points.map(|point| point.name.as_str()).collect();
                warn!(link = %self.name, machine = %map.machine, points = names.join(", "),
                    "the device refuses to read points (exception {code}); they are retried seldom");
            }
        }
    }

    fn failed(&mut self, turn: &Turn, failure: Failure) -> Down {
        let (unit, quiet) = (turn.question.unit, turn.quiet);
        match failure {
            Failure::Timeout => {
                turn.count(Event::Timeout);
                self.silent(turn, Bad::Timeout);
                let fault = LinkFault::Timeout { unit };
                Down::Guard { fault, quiet }
            }
            Failure::Rejected(why) => {
                turn.count(Event::Rejected);
                self.silent(turn, Bad::Link);
                let fault = LinkFault::Rejected { unit, why };
                Down::Guard { fault, quiet }
            }
            Failure::Closed => {
                self.silent(turn, Bad::Link);
                let fault = LinkFault::Closed;
                Down::Broken { fault, quiet }
            }
            Failure::Lost(error) => {
                self.silent(turn, Bad::Link);
                let fault = LinkFault::Lost(error);
                Down::Broken { fault, quiet }
            }
        }
    }

    /// The unit gave no valid answer.
    fn silent(&mut self, turn: &Turn, bad: Bad) {
        let (unit, now) = (turn.question.unit, self.now());
        if self.units.failed(unit, bad, now) {
            warn!(link = %self.name, unit, reason = %bad, "unit does not answer; it is asked seldom");
        }
        match turn.target {
            Target::Probe => self.probe.iter_mut().for_each(|probe| probe.fail(bad)),
            Target::Poll => {
                if let Some(job) = self.schedule.foremost() {
                    job.fail(bad);
                }
            }
        }
    }

    fn alive(&mut self, unit: u8) {
        self.well();
        if self.units.answered(unit) {
            self.revived = true;
            info!(link = %self.name, unit, "unit answers again");
        }
    }
}

impl Turn {
    fn count(&self, event: Event) {
        if let Some(counters) = &self.counters {
            counters.count(event);
        }
    }
}

impl From<&Request> for Question {
    fn from(request: &Request) -> Self {
        Self {
            unit: request.unit_id,
            table: request.table,
            start: request.start,
            count: request.count,
        }
    }
}
