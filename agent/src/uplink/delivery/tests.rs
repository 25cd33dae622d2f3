//! The order of deliveries, tried against a broker that answers as it likes.

use super::super::board::{Board, Place, Retained};
use super::super::leaves::{Announcement, Audience};
use super::super::notes::Notes;
use super::super::queue::Queue;
use super::super::refusal::Refusals;
use super::{Answer, Delivery, Next, Outgoing, Terms};
use crate::outbox::{Record, RecordKind};
use lineside_proto::{Time, Topics};
use std::time::Instant;

mod world;

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
    delivery_of(window, packet_bytes_max, records, &[])
}

/// The same with leaves, of which some have a document.
fn delivery_of(
    window: u16,
    packet_bytes_max: Option<u32>,
    records: Vec<Record>,
    leaves: &[bool],
) -> Delivery {
    let terms = Terms {
        window,
        packet_bytes_max,
    };
    let end = u64::try_from(records.len()).unwrap();
    let mut history = Queue::new(0, end);
    history.read(0, end, (0..end).zip(records).collect());
    let end = 2 * u64::try_from(leaves.len()).unwrap();
    let mut ledger = Queue::new(0, end);
    ledger.read(0, end, announced(leaves));
    let size = |publish: &Outgoing| publish.payload.len();
    Delivery::new(topics(), terms, size, (ledger, Notes::default()), history)
}

fn announced(leaves: &[bool]) -> Vec<(u64, Announcement)> {
    let say = |index: u64, to| Announcement {
        index,
        to,
        payload: index.to_string().into_bytes(),
    };
    let mut said = Vec::new();
    for (index, has_document) in (0..).zip(leaves) {
        if *has_document {
            let portal = Audience::Portal("m".parse().unwrap());
            said.push((2 * index, say(index, Audience::Archive)));
            said.push((2 * index + 1, say(index, portal)));
        } else {
            said.push((2 * index + 1, say(index, Audience::Archive)));
        }
    }
    said
}

/// The mark of the ledger, in leaves.
fn leaf_mark(delivery: &mut Delivery) -> u64 {
    delivery.ledger().mark() / 2
}

fn note(size: u64) -> std::sync::Arc<str> {
    format!("o\n{size}\nr\n").into()
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
    let mut refusals = Refusals::default();
    std::iter::from_fn(|| delivery.next(&mut refusals, now))
        .map(|next| match next {
            Next::Publish(publish) => {
                let payload = String::from_utf8(publish.payload).unwrap();
                format!("{} {payload}", publish.topic)
            }
            Next::TooLarge { topic, .. } => format!("{topic} too large"),
            Next::Held { what, .. } => format!("{what} held"),
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

#[test]
fn the_ledger_and_history_take_turns_and_a_checkpoint_waits_for_its_leaves() {
    let now = Instant::now();
    let mut refusals = Refusals::default();
    let records = (0..6).map(|seq| record("m", seq, false)).collect();
    let mut delivery = delivery_of(10, None, records, &[true, false, false]);
    delivery.notes().signed(&note(2));
    let expected = [
        "p/s/g/ledger/leaf 0",
        "p/s/g/telemetry/m 0",
        "p/s/g/sessions/m 0",
        "p/s/g/telemetry/m 1",
        "p/s/g/ledger/leaf 1",
        "p/s/g/telemetry/m 2",
        "p/s/g/ledger/leaf 2",
        "p/s/g/telemetry/m 3",
    ];
    assert_eq!(publishes(&mut delivery, now), expected);
    for id in 1..=8 {
        delivery.left(id).unwrap();
    }
    // The last leaf, the first, the second; then the first one's document.
    for (id, mark, leaf) in [(7, 0, Some(2)), (1, 0, Some(0)), (5, 0, Some(1))] {
        let answer = delivery.answered(id, 0, &mut refusals, now).unwrap();
        assert!(matches!(answer, Answer::Delivered { leaf: found, .. } if found == leaf));
        assert_eq!(leaf_mark(&mut delivery), mark);
        assert!(
            !publishes(&mut delivery, now)
                .concat()
                .contains("checkpoint")
        );
    }
    for id in [2, 3] {
        delivery.answered(id, 0, &mut refusals, now).unwrap();
    }
    assert_eq!(leaf_mark(&mut delivery), 3);
    let next = publishes(&mut delivery, now);
    assert_eq!(next.first().unwrap(), "p/s/g/ledger/checkpoint o\n2\nr\n");
}

#[test]
fn turns_are_kept_in_a_window_of_one() {
    let now = Instant::now();
    let mut refusals = Refusals::default();
    let records = (0..3).map(|seq| record("m", seq, false)).collect();
    let mut delivery = delivery_of(1, None, records, &[false, false]);
    for expected in ["ledger/leaf 0", "telemetry/m 0", "ledger/leaf 1"] {
        let next = publishes(&mut delivery, now);
        assert_eq!(next, [format!("p/s/g/{expected}")]);
        delivery.left(1).unwrap();
        delivery.answered(1, 0, &mut refusals, now).unwrap();
    }
}

#[test]
fn a_refused_or_too_large_leaf_waits_and_holds_up_nothing_else() {
    for code in [0x80, 0x87, 0x90, 0x95, 0x97, 0x99] {
        let now = Instant::now();
        let records = (0..3).map(|seq| record("m", seq, false)).collect();
        let mut delivery = delivery_of(10, None, records, &[false, true, false]);
        let mut refusals = Refusals::default();
        assert_eq!(publishes(&mut delivery, now).len(), 7);
        for id in 1..=7 {
            delivery.left(id).unwrap();
        }
        // Leaf 0; the rest is taken.
        let answer = delivery.answered(1, code, &mut refusals, now).unwrap();
        assert!(
            matches!(answer, Answer::Held { anew: true, .. }),
            "{answer:?}"
        );
        for id in 2..=7 {
            delivery.answered(id, 0, &mut refusals, now).unwrap();
        }
        assert_eq!(
            (leaf_mark(&mut delivery), delivery.history().mark()),
            (0, 3)
        );
        assert!(delivery.dead_letters().is_empty());
        assert_eq!(publishes(&mut delivery, now), [""; 0]);
        let later = delivery.retry_at(now).unwrap();
        let from = delivery.ledger().wanted(later).unwrap();
        let said = announced(&[false, true, false]);
        delivery.ledger().read(from, 6, said);
        assert_eq!(publishes(&mut delivery, later), ["p/s/g/ledger/leaf 0"]);
        delivery.left(1).unwrap();
        delivery.answered(1, 0, &mut refusals, later).unwrap();
        assert_eq!(leaf_mark(&mut delivery), 3, "{code:#04x}");
    }
    let now = Instant::now();
    let mut leaves = vec![false; 11];
    leaves.extend([true]);
    let records = vec![record("m", 1, false)];
    let mut delivery = delivery_of(100, Some(1), records, &leaves);
    let said = publishes(&mut delivery, now);
    assert_eq!(said.len(), 12, "{said:?}");
    assert_eq!(said[11], "p/s/g/ledger/leaf#10 held");
    assert!(delivery.retry_at(now) > Some(now));
}
