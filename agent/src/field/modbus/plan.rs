//! Which requests read a poll group: the fewest that cover its points.
//!
//! A request stays within one connection, unit and table, reads over at most `max-gap` registers
//! between two of its points and is at most as long as the connection allows. No I/O, no time.
//! Bounds: at most one request a point.

use std::cmp::Reverse;

use crate::config::model::{Connection, MachineMap, ModbusSettings, Table};

/// Registers that one request may ask for, by the standard.
pub const REGISTERS_MAX: u16 = 125;

/// Bits that one request may ask for, by the standard.
pub const BITS_MAX: u16 = 2_000;

/// One read: `count` registers or bits from `start`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The connection, as its place in [`MachineMap::connections`].
    pub connection: u16,
    /// The unit.
    pub unit_id: u8,
    /// The table, and with it the function.
    pub table: Table,
    /// The first register or bit, zero-based.
    pub start: u16,
    /// Registers or bits, at least 1.
    pub count: u16,
    /// The points that it covers, as their places in the map, by address.
    pub points: Vec<u16>,
}

/// Registers that must not be read together: a request may not cover all of them, since the device
/// refused one that did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wall {
    /// The unit.
    pub unit_id: u8,
    /// The table.
    pub table: Table,
    /// The first register or bit.
    pub start: u32,
    /// The one behind the last.
    pub end: u32,
}

/// The fewest requests that read all points of the poll group at this place in the map; none where
/// there is no such group.
pub fn requests(map: &MachineMap, group: u16) -> Vec<Request> {
    let places = (0..).zip(&map.points);
    let points = places
        .filter(|(_, point)| point.group == group)
        .map(|(place, _)| place)
        .collect();
    around(map, points, &[])
}

/// The fewest requests that read the given points without covering a wall.
pub(super) fn around(map: &MachineMap, points: Vec<u16>, walls: &[Wall]) -> Vec<Request> {
    let mut spans: Vec<Span> = points
        .into_iter()
        .filter_map(|point| Span::of(map, point))
        .collect();
    // The longer of two that start together comes first, so that the shorter lies within it.
    spans.sort_unstable_by_key(|span| {
        (
            span.connection,
            span.unit_id,
            span.table,
            span.start,
            Reverse(span.end),
        )
    });
    let mut requests: Vec<Open> = Vec::new();
    for span in spans {
        let connection = map.connections.get(usize::from(span.connection));
        let Some((_, settings)) = connection.and_then(Connection::modbus) else {
            continue;
        };
        match requests.last_mut() {
            Some(open) if open.takes(&span, settings, walls) => open.take(&span),
            _ => requests.push(Open::new(span)),
        }
    }
    requests.into_iter().map(Open::close).collect()
}

/// What one point covers.
#[derive(Clone, Copy)]
struct Span {
    point: u16,
    connection: u16,
    unit_id: u8,
    table: Table,
    start: u32,
    end: u32,
}

impl Span {
    fn of(map: &MachineMap, place: u16) -> Option<Self> {
        let point = map.points.get(usize::from(place))?;
        let address = point.modbus()?;
        let start = u32::from(address.start);
        Some(Self {
            point: place,
            connection: point.connection,
            unit_id: address.unit_id,
            table: address.table,
            start,
            end: start + u32::from(address.width()),
        })
    }
}

/// A request that still takes points. Points come by their start, so that stopping at the first
/// that doesn't fit is never worse: whatever fits behind it also fits into the request it begins.
struct Open {
    first: Span,
    end: u32,
    points: Vec<u16>,
}

impl Open {
    fn new(first: Span) -> Self {
        Self {
            first,
            end: first.end,
            points: vec![first.point],
        }
    }

    fn takes(&self, span: &Span, settings: &ModbusSettings, walls: &[Wall]) -> bool {
        let first = &self.first;
        let same = (first.connection, first.unit_id, first.table)
            == (span.connection, span.unit_id, span.table);
        if !same || settings.request_per_point {
            return false;
        }
        if span.end <= self.end {
            return true;
        }
        let (gap_max, length_max) = if span.table.is_bits() {
            (settings.max_gap, settings.max_bits.min(BITS_MAX))
        } else {
            (settings.max_gap, settings.max_registers.min(REGISTERS_MAX))
        };
        let covers = |wall: &Wall| {
            (wall.unit_id, wall.table) == (first.unit_id, first.table)
                && first.start <= wall.start
                && wall.end <= span.end
        };
        span.start.saturating_sub(self.end) <= u32::from(gap_max)
            && span.end - first.start <= u32::from(length_max)
            && !walls.iter().any(covers)
    }

    fn take(&mut self, span: &Span) {
        self.end = self.end.max(span.end);
        self.points.push(span.point);
    }

    fn close(self) -> Request {
        let first = self.first;
        // Both lie in 16 bits: addresses do, and no point or request is longer than BITS_MAX.
        Request {
            connection: first.connection,
            unit_id: first.unit_id,
            table: first.table,
            start: u16::try_from(first.start).unwrap_or(u16::MAX),
            count: u16::try_from(self.end - first.start).unwrap_or(u16::MAX),
            points: self.points,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, Wall, around, requests};
    use crate::config::model::{ByteOrder, Kind, MachineMap, Order, Table};
    use crate::field::modbus::sample_map;
    use proptest::prelude::*;

    fn map(points: &[(u8, Table, u16, Kind)], change: impl Fn(&mut MachineMap)) -> MachineMap {
        let mut map = sample_map::map("127.0.0.1:502");
        for (unit_id, table, start, kind) in points {
            sample_map::add(&mut map, *unit_id, *table, *start, *kind);
        }
        change(&mut map);
        map
    }

    fn spans(requests: &[Request]) -> Vec<(u8, Table, u16, u16, Vec<u16>)> {
        let mut out = Vec::new();
        for request in requests {
            let Request {
                unit_id,
                table,
                start,
                count,
                points,
                ..
            } = request.clone();
            out.push((unit_id, table, start, count, points));
        }
        out
    }

    #[test]
    fn points_are_merged_only_where_one_request_can_read_them() {
        use Table::{Coil, Discrete, Holding, Input};
        let u16_ = Kind::U16(ByteOrder::High);
        let f32_ = Kind::F32(Order::Abcd);
        let bool_ = Kind::Bool(None);
        let check = |points: &[(u8, Table, u16, Kind)],
                     change: &dyn Fn(&mut MachineMap),
                     expected: &[(u8, Table, u16, u16, Vec<u16>)]| {
            let map = map(points, change);
            assert_eq!(spans(&requests(&map, 0)), expected, "{points:?}");
        };
        let keep = |_: &mut MachineMap| {};
        check(&[], &keep, &[]);
        check(
            &[(1, Holding, 110, u16_), (1, Holding, 100, f32_)],
            &keep,
            &[(1, Holding, 100, 11, vec![1, 0])],
        );
        check(
            &[(1, Holding, 100, f32_), (1, Holding, 111, u16_)],
            &keep,
            &[(1, Holding, 100, 2, vec![0]), (1, Holding, 111, 1, vec![1])],
        );
        check(
            &[
                (2, Holding, 0, u16_),
                (1, Input, 0, u16_),
                (1, Holding, 0, u16_),
                (1, Coil, 0, bool_),
                (1, Discrete, 0, bool_),
            ],
            &keep,
            &[
                (1, Coil, 0, 1, vec![3]),
                (1, Discrete, 0, 1, vec![4]),
                (1, Holding, 0, 1, vec![2]),
                (1, Input, 0, 1, vec![1]),
                (2, Holding, 0, 1, vec![0]),
            ],
        );
        check(
            &[(1, Holding, 0, u16_), (1, Holding, 1, u16_)],
            &|map| sample_map::settings(map).request_per_point = true,
            &[(1, Holding, 0, 1, vec![0]), (1, Holding, 1, 1, vec![1])],
        );
        check(
            &[
                (1, Holding, 0, Kind::Bool(Some(3))),
                (1, Holding, 0, Kind::Bool(Some(4))),
                (1, Holding, 0, f32_),
            ],
            &keep,
            &[(1, Holding, 0, 2, vec![2, 0, 1])],
        );
        check(
            &[(1, Holding, 65_534, f32_), (1, Holding, 65_535, u16_)],
            &keep,
            &[(1, Holding, 65_534, 2, vec![0, 1])],
        );
        check(
            &[
                (1, Coil, 0, bool_),
                (1, Coil, 1999, bool_),
                (1, Coil, 2000, bool_),
            ],
            &|map| sample_map::settings(map).max_gap = 5000,
            &[(1, Coil, 0, 2000, vec![0, 1]), (1, Coil, 2000, 1, vec![2])],
        );
    }

    #[test]
    fn a_wall_is_never_covered() {
        let u16_ = Kind::U16(ByteOrder::High);
        let points: Vec<_> = (0..8).map(|at| (1, Table::Holding, at, u16_)).collect();
        let map = map(&points, |_| {});
        let check = |start, end, expected: &[(u16, u16)]| {
            let wall = Wall {
                unit_id: 1,
                table: Table::Holding,
                start,
                end,
            };
            let got = around(&map, (0..8).filter(|at| *at != 5).collect(), &[wall]);
            let got: Vec<_> = got.iter().map(|r| (r.start, r.count)).collect();
            assert_eq!(got, expected);
        };
        check(5, 6, &[(0, 5), (6, 2)]);
        check(3, 5, &[(0, 4), (4, 4)]);
        check(100, 101, &[(0, 8)]);
    }

    fn kind(registers: u16) -> Kind {
        match registers {
            1 => Kind::U16(ByteOrder::High),
            2 => Kind::F32(Order::Abcd),
            4 => Kind::F64(Order::Abcd),
            wide => Kind::String {
                length: u8::try_from(wide * 2).unwrap(),
                order: ByteOrder::High,
            },
        }
    }

    fn small_map() -> impl Strategy<Value = MachineMap> {
        let table = prop_oneof![3 => Just(Table::Holding), 1 => Just(Table::Coil)];
        let width = prop_oneof![Just(1_u16), Just(2), Just(4), Just(9)];
        let point = (1_u8..3, table, 0_u16..24, width);
        let points = proptest::collection::vec(point, 0..8);
        (points, 0_u16..6, 1_u16..12, 1_u16..12).prop_map(
            |(points, max_gap, max_registers, max_bits)| {
                let points: Vec<_> = points
                    .into_iter()
                    .map(|(unit, table, start, width)| {
                        let bits = table.is_bits();
                        let kind = if bits { Kind::Bool(None) } else { kind(width) };
                        (unit, table, start, kind)
                    })
                    .collect();
                map(&points, |map| {
                    let settings = sample_map::settings(map);
                    settings.max_gap = max_gap;
                    settings.max_registers = max_registers;
                    settings.max_bits = max_bits;
                })
            },
        )
    }

    /// Whether one request may read all of these points, said without the planner.
    fn may_share(map: &MachineMap, points: &[usize]) -> bool {
        let mut spans: Vec<_> = points
            .iter()
            .map(|place| {
                let address = map.points[*place].modbus().unwrap();
                let start = u32::from(address.start);
                (start, start + u32::from(address.width()), address)
            })
            .collect();
        spans.sort_by_key(|span| span.0);
        let (first, _, address) = spans[0];
        let (_, settings) = map.connections[0].modbus().unwrap();
        let limit = if address.table.is_bits() {
            settings.max_bits
        } else {
            settings.max_registers
        };
        let widest = spans.iter().map(|span| span.1 - span.0).max().unwrap();
        let mut end = first;
        for (start, point_end, other) in &spans {
            let same = (address.unit_id, address.table) == (other.unit_id, other.table);
            if !same || start.saturating_sub(end) > u32::from(settings.max_gap) {
                return false;
            }
            end = end.max(*point_end);
        }
        end - first <= u32::from(limit).max(widest)
    }

    /// The fewest sets into which the points can be parted, by trying every way.
    fn fewest(map: &MachineMap, place: usize, sets: &mut Vec<Vec<usize>>) -> usize {
        if place == map.points.len() {
            return if sets.iter().all(|set| may_share(map, set)) {
                sets.len()
            } else {
                usize::MAX
            };
        }
        let mut best = usize::MAX;
        for at in 0..sets.len() {
            sets[at].push(place);
            best = best.min(fewest(map, place + 1, sets));
            sets[at].pop();
        }
        sets.push(vec![place]);
        best = best.min(fewest(map, place + 1, sets));
        sets.pop();
        best
    }

    proptest! {
        #[test]
        fn the_requests_are_the_fewest_and_cover_every_point_once(map in small_map()) {
            let requests = requests(&map, 0);
            prop_assert_eq!(requests.len(), fewest(&map, 0, &mut Vec::new()));
            let mut seen = vec![0; map.points.len()];
            for request in &requests {
                let start = u32::from(request.start);
                let end = start + u32::from(request.count);
                for place in &request.points {
                    let place = usize::from(*place);
                    seen[place] += 1;
                    let address = map.points[place].modbus().unwrap();
                    let point = u32::from(address.start);
                    prop_assert_eq!((address.unit_id, address.table), (request.unit_id, request.table));
                    prop_assert!(start <= point && point + u32::from(address.width()) <= end);
                }
                let places: Vec<_> = request.points.iter().map(|place| usize::from(*place)).collect();
                prop_assert!(may_share(&map, &places));
            }
            prop_assert!(seen.iter().all(|count| *count == 1));
        }
    }
}
