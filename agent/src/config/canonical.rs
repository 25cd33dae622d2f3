//! The canonical text of a machine map and its hashes: the same for every way of writing one map,
//! another for any other map.
//!
//! JSON with keys in a fixed order and without spaces. Durations are microseconds. What the map of a
//! machine *is* (its text and [`hash`]) leaves out where the machine is reached; what the agent must
//! restart for (its [`fingerprint`]) has that too, and the order of the file.
//!
//! What was written, to the byte, is a third thing: the hash of the [`files`], which stay on the gateway. It is
//! that of a list with one line a file, in the order map, points, template, template-points, as far as there
//! are:
//!
//! ```text
//! sha256:<64 hex digits> <length in bytes> <role> <length of the name in bytes> <name>
//! ```
//!
//! each ended by a line feed. The first three and the last come from `sha256sum`, `wc -c` and the map: its own
//! file name, and the other paths as `template` and `points-file` say them.

use lineside_proto::LocalText;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

use super::model::{
    ByteOrder, Connection, Endpoint, Identity, Kind, Link, MachineMap, NodeAddress, Order, Parity,
    Point, Scaling, Security, Server,
};
use super::resolve::Part;

/// A map's canonical text. Its order of keys is that of these fields, or the alphabet's.
#[derive(Serialize)]
struct Text<'a> {
    v: u8,
    machine: &'a str,
    name: &'a LocalText,
    groups: BTreeMap<&'a str, GroupText>,
    points: BTreeMap<&'a str, PointText<'a>>,
    rules: Vec<RuleText<'a>>,
    warm_up_us: u64,
    hold_counts_us: u64,
    #[serde(skip_serializing_if = "EvidenceText::is_empty")]
    evidence: EvidenceText<'a>,
}

/// The points of `[evidence]`; left out where there are none, so that maps without it keep their hashes.
#[derive(Serialize)]
struct EvidenceText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    energy: Option<&'a str>,
}

impl EvidenceText<'_> {
    fn is_empty(&self) -> bool {
        self.hours.is_none() && self.energy.is_none()
    }
}

#[derive(Serialize)]
struct GroupText {
    interval_us: u64,
    stale_after_us: u64,
}

#[derive(Serialize)]
struct RuleText<'a> {
    state: &'a str,
    when: &'a str,
    enter_us: u64,
    leave_us: u64,
}

#[derive(Serialize)]
struct PointText<'a> {
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<f64>,
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadband: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<(f64, f64)>,
    publish: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

/// The canonical text of a map, connections left out.
pub fn text(map: &MachineMap) -> String {
    let groups = map.groups.iter().map(|group| {
        let text = GroupText {
            interval_us: micros(group.interval),
            stale_after_us: micros(group.stale_after),
        };
        (group.name.as_str(), text)
    });
    let rules = map.rules.iter().map(|rule| RuleText {
        state: rule.state.as_str(),
        when: &rule.when,
        enter_us: micros(rule.enter),
        leave_us: micros(rule.leave),
    });
    let point = |place: Option<u16>| {
        let point = map.points.get(usize::from(place?))?;
        Some(point.name.as_str())
    };
    let text = Text {
        v: 1,
        machine: map.machine.as_str(),
        name: &map.name,
        groups: groups.collect(),
        points: map
            .points
            .iter()
            .map(|point| (point.name.as_str(), point_text(map, point)))
            .collect(),
        rules: rules.collect(),
        warm_up_us: micros(map.warm_up),
        hold_counts_us: micros(map.hold_counts),
        evidence: EvidenceText {
            hours: point(map.evidence.hours),
            energy: point(map.evidence.energy),
        },
    };
    // Maps with texts as keys and finite numbers always serialise.
    serde_json::to_string(&text).unwrap_or_default()
}

/// `sha256:` and the hash of the canonical text.
pub(super) fn hash(map: &MachineMap) -> String {
    sha256(&text(map))
}

/// `sha256:` and a hash of everything that the agent does for this map.
pub(super) fn fingerprint(map: &MachineMap) -> String {
    let connections: Vec<Value> = map.connections.iter().map(connection_text).collect();
    let groups: Vec<&str> = map.groups.iter().map(|group| group.name.as_str()).collect();
    let points: Vec<&str> = map.points.iter().map(|point| point.name.as_str()).collect();
    sha256(&json!([text(map), connections, groups, points]).to_string())
}

/// `sha256:` and the hash of the list of files.
pub(super) fn files(files: &[Part]) -> String {
    let line = |part: &Part| {
        let content = part.source.content();
        let (length, role, name) = (content.length, part.role, &part.name);
        let hash = sha256_text(&content.sha256);
        format!("{hash} {length} {role} {} {name}\n", name.len())
    };
    sha256(&files.iter().map(line).collect::<String>())
}

fn point_text<'a>(map: &'a MachineMap, point: &'a Point) -> PointText<'a> {
    let connection = map.connections.get(usize::from(point.connection));
    let group = map.groups.get(usize::from(point.group));
    let modbus = point.modbus();
    let (order, bit, length) = modbus.map_or((None, None, None), |address| details(address.kind));
    let Scaling { scale, offset } = point.scaling.unwrap_or(Scaling {
        scale: 1.0,
        offset: 0.0,
    });
    let scaled = point.scaling.is_some();
    PointText {
        from: connection.map_or("", |connection| connection.name.as_str()),
        unit_id: modbus.map(|address| address.unit_id),
        table: modbus.map(|address| address.table.as_str()),
        address: modbus.map(|address| address.start),
        node: point.node().map(NodeAddress::id),
        index: point.node().and_then(|address| address.index),
        kind: point.type_word(),
        order,
        bit,
        length,
        scale: scaled.then_some(scale),
        offset: scaled.then_some(offset),
        group: group.map_or("", |group| group.name.as_str()),
        deadband: point.deadband,
        expect: point.expect,
        publish: point.publish,
        unit: point.unit.as_deref(),
        description: point.description.as_deref(),
    }
}

/// Order, bit and length of a type, where it has them.
fn details(kind: Kind) -> (Option<&'static str>, Option<u8>, Option<u8>) {
    let bytes = |order| match order {
        ByteOrder::High => "AB",
        ByteOrder::Low => "BA",
    };
    let words = |order| match order {
        Order::Abcd => "ABCD",
        Order::Cdab => "CDAB",
        Order::Badc => "BADC",
        Order::Dcba => "DCBA",
    };
    match kind {
        Kind::Bool(bit) => (None, bit, None),
        Kind::U16(order) | Kind::I16(order) | Kind::Bcd16(order) => {
            (Some(bytes(order)), None, None)
        }
        Kind::U32(order)
        | Kind::I32(order)
        | Kind::F32(order)
        | Kind::Bcd32(order)
        | Kind::U64(order)
        | Kind::I64(order)
        | Kind::F64(order) => (Some(words(order)), None, None),
        Kind::String { length, order } => (Some(bytes(order)), None, Some(length)),
    }
}

fn connection_text(connection: &Connection) -> Value {
    let (endpoint, modbus) = match &connection.link {
        Link::Modbus { endpoint, settings } => (endpoint_text(endpoint), settings),
        Link::OpcUa(server) => return json!([connection.name, server_text(server)]),
    };

    json!([
        connection.name,
        endpoint,
        micros(modbus.timeout),
        micros(modbus.quiet),
        modbus.max_gap,
        modbus.max_registers,
        modbus.max_bits,
        micros(modbus.connect_pause),
        modbus.request_per_point,
    ])
}

fn endpoint_text(endpoint: &Endpoint) -> Value {
    match endpoint {
        Endpoint::Tcp { address } => json!(["modbus-tcp", address]),
        Endpoint::RtuOverTcp { address } => json!(["modbus-rtu-over-tcp", address]),
        Endpoint::Rtu(serial) => json!([
            "modbus-rtu",
            serial.port,
            serial.baud,
            match serial.parity {
                Parity::None => "none",
                Parity::Even => "even",
                Parity::Odd => "odd",
            },
            serial.data_bits,
            serial.stop_bits,
            micros(serial.turnaround),
            micros(serial.listen),
        ]),
    }
}

/// What a session with a server is made of; secrets as their hashes.
fn server_text(server: &Server) -> Value {
    let security = match &server.security {
        Security::None => json!([]),
        Security::Secured {
            policy,
            mode,
            server,
        } => json!([
            policy.as_str(),
            mode.as_str(),
            server.map(|fingerprint| fingerprint.to_string()),
        ]),
    };
    let identity = match &server.identity {
        Identity::Anonymous => json!([]),
        Identity::Password { user, password } => json!([user, sha256(&password.0)]),
        Identity::Certificate { certificate, key } => json!([&certificate[..], sha256(&key.0)]),
    };
    json!([
        "opc-ua",
        server.url,
        security,
        identity,
        micros(server.timeout),
        server.history,
    ])
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn sha256(text: &str) -> String {
    sha256_text(&Sha256::digest(text.as_bytes()))
}

fn sha256_text(hash: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in hash {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
