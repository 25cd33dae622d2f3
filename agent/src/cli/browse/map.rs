//! A machine map from what a server tells: a first draft that `check` accepts and a technician edits.
//!
//! Bounds: as many points as the walk found nodes, and no more than a map may have.

use std::collections::BTreeSet;

use super::machines::{self, Told};
use super::naming::Names;
use super::tree::{address, kind, missing};
use crate::config;
use crate::config::model::{NodeKind, OPC_UA_NAMESPACE, POINTS_MAX};
use crate::field::opcua::browse::space::{Content, Seen, Space};
use crate::text;
use crate::text::{Language, Text};

/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 120;

/// Names of unsupported variables that are listed.
const UNSUPPORTED_LISTED_MAX: usize = 100;

/// A map under way.
struct Draft<'a> {
    space: &'a Space,
    names: Names,
    points: String,
    unsupported: Vec<String>,
    given: usize,
    /// Some range was widened.
    is_widened: bool,
    groups: BTreeSet<&'static str>,
}

/// The map of a machine of this name; `connection` holds the keys of its connection.
pub(super) fn draft(
    space: &Space,
    machine: &str,
    connection: &[(&str, String)],
    language: Language,
) -> String {
    let told = machines::told(space);
    let mut draft = Draft {
        space,
        names: Names::default(),
        points: String::new(),
        unsupported: Vec::new(),
        given: 0,
        is_widened: false,
        groups: BTreeSet::new(),
    };
    let tellers = told.first().map(|told| told.tellers.as_slice());
    let mut used = BTreeSet::new();
    for teller in tellers.unwrap_or_default() {
        let name = draft.names.give(&[teller.name]);
        draft.point(teller.node, &name, teller.kind, true);
        used.insert(teller.node);
    }
    for place in (0..space.nodes.len()).filter(|place| !used.contains(place)) {
        draft.variable(place);
    }
    let mut map = String::new();
    let say = |text: Text| text.say(language).to_owned();
    comment(&mut map, &say(head()));
    push(
        &mut map,
        format_args!("machine = {}\n\n[connection]\n", quoted(machine)),
    );
    for (key, value) in connection {
        push(&mut map, format_args!("{key} = {}\n", quoted(value)));
    }
    map.push_str("\n[groups]\n");
    for (group, interval) in [("fast", "1s"), ("slow", "30s")] {
        if draft.groups.contains(group) {
            push(&mut map, format_args!("{group} = \"{interval}\"\n"));
        }
    }
    map.push_str("\n[points]\n");
    if draft.is_widened {
        comment(&mut map, &say(widened()));
    }
    map.push_str(&draft.points);
    for line in draft.left_out() {
        comment(&mut map, &say(line));
    }
    rules(&mut map, &told, language);
    map
}

impl Draft<'_> {
    /// A point for a variable that one can hold, else its name among the unsupported.
    fn variable(&mut self, place: usize) {
        let Some(node) = self.space.nodes.get(place) else {
            return;
        };
        let Some(content) = &node.content else {
            return;
        };
        if self.is_aside(node, content) {
            return;
        }
        match content.kind {
            Some(taken)
                if !content.is_array
                    && self.given < POINTS_MAX
                    && config::is_node(&address(node)) =>
            {
                let path = self.space.path(place);
                let name = self.names.give(&path);
                self.point(place, &name, taken, false);
            }
            Some(_) | None => {
                let path = self.space.path(place).join("/");
                let line = format!("{path}: {}  {}", kind(content), address(node));
                self.unsupported.push(line);
            }
        }
    }

    /// Whether a variable belongs to the machinery of OPC UA: nodes of the standard itself, ids of
    /// nodes, and what surrounds the states of state machines.
    fn is_aside(&self, node: &Seen, content: &Content) -> bool {
        let parent = node.parent.and_then(|parent| self.space.nodes.get(parent));
        let is_of_state = parent.is_some_and(|parent| {
            parent.browse.namespace == OPC_UA_NAMESPACE
                && ["CurrentState", "LastTransition"].contains(&parent.browse.name.as_str())
        });
        let is_id = ["NodeId", "ExpandedNodeId"].contains(&content.type_name.as_str());
        node.namespace == OPC_UA_NAMESPACE || is_of_state || is_id
    }

    fn point(&mut self, place: usize, name: &str, taken: NodeKind, is_teller: bool) {
        let Some(node) = self.space.nodes.get(place) else {
            return;
        };
        let none = Content::default();
        let content = node.content.as_ref().unwrap_or(&none);
        let group = match taken {
            NodeKind::Text if !is_teller => "slow",
            NodeKind::Text | NodeKind::Number | NodeKind::Bool => "fast",
        };
        self.groups.insert(group);
        self.given += 1;
        let mut line = format!("{name} = {{ node = {}", quoted(&address(node)));
        if taken != NodeKind::Number {
            push(&mut line, format_args!(", type = \"{}\"", taken.as_str()));
        }
        push(&mut line, format_args!(", group = \"{group}\""));
        if taken == NodeKind::Number {
            if let Some(unit) = &content.unit {
                push(&mut line, format_args!(", unit = {}", quoted(unit)));
            }
            if let Some((low, high)) = self.plausible(content) {
                push(&mut line, format_args!(", expect = [{low:?}, {high:?}]"));
            }
        }
        // A teller's own name, Number, would say nothing.
        let described = description(node, name).filter(|_| !is_teller);
        if let Some(description) = described {
            push(
                &mut line,
                format_args!(", description = {}", quoted(&description)),
            );
        }
        self.points.push_str(&line);
        self.points.push_str(" }\n");
    }

    /// Between which numbers a value is plausible: what its instrument can measure. Its normal range may be
    /// left at any time, so that where nothing else is told it is taken half as wide again on both sides.
    fn plausible(&mut self, content: &Content) -> Option<(f64, f64)> {
        if content.limits.is_some() {
            return content.limits;
        }
        let (low, high) = content.range?;
        let more = (high - low) * 0.5;
        let (low, high) = (low - more, high + more);
        let is_finite = low.is_finite() && high.is_finite();
        self.is_widened |= is_finite;
        is_finite.then_some((low, high))
    }

    /// What is no point, by name.
    fn left_out(&self) -> Vec<Text> {
        let mut lines = Vec::new();
        if !self.unsupported.is_empty() {
            lines.push(text!(
                "Not taken, since points hold single numbers, truth values and texts (an element of an array: index = 0):",
                "以下未列为点位，因为点位只能是单个数值、布尔值或文本（数组元素可用 index = 0）："
            ));
        }
        let listed = self.unsupported.iter().take(UNSUPPORTED_LISTED_MAX);
        lines.extend(listed.map(|line| text!("  {line}", "  {line}")));
        let more = self
            .unsupported
            .len()
            .saturating_sub(UNSUPPORTED_LISTED_MAX);
        if more > 0 {
            lines.push(text!("  and {more} more", "  以及另外 {more} 个"));
        }
        lines.extend(missing(self.space.cut));
        lines
    }
}

fn head() -> Text {
    text!(
        "A draft from what the server tells: remove the points that nobody needs, and check the rules against the machine.",
        "根据服务器信息生成的草稿：请删去不需要的点位，并对照设备核对状态规则。"
    )
}

fn widened() -> Text {
    text!(
        "expect: values beyond it are taken for faults of the instrument. Where the server tells no InstrumentRange it is its EURange, the normal range, half as wide again on both sides.",
        "expect：超出此范围的值视为仪表故障。服务器未给出 InstrumentRange 时，取其正常范围 EURange 并向两侧各放宽一半。"
    )
}

fn description(node: &Seen, name: &str) -> Option<String> {
    let shown: String = node.display.chars().take(DESCRIPTION_CHARS_MAX).collect();
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(|char| char.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let says_more = !letters(name).ends_with(&letters(&shown));
    (says_more && !shown.trim().is_empty()).then_some(shown)
}

fn rules(map: &mut String, told: &[Told], language: Language) {
    map.push('\n');
    let Some((first, others)) = told.split_first() else {
        let none = text!(
            "The server tells no state that Lineside knows: write rules from the points, or the machine stays UNKNOWN. For example:",
            "服务器未提供 Lineside 认识的状态：请根据点位编写规则，否则设备始终为“状态不明”。例如："
        );
        comment(map, none.say(language));
        for line in [
            "[[state.rules]]",
            "state = \"RUN\"",
            "when = \"speed > 5.0\"",
        ] {
            comment(map, line);
        }
        return;
    };
    let from = text!(
        "From {} at {}. Whatever no rule knows is UNKNOWN.",
        "来自 {} 的 {}。规则未涵盖的情况均为“状态不明”。",
        first.standard,
        first.at
    );
    comment(map, from.say(language));
    if first
        .tellers
        .iter()
        .any(|teller| teller.kind == NodeKind::Text)
    {
        let words = text!(
            "This server tells states by name only, in its own language: compare with `lineside browse --values`.",
            "该服务器只以名称（其自身语言）表示状态：请用 `lineside browse --values` 核对。"
        );
        comment(map, words.say(language));
    }
    for other in others {
        let also = text!(
            "Another machine tells its state at {}: give it a map of its own.",
            "{} 处还有另一台设备的状态：请为其单独编写点表。",
            other.at
        );
        comment(map, also.say(language));
    }
    for (state, when) in &first.rules {
        let (state, when) = (quoted(state.as_str()), quoted(when));
        push(
            map,
            format_args!("\n[[state.rules]]\nstate = {state}\nwhen = {when}\n"),
        );
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn comment(map: &mut String, text: &str) {
    for line in text.lines() {
        push(
            map,
            format_args!("# {}\n", line.replace(char::is_control, "·")),
        );
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.push_str(&what.to_string());
}
