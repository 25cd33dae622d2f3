use super::super::board::{Board, Place, Retained};
use super::super::tests::peer::{Listener, PATIENCE, Peer, Publish, Said};
use super::super::tests::{id, ledger, now};
use super::{BookingsMessage, Inbound, Running, Sources};
use crate::clock::Stamp;
use crate::config::model;
use crate::ledger::Ledger;
use crate::live::CommandFigures;
use crate::record::Entry;
use lineside_proto::ledger::{Audit, LeafBody};
use lineside_proto::{Answer, EntriesResult, GatewayStatus, Identifier, Time, Topics};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time;
use tokio_util::sync::CancellationToken;

const REQUEST: &str = "lineside/v1/s/g/request";
const RESPONSE: &str = "lineside/v1/s/g/response/me";
const CHECKPOINT: &str = "lineside/v1/s/g/ledger/checkpoint";

/// The command connection with all around it.
struct Rig {
    running: Running,
    ledger: Ledger,
    board: watch::Sender<Board>,
    machines: watch::Sender<Arc<BTreeSet<Identifier>>>,
    bookings: mpsc::Receiver<BookingsMessage>,
    kept: oneshot::Receiver<Option<String>>,
    cancel: CancellationToken,
    _dir: TempDir,
}

fn hash() -> String {
    format!("sha256:{}", "0a".repeat(32))
}

impl Rig {
    fn start(broker: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(dir.path());
        let machines = Arc::new(BTreeSet::from([id("press"), id("oven")]));
        let (machines, machines_seen) = watch::channel(machines);
        let (bookings, bookings_taken) = mpsc::channel(1);
        let (kept, kept_told) = oneshot::channel();
        let (board, board_seen) = watch::channel(Board::default());
        let cancel = CancellationToken::new();
        let settings = model::Uplink {
            host: broker.ip().to_string(),
            port: broker.port(),
            prefix: Topics::PREFIX.to_owned(),
            username: None,
            password: None,
            keep_alive: Duration::from_secs(5),
            window: 10,
            ack_timeout: Duration::from_secs(1),
        };
        let running = super::start(
            &settings,
            Topics::new(Topics::PREFIX, &id("s"), &id("g")),
            &GatewayStatus::offline(id("s"), id("g")),
            Inbound {
                machines: machines_seen,
                bookings,
                kept,
            },
            Sources {
                ledger: ledger.clone(),
                maps: Arc::new(|wanted| (wanted == hash()).then(|| "m = \"试\"\n".repeat(20_000))),
                board: board_seen,
            },
            cancel.clone(),
        );
        Self {
            running,
            ledger,
            board,
            machines,
            bookings: bookings_taken,
            kept: kept_told,
            cancel,
            _dir: dir,
        }
    }

    /// Appends so many leaves, a second apart.
    fn append(&self, count: u64, text: &str) {
        let size = self.ledger.size();
        let entries: Vec<_> = (size..size + count)
            .map(|index| Entry {
                at: Stamp {
                    boot_ms: index * 1000,
                    wall: now().plus_millis(i64::try_from(index).unwrap() * 1000),
                },
                body: LeafBody::Audit(Audit {
                    who: "test".to_owned(),
                    action: "apply".to_owned(),
                    what: text.to_owned(),
                }),
            })
            .collect();
        self.ledger.append("boot", &entries).unwrap();
    }

    async fn figures(&self, so: impl FnMut(&CommandFigures) -> bool) -> CommandFigures {
        let mut figures = self.running.figures.clone();
        let waited = time::timeout(PATIENCE, figures.wait_for(so)).await;
        let Ok(found) = waited else {
            panic!("the figures stay at {:?}", self.running.figures.borrow());
        };
        found.unwrap().clone()
    }

    async fn stop(self) {
        self.cancel.cancel();
        time::timeout(PATIENCE, self.running.task)
            .await
            .expect("the command connection does not stop")
            .unwrap();
    }
}

/// Connected and subscribed.
async fn ready(listener: &Listener, properties: &[u8]) -> Peer {
    let mut peer = listener.welcome(properties).await;
    peer.grant(&[1, 1, 1]).await;
    peer
}

fn asking(payload: &str) -> Said<'_> {
    Said {
        topic: REQUEST,
        payload,
        response: Some(RESPONSE),
        correlation: Some(b"c7"),
        ..Said::default()
    }
}

/// Takes and acknowledges one part.
async fn part(peer: &mut Peer) -> Answer {
    let publish = peer.publish().await.expect("closed");
    peer.answer(publish.id, 0).await;
    read(&publish)
}

fn read(publish: &Publish) -> Answer {
    assert_eq!(publish.topic, RESPONSE);
    assert!(!publish.retained);
    let carries = |bytes: &[u8]| {
        let mut parts = publish.properties.windows(bytes.len());
        parts.any(|part| part == bytes)
    };
    assert!(carries(&[9, 0, 2, b'c', b'7']), "the correlation data");
    serde_json::from_str(&publish.payload).unwrap()
}

/// Asks, and takes all parts.
async fn ask(peer: &mut Peer, method: &str, params: Value) -> Vec<Answer> {
    let request = json!({"id": "q", "method": method, "params": params});
    peer.say(&asking(&request.to_string())).await;
    let mut parts = vec![part(peer).await];
    while parts.len() < usize::try_from(parts[0].parts).unwrap() {
        parts.push(part(peer).await);
    }
    for (expected, part) in (1..).zip(&parts) {
        assert_eq!((part.part, part.parts), (expected, parts[0].parts));
        assert_eq!(part.id, "q");
    }
    parts
}

async fn result(peer: &mut Peer, method: &str, params: Value) -> Value {
    let mut parts = ask(peer, method, params).await;
    assert_eq!(parts.len(), 1, "{method}");
    let part = parts.remove(0);
    part.result
        .unwrap_or_else(|| panic!("{method}: {:?}", part.error))
}

async fn refusal(peer: &mut Peer, method: &str, params: Value) -> String {
    let parts = ask(peer, method, params).await;
    let error = parts[0].error.clone().expect("an error");
    assert!(parts[0].result.is_none() && !error.text.is_empty());
    error.code
}

#[tokio::test]
async fn the_connection_has_its_own_name_and_no_will() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = listener.welcome(&[]).await;
    assert_eq!(peer.connect[7], 0b0000_0010, "clean start, no will");
    let connect = String::from_utf8_lossy(&peer.connect).into_owned();
    assert!(connect.contains("lineside:s:g:commands"), "{connect}");
    let filters = peer.grant(&[1, 1, 1]).await;
    for filter in ["lineside/v1/s/g/bookings/+", REQUEST, CHECKPOINT] {
        assert!(filters.contains(filter), "{filter}");
    }
    let figures = rig.figures(|figures| figures.connected).await;
    assert_eq!((figures.connects, figures.fault), (1, None));
    // The next connection asks again.
    drop(peer);
    rig.figures(|figures| figures.fault.is_some()).await;
    let _peer = ready(&listener, &[]).await;
    rig.figures(|figures| figures.connects == 2).await;
    rig.stop().await;
}

#[tokio::test]
async fn bookings_are_handed_on_and_nothing_else_is() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    for (topic, retained) in [
        ("lineside/v1/s/g/bookings/press", true),
        ("lineside/v1/s/g/bookings/lathe", true),
        ("lineside/v1/s/g/bookings/Press", false),
        ("lineside/v1/s/g/bookings/a/b", false),
        ("lineside/v1/other/g/bookings/press", false),
        ("", false),
        ("lineside/v1/s/g/bookings/oven", false),
    ] {
        peer.say(&Said {
            topic,
            payload: topic,
            retained,
            ..Said::default()
        })
        .await;
    }
    for (machine, retained) in [("press", true), ("oven", false)] {
        let message = time::timeout(PATIENCE, rig.bookings.recv()).await.unwrap();
        let message = message.unwrap();
        assert_eq!((message.machine, message.retained), (id(machine), retained));
        assert!(message.payload.ends_with(machine.as_bytes()));
    }
    let figures = rig.figures(|figures| figures.bookings == 2).await;
    assert_eq!((figures.ignored, figures.requests), (5, 0));
    rig.stop().await;
}

#[tokio::test]
async fn a_full_channel_slows_the_connection_and_nothing_is_lost() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let padding = "x".repeat(4000);
    let sender = tokio::spawn(async move {
        for number in 0..3000 {
            let payload = format!("{number} {padding}");
            peer.say(&Said {
                topic: "lineside/v1/s/g/bookings/press",
                payload: &payload,
                ..Said::default()
            })
            .await;
        }
        peer
    });
    // One is in the hand, one in the channel: nobody takes them.
    rig.figures(|figures| figures.bookings == 2).await;
    for expected in 0..3000 {
        let message = time::timeout(PATIENCE, rig.bookings.recv()).await.unwrap();
        let payload = String::from_utf8(message.unwrap().payload).unwrap();
        let number: u32 = payload.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(number, expected);
    }
    drop(sender.await.unwrap());
    rig.stop().await;
}

#[tokio::test]
async fn a_new_machine_s_kept_bookings_are_asked_for() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    rig.figures(|figures| figures.connected).await;
    let fewer = BTreeSet::from([id("press")]);
    rig.machines.send_replace(Arc::new(fewer));
    assert!(peer.is_quiet().await, "nothing new to ask for");
    let other = BTreeSet::from([id("lathe")]);
    rig.machines.send_replace(Arc::new(other));
    peer.grant(&[1, 1, 1]).await;
    peer.say(&Said {
        topic: "lineside/v1/s/g/bookings/lathe",
        payload: "x",
        retained: true,
        ..Said::default()
    })
    .await;
    rig.figures(|figures| figures.bookings == 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn the_kept_checkpoint_is_told_once() {
    for kept in [Some("o\n5\nr\n"), None] {
        let listener = Listener::bind().await;
        let mut rig = Rig::start(listener.address());
        let mut peer = ready(&listener, &[]).await;
        // What comes live is what we just published.
        for (payload, retained) in [(Some("o\n9\nr\n"), false), (kept, true), (kept, true)] {
            if let Some(payload) = payload {
                peer.say(&Said {
                    topic: CHECKPOINT,
                    payload,
                    retained,
                    ..Said::default()
                })
                .await;
            }
        }
        let told = time::timeout(PATIENCE, &mut rig.kept).await.unwrap();
        assert_eq!(told.unwrap().as_deref(), kept);
        rig.stop().await;
    }
}

#[tokio::test]
async fn every_method_answers() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    for method in ["ledger.checkpoint", "status"] {
        assert_eq!(refusal(&mut peer, method, json!(null)).await, "unavailable");
    }
    rig.append(700, "x");
    rig.ledger.sign().unwrap();
    let size = rig.ledger.size();
    let note = rig.ledger.checkpoint().borrow().clone().unwrap();
    let said = result(&mut peer, "ledger.checkpoint", json!(null)).await;
    assert_eq!(said, json!({"checkpoint": *note}));

    let said = result(&mut peer, "ledger.entries", json!({"from": 3, "to": 7})).await;
    let exact: Vec<String> = rig.ledger.read(3, 1 << 20).unwrap()[..4]
        .iter()
        .map(|(_, leaf)| String::from_utf8(leaf.clone()).unwrap())
        .collect();
    assert_eq!(said, json!({"first": 3, "next": 7, "leaves": exact}));
    let all = json!({"from": size, "to": size});
    let said = result(&mut peer, "ledger.entries", all).await;
    assert_eq!(said, json!({"first": size, "next": size, "leaves": []}));

    for (method, params) in [
        ("ledger.consistency", json!({"from": 3, "to": size})),
        ("ledger.inclusion", json!({"index": 3, "size": size})),
    ] {
        let said = result(&mut peer, method, params).await;
        let hashes = said["hashes"].as_array().unwrap();
        assert!(hashes.iter().all(|hash| hash.as_str().unwrap().len() == 44));
        assert!(!hashes.is_empty());
    }
    let status = json!({"v": 1, "link": "ONLINE"});
    let document = Retained {
        payload: status.to_string().into_bytes().into(),
        version: 1,
        made: Instant::now(),
        max_age: None,
    };
    let mut board = Board::default();
    board.documents.insert(Place::Status, document);
    rig.board.send_replace(board);
    assert_eq!(result(&mut peer, "status", json!(null)).await, status);

    let parts = ask(&mut peer, "config.get", json!({"hash": hash()})).await;
    assert!(parts.len() > 1);
    let pieces = parts.into_iter().map(|part| part.result.unwrap());
    let text: String = pieces
        .map(|part| part["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, "m = \"试\"\n".repeat(20_000));
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    rig.append(3, "x");
    rig.ledger.sign().unwrap();
    let size = rig.ledger.size();
    for (method, params) in [
        ("ledger.consistency", json!({"from": 3, "to": size + 1})),
        ("ledger.inclusion", json!({"index": 3, "size": size + 1})),
        ("ledger.entries", json!({"from": 0, "to": size + 1})),
        ("config.get", json!({"hash": hash().replace("0a", "0b")})),
        (
            "usage.bundle",
            json!({"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}),
        ),
    ] {
        assert_eq!(
            refusal(&mut peer, method, params).await,
            "not-found",
            "{method}"
        );
    }
    assert_eq!(
        refusal(&mut peer, "config.set", json!({})).await,
        "unknown-method"
    );
    assert_eq!(
        refusal(&mut peer, "ledger.entries", json!({})).await,
        "bad-params"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_period_is_found_and_found_again_when_the_ledger_has_grown() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let base = rig.ledger.size();
    let at = |second: u64| now().plus_millis(i64::try_from(second).unwrap() * 1000);
    let period = |from: Time, to: Time| json!({"from": from, "to": to});
    rig.append(1000, "x");
    rig.ledger.sign().unwrap();
    let note = rig.ledger.checkpoint().borrow().clone().unwrap();
    // Each leaf's second is its index.
    for (from, to, first, last) in [
        (base + 300, base + 600, base + 300, base + 599),
        (base + 999, base + 5000, base + 999, base + 999),
    ] {
        let said = result(&mut peer, "usage.bundle", period(at(from), at(to))).await;
        let expected = json!({"first": first, "last": last, "size": base + 1000,
            "checkpoint": *note});
        assert_eq!(said, expected);
    }
    rig.append(100, "x");
    let later = period(at(base + 999), at(base + 5000));
    let said = result(&mut peer, "usage.bundle", later).await;
    assert_eq!(
        (&said["first"], &said["last"]),
        (&json!(base + 999), &json!(base + 1099))
    );
    rig.stop().await;
}

#[tokio::test]
async fn large_answers_come_in_parts_four_at_once_and_can_be_paged() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    rig.append(800, &"\"".repeat(1800));
    let size = rig.ledger.size();
    let request = json!({"id": "q", "method": "ledger.entries", "params": {"from": 0, "to": size}});
    peer.say(&asking(&request.to_string())).await;
    let first = peer.take(4).await;
    assert!(peer.is_quiet().await, "no more than four on their way");
    let mut next = 0;
    for publish in &first {
        assert!(publish.payload.len() <= 128 << 10);
        let part: EntriesResult = serde_json::from_value(read(publish).result.unwrap()).unwrap();
        assert_eq!(part.first, next);
        next = part.next;
        peer.answer(publish.id, 0).await;
    }
    let parts = read(&first[0]).parts;
    for _ in 4..parts {
        let part: EntriesResult =
            serde_json::from_value(part(&mut peer).await.result.unwrap()).unwrap();
        next = part.next;
    }
    assert!(next < size, "an answer is bounded");
    while next < size {
        let parts = ask(
            &mut peer,
            "ledger.entries",
            json!({"from": next, "to": size}),
        )
        .await;
        let last = parts.into_iter().next_back().unwrap().result.unwrap();
        assert!(last["next"].as_u64().unwrap() > next);
        next = last["next"].as_u64().unwrap();
    }
    assert_eq!(next, size);
    rig.stop().await;
}

#[tokio::test]
async fn small_packets_are_kept_to() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    // 2,000 bytes at most.
    let mut peer = ready(&listener, &[0x27, 0, 0, 7, 0xd0]).await;
    rig.append(9, &"x".repeat(700));
    let size = rig.ledger.size();
    rig.append(1, &"x".repeat(3000));
    let parts = ask(&mut peer, "ledger.entries", json!({"from": 0, "to": size})).await;
    assert!(parts.len() > 4);
    let parts = parts
        .iter()
        .map(|part| serde_json::to_vec(part).unwrap().len());
    assert!(parts.max().unwrap() < 1950);
    let too_large = json!({"from": size, "to": size + 1});
    let code = refusal(&mut peer, "ledger.entries", too_large).await;
    assert_eq!(code, "unavailable");
    rig.stop().await;
}

#[tokio::test]
async fn answers_go_nowhere_else() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let long = format!("{RESPONSE}{}", "x".repeat(300));
    let wrong = [
        None,
        Some("lineside/v1/s/g/availability/press"),
        Some("lineside/v1/s/g/status"),
        Some("lineside/v1/s/g/response/"),
        Some("lineside/v1/s/other/response/me"),
        Some(long.as_str()),
    ];
    for response in wrong {
        for payload in [r#"{"id":"w","method":"status"}"#, "junk"] {
            peer.say(&Said {
                response,
                ..asking(payload)
            })
            .await;
        }
    }
    let kept = Said {
        retained: true,
        ..asking(r#"{"id":"w","method":"status"}"#)
    };
    peer.say(&kept).await;
    // What comes first is the answer to the first that may have one.
    assert_eq!(
        refusal(&mut peer, "status", json!(null)).await,
        "unavailable"
    );
    let figures = rig.figures(|figures| figures.requests == 1).await;
    assert_eq!(figures.refused, 13);
    rig.stop().await;
}

#[tokio::test]
async fn junk_is_answered_with_a_word_and_harms_nothing() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    let deep = "[".repeat(10_000);
    let long = "x".repeat(100_000);
    for payload in [
        "",
        "{}",
        "null",
        "\u{0}\u{1}",
        &deep,
        &long,
        r#"{"id":1,"method":2}"#,
    ] {
        peer.say(&asking(payload)).await;
        let error = part(&mut peer).await.error.unwrap();
        assert_eq!(error.code, "bad-params");
        assert!(error.text.len() < 300, "{}", error.text);
    }
    let figures = rig.figures(|figures| figures.refused == 7).await;
    assert_eq!((figures.connects, figures.connected), (1, true));
    rig.stop().await;
}

#[tokio::test]
async fn a_flood_is_refused_and_bookings_still_come_through() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address());
    rig.append(2000, &"\"".repeat(900));
    let size = rig.ledger.size();
    let mut peer = ready(&listener, &[]).await;
    let request = json!({"id": "q", "method": "ledger.entries", "params": {"from": 0, "to": size}});
    let request = request.to_string();
    for _ in 0..500 {
        peer.say(&asking(&request)).await;
    }
    peer.say(&Said {
        topic: "lineside/v1/s/g/bookings/press",
        payload: "b",
        ..Said::default()
    })
    .await;
    let message = time::timeout(PATIENCE, rig.bookings.recv()).await.unwrap();
    assert_eq!(message.unwrap().payload, b"b");
    let figures = rig.figures(|figures| figures.bookings == 1).await;
    assert_eq!(figures.requests, 500);
    assert!(figures.refused > 400, "{figures:?}");
    // Those that were taken are answered, some of the others are told to come again.
    let mut answered = 0;
    loop {
        let part = part(&mut peer).await;
        match part.error {
            Some(error) => assert_eq!(error.code, "busy"),
            None => answered += u32::from(part.part == part.parts),
        }
        if answered >= 4 && part.part == part.parts {
            break;
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_broker_that_acknowledges_no_answers_is_left() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    rig.append(2000, &"\"".repeat(900));
    let mut peer = ready(&listener, &[]).await;
    let request = r#"{"id":"q","method":"ledger.entries","params":{"from":0,"to":2000}}"#;
    peer.say(&asking(request)).await;
    peer.take(4).await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert_eq!(
        figures.fault.as_deref(),
        Some("the broker acknowledges no answers")
    );
    // What was not on its way yet goes with the next connection.
    let mut peer = ready(&listener, &[]).await;
    assert_eq!(part(&mut peer).await.part, 5);
    rig.stop().await;
}

#[tokio::test]
async fn refused_filters_are_said_in_words() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = listener.welcome(&[]).await;
    peer.grant(&[1, 0x87, 1]).await;
    let figures = rig.figures(|figures| figures.connected).await;
    let fault = figures.fault.unwrap();
    assert_eq!(fault, format!("the broker refuses to tell {REQUEST}"));
    peer.say(&Said {
        topic: "lineside/v1/s/g/bookings/press",
        payload: "b",
        ..Said::default()
    })
    .await;
    rig.figures(|figures| figures.bookings == 1).await;
    rig.stop().await;

    let rig = Rig::start(listener.address());
    let mut peer = listener.welcome(&[]).await;
    peer.grant(&[0x87, 0x87, 0x87]).await;
    let figures = rig.figures(|figures| figures.fault.is_some()).await;
    assert!(!figures.connected);
    assert!(figures.fault.unwrap().contains("refuses the subscription"));
    rig.stop().await;
}

#[tokio::test]
async fn answers_that_the_broker_refuses_are_counted() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address());
    let mut peer = ready(&listener, &[]).await;
    for _ in 0..10 {
        peer.say(&asking(r#"{"id":"q","method":"status"}"#)).await;
        let publish = peer.publish().await.unwrap();
        peer.answer(publish.id, 0x87).await;
    }
    let figures = rig.figures(|figures| figures.refused == 10).await;
    assert_eq!((figures.connects, figures.requests), (1, 10));
    rig.stop().await;
}
