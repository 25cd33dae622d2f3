//! One physical link: the only task that speaks on it. All units and machines behind it share it.
//!
//! It opens the link, polls its jobs one request at a time, the earliest deadline first, and guards
//! against late answers: after any failure the connection is dropped and, where an answer carries no
//! number, a quiet window is waited out before the next is opened. While the link is down, each due
//! poll gives a batch of bad samples, so that silence is data, too.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::exchange::{Connection, Framing};
use super::job::Job;
use super::probe::Probe;
use super::schedule::{Moment, Schedule};
use super::strikes::Strikes;
use super::transport;
use super::unit::Units;
use crate::config::model::{Endpoint, Serial};
use crate::field::LinkParts;
use crate::field::backoff::Backoff;
use crate::field::fault::LinkFault;
use crate::live::LinkPhase;
use crate::sample::{Bad, Batch, Observation};

mod turn;

/// A TCP connection may take as long as an answer, but at least this: it crosses the network twice.
const CONNECT_MIN: Duration = Duration::from_secs(1);

/// How long a line on which another master talks is left alone, before jitter.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// One physical link at work.
pub(in crate::field) struct Link {
    endpoint: Endpoint,
    parts: LinkParts,
    name: String,
    epoch: Instant,
    schedule: Schedule<Job>,
    units: Units,
    backoff: Backoff,
    strikes: Strikes,
    probe: Option<Probe>,
    /// A probe and polls take turns.
    probe_is_next: bool,
    /// Whether the line was heard to be silent since it was plugged in.
    listened: bool,
    /// Whether another master was heard and the line not found silent since.
    refused: bool,
    /// Whether polls were answered for a link that is down.
    gave_up_polls: bool,
    /// Whether a dead unit came back during the present poll.
    revived: bool,
    /// Whether a person was told that the link is down; none: nothing was told yet.
    told_down: Option<bool>,
    fault: LinkFault,
    /// When the last frame ended.
    last_frame: Instant,
}

/// Why a connection is over.
enum Down {
    /// The link is to end.
    Ended,
    /// A unit failed to answer: the connection can't be trusted, but the link is well.
    Guard { fault: LinkFault, quiet: Duration },
    /// The link failed.
    Broken { fault: LinkFault, quiet: Duration },
    /// Another master talks.
    Refused,
}

impl Link {
    /// A link that has not been opened yet.
    pub(in crate::field) fn new(endpoint: Endpoint, parts: LinkParts) -> Self {
        let epoch = Instant::now();
        Self {
            name: transport::describe(&endpoint),
            endpoint,
            parts,
            epoch,
            schedule: Schedule::new(),
            units: Units::default(),
            backoff: Backoff::default(),
            strikes: Strikes::default(),
            probe: None,
            probe_is_next: false,
            listened: false,
            refused: false,
            gave_up_polls: false,
            revived: false,
            told_down: None,
            fault: LinkFault::NotYet,
            last_frame: epoch,
        }
    }

    /// Works until it is cancelled or nobody takes its batches.
    pub(in crate::field) async fn run(mut self) {
        self.take_jobs();
        loop {
            let down = match self.open().await {
                Ok(connection) => self.serve(connection).await,
                Err(down) => down,
            };
            match down {
                Down::Ended => break,
                Down::Guard { fault, quiet } => {
                    self.show(fault);
                    self.pause(LinkPhase::Quiet, quiet).await;
                }
                Down::Broken { fault, quiet } => {
                    // What was heard of the line before it broke says nothing about it now.
                    self.listened &= matches!(fault, LinkFault::Unsolicited);
                    let wait = self.backoff.fail();
                    self.show(fault);
                    self.pause(LinkPhase::Quiet, quiet).await;
                    self.pause(LinkPhase::Backoff, wait).await;
                }
                Down::Refused => {
                    self.listened = false;
                    self.refused = true;
                    self.show(LinkFault::AnotherMaster);
                    let jitter = REFUSED_PAUSE.mul_f64(fastrand::f64() / 4.0);
                    self.pause(LinkPhase::Refused, REFUSED_PAUSE + jitter).await;
                }
            }
        }
        // What was read is sent if there is room; nobody waits for it.
        for job in self.schedule.at_work() {
            if let Some(batch) = job.flush(|| self.parts.clock.now()) {
                drop(self.parts.observations.try_send(Observation::Batch(batch)));
            }
        }
    }

    /// Opens the link and, on a serial line, listens before the first byte.
    async fn open(&mut self) -> Result<Connection, Down> {
        if !self.refused {
            self.parts.board.set_phase(LinkPhase::Connecting);
        }
        let (mut timeout, mut settle) = (CONNECT_MIN, Duration::ZERO);
        for job in self.schedule.jobs() {
            timeout = timeout.max(job.settings().timeout);
            settle = settle.max(job.settings().connect_pause);
        }
        let opening = transport::open(self.endpoint.clone(), timeout);
        let broken = |fault| Down::Broken {
            fault,
            quiet: Duration::ZERO,
        };
        let wire = self.meanwhile(opening).await.ok_or(Down::Ended)?;
        let wire = wire.map_err(broken)?;
        let listen = self.serial().map(|serial| serial.listen);
        if let Some(listen) = listen.filter(|_| !self.listened) {
            self.parts.board.set_phase(LinkPhase::Listening);
            let heard = self.meanwhile(wire.clone().listen(listen)).await;
            match heard.ok_or(Down::Ended)? {
                Ok(false) => (self.listened, self.refused) = (true, false),
                Ok(true) => return Err(Down::Refused),
                Err(error) => return Err(broken(LinkFault::Lost(Arc::new(error)))),
            }
        }
        if !settle.is_zero() {
            self.meanwhile(sleep(settle)).await.ok_or(Down::Ended)?;
        }
        let framing = if self.is_tcp() {
            Framing::Tcp
        } else {
            Framing::Rtu
        };
        Ok(Connection::new(wire, framing))
    }

    async fn pause(&mut self, phase: LinkPhase, duration: Duration) {
        if !duration.is_zero() {
            self.parts.board.set_phase(phase);
            // Cancelled: the next step ends.
            let _ended = self.meanwhile(sleep(duration)).await;
        }
    }

    /// Waits for something while nothing can be asked: polls that fall due wait for a link that will
    /// be back at once, and are answered for one that is down. None: the link is to end.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        tokio::pin!(future);
        loop {
            let down = self.is_down();
            let mut tick = None;
            if down {
                self.give_up_polls().await;
                tick = self.schedule.next_tick();
            }
            let tick = tick.map(|tick| self.epoch + tick);
            let parts = &mut self.parts;
            tokio::select! {
                biased;
                () = parts.cancel.cancelled() => return None,
                output = &mut future => return Some(output),
                changed = parts.jobs.changed() => {
                    changed.ok()?;
                    self.take_jobs();
                }
                order = parts.probes.recv(), if down => order?.refuse(self.fault.clone()),
                () = until(tick) => {}
            }
        }
    }

    /// Whether the link is down for so long that due polls must not wait for it.
    fn is_down(&self) -> bool {
        self.refused || self.backoff.is_down()
    }

    async fn give_up_polls(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort(self.fault.clone());
        }
        loop {
            self.release();
            let Some(job) = self.schedule.foremost() else {
                return;
            };
            while job.ask().is_some() {
                job.miss(Bad::Link);
            }
            self.gave_up_polls = true;
            self.finish().await;
        }
    }

    /// Sets the due jobs to work.
    fn release(&mut self) {
        let now = self.now();
        while let Some(released) = self.schedule.release(now) {
            released.job.begin(now);
            released.job.spec().counters.skip(released.skipped);
        }
    }

    /// Ends the poll of the foremost job.
    async fn finish(&mut self) {
        if let Some(job) = self.schedule.foremost() {
            let batch = job.end(|| self.parts.clock.now());
            self.schedule.finish_foremost();
            if std::mem::take(&mut self.revived) {
                let now = self.now();
                self.schedule.hasten(now, Job::missed);
            }
            self.send(batch).await;
        }
    }

    /// Hands a batch on, however long that takes; where nobody takes it any more, the link ends.
    async fn send(&mut self, batch: Option<Batch>) {
        let Some(batch) = batch else {
            return;
        };
        tokio::select! {
            biased;
            sent = self.parts.observations.send(Observation::Batch(batch)) => if sent.is_err() {
                self.parts.cancel.cancel();
            },
            () = self.parts.cancel.cancelled() => {}
        }
    }

    /// Takes over what is to be polled; what stays keeps its phase and what was learned.
    fn take_jobs(&mut self) {
        let specs = self.parts.jobs.borrow_and_update().clone();
        let now = self.now();
        self.schedule
            .retain(|job| specs.iter().any(|spec| spec.is(job.spec())));
        for spec in specs {
            if !self.schedule.jobs().any(|job| job.spec().is(&spec)) {
                let (interval, phase) = (spec.interval(), Moment::from_nanos(spec.phase_ns()));
                if let Some(job) = Job::new(spec) {
                    self.schedule.insert(job, interval, phase, now);
                }
            }
        }
        let schedule = &self.schedule;
        self.units
            .keep(|unit| schedule.jobs().any(|job| job.asks(unit)));
    }

    fn show(&mut self, fault: LinkFault) {
        self.parts.board.set_fault(&fault);
        if self.is_down() && self.told_down != Some(true) {
            self.told_down = Some(true);
            warn!(link = %self.name, fault = %fault.text(), "link is down");
        }
        self.fault = fault;
    }

    /// A unit answered, so the link is well.
    fn well(&mut self) {
        self.backoff.succeed();
        if self.told_down != Some(false) {
            self.told_down = Some(false);
            info!(link = %self.name, "link is up");
        }
    }

    fn is_tcp(&self) -> bool {
        matches!(self.endpoint, Endpoint::Tcp { .. })
    }

    fn serial(&self) -> Option<&Serial> {
        match &self.endpoint {
            Endpoint::Rtu(serial) => Some(serial),
            Endpoint::Tcp { .. } | Endpoint::RtuOverTcp { .. } => None,
        }
    }

    fn now(&self) -> Moment {
        self.epoch.elapsed()
    }
}

/// Waits until then; for ever where there is no such time.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => pending().await,
    }
}
