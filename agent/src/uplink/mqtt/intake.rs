//! What an archive takes in: a subscription whose messages are acknowledged only when they are kept, and that outlives
//! its connections at the broker, too. What the archive has the broker keep goes the same way.
//!
//! A message that is not acknowledged when the connection ends comes again. Of what is to be kept on one topic only the
//! newest counts: it is published until the broker has it. Whoever hands it over never waits, so that the archive goes on
//! taking in, however slow the way to the broker is. Whoever takes in may wait: then nothing more is read.

use std::collections::{HashMap, VecDeque};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lineside_proto::content_type;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, PubAckReason, Publish, PublishProperties, RetainForwardRule, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use super::super::backoff::{Backoff, jitter};
use super::subscriber::{INCOMING_BYTES_MAX, Message, mend_keep_alive, message_of};
use super::{Fault, Peer};

/// Messages that the broker may have on their way to us: what a thousand gateways say in a second. There are brokers
/// that send more, when a subscription begins with what they keep.
const RECEIVE_MAX: u16 = 2_000;
/// Messages not yet taken in; the connection waits when more come.
const ARRIVALS_MAX: usize = 4_096;
/// Bytes of messages that are not yet done with, of whatever number; the connection waits when more come.
const ARRIVALS_BYTES_MAX: usize = 64 << 20;
/// Acknowledgements handed to the connection at once; the others wait for their turn.
const ACKS_WINDOW: usize = 512;
/// What is published and not acknowledged yet, at most.
const WINDOW: usize = 16;
/// Topics with something to be kept that the broker does not have yet: three for each gateway of a large city. What
/// waits longest goes when there are more; the next of its topic comes within minutes.
const TOPICS_MAX: usize = 65_536;
/// How long the broker keeps what came while we were away: a day is time to mend a machine.
const SESSION_EXPIRY_S: u32 = 86_400;
/// What the connection says and is not taken in yet.
const HEARD_MAX: usize = 256;
/// Batches of acknowledgements under way from whoever took in; more come than there are messages only by a fault.
const TICKETS_MAX: usize = 4_096;

/// An archive's connection to the broker. Ends when it is dropped.
#[derive(Debug)]
pub struct Intake {
    arrivals: mpsc::Receiver<Arrival>,
    task: JoinHandle<()>,
}

/// What comes.
#[derive(Debug)]
pub enum Arrival {
    /// The broker has accepted the subscription, but for these filters; what it keeps follows.
    Connected(Vec<String>),
    /// A message, how it is acknowledged, and its share of the bytes: to be dropped when it is done with.
    Message(Message, Ticket, Load),
    /// The connection is no more; another is being tried.
    Lost(Fault),
}

/// A message's share of the bytes that may be under way.
#[derive(Debug)]
pub struct Load(#[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

/// By this a message is acknowledged, on the connection that it came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    connection: u64,
    /// None for what needs no acknowledgement.
    packet: Option<u16>,
}

/// The other end of an intake. May be cloned.
#[derive(Clone, Debug)]
pub struct Outlet {
    acknowledged: mpsc::Sender<Vec<Ticket>>,
    kept: Arc<Kept>,
    again: mpsc::Sender<()>,
}

impl Outlet {
    /// Acknowledges messages. What can't be told now comes again.
    pub fn acknowledge(&self, tickets: Vec<Ticket>) {
        drop(self.acknowledged.try_send(tickets));
    }

    /// Has the broker keep a text on a topic, in place of what was to be kept there before. Never waits.
    pub fn keep(&self, topic: String, text: String) {
        self.kept.put(topic, text);
        self.kept.news.notify_one();
    }

    /// Gives the connection up, so that what is not acknowledged comes again.
    pub fn reconnect(&self) {
        if self.again.try_send(()).is_err() {
            tracing::debug!("the connection is being given up already");
        }
    }
}

/// What the broker is to keep and does not have yet, by topic.
#[derive(Debug, Default)]
struct Kept {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    texts: HashMap<String, String>,
    /// The topics of these, each once.
    turns: VecDeque<String>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, topic: String, text: String) {
        let mut waiting = self.lock();
        if waiting.texts.insert(topic.clone(), text).is_none() {
            waiting.turns.push_back(topic);
        }
        if waiting.turns.len() > TOPICS_MAX {
            if let Some(oldest) = waiting.turns.pop_front() {
                waiting.texts.remove(&oldest);
            }
        }
    }

    fn take(&self) -> Option<(String, String)> {
        let mut waiting = self.lock();
        let topic = waiting.turns.pop_front()?;
        let text = waiting.texts.remove(&topic)?;
        Some((topic, text))
    }

    /// What did not get through, unless something newer is to be kept there.
    fn put_back(&self, topic: String, text: String) {
        let mut waiting = self.lock();
        if !waiting.texts.contains_key(&topic) {
            waiting.turns.push_front(topic.clone());
            waiting.texts.insert(topic, text);
        }
    }
}

impl Intake {
    /// Connects and subscribes to these filters, again after each loss of the connection. Runs on the present tokio
    /// runtime. The client id must be the same after a restart.
    pub fn start(peer: Peer, filters: Vec<String>) -> (Self, Outlet) {
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let (acknowledged, tickets) = mpsc::channel(TICKETS_MAX);
        let (again, asked) = mpsc::channel(1);
        let kept = Arc::new(Kept::default());
        let line = Line {
            peer,
            filters,
            arrivals: sender,
            room: Arc::new(Semaphore::new(ARRIVALS_BYTES_MAX)),
            tickets,
            kept: Arc::clone(&kept),
            again: asked,
        };
        let task = tokio::spawn(line.supervise());
        let outlet = Outlet {
            acknowledged,
            kept,
            again,
        };
        (Self { arrivals, task }, outlet)
    }

    /// What comes next, and what has come already; none only if the runtime is about to end.
    pub async fn next(&mut self, into: &mut Vec<Arrival>, most: usize) -> bool {
        self.arrivals.recv_many(into, most).await > 0
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Line {
    peer: Peer,
    filters: Vec<String>,
    arrivals: mpsc::Sender<Arrival>,
    room: Arc<Semaphore>,
    tickets: mpsc::Receiver<Vec<Ticket>>,
    kept: Arc<Kept>,
    again: mpsc::Receiver<()>,
}

/// What one connection has under way.
#[derive(Default)]
struct Flight {
    /// Handed over, and not out yet.
    handed: VecDeque<(String, String)>,
    /// Out, by packet id.
    out: HashMap<u16, (String, String)>,
    /// Messages to be acknowledged, by packet id.
    acks: VecDeque<u16>,
    /// Acknowledgements handed over, and not out yet.
    acks_handed: usize,
}

impl Flight {
    fn has_room(&self) -> bool {
        self.handed.len() + self.out.len() < WINDOW
    }

    /// Hands over what there is room for. A connection that has ended takes nothing, and says so itself.
    fn acknowledge(&mut self, client: &AsyncClient) {
        while self.acks_handed < ACKS_WINDOW {
            let Some(packet) = self.acks.pop_front() else {
                return;
            };
            let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new(), None);
            publish.pkid = packet;
            if client.try_ack(&publish).is_err() {
                return;
            }
            self.acks_handed += 1;
        }
    }
}

impl Line {
    async fn supervise(mut self) {
        let mut backoff = Backoff::default();
        for connection in 1.. {
            let mut flight = Flight::default();
            let (fault, useful) = self.connection(connection, &mut flight).await;
            let left = flight.out.into_values().chain(flight.handed);
            for (topic, text) in left {
                self.kept.put_back(topic, text);
            }
            if useful {
                backoff.succeeded();
            }
            let limit = backoff.failed(&fault);
            if self.arrivals.send(Arrival::Lost(fault)).await.is_err() {
                return;
            }
            time::sleep(jitter(limit)).await;
        }
    }

    async fn connection(&mut self, number: u64, flight: &mut Flight) -> (Fault, bool) {
        let mut options = self.peer.options();
        options.set_clean_start(false);
        options.set_session_expiry_interval(Some(SESSION_EXPIRY_S));
        options.set_max_packet_size(Some(INCOMING_BYTES_MAX));
        options.set_receive_maximum(Some(RECEIVE_MAX));
        options.set_outgoing_inflight_upper_limit(u16::try_from(WINDOW).unwrap_or(u16::MAX));
        options.set_manual_acks(true);
        // Room for the acknowledgements, the window and the subscription, so that handing over never waits.
        let (client, event_loop) = AsyncClient::new(options, ACKS_WINDOW + WINDOW + 2);
        let (sender, mut heard) = mpsc::channel(HEARD_MAX);
        let mut listening = JoinSet::new();
        listening.spawn(listen(event_loop, self.peer.clone(), sender));
        let kept = Arc::clone(&self.kept);
        let mut is_open = false;
        let fault = loop {
            let may_publish = is_open && flight.has_room();
            if let Some(post) = may_publish.then(|| kept.take()).flatten() {
                match publish(&client, post, flight) {
                    Ok(()) => continue,
                    Err(fault) => break fault,
                }
            }
            let done = tokio::select! {
                event = heard.recv() => match event {
                    Some(Ok(event)) => self.hear(event, number, &client, flight).await,
                    Some(Err(fault)) => Err(fault),
                    None => Err(Fault::lost("what the broker sent could not be read")),
                },
                Some(tickets) = self.tickets.recv() => {
                    let of_this = tickets.iter().filter(|ticket| ticket.connection == number);
                    flight.acks.extend(of_this.filter_map(|ticket| ticket.packet));
                    Ok(None)
                }
                Some(()) = self.again.recv() => Err(Fault::lost("given up, so that what was not kept comes again")),
                () = kept.news.notified(), if may_publish => Ok(None),
            };
            flight.acknowledge(&client);
            match done {
                Ok(Some(refused)) => {
                    is_open = true;
                    let arrival = Arrival::Connected(refused);
                    if self.arrivals.send(arrival).await.is_err() {
                        break Fault::lost("nobody listens any more");
                    }
                }
                Ok(None) => {}
                Err(fault) => break fault,
            }
        };
        // A connection that ended takes nothing more: why it ended has been said by then.
        let fault = first_fault(&mut heard).unwrap_or(fault);
        (fault, is_open)
    }

    /// Takes an event in. Gives the refused filters when the subscription was answered.
    async fn hear(
        &self,
        event: Event,
        number: u64,
        client: &AsyncClient,
        flight: &mut Flight,
    ) -> Result<Option<Vec<String>>, Fault> {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => {
                let filters = self.filters.iter().map(|filter| Filter {
                    path: filter.clone(),
                    qos: QoS::AtLeastOnce,
                    retain_forward_rule: RetainForwardRule::OnEverySubscribe,
                    ..Filter::default()
                });
                client
                    .try_subscribe_many(filters)
                    .map_err(|_| Fault::lost("the subscription could not be asked for"))?;
            }
            Event::Incoming(Incoming::SubAck(ack)) => return self.granted(&ack).map(Some),
            Event::Incoming(Incoming::Publish(publish)) => {
                let packet = (publish.qos != QoS::AtMostOnce).then_some(publish.pkid);
                let message = message_of(publish)?;
                let ticket = Ticket {
                    connection: number,
                    packet,
                };
                let load = self
                    .load(message.topic.len() + message.payload.len())
                    .await?;
                let arrival = Arrival::Message(message, ticket, load);
                if self.arrivals.send(arrival).await.is_err() {
                    return Err(Fault::lost("nobody listens any more"));
                }
            }
            Event::Outgoing(Outgoing::Publish(packet)) => {
                if let Some(post) = flight.handed.pop_front() {
                    flight.out.insert(packet, post);
                }
            }
            Event::Incoming(Incoming::PubAck(ack)) => {
                let post = flight.out.remove(&ack.pkid);
                let taken = matches!(
                    ack.reason,
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                );
                if let Some((topic, _)) = post.filter(|_| !taken) {
                    tracing::warn!(topic, reason = ?ack.reason, "the broker refuses what the archive publishes");
                }
            }
            Event::Outgoing(Outgoing::PubAck(_)) => {
                flight.acks_handed = flight.acks_handed.saturating_sub(1);
            }
            Event::Incoming(Incoming::Disconnect(_)) => {
                return Err(Fault::lost("the broker closes the connection"));
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(None)
    }

    /// Waits until so many bytes more may be under way.
    async fn load(&self, bytes: usize) -> Result<Load, Fault> {
        let share = u32::try_from(bytes.min(ARRIVALS_BYTES_MAX)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(share).await;
        permit.map(Load).map_err(|_| Fault::lost("closed"))
    }

    fn granted(&self, ack: &SubAck) -> Result<Vec<String>, Fault> {
        let codes = ack.return_codes.iter();
        let refused: Vec<String> = self
            .filters
            .iter()
            .zip(codes)
            .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
            .map(|(filter, _)| filter.clone())
            .collect();
        // The first is that of the leaves, without which there is no archive.
        let is_useless = refused.first() == self.filters.first();
        if ack.return_codes.len() != self.filters.len() || is_useless {
            let words = "it does not let this user hear the ledgers";
            return Err(Fault::Refused(words.to_owned()));
        }
        Ok(refused)
    }
}

async fn listen(mut event_loop: EventLoop, peer: Peer, heard: mpsc::Sender<Result<Event, Fault>>) {
    // Pings make events, so that a longer silence means that the library hangs in a full send buffer.
    let patience = peer.keep_alive() * 2 + Duration::from_secs(5);
    loop {
        let event = match time::timeout(patience, event_loop.poll()).await {
            Ok(Ok(event)) => Ok(event),
            Ok(Err(error)) => Err(Fault::of(&error)),
            Err(_) => Err(Fault::lost("the connection hangs")),
        };
        mend_keep_alive(&mut event_loop, &peer);
        let is_over = event.is_err();
        if heard.send(event).await.is_err() || is_over {
            return;
        }
    }
}

/// The fault among what a connection has said and nobody has taken in.
fn first_fault(heard: &mut mpsc::Receiver<Result<Event, Fault>>) -> Option<Fault> {
    iter::from_fn(|| heard.try_recv().ok()).find_map(Result::err)
}

fn publish(
    client: &AsyncClient,
    (topic, text): (String, String),
    flight: &mut Flight,
) -> Result<(), Fault> {
    let properties = PublishProperties {
        content_type: Some(content_type::TEXT.to_owned()),
        ..PublishProperties::default()
    };
    client
        .try_publish_with_properties(
            topic.clone(),
            QoS::AtLeastOnce,
            true,
            text.clone().into_bytes(),
            properties,
        )
        .map_err(|_| Fault::lost("the connection takes nothing more"))?;
    flight.handed.push_back((topic, text));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Kept, TOPICS_MAX};

    #[test]
    fn of_a_topic_the_newest_counts_and_the_oldest_goes_when_there_are_too_many() {
        let kept = Kept::default();
        let put = |topic: &str, text: &str| kept.put(topic.to_owned(), text.to_owned());
        let take = || kept.take().unwrap();
        put("a", "1");
        put("b", "1");
        put("a", "2");
        let (topic, text) = take();
        assert_eq!((topic.as_str(), text.as_str()), ("a", "2"));
        // It did not get through: first in line again, unless there is a newer.
        kept.put_back(topic, text);
        put("b", "3");
        kept.put_back("b".to_owned(), "1".to_owned());
        assert_eq!(take(), ("a".to_owned(), "2".to_owned()));
        assert_eq!(take(), ("b".to_owned(), "3".to_owned()));
        assert_eq!(kept.take(), None);
        for number in 0..=TOPICS_MAX {
            put(&number.to_string(), "x");
        }
        assert_eq!(take().0, "1");
        assert_eq!(kept.lock().turns.len(), TOPICS_MAX - 1);
    }
}
