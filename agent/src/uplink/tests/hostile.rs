//! Brokers that refuse, hang, lie or talk garbage.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time;

use super::super::mqtt::Peer as Address;
use super::super::mqtt::publisher::{Heard, Publisher};
use super::peer::{Listener, PATIENCE};
use super::{Place, Rig, id, seq, seqs};

/// The second connection works, and everything is delivered.
async fn recovers(listener: &Listener, rig: Rig) {
    let mut peer = listener.welcome(&[]).await;
    peer.answer_all_until(&rig, rig.next_seq).await;
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn a_broker_that_stops_acknowledging_is_left() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start_with(listener.address(), 10, Duration::from_millis(300));
    rig.append(5, 0);
    let mut peer = listener.welcome(&[]).await;
    let taken = peer.take(5).await;
    peer.answer(taken[0].id, 0).await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert!(
        figures
            .fault
            .unwrap()
            .contains("acknowledged nothing for 300ms")
    );
    assert!(!figures.connected);
    rig.delivered(1).await;
    recovers(&listener, rig).await;
}

#[tokio::test]
async fn a_half_open_connection_with_a_full_send_buffer_is_noticed() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start_with(listener.address(), 2000, Duration::from_millis(500));
    rig.append(1500, 5000);
    // Accepts, and then reads nothing at all.
    let peer = listener.welcome(&[]).await;
    rig.figures(|figures| figures.connected).await;
    rig.figures(|figures| !figures.connected).await;
    let mut next = listener.welcome(&[]).await;
    drop(peer);
    next.answer_all_until(&rig, 1500).await;
    drop(next);
    rig.stop().await;
}

#[tokio::test]
async fn a_broker_that_never_accepts_is_left() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    rig.append(1, 0);
    let silent = listener.accept().await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert_eq!(figures.fault.as_deref(), Some("the broker does not answer"));
    drop(silent);
    recovers(&listener, rig).await;
}

#[tokio::test]
async fn lies_and_garbage_end_the_connection_and_nothing_else() {
    let flood = vec![0xd0; 4096];
    let cases: [(&str, &[u8]); 9] = [
        ("an acknowledgement of nothing", &[0x40, 2, 0, 9]),
        ("packet id 0", &[0x40, 2, 0, 0]),
        ("a packet that nobody asked for", &[0x90, 4, 0, 1, 0, 1]),
        ("QoS 2 in answer to QoS 1", &[0x50, 2, 0, 1]),
        ("a publish", &[0x30, 5, 0, 1, b'x', 0, b'y']),
        ("garbage", &[0xff; 64]),
        (
            "a packet above our maximum",
            &[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'x'],
        ),
        ("a second CONNACK", &[0x20, 3, 0, 0, 0]),
        ("a length that never ends", &flood),
    ];
    for (about, bytes) in cases {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 10);
        rig.append(2, 0);
        let mut peer = listener.welcome(&[]).await;
        peer.take(2).await;
        peer.send(bytes).await;
        let figures = rig.figures(|figures| figures.fault.is_some()).await;
        assert!(!figures.connected, "{about}");
        drop(peer);
        recovers(&listener, rig).await;
    }
}

#[tokio::test]
async fn garbage_in_place_of_a_connack_is_survived() {
    let cases: [&[u8]; 4] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0x20, 2, 0],
        &[0],
        &[0xf0, 0],
    ];
    for bytes in cases {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 10);
        rig.append(1, 0);
        let mut peer = listener.accept().await;
        peer.send(bytes).await;
        drop(peer);
        rig.figures(|figures| figures.fault.is_some()).await;
        recovers(&listener, rig).await;
    }
}

/// Bytes at random, after a CONNACK and without one: the connection ends, or waits, and nothing panics
/// beyond its task.
#[tokio::test]
async fn random_bytes_do_no_harm() {
    let listener = Listener::bind().await;
    let address = Address {
        host: Ipv4Addr::LOCALHOST.to_string(),
        port: listener.address().port(),
        client_id: "c".to_owned(),
        credentials: None,
        keep_alive: Duration::from_secs(5),
    };
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..300 {
        let will = ("t".to_owned(), b"w".to_vec());
        let mut publisher = Publisher::connect(&address, 4, will);
        let mut peer = listener.accept().await;
        if random.bool() {
            peer.connack(0, &[]).await;
        }
        let kind = random.u8(..);
        let length = random.u8(0..127);
        let mut bytes = vec![kind, length];
        bytes.extend((0..length).map(|_| random.u8(..)));
        peer.send(&bytes).await;
        drop(peer);
        let ended = async {
            let mut heard = Vec::new();
            while !matches!(heard.last(), Some(Heard::Lost(_))) {
                publisher.heard(&mut heard).await;
                assert!(heard.len() < 1000, "round {round}");
            }
        };
        time::timeout(PATIENCE, ended)
            .await
            .unwrap_or_else(|_| panic!("round {round} hangs: {bytes:?}"));
    }
}

#[tokio::test]
async fn a_refusal_to_connect_is_said_in_words() {
    let cases: [(u8, &[u8], &str); 7] = [
        (
            0x86,
            &[],
            "the broker refuses the connection: user name or password is wrong",
        ),
        (
            0x87,
            &[],
            "the broker refuses the connection: not authorised",
        ),
        (0x89, &[], "the broker refuses the connection: server busy"),
        (
            0x84,
            &[],
            "the broker refuses the connection: it does not speak MQTT 5",
        ),
        (
            0x00,
            &[0x24, 0],
            "the broker refuses the connection: it offers no QoS 1",
        ),
        (
            0x00,
            &[0x25, 0],
            "the broker refuses the connection: it keeps no retained messages",
        ),
        (
            0x00,
            &[0x27, 0, 0, 3, 255],
            "the broker refuses the connection: the largest packet that it takes is too small",
        ),
    ];
    for (code, properties, fault) in cases {
        let listener = Listener::bind().await;
        let rig = Rig::start(listener.address(), 10);
        let mut peer = listener.accept().await;
        peer.connack(code, properties).await;
        let figures = rig.figures(|figures| figures.fault.is_some()).await;
        assert_eq!(figures.fault.as_deref(), Some(fault));
        drop(peer);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_second_client_of_the_same_name_is_said_in_words() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address(), 10);
    let mut peer = listener.welcome(&[]).await;
    peer.send(&[0xe0, 2, 0x8e, 0]).await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert!(
        figures
            .fault
            .unwrap()
            .contains("another client with the same id")
    );
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn a_broker_that_wants_no_pings_is_not_flooded_with_them() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    let mut peer = listener.welcome(&[0x13, 0, 0]).await;
    let (first, _) = peer.packet().await.unwrap();
    assert_eq!(first, 0xc0, "one ping, which the library sends at once");
    peer.send(&[0xd0, 0]).await;
    assert!(peer.is_quiet().await);
    rig.append(1, 0);
    peer.acknowledge_until("telemetry/m").await;
    rig.delivered(1).await;
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_becomes_a_gap() {
    for code in [0x90, 0x99] {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 10);
        rig.append(3, 0);
        let mut peer = listener.welcome(&[]).await;
        let taken = peer.take(3).await;
        peer.answer(taken[0].id, 0).await;
        peer.answer(taken[1].id, code).await;
        peer.answer(taken[2].id, 0).await;
        let gap = peer.acknowledge_until("gaps/m").await;
        let gap: serde_json::Value = serde_json::from_str(&gap.payload).unwrap();
        assert_eq!(gap["kind"], "refused");
        assert_eq!((&gap["seq_from"], &gap["seq_to"]), (&1.into(), &1.into()));
        assert_eq!((&gap["stream"], &gap["samples"]), (&"S".into(), &2.into()));
        rig.delivered(4).await;
        let figures = rig.figures(|figures| figures.acknowledged == 3).await;
        assert_eq!(figures.refused, 1);
        drop(peer);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_message_above_the_broker_s_maximum_becomes_a_gap_without_being_sent() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    rig.append(1, 0);
    rig.append(1, 2000);
    rig.append(1, 0);
    let mut peer = listener.welcome(&[0x27, 0, 0, 4, 0]).await;
    let mut telemetry = Vec::new();
    let gap = loop {
        let publish = peer.publish().await.unwrap();
        peer.answer(publish.id, 0).await;
        if publish.topic.ends_with("gaps/m") {
            break publish;
        }
        telemetry.push(seq(&publish.payload));
    };
    assert_eq!(telemetry, [0, 2]);
    assert!(
        gap.payload.contains("larger than the broker takes"),
        "{}",
        gap.payload
    );
    rig.delivered(4).await;
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_not_authorised_is_parked_while_the_board_goes_on() {
    for code in [0x87, 0x97] {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 10);
        rig.append(2, 0);
        let mut peer = listener.welcome(&[]).await;
        for publish in peer.take(2).await {
            peer.answer(publish.id, code).await;
        }
        let figures = rig.figures(|figures| figures.refused == 2).await;
        assert!(figures.connected);
        let fault = figures.fault.unwrap();
        assert!(
            fault.contains("refuses lineside/v1/s/g/telemetry/m"),
            "{fault}"
        );
        rig.append(1, 0);
        rig.show(&[(Place::Availability(id("m")), "free", 1)]);
        assert_eq!(peer.publish().await.unwrap().payload, "free");
        assert!(peer.is_quiet().await, "history waits");
        assert_eq!(rig.outbox.delivered(), 0);
        drop(peer);
        // A new connection is a new try: a permission was perhaps given meanwhile.
        let mut peer = listener.welcome(&[]).await;
        assert_eq!(
            peer.acknowledge_until("availability/m").await.payload,
            "free"
        );
        let again = peer.take(3).await;
        assert_eq!(seqs(&again), [0, 1, 2]);
        for publish in &again {
            peer.answer(publish.id, 0).await;
        }
        rig.delivered(3).await;
        let figures = rig.figures(|figures| figures.acknowledged == 4).await;
        assert_eq!(figures.fault, None, "the alarm is over");
        drop(peer);
        rig.stop().await;
    }
}

#[tokio::test]
async fn an_unspecified_error_is_tried_again_soon_and_in_order() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start_with(listener.address(), 10, Duration::from_secs(10));
    rig.append(3, 0);
    let mut peer = listener.welcome(&[]).await;
    let first = peer.take(3).await;
    peer.answer(first[0].id, 0x80).await;
    peer.answer(first[1].id, 0x80).await;
    peer.answer(first[2].id, 0x80).await;
    let again = peer.take(1).await;
    assert_eq!(seqs(&again), [0]);
    assert!(
        peer.is_quiet().await,
        "one alone, until the broker takes it"
    );
    peer.answer(again[0].id, 0).await;
    let rest = peer.take(2).await;
    assert_eq!(seqs(&rest), [1, 2]);
    for publish in rest {
        peer.answer(publish.id, 0).await;
    }
    rig.delivered(3).await;
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn whatever_else_a_connack_says_everything_is_delivered() {
    let cases: [(&str, &[u8]); 12] = [
        ("receive maximum 1", &[0x21, 0, 1]),
        ("receive maximum 65,535", &[0x21, 255, 255]),
        ("topic aliases", &[0x22, 255, 255]),
        ("keep-alive of a second", &[0x13, 0, 1]),
        ("the longest keep-alive", &[0x13, 255, 255]),
        ("another client id", &[0x12, 0, 3, b'a', b'b', b'c']),
        ("no session at all", &[0x11, 0, 0, 0, 0]),
        ("a reason", &[0x1f, 0, 2, b'h', b'i']),
        ("a user property", &[0x26, 0, 1, b'k', 0, 1, b'v']),
        ("no wildcards, ids or shares", &[0x28, 0, 0x29, 0, 0x2a, 0]),
        ("response information", &[0x1a, 0, 1, b'r']),
        ("another server", &[0x1c, 0, 1, b's']),
    ];
    for (about, properties) in cases {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 10);
        rig.append(5, 0);
        let mut peer = listener.welcome(properties).await;
        peer.answer_all_until(&rig, 5).await;
        let figures = rig.figures(|figures| figures.acknowledged == 5).await;
        assert_eq!((figures.connects, figures.fault), (1, None), "{about}");
        drop(peer);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_broker_that_takes_no_publish_at_all_is_left() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    rig.append(1, 0);
    let peer = listener.welcome(&[0x21, 0, 0]).await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert!(figures.fault.unwrap().contains("takes no publish at all"));
    drop(peer);
    recovers(&listener, rig).await;
}

/// Reasons of a DISCONNECT and of a PUBACK, most of which no standard knows.
#[tokio::test]
async fn every_reason_code_is_survived_and_nothing_counts_as_delivered_by_it() {
    for code in (0..=255).step_by(3) {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address(), 10);
        rig.append(2, 0);
        let mut peer = listener.welcome(&[]).await;
        peer.take(2).await;
        peer.send(&[0xe0, 2, code, 0]).await;
        rig.figures(|figures| !figures.connected && figures.fault.is_some())
            .await;
        assert_eq!(rig.outbox.delivered(), 0, "DISCONNECT {code:#x}");
        drop(peer);
        rig.stop().await;

        let mut rig = Rig::start(listener.address(), 10);
        rig.append(2, 0);
        let mut peer = listener.welcome(&[]).await;
        let taken = peer.take(2).await;
        peer.answer(taken[0].id, code).await;
        let figures = rig
            .figures(|figures| figures.acknowledged + figures.refused > 0 || !figures.connected)
            .await;
        let taken = matches!(code, 0 | 0x10);
        assert_eq!(figures.acknowledged == 1, taken, "PUBACK {code:#x}");
        drop(peer);
        rig.stop().await;
    }
}
