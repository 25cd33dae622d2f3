use super::super::board::Board;
use super::super::tests::peer::{Listener, PATIENCE, Peer, Publish, Said};
use super::super::tests::{id, now, witnessed};
use super::{BookingsMessage, Inbound, KEPT_TIMEOUT, Running};
use crate::answers::{Answers, Gateway};
use crate::clock::Stamp;
use crate::config::model;
use crate::config::model::Witnesses;
use crate::ledger::Ledger;
use crate::live::CommandFigures;
use crate::record::Entry;
use lineside_proto::ledger::{Audit, LeafBody};
use lineside_proto::{Answer, GatewayStatus, Identifier, Topics};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time;
use tokio_util::sync::CancellationToken;

mod hostile;
mod methods;
mod witness;

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
        Self::start_witnessed(broker, &Witnesses::default())
    }

    fn start_witnessed(broker: SocketAddr, witnesses: &Witnesses) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = witnessed(dir.path(), witnesses);
        let machines = Arc::new(BTreeSet::from([id("press"), id("oven")]));
        let (machines, machines_seen) = watch::channel(machines);
        let (bookings, bookings_taken) = mpsc::channel(1);
        let (kept, kept_told) = oneshot::channel();
        let (board, board_seen) = watch::channel(Board::default());
        let known = Gateway {
            ledger: ledger.clone(),
            maps: Arc::new(|wanted| (wanted == hash()).then(|| "m = \"试\"\n".repeat(20_000))),
            tokens: Arc::new(|wanted| (wanted == hash()).then(|| "a.b.c".to_owned())),
            status: crate::uplink::board::status_of(board_seen),
        };
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
                witnessed: ledger.witnessed(),
            },
            Arc::new(Answers::new(known, cancel.clone())),
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

/// Whether something is told beyond the time for it.
async fn is_told(rig: &mut Rig) -> bool {
    let patience = KEPT_TIMEOUT + KEPT_TIMEOUT / 3;
    time::timeout(patience, &mut rig.kept).await.is_ok()
}

#[tokio::test]
async fn a_broker_that_refuses_to_tell_has_told_nothing() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address());
    let mut peer = listener.welcome(&[]).await;
    peer.grant(&[1, 1, 0x87]).await;
    rig.figures(|figures| figures.connected).await;
    assert!(!is_told(&mut rig).await);
    rig.stop().await;
}

#[tokio::test]
async fn a_broker_that_goes_has_told_nothing() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address());
    let peer = ready(&listener, &[]).await;
    rig.figures(|figures| figures.connected).await;
    drop((peer, listener));
    rig.figures(|figures| !figures.connected).await;
    assert!(!is_told(&mut rig).await);
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
