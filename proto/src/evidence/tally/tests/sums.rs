//! What sums must always give, whatever the leaves.

use super::*;
use proptest::prelude::*;

use crate::evidence::MachineTotals;
use crate::ledger::{GapLeaf, GapReason};

/// What happens on a machine in one hour.
#[derive(Clone, Debug)]
struct HourOf {
    /// Shares of the hour by state, in sixtieths.
    shares: Vec<(State, u64)>,
    over: bool,
    energy: Option<u32>,
    hours: Option<u32>,
    letter: Option<ClockStatus>,
    map: u8,
    /// A session's class, if one lasts for this hour, and whether it is corrected afterwards.
    session: Option<(Class, CheckIn, bool)>,
}

fn hour() -> impl Strategy<Value = HourOf> {
    let state = prop::sample::select(State::ALL.to_vec());
    let shares = prop::collection::vec((state, 1_u64..20), 1..4);
    let class = prop::sample::select(vec![Class::Unb, Class::Own, Class::Trn, Class::Ext]);
    let check_in = prop::sample::select(vec![CheckIn::None, CheckIn::Local]);
    let letters = vec![None, Some(ClockStatus::S), Some(ClockStatus::I)];
    (
        shares,
        any::<bool>(),
        prop::option::of(0_u32..5_000),
        prop::option::of(0_u32..2),
        prop::sample::select(letters),
        0_u8..3,
        prop::option::of((class, check_in, prop::bool::weighted(0.1))),
    )
        .prop_map(
            |(shares, over, energy, hours, letter, map, session)| HourOf {
                shares,
                over,
                energy,
                hours,
                letter,
                map,
                session,
            },
        )
}

/// Writes a machine's hours, one after another from the first hour on.
fn write(book: &mut Book, machine: &str, hours: &[HourOf]) {
    for (number, hour) in (0_i64..).zip(hours) {
        let (from_ms, to_ms) = (number * HOUR, (number + 1) * HOUR);
        let id = format!("{machine}{number}");
        let said = hour.session.map(|(class, check_in, _)| SessionLeaf {
            class,
            check_in,
            ..session(machine, &id, from_ms, to_ms)
        });
        let mut ms: BTreeMap<State, u64> = BTreeMap::new();
        for (state, share) in &hour.shares {
            *ms.entry(*state).or_default() += share * 60_000;
        }
        let hold_ms = ms.get(&State::Hold).copied().unwrap_or(0);
        let leaf = UsageLeaf {
            session: said.as_ref().map(|said| said.session.clone()),
            class: said.as_ref().map(|said| said.class),
            hold_over_ms: if hour.over { hold_ms / 2 } else { 0 },
            energy: hour.energy.and_then(|rise| counter(&rise.to_string())),
            hours: hour.hours.and_then(|rise| counter(&format!("{rise}.5"))),
            clock: hour.letter,
            config: format!("sha256:{}", hour.map),
            ..idle(machine, from_ms, to_ms, &ms.into_iter().collect::<Vec<_>>())
        };
        if let Some(said) = &said {
            book.open(said.clone());
        }
        let index = book.usage(leaf);
        if let Some(said) = said {
            book.close(said);
        }
        if hour
            .session
            .is_some_and(|(_, _, is_corrected)| is_corrected)
        {
            book.correct(index);
        }
    }
}

fn machines(tallied: &Tallied) -> &[MachineTotals] {
    &tallied.totals.machines
}

/// Without places in the ledger, which depend on the order of leaves.
fn unplaced(mut machines: Vec<MachineTotals>) -> Vec<MachineTotals> {
    for session in machines
        .iter_mut()
        .flat_map(|machine| &mut machine.sessions)
    {
        (session.open, session.close) = (None, None);
    }
    machines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_and_nothing_counts_twice(hours in prop::collection::vec(hour(), 1..30)) {
        let mut book = Book::new();
        write(&mut book, "m", &hours);
        let tallied = book.day(&[], &Sight::default());
        let counting = &hours[..hours.len().min(24)];
        let all: u64 = counting.iter().flat_map(|hour| &hour.shares).map(|(_, share)| share * 60_000).sum();
        let machine = &machines(&tallied)[0];
        let unknown = machine.ms.get(&State::Unknown).copied().unwrap_or(0);
        prop_assert_eq!(machine.ms.values().sum::<u64>(), all);
        prop_assert_eq!(machine.known_ms + unknown, all);
        let days: u64 = machine.days.values().flat_map(BTreeMap::values).sum();
        prop_assert_eq!(days, all);
        let graded: u64 = machine.hours.values().flat_map(BTreeMap::values).sum();
        prop_assert_eq!(graded + machine.outside_ms, machine.active_ms);
        let in_sessions: u64 = machine.sessions.iter().map(|session| session.active_ms).sum();
        prop_assert_eq!(graded, in_sessions);
        let energy: u64 = counting.iter().filter_map(|hour| hour.energy).map(|rise| u64::from(rise) * 1000).sum();
        let said = machine.energy_session_mwh.zip(machine.energy_idle_mwh);
        prop_assert_eq!(said.map_or(0, |(session, idle)| session + idle), energy);
        let none = counting.iter().all(|hour| hour.energy.is_none());
        prop_assert_eq!(said.is_none(), none);
        for session in &machine.sessions {
            let worst = session.why.iter().map(|why| why.grade()).max();
            prop_assert_eq!(Some(session.grade), worst);
            prop_assert!(session.why.is_sorted());
        }
        no_finding(&tallied.sessions);
    }

    #[test]
    fn the_order_of_independent_machines_does_not_matter(
        one in prop::collection::vec(hour(), 1..12),
        other in prop::collection::vec(hour(), 1..12),
    ) {
        let sums = |order: [(&str, &[HourOf]); 2]| {
            let mut book = Book::new();
            for (machine, hours) in order {
                write(&mut book, machine, hours);
            }
            unplaced(book.day(&[], &Sight::default()).totals.machines)
        };
        prop_assert_eq!(sums([("m", &one), ("n", &other)]), sums([("n", &other), ("m", &one)]));
    }

    #[test]
    fn parts_of_a_period_add_up_to_it(hours in prop::collection::vec(hour(), 24..48), cut in 1_i64..23) {
        let mut book = Book::new();
        write(&mut book, "m", &hours);
        let of = |from_ms, to_ms| {
            let tally = book.tally(time(from_ms), time(to_ms), &[]);
            tally.finish(&book.end(), &Sight::default()).totals.machines.remove(0)
        };
        let whole = of(0, 24 * HOUR);
        let parts = [of(0, cut * HOUR), of(cut * HOUR, 24 * HOUR)];
        let sum = |value: &dyn Fn(&MachineTotals) -> u64| parts.iter().map(value).sum::<u64>();
        for state in State::ALL {
            let of_state = |part: &MachineTotals| part.ms.get(&state).copied().unwrap_or(0);
            prop_assert_eq!(sum(&of_state), of_state(&whole));
        }
        prop_assert_eq!(sum(&|part| part.active_ms), whole.active_ms);
        prop_assert_eq!(sum(&|part| part.outside_ms), whole.outside_ms);
        prop_assert_eq!(sum(&|part| part.known_ms), whole.known_ms);
        prop_assert_eq!(sum(&|part| part.good), whole.good);
        prop_assert_eq!(sum(&|part| part.counter_milli.unwrap_or(0)), whole.counter_milli.unwrap_or(0));
        prop_assert_eq!(sum(&|part| part.energy_run_mwh.unwrap_or(0)), whole.energy_run_mwh.unwrap_or(0));
        let ids = |machine: &MachineTotals| {
            let ids = machine.sessions.iter().map(|session| session.session.clone());
            ids.collect::<Vec<_>>()
        };
        prop_assert_eq!([ids(&parts[0]), ids(&parts[1])].concat(), ids(&whole));
        for class in Class::ALL {
            let of_class = |part: &MachineTotals| part.hours.get(&class).map_or(0, |of| of.values().sum());
            prop_assert_eq!(sum(&of_class), of_class(&whole));
        }
    }
}

#[test]
fn a_machine_is_listed_if_the_period_has_something_of_it() {
    let gap = |machine: &str, from_ms: i64, to_ms: i64| {
        LeafBody::Gap(GapLeaf {
            machine: identifier(machine),
            from: time(from_ms),
            to: time(to_ms),
            from_boot: "b".to_owned(),
            mono_from_ms: mono(from_ms),
            mono_to_ms: mono(to_ms),
            ms: Some(u64::try_from(to_ms - from_ms).unwrap()),
            clock: ClockStatus::S,
            reason: GapReason::Agent,
        })
    };
    let check = |body: LeafBody, is_listed: bool| {
        let mut book = Book::new();
        book.add(0, body.clone());
        let tallied = book.day(&[], &Sight::default());
        assert_eq!(machines(&tallied).len(), usize::from(is_listed), "{body:?}");
        if let [machine] = machines(&tallied) {
            assert_eq!((machine.coverage_pm, machine.known_ms), (0, 0));
        }
    };
    check(gap("m", -HOUR, 30 * HOUR), true);
    check(gap("m", -HOUR, 1), true);
    check(gap("m", 24 * HOUR - 1, 30 * HOUR), true);
    check(gap("m", -HOUR, 0), false);
    check(gap("m", 24 * HOUR, 30 * HOUR), false);
    let usage =
        |from_ms: i64| LeafBody::Usage(idle("m", from_ms, from_ms + 1, &[(State::Unknown, 1)]));
    check(usage(-1), false);
    check(usage(0), true);
    check(usage(24 * HOUR - 1), true);
    check(usage(24 * HOUR), false);
    let x = |from_ms: i64| {
        LeafBody::Session(SessionLeaf {
            event: SessionEvent::Open,
            ..session("m", "x", from_ms, from_ms)
        })
    };
    check(x(-1), false);
    check(x(0), true);
    check(x(24 * HOUR), false);
}

#[test]
fn sums_saturate_and_coverage_is_never_more_than_whole() {
    let mut book = Book::new();
    for hour in 0..3 {
        let leaf = idle(
            "m",
            hour * HOUR,
            (hour + 1) * HOUR,
            &[(State::Run, u64::MAX)],
        );
        book.usage(UsageLeaf {
            good: u64::MAX,
            energy: counter("999999999999999999"),
            hours: counter("999999999999999999"),
            ..leaf
        });
    }
    let tallied = book.day(&[], &Sight::default());
    let machine = &machines(&tallied)[0];
    let most = 9_007_199_254_740_991;
    assert_eq!(machine.ms, BTreeMap::from([(State::Run, most)]));
    assert_eq!(
        (machine.active_ms, machine.outside_ms, machine.good),
        (most, most, most)
    );
    assert_eq!((machine.known_ms, machine.coverage_pm), (86_400_000, 1000));
    assert_eq!(machine.counter_milli, Some(most));
    assert_eq!(machine.energy_idle_mwh, Some(most));
    assert_eq!(machine.energy_run_ms, Some(most));
}

#[test]
fn a_leaf_counts_where_it_begins() {
    let mut book = Book::new();
    // Wall time was set: a span that reaches over the period's ends.
    for (from_ms, to_ms) in [(-HOUR, HOUR), (23 * HOUR, 25 * HOUR)] {
        book.usage(idle("m", from_ms, to_ms, &[(State::Run, 7_200_000)]));
    }
    let tallied = book.day(&[], &Sight::default());
    let machine = &machines(&tallied)[0];
    assert_eq!(machine.active_ms, 7_200_000);
    assert_eq!(machine.days.keys().collect::<Vec<_>>(), ["2026-11-30"]);
}

#[test]
fn the_letter_is_that_of_the_spans_boot_at_that_place() {
    let check = |leaves: &dyn Fn(&mut Book), is_synchronised: bool| {
        let mut book = Book::new();
        book.open(session("m", "x", 0, HOUR));
        leaves(&mut book);
        let tallied = book.day(&[], &Sight::default());
        let why = &machines(&tallied)[0].sessions[0].why;
        assert_eq!(!why.contains(&crate::evidence::Why::Clock), is_synchronised);
    };
    let used = run("m", ("x", Class::Unb), 0, HOUR);
    let of_boot = |boot: &str| UsageLeaf {
        span_boot: Some(boot.to_owned()),
        ..used.clone()
    };
    check(
        &|book| {
            book.usage(used.clone());
        },
        true,
    );
    check(
        &|book| {
            book.boot("b", ClockStatus::I);
            book.usage(used.clone());
        },
        false,
    );
    check(
        &|book| {
            book.boot("c", ClockStatus::U);
            book.usage(used.clone());
        },
        true,
    );
    check(
        &|book| {
            book.boot("c", ClockStatus::U);
            book.usage(of_boot("c"));
        },
        false,
    );
    check(
        &|book| {
            book.usage(of_boot("c"));
        },
        false,
    );
    check(
        &|book| {
            book.boot("c", ClockStatus::U);
            let clock = Some(ClockStatus::S);
            book.usage(UsageLeaf {
                clock,
                ..of_boot("c")
            });
        },
        true,
    );
    check(
        &|book| {
            book.usage(used.clone());
            book.boot("b", ClockStatus::U);
        },
        true,
    );
}

#[test]
fn what_is_kept_is_bounded_and_too_much_is_told() {
    let mut book = Book::new();
    for place in 0..2_000 {
        let id = format!("session-{place}");
        let x = session(&format!("m{place}"), &id, 0, HOUR);
        book.open(x.clone());
        book.usage(run(x.machine.as_str(), (&id, Class::Unb), 0, HOUR));
        book.close(x);
    }
    let mut tally = book.tally(time(0), time(HOUR), &[]);
    no_finding(&tally.finish(&book.end(), &Sight::default()).sessions);
    tally = Tally::new(tally.scope.clone());
    tally.room = Room::new(1 << 20);
    for leaf in &book.leaves {
        tally.take(leaf);
    }
    tally.take_token(&[b'a'; 100]);
    let tallied = tally.finish(&book.end(), &Sight::default());
    one_finding(
        &tallied.sessions,
        Check::Sessions,
        "more sessions, days, maps and tokens than 256 MiB hold: check a shorter period",
    );
    assert!(machines(&tallied).len() < 1_000);
}
