use std::collections::BTreeMap;

use super::{Observed, Survey};
use crate::ledger::{
    BookingLeaf, ClockLeaf, ConfigLeaf, Correction, Counter, GapLeaf, GapReason, Genesis, Leaf,
    LeafBody, LeafHead, PriorHead, StateLeaf, UsageLeaf,
};
use crate::report::{EnergyDay, HOUR_MS, Thresholds};
use crate::{CheckIn, Class, ClockStatus, Outcome, State, Time};

/// So many minutes after midnight of 2026-03-02 in Shanghai.
fn at(minutes: i64) -> Time {
    "2026-03-01T16:00:00Z"
        .parse::<Time>()
        .unwrap()
        .plus_millis(minutes * 60_000)
}

/// The boot's clock began an hour before that midnight.
fn mono(minutes: i64) -> u64 {
    u64::try_from((minutes + 60) * 60_000).unwrap()
}

#[derive(Default)]
struct Leaves(Vec<Leaf>);

impl Leaves {
    fn push(&mut self, minutes: i64, body: LeafBody) -> u64 {
        let index = u64::try_from(self.0.len()).unwrap();
        let head = LeafHead {
            v: 1,
            index,
            at: at(minutes),
            boot: "b".to_owned(),
            mono_ms: mono(minutes),
        };
        self.0.push(Leaf { head, body });
        index
    }

    fn usage(
        &mut self,
        from: i64,
        to: i64,
        ms: &[(State, i64)],
        good: u64,
        wh: Option<&str>,
    ) -> u64 {
        let ms: BTreeMap<State, u64> = ms
            .iter()
            .map(|(state, minutes)| (*state, u64::try_from(minutes * 60_000).unwrap()))
            .collect();
        let energy = wh.map(|wh| Counter {
            from: "0".to_owned(),
            to: wh.to_owned(),
            delta: wh.to_owned(),
            resets: 0,
        });
        self.push(
            to,
            LeafBody::Usage(UsageLeaf {
                machine: "m".parse().unwrap(),
                session: None,
                class: None,
                from: at(from),
                to: at(to),
                span_boot: None,
                clock: None,
                mono_from_ms: mono(from),
                mono_to_ms: mono(to),
                ms,
                hold_over_ms: 0,
                good,
                bad: 1,
                energy,
                hours: None,
                config: "sha256:aa".to_owned(),
            }),
        )
    }

    fn state(&mut self, minutes: i64, from: State, to: State) -> u64 {
        self.push(
            minutes,
            LeafBody::State(StateLeaf {
                machine: "m".parse().unwrap(),
                from,
                to,
                since: at(minutes),
                since_ms: i64::try_from(mono(minutes)).unwrap(),
                rule: None,
                config: "sha256:aa".to_owned(),
            }),
        )
    }

    fn gap(&mut self, from: i64, to: i64, reason: GapReason) -> u64 {
        self.push(
            to,
            LeafBody::Gap(GapLeaf {
                machine: "m".parse().unwrap(),
                from: at(from),
                to: at(to),
                from_boot: "b".to_owned(),
                mono_from_ms: mono(from),
                mono_to_ms: mono(to),
                ms: None,
                clock: ClockStatus::S,
                reason,
            }),
        )
    }

    fn clock(
        &mut self,
        minutes: i64,
        before: ClockStatus,
        status: ClockStatus,
        step_ms: Option<i64>,
    ) -> u64 {
        self.push(
            minutes,
            LeafBody::Clock(ClockLeaf {
                status,
                before,
                step_ms,
                error_ms: None,
                source: "kernel".to_owned(),
            }),
        )
    }

    /// The survey of two days.
    fn survey(&self) -> Observed {
        let mut survey = Survey::new(at(0), at(2 * 1440), &Thresholds::default());
        self.0.iter().for_each(|leaf| survey.take(leaf));
        survey.finish()
    }
}

#[test]
fn a_ledger_that_follows_another_is_told_with_its_reason() {
    let begun = |minutes: i64, prior: Option<&str>| {
        let mut leaves = Leaves::default();
        let prior = prior.map(|reason| PriorHead {
            origin: "example.org/zs/gw".to_owned(),
            size: 9,
            root: String::new(),
            reason: reason.to_owned(),
        });
        leaves.push(
            minutes,
            LeafBody::Genesis(Genesis {
                site: "zs".parse().unwrap(),
                gateway: "gw".parse().unwrap(),
                origin: "example.org/zs/gw/e2".to_owned(),
                epoch: 2,
                key: String::new(),
                prior,
            }),
        );
        leaves.survey().begun
    };
    let told = begun(30, Some("the disk was lost")).unwrap();
    let words = "the ledger was begun anew on 2026-03-02 00:30:00";
    assert_eq!(told.said().en, words);
    assert_eq!((told.at, &*told.reason), (at(30), "the disk was lost"));
    assert_eq!((&*told.prior, told.size), ("example.org/zs/gw", 9));
    assert_eq!(begun(30, None), None);
    // Of the days around the period.
    assert_eq!(begun(-1, Some("x")), None);
}

#[test]
fn time_that_is_not_known_is_told_by_its_reason() {
    let mut leaves = Leaves::default();
    leaves.gap(-30, 15, GapReason::Agent);
    leaves.usage(15, 60, &[(State::Unknown, 45)], 0, None);
    leaves.usage(60, 120, &[(State::Unknown, 20), (State::Idle, 40)], 9, None);
    leaves.gap(120, 122, GapReason::Map);
    leaves.usage(-60, 0, &[(State::Unknown, 60)], 0, None);
    leaves.usage(2880, 2940, &[(State::Unknown, 60)], 0, None);
    let seen = &leaves.survey().machines["m"];
    let minutes = [
        seen.stopped_ms,
        seen.exchanged_ms,
        seen.unreachable_ms,
        seen.undecided_ms,
    ];
    assert_eq!(minutes.map(|ms| ms / 60_000), [15, 2, 45, 20]);
    let pauses: Vec<_> = seen
        .pauses
        .iter()
        .map(|pause| (pause.index, pause.from, pause.to))
        .collect();
    assert_eq!(
        pauses,
        [
            (0, at(0), at(15)),
            (1, at(15), at(60)),
            (3, at(120), at(122))
        ]
    );
}

#[test]
fn energy_of_run_is_added_up_by_day() {
    let mut leaves = Leaves::default();
    let first = leaves.usage(0, 60, &[(State::Run, 60)], 9, Some("2000.5"));
    leaves.usage(
        60,
        120,
        &[(State::Run, 59), (State::Idle, 1)],
        9,
        Some("1000"),
    );
    leaves.usage(120, 180, &[(State::Run, 60)], 9, None);
    let last = leaves.usage(180, 210, &[(State::Run, 30)], 9, Some("999.4567"));
    leaves.usage(1440, 1500, &[(State::Run, 60)], 9, Some("1"));
    leaves.usage(1500, 1560, &[(State::Run, 60)], 9, Some("x"));
    let seen = &leaves.survey().machines["m"];
    let day = |mwh, minutes: u64, leaves| EnergyDay {
        mwh,
        ms: minutes * 60_000,
        leaves,
    };
    assert_eq!(
        seen.energy,
        BTreeMap::from([
            (
                "2026-03-02".to_owned(),
                day(2_000_500 + 999_456, 90, (first, last))
            ),
            ("2026-03-03".to_owned(), day(1000, 60, (4, 4))),
        ])
    );
}

#[test]
fn running_without_a_pause_is_told_whatever_ends_it() {
    let hours = |leaves: &Leaves| {
        let seen = &leaves.survey().machines["m"];
        let runs = seen.nonstop.first.iter();
        runs.map(|run| (run.index, run.ms / HOUR_MS))
            .collect::<Vec<_>>()
    };
    let mut leaves = Leaves::default();
    leaves.state(-10, State::Idle, State::Setup);
    leaves.state(10, State::Setup, State::Run);
    leaves.state(1420, State::Run, State::Hold);
    assert_eq!(hours(&leaves), [], "24 h are not over");
    leaves.usage(1420, 1480, &[(State::Hold, 60)], 9, None);
    assert_eq!(hours(&leaves), [(0, 24)], "still active, for 1490 min");
    leaves.state(1490, State::Hold, State::Idle);
    leaves.usage(2800, 2880, &[(State::Idle, 80)], 9, None);
    assert_eq!(hours(&leaves), [(0, 25)], "ended by a state");
    let mut leaves = Leaves::default();
    leaves.state(0, State::Idle, State::Run);
    leaves.gap(1440, 2000, GapReason::Agent);
    leaves.state(2880, State::Unknown, State::Idle);
    assert_eq!(hours(&leaves), [(0, 24)], "ended by a gap");
}

#[test]
fn maps_clocks_bookings_and_corrections() {
    let mut leaves = Leaves::default();
    let config = |map: &str| {
        LeafBody::Config(ConfigLeaf {
            machine: "m".parse().unwrap(),
            map: map.to_owned(),
            files: "sha256:ff".to_owned(),
        })
    };
    leaves.push(-20, config("sha256:00"));
    leaves.push(-10, config("sha256:aa"));
    leaves.push(10, config("sha256:aa"));
    let changed = leaves.push(20, config("sha256:bb"));
    let lost = leaves.clock(30, ClockStatus::S, ClockStatus::I, Some(3));
    leaves.clock(31, ClockStatus::I, ClockStatus::S, Some(-1999));
    let set = leaves.clock(32, ClockStatus::S, ClockStatus::S, Some(-2000));
    leaves.clock(-5, ClockStatus::S, ClockStatus::U, None);
    let booking = |unknown: u64| {
        LeafBody::Booking(BookingLeaf {
            machine: "m".parse().unwrap(),
            booking: "B-1".to_owned(),
            token: None,
            class: Class::Ext,
            outcome: Outcome::Indeterminate,
            check_in: CheckIn::None,
            session: None,
            start: at(60),
            end: at(120),
            slot_ms: HOUR_MS,
            active_ms: 0,
            unknown_ms: unknown * 60_000,
            down_ms: 0,
            coverage_pm: 500,
        })
    };
    leaves.push(130, booking(29));
    let hole = leaves.push(131, booking(30));
    let correction = Correction {
        refers: hole,
        reason: "a drill".to_owned(),
        by: "Li".to_owned(),
    };
    let corrected = leaves.push(140, LeafBody::Correction(correction));
    let observed = leaves.survey();
    let seen = &observed.machines["m"];
    let maps: Vec<_> = seen
        .maps
        .first
        .iter()
        .map(|change| (change.index, change.from.as_str()))
        .collect();
    assert_eq!(maps, [(changed, "sha256:aa")]);
    let holes: Vec<_> = seen.holes.first.iter().map(|hole| hole.index).collect();
    assert_eq!(holes, [hole]);
    let clocks: Vec<_> = observed
        .clocks
        .first
        .iter()
        .map(|change| change.index)
        .collect();
    assert_eq!(clocks, [lost, set]);
    assert_eq!(observed.corrections.first[0].index, corrected);
    assert_eq!(observed.corrections.count, 1);
}
