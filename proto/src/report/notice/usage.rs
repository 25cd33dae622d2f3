//! What a machine's numbers say of its use: energy, hour counter, use without booking, short sessions, untrusted clock.

use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

use super::{Case, bare, hours, percent, whole};
use crate::Class;
use crate::evidence::Why;
use crate::report::machine::Told;
use crate::report::{
    Anomaly, AnomalyKind, EVIDENCE_MAX, EnergyDay, HOUR_MS, MachineReport, SessionReport,
    Thresholds, shanghai,
};

pub(super) fn all(told: &Told<'_>, report: &MachineReport, case: &Case<'_>) -> Vec<Anomaly> {
    let thresholds = &case.brought.rules.thresholds;
    let mut found = energy(told, thresholds);
    found.extend(counter(told, thresholds));
    found.extend(outside(told, report, thresholds));
    found.extend(short(told, report, thresholds));
    found.extend(unsynchronised(told, report));
    found
}

/// Days on which a RUN hour took far more or less than on the machine's median day. A machine that idles while it says RUN
/// takes too little.
fn energy(told: &Told<'_>, thresholds: &Thresholds) -> Vec<Anomaly> {
    /// Days below which no median says anything.
    const DAYS_MIN: usize = 5;
    let least = u64::from(thresholds.energy_minutes) * 60_000;
    let mut days: BTreeMap<&str, EnergyDay> = BTreeMap::new();
    for (name, day) in told.observed.iter().flat_map(|seen| &seen.energy) {
        let known = days.entry(name).and_modify(|known| {
            known.mwh = known.mwh.saturating_add(day.mwh);
            known.ms = known.ms.saturating_add(day.ms);
            known.leaves.1 = day.leaves.1;
        });
        known.or_insert_with(|| day.clone());
    }
    // Wh of an hour: mWh / 1000 over ms / 3,600,000.
    let rate = |day: &EnergyDay| {
        let rate =
            (u128::from(day.mwh) * u128::from(HOUR_MS)).checked_div(u128::from(day.ms) * 1000);
        u64::try_from(rate.unwrap_or(0)).unwrap_or(u64::MAX)
    };
    days.retain(|_, day| day.ms >= least);
    let mut rates: Vec<u64> = days.values().map(rate).collect();
    rates.sort_unstable();
    let Some(median) = rates
        .get(rates.len() / 2)
        .copied()
        .filter(|_| rates.len() >= DAYS_MIN)
    else {
        return Vec::new();
    };
    let limit = u64::from(thresholds.energy_percent);
    let far = days.iter().filter(|(_, day)| {
        let apart = rate(day).abs_diff(median);
        apart > 0 && (median == 0 || percent(apart, median) >= limit)
    });
    let found = far.map(|(name, day)| {
        let rate = rate(day);
        let text = Text::new(
            format!("{rate} Wh for a RUN hour on {name}; on this machine's median day {median} Wh"),
            format!("{name} 每运行小时 {rate} Wh；该设备各日中位数为 {median} Wh"),
        );
        let anomaly = Anomaly {
            leaves: BTreeSet::from([day.leaves.0, day.leaves.1])
                .into_iter()
                .collect(),
            from: shanghai::date(name).and_then(shanghai::begin),
            ..bare(AnomalyKind::Energy, told.site, text)
        };
        anomaly
            .at(told)
            .with("wh_per_run_hour", whole(rate))
            .with("median_wh_per_run_hour", whole(median))
            .with("run_ms", whole(day.ms))
    });
    found.collect()
}

fn counter(told: &Told<'_>, thresholds: &Thresholds) -> Option<Anomaly> {
    let counted = told
        .totals
        .iter()
        .filter(|part| part.counter_milli.is_some());
    let (mut counter, mut run) = (0_u64, 0_u64);
    for part in counted {
        let milli = part.counter_milli.unwrap_or(0);
        counter = counter.saturating_add(milli.saturating_mul(HOUR_MS / 1000));
        run = run.saturating_add(part.counter_run_ms);
    }
    // A counter that shows whole hours is off by one at each end.
    let apart = counter.abs_diff(run);
    let is_far = apart > HOUR_MS
        && percent(apart, counter.max(run)) >= u64::from(thresholds.counter_percent);
    if !is_far {
        return None;
    }
    let text = Text::new(
        format!(
            "the machine's hour counter counted {}, RUN makes {}",
            hours(counter),
            hours(run)
        ),
        format!(
            "设备计时器增加 {}，而运行时长为 {}",
            hours(counter),
            hours(run)
        ),
    );
    let anomaly = bare(AnomalyKind::HourCounter, told.site, text).at(told);
    Some(
        anomaly
            .with("counter_ms", whole(counter))
            .with("run_ms", whole(run)),
    )
}

fn outside(told: &Told<'_>, report: &MachineReport, thresholds: &Thresholds) -> Option<Anomaly> {
    let sums = &report.sums;
    let is_unbooked = |session: &&SessionReport| session.totals.class == Class::Unb;
    let unbooked = report.sessions.iter().filter(is_unbooked);
    let in_sessions = unbooked.clone().fold(0_u64, |sum, session| {
        sum.saturating_add(session.totals.active_ms)
    });
    let ms = in_sessions.saturating_add(sums.outside_ms);
    let is_much = ms > 0 && percent(ms, sums.active_ms) >= u64::from(thresholds.outside_percent);
    if !is_much {
        return None;
    }
    let share = percent(ms, sums.active_ms);
    let text = Text::new(
        format!(
            "{} of its activity ({share} %) belong to no booking",
            hours(ms)
        ),
        format!("{} 活动（占 {share}%）不属于任何预约", hours(ms)),
    );
    let mut largest: Vec<_> = unbooked.collect();
    largest.sort_by_key(|session| std::cmp::Reverse(session.totals.active_ms));
    let anomaly = Anomaly {
        sessions: names(largest.into_iter()),
        ..bare(AnomalyKind::OutsideBookings, told.site, text)
    };
    let anomaly = anomaly.at(told).with("unbooked_ms", whole(ms));
    Some(anomaly.with("active_ms", whole(sums.active_ms)))
}

fn names<'a>(sessions: impl Iterator<Item = &'a SessionReport>) -> Vec<String> {
    let names = sessions.map(|session| session.totals.session.clone());
    names.take(EVIDENCE_MAX).collect()
}

/// Many sessions of hardly any length in a month: hours are split to look like many users. A month, so that the rest of a
/// year does not hide them.
fn short(told: &Told<'_>, report: &MachineReport, thresholds: &Thresholds) -> Vec<Anomaly> {
    let limit = u64::from(thresholds.short_minutes) * 60_000;
    let mut months: BTreeMap<String, (u64, Vec<&SessionReport>)> = BTreeMap::new();
    for session in &report.sessions {
        let Some(from) = session.totals.from.filter(|_| session.totals.to.is_some()) else {
            continue;
        };
        let month = shanghai::day(from).chars().take("2026-11".len()).collect();
        let (all, short) = months.entry(month).or_default();
        *all += 1;
        let length = session.totals.ms.values();
        if length.fold(0_u64, |sum, ms| sum.saturating_add(*ms)) < limit {
            short.push(session);
        }
    }
    let many = months.into_iter().filter(|(_, (all, short))| {
        let count = wide(short.len());
        count >= u64::from(thresholds.short_count)
            && percent(count, *all) >= u64::from(thresholds.short_percent)
    });
    let minutes = thresholds.short_minutes;
    let found = many.map(|(month, (all, short))| {
        let count = wide(short.len());
        let text = Text::new(
            format!("{count} of {all} sessions in {month} last less than {minutes} min"),
            format!("{month} 共 {all} 次上机，其中 {count} 次不足 {minutes} 分钟"),
        );
        let anomaly = Anomaly {
            from: shanghai::date(&format!("{month}-01")).and_then(shanghai::begin),
            sessions: names(short.into_iter()),
            ..bare(AnomalyKind::ShortSessions, told.site, text)
        };
        anomaly
            .at(told)
            .with("short", whole(count))
            .with("sessions", whole(all))
    });
    found.collect()
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Sessions during which the clock was not synchronised.
fn unsynchronised(told: &Told<'_>, report: &MachineReport) -> Option<Anomaly> {
    let is_it = |session: &&SessionReport| session.totals.why.contains(&Why::Clock);
    let sessions = report.sessions.iter().filter(is_it);
    let ms = sessions.clone().fold(0_u64, |sum, session| {
        sum.saturating_add(session.totals.active_ms)
    });
    let count = wide(sessions.clone().count());
    if count == 0 {
        return None;
    }
    let text = Text::new(
        format!(
            "the clock was not synchronised in {count} sessions with {} of activity",
            hours(ms)
        ),
        format!("{count} 次上机期间时钟未同步，涉及活动 {}", hours(ms)),
    );
    let anomaly = Anomaly {
        sessions: names(sessions),
        ..bare(AnomalyKind::Clock, told.site, text)
    };
    Some(
        anomaly
            .at(told)
            .with("sessions", whole(count))
            .with("active_ms", whole(ms)),
    )
}
