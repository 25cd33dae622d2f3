//! Values of one message, sorted into batches: one for each machine, group and source time, each
//! point at most once in it, and the values of a point in the order in which they came.
//!
//! Pure. Bounded by the message.

use std::collections::HashMap;

use lineside_proto::Time;

use super::item::Spot;
use crate::clock::Stamp;
use crate::sample::{Bad, Batch, Sample, Value};

/// Batches under way.
#[derive(Debug)]
pub(super) struct Batches {
    at: Stamp,
    batches: Vec<Batch>,
    /// The batches of a machine, a group and a time, in order.
    by_time: HashMap<(Spot, Option<Time>), Vec<usize>>,
    /// The batch after the last one that holds a point.
    free: HashMap<Spot, usize>,
}

impl Batches {
    /// No value yet; what is added was received then.
    pub(super) fn new(at: Stamp) -> Self {
        Self {
            at,
            batches: Vec::new(),
            by_time: HashMap::new(),
            free: HashMap::new(),
        }
    }

    /// Adds a value.
    pub(super) fn add(
        &mut self,
        spot: Spot,
        group: u16,
        source: Option<Time>,
        reading: Result<Value, Bad>,
    ) {
        let of_group = Spot {
            slot: spot.slot,
            point: group,
        };
        let places = self.by_time.entry((of_group, source)).or_default();
        let free = self.free.entry(spot).or_default();
        let from = places.partition_point(|place| place < free);
        let place = places.get(from).copied().unwrap_or_else(|| {
            let place = self.batches.len();
            places.push(place);
            self.batches.push(Batch {
                slot: spot.slot,
                group,
                at: self.at,
                source,
                samples: Vec::new(),
            });
            place
        });
        *free = place + 1;
        if let Some(batch) = self.batches.get_mut(place) {
            let point = spot.point;
            batch.samples.push(Sample { point, reading });
        }
    }

    /// The batches, in the order in which they must be taken.
    pub(super) fn done(self) -> Vec<Batch> {
        self.batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Slot;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn at() -> Stamp {
        Stamp {
            boot_ms: 7,
            wall: Time::from_millis(0),
        }
    }

    fn add(batches: &mut Batches, point: u16, ms: i64, value: u64) {
        let spot = Spot {
            slot: Slot(1),
            point,
        };
        let source = Some(Time::from_millis(ms));
        batches.add(spot, point % 2, source, Ok(Value::Uint(value)));
    }

    #[test]
    fn values_of_one_moment_share_a_batch() {
        let mut batches = Batches::new(at());
        for point in [0, 2, 4] {
            for ms in [10, 20, 30] {
                add(&mut batches, point, ms, 0);
            }
        }
        let done = batches.done();
        let sizes: Vec<usize> = done.iter().map(|batch| batch.samples.len()).collect();
        assert_eq!(sizes, [3, 3, 3]);
    }

    proptest! {
        #[test]
        fn every_value_is_in_one_batch_and_no_point_goes_back(
            values in prop::collection::vec((0u16..5, 0i64..6), 0..60)
        ) {
            let mut batches = Batches::new(at());
            for (number, (point, ms)) in (0u64..).zip(&values) {
                add(&mut batches, *point, *ms, number);
            }
            let mut last: HashMap<u16, u64> = HashMap::new();
            let mut count = 0;
            for batch in batches.done() {
                let mut points = HashSet::new();
                for sample in batch.samples {
                    prop_assert!(points.insert(sample.point));
                    prop_assert_eq!(sample.point % 2, batch.group);
                    let Ok(Value::Uint(number)) = sample.reading else { panic!() };
                    let (point, ms) = values[usize::try_from(number).unwrap()];
                    prop_assert_eq!((point, Some(Time::from_millis(ms))), (sample.point, batch.source));
                    let before = last.insert(point, number);
                    prop_assert!(before.is_none_or(|before| before < number));
                    count += 1;
                }
            }
            prop_assert_eq!(count, values.len());
        }
    }
}
