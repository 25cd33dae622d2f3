//! Page one: what the report rests on, and its three headline figures.

use lineside_proto::evidence::Verdict;
use lineside_proto::report::{Figure, ListKind, ListUsed, Report, Score, Source, Withheld};
use maud::{Markup, html};
use std::collections::BTreeSet;

use super::super::figure;
use super::symbols;
use crate::text::Language;

/// Hexadecimal digits of a hash that a table shows; the whole one stands where it is introduced.
const SHORT: usize = 16;

/// What it is, what it rests on, and the headline.
pub(super) fn front(report: &Report, language: Language) -> Markup {
    let sites: BTreeSet<&str> = report
        .sources
        .iter()
        .map(|source| source.site.as_str())
        .collect();
    let sites = Vec::from_iter(sites).join(", ");
    html! {
        h1 { (language.pick("Machine-hours and what proves them", "机时与存证报告")) }
        p.lead { (sites) " · " (period(report)) " · " (language.pick("Asia/Shanghai", "北京时间")) }
        (headline(report, language))
        @if let Some(score) = &report.whole.score {
            (points(score, language))
        }
        (facts(report, language))
        (sources(&report.sources, language))
    }
}

fn period(report: &Report) -> String {
    format!(
        "{} – {}",
        figure::minute(report.from),
        figure::minute(report.to)
    )
}

/// The three figures that everybody asks for, each with its coverage.
fn headline(report: &Report, language: Language) -> Markup {
    let figures = &report.whole.figures;
    html! {
        div.heads {
            @for figure in [&figures.utilisation, &figures.sharing, &figures.verified] {
                (head(figure, language))
            }
        }
    }
}

fn head(figure: &Figure, language: Language) -> Markup {
    let said = figure.basis().formula.said();
    html! {
        div.head {
            div.name { (symbols(said.name.say(language))) }
            div.value { (figure::value(figure)) }
            div.beside { (figure::coverage(figure.coverage(), language)) }
            @if let Some(basis) = figure::basis(figure) {
                div.how { (basis) }
            }
        }
    }
}

/// Points, where the rules give any: with the coverage that they rest on, or why there are none.
pub(super) fn points(score: &Score, language: Language) -> Markup {
    let all = figure::decimal(score.most_hundredths);
    html! {
        p {
            b { (language.pick("Points by the rules: ", "按规则得分：")) }
            @match (score.hundredths, score.withheld) {
                (Some(points), None) => { (figure::decimal(points)) " / " (all) }
                (_, Some(Withheld::Coverage)) => {
                    (language.pick("withheld, since too little was watched", "不予评分：覆盖率不足"))
                }
                (_, _) => {
                    (language.pick("withheld, since a figure has no value", "不予评分：有指标无数值"))
                }
            }
            " (" (figure::coverage(score.coverage, language)) ")"
        }
        table {
            thead {
                tr {
                    th { (language.pick("Part", "分项")) }
                    th.n { (language.pick("Figure", "指标值")) }
                    th.n { (language.pick("Target gives", "目标值对应")) }
                    th.n { (language.pick("Cap", "上限")) }
                    th.n { (language.pick("Points", "得分")) }
                }
            }
            tbody {
                @for part in &score.parts {
                    tr {
                        td { (part.name.say(language)) }
                        (super::cell(&part.figure, language))
                        td.n { (figure::decimal(part.target_hundredths)) " → " (figure::decimal(part.points_hundredths)) }
                        td.n { (figure::decimal(part.cap_hundredths)) }
                        td.n { (part.hundredths.map_or_else(|| "—".to_owned(), figure::decimal)) }
                    }
                }
            }
        }
    }
}

fn facts(report: &Report, language: Language) -> Markup {
    let rules = &report.rules;
    let gateways: BTreeSet<_> = report
        .sources
        .iter()
        .map(|source| (&source.site, &source.gateway))
        .collect();
    html! {
        table.facts {
            tbody {
                tr {
                    th { (language.pick("Covers", "范围")) }
                    td {
                        (covers(report, gateways.len(), language))
                    }
                }
                tr {
                    th { (language.pick("Rules", "规则")) }
                    td {
                        (rules.title.say(language)) " · " (rules.name) " " (rules.version) " · "
                        @match &rules.file {
                            Some(file) => (file),
                            None => (language.pick("built in", "内置")),
                        }
                        div.soft { "SHA-256 " code { (rules.sha256) } }
                    }
                }
                @for list in &report.lists {
                    tr {
                        th { (list_name(list.kind, language)) }
                        td { (list.file) (unused(list, language)) div.soft { "SHA-256 " code { (list.sha256) } } }
                    }
                }
                tr {
                    th { (language.pick("Made", "生成")) }
                    td { (figure::time(report.made)) " · " (report.by) }
                }
            }
        }
    }
}

/// How much it covers, in numbers.
fn covers(report: &Report, gateways: usize, language: Language) -> String {
    let (sites, whole) = (report.sites.len(), &report.whole);
    let (machines, scored) = (whole.machines, whole.scored_machines);
    match language {
        Language::En => format!(
            "sites: {sites}, gateways: {gateways}, machines: {machines} ({scored} watched enough to be scored)"
        ),
        Language::ZhCn => format!(
            "平台 {sites} 个，网关 {gateways} 个，设备 {machines} 台（其中 {scored} 台覆盖率达标）"
        ),
    }
}

/// How long a list is, and which lines of it were of no use. A trust file is no list.
fn unused(list: &ListUsed, language: Language) -> String {
    if list.kind == ListKind::Trust {
        return String::new();
    }
    let lines: Vec<String> = list
        .unused_lines
        .iter()
        .take(10)
        .map(u64::to_string)
        .collect();
    let more = if list.unused_lines.len() > lines.len() {
        ", …"
    } else {
        ""
    };
    let (lines, rows) = (lines.join(", "), list.rows);
    match (language, lines.is_empty()) {
        (Language::En, true) => format!(" · rows: {rows}"),
        (Language::ZhCn, true) => format!(" · {rows} 行"),
        (Language::En, false) => {
            format!(" · rows: {rows}; lines that fit no machine: {lines}{more}")
        }
        (Language::ZhCn, false) => format!(" · {rows} 行；未对应任何设备的行：{lines}{more}"),
    }
}

fn list_name(kind: ListKind, language: Language) -> &'static str {
    match kind {
        ListKind::Trust => language.pick("Trusted keys", "受信密钥"),
        ListKind::Assets => language.pick("Asset list", "资产清单"),
        ListKind::Bookings => language.pick("Bookings (unsigned)", "预约清单（未签名）"),
    }
}

/// Every bundle with its verdict, its tree and its witness.
fn sources(sources: &[Source], language: Language) -> Markup {
    html! {
        table {
            caption { (language.pick("What it rests on: the evidence bundles", "依据：存证包")) }
            thead {
                tr {
                    th { (language.pick("Gateway, period", "网关、时段")) }
                    th { (language.pick("Verdict", "核验结论")) }
                    th { (language.pick("Leaves; tree; root", "记录；树；根哈希")) }
                    th { (language.pick("Witnessed", "见证时间")) }
                }
            }
            tbody { @for each in sources { (source(each, language)) } }
        }
    }
}

fn source(source: &Source, language: Language) -> Markup {
    let tag = match source.verdict {
        Verdict::Verified => "good",
        Verdict::SelfConsistent => "note",
        Verdict::Failed => "bad",
    };
    html! {
        tr {
            td {
                b { (source.site) " / " (source.gateway) }
                div { (figure::minute(source.from)) " – " (figure::minute(source.to)) }
                div.soft { (source.file) }
            }
            td {
                span.tag.(tag) { (figure::verdict(source.verdict, language)) }
                @for finding in source.said.iter().take(3) { div.soft { (finding) } }
                @if source.said.len() > 3 {
                    div.soft { "+ " (source.said.len() - 3) }
                }
            }
            td {
                div { (source.first) " … " (source.end) "; " (source.start_size) " → " (source.size) }
                div.soft { code { (source.root) } }
                div.soft { (source.origin) }
                @if let Some(begun) = &source.begun { div { (begun.said().say(language)) ": " (begun.reason) } }
            }
            td {
                @match source.cosigned {
                    Some(at) => (figure::time(at)),
                    None => (language.pick("by nobody", "无见证")),
                }
            }
        }
    }
}

/// The beginning of a hash, enough to tell maps apart.
pub(super) fn short(hash: &str) -> &str {
    let digits = hash.strip_prefix("sha256:").unwrap_or(hash);
    digits.get(..SHORT).unwrap_or(digits)
}
