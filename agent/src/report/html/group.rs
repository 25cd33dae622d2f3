//! Machines together: all, by site, by line. Machine-hours and line-hours stand in tables of their own.

use lineside_proto::report::{Figures, GroupReport, LineReport, MachineReport, Report};
use maud::{Markup, html};

use super::super::figure;
use super::{cell, symbols};
use crate::text::Language;

/// Every machine in a row, the sites, and all of them.
pub(super) fn overview(report: &Report, language: Language) -> Markup {
    html! {
        h2 { (language.pick("Machine-hours", "机时")) }
        table {
            (heads(language.pick("Machine", "设备"), language))
            tbody {
                @for (place, machine) in report.machines.iter().enumerate() {
                    tr {
                        td {
                            a href={"#" (super::anchor(place))} { (title(machine)) }
                            div.soft { (machine.site) " / " (machine.gateway) }
                            @if !machine.is_scored { (thin(language)) }
                        }
                        (figures(&machine.figures, language))
                    }
                }
            }
            tbody {
                @if report.sites.len() > 1 {
                    @for site in &report.sites { (group(site.site.as_str(), &site.machines, language)) }
                }
                (group(language.pick("All machines", "全部设备"), &report.whole, language))
            }
        }
        p {
            (language.pick("On average a machine: effective ", "台均有效机时 "))
            (figure::value(&report.whole.mean_effective))
            (language.pick(", external ", "，台均对外机时 "))
            (figure::value(&report.whole.mean_external))
            " (" (figure::coverage(report.whole.mean_effective.coverage(), language)) ")"
        }
    }
}

/// The lines, in hours of the line; never added to machine-hours.
pub(super) fn lines(report: &Report, language: Language) -> Markup {
    html! {
        @if !report.lines.is_empty() {
            h2 { (language.pick("Line-hours", "线时")) }
            p.soft {
                (language.pick(
                    "A line-hour is an hour during which at least one machine of the line was in a counting session. Line-hours and machine-hours are different things and are never added.",
                    "线时：该线至少一台设备处于计入的上机记录内的时长。线时与机时是两种量，不得相加。",
                ))
            }
            table {
                thead {
                    tr {
                        th { (language.pick("Line", "中试线")) }
                        th { (language.pick("Machines", "设备")) }
                        th.n { (language.pick("Line-hours", "线时")) }
                        th.n { (language.pick("External line-hours", "对外线时")) }
                    }
                }
                tbody { @for line in &report.lines { (one_line(line, language)) } }
            }
        }
    }
}

fn one_line(line: &LineReport, language: Language) -> Markup {
    html! {
        tr {
            td { b { (line.line) } div.soft { (line.site) } }
            td { (line.members.join(", ")) }
            (cell(&line.line_hours, language))
            (cell(&line.external_line_hours, language))
        }
    }
}

fn heads(first: &str, language: Language) -> Markup {
    html! {
        thead {
            tr {
                th { (first) }
                th.n { (language.pick("Coverage", "覆盖率")) }
                th.n { (symbols(language.pick("Effective H_e", "有效机时"))) }
                th.n { (symbols(language.pick("External H_x", "对外机时"))) }
                th.n { (language.pick("Utilisation", "利用率")) }
                th.n { (language.pick("Sharing", "共享率")) }
                th.n { (language.pick("Verified", "核验占比")) }
                th.n { (language.pick("Fulfilment", "履约率")) }
            }
        }
    }
}

/// The figures of a row; the coverage that stands first is that of each which has none of its own.
fn figures(figures: &Figures, language: Language) -> Markup {
    let columns = [
        &figures.effective,
        &figures.external,
        &figures.utilisation,
        &figures.sharing,
        &figures.verified,
        &figures.fulfilment,
    ];
    let coverage = figures.effective.coverage();
    html! {
        td.n { b { (figure::per_mille(u64::from(coverage.thousandths()))) } }
        @for figure in columns {
            @if figure.coverage() == coverage {
                td.n { (figure::value(figure)) }
            } @else {
                (cell(figure, language))
            }
        }
    }
}

fn group(name: &str, group: &GroupReport, language: Language) -> Markup {
    html! {
        tr.sum {
            td { (name) div.soft { (group.machines) (language.pick(" machines", " 台")) } }
            (figures(&group.figures, language))
        }
    }
}

/// The mark of a machine of which too little was watched.
pub(super) fn thin(language: Language) -> Markup {
    html! { span.tag.note { (language.pick("watched too little", "覆盖率不足")) } }
}

/// What people call a machine.
pub(super) fn title(machine: &MachineReport) -> String {
    let asset = machine.asset.as_ref();
    match asset.and_then(|asset| asset.name.as_deref()) {
        Some(name) => format!("{name} ({})", machine.machine),
        None => machine.machine.to_string(),
    }
}
