#![expect(clippy::cast_sign_loss, reason = "lengths of a script")]

use super::*;
use crate::clock::Stamp;
use proptest::prelude::*;

const START_MS: i64 = 1_795_420_800_000;

fn wall_at(boot_ms: i64, offset_ms: i64) -> Stamp {
    Stamp {
        boot_ms: boot_ms as u64,
        wall: Time::from_millis(START_MS + boot_ms + offset_ms),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(State, i64, bool),
    Cut,
    Settle,
    Part,
    Slew(i64),
    Keep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let state = prop::sample::select(State::ALL.to_vec());
    let length = prop_oneof![1..1_000_i64, 1..600_000_i64, Just(HOUR_MS), 1..10 * HOUR_MS];
    let step = prop_oneof![
        6 => (state, length, any::<bool>()).prop_map(|(state, ms, tail)| Step::Add(state, ms, tail)),
        1 => Just(Step::Cut),
        1 => Just(Step::Settle),
        1 => Just(Step::Part),
        1 => (-900..900_i64).prop_map(Step::Slew),
        1 => Just(Step::Keep),
    ];
    prop::collection::vec(step, 1..60)
}

/// Checks that spans go on where `from_ms` is, each within its hour, and gives where they end.
fn follow(spans: &[Span], mut from_ms: i64, sums: &mut BTreeMap<State, u64>) -> i64 {
    for span in spans {
        assert_eq!(span.from_ms, from_ms, "{span:?}");
        assert!(span.to_ms > span.from_ms, "{span:?}");
        let length_ms = (span.to_ms - span.from_ms) as u64;
        assert_eq!(span.ms.values().sum::<u64>(), length_ms, "{span:?}");
        let hour = span.from.as_millis().div_euclid(HOUR_MS) + 1;
        assert!(span.to <= Time::from_millis(hour * HOUR_MS), "{span:?}");
        assert!(span.to >= span.from, "{span:?}");
        for (state, ms) in &span.ms {
            *sums.entry(*state).or_default() += ms;
        }
        from_ms = span.to_ms;
    }
    from_ms
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_tile_time_whatever_happens(steps in steps(), begin_ms in 0..2 * HOUR_MS) {
        let (mut now_ms, mut offset_ms) = (begin_ms, 0);
        let mut wall = Wall::of(wall_at(now_ms, offset_ms));
        let mut usage = Usage::begin(now_ms, &wall);
        let (mut told_ms, mut told, mut known) = (begin_ms, BTreeMap::new(), BTreeMap::new());
        for step in steps {
            let spans = match step {
                Step::Add(state, ms, is_undecided) => {
                    now_ms += ms;
                    wall.observe(wall_at(now_ms, offset_ms));
                    *known.entry(state).or_default() += ms as u64;
                    usage.add(state, false, now_ms, is_undecided, &wall);
                    usage.ready()
                }
                Step::Cut => { usage.cut(&wall); usage.ready() }
                Step::Settle => { usage.settle(); usage.ready() }
                Step::Part => {
                    let mut spans = usage.part(&wall);
                    spans.extend(usage.ready());
                    spans
                }
                Step::Slew(ms) => {
                    offset_ms += ms;
                    Vec::new()
                }
                Step::Keep => {
                    let text = serde_json::to_string(&usage).unwrap();
                    usage = serde_json::from_str(&text).unwrap();
                    Vec::new()
                }
            };
            told_ms = follow(&spans, told_ms, &mut told);
            prop_assert_eq!(usage.frontier_ms(), now_ms);
        }
        let mut rest = usage.part(&wall);
        usage.cut(&wall);
        rest.extend(usage.ready());
        prop_assert_eq!(follow(&rest, told_ms, &mut told), now_ms);
        prop_assert_eq!(told, known);
    }
}

/// The clock is set where undecided time begins, and the time turns out to be of the same owner.
#[test]
fn time_on_both_sides_of_a_set_clock_is_never_one_span() {
    // Where time begins, how far the clock is off after each millisecond, and how many spans it becomes.
    let check = |begin_ms: i64, [first_ms, second_ms]: [i64; 2], expected: usize| {
        let mut wall = Wall::of(wall_at(begin_ms, 0));
        let mut usage = Usage::begin(begin_ms, &wall);
        let at = |ms| begin_ms + ms;
        wall.observe(wall_at(at(1), first_ms));
        usage.add(State::Run, false, at(1), false, &wall);
        wall.observe(wall_at(at(2), second_ms));
        usage.add(State::Idle, false, at(2), true, &wall);
        usage.settle();
        usage.cut(&wall);
        let spans = usage.ready();
        let told = follow(&spans, begin_ms, &mut BTreeMap::new());
        assert_eq!((told, spans.len()), (at(2), expected), "{spans:?}");
    };
    check(0, [0, 0], 1);
    check(0, [400, 800], 1);
    // Slewed twice, and back by more than a second in all.
    check(0, [-471, -1_002], 2);
    // The hour was over by the clock when the first one ended.
    check(HOUR_MS - 500, [600, 600], 2);
}

#[test]
fn what_the_ledger_has_is_forgotten() {
    let wall = Wall::of(wall_at(0, 0));
    let mut usage = Usage::begin(0, &wall);
    usage.add(State::Run, false, 1_000, false, &wall);
    usage.add(State::Idle, false, 5_000, true, &wall);
    let check = |until_ms: i64, frontier_ms: i64, rest_ms: u64| {
        let mut usage = usage.clone();
        usage.forget(until_ms, wall.at(until_ms), &wall);
        assert_eq!(usage.frontier_ms(), frontier_ms, "{until_ms}");
        let mut spans = usage.part(&wall);
        usage.cut(&wall);
        spans.extend(usage.ready());
        let rest: u64 = spans.iter().flat_map(|span| span.ms.values()).sum();
        assert_eq!(rest, rest_ms, "{until_ms}");
    };
    check(0, 5_000, 5_000);
    check(1_000, 5_000, 4_000);
    check(5_000, 5_000, 0);
    check(9_000, 9_000, 0);
    // Nobody can say what of the tail was before: all of it becomes a gap.
    check(3_000, 3_000, 0);
}
