use super::*;
use lineside_proto::Class;
use lineside_proto::booking::Allowed;

const HOUR_MS: i64 = 3_600_000;

/// A booking of two hours, from minute 0 to minute 120.
fn booking() -> Booking {
    Booking {
        id: "bk".to_owned(),
        token: None,
        class: Class::Own,
        start: minute(0),
        end: minute(120),
        issued: minute(-600),
        data: Allowed::None,
    }
}

fn minute(minute: i64) -> Time {
    Time::from_millis(500 * HOUR_MS + minute * MINUTE_MS)
}

/// What became of the booking after these stretches: from minute, to minute, state, whose session.
fn check(
    what: &str,
    stretches: &[(i64, i64, State, Option<&str>)],
    outcome: Outcome,
    figures: [i64; 4],
) {
    let mut held = Held::new(booking());
    for (from, to, state, running) in stretches {
        let stretch = Stretch {
            from: minute(*from),
            to: minute(*to),
            state: *state,
            is_active: matches!(state, State::Run | State::Setup),
        };
        if *running == Some("bk") {
            held.check_in = CheckIn::Implied;
        }
        held.count(&stretch, *running);
    }
    let leaf = held.leaf(&"m".parse().unwrap(), held.outcome());
    assert_eq!(leaf.outcome, outcome, "{what}: {leaf:?}");
    let minutes = [leaf.active_ms, leaf.unknown_ms, leaf.down_ms].map(|ms| ms as i64 / MINUTE_MS);
    let told = [
        minutes[0],
        minutes[1],
        minutes[2],
        i64::from(leaf.coverage_pm),
    ];
    assert_eq!(told, figures, "{what}");
}

#[test]
fn outcomes_rest_on_what_was_watched() {
    use Outcome::*;
    use State::*;
    let its = Some("bk");
    check(
        "kept",
        &[
            (-30, 0, Idle, None),
            (0, 118, Run, its),
            (118, 125, Idle, its),
        ],
        Fulfilled,
        [118, 0, 0, 1_000],
    );
    check(
        "kept though half of it is unknown",
        &[(0, 30, Run, its), (104, 110, Run, its)],
        Fulfilled,
        [36, 84, 0, 232],
    );
    check(
        "early arrival counts",
        &[(-30, 120, Run, its), (120, 125, Idle, None)],
        Fulfilled,
        [150, 0, 0, 1_000],
    );
    check(
        "left early",
        &[
            (-30, 0, Idle, None),
            (0, 100, Run, its),
            (100, 125, Idle, None),
        ],
        EarlyLeave,
        [100, 0, 0, 1_000],
    );
    check(
        "stayed on",
        &[(-30, 0, Idle, None), (0, 140, Run, its)],
        Overrun,
        [125, 0, 0, 1_000],
    );
    check(
        "within grace",
        &[(-30, 0, Idle, None), (0, 125, Run, its)],
        Fulfilled,
        [125, 0, 0, 1_000],
    );
    check(
        "nobody came",
        &[(-30, 125, Idle, None)],
        NoShow,
        [0, 0, 0, 1_000],
    );
    check(
        "nobody came, machine off",
        &[(-30, 125, Off, None)],
        NoShow,
        [0, 0, 0, 1_000],
    );
    check(
        "nobody seen, hardly watched",
        &[(-30, 90, Idle, None)],
        Indeterminate,
        [0, 30, 0, 774],
    );
    check(
        "nobody came, 96 % watched",
        &[(-30, 119, Idle, None)],
        NoShow,
        [0, 1, 0, 961],
    );
    check("not watched at all", &[], PlatformFault, [0, 120, 0, 0]);
    check(
        "down all the time",
        &[(-30, 125, Down, None)],
        PlatformFault,
        [0, 0, 120, 1_000],
    );
    check(
        "maintained at the start",
        &[(-30, 20, Maint, None), (20, 125, Idle, None)],
        Indeterminate,
        [0, 0, 20, 1_000],
    );
    check(
        "down later",
        &[
            (-30, 60, Idle, None),
            (60, 80, Down, None),
            (80, 125, Idle, None),
        ],
        NoShow,
        [0, 0, 20, 1_000],
    );
    check(
        "half down, half unknown",
        &[(-30, 20, Idle, None), (20, 85, Down, None)],
        PlatformFault,
        [0, 35, 65, 741],
    );
    check(
        "hardly used",
        &[(-30, 0, Idle, None), (0, 3, Run, its), (3, 125, Idle, None)],
        EarlyLeave,
        [3, 0, 0, 1_000],
    );
    check(
        "hardly used, hardly watched",
        &[(0, 3, Run, its), (3, 80, Idle, None)],
        Indeterminate,
        [3, 40, 0, 516],
    );
    check(
        "another booking's use",
        &[(-30, -2, Run, Some("other")), (-2, 125, Idle, None)],
        NoShow,
        [0, 0, 0, 1_000],
    );
    check(
        "use without a session of a booking",
        &[
            (-30, 10, Idle, None),
            (10, 110, Run, None),
            (110, 125, Idle, None),
        ],
        Fulfilled,
        [100, 0, 0, 1_000],
    );
    check(
        "UNKNOWN is not watched",
        &[(-30, 125, Unknown, None)],
        PlatformFault,
        [0, 120, 0, 0],
    );
}

#[test]
fn history_counts_as_it_would_have() {
    let mut history = History::default();
    let mut held = Held::new(booking());
    for (from, to, state, is_booked) in [
        (-90, -10, State::Run, true),
        (-10, 0, State::Idle, false),
        (0, 50, State::Run, false),
        (50, 60, State::Run, false),
        (70, 130, State::Down, false),
    ] {
        let stretch = Stretch {
            from: minute(from),
            to: minute(to),
            state,
            is_active: state == State::Run,
        };
        history.add(stretch, is_booked);
        held.count(&stretch, is_booked.then_some("other"));
    }
    assert_eq!(history.tally(&booking()), held.tally);
    assert_eq!(history.stretches.len(), 4, "what goes on is one stretch");
    let other = Stretch {
        from: minute(0),
        to: minute(1),
        state: State::Idle,
        is_active: false,
    };
    for turn in 0..HISTORY_MAX + 10 {
        history.add(other, turn % 2 == 0);
    }
    assert_eq!(history.stretches.len(), HISTORY_MAX);
}

#[test]
fn one_window_or_else_one_slot_names_the_booking() {
    let held = |id: &str, from: i64, to: i64| {
        Held::new(Booking {
            id: id.to_owned(),
            start: minute(from),
            end: minute(to),
            ..booking()
        })
    };
    let all = [held("a", 0, 60), held("b", 60, 120), held("c", 300, 360)];
    let at = |time: i64| candidate(all.iter(), minute(time)).map(|held| held.booking.id.as_str());
    for (time, named) in [
        (-31, None),
        (-30, Some("a")),
        (29, Some("a")),
        (30, Some("a")),
        (59, Some("a")),
        (60, Some("b")),
        (64, Some("b")),
        (124, Some("b")),
        (125, None),
        (270, Some("c")),
        (365, None),
    ] {
        assert_eq!(at(time), named, "{time}");
    }
    let overlapping = [held("a", 0, 60), held("b", 30, 90)];
    assert!(candidate(overlapping.iter(), minute(40)).is_none());
    assert!(candidate(overlapping.iter(), minute(-20)).is_some());
}
