//! The configuration, resolved and without fault: plain data, made only by [`load`](super::load).

use lineside_proto::booking::IssuerKey;
use lineside_proto::{Identifier, LocalText, PointName, State};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::rule::{PointKind, Rule};
use crate::text::Language;

pub use ledger::{Ledger, WITNESSES_MAX, Witnesses};
pub use modbus::{ByteOrder, Kind, ModbusAddress, Order, Table};
pub use node::{NodeAddress, NodeKind, NodeName, OPC_UA_NAMESPACE};
pub use server::{Fingerprint, Identity, Security, SecurityMode, SecurityPolicy, Server};

mod ledger;
mod modbus;
mod node;
mod server;

/// Everything that a gateway is configured to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The gateway file.
    pub gateway: Gateway,
    /// The machine maps, in the order of their names.
    pub machines: Vec<Arc<MachineMap>>,
}

/// `gateway.toml`.
#[derive(Clone, PartialEq, Debug)]
pub struct Gateway {
    /// The pilot platform.
    pub site: Identifier,
    /// This gateway.
    pub id: Identifier,
    /// Where the agent keeps what it must not lose.
    pub state_dir: PathBuf,
    /// The language of messages; none: the locale decides.
    pub language: Option<Language>,
    /// The time zone that people see, an IANA name known to be valid.
    pub timezone: String,
    /// The broker.
    pub uplink: Uplink,
    /// The durable queue.
    pub outbox: Outbox,
    /// What is published of process values.
    pub telemetry: Telemetry,
    /// How often availability is said again; a reader believes it for three times as long.
    pub heartbeat: Duration,
    /// The logs' form.
    pub log: Log,
    /// The console.
    pub console: Console,
    /// Who may book, and how somebody checks in.
    pub bookings: Bookings,
    /// How sessions begin and end, and whose they are.
    pub sessions: Sessions,
    /// The ledger's key and name.
    pub ledger: Ledger,
}

/// `[bookings]`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Bookings {
    /// Keys that may sign booking tokens; none: bookings come unsigned.
    pub issuer_keys: Vec<IssuerKey>,
    /// How the session of a booking opens.
    pub check_in: CheckInMode,
}

/// How the session of a booking opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CheckInMode {
    /// Activity inside exactly one booking's window opens it.
    #[default]
    Implied,
    /// Only a check-in opens it.
    Required,
}

/// `[sessions]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sessions {
    /// An unbooked session ends after so long without activity.
    pub idle_close: Duration,
    /// The platform's own organisation, in the tokens' pseudonyms.
    pub own: BTreeSet<String>,
    /// Its affiliates, likewise.
    pub affiliates: BTreeSet<String>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle_close: Duration::from_secs(15 * 60),
            own: BTreeSet::new(),
            affiliates: BTreeSet::new(),
        }
    }
}

/// `[console]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Console {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What whoever looks must know; none only on loopback.
    pub password: Option<Secret>,
}

/// `[uplink]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Uplink {
    /// Host name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Topic prefix, `lineside/v1` by default.
    pub prefix: String,
    /// User name.
    pub username: Option<String>,
    /// The password, read from `password-file`.
    pub password: Option<Secret>,
    /// MQTT keep-alive.
    pub keep_alive: Duration,
    /// Publishes on their way at once, 1 to 65,535.
    pub window: u16,
    /// How long an acknowledgement may take before the connection counts as dead.
    pub ack_timeout: Duration,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `[outbox]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Outbox {
    /// Bytes on disk at most; none: the smaller of 2 GiB and a tenth of the partition.
    pub size_bytes_max: Option<u64>,
    /// How long an undelivered message is kept.
    pub age_max: Duration,
    /// How often what was read is made durable.
    pub commit: Duration,
}

/// `[telemetry]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Telemetry {
    /// A machine's frames are sent together at most this often.
    pub batch: Duration,
    /// How often a frame carries every value.
    pub full_every: Duration,
    /// Which points are published.
    pub publish: Publish,
    /// Whether process values go out while another company's session runs.
    pub external: External,
}

/// What becomes of process values while another company's session (EXT) runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum External {
    /// They stay here, unless the booking allows them.
    #[default]
    Withhold,
    /// They go out as always.
    Publish,
}

/// Which points are published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Publish {
    /// All.
    All,
    /// Those with `publish = true`.
    Listed,
    /// None: states only.
    None,
}

/// `[log]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Log {
    /// Lines for people, on standard error.
    Human,
    /// A JSON object a line, on standard error.
    Json,
    /// The journal's own protocol.
    Journald,
}

/// One machine, its template and spreadsheet resolved.
#[derive(Clone, Debug)]
pub struct MachineMap {
    /// The machine.
    pub machine: Identifier,
    /// What people call it.
    pub name: LocalText,
    /// `sha256:` and the hash of the resolved map's canonical text (connections left out).
    pub hash: String,
    /// A hash of the whole resolved map, connections included: equal means that nothing changed.
    pub fingerprint: String,
    /// The connections; at least one.
    pub connections: Vec<Connection>,
    /// The poll groups; each has at least one point.
    pub groups: Vec<Group>,
    /// The points, at most [`POINTS_MAX`], in the order of the file.
    pub points: Vec<Point>,
    /// The state rules, in order: the first that isn't false wins.
    pub rules: Vec<StateRule>,
    /// How long the machine needs from OFF until it can be used.
    pub warm_up: Duration,
    /// How long HOLD counts as activity.
    pub hold_counts: Duration,
    /// Points that cross-check the hours.
    pub evidence: Evidence,
    /// `sha256:` and the hash of the map's, template's and sheet's exact bytes.
    pub files: String,
}

/// `[evidence]` of a machine map: points that cross-check the hours, as places in the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// The machine's own hour counter.
    pub hours: Option<u16>,
    /// An independent meter, in Wh.
    pub energy: Option<u16>,
}

/// Points of one machine, so that a place in the map fits 16 bits and a batch stays small.
pub const POINTS_MAX: usize = 20_000;

/// A way to reach devices of a machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Connection {
    /// Its name; `main` unless the map names several.
    pub name: Identifier,
    /// What it speaks, and over which link.
    pub link: Link,
}

impl Connection {
    /// The physical link and how Modbus is spoken over it; none if it speaks something else.
    pub fn modbus(&self) -> Option<(&Endpoint, &ModbusSettings)> {
        match &self.link {
            Link::Modbus { endpoint, settings } => Some((endpoint, settings)),
            Link::OpcUa(_) => None,
        }
    }

    /// The OPC UA server; none if it speaks something else.
    pub fn server(&self) -> Option<&Arc<Server>> {
        match &self.link {
            Link::OpcUa(server) => Some(server),
            Link::Modbus { .. } => None,
        }
    }
}

/// What a connection speaks, and over which link.
#[derive(Clone, PartialEq, Debug)]
pub enum Link {
    /// Modbus.
    Modbus {
        /// The physical link. Connections with one endpoint share one link.
        endpoint: Endpoint,
        /// How Modbus is spoken over it.
        settings: ModbusSettings,
    },
    /// OPC UA. Connections with equal servers share one session.
    OpcUa(Arc<Server>),
}

/// A physical link of Modbus: what one task owns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Endpoint {
    /// Modbus TCP to `host:port`.
    Tcp {
        /// Host and port.
        address: String,
    },
    /// RTU frames over TCP to `host:port`.
    RtuOverTcp {
        /// Host and port.
        address: String,
    },
    /// RTU on a serial port.
    Rtu(Serial),
}

/// A serial port's settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Serial {
    /// The device's path.
    pub port: String,
    /// Bits a second.
    pub baud: u32,
    /// Parity.
    pub parity: Parity,
    /// 7 or 8.
    pub data_bits: u8,
    /// 1 or 2.
    pub stop_bits: u8,
    /// Silence kept between an answer and the next request, beyond the standard's 3.5 characters.
    pub turnaround: Duration,
    /// How long the agent listens for another master before its first byte.
    pub listen: Duration,
}

/// Parity of a serial line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Parity {
    /// None.
    None,
    /// Even: the standard's default.
    Even,
    /// Odd.
    Odd,
}

/// How Modbus is spoken over a connection.
#[derive(Clone, PartialEq, Debug)]
pub struct ModbusSettings {
    /// How long an answer may take.
    pub timeout: Duration,
    /// Silence kept after a timeout or a broken frame, so that a late answer is never taken for
    /// the next; twice the timeout unless set.
    pub quiet: Duration,
    /// Registers read over to join two points into one request.
    pub max_gap: u16,
    /// Registers in one request, 1 to 125.
    pub max_registers: u16,
    /// Coils or discrete inputs in one request, 1 to 2,000.
    pub max_bits: u16,
    /// Pause between connecting and the first request.
    pub connect_pause: Duration,
    /// Read each point by a request of its own.
    pub request_per_point: bool,
}

/// A poll group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name.
    pub name: Identifier,
    /// How often it is read.
    pub interval: Duration,
    /// After how long without a good reading its points count as stale; at least two intervals.
    pub stale_after: Duration,
}

/// A point of a machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// Its name.
    pub name: PointName,
    /// Its poll group, as a place in [`MachineMap::groups`].
    pub group: u16,
    /// Its connection, as a place in [`MachineMap::connections`].
    pub connection: u16,
    /// Where and how it is read.
    pub address: Address,
    /// value = raw × scale + offset; none: the raw value as it is.
    pub scaling: Option<Scaling>,
    /// The least change that is published; none: every sample is.
    pub deadband: Option<f64>,
    /// What a value may be, both ends included.
    pub expect: Option<(f64, f64)>,
    /// Published where `[telemetry] publish = "listed"`.
    pub publish: bool,
    /// Its unit.
    pub unit: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
}

impl Point {
    /// Where it lies in a Modbus device; none for a point of another protocol.
    pub fn modbus(&self) -> Option<&ModbusAddress> {
        match &self.address {
            Address::Modbus(address) => Some(address),
            Address::Node(_) => None,
        }
    }

    /// Where it lies in an OPC UA server; none for a point of another protocol.
    pub fn node(&self) -> Option<&NodeAddress> {
        match &self.address {
            Address::Node(address) => Some(address),
            Address::Modbus(_) => None,
        }
    }

    /// What rules see of it.
    pub fn kind(&self) -> PointKind {
        match self.address.kind() {
            PointKind::Bits(_) if self.scaling.is_some() => PointKind::Number,
            kind @ (PointKind::Bool | PointKind::Number | PointKind::Bits(_) | PointKind::Text) => {
                kind
            }
        }
    }

    /// The type as a word, as maps and documents write it.
    pub fn type_word(&self) -> &'static str {
        self.address.type_word()
    }
}

/// Where a point lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// In a Modbus device.
    Modbus(ModbusAddress),
    /// In an OPC UA server.
    Node(NodeAddress),
}

impl Address {
    /// What rules see of it before it is scaled.
    pub fn kind(&self) -> PointKind {
        match self {
            Self::Modbus(address) => match address.kind {
                Kind::Bool(_) => PointKind::Bool,
                Kind::String { .. } => PointKind::Text,
                Kind::U16(_) | Kind::I16(_) => PointKind::Bits(16),
                Kind::U32(_) | Kind::I32(_) => PointKind::Bits(32),
                Kind::U64(_) | Kind::I64(_) => PointKind::Bits(64),
                Kind::F32(_) | Kind::F64(_) | Kind::Bcd16(_) | Kind::Bcd32(_) => PointKind::Number,
            },
            Self::Node(address) => match address.kind {
                // Which of the number types it is, only the server knows: a whole one has bits.
                NodeKind::Number => PointKind::Bits(64),
                NodeKind::Bool => PointKind::Bool,
                NodeKind::Text => PointKind::Text,
            },
        }
    }

    /// The type as a word, as maps and documents write it.
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::Modbus(address) => address.kind.as_str(),
            Self::Node(address) => address.kind.as_str(),
        }
    }
}

/// value = raw × scale + offset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scaling {
    /// The factor.
    pub scale: f64,
    /// What is added after it.
    pub offset: f64,
}

/// A state rule.
#[derive(Clone, Debug)]
pub struct StateRule {
    /// The state it gives; never UNKNOWN.
    pub state: State,
    /// The condition as the technician wrote it.
    pub when: String,
    /// The same, compiled.
    pub rule: Rule,
    /// How long it must hold to enter the state.
    pub enter: Duration,
    /// How long a lower rule must hold to leave the state.
    pub leave: Duration,
}
