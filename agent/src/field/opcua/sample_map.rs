//! Machine maps for the tests beside: one machine behind one OPC UA server, one poll group.

use lineside_proto::LocalText;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{
    Address, Connection, Group, Identity, Link, MachineMap, NodeAddress, NodeKind, NodeName, Point,
    Security, Server,
};

/// The namespace of all points in these maps.
pub(super) const NAMESPACE: &str = "urn:lineside:test";

/// A server at this address, spoken to without protection.
pub(super) fn server(url: &str) -> Server {
    Server {
        url: url.to_owned(),
        security: Security::None,
        identity: Identity::Anonymous,
        timeout: Duration::from_secs(2),
        history: true,
    }
}

/// A machine behind this server with the group `fast` and no points.
pub(super) fn map(name: &str, server: &Arc<Server>) -> MachineMap {
    MachineMap {
        machine: name.parse().unwrap(),
        name: LocalText::default(),
        hash: "sha256:0".to_owned(),
        fingerprint: name.to_owned(),
        connections: vec![Connection {
            name: "main".parse().unwrap(),
            link: Link::OpcUa(Arc::clone(server)),
        }],
        groups: vec![Group {
            name: "fast".parse().unwrap(),
            interval: Duration::from_millis(100),
            stale_after: Duration::from_secs(3),
        }],
        points: Vec::new(),
        rules: Vec::new(),
        warm_up: Duration::ZERO,
        hold_counts: Duration::from_secs(900),
        evidence: crate::config::model::Evidence::default(),
        files: String::new(),
    }
}

/// A point of the first group and connection that takes this node for such a value.
pub(super) fn point(name: &str, node: &str, kind: NodeKind, index: Option<u32>) -> Point {
    Point {
        name: name.parse().unwrap(),
        group: 0,
        connection: 0,
        address: Address::Node(NodeAddress {
            namespace: NAMESPACE.to_owned(),
            name: NodeName::Text(node.to_owned()),
            index,
            kind,
        }),
        scaling: None,
        deadband: None,
        expect: None,
        publish: true,
        unit: None,
        description: None,
    }
}

/// Adds number points `p0`, `p1`, … for these nodes and makes the map another one.
pub(super) fn add(map: &mut MachineMap, nodes: &[&str]) {
    for node in nodes {
        let name = format!("p{}", map.points.len());
        map.points.push(point(&name, node, NodeKind::Number, None));
        map.fingerprint.push_str(node);
    }
}
