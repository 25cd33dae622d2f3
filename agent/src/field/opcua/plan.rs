//! Which subscriptions bring a poll group: as few as there are thousands of its points.
//!
//! A subscription stays within one machine, one connection and one group, whose interval is its
//! publishing interval. No I/O, no time.

use std::collections::BTreeMap;

use crate::config::model::MachineMap;

/// Items of one subscription: servers publish several subscriptions of a thousand well, and one of
/// ten thousand at half its rate.
pub const ITEMS_MAX: usize = 1_000;

/// A subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The connection, as its place in [`MachineMap::connections`].
    pub connection: u16,
    /// The points, as their places in [`MachineMap::points`]; 1 to [`ITEMS_MAX`].
    pub points: Vec<u16>,
}

/// The subscriptions that bring all node points of the poll group at this place in the map, by
/// connection and then in the order of the points; none where there is no such group.
pub fn subscriptions(map: &MachineMap, group: u16) -> Vec<Subscription> {
    let mut by_connection: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
    for (place, point) in (0..).zip(&map.points) {
        if point.group == group && point.node().is_some() {
            by_connection
                .entry(point.connection)
                .or_default()
                .push(place);
        }
    }
    let parts = by_connection.iter().flat_map(|(connection, points)| {
        let parts = points.chunks(ITEMS_MAX);
        parts.map(|part| (*connection, part.to_vec()))
    });
    parts
        .map(|(connection, points)| Subscription { connection, points })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ITEMS_MAX, subscriptions};
    use crate::machine::testing::{map, node, point};

    #[test]
    fn a_group_is_cut_by_connection_and_by_size() {
        let node = |number: u32, group, connection| {
            let mut point = node(&format!("p{number}"));
            (point.group, point.connection) = (group, connection);
            point
        };
        let mut points: Vec<_> = (0..2_001).map(|n| node(n, 0, 1)).collect();
        points.extend([node(9_000, 0, 0), node(9_001, 1, 1), point("register")]);
        let map = map(points);
        let shape = |group| -> Vec<(u16, usize)> {
            let plan = subscriptions(&map, group);
            plan.iter()
                .map(|part| (part.connection, part.points.len()))
                .collect()
        };
        assert_eq!(shape(0), [(0, 1), (1, ITEMS_MAX), (1, ITEMS_MAX), (1, 1)]);
        assert_eq!(shape(1), [(1, 1)]);
        assert_eq!(shape(2), []);
        assert_eq!(subscriptions(&map, 0)[2].points[0], 1_000);
    }
}
