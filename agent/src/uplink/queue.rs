//! The way of what a store keeps to the broker: what is read ahead, what is on its way, what was
//! refused, and up to where everything is done with. Pure: others read the store and send.
//!
//! A position is done with once the broker acknowledged that very item, or once a gap document that
//! stands for it is durable, which only the outbox's records have. The mark never passes a position that
//! is not.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use crate::outbox::Record;

/// What a queue carries.
pub(super) trait Weight {
    /// Bytes of memory that it takes, about.
    fn bytes(&self) -> usize;
}

impl Weight for Record {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// Bytes asked of a store at once: some tens of blocks, so that reading costs little per record.
pub(super) const READ_BYTES_MAX: usize = 256 * 1024;
/// Reading goes on while fewer bytes than this lie ready, so that at most about two reads are in memory.
const AHEAD_BYTES_MIN: usize = 128 * 1024;
/// Records that wait for their gap document at most; until then nothing more is sent.
const CONDEMNED_MAX: usize = 256;

/// What one store has to say on one connection.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// What was read and not yet sent, by position.
    ahead: VecDeque<(u64, T)>,
    ahead_bytes: usize,
    /// From where the store is read next.
    next_read: u64,
    /// The store holds durable items below this position.
    durable: u64,
    /// Each position below was taken up once.
    reached: u64,
    flying: BTreeSet<u64>,
    /// Refused, to be sent again.
    refused: BTreeSet<u64>,
    /// Refused for good: done with when the gap document is durable.
    condemned: BTreeSet<u64>,
    /// Nothing is sent before this moment.
    hold: Option<Instant>,
    trial: Trial,
}

/// After a refusal one item goes alone, so that those behind it do not overtake it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trial {
    /// Nothing was refused.
    None,
    /// The next item goes alone, once nothing else is on its way.
    Due,
    /// The item at this position is on its way alone.
    Sent(u64),
}

impl<T: Weight> Queue<T> {
    /// Begins at the store's delivered mark.
    pub(super) fn new(delivered: u64, durable: u64) -> Self {
        Self {
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            next_read: delivered,
            durable,
            reached: delivered,
            flying: BTreeSet::new(),
            refused: BTreeSet::new(),
            condemned: BTreeSet::new(),
            hold: None,
            trial: Trial::None,
        }
    }

    /// Everything below this position is done with.
    pub(super) fn mark(&self) -> u64 {
        [&self.flying, &self.refused, &self.condemned]
            .into_iter()
            .filter_map(|positions| positions.first().copied())
            .fold(self.reached, u64::min)
    }

    /// Notes how far the store is durable.
    pub(super) fn durable_to(&mut self, end: u64) {
        self.durable = self.durable.max(end);
    }

    /// From where to read the store, if it is to be read now.
    pub(super) fn wanted(&self, now: Instant) -> Option<u64> {
        let waits = self.hold.is_some_and(|until| now < until);
        let room = self.ahead_bytes < AHEAD_BYTES_MIN;
        (room && !waits && self.next_read < self.durable).then_some(self.next_read)
    }

    /// Takes in what a read from `from` up to the durable end `durable` gave. A read that was begun
    /// before a refusal is of no use any more.
    pub(super) fn read(&mut self, from: u64, durable: u64, items: Vec<(u64, T)>) {
        if from != self.next_read {
            return;
        }
        match items.last() {
            Some((last, _)) => self.next_read = last + 1,
            // Nothing is left there: it was dropped from the outbox, which says so itself. The ledger
            // drops nothing, and never answers so.
            None => {
                self.next_read = durable.max(from);
                self.refused = self.refused.split_off(&self.next_read);
                self.reached = self.reached.max(self.next_read);
            }
        }
        for (position, item) in items {
            self.ahead_bytes += item.bytes();
            self.ahead.push_back((position, item));
        }
    }

    /// The next item to send, if one may go now. It is on its way from then on.
    pub(super) fn take(&mut self, now: Instant) -> Option<(u64, T)> {
        if self.condemned.len() >= CONDEMNED_MAX {
            return None;
        }
        if self.hold.is_some_and(|until| now < until) {
            return None;
        }
        if self.trial != Trial::None && !self.flying.is_empty() {
            return None;
        }
        self.hold = None;
        while let Some((position, item)) = self.ahead.pop_front() {
            self.ahead_bytes = self.ahead_bytes.saturating_sub(item.bytes());
            // Refused ones that are no longer in the store were dropped there.
            self.refused = self.refused.split_off(&position);
            let again = self.refused.remove(&position);
            if again || position >= self.reached {
                self.reached = self.reached.max(position + 1);
                self.flying.insert(position);
                if self.trial == Trial::Due {
                    self.trial = Trial::Sent(position);
                }
                return Some((position, item));
            }
        }
        None
    }

    /// The broker has the item at `position`.
    pub(super) fn delivered(&mut self, position: u64) {
        self.settle(position);
    }

    /// The item at `position` is to be sent again, and nothing before `until`.
    pub(super) fn refused(&mut self, position: u64, until: Instant) {
        self.flying.remove(&position);
        self.condemned.remove(&position);
        self.refused.insert(position);
        self.hold = self.hold.max(Some(until));
        self.trial = Trial::Due;
        self.ahead.clear();
        self.ahead_bytes = 0;
        self.next_read = self.mark();
    }

    /// The record at `position` will never be taken: it is done with after [`buried`](Self::buried).
    pub(super) fn condemn(&mut self, position: u64) {
        self.settle(position);
        self.condemned.insert(position);
    }

    /// Takes an answered record off its way. What was on its way beside a refused one does not end the
    /// trial.
    fn settle(&mut self, position: u64) {
        self.flying.remove(&position);
        if self.trial == Trial::Sent(position) {
            self.trial = Trial::None;
        }
    }

    /// The gap document that stands for the record at `position` is durable.
    pub(super) fn buried(&mut self, position: u64) {
        self.condemned.remove(&position);
    }

    /// Nothing is read or sent before `until`: the store could not be read or written.
    pub(super) fn pause(&mut self, until: Instant) {
        self.hold = self.hold.max(Some(until));
    }

    /// Until when nothing is sent, if that is so.
    pub(super) fn hold(&self) -> Option<Instant> {
        self.hold
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use crate::outbox::{Record, RecordKind};
    use lineside_proto::Time;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, Instant};

    fn record(seq: u64) -> Record {
        Record {
            machine: "m".parse().unwrap(),
            kind: RecordKind::Telemetry { seq, samples: 1 },
            from: Time::default(),
            to: Time::default(),
            payload: vec![0; 10_000],
        }
    }

    /// What an outbox with records at these positions answers.
    fn read(store: &BTreeSet<u64>, from: u64) -> Vec<(u64, Record)> {
        let found = store.range(from..).take(3);
        found.map(|at| (*at, record(*at))).collect()
    }

    #[test]
    fn the_mark_waits_for_the_oldest() {
        let now = Instant::now();
        let mut history = Queue::new(5, 8);
        assert_eq!(history.wanted(now), Some(5));
        history.read(5, 8, vec![(5, record(5)), (7, record(7))]);
        assert_eq!(history.wanted(now), None);
        assert_eq!(history.take(now).map(|(at, _)| at), Some(5));
        assert_eq!(history.take(now).map(|(at, _)| at), Some(7));
        assert_eq!(history.mark(), 5);
        history.delivered(7);
        assert_eq!(history.mark(), 5);
        history.delivered(5);
        assert_eq!(history.mark(), 8);
    }

    #[test]
    fn a_condemned_record_holds_the_mark_until_its_gap_is_durable() {
        let now = Instant::now();
        let mut history = Queue::new(0, 2);
        history.read(0, 2, vec![(0, record(0)), (1, record(1))]);
        history.take(now);
        history.take(now);
        history.condemn(0);
        history.delivered(1);
        assert_eq!(history.mark(), 0);
        history.buried(0);
        assert_eq!(history.mark(), 2);
    }

    #[test]
    fn after_a_refusal_the_refused_goes_first_and_alone() {
        let start = Instant::now();
        let until = start + Duration::from_secs(30);
        let store = BTreeSet::from([0, 1, 2, 3]);
        let mut history = Queue::new(0, 4);
        history.read(0, 4, read(&store, 0));
        for _ in 0..3 {
            history.take(start);
        }
        history.delivered(1);
        history.refused(0, until);
        assert_eq!(history.take(start), None);
        assert_eq!(history.wanted(start), None);
        history.delivered(2);
        assert_eq!(history.hold(), Some(until));
        assert_eq!(history.wanted(until), Some(0));
        history.read(0, 4, read(&store, 0));
        assert_eq!(history.take(until).map(|(at, _)| at), Some(0));
        assert_eq!(history.take(until), None, "alone");
        assert_eq!(history.hold(), None);
        history.delivered(0);
        assert_eq!(history.wanted(until), Some(3));
        history.read(3, 4, read(&store, 3));
        assert_eq!(history.take(until).map(|(at, _)| at), Some(3));
        history.delivered(3);
        assert_eq!(history.mark(), 4);
    }

    #[test]
    fn what_was_on_its_way_beside_a_refusal_does_not_end_the_trial() {
        let start = Instant::now();
        let until = start + Duration::from_secs(2);
        let store = BTreeSet::from([0, 1, 2]);
        let mut history = Queue::new(0, 3);
        history.read(0, 3, vec![(0, record(0)), (1, record(1))]);
        history.take(start);
        history.take(start);
        history.refused(0, until);
        history.delivered(1);
        history.read(0, 3, read(&store, 0));
        assert_eq!(history.take(until).map(|(at, _)| at), Some(0));
        assert_eq!(history.take(until), None, "alone");
        history.delivered(0);
        assert_eq!(history.take(until).map(|(at, _)| at), Some(2));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append,
        Shed,
        Read,
        Take,
        Deliver(usize),
        Refuse(usize),
        Condemn(usize),
        Bury(usize),
        Wait,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Append),
            1 => Just(Step::Shed),
            4 => Just(Step::Read),
            6 => Just(Step::Take),
            4 => any::<usize>().prop_map(Step::Deliver),
            2 => any::<usize>().prop_map(Step::Refuse),
            1 => any::<usize>().prop_map(Step::Condemn),
            1 => any::<usize>().prop_map(Step::Bury),
            2 => Just(Step::Wait),
        ];
        prop::collection::vec(step, 1..200)
    }

    /// A world around a [`Queue`]: an outbox that sheds, and a broker that answers as it likes.
    #[derive(Default)]
    struct World {
        store: BTreeSet<u64>,
        end: u64,
        shed: u64,
        flying: Vec<u64>,
        condemned: Vec<u64>,
        done: BTreeMap<u64, u32>,
    }

    impl World {
        fn step(&mut self, history: &mut Queue<Record>, step: &Step, now: &mut Instant) {
            match step {
                Step::Append => {
                    self.end += 1 + self.end % 2;
                    self.store.insert(self.end - 1);
                    history.durable_to(self.end);
                }
                Step::Shed => {
                    if let Some(oldest) = self.store.pop_first() {
                        self.shed = oldest + 1;
                    }
                }
                Step::Read => {
                    if let Some(from) = history.wanted(*now) {
                        history.read(from, self.end, read(&self.store, from));
                    }
                }
                Step::Take => {
                    if let Some((position, _)) = history.take(*now) {
                        assert!(!self.done.contains_key(&position), "sent again: {position}");
                        assert!(!self.flying.contains(&position), "sent twice: {position}");
                        self.flying.push(position);
                    }
                }
                Step::Deliver(index) if !self.flying.is_empty() => {
                    let position = self.flying.swap_remove(index % self.flying.len());
                    history.delivered(position);
                    *self.done.entry(position).or_default() += 1;
                }
                Step::Refuse(index) if !self.flying.is_empty() => {
                    let position = self.flying.swap_remove(index % self.flying.len());
                    history.refused(position, *now + Duration::from_secs(1));
                }
                Step::Condemn(index) if !self.flying.is_empty() => {
                    let position = self.flying.swap_remove(index % self.flying.len());
                    history.condemn(position);
                    self.condemned.push(position);
                }
                Step::Bury(index) if !self.condemned.is_empty() => {
                    let position = self.condemned.swap_remove(index % self.condemned.len());
                    history.buried(position);
                    *self.done.entry(position).or_default() += 1;
                }
                Step::Wait => *now += Duration::from_secs(1),
                Step::Deliver(_) | Step::Refuse(_) | Step::Condemn(_) | Step::Bury(_) => {}
            }
        }
    }

    proptest! {
        /// Whatever the broker answers and whatever the outbox sheds, the mark never passes a record
        /// that is neither done with nor shed, no record goes out twice, and in the end all are done with.
        #[test]
        fn the_mark_passes_nothing_undone(steps in steps()) {
            let mut world = World::default();
            let mut history = Queue::new(0, 0);
            let mut now = Instant::now();
            let mut ever = BTreeSet::new();
            for step in &steps {
                world.step(&mut history, step, &mut now);
                ever.extend(world.store.iter().copied());
                let mark = history.mark();
                for position in ever.range(..mark) {
                    let done = world.done.contains_key(position);
                    prop_assert!(done || *position < world.shed, "{position} passed, mark {mark}");
                }
            }
            // An honest broker from here on.
            for _ in 0..1000 {
                for step in [Step::Wait, Step::Read, Step::Take, Step::Deliver(0), Step::Bury(0)] {
                    world.step(&mut history, &step, &mut now);
                }
            }
            prop_assert_eq!(history.mark(), world.end);
            for position in &world.store {
                prop_assert_eq!(world.done.get(position), Some(&1));
            }
        }
    }
}
