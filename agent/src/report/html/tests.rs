//! The page of a report of a whole year, made up here: three machines, honest and otherwise.

use lineside_proto::evidence::{Grade, SessionTotals, Verdict, Why};
use lineside_proto::ledger::CloseReason;
use lineside_proto::report::{
    Anomaly, AnomalyKind, Asset, Coverage, Explanation, Figure, Figures, Formula, GroupReport,
    HOUR_MS, LineReport, ListKind, ListUsed, Loss, LossReason, MachineReport, Quota, REPORT_KIND,
    Report, RulesUsed, Said, Score, ScorePart, SessionReport, SiteReport, Source, Span, Step, Sums,
};
use lineside_proto::{CheckIn, Class, Outcome, State, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use super::page;
use crate::text::Language;

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

/// The days of a machine: a working week, some faults, a hole, and nights off.
fn days(seed: u64) -> BTreeMap<String, BTreeMap<State, u64>> {
    let hours = |tenths: u64| tenths * HOUR_MS / 10;
    let first = jiff::civil::date(2025, 11, 1);
    let day = |n: u64| {
        let date = first + jiff::Span::new().days(i64::try_from(n).unwrap());
        let luck = (n * 37 + seed * 101) % 97;
        let rest = [(State::Off, 150), (State::Idle, 90)];
        let work = [
            (State::Off, 90),
            (State::Idle, 60 - luck / 4),
            (State::Setup, 12),
            (State::Run, 60 + luck / 4),
            (State::Hold, 8),
            (State::Maint, if luck < 6 { 10 } else { 0 }),
            (State::Down, if luck > 80 { 10 } else { 0 }),
        ];
        let is_free = date.weekday().to_monday_zero_offset() >= 5 || (95..103).contains(&n);
        let told: Vec<_> = if is_free {
            rest.to_vec()
        } else {
            work.to_vec()
        };
        let watched = if (200 + seed..204).contains(&n) { 0 } else { 1 };
        let told = told
            .into_iter()
            .map(|(state, tenths)| (state, hours(tenths) * watched));
        (date.to_string(), told.filter(|&(_, ms)| ms > 0).collect())
    };
    (0..365).map(day).collect()
}

fn figures(effective: u64, external: u64, quota: Option<u64>, coverage: Coverage) -> Figures {
    let figure = |formula, above, below| Figure::new(formula, Some(above), below, coverage);
    Figures {
        effective: figure(Formula::EffectiveHours, effective, Some(HOUR_MS)),
        external: figure(Formula::ExternalHours, external, Some(HOUR_MS)),
        utilisation: figure(Formula::Utilisation, effective, quota),
        sharing: figure(Formula::Sharing, external, Some(effective)),
        fulfilment: figure(Formula::Fulfilment, 171, Some(188)),
        verified: figure(Formula::VerifiedShare, effective * 9 / 10, Some(effective)),
        energy_per_hour: figure(Formula::EnergyPerHour, 18_400_000_000, Some(effective)),
        idle_energy: figure(Formula::IdleEnergy, 3_900_000_000, Some(22_300_000_000)),
        hour_counter: figure(Formula::HourCounter, 995, Some(1000)),
        income: figure(Formula::Income, 0, None),
    }
}

fn sums(effective: u64, external: u64, ms: BTreeMap<State, u64>) -> Sums {
    let own = effective - external;
    Sums {
        ms,
        hours: BTreeMap::from([
            (
                Class::Ext,
                BTreeMap::from([(Grade::A, external * 9 / 10), (Grade::C, external / 10)]),
            ),
            (
                Class::Own,
                BTreeMap::from([
                    (Grade::A, own / 2),
                    (Grade::B, own / 3),
                    (Grade::D, own / 6),
                ]),
            ),
            (Class::Trn, BTreeMap::from([(Grade::B, 30 * HOUR_MS)])),
        ]),
        active_ms: effective + 40 * HOUR_MS,
        outside_ms: 40 * HOUR_MS,
        listed_ms: 0,
        sessions: 214,
        bookings: BTreeMap::from([
            (Outcome::Fulfilled, 160),
            (Outcome::Overrun, 8),
            (Outcome::EarlyLeave, 3),
            (Outcome::NoShow, 17),
            (Outcome::Indeterminate, 4),
        ]),
        organisations: 23,
        energy_session_mwh: Some(18_400_000_000),
        energy_idle_mwh: Some(3_900_000_000),
    }
}

fn step(before: u64, reasons: &[(LossReason, u64)]) -> Step {
    let losses: Vec<Loss> = reasons
        .iter()
        .map(|&(reason, ms)| Loss { reason, ms })
        .collect();
    Step {
        before_ms: before,
        gained_ms: 0,
        after_ms: losses.iter().fold(before, |left, loss| left - loss.ms),
        losses,
    }
}

fn machine(name: &str, title: &str, seed: u64, quota_h: u32) -> MachineReport {
    let (from, to) = (at("2025-10-31T16:00:00Z"), at("2026-10-31T16:00:00Z"));
    let days = days(seed);
    let mut ms = BTreeMap::new();
    for (&state, &amount) in days.values().flatten() {
        *ms.entry(state).or_insert(0) += amount;
    }
    let known: u64 = ms.values().sum();
    let period = 365 * 24 * HOUR_MS;
    let coverage = Coverage::new(known, period);
    let of = |state| ms.get(&state).copied().unwrap_or(0);
    let active = of(State::Run) + of(State::Setup) + of(State::Hold);
    let effective = active - 100 * HOUR_MS;
    let external = effective / (3 + seed);
    let quota = u64::from(quota_h) * HOUR_MS;
    let observed = step(period, &[(LossReason::AgentStopped, period - known)]);
    let lost = [
        (LossReason::Off, of(State::Off)),
        (LossReason::Down, of(State::Down)),
        (LossReason::Maintenance, of(State::Maint)),
        (LossReason::Idle, of(State::Idle)),
    ];
    let is_active = step(known, &lost);
    let counted = step(
        active,
        &[
            (LossReason::OutsideSessions, 40 * HOUR_MS),
            (LossReason::ClassTraining, 60 * HOUR_MS),
        ],
    );
    MachineReport {
        site: "zs-polymer".parse().unwrap(),
        gateway: "gw-01".parse().unwrap(),
        machine: name.parse().unwrap(),
        asset: Some(Asset {
            number: Some(format!("ZS-2023-{seed:04}")),
            name: Some(title.to_owned()),
            unit: Some("中山高分子材料中试基地".to_owned()),
            credit_code: Some("91442000MA00000000".to_owned()),
            original_value_fen: Some(238_000_000),
            category: Some("general".to_owned()),
            ..Asset::default()
        }),
        spans: vec![Span { from, to }],
        coverage,
        is_scored: true,
        quota: Some(Quota {
            category: Some("general".to_owned()),
            hours_a_year: quota_h,
            ms: quota,
        }),
        sums: sums(effective, external, ms),
        figures: figures(effective, external, Some(quota), coverage),
        explanation: Explanation {
            calendar_ms: period,
            observed,
            active: is_active,
            counted,
        },
        score: None,
        maps: vec![
            format!("sha256:{}", "4f".repeat(32)),
            format!("sha256:{}", "a7".repeat(32)),
        ],
        sessions: vec![
            session(
                "01KBQ4S8ZC9M5W7P2X3Y4T6V8N",
                Grade::C,
                &[Why::Late, Why::NoMeter],
            ),
            session("01KBQ4S8ZC9M5W7P2X3Y4T6V8P", Grade::A, &[]),
        ],
        days,
    }
}

fn session(id: &str, grade: Grade, why: &[Why]) -> SessionReport {
    let totals = SessionTotals {
        session: id.to_owned(),
        booking: Some("bk-2026-0731".to_owned()),
        token: None,
        class: Class::Own,
        check_in: Some(CheckIn::Implied),
        org: None,
        org_kind: None,
        from: Some(at("2026-03-02T01:00:00Z")),
        to: Some(at("2026-03-02T05:30:00Z")),
        reason: Some(CloseReason::Ended),
        open: Some(40_112),
        close: Some(40_190),
        ms: BTreeMap::from([(State::Run, 4 * HOUR_MS)]),
        active_ms: 4 * HOUR_MS,
        energy_mwh: None,
        grade,
        why: why.to_vec(),
    };
    SessionReport {
        totals,
        listed: None,
        recorded_class: None,
    }
}

fn anomaly(kind: AnomalyKind, machine: Option<&str>, en: &str, zh: &str) -> Anomaly {
    Anomaly {
        kind,
        site: "zs-polymer".parse().unwrap(),
        gateway: Some("gw-01".parse().unwrap()),
        machine: machine.map(|machine| machine.parse().unwrap()),
        from: Some(at("2026-04-11T16:00:00Z")),
        to: Some(at("2026-04-14T16:00:00Z")),
        numbers: BTreeMap::new(),
        leaves: (51_200..51_209).collect(),
        sessions: vec!["01KBQ4S8ZC9M5W7P2X3Y4T6V8N".to_owned()],
        text: Said::new(en, zh),
        diff: Vec::new(),
    }
}

fn anomalies() -> Vec<Anomaly> {
    let mut change = anomaly(
        AnomalyKind::MapChange,
        Some("press-01"),
        "the rule RUN changed from `speed > 5` to `speed > 0.5`",
        "RUN 规则由 `speed > 5` 改为 `speed > 0.5`",
    );
    change.diff = vec![
        "   \"state\": \"RUN\",".to_owned(),
        "-  \"when\": \"running && speed > 5\"".to_owned(),
        "+  \"when\": \"running && speed > 0.5\"".to_owned(),
    ];
    vec![
        anomaly(
            AnomalyKind::AffiliateExternal,
            Some("extruder-01"),
            "36.5 external hours of org-2, which the trust file calls affiliated",
            "org-2 的 36.5 对外机时，受信文件将其列为关联单位",
        ),
        anomaly(
            AnomalyKind::Energy,
            Some("press-01"),
            "412 Wh in a RUN hour, where this machine's median is 5,180 Wh",
            "每运行小时 412 Wh，而该设备的中位数为 5,180 Wh",
        ),
        change,
    ]
}

fn group(machines: &[MachineReport]) -> GroupReport {
    let known = machines
        .iter()
        .map(|machine| machine.coverage.known_ms())
        .sum();
    let period = machines
        .iter()
        .map(|machine| machine.coverage.period_ms())
        .sum();
    let coverage = Coverage::new(known, period);
    let quota = machines
        .iter()
        .filter_map(|machine| machine.quota.as_ref())
        .map(|quota| quota.ms)
        .sum();
    let above = |figure: fn(&Figures) -> &Figure| {
        machines
            .iter()
            .filter_map(|machine| figure(&machine.figures).basis().above)
            .sum()
    };
    let (effective, external) = (
        above(|figures| &figures.effective),
        above(|figures| &figures.external),
    );
    let n = HOUR_MS * u64::try_from(machines.len()).unwrap();
    let figures = figures(effective, external, Some(quota), coverage);
    let part = ScorePart {
        name: Said::new("sharing", "共享"),
        figure: figures.sharing.clone(),
        target_hundredths: 1_000,
        points_hundredths: 1_000,
        cap_hundredths: 1_000,
        hundredths: Some(1_000),
    };
    GroupReport {
        machines: 3,
        scored_machines: 3,
        coverage,
        quota_ms: Some(quota),
        sums: sums(effective, external, BTreeMap::new()),
        figures,
        mean_effective: Figure::new(Formula::MeanEffective, Some(effective), Some(n), coverage),
        mean_external: Figure::new(Formula::MeanExternal, Some(external), Some(n), coverage),
        score: Some(Score {
            coverage,
            hundredths: Some(1_000),
            most_hundredths: 1_000,
            withheld: None,
            parts: vec![part],
        }),
    }
}

fn source() -> Source {
    Source {
        file: "zs-polymer-gw-01-2025-11.zip".to_owned(),
        verdict: Verdict::Verified,
        said: vec!["witness: the last cosigned head is older than the last leaf".to_owned()],
        site: "zs-polymer".parse().unwrap(),
        gateway: "gw-01".parse().unwrap(),
        origin: "example.com/zs-polymer/gw-01/e1".to_owned(),
        from: at("2025-10-31T16:00:00Z"),
        to: at("2026-10-31T16:00:00Z"),
        first: 0,
        end: 382_976,
        start_size: 1_024,
        size: 383_120,
        root: "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=".to_owned(),
        cosigned: Some(at("2026-11-01T02:11:09Z")),
    }
}

fn rules() -> RulesUsed {
    RulesUsed {
        name: "national".to_owned(),
        version: "2026-02".to_owned(),
        sha256: "9b".repeat(32),
        file: None,
        title: Said::new("National quotas", "国家定额机时"),
        effective: BTreeSet::from([Class::Ext, Class::Own, Class::Aff]),
        external: BTreeSet::from([Class::Ext]),
        minimum_coverage_pm: 800,
        quotas: BTreeMap::from([("general".to_owned(), 1400), ("special".to_owned(), 800)]),
    }
}

fn report() -> Report {
    let machines = vec![
        machine("extruder-01", "双螺杆挤出机", 1, 1400),
        machine("furnace-01", "真空烧结炉", 2, 800),
        machine("press-01", "伺服压机", 3, 800),
    ];
    let whole = group(&machines);
    let line = LineReport {
        site: "zs-polymer".parse().unwrap(),
        line: "改性线 A".to_owned(),
        members: vec!["gw-01/extruder-01".to_owned(), "gw-01/press-01".to_owned()],
        line_hours: Figure::new(
            Formula::LineHours,
            Some(2_000 * HOUR_MS),
            Some(HOUR_MS),
            whole.coverage,
        ),
        external_line_hours: Figure::new(
            Formula::LineHours,
            Some(400 * HOUR_MS),
            Some(HOUR_MS),
            whole.coverage,
        ),
        machines: whole.clone(),
    };
    Report {
        v: 1,
        kind: REPORT_KIND.to_owned(),
        by: "lineside 0.1.0".to_owned(),
        made: at("2026-11-03T01:30:00Z"),
        from: at("2025-10-31T16:00:00Z"),
        to: at("2026-10-31T16:00:00Z"),
        is_verified: true,
        rules: rules(),
        lists: vec![ListUsed {
            kind: ListKind::Trust,
            file: "trust.toml".to_owned(),
            sha256: "c0".repeat(32),
            rows: 3,
            unused_lines: Vec::new(),
        }],
        formulas: Formula::ALL.map(Formula::said).to_vec(),
        sources: vec![source()],
        anomalies: anomalies(),
        sites: vec![SiteReport {
            site: "zs-polymer".parse().unwrap(),
            machines: whole.clone(),
        }],
        whole,
        lines: vec![line],
        machines,
    }
}

#[test]
fn scratch_pages() {
    let report = report();
    for (language, name) in [(Language::En, "en"), (Language::ZhCn, "zh")] {
        std::fs::write(format!("/tmp/pages-{name}.html"), page(&report, language)).unwrap();
    }
    let unverified = Report {
        is_verified: false,
        ..report
    };
    std::fs::write("/tmp/pages-un.html", page(&unverified, Language::ZhCn)).unwrap();
}
