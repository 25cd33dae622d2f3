//! Anomalies: each by what makes it, and what does not.

use super::build::{at, bookings, bundle, bundle_of, idle, machine, made, national, session};
use crate::Class;
use crate::evidence::{Grade, Why};
use crate::report::{
    ANOMALIES_EACH_MAX, Anomaly, AnomalyKind, ClockChange, CorrectionSeen, EnergyDay, Evidence,
    HOUR_MS, Hole, MapChange, NonStop, Pause, Report,
};

fn of(report: &Report, kind: AnomalyKind) -> Vec<&Anomaly> {
    report
        .anomalies
        .iter()
        .filter(|anomaly| anomaly.kind == kind)
        .collect()
}

fn one(report: &Report, kind: AnomalyKind) -> &Anomaly {
    let found = of(report, kind);
    assert_eq!(found.len(), 1, "{kind:?}: {:?}", report.anomalies);
    let anomaly = found[0];
    assert!(!anomaly.text.en.is_empty() && !anomaly.text.zh.is_empty());
    anomaly
}

fn plain() -> Evidence {
    bundle("b", 0, 100, vec![idle("m", 100)])
}

#[test]
fn a_machine_that_did_nothing_gives_no_anomaly() {
    let report = made(vec![plain()], &national());
    assert_eq!(report.anomalies, []);
    assert!(report.is_verified);
}

#[test]
fn days_whose_run_hours_took_far_more_or_less() {
    let check = |watts: &[u64], minutes: u64, expected: &[&str]| {
        let mut bundle = plain();
        let seen = bundle
            .observed
            .machines
            .entry("m".parse().unwrap())
            .or_default();
        for (day, watts) in (1..).zip(watts) {
            let ms = minutes * 60_000;
            let mwh = watts * minutes * 1000 / 60;
            seen.energy.insert(
                format!("2026-03-0{day}"),
                EnergyDay {
                    mwh,
                    ms,
                    leaves: (day, day + 50),
                },
            );
        }
        let report = made(vec![bundle], &national());
        let found = of(&report, AnomalyKind::Energy);
        let days: Vec<_> = found
            .iter()
            .map(|a| a.text.en.split_whitespace().nth(7).unwrap())
            .collect();
        assert_eq!(days, expected, "{watts:?}");
        found.first().map(|anomaly| (*anomaly).clone())
    };
    let low = check(&[2000, 2100, 1900, 2000, 400], 60, &["2026-03-05;"]).unwrap();
    assert_eq!(low.leaves, [5, 55]);
    assert_eq!(low.numbers["wh_per_run_hour"], 400);
    assert_eq!(low.numbers["median_wh_per_run_hour"], 2000);
    assert_eq!(low.from.unwrap().to_string(), "2026-03-04T16:00:00.000Z");
    check(&[2000, 2100, 1900, 2000, 3100], 60, &["2026-03-05;"]);
    check(&[2000, 2100, 1900, 2000, 2900], 60, &[]);
    check(&[2000, 2100, 1900, 400], 60, &[]);
    check(&[2000, 2100, 1900, 2000, 400], 29, &[]);
    check(&[0, 0, 0, 0, 0], 60, &[]);
    check(&[0, 0, 0, 0, 60], 60, &["2026-03-05;"]);
}

#[test]
fn an_hour_counter_that_does_not_follow_run() {
    let check = |milli: Option<u64>, run: u64, is_told: bool| {
        let mut told = idle("m", 100);
        told.counter_milli = milli;
        told.counter_run_ms = run * HOUR_MS;
        let report = made(vec![bundle("b", 0, 100, vec![told])], &national());
        assert_eq!(
            of(&report, AnomalyKind::HourCounter).len(),
            usize::from(is_told),
            "{milli:?} {run}"
        );
    };
    check(Some(36_000), 40, true);
    check(Some(37_000), 40, false);
    check(Some(44_500), 40, true);
    check(Some(0), 40, true);
    check(Some(0), 1, false);
    check(None, 40, false);
}

#[test]
fn use_without_booking_and_an_untrusted_clock() {
    let mut told = machine("m");
    told.sessions[1].why = vec![Why::Clock];
    let report = made(vec![bundle("b", 0, 100, vec![told])], &national());
    // UNB 4 h and 3 h outside of 46 h are 15 %.
    let outside = one(&report, AnomalyKind::OutsideBookings);
    assert_eq!(outside.numbers["unbooked_ms"], 7 * 3_600_000);
    assert_eq!(outside.sessions, ["s-unb"]);
    assert!(outside.text.en.contains("7.00 h") && outside.text.en.contains("15 %"));
    let clock = one(&report, AnomalyKind::Clock);
    assert_eq!(
        (clock.sessions.as_slice(), clock.numbers["active_ms"]),
        (&["s-own".to_owned()][..], 20 * 3_600_000)
    );
    let mut told = machine("m");
    told.outside_ms = 0;
    told.active_ms = 43 * HOUR_MS;
    let report = made(vec![bundle("b", 0, 100, vec![told])], &national());
    assert_eq!(of(&report, AnomalyKind::OutsideBookings).len(), 0);
}

#[test]
fn many_short_sessions() {
    let check = |short: i64, long: i64, is_told: bool| {
        let mut told = idle("m", 100);
        let sessions = (0..short + long).map(|n| {
            let mut session = session(&format!("s{n}"), Class::Own, Grade::A, n, 1);
            if n < short {
                session.ms.values_mut().for_each(|ms| *ms = 599_999);
            }
            session
        });
        told.sessions = sessions.collect();
        let report = made(vec![bundle("b", 0, 100, vec![told])], &national());
        let found = of(&report, AnomalyKind::ShortSessions);
        assert_eq!(found.len(), usize::from(is_told), "{short} {long}");
        found.first().map(|anomaly| anomaly.sessions.len())
    };
    assert_eq!(check(30, 70, true), Some(20));
    assert_eq!(check(10, 20, true), Some(10));
    check(29, 71, false);
    check(9, 0, false);
}

#[test]
fn affiliates_and_crowds() {
    let ext = |name: &str, org: &str, from: i64| {
        let mut session = session(name, Class::Ext, Grade::A, from, 5);
        session.org = Some(org.to_owned());
        session
    };
    // One whose class the verifier put right, and one that was the affiliate's from the start.
    let mut righted = ext("y", "org-2", 60);
    (righted.class, righted.leaf_class) = (Class::Aff, Some(Class::Ext));
    let mut affiliated = ext("z", "org-2", 70);
    affiliated.class = Class::Aff;
    let with = |name: &str, sessions: Vec<_>| {
        let mut told = idle(name, 100);
        told.sessions = sessions;
        told
    };
    let report = made(
        vec![
            bundle(
                "b",
                0,
                100,
                vec![
                    with(
                        "m1",
                        vec![
                            ext("a", "org-9", 0),
                            ext("x", "org-2", 50),
                            righted,
                            affiliated,
                        ],
                    ),
                    with("m2", vec![ext("b", "org-9", 3), ext("d", "org-9", 8)]),
                    with("m3", vec![ext("e", "org-8", 3)]),
                ],
            ),
            bundle_of(
                "gx",
                "c",
                (0, 100),
                vec![with("m1", vec![ext("c", "org-9", 4)])],
            ),
        ],
        &national(),
    );
    let affiliate = one(&report, AnomalyKind::AffiliateExternal);
    assert_eq!(
        (
            affiliate.machine.as_ref().unwrap().as_str(),
            affiliate.sessions.as_slice()
        ),
        ("m1", &["x".to_owned(), "y".to_owned()][..])
    );
    assert_eq!(affiliate.numbers["active_ms"], 10 * 3_600_000);
    // a, b and c overlap from hour 4 to 5; c and d adjoin b, and are two.
    let crowd = one(&report, AnomalyKind::SameOrganisation);
    assert_eq!(crowd.sessions, ["a", "b", "c"]);
    assert_eq!((crowd.from, crowd.numbers["machines"]), (Some(at(4)), 3));
}

/// A bundle whose leaves say one of everything.
fn eventful() -> Evidence {
    let mut bundle = plain();
    let observed = &mut bundle.observed;
    observed.clocks.count = 2;
    observed.clocks.first = vec![
        ClockChange {
            index: 7,
            at: at(1),
            status: crate::ClockStatus::S,
            before: crate::ClockStatus::S,
            step_ms: Some(-5000),
        },
        ClockChange {
            index: 8,
            at: at(2),
            status: crate::ClockStatus::I,
            before: crate::ClockStatus::S,
            step_ms: None,
        },
    ];
    observed.corrections.count = 51;
    observed.corrections.first = vec![CorrectionSeen {
        index: 9,
        at: at(3),
        refers: 4,
        reason: "wrong class".to_owned(),
        by: "Li".to_owned(),
    }];
    let seen = observed.machines.entry("m".parse().unwrap()).or_default();
    seen.holes.count = 1;
    seen.holes.first = vec![Hole {
        index: 10,
        booking: "B-1".to_owned(),
        start: at(4),
        end: at(6),
        slot_ms: 2 * HOUR_MS,
        unknown_ms: HOUR_MS,
    }];
    seen.nonstop.count = 1;
    seen.nonstop.first = vec![NonStop {
        index: 11,
        from: at(10),
        ms: 30 * HOUR_MS,
    }];
    seen.maps.count = 1;
    seen.maps.first = vec![MapChange {
        index: 12,
        at: at(20),
        from: "sha256:aa".to_owned(),
        to: "sha256:bb".to_owned(),
    }];
    bundle.maps = [
        ("sha256:aa", r#"{"p-off":1}"#),
        ("sha256:bb", r#"{"p-off":2}"#),
    ]
    .map(|(hash, text)| (hash.to_owned(), text.to_owned()))
    .into();
    bundle
}

#[test]
fn what_leaves_say_is_told() {
    let report = made(vec![eventful()], &national());
    let clocks = of(&report, AnomalyKind::Clock);
    assert_eq!(clocks.len(), 2);
    assert_eq!(
        (clocks[0].numbers["step_ms"], clocks[0].leaves.as_slice()),
        (-5000, &[7][..])
    );
    assert!(clocks[1].text.en.contains("no longer synchronised"));
    assert_eq!(one(&report, AnomalyKind::Correction).leaves, [4, 9]);
    assert_eq!(one(&report, AnomalyKind::More).numbers["count"], 50);
    assert_eq!(
        one(&report, AnomalyKind::HoleInBooking).numbers["unknown_ms"],
        3_600_000
    );
    assert!(
        one(&report, AnomalyKind::NonStop)
            .text
            .en
            .starts_with("active for 30.00 h")
    );
    let map = one(&report, AnomalyKind::MapChange);
    assert_eq!(
        map.diff,
        ["  {", "-   \"p-off\": 1", "+   \"p-off\": 2", "  }"]
    );
    let kinds: Vec<_> = report
        .anomalies
        .iter()
        .map(|anomaly| anomaly.kind)
        .collect();
    assert!(
        kinds.is_sorted() || kinds.last() == Some(&AnomalyKind::More),
        "{kinds:?}"
    );
}

#[test]
fn pauses_are_held_against_listed_bookings() {
    let text = format!(
        "machine,booking,organisation,start,end\nm,B-1,o,{},{}\nm,B-2,o,{},{}\n",
        at(0),
        at(2),
        at(5),
        at(7)
    );
    let mut bundle = plain();
    let seen = bundle
        .observed
        .machines
        .entry("m".parse().unwrap())
        .or_default();
    let minute = 60_000;
    let pause = |index, from: crate::Time, minutes: i64| Pause {
        index,
        from,
        to: from.plus_millis(minutes * minute),
    };
    seen.pauses = vec![
        pause(1, at(-1), 70),
        pause(2, at(1), 20),
        pause(3, at(3), 60),
        pause(4, at(6).plus_millis(31 * minute), 600),
    ];
    let report = made(vec![bundle], &bookings(national(), &text));
    // B-1: 10 + 20 minutes; B-2: 29.
    let hole = one(&report, AnomalyKind::HoleInBooking);
    assert_eq!(
        (hole.leaves.as_slice(), hole.numbers["unknown_ms"]),
        (&[1][..], 30 * minute)
    );
    assert_eq!(hole.numbers["slot_ms"], 2 * 3_600_000);
}

#[test]
fn of_one_kind_and_machine_only_some_are_told() {
    let mut bundle = plain();
    let seen = bundle
        .observed
        .machines
        .entry("m".parse().unwrap())
        .or_default();
    let changes = 2 * u64::try_from(ANOMALIES_EACH_MAX).unwrap();
    let change = |index| MapChange {
        index,
        at: at(1),
        from: "sha256:aa".to_owned(),
        to: "sha256:bb".to_owned(),
    };
    seen.maps.first = (0..changes).map(change).collect();
    seen.maps.count = changes;
    let report = made(vec![bundle], &national());
    assert_eq!(
        of(&report, AnomalyKind::MapChange).len(),
        ANOMALIES_EACH_MAX
    );
    assert_eq!(one(&report, AnomalyKind::More).numbers["count"], 50);
}
