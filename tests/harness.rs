//! The harness itself: peers and faults are what the other tests take them for.

use anyhow::{Context, Result, ensure};
use lineside_proto::LeafMessage;
use lineside_proto::ledger::{Hash, verify};
use lineside_tests::broker::{Mosquitto, Persistence};
use lineside_tests::device::{Cell, Device, Transport};
use lineside_tests::fleet::{Fleet, Size};
use lineside_tests::proxy::{Acknowledged, Proxy};
use lineside_tests::requester::Requester;
use lineside_tests::sequence::{Key, Streams};
use lineside_tests::subscriber::{Event, Subscriber};
use lineside_tests::wait;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event as Mqtt, Incoming, MqttOptions};
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
const TELEMETRY: &str = "lineside/v1/s/g/telemetry/m";

fn document(seq: u64) -> String {
    format!(r#"{{"v":1,"machine":"m","stream":"A","seq":{seq},"frames":[]}}"#)
}

/// Publishes the numbers of `range`, each awaited, over one connection.
async fn publish(port: u16, range: RangeInclusive<u64>) -> Result<()> {
    let mut options = MqttOptions::new("publisher", "127.0.0.1", port);
    options.set_connection_timeout(5);
    let (client, mut connection) = AsyncClient::new(options, 10);
    for seq in range {
        client
            .publish(TELEMETRY, QoS::AtLeastOnce, false, document(seq))
            .await?;
        while !matches!(
            connection.poll().await?,
            Mqtt::Incoming(Incoming::PubAck(_))
        ) {}
    }
    Ok(())
}

/// Publishes one number and gives up on its acknowledgement.
async fn publish_unheard(port: u16, seq: u64) -> Result<()> {
    ensure!(
        publish(port, seq..=seq).await.is_err(),
        "the acknowledgement came through"
    );
    Ok(())
}

/// Waits until every number of `range` has come. What was printed but not yet acknowledged when a subscriber
/// ended comes again to the next one, so that more than these may come.
fn received(subscriber: &mut Subscriber, range: RangeInclusive<u64>) -> Result<()> {
    wait::until("all messages", LIMIT, || {
        let heard: BTreeSet<u64> = subscriber
            .messages()?
            .iter()
            .filter_map(|message| Key::of(&message.topic, message.payload.as_bytes()))
            .map(|key| key.seq)
            .collect();
        Ok(range.clone().all(|seq| heard.contains(&seq)).then_some(()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persistent_session_outlives_the_broker_and_the_subscriber() -> Result<()> {
    let mut broker = Mosquitto::start(Persistence::On)?;
    let port = broker.port();
    let mut subscriber = Subscriber::persistent(port, "archive", &["lineside/#"])?;
    publish(port, 1..=3).await?;
    received(&mut subscriber, 1..=3)?;
    drop(subscriber);
    publish(port, 4..=5).await?;
    broker.stop()?;
    broker.restart()?;
    let mut subscriber = Subscriber::persistent(port, "archive", &["lineside/#"])?;
    received(&mut subscriber, 4..=5)?;
    let mark = subscriber.mark()?;
    broker.kill()?;
    broker.restart()?;
    subscriber.wait_from(mark, "the session after a kill", LIMIT, |event| {
        matches!(
            event,
            Event::Connected {
                connected: true,
                ..
            }
        )
        .then_some(())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_cuts_delays_swallows_and_counts() -> Result<()> {
    let broker = Mosquitto::start(Persistence::Off)?;
    let mut subscriber = Subscriber::persistent(broker.port(), "archive", &["lineside/#"])?;
    let acknowledged = Acknowledged::default();
    let proxy = Proxy::tapped(broker.address(), acknowledged.tap())?;
    let keys = || {
        acknowledged
            .keys()
            .into_iter()
            .map(|key: Key| key.seq)
            .collect::<Vec<_>>()
    };

    // What goes to the client is counted after it was handed over.
    let counted =
        |wanted: &[u64]| wait::until_true("the acknowledgements", LIMIT, || keys() == wanted);

    publish(proxy.port(), 1..=2).await?;
    received(&mut subscriber, 1..=2)?;
    counted(&[1, 2])?;

    proxy.delay(Duration::from_millis(300));
    let before = std::time::Instant::now();
    publish(proxy.port(), 3..=3).await?;
    assert!(
        before.elapsed() >= Duration::from_millis(600),
        "CONNACK and PUBACK are both late"
    );
    counted(&[1, 2, 3])?;

    // Delivered, but cut before the acknowledgement comes through.
    proxy.delay(Duration::from_millis(1_000));
    let port = proxy.port();
    let unheard = tokio::spawn(publish_unheard(port, 4));
    received(&mut subscriber, 1..=4)?;
    proxy.cut();
    unheard.await??;
    assert_eq!(keys(), [1, 2, 3]);

    // Half-open: the connection is there, nothing comes through.
    proxy.delay(Duration::ZERO);
    let connections = proxy.accepted();
    proxy.freeze();
    let unheard = tokio::spawn(publish_unheard(port, 5));
    wait::until_true("a connection", LIMIT, || proxy.accepted() > connections)?;
    proxy.thaw();
    unheard.await??;
    assert_eq!(proxy.open(), 0);
    assert_eq!(keys(), [1, 2, 3]);

    publish(proxy.port(), 4..=5).await?;
    received(&mut subscriber, 1..=5)?;
    let verdict = Streams::of(subscriber.messages()?)?.verdict();
    assert_eq!((verdict.duplicates, verdict.holes.len()), (1, 0));
    counted(&[1, 2, 3, 4, 5])
}

#[test]
fn a_frozen_broker_says_nothing_until_it_goes_on() -> Result<()> {
    let broker = Mosquitto::start(Persistence::Off)?;
    broker.pause()?;
    let mut subscriber = Subscriber::joining(broker.port(), "portal", &["lineside/#"])?;
    wait::throughout(Duration::from_millis(500), || {
        ensure!(subscriber.events()?.is_empty());
        Ok(())
    })?;
    broker.resume()?;
    subscriber.wait_for("a subscription", LIMIT, |event| {
        matches!(event, Event::Connected { .. }).then_some(())
    })
}

/// The answer to one request for two holding registers of unit 1.
async fn ask(address: &str) -> Result<Vec<u8>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream
        .write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 10, 0, 2])
        .await?;
    let mut answer = vec![0; 13];
    tokio::time::timeout(Duration::from_millis(500), stream.read_exact(&mut answer)).await??;
    Ok(answer.split_off(9))
}

#[tokio::test]
async fn a_device_holds_changes_and_keeps_silent() -> Result<()> {
    let mut cell = Cell::new("holding", 10, "f32", 1.5);
    cell.order = Some("CDAB");
    let mut device = Device::start(Transport::Tcp, &[(1, vec![cell.clone()])])?;
    ensure!(device.was_only_read().is_err(), "it was not asked at all");
    assert_eq!(ask(&device.address()).await?, [0, 0, 0x3f, 0xc0]);
    cell.value = (-2.0).into();
    device.set(1, &cell)?;
    assert_eq!(ask(&device.address()).await?, [0, 0, 0xc0, 0]);
    device.silent(true)?;
    assert!(ask(&device.address()).await.is_err());
    device.silent(false)?;
    assert_eq!(ask(&device.address()).await?, [0, 0, 0xc0, 0]);
    device.was_only_read()
}

/// Simulated gateways write true leaves of the usual length, sign what they have, and answer as real ones do.
#[test]
fn simulated_gateways_are_taken_for_real_ones() -> Result<()> {
    const LEAVES: u64 = 900;
    let broker = Mosquitto::start(Persistence::Off)?;
    let topics = ["lineside/v1/+/+/ledger/#"];
    let mut listener = Subscriber::clean(broker.port(), "listener", &topics)?;
    let fleet = Fleet::start(broker.port(), Size::small(3))?;
    fleet.grow(1, LEAVES)?;
    fleet.sign(1)?;
    fleet.flush()?;
    let (note, key, origin, root) = fleet.with(1, |gateway| {
        let note = gateway.note().map(ToString::to_string);
        let key = gateway.signer().public().clone();
        (
            note,
            key,
            gateway.origin().to_owned(),
            gateway.topics().root().to_owned(),
        )
    })?;
    let note = note.context("a note")?;
    let messages = || -> Result<Option<Vec<String>>> {
        let heard = listener.messages()?;
        let all = heard.len() as u64 > LEAVES;
        Ok(all.then(|| {
            heard
                .iter()
                .map(|message| message.payload.clone())
                .collect()
        }))
    };
    let mut heard = wait::until("all leaves and the checkpoint", LIMIT, messages)?;
    ensure!(
        heard.pop() == Some(note.clone()),
        "the checkpoint comes last"
    );
    let mut leaves = Vec::new();
    for payload in &heard {
        let message: LeafMessage = serde_json::from_str(payload)?;
        leaves.push(message.leaf.into_bytes());
    }
    let bytes: usize = leaves.iter().map(Vec::len).sum();
    let average = bytes / leaves.len();
    ensure!((300..500).contains(&average), "{average} bytes a leaf");
    verify::log(&leaves, &note, std::slice::from_ref(&key), &origin, &[])?;
    let mut requester = Requester::start(broker.port(), &root)?;
    let range = json!({"from": 100, "to": 700});
    let said = requester.ask("ledger.entries", &range)?;
    let parts = said.map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut texts = parts
        .iter()
        .flat_map(|part| part["leaves"].as_array())
        .flatten();
    ensure!(texts.all(|text| {
        leaves
            .iter()
            .any(|leaf| Some(leaf.as_slice()) == text.as_str().map(str::as_bytes))
    }));
    let said = requester.ask("ledger.consistency", &range)?;
    ensure!(said.is_ok(), "{said:?}");
    others_of_its_kind(&fleet)
}

/// Another history has another root, an older copy another size; both are signed with the same key.
fn others_of_its_kind(fleet: &Fleet) -> Result<()> {
    let (size, origin) = fleet.with(1, |gateway| (gateway.size(), gateway.origin().to_owned()))?;
    let (fork, old, edited) = fleet.with(1, |gateway| {
        anyhow::Ok((
            gateway.forked(800)?,
            gateway.as_of(700)?,
            gateway.edited(3)?,
        ))
    })??;
    let known = fleet.with(1, |gateway| gateway.root(size))?;
    ensure!(
        fork.size() == size && fork.root(size) != known && fork.root(800) == old_root(fleet, 800)?
    );
    ensure!(old.size() == 700 && old.root(700) == old_root(fleet, 700)?);
    ensure!(
        edited.leaf(4) == fork.leaf(4)
            && edited.leaf(3) != fork.leaf(3)
            && edited.root(size) != known
    );
    let epoch = fleet.with(1, |gateway| gateway.new_epoch())??;
    ensure!(epoch.origin() == format!("{origin}/e2"));
    Ok(())
}

fn old_root(fleet: &Fleet, size: u64) -> Result<Option<Hash>> {
    fleet.with(1, |gateway| gateway.root(size))
}
