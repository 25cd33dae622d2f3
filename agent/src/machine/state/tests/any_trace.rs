//! What must hold for any trace.

use super::super::*;
use super::EXTRUDER;
use super::trace::{FAST_STALE_MS, Input, POINTS, SLOW_STALE_MS, map};
use crate::machine::rule::PointKind;
use crate::sample::Value;
use proptest::prelude::*;
use std::time::Duration;

/// Rule sets that together use all that rules have.
const RULES: [&str; 4] = [
    EXTRUDER,
    "DOWN 0 5000 bit(fault, 1) || estop
MAINT 1000 0 door && mode != \"auto\"
RUN 2000 20000 changed(speed, \"7s\") || (previous == \"RUN\" && speed > 0.5)
SETUP 500 3000 running
IDLE 3000 0 true",
    "RUN 0 0 running && (door ? speed > 1.0 : speed > 0.0)
HOLD 1500 100 previous in [\"RUN\", \"HOLD\"] && fault == 0
OFF 0 30000 speed == 0.0 && !running",
    "RUN 0 0 previous != \"RUN\" && running\nIDLE 0 0 speed >= 0.0 || changed(fault, \"3s\")",
];

fn reading() -> impl Strategy<Value = (u16, u8)> {
    (0..6_u16, 0..12_u8)
}

/// Any input: a delay that is often a borderline, a group, and some of its points.
fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let delay = prop_oneof![
        4 => 0..3_000_i64,
        2 => prop::sample::select(vec![0, 500, 1_000, 2_000, 5_000, 7_000, 10_000, 20_000]),
        1 => 0..100_000_i64,
    ];
    // One input in three is a word that some points stand, of whatever group they are.
    let standing = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(0..7_u16, 1..6),
    ];
    let readings = prop::collection::vec(reading(), 0..6);
    let input = (delay, any::<bool>(), readings, standing);
    prop::collection::vec(input, 1..40).prop_map(|inputs| {
        let mut at_ms = 0;
        let mut made = Vec::new();
        for (delay, is_slow, readings, standing) in inputs {
            at_ms += delay;
            let group = u16::from(is_slow);
            let mut samples: Vec<Sample> = readings
                .into_iter()
                .filter(|(point, _)| POINTS[usize::from(*point)].2 == group)
                .map(|(point, what)| any_sample(point, what))
                .collect();
            samples.sort_by_key(|sample| sample.point);
            samples.dedup_by_key(|sample| sample.point);
            if !standing.is_empty() {
                samples.clear();
            }
            made.push(Input {
                at_ms,
                group,
                samples,
                standing,
            });
        }
        made
    })
}

/// What is known of a point, to be compared.
#[derive(Debug)]
struct Known {
    value: Option<Value>,
    good_ms: Option<i64>,
    is_bad: bool,
    is_denied: bool,
}

impl Known {
    fn of(machine: &StateMachine, point: u16) -> Self {
        let standing = machine.point(point);
        Self {
            value: standing.value.cloned(),
            good_ms: standing.good_ms,
            is_bad: standing.bad.is_some(),
            is_denied: machine.points.is_denied(point),
        }
    }
}

fn any_sample(point: u16, what: u8) -> Sample {
    let reading = match what {
        0 => Err(Bad::Timeout),
        1 => Err(Bad::Link),
        2 => Err(Bad::Exception(2)),
        3 => Err(Bad::Range),
        _ => Ok(match POINTS[usize::from(point)].1 {
            PointKind::Bool => Value::Bool(what % 2 == 0),
            PointKind::Number => Value::Float(f64::from(what % 4)),
            PointKind::Bits(_) => Value::Uint(u64::from(what % 4)),
            PointKind::Text => Value::Text(if what % 2 == 0 { "auto" } else { "hand" }.into()),
        }),
    };
    Sample { point, reading }
}

/// Gives the inputs, ending the agent and starting it anew before those listed; each run ends with
/// what it has decided so far. Checks on the way what must hold at any moment.
fn run(rules: &str, inputs: &[Input], restarts: &[usize]) -> (Vec<Transition>, i64) {
    let map = map(rules);
    let mut machine = StateMachine::new(Arc::clone(&map), 0, 0);
    let mut out: Vec<Transition> = Vec::new();
    let mut horizon_ms = 0;
    for (place, input) in inputs.iter().enumerate() {
        if restarts.contains(&place) {
            let now_ms = inputs[place.saturating_sub(1)].at_ms;
            let from = machine.standing().state;
            let since_ms = machine.horizon_ms();
            machine = StateMachine::new(Arc::clone(&map), now_ms, since_ms);
            out.push(Transition {
                from,
                to: State::Unknown,
                rule: None,
                since_ms,
                decided_ms: now_ms,
            });
        }
        let known = out.len();
        input.give(&mut machine, &mut out);
        for transition in &out[known..] {
            assert!(
                transition.since_ms >= horizon_ms,
                "{transition:?} before {horizon_ms}"
            );
            assert!(transition.since_ms <= transition.decided_ms);
            assert!(transition.decided_ms <= input.at_ms);
        }
        assert!(machine.horizon_ms() >= horizon_ms, "the horizon went back");
        horizon_ms = machine.horizon_ms();
        assert!(horizon_ms <= input.at_ms);
        assert!(
            machine
                .next_deadline()
                .is_none_or(|deadline| deadline > input.at_ms)
        );
        let standing = machine.standing();
        let last = out.last().map_or(State::Unknown, |last| last.to);
        assert_eq!(standing.state, last);
        assert_eq!(standing.rule.is_none(), standing.state == State::Unknown);
        assert_eq!(
            standing.reason == ReasonCode::Rule,
            standing.state != State::Unknown
        );
    }
    (out, inputs.last().map_or(0, |last| last.at_ms))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn states_partition_time(
        rules in prop::sample::select(&RULES[..]),
        inputs in inputs(),
        restarts in prop::collection::vec(0..40_usize, 0..3),
    ) {
        let (transitions, end_ms) = run(rules, &inputs, &restarts);
        let (mut state, mut since_ms, mut total_ms) = (State::Unknown, 0, 0);
        let map = map(rules);
        let mut present: Option<u16> = None;
        for transition in &transitions {
            prop_assert_eq!(transition.from, state);
            // Each of these rules gives a state of its own, so the hold is the contract's.
            if let Some(place) = transition.rule {
                let enter = map.rules[usize::from(place)].enter;
                let left = present.filter(|present| *present < place);
                let leave = left.map_or(Duration::ZERO, |left| map.rules[usize::from(left)].leave);
                let hold_ms = millis(enter.max(leave));
                prop_assert_eq!(transition.decided_ms - transition.since_ms, hold_ms);
            }
            present = transition.rule;
            prop_assert!(transition.since_ms >= since_ms, "{:?}", transition);
            total_ms += transition.since_ms - since_ms;
            (state, since_ms) = (transition.to, transition.since_ms);
        }
        prop_assert!(since_ms <= end_ms);
        prop_assert_eq!(total_ms + end_ms - since_ms, end_ms);
    }

    #[test]
    fn ticks_in_between_change_nothing(
        rules in prop::sample::select(&RULES[..]),
        inputs in inputs(),
        ticks in prop::collection::vec(0..200_000_i64, 0..60),
    ) {
        let mut ticked = inputs.clone();
        let end_ms = inputs.last().map_or(0, |last| last.at_ms);
        ticked.extend(ticks.into_iter().filter(|at_ms| *at_ms <= end_ms).map(|at_ms| Input {
            at_ms,
            group: 0,
            samples: Vec::new(),
            standing: Vec::new(),
        }));
        ticked.sort_by_key(|input| input.at_ms);
        let (plain, with_ticks) = (run(rules, &inputs, &[]), run(rules, &ticked, &[]));
        prop_assert_eq!(&plain, &with_ticks);
        prop_assert_eq!(plain, run(rules, &inputs, &[]));
    }

    #[test]
    fn silence_is_unknown_within_stale_after(
        rules in prop::sample::select(&RULES[..]),
        inputs in inputs(),
    ) {
        let mut machine = StateMachine::new(map(rules), 0, 0);
        let mut out = Vec::new();
        for input in &inputs {
            input.give(&mut machine, &mut out);
        }
        let observed_ms = machine.standing().observed_ms.unwrap_or(0);
        machine.advance(observed_ms + SLOW_STALE_MS, &mut out);
        prop_assert_eq!(machine.standing().state, State::Unknown);
        prop_assert_eq!(machine.next_deadline(), None);
    }

    #[test]
    fn a_word_revives_no_denied_point_and_invents_no_value(
        rules in prop::sample::select(&RULES[..]),
        inputs in inputs(),
    ) {
        let mut machine = StateMachine::new(map(rules), 0, 0);
        let mut out = Vec::new();
        for input in &inputs {
            machine.advance(input.at_ms, &mut out);
            let before: Vec<_> = (0..7).map(|point| Known::of(&machine, point)).collect();
            input.give(&mut machine, &mut out);
            for (point, before) in (0..).zip(before).filter(|_| !input.standing.is_empty()) {
                let after = Known::of(&machine, point);
                prop_assert_eq!(&after.value, &before.value);
                let is_named = input.standing.contains(&point)
                    && POINTS.get(usize::from(point)).is_some_and(|named| named.2 == input.group);
                let is_vouched = is_named && before.value.is_some() && !before.is_denied;
                if is_vouched {
                    prop_assert_eq!((after.good_ms, after.is_bad), (Some(input.at_ms), false));
                } else {
                    prop_assert_eq!(after.good_ms, before.good_ms);
                    prop_assert_eq!(after.is_bad, before.is_bad);
                }
                prop_assert_eq!(after.is_denied, before.is_denied);
            }
        }
    }

    #[test]
    fn words_alone_change_only_what_is_stale(
        rules in prop::sample::select(&RULES[..]),
        inputs in inputs(),
        every_ms in prop::sample::select(vec![500, 3_000, 9_999]),
    ) {
        // While words come in time, a machine that was read once goes through its holds and its
        // `changed`, and then stays as it is for as long as they come.
        let mut machine = StateMachine::new(map(rules), 0, 0);
        let mut out = Vec::new();
        for input in &inputs {
            input.give(&mut machine, &mut out);
        }
        let start_ms = inputs.last().map_or(0, |last| last.at_ms);
        let all: Vec<u16> = (0..6).collect();
        let mut stand = |from_ms: i64, until_ms: i64, out: &mut Vec<Transition>| {
            let mut at_ms = from_ms;
            while at_ms < until_ms {
                machine.stand(at_ms, 0, &all, out);
                machine.stand(at_ms, 1, &all, out);
                at_ms += every_ms;
            }
            (machine.standing().state, machine.standing().observed_ms, at_ms)
        };
        let (settled, _, next_ms) = stand(start_ms, start_ms + 60_000, &mut out);
        out.clear();
        let (state, observed_ms, end_ms) = stand(next_ms, next_ms + 600_000, &mut out);
        // A rule that asks for the state it gives may swing for ever; these few do not.
        if !rules.contains("previous != ") {
            prop_assert_eq!((state, out.as_slice()), (settled, [].as_slice()));
        }
        // Words about nothing are no evidence; the last of the others is the last there is.
        machine.advance(end_ms + SLOW_STALE_MS, &mut out);
        prop_assert_eq!(machine.standing().state, State::Unknown);
        prop_assert_eq!(machine.standing().observed_ms, observed_ms);
    }

    #[test]
    fn a_fault_word_that_cannot_be_read_never_lets_the_machine_seem_free(
        inputs in inputs(),
        lost_from in 0..40_usize,
    ) {
        // From one input on, no reading of the fault word is good.
        let mut inputs = inputs;
        for input in inputs.iter_mut().skip(lost_from) {
            for sample in input.samples.iter_mut().filter(|sample| sample.point == 0) {
                sample.reading = sample.reading.clone().and(Err(Bad::Timeout));
            }
        }
        let mut machine = StateMachine::new(map(EXTRUDER), 0, 0);
        let mut out = Vec::new();
        for input in &inputs {
            input.give(&mut machine, &mut out);
            let fault = machine.point(0);
            let is_denied = fault.bad.is_some_and(Bad::is_spoken);
            let is_stale = fault.good_ms.is_none_or(|good_ms| input.at_ms - good_ms >= FAST_STALE_MS);
            if is_denied || is_stale {
                let state = machine.standing().state;
                prop_assert!(matches!(state, State::Unknown | State::Down), "{state}");
            }
        }
    }
}
