//! The parts of one machine map laid together: its own keys over those of its template, and the points
//! of spreadsheets behind the points of each. Nothing is interpreted here.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, Report};
use super::files::{Files, Toml};
use super::point;
use super::sheet;
use super::source::Place;
use super::tree::{Entry, Node, Table, Value, overlay};
use crate::text;

/// The keys of a map, those of its template beneath them.
pub(super) fn resolve(toml: &Toml, files: &Files, report: &Report) -> Table {
    let own = with_sheet(normal(&toml.table, report), files, report);
    let node = own.get("template").map(|entry| &entry.node);
    let Some((at, Value::Text(path))) = node.map(|node| (&node.at, &node.value)) else {
        // If there is one of another type, that is told with the other keys.
        return own;
    };
    let Some(template) = files.toml(&files.near(at, path), Some(at), report) else {
        report.set_incomplete(&toml.at.file);
        return own;
    };
    let base = with_sheet(normal(&template.table, report), files, report);
    if report.is_incomplete(&template.at.file) {
        report.set_incomplete(&toml.at.file);
    }
    for key in ["machine", "template"] {
        if let Some(entry) = base.get(key) {
            let message = text!("a template can't have `{key}`", "模板中不能有 `{key}`");
            report.error("unknown-key", &entry.key_at, message);
        }
    }
    let mut base = without_replaced_addresses(base, &own);
    base.entries
        .retain(|entry| entry.key != "machine" && entry.key != "template");
    overlay(own, &base)
}

/// The table with `[connection]` as what it is short for.
fn normal(table: &Table, report: &Report) -> Table {
    let mut table = table.clone();
    let Some(place) = table
        .entries
        .iter()
        .position(|entry| entry.key == "connection")
    else {
        return table;
    };
    let mut entry = table.entries.remove(place);
    let at = entry.key_at.clone();
    "main".clone_into(&mut entry.key);
    let Some(connections) = table.table_mut("connections") else {
        let value = Value::Table(Table {
            entries: vec![entry],
        });
        let node = Node {
            at: at.clone(),
            value,
        };
        table.entries.push(Entry {
            key: "connections".to_owned(),
            key_at: at,
            node,
        });
        return table;
    };
    if connections.get("main").is_some() {
        let message = text!(
            "[connection] is short for [connections.main], which stands here, too",
            "[connection] 是 [connections.main] 的简写，而后者也出现了"
        );
        report.error("duplicate-key", &at, message);
    } else {
        connections.entries.push(entry);
    }
    table
}

/// The table with the points of its spreadsheet behind its own.
fn with_sheet(mut table: Table, files: &Files, report: &Report) -> Table {
    let Some(entry) = table.get("points-file") else {
        return table;
    };
    let Value::Text(path) = &entry.node.value else {
        return table;
    };
    let (at, key_at) = (entry.node.at.clone(), entry.key_at.clone());
    let file = files.text(&files.near(&at, path), Some(&at), report);
    let Some(sheet) = file.and_then(|file| sheet::read(&file, report)) else {
        report.set_incomplete(&at.file);
        return table;
    };
    if table.get("points").is_none() {
        let value = Value::Table(Table::default());
        table.entries.push(Entry {
            key: "points".to_owned(),
            key_at,
            node: Node { at, value },
        });
    }
    let Some(points) = table.table_mut("points") else {
        return table;
    };
    let mut names: BTreeMap<String, Place> = points
        .entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.key_at.clone()))
        .collect();
    for entry in sheet.entries {
        if let Some(first) = names.get(&entry.key) {
            let (name, first) = (&entry.key, first.words());
            let message = text!(
                "point `{name}` stands here a second time",
                "点位 `{name}` 重复出现"
            );
            report.add(
                Fault::error("duplicate-point", &entry.key_at, message)
                    .hint(text!("the first is at {first}", "第一次出现在 {first}")),
            );
        } else {
            names.insert(entry.key.clone(), entry.key_at.clone());
            points.entries.push(entry);
        }
    }
    table
}

/// The template without the addresses of points that the map places elsewhere: two addresses in one
/// point would be a fault.
fn without_replaced_addresses(mut template: Table, own: &Table) -> Table {
    let Some(Value::Table(own)) = own.get("points").map(|entry| &entry.node.value) else {
        return template;
    };
    let is_address = |entry: &Entry| point::ADDRESS_KEYS.contains(&entry.key.as_str());
    let placed = own.entries.iter().filter(|entry| {
        if let Value::Table(point) = &entry.node.value {
            point.entries.iter().any(is_address)
        } else {
            false
        }
    });
    let placed: BTreeSet<&str> = placed.map(|entry| entry.key.as_str()).collect();
    if let Some(points) = template.table_mut("points") {
        for entry in &mut points.entries {
            if let Value::Table(point) = &mut entry.node.value {
                if placed.contains(entry.key.as_str()) {
                    point.entries.retain(|entry| !is_address(entry));
                }
            }
        }
    }
    template
}
