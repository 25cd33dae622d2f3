//! Answers on a subscription's connection: few at once, each when the broker has taken an earlier one, so
//! that a large answer disturbs nothing else.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Publish, PublishProperties};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time;

use super::Fault;

/// Answers on their way at once: enough to keep a line busy, half a megabyte at most.
pub(super) const ANSWERS_WINDOW: u16 = 4;
/// Answers that wait for their turn; whoever makes more waits.
const ANSWERS_WAITING: usize = 2;

/// An answer to who asked, or a request to who answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The response topic.
    pub topic: String,
    /// The request's correlation data; of a request, its own.
    pub correlation: Option<Vec<u8>>,
    /// Where the answer is to go; none for what is an answer itself.
    pub response_topic: Option<String>,
    /// The document, JSON.
    pub payload: Vec<u8>,
}

impl Reply {
    /// Bytes of its packet on the wire.
    pub fn packet_bytes(&self) -> usize {
        let (topic, payload) = (self.topic.clone(), Vec::new());
        let properties = Some(self.properties());
        let mut bare = Publish::new(topic, QoS::AtLeastOnce, payload, properties);
        // Without one it would be counted as none.
        bare.pkid = 1;
        // The length of the length is a guess until the payload is in it: at most three bytes more.
        bare.size() + self.payload.len() + 3
    }

    fn properties(&self) -> PublishProperties {
        PublishProperties {
            correlation_data: self.correlation.clone().map(Into::into),
            response_topic: self.response_topic.clone(),
            content_type: Some(lineside_proto::content_type::JSON.to_owned()),
            ..PublishProperties::default()
        }
    }
}

/// Where answers go. May be cloned.
#[derive(Clone, Debug)]
pub struct Answers {
    replies: mpsc::Sender<Reply>,
    renew: Arc<Notify>,
}

/// What the connection is asked for from outside.
#[derive(Debug)]
pub(super) struct Orders {
    replies: mpsc::Receiver<Reply>,
    renew: Arc<Notify>,
    /// For how long the broker may leave a whole window of answers unacknowledged.
    ack_timeout: Duration,
}

impl Answers {
    pub(super) fn channel(ack_timeout: Duration) -> (Self, Orders) {
        let (sender, replies) = mpsc::channel(ANSWERS_WAITING);
        let renew = Arc::new(Notify::new());
        let orders = Orders {
            replies,
            renew: Arc::clone(&renew),
            ack_timeout,
        };
        let replies = sender;
        (Self { replies, renew }, orders)
    }

    /// Hands an answer over; waits for its turn, also while there is no connection.
    ///
    /// Returns whether it will be sent: not if the subscription is no more.
    pub async fn send(&self, reply: Reply) -> bool {
        self.replies.send(reply).await.is_ok()
    }

    /// The same without waiting. Returns whether there was room.
    pub fn try_send(&self, reply: Reply) -> bool {
        self.replies.try_send(reply).is_ok()
    }

    /// Subscribes again on the present connection or the next, so that the broker says anew what it keeps.
    pub fn renew(&self) {
        self.renew.notify_one();
    }
}

/// What one connection lets through.
#[derive(Debug)]
pub(super) struct Gate {
    places: Semaphore,
    /// How large a packet may be; none until the subscription was accepted.
    open: watch::Sender<Option<usize>>,
}

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            places: Semaphore::new(0),
            open: watch::Sender::new(None),
        })
    }

    /// The subscription was accepted.
    pub(super) fn open(&self, terms: Terms) {
        let was_shut = self.open.send_if_modified(|open| {
            let was_shut = open.is_none();
            *open = Some(terms.packet_bytes_max.unwrap_or(usize::MAX));
            was_shut
        });
        if was_shut {
            self.places.add_permits(usize::from(terms.window));
        }
    }

    /// The broker has answered an answer.
    pub(super) fn settled(&self) {
        self.places.add_permits(1);
    }
}

/// What the broker allows on this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    pub(super) window: u16,
    pub(super) packet_bytes_max: Option<usize>,
}

impl Terms {
    pub(super) fn of(accepted: &ConnAck) -> Self {
        let properties = accepted.properties.as_ref();
        let receive_max = properties.and_then(|properties| properties.receive_max);
        let packet_max = properties.and_then(|properties| properties.max_packet_size);
        Self {
            window: receive_max.map_or(ANSWERS_WINDOW, |most| most.clamp(1, ANSWERS_WINDOW)),
            packet_bytes_max: packet_max.and_then(|bytes| usize::try_from(bytes).ok()),
        }
    }
}

/// Hands answers over to a connection, until it must be given up. `too_large` hears of each answer that
/// the broker would not take.
pub(super) async fn carry(
    client: &AsyncClient,
    gate: &Gate,
    orders: &mut Orders,
    renew: impl Fn() -> Result<(), Fault>,
    too_large: impl Fn(&Reply),
) -> Fault {
    let mut open = gate.open.subscribe();
    let Ok(packet_bytes_max) = open.wait_for(Option::is_some).await.map(|open| *open) else {
        return Fault::lost("closed");
    };
    let Orders {
        replies,
        renew: asked,
        ack_timeout,
    } = orders;
    loop {
        let handed_over = tokio::select! {
            () = asked.notified() => renew(),
            reply = next(gate, *ack_timeout, replies) => match reply {
                Ok(reply) if Some(reply.packet_bytes()) > packet_bytes_max => {
                    too_large(&reply);
                    gate.settled();
                    continue;
                }
                Ok(reply) => publish(client, reply),
                Err(fault) => Err(fault),
            },
        };
        if let Err(fault) = handed_over {
            return fault;
        }
    }
}

/// The next answer, when it has a place. May be given up and called again.
async fn next(
    gate: &Gate,
    ack_timeout: Duration,
    replies: &mut mpsc::Receiver<Reply>,
) -> Result<Reply, Fault> {
    // A place first: what has none stays where a later connection finds it.
    let place = match time::timeout(ack_timeout, gate.places.acquire()).await {
        Ok(Ok(place)) => place,
        Ok(Err(_)) => return Err(Fault::lost("closed")),
        Err(_) => return Err(Fault::lost("the broker acknowledges no answers")),
    };
    match replies.recv().await {
        Some(reply) => {
            place.forget();
            Ok(reply)
        }
        // Nobody will answer any more; the subscription lives on.
        None => future::pending().await,
    }
}

fn publish(client: &AsyncClient, reply: Reply) -> Result<(), Fault> {
    let properties = reply.properties();
    client
        .try_publish_with_properties(
            reply.topic,
            QoS::AtLeastOnce,
            false,
            reply.payload,
            properties,
        )
        .map_err(|_| Fault::lost("the connection takes nothing more"))
}

#[cfg(test)]
mod tests {
    use super::Reply;
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Publish;

    #[test]
    fn a_reply_is_never_larger_than_it_says() {
        for payload in [0, 90, 127, 128, 16_300, 16_384, 131_072, 2_097_152] {
            for correlation in [None, Some(vec![0; 16]), Some(vec![0; 200])] {
                let reply = Reply {
                    topic: "r/response/me".to_owned(),
                    correlation,
                    response_topic: None,
                    payload: vec![b'x'; payload],
                };
                let properties = Some(reply.properties());
                let mut publish = Publish::new(
                    reply.topic.clone(),
                    QoS::AtLeastOnce,
                    reply.payload.clone(),
                    properties,
                );
                publish.pkid = 1;
                let said = reply.packet_bytes();
                assert!((publish.size()..=publish.size() + 3).contains(&said));
            }
        }
    }
}
