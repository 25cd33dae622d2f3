//! One machine map, its template and spreadsheet already laid in, read key by key into [`MachineMap`].

use lineside_proto::{Identifier, LocalText};
use std::collections::BTreeSet;
use std::time::Duration;

use super::fault::{Fault, Report};
use super::files::Files;
use super::model::{Evidence, Group, MachineMap, POINTS_MAX, Point, StateRule};
use super::resolve::Resolved;
use super::section::{Said, Section, nearest, table};
use super::server::Around;
use super::source::Place;
use super::tree::Value;
use super::{canonical, connection, group, overlap, point, rules};
use crate::config::model::Connection;
use crate::machine::rule::PointKind;
use crate::text;

/// Characters of a machine's name.
const NAME_CHARS_MAX: usize = 128;

const ZERO: Duration = Duration::ZERO;
const DAY: Duration = Duration::from_secs(86_400);
const HOLD_COUNTS_DEFAULT: Duration = Duration::from_secs(15 * 60);
const STALE_AFTER: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(20)..=Duration::from_secs(30 * 86_400);

/// A machine as far as it could be read: what the checks across machines need.
pub(super) struct Draft {
    /// Its name, and where it is said.
    pub(super) machine: Option<(Identifier, Place)>,
    /// Its connections, and where each says its port or address.
    pub(super) links: Vec<(Connection, Place)>,
    /// The map; none if it has faults of its own.
    pub(super) map: Option<MachineMap>,
}

/// Reads a resolved map; what it lacks as a whole is reported at `at`.
pub(super) fn read(resolved: &Resolved, at: &Place, files: &Files, report: &Report) -> Draft {
    let root = Section::new(&resolved.table, at, report);
    let machine = root.required("machine", root.identifier("machine"));
    let name = name(&root, machine.as_ref().map(|said| said.value.as_str()));
    root.text("template");
    root.text("points-file");
    let around = Around {
        files,
        machine: machine.as_ref().map_or("…", |said| said.value.as_str()),
    };
    let connections = connections(&root, around, report);
    let state = root.section("state");
    let stale_after = state
        .as_ref()
        .and_then(|section| section.duration("stale-after", STALE_AFTER));
    let groups = groups(&root, stale_after, report);
    let points = points(&root, &connections, &groups, report);
    let rules = state
        .as_ref()
        .map(|section| state_rules(section, &points, report));
    if rules.as_ref().is_none_or(Vec::is_empty) && no_rules_said(&state) {
        report.add(no_rules(at));
    }
    let (warm_up, hold_counts) = activity(state.as_ref());
    if let Some(section) = &state {
        section.finish();
    }
    let evidence = evidence(&root, &points);
    root.finish();
    unused(&connections, &groups, &points, report);
    let links = connections
        .iter()
        .filter_map(|draft| Some((draft.connection.clone()?, draft.endpoint_at?.clone())))
        .collect();
    let machine = machine.map(|said| (said.value, said.at.clone()));
    let map = (|| {
        let mut map = MachineMap {
            machine: machine.as_ref()?.0.clone(),
            name,
            hash: String::new(),
            fingerprint: String::new(),
            connections: connections
                .iter()
                .map(|draft| draft.connection.clone())
                .collect::<Option<_>>()?,
            groups: groups
                .iter()
                .map(|draft| draft.group.clone())
                .collect::<Option<_>>()?,
            points: points
                .iter()
                .map(|draft| draft.point.clone())
                .collect::<Option<_>>()?,
            rules: rules.unwrap_or_default(),
            warm_up,
            hold_counts,
            evidence,
            files: canonical::files(&resolved.files),
        };
        drop_empty_groups(&mut map);
        map.hash = canonical::hash(&map);
        map.fingerprint = canonical::fingerprint(&map);
        Some(map)
    })();
    Draft {
        machine,
        links,
        map,
    }
}

fn no_rules(at: &Place) -> Fault {
    let message = text!(
        "there are no state rules: the machine will always be UNKNOWN",
        "没有状态规则：设备将一直为状态不明"
    );
    Fault::warning("no-rules", at, message)
}

fn no_rules_said(state: &Option<Section<'_>>) -> bool {
    state
        .as_ref()
        .and_then(|section| section.entry("rules"))
        .is_none_or(|entry| matches!(&entry.node.value, Value::Array(items) if items.is_empty()))
}

fn name(root: &Section<'_>, machine: Option<&str>) -> LocalText {
    let of = |section: Section<'_>| {
        let text = |key| {
            section
                .short_text(key, NAME_CHARS_MAX)
                .map(|said| said.value.to_owned())
        };
        let name = LocalText {
            zh_cn: text("zh-CN"),
            en: text("en"),
        };
        section.finish();
        name
    };
    let name = root.section("name").map(of).unwrap_or_default();
    if name.zh_cn.is_none() && name.en.is_none() {
        return LocalText {
            zh_cn: None,
            en: machine.map(str::to_owned),
        };
    }
    name
}

fn connections<'a>(
    root: &Section<'a>,
    around: Around<'_>,
    report: &'a Report,
) -> Vec<connection::Draft<'a>> {
    let entry = root.entry("connections");
    let Some(entry) = entry else {
        let message = text!("`[connection]` is missing", "缺少 `[connection]`");
        report.add(Fault::error("missing-key", root.at(), message).hint(text!(
            "say how the machine is reached: protocol and address",
            "写明如何连接设备：protocol 和 address"
        )));
        return Vec::new();
    };
    let Some(table) = table(report, entry) else {
        return Vec::new();
    };
    if table.entries.len() > connection::CONNECTIONS_MAX {
        too_many(
            "connections",
            connection::CONNECTIONS_MAX,
            &entry.key_at,
            report,
        );
        return Vec::new();
    }
    table
        .entries
        .iter()
        .map(|entry| connection::read(entry, around, report))
        .collect()
}

fn groups<'a>(
    root: &Section<'a>,
    stale_after: Option<Said<'_, Duration>>,
    report: &Report,
) -> Vec<group::Draft<'a>> {
    let entry = root.required("groups", root.entry("groups"));
    let table = entry.and_then(|entry| Some((entry, table(report, entry)?)));
    match table {
        Some((entry, table)) if table.entries.len() > group::GROUPS_MAX => {
            too_many("groups", group::GROUPS_MAX, &entry.key_at, report);
            Vec::new()
        }
        Some((_, table)) => group::read(table, stale_after, report),
        None => Vec::new(),
    }
}

fn points<'a>(
    root: &Section<'a>,
    connections: &'a [connection::Draft<'a>],
    groups: &'a [group::Draft<'a>],
    report: &'a Report,
) -> Vec<point::Draft<'a>> {
    let entry = root.entry("points");
    let entries = match entry.map(|entry| (entry, &entry.node.value)) {
        Some((entry, Value::Table(table))) if table.entries.len() > POINTS_MAX => {
            too_many("points", POINTS_MAX, &entry.key_at, report);
            return Vec::new();
        }
        Some((_, Value::Table(table))) if !table.entries.is_empty() => &table.entries,
        Some((entry, _)) if table(report, entry).is_none() => return Vec::new(),
        Some(_) | None => {
            let at = entry.map_or(root.at(), |entry| &entry.key_at);
            let message = text!("the machine has no points", "设备没有任何点位");
            report.error("no-points", at, message);
            return Vec::new();
        }
    };
    let surroundings = point::Surroundings {
        connections,
        groups,
        report,
    };
    let points: Vec<_> = entries
        .iter()
        .map(|entry| surroundings.point(entry))
        .collect();
    let whole: Vec<(usize, &Point)> = points
        .iter()
        .enumerate()
        .filter_map(|(place, draft)| Some((place, draft.point.as_ref()?)))
        .collect();
    for (later, earlier) in overlap::conflicts(&whole) {
        if let (Some(later), Some(earlier)) = (points.get(later), points.get(earlier)) {
            report.add(overlapping(later, earlier));
        }
    }
    points
}

fn overlapping(later: &point::Draft<'_>, earlier: &point::Draft<'_>) -> Fault {
    let words = |draft: &point::Draft<'_>| {
        let point = draft.point.as_ref();
        let node = point.and_then(Point::node);
        if let Some(node) = node {
            return format!("{node}, {}", node.kind.as_str());
        }
        let address = point.and_then(Point::modbus);
        address.map_or_else(String::new, |address| {
            let start = u32::from(address.start);
            let end = start + u32::from(address.width()) - 1;
            let registers = if start == end {
                start.to_string()
            } else {
                format!("{start}-{end}")
            };
            let (table, kind) = (address.table.as_str(), address.kind.as_str());
            format!("{table} {registers}, {kind}")
        })
    };
    let (name, other) = (later.name, earlier.name);
    let (these, those) = (words(later), words(earlier));
    let first = earlier.at.words();
    if later.point.as_ref().and_then(Point::node).is_some() {
        let message = text!(
            "`{name}` ({these}) is the same value as `{other}` ({those})",
            "`{name}`（{these}）与 `{other}`（{those}）是同一个值"
        );
        return Fault::error("overlap", later.at, message).hint(text!(
            "the other is at {first}; one value is of one type",
            "另一处在 {first}；同一个值只有一种类型"
        ));
    }
    let message = text!(
        "`{name}` ({these}) lies over `{other}` ({those})",
        "`{name}`（{these}）与 `{other}`（{those}）重叠"
    );
    Fault::error("overlap", later.at, message).hint(text!(
        "the other is at {first}; points may share registers only with the same type and order, or as bits of whole numbers",
        "另一处在 {first}；只有类型和字节序相同，或取整数的位时，才能共用寄存器"
    ))
}

fn too_many(what: &str, most: usize, at: &Place, report: &Report) {
    let message = text!("more than {most} {what}", "{what} 超过 {most} 个");
    report.error("too-many", at, message);
}

fn state_rules(
    section: &Section<'_>,
    points: &[point::Draft<'_>],
    report: &Report,
) -> Vec<StateRule> {
    rules::read(section, &rules::Operands::of(points), report)
}

fn activity(state: Option<&Section<'_>>) -> (Duration, Duration) {
    let read = |key, default| {
        let said = state.and_then(|section| section.duration(key, ZERO..=DAY));
        said.map_or(default, |said: Said<'_, Duration>| said.value)
    };
    (
        read("warm-up", ZERO),
        read("hold-counts", HOLD_COUNTS_DEFAULT),
    )
}

/// The points of `[evidence]`, as places.
fn evidence(root: &Section<'_>, points: &[point::Draft<'_>]) -> Evidence {
    let Some(section) = root.section("evidence") else {
        return Evidence::default();
    };
    let evidence = Evidence {
        hours: counter(&section, "hours", points),
        energy: counter(&section, "energy", points),
    };
    section.finish();
    evidence
}

/// The place of a point that counts something.
fn counter(section: &Section<'_>, key: &'static str, points: &[point::Draft<'_>]) -> Option<u16> {
    let said = section.text(key)?;
    let name = said.value;
    let Some(place) = points.iter().position(|point| point.name == name) else {
        let names: Vec<&str> = points.iter().map(|point| point.name).collect();
        let message = text!("there is no point `{name}`", "没有点位 `{name}`");
        let fault = Fault::error("unknown-point", said.at, message);
        section.add(match nearest(name, names.into_iter()) {
            Some(near) => fault.hint(text!("did you mean `{near}`?", "是否想写 `{near}`？")),
            None => fault,
        });
        return None;
    };
    // A point with faults of its own is told there.
    let point = points.get(place)?.point.as_ref()?;
    match point.kind() {
        PointKind::Number | PointKind::Bits(_) => u16::try_from(place).ok(),
        PointKind::Bool | PointKind::Text => {
            let kind = point.type_word();
            let message = text!(
                "`{name}` is of type {kind}, and a counter is a number",
                "`{name}` 的类型为 {kind}，而计数器应为数值"
            );
            section.add(Fault::error("not-a-number", said.at, message));
            None
        }
    }
}

fn unused(
    connections: &[connection::Draft<'_>],
    groups: &[group::Draft<'_>],
    points: &[point::Draft<'_>],
    report: &Report,
) {
    // A point whose own faults hide what it uses would make others look unused.
    let of = |place: fn(&point::Draft<'_>) -> Option<usize>| -> Option<BTreeSet<usize>> {
        let places: Option<BTreeSet<usize>> = points.iter().map(place).collect();
        places.filter(|_| !points.is_empty())
    };
    if let Some(used) = of(|point| point.connection) {
        for (_, draft) in connections
            .iter()
            .enumerate()
            .filter(|(place, _)| !used.contains(place))
        {
            let name = draft.name;
            let message = text!(
                "no point uses connection `{name}`",
                "没有点位使用连接 `{name}`"
            );
            report.add(Fault::warning("unused-connection", draft.at, message));
        }
    }
    if let Some(used) = of(|point| point.group) {
        for (_, draft) in groups
            .iter()
            .enumerate()
            .filter(|(place, _)| !used.contains(place))
        {
            let name = draft.name;
            let message = text!("group `{name}` has no points", "采集组 `{name}` 没有点位");
            report.add(Fault::warning("empty-group", draft.at, message));
        }
    }
}

/// Takes out the groups that no point is in, and counts the others anew.
fn drop_empty_groups(map: &mut MachineMap) {
    let mut used = vec![false; map.groups.len()];
    for point in &map.points {
        if let Some(used) = used.get_mut(usize::from(point.group)) {
            *used = true;
        }
    }
    let mut next = 0;
    let places: Vec<u16> = used
        .iter()
        .map(|used| {
            let place = next;
            next += u16::from(*used);
            place
        })
        .collect();
    for point in &mut map.points {
        if let Some(place) = places.get(usize::from(point.group)) {
            point.group = *place;
        }
    }
    let groups = std::mem::take(&mut map.groups);
    let kept = groups.into_iter().zip(used).filter(|(_, used)| *used);
    map.groups = kept.map(|(group, _): (Group, bool)| group).collect();
}
