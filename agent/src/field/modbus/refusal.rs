//! What a device has refused to read: points that don't exist there, and registers that it doesn't
//! give in one request. Learned while polling, kept as long as the job lives.
//!
//! Pure. Bounds: at most one entry a point and one wall between two points.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{self, Request, Wall};
use super::schedule::Moment;
use crate::config::model::MachineMap;

/// How long a refused point is left alone: it is a fault of the map or of the device's firmware,
/// and neither changes by itself, but somebody may repair it.
const RETRY: Duration = Duration::from_secs(600);

/// How long the first point is left alone where all are refused: then the device is at fault, not the
/// map, such as one that has just been switched on.
const RETRY_WHERE_ALL: Duration = Duration::from_secs(15);

/// Refused points and walls of one job.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    points: BTreeMap<u16, Refused>,
    walls: Vec<Wall>,
}

#[derive(Debug)]
struct Refused {
    code: u8,
    retry: Moment,
}

impl Refusals {
    /// The fewest requests that read those of the points which are not refused.
    pub(super) fn requests(&self, map: &MachineMap, points: &[u16]) -> Vec<Request> {
        let mut walls = self.walls.clone();
        walls.extend(self.points.keys().filter_map(|place| {
            let address = map.points.get(usize::from(*place))?.modbus()?;
            let start = u32::from(address.start);
            Some(Wall {
                unit_id: address.unit_id,
                table: address.table,
                start,
                end: start + u32::from(address.width()),
            })
        }));
        let wanted = points.iter().copied();
        let wanted = wanted.filter(|point| !self.points.contains_key(point));
        plan::around(map, wanted.collect(), &walls)
    }

    /// The points stand alone and were refused; whether one of them was not known to be.
    pub(super) fn refuse(&mut self, points: &[u16], code: u8, now: Moment) -> bool {
        let retry = now.saturating_add(RETRY);
        let mut news = false;
        for point in points {
            news |= self
                .points
                .insert(*point, Refused { code, retry })
                .is_none();
        }
        news
    }

    /// The points were read; whether one of them had been refused. Then what was learned of
    /// walls may be wrong, too, and is forgotten, and the other refused points are tried at once.
    pub(super) fn accept(&mut self, points: &[u16]) -> bool {
        let known = self.points.len();
        for point in points {
            self.points.remove(point);
        }
        let news = self.points.len() < known;
        if news {
            self.walls.clear();
            for refused in self.points.values_mut() {
                refused.retry = Moment::ZERO;
            }
        }
        news
    }

    /// Each half of a refused request was read: they can't be read together.
    pub(super) fn part(&mut self, wall: Wall) {
        if !self.walls.contains(&wall) {
            self.walls.push(wall);
        }
    }

    /// The refused points and the exception that each gave.
    pub(super) fn refused(&self) -> impl Iterator<Item = (u16, u8)> {
        self.points
            .iter()
            .map(|(point, refused)| (*point, refused.code))
    }

    /// Whether the point is to be tried again. `all`: the job has no other points.
    pub(super) fn retries(&self, point: u16, all: bool, now: Moment) -> bool {
        let Some(refused) = self.points.get(&point) else {
            return false;
        };
        let is_first = self.points.keys().next() == Some(&point);
        let early = if all && is_first {
            RETRY - RETRY_WHERE_ALL
        } else {
            Duration::ZERO
        };
        refused.retry <= now.saturating_add(early)
    }
}

/// Parts a refused request into halves and the wall between them, or gives none where all its
/// points lie alike, so that they are what was refused.
pub(super) fn halves(map: &MachineMap, request: &Request) -> Option<(Request, Request, Wall)> {
    let middle = request.points.len() / 2;
    let (left, right) = request.points.split_at_checked(middle)?;
    let left = cover(map, request, left)?;
    let right = cover(map, request, right)?;
    let span = |part: &Request| (part.start, part.count);
    if span(&left) == span(request) && span(&right) == span(request) {
        return None;
    }
    let end = |part: &Request| u32::from(part.start) + u32::from(part.count);
    let (left_end, right_start) = (end(&left), u32::from(right.start));
    let (start, end) = if left_end <= right_start {
        (left_end - 1, right_start + 1)
    } else {
        (u32::from(left.start), end(&right).max(left_end))
    };
    let wall = Wall {
        unit_id: request.unit_id,
        table: request.table,
        start,
        end,
    };
    Some((left, right, wall))
}

/// The request that reads just these points of a larger one; none for no points.
fn cover(map: &MachineMap, within: &Request, points: &[u16]) -> Option<Request> {
    let addresses = points
        .iter()
        .filter_map(|place| map.points.get(usize::from(*place))?.modbus())
        .map(|address| (u32::from(address.start), u32::from(address.width())));
    let start = addresses.clone().map(|(start, _)| start).min()?;
    let end = addresses.map(|(start, width)| start + width).max()?;
    Some(Request {
        start: u16::try_from(start).ok()?,
        count: u16::try_from(end - start).ok()?,
        points: points.to_vec(),
        ..*within
    })
}

#[cfg(test)]
mod tests {
    use super::{RETRY, Refusals, halves};
    use crate::config::model::{ByteOrder, Kind, MachineMap, Table};
    use crate::field::modbus::{plan::Request, sample_map};
    use std::time::Duration;

    fn map(starts: &[u16]) -> MachineMap {
        let mut map = sample_map::map("127.0.0.1:502");
        for start in starts {
            sample_map::add(
                &mut map,
                1,
                Table::Holding,
                *start,
                Kind::U16(ByteOrder::High),
            );
        }
        map
    }

    /// Polls until nothing is learned any more, against a device that refuses some registers, some
    /// pairs of neighbours and long requests; gives the requests that are left.
    fn learn(map: &MachineMap, refuses: impl Fn(&Request) -> bool) -> (Refusals, Vec<(u16, u16)>) {
        let points: Vec<u16> = (0..).take(map.points.len()).collect();
        let mut refusals = Refusals::default();
        for _ in 0..20 {
            let requests = refusals.requests(map, &points);
            if !requests.iter().any(&refuses) {
                let spans = requests.iter().map(|r| (r.start, r.count)).collect();
                return (refusals, spans);
            }
            for request in requests {
                ask(map, &mut refusals, &request, &refuses);
            }
        }
        panic!("no end of learning: {refusals:?}");
    }

    fn ask(
        map: &MachineMap,
        refusals: &mut Refusals,
        request: &Request,
        refuses: &impl Fn(&Request) -> bool,
    ) -> bool {
        if !refuses(request) {
            return true;
        }
        match halves(map, request) {
            None => {
                refusals.refuse(&request.points, 2, Duration::ZERO);
            }
            Some((left, right, wall)) => {
                let left = ask(map, refusals, &left, refuses);
                let right = ask(map, refusals, &right, refuses);
                if left && right {
                    refusals.part(wall);
                }
            }
        }
        false
    }

    fn covers(request: &Request, register: u16) -> bool {
        (request.start..request.start + request.count).contains(&register)
    }

    #[test]
    fn the_bad_point_is_isolated_and_the_others_are_merged_again() {
        let check = |starts: &[u16], bad: &[u16], refused: &[u16], left: &[(u16, u16)]| {
            let map = map(starts);
            let (refusals, spans) = learn(&map, |request| {
                bad.iter().any(|register| covers(request, *register))
            });
            let got: Vec<u16> = refusals.refused().map(|(point, _)| point).collect();
            assert_eq!((&*got, &*spans), (refused, left), "{starts:?} {bad:?}");
        };
        check(&[0, 1, 2, 3, 4, 5, 6, 7], &[5], &[5], &[(0, 5), (6, 2)]);
        check(&[0, 1, 2, 3], &[0, 3], &[0, 3], &[(1, 2)]);
        // A hole between two points: no point is bad, and the rest is merged around the hole.
        check(&[0, 1, 2, 6, 7, 8, 9], &[4], &[], &[(0, 3), (6, 4)]);
        check(&[0, 0, 0, 1], &[0], &[0, 1, 2], &[(1, 1)]);
        check(&[9], &[9], &[0], &[]);
    }

    #[test]
    fn a_device_that_gives_only_short_answers_is_read_in_parts() {
        let starts: Vec<u16> = (0..120).collect();
        let map = map(&starts);
        let (refusals, spans) = learn(&map, |request| request.count > 50);
        assert_eq!(refusals.refused().count(), 0);
        assert_eq!(spans, [(0, 30), (30, 30), (60, 30), (90, 30)]);
    }

    #[test]
    fn a_device_that_allows_no_read_across_a_border_is_read_beside_it() {
        let starts: Vec<u16> = (90..110).collect();
        let map = map(&starts);
        let (refusals, spans) = learn(&map, |request| covers(request, 97) && covers(request, 98));
        assert_eq!(refusals.refused().count(), 0);
        assert_eq!(spans, [(90, 8), (98, 12)]);
    }

    #[test]
    fn a_refused_point_is_tried_again_seldom_and_taken_back_when_it_is_read() {
        let mut refusals = Refusals::default();
        let now = Duration::from_secs(7);
        assert!(refusals.refuse(&[3, 4], 2, now));
        assert!(!refusals.retries(3, false, now + RETRY - Duration::from_millis(1)));
        assert!(refusals.retries(3, false, now + RETRY));
        assert!(!refusals.retries(5, false, now + RETRY));
        assert!(!refusals.refuse(&[3], 3, now + RETRY));
        assert!(!refusals.retries(3, false, now + RETRY));
        assert_eq!(refusals.refused().collect::<Vec<_>>(), [(3, 3), (4, 2)]);
        assert!(refusals.accept(&[3]));
        assert!(!refusals.accept(&[3]));
        assert_eq!(refusals.refused().collect::<Vec<_>>(), [(4, 2)]);
    }
}
