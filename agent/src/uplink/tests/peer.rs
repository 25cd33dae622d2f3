//! A broker by script: says byte by byte what a test wants said, and reads what the uplink sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

/// Longer than anything that a test waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Listener(TcpListener);

impl Listener {
    pub(super) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Waits for the uplink's next connection and takes its CONNECT.
    pub(super) async fn accept(&self) -> Peer {
        let (stream, _) = time::timeout(PATIENCE, self.0.accept())
            .await
            .expect("the uplink does not connect")
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let mut peer = Peer {
            stream,
            connect: Vec::new(),
        };
        let (kind, connect) = peer.packet().await.expect("no CONNECT");
        assert_eq!(kind, 0x10);
        peer.connect = connect;
        peer
    }

    /// The same, and accepts with these CONNACK properties.
    pub(super) async fn welcome(&self, properties: &[u8]) -> Peer {
        let mut peer = self.accept().await;
        peer.connack(0, properties).await;
        peer
    }
}

pub(super) struct Peer {
    stream: TcpStream,
    /// The body of the CONNECT.
    pub(super) connect: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) id: u16,
    pub(super) retained: bool,
    pub(super) payload: String,
}

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        // The uplink may have gone already: what the test waits for next tells.
        self.stream.write_all(bytes).await.ok();
    }

    pub(super) async fn connack(&mut self, code: u8, properties: &[u8]) {
        let length = u8::try_from(properties.len()).unwrap();
        let mut packet = vec![0x20, length + 3, 0, code, length];
        packet.extend_from_slice(properties);
        self.send(&packet).await;
    }

    pub(super) async fn answer(&mut self, id: u16, code: u8) {
        let [high, low] = id.to_be_bytes();
        self.send(&[0x40, 4, high, low, code, 0]).await;
    }

    /// The next packet's first byte and body; none when the uplink has closed the connection.
    pub(super) async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        time::timeout(PATIENCE, async {
            let kind = self.stream.read_u8().await.ok()?;
            let (mut length, mut shift) = (0_usize, 0);
            loop {
                let byte = self.stream.read_u8().await.ok()?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((kind, body))
        })
        .await
        .expect("the uplink is silent")
    }

    /// The next publish; pings are answered. None when the connection is closed or ended by DISCONNECT.
    pub(super) async fn publish(&mut self) -> Option<Publish> {
        loop {
            let (kind, body) = self.packet().await?;
            match kind >> 4 {
                3 => return Some(parse(kind, &body)),
                12 => self.send(&[0xd0, 0]).await,
                14 => return None,
                _ => panic!("unexpected packet {kind:#x}"),
            }
        }
    }

    /// Takes and acknowledges publishes until one is on this topic; returns it.
    pub(super) async fn acknowledge_until(&mut self, topic: &str) -> Publish {
        loop {
            let publish = self.publish().await.expect("closed");
            self.answer(publish.id, 0).await;
            if publish.topic.ends_with(topic) {
                return publish;
            }
        }
    }

    /// Takes this many publishes without acknowledging any.
    pub(super) async fn take(&mut self, count: usize) -> Vec<Publish> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.publish().await.expect("closed"));
        }
        taken
    }

    /// Whether nothing comes for a moment.
    pub(super) async fn is_quiet(&mut self) -> bool {
        time::timeout(Duration::from_millis(150), self.stream.peek(&mut [0]))
            .await
            .is_err()
    }
}

fn parse(kind: u8, body: &[u8]) -> Publish {
    assert_eq!(kind & 0b0110, 0b0010, "QoS 1");
    let (length, rest) = body.split_first_chunk::<2>().unwrap();
    let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
    let (id, rest) = rest.split_first_chunk::<2>().unwrap();
    let (properties, rest) = rest.split_first().unwrap();
    let (properties, payload) = rest.split_at(usize::from(*properties));
    let text = String::from_utf8_lossy(properties);
    assert!(text.contains("application/json"), "content type");
    Publish {
        topic: String::from_utf8(topic.to_vec()).unwrap(),
        id: u16::from_be_bytes(*id),
        retained: kind & 1 == 1,
        payload: String::from_utf8(payload.to_vec()).unwrap(),
    }
}
