//! `[state]`: the rules that say what a machine is doing, compiled against its points.

use lineside_proto::State;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, Report};
use super::model::{Point, StateRule};
use super::point;
use super::section::{Said, Section, nearest_or_all, wrong_type};
use super::source::Place;
use super::tree::{Node, Value};
use crate::machine::rule::{PointKind, Rule, RulePoint};
use crate::text;

/// Rules of one machine.
const RULES_MAX: usize = 256;
const HOLD: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);

const STATES: [(&str, State); 7] = [
    ("OFF", State::Off),
    ("DOWN", State::Down),
    ("MAINT", State::Maint),
    ("IDLE", State::Idle),
    ("SETUP", State::Setup),
    ("RUN", State::Run),
    ("HOLD", State::Hold),
];

/// The points as rules see them, and those whose own faults come first.
pub(super) struct Operands<'a> {
    points: Vec<RulePoint<'a>>,
    broken: Vec<&'a str>,
}

impl<'a> Operands<'a> {
    pub(super) fn of(points: &'a [point::Draft<'a>]) -> Self {
        let of = |draft: &'a point::Draft<'a>| {
            let point = draft.point.as_ref();
            let kind = point.map_or(PointKind::Number, Point::kind);
            RulePoint {
                name: draft.name,
                kind,
            }
        };
        Self {
            points: points.iter().map(of).collect(),
            broken: points
                .iter()
                .filter(|p| p.point.is_none())
                .map(|p| p.name)
                .collect(),
        }
    }
}

/// Reads `rules` of a `[state]` table.
pub(super) fn read(
    section: &Section<'_>,
    operands: &Operands<'_>,
    report: &Report,
) -> Vec<StateRule> {
    let Some(entry) = section.entry("rules") else {
        return Vec::new();
    };
    let Value::Array(items) = &entry.node.value else {
        let wanted = text!("a list of [[state.rules]]", " [[state.rules]] 列表");
        wrong_type(report, "rules", &entry.node, &wanted);
        return Vec::new();
    };
    if items.len() > RULES_MAX {
        let message = text!("more than {RULES_MAX} rules", "规则超过 {RULES_MAX} 条");
        report.error("too-many", &entry.key_at, message);
        return Vec::new();
    }
    let mut walk = Walk {
        operands,
        report,
        seen: Vec::new(),
        always: None,
    };
    let last = items.len().saturating_sub(1);
    let rules = items.iter().enumerate();
    rules
        .filter_map(|(place, item)| walk.rule(item, place == last))
        .collect()
}

/// What the rules so far leave to later ones.
struct Walk<'a> {
    operands: &'a Operands<'a>,
    report: &'a Report,
    /// The conditions so far.
    seen: Vec<(Rule, &'a Place)>,
    /// A rule that is always true.
    always: Option<&'a Place>,
}

impl<'a> Walk<'a> {
    fn rule(&mut self, item: &'a Node, last: bool) -> Option<StateRule> {
        let Value::Table(table) = &item.value else {
            wrong_type(self.report, "rules", item, &text!("a table", "表"));
            return None;
        };
        let section = Section::new(table, &item.at, self.report);
        let state = section.required("state", section.text("state"));
        let state = state.and_then(|said| self.state(said));
        let when = section.required("when", section.text("when"));
        let enter = section
            .duration("enter", HOLD)
            .map_or(Duration::ZERO, |said| said.value);
        let leave = section
            .duration("leave", HOLD)
            .map_or(Duration::ZERO, |said| said.value);
        section.finish();
        let when = when?;
        let rule = self.compile(when)?;
        self.reachable(when, &rule);
        self.sensible(when, &rule, last);
        Some(StateRule {
            state: state?,
            when: when.value.to_owned(),
            rule,
            enter,
            leave,
        })
    }

    fn state(&self, said: Said<'_, &str>) -> Option<State> {
        let found = STATES.iter().find(|(word, _)| *word == said.value);
        if let Some((_, state)) = found {
            return Some(*state);
        }
        let word = said.value;
        let fault = if word == State::Unknown.as_str() {
            let message = text!("no rule can give UNKNOWN", "规则不能给出 UNKNOWN");
            Fault::error("bad-value", said.at, message).hint(text!(
                "leave the rule out: a machine is UNKNOWN when no rule is true",
                "去掉该规则：没有规则成立时即为状态不明"
            ))
        } else {
            let names = STATES.map(|(word, _)| word);
            let message = text!("there is no state `{word}`", "没有状态 `{word}`");
            let hint = nearest_or_all(word, &names);
            Fault::error("bad-value", said.at, message).hint(hint)
        };
        self.report.add(fault);
        None
    }

    fn compile(&self, when: Said<'_, &str>) -> Option<Rule> {
        let faults = match Rule::compile(when.value, &self.operands.points) {
            Ok(rule) => return Some(rule),
            Err(faults) => faults,
        };
        // A rule about a point with faults may only be wrong because of these.
        if self
            .operands
            .broken
            .iter()
            .any(|name| when.value.contains(name))
        {
            return None;
        }
        for fault in faults {
            let at = within(when.at, when.value, fault.span);
            let found = Fault::error("rule", &at, fault.message);
            self.report.add(Fault {
                hint: fault.hint,
                ..found
            });
        }
        None
    }

    fn reachable(&mut self, when: Said<'a, &'a str>, rule: &Rule) {
        let same = self.seen.iter().find(|(earlier, _)| earlier.is_same(rule));
        if let Some(earlier) = self.always.or(same.map(|(_, at)| *at)) {
            let place = earlier.words();
            let message = if self.always.is_some() {
                text!(
                    "this rule is never reached: the one at {place} is always true",
                    "此规则永远不会生效：{place} 处的规则总是成立"
                )
            } else {
                text!(
                    "this rule is never reached: the one at {place} has the same condition",
                    "此规则永远不会生效：{place} 处的规则条件相同"
                )
            };
            self.report.add(
                Fault::error("unreachable-rule", when.at, message).hint(text!(
                    "the first rule that is true wins: move this one up, or remove it",
                    "先成立的规则优先：把此规则移到前面，或删除它"
                )),
            );
        }
        self.seen.push((rule.clone(), when.at));
    }

    fn sensible(&mut self, when: Said<'a, &'a str>, rule: &Rule, last: bool) {
        let constant = rule.constant();
        if constant == Some(true) && self.always.is_none() {
            self.always = Some(when.at);
        }
        if constant == Some(false) {
            let message = text!("this rule is never true", "此规则永远不成立");
            let fault = Fault::warning("never-true", when.at, message);
            self.report.add(fault.hint(text!(
                "correct the condition, or remove the rule",
                "改正条件，或删除此规则"
            )));
        } else if rule.points().is_empty() && !(last && constant == Some(true)) {
            let message = text!("this rule names no point", "此规则没有用到任何点位");
            let fault = Fault::warning("rule-without-point", when.at, message);
            self.report.add(fault.hint(text!(
                "only the last rule, `true`, needs no point",
                "只有最后一条 `true` 规则可以不用点位"
            )));
        }
    }
}

/// The part of a text's place that a stretch of the text takes; the whole place where the file
/// writes the text with escapes.
fn within(at: &Place, text: &str, span: std::ops::Range<usize>) -> Place {
    let raw = at.text();
    // Quotes are one or three bytes, and a line break right after three is not part of the text.
    let shift = [1, 3, 4, 5].into_iter().find(|shift| {
        raw.get(*shift..).is_some_and(|rest| rest.starts_with(text)) && raw.len() <= text.len() + 8
    });
    match (&at.span, shift) {
        (Some(whole), Some(shift)) if span.end <= text.len() && span.start <= span.end => {
            let start = whole.start + shift;
            Place::of(&at.file, start + span.start..start + span.end)
        }
        _ => at.clone(),
    }
}
