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

/// What became of the booking after these stretches (from minute, to minute, state, whose session), with the
/// minutes of activity, unknown and down, and the coverage.
fn check(row: &str) {
    let parts: Vec<&str> = row.split('|').map(str::trim).collect();
    let [what, stretches, outcome, figures] = parts[..] else {
        panic!("{row}");
    };
    let mut held = Held::new(booking());
    for stretch in stretches.split(',').filter(|stretch| !stretch.is_empty()) {
        let words: Vec<&str> = stretch.split_whitespace().collect();
        let state: State = words[2].parse().unwrap();
        let running = words.get(3).copied();
        if running == Some("bk") {
            held.check_in = CheckIn::Implied;
        }
        let stretch = Stretch {
            from: minute(words[0].parse().unwrap()),
            to: minute(words[1].parse().unwrap()),
            state,
            is_active: matches!(state, State::Run | State::Setup),
        };
        held.count(&stretch, running);
    }
    let leaf = held.leaf(&"m".parse().unwrap(), held.outcome());
    assert_eq!(leaf.outcome.as_str(), outcome, "{what}: {leaf:?}");
    let minute_ms = MINUTE_MS.unsigned_abs();
    let told = [leaf.active_ms, leaf.unknown_ms, leaf.down_ms].map(|ms| ms / minute_ms);
    let told = format!("{} {} {} {}", told[0], told[1], told[2], leaf.coverage_pm);
    assert_eq!(told, figures, "{what}");
}

#[test]
fn outcomes_rest_on_what_was_watched() {
    let table = "kept | -30 0 IDLE, 0 118 RUN bk, 118 125 IDLE bk | fulfilled | 118 0 0 1000
kept though much of it is unknown | 0 30 RUN bk, 104 110 RUN bk | fulfilled | 36 84 0 232
early arrival counts | -30 120 RUN bk, 120 125 IDLE | fulfilled | 150 0 0 1000
left early | -30 0 IDLE, 0 100 RUN bk, 100 125 IDLE | early-leave | 100 0 0 1000
stayed on | -30 0 IDLE, 0 140 RUN bk | overrun | 125 0 0 1000
within grace | -30 0 IDLE, 0 125 RUN bk | fulfilled | 125 0 0 1000
nobody came | -30 125 IDLE | no-show | 0 0 0 1000
nobody came, machine off | -30 125 OFF | no-show | 0 0 0 1000
nobody seen, hardly watched | -30 90 IDLE | indeterminate | 0 30 0 774
nobody came, 96 % watched | -30 119 IDLE | no-show | 0 1 0 961
not watched at all || platform-fault | 0 120 0 0
down all the time | -30 125 DOWN | platform-fault | 0 0 120 1000
maintained at the start | -30 20 MAINT, 20 125 IDLE | indeterminate | 0 0 20 1000
down later | -30 60 IDLE, 60 80 DOWN, 80 125 IDLE | no-show | 0 0 20 1000
down and unknown | -30 20 IDLE, 20 85 DOWN | platform-fault | 0 35 65 741
half of it down | -30 60 IDLE, 60 120 DOWN, 120 125 IDLE | no-show | 0 0 60 1000
hardly used | -30 0 IDLE, 0 3 RUN bk, 3 125 IDLE | early-leave | 3 0 0 1000
hardly used, hardly watched | 0 3 RUN bk, 3 80 IDLE | indeterminate | 3 40 0 516
less than a tenth | -30 0 IDLE, 0 11 RUN bk, 11 125 IDLE | early-leave | 11 0 0 1000
a tenth, at the end | -30 108 IDLE, 108 120 RUN bk, 120 125 IDLE | fulfilled | 12 0 0 1000
another booking's use | -30 -2 RUN other, -2 125 IDLE | no-show | 0 0 0 1000
use without booking | -30 10 IDLE, 10 110 RUN, 110 125 IDLE | fulfilled | 100 0 0 1000
UNKNOWN is not watched | -30 125 UNKNOWN | platform-fault | 0 120 0 0";
    for row in table.lines() {
        check(row);
    }
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
