//! A configuration file as a tree that remembers where each part stands, so that parts of several
//! files can be laid over one another and every fault is still reported where it was written.
//!
//! Bounded by the size of a file; the TOML parser bounds its depth.

use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Report};
use super::source::{Place, Source};
use crate::text;
use crate::text::Text;

/// A value and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    Integer {
        value: i64,
        hex: bool,
    },
    Float(f64),
    Bool(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
    /// A value whose fault is already reported.
    Broken,
}

/// Keys in the order of the file.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Place,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn table_mut(&mut self, key: &str) -> Option<&mut Self> {
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        if let Value::Table(table) = &mut entry.node.value {
            Some(table)
        } else {
            None
        }
    }
}

/// Reads TOML, reporting every fault of syntax, and keeps what could be read.
pub(super) fn parse(file: &Arc<Source>, report: &Report) -> Table {
    let (table, errors) = DeTable::parse_recoverable(file.text());
    for error in errors {
        let span = error.span().unwrap_or_default();
        let at = Place::of(file, span);
        let said = error.message();
        if said.starts_with("duplicate key") {
            let key = at.text().to_owned();
            let message = text!("`{key}` stands here a second time", "`{key}` 重复出现");
            let fault = Fault::error("duplicate-key", &at, message);
            report.add(fault.hint(text!("keep one of the two", "只保留其中一个")));
        } else {
            report.set_incomplete(file);
            let message = text!("not TOML: {said}", "不符合 TOML 语法：{said}");
            let fault = Fault::error("syntax", &at, message);
            report.add(Fault {
                hint: remedy(said),
                ..fault
            });
        }
    }
    let at = |span| Place::of(file, span);
    convert_table(&at, table.get_ref(), report)
}

/// What helps against the faults of syntax that technicians make most; the parser says them in
/// English only.
fn remedy(said: &str) -> Option<Text> {
    if said.starts_with("string values must be quoted") {
        Some(text!(
            "texts, names and durations stand in quotes, like \"30s\"",
            "字符串、名称和时长要加引号，例如 \"30s\""
        ))
    } else if said.starts_with("invalid unquoted key") {
        Some(text!(
            "a key uses a-z, 0-9, _ and -; what people read goes into `name` or `description`",
            "键只用 a-z、0-9、_ 和 -；给人看的文字写在 `name` 或 `description` 里"
        ))
    } else if said.starts_with("invalid basic string") || said.starts_with("invalid literal string")
    {
        Some(text!("the closing quote is missing", "缺少结尾的引号"))
    } else if said.starts_with("unclosed") {
        Some(text!("a closing bracket is missing", "缺少右括号"))
    } else {
        None
    }
}

fn convert_table(
    at: &dyn Fn(std::ops::Range<usize>) -> Place,
    table: &DeTable<'_>,
    report: &Report,
) -> Table {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let convert = |(key, value): &(&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        let node = Node {
            at: at(value.span()),
            value: convert_value(at, value, report),
        };
        Entry {
            key: key.get_ref().to_string(),
            key_at: at(key.span()),
            node,
        }
    };
    Table {
        entries: entries.iter().map(convert).collect(),
    }
}

fn convert_value(
    at: &dyn Fn(std::ops::Range<usize>) -> Place,
    value: &toml::Spanned<DeValue<'_>>,
    report: &Report,
) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) => Value::Integer {
                value,
                hex: integer.radix() != 10,
            },
            Err(_) => {
                let place = at(value.span());
                let message = text!("the number is too large", "数值过大");
                report.error("out-of-range", &place, message);
                Value::Broken
            }
        },
        DeValue::Float(float) => match float.as_str().parse() {
            Ok(value) => Value::Float(value),
            Err(_) => Value::Broken,
        },
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => {
            let convert = |item: &toml::Spanned<DeValue<'_>>| Node {
                at: at(item.span()),
                value: convert_value(at, item, report),
            };
            Value::Array(items.iter().map(convert).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(at, table, report)),
    }
}

/// Lays a map over a template: the map's keys win, table by table; whatever is not a table replaces
/// the template's whole. The template's keys come first, in its order.
pub(super) fn overlay(own: Table, template: &Table) -> Table {
    let mut places = BTreeMap::new();
    let mut rest: Vec<Option<Entry>> = Vec::with_capacity(own.entries.len());
    for (place, entry) in own.entries.into_iter().enumerate() {
        places.insert(entry.key.clone(), place);
        rest.push(Some(entry));
    }
    let mut entries = Vec::with_capacity(rest.len().max(template.entries.len()));
    for base in &template.entries {
        let place = places.get(&base.key);
        let own = place
            .and_then(|place| rest.get_mut(*place))
            .and_then(Option::take);
        entries.push(match own {
            Some(own) => overlay_entry(own, base),
            None => base.clone(),
        });
    }
    entries.extend(rest.into_iter().flatten());
    Table { entries }
}

fn overlay_entry(own: Entry, base: &Entry) -> Entry {
    let Entry { key, key_at, node } = own;
    let value = match (node.value, &base.node.value) {
        (Value::Table(own), Value::Table(base)) => Value::Table(overlay(own, base)),
        (own, _) => own,
    };
    Entry {
        key,
        key_at,
        node: Node { at: node.at, value },
    }
}
