//! By which subscriptions servers bring what is wanted of them: as few as there are thousands of items of
//! one rhythm.
//!
//! The subscriptions of a server are shared by all machines, connections and groups that it serves alike.
//! No I/O, no time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::item::{Rhythm, is_wide, point};
use crate::config::model::{Connection, MachineMap, Server};

/// Items of one subscription: servers publish several subscriptions of a thousand well, and one of
/// ten thousand at half its rate.
pub const ITEMS_MAX: usize = 1_000;

/// The points of a poll group that come over one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Items {
    /// The connection, as its place in [`MachineMap::connections`].
    pub connection: u16,
    /// The points, as their places in [`MachineMap::points`]; at least one.
    pub points: Vec<u16>,
}

/// Subscriptions of one server and one rhythm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    /// The server.
    pub server: Arc<Server>,
    /// How often it publishes what changed.
    pub publish: Duration,
    /// Items of all machines.
    pub items: usize,
    /// Subscriptions that hold them, if the server makes all.
    pub subscriptions: usize,
}

/// All node points of the poll group at this place in the map, by connection and then in the order of the
/// points; none where there is no such group.
pub fn items(map: &MachineMap, group: u16) -> Vec<Items> {
    let mut by_connection: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for (place, point) in (0..).zip(&map.points) {
        if point.group == group && point.node().is_some() {
            let points = by_connection.entry(point.connection).or_default();
            points.push(place);
        }
    }
    let items = by_connection.into_iter();
    items
        .map(|(connection, points)| Items { connection, points })
        .collect()
}

/// What the servers of these maps are asked for together, in the order in which the maps name them.
pub fn shared(maps: &[Arc<MachineMap>]) -> Vec<Shared> {
    let mut servers: Vec<(&Arc<Server>, BTreeMap<Rhythm, usize>)> = Vec::new();
    for map in maps {
        for (place, group) in (0..).zip(&map.groups) {
            for items in items(map, place) {
                let connection = map.connections.get(usize::from(items.connection));
                let Some(server) = connection.and_then(Connection::server) else {
                    continue;
                };
                let known = servers.iter().position(|(known, _)| *known == server);
                let at = known.unwrap_or(servers.len());
                if known.is_none() {
                    servers.push((server, BTreeMap::new()));
                }
                if let Some((_, rhythms)) = servers.get_mut(at) {
                    for point in items.points.iter().filter_map(|place| point(map, *place)) {
                        let (interval, stale_after) = (group.interval, group.stale_after);
                        let rhythm = Rhythm::of(interval, stale_after, is_wide(point));
                        *rhythms.entry(rhythm).or_default() += 1;
                    }
                }
            }
        }
    }
    let shared = servers.into_iter().flat_map(|(server, rhythms)| {
        rhythms.into_iter().map(move |(rhythm, items)| Shared {
            server: Arc::clone(server),
            publish: rhythm.publish,
            items,
            subscriptions: items.div_ceil(ITEMS_MAX),
        })
    });
    shared.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::opcua::sample_map;
    use crate::machine::testing::{map, node, point};

    #[test]
    fn a_group_is_cut_by_connection() {
        let node = |number: u32, group, connection| {
            let mut point = node(&format!("p{number}"));
            (point.group, point.connection) = (group, connection);
            point
        };
        let mut points: Vec<_> = (0..2_001).map(|n| node(n, 0, 1)).collect();
        points.extend([node(9_000, 0, 0), node(9_001, 1, 1), point("register")]);
        let map = map(points);
        let shape = |group| -> Vec<(u16, usize)> {
            let items = items(&map, group);
            let shape = items
                .iter()
                .map(|items| (items.connection, items.points.len()));
            shape.collect()
        };
        assert_eq!(shape(0), [(0, 1), (1, 2_001)]);
        assert_eq!(shape(1), [(1, 1)]);
        assert_eq!(shape(2), []);
    }

    #[test]
    fn machines_of_a_server_share_its_subscriptions() {
        let server = |url: &str| Arc::new(sample_map::server(url));
        let machine = |server: &Arc<Server>, points: usize, interval_ms| {
            let mut map = sample_map::map("press", server);
            let nodes: Vec<String> = (0..points).map(|node| format!("n{node}")).collect();
            let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            sample_map::add(&mut map, &nodes);
            map.groups[0].interval = Duration::from_millis(interval_ms);
            Arc::new(map)
        };
        let (one, other) = (server("opc.tcp://one"), server("opc.tcp://other"));
        let maps = [
            machine(&one, 600, 100),
            machine(&other, 1, 100),
            machine(&server("opc.tcp://one"), 500, 100),
            machine(&one, 1_000, 60_000),
        ];
        let told: Vec<_> = shared(&maps)
            .into_iter()
            .map(|shared| {
                (
                    shared.server,
                    shared.publish.as_millis(),
                    shared.items,
                    shared.subscriptions,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (Arc::clone(&one), 100, 1_100, 2),
                (one, 2_000, 1_000, 1),
                (other, 100, 1, 1),
            ]
        );
    }
}
