//! The parts of one machine map laid together: its own keys over those of its template, and the points
//! of spreadsheets behind the points of each. Nothing is interpreted here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fault::{Fault, Report};
use super::files::{Files, Toml};
use super::point;
use super::sheet;
use super::source::{Place, Source};
use super::tree::{Entry, Node, Table, Value, overlay};
use crate::text;

/// A map, its parts laid together.
pub(super) struct Resolved {
    /// The keys of the map, those of its template beneath them.
    pub(super) table: Table,
    /// The files that it came from: the map, its sheet, its template, the template's sheet, as far as there are.
    pub(super) files: Vec<Part>,
}

/// A file that a map is made of.
pub(super) struct Part {
    /// Which: `map`, `points`, `template` or `template-points`.
    pub(super) role: &'static str,
    /// Its path as the map or template says it; the map's own file name.
    pub(super) name: String,
    /// The file.
    pub(super) source: Arc<Source>,
}

/// A map with its template and its spreadsheets.
pub(super) fn resolve(toml: &Toml, files: &Files, report: &Report) -> Resolved {
    let source = Arc::clone(&toml.at.file);
    let name = source.path().file_name().unwrap_or_default();
    let mut parts = vec![Part {
        role: "map",
        name: name.to_string_lossy().into_owned(),
        source,
    }];
    let (own, sheet) = with_sheet(normal(&toml.table, report), "points", files, report);
    parts.extend(sheet);
    let node = own.get("template").map(|entry| &entry.node);
    let Some((at, Value::Text(path))) = node.map(|node| (&node.at, &node.value)) else {
        // If there is one of another type, that is told with the other keys.
        return Resolved {
            table: own,
            files: parts,
        };
    };
    let Some(template) = files.toml(&files.near(at, path), Some(at), report) else {
        report.set_incomplete(&toml.at.file);
        return Resolved {
            table: own,
            files: parts,
        };
    };
    parts.push(Part {
        role: "template",
        name: path.clone(),
        source: Arc::clone(&template.at.file),
    });
    let base = normal(&template.table, report);
    let (base, sheet) = with_sheet(base, "template-points", files, report);
    parts.extend(sheet);
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
    Resolved {
        table: overlay(own, &base),
        files: parts,
    }
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

/// The table with the points of its spreadsheet behind its own, and the spreadsheet.
fn with_sheet(
    mut table: Table,
    role: &'static str,
    files: &Files,
    report: &Report,
) -> (Table, Option<Part>) {
    let Some(entry) = table.get("points-file") else {
        return (table, None);
    };
    let Value::Text(path) = &entry.node.value else {
        return (table, None);
    };
    let (at, key_at) = (entry.node.at.clone(), entry.key_at.clone());
    let part = files
        .text(&files.near(&at, path), Some(&at), report)
        .map(|source| Part {
            role,
            name: path.clone(),
            source,
        });
    let sheet = part
        .as_ref()
        .and_then(|part| sheet::read(&part.source, report));
    let Some(sheet) = sheet else {
        report.set_incomplete(&at.file);
        return (table, part);
    };
    if table.get("points").is_none() {
        let value = Value::Table(Table::default());
        table.entries.push(Entry {
            key: "points".to_owned(),
            key_at,
            node: Node { at, value },
        });
    }
    if let Some(points) = table.table_mut("points") {
        append(points, sheet, report);
    }
    (table, part)
}

/// Puts the points of a spreadsheet behind those of the map.
fn append(points: &mut Table, sheet: Table, report: &Report) {
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
