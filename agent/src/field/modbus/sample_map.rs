//! Machine maps for the tests beside: one machine, one connection, one poll group.

use crate::config::model::{Endpoint, Kind, MachineMap, ModbusAddress, Point, Table};
use crate::machine::testing::{bare, point};

/// A machine on Modbus TCP with the group `fast` and no points.
pub(in crate::field) fn map(address: &str) -> MachineMap {
    let mut map = bare();
    map.connections[0].endpoint = Endpoint::Tcp {
        address: address.to_owned(),
    };
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
        address,
        ..point(&format!("p{}", map.points.len()))
    });
}
