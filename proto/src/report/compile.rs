//! From verified bundles to the report.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Account;
use super::machine::{Told, is_scored, joined, machine};
use super::notice::{self, Case};
use super::{
    AssetRow, Brought, Evidence, Figure, Formula, GroupReport, HOUR_MS, LineReport, ListKind,
    MachineObserved, MachineReport, REPORT_KIND, Report, ReportError, Rules, Score, SiteReport,
    Source, Span, shanghai,
};
use crate::evidence::{MachineTotals, Totals, Verdict};
use crate::{Identifier, Time};

/// Lines of a list that fit no machine, as far as they are told.
const UNUSED_MAX: usize = 100;

/// Findings of a verifier that a report repeats.
const SAID_MAX: usize = 10;

/// Makes the report.
///
/// # Errors
///
/// [`ReportError`]: no bundle, one that did not verify, two that tell one time, an asset row that fits several machines.
pub fn report(mut evidence: Vec<Evidence>, brought: &Brought) -> Result<Report, ReportError> {
    let rules = &brought.rules;
    for bundle in &evidence {
        check(bundle, brought)?;
    }
    evidence.sort_by_cached_key(|bundle| {
        let totals = bundle.verification.totals.as_ref();
        let counted = bundle.observed.counted.map(|counted| counted.from);
        totals.map(|totals| {
            let (site, gateway) = (totals.site.clone(), totals.gateway.clone());
            (site, gateway, totals.from, counted)
        })
    });
    let sources: Vec<Source> = evidence.iter().filter_map(source).collect();
    let (Some(from), Some(to)) = (
        sources.iter().map(|source| source.from).min(),
        sources.iter().map(|source| source.to).max(),
    ) else {
        return Err(ReportError::NoBundle);
    };
    apart(&evidence)?;
    let told = told(&evidence, brought);
    unambiguous(&told)?;
    let made: Vec<(MachineReport, Account)> =
        told.iter().map(|told| machine(told, brought)).collect();
    let anomalies = notice::all(&Case {
        evidence: &evidence,
        sources: &sources,
        told: &told,
        machines: &made,
        brought,
    });
    Ok(Report {
        v: 1,
        kind: REPORT_KIND.to_owned(),
        by: brought.by.clone(),
        made: brought.made,
        from,
        to,
        is_verified: sources
            .iter()
            .all(|source| source.verdict == Verdict::Verified),
        rules: rules.used(),
        lists: brought.lists(&|kind| unused(kind, &told, brought)),
        formulas: Formula::ALL.into_iter().map(Formula::said).collect(),
        anomalies,
        whole: group(&made, rules, |_| true),
        sites: sites(&made, rules),
        lines: lines(&made, rules),
        sources,
        machines: made.into_iter().map(|(report, _)| report).collect(),
    })
}

fn check(bundle: &Evidence, brought: &Brought) -> Result<(), ReportError> {
    let verification = &bundle.verification;
    if verification.verdict != Verdict::Verified && !brought.takes_unverified {
        return Err(ReportError::Unverified {
            file: bundle.file.clone(),
            verdict: verification.verdict,
            said: findings(bundle).into_iter().next(),
        });
    }
    if verification.totals.is_none() || verification.manifest.is_none() {
        return Err(ReportError::Unread {
            file: bundle.file.clone(),
        });
    }
    Ok(())
}

/// What the verifier found wrong, and then what somebody should know.
fn findings(bundle: &Evidence) -> Vec<String> {
    use crate::evidence::Status;
    let checks = &bundle.verification.checks;
    let of = |status: Status| checks.iter().filter(move |check| check.status == status);
    let all = of(Status::Failed).chain(of(Status::Note));
    all.flat_map(|check| check.said.iter().cloned())
        .take(SAID_MAX)
        .collect()
}

fn source(bundle: &Evidence) -> Option<Source> {
    let verification = &bundle.verification;
    let totals = verification.totals.as_ref()?;
    let manifest = verification.manifest.as_ref()?;
    Some(Source {
        file: bundle.file.clone(),
        verdict: verification.verdict,
        said: findings(bundle),
        site: totals.site.clone(),
        gateway: totals.gateway.clone(),
        origin: totals.origin.clone(),
        from: totals.from,
        to: totals.to,
        first: totals.first,
        end: totals.end,
        start_size: manifest.start_size,
        size: totals.size,
        root: totals.root.clone(),
        cosigned: verification.cosigned,
        begun: bundle.observed.begun.clone(),
    })
}

/// No time of a gateway is told twice. Two epochs of its ledger may tell of one period, since each tells only of the time
/// in which it was kept: there what they count must not overlap.
fn apart(evidence: &[Evidence]) -> Result<(), ReportError> {
    for (place, one) in evidence.iter().enumerate() {
        for other in evidence.iter().skip(place + 1) {
            if overlap(one, other) == Some(true) {
                let gateway = one.verification.totals.as_ref();
                return Err(ReportError::Overlap {
                    file: one.file.clone(),
                    other: other.file.clone(),
                    gateway: gateway.map_or_else(String::new, |totals| {
                        format!("{}/{}", totals.site, totals.gateway)
                    }),
                });
            }
        }
    }
    Ok(())
}

/// Whether two bundles of one gateway tell one time; none where they are of two.
fn overlap(one: &Evidence, other: &Evidence) -> Option<bool> {
    let totals = one.verification.totals.as_ref()?;
    let others = other.verification.totals.as_ref()?;
    if (&totals.site, &totals.gateway) != (&others.site, &others.gateway) {
        return None;
    }
    let cross = |one: Span, other: Span| one.from < other.to && other.from < one.to;
    if totals.origin == others.origin {
        return Some(cross(period(totals), period(others)));
    }
    let counted = one.observed.counted.zip(other.observed.counted);
    Some(counted.is_some_and(|(one, other)| cross(one, other)))
}

fn period(totals: &Totals) -> Span {
    Span {
        from: totals.from,
        to: totals.to,
    }
}

/// The machines of all gateways. A machine is told for all periods of its gateway, also for those whose bundle does not
/// name it: who takes a machine out of the configuration does not make its time disappear.
fn told<'a>(evidence: &'a [Evidence], brought: &'a Brought) -> Vec<Told<'a>> {
    type Gateway<'a> = (&'a Identifier, &'a Identifier);
    let mut periods: BTreeMap<Gateway<'_>, Vec<Span>> = BTreeMap::new();
    let mut machines: BTreeMap<(Gateway<'_>, &Identifier), Vec<(&Evidence, &MachineTotals)>> =
        BTreeMap::new();
    for bundle in evidence {
        let Some(totals) = &bundle.verification.totals else {
            continue;
        };
        let Totals { site, gateway, .. } = totals;
        let told = periods.entry((site, gateway)).or_default();
        told.push(period(totals));
        for machine in &totals.machines {
            let told = machines.entry(((site, gateway), &machine.machine));
            told.or_default().push((bundle, machine));
        }
    }
    let told = machines.into_iter().map(|((place, machine), parts)| {
        let observed = |bundle: &'a Evidence| -> Option<&'a MachineObserved> {
            bundle.observed.machines.get(machine)
        };
        Told {
            site: place.0,
            gateway: place.1,
            machine,
            // What two epochs tell of one period is of one calendar.
            periods: joined(periods.get(&place).map_or(&[], Vec::as_slice)),
            observed: parts
                .iter()
                .filter_map(|(bundle, _)| observed(bundle))
                .collect(),
            totals: parts.iter().map(|(_, totals)| *totals).collect(),
            asset: brought
                .assets
                .as_ref()
                .and_then(|assets| assets.find(place.0, place.1, machine)),
        }
    });
    told.collect()
}

/// No row of the asset list stands for two machines: its value and number would count twice.
fn unambiguous(told: &[Told<'_>]) -> Result<(), ReportError> {
    let mut lines = BTreeSet::new();
    for row in told.iter().filter_map(|told| told.asset) {
        if !lines.insert(row.line) {
            return Err(ReportError::Ambiguous {
                line: row.line,
                machine: row.machine.to_string(),
            });
        }
    }
    Ok(())
}

/// The lines of a list that fit no machine.
fn unused(kind: ListKind, told: &[Told<'_>], brought: &Brought) -> Vec<u64> {
    let mut lines: Vec<u64> = match kind {
        ListKind::Trust => Vec::new(),
        ListKind::Assets => {
            let used = told.iter().filter_map(|told| told.asset);
            let used: BTreeSet<u64> = used.map(|row: &AssetRow| row.line).collect();
            let rows = brought.assets.iter().flat_map(|assets| assets.rows());
            rows.map(|row| row.line)
                .filter(|line| !used.contains(line))
                .collect()
        }
        ListKind::Bookings => {
            let Some(bookings) = &brought.bookings else {
                return Vec::new();
            };
            let mine = |told: &Told<'_>| {
                let rows = bookings.of(told.site, told.gateway, told.machine);
                rows.map(|row| row.line).collect::<Vec<_>>()
            };
            let used: BTreeSet<u64> = told.iter().flat_map(mine).collect();
            let rows = bookings.rows().iter().map(|row| row.line);
            rows.filter(|line| !used.contains(line)).collect()
        }
    };
    lines.sort_unstable();
    lines.truncate(UNUSED_MAX);
    lines
}

fn group(
    made: &[(MachineReport, Account)],
    rules: &Rules,
    is_in: impl Fn(&MachineReport) -> bool,
) -> GroupReport {
    let mine = || made.iter().filter(|(report, _)| is_in(report));
    let account = Account::of(mine().map(|(_, account)| account));
    let coverage = account.coverage();
    let figures = account.figures(rules);
    let scored = mine().filter(|(report, _)| is_scored(report.coverage, rules));
    GroupReport {
        machines: account.machines,
        scored_machines: scored.map(|_| 1).sum(),
        coverage,
        quota_ms: account.quota.map(|part| part.below),
        mean_effective: account.mean(Formula::MeanEffective, account.effective_ms(rules)),
        mean_external: account.mean(Formula::MeanExternal, account.external_ms(rules)),
        score: Score::of(&figures, coverage, rules),
        figures,
        sums: account.sums,
    }
}

fn sites(made: &[(MachineReport, Account)], rules: &Rules) -> Vec<SiteReport> {
    let names: BTreeSet<&Identifier> = made.iter().map(|(report, _)| &report.site).collect();
    let sites = names.into_iter().map(|site| SiteReport {
        site: site.clone(),
        machines: group(made, rules, |report| report.site == *site),
    });
    sites.collect()
}

fn line_of(report: &MachineReport) -> Option<(&Identifier, &str)> {
    let line = report.asset.as_ref()?.line.as_deref()?;
    Some((&report.site, line))
}

fn lines(made: &[(MachineReport, Account)], rules: &Rules) -> Vec<LineReport> {
    let names: BTreeSet<_> = made
        .iter()
        .filter_map(|(report, _)| line_of(report))
        .collect();
    let lines = names.into_iter().map(|(site, line)| {
        let is_in = |report: &MachineReport| line_of(report) == Some((site, line));
        let members: Vec<&MachineReport> = made
            .iter()
            .map(|(report, _)| report)
            .filter(|report| is_in(report))
            .collect();
        let machines = group(made, rules, is_in);
        let hours = |classes| {
            let ms = union(&members, classes);
            Figure::new(
                Formula::LineHours,
                Some(ms),
                Some(HOUR_MS),
                machines.coverage,
            )
        };
        LineReport {
            site: site.clone(),
            line: line.to_owned(),
            members: members
                .iter()
                .map(|report| format!("{}/{}", report.gateway, report.machine))
                .collect(),
            line_hours: hours(&rules.effective),
            external_line_hours: hours(&rules.external),
            machines,
        }
    });
    lines.collect()
}

/// The time during which a session of these classes with activity ran on at least one machine.
fn union(members: &[&MachineReport], classes: &BTreeSet<crate::Class>) -> u64 {
    let mut spans: Vec<Span> = Vec::new();
    for report in members {
        for session in &report.sessions {
            let session = &session.totals;
            if !classes.contains(&session.class) || session.active_ms == 0 {
                continue;
            }
            let from = session.from.unwrap_or(Time::MIN);
            // No check holds a session's end in wall time against anything; what its usage adds up to is.
            let begin = report
                .spans
                .first()
                .map_or(from, |span| span.from.max(from));
            let lengths = session.ms.values().copied().fold(0, u64::saturating_add);
            let longest = begin.plus_millis(i64::try_from(lengths).unwrap_or(i64::MAX));
            let to = session.to.unwrap_or(Time::MAX).min(longest);
            let parts = report.spans.iter().map(|span| Span {
                from: span.from.max(from),
                to: span.to.min(to),
            });
            spans.extend(parts.filter(|span| span.from < span.to));
        }
    }
    spans.sort_unstable();
    let lengths = joined(&spans)
        .into_iter()
        .map(|span| shanghai::millis(span.from, span.to));
    lengths.fold(0, u64::saturating_add)
}
