//! What a probe found, in words that travel over the local socket.

use lineside_proto::PointName;
use serde::{Deserialize, Serialize};

use crate::config::model::{Address, MachineMap};
use crate::field::modbus::decode::{Raw, all_orders};
use crate::field::{NodeRaw, ProbeError, ProbeReading};
use crate::text;
use crate::text::Text;

/// One point as it was read just now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Probed {
    /// The point.
    pub point: PointName,
    /// Its type.
    pub kind: String,
    /// Unit, table and address.
    pub address: String,
    /// Its unit of measure.
    pub unit: Option<String>,
    /// The registers as they came, or a bit as 0 or 1.
    pub words: Vec<u16>,
    /// What an OPC UA server said of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeRaw>,
    /// The value by the map.
    pub value: Option<String>,
    /// Why there is none.
    pub bad: Option<String>,
    /// The raw value under every order that its type can have.
    pub orders: Vec<(String, String)>,
}

/// Why a probe gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    /// The running agent has no such machine: perhaps its map was added and not applied yet.
    #[error("the agent has no machine {0}")]
    UnknownMachine(String),
    /// The machine has no such point.
    #[error("the machine has no point {0}")]
    UnknownPoint(String),
    /// The link gave nothing.
    #[error(transparent)]
    Field(#[from] ProbeError),
}

impl ProbeFailure {
    /// The failure for a person.
    pub fn text(&self) -> Text {
        match self {
            Self::UnknownMachine(name) => text!(
                "the running agent has no machine `{name}`; if its map is new, `lineside apply` takes it up",
                "运行中的程序没有设备 `{name}`；若点表是新增的，请执行 `lineside apply`"
            ),
            Self::UnknownPoint(name) => {
                text!(
                    "the machine has no point `{name}`",
                    "该设备没有点位 `{name}`"
                )
            }
            Self::Field(error) => error.text(),
        }
    }
}

/// The places of points in a map; all of them where no name is given.
///
/// # Errors
///
/// A name that the map does not have.
pub fn places(map: &MachineMap, names: &[String]) -> Result<Vec<u16>, ProbeFailure> {
    let numbered = || (0u16..).zip(&map.points);
    if names.is_empty() {
        return Ok(numbered().map(|(place, _)| place).collect());
    }
    names
        .iter()
        .map(|name| {
            numbered()
                .find(|(_, point)| point.name.as_str() == name)
                .map(|(place, _)| place)
                .ok_or_else(|| ProbeFailure::UnknownPoint(name.clone()))
        })
        .collect()
}

/// Readings in words.
pub fn probed(map: &MachineMap, readings: Vec<ProbeReading>) -> Vec<Probed> {
    readings
        .into_iter()
        .filter_map(|reading| {
            let point = map.points.get(usize::from(reading.point))?;
            let words = match reading.raw {
                Some(Raw::Words(words)) => words,
                Some(Raw::Bits(bits)) => bits.into_iter().map(u16::from).collect(),
                None => Vec::new(),
            };
            let modbus = point.modbus();
            let orders = modbus.filter(|address| !words.is_empty() && !address.table.is_bits());
            let orders = orders.map_or_else(Vec::new, |address| all_orders(address.kind, &words));
            let (value, bad) = match reading.reading {
                Ok(value) => (Some(value.to_string()), None),
                Err(bad) => (None, Some(bad.to_string())),
            };
            Some(Probed {
                point: point.name.clone(),
                kind: point.type_word().to_owned(),
                address: address(&point.address),
                unit: point.unit.clone(),
                words,
                node: reading.node,
                value,
                bad,
                orders: orders
                    .into_iter()
                    .map(|(order, value)| {
                        let value =
                            value.map_or_else(|bad| bad.to_string(), |value| value.to_string());
                        (order.to_owned(), value)
                    })
                    .collect(),
            })
        })
        .collect()
}

fn address(address: &Address) -> String {
    match address {
        Address::Modbus(address) => {
            let table = address.table.as_str();
            format!("{}/{table}/{}", address.unit_id, address.start)
        }
        Address::Node(address) => address.to_string(),
    }
}
