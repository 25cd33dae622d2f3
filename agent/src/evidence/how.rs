//! `HOW-TO-VERIFY`: what people do with a bundle, and two programs of a page that check it by libraries that are
//! not ours. A test runs the very commands that stand there.

use super::plan::Plan;
use crate::text::Language;

const ENGLISH: &str = include_str!("how/en.txt");
const CHINESE: &str = include_str!("how/zh.txt");
const GO: &str = include_str!("how/check.go");
const PYTHON: &str = include_str!("how/check.py");

/// The text that goes into a bundle.
pub fn text(language: Language, plan: &Plan) -> String {
    let mut text = language.pick(ENGLISH, CHINESE).to_owned();
    for (name, value) in [
        ("{site}", plan.site.as_str()),
        ("{gateway}", plan.gateway.as_str()),
        ("{origin}", &plan.origin),
        ("{from}", &plan.period.from.to_string()),
        ("{to}", &plan.period.to.to_string()),
        ("{first}", &plan.first.to_string()),
        ("{last}", &plan.end.saturating_sub(1).to_string()),
        ("{size}", &plan.size.to_string()),
        // Last: nothing in the programs is to be replaced.
        ("{go}", GO.trim_end()),
        ("{python}", PYTHON.trim_end()),
    ] {
        text = text.replace(name, value);
    }
    text
}
