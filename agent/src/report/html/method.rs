//! How the figures are made, what the grades mean, and how anybody checks all of it.

use lineside_proto::evidence::Grade;
use lineside_proto::report::{ListKind, Report, Unit};
use maud::{Markup, html};

use super::super::figure;
use super::symbols;
use crate::text::Language;

/// The rules, the formulae with their sources, the grades and the commands.
pub(super) fn method(report: &Report, language: Language) -> Markup {
    html! {
        section.fresh {
            h2 { (language.pick("How it is counted", "计算方法")) }
            (rules(report, language))
            (formulas(report, language))
            (grades(language))
            h2 { (language.pick("How to check it", "如何核验")) }
            p {
                (language.pick(
                    "Every number follows from the bundles by these commands, without a network and without trust in the platform, the gateway or this page. Each bundle also holds HOW-TO-VERIFY.txt, with the commands of two verifiers that are not ours.",
                    "所有数字都可由存证包用以下命令重新得出，无需联网，也无需信任平台、网关或本页。每个存证包内的 HOW-TO-VERIFY.zh-CN.txt 另有两种第三方核验程序的命令。",
                ))
            }
            pre { (commands(report)) }
            p.soft {
                (language.pick(
                    "A receipt for one session: lineside usage receipt SESSION BUNDLE. Where the hours of a machine went: lineside usage explain MACHINE BUNDLE.",
                    "单次上机凭证：lineside usage receipt SESSION BUNDLE。设备机时去向：lineside usage explain MACHINE BUNDLE。",
                ))
            }
        }
    }
}

fn rules(report: &Report, language: Language) -> Markup {
    let rules = &report.rules;
    let comma = language.pick(", ", "、");
    let names = |classes: &std::collections::BTreeSet<_>| {
        let names = classes.iter().map(|class| figure::class(*class, language));
        names.collect::<Vec<_>>().join(comma)
    };
    let quotas = rules
        .quotas
        .iter()
        .map(|(category, hours)| format!("{category} {hours} h"));
    html! {
        table.facts.keep {
            tbody {
                tr { th { (language.pick("Effective classes", "计入有效机时的类别")) } td { (names(&rules.effective)) } }
                tr { th { (language.pick("External classes", "对外类别")) } td { (names(&rules.external)) } }
                tr { th { (language.pick("Quotas a year", "年定额机时")) } td { (quotas.collect::<Vec<_>>().join(comma)) } }
                tr {
                    th { (language.pick("Least coverage", "最低覆盖率")) }
                    td {
                        (figure::per_mille(u64::from(rules.minimum_coverage_pm)))
                        (language.pick("; below it figures are shown and not scored", "；低于此值只列出，不评分"))
                    }
                }
            }
        }
    }
}

fn formulas(report: &Report, language: Language) -> Markup {
    html! {
        table {
            caption { (language.pick("Formulae and where they come from", "公式及来源")) }
            thead {
                tr {
                    th { (language.pick("Figure", "指标")) }
                    th { (language.pick("Formula", "公式")) }
                    th { (language.pick("Source", "来源")) }
                }
            }
            tbody {
                @for formula in &report.formulas {
                    tr {
                        td { (symbols(formula.name.say(language))) " [" (unit(formula.unit)) "]" }
                        td { (symbols(formula.text.say(language))) }
                        td { (formula.source.say(language)) }
                    }
                }
                tr {
                    td { (language.pick("coverage", "覆盖率")) " [%]" }
                    td { (language.pick("1 − UNKNOWN / the time reported; what nobody watched is UNKNOWN", "1 − 状态不明时长 ÷ 报告时长；无人监测的时间为状态不明")) }
                    td { (language.pick("this program; the gate for every other figure", "本程序自定；其他指标的前提")) }
                }
            }
        }
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Hours => "h",
        Unit::Percent => "%",
        Unit::WattHoursPerHour => "Wh/h",
    }
}

fn grades(language: Language) -> Markup {
    html! {
        table.keep {
            caption { (language.pick("Grades of evidence", "证据等级")) }
            tbody {
                @for grade in Grade::ALL {
                    tr { th { (grade) } td { (figure::grade(grade, language)) } }
                }
            }
        }
    }
}

/// The commands that give this report again.
fn commands(report: &Report) -> String {
    let list = |kind| {
        report
            .lists
            .iter()
            .find(|list| list.kind == kind)
            .map(|list| quoted(&list.file))
    };
    let trust = list(ListKind::Trust).unwrap_or_else(|| "trust.toml".to_owned());
    let mut lines = String::new();
    let bundles: Vec<String> = report
        .sources
        .iter()
        .map(|source| quoted(&source.file))
        .collect();
    for bundle in &bundles {
        lines += &format!("lineside-verify --trust {trust} {bundle}\n");
    }
    lines += &format!("lineside usage report --trust {trust}");
    let rules = report.rules.file.as_deref().map(quoted);
    let more = [
        ("rules", rules),
        ("assets", list(ListKind::Assets)),
        ("bookings", list(ListKind::Bookings)),
    ];
    for (option, file) in more {
        lines += &file
            .map(|file| format!(" --{option} {file}"))
            .unwrap_or_default();
    }
    lines + " " + &bundles.join(" ") + "\n"
}

/// A file's name as a shell takes it: in quotes where it has anything but plain letters.
fn quoted(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._/-".contains(letter);
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let safe: String = name
        .chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect();
    let safe = safe.replace('\'', "'\\''");
    if safe.starts_with('-') {
        format!("'./{safe}'")
    } else {
        format!("'{safe}'")
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_takes_any_name_as_one_word() {
        for (name, expected) in [
            ("a/b-1.zip", "a/b-1.zip"),
            ("包 1.zip", "'包 1.zip'"),
            ("x'; rm -rf /", "'x'\\''; rm -rf /'"),
            ("-o", "'./-o'"),
            ("a\nb", "'a?b'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
