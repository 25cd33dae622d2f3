//! The uplink as a whole, against a broker by script and against mosquitto.

mod cosigned;
mod hostile;
mod ledger;
pub(crate) mod mosquitto;
pub(super) mod peer;

use lineside_proto::{GatewayStatus, Identifier, Time, Topics};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time;
use tokio_util::sync::CancellationToken;

use self::peer::{Listener, PATIENCE, Peer};
use super::Running;
use super::board::{Board, Place, Retained};
use super::leaves;
use crate::clock::Stamp;
use crate::config::model;
use crate::config::model::Witnesses;
use crate::ledger::Ledger;
use crate::live::UplinkFigures;
use crate::outbox::{Outbox, Record, RecordKind};
use crate::record::Entry;

/// An uplink with its outbox and its board.
pub(crate) struct Rig {
    running: Running,
    outbox: Outbox,
    ledger: Ledger,
    board: watch::Sender<Board>,
    cancel: CancellationToken,
    next_seq: u64,
    dir: TempDir,
}

pub(crate) fn id(text: &str) -> Identifier {
    text.parse().unwrap()
}

pub(super) fn now() -> Time {
    Time::from_millis(1_795_420_800_000)
}

/// A ledger of the test's own.
pub(crate) fn witnessed(dir: &Path, witnesses: &Witnesses) -> Ledger {
    let key = dir.join("keys/ledger.key");
    let opened = Ledger::open_witnessed(dir, &key, "lineside/s/g", witnesses);
    let (ledger, _) = opened.unwrap();
    // What it begins with is of no interest here.
    ledger.acknowledge(ledger.size());
    ledger
}

fn outbox_settings() -> model::Outbox {
    model::Outbox {
        size_bytes_max: None,
        age_max: Duration::from_secs(30 * 86_400),
        commit: Duration::from_secs(1),
    }
}

impl Rig {
    /// Acknowledgements may take two seconds.
    pub(crate) fn start(broker: SocketAddr, window: u16) -> Self {
        Self::start_with(broker, window, Duration::from_secs(2))
    }

    fn start_with(broker: SocketAddr, window: u16, ack_timeout: Duration) -> Self {
        Self::start_witnessed(broker, window, ack_timeout, &Witnesses::default())
    }

    fn start_witnessed(
        broker: SocketAddr,
        window: u16,
        ack_timeout: Duration,
        witnesses: &Witnesses,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = outbox_settings();
        let path: PathBuf = dir.path().join("outbox");
        let (outbox, _) = Outbox::open(&path, &settings, now()).unwrap();
        let (board, watched) = watch::channel(Board::default());
        let cancel = CancellationToken::new();
        let settings = model::Uplink {
            host: broker.ip().to_string(),
            port: broker.port(),
            prefix: Topics::PREFIX.to_owned(),
            username: None,
            password: None,
            keep_alive: Duration::from_secs(5),
            window,
            ack_timeout,
        };
        let ledger = witnessed(dir.path(), witnesses);
        // An earlier run has signed: that must not be said before it was compared.
        let earlier = Entry {
            at: Stamp {
                boot_ms: 0,
                wall: now(),
            },
            body: leaves::tests::plain(),
        };
        ledger.append("before", &[earlier]).unwrap();
        ledger.sign().unwrap();
        ledger.acknowledge(ledger.size());
        let running = super::start(
            &settings,
            Topics::new(Topics::PREFIX, &id("s"), &id("g")),
            GatewayStatus::offline(id("s"), id("g")),
            super::Sources {
                outbox: outbox.clone(),
                ledger: ledger.clone(),
                board: watched,
            },
            cancel.clone(),
        );
        Self {
            running,
            outbox,
            ledger,
            board,
            cancel,
            next_seq: 0,
            dir,
        }
    }

    /// Puts so many telemetry documents of machine `m` into the outbox, each with this much padding.
    fn append(&mut self, count: u64, padding: usize) {
        let padding = "x".repeat(padding);
        let records = (self.next_seq..self.next_seq + count).map(|seq| Record {
            machine: id("m"),
            kind: RecordKind::Telemetry { seq, samples: 2 },
            from: now(),
            to: now(),
            payload: format!(
                r#"{{"v":1,"machine":"m","stream":"S","seq":{seq},"frames":[],"padding":"{padding}"}}"#
            )
            .into_bytes(),
        });
        self.outbox.append(records.collect()).unwrap();
        self.outbox.commit(now()).unwrap();
        self.next_seq += count;
    }

    pub(crate) fn show(&self, documents: &[(Place, &str, u64)]) {
        let documents: BTreeMap<_, _> = documents
            .iter()
            .map(|(place, payload, version)| {
                let document = Retained {
                    payload: payload.as_bytes().into(),
                    version: *version,
                    made: Instant::now(),
                    max_age: Some(Duration::from_secs(90)),
                };
                (place.clone(), document)
            })
            .collect();
        let openings = BTreeMap::new();
        self.board.send_replace(Board {
            documents,
            openings,
        });
    }

    /// Waits until the figures are so.
    pub(crate) async fn figures(&self, so: impl FnMut(&UplinkFigures) -> bool) -> UplinkFigures {
        let mut figures = self.running.figures.clone();
        let waited = time::timeout(PATIENCE, figures.wait_for(so)).await;
        let Ok(found) = waited else {
            panic!("the figures stay at {:?}", self.running.figures.borrow());
        };
        found.unwrap().clone()
    }

    /// Waits until the outbox was told that everything below this position is delivered.
    async fn delivered(&self, position: u64) {
        let start = Instant::now();
        while self.outbox.delivered() < position {
            assert!(
                start.elapsed() < PATIENCE,
                "delivered up to {} only",
                self.outbox.delivered()
            );
            time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.outbox.delivered(), position);
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        time::timeout(PATIENCE, self.running.task)
            .await
            .expect("the uplink does not stop")
            .unwrap();
    }
}

fn seqs(publishes: &[peer::Publish]) -> Vec<u64> {
    publishes
        .iter()
        .map(|publish| seq(&publish.payload))
        .collect()
}

fn seq(payload: &str) -> u64 {
    let document: serde_json::Value = serde_json::from_str(payload).unwrap();
    document["seq"].as_u64().unwrap()
}

#[tokio::test]
async fn the_connect_carries_a_delayed_will_and_keeps_the_session() {
    let listener = Listener::bind().await;
    let rig = Rig::start(listener.address(), 10);
    let peer = listener.welcome(&[]).await;
    let flags = peer.connect[7];
    assert_eq!(flags & 0b0000_0010, 0, "no clean start");
    assert_eq!(flags & 0b0011_1100, 0b0010_1100, "will, QoS 1, retained");
    let text = String::from_utf8_lossy(&peer.connect);
    for part in [
        "lineside:s:g",
        "lineside/v1/s/g/status",
        "application/json",
        r#"{"v":1,"site":"s","gateway":"g","link":"OFFLINE"}"#,
    ] {
        assert!(text.contains(part), "{part}");
    }
    let has = |bytes: &[u8]| peer.connect.windows(bytes.len()).any(|part| part == bytes);
    assert!(has(&[0x11, 0, 0, 0, 60]), "session expiry");
    assert!(has(&[0x18, 0, 0, 0, 20]), "will delay");
    assert!(has(&[0x27, 0, 0, 0x40, 0]), "maximum packet size");
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn the_board_goes_first_and_a_clean_stop_says_offline_last() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    rig.append(3, 0);
    let press = Place::Availability(id("press"));
    let map = Place::Map(id("press"));
    rig.show(&[
        (map, "map", 1),
        (press.clone(), "free", 1),
        (Place::Status, "online", 1),
    ]);
    let mut peer = listener.welcome(&[]).await;
    let first = peer.take(6).await;
    let topics: Vec<_> = first
        .iter()
        .map(|publish| {
            (
                publish.topic.strip_prefix("lineside/v1/s/g/").unwrap(),
                publish.retained,
            )
        })
        .collect();
    let expected = [
        ("availability/press", true),
        ("status", true),
        ("map/press", true),
        ("telemetry/m", false),
        ("telemetry/m", false),
        ("telemetry/m", false),
    ];
    assert_eq!(topics, expected);
    for publish in &first {
        peer.answer(publish.id, 0).await;
    }
    rig.delivered(3).await;
    let figures = rig.figures(|figures| figures.acknowledged == 6).await;
    assert_eq!(
        (figures.connected, figures.connects, figures.fault),
        (true, 1, None)
    );
    rig.show(&[(press, "", 2)]);
    let cleared = peer.publish().await.unwrap();
    assert_eq!((cleared.payload.as_str(), cleared.retained), ("", true));
    rig.append(1, 0);
    rig.cancel.cancel();
    let mut last = String::new();
    while let Some(publish) = peer.publish().await {
        last = publish.payload;
        peer.answer(publish.id, 0).await;
    }
    assert_eq!(last, r#"{"v":1,"site":"s","gateway":"g","link":"OFFLINE"}"#);
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn a_stop_ends_in_time_when_the_broker_says_nothing() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start_with(listener.address(), 10, Duration::from_secs(30));
    rig.append(3, 0);
    let mut peer = listener.welcome(&[]).await;
    peer.take(3).await;
    let start = Instant::now();
    rig.stop().await;
    assert!(start.elapsed() < Duration::from_secs(5));
    let rest = peer.take(1).await;
    assert!(rest[0].payload.contains("OFFLINE"));
    assert_eq!(
        peer.publish().await,
        None,
        "and no DISCONNECT before it was acknowledged"
    );
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_in_order() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    rig.append(20, 0);
    let mut peer = listener.welcome(&[]).await;
    let first = peer.take(8).await;
    assert_eq!(seqs(&first), [0, 1, 2, 3, 4, 5, 6, 7]);
    for publish in [0, 1, 2, 4] {
        peer.answer(first[publish].id, 0).await;
    }
    rig.delivered(3).await;
    drop(peer);
    let mut peer = listener.welcome(&[]).await;
    let again = peer.take(8).await;
    assert_eq!(seqs(&again), [3, 4, 5, 6, 7, 8, 9, 10]);
    for publish in &again {
        peer.answer(publish.id, 0).await;
    }
    peer.answer_all_until(&rig, 20).await;
    drop(peer);
    rig.stop().await;
}

#[tokio::test]
async fn shuffled_acknowledgements_lose_and_repeat_nothing() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 8);
    rig.append(300, 0);
    let mut peer = listener.welcome(&[0x21, 0, 5]).await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut outstanding: Vec<peer::Publish> = Vec::new();
    let mut taken = Vec::new();
    while taken.len() < 300 {
        // Three at once from the oldest on: two of the five are the board's.
        let oldest = outstanding
            .iter()
            .map(|publish| seq(&publish.payload))
            .min();
        let more = oldest.is_none_or(|oldest| span(&taken, oldest) < 3);
        if more && (outstanding.is_empty() || random.bool()) {
            let publish = peer.publish().await.unwrap();
            assert!(outstanding.iter().all(|other| other.id != publish.id));
            taken.push(seq(&publish.payload));
            outstanding.push(publish);
        } else {
            let next = outstanding.swap_remove(random.usize(..outstanding.len()));
            peer.answer(next.id, 0).await;
        }
    }
    for publish in outstanding {
        peer.answer(publish.id, 0).await;
    }
    assert_eq!(taken, (0..300).collect::<Vec<_>>());
    rig.delivered(300).await;
    drop(peer);
    rig.stop().await;
}

/// Publishes from the oldest outstanding to the newest.
fn span(taken: &[u64], oldest: u64) -> u64 {
    taken.last().map_or(0, |newest| newest + 1 - oldest)
}

#[tokio::test]
async fn a_receive_maximum_of_one_is_kept() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 100);
    rig.append(10, 0);
    rig.show(&[(Place::Status, "online", 1)]);
    let mut peer = listener.welcome(&[0x21, 0, 1]).await;
    for _ in 0..11 {
        let publish = peer.publish().await.unwrap();
        if seq_is_rare(&publish) {
            assert!(peer.is_quiet().await, "a second publish is on its way");
        }
        peer.answer(publish.id, 0).await;
    }
    rig.delivered(10).await;
    drop(peer);
    rig.stop().await;
}

/// Waiting for silence takes its time: looked at for a few only.
fn seq_is_rare(publish: &peer::Publish) -> bool {
    publish.payload == "online" || seq(&publish.payload) % 5 == 0
}

#[tokio::test]
async fn live_data_flows_and_the_board_overtakes_a_backlog() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 10);
    rig.append(100, 1000);
    let mut peer = listener.welcome(&[]).await;
    let backlog = peer.take(8).await;
    assert!(
        peer.is_quiet().await,
        "history keeps to its part of the window"
    );
    rig.show(&[(Place::Status, "online", 1)]);
    assert_eq!(peer.publish().await.unwrap().payload, "online");
    rig.show(&[(Place::Status, "older", 2)]);
    rig.show(&[(Place::Status, "newest", 3)]);
    assert!(peer.is_quiet().await, "one version on its way at a time");
    for publish in &backlog {
        peer.answer(publish.id, 0).await;
    }
    rig.append(1, 0);
    peer.answer(9, 0).await;
    let newest = peer.acknowledge_until("status").await;
    assert_eq!(newest.payload, "newest", "what was replaced is never sent");
    peer.answer_all_until(&rig, 101).await;
    drop(peer);
    rig.stop().await;
}

impl Peer {
    /// Acknowledges everything until the outbox is delivered up to this position.
    async fn answer_all_until(&mut self, rig: &Rig, position: u64) {
        while rig.outbox.delivered() < position {
            tokio::select! {
                publish = self.publish() => {
                    let publish = publish.expect("closed");
                    self.answer(publish.id, 0).await;
                }
                () = rig.delivered(position) => {}
            }
        }
    }
}

/// What an agent would find that was killed now.
fn delivered_after_a_crash(rig: &Rig) -> u64 {
    let crashed = tempfile::tempdir().unwrap();
    for slot in ["index.0", "index.1"] {
        let from = rig.dir.path().join("outbox").join(slot);
        std::fs::copy(from, crashed.path().join(slot)).unwrap();
    }
    let (outbox, _) = Outbox::open(crashed.path(), &outbox_settings(), now()).unwrap();
    outbox.delivered()
}

#[tokio::test]
async fn the_delivered_mark_becomes_durable_while_history_is_caught_up() {
    let listener = Listener::bind().await;
    let mut rig = Rig::start(listener.address(), 8);
    rig.append(100, 0);
    let mut peer = listener.welcome(&[]).await;
    peer.answer_all_until(&rig, 100).await;
    let start = Instant::now();
    while delivered_after_a_crash(&rig) < 98 {
        assert!(start.elapsed() < PATIENCE);
        time::sleep(Duration::from_millis(5)).await;
    }
    // The connection's end makes all of it durable.
    drop(peer);
    while delivered_after_a_crash(&rig) < 100 {
        assert!(start.elapsed() < PATIENCE);
        time::sleep(Duration::from_millis(5)).await;
    }
    rig.stop().await;
}
