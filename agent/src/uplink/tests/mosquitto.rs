//! The uplink and the subscription against mosquitto.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time;

use super::super::mqtt::Peer;
use super::super::mqtt::subscriber::{Message, News, Subscription};
use super::peer::PATIENCE;
use super::{Place, Rig, id, seq};

/// A mosquitto of our own; ends with the test.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) address: SocketAddr,
    _dir: TempDir,
}

impl Mosquitto {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With further settings.
    pub(crate) async fn start_with(settings: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\n{settings}",
            address.port()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("mosquitto")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("mosquitto must be installed");
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < PATIENCE, "mosquitto does not listen");
            time::sleep(Duration::from_millis(10)).await;
        }
        Self {
            child,
            address,
            _dir: dir,
        }
    }

    pub(in crate::uplink) fn peer(&self, client_id: &str) -> Peer {
        Peer {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            client_id: client_id.to_owned(),
            credentials: None,
            keep_alive: Duration::from_secs(30),
        }
    }

    pub(in crate::uplink) fn subscribe(&self, filter: &str) -> Subscription {
        let peer = self.peer(&format!("test-{:016x}", fastrand::u64(..)));
        Subscription::start(peer, vec![filter.to_owned()])
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(in crate::uplink) async fn news(subscription: &mut Subscription) -> News {
    time::timeout(PATIENCE, subscription.next())
        .await
        .expect("no news")
        .unwrap()
}

async fn message(subscription: &mut Subscription) -> Message {
    loop {
        if let News::Message(message) = news(subscription).await {
            return message;
        }
    }
}

#[tokio::test]
async fn everything_arrives_in_order_and_a_late_reader_gets_the_board() {
    let broker = Mosquitto::start().await;
    let mut reader = broker.subscribe("lineside/v1/+/+/telemetry/+");
    assert!(matches!(news(&mut reader).await, News::Connected(_)));
    let mut rig = Rig::start(broker.address, 100);
    rig.show(&[
        (Place::Status, "online", 1),
        (Place::Availability(id("m")), "free", 1),
        (Place::Availability(id("old")), "", 1),
    ]);
    rig.append(2000, 200);
    for expected in 0..2000 {
        let message = message(&mut reader).await;
        assert!(!message.retained);
        assert_eq!(seq(&String::from_utf8(message.payload).unwrap()), expected);
    }
    rig.delivered(2000).await;
    let mut late = broker.subscribe("lineside/v1/s/g/#");
    let mut kept = Vec::new();
    while kept.len() < 2 {
        let message = message(&mut late).await;
        assert!(message.retained);
        assert!(
            message
                .expiry_s
                .is_some_and(|left| (60..=90).contains(&left))
        );
        kept.push((message.topic, String::from_utf8(message.payload).unwrap()));
    }
    kept.sort();
    let expected = [
        (
            "lineside/v1/s/g/availability/m".to_owned(),
            "free".to_owned(),
        ),
        ("lineside/v1/s/g/status".to_owned(), "online".to_owned()),
    ];
    assert_eq!(kept, expected);
    rig.stop().await;
    let last = message(&mut late).await;
    assert_eq!(last.topic, "lineside/v1/s/g/status");
    assert_eq!(
        String::from_utf8(last.payload).unwrap(),
        r#"{"v":1,"site":"s","gateway":"g","link":"OFFLINE"}"#
    );
    assert_eq!(last.expiry_s, None);
}

#[tokio::test]
async fn a_subscription_comes_back_after_the_broker() {
    let mut broker = Mosquitto::start().await;
    let mut reader = broker.subscribe("#");
    assert!(matches!(news(&mut reader).await, News::Connected(_)));
    broker.child.kill().unwrap();
    broker.child.wait().unwrap();
    assert!(matches!(news(&mut reader).await, News::Lost(_)));
    let config = broker._dir.path().join("mosquitto.conf");
    broker.child = Command::new("/usr/sbin/mosquitto")
        .arg("-c")
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !matches!(news(&mut reader).await, News::Connected(_)) {}
}
