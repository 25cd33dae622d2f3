//! The configuration, resolved and without fault: plain data, made only by [`load`](super::load).

use lineside_proto::{Identifier, LocalText, PointName, State};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::rule::Rule;
use crate::text::Language;

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
    /// Where the console will listen.
    pub console: SocketAddr,
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
#[derive(Clone, PartialEq, Eq)]
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
}

/// Points of one machine, so that a place in the map fits 16 bits and a batch stays small.
pub const POINTS_MAX: usize = 20_000;

/// A way to reach devices of a machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Connection {
    /// Its name; `main` unless the map names several.
    pub name: Identifier,
    /// The physical link. Connections with one endpoint share one link.
    pub endpoint: Endpoint,
    /// How Modbus is spoken over it.
    pub modbus: ModbusSettings,
}

/// A physical link: what one task owns.
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
    pub address: ModbusAddress,
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

/// value = raw × scale + offset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scaling {
    /// The factor.
    pub scale: f64,
    /// What is added after it.
    pub offset: f64,
}

/// Where a point lies in a Modbus device, and what lies there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModbusAddress {
    /// The unit, 0 to 255.
    pub unit_id: u8,
    /// The register table.
    pub table: Table,
    /// The first register or bit, zero-based as on the wire.
    pub start: u16,
    /// What lies there.
    pub kind: Kind,
}

impl ModbusAddress {
    /// Registers (or, in the bit tables, bits) that the point covers.
    pub fn width(&self) -> u16 {
        match self.table {
            Table::Coil | Table::Discrete => 1,
            Table::Holding | Table::Input => self.kind.registers(),
        }
    }
}

/// The four tables of Modbus, by what reads them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Coils: function 1.
    Coil,
    /// Discrete inputs: function 2.
    Discrete,
    /// Holding registers: function 3.
    Holding,
    /// Input registers: function 4.
    Input,
}

impl Table {
    /// Whether the table holds single bits.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// The type of a point. Orders apply where a value spans more than one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A coil or discrete input; or, of a register, the bit with this number, 0 the lowest.
    Bool(Option<u8>),
    /// Unsigned 16 bits.
    U16(ByteOrder),
    /// Signed 16 bits.
    I16(ByteOrder),
    /// Unsigned 32 bits.
    U32(Order),
    /// Signed 32 bits.
    I32(Order),
    /// Unsigned 64 bits.
    U64(Order),
    /// Signed 64 bits.
    I64(Order),
    /// IEEE 754 single.
    F32(Order),
    /// IEEE 754 double.
    F64(Order),
    /// Text of so many bytes, 1 to 250: the first byte in the high half of a register unless the
    /// order is low byte first. Trimmed of NULs and spaces at its end.
    String {
        /// Bytes.
        length: u8,
        /// Which byte of a register comes first.
        order: ByteOrder,
    },
    /// Four decimal digits.
    Bcd16(ByteOrder),
    /// Eight decimal digits.
    Bcd32(Order),
}

impl Kind {
    /// Registers that a value of this type spans.
    pub fn registers(self) -> u16 {
        match self {
            Self::Bool(_) | Self::U16(_) | Self::I16(_) | Self::Bcd16(_) => 1,
            Self::U32(_) | Self::I32(_) | Self::F32(_) | Self::Bcd32(_) => 2,
            Self::U64(_) | Self::I64(_) | Self::F64(_) => 4,
            Self::String { length, .. } => u16::from(length).div_ceil(2),
        }
    }

    /// Whether rules see it as a bool.
    pub fn is_bool(self) -> bool {
        matches!(self, Self::Bool(_))
    }

    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::String { .. } => "string",
            Self::Bcd16(_) => "bcd16",
            Self::Bcd32(_) => "bcd32",
        }
    }
}

/// The order of the two bytes in a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ByteOrder {
    /// High byte first, as the standard says: `AB`.
    #[default]
    High,
    /// Low byte first: `BA`.
    Low,
}

/// The order of the bytes of a value that spans registers, named by what 0x0A0B0C0D looks like.
/// 64-bit values follow the same pattern over eight letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Big-endian: `ABCD`.
    #[default]
    Abcd,
    /// Words swapped: `CDAB`.
    Cdab,
    /// Bytes swapped within each word: `BADC`.
    Badc,
    /// Little-endian: `DCBA`.
    Dcba,
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
