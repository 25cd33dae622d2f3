//! Each reason for a grade.

#![expect(clippy::wildcard_enum_match_arm, reason = "the leaves that matter")]

use super::*;
use crate::evidence::{Grade, Why};

const X: (&str, Class) = ("x", Class::Ext);

/// An external session of an hour with a meter that agrees, after two hours without activity: grade A.
fn ledger() -> (Book, Vec<String>) {
    let token = token("m", "x", 2 * HOUR, 3 * HOUR);
    let mut book = Book::new();
    for hour in 0..2 {
        let (from_ms, to_ms) = (hour * HOUR, (hour + 1) * HOUR);
        book.usage(UsageLeaf {
            energy: counter("1000"),
            ..idle("m", from_ms, to_ms, &[(State::Idle, 3_600_000)])
        });
    }
    let x = external("m", "x", (2 * HOUR, 3 * HOUR), &token);
    book.open(x.clone());
    for half in [4, 5] {
        let (from_ms, to_ms) = (half * HOUR / 2, (half + 1) * HOUR / 2);
        book.usage(UsageLeaf {
            energy: counter("600"),
            ..run("m", X, from_ms, to_ms)
        });
    }
    book.close(x);
    (book, vec![token])
}

/// A day after the session's end.
const IN_TIME: i64 = 27 * HOUR;

/// A change of the usage leaf at a place.
fn usage(change: impl Fn(&mut UsageLeaf)) -> impl Fn(&mut Book, usize) {
    move |book: &mut Book, place: usize| match &mut book.leaves[place].body {
        LeafBody::Usage(leaf) => change(leaf),
        other => panic!("{other:?}"),
    }
}

type Change<'a> = &'a dyn Fn(&mut Book, &mut Sight);

use Grade::{A, B, C, D};

/// What becomes of the session's grade when ledger or sight are changed so.
fn check(what: &str, change: Change<'_>, grade: Grade, why: &[Why]) {
    let (mut book, tokens) = ledger();
    let mut sight = believing(IN_TIME);
    change(&mut book, &mut sight);
    let tallied = book.day(&tokens, &sight);
    no_finding(&tallied.sessions);
    let machine = &tallied.totals.machines[0];
    let session = &machine.sessions[0];
    assert_eq!((session.grade, &*session.why), (grade, why), "{what}");
    let hours = BTreeMap::from([(grade, 3_600_000)]);
    assert_eq!(machine.hours[&session.class], hours, "{what}");
}

#[test]
fn what_is_corrected_or_unproven_is_worth_least() {
    check("as it is", &|_, _| {}, A, &[]);
    check(
        "corrected",
        &|book, _| book.correct(4),
        D,
        &[Why::Corrected],
    );
    check("its end", &|book, _| book.correct(6), D, &[Why::Corrected]);
    check(
        "its begin",
        &|book, _| book.correct(3),
        D,
        &[Why::Corrected],
    );
    check("something else", &|book, _| book.correct(2), A, &[]);
    check(
        "no issuers",
        &|_, sight| sight.trust.issuers.clear(),
        D,
        &[Why::Token],
    );
    check(
        "an affiliate",
        &|_, sight| {
            sight.trust.affiliates.insert("org-x".to_owned());
        },
        A,
        &[],
    );
}

#[test]
fn a_clock_that_is_not_synchronised_is_told() {
    for letter in [ClockStatus::U, ClockStatus::I, ClockStatus::R] {
        let worse = usage(move |leaf| leaf.clock = Some(letter));
        check("its clock", &|book, _| worse(book, 5), C, &[Why::Clock]);
        let before = usage(move |leaf| leaf.clock = Some(letter));
        check("another's clock", &|book, _| before(book, 2), A, &[]);
    }
    let unknown = usage(|leaf| leaf.span_boot = Some("older".to_owned()));
    check("no letter", &|book, _| unknown(book, 5), C, &[Why::Clock]);
}

#[test]
fn a_witness_must_have_seen_the_end_within_a_day() {
    check(
        "late by a second",
        &|_, sight| sight.witnessed[0].at = time(IN_TIME + 1),
        C,
        &[Why::Late],
    );
    check(
        "never",
        &|_, sight| sight.witnessed.clear(),
        C,
        &[Why::Late],
    );
    check(
        "too small",
        &|_, sight| sight.witnessed[0].size = 6,
        C,
        &[Why::Late],
    );
    check(
        "large enough",
        &|_, sight| sight.witnessed[0].size = 7,
        A,
        &[],
    );
    check(
        "the earliest of many counts",
        &|_, sight| {
            for (size, hours) in [(5, 1), (9, 90), (8, 26), (7, 28)] {
                let at = time(hours * HOUR);
                sight.witnessed.push(Witnessed { size, at });
            }
            sight.witnessed.remove(0);
        },
        A,
        &[],
    );
    check(
        "still open",
        &|book, _| {
            book.leaves.pop();
        },
        C,
        &[Why::Late],
    );
}

#[test]
fn a_map_must_be_approved() {
    let other = usage(|leaf| leaf.config = "sha256:33".to_owned());
    check("another map", &|book, _| other(book, 5), C, &[Why::Map]);
    check(
        "for another gateway",
        &|_, sight| sight.trust.maps[0].gateway = Some(identifier("h")),
        C,
        &[Why::Map],
    );
    check(
        "for another site",
        &|_, sight| sight.trust.maps[0].site = Some(identifier("t")),
        C,
        &[Why::Map],
    );
    check(
        "for another machine",
        &|_, sight| sight.trust.maps[0].machine = identifier("n"),
        C,
        &[Why::Map],
    );
}

#[test]
fn a_meter_must_be_read_throughout() {
    let unread = usage(|leaf| leaf.energy = None);
    check("half a meter", &|book, _| unread(book, 5), C, &[Why::Meter]);
    let odd = usage(|leaf| leaf.energy = counter("-1"));
    check("no decimal", &|book, _| odd(book, 5), C, &[Why::Meter]);
    let reset = usage(|leaf| leaf.energy.as_mut().unwrap().resets = 1);
    check("a reset", &|book, _| reset(book, 5), C, &[Why::Meter]);
    check(
        "no meter",
        &|book, _| {
            for place in [1, 2, 4, 5] {
                unread(book, place);
            }
        },
        B,
        &[Why::NoMeter],
    );
}

#[test]
fn all_reasons_are_told_and_the_worst_counts() {
    let unread = usage(|leaf| leaf.energy = None);
    let other = usage(|leaf| leaf.config = "sha256:33".to_owned());
    let unknown = usage(|leaf| leaf.span_boot = Some("older".to_owned()));
    check(
        "all at once",
        &|book, sight| {
            unread(book, 5);
            other(book, 5);
            unknown(book, 5);
            book.correct(5);
            *sight = Sight::default();
        },
        D,
        &[
            Why::Corrected,
            Why::Token,
            Why::Clock,
            Why::Late,
            Why::Map,
            Why::Meter,
        ],
    );
}

#[test]
fn what_a_person_entered_is_worth_least() {
    let (mut book, _) = ledger();
    let mut check = |check_in: CheckIn, class: Class, wanted: (Grade, &[Why])| {
        for leaf in &mut book.leaves {
            match &mut leaf.body {
                LeafBody::Session(leaf) => {
                    (leaf.token, leaf.class, leaf.check_in) = (None, class, check_in);
                }
                LeafBody::Usage(leaf) if leaf.session.is_some() => leaf.class = Some(class),
                _ => {}
            }
        }
        let tallied = book.day(&[], &believing(IN_TIME));
        no_finding(&tallied.sessions);
        no_finding(&tallied.tokens);
        let session = &tallied.totals.machines[0].sessions[0];
        assert_eq!((session.grade, &*session.why), wanted, "{check_in:?}");
        assert_eq!(session.check_in, Some(check_in));
    };
    let entered = (Grade::D, &[Why::Entered][..]);
    check(CheckIn::Local, Class::Own, entered);
    // No word of the gateway's makes it better.
    check(CheckIn::Portal, Class::Own, entered);
    check(CheckIn::Implied, Class::Aff, entered);
    check(CheckIn::None, Class::Trn, entered);
    // What nobody booked has no class that somebody could have entered.
    check(CheckIn::None, Class::Unb, (Grade::A, &[]));
}

#[test]
fn a_machine_in_use_takes_a_fifth_more() {
    let check = |idle: [&str; 2], used: [&str; 2], agrees: bool| {
        let (mut book, tokens) = ledger();
        for (place, delta) in [1, 2, 4, 5].into_iter().zip(idle.into_iter().chain(used)) {
            if let LeafBody::Usage(leaf) = &mut book.leaves[place].body {
                leaf.energy = (delta != "none").then(|| counter(delta).unwrap());
            }
        }
        let tallied = book.day(&tokens, &believing(IN_TIME));
        let session = &tallied.totals.machines[0].sessions[0];
        let why: &[Why] = if agrees { &[] } else { &[Why::Meter] };
        assert_eq!(session.why, why, "{idle:?} {used:?}");
    };
    // 2 kWh in two hours: 1.2 kWh in one hour is a fifth more.
    check(["1000", "1000"], ["600", "600"], true);
    check(["1000", "1000"], ["600", "599.999"], false);
    check(["1000", "1000"], ["600", "599.9999"], false);
    check(["1000", "1000"], ["1200", "0"], true);
    check(["0", "0"], ["0.001", "0"], true);
    check(["0", "0"], ["0", "0.0009"], false);
    // One hour without activity is enough to compare with.
    check(["1000", "none"], ["600", "600"], true);
    check(["1000", "none"], ["600", "599"], false);
    // Without any, rising is enough.
    check(["none", "none"], ["0.001", "0"], true);
    // Numbers that overflow 64 bits when multiplied.
    let huge = "9000000000000";
    check([huge, huge], [huge, huge], true);
    check([huge, huge], ["2700000000000", "2700000000000"], false);
}
