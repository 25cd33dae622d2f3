//! A machine's part of the report.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, Part, plus, plus_known, plus_map};
use super::{
    AssetRow, Brought, Coverage, Explanation, HOUR_MS, LossReason, MachineObserved, MachineReport,
    Quota, Rules, Score, SessionReport, Span, Step, shanghai,
};
use crate::evidence::{Grade, MachineTotals, SessionTotals, Why};
use crate::{Class, Identifier, State};

/// A machine as the bundles of its gateway tell it.
pub(super) struct Told<'a> {
    pub(super) site: &'a Identifier,
    pub(super) gateway: &'a Identifier,
    pub(super) machine: &'a Identifier,
    /// The periods of the gateway's bundles, those that don't name the machine, too: in order, and none told twice.
    pub(super) periods: Vec<Span>,
    pub(super) totals: Vec<&'a MachineTotals>,
    pub(super) observed: Vec<&'a MachineObserved>,
    pub(super) asset: Option<&'a AssetRow>,
}

/// The report of a machine, and what groups add up of it.
pub(super) fn machine(told: &Told<'_>, brought: &Brought) -> (MachineReport, Account) {
    let rules = &brought.rules;
    let sessions = sessions(told, brought);
    let mut account = summed(told, &sessions, rules);
    let quota = quota(told, rules);
    account.quota = quota.as_ref().map(|quota| Part {
        above: account.effective_ms(rules),
        below: quota.ms,
    });
    let explanation = explained(told, &account, rules);
    let mut not_started = explanation.observed.losses.iter();
    let not_started = not_started.find(|loss| loss.reason == LossReason::NotStarted);
    let known = told
        .totals
        .iter()
        .map(|part| part.known_ms.min(part.period_ms));
    account.known_ms = known.fold(0, u64::saturating_add);
    account.period_ms = explanation
        .calendar_ms
        .saturating_sub(not_started.map_or(0, |loss| loss.ms));
    let coverage = account.coverage();
    let figures = account.figures(rules);
    let mut days: BTreeMap<String, BTreeMap<State, u64>> = BTreeMap::new();
    let mut maps = Vec::new();
    for part in &told.totals {
        for (day, ms) in &part.days {
            plus_map(days.entry(day.clone()).or_default(), ms);
        }
        let known: BTreeSet<String> = maps.iter().cloned().collect();
        maps.extend(
            part.maps
                .iter()
                .filter(|map| !known.contains(*map))
                .cloned(),
        );
    }
    let report = MachineReport {
        site: told.site.clone(),
        gateway: told.gateway.clone(),
        machine: told.machine.clone(),
        asset: told.asset.map(|row| row.asset.clone()),
        spans: joined(&told.periods),
        coverage,
        is_scored: is_scored(coverage, rules),
        quota,
        sums: account.sums.clone(),
        score: Score::of(&figures, coverage, rules),
        figures,
        explanation,
        maps,
        sessions,
        days,
    };
    (report, account)
}

pub(super) fn is_scored(coverage: Coverage, rules: &Rules) -> bool {
    coverage.thousandths() >= rules.minimum_coverage_pm
}

/// Periods in order; those that adjoin are one.
pub(super) fn joined(periods: &[Span]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for period in periods {
        match spans.last_mut().filter(|last| last.to >= period.from) {
            Some(last) => last.to = last.to.max(period.to),
            None => spans.push(*period),
        }
    }
    spans
}

/// The sessions of all bundles; one that runs over the end of a period is one.
fn sessions(told: &Told<'_>, brought: &Brought) -> Vec<SessionReport> {
    let mut order: Vec<SessionTotals> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for session in told.totals.iter().flat_map(|part| &part.sessions) {
        let known = places.get(session.session.as_str());
        match known.and_then(|place| order.get_mut(*place)) {
            Some(begun) => continued(begun, session),
            None => {
                places.insert(&session.session, order.len());
                order.push(session.clone());
            }
        }
    }
    let listed = order
        .into_iter()
        .map(|session| listed(session, told, brought));
    listed.collect()
}

/// A session that a later bundle tells more of. What the later one says of its class holds: a token may come late.
fn continued(begun: &mut SessionTotals, more: &SessionTotals) {
    let why = joint_why(begun, more);
    plus_map(&mut begun.ms, &more.ms);
    plus(&mut begun.active_ms, more.active_ms);
    plus_known(&mut begun.energy_mwh, more.energy_mwh);
    begun.class = more.class;
    begun.leaf_class = more.leaf_class;
    begun.from = begun.from.or(more.from);
    begun.to = more.to.or(begun.to);
    begun.reason = more.reason.or(begun.reason);
    begun.check_in = more.check_in.or(begun.check_in);
    begun.open = begun.open.or(more.open);
    begun.close = more.close.or(begun.close);
    for (place, value) in [
        (&mut begun.booking, &more.booking),
        (&mut begun.token, &more.token),
        (&mut begun.org, &more.org),
        (&mut begun.org_kind, &more.org_kind),
    ] {
        if value.is_some() {
            place.clone_from(value);
        }
    }
    let worst = why.iter().map(|why| why.grade()).max();
    begun.grade = worst.unwrap_or(Grade::A);
    begun.why = why.into_iter().collect();
}

/// Why both parts together are worth no more: a part without activity says nothing of a meter, and one that ends before
/// the session nothing of when a witness saw that end.
fn joint_why(begun: &SessionTotals, more: &SessionTotals) -> BTreeSet<Why> {
    let counts = |part: &SessionTotals, other: &SessionTotals, why: Why| match why {
        Why::NoMeter => part.active_ms > 0 || other.active_ms == 0,
        Why::Late => part.close.is_some() || other.close.is_none(),
        Why::Entered | Why::Corrected | Why::Token | Why::Clock | Why::Map | Why::Meter => true,
    };
    let of = |part: &SessionTotals, other: &SessionTotals| {
        let whys = part.why.iter().copied();
        whys.filter(|why| counts(part, other, *why))
            .collect::<Vec<_>>()
    };
    let mut why: BTreeSet<Why> = of(begun, more).into_iter().collect();
    why.extend(of(more, begun));
    why
}

/// A session that no token stands behind, and that lies in a slot of the bookings file, has the class that the file gives:
/// at grade D, since nobody signed it. What somebody entered as training, maintenance or an affiliate's stays.
fn listed(mut session: SessionTotals, told: &Told<'_>, brought: &Brought) -> SessionReport {
    let is_open_to_it = session.token.is_none() && matches!(session.class, Class::Unb | Class::Own);
    let times = session.from.zip(session.to).filter(|_| is_open_to_it);
    let list = brought.bookings.as_ref();
    let found = times.zip(list).and_then(|((from, to), list)| {
        let mut slots = list.of(told.site, told.gateway, told.machine);
        slots.find(|slot| slot.holds(from, to))
    });
    let found = found.filter(|slot| !brought.own.contains(&slot.organisation));
    let Some(slot) = found else {
        return SessionReport {
            totals: session,
            listed: None,
            recorded_class: None,
        };
    };
    let recorded = session.class;
    session.class = if brought.affiliates.contains(&slot.organisation) {
        Class::Aff
    } else {
        Class::Ext
    };
    session.grade = Grade::D;
    session.org = Some(slot.organisation.clone());
    if !session.why.contains(&Why::Entered) {
        session.why.insert(0, Why::Entered);
    }
    SessionReport {
        totals: session,
        listed: Some(slot.booking.clone()),
        recorded_class: Some(recorded),
    }
}

fn summed(told: &Told<'_>, sessions: &[SessionReport], rules: &Rules) -> Account {
    let mut account = Account {
        machines: 1,
        ..Account::default()
    };
    for SessionReport { totals, listed, .. } in sessions {
        let is_external = rules.external.contains(&totals.class);
        let grades = account.sums.hours.entry(totals.class).or_default();
        plus(grades.entry(totals.grade).or_default(), totals.active_ms);
        if listed.is_some() && is_external {
            plus(&mut account.sums.listed_ms, totals.active_ms);
        }
        if let Some(mwh) = totals
            .energy_mwh
            .filter(|_| rules.effective.contains(&totals.class))
        {
            let energy = account.energy.get_or_insert(Part { above: 0, below: 0 });
            plus(&mut energy.above, mwh);
            plus(&mut energy.below, totals.active_ms);
        }
        if is_external && totals.active_ms > 0 {
            account.organisations.extend(totals.org.clone());
        }
    }
    account.sums.hours.retain(|_, grades| {
        grades.retain(|_, ms| *ms > 0);
        !grades.is_empty()
    });
    account.sums.sessions = wide(sessions.len());
    account.sums.organisations = wide(account.organisations.len());
    for part in &told.totals {
        let sums = &mut account.sums;
        plus_map(&mut sums.ms, &part.ms);
        plus_map(&mut sums.bookings, &part.bookings);
        plus(&mut sums.active_ms, part.active_ms);
        plus(&mut sums.outside_ms, part.outside_ms);
        plus_known(&mut sums.energy_session_mwh, part.energy_session_mwh);
        plus_known(&mut sums.energy_idle_mwh, part.energy_idle_mwh);
        if let Some(milli) = part.counter_milli {
            let counter = account.counter.get_or_insert(Part { above: 0, below: 0 });
            plus(&mut counter.above, milli.saturating_mul(HOUR_MS / 1000));
            plus(&mut counter.below, part.counter_run_ms);
        }
    }
    account.income = told.asset.and_then(|row| {
        let asset = &row.asset;
        let (inside, outside) = (asset.income_inside_fen, asset.income_outside_fen);
        let is_said = inside.is_some() || outside.is_some();
        let value = asset.original_value_fen.filter(|_| is_said)?;
        let inside = inside.unwrap_or(0).saturating_mul(100);
        let outside = outside
            .unwrap_or(0)
            .saturating_mul(rules.outside_factor_hundredths);
        Some(Part {
            above: inside.saturating_add(outside),
            below: value.saturating_mul(100),
        })
    });
    account
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn quota(told: &Told<'_>, rules: &Rules) -> Option<Quota> {
    let asset = told.asset.map(|row| &row.asset);
    let own = asset.and_then(|asset| asset.quota_h);
    let named = asset.and_then(|asset| asset.category.as_ref());
    let category = named
        .or(rules.default_category.as_ref())
        .filter(|_| own.is_none());
    let hours = own.or_else(|| rules.quotas.get(category?).copied())?;
    let start = told.asset.and_then(|row| row.start);
    let spans = joined(&told.periods);
    let parts = spans.iter().map(|span| {
        let from = start.map_or(span.from, |start| start.max(span.from));
        shanghai::pro_rata(hours, from, span.to)
    });
    Some(Quota {
        category: category.cloned(),
        hours_a_year: hours,
        ms: parts.fold(0, u64::saturating_add),
    })
}

/// Calendar → observed → active → counted.
fn explained(told: &Told<'_>, account: &Account, rules: &Rules) -> Explanation {
    let lengths = told
        .periods
        .iter()
        .map(|span| shanghai::millis(span.from, span.to));
    let calendar = lengths.fold(0, u64::saturating_add);
    let sums = &account.sums;
    let of = |state: State| sums.ms.get(&state).copied().unwrap_or(0);
    let known = State::ALL
        .into_iter()
        .filter(|state| *state != State::Unknown);
    let known = known.map(of).fold(0, u64::saturating_add);
    let gained = told.totals.iter().map(|part| {
        let states = part
            .ms
            .iter()
            .filter(|(state, _)| **state != State::Unknown);
        let known = states.fold(0_u64, |sum, (_, ms)| sum.saturating_add(*ms));
        known.saturating_sub(part.period_ms)
    });
    let gained = gained.fold(0, u64::saturating_add);
    let seen = |pick: fn(&MachineObserved) -> u64| {
        let parts = told.observed.iter().map(|part| pick(part));
        parts.fold(0, u64::saturating_add)
    };
    let observed = [
        (LossReason::NotStarted, not_started(told)),
        (LossReason::AgentStopped, seen(|part| part.stopped_ms)),
        (LossReason::MapExchanged, seen(|part| part.exchanged_ms)),
        (LossReason::Unreachable, seen(|part| part.unreachable_ms)),
        (LossReason::Undecided, seen(|part| part.undecided_ms)),
    ];
    let active = [
        (LossReason::Off, of(State::Off)),
        (LossReason::Down, of(State::Down)),
        (LossReason::Maintenance, of(State::Maint)),
        (LossReason::Idle, of(State::Idle)),
    ];
    let classes = sums
        .hours
        .iter()
        .filter(|(class, _)| !rules.effective.contains(class));
    let classes = classes.map(|(class, grades)| {
        let ms = grades
            .values()
            .fold(0_u64, |sum, ms| sum.saturating_add(*ms));
        (LossReason::of_class(*class), ms)
    });
    let counted: Vec<_> = [(LossReason::OutsideSessions, sums.outside_ms)]
        .into_iter()
        .chain(classes)
        .collect();
    let effective = account.effective_ms(rules);
    Explanation {
        calendar_ms: calendar,
        observed: Step::new(calendar, gained, &observed, LossReason::Unrecorded, known),
        active: Step::new(known, 0, &active, LossReason::HoldOver, sums.active_ms),
        counted: Step::new(
            sums.active_ms,
            0,
            &counted,
            LossReason::OutsideSessions,
            effective,
        ),
    }
}

/// Time before the start date of which nothing is known.
fn not_started(told: &Told<'_>) -> u64 {
    let row = told
        .asset
        .and_then(|row| Some((row.start?, row.asset.start_date.as_ref()?)));
    let Some((start, date)) = row else { return 0 };
    let before = told
        .periods
        .iter()
        .map(|span| shanghai::millis(span.from, span.to.min(start)));
    let days = told
        .totals
        .iter()
        .flat_map(|part| &part.days)
        .filter(|(day, _)| *day < date);
    let known = days
        .flat_map(|(_, ms)| ms)
        .filter(|(state, _)| **state != State::Unknown);
    let known = known.fold(0_u64, |sum, (_, ms)| sum.saturating_add(*ms));
    before.fold(0, u64::saturating_add).saturating_sub(known)
}
