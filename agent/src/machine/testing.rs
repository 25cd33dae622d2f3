//! Machine maps for tests of the core.

use std::sync::Arc;
use std::time::Duration;

use super::rule::{PointKind, Rule, RulePoint};
use crate::config::model::{
    Address, ByteOrder, Connection, Endpoint, Group, Identity, Kind, Link, MachineMap,
    ModbusAddress, ModbusSettings, NodeAddress, NodeKind, NodeName, Point, Security, Server,
    StateRule, Table,
};

/// A number point of group 0.
pub(crate) fn point(name: &str) -> Point {
    Point {
        name: name.parse().unwrap(),
        group: 0,
        connection: 0,
        address: Address::Modbus(ModbusAddress {
            unit_id: 1,
            table: Table::Holding,
            start: 0,
            kind: Kind::U16(ByteOrder::High),
        }),
        scaling: None,
        deadband: None,
        expect: None,
        publish: false,
        unit: None,
        description: None,
    }
}

/// The same as a node of an OPC UA server.
pub(crate) fn node(name: &str) -> Point {
    Point {
        address: Address::Node(NodeAddress {
            namespace: "urn:x".to_owned(),
            name: NodeName::Text(name.to_owned()),
            index: None,
            kind: NodeKind::Number,
        }),
        ..point(name)
    }
}

/// The machine with its connection to an OPC UA server instead.
pub(crate) fn served(map: &MachineMap) -> Arc<MachineMap> {
    let mut map = map.clone();
    for connection in &mut map.connections {
        connection.link = Link::OpcUa(Arc::new(Server {
            url: "opc.tcp://127.0.0.1:1".to_owned(),
            security: Security::None,
            identity: Identity::Anonymous,
            timeout: Duration::from_secs(4),
            history: true,
        }));
    }
    Arc::new(map)
}

/// A machine of these points, one group of 1 s that is stale after 10 s, and no rules.
pub(crate) fn map(points: Vec<Point>) -> Arc<MachineMap> {
    machine(points, &[])
}

/// A machine of these points and rules (`state`, `when`), without hold times.
pub(crate) fn machine(points: Vec<Point>, rules: &[(&str, &str)]) -> Arc<MachineMap> {
    let known: Vec<_> = points
        .iter()
        .map(|point| RulePoint {
            name: point.name.as_str(),
            kind: if point.kind() == PointKind::Bool {
                PointKind::Bool
            } else {
                PointKind::Number
            },
        })
        .collect();
    let rules = rules
        .iter()
        .map(|(state, when)| StateRule {
            state: state.parse().unwrap(),
            when: (*when).to_owned(),
            rule: Rule::compile(when, &known).unwrap(),
            enter: Duration::ZERO,
            leave: Duration::ZERO,
        })
        .collect();
    Arc::new(MachineMap {
        points,
        rules,
        ..bare()
    })
}

/// A machine on Modbus TCP with the group `fast` of 1 s, stale after 10 s, without points and rules.
pub(crate) fn bare() -> MachineMap {
    MachineMap {
        machine: "m".parse().unwrap(),
        name: lineside_proto::LocalText::default(),
        hash: "sha256:0".to_owned(),
        fingerprint: "0".to_owned(),
        connections: vec![Connection {
            name: "main".parse().unwrap(),
            link: Link::Modbus {
                endpoint: Endpoint::Tcp {
                    address: "127.0.0.1:1".to_owned(),
                },
                settings: ModbusSettings {
                    timeout: Duration::from_secs(1),
                    quiet: Duration::from_secs(2),
                    max_gap: 8,
                    max_registers: 125,
                    max_bits: 2000,
                    connect_pause: Duration::ZERO,
                    request_per_point: false,
                },
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
        evidence: crate::config::model::Evidence::default(),
        files: String::new(),
    }
}
