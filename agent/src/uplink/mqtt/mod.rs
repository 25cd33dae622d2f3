//! MQTT 5, and the only place that names the client library.
//!
//! The library is used by one pattern: a fresh client and event loop for each TCP connection, nothing
//! queued in it beyond the window, and its loop in a task of its own, since it can hang in a full send
//! buffer for ever and must then be cut off from outside. A panic inside it ends that task only.

pub mod answers;
mod fault;
#[cfg(test)]
mod flood;
pub mod intake;
pub(super) mod publisher;
pub mod subscriber;

pub use fault::Fault;

use std::time::Duration;

use rumqttc::NetworkOptions;
use rumqttc::v5::MqttOptions;

/// A broker, and who we are to it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The client id.
    pub client_id: String,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// How often to ping; kept within 5 s and the protocol's 65,535 s.
    pub keep_alive: Duration,
}

/// The shortest keep-alive that the library takes.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);
/// The longest that the protocol can say.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(u16::MAX as u64);
/// How long until the broker must have accepted: connecting, then the CONNACK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Peer {
    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.client_id, &self.host, self.port);
        if let Some((user, password)) = &self.credentials {
            options.set_credentials(user, password);
        }
        options.set_keep_alive(self.keep_alive());
        options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options
    }

    fn keep_alive(&self) -> Duration {
        self.keep_alive.clamp(KEEP_ALIVE_MIN, KEEP_ALIVE_MAX)
    }
}
