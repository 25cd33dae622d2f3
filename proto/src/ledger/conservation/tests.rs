use super::*;
use crate::ledger::{
    Boot, ClockLeaf, CloseReason, GapLeaf, GapReason, LeafHead, SessionEvent, SessionLeaf,
    Shutdown, StateLeaf, UsageLeaf,
};
use crate::{CheckIn, Class, State, Time};

const START_MS: i64 = 1_795_420_800_000;

fn leaf(index: u64, boot: &str, mono_ms: u64, body: LeafBody) -> Leaf {
    Leaf {
        head: LeafHead {
            v: 1,
            index,
            // In the second boot, wall time is 100 s further on.
            at: wall(mono_ms as i64 + if boot == "b" { 100_000 } else { 0 }),
            boot: boot.to_owned(),
            mono_ms,
        },
        body,
    }
}

fn wall(ms: i64) -> Time {
    Time::from_millis(START_MS + ms)
}

fn boot(clock: ClockStatus) -> LeafBody {
    LeafBody::Boot(Boot {
        version: "1".to_owned(),
        build: "sha256:0".to_owned(),
        previous: Shutdown::None,
        clock,
        error_ms: None,
    })
}

fn state(from: State, to: State, since_ms: i64) -> LeafBody {
    LeafBody::State(StateLeaf {
        machine: "m".parse().unwrap(),
        from,
        to,
        since: wall(since_ms),
        since_ms,
        rule: (to != State::Unknown).then(|| format!("{to}@1")),
        config: "sha256:0".to_owned(),
    })
}

fn usage(session: Option<&str>, from_ms: u64, to_ms: u64, ms: &[(State, u64)]) -> LeafBody {
    LeafBody::Usage(UsageLeaf {
        machine: "m".parse().unwrap(),
        session: session.map(str::to_owned),
        class: session.map(|_| Class::Unb),
        from: wall(from_ms as i64),
        to: wall(to_ms as i64),
        span_boot: None,
        clock: None,
        mono_from_ms: from_ms,
        mono_to_ms: to_ms,
        ms: ms.iter().copied().collect(),
        hold_over_ms: 0,
        good: 1,
        bad: 0,
        energy: None,
        hours: None,
        config: "sha256:0".to_owned(),
    })
}

fn gap(from_boot: &str, from_ms: u64, to_ms: u64, ms: Option<u64>, clock: ClockStatus) -> LeafBody {
    LeafBody::Gap(GapLeaf {
        machine: "m".parse().unwrap(),
        from: wall(from_ms as i64),
        to: wall(to_ms as i64),
        from_boot: from_boot.to_owned(),
        mono_from_ms: from_ms,
        mono_to_ms: to_ms,
        ms,
        clock,
        reason: GapReason::Agent,
    })
}

fn session(event: SessionEvent, from_ms: i64, to_ms: Option<i64>) -> LeafBody {
    LeafBody::Session(SessionLeaf {
        machine: "m".parse().unwrap(),
        session: "s".to_owned(),
        event,
        booking: None,
        token: None,
        class: Class::Unb,
        check_in: CheckIn::None,
        by: None,
        from: wall(from_ms),
        from_ms,
        to: to_ms.map(wall),
        to_ms,
        reason: to_ms.map(|_| CloseReason::Idle),
    })
}

/// A sound ledger: a session, a restart on the same boot, a new boot whose clock is set later.
fn sound() -> Vec<Leaf> {
    let (unknown, idle, run) = (State::Unknown, State::Idle, State::Run);
    let clock = LeafBody::Clock(ClockLeaf {
        status: ClockStatus::S,
        before: ClockStatus::U,
        step_ms: Some(1),
        error_ms: None,
        source: "kernel".to_owned(),
    });
    let bodies = [
        ("a", 1_000, boot(ClockStatus::S)),
        ("a", 1_000, state(unknown, unknown, 1_000)),
        ("a", 2_500, state(unknown, idle, 2_000)),
        ("a", 5_000, state(idle, run, 5_000)),
        (
            "a",
            6_000,
            usage(None, 1_000, 5_000, &[(unknown, 1_000), (idle, 3_000)]),
        ),
        ("a", 6_000, session(SessionEvent::Open, 5_000, None)),
        ("a", 9_000, state(run, idle, 9_000)),
        ("a", 30_000, usage(Some("s"), 5_000, 9_000, &[(run, 4_000)])),
        (
            "a",
            30_000,
            session(SessionEvent::Close, 5_000, Some(9_000)),
        ),
        ("a", 30_000, usage(None, 9_000, 20_000, &[(idle, 11_000)])),
        (
            "a",
            40_000,
            gap("a", 20_000, 40_000, Some(20_000), ClockStatus::S),
        ),
        ("a", 40_000, state(idle, unknown, 20_000)),
        (
            "a",
            60_000,
            usage(None, 40_000, 60_000, &[(unknown, 20_000)]),
        ),
        ("b", 500, boot(ClockStatus::U)),
        ("b", 500, gap("a", 60_000, 500, None, ClockStatus::U)),
        ("b", 500, state(unknown, unknown, 500)),
        ("b", 70_000, clock),
        ("b", 80_000, usage(None, 500, 80_000, &[(unknown, 79_500)])),
    ];
    let leaves = (0..).zip(bodies);
    leaves
        .map(|(index, (boot, mono_ms, body))| leaf(index, boot, mono_ms, body))
        .collect()
}

fn report(leaves: &[Leaf]) -> Report {
    let mut check = Conservation::default();
    for leaf in leaves {
        check.take(leaf);
    }
    check.report()
}

#[test]
fn a_sound_ledger_adds_up() {
    let found = report(&sound());
    assert!(found.is_sound(), "{:?}", found.violations);
    let totals = found.machines.values().next().unwrap();
    let sum: u64 = totals.ms.values().sum();
    assert_eq!(sum, 19_000 + 20_000 + 79_500);
    // The clock leaf tells that the second boot's join, 500 ms after it began, was at 100.5 s; the first ended at 60 s.
    assert_eq!((totals.gap_ms, totals.gaps_open), (20_000 + 40_500, 0));
    assert_eq!((totals.opened, totals.closed), (1, 1));
    let open = report(&sound()[..16]);
    assert_eq!(open.machines.values().next().unwrap().gaps_open, 1);
}

/// What is told of a ledger in which the leaf at this place became another, or went.
fn check(place: usize, body: Option<LeafBody>, told: &str) {
    let mut leaves = sound();
    match body {
        Some(body) => leaves[place].body = body,
        None => drop(leaves.remove(place)),
    }
    let found = report(&leaves);
    let texts: Vec<String> = found.violations.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains(told)),
        "{place} {told}: {texts:#?}"
    );
}

#[test]
fn whatever_does_not_add_up_is_named() {
    let (idle, run) = (State::Idle, State::Run);
    check(
        9,
        None,
        "leaf 10, machine m: nobody accounts for the time from 9000 to 20000",
    );
    check(
        9,
        Some(usage(None, 8_000, 20_000, &[(idle, 12_000)])),
        "from 8000 to 9000 ms of the boot is accounted for twice",
    );
    check(
        9,
        Some(usage(None, 9_000, 20_000, &[(idle, 10_999)])),
        "add up to 10999 ms, of 11000",
    );
    check(
        9,
        Some(usage(None, 9_000, 20_000, &[(run, 11_000)])),
        "11000 ms of RUN, where the state leaves say 0 ms",
    );
    check(
        7,
        Some(usage(Some("x"), 5_000, 9_000, &[(run, 4_000)])),
        "usage of session x, which does not run",
    );
    check(
        4,
        Some(usage(
            None,
            1_000,
            4_000,
            &[(State::Unknown, 1_000), (idle, 2_000)],
        )),
        "nobody accounts for",
    );
    check(3, None, "a change from RUN, while the state was IDLE");
    check(
        6,
        Some(state(run, idle, 8_999)),
        "0 ms of IDLE, where the state leaves say 1 ms",
    );
    check(6, Some(state(run, idle, 4_000)), "a change at 4000 ms");
}

#[test]
fn sessions_and_gaps_that_do_not_add_up_are_named() {
    check(5, None, "session s ends and does not run");
    check(
        8,
        Some(session(SessionEvent::Close, 5_000, Some(8_000))),
        "usage of session s at 9000 ms, outside it",
    );
    check(
        8,
        Some(session(SessionEvent::Open, 5_000, None)),
        "session s begins a second time",
    );
    check(
        10,
        Some(gap("a", 20_000, 40_000, Some(19_999), ClockStatus::S)),
        "where the boot's clock says 20000 ms",
    );
    check(10, None, "nobody accounts for the time from 20000 to 40000");
    check(
        14,
        Some(gap("a", 60_000, 500, None, ClockStatus::S)),
        "without a length",
    );
    check(14, None, "time of boot b, while a is accounted for");
    check(
        17,
        Some(usage(None, 500, 4_000_000, &[(State::Unknown, 3_999_500)])),
        "beyond the full UTC hour",
    );
}

/// What a check that begins at a leaf says of the leaves from there on.
fn since(leaves: &[Leaf], first: usize) -> Report {
    let mut check = Conservation::of_time(first as u64);
    for leaf in &leaves[first..] {
        check.take(leaf);
    }
    check.report()
}

#[test]
fn a_check_may_begin_anywhere_in_a_sound_ledger() {
    let leaves = sound();
    for first in 0..leaves.len() {
        assert_eq!(since(&leaves, first).violations, [], "from leaf {first} on");
    }
    let leaves = crate::evidence::sample::Sample::new().leaves;
    for first in (0..leaves.len()).step_by(64) {
        assert_eq!(since(&leaves, first).violations, [], "from leaf {first} on");
    }
}

#[test]
fn what_is_wrong_after_the_begin_is_found_wherever_the_check_began() {
    let leaves = crate::evidence::sample::Sample::new().leaves;
    let is_long = |leaf: &&Leaf| matches!(&leaf.body, LeafBody::Usage(usage) if usage.ms.len() > 1 && leaf.head.index > 600);
    let at = leaves.iter().find(is_long).unwrap().head.index as usize;
    let check = |name: &str, change: fn(&mut UsageLeaf)| {
        let mut leaves = leaves.clone();
        if let LeafBody::Usage(usage) = &mut leaves[at].body {
            change(usage);
        }
        for first in [0, 256, 512] {
            let report = since(&leaves, first);
            assert_ne!(report.violations_count, 0, "{name} from leaf {first} on");
            assert!(
                report.violations[0].index >= at as u64,
                "{name}: {report:?}"
            );
        }
    };
    check("a span that begins later", |usage| usage.mono_from_ms += 1);
    check("a span that ends later", |usage| usage.mono_to_ms += 1);
    check("time of another state", |usage| {
        let [(one, _), (other, _)] = [usage.ms.first_key_value(), usage.ms.last_key_value()]
            .map(|entry| entry.map(|(state, ms)| (*state, *ms)).unwrap());
        *usage.ms.get_mut(&one).unwrap() -= 1;
        *usage.ms.get_mut(&other).unwrap() += 1;
    });
    check("more time than passed", |usage| {
        *usage.ms.values_mut().next().unwrap() += 1;
    });
}
