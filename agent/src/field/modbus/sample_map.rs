//! Machine maps for the tests beside: one machine, one connection, one poll group.

use crate::config::model::{
    Address, Endpoint, Kind, Link, MachineMap, ModbusAddress, ModbusSettings, Point, Table,
};
use crate::machine::testing::{bare, point};

/// A machine on Modbus TCP with the group `fast` and no points.
pub(in crate::field) fn map(address: &str) -> MachineMap {
    let mut map = bare();
    let address = address.to_owned();
    set_endpoint(&mut map, &Endpoint::Tcp { address });
    map
}

/// Adds a point `p0`, `p1`, … of the first group and connection.
pub(in crate::field) fn add(
    map: &mut MachineMap,
    unit_id: u8,
    table: Table,
    start: u16,
    kind: Kind,
) {
    let address = ModbusAddress {
        unit_id,
        table,
        start,
        kind,
    };
    map.points.push(Point {
        address: Address::Modbus(address),
        ..point(&format!("p{}", map.points.len()))
    });
}

/// How Modbus is spoken to the machine.
pub(in crate::field) fn settings(map: &mut MachineMap) -> &mut ModbusSettings {
    match &mut map.connections[0].link {
        Link::Modbus { settings, .. } => settings,
        Link::OpcUa(_) => unreachable!("sample maps speak Modbus"),
    }
}

/// Moves the machine to this endpoint.
pub(in crate::field) fn set_endpoint(map: &mut MachineMap, to: &Endpoint) {
    match &mut map.connections[0].link {
        Link::Modbus { endpoint, .. } => *endpoint = to.clone(),
        Link::OpcUa(_) => unreachable!("sample maps speak Modbus"),
    }
}

/// Where a point lies.
pub(in crate::field) fn address(map: &mut MachineMap, point: usize) -> &mut ModbusAddress {
    match &mut map.points[point].address {
        Address::Modbus(address) => address,
        Address::Node(_) => unreachable!("sample maps speak Modbus"),
    }
}
