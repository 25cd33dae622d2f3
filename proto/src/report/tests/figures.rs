//! Figures that were worked out by hand.

use super::build::{
    EXAMPLE, assets, at, bookings, brought, bundle, bundle_of, idle, machine, made, national,
    session,
};
use crate::evidence::{Grade, Why};
use crate::report::{Brought, Figure, Formula, HOUR_MS, LossReason, Report, Rules, Withheld};
use crate::{Class, State};

const ASSETS: &str = "machine,number,quota,line,original-value,income-inside,income-outside\n\
    m,A-1,8760,L,1000000,10000,20000\n";

#[test]
fn figures_are_those_worked_out_by_hand() {
    let rules = Rules::read(EXAMPLE.as_bytes(), "e.toml").unwrap();
    let report = made(
        vec![bundle("b", 0, 100, vec![machine("m")])],
        &assets(brought(rules), ASSETS),
    );
    let [only] = report.machines.as_slice() else {
        panic!("{report:?}")
    };
    let check = |formula: Formula, hundredths: Option<u64>, parts: (Option<u64>, Option<u64>)| {
        let figure = only.figures.of(formula).unwrap();
        assert_eq!(figure.hundredths(), hundredths, "{formula:?}");
        let basis = figure.basis();
        assert_eq!((basis.above, basis.below), parts, "{formula:?}");
        assert_eq!(basis.formula, formula);
        assert_eq!(figure.coverage().thousandths(), 900);
    };
    let h = |hours: u64| Some(hours * HOUR_MS);
    // EXT 16 + OWN 20 + UNB 4; not MNT 3.
    check(Formula::EffectiveHours, Some(4000), (h(40), h(1)));
    check(Formula::ExternalHours, Some(1600), (h(16), h(1)));
    // 8760 h a year are 100 h of the 100 h.
    check(Formula::Utilisation, Some(4000), (h(40), h(100)));
    check(Formula::Sharing, Some(4000), (h(16), h(40)));
    // (6 + 1 + 1) / (8 + 2): not the indeterminate, the platform's fault, the cancelled.
    check(Formula::Fulfilment, Some(8000), (Some(8), Some(10)));
    check(Formula::VerifiedShare, Some(9000), (h(36), h(40)));
    // 52 kWh in 36 h: the unbooked session has no meter.
    check(
        Formula::EnergyPerHour,
        Some(144_444),
        (Some(52_000_000), h(36)),
    );
    check(
        Formula::IdleEnergy,
        Some(2000),
        (Some(13_000_000), Some(65_000_000)),
    );
    check(Formula::HourCounter, Some(9000), (h(36), h(40)));
    // (10,000 + 1.5 × 20,000) / 1,000,000, in ten-thousandths of a yuan.
    check(
        Formula::Income,
        Some(400),
        (Some(400_000_000), Some(10_000_000_000)),
    );
    assert_eq!(only.sums.organisations, 1);
    assert_eq!(only.sums.hours[&Class::Mnt][&Grade::D], 3 * HOUR_MS);
    let score = only.score.as_ref().unwrap();
    let points: Vec<_> = score.parts.iter().map(|part| part.hundredths).collect();
    // 40 % / 10 % × 10 is cut to 10; 4 % / 20 % × 15 is 3.
    assert_eq!(points, [Some(1000), Some(300)]);
    assert_eq!(
        (score.hundredths, score.most_hundredths),
        (Some(1300), 2500)
    );
    assert_eq!((score.withheld, score.coverage.thousandths()), (None, 900));
}

#[test]
fn an_hour_s_way_from_the_calendar_is_told() {
    let mut bundle = bundle("b", 0, 100, vec![machine("m")]);
    let seen = bundle
        .observed
        .machines
        .entry("m".parse().unwrap())
        .or_default();
    seen.stopped_ms = 3 * HOUR_MS;
    seen.unreachable_ms = 4 * HOUR_MS;
    seen.undecided_ms = 2 * HOUR_MS;
    let report = made(vec![bundle], &national());
    let told = &report.machines[0].explanation;
    let losses = |step: &crate::report::Step| {
        assert!(step.adds_up());
        assert_eq!(step.gained_ms, 0);
        let losses = step
            .losses
            .iter()
            .map(|loss| (loss.reason, loss.ms / HOUR_MS));
        (
            step.before_ms / HOUR_MS,
            losses.collect::<Vec<_>>(),
            step.after_ms / HOUR_MS,
        )
    };
    use LossReason as L;
    assert_eq!(
        losses(&told.observed),
        (
            100,
            vec![
                (L::AgentStopped, 3),
                (L::Unreachable, 4),
                (L::Undecided, 2),
                (L::Unrecorded, 1)
            ],
            90
        )
    );
    assert_eq!(
        losses(&told.active),
        (
            90,
            vec![
                (L::Off, 10),
                (L::Down, 2),
                (L::Maintenance, 1),
                (L::Idle, 30),
                (L::HoldOver, 1)
            ],
            46
        )
    );
    assert_eq!(
        losses(&told.counted),
        (
            46,
            vec![(L::OutsideSessions, 3), (L::ClassMaintenance, 3)],
            40
        )
    );
}

#[test]
fn a_quota_is_of_the_category_the_machine_or_nobody() {
    let check = |rules: &str, row: &str, expected: Option<(u32, u64)>| {
        let text = EXAMPLE.replace("default = \"general\"", rules);
        let rules = Rules::read(text.as_bytes(), "e.toml").unwrap();
        let list = format!("machine,category,quota,start-date\nm,{row}\n");
        let report = made(
            vec![bundle("b", 0, 100, vec![machine("m")])],
            &assets(brought(rules), &list),
        );
        let quota = report.machines[0].quota.as_ref();
        assert_eq!(
            quota.map(|quota| (quota.hours_a_year, quota.ms)),
            expected,
            "{row}"
        );
    };
    let default = "default = \"general\"";
    // 1400 h × 100 / 8760 and 800 h × 100 / 8760, in milliseconds.
    check(default, ",,", Some((1400, 57_534_246)));
    check(default, "class-04,,", Some((800, 32_876_712)));
    check(default, "class-04,876,", Some((876, 10 * HOUR_MS)));
    check(default, ",876,2026-03-04", Some((876, 18_720_000)));
    check(default, ",876,2027-01-01", Some((876, 0)));
    check("", ",,", None);
}

#[test]
fn time_before_the_start_date_is_not_held_against_a_machine() {
    // The first day was watched, the second not before its 6th hour; started on the third.
    let list = "machine,start-date\nm,2026-03-04\n";
    let mut told = machine("m");
    told.known_ms = 70 * HOUR_MS;
    told.ms.insert(State::Idle, 10 * HOUR_MS);
    let report = made(
        vec![bundle("b", 0, 100, vec![told])],
        &assets(national(), list),
    );
    let only = &report.machines[0];
    // 48 h before it, of which 24 + 18 are known: 6 h are left out of the calendar.
    assert_eq!(only.coverage.period_ms(), 94 * HOUR_MS);
    assert_eq!(only.coverage.thousandths(), 744);
    assert!(!only.is_scored);
    assert!(only.explanation.observed.adds_up());
}

#[test]
fn below_the_coverage_there_are_figures_and_no_points() {
    let rules = Rules::read(EXAMPLE.as_bytes(), "e.toml").unwrap();
    let mut told = machine("m");
    told.known_ms -= 1;
    let report = made(
        vec![bundle("b", 0, 100, vec![told])],
        &assets(brought(rules), ASSETS),
    );
    let only = &report.machines[0];
    assert_eq!(only.coverage.thousandths(), 899);
    assert_eq!(only.figures.sharing.hundredths(), Some(4000));
    let score = only.score.as_ref().unwrap();
    assert_eq!(
        (score.hundredths, score.withheld),
        (None, Some(Withheld::Coverage))
    );
    assert!(score.parts.iter().all(|part| part.hundredths.is_none()));
    assert_eq!(report.whole.scored_machines, 0);
    // And without income, a part has no figure.
    let rules = Rules::read(EXAMPLE.as_bytes(), "e.toml").unwrap();
    let report = made(
        vec![bundle("b", 0, 100, vec![machine("m")])],
        &brought(rules),
    );
    let score = report.machines[0].score.as_ref().unwrap();
    assert_eq!(
        (score.hundredths, score.withheld),
        (None, Some(Withheld::NoFigure))
    );
    assert_eq!(score.parts[0].hundredths, Some(1000));
}

/// Two gateways of three machines: one busy, one that overlaps it by 10 h of sessions, one idle.
fn site() -> Report {
    let mut other = machine("n");
    other.sessions = vec![
        session("t-1", Class::Ext, Grade::A, 10, 10),
        session("t-2", Class::Mnt, Grade::A, 70, 10),
    ];
    other.outside_ms = 26 * HOUR_MS;
    let list = "machine,gateway,quota,line\nm,gw,8760,L\nn,gw,8760,L\no,gx,8760,L2\nlost,,,L\n";
    made(
        vec![
            bundle_of("gx", "c", (0, 100), vec![idle("o", 100)]),
            bundle("b", 0, 100, vec![machine("m"), other]),
        ],
        &assets(brought(Rules::national().unwrap()), list),
    )
}

#[test]
fn groups_add_hours_and_average_over_machines() {
    let report = site();
    let value = |figure: &Figure| figure.hundredths();
    let whole = &report.whole;
    assert_eq!((whole.machines, whole.scored_machines), (3, 3));
    assert_eq!(value(&whole.figures.effective), Some(5000));
    assert_eq!(value(&whole.figures.external), Some(2600));
    assert_eq!(value(&whole.figures.sharing), Some(5200));
    // 50 h of three quotas of 100 h; 50 / 3 and 26 / 3 hours, rounded down.
    assert_eq!(value(&whole.figures.utilisation), Some(16_66));
    assert_eq!(value(&whole.mean_effective), Some(16_66));
    assert_eq!(value(&whole.mean_external), Some(8_66));
    // (90 + 90 + 100) / 300
    assert_eq!(whole.coverage.thousandths(), 933);
    assert_eq!(whole.sums.sessions, 6);
    assert_eq!(report.sites.len(), 1);
    assert_eq!(report.sites[0].machines, *whole);
    let names: Vec<_> = report.machines.iter().map(|m| m.machine.as_str()).collect();
    assert_eq!(names, ["m", "n", "o"]);
}

#[test]
fn a_false_end_makes_no_line_hours() {
    let mut forged = machine("m");
    for session in &mut forged.sessions {
        session.to = Some(at(10_000));
    }
    let list = "machine,line\nm,L\n";
    let lines = |machine| {
        let brought = assets(brought(Rules::national().unwrap()), list);
        made(vec![bundle("b", 0, 100, vec![machine])], &brought).lines
    };
    assert_eq!(lines(forged), lines(machine("m")));
}

#[test]
fn line_hours_are_a_union_and_machine_hours_a_sum() {
    let report = site();
    let [line, other] = report.lines.as_slice() else {
        panic!("{:?}", report.lines)
    };
    assert_eq!(line.members, ["gw/m", "gw/n"]);
    // m: 0–16, 20–40, 40–44; n: 10–20. Not the maintenance at 50–53 and 70–80.
    assert_eq!(line.line_hours.hundredths(), Some(4400));
    assert_eq!(line.external_line_hours.hundredths(), Some(2000));
    assert_eq!(line.machines.figures.effective.hundredths(), Some(5000));
    assert_eq!(line.line_hours.coverage(), line.machines.coverage);
    assert_eq!(other.line_hours.hundredths(), Some(0));
    assert_eq!(other.machines.figures.sharing.hundredths(), None);
}

#[test]
fn what_a_list_of_bookings_says_is_external_at_grade_d() {
    let check = |brought: Brought, session: usize, expected: (Class, Grade, Option<&str>)| {
        let report = made(vec![bundle("b", 0, 100, vec![machine("m")])], &brought);
        let told = &report.machines[0].sessions[session];
        assert_eq!(
            (told.totals.class, told.totals.grade, told.listed.as_deref()),
            expected
        );
        report
    };
    let list = |machine: &str, organisation: &str, from: i64, to: i64| {
        let text = format!(
            "machine,booking,organisation,start,end\n{machine},B-7,{organisation},{},{}\n",
            at(from),
            at(to)
        );
        bookings(national(), &text)
    };
    // The unbooked session runs from hour 40 to 44.
    let report = check(
        list("m", "某公司", 40, 45),
        2,
        (Class::Ext, Grade::D, Some("B-7")),
    );
    let only = &report.machines[0];
    assert_eq!(only.sums.listed_ms, 4 * HOUR_MS);
    assert_eq!(only.figures.external.hundredths(), Some(2000));
    assert_eq!(only.figures.effective.hundredths(), Some(4000));
    assert_eq!(only.sums.organisations, 2);
    assert_eq!(only.sessions[2].totals.why, [Why::Entered]);
    assert_eq!(only.sessions[2].recorded_class, Some(Class::Unb));
    // A slot that does not hold it, another machine, the own organisation.
    let report = check(list("m", "某公司", 41, 45), 2, (Class::Unb, Grade::C, None));
    assert_eq!(report.machines[0].sums.listed_ms, 0);
    check(list("n", "某公司", 40, 45), 2, (Class::Unb, Grade::C, None));
    check(list("m", "org-1", 40, 45), 2, (Class::Unb, Grade::C, None));
    check(
        list("m", "org-2", 40, 45),
        2,
        (Class::Aff, Grade::D, Some("B-7")),
    );
    // What a token stands behind, or somebody entered as maintenance, is not changed.
    check(list("m", "某公司", 0, 16), 0, (Class::Ext, Grade::A, None));
    check(list("m", "某公司", 50, 53), 3, (Class::Mnt, Grade::D, None));
    check(
        list("m", "某公司", 20, 40),
        1,
        (Class::Ext, Grade::D, Some("B-7")),
    );
}
