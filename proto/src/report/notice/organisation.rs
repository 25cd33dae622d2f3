//! What concerns organisations: affiliates whose hours are called external, one organisation on many machines at once.

use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

use super::{Case, bare, hours, whole};
use crate::report::{Anomaly, AnomalyKind, EVIDENCE_MAX, MachineReport, SessionReport, shanghai};
use crate::{Class, Identifier, Time};

pub(super) fn all(case: &Case<'_>) -> Vec<Anomaly> {
    let mut found = affiliates(case);
    found.extend(crowds(case));
    found
}

/// Sessions with activity and an organisation that are external by their leaves: those of own and affiliated
/// organisations have another class where the verifier knew these.
fn external<'a>(
    case: &'a Case<'_>,
) -> impl Iterator<Item = (&'a MachineReport, &'a SessionReport, &'a str)> {
    let machines = case.machines.iter().map(|(report, _)| report);
    let sessions =
        machines.flat_map(|report| report.sessions.iter().map(move |session| (report, session)));
    sessions.filter_map(|(report, session)| {
        let totals = &session.totals;
        let class = totals.leaf_class.unwrap_or(totals.class);
        let is_it = class == Class::Ext && totals.active_ms > 0;
        Some((report, session, totals.org.as_deref().filter(|_| is_it)?))
    })
}

/// Site, gateway, machine and organisation.
type Key<'a> = (&'a Identifier, &'a Identifier, &'a Identifier, &'a str);

fn affiliates(case: &Case<'_>) -> Vec<Anomaly> {
    let brought = case.brought;
    let mut found: BTreeMap<Key<'_>, (u64, Vec<String>)> = BTreeMap::new();
    for (report, session, org) in external(case) {
        if brought.own.contains(org) || brought.affiliates.contains(org) {
            let key = (&report.site, &report.gateway, &report.machine, org);
            let (ms, sessions) = found.entry(key).or_default();
            *ms = ms.saturating_add(session.totals.active_ms);
            if sessions.len() < EVIDENCE_MAX {
                sessions.push(session.totals.session.clone());
            }
        }
    }
    let anomalies = found.into_iter().map(|((site, gateway, machine, org), (ms, sessions))| {
        let text = Text::new(
            format!("{} are called external by the ledger, and are those of {org}, which the trust file calls own or affiliated", hours(ms)),
            format!("{} 在台账中记为对外，而 {org} 在信任文件中为自有或关联单位", hours(ms)),
        );
        let anomaly = Anomaly {
            gateway: Some(gateway.clone()),
            machine: Some(machine.clone()),
            sessions,
            ..bare(AnomalyKind::AffiliateExternal, site, text)
        };
        anomaly.with("active_ms", whole(ms))
    });
    anomalies.collect()
}

/// A begin or an end of a session.
type Edge<'a> = (Time, bool, &'a str, String);

/// One organisation at once on many machines of one site. Told once for each time from fewer to that many.
fn crowds(case: &Case<'_>) -> Vec<Anomaly> {
    let most = case.brought.rules.thresholds.organisation_machines;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut edges: BTreeMap<(&Identifier, &str), Vec<Edge<'_>>> = BTreeMap::new();
    for (report, session, org) in external(case) {
        let totals = &session.totals;
        let times = totals.from.zip(totals.to).filter(|(from, to)| from < to);
        let Some((from, to)) = times else { continue };
        let machine = format!("{}/{}", report.gateway, report.machine);
        let mine = edges.entry((&report.site, org)).or_default();
        mine.push((from, true, &totals.session, machine.clone()));
        mine.push((to, false, &totals.session, machine));
    }
    let mut found = Vec::new();
    for ((site, org), mut mine) in edges {
        // Ends before begins of the same moment: sessions that adjoin don't overlap.
        mine.sort();
        let mut open: BTreeMap<&str, &str> = BTreeMap::new();
        let mut was_many = false;
        for (at, is_begin, session, machine) in &mine {
            if *is_begin {
                open.insert(session, machine);
            } else {
                open.remove(session);
            }
            let machines: BTreeSet<&str> = open.values().copied().collect();
            let is_many = machines.len() >= most;
            if is_many && !was_many {
                found.push(crowd(site, org, *at, &open, machines.len()));
            }
            was_many = is_many;
        }
    }
    found
}

fn crowd(
    site: &Identifier,
    org: &str,
    at: Time,
    open: &BTreeMap<&str, &str>,
    machines: usize,
) -> Anomaly {
    let (count, moment) = (machines, shanghai::moment(at));
    let text = Text::new(
        format!("external sessions of {org} ran on {count} machines at once at {moment}"),
        format!("{moment} {org} 同时在 {count} 台设备上有对外上机记录"),
    );
    let anomaly = Anomaly {
        from: Some(at),
        sessions: open
            .keys()
            .take(EVIDENCE_MAX)
            .map(|session| (*session).to_owned())
            .collect(),
        ..bare(AnomalyKind::SameOrganisation, site, text)
    };
    anomaly.with("machines", i64::try_from(machines).unwrap_or(i64::MAX))
}
