//! One connection that publishes. It never replays: what is not acknowledged when it ends is sent again
//! by the next, from the outbox and the board.

use lineside_proto::content_type;
use lineside_proto::schema::{SESSION_EXPIRY_S, WILL_DELAY_S};
use rumqttc::Outgoing as Left;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, LastWill, LastWillProperties};
use rumqttc::v5::mqttbytes::v5::{PubAckReason, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, Incoming};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::exchange::{Outgoing, Terms};
use super::{Fault, Peer};

/// The largest packet that the broker may send us: acknowledgements, and a CONNACK with what it says of
/// itself.
const INCOMING_BYTES_MAX: u32 = 16 * 1024;
/// The smallest packet that a broker must take to be of use: any gap document fits it. Under a smaller
/// limit neither what was read nor the word of its loss could be said, so that it is kept until then.
const OUTGOING_BYTES_MIN: u32 = 1024;
/// What was heard and not yet taken in; the loop waits when more comes.
const HEARD_MAX: usize = 256;
/// How much of it is taken in at once.
const HEARD_AT_ONCE: usize = 64;

/// What is heard of a connection.
#[derive(Debug)]
pub(in crate::uplink) enum Heard {
    /// The broker has accepted the connection.
    Accepted(Terms),
    /// The next publish in order left with this packet id.
    Left(u16),
    /// The publish with this packet id was answered with this reason code.
    Answered(u16, u8),
    /// The DISCONNECT is out.
    Closed,
    /// The connection is no more.
    Lost(Fault),
}

/// A connection, or the attempt at one.
#[derive(Debug)]
pub(in crate::uplink) struct Publisher {
    client: AsyncClient,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Begins to connect. `window` is the most publishes on their way; `will` goes to its topic, retained,
    /// if the connection ends without a DISCONNECT and no other follows in time.
    pub(in crate::uplink) fn connect(peer: &Peer, window: u16, will: (String, Vec<u8>)) -> Self {
        let window = window.max(1);
        let mut options = peer.options();
        // A clean start would end the old session, which sends its will at once, at every reconnect.
        options.set_clean_start(false);
        options.set_session_expiry_interval(Some(SESSION_EXPIRY_S));
        options.set_max_packet_size(Some(INCOMING_BYTES_MAX));
        options.set_last_will(last_will(will));
        // The library's packet ids go round within the smaller of this and the broker's receive maximum,
        // which is exactly the window that we keep to.
        options.set_outgoing_inflight_upper_limit(window);
        // Room for the window and the DISCONNECT, so that handing over never waits.
        let (client, event_loop) = AsyncClient::new(options, usize::from(window) + 1);
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let task = tokio::spawn(listen(event_loop, window, peer.keep_alive(), sender));
        Self {
            client,
            heard,
            task,
        }
    }

    /// Hands a publish over.
    ///
    /// # Errors
    ///
    /// More was handed over than the window allows, or the connection is no more.
    pub(in crate::uplink) fn publish(&self, outgoing: Outgoing) -> Result<(), Fault> {
        let properties = properties(&outgoing);
        let Outgoing {
            topic,
            payload,
            retained,
            ..
        } = outgoing;
        self.client
            .try_publish_with_properties(topic, QoS::AtLeastOnce, retained, payload, properties)
            .map_err(|_| Fault::lost("the connection takes nothing more"))
    }

    /// Asks for a DISCONNECT that lets the broker forget the will.
    ///
    /// # Errors
    ///
    /// The connection is no more.
    pub(in crate::uplink) fn disconnect(&self) -> Result<(), Fault> {
        self.client
            .try_disconnect()
            .map_err(|_| Fault::lost("the connection takes nothing more"))
    }

    /// Waits for what is heard next, and adds it.
    pub(in crate::uplink) async fn heard(&mut self, into: &mut Vec<Heard>) {
        if self.heard.recv_many(into, HEARD_AT_ONCE).await == 0 {
            // The task ended without a word: it panicked on what the broker sent.
            into.push(Heard::Lost(Fault::lost(
                "what the broker sent could not be read",
            )));
        }
    }

    /// Adds what was heard already, without waiting.
    pub(in crate::uplink) fn heard_already(&mut self, into: &mut Vec<Heard>) {
        while let Ok(heard) = self.heard.try_recv() {
            into.push(heard);
        }
    }

    /// Cuts the connection off. Returns what was heard of it until then.
    pub(in crate::uplink) async fn cut(&mut self) -> Vec<Heard> {
        self.task.abort();
        let mut rest = Vec::new();
        // Emptied while waiting, so that a loop with something to say comes to its end.
        while self.heard.recv_many(&mut rest, HEARD_AT_ONCE).await > 0 {}
        rest
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn last_will((topic, payload): (String, Vec<u8>)) -> LastWill {
    let properties = LastWillProperties {
        delay_interval: Some(WILL_DELAY_S),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: Some(content_type::JSON.to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    LastWill::new(topic, payload, QoS::AtLeastOnce, true, Some(properties))
}

fn properties(outgoing: &Outgoing) -> PublishProperties {
    PublishProperties {
        message_expiry_interval: outgoing.expiry_s,
        content_type: Some(outgoing.content_type.to_owned()),
        ..PublishProperties::default()
    }
}

/// How large the packet of a publish is.
pub(in crate::uplink) fn packet_bytes(outgoing: &Outgoing) -> usize {
    let expiry = outgoing.expiry_s.map_or(0, |_| 1 + 4);
    let properties = 1 + 2 + outgoing.content_type.len() + expiry;
    // Topic, packet id, the properties' length in one byte, properties, payload.
    let body = 2 + outgoing.topic.len() + 2 + 1 + properties + outgoing.payload.len();
    let body_length = match body {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    };
    1 + body_length + body
}

/// Runs the library's loop until the connection ends.
async fn listen(
    mut event_loop: EventLoop,
    window: u16,
    keep_alive: Duration,
    heard: mpsc::Sender<Heard>,
) {
    loop {
        let said = match event_loop.poll().await {
            Ok(event) => translate(&event, window),
            Err(error) => Some(Heard::Lost(Fault::of(&error))),
        };
        // The broker says by 0 that it wants no pings; the library would send them without a pause.
        if event_loop.options.keep_alive().is_zero() {
            event_loop.options.set_keep_alive(keep_alive);
        }
        let Some(said) = said else {
            continue;
        };
        let last = matches!(said, Heard::Lost(_) | Heard::Closed);
        if heard.send(said).await.is_err() || last {
            return;
        }
    }
}

fn translate(event: &Event, window: u16) -> Option<Heard> {
    match event {
        Event::Incoming(Incoming::ConnAck(accepted)) => Some(terms(accepted, window)),
        Event::Incoming(Incoming::PubAck(ack)) => Some(Heard::Answered(ack.pkid, code(ack.reason))),
        Event::Incoming(Incoming::PingResp(_) | Incoming::PingReq(_)) => None,
        Event::Incoming(
            Incoming::Auth(_)
            | Incoming::Connect(..)
            | Incoming::Publish(_)
            | Incoming::Subscribe(_)
            | Incoming::SubAck(_)
            | Incoming::PubRec(_)
            | Incoming::PubRel(_)
            | Incoming::PubComp(_)
            | Incoming::Unsubscribe(_)
            | Incoming::UnsubAck(_)
            | Incoming::Disconnect(_),
        ) => Some(Heard::Lost(Fault::lost(
            "the broker breaks the protocol: it sent what nobody asked for",
        ))),
        Event::Outgoing(Left::Publish(id)) => Some(Heard::Left(*id)),
        Event::Outgoing(Left::Disconnect) => Some(Heard::Closed),
        Event::Outgoing(Left::AwaitAck(_)) => {
            Some(Heard::Lost(Fault::lost("packet ids are out of step")))
        }
        Event::Outgoing(
            Left::Subscribe(_)
            | Left::Unsubscribe(_)
            | Left::PubAck(_)
            | Left::PubRec(_)
            | Left::PubRel(_)
            | Left::PubComp(_)
            | Left::PingReq
            | Left::PingResp,
        ) => None,
    }
}

/// What the CONNACK allows, or why that is not enough.
fn terms(accepted: &ConnAck, window: u16) -> Heard {
    let Some(properties) = &accepted.properties else {
        return Heard::Accepted(Terms {
            window,
            packet_bytes_max: None,
        });
    };
    let lacks = |what: &str| Heard::Lost(Fault::Refused(what.to_owned()));
    if properties.receive_max == Some(0) {
        return Heard::Lost(Fault::lost(
            "the broker breaks the protocol: it takes no publish at all",
        ));
    }
    if properties.max_qos == Some(0) {
        return lacks("it offers no QoS 1");
    }
    if properties.retain_available == Some(0) {
        return lacks("it keeps no retained messages");
    }
    if properties
        .max_packet_size
        .is_some_and(|bytes| bytes < OUTGOING_BYTES_MIN)
    {
        return lacks("the largest packet that it takes is too small");
    }
    Heard::Accepted(Terms {
        window: window.min(properties.receive_max.unwrap_or(u16::MAX)),
        packet_bytes_max: properties.max_packet_size,
    })
}

/// The reason code on the wire.
fn code(reason: PubAckReason) -> u8 {
    match reason {
        PubAckReason::Success => 0x00,
        PubAckReason::NoMatchingSubscribers => 0x10,
        PubAckReason::UnspecifiedError => 0x80,
        PubAckReason::ImplementationSpecificError => 0x83,
        PubAckReason::NotAuthorized => 0x87,
        PubAckReason::TopicNameInvalid => 0x90,
        PubAckReason::PacketIdentifierInUse => 0x91,
        PubAckReason::QuotaExceeded => 0x97,
        PubAckReason::PayloadFormatInvalid => 0x99,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::exchange::Outgoing;
    use super::{packet_bytes, properties};
    use lineside_proto::content_type;
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Publish;

    #[test]
    fn the_size_of_a_packet_is_what_the_library_sends() {
        for payload in [0, 10, 90, 97, 98, 99, 16_300, 16_400, 2_097_200] {
            for (expiry_s, content_type) in [
                (None, content_type::JSON),
                (Some(90), content_type::JSON),
                (None, content_type::TEXT),
            ] {
                let outgoing = Outgoing {
                    topic: "a/b".to_owned(),
                    payload: vec![0; payload],
                    content_type,
                    retained: true,
                    expiry_s,
                };
                let mut publish = Publish::new(
                    "a/b",
                    QoS::AtLeastOnce,
                    outgoing.payload.clone(),
                    Some(properties(&outgoing)),
                );
                publish.pkid = 1;
                assert_eq!(packet_bytes(&outgoing), publish.size(), "{payload} bytes");
            }
        }
    }
}
