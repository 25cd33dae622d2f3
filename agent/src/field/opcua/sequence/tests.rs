use proptest::prelude::*;

use super::*;

fn passed<T>(sequence: &mut Sequence<T>) -> Vec<Passed<T>> {
    std::iter::from_fn(|| sequence.pass()).collect()
}

/// What comes out of messages that carry their own numbers, and what is asked for; keep-alives are
/// negative.
fn check(start: u32, arrivals: &[i64], asked: &[u32], expected: &[Passed<u32>]) {
    let mut sequence = Sequence::new();
    sequence.next = start;
    let mut all_asked = Vec::new();
    for arrival in arrivals {
        let number = u32::try_from(arrival.abs()).unwrap();
        let message = (*arrival >= 0).then_some(number);
        all_asked.extend(sequence.arrive(number, message));
    }
    assert_eq!(all_asked, asked, "{arrivals:?}");
    assert_eq!(passed(&mut sequence), expected, "{arrivals:?}");
}

#[test]
fn what_arrives_in_order_passes_and_what_is_missing_holds_back_the_rest() {
    let message = Passed::Message;
    let max = i64::from(u32::MAX);
    check(1, &[1, 2, 3], &[], &[1, 2, 3].map(message));
    check(1, &[1, -2, -2, 2], &[], &[1, 2].map(message));
    check(1, &[1, 4], &[2, 3], &[message(1)]);
    check(1, &[1, 3, 2], &[2], &[1, 2, 3].map(message));
    check(1, &[1, -3], &[2], &[message(1)]);
    check(1, &[1, 1, 2, 1], &[], &[1, 2].map(message));
    check(1, &[0, 1, 2], &[], &[0, 1, 2].map(message));
    check(
        1,
        &[1, 100],
        &[],
        &[message(1), Passed::Lost(98), message(100)],
    );
    check(u32::MAX, &[max, 1, 2], &[], &[u32::MAX, 1, 2].map(message));
    check(u32::MAX, &[max, 2], &[1], &[message(u32::MAX)]);
    check(u32::MAX, &[max, -1, 1], &[], &[u32::MAX, 1].map(message));
    check(u32::MAX - 1, &[30], &[], &[Passed::Lost(31), message(30)]);
    check(5, &[max, 5], &[], &[message(5)]);
}

#[test]
fn a_server_that_counts_anew_is_not_dropped_for_ever() {
    let message = Passed::Message;
    check(9, &[1, 2, 3], &[], &[Passed::Lost(3)]);
    check(9, &[9, 1, 1, 10, 1], &[], &[9, 10].map(message));
    // Keep-alives with the number of the last message.
    check(9, &[9, -9, -9, -9, -9, 10], &[], &[9, 10].map(message));

    let mut sequence = Sequence::new();
    for (number, is_full, is_broken) in [
        (1, true, false),
        (1, true, true),
        (1, false, true),
        (2, false, false),
        (1, true, true),
        (2, true, false),
    ] {
        sequence.arrive(number, is_full.then_some(number));
        assert_eq!(sequence.is_broken(), is_broken, "{number}");
    }
}

#[test]
fn an_answer_without_the_message_is_a_loss_at_its_place() {
    let mut sequence = Sequence::new();
    assert_eq!(sequence.arrive(4, Some(4)), [1, 2, 3]);
    assert!(sequence.is_broken());
    sequence.answer(2, Some(2));
    sequence.answer(9, Some(9));
    assert_eq!(passed(&mut sequence), []);
    sequence.answer(1, None);
    assert_eq!(passed(&mut sequence), [Passed::Lost(1), Passed::Message(2)]);
    sequence.give_up();
    assert!(!sequence.is_broken());
    assert_eq!(passed(&mut sequence), [Passed::Lost(1), Passed::Message(4)]);
}

#[test]
fn only_so_many_messages_wait_for_one_before_them() {
    let mut sequence = Sequence::new();
    let held = u32::try_from(HELD_MAX).unwrap();
    for number in 2..=held {
        sequence.arrive(number, Some(number));
    }
    assert!(sequence.is_broken());
    sequence.arrive(held + 1, Some(held + 1));
    let mut expected = vec![Passed::Lost(1)];
    expected.extend((2..=held + 1).map(Passed::Message));
    assert_eq!(passed(&mut sequence), expected);
}

proptest! {
    /// Whatever is lost on the way, whatever can be had again and whatever comes twice: all that
    /// arrived passes once and in order, and the rest is counted where it is missing.
    #[test]
    fn nothing_is_lost_silently_and_nothing_comes_twice(
        start in prop_oneof![Just(1u32), Just(u32::MAX - 20), any::<u32>().prop_map(|n| n.max(1))],
        fates in prop::collection::vec(0u8..6, 1..60),
    ) {
        let mut sequence = Sequence::new();
        sequence.next = start;
        let (mut number, mut out, mut kept, mut numbers) = (start, Vec::new(), Vec::new(), Vec::new());
        for fate in &fates {
            numbers.push(number);
            let asked = match fate {
                // On time; on time and again; after a keep-alive.
                0..=1 => sequence.arrive(number, Some(number)),
                2 => {
                    let asked = sequence.arrive(number, Some(number));
                    prop_assert!(sequence.arrive(number, Some(number)).is_empty());
                    asked
                }
                3 => {
                    let mut asked = sequence.arrive(number, None);
                    asked.extend(sequence.arrive(number, Some(number)));
                    asked
                }
                // Lost on the way.
                _ => Vec::new(),
            };
            if *fate <= 3 {
                kept.push(number);
            }
            for asked in asked {
                let place = numbers.iter().position(|n| *n == asked).unwrap();
                let had = fates[place] == 4;
                if had {
                    kept.push(asked);
                }
                sequence.answer(asked, had.then_some(asked));
            }
            out.extend(passed(&mut sequence));
            number = after(number);
        }
        prop_assert!(!sequence.queue.iter().any(|place| matches!(place, Place::Awaited(_))));
        // Place after place: each number is a message or within a count of lost ones.
        let mut at = 0;
        for passed in out {
            match passed {
                Passed::Message(message) => {
                    prop_assert_eq!(message, numbers[at]);
                    prop_assert!(kept.contains(&message));
                    at += 1;
                }
                Passed::Lost(count) => {
                    let end = at + usize::try_from(count).unwrap();
                    prop_assert!(numbers[at..end].iter().all(|n| !kept.contains(n)));
                    at = end;
                }
            }
        }
        // Losses at the very end show with the next message only.
        prop_assert!(fates[at..].iter().all(|fate| *fate >= 4));
    }
}
