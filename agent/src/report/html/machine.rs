//! A machine: its figures, its time, its bookings, its energy, its maps.

use lineside_proto::Outcome;
use lineside_proto::evidence::Grade;
use lineside_proto::report::{
    Anomaly, AnomalyKind, Asset, Figures, MachineReport, Quota, Report, SessionReport, Sums,
};
use maud::{Markup, html};

use super::super::figure;
use super::front::{points, short};
use super::group::{thin, title};
use super::{cell, symbols, time};
use crate::text::Language;

/// Sessions of grade C or D that are printed; the JSON and the CSV have all.
const SESSIONS_SHOWN: usize = 40;

/// Everything of a machine, from a new page on.
pub(super) fn machine(
    place: usize,
    machine: &MachineReport,
    report: &Report,
    language: Language,
) -> Markup {
    html! {
        section.fresh id=(super::anchor(place)) {
            h2 { (title(machine)) }
            p.lead {
                (machine.site) " / " (machine.gateway) " · "
                b { (figure::coverage(machine.coverage, language)) } " "
                @if !machine.is_scored { (thin(language)) }
            }
            @if let Some(asset) = &machine.asset { (asset_facts(asset, language)) }
            (figures(&machine.figures, machine.quota.as_ref(), language))
            @if let Some(score) = &machine.score { (points(score, language)) }
            (time::timeline(machine, language))
            (time::states(machine, language))
            (time::classes(&machine.sums, language))
            (bookings(&machine.sums, language))
            (energy(machine, language))
            (time::explanation(&machine.explanation, language))
            (maps(machine, report, language))
            (doubtful(&machine.sessions, language))
        }
    }
}

fn asset_facts(asset: &Asset, language: Language) -> Markup {
    let yuan = |fen| format!("¥ {}", figure::decimal(fen));
    let facts = [
        (language.pick("number", "设备编号"), asset.number.clone()),
        (language.pick("unit", "单位"), asset.unit.clone()),
        (
            language.pick("credit code", "统一社会信用代码"),
            asset.credit_code.clone(),
        ),
        (
            language.pick("original value", "原值"),
            asset.original_value_fen.map(yuan),
        ),
        (language.pick("category", "类别"), asset.category.clone()),
        (
            language.pick("in service since", "启用日期"),
            asset.start_date.clone(),
        ),
        (language.pick("line", "中试线"), asset.line.clone()),
        (
            language.pick("tags", "标签"),
            (!asset.tags.is_empty()).then(|| asset.tags.join(", ")),
        ),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)));
    html! {
        p.soft {
            @for (place, (name, value)) in facts.enumerate() {
                @if place > 0 { " · " }
                (name) " " b { (value) }
            }
        }
    }
}

/// The figures, each with its coverage and what it was made of.
fn figures(figures: &Figures, quota: Option<&Quota>, language: Language) -> Markup {
    let rows = [
        &figures.effective,
        &figures.external,
        &figures.utilisation,
        &figures.sharing,
        &figures.fulfilment,
        &figures.verified,
    ];
    html! {
        table.keep {
            thead {
                tr {
                    th { (language.pick("Figure", "指标")) }
                    th.n { (language.pick("Value", "数值")) }
                    th.n { (language.pick("Coverage", "覆盖率")) }
                    th { (language.pick("Made of", "构成")) }
                }
            }
            tbody {
                @for figure in rows {
                    tr {
                        td { (symbols(figure.basis().formula.said().name.say(language))) }
                        td.n { b { (figure::value(figure)) } }
                        td.n { (figure::per_mille(u64::from(figure.coverage().thousandths()))) }
                        td { (figure::basis(figure).unwrap_or_default()) }
                    }
                }
            }
        }
        p.soft {
            @match quota {
                Some(quota) => {
                    (language.pick("Quota ", "定额 ")) (quota.hours_a_year) (language.pick(" h a year", " 小时/年"))
                    @if let Some(category) = &quota.category { " (" (category) ")" }
                    (language.pick(", of which in this time ", "，本期折算 ")) (figure::hours(quota.ms)) " h"
                }
                None => (language.pick("The rules give it no quota.", "规则未设定额。")),
            }
        }
    }
}

/// What became of its bookings.
fn bookings(sums: &Sums, language: Language) -> Markup {
    const ORDER: [Outcome; 7] = [
        Outcome::Fulfilled,
        Outcome::Overrun,
        Outcome::EarlyLeave,
        Outcome::NoShow,
        Outcome::Indeterminate,
        Outcome::PlatformFault,
        Outcome::Cancelled,
    ];
    let of = |outcome| sums.bookings.get(&outcome).copied().unwrap_or(0);
    let all = sums.bookings.values().copied().fold(0, u64::saturating_add);
    html! {
        h3 { (language.pick("Bookings", "预约")) " (" (figure::grouped(all)) ")" }
        @if all > 0 {
            table.keep {
                thead { tr { @for outcome in ORDER { th.n { (figure::outcome(outcome, language)) } } } }
                tbody { tr { @for outcome in ORDER { td.n { (figure::grouped(of(outcome))) } } } }
            }
        }
        p.soft {
            (figure::grouped(sums.sessions)) (language.pick(" sessions; organisations of external sessions: ", " 次上机；对外服务单位数："))
            (figure::grouped(sums.organisations))
        }
    }
}

/// Energy, where there is a meter, and the machine's own hour counter.
fn energy(machine: &MachineReport, language: Language) -> Markup {
    let (sums, figures) = (&machine.sums, &machine.figures);
    let used = |mwh: Option<u64>| {
        mwh.map_or_else(
            || "—".to_owned(),
            |mwh| format!("{} kWh", figure::kilowatt_hours(mwh)),
        )
    };
    let is_metered = sums.energy_session_mwh.is_some() || sums.energy_idle_mwh.is_some();
    html! {
        h3 { (language.pick("Energy and hour counter", "能耗与计时器")) }
        @if is_metered || figures.hour_counter.hundredths().is_some() {
            table.keep {
                thead {
                    tr {
                        th.n { (language.pick("In sessions", "上机期间")) }
                        th.n { (language.pick("Outside sessions", "上机以外")) }
                        th.n { (language.pick("For each hour", "单位机时能耗")) }
                        th.n { (language.pick("Idle share", "闲置能耗占比")) }
                        th.n { (language.pick("Hour counter of RUN", "计时器 ÷ 运行")) }
                    }
                }
                tbody {
                    tr {
                        td.n { (used(sums.energy_session_mwh)) }
                        td.n { (used(sums.energy_idle_mwh)) }
                        (cell(&figures.energy_per_hour, language))
                        (cell(&figures.idle_energy, language))
                        (cell(&figures.hour_counter, language))
                    }
                }
            }
        } @else {
            p.soft { (language.pick("No meter and no hour counter was read.", "没有读取电表或计时器。")) }
        }
    }
}

/// Its maps, and how they differ.
fn maps(machine: &MachineReport, report: &Report, language: Language) -> Markup {
    let of_this = |anomaly: &&Anomaly| {
        anomaly.kind == AnomalyKind::MapChange
            && anomaly.site == machine.site
            && anomaly.gateway.as_ref() == Some(&machine.gateway)
            && anomaly.machine.as_ref() == Some(&machine.machine)
    };
    html! {
        h3 { (language.pick("Machine map", "设备点表")) }
        p.soft {
            @for (place, map) in machine.maps.iter().enumerate() {
                @if place > 0 { " → " }
                code { (short(map)) "…" }
            }
            @if machine.maps.is_empty() { "—" }
        }
        @for change in report.anomalies.iter().filter(of_this) {
            p { (change.text.say(language)) }
            @if !change.diff.is_empty() {
                pre { @for line in &change.diff { (line) "\n" } }
            }
        }
    }
}

/// The sessions whose evidence is weak, with the reason.
fn doubtful(sessions: &[SessionReport], language: Language) -> Markup {
    let weak: Vec<_> = sessions
        .iter()
        .filter(|session| session.totals.grade >= Grade::C)
        .collect();
    html! {
        @if !weak.is_empty() {
            h3 { (language.pick("Sessions below grade B", "低于 B 级的上机记录")) " (" (weak.len()) ")" }
            table {
                thead {
                    tr {
                        th { (language.pick("Session", "上机记录")) }
                        th { (language.pick("Time", "时间")) }
                        th { (language.pick("Class", "类别")) }
                        th.n { (language.pick("Hours", "机时")) }
                        th { (language.pick("Grade and why", "等级与原因")) }
                    }
                }
                tbody { @for session in weak.iter().take(SESSIONS_SHOWN) { (one(session, language)) } }
            }
            @if weak.len() > SESSIONS_SHOWN {
                p.soft { "+ " (weak.len() - SESSIONS_SHOWN) (language.pick(" more in the JSON and CSV forms", " 条见 JSON 和 CSV 输出")) }
            }
        }
    }
}

fn one(session: &SessionReport, language: Language) -> Markup {
    let totals = &session.totals;
    let why: Vec<_> = totals
        .why
        .iter()
        .map(|why| figure::why(*why, language))
        .collect();
    html! {
        tr {
            td { code { (totals.session) } }
            td {
                (totals.from.map(figure::minute).unwrap_or_default()) " – "
                (totals.to.map(figure::minute).unwrap_or_default())
            }
            td {
                (figure::class(totals.class, language))
                @if let Some(recorded) = session.recorded_class {
                    div.soft { (language.pick("in the ledger ", "台账记为 ")) (recorded) }
                }
            }
            td.n { (figure::hours(totals.active_ms)) " h" }
            td { b { (totals.grade) } " " (why.join(language.pick("; ", "；"))) }
        }
    }
}
