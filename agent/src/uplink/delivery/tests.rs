//! The order of deliveries, tried against a broker that answers as it likes.

use super::super::board::{Board, Place, Retained};
use super::super::history::History;
use super::super::refusal::Refusals;
use super::{Answer, Delivery, Next, Outgoing, Terms};
use crate::outbox::{Record, RecordKind};
use lineside_proto::{Time, Topics};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

fn topics() -> Topics {
    Topics::new("p", &"s".parse().unwrap(), &"g".parse().unwrap())
}

fn record(machine: &str, seq: u64, gap: bool) -> Record {
    Record {
        machine: machine.parse().unwrap(),
        kind: if gap {
            RecordKind::Gap
        } else {
            RecordKind::Telemetry { seq, samples: 1 }
        },
        from: Time::default(),
        to: Time::default(),
        payload: seq.to_string().into_bytes(),
    }
}

fn delivery(window: u16, packet_bytes_max: Option<u32>, records: Vec<Record>) -> Delivery {
    let terms = Terms {
        window,
        packet_bytes_max,
    };
    let end = u64::try_from(records.len()).unwrap();
    let mut history = History::new(0, end);
    history.read(0, end, (0..end).zip(records).collect());
    Delivery::new(topics(), terms, |publish| publish.payload.len(), history)
}

fn board(documents: &[(&str, u64)]) -> Board {
    let documents = documents.iter().map(|(machine, version)| {
        let place = if machine.is_empty() {
            Place::Status
        } else {
            Place::Availability(machine.parse().unwrap())
        };
        let document = Retained {
            payload: version.to_string().into_bytes().into(),
            version: *version,
            made: Instant::now(),
            max_age: None,
        };
        (place, document)
    });
    Board {
        documents: documents.collect(),
        ..Board::default()
    }
}

fn publishes(delivery: &mut Delivery, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| delivery.next(now))
        .map(|next| match next {
            Next::Publish(publish) => {
                let payload = String::from_utf8(publish.payload).unwrap();
                format!("{} {payload}", publish.topic)
            }
            Next::TooLarge { topic, .. } => format!("{topic} too large"),
        })
        .collect()
}

#[test]
fn the_board_overtakes_history_and_part_of_the_window_is_its_own() {
    let now = Instant::now();
    let records = (0..20).map(|seq| record("m", seq, false)).collect();
    let mut delivery = delivery(5, None, records);
    delivery.show(board(&[("", 1), ("m", 2)]));
    let first = publishes(&mut delivery, now);
    let expected = [
        "p/s/g/availability/m 2",
        "p/s/g/status 1",
        "p/s/g/telemetry/m 0",
    ];
    assert_eq!(first, expected);
    let mut refusals = Refusals::default();
    for id in 1..=3 {
        delivery.left(id).unwrap();
    }
    delivery.show(board(&[("", 3), ("m", 4)]));
    assert_eq!(publishes(&mut delivery, now), [""; 0], "on their way");
    delivery.answered(2, 0, &mut refusals, now).unwrap();
    assert_eq!(publishes(&mut delivery, now), ["p/s/g/status 3"]);
    delivery.answered(1, 0, &mut refusals, now).unwrap();
    assert_eq!(publishes(&mut delivery, now), ["p/s/g/availability/m 4"]);
    assert_eq!(delivery.in_flight(), 3, "history keeps to its three");
}

#[test]
fn a_window_of_one_is_enough() {
    let now = Instant::now();
    let mut delivery = delivery(1, None, vec![record("m", 0, false)]);
    delivery.show(board(&[("", 1)]));
    let mut refusals = Refusals::default();
    for expected in ["p/s/g/status 1", "p/s/g/telemetry/m 0"] {
        assert_eq!(publishes(&mut delivery, now), [expected]);
        delivery.left(1).unwrap();
        delivery.answered(1, 0x10, &mut refusals, now).unwrap();
    }
    assert_eq!(delivery.history().mark(), 1);
}

#[test]
fn a_stop_sends_the_last_status_and_nothing_else() {
    let now = Instant::now();
    let records = (0..9).map(|seq| record("m", seq, false)).collect();
    let mut delivery = delivery(1, None, records);
    assert_eq!(publishes(&mut delivery, now), ["p/s/g/telemetry/m 0"]);
    delivery.show(board(&[("", 1)]));
    delivery.stop(b"offline".to_vec());
    delivery.stop(b"again".to_vec());
    assert_eq!(publishes(&mut delivery, now), [""; 0], "the window is full");
    let mut refusals = Refusals::default();
    delivery.left(1).unwrap();
    delivery.answered(1, 0, &mut refusals, now).unwrap();
    assert_eq!(publishes(&mut delivery, now), ["p/s/g/status offline"]);
    delivery.left(1).unwrap();
    let answer = delivery.answered(1, 0, &mut refusals, now);
    assert_eq!(answer, Ok(Answer::Farewell { delivered: true }));
    assert_eq!(publishes(&mut delivery, now), [""; 0]);
}

#[test]
fn what_is_too_large_is_set_aside_and_holds_nothing_up() {
    let now = Instant::now();
    let records = vec![
        record("m", 123_456, false),
        record("m", 234_567, true),
        record("m", 3, false),
    ];
    let mut delivery = delivery(10, Some(5), records);
    delivery.show(board(&[("", 1_000_000), ("m", 2)]));
    let expected = [
        "p/s/g/availability/m 2",
        "p/s/g/status too large",
        "p/s/g/telemetry/m too large",
        "p/s/g/gaps/m too large",
        "p/s/g/telemetry/m 3",
    ];
    assert_eq!(publishes(&mut delivery, now), expected);
    let letters = delivery.dead_letters();
    assert_eq!(letters.len(), 1, "a gap document has no gap document");
    assert_eq!(
        delivery.history().mark(),
        0,
        "not before its gap is durable"
    );
    delivery.history().buried(letters[0].position);
    assert_eq!(delivery.history().mark(), 2);
}

#[test]
fn refusals_are_held_or_set_aside_by_their_code() {
    let now = Instant::now();
    for (code, gap, mark, letters) in [
        (0x87, false, 0, 0),
        (0x97, true, 0, 0),
        (0x80, false, 0, 0),
        (0x90, false, 0, 1),
        (0x99, false, 0, 1),
        (0x99, true, 1, 0),
        (0x10, false, 1, 0),
    ] {
        let mut delivery = delivery(4, None, vec![record("m", 0, gap), record("n", 0, false)]);
        let mut refusals = Refusals::default();
        assert_eq!(publishes(&mut delivery, now).len(), 2);
        delivery.left(1).unwrap();
        delivery.left(2).unwrap();
        let answer = delivery.answered(1, code, &mut refusals, now).unwrap();
        match (&answer, code) {
            (Answer::Held { until, .. }, 0x80 | 0x87 | 0x97) => {
                assert_eq!(delivery.retry_at(now), Some(*until));
            }
            (Answer::SetAside { .. }, 0x90 | 0x99) | (Answer::Delivered { .. }, 0x10) => {}
            _ => panic!("{code:#04x}: {answer:?}"),
        }
        assert_eq!(delivery.history().mark(), mark, "{code:#04x}");
        assert_eq!(delivery.dead_letters().len(), letters, "{code:#04x}");
    }
}

/// A broker that answers in any order and by any code, and an agent around a [`Delivery`] that reads
/// ahead and buries.
struct World {
    window: u16,
    delivery: Delivery,
    refusals: Refusals,
    records: Vec<Record>,
    unanswered: Vec<(u16, String)>,
    handed_over: u16,
    now: Instant,
    /// Of each telemetry topic, what the broker took.
    taken: BTreeMap<String, Vec<u64>>,
    buried: Vec<u64>,
}

impl World {
    fn new(window: u16, machines: &[u8]) -> Self {
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
            delivery: delivery(window, None, records.clone()),
            refusals: Refusals::default(),
            records,
            unanswered: Vec::new(),
            handed_over: 0,
            now: Instant::now(),
            taken: BTreeMap::new(),
            buried: Vec::new(),
        }
    }

    fn hand_over(&mut self) {
        while let Some(next) = self.delivery.next(self.now) {
            let Next::Publish(Outgoing { topic, payload, .. }) = next else {
                panic!("{next:?}");
            };
            // As the client counts: round a circle as long as the window.
            let id = self.handed_over % self.window + 1;
            self.handed_over += 1;
            self.delivery.left(id).unwrap();
            let payload = String::from_utf8(payload).unwrap();
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
        if let Answer::Delivered { topic: answered } = answer {
            assert_eq!(answered, topic);
            let seq = seq.parse().unwrap();
            self.taken.entry(topic.to_owned()).or_default().push(seq);
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
    }
}

proptest! {
    /// However the broker shuffles, refuses and delays: the window is kept, every record is taken once or
    /// buried once, and none is both.
    #[test]
    fn every_record_is_taken_or_buried(
        window in 1_u16..12,
        machines in prop::collection::vec(0_u8..3, 1..40),
        answers in prop::collection::vec((any::<usize>(), prop::sample::select(
            vec![0x00_u8, 0x00, 0x00, 0x10, 0x80, 0x87, 0x97, 0x90, 0x99])), 1..120),
        pause_s in 0_u64..40,
    ) {
        let mut world = World::new(window, &machines);
        world.delivery.show(board(&[("", 1), ("m0", 2), ("m1", 3)]));
        for (which, code) in answers {
            world.hand_over();
            world.answer(which, code);
            world.catch_up();
            world.now += Duration::from_secs(pause_s);
        }
        for _ in 0..200 {
            world.hand_over();
            world.answer(0, 0);
            world.catch_up();
            world.now += Duration::from_secs(30);
        }
        let end = u64::try_from(machines.len()).unwrap();
        prop_assert_eq!(world.delivery.history().mark(), end);
        prop_assert!(world.unanswered.is_empty());
        let taken = world.taken.iter().filter(|(topic, _)| topic.contains("telemetry"));
        let taken: usize = taken.map(|(_, seqs)| seqs.len()).sum();
        prop_assert_eq!(taken + world.buried.len(), machines.len());
    }

    /// Without refusals each machine's messages are handed over in order, whatever the order of the
    /// acknowledgements.
    #[test]
    fn a_machine_s_messages_keep_their_order(
        window in 1_u16..12,
        machines in prop::collection::vec(0_u8..3, 1..40),
        answers in prop::collection::vec(any::<usize>(), 60..61),
    ) {
        let mut world = World::new(window, &machines);
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
            let expected: VecDeque<u64> = (1..).take(seqs.len()).collect();
            prop_assert_eq!(seqs, expected, "{}", topic);
        }
    }
}
