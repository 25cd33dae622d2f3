//! The command connection: bookings come in, requests are answered. A connection of its own, so that
//! neither disturbs what is published.
//!
//! Bookings wait in a bounded channel, and slow this connection down when it is full: none is dropped.
//! Requests are answered at `desk`; what they may ask is in `answers`, and changes nothing.

mod complaint;
mod desk;
mod inbox;
#[cfg(test)]
mod tests;
mod witness;

use lineside_proto::{GatewayStatus, Identifier, Topics};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::complaint::Complaint;
use self::desk::{Address, Desk};
pub(crate) use self::inbox::response;
use self::inbox::{Sort, filters, is_of_ledger, sort};
use super::feed::changed;
use super::mqtt::answers::Answers as Outgoing;
use super::mqtt::subscriber::{Granted, Message, News, Subscription};
use super::outage::Outage;
use super::{client_id, peer};
use crate::answers::{Answers, read};
use crate::config::model;
use crate::ledger::Ledger;
use crate::live::CommandFigures;

/// How long after the subscription the broker may take to tell that it keeps our checkpoint.
const KEPT_TIMEOUT: Duration = Duration::from_secs(3);

/// What a portal sent for a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BookingsMessage {
    /// The machine.
    pub machine: Identifier,
    /// What it was sent, to be verified. At most 256 KiB.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it.
    pub retained: bool,
}

/// Where what comes in goes.
#[derive(Debug)]
pub struct Inbound {
    /// The machines of the configuration. When there are more than before, what the broker keeps is asked
    /// for again.
    pub machines: watch::Receiver<Arc<BTreeSet<Identifier>>>,
    /// Bookings. A full channel slows the connection down. The broker's kept ones come again with each
    /// connection.
    pub bookings: mpsc::Sender<BookingsMessage>,
    /// Told once, after the first connection: the checkpoint of ours that the broker keeps, none if it keeps
    /// none. Nothing about it is verified. A broker that can't be reached tells nothing, so whoever waits
    /// needs a limit.
    pub kept: oneshot::Sender<Option<String>>,
    /// The ledger, if witnesses cosign it: their cosignatures are asked for, and handed to it. The first connection then
    /// waits for theirs before it tells what the broker keeps.
    pub witnessed: Option<Ledger>,
}

/// The command connection at work.
#[derive(Debug)]
pub struct Running {
    /// How it fares.
    pub figures: watch::Receiver<CommandFigures>,
    /// Ends soon after it was cancelled, or when nobody takes bookings any more.
    pub task: JoinHandle<()>,
}

/// Starts the command connection on the present tokio runtime. `gateway` names the gateway; requests are answered
/// with `known`.
pub fn start(
    settings: &model::Uplink,
    topics: Topics,
    gateway: &GatewayStatus,
    inbound: Inbound,
    known: Arc<Answers>,
    cancel: CancellationToken,
) -> Running {
    let peer = peer(settings, format!("{}:commands", client_id(gateway)));
    let filters = filters(&topics, inbound.witnessed.is_some());
    let (subscription, answers) = Subscription::with_answers(peer, filters, settings.ack_timeout);
    let (packet_bytes_max, _) = watch::channel(usize::MAX);
    let desk = Desk::open(known, &answers, &packet_bytes_max);
    let (figures, watched) = watch::channel(CommandFigures::default());
    let Inbound {
        machines,
        bookings,
        kept,
        witnessed,
    } = inbound;
    let known = Arc::clone(&machines.borrow());
    let commands = Commands {
        topics,
        known,
        machines,
        bookings,
        kept: Some(kept),
        kept_by: None,
        kept_note: None,
        witnessed,
        answers,
        desk,
        packet_bytes_max,
        figures,
        outage: Outage::new(Instant::now()),
        ignored: Complaint::default(),
        unfit: Complaint::default(),
        refused: Complaint::default(),
        unanswered: Complaint::default(),
    };
    let task = tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = commands.run(subscription) => {}
        }
    });
    Running {
        figures: watched,
        task,
    }
}

struct Commands {
    topics: Topics,
    machines: watch::Receiver<Arc<BTreeSet<Identifier>>>,
    /// The machines whose bookings were asked for.
    known: Arc<BTreeSet<Identifier>>,
    bookings: mpsc::Sender<BookingsMessage>,
    kept: Option<oneshot::Sender<Option<String>>>,
    /// When the broker will have told what it keeps.
    kept_by: Option<Instant>,
    /// What it has told, while cosignatures are waited for.
    kept_note: Option<String>,
    witnessed: Option<Ledger>,
    answers: Outgoing,
    desk: Desk,
    packet_bytes_max: watch::Sender<usize>,
    figures: watch::Sender<CommandFigures>,
    outage: Outage,
    ignored: Complaint,
    unfit: Complaint,
    refused: Complaint,
    unanswered: Complaint,
}

impl Commands {
    async fn run(mut self, mut subscription: Subscription) {
        loop {
            let kept_by = self.kept_by.filter(|_| self.kept.is_some());
            tokio::select! {
                news = subscription.next() => match news {
                    Some(news) => if self.take(news).await.is_none() {
                        return;
                    },
                    None => return,
                },
                () = changed(&mut self.machines) => self.reloaded(),
                () = super::session::until(kept_by) => {
                    let note = self.kept_note.take();
                    self.keeps(note);
                }
            }
        }
    }

    /// New machines may have bookings that the broker told before anybody wanted them.
    fn reloaded(&mut self) {
        let machines = Arc::clone(&self.machines.borrow_and_update());
        if !machines.is_subset(&self.known) {
            self.answers.renew();
        }
        self.known = machines;
    }

    /// None when nobody takes bookings any more.
    async fn take(&mut self, news: News) -> Option<()> {
        match news {
            News::Connected(granted) => self.connected(granted),
            News::Lost(fault) => {
                if let Some(line) = self.outage.failed(&fault, Instant::now()) {
                    warn!("commands: {line}");
                }
                // It may not have told all.
                (self.kept_by, self.kept_note) = (None, None);
                self.figures.send_modify(|figures| {
                    figures.connected = false;
                    figures.fault = Some(fault.to_string());
                });
            }
            News::Refused(reason) => {
                self.figures.send_modify(|figures| figures.refused += 1);
                if let Some(count) = self.unanswered.again(Instant::now()) {
                    warn!(count, "the broker does not take an answer: {reason}");
                }
            }
            News::Message(message) => match sort(&self.topics, &message.topic) {
                Sort::Bookings(machine) => return self.booked(machine, message).await,
                Sort::Request => self.asked(message),
                Sort::Checkpoint => {
                    // What we publish ourselves comes back, too, and is not kept then.
                    if message.retained {
                        let text = String::from_utf8_lossy(&message.payload).into_owned();
                        if self.witnessed.is_some() {
                            self.kept_note = Some(text);
                        } else {
                            self.keeps(Some(text));
                        }
                    }
                }
                Sort::Cosignature => self.cosigned(message).await,
                Sort::Foreign => self.ignore(&message.topic, "nobody asked for it"),
            },
        }
        Some(())
    }

    fn connected(&mut self, granted: Granted) {
        let Granted {
            packet_bytes_max,
            refused,
        } = granted;
        self.packet_bytes_max
            .send_replace(packet_bytes_max.unwrap_or(usize::MAX));
        info!("commands: {}", self.outage.over(Instant::now()));
        self.outage = Outage::new(Instant::now());
        // Whoever refuses to tell has told nothing.
        let tells = !refused
            .iter()
            .any(|filter| is_of_ledger(&self.topics, filter));
        let fault = (!refused.is_empty()).then(|| {
            let words = format!("the broker refuses to tell {}", refused.join(", "));
            warn!("{words}: give the gateway's user the right to read it");
            words
        });
        self.figures.send_modify(|figures| {
            figures.connected = true;
            figures.connects += 1;
            figures.fault = fault;
        });
        self.kept_by = tells.then(|| Instant::now() + KEPT_TIMEOUT);
    }

    fn keeps(&mut self, checkpoint: Option<String>) {
        if let Some(kept) = self.kept.take() {
            // Whoever wanted to know has perhaps waited long enough.
            drop(kept.send(checkpoint));
        }
    }

    async fn booked(&mut self, machine: Identifier, message: Message) -> Option<()> {
        if !self.machines.borrow().contains(&machine) {
            self.ignore(&message.topic, "no such machine is configured");
            return Some(());
        }
        self.figures.send_modify(|figures| figures.bookings += 1);
        let message = BookingsMessage {
            machine,
            payload: message.payload,
            retained: message.retained,
        };
        self.bookings.send(message).await.ok()
    }

    fn asked(&mut self, message: Message) {
        if message.retained {
            // It would be answered with every connection.
            self.refuse("a retained request");
            return;
        }
        let correlation = message.correlation;
        let topic = message.response_topic.as_deref();
        let topic = match response(&self.topics, topic, correlation.as_deref()) {
            Ok(topic) => topic,
            Err(reason) => {
                self.refuse(reason);
                return;
            }
        };
        let address = Address { topic, correlation };
        let heard = match read(&message.payload) {
            Ok(question) => {
                self.figures.send_modify(|figures| figures.requests += 1);
                self.desk.take(question, address, message.received)
            }
            Err((id, failure)) => {
                self.figures.send_modify(|figures| figures.refused += 1);
                self.desk.refuse(&id, address, failure)
            }
        };
        if !heard {
            self.refuse("more requests than can even be refused");
        }
    }

    /// A request without an answer.
    fn refuse(&mut self, reason: &str) {
        self.figures.send_modify(|figures| figures.refused += 1);
        if let Some(count) = self.refused.again(Instant::now()) {
            warn!(count, "a request was refused: {reason}");
        }
    }

    fn ignore(&mut self, topic: &str, reason: &str) {
        self.figures.send_modify(|figures| figures.ignored += 1);
        if let Some(count) = self.ignored.again(Instant::now()) {
            warn!(topic, count, "a message was ignored: {reason}");
        }
    }
}
