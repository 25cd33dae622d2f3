//! The order of deliveries as properties: whatever the broker answers and when.

use super::super::{Answer, Delivery, Next, Outgoing};
use super::{announced, board, delivery_of, leaf_mark, note, record};
use crate::outbox::Record;
use crate::uplink::refusal::Refusals;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A broker that answers in any order and by any code, and an agent around a [`Delivery`] that reads
/// ahead and buries.
struct World {
    window: u16,
    delivery: Delivery,
    refusals: Refusals,
    records: Vec<Record>,
    leaves: Vec<bool>,
    unanswered: Vec<(u16, String)>,
    handed_over: u16,
    now: Instant,
    /// Of each topic, what the broker took.
    taken: BTreeMap<String, Vec<u64>>,
    buried: Vec<u64>,
}

impl World {
    fn new(window: u16, machines: &[u8], leaves: Vec<bool>) -> Self {
        let mut seqs = BTreeMap::new();
        let records: Vec<_> = machines
            .iter()
            .map(|machine| {
                let seq: &mut u64 = seqs.entry(*machine).or_default();
                *seq += 1;
                record(&format!("m{machine}"), *seq, false)
            })
            .collect();
        Self {
            window,
            delivery: delivery_of(window, None, records.clone(), &leaves),
            refusals: Refusals::default(),
            records,
            leaves,
            unanswered: Vec::new(),
            handed_over: 0,
            now: Instant::now(),
            taken: BTreeMap::new(),
            buried: Vec::new(),
        }
    }

    fn hand_over(&mut self) {
        while let Some(next) = self.delivery.next(&mut self.refusals, self.now) {
            let Next::Publish(Outgoing { topic, payload, .. }) = next else {
                panic!("{next:?}");
            };
            // As the client counts: round a circle as long as the window.
            let id = self.handed_over % self.window + 1;
            self.handed_over += 1;
            self.delivery.left(id).unwrap();
            let payload = String::from_utf8(payload).unwrap();
            if topic.ends_with("checkpoint") {
                let size: u64 = payload.lines().nth(1).unwrap().parse().unwrap();
                self.all_taken_below(size);
            }
            self.unanswered.push((id, format!("{topic} {payload}")));
            assert!(self.unanswered.len() <= usize::from(self.window));
        }
    }

    fn answer(&mut self, which: usize, code: u8) {
        if self.unanswered.is_empty() {
            return;
        }
        let (id, publish) = self.unanswered.swap_remove(which % self.unanswered.len());
        let (topic, seq) = publish.split_once(' ').unwrap();
        let answer = self
            .delivery
            .answered(id, code, &mut self.refusals, self.now)
            .unwrap();
        if let Answer::Delivered {
            topic: answered, ..
        } = answer
        {
            assert_eq!(answered, topic);
            let seq = seq.split('\n').nth(1).unwrap_or(seq).parse().unwrap();
            self.taken.entry(topic.to_owned()).or_default().push(seq);
        }
    }

    /// Every leaf below `size` and its document was taken by the broker.
    fn all_taken_below(&self, size: u64) {
        let has = |topic: &str, index| {
            let taken = self.taken.get(topic);
            taken.is_some_and(|taken| taken.contains(&index))
        };
        let below = usize::try_from(size).unwrap();
        for (index, has_document) in (0..).zip(self.leaves.iter().take(below)) {
            assert!(has("p/s/g/ledger/leaf", index), "leaf {index} of {size}");
            let said = !has_document || has("p/s/g/sessions/m", index);
            assert!(said, "the document of leaf {index} of {size}");
        }
    }

    /// Buries what was set aside and reads what is wanted.
    fn catch_up(&mut self) {
        for letter in self.delivery.dead_letters() {
            self.buried.push(letter.position);
            self.delivery.history().buried(letter.position);
        }
        let end = u64::try_from(self.records.len()).unwrap();
        if let Some(from) = self.delivery.history().wanted(self.now) {
            let records = (0..).zip(self.records.iter().cloned());
            let records: Vec<_> = records.filter(|(at, _)| *at >= from).collect();
            self.delivery.history().read(from, end, records);
        }
        if let Some(from) = self.delivery.ledger().wanted(self.now) {
            let mut said = announced(&self.leaves);
            // As the ledger is read: by whole leaves.
            said.retain(|(at, _)| at / 2 >= from / 2);
            let end = 2 * u64::try_from(self.leaves.len()).unwrap();
            self.delivery.ledger().read(from, end, said);
        }
        let mark = leaf_mark(&mut self.delivery);
        self.all_taken_below(mark);
    }
}

proptest! {
    /// However the broker shuffles, refuses and delays: the window is kept, every record is taken once or
    /// buried once, and none is both; every leaf and its document are taken, and no checkpoint goes out, nor
    /// does the mark pass, before they were.
    #[test]
    fn every_record_is_taken_or_buried(
        window in 1_u16..12,
        machines in prop::collection::vec(0_u8..3, 1..40),
        leaves in prop::collection::vec(any::<bool>(), 0..40),
        answers in prop::collection::vec((any::<usize>(), prop::sample::select(
            vec![0x00_u8, 0x00, 0x00, 0x10, 0x80, 0x87, 0x97, 0x90, 0x99])), 1..120),
        pause_s in 0_u64..40,
    ) {
        let mut world = World::new(window, &machines, leaves.clone());
        world.delivery.show(board(&[("", 1), ("m0", 2), ("m1", 3)]));
        let size = u64::try_from(leaves.len()).unwrap();
        for (step, (which, code)) in (1..).zip(answers) {
            world.delivery.notes().signed(&note(size.min(step)));
            world.hand_over();
            world.answer(which, code);
            world.catch_up();
            world.now += Duration::from_secs(pause_s);
        }
        world.delivery.notes().signed(&note(size));
        for _ in 0..300 {
            world.hand_over();
            world.answer(0, 0);
            world.catch_up();
            world.now += Duration::from_secs(300);
        }
        let end = u64::try_from(machines.len()).unwrap();
        prop_assert_eq!(world.delivery.history().mark(), end);
        prop_assert!(world.unanswered.is_empty());
        let taken = world.taken.iter().filter(|(topic, _)| topic.contains("telemetry"));
        let taken: usize = taken.map(|(_, seqs)| seqs.len()).sum();
        prop_assert_eq!(taken + world.buried.len(), machines.len());
        prop_assert_eq!(leaf_mark(&mut world.delivery), size);
        let shown = world.taken.get("p/s/g/ledger/checkpoint").and_then(|sizes| sizes.last());
        prop_assert_eq!(shown, Some(&size));
        let leaf = world.taken.get("p/s/g/ledger/leaf").map_or(0, Vec::len);
        prop_assert_eq!(leaf, leaves.len(), "each once on one connection");
    }

    /// Without refusals each machine's messages and the leaves are handed over in order, whatever the order
    /// of the acknowledgements.
    #[test]
    fn a_machine_s_messages_keep_their_order(
        window in 1_u16..12,
        machines in prop::collection::vec(0_u8..3, 1..40),
        answers in prop::collection::vec(any::<usize>(), 100..101),
    ) {
        let mut world = World::new(window, &machines, vec![false; machines.len()]);
        let mut order: BTreeMap<String, VecDeque<u64>> = BTreeMap::new();
        for which in answers {
            let before = world.unanswered.len();
            world.hand_over();
            for (_, publish) in &world.unanswered[before..] {
                let (topic, seq) = publish.split_once(' ').unwrap();
                order.entry(topic.to_owned()).or_default().push_back(seq.parse().unwrap());
            }
            world.answer(which, 0);
        }
        for (topic, seqs) in order {
            let first = u64::from(!topic.contains("ledger"));
            let expected: VecDeque<u64> = (first..).take(seqs.len()).collect();
            prop_assert_eq!(seqs, expected, "{}", topic);
        }
    }
}
