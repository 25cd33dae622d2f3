//! Points that lie over one another in a device though they can't both be right.
//!
//! Fine are: the same registers read as the same type twice (scaled differently, or in two groups);
//! bits of registers that are read as whole numbers, too. Anything else that shares a register is a
//! fault: two types over the same registers, two orders, or a value that begins inside another.

use super::model::{Kind, Point, Table};

/// The pairs that conflict, as places in `points`: each later point once, with one that it conflicts with.
///
/// Linear for all practical purposes: points of equal place and type are taken together, and a
/// register lies under at most a few hundred distinct ones.
pub(super) fn conflicts(points: &[(usize, &Point)]) -> Vec<(usize, usize)> {
    let mut sorted: Vec<&(usize, &Point)> = points
        .iter()
        .filter(|(_, point)| !point.address.table.is_bits())
        .collect();
    sorted.sort_by_key(|(place, point)| (device(point), point.address.start, *place));
    let mut conflicts = Vec::new();
    let mut open: Vec<(usize, &Point)> = Vec::new();
    for (place, point) in sorted {
        open.retain(|(_, earlier)| device(earlier) == device(point) && end(earlier) > start(point));
        let same = |earlier: &Point| {
            earlier.address.start == point.address.start
                && earlier.address.kind == point.address.kind
        };
        if open.iter().any(|(_, earlier)| same(earlier)) {
            continue;
        }
        let conflict = open.iter().find(|(_, earlier)| !compatible(earlier, point));
        if let Some((earlier, _)) = conflict {
            conflicts.push((*place.max(earlier), *place.min(earlier)));
        }
        open.push((*place, point));
    }
    conflicts.sort_unstable();
    conflicts
}

fn device(point: &Point) -> (u16, u8, Table) {
    (point.connection, point.address.unit_id, point.address.table)
}

fn start(point: &Point) -> u32 {
    u32::from(point.address.start)
}

fn end(point: &Point) -> u32 {
    start(point) + u32::from(point.address.width())
}

/// Whether two points that share a register, and differ in place or type, may.
fn compatible(a: &Point, b: &Point) -> bool {
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
