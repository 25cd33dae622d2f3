//! Totals that are made up.

use std::collections::BTreeMap;

use crate::evidence::{
    Grade, MANIFEST_KIND, MachineTotals, Manifest, SessionTotals, TOTALS_KIND, Totals, Verdict,
    Verification,
};
use crate::report::{
    Assets, Bookings, Brought, Evidence, HOUR_MS, Observed, Report, Rules, report,
};
use crate::{CheckIn, Class, Outcome, State, Time};

pub(super) const EXAMPLE: &str = include_str!("../../../../config/scoring/example-university.toml");

/// 2026-03-02 00:00 in Shanghai, and so many hours later.
pub(super) fn at(hours: i64) -> Time {
    let start: Time = "2026-03-01T16:00:00Z".parse().unwrap();
    start.plus_millis(hours * 3_600_000)
}

pub(super) fn states(hours: &[(State, u64)]) -> BTreeMap<State, u64> {
    hours
        .iter()
        .map(|(state, hours)| (*state, hours * HOUR_MS))
        .collect()
}

pub(super) fn session(
    name: &str,
    class: Class,
    grade: Grade,
    from: i64,
    hours: u64,
) -> SessionTotals {
    SessionTotals {
        session: name.to_owned(),
        booking: None,
        token: None,
        class,
        check_in: Some(CheckIn::Portal),
        org: None,
        org_kind: None,
        from: Some(at(from)),
        to: Some(at(from + i64::try_from(hours).unwrap())),
        reason: None,
        open: Some(1),
        close: Some(2),
        ms: states(&[(State::Run, hours)]),
        active_ms: hours * HOUR_MS,
        energy_mwh: None,
        grade,
        why: Vec::new(),
        leaf_class: None,
    }
}

/// 100 hours of which 90 are known, 46 active and 40 counted; its sessions do without overlap.
pub(super) fn machine(name: &str) -> MachineTotals {
    let mut external = session("s-ext", Class::Ext, Grade::A, 0, 16);
    external.token = Some("sha256:11".to_owned());
    external.org = Some("org-9".to_owned());
    external.energy_mwh = Some(32_000_000);
    let mut own = session("s-own", Class::Own, Grade::B, 20, 20);
    own.energy_mwh = Some(20_000_000);
    let unbooked = session("s-unb", Class::Unb, Grade::C, 40, 4);
    let maintenance = session("s-mnt", Class::Mnt, Grade::D, 50, 3);
    MachineTotals {
        machine: name.parse().unwrap(),
        period_ms: 100 * HOUR_MS,
        ms: states(&[
            (State::Unknown, 6),
            (State::Off, 10),
            (State::Down, 2),
            (State::Maint, 1),
            (State::Idle, 30),
            (State::Setup, 5),
            (State::Run, 40),
            (State::Hold, 2),
        ]),
        known_ms: 90 * HOUR_MS,
        coverage_pm: 900,
        active_ms: 46 * HOUR_MS,
        outside_ms: 3 * HOUR_MS,
        hours: BTreeMap::from([
            (Class::Ext, BTreeMap::from([(Grade::A, 16 * HOUR_MS)])),
            (Class::Own, BTreeMap::from([(Grade::B, 20 * HOUR_MS)])),
            (Class::Unb, BTreeMap::from([(Grade::C, 4 * HOUR_MS)])),
            (Class::Mnt, BTreeMap::from([(Grade::D, 3 * HOUR_MS)])),
        ]),
        energy_session_mwh: Some(52_000_000),
        energy_idle_mwh: Some(13_000_000),
        energy_run_mwh: Some(40_000_000),
        energy_run_ms: Some(20 * HOUR_MS),
        counter_milli: Some(36_000),
        counter_run_ms: 40 * HOUR_MS,
        good: 1000,
        bad: 10,
        bookings: BTreeMap::from([
            (Outcome::Fulfilled, 6),
            (Outcome::Overrun, 1),
            (Outcome::EarlyLeave, 1),
            (Outcome::NoShow, 2),
            (Outcome::Indeterminate, 3),
            (Outcome::PlatformFault, 1),
            (Outcome::Cancelled, 2),
        ]),
        maps: vec!["sha256:aa".to_owned()],
        sessions: vec![external, own, unbooked, maintenance],
        days: BTreeMap::from([
            (
                "2026-03-02".to_owned(),
                states(&[(State::Idle, 4), (State::Run, 20)]),
            ),
            (
                "2026-03-03".to_owned(),
                states(&[(State::Unknown, 6), (State::Off, 10), (State::Run, 8)]),
            ),
        ]),
    }
}

/// A machine that did nothing at all.
pub(super) fn idle(name: &str, hours: u64) -> MachineTotals {
    MachineTotals {
        period_ms: hours * HOUR_MS,
        ms: states(&[(State::Idle, hours)]),
        known_ms: hours * HOUR_MS,
        coverage_pm: 1000,
        active_ms: 0,
        outside_ms: 0,
        hours: BTreeMap::new(),
        energy_session_mwh: None,
        energy_idle_mwh: None,
        energy_run_mwh: None,
        energy_run_ms: None,
        counter_milli: None,
        counter_run_ms: 0,
        bookings: BTreeMap::new(),
        sessions: Vec::new(),
        days: BTreeMap::new(),
        ..machine(name)
    }
}

/// A verified bundle of gateway `gw`, from so many hours to so many hours after the beginning.
pub(super) fn bundle(file: &str, from: i64, to: i64, machines: Vec<MachineTotals>) -> Evidence {
    bundle_of("gw", file, (from, to), machines)
}

pub(super) fn bundle_of(
    gateway: &str,
    file: &str,
    period: (i64, i64),
    machines: Vec<MachineTotals>,
) -> Evidence {
    let (from, to) = (at(period.0), at(period.1));
    let site: crate::Identifier = "zs-polymer".parse().unwrap();
    let gateway: crate::Identifier = gateway.parse().unwrap();
    let manifest = Manifest {
        v: 1,
        kind: MANIFEST_KIND.to_owned(),
        site: site.clone(),
        gateway: gateway.clone(),
        origin: "example.org/zs/gw/e1".to_owned(),
        key: "key".to_owned(),
        from,
        to,
        first: 0,
        end: 512,
        size: 600,
        start_size: 256,
        made: to,
        by: "lineside 0.1.0".to_owned(),
        files: Vec::new(),
    };
    let totals = Totals {
        v: 1,
        kind: TOTALS_KIND.to_owned(),
        site,
        gateway,
        origin: manifest.origin.clone(),
        from,
        to,
        first: 0,
        end: 512,
        size: 600,
        root: "AAAA".to_owned(),
        machines,
    };
    Evidence {
        file: file.to_owned(),
        verification: Verification {
            v: 1,
            verdict: Verdict::Verified,
            checks: Vec::new(),
            manifest: Some(manifest),
            cosigned: Some(to),
            totals: Some(totals),
        },
        observed: Observed::default(),
        maps: BTreeMap::new(),
    }
}

pub(super) fn brought(rules: Rules) -> Brought {
    Brought {
        rules,
        assets: None,
        bookings: None,
        own: ["org-1".to_owned()].into(),
        affiliates: ["org-2".to_owned()].into(),
        lists: Vec::new(),
        takes_unverified: false,
        by: "lineside 0.1.0".to_owned(),
        made: at(1000),
    }
}

pub(super) fn national() -> Brought {
    brought(Rules::national().unwrap())
}

pub(super) fn assets(brought: Brought, text: &str) -> Brought {
    let assets = Assets::read(text.as_bytes(), "assets.csv", &brought.rules).unwrap();
    Brought {
        assets: Some(assets),
        ..brought
    }
}

pub(super) fn bookings(brought: Brought, text: &str) -> Brought {
    Brought {
        bookings: Some(Bookings::read(text.as_bytes(), "bookings.csv").unwrap()),
        ..brought
    }
}

pub(super) fn made(evidence: Vec<Evidence>, brought: &Brought) -> Report {
    report(evidence, brought).unwrap()
}
