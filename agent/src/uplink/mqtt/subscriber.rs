//! A subscription that survives its connections.

use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use super::super::backoff::{Backoff, jitter};
use super::{Fault, Peer};

/// The largest packet that is taken; the agent's documents are far smaller.
const INCOMING_BYTES_MAX: u32 = 256 * 1024;
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
    Connected,
    /// A message.
    Message(Message),
    /// The connection is no more; another is being tried.
    Lost(Fault),
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
    /// When it was received.
    pub received: Instant,
}

impl Subscription {
    /// Subscribes to these filters, again after each loss of the connection. Runs on the present tokio
    /// runtime.
    pub fn start(peer: Peer, filters: Vec<String>) -> Self {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let task = tokio::spawn(supervise(peer, filters, sender));
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

async fn supervise(peer: Peer, filters: Vec<String>, news: mpsc::Sender<News>) {
    let mut backoff = Backoff::default();
    // In a set, so that the connection ends with this task.
    let mut connection = JoinSet::new();
    loop {
        let (news_of_it, peer, filters) = (news.clone(), peer.clone(), filters.clone());
        connection.spawn(async move { listen(&peer, &filters, &news_of_it).await });
        let (fault, useful) = match connection.join_next().await {
            Some(Ok(ended)) => ended,
            // A panic in the library, on what the broker sent.
            Some(Err(_)) | None => (Fault::lost("what the broker sent could not be read"), false),
        };
        if useful {
            backoff.succeeded();
        }
        let limit = backoff.failed(&fault);
        if news.send(News::Lost(fault)).await.is_err() {
            return;
        }
        time::sleep(jitter(limit)).await;
    }
}

/// Runs one connection to its end. Also tells whether it brought anything.
async fn listen(peer: &Peer, filters: &[String], news: &mpsc::Sender<News>) -> (Fault, bool) {
    let mut options = peer.options();
    options.set_clean_start(true);
    options.set_max_packet_size(Some(INCOMING_BYTES_MAX));
    options.set_receive_maximum(Some(RECEIVE_MAX));
    let (client, mut event_loop) = AsyncClient::new(options, 1);
    // Pings make events, so that a longer silence means that the library hangs in a full send buffer.
    let patience = peer.keep_alive() * 2 + Duration::from_secs(5);
    let mut useful = false;
    let fault = loop {
        let event = match time::timeout(patience, event_loop.poll()).await {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => break Fault::of(&error),
            Err(_) => break Fault::lost("the connection hangs"),
        };
        mend_keep_alive(&mut event_loop, peer);
        if let Event::Incoming(Incoming::ConnAck(_)) = &event {
            match subscribe(&client, filters) {
                Ok(()) => continue,
                Err(fault) => break fault,
            }
        }
        let said = match translate(event) {
            Ok(Some(said)) => said,
            Ok(None) => continue,
            Err(fault) => break fault,
        };
        useful = true;
        if news.send(said).await.is_err() {
            break Fault::lost("nobody listens any more");
        }
    };
    (fault, useful)
}

fn subscribe(client: &AsyncClient, filters: &[String]) -> Result<(), Fault> {
    let filters = filters.iter().map(|filter| Filter {
        path: filter.clone(),
        qos: QoS::AtLeastOnce,
        ..Filter::default()
    });
    client
        .try_subscribe_many(filters)
        .map_err(|_| Fault::lost("the subscription could not be asked for"))
}

/// The broker says by 0 that it wants no pings; the library would send them without a pause.
fn mend_keep_alive(event_loop: &mut EventLoop, peer: &Peer) {
    if event_loop.options.keep_alive().is_zero() {
        event_loop.options.set_keep_alive(peer.keep_alive());
    }
}

fn translate(event: Event) -> Result<Option<News>, Fault> {
    match event {
        Event::Incoming(Incoming::Publish(publish)) => message(publish).map(Some),
        Event::Incoming(Incoming::SubAck(ack)) => {
            let refused = ack
                .return_codes
                .iter()
                .any(|code| !matches!(code, SubscribeReasonCode::Success(_)));
            if refused {
                Err(Fault::Refused("it refuses the subscription".to_owned()))
            } else {
                Ok(Some(News::Connected))
            }
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
            | Incoming::PubAck(_)
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

fn message(publish: Publish) -> Result<News, Fault> {
    let properties = publish.properties.as_ref();
    // We allow no topic aliases; the library would keep them without a bound.
    if properties.is_some_and(|properties| properties.topic_alias.is_some()) {
        return Err(unasked());
    }
    let topic = String::from_utf8(publish.topic.to_vec()).map_err(|_| unasked())?;
    Ok(News::Message(Message {
        topic,
        retained: publish.retain,
        expiry_s: properties.and_then(|properties| properties.message_expiry_interval),
        payload: publish.payload.to_vec(),
        received: Instant::now(),
    }))
}

fn unasked() -> Fault {
    Fault::lost("the broker breaks the protocol: it sent what nobody asked for")
}
