//! What was lost on the way, machine by machine, until it is filled from the server's history or named.
//!
//! Pure. Bounded: one gap a machine; what is lost while one is open widens it.

use std::collections::BTreeMap;

use lineside_proto::Time;

use super::item::Spot;
use crate::sample::Slot;
use crate::text;
use crate::text::Text;

/// Points named in one gap; the rest is a number.
const NAMES_MAX: usize = 5;

/// Stretches of a point between its losses that are remembered; with more it is not filled, but named.
const STRETCHES_MAX: usize = 4;

/// Gaps that are neither filled nor named yet.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<Slot, Gap>);

/// What one machine lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    /// The gateway's time of the last word before the loss.
    pub from: Time,
    /// The same by the server's clock, in its ticks.
    pub start: Option<i64>,
    /// The gateway's time when the last of its points was heard again, of those that were.
    pub to: Option<Time>,
    /// The points that may have lost values.
    pub points: BTreeMap<u16, Edges>,
}

/// The values of a point at both ends of a gap, by their source times in the server's ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Edges {
    /// The last before the gap.
    pub before: Option<i64>,
    /// The first after it.
    pub first: Option<i64>,
    /// What was delivered between two losses: the first and the last value of each stretch.
    stretches: [Option<(i64, i64)>; STRETCHES_MAX],
    /// The gateway's time of the last word before the newest loss.
    lost: Option<Time>,
    /// The point was heard since the newest loss.
    pub is_heard: bool,
    /// The source times don't tell what was delivered and what was not.
    pub is_torn: bool,
}

impl Edges {
    /// Whether a value with this source time was delivered neither before nor after the gap, nor
    /// between its losses.
    pub(super) fn lacks(&self, ticks: i64) -> bool {
        let delivered = |stretch: &(i64, i64)| (stretch.0..=stretch.1).contains(&ticks);
        self.before.is_none_or(|before| ticks > before)
            && self.first.is_none_or(|first| ticks < first)
            && !self.stretches.iter().flatten().any(delivered)
    }

    /// The point is lost again; this was its last value.
    fn tear(&mut self, last: Option<i64>) {
        let stretch = self.first.take().zip(last);
        let stretch = stretch.filter(|(first, last)| first <= last);
        let free = self.stretches.iter_mut().find(|place| place.is_none());
        match (stretch, free) {
            (Some(stretch), Some(free)) => *free = Some(stretch),
            (Some(_) | None, _) => self.is_torn = true,
        }
        self.is_heard = false;
    }
}

impl Gaps {
    /// A point may have lost values since its last, whose source time this is. Gives whether its
    /// machine had no gap before.
    pub(super) fn open(
        &mut self,
        spot: Spot,
        before: Option<i64>,
        from: Time,
        start: Option<i64>,
    ) -> bool {
        let is_new = !self.0.contains_key(&spot.slot);
        let gap = self.0.entry(spot.slot).or_insert(Gap {
            from,
            start,
            to: None,
            points: BTreeMap::new(),
        });
        gap.from = gap.from.min(from);
        gap.start = gap.start.zip(start).map(|(one, other)| one.min(other));
        gap.to = None;
        let edges = gap.points.entry(spot.point).or_insert(Edges {
            before,
            ..Edges::default()
        });
        edges.lost = Some(from);
        if edges.is_heard {
            edges.tear(before);
        }
        is_new
    }

    /// A value of a point was delivered.
    pub(super) fn hear(&mut self, spot: Spot, ticks: Option<i64>, at: Time) {
        let Some(gap) = self.0.get_mut(&spot.slot) else {
            return;
        };
        let edges = gap.points.get_mut(&spot.point);
        if let Some(edges) = edges.filter(|edges| !edges.is_heard) {
            edges.is_heard = true;
            edges.first = ticks;
            // A source's clock that was set back.
            edges.is_torn |= ticks
                .zip(edges.before)
                .is_some_and(|(ticks, before)| ticks < before);
            gap.to = Some(at);
        }
    }

    /// Whether it is known that a point may have lost values since this word or a later one.
    pub(super) fn has(&self, spot: Spot, since: Time) -> bool {
        let gap = self.0.get(&spot.slot);
        let edges = gap.and_then(|gap| gap.points.get(&spot.point));
        edges.is_some_and(|edges| edges.lost >= Some(since))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets machines that are no longer read.
    pub(super) fn retain(&mut self, stays: impl Fn(Slot) -> bool) {
        self.0.retain(|slot, _| stays(*slot));
    }

    /// All gaps, to be filled or named now.
    pub(super) fn take(&mut self) -> BTreeMap<Slot, Gap> {
        std::mem::take(&mut self.0)
    }
}

/// The points that lost values, for people: how many, and the first few by name.
pub(super) fn names<'a>(points: impl ExactSizeIterator<Item = &'a str>) -> Text {
    let count = points.len();
    let mut named: Vec<&str> = points.take(NAMES_MAX).collect();
    if count > NAMES_MAX {
        named.push("…");
    }
    let (en, zh) = (named.join(", "), named.join("、"));
    text!("{count} points: {en}", "{count} 个点位：{zh}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(point: u16) -> Spot {
        Spot {
            slot: Slot(0),
            point,
        }
    }

    #[test]
    fn history_is_what_was_delivered_on_neither_side() {
        let edges = |before, first| Edges {
            before,
            first,
            ..Edges::default()
        };
        for (edges, ticks, expected) in [
            (edges(Some(10), Some(20)), 10, false),
            (edges(Some(10), Some(20)), 11, true),
            (edges(Some(10), Some(20)), 20, false),
            (edges(Some(10), None), 99, true),
            (edges(None, Some(20)), 1, true),
        ] {
            assert_eq!(edges.lacks(ticks), expected, "{edges:?} {ticks}");
        }
    }

    #[test]
    fn a_loss_while_a_gap_is_open_widens_it() {
        let time = Time::from_millis;
        let mut gaps = Gaps::default();
        assert!(gaps.open(spot(1), Some(10), time(100), Some(1_000)));
        gaps.hear(spot(1), Some(15), time(150));
        assert!(!gaps.has(spot(1), time(160)));
        assert!(!gaps.open(spot(1), Some(17), time(160), Some(1_600)));
        assert!(gaps.has(spot(1), time(160)));
        assert!(!gaps.open(spot(2), None, time(90), Some(900)));
        gaps.hear(spot(1), Some(30), time(300));
        gaps.hear(spot(1), Some(31), time(310));
        gaps.hear(spot(3), Some(31), time(320));
        let gap = gaps.take().remove(&Slot(0)).unwrap();
        // It ends when the last was heard again, after the last loss.
        assert_eq!((gap.from, gap.start), (time(90), Some(900)));
        assert_eq!(gap.to, Some(time(300)));
        let edges = gap.points[&1];
        assert_eq!((edges.is_heard, edges.is_torn), (true, false));
        let lacked: Vec<i64> = (9..32).filter(|ticks| edges.lacks(*ticks)).collect();
        let expected: Vec<i64> = (11..15).chain(18..30).collect();
        assert_eq!(lacked, expected);
        assert!(!gap.points[&2].is_heard);
        assert!(gaps.is_empty());
    }

    #[test]
    fn a_point_is_torn_where_its_times_do_not_tell_what_was_delivered() {
        let time = Time::from_millis;
        // Source times: the last before, then the first and the last of each stretch after it.
        for (before, stretches, expected) in [
            (Some(10), vec![(Some(11), Some(12))], false),
            (Some(10), vec![(Some(10), Some(10))], false),
            (Some(10), vec![(Some(9), Some(12))], true),
            (Some(10), vec![(None, None)], false),
            (None, vec![(None, None), (Some(12), Some(12))], true),
            (Some(1), vec![(Some(4), Some(3)), (Some(5), Some(5))], true),
            (
                Some(1),
                (2..7).map(|at| (Some(at), Some(at))).collect(),
                false,
            ),
            (
                Some(1),
                (2..8).map(|at| (Some(at), Some(at))).collect(),
                true,
            ),
        ] {
            let mut gaps = Gaps::default();
            gaps.open(spot(1), before, time(1), None);
            let count = stretches.len();
            for (number, (first, last)) in stretches.into_iter().enumerate() {
                gaps.hear(spot(1), first, time(2));
                if number + 1 < count {
                    gaps.open(spot(1), last, time(3), None);
                }
            }
            let gap = gaps.take().remove(&Slot(0)).unwrap();
            assert_eq!(gap.points[&1].is_torn, expected, "{gap:?}");
        }
    }

    #[test]
    fn only_the_first_few_points_are_named() {
        let some = ["a", "b"];
        let text = names(some.into_iter());
        assert_eq!(text.en, "2 points: a, b");
        assert_eq!(text.zh, "2 个点位：a、b");
        let many = ["a", "b", "c", "d", "e", "f"];
        let text = names(many.into_iter());
        assert_eq!(text.en, "6 points: a, b, c, d, e, …");
    }
}
