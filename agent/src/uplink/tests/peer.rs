//! A broker by script: says byte by byte what a test wants said, and reads what the uplink sends.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

/// Longer than anything that a test waits for.
pub(in crate::uplink) const PATIENCE: Duration = Duration::from_secs(20);

pub(in crate::uplink) struct Listener(TcpListener);

impl Listener {
    pub(in crate::uplink) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(in crate::uplink) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Waits for the uplink's next connection and takes its CONNECT.
    pub(in crate::uplink) async fn accept(&self) -> Peer {
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
    pub(in crate::uplink) async fn welcome(&self, properties: &[u8]) -> Peer {
        let mut peer = self.accept().await;
        peer.connack(0, properties).await;
        peer
    }
}

pub(in crate::uplink) struct Peer {
    stream: TcpStream,
    /// The body of the CONNECT.
    pub(in crate::uplink) connect: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::uplink) struct Publish {
    pub(in crate::uplink) topic: String,
    pub(in crate::uplink) id: u16,
    pub(in crate::uplink) retained: bool,
    pub(in crate::uplink) payload: String,
    /// Its properties as they came.
    pub(in crate::uplink) properties: Vec<u8>,
}

impl Peer {
    pub(in crate::uplink) async fn send(&mut self, bytes: &[u8]) {
        // The uplink may have gone already: what the test waits for next tells.
        self.stream.write_all(bytes).await.ok();
    }

    pub(in crate::uplink) async fn connack(&mut self, code: u8, properties: &[u8]) {
        let length = u8::try_from(properties.len()).unwrap();
        let mut packet = vec![0x20, length + 3, 0, code, length];
        packet.extend_from_slice(properties);
        self.send(&packet).await;
    }

    pub(in crate::uplink) async fn answer(&mut self, id: u16, code: u8) {
        let [high, low] = id.to_be_bytes();
        self.send(&[0x40, 4, high, low, code, 0]).await;
    }

    /// The next packet's first byte and body; none when the uplink has closed the connection.
    pub(in crate::uplink) async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
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
    pub(in crate::uplink) async fn publish(&mut self) -> Option<Publish> {
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

    /// Grants the next SUBSCRIBE, with a code for each filter. Returns its body.
    pub(in crate::uplink) async fn grant(&mut self, codes: &[u8]) -> String {
        let (kind, body) = self.packet().await.expect("no SUBSCRIBE");
        assert_eq!(kind, 0x82);
        let length = u8::try_from(codes.len()).unwrap() + 3;
        let mut packet = vec![0x90, length, body[0], body[1], 0];
        packet.extend_from_slice(codes);
        self.send(&packet).await;
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Publishes to the uplink, QoS 0.
    pub(in crate::uplink) async fn say(&mut self, said: &Said<'_>) {
        let text = |id: u8, text: &[u8]| {
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            [&[id][..], &length, text].concat()
        };
        let mut properties = Vec::new();
        if let Some(response) = said.response {
            properties.extend(text(0x08, response.as_bytes()));
        }
        if let Some(correlation) = said.correlation {
            properties.extend(text(0x09, correlation));
        }
        let mut body = text(0, said.topic.as_bytes()).split_off(1);
        body.extend(variable(properties.len()));
        body.extend(properties);
        body.extend_from_slice(said.payload.as_bytes());
        let mut packet = vec![0x30 | u8::from(said.retained)];
        packet.extend(variable(body.len()));
        packet.extend(body);
        self.send(&packet).await;
    }

    /// Takes and acknowledges publishes until one is on this topic; returns it.
    pub(in crate::uplink) async fn acknowledge_until(&mut self, topic: &str) -> Publish {
        loop {
            let publish = self.publish().await.expect("closed");
            self.answer(publish.id, 0).await;
            if publish.topic.ends_with(topic) {
                return publish;
            }
        }
    }

    /// Takes this many publishes without acknowledging any.
    pub(in crate::uplink) async fn take(&mut self, count: usize) -> Vec<Publish> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.publish().await.expect("closed"));
        }
        taken
    }

    /// Whether nothing comes for a moment.
    pub(in crate::uplink) async fn is_quiet(&mut self) -> bool {
        time::timeout(Duration::from_millis(150), self.stream.peek(&mut [0]))
            .await
            .is_err()
    }
}

/// A message for the uplink.
#[derive(Clone, Copy, Default)]
pub(in crate::uplink) struct Said<'a> {
    pub(in crate::uplink) topic: &'a str,
    pub(in crate::uplink) payload: &'a str,
    pub(in crate::uplink) retained: bool,
    pub(in crate::uplink) response: Option<&'a str>,
    pub(in crate::uplink) correlation: Option<&'a [u8]>,
}

/// A length as MQTT writes it.
fn variable(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(length % 128).unwrap();
        length /= 128;
        bytes.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return bytes;
        }
    }
}

fn parse(kind: u8, body: &[u8]) -> Publish {
    assert_eq!(kind & 0b0110, 0b0010, "QoS 1");
    let (length, rest) = body.split_first_chunk::<2>().unwrap();
    let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
    let (id, rest) = rest.split_first_chunk::<2>().unwrap();
    let (&length, rest) = rest.split_first().unwrap();
    assert!(length < 128, "the length of the properties in one byte");
    let (properties, payload) = rest.split_at(usize::from(length));
    let text = String::from_utf8_lossy(properties);
    let topic = String::from_utf8(topic.to_vec()).unwrap();
    let is_note = topic.ends_with("ledger/checkpoint");
    let content_type = if is_note {
        "text/plain"
    } else {
        "application/json"
    };
    assert!(text.contains(content_type), "content type of {topic}");
    Publish {
        topic,
        id: u16::from_be_bytes(*id),
        retained: kind & 1 == 1,
        payload: String::from_utf8(payload.to_vec()).unwrap(),
        properties: properties.to_vec(),
    }
}
