//! A subscription that survives its connections, and may answer what it hears.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use super::super::backoff::{Backoff, jitter};
use super::answers::{ANSWERS_WINDOW, Answers, Gate, Orders, Reply, Terms, carry};
use super::{Fault, Peer};

/// The largest packet that is taken: the bookings of a busy machine in signed tokens. The agent's own
/// documents are far smaller. A broker keeps larger ones to itself.
pub const INCOMING_BYTES_MAX: u32 = 256 * 1024;
/// Messages that the broker may have on their way to us.
const RECEIVE_MAX: u16 = 100;
/// News not yet taken in; the connection waits when more comes.
const NEWS_MAX: usize = 256;

/// A subscription. Ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    news: mpsc::Receiver<News>,
    task: JoinHandle<()>,
}

/// What a subscription brings.
#[derive(Debug)]
pub enum News {
    /// The broker has accepted the subscription; what it keeps follows.
    Connected(Granted),
    /// A message.
    Message(Message),
    /// The broker did not take an answer, for this reason.
    Refused(String),
    /// The connection is no more; another is being tried.
    Lost(Fault),
}

/// What the broker grants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Granted {
    /// The largest packet that the broker takes, in bytes; none: any.
    pub packet_bytes_max: Option<usize>,
    /// Of the filters, those that it refused.
    pub refused: Vec<String>,
}

/// A message as it was received.
#[derive(Debug)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether it was delivered as a retained message.
    pub retained: bool,
    /// The message expiry interval that was delivered with it, in seconds.
    pub expiry_s: Option<u32>,
    /// Where the answer is to go.
    pub response_topic: Option<String>,
    /// What the answer is to carry.
    pub correlation: Option<Vec<u8>>,
    /// When it was received.
    pub received: Instant,
}

impl Subscription {
    /// Subscribes to these filters, again after each loss of the connection. Runs on the present tokio
    /// runtime. A broker that refuses one of them is one that can't be used.
    pub fn start(peer: Peer, filters: Vec<String>) -> Self {
        // Nothing will ever be answered, and nobody holds the other end.
        let (_, orders) = Answers::channel(Duration::MAX);
        Self::spawn(peer, filters, true, orders)
    }

    /// The same, with a way for answers. It is enough that the broker grants one of the filters. The
    /// connection is given up when the broker leaves a window of answers unacknowledged for so long.
    pub fn with_answers(
        peer: Peer,
        filters: Vec<String>,
        ack_timeout: Duration,
    ) -> (Self, Answers) {
        let (answers, orders) = Answers::channel(ack_timeout);
        (Self::spawn(peer, filters, false, orders), answers)
    }

    fn spawn(peer: Peer, filters: Vec<String>, needs_all: bool, orders: Orders) -> Self {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let line = Line {
            peer,
            filters,
            needs_all,
            news: sender,
        };
        let task = tokio::spawn(supervise(Arc::new(line), orders));
        Self { news, task }
    }

    /// What comes next; none only if the runtime is about to end.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// What has come already, without waiting.
    pub fn ready(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all connections of a subscription have in common.
#[derive(Debug)]
struct Line {
    peer: Peer,
    filters: Vec<String>,
    needs_all: bool,
    news: mpsc::Sender<News>,
}

async fn supervise(line: Arc<Line>, mut orders: Orders) {
    let mut backoff = Backoff::default();
    loop {
        let (fault, useful) = line.connection(&mut orders).await;
        if useful {
            backoff.succeeded();
        }
        let limit = backoff.failed(&fault);
        if line.news.send(News::Lost(fault)).await.is_err() {
            return;
        }
        time::sleep(jitter(limit)).await;
    }
}

impl Line {
    /// Runs one connection to its end. Also tells whether it brought anything.
    async fn connection(self: &Arc<Self>, orders: &mut Orders) -> (Fault, bool) {
        let mut options = self.peer.options();
        options.set_clean_start(true);
        options.set_max_packet_size(Some(INCOMING_BYTES_MAX));
        options.set_receive_maximum(Some(RECEIVE_MAX));
        options.set_outgoing_inflight_upper_limit(ANSWERS_WINDOW);
        // Room for the window and two subscriptions, so that handing over never waits.
        let (client, event_loop) = AsyncClient::new(options, usize::from(ANSWERS_WINDOW) + 2);
        let gate = Gate::new();
        // In a set, so that the connection ends with this task.
        let mut listening = JoinSet::new();
        let (line, subscriber, gate_of_it) = (Arc::clone(self), client.clone(), Arc::clone(&gate));
        listening.spawn(async move { line.listen(event_loop, &subscriber, &gate_of_it).await });
        let too_large = |reply: &Reply| {
            let words = format!("{}: larger than the broker takes", reply.topic);
            // Whoever is too busy to hear it will hear of the next.
            drop(self.news.try_send(News::Refused(words)));
        };
        tokio::select! {
            ended = listening.join_next() => match ended {
                Some(Ok(ended)) => ended,
                // A panic in the library, on what the broker sent.
                Some(Err(_)) | None => {
                    (Fault::lost("what the broker sent could not be read"), false)
                }
            },
            fault = carry(&client, &gate, orders, || self.subscribe(&client), too_large) => {
                (fault, false)
            }
        }
    }

    async fn listen(
        &self,
        mut event_loop: EventLoop,
        client: &AsyncClient,
        gate: &Gate,
    ) -> (Fault, bool) {
        // Pings make events, so that a longer silence means that the library hangs in a full send buffer.
        let patience = self.peer.keep_alive() * 2 + Duration::from_secs(5);
        let mut terms = None;
        let mut useful = false;
        let fault = loop {
            let event = match time::timeout(patience, event_loop.poll()).await {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => break Fault::of(&error),
                Err(_) => break Fault::lost("the connection hangs"),
            };
            mend_keep_alive(&mut event_loop, &self.peer);
            if let Event::Incoming(Incoming::ConnAck(accepted)) = &event {
                terms = Some(Terms::of(accepted));
                match self.subscribe(client) {
                    Ok(()) => continue,
                    Err(fault) => break fault,
                }
            }
            let said = match self.translate(event, terms, gate) {
                Ok(Some(said)) => said,
                Ok(None) => continue,
                Err(fault) => break fault,
            };
            useful = true;
            if self.news.send(said).await.is_err() {
                break Fault::lost("nobody listens any more");
            }
        };
        (fault, useful)
    }

    fn subscribe(&self, client: &AsyncClient) -> Result<(), Fault> {
        let filters = self.filters.iter().map(|filter| Filter {
            path: filter.clone(),
            qos: QoS::AtLeastOnce,
            ..Filter::default()
        });
        client
            .try_subscribe_many(filters)
            .map_err(|_| Fault::lost("the subscription could not be asked for"))
    }

    fn granted(&self, ack: &SubAck, terms: Terms) -> Result<Granted, Fault> {
        let codes = ack.return_codes.iter();
        let refused: Vec<String> = self
            .filters
            .iter()
            .zip(codes)
            .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
            .map(|(filter, _)| filter.clone())
            .collect();
        let answered = ack.return_codes.len() == self.filters.len();
        let none_left = refused.len() == self.filters.len();
        if !answered || none_left || (self.needs_all && !refused.is_empty()) {
            return Err(Fault::Refused("it refuses the subscription".to_owned()));
        }
        Ok(Granted {
            packet_bytes_max: terms.packet_bytes_max,
            refused,
        })
    }

    fn translate(
        &self,
        event: Event,
        terms: Option<Terms>,
        gate: &Gate,
    ) -> Result<Option<News>, Fault> {
        match event {
            Event::Incoming(Incoming::Publish(publish)) => {
                message_of(publish).map(News::Message).map(Some)
            }
            Event::Incoming(Incoming::SubAck(ack)) => {
                let terms = terms.ok_or_else(unasked)?;
                let granted = self.granted(&ack, terms)?;
                gate.open(terms);
                Ok(Some(News::Connected(granted)))
            }
            Event::Incoming(Incoming::PubAck(ack)) => {
                gate.settled();
                Ok(refused(&ack))
            }
            Event::Incoming(Incoming::PingResp(_) | Incoming::PingReq(_))
            | Event::Outgoing(
                Outgoing::Publish(_)
                | Outgoing::Subscribe(_)
                | Outgoing::Unsubscribe(_)
                | Outgoing::PubAck(_)
                | Outgoing::PubRec(_)
                | Outgoing::PubRel(_)
                | Outgoing::PubComp(_)
                | Outgoing::PingReq
                | Outgoing::PingResp
                | Outgoing::Disconnect
                | Outgoing::AwaitAck(_),
            ) => Ok(None),
            Event::Incoming(
                Incoming::Auth(_)
                | Incoming::Connect(..)
                | Incoming::ConnAck(_)
                | Incoming::PubRec(_)
                | Incoming::PubRel(_)
                | Incoming::PubComp(_)
                | Incoming::Subscribe(_)
                | Incoming::Unsubscribe(_)
                | Incoming::UnsubAck(_)
                | Incoming::Disconnect(_),
            ) => Err(unasked()),
        }
    }
}

fn refused(ack: &PubAck) -> Option<News> {
    let taken = matches!(
        ack.reason,
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers
    );
    (!taken).then(|| News::Refused(format!("the broker refuses it: {:?}", ack.reason)))
}

/// The broker says by 0 that it wants no pings; the library would send them without a pause.
pub(super) fn mend_keep_alive(event_loop: &mut EventLoop, peer: &Peer) {
    if event_loop.options.keep_alive().is_zero() {
        event_loop.options.set_keep_alive(peer.keep_alive());
    }
}

/// A message of the broker.
pub(super) fn message_of(publish: Publish) -> Result<Message, Fault> {
    let properties = publish.properties.as_ref();
    // We allow no topic aliases; the library would keep them without a bound.
    if properties.is_some_and(|properties| properties.topic_alias.is_some()) {
        return Err(unasked());
    }
    let topic = String::from_utf8(publish.topic.to_vec()).map_err(|_| unasked())?;
    Ok(Message {
        topic,
        retained: publish.retain,
        expiry_s: properties.and_then(|properties| properties.message_expiry_interval),
        response_topic: properties.and_then(|properties| properties.response_topic.clone()),
        correlation: properties
            .and_then(|properties| properties.correlation_data.as_ref())
            .map(|data| data.to_vec()),
        payload: publish.payload.to_vec(),
        received: Instant::now(),
    })
}

fn unasked() -> Fault {
    Fault::lost("the broker breaks the protocol: it sent what nobody asked for")
}
