//! What a device has been asked.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::bank::table_of;

/// Arrivals kept: enough for the longest test that looks at times, 1 MiB at most.
pub const ARRIVALS_MAX: usize = 32_768;

/// Foreign requests kept whole; one is already a failure.
pub const FOREIGN_MAX: usize = 64;

/// What a device has been asked since it was made.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// Requests by unit and function code, absent units too.
    pub requests: BTreeMap<(u8, u8), u64>,
    /// The newest [`ARRIVALS_MAX`] requests, oldest first.
    pub arrivals: VecDeque<Arrival>,
    /// The first [`FOREIGN_MAX`] requests that were no reads (functions other than 1 to 4), from the
    /// function code on.
    pub foreign: Vec<Vec<u8>>,
    /// Connections accepted.
    pub connections: u64,
    /// Times that bytes came which were no request.
    pub broken: u64,
}

/// A request's arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// The unit asked.
    pub unit: u8,
    /// The function code.
    pub function: u8,
    /// The first register or bit; 0 where the request is too short to say.
    pub start: u16,
    /// How many; 0 where the request is too short to say.
    pub count: u16,
}

impl Statistics {
    /// Requests of all units and functions.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests to one unit.
    pub fn of_unit(&self, unit: u8) -> u64 {
        let asked = |((of, _), count): (&(u8, u8), &u64)| (*of == unit).then_some(*count);
        self.requests.iter().filter_map(asked).sum()
    }

    /// Requests that were no reads: functions other than 1 to 4.
    pub fn foreign_total(&self) -> u64 {
        let foreign = |((_, function), count): (&(u8, u8), &u64)| {
            table_of(*function).is_none().then_some(*count)
        };
        self.requests.iter().filter_map(foreign).sum()
    }

    pub(super) fn record(&mut self, at: Instant, unit: u8, pdu: &[u8]) {
        let function = pdu.first().copied().unwrap_or(0);
        let count = self.requests.entry((unit, function)).or_default();
        *count = count.saturating_add(1);
        if table_of(function).is_none() && self.foreign.len() < FOREIGN_MAX {
            self.foreign.push(pdu.to_vec());
        }
        if self.arrivals.len() >= ARRIVALS_MAX {
            self.arrivals.pop_front();
        }
        let word = |place: usize| match pdu.get(place..place.saturating_add(2)) {
            Some(&[high, low]) => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        self.arrivals.push_back(Arrival {
            at,
            unit,
            function,
            start: word(1),
            count: word(3),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{ARRIVALS_MAX, FOREIGN_MAX, Statistics};
    use std::time::Instant;

    #[test]
    fn counts_everything_and_keeps_a_bounded_part() {
        let mut statistics = Statistics::default();
        let now = Instant::now();
        for _ in 0..ARRIVALS_MAX {
            statistics.record(now, 1, &[3, 0, 100, 0, 2]);
        }
        for _ in 0..100 {
            statistics.record(now, 2, &[6, 0, 1]);
        }
        assert_eq!(statistics.total(), ARRIVALS_MAX as u64 + 100);
        assert_eq!(statistics.of_unit(2), 100);
        assert_eq!(statistics.foreign_total(), 100);
        assert_eq!(statistics.foreign.len(), FOREIGN_MAX);
        assert_eq!(statistics.arrivals.len(), ARRIVALS_MAX);
        let (first, last) = (
            statistics.arrivals[0],
            statistics.arrivals[ARRIVALS_MAX - 1],
        );
        assert_eq!((first.unit, first.start, first.count), (1, 100, 2));
        assert_eq!((last.unit, last.start, last.count), (2, 1, 0));
    }
}
