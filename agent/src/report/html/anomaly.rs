//! What somebody should look at, before all figures of machines.

use lineside_proto::report::{Anomaly, AnomalyKind, Report};
use maud::{Markup, html};

use super::super::figure;
use crate::text::Language;

/// Leaves and sessions that are printed of an anomaly; the JSON has all.
const SHOWN: usize = 6;

/// The anomalies, the gravest first; that there are none, where there are none.
pub(super) fn list(report: &Report, language: Language) -> Markup {
    let count = report.anomalies.len();
    html! {
        h2 { (language.pick("Look at these first", "首先请看：异常")) " (" (count) ")" }
        @if count == 0 {
            ul.words { li.good { (language.pick("Nothing that looks unusual was found.", "未发现异常。")) } }
        } @else {
            p.soft {
                (language.pick(
                    "No judgement: what a person should look at and ask about.",
                    "以下不是结论，而是需要人工查看和询问的事项。",
                ))
            }
            ul.words { @for anomaly in &report.anomalies { (one(anomaly, report, language)) } }
        }
    }
}

fn one(anomaly: &Anomaly, report: &Report, language: Language) -> Markup {
    html! {
        li.(weight(anomaly.kind)) {
            b { (anomaly.kind.name().say(language)) }
            " " (place(anomaly, report))
            @if let Some(span) = span(anomaly) { " · " (span) }
            div { (anomaly.text.say(language)) }
            @if !anomaly.leaves.is_empty() {
                div.soft { (language.pick("leaves ", "记录 ")) (some(&anomaly.leaves)) }
            }
            @if !anomaly.sessions.is_empty() {
                div.soft { (language.pick("sessions ", "上机记录 ")) (some(&anomaly.sessions)) }
            }
        }
    }
}

/// What casts doubt on all is marked otherwise than what may have a good reason.
fn weight(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::Unverified
        | AnomalyKind::MissingPeriod
        | AnomalyKind::AffiliateExternal
        | AnomalyKind::SameOrganisation
        | AnomalyKind::Energy
        | AnomalyKind::HourCounter
        | AnomalyKind::NonStop => "bad",
        AnomalyKind::OutsideBookings
        | AnomalyKind::ShortSessions
        | AnomalyKind::Clock
        | AnomalyKind::HoleInBooking
        | AnomalyKind::MapChange
        | AnomalyKind::Correction
        | AnomalyKind::BeforeStart
        | AnomalyKind::More => "note",
    }
}

/// Where it is, as a link to the machine where there is one.
fn place(anomaly: &Anomaly, report: &Report) -> Markup {
    let gateway = anomaly.gateway.as_ref();
    let machine = anomaly.machine.as_ref();
    let place = report.machines.iter().position(|each| {
        each.site == anomaly.site
            && gateway.is_none_or(|gateway| *gateway == each.gateway)
            && machine == Some(&each.machine)
    });
    html! {
        @match (machine, place) {
            (Some(machine), Some(place)) => { a href={"#" (super::anchor(place))} { (machine) } }
            (Some(machine), None) => { (machine) }
            (None, _) => { (anomaly.site) @if let Some(gateway) = gateway { " / " (gateway) } }
        }
    }
}

fn span(anomaly: &Anomaly) -> Option<String> {
    let from = anomaly.from.map(figure::minute);
    let to = anomaly.to.map(figure::minute);
    match (from, to) {
        (Some(from), Some(to)) if from != to => Some(format!("{from} – {to}")),
        (Some(at), _) | (None, Some(at)) => Some(at),
        (None, None) => None,
    }
}

fn some<T: ToString>(all: &[T]) -> String {
    let shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if all.len() > SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}
