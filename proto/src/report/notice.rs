//! What somebody should look at: found by thresholds of the rule file. None of it changes a figure.

mod gateway;
mod machine;
mod organisation;
mod usage;

use crate::text::Text;
use std::collections::BTreeMap;

use super::account::Account;
use super::anomaly::ANOMALIES_EACH_MAX;
use super::machine::Told;
use super::{Anomaly, AnomalyKind, Brought, Evidence, MachineReport, Source};
use crate::Identifier;

/// What anomalies are looked for in.
pub(super) struct Case<'a> {
    pub(super) evidence: &'a [Evidence],
    pub(super) sources: &'a [Source],
    pub(super) told: &'a [Told<'a>],
    pub(super) machines: &'a [(MachineReport, Account)],
    pub(super) brought: &'a Brought,
}

/// All anomalies, the gravest kind first; of one kind and machine the first, and the number of the others.
pub(super) fn all(case: &Case<'_>) -> Vec<Anomaly> {
    let mut found = gateway::all(case);
    for (told, (report, _)) in case.told.iter().zip(case.machines) {
        found.extend(usage::all(told, report, case));
        found.extend(machine::all(told, report, case));
    }
    found.extend(organisation::all(case));
    found.sort_by(|one, other| order(one).cmp(&order(other)));
    bounded(found)
}

type Order<'a> = (
    AnomalyKind,
    &'a Identifier,
    Option<&'a Identifier>,
    Option<&'a Identifier>,
    Option<crate::Time>,
);

fn order(anomaly: &Anomaly) -> Order<'_> {
    let Anomaly {
        kind,
        site,
        gateway,
        machine,
        from,
        ..
    } = anomaly;
    (*kind, site, gateway.as_ref(), machine.as_ref(), *from)
}

fn bounded(found: Vec<Anomaly>) -> Vec<Anomaly> {
    let mut counts: BTreeMap<
        (
            AnomalyKind,
            Identifier,
            Option<Identifier>,
            Option<Identifier>,
        ),
        usize,
    > = BTreeMap::new();
    let mut kept = Vec::new();
    for anomaly in found {
        let key = (
            anomaly.kind,
            anomaly.site.clone(),
            anomaly.gateway.clone(),
            anomaly.machine.clone(),
        );
        let count = counts.entry(key).or_default();
        *count += 1;
        if *count <= ANOMALIES_EACH_MAX {
            kept.push(anomaly);
        }
    }
    for ((kind, site, gateway, machine), count) in counts {
        let Some(over) = count
            .checked_sub(ANOMALIES_EACH_MAX)
            .filter(|over| *over > 0)
        else {
            continue;
        };
        let name = kind.name();
        let text = Text::new(
            format!("{over} more of: {}", name.en),
            format!("另有 {over} 条：{}", name.zh),
        );
        kept.push(Anomaly {
            gateway,
            machine,
            ..bare(AnomalyKind::More, &site, text)
                .with("count", i64::try_from(over).unwrap_or(i64::MAX))
        });
    }
    kept
}

/// An anomaly with nothing but its kind, its site and its words.
fn bare(kind: AnomalyKind, site: &Identifier, text: Text) -> Anomaly {
    Anomaly {
        kind,
        site: site.clone(),
        gateway: None,
        machine: None,
        from: None,
        to: None,
        numbers: BTreeMap::new(),
        leaves: Vec::new(),
        sessions: Vec::new(),
        text,
        diff: Vec::new(),
    }
}

impl Anomaly {
    fn with(mut self, name: &str, value: i64) -> Self {
        self.numbers.insert(name.to_owned(), value);
        self
    }

    fn at(self, told: &Told<'_>) -> Self {
        Self {
            gateway: Some(told.gateway.clone()),
            machine: Some(told.machine.clone()),
            ..self
        }
    }
}

/// A number of the kind that anomalies carry.
fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Milliseconds as hours with two decimals.
fn hours(ms: u64) -> String {
    let hundredths = ms / (super::HOUR_MS / 100);
    format!("{}.{:02} h", hundredths / 100, hundredths % 100)
}

/// One number in percent of another, rounded down; nothing is no percent of nothing.
fn percent(of: u64, all: u64) -> u64 {
    let share = (u128::from(of) * 100)
        .checked_div(u128::from(all))
        .unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}
