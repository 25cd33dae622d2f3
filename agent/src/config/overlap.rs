//! Points that lie over one another in a device though they can't both be right.
//!
//! Fine are: the same registers read as the same type twice (scaled differently, or in two groups);
//! bits of registers that are read as whole numbers, too. Anything else that shares a register is a
//! fault: two types over the same registers, two orders, or a value that begins inside another. A node
//! of an OPC UA server, or an element of it, is one value and can't be of two types either.

use std::collections::BTreeMap;

use super::model::{Kind, ModbusAddress, NodeKind, Point, Table};

/// The pairs that conflict, as places in `points`: each later point once, with one that it conflicts with.
///
/// Linear for all practical purposes: points of equal place and type are taken together, and a
/// register lies under at most a few hundred distinct ones.
pub(super) fn conflicts(points: &[(usize, &Point)]) -> Vec<(usize, usize)> {
    let laid = points
        .iter()
        .filter_map(|(place, point)| Some((*place, Laid::of(point)?)));
    let mut sorted: Vec<(usize, Laid<'_>)> = laid
        .filter(|(_, point)| !point.address.table.is_bits())
        .collect();
    sorted.sort_by_key(|(place, point)| (device(point), point.address.start, *place));
    let mut conflicts = Vec::new();
    let mut open: Vec<(usize, Laid<'_>)> = Vec::new();
    for (place, point) in sorted {
        open.retain(|(_, earlier)| {
            device(earlier) == device(&point) && end(earlier) > start(&point)
        });
        let same = |earlier: &Laid<'_>| {
            earlier.address.start == point.address.start
                && earlier.address.kind == point.address.kind
        };
        if open.iter().any(|(_, earlier)| same(earlier)) {
            continue;
        }
        let conflict = open
            .iter()
            .find(|(_, earlier)| !compatible(earlier, &point));
        if let Some((earlier, _)) = conflict {
            conflicts.push((place.max(*earlier), place.min(*earlier)));
        }
        open.push((place, point));
    }
    conflicts.extend(node_conflicts(points));
    conflicts.sort_unstable();
    conflicts
}

/// Nodes, or elements of them, that are taken for two things.
fn node_conflicts(points: &[(usize, &Point)]) -> Vec<(usize, usize)> {
    let mut first: BTreeMap<(u16, String, Option<u32>), (usize, NodeKind)> = BTreeMap::new();
    let nodes = points
        .iter()
        .filter_map(|(place, point)| Some((*place, point.connection, point.node()?)));
    nodes
        .filter_map(|(place, connection, node)| {
            let known = first
                .entry((connection, node.id(), node.index))
                .or_insert((place, node.kind));
            (known.1 != node.kind).then_some((place, known.0))
        })
        .collect()
}

/// A point of a Modbus device and where it lies.
#[derive(Clone, Copy)]
struct Laid<'a> {
    connection: u16,
    address: &'a ModbusAddress,
}

impl<'a> Laid<'a> {
    fn of(point: &'a Point) -> Option<Self> {
        Some(Self {
            connection: point.connection,
            address: point.modbus()?,
        })
    }
}

fn device(point: &Laid<'_>) -> (u16, u8, Table) {
    (point.connection, point.address.unit_id, point.address.table)
}

fn start(point: &Laid<'_>) -> u32 {
    u32::from(point.address.start)
}

fn end(point: &Laid<'_>) -> u32 {
    start(point) + u32::from(point.address.width())
}

/// Whether two points that share a register, and differ in place or type, may.
fn compatible(a: &Laid<'_>, b: &Laid<'_>) -> bool {
    let (a, b) = (a.address.kind, b.address.kind);
    match (a.is_bool(), b.is_bool()) {
        (true, true) => true,
        (true, false) => is_whole(b),
        (false, true) => is_whole(a),
        (false, false) => false,
    }
}

fn is_whole(kind: Kind) -> bool {
    match kind {
        Kind::U16(_) | Kind::I16(_) | Kind::U32(_) | Kind::I32(_) | Kind::U64(_) | Kind::I64(_) => {
            true
        }
        Kind::Bool(_)
        | Kind::F32(_)
        | Kind::F64(_)
        | Kind::String { .. }
        | Kind::Bcd16(_)
        | Kind::Bcd32(_) => false,
    }
}
