//! Machine maps for the tests beside: one machine, one connection, one poll group.

use lineside_proto::LocalText;
use std::time::Duration;

use crate::config::model::{
    Connection, Endpoint, Group, Kind, MachineMap, ModbusAddress, ModbusSettings, Point, Table,
};

/// A machine on Modbus TCP with the group `fast` and no points.
pub(in crate::field) fn map(address: &str) -> MachineMap {
    MachineMap {
        machine: "press-01".parse().unwrap(),
        name: LocalText::default(),
        hash: "sha256:0".to_owned(),
        fingerprint: "0".to_owned(),
        connections: vec![Connection {
            name: "main".parse().unwrap(),
            endpoint: Endpoint::Tcp {
                address: address.to_owned(),
            },
            modbus: ModbusSettings {
                timeout: Duration::from_millis(1000),
                quiet: Duration::from_millis(2000),
                max_gap: 8,
                max_registers: 125,
                max_bits: 2000,
                connect_pause: Duration::ZERO,
                request_per_point: false,
            },
        }],
        groups: vec![Group {
            name: "fast".parse().unwrap(),
            interval: Duration::from_secs(1),
            stale_after: Duration::from_secs(10),
        }],
        points: Vec::new(),
        rules: Vec::new(),
        warm_up: Duration::ZERO,
        hold_counts: Duration::from_secs(900),
    }
}

/// Adds a point `p0`, `p1`, … of the first group and connection.
pub(in crate::field) fn add(
    map: &mut MachineMap,
    unit_id: u8,
    table: Table,
    start: u16,
    kind: Kind,
) {
    map.points.push(Point {
        name: format!("p{}", map.points.len()).parse().unwrap(),
        group: 0,
        connection: 0,
        address: ModbusAddress {
            unit_id,
            table,
            start,
            kind,
        },
        scaling: None,
        deadband: None,
        expect: None,
        publish: true,
        unit: None,
        description: None,
    });
}
