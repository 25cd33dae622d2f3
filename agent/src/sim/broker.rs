//! An embedded MQTT 5 broker on the loopback interface, for the demo and for tests.
//!
//! It keeps nothing on disk. rumqttd can't be stopped: its threads end with the process.

use anyhow::{Context, bail};
use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// What a log filter needs so that the broker keeps quiet.
pub const LOG_FILTER: &str = "rumqttd=off";

/// Clients at once.
const CONNECTIONS_MAX: usize = 64;
/// The largest message: far more than the agent's largest.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Publishes on their way to or from one client.
const WINDOW: usize = 100;
/// What the broker keeps in memory of each subscription's messages: two segments of this size.
const SEGMENT_BYTES: usize = 1024 * 1024;
const SEGMENTS: usize = 2;
/// Messages handed to one client at a time.
const BURST: u64 = 200;
/// How long a client may take to say CONNECT.
const CONNECT_TIMEOUT_MS: u16 = 5000;
/// How long the broker may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between looks whether it listens.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    port: u16,
}

impl Broker {
    /// Starts a broker on a free port; blocks until it listens.
    ///
    /// # Errors
    ///
    /// No port could be had, or the broker did not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_on(0)
    }

    /// Starts a broker on this port; 0: a free one. Blocks until it listens.
    ///
    /// # Errors
    ///
    /// The port is taken, or the broker did not start.
    pub fn start_on(port: u16) -> anyhow::Result<Self> {
        // The broker wants to be told a number. A bound socket that never listens keeps the port from
        // everybody but those who ask for this very number with address reuse, as the broker does.
        let reserved = TcpSocket::new_v4()?;
        reserved.set_reuseaddr(true)?;
        reserved
            .bind((Ipv4Addr::LOCALHOST, port).into())
            .with_context(|| format!("port {port} can't be had for the broker"))?;
        let address = reserved.local_addr()?;
        let mut broker = rumqttd::Broker::new(config(address));
        let serving = thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || {
                if let Err(error) = broker.start() {
                    tracing::warn!(%error, "the demo's broker has ended");
                }
            })?;
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if serving.is_finished() {
                bail!("the broker could not listen on port {}", address.port());
            }
            if start.elapsed() > START_TIMEOUT {
                bail!("the broker did not start in time");
            }
            thread::sleep(LOOK_PAUSE);
        }
        Ok(Self {
            port: address.port(),
        })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn config(listen: SocketAddr) -> Config {
    let server = ServerSettings {
        name: "mqtt".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: CONNECT_TIMEOUT_MS,
            max_payload_size: MESSAGE_BYTES_MAX,
            max_inflight_count: WINDOW,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    Config {
        router: RouterConfig {
            max_connections: CONNECTIONS_MAX,
            max_outgoing_packet_count: BURST,
            max_segment_size: SEGMENT_BYTES,
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("mqtt".to_owned(), server)])),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::Broker;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    fn connect(port: u16, client: u8) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        // CONNECT, protocol 5, clean start, keep-alive 30 s, no properties, a client id of one byte.
        let connect = [
            0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 30, 0, 0, 1, client,
        ];
        stream.write_all(&connect).unwrap();
        let (kind, body) = packet(&mut stream);
        assert_eq!(kind, 0x20);
        assert_eq!(body[..2], [0, 0], "session present, reason");
        stream
    }

    fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        stream.read_exact(&mut header).unwrap();
        let mut body = vec![0; usize::from(header[1])];
        stream.read_exact(&mut body).unwrap();
        (header[0], body)
    }

    #[test]
    fn takes_a_publish_of_mqtt_5_and_keeps_it_for_a_late_subscriber() {
        let broker = Broker::start().unwrap();
        let mut sender = connect(broker.port(), b'a');
        // PUBLISH, QoS 1, retained, topic "t", packet 7, no properties, "x".
        sender
            .write_all(&[0x33, 7, 0, 1, b't', 0, 7, 0, b'x'])
            .unwrap();
        let (kind, body) = packet(&mut sender);
        assert_eq!((kind, &body[..2]), (0x40, &[0, 7][..]));
        let mut reader = connect(broker.port(), b'b');
        // SUBSCRIBE, packet 1, no properties, topic "t", QoS 1.
        reader
            .write_all(&[0x82, 7, 0, 1, 0, 0, 1, b't', 1])
            .unwrap();
        assert_eq!(packet(&mut reader).0, 0x90);
        let (kind, body) = packet(&mut reader);
        assert_eq!(kind & 0xF0, 0x30);
        assert_eq!(body.last(), Some(&b'x'));
    }

    #[test]
    fn two_run_side_by_side_and_a_taken_port_is_refused() {
        let (one, two) = (Broker::start().unwrap(), Broker::start().unwrap());
        assert_ne!(one.port(), two.port());
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(Broker::start_on(taken.local_addr().unwrap().port()).is_err());
    }
}
