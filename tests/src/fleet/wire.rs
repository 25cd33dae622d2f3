//! One MQTT connection that speaks for many gateways: what they publish, and what they are asked.
//!
//! A connection that breaks is replaced by a new one. What was on its way then is lost, as the last seconds before a
//! power cut are; what a broker should keep of each gateway is sent again.

use anyhow::Result;
use lineside_proto::content_type;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming, MqttOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};

/// Publishes that may be on their way at once.
const WINDOW: u16 = 100;
/// Publishes that wait for their turn; whoever has more waits, too.
const QUEUE_MAX: usize = 4_096;
/// Parts of answers that wait for their turn.
const ANSWERS_MAX: usize = 256;
/// The largest packet, above every answer.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// From a connection's end to the next try.
const AGAIN: Duration = Duration::from_millis(100);

/// A publish.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outgoing {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// For how many seconds it may be believed; none: for ever.
    pub expiry_s: Option<u32>,
    /// Its content type.
    pub content_type: &'static str,
    /// What the request brought that this answers.
    pub correlation: Option<Vec<u8>>,
}

impl Outgoing {
    /// A document that the broker does not keep.
    pub fn new(topic: String, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            retain: false,
            expiry_s: None,
            content_type: content_type::JSON,
            correlation: None,
        }
    }

    /// A signed note that it keeps.
    pub fn kept(topic: String, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            retain: true,
            content_type: content_type::TEXT,
            ..Self::new(topic, payload)
        }
    }
}

/// Where a connection goes, and as whom.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The broker's port on this machine.
    pub port: u16,
    /// The client id.
    pub id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// What is subscribed to; empty: nothing.
    pub filter: String,
}

/// What a connection is used for.
pub trait Ear: Send + Sync + 'static {
    /// What is to be sent as soon as there is a new connection.
    fn connected(&self) -> Vec<Outgoing>;
    /// What answers a message. May take its time.
    fn heard(&self, topic: &str, message: &Request) -> Vec<Outgoing>;
}

/// A message that was heard.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its payload.
    pub payload: Vec<u8>,
    /// Where an answer goes.
    pub response: Option<String>,
    /// What an answer carries.
    pub correlation: Option<Vec<u8>>,
}

/// What became of what was handed over.
#[derive(Debug, Default)]
struct Counts {
    handed: AtomicU64,
    /// Acknowledged, or lost with its connection.
    done: AtomicU64,
    /// Refused by the broker.
    refused: AtomicU64,
    connections: AtomicU64,
}

/// A connection, and those that follow it. Ends when it is dropped.
#[derive(Debug)]
pub struct Wire {
    outgoing: mpsc::Sender<Outgoing>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Connects, on the present runtime.
    pub fn start(peer: Peer, ear: Arc<dyn Ear>) -> Self {
        let (sender, outgoing) = mpsc::channel(QUEUE_MAX);
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        let counts = Arc::new(Counts::default());
        let line = Line {
            peer,
            ear,
            counts: Arc::clone(&counts),
            answers,
        };
        let task = tokio::spawn(line.run(outgoing, answered));
        Self {
            outgoing: sender,
            counts,
            task,
        }
    }

    /// Hands a publish over; waits while too many wait. Not from within the runtime.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    pub fn publish(&self, outgoing: Outgoing) -> Result<()> {
        self.counts.handed.fetch_add(1, Ordering::SeqCst);
        Ok(self.outgoing.blocking_send(outgoing)?)
    }

    /// Whether all that was handed over is at the broker, or lost.
    pub fn is_idle(&self) -> bool {
        let done = self.counts.done.load(Ordering::SeqCst);
        done >= self.counts.handed.load(Ordering::SeqCst)
    }

    /// Publishes that the broker refused.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::SeqCst)
    }

    /// Connections so far that have said what each says first.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }
}

struct Line {
    peer: Peer,
    ear: Arc<dyn Ear>,
    counts: Arc<Counts>,
    answers: mpsc::Sender<Outgoing>,
}

impl Line {
    async fn run(
        self,
        mut outgoing: mpsc::Receiver<Outgoing>,
        mut answers: mpsc::Receiver<Outgoing>,
    ) {
        let mut turns = interval_at(Instant::now(), AGAIN);
        loop {
            turns.tick().await;
            let (client, event_loop) = AsyncClient::new(self.options(), usize::from(WINDOW));
            let sent = AtomicU64::new(0);
            let accepted = Notify::new();
            tokio::select! {
                () = self.poll(event_loop, &client, &sent, &accepted) => {}
                () = self.feed(&client, (&mut outgoing, &mut answers), &sent, &accepted) => return,
            }
            // What was on its way is lost.
            let lost = sent.load(Ordering::SeqCst);
            self.counts.done.fetch_add(lost, Ordering::SeqCst);
        }
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.peer.id, "127.0.0.1", self.peer.port);
        options.set_max_packet_size(Some(PACKET_BYTES_MAX));
        options.set_outgoing_inflight_upper_limit(WINDOW);
        options.set_connection_timeout(5);
        if let Some((user, password)) = &self.peer.credentials {
            options.set_credentials(user, password);
        }
        options
    }

    /// Until the connection ends.
    async fn poll(
        &self,
        mut event_loop: EventLoop,
        client: &AsyncClient,
        sent: &AtomicU64,
        accepted: &Notify,
    ) {
        loop {
            let Ok(event) = event_loop.poll().await else {
                return;
            };
            match event {
                Event::Incoming(Incoming::ConnAck(_)) => {
                    let filter = self.peer.filter.clone();
                    if !filter.is_empty() && client.try_subscribe(filter, QoS::AtLeastOnce).is_err()
                    {
                        return;
                    }
                    accepted.notify_one();
                }
                Event::Incoming(Incoming::PubAck(ack)) => {
                    let taken = matches!(
                        ack.reason,
                        PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                    );
                    self.counts
                        .refused
                        .fetch_add(u64::from(!taken), Ordering::SeqCst);
                    sent.fetch_sub(1, Ordering::SeqCst);
                    self.counts.done.fetch_add(1, Ordering::SeqCst);
                }
                Event::Incoming(Incoming::Publish(publish)) => self.take(publish),
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    /// Until nobody hands anything over any more.
    async fn feed(
        &self,
        client: &AsyncClient,
        (outgoing, answers): (&mut mpsc::Receiver<Outgoing>, &mut mpsc::Receiver<Outgoing>),
        sent: &AtomicU64,
        accepted: &Notify,
    ) {
        accepted.notified().await;
        for again in self.ear.connected() {
            self.counts.handed.fetch_add(1, Ordering::SeqCst);
            self.send(client, again, sent).await;
        }
        self.counts.connections.fetch_add(1, Ordering::SeqCst);
        loop {
            // Whoever asked waits; what is told meanwhile can.
            let next = tokio::select! {
                biased;
                Some(answer) = answers.recv() => answer,
                Some(next) = outgoing.recv() => next,
                else => return,
            };
            self.send(client, next, sent).await;
        }
    }

    async fn send(&self, client: &AsyncClient, outgoing: Outgoing, sent: &AtomicU64) {
        sent.fetch_add(1, Ordering::SeqCst);
        let properties = PublishProperties {
            message_expiry_interval: outgoing.expiry_s,
            content_type: Some(outgoing.content_type.to_owned()),
            correlation_data: outgoing.correlation.map(Into::into),
            ..PublishProperties::default()
        };
        let Outgoing {
            topic,
            payload,
            retain,
            ..
        } = outgoing;
        let level = QoS::AtLeastOnce;
        let queued = client.publish_with_properties(topic, level, retain, payload, properties);
        // A connection that has ended is seen by whoever polls it.
        drop(queued.await);
    }

    /// Answers beside the connection, so that a long answer holds nothing up.
    fn take(&self, publish: Publish) {
        let properties = publish.properties.unwrap_or_default();
        let request = Request {
            payload: publish.payload.to_vec(),
            response: properties.response_topic,
            correlation: properties.correlation_data.map(|data| data.to_vec()),
        };
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let (ear, answers) = (Arc::clone(&self.ear), self.answers.clone());
        let counts = Arc::clone(&self.counts);
        tokio::task::spawn_blocking(move || {
            for answer in ear.heard(&topic, &request) {
                counts.handed.fetch_add(1, Ordering::SeqCst);
                if answers.blocking_send(answer).is_err() {
                    return;
                }
            }
        });
    }
}
