//! An archive's intake against mosquitto: however much comes at once and however slowly it is taken in, the connection
//! stands, everything is acknowledged, and what the broker is to keep gets there.

use std::collections::BTreeSet;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PubAck;
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions};
use tokio::time;

use super::super::tests::mosquitto::{Mosquitto, news};
use super::super::tests::peer::PATIENCE;
use super::intake::{Arrival, Intake};
use super::subscriber::News;

/// More than the broker may have on its way to us, and than the channels hold.
const MANY: usize = 9_000;
/// More than may be published at once.
const KEPT: usize = 500;
/// Taken in and acknowledged together.
const TOGETHER: usize = 1_500;

/// Has the broker keep so many messages.
async fn fill(broker: &Mosquitto) {
    let (host, port) = (broker.address.ip().to_string(), broker.address.port());
    let mut options = MqttOptions::new("filler", host, port);
    options.set_outgoing_inflight_upper_limit(100);
    let (client, mut events) = AsyncClient::new(options, 10);
    let publishing = tokio::spawn(async move {
        for number in 0..MANY {
            let (topic, text) = (format!("p/{number}"), number.to_string());
            let sent = client.publish(topic, QoS::AtLeastOnce, true, text);
            sent.await.unwrap();
        }
        client
    });
    let mut acknowledged = 0;
    while acknowledged < MANY {
        if let Event::Incoming(Incoming::PubAck(PubAck { .. })) = events.poll().await.unwrap() {
            acknowledged += 1;
        }
    }
    drop(publishing.await.unwrap());
}

#[tokio::test]
async fn a_flood_and_a_slow_taker_end_no_connection_and_hold_nothing_back() {
    let broker = Mosquitto::start_with("max_queued_messages 0\n").await;
    fill(&broker).await;
    let (mut intake, outlet) = Intake::start(broker.peer("archive"), vec!["p/#".to_owned()]);
    // Whoever has something to be kept never waits, while nobody takes anything in.
    for turn in 0..2 {
        for number in 0..KEPT {
            outlet.keep(format!("k/{number}"), format!("{number} {turn}"));
        }
    }
    let mut found = BTreeSet::new();
    while found.len() < MANY {
        let (mut arrivals, mut tickets) = (Vec::new(), Vec::new());
        let want = TOGETHER.min(MANY - found.len());
        while tickets.len() < want {
            let more = intake.next(&mut arrivals, want - tickets.len());
            assert!(time::timeout(PATIENCE, more).await.expect("nothing comes"));
            for arrival in arrivals.drain(..) {
                match arrival {
                    Arrival::Message(message, ticket, _) => {
                        tickets.push(ticket);
                        assert!(found.insert(message.topic), "it came twice");
                    }
                    Arrival::Connected(refused) => assert_eq!(refused, [""; 0]),
                    Arrival::Lost(fault) => panic!("{fault}"),
                }
            }
        }
        outlet.acknowledge(tickets);
    }
    let mut reader = broker.subscribe("k/#");
    let mut kept = BTreeSet::new();
    while kept.len() < KEPT {
        if let News::Message(message) = news(&mut reader).await {
            let text = String::from_utf8(message.payload).unwrap();
            if text.ends_with(" 1") {
                kept.insert(text);
            }
        }
    }
    // All is acknowledged, and nothing comes twice.
    let waits = time::timeout(Duration::from_millis(300), async {
        let mut more = Vec::new();
        intake.next(&mut more, 1).await;
        more
    });
    assert!(waits.await.is_err(), "something came again");
}
