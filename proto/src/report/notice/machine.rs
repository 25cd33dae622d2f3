//! What concerns one machine and its leaves: holes in booked slots, map changes, running without a pause, its start date.

use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

use super::gateway::{more, over_text};
use super::{Case, bare, hours, whole};
use crate::State;
use crate::report::diff::diff;
use crate::report::machine::Told;
use crate::report::{
    Anomaly, AnomalyKind, EVIDENCE_MAX, Hole, MachineReport, MapChange, NonStop, shanghai,
};

pub(super) fn all(told: &Told<'_>, report: &MachineReport, case: &Case<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    // A run over the end of a period is told by the bundles on both sides of it.
    let mut begun = BTreeSet::new();
    for seen in &told.observed {
        found.extend(seen.holes.first.iter().map(|hole| one_hole(hole, told)));
        let runs = seen.nonstop.first.iter();
        let runs = runs.filter(|run| begun.insert((run.from, run.index)));
        found.extend(runs.map(|run| nonstop(run, told)));
        found.extend(
            seen.maps
                .first
                .iter()
                .map(|change| map_change(change, told, case)),
        );
        for (kind, count, first) in [
            (
                AnomalyKind::HoleInBooking,
                seen.holes.count,
                seen.holes.first.len(),
            ),
            (
                AnomalyKind::NonStop,
                seen.nonstop.count,
                seen.nonstop.first.len(),
            ),
            (
                AnomalyKind::MapChange,
                seen.maps.count,
                seen.maps.first.len(),
            ),
        ] {
            let over = more(count, first);
            found.extend(over.map(|over| {
                let more = bare(AnomalyKind::More, told.site, over_text(over, kind));
                more.at(told).with("count", whole(over))
            }));
        }
    }
    found.extend(
        listed_holes(told, case)
            .iter()
            .map(|hole| one_hole(hole, told)),
    );
    found.extend(before_start(told, report));
    found
}

fn one_hole(hole: &Hole, told: &Told<'_>) -> Anomaly {
    let (start, end) = (shanghai::moment(hole.start), shanghai::moment(hole.end));
    let (unknown, booking) = (hours(hole.unknown_ms), &hole.booking);
    let text = Text::new(
        format!("{unknown} of booking {booking} ({start} to {end}) were not watched"),
        format!("预约 {booking}（{start} 至 {end}）中有 {unknown} 没有数据"),
    );
    let anomaly = Anomaly {
        from: Some(hole.start),
        to: Some(hole.end),
        leaves: vec![hole.index],
        ..bare(AnomalyKind::HoleInBooking, told.site, text)
    };
    anomaly
        .at(told)
        .with("unknown_ms", whole(hole.unknown_ms))
        .with("slot_ms", whole(hole.slot_ms))
}

/// Slots of the bookings file in which nobody watched for too long. Wall times on both sides: the file has no others.
fn listed_holes(told: &Told<'_>, case: &Case<'_>) -> Vec<Hole> {
    let Some(bookings) = &case.brought.bookings else {
        return Vec::new();
    };
    let limit = u64::from(case.brought.rules.thresholds.hole_minutes) * 60_000;
    let mut pauses: Vec<_> = told.observed.iter().flat_map(|seen| &seen.pauses).collect();
    pauses.sort_by_key(|pause| (pause.to, pause.from));
    let mut holes = Vec::new();
    for slot in bookings.of(told.site, told.gateway, told.machine) {
        let first = pauses.partition_point(|pause| pause.to <= slot.start);
        let mine = pauses.get(first..).unwrap_or_default().iter();
        let mine = mine.take_while(|pause| pause.from < slot.end || pause.to <= slot.end);
        let mut unknown_ms: u64 = 0;
        let mut index = None;
        for pause in mine {
            let part = shanghai::millis(pause.from.max(slot.start), pause.to.min(slot.end));
            unknown_ms = unknown_ms.saturating_add(part);
            index = index.or(Some(pause.index));
        }
        if let Some(index) = index.filter(|_| unknown_ms >= limit) {
            holes.push(Hole {
                index,
                booking: slot.booking.clone(),
                start: slot.start,
                end: slot.end,
                slot_ms: shanghai::millis(slot.start, slot.end),
                unknown_ms,
            });
        }
    }
    holes
}

fn nonstop(run: &NonStop, told: &Told<'_>) -> Anomaly {
    let (since, length) = (shanghai::moment(run.from), hours(run.ms));
    let text = Text::new(
        format!("active for {length} without a pause, since {since}"),
        format!("自 {since} 起连续活动 {length}，没有停顿"),
    );
    let anomaly = Anomaly {
        from: Some(run.from),
        leaves: vec![run.index],
        ..bare(AnomalyKind::NonStop, told.site, text)
    };
    anomaly.at(told).with("active_ms", whole(run.ms))
}

fn map_change(change: &MapChange, told: &Told<'_>, case: &Case<'_>) -> Anomaly {
    let at = shanghai::moment(change.at);
    let short = |hash: &str| hash.chars().take(7 + 12).collect::<String>();
    let (from, to) = (short(&change.from), short(&change.to));
    let text = Text::new(
        format!("its map changed at {at}, from {from} to {to}"),
        format!("{at} 点表变更：{from} → {to}"),
    );
    let texts: BTreeMap<&str, &str> = case
        .evidence
        .iter()
        .flat_map(|bundle| &bundle.maps)
        .map(|(hash, text)| (hash.as_str(), text.as_str()))
        .collect();
    let before = texts.get(change.from.as_str());
    let lines = before.zip(texts.get(change.to.as_str()));
    let anomaly = Anomaly {
        from: Some(change.at),
        leaves: vec![change.index],
        diff: lines
            .map(|(before, after)| diff(before, after))
            .unwrap_or_default(),
        ..bare(AnomalyKind::MapChange, told.site, text)
    };
    anomaly.at(told)
}

fn before_start(told: &Told<'_>, report: &MachineReport) -> Option<Anomaly> {
    let date = told.asset?.asset.start_date.as_ref()?;
    let days = report.days.iter().filter(|(day, _)| *day < date);
    let active = days
        .flat_map(|(_, ms)| ms)
        .filter(|(state, _)| matches!(state, State::Setup | State::Run | State::Hold));
    let ms = active.fold(0_u64, |sum, (_, ms)| sum.saturating_add(*ms));
    if ms == 0 {
        return None;
    }
    let text = Text::new(
        format!(
            "{} of activity lie before {date}, the start date of the asset list",
            hours(ms)
        ),
        format!("资产清单的启用日期 {date} 之前已有活动 {}", hours(ms)),
    );
    let is_before = |session: &&crate::report::SessionReport| {
        session
            .totals
            .from
            .is_some_and(|from| shanghai::day(from) < *date)
    };
    let sessions = report.sessions.iter().filter(is_before).take(EVIDENCE_MAX);
    let anomaly = Anomaly {
        sessions: sessions
            .map(|session| session.totals.session.clone())
            .collect(),
        ..bare(AnomalyKind::BeforeStart, told.site, text)
    };
    Some(anomaly.at(told).with("active_ms", whole(ms)))
}
