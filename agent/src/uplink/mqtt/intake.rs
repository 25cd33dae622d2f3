//! What an archive takes in: a subscription whose messages are acknowledged only when they are kept, and that outlives
//! its connections at the broker, too; what the archive itself publishes goes the same way.
//!
//! A message that is not acknowledged when the connection ends comes again. What was published retained and not
//! acknowledged is published again by the next connection; a question is not: whoever asked is told to ask again.

use std::collections::{HashMap, VecDeque};
use std::iter;
use std::time::Duration;

use lineside_proto::content_type;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, PubAckReason, Publish, PublishProperties, RetainForwardRule, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use super::super::backoff::{Backoff, jitter};
use super::subscriber::{INCOMING_BYTES_MAX, Message, mend_keep_alive, message_of};
use super::{Fault, Peer};

/// Messages that the broker may have on their way to us: what a thousand gateways say in a second.
const RECEIVE_MAX: u16 = 2_000;
/// Messages not yet taken in; the connection waits when more come.
const ARRIVALS_MAX: usize = 4_096;
/// What is published and not acknowledged yet, at most.
const WINDOW: usize = 16;
/// Posts that wait for their turn; whoever makes more waits.
const POSTS_MAX: usize = 256;
/// How long the broker keeps what came while we were away: a day is time to mend a machine.
const SESSION_EXPIRY_S: u32 = 86_400;
/// What the connection says and is not taken in yet.
const HEARD_MAX: usize = 256;

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
    /// A message.
    Message(Message, Ticket),
    /// The connection is no more; another is being tried.
    Lost(Fault),
}

/// By this a message is acknowledged, on the connection that it came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    connection: u64,
    /// None for what needs no acknowledgement.
    packet: Option<u16>,
}

/// What an archive publishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Post {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Whether the broker is to keep it: then it is published again until it is acknowledged.
    pub retained: bool,
    /// Of a question: where the answer is to go.
    pub response_topic: Option<String>,
    /// Of a question, or an answer: which.
    pub correlation: Option<Vec<u8>>,
}

/// The other end of an intake. May be cloned.
#[derive(Clone, Debug)]
pub struct Outlet {
    acknowledged: mpsc::Sender<Vec<Ticket>>,
    posts: mpsc::Sender<Post>,
    again: mpsc::Sender<()>,
}

impl Outlet {
    /// Acknowledges messages. What can't be told now comes again.
    pub fn acknowledge(&self, tickets: Vec<Ticket>) {
        drop(self.acknowledged.try_send(tickets));
    }

    /// Publishes; waits for its turn. Returns whether it will be tried.
    pub async fn post(&self, post: Post) -> bool {
        self.posts.send(post).await.is_ok()
    }

    /// Gives the connection up, so that what is not acknowledged comes again.
    pub fn reconnect(&self) {
        if self.again.try_send(()).is_err() {
            tracing::debug!("the connection is being given up already");
        }
    }
}

impl Intake {
    /// Connects and subscribes to these filters, again after each loss of the connection. Runs on the present tokio
    /// runtime. The client id must be the same after a restart.
    pub fn start(peer: Peer, filters: Vec<String>) -> (Self, Outlet) {
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        // Of each message that is on its way there is one ticket, of this connection or the one before.
        let (acknowledged, tickets) = mpsc::channel(2 * usize::from(RECEIVE_MAX));
        let (posts, posted) = mpsc::channel(POSTS_MAX);
        let (again, asked) = mpsc::channel(1);
        let line = Line {
            peer,
            filters,
            arrivals: sender,
            tickets,
            posted,
            again: asked,
            unsent: VecDeque::new(),
        };
        let task = tokio::spawn(line.supervise());
        let outlet = Outlet {
            acknowledged,
            posts,
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
    tickets: mpsc::Receiver<Vec<Ticket>>,
    posted: mpsc::Receiver<Post>,
    again: mpsc::Receiver<()>,
    /// What the last connection did not get through.
    unsent: VecDeque<Post>,
}

/// What one connection has under way.
#[derive(Default)]
struct Flight {
    /// Handed over, and not out yet.
    handed: VecDeque<Post>,
    /// Out, by packet id.
    out: HashMap<u16, Post>,
}

impl Flight {
    fn count(&self) -> usize {
        self.handed.len() + self.out.len()
    }
}

impl Line {
    async fn supervise(mut self) {
        let mut backoff = Backoff::default();
        for connection in 1.. {
            let mut flight = Flight::default();
            let (fault, useful) = self.connection(connection, &mut flight).await;
            let left = flight.out.into_values().chain(flight.handed);
            let mut left: VecDeque<Post> = left.filter(|post| post.retained).collect();
            left.append(&mut self.unsent);
            left.truncate(POSTS_MAX);
            self.unsent = left;
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
        // Room for all acknowledgements, the window and the subscription, so that handing over never waits.
        let room = usize::from(RECEIVE_MAX) + WINDOW + 2;
        let (client, event_loop) = AsyncClient::new(options, room);
        let (sender, mut heard) = mpsc::channel(HEARD_MAX);
        let mut listening = JoinSet::new();
        listening.spawn(listen(event_loop, self.peer.clone(), sender));
        let mut is_open = false;
        let fault = loop {
            let may_post = is_open && flight.count() < WINDOW;
            let unsent = if may_post {
                self.unsent.pop_front()
            } else {
                None
            };
            if let Some(post) = unsent {
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
                Some(tickets) = self.tickets.recv() => acknowledge(&client, &tickets, number).map(|()| None),
                Some(()) = self.again.recv() => Err(Fault::lost("given up, so that what was not kept comes again")),
                Some(post) = self.posted.recv(), if may_post => publish(&client, post, flight).map(|()| None),
            };
            match done {
                Ok(Some(refused)) => {
                    is_open = true;
                    if self
                        .arrivals
                        .send(Arrival::Connected(refused))
                        .await
                        .is_err()
                    {
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
                let arrival = Arrival::Message(message, ticket);
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
                if let Some(post) = post.filter(|_| !taken) {
                    tracing::warn!(topic = post.topic, reason = ?ack.reason, "the broker refuses what the archive publishes");
                }
            }
            Event::Incoming(Incoming::Disconnect(_)) => {
                return Err(Fault::lost("the broker closes the connection"));
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(None)
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

fn publish(client: &AsyncClient, post: Post, flight: &mut Flight) -> Result<(), Fault> {
    let is_note = post.retained;
    let kind = if is_note {
        content_type::TEXT
    } else {
        content_type::JSON
    };
    let properties = PublishProperties {
        correlation_data: post.correlation.clone().map(Into::into),
        response_topic: post.response_topic.clone(),
        content_type: Some(kind.to_owned()),
        ..PublishProperties::default()
    };
    let (topic, payload) = (post.topic.clone(), post.payload.clone());
    client
        .try_publish_with_properties(topic, QoS::AtLeastOnce, post.retained, payload, properties)
        .map_err(|_| Fault::lost("the connection takes nothing more"))?;
    flight.handed.push_back(post);
    Ok(())
}

fn acknowledge(client: &AsyncClient, tickets: &[Ticket], number: u64) -> Result<(), Fault> {
    for ticket in tickets.iter().filter(|ticket| ticket.connection == number) {
        let Some(packet) = ticket.packet else {
            continue;
        };
        let mut publish = Publish::new("", QoS::AtLeastOnce, Vec::new(), None);
        publish.pkid = packet;
        client
            .try_ack(&publish)
            .map_err(|_| Fault::lost("the connection takes no acknowledgements"))?;
    }
    Ok(())
}
