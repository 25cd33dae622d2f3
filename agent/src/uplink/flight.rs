//! The publishes of one connection that are not yet acknowledged, in the order in which they were handed
//! over. Pure: no client, no clock.
//!
//! The client library tells packet ids in the order of the requests, and never sends one again on a fresh
//! connection, so that the n-th id belongs to the n-th request. The queue is as long as the span from the
//! oldest outstanding publish to the newest handed over; while that stays within the window, no packet id
//! comes round again before it is free, however the broker shuffles its acknowledgements.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// Publishes on their way. What each carries is of type `T`.
#[derive(Debug)]
pub(super) struct Flight<T> {
    queue: VecDeque<Publish<T>>,
    /// The number of the publish at the front of the queue, counted from the connection's first.
    front: u64,
    /// The number of the next publish that will get a packet id.
    next_id: u64,
    /// The publishes that have a packet id and no acknowledgement.
    by_id: HashMap<u16, u64>,
}

#[derive(Debug)]
struct Publish<T> {
    /// None once it is acknowledged.
    item: Option<T>,
    since: Instant,
}

/// What no honest broker says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Breach {
    /// A packet id was given to a publish that was never handed over.
    #[error("a publish left that was never handed over")]
    Foreign,
    /// A packet id was given twice.
    #[error("packet id {0} is on its way twice")]
    Twice(u16),
    /// An acknowledgement without a publish.
    #[error("packet id {0} was acknowledged, but is not on its way")]
    Unsolicited(u16),
}

impl<T> Flight<T> {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            front: 0,
            next_id: 0,
            by_id: HashMap::new(),
        }
    }

    /// Takes in a publish that is being handed over.
    pub(super) fn push(&mut self, item: T, now: Instant) {
        let item = Some(item);
        self.queue.push_back(Publish { item, since: now });
    }

    /// Notes the packet id of the next publish in order.
    pub(super) fn number(&mut self, id: u16) -> Result<(), Breach> {
        if self.next_id >= self.front + self.span() {
            return Err(Breach::Foreign);
        }
        if self.by_id.insert(id, self.next_id).is_some() {
            return Err(Breach::Twice(id));
        }
        self.next_id += 1;
        Ok(())
    }

    /// Takes the publish with that packet id off: the broker has answered.
    pub(super) fn settle(&mut self, id: u16) -> Result<T, Breach> {
        let item = self
            .by_id
            .remove(&id)
            .and_then(|number| usize::try_from(number - self.front).ok())
            .and_then(|place| self.queue.get_mut(place))
            .and_then(|publish| publish.item.take())
            .ok_or(Breach::Unsolicited(id))?;
        while self
            .queue
            .front()
            .is_some_and(|publish| publish.item.is_none())
        {
            self.queue.pop_front();
            self.front += 1;
        }
        Ok(item)
    }

    /// Publishes from the oldest outstanding to the newest, acknowledged ones between included.
    pub(super) fn span(&self) -> u64 {
        u64::try_from(self.queue.len()).unwrap_or(u64::MAX)
    }

    /// When the oldest outstanding publish was handed over.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.queue.front().map(|publish| publish.since)
    }
}

#[cfg(test)]
mod tests {
    use super::{Breach, Flight};
    use proptest::prelude::*;
    use std::time::Instant;

    #[test]
    fn what_the_broker_never_got_it_can_not_acknowledge() {
        let now = Instant::now();
        let mut flight = Flight::new();
        assert_eq!(flight.number(1), Err(Breach::Foreign));
        assert_eq!(flight.settle(1), Err(Breach::Unsolicited(1)));
        flight.push("a", now);
        assert_eq!(flight.settle(1), Err(Breach::Unsolicited(1)));
        assert_eq!(flight.number(1), Ok(()));
        assert_eq!(flight.number(2), Err(Breach::Foreign));
        flight.push("b", now);
        assert_eq!(flight.number(1), Err(Breach::Twice(1)));
        let mut flight = Flight::new();
        flight.push("a", now);
        assert_eq!(flight.number(7), Ok(()));
        assert_eq!(flight.settle(7), Ok("a"));
        assert_eq!(flight.settle(7), Err(Breach::Unsolicited(7)));
        assert_eq!((flight.span(), flight.oldest()), (0, None));
    }

    proptest! {
        /// The client's packet ids go round a circle as long as the window: however the
        /// acknowledgements are shuffled, each names the publish it was sent for, and no id is on its
        /// way twice.
        #[test]
        fn ids_name_their_publishes_in_any_order(
            window in 1_u64..20,
            steps in prop::collection::vec(any::<prop::sample::Index>(), 1..300),
        ) {
            let now = Instant::now();
            let mut flight = Flight::new();
            let mut outstanding: Vec<(u16, u64)> = Vec::new();
            let mut handed_over = 0_u64;
            for step in steps {
                let room = flight.span() < window;
                if room && (outstanding.is_empty() || step.index(2) == 0) {
                    let id = u16::try_from(handed_over % window).unwrap() + 1;
                    flight.push(handed_over, now);
                    prop_assert_eq!(flight.number(id), Ok(()));
                    outstanding.push((id, handed_over));
                    handed_over += 1;
                } else {
                    let (id, number) = outstanding.swap_remove(step.index(outstanding.len()));
                    prop_assert_eq!(flight.settle(id), Ok(number));
                }
                let oldest = outstanding.iter().map(|(_, number)| *number).min();
                prop_assert_eq!(flight.span(), oldest.map_or(0, |oldest| handed_over - oldest));
            }
        }
    }
}
