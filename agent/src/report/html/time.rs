//! Where a machine's time went: its calendar, its states, whose hours they were, and what did not count.

use lineside_proto::evidence::Grade;
use lineside_proto::report::{Explanation, LossReason, MachineReport, Step, Sums};
use lineside_proto::{Class, State};
use maud::{Markup, html};
use std::collections::BTreeMap;

use super::super::chart::{Part, bar, calendar};
use super::super::{figure, paint};
use super::symbols;
use crate::text::Language;

/// The calendar of each reported time, with what the looks mean.
pub(super) fn timeline(machine: &MachineReport, language: Language) -> Markup {
    html! {
        h3 { (language.pick("Timeline", "时间线")) }
        @for span in &machine.spans { (calendar(&machine.days, span.from, span.to, language)) }
        (paint::legend(language))
        p.soft {
            (language.pick(
                "A field is a day in Asia/Shanghai, filled from below as its hours went; a line below it marks weekends. What nobody watched is UNKNOWN.",
                "每格为一天（北京时间），自下而上按时长填充；下方横线表示周末。无人监测的时间为状态不明。",
            ))
        }
    }
}

/// A machine's states as a bar and a table; the hours of no state are those of UNKNOWN.
pub(super) fn states(machine: &MachineReport, language: Language) -> Markup {
    let period_ms = machine.coverage.period_ms();
    let shares = shares(&machine.sums.ms, period_ms);
    let parts = shares.map(|(state, amount)| Part {
        fill: paint::fill(state),
        word: figure::state(state, language).to_owned(),
        amount,
    });
    let label = language.pick("Shares of the states", "状态占比");
    html! {
        h3 { (label) }
        (bar(&parts, period_ms, label))
        table.keep {
            thead {
                tr {
                    @for (state, _) in &shares { th.n { (paint::swatch(&paint::fill(*state))) " " (figure::state(*state, language)) } }
                }
            }
            tbody {
                tr { @for (_, ms) in &shares { td.n { (figure::hours(*ms)) " h" } } }
                tr { @for (_, ms) in &shares { td.n { (percent(*ms, period_ms)) } } }
            }
        }
    }
}

/// Milliseconds by state in drawing order, all that is missing to the period counted as UNKNOWN.
fn shares(ms: &BTreeMap<State, u64>, period_ms: u64) -> [(State, u64); 8] {
    let of = |state| ms.get(&state).copied().unwrap_or(0);
    let told = State::ALL.into_iter().map(of).fold(0, u64::saturating_add);
    let missing = period_ms.saturating_sub(told);
    paint::ORDER.map(|state| match state {
        State::Unknown => (state, of(state).saturating_add(missing)),
        State::Off
        | State::Down
        | State::Maint
        | State::Idle
        | State::Setup
        | State::Run
        | State::Hold => (state, of(state)),
    })
}

fn percent(part: u64, whole: u64) -> String {
    figure::share(part, whole).map_or_else(|| "—".to_owned(), figure::per_mille)
}

/// Whose hours they were: external against the rest, then by class and grade.
pub(super) fn classes(sums: &Sums, language: Language) -> Markup {
    let all = Class::ALL.map(|class| (class, total(sums, class)));
    let used: Vec<_> = all.into_iter().filter(|&(_, ms)| ms > 0).collect();
    let parts: Vec<Part> = used
        .iter()
        .map(|&(class, amount)| Part {
            fill: paint::class_fill(class),
            word: figure::class(class, language).to_owned(),
            amount,
        })
        .collect();
    let label = language.pick(
        "Own against external hours, by class and grade",
        "自用与对外机时，按类别和等级",
    );
    let whole: u64 = used.iter().map(|&(_, ms)| ms).fold(0, u64::saturating_add);
    html! {
        h3 { (label) }
        @if used.is_empty() {
            p { (language.pick("No activity in sessions.", "上机记录内无活动。")) }
        } @else {
            (bar(&parts, 0, label))
            table.keep {
                thead {
                    tr {
                        th { (language.pick("Class", "类别")) }
                        @for grade in Grade::ALL { th.n { (grade) " h" } }
                        th.n { (language.pick("Together h", "合计 h")) }
                        th.n { (language.pick("Share", "占比")) }
                    }
                }
                tbody {
                    @for (class, ms) in &used {
                        tr {
                            td { (paint::swatch(&paint::class_fill(*class))) " " (figure::class(*class, language)) }
                            @for grade in Grade::ALL { td.n { (graded(sums, *class, grade)) } }
                            td.n { (figure::hours(*ms)) }
                            td.n { (percent(*ms, whole)) }
                        }
                    }
                }
            }
            @if sums.listed_ms > 0 {
                p.soft {
                    (language.pick("Of it external by the unsigned bookings file alone (grade D): ", "其中仅依据未签名预约清单的对外机时（D 级）："))
                    (figure::hours(sums.listed_ms)) " h"
                }
            }
        }
        p.soft {
            (language.pick("Activity outside sessions, never counted: ", "上机记录以外的活动，不计入："))
            (figure::hours(sums.outside_ms)) " h"
        }
    }
}

fn total(sums: &Sums, class: Class) -> u64 {
    let grades = sums
        .hours
        .get(&class)
        .into_iter()
        .flat_map(BTreeMap::values);
    grades.copied().fold(0, u64::saturating_add)
}

fn graded(sums: &Sums, class: Class, grade: Grade) -> String {
    let ms = sums.hours.get(&class).and_then(|grades| grades.get(&grade));
    ms.map_or_else(String::new, |ms| figure::hours(*ms))
}

/// Calendar → observed → active → counted, with what each step lost.
pub(super) fn explanation(explanation: &Explanation, language: Language) -> Markup {
    let steps = [
        (language.pick("Observed", "有观测"), &explanation.observed),
        (language.pick("Active", "有活动"), &explanation.active),
        (
            language.pick("Counted (H_e)", "计入（H_e）"),
            &explanation.counted,
        ),
    ];
    html! {
        h3 { (language.pick("Where the calendar's hours went", "日历时间的去向")) }
        table.steps.keep {
            tbody {
                tr.sum {
                    td { (language.pick("Calendar", "日历时间")) }
                    td.n { (figure::hours(explanation.calendar_ms)) " h" }
                }
                @for (name, step) in steps { (one_step(name, step, language)) }
            }
        }
    }
}

fn one_step(name: &str, step: &Step, language: Language) -> Markup {
    html! {
        @if step.gained_ms > 0 {
            tr {
                td { "+ " (language.pick("a clock was set back", "时钟回拨")) }
                td.n { "+" (figure::hours(step.gained_ms)) " h" }
            }
        }
        @for loss in &step.losses {
            tr {
                td { "− " (loss_name(loss.reason, language)) }
                td.n { "−" (figure::hours(loss.ms)) " h" }
            }
        }
        tr.sum {
            td { "= " (symbols(name)) }
            td.n { (figure::hours(step.after_ms)) " h" }
        }
    }
}

fn loss_name(reason: LossReason, language: Language) -> String {
    let name = reason.name();
    language.pick(name.en, name.zh)
}
