//! `[connections.*]`: how the devices of a machine are reached.

use lineside_proto::Identifier;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, Report};
use super::gateway::host_port;
use super::kind::ORDERS;
use super::model::{Connection, Endpoint, Link, ModbusSettings, Order, Parity, Serial};
use super::section::{Said, Section, bad_name, table};
use super::server::{self, Around};
use super::source::Place;
use super::tree::Entry;
use crate::text;

/// Connections of one machine: a PLC and a bus of drives make a handful.
pub(super) const CONNECTIONS_MAX: usize = 256;

/// Rates that serial hardware offers.
const BAUDS: [u32; 20] = [
    300, 600, 1200, 2400, 4800, 9600, 14_400, 19_200, 28_800, 38_400, 57_600, 76_800, 115_200,
    128_000, 230_400, 250_000, 460_800, 500_000, 921_600, 1_000_000,
];

const ZERO: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=MINUTE;
/// Less would not hear a master that polls five times a second.
const LISTEN: RangeInclusive<Duration> = Duration::from_millis(200)..=MINUTE;

/// A connection as far as it could be read, with the defaults that it gives to its points.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// Its name as written.
    pub(super) name: &'a str,
    /// Where it is named.
    pub(super) at: &'a Place,
    /// Where its port or address is said.
    pub(super) endpoint_at: Option<&'a Place>,
    /// The connection; none if it has faults.
    pub(super) connection: Option<Connection>,
    /// The unit of points that name none.
    pub(super) unit_id: u8,
    /// The units that the protocol can ask.
    pub(super) unit_ids: RangeInclusive<i64>,
    /// The order of points that name none.
    pub(super) order: Order,
    /// What the addresses of its points count from.
    pub(super) base: u8,
    /// What it speaks; none if that is not said.
    pub(super) protocol: Option<Protocol>,
}

/// What a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    /// Modbus.
    Modbus(Framing),
    /// OPC UA.
    OpcUa,
}

/// How Modbus frames travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// Modbus TCP.
    Tcp,
    /// RTU frames over TCP.
    RtuOverTcp,
    /// RTU on a serial port.
    Rtu,
}

const PROTOCOLS: [(&str, Protocol); 4] = [
    ("modbus-tcp", Protocol::Modbus(Framing::Tcp)),
    ("modbus-rtu", Protocol::Modbus(Framing::Rtu)),
    ("modbus-rtu-over-tcp", Protocol::Modbus(Framing::RtuOverTcp)),
    ("opc-ua", Protocol::OpcUa),
];

/// Reads one connection.
pub(super) fn read<'a>(entry: &'a Entry, around: Around<'_>, report: &'a Report) -> Draft<'a> {
    let mut draft = Draft {
        name: &entry.key,
        at: &entry.key_at,
        endpoint_at: None,
        connection: None,
        unit_id: 1,
        unit_ids: 0..=255,
        order: Order::Abcd,
        base: 0,
        protocol: None,
    };
    let name = entry.key.parse::<Identifier>();
    if let Err(error) = &name {
        bad_name(report, &entry.key, &entry.key_at, error, false);
    }
    let Some(table) = table(report, entry) else {
        return draft;
    };
    let section = Section::new(table, &entry.key_at, report);
    let protocol = section.required("protocol", section.choice("protocol", &PROTOCOLS));
    let Some(protocol) = protocol else {
        // Without the protocol nobody can say which keys belong here.
        return draft;
    };
    draft.protocol = Some(protocol.value);
    let link = match protocol.value {
        Protocol::Modbus(framing) => modbus(&section, framing, &mut draft),
        Protocol::OpcUa => {
            draft.endpoint_at = section.entry("url").map(|entry| &entry.node.at);
            server::read(&section, around).map(|server| Link::OpcUa(Arc::new(server)))
        }
    };
    section.finish();
    if let (Ok(name), Some(link)) = (name, link) {
        draft.connection = Some(Connection { name, link });
    }
    draft
}

/// Reads the keys of a Modbus connection.
fn modbus<'a>(section: &Section<'a>, framing: Framing, draft: &mut Draft<'a>) -> Option<Link> {
    if framing != Framing::Tcp {
        // Unit 0 is the broadcast of a serial line, and nobody answers it.
        draft.unit_ids = 1..=247;
    }
    let unit_id = section.integer("unit-id", draft.unit_ids.clone());
    draft.unit_id = unit_id.map_or(1, |said| said.value);
    let order = section.choice("order", &ORDERS);
    draft.order = order.map_or(Order::Abcd, |said| said.value);
    draft.base = section.integer("base", 0..=1).map_or(0, |said| said.value);
    let settings = settings(section);
    let endpoint = match framing {
        Framing::Rtu => serial(section, draft).map(Endpoint::Rtu),
        Framing::Tcp => address(section, draft).map(|address| Endpoint::Tcp { address }),
        Framing::RtuOverTcp => {
            address(section, draft).map(|address| Endpoint::RtuOverTcp { address })
        }
    };
    Some(Link::Modbus {
        endpoint: endpoint?,
        settings,
    })
}

fn settings(section: &Section<'_>) -> ModbusSettings {
    let take = |said: Option<Said<'_, Duration>>, default| said.map_or(default, |said| said.value);
    let timeout = take(section.duration("timeout", TIMEOUT), SECOND);
    ModbusSettings {
        timeout,
        quiet: take(section.duration("quiet", ZERO..=5 * MINUTE), 2 * timeout),
        max_gap: section
            .integer("max-gap", 0..=124)
            .map_or(8, |said| said.value),
        max_registers: section
            .integer("max-registers", 1..=125)
            .map_or(125, |said| said.value),
        max_bits: section
            .integer("max-bits", 1..=2000)
            .map_or(2000, |said| said.value),
        connect_pause: take(section.duration("connect-pause", ZERO..=MINUTE), ZERO),
        request_per_point: section.flag("request-per-point").unwrap_or(false),
    }
}

fn address<'a>(section: &Section<'a>, draft: &mut Draft<'a>) -> Option<String> {
    let said = section.required("address", section.text("address"))?;
    draft.endpoint_at = Some(said.at);
    let Some((host, port)) = host_port(said.value, 502) else {
        let value = said.value;
        let message = text!("`{value}` is not an address", "`{value}` 不是有效的地址");
        section.add(Fault::error("bad-address", said.at, message).hint(text!(
            "write host and port, like \"192.168.10.21:502\"",
            "写成主机加端口，例如 \"192.168.10.21:502\""
        )));
        return None;
    };
    // One spelling for each address, so that connections to it share one link.
    Some(if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{}:{port}", host.to_ascii_lowercase())
    })
}

fn serial<'a>(section: &Section<'a>, draft: &mut Draft<'a>) -> Option<Serial> {
    let port = section.required("port", section.text("port"));
    let baud = baud(section);
    let words = [
        ("none", Parity::None),
        ("even", Parity::Even),
        ("odd", Parity::Odd),
    ];
    let parity = section
        .choice("parity", &words)
        .map_or(Parity::Even, |said| said.value);
    let data_bits = section.integer::<u8>("data-bits", 7..=8);
    if let Some(Said { value: 7, at }) = data_bits {
        let message = text!(
            "Modbus RTU needs 8 data bits: with 7 no answer can be read",
            "Modbus RTU 需要 8 个数据位：7 位时无法读到应答"
        );
        section.add(Fault::warning("bad-value", at, message));
    }
    let stop_bits = section
        .integer("stop-bits", 1..=2)
        .map_or(1, |said| said.value);
    let turnaround = section.duration("turnaround", ZERO..=SECOND);
    let listen = section.duration("listen", LISTEN);
    let port = port?;
    draft.endpoint_at = Some(port.at);
    if !port.value.starts_with('/') || port.value.contains('\0') {
        let value = port.value;
        let message = text!(
            "`{value}` is not the path of a device",
            "`{value}` 不是设备路径"
        );
        section.add(Fault::error("bad-address", port.at, message).hint(text!(
            "write the whole path, best by id: \"/dev/serial/by-id/…\" stays the same when plugs change",
            "写完整路径，最好使用 \"/dev/serial/by-id/…\"，换插口后仍然不变"
        )));
        return None;
    }
    // Checked where there is something: the file may be checked on another host.
    let file_type = std::fs::metadata(port.value).map(|meta| meta.file_type());
    if file_type.is_ok_and(|file_type| !file_type.is_char_device()) {
        let value = port.value;
        let message = text!("{value} is not a serial port", "{value} 不是串口");
        section.add(Fault::error("bad-address", port.at, message));
    }
    Some(Serial {
        port: port.value.to_owned(),
        baud: baud?,
        parity,
        data_bits: data_bits.map_or(8, |said| said.value),
        stop_bits,
        turnaround: turnaround.map_or(Duration::from_millis(5), |said| said.value),
        listen: listen.map_or(3 * SECOND, |said| said.value),
    })
}

fn baud(section: &Section<'_>) -> Option<u32> {
    if section.entry("baud").is_none() {
        return Some(9600);
    }
    let said = section.integer::<u32>("baud", 0..=i64::from(u32::MAX))?;
    if BAUDS.contains(&said.value) {
        return Some(said.value);
    }
    let value = said.value;
    let near = BAUDS
        .iter()
        .min_by_key(|baud| baud.abs_diff(value))
        .copied()
        .unwrap_or(9600);
    let message = text!("{value} baud is not supported", "不支持 {value} 波特率");
    section.add(Fault::error("bad-value", said.at, message).hint(text!(
        "the nearest rate is {near}",
        "最接近的波特率是 {near}"
    )));
    None
}
