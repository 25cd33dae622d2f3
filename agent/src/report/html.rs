//! The evaluator's report as one page that reads on screen and prints on A4.
//!
//! First what it rests on and the three headline figures, then what somebody should look at, then the rest. No
//! figure stands anywhere without its coverage beside it.

mod anomaly;
mod front;
mod group;
mod machine;
mod method;
#[cfg(test)]
mod tests;
mod time;

use lineside_proto::report::{Figure, Report};
use maud::{Markup, html};

use super::figure;
use super::sheet::{self, Sheet};
use crate::text::Language;

/// The page of a report.
pub fn page(report: &Report, language: Language) -> String {
    let title = format!(
        "{} {} – {}",
        language.pick("Usage report", "机时报告"),
        figure::day(report.from),
        figure::day(report.to.plus_millis(-1)),
    );
    let foot = format!(
        "{} · {} {} · {} {} ({})",
        report.by,
        language.pick("made", "生成于"),
        figure::time(report.made),
        language.pick("rules", "规则"),
        report.rules.name,
        report.rules.version,
    );
    let mark = language.pick("NOT VERIFIED – no evidence", "未通过核验，不作依据");
    let sheet = Sheet {
        title: &title,
        language,
        mark: (!report.is_verified).then_some(mark),
        foot: &foot,
    };
    sheet::page(&sheet, &body(report, language))
}

fn body(report: &Report, language: Language) -> Markup {
    html! {
        (front::front(report, language))
        (anomaly::list(report, language))
        (group::overview(report, language))
        (group::lines(report, language))
        @for (place, machine) in report.machines.iter().enumerate() {
            (machine::machine(place, machine, report, language))
        }
        (method::method(report, language))
    }
}

/// The place of a machine on the page, for links.
fn anchor(place: usize) -> String {
    format!("m{place}")
}

/// A text in which `H_e` and `H_x` are written as in a formula.
fn symbols(text: &str) -> Markup {
    let mut pieces = text.split("H_");
    html! {
        (pieces.next().unwrap_or_default())
        @for piece in pieces {
            "H"
            @match piece.split_at_checked(1) {
                Some((letter, rest)) => { sub { (letter) } (rest) }
                None => { "_" (piece) }
            }
        }
    }
}

/// A figure in a cell, its coverage below it.
fn cell(figure: &Figure, language: Language) -> Markup {
    html! {
        td.n {
            (figure::value(figure))
            div.soft { (figure::coverage(figure.coverage(), language)) }
        }
    }
}
