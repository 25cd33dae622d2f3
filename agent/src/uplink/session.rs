//! One connection from its CONNACK to its end: carries between the connection, the stores and
//! [`Delivery`], which decides, and watches that the broker goes on answering.

use std::future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{self, JoinHandle};
use tokio::time;
use tracing::{error, info, warn};

use super::Uplink;
use super::dead_letter::bury;
use super::delivery::Delivery;
use super::exchange::{Answer, DeadLetter, Next, TOO_LARGE, Terms, one_leaf};
use super::feed::{Feed, STORE_PAUSE, changed, finished};
use super::mqtt::Fault;
use super::mqtt::publisher::{Heard, Publisher, packet_bytes};
use super::refusal::reason;
use super::store::Leaves;
use crate::clock::{Clock, SystemClock};
use crate::outbox::{Outbox, StoreError};

/// How long the broker may take to accept; longer than the library's own limit.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a clean stop waits for the broker to take the last status and the DISCONNECT.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By a clean stop.
    Stopped,
    /// For this reason.
    Lost(Fault),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Lost(fault)
    }
}

/// A delivered mark is made durable each time that it has moved by this part of the window, so that a
/// crash while a backlog is caught up sends little again.
const NOTE_SHARE: u64 = 4;

/// What became of records that were set aside.
type Buried = (Vec<DeadLetter>, Result<(), StoreError>);

/// An accepted connection.
pub(super) struct Session {
    connection: Publisher,
    delivery: Delivery,
    outbox: Feed<Outbox>,
    ledger: Feed<Leaves>,
    /// The newest signed checkpoint.
    signed: watch::Receiver<Option<Arc<str>>>,
    burying: Option<JoinHandle<Buried>>,
    /// Whether a store could not be read, as far as was reported.
    could_not_read: bool,
    /// When a clean stop gives up waiting.
    stop_by: Option<Instant>,
}

impl Session {
    /// Connects, and waits until the broker has accepted.
    pub(super) async fn connect(uplink: &mut Uplink) -> Result<Self, Ended> {
        let will = (uplink.topics.status(), uplink.offline.clone());
        let mut connection = Publisher::connect(&uplink.peer, uplink.window, will);
        let mut heard = Vec::new();
        tokio::select! {
            () = uplink.cancel.cancelled() => return Err(Ended::Stopped),
            () = time::sleep(ACCEPT_TIMEOUT) => {
                return Err(Fault::lost("the broker does not answer").into());
            }
            () = connection.heard(&mut heard) => {}
        }
        match heard.pop() {
            Some(Heard::Accepted(terms)) => Ok(Self::new(uplink, connection, terms)),
            Some(Heard::Lost(fault)) => Err(fault.into()),
            Some(Heard::Left(_) | Heard::Answered(..) | Heard::Closed) | None => {
                Err(Fault::lost("the broker breaks the protocol").into())
            }
        }
    }

    fn new(uplink: &mut Uplink, connection: Publisher, terms: Terms) -> Self {
        let (outbox, history) = Feed::new(uplink.outbox.clone());
        let (ledger, leaves) = Feed::new(uplink.leaves.clone());
        // What was signed meanwhile shows as changed.
        let signed = uplink.signed.clone();
        let notes = uplink.notes.clone();
        let topics = uplink.topics.clone();
        let mut delivery = Delivery::new(topics, terms, packet_bytes, (leaves, notes), history);
        if uplink.figures.borrow().connects == 0 {
            delivery.introduce();
        }
        delivery.show(uplink.board.borrow_and_update().clone());
        uplink.figures.send_modify(|figures| {
            figures.connected = true;
            figures.connects += 1;
            figures.fault = None;
        });
        Self {
            connection,
            delivery,
            outbox,
            ledger,
            signed,
            burying: None,
            could_not_read: false,
            stop_by: None,
        }
    }

    /// Works until the connection ends. Whatever was acknowledged until then counts.
    pub(super) async fn run(mut self, uplink: &mut Uplink) -> Ended {
        let ended = loop {
            if let Err(ended) = self.turn(uplink).await {
                break ended;
            }
        };
        if let Some(burying) = self.burying.take() {
            self.buried(burying.await.ok());
        }
        for heard in self.connection.cut().await {
            if self.take_in(heard, uplink).is_err() {
                break;
            }
        }
        self.ledger.close(self.delivery.ledger().mark()).await;
        self.outbox.close(self.delivery.history().mark()).await;
        uplink.notes = self.delivery.notes().clone();
        ended
    }

    /// Does all that can be done now, and waits for the next thing.
    async fn turn(&mut self, uplink: &mut Uplink) -> Result<(), Ended> {
        self.hand_over(uplink)?;
        self.work(uplink);
        self.report(uplink);
        let deadline = self.deadline(uplink.ack_timeout);
        let mut heard = Vec::new();
        tokio::select! {
            () = self.connection.heard(&mut heard) => {}
            done = self.ledger.done() => self.ledger.take_in(done, self.delivery.ledger()),
            done = self.outbox.done() => self.outbox.take_in(done, self.delivery.history()),
            buried = finished(&mut self.burying) => self.buried(buried),
            () = changed(&mut self.signed) => {
                if let Some(note) = &*self.signed.borrow_and_update() {
                    self.delivery.notes().signed(note);
                }
            }
            () = changed(&mut uplink.board) => {
                self.delivery.show(uplink.board.borrow_and_update().clone());
            }
            () = uplink.cancel.cancelled(), if self.stop_by.is_none() => {
                self.stop_by = Some(Instant::now() + STOP_TIMEOUT);
                self.delivery.stop(uplink.offline.clone());
            }
            () = until(deadline) => {
                // An acknowledgement that has come must not count as missing.
                self.connection.heard_already(&mut heard);
            }
        }
        for heard in heard {
            self.take_in(heard, uplink)?;
        }
        self.acknowledge(uplink);
        self.watch(uplink.ack_timeout)
    }

    fn hand_over(&mut self, uplink: &mut Uplink) -> Result<(), Fault> {
        while let Some(next) = self.delivery.next(&mut uplink.refusals, Instant::now()) {
            match next {
                Next::Publish(outgoing) => self.connection.publish(outgoing)?,
                Next::TooLarge { topic, bytes } => {
                    uplink.set_aside(&topic, &format!("its {bytes} bytes are too many for it"));
                }
                Next::Held { what, until, anew } => uplink.held(&what, TOO_LARGE, until, anew),
            }
        }
        Ok(())
    }

    /// Begins to read and to bury, where there is something to.
    fn work(&mut self, uplink: &Uplink) {
        if self.stop_by.is_some() {
            return;
        }
        self.ledger.work(self.delivery.ledger());
        self.outbox.work(self.delivery.history());
        if self.burying.is_none() {
            let letters = self.delivery.dead_letters();
            if !letters.is_empty() {
                let outbox = uplink.outbox.clone();
                self.burying = Some(task::spawn_blocking(move || {
                    let buried = bury(&outbox, &letters, SystemClock.now().wall);
                    (letters, buried)
                }));
            }
        }
    }

    fn buried(&mut self, buried: Option<Buried>) {
        let Some((letters, result)) = buried else {
            return;
        };
        if let Err(fault) = &result {
            error!("no gap document could be kept for what the broker refused: {fault}");
        }
        for letter in letters {
            match result {
                Ok(()) => self.delivery.history().buried(letter.position),
                Err(_) => {
                    let until = Instant::now() + STORE_PAUSE;
                    self.delivery.history().refused(letter.position, until);
                }
            }
        }
    }

    fn take_in(&mut self, heard: Heard, uplink: &mut Uplink) -> Result<(), Ended> {
        match heard {
            Heard::Left(id) => self.delivery.left(id).map_err(breach)?,
            Heard::Answered(id, code) => {
                let now = Instant::now();
                let answer = self
                    .delivery
                    .answered(id, code, &mut uplink.refusals, now)
                    .map_err(breach)?;
                self.weigh(answer, uplink)?;
            }
            Heard::Closed => return Err(Ended::Stopped),
            Heard::Lost(fault) => {
                return Err(match self.stop_by {
                    // Nothing more can be said; the will speaks for us.
                    Some(_) => Ended::Stopped,
                    None => fault.into(),
                });
            }
            Heard::Accepted(_) => {
                return Err(Fault::lost("the broker accepted twice").into());
            }
        }
        Ok(())
    }

    fn weigh(&mut self, answer: Answer, uplink: &mut Uplink) -> Result<(), Ended> {
        match answer {
            Answer::Delivered { topic, leaf } => {
                uplink
                    .figures
                    .send_modify(|figures| figures.acknowledged += 1);
                uplink.accepted(&topic);
                if let Some(leaf) = leaf.filter(|_| uplink.refusals.count() > 0) {
                    uplink.accepted(&one_leaf(&topic, leaf));
                }
            }
            Answer::Held {
                topic,
                code,
                until,
                anew,
            } => uplink.held(&topic, code, until, anew),
            Answer::SetAside { topic, code } => {
                uplink.figures.send_modify(|figures| figures.refused += 1);
                uplink.set_aside(&topic, reason(code));
            }
            Answer::Farewell { delivered: true } => self.connection.disconnect()?,
            // Without a DISCONNECT, so that the will speaks for us.
            Answer::Farewell { delivered: false } => return Err(Ended::Stopped),
            Answer::Reconnect => return Err(Fault::lost("packet ids are out of step").into()),
        }
        Ok(())
    }

    fn acknowledge(&mut self, uplink: &Uplink) {
        let step = u64::from(uplink.window) / NOTE_SHARE;
        self.ledger.acknowledge(self.delivery.ledger().mark(), step);
        self.outbox
            .acknowledge(self.delivery.history().mark(), step);
    }

    fn report(&mut self, uplink: &Uplink) {
        let in_flight = self.delivery.in_flight();
        // What can't be read is worse than what is refused.
        let fault = self.ledger.fault().or(self.outbox.fault());
        let is_over = self.could_not_read && fault.is_none() && uplink.refusals.count() == 0;
        self.could_not_read = fault.is_some();
        uplink.figures.send_if_modified(|figures| {
            let mut changed = figures.in_flight != in_flight;
            figures.in_flight = in_flight;
            if is_over || (fault.is_some() && figures.fault.as_deref() != fault) {
                figures.fault = fault.map(str::to_owned);
                changed = true;
            }
            changed
        });
    }

    /// When there is something to do without anything having happened.
    fn deadline(&self, ack_timeout: Duration) -> Option<Instant> {
        let overdue = self.delivery.oldest().map(|oldest| oldest + ack_timeout);
        let retry = self.delivery.retry_at(Instant::now());
        [overdue, retry, self.stop_by].into_iter().flatten().min()
    }

    fn watch(&self, ack_timeout: Duration) -> Result<(), Ended> {
        let now = Instant::now();
        if self.stop_by.is_some_and(|by| now >= by) {
            return Err(Ended::Stopped);
        }
        let overdue = self
            .delivery
            .oldest()
            .is_some_and(|oldest| now >= oldest + ack_timeout);
        if overdue {
            let waited = humantime::format_duration(ack_timeout);
            let fault = format!("the broker has acknowledged nothing for {waited}");
            return Err(Fault::Lost(fault).into());
        }
        Ok(())
    }
}

fn breach(breach: super::flight::Breach) -> Fault {
    Fault::Lost(format!("the broker breaks the protocol: {breach}"))
}

/// Waits until then; for ever where there is no such moment.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}

impl Uplink {
    /// The broker takes a topic; logs if it did not before.
    fn accepted(&mut self, topic: &str) {
        let Some(refused) = self.refusals.accepted(topic, Instant::now()) else {
            return;
        };
        let refused = humantime::format_duration(Duration::from_secs(refused.as_secs()));
        info!(topic, "the broker takes the topic again after {refused}");
        self.set_aside.remove(topic);
        if self.refusals.count() == 0 {
            self.figures.send_modify(|figures| figures.fault = None);
        }
    }

    fn held(&mut self, topic: &str, code: u8, until: Instant, anew: bool) {
        let wait = until.saturating_duration_since(Instant::now());
        let wait = humantime::format_duration(Duration::from_secs(wait.as_secs()));
        self.figures.send_modify(|figures| {
            figures.refused += 1;
            // After a reconnect it is the same refusal, of which the figures know nothing any more.
            if anew || figures.fault.is_none() {
                let reason = reason(code);
                figures.fault = Some(format!(
                    "the broker refuses {topic}: {reason}; tried again in {wait}"
                ));
            }
        });
        if anew {
            warn!(
                topic,
                "the broker refuses a topic: {}; tried again in {wait}",
                reason(code)
            );
        }
    }

    /// Logs a message that was given up, the more seldom the more there are of its topic.
    fn set_aside(&mut self, topic: &str, reason: &str) {
        let count = self.set_aside.entry(topic.to_owned()).or_default();
        *count += 1;
        if count.is_power_of_two() {
            warn!(
                topic,
                count, "the broker will not take a message, it is set aside: {reason}"
            );
        }
    }
}
