//! Totals worked out by hand.

use super::*;

/// Two machines, a day, every kind of leaf that counts; all numbers worked out by hand.
fn ledger() -> (Book, Vec<String>) {
    let mut book = Book::new();
    let token = token("m", "x", 2 * HOUR, 4 * HOUR);
    // The hour before the period, in which nothing counts.
    book.usage(UsageLeaf {
        energy: counter("1000"),
        ..idle("m", -HOUR, 0, &[(State::Idle, 3_600_000)])
    });
    // Two idle hours: 2 kWh and 1.5 kWh, of which a third place is cut off after mWh.
    book.usage(UsageLeaf {
        energy: counter("2000"),
        hours: counter("0.5"),
        ..idle("m", 0, HOUR, &[(State::Idle, 3_600_000)])
    });
    book.usage(UsageLeaf {
        energy: counter("1500.1239"),
        ..idle(
            "m",
            HOUR,
            2 * HOUR,
            &[(State::Idle, 3_000_000), (State::Unknown, 600_000)],
        )
    });
    // An external session of two hours, one of RUN only.
    let x = external("m", "x", (2 * HOUR, 4 * HOUR), &token);
    book.open(x.clone());
    book.usage(UsageLeaf {
        energy: counter("9000"),
        hours: counter("1"),
        ..run("m", ("x", Class::Ext), 2 * HOUR, 3 * HOUR)
    });
    book.usage(UsageLeaf {
        ms: BTreeMap::from([
            (State::Setup, 600_000),
            (State::Run, 1_200_000),
            (State::Hold, 1_500_000),
            (State::Idle, 300_000),
        ]),
        hold_over_ms: 600_000,
        energy: counter("5000"),
        config: "sha256:22".to_owned(),
        ..run("m", ("x", Class::Ext), 3 * HOUR, 4 * HOUR)
    });
    book.close(x);
    evening(&mut book, &token);
    (book, vec![token])
}

fn evening(book: &mut Book, token: &str) {
    book.add(
        5 * HOUR,
        LeafBody::Booking(BookingLeaf {
            machine: identifier("m"),
            booking: "bk-x".to_owned(),
            token: Some(sha256(token)),
            class: Class::Ext,
            outcome: Outcome::Fulfilled,
            check_in: CheckIn::Implied,
            session: Some("x".to_owned()),
            start: time(2 * HOUR),
            end: time(4 * HOUR),
            slot_ms: 7_200_000,
            active_ms: 6_300_000,
            unknown_ms: 0,
            down_ms: 0,
            coverage_pm: 1000,
        }),
    );
    // Activity that is nobody's, across midnight in Shanghai by its leaf's begin only.
    book.usage(idle(
        "m",
        15 * HOUR,
        16 * HOUR,
        &[(State::Setup, 600_000), (State::Down, 3_000_000)],
    ));
    book.usage(idle("m", 16 * HOUR, 17 * HOUR, &[(State::Off, 3_600_000)]));
    // A session on the other machine that somebody entered, still open; half an hour of it lies beyond the period.
    let y = SessionLeaf {
        class: Class::Trn,
        check_in: CheckIn::Local,
        ..session("n", "y", 23 * HOUR, 25 * HOUR)
    };
    book.open(y);
    book.usage(run("n", ("y", Class::Trn), 23 * HOUR, 24 * HOUR));
    book.usage(run(
        "n",
        ("y", Class::Trn),
        24 * HOUR,
        24 * HOUR + 30 * MINUTE,
    ));
}

const TOTALS: &str = include_str!("golden.json");

#[test]
fn a_day_adds_up_to_what_was_worked_out_by_hand() {
    let (book, tokens) = ledger();
    let tallied = book.day(&tokens, &Sight::default());
    let text = serde_json::to_string_pretty(&tallied.totals).unwrap();
    let expected = TOTALS.replace("TOKEN", &sha256(&tokens[0]));
    assert_eq!(text.trim(), expected.trim());
    no_finding(&tallied.sessions);
    assert_eq!((tallied.sessions_count, tallied.external_count), (2, 1));
    one_finding(
        &tallied.tokens,
        Check::Tokens,
        "no issuer key is trusted: the signatures of 1 tokens were not checked",
    );
}

#[test]
fn who_believes_others_sees_other_grades_and_the_same_sums() {
    let (book, tokens) = ledger();
    let tally = book.tally(time(0), time(24 * HOUR), &tokens);
    let bare = tally.finish(&book.end(), &Sight::default());
    let mut sight = believing(20 * HOUR);
    sight.trust.maps.push(ApprovedMap {
        machine: identifier("m"),
        hash: "sha256:22".to_owned(),
        gateway: Some(identifier("g")),
        site: Some(identifier("s")),
    });
    let seen = tally.finish(&book.end(), &sight);
    no_finding(&seen.tokens);
    let hours = |tallied: &Tallied| tallied.totals.machines[0].hours.clone();
    let of = |grade| BTreeMap::from([(Class::Ext, BTreeMap::from([(grade, 6_300_000)]))]);
    use crate::evidence::Grade;
    assert_eq!(hours(&bare), of(Grade::D));
    assert_eq!(hours(&seen), of(Grade::A));
    let again = tally.finish(&book.end(), &Sight::default());
    assert_eq!(again, bare);
    let places = tally.sessions();
    let places: Vec<_> = places
        .iter()
        .map(|place| (place.session.as_str(), place.index))
        .collect();
    assert_eq!(places, [("x", 7), ("y", 11)]);
}
