//! One subscription as it is heard: its messages in order, when it spoke last, and for whose values
//! it vouches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lineside_proto::Time;
use tokio::time::Instant;

use super::freshness::{Patience, Voice, standing_pace};
use super::item::{Item, Rhythm};
use super::note::Note;
use super::sequence::Sequence;
use crate::clock::Stamp;
use crate::sample::{Slot, Standing};

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The server's number; none: it is being made.
    pub id: Option<u32>,
    /// Its messages.
    pub sequence: Sequence<Note>,
    /// When it spoke.
    pub voice: Voice,
    /// The last word up to which nothing is missing: the gateway's time of it, and the server's in its
    /// ticks.
    pub word: Option<(Time, Option<i64>)>,
    /// Items came or went: what it vouches for must be gathered anew.
    pub is_changed: bool,
    vouched: BTreeMap<(Slot, u16), Vouched>,
}

/// What it vouches for of one poll group.
#[derive(Debug)]
struct Vouched {
    points: Arc<[u16]>,
    pace: Duration,
    said: Option<Instant>,
}

impl Subscription {
    /// One that is being made.
    pub(super) fn new(rhythm: Rhythm, patience: Patience, now: Instant) -> Self {
        Self {
            id: None,
            sequence: Sequence::new(),
            voice: Voice::new(patience, rhythm.promised(), now),
            word: None,
            is_changed: false,
            vouched: BTreeMap::new(),
        }
    }

    /// Gathers what it vouches for: items of which a value was taken.
    pub(super) fn gather<'a>(&mut self, taken: impl Iterator<Item = &'a Item>) {
        self.is_changed = false;
        let mut points: BTreeMap<(Slot, u16), (Vec<u16>, Duration)> = BTreeMap::new();
        for item in taken {
            let group = item.spec.group;
            let settings = item.spec.map.groups.get(usize::from(group));
            let stale = settings.map_or(Duration::ZERO, |group| group.stale_after);
            let place = points
                .entry((item.spot.slot, group))
                .or_insert_with(|| (Vec::new(), standing_pace(stale)));
            place.0.push(item.spot.point);
        }
        let mut before = std::mem::take(&mut self.vouched);
        for (group, (points, pace)) in points {
            let said = before.remove(&group).and_then(|vouched| vouched.said);
            let points = points.into();
            self.vouched.insert(group, Vouched { points, pace, said });
        }
    }

    /// The words that are due, for what was received then.
    pub(super) fn vouch(&mut self, at: Stamp, now: Instant) -> Vec<Standing> {
        let mut words = Vec::new();
        for ((slot, group), vouched) in &mut self.vouched {
            // A word comes with a message only, so that an early one is better than one too late.
            let pace = vouched.pace.mul_f64(0.75);
            if vouched.said.is_none_or(|said| now >= said + pace) {
                vouched.said = Some(now);
                words.push(Standing {
                    slot: *slot,
                    group: *group,
                    at,
                    points: Arc::clone(&vouched.points),
                });
            }
        }
        words
    }
}
